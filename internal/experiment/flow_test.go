package experiment_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/experiment"
)

// The two sentences on real data: five strategies are scored, the best two are kept and bred with a focus.
func TestTwoSentences(t *testing.T) {
	t.Parallel()
	y := newYard(t, map[string]fs.FS{"aqi-predictor": bundled()})
	began := time.Now()
	seed := int64(42)
	e := y.create(experiment.CreateIn{Skill: "aqi-predictor", Variants: 5, Seed: &seed})
	out := y.scored(e.ID)
	t.Logf("generation 1 took %s", time.Since(began))
	show(t, y.board(e.ID, 0))
	if len(out.Leaderboard) != 5 || out.Experiment.Seed != 42 || out.Baseline == nil {
		t.Fatalf("%+v", out)
	}
	evolved, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.Name, Keep: 2, Size: 5, Focus: "the ensemble approach"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(evolved.Notes)
	y.scored(e.ID)
	show(t, y.board(e.ID, 0))
	t.Logf("both took %s", time.Since(began))
}

func show(t *testing.T, b experiment.Leaderboard) {
	t.Helper()
	number := func(f *float64) float64 {
		if f == nil {
			return -1
		}
		return *f
	}
	for _, w := range b.Leaderboard {
		held := ""
		if w.HeldOut != nil {
			held = "sealed " + strings.TrimSpace(strings.Repeat(" ", 1))
		}
		t.Logf("%d %-26s %-14s %.4f (%.3f..%.3f) delta %.3f (%.3f..%.3f) %-6s %-9s %v cpu %d ms, fin %v held %v %s %v", w.Rank, w.Name, w.Strategy, number(w.Score),
			number(w.Low), number(w.High), number(w.Delta), number(w.DeltaLow), number(w.DeltaHigh), w.VersusBest, w.Origin, w.Parents, w.Cost.CPUMs, w.Finalist, w.HeldOut, held, w.Rationale)
	}
	for _, n := range b.Notes {
		t.Log(n)
	}
}
