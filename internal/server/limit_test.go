package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
	"yardmaster/internal/server"
)

// tiredKeys is an Authenticator that refuses everybody for calling too often.
type tiredKeys struct{ wait time.Duration }

func (k tiredKeys) Authenticate(context.Context, string) (op.Actor, error) {
	e := errs.New(errs.RateLimited, "This API key has made more than 1 requests a second.")
	e.RetryAfter = k.wait
	return op.Actor{}, e
}

func TestTooOften(t *testing.T) {
	t.Parallel()
	for wait, header := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2"} {
		y := open(t, func(c *server.Config) { c.Auth = tiredKeys{wait} })
		for _, c := range []call{
			{method: "GET", path: "/api/things"},
			{method: "POST", path: "/api/things", body: `{"name":"a"}`},
			{method: "GET", path: "/api/instances/a/logs?follow=true"},
			{method: "GET", path: "/api/experiments/a/events"},
			{method: "POST", path: "/api/chat", body: say("hello"), header: map[string]string{"X-Response-Format": "json"}},
		} {
			a := y.do(c)
			if p := a.problem(t); a.status != http.StatusTooManyRequests || p.Code != errs.RateLimited || a.header.Get("Retry-After") != header {
				t.Errorf("%s %s: %d, Retry-After %q, want %q", c.method, c.path, a.status, a.header.Get("Retry-After"), header)
			}
		}
		for _, c := range []call{{method: "POST", path: "/api/chat", body: say("hello")}, {method: "GET", path: "/api/chat/a/stream"}} {
			a := y.do(c)
			if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != header || !strings.HasPrefix(a.body, "This API key") {
				t.Errorf("%s %s: %d, Retry-After %q, %q", c.method, c.path, a.status, a.header.Get("Retry-After"), a.body)
			}
		}
		if a := y.do(call{method: "GET", path: "/readyz"}); a.status != http.StatusOK {
			t.Errorf("/readyz is limited: %d", a.status)
		}
	}
}

// The caller's address is that of the connection: what a request says of itself is not believed.
func TestRemoteAddress(t *testing.T) {
	t.Parallel()
	seen := make(chan op.Actor, 1)
	reg := op.NewRegistry(func(next op.Handler) op.Handler {
		return func(ctx context.Context, c *op.Call) (any, error) {
			seen <- c.Actor
			return next(ctx, c)
		}
	})
	if err := reg.Add(operations()...); err != nil {
		t.Fatal(err)
	}
	y := open(t, func(c *server.Config) { c.Registry = reg })
	y.do(call{method: "GET", path: "/api/things", header: map[string]string{"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}})
	if a := <-seen; a.Remote != "127.0.0.1" || a.Surface != op.SurfaceREST {
		t.Errorf("the call came from %q through %q", a.Remote, a.Surface)
	}
}
