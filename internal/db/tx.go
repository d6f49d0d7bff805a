package db

import (
	"context"
	"database/sql"

	"github.com/jmoiron/sqlx"
)

// querier is what a connection, a transaction and the writer's statement cache have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	GetContext(ctx context.Context, dst any, query string, args ...any) error
	SelectContext(ctx context.Context, dst any, query string, args ...any) error
}

// Tx is a transaction. It is valid only inside the function that got it, and in one goroutine.
type Tx struct {
	ctx   context.Context
	q     querier
	after []func()
}

// Context is the context of the transaction.
func (t *Tx) Context() context.Context { return t.ctx }

// Exec runs a statement and answers how many rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	res, err := t.q.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Get reads one row into dst, a pointer to a struct with db tags or to a scalar; ErrNoRows when there is none. Statements
// with RETURNING work too.
func (t *Tx) Get(dst any, query string, args ...any) error {
	return t.q.GetContext(t.ctx, dst, query, args...)
}

// Select reads all rows into dst, a pointer to a slice.
func (t *Tx) Select(dst any, query string, args ...any) error {
	return t.q.SelectContext(t.ctx, dst, query, args...)
}

// In expands slices among args: In("… IN (?)", ids) answers a query with as many placeholders. Empty slices are an error.
func (t *Tx) In(query string, args ...any) (string, []any, error) {
	return sqlx.In(query, args...)
}

// OnCommit has fn called once the transaction is durable, in the order of the calls; never when it fails. fn MUST be
// quick: it runs before Update answers.
func (t *Tx) OnCommit(fn func()) { t.after = append(t.after, fn) }
