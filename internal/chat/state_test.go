package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"yardmaster/internal/chat"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

func TestStates(t *testing.T) {
	t.Parallel()
	all := []chat.Status{chat.Queued, chat.Running, chat.Done, chat.Failed, chat.Stopped}
	allowed := []string{"queued running", "queued stopped", "running done", "running failed", "running stopped"}
	for _, from := range all {
		for _, to := range all {
			if got, want := from.May(to), slices.Contains(allowed, string(from)+" "+string(to)); got != want {
				t.Errorf("%s to %s: %v", from, to, got)
			}
		}
		if from.Final() != (from == chat.Done || from == chat.Failed || from == chat.Stopped) {
			t.Errorf("%s: final %v", from, from.Final())
		}
	}
}

func genSteps(t *rapid.T) []script.Step {
	text := func(label string) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune("aé🐎 \n\"\\<")), 0, 30, -1).Draw(t, label)
	}
	steps := make([]script.Step, rapid.IntRange(1, 4).Draw(t, "steps"))
	for i := range steps {
		s := script.Step{Reasoning: text("reasoning"), Text: text("text"), Piece: rapid.IntRange(0, 3).Draw(t, "piece")}
		last := i == len(steps)-1
		if !last {
			for c := range rapid.IntRange(1, 4).Draw(t, "calls") {
				s.Calls = append(s.Calls, script.Call{ID: rapid.SampledFrom([]string{"same", fmt.Sprint("c", i, "-", c)}).Draw(t, "id") + strconv.Itoa(c),
					Tool:      rapid.SampledFrom([]string{"things_list", "things_create", "nope"}).Draw(t, "tool"),
					Input:     json.RawMessage(rapid.SampledFrom([]string{`{"n":12345678901234567890}`, `{"__proto__":{"x":1}}`, `{"fail":true}`, `{"a":[1,{"b":"é"}]}`}).Draw(t, "input")),
					Fragments: rapid.IntRange(0, 5).Draw(t, "fragments")})
			}
		} else if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
			s.Error = "It broke."
		}
		steps[i] = s
	}
	return steps
}

// Whatever a model and its tools do, every reader builds the message that is stored, live and afterwards.
func TestStreamIsTheStoredMessage(t *testing.T) {
	t.Parallel()
	ts := tools(func(ctx context.Context, tool string, in json.RawMessage) (any, error) {
		op.Progress(ctx, map[string]any{"constructor": map[string]int{"prototype": 1}})
		if strings.Contains(string(in), "fail") {
			return nil, errs.New(errs.Conflict, "It can't be done with <%s>.", tool)
		}
		op.Progress(ctx, 2)
		return map[string]any{"in": in, "__proto__": []int{1}}, nil
	})
	rapid.Check(t, func(rt *rapid.T) {
		y := open(t, ts, script.Steps(genSteps(rt)...))
		defer y.stop()
		turn := y.send("c", user("u", "go"))
		built := make([]*uistream.Builder, 3)
		var wg sync.WaitGroup
		for i := range built {
			wg.Go(func() { built[i] = y.follow(turn.ID) })
		}
		wg.Wait()
		r := y.wait(turn.ID)
		y.reopen()
		built = append(built, y.follow(turn.ID))
		m := y.messages("c")[1]
		metadata := m.Metadata
		m.Metadata = nil // its fields may come in another order
		want := string(m.AppendJSON(nil))
		for i, b := range built {
			same(t, "the metadata", metadata, b.Message.Metadata)
			b.Message.Metadata = nil
			if got := string(b.Message.AppendJSON(nil)); got != want {
				rt.Fatalf("reader %d\nbuilt  %s\nstored %s", i, got, want)
			}
			if b.Failed != r.Error || b.Finished != (r.Status == chat.Done) {
				rt.Fatalf("reader %d saw %+v of %+v", i, b, r)
			}
		}
		for _, p := range m.Parts {
			if p.State == uistream.Streaming || p.State == uistream.InputPartial || p.State == uistream.InputWhole || p.Preliminary {
				rt.Fatalf("a part is left open: %s", want)
			}
		}
	})
}

// machine does random things to two chats while turns stop at a gate.
type machine struct {
	y     *yard
	gate  chan struct{}
	ids   int
	sent  map[string]chat.Turn // by turn
	known map[string][]string  // chat → ids of user messages sent
	gone  map[string]bool      // turns of deleted chats
}

func (m *machine) check(t *rapid.T) {
	var rows []struct {
		Chat   string      `db:"chat_id"`
		Status chat.Status `db:"status"`
		Seq    int64       `db:"answer_seq"`
		Jobs   int         `db:"jobs"`
	}
	err := m.y.db.View(context.Background(), func(tx *db.Tx) error {
		return tx.Select(&rows, `SELECT chat_id, status, answer_seq, (SELECT count(*) FROM jobs WHERE key = turns.id) AS jobs FROM turns ORDER BY chat_id, answer_seq`)
	})
	if err != nil {
		t.Fatal(err)
	}
	running, queued := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		switch r.Status {
		case chat.Running:
			if running[r.Chat] || queued[r.Chat] {
				t.Fatalf("a turn runs beside or after another: %+v", rows)
			}
			running[r.Chat] = true
		case chat.Queued:
			if !running[r.Chat] {
				t.Fatalf("a turn waits for nothing: %+v", rows)
			}
			queued[r.Chat] = true
		}
		if want := r.Status == chat.Running; (r.Jobs == 1) != want {
			t.Fatalf("a turn that is %s has %d jobs", r.Status, r.Jobs)
		}
	}
}

// Whatever happens in whatever order, one turn of a chat runs at most, none is lost, and all come to an end.
func TestMachine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{gate: make(chan struct{}, 1000), sent: map[string]chat.Turn{}, known: map[string][]string{}, gone: map[string]bool{}}
		m.y = open(t, echo(), script.Steps(script.Step{Calls: []script.Call{{ID: "a", Tool: "things_list"}}}, script.Step{Text: "x ", Gate: m.gate}))
		defer m.y.stop()
		chatID := func(t *rapid.T) string { return rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "chat") }
		took := func(turn chat.Turn, err error) {
			if err == nil {
				m.sent[turn.ID] = turn
			} else if !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.NotFound) {
				rt.Fatal(err)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"send": func(t *rapid.T) {
				c := chatID(t)
				m.ids++
				uid := fmt.Sprint("u", m.ids)
				m.known[c] = append(m.known[c], uid)
				took(m.y.chats.Send(me, chat.SendIn{ChatID: c, Messages: []uistream.Message{user(uid, "go")}}))
			},
			"edit": func(t *rapid.T) {
				c := chatID(t)
				if len(m.known[c]) == 0 {
					t.Skip("nothing to edit")
				}
				uid := rapid.SampledFrom(m.known[c]).Draw(t, "message")
				took(m.y.chats.Send(me, chat.SendIn{ChatID: c, MessageID: uid, Messages: []uistream.Message{user(uid, "edited")}}))
			},
			"again": func(t *rapid.T) {
				took(m.y.chats.Send(me, chat.SendIn{ChatID: chatID(t), Trigger: chat.Regenerate}))
			},
			"release": func(*rapid.T) { m.gate <- struct{}{} },
			"stop": func(t *rapid.T) {
				if _, err := m.y.chats.Stop(me, chat.ChatIn{ID: chatID(t)}); err != nil {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				c := chatID(t)
				_, err := m.y.chats.Delete(me, chat.ChatIn{ID: c})
				if err != nil && !errs.Is(err, errs.NotFound) {
					t.Fatal(err)
				}
				for id, turn := range m.sent {
					if turn.ChatID == c {
						m.gone[id] = true
					}
				}
				m.known[c] = nil
			},
			"restart": func(*rapid.T) { m.y.reopen() },
			"read": func(t *rapid.T) {
				_, err := m.y.chats.Get(me, chat.ChatIn{ID: chatID(t)})
				if err != nil && !errs.Is(err, errs.NotFound) {
					t.Fatal(err)
				}
			},
		})
		close(m.gate)
		for id := range m.sent {
			r, err := m.y.chats.Wait(me, id)
			if m.gone[id] {
				continue // it may be found for a moment, and then not any more
			}
			if err != nil || !r.Status.Final() || r.Status == chat.Failed {
				rt.Fatalf("%s: %+v, %v", id, r, err)
			}
		}
		for _, c := range []string{"c1", "c2"} {
			out, err := m.y.chats.Get(me, chat.ChatIn{ID: c})
			if errs.Is(err, errs.NotFound) {
				continue
			}
			if err != nil {
				rt.Fatal(err)
			}
			for i, msg := range out.Messages {
				if msg.Role == uistream.Assistant && (i == 0 || out.Messages[i-1].Role != uistream.User) {
					rt.Fatalf("an answer without a question: %q", texts(out.Messages))
				}
			}
		}
	})
}
