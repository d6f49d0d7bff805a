// Package session plays the cases of a split with a variant's process: JSON lines in, JSON lines out, one round at a time.
//
// The process sees what became known and the questions, and answers before it sees what came true. It is trusted with
// nothing: whatever it prints, however long it takes and however it ends, the outcome is a status and never a number.
package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/suite"
	"yardmaster/internal/sandbox"
)

// Status says how a session ended.
type Status string

// The statuses. Only OK has a score.
const (
	OK      Status = "ok"
	Invalid Status = "invalid" // it wrote what is no valid answer
	Crash   Status = "crash"   // it ended with an error, or could not be started
	Timeout Status = "timeout"
	Missing Status = "missing" // it ended as if all was well, before everything was answered
)

// Limits of what a variant may write.
const (
	maxLine  = 4 << 20 // bytes of a line
	maxTail  = 20      // lines of standard error that are kept
	tailLine = 500     // bytes of such a line
)

// Process is what Start gives: a sandboxed command.
type Process = sandbox.Process

// Input is a session to play.
type Input struct {
	Suite   string
	Split   *suite.Split
	Timeout time.Duration
	// Start starts the variant's command. ctx kills it.
	Start func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (Process, error)
	// Answer takes one answer. Its error, which says why the answer is invalid, ends the session.
	Answer func(c *suite.Case, v suite.Value) error
}

// Result is how a session went.
type Result struct {
	Status Status
	Detail string // a plain sentence when the status is not OK
	Tail   []string
	CPU    time.Duration
	Wall   time.Duration
	Digest string // of all answers, when OK
}

// Play plays a session. An error means that the fault is not the variant's, such as a lost instance or an ended ctx: the
// session may be played again.
func Play(ctx context.Context, in Input) (Result, error) {
	began := time.Now()
	limit, cancel := context.WithTimeout(ctx, in.Timeout)
	defer cancel()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	tail := &tail{}
	p, err := in.Start(limit, inR, outW, tail)
	if err != nil {
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		if c := errs.CodeOf(err); c == errs.Invalid || c == errs.NotFound {
			return Result{Status: Crash, Detail: "The command could not be started: " + errs.Public(err).Error(), Wall: time.Since(began)}, nil
		}
		return Result{}, fmt.Errorf("start: %w", err)
	}
	var exit sandbox.Exit
	var waitErr error
	ended := make(chan struct{})
	go func() {
		exit, waitErr = p.Wait()
		_ = outW.Close() // always nil
		_ = inR.Close()
		close(ended)
	}()
	t := &talk{in: in, out: bufio.NewReaderSize(outR, 64<<10), stdin: inW, digest: sha256.New()}
	status, detail := t.run()
	ranOut := limit.Err() != nil && ctx.Err() == nil
	// Nobody reads or writes any more: what hangs in a pipe is released. The process is over unless it was cut off, and
	// what it left in the background dies too.
	killErr := p.Kill()
	_ = inW.Close() // always nil, as the next
	_ = outR.CloseWithError(errNobodyReads)
	<-ended
	t.writes.Wait()
	res := Result{Status: status, Detail: detail, CPU: exit.CPU, Wall: time.Since(began), Tail: tail.lines()}
	switch {
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case status == Invalid:
	case ranOut:
		res.Status, res.Detail = Timeout, fmt.Sprintf("It was not done after %s%s and was killed.", in.Timeout, t.progress())
	case waitErr != nil:
		return Result{}, fmt.Errorf("the command was lost: %w", errors.Join(waitErr, killErr))
	case exit.Signal != 0:
		res.Status, res.Detail = Crash, fmt.Sprintf("It was killed by the signal %d (%s)%s.", int(exit.Signal), exit.Signal, t.progress())
	case exit.Code != 0:
		res.Status, res.Detail = Crash, fmt.Sprintf("It ended with exit code %d%s.", exit.Code, t.progress())
	case status == OK:
		res.Digest = hex.EncodeToString(t.digest.Sum(nil)[:16])
	}
	return res, nil
}

var errNobodyReads = errors.New("nobody reads any more")

// talk is the platform's side of the conversation.
type talk struct {
	in     Input
	out    *bufio.Reader
	stdin  io.WriteCloser
	writes sync.WaitGroup
	digest interface {
		io.Writer
		Sum(b []byte) []byte
	}
	rounds int // answered
}

type startMessage struct {
	Type  string `json:"type"`
	Suite string `json:"suite"`
	Split string `json:"split"`
}

type roundMessage struct {
	Type    string          `json:"type"`
	Round   string          `json:"round"`
	Observe json.RawMessage `json:"observe,omitempty"`
	Cases   []caseMessage   `json:"cases"`
}

type caseMessage struct {
	Case  string          `json:"case"`
	Input json.RawMessage `json:"input"`
}

// run talks until the process has ended, or has to: the status is OK, Missing or Invalid.
func (t *talk) run() (Status, string) {
	line, status, detail := t.exchange(startMessage{"start", t.in.Suite, t.in.Split.Name}, "the start")
	if status != OK {
		return status, detail
	}
	if r, err := parseReply(line); err != nil || r.kind != "ready" || r.answers != nil {
		return Invalid, t.wrong("the start", line, err, `it must be {"type":"ready"}`)
	}
	for i := range t.in.Split.Rounds {
		r := &t.in.Split.Rounds[i]
		msg := roundMessage{Type: "round", Round: r.Name, Observe: r.Observe, Cases: make([]caseMessage, len(r.Cases))}
		for j, c := range r.Cases {
			msg.Cases[j] = caseMessage{c.ID, c.Input}
		}
		what := "the round " + r.Name
		line, status, detail := t.exchange(msg, what)
		if status != OK {
			return status, detail
		}
		got, err := parseReply(line)
		if err != nil || got.kind != "answers" || got.round != r.Name {
			return Invalid, t.wrong(what, line, err, fmt.Sprintf(`it must be {"type":"answers","round":%q,"answers":{…}}`, r.Name))
		}
		if detail := t.take(r, got.answers); detail != "" {
			return Invalid, "The reply to " + what + " is invalid: " + detail + "."
		}
		t.rounds++
	}
	return t.end()
}

// take checks that exactly the cases of the round are answered, and hands the answers on.
func (t *talk) take(r *suite.Round, answers []answer) string {
	byID := make(map[string]suite.Value, len(answers))
	for _, a := range answers {
		byID[a.id] = a.value
	}
	for i := range r.Cases {
		c := &r.Cases[i]
		v, ok := byID[c.ID]
		if !ok {
			return fmt.Sprintf("the case %q has no answer", c.ID)
		}
		delete(byID, c.ID)
		if err := t.in.Answer(c, v); err != nil {
			return fmt.Sprintf("the answer to the case %q %s", c.ID, err)
		}
		_, _ = fmt.Fprintf(t.digest, "%s %s\n", c.ID, v) // a hash takes everything
	}
	for _, a := range answers {
		if _, unknown := byID[a.id]; unknown {
			return fmt.Sprintf("it answers the case %.80q, which was not asked", a.id)
		}
	}
	return ""
}

// end says goodbye. Whatever the process still writes is too much.
func (t *talk) end() (Status, string) {
	t.send([]byte("{\"type\":\"end\"}\n"), true)
	for {
		b, err := t.out.ReadByte()
		if err != nil {
			return OK, ""
		}
		if b != '\n' && b != '\r' && b != ' ' {
			return Invalid, "It wrote more than one line for each message: there is output after the last answers."
		}
	}
}

// send writes in the background, so that a process that writes and never reads can't hold the platform up.
func (t *talk) send(line []byte, last bool) {
	t.writes.Wait()
	t.writes.Go(func() {
		_, _ = t.stdin.Write(line) // a process that ended is noticed by its silence
		if last {
			_ = t.stdin.Close()
		}
	})
}

func (t *talk) exchange(msg any, what string) ([]byte, Status, string) {
	raw, err := json.Marshal(msg)
	if err != nil {
		return nil, Invalid, "The platform could not write " + what + ": " + err.Error()
	}
	t.send(append(raw, '\n'), false)
	line, err := t.readLine()
	switch {
	case errors.Is(err, errLongLine):
		return nil, Invalid, fmt.Sprintf("The reply to %s is a line of more than %d MiB.", what, maxLine>>20)
	case err != nil:
		return nil, Missing, "It ended" + t.progress() + "."
	}
	return line, OK, ""
}

// progress says where in the session the process was.
func (t *talk) progress() string {
	if t.rounds == len(t.in.Split.Rounds) {
		return " after the last answers"
	}
	return fmt.Sprintf(" after %d of %d rounds", t.rounds, len(t.in.Split.Rounds))
}

func (t *talk) wrong(what string, line []byte, err error, must string) string {
	why := must
	if err != nil {
		why = err.Error()
	}
	return fmt.Sprintf("The reply to %s is invalid: %s. It was: %s", what, why, clip(line, 200))
}

var errLongLine = errors.New("the line is too long")

func (t *talk) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := t.out.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, errLongLine
		}
		line = append(line, part...)
		if err == nil {
			return bytes.TrimSpace(line), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err // a line without its end counts for nothing
		}
	}
}

func clip(b []byte, n int) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), n+utf8.UTFMax)]), "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// tail keeps the last lines that are written to it.
type tail struct {
	mu   sync.Mutex
	kept [][]byte
	open []byte // the line that has no end yet, cut off
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if room := tailLine - len(t.open); room > 0 {
			t.open = append(t.open, line[:min(len(line), room)]...)
		}
		if ended {
			t.kept = append(t.kept, t.open)
			t.open = nil
			if len(t.kept) > maxTail {
				t.kept = append(t.kept[:0], t.kept[1:]...)
			}
		}
		p = rest
	}
	return n, nil
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.kept
	if len(t.open) > 0 {
		all = append(all, t.open)
	}
	out := make([]string, 0, len(all))
	for _, l := range all[max(0, len(all)-maxTail):] {
		out = append(out, strings.TrimRight(strings.ToValidUTF8(string(l), "\uFFFD"), "\r"))
	}
	return out
}
