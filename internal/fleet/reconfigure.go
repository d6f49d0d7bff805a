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
	acct, err := account(ctx)
	if err != nil {
		return ConfigOut{}, err
	}
	var out ConfigOut
	var r row
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if r, err = find(tx, acct, in.ID); err != nil {
			return err
		}
		if r.Status == Deleting {
			return errs.New(errs.Conflict, "%s is being deleted.", r.Name)
		}
		if in.Revision != nil && *in.Revision != r.Revision {
			return errs.New(errs.Conflict, "The config of %s has revision %d by now, and the change was meant for %d. Read it again, then change it.", r.Name, r.Revision, *in.Revision)
		}
		before, err := readConfig(tx, acct, r.ID, r.Revision)
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
		if err := insertConfig(tx, acct, r.ID, r.Revision, after, r.UpdatedAt); err != nil {
			return err
		}
		if _, err := updateRow(tx, r, r.Change); err != nil {
			return err
		}
		return s.tell(tx, r, "instance.config", map[string]any{"revision": r.Revision})
	})
	if err != nil {
		return ConfigOut{}, err
	}
	u := s.unit(acct, r.ID)
	if b := u.live(); b != nil && b.limits != out.Config.sandboxLimits() && !s.renew(ctx, u, b) {
		out.Note = fmt.Sprintf("Processes are running in %s, so the new limits hold from its next restart on.", r.Name)
	}
	return out, nil
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
		if children, err := os.ReadFile(list); err != nil || strings.TrimSpace(string(children)) != "" { //nolint:gosec // made of a number
			return false
		}
	}
	return true
}
