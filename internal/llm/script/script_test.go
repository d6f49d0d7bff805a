package script_test

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/llm"
	"yardmaster/internal/llm/llmtest"
	"yardmaster/internal/llm/script"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(text string) llm.Request {
	return llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Parts: []llm.Part{{Type: llm.Text, Text: text}}}}}
}

const source = `{"rules":[
	{"match":"tool","steps":[{"reasoning":"hm","text":"Looking.","calls":[{"id":"c1","tool":"x_list","input":{"a":"žluťoučký"},"fragments":5},{"id":"c2","tool":"x_get"}]},{"text":"Found."}]},
	{"match":"slow","steps":[{"text":"one two","hang":true}]},
	{"steps":[{"text":"Hello there, wörld. ","repeat":3,"piece":2,"usage":{"inputTokens":1,"outputTokens":2}}]}]}`

func TestSuite(t *testing.T) {
	p, err := script.Load(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	llmtest.Run(t, llmtest.Subject{Provider: p, Text: ask("hi"), Tool: ask("use a tool"), Slow: ask("be slow")})
}

func TestStepsFollowTheMessages(t *testing.T) {
	t.Parallel()
	p, err := script.Load(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	req := ask("tool please")
	first, err := llmtest.Collect(p.Stream(t.Context(), req))
	if err != nil || len(first.Calls) != 2 || string(first.Calls[0].Input) != `{"a":"žluťoučký"}` || first.Reasoning != "hm" {
		t.Fatalf("%+v, %v", first, err)
	}
	req.Messages = append(req.Messages, llm.Message{Role: llm.RoleAssistant, Parts: first.Calls},
		llm.Message{Role: llm.RoleTool, Parts: []llm.Part{{Type: llm.ToolResult, CallID: "c1", Output: json.RawMessage(`{}`)}}})
	second, err := llmtest.Collect(p.Stream(t.Context(), req))
	if err != nil || second.Text != "Found." {
		t.Errorf("%+v, %v", second, err)
	}
	req.Messages = append(req.Messages, ask("hi").Messages...)
	third, err := llmtest.Collect(p.Stream(t.Context(), req))
	if err != nil || third.Text != strings.Repeat("Hello there, wörld. ", 3) || third.Usage.Output != 2 {
		t.Errorf("%+v, %v", third, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	p := script.Steps(script.Step{Text: "part", Error: "The model is down."})
	a, err := llmtest.Collect(p.Stream(t.Context(), ask("hi")))
	if err == nil || err.Error() != "The model is down." || a.Text != "part" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := llmtest.Collect(script.New(script.Script{}).Stream(t.Context(), ask("hi"))); err == nil {
		t.Error("an empty script answered")
	}
	for _, bad := range []string{`{`, `{"rules":[{}]}`, `{"rulez":[]}`} {
		if _, err := script.Load(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
