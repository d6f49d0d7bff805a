// Package auth knows the accounts and their API keys, and tells who is calling.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// Prefix begins every API key.
const Prefix = "ck_live_"

// AllScopes is the right to everything in the account.
const AllScopes = "*"

var (
	keyForm   = regexp.MustCompile(`^ck_live_[A-Za-z0-9_-]{16,128}$`)
	scopeForm = regexp.MustCompile(`^(\*|[a-z]+:(read|write|\*))$`)
)

// Service is the keeper of accounts and keys.
type Service struct {
	db  *db.DB
	now func() time.Time

	mu    sync.RWMutex
	known map[string]entry // hash → actor, of keys seen by this process
}

type entry struct {
	actor   op.Actor
	expires time.Time
	read    time.Time
	used    time.Time // as the table has it
}

// fresh is how long a key is trusted without a look at the table, which is how late another process's revocation may
// be noticed. A revocation through this process is noticed at once.
const fresh = 5 * time.Second

// noteUse is how often at most the use of a key is written down.
const noteUse = time.Minute

// New makes the service.
func New(d *db.DB) *Service { return &Service{db: d, now: time.Now, known: map[string]entry{}} }

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func newKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails: crypto/rand aborts the program instead
	return Prefix + base64.RawURLEncoding.EncodeToString(b)
}

// Bootstrap makes the first account with a key when there is none yet. The key is given, or made when given is "". It
// answers the account's id and the key when it was made here, else "". On later starts a given key is added when it is
// new, so that whoever holds the environment variable gets in.
func (s *Service) Bootstrap(ctx context.Context, given string) (account, made string, err error) {
	if given != "" && !keyForm.MatchString(given) {
		return "", "", errs.BadField("bootstrap key", "must be %s and 16 to 128 letters, digits, _ or -", Prefix)
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		account, made = "", ""
		switch err := tx.Get(&account, `SELECT id FROM accounts ORDER BY created_at, id LIMIT 1`); {
		case errors.Is(err, db.ErrNoRows):
			account = id.New(id.Account)
			if err := insertAccount(tx, account, "main"); err != nil {
				return err
			}
			if given == "" {
				made = newKey()
				return insertKey(tx, newRow(account, "first key", made, []string{AllScopes}, time.Time{}))
			}
		case err != nil:
			return err
		}
		if given == "" {
			return nil
		}
		var n int
		if err := tx.Get(&n, `SELECT count(*) FROM api_keys WHERE hash = ?`, hash(given)); err != nil || n > 0 {
			return err
		}
		return insertKey(tx, newRow(account, "bootstrap key", given, []string{AllScopes}, time.Time{}))
	})
	if err != nil {
		return "", "", fmt.Errorf("first account: %w", err)
	}
	return account, made, nil
}

// CreateAccount makes a further account with one key, which it answers.
func (s *Service) CreateAccount(ctx context.Context, name string) (account, key string, err error) {
	account, key = id.New(id.Account), newKey()
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if err := insertAccount(tx, account, name); err != nil {
			return err
		}
		return insertKey(tx, newRow(account, "first key", key, []string{AllScopes}, time.Time{}))
	})
	if err != nil {
		return "", "", fmt.Errorf("new account: %w", err)
	}
	return account, key, nil
}

// Accounts lists the ids of all accounts.
func (s *Service) Accounts(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.db.View(ctx, func(tx *db.Tx) error { return tx.Select(&ids, `SELECT id FROM accounts ORDER BY created_at, id`) })
	return ids, err
}

// Authenticate answers who holds a key.
func (s *Service) Authenticate(ctx context.Context, key string) (op.Actor, error) {
	bad := errs.New(errs.Unauthenticated, "This API key is not valid here. Keys begin with %s; make one with \"yardmaster keys create\".", Prefix)
	if !strings.HasPrefix(key, Prefix) {
		return op.Actor{}, bad
	}
	h, now := hash(key), s.now()
	s.mu.RLock()
	e, ok := s.known[h]
	s.mu.RUnlock()
	if !ok || now.Sub(e.read) > fresh {
		var err error
		if e, err = s.read(ctx, h, now); errors.Is(err, db.ErrNoRows) {
			return op.Actor{}, bad
		} else if err != nil {
			return op.Actor{}, fmt.Errorf("look up key: %w", err)
		}
	}
	if !e.expires.IsZero() && now.After(e.expires) {
		return op.Actor{}, errs.New(errs.Unauthenticated, "This API key expired on %s.", e.expires.Format(time.RFC3339))
	}
	if now.Sub(e.used) >= noteUse {
		s.noteUse(ctx, h, now)
	}
	return e.actor, nil
}

// noteUse writes down that a key is used. Of those who notice at the same time that it is due, one does it. When it can't
// be done, it is due again once the key is read anew: no request fails for it.
func (s *Service) noteUse(ctx context.Context, h string, now time.Time) {
	s.mu.Lock()
	e, ok := s.known[h]
	due := ok && now.Sub(e.used) >= noteUse
	if due {
		e.used = now
		s.known[h] = e
	}
	s.mu.Unlock()
	if due {
		_ = s.db.Update(ctx, func(tx *db.Tx) error { return setUsed(tx, h, now) })
	}
}

func (s *Service) read(ctx context.Context, h string, now time.Time) (entry, error) {
	var r struct {
		keyRow
		User string `db:"user_id"`
	}
	err := s.db.View(ctx, func(tx *db.Tx) error {
		return tx.Get(&r, `SELECT `+keyColumns+`, a.user_id FROM api_keys k JOIN accounts a ON a.id = k.account WHERE k.hash = ?`, h)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.known, h)
		return entry{}, err
	}
	e := entry{
		actor:   op.Actor{Account: r.Account, User: r.User, KeyID: r.ID, Surface: op.SurfaceREST, Scopes: strings.Fields(r.Scopes)},
		expires: db.Time(r.ExpiresAt), read: now, used: db.Time(r.UsedAt),
	}
	if len(s.known) > 10_000 {
		clear(s.known)
	}
	s.known[h] = e
	return e, nil
}
