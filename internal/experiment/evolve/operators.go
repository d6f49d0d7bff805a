package evolve

import (
	"fmt"
	"math"
	"slices"

	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/spec"
)

// mutated changes one to three parameters of a parent; of an ensemble its own, or those of a member, or the members.
func (p *planner) mutated(src *draw.Source, parent Parent) (Child, bool) {
	g := parent.Genome.Clone()
	st := p.Spec.Strategy(g.Strategy)
	if len(g.Members) > 0 {
		switch src.Intn(3) {
		case 0:
			if !p.alterMembers(src, st, &g) {
				return Child{}, false
			}
		case 1:
			m := &g.Members[src.Intn(len(g.Members))]
			m.Params = mutateParams(src, p.Spec.Strategy(m.Strategy), m.Params)
		default:
			g.Params = mutateParams(src, st, g.Params)
		}
		g = g.sorted()
	} else {
		g.Params = mutateParams(src, st, g.Params)
	}
	why := fmt.Sprintf("%s with %s.", parent.Name, changes(parent.Genome, g))
	return Child{Genome: g, Origin: OpParam, Parents: []string{parent.Name}, Rationale: why}, true
}

// alterMembers adds a member, drops one, or exchanges one.
func (p *planner) alterMembers(src *draw.Source, st *spec.Strategy, g *Genome) bool {
	n := len(g.Members)
	add, drop := n < st.Members.Max, n > max(2, st.Members.Min)
	how := src.Intn(3)
	if how == 0 && !add || how == 1 && !drop {
		how = 2
	}
	if how != 0 {
		i := src.Intn(n)
		g.Members = slices.Delete(g.Members, i, i+1)
	}
	if how == 1 {
		return true
	}
	return p.enlarge(src, g, 1)
}

// enlarge adds members of strategies that the ensemble does not have yet, those first that no variant has tried.
func (p *planner) enlarge(src *draw.Source, g *Genome, count int) bool {
	for range count {
		var fresh, tried []*spec.Strategy
		for _, st := range p.Spec.Plain() {
			switch {
			case slices.ContainsFunc(g.Members, func(m spec.Member) bool { return m.Strategy == st.Name }):
			case p.tried[st.Name]:
				tried = append(tried, st)
			default:
				fresh = append(fresh, st)
			}
		}
		pool := fresh
		if len(pool) == 0 || len(tried) > 0 && src.Float() < 0.05 {
			pool = tried
		}
		if len(pool) == 0 {
			return false
		}
		st := pool[src.Intn(len(pool))]
		g.Members = append(g.Members, spec.Member{Strategy: st.Name, Params: st.Defaults()})
	}
	return true
}

// switched takes a parent's shared parameters to another strategy: the wanted one, or one that no variant has tried.
func (p *planner) switched(src *draw.Source, wanted string) (Child, bool) {
	parent := p.Parents[src.Intn(len(p.Parents))]
	var fresh, others []*spec.Strategy
	for _, st := range p.Spec.Plain() {
		switch {
		case st.Name == parent.Strategy || wanted != "" && st.Name != wanted:
		case p.tried[st.Name]:
			others = append(others, st)
		default:
			fresh = append(fresh, st)
		}
	}
	pool := fresh
	if len(pool) == 0 || len(others) > 0 && src.Float() < 0.25 {
		pool = others
	}
	if len(pool) == 0 {
		return Child{}, false
	}
	st := pool[src.Intn(len(pool))]
	params := st.Defaults()
	kept := 0
	for _, name := range sortedKeys(parent.Params) {
		v := parent.Params[name]
		if q := st.Param(name); q != nil && params[name] != nil {
			if checked, wrong := q.Check(v); wrong == "" {
				params[name] = checked
				kept++
			}
		}
	}
	params, wrong := st.Complete(params)
	if wrong != "" {
		return Child{}, false
	}
	g := Genome{Strategy: st.Name, Params: params}
	if p.taken[g.Digest()] {
		g.Params = mutateParams(src, st, g.Params)
	}
	why := fmt.Sprintf("%s switched to the strategy %s.", parent.Name, st.Name)
	if kept > 0 {
		why = fmt.Sprintf("%s switched to the strategy %s, keeping the %d parameters they share.", parent.Name, st.Name, kept)
		if kept == 1 {
			why = fmt.Sprintf("%s switched to the strategy %s, keeping the parameter they share.", parent.Name, st.Name)
		}
	}
	return Child{Genome: g, Origin: OpSwitch, Parents: []string{parent.Name}, Rationale: why}, true
}

// crossed mixes two parents: parameter by parameter within a strategy, member by member among ensembles; between
// different strategies the second gives the parameters that both have, and to an ensemble itself as a member.
func (p *planner) crossed(src *draw.Source) (Child, bool) {
	if len(p.Parents) < 2 {
		return Child{}, false
	}
	i := src.Intn(len(p.Parents))
	j := src.Intn(len(p.Parents) - 1)
	if j >= i {
		j++
	}
	a, b := p.Parents[i], p.Parents[j]
	if len(b.Members) > 0 && len(a.Members) == 0 {
		a, b = b, a
	}
	st := p.Spec.Strategy(a.Strategy)
	g := a.Genome.Clone()
	params := g.Params
	for _, q := range st.Params {
		v, both := b.Params[q.Name]
		if !both || src.Float() < 0.5 {
			continue
		}
		if checked, wrong := q.Check(v); wrong == "" {
			params[q.Name] = checked
		}
	}
	var wrong string
	if g.Params, wrong = st.Complete(params); wrong != "" {
		return Child{}, false
	}
	if len(a.Members) > 0 {
		pool := append(slices.Clone(a.Members), b.asMembers()...)
		g.Members = pick(src, distinct(pool), st.Members.Min+src.Intn(st.Members.Max-st.Members.Min+1))
		g = g.sorted()
	}
	return Child{Genome: g, Origin: OpCrossover, Parents: []string{a.Name, b.Name}, Rationale: fmt.Sprintf("A cross of %s and %s.", a.Name, b.Name)}, true
}

// asMembers is the genome as members of an ensemble: an ensemble gives its own.
func (g Genome) asMembers() []spec.Member {
	if len(g.Members) > 0 {
		return g.Members
	}
	return []spec.Member{{Strategy: g.Strategy, Params: g.Params}}
}

// ensemble combines the parents with strategies that they lack: members that err alike add nothing. Late tries combine just
// the parents.
func (p *planner) ensemble(src *draw.Source, try int) (Child, bool) {
	st := p.Spec.Ensemble()
	if st == nil {
		return Child{}, false
	}
	g := Genome{Strategy: st.Name, Params: st.Defaults()}
	var names []string
	for i, parent := range p.Parents {
		if i > 0 && src.Float() < 0.4 { // often without one, never without the best
			continue
		}
		names = append(names, parent.Name)
		g.Members = append(g.Members, parent.asMembers()...)
	}
	g.Members = pick(src, distinct(g.Members), max(1, st.Members.Max-2))
	room := st.Members.Max - len(g.Members)
	count := max(min(2, room), st.Members.Min-len(g.Members))
	had := len(g.Members)
	if !p.enlarge(src, &g, count) && len(g.Members) < 2 {
		return Child{}, false
	}
	added := make([]string, 0, count)
	for _, m := range g.Members[had:] {
		added = append(added, m.Strategy)
	}
	if try > 0 && src.Float() < 0.5 {
		g.Params = mutateParams(src, st, g.Params)
	}
	g = g.sorted()
	why := fmt.Sprintf("Combines %s.", list(append(slices.Clone(names), added...)))
	return Child{Genome: g, Origin: OpEnsemble, Parents: names, Rationale: why}, true
}

// join combines all parents and nothing else; later tries combine them in other ways.
func (p *planner) join(src *draw.Source, try int) (Child, bool) {
	st := p.Spec.Ensemble()
	if st == nil {
		return Child{}, false
	}
	g := Genome{Strategy: st.Name, Params: st.Defaults()}
	var names []string
	for _, parent := range p.Parents {
		names = append(names, parent.Name)
		g.Members = append(g.Members, parent.asMembers()...)
	}
	g.Members = distinct(g.Members)
	if len(g.Members) > st.Members.Max {
		g.Members = pick(src, g.Members, st.Members.Max)
	}
	if try > 0 {
		g.Params = mutateParams(src, st, g.Params)
	}
	g = g.sorted()
	return Child{Genome: g, Origin: OpEnsemble, Parents: names, Rationale: fmt.Sprintf("Combines %s.", list(names))}, true
}

func distinct(members []spec.Member) []spec.Member {
	var out []spec.Member
	seen := map[string]bool{}
	for _, m := range members {
		if text := memberText(m); !seen[text] {
			seen[text] = true
			out = append(out, spec.Member{Strategy: m.Strategy, Params: m.Params.Clone()})
		}
	}
	return out
}

// pick takes at most n members at random, in their order.
func pick(src *draw.Source, members []spec.Member, n int) []spec.Member {
	for len(members) > n {
		i := src.Intn(len(members))
		members = slices.Delete(members, i, i+1)
	}
	return members
}

func (p *planner) sampleMembers(src *draw.Source, st *spec.Strategy) []spec.Member {
	g := Genome{}
	plain := p.Spec.Plain()
	n := min(max(st.Members.Min, 2)+src.Intn(2), st.Members.Max, len(plain))
	for range n {
		q := plain[src.Intn(len(plain))]
		if !slices.ContainsFunc(g.Members, func(m spec.Member) bool { return m.Strategy == q.Name }) {
			g.Members = append(g.Members, spec.Member{Strategy: q.Name, Params: q.Defaults()})
		}
	}
	return g.sorted().Members
}

// sampleParams draws every parameter anew from its range.
func sampleParams(src *draw.Source, s *spec.Spec, st *spec.Strategy) spec.Params {
	p := spec.Params{}
	for i := range st.Params {
		q := &st.Params[i]
		switch q.Kind {
		case spec.Choice:
			p[q.Name] = q.Options[src.Intn(len(q.Options))]
		case spec.Bool:
			p[q.Name] = src.Intn(2) == 1
		case spec.Angle:
			p[q.Name] = math.Floor(src.Float() * 360)
		default:
			p[q.Name] = fromUnit(q, src.Float())
		}
	}
	out, wrong := st.Complete(p)
	if wrong != "" || !holds(s, st.Name, out) {
		return st.Defaults()
	}
	return out
}
