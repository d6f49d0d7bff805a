package automation

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Words tells the schedule as a person would say it, with the cron expression itself where that would get long.
func (s Schedule) Words() string {
	f := strings.Fields(s.expr)
	at := ""
	minute, errM := strconv.Atoi(f[0])
	hour, errH := strconv.Atoi(f[1])
	switch {
	case errM == nil && errH == nil:
		at = fmt.Sprintf("at %02d:%02d", hour, minute)
	case errM == nil && f[1] == "*":
		at = fmt.Sprintf("hourly at minute %d", minute)
	case f[0] == "*" && f[1] == "*":
		at = "every minute"
	case strings.HasPrefix(f[0], "*/") && f[1] == "*":
		at = "every " + f[0][2:] + " minutes"
	case errM == nil && strings.HasPrefix(f[1], "*/"):
		at = fmt.Sprintf("every %s hours at minute %d", f[1][2:], minute)
	default:
		at = "at minute " + f[0] + " of hour " + f[1]
	}
	days := ""
	switch {
	case f[2] == "*" && f[3] == "*" && f[4] == "*":
		if errH == nil {
			days = "every day "
		}
	case f[2] == "*" && f[3] == "*":
		days = weekdays(f[4]) + " "
	case f[3] == "*" && f[4] == "*":
		days = "on day " + f[2] + " of the month "
	default:
		return fmt.Sprintf("on the schedule %q (%s)", s.expr, s.name)
	}
	return strings.TrimSpace(days+at) + " (" + s.name + ")"
}

func weekdays(field string) string {
	switch field {
	case "1-5", "MON-FRI":
		return "Monday to Friday"
	case "0,6", "6,0", "6,7", "SAT,SUN", "SUN,SAT":
		return "Saturdays and Sundays"
	}
	if n, err := strconv.Atoi(field); err == nil {
		return time.Weekday(n%7).String() + "s"
	}
	return "on days of the week " + field
}
