// Package audit keeps the record of every write: who did what, to what, from where, through which surface, in which turn,
// and how it ended.
//
// The entries of an account are a chain. The hash of each is
//
//	SHA-256(hash of the entry before, in hex ‖ the entry as JSON)
//
// where the first has 64 zeros before it and the JSON has its fields sorted, no white space and no hash. So entries can't
// be changed, taken out or moved without breaking the chain, which Verify finds and anybody can check from what List
// answers. Whoever can write to the database could make a whole new chain, or cut off its end; that shows against a head
// (number and hash) that was noted elsewhere before.
//
// A write leaves a trace even when the process dies in the middle: it is stored as under way, and Recover enters what was
// left so as unknown. Under an idempotency key that is before it is carried out, together with the ledger's intention.
// Without one it is together with the first thing that the write stores, which costs no commit; what dies before has
// changed nothing here.
package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// Outcome is how a write ended.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"  // Code says why
	Unknown Outcome = "unknown" // it was broken off, and may or may not have happened
)

// start stands before the first entry of a chain.
var start = strings.Repeat("0", 2*sha256.Size)

// Entry is one write. A field that is added later MUST be left out of the JSON while it is empty, or the hashes of older
// entries change.
type Entry struct {
	At         time.Time       `json:"at"` // when it began
	Operation  string          `json:"operation"`
	Resources  []string        `json:"resources,omitempty"` // ids and names of what it was about, as given and as made
	Outcome    Outcome         `json:"outcome"`
	Surface    string          `json:"surface"`
	Remote     string          `json:"remote,omitempty"`
	User       string          `json:"userId,omitempty"`
	KeyID      string          `json:"keyId,omitempty"`
	ChatID     string          `json:"chatId,omitempty"`
	TurnID     string          `json:"turnId,omitempty"`
	CallID     string          `json:"callId,omitempty"`
	Input      json.RawMessage `json:"input"` // secrets masked, long values cut
	Code       errs.Code       `json:"code,omitempty"`
	Detail     string          `json:"detail,omitempty"`
	DurationMs int64           `json:"durationMs"`
	Account    string          `json:"accountId"`
	Seq        int64           `json:"seq"`
}

// canonical is the text that is hashed.
func (e Entry) canonical() ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return encode(v), nil
}

// link is the hash of an entry behind another.
func link(before string, text []byte) string {
	h := sha256.New()
	h.Write([]byte(before))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// Options are what a log may need beside its database.
type Options struct {
	// Scrub answers a function that takes the values of an account's secrets out of a text, JSON as well; nil leaves texts
	// as they are.
	Scrub func(account string) func(text string) string
}

// Log is the audit log.
type Log struct {
	db    *db.DB
	scrub func(account string) func(text string) string
	owner string
	now   func() time.Time
}

// New makes the audit log of this process.
func New(d *db.DB, o Options) *Log {
	l := &Log{db: d, scrub: o.Scrub, owner: id.New("proc"), now: time.Now}
	if l.scrub == nil {
		l.scrub = func(string) func(string) string { return func(text string) string { return text } }
	}
	return l
}

// Record is a write on its way into the log.
type Record struct {
	id    string
	entry Entry
	began time.Time
	hide  func(text string) string
}

// Describe makes the record of a call. The caller MUST pass it to Begin before the call is carried out, and to End after.
func (l *Log) Describe(ctx context.Context, c *op.Call) *Record {
	a, now := c.Actor, l.now()
	input, hide := masked(ctx, c, l.scrub(a.Account))
	return &Record{id: id.New("aud"), began: now, hide: hide, entry: Entry{
		Account: a.Account, User: a.User, KeyID: a.KeyID, Remote: a.Remote, Surface: a.Surface, ChatID: a.ChatID, TurnID: a.TurnID, CallID: a.CallID,
		At: db.Time(db.Millis(now)), Operation: c.Op.Name, Resources: references(c.Op.In, c.Raw, hide), Input: input, Outcome: Unknown,
	}}
}

// Begin stores, as a part of tx, that the write is under way. It may be called again.
func (l *Log) Begin(tx *db.Tx, r *Record) error {
	if err := insertOpen(tx, r, l.owner, encode(r.entry)); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Ended notes how the write ended; End stores it. ctx is that of the call: when it is over, a failure says nothing about
// whether the write happened.
func (l *Log) Ended(ctx context.Context, r *Record, out any, err error) {
	e := &r.entry
	e.DurationMs = max(0, l.now().Sub(r.began).Milliseconds())
	e.Outcome, e.Code, e.Detail = OK, "", ""
	if err == nil {
		e.Resources = merge(e.Resources, made(out), r.hide)
		return
	}
	public := errs.Public(err)
	e.Outcome, e.Code, e.Detail = Failed, public.Code, clip(r.hide(public.Error()), maxDetail)
	var coded *errs.Error
	switch {
	case public.Unknown:
		e.Outcome = Unknown
	case ctx.Err() != nil && !errors.As(err, &coded):
		e.Outcome, e.Code, e.Detail = Unknown, "", "The call was broken off."
	}
}

// End enters the write into its account's chain, as a part of tx.
func (l *Log) End(tx *db.Tx, r *Record) error {
	if err := deleteOpen(tx, r.id); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := appendEntry(tx, r.entry); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

var errPanic = errors.New("panic")

// Do carries a write out between Begin and End: Begin is a part of the first transaction that the write makes, End has one
// of its own. A write that can't be recorded stores nothing.
func (l *Log) Do(ctx context.Context, c *op.Call, next op.Handler) (out any, err error) {
	r := l.Describe(ctx, c)
	err = errPanic // until the call comes back
	defer func() {
		l.Ended(ctx, r, out, err)
		stored := l.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error { return l.End(tx, r) })
		if stored != nil && err == nil {
			out, err = nil, stored
		}
	}()
	out, err = next(db.WithFirst(ctx, func(tx *db.Tx) error { return l.Begin(tx, r) }), c)
	return out, err
}

// recovered is how many writes Recover enters in one transaction.
const recovered = 200

// Recover enters the writes that dead processes left under way as unknown. It MUST be called while no other process works
// on the database.
func (l *Log) Recover(ctx context.Context) (entered int, err error) {
	for {
		n := 0
		err := l.db.Update(ctx, func(tx *db.Tx) error {
			rows, err := leftOpen(tx, l.owner, recovered)
			if err != nil {
				return err
			}
			n = len(rows)
			for _, r := range rows {
				e := Entry{Account: r.Account, Input: json.RawMessage(`{}`), Operation: "unreadable"}
				if json.Unmarshal([]byte(r.Entry), &e) == nil {
					e.Account = r.Account
				}
				e.Outcome, e.Detail = Unknown, "The server stopped while it was at it."
				if err := appendEntry(tx, e); err != nil {
					return err
				}
				if err := deleteOpen(tx, r.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return entered, fmt.Errorf("audit: %w", err)
		}
		if entered += n; n < recovered {
			return entered, nil
		}
	}
}
