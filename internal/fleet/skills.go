package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// InstallIn is the input of Install.
type InstallIn struct {
	ID        string   `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Instances []string `json:"instances,omitempty" doc:"The instances, by id or name." ref:"instance" max:"1000"`
	Label     string   `json:"label,omitempty" doc:"A label selector for instances, such as env=staging; may stand in place of instances or add to them." maxLen:"500"`
	Version   int      `json:"version,omitempty" doc:"The version to install; the newest when left out." min:"1"`
}

// UninstallIn is the input of Uninstall.
type UninstallIn struct {
	ID        string   `json:"id" doc:"The skill: its id or name." ref:"skill"`
	Instances []string `json:"instances,omitempty" doc:"The instances, by id or name." ref:"instance" max:"1000"`
	Label     string   `json:"label,omitempty" doc:"A label selector for instances, such as env=staging; may stand in place of instances or add to them." maxLen:"500"`
}

// SkillResult is what came of it for one instance.
type SkillResult struct {
	Instance string `json:"instance"` // name
	ID       string `json:"id"`
	OK       bool   `json:"ok"`
	Detail   string `json:"detail,omitempty"`
}

// SkillResults is what came of it for each instance.
type SkillResults struct {
	Results []SkillResult `json:"results"`
}

// skillVersion asks the store of skills.
func (s *Service) skillVersion(ctx context.Context, ref string, n int) (SkillVersion, error) {
	if s.skills == nil {
		return SkillVersion{}, errs.New(errs.Unavailable, "This server has no store of skills.")
	}
	return s.skills.Version(ctx, ref, n)
}

// onEach works on several instances side by side; the failure of one is its result and holds up no other.
func (s *Service) onEach(ctx context.Context, on []Instance, work func(ctx context.Context, in Instance) (string, error)) SkillResults {
	out := SkillResults{Results: make([]SkillResult, len(on))}
	var g errgroup.Group
	g.SetLimit(8)
	for i, in := range on {
		g.Go(func() error {
			detail, err := work(ctx, in)
			if err != nil {
				if errs.CodeOf(err) == errs.Internal {
					s.log.Error("skill", "instance", in.ID, "error", err)
				}
				detail = errs.Public(err).Error()
			}
			out.Results[i] = SkillResult{Instance: in.Name, ID: in.ID, OK: err == nil, Detail: detail}
			return nil
		})
	}
	_ = g.Wait() // failures are in the results
	return out
}

// Install installs a version of a skill in instances, in place of the version they have. Running commands go on; the
// files are at /skills/NAME at once.
func (s *Service) Install(ctx context.Context, in InstallIn) (SkillResults, error) {
	v, err := s.skillVersion(ctx, in.ID, in.Version)
	if err != nil {
		return SkillResults{}, err
	}
	on, err := s.Select(ctx, in.Instances, in.Label)
	if err != nil {
		return SkillResults{}, err
	}
	return s.onEach(ctx, on, func(ctx context.Context, in Instance) (string, error) { return s.install(ctx, in.ID, v) }), nil
}

func (s *Service) install(ctx context.Context, id string, v SkillVersion) (string, error) {
	r, err := s.still(ctx, id)
	if err != nil {
		return "", err
	}
	u := s.unit(r.Account, r.ID)
	u.placing.Lock()
	defer u.placing.Unlock()
	none, err := json.Marshal([]string{})
	if err != nil {
		return "", err
	}
	k := skillRow{Instance: r.ID, Skill: v.ID, Name: v.Name, Version: v.Version, Digest: v.Digest, Withhold: string(none)}
	var before *skillRow
	if err := s.editSkills(ctx, &r, "instance.skill_installed", k, func(tx *db.Tx, rows []skillRow) (bool, error) {
		for _, old := range rows {
			if old.Skill == k.Skill {
				before, k.Withhold = &old, old.Withhold
				if old.Digest == k.Digest && old.Version == k.Version && old.Name == k.Name {
					k.Placed = old.Placed
					return false, nil
				}
			} else if old.Name == k.Name {
				return false, errs.New(errs.Conflict, "%s has another skill of the name %q; uninstall that one first.", r.Name, k.Name)
			}
		}
		return true, putSkill(tx, r.Account, k)
	}); err != nil {
		return "", err
	}
	detail := fmt.Sprintf("version %d is installed", k.Version)
	if k.Placed == k.Digest {
		return detail + " already", nil
	}
	if !r.Ready {
		return detail + " once the instance has started", nil
	}
	dir, err := s.openSkills(r.ID)
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	if before != nil && before.Name != k.Name {
		if err := sandbox.Remove(dir, before.Name); err != nil {
			return "", fmt.Errorf("skills folder: %w", err)
		}
	}
	if err := s.place(ctx, u, dir, k); err != nil {
		// What was installed before is what is installed still; its files are put back at the next start if they are gone.
		undo := s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
			if before == nil {
				_, err := dropSkill(tx, r.Account, r.ID, k.Skill)
				return err
			}
			return putSkill(tx, r.Account, *before)
		})
		return "", errors.Join(err, undo)
	}
	u.note(fmt.Sprintf("skill %s version %d installed", k.Name, k.Version))
	return detail, nil
}

// editSkills changes the installed skills of an instance in one transaction with the event, if edit says that it did.
func (s *Service) editSkills(ctx context.Context, r *row, event string, k skillRow, edit func(tx *db.Tx, rows []skillRow) (bool, error)) error {
	return s.db.Update(ctx, func(tx *db.Tx) error {
		now, err := find(tx, r.Account, r.ID)
		if err != nil {
			return err
		}
		if now.Status == Deleting {
			return errs.New(errs.Conflict, "%s is being deleted.", now.Name)
		}
		*r = now
		rows, err := skillsOf(tx, r.Account, r.ID)
		if err != nil {
			return err
		}
		changed, err := edit(tx, rows)
		if err != nil || !changed {
			return err
		}
		now.UpdatedAt = db.Millis(time.Now())
		if _, err := updateRow(tx, now, now.Change); err != nil {
			return err
		}
		return s.tell(tx, now, event, map[string]any{"skill": k.Skill, "skillName": k.Name, "version": k.Version})
	})
}

// Uninstall takes a skill off instances; the skill itself stays.
func (s *Service) Uninstall(ctx context.Context, in UninstallIn) (SkillResults, error) {
	ref := in.ID
	switch v, err := s.skillVersion(ctx, in.ID, 0); {
	case err == nil:
		ref = v.ID
	case !errs.Is(err, errs.NotFound):
		return SkillResults{}, err
	}
	on, err := s.Select(ctx, in.Instances, in.Label)
	if err != nil {
		return SkillResults{}, err
	}
	return s.onEach(ctx, on, func(ctx context.Context, in Instance) (string, error) { return s.uninstall(ctx, in.ID, ref) }), nil
}

// uninstall takes a skill, by its id or the name it is installed under, off an instance.
func (s *Service) uninstall(ctx context.Context, id, skill string) (string, error) {
	r, err := s.still(ctx, id)
	if err != nil {
		return "", err
	}
	u := s.unit(r.Account, r.ID)
	u.placing.Lock()
	defer u.placing.Unlock()
	rows, err := s.installed(ctx, r)
	if err != nil {
		return "", err
	}
	var k skillRow
	for _, have := range rows {
		if have.Skill == skill || have.Name == skill {
			k = have
		}
	}
	if k.Skill == "" {
		return "it was not installed", nil
	}
	if err := s.editSkills(ctx, &r, "instance.skill_uninstalled", k, func(tx *db.Tx, _ []skillRow) (bool, error) {
		return dropSkill(tx, r.Account, r.ID, k.Skill)
	}); err != nil {
		return "", err
	}
	if r.Ready {
		dir, err := s.openSkills(r.ID)
		if err != nil {
			return "", err
		}
		defer func() { _ = dir.Close() }()
		if err := sandbox.Remove(dir, k.Name); err != nil {
			return "", fmt.Errorf("skills folder: %w", err)
		}
	}
	u.note(fmt.Sprintf("skill %s uninstalled", k.Name))
	return "it is uninstalled", nil
}

func (s *Service) installed(ctx context.Context, r row) ([]skillRow, error) {
	var rows []skillRow
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = skillsOf(tx, r.Account, r.ID)
		return err
	})
	return rows, err
}

// SkillUsers answers the instances of the actor's account that have a skill, given by its id.
func (s *Service) SkillUsers(ctx context.Context, skill string) ([]Instance, error) {
	acct, err := account(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		ids, err = instancesWith(tx, acct, skill)
		return err
	}); err != nil {
		return nil, err
	}
	return s.ResolveMany(ctx, ids)
}

// RemoveSkill takes a skill, given by its id, off every instance of the actor's account.
func (s *Service) RemoveSkill(ctx context.Context, skill string) error {
	on, err := s.SkillUsers(ctx, skill)
	if err != nil {
		return err
	}
	for _, in := range on {
		if _, err := s.uninstall(ctx, in.ID, skill); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
