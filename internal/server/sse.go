package server

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// flushWindow is how long an event may wait for others to travel with it. An event after a pause is sent at once.
	flushWindow = 4 * time.Millisecond
	// stuckAfter is how long a single write may take; a client that takes nothing for so long is gone.
	stuckAfter = 2 * time.Minute
)

// eventStream writes server-sent events to one client. Its methods are safe for concurrent use.
type eventStream struct {
	w  http.ResponseWriter
	rc *http.ResponseController

	mu       sync.Mutex
	buf      []byte
	err      error // of the first write that failed
	closed   bool
	wrote    time.Time // last write of any kind
	flushed  time.Time
	armed    time.Time // when the write deadline was last moved
	waiting  bool      // something is to be flushed by flusher
	flusher  *time.Timer
	keeper   *time.Timer
	interval time.Duration
}

// openStream begins an event stream: headers, and a comment that carries them to the client at once.
func (s *Server) openStream(w http.ResponseWriter, r *http.Request) *eventStream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "keep-alive")
	}
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w: w, rc: http.NewResponseController(w), interval: s.cfg.KeepAlive}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flusher = time.AfterFunc(time.Hour, e.flushLate)
	e.flusher.Stop()
	e.keeper = time.AfterFunc(e.interval, e.keepAlive)
	e.write([]byte(": stream-open\n\n"))
	s.metrics.streams.Add(1)
	return e
}

// data sends an event that has only data. The value MUST be one line.
func (e *eventStream) data(value []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf = append(append(append(e.buf[:0], "data: "...), value...), "\n\n"...)
	e.write(e.buf)
	return e.err
}

// event sends an event with an id and a type, by which a browser's EventSource goes on after a break.
func (e *eventStream) event(id, kind string, value []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf = append(append(append(e.buf[:0], "id: "...), id...), "\nevent: "...)
	e.buf = append(append(append(append(e.buf, kind...), "\ndata: "...), value...), "\n\n"...)
	e.write(e.buf)
	return e.err
}

// write MUST be called with the lock held.
func (e *eventStream) write(text []byte) {
	if e.err != nil || e.closed {
		return
	}
	now := time.Now()
	if now.Sub(e.armed) > stuckAfter/8 {
		e.armed = now
		_ = e.rc.SetWriteDeadline(now.Add(stuckAfter)) // a writer without deadlines never blocks
	}
	if _, e.err = e.w.Write(text); e.err != nil {
		return
	}
	e.wrote = now
	switch {
	case e.waiting:
	case now.Sub(e.flushed) >= flushWindow:
		e.flush(now)
	default:
		e.waiting = true
		e.flusher.Reset(flushWindow)
	}
}

// flush MUST be called with the lock held.
func (e *eventStream) flush(now time.Time) {
	e.waiting, e.flushed = false, now
	if err := e.rc.Flush(); e.err == nil {
		e.err = err
	}
}

func (e *eventStream) flushLate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting && !e.closed && e.err == nil {
		e.flush(time.Now())
	}
}

// keepAlive sends a comment when nothing was sent for the interval: proxies and browsers close silent connections.
func (e *eventStream) keepAlive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.err != nil {
		return
	}
	silent := time.Since(e.wrote)
	if silent >= e.interval {
		e.write([]byte(": keep-alive\n\n"))
		silent = 0
	}
	e.keeper.Reset(e.interval - silent)
}

// close ends the use of the response, which a handler MUST do before it returns.
func (s *Server) closeStream(e *eventStream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.flusher.Stop()
	e.keeper.Stop()
	s.metrics.streams.Add(-1)
}

// streamContext is the request's context that also ends when the server shuts down, with errShutdown as its cause.
func (s *Server) streamContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.streams, func() { cancel(errShutdown) })
	return ctx, func() { stop(); cancel(nil) }
}
