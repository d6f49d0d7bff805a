package chat

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"yardmaster/internal/uistream"
)

// live is a turn as it happens: an append-only log of chunks that any number of readers follow from the start, each at its
// own pace. A text that grows is one entry, so that a reader who is behind gets what he missed of it as one delta, and a
// slow reader holds nobody back and costs nothing but what he has not read.
type live struct {
	turn    Turn
	account string
	row     *turnRow // the turn as it was stored, when this process has stored it; saves the first run from reading it

	mu      sync.Mutex
	entries []entry
	readers []chan struct{}
	over    bool
	size    int // about what the entries hold, in bytes
	stop    func(cause error)
	stopped error // asked for before stop was there
	result  Result
	done    chan struct{} // closed when over
}

// entry is a chunk, or with text the growing deltas of a part, of which chunk is the pattern.
type entry struct {
	chunk  uistream.Chunk
	text   *strings.Builder
	closed bool // nothing more comes to text
	dead   bool // what was reported here was replaced by a later report; who has not read it need not
}

func newLive(t turnRow) *live {
	return &live{turn: t.turn(), account: t.Account, done: make(chan struct{})}
}

// add appends a chunk and answers its index.
func (l *live) add(c uistream.Chunk) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.put(entry{chunk: c})
}

func (l *live) put(e entry) int {
	if l.over {
		return -1
	}
	l.entries = append(l.entries, e)
	l.size += 256 + len(e.chunk.Input) + len(e.chunk.Output) + len(e.chunk.Delta)
	l.wake()
	return len(l.entries) - 1
}

// begin appends a growing text; c is the pattern of its deltas.
func (l *live) begin(c uistream.Chunk) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.put(entry{chunk: c, text: new(strings.Builder)})
}

// grow appends to a growing text. s MUST be whole runes.
func (l *live) grow(i int, s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || i < 0 {
		return
	}
	l.entries[i].text.WriteString(s)
	l.size += len(s)
	l.wake()
}

// end closes a growing text and appends the chunk that says so.
func (l *live) end(i int, c uistream.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	if i >= 0 {
		l.entries[i].closed = true
	}
	l.put(entry{chunk: c})
}

// replace appends a chunk that makes the one at i superfluous; i may be -1.
func (l *live) replace(i int, c uistream.Chunk) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i >= 0 && !l.over {
		l.entries[i].dead = true
		l.size -= len(l.entries[i].chunk.Output)
		l.entries[i].chunk.Output = nil
	}
	return l.put(entry{chunk: c})
}

// finish ends the log with its last chunks.
func (l *live) finish(r Result, last ...uistream.Chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	for _, c := range last {
		l.put(entry{chunk: c})
	}
	for i := range l.entries {
		l.entries[i].closed = true
	}
	l.result, l.over = r, true
	close(l.done)
	l.wake()
}

// wake tells the readers that there is something new; one token is enough for any number of news.
func (l *live) wake() {
	for _, r := range l.readers {
		select {
		case r <- struct{}{}:
		default:
		}
	}
}

// onStop sets how the run is stopped; when that was asked for already, it is done at once.
func (l *live) onStop(stop func(cause error)) {
	l.mu.Lock()
	l.stop = stop
	asked := l.stopped
	l.mu.Unlock()
	if asked != nil {
		stop(asked)
	}
}

// halt stops the run.
func (l *live) halt(cause error) {
	l.mu.Lock()
	l.stopped = cause
	stop := l.stop
	l.mu.Unlock()
	if stop != nil {
		stop(cause)
	}
}

// maxDelta bounds a delta for readers that have much to catch up on, in bytes.
const maxDelta = 16 << 10

// cursor is where a reader is.
type cursor struct{ entry, offset int }

// next takes up to max chunks from the cursor on. more is false when the log has ended and all of it was taken.
func (l *live) next(at *cursor, into []uistream.Chunk, max int) (out []uistream.Chunk, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out = into
	for at.entry < len(l.entries) && len(out) < max {
		e := &l.entries[at.entry]
		if e.text == nil {
			if !e.dead {
				out = append(out, e.chunk)
			}
			at.entry++
			continue
		}
		if rest := e.text.String()[at.offset:]; rest != "" {
			c := e.chunk
			c.Delta = rest[:wholeRunes(rest, maxDelta)]
			at.offset += len(c.Delta)
			out = append(out, c)
			continue
		}
		if !e.closed {
			break
		}
		at.entry, at.offset = at.entry+1, 0
	}
	return out, !l.over || at.entry < len(l.entries)
}

// wholeRunes is the length of the longest beginning of s that is not above limit and cuts no rune.
func wholeRunes(s string, limit int) int {
	if len(s) <= limit {
		return len(s)
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return limit
}

// follow answers the encoded chunks from the first on, then each as it comes, until the turn or ctx ends. A slice is valid
// until the next one is asked for.
func (l *live) follow(ctx context.Context) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		news := make(chan struct{}, 1)
		l.mu.Lock()
		l.readers = append(l.readers, news)
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.readers = slices.DeleteFunc(l.readers, func(r chan struct{}) bool { return r == news })
		}()
		var at cursor
		var buf []byte
		chunks := make([]uistream.Chunk, 0, 16)
		for {
			got, more := l.next(&at, chunks[:0], cap(chunks))
			for _, c := range got {
				buf = c.AppendJSON(buf[:0])
				if !yield(buf) {
					return
				}
			}
			if !more {
				return
			}
			if len(got) > 0 {
				continue // there may be more already
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

// wait waits for the end of the log.
func (l *live) wait(ctx context.Context) (Result, error) {
	select {
	case <-l.done:
		return l.result, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// recentLives and recentBytes bound what is kept of ended turns for readers that come a moment late; later ones get the
// stored message.
const (
	recentLives = 64
	recentBytes = 1 << 20 // each
)

// liveOf answers the live log of a turn, made when there is none.
func (s *Service) liveOf(t turnRow) *live {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lives[t.ID]
	if !ok {
		l = newLive(t)
		l.add(startChunk(l.turn))
		s.lives[t.ID] = l
	}
	return l
}

// findLive answers the live log of a turn that runs, waits or ended a moment ago; nil when there is none.
func (s *Service) findLive(account, turnID string) *live {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.lives[turnID]; ok && l.account == account {
		return l
	}
	for _, l := range s.recent {
		if l.turn.ID == turnID && l.account == account {
			return l
		}
	}
	return nil
}

// retire ends a live log and takes it out of those that run.
func (s *Service) retire(l *live, r Result, keep bool, last ...uistream.Chunk) {
	l.finish(r, last...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives[l.turn.ID] == l {
		delete(s.lives, l.turn.ID)
	}
	if !keep || l.size > recentBytes {
		return
	}
	if len(s.recent) >= recentLives {
		copy(s.recent, s.recent[1:])
		s.recent = s.recent[:recentLives-1]
	}
	s.recent = append(s.recent, l)
}
