package event_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) (*db.DB, *event.Log) {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, event.New(d)
}

// Followers who join at any time, in parallel with writers of which some fail, see 1, 2, 3 … without a gap.
func TestFollowSeesEverythingOnce(t *testing.T) {
	t.Parallel()
	d, log := open(t)
	const writers, each, followers = 4, 50, 3
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, followers+writers)
	for range followers {
		go func() {
			want := int64(1)
			for e, err := range log.Follow(ctx, "a", "s", 0) {
				if err != nil || e.Seq != want {
					done <- errors.Join(err, errors.New("out of order"))
					return
				}
				if want++; want > writers*each {
					break
				}
			}
			done <- nil
		}()
	}
	undone := errors.New("undone")
	for range writers {
		go func() {
			for i := range each * 2 {
				err := d.Update(ctx, func(tx *db.Tx) error {
					if _, err := log.Append(tx, "a", "s", "tick", i); err != nil {
						return err
					}
					if i%2 == 1 {
						return undone
					}
					return nil
				})
				if err != nil && !errors.Is(err, undone) {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range followers + writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamsAreApart(t *testing.T) {
	t.Parallel()
	d, log := open(t)
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		for _, account := range []string{"a", "b"} {
			if _, err := log.Append(tx, account, "s", "x", account); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := log.List(t.Context(), "b", "s", 0, 10)
	if err != nil || len(got) != 1 || string(got[0].Data) != `"b"` || got[0].Seq != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := d.Update(t.Context(), func(tx *db.Tx) error { return log.Forget(tx, "b", "s") }); err != nil {
		t.Fatal(err)
	}
	if got, err := log.List(t.Context(), "a", "s", 0, 10); err != nil || len(got) != 1 {
		t.Errorf("forgetting one account's stream took the other's: %v, %v", got, err)
	}
}
