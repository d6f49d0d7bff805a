package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

const columns = `account, seq, at, duration_ms, user_id, key_id, remote, surface, chat_id, turn_id, call_id, operation, resources, input, outcome, code, detail, hash`

type row struct {
	Account    string `db:"account"`
	Seq        int64  `db:"seq"`
	At         int64  `db:"at"`
	DurationMs int64  `db:"duration_ms"`
	User       string `db:"user_id"`
	KeyID      string `db:"key_id"`
	Remote     string `db:"remote"`
	Surface    string `db:"surface"`
	ChatID     string `db:"chat_id"`
	TurnID     string `db:"turn_id"`
	CallID     string `db:"call_id"`
	Operation  string `db:"operation"`
	Resources  string `db:"resources"`
	Input      string `db:"input"`
	Outcome    string `db:"outcome"`
	Code       string `db:"code"`
	Detail     string `db:"detail"`
	Hash       string `db:"hash"`
}

// entry reads a row. Columns that are no JSON any more are no error here: they are shown as text, and break the chain.
func (r row) entry() Entry {
	e := Entry{Account: r.Account, Seq: r.Seq, At: db.Time(r.At), DurationMs: r.DurationMs, User: r.User, KeyID: r.KeyID, Remote: r.Remote, Surface: r.Surface,
		ChatID: r.ChatID, TurnID: r.TurnID, CallID: r.CallID, Operation: r.Operation, Outcome: Outcome(r.Outcome), Code: errs.Code(r.Code), Detail: r.Detail}
	if json.Unmarshal([]byte(r.Resources), &e.Resources) != nil {
		e.Resources = []string{r.Resources}
	}
	if e.Input = json.RawMessage(r.Input); !json.Valid(e.Input) {
		e.Input, _ = json.Marshal(r.Input) // a string always encodes
	}
	return e
}

// head is where the chain of an account ends.
type head struct {
	Seq  int64  `db:"seq"`
	Hash string `db:"hash"`
}

func getHead(tx *db.Tx, account string) (head, error) {
	h := head{Hash: start}
	err := tx.Get(&h, `SELECT seq, hash FROM audit_heads WHERE account = ?`, account)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return h, err
}

// appendEntry puts an entry at the end of its account's chain, with the number and hash that it gets there.
func appendEntry(tx *db.Tx, e Entry) error {
	h, err := getHead(tx, e.Account)
	if err != nil {
		return err
	}
	e.Seq = h.Seq + 1
	text, err := e.canonical()
	if err != nil {
		return err
	}
	h = head{e.Seq, link(h.Hash, text)}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	resources, err := json.Marshal(e.Resources)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO audit_entries (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Account, e.Seq, db.Millis(e.At), e.DurationMs, e.User, e.KeyID, e.Remote, e.Surface, e.ChatID, e.TurnID, e.CallID, e.Operation,
		string(resources), string(e.Input), string(e.Outcome), string(e.Code), e.Detail, h.Hash); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO audit_heads (account, seq, hash) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET seq = excluded.seq, hash = excluded.hash`,
		e.Account, h.Seq, h.Hash)
	return err
}

func insertOpen(tx *db.Tx, r *Record, owner string, entry []byte) error {
	_, err := tx.Exec(`INSERT INTO audit_open (id, account, owner, entry) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`, r.id, r.entry.Account, owner, string(entry))
	return err
}

func deleteOpen(tx *db.Tx, id string) error {
	_, err := tx.Exec(`DELETE FROM audit_open WHERE id = ?`, id)
	return err
}

type openRow struct {
	ID      string `db:"id"`
	Account string `db:"account"`
	Entry   string `db:"entry"`
}

// leftOpen lists what other processes left under way, oldest first.
func leftOpen(tx *db.Tx, owner string, limit int) ([]openRow, error) {
	var rows []openRow
	err := tx.Select(&rows, `SELECT id, account, entry FROM audit_open WHERE owner <> ? ORDER BY id LIMIT ?`, owner, limit)
	return rows, err
}

// listEntries lists entries with numbers below before, the newest first.
func listEntries(tx *db.Tx, account string, before int64, in ListIn, limit int) ([]row, error) {
	where, args := []string{`account = ?`, `seq < ?`}, []any{account, before}
	add := func(cond string, arg any) { where, args = append(where, cond), append(args, arg) }
	if name, ok := strings.CutSuffix(in.Operation, ".*"); ok || in.Operation != "" && !strings.Contains(in.Operation, ".") {
		add(`operation LIKE ? ESCAPE '\'`, like(name)+`.%`)
	} else if in.Operation != "" {
		add(`operation = ?`, in.Operation)
	}
	if in.Surface != "" {
		add(`surface = ?`, in.Surface)
	}
	if in.Outcome != "" {
		add(`outcome = ?`, in.Outcome)
	}
	if in.About != "" {
		quoted, err := json.Marshal(in.About)
		if err != nil {
			return nil, err
		}
		add(`resources LIKE ? ESCAPE '\'`, `%`+like(string(quoted))+`%`)
	}
	if !in.Since.IsZero() {
		add(`at >= ?`, db.Millis(in.Since))
	}
	if !in.Until.IsZero() {
		add(`at < ?`, db.Millis(in.Until))
	}
	var rows []row
	err := tx.Select(&rows, fmt.Sprintf(`SELECT %s FROM audit_entries WHERE %s ORDER BY seq DESC LIMIT %d`, columns, strings.Join(where, ` AND `), limit), args...)
	return rows, err
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func like(text string) string { return likeEscapes.Replace(text) }

// chain lists entries with numbers above after, in the order of the chain.
func chain(tx *db.Tx, account string, after int64, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM audit_entries WHERE account = ? AND seq > ? ORDER BY seq LIMIT ?`, account, after, limit)
	return rows, err
}
