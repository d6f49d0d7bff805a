package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"yardmaster/internal/errs"
)

const (
	logsOperation   = "instances.logs"
	readInstances   = "instances:read"
	readExperiments = "experiments:read"
)

// LogQuery says from where a log is followed.
type LogQuery struct {
	Since string // a time or a duration back from now; "" for none
	Tail  int    // how many past lines to begin with; -1 leaves it to the log
}

// logs serves the log operation, and the same log as a stream when follow is asked for.
func (s *Server) logs(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		follow := false
		if v := query.Get("follow"); v != "" {
			var err error
			if follow, err = strconv.ParseBool(v); err != nil {
				s.fail(w, r, errs.BadField("follow", "must be true or false"))
				return
			}
		}
		if query.Has("follow") && !follow {
			query.Del("follow")
			r.URL.RawQuery = query.Encode()
		}
		if !follow {
			next(w, r)
			return
		}
		ctx, err := s.authorise(r, readInstances)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		q, err := logQuery(query)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		ctx, cancel := s.streamContext(ctx)
		defer cancel()
		lines, err := s.cfg.Logs(ctx, r.PathValue("id"), q)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", "text/event-stream")
			return
		}
		e := s.openStream(w, r)
		defer s.closeStream(e)
		for line, err := range lines {
			if err != nil {
				s.breakOff(e, r, err)
				return
			}
			if e.data(encodeLine(line)) != nil {
				return
			}
		}
	}
}

func logQuery(query map[string][]string) (LogQuery, error) {
	q := LogQuery{Tail: -1}
	var bad []errs.Field
	for name, values := range query {
		switch value := values[0]; name {
		case "follow":
		case "since":
			q.Since = value
		case "tail":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				bad = append(bad, errs.Field{Path: name, Detail: "must be a whole number, 0 or more"})
			}
			q.Tail = n
		default:
			bad = append(bad, errs.Field{Path: shorten(name), Detail: "is not a field here; the fields are follow, since, tail"})
		}
	}
	return q, errs.BadFields(bad)
}

// events serves the events of an experiment: those of the past after a number, then each as it happens.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	ctx, err := s.authorise(r, readExperiments)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	after, err := eventNumber(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := s.streamContext(ctx)
	defer cancel()
	events, err := s.cfg.Events(ctx, r.PathValue("id"), after)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	e := s.openStream(w, r)
	defer s.closeStream(e)
	for event, err := range events {
		if err != nil {
			s.breakOff(e, r, err)
			return
		}
		if e.event(strconv.FormatInt(event.Seq, 10), event.Type, encodeLine(event)) != nil {
			return
		}
	}
}

// eventNumber is the number after which a client wants to read: its parameter, or what a browser's EventSource says when
// it comes back after a break.
func eventNumber(r *http.Request) (int64, error) {
	value, field := r.Header.Get("Last-Event-ID"), "Last-Event-ID"
	if value == "" {
		value, field = r.URL.Query().Get("after"), "after"
	}
	for name := range r.URL.Query() {
		if name != "after" {
			return 0, errs.BadField(shorten(name), "is not a field here; the field is after")
		}
	}
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return 0, errs.BadField(field, "must be the number of an event, 0 or more")
	}
	return n, nil
}

// breakOff ends a stream that failed with an event of its own type.
func (s *Server) breakOff(e *eventStream, r *http.Request, err error) {
	if r.Context().Err() != nil || errors.Is(err, errShutdown) {
		return
	}
	s.logFailure(r, err)
	_ = e.event("", "problem", encodeLine(problemOf(err)))
}

// encodeLine encodes a value as one line of JSON.
func encodeLine(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // a type that JSON can't carry: a defect
	}
	return bytes.TrimRight(buf.Bytes(), "\n")
}
