package job_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func newQueue(d *db.DB) *job.Queue {
	return job.New(d, slog.New(slog.NewTextHandler(io.Discard, nil)), true)
}

func enqueue(t *testing.T, d *db.DB, q *job.Queue, s job.Spec) bool {
	t.Helper()
	var added bool
	err := d.Update(t.Context(), func(tx *db.Tx) (err error) {
		added, err = q.Enqueue(tx, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func left(t *testing.T, d *db.DB) int {
	t.Helper()
	var n int
	if err := d.View(t.Context(), func(tx *db.Tx) error { return tx.Get(&n, "SELECT count(*) FROM jobs") }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Jobs enqueued before and after the start run once each, never more at once than allowed, and leave nothing behind.
func TestRunsEachOnce(t *testing.T) {
	t.Parallel()
	d := open(t)
	q := newQueue(d)
	const n, limit = 200, 3
	var mu sync.Mutex
	runs := map[string]int{}
	var now, most atomic.Int64
	var wg sync.WaitGroup
	wg.Add(n)
	q.Handle("k", limit, func(_ context.Context, j job.Job) error {
		defer wg.Done()
		if m := now.Add(1); m > most.Load() {
			most.Store(m)
		}
		defer now.Add(-1)
		mu.Lock()
		defer mu.Unlock()
		runs[j.Key]++
		return nil
	})
	for i := range n / 2 {
		enqueue(t, d, q, job.Spec{Kind: "k", Key: fmt.Sprint(i)})
	}
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := n / 2; i < n; i++ {
		enqueue(t, d, q, job.Spec{Kind: "k", Key: fmt.Sprint(i)})
	}
	wg.Wait()
	q.Stop()
	for k, r := range runs {
		if r != 1 {
			t.Errorf("job %s ran %d times", k, r)
		}
	}
	if len(runs) != n || most.Load() > limit {
		t.Errorf("%d jobs ran, up to %d at once", len(runs), most.Load())
	}
}

// What a stopped process was at is run again by the next, and an unfinished key is not enqueued twice.
func TestTakeover(t *testing.T) {
	t.Parallel()
	d := open(t)
	q1 := newQueue(d)
	entered := make(chan struct{})
	q1.Handle("k", 1, func(ctx context.Context, _ job.Job) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	if err := q1.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !enqueue(t, d, q1, job.Spec{Kind: "k", Key: "x", Payload: 7}) {
		t.Error("not added")
	}
	<-entered
	if enqueue(t, d, q1, job.Spec{Kind: "k", Key: "x"}) {
		t.Error("added twice")
	}
	q1.Stop()
	if left(t, d) != 1 {
		t.Fatal("the job got lost")
	}
	q2 := newQueue(d)
	got := make(chan job.Job, 1)
	q2.Handle("k", 1, func(_ context.Context, j job.Job) error { got <- j; return nil })
	if err := q2.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := <-got
	q2.Stop()
	if j.Attempt != 2 || j.Fence != 2 || string(j.Payload) != "7" {
		t.Errorf("got %+v", j)
	}
}

// An owner whose job was taken over can't complete it.
func TestFence(t *testing.T) {
	t.Parallel()
	d := open(t)
	q := newQueue(d)
	entered, leave, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	q.Handle("k", 2, func(ctx context.Context, j job.Job) error {
		if j.Fence > 1 {
			return nil
		}
		close(entered)
		<-leave
		err := d.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error { return q.Complete(tx, j) })
		result <- err
		return nil
	})
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer q.Stop()
	enqueue(t, d, q, job.Spec{Kind: "k", Key: "x"})
	<-entered
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE jobs SET fence = fence + 1, owner = 'other'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	close(leave)
	if err := <-result; !errors.Is(err, job.ErrFenced) {
		t.Errorf("completing a job of another: %v", err)
	}
	if left(t, d) != 1 {
		t.Error("the other's job is gone")
	}
}

// A failing or panicking job comes back with a later time; the queue goes on.
func TestFailureIsRetried(t *testing.T) {
	t.Parallel()
	d := open(t)
	q := newQueue(d)
	ran := make(chan string, 2)
	q.Handle("k", 1, func(_ context.Context, j job.Job) error {
		ran <- j.Key
		if j.Key == "bad" {
			panic("ouch")
		}
		return nil
	})
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, d, q, job.Spec{Kind: "k", Key: "bad"})
	<-ran
	enqueue(t, d, q, job.Spec{Kind: "k", Key: "good"})
	<-ran
	q.Stop()
	var row struct {
		Key string `db:"key"`
		Err string `db:"last_error"`
	}
	if err := d.View(t.Context(), func(tx *db.Tx) error {
		return tx.Get(&row, "SELECT key, last_error FROM jobs WHERE run_at > created_at")
	}); err != nil {
		t.Fatal(err)
	}
	if row.Key != "bad" || row.Err != "panic: ouch" {
		t.Errorf("got %+v", row)
	}
}
