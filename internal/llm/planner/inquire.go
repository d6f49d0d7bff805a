package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// inquire answers questions that joins of read tools answer better than one tool alone. false leaves the question to the
// tool that the sentence names.
func (r *run) inquire(u *unit) bool {
	c := u.c
	s := c.start
	switch {
	case c.low(s) == "how" && (slices.Contains([]string{"do", "can", "would", "could", "should"}, c.low(s+1)) && slices.Contains([]string{"i", "we", "you", "one"}, c.low(s+2)) || c.low(s+1) == "to"):
		return r.howTo(u)
	case c.hasSeq("what", "would", "happen") || c.hasSeq("what", "happens", "if") || c.hasSeq("what", "happens", "when") || c.hasSeq("what", "if"):
		return r.whatIf(u)
	case r.wantsValue(c):
		r.out.fail("I can't show secret values: they are never shown again once stored, not even to me. You can set a new value with: rotate NAME, the new value is …")
		for _, f := range c.refs("secret") {
			r.noteRef(f)
		}
		return true
	case slices.ContainsFunc(c.toks, func(t lang.Token) bool { return t.Kind != lang.KV && opaque(t.Text) }):
		r.out.fail("I can't check or judge a key, and I did not store it. Don't paste keys into questions; to keep one, say: save NAME=VALUE as a secret.")
		return true
	}
	if sec := r.namedIn(c, "secret"); len(sec) > 0 {
		return r.askSecret(u, sec)
	}
	if len(c.of(mEnv)) > 0 && (c.noun("environment", "variable", "environment variable") || c.has("set", "defined")) {
		return r.askEnv(u)
	}
	if sk := r.namedIn(c, "skill"); len(sk) > 0 && (c.low(s) == "where" || c.has("installed", "have", "has", "using", "uses", "use", "with", "got") && (len(c.refs("instance")) > 0 || c.low(s) == "who" || c.noun("instance"))) {
		return r.askSkill(u, sk)
	}
	if r.failedQuestion(u) {
		return true
	}
	if r.existence(u) {
		return true
	}
	if es := r.namedIn(c, "automation"); len(es) > 0 && (c.low(s) == "when" || c.has("next", "run") && !c.has("runs", "history", "did")) {
		r.tellSchedules(u, es)
		return true
	}
	if c.low(s) == "when" && (c.has("run", "runs", "next") || c.noun("automation")) && r.lx.tools["automations_list"] != nil {
		if r.lists("automation") {
			r.showAutomation(u)
		}
		return true
	}
	if c.has("scheduled", "schedules", "planned") && !c.has("did") && r.lx.tools["automations_list"] != nil {
		u.rd.t = r.lx.tools["automations_list"]
		if r.lists("automation") {
			r.listing(u)
		}
		return true
	}
	if sk := r.namedIn(c, "skill"); len(sk) > 0 && c.has("works", "work", "working", "functional") && r.lx.tools["skills_test"] != nil && !r.guarded {
		u.rd.t = r.lx.tools["skills_test"]
		r.testSkill(u)
		return true
	}
	if (c.low(s) == "who" || c.low(s) == "what" || c.low(s) == "which") && len(r.looseConds(c, "instance")) > 0 && len(c.nouns) == 0 && r.lx.tools["instances_list"] != nil {
		u.rd.t = r.lx.tools["instances_list"]
		r.listing(u)
		return true
	}
	if r.askBoard(u) {
		return true
	}
	if ins := r.namedIn(c, "instance"); len(ins) > 0 {
		return r.askInstances(u, ins)
	}
	return false
}

// namedIn answers the resources of a kind that a clause spells out, or leans on by a pronoun that only that kind fits.
func (r *run) namedIn(c *clause, kind string) []*entity {
	var out []*entity
	for _, f := range c.refs(kind) {
		if len(f.named) > 0 {
			if got := r.resolve(f, kind); got.named {
				out = append(out, got.es...)
			}
		}
	}
	return out
}

// wantsValue tells whether a question is after the value of a secret.
func (r *run) wantsValue(c *clause) bool {
	secretish := len(c.refs("secret")) > 0 || c.noun("secret", "password", "token", "credential", "passphrase") || c.noun("key") && !c.noun("chat key", "access key")
	if !secretish {
		return false
	}
	return c.noun("value") || c.has("value", "reveal", "decrypt", "plaintext") || c.has("password") && (c.has("was", "is") && c.low(c.start) == "what") || c.hasSeq("did", "i") && c.has("tell", "told", "give")
}

// askSecret answers who may use a secret, or whether some instance may.
func (r *run) askSecret(u *unit, secrets []*entity) bool {
	c := u.c
	if !r.lists("secret", "instance") {
		return true
	}
	who := r.namedIn(c, "instance")
	r.about("instance", who...)
	r.about("secret", secrets...)
	for _, s := range secrets {
		if fresh := r.world.find("secret", s.Name); fresh != nil {
			s = fresh
		}
		global := flag(s.raw, "isGlobal")
		if len(who) > 0 {
			for _, e := range who {
				if global || holds(s.grants(), e) {
					r.out.show("Yes, `%s` may use `%s`%s.", e.Name, s.Name, map[bool]string{true: " (it is global)", false: ""}[global])
				} else {
					r.out.show("No, `%s` may not use `%s`.", e.Name, s.Name)
				}
			}
			continue
		}
		var granted []*entity
		for _, e := range r.world.all("instance") {
			if holds(s.grants(), e) {
				granted = append(granted, e)
			}
		}
		if len(granted) > 0 {
			r.about("instance", granted...)
		}
		switch {
		case global && c.has("global"):
			r.out.show("Yes, `%s` is global: every instance may use it.", s.Name)
		case global:
			r.out.show("Every instance may use `%s`: it is global.", s.Name)
		case c.has("global"):
			r.out.show("No, `%s` is not global; it is granted to %s.", s.Name, orWords(names(granted), names(granted), "no instance"))
		case len(granted) == 0:
			r.out.show("No instance may use `%s`: it is granted to none and is not global.", s.Name)
		default:
			r.out.show("`%s` may be used by %s: %s.", s.Name, r.counted(len(granted), "instance"), names(granted))
		}
	}
	return true
}

// askSkill answers where a skill is installed, or whether some instance has it.
func (r *run) askSkill(u *unit, skills []*entity) bool {
	if !r.lists("skill", "instance") {
		return true
	}
	who := r.namedIn(u.c, "instance")
	r.about("instance", who...)
	r.about("skill", skills...)
	for _, s := range skills {
		on := r.having(s)
		switch {
		case len(who) > 0:
			for _, e := range who {
				if slices.Contains(e.skills(), s.Name) {
					r.out.show("Yes, `%s` has the skill `%s`.", e.Name, s.Name)
				} else {
					r.out.show("No, `%s` does not have the skill `%s`.", e.Name, s.Name)
				}
			}
		case len(on) == 0:
			r.out.show("`%s` is not installed anywhere.", s.Name)
		default:
			r.about("instance", on...)
			r.out.show("`%s` is installed on %s: %s.", s.Name, r.counted(len(on), "instance"), names(on))
		}
	}
	return true
}

// askEnv looks for environment variables on the instances named, or on all.
func (r *run) askEnv(u *unit) bool {
	es := r.namedIn(u.c, "instance")
	everyone := len(es) == 0
	if everyone {
		for _, f := range u.c.refs("") {
			if f.pron == "it" || f.pron == "them" || len(f.conds) > 0 {
				if got := r.resolve(f, "instance"); len(got.es) > 0 {
					es, everyone = got.es, false
				}
			}
		}
	}
	if everyone {
		es = r.world.all("instance")
	}
	outs, ok := r.gather("config_get", object{}, es)
	if !ok {
		return true
	}
	for _, m := range u.c.of(mEnv) {
		var rows [][]string
		var have []*entity
		for _, o := range outs {
			if v, ok := get(o.res.out, "config", "environment", m.text).(string); ok {
				have = append(have, o.e)
				rows = append(rows, []string{o.e.Name, v})
			}
		}
		switch {
		case len(have) == 0 && everyone:
			r.out.show("No, `%s` is not set in the environment of any instance.", m.text)
		case len(have) == 0:
			r.out.show("No, `%s` is not set on %s.", m.text, names(es))
		default:
			r.about("instance", have...)
			r.out.show("`%s` is set on %s:\n\n%s", m.text, names(have), table([]string{"Instance", "Value"}, rows))
		}
	}
	return true
}

// failedQuestion answers "which of them failed?" and "did anything fail?": from the last command where there was one, else
// from the instances' states.
func (r *run) failedQuestion(u *unit) bool {
	c := u.c
	failing := c.has("fail", "failed", "failing", "broken", "crashed", "wrong", "error", "errors", "failures", "broke", "crash", "succeeded", "worked")
	if !failing || len(r.namedIn(c, "instance")) > 0 || c.noun("log", "file", "automation", "skill", "webhook", "experiment") || c.hasSeq("how", "many") {
		return false
	}
	if len(c.refs("automation"))+len(c.refs("skill"))+len(c.refs("secret")) > 0 {
		return false
	}
	pron := slices.ContainsFunc(c.refs(""), func(f *ref) bool { return f.pron != "" })
	failed, had := r.failedBefore()
	if had && (pron || len(c.refs("")) == 0) {
		var es []*entity
		for _, e := range r.world.all("instance") {
			if holds(failed, e) {
				es = append(es, e)
			}
		}
		if len(es) == 0 {
			r.out.show("None of them failed.")
			return true
		}
		r.about("instance", es...)
		r.out.show("%s failed.", names(es))
		return true
	}
	var bad []*entity
	for _, e := range r.world.all("instance") {
		if str(e.raw, "status") == "error" {
			bad = append(bad, e)
		}
	}
	if len(bad) == 0 {
		r.out.show("No instance has failed.")
		return true
	}
	r.about("instance", bad...)
	for _, e := range bad {
		r.out.show("`%s` has failed%s.", e.Name, because(cmpOr(str(e.raw, "lastError"), "no reason was recorded")))
	}
	return true
}

// existence answers "is there an instance called x?", "do I have a secret named y?", also for a name inside quoted text.
func (r *run) existence(u *unit) bool {
	c := u.c
	asks := c.hasSeq("is", "there") || c.hasSeq("are", "there") || c.has("exists", "exist") || c.hasSeq("do", "i", "have") || c.hasSeq("do", "we", "have") || c.hasSeq("have", "i", "got")
	if !asks || len(c.of(mPath)) > 0 || c.noun("file") {
		return false
	}
	kind := ""
	for i := range c.toks {
		p := &refParser{r: r, toks: c.toks, stop: len(c.toks)}
		if k, n := p.kindNoun(i); n > 0 && k != "variant" {
			kind = k
		}
	}
	if kind == "" {
		kind = "instance"
	}
	if !r.lists(kind) {
		return true
	}
	var named []string
	for _, f := range c.refs("") {
		named = append(named, f.names()...)
	}
	for _, m := range c.of(mNew) {
		named = append(named, m.names...)
	}
	for _, m := range c.of(mUnknown, mEnv) {
		named = append(named, m.text)
	}
	if len(named) == 0 && (c.has("that", "this") && c.has("name") || c.hasSeq("such", "a") || c.hasSeq("such", "an")) {
		named = r.quotedNames(kind)
		if len(named) == 0 {
			r.out.show("I can't tell which name is meant.")
			return true
		}
	}
	if len(named) == 0 {
		return false
	}
	for _, n := range dedupe(named) {
		if e := r.world.find(kind, n); e != nil {
			r.about(kind, e)
			r.out.show("Yes, there is %s called `%s`%s.", article(kind), e.Name, orWords(str(e.raw, "status"), " (status "+str(e.raw, "status")+")", ""))
		} else if !opaque(n) {
			r.out.show("No, there is no %s called %s.", kind, safe(n))
		}
	}
	return true
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// quotedNames finds the names that quoted text speaks of: names of resources, or words behind the kind's noun. The text is
// only looked at, never followed.
func (r *run) quotedNames(kind string) []string {
	var out []string
	for _, t := range lang.Tokenize(r.now.user) {
		if t.Kind != lang.Quote {
			continue
		}
		inner := lang.Tokenize(t.Text)
		for i, w := range inner {
			if !w.Wordy() {
				continue
			}
			if r.world.find(kind, w.Text) != nil && (!lang.Filler(w.Low) || i > 0) {
				out = append(out, w.Text)
			} else if i > 0 && r.lx.kinds[lang.Singular(inner[i-1].Low)] == kind && !lang.Filler(w.Low) {
				out = append(out, w.Text)
			} else if i > 0 && inner[i-1].Is("called", "named") {
				out = append(out, w.Text)
			}
		}
	}
	return dedupe(out)
}

// askInstances answers questions about instances that are named: state, skills, secrets, labels, settings.
func (r *run) askInstances(u *unit, es []*entity) bool {
	c := u.c
	if t := u.rd.t; t != nil && (t.resource == "files" || t.action == "logs" || t.resource == "config") {
		return false
	}
	switch {
	case c.noun("secret") || c.noun("credential"):
		if !r.lists("secret") {
			return true
		}
		for _, e := range es {
			var may []string
			for _, s := range r.world.all("secret") {
				if flag(s.raw, "isGlobal") || holds(s.grants(), e) {
					may = append(may, s.Name)
				}
			}
			r.out.show("`%s` may use %s.", e.Name, orWords(strings.Join(may, ""), ticked(may), "no secrets"))
		}
	case c.noun("skill") || c.noun("ability"):
		for _, e := range es {
			r.out.show("`%s` has %s.", e.Name, orWords(strings.Join(e.skills(), ""), ticked(e.skills()), "no skills"))
		}
	case c.noun("label", "tag"):
		for _, e := range es {
			r.out.show("Labels of `%s`: %s.", e.Name, orWords(labelText(e), labelText(e), "none"))
		}
	default:
		if u.rd.t != nil && !(u.rd.t.kind == "instance" && (u.rd.t.action == "get" || u.rd.t.action == "list")) {
			return false
		}
		if conds := r.looseConds(c, "instance"); len(conds) > 0 {
			for _, e := range es {
				yes := r.fits(e, conds[0]) != conds[0].not
				r.out.show("%s, `%s` is %s%s.", map[bool]string{true: "Yes", false: "No"}[yes], e.Name, str(e.raw, "status"), because(str(e.raw, "lastError")))
			}
			r.about("instance", es...)
			return true
		}
		r.describeInstances(es)
		return true
	}
	r.about("instance", es...)
	return true
}

// askBoard answers questions about variants: those that speak of winning, leading and scores, or name a variant.
func (r *run) askBoard(u *unit) bool {
	c := u.c
	if r.lx.tools["experiments_leaderboard"] == nil {
		return false
	}
	about := c.noun("leaderboard", "variant", "winner", "score", "ranking", "lead", "best variant", "champion", "strategy") || c.has("winning", "won", "win", "lead", "leads", "leading", "ahead") || slices.ContainsFunc(c.toks, func(t lang.Token) bool { return variantLike(t.Text) })
	if last := r.focusKind(func(string) bool { return true }); (last == "variant" || last == "experiment") && c.has("best", "worst", "top", "second", "better", "first") {
		about = true
		u.rd = reading{t: r.lx.tools["experiments_leaderboard"]}
	}
	if !about || u.rd.t != nil && u.rd.t.resource != "experiments" && u.rd.t.action != "list" && u.rd.t.action != "get" && u.rd.verb != nil && u.rd.score > 3 && !slices.ContainsFunc(c.toks, func(t lang.Token) bool { return variantLike(t.Text) }) {
		return false
	}
	if u.rd.t == nil || u.rd.t.resource != "experiments" {
		u.rd.t = r.lx.tools["experiments_leaderboard"]
	}
	if u.rd.t.action == "get" && !c.noun("score", "winner", "leaderboard") && c.noun("lineage", "generation", "parent", "progress", "experiment") {
		return false
	}
	if e, ok := r.experiment(u); ok {
		r.boardQuestion(u, e)
	}
	return true
}

// variantLike tells whether a word has the form of a variant's name: v3, gen2-v1, aqi-predictor-v4.
func variantLike(s string) bool {
	low := strings.ToLower(s)
	i := strings.LastIndex(low, "v")
	if i < 0 || i == len(low)-1 || strings.Trim(low[i+1:], "0123456789") != "" || len(low)-i > 4 {
		return false
	}
	return i == 0 || low[i-1] == '-'
}

// howTo explains how to ask for something.
func (r *run) howTo(u *unit) bool {
	c := u.c
	from := c.start + 2
	if c.low(c.start+1) != "to" {
		from++
	}
	sub := &clause{toks: c.toks[min(from, len(c.toks)):], sentence: c.sentence}
	if len(sub.toks) == 0 {
		return false
	}
	r.read(sub)
	list := r.rank(sub, func(*tool) bool { return true })
	if len(list) == 0 {
		r.out.fail("I can't explain that: I know no operation for it. Ask “what can you do?” for what there is.")
		return true
	}
	t := list[0].t
	r.out.show("To %s: just tell me. %s", strings.TrimSpace(sub.text(u.src)), strings.TrimSuffix(t.Description, ".")+".")
	if len(t.Examples) > 0 {
		var ex []string
		for _, e := range t.Examples[:min(3, len(t.Examples))] {
			ex = append(ex, "- "+e)
		}
		r.out.show("For example:\n\n%s", strings.Join(ex, "\n"))
	}
	return true
}

// whatIf says what an operation would do, without doing it.
func (r *run) whatIf(u *unit) bool {
	c := u.c
	from := slices.IndexFunc(c.toks, func(t lang.Token) bool { return t.Is("if", "when") })
	if from < 0 || from+1 >= len(c.toks) {
		return false
	}
	sub := &clause{toks: c.toks[from+1:], sentence: c.sentence}
	for sub.start < len(sub.toks) && sub.toks[sub.start].Is("i", "we", "you", "somebody", "someone", "one", "the", "were", "to", "would") {
		sub.start++
	}
	r.read(sub)
	best := reading{}
	for i := range sub.verbs {
		h := &sub.verbs[i]
		for _, t := range h.v.tools {
			if rd := r.score(sub, t, h); !t.reads() && (best.t == nil || rd.score > best.score) {
				best = rd
			}
		}
	}
	if best.t == nil {
		r.out.fail("I can't tell what would happen then.")
		return true
	}
	t := best.t
	r.out.show("Nothing was done. That would do this: %s", strings.TrimSuffix(t.Description, ".")+".")
	su := &unit{c: sub, rd: best, src: u.src}
	if s := t.has(slotRef); s != nil {
		var es []*entity
		for _, f := range su.pick(s.ref) {
			es = append(es, r.resolve(f, s.ref).es...)
		}
		if len(es) > 0 {
			r.about(s.ref, es...)
			r.out.show("It would concern %s.", names(es))
			if t.destroys() && s.ref == "instance" {
				r.consequences(es)
			}
		}
	}
	if t.destroys() {
		r.out.show("What is deleted is gone; it can't be undone.")
	}
	return true
}

// consequences says what else hangs on instances that would be deleted.
func (r *run) consequences(es []*entity) {
	if !r.lists("secret") {
		return
	}
	for _, e := range es {
		var may []string
		for _, s := range r.world.all("secret") {
			if holds(s.grants(), e) {
				may = append(may, s.Name)
			}
		}
		if len(may) > 0 {
			r.out.show("The grants of %s to `%s` would end.", ticked(may), e.Name)
		}
	}
}
