// Package event is the append-only record of what happened, in numbered streams.
//
// An event is appended in the transaction of the change that it tells of, so that there is never one without the other.
// Numbers are given per stream inside that transaction: a reader who has seen number n misses nothing before it.
package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"yardmaster/internal/db"
)

// Event is one thing that happened.
type Event struct {
	Account string          `json:"-"`
	Stream  string          `json:"stream"` // the id of what it is about, or the plural of a resource
	Seq     int64           `json:"seq"`    // 1, 2, 3 … within the stream
	Type    string          `json:"type"`   // "instance.created"
	Data    json.RawMessage `json:"data"`   // MUST hold no secret
	At      time.Time       `json:"at"`
}

// Log is the event log of a database.
type Log struct {
	db *db.DB

	mu      sync.Mutex
	waiting map[key]chan struct{} // closed when the stream grows
}

type key struct{ account, stream string }

// New makes a log.
func New(d *db.DB) *Log { return &Log{db: d, waiting: map[key]chan struct{}{}} }

// Append adds an event to its stream and wakes the stream's followers once the transaction is durable. Data may be any
// value that JSON can carry. It answers the event's number.
func (l *Log) Append(tx *db.Tx, account, stream, typ string, data any) (int64, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return 0, fmt.Errorf("event %s: %w", typ, err)
	}
	var seq int64
	err = tx.Get(&seq, `INSERT INTO streams (account, stream, seq) VALUES (?, ?, 1)
		ON CONFLICT (account, stream) DO UPDATE SET seq = streams.seq + 1 RETURNING seq`, account, stream)
	if err != nil {
		return 0, fmt.Errorf("event %s: %w", typ, err)
	}
	_, err = tx.Exec(`INSERT INTO events (account, stream, seq, type, data, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		account, stream, seq, typ, string(raw), db.Millis(time.Now()))
	if err != nil {
		return 0, fmt.Errorf("event %s: %w", typ, err)
	}
	tx.OnCommit(func() { l.wake(key{account, stream}) })
	return seq, nil
}

// Forget removes a stream, for use when its subject is deleted.
func (l *Log) Forget(tx *db.Tx, account, stream string) error {
	if _, err := tx.Exec(`DELETE FROM events WHERE account = ? AND stream = ?`, account, stream); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM streams WHERE account = ? AND stream = ?`, account, stream)
	return err
}

type row struct {
	Seq       int64  `db:"seq"`
	Type      string `db:"type"`
	Data      string `db:"data"`
	CreatedAt int64  `db:"created_at"`
}

// List answers up to limit events of a stream with numbers above after, in order.
func (l *Log) List(ctx context.Context, account, stream string, after int64, limit int) ([]Event, error) {
	var rows []row
	err := l.db.View(ctx, func(tx *db.Tx) error {
		return tx.Select(&rows, `SELECT seq, type, data, created_at FROM events WHERE account = ? AND stream = ? AND seq > ? ORDER BY seq LIMIT ?`,
			account, stream, after, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("events of %s: %w", stream, err)
	}
	out := make([]Event, len(rows))
	for i, r := range rows {
		out[i] = Event{account, stream, r.Seq, r.Type, json.RawMessage(r.Data), db.Time(r.CreatedAt)}
	}
	return out, nil
}

// Follow answers the events with numbers above after, first those of the past, then each as it happens, until ctx ends.
// Every event comes exactly once and in order. A slow reader holds nobody back.
func (l *Log) Follow(ctx context.Context, account, stream string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			// The wait is set up before the read, so that nothing can fall between the two.
			grown := l.wait(key{account, stream})
			for {
				const page = 200
				events, err := l.List(ctx, account, stream, after, page)
				if err != nil {
					if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
						yield(Event{}, err)
					}
					return
				}
				for _, e := range events {
					if !yield(e, nil) {
						return
					}
					after = e.Seq
				}
				if len(events) < page {
					break
				}
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *Log) wait(k key) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch, ok := l.waiting[k]
	if !ok {
		ch = make(chan struct{})
		l.waiting[k] = ch
	}
	return ch
}

func (l *Log) wake(k key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch, ok := l.waiting[k]; ok {
		close(ch)
		delete(l.waiting, k)
	}
}
