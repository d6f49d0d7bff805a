package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
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

// What a tool takes as a secret is found in no message, title, stream or table, though the tool gets it.
func TestSecretsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	const secret = `owk-7Hq2"mZx9`
	var mu sync.Mutex
	var got []string
	entered, leave := make(chan struct{}, 4), make(chan struct{})
	ts := tools(func(ctx context.Context, _ string, in json.RawMessage) (any, error) {
		mu.Lock()
		got = append(got, string(in))
		mu.Unlock()
		entered <- struct{}{}
		select {
		case <-leave:
			return map[string]string{"name": "K"}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	input, err := json.Marshal(map[string]string{"name": "K", "value": secret})
	if err != nil {
		t.Fatal(err)
	}
	var heard []llm.Message
	y := open(t, ts, script.Steps(
		script.Step{Calls: []script.Call{{ID: "a", Tool: "secrets_create", Input: input, Fragments: 5}}},
		script.Step{Text: "Stored K with the value " + secret + " as you said. owk-7", Piece: 3},
	).Watch(func(r llm.Request) { mu.Lock(); heard = r.Messages; mu.Unlock() }))
	turn := y.send("c", user("u1", "Save K="+secret))
	<-entered
	seq, err := y.chats.FollowTurn(me, turn.ID)
	if err != nil {
		t.Fatal(err)
	}
	z, lost := y.killed(t), y.killed(t)
	lost.seal = chat.NewMemorySealer()
	z.start()
	<-entered
	lost.start() // a process that can't open what was sealed does not make the call with the mask in it
	r := lost.wait(turn.ID)
	if p := lost.messages("c")[1].Parts[1]; r.Status != chat.Done || p.State != uistream.Failure || !strings.Contains(p.ErrorText, "unknown") {
		t.Errorf("%+v, %+v", r, p)
	}
	close(leave)
	var wire strings.Builder
	for raw := range seq {
		wire.Write(raw)
		wire.WriteByte('\n')
	}
	for _, who := range []*yard{y, z} {
		who.wait(turn.ID)
		ms, err := json.Marshal(who.messages("c"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := who.chats.List(me, chat.ListIn{})
		if err != nil {
			t.Fatal(err)
		}
		tr, err := who.chats.GetTurn(me, chat.TurnIn{ID: turn.ID})
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprint(wire.String(), string(ms), list, tr, dump(t, who.db))
		for _, piece := range []string{"mZx9", "7Hq2"} {
			if strings.Contains(shown, piece) {
				t.Errorf("the secret shows in %s", shown)
			}
		}
		if text := who.messages("c")[1].Text(); text != "Stored K with the value •••••••• as you said. owk-7" {
			t.Errorf("the answer is %q", text)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	same(t, "what the tool got", []string{string(input), string(input)}, got)
	if said := heard[0].Parts[0].Text; !strings.Contains(said, "K=") {
		t.Errorf("the model heard %q", said)
	}
}

// dump is all that the tables of chats hold.
func dump(t *testing.T, d *db.DB) string {
	t.Helper()
	var out []string
	err := d.View(context.Background(), func(tx *db.Tx) error {
		for _, q := range []string{
			"SELECT title FROM chats", "SELECT parts || metadata FROM messages", "SELECT sealed || error || actor FROM turns",
			"SELECT data FROM events", "SELECT payload || last_error FROM jobs",
		} {
			var rows []string
			if err := tx.Select(&rows, q); err != nil {
				return err
			}
			out = append(out, rows...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// Values of stored secrets and what looks like a key are not read back, whoever brought them into the chat. The model still
// has what the user wrote.
func TestReadingBackIsMasked(t *testing.T) {
	t.Parallel()
	ts := tools(func(ctx context.Context, _ string, in json.RawMessage) (any, error) {
		op.Progress(ctx, "TOPSECRET")
		if strings.Contains(string(in), "fail") {
			return nil, errs.New(errs.Conflict, "TOPSECRET is in use.")
		}
		return map[string]string{"env": "A=TOPSECRET"}, nil
	})
	var heard string
	y := open(t, ts, script.Steps(
		script.Step{Calls: []script.Call{{ID: "a", Tool: "things_list"}, {ID: "b", Tool: "things_list", Input: json.RawMessage(`{"fail":1}`)}}},
		script.Step{Text: "Done."},
	).Watch(func(r llm.Request) { heard += fmt.Sprintf("%+v", r.Messages) }))
	y.scrub = func(string) func(string) string {
		return func(text string) string { return strings.ReplaceAll(text, "TOPSECRET", "[secret A]") }
	}
	y.reopen()
	const key = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4"
	turn := y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", key+" is mine and TOPSECRET is old")}})
	b := y.follow(turn.ID)
	ms := y.messages("c")
	same(t, "the message", ms[1], b.Message)
	list, err := y.chats.List(me, chat.ListIn{})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := y.chats.GetTurn(me, chat.TurnIn{ID: turn.ID})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal([]any{ms, list, tr})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "TOPSECRET") || strings.Contains(string(raw), key) {
		t.Errorf("%s", raw)
	}
	if text := ms[0].Text(); text != "•••••••• is mine and [secret A] is old" {
		t.Errorf("%q", text)
	}
	if !strings.Contains(heard, key) || strings.Contains(heard, "A=TOPSECRET") || strings.Contains(heard, "TOPSECRET is in use") {
		t.Errorf("the model heard %s", heard)
	}
}
