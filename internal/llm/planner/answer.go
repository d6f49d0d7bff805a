package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// answered deals with the answer to an open question. false means that the message is none, but a request of its own; the
// question is dropped then, because a later "yes" must not release what was not spoken of just before.
func (r *run) answered(src string, raw []lang.Token) bool {
	if len(r.past) == 0 {
		return false
	}
	n := r.past[len(r.past)-1].note
	if n == nil || n.Open == nil {
		return false
	}
	o := n.Open
	kinds := []string{"instance"}
	for _, k := range []string{o.Kind} {
		if k != "" && k != "variant" {
			kinds = append(kinds, k)
		}
	}
	if t := r.lx.tools[o.Tool]; t != nil {
		for _, s := range t.slots {
			if s.ref != "" {
				kinds = append(kinds, s.ref)
			}
		}
	}
	if !r.lists(dedupe(kinds)...) {
		return true
	}
	toks := r.preface(src, slices.Clone(raw))
	if len(o.Confirm) > 0 {
		return r.confirmed(src, toks, o)
	}
	if o.Missing == "" {
		return false
	}
	if t := r.lx.tools[o.Tool]; t != nil {
		if s := t.slot(o.Missing); s != nil && (s.typ == slotRef || s.typ == slotRefs) {
			return r.chosen(src, toks, o, t, s)
		}
		return r.supplied(src, toks, o, t)
	}
	return false
}

// answerClause reads the part of an answer behind yes, no and filler.
func (r *run) answerClause(toks []lang.Token) *clause {
	c := &clause{toks: toks}
	if n := len(toks); n > 0 && toks[n-1].Is("?") {
		c.ask = true
		c.toks = toks[:n-1]
	}
	c.start, c.neg = leadIn(c.toks, 0)
	r.read(c)
	return c
}

// confirmed deals with the answer to "shall I go ahead?".
func (r *run) confirmed(src string, toks []lang.Token, o *open) bool {
	ws := wordsOf(toks)
	if len(ws) == 0 {
		return false
	}
	if holdsBack(toks) {
		r.out.done("Okay, nothing was changed.")
		return true
	}
	yes, no := false, false
	k := 0
	for k < len(toks) {
		low := tokLow(toks, k)
		switch {
		case slices.Contains(yesWords, low) || low == "do" && (tokLow(toks, k+1) == "it" || tokLow(toks, k+1) == "that") && !no || low == "go" && tokLow(toks, k+1) == "ahead":
			yes = true
			if low == "do" || low == "go" {
				k++
			}
		case low == "do" && tokLow(toks, k+1) == "not":
			no = true
			k++
		case slices.Contains(noWords, low) && low != "not":
			no = true
		case low == "i" && tokLow(toks, k+1) == "am" && (tokLow(toks, k+2) == "sure" || tokLow(toks, k+2) == "certain"):
			yes = true
			k += 2
		case slices.Contains([]string{",", ".", "!", "-", "please", "hm", "hmm", "well", "oh", "thanks", "thank", "you", "then", "just", "and", "sorry", "wait", "um", "ah", ":", ";", "i", "mean", "now", "with"}, low):
		default:
			goto rest
		}
		k++
	}
rest:
	tail := toks[k:]
	for len(tail) > 0 && tail[len(tail)-1].Kind == lang.Punct && !tail[len(tail)-1].Is("?") {
		tail = tail[:len(tail)-1]
	}
	switch {
	case len(tail) == 0 && yes && !no:
		r.release(o.Confirm)
		return true
	case len(tail) == 0 && no:
		r.out.done("Okay, nothing was changed.")
		return true
	case len(tail) == 0:
		return false
	}
	if low := tokLow(tail, 0); no && (slices.Contains([]string{"leave", "keep", "stop", "forget", "mind", "cancel", "not", "better", "way", "need"}, low) || strings.Contains(low, "do not")) && len(tail) <= 5 {
		r.out.done("Okay, nothing was changed.")
		return true
	}
	if low := tokLow(tail, 0); !yes && !no && slices.Contains([]string{"stop", "leave", "keep", "forget", "abort", "hold"}, low) && len(tail) <= 3 && len(r.answerClause(tail).refs("")) < 2 && tokLow(tail, 1) != "" && slices.Contains([]string{"it", "that", "them", "on", "everything"}, tokLow(tail, 1)) {
		r.out.done("Okay, nothing was changed.")
		return true
	}
	c := r.answerClause(tail)
	if c.question() {
		return false
	}
	return r.narrowed(src, c, o, yes, no)
}

// narrowed deals with an answer that picks among what was asked about, or says the request again.
func (r *run) narrowed(src string, c *clause, o *open, yes, no bool) bool {
	kind := o.Confirm[0].Target.Kind
	sameVerb, otherVerb := false, false
	for _, h := range c.verbs {
		if h.i != c.start {
			continue
		}
		for _, t := range h.v.tools {
			if t.Name == o.Confirm[0].Tool {
				sameVerb = true
			}
		}
		otherVerb = otherVerb || !sameVerb && c.baseVerb(h.i)
	}
	if c.neg && !yes || otherVerb && !sameVerb && !slices.Contains([]string{"keep", "spare", "leave"}, c.low(c.start)) {
		if c.neg {
			r.out.done("Okay, nothing was changed.")
			return true
		}
		return false
	}
	var picked []planned
	refs := c.refs("")
	said := false
	for _, f := range refs {
		kinds := f.kinds()
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			return false
		}
		if (f.all || f.pron != "") && len(f.conds) == 0 && len(f.minus) == 0 && len(f.named) == 0 && f.super == "" && len(f.ords) == 0 && f.count == 0 {
			if !yes && !sameVerb {
				return false // speaking of them is no consent
			}
			said = true
			picked = o.Confirm
			continue
		}
		said = true
		if c.neg || f.i > 0 && c.toks[f.i-1].Is("not", "except", "excluding", "without", "but", "keep", "spare", "leave", "for") {
			spared := r.resolve(f, kind)
			if len(spared.es) == 0 {
				return false
			}
			if picked == nil {
				picked = slices.Clone(o.Confirm)
			}
			picked = slices.DeleteFunc(picked, func(p planned) bool {
				return slices.ContainsFunc(spared.es, func(e *entity) bool { return p.Target.is(e) })
			})
			continue
		}
		within := &ref{kind: f.kind, noun: cmpOr(f.noun, "ones"), named: f.named, unknown: f.unknown, hint: f.hint, all: f.all || len(f.conds) > 0, ords: f.ords, super: f.super, count: f.count, conds: f.conds, minus: f.minus, more: f.more, def: f.def}
		got := r.resolve(within, kind)
		for _, p := range o.Confirm {
			if slices.ContainsFunc(got.es, func(e *entity) bool { return p.Target.is(e) }) {
				picked = append(picked, p)
			}
		}
	}
	words := 0
	for i, t := range c.toks {
		if i >= c.start && t.Wordy() && !c.used[i] && !lang.Filler(t.Low) {
			words++
		}
	}
	if sameVerb {
		words--
	}
	switch {
	case !said && (yes || sameVerb) && words <= 0 && len(refs) == 0 && len(c.mens) == 0 && yes:
		r.release(o.Confirm)
	case said && len(picked) == len(o.Confirm) && exempts(c.toks):
		r.out.done("I could not make out what to leave out, so nothing was changed. Please say it again, with the names.")
	case said && len(picked) > 0 && words <= 1:
		r.release(picked)
	case said && len(picked) == 0:
		if no {
			r.out.done("Okay, nothing was changed.")
			return true
		}
		return false
	default:
		return false
	}
	return true
}

// release makes the calls that a yes was asked for, and nothing else. What no longer exists is left out.
func (r *run) release(list []planned) {
	type batch struct {
		t    *tool
		args object
		outs []outcome
	}
	var batches []*batch
	ok := true
	for _, p := range list {
		t := r.lx.tools[p.Tool]
		if t == nil {
			continue
		}
		e := &entity{Kind: p.Target.Kind, ID: p.Target.ID, Name: p.Target.Name}
		for _, have := range r.world.byKind[p.Target.Kind] {
			if have.is(e) {
				e = have
			}
		}
		res, got := r.do(p.Tool, p.Args)
		ok = ok && got
		b := (*batch)(nil)
		for _, x := range batches {
			if x.t == t {
				b = x
			}
		}
		if b == nil {
			b = &batch{t: t, args: p.Args}
			batches = append(batches, b)
		}
		b.outs = append(b.outs, outcome{e, res})
	}
	if !ok {
		return
	}
	for _, b := range batches {
		switch b.t.Name {
		case "automations_create":
			for _, o := range b.outs {
				r.tellAutomation(o.res, o.e.Name, "")
			}
		case "files_delete":
			for _, o := range b.outs {
				r.tellFiles("Deleted", "delete", str(b.args, "path"), []outcome{o})
			}
		default:
			r.tell(b.t, b.args, b.outs)
		}
	}
}

// chosen deals with the answer to "which one do you mean?".
func (r *run) chosen(src string, toks []lang.Token, o *open, t *tool, s *slot) bool {
	c := r.answerClause(toks)
	if c.question() {
		return false
	}
	if ws := wordsOf(toks); len(ws) <= 3 && slices.Contains([]string{"no", "none", "nevermind", "cancel", "neither", "nothing"}, ws[0]) && len(c.refs("")) == 0 {
		r.out.done("Okay, nothing was changed.")
		return true
	}
	kind := s.ref
	if o.Kind != "" && o.Kind != "variant" {
		kind = o.Kind
	}
	var picked []*entity
	named := true
	pool := r.here(group{kind, o.Choices})
	if len(pool) == 0 {
		pool = r.world.all(kind)
	}
	add := func(es ...*entity) {
		for _, e := range es {
			if !slices.ContainsFunc(picked, e.is) {
				picked = append(picked, e)
			}
		}
	}
	other := false
	for _, h := range c.verbs {
		if h.i == c.start && c.baseVerb(h.i) && !slices.Contains([]string{"take", "use", "do", "want", "mean", "get", "make", "show"}, h.v.words[0]) {
			same := slices.ContainsFunc(h.v.tools, func(x *tool) bool { return x == t })
			other = other || !same
		}
	}
	for _, f := range c.refs("") {
		switch {
		case len(f.named)+len(f.unknown) > 0:
			got := r.resolve(f, kind)
			add(got.es...)
			for _, es := range got.unsure {
				if len(es) == 1 {
					add(es...)
				}
			}
		case f.hint != "":
			for _, e := range pool {
				if hasPart(e.Name, f.hint) {
					add(e)
				}
			}
		case len(f.ords) > 0 || f.super != "":
			add(r.pick(pool, f, kind, true)...)
			named = false
		case (f.all || f.pron == "both") && o.Many:
			add(r.filter(pool, f.conds, false)...)
			named = false
		case len(f.conds) > 0:
			add(r.filter(pool, f.conds, false)...)
			named = false
		}
	}
	if len(picked) == 0 {
		for i, tk := range c.toks {
			if !tk.Wordy() || lang.Filler(tk.Low) && len(wordsOf(toks)) > 1 || i < c.start && slices.Contains(leadIns, tk.Low) {
				continue
			}
			var fit []*entity
			for _, e := range pool {
				if hasPart(e.Name, tk.Low) || strings.EqualFold(e.Name, tk.Text) {
					fit = append(fit, e)
				}
			}
			if len(fit) == 1 {
				add(fit...)
			}
		}
	}
	if len(picked) == 0 || other && len(picked) > 0 && len(c.plainWords()) > 3 {
		return false
	}
	if len(picked) > 1 && !o.Many && s.typ != slotRefs {
		r.question(o, "That could still be %s. Which one?", either(picked))
		return true
	}
	u := &unit{c: c, rd: reading{t: t}, src: src}
	r.resume(u, o, t, s, picked, named)
	return true
}

// hasPart tells whether a word is a piece of a name.
func hasPart(name, word string) bool {
	have := parts(name)
	for _, w := range parts(word) {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return len(parts(word)) > 0
}

// resume goes on with a request whose resource is known now.
func (r *run) resume(u *unit, o *open, t *tool, s *slot, picked []*entity, named bool) {
	switch t.Name {
	case "secrets_grant", "secrets_revoke":
		sec, ins := r.parties(o, s, picked)
		if len(sec) == 0 || len(ins) == 0 {
			r.question(&open{Tool: t.Name, Args: with(o.Args, s.name, picked[0].handle()), Missing: map[bool]string{true: t.has(slotRefs).nameOr("instance"), false: "id"}[s.name == "id"], Many: true}, "And for which %s?", map[bool]string{true: "instance", false: "secret"}[s.name == "id"])
			return
		}
		if t.Name == "secrets_grant" {
			r.grantTo(sec, ins)
			return
		}
		outs, ok := r.each(t, t.slot("instance"), object{"id": sec[0].handle()}, ins)
		if ok {
			r.about("instance", ins...)
			r.about("secret", sec...)
			for _, x := range outs {
				if x.res.failed {
					r.out.fail("Couldn't take `%s` away from `%s`: %s", sec[0].Name, x.e.Name, why(x.res))
				} else {
					r.out.done("`%s` may no longer use `%s`.", x.e.Name, sec[0].Name)
				}
			}
		}
		return
	}
	outs, ok := []outcome(nil), false
	switch {
	case t.Name == "config_get" || t.reads() && handlers[t.Name] != nil:
		u.c = &clause{toks: u.c.toks, mens: []mention{{kind: mRef, ref: &ref{named: each1(picked)}}}, nouns: map[string][]int{}, sched: lang.FindSchedule(nil), used: make([]bool, len(u.c.toks))}
		for k, v := range o.Args {
			if k == "path" {
				u.c.mens = append(u.c.mens, mention{kind: mPath, text: v.(string)})
			}
		}
		handlers[t.Name](r, u)
		return
	case t.Name == "instances_exec" || t.Name == "files_write" || t.Name == "files_delete":
		outs, ok = r.gather(t.Name, o.Args, picked)
		if ok {
			r.tellPlain(t, o.Args, outs)
		}
		return
	}
	if t.destroys() && !named {
		r.confirm(t, s, o.Args, picked)
		return
	}
	outs, ok = r.each(t, s, o.Args, picked)
	if !ok {
		return
	}
	r.tellPlain(t, o.Args, outs)
}

func each1(es []*entity) [][]*entity {
	var out [][]*entity
	for _, e := range es {
		out = append(out, []*entity{e})
	}
	return out
}

// nameOr answers the slot's name, or another when there is no slot.
func (s *slot) nameOr(other string) string {
	if s == nil {
		return other
	}
	return s.name
}

// parties answers the secret and the instances of a grant that was partly given.
func (r *run) parties(o *open, s *slot, picked []*entity) (sec, ins []*entity) {
	find := func(kind string, v any) (out []*entity) {
		var refs []string
		switch x := v.(type) {
		case string:
			refs = []string{x}
		case []any:
			for _, e := range x {
				refs = append(refs, cell(e))
			}
		case []string:
			refs = x
		}
		for _, ref := range refs {
			if e := r.world.find(kind, ref); e != nil {
				out = append(out, e)
			}
		}
		return out
	}
	sec, ins = find("secret", o.Args["id"]), append(find("instance", o.Args["instances"]), find("instance", o.Args["instance"])...)
	if s.name == "id" {
		sec = picked
	} else {
		ins = picked
	}
	return sec, ins
}

// tellPlain reports calls by the tool's own way of speaking.
func (r *run) tellPlain(t *tool, args object, outs []outcome) {
	switch t.Name {
	case "instances_update":
		if l, ok := args["labels"].(object); ok {
			r.tellLabels(l, outs)
			return
		}
	case "config_update":
		r.tellConfig(args, outs)
		return
	case "secrets_update", "secrets_create":
		r.tellSecret(args, outs)
		return
	case "skills_install", "skills_uninstall":
		if sk := r.world.find("skill", str(args, "id")); sk != nil {
			r.tellInstall(t, sk, outs)
			return
		}
	case "instances_exec":
		for _, o := range outs {
			code, _ := num(o.res.out, "exitCode")
			if o.res.failed {
				r.out.fail("`%s` did not run it: %s", o.e.Name, why(o.res))
				continue
			}
			r.tellOutput(o, int(code))
		}
		return
	case "files_write":
		r.tellFiles("Wrote", "write", str(args, "path"), outs)
		return
	case "files_delete":
		r.tellFiles("Deleted", "delete", str(args, "path"), outs)
		return
	}
	r.tell(t, args, outs)
}
