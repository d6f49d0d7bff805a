package experiment_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
)

func toyYard(t *testing.T, extra string, options ...option) *yard {
	t.Helper()
	return newYard(t, map[string]fs.FS{"toy": toy(extra)}, options...)
}

func TestScoredExperiment(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy"})
	if e.Name != "toy-1" || e.Status != experiment.Running || e.Skill != "toy" || e.Metric != "mae" || e.Direction != "lower" || e.Generation != 1 || e.Variants != 5 {
		t.Errorf("%+v", e)
	}
	out := y.scored(e.Name)
	var names []string
	for _, w := range out.Leaderboard {
		names = append(names, w.Strategy)
		if w.Score == nil || w.Low == nil || *w.Low > *w.Score || *w.High < *w.Score || w.Delta == nil || w.Status != "ok" || w.Seconds <= 0 {
			t.Errorf("%+v", w)
		}
	}
	// By what the toy's points are like.
	if diff := cmp.Diff([]string{"line", "curve", "mean", "zero", "wild"}, names); diff != "" {
		t.Error(diff)
	}
	best := out.Leaderboard[0]
	if best.VersusBest != experiment.Best || best.HeldOut == nil || best.Name != "toy-v3" || best.Instance != "toy-v3" || out.Experiment.Best != "toy-v3" {
		t.Errorf("%+v", best)
	}
	for i, w := range out.Leaderboard[1:] {
		if w.VersusBest != experiment.Worse || w.HeldOut != nil && w.Strategy != "zero" || w.Rank != i+2 {
			t.Errorf("%+v", w)
		}
	}
	if out.Baseline == nil || !strings.HasPrefix(out.Baseline.Name, "baseline (zero)") || *out.Baseline.Score != *out.Leaderboard[3].Score {
		t.Errorf("%+v", out.Baseline)
	}
	if len(y.fleet.All()) != 5 {
		t.Errorf("%d instances", len(y.fleet.All()))
	}
	text := strings.Join(out.Notes, "\n")
	for _, want := range []string{"toy-v3 is better than the baseline (zero)", "beyond chance", "sealed cases"} {
		if !strings.Contains(text, want) {
			t.Errorf("the notes lack %q:\n%s", want, text)
		}
	}
}

// No file of an instance holds an expected value of the split that was played in it, and the data files are not there.
func TestAnswersNeverEnterAnInstance(t *testing.T) {
	t.Parallel()
	y := newYard(t, map[string]fs.FS{"aqi-predictor": bundled()})
	e := y.create(experiment.CreateIn{Skill: "aqi-predictor", Variants: 2, Suite: "ozone-50"})
	y.scored(e.ID)
	for _, in := range y.fleet.All() {
		err := filepath.WalkDir(filepath.Dir(y.fleet.Home(in.ID)), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".csv") {
				return err
			}
			if strings.Contains(path, "/skills/") {
				t.Errorf("the skill in %s has %s", in.Name, path)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			first := map[string]string{"search": "1987-07-02", "select": "1987-07-22", "sealed": "1987-08-11"}[filepath.Base(filepath.Dir(path))]
			if strings.Contains(string(raw), "\n"+first) {
				t.Errorf("%s has the day %s", path, first)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

const bad = `  bad:
    description: Misbehaves.
    params: {how: {choice: [%s]}}
`

// A variant that misbehaves ends as failed with a reason and never stands above one that does not.
func TestFailuresNeverOutrank(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{"crash": "crash", "hang": "timeout", "nan": "invalid", "extra": "invalid", "perfect-then-crash": "crash"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			sk := toy(strings.Replace(bad, "%s", how, 1)).(fstest.MapFS)
			sk["experiment.yaml"].Data = []byte(strings.Replace(string(sk["experiment.yaml"].Data), "timeout: 20s", "timeout: 6s", 1))
			y := newYard(t, map[string]fs.FS{"toy": sk})
			out := y.scored(y.create(experiment.CreateIn{Skill: "toy", Variants: 6}).ID)
			last := out.Leaderboard[5]
			if last.Strategy != "bad" || last.Status != want || last.Score != nil || last.Rank != 6 || last.Failures != 1 || last.Error == "" || last.VersusBest != "" {
				t.Errorf("%+v", last)
			}
			if how == "crash" && (len(last.Log) == 0 || last.Log[len(last.Log)-1] != "ValueError: it broke") {
				t.Errorf("the log is %q", last.Log)
			}
			for _, w := range out.Leaderboard[:5] {
				if w.Score == nil {
					t.Errorf("%s has no score", w.Name)
				}
			}
			if text := strings.Join(out.Notes, "\n"); !strings.Contains(text, "toy-v6 failed") {
				t.Error(text)
			}
		})
	}
}

func TestEvolve(t *testing.T) {
	t.Parallel()
	y := toyYard(t, toyEnsemble)
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 5})
	before := y.scored(e.ID)
	runs := before.Experiment.Spent.Evaluations
	out, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Focus: "the ensemble approach"})
	if err != nil {
		t.Fatal(err)
	}
	if out.Generation != 2 || out.Experiment.Status != experiment.Running || out.Experiment.Focus != "the ensemble approach" || len(out.Notes) == 0 {
		t.Errorf("%+v", out)
	}
	after := y.scored(e.ID)
	got := y.get(e.ID)
	vs := got.Generations[1].Variants
	ensembles := 0
	top := []string{before.Leaderboard[0].Name, before.Leaderboard[1].Name}
	for i, v := range vs {
		if v.Strategy == "both" {
			ensembles++
		}
		if i < 2 != (v.Origin == "clone") {
			t.Errorf("%+v", v)
		}
		for _, p := range v.Parents {
			if !slices.Contains(top, p) {
				t.Errorf("%s has the parent %s", v.Name, p)
			}
		}
	}
	if len(vs) != 5 || ensembles < 2 || vs[0].Name != "toy-gen2-v1" || len(got.Lineage) != 5 {
		t.Errorf("%d variants, %d ensembles, %+v", len(vs), ensembles, got.Lineage)
	}
	// Clones cost nothing: three new ones on search, and what select and sealed needed of them.
	if n := after.Experiment.Spent.Evaluations - runs; n < 3 || n > 3+3+2 {
		t.Errorf("generation 2 took %d evaluations", n)
	}
	for _, w := range after.Leaderboard {
		if w.Origin == "clone" && *w.Score != *before.Leaderboard[slices.Index(top, w.Parents[0])].Score {
			t.Errorf("the clone %s scored %v", w.Name, *w.Score)
		}
	}
	if b := y.board(e.ID, 1); len(b.Leaderboard) != 5 || b.Generation != 1 || b.Leaderboard[0].Name != top[0] {
		t.Errorf("%+v", b)
	}
}

func TestEvolveInputs(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	for _, c := range []struct {
		in   experiment.EvolveIn
		code errs.Code
		want string
	}{
		{experiment.EvolveIn{ID: "nope"}, errs.NotFound, "nope"},
		{experiment.EvolveIn{ID: e.ID, Keep: 5, Size: 5}, errs.Invalid, "size"},
		{experiment.EvolveIn{ID: e.ID, Size: 51}, errs.Invalid, "size"},
		{experiment.EvolveIn{ID: e.ID, Parents: []string{"v9"}}, errs.Invalid, "toy-v1, toy-v2, toy-v3"},
		{experiment.EvolveIn{ID: e.ID, Keep: 1, Parents: []string{"v1", "v2"}}, errs.Invalid, "keep"},
	} {
		if _, err := y.Evolve(y.ctx, c.in); !errs.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gave %v", c.in, err)
		}
	}
	out, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Parents: []string{"v1"}, Size: 4, Focus: "quantum gravity"})
	if err != nil || !strings.Contains(strings.Join(out.Notes, " "), "matches no strategy") {
		t.Fatalf("%v, %v", out.Notes, err)
	}
	if _, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID}); !errs.Is(err, errs.Conflict) {
		t.Errorf("evolving a running experiment gave %v", err)
	}
	y.scored(e.ID)
	for _, v := range y.get(e.ID).Generations[1].Variants {
		if !slices.Equal(v.Parents, []string{"toy-v1"}) {
			t.Errorf("%s has the parents %v", v.Name, v.Parents)
		}
	}
}

// Several generations run one after the other and stop when nothing gets better.
func TestGenerationsStopEarly(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	if _, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Keep: 1, Size: 2, Generations: 20, Until: "no longer better"}); err != nil {
		t.Fatal(err)
	}
	out := y.scored(e.ID)
	if g := out.Experiment.Generation; g < 3 || g >= 21 {
		t.Errorf("%d generations", g)
	}
	if text := strings.Join(out.Notes, " "); !strings.Contains(text, "The search stopped") {
		t.Error(text)
	}
	if _, err := y.Evolve(y.ctx, experiment.EvolveIn{ID: e.ID, Size: 3, Generations: 10, Until: "a score below 100"}); err != nil {
		t.Fatal(err)
	}
	if next := y.scored(e.ID); next.Experiment.Generation != out.Experiment.Generation+1 || !strings.Contains(strings.Join(next.Notes, " "), "has reached 100") {
		t.Errorf("generation %d, %v", next.Experiment.Generation, next.Notes)
	}
}

func TestEnsemble(t *testing.T) {
	t.Parallel()
	y := toyYard(t, toyEnsemble)
	e := y.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	y.scored(e.ID)
	out, err := y.Ensemble(y.ctx, experiment.EnsembleIn{ID: e.ID})
	if err != nil || out.Generation != 1 || out.Experiment.Variants != 4 || out.Notes[0] != "Combines toy-v3 and toy-v2." {
		t.Fatalf("%+v, %v", out, err)
	}
	done := y.scored(e.ID)
	if i := slices.IndexFunc(done.Leaderboard, func(w experiment.Standing) bool { return w.Name == "toy-v4" }); i < 0 || done.Leaderboard[i].Score == nil {
		t.Errorf("%+v", done.Leaderboard)
	}
	plain := toyYard(t, "")
	f := plain.create(experiment.CreateIn{Skill: "toy", Variants: 3})
	plain.scored(f.ID)
	if _, err := plain.Ensemble(plain.ctx, experiment.EnsembleIn{ID: f.ID}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a skill without an ensemble gave %v", err)
	}
}

func TestCreateInputs(t *testing.T) {
	t.Parallel()
	greeter := fstest.MapFS{"SKILL.md": {Data: []byte("---\nname: greeter\ndescription: Greets.\n---\n")}}
	broken := fstest.MapFS{"experiment.yaml": {Data: []byte("run: {}\n")}}
	y := newYard(t, map[string]fs.FS{"toy": toy(""), "greeter": greeter, "broken": broken})
	big := int64(5)
	for _, c := range []struct {
		in   experiment.CreateIn
		code errs.Code
		want string
	}{
		{experiment.CreateIn{Skill: "nope"}, errs.NotFound, "nope"},
		{experiment.CreateIn{Skill: "greeter"}, errs.Invalid, "greeter has no measure to score variants by: it has no experiment.yaml"},
		{experiment.CreateIn{Skill: "broken"}, errs.Invalid, "run.command: line 1: is missing"},
		{experiment.CreateIn{Skill: "toy", Variants: 51}, errs.Invalid, "variants"},
		{experiment.CreateIn{Skill: "toy", Variants: -1}, errs.Invalid, "variants"},
		{experiment.CreateIn{Skill: "toy", Metric: "accuracy"}, errs.Invalid, "it can by mae and rmse"},
		{experiment.CreateIn{Skill: "toy", Suite: "moon"}, errs.Invalid, "has no suite \"moon\"; it has points"},
		{experiment.CreateIn{Skill: "toy", Name: "../x"}, errs.Invalid, "name"},
		{experiment.CreateIn{Skill: "toy", Name: "exp_01m4q9h3v0zzzzzzzzzzzzzzzz"}, errs.Invalid, "name"},
		{experiment.CreateIn{Skill: "toy", Budget: &experiment.Budget{Seconds: 5}}, errs.Invalid, "budget.seconds"},
	} {
		if _, err := y.Create(y.ctx, c.in); !errs.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v gave %v", c.in, err)
		}
	}
	if n := len(y.fleet.All()); n != 0 {
		t.Errorf("refused requests made %d instances", n)
	}
	e := y.create(experiment.CreateIn{Skill: "toy", Name: "spring-run", Variants: 2, Seed: &big, Metric: "rmse"})
	if _, err := y.Create(y.ctx, experiment.CreateIn{Skill: "toy", Name: "Spring-Run"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a name twice gave %v", err)
	}
	if out := y.scored("spring-run"); out.Experiment.Seed != 5 || out.Experiment.Metric != "rmse" || out.Experiment.ID != e.ID {
		t.Errorf("%+v", out.Experiment)
	}
	list, err := y.List(y.ctx, experiment.ListIn{})
	if err != nil || len(list.Experiments) != 1 || list.Experiments[0].Variants != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	// What one account has, another does not see.
	other := op.WithActor(y.ctx, op.System("acct_b"))
	if _, err := y.Get(other, experiment.RefIn{ID: e.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another account got %v", err)
	}
	if _, err := y.Delete(other, experiment.RefIn{ID: e.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another account deleted: %v", err)
	}
	if list, err := y.List(other, experiment.ListIn{}); err != nil || len(list.Experiments) != 0 {
		t.Errorf("another account lists %+v, %v", list, err)
	}
}

func TestNameOfInstanceTaken(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	if _, err := y.fleet.CreateFor(y.ctx, fleet.Spec{Name: "toy-v2", Effect: "mine"}); err != nil {
		t.Fatal(err)
	}
	out := y.scored(y.create(experiment.CreateIn{Skill: "toy", Variants: 2}).ID)
	for _, w := range out.Leaderboard {
		if w.Name == "toy-v2" && w.Instance != "toy-v2-2" {
			t.Errorf("%+v", w)
		}
	}
	if text := strings.Join(out.Notes, " "); !strings.Contains(text, "named toy-v2-2") {
		t.Error(text)
	}
}

func TestProgramMissing(t *testing.T) {
	t.Parallel()
	sk := toy("").(fstest.MapFS)
	sk["experiment.yaml"].Data = []byte(strings.Replace(string(sk["experiment.yaml"].Data), "command: [python3,", "command: [no-such-python,", 1))
	y := newYard(t, map[string]fs.FS{"toy": sk})
	out := y.rest(y.create(experiment.CreateIn{Skill: "toy"}).ID)
	if out.Experiment.Status != experiment.Failed || !strings.Contains(out.Experiment.LastError, "apt-get install no-such-python") || out.Experiment.Spent.Evaluations != 0 {
		t.Errorf("%+v", out.Experiment)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	y := toyYard(t, "")
	out := y.scored(y.create(experiment.CreateIn{Skill: "toy", Variants: 4, Budget: &experiment.Budget{Evaluations: 3}}).ID)
	if out.Experiment.Spent.Evaluations != 3 || !strings.Contains(strings.Join(out.Notes, " "), "The budget of 3 evaluations does not allow another") {
		t.Errorf("%+v, %q", out.Experiment.Spent, out.Notes)
	}
	pending := 0
	for _, w := range out.Leaderboard {
		if w.Status == "pending" && w.Score == nil {
			pending++
		}
	}
	if pending != 1 {
		t.Errorf("%d variants are pending", pending)
	}
}

// A metric of which more is better is ranked the other way round, and a second suite is scored by its own cases.
func TestHigherIsBetter(t *testing.T) {
	t.Parallel()
	sk := os.DirFS("../../examples/wet-day")
	if _, err := fs.Stat(sk, "experiment.yaml"); err != nil {
		t.Fatal("the example is not there")
	}
	y := newYard(t, map[string]fs.FS{"wet-day": sk})
	out := y.scored(y.create(experiment.CreateIn{Skill: "wet-day", Variants: 4}).ID)
	if out.Experiment.Direction != "higher" {
		t.Errorf("%+v", out.Experiment)
	}
	for i, w := range out.Leaderboard {
		if w.Score == nil || *w.Score <= 0.4 || *w.Score > 1 {
			t.Errorf("%+v", w)
		}
		if i > 1 && *w.Score > *out.Leaderboard[i-1].Score {
			t.Errorf("%s is ranked below a lower score", w.Name)
		}
	}
}
