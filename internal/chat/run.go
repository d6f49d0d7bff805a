package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"yardmaster/internal/agent"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/job"
	"yardmaster/internal/llm"
	"yardmaster/internal/uistream"
)

var (
	errStopped = errors.New("stopped")
	errDeleted = errors.New("deleted")
)

// maxHistory and maxHistoryBytes bound what is read of a chat before a turn.
const (
	maxHistory      = 400
	maxHistoryBytes = 8 << 20
)

// restarting is what readers of a turn are told when its process ends before it does.
const restarting = "The server is stopping. The turn goes on when it is back; load the chat again to see it."

type payload struct {
	Account string `json:"account"`
	TurnID  string `json:"turnId"`
}

// started is what a run begins with.
type started struct {
	turn   turnRow
	rows   []messageRow // up to the message that is answered
	answer messageRow
}

// run is the job handler: it takes a turn from where it is to its end.
func (s *Service) run(ctx context.Context, j job.Job) error {
	var p payload
	if err := json.Unmarshal(j.Payload, &p); err != nil {
		return fmt.Errorf("turn job: %w", err)
	}
	st, err := s.load(ctx, p, j)
	if errs.Is(err, errs.NotFound) || (err == nil && st.turn.Status != Running) {
		return nil // deleted, or ended by an earlier run whose job outlived it
	}
	if err != nil {
		return err
	}
	l := s.liveOf(st.turn)
	err = s.answer(ctx, j, st, l)
	if err != nil {
		// Nothing was decided: the turn goes on in another run, and these readers learn it there.
		s.giveUp(l)
	}
	return err
}

func (s *Service) load(ctx context.Context, p payload, j job.Job) (started, error) {
	var fresh *turnRow
	if l := s.findLive(p.Account, p.TurnID); l != nil && j.Attempt == 1 {
		fresh = l.row
	}
	return view(ctx, s.db, func(tx *db.Tx) (st started, err error) {
		if fresh != nil {
			st.turn, st.answer.Parts = *fresh, "[]"
			st.turn.Status = Running // its job runs, so that it is no longer queued
			st.rows, err = recentMessages(tx, p.Account, st.turn.ChatID, st.turn.UserSeq, maxHistory, maxHistoryBytes)
			return st, err
		}
		if st.turn, err = getTurn(tx, p.Account, p.TurnID); err != nil {
			return st, err
		}
		if st.rows, err = recentMessages(tx, p.Account, st.turn.ChatID, st.turn.UserSeq, maxHistory, maxHistoryBytes); err != nil {
			return st, err
		}
		st.answer, err = getMessage(tx, p.Account, st.turn.ChatID, st.turn.AnswerSeq)
		return st, err
	})
}

// answer runs the loop and stores the end. An error means that the turn has not ended.
func (s *Service) answer(ctx context.Context, j job.Job, st started, l *live) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	l.onStop(stop)
	r := newRecorder(s, st.turn, j, l)
	out, err := s.think(ctx, j, st, r)
	to, reason := Done, ""
	switch cause := context.Cause(ctx); {
	case err == nil:
	case errors.Is(cause, errStopped) || errors.Is(err, errStopped):
		to = Stopped
	case errors.Is(cause, errDeleted):
		return s.forget(ctx, j, l)
	case errors.Is(err, job.ErrFenced):
		return err
	case ctx.Err() != nil:
		return cause
	default:
		to, reason = Failed, r.mask.all(errs.Public(err).Error())
		if errs.CodeOf(err) == errs.Internal {
			s.log.ErrorContext(ctx, "a turn failed", "turn", st.turn.ID, "chat", st.turn.ChatID, "error", err)
		}
	}
	r.settle()
	return s.end(ctx, r, to, reason, out)
}

// forget ends the run of a turn that was deleted with its chat.
func (s *Service) forget(ctx context.Context, j job.Job, l *live) error {
	gone := l.turn
	gone.Status = Stopped
	s.retire(l, Result{Turn: gone}, false, uistream.Chunk{Type: uistream.Abort, Reason: "deleted"})
	return s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := s.jobs.Complete(tx, j); err != nil && !errors.Is(err, job.ErrFenced) {
			return err
		}
		return nil
	})
}

func (s *Service) think(ctx context.Context, j job.Job, st started, r *recorder) (agent.Outcome, error) {
	t := st.turn
	parts, err := decodeParts(st.answer.Parts)
	if err != nil {
		return agent.Outcome{}, err
	}
	r.seed(parts)
	actor, err := t.actor()
	if err != nil {
		return agent.Outcome{}, err
	}
	setup, err := s.brain.Setup(ctx, actor, t.Model)
	if err != nil {
		return agent.Outcome{}, err
	}
	if setup.Tools == nil {
		setup.Tools = agent.NewToolset(nil, nil, nil)
	}
	setup.Scrub = s.scrub(t.Account)
	r.provider = setup.Provider.Name()
	if t.Stop != 0 {
		return agent.Outcome{}, errStopped
	}
	if j.Attempt > maxAttempts {
		return agent.Outcome{}, errs.New(errs.Unavailable, "The server stopped %d times while it worked on this, so it was given up. What was done so far is above.", j.Attempt-1)
	}
	done := steps(parts, r.provider)
	s.reveal(t, st.rows, done, r, setup.Tools)
	budget, total := setup.Budget, setup.History
	if budget == 0 {
		budget = agent.DefaultBudget
	}
	if total == 0 {
		total = agent.DefaultHistory
	}
	past, err := history(st.rows, r.provider, budget, total)
	if err != nil {
		return agent.Outcome{}, err
	}
	return agent.Run(ctx, setup, agent.Turn{ID: t.ID, Actor: actor, History: past, Steps: done}, r)
}

// reveal puts what is masked in the database back for a turn that is taken up again. A call whose secret is lost is not
// made with the mask in its place: it counts as broken off.
func (s *Service) reveal(t turnRow, rows []messageRow, done []agent.Step, r *recorder, tools *agent.Toolset) {
	secret, ok := s.unseal(t)
	if ok {
		r.secret = secret
		r.mask.learn(secret.Secrets)
		for i := range rows {
			if original, ok := secret.Messages[rows[i].Seq]; ok {
				rows[i].Parts = original
			}
		}
	}
	for _, step := range done {
		for i, c := range step.Parts {
			if c.Type != llm.ToolCall {
				continue
			}
			if input, ok := secret.Inputs[c.CallID]; ok {
				step.Parts[i].Input = input
			} else if _, has := step.Results[c.CallID]; !has && len(tools.Hidden(c.Tool)) > 0 {
				res := unknownResult(c)
				step.Results[c.CallID] = res
				r.Result(res)
			}
		}
	}
}

// end stores the end of a turn and all that belongs to it in one transaction, and then tells the readers.
func (s *Service) end(ctx context.Context, r *recorder, to Status, reason string, out agent.Outcome) error {
	t := r.turn
	metadata := startMetadata(t.turn())
	var last []uistream.Chunk
	switch to {
	case Failed:
		metadata = endMetadata(t.turn(), to, reason)
		last = []uistream.Chunk{{Type: uistream.MessageMetadata, Metadata: metadata}, {Type: uistream.Error, ErrorText: reason}}
	case Stopped:
		metadata = endMetadata(t.turn(), to, "")
		last = []uistream.Chunk{{Type: uistream.MessageMetadata, Metadata: metadata}, {Type: uistream.Abort, Reason: "stopped"}}
	default:
		last = []uistream.Chunk{{Type: uistream.Finish, Reason: string(out.Reason)}}
	}
	raw, err := encodeParts(r.parts)
	if err != nil {
		return err
	}
	now := millis()
	err = s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := s.jobs.Complete(tx, r.job); err != nil {
			return err
		}
		err := endTurn(tx, t, to, out.Steps, usageJSON(out.Usage), reason, now)
		if errors.Is(err, errGone) { // the chat was deleted meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if err := storeParts(tx, t, raw, string(metadata), 0); err != nil {
			return err
		}
		e := turnEvent{TurnID: t.ID, MessageID: t.MessageID, Status: to, Error: reason, Steps: out.Steps, Usage: out.Usage}
		if _, err := s.events.Append(tx, t.Account, Stream(t.ChatID), eventFinished, e); err != nil {
			return err
		}
		return s.startNext(tx, t.Account, t.ChatID, now)
	})
	if err != nil {
		return err
	}
	done := t.turn()
	done.Status = to
	message := uistream.Message{Parts: visible(r.parts)}
	s.retire(r.live, Result{Turn: done, Text: message.Text(), Error: reason}, true, last...)
	return nil
}

func endMetadata(t Turn, to Status, reason string) json.RawMessage {
	m := startMetadata(t)
	m = append(m[:len(m)-1], `,"status":`...)
	m = append(m, mustJSON(string(to))...)
	if reason != "" {
		m = append(append(m, `,"error":`...), mustJSON(reason)...)
	}
	return append(m, '}')
}

// startNext has the next turn of a chat run, when there is one and none runs.
func (s *Service) startNext(tx *db.Tx, account, chatID string, now int64) error {
	active, err := activeTurns(tx, account, chatID)
	if err != nil || len(active) == 0 || active[0].Status != Queued {
		return err
	}
	next := active[0]
	if err := startTurn(tx, next, now); err != nil {
		return err
	}
	return s.enqueue(tx, next)
}

func (s *Service) enqueue(tx *db.Tx, t turnRow) error {
	_, err := s.jobs.Enqueue(tx, job.Spec{Kind: JobKind, Key: t.ID, Account: t.Account, Payload: payload{t.Account, t.ID}})
	return err
}
