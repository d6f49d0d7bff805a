package chat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"yardmaster/internal/agent"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

// The triggers of a request.
const (
	Submit     = "submit-message"
	Regenerate = "regenerate-message"
)

// SendIn is a request for a turn, as chat clients make it.
type SendIn struct {
	// ChatID may be made by the client; "" makes a new chat.
	ChatID string
	// Messages is the client's picture of the chat, oldest first. It is not the truth: only what is new in it is used.
	Messages []uistream.Message
	// Trigger is Submit, Regenerate or "" for Submit.
	Trigger string
	// MessageID names the user message that is edited, or the answer that is made again.
	MessageID string
	// Model is PROVIDER/NAME; "" takes the default.
	Model string
	// Title names a new chat; "" takes it from the first message.
	Title string
}

var chatIDForm = regexp.MustCompile(`^[A-Za-z0-9_\-:.]{1,128}$`)

// CheckID checks the form of a client-made chat id.
func CheckID(id string) error {
	if !chatIDForm.MatchString(id) || strings.Trim(id, ".") == "" || id == "history" {
		return errs.BadField("id", "must be 1 to 128 letters, digits, hyphens, underscores, colons or dots")
	}
	return nil
}

// Send stores what is new of the client's messages and the turn that answers it. It answers once both are durable; the
// turn runs on its own. Only what is new counts:
//
//   - a user message that the chat does not have is added; while a turn runs, the new one waits behind it.
//   - with MessageID of a user message of the chat, that message is replaced, and everything after it cut.
//   - with Regenerate, the answer named by MessageID, or the last one, is made again, and everything after it cut.
//   - a message that is the chat's last already is not added again: a repeated request gets the turn that it made before.
//     Under an idempotency key that holds for good, also when the client makes no ids.
//
// A turn whose message is cut is stopped.
func (s *Service) Send(ctx context.Context, in SendIn) (Turn, error) {
	a, err := caller(ctx)
	if err != nil {
		return Turn{}, err
	}
	once := onceID(ctx)
	fresh := in.ChatID == ""
	switch {
	case fresh && once != "":
		in.ChatID, fresh = id.Chat+"_"+once, false
	case fresh:
		in.ChatID = id.New(id.Chat)
	}
	if err := CheckID(in.ChatID); err != nil {
		return Turn{}, err
	}
	if in.Model, err = s.brain.Model(in.Model); err != nil {
		return Turn{}, err
	}
	tail, err := newest(in)
	if err != nil {
		return Turn{}, err
	}
	if n := len(tail); n > 0 && once != "" && tail[n-1].ID == "" {
		once = oncePrefix + once
		tail[n-1].ID = once
	}
	who, err := json.Marshal(person{User: a.User, KeyID: a.KeyID, Origin: a.Surface, Scopes: a.Scopes})
	if err != nil {
		return Turn{}, err
	}
	q := sending{s: s, in: in, actor: a, person: string(who), tail: tail, fresh: fresh, now: millis()}
	if err := s.db.Update(ctx, q.store); err != nil {
		return Turn{}, err
	}
	for _, l := range q.halt {
		l()
	}
	return q.turn.turn(), nil
}

// oncePrefix begins the ids of messages that were sent under an idempotency key.
const oncePrefix = "once_"

// onceID is the part of ids that an idempotency key decides, or "" without one.
func onceID(ctx context.Context) string {
	key := op.IdempotencyKey(ctx)
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:13])
}

// newest answers the user messages at the end of the request, oldest first, checked. For a regeneration there need be none.
func newest(in SendIn) ([]uistream.Message, error) {
	switch in.Trigger {
	case "", Submit:
	case Regenerate:
		return nil, nil
	default:
		return nil, errs.BadField("trigger", "must be %s or %s", Submit, Regenerate)
	}
	if err := uistream.Validate(in.Messages); err != nil {
		return nil, err
	}
	n := len(in.Messages)
	if in.Messages[n-1].Role != uistream.User {
		return nil, errs.BadField("messages", "the last message must be the user's; nothing here waits for an answer of another kind")
	}
	var tail []uistream.Message
	for i := n - 1; i >= 0 && len(tail) < maxQueued; i-- {
		// Messages before the last are taken only when an id tells that they are new.
		if in.Messages[i].Role != uistream.User || (i < n-1 && in.Messages[i].ID == "") {
			break
		}
		m, err := uistream.CheckNew(in.Messages[i], fmt.Sprintf("messages.%d", i))
		if err != nil && i < n-1 {
			break // an old one that could not be sent then can't be now
		}
		if err != nil {
			return nil, err
		}
		tail = append([]uistream.Message{m}, tail...)
	}
	return tail, nil
}

// sending is one Send inside its transaction.
type sending struct {
	s      *Service
	in     SendIn
	actor  op.Actor
	person string
	tail   []uistream.Message
	fresh  bool
	now    int64

	active []turnRow
	turn   turnRow
	halt   []func() // what is stopped once the transaction is durable
}

func (q *sending) store(tx *db.Tx) error {
	exists := false
	if !q.fresh {
		var err error
		if _, exists, err = getChat(tx, q.actor.Account, q.in.ChatID); err != nil {
			return err
		}
	}
	if exists {
		var err error
		if q.active, err = activeTurns(tx, q.actor.Account, q.in.ChatID); err != nil {
			return err
		}
	}
	if q.in.Trigger == Regenerate {
		if !exists {
			return noChat(q.in.ChatID)
		}
		return q.regenerate(tx)
	}
	return q.submit(tx, exists)
}

func (q *sending) submit(tx *db.Tx, exists bool) error {
	if exists {
		last := &q.tail[len(q.tail)-1]
		known, ok, err := q.find(tx, last.ID)
		if err != nil {
			return err
		}
		switch {
		case ok && known.Role != uistream.User:
			return errs.BadField("messages", "the last message has the id of an answer; give it one of its own")
		case ok && q.in.MessageID == last.ID:
			if err := q.cut(tx, known.Seq); err != nil {
				return err
			}
			q.tail = q.tail[len(q.tail)-1:]
			return q.add(tx)
		case ok:
			same, err := q.repeats(tx, known, *last)
			if err != nil || same {
				return err
			}
			if strings.HasPrefix(known.ID, oncePrefix) {
				e := errs.New(errs.Invalid, "This idempotency key was used for another message. Take a new key.")
				e.HTTPStatus = http.StatusUnprocessableEntity
				return e
			}
			last.ID = "" // another message under a used id: simple clients number each request from one
			q.tail = q.tail[len(q.tail)-1:]
			return q.add(tx)
		}
		// Of those before it, only the ones behind the last known message are new.
		for i := len(q.tail) - 2; i >= 0; i-- {
			if _, ok, err := q.find(tx, q.tail[i].ID); err != nil {
				return err
			} else if ok {
				q.tail = q.tail[i+1:]
				break
			}
		}
	}
	if dup := duplicate(q.tail); dup != "" {
		return errs.BadField("messages", "two messages have the id %q", dup)
	}
	return q.add(tx)
}

func duplicate(ms []uistream.Message) string {
	seen := map[string]bool{}
	for _, m := range ms {
		if m.ID != "" && seen[m.ID] {
			return m.ID
		}
		seen[m.ID] = true
	}
	return ""
}

func (q *sending) find(tx *db.Tx, messageID string) (messageRow, bool, error) {
	if messageID == "" {
		return messageRow{}, false, nil
	}
	return findMessage(tx, q.actor.Account, q.in.ChatID, messageID)
}

// repeats tells whether a message is one that the chat has, sent again, and then takes the turn that answers it; when that
// failed or was stopped and nothing came after it, a new one.
func (q *sending) repeats(tx *db.Tx, known messageRow, m uistream.Message) (bool, error) {
	newest, ok, err := lastMessage(tx, q.actor.Account, q.in.ChatID, uistream.User, 1<<62)
	if err != nil || !ok {
		return false, err
	}
	last := newest.Seq == known.Seq
	if !last && !strings.HasPrefix(known.ID, oncePrefix) {
		return false, nil
	}
	parts, err := decodeParts(known.Parts)
	if err != nil {
		return false, err
	}
	if !sameText(uistream.Message{Parts: visible(parts)}.Text(), m.Text()) {
		return false, nil
	}
	t, ok, err := lastTurn(tx, q.actor.Account, q.in.ChatID, known.Seq)
	if err != nil {
		return false, err
	}
	if ok && (!last || (t.Status != Failed && t.Status != Stopped)) {
		q.turn = t
		return true, nil
	}
	if err := q.cut(tx, known.Seq+1); err != nil {
		return false, err
	}
	return true, q.start(tx, known.Seq, nil)
}

// sameText compares a stored text with one that is sent. What is masked in the stored one may be anything in the other.
func sameText(stored, sent string) bool {
	if stored == sent {
		return true
	}
	pieces := strings.Split(stored, agent.Mask)
	if len(pieces) == 1 || !strings.HasPrefix(sent, pieces[0]) {
		return false
	}
	for _, p := range pieces[1:] {
		i := strings.Index(sent, p)
		if i < 0 {
			return false
		}
		sent = sent[i+len(p):]
	}
	return sent == "" || pieces[len(pieces)-1] == ""
}

func (q *sending) regenerate(tx *db.Tx) error {
	account, chatID := q.actor.Account, q.in.ChatID
	before := int64(1) << 62
	if q.in.MessageID != "" {
		m, ok, err := findMessage(tx, account, chatID, q.in.MessageID)
		if err != nil {
			return err
		}
		if !ok {
			return errs.New(errs.NotFound, "There is no message %q in this chat to answer again.", q.in.MessageID)
		}
		if before = m.Seq; m.Role == uistream.User {
			before++
		}
	}
	user, ok, err := lastMessage(tx, account, chatID, uistream.User, before)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.Conflict, "There is no message in this chat that could be answered again.")
	}
	if err := q.cut(tx, user.Seq+1); err != nil {
		return err
	}
	return q.start(tx, user.Seq, nil)
}

// cut takes the messages from seq on out of the chat, and stops the turns that answer or make one of them.
func (q *sending) cut(tx *db.Tx, seq int64) error {
	if err := cutFrom(tx, q.actor.Account, q.in.ChatID, seq); err != nil {
		return err
	}
	var left []turnRow
	for _, t := range q.active {
		if t.AnswerSeq < seq {
			left = append(left, t)
			continue
		}
		if err := q.s.stopTurn(tx, t, q.now, &q.halt); err != nil {
			return err
		}
		if t.Status == Running {
			left = append(left, t) // until it has come to its end, the next one waits
		}
	}
	q.active = left
	return nil
}

// add stores the new messages and the turn that answers the last of them.
func (q *sending) add(tx *db.Tx) error { return q.start(tx, 0, q.tail) }

// start stores messages, the pending answer and its turn. With userSeq 0 the last of the messages is answered.
func (q *sending) start(tx *db.Tx, userSeq int64, messages []uistream.Message) error {
	if len(q.active) > maxQueued {
		return errs.New(errs.Conflict, "%d messages are waiting in this chat already. Wait for an answer, or stop the chat.", len(q.active)-1)
	}
	account, chatID := q.actor.Account, q.in.ChatID
	title := ""
	if len(messages) > 0 {
		title = titleOf(q.in.Title, messages[0])
	}
	last, err := growChat(tx, account, chatID, title, len(messages)+1, q.now)
	if err != nil {
		return err
	}
	seq := last - int64(len(messages))
	for _, m := range messages {
		row := messageRow{Account: account, ChatID: chatID, Seq: seq, ID: m.ID, Role: uistream.User, Metadata: string(m.Metadata), CreatedAt: q.now}
		if row.ID == "" {
			row.ID = id.New(id.Message)
		}
		parts := make([]part, len(m.Parts))
		for i, p := range m.Parts {
			parts[i].Part = p
		}
		raw, err := encodeParts(parts)
		if err != nil {
			return err
		}
		row.Parts = string(raw)
		if err := insertMessage(tx, row); err != nil {
			return err
		}
		userSeq = seq
		seq++
	}
	t := turnRow{ID: id.New(id.Turn), Account: account, ChatID: chatID, UserSeq: userSeq, AnswerSeq: last, MessageID: id.New(id.Message),
		Status: Queued, Model: q.in.Model, Actor: q.person, Usage: "{}", CreatedAt: q.now}
	if len(q.active) == 0 {
		t.Status, t.StartedAt = Running, q.now
	}
	answer := messageRow{Account: account, ChatID: chatID, Seq: last, ID: t.MessageID, Role: uistream.Assistant, Parts: "[]", Pending: 1, CreatedAt: q.now}
	if err := insertMessage(tx, answer); err != nil {
		return err
	}
	if err := insertTurn(tx, t); err != nil {
		return err
	}
	e := turnEvent{TurnID: t.ID, MessageID: t.MessageID, Status: t.Status}
	if _, err := q.s.events.Append(tx, account, Stream(chatID), eventQueued, e); err != nil {
		return err
	}
	q.turn = t
	tx.OnCommit(func() { q.s.liveOf(t).row = &t }) // before the job may run
	if t.Status == Running {
		return q.s.enqueue(tx, t)
	}
	return nil
}

// maxTitle bounds a title, in characters.
const maxTitle = 60

// titleOf makes the title of a chat: the given one, or the beginning of its first message.
func titleOf(given string, m uistream.Message) string {
	s := given
	if s == "" {
		s = m.Text()
	}
	s = credential.ReplaceAllString(s, agent.Mask)
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if s == "" {
		return "A file"
	}
	if utf8.RuneCountInString(s) <= maxTitle {
		return s
	}
	cut := string([]rune(s)[:maxTitle-1])
	if i := strings.LastIndexByte(cut, ' '); i > len(cut)/2 {
		cut = cut[:i]
	}
	return cut + "…"
}
