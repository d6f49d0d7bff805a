// Package db opens the database and runs transactions.
//
// The store is SQLite: one writer, which groups waiting transactions into one durable commit, and a pool of readers that
// never wait for it. SQL is written once, with ? placeholders, TEXT ids, BIGINT milliseconds, RETURNING, ON CONFLICT and
// JSON in TEXT columns.
//
// Every table has one owner package; only that package's sql.go touches it. Others hand it their *Tx.
package db

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // the driver
)

// ErrNoRows is what Get answers when nothing matched.
var ErrNoRows = sql.ErrNoRows

// DB is an open, migrated database. It is safe for concurrent use.
type DB struct {
	read   *sqlx.DB
	writer *writer
	path   string
}

// Open opens the database at a URL, makes it when it is not there, and brings its schema up to date. The URL is
// "sqlite:PATH".
func Open(ctx context.Context, dsn string) (*DB, error) {
	path, ok := strings.CutPrefix(dsn, "sqlite:")
	if !ok {
		return nil, fmt.Errorf("database %q: this build stores in SQLite only; give sqlite:PATH", redact(dsn))
	}
	// The file is made here, so that it is private from its first byte on.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// synchronous(FULL): a commit that was answered survives a power cut, not only a crash; grouping pays for it.
	write, err := sqlx.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "wal_autocheckpoint(2000)"))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write.DB); err != nil {
		_ = write.Close()
		return nil, err
	}
	read, err := sqlx.Open("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		_ = write.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	d := &DB{read: read, path: path}
	d.writer, err = newWriter(ctx, write)
	if err != nil {
		_ = read.Close()
		_ = write.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return d, nil
}

func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{}
	for _, p := range append([]string{"busy_timeout(10000)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String()
}

// redact keeps a password in a database URL out of messages.
func redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

// Close waits for the transactions under way and closes the database.
func (d *DB) Close() error {
	err := d.writer.close()
	if e := d.read.Close(); err == nil {
		err = e
	}
	return err
}

// Update runs fn in a write transaction: all of it is durable when Update answers nil, and none of it happened
// otherwise. Transactions are run one after another. fn MUST use nothing but tx and its own variables: no model, sandbox
// or network call, no nested Update or View, or everybody waits.
func (d *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	f, ok := ctx.Value(firstKey{}).(*first)
	if !ok || f.done.Load() {
		return d.writer.do(ctx, fn)
	}
	return d.writer.do(ctx, func(tx *Tx) error {
		if err := f.fn(tx); err != nil {
			return err
		}
		tx.OnCommit(func() { f.done.Store(true) })
		return fn(tx)
	})
}

type (
	firstKey struct{}
	first    struct {
		fn   func(tx *Tx) error
		done atomic.Bool
	}
)

// WithFirst has fn run at the beginning of the first transaction of Update under ctx that is committed, as a part of it: so
// something is stored before whatever is done under ctx, and costs no commit of its own. It is never run when there is no
// such transaction. fn MUST bear being run again, for it is when a transaction fails or several run at the same time.
func WithFirst(ctx context.Context, fn func(tx *Tx) error) context.Context {
	return context.WithValue(ctx, firstKey{}, &first{fn: fn})
}

// View runs fn in a read transaction: all its reads see one state. It never waits for writers.
func (d *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	stx, err := d.read.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin read: %w", err)
	}
	defer func() { _ = stx.Rollback() }() // nothing was written
	return fn(&Tx{ctx: ctx, q: stx})
}

// Millis is a time as the database stores it; the zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the inverse of Millis, in UTC.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
