package planner

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"yardmaster/internal/llm/planner/lang"
)

// found is what a reference came to.
type found struct {
	es []*entity
	// unknown are names that nothing has, unsure words that several resources could be meant by.
	unknown []string
	unsure  map[string][]*entity
	// named is set when every resource was spelled out by name in this message.
	named bool
	// vague is set for a pronoun or "the x" that points at nothing in particular; choices are what it could be.
	vague   bool
	choices []*entity
	// part is set when a selection was made inside what was spoken of before rather than among all.
	part bool
}

func (f *found) add(es ...*entity) {
	for _, e := range es {
		if !slices.ContainsFunc(f.es, e.is) {
			f.es = append(f.es, e)
		}
	}
}

// resolve finds the resources of a kind that a reference means.
func (r *run) resolve(f *ref, kind string) found {
	out := r.resolveOne(f, kind)
	for _, m := range f.more {
		g := r.resolveOne(m, kind)
		out.add(g.es...)
		out.unknown = append(out.unknown, g.unknown...)
		for w, es := range g.unsure {
			out.doubt(w, es)
		}
		out.named = out.named && g.named
		out.vague = out.vague || g.vague
	}
	for _, x := range f.minus {
		g := r.resolve(x, kind)
		out.es = slices.DeleteFunc(out.es, func(e *entity) bool { return slices.ContainsFunc(g.es, e.is) })
		for _, es := range g.unsure { // what might be excepted is left alone
			out.es = slices.DeleteFunc(out.es, func(e *entity) bool { return slices.ContainsFunc(es, e.is) })
		}
		out.unknown = append(out.unknown, g.unknown...)
	}
	return out
}

func (f *found) doubt(word string, es []*entity) {
	if f.unsure == nil {
		f.unsure = map[string][]*entity{}
	}
	f.unsure[word] = es
}

func (r *run) resolveOne(f *ref, kind string) found {
	out := found{}
	switch {
	case len(f.named)+len(f.unknown) > 0:
		out.named = true
		for _, cands := range f.named {
			i := slices.IndexFunc(cands, func(e *entity) bool { return e.Kind == kind })
			if i >= 0 && cands[i].planned {
				if e := r.world.find(kind, cands[i].Name); e != nil {
					out.add(e)
				} else {
					r.miss(&out, cands[i].Name, kind)
				}
			} else if i >= 0 {
				out.add(cands[i])
			} else {
				r.miss(&out, cands[0].Name, kind)
			}
		}
		for _, name := range f.unknown {
			if e := r.world.find(kind, name); e != nil {
				out.add(e)
			} else {
				r.miss(&out, name, kind)
			}
		}
		return out
	case f.hint != "":
		if r.miss(&out, f.hint, kind); len(out.unsure) == 0 {
			out.unknown, out.vague, out.choices = nil, true, r.world.all(kind)
		}
		return out
	}
	pool := r.world.all(kind)
	scope, scoped := r.scope(f, kind)
	switch {
	case f.rest:
		pool = r.others(kind)
		out.part = true
	case f.pron != "" && scoped, (f.noun == "one" || len(f.ords) > 0 && f.kind == "") && scoped:
		pool = scope
		out.part = true
	case (f.def || f.noun == "one") && !f.all && scoped && f.selective() && len(f.conds) == 0 && f.super == "":
		pool = scope
		out.part = true
	case f.pron != "":
		out.vague, out.choices = true, pool
		return out
	}
	pool = r.filter(pool, f.conds, out.part)
	if f.super != "" || len(f.ords) > 0 {
		pool = r.pick(pool, f, kind, out.part)
	} else if f.pron == "it" || f.pron == "this" || f.pron == "there" || f.pron == "that" {
		if len(pool) > 1 && f.pron != "that" && f.pron != "there" { // "it" is one thing
			out.vague, out.choices = true, pool
			return out
		}
	} else if !f.selective() && f.pron == "" {
		if len(pool) == 1 && f.noun != "" && f.def { // "the instance", where there is only one
			out.add(pool...)
			return out
		}
		if !(f.noun != "" && plural(f.noun)) {
			out.vague, out.choices = true, pool
			return out
		}
	} else if f.count > 0 && !f.all && f.pron == "" && len(pool) > f.count {
		if !f.def || len(f.conds) == 0 {
			out.vague, out.choices = true, pool
			return out
		}
		pool = pool[:f.count]
	}
	out.add(pool...)
	return out
}

func plural(noun string) bool {
	return noun == "ones" || lang.Singular(noun) != noun || noun == "fleet" || noun == "thing"
}

// miss deals with a name that no resource of the kind has: it may be a piece of one name or of several.
func (r *run) miss(out *found, name, kind string) {
	like := r.world.like(kind, name)
	out.named = false
	if len(like) == 0 {
		out.unknown = append(out.unknown, name)
		return
	}
	out.doubt(name, like)
}

// filter keeps what fits all conditions; conditions on the same label key are alternatives.
func (r *run) filter(pool []*entity, conds []cond, part bool) []*entity {
	if len(conds) == 0 {
		return pool
	}
	groups := map[string][]cond{}
	var order []string
	for _, c := range conds {
		key := c.what
		if c.what == "label" {
			key += c.key
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], c)
	}
	failedNow, had := r.failedBefore()
	var out []*entity
	for _, e := range pool {
		ok := true
		for _, key := range order {
			ok = ok && slices.ContainsFunc(groups[key], func(c cond) bool {
				if c.what == "failed" && had && part {
					return holds(failedNow, e) != c.not
				}
				return r.fits(e, c) != c.not
			})
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

// fits tells whether a resource meets a condition.
func (r *run) fits(e *entity, c cond) bool {
	switch c.what {
	case "status", "failed":
		if on, ok := get(e.raw, "enabled").(bool); ok {
			return on == (c.val == "active")
		}
		status := str(e.raw, "status")
		return status == c.val || c.val == "inactive" && status == "suspended"
	case "label":
		return strings.EqualFold(e.labels()[c.key], c.val)
	case "kind":
		return str(e.raw, "kind") == c.val
	case "skill":
		return c.ent != nil && slices.Contains(e.skills(), c.ent.Name)
	case "secret":
		return c.ent != nil && (holds(c.ent.grants(), e) || flag(c.ent.raw, "isGlobal"))
	case "global":
		return flag(e.raw, "isGlobal")
	case "unused":
		return len(e.grants()) == 0 && !flag(e.raw, "isGlobal")
	case "prefix":
		return strings.HasPrefix(strings.ToLower(e.Name), c.val)
	case "suffix":
		return strings.HasSuffix(strings.ToLower(e.Name), c.val)
	case "contains":
		return strings.Contains(strings.ToLower(e.Name), c.val)
	case "before", "after":
		made := when(e, "createdAt")
		return !made.IsZero() && (now().Sub(made) > c.age) == (c.what == "before")
	case "made":
		made := when(e, "createdAt")
		switch c.val {
		case "today":
			return !made.IsZero() && made.UTC().Format(time.DateOnly) == now().UTC().Format(time.DateOnly)
		case "yesterday":
			return !made.IsZero() && made.UTC().Format(time.DateOnly) == now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		}
		return r.madeHere(e)
	}
	return false
}

// now is the time that ages are counted from.
var now = time.Now

// pick takes the first, the last, the two oldest and so on out of a pool.
func (r *run) pick(pool []*entity, f *ref, kind string, part bool) []*entity {
	pool = slices.Clone(pool)
	n := max(1, f.count)
	switch f.super {
	case "oldest", "newest":
		slices.SortStableFunc(pool, func(a, b *entity) int {
			return cmp.Or(when(a, "createdAt").Compare(when(b, "createdAt")), strings.Compare(a.ID, b.ID))
		})
		if f.super == "newest" {
			slices.Reverse(pool)
		}
	}
	if f.super != "" && len(f.ords) == 0 {
		if f.count == 0 && plural(f.noun) && f.noun != "one" && f.super != "best" && f.super != "worst" {
			n = 1
		}
		return pool[:min(n, len(pool))]
	}
	if f.super == "" && !part {
		r.shownOrder(pool, kind)
	}
	var out []*entity
	for _, o := range f.ords {
		switch {
		case o == -1 && f.count > 0:
			out = append(out, pool[max(0, len(pool)-f.count):]...)
		case o == 1 && f.count > 1:
			out = append(out, pool[:min(f.count, len(pool))]...)
		case o == -1 && len(pool) > 0:
			out = append(out, pool[len(pool)-1])
		case o > 0 && o <= len(pool):
			out = append(out, pool[o-1])
		}
	}
	return out
}

// shownOrder sorts a pool in the order in which an answer showed it last, by age otherwise.
func (r *run) shownOrder(pool []*entity, kind string) {
	for i := len(r.past) - 1; i >= 0; i-- {
		n := r.past[i].note
		if n == nil {
			continue
		}
		for _, g := range n.Focus {
			if g.Kind == kind && len(g.Items) >= len(pool) {
				at := func(e *entity) int { return slices.IndexFunc(g.Items, func(o entity) bool { return o.is(e) }) }
				slices.SortStableFunc(pool, func(a, b *entity) int { return cmp.Compare(at(a), at(b)) })
				return
			}
		}
	}
	slices.SortStableFunc(pool, func(a, b *entity) int { return when(a, "createdAt").Compare(when(b, "createdAt")) })
}
