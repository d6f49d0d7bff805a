package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/uistream"
)

// Info is a chat as it is listed.
type Info struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// TurnID is the turn that runs in the chat or waits first.
	TurnID string `json:"turnId,omitempty"`
}

func (s *Service) info(c chatRow) Info {
	return Info{ID: c.ID, Title: s.scrub(c.Account)(c.Title), CreatedAt: db.Time(c.CreatedAt), UpdatedAt: db.Time(c.UpdatedAt)}
}

// OK is the answer of what has nothing else to say.
type OK struct {
	OK bool `json:"ok"`
}

// ListIn is the input of List.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"How many chats to answer at most." min:"1" max:"200" default:"50"`
	After string `json:"after,omitempty" doc:"The next of the page before, to go on from there."`
}

// ListOut is a page of chats.
type ListOut struct {
	Chats []Info `json:"chats"`
	Next  string `json:"next,omitempty"`
}

// List answers the chats of the account, those used last first.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	a, err := caller(ctx)
	if err != nil {
		return ListOut{}, err
	}
	before, beforeID := int64(1)<<62, ""
	if in.After != "" {
		ms, rest, ok := strings.Cut(in.After, "~")
		n, err := strconv.ParseInt(ms, 10, 64)
		if !ok || err != nil {
			return ListOut{}, errs.BadField("after", "must be the next of the page before")
		}
		before, beforeID = n, rest
	}
	limit := in.Limit
	if limit <= 0 {
		limit = 50
	}
	rows, err := view(ctx, s.db, func(tx *db.Tx) ([]chatRow, error) { return listChats(tx, a.Account, before, beforeID, limit+1) })
	if err != nil {
		return ListOut{}, err
	}
	out := ListOut{Chats: []Info{}}
	for i, r := range rows {
		if i == limit {
			last := rows[i-1]
			out.Next = fmt.Sprintf("%d~%s", last.UpdatedAt, last.ID)
			break
		}
		out.Chats = append(out.Chats, s.info(r))
	}
	return out, nil
}

// ChatIn names a chat.
type ChatIn struct {
	ID string `json:"id" doc:"The chat's id." maxLen:"128" ref:"chat"`
}

// GetOut is a chat with its messages as clients hold them.
type GetOut struct {
	Chat     Info               `json:"chat"`
	Messages []uistream.Message `json:"messages"`
}

// maxListed and maxListedBytes bound the messages of one chat that are answered: the newest.
const (
	maxListed      = 5000
	maxListedBytes = 64 << 20
)

// Get answers a chat with its messages, as a client has built them. The answer of a turn that has not ended is left out:
// its reader gets it whole from Follow.
func (s *Service) Get(ctx context.Context, in ChatIn) (GetOut, error) {
	a, err := caller(ctx)
	if err != nil {
		return GetOut{}, err
	}
	var out GetOut
	var rows []messageRow
	err = s.db.View(ctx, func(tx *db.Tx) error {
		c, ok, err := getChat(tx, a.Account, in.ID)
		if err != nil {
			return err
		}
		if !ok {
			return noChat(in.ID)
		}
		out.Chat = s.info(c)
		active, err := activeTurns(tx, a.Account, in.ID)
		if err != nil {
			return err
		}
		if len(active) > 0 {
			out.Chat.TurnID = active[0].ID
		}
		rows, err = recentMessages(tx, a.Account, in.ID, 1<<62, maxListed, maxListedBytes)
		return err
	})
	if err != nil {
		return GetOut{}, err
	}
	out.Messages = make([]uistream.Message, len(rows))
	for i, r := range rows {
		if out.Messages[i], err = s.message(r); err != nil {
			return GetOut{}, err
		}
	}
	return out, nil
}

// Delete removes a chat with its messages and turns. What runs in it is ended.
func (s *Service) Delete(ctx context.Context, in ChatIn) (OK, error) {
	a, err := caller(ctx)
	if err != nil {
		return OK{}, err
	}
	var active []turnRow
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		_, ok, err := getChat(tx, a.Account, in.ID)
		if err != nil {
			return err
		}
		if !ok {
			return noChat(in.ID)
		}
		if active, err = activeTurns(tx, a.Account, in.ID); err != nil {
			return err
		}
		if err := s.events.Forget(tx, a.Account, Stream(in.ID)); err != nil {
			return err
		}
		return deleteChat(tx, a.Account, in.ID)
	})
	if err != nil {
		return OK{}, err
	}
	for _, t := range active {
		s.endQueued(t, errDeleted)
	}
	return OK{true}, nil
}

// endQueued ends the live log of a turn that waits, and the run of one that runs.
func (s *Service) endQueued(t turnRow, cause error) {
	l := s.findLive(t.Account, t.ID)
	switch {
	case l == nil:
	case t.Status == Running:
		l.halt(cause)
	default:
		done := t.turn()
		done.Status = Stopped
		s.retire(l, Result{Turn: done}, true, uistream.Chunk{Type: uistream.Abort, Reason: "stopped"})
	}
}

// stopTurn ends a turn in a transaction: at once when it waits; when it runs, its run is told so once the transaction is
// durable, by what is added to halt.
func (s *Service) stopTurn(tx *db.Tx, t turnRow, now int64, halt *[]func()) error {
	*halt = append(*halt, func() { s.endQueued(t, errStopped) })
	if t.Status == Running {
		return askStop(tx, t)
	}
	return endTurn(tx, t, Stopped, 0, "{}", "", now)
}

// Stop ends the turn that runs in a chat and those that wait behind it. What was said so far is kept. It is no error when
// nothing runs, or when there is no such chat.
func (s *Service) Stop(ctx context.Context, in ChatIn) (OK, error) {
	a, err := caller(ctx)
	if err != nil {
		return OK{}, err
	}
	var halt []func()
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		active, err := activeTurns(tx, a.Account, in.ID)
		if err != nil {
			return err
		}
		now := millis()
		for _, t := range active {
			if t.ID == a.TurnID {
				continue // a turn that stops its own chat means what is behind it
			}
			if err := s.stopTurn(tx, t, now, &halt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return OK{}, err
	}
	for _, h := range halt {
		h()
	}
	return OK{true}, nil
}

// TurnIn names a turn.
type TurnIn struct {
	ID string `json:"id" doc:"The turn's id." maxLen:"64"`
}

// TurnOut is a turn with what it did.
type TurnOut struct {
	Turn TurnInfo `json:"turn"`
}

// TurnInfo is a turn with what it did.
type TurnInfo struct {
	ID         string     `json:"id"`
	ChatID     string     `json:"chatId"`
	MessageID  string     `json:"messageId"`
	Status     string     `json:"status"`
	Model      string     `json:"model"`
	Steps      int        `json:"steps"`
	Tools      []ToolInfo `json:"tools"`
	Usage      llm.Usage  `json:"usage"`
	Error      string     `json:"error,omitempty"`
	CreatedAt  time.Time  `json:"createdAt"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
}

// ToolInfo is a call of a turn. Status is running, done or failed.
type ToolInfo struct {
	Name       string          `json:"name"`
	Input      json.RawMessage `json:"input"`
	Output     json.RawMessage `json:"output,omitempty"`
	Status     string          `json:"status"`
	DurationMS int64           `json:"durationMs"`
}

// GetTurn answers a turn with its calls.
func (s *Service) GetTurn(ctx context.Context, in TurnIn) (TurnOut, error) {
	a, err := caller(ctx)
	if err != nil {
		return TurnOut{}, err
	}
	var t turnRow
	var row messageRow
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		if t, err = getTurn(tx, a.Account, in.ID); err != nil {
			return err
		}
		row, err = getMessage(tx, a.Account, t.ChatID, t.AnswerSeq)
		return err
	})
	if err != nil {
		return TurnOut{}, err
	}
	parts, err := decodeParts(row.Parts)
	if err != nil {
		return TurnOut{}, err
	}
	parts = s.shown(a.Account, row.Role, parts)
	out := TurnInfo{ID: t.ID, ChatID: t.ChatID, MessageID: t.MessageID, Status: string(t.Status), Model: t.Model, Steps: int(t.Steps),
		Tools: []ToolInfo{}, Error: t.Error, CreatedAt: db.Time(t.CreatedAt), StartedAt: when(t.StartedAt), FinishedAt: when(t.FinishedAt)}
	if err := json.Unmarshal([]byte(t.Usage), &out.Usage); err != nil {
		return TurnOut{}, fmt.Errorf("usage of %s: %w", t.ID, err)
	}
	for _, p := range parts {
		switch p.Type {
		case uistream.StepPart:
			if !t.Status.Final() {
				out.Steps++
				out.Usage = out.Usage.Add(p.Usage)
			}
		case uistream.ToolPart:
			c := ToolInfo{Name: p.ToolName, Input: p.Input, Output: p.Output, Status: "running", DurationMS: p.Millis}
			switch {
			case p.State == uistream.Failure:
				c.Status, c.Output = "failed", p.extra.Result
			case p.State == uistream.Success && !p.Preliminary:
				c.Status = "done"
			}
			out.Tools = append(out.Tools, c)
		}
	}
	return TurnOut{out}, nil
}

func when(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := db.Time(ms)
	return &t
}
