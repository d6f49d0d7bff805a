package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/hostfake"
	"yardmaster/internal/experiment/suite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// split has two rounds with two cases each and one without.
func split() *suite.Split {
	s := &suite.Split{Name: "search", Clusters: []string{"1", "2"}, Cases: 4}
	for i := range 3 {
		r := suite.Round{Name: fmt.Sprint("r", i), Observe: json.RawMessage(`{"a":1}`)}
		if i != 1 {
			for _, station := range []string{"a", "b"} {
				r.Cases = append(r.Cases, suite.Case{ID: fmt.Sprintf("%d/%s", i, station), Input: json.RawMessage(`{"s":"` + station + `"}`), Expected: suite.Number(1)})
			}
		}
		s.Rounds = append(s.Rounds, r)
	}
	return s
}

// honest is a variant that does what it should. What comes before `reply` may change it.
const honest = `
import json, os, sys, time
def say(o): print(o if isinstance(o, str) else json.dumps(o), flush=True)
def answers(m): return {c["case"]: 1.5 for c in m["cases"]}
def reply(m): return {"type": "answers", "round": m["round"], "answers": answers(m)}
def end(): pass
ready = {"type": "ready"}
%s
n = 0
for line in sys.stdin:
    m = json.loads(line)
    if m["type"] == "start": say(ready)
    elif m["type"] == "end": end(); break
    else:
        n += 1
        say(reply(m))
`

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing")
		}
		t.Skip("python3 is missing, so no variant can run")
	}
	return path
}

func play(t *testing.T, timeout time.Duration, change string) (Result, int, error) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "v.py")
	if err := os.WriteFile(script, fmt.Appendf(nil, honest, change), 0o600); err != nil {
		t.Fatal(err)
	}
	return playArgv(t, timeout, []string{python(t), script})
}

func playArgv(t *testing.T, timeout time.Duration, argv []string) (Result, int, error) {
	t.Helper()
	taken := 0
	r, err := Play(t.Context(), Input{Suite: "s", Split: split(), Timeout: timeout,
		Start: func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (Process, error) {
			return hostfake.Start(ctx, hostfake.Command{Argv: argv, Stdin: stdin, Stdout: stdout, Stderr: stderr})
		},
		Answer: func(_ *suite.Case, v suite.Value) error {
			taken++
			if v.String() == "-7" {
				return errors.New("is out of range")
			}
			return nil
		}})
	return r, taken, err
}

func TestHonest(t *testing.T) {
	t.Parallel()
	r, taken, err := play(t, time.Minute, `print("fitted", file=sys.stderr)`)
	if err != nil || r.Status != OK || taken != 4 || r.Detail != "" || len(r.Digest) != 32 || r.CPU <= 0 || r.Wall <= 0 {
		t.Fatalf("%+v, %d answers, %v", r, taken, err)
	}
	if len(r.Tail) != 1 || r.Tail[0] != "fitted" {
		t.Errorf("the tail is %q", r.Tail)
	}
	again, _, err := play(t, time.Minute, "")
	if err != nil || again.Digest != r.Digest {
		t.Errorf("the same answers have the digests %s and %s", r.Digest, again.Digest)
	}
	other, _, err := play(t, time.Minute, `def answers(m): return {c["case"]: 2 for c in m["cases"]}`)
	if err != nil || other.Digest == r.Digest || other.Status != OK {
		t.Errorf("other answers: %+v, %v", other, err)
	}
}

// Whatever a variant does wrong, it ends as failed with a reason, and soon.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	const fast, long = 4 * time.Second, 60 * time.Second
	for _, c := range []struct {
		name, change string
		status       Status
		detail       string
		timeout      time.Duration
	}{
		{"crash at the start", `raise SystemExit("no history")`, Crash, "exit code 1 after 0 of 3 rounds", long},
		{"crash in a round", "def answers(m):\n    return {c['case']: 1/(n-3) for c in m['cases']}", Crash, "exit code 1 after 2 of 3 rounds", long},
		{"killed", "def answers(m):\n    os.kill(os.getpid(), 9)", Crash, "signal 9", long},
		{"bad exit", "def end(): sys.exit(3)", Crash, "exit code 3 after the last answers", long},
		{"ends early", "def reply(m): sys.exit(0)", Missing, "It ended after 0 of 3 rounds.", long},
		{"closes its output", "def reply(m):\n    os.close(1)\n    sys.exit(0)", Missing, "after 0 of 3", long},
		{"hangs", "def reply(m):\n    while True: time.sleep(1)", Timeout, "not done after 4s after 0 of 3 rounds", fast},
		{"spins", "def reply(m):\n    while True: pass", Timeout, "not done", fast},
		{"hangs at the end", "def end():\n    while True: time.sleep(1)", Timeout, "after the last answers", fast},
		{"ignores SIGTERM", "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except OSError: pass\ndef end():\n    while True: time.sleep(1)", Timeout, "not done", fast},
		{"never reads", "while True: time.sleep(1)", Timeout, "not done", fast},
		{"no JSON", "def reply(m): return 'hello'", Invalid, "The reply to the round r0 is invalid: it is not JSON", long},
		{"cut-off JSON", `def reply(m): return '{"type":"answers"'`, Invalid, "ends too early", long},
		{"an array", "def reply(m): return [1]", Invalid, "must be", long},
		{"wrong ready", "ready = {'type': 'answers'}", Invalid, `must be {"type":"ready"}`, long},
		{"wrong round", "def reply(m): return {'type':'answers','round':'r9','answers':answers(m)}", Invalid, `"round":"r0"`, long},
		{"its own score", "def reply(m): return {'type':'answers','round':m['round'],'answers':answers(m),'score':0}", Invalid, `field "score"`, long},
		{"NaN", "def answers(m): return {c['case']: float('nan') for c in m['cases']}", Invalid, "not JSON", long},
		{"Infinity", "def answers(m): return {c['case']: float('inf') for c in m['cases']}", Invalid, "not JSON", long},
		{"too big", "def answers(m): return {c['case']: 1e300 for c in m['cases']}", Invalid, "no number that can be used", long},
		{"null", "def answers(m): return {c['case']: None for c in m['cases']}", Invalid, "must be a number", long},
		{"out of range", "def answers(m): return {c['case']: -7 for c in m['cases']}", Invalid, `"0/a" is out of range`, long},
		{"a case missing", "def answers(m): return {c['case']: 1 for c in m['cases'][1:]}", Invalid, `"0/a" has no answer`, long},
		{"a case too many", "def answers(m): return {**{c['case']: 1 for c in m['cases']}, 'x': 1}", Invalid, `"x", which was not asked`, long},
		{"a case twice", `def reply(m): return '{"type":"answers","round":"r0","answers":{"0/a":1,"0/b":1,"0/a":2}}'`, Invalid, `"0/a" twice`, long},
		{"answers twice", `def reply(m): return '{"type":"answers","round":"r0","answers":{"0/a":1,"0/b":1},"answers":{}}'`, Invalid, "answers twice", long},
		{"two objects", `def reply(m): return '{"type":"answers","round":"r0","answers":{"0/a":1,"0/b":1}} {}'`, Invalid, "behind the JSON object", long},
		{"two lines a round", "def reply(m):\n    say({'type':'answers','round':m['round'],'answers':answers(m)})\n    return {'type':'answers','round':m['round'],'answers':answers(m)}", Invalid, `"round":"r1"`, long},
		{"output after the end", "def end(): say('bye')", Invalid, "more than one line", long},
		{"output before the start", "say('hello')", Invalid, "The reply to the start is invalid", long},
		{"endless output", "while True: print('y', flush=False)", Invalid, "The reply to the start", long},
		{"endless line", "while True: sys.stdout.write('y' * 65536)", Invalid, "more than 4 MiB", long},
		{"endless errors", "for i in range(200000): print('e', i, 'x' * 1000, file=sys.stderr)\nsys.exit(1)", Crash, "exit code 1", long},
		{"empty lines", "def reply(m): return ''", Invalid, "not JSON", long},
		{"bytes that are no text", "def reply(m):\n    os.write(1, b'\\xff\\xfe\\n')\n    return {}", Invalid, "not JSON", long},
		{"daemon behind", "if os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\ndef end(): sys.exit(4)", Crash, "exit code 4", long},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _, err := play(t, c.timeout, c.change)
			if err != nil || r.Status != c.status || !strings.Contains(r.Detail, c.detail) || r.Digest != "" {
				t.Errorf("got %+v, %v; want %s with %q", r, err, c.status, c.detail)
			}
			if len(r.Tail) > maxTail || len(strings.Join(r.Tail, "")) > maxTail*(tailLine+10) {
				t.Errorf("the tail has %d lines", len(r.Tail))
			}
			if r.Wall > 30*time.Second {
				t.Errorf("it took %s", r.Wall)
			}
		})
	}
}

func TestCrashShowsTheLastLines(t *testing.T) {
	t.Parallel()
	r, _, err := play(t, time.Minute, "for i in range(100): print('line', i, file=sys.stderr)\nraise ValueError('broken history')")
	if err != nil || len(r.Tail) != maxTail || r.Tail[maxTail-1] != "ValueError: broken history" {
		t.Errorf("%q, %v", r.Tail, err)
	}
}

func TestNoProgram(t *testing.T) {
	t.Parallel()
	r, _, err := playArgv(t, time.Minute, []string{"no-such-program-here"})
	if err != nil || r.Status != Crash || !strings.Contains(r.Detail, "no program") {
		t.Errorf("%+v, %v", r, err)
	}
}

// What is not the variant's fault is an error and no status.
func TestLostInstance(t *testing.T) {
	t.Parallel()
	_, err := Play(t.Context(), Input{Split: split(), Timeout: time.Minute, Start: func(context.Context, io.Reader, io.Writer, io.Writer) (Process, error) {
		return nil, errs.New(errs.Unavailable, "gone")
	}})
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Play(ctx, Input{Split: split(), Timeout: time.Minute, Start: func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (Process, error) {
		p, err := hostfake.Start(ctx, hostfake.Command{Argv: []string{"sleep", "60"}, Stdin: stdin, Stdout: stdout, Stderr: stderr})
		cancel()
		return p, err
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"type":"answers","round":"r","answers":{"a":1.5,"b":"x","c":true}}`))
	f.Add([]byte(`{"type":"ready"}`))
	f.Add([]byte(`{"answers":{"a":1,"a":2}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseReply(line)
		if err != nil {
			return
		}
		if !json.Valid(line) {
			t.Errorf("%q is no JSON and was read", line)
		}
		seen := map[string]bool{}
		for _, a := range r.answers {
			if seen[a.id] {
				t.Errorf("%q answers %q twice", line, a.id)
			}
			seen[a.id] = true
		}
	})
}
