package fleet

import (
	"context"
	"errors"
	"time"

	"yardmaster/internal/errs"
)

// notReady says why an instance can't be worked with, and the way out.
func notReady(r row) string {
	switch r.Status {
	case Provisioning:
		return "it is still being set up; try again in a moment."
	case Inactive:
		return "it is stopped. Start it first."
	case Suspended:
		return "it is suspended: " + r.LastError + " Start it to go on."
	case Failed:
		return "it failed: " + r.LastError + " Restart it to try again, or delete it."
	case Deleting:
		return "it is being deleted."
	}
	return "it is not up; try again in a moment."
}

// maxPasses bounds how often up looks again at an instance that should run and does not.
const maxPasses = 20

// up answers the running sandbox of an instance. One that should run but does not yet is started first.
func (s *Service) up(ctx context.Context, ref string) (row, *unit, *box, error) {
	limit := time.Now().Add(changeWait)
	for pass := 1; ; pass++ {
		r, err := s.row(ctx, ref)
		if err != nil {
			return row{}, nil, nil, err
		}
		if r.Status != Active && r.Status != Provisioning {
			return row{}, nil, nil, errs.New(errs.Conflict, "%s can't be used now: %s", r.Name, notReady(r))
		}
		u := s.unit(r.Account, r.ID)
		if b := u.live(); r.Status == Active && b != nil && b.boot == r.Restarts {
			return r, u, b, nil
		}
		err = await(ctx, s.kick(u, false, true), time.Until(limit))
		if s.ctx.Err() != nil {
			return row{}, nil, nil, errClosed
		}
		if errors.Is(err, errSlow) || pass == maxPasses {
			return row{}, nil, nil, errs.New(errs.Unavailable, "%s can't be used now: %s", r.Name, notReady(r))
		}
		if err != nil {
			return row{}, nil, nil, err
		}
	}
}

// still answers the row of an instance whose files are at rest: what is being set up is waited for. The instance need not
// run.
func (s *Service) still(ctx context.Context, ref string) (row, error) {
	r, err := s.row(ctx, ref)
	if err != nil || r.Status != Provisioning {
		return r, err
	}
	err = await(ctx, s.kick(s.unit(r.Account, r.ID), false, true), changeWait)
	if err != nil && !errors.Is(err, errSlow) {
		return row{}, err
	}
	if r, err = s.row(ctx, r.ID); err == nil && !r.Ready {
		err = errs.New(errs.Conflict, "%s has no files yet: %s", r.Name, notReady(r))
	}
	return r, err
}
