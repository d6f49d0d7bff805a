package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/logs"
	"yardmaster/internal/sandbox"
)

const (
	maxOutput      = 1 << 20  // of each stream, in an answer
	scrubWindow    = 64 << 10 // looked at beyond what is answered, so that no part of a secret is at the cut
	defaultTimeout = 60
	maxTimeout     = 3600
	exitTimedOut   = 124 // as of timeout(1)
)

// ExecIn is the input of Exec.
type ExecIn struct {
	ID             string          `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Command        json.RawMessage `json:"command" doc:"A shell command such as \"ls -l\", or a program with its arguments such as [\"ls\",\"-l\"]." oneOf:"string,array"`
	TimeoutSeconds int             `json:"timeoutSeconds,omitempty" doc:"When to kill the command." min:"1" max:"3600" default:"60"`
	Stdin          string          `json:"stdin,omitempty" doc:"What the command reads from its standard input." maxLen:"1048576"`
}

// ExecOut is how a command ended.
type ExecOut struct {
	ExitCode   int    `json:"exitCode"` // 128 + the signal when one ended it; 124 when it was killed for its time
	Stdout     string `json:"stdout"`
	Stderr     string `json:"stderr"`
	Truncated  bool   `json:"truncated"` // output beyond 1 MiB of a stream is left out; the log has more
	TimedOut   bool   `json:"timedOut,omitempty"`
	DurationMs int64  `json:"durationMs"`
}

// argv reads a command: a string is for the shell, a list is a program with its arguments.
func argv(raw json.RawMessage) ([]string, error) {
	var line string
	if json.Unmarshal(raw, &line) == nil {
		if strings.TrimSpace(line) == "" {
			return nil, errs.BadField("command", "must not be empty; write a command such as ls -l")
		}
		return []string{"/bin/sh", "-c", line}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, errs.BadField("command", "must be a string or a list of strings")
	}
	if len(list) == 0 || list[0] == "" {
		return nil, errs.BadField("command", "must name a program, such as [\"ls\",\"-l\"]")
	}
	return list, nil
}

// Exec runs a command in an instance and answers what it printed, without secrets. Everything that it prints goes to the
// instance's log as well.
func (s *Service) Exec(ctx context.Context, in ExecIn) (ExecOut, error) {
	args, err := argv(in.Command)
	if err != nil {
		return ExecOut{}, err
	}
	if in.TimeoutSeconds == 0 {
		in.TimeoutSeconds = defaultTimeout
	}
	if in.TimeoutSeconds < 1 || in.TimeoutSeconds > maxTimeout {
		return ExecOut{}, errs.BadField("timeoutSeconds", "must be from 1 to %d", maxTimeout)
	}
	r, u, _, err := s.up(ctx, in.ID)
	if err != nil {
		return ExecOut{}, err
	}
	scrub := s.scrub(r.Account)
	stdout, stderr := newCapture(u.log.Writer(logs.Stdout, scrub)), newCapture(u.log.Writer(logs.Stderr, scrub))
	cmd := Spawn{Argv: args, Stdout: stdout, Stderr: stderr}
	if in.Stdin != "" {
		cmd.Stdin = strings.NewReader(in.Stdin)
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(in.TimeoutSeconds)*time.Second)
	defer cancel()
	began := time.Now()
	p, err := s.begin(ctx, limit, r.ID, cmd)
	if err != nil && limit.Err() != nil && ctx.Err() == nil {
		return ExecOut{}, errs.Wrap(err, errs.Unavailable, "%s did not take the command within %d seconds.", r.Name, in.TimeoutSeconds)
	}
	if err != nil {
		return ExecOut{}, err
	}
	exit, err := p.Wait()
	stdout.close()
	stderr.close()
	out := ExecOut{ExitCode: exit.Code, Stdout: stdout.text(scrub), Stderr: stderr.text(scrub), Truncated: stdout.size > maxOutput || stderr.size > maxOutput, DurationMs: time.Since(began).Milliseconds()}
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return ExecOut{}, ctx.Err()
	case limit.Err() != nil:
		out.ExitCode, out.TimedOut = exitTimedOut, true
		u.note(fmt.Sprintf("a command was killed after %d seconds", in.TimeoutSeconds))
		return out, nil
	case errs.Is(err, errs.Unavailable):
		return ExecOut{}, errs.Wrap(err, errs.Unavailable, "%s was stopped or restarted while the command ran, so the command was killed.", r.Name)
	}
	return ExecOut{}, err
}

// capture keeps the beginning of what is written and passes all of it on to the log.
type capture struct {
	log  *logs.Writer
	kept []byte
	size int64
}

func newCapture(log *logs.Writer) *capture { return &capture{log: log} }

// Write implements io.Writer.
func (c *capture) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	room := maxOutput + scrubWindow - len(c.kept)
	c.kept = append(c.kept, p[:min(len(p), room)]...)
	return c.log.Write(p)
}

func (c *capture) close() { _ = c.log.Close() } // it keeps its errors to itself

func (c *capture) text(scrub func(string) string) string {
	return shown(string(c.kept), c.size > int64(len(c.kept)), maxOutput, scrub)
}

// shown answers at most limit bytes of a text without its secrets. The text MUST have scrubWindow bytes more than the limit
// when it is only the beginning of something longer: what may be a part of a secret at its end is then never shown.
func shown(text string, part bool, limit int, scrub func(string) string) string {
	text = scrub(strings.ToValidUTF8(text, "\uFFFD"))
	if part {
		limit = min(limit, len(text)-scrubWindow)
	}
	return cut(text, max(0, limit))
}

// cut answers the beginning of a text, without half a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// Spawn is a command for an instance that another part of the platform runs.
type Spawn struct {
	Argv           []string
	Dir            string   // "" is the home folder
	Env            []string // NAME=value, added to the instance's own
	Stdin          io.Reader
	Stdout, Stderr io.Writer // nil: nowhere
}

// Spawn starts a command in an active instance; ctx governs the command. Nothing of it is logged. See
// sandbox.Sandbox.Exec for the errors and the rules for Stdin.
func (s *Service) Spawn(ctx context.Context, id string, cmd Spawn) (sandbox.Process, error) {
	return s.begin(ctx, ctx, id, cmd)
}

// begin starts a command. ctx governs the wait for the instance, and run the command. When the sandbox is replaced in
// between, the new one is taken.
func (s *Service) begin(ctx, run context.Context, id string, cmd Spawn) (sandbox.Process, error) {
	for try := 1; ; try++ {
		r, _, b, err := s.up(ctx, id)
		if err != nil {
			return nil, err
		}
		p, err := s.spawn(run, r, b, cmd)
		if err == nil || try == 3 || run.Err() != nil || !errs.Is(err, errs.Unavailable) || !b.ends(run) {
			return p, err
		}
	}
}

func (s *Service) spawn(ctx context.Context, r row, b *box, cmd Spawn) (sandbox.Process, error) {
	env, err := s.environment(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, kv := range cmd.Env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	b.using.RLock()
	p, err := b.Exec(ctx, sandbox.Command{Argv: cmd.Argv, Env: list, Dir: cmd.Dir, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr})
	b.using.RUnlock()
	if err == nil {
		return p, nil
	}
	var coded *errs.Error
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &coded):
		return nil, coded
	}
	return nil, fmt.Errorf("run in %s: %w", r.ID, err)
}

// environment is what every command of an instance gets: its config's variables and over them the granted secrets.
func (s *Service) environment(ctx context.Context, r row) (map[string]string, error) {
	env := map[string]string{}
	err := s.db.View(ctx, func(tx *db.Tx) error {
		now, err := rowByID(tx, r.Account, r.ID)
		if err != nil {
			return err
		}
		c, err := readConfig(tx, r.Account, r.ID, now.Revision)
		maps.Copy(env, c.Environment)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil, errs.New(errs.NotFound, "There is no instance %q any more.", r.Name)
	}
	if err != nil || s.secrets == nil {
		return env, err
	}
	granted, err := s.secrets.Env(ctx, r.Account, r.ID)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	maps.Copy(env, granted)
	return env, nil
}
