package experiment

import (
	"context"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

// ListIn pages through the experiments.
type ListIn struct {
	Limit int    `json:"limit,omitempty" doc:"How many experiments at most." min:"1" max:"1000" default:"200"`
	After string `json:"after,omitempty" doc:"The next of the answer before, to go on from there." maxLen:"100"`
}

// ListOut is a page of experiments, in the order of their making.
type ListOut struct {
	Experiments []Experiment `json:"experiments"`
	Next        string       `json:"next,omitempty"`
}

// List answers the experiments of the actor's account.
func (s *Service) List(ctx context.Context, in ListIn) (ListOut, error) {
	out := ListOut{Experiments: []Experiment{}}
	acct, err := account(ctx)
	if err != nil {
		return out, err
	}
	if in.Limit <= 0 {
		in.Limit = 200
	}
	if in.After != "" && !id.Is(id.Experiment, in.After) {
		return out, errs.BadField("after", "must be the next of the answer before")
	}
	err = s.db.View(ctx, func(tx *db.Tx) error {
		rows, err := listExperiments(tx, acct, in.After, in.Limit+1)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if i == in.Limit {
				out.Next = rows[i-1].ID
				break
			}
			st, err := outline(tx, r)
			if err != nil {
				return err
			}
			v := st.view()
			if v.Production, err = production(tx, st); err != nil {
				return err
			}
			out.Experiments = append(out.Experiments, v)
		}
		return nil
	})
	return out, err
}

// RefIn names an experiment.
type RefIn struct {
	ID string `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
}

// GetOut is all of an experiment.
type GetOut struct {
	Experiment  Experiment   `json:"experiment"`
	Generations []Generation `json:"generations"`
	Lineage     []Edge       `json:"lineage"`
	Decisions   []Decision   `json:"decisions"`
}

// Get answers an experiment with its generations, variants and lineage.
func (s *Service) Get(ctx context.Context, in RefIn) (GetOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return GetOut{}, err
	}
	var out GetOut
	err = s.db.View(ctx, func(tx *db.Tx) error {
		st, err := s.read(tx, acct, in.ID)
		if err != nil {
			return err
		}
		out = GetOut{Experiment: st.view(), Generations: st.viewGenerations(1), Lineage: st.lineage()}
		if out.Experiment.Production, err = production(tx, st); err != nil {
			return err
		}
		out.Decisions, err = decisions(tx, acct, st.ID)
		for i := range out.Decisions {
			out.Decisions[i].Variant = st.nameOf(out.Decisions[i].Variant)
		}
		return err
	})
	return out, err
}

// WaitIn says what to wait for.
type WaitIn struct {
	ID             string `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	TimeoutSeconds int    `json:"timeoutSeconds,omitempty" doc:"How long to wait at most." min:"1" max:"3600" default:"300"`
}

// WaitOut is an experiment with its leaderboard.
type WaitOut struct {
	Experiment  Experiment `json:"experiment"`
	Finished    bool       `json:"finished"` // false when the time ran out first
	Leaderboard []Standing `json:"leaderboard"`
	Baseline    *Standing  `json:"baseline,omitempty"`
	Notes       []string   `json:"notes"`
}

// Wait waits until an experiment is at rest, and reports how far it is meanwhile.
func (s *Service) Wait(ctx context.Context, in WaitIn) (WaitOut, error) {
	if in.TimeoutSeconds <= 0 {
		in.TimeoutSeconds = 300
	}
	st, err := s.sketch(ctx, in.ID)
	if err != nil {
		return WaitOut{}, err
	}
	after, err := s.last(ctx, st)
	if err != nil {
		return WaitOut{}, err
	}
	if st, err = s.sketch(ctx, st.ID); err != nil { // not older than the last event
		return WaitOut{}, err
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	if resting(st.Status) || st.Status == Deleting {
		cancel()
	}
	for e, err := range s.events.Follow(limit, st.Account, st.ID, after) {
		if err != nil {
			return WaitOut{}, err
		}
		op.Progress(ctx, e.Data)
		if !ends[e.Type] {
			continue
		}
		if st, err = s.sketch(ctx, st.ID); err != nil {
			return WaitOut{}, err
		}
		if resting(st.Status) || st.Status == Deleting {
			break
		}
	}
	if ctx.Err() != nil {
		return WaitOut{}, ctx.Err()
	}
	if st, err = s.state(ctx, st.ID); err != nil {
		return WaitOut{}, err
	}
	out := WaitOut{Experiment: st.view(), Finished: resting(st.Status), Leaderboard: []Standing{}, Notes: []string{}}
	p, err := s.plan(st.row)
	if err != nil {
		return out, nil //nolint:nilerr // the leaderboard says why there is none; the experiment's state is the answer here
	}
	board := newJudge(st, p).leaderboard(st.Generation)
	out.Leaderboard, out.Baseline, out.Notes = board.Leaderboard, board.Baseline, board.Notes
	return out, nil
}

// last is the number of the experiment's last event.
func (s *Service) last(ctx context.Context, st *state) (int64, error) {
	const page = 1000
	for after := int64(0); ; {
		events, err := s.events.List(ctx, st.Account, st.ID, after, page)
		if err != nil {
			return 0, err
		}
		if len(events) > 0 {
			after = events[len(events)-1].Seq
		}
		if len(events) < page {
			return after, nil
		}
	}
}

// ends are the events after which an experiment may be at rest.
var ends = map[string]bool{"experiment.scored": true, "experiment.failed": true, "experiment.cancelled": true, "experiment.deleting": true}

func resting(status string) bool { return !strings.HasSuffix(status, "ing") }
