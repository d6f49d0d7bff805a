package auth

import "time"

// SetClock replaces the clock of s, and of the limiters that are made of it afterwards.
func SetClock(s *Service, now func() time.Time) { s.now = now }

// Buckets is how many callers l remembers.
func Buckets(l *Limiter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets)
}
