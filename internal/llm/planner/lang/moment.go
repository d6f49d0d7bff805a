package lang

import (
	"slices"
	"strings"
)

// dayList reads days of the week at toks[i]: "Monday, Wed and Friday", "Monday to Friday", "weekdays", "Saturdays & Sundays".
// With plural set a single day counts only in the plural, which means repetition.
func dayList(toks []Token, i int, plural bool) (days []int, used int) {
	day := func(k int) (d int, many, ok bool) {
		w := low(toks, k)
		if d, ok = weekdays[w]; ok && w != "sun" && w != "sat" && w != "mon" && w != "wed" || ok && tokenAt(toks, k).Kind == Word && w == strings.ToLower(tokenAt(toks, k).Text) && tokenAt(toks, k).Text != w {
			return d, false, true
		}
		if ok {
			return d, false, len(days) > 0 || !plural
		}
		d, ok = weekdays[strings.TrimSuffix(w, "s")]
		return d, ok, ok && len(w) > 4
	}
	group := func(k int) []int {
		switch w := low(toks, k); {
		case w == "weekdays" || w == "workdays" || !plural && (w == "weekday" || w == "workday"):
			return []int{1, 2, 3, 4, 5}
		case w == "weekends" || !plural && w == "weekend":
			return []int{6, 0}
		case (w == "business" || w == "working" || w == "work" || w == "week") && Singular(low(toks, k+1)) == "day":
			return []int{1, 2, 3, 4, 5}
		}
		return nil
	}
	if g := group(i); g != nil {
		return g, 1 + b2i(Singular(low(toks, i+1)) == "day" && !strings.HasPrefix(low(toks, i), "week"))
	}
	if a, b, found := strings.Cut(low(toks, i), "-"); found {
		from, ok := weekdays[a]
		to, ok2 := weekdays[b]
		if ok && ok2 {
			return span(from, to), 1
		}
	}
	k, many := i, false
	for {
		d, s, ok := day(k)
		if !ok {
			break
		}
		many = many || s
		k++
		if slices.Contains([]string{"to", "through", "until", "-"}, low(toks, k)) {
			if e, s, ok := day(k + 1); ok {
				many = true
				_ = s
				days = append(days, span(d, e)...)
				k += 2
				goto next
			}
		}
		days = append(days, d)
	next:
		used = k - i
		j := k
		for slices.Contains([]string{",", "and", "or", "on"}, low(toks, j)) && j < k+3 {
			j++
		}
		if _, _, ok := day(j); !ok || j == k {
			break
		}
		k = j
	}
	if plural && !many && len(days) < 2 {
		return nil, 0
	}
	return days, used
}

// span is the days from one to another, round the week if need be.
func span(from, to int) []int {
	out := []int{from}
	for d := from; d != to; {
		d = (d + 1) % 7
		out = append(out, d)
	}
	return out
}

// prepositional reads what a preposition starts: "on the 1st of each month", "on weekdays", "per day", "between 8 and 18",
// "on the hour", "in January".
func (s *Schedule) prepositional(toks []Token, i int) int {
	w := low(toks, i)
	switch w {
	case "per":
		if isUnit(low(toks, i+1)) {
			s.every1(low(toks, i+1))
			s.Recurs, s.Strong = true, true
			return 2
		}
	case "on", "the", "in", "at":
		k := i
		for k < i+3 && slices.Contains([]string{"on", "the", "in", "at"}, low(toks, k)) {
			k++
		}
		if low(toks, k) == "hour" && low(toks, k-1) == "the" && w == "on" {
			s.Minutes, s.Recurs, s.Strong = 60, true, true
			return k + 1 - i
		}
		if w == "on" {
			if d, n := dayList(toks, k, false); n > 0 {
				s.Days = append(s.Days, d...)
				_, m := dayList(toks, k, true)
				s.Recurs, s.Strong = true, m > 0
				return k + n - i
			}
		}
		if w == "in" && months[low(toks, k)] > 0 && low(toks, k) != "may" {
			s.Months = append(s.Months, months[low(toks, k)])
			return k + 1 - i
		}
		if low(toks, k-1) == "the" || w == "on" {
			if ord := Ordinal(tokenAt(toks, k)); ord != 0 {
				if n := s.ordinalDay(toks, k, ord); n > 0 {
					s.Recurs, s.Strong = true, true
					return k + n - i
				}
			}
		}
	case "between", "from", "during":
		if w == "during" && (low(toks, i+1) == "business" || low(toks, i+1) == "office" || low(toks, i+1) == "working") && low(toks, i+2) == "hours" {
			s.From, s.To = &Clock{9, 0, true}, &Clock{17, 0, true}
			s.Days = append(s.Days, 1, 2, 3, 4, 5)
			return 3
		}
		a, n := clock(toks, i+1, true)
		if n == 0 {
			return 0
		}
		link := low(toks, i+1+n)
		if link != "and" && link != "to" && link != "until" && link != "-" {
			return 0
		}
		b, m := clock(toks, i+2+n, true)
		if m == 0 {
			return 0
		}
		if !b.Exact && b.Hour <= a.Hour && b.Hour < 12 {
			b.Hour += 12
		}
		s.From, s.To = &a, &b
		return 2 + n + m
	}
	return 0
}

// ordinalDay reads "1st of every month", "first and 15th of the month", "first Monday of each month", "last day of the month".
func (s *Schedule) ordinalDay(toks []Token, i, ord int) int {
	k := i + 1
	dates := []int{ord}
	for slices.Contains([]string{",", "and", "the"}, low(toks, k)) {
		j := k
		for slices.Contains([]string{",", "and", "the"}, low(toks, j)) {
			j++
		}
		o := Ordinal(tokenAt(toks, j))
		if o == 0 {
			break
		}
		dates, k = append(dates, o), j+1
	}
	weekday, named := weekdays[Singular(low(toks, k))]
	if named {
		k++
	} else if Singular(low(toks, k)) == "day" {
		k++
	}
	end := k
	month := false
	for slices.Contains([]string{"of", "in", "every", "each", "the", "a", "any"}, low(toks, end)) {
		end++
	}
	if Singular(low(toks, end)) == "month" && end > k {
		month = true
		end++
	} else if m := months[low(toks, end)]; m > 0 && end > k {
		s.Months = append(s.Months, m)
		month = true
		end++
	}
	if !month {
		end = k
		if named || i == 0 || !slices.Contains([]string{"every", "each", "the", "on"}, low(toks, i-1)) {
			return 0
		}
		if low(toks, i-1) != "every" && low(toks, i-1) != "each" && (!strings.ContainsAny(low(toks, i), "0123456789") || !onDate(toks, i)) {
			return 0
		}
	}
	s.unit = "month"
	switch {
	case named && ord > 0:
		s.Odd = "cron can't say the first (or nth) weekday of a month: a day of the month and a day of the week are joined with or"
		s.Offer = "0 9 * * " + string(rune('0'+weekday))
		s.Days = append(s.Days, weekday)
	case ord < 0:
		s.Odd, s.Offer = "the last day of a month has no fixed date, so cron can't say it", "0 9 28 * *"
	default:
		for _, d := range dates {
			if d < 1 || d > 31 {
				s.Odd, s.Offer = "a month has no such day", "0 9 1 * *"
			}
		}
		s.Dates = append(s.Dates, dates...)
	}
	return end - i
}

// onDate tells whether a date stands behind "on the", as in "on the 15th".
func onDate(toks []Token, i int) bool {
	return low(toks, i-1) == "on" || low(toks, i-1) == "the" && low(toks, i-2) == "on"
}

// moment reads words for a single moment: "tomorrow", "in ten minutes", "next Tuesday", "tonight".
func (s *Schedule) moment(toks []Token, i int) int {
	switch low(toks, i) {
	case "tomorrow", "tonight":
		s.Once = low(toks, i)
		return 1
	case "next":
		if _, ok := weekdays[low(toks, i+1)]; ok || isUnit(low(toks, i+1)) && low(toks, i+1) != "hour" {
			s.Once = "next " + low(toks, i+1)
			return 2
		}
	case "in":
		if n, k := Int(toks, i+1); k > 0 && n > 0 {
			if unit := low(toks, i+1+k); isUnit(unit) && unit != "noon" && unit != "second" {
				s.Once = "in " + low(toks, i+1) + " " + unit
				return k + 2
			}
		}
	case "this":
		if p := low(toks, i+1); p == "evening" || p == "afternoon" || p == "night" {
			s.Once = "this " + p
			return 2
		}
	}
	return 0
}

// clocks finds the times of day: behind "at", "for", "by", or plain when they can't be anything else.
func (s *Schedule) clocks(toks []Token) {
	for i := 0; i < len(toks); i++ {
		if s.used[i] {
			continue
		}
		lead, k := false, i
		if slices.Contains([]string{"at", "around", "by", "for", "from"}, low(toks, i)) {
			lead, k = true, i+1
			if low(toks, k) == "about" || low(toks, k) == "around" || low(toks, k) == "exactly" {
				k++
			}
		} else if s.Recurs && i > 0 && s.used[i-1] && (low(toks, i) == "," || low(toks, i) == ":") {
			continue
		}
		if k >= len(toks) || s.used[k] {
			continue
		}
		if low(toks, k) == "minute" && lead { // at minute 15
			if n, m := Int(toks, k+1); m > 0 && n >= 0 && n < 60 {
				s.Minute = n
				s.take(i, k+1+m-i)
			}
			continue
		}
		if n, m := Int(toks, k); m > 0 && n > 0 && n < 60 && s.hourly() { // 10 past each hour
			j := k + m + b2i(low(toks, k+m) == "minutes")
			if low(toks, j) == "past" && (j+1 >= len(toks) || s.used[j+1] || low(toks, j+1) == "the") {
				s.Minute = n
				s.take(i, j+1-i)
				if low(toks, j+1) == "the" {
					s.take(j+1, 2)
				}
				continue
			}
		}
		if s.hourly() && (low(toks, k) == "half" || low(toks, k) == "quarter") && low(toks, k+1) == "past" {
			if c, n := clock(toks, k, false); n < 3 || c.Hour < 0 {
				s.Minute = map[string]int{"half": 30, "quarter": 15}[low(toks, k)]
				s.take(i, k+2-i)
				continue
			}
		}
		loose := lead && low(toks, i) == "at" || lead && s.Recurs && low(toks, i) != "for" && low(toks, i) != "from"
		c, n := clock(toks, k, loose)
		if n == 0 || sized(toks, k+n) && !lead {
			continue
		}
		s.Times = append(s.Times, c)
		s.take(i, k+n-i)
		s.more(toks, k+n)
		i = k + n - 1
	}
}

func (s *Schedule) hourly() bool { return s.Minutes == 60 || s.PerHour == 1 }

// sized tells whether the word at k makes the number before it an amount rather than a time.
func sized(toks []Token, k int) bool {
	return sizeUnits[Singular(low(toks, k))] > 0 || isUnit(low(toks, k))
}

// more takes further times of a list: "at 9, 13 and 17".
func (s *Schedule) more(toks []Token, k int) {
	for {
		j := k
		for j < k+3 && slices.Contains([]string{",", "and", "at", "again"}, low(toks, j)) {
			j++
		}
		if j == k || j >= len(toks) || s.used[j] {
			return
		}
		c, n := clock(toks, j, toks[j].Kind == Number || low(toks, j-1) == "at")
		if n == 0 || isUnit(low(toks, j+n)) || sized(toks, j+n) || Singular(low(toks, j+n)) != low(toks, j+n) {
			return
		}
		s.Times = append(s.Times, c)
		s.take(k, j+n-k)
		k = j + n
	}
}

// zone finds a time zone: an IANA name, an offset, an abbreviation, "London time", or "in New York" beside a schedule.
func (s *Schedule) zone(toks []Token) {
	timed := s.Recurs || len(s.Times) > 0
	for i := 0; i < len(toks) && s.Zone == ""; i++ {
		t := toks[i]
		if s.used[i] || !t.Wordy() && t.Kind != Path {
			continue
		}
		if t.Kind == Path || strings.ContainsAny(t.Text, "+-") {
			z := OffsetZone(t.Text)
			if t.Kind == Path && strings.Count(t.Text, "/") <= 2 && !strings.ContainsAny(t.Text, ".$~") && t.Text[0] != '/' {
				z = Zone(t.Text)
			}
			if z != "" {
				s.setZone(toks, i, 1, z)
			}
			continue
		}
		if (t.Is("utc") || t.Is("gmt")) && i+1 < len(toks) {
			if z := OffsetZone(t.Low + toks[i+1].Low); z != "" && (toks[i+1].Kind == Number || toks[i+1].Is("-")) && strings.ContainsAny(toks[i+1].Text, "+-") {
				s.setZone(toks, i, 2, z)
				continue
			}
		}
		if t.Is("utc", "gmt", "cet", "cest", "est", "edt", "pst", "pdt", "jst", "bst", "ist", "aest", "cst", "cdt", "mst", "mdt", "eet", "msk") && (timed || t.Is("utc", "gmt")) {
			n := 1 + b2i(low(toks, i+1) == "time")
			s.setZone(toks, i, n, Zone(t.Low))
			continue
		}
		for n := 3; n >= 1; n-- { // the longest name wins: "new york time", "in new york"
			if i+n > len(toks) || s.anyUsed(i, n) {
				continue
			}
			behind := i > 0 && low(toks, i-1) == "in"
			suffix := 0
			if low(toks, i+n) == "time" || low(toks, i+n) == "timezone" {
				suffix = 1
			} else if low(toks, i+n) == "standard" && low(toks, i+n+1) == "time" || low(toks, i+n) == "local" && low(toks, i+n+1) == "time" {
				suffix = 2
			}
			edge := i+n == len(toks) || toks[i+n].Kind == Punct || s.Used(i+n) || low(toks, i+n) == "and"
			if suffix == 0 && !(behind && timed && (edge || s.Used(i-2))) {
				continue
			}
			words := make([]string, 0, n)
			for _, w := range toks[i : i+n] {
				if w.Kind == Punct {
					words = nil
					break
				}
				words = append(words, strings.ToLower(w.Text))
			}
			z := Zone(strings.Join(words, " "))
			if z == "" && n > 1 {
				z = Zone(strings.Join(words, "_"))
			}
			if z != "" {
				s.setZone(toks, i, n+suffix, z)
				break
			}
		}
	}
}

func (s *Schedule) anyUsed(i, n int) bool { return slices.Contains(s.used[i:i+n], true) }

func (s *Schedule) setZone(toks []Token, i, n int, z string) {
	s.Zone = z
	s.take(i, n)
	if i > 0 && !s.used[i-1] && slices.Contains([]string{"in", "to", "zone", "timezone", "("}, low(toks, i-1)) && s.Said() && low(toks, i-1) != "to" {
		s.used[i-1] = true
	}
	if low(toks, i+n) == ")" {
		s.take(i+n, 1)
	}
}

// tidy settles what the parts mean together: parts of the day turn the clocks, double days go.
func (s *Schedule) tidy(toks []Token) {
	if s.dayPart != "" {
		for k := range s.Times {
			s.Times[k] = turnClock(s.Times[k], s.dayPart)
		}
	}
	for _, list := range []*[]int{&s.Days, &s.Dates, &s.Months} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if !s.Recurs && s.Once == "" && len(s.Months) > 0 && len(s.Times) == 0 {
		s.Months = nil
	}
	s.except(toks)
	for i := 1; i+1 < len(toks); i++ { // commas and "at" between two parts belong to them
		if s.used[i-1] && !s.used[i] && s.used[i+1] && (toks[i].Kind == Punct || toks[i].Is("at", "and", "on")) {
			s.used[i] = true
		}
	}
}

// except takes days out: "every day except Sunday".
func (s *Schedule) except(toks []Token) {
	for i := range toks {
		if !s.Recurs || !slices.Contains([]string{"except", "but", "excluding"}, low(toks, i)) {
			continue
		}
		k := i + 1
		for slices.Contains([]string{"on", "not", "for"}, low(toks, k)) {
			k++
		}
		days, n := dayList(toks, k, false)
		if n == 0 {
			continue
		}
		s.take(i, k+n-i)
		all := s.Days
		s.Days = nil
		for d := range 7 {
			if !slices.Contains(days, d) {
				s.Days = append(s.Days, d)
			}
		}
		_ = all
	}
}
