package experiment_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/db"
	"yardmaster/internal/event"
	"yardmaster/internal/experiment"
	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/hostfake"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// yard is a service on a database of its own, with a fake fleet that runs real processes.
type yard struct {
	t      testing.TB
	dir    string
	fleet  *hostfake.FakeFleet
	skills *hostfake.FakeSkills
	db     *db.DB
	jobs   *job.Queue
	events *event.Log
	*experiment.Service
	ctx context.Context
}

type option func(*experiment.Options)

func python(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing")
		}
		t.Skip("python3 is missing, so no variant can run")
	}
}

func newYard(t testing.TB, skills map[string]fs.FS, options ...option) *yard {
	t.Helper()
	python(t)
	y := &yard{t: t, dir: t.TempDir(), skills: hostfake.NewFakeSkills(skills), ctx: op.WithActor(t.Context(), op.System("acct_a"))}
	y.fleet = hostfake.NewFakeFleet(filepath.Join(y.dir, "instances"), y.skills)
	y.open(options...)
	t.Cleanup(y.close)
	return y
}

// open starts the service, anew after close, on what is stored.
func (y *yard) open(options ...option) {
	y.t.Helper()
	d, err := db.Open(y.t.Context(), "sqlite:"+filepath.Join(y.dir, "y.db"))
	if err != nil {
		y.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	y.db, y.events, y.jobs = d, event.New(d), job.New(d, log, true)
	o := experiment.Options{DB: d, Events: y.events, Jobs: y.jobs, Fleet: y.fleet, Skills: y.skills, Log: log, Workers: 2}
	for _, fn := range options {
		fn(&o)
	}
	y.Service = experiment.New(o)
	if err := y.jobs.Start(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) close() {
	if y.db == nil {
		return
	}
	y.jobs.Stop()
	if err := y.db.Close(); err != nil {
		y.t.Error(err)
	}
	y.db = nil
}

func (y *yard) create(in experiment.CreateIn) experiment.Experiment {
	y.t.Helper()
	out, err := y.Create(y.ctx, in)
	if err != nil {
		y.t.Fatal(err)
	}
	return out.Experiment
}

// rest waits until the experiment is at rest and answers how it stands.
func (y *yard) rest(id string) experiment.WaitOut {
	y.t.Helper()
	out, err := y.Wait(y.ctx, experiment.WaitIn{ID: id, TimeoutSeconds: 120})
	if err != nil {
		y.t.Fatal(err)
	}
	if !out.Finished {
		y.t.Fatalf("%s is still %s after two minutes", id, out.Experiment.Status)
	}
	return out
}

// scored waits until the experiment is scored.
func (y *yard) scored(id string) experiment.WaitOut {
	y.t.Helper()
	out := y.rest(id)
	if out.Experiment.Status != experiment.Scored {
		y.t.Fatalf("%s is %s: %s", id, out.Experiment.Status, out.Experiment.LastError)
	}
	return out
}

func (y *yard) get(id string) experiment.GetOut {
	y.t.Helper()
	out, err := y.Get(y.ctx, experiment.RefIn{ID: id})
	if err != nil {
		y.t.Fatal(err)
	}
	return out
}

func (y *yard) board(id string, generation int) experiment.Leaderboard {
	y.t.Helper()
	out, err := y.Leaderboard(y.ctx, experiment.LeaderboardIn{ID: id, Generation: generation})
	if err != nil {
		y.t.Fatal(err)
	}
	return out
}

// toyScript answers y = a + b·x with the parameters that it is given, or misbehaves as one of them says.
const toyScript = `
import json, os, sys, time
p = json.load(open(os.environ["PARAMS_FILE"]))
def line(s, q):
    return {"zero": lambda x: 0.0, "mean": lambda x: q.get("level", 5.0), "line": lambda x: q.get("a", 0.0) + q.get("b", 1.0) * x,
            "curve": lambda x: q.get("c", 0.1) * x * x, "wild": lambda x: q.get("shift", 0.0) - x}[s]
if p["strategy"] == "both":
    fs = [line(m["strategy"], m["params"]) for m in p["members"]]
    f = lambda x: sum(g(x) for g in fs) / len(fs)
elif p["strategy"] == "bad":
    how = p["params"]["how"]
    f = None
else:
    f = line(p["strategy"], p["params"])
def say(o): print(json.dumps(o), flush=True)
for text in sys.stdin:
    m = json.loads(text)
    if m["type"] == "start":
        open(os.path.join(os.environ["HOME"], "seen.txt"), "a").write(m["split"] + "\n")
        print("fitted", file=sys.stderr)
        say({"type": "ready"})
    elif m["type"] == "end":
        break
    elif f:
        say({"type": "answers", "round": m["round"], "answers": {c["case"]: f(c["input"]["x"]) for c in m["cases"]}})
    elif how == "crash":
        raise ValueError("it broke")
    elif how == "hang":
        while True: time.sleep(1)
    elif how == "nan":
        say({"type": "answers", "round": m["round"], "answers": {c["case"]: float("nan") for c in m["cases"]}})
    elif how == "extra":
        say({"type": "answers", "round": m["round"], "answers": {**{c["case"]: 0 for c in m["cases"]}, "more": 1}})
    elif how == "perfect-then-crash":
        say({"type": "answers", "round": m["round"], "answers": {c["case"]: 0 for c in m["cases"]}})
        sys.exit(3)
`

const toyYAML = `
run: {command: [python3, toy.py], timeout: 20s}
suites:
  points:
    data: {format: cases, cases: cases.jsonl}
    splits: {search: {where: search}, select: {where: select}, sealed: {where: sealed}}
    metric: {name: mae, direction: lower}
    baseline: {strategy: zero}
strategies:
  zero: {description: Always nothing.}
  mean: {description: Always the same., params: {level: {float: [0, 10], default: 5}}}
  line: {description: A straight line., params: {a: {float: [-2, 2], default: 1}, b: {float: [0, 2], default: 0.5}}}
  curve: {description: A parabola., params: {c: {float: [0, 1], default: 0.1}}}
  wild: {description: Upside down., params: {shift: {float: [0, 10], default: 3}}}
`

const toyEnsemble = `  both:
    description: The mean of others.
    members: {min: 2, max: 4, default: [mean, line]}
`

// toy is a skill whose cases are points near a line.
func toy(extra string) fs.FS {
	var cases strings.Builder
	src := draw.New(11)
	for _, split := range []string{"search", "select", "sealed"} {
		for i := range 120 {
			x := 10 * src.Float()
			fmt.Fprintf(&cases, `{"case":"%s-%d","split":%q,"input":{"x":%.3f},"expected":%.3f}`+"\n", split, i, split, x, 0.3+0.9*x+0.5*src.Normal())
		}
	}
	return fstest.MapFS{
		"SKILL.md":        {Data: []byte("---\nname: toy\ndescription: Predicts points.\nmetadata:\n  experiment: experiment.yaml\n---\n\nPredict.\n")},
		"experiment.yaml": {Data: []byte(toyYAML + extra)},
		"toy.py":          {Data: []byte(toyScript)},
		"cases.jsonl":     {Data: []byte(cases.String())},
	}
}

func bundled() fs.FS { return os.DirFS("../../skills/aqi-predictor") }

// eventually waits for something that no event tells of.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("never: " + what)
		}
	}
}
