package skills_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dialogue is one session with the script of a skill, the platform's side played here.
type dialogue struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
}

// begin starts scripts/predict.py of a skill with a request and a history folder.
func begin(t *testing.T, dir, request, history string) *dialogue {
	t.Helper()
	python(t, dir, "-c", "") // skips or fails when there is no python3
	params := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(params, []byte(request), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &dialogue{t: t, cmd: exec.CommandContext(t.Context(), "python3", "scripts/predict.py")}
	d.cmd.Dir = dir
	d.cmd.Env = append(os.Environ(), "PARAMS_FILE="+params, "HISTORY_DIR="+history, "PYTHONDONTWRITEBYTECODE=1")
	d.cmd.Stderr = &d.stderr
	in, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewScanner(out)
	d.out.Buffer(nil, 1<<20)
	return d
}

// ask sends one message and returns the answer to it.
func (d *dialogue) ask(message any) map[string]any {
	d.t.Helper()
	line, err := json.Marshal(message)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		d.t.Fatal(err)
	}
	if !d.out.Scan() {
		_ = d.cmd.Wait() // the log is complete once the script is gone
		d.t.Fatalf("no answer to %s; the log says %s", line, &d.stderr)
	}
	var answer map[string]any
	if err := json.Unmarshal(d.out.Bytes(), &answer); err != nil {
		d.t.Fatalf("%v: %s", err, d.out.Text())
	}
	return answer
}

// end closes the session and expects the script to leave with code 0 and without another word.
func (d *dialogue) end() {
	d.t.Helper()
	if _, err := io.WriteString(d.in, `{"type":"end"}`+"\n"); err != nil {
		d.t.Fatal(err)
	}
	if d.out.Scan() {
		d.t.Errorf("after the end the script still said %s", d.out.Text())
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("%v: %s", err, &d.stderr)
	}
}

func TestSessionOfDays(t *testing.T) {
	t.Parallel()
	dir, history := unpacked(t, "aqi-predictor"), t.TempDir()
	table := "date,A,B\n2006-01-01,20,30\n2006-01-02,,31\n2006-01-03,22,\n"
	if err := os.WriteFile(filepath.Join(history, "values.csv"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	d := begin(t, dir, `{"strategy":"persistence","params":{},"seed":1}`, history)
	if got := d.ask(map[string]any{"type": "start", "suite": "aqi-de", "split": "search"}); got["type"] != "ready" {
		t.Fatalf("the start is answered by %v", got)
	}
	cases := func(names ...string) []any {
		var out []any
		for _, name := range names {
			out = append(out, map[string]any{"case": "tomorrow/" + name, "input": map[string]any{"station": name, "date": "2006-01-05"}})
		}
		return out
	}
	// The history ends on the 3rd. B was not measured since the 2nd; NEW has never been.
	first := d.ask(map[string]any{
		"type": "round", "round": "2006-01-03", "observe": map[string]any{"A": 22.0}, "cases": cases("A", "B", "NEW"),
	})
	answers, _ := first["answers"].(map[string]any)
	for name, pm10 := range map[string]float64{"A": 22, "B": 31} {
		got, ok := answers["tomorrow/"+name].(float64)
		if want := pm10 * 50 / 54; !ok || math.Abs(got-want) > 0.001 {
			t.Errorf("%s is %v, want %v", name, answers["tomorrow/"+name], want)
		}
	}
	if _, ok := answers["tomorrow/NEW"].(float64); !ok || len(answers) != 3 || first["round"] != "2006-01-03" {
		t.Errorf("the round is answered by %v", first)
	}
	// The next day nothing was measured and nothing is asked.
	if got := d.ask(map[string]any{"type": "round", "round": "2006-01-04", "observe": map[string]any{}, "cases": []any{}}); len(got["answers"].(map[string]any)) != 0 {
		t.Errorf("an empty round is answered by %v", got)
	}
	d.end()
}

func TestWrongRequestIsRefused(t *testing.T) {
	t.Parallel()
	d := begin(t, unpacked(t, "aqi-predictor"), `{"strategy":"ar","params":{"lags":99}}`, t.TempDir())
	if _, err := io.WriteString(d.in, `{"type":"start","suite":"aqi-de","split":"search"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if d.out.Scan() {
		t.Errorf("the script said %s", d.out.Text())
	}
	if err := d.cmd.Wait(); err == nil || !strings.Contains(d.stderr.String(), "lags must lie in 1 to 14") {
		t.Errorf("the script left with %v and said %q", err, &d.stderr)
	}
}

// TestSessionWithoutTime plays the example's whole search split and checks the share of right answers that its SKILL.md names.
func TestSessionWithoutTime(t *testing.T) {
	t.Parallel()
	dir, history := unpacked(t, "wet-day"), t.TempDir()
	cases := filepath.Join(t.TempDir(), "cases.jsonl") // out of the script's reach
	for from, to := range map[string]string{"train.csv": filepath.Join(history, "train.csv"), "cases.jsonl": cases} {
		if err := os.Rename(filepath.Join(dir, "assets", from), to); err != nil {
			t.Fatal(err)
		}
	}
	playCases(t, dir, history, cases)
}

func playCases(t *testing.T, dir, history, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]string{}
	var cases []any
	for line := range strings.Lines(string(text)) {
		var c struct {
			Case, Split, Cluster, Expected string
			Input                          map[string]any
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		if c.Cluster == "" {
			t.Errorf("%s has no cluster", c.Case)
		}
		if c.Split == "search" {
			expected[c.Case] = c.Expected
			cases = append(cases, map[string]any{"case": c.Case, "input": c.Input})
		}
	}
	for strategy, want := range map[string]float64{"monthly": 0.619, "vote": 0.814} {
		d := begin(t, dir, `{"strategy":"`+strategy+`","params":{},"seed":1}`, history)
		d.ask(map[string]any{"type": "start", "suite": "seattle", "split": "search"})
		answers, _ := d.ask(map[string]any{"type": "round", "round": "all", "cases": cases})["answers"].(map[string]any)
		d.end()
		right := 0
		for name, label := range expected {
			if answers[name] == label {
				right++
			}
		}
		if got := float64(right) / float64(len(expected)); len(answers) != 365 || math.Abs(got-want) > 0.0006 {
			t.Errorf("%s is right on %.3f of %d answers, want %.3f", strategy, got, len(answers), want)
		}
	}
}
