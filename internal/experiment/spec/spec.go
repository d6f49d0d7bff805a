// Package spec reads experiment.yaml: how the variants of a skill are run, what they are measured by, and in what they
// may differ.
//
// Reading is strict. Every mistake is an error that names the line and the path, and all of them are reported at once.
package spec

import (
	"path"
	"strings"
	"time"
)

// File is where a skill keeps its experiment, unless the metadata of its SKILL.md name another file.
const File = "experiment.yaml"

// Spec is a checked experiment.yaml.
type Spec struct {
	Run         Run
	Mutable     []string // paths of the skill that a variant may change
	Suites      []Suite  // as declared
	Strategies  []Strategy
	Constraints []Constraint
}

// Run says how one variant is run.
type Run struct {
	Command []string      // run in the skill's folder
	Timeout time.Duration // for one whole session
}

// The formats of data.
const (
	StationDays = "station-days" // a table of days with one column a station; the case is tomorrow's value of a station
	Cases       = "cases"        // JSON lines, each one case with its input and expected value
)

// Suite is one set of cases with its measure.
type Suite struct {
	Name        string
	Description string
	Default     bool
	Data        Data
	Target      Target
	Search      Split // where variants are compared and bred
	Select      Split // where finalists are compared; zero when there is none
	Sealed      Split // where only the best is measured; zero when there is none
	Metric      Metric
	Others      []Metric // further metrics that may be chosen
	Baseline    Baseline
	Block       int // clusters that go together, for intervals: 7 for days
}

// Data names the files of a suite. They are withheld from variants.
type Data struct {
	Format string
	Values string   // station-days: the table
	Sites  string   // station-days: coordinates, or ""
	Cases  string   // cases: the JSON lines
	Static []string // files that variants get as they are
}

// Withheld lists the files that no variant may see before the platform hands them out.
func (d Data) Withheld() []string {
	var out []string
	for _, f := range append([]string{d.Values, d.Sites, d.Cases}, d.Static...) {
		if f != "" {
			out = append(out, f)
		}
	}
	return out
}

// Target says how a measurement becomes the expected value.
type Target struct {
	Transform string       // a name for people
	Table     [][2]float64 // points of a rising polyline; outside it the nearest end holds
	Above     *float64     // when set, the expected value is 1 above this measurement and 0 otherwise
	Range     *[2]float64  // when set, an answer outside it is invalid
}

// Split is a part of a suite.
type Split struct {
	From, To time.Time // first and last day to predict, for data with days
	Share    float64   // share of the clusters, for data without
	Where    string    // value of the cases' "split", for data without
}

// IsZero tells that the split is not there.
func (s Split) IsZero() bool { return s == Split{} }

// The splits.
const (
	Search = "search"
	Select = "select"
	Sealed = "sealed"
)

// Split answers a split by name; the zero Split when the suite has none of it.
func (s *Suite) Split(name string) Split {
	switch name {
	case Search:
		return s.Search
	case Select:
		return s.Select
	case Sealed:
		return s.Sealed
	}
	return Split{}
}

// Directions of a metric.
const (
	Lower  = "lower"
	Higher = "higher"
)

// Metric is a measure of a variant.
type Metric struct {
	Name      string
	Direction string  // lower or higher is better
	Quantile  float64 // of pinball
}

// LowerIsBetter tells the metric's direction.
func (m Metric) LowerIsBetter() bool { return m.Direction == Lower }

// builtin are the metrics that the platform computes, with the direction in which they are better.
var builtin = map[string]string{
	"mae": Lower, "rmse": Lower, "pinball": Lower, "brier": Lower, "logloss": Lower, "accuracy": Higher, "exact": Higher,
}

// DirectionOf is the direction in which a built-in metric is better.
func DirectionOf(metric string) string { return builtin[metric] }

// Baseline is what every variant is compared with.
type Baseline struct {
	Strategy string
	Params   Params
}

// Strategy is one way to do the task.
type Strategy struct {
	Name        string
	Description string
	Dimensions  []Dimension
	Params      []Param
	Members     *Members // set for the strategy that combines others
}

// Dimension says in what a strategy differs from others, such as {"algorithm", "regression"}.
type Dimension struct{ Name, Value string }

// Members bounds the strategies that an ensemble combines.
type Members struct {
	Min, Max int
	Default  []Member
}

// Member is a strategy inside an ensemble.
type Member struct {
	Strategy string `json:"strategy"`
	Params   Params `json:"params"`
}

// Suite finds a suite; "" is the default one.
func (s *Spec) Suite(name string) (*Suite, bool) {
	for i := range s.Suites {
		if su := &s.Suites[i]; su.Name == name || name == "" && su.Default {
			return su, true
		}
	}
	return nil, false
}

// Strategy finds a strategy, or nil.
func (s *Spec) Strategy(name string) *Strategy {
	for i := range s.Strategies {
		if s.Strategies[i].Name == name {
			return &s.Strategies[i]
		}
	}
	return nil
}

// Ensemble is the strategy that combines others, or nil.
func (s *Spec) Ensemble() *Strategy {
	for i := range s.Strategies {
		if s.Strategies[i].Members != nil {
			return &s.Strategies[i]
		}
	}
	return nil
}

// Plain lists the strategies that are no ensemble.
func (s *Spec) Plain() []*Strategy {
	var out []*Strategy
	for i := range s.Strategies {
		if s.Strategies[i].Members == nil {
			out = append(out, &s.Strategies[i])
		}
	}
	return out
}

// Withheld lists the files of all suites that are never placed into an instance with the skill.
func (s *Spec) Withheld() []string {
	var out []string
	for _, su := range s.Suites {
		out = append(out, su.Data.Withheld()...)
	}
	return out
}

// MetricNamed finds a metric of the suite; "" is the suite's first. A built-in metric that fits the kind of target need
// not be declared.
func (s *Suite) MetricNamed(name string) (Metric, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" || name == s.Metric.Name {
		return s.Metric, true
	}
	for _, m := range s.Others {
		if m.Name == name {
			return m, true
		}
	}
	fits := false
	switch s.Metric.Name {
	case "mae", "rmse", "pinball":
		fits = name == "mae" || name == "rmse"
	case "brier", "logloss":
		fits = name == "brier" || name == "logloss"
	}
	if !fits {
		return Metric{}, false
	}
	return Metric{Name: name, Direction: builtin[name]}, true
}

// MetricNames lists the metrics that MetricNamed finds, for messages.
func (s *Suite) MetricNames() []string {
	out := []string{s.Metric.Name}
	for _, name := range []string{"mae", "rmse", "pinball", "brier", "logloss", "accuracy", "exact"} {
		if _, ok := s.MetricNamed(name); ok && name != s.Metric.Name {
			out = append(out, name)
		}
	}
	return out
}

// SuiteNames lists the suites, for messages.
func (s *Spec) SuiteNames() []string {
	out := make([]string, len(s.Suites))
	for i, su := range s.Suites {
		out[i] = su.Name
	}
	return out
}

// localPath tells whether p stays inside the skill.
func localPath(p string) bool {
	return p != "" && !strings.HasPrefix(p, "/") && !strings.Contains(p, "\\") && path.Clean(p) == p && p != "." && p != ".." && !strings.HasPrefix(p, "../")
}

// Of is the expected value of a measurement.
func (t Target) Of(v float64) float64 {
	if t.Above != nil {
		if v > *t.Above {
			return 1
		}
		return 0
	}
	n := len(t.Table)
	if n == 0 {
		return v
	}
	if v <= t.Table[0][0] {
		return t.Table[0][1]
	}
	for i := 1; i < n; i++ {
		if v < t.Table[i][0] {
			a, b := t.Table[i-1], t.Table[i]
			return a[1] + (b[1]-a[1])*(v-a[0])/(b[0]-a[0])
		}
	}
	return t.Table[n-1][1]
}
