package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/logs"
	"yardmaster/internal/sandbox"
)

// maxDeaths is how often a sandbox may die by itself, in a row, before its instance is given up.
const maxDeaths = 5

// stable is how long a sandbox must live for its death not to count as one in a row.
const stable = time.Minute

// converge reads what is wanted of an instance and does what is missing. Every step may be interrupted, by ctx or a
// crash, and taken again.
func (s *Service) converge(ctx context.Context, u *unit) error {
	var r row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = rowByID(tx, u.account, u.id)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return s.forget(u)
	}
	if err != nil {
		return err
	}
	switch r.Status {
	case Provisioning, Active:
		return s.raise(ctx, u, r)
	case Deleting:
		return s.erase(ctx, u, r)
	default:
		return u.kill()
	}
}

// raise brings an instance up.
func (s *Service) raise(ctx context.Context, u *unit, r row) error {
	if b := u.live(); b != nil && b.boot == r.Restarts && r.Ready {
		if r.Status == Active {
			return nil
		}
		return s.settle(ctx, u, r, b)
	}
	if err := u.kill(); err != nil {
		return fmt.Errorf("end the old sandbox: %w", err)
	}
	if r.Driver != s.driver.Name() {
		return s.fail(ctx, u, r, errs.New(errs.Unavailable,
			"The instance was made with the driver %q, and this server runs %q, which may isolate it less. Start the server with the driver %q, or make the instance anew.", r.Driver, s.driver.Name(), r.Driver))
	}
	if !r.Ready {
		if err := s.prepare(ctx, u, r); err != nil {
			return s.fail(ctx, u, r, err)
		}
		r.Ready = true
	}
	b, err := s.boot(ctx, u, r)
	if err != nil {
		return s.fail(ctx, u, r, err)
	}
	if r.Status == Active {
		u.note("started again")
		return nil
	}
	return s.settle(ctx, u, r, b)
}

// boot starts the sandbox of an instance whose files are ready.
func (s *Service) boot(ctx context.Context, u *unit, r row) (*box, error) {
	release, err := s.slot(ctx, u)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := s.placeSkills(ctx, u); err != nil {
		return nil, err
	}
	if _, err := s.root.Stat(homeOf(r.ID)); errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.Unavailable, "Its files are missing from the server's data folder. Put them back from a backup, or delete the instance.")
	}
	u.configuring.Lock()
	defer u.configuring.Unlock()
	var c Config
	if err := s.db.View(ctx, func(tx *db.Tx) error {
		now, err := rowByID(tx, r.Account, r.ID)
		if err != nil {
			return err
		}
		c, err = readConfig(tx, r.Account, r.ID, now.Revision)
		return err
	}); err != nil {
		return nil, err
	}
	limits := c.sandboxLimits()
	sb, err := s.driver.Start(ctx, sandbox.Spec{
		ID: r.ID, Hostname: hostname(r.Name), Home: s.hostPath(homeOf(r.ID)), Skills: s.hostPath(skillsOn(r.ID)), Limits: limits,
		Log: func(_ string, line []byte) { s.log.Debug("sandbox", "instance", r.ID, "line", string(line)) },
	})
	if err != nil {
		return nil, err
	}
	b := &box{Sandbox: sb, boot: r.Restarts, limits: limits, since: time.Now()}
	u.mu.Lock()
	u.box = b
	u.mu.Unlock()
	if !s.goes(&s.watchers, func() { s.watch(u, b) }) {
		return nil, errors.Join(errClosed, u.kill())
	}
	return b, nil
}

// slot waits for a turn to start a sandbox.
func (s *Service) slot(ctx context.Context, u *unit) (release func(), err error) {
	u.mu.Lock()
	asked := u.asked
	u.mu.Unlock()
	quiet := false
	select {
	case <-asked:
	default:
		select {
		case <-asked:
		case s.background <- struct{}{}:
			quiet = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	free := func() {
		if quiet {
			<-s.background
		}
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots; free() }, nil
	case <-ctx.Done():
		free()
		return nil, ctx.Err()
	}
}

// settle records that an instance is up.
func (s *Service) settle(ctx context.Context, u *unit, r row, b *box) error {
	read := r.Change
	r.Status, r.Ready, r.LastError = Active, true, ""
	r.Driver, r.Isolation = s.driver.Name(), s.facts
	r.StartedAt = db.Millis(b.since)
	ok, err := s.record(ctx, r, read, "instance.active")
	if ok {
		u.note("started")
	}
	return err
}

// fail records that an instance could not be brought up. A failure that comes of an interruption is none.
func (s *Service) fail(ctx context.Context, u *unit, r row, cause error) error {
	if ctx.Err() != nil {
		return nil
	}
	if errs.CodeOf(cause) == errs.Internal {
		s.log.Error("instance failed", "instance", r.ID, "error", cause)
	}
	read := r.Change
	r.Status, r.LastError = Failed, s.scrub(r.Account)(errs.Public(cause).Error())
	ok, err := s.record(ctx, r, read, "instance.error")
	if ok {
		u.note("failed: " + r.LastError)
	}
	return err
}

// record writes the outcome of work for a row that was read with change read, with its event; it answers false when
// something else is wanted by now.
func (s *Service) record(ctx context.Context, r row, read int64, event string) (bool, error) {
	r.UpdatedAt = db.Millis(time.Now())
	ok := false
	err := s.db.Update(ctx, func(tx *db.Tx) (err error) {
		// What may change while the work goes on, without being another wish, is kept as it is now.
		now, err := rowByID(tx, r.Account, r.ID)
		if errors.Is(err, db.ErrNoRows) || err == nil && now.Change != read {
			return nil
		}
		if err != nil {
			return err
		}
		r.Name, r.NameKey, r.Labels, r.Revision = now.Name, now.NameKey, now.Labels, now.Revision
		if ok, err = updateRow(tx, r, read); err != nil || !ok {
			return err
		}
		return s.tell(tx, r, event, nil)
	})
	return ok, err
}

// tell appends an event about an instance to its own stream and to that of all instances.
func (s *Service) tell(tx *db.Tx, r row, event string, more map[string]any) error {
	data := map[string]any{"id": r.ID, "name": r.Name, "status": r.Status}
	if r.LastError != "" {
		data["lastError"] = r.LastError
	}
	for k, v := range more {
		data[k] = v
	}
	for _, stream := range []string{r.ID, "instances"} {
		if _, err := s.events.Append(tx, r.Account, stream, event, data); err != nil {
			return err
		}
	}
	return nil
}

// note writes a line of the platform into the instance's log. The log is a convenience: when it can't be written, the
// work goes on.
func (u *unit) note(text string) { _ = u.log.Append(logs.System, logs.Clean(text)) }

// watch waits for a sandbox to die, and has it started again unless we killed it.
func (s *Service) watch(u *unit, b *box) {
	<-b.Done()
	u.mu.Lock()
	byUs := b.ending
	if u.box == b {
		u.box = nil
	}
	if !byUs {
		if time.Since(b.since) >= stable {
			u.deaths = 0
		}
		u.deaths++
	}
	deaths := u.deaths
	u.mu.Unlock()
	if byUs || s.ctx.Err() != nil {
		return
	}
	u.note("the sandbox died by itself")
	err := s.db.Update(s.ctx, func(tx *db.Tx) error {
		r, err := rowByID(tx, u.account, u.id)
		if err != nil || r.Status != Active || r.Restarts != b.boot {
			return err
		}
		if deaths < maxDeaths {
			return s.tell(tx, r, "instance.died", map[string]any{"deaths": deaths})
		}
		read := r.Change
		r.Status, r.Change, r.UpdatedAt = Failed, r.Change+1, db.Millis(time.Now())
		r.LastError = fmt.Sprintf("Its sandbox died by itself %d times in a row. Look at the log, then restart it.", deaths)
		if _, err := updateRow(tx, r, read); err != nil {
			return err
		}
		return s.tell(tx, r, "instance.error", nil)
	})
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		s.log.Error("instance died", "instance", u.id, "error", err)
	}
	wait := s.backoff(deaths)
	if deaths >= maxDeaths {
		u.mu.Lock()
		u.deaths = 0 // it is started anew only when somebody asks
		u.mu.Unlock()
		wait = 0
	}
	time.AfterFunc(wait, func() { s.kick(u, false, false) })
}
