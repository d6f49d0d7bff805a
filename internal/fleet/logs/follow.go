package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"time"
)

// lastFirst decodes whole lines from the end of data on. Lines that are none of ours are left out.
func lastFirst(data []byte) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for len(data) > 0 {
			data = bytes.TrimSuffix(data, []byte("\n"))
			start := bytes.LastIndexByte(data, '\n') + 1
			if line, ok := decode(data[start:]); ok && !yield(line) {
				return
			}
			data = data[:start]
		}
	}
}

func decode(raw []byte) (Line, bool) {
	var line Line
	err := json.Unmarshal(raw, &line)
	return line, err == nil && !line.Time.IsZero()
}

// Follow yields the lines that are not older than since, and then every new one, until ctx ends or the log is closed; a
// zero since stands for now. A follower that is slower than rotation gets a line that says so and goes on with the
// oldest line there is; it never holds up writers.
func (l *Log) Follow(ctx context.Context, since time.Time) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		at, err := l.find(since)
		for err == nil && ctx.Err() == nil {
			var segment int
			var size int64
			var changed <-chan struct{}
			if segment, size, changed, err = l.end(); err != nil {
				break
			}
			more, e := l.deliver(&at, segment, size, since, yield)
			if !more {
				return
			}
			if err = e; err != nil {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		if err != nil && !errors.Is(err, ErrClosed) {
			yield(Line{}, err)
		}
	}
}

// place is how far a follower has read.
type place struct {
	segment int
	offset  int64
}

// find answers where to start reading for since.
func (l *Log) find(since time.Time) (place, error) {
	segment, size, _, err := l.end()
	if err != nil {
		return place{}, err
	}
	if since.IsZero() {
		return place{segment, size}, nil
	}
	numbers, err := l.segments()
	if err != nil {
		return place{}, err
	}
	// The newest segment that begins before since holds the first line; the lines before since are passed over.
	at := place{segment: segment}
	for _, n := range slices.Backward(numbers) {
		first, ok, err := l.first(n)
		if err != nil {
			return place{}, err
		}
		at.segment = min(at.segment, n)
		if ok && first.Before(since) {
			break
		}
	}
	return at, nil
}

// first answers the time of a segment's first line.
func (l *Log) first(segment int) (time.Time, bool, error) {
	const enough = 8 * MaxText // JSON escapes take up to six bytes for one
	f, err := l.root.Open(l.file(segment))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	buf := make([]byte, enough)
	n, _ := f.ReadAt(buf, 0) // a short segment ends with EOF
	if err := f.Close(); err != nil {
		return time.Time{}, false, err
	}
	head, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	line, ok := decode(head)
	return line.Time, ok, nil
}

// chunk bounds how much a follower reads at once.
const chunk = 1 << 20

// deliver yields what was written between at and the end that is given, and moves at. It answers false when the consumer
// wants no more.
func (l *Log) deliver(at *place, segment int, size int64, since time.Time, yield func(Line, error) bool) (bool, error) {
	for at.segment <= segment {
		end := int64(-1)
		if at.segment == segment {
			end = size
		}
		data, err := l.part(*at, end)
		if errors.Is(err, fs.ErrNotExist) {
			if at.segment > 0 && !yield(Line{Time: time.Now().UTC(), Stream: System, Text: "(lines were dropped here: the log was written faster than it was read)"}, nil) {
				return false, nil
			}
			numbers, err := l.segments()
			if err != nil || len(numbers) == 0 || numbers[0] > segment {
				return true, err
			}
			*at = place{segment: numbers[0]}
			continue
		}
		if err != nil {
			return true, err
		}
		if len(data) == 0 {
			if at.segment == segment {
				return true, nil
			}
			*at = place{segment: at.segment + 1}
			continue
		}
		at.offset += int64(len(data))
		for raw := range bytes.Lines(data) {
			line, ok := decode(raw)
			if !ok || line.Time.Before(since) {
				continue
			}
			if !yield(line, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// part reads whole lines from at on, up to end or the end of the segment.
func (l *Log) part(at place, end int64) ([]byte, error) {
	if at.segment == 0 {
		return nil, fs.ErrNotExist
	}
	if end < 0 || end > at.offset+chunk {
		f, err := l.root.Open(l.file(at.segment))
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		if end < 0 || end > info.Size() {
			end = info.Size()
		}
		end = min(end, at.offset+chunk)
	}
	data, err := l.read(at.segment, at.offset, max(end, at.offset))
	if err != nil {
		return nil, err
	}
	return data[:bytes.LastIndexByte(data, '\n')+1], nil
}
