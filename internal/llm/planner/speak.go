package planner

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"yardmaster/internal/llm/planner/lang"
)

// past holds the past tense of actions, as reports begin.
var past = map[string]string{
	"restart": "Restarted", "start": "Started", "stop": "Stopped", "delete": "Deleted", "clone": "Cloned", "update": "Changed", "create": "Created",
	"install": "Installed", "uninstall": "Removed", "run": "Started a run of", "cancel": "Cancelled", "revoke": "Revoked", "grant": "Granted",
	"rollback": "Rolled back", "promote": "Promoted", "evaluate": "Scored again", "write": "Wrote", "test": "Tested", "wait": "Waited for",
}

// participle is the past participle of an action, for the middle of a sentence.
func participle(action string) string {
	if p := past[action]; p != "" && !strings.Contains(p, " ") {
		return strings.ToLower(p)
	}
	return "touched"
}

// tell reports calls that worked on resources: failures one by one, successes in one sentence.
func (r *run) tell(t *tool, args object, outs []outcome) {
	var good []*entity
	var ids []string
	for _, o := range outs {
		if o.res.failed {
			r.out.fail("Couldn't %s `%s`: %s", t.action, o.e.Name, why(o.res))
			continue
		}
		good = append(good, o.e)
		ids = append(ids, o.e.Name)
	}
	if len(good) > 0 {
		r.about(good[0].Kind, good...)
		verb := past[t.action]
		if verb == "" {
			verb = "Did " + strings.ReplaceAll(t.Name, "_", ".") + " for"
		}
		if t.reads() {
			for _, o := range outs {
				if !o.res.failed {
					r.tellResult(t, o.res)
				}
			}
			return
		}
		what := ""
		if len(good) > 3 {
			what = sprintf("%d %s: ", len(good), r.lx.plural[good[0].Kind])
		} else if t.destroys() || t.action == "cancel" {
			what = "the " + good[0].Kind + " "
			if len(good) > 1 {
				what = "the " + r.lx.plural[good[0].Kind] + " "
			}
		}
		r.out.done("%s %s%s.", verb, what, ticked(ids))
		for _, o := range outs {
			if st := str(o.res.out, t.kind, "status"); !o.res.failed && (st == "error" || st == "provisioning") && o.e.Kind == "instance" {
				r.out.note("`%s` is in status %s%s.", o.e.Name, st, because(str(o.res.out, t.kind, "lastError")))
			}
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(reason, ".")
}

// why words a failed result.
func why(res result) string {
	switch {
	case res.detail != "":
		return strings.TrimSuffix(res.detail, ".") + "."
	case res.code != "":
		return "the platform answered " + strings.ReplaceAll(res.code, "_", " ") + "."
	}
	return "the platform did not say why."
}

// tellResult shows the result of an operation that the planner knows only from its schema: a table for a list, a short
// list of fields for one thing.
func (r *run) tellResult(t *tool, res result) {
	if res.failed {
		r.out.fail("%s did not work: %s", strings.ReplaceAll(t.Name, "_", "."), why(res))
		return
	}
	if l := listItems(res.out, t.resource); l != nil {
		if len(l) == 0 {
			r.out.show("There are none.")
			return
		}
		r.out.show("%s", anyTable(l))
		return
	}
	o, _ := res.out.(object)
	if inner, ok := o[t.kind].(object); ok {
		o = inner
	}
	if len(o) == 1 && flag(o, "ok") || len(o) == 0 {
		r.out.done("%s: done.", strings.TrimSuffix(t.Description, "."))
		return
	}
	var lines []string
	for _, k := range sortedKeys(o) {
		if text := cell(o[k]); text != "" {
			lines = append(lines, "- "+words(k)+": "+text)
		}
	}
	if !t.reads() {
		r.out.done("%s", strings.TrimSuffix(t.Description, ".")+": done.")
	}
	r.out.show("%s", strings.Join(lines[:min(len(lines), 25)], "\n"))
}

// anyTable shows a list of objects with up to six of their plain fields.
func anyTable(l []any) string {
	var cols []string
	for _, want := range []string{"name", "title", "slot", "number", "version", "status", "description", "digest", "prefix", "createdAt", "updatedAt", "id"} {
		for _, v := range l {
			if cell(get(v, want)) != "" {
				cols = append(cols, want)
				break
			}
		}
		if len(cols) == 5 {
			break
		}
	}
	if len(cols) == 0 {
		if o, ok := l[0].(object); ok {
			cols = sortedKeys(o)[:min(5, len(o))]
		}
	}
	var rows [][]string
	for _, v := range l[:min(len(l), 100)] {
		var row []string
		for _, c := range cols {
			row = append(row, cell(get(v, c)))
		}
		rows = append(rows, row)
	}
	heads := make([]string, len(cols))
	for i, c := range cols {
		heads[i] = upperFirst(words(c))
	}
	return table(heads, rows)
}

// cell writes any value in few words.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
			return t.UTC().Format("2006-01-02 15:04 UTC")
		}
		return shorten(x, 120)
	case float64:
		b, _ := json.Marshal(x)
		return string(b)
	case bool:
		if x {
			return "yes"
		}
		return "no"
	case []any:
		var out []string
		for _, e := range x[:min(len(x), 8)] {
			if o, ok := e.(object); ok {
				out = append(out, cmpOr(str(o, "name"), cmpOr(str(o, "instanceName"), str(o, "id"))))
			} else {
				out = append(out, cell(e))
			}
		}
		return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), ", ")
	case object:
		var out []string
		for _, k := range sortedKeys(x) {
			out = append(out, k+"="+cell(x[k]))
		}
		return shorten(strings.Join(out, ", "), 120)
	}
	return ""
}

func shorten(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	cut := n - 1
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

// table writes a Markdown table; text in cells can't break out of it.
func table(heads []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + strings.NewReplacer("|", "\\|", "\n", " ").Replace(c) + " |")
		}
		b.WriteString("\n")
	}
	line(heads)
	b.WriteString("|" + strings.Repeat(" --- |", len(heads)) + "\n")
	for _, row := range rows {
		line(row)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// fenced shows foreign text as it is, in a fence that the text can't close.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + strings.TrimRight(text, "\n") + "\n" + fence
}

func ticked(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = "`" + s + "`"
	}
	return lang.And(out)
}

func names(es []*entity) string {
	var out []string
	for _, e := range es[:min(len(es), 100)] {
		out = append(out, e.Name)
	}
	if len(es) > 100 {
		return ticked(out) + sprintf(" and %d more", len(es)-100)
	}
	return ticked(out)
}

func either(es []*entity) string {
	var out []string
	for _, e := range es[:min(len(es), 30)] {
		out = append(out, e.Name)
	}
	return orList(out)
}

func orList(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = "`" + s + "`"
	}
	if len(out) < 2 {
		return strings.Join(out, "")
	}
	return strings.Join(out[:len(out)-1], ", ") + " or " + out[len(out)-1]
}

func thereAre(es []*entity) string {
	if len(es) == 1 {
		return "is"
	}
	return "are"
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// counted writes "1 instance", "3 instances".
func (r *run) counted(n int, kind string) string {
	if n == 1 {
		return "1 " + kind
	}
	return sprintf("%d %s", n, r.lx.plural[kind])
}
