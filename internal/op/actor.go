package op

import (
	"context"
	"slices"
	"strings"
)

// The surfaces through which operations are called.
const (
	SurfaceREST       = "rest"
	SurfaceOperator   = "operator"
	SurfaceAutomation = "automation"
	SurfaceWebhook    = "webhook"
	SurfaceSystem     = "system"
)

// Actor is who calls an operation. The zero Actor has no rights.
type Actor struct {
	Account string
	User    string
	KeyID   string
	Surface string
	// Scopes are rights such as "instances:read"; "*" is all of them, "instances:*" all of a resource.
	Scopes []string
	// ChatID, TurnID and CallID say on whose behalf the Operator calls.
	ChatID string
	TurnID string
	CallID string
	// Remote is the network address that the request came from, without its port; "" when it came from inside.
	Remote string
}

// May tells whether the actor has a scope.
func (a Actor) May(scope string) bool {
	resource, _, _ := strings.Cut(scope, ":")
	return slices.Contains(a.Scopes, "*") || slices.Contains(a.Scopes, scope) || slices.Contains(a.Scopes, resource+":*")
}

// System is the platform itself at work in an account, with all rights.
func System(account string) Actor {
	return Actor{Account: account, Surface: SurfaceSystem, Scopes: []string{"*"}}
}

type (
	actorKey       struct{}
	progressKey    struct{}
	idempotencyKey struct{}
)

// WithActor puts the caller into a context.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom answers the caller; the zero Actor when there is none.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// WithProgress has fn called for each report of progress made under ctx. fn MUST be safe for concurrent calls.
func WithProgress(ctx context.Context, fn func(v any)) context.Context {
	return context.WithValue(ctx, progressKey{}, fn)
}

// Progress reports how far a long operation is: v replaces the report before and is shown where somebody watches.
func Progress(ctx context.Context, v any) {
	if fn, ok := ctx.Value(progressKey{}).(func(any)); ok {
		fn(v)
	}
}

// WithIdempotencyKey names the effect that is asked for under ctx. The same key is the same effect.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// IdempotencyKey is the name of the effect, unique within the account, or "" when the caller gave none.
func IdempotencyKey(ctx context.Context) string {
	k, _ := ctx.Value(idempotencyKey{}).(string)
	return k
}
