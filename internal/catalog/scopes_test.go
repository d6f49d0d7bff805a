package catalog_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"yardmaster/internal/auth"
	"yardmaster/internal/catalog"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

var errReached = errors.New("the call reached the operation")

// A key with one scope can do exactly the operations of that scope, over the whole registry and with real keys.
func TestScopesOfKeys(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	keys := auth.New(d)
	account, _, err := keys.Bootstrap(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	// Operations are stopped where they would begin: the question is who gets there.
	reg := op.NewRegistry(func(op.Handler) op.Handler {
		return func(context.Context, *op.Call) (any, error) { return nil, errReached }
	})
	if err := reg.Add(catalog.Operations(catalog.Services{})...); err != nil {
		t.Fatal(err)
	}
	scopes := map[string]bool{"*": true, "nothing:read": true, "nothing:*": true}
	for _, p := range reg.All() {
		resource, _, _ := strings.Cut(p.Scope, ":")
		scopes[p.Scope], scopes[resource+":*"] = true, true
	}
	for _, scope := range slices.Sorted(maps.Keys(scopes)) {
		made, err := keys.CreateKey(op.WithActor(t.Context(), op.System(account)), auth.CreateKeyIn{Scopes: []string{scope}})
		if err != nil {
			t.Fatalf("%s: %v", scope, err)
		}
		actor, err := keys.Authenticate(t.Context(), made.Key)
		if err != nil {
			t.Fatalf("%s: %v", scope, err)
		}
		reached := 0
		for _, p := range reg.All() {
			resource, _, _ := strings.Cut(p.Scope, ":")
			may := scope == "*" || scope == p.Scope || scope == resource+":*"
			_, err := reg.Do(op.WithActor(t.Context(), actor), p.Name, sample(t, p))
			switch {
			case may && !errors.Is(err, errReached):
				t.Errorf("a key with %s can't do %s: %v", scope, p.Name, err)
			case !may && !errs.Is(err, errs.Forbidden):
				t.Errorf("a key with %s alone got to %s: %v", scope, p.Name, err)
			}
			if may {
				reached++
			}
		}
		if nothing := strings.HasPrefix(scope, "nothing:"); nothing != (reached == 0) {
			t.Errorf("a key with %s can do %d operations", scope, reached)
		}
	}
}

// sample is an input that an operation takes.
func sample(t *testing.T, p *op.Operation) json.RawMessage {
	t.Helper()
	in := p.Example
	if in == nil {
		in = map[string]any{}
		for _, name := range p.In.Required {
			in[name] = value(p.In.Properties[name])
		}
	}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func value(s *op.Schema) any {
	kind := s.Type
	if s.Types != nil {
		kind = s.Types[0]
	}
	switch {
	case s.Enum != nil:
		return s.Enum[0]
	case s.Format == "date-time":
		return "2030-01-01T00:00:00Z"
	case kind == "integer" || kind == "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case kind == "boolean":
		return true
	case kind == "array":
		return []any{value(s.Items)}
	case kind == "object":
		in := map[string]any{}
		for _, name := range s.Required {
			in[name] = value(s.Properties[name])
		}
		return in
	}
	return "things-1"
}
