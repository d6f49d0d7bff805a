package secret

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/op"
)

// Secret is a secret as it is shown: everything but its value.
type Secret struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	IsGlobal    bool      `json:"isGlobal"` // every instance may use it
	Hosts       []string  `json:"hosts"`    // where it may be sent; empty is anywhere
	Version     int64     `json:"version"`  // grows with each new value
	Grants      []Grant   `json:"grants"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// Grant lets an instance use a secret.
type Grant struct {
	InstanceID   string    `json:"instanceId"`
	InstanceName string    `json:"instanceName"`
	GrantedAt    time.Time `json:"grantedAt"`
}

// InstanceRef names an instance.
type InstanceRef struct{ ID, Name string }

// Instances finds instances.
type Instances interface {
	// ResolveMany finds instances of the actor's account by ids or names. One that is not there is a NotFound error.
	ResolveMany(ctx context.Context, refs []string) ([]InstanceRef, error)
}

// Options are what a Service is made of. DB, Events and Dir are needed.
type Options struct {
	DB     *db.DB
	Events *event.Log
	Dir    string // the data folder, which holds the master key unless MasterKey or Wrapper is given
	// MasterKey is the master key as 64 hexadecimal digits, in place of the file.
	MasterKey string
	// Wrapper is used in place of a master key.
	Wrapper KeyWrapper
	Log     *slog.Logger
}

// Service keeps the secrets of all accounts. It is safe for concurrent use.
type Service struct {
	db        *db.DB
	events    *event.Log
	key       KeyWrapper
	log       *slog.Logger
	instances Instances

	mu       sync.Mutex
	matchers map[string]*Matcher  // by account
	changes  int                  // counts what made matchers invalid
	retired  map[string][]pattern // by account: values that were replaced or deleted since the start
}

// New makes the service. On the first start it makes the master key. It is an error when the master key is missing
// although secrets were sealed with one, or is another one.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{db: o.DB, events: o.Events, key: o.Wrapper, log: o.Log, matchers: map[string]*Matcher{}, retired: map[string][]pattern{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var checks []checkRow
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		checks, err = keyChecks(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	if s.key == nil {
		if s.key, err = loadKey(o, len(checks) == 0); err != nil {
			return nil, err
		}
	}
	return s, s.checkKey(ctx, checks)
}

func loadKey(o Options, first bool) (KeyWrapper, error) {
	if o.MasterKey != "" {
		return parseKey(o.MasterKey, "the setting master-key")
	}
	k, err := readKey(o.Dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if !first {
		return nil, fmt.Errorf("the master key %s/%s is missing, and without it the secrets in the database can't be read; restore it from your backup", o.Dir, keyFile)
	}
	k, err = makeKey(o.Dir)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return readKey(o.Dir)
	}
	return k, err
}

const checkText = "yardmaster"

// checkKey compares the key with the one that was used before, and notes it the first time.
func (s *Service) checkKey(ctx context.Context, checks []checkRow) error {
	for _, c := range checks {
		if c.ID != s.key.ID() {
			continue
		}
		plain, err := unseal(s.key, c.Sealed, place("key check", c.ID))
		if err != nil || string(plain) != checkText {
			return fmt.Errorf("the master key %s does not open what it sealed before; restore the right one from your backup", s.key.ID())
		}
		return nil
	}
	if len(checks) > 0 {
		return fmt.Errorf("the master key does not fit this database: it is %s, and the secrets were sealed with %s; restore the right one from your backup", s.key.ID(), checks[0].ID)
	}
	sealed, err := seal(s.key, []byte(checkText), place("key check", s.key.ID()))
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error { return insertCheck(tx, checkRow{s.key.ID(), sealed}, db.Millis(time.Now())) })
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	return nil
}

// SetInstances tells the service who finds instances. It MUST be called before operations are.
func (s *Service) SetInstances(i Instances) { s.instances = i }

func account(ctx context.Context) (string, error) {
	a := op.ActorFrom(ctx).Account
	if a == "" {
		return "", errs.New(errs.Unauthenticated, "Nobody is signed in.")
	}
	return a, nil
}

// bound is what the value of a row is sealed for.
func (r *row) bound() []byte {
	return place("secret", r.Account, r.Name, strconv.FormatInt(r.Version, 10))
}

// put seals a value into the row, whose version MUST be set.
func (s *Service) put(r *row, v Value) (err error) {
	r.Sealed, err = seal(s.key, []byte(v.reveal()), r.bound())
	return err
}

// value opens the value of a row.
func (s *Service) value(r *row) (string, error) {
	plain, err := unseal(s.key, r.Sealed, r.bound())
	if err != nil {
		return "", errs.Wrap(err, errs.Internal, "The secret %s can't be opened; set its value again.", r.Name)
	}
	return string(plain), nil
}

// Env answers what an instance may use, by variable name: the secrets that were granted to it, and the global ones.
func (s *Service) Env(ctx context.Context, account, instance string) (map[string]string, error) {
	var rows []row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = usableRows(tx, account, instance)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("secrets of %s: %w", instance, err)
	}
	env := make(map[string]string, len(rows))
	for i := range rows {
		v, err := s.value(&rows[i])
		if err != nil {
			return nil, err
		}
		env[rows[i].Name] = v
	}
	return env, nil
}

// Forget removes the grants of an instance that is deleted.
func (s *Service) Forget(tx *db.Tx, account, instance string) error {
	return forgetGrants(tx, account, instance)
}

// Seal encrypts what another package must keep and nobody may read in the database. It is bound to the account.
func (s *Service) Seal(account string, plain []byte) (string, error) {
	return seal(s.key, plain, place("sealed", account))
}

// Open is the inverse of Seal.
func (s *Service) Open(account, sealed string) ([]byte, error) {
	return unseal(s.key, sealed, place("sealed", account))
}

// Matcher finds the values of an account's secrets in texts, also those that were replaced or deleted since the start.
func (s *Service) Matcher(ctx context.Context, account string) (*Matcher, error) {
	s.mu.Lock()
	m, ok := s.matchers[account]
	changes, retired := s.changes, s.retired[account]
	s.mu.Unlock()
	if ok {
		return m, nil
	}
	var rows []row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRows(tx, account, "", maxSecrets)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	ps := retired[:len(retired):len(retired)]
	for i := range rows {
		v, err := s.value(&rows[i])
		if err != nil {
			return nil, err
		}
		ps = append(ps, patterns(rows[i].Name, v)...)
	}
	m = newMatcher(ps)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == changes { // else it may be old already
		s.matchers[account] = m
	}
	return m, nil
}

// Scrub answers a function that takes the values of an account's secrets out of a text. It always knows the values of the
// moment. When they can't be read, the text is withheld as a whole.
func (s *Service) Scrub(account string) func(text string) string {
	return func(text string) string {
		if text == "" {
			return text
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		m, err := s.Matcher(ctx, account)
		if err != nil {
			s.log.Error("scrub", "account", account, "error", err)
			return "(text withheld, because the secrets that may be in it can't be read)"
		}
		return m.Mask(text)
	}
}

// maxRetired bounds how many forms of former values are looked for, the newest ones.
const maxRetired = 2000

// changed makes the matcher of an account invalid. former are the forms of a value that is no longer stored: processes that
// got it may still print it.
func (s *Service) changed(account string, former []pattern) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	delete(s.matchers, account)
	all := append(s.retired[account][:len(s.retired[account]):len(s.retired[account])], former...)
	s.retired[account] = all[max(0, len(all)-maxRetired):]
}

// retire notes, for the commit of tx, that the value of a row is replaced or deleted.
func (s *Service) retire(tx *db.Tx, r row) {
	var former []pattern
	if v, err := s.value(&r); err == nil { // a value that can't be opened was given to nobody
		former = patterns(r.Name, v)
	}
	tx.OnCommit(func() { s.changed(r.Account, former) })
}
