package planner

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// install puts a skill on instances, or takes it off: the two differ only in the tool.
func (r *run) install(u *unit) {
	t := u.rd.t
	skills, ok := r.skillTargets(u)
	if !ok {
		return
	}
	f, ok := r.targets(u, "instance", &open{Tool: t.Name, Args: object{"id": skills[0].handle()}, Missing: "instances", Verb: t.action, Many: true})
	if !ok {
		return
	}
	es := r.whenMet(u, f.es)
	if t.action == "uninstall" && !f.named { // a selection means those that have it
		es = slices.DeleteFunc(slices.Clone(es), func(e *entity) bool {
			return !slices.ContainsFunc(skills, func(sk *entity) bool { return slices.Contains(e.skills(), sk.Name) })
		})
		if len(es) == 0 {
			r.out.note("None of them has %s, so there is nothing to take off.", names(skills))
		}
	}
	if len(es) == 0 {
		return
	}
	for _, sk := range skills {
		outs, ok := r.each(t, t.slot("instances"), object{"id": sk.handle()}, es)
		if ok {
			r.tellInstall(t, sk, outs)
		}
	}
}

func (r *run) tellInstall(t *tool, sk *entity, outs []outcome) {
	var good []*entity
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't %s `%s` on `%s`: %s", t.action, sk.Name, o.e.Name, why(o.res))
			continue
		}
		good = append(good, o.e)
		have := slices.DeleteFunc(slices.Clone(items(o.e.raw, "skills")), func(v any) bool { return v == sk.Name || str(v, "name") == sk.Name })
		if t.action == "install" {
			have = append(have, object{"name": sk.Name})
		}
		if o.e.raw != nil {
			o.e.raw["skills"] = have
		}
	}
	r.about("skill", sk)
	if len(good) == 0 {
		return
	}
	r.about("instance", good...)
	if t.action == "install" {
		r.out.done("Installed `%s` on %s.", sk.Name, names(good))
		return
	}
	r.out.done("Removed `%s` from %s. The skill itself stays.", sk.Name, names(good))
}

// skillTargets answers the skills that a unit names. A word in the place of a skill that names none is reported.
func (r *run) skillTargets(u *unit) ([]*entity, bool) {
	var out []*entity
	for _, f := range u.c.refs("skill") {
		got := r.resolve(f, "skill")
		got, ok := r.settle(u, got, "skill", &open{})
		if !ok || len(got.unknown) > 0 {
			return nil, false
		}
		out = append(out, got.es...)
	}
	for _, f := range u.c.refs("") { // "an experiment with aqi-predictor"
		for _, cd := range f.conds {
			if cd.what == "skill" && cd.ent != nil && len(out) == 0 && u.rd.t.action == "create" {
				out = append(out, cd.ent)
			}
		}
	}
	if len(out) > 0 {
		return out, true
	}
	for _, m := range u.c.of(mUnknown) {
		if !slices.Contains([]string{"on", "onto", "from", "to", "in", "off"}, m.prep) || u.c.low(m.j) == "skill" {
			f := found{}
			r.miss(&f, m.text, "skill")
			f, ok := r.settle(u, f, "skill", &open{Tool: u.rd.t.Name, Missing: "id"})
			if !ok {
				return nil, false
			}
			return f.es, len(f.es) > 0
		}
	}
	if es, ok := r.scope(&ref{pron: "it"}, "skill"); ok && len(es) == 1 && len(u.c.refs("instance"))+len(u.c.refs("")) > 0 {
		return es, true
	}
	ask := &open{Tool: u.rd.t.Name, Missing: "id", Kind: "skill", Choices: plain(r.world.all("skill"))}
	r.question(ask, "Which skill do you mean? There are: %s.", names(r.world.all("skill")))
	return nil, false
}

var skillName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// createSkill imports a skill from a folder, zip or git URL, or makes one from a name, a description and instructions.
func (r *run) createSkill(u *unit) {
	c, t := u.c, u.rd.t
	for _, m := range c.mens {
		if m.kind == mPath || m.kind == mURL || m.kind == mText && m.key == "" && strings.ContainsAny(m.text, "/") && !strings.ContainsAny(m.text, " \n") {
			r.importSkill(u, m.text)
			return
		}
	}
	name := ""
	for _, m := range c.of(mNew) {
		name = m.names[0]
	}
	if name == "" {
		for _, f := range c.refs("skill") {
			if ns := f.names(); len(ns) > 0 {
				name = ns[0]
			}
		}
	}
	description, hasD := c.literal("description")
	instructions, hasI := c.literal("instructions")
	if !hasI {
		instructions, hasI = c.literal("content")
	}
	if c.has("scaffold", "template", "skeleton", "empty", "blank", "placeholder", "stub") && name != "" && !hasI {
		instructions, hasI = "Describe here, step by step, what the agent should do.", true
		if !hasD {
			description, hasD = "A scaffold to be filled in", true
		}
	}
	if name == "" || !hasD && !hasI {
		r.out.fail("I can't write a skill's logic by myself: that needs a model.")
		r.out.note("What I can do without one: store a skill whose text you give me (say: create a skill named NAME. Description: … Instructions: …), import one from a folder, a zip or a git URL, or make a bare scaffold for you to fill in.")
		return
	}
	if !hasD {
		description, _, _ = strings.Cut(instructions, "\n")
		description = shorten(description, 200)
	}
	if !hasI {
		instructions = description
	}
	slug := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
	if !skillName.MatchString(slug) {
		r.out.fail("%s can't be a skill's name: use lower-case letters, digits and hyphens.", safe(name))
		return
	}
	in := object{"name": slug, "description": description, "files": object{"SKILL.md": skillText(slug, description, instructions)}}
	if t.slot("files") == nil {
		delete(in, "files")
	}
	res, ok := r.do(t.Name, in)
	if !ok {
		return
	}
	r.tellSkill(t, res, "Created", slug)
}

// skillText writes a SKILL.md; the description is quoted so that any text is valid YAML.
func skillText(name, description, body string) string {
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\r", " ", "\t", " ").Replace(description) + `"`
	return "---\nname: " + name + "\ndescription: " + quoted + "\n---\n\n# " + name + "\n\n" + strings.TrimSpace(body) + "\n"
}

func (r *run) importSkill(u *unit, source string) {
	in := object{"source": source}
	for _, m := range u.c.of(mNew) {
		if len(m.names) > 0 && m.key == "" && m.names[0] != path.Base(source) {
			in["name"] = m.names[0]
		}
	}
	res, ok := r.do(u.rd.t.Name, in)
	if !ok {
		return
	}
	r.tellSkill(u.rd.t, res, "Imported", strings.TrimSuffix(path.Base(source), ".zip"))
}

func (r *run) tellSkill(t *tool, res result, did, name string) {
	if res.failed {
		r.out.fail("The skill `%s` was not stored: %s", name, why(res))
		return
	}
	for _, raw := range made(res.out, t) {
		e := r.world.put("skill", raw)
		r.about("skill", e)
		name = e.Name
		for _, w := range items(raw, "warnings") {
			if text := cmpOr(cell(w), str(w, "detail")); text != "" {
				r.out.note("Note: %s", shorten(text, 200))
			}
		}
	}
	r.out.done("%s the skill `%s`.", did, name)
	r.out.offer("You could now say: install %s on web-1.", name)
}

// updateSkill changes a description or the instructions.
func (r *run) updateSkill(u *unit) {
	c, t := u.c, u.rd.t
	args := object{}
	if text, ok := c.literal("description"); ok {
		args["description"] = text
	} else if text, ok := c.literal(""); ok && !c.noun("instructions") {
		args["description"] = text
	} else if text, ok := c.literal("content"); ok && c.noun("description") {
		args["description"] = text
	}
	for _, m := range c.mens {
		if m.kind == mURL || m.kind == mPath {
			args["source"] = m.text
		}
	}
	if text, ok := c.literal("instructions"); ok && t.slot("files") != nil {
		f, ok := r.targets(u, "skill", nil)
		if !ok {
			return
		}
		e := f.es[0]
		args["files"] = object{"SKILL.md": skillText(e.Name, cmpOr(str(args, "description"), str(e.raw, "description")), text)}
	}
	if len(args) == 0 {
		r.apply1(u, t, "description", "What should the new description be?")
		return
	}
	f, ok := r.targets(u, "skill", &open{Tool: t.Name, Args: args, Missing: "id", Verb: "change"})
	if !ok {
		return
	}
	if len(f.es) > 1 {
		r.question(&open{Tool: t.Name, Args: args, Missing: "id", Kind: "skill", Choices: plain(f.es)}, "Which skill do you mean: %s?", either(f.es))
		return
	}
	outs, ok := r.each(t, t.slot("id"), args, f.es)
	if !ok {
		return
	}
	r.about("skill", f.es[0])
	if outs[0].res.failed {
		r.out.fail("Couldn't change the skill `%s`: %s", f.es[0].Name, why(outs[0].res))
		return
	}
	r.out.done("Changed the %s of the skill `%s`.", lang.And(sortedKeys(args)), f.es[0].Name)
}

// testSkill runs a skill's own test and says plainly whether it works.
func (r *run) testSkill(u *unit) {
	t := u.rd.t
	skills, ok := r.skillTargets(u)
	if !ok {
		return
	}
	args := object{}
	if len(u.c.refs("instance")) > 0 && t.slot("instance") != nil {
		f, ok := r.targets(u, "instance", nil)
		if !ok {
			return
		}
		args["instance"] = f.es[0].handle()
	}
	outs, ok := r.each(t, t.slot("id"), args, skills)
	if !ok {
		return
	}
	r.about("skill", skills...)
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("The test of `%s` could not be run: %s", o.e.Name, why(o.res))
			continue
		}
		code, has := num(o.res.out, "exitCode")
		passed, said := get(o.res.out, "passed").(bool)
		if !said {
			passed, said = get(o.res.out, "ok").(bool)
		}
		switch {
		case said && passed || !said && has && code == 0:
			r.out.show("The test of `%s` passed: it works%s.", o.e.Name, orWords(cell(get(o.res.out, "exitCode")), " (exit code "+cell(get(o.res.out, "exitCode"))+")", ""))
		case said || has:
			r.out.fail("The test of `%s` failed%s.", o.e.Name, orWords(cell(get(o.res.out, "exitCode")), " with exit code "+cell(get(o.res.out, "exitCode")), ""))
		default:
			r.out.show("The test of `%s` ran.", o.e.Name)
		}
		text := strings.TrimSpace(cmpOr(str(o.res.out, "stdout"), str(o.res.out, "output")) + "\n" + str(o.res.out, "stderr"))
		if text != "" {
			r.out.show("%s", fenced(shortenLines(text, 1500)))
		}
		if m, ok := get(o.res.out, "metrics").(object); ok && len(m) > 0 {
			r.out.show("Scores: %s.", cell(m))
		}
	}
}

func shortenLines(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "\n…"
}

// showSkill says what a skill is for.
func (r *run) showSkill(u *unit) {
	skills, ok := r.skillTargets(u)
	if !ok {
		return
	}
	outs, ok := r.each(u.rd.t, u.rd.t.slot("id"), object{}, skills)
	if !ok {
		return
	}
	r.about("skill", skills...)
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't read the skill `%s`: %s", o.e.Name, why(o.res))
			continue
		}
		s, _ := get(o.res.out, "skill").(object)
		if s == nil {
			s = o.e.raw
		}
		r.out.show("`%s` (version %s): %s", o.e.Name, cmpOr(cell(get(s, "version")), "1"), cmpOr(str(s, "description"), "it has no description."))
		var files []string
		for _, f := range items(s, "files") {
			files = append(files, cmpOr(str(f, "path"), cell(f)))
		}
		if len(files) > 0 {
			r.out.show("Files: %s%s.", ticked(files[:min(len(files), 12)]), orWords(strings.Repeat("x", max(0, len(files)-12)), sprintf(" and %d more", len(files)-12), ""))
		}
		if on := r.having(o.e); len(on) > 0 {
			r.out.show("Installed on %s.", names(on))
		}
	}
}

// having answers the instances that have a skill.
func (r *run) having(sk *entity) []*entity {
	var out []*entity
	for _, e := range r.world.all("instance") {
		if slices.Contains(e.skills(), sk.Name) {
			out = append(out, e)
		}
	}
	return out
}
