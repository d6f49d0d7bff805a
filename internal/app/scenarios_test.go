package app_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"yardmaster/internal/app/apptest"
)

// world is an account, as scenarios work on it. Everything in it is made through REST, under a name that nothing else has.
type world struct {
	*apptest.Client
	t     testing.TB
	count *atomic.Int64
	box   func() string // the id of an instance that runs and that scenarios leave as it is
}

func newWorld(t testing.TB, c *apptest.Client) *world {
	w := &world{Client: c.In(t), t: t, count: new(atomic.Int64)}
	w.box = sync.OnceValue(func() string { return w.instance() })
	return w
}

func (w *world) in(t testing.TB) *world {
	out := *w
	out.Client, out.t = w.Client.In(t), t
	return &out
}

func (w *world) name(prefix string) string { return fmt.Sprintf("%s-%d", prefix, w.count.Add(1)) }

// made makes something and answers the text at a path of the answer.
func (w *world) made(path, what string, body any) string {
	w.t.Helper()
	id := w.Must("POST", path, body).Text(what)
	if id == "" {
		w.t.Fatalf("POST %s answered no %s", path, what)
	}
	return id
}

func (w *world) instance() string {
	w.t.Helper()
	return w.made("/api/instances", "instance.id", obj{"name": w.name("box"), "kind": "blank"})
}

func (w *world) file(path, text string) (instance string) {
	w.t.Helper()
	id := w.box()
	w.Must("PUT", "/api/instances/"+id+"/files/content?path="+path, []byte(text))
	return id
}

func (w *world) skill() string {
	w.t.Helper()
	return w.made("/api/skills", "skill.id", obj{"name": w.name("skill"), "description": "Says what it read. Use in tests.", "body": "Read, then say.",
		"files": obj{"scripts/selftest.sh": "read line; echo read $line"}})
}

func (w *world) secret() string {
	w.t.Helper()
	return w.made("/api/secrets", "secret.id", obj{"name": strings.ToUpper(strings.ReplaceAll(w.name("key"), "-", "_")), "value": "kept-" + w.name("value")})
}

func (w *world) automation() string {
	w.t.Helper()
	return w.made("/api/automations", "automation.id", obj{"name": w.name("nightly"), "prompt": "say hello", "cronExpression": "0 3 1 1 *"})
}

func (w *world) chat() apptest.Turn {
	w.t.Helper()
	turn := w.Chat("", "say hello")
	if turn.Status != 200 || turn.Reply != "done" {
		w.t.Fatalf("the chat answered %s", turn)
	}
	return turn
}

type obj = map[string]any

// scenario is a call of an operation that has to succeed.
type scenario struct {
	// input makes what the operation needs, and answers its input. What is named in it is named by id.
	input func(w *world) obj
	// after looks at what came of the call: at the answer (the body of the REST response, whatever the surface), and at the
	// account. Every answer is held against the operation's schema beside.
	after func(w *world, in obj, out apptest.Answer)
	// noTool says why the Operator has no such tool.
	noTool string
}

func nothing(*world) obj { return obj{} }

// want checks values in the answer, given as pairs of path and value.
func want(pairs ...any) func(*world, obj, apptest.Answer) {
	return func(w *world, _ obj, out apptest.Answer) {
		w.t.Helper()
		for i := 0; i < len(pairs); i += 2 {
			if got := out.At(pairs[i].(string)); fmt.Sprint(got) != fmt.Sprint(pairs[i+1]) {
				w.t.Errorf("%v is %v, want %v, in %s", pairs[i], got, pairs[i+1], out)
			}
		}
	}
}

// gone checks that what the input names is not there any more.
func gone(path string) func(*world, obj, apptest.Answer) {
	return func(w *world, in obj, _ apptest.Answer) {
		w.t.Helper()
		if a := w.Call("GET", fmt.Sprintf(path, in["id"]), nil); a.Status != 404 {
			w.t.Errorf("it is still there: %s", a)
		}
	}
}

// listed checks that an answer lists the thing that the scenario made, under key.
func listed(key string) func(*world, obj, apptest.Answer) {
	return func(w *world, _ obj, out apptest.Answer) {
		w.t.Helper()
		if out.Len(key) == 0 {
			w.t.Errorf("%s is empty: %s", key, out)
		}
	}
}

// scenarios has a good call of every operation.
var scenarios = map[string]scenario{
	"instances.list": {
		input: func(w *world) obj { w.box(); return obj{"status": "active", "limit": 5} },
		after: listed("instances"),
	},
	"instances.create": {
		input: func(w *world) obj {
			return obj{"name": w.name("made"), "kind": "prebuilt", "labels": obj{"env": "test", "team": "a"}, "skills": []string{"aqi-predictor"},
				"config": obj{"instructions": "Be brief, and kind.", "limits": obj{"memoryMb": 300}}}
		},
		after: want("instance.status", "active", "instance.labels.team", "a", "instance.skills.0.name", "aqi-predictor"),
	},
	"instances.get": {
		input: func(w *world) obj { return obj{"id": w.box()} },
		after: want("instance.status", "active"),
	},
	"instances.update": {
		input: func(w *world) obj {
			return obj{"id": w.instance(), "name": w.name("renamed"), "labels": obj{"env": "prod"}}
		},
		after: func(w *world, in obj, out apptest.Answer) {
			want("instance.name", in["name"], "instance.labels.env", "prod")(w, in, out)
		},
	},
	"instances.delete": {
		input: func(w *world) obj { return obj{"id": w.instance()} },
		after: gone("/api/instances/%s"),
	},
	"instances.restart": {
		input: func(w *world) obj { return obj{"id": w.instance()} },
		after: want("instance.status", "active", "instance.restarts", 1),
	},
	"instances.start": {
		input: func(w *world) obj {
			id := w.instance()
			w.Must("POST", "/api/instances/"+id+"/stop", nil)
			return obj{"id": id}
		},
		after: want("instance.status", "active"),
	},
	"instances.stop": {
		input: func(w *world) obj { return obj{"id": w.instance()} },
		after: want("instance.status", "inactive"),
	},
	"instances.clone": {
		input: func(w *world) obj { return obj{"id": w.box(), "name": w.name("twin"), "count": 2} },
		after: want("instances.0.status", "active", "instances.1.status", "active"),
	},
	"instances.exec": {
		input: func(w *world) obj {
			return obj{"id": w.box(), "command": "cat; echo '<é,\"=>' >&2; exit 3", "stdin": "in=put, two\n", "timeoutSeconds": 20}
		},
		after: want("exitCode", 3, "stdout", "in=put, two\n", "stderr", "<é,\"=>\n", "truncated", false),
	},
	"instances.logs": {
		input: func(w *world) obj {
			id := w.box()
			w.Must("POST", "/api/instances/"+id+"/exec", obj{"command": "echo a line for the log"})
			return obj{"id": id, "tail": 3}
		},
		after: listed("lines"),
	},
	"files.list": {
		input: func(w *world) obj {
			shelf := w.name("shelf")
			return obj{"id": w.file(shelf+"/a.txt", "1"), "path": shelf}
		},
		after: want("entries.0.name", "a.txt", "entries.0.size", 1),
	},
	"files.read": {
		input: func(w *world) obj { return obj{"id": w.file("shelf/read.txt", "read é\n"), "path": "shelf/read.txt"} },
	},
	"files.write": {
		input: func(w *world) obj {
			return obj{"id": w.box(), "path": "new/" + w.name("file"), "content": "line one,\n=two é\n"}
		},
		after: func(w *world, in obj, _ apptest.Answer) {
			got := w.Must("GET", fmt.Sprintf("/api/instances/%s/files/content?path=%s", in["id"], in["path"]), nil)
			if string(got.Body) != in["content"] {
				w.t.Errorf("the file holds %q", got.Body)
			}
		},
	},
	"files.delete": {
		input: func(w *world) obj {
			path := w.name("old")
			return obj{"id": w.file(path, "x"), "path": path}
		},
		after: func(w *world, in obj, _ apptest.Answer) {
			if a := w.Call("GET", fmt.Sprintf("/api/instances/%s/files/content?path=%s", in["id"], in["path"]), nil); a.Status != 404 {
				w.t.Errorf("the file is still there: %s", a)
			}
		},
	},
	"config.get": {
		input: func(w *world) obj { return obj{"id": w.box()} },
		after: want("revision", 1),
	},
	"config.update": {
		input: func(w *world) obj {
			return obj{"id": w.instance(), "revision": 1, "environment": obj{"LOG_LEVEL": "debug"}, "limits": obj{"memoryMb": 256}, "egressAllow": []string{"example.com"}}
		},
		after: want("revision", 2, "config.environment.LOG_LEVEL", "debug", "config.limits.memoryMb", 256, "config.egressAllow.0", "example.com"),
	},
	"skills.list": {input: func(*world) obj { return obj{"limit": 50} }, after: listed("skills")},
	"skills.create": {
		input: func(w *world) obj {
			return obj{"name": w.name("haiku"), "description": "Checks haiku. Use for poems.", "body": "Count syllables.", "files": obj{"words.txt": "one"}}
		},
		after: want("skill.version", 1),
	},
	"skills.get": {
		input: func(w *world) obj { return obj{"id": w.skill()} },
		after: want("skill.version", 1),
	},
	"skills.update": {
		input: func(w *world) obj { return obj{"id": w.skill(), "description": "Says it in Dutch."} },
		after: want("skill.version", 2, "skill.description", "Says it in Dutch."),
	},
	"skills.delete": {
		input: func(w *world) obj { return obj{"id": w.skill()} },
		after: gone("/api/skills/%s"),
	},
	"skills.versions": {
		input: func(w *world) obj { return obj{"id": w.skill()} },
		after: want("versions.0.version", 1),
	},
	"skills.diff": {
		input: func(w *world) obj {
			id := w.skill()
			w.Must("PUT", "/api/skills/"+id, obj{"files": obj{"new.txt": "new"}})
			return obj{"id": id, "from": 1, "to": 2}
		},
		after: want("from", 1, "to", 2, "files.0.path", "new.txt"),
	},
	"skills.install": {
		input: func(w *world) obj { return obj{"id": w.skill(), "instances": []string{w.instance()}, "version": 1} },
		after: want("results.0.ok", true),
	},
	"skills.uninstall": {
		input: func(w *world) obj {
			skill, on := w.skill(), []string{w.instance()}
			w.Must("POST", "/api/skills/"+skill+"/install", obj{"instances": on})
			return obj{"id": skill, "instances": on}
		},
		after: want("results.0.ok", true),
	},
	"skills.test": {
		input: func(w *world) obj {
			skill, on := w.skill(), w.instance()
			w.Must("POST", "/api/skills/"+skill+"/install", obj{"instances": []string{on}})
			return obj{"id": skill, "instance": on, "input": "seven"}
		},
		after: want("passed", true, "exitCode", 0),
	},
	"secrets.list": {
		input: func(w *world) obj { w.secret(); return obj{"limit": 3} },
		after: listed("secrets"),
	},
	"secrets.create": {
		input: func(w *world) obj {
			return obj{"name": strings.ToUpper(strings.ReplaceAll(w.name("made"), "-", "_")), "value": "a,b=c \"d\"", "description": "For tests.", "isGlobal": false}
		},
		after: want("secret.description", "For tests.", "secret.value", nil),
	},
	"secrets.update": {
		input: func(w *world) obj { return obj{"id": w.secret(), "value": "another", "isGlobal": false} },
	},
	"secrets.delete": {
		input: func(w *world) obj { return obj{"id": w.secret()} },
		after: func(w *world, in obj, _ apptest.Answer) {
			if a := w.Call("PUT", fmt.Sprintf("/api/secrets/%s", in["id"]), obj{"description": "x"}); a.Status != 404 {
				w.t.Errorf("it is still there: %s", a)
			}
		},
	},
	"secrets.grant": {
		input: func(w *world) obj { return obj{"id": w.secret(), "instances": []string{w.box()}} },
		after: listed("secret.grants"),
	},
	"secrets.revoke": {
		input: func(w *world) obj {
			id, on := w.secret(), w.box()
			w.Must("POST", "/api/secrets/"+id+"/grants", obj{"instances": []string{on}})
			return obj{"id": id, "instance": on}
		},
		after: func(w *world, _ obj, out apptest.Answer) {
			if out.Len("secret.grants") != 0 {
				w.t.Errorf("the grant is still there: %s", out)
			}
		},
	},
	"automations.list": {
		input: func(w *world) obj { w.automation(); return obj{"limit": 3} },
		after: listed("automations"),
	},
	"automations.create": {
		input: func(w *world) obj {
			return obj{"name": w.name("digest"), "prompt": "say hello, twice", "cronExpression": "0 9 * * 1-5", "timezone": "Europe/Berlin", "enabled": false}
		},
		after: want("automation.enabled", false, "automation.timezone", "Europe/Berlin"),
	},
	"automations.get": {
		input: func(w *world) obj { return obj{"id": w.automation()} },
		after: want("automation.enabled", true),
	},
	"automations.update": {
		input: func(w *world) obj { return obj{"id": w.automation(), "cronExpression": "30 6 * * *", "enabled": false} },
		after: want("automation.enabled", false, "automation.cronExpression", "30 6 * * *"),
	},
	"automations.delete": {
		input: func(w *world) obj { return obj{"id": w.automation()} },
		after: gone("/api/automations/%s"),
	},
	"automations.run": {
		input: func(w *world) obj { return obj{"id": w.automation()} },
		after: func(w *world, in obj, _ apptest.Answer) {
			apptest.Until(w.t, waitTime, "the run is done", func() bool {
				return w.Must("GET", fmt.Sprintf("/api/automations/%s/runs", in["id"]), nil).Text("runs.0.status") == "done"
			})
		},
	},
	"automations.runs": {
		input: func(w *world) obj {
			id := w.automation()
			w.Must("POST", "/api/automations/"+id+"/run", nil)
			return obj{"id": id, "limit": 5}
		},
		after: listed("runs"),
	},
	"chats.list": {
		input: func(w *world) obj { w.chat(); return obj{"limit": 1} },
		after: listed("chats"),
	},
	"chats.get": {
		input: func(w *world) obj { return obj{"id": w.chat().ChatID} },
		after: want("messages.0.role", "user", "messages.1.role", "assistant", "messages.0.parts.0.text", "say hello"),
	},
	"chats.delete": {
		input: func(w *world) obj { return obj{"id": w.chat().ChatID} },
		after: gone("/api/chat/%s"),
	},
	"chats.stop": {
		input: func(w *world) obj { return obj{"id": w.chat().ChatID} },
		after: want("ok", true),
	},
	"turns.get": {
		input: func(w *world) obj { return obj{"id": w.chat().TurnID} },
		after: want("turn.status", "done", "turn.model", "caller/test"),
	},
	"keys.list": {input: nothing, after: listed("keys")},
	"keys.create": {
		input: func(w *world) obj { return obj{"name": w.name("ci"), "scopes": []string{"instances:read", "skills:*"}} },
		after: func(w *world, _ obj, out apptest.Answer) {
			c := w.WithKey(out.Text("key"))
			if a := c.Call("GET", "/api/instances", nil); a.Status != 200 {
				w.t.Errorf("the new key can't read instances: %s", a)
			}
			if a := c.Call("GET", "/api/secrets", nil); a.Code() != "forbidden" {
				w.t.Errorf("the new key reads secrets: %s", a)
			}
		},
		noTool: "its answer opens the account, and chats are kept",
	},
	"keys.delete": {
		input: func(w *world) obj { return obj{"id": w.made("/api/chat-keys", "info.id", obj{"name": w.name("old")})} },
	},
	"account.health": {input: nothing, after: want("authenticated", true)},
}
