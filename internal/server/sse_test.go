package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"yardmaster/internal/op"
)

// notedWriter is a response that notes what is done to it.
type notedWriter struct {
	mu       sync.Mutex
	text     strings.Builder
	flushed  []string // the text at each flush
	deadline time.Time
	fail     error
}

func (w *notedWriter) Header() http.Header { return http.Header{} }
func (w *notedWriter) WriteHeader(int)     {}

func (w *notedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	return w.text.Write(p)
}

func (w *notedWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushed = append(w.flushed, w.text.String())
}

func (w *notedWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

// seen is what has reached the client, and in how many flushes.
func (w *notedWriter) seen() (text string, flushes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.flushed) == 0 {
		return "", 0
	}
	return w.flushed[len(w.flushed)-1], len(w.flushed)
}

// wait lets the time of a synctest bubble pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func testStream(t *testing.T, fn func(s *Server, e *eventStream, w *notedWriter)) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Registry: op.NewRegistry()})
		w := &notedWriter{}
		e := s.openStream(w, httptest.NewRequest(http.MethodGet, "/", nil))
		defer s.EndStreams()
		fn(s, e, w)
		s.closeStream(e)
		before, _ := w.seen()
		wait(time.Hour)
		if after, _ := w.seen(); after != before {
			t.Errorf("after its end the stream got %q", strings.TrimPrefix(after, before))
		}
		if n := s.metrics.streams.Load(); n != 0 {
			t.Errorf("%d streams are counted as open", n)
		}
	})
}

// An event after a pause is sent at once; those of a burst travel together, and none waits longer than the window.
func TestStreamFlushes(t *testing.T) {
	t.Parallel()
	testStream(t, func(_ *Server, e *eventStream, w *notedWriter) {
		if text, n := w.seen(); n != 1 || text != ": stream-open\n\n" {
			t.Errorf("at the beginning: %q in %d", text, n)
		}
		wait(time.Second)
		_ = e.data([]byte("first"))
		if text, n := w.seen(); n != 2 || !strings.HasSuffix(text, "data: first\n\n") {
			t.Errorf("after a pause: %q in %d", text, n)
		}
		for range 100 {
			_ = e.data([]byte("more"))
		}
		wait(flushWindow)
		if text, n := w.seen(); n != 3 || strings.Count(text, "data: more\n\n") != 100 {
			t.Errorf("a burst: %d flushes", n)
		}
	})
}

// Silence is filled, and only silence.
func TestStreamKeepsAlive(t *testing.T) {
	t.Parallel()
	testStream(t, func(_ *Server, e *eventStream, w *notedWriter) {
		beats := func() int { text, _ := w.seen(); return strings.Count(text, ": keep-alive\n\n") }
		wait(14 * time.Second)
		_ = e.event("7", "kind", []byte("{}"))
		wait(14 * time.Second)
		if text, _ := w.seen(); beats() != 0 || !strings.HasSuffix(text, "id: 7\nevent: kind\ndata: {}\n\n") {
			t.Errorf("%d comments in a stream that was not silent: %q", beats(), text)
		}
		wait(time.Second)
		if beats() != 1 {
			t.Errorf("%d comments after 15 seconds of silence", beats())
		}
		wait(30 * time.Second)
		if beats() != 3 {
			t.Errorf("%d comments after 45 seconds of silence", beats())
		}
	})
}

// A client that takes nothing is given up: each write has its deadline, which moves on while there is progress.
func TestStreamDeadlines(t *testing.T) {
	t.Parallel()
	testStream(t, func(_ *Server, e *eventStream, w *notedWriter) {
		for range 100 {
			if err := e.data([]byte("x")); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			left := time.Until(w.deadline)
			w.mu.Unlock()
			if left < stuckAfter*3/4 || left > stuckAfter {
				t.Fatalf("%v are left for a write", left)
			}
			wait(10 * time.Second)
		}
		w.mu.Lock()
		w.fail = errors.New("i/o timeout")
		w.mu.Unlock()
		if e.data([]byte("x")) == nil || e.data([]byte("y")) == nil {
			t.Error("a write that failed was not reported")
		}
	})
}
