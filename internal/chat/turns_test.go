package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"yardmaster/internal/chat"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

// gated answers with a text that stops at a gate: reached tells that it is there, and a receive from gate lets it go on.
func gated(text string) (step script.Step, gate chan struct{}, reached chan struct{}) {
	gate, reached = make(chan struct{}), make(chan struct{}, 100)
	return script.Step{Text: text, Gate: gate, Reached: reached}, gate, reached
}

func texts(ms []uistream.Message) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.Role+": "+m.Text())
	}
	return out
}

// Turns of a chat run one after another, in the order of their messages, each seeing the answers before it.
func TestFollowUpsWait(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Answer. ")
	var running atomic.Int64
	var lengths []int
	y := open(t, echo(), script.Steps(step).Watch(func(r llm.Request) {
		if running.Add(1) > 1 {
			t.Error("two turns of a chat run at once")
		}
		lengths = append(lengths, len(r.Messages))
	}))
	var turns []chat.Turn
	for i := range 3 {
		turns = append(turns, y.send("c", user(fmt.Sprint("u", i), fmt.Sprint("question ", i))))
	}
	if turns[0].Status != chat.Running || turns[1].Status != chat.Queued {
		t.Errorf("%+v", turns)
	}
	var wg sync.WaitGroup
	built := make([]*uistream.Builder, 3)
	for i, turn := range turns {
		wg.Go(func() { built[i] = y.follow(turn.ID) })
	}
	for range turns {
		<-reached
		running.Add(-1)
		gate <- struct{}{}
	}
	wg.Wait()
	same(t, "the requests", []int{1, 3, 5}, lengths)
	ms := y.messages("c")
	same(t, "the messages", []string{"user: question 0", "assistant: Answer. ", "user: question 1", "assistant: Answer. ", "user: question 2", "assistant: Answer. "}, texts(ms))
	for i, b := range built {
		same(t, "a follower's message", ms[2*i+1], b.Message)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	step, gate, _ := gated("x ")
	y := open(t, echo(), script.Steps(step))
	defer close(gate)
	for range 11 {
		y.send("c", user("", "hi"))
	}
	if _, err := y.chats.Send(me, chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "hi")}}); !errs.Is(err, errs.Conflict) {
		t.Errorf("the twelfth: %v", err)
	}
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Error(err)
	}
}

// A late reader gets what was before it came, in the same ids; a reader that leaves changes nothing.
func TestFollowInTheMiddle(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("One two three. ")
	y := open(t, echo(), script.Steps(oneTool[0], step))
	turn := y.send("c", user("", "go"))
	<-reached
	if out, err := y.chats.Get(me, chat.ChatIn{ID: "c"}); err != nil || len(out.Messages) != 1 || out.Chat.TurnID != turn.ID {
		t.Errorf("while it runs: %+v, %v", out, err)
	}
	if out, err := y.chats.GetTurn(me, chat.TurnIn{ID: turn.ID}); err != nil || out.Turn.Status != "running" || len(out.Turn.Tools) != 1 {
		t.Errorf("while it runs: %+v, %v", out, err)
	}
	seq, running := y.chats.Follow(me, "c")
	if !running {
		t.Fatal("nothing to follow")
	}
	n := 0
	for range seq {
		if n++; n == 3 {
			break // this client goes away
		}
	}
	ctx, cancel := context.WithCancel(me)
	defer cancel()
	seq, _ = y.chats.Follow(ctx, "c")
	for raw := range seq {
		if strings.Contains(string(raw), "three") {
			cancel() // and this one while it waits
		}
	}
	ids := make([][]string, 2)
	var wg sync.WaitGroup
	built := make([]*uistream.Builder, 2)
	for i := range built {
		seq, running := y.chats.Follow(me, "c")
		if !running {
			t.Fatal("nothing to follow")
		}
		wg.Go(func() {
			built[i] = fold(t, func(yield func([]byte) bool) {
				for raw := range seq {
					c, err := uistream.ParseChunk(raw)
					if err != nil {
						t.Error(err)
					}
					ids[i] = append(ids[i], string(c.Type)+" "+c.ID+c.MessageID+c.CallID)
					if !yield(raw) {
						return
					}
				}
			})
		})
	}
	close(gate)
	wg.Wait()
	ms := y.messages("c")
	for _, b := range built {
		same(t, "a late reader's message", ms[1], b.Message)
	}
	if ids[0][0] != "start "+turn.MessageID || ids[0][len(ids[0])-1] != "finish " {
		t.Errorf("%q", ids[0])
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Partial text ")
	defer close(gate)
	y := open(t, echo(), script.Steps(step))
	first, second := y.send("c", user("", "one")), y.send("c", user("", "two"))
	<-reached
	var wg sync.WaitGroup
	built := make([]*uistream.Builder, 2)
	for i, turn := range []chat.Turn{first, second} {
		seq, err := y.chats.FollowTurn(me, turn.ID)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { built[i] = fold(t, seq) })
	}
	for range 2 { // also when nothing runs any more
		if out, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil || !out.OK {
			t.Errorf("%+v, %v", out, err)
		}
	}
	wg.Wait()
	for i, turn := range []chat.Turn{first, second} {
		if r := y.wait(turn.ID); r.Status != chat.Stopped || !built[i].Aborted || built[i].Finished {
			t.Errorf("%+v, %+v", r, built[i])
		}
	}
	ms := y.messages("c")
	same(t, "the messages", []string{"user: one", "assistant: Partial text ", "user: two"}, texts(ms))
	same(t, "the partial message", ms[1], built[0].Message)
	if ms[1].Parts[1].State != uistream.Done || !strings.Contains(string(ms[1].Metadata), `"status":"stopped"`) {
		t.Errorf("%s", ms[1].AppendJSON(nil))
	}
	if out, err := y.chats.Stop(me, chat.ChatIn{ID: "unknown"}); err != nil || !out.OK {
		t.Errorf("an unknown chat: %v", err)
	}
}

// A stop during a call leaves no call without an end.
func TestStopDuringCall(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	ts := tools(func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		op.Progress(ctx, map[string]int{"percent": 10})
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	y := open(t, ts, script.Steps(script.Step{Text: "Working.", Calls: []script.Call{{ID: "c1", Tool: "things_create"}}}))
	turn := y.send("c", user("", "go"))
	<-entered
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Fatal(err)
	}
	b := y.follow(turn.ID)
	ms := y.messages("c")
	same(t, "the message", ms[1], b.Message)
	p := ms[1].Parts[2]
	if p.State != uistream.Failure || !strings.Contains(p.ErrorText, "unknown") || p.Output != nil || !b.Aborted {
		t.Errorf("%+v", p)
	}
	out, err := y.chats.GetTurn(me, chat.TurnIn{ID: turn.ID})
	if err != nil || out.Turn.Tools[0].Status != "failed" || !strings.Contains(string(out.Turn.Tools[0].Output), `"unknown":true`) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestProviderFails(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), script.New(script.Script{Rules: []script.Rule{
		{Match: "again", Steps: []script.Step{{Text: "Now it works."}}},
		{Steps: []script.Step{oneTool[0], {Text: "Half a ", Error: "The model is overloaded. Ask again."}}},
	}}))
	turn := y.send("c", user("u1", "go"))
	b := y.follow(turn.ID)
	r := y.wait(turn.ID)
	if r.Status != chat.Failed || r.Error != "The model is overloaded. Ask again." || b.Failed != r.Error || b.Finished {
		t.Errorf("%+v, %+v", r, b)
	}
	ms := y.messages("c")
	same(t, "the message", ms[1], b.Message)
	if !strings.Contains(string(ms[1].Metadata), "overloaded") || ms[1].Text() != "Let me look. \n\nHalf a " {
		t.Errorf("%s", ms[1].AppendJSON(nil))
	}
	y.wait(y.send("c", user("u1", "go"), user("u2", "try again")).ID)
	same(t, "after the next message", []string{"user: go", "assistant: Let me look. \n\nHalf a ", "user: try again", "assistant: Now it works."}, texts(y.messages("c")))
	y.reopen()
	if b := y.follow(turn.ID); b.Failed != r.Error {
		t.Errorf("the replay of a failed turn: %+v", b)
	}
}

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

func TestDelete(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Words. ")
	defer close(gate)
	y := open(t, echo(), script.Steps(step))
	turns := []chat.Turn{y.send("c", user("", "one")), y.send("c", user("", "two"))}
	<-reached
	var wg sync.WaitGroup
	for _, turn := range turns {
		seq, err := y.chats.FollowTurn(me, turn.ID)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { fold(t, seq) })
	}
	if out, err := y.chats.Delete(me, chat.ChatIn{ID: "c"}); err != nil || !out.OK {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := y.chats.Get(me, chat.ChatIn{ID: "c"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := y.chats.Delete(me, chat.ChatIn{ID: "c"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("twice: %v", err)
	}
	for table := range map[string]bool{"chats": true, "messages": true, "turns": true, "events": true} {
		var n int
		if err := y.db.View(context.Background(), func(tx *db.Tx) error { return tx.Get(&n, "SELECT count(*) FROM "+table) }); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
	next := y.send("c", user("", "a new chat with the old id"))
	<-reached
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Error(err)
	}
	if r := y.wait(next.ID); r.Status != chat.Stopped {
		t.Errorf("%+v", r)
	}
}

// A reader who takes nothing holds neither the turn nor other readers back.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), script.Steps(script.Step{Text: "word ", Repeat: 20_000}))
	turn := y.send("c", user("", "go"))
	seq, err := y.chats.FollowTurn(me, turn.ID)
	if err != nil {
		t.Fatal(err)
	}
	var b uistream.Builder
	chunks, longest := 0, 0
	for raw := range seq {
		if chunks == 0 {
			y.wait(turn.ID) // it has all of the turn to catch up on
		}
		if err := b.ApplyJSON(raw); err != nil {
			t.Error(err)
		}
		chunks++
		longest = max(longest, len(raw))
	}
	same(t, "the message", y.messages("c")[1], b.Message)
	if chunks > 20 || longest > 20_000 {
		t.Errorf("%d chunks, the longest of %d bytes", chunks, longest)
	}
}
