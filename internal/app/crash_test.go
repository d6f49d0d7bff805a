package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"yardmaster/internal/app/apptest"
)

// built is the program as people get it, built once for all tests of this process.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "yardmaster-crash-")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "yardmaster")
	build := exec.Command("go", "build", "-o", path, "./cmd/yardmaster")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, nil
})

// process is a server in a process of its own.
type process struct {
	*apptest.Client
	t      *testing.T
	cmd    *exec.Cmd
	data   string
	stderr bytes.Buffer // read only after the end
	pid    int
}

// serve starts the program on a data folder and answers once it is ready.
func serve(t *testing.T, data string) *process {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, data: data, cmd: exec.Command(program, "serve", "--data", data, "--listen", "127.0.0.1:0")}
	p.cmd.Env = append(os.Environ(), "YARDMASTER_BOOTSTRAP_KEY="+apptest.Key)
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "serves on "); ok {
			url, _, _ := strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, out) }()
			p.Client = apptest.NewClient(t, url, apptest.Key)
			apptest.Until(t, 10*time.Second, "the server is ready", func() bool { return p.Call("GET", "/readyz", nil).Status == 200 })
			return p
		}
	}
	_ = p.cmd.Wait()
	t.Fatalf("the server did not start: %s", &p.stderr)
	return nil
}

// kill ends the server as a power cut does.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // it was killed, which is an error here
	}
}

// task is a process by what does not change: its id and the time of its start, so that an id used anew is another.
type task struct {
	pid   int
	start string
}

func (k task) alive() bool {
	_, start, state := stat(k.pid)
	return start == k.start && state != "Z" && state != ""
}

func stat(pid int) (parent int, start, state string) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", ""
	}
	i := bytes.LastIndexByte(raw, ')') // the name before it may hold anything
	fields := strings.Fields(string(raw[i+1:]))
	if len(fields) < 20 {
		return 0, "", ""
	}
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[19], fields[0]
}

// offspring lists the processes that stem from a server, and those that have one of its instances' homes mounted.
func offspring(t *testing.T, pid int, data string) []task {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	parents, out := map[int]int{}, []task{}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			parents[n], _, _ = stat(n)
		}
	}
	for n := range parents {
		from := false
		for up := parents[n]; up > 1 && !from; up = parents[up] {
			from = up == pid
		}
		if !from {
			mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", n))
			from = err == nil && bytes.Contains(mounts, []byte(filepath.Base(filepath.Dir(data))+"/"+filepath.Base(data)+"/instances/"))
		}
		if _, start, state := stat(n); from && n != pid && state != "Z" && start != "" {
			out = append(out, task{n, start})
		}
	}
	return out
}

// crash kills the server in the middle and checks that nothing of it lives on.
func (p *process) crash() {
	p.t.Helper()
	before := offspring(p.t, p.pid, p.data)
	if len(before) == 0 {
		p.t.Fatal("no process of an instance was found before the crash; the test looks for the wrong thing")
	}
	p.kill()
	apptest.Until(p.t, time.Second, "all processes of the killed server are gone", func() bool {
		return !slices.ContainsFunc(before, task.alive) && len(offspring(p.t, p.pid, p.data)) == 0
	})
}

// orphans checks that instances, rows and folders are the same.
func (p *process) orphans() {
	p.t.Helper()
	list := p.Must("GET", "/api/instances", nil)
	known := map[string]bool{}
	for i := range list.Len("instances") {
		at := fmt.Sprintf("instances.%d.", i)
		known[list.Text(at+"id")] = true
		if status := list.Text(at + "status"); status != "active" {
			p.t.Errorf("after the restart, %s is %s: %s", list.Text(at+"name"), status, list.Text(at+"lastError"))
		}
	}
	var found []string
	err := filepath.WalkDir(filepath.Join(p.data, "instances"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "inst_") {
			found = append(found, d.Name())
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, id := range found {
		if !known[id] {
			p.t.Errorf("the folder of %s is left, but there is no such instance", id)
		}
	}
	if len(found) != len(known) {
		p.t.Errorf("%d folders for %d instances", len(found), len(known))
	}
}

// final waits until a turn has ended and answers it.
func (p *process) final(turn string) apptest.Answer {
	p.t.Helper()
	var a apptest.Answer
	apptest.Until(p.t, time.Minute, "the turn has ended", func() bool {
		a = p.Must("GET", "/api/turns/"+turn, nil)
		switch a.Text("turn.status") {
		case "done", "failed", "stopped":
			return true
		}
		return false
	})
	return a
}

// TestKilledDuringExperiment kills the server at several moments of the experiment that the first sentence asks for. The
// next start finishes it: the same experiment, once, with the scores that it would have had.
func TestKilledDuringExperiment(t *testing.T) {
	t.Parallel()
	apptest.NeedInstances(t)
	python(t)
	const sentence = "Deploy 5 variants of the AQI predictor with different strategies and score them. Use the seed 7."
	var scores sync.Map // variant → score, the same in all runs
	moments := []string{"is deployed", "on search", "on select", "on sealed"}
	for i, moment := range moments {
		t.Run(moment, func(t *testing.T) {
			data := apptest.Folder(t)
			p := serve(t, data)
			s := p.Say("", sentence)
			for reached := false; !reached; {
				c, ok := s.Next()
				if !ok {
					t.Fatalf("the turn ended before %q", moment)
				}
				progress, _ := c["output"].(map[string]any)
				text, _ := progress["text"].(string)
				// A report that was overtaken by the next one is not shown.
				reached = c["preliminary"] == true && slices.ContainsFunc(moments[i:], func(m string) bool { return strings.Contains(text, m) })
			}
			p.crash()
			s.Close()

			p = serve(t, data)
			if chat := p.Must("GET", "/api/chat/"+s.ChatID, nil); chat.Text("messages.0.parts.0.text") != sentence {
				t.Errorf("the chat after the crash: %s", chat)
			}
			turn := p.final(s.TurnID)
			if turn.Text("turn.status") != "done" {
				t.Errorf("the turn: %s", turn)
			}
			list := p.Must("GET", "/api/experiments", nil)
			if list.Len("experiments") != 1 {
				t.Fatalf("there are %d experiments, want 1: %s", list.Len("experiments"), list)
			}
			id := list.Text("experiments.0.id")
			if a := p.Must("POST", "/api/experiments/"+id+"/wait", obj{"timeoutSeconds": 60}); a.Text("experiment.status") != "scored" {
				t.Fatalf("the experiment: %s", a)
			}
			board := p.Must("GET", "/api/experiments/"+id+"/leaderboard", nil)
			if board.Len("leaderboard") != 5 {
				t.Fatalf("the leaderboard: %s", board)
			}
			for i := range 5 {
				at := fmt.Sprintf("leaderboard.%d.", i)
				name, score := board.Text(at+"variant"), board.At(at+"score")
				if score == nil {
					t.Errorf("%s has no score", name)
				} else if was, ok := scores.LoadOrStore(name, score); ok && was != score {
					t.Errorf("%s scored %v, and %v in another run", name, score, was)
				}
			}
			if n := p.Must("GET", "/api/instances", nil).Len("instances"); n != 5 {
				t.Errorf("there are %d instances, want one for each of 5 variants", n)
			}
			p.orphans()
			chat := p.Must("GET", "/api/chat/"+s.ChatID, nil)
			if chat.Len("messages") != 2 || !strings.Contains(string(chat.Body), board.Text("leaderboard.0.variant")) {
				t.Errorf("the answer in the chat does not name the best variant: %s", chat)
			}
		})
	}
}

// TestKilledDuringCommand kills the server while a command runs that a chat asked for. Nobody can know how far it came, so
// it is not run again, and the turn says so.
func TestKilledDuringCommand(t *testing.T) {
	t.Parallel()
	apptest.NeedInstances(t)
	data := apptest.Folder(t)
	p := serve(t, data)
	p.Must("POST", "/api/instances", obj{"name": "web-1", "kind": "blank"})
	s := p.Say("", "run `echo once >> ran; sleep 600` on web-1")
	s.Until("tool-input-available")
	ran := "/api/instances/web-1/files/content?path=ran"
	apptest.Until(t, waitTime, "the command runs", func() bool { return p.Call("GET", ran, nil).Status == 200 })
	p.crash()
	s.Close()

	p = serve(t, data)
	turn := p.final(s.TurnID)
	if status := turn.Text("turn.status"); status != "done" && status != "failed" {
		t.Errorf("the turn: %s", turn)
	}
	chat := string(p.Must("GET", "/api/chat/"+s.ChatID, nil).Body)
	if !strings.Contains(chat, "interrupt") && !strings.Contains(chat, "unknown") && !strings.Contains(chat, "not known") {
		t.Errorf("the chat does not say that the outcome is not known: %s", chat)
	}
	p.orphans()
	if a := p.Must("POST", "/api/instances/web-1/exec", obj{"command": "cat ran"}); a.Text("stdout") != "once\n" {
		t.Errorf("the command ran more or less than once: %s", a)
	}
}

func python(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("/usr/bin/python3"); err != nil {
		apptest.Missing(t, "python3 is missing, so no variant can run: %v", err)
	}
}
