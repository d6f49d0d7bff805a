package op_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

type thingIn struct {
	ID      string             `json:"id" doc:"The thing." ref:"thing"`
	Name    string             `json:"name,omitempty" doc:"A name." minLen:"1" maxLen:"5"`
	Kind    string             `json:"kind,omitempty" doc:"The kind." enum:"a,b"`
	Count   int                `json:"count,omitempty" doc:"How many." min:"1" max:"9"`
	Labels  map[string]*string `json:"labels,omitempty" doc:"Labels."`
	Limits  *limits            `json:"limits,omitempty" doc:"Limits."`
	Names   []string           `json:"names,omitempty" doc:"Names." max:"2" pattern:"^[a-z]+$"`
	Command any                `json:"command,omitempty" doc:"A command." oneOf:"string,array"`
	Content op.Text            `json:"content,omitempty" doc:"Content." in:"body"`
}

type limits struct {
	MemoryMB int `json:"memoryMb,omitempty" doc:"Memory." min:"16"`
}

type thingOut struct {
	In   thingIn   `json:"in"`
	At   time.Time `json:"at"`
	Tree []node    `json:"tree"`
}

type node struct {
	Kids []node `json:"kids"`
}

func thing(_ context.Context, in thingIn) (thingOut, error) { return thingOut{In: in}, nil }

func declaration() op.Op {
	return op.Op{Name: "things.update", Route: "PUT /api/things/{id}", Doc: "Change a thing.", Scope: "things:write", Effect: op.Write,
		Example: map[string]any{"id": "x", "name": "n"}}
}

func registry(t *testing.T, mw ...op.Middleware) *op.Registry {
	t.Helper()
	r := op.NewRegistry(mw...)
	if err := r.Add(op.New(declaration(), thing)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDoChecksInput(t *testing.T) {
	t.Parallel()
	r := registry(t)
	ctx := op.WithActor(t.Context(), op.Actor{Account: "acct", Scopes: []string{"things:*"}})
	for _, c := range []struct{ in, field, detail string }{
		{`{"id":"x","name":"abc","count":9,"labels":{"a":"b","c":null},"names":["a"],"command":"ls"}`, "", ""},
		{`{"id":"x","command":["ls","-l"]}`, "", ""},
		{`{"id":"x","content":"a\u0000b"}`, "", ""},
		{`{}`, "id", "missing"},
		{`{"id":"x","name":"a\u0000b"}`, "name", "U+0000"},
		{`{"id":null}`, "id", "null"},
		{`{"id":3}`, "id", "a string, not number"},
		{`{"id":"x","nmae":"y"}`, "nmae", "not a field here"},
		{`{"id":"x","name":""}`, "name", "empty"},
		{`{"id":"x","name":"žluťoučký"}`, "name", "9 characters"},
		{`{"id":"x","kind":"c"}`, "kind", "one of a, b"},
		{`{"id":"x","count":0}`, "count", "at least 1"},
		{`{"id":"x","count":1.5}`, "count", "a whole number"},
		{`{"id":"x","count":1e400}`, "count", "a whole number"},
		{`{"id":"x","limits":{"memoryMb":-2}}`, "limits.memoryMb", "at least 16"},
		{`{"id":"x","limits":{"memory":1}}`, "limits.memory", "not a field"},
		{`{"id":"x","names":["a","b","c"]}`, "names", "at most 2"},
		{`{"id":"x","names":["a","B"]}`, "names.1", "form"},
		{`{"id":"x","labels":{"a":1}}`, "labels.a", "a string"},
		{`{"id":"x","command":5}`, "command", "a string or a list"},
		{`[]`, "(input)", "an object"},
		{`{"id":"x"} {}`, "", "more than one"},
		{`{"id":`, "", "not JSON"},
	} {
		_, err := r.Do(ctx, "things.update", json.RawMessage(c.in))
		if c.detail == "" {
			if err != nil {
				t.Errorf("%s: %v", c.in, err)
			}
			continue
		}
		e := errs.Public(err)
		if e.Code != errs.Invalid || !strings.Contains(e.Detail, c.detail) {
			t.Errorf("%s: got %s %q, want %q", c.in, e.Code, e.Detail, c.detail)
		}
		if c.field != "" && (len(e.Fields) == 0 || e.Fields[0].Path != c.field) {
			t.Errorf("%s: fields %v, want %s", c.in, e.Fields, c.field)
		}
	}
}

func TestDoChecksActor(t *testing.T) {
	t.Parallel()
	r := registry(t)
	in := json.RawMessage(`{"id":"x"}`)
	if _, err := r.Do(t.Context(), "things.update", in); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	reader := op.WithActor(t.Context(), op.Actor{Account: "a", Scopes: []string{"things:read"}})
	if _, err := r.Do(reader, "things.update", in); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a reader: %v", err)
	}
	if _, err := r.Do(op.WithActor(t.Context(), op.System("a")), "things_update", in); err != nil {
		t.Errorf("the system, by tool name: %v", err)
	}
	if _, err := r.Do(op.WithActor(t.Context(), op.System("a")), "things.nope", in); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown operation: %v", err)
	}
}

func TestRawBody(t *testing.T) {
	t.Parallel()
	r := registry(t)
	ctx := op.WithActor(t.Context(), op.System("a"))
	body := []byte{0xff, 0, 'a'}
	out, err := r.Do(op.WithBody(ctx, body), "things.update", json.RawMessage(`{"id":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(op.Text(body), out.(thingOut).In.Content); diff != "" {
		t.Error(diff)
	}
	out, err = r.Do(ctx, "things.update", json.RawMessage(`{"id":"x","content":"hé"}`))
	if err != nil || string(out.(thingOut).In.Content) != "hé" {
		t.Errorf("as JSON: %v, %v", out, err)
	}
}

func TestMiddlewareOrder(t *testing.T) {
	t.Parallel()
	var got []string
	mw := func(name string) op.Middleware {
		return func(next op.Handler) op.Handler {
			return func(ctx context.Context, c *op.Call) (any, error) {
				got = append(got, name)
				return next(ctx, c)
			}
		}
	}
	r := registry(t, mw("outer"), mw("inner"))
	if _, err := r.Do(op.WithActor(t.Context(), op.System("a")), "things.update", json.RawMessage(`{"id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"outer", "inner"}, got); diff != "" {
		t.Error(diff)
	}
}

// The schema that clients see must mean what Check does: the same inputs pass an independent validator.
func TestSchemaIsValid(t *testing.T) {
	t.Parallel()
	p := op.New(declaration(), thing)
	raw, err := json.Marshal(p.In)
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	rs, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{`{"id":"x","count":9,"labels":{"a":null}}`, `{}`, `{"id":"x","count":0}`, `{"id":"x","limits":{"memoryMb":1}}`, `{"id":"x","y":1}`} {
		var v any
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		if ours, theirs := p.In.Check(json.RawMessage(in)), rs.Validate(v); (ours == nil) != (theirs == nil) {
			t.Errorf("%s: ours %v, theirs %v", in, ours, theirs)
		}
	}
}

func TestAddRefusesBadDeclarations(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*op.Op){
		"name":     func(o *op.Op) { o.Name = "Things" },
		"doc":      func(o *op.Op) { o.Doc = "" },
		"scope":    func(o *op.Op) { o.Scope = "things:read" },
		"method":   func(o *op.Op) { o.Route = "GET /api/things/{id}" },
		"wildcard": func(o *op.Op) { o.Route = "PUT /api/things/{nope}" },
		"example":  func(o *op.Op) { o.Example = map[string]any{"id": 1} },
		"path":     func(o *op.Op) { o.Route = "PUT /things/{id}" },
	} {
		o := declaration()
		change(&o)
		if err := op.NewRegistry().Add(op.New(o, thing)); err == nil {
			t.Errorf("a declaration with a wrong %s was taken", name)
		}
	}
	r := registry(t)
	if err := r.Add(op.New(declaration(), thing)); err == nil {
		t.Error("the same declaration twice was taken")
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`{"id":"x"}`)
	f.Add(`{"id":"x","labels":{"":null},"command":[1]}`)
	p := op.New(declaration(), thing)
	f.Fuzz(func(_ *testing.T, in string) { _ = p.In.Check(json.RawMessage(in)) })
}
