package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/job"
)

// stopWait is how long an operation waits for work that it stopped, or asked for, to be over.
const stopWait = 30 * time.Second

// CancelOut is the cancelled experiment.
type CancelOut struct {
	Experiment Experiment `json:"experiment"`
}

// Cancel stops the work on an experiment. What was scored stays, and the instances stay too.
func (s *Service) Cancel(ctx context.Context, in RefIn) (CancelOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return CancelOut{}, err
	}
	var st *state
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if st, err = sketch(tx, acct, in.ID); err != nil {
			return err
		}
		switch st.Status {
		case Running:
			st.Status = Cancelling
			if err := s.tell(tx, st.row, "experiment.progress", Progress{Stage: Cancelling, Text: st.Name + " is being cancelled."}); err != nil {
				return err
			}
			// A job that waits for its next try must not be waited for, so the experiment is at rest without it.
			return updateExperiment(tx, st.row)
		case Cancelling, Cancelled:
			return nil
		}
		return errs.New(errs.Conflict, "%s is %s; there is nothing to cancel.", st.Name, st.Status)
	})
	if err != nil {
		return CancelOut{}, err
	}
	wait(ctx, s.interrupt(st.ID))
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if st, err = sketch(tx, acct, st.ID); err != nil {
			return err
		}
		if st.Status != Cancelling {
			return nil
		}
		// Nobody of this process works on it, so nobody else says that it is over. A job that is left finds nothing to do.
		if err := s.cancelled(tx, st); err != nil {
			return err
		}
		st, err = sketch(tx, acct, st.ID)
		return err
	})
	return CancelOut{Experiment: st.view()}, err
}

// cancelled stores that an experiment was cancelled.
func (s *Service) cancelled(tx *db.Tx, st *state) error {
	st.Status, st.Goal, st.Stage = Cancelled, "{}", ""
	if err := updateExperiment(tx, st.row); err != nil {
		return err
	}
	for _, g := range st.generations {
		if g.Status == Running {
			g.Status = Cancelled
			if err := updateGeneration(tx, g); err != nil {
				return err
			}
		}
	}
	return s.tell(tx, st.row, "experiment.cancelled", Progress{Stage: Cancelled, Text: st.Name + " is cancelled."})
}

// wait waits for a channel to be closed, not for ever.
func wait(ctx context.Context, done <-chan struct{}) {
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// OKOut is the answer of what has nothing to tell.
type OKOut struct {
	OK bool `json:"ok"`
}

// Delete removes an experiment with the instances of its variants. An instance in production stays. When the removal takes
// long it goes on after the answer.
func (s *Service) Delete(ctx context.Context, in RefIn) (OKOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return OKOut{}, err
	}
	var st *state
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if st, err = sketch(tx, acct, in.ID); err != nil {
			return err
		}
		if st.Status != Deleting {
			st.Status, st.Stage = Deleting, ""
			if err := updateExperiment(tx, st.row); err != nil {
				return err
			}
			if err := s.tell(tx, st.row, "experiment.deleting", Progress{Stage: Deleting, Text: st.Name + " is being deleted."}); err != nil {
				return err
			}
		}
		_, err := s.jobs.Enqueue(tx, job.Spec{Kind: jobDelete, Key: st.ID, Account: acct, Payload: jobPayload{st.ID}})
		return err
	})
	if err != nil {
		return OKOut{}, err
	}
	s.interrupt(st.ID)
	limit, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	err = s.watch(limit, func() (bool, error) {
		_, err := s.sketch(ctx, st.ID)
		if errs.Is(err, errs.NotFound) {
			return true, nil
		}
		return false, err
	})
	return OKOut{OK: true}, err
}

// watch looks until something has come about or ctx ends, which is no error.
func (s *Service) watch(ctx context.Context, look func() (bool, error)) error {
	const pause = 20 * time.Millisecond
	for wait := pause; ; wait = min(2*wait, 500*time.Millisecond) {
		done, err := look()
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// deleteJob removes the instances of an experiment, and then all that is stored of it.
func (s *Service) deleteJob(ctx context.Context, j job.Job) error {
	var in jobPayload
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	ctx = asSystem(ctx, j.Account)
	ctx, done := s.hold(ctx, in.ID)
	defer done()
	st, err := s.sketch(ctx, in.ID)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range st.variants {
		if v.Instance == "" {
			continue
		}
		if err := s.at("delete instance"); err != nil {
			return err
		}
		if kept, err := s.inProduction(ctx, v.Instance); err != nil || kept {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.remove(ctx, v.Instance); err != nil {
			return err
		}
	}
	return s.db.Update(ctx, func(tx *db.Tx) error {
		if err := erase(tx, j.Account, in.ID); err != nil {
			return err
		}
		if err := s.events.Forget(tx, j.Account, in.ID); err != nil {
			return err
		}
		return s.jobs.Complete(tx, j)
	})
}

// inProduction tells whether an instance is one that a promotion runs in.
func (s *Service) inProduction(ctx context.Context, instance string) (bool, error) {
	acct, err := account(ctx)
	if err != nil {
		return false, err
	}
	var n int
	err = s.db.View(ctx, func(tx *db.Tx) error {
		n, err = activePromotions(tx, acct, instance)
		return err
	})
	return n > 0, err
}
