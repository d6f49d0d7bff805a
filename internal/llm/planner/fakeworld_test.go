package planner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"yardmaster/internal/llm"
	"yardmaster/internal/llm/planner/lang"
)

// fakeWorld carries out tool calls on state in memory, with the shapes of the real operations.
type fakeWorld struct {
	t      testing.TB
	tools  []llm.Tool
	state  map[string][]object // plural kind → resources
	files  map[string]string   // instance:path → text
	config map[string]object
	log    []fakeCall
	clock  int
	former map[string]string // ids and names of what was deleted
}

type fakeCall struct {
	tool string
	in   object
	err  bool
}

func newFakeWorld(t testing.TB) *fakeWorld {
	w := &fakeWorld{t: t, tools: fixtureTools(t), state: map[string][]object{}, files: map[string]string{}, config: map[string]object{}}
	w.add("skills", object{"name": "aqi-predictor", "description": "Predicts tomorrow's air quality index", "version": 1.0})
	return w
}

func (w *fakeWorld) stamp() string {
	w.clock++
	return fmt.Sprintf("2026-11-20T%02d:%02d:%02dZ", 8+w.clock/3600, w.clock/60%60, w.clock%60)
}

func (w *fakeWorld) add(kind string, o object) object {
	o["id"] = fmt.Sprintf("%s_%04d", kind[:4], len(w.state[kind])+w.clock)
	o["createdAt"] = w.stamp()
	w.state[kind] = append(w.state[kind], o)
	return o
}

func (w *fakeWorld) instance(name, status string, labels object, skills ...string) object {
	if labels == nil {
		labels = object{}
	}
	var list []any
	for _, s := range skills {
		list = append(list, object{"name": s})
	}
	return w.add("instances", object{"name": name, "status": status, "labels": labels, "skills": list, "restarts": 0.0, "kind": "prebuilt"})
}

func (w *fakeWorld) find(kind, ref string) object {
	for _, o := range w.state[kind] {
		if o["id"] == ref || o["name"] == ref {
			return o
		}
	}
	return nil
}

type fakeError struct{ code, detail string }

func (e fakeError) Error() string { return e.code + ": " + e.detail }

func missing(kind, ref string) error {
	return fakeError{"not_found", fmt.Sprintf("There is no %s called %s.", kind, ref)}
}

// call answers one tool call as the platform would.
func (w *fakeWorld) call(tool string, raw json.RawMessage) (out any, err error) {
	var in object
	if json.Unmarshal(raw, &in) != nil {
		return nil, fakeError{"invalid", "The input is no object."}
	}
	defer func() { w.log = append(w.log, fakeCall{tool, in, err != nil}) }()
	if err := w.validate(tool, in); err != nil {
		return nil, err
	}
	resource, action, _ := strings.Cut(tool, "_")
	kind := lang.Singular(resource)
	id := str(in, "id")
	switch resource {
	case "files", "config":
		e := w.find("instances", id)
		if e == nil {
			return nil, missing("instance", id)
		}
		if resource == "config" {
			return w.configure(action, e["name"].(string), in)
		}
		return w.file(action, e["name"].(string), in)
	case "experiments":
		return w.experiment(action, in)
	case "account":
		return object{"ok": true}, nil
	}
	switch action {
	case "list":
		return object{resource: anys(w.state[resource])}, nil
	case "create":
		return w.create(resource, kind, in)
	}
	o := w.find(resource, id)
	if o == nil {
		return nil, missing(kind, id)
	}
	switch action {
	case "get":
		return object{kind: o}, nil
	case "delete":
		w.state[resource] = slices.DeleteFunc(w.state[resource], func(x object) bool { return x["id"] == o["id"] })
		return object{"ok": true}, nil
	case "update":
		return w.update(kind, o, in), nil
	case "restart":
		o["restarts"] = o["restarts"].(float64) + 1
		o["status"] = "active"
	case "start":
		o["status"] = "active"
	case "stop":
		o["status"] = "inactive"
	case "clone":
		n := 1
		if f, ok := num(in, "count"); ok {
			n = int(f)
		}
		var made []any
		for i := range n {
			name := cmpOr(str(in, "name"), fmt.Sprintf("%s-%d", o["name"], i+2))
			made = append(made, w.instance(name, "active", nil))
		}
		return object{"instances": made}, nil
	case "exec":
		if strings.Contains(str(in, "command"), "false") {
			return object{"exitCode": 1.0, "stdout": "", "stderr": "no\n"}, nil
		}
		return object{"exitCode": 0.0, "stdout": "ran " + str(in, "command") + "\n", "stderr": ""}, nil
	case "logs":
		return object{"lines": []any{object{"time": "2026-11-20T09:00:00Z", "stream": "stdout", "text": "hello from " + o["name"].(string)}}}, nil
	case "install", "uninstall":
		return w.install(action, o, in)
	case "test":
		return object{"exitCode": 0.0, "stdout": "self-test ok\n"}, nil
	case "grant":
		return w.grant(o, in)
	case "revoke":
		o["grants"] = slices.DeleteFunc(list(o["grants"]), func(v any) bool { return str(v, "instanceName") == str(in, "instance") })
	case "run":
		return object{"run": object{"id": "run_1", "status": "running"}}, nil
	default:
		return object{"ok": true}, nil
	}
	return object{kind: o}, nil
}

// validate checks a call against the declared schema: unknown, missing and mistyped parameters are the planner's faults.
func (w *fakeWorld) validate(tool string, in object) error {
	i := slices.IndexFunc(w.tools, func(t llm.Tool) bool { return t.Name == tool })
	if i < 0 {
		w.t.Errorf("the planner called %s, which does not exist", tool)
		return fakeError{"not_found", "There is no such operation."}
	}
	var schema struct {
		Properties map[string]struct{ Type string }
		Required   []string
	}
	if err := json.Unmarshal(w.tools[i].Schema, &schema); err != nil {
		w.t.Fatal(err)
	}
	for k, v := range in {
		p, ok := schema.Properties[k]
		if !ok {
			w.t.Errorf("%s has no parameter %s", tool, k)
			continue
		}
		good := true
		switch p.Type {
		case "integer":
			_, good = v.(float64)
		case "boolean":
			_, good = v.(bool)
		case "string":
			_, good = v.(string)
		case "array":
			_, good = v.([]any)
		case "object":
			_, good = v.(object)
		}
		if !good {
			w.t.Errorf("%s: parameter %s has the wrong type: %v", tool, k, v)
		}
	}
	for _, k := range schema.Required {
		if in[k] == nil {
			w.t.Errorf("%s: parameter %s is missing in %v", tool, k, in)
		}
	}
	return nil
}

func anys(l []object) []any {
	out := []any{}
	for _, o := range l {
		out = append(out, o)
	}
	return out
}

func list(v any) []any {
	l, _ := v.([]any)
	return slices.Clone(l)
}

func (w *fakeWorld) create(resource, kind string, in object) (any, error) {
	name := str(in, "name")
	if name == "" {
		name = fmt.Sprintf("%s-%d", kind, len(w.state[resource])+1)
		if src := str(in, "source"); src != "" {
			name = strings.TrimSuffix(src[strings.LastIndex(src, "/")+1:], ".zip")
		}
	}
	if w.find(resource, name) != nil {
		return nil, fakeError{"conflict", fmt.Sprintf("There is a %s called %s already.", kind, name)}
	}
	o := object{"name": name}
	switch kind {
	case "instance":
		labels, _ := in["labels"].(object)
		o = w.instance(name, "active", labels)
		for _, s := range list(in["skills"]) {
			o["skills"] = append(list(o["skills"]), object{"name": s})
		}
		if k := str(in, "kind"); k != "" {
			o["kind"] = k
		}
		if c, ok := in["config"].(object); ok {
			w.config[name] = c
		}
		return object{"instance": o}, nil
	case "secret":
		if str(in, "value") == "" {
			return nil, fakeError{"invalid", "The value is missing."}
		}
		o["isGlobal"], o["grants"], o["fakeValue"] = in["isGlobal"] == true, []any{}, in["value"]
	case "automation":
		o["enabled"], o["prompt"], o["cronExpression"], o["timezone"] = true, in["prompt"], in["cronExpression"], cmpOr(str(in, "timezone"), "UTC")
		o["nextRunAt"] = "2026-11-24T09:00:00Z"
	case "webhook":
		o["enabled"], o["promptTemplate"], o["token"] = true, in["promptTemplate"], "tok_1"
	case "skill":
		o["description"], o["version"] = in["description"], 1.0
	}
	return object{kind: w.add(resource, o)}, nil
}

func (w *fakeWorld) update(kind string, o, in object) any {
	for k, v := range in {
		switch k {
		case "id":
		case "labels":
			labels, _ := o["labels"].(object)
			for key, val := range v.(object) {
				if val == nil {
					delete(labels, key)
				} else {
					labels[key] = val
				}
			}
		case "value":
			o["fakeValue"] = v
		case "regenerateToken":
			o["token"] = "tok_2"
		default:
			o[k] = v
		}
	}
	return object{kind: o}
}

func (w *fakeWorld) install(action string, o, in object) (any, error) {
	var results []any
	for _, v := range list(in["instances"]) {
		e := w.find("instances", v.(string))
		if e == nil {
			results = append(results, object{"instance": v, "ok": false, "detail": "There is no such instance."})
			continue
		}
		e["skills"] = slices.DeleteFunc(list(e["skills"]), func(s any) bool { return str(s, "name") == o["name"] })
		if action == "install" {
			e["skills"] = append(list(e["skills"]), object{"name": o["name"]})
		}
		results = append(results, object{"instance": e["name"], "ok": true})
	}
	return object{"results": results}, nil
}

func (w *fakeWorld) grant(o, in object) (any, error) {
	grants := list(o["grants"])
	for _, v := range list(in["instances"]) {
		e := w.find("instances", v.(string))
		if e == nil {
			return nil, missing("instance", v.(string))
		}
		if !slices.ContainsFunc(grants, func(g any) bool { return str(g, "instanceName") == e["name"] }) {
			grants = append(grants, object{"instanceId": e["id"], "instanceName": e["name"]})
		}
	}
	o["grants"] = grants
	return object{"secret": o}, nil
}

func (w *fakeWorld) configure(action, name string, in object) (any, error) {
	c := w.config[name]
	if c == nil {
		c = object{"environment": object{}, "limits": object{}, "egressAllow": []any{}}
		w.config[name] = c
	}
	if action == "update" {
		for k, v := range in {
			m, isMap := v.(object)
			have, _ := c[k].(object)
			switch {
			case k == "id":
			case isMap:
				if have == nil {
					have = object{}
					c[k] = have
				}
				for key, val := range m {
					if val == nil {
						delete(have, key)
					} else {
						have[key] = val
					}
				}
			default:
				c[k] = v
			}
		}
	}
	return object{"config": c, "revision": 1.0}, nil
}

func (w *fakeWorld) file(action, name string, in object) (any, error) {
	path := str(in, "path")
	key := name + ":" + path
	switch action {
	case "list":
		entries := []any{}
		for _, k := range sortedKeys(w.files) {
			inst, p, _ := strings.Cut(k, ":")
			rest, ok := strings.CutPrefix(p, strings.TrimSuffix(path, "/")+"/")
			if path == "" {
				rest, ok = p, true
			}
			if inst == name && ok && !strings.Contains(rest, "/") {
				entries = append(entries, object{"name": rest, "type": "file", "size": float64(len(w.files[k]))})
			}
		}
		return object{"entries": entries}, nil
	case "write":
		w.files[key] = str(in, "content")
		return object{"ok": true}, nil
	}
	text, ok := w.files[key]
	if !ok {
		return nil, fakeError{"not_found", "There is no file " + path + "."}
	}
	if action == "delete" {
		delete(w.files, key)
		return object{"ok": true}, nil
	}
	return object{"path": path, "text": text, "size": float64(len(text)), "truncated": false}, nil
}

// experiment plays experiments whose scores are given: variant n of generation g scores n / g.
func (w *fakeWorld) experiment(action string, in object) (any, error) {
	if action == "list" {
		return object{"experiments": anys(w.state["experiments"])}, nil
	}
	if action == "create" {
		sk := w.find("skills", str(in, "skill"))
		if sk == nil {
			return nil, missing("skill", str(in, "skill"))
		}
		if sk["name"] != "aqi-predictor" {
			return nil, fakeError{"invalid", "The skill has no experiment.yaml, so there is nothing to measure."}
		}
		n, _ := num(in, "variants")
		e := w.add("experiments", object{"name": cmpOr(str(in, "name"), "aqi-predictor-1"), "skill": sk["name"], "status": "running", "generation": 1.0, "metric": "mae", "direction": "lower", "size": n, "seed": in["seed"], "focus": in["focus"]})
		return object{"experiment": e}, nil
	}
	e := w.find("experiments", str(in, "id"))
	if e == nil {
		return nil, missing("experiment", str(in, "id"))
	}
	switch action {
	case "wait":
		e["status"] = "scored"
	case "evolve":
		e["status"], e["generation"] = "running", e["generation"].(float64)+1
		if n, ok := num(in, "size"); ok {
			e["size"] = n
		}
		e["keep"], e["focus"] = in["keep"], in["focus"]
	case "ensemble":
		e["size"] = e["size"].(float64) + 1
	case "leaderboard":
		gen := e["generation"].(float64)
		if g, ok := num(in, "generation"); ok {
			gen = g
		}
		var rows []any
		size, _ := num(e, "size")
		for i := range int(size) {
			name := fmt.Sprintf("%s-v%d", e["skill"], i+1)
			if gen > 1 {
				name = fmt.Sprintf("%s-gen%d-v%d", e["skill"], int(gen), i+1)
			}
			score := float64(4+i) / gen
			verdict := map[bool]string{true: "best", false: "worse"}[i == 0]
			if i == 1 {
				verdict = "tied"
			}
			rows = append(rows, object{"rank": float64(i + 1), "variant": name, "strategy": fmt.Sprintf("strategy-%d", i+1), "instance": name, "score": score, "low": score - 0.3, "high": score + 0.3, "versusBest": verdict})
		}
		return object{"leaderboard": rows}, nil
	}
	return object{"experiment": e}, nil
}
