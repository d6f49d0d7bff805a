package experiment_test

import (
	"io/fs"
	"testing"

	"yardmaster/internal/experiment"
)

func BenchmarkLeaderboard(b *testing.B) {
	y := newYard(b, map[string]fs.FS{"aqi-predictor": bundled()})
	e := y.create(experiment.CreateIn{Skill: "aqi-predictor", Variants: 6})
	y.scored(e.ID)
	for b.Loop() {
		y.board(e.ID, 0)
	}
}
