package automation

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"yardmaster/internal/errs"
)

// Schedule is a cron expression of exactly five fields (POSIX crontab: minute, hour, day of month, month, day of week,
// with names, ranges, steps and lists; 0 and 7 are Sunday) in a time zone.
//
// Daylight saving: a time that the clocks skip in spring runs at the first valid minute after the gap. A time that
// they repeat in autumn runs once, at its first coming; schedules whose hour is a wildcard follow the time that really
// passes, so they run in both of the repeated hours.
type Schedule struct {
	expr string
	zone *time.Location
	name string
}

var fieldForm = regexp.MustCompile(`(?i)^[0-9a-z*,/-]+$`)

// ParseSchedule reads a cron expression and an IANA zone name; "" is UTC.
func ParseSchedule(expr, zone string) (Schedule, error) {
	fields := strings.Fields(expr)
	if len(fields) != 5 {
		return Schedule{}, errs.BadField("cronExpression", "has %d fields; it needs five: minute, hour, day of month, month, day of week, such as \"0 9 * * 1-5\"", len(fields))
	}
	for i, f := range fields {
		if !fieldForm.MatchString(f) || strings.ContainsAny(f, "lLwW#?") && !hasName(f) {
			return Schedule{}, errs.BadField("cronExpression", "the field %q is not understood; use numbers, names, *, ranges, lists and steps", f)
		}
		fields[i] = strings.ToUpper(f)
	}
	norm := strings.Join(fields, " ")
	if !gronx.IsValid(norm) {
		return Schedule{}, errs.BadField("cronExpression", "%q is not a valid schedule; an example is \"0 9 * * 1-5\"", expr)
	}
	if zone == "" {
		zone = "UTC"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Schedule{}, errs.BadField("timezone", "there is no time zone %q; use an IANA name such as Europe/Berlin", zone)
	}
	s := Schedule{expr: norm, zone: loc, name: zone}
	if _, err := s.Next(time.Now()); err != nil {
		return Schedule{}, errs.BadField("cronExpression", "%q never comes", expr)
	}
	return s, nil
}

// hasName tells whether a field's letters are names of months or days, of which some hold the letters of extensions.
func hasName(field string) bool {
	rest := strings.ToUpper(field)
	for _, n := range strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC SUN MON TUE WED THU FRI SAT") {
		rest = strings.ReplaceAll(rest, n, "")
	}
	return !strings.ContainsAny(rest, "LW#?")
}

// Next is the first time after t at which the schedule runs, with seconds at zero.
func (s Schedule) Next(t time.Time) (time.Time, error) {
	if s.elapsed() {
		next, err := gronx.NextTickAfter(s.expr, t.In(s.zone), false)
		if err != nil {
			return time.Time{}, fmt.Errorf("schedule %q: %w", s.expr, err)
		}
		return next.Truncate(time.Minute).UTC(), nil
	}
	// The wall clock is followed as if it had no jumps, then put into the zone. A time found in the past of t is one that
	// the clocks repeat, whose first coming is over: the next is taken.
	wall := t.In(s.zone)
	naive := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, time.UTC)
	for {
		next, err := gronx.NextTickAfter(s.expr, naive, false)
		if err != nil {
			return time.Time{}, fmt.Errorf("schedule %q: %w", s.expr, err)
		}
		naive = next
		if at := s.place(next); at.After(t) {
			return at.UTC(), nil
		}
	}
}

// Skipped tells whether the wall-clock time that led to the run at t does not exist on that day, so that t stands for it.
func (s Schedule) Skipped(t time.Time) bool {
	if s.elapsed() {
		return false
	}
	due, err := gronx.New().IsDue(s.expr, naiveOf(t.In(s.zone)))
	return err == nil && !due
}

func naiveOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
}

// elapsed tells whether the schedule counts passing time and not hours of the day.
func (s Schedule) elapsed() bool { return strings.HasPrefix(strings.Fields(s.expr)[1], "*") }

// place puts a wall-clock time into the zone: into the first of two such instants, or behind the gap that swallows it.
func (s Schedule) place(naive time.Time) time.Time {
	y, mo, d := naive.Date()
	at := time.Date(y, mo, d, naive.Hour(), naive.Minute(), 0, 0, s.zone)
	if naiveOf(at).Equal(naiveOf(naive)) {
		// Of a repeated hour time.Date may give either instant; the earlier one is an hour or so before.
		for _, back := range []time.Duration{time.Hour, 30 * time.Minute} {
			if e := at.Add(-back); naiveOf(e).Equal(naiveOf(naive)) {
				return e
			}
		}
		return at
	}
	// In a gap: its end is where the zone's offset changes.
	_, end := at.Add(-4 * time.Hour).ZoneBounds()
	if end.IsZero() || end.Sub(at).Abs() > 4*time.Hour {
		return at
	}
	return end
}

// Upcoming lists the next n times after t.
func (s Schedule) Upcoming(t time.Time, n int) []time.Time {
	var out []time.Time
	for range n {
		next, err := s.Next(t)
		if err != nil {
			break
		}
		out = append(out, next)
		t = next
	}
	return out
}
