package evolve_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/experiment/spec"
)

const text = `
run: {command: [python3, predict.py]}
suites:
  s:
    data: {format: cases, cases: cases.jsonl}
    splits: {search: {share: 1}}
    metric: mae
    baseline: plain
strategies:
  plain:
    description: Tomorrow equals today.
  blend:
    description: A weighted mean of today and the last days.
    params: {weight: {float: [0, 1], default: 0.8}, window: {int: [2, 60], default: 14}}
  ar:
    description: Autoregression on the last days.
    dimensions: {algorithm: regression}
    params:
      lags: {int: [1, 14], default: 1}
      window: {int: [5, 30], default: 20}
      ridge: {log: [0.01, 10000], default: 1}
      transform: {choice: [lin, sqrt, log], default: log}
      upwind: {bool: true, default: false}
      from: {angle: true, when: upwind}
  spatial:
    description: Uses the neighbours of a station.
    dimensions: {data: neighbouring stations}
    params: {radius: {log: [20, 400], default: 100}}
  seasons:
    description: Season and weekday.
  ensemble:
    description: Combines the answers of others.
    dimensions: {algorithm: ensemble}
    members: {min: 2, max: 4, default: [blend, ar]}
    params: {combine: {choice: [mean, median, weighted]}, power: {float: [0.5, 8], default: 2, when: {combine: weighted}}}
constraints: ["lags <= window"]
`

func declared(t testing.TB) *spec.Spec {
	t.Helper()
	s, err := spec.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func first(s *spec.Spec, seed uint64, size int, focus string) evolve.Plan {
	return evolve.First(evolve.Request{Spec: s, Seed: seed, Size: size, Focus: evolve.ReadFocus(s, focus)})
}

// next plans a generation from the named children of the last one.
func next(s *spec.Spec, seed uint64, generation, size int, focus string, parents []evolve.Parent, known, tried map[string]bool) evolve.Plan {
	return evolve.Next(evolve.Request{Spec: s, Seed: seed, Generation: generation, Size: size, Focus: evolve.ReadFocus(s, focus),
		Parents: parents, Known: known, Tried: tried})
}

func note(p evolve.Plan, known, tried map[string]bool) {
	for _, c := range p.Children {
		known[c.Genome.Digest()] = true
		tried[c.Genome.Strategy] = true
		for _, m := range c.Genome.Members {
			tried[m.Strategy] = true
		}
	}
}

func TestFirstTakesStrategiesInOrder(t *testing.T) {
	t.Parallel()
	s := declared(t)
	p := first(s, 1, 5, "")
	var names []string
	for _, c := range p.Children {
		names = append(names, c.Genome.Strategy)
		if c.Origin != evolve.OpSeed || c.Rationale == "" {
			t.Errorf("%+v", c)
		}
	}
	if diff := cmp.Diff([]string{"plain", "blend", "ar", "spatial", "seasons"}, names); diff != "" || p.Notes != nil {
		t.Error(diff, p.Notes)
	}
}

func TestFirstFillsWithParameterVariants(t *testing.T) {
	t.Parallel()
	s := declared(t)
	p := first(s, 1, 12, "")
	if len(p.Children) != 12 {
		t.Fatalf("%d variants, %v", len(p.Children), p.Notes)
	}
	for _, c := range p.Children[6:] {
		if c.Origin != evolve.OpParam || !strings.HasPrefix(c.Rationale, "A parameter variant of ") {
			t.Errorf("%+v", c)
		}
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "6 of the 12") {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestFirstWithFocus(t *testing.T) {
	t.Parallel()
	p := first(declared(t), 3, 5, "the ensemble approach")
	n := 0
	for _, c := range p.Children {
		if c.Genome.Strategy == "ensemble" {
			n++
		}
	}
	if n < 3 || len(p.Children) != 5 {
		t.Errorf("%d of %d variants are ensembles", n, len(p.Children))
	}
}

// A space with nothing left gives fewer variants and says so.
func TestExhausted(t *testing.T) {
	t.Parallel()
	s, err := spec.Parse([]byte(strings.Split(text, "  blend:")[0] + "  other: {params: {on: {bool: true}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := evolve.First(evolve.Request{Spec: s, Seed: 1, Size: 9})
	if len(p.Children) != 3 || len(p.Notes) == 0 || !strings.Contains(p.Notes[len(p.Notes)-1], "Only 3 of 9") {
		t.Errorf("%d variants, %q", len(p.Children), p.Notes)
	}
	known, tried := map[string]bool{}, map[string]bool{}
	note(p, known, tried)
	q := next(s, 1, 2, 3, "", []evolve.Parent{{Name: "v1", Genome: p.Children[0].Genome}}, known, tried)
	if len(q.Children) != 1 || len(q.Notes) == 0 {
		t.Errorf("%+v", q)
	}
}

func TestReadFocus(t *testing.T) {
	t.Parallel()
	s := declared(t)
	for _, c := range []struct {
		text       string
		strategies []string
		operators  []string
	}{
		{"", nil, nil},
		{"the ensemble approach", []string{"ensemble"}, nil},
		{"Focus on ensembles", []string{"ensemble"}, nil},
		{"combining the best ones", []string{"ensemble"}, nil},
		{"blend", []string{"blend"}, nil},
		{"neighbours", []string{"spatial"}, nil},
		{"regression and spatial", []string{"spatial"}, nil},
		{"regression", []string{"ar"}, nil},
		{"seasonal effects", []string{"seasons"}, nil},
		{"weekday", []string{"seasons"}, nil},
		{"blend or ar", []string{"blend", "ar"}, nil},
		{"tune the parameters", nil, []string{evolve.OpParam}},
		{"more diversity", nil, []string{evolve.OpSwitch}},
		{"quantum gravity", nil, nil},
	} {
		f := evolve.ReadFocus(s, c.text)
		if diff := cmp.Diff([][]string{c.strategies, c.operators}, [][]string{f.Strategies, f.Operators}); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
		if (f.Note == "") != (c.text == "") {
			t.Errorf("%q: note %q", c.text, f.Note)
		}
	}
	if f := evolve.ReadFocus(s, "quantum gravity"); !strings.Contains(f.Note, "matches no strategy") {
		t.Errorf("note %q", f.Note)
	}
}

// Whatever is asked for: children are allowed, new and different from each other, their parents are those that were given,
// and a focus is kept.
func TestNextProperties(t *testing.T) {
	t.Parallel()
	s := declared(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		focus := rapid.SampledFrom([]string{"", "ensemble", "ar", "tune", "spatial or blend"}).Draw(t, "focus")
		known, tried := map[string]bool{}, map[string]bool{}
		p := first(s, seed, rapid.IntRange(2, 8).Draw(t, "first"), "")
		note(p, known, tried)
		last := p.Children
		for g := 2; g <= 4; g++ {
			keep := rapid.IntRange(1, min(3, len(last))).Draw(t, "keep")
			size := keep + rapid.IntRange(1, 5).Draw(t, "more")
			var parents []evolve.Parent
			names := map[string]bool{}
			for i := range keep {
				name := fmt.Sprintf("gen%d-v%d", g-1, i+1)
				parents = append(parents, evolve.Parent{Name: name, Genome: last[i].Genome})
				names[name] = true
			}
			plan := next(s, seed, g, size, focus, parents, known, tried)
			if len(plan.Children) != size {
				t.Fatalf("%d of %d: %v", len(plan.Children), size, plan.Notes)
			}
			here, focused := map[string]bool{}, 0
			want := evolve.ReadFocus(s, focus).Strategies
			for i, c := range plan.Children {
				d := c.Genome.Digest()
				if !c.Genome.Valid(s) {
					t.Fatalf("%+v is not allowed", c.Genome)
				}
				if i >= keep && (known[d] || here[d] || c.Origin == evolve.OpClone) {
					t.Fatalf("%+v is not new", c)
				}
				here[d] = true
				for _, name := range c.Parents {
					if !names[name] {
						t.Fatalf("%s is no parent", name)
					}
				}
				if len(c.Parents) == 0 || c.Rationale == "" {
					t.Fatalf("%+v", c)
				}
				if i < keep && d != parents[i].Digest() {
					t.Fatal("an elite changed")
				}
				if i >= keep && slices.Contains(want, c.Genome.Strategy) {
					focused++
				}
			}
			if len(want) > 0 && float64(focused) < evolve.FocusShare*float64(size-keep) && len(plan.Notes) == 0 {
				t.Fatalf("%d of %d children have the focus %q", focused, size-keep, focus)
			}
			note(plan, known, tried)
			last = plan.Children
		}
	})
}

// The same seed gives the same lineage, another seed another one.
func TestSameSeedSameLineage(t *testing.T) {
	t.Parallel()
	s := declared(t)
	run := func(seed uint64) string {
		known, tried := map[string]bool{}, map[string]bool{}
		var entries []evolve.Entry
		p := first(s, seed, 5, "")
		for g := 1; ; g++ {
			byName := map[string]string{}
			var parents []evolve.Parent
			for i, c := range p.Children {
				var from []string
				for _, name := range c.Parents {
					from = append(from, byName[name])
				}
				entries = append(entries, evolve.Entry{Generation: g, Slot: i, Origin: c.Origin, Digest: c.Genome.Digest(), Parents: from})
				if i < 2 {
					parents = append(parents, evolve.Parent{Name: fmt.Sprint(g, i), Genome: c.Genome})
				}
			}
			if g == 6 {
				return evolve.LineageDigest(entries)
			}
			note(p, known, tried)
			p = next(s, seed, g+1, 5, "", parents, known, tried)
		}
	}
	if first, again := run(42), run(42); first != again {
		t.Error("the same seed gave another lineage")
	}
	if run(42) == run(43) {
		t.Error("another seed gave the same lineage")
	}
}

// All operators come to bear over many seeds, and ensembles try strategies that nobody has tried.
func TestOperatorsOccur(t *testing.T) {
	t.Parallel()
	s := declared(t)
	p := first(s, 1, 3, "")
	known, tried := map[string]bool{}, map[string]bool{}
	note(p, known, tried)
	parents := []evolve.Parent{{Name: "v2", Genome: p.Children[1].Genome}, {Name: "v3", Genome: p.Children[2].Genome}}
	seen, fresh := map[string]int{}, 0
	for seed := range uint64(200) {
		for _, c := range next(s, seed, 2, 5, "", parents, known, tried).Children[2:] {
			seen[c.Origin]++
		}
		for _, c := range next(s, seed, 2, 5, "ensemble", parents, known, tried).Children[2:] {
			if slices.ContainsFunc(c.Genome.Members, func(m spec.Member) bool { return !tried[m.Strategy] }) {
				fresh++
			}
		}
	}
	for _, op := range []string{evolve.OpParam, evolve.OpSwitch, evolve.OpCrossover, evolve.OpEnsemble} {
		if seen[op] < 30 {
			t.Errorf("%s came %d times in 600 children", op, seen[op])
		}
	}
	if fresh < 200 {
		t.Errorf("%d ensembles have a strategy that was not tried before", fresh)
	}
}

func TestCombine(t *testing.T) {
	t.Parallel()
	s := declared(t)
	p := first(s, 1, 5, "")
	known, tried := map[string]bool{}, map[string]bool{}
	note(p, known, tried)
	r := evolve.Request{Spec: s, Seed: 1, Generation: 1, Size: 5, Known: known, Tried: tried,
		Parents: []evolve.Parent{{Name: "v3", Genome: p.Children[2].Genome}, {Name: "v4", Genome: p.Children[3].Genome}}}
	c, ok := evolve.Combine(r)
	if !ok || c.Origin != evolve.OpEnsemble || len(c.Genome.Members) != 2 || c.Rationale != "Combines v3 and v4." {
		t.Fatalf("%+v", c)
	}
	known[c.Genome.Digest()] = true
	d, ok := evolve.Combine(r)
	if !ok || d.Genome.Digest() == c.Genome.Digest() || cmp.Equal(d.Genome.Params, c.Genome.Params) {
		t.Errorf("the second time: %+v", d)
	}
}

func TestDigestIgnoresTheOrderOfMembers(t *testing.T) {
	t.Parallel()
	a := spec.Member{Strategy: "a", Params: spec.Params{"x": 1.0}}
	b := spec.Member{Strategy: "b", Params: spec.Params{}}
	one := evolve.Genome{Strategy: "e", Members: []spec.Member{a, b}}
	two := evolve.Genome{Strategy: "e", Params: spec.Params{}, Members: []spec.Member{b, a}}
	if one.Digest() != two.Digest() {
		t.Error("digests differ")
	}
	if one.Digest() == (evolve.Genome{Strategy: "e", Members: []spec.Member{a}}).Digest() {
		t.Error("digests are equal")
	}
}
