// Package automation runs prompts on cron schedules.
//
// Each time at which an automation is due is a slot: a row that can be inserted once, in the transaction that also moves
// the automation's next time on and enqueues the run. So a slot is run once, whatever dies in between and however many
// schedulers look. A run sends the prompt to the Operator in the automation's own chat, under a message id made of the
// run's id, so that even a run that is tried again says it once.
package automation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones must work where the machine has none installed

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/id"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
)

const (
	runJob = "automation.run"
	// failuresToPause is how many runs in a row may fail before the automation is paused.
	failuresToPause = 5
	// late is how late a slot may be taken and still count as on time; later ones were missed.
	late = time.Minute
	// maxAutomations bounds what one account may schedule.
	maxAutomations = 200_000
)

// Talker is the Operator, as automations see it.
type Talker interface {
	// Say sends text to a chat of the actor's account, made when it is not there, and answers the turn that answers it.
	// The same messageID is said once.
	Say(ctx context.Context, chatID, messageID, title, text string) (turnID string, err error)
	// Await waits for the end of a turn and answers why it failed, or "".
	Await(ctx context.Context, turnID string) (failure string, err error)
}

// Service keeps and runs automations.
type Service struct {
	db     *db.DB
	events *event.Log
	jobs   *job.Queue
	talk   Talker
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	poke chan struct{}
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New makes the service and registers its jobs. Start begins to look for due automations.
func New(d *db.DB, events *event.Log, jobs *job.Queue, talk Talker, log *slog.Logger) *Service {
	s := &Service{db: d, events: events, jobs: jobs, talk: talk, log: log, now: time.Now, poke: make(chan struct{}, 1)}
	jobs.Handle(runJob, 16, s.run)
	return s
}

// Start begins to take due slots.
func (s *Service) Start(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	s.wg.Go(func() { s.loop(ctx) })
}

// Stop ends the looking; runs under way belong to the job queue.
func (s *Service) Stop() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.wg.Wait()
}

// loop sleeps until the next automation is due. It wakes at least every half minute, because a clock may jump.
func (s *Service) loop(ctx context.Context) {
	for {
		next, err := s.takeDue(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.log.Error("due automations could not be read; it is tried again", "error", err)
			next = s.now().Add(time.Second)
		}
		wait := 30 * time.Second
		if !next.IsZero() {
			wait = min(wait, max(0, next.Sub(s.now())))
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-s.poke:
			t.Stop()
		case <-t.C:
		}
	}
}

func (s *Service) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// takeDue takes the slots of all due automations and answers when the next one is due.
func (s *Service) takeDue(ctx context.Context) (time.Time, error) {
	for {
		now, n := s.now(), 0
		err := s.db.Update(ctx, func(tx *db.Tx) error {
			due, err := selectDue(tx, now, 100)
			if err != nil {
				return err
			}
			n = len(due)
			for _, a := range due {
				if err := s.takeSlot(tx, a, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return time.Time{}, err
		}
		if n < 100 {
			break
		}
	}
	var next time.Time
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		next, err = earliest(tx)
		return err
	})
	return next, err
}

// takeSlot takes the slot at which a was due and moves a on. Of several missed slots one is caught up, or none.
func (s *Service) takeSlot(tx *db.Tx, a row, now time.Time) error {
	sched, err := ParseSchedule(a.Cron, a.Timezone)
	if err != nil { // it was checked when stored: a zone may have left the system since
		return s.pause(tx, a, "Its schedule can't be read any more: "+err.Error())
	}
	slot, cause := db.Time(a.NextRunAt), causeSchedule
	if now.Sub(slot) > late {
		cause = causeCatchUp
		for next := slot; ; { // the newest missed slot stands for all of them
			if next, err = sched.Next(next); err != nil || next.After(now) {
				break
			}
			slot = next
		}
	}
	next, err := sched.Next(now)
	if err != nil {
		return s.pause(tx, a, "Its schedule never comes again.")
	}
	if err := moveOn(tx, a.ID, next); err != nil {
		return err
	}
	if cause == causeCatchUp && a.CatchUp == "none" {
		return s.addRun(tx, a, slot, cause, statusSkipped, "The server was not running at that time.")
	}
	detail := ""
	if sched.Skipped(slot) {
		detail = "The clocks skipped the hour that it was meant for; it ran at the first minute after."
	}
	if a.Overlap == "skip" {
		open, err := openRuns(tx, a.ID)
		if err != nil {
			return err
		}
		if open > 0 {
			return s.addRun(tx, a, slot, cause, statusSkipped, "The run before was still going on.")
		}
	}
	return s.addRun(tx, a, slot, cause, statusQueued, detail)
}

// addRun stores a run, and enqueues it unless it is skipped. A slot that is taken already is left alone.
func (s *Service) addRun(tx *db.Tx, a row, slot time.Time, cause, status, detail string) error {
	r := runRow{ID: id.New(id.Run), Account: a.Account, Automation: a.ID, Slot: db.Millis(slot), Cause: cause, Status: status, Detail: detail, CreatedAt: db.Millis(s.now())}
	added, err := insertRun(tx, r)
	if err != nil || !added {
		return err
	}
	if _, err := s.events.Append(tx, a.Account, a.ID, "automation."+status, map[string]any{"run": r.ID, "slot": slot, "cause": cause, "detail": detail}); err != nil {
		return err
	}
	if status == statusSkipped {
		return nil
	}
	_, err = s.jobs.Enqueue(tx, job.Spec{Kind: runJob, Key: r.ID, Account: a.Account, Payload: r.ID})
	return err
}

func (s *Service) pause(tx *db.Tx, a row, why string) error {
	if err := setPaused(tx, a.ID, why, s.now()); err != nil {
		return err
	}
	_, err := s.events.Append(tx, a.Account, a.ID, "automation.paused", map[string]any{"name": a.Name, "why": why})
	return err
}

// run is the job of one run: say the prompt once, wait for the turn, store how it ended.
func (s *Service) run(ctx context.Context, j job.Job) error {
	var r runRow
	var a row
	err := s.db.Update(ctx, func(tx *db.Tx) (err error) {
		if r, err = getRun(tx, j.Key); err != nil {
			return err
		}
		if a, err = getRow(tx, r.Account, r.Automation); err != nil {
			return err
		}
		return startRun(tx, r.ID, s.now())
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	// It may do what the author of the prompt may: a schedule is no way to more rights.
	ctx = op.WithActor(ctx, op.Actor{Account: a.Account, Surface: op.SurfaceAutomation, Scopes: strings.Fields(a.Scopes)})
	failure := ""
	turn := r.TurnID
	if turn == "" {
		turn, err = s.talk.Say(ctx, a.ChatID, "msg_"+r.ID, a.Name, a.Prompt)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errs.CodeOf(err) == errs.Internal:
			return err
		case err != nil:
			failure = err.Error()
		default:
			if err := s.db.Update(ctx, func(tx *db.Tx) error { return setTurn(tx, r.ID, turn) }); err != nil {
				return err
			}
		}
	}
	if failure == "" {
		if failure, err = s.talk.Await(ctx, turn); err != nil {
			return err
		}
	}
	return s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := s.jobs.Complete(tx, j); err != nil {
			return err
		}
		return s.endRun(tx, a, r, failure)
	})
}

func (s *Service) endRun(tx *db.Tx, a row, r runRow, failure string) error {
	status := statusDone
	if failure != "" {
		status = statusFailed
	}
	failures, err := finishRun(tx, r, status, failure, s.now())
	if err != nil {
		return err
	}
	if _, err := s.events.Append(tx, a.Account, a.ID, "automation."+status, map[string]any{"run": r.ID, "detail": failure}); err != nil {
		return err
	}
	if failures >= failuresToPause {
		return s.pause(tx, a, fmt.Sprintf("It failed %d times in a row, last: %s", failures, failure))
	}
	return nil
}
