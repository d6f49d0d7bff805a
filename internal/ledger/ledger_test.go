package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/ledger"
	"yardmaster/internal/op"
)

type in struct {
	Name string `json:"name" doc:"A name."`
}

type out struct {
	N int `json:"n"`
}

type world struct {
	db    *db.DB
	calls int
	err   error
	block chan struct{}
}

func (w *world) registry(t *testing.T) *op.Registry {
	t.Helper()
	r := op.NewRegistry(ledger.New(w.db, audit.New(w.db, audit.Options{})).Middleware())
	err := r.Add(op.New(op.Op{Name: "things.create", Route: "POST /api/things", Doc: "Make.", Scope: "things:write", Effect: op.Write},
		func(_ context.Context, _ in) (out, error) {
			w.calls++
			if w.block != nil {
				close(w.block)
				select {}
			}
			return out{w.calls}, w.err
		}))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T) *world {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &world{db: d}
}

func do(t *testing.T, r *op.Registry, key, input string) (string, error) {
	t.Helper()
	ctx := op.WithActor(t.Context(), op.System("a"))
	if key != "" {
		ctx = op.WithIdempotencyKey(ctx, key)
	}
	v, err := r.Do(ctx, "things.create", json.RawMessage(input))
	raw, _ := json.Marshal(v)
	return string(raw), err
}

func TestSameKeySameAnswer(t *testing.T) {
	t.Parallel()
	w := open(t)
	r := w.registry(t)
	for i, c := range []struct{ key, input, want string }{
		{"k1", `{"name":"x"}`, `{"n":1}`},
		{"k1", `{ "name": "x" }`, `{"n":1}`},
		{"k2", `{"name":"x"}`, `{"n":2}`},
		{"", `{"name":"x"}`, `{"n":3}`},
	} {
		if got, err := do(t, r, c.key, c.input); err != nil || got != c.want {
			t.Errorf("call %d: %s, %v; want %s", i, got, err, c.want)
		}
	}
	_, err := do(t, r, "k1", `{"name":"y"}`)
	if e := errs.Public(err); e.HTTPStatus != 422 {
		t.Errorf("another input under the same key: %v", err)
	}
	// The answers outlive the process.
	if got, err := do(t, w.registry(t), "k2", `{"name":"x"}`); err != nil || got != `{"n":2}` {
		t.Errorf("after a restart: %s, %v", got, err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	w := open(t)
	r := w.registry(t)
	w.err = errs.BadField("name", "is taken")
	for range 2 {
		if _, err := do(t, r, "k", `{"name":"x"}`); !errs.Is(err, errs.Invalid) || errs.Public(err).Fields[0].Path != "name" {
			t.Errorf("got %v", err)
		}
	}
	if w.calls != 1 {
		t.Errorf("a refused effect was tried %d times", w.calls)
	}
	w.err = errors.New("disk on fire")
	if _, err := do(t, r, "k2", `{"name":"x"}`); !errs.Is(err, errs.Internal) {
		t.Errorf("got %v", err)
	}
	w.err = nil
	if _, err := do(t, r, "k2", `{"name":"x"}`); err != nil {
		t.Errorf("a failure of ours blocks the key: %v", err)
	}
}

func TestCrashIsUnknown(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.block = make(chan struct{})
	r := w.registry(t)
	go func() { // a process that dies in the middle: this call never ends
		ctx := op.WithIdempotencyKey(op.WithActor(context.Background(), op.System("a")), "k")
		v, err := r.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`))
		panic(fmt.Sprint(v, err))
	}()
	<-w.block
	if _, err := do(t, r, "k", `{"name":"x"}`); !errs.Is(err, errs.Conflict) || errs.Public(err).Unknown {
		t.Errorf("while it is under way: %v", err)
	}
	if _, err := do(t, w.registry(t), "k", `{"name":"x"}`); !errs.Is(err, errs.Conflict) || !errs.Public(err).Unknown {
		t.Errorf("from the next process: %v", err)
	}
	if w.calls != 1 {
		t.Errorf("called %d times", w.calls)
	}
}
