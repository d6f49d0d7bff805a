// Package ledger makes writes happen once.
//
// Before an operation that writes is carried out under an idempotency key, its intention is stored; afterwards its outcome
// is. Whoever asks for the same effect again gets the first outcome. When the process died in between, the outcome can't
// be known: that is said, and the effect is not repeated.
//
// It is also the door to the audit log: each write that is carried out, under a key or not, is recorded there, and under a
// key in the same transactions as its intention and its outcome.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// Keep is how long an outcome is remembered.
const Keep = 7 * 24 * time.Hour

const (
	intended = "intended"
	done     = "done"
	failed   = "failed"
)

// Ledger stores intentions and outcomes.
type Ledger struct {
	db    *db.DB
	audit *audit.Log
	owner string
}

// New makes the ledger of this process, which records writes in log.
func New(d *db.DB, log *audit.Log) *Ledger {
	return &Ledger{db: d, audit: log, owner: id.New("proc")}
}

type row struct {
	Op     string `db:"op"`
	Input  string `db:"input"`
	State  string `db:"state"`
	Owner  string `db:"owner"`
	Result string `db:"result"`
}

// Middleware carries each write with an idempotency key out once.
func (l *Ledger) Middleware() op.Middleware {
	return func(next op.Handler) op.Handler {
		return func(ctx context.Context, c *op.Call) (any, error) {
			if c.Op.Effect == op.Read {
				return next(ctx, c)
			}
			key := op.IdempotencyKey(ctx)
			if key == "" {
				return l.audit.Do(ctx, c, next)
			}
			record := l.audit.Describe(ctx, c)
			before, err := l.intend(ctx, c, key, record)
			if err != nil {
				return nil, err
			}
			if before != nil {
				return l.again(c, *before)
			}
			return l.carryOut(ctx, c, key, record, next)
		}
	}
}

var errPanic = errors.New("panic")

// carryOut makes the call and stores its outcome, which is an internal failure when the call panics.
func (l *Ledger) carryOut(ctx context.Context, c *op.Call, key string, record *audit.Record, next op.Handler) (out any, callErr error) {
	callErr = errPanic // until the call comes back
	defer func() {
		if err := l.close(ctx, c, key, record, out, callErr); err != nil && callErr == nil {
			out, callErr = nil, err
		}
	}()
	out, callErr = next(ctx, c)
	return out, callErr
}

// intend stores the intention; when there is one already it answers that.
func (l *Ledger) intend(ctx context.Context, c *op.Call, key string, record *audit.Record) (*row, error) {
	if len(key) > 255 {
		return nil, errs.New(errs.Invalid, "The idempotency key has %d characters; at most 255 are allowed.", len(key))
	}
	var before *row
	err := l.db.Update(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`INSERT INTO effects (account, key, op, input, state, owner, result, created_at, finished_at)
			VALUES (?, ?, ?, ?, ?, ?, '', ?, 0) ON CONFLICT (account, key) DO NOTHING`,
			c.Actor.Account, key, c.Op.Name, digest(c), intended, l.owner, db.Millis(time.Now()))
		if err != nil {
			return err
		}
		if n > 0 {
			return l.audit.Begin(tx, record)
		}
		before = new(row)
		return tx.Get(before, `SELECT op, input, state, owner, result FROM effects WHERE account = ? AND key = ?`, c.Actor.Account, key)
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return before, nil
}

// outcome is what the ledger stores of a failure.
type outcome struct {
	Code   errs.Code    `json:"code"`
	Detail string       `json:"detail"`
	Fields []errs.Field `json:"errors,omitempty"`
	Status int          `json:"status,omitempty"`
}

// again answers for an effect that was asked for before.
func (l *Ledger) again(c *op.Call, r row) (any, error) {
	if r.Op != c.Op.Name || r.Input != digest(c) {
		e := errs.New(errs.Invalid, "This idempotency key was used for another request. Take a new key.")
		e.HTTPStatus = http.StatusUnprocessableEntity
		return nil, e
	}
	switch r.State {
	case done:
		if c.Op.Sensitive && c.Actor.Surface != op.SurfaceREST { // whoever goes on after a crash needs to know no more
			return map[string]any{"ok": true, "detail": "It was done before. Its answer is shown only once."}, nil
		}
		if c.Op.Sensitive {
			return nil, errs.New(errs.Conflict, "%s was done under this idempotency key. Its answer is shown only once.", c.Op.Name)
		}
		return json.RawMessage(r.Result), nil
	case failed:
		var o outcome
		if err := json.Unmarshal([]byte(r.Result), &o); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		return nil, &errs.Error{Code: o.Code, Detail: o.Detail, Fields: o.Fields, HTTPStatus: o.Status}
	}
	if r.Owner == l.owner {
		return nil, errs.New(errs.Conflict, "A request with this idempotency key is under way. Ask again when it has ended.")
	}
	return nil, &errs.Error{Code: errs.Conflict, Unknown: true, Detail: fmt.Sprintf(
		"It is unknown whether %s happened: the server stopped while it was at it. Look at the present state before it is asked for again.", c.Op.Name)}
}

func (l *Ledger) close(ctx context.Context, c *op.Call, key string, record *audit.Record, out any, callErr error) error {
	l.audit.Ended(ctx, record, out, callErr)
	state, result := done, ""
	switch {
	case callErr != nil:
		var e *errs.Error
		if !errors.As(callErr, &e) || e.Code == errs.Internal || ctx.Err() != nil {
			// Nothing certain is known about a failure of ours or a broken-off call; the key may be used to try again.
			return l.forget(ctx, c, key, record)
		}
		raw, err := json.Marshal(outcome{e.Code, e.Detail, e.Fields, e.HTTPStatus})
		if err != nil {
			return err
		}
		state, result = failed, string(raw)
	case !c.Op.Sensitive:
		raw, err := json.Marshal(out)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		result = string(raw)
	}
	err := l.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE effects SET state = ?, result = ?, finished_at = ? WHERE account = ? AND key = ? AND owner = ?`,
			state, result, db.Millis(time.Now()), c.Actor.Account, key, l.owner)
		if err != nil {
			return err
		}
		return l.audit.End(tx, record)
	})
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

func (l *Ledger) forget(ctx context.Context, c *op.Call, key string, record *audit.Record) error {
	return l.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM effects WHERE account = ? AND key = ? AND owner = ? AND state = ?`, c.Actor.Account, key, l.owner, intended)
		if err != nil {
			return err
		}
		return l.audit.End(tx, record)
	})
}

// Prune removes outcomes older than Keep.
func (l *Ledger) Prune(ctx context.Context) error {
	return l.db.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM effects WHERE created_at < ? AND state <> ?`, db.Millis(time.Now().Add(-Keep)), intended)
		return err
	})
}

// digest recognises the same input, however it was written, a raw body included. Nothing is derived from inputs that hold
// secrets: a hash of a short secret could be guessed from.
func digest(c *op.Call) string {
	if c.Op.Sensitive {
		return ""
	}
	raw, err := json.Marshal(c.In)
	if err != nil {
		raw = c.Raw
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
