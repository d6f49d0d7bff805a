package suite_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/suite"
)

const bundled = "../../../skills/aqi-predictor"

func open(t testing.TB, fsys fs.FS, suiteName string) (*spec.Suite, *suite.Data) {
	t.Helper()
	raw, err := fs.ReadFile(fsys, "experiment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := spec.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	su, ok := s.Suite(suiteName)
	if !ok {
		t.Fatalf("no suite %q", suiteName)
	}
	d, err := suite.Load(fsys, su)
	if err != nil {
		t.Fatal(err)
	}
	return su, d
}

// Persistence, worked out here from the observations alone, has the scores that the skill's own harness measured with
// other code in another language.
func TestPersistenceOnRealData(t *testing.T) {
	t.Parallel()
	su, d := open(t, os.DirFS(bundled), "")
	for _, want := range []struct {
		split           string
		mae             float64
		cases, clusters int
	}{{"search", 5.186, 11728, 365}, {"select", 4.674, 11622, 365}, {"sealed", 4.222, 11416, 366}} {
		s, ok := d.Split(want.split)
		if !ok {
			t.Fatal("no split " + want.split)
		}
		if s.Cases != want.cases || len(s.Clusters) != want.clusters {
			t.Errorf("%s: %d cases in %d days, want %d in %d", want.split, s.Cases, len(s.Clusters), want.cases, want.clusters)
		}
		sum, n := 0.0, 0
		for _, r := range s.Rounds {
			var today map[string]float64
			if err := json.Unmarshal(r.Observe, &today); err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Cases {
				var in struct{ Station, Date string }
				if err := json.Unmarshal(c.Input, &in); err != nil || c.ID != in.Date+"/"+in.Station {
					t.Fatalf("%s asks %s: %v", c.ID, c.Input, err)
				}
				loss, err := suite.Loss(su.Metric, su.Target, c.Expected, suite.Number(su.Target.Of(today[in.Station])))
				if err != nil {
					t.Fatal(err)
				}
				sum += loss
				n++
			}
		}
		if mae := sum / float64(n); math.Abs(mae-want.mae) > 0.0005 {
			t.Errorf("%s: persistence has %.4f, want %.3f", want.split, mae, want.mae)
		}
	}
}

// What a variant gets before a split ends the day before it, and holds no later day.
func TestHistoryEndsBeforeTheSplit(t *testing.T) {
	t.Parallel()
	_, d := open(t, os.DirFS(bundled), "")
	for split, last := range map[string]string{"search": "2005-12-31", "select": "2006-12-31", "sealed": "2007-12-31"} {
		files, err := d.History(split)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 2 || files["stations.csv"] == nil {
			t.Errorf("%s: %d files", split, len(files))
		}
		lines := strings.Split(strings.TrimSpace(string(files["pm10-daily-2003-2008.csv"])), "\n")
		if !strings.HasPrefix(lines[len(lines)-1], last+",") || !strings.HasPrefix(lines[1], "2003-01-01,23.2,40.2,36.3,,15.8") {
			t.Errorf("%s: the history ends with %.20s", split, lines[len(lines)-1])
		}
		s, _ := d.Split(split)
		if s.Rounds[0].Name != last {
			t.Errorf("%s begins with the round %s", split, s.Rounds[0].Name)
		}
	}
}

// A round's expected values are not in it, nor in any round before.
func TestAnswersComeBeforeObservations(t *testing.T) {
	t.Parallel()
	_, d := open(t, os.DirFS(bundled), "ozone-50")
	s, _ := d.Split("sealed")
	empty := 0
	for i, r := range s.Rounds {
		for _, c := range r.Cases {
			if day, _, _ := strings.Cut(c.ID, "/"); day <= r.Name || i+1 < len(s.Rounds) && s.Rounds[i+1].Name != day {
				t.Fatalf("round %s asks for %s", r.Name, c.ID)
			}
		}
		if len(r.Cases) == 0 {
			empty++
		}
	}
	if empty != 1 || s.Cases != 939 || len(s.Clusters) != 19 {
		t.Errorf("%d rounds without cases, %d cases in %d days", empty, s.Cases, len(s.Clusters))
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	table := spec.Target{Table: [][2]float64{{0, 0}, {54, 50}, {55, 51}, {154, 100}}}
	for v, want := range map[float64]float64{-5: 0, 0: 0, 27: 25, 54: 50, 54.5: 50.5, 55: 51, 104.5: 75.5, 154: 100, 999: 100} {
		if got := table.Of(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v becomes %v, want %v", v, got, want)
		}
	}
	limit := 70.0
	above := spec.Target{Above: &limit}
	if above.Of(70) != 0 || above.Of(70.1) != 1 || (spec.Target{}).Of(3) != 3 {
		t.Error("above or the plain target is wrong")
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	value := func(s string) suite.Value {
		v, err := suite.ParseValue([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	limit := 70.0
	for _, c := range []struct {
		metric           spec.Metric
		target           spec.Target
		expected, answer string
		want             float64 // NaN: invalid
	}{
		{spec.Metric{Name: "mae"}, spec.Target{}, "3", "5.5", 2.5},
		{spec.Metric{Name: "mae"}, spec.Target{}, "3", `"5"`, math.NaN()},
		{spec.Metric{Name: "mae"}, spec.Target{}, "3", "true", math.NaN()},
		{spec.Metric{Name: "mae"}, spec.Target{Range: &[2]float64{0, 500}}, "3", "-1", math.NaN()},
		{spec.Metric{Name: "rmse"}, spec.Target{}, "3", "5", 4},
		{spec.Metric{Name: "pinball", Quantile: 0.9}, spec.Target{}, "10", "8", 1.8},
		{spec.Metric{Name: "pinball", Quantile: 0.9}, spec.Target{}, "10", "12", 0.2},
		{spec.Metric{Name: "brier"}, spec.Target{}, "true", "0.75", 0.0625},
		{spec.Metric{Name: "brier"}, spec.Target{}, "0", "true", 1},
		{spec.Metric{Name: "logloss"}, spec.Target{}, "1", "0.5", math.Ln2},
		{spec.Metric{Name: "logloss"}, spec.Target{}, "0", "1", -math.Log(1e-15)},
		{spec.Metric{Name: "accuracy"}, spec.Target{}, `"wet"`, `"wet"`, 1},
		{spec.Metric{Name: "accuracy"}, spec.Target{}, `"wet"`, `"dry"`, 0},
		{spec.Metric{Name: "accuracy"}, spec.Target{}, `"1"`, `1`, 0},
		{spec.Metric{Name: "accuracy"}, spec.Target{}, `true`, `0.9`, 1},
		{spec.Metric{Name: "accuracy"}, spec.Target{Above: &limit}, `0`, `0.9`, 0},
		{spec.Metric{Name: "exact"}, spec.Target{}, `2`, `2.0`, 1},
	} {
		got, err := suite.Loss(c.metric, c.target, value(c.expected), value(c.answer))
		if math.IsNaN(c.want) != (err != nil) || err == nil && math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s of %s for %s is %v, %v; want %v", c.metric.Name, c.answer, c.expected, got, err, c.want)
		}
	}
	for _, s := range []string{"", "null", "{}", "[1]", "NaN", "Infinity", "-Infinity", "1e999", "1e13", "nan", "0x1p"} {
		if v, err := suite.ParseValue([]byte(s)); err == nil {
			t.Errorf("%q was read as %s", s, v)
		}
	}
}

const casesYAML = `
run: {command: [python3, x.py]}
suites:
  s:
    data: {format: cases, cases: cases.jsonl, static: [train.csv]}
    splits: SPLITS
    metric: METRIC
    baseline: a
strategies: {a: {}}
`

func casesFS(splits, metric, lines string) fs.FS {
	yaml := strings.NewReplacer("SPLITS", splits, "METRIC", metric).Replace(casesYAML)
	return fstest.MapFS{"experiment.yaml": {Data: []byte(yaml)}, "cases.jsonl": {Data: []byte(lines)}, "train.csv": {Data: []byte("x\n")}}
}

func TestCases(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for i := range 400 {
		b.WriteString(`{"case":"` + string(rune('a'+i%20)) + "-" + strings.Repeat("i", i) + `","cluster":"` + string(rune('a'+i%20)) + string(rune('a'+i/20)) + `","input":{"n":1},"expected":1}` + "\n")
	}
	_, d := open(t, casesFS("{search: {share: 0.5}, select: {share: 0.25}, sealed: {share: 0.25}}", "mae", b.String()), "")
	total, seen := 0, map[string]string{}
	for _, name := range []string{"search", "select", "sealed"} {
		s, _ := d.Split(name)
		total += s.Cases
		if len(s.Rounds) != 1 || s.Rounds[0].Observe != nil {
			t.Errorf("%s has %d rounds", name, len(s.Rounds))
		}
		if name == "search" && (s.Cases < 150 || s.Cases > 250) {
			t.Errorf("half of 400 cases are %d", s.Cases)
		}
		for _, c := range s.Clusters {
			if seen[c] != "" {
				t.Fatalf("the cluster %s is in %s and %s", c, seen[c], name)
			}
			seen[c] = name
		}
	}
	if total != 400 {
		t.Errorf("%d of 400 cases were dealt out", total)
	}
	files, err := d.History("select")
	if diff := cmp.Diff(map[string][]byte{"train.csv": []byte("x\n")}, files); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestCasesByWord(t *testing.T) {
	t.Parallel()
	lines := `{"case":"1","split":"a","cluster":"w","input":{},"expected":"x"}
{"case":"2","split":"b","expected":"y"}

{"case":"3","split":"a","cluster":"w","expected":"z"}`
	_, d := open(t, casesFS("{search: {where: a}, sealed: {where: b}}", "accuracy", lines), "")
	s, _ := d.Split("search")
	if s.Cases != 2 || !slices.Equal(s.Clusters, []string{"w"}) || s.Rounds[0].Cases[1].ID != "3" {
		t.Errorf("%+v", s)
	}
	if _, ok := d.Split("select"); ok {
		t.Error("there is a split that was not declared")
	}
}

func TestBadData(t *testing.T) {
	t.Parallel()
	days := func(csv string) fs.FS {
		return fstest.MapFS{"v.csv": {Data: []byte(csv)}, "experiment.yaml": {Data: []byte(`
run: {command: [x]}
suites:
  s:
    data: {format: station-days, values: v.csv}
    splits: {search: {from: 2006-01-02, to: 2006-01-03}}
    metric: METRIC
    baseline: a
strategies: {a: {}}
`)}}
	}
	for _, c := range []struct {
		name, want string
		fsys       fs.FS
		metric     string
	}{
		{"no file", "which the skill does not have", fstest.MapFS{"experiment.yaml": days("").(fstest.MapFS)["experiment.yaml"]}, "mae"},
		{"no header", "line 1: must begin with a column date", days("day,a\n"), "mae"},
		{"column twice", "line 1: column 3", days("date,a,a\n"), "mae"},
		{"short line", "line 3", days("date,a,b\n2006-01-01,1,2\n2006-01-02,1\n"), "mae"},
		{"no date", "line 2: \"1.1.06\" is no date", days("date,a\n1.1.06,1\n"), "mae"},
		{"days fall", "line 3: 2006-01-01 does not follow", days("date,a\n2006-01-02,1\n2006-01-01,1\n"), "mae"},
		{"no number", "line 2: \"x\" of a is no number", days("date,a\n2006-01-02,x\n"), "mae"},
		{"not finite", "line 2: \"NaN\" of a is no number", days("date,a\n2006-01-02,NaN\n"), "mae"},
		{"no cases", "has no cases", days("date,a\n2005-01-02,1\n"), "mae"},
		{"no event", "needs above", days("date,a\n2006-01-01,1\n2006-01-02,1\n"), "brier"},
		{"no JSON", "cases.jsonl, line 2: is no case", casesFS("{search: {share: 1}}", "METRIC", `{"case":"1","expected":1}`+"\n{"), "mae"},
		{"unknown field", "line 1: is no case", casesFS("{search: {share: 1}}", "METRIC", `{"case":"1","expectd":1}`), "mae"},
		{"twice", "line 2: the case \"1\" is there twice", casesFS("{search: {share: 1}}", "METRIC", `{"case":"1","expected":1}`+"\n"+`{"case":"1","expected":1}`), "mae"},
		{"a word for a number", "expects \"x\"", casesFS("{search: {share: 1}}", "METRIC", `{"case":"1","expected":"x"}`), "mae"},
		{"no probability", "expects 2", casesFS("{search: {share: 1}}", "METRIC", `{"case":"1","expected":2}`), "brier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw, err := fs.ReadFile(c.fsys, "experiment.yaml")
			if err != nil {
				t.Fatal(err)
			}
			s, err := spec.Parse(bytes.ReplaceAll(raw, []byte("METRIC"), []byte(c.metric)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = suite.Load(c.fsys, &s.Suites[0])
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func BenchmarkLoadAndDeal(b *testing.B) {
	fsys := os.DirFS(bundled)
	su, _ := open(b, fsys, "")
	for b.Loop() {
		d, err := suite.Load(fsys, su)
		if err != nil {
			b.Fatal(err)
		}
		d.Split("search")
	}
}
