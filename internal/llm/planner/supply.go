package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// supplied deals with the answer that gives a missing value: a size, a zone, a name, a secret, a text.
func (r *run) supplied(src string, toks []lang.Token, o *open, t *tool) bool {
	ws := wordsOf(toks)
	if len(ws) == 0 && !slices.ContainsFunc(toks, func(t lang.Token) bool { return t.Kind != lang.Punct }) {
		return false
	}
	if len(ws) <= 4 && len(ws) > 0 && (slices.Contains([]string{"no", "nevermind", "cancel", "nothing", "stop"}, ws[0]) || ws[0] == "forget" && len(ws) <= 2) && len(ws) <= 3 {
		r.out.done("Okay, nothing was changed.")
		return true
	}
	c := r.answerClause(toks)
	if c.question() {
		return false
	}
	u := &unit{c: c, rd: reading{t: t}, src: src}
	id := str(o.Args, "id")
	target := func(kind string) *entity { return r.world.find(kind, id) }
	switch o.Missing {
	case "memoryMb", "diskMb":
		lim, bad := limitsIn(c)
		if bad != "" {
			r.out.fail("%s", bad)
			r.question(o, "How much should it be?")
			return true
		}
		if len(lim) == 0 {
			if m := c.of(mInt); len(m) == 1 && m[0].n > 0 && len(c.plainWords()) < 4 {
				lim = object{o.Missing: m[0].n}
			}
		}
		e := target("instance")
		if len(lim) == 0 || e == nil || len(c.refs("instance")) > 0 && len(ws) > 6 {
			return false
		}
		r.applyConfig(t, object{"limits": lim}, []*entity{e})
		return true
	case "timezone":
		zone := c.sched.Zone
		for i := range toks {
			for n := min(3, len(toks)-i); n >= 1 && zone == ""; n-- {
				var words []string
				for _, w := range toks[i : i+n] {
					words = append(words, w.Text)
				}
				if toks[i].Kind == lang.Path || toks[i].Kind == lang.Word && !lang.Filler(toks[i].Low) {
					zone = lang.Zone(strings.Join(words, " "))
				}
			}
		}
		e := target("automation")
		if e == nil || zone == "" && len(ws) > 4 {
			return false
		}
		if zone == "" {
			r.out.fail("That is not a time zone that exists, so nothing was changed.")
			r.question(o, "Which one should it be? For example Europe/Athens.")
			return true
		}
		r.retime(t, lang.FindSchedule(nil), object{"timezone": zone}, []*entity{e})
		return true
	case "schedule":
		if t.action == "update" && (c.sched.Recurs || len(c.sched.Times) > 0) {
			if e := target("automation"); e != nil {
				r.retime(t, c.sched, object{}, []*entity{e})
				return true
			}
		}
		return false
	case "prompt":
		if len(ws) < 2 {
			return false
		}
		prompt := upperFirst(strings.TrimSpace(src))
		in := with(o.Args, "prompt", prompt)
		if str(in, "name") == "" {
			if !r.lists("automation") {
				return true
			}
			in["name"] = r.freeName(slugOf(prompt))
		}
		if res, ok := r.do(t.Name, in); ok {
			r.tellAutomation(res, str(in, "name"), "")
		}
		return true
	case "value":
		return r.suppliedValue(src, u, o, t)
	case "name":
		return r.suppliedName(u, o, t, ws)
	case "variant":
		for _, tk := range toks {
			if variantLike(tk.Text) {
				if !r.lists("experiment") {
					return true
				}
				u.c.mens = nil
				r.promote(u)
				return true
			}
		}
		return false
	case "command", "path", "content", "promptTemplate", "description", "instructions":
		return r.suppliedText(src, u, o, t, ws)
	}
	return false
}

// suppliedValue stores a secret whose value has come now.
func (r *run) suppliedValue(src string, u *unit, o *open, t *tool) bool {
	c := u.c
	value := ""
	for _, m := range c.of(mPair) {
		value = m.val
		if str(o.Args, "name") != "" && !strings.EqualFold(m.key, str(o.Args, "name")) {
			value = m.key + "=" + m.val
		}
	}
	if value == "" {
		value = r.valueIn(c, src, str(o.Args, "name"))
	}
	if value == "" {
		rest := c.toks
		for len(rest) > 0 && (lang.Filler(rest[0].Low) || rest[0].Kind == lang.Punct || slices.Contains(leadIns, rest[0].Low)) {
			rest = rest[1:]
		}
		if len(rest) == 1 {
			value = lang.RawWord(src, rest[0].Start)
		}
	}
	if value == "" {
		return false
	}
	if t.action == "create" {
		if !r.lists("secret") {
			return true
		}
		global, _ := o.Args["isGlobal"].(bool)
		e, done := r.storeSecret(secretPart{str(o.Args, "name"), value}, global, c)
		if done && e != nil {
			r.about("secret", e)
		}
		return true
	}
	if e := r.world.find("secret", str(o.Args, "id")); e != nil {
		args := object{"value": value}
		if outs, ok := r.each(t, t.slot("id"), args, []*entity{e}); ok {
			r.tellSecret(args, outs)
		}
		return true
	}
	return false
}

// suppliedName goes on with a request that only lacked a name.
func (r *run) suppliedName(u *unit, o *open, t *tool, ws []string) bool {
	c := u.c
	name := ""
	for _, m := range c.of(mNew) {
		name = m.names[0]
	}
	for _, m := range c.of(mUnknown, mText, mEnv) {
		name = cmpOr(name, m.text)
	}
	if name == "" || len(ws) > 8 {
		return false
	}
	if t.kind == "secret" {
		parts := r.secretsIn(u)
		if len(parts) > 0 && parts[0].value != "" && parts[0].name != "" {
			return false
		}
		r.question(&open{Tool: t.Name, Args: object{"name": envNameOf(name)}, Missing: "value"}, "What is the value of `%s`? I will store it and never show it again.", envNameOf(name))
		r.about("secret", &entity{Kind: "secret", Name: envNameOf(name)})
		return true
	}
	if t.action == "update" {
		if e := r.world.find(t.kind, str(o.Args, "id")); e != nil {
			r.rename(t, e, name)
			return true
		}
		return false
	}
	if strings.TrimSpace(str(o.Args, "promptTemplate")) == "" && t.slot("promptTemplate") != nil {
		r.question(&open{Tool: t.Name, Args: with(o.Args, "name", name), Missing: "promptTemplate"}, "What should the Operator do when `%s` is called?", name)
		return true
	}
	res, ok := r.do(t.Name, with(o.Args, "name", name))
	if ok {
		r.tellResult(t, res)
		for _, raw := range made(res.out, t) {
			r.about(t.kind, r.world.put(t.kind, raw))
		}
	}
	return true
}

// suppliedText goes on with a request that lacked a command, a path or a text.
func (r *run) suppliedText(src string, u *unit, o *open, t *tool, ws []string) bool {
	text := strings.TrimSpace(src)
	for _, m := range u.c.of(mCode, mText) {
		text = m.text
	}
	if o.Missing == "path" {
		ps := u.paths()
		if len(ps) == 0 {
			return false
		}
		text = ps[0]
	} else if len(ws) > 3 && len(u.c.of(mCode, mText)) == 0 && u.c.baseVerb(u.c.start) && len(u.c.refs("")) > 0 && o.Missing != "content" && o.Missing != "promptTemplate" {
		return false
	}
	if o.Missing == "promptTemplate" && !strings.Contains(text, payload) {
		text = strings.TrimRight(text, " .") + ". Payload: " + payload
	}
	in := with(o.Args, o.Missing, text)
	if t.slot(o.Missing) == nil {
		return false
	}
	if id := str(in, "id"); id != "" {
		if e := r.world.find(cmpOr(t.slots[0].ref, t.kind), id); e != nil {
			delete(in, "id")
			if outs, ok := r.gather(t.Name, in, []*entity{e}); ok {
				r.tellPlain(t, in, outs)
			}
			return true
		}
	}
	res, ok := r.do(t.Name, in)
	if ok {
		r.tellResult(t, res)
		for _, raw := range made(res.out, t) {
			r.about(t.kind, r.world.put(t.kind, raw))
		}
	}
	return true
}
