package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"yardmaster/internal/errs"
)

// Call is one call of an operation on its way through the middleware.
type Call struct {
	Op    *Operation
	Actor Actor
	Raw   json.RawMessage // the checked input
	In    any             // pointer to the decoded input
}

// Handler carries a call out.
type Handler func(ctx context.Context, c *Call) (any, error)

// Middleware wraps a handler.
type Middleware func(next Handler) Handler

// Registry holds the operations of a program. It is filled at start and read-only afterwards.
type Registry struct {
	ops    []*Operation
	byName map[string]*Operation
	handle Handler
}

// NewRegistry makes an empty registry. The first middleware is the outermost.
func NewRegistry(mw ...Middleware) *Registry {
	r := &Registry{byName: map[string]*Operation{}}
	r.handle = func(ctx context.Context, c *Call) (any, error) { return c.Op.call(ctx, c.In) }
	for i := len(mw) - 1; i >= 0; i-- {
		r.handle = mw[i](r.handle)
	}
	return r
}

// Add declares operations. A wrong declaration is an error, so that it stops the program and every test.
func (r *Registry) Add(ops ...*Operation) error {
	for _, p := range ops {
		if err := p.check(); err != nil {
			return err
		}
		for _, q := range r.ops {
			if q.Name == p.Name || q.Route == p.Route || q.Tool() == p.Tool() {
				return fmt.Errorf("operation %s: its name or route is that of %s", p.Name, q.Name)
			}
		}
		r.ops = append(r.ops, p)
		r.byName[p.Name] = p
	}
	return nil
}

// All lists the operations in the order of their declaration.
func (r *Registry) All() []*Operation { return r.ops }

// Get finds an operation by its name or its tool name.
func (r *Registry) Get(name string) (*Operation, bool) {
	if p, ok := r.byName[name]; ok {
		return p, true
	}
	for _, p := range r.ops {
		if p.Tool() == name {
			return p, true
		}
	}
	return nil, false
}

// Do calls an operation for the actor in ctx. An empty raw input stands for {}.
func (r *Registry) Do(ctx context.Context, name string, raw json.RawMessage) (any, error) {
	p, ok := r.Get(name)
	if !ok {
		return nil, errs.New(errs.NotFound, "there is no operation %q", name)
	}
	a := ActorFrom(ctx)
	if a.Account == "" {
		return nil, errs.New(errs.Unauthenticated, "Nobody is signed in. Send an API key as \"Authorization: Bearer ck_live_…\".")
	}
	if !a.May(p.Scope) {
		return nil, errs.New(errs.Forbidden, "%s needs the right %s, which this key does not have.", p.Name, p.Scope)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		raw = json.RawMessage("{}")
	}
	in, err := p.decode(ctx, raw)
	if err != nil {
		return nil, err
	}
	return r.handle(ctx, &Call{Op: p, Actor: a, Raw: raw, In: in})
}

// decodeError puts what the decoder says into a field error. The schema check comes first, so this is rare: numbers that
// overflow, times that do not parse.
func decodeError(err error) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) && te.Field != "" {
		return errs.BadField(te.Field, "must be %s", te.Type)
	}
	return errs.Wrap(err, errs.Invalid, "The input can't be read: %v.", err)
}
