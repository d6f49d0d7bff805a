package fleet

import (
	"context"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// CloneIn is the input of Clone.
type CloneIn struct {
	ID    string `json:"id" doc:"The instance to clone: its id or name." ref:"instance"`
	Name  string `json:"name,omitempty" doc:"The name of the clone; several clones get -1, -2 … behind it. Made from the source's name when left out." maxLen:"500"`
	Count int    `json:"count,omitempty" doc:"How many clones." min:"1" max:"100" default:"1"`
}

// CloneOut is the clones.
type CloneOut struct {
	Instances []Instance `json:"instances"`
}

// Clone makes copies of an instance; the package documentation says what they get of it. It is all or nothing. The
// answer comes when the copies run, but after two seconds at the latest.
func (s *Service) Clone(ctx context.Context, in CloneIn) (CloneOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return CloneOut{}, err
	}
	if in.Count == 0 {
		in.Count = 1
	}
	if in.Count < 1 || in.Count > 100 {
		return CloneOut{}, errs.BadField("count", "must be from 1 to 100")
	}
	src, err := s.still(ctx, in.ID)
	if err != nil {
		return CloneOut{}, err
	}
	if !src.Ready {
		return CloneOut{}, errs.New(errs.Conflict, "%s can't be cloned: %s", src.Name, notReady(src))
	}
	names := make([]string, in.Count)
	for i := range names {
		if names[i] = in.Name; in.Name != "" && in.Count > 1 {
			names[i] = fmt.Sprintf("%s-%d", in.Name, i+1)
		}
		if in.Name != "" {
			if err := checkName("name", names[i]); err != nil {
				return CloneOut{}, err
			}
		}
	}
	base := src.Name + "-clone"
	if in.Count > 1 {
		base = src.Name
	}
	effect := op.IdempotencyKey(ctx)
	made := make([]planned, in.Count)
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		now, err := rowByID(tx, acct, src.ID)
		if err != nil {
			return err
		}
		if now.Status == Deleting {
			return errs.New(errs.Conflict, "%s is being deleted.", now.Name)
		}
		config, err := readConfig(tx, acct, now.ID, now.Revision)
		if err != nil {
			return err
		}
		skills, err := skillsOf(tx, acct, now.ID)
		if err != nil {
			return err
		}
		for i := range made {
			one := ""
			if effect != "" {
				one = fmt.Sprintf("%s#%d", effect, i)
			}
			p := planned{row: s.newRow(acct, now.Kind, one), config: config}
			p.row.Labels, p.row.Source = now.Labels, now.ID
			for _, k := range skills {
				k.Placed = ""
				p.skills = append(p.skills, k)
			}
			if err := s.insert(tx, &p, names[i], base, "name"); err != nil {
				return err
			}
			made[i] = p
		}
		return nil
	})
	if err != nil {
		return CloneOut{}, err
	}
	ids := make([]string, len(made))
	limit, cancel := context.WithTimeout(ctx, createWait)
	defer cancel()
	for i, p := range made {
		ids[i] = p.row.ID
		s.kick(s.unit(acct, p.row.ID), false, true)
	}
	for _, id := range ids {
		if await(limit, s.kick(s.unit(acct, id), false, true), createWait) != nil {
			break // the rest goes on without us
		}
	}
	if err := ctx.Err(); err != nil {
		return CloneOut{}, err
	}
	out, err := s.ResolveMany(ctx, ids)
	return CloneOut{Instances: out}, err
}
