package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// listing answers which resources of a kind there are, narrowed as the clause says, as a table or a count.
func (r *run) listing(u *unit) {
	kind := u.rd.t.kind
	if !r.lists(kind) {
		return
	}
	var pool []*entity
	narrowed := false
	for _, f := range u.c.refs("") {
		if kinds := f.kinds(); len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		if len(f.kinds()) == 0 && f.pron != "" && f.kind == "" && u.c.question() {
			continue
		}
		if len(f.conds) > 0 || len(f.named) > 0 || len(f.minus) > 0 || len(f.ords) > 0 || f.super != "" || f.rest || len(f.unknown) > 0 || f.pron != "" {
			got := r.resolve(f, kind)
			got, ok := r.settle(u, got, kind, &open{})
			if !ok && len(f.conds) == 0 {
				return
			}
			pool = append(pool, got.es...)
			narrowed = true
		}
	}
	if !narrowed {
		pool = slices.Clone(r.world.all(kind))
		if conds := r.looseConds(u.c, kind); len(conds) > 0 {
			pool, narrowed = r.filter(pool, conds, false), true
		}
	}
	if u.c.has("alphabetical", "alphabetically", "abc") || u.c.hasSeq("by", "name") {
		slices.SortStableFunc(pool, func(a, b *entity) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	}
	r.showList(u, kind, pool, narrowed)
}

// looseConds reads states that stand away from their noun: "which of my instances are stopped", "what is running".
func (r *run) looseConds(c *clause, kind string) []cond {
	var out []cond
	for i, t := range c.toks {
		if i < c.start || c.used[i] && t.Kind == lang.Word && statuses[t.Low] == "" {
			continue
		}
		s := statuses[t.Low]
		if s == "" || i == c.start && len(c.toks) > 1 && !c.question() || t.Is("up") && !c.toks[max(0, i-1)].Is("is", "are") && i+1 < len(c.toks) {
			continue
		}
		not := i > 0 && (c.toks[i-1].Is("not") || i > 1 && c.toks[i-1].Is("currently", "yet") && c.toks[i-2].Is("not"))
		out = append(out, cond{what: "status", val: s, not: not})
	}
	if c.hasSeq("what", "not") || c.hasSeq("which", "not") || c.has("and") && c.has("not") && len(out) == 1 {
		return nil // "what is running and what not": both
	}
	if kind == "secret" {
		if c.has("global") {
			out = append(out, cond{what: "global", not: c.has("not")})
		}
		if c.has("unused") || c.has("nobody") || c.hasSeq("no", "one") {
			out = append(out, cond{what: "unused"})
		}
	}
	return out
}

// showList says what a list came to, and notes the order in which it was shown.
func (r *run) showList(u *unit, kind string, pool []*entity, narrowed bool) {
	total := len(r.world.all(kind))
	plural := r.lx.plural[kind]
	if len(pool) == 0 {
		switch {
		case total == 0:
			r.out.show("There are no %s.", plural)
			if kind == "instance" {
				r.out.offer("You could say: create an instance called atlas.")
			}
		default:
			r.out.show("None: no %s fits that (there %s %s in all).", kind, isAre(total), r.counted(total, kind))
		}
		return
	}
	r.about(kind, pool...)
	if u.c.hasSeq("how", "many") || u.c.low(u.c.start) == "count" {
		head := r.counted(len(pool), kind)
		if narrowed && total != len(pool) {
			head += sprintf(" of %d", total)
		}
		r.out.show("%s: %s.", upperFirst(head), names(pool))
		return
	}
	head := upperFirst(r.counted(len(pool), kind))
	if narrowed && total != len(pool) {
		head += sprintf(" of %d", total)
	}
	if kind == "instance" && !narrowed {
		head += statusCounts(pool)
	}
	r.out.show("%s:\n\n%s", head, r.tableOf(kind, pool))
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func statusCounts(pool []*entity) string {
	n := map[string]int{}
	for _, e := range pool {
		n[str(e.raw, "status")]++
	}
	var out []string
	for _, s := range []string{"active", "inactive", "error", "provisioning", "suspended", "deleting"} {
		if n[s] > 0 {
			out = append(out, sprintf("%d %s", n[s], s))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// tableOf shows resources of a kind with the columns that matter for it.
func (r *run) tableOf(kind string, pool []*entity) string {
	var heads []string
	var rows [][]string
	for _, e := range pool[:min(len(pool), 200)] {
		var row []string
		switch kind {
		case "instance":
			heads = []string{"Name", "Status", "Labels", "Skills"}
			row = []string{e.Name, str(e.raw, "status"), labelText(e), strings.Join(e.skills(), ", ")}
			if err := str(e.raw, "lastError"); err != "" && str(e.raw, "status") == "error" {
				row[1] += " (" + shorten(err, 100) + ")"
			}
		case "secret":
			heads = []string{"Name", "Who may use it", "Description"}
			who := strings.Join(e.grants(), ", ")
			if flag(e.raw, "isGlobal") {
				who = "every instance (global)"
			} else if who == "" {
				who = "nobody"
			}
			row = []string{e.Name, who, shorten(str(e.raw, "description"), 80)}
		case "automation":
			heads = []string{"Name", "When", "State", "Next run", "Prompt"}
			row = []string{e.Name, lang.Describe(str(e.raw, "cronExpression"), str(e.raw, "timezone")), state(e), cell(get(e.raw, "nextRunAt")), shorten(str(e.raw, "prompt"), 80)}
		case "webhook":
			heads = []string{"Name", "State", "Template"}
			row = []string{e.Name, state(e), shorten(str(e.raw, "promptTemplate"), 100)}
		case "skill":
			heads = []string{"Name", "Version", "Description"}
			row = []string{e.Name, cell(get(e.raw, "version")), shorten(str(e.raw, "description"), 140)}
		case "experiment":
			heads = []string{"Name", "Skill", "Status", "Generation", "Metric"}
			row = []string{e.Name, cell(get(e.raw, "skill")), str(e.raw, "status"), cell(get(e.raw, "generation")), str(e.raw, "metric")}
		default:
			var raws []any
			for _, e := range pool {
				raws = append(raws, e.raw)
			}
			return anyTable(raws)
		}
		rows = append(rows, row)
	}
	out := table(heads, rows)
	if len(pool) > 200 {
		out += sprintf("\n\n… and %d more.", len(pool)-200)
	}
	return out
}

func labelText(e *entity) string {
	l := e.labels()
	var out []string
	for _, k := range sortedKeys(l) {
		out = append(out, k+"="+l[k])
	}
	return strings.Join(out, ", ")
}

// showInstance says how instances are: status, labels, skills, and what went wrong.
func (r *run) showInstance(u *unit) {
	f, ok := r.targets(u, "instance", &open{Tool: "instances_get", Missing: "id", Verb: "show", Many: true})
	if !ok {
		return
	}
	r.describeInstances(f.es)
}

func (r *run) describeInstances(es []*entity) {
	r.about("instance", es...)
	for _, e := range es {
		if err := str(e.raw, "lastError"); err != "" {
			r.out.show("`%s` is in status %s: %s", e.Name, str(e.raw, "status"), err)
		}
	}
	r.out.show("%s", r.tableOf("instance", es))
}
