// Package logs keeps what an instance printed: an append-only file of JSON lines, cut into segments of which the oldest
// are dropped, so that a flood of output never fills a disk.
//
// The times of the lines of one log strictly increase, also over restarts and when the clock goes back. So a time is a
// cursor: reading on from "the last line's time plus one nanosecond" neither loses nor repeats a line.
//
// A Log holds no open file and no goroutine while nothing happens.
package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The streams of an instance's log.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	System = "system" // what the platform says about the instance
)

// Line is one line of a log.
type Line struct {
	Time   time.Time `json:"time"`
	Stream string    `json:"stream"`
	Text   string    `json:"text"`
}

// MaxText bounds the text of one line, in bytes. Longer lines are cut.
const MaxText = 16 << 10

// ErrClosed is the answer of a log that was closed.
var ErrClosed = errors.New("the log is closed")

// Limits bounds a log on disk. Zero values stand for 4 segments of 4 MiB.
type Limits struct {
	SegmentBytes int64
	Segments     int
}

// Log is the log of one instance. It is safe for concurrent use.
type Log struct {
	root   *os.Root
	dir    string
	limits Limits

	mu      sync.Mutex
	loaded  bool
	closed  bool
	segment int       // number of the newest segment; 0 when there is none
	size    int64     // of the newest segment
	last    time.Time // of the newest line
	changed chan struct{}
}

// New makes the log whose segments lie in the folder dir below root. Nothing is read or made before it is used; then the
// folder is made, but not those above it, so that late writers do not bring a removed instance's folder back.
func New(root *os.Root, dir string, limits Limits) *Log {
	if limits.SegmentBytes <= 0 {
		limits.SegmentBytes = 4 << 20
	}
	if limits.Segments <= 0 {
		limits.Segments = 4
	}
	return &Log{root: root, dir: dir, limits: limits}
}

// Append adds lines of one stream. Texts are taken as they are but for what JSON cannot carry.
func (l *Log) Append(stream string, texts ...string) error {
	if len(texts) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	last := l.last
	for _, text := range texts {
		now := time.Now().UTC().Round(0)
		if !now.After(last) {
			now = last.Add(1)
		}
		last = now
		if err := enc.Encode(Line{Time: now, Stream: stream, Text: text}); err != nil {
			return err
		}
	}
	if err := l.write(buf.Bytes()); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	l.last = last
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return nil
}

// write puts whole lines into the newest segment, or into the next one when that is full.
func (l *Log) write(p []byte) error {
	if l.segment == 0 || l.size > 0 && l.size+int64(len(p)) > l.limits.SegmentBytes {
		l.segment, l.size = l.segment+1, 0
		if old := l.segment - l.limits.Segments; old > 0 {
			if err := l.root.Remove(l.file(old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	f, err := l.root.OpenFile(l.file(l.segment), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.root.Mkdir(l.dir, 0o700); err == nil {
			f, err = l.root.OpenFile(l.file(l.segment), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	if err != nil {
		err = errors.Join(err, f.Truncate(l.size)) // half a line, on a full disk
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		l.size += int64(len(p))
	}
	return err
}

// load finds the newest segment and mends its end, once. The caller holds mu.
func (l *Log) load() error {
	if l.closed {
		return ErrClosed
	}
	if l.loaded {
		return nil
	}
	numbers, err := l.segments()
	if err != nil {
		return err
	}
	for i, n := range slices.Backward(numbers) {
		if i < len(numbers)-l.limits.Segments { // left behind by a crash between rotation's steps
			if err := l.root.Remove(l.file(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		data, err := l.root.ReadFile(l.file(n))
		if err != nil {
			return err
		}
		whole := data[:bytes.LastIndexByte(data, '\n')+1]
		if l.segment == 0 {
			if len(whole) < len(data) { // the process ended within a write
				if err := truncate(l.root, l.file(n), int64(len(whole))); err != nil {
					return err
				}
			}
			l.segment, l.size = n, int64(len(whole))
		}
		if l.last.IsZero() {
			for line := range lastFirst(whole) {
				l.last = line.Time
				break
			}
		}
	}
	l.loaded = true
	return nil
}

func truncate(root *os.Root, name string, size int64) error {
	f, err := root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// segments lists the numbers of the segments on disk, oldest first.
func (l *Log) segments() ([]int, error) {
	d, err := l.root.Open(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, ".jsonl"); ok {
			if n, err := strconv.Atoi(base); err == nil && n > 0 {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (l *Log) file(n int) string { return path.Join(l.dir, fmt.Sprintf("%06d.jsonl", n)) }

// end answers the newest segment, how far it is written, and a channel that is closed by the next change.
func (l *Log) end() (segment int, size int64, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return 0, 0, nil, err
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.segment, l.size, l.changed, nil
}

// Next is the cursor after the newest line.
func (l *Log) Next() (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return time.Time{}, err
	}
	if l.last.IsZero() {
		return time.Time{}, nil
	}
	return l.last.Add(1), nil
}

// Tail answers the newest n lines that are not older than since, oldest first. A zero since sets no bound.
func (l *Log) Tail(n int, since time.Time) ([]Line, error) {
	segment, size, _, err := l.end()
	if err != nil {
		return nil, err
	}
	lines := []Line{}
	for ; segment > 0 && len(lines) < n; segment, size = segment-1, -1 {
		data, err := l.read(segment, 0, size)
		if errors.Is(err, fs.ErrNotExist) {
			break // dropped by rotation
		}
		if err != nil {
			return nil, err
		}
		for line := range lastFirst(data) {
			if line.Time.Before(since) || len(lines) == n {
				slices.Reverse(lines)
				return lines, nil
			}
			lines = append(lines, line)
		}
	}
	slices.Reverse(lines)
	return lines, nil
}

// read answers the bytes of a segment from an offset up to size, or up to its end when size is negative.
func (l *Log) read(segment int, from, size int64) ([]byte, error) {
	f, err := l.root.Open(l.file(segment))
	if err != nil {
		return nil, err
	}
	if size < 0 {
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		size = info.Size()
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	return data, errors.Join(err, f.Close())
}

// Close ends all followers. The files stay.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}
