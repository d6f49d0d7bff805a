package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// secretPart is a secret as a sentence gives it: a name, a value, or both.
type secretPart struct{ name, value string }

// secretsIn finds names and values of secrets in a clause. Values never leave this code except into a call.
func (r *run) secretsIn(u *unit) []secretPart {
	c, src := u.c, u.src
	var out []secretPart
	name, value := "", ""
	for _, m := range c.mens {
		switch m.kind {
		case mPair:
			out = append(out, secretPart{m.key, m.val})
		case mEnv:
			name = cmpOr(name, m.text)
		case mNew:
			if m.key == "as" || m.key == "" {
				name = m.names[0]
			}
		case mRef:
			for _, cands := range m.ref.named {
				if cands[0].Kind == "secret" {
					name = cmpOr(name, cands[0].Name)
				}
			}
			if m.ref.kind == "secret" {
				for _, n := range m.ref.unknown {
					name = cmpOr(name, n)
				}
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	all := append([]*clause{c}, u.extras...)
	for _, cl := range all {
		if v := r.valueIn(cl, src, name); v != "" {
			value = v
			break
		}
	}
	return []secretPart{{name, value}}
}

// valueIn finds a secret's value: behind "value (is)" or "password is", a quotation, a mark left by redaction, or a word
// that looks like a credential.
func (r *run) valueIn(c *clause, src, name string) string {
	if v, ok := c.literal("value"); ok {
		return v
	}
	for i, t := range c.toks {
		if !t.Is("value", "password", "passphrase", "token", "key", "secret", "is", "to", "it", "use", "with", "dsn", "string", ":") {
			continue
		}
		k := i + 1
		named := t.Is("value", "password", "passphrase")
		for k < len(c.toks) && c.toks[k].Is("is", "of", "=", ":", "to", "now", "being", "the", "new", "value", "for", "db", "database", "be", "should") {
			named = named || c.toks[k].Is("value")
			k++
		}
		if k >= len(c.toks) {
			continue
		}
		v := c.toks[k]
		raw := lang.RawWord(src, v.Start)
		switch {
		case v.Kind == lang.Quote || v.Kind == lang.Code:
			return v.Text
		case v.Kind == lang.URL || v.Kind == lang.Redacted:
			return raw
		case raw == name || len(r.byName(raw)) > 0:
		case named && (v.Wordy() || v.Kind == lang.Path || v.Kind == lang.KV) && !lang.Filler(v.Low) && len(raw) > 1:
			return raw
		case credible(raw):
			return raw
		}
	}
	for _, t := range c.toks {
		raw := lang.RawWord(src, t.Start)
		if raw == name || len(r.byName(raw)) > 0 {
			continue
		}
		switch {
		case t.Kind == lang.Quote && t.Key == "" && !strings.ContainsAny(t.Text, "\n"):
			return t.Text
		case t.Kind == lang.Redacted, t.Kind == lang.URL && !strings.HasPrefix(raw, "git"), opaque(raw), credible(raw) && t.Kind == lang.Ident:
			return raw
		}
	}
	return ""
}

// credible tells whether a word could be a credential: it has a digit and a letter, or is no plain word.
func credible(s string) bool {
	if len(s) < 5 || lang.IsEnvName(s) {
		return false
	}
	digit, letter := false, false
	for _, c := range s {
		digit = digit || c >= '0' && c <= '9'
		letter = letter || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	return digit && letter
}

// createSecret stores secrets; one that exists gets the new value instead. A value without a name gets a name that the
// sentence suggests.
func (r *run) createSecret(u *unit) {
	c := u.c
	if !r.lists("secret") {
		return
	}
	parts := r.secretsIn(u)
	global := c.has("global") && !c.hasSeq("not", "global") || c.hasSeq("for", "all") || c.hasSeq("for", "every")
	for _, x := range u.extras {
		global = global || x.has("global") && !x.has("not")
	}
	var stored []*entity
	waiting := false
	for _, p := range parts {
		if p.name == "" && p.value != "" {
			p.name = guessName(u)
		}
		p.name = envNameOf(p.name)
		if p.name == "" {
			r.question(&open{Tool: "secrets_create", Missing: "name"}, "What should the secret be called, and what is its value? For example: GITHUB_TOKEN=…")
			return
		}
		if p.value == "" {
			if e := r.world.find("secret", p.name); e != nil && !r.askedFor("secrets_create", p.name) {
				r.about("secret", e)
			} else if e == nil {
				r.about("secret", &entity{Kind: "secret", Name: p.name})
			}
			args := object{"name": p.name}
			if global {
				args["isGlobal"] = true
			}
			r.question(&open{Tool: "secrets_create", Args: args, Missing: "value"}, "What is the value of `%s`? I will store it and never show it again.", p.name)
			return
		}
		e, done := r.storeSecret(p, global, c)
		if !done {
			waiting = true
			continue
		}
		if e != nil {
			stored = append(stored, e)
		}
	}
	if waiting || len(stored) == 0 {
		return
	}
	r.about("secret", stored...)
	if len(c.refs("instance")) > 0 && !global { // "…, for web-1"
		f, ok := r.targets(u, "instance", nil)
		if ok {
			r.grantTo(stored, f.es)
		}
	}
}

// storeSecret creates a secret, or gives an existing one the new value; done is false while the result is missing.
func (r *run) storeSecret(p secretPart, global bool, c *clause) (e *entity, done bool) {
	if old := r.world.find("secret", p.name); old != nil && !old.fresh && !r.askedFor("secrets_create", p.name) {
		args := object{"id": old.handle(), "value": p.value}
		if global {
			args["isGlobal"] = true
		}
		res, ok := r.do("secrets_update", args)
		if !ok {
			return nil, false
		}
		if res.failed {
			r.out.fail("Couldn't change the secret `%s`: %s", p.name, scrub(why(res), p.value))
			return nil, true
		}
		r.out.done("The secret `%s` was there already; it has the new value now.", p.name)
		return old, true
	}
	in := object{"name": p.name, "value": p.value}
	if global {
		in["isGlobal"] = true
	}
	if text, ok := c.literal("description"); ok {
		in["description"] = text
	}
	var hosts []string
	for _, m := range c.of(mHost) {
		if m.text != p.value {
			hosts = append(hosts, m.text)
		}
	}
	if len(hosts) > 0 {
		in["hosts"] = hosts
	}
	res, ok := r.do("secrets_create", in)
	if !ok {
		return nil, false
	}
	if res.failed {
		r.out.fail("Couldn't store the secret `%s`: %s", p.name, scrub(why(res), p.value))
		return nil, true
	}
	for _, raw := range made(res.out, r.lx.tools["secrets_create"]) {
		e = r.world.put("secret", raw)
	}
	if e == nil {
		e = r.world.put("secret", object{"name": p.name})
	}
	if global {
		r.out.done("Stored the secret `%s`; every instance may use it.", p.name)
	} else {
		r.out.done("Stored the secret `%s`.", p.name)
	}
	return e, true
}

// scrub takes a value out of a text that came back.
func scrub(text, value string) string {
	if len(value) < 4 {
		return text
	}
	return strings.ReplaceAll(text, value, "[secret]")
}

// envNameOf makes an environment variable's name of what the person said; empty when nothing remains.
func envNameOf(name string) string {
	if name == "" {
		return ""
	}
	var b strings.Builder
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z' && strings.ContainsAny(name, "- "):
			b.WriteRune(c - 32)
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= '0' && c <= '9' && b.Len() > 0:
			b.WriteRune(c)
		case c == '-' || c == ' ' || c == '.':
			b.WriteByte('_')
		}
	}
	return b.String()
}

// guessName names a secret after what the sentence calls it: "my github token" → GITHUB_TOKEN.
func guessName(u *unit) string {
	c := u.c
	for i, t := range c.toks {
		kind := map[string]string{"token": "TOKEN", "key": "KEY", "password": "PASSWORD", "secret": "SECRET", "passphrase": "PASSPHRASE", "dsn": "DSN", "credential": "CREDENTIAL"}[lang.Singular(t.Low)]
		if kind == "" || t.Kind != lang.Word {
			continue
		}
		var words []string
		for k := i - 1; k >= 0 && k >= i-3; k-- {
			w := c.toks[k]
			if w.Kind != lang.Word || lang.Filler(w.Low) || credible(w.Text) || slices.Contains(pseudoVerbs, w.Low) || len(headVerbs(c, k)) > 0 {
				break
			}
			words = append([]string{strings.ToUpper(w.Text)}, words...)
		}
		if len(words) == 0 {
			for k := i + 1; k < len(c.toks) && k < i+5; k++ { // the password for the db
				if c.toks[k].Is("for", "of") {
					for _, w := range c.toks[k+1:] {
						if w.Kind == lang.Word && !lang.Filler(w.Low) {
							words = append(words, strings.ToUpper(w.Text))
						} else if len(words) > 0 || !w.Is("the", "our", "my", "a") {
							break
						}
					}
					break
				}
			}
		}
		if name := envNameOf(strings.Join(append(words, kind), "_")); name != kind || len(words) > 0 {
			return name
		}
		return kind
	}
	return ""
}

// headVerbs answers the verbs that begin the clause at token k.
func headVerbs(c *clause, k int) []verbHit {
	var out []verbHit
	for _, h := range c.verbs {
		if h.i == k && h.i == c.start {
			out = append(out, h)
		}
	}
	return out
}

// updateSecret changes a value or who may use a secret.
func (r *run) updateSecret(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	low := " " + strings.ToLower(u.c.text(u.src)) + " "
	everyone := slices.ContainsFunc(c.refs(""), func(f *ref) bool {
		return f.all && (f.kind == "instance" || f.kind == "") && len(f.named) == 0 && len(f.conds) == 0 && len(f.minus) == 0
	})
	switch {
	case strings.Contains(low, "global"):
		args["isGlobal"] = !(c.has("not", "longer", "un-global", "stop") || c.hasSeq("no", "longer"))
	case everyone && u.rd.verb != nil && slices.Contains([]string{"may", "can", "make", "open", "let", "share", "allow"}, u.rd.verb.v.words[0]):
		args["isGlobal"] = true
	}
	value := ""
	if len(args) == 0 || c.noun("value") {
		for _, p := range r.secretsIn(u) {
			value = p.value
		}
		for _, x := range u.extras {
			if value == "" {
				value = r.valueIn(x, u.src, "")
			}
		}
	}
	if text, ok := c.literal("description"); ok {
		args["description"] = text
		value = ""
	}
	var hosts []string
	for _, m := range c.of(mHost) {
		if m.text != value {
			hosts = append(hosts, m.text)
		}
	}
	if len(hosts) > 0 && value == "" {
		args["hosts"] = hosts
	}
	f, ok := r.targets(&unit{c: only(c, "secret"), rd: u.rd, src: u.src, keep: u.keep}, "secret", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "change"})
	if !ok {
		return
	}
	if value != "" {
		args["value"] = value
	}
	if len(args) == 0 {
		r.about("secret", f.es...)
		r.question(&open{Tool: t.Name, Args: object{"id": f.es[0].handle()}, Missing: "value"}, "What is the new value of `%s`? I will store it and never show it again.", f.es[0].Name)
		return
	}
	outs, ok := r.each(t, t.slot("id"), args, f.es)
	if !ok {
		return
	}
	r.tellSecret(args, outs)
}

// only narrows a clause's references to those that can be of a kind.
func only(c *clause, kind string) *clause {
	d := *c
	d.mens = slices.DeleteFunc(slices.Clone(c.mens), func(m mention) bool {
		return m.kind == mRef && (len(m.ref.kinds()) > 0 && !slices.Contains(m.ref.kinds(), kind) || len(m.ref.kinds()) == 0 && m.ref.all)
	})
	return &d
}

func (r *run) tellSecret(args object, outs []outcome) {
	for _, o := range outs {
		value, _ := args["value"].(string)
		if o.res.failed {
			r.out.fail("Couldn't change the secret `%s`: %s", o.e.Name, scrub(why(o.res), value))
			continue
		}
		r.about("secret", o.e)
		if value != "" {
			r.out.done("`%s` has its new value. Whoever may use it gets the new one from now on.", o.e.Name)
		}
		if g, ok := args["isGlobal"].(bool); ok {
			if g {
				r.out.done("`%s` is global now: every instance may use it, future ones as well.", o.e.Name)
			} else {
				r.out.done("`%s` is no longer global; only instances that it is granted to may use it.", o.e.Name)
			}
		}
		if h, ok := args["hosts"].([]string); ok {
			r.out.done("`%s` may be used towards %s only.", o.e.Name, ticked(h))
		}
		if args["description"] != nil {
			r.out.done("Changed the description of `%s`.", o.e.Name)
		}
	}
}

// grant lets instances use secrets.
func (r *run) grant(u *unit) {
	t := u.rd.t
	everyone := slices.ContainsFunc(u.c.refs(""), func(f *ref) bool {
		return f.all && len(f.named) == 0 && len(f.conds) == 0 && len(f.minus) == 0 && f.pron == "" && f.count == 0 && !f.rest && (f.kind == "instance" || f.kind == "")
	})
	if everyone && (strings.Contains(strings.ToLower(u.src), "future") || u.c.hasSeq("from", "now", "on") || u.c.has("always", "new")) {
		u.rd.t = r.lx.tools["secrets_update"]
		r.updateSecret(u)
		return
	}
	sec, ok := r.targets(&unit{c: only(u.c, "secret"), rd: u.rd, src: u.src}, "secret", r.openSecret(u))
	if !ok {
		return
	}
	ask := &open{Tool: t.Name, Args: object{"id": sec.es[0].handle()}, Missing: "instances", Verb: "grant", Many: true}
	ins, ok := r.targets(&unit{c: not(u.c, "secret"), rd: u.rd, src: u.src, keep: u.keep}, "instance", ask)
	if !ok {
		return
	}
	r.grantTo(sec.es, ins.es)
}

// openSecret remembers the instances of a grant whose secret is in doubt.
func (r *run) openSecret(u *unit) *open {
	o := &open{Tool: u.rd.t.Name, Missing: "id", Verb: u.rd.t.action, Args: object{}}
	for _, f := range u.c.refs("instance") {
		got := r.resolve(f, "instance")
		if len(got.es) == 0 {
			continue
		}
		if u.rd.t.slot("instances") != nil {
			o.Args["instances"] = handles(got.es)
		} else {
			o.Args["instance"] = got.es[0].handle()
		}
	}
	return o
}

// not leaves out the references that are clearly of a kind.
func not(c *clause, kind string) *clause {
	d := *c
	d.mens = slices.DeleteFunc(slices.Clone(c.mens), func(m mention) bool {
		return m.kind == mRef && slices.Contains(m.ref.kinds(), kind) || m.kind == mEnv && kind == "secret"
	})
	return &d
}

func (r *run) grantTo(secrets, instances []*entity) {
	t := r.lx.tools["secrets_grant"]
	if t == nil {
		return
	}
	for _, s := range secrets {
		outs, ok := r.each(t, t.slot("instances"), object{"id": s.handle()}, instances)
		if !ok {
			continue
		}
		if outs[0].res.failed && len(items(outs[0].res.out, "results")) == 0 {
			r.out.fail("Couldn't grant `%s`: %s", s.Name, why(outs[0].res))
			continue
		}
		r.about("instance", instances...)
		r.about("secret", s)
		r.out.done("%s may use `%s` now.", names(instances), s.Name)
	}
}

// revoke takes secrets away from instances.
func (r *run) revoke(u *unit) {
	t := u.rd.t
	sec, ok := r.targets(&unit{c: only(u.c, "secret"), rd: u.rd, src: u.src}, "secret", r.openSecret(u))
	if !ok {
		return
	}
	for _, s := range sec.es {
		c := not(u.c, "secret")
		var ins found
		if len(c.refs("instance")) == 0 && (slices.ContainsFunc(c.refs(""), func(f *ref) bool { return f.all }) || len(c.refs("")) == 0) {
			for _, e := range r.world.all("instance") {
				if holds(s.grants(), e) {
					ins.add(e)
				}
			}
			if len(ins.es) == 0 {
				r.out.note("No instance has `%s` granted, so there is nothing to take away.", s.Name)
				continue
			}
			if len(c.refs("")) == 0 {
				r.question(&open{Tool: t.Name, Args: object{"id": s.handle()}, Missing: "instance", Kind: "instance", Choices: plain(ins.es), Many: true}, "From which instance should I take `%s`? It is granted to %s.", s.Name, names(ins.es))
				return
			}
		} else if ins, ok = r.targets(&unit{c: c, rd: u.rd, src: u.src, keep: u.keep}, "instance", &open{Tool: t.Name, Args: object{"id": s.handle()}, Missing: "instance", Many: true}); !ok {
			return
		}
		outs, ok := r.each(t, t.slot("instance"), object{"id": s.handle()}, ins.es)
		if !ok {
			continue
		}
		var good []*entity
		for _, o := range outs {
			if o.res.failed {
				r.out.fail("Couldn't take `%s` away from `%s`: %s", s.Name, o.e.Name, why(o.res))
				continue
			}
			good = append(good, o.e)
		}
		if len(good) > 0 {
			r.about("instance", good...)
			r.about("secret", s)
			r.out.done("%s may no longer use `%s`.", names(good), s.Name)
		}
	}
}
