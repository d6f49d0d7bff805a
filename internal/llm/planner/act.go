package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// outcome is what a call on one resource came to.
type outcome struct {
	e   *entity
	res result
}

// targets finds the resources of a kind that a unit works on. When it answers false nothing can be done: it has said why,
// or asked; ask says how the answer to that question goes on.
func (r *run) targets(u *unit, kind string, ask *open) (found, bool) {
	refs := u.pick(kind)
	out := found{named: true}
	for _, f := range refs {
		got := r.resolve(f, kind)
		out.add(got.es...)
		out.unknown = append(out.unknown, got.unknown...)
		for w, es := range got.unsure {
			out.doubt(w, es)
		}
		out.named = out.named && got.named
		if got.vague {
			out.vague, out.choices = true, got.choices
		}
		out.part = out.part || got.part
	}
	if len(refs) == 0 {
		out.named = false
		for _, m := range u.c.of(mUnknown, mEnv) {
			if m.kind == mUnknown || kind == "secret" {
				r.miss(&out, m.text, kind)
			}
		}
		if len(out.unknown)+len(out.unsure) == 0 && u.rd.t != nil && u.rd.t.reads() { // "which files are there then?"
			if es, ok := r.scope(&ref{pron: "it"}, kind); ok && len(es) == 1 {
				out.add(es...)
			} else if all := r.world.all(kind); len(all) == 1 {
				out.add(all...)
			}
		}
		if out.empty() && len(out.unknown) == 0 && len(out.unsure) == 0 {
			out.vague, out.choices = true, r.world.all(kind)
		}
	}
	out.es = r.sparing(u, kind, out.es)
	if u.rd.t != nil && !u.rd.t.reads() && len(out.es) > 1 && slices.ContainsFunc(refs, func(f *ref) bool { return f.alt }) {
		if ask != nil {
			ask.Kind, ask.Choices, ask.Many = kind, plain(out.es), false
		}
		r.question(ask, "Which one do you mean: %s?", either(out.es))
		return out, false
	}
	return r.settle(u, out, kind, ask)
}

func (f *found) empty() bool { return len(f.es) == 0 }

// pick answers the references of a unit that are for a kind: those that say so, else those that leave it open.
func (u *unit) pick(kind string) []*ref {
	var sure, open []*ref
	for _, f := range u.c.refs("") {
		switch kinds := f.kinds(); {
		case slices.Contains(kinds, kind):
			sure = append(sure, f)
		case len(kinds) == 0:
			open = append(open, f)
		}
	}
	if slices.ContainsFunc(sure, func(f *ref) bool { return len(f.named)+len(f.unknown) > 0 }) { // "web-1 from the list of instances"
		sure = slices.DeleteFunc(sure, func(f *ref) bool {
			return len(f.named)+len(f.unknown) == 0 && !f.selective() && f.pron == "" && f.hint == ""
		})
	}
	if len(sure) > 0 {
		return sure
	}
	return open
}

// sparing takes out what the person said to leave alone.
func (r *run) sparing(u *unit, kind string, es []*entity) []*entity {
	for _, k := range u.keep {
		if k.rest {
			continue
		}
		for _, kk := range []string{kind} {
			if kinds := k.kinds(); len(kinds) > 0 && !slices.Contains(kinds, kk) || len(kinds) == 0 && k.pron != "" {
				continue
			}
			spared := r.resolve(k, kk)
			es = slices.DeleteFunc(slices.Clone(es), func(e *entity) bool { return slices.ContainsFunc(spared.es, e.is) })
		}
	}
	return es
}

// settle turns doubts into questions and unknown names into failures.
func (r *run) settle(u *unit, out found, kind string, ask *open) (found, bool) {
	plural := r.lx.plural[kind]
	for _, word := range sortedKeys(out.unsure) {
		es := out.unsure[word]
		if len(es) == 1 && (u.rd.t == nil || !u.rd.t.destroys()) {
			out.add(es[0])
			r.out.note("I took %s to mean `%s`.", safe(word), es[0].Name)
			continue
		}
		if ask != nil {
			ask.Kind, ask.Choices = kind, plain(es)
		}
		if len(es) == 1 {
			r.question(ask, "There is no %s called %s. Did you mean `%s`?", kind, safe(word), es[0].Name)
			return out, false
		}
		r.question(ask, "There is no %s called just %s. Which one do you mean: %s?", kind, safe(word), either(es))
		return out, false
	}
	for _, name := range out.unknown {
		if opaque(name) {
			continue
		}
		hint := ""
		if near := r.world.similar(kind, name); len(near) > 0 {
			hint = " Did you mean " + orList(near) + "?"
		} else if len(r.world.all(kind)) == 0 {
			hint = " There are no " + plural + " yet."
		}
		r.out.fail("There is no %s called %s.%s", kind, safe(name), hint)
	}
	if out.vague && out.empty() {
		switch {
		case len(out.choices) == 0:
			r.out.fail("There are no %s, so there is nothing to do.", plural)
		default:
			if ask != nil {
				ask.Kind, ask.Choices = kind, plain(out.choices)
			}
			r.question(ask, "Which %s do you mean? There %s: %s.", kind, thereAre(out.choices), names(out.choices))
		}
		return out, false
	}
	if out.empty() {
		if len(out.unknown) == 0 {
			r.out.note("No %s fits that, so nothing was done.", kind)
		}
		return out, false
	}
	return out, true
}

// apply works on the resources that the unit names through one slot of a tool, with further arguments.
func (r *run) apply(u *unit, t *tool, s *slot, args object) bool {
	f, ok := r.targets(u, s.ref, &open{Tool: t.Name, Args: args, Missing: s.name, Verb: t.action, Many: true})
	if !ok {
		return false
	}
	es := r.whenMet(u, f.es)
	if len(es) == 0 {
		return false
	}
	return r.applyTo(t, s, args, es, f.named && !u.c.mended)
}

// applyTo calls a tool for each resource, or once for all where it takes several. What destroys asks first unless every
// resource was spelled out.
func (r *run) applyTo(t *tool, s *slot, args object, es []*entity, sure bool) bool {
	if t.destroys() && !sure {
		r.confirm(t, s, args, es)
		return false
	}
	outs, ok := r.each(t, s, args, es)
	if !ok {
		return false
	}
	r.tell(t, args, outs)
	return true
}

// each makes the calls and takes their results into the world; ok is false while results are missing.
func (r *run) each(t *tool, s *slot, args object, es []*entity) (outs []outcome, ok bool) {
	ok = true
	if s.typ == slotRefs {
		in := with(args, s.name, handles(es))
		res, got := r.do(t.Name, in)
		if !got {
			return nil, false
		}
		for _, e := range es {
			outs = append(outs, outcome{e, perInstance(res, e)})
		}
		return outs, true
	}
	for _, e := range es {
		res, got := r.do(t.Name, with(args, s.name, e.handle()))
		ok = ok && got
		outs = append(outs, outcome{e, res})
	}
	if !ok {
		return nil, false
	}
	for _, o := range outs {
		if o.res.failed {
			continue
		}
		if t.action == "delete" && t.kind == o.e.Kind {
			r.world.drop(o.e)
		}
		for _, m := range made(o.res.out, t) {
			r.world.put(t.kind, m)
		}
	}
	return outs, true
}

// perInstance finds one resource's result in {"results":[{instance, ok, detail}]}.
func perInstance(res result, e *entity) result {
	for _, v := range items(res.out, "results") {
		who := str(v, "instance")
		if o, ok := get(v, "instance").(object); ok {
			who = str(o, "name")
		}
		if who != e.Name && who != e.ID && str(v, "name") != e.Name {
			continue
		}
		if good, said := get(v, "ok").(bool); said && !good {
			return result{out: v, failed: true, detail: str(v, "detail")}
		}
		return result{out: v}
	}
	return res
}

// confirm asks before something is destroyed, with the exact list, and remembers the calls that a yes releases.
func (r *run) confirm(t *tool, s *slot, args object, es []*entity) {
	o := &open{Verb: t.action, Kind: s.ref}
	for _, e := range es {
		o.Confirm = append(o.Confirm, planned{Tool: t.Name, Args: with(args, s.name, cmpOr(e.ID, e.Name)), Target: entity{Kind: e.Kind, ID: e.ID, Name: e.Name}})
	}
	r.about(s.ref, es...)
	if r.open != nil && len(r.open.Confirm) > 0 { // a second destructive part of the same message joins the question
		r.open.Confirm = append(r.open.Confirm, o.Confirm...)
		r.out.ask = r.listConfirm(r.open)
		return
	}
	r.question(o, "%s", r.listConfirm(o))
}

// listConfirm words the question for a set of destructive calls.
func (r *run) listConfirm(o *open) string {
	var blocks []string
	byTool := map[string][]string{}
	var order []string
	for _, p := range o.Confirm {
		if byTool[p.Tool] == nil {
			order = append(order, p.Tool)
		}
		byTool[p.Tool] = append(byTool[p.Tool], p.Target.Name)
	}
	for _, name := range order {
		t, list := r.lx.tools[name], byTool[name]
		noun := t.kind
		if len(list) > 1 {
			noun = t.resource
		}
		if kind := o.Confirm[0].Target.Kind; t.kind != kind && len(order) == 1 {
			noun = "files on " + kind + "s"
		}
		blocks = append(blocks, sprintf("%s %d %s: %s", t.action, len(list), noun, ticked(list)))
	}
	return "This would " + strings.Join(blocks, "; and ") + ". It can't be undone. Shall I go ahead? Please answer yes or no."
}

// whenMet drops the targets that don't meet the request's condition ("only if it is stopped"), and says so.
func (r *run) whenMet(u *unit, es []*entity) []*entity {
	if len(u.c.conds) == 0 {
		return es
	}
	var out []*entity
	for _, e := range es {
		met := false
		for _, c := range u.c.conds {
			met = met || r.fits(e, c)
		}
		if met != u.c.unless {
			out = append(out, e)
			continue
		}
		r.about(e.Kind, e)
		r.out.note("`%s` is %s, so it was not %s.", e.Name, state(e), participle(u.rd.t.action))
	}
	return out
}

func state(e *entity) string {
	if on, ok := get(e.raw, "enabled").(bool); ok {
		if on {
			return "enabled"
		}
		return "paused"
	}
	return cmpOr(str(e.raw, "status"), "there")
}

func with(args object, key string, v any) object {
	out := object{}
	for k, x := range args {
		out[k] = x
	}
	out[key] = v
	return out
}

func handles(es []*entity) []string {
	var out []string
	for _, e := range es {
		out = append(out, e.handle())
	}
	return out
}

func plain(es []*entity) []entity {
	var out []entity
	for _, e := range es[:min(len(es), 500)] {
		out = append(out, entity{Kind: e.Kind, ID: e.ID, Name: e.Name})
	}
	return out
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// generic serves any operation from its schema: references by kind, names, numbers, texts by type. It refuses to guess a
// required parameter that the sentence does not hold.
func (r *run) generic(u *unit) {
	t, args := u.rd.t, object{}
	var main *slot
	for i := range t.slots {
		s := &t.slots[i]
		if s.typ == slotRef || s.typ == slotRefs {
			if main == nil && (s.required || len(u.pick(s.ref)) > 0) {
				main = s
				continue
			}
			if len(u.c.refs(s.ref)) > 0 {
				f, ok := r.targets(u, s.ref, nil)
				if !ok {
					return
				}
				args[s.name] = f.es[0].handle()
				if s.typ == slotRefs {
					args[s.name] = handles(f.es)
				}
			}
			continue
		}
		if v, ok := u.c.value(s); ok {
			args[s.name] = v
		} else if s.required {
			r.question(&open{Tool: t.Name, Args: args, Missing: s.name, Verb: t.action}, "What should the %s be%s?", words(s.name), hintOf(s))
			return
		}
	}
	if main == nil {
		res, ok := r.do(t.Name, args)
		if !ok {
			return
		}
		r.tellResult(t, res)
		return
	}
	r.apply(u, t, main, args)
}

// value finds what fills a plain parameter in the clause.
func (c *clause) value(s *slot) (any, bool) {
	for _, m := range c.mens {
		switch {
		case s.typ == slotInt && m.kind == mInt:
			return m.n, true
		case s.typ == slotName && m.kind == mNew && len(m.names) > 0:
			return m.names[0], true
		case s.typ == slotPath && m.kind == mPath, s.typ == slotSource && (m.kind == mURL || m.kind == mPath), s.typ == slotCommand && m.kind == mCode:
			return m.text, true
		case (s.typ == slotText || s.typ == slotWords) && m.kind == mText && (m.key == s.name || m.key == "" || m.key == "content"):
			return m.text, true
		}
	}
	for i, t := range c.toks {
		if s.typ == slotEnum && slices.Contains(s.enum, t.Low) {
			return t.Low, true
		}
		if s.typ == slotBool && t.Low == strings.ToLower(s.name) && i > 0 {
			return !c.toks[i-1].Is("not", "no", "without"), true
		}
	}
	if s.typ == slotName {
		if m := c.of(mUnknown); len(m) == 1 {
			return m[0].text, true
		}
	}
	if s.typ == slotZone && c.sched.Zone != "" {
		return c.sched.Zone, true
	}
	return nil, false
}

func hintOf(s *slot) string {
	if s.doc == "" {
		return ""
	}
	return " (" + strings.TrimSuffix(strings.ToLower(s.doc[:1])+s.doc[1:], ".") + ")"
}

// words writes a parameter's name as people do: promptTemplate → prompt template.
func words(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// firstInt answers the first number that counts one of the nouns.
func (c *clause) firstInt(nouns ...string) (int, bool) {
	for _, m := range c.mens {
		if m.kind == mInt && slices.Contains(nouns, m.text) {
			return m.n, true
		}
		if m.kind == mRef && m.ref.count > 0 && slices.Contains(nouns, lang.Singular(m.ref.noun)) {
			return m.ref.count, true
		}
	}
	return 0, false
}
