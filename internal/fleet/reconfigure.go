package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

// UpdateConfig changes the config of an instance. Either all of the change is good and a new revision holds it, or nothing
// changes. Commands see the new environment from the next one on. New limits hold at once when nothing runs in the
// instance, and otherwise from its next restart on.
func (s *Service) UpdateConfig(ctx context.Context, in UpdateConfigIn) (ConfigOut, error) {
	r, err := s.row(ctx, in.ID)
	if err != nil {
		return ConfigOut{}, err
	}
	u := s.unit(r.Account, r.ID)
	out, b, err := s.reconfigure(ctx, u, &r, in)
	if err != nil {
		return ConfigOut{}, err
	}
	if b != nil && b.limits != out.Config.sandboxLimits() && !s.renew(ctx, u, b) {
		out.Note = fmt.Sprintf("Processes are running in %s, so the new limits hold from its next restart on.", r.Name)
	}
	return out, nil
}

// reconfigure stores a change and answers the sandbox that was started with the config before it, if one runs.
func (s *Service) reconfigure(ctx context.Context, u *unit, r *row, in UpdateConfigIn) (ConfigOut, *box, error) {
	u.configuring.Lock()
	defer u.configuring.Unlock()
	var out ConfigOut
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		now, err := find(tx, r.Account, r.ID)
		if err != nil {
			return err
		}
		*r = now
		if r.Status == Deleting {
			return errs.New(errs.Conflict, "%s is being deleted.", r.Name)
		}
		if in.Revision != nil && *in.Revision != r.Revision {
			return errs.New(errs.Conflict, "The config of %s has revision %d by now, and the change was meant for %d. Read it again, then change it.", r.Name, r.Revision, *in.Revision)
		}
		before, err := readConfig(tx, r.Account, r.ID, r.Revision)
		if err != nil {
			return err
		}
		after, err := before.apply(in.ConfigChange, "")
		if err != nil {
			return err
		}
		out = ConfigOut{Config: after, Revision: r.Revision}
		if reflect.DeepEqual(before, after) {
			return nil
		}
		r.Revision++
		r.UpdatedAt = db.Millis(time.Now())
		out.Revision = r.Revision
		if err := insertConfig(tx, r.Account, r.ID, r.Revision, after, r.UpdatedAt); err != nil {
			return err
		}
		if _, err := updateRow(tx, *r, r.Change); err != nil {
			return err
		}
		return s.tell(tx, *r, "instance.config", map[string]any{"revision": r.Revision})
	})
	return out, u.live(), err
}

// renew replaces a sandbox in which nothing runs by one with the limits of the newest config; it answers false when
// something does run.
func (s *Service) renew(ctx context.Context, u *unit, b *box) bool {
	b.using.Lock() // no command begins meanwhile
	idle := childless(b.PID())
	if idle {
		if err := u.kill(); err != nil {
			s.log.Error("instance", "instance", u.id, "error", err)
			idle = false
		}
	}
	b.using.Unlock()
	if idle {
		_ = await(ctx, s.kick(u, false, true), createWait) // it goes on by itself
	}
	return idle
}

// childless tells whether a process has no children.
func childless(pid int) bool {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		return false
	}
	for _, list := range lists {
		if children, err := os.ReadFile(list); err != nil || strings.TrimSpace(string(children)) != "" {
			return false
		}
	}
	return true
}
