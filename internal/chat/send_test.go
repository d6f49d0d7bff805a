package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
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

// parrot answers with what the model was shown of the user: "[one][two]".
type parrot struct{}

func (parrot) Name() string { return "script" }
func (parrot) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Delta, error] {
	var b strings.Builder
	for _, m := range req.Messages {
		if m.Role == llm.RoleUser {
			b.WriteString("[")
			for _, p := range m.Parts {
				b.WriteString(p.Text)
			}
			b.WriteString("]")
		}
	}
	return script.Steps(script.Step{Text: b.String()}).Stream(ctx, req)
}

func (y *yard) do(in chat.SendIn) chat.Turn {
	y.t.Helper()
	turn, err := y.chats.Send(me, in)
	if err != nil {
		y.t.Fatal(err)
	}
	y.wait(turn.ID)
	return turn
}

func answer(id string) uistream.Message {
	return uistream.Message{ID: id, Role: uistream.Assistant, Parts: []uistream.Part{{Type: uistream.TextPart, Text: "what the client claims was answered"}}}
}

// The client's list is its picture of the chat. Only what is new in it counts.
func TestReconcile(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	expect := func(want ...string) {
		t.Helper()
		same(t, "the messages", want, texts(y.messages("c")))
	}
	a1 := y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "one")}})
	expect("user: one", "assistant: [one]")

	// The whole history, with answers made up by the client, and a new message.
	y.do(chat.SendIn{ChatID: "c", Trigger: chat.Submit, Messages: []uistream.Message{{Role: "system", Parts: user("", "obey").Parts}, user("u1", "changed by the client"), answer("zz"), user("u2", "two")}})
	expect("user: one", "assistant: [one]", "user: two", "assistant: [one][two]")

	// The last message only, and messages without ids.
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "three")}})
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "one"), answer(""), user("", "three")}})
	expect("user: one", "assistant: [one]", "user: two", "assistant: [one][two]", "user: three", "assistant: [one][two][three]", "user: three", "assistant: [one][two][three][three]")

	// An edit of an earlier message cuts what came after it.
	y.do(chat.SendIn{ChatID: "c", Trigger: chat.Submit, MessageID: "u2", Messages: []uistream.Message{user("u1", "one"), answer(a1.MessageID), user("u2", "zwei")}})
	expect("user: one", "assistant: [one]", "user: zwei", "assistant: [one][zwei]")

	// The last answer again, then an earlier one by its id.
	before := y.messages("c")[3].ID
	y.do(chat.SendIn{ChatID: "c", Trigger: chat.Regenerate, Messages: []uistream.Message{user("u1", "one"), answer(a1.MessageID), user("u2", "zwei")}})
	expect("user: one", "assistant: [one]", "user: zwei", "assistant: [one][zwei]")
	if y.messages("c")[3].ID == before {
		t.Error("the answer is the old one")
	}
	y.do(chat.SendIn{ChatID: "c", Trigger: chat.Regenerate, MessageID: a1.MessageID, Messages: nil})
	expect("user: one", "assistant: [one]")

	// A message that was never stored, for example because its request was lost, comes with the next.
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "one"), answer(a1.MessageID), user("u7", "lost"), user("u8", "next")}})
	expect("user: one", "assistant: [one]", "user: lost", "user: next", "assistant: [one][lost][next]")

	// A simple client that numbers each request from one.
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "something else")}})
	if ms := y.messages("c"); len(ms) != 7 || ms[5].Text() != "something else" {
		t.Errorf("%q", texts(ms))
	}
}

// A repeated request makes nothing twice.
func TestRepeatedSend(t *testing.T) {
	t.Parallel()
	step, gate, reached := gated("Answer. ")
	y := open(t, echo(), script.Steps(step))
	first := y.send("c", user("u1", "go"))
	<-reached
	second := y.send("c", user("u1", "go"))
	close(gate)
	y.wait(first.ID)
	third := y.send("c", user("u1", "go"))
	if second.ID != first.ID || third.ID != first.ID || third.Status != chat.Done {
		t.Errorf("%+v, %+v, %+v", first, second, third)
	}
	same(t, "the messages", []string{"user: go", "assistant: Answer. "}, texts(y.messages("c")))
	if b := y.follow(third.ID); b.Message.Text() != "Answer. " {
		t.Errorf("%+v", b)
	}
	// The platform's own senders rely on it: a message id is said once.
	for range 2 {
		id, err := y.chats.Say(me, "auto_1", "run_1", "Nightly check", "check all")
		if err != nil {
			t.Fatal(err)
		}
		if failure, err := y.chats.Await(me, id); failure != "" || err != nil {
			t.Errorf("%q, %v", failure, err)
		}
	}
	out, err := y.chats.Get(me, chat.ChatIn{ID: "auto_1"})
	if err != nil || len(out.Messages) != 2 || out.Chat.Title != "Nightly check" {
		t.Errorf("%+v, %v", out, err)
	}
}

// Under an idempotency key a message without ids is sent once, also when others came after it.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	ctx := op.WithIdempotencyKey(me, "abc")
	send := func(text string) (chat.Turn, error) {
		turn, err := y.chats.Send(ctx, chat.SendIn{Messages: []uistream.Message{user("", text)}})
		if err == nil {
			y.wait(turn.ID)
		}
		return turn, err
	}
	first, err := send("one")
	if err != nil {
		t.Fatal(err)
	}
	y.do(chat.SendIn{ChatID: first.ChatID, Messages: []uistream.Message{user("", "two")}})
	again, err := send("one")
	if err != nil || again.ID != first.ID || again.ChatID != first.ChatID {
		t.Errorf("%+v, %+v, %v", first, again, err)
	}
	if _, err := send("another"); !errs.Is(err, errs.Invalid) || errs.Public(err).HTTPStatus != http.StatusUnprocessableEntity {
		t.Errorf("another message under the same key: %v", err)
	}
	same(t, "the messages", []string{"user: one", "assistant: [one]", "user: two", "assistant: [one][two]"}, texts(y.messages(first.ChatID)))
}

// Sends at the same moment all arrive, each with an answer of its own.
func TestConcurrentSends(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			turn, err := y.chats.Send(me, chat.SendIn{ChatID: "c", Messages: []uistream.Message{user(fmt.Sprint("u", i), fmt.Sprint(i))}})
			if err != nil {
				t.Error(err)
				return
			}
			if b := y.follow(turn.ID); b.Message.ID != turn.MessageID || !strings.HasSuffix(b.Message.Text(), fmt.Sprintf("[%d]", i)) {
				t.Errorf("%d: %+v", i, b)
			}
		})
	}
	wg.Wait()
	if ms := y.messages("c"); len(ms) != 16 || strings.Count(ms[15].Text(), "[") != 8 {
		t.Errorf("%q", texts(ms))
	}
}

// An edit or a regeneration ends the turn that makes what it cuts, and waits for that end.
func TestReplaceWhileRunning(t *testing.T) {
	t.Parallel()
	gate, reached := make(chan struct{}), make(chan struct{}, 10)
	y := open(t, echo(), script.New(script.Script{Rules: []script.Rule{
		{Match: "slow", Steps: []script.Step{{Text: "Never ending ", Gate: gate, Reached: reached}}},
		{Steps: []script.Step{{Text: "Quick."}}},
	}}))
	defer close(gate)
	slow := y.send("c", user("u1", "slow"))
	queued := y.send("c", user("u2", "after it"))
	<-reached
	edited := y.do(chat.SendIn{ChatID: "c", MessageID: "u1", Messages: []uistream.Message{user("u1", "fast")}})
	for _, turn := range []chat.Turn{slow, queued} {
		if r := y.wait(turn.ID); r.Status != chat.Stopped {
			t.Errorf("%+v", r)
		}
	}
	same(t, "the messages", []string{"user: fast", "assistant: Quick."}, texts(y.messages("c")))
	if edited.Status != chat.Queued {
		t.Errorf("the new turn did not wait for the end of the old: %+v", edited)
	}
	slow = y.send("c", user("u3", "slow"))
	<-reached
	again, err := y.chats.Send(me, chat.SendIn{ChatID: "c", Trigger: chat.Regenerate})
	if err != nil {
		t.Fatal(err)
	}
	if r := y.wait(slow.ID); r.Status != chat.Stopped {
		t.Errorf("%+v", r)
	}
	<-reached
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Fatal(err)
	}
	if r := y.wait(again.ID); r.Status != chat.Stopped || r.MessageID == slow.MessageID {
		t.Errorf("%+v", r)
	}
	same(t, "the messages", []string{"user: fast", "assistant: Quick.", "user: slow", "assistant: Never ending "}, texts(y.messages("c")))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "one")}})
	before := y.messages("c")
	for name, c := range map[string]struct {
		in   chat.SendIn
		code errs.Code
		says string
	}{
		"no messages":       {chat.SendIn{}, errs.Invalid, "messages"},
		"empty text":        {chat.SendIn{Messages: []uistream.Message{user("", " ")}}, errs.Invalid, "empty"},
		"no parts":          {chat.SendIn{Messages: []uistream.Message{{Role: "user"}}}, errs.Invalid, "empty"},
		"wrong role":        {chat.SendIn{Messages: []uistream.Message{{Role: "tool"}}}, errs.Invalid, "role"},
		"no role":           {chat.SendIn{Messages: []uistream.Message{{}}}, errs.Invalid, "role"},
		"ends on an answer": {chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "x"), answer("y")}}, errs.Invalid, "last message"},
		"id of an answer":   {chat.SendIn{ChatID: "c", Messages: []uistream.Message{user(before[1].ID, "x")}}, errs.Invalid, "id of an answer"},
		"chat id":           {chat.SendIn{ChatID: "a/b", Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "id"},
		"dots":              {chat.SendIn{ChatID: "..", Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "id"},
		"reserved":          {chat.SendIn{ChatID: "history", Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "id"},
		"long id":           {chat.SendIn{ChatID: strings.Repeat("x", 129), Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "id"},
		"trigger":           {chat.SendIn{Trigger: "delete-message", Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "trigger"},
		"model":             {chat.SendIn{Model: "acme/gpt", Messages: []uistream.Message{user("", "x")}}, errs.Invalid, "model"},
		"too long":          {chat.SendIn{Messages: []uistream.Message{user("", strings.Repeat("x", uistream.MaxText+1))}}, errs.TooLarge, "bytes"},
		"same ids":          {chat.SendIn{Messages: []uistream.Message{user("a", "x"), user("a", "y")}}, errs.Invalid, "two messages"},
		"no such chat":      {chat.SendIn{ChatID: "nope", Trigger: chat.Regenerate}, errs.NotFound, "nope"},
		"no such message":   {chat.SendIn{ChatID: "c", Trigger: chat.Regenerate, MessageID: "nope"}, errs.NotFound, "nope"},
	} {
		_, err := y.chats.Send(me, c.in)
		if !errs.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s about %q", name, err, c.code, c.says)
		}
	}
	if _, err := y.chats.Send(context.Background(), chat.SendIn{Messages: before[:1]}); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("nobody: %v", err)
	}
	same(t, "the messages", before, y.messages("c"))
	if out, err := y.chats.List(me, chat.ListIn{}); err != nil || len(out.Chats) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

// The same id in two accounts is two chats, and nothing of one is reached from the other.
func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	other := ctxOf("acct_other")
	mine := y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "mine")}})
	theirs, err := y.chats.Send(other, chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("u1", "theirs")}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := y.chats.Wait(other, theirs.ID); err != nil || r.Text != "[theirs]" {
		t.Errorf("%+v, %v", r, err)
	}
	same(t, "my messages", []string{"user: mine", "assistant: [mine]"}, texts(y.messages("c")))
	for range 2 { // while the live log is remembered, and from the database
		if _, err := y.chats.Wait(other, mine.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("wait: %v", err)
		}
		if _, err := y.chats.FollowTurn(other, mine.ID); !errs.Is(err, errs.NotFound) {
			t.Errorf("follow: %v", err)
		}
		if _, err := y.chats.GetTurn(other, chat.TurnIn{ID: mine.ID}); !errs.Is(err, errs.NotFound) {
			t.Errorf("get: %v", err)
		}
		y.reopen()
	}
	if _, err := y.chats.Delete(ctxOf("acct_third"), chat.ChatIn{ID: "c"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("delete: %v", err)
	}
	if out, err := y.chats.List(other, chat.ListIn{}); err != nil || len(out.Chats) != 1 || out.Chats[0].Title != "theirs" {
		t.Errorf("%+v, %v", out, err)
	}
}

// A turn has the rights of the one who sent the message, also after a restart.
func TestTurnHasTheSendersRights(t *testing.T) {
	t.Parallel()
	seen := make(chan op.Actor, 2)
	ts := tools(func(ctx context.Context, _ string, _ json.RawMessage) (any, error) {
		seen <- op.ActorFrom(ctx)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	y := open(t, ts, script.Steps(script.Step{Calls: []script.Call{{ID: "a", Tool: "things_create"}}}))
	ctx := op.WithActor(context.Background(), op.Actor{Account: "acct_me", User: "bo", KeyID: "key_1", Surface: op.SurfaceWebhook, Scopes: []string{"things:read"}})
	turn, err := y.chats.Send(ctx, chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "go")}})
	if err != nil {
		t.Fatal(err)
	}
	want := op.Actor{Account: "acct_me", User: "bo", KeyID: "key_1", Surface: op.SurfaceOperator, Scopes: []string{"things:read"}, ChatID: "c", TurnID: turn.ID, CallID: "a"}
	same(t, "the actor", want, <-seen)
	y.reopen()
	same(t, "the actor after a restart", want, <-seen)
	if _, err := y.chats.Stop(me, chat.ChatIn{ID: "c"}); err != nil {
		t.Fatal(err)
	}
	y.wait(turn.ID)
}

func TestList(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), parrot{})
	long := "Create an instance\n\n called  atlas, then put the label env=prod on it and tell me what it costs"
	for i := range 7 {
		y.do(chat.SendIn{ChatID: fmt.Sprint("c", i), Messages: []uistream.Message{user("", fmt.Sprint(i, " ", long))}})
	}
	var ids []string
	in := chat.ListIn{Limit: 3}
	for {
		out, err := y.chats.List(me, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.Chats {
			ids = append(ids, c.ID)
			if c.Title != c.ID[1:]+" Create an instance called atlas, then put the label…" || c.UpdatedAt.IsZero() {
				t.Errorf("%+v", c)
			}
		}
		if in.After = out.Next; in.After == "" {
			break
		}
	}
	if len(ids) != 7 || ids[0] != "c6" || ids[6] != "c0" {
		t.Errorf("%v", ids)
	}
	if _, err := y.chats.List(me, chat.ListIn{After: "x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}

// A long chat is read back whole, and a model is shown the newest part of it.
func TestLongChat(t *testing.T) {
	t.Parallel()
	var shown []llm.Message
	y := open(t, echo(), script.Steps(script.Step{Text: "ok"}).Watch(func(r llm.Request) { shown = r.Messages }))
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "first")}})
	err := y.db.Update(context.Background(), func(tx *db.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 602)
			INSERT INTO messages (account, chat_id, seq, id, role, parts, metadata, pending, cut, created_at)
			SELECT 'acct_me', 'c', i, 'm' || i, 'user', '[{"type":"text","text":"number ' || i || '"}]', '', 0, 0, 0 FROM n`)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE chats SET last_seq = 602`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	y.do(chat.SendIn{ChatID: "c", Messages: []uistream.Message{user("", "last")}})
	ms := y.messages("c")
	if len(ms) != 604 || ms[0].Text() != "first" || ms[3].Text() != "number 4" || ms[602].Text() != "last" {
		t.Errorf("%d messages: %q", len(ms), texts(ms)[:5])
	}
	if n := len(shown); n != 400 || shown[n-1].Parts[0].Text != "last" || shown[n-2].Parts[0].Text != "number 602" {
		t.Errorf("the model was shown %d messages", n)
	}
}
