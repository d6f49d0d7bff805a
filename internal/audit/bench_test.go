package audit_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync/atomic"
	"testing"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/id"
	"yardmaster/internal/ledger"
	"yardmaster/internal/op"
)

// BenchmarkWrite is a write of one row, alone and recorded, by one caller and by many.
func BenchmarkWrite(b *testing.B) {
	for _, audited := range []bool{false, true} {
		for _, keyed := range []bool{false, true} {
			if keyed && !audited {
				continue
			}
			for name, callers := range map[string]int{"one": 0, "many": 32} {
				b.Run(map[bool]string{false: "plain", true: "audited"}[audited]+map[bool]string{false: "", true: "-keyed"}[keyed]+"/"+name, func(b *testing.B) {
					benchmarkWrite(b, audited, keyed, callers)
				})
			}
		}
	}
}

func benchmarkWrite(b *testing.B, audited, keyed bool, callers int) {
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "y.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	var mw []op.Middleware
	if audited {
		mw = append(mw, ledger.New(d, audit.New(d, audit.Options{})).Middleware())
	}
	reg := op.NewRegistry(mw...)
	create := func(ctx context.Context, _ createIn) (createOut, error) {
		return createOut{}, d.Update(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO events (account, stream, seq, type, data, created_at) VALUES ('a', ?, 1, 't', '{}', 0)`, id.New("evt"))
			return err
		})
	}
	if err := reg.Add(op.New(op.Op{Name: "things.create", Route: "POST /api/things", Doc: "Make.", Scope: "things:write", Effect: op.Write}, create)); err != nil {
		b.Fatal(err)
	}
	ctx, input := op.WithActor(b.Context(), who("a")), json.RawMessage(`{"name":"x","note":"a note","owner":"web-1"}`)
	var n atomic.Int64
	write := func() {
		ctx := ctx
		if keyed {
			ctx = op.WithIdempotencyKey(ctx, id.New("k"))
		}
		if _, err := reg.Do(ctx, "things.create", input); err != nil {
			b.Error(err)
		}
		n.Add(1)
	}
	b.ReportAllocs()
	if callers == 0 {
		for b.Loop() {
			write()
		}
		return
	}
	b.SetParallelism(callers)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			write()
		}
	})
}

// BenchmarkVerify is the time that a check takes for each entry.
func BenchmarkVerify(b *testing.B) {
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "y.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	l := audit.New(d, audit.Options{})
	p := op.New(op.Op{Name: "things.create", Route: "POST /api/things"}, func(context.Context, createIn) (createOut, error) { return createOut{}, nil })
	ctx := op.WithActor(b.Context(), who("a"))
	const entries = 5000
	err = d.Update(ctx, func(tx *db.Tx) error {
		for range entries {
			if err := l.End(tx, l.Describe(ctx, &op.Call{Op: p, Actor: who("a"), Raw: json.RawMessage(`{"name":"x","note":"a note","owner":"web-1"}`)})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if out, err := l.Verify(ctx, audit.VerifyIn{}); err != nil || !out.OK {
			b.Fatal(out, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/entries, "µs/entry")
}
