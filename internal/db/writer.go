package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jmoiron/sqlx"
)

// maxGroup bounds how many transactions share a commit, so that the first of them does not wait for ever.
const maxGroup = 64

var errClosed = errors.New("the database is closed")

// writer runs write transactions one after another on one connection. Those that wait while one runs are put into the
// same SQLite transaction, each in a savepoint of its own, and made durable by one fsync: the price of synchronous=FULL
// is paid once a group and not once a transaction.
type writer struct {
	pool  *sqlx.DB
	conn  *sqlx.Conn
	stmts map[string]*sqlx.Stmt
	queue chan *request
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

type request struct {
	ctx    context.Context
	fn     func(tx *Tx) error
	result chan error // buffered: the writer never waits for a caller
	after  []func()
	panic  any
}

func newWriter(ctx context.Context, pool *sqlx.DB) (*writer, error) {
	conn, err := pool.Connx(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{
		pool: pool, conn: conn, stmts: map[string]*sqlx.Stmt{},
		queue: make(chan *request, 1024), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go w.run()
	return w, nil
}

func (w *writer) do(ctx context.Context, fn func(tx *Tx) error) error {
	r := &request{ctx: ctx, fn: fn, result: make(chan error, 1)}
	select {
	case <-w.quit:
		return errClosed
	default:
	}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	// Once queued, the outcome is awaited even when ctx ends: a caller must know whether its change happened.
	select {
	case err := <-r.result:
		if r.panic != nil {
			panic(r.panic)
		}
		return err
	case <-w.done:
		select {
		case err := <-r.result:
			return err
		default:
			return errClosed
		}
	}
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	for _, s := range w.stmts {
		_ = s.Close()
	}
	err := w.conn.Close()
	if e := w.pool.Close(); err == nil {
		err = e
	}
	return err
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case r := <-w.queue:
			w.group(r)
		case <-w.quit:
			for { // what was accepted is finished
				select {
				case r := <-w.queue:
					w.group(r)
				default:
					return
				}
			}
		}
	}
}

// group runs first and what waits behind it in one SQLite transaction.
func (w *writer) group(first *request) {
	ctx := context.Background()
	if err := first.ctx.Err(); err != nil {
		first.result <- err
		return
	}
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		first.result <- fmt.Errorf("begin: %w", err)
		return
	}
	// The first needs no savepoint: when it fails, nothing else is in the transaction yet.
	if err := w.call(first); err != nil {
		w.rollback(ctx)
		first.result <- err
		return
	}
	members := []*request{first}
	for len(members) < maxGroup {
		var r *request
		select {
		case r = <-w.queue:
		default:
		}
		if r == nil {
			break
		}
		if w.join(ctx, r) {
			members = append(members, r)
		}
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	if err != nil {
		w.rollback(ctx)
		err = fmt.Errorf("commit: %w", err)
	}
	for _, r := range members {
		if err == nil {
			for _, f := range r.after {
				f()
			}
		}
		r.result <- err
	}
}

// join runs r inside the open transaction and tells whether it became a member; when not, it got its error.
func (w *writer) join(ctx context.Context, r *request) bool {
	if err := r.ctx.Err(); err != nil {
		r.result <- err
		return false
	}
	if _, err := w.exec(ctx, "SAVEPOINT member"); err != nil {
		r.result <- fmt.Errorf("savepoint: %w", err)
		return false
	}
	callErr := w.call(r)
	if callErr != nil {
		if _, err := w.exec(ctx, "ROLLBACK TO member"); err != nil {
			callErr = errors.Join(callErr, err)
		}
	}
	if _, err := w.exec(ctx, "RELEASE member"); err != nil && callErr == nil {
		callErr = fmt.Errorf("savepoint: %w", err)
	}
	if callErr != nil {
		r.result <- callErr
		return false
	}
	return true
}

// call runs the function of r; a panic in it undoes its transaction and is raised again where Update was called.
func (w *writer) call(r *request) (err error) {
	tx := &Tx{ctx: context.WithoutCancel(r.ctx), q: cached{w}}
	defer func() {
		if p := recover(); p != nil {
			r.panic = p
			err = errors.New("panic in a transaction")
		}
		r.after = tx.after
	}()
	return r.fn(tx)
}

func (w *writer) rollback(ctx context.Context) {
	// It fails only when SQLite has rolled back by itself, as it does after some errors.
	_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
}

func (w *writer) exec(ctx context.Context, query string) (sql.Result, error) {
	s, err := w.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx)
}

// maxStatements bounds the cache against queries with ever different texts, such as expanded IN lists.
const maxStatements = 512

func (w *writer) stmt(ctx context.Context, query string) (*sqlx.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PreparexContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(w.stmts) >= maxStatements {
		for q, old := range w.stmts {
			_ = old.Close()
			delete(w.stmts, q)
		}
	}
	w.stmts[query] = s
	return s, nil
}

// cached is the querier of write transactions: every statement is parsed once.
type cached struct{ w *writer }

func (c cached) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := c.w.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (c cached) GetContext(ctx context.Context, dst any, query string, args ...any) error {
	s, err := c.w.stmt(ctx, query)
	if err != nil {
		return err
	}
	return s.GetContext(ctx, dst, args...)
}

func (c cached) SelectContext(ctx context.Context, dst any, query string, args ...any) error {
	s, err := c.w.stmt(ctx, query)
	if err != nil {
		return err
	}
	return s.SelectContext(ctx, dst, args...)
}
