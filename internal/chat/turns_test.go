package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
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
