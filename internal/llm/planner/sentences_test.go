package planner

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"yardmaster/internal/llm"
)

var testPlanner = New()

// standardYard is the fleet that the sentences are about.
func standardYard(t testing.TB) *fakeWorld {
	w := newFakeWorld(t)
	w.add("skills", object{"name": "greeter", "description": "Says hello", "version": 1.0})
	w.instance("web-1", "active", object{"env": "prod"}, "greeter")
	w.instance("web-2", "active", object{"env": "prod"})
	w.instance("api-1", "active", object{"env": "staging"})
	w.instance("db-1", "active", object{"env": "prod", "tier": "gold"})
	w.instance("old-box", "inactive", nil)
	w.instance("crashy", "error", nil)["lastError"] = "disk full"
	w.add("secrets", object{"name": "GITHUB_TOKEN", "isGlobal": false, "grants": []any{object{"instanceId": w.find("instances", "web-1")["id"], "instanceName": "web-1"}}})
	w.add("secrets", object{"name": "STRIPE_KEY", "isGlobal": true, "grants": []any{}})
	w.add("automations", object{"name": "nightly-score", "enabled": true, "prompt": "Score everything", "cronExpression": "0 2 * * *", "timezone": "UTC", "nextRunAt": "2026-11-24T02:00:00Z"})
	w.add("automations", object{"name": "morning-digest", "enabled": false, "prompt": "Post the digest", "cronExpression": "0 8 * * *", "timezone": "Europe/Paris"})
	w.add("webhooks", object{"name": "pager", "enabled": true, "promptTemplate": "Read {{payload}}"})
	w.files["web-1:notes.txt"] = "alpha line\nbeta line\n"
	w.files["web-1:reports/jan.csv"] = "a,1\n"
	return w
}

// converse plays one user message to rest: it makes the calls that the planner asks for and feeds the results back.
func converse(t testing.TB, w *fakeWorld, messages []llm.Message, say string) ([]llm.Message, string) {
	t.Helper()
	messages = append(messages, llm.Message{Role: llm.RoleUser, Parts: []llm.Part{{Type: llm.Text, Text: say}}})
	for step := 0; step < 60; step++ {
		var answer, results llm.Message
		answer.Role, results.Role = llm.RoleAssistant, llm.RoleTool
		var text strings.Builder
		for d, err := range testPlanner.Stream(context.Background(), llm.Request{Messages: messages, Tools: w.tools}) {
			if err != nil {
				t.Fatalf("%q: %v", say, err)
			}
			switch d.Type {
			case llm.TextDelta:
				text.WriteString(d.Text)
			case llm.TextEnd:
				answer.Parts = append(answer.Parts, llm.Part{Type: llm.Text, Text: text.String(), Meta: d.Meta})
			case llm.CallEnd:
				answer.Parts = append(answer.Parts, llm.Part{Type: llm.ToolCall, CallID: d.CallID, Tool: d.Tool, Input: d.Input})
				out, err := w.call(d.Tool, d.Input)
				res := llm.Part{Type: llm.ToolResult, CallID: d.CallID, Tool: d.Tool}
				if err != nil {
					code, detail, _ := strings.Cut(err.Error(), ": ")
					out, res.IsError = map[string]string{"error": code, "detail": detail}, true
				}
				res.Output, _ = json.Marshal(out)
				results.Parts = append(results.Parts, res)
			}
		}
		messages = append(messages, answer)
		if len(results.Parts) == 0 {
			return messages, text.String()
		}
		messages = append(messages, results)
	}
	t.Fatalf("%q: the turn does not end", say)
	return nil, ""
}

// flatten writes a call's input as "key=value" pairs, with ids as names and nested keys dotted.
func flatten(w *fakeWorld, in object, prefix string, out map[string]string) {
	for k, v := range in {
		switch x := v.(type) {
		case object:
			flatten(w, x, prefix+k+".", out)
		case []any:
			var parts []string
			for _, e := range x {
				parts = append(parts, fmt.Sprint(e))
			}
			out[prefix+k] = strings.Join(parts, ",")
		case nil:
			out[prefix+k] = "null"
		default:
			s := fmt.Sprint(v)
			if k == "id" || k == "instance" {
				s = w.nameOf(s)
			}
			out[prefix+k] = strings.TrimSuffix(s, "\n")
		}
	}
}

func (w *fakeWorld) nameOf(id string) string {
	if n, ok := w.names()[id]; ok {
		return n
	}
	return id
}

// names maps every id that ever was to its name.
func (w *fakeWorld) names() map[string]string {
	out := map[string]string{}
	for _, l := range w.state {
		for _, o := range l {
			out[o["id"].(string)] = o["name"].(string)
		}
	}
	for id, n := range w.former {
		out[id] = n
	}
	return out
}

// judge compares what a turn did with what the file wants; destructive answers whether something was destroyed unasked.
func judge(w *fakeWorld, want string, calls []fakeCall, text string) (problem string, destructive bool) {
	var writes []fakeCall
	for _, c := range calls {
		if effect := w.effect(c.tool); effect != "read" {
			writes = append(writes, c)
		}
	}
	describe := func() string {
		var l []string
		for _, c := range writes {
			flat := map[string]string{}
			flatten(w, c.in, "", flat)
			l = append(l, fmt.Sprint(c.tool, " ", flat))
		}
		return strings.Join(l, "; ") + " | " + shorten(text, 160)
	}
	wanted := []string{}
	if !strings.HasPrefix(want, "?") && want != "!" && !strings.HasPrefix(want, "~") {
		wanted = strings.Split(want, "; ")
	}
	left := append([]fakeCall(nil), writes...)
	for _, spec := range wanted {
		f := strings.SplitN(spec, " ", 2)
		name, times, many := strings.Cut(f[0], "*")
		n := 1
		if many {
			_, _ = fmt.Sscan(times, &n)
		}
		for range n {
			at := -1
			for i, c := range left {
				if c.tool == name && (len(f) == 1 || matches(w, c, f[1])) {
					at = i
					break
				}
			}
			if at < 0 {
				problem = "missing " + spec + ": " + describe()
				continue
			}
			left = append(left[:at], left[at+1:]...)
		}
	}
	for _, c := range left {
		problem = "unwanted " + c.tool + ": " + describe()
		destructive = destructive || w.effect(c.tool) == "destroy"
	}
	switch {
	case problem != "":
	case want == "?" && !strings.Contains(text, "?"):
		problem = "no question: " + describe()
	case want == "!" && !regexp.MustCompile(`(?i)can't|could not|couldn't|there is no|only understand|not `).MatchString(text):
		problem = "no refusal: " + describe()
	case strings.HasPrefix(want, "~") && !regexp.MustCompile(want[1:]).MatchString(text):
		problem = "the answer lacks " + want + ": " + describe()
	}
	return problem, destructive
}

var pairStart = regexp.MustCompile(`(?:^| )([a-zA-Z]+(?:\.[A-Za-z_]+)?)=`)

// matches tells whether a call has all "key=value" pairs; values may hold spaces.
func matches(w *fakeWorld, c fakeCall, spec string) bool {
	flat := map[string]string{}
	flatten(w, c.in, "", flat)
	at := pairStart.FindAllStringSubmatchIndex(spec, -1)
	for i, m := range at {
		end := len(spec)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		if flat[spec[m[2]:m[3]]] != strings.TrimSpace(spec[m[1]:end]) {
			return false
		}
	}
	return true
}

func (w *fakeWorld) effect(tool string) string {
	for _, t := range w.tools {
		if t.Name == tool {
			return t.Effect
		}
	}
	return "unknown"
}

// playFile runs a file of sentences and answers how many passed.
func playFile(t *testing.T, path string, fail func(format string, args ...any)) (good, all int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		all++
		w := standardYard(t)
		var messages []llm.Message
		ok := true
		for _, part := range strings.Split(line, " || ") {
			say, want, found := strings.Cut(part, " ==> ")
			if !found {
				t.Fatalf("%s:%d: no ==>", path, n+1)
			}
			w.log = nil
			before := w.names()
			var text string
			messages, text = converse(t, w, messages, say)
			w.former = before
			problem, destructive := judge(w, want, w.log, text)
			if destructive {
				t.Errorf("%s:%d: DESTRUCTIVE MISREADING of %q: %s", path, n+1, say, problem)
			}
			if problem != "" {
				fail("%s:%d: %q: %s", path, n+1, say, problem)
				ok = false
				break
			}
		}
		if ok {
			good++
		}
	}
	return good, all
}

func TestSentences(t *testing.T) {
	t.Parallel()
	good, all := playFile(t, "testdata/sentences.txt", t.Errorf)
	t.Logf("%d of %d conversations are understood", good, all)
}
