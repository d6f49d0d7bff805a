package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yardmaster/internal/audit"
	"yardmaster/internal/catalog"
	"yardmaster/internal/db"
	"yardmaster/internal/ledger"
	"yardmaster/internal/op"
)

// secretText stands in every input field that is declared as a secret, and in every answer that is.
const secretText = "sesame-open-5t2k"

// fakeAnswer is what every operation of the test answers.
type fakeAnswer struct {
	Thing struct{ ID, Name string } `json:"thing"`
	Key   string                    `json:"key"`
}

// Every operation that writes, as it is declared, leaves exactly one entry however it is called and however it ends, and
// no secret stays behind anywhere in the database.
func TestEveryWriteIsAudited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "y.db")
	d, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	log := audit.New(d, audit.Options{})
	fail := false
	fakeMethods := func(op.Handler) op.Handler {
		return func(_ context.Context, c *op.Call) (any, error) {
			if fail {
				return nil, errors.New("cause: " + secretText)
			}
			a := fakeAnswer{}
			a.Thing.ID = "made_" + c.Op.Tool()
			if c.Op.Sensitive {
				a.Key = secretText
			}
			return a, nil
		}
	}
	reg := op.NewRegistry(ledger.New(d, log).Middleware(), fakeMethods)
	if err := reg.Add(catalog.Operations(catalog.Services{})...); err != nil {
		t.Fatal(err)
	}
	actor := op.Actor{Account: "acct_a", User: "user_a", KeyID: "key_a", Surface: op.SurfaceREST, Remote: "192.0.2.1", Scopes: []string{"*"}}
	ctx := op.WithActor(t.Context(), actor)
	writes, secrets := 0, 0
	var seen int64
	entries := func() audit.VerifyOut {
		t.Helper()
		out, err := log.Verify(ctx, audit.VerifyIn{})
		if err != nil || !out.OK {
			t.Fatalf("%+v, %v", out, err)
		}
		return out
	}
	for _, p := range reg.All() {
		var in map[string]any
		if err := json.Unmarshal(sample(t, p), &in); err != nil {
			t.Fatal(err)
		}
		secrets += fillSecrets(p.In, in)
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		for i, callCtx := range []context.Context{ctx, op.WithIdempotencyKey(ctx, p.Name), ctx} {
			fail = i == 2
			if _, err := reg.Do(callCtx, p.Name, raw); (err != nil) != fail {
				t.Fatalf("%s with %s: %v", p.Name, raw, err)
			}
			n := entries().Entries
			if p.Effect == op.Read {
				if n != seen {
					t.Errorf("%s only reads, and left %d entries", p.Name, n-seen)
				}
				continue
			}
			writes++
			if n != seen+1 {
				t.Errorf("%s left %d entries, want 1", p.Name, n-seen)
			}
			seen = n
			out, err := log.List(ctx, audit.ListIn{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			e := out.Entries[0]
			want := audit.OK
			if fail {
				want = audit.Failed
			}
			if e.Operation != p.Name || e.Outcome != want || e.User != actor.User || e.KeyID != actor.KeyID || e.Remote != actor.Remote || e.Surface != actor.Surface {
				t.Errorf("%s: %+v", p.Name, e)
			}
			if !fail && !strings.Contains(fmt.Sprint(e.Resources), "made_"+p.Tool()) {
				t.Errorf("%s: what was made is not in %v", p.Name, e.Resources)
			}
			for _, w := range p.Wildcards() {
				if s, ok := in[w].(string); ok && p.In.Properties[w].Ref != "" && !strings.Contains(fmt.Sprint(e.Resources), s) {
					t.Errorf("%s: %s %q is not in %v", p.Name, w, s, e.Resources)
				}
			}
		}
	}
	if writes < 60 || secrets < 3 {
		t.Errorf("only %d writes and %d secret fields were tried; the walk is broken", writes, secrets)
	}
	for _, file := range []string{path, path + "-wal"} {
		if raw, err := os.ReadFile(file); err != nil || strings.Contains(string(raw), secretText) {
			t.Errorf("a secret is in %s (%v)", filepath.Base(file), err)
		}
	}
}

// fillSecrets puts secretText into every secret field of an input and answers how many there are.
func fillSecrets(s *op.Schema, in map[string]any) (n int) {
	for name, p := range s.Properties {
		switch {
		case p.WriteOnly && p.Type == "string":
			in[name] = secretText
			n++
		case p.WriteOnly:
			in[name] = value(p)
			n++
		case p.Properties != nil:
			inner, ok := in[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
			}
			if k := fillSecrets(p, inner); k > 0 {
				in[name], n = inner, n+k
			}
		}
	}
	return n
}
