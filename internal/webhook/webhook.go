// Package webhook lets other programs start a prompt: a secret URL whose callers post the payload of a prompt template.
//
// A call that is accepted is stored as a delivery, in one transaction with the job that carries it out, before it is
// answered. Deliveries of a webhook are said to the Operator one after another, in the order of their arrival, in the
// webhook's own chat, with the delivery's id as the idempotency key: what is tried again is said once.
//
// The template is the request, with the rights of the person who wrote it. The payload is somebody else's text: it is put
// in as a marked block of data (see fill) that asks for nothing, whatever it says.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
)

const (
	deliverJob = "webhook.deliver"
	// concurrency bounds how many webhooks have a delivery under way at once. They mostly wait, for the Operator.
	concurrency = 64
	// maxAttempts bounds how often it is tried to say a delivery, so that one can't hold up those behind it for ever.
	maxAttempts = 20
	// maxWebhooks bounds what one account may have.
	maxWebhooks = 10_000
	// maxWaiting bounds how many deliveries of a webhook may wait for the Operator.
	maxWaiting = 1000
	// The deliveries that are kept of a webhook once they have ended.
	keptDeliveries = 2000
	keptFor        = 30 * 24 * time.Hour
)

// The calls that a webhook takes: so many at once, and one more every second.
const (
	burst  = 60
	refill = time.Second
)

// Talker is the Operator, as webhooks see it.
type Talker interface {
	// Say sends text to a chat of the actor's account, made when it is not there, and answers the turn that answers it.
	// Without a messageID it MUST be said once under the idempotency key in ctx, whatever else was said since.
	Say(ctx context.Context, chatID, messageID, title, text string) (turnID string, err error)
	// Await waits for the end of a turn and answers why it failed, or "".
	Await(ctx context.Context, turnID string) (failure string, err error)
}

// Sealer encrypts what must not be readable in the database.
type Sealer interface {
	Seal(account string, plain []byte) (string, error)
	Open(account, sealed string) ([]byte, error)
}

// Options are what a Service is made of. All but Log and BaseURL are needed.
type Options struct {
	DB     *db.DB
	Events *event.Log
	Jobs   *job.Queue
	Talk   Talker
	Seal   Sealer
	Log    *slog.Logger
	// BaseURL answers where others reach the server, such as https://yard.example.com. When it is nil or answers "",
	// trigger URLs are shown as paths.
	BaseURL func() string
}

// Service keeps webhooks and carries out their deliveries. It is safe for concurrent use.
type Service struct {
	db      *db.DB
	events  *event.Log
	jobs    *job.Queue
	talk    Talker
	seal    Sealer
	log     *slog.Logger
	baseURL func() string
	now     func() time.Time

	mu     sync.Mutex
	limits map[string]*rate.Limiter // by webhook
}

// New makes the service and registers its job handler: it MUST be called before the queue is started.
func New(o Options) *Service {
	s := &Service{db: o.DB, events: o.Events, jobs: o.Jobs, talk: o.Talk, seal: o.Seal, log: o.Log, baseURL: o.BaseURL,
		now: time.Now, limits: map[string]*rate.Limiter{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.baseURL == nil {
		s.baseURL = func() string { return "" }
	}
	o.Jobs.Handle(deliverJob, concurrency, s.run)
	return s
}

// admit tells how long the caller of a webhook has to wait; 0 when the call is taken.
func (s *Service) admit(webhook string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limits[webhook]
	if l == nil {
		l = rate.NewLimiter(rate.Every(refill), burst)
		s.limits[webhook] = l
	}
	now := s.now()
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (s *Service) forgetLimit(webhook string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.limits, webhook)
}

// enqueue has the open deliveries of a webhook carried out. There is one job for each webhook, which ends in the same
// transaction in which it finds nothing left to do; so a delivery either finds a job that will see it, or makes one.
func (s *Service) enqueue(tx *db.Tx, account, webhook string) error {
	_, err := s.jobs.Enqueue(tx, job.Spec{Kind: deliverJob, Key: webhook, Account: account})
	return err
}

// run is the job of a webhook: it carries out the open deliveries, oldest first.
func (s *Service) run(ctx context.Context, j job.Job) error {
	for {
		d, w, err := s.next(ctx, j)
		if err != nil || d.ID == "" {
			return err
		}
		if last, err := s.deliver(ctx, j, d, w); err != nil || last {
			return err
		}
	}
}

// next takes the oldest open delivery. When there is none, it completes the job and answers an empty row.
func (s *Service) next(ctx context.Context, j job.Job) (d deliveryRow, w row, err error) {
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if err := s.jobs.Check(tx, j); err != nil {
			return err
		}
		var err error
		if d, err = oldestOpen(tx, j.Account, j.Key); errors.Is(err, db.ErrNoRows) {
			return s.jobs.Complete(tx, j)
		} else if err != nil {
			return err
		}
		if w, err = getRow(tx, d.Account, d.Webhook); err != nil {
			return err
		}
		return startDelivery(tx, d, s.now())
	})
	return d, w, err
}

// deliver says a delivery once, waits for its turn and stores how it ended. When no other is open, it completes the job as
// well, and last is set. An error means that it is tried again.
func (s *Service) deliver(ctx context.Context, j job.Job, d deliveryRow, w row) (last bool, err error) {
	scopes, err := d.rights()
	if err != nil {
		return false, err
	}
	ctx = op.WithActor(ctx, op.Actor{Account: d.Account, Surface: op.SurfaceWebhook, Scopes: scopes})
	failure := ""
	if d.TurnID == "" {
		if failure, err = s.say(ctx, &d, w); err != nil {
			return false, err
		}
	}
	if failure == "" {
		failure, err = s.talk.Await(ctx, d.TurnID)
		switch {
		case errs.Is(err, errs.NotFound):
			failure = "Its chat was deleted before the turn had ended."
		case err != nil:
			return false, err
		}
	}
	err = s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := s.finish(tx, d, failure); err != nil {
			return err
		}
		open, err := countOpen(tx, d.Account, d.Webhook)
		if last = open == 0; err != nil || !last {
			return errors.Join(err, s.jobs.Check(tx, j))
		}
		return s.jobs.Complete(tx, j)
	})
	return last, err
}

// say says a delivery and notes its turn. It answers why it can't be said, ever; an error means that it may be later.
func (s *Service) say(ctx context.Context, d *deliveryRow, w row) (failure string, err error) {
	turn, err := s.talk.Say(op.WithIdempotencyKey(ctx, d.ID), w.ChatID, "", w.Name, fill(d.Template, d.Payload))
	switch {
	case err == nil:
		d.TurnID = turn
		return "", s.db.Update(ctx, func(tx *db.Tx) error { return setTurn(tx, *d, turn) })
	case ctx.Err() != nil || passes(err) && d.Attempts+1 < maxAttempts:
		return "", err
	}
	return errs.Public(err).Error(), nil
}

// passes tells whether an error of Say may go away by itself: a defect, or a chat with too many messages waiting.
func passes(err error) bool {
	switch errs.CodeOf(err) {
	case errs.Internal, errs.Conflict, errs.RateLimited, errs.Capacity, errs.Unavailable:
		return true
	}
	return false
}

func (s *Service) finish(tx *db.Tx, d deliveryRow, failure string) error {
	status := statusDone
	if failure != "" {
		status = statusFailed
	}
	there, err := finishDelivery(tx, d, status, failure, s.now())
	if err != nil || !there { // the webhook was deleted meanwhile
		return err
	}
	if err := prune(tx, d.Account, d.Webhook, s.now().Add(-keptFor), keptDeliveries); err != nil {
		return err
	}
	_, err = s.events.Append(tx, d.Account, d.Webhook, "webhook."+status, map[string]any{"delivery": d.ID, "detail": failure})
	return err
}
