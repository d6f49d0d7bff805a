package fleet

import (
	"context"
	"errors"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// wish changes what is wanted of an instance, in one transaction with the events, and has it done. change edits the row
// and answers the event to append, or "" when nothing is to be changed.
func (s *Service) wish(ctx context.Context, ref string, change func(r *row) (event string, err error)) (row, <-chan struct{}, error) {
	acct, err := account(ctx)
	if err != nil {
		return row{}, nil, err
	}
	var r row
	changed := false
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if r, err = find(tx, acct, ref); err != nil {
			return err
		}
		read, was := r.Change, r.Status
		event, err := change(&r)
		if err != nil || event == "" {
			return err
		}
		if !allowed(was, r.Status) {
			return errs.New(errs.Conflict, "%s is %s, so that can't be done now.", r.Name, was)
		}
		changed = true
		r.Change, r.UpdatedAt = r.Change+1, db.Millis(time.Now())
		if _, err := updateRow(tx, r, read); err != nil {
			return err
		}
		return s.tell(tx, r, event, nil)
	})
	if err != nil {
		return row{}, nil, err
	}
	u := s.unit(acct, r.ID)
	if changed {
		u.mu.Lock()
		u.deaths = 0
		u.mu.Unlock()
	}
	return r, s.kick(u, changed, true), nil
}

func allowed(from, to string) bool {
	for _, s := range exits[from] {
		if s == to {
			return true
		}
	}
	return false
}

// arrive waits until a wish came true and answers the instance. One that could not be brought up is an error.
func (s *Service) arrive(ctx context.Context, r row, rest <-chan struct{}) (InstanceOut, error) {
	if err := await(ctx, rest, changeWait); err != nil && !errors.Is(err, errSlow) {
		return InstanceOut{}, err
	}
	out, err := s.Get(ctx, RefIn{ID: r.ID})
	if err == nil && out.Instance.Status == Failed {
		return out, errs.New(errs.Unavailable, "%s did not start: %s", out.Instance.Name, out.Instance.LastError)
	}
	return out, err
}

// Start starts a stopped instance. One that runs already is left as it is.
func (s *Service) Start(ctx context.Context, in RefIn) (InstanceOut, error) {
	r, rest, err := s.wish(ctx, in.ID, func(r *row) (string, error) {
		if r.Status == Active || r.Status == Provisioning {
			return "", nil
		}
		r.Status, r.LastError = Provisioning, ""
		return "instance.starting", nil
	})
	if err != nil {
		return InstanceOut{}, err
	}
	return s.arrive(ctx, r, rest)
}

// Restart ends all processes of an instance and starts it anew; a stopped one is started. Files, config and skills stay.
func (s *Service) Restart(ctx context.Context, in RefIn) (InstanceOut, error) {
	effect := op.IdempotencyKey(ctx)
	r, rest, err := s.wish(ctx, in.ID, func(r *row) (string, error) {
		if effect != "" && r.LastEffect == effect {
			return "", nil // done before, by a call whose answer was lost
		}
		r.Status, r.LastError, r.LastEffect = Provisioning, "", effect
		r.Restarts++
		return "instance.restarting", nil
	})
	if err != nil {
		return InstanceOut{}, err
	}
	return s.arrive(ctx, r, rest)
}

// Stop ends all processes of an instance; it stays stopped, with its files, config and skills, until it is started.
func (s *Service) Stop(ctx context.Context, in RefIn) (InstanceOut, error) {
	r, rest, err := s.wish(ctx, in.ID, func(r *row) (string, error) {
		if r.Status == Inactive {
			return "", nil
		}
		r.Status, r.LastError = Inactive, ""
		return "instance.inactive", nil
	})
	if err != nil {
		return InstanceOut{}, err
	}
	out, err := s.arrive(ctx, r, rest)
	if err == nil {
		s.unit(r.Account, r.ID).note("stopped")
	}
	return out, err
}

// Suspend stops an instance for the platform, with a reason for its owner: starting it is the way out. An instance that
// is failed or being deleted is left as it is.
func (s *Service) Suspend(ctx context.Context, ref, reason string) (InstanceOut, error) {
	r, rest, err := s.wish(ctx, ref, func(r *row) (string, error) {
		if r.Status == Suspended || !allowed(r.Status, Suspended) {
			return "", nil
		}
		r.Status, r.LastError = Suspended, reason
		return "instance.suspended", nil
	})
	if err != nil {
		return InstanceOut{}, err
	}
	if err := await(ctx, rest, changeWait); err != nil && !errors.Is(err, errSlow) {
		return InstanceOut{}, err
	}
	return s.Get(ctx, RefIn{ID: r.ID})
}

// Delete removes an instance with its files, config, logs, skills and grants. Its name is free at once. When the removal
// takes long it goes on after the answer.
func (s *Service) Delete(ctx context.Context, in RefIn) (OKOut, error) {
	_, rest, err := s.wish(ctx, in.ID, func(r *row) (string, error) {
		if r.Status == Deleting {
			return "", nil
		}
		r.Status, r.LastError, r.NameKey = Deleting, "", r.ID
		return "instance.deleting", nil
	})
	if err != nil {
		return OKOut{}, err
	}
	if err := await(ctx, rest, changeWait); err != nil && !errors.Is(err, errSlow) {
		return OKOut{}, err
	}
	return OKOut{OK: true}, nil
}

// UpdateIn is the input of Update.
type UpdateIn struct {
	ID     string             `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Name   *string            `json:"name,omitempty" doc:"The new name, such as storefront." maxLen:"500"`
	Labels map[string]*string `json:"labels,omitempty" doc:"Labels to set, such as {\"env\":\"prod\"}; null takes a label away, labels not named stay."`
}

// Update renames an instance or changes its labels. The host name inside follows at the next restart.
func (s *Service) Update(ctx context.Context, in UpdateIn) (InstanceOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return InstanceOut{}, err
	}
	if in.Name != nil {
		if err := checkName("name", *in.Name); err != nil {
			return InstanceOut{}, err
		}
	}
	var out InstanceOut
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		r, err := find(tx, acct, in.ID)
		if err != nil {
			return err
		}
		if r.Status == Deleting {
			return errs.New(errs.Conflict, "%s is being deleted.", r.Name)
		}
		before := r
		if in.Name != nil && *in.Name != r.Name {
			if nameKey(*in.Name) != r.NameKey {
				if used, err := nameTaken(tx, acct, *in.Name); err != nil {
					return err
				} else if used {
					return errs.New(errs.Conflict, "There is an instance %q already; choose another name.", *in.Name)
				}
			}
			r.Name, r.NameKey = *in.Name, nameKey(*in.Name)
		}
		labels := r.labels()
		if err := mergeLabels("labels", labels, in.Labels); err != nil {
			return err
		}
		if err := r.setLabels(labels); err != nil {
			return err
		}
		skills, err := skillsOf(tx, acct, r.ID)
		if err != nil {
			return err
		}
		if r != before {
			r.UpdatedAt = db.Millis(time.Now())
			if _, err := updateRow(tx, r, r.Change); err != nil {
				return err
			}
			if err := s.tell(tx, r, "instance.updated", map[string]any{"labels": labels}); err != nil {
				return err
			}
		}
		out.Instance = s.view(r, skills)
		return nil
	})
	return out, err
}
