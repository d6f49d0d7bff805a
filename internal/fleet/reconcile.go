package fleet

import (
	"context"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/sandbox"
)

// Reconcile takes up what a process before this one left: it removes folders of no instance, finishes what was under way and,
// in the background, brings the active instances up. An instance that is asked for comes first.
func (s *Service) Reconcile(ctx context.Context) error {
	var all []resting
	if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		all, err = everyInstance(tx)
		return err
	}); err != nil {
		return fmt.Errorf("read instances: %w", err)
	}
	known := make(map[string]bool, len(all))
	for _, r := range all {
		known[r.ID] = true
	}
	dir, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("folder of the instances: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if e := dir.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("folder of the instances: %w", err)
	}
	for _, name := range names {
		if known[name] {
			continue
		}
		if err := sandbox.Remove(s.root, name); err != nil {
			s.log.Warn("a folder of no instance can't be removed", "folder", name, "error", err)
		}
	}
	for _, r := range all {
		switch r.Status {
		case Provisioning, Active, Deleting:
			s.kick(s.unit(r.Account, r.ID), false, false)
		}
	}
	return nil
}

// erase removes everything of an instance that is being deleted, the row last, so that a crash in between is made up for.
func (s *Service) erase(ctx context.Context, u *unit, r row) error {
	if err := u.kill(); err != nil {
		return fmt.Errorf("end the sandbox: %w", err)
	}
	u.log.Close()
	if err := sandbox.Remove(s.root, r.ID); err != nil {
		return fmt.Errorf("remove the files: %w", err)
	}
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		if s.secrets != nil {
			if err := s.secrets.Forget(tx, r.Account, r.ID); err != nil {
				return err
			}
		}
		if err := eraseRows(tx, r.Account, r.ID); err != nil {
			return err
		}
		if err := s.tell(tx, r, "instance.deleted", nil); err != nil {
			return err
		}
		return s.events.Forget(tx, r.Account, r.ID)
	})
	if err != nil {
		return err
	}
	return s.forget(u)
}

// forget drops the unit of an instance that is gone.
func (s *Service) forget(u *unit) error {
	if err := u.kill(); err != nil {
		return err
	}
	u.log.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.units[u.id] == u {
		delete(s.units, u.id)
	}
	return nil
}
