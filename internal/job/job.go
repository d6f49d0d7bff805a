// Package job is durable background work.
//
// A job is enqueued in the transaction of the change that calls for it. The process that enqueues it takes it at once, so
// that nothing waits for a poll; what a dead process left behind is found by its expired lease and run again by another.
// A job is therefore run at least once: handlers MUST be idempotent. Every take raises the job's fence, and Complete
// refuses an owner whose fence is old, so that a process that slept through its lease can't finish what is another's.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/id"
)

// ErrFenced is what Complete answers when the job was taken over by somebody else.
var ErrFenced = errors.New("the job was taken over")

// Spec describes a job to enqueue.
type Spec struct {
	Kind    string
	Key     string // unique among the unfinished jobs of the kind
	Account string
	Payload any       // any JSON; MUST hold no secret
	RunAt   time.Time // not before; zero means now
}

// Job is a job that this process holds.
type Job struct {
	ID      string
	Kind    string
	Key     string
	Account string
	Payload json.RawMessage
	Attempt int   // 1 for the first run
	Fence   int64 // raised at every take

	done *atomic.Bool // set once Complete is durable
}

// Handler runs a job. When it answers nil and has not called Complete itself, the job is completed; with an error the job
// is run again after a back-off. ctx ends when the queue stops or the lease is lost.
type Handler func(ctx context.Context, j Job) error

// Lease is how long a process holds a job without renewing.
const Lease = 30 * time.Second

// Queue hands jobs to handlers. Make it with New, register handlers, then Start.
type Queue struct {
	db    *db.DB
	owner string
	log   *slog.Logger
	alone bool

	mu       sync.Mutex
	handlers map[string]*handler
	held     map[string]context.CancelFunc // job id → cancel of its run
	started  bool
	stopped  bool
	wg       sync.WaitGroup
	cancel   context.CancelFunc
	ctx      context.Context
	poke     chan struct{}
}

type handler struct {
	fn    Handler
	slots chan struct{}
	wait  []Job // taken, waiting for a slot
}

// New makes a queue. With alone set, no other process works on this database: leases of others are those of dead
// processes, and their jobs are taken over at the start without waiting for the leases to end.
func New(d *db.DB, log *slog.Logger, alone bool) *Queue {
	return &Queue{db: d, owner: id.New("proc"), log: log, alone: alone,
		handlers: map[string]*handler{}, held: map[string]context.CancelFunc{}, poke: make(chan struct{}, 1)}
}

// Handle registers the handler of a kind, run at most concurrency times at once. It MUST be called before Start.
func (q *Queue) Handle(kind string, concurrency int, fn Handler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started || q.handlers[kind] != nil {
		panic("job: handler of " + kind + " registered twice or too late")
	}
	q.handlers[kind] = &handler{fn: fn, slots: make(chan struct{}, concurrency)}
}

// Start begins to run jobs, those first that dead processes left behind. It answers once these are found.
func (q *Queue) Start(ctx context.Context) error {
	if q.alone {
		if err := q.db.Update(ctx, func(tx *db.Tx) error { return releaseAll(tx) }); err != nil {
			return fmt.Errorf("take over jobs: %w", err)
		}
	}
	q.mu.Lock()
	q.started = true
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.mu.Unlock()
	if err := q.take(q.ctx); err != nil {
		return fmt.Errorf("find jobs: %w", err)
	}
	q.wg.Go(q.loop)
	return nil
}

// Stop ends the runs under way by their contexts and waits for them. Their jobs are given back, so that the next start or
// another process takes them at once.
func (q *Queue) Stop() {
	q.mu.Lock()
	if q.stopped || !q.started {
		q.stopped = true
		q.mu.Unlock()
		return
	}
	q.stopped = true
	q.mu.Unlock()
	q.cancel()
	q.wg.Wait()
	if err := q.db.Update(context.Background(), func(tx *db.Tx) error { return release(tx, q.owner) }); err != nil {
		q.log.Warn("jobs could not be given back; they are taken over when their leases end", "error", err)
	}
}

// Enqueue adds a job in the caller's transaction, and runs it here once that is durable. A job of the same kind and key
// that is unfinished is left as it is; the answer tells whether a new one was added.
func (q *Queue) Enqueue(tx *db.Tx, s Spec) (bool, error) {
	raw, err := json.Marshal(s.Payload)
	if err != nil {
		return false, fmt.Errorf("job %s: %w", s.Kind, err)
	}
	now := time.Now()
	j := Job{ID: id.New("job"), Kind: s.Kind, Key: s.Key, Account: s.Account, Payload: raw}
	q.mu.Lock()
	mine := q.started && !q.stopped && q.handlers[s.Kind] != nil && !s.RunAt.After(now)
	q.mu.Unlock()
	if mine { // it is born held by this process, which saves the transaction of a take
		j.Attempt, j.Fence = 1, 1
	}
	added, err := insert(tx, j, q.owner, mine, s.RunAt, now)
	if err != nil {
		return false, fmt.Errorf("job %s: %w", s.Kind, err)
	}
	if added {
		tx.OnCommit(func() {
			if mine {
				q.run(j)
			} else {
				q.Poke()
			}
		})
	}
	return added, nil
}

// Complete removes a job in the caller's transaction: its effect and its end are one. It answers ErrFenced, which MUST
// undo the transaction, when the job is no longer this owner's.
func (q *Queue) Complete(tx *db.Tx, j Job) error {
	n, err := tx.Exec(`DELETE FROM jobs WHERE id = ? AND fence = ?`, j.ID, j.Fence)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrFenced
	}
	if j.done != nil {
		tx.OnCommit(func() { j.done.Store(true) })
	}
	return nil
}

// Check answers ErrFenced when the job is no longer this owner's, for use in transactions in the middle of a job.
func (q *Queue) Check(tx *db.Tx, j Job) error {
	var n int
	if err := tx.Get(&n, `SELECT count(*) FROM jobs WHERE id = ? AND fence = ?`, j.ID, j.Fence); err != nil {
		return err
	}
	if n == 0 {
		return ErrFenced
	}
	return nil
}

// Poke has the queue look for due jobs now.
func (q *Queue) Poke() {
	select {
	case q.poke <- struct{}{}:
	default:
	}
}

// loop renews leases and looks for due jobs: at their time, when poked, and every third of a lease.
func (q *Queue) loop() {
	for {
		next := Lease / 3
		if due, ok := q.nextDue(); ok {
			next = min(next, max(0, time.Until(due)))
		}
		t := time.NewTimer(next)
		select {
		case <-q.ctx.Done():
			t.Stop()
			return
		case <-q.poke:
			t.Stop()
		case <-t.C:
		}
		q.renew()
		if err := q.take(q.ctx); err != nil && q.ctx.Err() == nil {
			q.log.Error("looking for jobs failed; it is tried again", "error", err)
		}
	}
}

func (q *Queue) nextDue() (time.Time, bool) {
	var ms *int64
	err := q.db.View(q.ctx, func(tx *db.Tx) error {
		return tx.Get(&ms, `SELECT min(run_at) FROM jobs WHERE state = 'ready'`)
	})
	if err != nil || ms == nil {
		return time.Time{}, false
	}
	return db.Time(*ms), true
}

// renew prolongs the leases of what runs here, and cancels the runs whose job was taken over.
func (q *Queue) renew() {
	q.mu.Lock()
	n := len(q.held)
	q.mu.Unlock()
	if n == 0 {
		return
	}
	var mine []string
	err := q.db.Update(q.ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE jobs SET lease_until = ? WHERE owner = ? AND state = 'leased'`, db.Millis(time.Now().Add(Lease)), q.owner); err != nil {
			return err
		}
		return tx.Select(&mine, `SELECT id FROM jobs WHERE owner = ? AND state = 'leased'`, q.owner)
	})
	if err != nil {
		return // the lease has two more thirds to run
	}
	have := map[string]bool{}
	for _, m := range mine {
		have[m] = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for jid, cancel := range q.held {
		if !have[jid] {
			cancel()
		}
	}
}

// take claims due jobs of the kinds handled here and starts them.
func (q *Queue) take(ctx context.Context) error {
	q.mu.Lock()
	kinds := make([]string, 0, len(q.handlers))
	for k := range q.handlers {
		kinds = append(kinds, k)
	}
	q.mu.Unlock()
	if len(kinds) == 0 {
		return nil
	}
	for {
		var jobs []Job
		err := q.db.Update(ctx, func(tx *db.Tx) (err error) {
			jobs, err = claim(tx, q.owner, kinds, time.Now())
			return err
		})
		if err != nil {
			return err
		}
		for _, j := range jobs {
			q.run(j)
		}
		if len(jobs) < claimPage {
			return nil
		}
	}
}

// run starts a held job as soon as its kind has a free slot.
func (q *Queue) run(j Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return // it is given back by Stop, or taken over by its lease
	}
	h := q.handlers[j.Kind]
	select {
	case h.slots <- struct{}{}:
	default:
		h.wait = append(h.wait, j)
		return
	}
	ctx, cancel := context.WithCancel(q.ctx)
	q.held[j.ID] = cancel
	q.wg.Go(func() { q.work(ctx, cancel, h, j) })
}

// work runs jobs of a kind one after another until none waits for the slot.
func (q *Queue) work(ctx context.Context, cancel context.CancelFunc, h *handler, j Job) {
	for {
		q.once(ctx, h, j)
		cancel()
		q.mu.Lock()
		delete(q.held, j.ID)
		if len(h.wait) == 0 || q.stopped {
			<-h.slots
			q.mu.Unlock()
			return
		}
		j = h.wait[0]
		h.wait[0] = Job{}
		h.wait = h.wait[1:]
		ctx, cancel = context.WithCancel(q.ctx)
		q.held[j.ID] = cancel
		q.mu.Unlock()
	}
}

func (q *Queue) once(ctx context.Context, h *handler, j Job) {
	j.done = new(atomic.Bool)
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
				q.log.Error("a job panicked", "kind", j.Kind, "key", j.Key, "panic", p)
			}
		}()
		return h.fn(ctx, j)
	}()
	if j.done.Load() {
		return
	}
	if q.ctx.Err() != nil {
		return // stopping: the job stays as it is and is given back
	}
	failed := err
	err = q.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if failed != nil {
			tx.OnCommit(q.Poke)
			return retry(tx, j, failed, time.Now().Add(backoff(j.Attempt)))
		}
		if err := q.Complete(tx, j); err != nil && !errors.Is(err, ErrFenced) {
			return err
		}
		return nil
	})
	if err != nil {
		q.log.Error("the end of a job could not be stored; it is run again when its lease ends", "kind", j.Kind, "key", j.Key, "error", err)
	}
}

// backoff is the wait before the next attempt: 1 s, doubling to 5 minutes.
func backoff(attempt int) time.Duration {
	return min(5*time.Minute, time.Second<<min(attempt-1, 9))
}
