package experiment_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
)

func TestCancelAndGoOn(t *testing.T) {
	t.Parallel()
	y := toyYard(t, strings.Replace(bad, "%s", "hang", 1))
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 6})
	eventually(t, "a score", func() bool { return y.get(e.ID).Experiment.Spent.Evaluations >= 2 })
	out, err := y.Cancel(y.ctx, experiment.RefIn{ID: e.ID})
	if err != nil || out.Experiment.Status != experiment.Cancelled {
		t.Fatalf("%+v, %v", out, err)
	}
	if again, err := y.Cancel(y.ctx, experiment.RefIn{ID: e.ID}); err != nil || again.Experiment.Status != experiment.Cancelled {
		t.Errorf("%+v, %v", again, err)
	}
	if got := y.get(e.ID); got.Generations[0].Status != experiment.Cancelled {
		t.Errorf("%+v", got.Generations[0])
	}
	if b := y.board(e.ID, 0); len(b.Leaderboard) != 6 {
		t.Errorf("%d rows", len(b.Leaderboard))
	}
	if _, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Keep: 1, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if done := y.scored(e.ID); done.Experiment.Generation != 2 {
		t.Errorf("%+v", done.Experiment)
	}
	if _, err := y.Cancel(y.ctx, experiment.RefIn{ID: e.ID}); !errs.Is(err, errs.Conflict) {
		t.Errorf("cancelling what is done gave %v", err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	y := toyYard(t, strings.Replace(bad, "%s", "hang", 1))
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 6})
	eventually(t, "an instance", func() bool { return len(y.fleet.All()) == 6 })
	if _, err := y.Delete(y.ctx, experiment.RefIn{ID: e.ID}); err != nil {
		t.Fatal(err)
	}
	if n := len(y.fleet.All()); n != 0 {
		t.Errorf("%d instances are left", n)
	}
	if _, err := y.Get(y.ctx, experiment.RefIn{ID: e.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("it is still there: %v", err)
	}
	if e := y.create(experiment.CreateIn{Skill: "toy", Variants: 2}); e.Name != "toy-1" {
		t.Errorf("the next one is called %s", e.Name)
	}
}

// Scores asked for anew come from instances that have seen no later split.
func TestEvaluateAgain(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 2})
	before := y.scored(e.ID)
	out, err := y.Evaluate(y.ctx, experiment.EvaluateIn{ID: e.ID})
	if err != nil || out.Experiment.Status != experiment.Running {
		t.Fatalf("%+v, %v", out, err)
	}
	after := y.scored(e.ID)
	if *after.Leaderboard[0].Score != *before.Leaderboard[0].Score || after.Experiment.Spent.Evaluations <= before.Experiment.Spent.Evaluations {
		t.Errorf("%+v and %+v", before, after)
	}
	order := map[string]int{"search": 1, "select": 2, "sealed": 3}
	for _, in := range y.fleet.All() {
		raw, err := os.ReadFile(filepath.Join(y.fleet.Home(in.ID), "seen.txt"))
		if err != nil {
			t.Fatal(err)
		}
		last := 0
		for _, split := range strings.Fields(string(raw)) {
			if order[split] < last {
				t.Errorf("%s saw the splits %q", in.Name, strings.Fields(string(raw)))
			}
			last = order[split]
		}
	}
}

func TestInstanceDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	for _, in := range y.fleet.All() {
		if _, err := y.fleet.Delete(y.ctx, fleet.RefIn{ID: in.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := y.Evaluate(y.ctx, experiment.EvaluateIn{ID: e.ID, Variants: []string{"v2"}}); err != nil {
		t.Fatal(err)
	}
	if out := y.scored(e.ID); out.Leaderboard[2].Score == nil {
		t.Errorf("%+v", out.Leaderboard)
	}
}

func TestProgressIsReported(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	reports := make(chan experiment.Progress, 100)
	ctx := op.WithProgress(y.ctx, func(v any) {
		var p experiment.Progress
		if err := json.Unmarshal(v.(json.RawMessage), &p); err != nil {
			t.Error(err)
		}
		reports <- p
	})
	if _, err := y.Wait(ctx, experiment.WaitIn{ID: e.ID}); err != nil {
		t.Fatal(err)
	}
	close(reports)
	var last experiment.Progress
	done := 0
	for p := range reports {
		if p.Text == "" || p.Stage == "" || p.Done > p.Total {
			t.Errorf("%+v", p)
		}
		done = max(done, p.Done)
		last = p
	}
	if last.Stage != experiment.Scored || done < 3 {
		t.Errorf("the last report is %+v, %d done", last, done)
	}
	if out, err := y.Wait(y.ctx, experiment.WaitIn{ID: e.ID}); err != nil || !out.Finished {
		t.Errorf("waiting for what is done: %+v, %v", out, err)
	}
}
