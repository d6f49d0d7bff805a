package planner

import (
	"regexp"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// scheduled looks for requests that should happen again and again, and makes automations of them. What is to be done then
// is kept as text; it is not carried out now. It answers true when it took the whole message.
func (r *run) scheduled(src string, toks []lang.Token, cs []*clause) bool {
	if r.lx.tools["automations_create"] == nil {
		return false
	}
	for i := 0; i < len(cs); i++ {
		c := cs[i]
		if c.question() || c.neg || !r.startsSchedule(c) {
			continue
		}
		from, to := i, i+1
		name := ""
		opens := c.sched.First() >= 0 && c.sched.First() <= c.start+3 && !r.saysSchedule(c)
		for to < len(cs) && cs[to].sentence == c.sentence && opens {
			to++
		}
		for to < len(cs) { // "name it x", "Prompt: …" behind it
			next := cs[to]
			if text, ok := next.literal("prompt"); ok {
				c.mens = append(c.mens, mention{kind: mText, key: "prompt", text: text})
			} else if m := next.of(mNew); len(m) > 0 && (slices.Contains([]string{"name", "call", "save", "title"}, next.low(next.start)) || next.noun("name")) {
				name = m[0].names[0]
			} else if !r.scheduleOnly(next) {
				break
			} else {
				c.sched.Times = append(c.sched.Times, next.sched.Times...)
				c.sched.Zone = cmpOr(c.sched.Zone, next.sched.Zone)
			}
			to++
		}
		if from > 0 && r.scheduleOnly(c) && cs[from-1].sentence == c.sentence { // "check the fleet, and do so every day at 9"
			from--
		}
		rest := append(slices.Clone(cs[:from]), cs[to:]...)
		if len(rest) > 0 {
			r.performAll(src, cs[:from])
			if r.blocked() {
				return true
			}
		}
		r.makeAutomation(src, cs[from:to], c, name)
		if len(cs[to:]) > 0 && !r.blocked() {
			if !r.scheduled(src, toks, cs[to:]) {
				r.performAll(src, cs[to:])
			}
		}
		return true
	}
	return false
}

func (r *run) performAll(src string, cs []*clause) {
	if len(cs) > 0 {
		r.perform(src, cs)
	}
}

// saysSchedule tells whether the clause's own verb asks for an automation: "schedule a …", "create a cron job …".
func (r *run) saysSchedule(c *clause) bool {
	for _, h := range c.verbs {
		if h.i == c.start && (h.v.words[0] == "schedule" || h.v.words[0] == "automate" || c.noun("automation", "cron job", "job", "recurring task", "scheduled task", "reminder", "routine") && slices.Contains([]string{"create", "make", "set", "add", "new"}, h.v.words[0])) {
			return true
		}
	}
	return false
}

// startsSchedule tells whether a clause asks for something recurring, rather than changing an automation that is there.
func (r *run) startsSchedule(c *clause) bool {
	if !c.sched.Recurs {
		return r.saysSchedule(c) && len(c.sched.Times) > 0 && len(c.refs("automation")) == 0
	}
	for _, f := range c.refs("automation") {
		if len(f.named) > 0 || f.def || f.pron != "" || len(f.conds) > 0 {
			return false
		}
	}
	for _, f := range c.refs("") { // "move it to every Monday"
		if f.pron != "" && len(f.kinds()) == 0 && r.focusKind(func(string) bool { return true }) == "automation" && len(c.plainWords()) < 9 && !r.saysSchedule(c) {
			return false
		}
	}
	if !c.sched.Strong && !r.saysSchedule(c) && len(c.sched.Times) == 0 {
		return false
	}
	return true
}

// scheduleOnly tells whether a clause holds nothing but words about time.
func (r *run) scheduleOnly(c *clause) bool {
	if !c.sched.Said() {
		return false
	}
	for i, t := range c.toks {
		if i >= c.start && t.Kind != lang.Punct && !c.sched.Used(i) && !lang.Filler(t.Low) {
			return false
		}
	}
	return true
}

// makeAutomation creates one automation from the clauses that belong to it.
func (r *run) makeAutomation(src string, cs []*clause, c *clause, name string) {
	expr, problem, assumed := c.sched.Cron()
	prompt := r.promptOf(src, cs, c)
	for _, x := range cs {
		for _, m := range x.of(mNew) {
			if name == "" && (r.saysSchedule(x) && m.key == "" || x.low(m.i) == "name" || x.low(m.i) == "call") {
				name = m.names[0]
			}
		}
	}
	if strings.Trim(prompt, " .,") == "" {
		r.question(&open{Tool: "automations_create", Missing: "prompt", Args: object{"cronExpression": expr, "timezone": cmpOr(c.sched.Zone, "UTC")}}, "What should happen %s?", lang.Describe(expr, c.sched.Zone))
		return
	}
	if c.sched.BadZone != "" {
		r.out.fail("I don't know the time zone %s. Use an IANA name such as Europe/Athens.", safe(c.sched.BadZone))
		return
	}
	if !r.lists("automation") {
		return
	}
	if name == "" {
		name = r.freeName(slugOf(prompt))
	}
	in := object{"name": name, "prompt": prompt, "cronExpression": expr}
	if c.sched.Zone != "" {
		in["timezone"] = c.sched.Zone
	}
	if problem != "" {
		when := lang.Describe(expr, cmpOr(c.sched.Zone, "UTC"))
		r.question(&open{Verb: "schedule", Kind: "automation", Confirm: []planned{{Tool: "automations_create", Args: in, Target: entity{Kind: "automation", Name: name}}}},
			"I can't schedule that exactly: %s. The nearest that I can do is %s (`%s`). Should I schedule that instead? Nothing was scheduled yet.", problem, when, expr)
		return
	}
	if r.guarded {
		r.out.note("You asked me not to change anything, so nothing was scheduled.")
		return
	}
	res, ok := r.do("automations_create", in)
	if !ok {
		return
	}
	r.tellAutomation(res, name, assumed)
}

func (r *run) tellAutomation(res result, name, assumed string) {
	if res.failed {
		r.out.fail("Couldn't schedule `%s`: %s", name, why(res))
		return
	}
	for _, raw := range made(res.out, r.lx.tools["automations_create"]) {
		e := r.world.put("automation", raw)
		r.about("automation", e)
		next := ""
		if n := cell(get(raw, "nextRunAt")); n != "" {
			next = "; next run " + n
		}
		r.out.done("Scheduled `%s`: %s%s. It will do this: “%s”.", e.Name, lang.Describe(str(raw, "cronExpression"), cmpOr(str(raw, "timezone"), "UTC")), next, shorten(str(raw, "prompt"), 200))
		if assumed != "" {
			r.out.note("%s, so I chose %s; say another time if you like.", upperFirst(assumed), lang.Describe(str(raw, "cronExpression"), ""))
		}
		if z := str(raw, "timezone"); strings.HasPrefix(z, "Etc/GMT") && z != "Etc/GMT" {
			r.out.note("A fixed offset such as %s knows no daylight saving time; name a city if it should follow the clocks.", z)
		}
	}
}

// freeName makes a name unique among the automations.
func (r *run) freeName(name string) string {
	free := name
	for n := 2; n < 100; n++ {
		if r.world.find("automation", free) == nil || r.askedFor("automations_create", free) {
			return free
		}
		free = sprintf("%s-%d", name, n)
	}
	return free
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slugOf makes a name of the first words of substance in a prompt.
func slugOf(prompt string) string {
	var out []string
	for _, w := range strings.Fields(strings.ToLower(prompt)) {
		w = strings.Trim(notSlug.ReplaceAllString(w, "-"), "-")
		if w == "" || lang.Filler(w) && w != "run" && w != "check" && len(out) == 0 || lang.Filler(w) || opaque(w) {
			continue
		}
		if out = append(out, w); len(out) == 4 {
			break
		}
	}
	name := strings.Join(out, "-")
	if len(name) > 48 {
		name = strings.Trim(name[:48], "-")
	}
	return cmpOr(name, "automation")
}

// promptOf is what an automation should be told: the words as they were written, without those about time, the name and
// the request to schedule.
func (r *run) promptOf(src string, cs []*clause, c *clause) string {
	for _, x := range cs {
		if text, ok := x.literal("prompt"); ok {
			return text
		}
	}
	drop := map[int]bool{} // by byte offset of the token
	for _, x := range cs {
		for i, t := range x.toks {
			if x.sched.Used(i) || i < x.start && x == cs[0] {
				drop[t.Start] = true
			}
		}
		for _, m := range x.of(mNew) {
			if w := x.low(m.i); w == "name" || w == "call" || r.saysSchedule(x) && (w == "called" || w == "named") {
				for k := m.i; k < m.j; k++ {
					drop[x.toks[k].Start] = true
				}
			}
		}
	}
	if r.saysSchedule(c) {
		k := c.start
		for k < len(c.toks) {
			t := c.toks[k]
			_, noun := r.lx.nounAt(c.toks, k)
			plan := t.Is("schedule", "automate", "create", "make", "set", "up", "add", "new", "please", "me", "us", "for", "it", "recurring", "called", "named", "cron", "job", "task")
			if !(plan || drop[t.Start] || noun > 0 && c.noun("automation", "cron job", "job", "schedule", "routine", "reminder", "scheduled task") && r.isAutomationNoun(c, k) || t.Is("a", "an", "the") && k+1 < len(c.toks) && r.isAutomationNoun(c, k+1)) {
				break
			}
			drop[t.Start] = true
			k++
		}
		if k < len(c.toks) && c.toks[k].Is("that", "which", "to", "who", ":") {
			drop[c.toks[k].Start] = true
		}
	}
	first, last := -1, -1
	var b strings.Builder
	end := 0
	for _, x := range cs {
		for _, t := range x.toks {
			if drop[t.Start] || t.Start < end {
				continue
			}
			if first < 0 {
				first = t.Start
			} else {
				gap := src[end:t.Start]
				if strings.TrimSpace(gap) == "" || droppedBetween(drop, end, t.Start) {
					if t.Kind != lang.Punct {
						gap = " "
					} else {
						gap = ""
					}
				}
				b.WriteString(gap)
			}
			b.WriteString(src[t.Start:t.End])
			end, last = t.End, t.End
		}
	}
	if last < 0 {
		return ""
	}
	text := strings.Join(strings.Fields(b.String()), " ")
	text = trimLinks(text)
	if strings.HasPrefix(strings.ToLower(text), "a ") || strings.HasPrefix(strings.ToLower(text), "an ") || strings.HasPrefix(strings.ToLower(text), "the ") {
		text = "Do " + strings.ToLower(text[:1]) + text[1:]
	}
	return upperFirst(text)
}

func (r *run) isAutomationNoun(c *clause, k int) bool {
	p := &refParser{r: r, toks: c.toks, stop: len(c.toks)}
	kind, n := p.kindNoun(k)
	return n > 0 && kind == "automation"
}

func droppedBetween(drop map[int]bool, from, to int) bool {
	for at := range drop {
		if at >= from && at < to {
			return true
		}
	}
	return false
}

// trimLinks takes words off the ends of a prompt that only linked it to the time.
func trimLinks(text string) string {
	for {
		before := text
		text = strings.Trim(text, " ,;:-–—")
		text = strings.TrimSuffix(text, "please")
		for _, w := range []string{"at", "on", "in", "and", "then", "for", "please", "to", "by", "so", "also", "with", "want", "need", "I want", "should"} {
			text = strings.TrimSuffix(text, " "+w)
			if w != "for" && w != "with" {
				text = strings.TrimPrefix(text, w+" ")
			}
		}
		if text == before {
			return text
		}
	}
}

// updateAutomation pauses, resumes, moves, renames automations, or changes their prompt or zone.
func (r *run) updateAutomation(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	verb := ""
	if u.rd.verb != nil {
		verb = strings.Join(u.rd.verb.v.words, " ")
	}
	switch v := strings.Fields(verb + " ")[:]; {
	case len(v) == 0:
	case slices.Contains([]string{"pause", "disable", "suspend", "deactivate", "mute", "stop", "hold"}, v[0]), strings.Contains(verb, "off"), verb == "put * on hold":
		args["enabled"] = false
	case slices.Contains([]string{"resume", "enable", "unpause", "reactivate", "activate", "start", "restart"}, v[0]), strings.HasSuffix(verb, " on") && !strings.HasPrefix(verb, "put"):
		args["enabled"] = true
	}
	if text, ok := c.literal("prompt"); ok {
		args["prompt"] = text
	} else if text, ok := c.literal(""); ok && c.noun("prompt") {
		args["prompt"] = text
	}
	if verb == "rename" {
		if name := r.newNameFor(u); name != "" {
			args["name"] = name
		}
	}
	for _, m := range c.of(mNew) {
		args["name"] = m.names[0]
	}
	sched := c.sched
	if bad := badZone(c); bad != "" {
		r.zoneQuestion(u, bad)
		return
	}
	if sched.Zone != "" {
		args["timezone"] = sched.Zone
	}
	if len(sched.Times) == 0 && !sched.Recurs {
		for _, m := range c.of(mInt) {
			if (m.prep == "to" || m.prep == "at") && m.n >= 0 && m.n < 24 {
				sched.Times = append(sched.Times, lang.Clock{Hour: m.n})
			}
		}
	}
	if len(args) == 0 && !sched.Said() && len(sched.Times) == 0 {
		if c.noun("timezone", "time zone") {
			r.zoneQuestion(u, "")
			return
		}
		r.apply1(u, t, "schedule", "What should change: the time, the prompt, the name, or should it be paused?")
		return
	}
	f, ok := r.targets(u, "automation", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "change", Many: true})
	if !ok {
		return
	}
	r.retime(t, sched, args, r.whenMet(u, f.es))
}

// retime applies changes to automations; a bare time of day keeps the days as they are.
func (r *run) retime(t *tool, sched *lang.Schedule, args object, es []*entity) {
	ok := true
	var outs []outcome
	for _, e := range es {
		mine := with(args, "id", e.handle())
		switch {
		case sched.Recurs:
			expr, problem, _ := sched.Cron()
			if len(sched.Times) == 0 && sched.Minutes == 0 && sched.PerDay == 0 && sched.PerHour == 0 { // new days, old time
				if f := strings.Fields(str(e.raw, "cronExpression")); len(f) == 5 {
					g := strings.Fields(expr)
					g[0], g[1] = f[0], f[1]
					expr = strings.Join(g, " ")
				}
			}
			if problem != "" {
				r.question(&open{Verb: "change", Kind: "automation", Confirm: []planned{{Tool: t.Name, Args: with(mine, "cronExpression", expr), Target: plain([]*entity{e})[0]}}},
					"I can't schedule that exactly: %s. The nearest is %s (`%s`). Should I take that?", problem, lang.Describe(expr, ""), expr)
				return
			}
			mine["cronExpression"] = expr
		case len(sched.Times) > 0:
			expr, good := lang.Retime(str(e.raw, "cronExpression"), sched.Times[0])
			if !good {
				r.out.fail("I can't move `%s`: its schedule `%s` is not one that I understand.", e.Name, str(e.raw, "cronExpression"))
				continue
			}
			mine["cronExpression"] = expr
		}
		res, got := r.do(t.Name, mine)
		ok = ok && got
		outs = append(outs, outcome{e, res})
	}
	if !ok {
		return
	}
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't change `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		old := o.e.Name
		for _, raw := range made(o.res.out, t) {
			r.world.put("automation", raw)
		}
		r.about("automation", o.e)
		var what []string
		if on, has := args["enabled"].(bool); has {
			what = append(what, map[bool]string{true: "resumed", false: "paused"}[on])
		}
		if sched.Recurs || len(sched.Times) > 0 || args["timezone"] != nil {
			what = append(what, "it now runs "+lang.Describe(str(o.e.raw, "cronExpression"), str(o.e.raw, "timezone")))
		}
		if args["name"] != nil {
			what = append(what, "it is now called `"+o.e.Name+"`")
		}
		if args["prompt"] != nil {
			what = append(what, "it has a new prompt")
		}
		r.out.done("`%s`: %s.", old, lang.And(what))
	}
}

// badZone finds a time zone that is none: "the timezone … to Mars/Olympus".
func badZone(c *clause) string {
	if c.sched.Zone != "" {
		return ""
	}
	for i, t := range c.toks {
		if t.Kind == lang.Path && (c.noun("timezone", "time zone") || c.has("zone")) && c.low(i-1) != "from" {
			return t.Text
		}
	}
	if !c.noun("timezone", "time zone") {
		return ""
	}
	for i, t := range c.toks {
		if t.Is("to") && i+1 < len(c.toks) && c.toks[i+1].Wordy() {
			if z := lang.Zone(c.toks[i+1].Text); z != "" {
				c.sched.Zone = z
				return ""
			}
			if i+2 < len(c.toks) {
				if z := lang.Zone(c.toks[i+1].Text + " " + c.toks[i+2].Text); z != "" {
					c.sched.Zone = z
					return ""
				}
			}
			return c.toks[i+1].Text
		}
	}
	return ""
}

// zoneQuestion asks for a time zone, and remembers which automation it is for.
func (r *run) zoneQuestion(u *unit, bad string) {
	f, ok := r.targets(u, "automation", &open{})
	if !ok {
		return
	}
	r.about("automation", f.es...)
	if bad != "" {
		r.out.fail("%s is not a time zone that exists, so nothing was changed.", safe(bad))
	}
	r.question(&open{Tool: "automations_update", Args: object{"id": f.es[0].handle()}, Missing: "timezone"}, "Which time zone should `%s` have? A city or an IANA name such as Europe/Athens.", f.es[0].Name)
}

// showAutomation says when automations run and what they do.
func (r *run) showAutomation(u *unit) {
	if !r.lists("automation") {
		return
	}
	f, ok := r.targets(u, "automation", &open{Tool: "automations_get", Missing: "id", Many: true})
	if !ok {
		return
	}
	r.tellSchedules(u, f.es)
}

func (r *run) tellSchedules(_ *unit, es []*entity) {
	r.about("automation", es...)
	for _, e := range es {
		when := lang.Describe(str(e.raw, "cronExpression"), cmpOr(str(e.raw, "timezone"), "UTC"))
		switch {
		case !flag(e.raw, "enabled"):
			r.out.show("`%s` is paused, so it will not run. Its schedule is %s. It does this: “%s”.", e.Name, when, shorten(str(e.raw, "prompt"), 200))
		default:
			r.out.show("`%s` runs %s%s. It does this: “%s”.", e.Name, when, orWords(cell(get(e.raw, "nextRunAt")), "; next on "+cell(get(e.raw, "nextRunAt")), ""), shorten(str(e.raw, "prompt"), 200))
		}
	}
}

// createAutomation is reached when somebody asks for an automation without saying when, or without saying what.
func (r *run) createAutomation(u *unit) {
	c := u.c
	if c.sched.Once != "" {
		r.out.fail("I can't schedule something for a single moment (%s): automations repeat, by day, week or month.", c.sched.Once)
		r.question(&open{}, "Should it repeat, and how often? Or should I do it right now?")
		return
	}
	args := object{}
	for _, m := range c.of(mNew) {
		args["name"] = m.names[0]
	}
	if text, ok := c.literal("prompt"); ok {
		args["prompt"] = text
	}
	r.question(&open{Tool: "automations_create", Args: args, Missing: "schedule"}, "What exactly should happen, and when? For example: list the failed instances, every weekday at 9 in Berlin.")
}
