package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"yardmaster/internal/errs"
)

// MaxSize bounds an experiment.yaml, in bytes.
const MaxSize = 64 << 10

// Limits of what may be declared.
const (
	maxStrategies = 100
	maxParams     = 100
	maxSuites     = 50
	maxTimeout    = time.Hour
	maxLine       = 4096
	maxDepth      = 64
)

var nameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// Parse reads an experiment.yaml. The error, of code invalid, names every mistake with its line and path.
func Parse(data []byte) (*Spec, error) {
	if len(data) > MaxSize {
		return nil, errs.New(errs.TooLarge, "%s has %d bytes; at most %d are allowed.", File, len(data), MaxSize)
	}
	if err := simple(data); err != nil {
		return nil, err
	}
	r := &reader{}
	s := &Spec{}
	if doc := r.document(data); doc != nil {
		r.spec(doc, s)
	}
	if len(r.bad) > 0 {
		return nil, errs.BadFields(r.bad)
	}
	return s, nil
}

// simple refuses text that nests so deep that parsing it would take minutes.
func simple(data []byte) error {
	line, start, depth := 1, 0, 0
	for i, c := range data {
		switch c {
		case '\n':
			line, start = line+1, i+1
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if i-start > maxLine || depth > maxDepth {
			return errs.BadField("(document)", "line %d: is too long or nests too deep; a line may have %d characters, brackets may nest %d deep", line, maxLine, maxDepth)
		}
	}
	return nil
}

func (r *reader) spec(doc ast.Node, s *Spec) {
	var suites, constraints ast.Node
	r.fields(doc, "", []string{"run", "suites", "strategies"}, map[string]func(ast.Node, string){
		"run":         func(n ast.Node, p string) { s.Run = r.run(n, p) },
		"mutable":     func(n ast.Node, p string) { s.Mutable = r.texts(n, p) },
		"strategies":  func(n ast.Node, p string) { s.Strategies = r.strategies(n, p) },
		"suites":      func(n ast.Node, _ string) { suites = n },
		"constraints": func(n ast.Node, _ string) { constraints = n },
	})
	// Suites and constraints name strategies and parameters, which may be declared below them.
	r.members(s)
	if suites != nil {
		s.Suites = r.suites(suites, "suites", s)
	}
	if constraints != nil && len(r.bad) == 0 { // else they may name what could not be read
		s.Constraints = r.constraints(constraints, "constraints", s)
	}
}

func (r *reader) run(n ast.Node, path string) Run {
	run := Run{Timeout: time.Minute}
	r.fields(n, path, []string{"command"}, map[string]func(ast.Node, string){
		"command": func(n ast.Node, p string) {
			run.Command = r.texts(n, p)
			if len(run.Command) == 0 || run.Command[0] == "" {
				r.fail(p, n, "must name a program, such as [python3, scripts/predict.py]")
			}
		},
		"timeout": func(n ast.Node, p string) {
			v, _ := r.scalar(n, p)
			d, err := time.ParseDuration(fmt.Sprint(v))
			if err != nil || d < time.Second || d > maxTimeout {
				r.fail(p, n, "must be a time from 1s to 1h, such as 60s")
				return
			}
			run.Timeout = d
		},
	})
	return run
}

func (r *reader) name(e entry) bool {
	if nameForm.MatchString(e.key) {
		return true
	}
	r.fail(e.path, e.value, "must be named with letters, digits, - and _, beginning with a letter")
	return false
}

func (r *reader) strategies(n ast.Node, path string) []Strategy {
	entries := r.mapping(n, path)
	if len(entries) == 0 {
		r.fail(path, n, "must declare at least one strategy")
	}
	if len(entries) > maxStrategies {
		r.fail(path, n, "declares %d strategies; at most %d are allowed", len(entries), maxStrategies)
		return nil
	}
	out := make([]Strategy, 0, len(entries))
	ensembles := 0
	for _, e := range entries {
		r.name(e)
		st := Strategy{Name: e.key}
		r.fields(e.value, e.path, nil, map[string]func(ast.Node, string){
			"description": func(n ast.Node, p string) { st.Description = r.text(n, p) },
			"dimensions": func(n ast.Node, p string) {
				for _, d := range r.mapping(n, p) {
					st.Dimensions = append(st.Dimensions, Dimension{d.key, r.text(d.value, d.path)})
				}
			},
			"params":  func(n ast.Node, p string) { st.Params = r.params(n, p) },
			"members": func(n ast.Node, p string) { st.Members = r.memberBounds(n, p) },
		})
		if st.Members != nil {
			if ensembles++; ensembles > 1 {
				r.fail(e.path+".members", e.value, "only one strategy may combine others")
			}
		}
		out = append(out, st)
	}
	if len(entries) > 0 && ensembles == len(entries) {
		r.fail(path, n, "must declare a strategy that is no ensemble")
	}
	return out
}

func (r *reader) memberBounds(n ast.Node, path string) *Members {
	m := &Members{Min: 2, Max: 5}
	r.fields(n, path, nil, map[string]func(ast.Node, string){
		"min": func(n ast.Node, p string) { m.Min = r.whole(n, p, 1, 20) },
		"max": func(n ast.Node, p string) { m.Max = r.whole(n, p, 2, 20) },
		"default": func(n ast.Node, p string) {
			for i, item := range r.list(n, p) {
				m.Default = append(m.Default, r.member(item, fmt.Sprintf("%s.%d", p, i)))
			}
		},
	})
	if m.Min > m.Max {
		r.fail(path, n, "its min is above its max")
	}
	return m
}

func (r *reader) member(n ast.Node, path string) Member {
	m := Member{Params: Params{}}
	if t, ok := n.(*ast.StringNode); ok {
		m.Strategy = t.Value
		return m
	}
	r.fields(n, path, []string{"strategy"}, map[string]func(ast.Node, string){
		"strategy": func(n ast.Node, p string) { m.Strategy = r.text(n, p) },
		"params":   func(n ast.Node, p string) { m.Params = r.values(n, p) },
	})
	return m
}

func (r *reader) values(n ast.Node, path string) Params {
	out := Params{}
	for _, e := range r.mapping(n, path) {
		if v, ok := r.scalar(e.value, e.path); ok {
			out[e.key] = v
		}
	}
	return out
}

// members checks the default members of the ensemble, once all strategies are known.
func (r *reader) members(s *Spec) {
	for i := range s.Strategies {
		st := &s.Strategies[i]
		if st.Members == nil {
			continue
		}
		path := "strategies." + st.Name + ".members.default"
		if n := len(st.Members.Default); n > 0 && (n < st.Members.Min || n > st.Members.Max) {
			r.fail(path, nil, "names %d members; allowed are %d to %d", n, st.Members.Min, st.Members.Max)
		}
		for j := range st.Members.Default {
			m := &st.Members.Default[j]
			m.Params = r.variant(s, m.Strategy, m.Params, fmt.Sprintf("%s.%d", path, j))
		}
	}
}

// variant checks a plain strategy with params and completes them.
func (r *reader) variant(s *Spec, strategy string, p Params, path string) Params {
	st := s.Strategy(strategy)
	switch {
	case st == nil:
		r.fail(join(path, "strategy"), nil, "%q is not declared; declared are %s", strategy, strings.Join(s.strategyNames(), ", "))
		return nil
	case st.Members != nil:
		r.fail(join(path, "strategy"), nil, "%q combines others and can't be used here", strategy)
		return nil
	}
	out, wrong := st.Complete(p)
	if wrong != "" {
		r.fail(join(path, "params"), nil, "%s", wrong)
	}
	return out
}

func (s *Spec) strategyNames() []string {
	out := make([]string, len(s.Strategies))
	for i, st := range s.Strategies {
		out[i] = st.Name
	}
	return out
}

func (r *reader) constraints(n ast.Node, path string, s *Spec) []Constraint {
	isName := func(w string) bool {
		return slices.ContainsFunc(s.Strategies, func(st Strategy) bool { return st.Param(w) != nil })
	}
	var out []Constraint
	for i, item := range r.list(n, path) {
		at := fmt.Sprintf("%s.%d", path, i)
		c, err := parseConstraint(r.text(item, at), isName)
		if err != nil {
			r.fail(at, item, "%s", err)
			continue
		}
		out = append(out, c)
	}
	for i := range s.Strategies {
		st := &s.Strategies[i]
		for j, c := range out {
			if !c.Holds(st.Name, st.Defaults()) {
				r.fail(fmt.Sprintf("%s.%d", path, j), n, "%q does not hold for the defaults of strategy %s", c.Text, st.Name)
			}
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
