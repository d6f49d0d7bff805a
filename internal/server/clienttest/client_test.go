package clienttest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"yardmaster/internal/agent"
	"yardmaster/internal/chat"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
	"yardmaster/internal/server"
)

const key = "ck_live_0123456789abcdef"

// TestClients runs every scenario of drive.mjs in both majors.
func TestClients(t *testing.T) {
	node, dir := install(t)
	base := serve(t)
	for _, major := range []string{"6", "7"} {
		t.Run("ai"+major, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "drive.mjs"), major, base, key)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
			}
			lines, n := bufio.NewScanner(bytes.NewReader(out)), 0
			lines.Buffer(nil, 8<<20)
			for lines.Scan() {
				var r struct {
					Name  string
					OK    bool
					Error string
				}
				if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
					t.Fatalf("%v in %s", err, lines.Bytes())
				}
				n++
				t.Run(r.Name, func(t *testing.T) {
					if !r.OK {
						t.Error(r.Error)
					}
				})
			}
			if n < 15 {
				t.Errorf("only %d scenarios ran\n%s", n, stderr.Bytes())
			}
		})
	}
}

// missing ends the test: in CI as a failure, elsewhere as a skip.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// install puts the pinned packages, a Node that is new enough among them, into the user's cache, and answers the path of
// that Node and the folder in which scripts find the packages.
func install(t *testing.T) (node, dir string) {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "the chat client is not tested: npm is not there (%v)", err)
	}
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || arch == "" {
		missing(t, "the chat client is not tested: no Node is pinned for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	locked, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(locked)
	modules := filepath.Join(cache, "yardmaster-clienttest", hex.EncodeToString(sum[:8]))
	node = filepath.Join(modules, "node_modules", "node-linux-"+arch, "bin", "node")
	if _, err := os.Stat(node); err != nil {
		npmCI(t, npm, modules)
	}
	if _, err := os.Stat(node); err != nil {
		t.Fatalf("npm put no Node there: %v", err)
	}
	// Packages are looked for in the folders above a script, so it is run from a copy.
	dir, err = os.MkdirTemp(modules, "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := os.ReadFile("drive.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "drive.mjs"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return node, dir
}

// npmCI installs into a folder of its own, which then becomes modules at once: tests in several processes may do so.
func npmCI(t *testing.T, npm, modules string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(modules), 0o700); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(modules), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	for _, name := range []string{"package.json", "package-lock.json"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tmp, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The Node that runs npm may be older than the packages want; the one that runs them is not.
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, "the chat client is not tested: its packages can't be installed: %v\n%s", err, out)
	}
	if err := os.Rename(tmp, modules); err != nil {
		if _, there := os.Stat(modules); there != nil {
			t.Fatal(err)
		}
	}
}

// gates are what scripted answers wait at until the client opens them.
type gates struct {
	mu sync.Mutex
	at map[string]chan struct{}
}

func (g *gates) gate(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at[name] == nil {
		g.at[name] = make(chan struct{})
	}
	return g.at[name]
}

// open serves POST /test/gates/{name}.
func (g *gates) open(w http.ResponseWriter, r *http.Request) {
	ch := g.gate(r.PathValue("name"))
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-ch:
	default:
		close(ch)
	}
	_, _ = w.Write([]byte("{}"))
}

// rules are the scripted answers.
func (g *gates) rules() []script.Rule {
	call := func(tool, input string) script.Call {
		return script.Call{ID: "call_" + tool, Tool: tool, Input: json.RawMessage(input), Fragments: 4}
	}
	rules := []script.Rule{
		{Match: "say hello", Steps: []script.Step{{Text: "Hello there, žluťoučký kůň 🐎!", Piece: 1}}},
		{Match: "say more", Steps: []script.Step{{Text: "More."}}},
		{Match: "say it with reasons", Steps: []script.Step{{Reasoning: "Let me think about it.", Text: "Because."}}},
		{Match: "use the tools", Steps: []script.Step{
			{Text: "I look.", Calls: []script.Call{call("things_list", `{"label":"env=test","list":[1,2]}`), call("things_fail", `{}`)}},
			{Text: "There are two."},
		}},
		{Match: "use the hostile tool", Steps: []script.Step{{Calls: []script.Call{call("things_hostile", `{"__proto__":{"a":1}}`)}}, {Text: "Survived."}}},
		{Match: "fail please", Steps: []script.Step{{Text: "Let me see", Error: "The model is out of order."}}},
	}
	for _, major := range []string{"6", "7"} {
		slow := call("things_slow", `{"gate":"slow-`+major+`"}`)
		rules = append(rules, script.Rule{Match: "use the slow tool " + major, Steps: []script.Step{{Calls: []script.Call{slow}}, {Text: "Done."}}})
		for _, what := range []string{"resume", "leave", "stop", "queue"} {
			name := what + "-" + major
			rules = append(rules, script.Rule{Match: "wait at " + name, Steps: []script.Step{
				{Text: "Half and ", Gate: g.gate(name), Calls: []script.Call{call("things_list", "{}")}}, {Text: "half. Whole."},
			}})
		}
	}
	return rules
}

// scriptedBrain answers every turn with the script.
type scriptedBrain struct {
	provider llm.Provider
	tools    *agent.Toolset
}

func (b scriptedBrain) Model(name string) (string, error) {
	if name == "" || name == "script/play" {
		return "script/play", nil
	}
	return "", errs.BadField("model", "there is no model %q", name)
}

func (b scriptedBrain) Setup(context.Context, op.Actor, string) (agent.Setup, error) {
	return agent.Setup{Provider: b.provider, Model: "play", Tools: b.tools, MaxSteps: 5, Budget: -1}, nil
}

func (g *gates) tools() *agent.Toolset {
	list := []llm.Tool{
		{Name: "things_list", Effect: "read"}, {Name: "things_fail", Effect: "read"}, {Name: "things_slow", Effect: "read"}, {Name: "things_hostile", Effect: "read"},
	}
	return agent.NewToolset(list, nil, func(ctx context.Context, tool string, input json.RawMessage) (any, error) {
		switch tool {
		case "things_fail":
			return nil, errs.New(errs.NotFound, "There is no thing \"x\".")
		case "things_slow":
			var in struct{ Gate string }
			if err := json.Unmarshal(input, &in); err != nil {
				return nil, err
			}
			op.Progress(ctx, map[string]int{"done": 1})
			select {
			case <-g.gate(in.Gate):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return map[string]bool{"ready": true}, nil
		case "things_hostile":
			return json.RawMessage(`{"fine":true,"__proto__":{"polluted":true},"constructor":{"prototype":{"a":1}},"n":12345678901234567890}`), nil
		}
		return map[string]any{"count": 2, "things": []string{"<a>", "b"}}, nil
	})
}

// keys knows one caller.
type keys struct{}

func (keys) Authenticate(_ context.Context, bearer string) (op.Actor, error) {
	if bearer != key {
		return op.Actor{}, errs.New(errs.Unauthenticated, "This API key is not valid here.")
	}
	return op.Actor{Account: "acct_a", User: "user_a", Scopes: []string{"*"}}, nil
}

// chats is the chat service in the server's terms.
type chats struct{ *chat.Service }

func (c chats) Send(ctx context.Context, in server.ChatIn) (server.ChatTurn, error) {
	t, err := c.Service.Send(ctx, chat.SendIn{ChatID: in.ChatID, Messages: in.Messages, Trigger: in.Trigger, MessageID: in.MessageID, Model: in.Model})
	return server.ChatTurn{ID: t.ID, ChatID: t.ChatID, MessageID: t.MessageID}, err
}

func (c chats) Wait(ctx context.Context, turnID string) (server.ChatResult, error) {
	r, err := c.Service.Wait(ctx, turnID)
	if err == nil && r.Error != "" {
		err = errs.New(errs.Unavailable, "%s", r.Error)
	}
	return server.ChatResult{Text: r.Text, Stopped: r.Status == chat.Stopped}, err
}

// serve starts a server on a real database, with the real chat and a scripted model, and answers its address.
func serve(t *testing.T) string {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "y.db"))
	if err != nil {
		t.Fatal(err)
	}
	jobs := job.New(d, slog.New(slog.DiscardHandler), true)
	g := &gates{at: map[string]chan struct{}{}}
	provider := script.New(script.Script{Rules: g.rules()})
	service := chat.New(chat.Config{DB: d, Events: event.New(d), Jobs: jobs, Brain: scriptedBrain{provider, g.tools()}})
	reg := op.NewRegistry()
	err = reg.Add(
		op.New(op.Op{Name: "chats.get", Route: "GET /api/chat/{id}", Doc: "Read a chat.", Scope: "chats:read", Effect: op.Read}, service.Get),
		op.New(op.Op{Name: "chats.stop", Route: "POST /api/chat/{id}/stop", Doc: "Stop a chat.", Scope: "chats:write", Effect: op.Write}, service.Stop),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	srv := server.New(server.Config{Registry: reg, Auth: keys{}, Chats: chats{service}, Mounts: map[string]http.Handler{
		"POST /test/gates/{name}": http.HandlerFunc(g.open),
	}})
	h := httptest.NewUnstartedServer(nil)
	h.Config = srv.HTTP()
	h.Start()
	t.Cleanup(func() {
		srv.EndStreams()
		h.Close()
		jobs.Stop()
		if err := d.Close(); err != nil {
			t.Error(fmt.Errorf("close: %w", err))
		}
	})
	return h.URL
}
