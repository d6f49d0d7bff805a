package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"yardmaster/internal/errs"
	"yardmaster/internal/uistream"
)

// Chats is the chat behind POST /api/chat. The caller is in the context, and sees chats of its own account only.
type Chats interface {
	// Send stores what is new in a request and has a turn run for it, whoever listens.
	Send(ctx context.Context, in ChatIn) (ChatTurn, error)
	// FollowTurn answers the encoded chunks of a turn, from its start chunk on, and ends with the turn or with ctx. The last
	// one of a turn that ended is finish, abort or error. A chunk is valid until the next one is asked for.
	FollowTurn(ctx context.Context, turnID string) (iter.Seq[[]byte], error)
	// Follow is FollowTurn for the running turn of a chat; false when none runs or there is no such chat.
	Follow(ctx context.Context, chatID string) (chunks iter.Seq[[]byte], running bool)
	// Wait answers how a turn ended, once it has. The error is the turn's failure, or that of the waiting.
	Wait(ctx context.Context, turnID string) (ChatResult, error)
}

// ChatIn is a chat request.
type ChatIn struct {
	ChatID    string // "" makes a new chat
	Messages  []uistream.Message
	Trigger   string // submit-message or regenerate-message
	MessageID string
	Model     string
}

// The triggers of a turn.
const (
	SubmitMessage     = "submit-message"
	RegenerateMessage = "regenerate-message"
)

// ChatTurn is a turn that will run.
type ChatTurn struct{ ID, ChatID, MessageID string }

// ChatResult is the end of a turn.
type ChatResult struct {
	Text    string
	Stopped bool // by somebody, before it was done
}

const (
	writeChats = "chats:write"
	readChats  = "chats:read"
)

var errRestart = errs.New(errs.Unavailable, "The server is shutting down. The work goes on when it is back; open the chat again to follow it.")

// chat takes a message for the Operator and answers with its turn, as a stream or as one JSON object.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	whole, refuse := false, s.refuse
	switch format := r.Header.Get("X-Response-Format"); {
	case strings.EqualFold(format, "json"):
		whole, refuse = true, s.fail
	case format != "" && !strings.EqualFold(format, "stream"):
		refuse(w, r, errs.BadField("x-response-format", `must be "json", or left out for a stream`))
		return
	}
	ctx, err := s.authorise(r, writeChats)
	if err != nil {
		refuse(w, r, err)
		return
	}
	in, err := readChat(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	if ctx, err = withIdempotencyKey(ctx, r); err != nil {
		refuse(w, r, err)
		return
	}
	if s.streams.Err() != nil {
		refuse(w, r, errRestart)
		return
	}
	turn, err := s.cfg.Chats.Send(ctx, in)
	if err != nil {
		refuse(w, r, err)
		return
	}
	// A client that left the id to the server learns it here; the start chunk carries it as well.
	w.Header().Set("X-Chat-Id", turn.ChatID)
	w.Header().Set("X-Turn-Id", turn.ID)
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	if whole {
		s.chatWhole(ctx, w, r, turn)
		return
	}
	chunks, err := s.cfg.Chats.FollowTurn(ctx, turn.ID)
	if err != nil {
		refuse(w, r, err)
		return
	}
	s.stream(ctx, w, r, chunks)
}

// chatAnswer is the answer of a turn as one object.
type chatAnswer struct {
	ChatID  string `json:"chatId"`
	TurnID  string `json:"turnId"`
	Text    string `json:"text"`
	Stopped bool   `json:"stopped,omitempty"`
}

func (s *Server) chatWhole(ctx context.Context, w http.ResponseWriter, r *http.Request, turn ChatTurn) {
	result, err := s.cfg.Chats.Wait(ctx, turn.ID)
	if err != nil {
		if errors.Is(context.Cause(ctx), errShutdown) {
			err = errRestart
		}
		s.fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, "application/json", chatAnswer{turn.ChatID, turn.ID, result.Text, result.Stopped})
}

// resume follows the running turn of a chat from its beginning. No running turn is 204, and so is an unknown chat: any
// other answer shows a freshly opened page as broken.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	ctx, err := s.authorise(r, readChats)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	chunks, running := s.cfg.Chats.Follow(ctx, r.PathValue("id"))
	if !running || ctx.Err() != nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("X-Chat-Id", headerText(r.PathValue("id")))
	s.stream(ctx, w, r, chunks)
}

// headerText is a text in a form that a header can carry.
func headerText(v string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, v)
}

var done = []byte("[DONE]")

// stream sends the chunks of a turn as they come.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, chunks iter.Seq[[]byte]) {
	w.Header().Set("X-Vercel-Ai-Ui-Message-Stream", "v1")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		return
	}
	e := s.openStream(w, r)
	defer s.closeStream(e)
	whole := false
	for chunk := range chunks {
		if e.data(chunk) != nil {
			return // the client went away; the turn goes on
		}
		whole = ends(chunk)
	}
	if r.Context().Err() != nil {
		return
	}
	if !whole {
		// To a client, a clean end would look like a whole answer.
		last := uistream.Chunk{Type: uistream.Error, ErrorText: errRestart.Detail}
		_ = e.data(last.AppendJSON(nil))
	}
	_ = e.data(done)
}

// ends tells whether a chunk is the last of a turn. Its type is its first field.
func ends(chunk []byte) bool {
	for _, last := range []uistream.Type{uistream.Finish, uistream.Abort, uistream.Error} {
		if rest, ok := bytes.CutPrefix(chunk, []byte(`{"type":"`+string(last)+`"`)); ok && len(rest) > 0 && (rest[0] == ',' || rest[0] == '}') {
			return true
		}
	}
	return false
}

// readChat reads a chat request. Fields that are not known are ignored, because chat front ends add their own.
func readChat(w http.ResponseWriter, r *http.Request) (ChatIn, error) {
	raw, err := readJSON(w, r, ChatBody)
	if err != nil {
		return ChatIn{}, err
	}
	if len(raw) == 0 || raw[0] != '{' {
		return ChatIn{}, errs.New(errs.Invalid, `Send a JSON object such as {"messages":[{"role":"user","parts":[{"type":"text","text":"List my instances"}]}]}.`)
	}
	var body struct {
		ID        json.RawMessage `json:"id"`
		Messages  json.RawMessage `json:"messages"`
		Message   json.RawMessage `json:"message"`
		Trigger   json.RawMessage `json:"trigger"`
		MessageID json.RawMessage `json:"messageId"`
		Model     json.RawMessage `json:"model"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return ChatIn{}, errs.Wrap(err, errs.Invalid, "The body can't be read: %v.", err)
	}
	in := ChatIn{Trigger: SubmitMessage}
	for _, f := range []struct {
		name string
		raw  json.RawMessage
		to   *string
	}{{"id", body.ID, &in.ChatID}, {"trigger", body.Trigger, &in.Trigger}, {"messageId", body.MessageID, &in.MessageID}, {"model", body.Model, &in.Model}} {
		if len(f.raw) > 0 && json.Unmarshal(f.raw, f.to) != nil {
			return in, errs.BadField(f.name, "must be a text")
		}
	}
	switch in.Trigger {
	case SubmitMessage, RegenerateMessage:
	case "":
		in.Trigger = SubmitMessage
	default:
		return in, errs.BadField("trigger", "must be %s or %s", SubmitMessage, RegenerateMessage)
	}
	in.Messages, err = readMessages(body.Messages, body.Message)
	return in, err
}

// readMessages reads the messages of a request: a list, or the one new message alone.
func readMessages(many, one json.RawMessage) ([]uistream.Message, error) {
	if isNull(many) && !isNull(one) {
		many = bytes.Join([][]byte{[]byte("["), one, []byte("]")}, nil)
	}
	if isNull(many) {
		return nil, errs.BadField("messages", `is missing; send at least one, such as {"role":"user","parts":[{"type":"text","text":"…"}]}`)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(many, &list); err != nil {
		return nil, errs.BadField("messages", "must be a list")
	}
	messages := make([]uistream.Message, len(list))
	for i, raw := range list {
		if raw[0] != '{' {
			return nil, errs.BadField(fmt.Sprintf("messages.%d", i), "must be an object with role and parts")
		}
		if err := json.Unmarshal(raw, &messages[i]); err != nil {
			return nil, messageError(i, err)
		}
	}
	return messages, uistream.Validate(messages)
}

func messageError(i int, err error) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) && te.Field != "" {
		return errs.BadField(fmt.Sprintf("messages.%d.%s", i, te.Field), "must be %s, not %s", plainType(te.Type.Kind().String()), te.Value)
	}
	return errs.Wrap(err, errs.Invalid, "messages.%d can't be read: %v.", i, err)
}

func plainType(kind string) string {
	switch kind {
	case "string":
		return "a text"
	case "slice":
		return "a list"
	case "struct", "map":
		return "an object"
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null"
}
