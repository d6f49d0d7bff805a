package planner

import (
	"slices"

	"yardmaster/internal/llm/planner/lang"
)

// units joins fragments, fields and names to the requests that they belong to, and takes out what is no request.
func (r *run) units(src string, cs []*clause) []*unit {
	var out []*unit
	var pendingKeep []*ref
	var prefix []mention
	var carried []*clause
	var about []group
	remember := func(f *ref) {
		before := len(r.focus)
		r.noteRef(f)
		if len(r.focus) > before {
			about = append(about, r.focus[0])
		}
	}
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
			for _, m := range c.mens {
				if m.kind != mUnknown {
					last.c.mens = append(last.c.mens, m)
				}
			}
			continue
		}
		if c.neg { // "don't delete x": nothing to do, but x is what is spoken of, and stays
			for _, f := range c.refs("") {
				remember(f)
				pendingKeep = append(pendingKeep, f)
			}
			continue
		}
		if n+1 < len(cs) && cs[n+1].sentence == c.sentence && r.placeOnly(c) {
			prefix = append(prefix, c.mens...)
			continue
		}
		u := &unit{c: c, src: src, extras: carried, about: about}
		about = nil
		c.mens = append(c.mens, prefix...)
		prefix, carried = nil, nil
		if len(c.plainWords()) == 0 && len(c.conds) > 0 && n+1 < len(cs) { // "if it is stopped, start it"
			cs[n+1].conds, cs[n+1].unless = c.conds, c.unless
			continue
		}
		u.rd = r.bestReading(c, last)
		u.bare = r.bareNames(c)
		if len(cs) > 1 && r.remark(c) && (u.rd.t == nil || !u.explained() && !u.rd.head) {
			for _, f := range c.refs("") {
				remember(f)
			}
			if n+1 < len(cs) && (len(c.of(mPath, mURL, mText)) > 0 || r.valueIn(c, src, "") != "") { // "the password is x, keep it as Y"
				carried = []*clause{c}
				cs[n+1].mens = append(cs[n+1].mens, c.of(mPath, mURL)...)
			}
			continue
		}
		for _, f := range c.refs("") {
			if len(f.named) > 0 {
				r.noteRef(f)
			}
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
func (r *run) noteRef(f *ref) {
	for _, k := range f.kinds() {
		if got := r.resolve(f, k); len(got.es) > 0 && got.named {
			r.about(k, got.es...)
			break
		}
	}
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
	if creates && slices.ContainsFunc(c.of(mText), func(m mention) bool {
		return t.slot(m.key) != nil || m.key == "template" && t.slot("promptTemplate") != nil
	}) {
		return true
	}
	if creates && c.noun("name") && len(c.of(mNew)) > 0 {
		return true
	}
	if t.resource == "experiments" && (first == "focus" || first == "concentrate" || c.low(c.start) == "score" && t.action != "evaluate" || c.low(c.start) == "mutate" || c.hasSeq("stop", "early") || first == "stop" && c.has("when", "once", "if", "as") || first == "evaluate" || first == "refill" || first == "compare" || first == "fill" || first == "let" && c.has("compete")) {
		return true
	}
	if t.resource == "experiments" && t.action == "evolve" && slices.Contains([]string{"evolve", "breed", "grow", "make", "clone"}, first) {
		return true
	}
	if t.resource == "experiments" && t.action == "promote" && (c.noun("variant") || c.has("variants", "others", "rest")) {
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
