package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/db"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func insert(tx *db.Tx, stream string) error {
	_, err := tx.Exec("INSERT INTO streams (account, stream, seq) VALUES (?, ?, 1)", "a", stream)
	return err
}

func count(t *testing.T, d *db.DB) int {
	t.Helper()
	var n int
	if err := d.View(t.Context(), func(tx *db.Tx) error { return tx.Get(&n, "SELECT count(*) FROM streams") }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Failing members of a commit group leave no trace, the others are durable, and hooks run only for these.
func TestUpdateGroups(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "y.db")
	d := open(t, path)
	boom := errors.New("boom")
	var mu sync.Mutex
	hooks := 0
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := d.Update(t.Context(), func(tx *db.Tx) error {
				tx.OnCommit(func() { mu.Lock(); hooks++; mu.Unlock() })
				if err := insert(tx, fmt.Sprint(i)); err != nil {
					return err
				}
				if i%4 == 0 {
					return boom
				}
				return nil
			})
			if want := i%4 == 0; errors.Is(err, boom) != want {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := count(t, d); n != 150 || hooks != 150 {
		t.Errorf("%d rows and %d hooks, want 150 of both", n, hooks)
	}
}

func TestUpdateSurvivesPanic(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "y.db"))
	func() {
		defer func() {
			if p := recover(); p != "ouch" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = d.Update(t.Context(), func(tx *db.Tx) error {
			if err := insert(tx, "x"); err != nil {
				return err
			}
			panic("ouch")
		})
	}()
	if err := d.Update(t.Context(), func(tx *db.Tx) error { return insert(tx, "y") }); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestReopenKeepsData(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "y.db")
	d, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Update(t.Context(), func(tx *db.Tx) error { return insert(tx, "x") }); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, path)); n != 1 {
		t.Errorf("%d rows after reopening, want 1", n)
	}
	if err := d.Update(context.Background(), func(*db.Tx) error { return nil }); err == nil {
		t.Error("a closed database took a transaction")
	}
}

func TestViewCannotWrite(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "y.db"))
	if err := d.View(t.Context(), func(tx *db.Tx) error { return insert(tx, "x") }); err == nil {
		t.Error("a read transaction wrote")
	}
}

func TestOpenRefusesOtherStores(t *testing.T) {
	t.Parallel()
	_, err := db.Open(t.Context(), "mysql://u:hunter22@h/x")
	if err == nil || errors.Is(err, context.Canceled) {
		t.Fatal("opened")
	}
	if got := err.Error(); filepath.Base(got) == "" || containsPassword(got) {
		t.Errorf("the message shows the password: %s", got)
	}
}

func containsPassword(s string) bool {
	for i := range s {
		if len(s[i:]) >= 8 && s[i:i+8] == "hunter22" {
			return true
		}
	}
	return false
}

func BenchmarkUpdateParallel(b *testing.B) {
	d, err := db.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "y.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	var mu sync.Mutex
	n := 0
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			k := n
			mu.Unlock()
			if err := d.Update(b.Context(), func(tx *db.Tx) error { return insert(tx, fmt.Sprint(k)) }); err != nil {
				b.Error(err)
			}
		}
	})
}
