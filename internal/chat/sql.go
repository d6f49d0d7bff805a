package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

type chatRow struct {
	Account   string `db:"account"`
	ID        string `db:"id"`
	Title     string `db:"title"`
	LastSeq   int64  `db:"last_seq"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
}

type messageRow struct {
	Account   string `db:"account"`
	ChatID    string `db:"chat_id"`
	Seq       int64  `db:"seq"`
	ID        string `db:"id"`
	Role      string `db:"role"`
	Parts     string `db:"parts"`
	Metadata  string `db:"metadata"`
	Pending   int64  `db:"pending"`
	Cut       int64  `db:"cut"`
	CreatedAt int64  `db:"created_at"`
}

type turnRow struct {
	ID         string `db:"id"`
	Account    string `db:"account"`
	ChatID     string `db:"chat_id"`
	UserSeq    int64  `db:"user_seq"`
	AnswerSeq  int64  `db:"answer_seq"`
	MessageID  string `db:"message_id"`
	Status     Status `db:"status"`
	Stop       int64  `db:"stop"`
	Model      string `db:"model"`
	Actor      string `db:"actor"`
	Sealed     string `db:"sealed"`
	Steps      int64  `db:"steps"`
	Usage      string `db:"usage"`
	Error      string `db:"error"`
	CreatedAt  int64  `db:"created_at"`
	StartedAt  int64  `db:"started_at"`
	FinishedAt int64  `db:"finished_at"`
}

func (t turnRow) turn() Turn {
	return Turn{ID: t.ID, ChatID: t.ChatID, MessageID: t.MessageID, Status: t.Status}
}

const (
	chatColumns    = `account, id, title, last_seq, created_at, updated_at`
	messageColumns = `account, chat_id, seq, id, role, parts, metadata, pending, cut, created_at`
	turnColumns    = `id, account, chat_id, user_seq, answer_seq, message_id, status, stop, model, actor, sealed, steps, usage, error, created_at, started_at, finished_at`
)

// getChat answers a chat; ok is false when the account has none of this id.
func getChat(tx *db.Tx, account, id string) (c chatRow, ok bool, err error) {
	err = tx.Get(&c, `SELECT `+chatColumns+` FROM chats WHERE account = ? AND id = ?`, account, id)
	if errors.Is(err, db.ErrNoRows) {
		return c, false, nil
	}
	return c, err == nil, err
}

// growChat makes room for n messages, makes the chat when it is not there, and answers the last number.
func growChat(tx *db.Tx, account, id, title string, n int, now int64) (last int64, err error) {
	err = tx.Get(&last, `INSERT INTO chats (`+chatColumns+`) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, id) DO UPDATE SET last_seq = chats.last_seq + excluded.last_seq, updated_at = excluded.updated_at
		RETURNING last_seq`, account, id, title, n, now, now)
	return last, err
}

func insertMessage(tx *db.Tx, m messageRow) error {
	_, err := tx.Exec(`INSERT INTO messages (`+messageColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Account, m.ChatID, m.Seq, m.ID, m.Role, m.Parts, m.Metadata, m.Pending, m.Cut, m.CreatedAt)
	return err
}

// findMessage answers a message of a chat by its id; ok is false when there is none.
func findMessage(tx *db.Tx, account, chatID, id string) (m messageRow, ok bool, err error) {
	err = tx.Get(&m, `SELECT `+messageColumns+` FROM messages WHERE account = ? AND chat_id = ? AND id = ? AND cut = 0`, account, chatID, id)
	if errors.Is(err, db.ErrNoRows) {
		return m, false, nil
	}
	return m, err == nil, err
}

// lastMessage answers the newest message of a role with a number below before.
func lastMessage(tx *db.Tx, account, chatID, role string, before int64) (m messageRow, ok bool, err error) {
	err = tx.Get(&m, `SELECT `+messageColumns+` FROM messages
		WHERE account = ? AND chat_id = ? AND role = ? AND seq < ? AND cut = 0 ORDER BY seq DESC LIMIT 1`, account, chatID, role, before)
	if errors.Is(err, db.ErrNoRows) {
		return m, false, nil
	}
	return m, err == nil, err
}

// listMessages answers the messages up to a number whose turns have ended, the oldest first, and of them the newest limit.
func listMessages(tx *db.Tx, account, chatID string, upTo int64, limit int) ([]messageRow, error) {
	var rows []messageRow
	err := tx.Select(&rows, `SELECT * FROM (SELECT `+messageColumns+` FROM messages
		WHERE account = ? AND chat_id = ? AND seq <= ? AND pending = 0 AND cut = 0 ORDER BY seq DESC LIMIT ?) AS newest ORDER BY seq`,
		account, chatID, upTo, limit)
	return rows, err
}

// pageOfMessages is how many messages are read at once.
const pageOfMessages = 50

// recentMessages answers the newest messages up to a number, the oldest first, as listMessages does: whole pages of them,
// until there are limit of them or their parts have that many bytes.
func recentMessages(tx *db.Tx, account, chatID string, upTo int64, limit, bytes int) ([]messageRow, error) {
	var out []messageRow
	for {
		page, err := listMessages(tx, account, chatID, upTo, min(limit, pageOfMessages))
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			bytes -= len(m.Parts)
		}
		out = append(page, out...)
		if len(page) < pageOfMessages || len(out) >= limit || bytes <= 0 {
			return out, nil
		}
		upTo = page[0].Seq - 1
	}
}

func getMessage(tx *db.Tx, account, chatID string, seq int64) (m messageRow, err error) {
	err = tx.Get(&m, `SELECT `+messageColumns+` FROM messages WHERE account = ? AND chat_id = ? AND seq = ?`, account, chatID, seq)
	return m, err
}

// storeParts writes what an answer holds so far.
func storeParts(tx *db.Tx, t turnRow, parts []byte, metadata string, pending int) error {
	_, err := tx.Exec(`UPDATE messages SET parts = ?, metadata = ?, pending = ? WHERE account = ? AND chat_id = ? AND seq = ?`,
		string(parts), metadata, pending, t.Account, t.ChatID, t.AnswerSeq)
	return err
}

func setParts(tx *db.Tx, m messageRow, parts []byte) error {
	_, err := tx.Exec(`UPDATE messages SET parts = ? WHERE account = ? AND chat_id = ? AND seq = ?`, string(parts), m.Account, m.ChatID, m.Seq)
	return err
}

func setTitle(tx *db.Tx, account, chatID, title string) error {
	_, err := tx.Exec(`UPDATE chats SET title = ? WHERE account = ? AND id = ?`, title, account, chatID)
	return err
}

// cutFrom takes the messages from a number on out of the chat.
func cutFrom(tx *db.Tx, account, chatID string, seq int64) error {
	_, err := tx.Exec(`UPDATE messages SET cut = 1 WHERE account = ? AND chat_id = ? AND seq >= ? AND cut = 0`, account, chatID, seq)
	return err
}

func insertTurn(tx *db.Tx, t turnRow) error {
	_, err := tx.Exec(`INSERT INTO turns (`+turnColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		t.ID, t.Account, t.ChatID, t.UserSeq, t.AnswerSeq, t.MessageID, t.Status, t.Stop, t.Model, t.Actor, t.Sealed, t.Steps, t.Usage, t.Error,
		t.CreatedAt, t.StartedAt, t.FinishedAt)
	return err
}

func getTurn(tx *db.Tx, account, id string) (t turnRow, err error) {
	err = tx.Get(&t, `SELECT `+turnColumns+` FROM turns WHERE account = ? AND id = ?`, account, id)
	if errors.Is(err, db.ErrNoRows) {
		return t, errs.New(errs.NotFound, "There is no turn %q.", id)
	}
	return t, err
}

// activeTurns answers the turns of a chat that have not ended, in their order.
func activeTurns(tx *db.Tx, account, chatID string) ([]turnRow, error) {
	var rows []turnRow
	err := tx.Select(&rows, `SELECT `+turnColumns+` FROM turns
		WHERE account = ? AND chat_id = ? AND status IN ('queued', 'running') ORDER BY answer_seq`, account, chatID)
	return rows, err
}

// lastTurn answers the newest turn that answers a message.
func lastTurn(tx *db.Tx, account, chatID string, userSeq int64) (t turnRow, ok bool, err error) {
	err = tx.Get(&t, `SELECT `+turnColumns+` FROM turns WHERE account = ? AND chat_id = ? AND user_seq = ? ORDER BY answer_seq DESC LIMIT 1`,
		account, chatID, userSeq)
	if errors.Is(err, db.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

// startTurn takes a queued turn to running.
func startTurn(tx *db.Tx, t turnRow, now int64) error {
	return moved(tx.Exec(`UPDATE turns SET status = ?, started_at = ? WHERE account = ? AND id = ? AND status = ?`, Running, now, t.Account, t.ID, Queued))
}

// endTurn takes a turn from the state in which it was read to a final one.
func endTurn(tx *db.Tx, t turnRow, to Status, steps int, usage, reason string, now int64) error {
	if !t.Status.May(to) {
		return fmt.Errorf("turn %s can't go from %s to %s", t.ID, t.Status, to)
	}
	return moved(tx.Exec(`UPDATE turns SET status = ?, steps = ?, usage = ?, error = ?, sealed = '', finished_at = ? WHERE account = ? AND id = ? AND status = ?`,
		to, steps, usage, reason, now, t.Account, t.ID, t.Status))
}

// errGone says that a turn is not where it was: it was deleted with its chat.
var errGone = errors.New("the turn is gone")

func moved(n int64, err error) error {
	if err == nil && n == 0 {
		return errGone
	}
	return err
}

func askStop(tx *db.Tx, t turnRow) error {
	_, err := tx.Exec(`UPDATE turns SET stop = 1 WHERE account = ? AND id = ?`, t.Account, t.ID)
	return err
}

func setSealed(tx *db.Tx, t turnRow, sealed string) error {
	_, err := tx.Exec(`UPDATE turns SET sealed = ? WHERE account = ? AND id = ?`, sealed, t.Account, t.ID)
	return err
}

func deleteChat(tx *db.Tx, account, id string) error {
	for _, q := range []string{
		`DELETE FROM turns WHERE account = ? AND chat_id = ?`,
		`DELETE FROM messages WHERE account = ? AND chat_id = ?`,
		`DELETE FROM chats WHERE account = ? AND id = ?`,
	} {
		if _, err := tx.Exec(q, account, id); err != nil {
			return err
		}
	}
	return nil
}

// listChats answers a page of an account's chats, the newest first, after a time and id.
func listChats(tx *db.Tx, account string, before int64, beforeID string, limit int) ([]chatRow, error) {
	var rows []chatRow
	err := tx.Select(&rows, `SELECT `+chatColumns+` FROM chats
		WHERE account = ? AND (updated_at < ? OR (updated_at = ? AND id < ?)) ORDER BY updated_at DESC, id DESC LIMIT ?`,
		account, before, before, beforeID, limit)
	return rows, err
}

// view reads one thing in a transaction of its own.
func view[T any](ctx context.Context, d *db.DB, fn func(tx *db.Tx) (T, error)) (out T, err error) {
	err = d.View(ctx, func(tx *db.Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	return out, err
}

func usageJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(raw)
}
