package experiment

import (
	"context"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/job"
)

// Rollback takes the last promotion of the experiment back: what it replaced is in production again, or nothing is.
func (s *Service) Rollback(ctx context.Context, in RefIn) (PromoteOut, error) {
	st, err := s.state(ctx, in.ID)
	if err != nil {
		return PromoteOut{}, err
	}
	var p promotionRow
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		all, err := promotions(tx, st.Account, st.Skill)
		if err != nil {
			return err
		}
		for _, q := range all {
			if q.Status == promoting || q.Status == rollingBack {
				return errs.New(errs.Conflict, "A promotion of %s is under way; try again in a moment.", st.SkillName)
			}
			if q.Status == active && q.Experiment == st.ID && p.ID == "" {
				p = q
			}
		}
		if p.ID == "" {
			return errs.New(errs.Conflict, "No variant of %s is in production, so there is nothing to roll back.", st.Name)
		}
		p.Status = rollingBack
		if err := updatePromotion(tx, p); err != nil {
			return err
		}
		if err := decide(tx, st.row, "rollback", st.Generation, p.Variant, actorOf(ctx), map[string]any{"promotion": p.ID}); err != nil {
			return err
		}
		return s.enqueuePromotion(tx, p)
	})
	if err != nil {
		return PromoteOut{}, err
	}
	out, err := s.awaitPromotion(ctx, p.ID, st.ID)
	if err != nil {
		return out, err
	}
	if out.Promotion.Status == active {
		return out, errs.New(errs.Unavailable, "The rollback failed: %s", out.Promotion.LastError)
	}
	out.Notes = append(out.Notes, fmt.Sprintf("%s is out of production.", out.Promotion.Variant))
	if out.Experiment.Production != "" {
		out.Notes = append(out.Notes, fmt.Sprintf("%s is in production again.", out.Experiment.Production))
	}
	return out, nil
}

func (s *Service) carryRollback(ctx context.Context, j job.Job, st *state, p promotionRow) error {
	if err := s.at("roll back"); err != nil {
		return err
	}
	var before *promotionRow
	var owner *state
	if p.Previous != "" {
		err := s.db.View(ctx, func(tx *db.Tx) error {
			b, err := promotion(tx, p.Account, p.Previous)
			if err != nil {
				return err
			}
			before = &b
			owner, err = s.read(tx, p.Account, b.Experiment)
			return err
		})
		if err != nil {
			return err
		}
	}
	if before == nil || before.Instance != p.Instance {
		if err := s.retire(ctx, st, p); err != nil {
			return err
		}
	}
	if before != nil {
		v := owner.variant(before.Variant)
		if v == nil {
			return errs.New(errs.NotFound, "The variant that was in production before is gone.")
		}
		if err := s.configure(ctx, owner, v, before.Instance, true); err != nil {
			return err
		}
	}
	if err := s.at("store rollback"); err != nil {
		return err
	}
	return s.endPromotion(ctx, j, st, p, func(p *promotionRow) (string, string) {
		p.Status = rolledBack
		return "experiment.rolled_back", st.nameOf(p.Variant) + " is out of production."
	})
}

// retire takes an instance out of production: one that was made for it goes, one that was given stays as it is otherwise.
func (s *Service) retire(ctx context.Context, st *state, p promotionRow) error {
	if !p.Given {
		return s.remove(ctx, p.Instance)
	}
	err := s.mark(ctx, st, p.Instance, false)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}
