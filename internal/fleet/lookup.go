package fleet

import (
	"context"
	"errors"
	"slices"
	"strings"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// account is the account of the caller.
func account(ctx context.Context) (string, error) {
	a := op.ActorFrom(ctx).Account
	if a == "" {
		return "", errs.New(errs.Unauthenticated, "Nobody is signed in.")
	}
	return a, nil
}

// find answers an instance of an account by id or name. An instance that is being deleted has lost its name.
func find(tx *db.Tx, account, ref string) (row, error) {
	r, err := row{}, db.ErrNoRows
	if id.Is(id.Instance, ref) {
		r, err = rowByID(tx, account, ref)
	} else if ref != "" {
		r, err = rowByName(tx, account, ref)
	}
	if errors.Is(err, db.ErrNoRows) {
		return row{}, errs.New(errs.NotFound, "There is no instance %q.", clip(ref))
	}
	return r, err
}

// clip keeps what somebody wrote short enough to be repeated to them.
func clip(s string) string {
	if r := []rune(strings.ToValidUTF8(s, "\uFFFD")); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// inRow reads in a transaction that found the instance.
func (s *Service) inRow(ctx context.Context, ref string, fn func(tx *db.Tx, r row) error) error {
	acct, err := account(ctx)
	if err != nil {
		return err
	}
	return s.db.View(ctx, func(tx *db.Tx) error {
		r, err := find(tx, acct, ref)
		if err != nil {
			return err
		}
		return fn(tx, r)
	})
}

// row answers an instance's row.
func (s *Service) row(ctx context.Context, ref string) (row, error) {
	var found row
	err := s.inRow(ctx, ref, func(_ *db.Tx, r row) error {
		found = r
		return nil
	})
	return found, err
}

// Resolve answers an instance of the actor's account by its id or name.
func (s *Service) Resolve(ctx context.Context, ref string) (Instance, error) {
	var in Instance
	err := s.inRow(ctx, ref, func(tx *db.Tx, r row) error {
		skills, err := skillsOf(tx, r.Account, r.ID)
		in = s.view(r, skills)
		return err
	})
	return in, err
}

// ResolveMany answers instances by their ids or names, each once, in the order given. One that is not found is an error.
func (s *Service) ResolveMany(ctx context.Context, refs []string) ([]Instance, error) {
	acct, err := account(ctx)
	if err != nil {
		return nil, err
	}
	var out []Instance
	err = s.db.View(ctx, func(tx *db.Tx) error {
		seen := map[string]bool{}
		for _, ref := range refs {
			r, err := find(tx, acct, ref)
			if err != nil {
				return err
			}
			if seen[r.ID] {
				continue
			}
			seen[r.ID] = true
			skills, err := skillsOf(tx, acct, r.ID)
			if err != nil {
				return err
			}
			out = append(out, s.view(r, skills))
		}
		return nil
	})
	return out, err
}

// Select answers the instances that are named by refs or match the label selector, each once. At least one of the two
// MUST be given.
func (s *Service) Select(ctx context.Context, refs []string, label string) ([]Instance, error) {
	if len(refs) == 0 && label == "" {
		return nil, errs.BadField("instances", "say which instances: their names or ids, or a label such as env=staging")
	}
	out, err := s.ResolveMany(ctx, refs)
	if err != nil || label == "" {
		return out, err
	}
	listed, err := s.List(ctx, ListIn{Label: label, Limit: maxList})
	if err != nil {
		return nil, err
	}
	for _, in := range listed.Instances {
		if in.Status != Deleting && !slices.ContainsFunc(out, func(o Instance) bool { return o.ID == in.ID }) {
			out = append(out, in)
		}
	}
	return out, nil
}

const maxList = 10_000

// ListIn is the input of List.
type ListIn struct {
	Label      string `json:"label,omitempty" doc:"A label selector, such as env=prod or env!=prod,team in (search,ads)." maxLen:"500"`
	Status     string `json:"status,omitempty" doc:"Only instances with this status." enum:"provisioning,active,inactive,suspended,error,deleting"`
	Experiment string `json:"experiment,omitempty" doc:"Only instances of this experiment: its id." maxLen:"100"`
	Limit      int    `json:"limit,omitempty" doc:"How many instances at most." min:"1" max:"10000" default:"500"`
	After      string `json:"after,omitempty" doc:"The next of the answer before, to go on from there." maxLen:"100"`
}

// ListOut is a page of instances, in the order of their making.
type ListOut struct {
	Instances []Instance `json:"instances"`
	Next      string     `json:"next,omitempty"` // the after of the next page
}

// List answers the instances of the actor's account.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	out := ListOut{Instances: []Instance{}}
	acct, err := account(ctx)
	if err != nil {
		return out, err
	}
	var sel selector
	if in.Label != "" {
		if sel, err = parseSelector("label", in.Label); err != nil {
			return out, err
		}
	}
	if in.After != "" && !id.Is(id.Instance, in.After) {
		return out, errs.BadField("after", "must be the next of the answer before")
	}
	if in.Limit <= 0 {
		in.Limit = 500
	}
	err = s.db.View(ctx, func(tx *db.Tx) error {
		rows, err := listRows(tx, acct, in.After)
		if err != nil {
			return err
		}
		skills, err := skillsOfAll(tx, acct)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if in.Status != "" && r.Status != in.Status || in.Experiment != "" && r.Experiment != in.Experiment || !sel.matches(r.labels()) {
				continue
			}
			if len(out.Instances) == in.Limit {
				out.Next = out.Instances[in.Limit-1].ID
				break
			}
			out.Instances = append(out.Instances, s.view(r, skills[r.ID]))
		}
		return nil
	})
	return out, err
}

// RefIn names an instance.
type RefIn struct {
	ID string `json:"id" doc:"The instance: its id or name." ref:"instance"`
}

// InstanceOut is one instance.
type InstanceOut struct {
	Instance Instance `json:"instance"`
}

// OKOut is the answer of what has nothing to tell.
type OKOut struct {
	OK bool `json:"ok"`
}

// Get answers an instance.
func (s *Service) Get(ctx context.Context, in RefIn) (InstanceOut, error) {
	found, err := s.Resolve(ctx, in.ID)
	return InstanceOut{Instance: found}, err
}
