package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// maxAtOnce bounds how many instances one sentence may make.
const maxAtOnce = 500

// createInstances makes one or many instances, with names, a count or a prefix, labels, skills and a first configuration.
func (r *run) createInstances(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	count, named := 0, []string(nil)
	for _, m := range c.mens {
		switch m.kind {
		case mInt:
			if count == 0 && (m.text == "" || r.lx.kinds[m.text] == "instance" || m.text == "new" || m.text == "more" || m.text == "blank" || slices.Contains(leadIns, m.text)) {
				count = m.n
			}
		case mRef:
			if m.ref.kind == "instance" || m.ref.fresh || len(m.ref.kinds()) == 0 {
				if m.ref.count > 0 {
					count = m.ref.count
				}
				named = append(named, refNames(m.ref)...)
			} else if slices.Contains(m.ref.kinds(), "instance") && len(m.ref.named) > 0 {
				named = append(named, refNames(m.ref)...)
			}
		}
	}
	prefix := ""
	for _, m := range c.of(mNew) {
		if m.key == "prefix" {
			prefix = m.names[0]
			continue
		}
		if m.key == "" {
			named = append(named, m.names...)
		}
	}
	named = append(named, r.bareNames(c)...)
	named = dedupe(named)
	if len(named) > 1 && count == 0 {
		count = len(named)
	}
	if count > maxAtOnce || len(named) > maxAtOnce {
		r.out.fail("I can make at most %d instances in one go; %d is too many.", maxAtOnce, max(count, len(named)))
		return
	}
	if count < 0 || count == 0 && c.hasSeq("zero", "instances") {
		r.out.fail("A number of instances must be at least 1.")
		return
	}
	if len(named) > 1 && count > 0 && len(named) != count {
		r.question(&open{}, "You asked for %d instances but gave %d names (%s). Should I make exactly the named ones?", count, len(named), ticked(named))
		return
	}
	switch {
	case len(named) == 1 && count > 1:
		prefix, named = strings.TrimSuffix(named[0], "-")+"-", nil
		fallthrough
	case prefix != "" && len(named) == 0:
		if !strings.HasSuffix(prefix, "-") && !strings.HasSuffix(prefix, "_") {
			prefix += "-"
		}
		for n := 1; len(named) < max(1, count); n++ {
			if name := sprintf("%s%d", prefix, n); r.world.find("instance", name) == nil || r.askedFor(t.Name, name) {
				named = append(named, name)
			}
		}
	}
	if c.has("blank", "bare", "empty") {
		args["kind"] = "blank"
	}
	if l := r.labelsIn(c); len(l) > 0 {
		args["labels"] = l
	}
	skills, ok := r.skillsIn(u)
	if !ok {
		return
	}
	if len(skills) > 0 {
		args["skills"] = skills
	}
	for _, m := range c.of(mURL) {
		args["checkpointRepo"] = m.text
	}
	if conf := r.configIn(u, true); len(conf) > 0 {
		args["config"] = conf
	}
	var outs []outcome
	ok = true
	for n := range max(1, count, len(named)) {
		in := with(args, "name", "")
		delete(in, "name")
		if n < len(named) {
			in["name"] = named[n]
		}
		res, got := r.do(t.Name, in)
		ok = ok && got
		name, _ := in["name"].(string)
		outs = append(outs, outcome{&entity{Kind: "instance", Name: name}, res})
	}
	if !ok {
		return
	}
	var made_ []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't create the instance%s: %s", spaced(o.e.Name), why(o.res))
			continue
		}
		for _, raw := range made(o.res.out, t) {
			made_ = append(made_, r.world.put("instance", raw))
		}
	}
	if len(made_) == 0 {
		return
	}
	r.about("instance", made_...)
	r.out.done("Created %s: %s.", r.counted(len(made_), "instance"), names(made_))
	var parts []string
	if args["kind"] != nil {
		parts = append(parts, "blank")
	}
	if l, _ := args["labels"].(object); len(l) > 0 {
		parts = append(parts, "labelled "+pairText(l))
	}
	if len(skills) > 0 {
		parts = append(parts, "with "+ticked(skills))
	}
	if len(parts) > 0 {
		r.out.done("%s: %s.", map[bool]string{true: "It is", false: "They are"}[len(made_) == 1], strings.Join(parts, ", "))
	}
	for _, e := range made_ {
		if st := str(e.raw, "status"); st == "error" {
			r.out.note("`%s` is in status error%s.", e.Name, because(str(e.raw, "lastError")))
		}
	}
}

// askedFor tells whether this turn already called a tool with such a name, so that the same names come out again.
func (r *run) askedFor(tool, name string) bool {
	return slices.ContainsFunc(r.now.steps, func(s *step) bool { return s.tool == tool && str(s.in, "name") == name })
}

func spaced(name string) string {
	if name == "" {
		return ""
	}
	return " `" + name + "`"
}

func dedupe(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// refNames answers the names that a reference to new things holds, known or not.
func refNames(f *ref) []string { return f.names() }

// bareNames reads names that stand right behind the noun or a colon: "instances api-1 and api-2", "three boxes: red, green".
func (r *run) bareNames(c *clause) []string {
	p := &refParser{r: r, toks: c.toks, stop: len(c.toks)}
	var out []string
	for i, t := range c.toks {
		start := -1
		switch {
		case i == c.start && i+1 < len(c.toks) && c.baseVerb(i):
			for _, h := range c.verbs {
				if _, n := p.rangeEnd(tokText(c.toks, h.j), h.j+1); h.i == i && n > 0 {
					start = h.j
				}
			}
		case t.Is(":") || t.Is("-") && i > 0 && !c.used[i]:
			start = i + 1
		default:
			if _, n := p.kindNoun(i); n > 0 && p.r.lx.kinds[lang.Singular(t.Low)] == "instance" && !c.sched.Used(i) {
				start = i + n
				if c.low(start) == "," && start+1 < len(c.toks) {
					start++
				}
			}
		}
		if start < 0 || start >= len(c.toks) {
			continue
		}
		first := c.toks[start]
		if !first.Wordy() && first.Kind != lang.Quote || first.Kind == lang.Word && (lang.Filler(first.Low) && first.Low == strings.ToLower(first.Text) && start+1 < len(c.toks) && c.toks[start+1].Wordy() || slices.Contains(prepositions, first.Low) || first.Is("prefix", "prefixed", "labelled", "tagged", "called", "named", "with", "please", "name", "names", "all", "both", "each", "that", "which", "running", "using", "having", "and", "now", "then")) {
			continue
		}
		if first.Kind == lang.Word {
			if n, k := p.kindNoun(start); k > 0 && n != "" {
				continue
			}
		}
		names, _ := p.newNames(start)
		out = append(out, names...)
	}
	return out
}

func tokText(toks []lang.Token, k int) string {
	if k < len(toks) {
		return toks[k].Text
	}
	return ""
}

// labelsIn collects the labels that a clause gives: pairs, and conditions of a noun phrase ("boxes labelled env=staging").
func (r *run) labelsIn(c *clause) object {
	out := object{}
	for _, m := range c.mens {
		switch m.kind {
		case mPair:
			if !lang.IsUpper(m.key) || c.noun("label", "tag") && !c.noun("environment", "variable", "environment variable") {
				out[m.key] = m.val
			}
		case mRef:
			for _, f := range append([]*ref{m.ref}, m.ref.more...) {
				for _, cd := range f.conds {
					if cd.what == "label" && cd.val != "" {
						out[cd.key] = cd.val
					}
				}
			}
		}
	}
	return out
}

func pairText(l object) string {
	var out []string
	for _, k := range sortedKeys(l) {
		if v, ok := l[k].(string); ok {
			out = append(out, "`"+k+"="+v+"`")
		}
	}
	return lang.And(out)
}

// skillsIn answers the names of the skills that a clause mentions; false when one of them does not exist.
func (r *run) skillsIn(u *unit) ([]string, bool) {
	var out []string
	for _, f := range u.c.refs("") {
		for _, cd := range f.conds {
			if cd.what == "skill" && cd.ent != nil && !cd.not {
				out = append(out, cd.ent.Name)
			}
		}
	}
	for _, f := range u.c.refs("skill") {
		if len(f.named)+len(f.unknown) == 0 && !f.all {
			continue
		}
		got := r.resolve(f, "skill")
		got, ok := r.settle(u, got, "skill", &open{})
		if !ok || len(got.unknown) > 0 {
			return nil, false
		}
		for _, e := range got.es {
			out = append(out, e.Name)
		}
	}
	for _, m := range u.c.of(mUnknown) { // "with the blorb skill on it"
		if u.c.low(m.j) == "skill" || u.c.low(m.i-1) == "skill" {
			got, ok := r.settle(u, r.resolve(&ref{unknown: []string{m.text}}, "skill"), "skill", &open{})
			if !ok {
				return nil, false
			}
			for _, e := range got.es {
				out = append(out, e.Name)
			}
		}
	}
	return dedupe(out), true
}

// cloneInstance copies an instance once or several times. Cloning the best variants is evolution and handled there.
func (r *run) cloneInstance(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	for i := range c.toks {
		if n, used := lang.Times(c.toks, i); used > 0 {
			args["count"] = n
		}
	}
	if n, ok := c.firstInt("copy", "clone", "duplicate", "time"); ok && args["count"] == nil {
		args["count"] = n
	}
	if n, _ := args["count"].(int); args["count"] != nil && (n < 1 || n > maxAtOnce) {
		r.out.fail("The number of clones must be between 1 and %d.", maxAtOnce)
		return
	}
	if n, _ := args["count"].(int); n == 1 {
		delete(args, "count")
	}
	var fresh []string
	for _, m := range c.of(mNew) {
		fresh = append(fresh, m.names...)
	}
	if len(fresh) == 0 {
		for _, m := range c.of(mUnknown) { // "clone golden to silver"
			if m.prep == "to" || m.prep == "as" || m.prep == "into" {
				fresh = append(fresh, m.text)
			}
		}
	}
	f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "clone"})
	if !ok {
		return
	}
	var outs []outcome
	for _, e := range f.es {
		ins := []object{with(args, "id", e.handle())}
		if len(fresh) > 0 && len(f.es) == 1 {
			ins = nil
			for _, name := range fresh {
				ins = append(ins, object{"id": e.handle(), "name": name})
			}
			if len(fresh) == 1 && args["count"] != nil {
				ins[0]["count"] = args["count"]
			}
		}
		for _, in := range ins {
			res, got := r.do(t.Name, in)
			ok = ok && got
			outs = append(outs, outcome{e, res})
		}
	}
	if !ok {
		return
	}
	var made_ []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't clone `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		var mine []*entity
		for _, raw := range made(o.res.out, t) {
			mine = append(mine, r.world.put("instance", raw))
		}
		made_ = append(made_, mine...)
		r.out.done("Cloned `%s` into %s.", o.e.Name, names(mine))
	}
	if len(made_) > 0 {
		r.about("instance", made_...)
		r.out.note("Granted secrets are not copied to clones.")
	}
}

// updateInstance renames an instance or changes labels.
func (r *run) updateInstance(u *unit) {
	c, t := u.c, u.rd.t
	removing := u.rd.verb != nil && slices.Contains([]string{"remove", "drop", "delete", "unlabel", "untag", "strip", "clear", "take", "get"}, u.rd.verb.v.words[0])
	labels := object{}
	for k, v := range r.labelsIn(&clause{mens: c.of(mPair), nouns: c.nouns}) {
		labels[k] = v
		if removing {
			labels[k] = nil
		}
	}
	var name string
	for _, m := range c.of(mNew) {
		name = m.names[0]
	}
	if key, val, ok := r.labelWords(u); ok && len(labels) == 0 {
		labels[key] = val
		if removing || val == "" {
			labels[key] = nil
		}
	}
	if name == "" && len(labels) == 0 && u.rd.verb != nil && !c.noun("label", "tag") && (slices.Contains([]string{"rename", "call", "name", "should"}, u.rd.verb.v.words[0]) || c.noun("name")) {
		name = r.newNameFor(u)
	}
	if name == "" && len(labels) == 0 {
		if u.rd.verb != nil && slices.Contains([]string{"rename", "call", "name"}, u.rd.verb.v.words[0]) {
			r.apply1(u, t, "name", "What should the new name be?")
			return
		}
		if c.noun("label", "tag") || u.rd.verb != nil && (u.rd.verb.v.words[0] == "label" || u.rd.verb.v.words[0] == "tag") {
			r.question(&open{}, "Which label should it be? Please say it as key=value.")
			return
		}
		r.decline(u)
		return
	}
	if len(labels) > 0 {
		f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: object{"labels": labels}, Missing: "id", Verb: "label", Many: true})
		if !ok {
			return
		}
		es := r.whenMet(u, f.es)
		args := object{"labels": labels}
		if name != "" && len(es) == 1 {
			args["name"] = name
		}
		outs, ok := r.each(t, t.slot("id"), args, es)
		if ok {
			r.tellLabels(labels, outs)
		}
		return
	}
	f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: object{"name": name}, Missing: "id", Verb: "rename"})
	if !ok {
		return
	}
	if len(f.es) > 1 {
		r.question(&open{}, "Only one instance can have the name `%s`. Which one should get it: %s?", name, either(f.es))
		return
	}
	r.rename(t, f.es[0], name)
}

func (r *run) rename(t *tool, e *entity, name string) {
	old := e.Name
	outs, ok := r.each(t, t.slot("id"), object{"name": name}, []*entity{e})
	if !ok {
		return
	}
	if outs[0].res.failed {
		r.out.fail("Couldn't rename `%s`: %s", old, why(outs[0].res))
		return
	}
	r.about(e.Kind, e)
	r.out.done("Renamed the %s `%s` to `%s`.", e.Kind, old, name)
}

// apply1 asks for one missing argument of a request whose target is clear.
func (r *run) apply1(u *unit, t *tool, missing, question string) {
	kind := t.kind
	if s := t.has(slotRef); s != nil {
		kind = s.ref
	}
	f, ok := r.targets(u, kind, &open{})
	if !ok {
		return
	}
	r.question(&open{Tool: t.Name, Args: object{"id": f.es[0].handle()}, Missing: missing, Verb: t.action}, "%s", question)
}

func (r *run) tellLabels(labels object, outs []outcome) {
	var good []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't change the labels of `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		good = append(good, o.e)
	}
	if len(good) == 0 {
		return
	}
	r.about("instance", good...)
	var gone []string
	for _, k := range sortedKeys(labels) {
		if labels[k] == nil {
			gone = append(gone, k)
		}
	}
	if set := pairText(labels); set != "" {
		r.out.done("Set the label%s %s on %s.", map[bool]string{true: "", false: "s"}[len(labels)-len(gone) == 1], set, names(good))
	}
	if len(gone) > 0 {
		r.out.done("Removed the label %s from %s.", ticked(gone), names(good))
	}
}

// labelWords reads labels said in words: "env label to qa", "the label env from web-1", "label owner: mia", "tag it env prod".
func (r *run) labelWords(u *unit) (key, val string, ok bool) {
	c := u.c
	word := func(i int) string {
		if i >= 0 && i < len(c.toks) && (c.toks[i].Wordy() || c.toks[i].Kind == lang.Quote) {
			return c.toks[i].Text
		}
		return ""
	}
	for i, t := range c.toks {
		if !t.Is("label", "tag", "labels", "tags") || i == c.start && !c.toks[i].Is("labels") {
			continue
		}
		key := ""
		switch {
		case r.isLabelKey(word(i - 1)):
			key = word(i - 1)
		case word(i+1) != "" && !c.toks[i+1].Is("to", "is", "as", "the", "a", "it", "them", "all", "and", "with") && !slices.Contains(prepositions, c.low(i+1)) && len(r.byName(word(i+1))) == 0:
			key = word(i + 1)
		case i >= 2 && !lang.Filler(c.low(i-1)) && len(r.byName(word(i-1))) == 0 && !c.toks[i-1].Poss:
			key = word(i - 1)
		}
		if key == "" {
			continue
		}
		for k := i + 1; k < len(c.toks); k++ {
			if c.toks[k].Is("to", "=", ":", "is", "as", "with") && word(k+1) != "" {
				k++
				if c.toks[k].Is("value") || c.toks[k].Is("the") {
					k++
				}
				if len(r.byName(word(k))) == 0 {
					return key, word(k), true
				}
			}
		}
		return key, "", true
	}
	return "", "", false
}

// newNameFor finds the new name in a request to rename: what stands behind "to" or "as", or the word that nothing explains.
func (r *run) newNameFor(u *unit) string {
	c := u.c
	for i := len(c.toks) - 2; i > c.start; i-- {
		if c.toks[i].Is("to", "as", "into", "called", "named", "be") {
			next := c.toks[i+1]
			if next.Wordy() && !lang.Filler(next.Low) || next.Kind == lang.Quote {
				return next.Text
			}
		}
	}
	for _, m := range c.of(mUnknown) {
		return m.text
	}
	return ""
}
