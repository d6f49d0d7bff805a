package evolve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/spec"
)

// The operators: how a variant comes to be.
const (
	OpSeed      = "seed"  // a declared strategy as it is
	OpClone     = "clone" // an elite, unchanged
	OpParam     = "param"
	OpSwitch    = "switch"
	OpCrossover = "crossover"
	OpEnsemble  = "ensemble"
)

// Parent is a variant that children are made of.
type Parent struct {
	Name string
	Genome
}

// Request asks for a generation.
type Request struct {
	Spec       *spec.Spec
	Seed       uint64 // of the experiment
	Generation int    // 1 is the first
	Size       int    // variants in all
	Parents    []Parent
	// Known are the digests of all variants there ever were. No child, elites apart, has one of them.
	Known map[string]bool
	// Tried are the strategies of all variants there ever were, also inside ensembles.
	Tried map[string]bool
	Focus Focus
}

// Child is a planned variant.
type Child struct {
	Genome    Genome
	Origin    string   // an operator
	Parents   []string // names
	Rationale string   // a plain sentence
}

// Plan is a generation before it runs.
type Plan struct {
	Children []Child
	Notes    []string // plain sentences on what is not as asked for
}

// attempts is how often a slot is drawn again when its child is known already or not allowed.
const attempts = 64

type planner struct {
	Request
	plan  Plan
	taken map[string]bool // Known, and what was planned
	tried map[string]bool // Tried, and what was planned
}

func (r Request) planner() *planner {
	p := &planner{Request: r, taken: maps.Clone(r.Known), tried: maps.Clone(r.Tried)}
	if p.taken == nil {
		p.taken = map[string]bool{}
	}
	if p.tried == nil {
		p.tried = map[string]bool{}
	}
	return p
}

func (p *planner) add(c Child) {
	p.plan.Children = append(p.plan.Children, c)
	p.taken[c.Genome.Digest()] = true
	p.tried[c.Genome.Strategy] = true
	for _, m := range c.Genome.Members { // the next child tries others
		p.tried[m.Strategy] = true
	}
}

// fits tells whether a genome is allowed and new.
func (p *planner) fits(g Genome) bool { return g.Valid(p.Spec) && !p.taken[g.Digest()] }

// source is the stream of draws for one try at a slot: a function of seed, generation, slot and try.
func (p *planner) source(slot, try int) *draw.Source {
	return draw.New(p.Seed, uint64(p.Generation), uint64(slot), uint64(try))
}

// First plans generation 1: one variant for each of the first strategies as declared. When there are fewer strategies
// than variants, the rest are variants in parameters, labelled so. With a focus, at least FocusShare of the variants have
// its strategies.
func First(r Request) Plan {
	r.Generation = 1
	p := r.planner()
	focused := 0
	if len(r.Focus.Strategies) > 0 {
		focused = int(math.Ceil(FocusShare * float64(r.Size)))
	}
	for i := range focused {
		name := r.Focus.Strategies[i%len(r.Focus.Strategies)]
		if g := p.seed(p.Spec.Strategy(name)); p.fits(g) {
			p.add(p.seedChild(g))
		} else if c, ok := p.sampled([]string{name}, i); ok {
			p.add(c)
		}
	}
	for i := range p.Spec.Strategies {
		if len(p.plan.Children) >= r.Size {
			break
		}
		if g := p.seed(&p.Spec.Strategies[i]); p.fits(g) {
			p.add(p.seedChild(g))
		}
	}
	declared := len(p.plan.Children)
	var all []string
	for i := range p.Spec.Strategies {
		all = append(all, p.Spec.Strategies[i].Name)
	}
	for slot := declared; slot < r.Size; slot++ {
		start := (slot - declared) % len(all) // each strategy in its turn
		c, ok := p.sampled(append(slices.Clone(all[start:]), all[:start]...), slot)
		if !ok {
			break
		}
		p.add(c)
	}
	if n := len(p.plan.Children); n > declared {
		p.note("The skill declares %d strategies; %d of the %d variants are further parameter variants of them.", len(all), n-declared, n)
	}
	p.short()
	return p.plan
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

// short notes that there are fewer variants than asked for.
func (p *planner) short() {
	if n := len(p.plan.Children); n < p.Size {
		p.note("Only %d of %d variants were made: there are no more different ones within the declared strategies and ranges.", n, p.Size)
	}
}

// seed is a strategy with its defaults.
func (p *planner) seed(st *spec.Strategy) Genome {
	g := Genome{Strategy: st.Name, Params: st.Defaults()}
	if st.Members == nil {
		return g
	}
	g.Members = slices.Clone(st.Members.Default)
	for _, plain := range p.Spec.Plain() {
		if len(st.Members.Default) > 0 || len(g.Members) >= max(2, st.Members.Min) {
			break
		}
		g.Members = append(g.Members, spec.Member{Strategy: plain.Name, Params: plain.Defaults()})
	}
	return g.sorted()
}

func (p *planner) seedChild(g Genome) Child {
	why := p.Spec.Strategy(g.Strategy).Description
	if why == "" {
		why = "The strategy " + g.Strategy + " as declared."
	}
	return Child{Genome: g, Origin: OpSeed, Rationale: why}
}

// sampled makes a new variant of the first of the strategies that has one.
func (p *planner) sampled(strategies []string, slot int) (Child, bool) {
	for _, name := range strategies {
		st := p.Spec.Strategy(name)
		for try := range attempts {
			src := p.source(slot, try)
			g := Genome{Strategy: name, Params: sampleParams(src, p.Spec, st)}
			if st.Members != nil {
				g.Members = p.sampleMembers(src, st)
			}
			if p.fits(g) {
				return Child{Genome: g, Origin: OpParam, Rationale: "A parameter variant of " + g.Describe() + ": " + changes(p.seed(st), g) + "."}, true
			}
		}
	}
	return Child{}, false
}

// Next plans a generation: the parents as elites, then children of them up to Size.
func Next(r Request) Plan {
	p := r.planner()
	for _, parent := range r.Parents {
		p.add(Child{Genome: parent.Genome.Clone(), Origin: OpClone, Parents: []string{parent.Name}, Rationale: "Kept as it is from the generation before."})
	}
	elites := len(p.plan.Children)
	focused := 0
	if len(r.Focus.Strategies) > 0 {
		focused = int(math.Ceil(FocusShare * float64(r.Size-elites)))
	}
	missed := false
	for slot := elites; slot < r.Size; slot++ {
		wanted := ""
		if i := slot - elites; i < focused {
			wanted = r.Focus.Strategies[i%len(r.Focus.Strategies)]
		}
		c, ok := p.child(slot, wanted)
		if !ok && wanted != "" {
			missed = true
			c, ok = p.child(slot, "")
		}
		if !ok {
			break
		}
		p.add(c)
	}
	if missed {
		p.note("There were not enough new variants of %s, so others were made.", list(r.Focus.Strategies))
	}
	p.short()
	return p.plan
}

// Combine plans one variant that combines the parents.
func Combine(r Request) (Child, bool) {
	p := r.planner()
	for try := range attempts {
		if c, ok := p.join(p.source(r.Size, try), try); ok && p.fits(c.Genome) {
			return c, true
		}
	}
	return Child{}, false
}

// weights are how often each operator is drawn.
var weights = []struct {
	op     string
	weight float64
}{{OpParam, 0.35}, {OpCrossover, 0.2}, {OpSwitch, 0.2}, {OpEnsemble, 0.25}}

func (p *planner) operator(src *draw.Source) string {
	allowed := func(op string) bool {
		if op == OpEnsemble && p.Spec.Ensemble() == nil || op == OpCrossover && len(p.Parents) < 2 {
			return false
		}
		return p.Focus.Operators == nil || len(p.Focus.Strategies) > 0 || slices.Contains(p.Focus.Operators, op)
	}
	var total float64
	for _, w := range weights {
		if allowed(w.op) {
			total += w.weight
		}
	}
	at := src.Float() * total
	for _, w := range weights {
		if allowed(w.op) {
			if at -= w.weight; at < 0 {
				return w.op
			}
		}
	}
	return OpParam
}

// child makes the variant of a slot, of the wanted strategy if one is named.
func (p *planner) child(slot int, wanted string) (Child, bool) {
	for try := range 2 * attempts {
		src := p.source(slot, try)
		var c Child
		ok := false
		switch op := p.operator(src); {
		case wanted != "" && p.Spec.Strategy(wanted).Members != nil:
			c, ok = p.towardEnsemble(src, try, wanted)
		case wanted != "":
			c, ok = p.toward(src, wanted)
		case try >= attempts: // whatever the weights and the focus say, rather something than nothing
			c, ok = p.switched(src, "")
		case op == OpParam:
			c, ok = p.mutated(src, p.Parents[src.Intn(len(p.Parents))])
		case op == OpSwitch:
			c, ok = p.switched(src, "")
		case op == OpCrossover:
			c, ok = p.crossed(src)
		default:
			c, ok = p.ensemble(src, try)
		}
		if ok && p.fits(c.Genome) {
			return c, true
		}
	}
	return Child{}, false
}

// toward makes a variant of a plain strategy: from a parent that has it, or by switching.
func (p *planner) toward(src *draw.Source, strategy string) (Child, bool) {
	var having []Parent
	for _, parent := range p.Parents {
		if parent.Strategy == strategy {
			having = append(having, parent)
		}
	}
	if len(having) > 0 && src.Float() < 0.8 {
		return p.mutated(src, having[src.Intn(len(having))])
	}
	return p.switched(src, strategy)
}

// towardEnsemble combines parents, or changes one that is an ensemble already.
func (p *planner) towardEnsemble(src *draw.Source, try int, strategy string) (Child, bool) {
	if slices.ContainsFunc(p.Parents, func(q Parent) bool { return q.Strategy == strategy }) && src.Float() < 0.4 {
		return p.toward(src, strategy)
	}
	return p.ensemble(src, try)
}

// Entry is what the lineage digest says of one variant.
type Entry struct {
	Generation int
	Slot       int
	Origin     string
	Digest     string
	Parents    []string // digests
}

// LineageDigest folds a whole experiment's lineage into one text: equal lineages have equal digests.
func LineageDigest(entries []Entry) string {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%d %d %s %s %s\n", e.Generation, e.Slot, e.Origin, e.Digest, strings.Join(e.Parents, ","))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
