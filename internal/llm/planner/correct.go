package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// corrected deals with messages that lean on what was done just before: taking it back, doing the same for something
// else, or mending it ("no, I meant …"). false leaves the message to be read as a request.
func (r *run) corrected(src string, cs []*clause) bool {
	if len(r.past) == 0 || len(cs) == 0 {
		return false
	}
	acts, _ := r.lastActs()
	low := " " + strings.Join(wordsOf(lang.Tokenize(src)), " ") + " "
	if len(cs) <= 2 && len(low) < 80 && (strings.Contains(low, " undo ") || strings.Contains(low, " take that back ") || strings.Contains(low, " take it back ") || strings.Contains(low, " revert that ") || strings.Contains(low, " revert it ") || strings.Contains(low, " reverse that ") || strings.Contains(low, " roll that back ")) && !strings.Contains(low, " how ") {
		if len(acts) == 0 {
			r.out.fail("There is nothing in this chat that I could take back, so nothing was done.")
			return true
		}
		r.undo(acts)
		return true
	}
	if len(acts) == 0 {
		return r.repeated(low, cs, r.lastReads())
	}
	marked := marker(low)
	if marked && r.mend(src, low, cs, acts) {
		return true
	}
	return r.repeated(low, cs, acts)
}

// marker tells whether a message is marked as a correction.
func marker(low string) bool {
	for _, w := range []string{" no ", " nope ", " sorry ", " oops ", " wait ", " actually ", " whoops "} {
		if strings.HasPrefix(low, w) {
			return true
		}
	}
	for _, w := range []string{" i meant ", " i mean ", " wrong ", " typo ", " instead ", " correction ", " rather ", " my mistake ", " my bad ", " should be called ", " should have been ", " was the old ", " is the old ", " not the "} {
		if strings.Contains(low, w) {
			return true
		}
	}
	return false
}

// lastReads answers the reads of the exchange before, for "and of web-2?".
func (r *run) lastReads() []*step {
	x := r.past[len(r.past)-1]
	var out []*step
	for _, s := range x.steps {
		if t := r.lx.tools[s.tool]; t != nil && t.reads() && t.action != "list" && s.done && t.has(slotRef) != nil && t.resource != "experiments" {
			out = append(out, s)
		}
	}
	return out
}

// repeated deals with "do the same for web-2", "and web-3", "now the last one": the last act once more, for others.
func (r *run) repeated(low string, cs []*clause, acts []*step) bool {
	if len(acts) == 0 || len(cs) != 1 {
		return false
	}
	c := cs[0]
	same := strings.Contains(low, " same ") || strings.Contains(low, " likewise ") || strings.Contains(low, " ditto ")
	if !same {
		for i, h := range c.verbs {
			if r.verbFits(c, &c.verbs[i]) && h.i >= c.start {
				return false
			}
		}
		for i, t := range c.toks {
			if i >= c.start && !c.used[i] && t.Wordy() && !lang.Filler(t.Low) {
				return false
			}
		}
		if c.question() && !(c.low(0) == "and") || len(c.mens) == 0 {
			return false
		}
		for _, m := range c.mens {
			if m.kind != mRef || m.ref.kind == "variant" {
				return false
			}
		}
	}
	t := r.lx.tools[acts[len(acts)-1].tool]
	s := r.movingSlot(t, acts)
	if s == nil {
		return false
	}
	f := found{named: true}
	for _, ref := range c.refs("") {
		if kinds := ref.kinds(); len(kinds) > 0 && !slices.Contains(kinds, s.ref) {
			return false
		}
		got := r.resolve(ref, s.ref)
		f.add(got.es...)
		f.unknown = append(f.unknown, got.unknown...)
		f.named = f.named && got.named
		for w, es := range got.unsure {
			f.doubt(w, es)
		}
	}
	if same && len(c.refs("")) == 0 {
		return false
	}
	u := &unit{c: c, rd: reading{t: t}, src: r.now.user}
	f, ok := r.settle(u, f, s.ref, &open{Tool: t.Name, Args: withoutKey(acts[len(acts)-1].in, s.name), Missing: s.name, Many: true})
	if !ok {
		return true
	}
	r.redo(t, s, acts, f.es, f.named)
	return true
}

// movingSlot answers the parameter that a repetition or correction changes: the one that names the instance, or the first.
func (r *run) movingSlot(t *tool, _ []*step) *slot {
	if t == nil {
		return nil
	}
	if s := t.refTo("instance"); s != nil {
		return s
	}
	return t.has(slotRef)
}

func withoutKey(in object, key string) object {
	out := object{}
	for k, v := range in {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// redo repeats the distinct calls of an act for other resources.
func (r *run) redo(t *tool, s *slot, acts []*step, es []*entity, named bool) {
	done := map[string]bool{}
	for _, a := range acts {
		if a.tool != t.Name {
			continue
		}
		args := withoutKey(a.in, s.name)
		if key := callKey(t.Name, args); !done[key] {
			done[key] = true
			if t.reads() || t.Name == "instances_exec" || t.Name == "files_write" || t.Name == "files_delete" {
				if t.destroys() && !named {
					r.confirm(t, s, args, es)
					continue
				}
				if outs, ok := r.gather(t.Name, args, es); ok {
					r.tellRead(t, args, outs)
				}
				continue
			}
			if t.destroys() && !named {
				r.confirm(t, s, args, es)
				continue
			}
			if outs, ok := r.each(t, s, args, es); ok {
				r.tellMoved(t, s, args, outs)
			}
		}
	}
}

func (r *run) tellRead(t *tool, args object, outs []outcome) {
	if !t.reads() {
		r.tellPlain(t, args, outs)
		return
	}
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("That did not work for `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		switch {
		case t.action == "read" && str(o.res.out, "text") != "":
			r.out.show("`%s` on `%s`:\n\n%s", str(args, "path"), o.e.Name, fenced(str(o.res.out, "text")))
		case t.action == "logs":
			var lines []string
			for _, v := range items(o.res.out, "lines") {
				lines = append(lines, str(v, "text"))
			}
			r.out.show("The last log lines of `%s`:\n\n%s", o.e.Name, fenced(cmpOr(strings.Join(lines, "\n"), "(none)")))
		case t.Name == "config_get":
			r.tellSettings(&clause{nouns: map[string][]int{}}, o)
		default:
			r.out.show("`%s`:", o.e.Name)
			r.tellResult(t, o.res)
		}
	}
}

// tellMoved reports a repeated act.
func (r *run) tellMoved(t *tool, s *slot, args object, outs []outcome) {
	if t.Name == "secrets_grant" || t.Name == "secrets_revoke" {
		sec := r.named("secret", str(args, "id"))
		for _, o := range outs {
			r.about("instance", o.e)
			if o.res.failed {
				r.out.fail("That did not work for `%s`: %s", o.e.Name, why(o.res))
			} else if t.action == "grant" {
				r.out.done("`%s` may use `%s` now.", o.e.Name, sec.Name)
			} else {
				r.out.done("`%s` may no longer use `%s`.", o.e.Name, sec.Name)
			}
		}
		return
	}
	r.tellPlain(t, args, outs)
}

// mend puts right what the last act got wrong.
func (r *run) mend(src, low string, cs []*clause, acts []*step) bool {
	last := acts[len(acts)-1]
	t := r.lx.tools[last.tool]
	if t == nil {
		return false
	}
	for _, c := range cs { // another secret's value
		if t.kind == "secret" && (t.action == "create" || t.action == "update") && last.in["name"] != nil || t.Name == "secrets_update" {
			if v := r.valueIn(c, src, ""); v != "" && !slices.ContainsFunc(cs, func(x *clause) bool { return len(x.of(mEnv, mPair)) > 0 }) {
				return r.newValue(cmpOr(str(last.in, "name"), str(last.in, "id")), v)
			}
		}
	}
	if t.kind == "automation" && (t.action == "create" || t.action == "update") {
		for _, c := range cs {
			if c.sched.Recurs || len(c.sched.Times) > 0 || c.sched.Zone != "" {
				return r.mendSchedule(c, t, last)
			}
		}
	}
	for _, c := range cs { // another name
		if m := c.of(mNew); len(m) > 0 && m[len(m)-1].key == "" && (t.action == "create" || t.action == "update" || t.action == "clone") && len(m[len(m)-1].names) == 1 {
			if up := r.lx.tools[t.resource+"_update"]; up != nil {
				if e := r.lastMade(t, last); e != nil {
					r.rename(up, e, m[len(m)-1].names[0])
					return true
				}
			}
		}
	}
	return r.mendTarget(low, cs, acts, t)
}

func (r *run) newValue(name, value string) bool {
	up := r.lx.tools["secrets_update"]
	if up == nil {
		return false
	}
	if !r.lists("secret") {
		return true
	}
	e := r.world.find("secret", name)
	if e == nil {
		return false
	}
	args := object{"value": value}
	if outs, ok := r.each(up, up.slot("id"), args, []*entity{e}); ok {
		r.tellSecret(args, outs)
	}
	return true
}

// lastMade answers the resource that a call made or changed, as it is now.
func (r *run) lastMade(t *tool, s *step) *entity {
	if !r.lists(t.kind) {
		return nil
	}
	for _, o := range made(s.out, t) {
		for _, e := range r.world.all(t.kind) {
			if e.ID == str(o, "id") {
				return e
			}
		}
	}
	return nil
}

// mendSchedule changes the time of the automation that was just made or changed; days and zone stay unless they are said.
func (r *run) mendSchedule(c *clause, t *tool, last *step) bool {
	if !r.lists("automation") {
		return true
	}
	e := r.lastMade(t, last)
	up := r.lx.tools["automations_update"]
	if e == nil || up == nil {
		return false
	}
	args := object{}
	if c.sched.Zone != "" {
		args["timezone"] = c.sched.Zone
	}
	sched := c.sched
	if n := len(sched.Times); n > 1 && (c.has("not", "instead")) { // "9 in the evening, not in the morning": what is denied comes second
		not := slices.IndexFunc(c.toks, func(t lang.Token) bool { return t.Is("not") })
		if not >= 0 && not <= c.start+1 {
			sched.Times = sched.Times[n-1:]
		} else {
			sched.Times = sched.Times[:1]
		}
	}
	r.retime(up, sched, args, []*entity{e})
	return true
}

// mendTarget moves the last act to the resource that was meant, and takes it back where it was wrong if that loses nothing.
func (r *run) mendTarget(low string, cs []*clause, acts []*step, t *tool) bool {
	s := r.movingSlot(t, acts)
	if s == nil || t.action == "create" || t.action == "clone" {
		return false
	}
	if !r.lists(s.ref) {
		return true
	}
	old := map[string]bool{}
	for _, a := range acts {
		for _, ref := range refsIn(a.in[s.name]) {
			if e := r.world.find(s.ref, ref); e != nil {
				old[e.ID+e.Name] = true
			}
		}
	}
	var want []*entity
	asked := false
	for _, c := range cs {
		for _, h := range c.verbs { // a request of its own: not a correction of the target
			if h.i == c.start && c.baseVerb(h.i) && !slices.Contains(h.v.tools, t) && len(cs) == 1 && !slices.Contains([]string{"take", "use", "do", "make", "should", "get", "have"}, h.v.words[0]) {
				return false
			}
		}
		for _, m := range c.mens {
			if m.kind == mUnknown {
				if slices.Contains([]string{"wrong", "typo", "mistake", "correction", "incorrect"}, strings.ToLower(m.text)) {
					continue
				}
				return false
			}
			if m.kind != mRef {
				continue
			}
			denied := c.neg || m.i > 0 && (c.toks[m.i-1].Is("not") || c.low(m.i-2) == "instead" || c.low(m.i-2) == "rather")
			if kinds := m.ref.kinds(); denied || len(kinds) > 0 && !slices.Contains(kinds, s.ref) || m.ref.pron == "it" || m.ref.pron == "that" {
				continue
			}
			asked = true
			got := r.resolve(&ref{kind: m.ref.kind, noun: m.ref.noun, named: m.ref.named, unknown: m.ref.unknown, hint: m.ref.hint, all: m.ref.all, rest: m.ref.rest, pron: m.ref.pron, def: m.ref.def, count: m.ref.count, ords: m.ref.ords, super: m.ref.super, conds: m.ref.conds, more: m.ref.more}, s.ref)
			want = append(want, got.es...)
		}
	}
	want = slices.DeleteFunc(want, func(e *entity) bool { return old[e.ID+e.Name] })
	if !asked {
		return false
	}
	if len(want) == 0 {
		r.question(&open{Tool: t.Name, Args: withoutKey(acts[len(acts)-1].in, s.name), Missing: s.name, Kind: s.ref, Many: true}, "Which %s did you mean?", s.ref)
		return true
	}
	if len(want) > 1 && !strings.Contains(low, " others ") && !strings.Contains(low, " and ") && slices.ContainsFunc(cs, func(c *clause) bool { return c.has("other") && c.has("one") }) {
		r.question(&open{Tool: t.Name, Args: withoutKey(acts[len(acts)-1].in, s.name), Missing: s.name, Kind: s.ref, Choices: plain(want)}, "There are %d others: %s. Which one did you mean?", len(want), names(want))
		return true
	}
	if !t.destroys() && t.action != "restart" && t.action != "exec" && t.action != "write" {
		r.undo(acts)
		if r.blocked() { // the two are independent: both go out together
			for range acts {
				continue
			}
		}
	} else if t.destroys() {
		r.out.note("What was deleted before can't be brought back.")
	}
	r.redo(t, s, acts, want, !t.destroys())
	return true
}

func refsIn(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []any:
		var out []string
		for _, e := range x {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
