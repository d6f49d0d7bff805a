package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func FuzzCheckForm(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"a":2}`, `[{"a":[1,{"b":null}]}]`, "{\"a\":\"\xff\"}", `{"a":1}{`, `{"a":"\u0061","\u0061":1}`, strings.Repeat("[", 120) + strings.Repeat("]", 120), `{"":{"":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := checkForm(raw)
		if err != nil {
			if !errs.Is(err, errs.Invalid) || !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if !json.Valid(raw) || !utf8.Valid(raw) {
			t.Fatalf("%q passed", raw)
		}
		if trimmed := bytes.TrimSpace(raw); trimmed[0] == '{' {
			members, err := splitObject(trimmed)
			var m map[string]json.RawMessage
			if err != nil || json.Unmarshal(raw, &m) != nil || len(m) != len(members) {
				t.Errorf("%q has %d members, not %d: %v", raw, len(m), len(members), err)
			}
		}
	})
}

// Whatever a query holds, the input made of it is one JSON object with no key twice, or the query is refused.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"n=1", "n=1,\"b\":2", "b=true&l=a,b&l=c", "o={}&o=1", "x=%00&id=3", "i=1,2&i=", "o=1}{", "n=1e5&n", "u=\xff"} {
		f.Add(seed)
	}
	type in struct {
		ID string   `json:"id" doc:"."`
		N  float64  `json:"n,omitempty" doc:"."`
		B  bool     `json:"b,omitempty" doc:"."`
		L  []string `json:"l,omitempty" doc:"."`
		I  []int    `json:"i,omitempty" doc:"."`
		O  struct {
			A int `json:"a,omitempty" doc:"."`
		} `json:"o,omitempty" doc:"."`
		U any `json:"u,omitempty" doc:"." oneOf:"string,array"`
	}
	p := op.New(op.Op{Name: "things.get", Route: "GET /api/things/{id}"}, nilMethod[in])
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		var o object
		o.text("id", "x")
		if err := o.query(query, p); err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if err := checkForm(o.json()); err != nil && !strings.Contains(err.Error(), "levels") && !strings.Contains(err.Error(), "twice") {
			t.Errorf("%q became %q: %v", raw, o.json(), err)
		}
		if members, err := splitObject(o.json()); err != nil || len(members) != len(o.names) {
			t.Errorf("%q became %q", raw, o.json())
		}
	})
}

func nilMethod[In any](_ context.Context, _ In) (struct{}, error) { return struct{}{}, nil }
