package chat_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"yardmaster/internal/chat"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

// copyDB copies a database as it is at this moment, which is what a process leaves that is killed now.
func copyDB(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "y.db")
	for _, end := range []string{"", "-wal"} {
		raw, err := os.ReadFile(from + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+end, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// killed opens the database that a service leaves when its process is killed now, in a service of its own.
func (y *yard) killed(t *testing.T) *yard {
	t.Helper()
	other := &yard{t: t, path: copyDB(t, y.path), brain: y.brain, seal: y.seal}
	t.Cleanup(other.stop)
	return other
}

// What was under way when the process died is made again under the same key, what had ended is not, and the model is
// not asked again for what it had answered.
func TestKillDuringCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys := map[string]int{}
	asked := 0
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	ts := tools(func(ctx context.Context, tool string, _ json.RawMessage) (any, error) {
		mu.Lock()
		keys[op.IdempotencyKey(ctx)]++
		mu.Unlock()
		if tool == "things_create" {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return map[string]string{"did": tool}, nil
	})
	p := script.Steps(
		script.Step{Text: "First.", Calls: []script.Call{{ID: "a", Tool: "things_list"}}, Meta: json.RawMessage(`{"keep":[1]}`)},
		script.Step{Text: "Second.", Calls: []script.Call{{ID: "b", Tool: "things_create"}, {ID: "c", Tool: "things_create"}}},
		script.Step{Text: "Third."},
	).Watch(func(r llm.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if len(r.Messages) > 1 && string(r.Messages[1].Parts[0].Meta) != `{"keep":[1]}` {
			t.Errorf("the provider's data was not passed back: %+v", r.Messages[1])
		}
	})
	y := open(t, ts, p)
	turn := y.send("c", user("u1", "go"))
	<-entered
	<-entered
	z := y.killed(t)
	z.start()
	<-entered
	<-entered
	var b *uistream.Builder
	var wg sync.WaitGroup
	seq, running := z.chats.Follow(me, "c")
	if !running {
		t.Fatal("the turn is not taken up")
	}
	wg.Go(func() { b = fold(t, seq) })
	close(leave)
	wg.Wait()
	ms := z.messages("c")
	same(t, "the message", ms[1], b.Message)
	same(t, "the messages", []string{"user: go", "assistant: First.\n\nSecond.\n\nThird."}, texts(ms))
	if r := z.wait(turn.ID); r.Status != chat.Done {
		t.Errorf("%+v", r)
	}
	y.wait(turn.ID)
	mu.Lock()
	defer mu.Unlock()
	// Both processes answered the turn: the first model call is one, the second one, the third is asked by each of the two.
	same(t, "the keys", map[string]int{turn.ID + "/a": 1, turn.ID + "/b": 2, turn.ID + "/c": 2}, keys)
	if asked != 4 {
		t.Errorf("the model was asked %d times", asked)
	}
}

// A kill while the model speaks, and a turn that waited: both end after the restart, in order.
func TestKillDuringText(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Words. ")
	y := open(t, echo(), script.Steps(step))
	first, second := y.send("c", user("", "one")), y.send("c", user("", "two"))
	<-reached
	z := y.killed(t)
	z.start()
	<-reached
	close(gate)
	for _, turn := range []chat.Turn{first, second} {
		if r := z.wait(turn.ID); r.Status != chat.Done || r.Text != "Words. " {
			t.Errorf("%+v", r)
		}
	}
	same(t, "the messages", []string{"user: one", "assistant: Words. ", "user: two", "assistant: Words. "}, texts(z.messages("c")))
}

// A stop that was asked for survives the death of the process.
func TestKillAfterStop(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{}, 2)
	release := make(chan struct{})
	ts := tools(func(context.Context, string, json.RawMessage) (any, error) {
		entered <- struct{}{}
		<-release // it does not listen to the end of its context
		return "ok", nil
	})
	y := open(t, ts, script.Steps(script.Step{Calls: []script.Call{{ID: "a", Tool: "things_create"}}}, script.Step{Text: "Done."}))
	defer close(release)
	turn := y.send("c", user("", "go"))
	<-entered
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Fatal(err)
	}
	z := y.killed(t)
	z.start()
	if r := z.wait(turn.ID); r.Status != chat.Stopped {
		t.Errorf("%+v", r)
	}
	if len(entered) != 0 {
		t.Error("the call was made again")
	}
}

// A stop of the process is no end of the turn: readers are told, and it goes on after the start.
func TestRestart(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Words. ")
	y := open(t, echo(), script.Steps(step))
	turn := y.send("c", user("", "go"))
	<-reached
	seq, err := y.chats.FollowTurn(me, turn.ID)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var b *uistream.Builder
	var waitErr error
	wg.Go(func() { b = fold(t, seq) })
	wg.Go(func() { _, waitErr = y.chats.Wait(me, turn.ID) })
	y.stop()
	wg.Wait()
	if b.Failed == "" || !strings.Contains(b.Failed, "goes on") || !errs.Is(waitErr, errs.Unavailable) {
		t.Errorf("%+v, %v", b, waitErr)
	}
	y.start()
	close(gate)
	if r := y.wait(turn.ID); r.Status != chat.Done {
		t.Errorf("%+v", r)
	}
}

// A turn whose process dies again and again is given up with a sentence.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Words. ")
	defer close(gate)
	y := open(t, echo(), script.Steps(step))
	turn := y.send("c", user("", "go"))
	<-reached
	if err := y.db.Update(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE jobs SET attempt = 10")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	y.reopen()
	if r := y.wait(turn.ID); r.Status != chat.Failed || !strings.Contains(r.Error, "10 times") {
		t.Errorf("%+v", r)
	}
	if ms := y.messages("c"); len(ms) != 2 {
		t.Errorf("%+v", ms)
	}
}
