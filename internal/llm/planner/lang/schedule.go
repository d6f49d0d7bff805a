package lang

import (
	"fmt"
	"slices"
	"strings"
)

// Schedule is what a sentence says about when something should happen again and again.
type Schedule struct {
	// Recurs is set when the words mean repetition; without it there is only a time of day, a zone, or both.
	Recurs bool
	// Strong is set when the repetition is said outright ("every Friday", "daily") rather than by a bare day ("on Friday").
	Strong bool
	Times  []Clock
	// Zone is an IANA name, BadZone a name that was meant as a zone and is none.
	Zone, BadZone string
	// Minutes is the length of an interval in minutes: every 15 minutes, every 2 hours.
	Minutes int
	PerDay  int // so many times a day
	PerHour int
	Days    []int // days of the week, 0 is Sunday
	Dates   []int // days of the month
	Months  []int // 1 to 12
	From    *Clock
	To      *Clock
	// Once names a single moment ("tomorrow", "in ten minutes"), which is no recurring schedule.
	Once string
	// Odd says why five cron fields can't say it; Offer is then the nearest that they can.
	Odd, Offer string
	Minute     int // the minute within each hour, -1 when not said
	Assumed    string
	used       []bool
	dayPart    string
	unit       string
}

// Used tells whether token i is part of the schedule's words.
func (s *Schedule) Used(i int) bool { return i >= 0 && i < len(s.used) && s.used[i] }

// First is the index of the first token of the schedule, -1 when it has none.
func (s *Schedule) First() int { return slices.Index(s.used, true) }

// Said tells whether there is anything about time at all.
func (s *Schedule) Said() bool {
	return s.Recurs || len(s.Times) > 0 || s.Zone != "" || s.BadZone != "" || s.Once != ""
}

var weekdays = map[string]int{
	"sunday": 0, "monday": 1, "tuesday": 2, "wednesday": 3, "thursday": 4, "friday": 5, "saturday": 6,
	"sun": 0, "mon": 1, "tue": 2, "tues": 2, "wed": 3, "weds": 3, "thu": 4, "thur": 4, "thurs": 4, "fri": 5, "sat": 6,
}

var months = map[string]int{
	"january": 1, "february": 2, "march": 3, "april": 4, "may": 5, "june": 6, "july": 7, "august": 8, "september": 9,
	"october": 10, "november": 11, "december": 12, "jan": 1, "feb": 2, "apr": 4, "jun": 6, "jul": 7, "aug": 8, "sep": 9,
	"sept": 9, "oct": 10, "nov": 11, "dec": 12,
}

// FindSchedule reads all that a run of tokens says about time. It never fails: a Schedule that says nothing is empty.
func FindSchedule(toks []Token) *Schedule {
	s := &Schedule{Minute: -1, used: make([]bool, len(toks))}
	for i := 0; i < len(toks); {
		n := s.recurrence(toks, i)
		if n == 0 {
			n = s.moment(toks, i)
		}
		if n == 0 {
			i++
			continue
		}
		s.take(i, n)
		i += n
	}
	s.clocks(toks)
	s.zone(toks)
	s.tidy(toks)
	return s
}

func (s *Schedule) take(i, n int) {
	for k := i; k < i+n && k < len(s.used); k++ {
		s.used[k] = true
	}
}

func low(toks []Token, i int) string {
	if i >= 0 && i < len(toks) && (toks[i].Wordy() || toks[i].Kind == Punct) {
		return toks[i].Low
	}
	return ""
}

// recurrence reads words of repetition at toks[i] and answers how many tokens they are.
func (s *Schedule) recurrence(toks []Token, i int) int {
	switch w := low(toks, i); w {
	case "every", "each":
		if n := s.every(toks, i+1); n > 0 {
			s.Recurs, s.Strong = true, true
			return n + 1
		}
	case "on", "the", "per", "during", "from", "between", "in", "around", "at", "by":
		return s.prepositional(toks, i)
	case "hourly", "daily", "nightly", "weekly", "monthly", "quarterly", "yearly", "annually", "fortnightly", "biweekly":
		if toks[i].Kind == Word && (i == 0 || !toks[i-1].Is("the", "called", "named", "a", "my", "delete", "remove")) || w == "hourly" && i == 0 {
			s.Recurs, s.Strong = true, true
			s.every1(map[string]string{"hourly": "hour", "daily": "day", "nightly": "night", "weekly": "week", "monthly": "month",
				"quarterly": "quarter", "yearly": "year", "annually": "year", "fortnightly": "fortnight", "biweekly": "fortnight"}[w])
			return 1
		}
	default:
		if d, n := dayList(toks, i, true); n > 0 {
			s.Recurs = true
			s.Days = append(s.Days, d...)
			return n
		}
		if k, n := Times(toks, i); n > 0 {
			return s.timesPer(toks, i, k, n)
		}
	}
	return 0
}

// timesPer reads "a day", "per hour", "daily" behind so many times.
func (s *Schedule) timesPer(toks []Token, i, k, n int) int {
	j := i + n
	unit := low(toks, j)
	if slices.Contains([]string{"a", "an", "per", "each", "every"}, unit) {
		if m := s.onceEvery(toks, j, k); m > 0 {
			return n + m
		}
		j++
		unit = low(toks, j)
	}
	switch unit {
	case "day", "daily":
		s.PerDay = k
	case "hour", "hourly":
		s.PerHour = k
	case "week", "weekly":
		if k != 1 {
			s.Odd, s.Offer = fmt.Sprintf("%d times a week leaves open on which days", k), "0 9 * * 1,4"
		} else {
			s.unit = "week"
		}
	case "month", "monthly":
		if k != 1 {
			s.Odd, s.Offer = fmt.Sprintf("%d times a month leaves open on which days", k), "0 9 1,15 * *"
		} else {
			s.unit = "month"
		}
	case "year":
		s.unit = "year"
	default:
		return 0
	}
	s.Recurs, s.Strong = true, true
	return j - i + 1
}

// onceEvery reads "once every 3 hours".
func (s *Schedule) onceEvery(toks []Token, j, k int) int {
	if k != 1 || low(toks, j) != "every" && low(toks, j) != "each" {
		return 0
	}
	if n := s.every(toks, j+1); n > 0 {
		s.Recurs, s.Strong = true, true
		return n + 1
	}
	return 0
}

// every reads what follows "every": a count and a unit, days, parts of the day, ordinals of the month.
func (s *Schedule) every(toks []Token, i int) int {
	w := low(toks, i)
	if w == "single" {
		if n := s.every(toks, i+1); n > 0 {
			return n + 1
		}
		return 0
	}
	if w == "other" || Ordinal(tokenAt(toks, i)) == 2 && Singular(low(toks, i+1)) != "second" && isUnit(low(toks, i+1)) {
		unit := Singular(low(toks, i+1))
		if d, ok := weekdays[unit]; ok {
			s.Days = append(s.Days, d)
			s.Odd, s.Offer = "every other "+unit+" can't be told from every "+unit, "0 9 * * "+fmt.Sprint(d)
			return 2
		}
		if isUnit(unit) {
			s.step(2, unit)
			return 2
		}
		return 0
	}
	if w == "half" && (low(toks, i+1) == "hour" || low(toks, i+1) == "an" && low(toks, i+2) == "hour") {
		s.Minutes = 30
		return 2 + b2i(low(toks, i+1) == "an")
	}
	if w == "quarter" && low(toks, i+1) == "hour" {
		s.Minutes = 15
		return 2
	}
	if w == "quarter" && low(toks, i+1) == "of" && low(toks, i+2) == "an" && low(toks, i+3) == "hour" {
		s.Minutes = 15
		return 4
	}
	if n, k := Int(toks, i); k > 0 && n > 0 {
		unit := Singular(low(toks, i+k))
		if unit == "minute" && low(toks, i+k+1) == "past" {
			return 0
		}
		if isUnit(unit) {
			s.step(n, unit)
			return k + 1
		}
	}
	if compact := low(toks, i); strings.TrimLeft(compact, "0123456789") != compact { // 15min, 2h
		digits := compact[:len(compact)-len(strings.TrimLeft(compact, "0123456789"))]
		unit := map[string]string{"m": "minute", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "d": "day"}[compact[len(digits):]]
		if unit != "" && len(digits) < 5 {
			n := 0
			_, _ = fmt.Sscan(digits, &n)
			s.step(n, unit)
			return 1
		}
	}
	if ord := Ordinal(tokenAt(toks, i)); ord != 0 {
		return s.ordinalDay(toks, i, ord)
	}
	if d, n := dayList(toks, i, false); n > 0 {
		s.Days = append(s.Days, d...)
		return n
	}
	if m := months[w]; m > 0 {
		s.Months = append(s.Months, m)
		return 1
	}
	if isUnit(w) {
		s.every1(w)
		return 1
	}
	return 0
}

func tokenAt(toks []Token, i int) Token {
	if i < len(toks) {
		return toks[i]
	}
	return Token{Kind: Punct}
}

func isUnit(w string) bool {
	switch Singular(w) {
	case "minute", "hour", "day", "week", "month", "quarter", "year", "weekend", "weekday", "workday", "morning", "evening", "night",
		"afternoon", "noon", "midnight", "fortnight", "second":
		return true
	}
	return false
}

// step is "every n units".
func (s *Schedule) step(n int, unit string) {
	switch {
	case n == 1:
		s.every1(unit)
	case unit == "second":
		s.Odd, s.Offer = "a schedule can't fire more often than once a minute", "* * * * *"
	case unit == "minute":
		s.Minutes = n
	case unit == "hour":
		s.Minutes = n * 60
	case unit == "day" && n == 7:
		s.unit = "week"
	case unit == "day":
		s.Odd, s.Offer = fmt.Sprintf("every %d days does not fit into months", n), fmt.Sprintf("0 9 */%d * *", n)
	case unit == "week":
		s.Odd, s.Offer = fmt.Sprintf("every %d weeks can't be told from every week", n), "0 9 * * 1"
	case unit == "month" && n < 12 && 12%n == 0:
		s.unit = "month"
		for m := 1; m <= 12; m += n {
			s.Months = append(s.Months, m)
		}
	default:
		s.Odd, s.Offer = fmt.Sprintf("every %d %ss", n, unit), "0 9 1 * *"
	}
}

// every1 is "every unit".
func (s *Schedule) every1(unit string) {
	switch unit = Singular(unit); unit {
	case "second":
		s.Odd, s.Offer = "a schedule can't fire more often than once a minute", "* * * * *"
	case "minute":
		s.Minutes = 1
	case "hour":
		s.Minutes = 60
	case "weekday", "workday":
		s.Days = append(s.Days, 1, 2, 3, 4, 5)
	case "weekend":
		s.Days = append(s.Days, 6, 0)
	case "morning", "evening", "afternoon", "night":
		s.dayPart = unit
	case "noon":
		s.Times = append(s.Times, Clock{12, 0, true})
	case "midnight":
		s.Times = append(s.Times, Clock{0, 0, true})
	case "fortnight":
		s.Odd, s.Offer = "every two weeks can't be told from every week", "0 9 * * 1"
	default:
		s.unit = unit
	}
}
