package planner

import (
	"math"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// maxMemory is the largest memory limit that makes sense, in MiB: 4 TiB.
const maxMemory = 4 << 20

// updateConfig changes environment variables, instructions, model, limits or allowed hosts of instances.
func (r *run) updateConfig(u *unit) {
	t := u.rd.t
	args := r.configIn(u, false)
	if r.blocked() || r.out.ask != "" {
		return
	}
	if bad, ok := args["!"].(string); ok {
		r.badLimit(u, bad, args)
		return
	}
	if len(args) == 0 {
		switch {
		case u.c.noun("memory", "memory limit", "ram", "disk", "process", "cpu"):
			r.apply1(u, t, "memoryMb", "How much should it be? For example: 512 MB.")
		case u.c.noun("model"):
			r.apply1(u, t, "model", "Which model should it use?")
		case u.c.noun("instructions", "instruction", "system prompt"):
			r.apply1(u, t, "instructions", "What should the instructions be?")
		case u.c.noun("environment", "variable", "environment variable"):
			r.question(&open{}, "Which variable, and which value? Please say it as NAME=value.")
		default:
			r.decline(u)
		}
		return
	}
	f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "change", Many: true})
	if !ok {
		return
	}
	es := r.whenMet(u, f.es)
	if hosts, ok := args["egressAllow"].([]string); ok && len(es) > 0 {
		r.changeHosts(u, t, args, hosts, es)
		return
	}
	if len(es) == 0 {
		return
	}
	r.applyConfig(t, args, es)
}

func (r *run) applyConfig(t *tool, args object, es []*entity) {
	outs, ok := r.each(t, t.slot("id"), args, es)
	if ok {
		r.tellConfig(args, outs)
	}
}

// changeHosts adds hosts to what an instance may reach, or replaces them where the person said so.
func (r *run) changeHosts(u *unit, t *tool, args object, hosts []string, es []*entity) {
	only := u.c.has("only", "nothing") || slices.ContainsFunc(u.extras, func(c *clause) bool { return c.has("nothing", "only") }) || strings.Contains(strings.ToLower(u.src), "nothing else") || strings.Contains(strings.ToLower(u.src), "no other") || u.c.has("replace", "set")
	less := u.c.neg || u.c.has("block", "deny", "remove", "forbid", "longer", "not") && !only
	ok := true
	var outs []outcome
	for _, e := range es {
		list := slices.Clone(hosts)
		if !only || less {
			res, got := r.do("config_get", object{"id": e.handle()})
			if !got {
				ok = false
				continue
			}
			var have []string
			for _, h := range items(res.out, "config", "egressAllow") {
				if s, isText := h.(string); isText {
					have = append(have, s)
				}
			}
			if less {
				list = slices.DeleteFunc(have, func(h string) bool { return slices.Contains(hosts, h) })
			} else {
				list = dedupe(append(have, hosts...))
			}
		}
		res, got := r.do(t.Name, with(with(args, "egressAllow", list), "id", e.handle()))
		ok = ok && got
		outs = append(outs, outcome{e, res})
	}
	if !ok {
		return
	}
	r.tellConfig(args, outs)
}

// tellConfig says which settings changed, by name: a variable's value may be a secret.
func (r *run) tellConfig(args object, outs []outcome) {
	var what []string
	if env, ok := args["environment"].(object); ok {
		var set, gone []string
		for _, k := range sortedKeys(env) {
			if env[k] == nil {
				gone = append(gone, k)
			} else {
				set = append(set, k)
			}
		}
		if len(set) > 0 {
			what = append(what, "set "+ticked(set)+" in the environment")
		}
		if len(gone) > 0 {
			what = append(what, "removed "+ticked(gone)+" from the environment")
		}
	}
	if lim, ok := args["limits"].(object); ok {
		for _, k := range sortedKeys(lim) {
			unit := map[string]string{"memoryMb": " MiB", "diskMb": " MiB", "cpuSeconds": " s"}[k]
			what = append(what, sprintf("set the %s limit to %v%s", map[string]string{"memoryMb": "memory", "diskMb": "disk", "cpuSeconds": "CPU time", "processes": "process"}[k], lim[k], unit))
		}
	}
	if args["instructions"] != nil {
		what = append(what, "changed the instructions")
	}
	if m, ok := args["model"].(string); ok {
		what = append(what, "switched to the model `"+m+"`")
	}
	if hosts, ok := args["egressAllow"].([]string); ok {
		what = append(what, "allowed the hosts "+ticked(hosts))
	}
	var good []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't change the configuration of `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		good = append(good, o.e)
	}
	if len(good) > 0 {
		r.about("instance", good...)
		r.out.done("On %s: %s.", names(good), lang.And(what))
	}
}

// configIn reads settings out of a clause. With fresh set it is for an instance that is being made, so pairs in lower case
// are labels. A limit that can't be is answered under the key "!".
func (r *run) configIn(u *unit, fresh bool) object {
	c, out := u.c, object{}
	env := object{}
	unset := u.rd.verb != nil && slices.Contains([]string{"unset", "drop", "remove", "delete", "clear", "take"}, u.rd.verb.v.words[0])
	for _, m := range c.of(mPair) {
		if lang.IsUpper(m.key) || !fresh && c.noun("environment", "variable", "environment variable") || !fresh && !c.noun("label", "tag") {
			env[m.key] = m.val
			if unset {
				env[m.key] = nil
			}
		}
	}
	if !fresh {
		r.envWords(u, env, unset)
	}
	if len(env) > 0 {
		out["environment"] = env
	}
	if lim, bad := limitsIn(c); bad != "" {
		return object{"!": bad}
	} else if len(lim) > 0 {
		out["limits"] = lim
	}
	if text, ok := c.literal("instructions"); ok {
		out["instructions"] = text
	} else if c.noun("instructions", "instruction", "system prompt") && !fresh {
		if text, ok := c.literal(""); ok {
			out["instructions"] = text
		}
	}
	if c.noun("model") {
		if m := modelIn(r, c); m != "" {
			out["model"] = m
		}
	}
	if !fresh || c.noun("network", "egress") || c.has("reach") {
		var hosts []string
		for _, m := range c.of(mHost) {
			hosts = append(hosts, m.text)
		}
		for _, m := range c.of(mURL) {
			if rest := hostOf(m.text); rest != "" {
				hosts = append(hosts, rest)
			}
		}
		if len(hosts) > 0 {
			out["egressAllow"] = dedupe(hosts)
		}
	}
	return out
}

func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok || strings.Contains(rest, "@") {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return strings.ToLower(host)
}

// envWords reads variables said in words: "set LOG_LEVEL to debug", "drop DEBUG_SQL".
func (r *run) envWords(u *unit, env object, unset bool) {
	c := u.c
	for _, m := range c.mens {
		key := ""
		switch {
		case m.kind == mEnv:
			key = m.text
		case m.kind == mRef && len(m.ref.named) == 1 && lang.IsUpper(m.ref.named[0][0].Name) && c.noun("environment", "variable", "environment variable"):
			key = m.ref.named[0][0].Name
		case m.kind == mUnknown && c.noun("variable", "environment variable") && (m.prep == "" || c.low(m.i-1) == "variable"):
			key = m.text
		}
		if key == "" || env[key] != nil {
			continue
		}
		if unset {
			env[key] = nil
			continue
		}
		for k := m.j; k < len(c.toks)-1 && k < m.j+3; k++ {
			if c.toks[k].Is("to", "=", "as", "is", "be", ":") {
				next := c.toks[k+1]
				env[key] = next.Text
				if next.Kind == lang.KV {
					env[key] = next.Key + "=" + next.Val
				}
				break
			}
		}
	}
}

// limitsIn reads memory, disk, process and CPU limits. bad says what is wrong with one.
func limitsIn(c *clause) (lim object, bad string) {
	lim = object{}
	for _, m := range c.of(mSize) {
		key := "memoryMb"
		if c.noun("disk") || c.has("storage", "space") {
			key = "diskMb"
		}
		mib := math.Round(m.size)
		if mib < 1 || mib > maxMemory {
			return nil, sprintf("A %s limit must be at least 1 MB and at most 4 TB; %g MB is not possible.", map[string]string{"memoryMb": "memory", "diskMb": "disk"}[key], m.size)
		}
		lim[key] = int(mib)
	}
	if len(lim) == 0 {
		for _, m := range c.of(mInt) {
			switch {
			case m.text == "process" || c.noun("process"):
				lim["processes"] = m.n
			case c.noun("cpu") && m.text == "second":
				lim["cpuSeconds"] = m.n
			case c.noun("memory", "memory limit", "ram"):
				lim["memoryMb"] = m.n
			default:
				continue
			}
			if m.n < 1 {
				return nil, "A limit must be at least 1."
			}
		}
	}
	return lim, ""
}

// badLimit says what is wrong with a limit and leaves the request open for a better one.
func (r *run) badLimit(u *unit, bad string, _ object) {
	f, ok := r.targets(u, "instance", nil)
	if !ok {
		r.out.fail("%s", bad)
		return
	}
	r.about("instance", f.es...)
	missing := "memoryMb"
	if strings.Contains(bad, "disk") {
		missing = "diskMb"
	}
	r.out.fail("%s", bad)
	r.question(&open{Tool: "config_update", Args: object{"id": f.es[0].handle()}, Missing: missing, Kind: "instance", Choices: plain(f.es)}, "Nothing was changed. How much should it be?")
}

// modelIn finds the name of a model: what stands behind "model", "to" or "use".
func modelIn(r *run, c *clause) string {
	best := ""
	for i, t := range c.toks {
		if t.Kind != lang.Ident && t.Kind != lang.Quote && t.Kind != lang.Code && t.Kind != lang.Path || len(r.byName(t.Text)) > 0 && c.low(i-1) != "model" {
			continue
		}
		if c.low(i-1) == "model" || c.low(i+1) == "model" || c.low(i-1) == "to" || c.low(i-1) == "use" || best == "" {
			best = t.Text
		}
	}
	if best != "" {
		return best
	}
	for i, t := range c.toks {
		if t.Is("model") && i+1 < len(c.toks) && c.toks[i+1].Kind == lang.Word && !lang.Filler(c.low(i+1)) && !slices.Contains(prepositions, c.low(i+1)) {
			return c.toks[i+1].Text
		}
	}
	return ""
}

// showConfig shows the part of the configuration that was asked for.
func (r *run) showConfig(u *unit) {
	f, ok := r.targets(u, "instance", &open{Tool: "config_get", Missing: "id", Verb: "show", Many: true})
	if !ok {
		return
	}
	r.configOf(u, f.es)
}

func (r *run) configOf(u *unit, es []*entity) {
	ok := true
	var outs []outcome
	for _, e := range es {
		res, got := r.do("config_get", object{"id": e.handle()})
		ok = ok && got
		outs = append(outs, outcome{e, res})
	}
	if !ok {
		return
	}
	r.about("instance", es...)
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't read the configuration of `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		r.tellSettings(u.c, o)
	}
}

// tellSettings words one instance's configuration, or the part that the clause names.
func (r *run) tellSettings(c *clause, o outcome) {
	conf, _ := get(o.res.out, "config").(object)
	name := o.e.Name
	switch {
	case c.noun("instructions", "instruction", "system prompt"):
		if text := str(conf, "instructions"); text != "" {
			r.out.show("The instructions of `%s`:\n\n%s", name, fenced(text))
		} else {
			r.out.show("`%s` has no instructions of its own.", name)
		}
	case c.noun("model"):
		r.out.show("`%s` uses %s.", name, orWords(str(conf, "model"), "the model `"+str(conf, "model")+"`", "no model of its own"))
	case c.noun("memory", "memory limit", "ram", "limit", "disk", "cpu", "process"):
		var out []string
		lim, _ := conf["limits"].(object)
		for _, k := range sortedKeys(lim) {
			if v := cell(lim[k]); v != "" && v != "0" {
				out = append(out, words(k)+" "+v)
			}
		}
		r.out.show("Limits of `%s`: %s.", name, orWords(strings.Join(out, ""), strings.Join(out, ", "), "none set"))
	case c.noun("egress", "network", "host", "internet", "allowlist", "domain") || c.has("reach"):
		var hosts []string
		for _, h := range items(conf, "egressAllow") {
			hosts = append(hosts, cell(h))
		}
		r.out.show("`%s` may reach %s.", name, orWords(strings.Join(hosts, ""), ticked(hosts), "no hosts"))
	case c.noun("environment", "variable", "environment variable") || len(c.of(mEnv)) > 0:
		env, _ := conf["environment"].(object)
		for _, m := range c.of(mEnv) {
			if v, ok := env[m.text].(string); ok {
				r.out.show("`%s` is set to `%s` on `%s`.", m.text, v, name)
			} else {
				r.out.show("`%s` is not set on `%s`.", m.text, name)
			}
		}
		if len(c.of(mEnv)) == 0 {
			var rows [][]string
			for _, k := range sortedKeys(env) {
				rows = append(rows, []string{k, cell(env[k])})
			}
			if len(rows) == 0 {
				r.out.show("`%s` has no environment variables of its own.", name)
				return
			}
			r.out.show("Environment of `%s`:\n\n%s", name, table([]string{"Variable", "Value"}, rows))
		}
	default:
		var rows [][]string
		for _, k := range []string{"model", "instructions", "environment", "limits", "egressAllow"} {
			if v := cell(conf[k]); v != "" {
				rows = append(rows, []string{words(k), v})
			}
		}
		if len(rows) == 0 {
			r.out.show("`%s` has the default configuration.", name)
			return
		}
		r.out.show("Configuration of `%s`:\n\n%s", name, table([]string{"Setting", "Value"}, rows))
	}
}

func orWords(test, yes, no string) string {
	if test != "" {
		return yes
	}
	return no
}
