package auth_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yardmaster/internal/auth"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// clocked is a service with a clock of its own.
func clocked(t *testing.T) (*auth.Service, *fakeClock) {
	t.Helper()
	s, _ := open(t)
	c := &fakeClock{now: time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)}
	auth.SetClock(s, c.Now)
	return s, c
}

// account makes an account with n keys.
func account(t *testing.T, s *auth.Service, n int) []string {
	t.Helper()
	id, key, err := s.CreateAccount(t.Context(), fmt.Sprint("with ", n))
	if err != nil {
		t.Fatal(err)
	}
	keys := []string{key}
	for range n - 1 {
		out, err := s.CreateKey(op.WithActor(t.Context(), op.System(id)), auth.CreateKeyIn{})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, out.Key)
	}
	return keys
}

// taken counts how many of n requests are taken; the others must be refused for their number alone.
func taken(t *testing.T, l *auth.Limiter, key string, n int) int {
	t.Helper()
	ok := 0
	for range n {
		switch _, err := l.Authenticate(t.Context(), key); {
		case err == nil:
			ok++
		case !errs.Is(err, errs.RateLimited):
			t.Fatal(err)
		}
	}
	return ok
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	s, clock := clocked(t)
	key := account(t, s, 1)[0]
	l := auth.NewLimiter(s, auth.Limits{Key: 10})
	for _, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, 20},                      // two seconds' worth at once
		{0, 0},                       // and no more
		{99 * time.Millisecond, 0},   // not even nearly a tenth of a second later
		{time.Millisecond, 1},        // then one
		{time.Second, 10},            // ten a second; what was refused cost nothing
		{time.Hour, 20},              // a rest is worth two seconds
		{500 * time.Millisecond, 5},  // half a second
		{-500 * time.Millisecond, 0}, // a clock that was put back gives nothing
	} {
		clock.Move(step.after)
		if got := taken(t, l, key, 30); got != step.want {
			t.Errorf("%s later, %d requests were taken, want %d", step.after, got, step.want)
		}
	}
}

func TestLimitSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	s, clock := clocked(t)
	key := account(t, s, 1)[0]
	l := auth.NewLimiter(s, auth.Limits{Key: 4})
	taken(t, l, key, 8)
	clock.Move(50 * time.Millisecond)
	_, err := l.Authenticate(t.Context(), key)
	e := errs.Public(err)
	if e.Code != errs.RateLimited || e.RetryAfter != 200*time.Millisecond {
		t.Fatalf("%s %q, again after %s", e.Code, e.Detail, e.RetryAfter)
	}
	clock.Move(e.RetryAfter)
	if _, err := l.Authenticate(t.Context(), key); err != nil {
		t.Errorf("after the time that was said: %v", err)
	}
}

func TestAccountLimit(t *testing.T) {
	t.Parallel()
	s, clock := clocked(t)
	one, two := account(t, s, 3), account(t, s, 1)
	l := auth.NewLimiter(s, auth.Limits{Key: 10, Account: 15})
	if a, b, c := taken(t, l, one[0], 30), taken(t, l, one[1], 30), taken(t, l, one[2], 30); a != 20 || b != 10 || c != 0 {
		t.Errorf("the keys of one account had %d, %d and %d requests, want 20, 10 and 0", a, b, c)
	}
	if n := taken(t, l, two[0], 30); n != 20 {
		t.Errorf("another account had %d requests, want 20", n)
	}
	// The third key paid nothing for what the account was refused.
	clock.Move(time.Second)
	if n := taken(t, l, one[2], 30); n != 15 {
		t.Errorf("a second later the account had %d requests, want 15", n)
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	s, _ := clocked(t)
	key := account(t, s, 1)[0]
	if n := taken(t, auth.NewLimiter(s, auth.Limits{}), key, 2000); n != 2000 {
		t.Errorf("%d of 2000 requests were taken", n)
	}
	l := auth.NewLimiter(s, auth.Limits{Account: 5})
	if n := taken(t, l, key, 30); n != 10 {
		t.Errorf("with a limit for the account alone, %d requests were taken, want 10", n)
	}
	if _, err := l.Authenticate(t.Context(), auth.Prefix+"0123456789abcdef"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a stranger: %v", err)
	}
}

func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	s, clock := clocked(t)
	l := auth.NewLimiter(s, auth.Limits{Key: 1, Account: 1})
	for range 20 {
		taken(t, l, account(t, s, 1)[0], 1)
	}
	if n := auth.Buckets(l); n != 40 {
		t.Fatalf("%d buckets, want one a key and account", n)
	}
	clock.Move(time.Hour)
	key := account(t, s, 1)[0]
	if n := taken(t, l, key, 5); n != 2 {
		t.Errorf("%d requests were taken, want 2", n)
	}
	if n := auth.Buckets(l); n != 2 {
		t.Errorf("%d buckets are kept of callers that were away for an hour", n-2)
	}
}

func TestLimiterConcurrency(t *testing.T) {
	t.Parallel()
	s, _ := clocked(t)
	keys := account(t, s, 4)
	l := auth.NewLimiter(s, auth.Limits{Key: 20, Account: 50})
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 30 {
				if _, err := l.Authenticate(t.Context(), keys[i%4]); err == nil {
					n.Add(1)
				} else if !errs.Is(err, errs.RateLimited) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n.Load() != 100 {
		t.Errorf("%d requests were taken, want the account's 100", n.Load())
	}
}

func TestLastUse(t *testing.T) {
	t.Parallel()
	s, clock := clocked(t)
	key := account(t, s, 2)[0]
	a, err := s.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	used := func() (mine, other *time.Time) {
		t.Helper()
		out, err := s.ListKeys(op.WithActor(t.Context(), a), auth.ListKeysIn{})
		if err != nil || len(out.Keys) != 2 {
			t.Fatalf("%v, %v", out, err)
		}
		if out.Keys[0].ID != a.KeyID {
			out.Keys[0], out.Keys[1] = out.Keys[1], out.Keys[0]
		}
		return out.Keys[0].LastUsedAt, out.Keys[1].LastUsedAt
	}
	first := clock.Now()
	for _, step := range []struct {
		after time.Duration
		want  time.Time
	}{
		{0, first},
		{30 * time.Second, first}, // the key is read anew in between, and yet not written
		{29 * time.Second, first},
		{time.Second, first.Add(time.Minute)},
		{24 * time.Hour, first.Add(24*time.Hour + time.Minute)},
	} {
		clock.Move(step.after)
		if _, err := s.Authenticate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		mine, other := used()
		if mine == nil || !mine.Equal(step.want) {
			t.Errorf("last used at %v, want %v", mine, step.want)
		}
		if other != nil {
			t.Errorf("a key that nobody used was last used at %v", other)
		}
	}
}
