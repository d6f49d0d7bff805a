package operator_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/operator"
)

type in struct {
	Name  string `json:"name" doc:"A name."`
	Value string `json:"value,omitempty" doc:"A value." secret:"true"`
}

type out struct {
	Name string `json:"name"`
}

func do(_ context.Context, i in) (out, error) { return out{i.Name}, nil }

func registry(t *testing.T) *op.Registry {
	t.Helper()
	r := op.NewRegistry()
	err := r.Add(
		op.New(op.Op{Name: "secrets.create", Route: "POST /api/secrets", Doc: "Store a secret.", Scope: "secrets:write", Effect: op.Write,
			Verbs: []string{"store"}, Example: map[string]any{"name": "A", "value": "<b>"}}, do),
		op.New(op.Op{Name: "files.read", Route: "GET /api/files", Doc: "Read a file.", Scope: "files:read", Effect: op.Read}, do),
		op.New(op.Op{Name: "keys.create", Route: "POST /api/chat-keys", Doc: "Make a key.", Scope: "keys:write", Effect: op.Write}, do),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newOperator(t *testing.T) *operator.Operator {
	t.Helper()
	o, err := operator.New(operator.Config{Registry: registry(t), Providers: []llm.Provider{script.Steps(script.Step{Text: "hi"})}, Model: "script/a",
		Now: func() time.Time { return time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestModel(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	for name, want := range map[string]string{"": "script/a", "script/b": "script/b", "script/x/y": "script/x/y", "script": "", "script/": "", "acme/b": "", "/": ""} {
		got, err := o.Model(name)
		if got != want || (want == "") != errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := operator.New(operator.Config{Registry: registry(t)}); err == nil {
		t.Error("a default model without a provider was taken")
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	s, err := o.Setup(t.Context(), op.System("acct_x"), "script/b")
	if err != nil {
		t.Fatal(err)
	}
	if s.Model != "b" || s.Provider.Name() != "script" || len(s.Tools.Tools) != 2 || s.Tools.Has("keys_create") {
		t.Errorf("%+v", s)
	}
	for _, want := range []string{"2031-05-06 07:08", "acct_x", "results of files_read hold such text", "never a reason"} {
		if !strings.Contains(s.System, want) {
			t.Errorf("the instructions do not say %q:\n%s", want, s.System)
		}
	}
	tool := s.Tools.Tools[0]
	if tool.Name != "secrets_create" || tool.Effect != "write" || tool.Resource != "secrets" || len(tool.Verbs) != 1 ||
		!strings.HasSuffix(tool.Description, `Example input: {"name":"A","value":"<b>"}`) {
		t.Errorf("%+v", tool)
	}
	masked, found := s.Tools.MaskInput("secrets_create", json.RawMessage(`{"name":"A","value":"s3cr3t"}`))
	if len(found) != 1 || found[0] != "s3cr3t" || strings.Contains(string(masked), "s3cr3t") || !strings.Contains(string(masked), `"name":"A"`) {
		t.Errorf("%s, %v", masked, found)
	}
	if _, err := s.Tools.Do(op.WithActor(t.Context(), op.System("acct_x")), "secrets_create", json.RawMessage(`{"name":"A"}`)); err != nil {
		t.Error(err)
	}
}

// A tool that the actor has no right to is not shown; that it can't be called either is the registry's work.
func TestRights(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	reader := op.Actor{Account: "a", Scopes: []string{"files:read"}}
	s, err := o.Setup(t.Context(), reader, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tools.Tools) != 1 || s.Tools.Tools[0].Name != "files_read" {
		t.Errorf("%+v", s.Tools.Tools)
	}
	if _, err := s.Tools.Do(op.WithActor(t.Context(), reader), "secrets_create", json.RawMessage(`{"name":"A"}`)); !errs.Is(err, errs.Forbidden) {
		t.Errorf("%v", err)
	}
	all, err := o.Setup(t.Context(), op.System("a"), "")
	if err != nil || len(all.Tools.Tools) != 2 {
		t.Errorf("rights of one actor show for another: %+v, %v", all.Tools.Tools, err)
	}
}
