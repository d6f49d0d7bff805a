package lang

import "testing"

// FuzzTokens looks for texts that break the tokeniser or the schedule reader: tokens must lie in order within the text.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"every 15 min: restart", "a='b c' {\"x\":1} `y`", "on the 1st and 15th of each month", "half past", "web-1 … web-9", "\xff{{payload}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		toks := Tokenize(s)
		at := 0
		for _, tok := range toks {
			if tok.Start < 0 || tok.End > len(s) || tok.End < tok.Start || tok.Start < at {
				t.Fatalf("token %+v does not lie in the text behind %d", tok, at)
			}
			at = tok.Start
		}
		_, _, _ = FindSchedule(toks).Cron()
	})
}
