package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/agent"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memorySink keeps what it gets as lines.
type memorySink struct {
	mu      sync.Mutex
	lines   []string
	results map[string]agent.Result
	stored  []agent.Step
	fail    error // of Answered
}

func (s *memorySink) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *memorySink) StepStart() { s.line("step") }
func (s *memorySink) Delta(d llm.Delta) {
	if d.Text != "" && !utf8.ValidString(d.Text) {
		s.line("INVALID %q", d.Text)
	}
	s.line("%s %s%s%s%s", d.Type, d.CallID, d.Tool, d.Text, d.Input)
}

func (s *memorySink) Answered(_ context.Context, st agent.Step) error {
	s.line("answered %d", len(st.Calls()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = append(s.stored, st)
	return s.fail
}
func (s *memorySink) Progress(callID string, v json.RawMessage) { s.line("progress %s %s", callID, v) }
func (s *memorySink) Result(r agent.Result) {
	s.line("result %s %v", r.CallID, r.IsError)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.results == nil {
		s.results = map[string]agent.Result{}
	}
	s.results[r.CallID] = r
}
func (s *memorySink) StepEnd(context.Context) error { s.line("end"); return nil }

var toolList = []llm.Tool{{Name: "x_read", Effect: "read"}, {Name: "x_write", Effect: "write"}, {Name: "s_put", Effect: "write"}}

func toolset(do func(ctx context.Context, tool string, in json.RawMessage) (any, error)) *agent.Toolset {
	return agent.NewToolset(toolList, map[string][]string{"s_put": {"value"}}, do)
}

func ask(text string) agent.Turn {
	return agent.Turn{ID: "turn_1", Actor: op.System("acct"), History: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Type: llm.Text, Text: text}}}}}
}

func call(id, tool, input string) script.Call {
	return script.Call{ID: id, Tool: tool, Input: json.RawMessage(input)}
}

func TestLoop(t *testing.T) {
	t.Parallel()
	var seen []llm.Request
	p := script.Steps(
		script.Step{Text: "First.", Calls: []script.Call{call("a", "x_read", `{"n":1}`), call("b", "x_nope", `{}`), call("c", "x_write", `{"bad":1}`)}, Usage: llm.Usage{Input: 1}},
		script.Step{Text: "Done.", Usage: llm.Usage{Output: 2}},
	).Watch(func(r llm.Request) { seen = append(seen, r) })
	ts := toolset(func(ctx context.Context, tool string, in json.RawMessage) (any, error) {
		a := op.ActorFrom(ctx)
		if tool == "x_write" {
			return nil, errs.BadField("bad", "is not a field here")
		}
		op.Progress(ctx, map[string]int{"at": 1})
		return map[string]any{"key": op.IdempotencyKey(ctx), "surface": a.Surface, "call": a.CallID, "turn": a.TurnID, "in": in, "html": "<b>"}, nil
	})
	var sink memorySink
	out, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts, System: "sys", Model: "m"}, ask("go"), &sink)
	if err != nil {
		t.Fatal(err)
	}
	if out.Steps != 2 || out.Reason != llm.Stop || out.Usage != (llm.Usage{Input: 1, Output: 2}) {
		t.Errorf("%+v", out)
	}
	if len(seen) != 2 || seen[1].System != "sys" || len(seen[1].Messages) != 3 || seen[1].Messages[2].Role != llm.RoleTool {
		t.Fatalf("%+v", seen)
	}
	want := []llm.Part{
		{Type: llm.ToolResult, CallID: "a", Tool: "x_read", Output: json.RawMessage(`{"call":"a","html":"<b>","in":{"n":1},"key":"turn_1/a","surface":"operator","turn":"turn_1"}`)},
		{Type: llm.ToolResult, CallID: "b", Tool: "x_nope", IsError: true, Output: json.RawMessage(`{"error":"not_found","detail":"There is no tool \"x_nope\" here. Use the tools that you were given, by their exact names."}`)},
		{Type: llm.ToolResult, CallID: "c", Tool: "x_write", IsError: true, Output: json.RawMessage(`{"error":"invalid","detail":"bad: is not a field here","errors":[{"field":"bad","detail":"is not a field here"}]}`)},
	}
	if diff := cmp.Diff(want, seen[1].Messages[2].Parts); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(sink.lines, `progress a {"at":1}`) || slices.Index(sink.lines, "answered 3") > slices.Index(sink.lines, "result a false") {
		t.Errorf("%q", sink.lines)
	}
}

// A turn that was left in the middle asks for nothing again that it has.
func TestResume(t *testing.T) {
	t.Parallel()
	asked, made := 0, []string{}
	var mu sync.Mutex
	p := script.Steps(script.Step{Text: "never"}, script.Step{Text: "Done."}).Watch(func(llm.Request) { asked++ })
	ts := toolset(func(ctx context.Context, _ string, in json.RawMessage) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		made = append(made, op.IdempotencyKey(ctx)+" "+string(in))
		return nil, nil
	})
	turn := ask("go")
	turn.Steps = []agent.Step{{
		Parts:   []llm.Part{{Type: llm.ToolCall, CallID: "a", Tool: "x_write", Input: json.RawMessage(`{"n":1}`)}, {Type: llm.ToolCall, CallID: "b", Tool: "x_write", Input: json.RawMessage(`{"n":2}`)}},
		Results: map[string]agent.Result{"a": {CallID: "a", Output: json.RawMessage(`{"kept":true}`)}},
		Usage:   llm.Usage{Input: 5},
	}}
	var sink memorySink
	out, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts}, turn, &sink)
	if err != nil || out.Steps != 2 || out.Usage.Input != 5 {
		t.Fatalf("%+v, %v", out, err)
	}
	if diff := cmp.Diff([]string{`turn_1/b {"n":2}`}, made); diff != "" || asked != 1 {
		t.Errorf("asked %d times, calls %s", asked, diff)
	}
	if diff := cmp.Diff([]string{"result b false", "end", "step"}, sink.lines[:3]); diff != "" {
		t.Error(diff)
	}
}

// Calls of a kind run together, within bounds; kinds wait for each other; results keep the order of the calls.
func TestParallelCalls(t *testing.T) {
	t.Parallel()
	var calls []script.Call
	for i := range 40 {
		calls = append(calls, call(fmt.Sprint("r", i), "x_read", fmt.Sprintf(`{"n":%d}`, i)))
	}
	for i := range 20 {
		calls = append(calls, call(fmt.Sprint("w", i), "x_write", fmt.Sprintf(`{"n":%d}`, i)))
	}
	var mu sync.Mutex
	now, most := map[string]int{}, map[string]int{}
	mixed := false
	var last llm.Request
	synctest.Test(t, func(t *testing.T) {
		ts := toolset(func(_ context.Context, tool string, in json.RawMessage) (any, error) {
			mu.Lock()
			now[tool]++
			most[tool] = max(most[tool], now[tool])
			mixed = mixed || (now["x_read"] > 0 && now["x_write"] > 0)
			mu.Unlock()
			synctestPause(len(in))
			mu.Lock()
			now[tool]--
			mu.Unlock()
			return in, nil
		})
		p := script.Steps(script.Step{Calls: calls}, script.Step{Text: "ok"}).Watch(func(r llm.Request) { last = r })
		if _, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts}, ask("go"), &memorySink{}); err != nil {
			t.Fatal(err)
		}
	})
	if mixed || most["x_read"] != 16 || most["x_write"] != 8 {
		t.Errorf("at once: %v, mixed %v", most, mixed)
	}
	for i, r := range last.Messages[2].Parts {
		if r.CallID != calls[i].ID || string(r.Output) != string(calls[i].Input) {
			t.Fatalf("result %d is %s %s", i, r.CallID, r.Output)
		}
	}
}

// synctestPause lets time pass in a bubble, where it costs none.
func synctestPause(n int) { <-time.After(time.Duration(n) * time.Second) }

func TestStepLimit(t *testing.T) {
	t.Parallel()
	p := script.Steps(script.Step{Calls: []script.Call{call("a", "x_read", `{}`)}})
	var sink memorySink
	out, err := agent.Run(t.Context(), agent.Setup{Provider: p, MaxSteps: 3, Tools: toolset(func(context.Context, string, json.RawMessage) (any, error) { return 1, nil })}, ask("go"), &sink)
	if err != nil || out.Reason != llm.Length || out.Steps != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	last := sink.stored[len(sink.stored)-1]
	if len(sink.stored) != 4 || len(last.Calls()) != 0 || !strings.Contains(last.Parts[0].Text, "limit of 3 steps") {
		t.Errorf("%+v", sink.stored)
	}
	ids := map[string]bool{}
	for _, s := range sink.stored {
		for _, c := range s.Calls() {
			if ids[c.CallID] {
				t.Errorf("the call id %s is used twice", c.CallID)
			}
			ids[c.CallID] = true
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := script.Steps(script.Step{Text: "wait", Hang: true})
		_, err := agent.Run(t.Context(), agent.Setup{Provider: p, MaxDuration: time.Minute}, ask("go"), &memorySink{})
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "longer than 1m0s") {
			t.Errorf("%v", err)
		}
	})
}

// A call that fails because the turn ends has no result, so that it is made again; one that was done keeps it.
func TestCancelDuringCalls(t *testing.T) {
	t.Parallel()
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := script.Steps(script.Step{Calls: []script.Call{call("a", "x_write", `{}`), call("b", "x_write", `{}`)}})
	both := make(chan struct{}, 2)
	ts := toolset(func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		if both <- struct{}{}; len(both) == 2 {
			cancel(cause)
		}
		<-ctx.Done()
		if op.ActorFrom(ctx).CallID == "a" {
			return "done all the same", nil
		}
		return nil, ctx.Err()
	})
	var sink memorySink
	_, err := agent.Run(ctx, agent.Setup{Provider: p, Tools: ts}, ask("go"), &sink)
	if !errors.Is(err, cause) || len(sink.results) != 1 || sink.results["a"].IsError || slices.Contains(sink.lines, "end") {
		t.Errorf("%v, %+v", err, sink.results)
	}
}

func TestPanicsAndErrors(t *testing.T) {
	t.Parallel()
	p := script.Steps(script.Step{Calls: []script.Call{call("a", "x_read", `{}`), call("b", "x_read", `[1]`), call("c", "x_read", `{}`)}}, script.Step{Text: "ok"})
	ts := toolset(func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		if op.ActorFrom(ctx).CallID == "a" {
			panic("secret detail")
		}
		return nil, errors.New("secret detail")
	})
	var sink memorySink
	if _, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts}, ask("go"), &sink); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"a": `"error":"internal"`, "b": "not a JSON object: [1]", "c": `"error":"internal"`} {
		r := sink.results[id]
		if !r.IsError || !strings.Contains(string(r.Output), want) || strings.Contains(string(r.Output)+r.Detail, "secret") {
			t.Errorf("%s: %s", id, r.Output)
		}
	}
	down := script.Steps(script.Step{Text: "half", Error: "The model is down."})
	sink = memorySink{}
	if _, err := agent.Run(t.Context(), agent.Setup{Provider: down}, ask("go"), &sink); err == nil || err.Error() != "The model is down." || slices.Contains(sink.lines, "answered 0") {
		t.Errorf("%v, %q", err, sink.lines)
	}
	if sink.lines[len(sink.lines)-1] != "text-end " {
		t.Errorf("the text stays open: %q", sink.lines)
	}
	sink = memorySink{fail: errors.New("disk full")}
	if _, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts}, ask("go"), &sink); err == nil || len(sink.results) != 0 {
		t.Errorf("calls were made though the answer could not be stored: %v", err)
	}
}

// rawProvider streams what it is given, in whatever order.
type rawProvider []llm.Delta

func (rawProvider) Name() string { return "raw" }
func (p rawProvider) Stream(context.Context, llm.Request) iter.Seq2[llm.Delta, error] {
	return func(yield func(llm.Delta, error) bool) {
		for _, d := range p {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// However untidy a provider is, what reaches the sink is in order, whole and valid.
func TestUntidyProvider(t *testing.T) {
	t.Parallel()
	horse := "🐎"
	p := rawProvider{
		{Type: llm.TextDelta, Text: "a" + horse[:1]}, {Type: llm.TextDelta, Text: horse[1:3]}, {Type: llm.TextDelta, Text: horse[3:] + "\xff" + "b" + horse[:2]},
		{Type: llm.CallStart, CallID: "c", Tool: "x_read"}, {Type: llm.CallDelta, CallID: "c", Text: `{"n":`},
		{Type: llm.CallStart, CallID: "c", Tool: "x_read"}, {Type: llm.CallDelta, CallID: "c", Text: `{"m":"` + horse[:1]}, {Type: llm.CallDelta, CallID: "c", Text: horse[1:] + `"}`}, {Type: llm.CallEnd, CallID: "c"},
		{Type: llm.CallEnd, CallID: "d", Tool: "x_read"},
		{Type: llm.CallDelta, CallID: "zz", Text: "lost"},
		{Type: llm.Finish, Reason: llm.ToolCalls},
	}
	var sink memorySink
	_, err := agent.Run(t.Context(), agent.Setup{Provider: p, MaxSteps: 1, Tools: toolset(func(_ context.Context, _ string, in json.RawMessage) (any, error) { return in, nil })}, ask("go"), &sink)
	if err != nil {
		t.Fatal(err)
	}
	s := sink.stored[0]
	if s.Parts[0].Text != "a"+horse+"\uFFFD"+"b"+"\uFFFD" {
		t.Errorf("text %q", s.Parts[0].Text)
	}
	var got []string
	for _, c := range s.Calls() {
		got = append(got, c.CallID+" "+string(c.Input))
	}
	if diff := cmp.Diff([]string{`c {"_invalid":"{\"n\":"}`, `c-2 {"m":"🐎"}`, `d {}`}, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(sink.lines, `call-delta c-2🐎"}`) {
		t.Errorf("a rune was cut: %q", sink.lines)
	}
	if !sink.results["c"].IsError || sink.results["d"].IsError {
		t.Errorf("%+v", sink.results)
	}
	for _, l := range sink.lines {
		if strings.HasPrefix(l, "INVALID") {
			t.Error(l)
		}
	}
	short := rawProvider{{Type: llm.TextDelta, Text: "x"}}
	if _, err := agent.Run(t.Context(), agent.Setup{Provider: short}, ask("go"), &memorySink{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("an answer without a finish: %v", err)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	var got string
	p := script.Steps(script.Step{Calls: []script.Call{{ID: "a", Tool: "s_put", Input: json.RawMessage(`{"name":"K","value":"hunter22"}`), Fragments: 4}}}, script.Step{Text: "ok"})
	ts := toolset(func(_ context.Context, _ string, in json.RawMessage) (any, error) { got = string(in); return nil, nil })
	var sink memorySink
	if _, err := agent.Run(t.Context(), agent.Setup{Provider: p, Tools: ts}, ask("go"), &sink); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "hunter22") || strings.Contains(strings.Join(sink.lines, "\n"), "hunter") {
		t.Errorf("the tool got %s, the sink %q", got, sink.lines)
	}
	if diff := cmp.Diff([]string{"hunter22"}, sink.stored[0].Secrets); diff != "" {
		t.Error(diff)
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	var items []any
	for i := range 2000 {
		items = append(items, map[string]any{"id": i, "text": strings.Repeat("é", 50)})
	}
	for name, v := range map[string]any{
		"list":   map[string]any{"items": items, "next": "cursor", "total": 12345678901234567},
		"text":   map[string]any{"text": strings.Repeat("🐎", 50_000), "next": "cursor"},
		"bare":   items,
		"string": strings.Repeat("<x>", 50_000),
		"wide":   wide(),
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out := agent.Fit(raw, 10_000)
		if len(out) > 10_100 || !json.Valid(out) || !utf8.Valid(out) || len(out) < 1000 {
			t.Errorf("%s: %d bytes: %.200s", name, len(out), out)
		}
		if bytes.Contains(raw, []byte(`"next":"cursor"`)) && !(bytes.Contains(out, []byte(`"next":"cursor"`)) && bytes.Contains(out, []byte(agent.TruncatedKey))) {
			t.Errorf("%s: the cursor or the note is lost: %.200s", name, out)
		}
	}
	if small := json.RawMessage(`{"a":1}`); string(agent.Fit(small, 100)) != string(small) {
		t.Error("a small result was changed")
	}
}

func wide() map[string]any {
	m := map[string]any{}
	for i := range 5000 {
		m[fmt.Sprint("key", i)] = i
	}
	return m
}

func FuzzFit(f *testing.F) {
	f.Add([]byte(`{"a":["x",1,{"b":null}]}`), 10)
	f.Fuzz(func(t *testing.T, raw []byte, budget int) {
		if !json.Valid(raw) || budget < 1000 {
			return
		}
		if out := agent.Fit(raw, budget); !json.Valid(out) || len(out) > max(len(raw), budget)+500 {
			t.Fatalf("%d bytes for a budget of %d: %q", len(out), budget, out)
		}
	})
}
