package planner

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// run is the planning of one turn, done anew on every call. Code that plans asks for tool calls with do; a call that the
// messages already answer gives its result at once, any other is put on the list of those that are due, and the code that
// needs the result returns.
type run struct {
	lx      *lexicon
	past    []*exchange
	now     *exchange
	world   world
	due     []call
	issued  int                // calls in the conversation so far, for ids
	steps   map[string][]*step // this turn's calls by what they do
	seen    map[string]int     // how often a call was asked for in this planning
	listed  map[string]bool
	out     report
	focus   []group
	open    *open
	guarded bool // the person asked for nothing to be changed
}

func newRun(lx *lexicon, history []*exchange) *run {
	r := &run{lx: lx, past: history[:len(history)-1], now: history[len(history)-1],
		world: world{byKind: map[string][]*entity{}}, seen: map[string]int{}, listed: map[string]bool{}}
	for _, x := range history {
		r.issued += len(x.steps)
	}
	r.steps = map[string][]*step{}
	for _, s := range r.now.steps {
		key := callKey(s.tool, s.in)
		r.steps[key] = append(r.steps[key], s)
	}
	return r
}

// result is what a tool answered.
type result struct {
	out    any
	failed bool
	code   string
	detail string
}

// do asks for a tool call. ok is false while there is no result yet.
func (r *run) do(tool string, in object) (res result, ok bool) {
	if r.lx.tools[tool] == nil {
		return result{failed: true, code: "unavailable", detail: "This server has no operation " + strings.ReplaceAll(tool, "_", ".") + "."}, true
	}
	key := callKey(tool, in)
	r.seen[key]++
	if same := r.steps[key]; r.seen[key] <= len(same) {
		s := same[r.seen[key]-1]
		if !s.done {
			return result{failed: true, code: "unavailable", detail: "The outcome of this step is not known."}, true
		}
		res = result{out: s.out, failed: s.failed}
		if s.failed {
			res.code, res.detail = str(s.out, "error"), str(s.out, "detail")
			if res.detail == "" {
				res.detail, _ = s.out.(string)
			}
			for _, e := range items(s.out, "errors") {
				if d := str(e, "detail"); d != "" && !strings.Contains(res.detail, d) {
					res.detail = strings.TrimSuffix(res.detail, ".") + ": " + str(e, "field") + " " + d
				}
			}
		}
		return res, true
	}
	r.issued++
	r.due = append(r.due, call{id: fmt.Sprintf("call_%d", r.issued), tool: tool, in: in})
	return result{}, false
}

// callKey names a call by what it does. A secret's value is left out: it may have been taken out of the messages since.
func callKey(tool string, in object) string {
	kept := object{}
	for k, v := range in {
		if k != "value" {
			kept[k] = v
		}
	}
	b, _ := json.Marshal(kept)
	h := fnv.New64a()
	_, _ = h.Write(b)
	return fmt.Sprintf("%s:%x", tool, h.Sum64())
}

// blocked tells whether calls are due whose results the plan needs.
func (r *run) blocked() bool { return len(r.due) > 0 }

// page is how many items a list call asks for.
const page = 500

// list loads all resources of a kind, page by page; false while a page is missing. A kind that can't be listed is empty.
func (r *run) list(kind string) bool {
	t := r.lx.tools[r.lx.plural[kind]+"_list"]
	if t == nil || r.listed[kind] {
		return true
	}
	in := object{}
	if t.slot("limit") != nil {
		in["limit"] = page
	}
	var all []any
	for n := 0; n < 40; n++ {
		res, ok := r.do(t.Name, in)
		if !ok {
			return false
		}
		if res.failed {
			break
		}
		all = append(all, listItems(res.out, t.resource)...)
		next := str(res.out, "next")
		if next == "" || t.slot("after") == nil {
			break
		}
		in = object{"limit": page, "after": next}
	}
	r.listed[kind] = true
	r.world.load(kind, all)
	return true
}

// listItems finds the items of a list result: under the resource's name, or the only array there is.
func listItems(out any, resource string) []any {
	if l := items(out, resource); l != nil {
		return l
	}
	if l, ok := out.([]any); ok {
		return l
	}
	m, _ := out.(object)
	var found []any
	for _, v := range m {
		if l, ok := v.([]any); ok {
			if found != nil {
				return nil
			}
			found = l
		}
	}
	return found
}

// lists loads several kinds at once.
func (r *run) lists(kinds ...string) bool {
	ok := true
	for _, k := range kinds {
		ok = r.list(k) && ok
	}
	return ok
}

// about puts resources at the front of what the conversation is about.
func (r *run) about(kind string, es ...*entity) {
	if len(es) == 0 {
		return
	}
	g := group{Kind: kind}
	for _, e := range es[:min(len(es), 500)] {
		g.Items = append(g.Items, entity{Kind: kind, ID: e.ID, Name: e.Name})
	}
	r.focus = append(slices.DeleteFunc(r.focus, func(o group) bool {
		return o.Kind == kind && len(o.Items) == len(g.Items) && o.Items[0].Name == g.Items[0].Name
	}), group{})
	copy(r.focus[1:], r.focus)
	r.focus[0] = g
}

// report collects what the closing text says.
type report struct {
	failed, did, found, notes []string
	ask                       string
	next                      []string
}

func (o *report) fail(format string, a ...any)  { o.failed = addOnce(o.failed, sprintf(format, a...)) }
func (o *report) done(format string, a ...any)  { o.did = addOnce(o.did, sprintf(format, a...)) }
func (o *report) show(format string, a ...any)  { o.found = addOnce(o.found, sprintf(format, a...)) }
func (o *report) note(format string, a ...any)  { o.notes = addOnce(o.notes, sprintf(format, a...)) }
func (o *report) offer(format string, a ...any) { o.next = addOnce(o.next, sprintf(format, a...)) }

func (o *report) empty() bool {
	return len(o.failed)+len(o.did)+len(o.found)+len(o.notes) == 0 && o.ask == ""
}

func sprintf(format string, a ...any) string {
	if len(a) == 0 {
		return format
	}
	return fmt.Sprintf(format, a...)
}

func addOnce(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// question asks the person something; the first question of a turn stands.
func (r *run) question(o *open, format string, a ...any) {
	if r.out.ask != "" {
		return
	}
	r.out.ask = sprintf(format, a...)
	r.open = o
}

// closing composes the final text: failures first, then what was done, what was found, a question, what could come next.
func (r *run) closing() (string, *note) {
	o := &r.out
	if o.empty() {
		o.ask = "I'm not sure what you would like me to do. Could you say it in other words?"
	}
	var blocks []string
	for _, part := range [][]string{o.failed, o.did, o.found, o.notes} {
		blocks = append(blocks, joinShort(part)...)
	}
	if o.ask != "" {
		blocks = append(blocks, o.ask)
	} else {
		blocks = append(blocks, o.next...)
	}
	n := &note{V: 1, Focus: r.focus[:min(len(r.focus), 6)], Open: r.open}
	if len(n.Focus) == 0 && n.Open == nil {
		n = nil
	}
	return strings.Join(blocks, "\n\n"), n
}

// joinShort puts single sentences side by side and keeps tables and blocks apart.
func joinShort(parts []string) []string {
	var out []string
	line := ""
	for _, p := range parts {
		if strings.Contains(p, "\n") || len(p) > 200 {
			if line != "" {
				out = append(out, line)
				line = ""
			}
			out = append(out, p)
			continue
		}
		if line != "" {
			line += " "
		}
		line += p
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}
