package fleet

import (
	"context"
	"errors"
	"iter"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/logs"
)

const defaultTail = 100

// LogsIn is the input of Logs.
type LogsIn struct {
	ID    string `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Tail  int    `json:"tail,omitempty" doc:"How many lines at most, counted from the newest." min:"1" max:"10000" default:"100"`
	Since string `json:"since,omitempty" doc:"Only lines since a time such as 2026-01-31T09:00:00Z, or since that long ago such as 10m or 2h; or the next of the answer before." maxLen:"64"`
}

// LogsOut is a piece of a log, oldest line first.
type LogsOut struct {
	Lines []logs.Line `json:"lines"`
	Next  string      `json:"next,omitempty"` // the since for the lines after these
}

// since reads a point in time, or how long ago it was.
func since(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return time.Now().Add(-d), nil
	}
	return time.Time{}, errs.BadField("since", "%q is no time; write one such as 2026-01-31T09:00:00Z, or how long ago, such as 10m or 2h", clip(text))
}

// Logs answers the newest lines of an instance's log: what commands printed, and what the platform did.
func (s *Service) Logs(ctx context.Context, in LogsIn) (LogsOut, error) {
	out := LogsOut{Lines: []logs.Line{}}
	from, err := since(in.Since)
	if err != nil {
		return out, err
	}
	r, err := s.row(ctx, in.ID)
	if err != nil {
		return out, err
	}
	if in.Tail <= 0 {
		in.Tail = defaultTail
	}
	if out.Lines, err = s.unit(r.Account, r.ID).log.Tail(in.Tail, from); err != nil {
		return LogsOut{}, closedLog(r, err)
	}
	if n := len(out.Lines); n > 0 {
		out.Next = cursor(out.Lines[n-1].Time.Add(1))
	} else if !from.IsZero() {
		out.Next = cursor(from)
	}
	return out, nil
}

func cursor(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func closedLog(r row, err error) error {
	if errors.Is(err, logs.ErrClosed) {
		return errs.New(errs.NotFound, "There is no instance %q any more.", r.Name)
	}
	return err
}

// Follow yields the lines that Logs would answer and then each new line as it is written, without a gap or a repetition,
// until ctx ends or the instance is deleted. With no Tail and no Since it begins with the last 100 lines.
func (s *Service) Follow(ctx context.Context, in LogsIn) iter.Seq2[logs.Line, error] {
	return func(yield func(logs.Line, error) bool) {
		first, err := s.Logs(ctx, in)
		if err != nil {
			yield(logs.Line{}, err)
			return
		}
		for _, line := range first.Lines {
			if !yield(line, nil) {
				return
			}
		}
		r, err := s.row(ctx, in.ID)
		if err != nil {
			yield(logs.Line{}, err)
			return
		}
		from := time.Unix(1, 0) // nothing was written yet: all that comes is new
		if n := len(first.Lines); n > 0 {
			from = first.Lines[n-1].Time.Add(1)
		} else if t, err := since(in.Since); err == nil && !t.IsZero() {
			from = t
		}
		for line, err := range s.unit(r.Account, r.ID).log.Follow(ctx, from) {
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}
