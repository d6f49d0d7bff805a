package experiment_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/experiment"
)

// outcome is all that must not depend on how often the process died, or on how many workers there were.
type outcome struct {
	Status     string
	Generation int
	Best       string
	Rows       []string
	Lineage    []experiment.Edge
	Evals      int
	Instances  []string
}

func (y *yard) outcome(id string) outcome {
	y.t.Helper()
	got := y.get(id)
	o := outcome{Status: got.Experiment.Status, Generation: got.Experiment.Generation, Best: got.Experiment.Best, Lineage: got.Lineage, Evals: got.Experiment.Spent.Evaluations}
	for g := 1; g <= o.Generation; g++ {
		for _, w := range y.board(id, g).Leaderboard {
			score := "-"
			if w.Score != nil {
				score = fmt.Sprint(*w.Score, *w.Low, *w.High)
			}
			if w.Finalist != nil {
				score += fmt.Sprint(" ", w.Finalist.Score)
			}
			if w.HeldOut != nil {
				score += fmt.Sprint(" ", w.HeldOut.Score)
			}
			o.Rows = append(o.Rows, fmt.Sprintf("%d %s %s %s %s %s %s", w.Rank, w.Name, w.Instance, w.Strategy, w.VersusBest, w.Rationale, score))
		}
	}
	for _, in := range y.fleet.All() {
		o.Instances = append(o.Instances, in.Name)
	}
	return o
}

var crashSeed = int64(7)

// crashFlow is two generations of a small experiment; reopen is called when a step was not answered because the process
// died, and it goes on from there.
func crashFlow(y *yard, reopen func()) outcome {
	y.t.Helper()
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3, Seed: &crashSeed})
	reopen()
	y.scored(e.ID)
	if _, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Size: 3, Generations: 2, Focus: "ensemble"}); err != nil {
		y.t.Fatal(err)
	}
	reopen()
	y.scored(e.ID)
	return y.outcome(e.ID)
}

// sorted is an outcome whose instances are compared as a set.
func diffOutcomes(a, b outcome) string {
	count := func(names []string) map[string]int {
		m := map[string]int{}
		for _, n := range names {
			m[n]++
		}
		return m
	}
	if d := cmp.Diff(count(a.Instances), count(b.Instances)); d != "" {
		return d
	}
	a.Instances, b.Instances = nil, nil
	return cmp.Diff(a, b)
}

// Wherever the process dies, the experiment goes on by itself and ends as if nothing had happened: the same variants, the
// same scores, no evaluation made twice, no instance too many.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	skills := func() map[string]fs.FS { return map[string]fs.FS{"toy": toy(toyEnsemble)} }
	var steps atomic.Int64
	whole := newYard(t, skills(), func(o *experiment.Options) {
		o.Fault = func(string) error {
			steps.Add(1)
			return nil
		}
	})
	want := crashFlow(whole, func() {})
	if want.Status != experiment.Scored || want.Generation != 3 {
		t.Fatalf("%+v", want)
	}
	n := int(steps.Load())
	t.Logf("%d steps", n)
	if n < 20 {
		t.Errorf("only %d steps can be interrupted", n)
	}
	stride := 4
	if os.Getenv("CI") == "true" {
		stride = 1
	}
	for at := 1; at <= n; at += stride {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			died := make(chan string, 1)
			var count atomic.Int64
			fault := func(o *experiment.Options) {
				o.Fault = func(step string) error {
					if count.Add(1) != int64(at) {
						return nil
					}
					died <- step
					return errors.New("killed at " + step)
				}
			}
			y := newYard(t, skills(), fault)
			step := ""
			got := crashFlow(y, func() {
				if step != "" {
					return
				}
				// Either the step comes before the experiment rests, or it comes in the next part.
				rested := false
				eventually(t, "a step or rest", func() bool {
					select {
					case step = <-died:
						return true
					default:
					}
					list, err := y.List(y.ctx, experiment.ListIn{})
					if err != nil {
						t.Fatal(err)
					}
					rested = list.Experiments[0].Status != experiment.Running
					return rested
				})
				if !rested {
					y.close()
					y.open(fault)
				}
			})
			if step == "" {
				t.Error("the process never died")
			}
			if d := diffOutcomes(want, got); d != "" {
				t.Errorf("killed at %q (-uninterrupted +resumed):\n%s", step, d)
			}
		})
	}
}

// The number of workers changes nothing but the time.
func TestWorkersChangeNothing(t *testing.T) {
	t.Parallel()
	var want outcome
	for i, workers := range []int{1, 4} {
		y := newYard(t, map[string]fs.FS{"toy": toy(toyEnsemble)}, func(o *experiment.Options) { o.Workers = workers })
		got := crashFlow(y, func() {})
		if i == 0 {
			want = got
		} else if d := diffOutcomes(want, got); d != "" {
			t.Errorf("%d workers:\n%s", workers, d)
		}
	}
}
