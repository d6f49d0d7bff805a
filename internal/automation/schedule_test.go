package automation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expr, zone, after string
		want                    []string
	}{
		{"weekdays", "0 9 * * 1-5", "America/New_York", "2026-11-20T15:00:00Z", []string{"2026-11-23T14:00:00Z", "2026-11-24T14:00:00Z"}},
		{"seven is Sunday", "0 0 * * 7", "UTC", "2026-11-23T00:00:00Z", []string{"2026-11-29T00:00:00Z"}},
		{"names", "30 6 * jan mon", "UTC", "2026-11-23T00:00:00Z", []string{"2027-01-04T06:30:00Z"}},
		{"day of month or week", "0 0 13 * 5", "UTC", "2026-11-01T00:00:00Z", []string{"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
		{"fall-back, once", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"fall-back, asked between the two", "30 1 * * *", "America/New_York", "2026-11-01T05:45:00Z", []string{"2026-11-02T06:30:00Z"}},
		{"fall-back, every half hour", "*/30 * * * *", "America/New_York", "2026-11-01T05:15:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"}},
		{"spring gap", "30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"spring gap, two of them", "15,45 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z"}},
		{"gap of half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z"}},
		{"leap day", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
	} {
		s, err := ParseSchedule(c.expr, c.zone)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range s.Upcoming(after, len(c.want)) {
			got = append(got, n.Format(time.RFC3339))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestSkipped(t *testing.T) {
	t.Parallel()
	s, err := ParseSchedule("30 2 * * *", "America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	gap := time.Date(2026, 3, 8, 7, 0, 0, 0, time.UTC)
	if !s.Skipped(gap) || s.Skipped(gap.Add(24*time.Hour-30*time.Minute)) {
		t.Error("the gap is not told apart")
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expr, zone, want string }{
		{"", "", "five"}, {"* * * *", "", "five"}, {"0 0 * * * *", "", "five"}, {"@daily", "", "five"},
		{"60 * * * *", "", "valid"}, {"* 24 * * *", "", "valid"}, {"* * 0 * *", "", "valid"}, {"* * * 13 *", "", "valid"}, {"*/0 * * * *", "", "valid"},
		{"* * L * *", "", "not understood"}, {"* * * * 5#2", "", "not understood"}, {"* * 15W * *", "", "not understood"}, {"a b c d e", "", "valid"},
		{"0 0 30 2 *", "", "never"}, {"* * * * *", "Mars/Olympus", "IANA"}, {"* * * * *", "Local", "IANA"}, {"* * * * *", "../etc", "IANA"},
	} {
		if _, err := ParseSchedule(c.expr, c.zone); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: %v, want %q", c.expr, c.zone, err, c.want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("0 9 * * 1-5", "Europe/Berlin", int64(1774746000))
	f.Add("*/7 1-3,5 * feb *", "UTC", int64(0))
	f.Fuzz(func(t *testing.T, expr, zone string, at int64) {
		s, err := ParseSchedule(expr, zone)
		if err != nil {
			return
		}
		after := time.Unix(at%4e9, 0)
		if next, err := s.Next(after); err == nil && !next.After(after) {
			t.Errorf("%q in %q: %s is not after %s", expr, zone, next, after)
		}
	})
}
