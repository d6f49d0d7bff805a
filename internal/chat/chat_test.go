package chat_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/agent"
	"yardmaster/internal/chat"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scriptedBrain answers every turn with a script and the tools of a test.
type scriptedBrain struct {
	provider llm.Provider
	tools    *agent.Toolset
	steps    int
}

func (b scriptedBrain) Model(name string) (string, error) {
	switch name {
	case "", "script/play":
		return "script/play", nil
	}
	return "", errs.BadField("model", "there is no model %q", name)
}

func (b scriptedBrain) Setup(context.Context, op.Actor, string) (agent.Setup, error) {
	return agent.Setup{Provider: b.provider, Model: "play", Tools: b.tools, MaxSteps: b.steps, Budget: -1}, nil
}

// yard is a chat service on a real database, which can be stopped and opened again.
type yard struct {
	t       testing.TB
	path    string
	brain   scriptedBrain
	db      *db.DB
	jobs    *job.Queue
	chats   *chat.Service
	seal    chat.Sealer
	scrub   func(string) func(string) string
	stopped bool
}

func tools(do func(ctx context.Context, tool string, in json.RawMessage) (any, error)) *agent.Toolset {
	return agent.NewToolset([]llm.Tool{
		{Name: "things_list", Effect: "read"}, {Name: "things_create", Effect: "write"}, {Name: "secrets_create", Effect: "write"},
	}, map[string][]string{"secrets_create": {"value"}}, do)
}

// echo is a toolset whose tools answer their input.
func echo() *agent.Toolset {
	return tools(func(_ context.Context, tool string, in json.RawMessage) (any, error) {
		return map[string]any{"tool": tool, "got": in}, nil
	})
}

// template is a migrated, empty database; copying it is quicker than making it.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "chat-test-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "y.db")
	d, err := db.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func open(t testing.TB, ts *agent.Toolset, p llm.Provider) *yard {
	t.Helper()
	empty, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "y.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, path: path, brain: scriptedBrain{provider: p, tools: ts}, seal: chat.NewMemorySealer()}
	y.start()
	t.Cleanup(y.stop)
	return y
}

func (y *yard) start() {
	y.t.Helper()
	d, err := db.Open(context.Background(), "sqlite:"+y.path)
	if err != nil {
		y.t.Fatal(err)
	}
	y.db, y.stopped = d, false
	y.jobs = job.New(d, slog.New(slog.NewTextHandler(io.Discard, nil)), true)
	y.chats = chat.New(chat.Config{DB: d, Events: event.New(d), Jobs: y.jobs, Brain: y.brain, Seal: y.seal, Scrub: y.scrub})
	if err := y.jobs.Start(context.Background()); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) stop() {
	if y.stopped {
		return
	}
	y.stopped = true
	y.jobs.Stop()
	y.chats.Close()
	if err := y.db.Close(); err != nil {
		y.t.Error(err)
	}
}

// reopen stops the service and opens its database again.
func (y *yard) reopen() {
	y.stop()
	y.start()
}

func ctxOf(account string) context.Context {
	return op.WithActor(context.Background(), op.Actor{Account: account, User: "u", Surface: op.SurfaceREST, Scopes: []string{"*"}})
}

var me = ctxOf("acct_me")

func user(id, text string) uistream.Message {
	return uistream.Message{ID: id, Role: uistream.User, Parts: []uistream.Part{{Type: uistream.TextPart, Text: text}}}
}

func (y *yard) send(chatID string, ms ...uistream.Message) chat.Turn {
	y.t.Helper()
	t, err := y.chats.Send(me, chat.SendIn{ChatID: chatID, Messages: ms})
	if err != nil {
		y.t.Fatal(err)
	}
	return t
}

func (y *yard) wait(turnID string) chat.Result {
	y.t.Helper()
	r, err := y.chats.Wait(me, turnID)
	if err != nil {
		y.t.Fatal(err)
	}
	return r
}

func (y *yard) messages(chatID string) []uistream.Message {
	y.t.Helper()
	out, err := y.chats.Get(me, chat.ChatIn{ID: chatID})
	if err != nil {
		y.t.Fatal(err)
	}
	return out.Messages
}

// fold reads a stream to its end and answers what a client has built of it.
func fold(t testing.TB, seq iter.Seq[[]byte]) *uistream.Builder {
	t.Helper()
	var b uistream.Builder
	for raw := range seq {
		if err := b.ApplyJSON(raw); err != nil {
			t.Errorf("%v in %s", err, raw)
		}
	}
	return &b
}

func (y *yard) follow(turnID string) *uistream.Builder {
	y.t.Helper()
	seq, err := y.chats.FollowTurn(me, turnID)
	if err != nil {
		y.t.Fatal(err)
	}
	return fold(y.t, seq)
}

// asJSON compares what clients get, not how it is kept.
func asJSON(t testing.TB, v any) any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var oneTool = []script.Step{
	{Reasoning: "I look first.", Text: "Let me look. ", Calls: []script.Call{{ID: "c1", Tool: "things_list", Input: json.RawMessage(`{"n":12345678901234567890,"__proto__":1}`), Fragments: 3}}},
	{Text: "There is žluťoučký 🐎 one. ", Repeat: 5, Piece: 3, Usage: llm.Usage{Input: 3, Output: 4}},
}

func TestTurn(t *testing.T) {
	t.Parallel()
	y := open(t, echo(), script.Steps(oneTool...))
	turn := y.send("", user("", "What is there?"))
	var wg sync.WaitGroup
	built := make([]*uistream.Builder, 4)
	for i := range built {
		wg.Go(func() { built[i] = y.follow(turn.ID) })
	}
	wg.Wait()
	r := y.wait(turn.ID)
	if r.Status != chat.Done || r.Error != "" || !strings.HasPrefix(r.Text, "Let me look. \n\nThere is žluťoučký 🐎 one. ") {
		t.Errorf("result %+v", r)
	}
	ms := y.messages(turn.ChatID)
	if len(ms) != 2 || ms[0].Role != uistream.User || ms[0].ID == "" || ms[1].ID != turn.MessageID {
		t.Fatalf("messages %+v", ms)
	}
	for _, b := range built {
		same(t, "the message of a follower", ms[1], b.Message)
		if !b.Finished {
			t.Error("a follower saw no finish")
		}
	}
	y.reopen() // and from the database alone
	same(t, "the message replayed", ms[1], y.follow(turn.ID).Message)
	same(t, "the messages after reopening", ms, y.messages(turn.ChatID))

	kinds := []string{}
	for _, p := range ms[1].Parts {
		kinds = append(kinds, p.Type+" "+string(p.State))
	}
	same(t, "the parts", []string{"step-start ", "reasoning done", "text done", "dynamic-tool output-available", "step-start ", "text done"}, kinds)
	if in := string(ms[1].Parts[3].Input); in != `{"n":12345678901234567890,"[__proto__]":1}` {
		t.Errorf("input %s", in)
	}

	out, err := y.chats.GetTurn(me, chat.TurnIn{ID: turn.ID})
	if err != nil {
		t.Fatal(err)
	}
	if tr := out.Turn; tr.Steps != 2 || len(tr.Tools) != 1 || tr.Tools[0].Status != "done" || tr.Usage.Output != 4 || tr.Status != "done" || tr.FinishedAt == nil {
		t.Errorf("turn %+v", tr)
	}
	if _, running := y.chats.Follow(me, turn.ChatID); running {
		t.Error("a finished chat has something to follow")
	}
}
