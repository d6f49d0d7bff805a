package automation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTalker is an Operator that only remembers what it was told.
type fakeTalker struct {
	mu    sync.Mutex
	said  map[string]string // message id → text
	as    []string          // scopes of who spoke last
	fail  string
	ended chan string
	hold  chan struct{}
}

func (f *fakeTalker) Say(ctx context.Context, _, messageID, _, text string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said[messageID] = text
	f.as = op.ActorFrom(ctx).Scopes
	return "turn_" + messageID, nil
}

func (f *fakeTalker) Await(ctx context.Context, turn string) (string, error) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	defer func() { f.ended <- turn }()
	return f.fail, nil
}

type world struct {
	*Service
	d    *db.DB
	q    *job.Queue
	talk *fakeTalker
	ctx  context.Context
	time atomic.Pointer[time.Time]
}

func open(t *testing.T, path string) *world {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	q := job.New(d, log, true)
	talk := &fakeTalker{said: map[string]string{}, ended: make(chan string, 100)}
	w := &world{Service: New(d, event.New(d), q, talk, log), d: d, q: q, talk: talk, ctx: op.WithActor(t.Context(), op.System("acct"))}
	start := time.Now()
	w.time.Store(&start)
	w.now = func() time.Time { return *w.time.Load() }
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Stop(); _ = d.Close() })
	return w
}

func (w *world) at(t *testing.T, at string) {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	w.time.Store(&parsed)
	if _, err := w.takeDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) runs(t *testing.T, name string) []string {
	t.Helper()
	out, err := w.Runs(w.ctx, RunsIn{ID: name})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, r := range out.Runs {
		got = append(got, fmt.Sprintf("%s %s %s", r.Slot.Format("02T15:04"), r.Cause, r.Status))
	}
	return got
}

func TestSlots(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "y.db")
	w := open(t, path)
	w.at(t, "2026-11-23T08:00:00Z")
	for _, in := range []CreateIn{
		{Name: "one", Prompt: "score", CronExpression: "0 9 * * *"},
		{Name: "none", Prompt: "score", CronExpression: "0 9 * * *", CatchUp: "none"},
	} {
		if _, err := w.Create(w.ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	w.at(t, "2026-11-23T08:59:59Z")
	if got := w.runs(t, "one"); len(got) != 0 {
		t.Errorf("ran too early: %v", got)
	}
	w.at(t, "2026-11-23T09:00:00Z")
	<-w.talk.ended
	<-w.talk.ended
	w.at(t, "2026-11-23T09:00:01Z")
	w.q.Stop()

	// The server is away for three days: one run stands for all that was missed.
	if err := w.d.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, path)
	w.at(t, "2026-11-26T10:00:00Z")
	<-w.talk.ended
	w.q.Stop()
	if diff := cmp.Diff([]string{"26T09:00 catch-up done", "23T09:00 schedule done"}, w.runs(t, "one")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"26T09:00 catch-up skipped", "23T09:00 schedule done"}, w.runs(t, "none")); diff != "" {
		t.Error(diff)
	}
	a, err := w.Get(w.ctx, GetIn{ID: "one"})
	if err != nil || a.Automation.NextRunAt.Format(time.RFC3339) != "2026-11-27T09:00:00Z" {
		t.Errorf("next at %v, %v", a.Automation.NextRunAt, err)
	}
}

// The clock of a second scheduler, or one set back, takes no slot twice.
func TestSlotOnce(t *testing.T) {
	t.Parallel()
	w := open(t, filepath.Join(t.TempDir(), "y.db"))
	w.at(t, "2026-11-23T08:00:00Z")
	out, err := w.Create(w.ctx, CreateIn{Name: "a", Prompt: "p", CronExpression: "* * * * *", Overlap: "queue"})
	if err != nil {
		t.Fatal(err)
	}
	w.at(t, "2026-11-23T08:01:00Z")
	<-w.talk.ended
	back := db.Millis(time.Date(2026, 11, 23, 8, 1, 0, 0, time.UTC))
	err = w.d.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE automations SET next_run_at = ? WHERE id = ?`, back, out.Automation.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.at(t, "2026-11-23T08:01:00Z")
	w.q.Stop()
	if len(w.talk.said) != 1 {
		t.Errorf("said %d times", len(w.talk.said))
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	w := open(t, filepath.Join(t.TempDir(), "y.db"))
	w.talk.hold = make(chan struct{})
	w.at(t, "2026-11-23T08:00:00Z")
	for _, overlap := range []string{"skip", "queue"} {
		if _, err := w.Create(w.ctx, CreateIn{Name: overlap, Prompt: "p", CronExpression: "* * * * *", Overlap: overlap}); err != nil {
			t.Fatal(err)
		}
	}
	w.at(t, "2026-11-23T08:01:00Z")
	w.at(t, "2026-11-23T08:02:00Z")
	close(w.talk.hold)
	for range 3 {
		<-w.talk.ended
	}
	w.q.Stop()
	if diff := cmp.Diff([]string{"23T08:02 schedule skipped", "23T08:01 schedule done"}, w.runs(t, "skip")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"23T08:02 schedule done", "23T08:01 schedule done"}, w.runs(t, "queue")); diff != "" {
		t.Error(diff)
	}
}

func TestFiveFailuresPause(t *testing.T) {
	t.Parallel()
	w := open(t, filepath.Join(t.TempDir(), "y.db"))
	w.talk.fail = "the model is down"
	w.at(t, "2026-11-23T08:00:00Z")
	if _, err := w.Create(w.ctx, CreateIn{Name: "a", Prompt: "p", CronExpression: "* * * * *", Overlap: "queue"}); err != nil {
		t.Fatal(err)
	}
	for i := range failuresToPause {
		w.at(t, fmt.Sprintf("2026-11-23T08:0%d:00Z", i+1))
		<-w.talk.ended
	}
	w.q.Stop()
	out, err := w.Get(w.ctx, GetIn{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if a := out.Automation; a.Enabled || a.NextRunAt != nil || a.PausedReason != "It failed 5 times in a row, last: the model is down" {
		t.Errorf("got %+v", a)
	}
	yes := true
	again, err := w.Update(w.ctx, UpdateIn{ID: "a", Enabled: &yes})
	if err != nil || again.Automation.PausedReason != "" || again.Automation.NextRunAt == nil {
		t.Errorf("resumed: %+v, %v", again.Automation, err)
	}
}

func TestManage(t *testing.T) {
	t.Parallel()
	w := open(t, filepath.Join(t.TempDir(), "y.db"))
	out, err := w.Create(w.ctx, CreateIn{Name: "a", Prompt: "p", CronExpression: "0 8 * * *", Timezone: "Europe/Paris"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Create(w.ctx, CreateIn{Name: "a", Prompt: "p", CronExpression: "0 8 * * *"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("the same name twice: %v", err)
	}
	for _, name := range []string{"", "a/b", " a", out.Automation.ID} {
		if _, err := w.Create(w.ctx, CreateIn{Name: name, Prompt: "p", CronExpression: "0 8 * * *"}); !errs.Is(err, errs.Invalid) {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	zone := "Mars/Olympus"
	if _, err := w.Update(w.ctx, UpdateIn{ID: "a", Timezone: &zone}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a wrong zone: %v", err)
	}
	other := op.WithActor(t.Context(), op.System("other"))
	if _, err := w.Get(other, GetIn{ID: out.Automation.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another account reads it: %v", err)
	}
	if _, err := w.Delete(other, GetIn{ID: out.Automation.ID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another account deletes it: %v", err)
	}
	if r, err := w.RunNow(w.ctx, GetIn{ID: "a"}); err != nil || r.Run.Cause != "manual" {
		t.Errorf("run now: %+v, %v", r, err)
	}
	<-w.talk.ended
	if _, err := w.Delete(w.ctx, GetIn{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Get(w.ctx, GetIn{ID: "a"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("after deletion: %v", err)
	}
}

// A run has the rights of whoever wrote the prompt, and no others.
func TestRunsWithTheAuthorsRights(t *testing.T) {
	t.Parallel()
	w := open(t, filepath.Join(t.TempDir(), "y.db"))
	author := op.WithActor(t.Context(), op.Actor{Account: "acct", Scopes: []string{"automations:write", "instances:read"}})
	if _, err := w.Create(author, CreateIn{Name: "a", Prompt: "p", CronExpression: "0 8 * * *"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RunNow(w.ctx, GetIn{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	<-w.talk.ended
	if diff := cmp.Diff([]string{"automations:write", "instances:read"}, w.talk.as); diff != "" {
		t.Error(diff)
	}
}
