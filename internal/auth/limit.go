package auth

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// Limits are how many requests are taken, in a second; 0 takes all. Twice as many are taken at once after a rest.
type Limits struct {
	Key     int // of one key
	Account int // of all keys of an account together
}

// burst is how many seconds' worth of requests may come at once.
const burst = 2

// Limiter tells who is calling, as Service does, and refuses those that call too often.
type Limiter struct {
	service *Service
	limits  Limits
	now     func() time.Time

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // by the id of a key or an account
	swept   time.Time
}

// NewLimiter makes a limiter in front of s.
func NewLimiter(s *Service, l Limits) *Limiter {
	return &Limiter{service: s, limits: l, now: s.now, buckets: map[string]*rate.Limiter{}}
}

// Authenticate answers who holds a key. The error of one who calls too often is RateLimited and says when to call again.
func (l *Limiter) Authenticate(ctx context.Context, key string) (op.Actor, error) {
	a, err := l.service.Authenticate(ctx, key)
	if err != nil {
		return op.Actor{}, err
	}
	return a, l.take(a)
}

// take counts one request of a.
func (l *Limiter) take(a op.Actor) error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	ofKey := l.reserve(a.KeyID, l.limits.Key, now)
	if wait := delay(ofKey, now); wait > 0 {
		return tooOften("This API key", l.limits.Key, wait)
	}
	if wait := delay(l.reserve(a.Account, l.limits.Account, now), now); wait > 0 {
		ofKey.CancelAt(now) // what was refused is not counted
		return tooOften("This account", l.limits.Account, wait)
	}
	return nil
}

var unlimited = rate.NewLimiter(rate.Inf, 0)

func (l *Limiter) reserve(id string, perSecond int, now time.Time) *rate.Reservation {
	if perSecond == 0 || id == "" {
		return unlimited.ReserveN(now, 1)
	}
	b := l.buckets[id]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(perSecond), burst*perSecond)
		l.buckets[id] = b
	}
	return b.ReserveN(now, 1)
}

// delay is how long a reservation has to wait; one that has to is given back.
func delay(r *rate.Reservation, now time.Time) time.Duration {
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// sweepEvery bounds how long a bucket is kept that nobody takes from.
const sweepEvery = time.Minute

// sweep forgets the buckets that are full again: they are as good as new ones. So as many are kept as keys and accounts
// were used within sweepEvery.
func (l *Limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for id, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, id)
		}
	}
}

func tooOften(who string, perSecond int, wait time.Duration) error {
	e := errs.New(errs.RateLimited, "%s has made more than %d requests a second. Wait %d ms and go on more slowly.", who, perSecond,
		int64(math.Ceil(wait.Seconds()*1000)))
	e.RetryAfter = wait
	return e
}
