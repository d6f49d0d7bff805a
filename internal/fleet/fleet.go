package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/sandbox"
)

// Skills is what fleet needs of the store of skills.
type Skills interface {
	// Version finds a version of a skill of the actor's account; n = 0 is the newest.
	Version(ctx context.Context, ref string, n int) (SkillVersion, error)
	// Place puts the files of a version into the folder name below dir, readable by everyone, without those that match a
	// pattern of withhold. It MUST take the place of what is there in one step.
	Place(ctx context.Context, digest string, dir *os.Root, name string, withhold []string) error
}

// SkillVersion is an immutable version of a skill.
type SkillVersion struct {
	ID, Name string
	Version  int
	Digest   string
}

// Secrets is what fleet needs of the store of secrets.
type Secrets interface {
	// Env answers the secrets that an instance's commands get, by variable name.
	Env(ctx context.Context, account, instance string) (map[string]string, error)
	// Forget removes the grants of an instance that is deleted.
	Forget(tx *db.Tx, account, instance string) error
}

// Options are what a Service is made of. DB, Events, Dir and Driver are needed.
type Options struct {
	DB      *db.DB
	Events  *event.Log
	Dir     string         // holds a folder for each instance; made when absent
	Driver  sandbox.Driver // Close of the service does not close it
	Facts   sandbox.Facts  // what the driver's Probe found
	Skills  Skills         // nil: none can be installed
	Secrets Secrets        // nil: there are none
	// Scrub answers a function that takes the secrets of an account out of a text.
	Scrub    func(account string) func(text string) string
	Log      *slog.Logger
	Domain   string // of the names of instances; default "yard.local"
	Capacity int    // instances an account may have; default 1,000
	Starts   int    // how many instances start at the same time; default 4
	// CheckpointTimeout bounds the fetching of a checkpoint repository; default five minutes.
	CheckpointTimeout time.Duration
	// Backoff is how long to wait before an instance that died by itself n times in a row is started again.
	Backoff func(n int) time.Duration
}

// Service keeps the instances of all accounts.
type Service struct {
	db       *db.DB
	events   *event.Log
	root     *os.Root // Options.Dir
	dir      string
	driver   sandbox.Driver
	facts    string
	skills   Skills
	secrets  Secrets
	scrubber func(account string) func(string) string
	log      *slog.Logger
	domain   string
	capacity int
	backoff  func(n int) time.Duration
	checkout time.Duration

	slots      chan struct{} // a token for each start at work
	background chan struct{} // a token for each start at work that nobody asked for: fewer, so that others need not queue
	copies     chan struct{} // a token for each checkpoint fetched or home copied

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	working  sync.WaitGroup // goroutines that make the world as wanted
	watchers sync.WaitGroup // goroutines that wait for a sandbox to die

	mu     sync.Mutex
	closed bool
	units  map[string]*unit // by instance
}

// Limits of the service's own waiting.
const (
	createWait = 2 * time.Second  // how long making an instance waits for it to run
	changeWait = 30 * time.Second // how long other operations wait for the instance to be as wanted
	retryWait  = 3 * time.Second  // until work that failed for no fault of the instance is tried again
)

// New makes a service. Reconcile MUST be called before its other methods.
func New(o Options) (*Service, error) {
	if err := os.MkdirAll(o.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("folder of the instances: %w", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of the instances: %w", err)
	}
	s := &Service{
		db: o.DB, events: o.Events, root: root, dir: root.Name(), driver: o.Driver, facts: summary(o.Facts), skills: o.Skills, secrets: o.Secrets,
		scrubber: o.Scrub, log: o.Log, domain: o.Domain, capacity: o.Capacity, backoff: o.Backoff, checkout: o.CheckpointTimeout,
		units: map[string]*unit{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.domain == "" {
		s.domain = "yard.local"
	}
	if s.capacity <= 0 {
		s.capacity = 1000
	}
	if o.Starts <= 0 {
		o.Starts = 4
	}
	if s.checkout <= 0 {
		s.checkout = 5 * time.Minute
	}
	if s.backoff == nil {
		s.backoff = func(n int) time.Duration { return 250 * time.Millisecond << min(n-1, 6) }
	}
	s.slots = make(chan struct{}, o.Starts)
	s.background = make(chan struct{}, max(1, o.Starts-1))
	s.copies = make(chan struct{}, 2)
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Close ends all sandboxes and what is under way, and waits for it. Nothing changes in what is wanted: the instances go on
// when a service is started on the same data.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	units := make([]*unit, 0, len(s.units))
	for _, u := range s.units {
		units = append(units, u)
	}
	s.mu.Unlock()
	s.stop()
	s.working.Wait()
	var kills errgroup.Group
	kills.SetLimit(16)
	for _, u := range units {
		kills.Go(func() error {
			defer u.log.Close()
			return u.kill()
		})
	}
	err := kills.Wait()
	if err == nil { // else a sandbox lives on, and its watcher with it
		s.watchers.Wait()
	}
	return errors.Join(err, s.root.Close())
}

// goes runs fn in a goroutine of a group that Close waits for; it answers false when the service is closed.
func (s *Service) goes(group *sync.WaitGroup, fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	group.Go(fn)
	return true
}

var errClosed = errs.New(errs.Unavailable, "The server is shutting down; try again when it is back.")

// scrub answers what takes the account's secrets out of texts.
func (s *Service) scrub(account string) func(string) string {
	if s.scrubber == nil {
		return func(text string) string { return text }
	}
	return s.scrubber(account)
}

// summary puts facts into one line.
func summary(f sandbox.Facts) string {
	var out string
	for _, level := range []string{sandbox.Enforced, sandbox.Soft, sandbox.None} {
		var keys string
		for _, key := range sandbox.FactKeys() {
			if f[key].Level == level {
				keys += ", " + key
			}
		}
		if keys != "" {
			out += "; " + level + ": " + keys[2:]
		}
	}
	if out == "" {
		return ""
	}
	return out[2:]
}
