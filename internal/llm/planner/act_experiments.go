package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// experiment finds the experiment that a unit is about: the one it names, the one this chat worked on last, the only one,
// or the newest. ok is false when there is none, or when a question was asked.
func (r *run) experiment(u *unit) (*entity, bool) {
	if !r.lists("experiment") {
		return nil, false
	}
	for _, f := range u.c.refs("experiment") {
		if len(f.named) > 0 || len(f.unknown) > 0 || f.super != "" || len(f.ords) > 0 {
			got, ok := r.settle(u, r.resolve(f, "experiment"), "experiment", &open{Tool: u.rd.t.Name, Missing: "id"})
			if !ok {
				return nil, false
			}
			return got.es[0], true
		}
	}
	all := r.world.all("experiment")
	if len(all) == 0 {
		r.out.fail("There is no experiment yet.")
		r.out.offer("You could say: deploy 5 variants of aqi-predictor with different strategies and score them.")
		return nil, false
	}
	for _, g := range r.groups() {
		if g.Kind == "experiment" {
			if es := r.here(g); len(es) > 0 {
				return es[0], true
			}
		}
	}
	for _, f := range u.c.refs("skill") { // "the experiment with greeter"
		got := r.resolve(f, "skill")
		for i := len(all) - 1; i >= 0 && len(got.es) == 1; i-- {
			if cell(get(all[i].raw, "skill")) == got.es[0].Name {
				return all[i], true
			}
		}
	}
	newest := slices.MaxFunc(all, func(a, b *entity) int { return when(a, "createdAt").Compare(when(b, "createdAt")) })
	return newest, true
}

// createExperiment starts variants of a skill, waits for the scores and shows them.
func (r *run) createExperiment(u *unit) {
	c, t := u.c, u.rd.t
	skills, ok := r.skillTargets(u)
	if !ok {
		return
	}
	args := object{"skill": skills[0].handle()}
	if n, ok := c.firstInt("variant", "version", "strategy", "contender", "candidate", "approach", "flavour", "flavor", "copy", "way", "agent", "instance", "bot"); ok {
		args["variants"] = n
	}
	if n, ok := args["variants"].(int); ok && (n < 1 || n > 50) {
		r.out.fail("An experiment can have 1 to 50 variants; %d is not possible.", n)
		return
	}
	for _, m := range c.of(mNew) {
		args["name"] = m.names[0]
	}
	for _, f := range append(c.refs("experiment"), c.refs("variant")...) {
		if len(f.unknown) == 1 {
			args["name"] = f.unknown[0]
		}
	}
	r.experimentOptions(u, args)
	if t.slot("variants") != nil && args["variants"] == nil {
		args["variants"] = 5
	}
	res, ok := r.do(t.Name, args)
	if !ok {
		return
	}
	if res.failed {
		r.about("skill", skills[0])
		r.out.fail("The experiment with `%s` could not be started: %s", skills[0].Name, why(res))
		return
	}
	e := r.adopt(res)
	if e == nil {
		return
	}
	r.finish(u, e, sprintf("Started the experiment `%s`: %v variants of `%s`, each in an instance of its own.", e.Name, args["variants"], skills[0].Name), false)
}

// adopt takes the experiment of a result into the world.
func (r *run) adopt(res result) *entity {
	raw, ok := get(res.out, "experiment").(object)
	if !ok {
		r.out.note("The platform did not say which experiment this is.")
		return nil
	}
	return r.world.put("experiment", raw)
}

// experimentOptions reads seed, focus, metric and suite.
func (r *run) experimentOptions(u *unit, args object) {
	for _, x := range append([]*clause{u.c}, u.extras...) {
		for i, t := range x.toks {
			if i+1 >= len(x.toks) {
				break
			}
			switch {
			case t.Is("seed"):
				k := i + 1
				for k < len(x.toks)-1 && x.toks[k].Is("=", ":", "is", "of") {
					k++
				}
				if n, used := lang.Int(x.toks, k); used > 0 {
					args["seed"] = n
				}
			case t.Is("metric") && u.rd.t.slot("metric") != nil && x.toks[i+1].Wordy() && !lang.Filler(x.low(i+1)):
				args["metric"] = x.toks[i+1].Text
			case t.Is("suite") && u.rd.t.slot("suite") != nil && x.toks[i+1].Wordy() && !lang.Filler(x.low(i+1)):
				args["suite"] = x.toks[i+1].Text
			}
		}
		for _, m := range x.of(mPair) {
			if m.key == "seed" {
				if n, used := lang.Int(lang.Tokenize(m.val), 0); used > 0 {
					args["seed"] = n
				}
			}
		}
		if f := focusOf(u.src, x); f != "" {
			args["focus"] = f
		}
	}
}

// focusOf reads what a next generation should concentrate on: "focus on the ensemble approach" → ensemble.
func focusOf(src string, c *clause) string {
	for i, t := range c.toks {
		if !t.Is("focus", "focusing", "focused", "concentrate", "concentrating", "emphasis", "emphasize", "toward", "towards", "favor", "favoring") {
			continue
		}
		k := i + 1
		for k < len(c.toks) && c.toks[k].Is("on", "the", "more", "a", "an", "upon", "mainly", "especially") {
			k++
		}
		to := k
		for to < len(c.toks) && !c.toks[to].Is(",", ".", ";", "this", "please", "and") {
			to++
		}
		for to > k && c.toks[to-1].Is("approach", "approaches", "strategy", "strategies", "method", "methods", "idea", "time", "way", "one", "ones", "side", "variant", "variants") {
			to--
		}
		if to > k {
			return src[c.toks[k].Start:c.toks[to-1].End]
		}
	}
	return ""
}

// maxWaits bounds how often one turn asks a long wait to go on.
const maxWaits = 30

// finish waits until an experiment rests and shows its leaderboard; compare adds how it stands to the generation before.
func (r *run) finish(u *unit, e *entity, did string, compare bool) {
	for n := 0; r.lx.tools["experiments_wait"] != nil && n < maxWaits; n++ {
		res, ok := r.do("experiments_wait", object{"id": e.handle(), "timeoutSeconds": 300})
		if !ok {
			return
		}
		if res.failed {
			r.about("experiment", e)
			r.out.done("%s", did)
			r.out.fail("Waiting for it did not work: %s", why(res))
			return
		}
		if raw, ok := get(res.out, "experiment").(object); ok {
			r.world.put("experiment", raw)
		}
		if st := str(e.raw, "status"); st != "queued" && !strings.HasSuffix(st, "ing") {
			break
		}
	}
	r.board(u, e, did, compare)
}

// leaderboard answers who leads, why, and whether the lead is real.
func (r *run) leaderboard(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	r.boardQuestion(u, e)
}

// evolve makes the next generation from the best variants, waits and compares.
func (r *run) evolve(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	rows, _, ok := r.rankOf(e)
	if !ok {
		return
	}
	args := object{"id": e.handle()}
	keep, size := 0, 0
	all := append([]*clause{u.c}, u.extras...)
	for _, c := range all {
		for _, m := range c.mens {
			switch {
			case m.kind == mRef && (m.ref.super == "best" || m.ref.kind == "variant") && m.ref.count > 0 && m.prep != "to" && m.prep != "of" && m.prep != "into":
				keep = m.ref.count
			case m.kind == mRef && m.ref.super == "best" && keep == 0 && m.prep != "to" && m.prep != "of":
				keep = max(1, m.ref.count)
			case m.kind == mRef && m.ref.pron == "those" && m.ref.count > 0:
				keep = m.ref.count
			case m.kind == mRef && m.ref.kind == "variant" && m.ref.count > 0:
				size = m.ref.count
			case m.kind == mInt && m.text == "generation" || m.kind == mInt && m.text == "round" || m.kind == mInt && m.text == "time":
				args["generations"] = m.n
			case m.kind == mInt && (m.prep == "to" || m.prep == "of" || m.prep == "at" || m.prep == "into"):
				size = m.n
			}
		}
		if c.hasSeq("no", "longer") || c.hasSeq("stop", "early") || c.hasSeq("stops", "improving") || c.has("converges", "plateaus", "plateau", "converge") || c.hasSeq("not", "improve") {
			args["until"] = "no longer better"
		}
	}
	for _, c := range all {
		for i, t := range c.toks { // three generations, another three generations
			if t.Is("generations", "rounds") && args["generations"] == nil {
				for k := max(0, i-3); k < i; k++ {
					if n, used := lang.Int(c.toks, k); used > 0 && k+used <= i {
						args["generations"] = n
					}
				}
			}
		}
	}
	if names := variantNames(u, rows); len(names) > 0 {
		args["parents"] = names
		keep = len(names)
	}
	if keep > 0 {
		args["keep"] = keep
	}
	if size > 0 {
		args["size"] = size
	} else if n := len(rows); n > 0 {
		args["size"] = max(n, keep+1)
	}
	if n, _ := args["size"].(int); n > 50 || n < 0 || keep > 0 && n > 0 && keep > n {
		r.out.fail("A generation can have 1 to 50 variants and must be at least as large as the number that is kept (%d of %d).", keep, n)
		return
	}
	r.experimentOptions(u, args)
	res, ok := r.do("experiments_evolve", args)
	if !ok {
		return
	}
	if res.failed {
		r.about("experiment", e)
		r.out.fail("The next generation of `%s` could not be started: %s", e.Name, why(res))
		return
	}
	if raw, ok := get(res.out, "experiment").(object); ok {
		r.world.put("experiment", raw)
	}
	did := sprintf("Evolved `%s`", e.Name)
	if keep > 0 {
		did += sprintf(": kept the best %d", keep)
		if names, ok := args["parents"].([]string); ok {
			did = sprintf("Evolved `%s`: kept %s", e.Name, ticked(names))
		}
	}
	if args["focus"] != nil {
		did += sprintf(", with a focus on %v", args["focus"])
	}
	r.finish(u, e, did+".", true)
}

// variantNames answers the variants that a unit names, by full name or by its tail (v3, gen2-v1).
func variantNames(u *unit, rows []row) []string {
	var out []string
	for _, c := range append([]*clause{u.c}, u.extras...) {
		for _, t := range c.toks {
			if t.Kind != lang.Ident && t.Kind != lang.Quote {
				continue
			}
			for _, w := range rows {
				if strings.EqualFold(t.Text, w.name) || len(t.Text) >= 2 && strings.HasSuffix(strings.ToLower(w.name), "-"+strings.ToLower(t.Text)) || strings.EqualFold(t.Text, w.strategy) {
					if !slices.Contains(out, w.name) {
						out = append(out, w.name)
					}
				}
			}
		}
	}
	return out
}

// ensemble builds a combined variant and shows how it scores.
func (r *run) ensemble(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	args := object{"id": e.handle()}
	for _, m := range u.c.mens {
		if m.kind == mRef && m.ref.count > 0 {
			args["top"] = m.ref.count
		} else if m.kind == mInt && args["top"] == nil && m.n > 1 {
			args["top"] = m.n
		}
	}
	res, ok := r.do("experiments_ensemble", args)
	if !ok {
		return
	}
	if res.failed {
		r.about("experiment", e)
		r.out.fail("The ensemble could not be built: %s", why(res))
		return
	}
	if raw, ok := get(res.out, "experiment").(object); ok {
		r.world.put("experiment", raw)
	}
	r.finish(u, e, sprintf("Built an ensemble from the best %v variants of `%s`.", cmpAny(args["top"], 2), e.Name), false)
}

func cmpAny(a, b any) any {
	if a != nil {
		return a
	}
	return b
}

// evaluate scores the variants again.
func (r *run) evaluate(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	res, ok := r.do("experiments_evaluate", object{"id": e.handle()})
	if !ok {
		return
	}
	if res.failed {
		r.about("experiment", e)
		r.out.fail("The variants of `%s` could not be scored: %s", e.Name, why(res))
		return
	}
	if raw, ok := get(res.out, "experiment").(object); ok {
		r.world.put("experiment", raw)
	}
	r.finish(u, e, sprintf("Scored the variants of `%s` again.", e.Name), false)
}

// promote puts a variant into production, and cleans up the others when asked to.
func (r *run) promote(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	rows, _, ok := r.rankOf(e)
	if !ok {
		return
	}
	if len(rows) == 0 {
		r.out.fail("`%s` has no scored variant to promote.", e.Name)
		return
	}
	variant := rows[0].name
	if names := variantNames(u, rows); len(names) == 1 {
		variant = names[0]
	} else if len(names) > 1 {
		r.question(&open{Tool: "experiments_promote", Args: object{"id": e.handle()}, Missing: "variant"}, "Only one variant can go to production. Which one: %s?", orList(names))
		return
	}
	args := object{"id": e.handle(), "variant": variant}
	t := r.lx.tools["experiments_promote"]
	clean := strings.Contains(strings.ToLower(u.src), "clean up") || strings.Contains(strings.ToLower(u.src), "other variants") || strings.Contains(strings.ToLower(u.src), "the rest")
	if clean && t.slot("cleanUp") != nil {
		args["cleanUp"] = true
	}
	res, ok := r.do("experiments_promote", args)
	if !ok {
		return
	}
	r.about("experiment", e)
	if res.failed {
		r.out.fail("`%s` could not be promoted: %s", variant, why(res))
		return
	}
	where := cmpOr(str(res.out, "instance", "name"), str(res.out, "production"))
	r.out.done("Promoted `%s` to production%s.", variant, orWords(where, " in the instance `"+where+"`", ""))
	if args["cleanUp"] == true {
		r.out.done("The instances of the other variants are cleaned up.")
	}
	r.out.offer("If it disappoints, say: roll back the promotion.")
}

// showExperiment says how an experiment stands.
func (r *run) showExperiment(u *unit) {
	e, ok := r.experiment(u)
	if !ok {
		return
	}
	res, ok := r.do("experiments_get", object{"id": e.handle()})
	if !ok {
		return
	}
	r.about("experiment", e)
	if res.failed {
		r.out.fail("Couldn't read `%s`: %s", e.Name, why(res))
		return
	}
	raw, _ := get(res.out, "experiment").(object)
	r.out.show("`%s` (skill %s) is %s%s.", e.Name, cell(get(raw, "skill")), cmpOr(str(raw, "status"), "there"), because(str(raw, "lastError")))
	var lines [][]string
	for _, g := range items(res.out, "generations") {
		for _, v := range items(g, "variants") {
			lines = append(lines, []string{cell(get(g, "number")), str(v, "name"), str(v, "strategy"), cell(get(v, "parents")), cell(get(v, "origin")), str(v, "status")})
		}
	}
	if len(lines) > 0 {
		r.out.show("%s", table([]string{"Generation", "Variant", "Strategy", "Parents", "Origin", "Status"}, lines))
	}
	r.out.offer("You could now say: show the leaderboard.")
}

// awaitExperiment waits for a running experiment.
func (r *run) awaitExperiment(u *unit) {
	e, ok := r.experiment(u)
	if ok {
		r.finish(u, e, "", false)
	}
}
