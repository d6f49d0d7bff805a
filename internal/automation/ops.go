package automation

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// Automation is a prompt on a schedule.
type Automation struct {
	ID             string      `json:"id"`
	Name           string      `json:"name"`
	Prompt         string      `json:"prompt"`
	CronExpression string      `json:"cronExpression"`
	Timezone       string      `json:"timezone"`
	Schedule       string      `json:"schedule"` // in words
	Enabled        bool        `json:"enabled"`
	Overlap        string      `json:"overlap"`
	CatchUp        string      `json:"catchUp"`
	PausedReason   string      `json:"pausedReason,omitempty"`
	NextRunAt      *time.Time  `json:"nextRunAt"`
	NextRuns       []time.Time `json:"nextRuns,omitempty"`
	LastRunAt      *time.Time  `json:"lastRunAt"`
	ChatID         string      `json:"chatId"`
	CreatedAt      time.Time   `json:"createdAt"`
	UpdatedAt      time.Time   `json:"updatedAt"`
}

// Run is one run of an automation.
type Run struct {
	ID           string     `json:"id"`
	AutomationID string     `json:"automationId"`
	Slot         time.Time  `json:"slot"`
	Cause        string     `json:"cause"`
	Status       string     `json:"status"`
	TurnID       string     `json:"turnId,omitempty"`
	ChatID       string     `json:"chatId"`
	Detail       string     `json:"detail,omitempty"`
	StartedAt    *time.Time `json:"startedAt,omitempty"`
	FinishedAt   *time.Time `json:"finishedAt,omitempty"`
	DurationMs   int64      `json:"durationMs,omitempty"`
}

// One is an answer with one automation.
type One struct {
	Automation Automation `json:"automation"`
}

func when(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := db.Time(ms)
	return &t
}

func (r row) automation(runs int, now time.Time) Automation {
	a := Automation{ID: r.ID, Name: r.Name, Prompt: r.Prompt, CronExpression: r.Cron, Timezone: r.Timezone, Enabled: r.Enabled, Overlap: r.Overlap, CatchUp: r.CatchUp,
		PausedReason: r.PausedWhy, NextRunAt: when(r.NextRunAt), LastRunAt: when(r.LastRunAt), ChatID: r.ChatID, CreatedAt: db.Time(r.CreatedAt), UpdatedAt: db.Time(r.UpdatedAt)}
	if s, err := ParseSchedule(r.Cron, r.Timezone); err == nil {
		a.Schedule = s.Words()
		if r.Enabled && runs > 0 {
			a.NextRuns = s.Upcoming(now, runs)
		}
	}
	return a
}

var nameForm = regexp.MustCompile(`^[^\x00-\x1f/\\]{1,100}$`)

func checkName(name string) error {
	if !nameForm.MatchString(name) || strings.TrimSpace(name) != name || id.Is(id.Automation, name) {
		return errs.BadField("name", "must be 1 to 100 characters without slashes, control characters or spaces around it")
	}
	return nil
}

func notFound(ref string) error {
	return errs.New(errs.NotFound, "There is no automation %q.", ref)
}

// ListIn is the input of List.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"At most so many; 100 when left out." min:"1" max:"500"`
	After string `json:"after,omitempty" doc:"The next field of the answer before."`
}

// ListOut is the output of List.
type ListOut struct {
	Automations []Automation `json:"automations"`
	Next        string       `json:"next,omitempty"`
}

// List lists the account's automations, oldest first.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	limit := in.Limit
	if limit == 0 {
		limit = 100
	}
	var rows []row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRows(tx, op.ActorFrom(ctx).Account, in.After, limit)
		return err
	})
	if err != nil {
		return ListOut{}, err
	}
	out := ListOut{Automations: []Automation{}}
	for _, r := range rows {
		out.Automations = append(out.Automations, r.automation(0, s.now()))
	}
	if len(rows) == limit {
		out.Next = rows[len(rows)-1].ID
	}
	return out, nil
}

// CreateIn is the input of Create.
type CreateIn struct {
	Name           string `json:"name" doc:"A name, unique in the account, such as daily-scoring."`
	Prompt         string `json:"prompt" doc:"What the Operator is told at each run." minLen:"1" maxLen:"20000"`
	CronExpression string `json:"cronExpression" doc:"Five cron fields: minute, hour, day of month, month, day of week, such as 0 9 * * 1-5."`
	Timezone       string `json:"timezone,omitempty" doc:"The IANA time zone of the schedule, such as America/New_York; UTC when left out."`
	Enabled        *bool  `json:"enabled,omitempty" doc:"Whether it runs; true when left out."`
	Overlap        string `json:"overlap,omitempty" doc:"What happens when the run before still goes on: skip (the default) or queue." enum:"skip,queue"`
	CatchUp        string `json:"catchUp,omitempty" doc:"What happens after times when the server was down: one run for all that was missed (the default), or none." enum:"one,none"`
}

// Create makes an automation.
func (s *Service) Create(ctx context.Context, in CreateIn) (One, error) {
	if err := checkName(in.Name); err != nil {
		return One{}, err
	}
	sched, err := ParseSchedule(in.CronExpression, in.Timezone)
	if err != nil {
		return One{}, err
	}
	now := s.now()
	r := row{ID: id.New(id.Automation), Account: op.ActorFrom(ctx).Account, Name: in.Name, Prompt: in.Prompt, Cron: strings.Join(strings.Fields(in.CronExpression), " "), Timezone: sched.name,
		Enabled: in.Enabled == nil || *in.Enabled, Overlap: in.Overlap, CatchUp: in.CatchUp, ChatID: id.New(id.Chat), Scopes: strings.Join(op.ActorFrom(ctx).Scopes, " "), CreatedAt: db.Millis(now), UpdatedAt: db.Millis(now)}
	if r.Overlap == "" {
		r.Overlap = "skip"
	}
	if r.CatchUp == "" {
		r.CatchUp = "one"
	}
	if err := r.plan(sched, now); err != nil {
		return One{}, err
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		if n, err := countRows(tx, r.Account); err != nil {
			return err
		} else if n >= maxAutomations {
			return errs.New(errs.Capacity, "There are %d automations, as many as an account may have.", n)
		}
		added, err := insertRow(tx, r)
		if err != nil {
			return err
		}
		if !added {
			return errs.New(errs.Conflict, "There is an automation named %q already.", r.Name)
		}
		tx.OnCommit(s.wake)
		_, err = s.events.Append(tx, r.Account, r.ID, "automation.created", map[string]any{"name": r.Name})
		return err
	})
	if err != nil {
		return One{}, err
	}
	return One{r.automation(3, now)}, nil
}

// plan sets when the automation runs next.
func (r *row) plan(sched Schedule, now time.Time) error {
	if !r.Enabled {
		r.NextRunAt = 0
		return nil
	}
	next, err := sched.Next(now)
	if err != nil {
		return err
	}
	r.NextRunAt = db.Millis(next)
	return nil
}

// GetIn is the input of Get, and of everything that needs only the automation.
type GetIn struct {
	ID string `json:"id" doc:"The automation's id or name." ref:"automation"`
}

func (s *Service) find(ctx context.Context, ref string) (row, error) {
	var r row
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		r, err = getRow(tx, op.ActorFrom(ctx).Account, ref)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return r, notFound(ref)
	}
	return r, err
}

// Get shows one automation with its next runs.
func (s *Service) Get(ctx context.Context, in GetIn) (One, error) {
	r, err := s.find(ctx, in.ID)
	if err != nil {
		return One{}, err
	}
	return One{r.automation(5, s.now())}, nil
}

// UpdateIn is the input of Update; what is left out stays.
type UpdateIn struct {
	ID             string  `json:"id" doc:"The automation's id or name." ref:"automation"`
	Name           *string `json:"name,omitempty" doc:"A new name."`
	Prompt         *string `json:"prompt,omitempty" doc:"A new prompt." minLen:"1" maxLen:"20000"`
	CronExpression *string `json:"cronExpression,omitempty" doc:"A new schedule in five cron fields."`
	Timezone       *string `json:"timezone,omitempty" doc:"A new IANA time zone."`
	Enabled        *bool   `json:"enabled,omitempty" doc:"false pauses it, true resumes it."`
	Overlap        *string `json:"overlap,omitempty" doc:"skip or queue." enum:"skip,queue"`
	CatchUp        *string `json:"catchUp,omitempty" doc:"one or none." enum:"one,none"`
}

// Update changes an automation.
func (s *Service) Update(ctx context.Context, in UpdateIn) (One, error) {
	account, now := op.ActorFrom(ctx).Account, s.now()
	var r row
	err := s.db.Update(ctx, func(tx *db.Tx) (err error) {
		if r, err = getRow(tx, account, in.ID); errors.Is(err, db.ErrNoRows) {
			return notFound(in.ID)
		} else if err != nil {
			return err
		}
		before := r
		for dst, src := range map[*string]*string{&r.Name: in.Name, &r.Prompt: in.Prompt, &r.Cron: in.CronExpression, &r.Timezone: in.Timezone, &r.Overlap: in.Overlap, &r.CatchUp: in.CatchUp} {
			if src != nil {
				*dst = *src
			}
		}
		if in.Enabled != nil {
			r.Enabled = *in.Enabled
		}
		if in.Prompt != nil || r.Scopes == "" {
			r.Scopes = strings.Join(op.ActorFrom(ctx).Scopes, " ")
		}
		if err := checkName(r.Name); err != nil {
			return err
		}
		if taken, err := nameTaken(tx, account, r.Name, r.ID); err != nil {
			return err
		} else if taken {
			return errs.New(errs.Conflict, "There is an automation named %q already.", r.Name)
		}
		sched, err := ParseSchedule(r.Cron, r.Timezone)
		if err != nil {
			return err
		}
		r.Cron, r.Timezone = strings.Join(strings.Fields(r.Cron), " "), sched.name
		if r.Enabled && !before.Enabled {
			r.Failures, r.PausedWhy = 0, ""
		}
		if r.Enabled != before.Enabled || r.Cron != before.Cron || r.Timezone != before.Timezone {
			if err := r.plan(sched, now); err != nil {
				return err
			}
		}
		r.UpdatedAt = db.Millis(now)
		if err := updateRow(tx, r); err != nil {
			return err
		}
		tx.OnCommit(s.wake)
		_, err = s.events.Append(tx, account, r.ID, "automation.updated", map[string]any{"name": r.Name, "enabled": r.Enabled})
		return err
	})
	if err != nil {
		return One{}, err
	}
	return One{r.automation(3, now)}, nil
}

// OK is the answer of a deletion.
type OK struct {
	OK bool `json:"ok"`
}

// Delete removes an automation and its history. A run under way ends by itself.
func (s *Service) Delete(ctx context.Context, in GetIn) (OK, error) {
	account := op.ActorFrom(ctx).Account
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		r, err := getRow(tx, account, in.ID)
		if errors.Is(err, db.ErrNoRows) {
			return notFound(in.ID)
		} else if err != nil {
			return err
		}
		if err := s.events.Forget(tx, account, r.ID); err != nil {
			return err
		}
		return deleteRow(tx, account, r.ID)
	})
	return OK{err == nil}, err
}

// RunOut is an answer with one run.
type RunOut struct {
	Run Run `json:"run"`
}

// RunNow runs an automation at once, outside its schedule and also when it is paused.
func (s *Service) RunNow(ctx context.Context, in GetIn) (RunOut, error) {
	account, now := op.ActorFrom(ctx).Account, s.now()
	var r row
	var runs []runRow
	err := s.db.Update(ctx, func(tx *db.Tx) (err error) {
		if r, err = getRow(tx, account, in.ID); errors.Is(err, db.ErrNoRows) {
			return notFound(in.ID)
		} else if err != nil {
			return err
		}
		if err := s.addRun(tx, r, now, causeManual, statusQueued, ""); err != nil {
			return err
		}
		runs, err = listRuns(tx, account, r.ID, "", 1)
		return err
	})
	if err != nil {
		return RunOut{}, err
	}
	return RunOut{runs[0].run(r.ChatID)}, nil
}

// RunsIn is the input of Runs.
type RunsIn struct {
	ID    string `json:"id" doc:"The automation's id or name." ref:"automation"`
	Limit int    `json:"limit,omitempty" doc:"At most so many; 50 when left out." min:"1" max:"500"`
	After string `json:"after,omitempty" doc:"The next field of the answer before."`
}

// RunsOut is the output of Runs.
type RunsOut struct {
	Runs []Run  `json:"runs"`
	Next string `json:"next,omitempty"`
}

// Runs lists the runs of an automation, newest first.
func (s *Service) Runs(ctx context.Context, in RunsIn) (RunsOut, error) {
	r, err := s.find(ctx, in.ID)
	if err != nil {
		return RunsOut{}, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 50
	}
	var rows []runRow
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listRuns(tx, r.Account, r.ID, in.After, limit)
		return err
	})
	if err != nil {
		return RunsOut{}, err
	}
	out := RunsOut{Runs: []Run{}}
	for _, x := range rows {
		out.Runs = append(out.Runs, x.run(r.ChatID))
	}
	if len(rows) == limit {
		out.Next = rows[len(rows)-1].ID
	}
	return out, nil
}

func (r runRow) run(chat string) Run {
	out := Run{ID: r.ID, AutomationID: r.Automation, Slot: db.Time(r.Slot), Cause: r.Cause, Status: r.Status, TurnID: r.TurnID, ChatID: chat, Detail: r.Detail, StartedAt: when(r.StartedAt), FinishedAt: when(r.FinishedAt)}
	if r.FinishedAt != 0 && r.StartedAt != 0 {
		out.DurationMs = r.FinishedAt - r.StartedAt
	}
	return out
}
