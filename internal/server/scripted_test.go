package server_test

import (
	"context"
	"iter"
	"sync"

	"yardmaster/internal/errs"
	"yardmaster/internal/server"
	"yardmaster/internal/uistream"
)

// scriptedChats is a chat in which what happens is decided by the text of the message:
//
//	"conflict"  Send is refused
//	"fail"      the turn fails
//	"stop"      the turn is stopped
//	"hang"      the turn goes on until release is called
//	"panic"     the stream panics in its midst
//
// and everything else is answered with an echo.
type scriptedChats struct {
	mu      sync.Mutex
	sent    []server.ChatIn
	texts   map[string]string // by turn
	left    chan struct{}     // gets a value when a follower of a hanging turn leaves
	gate    chan struct{}
	reached chan struct{} // gets a value when a hanging turn is waited for
}

func newScriptedChats() *scriptedChats {
	return &scriptedChats{texts: map[string]string{}, left: make(chan struct{}, 10), gate: make(chan struct{}), reached: make(chan struct{}, 10)}
}

func (c *scriptedChats) release() { close(c.gate) }

func (c *scriptedChats) last() server.ChatIn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[len(c.sent)-1]
}

func (c *scriptedChats) Send(_ context.Context, in server.ChatIn) (server.ChatTurn, error) {
	text := in.Messages[len(in.Messages)-1].Text()
	if text == "conflict" {
		return server.ChatTurn{}, errs.New(errs.Conflict, "Ten messages wait in this chat already. Wait, or stop it.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, in)
	if in.ChatID == "" {
		in.ChatID = "chat_made"
	}
	c.texts["turn_"+text] = text
	return server.ChatTurn{ID: "turn_" + text, ChatID: in.ChatID, MessageID: "msg_1"}, nil
}

func (c *scriptedChats) FollowTurn(ctx context.Context, turnID string) (iter.Seq[[]byte], error) {
	c.mu.Lock()
	text, ok := c.texts[turnID]
	c.mu.Unlock()
	if !ok {
		return nil, errs.New(errs.NotFound, "There is no turn %q.", turnID)
	}
	return func(yield func([]byte) bool) {
		send := func(chunks ...uistream.Chunk) bool {
			for _, chunk := range chunks {
				if !yield(chunk.AppendJSON(nil)) {
					return false
				}
			}
			return true
		}
		if !send(uistream.Chunk{Type: uistream.Start, MessageID: "msg_1"}, uistream.Chunk{Type: uistream.TextStart, ID: "t1"}, uistream.Chunk{Type: uistream.TextDelta, ID: "t1", Delta: text + "\n<ž>"}) {
			return
		}
		switch text {
		case "panic":
			panic("in the midst")
		case "fail":
			send(uistream.Chunk{Type: uistream.Error, ErrorText: "The model is not there."})
			return
		case "stop":
			send(uistream.Chunk{Type: uistream.TextEnd, ID: "t1"}, uistream.Chunk{Type: uistream.Abort, Reason: "stopped"})
			return
		case "hang":
			c.reached <- struct{}{}
			select {
			case <-ctx.Done():
				c.left <- struct{}{}
				return
			case <-c.gate:
			}
		}
		send(uistream.Chunk{Type: uistream.TextEnd, ID: "t1"}, uistream.Chunk{Type: uistream.Finish, Reason: "stop"})
	}, nil
}

func (c *scriptedChats) Follow(ctx context.Context, chatID string) (chunks iter.Seq[[]byte], running bool) {
	if chatID != "busy" {
		return nil, false
	}
	c.mu.Lock()
	c.texts["turn_busy"] = "busy"
	c.mu.Unlock()
	chunks, err := c.FollowTurn(ctx, "turn_busy")
	return chunks, err == nil
}

func (c *scriptedChats) Wait(ctx context.Context, turnID string) (server.ChatResult, error) {
	switch text := c.texts[turnID]; text {
	case "fail":
		return server.ChatResult{}, errs.New(errs.Unavailable, "The model is not there.")
	case "stop":
		return server.ChatResult{Text: "so far", Stopped: true}, nil
	case "hang":
		c.reached <- struct{}{}
		select {
		case <-ctx.Done():
			return server.ChatResult{}, ctx.Err()
		case <-c.gate:
			return server.ChatResult{Text: "late"}, nil
		}
	default:
		return server.ChatResult{Text: "<" + text + ">"}, nil
	}
}
