package lang

import (
	"testing"
)

func TestSchedules(t *testing.T) {
	t.Parallel()
	cases := []struct{ say, cron, zone string }{
		{"every weekday at 9 in New York, score the AQI predictions", "0 9 * * 1-5", "America/New_York"},
		{"noon on Saturdays & Sundays, London time", "0 12 * * 0,6", "Europe/London"},
		{"At half past seven in the evening each Friday, Tokyo time, list", "30 19 * * 5", "Asia/Tokyo"},
		{"every 15 min: restart anything", "*/15 * * * *", ""},
		{"on the 1st of every month at 06:00 UTC list all", "0 6 1 * *", "UTC"},
		{"every morning at 7 London time", "0 7 * * *", "Europe/London"},
		{"Every day at 9 in the morning, Berlin time, list", "0 9 * * *", "Europe/Berlin"},
		{"list the failed instances, daily at 6:10 UTC", "10 6 * * *", "UTC"},
		{"every day at 9am UTC list my instances", "0 9 * * *", "UTC"},
		{"twice a day", "0 9,21 * * *", ""},
		{"check it hourly between 8 and 18", "0 8-18 * * *", ""},
		{"every hour", "0 * * * *", ""},
		{"every 2 hours", "0 */2 * * *", ""},
		{"every half hour", "*/30 * * * *", ""},
		{"every quarter of an hour", "*/15 * * * *", ""},
		{"Mon, Wed and Fri at 18:30 Paris time", "30 18 * * 1,3,5", "Europe/Paris"},
		{"monday to friday at 8am", "0 8 * * 1-5", ""},
		{"every Monday and Thursday at quarter to six in the evening", "45 17 * * 1,4", ""},
		{"each evening at eight", "0 20 * * *", ""},
		{"three times a day", "0 8,14,20 * * *", ""},
		{"at 6am and 6pm every day", "0 6,18 * * *", ""},
		{"every day except Sunday at 10", "0 10 * * 1-6", ""},
		{"on the 1st and 15th of each month at noon", "0 12 1,15 * *", ""},
		{"midnight every day, Asia/Kolkata", "0 0 * * *", "Asia/Kolkata"},
		{"every Friday at 5pm PST", "0 17 * * 5", "America/Los_Angeles"},
		{"every weekend at 11 o'clock", "0 11 * * 0,6", ""},
		{"nightly at 2", "0 2 * * *", ""},
		{"every hour at 10 past", "10 * * * *", ""},
		{"daily at 22:15 in Sao Paulo", "15 22 * * *", "America/Sao_Paulo"},
		{"every night at half past eleven", "30 23 * * *", ""},
		{"once a week", "0 9 * * 1", ""},
		{"every three months", "0 9 1 1,4,7,10 *", ""},
		{"weekdays at 7:45 am utc+2", "45 7 * * 1-5", "Etc/GMT-2"},
	}
	for _, c := range cases {
		s := FindSchedule(Tokenize(c.say))
		got, problem, _ := s.Cron()
		if got != c.cron || s.Zone != c.zone || problem != "" || !s.Recurs {
			t.Errorf("%q: got %q %q (%s) recurs=%v times=%v, want %q %q", c.say, got, s.Zone, problem, s.Recurs, s.Times, c.cron, c.zone)
		}
	}
}

func TestOddSchedules(t *testing.T) {
	t.Parallel()
	for _, say := range []string{"every 90 minutes restart web-1", "on the first Monday of each month at 8am", "every other day", "every 7 hours",
		"on the last day of the month", "every 45 minutes", "fortnightly", "every 10 seconds"} {
		s := FindSchedule(Tokenize(say))
		if expr, problem, _ := s.Cron(); problem == "" || expr == "" {
			t.Errorf("%q: got %q without a problem", say, expr)
		}
	}
}

func TestNoSchedule(t *testing.T) {
	t.Parallel()
	for _, say := range []string{"put the skill on every single instance we have", "restart each instance", "make a couple of workers",
		"delete the hourly check, keep the rest", "list the first 3 instances", "show the last 2 lines", "set RETRIES=5 on web-1"} {
		if s := FindSchedule(Tokenize(say)); s.Recurs || len(s.Times) > 0 || s.Zone != "" {
			t.Errorf("%q: taken for a schedule: %+v", say, s)
		}
	}
}
