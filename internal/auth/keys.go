package auth

import (
	"context"
	"slices"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// Key is an API key as lists show it: never the key itself.
type Key struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Prefix    string     `json:"prefix"` // its first characters, to recognise it by
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// LastUsedAt is when it was last used, to the minute; nil when it never was.
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
}

// ListKeysIn is the input of ListKeys.
type ListKeysIn struct{}

// ListKeysOut is the output of ListKeys.
type ListKeysOut struct {
	Keys []Key `json:"keys"`
}

// ListKeys lists the account's keys, oldest first.
func (s *Service) ListKeys(ctx context.Context, _ ListKeysIn) (ListKeysOut, error) {
	var rows []keyRow
	err := s.db.View(ctx, func(tx *db.Tx) error {
		return tx.Select(&rows, `SELECT `+keyColumns+` FROM api_keys k WHERE k.account = ? ORDER BY k.id`, op.ActorFrom(ctx).Account)
	})
	if err != nil {
		return ListKeysOut{}, err
	}
	out := ListKeysOut{Keys: []Key{}}
	for _, r := range rows {
		out.Keys = append(out.Keys, r.key())
	}
	return out, nil
}

// CreateKeyIn is the input of CreateKey.
type CreateKeyIn struct {
	Name      string    `json:"name,omitempty" doc:"What the key is for." maxLen:"100"`
	Scopes    []string  `json:"scopes,omitempty" doc:"Rights such as instances:read or skills:*; all rights when left out." max:"50" pattern:"^(\\*|[a-z]+:(read|write|\\*))$"`
	ExpiresAt time.Time `json:"expiresAt,omitzero" doc:"When the key stops working, as an RFC 3339 time; never when left out."`
}

// CreateKeyOut is the output of CreateKey.
type CreateKeyOut struct {
	Key  string `json:"key"` // the whole key; shown only here
	Info Key    `json:"info"`
}

// CreateKey makes a key. It can't give rights that the caller does not have.
func (s *Service) CreateKey(ctx context.Context, in CreateKeyIn) (CreateKeyOut, error) {
	a := op.ActorFrom(ctx)
	scopes := in.Scopes
	if len(scopes) == 0 {
		scopes = a.Scopes
	}
	for _, sc := range scopes {
		if !scopeForm.MatchString(sc) {
			return CreateKeyOut{}, errs.BadField("scopes", "%q is not a right such as instances:read", sc)
		}
		if !a.May(sc) && !slices.Contains(a.Scopes, sc) {
			return CreateKeyOut{}, errs.New(errs.Forbidden, "A key can't give the right %s to another, because it does not have it.", sc)
		}
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.now()) {
		return CreateKeyOut{}, errs.BadField("expiresAt", "must be in the future")
	}
	key := newKey()
	row := newRow(a.Account, in.Name, key, scopes, in.ExpiresAt)
	if err := s.db.Update(ctx, func(tx *db.Tx) error { return insertKey(tx, row) }); err != nil {
		return CreateKeyOut{}, err
	}
	return CreateKeyOut{Key: key, Info: row.key()}, nil
}

// DeleteKeyIn is the input of DeleteKey.
type DeleteKeyIn struct {
	ID string `json:"id" doc:"The key's id, such as key_…" ref:"key"`
}

// DeleteKeyOut is the output of DeleteKey.
type DeleteKeyOut struct {
	OK bool `json:"ok"`
}

// DeleteKey revokes a key at once.
func (s *Service) DeleteKey(ctx context.Context, in DeleteKeyIn) (DeleteKeyOut, error) {
	var gone []string
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		return tx.Select(&gone, `DELETE FROM api_keys WHERE account = ? AND id = ? RETURNING hash`, op.ActorFrom(ctx).Account, in.ID)
	})
	if err != nil {
		return DeleteKeyOut{}, err
	}
	if len(gone) == 0 {
		return DeleteKeyOut{}, errs.New(errs.NotFound, "There is no API key %q.", in.ID)
	}
	s.mu.Lock()
	delete(s.known, gone[0])
	s.mu.Unlock()
	return DeleteKeyOut{OK: true}, nil
}

// HealthIn is the input of Health.
type HealthIn struct{}

// HealthOut is the output of Health.
type HealthOut struct {
	Authenticated bool     `json:"authenticated"`
	UserID        string   `json:"userId"`
	Account       string   `json:"accountId"`
	PlanSlug      string   `json:"planSlug"`
	PlanName      string   `json:"planName"`
	HasPlan       bool     `json:"hasPlan"`
	Scopes        []string `json:"scopes"`
}

// Health tells the holder of a key who they are. Clients of the public API that Yardmaster follows ask it for a plan;
// here everybody has the same.
func (s *Service) Health(ctx context.Context, _ HealthIn) (HealthOut, error) {
	a := op.ActorFrom(ctx)
	return HealthOut{Authenticated: true, UserID: a.User, Account: a.Account, PlanSlug: "self-hosted", PlanName: "Self-hosted", HasPlan: true, Scopes: a.Scopes}, nil
}
