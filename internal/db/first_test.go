package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"yardmaster/internal/db"
)

func TestWithFirst(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	stop := errors.New("stop")
	exec := func(ctx context.Context, query string, end error) error {
		return d.Update(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(query); err != nil {
				return err
			}
			return end
		})
	}
	if err := exec(t.Context(), `CREATE TABLE t (what TEXT PRIMARY KEY, n INTEGER)`, nil); err != nil {
		t.Fatal(err)
	}
	n := func(what string) (n int) {
		t.Helper()
		if err := d.View(t.Context(), func(tx *db.Tx) error { return tx.Get(&n, `SELECT coalesce(sum(n), 0) FROM t WHERE what = ?`, what) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	add := func(what string) string {
		return `INSERT INTO t VALUES ('` + what + `', 1) ON CONFLICT DO UPDATE SET n = n + 1`
	}
	mark := func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO t VALUES ('first', 1) ON CONFLICT DO NOTHING`)
		return err
	}
	ctx := db.WithFirst(t.Context(), mark)
	if n("first") != 0 {
		t.Error("it ran by itself")
	}
	if err := exec(ctx, add("own"), stop); !errors.Is(err, stop) || n("first") != 0 {
		t.Errorf("of a transaction that failed (%v), it stayed", err)
	}
	if err := exec(t.Context(), add("other"), nil); err != nil || n("first") != 0 {
		t.Errorf("it ran with the transaction of another: %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := exec(ctx, add("own"), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n("first") != 1 || n("own") != 50 {
		t.Errorf("first %d, own %d", n("first"), n("own"))
	}
	if err := exec(t.Context(), `DELETE FROM t`, nil); err != nil {
		t.Fatal(err)
	}
	if err := exec(ctx, add("own"), nil); err != nil || n("first") != 0 {
		t.Errorf("once done, it ran again: %v", err)
	}
	// When it fails, so does the transaction.
	ctx = db.WithFirst(t.Context(), func(*db.Tx) error { return stop })
	if err := exec(ctx, add("late"), nil); !errors.Is(err, stop) || n("late") != 0 {
		t.Errorf("%v, %d", err, n("late"))
	}
}
