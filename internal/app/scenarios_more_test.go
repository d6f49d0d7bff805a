package app_test

import (
	"fmt"
	"maps"
	"strings"

	"yardmaster/internal/app/apptest"
)

// The smallest skill that can be experimented with: twelve cases, of which each strategy answers a guess.
const (
	guessSuite = `
run: {command: [python3, scripts/guess.py], timeout: 60s}
mutable: [SKILL.md, "scripts/**"]
suites:
  dice:
    description: Sums of two dice.
    data: {format: cases, cases: assets/cases.jsonl}
    splits: {search: {where: search}, select: {where: select}, sealed: {where: sealed}}
    metric: {name: mae, direction: lower}
    baseline: {strategy: constant}
strategies:
  constant:
    description: Always the same.
    dimensions: {data: none, reasoning: direct, algorithm: constant}
    params: {value: {float: [0, 12], default: 7}}
  first:
    description: The first die and something.
    dimensions: {data: one die, reasoning: direct, algorithm: sum}
    params: {more: {float: [0, 6], default: 3.5}}
  both:
    description: The sum with an error.
    dimensions: {data: both dice, reasoning: direct, algorithm: sum}
    params: {error: {float: [0, 3], default: 1}}
  mean:
    description: The mean of others.
    dimensions: {data: that of its members, reasoning: several opinions, algorithm: ensemble}
    members: {min: 2, max: 3, default: [{strategy: constant}, {strategy: first}]}
    params: {weight: {float: [0, 1], default: 0.5}}
`
	guessScript = `import json, os, sys, time
time.sleep(%d)
spec = json.load(open(os.environ["PARAMS_FILE"]))
def guess(s, p, a, b):
    if s == "constant": return p.get("value", 7)
    if s == "first": return a + p.get("more", 3.5)
    return a + b + p.get("error", 1)
def say(m):
    print(json.dumps(m), flush=True)
for line in sys.stdin:
    m = json.loads(line)
    if m["type"] == "start":
        say({"type": "ready"})
    elif m["type"] == "round":
        out = {}
        for c in m["cases"]:
            a, b = c["input"]["a"], c["input"]["b"]
            many = spec.get("members") or [spec]
            out[c["case"]] = sum(guess(x["strategy"], x.get("params", {}), a, b) for x in many) / len(many)
        say({"type": "answers", "round": m["round"], "answers": out})
`
)

func guessFiles(seconds int) obj {
	var cases strings.Builder
	for i := range 36 {
		a, b := i%6+1, i/6+1
		fmt.Fprintf(&cases, `{"case":"c%d","split":%q,"cluster":"k%d","input":{"a":%d,"b":%d},"expected":%d}`+"\n",
			i, []string{"search", "select", "sealed"}[i%3], i, a, b, a+b)
	}
	return obj{
		"experiment.yaml": guessSuite, "scripts/guess.py": fmt.Sprintf(guessScript, seconds), "assets/cases.jsonl": cases.String(),
	}
}

// guess makes the skill; each of its variants takes some seconds.
func (w *world) guess(seconds int) string {
	w.t.Helper()
	files := guessFiles(seconds)
	files["SKILL.md"] = "---\nname: " + w.name("guess") + "\ndescription: Guesses sums of dice. Use in tests.\nmetadata:\n  experiment: experiment.yaml\n---\nGuess.\n"
	return w.made("/api/skills", "skill.id", obj{"files": files})
}

func (w *world) experiment(seconds int) string {
	w.t.Helper()
	return w.made("/api/experiments", "experiment.id", obj{"skill": w.guess(seconds), "variants": 2, "seed": 7})
}

// scored is an experiment that has come to its scores.
func (w *world) scored() string {
	w.t.Helper()
	id := w.experiment(0)
	if a := w.Must("POST", "/api/experiments/"+id+"/wait", obj{"timeoutSeconds": 60}); a.Text("experiment.status") != "scored" {
		w.t.Fatalf("the experiment: %s", a)
	}
	return id
}

func (w *world) promoted() string {
	w.t.Helper()
	id := w.scored()
	w.Must("POST", "/api/experiments/"+id+"/promote", obj{"variant": "winner"})
	return id
}

func (w *world) webhook() (id, token string) {
	w.t.Helper()
	a := w.Must("POST", "/api/webhooks", obj{"name": w.name("ci"), "promptTemplate": "say hello about {{payload}}"})
	return a.Text("webhook.id"), a.Text("webhook.token")
}

// delivered is a webhook with a delivery that was carried out.
func (w *world) delivered() (id, delivery string) {
	w.t.Helper()
	id, token := w.webhook()
	delivery = w.WithKey("").Must("POST", "/api/webhooks/trigger/"+token, obj{"build": 7}).Text("deliveryId")
	apptest.Until(w.t, waitTime, "the delivery is done", func() bool {
		return w.Must("GET", "/api/webhooks/"+id+"/deliveries", nil).Text("deliveries.0.status") == "done"
	})
	return id, delivery
}

func init() {
	maps.Copy(scenarios, map[string]scenario{
		"experiments.list": {input: func(w *world) obj { w.scored(); return obj{"limit": 5} }, after: listed("experiments")},
		"experiments.create": {
			input: func(w *world) obj {
				return obj{"skill": w.guess(0), "name": w.name("spring"), "variants": 3, "seed": 42, "metric": "mae", "budget": obj{"evaluations": 50}}
			},
			after: want("experiment.generation", 1, "experiment.metric", "mae", "experiment.direction", "lower"),
		},
		"experiments.get": {
			input: func(w *world) obj { return obj{"id": w.scored()} },
			after: want("experiment.status", "scored", "generations.0.number", 1, "generations.0.status", "scored"),
		},
		"experiments.leaderboard": {
			input: func(w *world) obj { return obj{"id": w.scored(), "generation": 1} },
			after: want("metric", "mae", "leaderboard.0.rank", 1, "leaderboard.0.versusBest", "best"),
		},
		"experiments.wait": {
			input: func(w *world) obj { return obj{"id": w.experiment(0), "timeoutSeconds": 60} },
			after: want("finished", true, "experiment.status", "scored"),
		},
		"experiments.evaluate": {input: func(w *world) obj { return obj{"id": w.scored()} }},
		"experiments.evolve": {
			input: func(w *world) obj { return obj{"id": w.scored(), "keep": 1, "size": 3, "focus": "the mean"} },
			after: want("generation", 2),
		},
		"experiments.ensemble": {input: func(w *world) obj { return obj{"id": w.scored(), "top": 2} }},
		"experiments.promote": {
			input: func(w *world) obj {
				return obj{"id": w.scored(), "variant": "winner", "instance": w.instance(), "cleanUp": true}
			},
			after: want("promotion.status", "active"),
		},
		"experiments.rollback": {
			input: func(w *world) obj { return obj{"id": w.promoted()} },
			after: want("promotion.status", "rolled_back"),
		},
		"experiments.cancel": {
			input: func(w *world) obj { return obj{"id": w.experiment(2)} },
		},
		"experiments.delete": {
			input: func(w *world) obj { return obj{"id": w.scored()} },
			after: gone("/api/experiments/%s"),
		},
		"audit.list": {
			input: func(w *world) obj { w.secret(); return obj{"operation": "secrets", "outcome": "ok", "limit": 2} },
			after: func(w *world, in obj, out apptest.Answer) {
				listed("entries")(w, in, out)
				if strings.Contains(string(out.Body), "kept-value") {
					w.t.Errorf("the audit log tells a secret: %s", out)
				}
			},
		},
		"audit.verify":  {input: func(w *world) obj { w.secret(); return obj{} }, after: want("ok", true)},
		"webhooks.list": {input: func(w *world) obj { w.webhook(); return obj{"limit": 3} }, after: listed("webhooks")},
		"webhooks.create": {
			input: func(w *world) obj {
				return obj{"name": w.name("hook"), "promptTemplate": "say hello, about {{payload}}", "signature": "standard", "requireSignature": true}
			},
			after: want("webhook.signature", "standard", "webhook.requireSignature", true),
		},
		"webhooks.get": {
			input: func(w *world) obj { id, _ := w.webhook(); return obj{"id": id} },
			after: want("webhook.enabled", true, "webhook.token", nil),
		},
		"webhooks.update": {
			input: func(w *world) obj {
				id, _ := w.webhook()
				return obj{"id": id, "enabled": false, "regenerateToken": true}
			},
			after: want("webhook.enabled", false),
		},
		"webhooks.delete": {
			input: func(w *world) obj { id, _ := w.webhook(); return obj{"id": id} },
			after: gone("/api/webhooks/%s"),
		},
		"webhooks.deliveries": {
			input: func(w *world) obj { id, _ := w.delivered(); return obj{"id": id, "full": true} },
			after: want("deliveries.0.status", "done", "deliveries.0.payload", `{"build":7}`),
		},
		"webhooks.replay": {
			input: func(w *world) obj { id, delivery := w.delivered(); return obj{"id": id, "delivery": delivery} },
			after: func(w *world, in obj, out apptest.Answer) { want("delivery.replayOf", in["delivery"])(w, in, out) },
		},
	})
}
