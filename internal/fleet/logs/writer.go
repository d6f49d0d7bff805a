package logs

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// scrubWindow is how much of a long line is looked at beyond MaxText, so that a secret that lies across the cut is
// recognised before the line is cut.
const scrubWindow = 64 << 10

const cutMark = " … (cut)"

// Writer turns a command's output into lines of a log. It is for one goroutine. Write never fails: a log that cannot be
// written must not end the command; Err tells the first failure.
type Writer struct {
	log    *Log
	stream string
	scrub  func(string) string
	buf    []byte
	over   bool // the line at hand is longer than what is kept of it
	err    error
}

// Writer makes a writer for one stream. scrub, when set, takes secrets out of each line.
func (l *Log) Writer(stream string, scrub func(string) string) *Writer {
	return &Writer{log: l, stream: stream, scrub: scrub}
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	var texts []string
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		w.keep(p[:i])
		texts = append(texts, w.take())
		p = p[i+1:]
	}
	w.keep(p)
	w.append(texts)
	return n, nil
}

// Close writes the line that was not ended.
func (w *Writer) Close() error {
	if len(w.buf) > 0 {
		w.append([]string{w.take()})
	}
	return nil
}

// Err is the first failure to write to the log.
func (w *Writer) Err() error { return w.err }

func (w *Writer) append(texts []string) {
	if err := w.log.Append(w.stream, texts...); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *Writer) keep(p []byte) {
	if room := MaxText + scrubWindow - len(w.buf); len(p) > room {
		p, w.over = p[:room], true
	}
	w.buf = append(w.buf, p...)
}

// take answers the line at hand as it is logged, and begins the next.
func (w *Writer) take() string {
	text := clean(string(bytes.TrimSuffix(w.buf, []byte("\r"))), w.over, w.scrub)
	w.buf, w.over = w.buf[:0], false
	if cap(w.buf) > MaxText {
		w.buf = nil
	}
	return text
}

// Clean makes a text fit to be a line: valid UTF-8 of at most MaxText bytes.
func Clean(text string) string { return clean(text, false, nil) }

// clean makes a text fit to be a line, without secrets. Of a text that is only a part of something longer, the end is not
// shown: it may be a part of a secret.
func clean(text string, part bool, scrub func(string) string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if scrub != nil {
		text = scrub(text)
	}
	end := MaxText - len(cutMark)
	switch {
	case part:
		end = max(0, min(end, len(text)-scrubWindow))
	case len(text) <= MaxText:
		return text
	}
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cutMark
}
