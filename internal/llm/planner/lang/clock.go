package lang

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Clock is a time of day.
type Clock struct {
	Hour, Minute int
	// Exact is false when the hour could be of the morning or of the evening: "at 9" against "at 9 am" or "21:00".
	Exact bool
}

func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

var (
	digital  = regexp.MustCompile(`^(\d{1,2})[:.h](\d{2})(am|pm|a\.m|p\.m|h)?$`)
	meridian = regexp.MustCompile(`^(\d{1,2})(am|pm|a\.m|p\.m)$`)
	hours    = regexp.MustCompile(`^(\d{1,2})h$`)
	military = regexp.MustCompile(`^([01]\d|2[0-3])([0-5]\d)(h|hrs)?$`)
)

// dayParts maps words for parts of the day to an hour that stands for them.
var dayParts = map[string]int{"morning": 8, "afternoon": 15, "evening": 19, "night": 22, "mornings": 8, "afternoons": 15, "evenings": 19, "nights": 22}

// clock reads a time of day at toks[i]. A bare number counts only with loose set, which the caller does behind "at".
func clock(toks []Token, i int, loose bool) (c Clock, used int) {
	if i >= len(toks) || !toks[i].Wordy() {
		return c, 0
	}
	at := func(k int) string {
		if k < len(toks) && (toks[k].Wordy() || toks[k].Kind == Punct) {
			return toks[k].Low
		}
		return ""
	}
	low := toks[i].Low
	switch low {
	case "noon", "midday":
		return Clock{12, 0, true}, 1
	case "midnight":
		return Clock{0, 0, true}, 1
	case "half":
		k := i + 1
		if at(k) == "past" {
			k++
		}
		if h, n := Int(toks, k); n > 0 && h >= 0 && h < 24 && at(k) != "a" && at(k) != "an" {
			return dayPart(toks, k+n, Clock{h, 30, h > 12 || h == 0}, k+n-i)
		}
		return c, 0
	case "a":
		if at(i+1) == "quarter" {
			if c, n := clock(toks, i+1, loose); n > 0 {
				return c, n + 1
			}
		}
		return c, 0
	case "quarter":
		return pastTo(toks, i, i+1, 15)
	}
	if m := digital.FindStringSubmatch(low); m != nil {
		h, _ := strconv.Atoi(m[1])
		minute, _ := strconv.Atoi(m[2])
		if h > 24 || minute > 59 || strings.Contains(low, ".") && m[3] == "" && !loose {
			return c, 0
		}
		if m[3] != "" && m[3] != "h" {
			return meridiem(Clock{h, minute, true}, m[3], 1)
		}
		return dayPart(toks, i+1, Clock{h % 24, minute, h > 12 || len(m[1]) == 2 && m[1][0] == '0' || h == 0}, 1)
	}
	if m := meridian.FindStringSubmatch(low); m != nil {
		h, _ := strconv.Atoi(m[1])
		return meridiem(Clock{h, 0, true}, m[2], 1)
	}
	if m := hours.FindStringSubmatch(low); m != nil {
		h, _ := strconv.Atoi(m[1])
		return Clock{h % 24, 0, true}, b2i(h <= 24)
	}
	if m := military.FindStringSubmatch(low); m != nil && (loose || m[3] != "") {
		h, _ := strconv.Atoi(m[1])
		minute, _ := strconv.Atoi(m[2])
		return Clock{h, minute, true}, 1
	}
	h, n := Int(toks, i)
	if n == 0 || h < 0 || toks[i].Is("a", "couple", "pair", "few") {
		return c, 0
	}
	next := at(i + n)
	switch {
	case next == "am" || next == "pm" || next == "a.m" || next == "p.m":
		if h > 12 {
			return c, 0
		}
		return meridiem(Clock{h, 0, true}, next, n+1)
	case next == "o'clock" || next == "oclock":
		if h > 24 {
			return c, 0
		}
		return dayPart(toks, i+n+1, Clock{h % 24, 0, h > 12}, n+1)
	case next == "past" || next == "to" || (next == "minutes" && (at(i+n+1) == "past" || at(i+n+1) == "to")):
		k := i + n
		if next == "minutes" {
			k++
		}
		if h < 60 {
			if c, m := pastTo(toks, i, k, h); m > 0 {
				return c, m
			}
		}
	}
	if h > 24 {
		return c, 0
	}
	if d, m := dayPart(toks, i+n, Clock{h % 24, 0, h > 12 || h == 0}, n); loose || m > n {
		return d, m
	}
	return c, 0
}

// pastTo reads "past seven" or "to seven" at toks[k], for so many minutes.
func pastTo(toks []Token, i, k, minutes int) (Clock, int) {
	if k >= len(toks) || !toks[k].Is("past", "to", "after", "before") {
		return Clock{}, 0
	}
	c, n := clock(toks, k+1, true)
	if n == 0 || c.Minute != 0 {
		return Clock{}, 0
	}
	c.Minute = minutes
	if toks[k].Is("to", "before") {
		c.Minute, c.Hour = 60-minutes, (c.Hour+23)%24
	}
	return c, k + 1 + n - i
}

func meridiem(c Clock, half string, used int) (Clock, int) {
	if c.Hour > 12 || c.Hour == 0 && half[0] == 'p' {
		return c, b2i(c.Hour < 24) * used
	}
	c.Hour %= 12
	if half[0] == 'p' {
		c.Hour += 12
	}
	return c, used
}

// dayPart reads "in the evening", "at night", "this morning" behind a time and turns the clock accordingly.
func dayPart(toks []Token, k int, c Clock, used int) (Clock, int) {
	at := func(k int) string {
		if k < len(toks) && toks[k].Wordy() {
			return toks[k].Low
		}
		return ""
	}
	part, n := "", 0
	switch {
	case at(k) == "in" && at(k+1) == "the" && dayParts[at(k+2)] > 0:
		part, n = at(k+2), 3
	case at(k) == "at" && at(k+1) == "night":
		part, n = "night", 2
	case at(k) == "tonight":
		part, n = "night", 1
	default:
		return c, used
	}
	return turnClock(c, part), used + n
}

// turnClock moves a clock into a part of the day.
func turnClock(c Clock, part string) Clock {
	if c.Exact && c.Hour > 12 {
		return c
	}
	switch strings.TrimSuffix(part, "s") {
	case "morning":
		c.Hour %= 12
		if c.Hour == 0 {
			c.Hour = 0
		}
	case "afternoon", "evening":
		if c.Hour < 12 {
			c.Hour += 12
		}
	case "night":
		if c.Hour == 12 {
			c.Hour = 0
		} else if c.Hour >= 6 && c.Hour < 12 {
			c.Hour += 12
		}
	}
	c.Exact = true
	return c
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
