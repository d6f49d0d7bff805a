package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Cron writes the schedule as a 5-field cron expression. Problem is empty, or says why five fields can't hold it; then the
// expression is the nearest that they can. Assumed says what the words left open and was filled in.
func (s *Schedule) Cron() (expr, problem, assumed string) {
	if s.Odd != "" {
		return s.offer(), s.Odd, ""
	}
	minute, hour, dom, month, dow := "0", "", "*", list(s.Months), list(s.Days)
	if s.Minute >= 0 {
		minute = strconv.Itoa(s.Minute)
	}
	if len(s.Dates) > 0 {
		dom = list(s.Dates)
		if dow != "*" {
			return fmt.Sprintf("0 9 %s %s *", dom, month), "cron joins a day of the month and a day of the week with or, not and", ""
		}
	}
	window := "*"
	if s.From != nil && s.To != nil {
		window = fmt.Sprintf("%d-%d", s.From.Hour, s.To.Hour)
		if s.From.Hour > s.To.Hour {
			window = fmt.Sprintf("%d-23,0-%d", s.From.Hour, s.To.Hour)
		}
	}
	switch {
	case s.Minutes > 0 && s.Minutes < 60:
		if 60%s.Minutes != 0 {
			return fmt.Sprintf("*/%d * * * *", nearestDivisor(60, s.Minutes)), fmt.Sprintf("%d minutes do not divide an hour, so a 5-field cron expression can't repeat evenly every %d minutes", s.Minutes, s.Minutes), ""
		}
		minute, hour = "*", window
		if s.Minutes > 1 {
			minute = "*/" + strconv.Itoa(s.Minutes)
		}
	case s.Minutes > 0 && s.Minutes%60 != 0:
		hours := max(1, (s.Minutes+30)/60)
		return fmt.Sprintf("0 */%d * * *", nearestDivisor(24, hours)), fmt.Sprintf("every %d minutes is not a schedule that 5-field cron can express", s.Minutes), ""
	case s.Minutes >= 60:
		n := s.Minutes / 60
		switch {
		case n == 1:
			hour = window
		case n == 24:
			hour = ""
		case n > 24 || 24%n != 0:
			return fmt.Sprintf("0 */%d * * *", nearestDivisor(24, min(n, 24))), fmt.Sprintf("%d hours do not divide a day, so a 5-field cron expression can't repeat evenly every %d hours", n, n), ""
		case window != "*":
			hour = window + "/" + strconv.Itoa(n)
		default:
			hour = "*/" + strconv.Itoa(n)
		}
		if len(s.Times) > 0 && n != 24 { // every 2 hours, starting at 8:30: the minute counts
			minute = strconv.Itoa(s.Times[0].Minute)
		}
	case s.PerHour > 0:
		if 60%s.PerHour != 0 {
			return "*/15 * * * *", fmt.Sprintf("%d times an hour does not divide an hour evenly", s.PerHour), ""
		}
		hour = window
		if s.PerHour > 1 {
			minute = "*/" + strconv.Itoa(60/s.PerHour)
		}
	case s.PerDay > 1 && len(s.Times) != s.PerDay:
		hour = map[int]string{2: "9,21", 3: "8,14,20", 4: "0,6,12,18"}[s.PerDay]
		if hour == "" {
			if s.PerDay > 24 || 24%s.PerDay != 0 {
				return "0 */6 * * *", fmt.Sprintf("%d times a day does not divide a day into full hours", s.PerDay), ""
			}
			hour = "*/" + strconv.Itoa(24/s.PerDay)
		}
		assumed = "the hours were left open"
	}
	if hour == "" {
		times := s.Times
		if len(times) == 0 {
			h := 9
			switch {
			case s.dayPart != "":
				h = dayParts[s.dayPart]
			case s.unit == "night":
				h = 2
			}
			times, assumed = []Clock{{h, 0, true}}, "the time of day was left open"
		}
		hs, ms := []int{}, []int{}
		for _, t := range times {
			hs, ms = append(hs, t.Hour), append(ms, t.Minute)
		}
		slices.Sort(hs)
		slices.Sort(ms)
		hs, ms = slices.Compact(hs), slices.Compact(ms)
		if len(ms) > 1 && len(hs)*len(ms) != len(times) {
			return fmt.Sprintf("%d %s %s %s %s", ms[0], list(hs), dom, month, dow), "times with different minutes need an automation each, because one cron expression combines every minute with every hour", ""
		}
		minute, hour = list(ms), list(hs)
	}
	if dom == "*" && dow == "*" {
		switch s.unit {
		case "week":
			dow, assumed = "1", "the day was left open"
		case "month":
			dom, assumed = "1", "the day was left open"
		case "quarter":
			dom, month, assumed = "1", "1,4,7,10", "the day was left open"
		case "year":
			dom, assumed = "1", "the day was left open"
			if month == "*" {
				month = "1"
			}
		}
	}
	return strings.Join([]string{minute, hour, dom, month, dow}, " "), "", assumed
}

// offer is the nearest schedule, with the time of day that was said.
func (s *Schedule) offer() string {
	fields := strings.Fields(s.Offer)
	if len(s.Times) > 0 && len(fields) == 5 && fields[0] == "0" {
		fields[0], fields[1] = strconv.Itoa(s.Times[0].Minute), strconv.Itoa(s.Times[0].Hour)
	}
	return strings.Join(fields, " ")
}

// list writes numbers as a cron field, runs of three or more as ranges.
func list(ns []int) string {
	if len(ns) == 0 {
		return "*"
	}
	var out []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		if j-i >= 2 {
			out = append(out, fmt.Sprintf("%d-%d", ns[i], ns[j]))
		} else {
			for k := i; k <= j; k++ {
				out = append(out, strconv.Itoa(ns[k]))
			}
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}

func nearestDivisor(whole, n int) int {
	best := 1
	for d := 1; d <= whole; d++ {
		if whole%d == 0 && abs(d-n) < abs(best-n) {
			best = d
		}
	}
	return best
}

// Retime puts a time of day into an existing 5-field expression, leaving the days alone; ok is false when it isn't one.
func Retime(expr string, c Clock) (string, bool) {
	f := strings.Fields(expr)
	if len(f) != 5 {
		return "", false
	}
	f[0], f[1] = strconv.Itoa(c.Minute), strconv.Itoa(c.Hour)
	return strings.Join(f, " "), true
}

var dayNames = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// Describe says a 5-field expression in words where the words are plain, and quotes it where they are not.
func Describe(expr, zone string) string {
	f := strings.Fields(expr)
	if len(f) != 5 {
		return "`" + expr + "`"
	}
	when, days := "", dayWords(f[2], f[3], f[4])
	m, errM := strconv.Atoi(f[0])
	switch {
	case f[0] == "*" && f[1] == "*":
		when = "every minute"
	case strings.HasPrefix(f[0], "*/") && f[1] == "*":
		when = "every " + f[0][2:] + " minutes"
	case errM == nil && f[1] == "*":
		when = "every hour"
		if m > 0 {
			when = fmt.Sprintf("every hour at minute %d", m)
		}
	case errM == nil && strings.HasPrefix(f[1], "*/"):
		when = "every " + f[1][2:] + " hours"
		if m > 0 {
			when += fmt.Sprintf(" at minute %d", m)
		}
	case errM == nil && strings.Trim(f[1], "0123456789,") == "":
		var at []string
		for _, h := range strings.Split(f[1], ",") {
			n, _ := strconv.Atoi(h)
			at = append(at, fmt.Sprintf("%02d:%02d", n, m))
		}
		when = "at " + And(at)
		if days == "" {
			days = "every day"
		}
	default:
		return "`" + expr + "`" + inZone(zone)
	}
	if days == "?" {
		return "`" + expr + "`" + inZone(zone)
	}
	if days != "" {
		when = days + " " + when
	}
	return when + inZone(zone)
}

func inZone(zone string) string {
	if zone == "" {
		return ""
	}
	return " (" + zone + ")"
}

func dayWords(dom, month, dow string) string {
	switch {
	case dom == "*" && month == "*" && dow == "*":
		return ""
	case dom == "*" && month == "*" && dow == "1-5":
		return "every weekday"
	case dom == "*" && month == "*" && (dow == "0,6" || dow == "6,0"):
		return "on Saturdays and Sundays"
	case dom == "*" && month == "*" && strings.Trim(dow, "01234567,") == "":
		var names []string
		for _, d := range strings.Split(dow, ",") {
			n, err := strconv.Atoi(d)
			if err != nil || n > 7 {
				return "?"
			}
			names = append(names, dayNames[n]+"s")
		}
		return "on " + And(names)
	case month == "*" && dow == "*" && strings.Trim(dom, "0123456789,") == "":
		return "on day " + And(strings.Split(dom, ",")) + " of each month"
	}
	return "?"
}

// And joins words as English does: a, b and c.
func And(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
