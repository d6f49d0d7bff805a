package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// unit is one request: a clause with the fragments and fields that belong to it.
type unit struct {
	c  *clause
	rd reading
	// keep are references to what must be left alone.
	keep []*ref
	// until is a condition on which to stop early, wait is set when results are wanted in this turn.
	extras []*clause
	src    string
}

// plan reads the message and does what it asks for, as far as the results so far allow.
func (r *run) plan() {
	src := r.now.user
	raw := lang.Tokenize(src)
	mended := r.lx.repair(raw, func(i int) bool {
		return i > 0 && raw[i-1].Is("called", "named", "name", "=", "prefix") || raw[i].Poss || i > 0 && raw[i-1].Is(".") && raw[i].Start == raw[i-1].End
	})
	if r.foreign(raw) {
		r.out.fail("I only understand English without a model, so nothing was done. Connect a model for other languages, or say it in English.")
		return
	}
	if r.answered(src, raw) || r.blocked() {
		return
	}
	if r.smallTalk(raw) {
		return
	}
	toks := r.preface(src, raw)
	cs := r.clauses(toks)
	for _, c := range cs {
		for i := range raw {
			if mended[i] && slices.ContainsFunc(c.toks, func(t lang.Token) bool { return t.Start == raw[i].Start }) {
				c.mended = true
			}
		}
	}
	cs = r.guards(cs)
	if len(cs) == 0 {
		return
	}
	if !r.lists(r.needs(cs)...) {
		return
	}
	for _, c := range cs {
		r.read(c)
	}
	if r.corrected(src, cs) || r.blocked() {
		return
	}
	if r.scheduled(src, toks, cs) || r.blocked() {
		return
	}
	r.perform(src, cs)
}

// perform does the clauses in order. One that must wait for results holds back those that could depend on it.
func (r *run) perform(src string, cs []*clause) {
	units := r.units(src, cs)
	for _, u := range units {
		before := len(r.due)
		r.act(u)
		if len(r.due) > before || r.open != nil && r.out.ask != "" && !r.independent(u) {
			if r.blocked() {
				return
			}
		}
	}
}

func (r *run) independent(*unit) bool { return true }

// needs answers the kinds of resource whose lists the clauses call for.
func (r *run) needs(cs []*clause) []string {
	var kinds []string
	add := func(k string) {
		if k != "" && k != "variant" && !slices.Contains(kinds, k) && r.lx.tools[r.lx.plural[k]+"_list"] != nil {
			kinds = append(kinds, k)
		}
	}
	for _, c := range cs {
		var said []string
		for i := range c.toks {
			if n, used := r.lx.nounAt(c.toks, i); used > 0 && r.lx.kinds[n] != "" {
				said = append(said, r.lx.kinds[n])
			}
		}
		n := 0
		for _, h := range r.lx.verbAt(c.toks, c.start) {
			for _, t := range h.v.tools {
				if len(said) > 0 && !slices.ContainsFunc(said, func(k string) bool { return t.kind == k || t.refTo(k) != nil }) || t.kind == "chat" || t.kind == "key" {
					continue
				}
				n++
				for _, s := range t.slots {
					add(s.ref)
				}
			}
		}
		for _, k := range said {
			add(k)
		}
		if n == 0 && len(said) == 0 {
			for _, k := range []string{"instance", "skill", "secret", "automation", "webhook", "experiment"} {
				add(k)
			}
		}
		for _, t := range c.toks {
			if lang.IsEnvName(t.Text) || t.Kind == lang.KV && lang.IsUpper(t.Key) {
				add("secret")
			}
		}
	}
	add("instance")
	for i := len(r.past) - 1; i >= 0 && i >= len(r.past)-2; i-- {
		for _, g := range r.groupsOf(r.past[i]) {
			add(g.Kind)
		}
	}
	return kinds
}

// units joins fragments, fields and names to the requests that they belong to, and takes out what is no request.
func (r *run) units(src string, cs []*clause) []*unit {
	var out []*unit
	var pendingKeep []*ref
	var prefix []mention
	for n, c := range cs {
		last := (*unit)(nil)
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		if keep, ok := r.keeps(c); ok {
			if last != nil {
				last.keep = append(last.keep, keep...)
			}
			pendingKeep = append(pendingKeep, keep...)
			continue
		}
		if r.reportOnly(c) && last != nil {
			continue
		}
		if last != nil && r.belongs(last, c) {
			last.extras = append(last.extras, c)
			last.c.mens = append(last.c.mens, c.mens...)
			continue
		}
		if c.neg { // "don't delete x": nothing to do, but x is what is spoken of, and stays
			for _, f := range c.refs("") {
				pendingKeep = append(pendingKeep, r.noteRef(f)...)
			}
			continue
		}
		if n+1 < len(cs) && cs[n+1].sentence == c.sentence && r.placeOnly(c) {
			prefix = append(prefix, c.mens...)
			continue
		}
		u := &unit{c: c, src: src}
		c.mens = append(c.mens, prefix...)
		prefix = nil
		u.rd = r.bestReading(c, last)
		if u.rd.t == nil && len(cs) > 1 && r.remark(c) {
			for _, f := range c.refs("") {
				r.noteRef(f)
			}
			continue
		}
		out = append(out, u)
	}
	if len(pendingKeep) > 0 {
		for _, u := range out {
			if u.rd.t != nil && u.rd.t.destroys() {
				u.keep = append(u.keep, pendingKeep...)
			}
		}
	}
	if len(out) == 0 && len(pendingKeep) > 0 {
		r.out.done("Okay, nothing was changed.")
	}
	return out
}

// noteRef puts what a reference names at the front of what is spoken of.
func (r *run) noteRef(f *ref) []*ref {
	for _, k := range f.kinds() {
		if got := r.resolve(f, k); len(got.es) > 0 && got.named {
			r.about(k, got.es...)
			break
		}
	}
	return []*ref{f}
}

// keeps reads a clause that only says what to leave alone: "leave api-3 alone", "keep the rest", "alpha keeps it".
func (r *run) keeps(c *clause) ([]*ref, bool) {
	first := c.low(c.start)
	switch {
	case first == "keep" && !c.sched.Recurs:
		if len(c.of(mInt)) > 0 || slices.ContainsFunc(c.refs(""), func(f *ref) bool { return f.super == "best" || f.kind == "variant" }) || c.hasSeq("keep", "it", "as") || len(c.of(mNew, mText, mEnv)) > 0 {
			return nil, false
		}
		if len(c.of(mPath)) > 0 || len(c.mens) > 0 {
			return c.refs(""), true
		}
	case first == "leave" && !c.has("text", "note", "file", "message") && len(c.of(mText)) == 0, first == "spare", first == "skip", first == "ignore":
		return c.refs(""), len(c.refs("")) > 0 || c.has("alone", "rest", "others")
	case c.neg && c.low(c.start) == "touch":
		return c.refs(""), true
	case c.has("keeps", "stays", "stay", "remains") && !c.question():
		return c.refs(""), len(c.refs("")) > 0
	case first == "nothing" && c.has("else"), first == "no" && c.low(c.start+1) == "other":
		return nil, true
	}
	return nil, false
}

// reportOnly tells whether a clause only asks to be told what came of the clause before it.
func (r *run) reportOnly(c *clause) bool {
	first := c.low(c.start)
	if !slices.Contains([]string{"tell", "give", "show", "let", "report", "print", "say"}, first) || len(c.of(mRef, mPath, mEnv, mPair)) > 1 {
		return false
	}
	for _, f := range c.refs("") {
		if f.pron == "" && !(f.kind == "" && f.all) {
			return false
		}
	}
	if first == "let" && c.low(c.start+2) != "know" || first == "print" && len(c.of(mPath)) > 0 {
		return false
	}
	if c.noun("fleet", "log", "file", "secret", "skill", "automation", "webhook", "leaderboard", "config", "configuration", "setting") {
		return false
	}
	for i := c.start + 1; i < len(c.toks); i++ {
		if c.toks[i].Kind == lang.Word && !lang.Filler(c.low(i)) && !slices.Contains([]string{"output", "result", "results", "answers", "answer", "works", "outcome", "back", "succeeded", "failed", "worked", "happened", "happens", "respond", "responds", "replies", "says", "prints", "went", "status", "score", "scores", "error", "errors", "exit", "code", "finished", "ready", "complete", "completed", "summary"}, c.low(i)) {
			return false
		}
	}
	return true
}

// belongs tells whether a clause is a field or a fragment of the request before it rather than one of its own.
func (r *run) belongs(u *unit, c *clause) bool {
	t := u.rd.t
	if t == nil {
		return false
	}
	creates := t.action == "create" || t.action == "clone"
	first := c.low(c.start)
	if creates && (first == "call" || first == "name") && len(c.of(mNew)) > 0 {
		return true
	}
	if creates && c.has("should", "must", "shall", "are", "is") && len(c.of(mNew)) > 0 && len(c.refs("")) > 0 && c.refs("")[0].pron != "" {
		return true
	}
	if creates && slices.ContainsFunc(c.of(mText), func(m mention) bool { return t.slot(m.key) != nil || m.key == "template" && t.slot("promptTemplate") != nil }) {
		return true
	}
	if creates && c.noun("name") && len(c.of(mNew)) > 0 {
		return true
	}
	if t.resource == "experiments" && (first == "focus" || first == "concentrate" || c.low(c.start) == "score" && t.action != "evaluate" || c.low(c.start) == "mutate" || c.hasSeq("stop", "early") || first == "stop" && c.has("when", "once", "if", "as") || first == "evaluate" || first == "refill" || first == "compare" || first == "fill" || first == "let" && c.has("compete")) {
		return true
	}
	if t.kind == "secret" && (c.has("value") && t.slot("value") != nil && c.has("is", "=") || c.hasSeq("keep", "it", "as") || c.hasSeq("save", "it", "as") || c.hasSeq("store", "it", "as")) {
		return true
	}
	if t.kind == "webhook" && creates && c.has("payload") {
		return true
	}
	if c.question() || c.after {
		return false
	}
	for _, h := range c.verbs {
		if r.verbFits(c, &h) {
			return false
		}
	}
	for _, m := range c.mens {
		switch m.kind {
		case mRef:
			if m.ref.pron == "" && !m.ref.all {
				return false
			}
		case mUnknown:
			return false
		}
	}
	return len(c.mens) > 0
}

// placeOnly tells whether a clause is only a place or a circumstance before the request: "On web-1, …".
func (r *run) placeOnly(c *clause) bool {
	if len(c.mens) == 0 || c.question() {
		return false
	}
	for _, h := range c.verbs {
		if r.verbFits(c, &h) {
			return false
		}
	}
	return slices.Contains(prepositions, c.low(0)) && len(c.plainWords()) <= 3+len(c.mens)
}

// remark tells whether a clause is talk beside the matter: a statement with no request in it.
func (r *run) remark(c *clause) bool {
	return !c.question() && (c.start >= len(c.toks) || !slices.Contains(pseudoVerbs, c.low(c.start)))
}

// bestReading picks the tool that a clause means, or none.
func (r *run) bestReading(c *clause, last *unit) reading {
	asks := c.question()
	list := r.rank(c, func(t *tool) bool {
		if asks && !t.reads() && t.action != "test" {
			return false
		}
		return true
	})
	if len(list) == 0 && last != nil && last.rd.t != nil && len(c.mens) > 0 && (c.after || len(c.refs("")) > 0) { // "then two more called x and y"
		rd := r.score(c, last.rd.t, nil)
		if rd.loose == 0 && rd.score > 0 {
			return rd
		}
	}
	if len(list) == 0 {
		return reading{}
	}
	best := list[0]
	if best.verb == nil && !best.t.reads() {
		i := slices.IndexFunc(list, func(rd reading) bool { return rd.t.reads() })
		if i < 0 {
			return reading{}
		}
		best = list[i]
	}
	return best
}

// explained tells whether a reading covers nearly all that was said; what destroys must cover all.
func (u *unit) explained() bool {
	if u.rd.t == nil {
		return false
	}
	unknown := 0
	for _, m := range u.c.mens {
		if m.kind == mUnknown {
			unknown++
		}
	}
	room := 0
	for _, s := range u.rd.t.slots {
		if s.required && (s.typ == slotRef || s.typ == slotRefs || s.typ == slotPath) {
			room++
		}
	}
	if f := u.c.refs(""); len(f) > 0 {
		room -= len(f)
	}
	loose := u.rd.loose + max(0, unknown-max(0, room))
	words := len(u.c.plainWords())
	switch {
	case loose == 0:
		return u.rd.score > -0.5
	case u.rd.t.destroys():
		return false
	case u.rd.t.reads():
		return u.rd.score > 1 && loose*2 <= words
	}
	return u.rd.score > 1.5 && loose*3 <= words
}

// act does one unit.
func (r *run) act(u *unit) {
	c := u.c
	if r.talk(u) {
		return
	}
	if c.question() {
		if r.inquire(u) {
			return
		}
	}
	if h := composed(u); h != nil {
		if !r.permitted(u) {
			return
		}
		h(r, u)
		return
	}
	if !u.explained() {
		r.decline(u)
		return
	}
	if !r.permitted(u) {
		return
	}
	if h := handlers[u.rd.t.Name]; h != nil {
		h(r, u)
		return
	}
	r.generic(u)
}

// permitted refuses writes when the person asked for none.
func (r *run) permitted(u *unit) bool {
	if r.guarded && u.rd.t != nil && !u.rd.t.reads() {
		r.out.note("You asked me not to change anything, so I left out: %s.", doing(u.rd.t))
		return false
	}
	return true
}

// doing names an operation for people: "restart instances".
func doing(t *tool) string {
	noun := t.kind
	return strings.ReplaceAll(t.action, "_", " ") + " " + noun
}
