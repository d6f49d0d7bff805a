package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yardmaster/internal/app/apptest"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
)

// gated answers each message with a few words, waits for the gate, and ends.
func gated(gate <-chan struct{}) *script.Provider {
	return script.Steps(script.Step{Text: "so far so good", Gate: gate})
}

// refusal checks that an answer is a proper refusal: a problem document with a code and a sentence.
func refusal(t *testing.T, what string, a apptest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code() != code || len(a.Text("detail")) < 10 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("%s: %s (%s), want %d %s", what, a, a.Header.Get("Content-Type"), status, code)
	}
}

// TestBadBodies sends every operation with a body what it must refuse. The reference in the path is good, so that nothing
// but the body is wrong.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances(), apptest.Model(apptest.Caller{}))
	w := newWorld(t, y.Client)
	w.box()
	large := json.RawMessage(`{"name":"` + strings.Repeat("x", 20<<20) + `"}`)
	for _, p := range y.App.Registry.All() {
		s, ok := scenarios[p.Name]
		if !ok || !p.Body() || p.Name == "chats.stop" { // which ignores its body
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			method, path, body := request(p, s.input(w))
			for what, raw := range map[string]string{
				"no JSON": `{"name":`, "text": `hello`, "a list": `[]`, "a string": `"x"`, "a number": `7`, "two values": `{} {}`,
				"a member twice": `{"zz":1,"zz":2}`, "an unknown field": `{"nosuchfield":1}`, "bytes": "\xff\xfe{}",
			} {
				a := w.Call(method, path, json.RawMessage(raw))
				refusal(t, what, a, 400, "invalid")
				if what == "an unknown field" && !strings.Contains(a.Text("detail"), "nosuchfield") {
					t.Errorf("it does not say which field: %s", a)
				}
			}
			refusal(t, "20 MB", w.Call(method, path, large), 413, "too_large")
			good := body.(obj)
			for name, f := range p.In.Properties {
				if good[name] == nil && name == "id" {
					continue // in the path
				}
				for _, bad := range wrongValues(f) {
					sent := obj{}
					for k, v := range good {
						sent[k] = v
					}
					sent[name] = bad
					a := w.Call(method, path, sent)
					refusal(t, fmt.Sprintf("%s: %v", name, bad), a, 400, "invalid")
					if !strings.Contains(a.Text("errors.0.field"), name) {
						t.Errorf("%s: %v: the refusal does not name the field: %s", name, bad, a)
					}
				}
			}
			if len(p.In.Required) > len(p.Wildcards()) {
				refusal(t, "no body", w.Call(method, path, nil), 400, "invalid")
				refusal(t, "null", w.Call(method, path, json.RawMessage("null")), 400, "invalid")
			}
		})
	}
}

// wrongValues are values that a field can't have by its type alone.
func wrongValues(f *op.Schema) []any {
	var out []any
	if !f.Nullable && (f.Type != "" || f.Types != nil) {
		out = append(out, json.RawMessage("null"))
	}
	switch f.Type {
	case "string":
		out = append(out, 7, []string{}, obj{})
	case "integer":
		out = append(out, "7", 1.5, true)
	case "number":
		out = append(out, "7", true)
	case "boolean":
		out = append(out, "true", 1)
	case "array":
		out = append(out, "x", obj{})
	case "object":
		out = append(out, "x", []string{})
	}
	return out
}

func TestBadChatBodies(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Model(apptest.Caller{}))
	for what, raw := range map[string]string{
		"no JSON": `{"messages":`, "a list": `[]`, "no messages": `{}`, "null": `{"messages":null}`, "none": `{"messages":[]}`,
		"a text as messages": `{"messages":"hi"}`, "a text as message": `{"messages":["hi"]}`, "a number as id": `{"id":7,"messages":[]}`,
		"an id with a slash": `{"id":"a/b","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}]}`,
		"a reserved id":      `{"id":"history","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}]}`,
		"no user":            `{"messages":[{"role":"assistant","parts":[{"type":"text","text":"x"}]}]}`,
		"an unknown role":    `{"messages":[{"role":"king","parts":[{"type":"text","text":"x"}]}]}`,
		"an unknown model":   `{"model":"nobody/x","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}]}`,
		"an unknown trigger": `{"trigger":"x","messages":[{"role":"user","parts":[{"type":"text","text":"x"}]}]}`,
		"no text":            `{"messages":[{"role":"user","parts":[]}]}`,
	} {
		if a := y.Call("POST", "/api/chat", json.RawMessage(raw)); a.Status != 400 || len(a.Body) < 10 {
			t.Errorf("%s: %s", what, a)
		}
	}
	big := json.RawMessage(`{"messages":[{"role":"user","parts":[{"type":"text","text":"` + strings.Repeat("x", 20<<20) + `"}]}]}`)
	if a := y.Call("POST", "/api/chat", big); a.Status != 413 {
		t.Errorf("20 MB: %s", a)
	}
	if n := y.Must("GET", "/api/chat/history", nil).Len("chats"); n != 0 {
		t.Errorf("refused messages left %d chats", n)
	}
}

// TestNames gives things names that break what is careless: each is refused with a sentence or kept as it was written, and
// never an error of the server.
func TestNames(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances())
	bad := []string{"a/b", "../up", "..", ".", "/", "a\\b", strings.Repeat("n", 300), "a b", " ", "a\x00b", "a\nb", "café\u202e", "-rf", "🦊", "a%2Fb", "inst_x", "<b>", "'; DROP TABLE instances; --"}
	for _, kind := range []struct {
		path, field string
		body        obj
		loose       bool // takes any printable name
	}{
		{"/api/instances", "name", obj{"kind": "blank"}, false},
		{"/api/skills", "name", obj{"description": "d", "body": "b"}, false},
		{"/api/secrets", "name", obj{"value": "some value"}, false},
		{"/api/automations", "name", obj{"prompt": "p", "cronExpression": "0 0 1 1 *"}, true},
	} {
		for _, name := range bad {
			body := obj{"name": name}
			for k, v := range kind.body {
				body[k] = v
			}
			a := y.Call("POST", kind.path, body)
			if a.Status == 201 && (kind.loose || name == "inst_x" && kind.path == "/api/secrets") {
				continue
			}
			if a.Status != 400 || a.Text("errors.0.field") != kind.field {
				t.Errorf("POST %s with the name %.40q: %s", kind.path, name, a)
			}
			// As a reference such a name is unknown, and nothing worse.
			if got := y.Call("GET", kind.path+"/"+url.PathEscape(name), nil); name != "." && name != ".." && got.Status != 404 && got.Status != 400 && got.Status != 405 {
				t.Errorf("GET %s/%.40q: %s", kind.path, name, got)
			}
		}
	}
	good := "Web.1_x-" + strings.Repeat("y", 40)
	id := y.Must("POST", "/api/instances", obj{"name": good, "kind": "blank"}).Text("instance.id")
	if got := y.Must("GET", "/api/instances/"+good, nil).Text("instance.id"); got != id {
		t.Errorf("the name leads to %q, want %q", got, id)
	}
	refusal(t, "the same name again", y.Call("POST", "/api/instances", obj{"name": strings.ToUpper(good), "kind": "blank"}), 409, "conflict")
}

// TestFilePaths asks for files outside of the home folder, by paths and by what a process in the instance prepared.
func TestFilePaths(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances())
	w := newWorld(t, y.Client)
	id := w.box()
	victim := filepath.Join(y.Data, "local.key")
	before, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "written")
	w.Must("POST", "/api/instances/"+id+"/exec", obj{"command": fmt.Sprintf(
		`mkdir dir; ln -s /etc etc; ln -s /etc/passwd passwd; ln -s '%s' key; ln -s '%s' out; ln -s ../../../.. up; ln -s loop loop; mkfifo fifo; ln -s fifo tofifo; ln -s /dev/zero zero; printf fine > dir/fine; ln -s dir/fine inside`,
		victim, target)})
	file := func(path string) string {
		return "/api/instances/" + id + "/files/content?path=" + url.QueryEscape(path)
	}
	if a := w.Call("GET", file("inside"), nil); a.Status != 200 || string(a.Body) != "fine" {
		t.Errorf("a link inside of the home: %s", a)
	}
	paths := []string{"..", "../..", "../../lock", "../../../../../../etc/passwd", "/etc/passwd", "dir/../../x", "etc/passwd", "passwd", "key", "up/lock", "up/local.key",
		"loop", "fifo", "tofifo", "zero", "a\x00b", "", ".", "/", strings.Repeat("d/", 3000) + "x", strings.Repeat("n", 300), "dir"}
	for _, path := range paths {
		begin := time.Now()
		a := w.Call("GET", file(path), nil)
		if a.Status < 400 || a.Status > 499 || a.Code() == "" {
			t.Errorf("read %.40q: %s", path, a)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("read %.40q took %s", path, took)
		}
		for _, told := range []string{"root:", "ck_live_"} {
			if bytes.Contains(a.Body, []byte(told)) {
				t.Errorf("read %.40q tells what is outside: %s", path, a)
			}
		}
		list := w.Call("GET", "/api/instances/"+id+"/files?path="+url.QueryEscape(path), nil)
		if list.Status >= 500 || bytes.Contains(list.Body, []byte("passwd-")) || bytes.Contains(list.Body, []byte("yardmaster.db")) {
			t.Errorf("list %.40q: %s", path, list)
		}
	}
	for _, path := range append(paths, "out", "etc/evil", "up/evil") {
		if path == "passwd" || path == "key" || path == "out" || path == "loop" || path == "fifo" || path == "tofifo" || path == "zero" {
			// A write may replace the link or the pipe itself, in the home, but never go through it.
			if a := w.Call("PUT", file(path), []byte("evil")); a.Status >= 500 {
				t.Errorf("write %q: %s", path, a)
			}
			continue
		}
		if path == "dir" || path == "dir/../../x" || path == "/etc/passwd" {
			continue
		}
		if a := w.Call("PUT", file(path), []byte("evil")); a.Status < 400 || a.Status > 499 {
			t.Errorf("write %.40q: %s", path, a)
		}
		if a := w.Call("DELETE", file(path), nil); (a.Status < 400 || a.Status > 499) && path != "etc/evil" && path != "up/evil" {
			t.Errorf("delete %.40q: %s", path, a)
		}
	}
	if after, err := os.ReadFile(victim); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key file was changed: %q, %v", after, err)
	}
	for _, path := range []string{target, "/etc/evil", filepath.Join(y.Data, "evil")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if passwd, err := os.ReadFile("/etc/passwd"); err != nil || bytes.Contains(passwd, []byte("evil")) {
		t.Errorf("/etc/passwd was written: %v", err)
	}
}

// TestThreeTurnsAtOnce sends three messages to one chat at the same moment: each is answered, one after another, and the
// chat keeps them in the order in which they were taken.
func TestThreeTurnsAtOnce(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	y := apptest.Start(t, apptest.Model(gated(gate)))
	const n = 3
	var streams [n]*apptest.Stream
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { streams[i] = y.Say("busy", fmt.Sprintf("message %d", i)) })
	}
	wg.Wait()
	running := 0
	for _, s := range streams {
		switch status := y.Must("GET", "/api/turns/"+s.TurnID, nil).Text("turn.status"); status {
		case "running":
			running++
		case "queued":
		default:
			t.Errorf("a turn is %s before its model has answered", status)
		}
	}
	if running != 1 {
		t.Errorf("%d turns run at once in one chat", running)
	}
	close(gate)
	for i, s := range streams {
		chunks, whole := s.Rest()
		if !whole || chunks[len(chunks)-1].Type() != "finish" {
			t.Errorf("the answer to message %d broke off", i)
		}
	}
	got := y.Must("GET", "/api/chat/busy", nil)
	if got.Len("messages") != 2*n {
		t.Fatalf("the chat has %d messages: %s", got.Len("messages"), got)
	}
	asked := map[string]bool{}
	for i := range 2 * n {
		role := got.Text(fmt.Sprintf("messages.%d.role", i))
		if want := []string{"user", "assistant"}[i%2]; role != want {
			t.Errorf("message %d is the %s's", i, role)
		}
		if role == "user" {
			asked[got.Text(fmt.Sprintf("messages.%d.parts.0.text", i))] = true
		}
	}
	if len(asked) != n {
		t.Errorf("the chat has the messages %v", asked)
	}
}
