package planner

import (
	"cmp"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// reading is a tool that a clause may mean, with how well it fits.
type reading struct {
	t     *tool
	verb  *verbHit
	score float64
	// head is set when the verb begins the clause, as it does in requests.
	head bool
	// loose counts the words of substance that the reading leaves unexplained.
	loose int
}

var (
	whWords  = []string{"which", "what", "who", "whose", "where", "when", "why", "how", "whom"}
	auxWords = []string{"is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "can", "could", "will", "would", "should", "may", "am", "any", "must"}
)

// question tells whether a clause asks something rather than orders it.
func (c *clause) question() bool {
	first := c.low(c.start)
	if c.low(c.start-1) == "mind" { // "would you mind restarting x?"
		return false
	}
	if slices.Contains(whWords, first) {
		return true
	}
	if !slices.Contains(auxWords, first) {
		return c.ask && !c.baseVerb(c.start) && c.start < len(c.toks) && !slices.Contains(pseudoVerbs, first)
	}
	if c.ask {
		return true
	}
	next := c.low(c.start + 1)
	switch first {
	case "is", "are", "does", "did", "was", "were", "has", "am":
		return true
	case "do", "have", "had", "can", "could", "will", "would", "should", "may":
		return slices.Contains([]string{"i", "we", "they", "you", "any", "all", "the", "it"}, next) && first != "have" && !(first == "do" && next == "the")
	}
	return false
}

// declarative verbs make requests out of statements: "web-1 should …", "everybody gets …".
func declarative(v *verb) bool {
	switch v.words[0] {
	case "should", "may", "can", "must", "needs", "need", "gets", "get", "lose", "loses", "no", "access", "would", "does", "do", "has", "have":
		return true
	}
	return false
}

// rank orders the tools that a clause may mean, best first.
func (r *run) rank(c *clause, allow func(*tool) bool) []reading {
	best := map[*tool]reading{}
	consider := func(t *tool, h *verbHit) {
		if !allow(t) {
			return
		}
		rd := r.score(c, t, h)
		if old, ok := best[t]; !ok || rd.score > old.score {
			best[t] = rd
		}
	}
	for i := range c.verbs {
		h := &c.verbs[i]
		if !r.verbFits(c, h) {
			continue
		}
		for _, t := range h.v.tools {
			consider(t, h)
		}
	}
	if len(best) == 0 {
		for n := range c.nouns {
			for _, t := range r.lx.nouns[n] {
				consider(t, nil)
			}
		}
	}
	out := make([]reading, 0, len(best))
	for _, rd := range best {
		out = append(out, rd)
	}
	slices.SortFunc(out, func(a, b reading) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(effectOrder(a.t), effectOrder(b.t)), cmp.Compare(a.t.Name, b.t.Name))
	})
	return out
}

// effectOrder prefers what does less harm between equal readings.
func effectOrder(t *tool) int {
	switch {
	case t.reads():
		return 0
	case t.destroys():
		return 2
	}
	return 1
}

// verbFits tells whether a verb phrase stands where a request's verb can stand: at the head, behind the object in a
// statement of will, or behind a prefix of place.
func (r *run) verbFits(c *clause, h *verbHit) bool {
	if h.i == c.start {
		next := c.low(h.j) // "stop deleting web-1" stops no instance
		return !(len(h.at) == 1 && strings.HasSuffix(next, "ing") && len(r.lx.verbAt(c.toks, h.j)) > 0 && len(r.byName(next)) == 0)
	}
	for _, k := range h.at[:1] {
		for _, m := range c.mens {
			if k >= m.i && k < m.j {
				return false
			}
		}
	}
	if c.question() {
		return true
	}
	if low := c.low(h.i - 1); low == "not" || low == "never" || low == "longer" && h.v.words[0] != "no" { // "is not needed on web-1"
		return false
	}
	if h.i < c.start {
		return false
	}
	if declarative(h.v) && len(h.v.words) > 1 || declarative(h.v) && h.v.words[0] != "do" && h.v.words[0] != "has" && h.v.words[0] != "have" {
		return true
	}
	if r.nominal(c, h) {
		return true
	}
	if c.low(h.i) != h.v.words[0] {
		return false
	}
	for k := c.start; k < h.i; k++ { // only things, places and filler may stand before the verb
		if c.toks[k].Kind == lang.Word && !c.used[k] && !lang.Filler(c.low(k)) && !c.sched.Used(k) && !slices.Contains(leadIns, c.low(k)) {
			if _, n := r.lx.nounAt(c.toks, k); n == 0 {
				return false
			}
		}
		if c.toks[k].Is("you", "he", "she", "they", "somebody", "someone", "nobody") {
			return false
		}
		if c.toks[k].Is("is", "was", "were", "are", "said", "did", "had", "has") && !slices.ContainsFunc(c.verbs, func(o verbHit) bool { return o.i == c.start }) {
			return false
		}
	}
	return true
}

// lightVerbs carry a noun that is the real verb: "give api-1 a reboot", "make two copies of x".
var lightVerbs = []string{"make", "do", "give", "take", "perform", "create", "get", "have", "need", "needs", "want", "wants", "requires"}

// nominal tells whether a verb stands as a noun or participle that carries the request: "web-1 should be restarted",
// "I want everything stopped", "give api-1 a reboot", "make two copies of db-1".
func (r *run) nominal(c *clause, h *verbHit) bool {
	if h.i < 1 || len(h.at) > 1 {
		return false
	}
	before := c.low(h.i - 1)
	participle := c.low(h.i) != h.v.words[0]
	will := slices.ContainsFunc(c.toks[:h.i], func(t lang.Token) bool { return t.Is("should", "must", "needs", "need", "want", "wants", "like", "to") })
	switch {
	case c.has("not", "never"):
		return false
	case participle && before == "be" && will:
		return true
	case participle && will && c.used[h.i-1] && slices.ContainsFunc(c.toks[:h.i], func(t lang.Token) bool { return t.Is("want", "need", "like") }):
		return true
	}
	_, counted := lang.Int(c.toks, h.i-1)
	if before == "a" || before == "an" || counted > 0 || before == "another" {
		return slices.ContainsFunc(c.toks[:h.i], func(t lang.Token) bool { return slices.Contains(lightVerbs, t.Low) }) && !slices.Contains(lightVerbs, h.v.words[0])
	}
	return false
}

// score weighs a tool against what the clause holds.
func (r *run) score(c *clause, t *tool, h *verbHit) reading {
	rd := reading{t: t, verb: h}
	if h != nil {
		rd.head = h.i <= c.start
		rd.score = 2 + 0.7*float64(len(h.at)-1)
		if rd.head {
			rd.score++
		} else if r.nominal(c, h) {
			rd.score += 2
		}
	}
	for n, at := range c.nouns {
		if h != nil && slices.Contains(h.at, at[0]) && len(at) == 1 {
			continue
		}
		switch {
		case t.nouns[n]:
			rd.score += 1.3
		case r.lx.kinds[n] != "" && (t.refTo(r.lx.kinds[n]) != nil):
			rd.score += 0.3
		case r.lx.kinds[n] == "" || t.kind != r.lx.kinds[n]:
			rd.score -= 1.3
		}
	}
	variants := t.resource == "experiments"
	filled := map[string]bool{}
	for _, m := range c.mens {
		rd.score += r.weigh(c, t, m, variants, filled)
	}
	if c.sched.Said() {
		switch {
		case t.has(slotCron) != nil:
			rd.score += 1.5
		case t.has(slotZone) != nil:
			rd.score++
		case c.sched.Recurs || len(c.sched.Times) > 0:
			rd.score -= 1.5
		}
	}
	for _, s := range t.slots {
		if !s.required || filled[s.name] {
			continue
		}
		switch s.typ {
		case slotRef, slotRefs:
			rd.score -= 1.2
		case slotCommand, slotPath:
			rd.score -= 2.5
		case slotValue, slotText:
			rd.score -= 0.5
		}
	}
	rd.score += r.evidence(c, t, h, filled)
	for i, tk := range c.toks {
		if i < c.start || c.used[i] || tk.Kind != lang.Word && tk.Kind != lang.Ident || lang.Filler(tk.Low) || c.sched.Used(i) {
			continue
		}
		if h != nil && slices.Contains(h.at, i) {
			continue
		}
		n, _ := r.lx.nounAt(c.toks, i)
		if n != "" && (t.nouns[n] || r.lx.kinds[n] != "") || statuses[tk.Low] != "" && t.reads() {
			continue
		}
		rd.loose++
		rd.score -= 0.4
	}
	return rd
}

// broadVerbs fit so many operations that they say little about which one is meant.
var broadVerbs = []string{"set", "change", "update", "edit", "make", "add", "put", "give", "drop", "remove", "delete", "clear", "use", "open", "tell", "let", "take",
	"show", "get", "see", "view", "what", "which", "how", "is", "read", "display", "print", "check", "does", "want", "create", "call", "mark", "strip", "limit", "name", "start", "stop", "attach", "apply", "assign", "append", "replace", "switch", "allow"}

// evidence weighs what else points to a tool: a change needs something to change, a resource without members of its own
// needs to be spoken of, and between equals what was spoken of last, then instances, are likelier.
func (r *run) evidence(c *clause, t *tool, h *verbHit, filled map[string]bool) float64 {
	w := 0.0
	aspect := false
	for n := range c.nouns {
		if t.nouns[n] && r.lx.kinds[n] == "" {
			aspect = true
		}
	}
	for _, s := range t.slots {
		if filled[s.name] && s.typ != slotRef && s.typ != slotRefs && s.name != "name" {
			aspect = true
		}
		if s.typ == slotRefs && !filled[s.name] {
			w -= 1.5
		}
	}
	ranged := t.action == "create" && t.kind == "instance" && len(r.bareNames(c)) > 1
	if ranged {
		w += 2
	}
	if t.action == "create" && !ranged && !aspect && len(c.of(mNew)) == 0 && !slices.ContainsFunc(sortedKeys(c.nouns), func(n string) bool { return t.nouns[n] }) && !(t.resource == "automations" && h != nil && h.v.words[0] == "schedule") {
		w -= 2
	}
	if t.action == "update" && filled["name"] && len(c.of(mNew)) > 0 {
		aspect = true
	}
	narrow := h != nil && (len(h.at) > 1 && !slices.Contains([]string{"tell", "what", "take", "get", "how", "which", "who", "is", "are", "does", "give", "look"}, h.v.words[0]) || !slices.Contains(broadVerbs, h.v.words[0]))
	if t.resource == "automations" || t.resource == "webhooks" { // both can be switched
		narrow = narrow || h != nil && slices.Contains([]string{"start", "stop"}, h.v.words[0])
		aspect = aspect || c.sched.Said()
	}
	if t.kind == "secret" && c.has("global") && t.slot("isGlobal") != nil {
		aspect = true
		w += 1
	}
	own := false // one of its nouns is the thing itself
	for n := range t.nouns {
		own = own || r.lx.kinds[n] == t.kind && n != t.kind
	}
	if (t.action == "update" || !r.lx.listable(t) || !own) && !aspect && !narrow {
		w -= 3
	}
	if t.kind == "instance" || t.refTo("instance") != nil && !r.lx.listable(t) {
		w += 0.2
	}
	if t.action != "create" && r.lx.listable(t) && r.listed[t.kind] && len(r.world.all(t.kind)) == 0 {
		w -= 0.3
	}
	if r.lx.listable(t) && !r.listed[t.kind] {
		w -= 0.6
	}
	if len(c.refs("")) == 0 && t.kind != "" && r.focusKind(func(string) bool { return true }) == t.kind {
		w += 0.4
	}
	return w
}

// weigh answers how much a mention speaks for or against a tool, and marks the parameters that it would fill.
func (r *run) weigh(c *clause, t *tool, m mention, variants bool, filled map[string]bool) float64 {
	fill := func(s *slot, for_, against float64) float64 {
		if s == nil {
			return against
		}
		filled[s.name] = true
		return for_
	}
	switch m.kind {
	case mRef:
		return r.weighRef(c, t, m.ref, variants, filled)
	case mPair:
		switch {
		case t.has(slotPairs) != nil:
			w := 1.2
			if lang.IsUpper(m.key) {
				w = -0.5
			}
			return fill(t.has(slotPairs), w, 0)
		case t.has(slotEnv) != nil:
			w := 0.6
			if lang.IsUpper(m.key) {
				w = 1.5
			}
			return fill(t.has(slotEnv), w, 0)
		case t.has(slotValue) != nil && t.has(slotName) != nil:
			w := 0.3
			if lang.IsUpper(m.key) {
				w = 1.2
				filled["name"] = true
			}
			return fill(t.has(slotValue), w, 0)
		case t.has(slotValue) != nil && len(r.byName(m.key)) > 0:
			filled["id"] = true
			return fill(t.has(slotValue), 2.2, 0)
		}
		return -1
	case mPath:
		if s := t.has(slotPath); s != nil {
			if s.required {
				return fill(s, 1.9, 0)
			}
			return fill(s, 1.6, 0)
		}
		return fill(t.has(slotSource), 1.5, -1.6)
	case mURL:
		if t.has(slotSource) != nil {
			return fill(t.has(slotSource), 1.5, 0)
		}
		if t.has(slotHosts) != nil {
			return 0.5
		}
		return fill(t.has(slotValue), 1, -1)
	case mHost:
		return fill(t.has(slotHosts), 1.6, -1.2)
	case mSize:
		return fill(t.has(slotLimits), 1.6, -1.2)
	case mCode:
		if t.has(slotCommand) != nil {
			return fill(t.has(slotCommand), 1.8, 0)
		}
		if t.has(slotPath) != nil || t.has(slotText) != nil {
			return 0.2
		}
		return -0.8
	case mText:
		switch {
		case m.key == "value":
			return fill(t.has(slotValue), 1.5, -0.5)
		case m.key == "content":
			return fill(t.slot("content"), 1.8, -1)
		case m.key == "template":
			return fill(t.slot("promptTemplate"), 1.8, -1)
		case m.key != "":
			return fill(t.slot(m.key), 1.6, -1)
		case t.has(slotCommand) != nil || t.has(slotText) != nil || t.has(slotValue) != nil:
			if s := t.has(slotCommand); s != nil {
				filled[s.name] = true
			}
			return 0.6
		}
		return -0.3
	case mNew:
		if m.key == "as" && t.has(slotValue) != nil {
			return fill(t.slot("name"), 1.5, -0.5)
		}
		return fill(t.slot("name"), 0.9, -0.7)
	case mEnv:
		switch {
		case t.has(slotEnv) != nil:
			return 1.4
		case t.has(slotValue) != nil && t.slot("name") != nil:
			filled["name"] = true
			return 1.1
		case t.refTo("secret") != nil:
			filled[t.refTo("secret").name] = true
			return 1.3
		}
		return -0.8
	case mUnknown:
		if t.action == "create" && slices.Contains(r.bareNames(c), m.text) || t.has(slotValue) != nil && credible(m.text) {
			return 0.2
		}
		for i := range t.slots {
			s := &t.slots[i]
			if (s.typ == slotRef || s.typ == slotRefs) && !filled[s.name] && len(r.world.like(s.ref, m.text)) > 0 {
				filled[s.name] = true
				return 1.5
			}
		}
		if s := t.has(slotRef); s != nil && s.required && !filled[s.name] {
			filled[s.name] = true
			return 0
		}
		return -0.3
	}
	return 0
}

// weighRef weighs a reference: a tool that takes its kind of resource is likely, one that can't take it is not.
func (r *run) weighRef(c *clause, t *tool, f *ref, variants bool, filled map[string]bool) float64 {
	kinds := f.kinds()
	if n := lang.Singular(f.noun); f.kind != "" && f.kind != t.kind && t.nouns[n] && len(f.named)+len(f.unknown)+len(f.conds) == 0 && t.refTo(f.kind) == nil {
		return 0.3 // "the token of pager": a part, not a secret
	}
	if t.action == "create" && f.fresh && len(kinds) == 0 {
		filled["name"] = true
		return 1.5
	}
	if f.kind == "variant" || (f.super == "best" || f.super == "worst") && f.kind == "" && len(f.named) == 0 {
		if variants {
			filled["id"], filled["variant"] = true, true
			return 1.5
		}
		return -1.5
	}
	if len(kinds) == 0 { // a pronoun: what was spoken of last decides
		s := t.has(slotRef)
		if s == nil {
			s = t.has(slotRefs)
		}
		if s == nil {
			return -0.5
		}
		last := r.focusKind(func(string) bool { return true })
		w := 0.2
		for i := range t.slots {
			if sl := &t.slots[i]; (sl.typ == slotRef || sl.typ == slotRefs) && !filled[sl.name] {
				if near := r.focusKind(func(k string) bool { return k == sl.ref }); near != "" {
					filled[sl.name] = true
					w = 0.6
					if near == last {
						w = 1.6
					}
					break
				}
			}
		}
		if variants && last == "variant" {
			filled["id"] = true
			w = 1.6
		}
		if t.kind == "instance" && f.kind == "" && f.all {
			w += 0.3
		}
		return w
	}
	if t.action == "create" && slices.Contains(kinds, t.kind) {
		filled["name"] = filled["name"] || len(f.unknown) > 0
		switch {
		case f.pron != "" && len(f.conds) > 0 && f.conds[0].what == "label": // "all of them labelled x=y"
			return 0.2
		case f.def && f.kind == t.kind && len(f.named) == 0 && len(c.of(mEnv, mPair, mNew)) > 0: // "the secret X"
			return 0.8
		case len(f.named) > 0 || f.pron != "" || f.def && len(f.unknown) == 0 || f.all:
			return -2
		case f.indefinite:
			return 2.2
		}
		return 0.8
	}
	if t.action == "create" && f.all && len(kinds) == 0 {
		return -2
	}
	if f.indefinite && t.reads() && len(f.unknown) > 0 {
		return 0
	}
	if f.indefinite && !t.reads() && len(f.named) == 0 {
		return -1.5
	}
	for _, k := range kinds {
		for i := range t.slots {
			if s := &t.slots[i]; (s.typ == slotRef || s.typ == slotRefs) && s.ref == k && !filled[s.name] {
				filled[s.name] = true
				return 2
			}
		}
	}
	for _, k := range kinds {
		if t.refTo(k) != nil {
			return 0.3
		}
		if t.kind == k && t.reads() {
			if f.indefinite {
				return 0
			}
			if t.action == "list" && len(f.named)+len(f.unknown) == 0 && f.pron == "" {
				return 2.1
			}
			return 0.8
		}
	}
	if t.action == "create" && slices.Contains(kinds, t.kind) {
		return 0
	}
	return -2.5
}
