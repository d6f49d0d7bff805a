package experiment_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
)

// inProduction answers the strategy that an instance is set up to run, or "".
func (y *yard) inProduction(ref string) string {
	y.t.Helper()
	in, err := y.fleet.Resolve(y.ctx, ref)
	if err != nil {
		return ""
	}
	path := y.fleet.Env(y.ctx, ref)["PARAMS_FILE"]
	if path == "" {
		return ""
	}
	raw, err := os.ReadFile(filepath.Join(y.fleet.Home(in.ID), strings.TrimPrefix(path, "/home/agent/")))
	if err != nil {
		y.t.Fatal(err)
	}
	var p struct{ Strategy string }
	if err := json.Unmarshal(raw, &p); err != nil {
		y.t.Fatal(err)
	}
	return p.Strategy
}

func TestPromoteAndRollBack(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	out, err := y.Promote(y.ctx, experiment.PromoteIn{ID: e.ID, Variant: "winner"})
	if err != nil || out.Production != "toy-production" || out.Promotion.Variant != "toy-v3" || out.Promotion.Status != "active" || out.Experiment.Production != "toy-v3" {
		t.Fatalf("%+v, %v", out, err)
	}
	if out.Instance.Labels["env"] != "production" || y.inProduction("toy-production") != "line" {
		t.Errorf("%+v runs %s", out.Instance, y.inProduction("toy-production"))
	}
	if !strings.Contains(strings.Join(out.Notes, " "), "On the sealed cases") {
		t.Errorf("%q", out.Notes)
	}
	// A worse one is promoted all the same, but what speaks against it is said. It takes the same place.
	out, err = y.Promote(y.ctx, experiment.PromoteIn{ID: e.ID, Variant: "v2"})
	if err != nil || out.Production != "toy-production" || y.inProduction("toy-production") != "mean" || out.Experiment.Production != "toy-v2" {
		t.Fatalf("%+v, %v", out, err)
	}
	if text := strings.Join(out.Notes, " "); !strings.Contains(text, "toy-v2 is not the best variant; that is toy-v3.") || !strings.Contains(text, "On the sealed cases") {
		t.Errorf("%q", text)
	}
	back, err := y.Rollback(y.ctx, experiment.RefIn{ID: e.ID})
	if err != nil || y.inProduction("toy-production") != "line" || back.Experiment.Production != "toy-v3" {
		t.Fatalf("%+v, %v", back, err)
	}
	back, err = y.Rollback(y.ctx, experiment.RefIn{ID: e.ID})
	if err != nil || back.Experiment.Production != "" || len(y.fleet.All()) != 3 {
		t.Fatalf("%+v, %v, %d instances", back, err, len(y.fleet.All()))
	}
	if _, err := y.Rollback(y.ctx, experiment.RefIn{ID: e.ID}); !errs.Is(err, errs.Conflict) {
		t.Errorf("rolling nothing back gave %v", err)
	}
	kinds := []string{}
	for _, d := range y.get(e.ID).Decisions {
		kinds = append(kinds, d.Kind)
	}
	for _, want := range []string{"select", "open_sealed", "promote", "rollback"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no decision %s in %v", want, kinds)
		}
	}
}

func TestPromoteIntoAGivenInstance(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	mine, err := y.fleet.CreateFor(y.ctx, fleet.Spec{Name: "mine", Effect: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	out, err := y.Promote(y.ctx, experiment.PromoteIn{ID: e.ID, Variant: "toy-v3", Instance: "mine", CleanUp: true})
	if err != nil || out.Production != "mine" || y.inProduction("mine") != "line" {
		t.Fatalf("%+v, %v", out, err)
	}
	var names []string
	for _, in := range y.fleet.All() {
		names = append(names, in.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"mine", "toy-v3"}) {
		t.Errorf("after cleaning up there are %v", names)
	}
	if _, err := y.Rollback(y.ctx, experiment.RefIn{ID: e.ID}); err != nil {
		t.Fatal(err)
	}
	if in, err := y.fleet.Resolve(y.ctx, mine.ID); err != nil || in.Labels["env"] != "" || y.inProduction("mine") != "" {
		t.Errorf("%+v, %v", in, err)
	}
	// The variants that were cleaned up come back when they are needed.
	if _, err := y.Evaluate(y.ctx, experiment.EvaluateIn{ID: e.ID}); err != nil {
		t.Fatal(err)
	}
	y.scored(e.ID)
}

func TestPromoteInputs(t *testing.T) {
	t.Parallel()
	y := toyYard(t, strings.Replace(bad, "%s", "crash", 1))
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 6})
	if _, err := y.Promote(y.ctx, experiment.PromoteIn{ID: e.ID, Variant: "winner"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("promoting too early gave %v", err)
	}
	y.scored(e.ID)
	for _, c := range []struct {
		in   experiment.PromoteIn
		code errs.Code
	}{
		{experiment.PromoteIn{ID: e.ID, Variant: "v77"}, errs.Invalid},
		{experiment.PromoteIn{ID: e.ID, Variant: "v6"}, errs.Conflict}, // it failed
		{experiment.PromoteIn{ID: e.ID, Variant: "v1", Instance: "nowhere"}, errs.NotFound},
		{experiment.PromoteIn{ID: "nope", Variant: "v1"}, errs.NotFound},
	} {
		if _, err := y.Promote(y.ctx, c.in); !errs.Is(err, c.code) {
			t.Errorf("%+v gave %v", c.in, err)
		}
	}
}

// A promotion that the process died in is finished by the next.
func TestPromotionSurvives(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"configure production", "store promotion", "roll back", "store rollback"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			died := make(chan bool, 1)
			var once atomic.Bool
			y := newYard(t, map[string]fs.FS{"toy": toy("")}, func(o *experiment.Options) {
				o.Fault = func(step string) error {
					if step == at && once.CompareAndSwap(false, true) {
						died <- true
						return errors.New("killed")
					}
					return nil
				}
			})
			e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
			y.scored(e.ID)
			// survive runs an operation; when the process dies in it, the next process is asked how it went.
			survive := func(do func() error) {
				result := make(chan error, 1)
				go func() { result <- do() }()
				select {
				case err := <-result:
					if err != nil {
						t.Fatal(err)
					}
				case <-died:
					y.jobs.Stop()
					<-result // the old process answers nobody any more
					y.close()
					y.open()
				}
			}
			survive(func() error {
				_, err := y.Promote(y.ctx, experiment.PromoteIn{ID: e.ID, Variant: "winner"})
				return err
			})
			eventually(t, "the promotion", func() bool { return y.get(e.ID).Experiment.Production == "toy-v3" })
			if y.inProduction("toy-production") != "line" || len(y.fleet.All()) != 4 {
				t.Errorf("%s, %d instances", y.inProduction("toy-production"), len(y.fleet.All()))
			}
			survive(func() error {
				_, err := y.Rollback(y.ctx, experiment.RefIn{ID: e.ID})
				return err
			})
			eventually(t, "the rollback", func() bool { return y.get(e.ID).Experiment.Production == "" && len(y.fleet.All()) == 3 })
		})
	}
}
