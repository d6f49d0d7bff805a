package planner

import (
	"path"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// unit is one request: a clause with the fragments and fields that belong to it.
type unit struct {
	c     *clause
	rd    reading
	about []group  // what remarks before it spoke of
	bare  []string // names that stand without "called"
	// keep are references to what must be left alone.
	keep []*ref
	// until is a condition on which to stop early, wait is set when results are wanted in this turn.
	extras []*clause
	src    string
}

// Bounds of what is read as a request: tokens in all, and tokens outside literal text.
const (
	maxTokens = 6000
	maxWords  = 1200
)

func (r *run) tooLong() {
	r.out.fail("That is too long for me to read as a request, so nothing was done. Say in a few sentences what should happen; long text belongs in a file.")
}

// plan reads the message and does what it asks for, as far as the results so far allow.
func (r *run) plan() {
	src := r.now.user
	raw := lang.Tokenize(src)
	if len(raw) > maxTokens {
		r.tooLong()
		return
	}
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
	if r.smallTalk(raw) || r.retracted(raw) || r.messenger(raw) {
		return
	}
	toks := r.preface(src, raw)
	if len(toks) > maxWords {
		r.tooLong()
		return
	}
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
	r.readAll(cs)
	if r.corrected(src, cs) || r.blocked() {
		return
	}
	if r.scheduled(src, toks, cs) || r.blocked() {
		return
	}
	r.perform(src, cs)
}

// readAll reads the clauses. Names that an earlier one is going to give are known to the later ones.
func (r *run) readAll(cs []*clause) {
	var last *unit
	for _, c := range cs {
		c.mens, c.verbs, c.conds = nil, nil, nil
		r.read(c)
		rd := r.bestReading(c, last)
		if rd.t != nil {
			last = &unit{c: c, rd: rd}
		}
		if rd.t != nil && rd.t.action == "create" && !c.question() && rd.score > 1.5 {
			r.foresee(c, rd.t)
		}
	}
}

// foresee makes the names of what a request will create known, so that later requests can speak of them.
func (r *run) foresee(c *clause, t *tool) {
	var fresh []string
	for _, f := range c.refs("") {
		if f.kind == t.kind || f.kind == "" && f.fresh {
			fresh = append(fresh, f.unknown...)
		}
	}
	for _, m := range c.of(mNew) {
		if m.key == "" || m.key == "as" {
			fresh = append(fresh, m.names...)
		}
	}
	if t.kind == "instance" {
		fresh = append(fresh, r.bareNames(c)...)
	}
	if t.kind == "secret" {
		for _, m := range c.of(mPair, mEnv) {
			fresh = append(fresh, cmpOr(m.key, m.text))
		}
	}
	if t.kind == "skill" {
		for _, m := range c.of(mPath, mURL) {
			fresh = append(fresh, strings.TrimSuffix(path.Base(strings.TrimRight(m.text, "/")), ".zip"))
		}
	}
	var es []*entity
	for _, name := range dedupe(fresh) {
		if len(r.byName(name)) > 0 || opaque(name) {
			continue
		}
		e := &entity{Kind: t.kind, Name: name, planned: true}
		r.world.byKind[t.kind] = append(r.world.byKind[t.kind], e)
		es = append(es, e)
	}
	r.world.index = nil
	if len(es) == 0 {
		es = []*entity{{Kind: t.kind, planned: true}}
	}
	r.about(t.kind, es...)
}

// perform does the clauses in order. One that must wait for results holds back those that could depend on it.
func (r *run) perform(src string, cs []*clause) {
	foreseen := len(r.focus)
	units := r.units(src, cs)
	r.focus = r.focus[len(r.focus)-foreseen:]
	waiting := []*unit{}
	for _, u := range units {
		if len(waiting) > 0 && !r.independent(u, waiting) {
			return
		}
		before := len(r.due)
		for _, g := range u.about {
			r.about(g.Kind, r.here(g)...)
		}
		r.act(u)
		if len(r.due) > before {
			waiting = append(waiting, u)
		}
	}
}

// independent tells whether a request may go on while others wait for results: it names all that it works on, and none of
// it is touched by those others.
func (r *run) independent(u *unit, waiting []*unit) bool {
	mine, ok := u.spelled()
	if !ok {
		return false
	}
	for _, w := range waiting {
		theirs, ok := w.spelled()
		if !ok {
			return false
		}
		for _, n := range theirs {
			if slices.Contains(mine, n) {
				return false
			}
		}
	}
	return true
}

// spelled answers the names of all that a unit speaks of; ok is false when it speaks of anything without naming it.
func (u *unit) spelled() (names []string, ok bool) {
	if u.rd.t == nil || u.rd.t.resource == "experiments" || u.rd.t.reads() {
		return nil, false
	}
	for _, m := range u.c.mens {
		switch m.kind {
		case mRef:
			if m.ref.selective() || m.ref.anaphoric() || len(m.ref.unknown) > 0 || len(m.ref.named) == 0 || slices.ContainsFunc(m.ref.named, func(c []*entity) bool { return c[0].planned }) {
				return nil, false
			}
			names = append(names, m.ref.names()...)
		case mUnknown, mNew, mEnv:
			return nil, false
		}
	}
	return names, len(names) > 0
}

// needs answers the kinds of resource whose lists the clauses call for.
func (r *run) needs(cs []*clause) []string {
	var kinds []string
	add := func(k string) {
		if k != "" && k != "variant" && !slices.Contains(kinds, k) && r.lx.tools[r.lx.plural[k]+"_list"] != nil {
			kinds = append(kinds, k)
		}
	}
	for _, c := range cs {
		var said, nouns []string
		for i := range c.toks {
			if n, used := r.lx.nounAt(c.toks, i); used > 0 && r.lx.kinds[n] != "" && !(i == c.start && len(r.lx.verbAt(c.toks, i)) > 0) {
				said, nouns = append(said, r.lx.kinds[n]), append(nouns, n)
			}
		}
		n := 0
		for _, h := range r.lx.verbAt(c.toks, c.start) {
			for _, t := range h.v.tools {
				if len(said) > 0 && !slices.ContainsFunc(said, func(k string) bool { return t.kind == k || t.refTo(k) != nil }) && !slices.ContainsFunc(nouns, func(n string) bool { return t.nouns[n] }) || t.kind == "chat" || t.kind == "key" {
					continue
				}
				n++
				add(t.kind)
				for _, s := range t.slots {
					if s.required || s.typ == slotRefs {
						add(s.ref)
					}
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
	if !asks && (len(list) == 0 || list[0].verb == nil) { // "three new boxes please"
		for _, f := range c.refs("") {
			if t := r.lx.tools[r.lx.plural[f.kind]+"_create"]; t != nil && f.fresh {
				return r.score(c, t, nil)
			}
		}
	}
	if len(list) == 0 || list[0].verb == nil {
		if m := c.of(mPath); len(m) > 0 && !asks && last != nil { // "and then its app.log"
			for _, t := range r.lx.order {
				if s := t.has(slotPath); s != nil && s.required && t.reads() {
					return r.score(c, t, nil)
				}
			}
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
	unknown, t := 0, u.rd.t
	if t.slot("promptTemplate") != nil && t.action == "create" && u.rd.score > 3 { // what the webhook is to do is text
		return true
	}
	if t.slot("regenerateToken") != nil && u.c.noun("token", "url") && u.rd.score > 4 {
		return true
	}
	if t.destroys() {
		for _, m := range u.c.mens { // "delete X from web-1" does not delete web-1
			if m.kind == mRef && len(m.ref.kinds()) > 0 && !slices.ContainsFunc(m.ref.kinds(), func(k string) bool { return t.refTo(k) != nil || k == t.kind }) {
				return false
			}
		}
		for n, at := range u.c.nouns { // "delete web-1's automations" is not "delete web-1"
			if !t.nouns[n] && slices.ContainsFunc(at, func(i int) bool { return !u.c.used[i] }) {
				return false
			}
		}
	}
	for _, m := range u.c.mens {
		switch {
		case m.kind != mUnknown && m.kind != mPair:
		case m.kind == mPair: // a pair that the operation has no place for changes what is meant
			if t.has(slotPairs) == nil && t.has(slotEnv) == nil && t.has(slotValue) == nil && t.resource != "experiments" && t.action != "create" {
				return false
			}
		case t.action == "create" && t.kind == "instance" && slices.Contains(u.bare, m.text),
			t.has(slotValue) != nil && (credible(m.text) || u.c.low(m.j) == "token" || u.c.low(m.j) == "key" || u.c.low(m.j) == "password" || u.c.low(m.j) == "secret" || m.prep == "with" || u.c.noun("value")),
			(t.action == "update" || t.action == "clone") && (m.prep == "to" || m.prep == "as" || m.prep == "into"),
			t.action == "update" && t.has(slotPairs) != nil && u.c.noun("label", "tag"),
			t.has(slotCommand) != nil && m.i > 0 && len(u.c.of(mCode, mText)) == 0:
		default:
			unknown++
		}
	}
	room := 0
	for _, s := range u.rd.t.slots {
		if s.required && (s.typ == slotRef || s.typ == slotRefs) {
			room++
		}
	}
	if f := u.c.refs(""); len(f) > 0 {
		room -= len(f)
	}
	loose := u.rd.loose + max(0, unknown-max(0, room))
	words := len(u.c.plainWords())
	switch {
	case loose == 0 && u.rd.t.reads():
		return u.rd.score > -0.5
	case loose == 0:
		return u.rd.score > 0.8
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
	} else if u.rd.t != nil && u.rd.t.reads() && r.wantsValue(c) {
		r.out.fail("I can't show secret values: they are never shown again once stored, not even to me.")
		return
	}
	if r.notNow(u) {
		return
	}
	if c.doubtful && u.rd.t != nil && !u.rd.t.reads() {
		r.out.fail("I can't check the condition in “%s”, so nothing was done for it. Conditions that I can check are states, such as “only if it is stopped”.", shorten(c.text(u.src), 120))
		return
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

// notNow refuses to do at once what was asked for another time, and says what can be had.
func (r *run) notNow(u *unit) bool {
	s, t := u.c.sched, u.rd.t
	if t == nil || t.reads() || t.has(slotCron) != nil || s.Once == "" && len(s.Times) == 0 && !s.Recurs {
		return false
	}
	when := s.Once
	if when == "" && len(s.Times) > 0 {
		when = "at " + s.Times[0].String()
	}
	if when == "" {
		when = "on that day"
	}
	r.out.fail("I can't do something once at a later time (%s), so nothing was done: schedules repeat.", when)
	r.question(&open{}, "Should I do it now, or again and again, for example every day at 9?")
	return true
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
