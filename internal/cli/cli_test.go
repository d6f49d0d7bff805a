package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"yardmaster/internal/app/apptest"
	"yardmaster/internal/catalog"
	"yardmaster/internal/cli"
	"yardmaster/internal/llm/script"
	"yardmaster/internal/op"
)

// The settings of whoever runs the tests must not reach the program under test.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "YARDMASTER_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	goleak.VerifyTestMain(m)
}

// ran is what a command did.
type ran struct {
	code        int
	out, errOut string
}

func run(t testing.TB, in string, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	code := cli.Run(t.Context(), args, strings.NewReader(in), &out, &errOut)
	return ran{code, out.String(), errOut.String()}
}

// must is run for a command that has to succeed.
func must(t testing.TB, args ...string) string {
	t.Helper()
	r := run(t, "", args...)
	if r.code != 0 {
		t.Fatalf("yardmaster %q: exit code %d: %s", args, r.code, r.errOut)
	}
	return r.out
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances(), apptest.Model(apptest.Caller{}))
	y.Must("POST", "/api/instances", map[string]any{"name": "web-1", "kind": "blank"})
	for _, c := range []struct {
		name string
		args []string
		code int
		says string // on standard error, or on standard output for code 0
	}{
		{"a wrong name", []string{"instances", "create", "--name", "a/b"}, 2, "name"},
		{"a word for a number", []string{"instances", "list", "--limit", "many"}, 2, "limit"},
		{"a number that is too small", []string{"instances", "list", "--limit", "0"}, 2, "limit"},
		{"an unknown choice", []string{"instances", "create", "--kind", "huge"}, 2, "prebuilt, blank"},
		{"an unknown flag", []string{"instances", "list", "--colour", "red"}, 2, "--colour"},
		{"an unknown command", []string{"fleet"}, 2, "fleet"},
		{"an unknown verb", []string{"instances", "lst"}, 2, "lst"},
		{"a missing argument", []string{"instances", "get"}, 2, "arg"},
		{"a missing flag", []string{"instances", "exec", "web-1"}, 2, "command"},
		{"too many arguments", []string{"instances", "exec", "web-1", "ls", "-l"}, 2, "-l"},
		{"an argument that is a flag as well", []string{"instances", "exec", "web-1", "ls", "--command", "ls"}, 2, "twice"},
		{"an unknown log level", []string{"instances", "list", "--log-level", "loud"}, 2, "debug, info, warn, error"},
		{"a name that is a step in a path", []string{"instances", "get", "."}, 4, "There is no instance \".\""},
		{"a name that is a step up in a path", []string{"instances", "delete", "..", "--yes"}, 4, "There is no instance \"..\""},
		{"labels without a value", []string{"instances", "create", "--labels", "prod"}, 2, "KEY=VALUE"},
		{"an object that is no JSON", []string{"instances", "create", "--config", "memory"}, 2, "--config"},
		{"an object with an unknown field", []string{"instances", "create", "--config", `{"memory":1}`}, 2, "config.memory"},
		{"a deletion that nobody confirms", []string{"instances", "delete", "web-1"}, 2, "--yes"},
		{"several mistakes", []string{"config", "update", "web-1", "--limits", `{"memoryMb":1,"processes":1}`}, 2, "limits.processes"},
		{"what is not there", []string{"instances", "get", "nobody"}, 4, "nobody"},
		{"a file that is not there", []string{"files", "read", "web-1", "--path", "none.txt"}, 4, "none.txt"},
		{"a name that is taken", []string{"instances", "create", "--name", "web-1"}, 5, "web-1"},
		{"a required text as an argument", []string{"instances", "exec", "web-1", "exit 7"}, 0, "exitCode:"},
		{"an exec that fails is not our failure", []string{"instances", "exec", "web-1", "--command", "exit 7"}, 0, "exitCode:"},
		{"no chat to continue", []string{"chat", "--continue", "go on"}, 4, "no chat to continue"},
		{"help", []string{"help"}, 0, "Platform operations:"},
		{"nothing", nil, 0, "Platform operations:"},
		{"a resource alone", []string{"instances"}, 0, "create"},
		{"help of a command", []string{"instances", "exec", "--help"}, 0, "In chat:"},
		{"the version", []string{"--version"}, 0, "yardmaster version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, "", append(c.args, "--data", y.Data)...)
			said := r.errOut
			if c.code == 0 {
				said = r.out
			}
			if r.code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, want %d; it said %q, which should have %q", r.code, c.code, r.out+r.errOut, c.says)
			}
			if c.code != 0 && !strings.HasPrefix(r.errOut, "yardmaster: ") {
				t.Errorf("the error does not say who speaks: %q", r.errOut)
			}
		})
	}
}

// The server and the key of commands for a server elsewhere come from the environment, which belongs to the process: this
// test runs alone.
func TestServerElsewhere(t *testing.T) {
	y := apptest.Start(t)
	reader := y.Must("POST", "/api/chat-keys", map[string]any{"name": "reader", "scopes": []string{"instances:read"}}).Text("key")
	for _, c := range []struct {
		name, server, key string
		args              []string
		code              int
		says              string
	}{
		{"with the key", y.URL, apptest.Key, []string{"account", "health"}, 0, "authenticated"},
		{"with a slash behind", y.URL + "/", apptest.Key, []string{"account", "health"}, 0, "authenticated"},
		{"without a key", y.URL, "", []string{"account", "health"}, 3, "YARDMASTER_API_KEY"},
		{"with a wrong key", y.URL, "ck_live_nobody0123456789", []string{"account", "health"}, 3, "not valid"},
		{"without the right", y.URL, reader, []string{"secrets", "list"}, 3, "secrets:read"},
		{"nobody answers", "http://127.0.0.1:1", apptest.Key, []string{"account", "health"}, 5, "http://127.0.0.1:1"},
		{"nobody to talk to", "http://127.0.0.1:1", apptest.Key, []string{"chat", "hello"}, 5, "http://127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("YARDMASTER_API_KEY", c.key)
			r := run(t, "", append(c.args, "--server", c.server)...)
			if r.code != c.code || !strings.Contains(r.out+r.errOut, c.says) {
				t.Errorf("exit code %d, want %d; it said %q, which should have %q", r.code, c.code, r.out+r.errOut, c.says)
			}
			if c.key != "" && strings.Contains(r.out+r.errOut, c.key) {
				t.Errorf("it shows the key: %q", r.out+r.errOut)
			}
		})
	}
	t.Run("from the environment", func(t *testing.T) {
		t.Setenv("YARDMASTER_API_KEY", apptest.Key)
		t.Setenv("YARDMASTER_SERVER", y.URL)
		if out := must(t, "account", "health"); !strings.Contains(out, "authenticated") {
			t.Errorf("it said %q", out)
		}
	})
}

func TestOutput(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances())
	y.Must("POST", "/api/instances", map[string]any{"name": "web-1", "kind": "blank", "labels": map[string]string{"env": "prod"}})
	data := []string{"--data", y.Data}
	lines := strings.Split(must(t, append(data, "instances", "list")...), "\n")
	if !strings.HasPrefix(lines[0], "NAME") || !strings.Contains(lines[0], "STATUS") || !strings.HasPrefix(lines[1], "web-1") || !strings.Contains(lines[1], "env=prod") {
		t.Errorf("the table is %q", lines)
	}
	if wide := must(t, append(data, "instances", "list", "--wide")...); !strings.Contains(wide, "IMAGETAG") {
		t.Errorf("the wide table lacks columns: %s", wide)
	}
	raw := must(t, append(data, "instances", "list", "--json")...)
	var v struct {
		Instances []struct{ Name string } `json:"instances"`
	}
	if err := json.Unmarshal([]byte(raw), &v); err != nil || len(v.Instances) != 1 || v.Instances[0].Name != "web-1" {
		t.Errorf("--json gives %v, %s", err, raw)
	}
	if none := must(t, append(data, "secrets", "list")...); none != "no secrets\n" {
		t.Errorf("an empty list is %q", none)
	}
	if one := must(t, append(data, "instances", "get", "web-1")...); !strings.Contains(one, "name:") || !strings.Contains(one, "web-1") {
		t.Errorf("one instance is %q", one)
	}
	if c := must(t, append(data, "config", "get", "web-1")...); !strings.HasPrefix(c, "config:\n") || !strings.Contains(c, "\n  limits:") || !strings.Contains(c, "\nrevision:") {
		t.Errorf("it can't be seen where the parts of a config end: %q", c)
	}
	if ok := must(t, append(data, "files", "write", "web-1", "--path", "a.bin", "--content", "a\x00\xffb\n")...); ok != "ok\n" {
		t.Errorf("a write says %q", ok)
	}
	if got := must(t, append(data, "files", "read", "web-1", "--path", "a.bin")...); got != "a\x00\xffb\n" {
		t.Errorf("the file comes as %q", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := must(t, "completion", shell); !strings.Contains(out, "yardmaster") {
			t.Errorf("the script for %s is %q", shell, out)
		}
	}
	for typed, want := range map[string][]string{
		"inst":                     {"instances"},
		"instances |":              {"create", "exec", "list"},
		"instances create --ki":    {"--kind"},
		"instances create --kind|": {"prebuilt", "blank"},
	} {
		args := strings.Fields(strings.ReplaceAll(typed, "|", " |"))
		if args[len(args)-1] == "|" {
			args[len(args)-1] = ""
		}
		out := must(t, append([]string{"__complete"}, args...)...)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%q is not completed with %s: %s", typed, w, out)
			}
		}
	}
}

// Every operation is a command, with a flag for each of its fields that says what the field is.
func TestCommandsOfOperations(t *testing.T) {
	t.Parallel()
	commands := map[string]*cobra.Command{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if name := c.Annotations["operation"]; name != "" {
			commands[name] = c
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cli.Command())
	for _, p := range catalog.Operations(catalog.Services{}) {
		c := commands[p.Name]
		if c == nil {
			t.Errorf("%s has no command", p.Name)
			continue
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its summary is %q", p.Name, c.Short)
		}
		for name, s := range p.In.Properties {
			wild := strings.Contains(c.Use, " "+strings.ToUpper(name))
			found := false
			for _, f := range []string{strings.ToLower(name), kebab(name)} {
				if flag := c.LocalNonPersistentFlags().Lookup(f); flag != nil && strings.HasPrefix(flag.Usage, s.Description) {
					found = true
				}
			}
			if found == wild {
				t.Errorf("%s: the field %s: an argument is %v, a flag is %v", p.Name, name, wild, found)
			}
		}
		if yes := c.Flags().Lookup("yes") != nil; yes != (p.Effect == op.Destroy) {
			t.Errorf("%s (%s): it has --yes: %v", p.Name, p.Effect, yes)
		}
	}
}

func kebab(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func TestChat(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Model(apptest.Caller{}))
	data := []string{"chat", "--data", y.Data}
	said := run(t, "", append(data, "say", "hello")...)
	if said.code != 0 || said.out != "done\n\n" || said.errOut != "" {
		t.Errorf("one message: %+v", said)
	}
	history := func() string { return must(t, "chats", "list", "--json", "--data", y.Data) }
	first := history()
	with := run(t, "", append(data, "--continue", apptest.CallText("secrets_list", map[string]any{"limit": 3}))...)
	if with.code != 0 || with.out != "done\n\n" || !strings.Contains(with.errOut, "✓ secrets list limit=3") {
		t.Errorf("a message with a call: %+v", with)
	}
	bad := run(t, "", append(data, "--continue", apptest.CallText("instances_get", map[string]any{"id": "nobody"}))...)
	if bad.code != 0 || !strings.Contains(bad.errOut, "✗ instances get id=nobody: ") {
		t.Errorf("a message with a call that fails: %+v", bad)
	}
	if strings.Count(history(), `"title"`) != 1 || strings.Count(first, `"title"`) != 1 {
		t.Errorf("--continue began another chat: %s", history())
	}
	// From standard input: lines, until a word that ends it.
	talk := run(t, "\nsay one\nsay two\nexit\nsay three\n", data...)
	if talk.code != 0 || talk.out != "done\n\ndone\n\n" {
		t.Errorf("a conversation: %+v", talk)
	}
	if n := strings.Count(history(), `"title"`); n != 2 {
		t.Errorf("the conversation made %d chats, want 1 more", n-1)
	}
	asJSON := run(t, "", append(data, "--json", "say", "hello")...)
	var v struct{ ChatID, Text string }
	if err := json.Unmarshal([]byte(asJSON.out), &v); err != nil || v.Text != "done" || !strings.HasPrefix(v.ChatID, "chat_") {
		t.Errorf("--json: %v, %+v", err, asJSON)
	}
	if got := run(t, "", append(data, "--chat", v.ChatID, "again")...); got.code != 0 {
		t.Errorf("--chat: %+v", got)
	}
	if chat := must(t, "chats", "get", v.ChatID, "--json", "--data", y.Data); strings.Count(chat, `"role": "user"`) != 2 {
		t.Errorf("--chat did not go on with the chat: %s", chat)
	}
	if got := run(t, "", append(data, "--chat", "a/b", "hello")...); got.code == 0 || !strings.Contains(got.errOut, "id") {
		t.Errorf("a wrong id: %+v", got)
	}
}

// A turn that fails fails its command, but not the conversation.
func TestChatFails(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Model(script.New(script.Script{Rules: []script.Rule{
		{Match: "fail", Steps: []script.Step{{Text: "First this.", Error: "The model is asleep."}}},
		{Steps: []script.Step{{Text: "Fine."}}},
	}})))
	one := run(t, "", "chat", "--data", y.Data, "fail")
	if one.code == 0 || !strings.Contains(one.errOut, "The model is asleep.") || !strings.Contains(one.out, "First this.") {
		t.Errorf("one message: %+v", one)
	}
}

// Without a server, a command starts one for as long as it lasts.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	data := apptest.Folder(t)
	if out := must(t, "secrets", "create", "--name", "A_KEY", "--value", "some value", "--data", data); !strings.Contains(out, "A_KEY") {
		t.Errorf("the first command says %q", out)
	}
	if out := must(t, "secrets", "list", "--data", data); !strings.Contains(out, "A_KEY") {
		t.Errorf("the second command does not find what the first one made: %q", out)
	}
	if _, err := os.Stat(filepath.Join(data, "server.json")); err == nil {
		t.Error("the address of the ended server is left")
	}
}

// lines is standard output of a command that goes on: what it says can be awaited.
func lines(t *testing.T) (io.Writer, <-chan string) {
	t.Helper()
	r, w := io.Pipe()
	out := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			out <- sc.Text()
		}
	}()
	t.Cleanup(func() { _ = w.Close(); <-done })
	return w, out
}

func TestServe(t *testing.T) {
	t.Parallel()
	data := apptest.Folder(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, said := lines(t)
	var errOut bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, []string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, strings.NewReader(""), out, &errOut)
	}()
	await := func() string {
		t.Helper()
		select {
		case line := <-said:
			return line
		case <-time.After(30 * time.Second):
			t.Fatal("the server says nothing")
			return ""
		}
	}
	key := strings.TrimPrefix(await(), "Your API key, shown only now: ")
	if !strings.HasPrefix(key, "ck_live_") {
		t.Errorf("the first line has no key: %q", key)
	}
	_, rest, _ := strings.Cut(await(), "serves on ")
	url, _, _ := strings.Cut(rest, " ")
	if a := apptest.NewClient(t, url, key).Call("GET", "/api/cli/health", nil); a.Status != 200 {
		t.Errorf("the key: %s", a)
	}
	if second := run(t, "", "serve", "--data", data, "--listen", "127.0.0.1:0"); second.code != 5 || !strings.Contains(second.errOut, "Another Yardmaster") {
		t.Errorf("a second server on the folder: %+v", second)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	if third := run(t, "", "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:"+port); third.code != 5 || !strings.Contains(third.errOut, "--listen") {
		t.Errorf("a server on a port that is taken: %+v", third)
	}
	stop()
	select {
	case got := <-code:
		if got != 0 {
			t.Errorf("the server ended with %d: %s", got, &errOut)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not end")
	}
}

// The first key is shown even when the start that makes it fails: no later start can show it.
func TestFirstKeyOfAFailedStart(t *testing.T) {
	t.Parallel()
	r := run(t, "", "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--model", "nobody/x")
	if r.code != 2 || !strings.Contains(r.errOut, "nobody") || !strings.Contains(r.out, "ck_live_") {
		t.Errorf("got %+v", r)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", "data: "+filepath.Join(dir, "data")+"\n")
	if out := must(t, "account", "health", "--config", good); !strings.Contains(out, "authenticated") {
		t.Errorf("it said %q", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "yardmaster.db")); err != nil {
		t.Errorf("the data folder of the settings file was not used: %v", err)
	}
	for text, says := range map[string]string{
		"colour: red\n":         "colour",
		"max-instances: many\n": "max-instances",
		"driver: magic\ndata: " + filepath.Join(dir, "other") + "\n":   "magic",
		"model: nobody/x\ndata: " + filepath.Join(dir, "third") + "\n": "nobody",
	} {
		r := run(t, "", "account", "health", "--config", write("bad.yaml", text))
		if r.code == 0 || !strings.Contains(r.errOut, says) {
			t.Errorf("the settings %q: %+v", text, r)
		}
	}
	if r := run(t, "", "account", "health", "--config", filepath.Join(dir, "none.yaml")); r.code != 2 || !strings.Contains(r.errOut, "none.yaml") {
		t.Errorf("no settings file: %+v", r)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	apptest.NeedInstances(t)
	out := run(t, "", "doctor", "--data", apptest.Folder(t))
	for _, want := range []string{"data folder", "sandbox", "isolates net ", "python3"} {
		if !strings.Contains(out.out, want) {
			t.Errorf("it does not tell about %s: %+v", want, out)
		}
	}
}
