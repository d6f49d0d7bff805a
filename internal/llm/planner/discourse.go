package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// groups answers what the conversation is about, newest first: this turn's resources, then those of earlier turns.
func (r *run) groups() []group {
	out := slices.Clone(r.focus)
	for i := len(r.past) - 1; i >= 0 && i >= len(r.past)-12; i-- {
		out = append(out, r.groupsOf(r.past[i])...)
	}
	return out
}

// groupsOf answers what an exchange was about: as the planner noted it, else what its calls show.
func (r *run) groupsOf(x *exchange) []group {
	if x.note != nil {
		return x.note.Focus
	}
	var out []group
	for i := len(x.steps) - 1; i >= 0; i-- {
		s := x.steps[i]
		for _, e := range r.touched(s) {
			if n := len(out); n > 0 && out[n-1].Kind == e.Kind {
				out[n-1].Items = append([]entity{e}, out[n-1].Items...)
			} else {
				out = append(out, group{e.Kind, []entity{e}})
			}
		}
	}
	return out
}

// touched answers the resources that a call worked on or made.
func (r *run) touched(s *step) []entity {
	t := r.lx.tools[s.tool]
	if t == nil || !s.done || s.failed {
		return nil
	}
	var out []entity
	if t.reads() && t.action == "list" {
		for _, v := range listItems(s.out, t.resource) {
			if name := str(v, "name"); name != "" {
				out = append(out, entity{Kind: t.kind, ID: str(v, "id"), Name: name})
			}
		}
		return out
	}
	for _, v := range made(s.out, t) {
		out = append(out, entity{Kind: t.kind, ID: str(v, "id"), Name: str(v, "name")})
	}
	if len(out) > 0 {
		return out
	}
	for _, sl := range t.slots {
		if sl.typ == slotRef {
			if ref := str(s.in, sl.name); ref != "" {
				out = append(out, r.named(sl.ref, ref))
			}
		}
	}
	return out
}

// named answers a resource by what a call named it.
func (r *run) named(kind, ref string) entity {
	for _, e := range r.world.byKind[kind] {
		if e.ID == ref || e.Name == ref {
			return entity{Kind: kind, ID: e.ID, Name: e.Name}
		}
	}
	if strings.Contains(ref, "_") && strings.HasPrefix(ref, kind[:min(3, len(kind))]) {
		return entity{Kind: kind, ID: ref}
	}
	return entity{Kind: kind, Name: ref}
}

// made answers the resources in a write's result: {"instance":{…}} or {"instances":[…]}.
func made(out any, t *tool) []object {
	if o, ok := get(out, t.kind).(object); ok {
		return []object{o}
	}
	var list []object
	for _, v := range items(out, t.resource) {
		if o, ok := v.(object); ok {
			list = append(list, o)
		}
	}
	return list
}

// here maps remembered resources to those that still exist.
func (r *run) here(g group) []*entity {
	var out []*entity
	for _, it := range g.Items {
		for _, e := range r.world.all(g.Kind) {
			if e.ID != "" && e.ID == it.ID || it.ID == "" && e.Name == it.Name {
				out = append(out, e)
				break
			}
		}
	}
	return out
}

// scope answers the group that a pronoun or an ordinal points into.
func (r *run) scope(f *ref, kind string) ([]*entity, bool) {
	wide := len(f.ords) > 0 || f.noun == "one" && f.count != 1 || f.pron == "both"
	many := f.pron == "them" || f.pron == "those" || f.pron == "these"
	var narrow []*entity
	for _, g := range r.groups() {
		if g.Kind != kind {
			continue
		}
		es := r.here(g)
		if len(es) == 0 {
			continue
		}
		switch {
		case f.count > 1 && len(f.ords) == 0:
			if len(es) >= f.count {
				if f.pron == "those" && len(es) > f.count {
					es = es[:f.count]
				}
				return es, true
			}
		case wide:
			if len(es) >= 2 {
				return es, true
			}
		case many:
			if len(es) >= 2 {
				return es, true
			}
		default:
			return es, true
		}
		if narrow == nil {
			narrow = es
		}
	}
	if f.pron == "both" { // the two that were last spoken of one by one
		var two []*entity
		for _, g := range r.groups() {
			if es := r.here(g); g.Kind == kind && len(es) == 1 && len(two) < 2 && !slices.ContainsFunc(two, es[0].is) {
				two = append(two, es[0])
			}
		}
		if len(two) == 2 {
			return two, true
		}
	}
	return narrow, narrow != nil && !wide
}

// others answers what remains beside what was just spoken of.
func (r *run) others(kind string) []*entity {
	var last []*entity
	pool := r.world.all(kind)
	for _, g := range r.groups() {
		if g.Kind != kind {
			continue
		}
		es := r.here(g)
		if last == nil {
			last = es
			continue
		}
		if len(es) > len(last) && !slices.ContainsFunc(last, func(e *entity) bool { return !slices.ContainsFunc(es, e.is) }) {
			pool = es
			break
		}
	}
	if last == nil {
		return pool
	}
	var out []*entity
	for _, e := range pool {
		if !slices.ContainsFunc(last, e.is) {
			out = append(out, e)
		}
	}
	return out
}

// failedBefore answers what failed in the last exchange that worked on several instances or ran a command. had is false
// when there was none.
func (r *run) failedBefore() (names []string, had bool) {
	for i := len(r.past) - 1; i >= 0 && i >= len(r.past)-4; i-- {
		for _, s := range r.past[i].steps {
			t := r.lx.tools[s.tool]
			if t == nil || t.action == "list" {
				continue
			}
			id := str(s.in, "id")
			if id == "" {
				continue
			}
			if t.action == "exec" || s.failed {
				had = true
			}
			if code, ok := num(s.out, "exitCode"); s.failed || ok && code != 0 {
				e := r.named(t.kind, id)
				names = append(names, e.Name, e.ID)
			}
		}
		if had {
			return slices.DeleteFunc(names, func(s string) bool { return s == "" }), true
		}
	}
	return nil, false
}

// madeHere tells whether this chat made a resource.
func (r *run) madeHere(e *entity) bool {
	for _, x := range append(slices.Clone(r.past), r.now) {
		for _, s := range x.steps {
			t := r.lx.tools[s.tool]
			if t == nil || t.kind != e.Kind || s.failed || t.action != "create" && t.action != "clone" {
				continue
			}
			for _, o := range made(s.out, t) {
				if str(o, "id") == e.ID {
					return true
				}
			}
		}
	}
	return false
}

// focusKind answers the kind of resource that the conversation turned to last, among some kinds.
func (r *run) focusKind(kinds func(string) bool) string {
	for _, g := range r.groups() {
		if kinds(g.Kind) {
			return g.Kind
		}
	}
	return ""
}

// lastActs answers the writes of the most recent exchange that wrote something, with how many exchanges ago it was.
func (r *run) lastActs() ([]*step, *exchange) {
	for i := len(r.past) - 1; i >= 0 && i >= len(r.past)-3; i-- {
		var acts []*step
		for _, s := range r.past[i].steps {
			if t := r.lx.tools[s.tool]; t != nil && !t.reads() && s.done {
				acts = append(acts, s)
			}
		}
		if len(acts) > 0 {
			return acts, r.past[i]
		}
	}
	return nil, nil
}

// plainWords answers the clause's words that are neither filler nor lead-in, in lower case.
func (c *clause) plainWords() []string {
	var out []string
	for i, t := range c.toks {
		if i >= c.start && t.Wordy() && !lang.Filler(t.Low) {
			out = append(out, t.Low)
		}
	}
	return out
}
