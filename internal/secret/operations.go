package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
)

// maxSecrets bounds what one account may keep.
const maxSecrets = 2000

// stream is where the events of secrets are.
const stream = "secrets"

// ListIn is the input of List.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"The most secrets to answer." min:"1" max:"500" default:"100"`
	After string `json:"after,omitempty" doc:"Where to go on: the \"next\" of the answer before." maxLen:"64"`
}

// ListOut is the output of List.
type ListOut struct {
	Secrets []Secret `json:"secrets"`
	Next    string   `json:"next,omitempty"`
}

// List lists the secrets of the account and who may use them.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	out := ListOut{Secrets: []Secret{}}
	acct, err := account(ctx)
	if err != nil {
		return out, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 100
	}
	var rows []row
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRows(tx, acct, in.After, limit+1)
		return err
	})
	if err != nil {
		return out, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = rows[limit-1].ID
	}
	out.Secrets, err = s.show(ctx, acct, rows...)
	return out, err
}

// show adds the grants to rows.
func (s *Service) show(ctx context.Context, account string, rows ...row) ([]Secret, error) {
	out := make([]Secret, len(rows))
	ids := make([]string, len(rows))
	for i := range rows {
		k, err := rows[i].secret()
		if err != nil {
			return nil, err
		}
		out[i], ids[i] = k, k.ID
	}
	var gs []grantRow
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		gs, err = grants(tx, account, ids...)
		return err
	})
	if err != nil {
		return nil, err
	}
	names := s.names(ctx, gs)
	for _, g := range gs {
		i := slices.Index(ids, g.Secret)
		out[i].Grants = append(out[i].Grants, Grant{g.Instance, names[g.Instance], db.Time(g.GrantedAt)})
	}
	return out, nil
}

// names answers the names that the instances of grants have now; for those that can't be found, the name at the granting.
func (s *Service) names(ctx context.Context, gs []grantRow) map[string]string {
	names := map[string]string{}
	var refs []string
	for _, g := range gs {
		if _, ok := names[g.Instance]; !ok {
			refs = append(refs, g.Instance)
		}
		names[g.Instance] = g.Name
	}
	if s.instances == nil || len(refs) == 0 {
		return names
	}
	now, err := s.instances.ResolveMany(ctx, refs)
	if err != nil { // one of them was deleted just now
		now = nil
		for _, ref := range refs {
			if one, err := s.instances.ResolveMany(ctx, []string{ref}); err == nil {
				now = append(now, one...)
			}
		}
	}
	for _, in := range now {
		names[in.ID] = in.Name
	}
	return names
}

// CreateIn is the input of Create.
type CreateIn struct {
	Name        string   `json:"name" doc:"The environment variable that holds it, such as STRIPE_KEY." maxLen:"128"`
	Value       Value    `json:"value" doc:"The value. It is never shown again." maxLen:"65536" secret:"true"`
	Description string   `json:"description,omitempty" doc:"What it is for." maxLen:"1000"`
	IsGlobal    bool     `json:"isGlobal,omitempty" doc:"Let every instance use it."`
	Hosts       []string `json:"hosts,omitempty" doc:"The hosts to which it may be sent, such as api.stripe.com." max:"50"`
}

// SecretOut is one secret.
type SecretOut struct {
	Secret Secret `json:"secret"`
}

// Create stores a secret.
func (s *Service) Create(ctx context.Context, in CreateIn) (SecretOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SecretOut{}, err
	}
	if err := checkName(in.Name); err != nil {
		return SecretOut{}, err
	}
	if err := in.Value.check(); err != nil {
		return SecretOut{}, err
	}
	hosts, err := hostsJSON(in.Hosts)
	if err != nil {
		return SecretOut{}, err
	}
	now := db.Millis(time.Now())
	r := row{ID: id.New(id.Secret), Account: acct, Name: in.Name, Description: strings.TrimSpace(in.Description), Global: in.IsGlobal, Hosts: hosts, Version: 1,
		CreatedAt: now, UpdatedAt: now}
	if err := s.put(&r, in.Value); err != nil {
		return SecretOut{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		n, err := countRows(tx, acct)
		if err != nil {
			return err
		}
		if n >= maxSecrets {
			return errs.New(errs.Capacity, "The account has %d secrets, which is the limit; delete some.", n)
		}
		if err := insertRow(tx, r); err != nil {
			return err
		}
		tx.OnCommit(func() { s.changed(acct, nil) })
		return s.tell(tx, "secret.created", r, nil)
	})
	return s.answer(ctx, r, err)
}

func hostsJSON(hosts []string) (string, error) {
	hosts, err := checkHosts(hosts)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(hosts)
	return string(b), err
}

func (s *Service) answer(ctx context.Context, r row, err error) (SecretOut, error) {
	if err != nil {
		return SecretOut{}, err
	}
	shown, err := s.show(ctx, r.Account, r)
	if err != nil {
		return SecretOut{}, err
	}
	return SecretOut{shown[0]}, nil
}

// tell records an event about a secret.
func (s *Service) tell(tx *db.Tx, what string, r row, instances []string) error {
	data := map[string]any{"id": r.ID, "name": r.Name, "version": r.Version, "isGlobal": r.Global}
	if instances != nil {
		data["instances"] = instances
	}
	_, err := s.events.Append(tx, r.Account, stream, what, data)
	return err
}

// UpdateIn is the input of Update. What is left out stays as it is.
type UpdateIn struct {
	ID          string   `json:"id" doc:"The secret: its id or name." ref:"secret"`
	Value       *Value   `json:"value,omitempty" doc:"A new value. It is never shown again." maxLen:"65536" secret:"true"`
	Description *string  `json:"description,omitempty" doc:"What it is for." maxLen:"1000"`
	IsGlobal    *bool    `json:"isGlobal,omitempty" doc:"Whether every instance may use it."`
	Hosts       []string `json:"hosts,omitempty" doc:"The hosts to which it may be sent, in place of those it has; an empty list lifts the limit." max:"50"`
}

// Update changes a secret. A new value reaches commands that are started from now on.
func (s *Service) Update(ctx context.Context, in UpdateIn) (SecretOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SecretOut{}, err
	}
	if in.Value != nil {
		if err := in.Value.check(); err != nil {
			return SecretOut{}, err
		}
	}
	hosts, err := hostsJSON(in.Hosts)
	if err != nil {
		return SecretOut{}, err
	}
	var r row
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if r, err = getRow(tx, acct, in.ID); err != nil {
			return err
		}
		if in.Description != nil {
			r.Description = strings.TrimSpace(*in.Description)
		}
		if in.IsGlobal != nil {
			r.Global = *in.IsGlobal
		}
		if in.Hosts != nil {
			r.Hosts = hosts
		}
		if in.Value != nil {
			s.retire(tx, r)
			r.Version++
			if err := s.put(&r, *in.Value); err != nil {
				return err
			}
		}
		r.UpdatedAt = db.Millis(time.Now())
		if err := updateRow(tx, r); err != nil {
			return err
		}
		return s.tell(tx, "secret.updated", r, nil)
	})
	return s.answer(ctx, r, err)
}

// RefIn names a secret.
type RefIn struct {
	ID string `json:"id" doc:"The secret: its id or name." ref:"secret"`
}

// OKOut says that it is done.
type OKOut struct {
	OK bool `json:"ok"`
}

// Delete deletes a secret with its grants.
func (s *Service) Delete(ctx context.Context, in RefIn) (OKOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return OKOut{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		r, err := getRow(tx, acct, in.ID)
		if err != nil {
			return err
		}
		s.retire(tx, r)
		if err := deleteRow(tx, acct, r.ID); err != nil {
			return err
		}
		return s.tell(tx, "secret.deleted", r, nil)
	})
	return OKOut{err == nil}, err
}

// GrantIn is the input of Grant.
type GrantIn struct {
	ID        string   `json:"id" doc:"The secret: its id or name." ref:"secret"`
	Instances []string `json:"instances" doc:"The instances that may use it, by id or name." ref:"instance" min:"1" max:"1000"`
}

// Grant lets instances use a secret, in commands that are started from now on.
func (s *Service) Grant(ctx context.Context, in GrantIn) (SecretOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SecretOut{}, err
	}
	to, err := s.resolve(ctx, in.Instances)
	if err != nil {
		return SecretOut{}, err
	}
	var r row
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if r, err = getRow(tx, acct, in.ID); err != nil {
			return err
		}
		added := []string{}
		for _, i := range to {
			fresh, err := insertGrant(tx, acct, grantRow{r.ID, i.ID, i.Name, db.Millis(time.Now())})
			if err != nil {
				return err
			}
			if fresh {
				added = append(added, i.ID)
			}
		}
		if len(added) == 0 {
			return nil
		}
		return s.tell(tx, "secret.granted", r, added)
	})
	return s.answer(ctx, r, err)
}

func (s *Service) resolve(ctx context.Context, refs []string) ([]InstanceRef, error) {
	if s.instances == nil {
		return nil, errs.New(errs.Unavailable, "Instances can't be looked up now; try again.")
	}
	if len(refs) == 0 {
		return nil, errs.BadField("instances", "name at least one instance")
	}
	return s.instances.ResolveMany(ctx, refs)
}

// RevokeIn is the input of Revoke.
type RevokeIn struct {
	ID       string `json:"id" doc:"The secret: its id or name." ref:"secret"`
	Instance string `json:"instance" doc:"The instance that shall no longer use it, by id or name." ref:"instance"`
}

// Revoke takes a secret away from an instance, at once for whatever is started from now on. Running work is not stopped.
func (s *Service) Revoke(ctx context.Context, in RevokeIn) (SecretOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return SecretOut{}, err
	}
	from, err := s.resolve(ctx, []string{in.Instance})
	if err != nil {
		return SecretOut{}, err
	}
	if len(from) != 1 {
		return SecretOut{}, fmt.Errorf("revoke: %d instances for one name", len(from))
	}
	var r row
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if r, err = getRow(tx, acct, in.ID); err != nil {
			return err
		}
		had, err := deleteGrant(tx, acct, r.ID, from[0].ID)
		switch {
		case err != nil:
			return err
		case had && !r.Global:
			return s.tell(tx, "secret.revoked", r, []string{from[0].ID})
		case r.Global:
			return errs.New(errs.Conflict, "The secret %s is global, so %s may use it without a grant. Make it not global, and grant it to those that need it.", r.Name, from[0].Name)
		}
		return errs.New(errs.NotFound, "The secret %s is not granted to %s.", r.Name, from[0].Name)
	})
	return s.answer(ctx, r, err)
}
