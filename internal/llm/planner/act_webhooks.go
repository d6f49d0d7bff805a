package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

const payload = "{{payload}}"

// makesWebhook tells whether a clause asks for a new webhook; what that one is to do may fill the rest of the clause with
// the words of other operations.
func (u *unit) makesWebhook() bool {
	c := u.c
	if c.question() || !c.noun("webhook", "hook", "callback") {
		return false
	}
	for _, h := range c.verbs {
		for _, t := range h.v.tools {
			if h.i == c.start && t.Name == "webhooks_create" {
				at := slices.IndexFunc(c.toks, func(t lang.Token) bool { return t.Is("webhook", "hook", "callback") })
				if at > 0 && at <= c.start+6 && (c.toks[at-1].Is("a", "an", "new", "another") || c.low(at-2) == "a") {
					u.rd = reading{t: t, verb: &h, score: 4, head: true}
					return true
				}
			}
		}
	}
	return false
}

// createWebhook makes a webhook; a template without the placeholder for the payload gets one.
func (r *run) createWebhook(u *unit) {
	c, t := u.c, u.rd.t
	name := ""
	for _, m := range c.of(mNew) {
		name = cmpOr(name, m.names[0])
	}
	for _, f := range c.refs("webhook") {
		if ns := f.names(); len(ns) > 0 {
			name = cmpOr(name, ns[0])
		}
	}
	template, ok := c.literal("template")
	if !ok {
		template, ok = c.literal("prompt")
	}
	if !ok {
		template, ok = c.literal("content")
	}
	if !ok {
		for _, m := range c.of(mText) {
			if m.key == "" && m.text != name && (name != "" || strings.Contains(m.text, " ")) {
				template, ok = m.text, true
			} else if m.key == "" && name == "" {
				name = m.text
			}
		}
	}
	if !ok {
		template, ok = r.webhookTask(u)
	}
	if name == "" {
		for _, m := range c.of(mUnknown) {
			if m.i > 0 && c.toks[m.i-1].Is("webhook", "hook") {
				name = m.text
			}
		}
	}
	if name == "" {
		r.question(&open{Tool: t.Name, Args: object{"promptTemplate": template}, Missing: "name"}, "What should the webhook be called?")
		return
	}
	if !ok || strings.TrimSpace(template) == "" {
		r.question(&open{Tool: t.Name, Args: object{"name": name}, Missing: "promptTemplate"}, "What should the Operator do when `%s` is called? Write {{payload}} where the posted data should go.", name)
		return
	}
	added := false
	if !strings.Contains(template, payload) {
		template, added = strings.TrimRight(template, " .")+". Payload: "+payload, true
	}
	res, ok := r.do(t.Name, object{"name": name, "promptTemplate": template})
	if !ok {
		return
	}
	if res.failed {
		r.out.fail("Couldn't create the webhook `%s`: %s", name, why(res))
		return
	}
	for _, raw := range made(res.out, t) {
		r.about("webhook", r.world.put("webhook", raw))
		r.out.done("Created the webhook `%s`.", name)
		r.tellTrigger(res.out, raw)
	}
	if added {
		r.out.note("A template must say where the posted data goes, so I added {{payload}} at its end.")
	}
}

// tellTrigger shows the trigger URL, which the platform tells only once.
func (r *run) tellTrigger(out any, raw object) {
	url := cmpOr(cmpOr(str(raw, "url"), str(raw, "triggerUrl")), cmpOr(str(out, "url"), str(out, "triggerUrl")))
	token := cmpOr(str(raw, "token"), str(out, "token"))
	switch {
	case url != "":
		r.out.show("Its trigger URL, shown only now: %s", url)
	case token != "":
		r.out.show("Its trigger URL, shown only now: `/api/webhooks/trigger/%s`", token)
	default:
		r.out.show("Its trigger URL and token are in the result of this step; they are shown only once.")
	}
}

// webhookTask reads the task of a webhook said in one sentence: "that restarts edge-1 whenever it is called".
func (r *run) webhookTask(u *unit) (string, bool) {
	c := u.c
	from := -1
	for i, t := range c.toks {
		if t.Is("that", "which", "to") && i > c.start && i+1 < len(c.toks) && c.toks[i+1].Kind == lang.Word && len(r.lx.verbAt(c.toks, i+1)) > 0 {
			from = i + 1
			break
		}
	}
	if from < 0 {
		return "", false
	}
	to := len(c.toks)
	for i := from; i < len(c.toks); i++ {
		if c.toks[i].Is("whenever", "when", "once", "each", "every") && i+1 < len(c.toks) && c.toks[i+1].Is("it", "called", "time", "triggered", "somebody", "someone", "that") || c.toks[i].Is(",") && i+1 < len(c.toks) && c.toks[i+1].Is("the", "with") && slices.ContainsFunc(c.toks[i:], func(t lang.Token) bool { return t.Is("payload") }) {
			to = i
			break
		}
	}
	verb := c.toks[from]
	forms := lang.Stem(verb.Low)
	base := verb.Low
	for _, f := range forms {
		if len(r.lx.verbs[f]) > 0 {
			base = f
			break
		}
	}
	rest := ""
	if to > from+1 {
		rest = u.src[c.toks[from].End:c.toks[to-1].End]
	}
	task := upperFirst(base) + rest + "."
	for _, x := range append([]*clause{c}, u.extras...) {
		if i := slices.IndexFunc(x.toks, func(t lang.Token) bool { return t.Is("payload") }); i >= 0 && (x != c || i >= to) {
			words := strings.Trim(u.src[x.toks[max(0, i-1)].Start:x.toks[len(x.toks)-1].End], " .,")
			if i > 0 && !x.toks[i-1].Is("the", "its", "a") {
				words = strings.Trim(u.src[x.toks[i].Start:x.toks[len(x.toks)-1].End], " .,")
			}
			return task + " " + upperFirst(words) + ": " + payload, true
		}
	}
	return task, true
}

// updateWebhook switches webhooks, rotates tokens, changes templates and names.
func (r *run) updateWebhook(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	verb := ""
	if u.rd.verb != nil {
		verb = strings.Join(u.rd.verb.v.words, " ")
	}
	text, hasText := c.literal("template")
	if !hasText {
		text, hasText = c.literal("content")
	}
	if !hasText && c.noun("template") {
		text, hasText = c.literal("")
	}
	first, _, _ := strings.Cut(verb, " ")
	switch {
	case hasText:
		args["promptTemplate"] = text
	case slices.Contains([]string{"rotate", "regenerate", "renew", "refresh", "issue"}, first), c.noun("token", "url") && (first == "give" || first == "needs"), c.noun("token", "url") && slices.Contains([]string{"change", "replace", "update", "set"}, first):
		args["regenerateToken"] = true
	case slices.Contains([]string{"disable", "pause", "deactivate", "suspend", "mute", "stop"}, first), strings.Contains(verb, "off"):
		args["enabled"] = false
	case slices.Contains([]string{"enable", "resume", "activate", "start"}, first), strings.HasSuffix(verb, " on"):
		args["enabled"] = true
	case first == "rename":
		if name := r.newNameFor(u); name != "" {
			args["name"] = name
		}
	}
	if tpl, ok := args["promptTemplate"].(string); ok && !strings.Contains(tpl, payload) {
		args["promptTemplate"] = strings.TrimRight(tpl, " .") + ". Payload: " + payload
		r.out.note("A template must say where the posted data goes, so I added {{payload}} at its end.")
	}
	if len(args) == 0 {
		r.decline(u)
		return
	}
	f, ok := r.targets(u, "webhook", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "change"})
	if !ok {
		return
	}
	outs, ok := r.each(t, t.slot("id"), args, r.whenMet(u, f.es))
	if !ok {
		return
	}
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't change the webhook `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		r.about("webhook", o.e)
		switch {
		case args["regenerateToken"] != nil:
			r.out.done("Rotated the token of `%s`; the old URL no longer works.", o.e.Name)
			raw, _ := get(o.res.out, "webhook").(object)
			r.tellTrigger(o.res.out, raw)
		case args["enabled"] == true:
			r.out.done("The webhook `%s` is on again.", o.e.Name)
		case args["enabled"] == false:
			r.out.done("The webhook `%s` is off; calls are refused until it is on again.", o.e.Name)
		case args["name"] != nil:
			r.out.done("The webhook is now called `%s`.", o.e.Name)
		default:
			r.out.done("Changed the template of `%s`.", o.e.Name)
		}
	}
}

// showWebhook says what a webhook does.
func (r *run) showWebhook(u *unit) {
	f, ok := r.targets(u, "webhook", &open{Tool: "webhooks_get", Missing: "id", Many: true})
	if !ok {
		return
	}
	r.about("webhook", f.es...)
	for _, e := range f.es {
		r.out.show("`%s` is %s. When it is called, the Operator gets this:\n\n%s", e.Name, state(e), fenced(str(e.raw, "promptTemplate")))
	}
}
