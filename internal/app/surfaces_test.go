package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"yardmaster/internal/app/apptest"
	"yardmaster/internal/cli"
	"yardmaster/internal/op"
)

// waitTime bounds the wait for what takes milliseconds.
const waitTime = 30 * time.Second

// TestEveryOperationOnEverySurface calls each operation through REST, as a tool of the Operator and as a command, and holds
// what comes back against the one declaration that all three are made of.
func TestEveryOperationOnEverySurface(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances(), apptest.Model(apptest.Caller{}))
	ops := y.App.Registry.All()
	for _, p := range ops {
		if _, ok := scenarios[p.Name]; !ok {
			t.Errorf("%s has no scenario; write one into scenarios_test.go", p.Name)
		}
	}
	for name := range scenarios {
		if _, ok := y.App.Registry.Get(name); !ok {
			t.Errorf("the scenario of %s is of no operation", name)
		}
	}
	w := newWorld(t, y.Client)
	w.box()
	surfaces := map[string]func(*world, *op.Operation, obj) apptest.Answer{
		"rest": byREST, "tool": byTool,
		"cli": func(w *world, p *op.Operation, in obj) apptest.Answer { return byCLI(w, y.Data, p, in) },
	}
	for _, p := range ops {
		s, ok := scenarios[p.Name]
		if !ok {
			continue
		}
		for surface, call := range surfaces {
			t.Run(p.Name+"/"+surface, func(t *testing.T) {
				t.Parallel()
				w := w.in(t)
				if surface == "tool" && s.noTool != "" {
					if text := refusedTool(w, p.Tool(), s.input(w)); !strings.Contains(text, "There is no tool") {
						t.Errorf("the tool %s must not be there (%s), but it answered %s", p.Tool(), s.noTool, text)
					}
					return
				}
				in := s.input(w)
				out := call(w, p, in)
				if p.RawOut && surface != "tool" {
					if len(out.Body) == 0 {
						t.Error("the raw answer is empty")
					}
				} else if err := p.Out.Check(out.Body); err != nil {
					t.Errorf("the answer is not what the schema says: %v in %s", err, out)
				}
				if s.after != nil {
					s.after(w, in, out)
				}
			})
		}
	}
}

// byREST sends the input to the operation's route.
func byREST(w *world, p *op.Operation, in obj) apptest.Answer {
	w.t.Helper()
	method, path, body := request(p, in)
	a := w.Call(method, path, body)
	if a.Status != p.Status {
		w.t.Fatalf("%s %s: %s, want %d", method, path, a, p.Status)
	}
	return a
}

// request spells an input as the operation's REST request.
func request(p *op.Operation, in obj) (method, path string, body any) {
	path = p.Path
	rest, query := obj{}, url.Values{}
	for name, v := range in {
		switch {
		case slices.Contains(p.Wildcards(), name):
			path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(fmt.Sprint(v)))
		case name == p.RawIn && name != "":
			body = []byte(v.(string))
		case p.Body():
			rest[name] = v
		default:
			if list, ok := v.([]string); ok {
				query[name] = list
			} else {
				query.Set(name, fmt.Sprint(v))
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if p.Body() {
		body = rest
	}
	return p.Method, path, body
}

// byTool has the Operator make the call in a chat, and reads what it gave off the turn.
func byTool(w *world, p *op.Operation, in obj) apptest.Answer {
	w.t.Helper()
	turn := toolTurn(w, p.Tool(), in)
	if turn.Text("turn.tools.0.status") != "done" {
		w.t.Fatalf("the call of %s: %s", p.Tool(), turn)
	}
	raw, err := json.Marshal(turn.At("turn.tools.0.output"))
	if err != nil {
		w.t.Fatal(err)
	}
	return apptest.Answer{Status: p.Status, Body: raw}
}

func toolTurn(w *world, tool string, in obj) apptest.Answer {
	w.t.Helper()
	said := w.Chat("", apptest.CallText(tool, in))
	if said.Status != 200 || said.Reply != "done" {
		w.t.Fatalf("the chat answered %s", said)
	}
	return w.Must("GET", "/api/turns/"+said.TurnID, nil)
}

// refusedTool answers why a call failed.
func refusedTool(w *world, tool string, in obj) string {
	w.t.Helper()
	turn := toolTurn(w, tool, in)
	if turn.Text("turn.tools.0.status") != "failed" {
		return "it was done"
	}
	return turn.Text("turn.tools.0.output.detail")
}

// byCLI runs the command of the operation against the server that works on the data folder.
func byCLI(w *world, data string, p *op.Operation, in obj) apptest.Answer {
	w.t.Helper()
	resource, verb, _ := strings.Cut(p.Name, ".")
	args := []string{resource, strings.ReplaceAll(verb, ".", "-")}
	for _, name := range p.Wildcards() {
		args = append(args, in[name].(string))
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if !slices.Contains(p.Wildcards(), name) {
			args = append(args, flags(w.t, name, in[name], p.In.Properties[name])...)
		}
	}
	if p.Effect == op.Destroy {
		args = append(args, "--yes")
	}
	var out, errOut bytes.Buffer
	code := cli.Run(w.t.Context(), append(args, "--json", "--data", data), strings.NewReader(""), &out, &errOut)
	if code != 0 {
		w.t.Fatalf("yardmaster %q: exit code %d: %s", args, code, &errOut)
	}
	return apptest.Answer{Status: p.Status, Body: out.Bytes()}
}

// flags spells a field as flags: a list and a map as one flag for each entry, an object as JSON.
func flags(t testing.TB, name string, v any, s *op.Schema) []string {
	t.Helper()
	var flag strings.Builder
	flag.WriteString("--")
	for _, r := range name {
		if unicode.IsUpper(r) {
			flag.WriteByte('-')
		}
		flag.WriteRune(unicode.ToLower(r))
	}
	var out []string
	switch v := v.(type) {
	case []string:
		for _, item := range v {
			out = append(out, flag.String()+"="+item)
		}
	case obj:
		if s.Values != nil {
			for key, item := range v {
				out = append(out, fmt.Sprintf("%s=%s=%v", flag.String(), key, item))
			}
			break
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, flag.String()+"="+string(raw))
	default:
		out = append(out, fmt.Sprintf("%s=%v", flag.String(), v))
	}
	return out
}
