package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/fleet"
	"yardmaster/internal/fleet/logs"
)

func TestExec(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	for name, tc := range map[string]struct {
		in   fleet.ExecIn
		want fleet.ExecOut
	}{
		"shell":      {fleet.ExecIn{Command: shell("echo $((6*7))")}, fleet.ExecOut{Stdout: "42\n"}},
		"list":       {fleet.ExecIn{Command: json.RawMessage(`["printf","%s|","a b","$HOME"]`)}, fleet.ExecOut{Stdout: "a b|$HOME|"}},
		"code":       {fleet.ExecIn{Command: shell("exit 7")}, fleet.ExecOut{ExitCode: 7}},
		"signal":     {fleet.ExecIn{Command: shell("kill -TERM $$")}, fleet.ExecOut{ExitCode: 143}},
		"stdin":      {fleet.ExecIn{Command: shell("tr a-z A-Z"), Stdin: "shout"}, fleet.ExecOut{Stdout: "SHOUT"}},
		"no stdin":   {fleet.ExecIn{Command: shell("cat")}, fleet.ExecOut{}},
		"not utf-8":  {fleet.ExecIn{Command: shell(`printf 'a\377b'`)}, fleet.ExecOut{Stdout: "a\uFFFDb"}},
		"secret":     {fleet.ExecIn{Command: shell("echo hunter2-secret; echo hunter2-secret >&2")}, fleet.ExecOut{Stdout: "[hidden]\n", Stderr: "[hidden]\n"}},
		"no program": {fleet.ExecIn{Command: shell("no-such-program-here")}, fleet.ExecOut{ExitCode: 127}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.in.ID = "w"
			got, err := y.Exec(y.ctx, tc.in)
			if err != nil {
				t.Fatal(err)
			}
			got.DurationMs = 0
			if name == "no program" {
				got.Stderr = ""
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, in := range map[string]fleet.ExecIn{
		"empty":      {Command: shell("  ")},
		"empty list": {Command: json.RawMessage(`[]`)},
		"nothing":    {Command: json.RawMessage(`[""]`)},
		"number":     {Command: json.RawMessage(`[1]`)},
		"absent":     {},
		"too long":   {Command: shell("true"), TimeoutSeconds: 4000},
		"negative":   {Command: shell("true"), TimeoutSeconds: -1},
	} {
		in.ID = "w"
		if _, err := y.Exec(y.ctx, in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: json.RawMessage(`["no-such-program-here"]`)}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestExecBounds(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	got := y.run("w", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
	if !got.Truncated || len(got.Stdout) != 1<<20 {
		t.Errorf("%d bytes, truncated %v", len(got.Stdout), got.Truncated)
	}
	got = y.run("w", "head -c 1048570 /dev/zero | tr '\\0' x; echo hunter2-secret; echo end")
	if !got.Truncated || len(got.Stdout) != 1<<20 || strings.Contains(got.Stdout, "hunter") {
		t.Errorf("%d bytes, ending in %q", len(got.Stdout), got.Stdout[1<<20-20:])
	}
	// Also when taking secrets out makes room for what comes after.
	got = y.run("w", "yes hunter2-secret | head -c 3000000")
	if !got.Truncated || strings.Contains(got.Stdout, "hu") {
		t.Errorf("%d bytes, ending in %q", len(got.Stdout), got.Stdout[len(got.Stdout)-20:])
	}
	y.run("w", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end")
	// What the answer leaves out is in the log.
	lines, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w", Tail: 1})
	if err != nil || len(lines.Lines) != 1 || lines.Lines[0].Text != "end" {
		t.Errorf("%+v %v", lines, err)
	}
	got, err = y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: shell("echo begun; sleep 1000 & sleep 1000"), TimeoutSeconds: 1})
	if err != nil || !got.TimedOut || got.ExitCode != 124 || got.Stdout != "begun\n" {
		t.Errorf("timeout: %+v %v", got, err)
	}
	ctx, cancel := context.WithCancel(y.ctx)
	go func() {
		for line := range y.Follow(y.ctx, fleet.LogsIn{ID: "w"}) {
			if line.Text == "running" {
				cancel()
				return
			}
		}
	}()
	if _, err := y.Exec(ctx, fleet.ExecIn{ID: "w", Command: shell("echo running; sleep 1000")}); err == nil || ctx.Err() == nil {
		t.Errorf("cancelled: %v", err)
	}
}

// A restart ends a command that runs, and its caller is told.
func TestRestartEndsCommands(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	go func() {
		for line := range y.Follow(y.ctx, fleet.LogsIn{ID: "w"}) {
			if line.Text == "running" {
				if _, err := y.Restart(y.ctx, fleet.RefIn{ID: "w"}); err != nil {
					t.Error(err)
				}
				return
			}
		}
	}()
	_, err := y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: shell("echo running; sleep 1000")})
	want(t, err, errs.Unavailable, "restarted while the command ran")
	if got := y.run("w", "echo again"); got.Stdout != "again\n" {
		t.Errorf("%+v", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.grants.env = map[string]string{"TOKEN": "granted", "SHARED": "from the grant"}
	text := func(s string) *string { return &s }
	y.makeWith(fleet.CreateIn{Name: "w", Config: &fleet.ConfigChange{Environment: map[string]*string{"LOG_LEVEL": text("debug"), "SHARED": text("from the config")}}})
	got := y.run("w", "env | grep -v '^PWD=\\|^_=\\|^SHLVL=' | sort")
	want := "HOME=/home/agent\nLANG=C.UTF-8\nLOG_LEVEL=debug\n" +
		"PATH=/home/agent/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSHARED=from the grant\nTOKEN=granted\nUSER=agent\n"
	if diff := cmp.Diff(want, got.Stdout); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	p, err := y.Spawn(y.ctx, "w", fleet.Spawn{Argv: []string{"sh", "-c", "echo $LOG_LEVEL $EXTRA $TOKEN"}, Env: []string{"EXTRA=more", "LOG_LEVEL=trace"}, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); err != nil || exit.Code != 0 || out.String() != "trace more granted\n" {
		t.Errorf("%+v %v %q", exit, err, out.String())
	}
}

// A session speaks line by line both ways while it runs.
func TestSpawnSession(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p, err := y.Spawn(y.ctx, "w", fleet.Spawn{Argv: []string{"sh", "-c", "while read x; do echo got $x; done"}, Stdin: inR, Stdout: outW})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := fmt.Fprintf(inW, "%d\n", i); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		n, err := outR.Read(buf)
		if err != nil || string(buf[:n]) != fmt.Sprintf("got %d\n", i) {
			t.Fatalf("%q %v", buf[:n], err)
		}
	}
	if err := inW.Close(); err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); err != nil || exit.Code != 0 {
		t.Errorf("%+v %v", exit, err)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	y.run("w", "echo one; echo two >&2; printf 'no newline'; echo hunter2-secret")
	out, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, l := range out.Lines {
		all = append(all, l.Stream+" "+l.Text)
	}
	got := strings.Join(all, "\n")
	for _, line := range []string{"system started", "stdout one", "stderr two", "stdout no newline[hidden]"} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	y.run("w", "echo three")
	next, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w", Since: out.Next})
	if err != nil || len(next.Lines) != 1 || next.Lines[0].Text != "three" {
		t.Errorf("since next: %+v %v", next, err)
	}
	again, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w", Since: next.Next})
	if err != nil || len(again.Lines) != 0 || again.Next != next.Next {
		t.Errorf("nothing new: %+v %v", again, err)
	}
	if got, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w", Since: "10m", Tail: 1}); err != nil || len(got.Lines) != 1 || got.Lines[0].Text != "three" {
		t.Errorf("10m: %+v %v", got, err)
	}
	for _, bad := range []string{"yesterday", "-5m", "10", "2026-13-01T00:00:00Z"} {
		_, err := y.Logs(y.ctx, fleet.LogsIn{ID: "w", Since: bad})
		want(t, err, errs.Invalid, "since")
	}
}

func TestFollowUntilDeleted(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.make("w")
	y.run("w", "echo before")
	seen := make(chan string)
	go func() {
		defer close(seen)
		for line, err := range y.Follow(y.ctx, fleet.LogsIn{ID: "w"}) {
			if err != nil {
				t.Error(err)
				return
			}
			if line.Stream != logs.System {
				seen <- line.Text
			}
		}
	}()
	if got := <-seen; got != "before" {
		t.Fatalf("first %q", got)
	}
	go func() { _, _ = y.Exec(y.ctx, fleet.ExecIn{ID: "w", Command: shell("seq 1 500")}) }()
	for i := 1; i <= 500; i++ {
		if got := <-seen; got != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
	}
	if _, err := y.Delete(y.ctx, fleet.RefIn{ID: "w"}); err != nil {
		t.Fatal(err)
	}
	if got, more := <-seen; more {
		t.Errorf("after the end: %q", got)
	}
}
