package chat

import (
	"context"
	"iter"
	"strconv"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/uistream"
)

// Follow answers the encoded chunks of the turn that runs in a chat, or that waits first: from start on, then live, until
// the turn ends or ctx does. running is false when there is none or no such chat. A slice is valid until
// the next one is asked for.
//
// The last chunk of a turn that ended is finish, abort or error. A sequence that ends without any of them was left because
// ctx ended.
func (s *Service) Follow(ctx context.Context, chatID string) (chunks iter.Seq[[]byte], running bool) {
	a, err := caller(ctx)
	if err != nil {
		return nil, false
	}
	active, err := view(ctx, s.db, func(tx *db.Tx) ([]turnRow, error) { return activeTurns(tx, a.Account, chatID) })
	if err != nil {
		s.log.ErrorContext(ctx, "the turns of a chat can't be read", "chat", chatID, "error", err)
		return nil, false
	}
	if len(active) == 0 {
		return nil, false
	}
	if l := s.current(active[0]); l != nil {
		return l.follow(ctx), true
	}
	return nil, false
}

// current answers the live log of a turn that was active a moment ago, made when this process has not come to it yet; nil
// when it ended meanwhile.
func (s *Service) current(t turnRow) *live {
	if l := s.findLive(t.Account, t.ID); l != nil {
		return l
	}
	l := s.liveOf(t)
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		s.giveUp(l)
		return l
	}
	// It may have ended between the look into the database and here; then nobody would ever end this log.
	now, err := view(context.Background(), s.db, func(tx *db.Tx) (turnRow, error) { return getTurn(tx, t.Account, t.ID) })
	if err != nil || now.Status.Final() {
		s.retire(l, Result{Turn: now.turn()}, false)
		return nil
	}
	return l
}

// FollowTurn answers the encoded chunks of a turn as Follow does. Of a turn that has ended, all of them come at once.
func (s *Service) FollowTurn(ctx context.Context, turnID string) (iter.Seq[[]byte], error) {
	l, t, m, err := s.find(ctx, turnID)
	if err != nil {
		return nil, err
	}
	if l != nil {
		return l.follow(ctx), nil
	}
	return replay(t, m), nil
}

// Wait waits for the end of a turn. When the process stops before that, the error is Unavailable; the turn goes on later.
func (s *Service) Wait(ctx context.Context, turnID string) (Result, error) {
	l, t, m, err := s.find(ctx, turnID)
	if err != nil {
		return Result{}, err
	}
	if l == nil {
		return Result{Turn: t.turn(), Text: m.Text(), Error: t.Error}, nil
	}
	r, err := l.wait(ctx)
	if err == nil && !r.Status.Final() {
		err = errs.New(errs.Unavailable, "%s", restarting)
	}
	return r, err
}

// find answers the live log of a turn of the caller's account, or else the turn that has ended and its answer.
func (s *Service) find(ctx context.Context, turnID string) (*live, turnRow, uistream.Message, error) {
	a, err := caller(ctx)
	if err != nil {
		return nil, turnRow{}, uistream.Message{}, err
	}
	if l := s.findLive(a.Account, turnID); l != nil {
		return l, turnRow{}, uistream.Message{}, nil
	}
	var t turnRow
	var row messageRow
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		if t, err = getTurn(tx, a.Account, turnID); err != nil {
			return err
		}
		row, err = getMessage(tx, t.Account, t.ChatID, t.AnswerSeq)
		return err
	})
	if err != nil {
		return nil, t, uistream.Message{}, err
	}
	if !t.Status.Final() {
		if l := s.current(t); l != nil {
			return l, t, uistream.Message{}, nil
		}
		return s.find(ctx, turnID) // it has just ended
	}
	m, err := s.message(row)
	return nil, t, m, err
}

// replay answers the chunks of a turn that has ended.
func replay(t turnRow, m uistream.Message) iter.Seq[[]byte] {
	n := 0
	chunks := append([]uistream.Chunk{startChunk(t.turn())}, uistream.Replay(m.Parts, false, func() string { n++; return "t" + strconv.Itoa(n) })...)
	switch t.Status {
	case Failed:
		chunks = append(chunks, uistream.Chunk{Type: uistream.MessageMetadata, Metadata: m.Metadata}, uistream.Chunk{Type: uistream.Error, ErrorText: t.Error})
	case Stopped:
		chunks = append(chunks, uistream.Chunk{Type: uistream.MessageMetadata, Metadata: m.Metadata}, uistream.Chunk{Type: uistream.Abort, Reason: "stopped"})
	default:
		chunks = append(chunks, uistream.Chunk{Type: uistream.Finish, Reason: "stop"})
	}
	return func(yield func([]byte) bool) {
		var buf []byte
		for _, c := range chunks {
			buf = c.AppendJSON(buf[:0])
			if !yield(buf) {
				return
			}
		}
	}
}

// Say sends a text of the platform itself, such as an automation's prompt, and answers its turn. The same message id is
// said once.
func (s *Service) Say(ctx context.Context, chatID, messageID, title, text string) (turnID string, err error) {
	m := uistream.Message{ID: messageID, Role: uistream.User, Parts: []uistream.Part{{Type: uistream.TextPart, Text: text}}}
	t, err := s.Send(ctx, SendIn{ChatID: chatID, Messages: []uistream.Message{m}, Title: title})
	return t.ID, err
}

// Await waits for the end of a turn and answers why it failed, or "".
func (s *Service) Await(ctx context.Context, turnID string) (failure string, err error) {
	r, err := s.Wait(ctx, turnID)
	switch {
	case err != nil:
		return "", err
	case r.Status == Stopped:
		return "The turn was stopped.", nil
	}
	return r.Error, nil
}
