package spec_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/spec"
)

const good = `# a comment
run: {command: [python3, scripts/predict.py], timeout: 30s}
mutable: [SKILL.md, scripts/**]
suites:
  days:
    data: {format: station-days, values: assets/v.csv, sites: assets/s.csv}
    target: {transform: scale, table: [[0, 0], [50, 50.5], [100, 200]]}
    splits:
      search: {from: 2006-01-01, to: 2006-12-31}
      sealed: {from: 2007-01-01, to: 2007-12-31}
    metric: {name: mae, direction: lower}
    metrics: [rmse]
    baseline: {strategy: plain}
  rain:
    default: true
    data: {format: cases, cases: assets/cases.jsonl, static: [assets/train.csv]}
    splits: {search: {share: 0.5}, select: {share: 0.25}, sealed: {share: 0.25}}
    metric: brier
    baseline: {strategy: ar, params: {lags: 2}}
strategies:
  plain:
    description: Tomorrow equals today.
  ar:
    description: Autoregression.
    dimensions: {data: own station, algorithm: regression}
    params:
      lags: {int: [1, 14], default: 3}
      scale: {log: [0.01, 1e4], default: 1}
      weight: {float: [0, 1], default: .8}
      kind: {choice: [lin, log, 3, true], default: log}
      upwind: {bool: false}
      from: {angle: true, when: upwind}
      power: {float: [1, 8], default: 2, when: {kind: log}}
  both:
    members: {min: 2, max: 4, default: [plain, {strategy: ar, params: {lags: 5}}]}
    params: {combine: {choice: [mean, median]}}
constraints: ["lags <= 10 or strategy != ar", "not (upwind == true and weight < 0.1)"]
`

func parse(t *testing.T, text string) *spec.Spec {
	t.Helper()
	s, err := spec.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	t.Parallel()
	s := parse(t, good)
	su, ok := s.Suite("")
	if !ok || su.Name != "rain" || su.Block != 1 || su.Target.Range == nil {
		t.Errorf("the default suite is %+v", su)
	}
	days, _ := s.Suite("days")
	if days.Block != 7 || !days.Select.IsZero() || days.Sealed.From.Year() != 2007 {
		t.Errorf("days is %+v", days)
	}
	if diff := cmp.Diff([]string{"assets/v.csv", "assets/s.csv", "assets/cases.jsonl", "assets/train.csv"}, s.Withheld()); diff != "" {
		t.Error(diff)
	}
	ar := s.Strategy("ar")
	want := spec.Params{"lags": 3.0, "scale": 1.0, "weight": 0.8, "kind": "log", "upwind": false, "power": 2.0}
	if diff := cmp.Diff(want, ar.Defaults()); diff != "" {
		t.Error("defaults:", diff)
	}
	got, wrong := ar.Complete(spec.Params{"upwind": true, "kind": "lin", "power": 3.0})
	want = spec.Params{"lags": 3.0, "scale": 1.0, "weight": 0.8, "kind": "lin", "upwind": true, "from": 0.0}
	if diff := cmp.Diff(want, got); diff != "" || wrong != "" {
		t.Error("completed:", wrong, diff)
	}
	if e := s.Ensemble(); e == nil || e.Name != "both" || e.Members.Default[1].Params["lags"] != 5.0 || e.Members.Default[0].Params == nil {
		t.Errorf("the ensemble is %+v", e)
	}
	if m, ok := days.MetricNamed("RMSE"); !ok || m.Direction != spec.Lower {
		t.Errorf("rmse is %+v", m)
	}
	if _, ok := days.MetricNamed("accuracy"); ok {
		t.Error("accuracy was taken for numbers")
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	s := parse(t, good)
	for _, c := range []struct {
		strategy string
		params   spec.Params
		first    bool
		second   bool
	}{
		{"ar", spec.Params{"lags": 12.0}, false, true},
		{"ar", spec.Params{"lags": 10.0, "upwind": true, "weight": 0.05}, true, false},
		{"ar", spec.Params{"upwind": false, "weight": 0.05}, true, true},
		{"plain", spec.Params{}, true, true},
		{"other", spec.Params{"lags": 12.0}, true, true},
	} {
		if a, b := s.Constraints[0].Holds(c.strategy, c.params), s.Constraints[1].Holds(c.strategy, c.params); a != c.first || b != c.second {
			t.Errorf("%s %v: %v, %v; want %v, %v", c.strategy, c.params, a, b, c.first, c.second)
		}
	}
}

// Each mistake is reported with its path and the line it is in.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", "mutable:", "mutabel:", "mutabel: line 3: is not known here"},
		{"unknown nested key", "timeout: 30s", "timeuot: 30s", "run.timeuot: line 2"},
		{"twice", "  ar:\n", "  plain:\n", "mapping key \"plain\" already defined"},
		{"bad timeout", "timeout: 30s", "timeout: 3 s", "run.timeout: line 2: must be a time"},
		{"no command", "command: [python3, scripts/predict.py]", "command: []", "run.command: line 2"},
		{"not a mapping", "run: {command: [python3, scripts/predict.py], timeout: 30s}", "run: now", "run: line 2: must be a mapping"},
		{"bad metric", "metric: brier", "metric: bier", "suites.rain.metric: line 18: \"bier\" is no metric"},
		{"bad direction", "direction: lower", "direction: higher", "suites.days.metric.direction: line 11"},
		{"bad date", "to: 2006-12-31", "to: 2006-13-31", "suites.days.splits.search.to: line 9: must be a date"},
		{"overlap", "from: 2007-01-01", "from: 2006-12-01", "suites.days.splits.sealed: line 10: must begin after the end of search, 2006-12-31"},
		{"reversed", "{from: 2006-01-01", "{from: 2006-12-32", "suites.days.splits.search.from: line 9"},
		{"shares", "sealed: {share: 0.25}", "sealed: {share: 0.5}", "suites.rain.splits: line 17: the shares add up"},
		{"unknown baseline", "baseline: {strategy: plain}", "baseline: {strategy: none}", "suites.days.baseline.strategy: \"none\" is not declared"},
		{"ensemble as baseline", "baseline: {strategy: plain}", "baseline: {strategy: both}", "suites.days.baseline.strategy"},
		{"bad baseline param", "params: {lags: 2}}", "params: {lags: 20}}", "suites.rain.baseline.params: lags must lie in 1 to 14"},
		{"table falls", "[50, 50.5]", "[50, 500]", "suites.days.target.table.2: line 7: does not rise"},
		{"two expected values", "table: [[0, 0]", "above: 3, table: [[0, 0]", "suites.days.target: line 7"},
		{"bounds swapped", "int: [1, 14]", "int: [14, 1]", "strategies.ar.params.lags.int: line 27"},
		{"not whole", "int: [1, 14]", "int: [1.5, 14]", "strategies.ar.params.lags.int: line 27: must be two whole numbers"},
		{"log of zero", "log: [0.01", "log: [0", "strategies.ar.params.scale.log: line 28: must be above 0"},
		{"default outside", "default: .8", "default: 8", "strategies.ar.params.weight.default: line 29: must lie in 0 to 1"},
		{"default of no choice", "default: log}", "default: cubic}", "strategies.ar.params.kind.default: line 30: must be one of lin, log, 3, true"},
		{"no default", "int: [1, 14], default: 3", "int: [1, 14]", "strategies.ar.params.lags.default: line 27: is missing"},
		{"two kinds", "float: [0, 1], default: .8", "float: [0, 1], int: [0, 1], default: 1", "strategies.ar.params.weight.int: line 29"},
		{"no kind", "upwind: {bool: false}", "upwind: {default: false}", "strategies.ar.params.upwind: line 31: must say its kind"},
		{"when of nothing", "when: upwind", "when: downwind", "strategies.ar.params.from.when: line 32"},
		{"when of a wrong value", "when: {kind: log}", "when: {kind: cubic}", "strategies.ar.params.power.when.kind: line 33"},
		{"too many members", "max: 4", "max: 400", "strategies.both.members.max: line 35"},
		{"unknown member", "default: [plain,", "default: [plane,", "strategies.both.members.default.0.strategy: \"plane\""},
		{"constraint cut off", "lags <= 10 or", "lags <= 10 or or", "constraints.0: line 37"},
		{"constraint against the defaults", "lags <= 10", "lags <= 2", "does not hold for the defaults of strategy ar"},
		{"path out", "assets/v.csv", "../v.csv", "suites.days.data.values: line 6"},
		{"absolute path", "assets/v.csv", "/etc/passwd", "suites.days.data.values: line 6"},
		{"same file name", "assets/s.csv", "other/v.csv", "suites.days.data: line 6: assets/v.csv and other/v.csv have the same file name"},
		{"unknown format", "format: cases", "format: case", "suites.rain.data.format: line 16"},
		{"alias", "{bool: false}", "*x", "strategies.ar.params.upwind: line 31"},
		{"syntax", "suites:\n", "suites: [\n", "(document): is not valid YAML"},
		{"two defaults", "  days:\n", "  days:\n    default: true\n", "only one suite can be the default"},
		{"nested deep", "mutable: [", "mutable: " + strings.Repeat("[", 100), "line 3: is too long or nests too deep"},
		{"long line", "mutable: [", "mutable: [" + strings.Repeat("- ", 3000), "line 3: is too long or nests too deep"},
		{"second document", "mutable:", "---\nmutable:", "(document)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatalf("%q is not in the text", c.old)
			}
			_, err := spec.Parse([]byte(text))
			var e *errs.Error
			if !errors.As(err, &e) || e.Code != errs.Invalid {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Error(), c.want) {
				t.Errorf("got %q, want %q in it", e.Error(), c.want)
			}
		})
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("default: .8", "default: 8", "metric: brier", "metric: bier", "timeout: 30s", "timeout: 3").Replace(good)
	_, err := spec.Parse([]byte(text))
	var e *errs.Error
	if !errors.As(err, &e) || len(e.Fields) != 3 {
		t.Errorf("got %v", err)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "---\n", "[]", "run", "{}", "run:\nsuites:\nstrategies:\n"} {
		if _, err := spec.Parse([]byte(text)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q gave %v", text, err)
		}
	}
	if _, err := spec.Parse(make([]byte, spec.MaxSize+1)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("too much text gave %v", err)
	}
}

// The bundled skill is the format's main user.
func TestBundledSkill(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../skills/aqi-predictor/experiment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := parse(t, string(data))
	if su, ok := s.Suite(""); !ok || su.Name != "aqi-de" || len(su.Target.Table) < 10 {
		t.Errorf("the default suite is %+v", su)
	}
	if s.Ensemble() == nil || len(s.Plain()) < 3 {
		t.Error("too few strategies")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("run: &a {command: *a}\n<<: *a\n? [x]\n: !!int y\n")
	f.Add("strategies: {a: {params: {b: {int: [1e400, .nan], default: .inf}}}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := spec.Parse([]byte(text))
		if err != nil {
			if c := errs.CodeOf(err); c != errs.Invalid && c != errs.TooLarge {
				t.Errorf("code %s", c)
			}
			return
		}
		for i := range s.Strategies {
			if _, wrong := s.Strategies[i].Complete(s.Strategies[i].Defaults()); wrong != "" {
				t.Errorf("the defaults of %s are wrong: %s", s.Strategies[i].Name, wrong)
			}
		}
		if _, ok := s.Suite(""); !ok {
			t.Error("there is no default suite")
		}
	})
}
