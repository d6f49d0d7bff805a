package fleet

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"sync"
	"time"

	"yardmaster/internal/fleet/logs"
	"yardmaster/internal/sandbox"
)

// unit is what a process holds in memory of one instance. An instance at rest has no goroutine but the one that waits for
// its sandbox to die.
type unit struct {
	id, account string
	log         *logs.Log

	mu      sync.Mutex
	box     *box               // nil when it is not up
	working bool               // a goroutine is making the world as the row says
	again   bool               // the row changed since that goroutine looked
	rest    chan struct{}      // closed when that goroutine ends
	cancel  context.CancelFunc // interrupts what that goroutine does now
	asked   chan struct{}      // closed when somebody waits for that goroutine
	deaths  int                // how often the sandbox died by itself, in a row

	placing     sync.Mutex // held while installed skills change
	configuring sync.Mutex // held while the config changes, and while a sandbox starts with it
}

// box is a running sandbox.
type box struct {
	sandbox.Sandbox
	boot   int // the count of restarts that it was started for
	limits sandbox.Limits
	since  time.Time
	ending bool // killed by us; guarded by the unit's mu
	using  sync.RWMutex
}

func (b *box) dead() bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

// ends tells whether the sandbox is dying: the command that found it so may be told before Done is closed.
func (b *box) ends(ctx context.Context) bool {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-b.Done():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// unit answers the unit of an instance, made when needed.
func (s *Service) unit(account, id string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.units[id]
	if !ok {
		u = &unit{id: id, account: account, log: logs.New(s.root, path.Join(id, "logs"), logs.Limits{})}
		s.units[id] = u
	}
	return u
}

// The folders of an instance below the service's root.
func homeOf(id string) string   { return path.Join(id, "home") }
func skillsOn(id string) string { return path.Join(id, "skills") }

func (s *Service) hostPath(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// live answers the running sandbox, or nil.
func (u *unit) live() *box {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.box == nil || u.box.dead() {
		return nil
	}
	return u.box
}

// kill ends the sandbox, if there is one.
func (u *unit) kill() error {
	u.mu.Lock()
	b := u.box
	u.box = nil
	if b != nil {
		b.ending = true
	}
	u.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := b.Kill(); err != nil {
		u.mu.Lock()
		if u.box == nil { // it may live on, so it must not be forgotten
			u.box = b
		}
		u.mu.Unlock()
		return err
	}
	return nil
}

// kick has the world made as the instance's row says, as it is when kick is called or later, and answers a channel that
// is closed when that is done. When what is wanted was changed, what is being done for the row before it is interrupted.
// Somebody who waits is served before starts that nobody waits for.
func (s *Service) kick(u *unit, changed, waiting bool) <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.working {
		u.again = true
		if changed && u.cancel != nil {
			u.cancel()
		}
	} else {
		u.rest, u.asked = make(chan struct{}), make(chan struct{})
		u.again = false
		if !s.goes(&s.working, func() { s.work(u) }) {
			close(u.rest)
			return u.rest
		}
		u.working = true
	}
	if waiting {
		select {
		case <-u.asked:
		default:
			close(u.asked)
		}
	}
	return u.rest
}

// work converges until nothing changed meanwhile.
func (s *Service) work(u *unit) {
	for {
		ctx, cancel := context.WithCancel(s.ctx)
		u.mu.Lock()
		u.cancel, u.again = cancel, false
		u.mu.Unlock()
		err := s.converge(ctx, u)
		interrupted := ctx.Err() != nil
		cancel()
		if err != nil && !interrupted {
			s.log.Error("instance", "instance", u.id, "error", err)
			time.AfterFunc(retryWait, func() { s.kick(u, false, false) })
		}
		u.mu.Lock()
		if !u.again || s.ctx.Err() != nil {
			u.working, u.cancel = false, nil
			close(u.rest)
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
	}
}

// await waits until a channel of kick is closed.
func await(ctx context.Context, rest <-chan struct{}, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-rest:
		return nil
	case <-timer.C:
		return errSlow
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errSlow = errors.New("not done in time")
