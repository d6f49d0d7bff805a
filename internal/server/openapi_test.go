package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"yardmaster/internal/errs"
	"yardmaster/internal/server"
)

type object = map[string]any

func document(t testing.TB) object {
	t.Helper()
	raw, err := server.OpenAPIText(registry(t), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at walks down a document by keys.
func at(t testing.TB, v any, keys ...string) any {
	t.Helper()
	for _, key := range keys {
		m, ok := v.(object)
		if !ok || m[key] == nil {
			t.Fatalf("there is no %s of %v", key, keys)
		}
		v = m[key]
	}
	return v
}

// each calls fn for every object of a document with its path.
func each(v any, path string, fn func(path string, o object)) {
	switch v := v.(type) {
	case object:
		fn(path, v)
		for key, item := range v {
			each(item, path+"/"+key, fn)
		}
	case []any:
		for _, item := range v {
			each(item, path+"/-", fn)
		}
	}
}

func TestOpenAPIReferences(t *testing.T) {
	t.Parallel()
	doc := document(t)
	used := map[string]bool{}
	each(doc, "", func(path string, o object) {
		ref, ok := o["$ref"].(string)
		if !ok {
			return
		}
		rest, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			t.Errorf("%s: %s leads out of the document", path, ref)
			return
		}
		at(t, doc, strings.Split(rest, "/")...)
		used[ref] = true
	})
	for _, kind := range []string{"schemas", "responses", "parameters"} {
		for name := range at(t, doc, "components", kind).(object) {
			if !used["#/components/"+kind+"/"+name] {
				t.Errorf("components/%s/%s is used nowhere", kind, name)
			}
		}
	}
}

// Every schema is one that a validator takes, with the shared schemas beside it.
func TestOpenAPISchemas(t *testing.T) {
	t.Parallel()
	doc := document(t)
	n := 0
	check := func(path string, schema any) {
		n++
		s := compile(t, doc, schema)
		if s == nil {
			t.Errorf("%s is no schema", path)
		}
	}
	each(doc["paths"], "", func(path string, o object) {
		if schema, ok := o["schema"].(object); ok {
			check(path, schema)
		}
	})
	for name, schema := range at(t, doc, "components", "schemas").(object) {
		check(name, schema)
	}
	if n < 20 {
		t.Errorf("only %d schemas", n)
	}
}

// compile makes a validator of a schema of the document.
func compile(t testing.TB, doc object, schema any) *jsonschema.Resolved {
	t.Helper()
	whole := object{"$defs": at(t, doc, "components", "schemas")}
	for key, v := range schema.(object) {
		whole[key] = v
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte("#/components/schemas/"), []byte("#/$defs/"))
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return r
}

// The entries say what the server does: what it answers fits them, and so does what the declarations give as examples.
func TestOpenAPIFitsTheServer(t *testing.T) {
	t.Parallel()
	doc, y := document(t), open(t)
	for _, c := range []struct {
		method, route, path, body string
		status                    string
	}{
		{"get", "/api/things", "/api/things?limit=3", "", "200"},
		{"post", "/api/things", "/api/things", `{"name":"a"}`, "201"},
		{"put", "/api/things/{id}", "/api/things/x", `{"name":"a"}`, "200"},
		{"delete", "/api/things/{id}", "/api/things/x", "", "200"},
		{"get", "/api/instances/{id}/logs", "/api/instances/x/logs", "", "200"},
	} {
		schema := at(t, doc, "paths", c.route, c.method, "responses", c.status, "content", "application/json", "schema")
		a := y.do(call{method: strings.ToUpper(c.method), path: c.path, body: c.body})
		var v any
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatal(err)
		}
		if err := compile(t, doc, schema).Validate(v); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
	}
	problem := at(t, doc, "components", "schemas", "Problem")
	for _, c := range []call{{method: "GET", path: "/api/things/none"}, {method: "POST", path: "/api/things", body: `{"size":1}`}, {method: "GET", path: "/api/things", key: "-"}} {
		var v any
		if err := json.Unmarshal([]byte(y.do(c).body), &v); err != nil {
			t.Fatal(err)
		}
		if err := compile(t, doc, problem).Validate(v); err != nil {
			t.Errorf("%s %s: %v", c.method, c.path, err)
		}
	}
	media := at(t, doc, "paths", "/api/things", "post", "requestBody", "content", "application/json").(object)
	if err := compile(t, doc, media["schema"]).Validate(media["example"]); err != nil {
		t.Errorf("the example: %v", err)
	}
	var chat any
	if err := json.Unmarshal([]byte(say("hi")), &chat); err != nil {
		t.Fatal(err)
	}
	if err := compile(t, doc, at(t, doc, "components", "schemas", "ChatRequest")).Validate(chat); err != nil {
		t.Error(err)
	}
}

func TestOpenAPIEntries(t *testing.T) {
	t.Parallel()
	doc := document(t)
	ids := map[string]bool{}
	for path, item := range doc["paths"].(object) {
		for method, v := range item.(object) {
			entry := v.(object)
			id, _ := entry["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: the operationId %q is empty or not unique", method, path, id)
			}
			ids[id] = true
			names := map[string]bool{}
			for _, p := range list(entry["parameters"]) {
				p := p.(object)
				if p["in"] == "path" {
					names[p["name"].(string)] = true
					if p["required"] != true || !strings.Contains(path, "{"+p["name"].(string)+"}") {
						t.Errorf("%s %s: the path parameter %v is wrong", method, path, p)
					}
				}
			}
			for _, w := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !names[w[1]] {
					t.Errorf("%s %s: {%s} is not described", method, path, w[1])
				}
			}
			if entry["summary"] == nil || entry["responses"] == nil || entry["tags"] == nil {
				t.Errorf("%s %s: the entry is not whole: %v", method, path, entry)
			}
		}
	}
	for _, p := range operations() {
		if !ids[p.Name] {
			t.Errorf("%s is not described", p.Name)
		}
	}
	for _, id := range []string{"chat.send", "chat.resume", "experiments.events"} {
		if !ids[id] {
			t.Errorf("%s is not described", id)
		}
	}
	if diff := cmp.Diff([]any{"name"}, at(t, doc, "paths", "/api/things", "post", "requestBody", "content", "application/json", "schema", "required")); diff != "" {
		t.Error(diff)
	}
	if got := at(t, doc, "paths", "/api/things", "post", "summary"); got != "Does things.create" {
		t.Errorf("summary %q", got)
	}
	if got := at(t, doc, "components", "schemas", "Thing", "type"); got != "object" {
		t.Errorf("Thing: %v", got)
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func TestOpenAPIIsStable(t *testing.T) {
	t.Parallel()
	first, err := server.OpenAPIText(registry(t), "1")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := server.OpenAPIText(registry(t), "1")
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("it differs from one time to the next: %v, %s", err, cmp.Diff(string(first), string(again)))
		}
	}
	y := open(t)
	var doc any
	if a := y.do(call{method: "GET", path: "/openapi.json", key: "-"}); json.Unmarshal([]byte(a.body), &doc) != nil || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if diff := cmp.Diff(any(document(t)), doc); diff != "" {
		t.Error(diff)
	}
}

// The pages load nothing from elsewhere, and their policy lets them load what they need.
func TestPages(t *testing.T) {
	t.Parallel()
	y := open(t, func(c *server.Config) { c.Version = `1<script>"` })
	source := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	for _, path := range []string{"/", "/docs"} {
		a := y.do(call{method: "GET", path: path, key: "-"})
		if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		policy := a.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if strings.Contains(a.body, `1<script>`) || !strings.Contains(a.body, "1&lt;script&gt;") {
			t.Errorf("%s: the version is not escaped", path)
		}
		if strings.Contains(a.body, "{{") || strings.Contains(a.body, "style=") || regexp.MustCompile(`\son\w+=`).MatchString(a.body) {
			t.Errorf("%s: it holds a gap, or what its policy forbids", path)
		}
		for _, m := range source.FindAllStringSubmatch(a.body, -1) {
			if b := y.do(call{method: "GET", path: m[1], key: "-"}); b.status != http.StatusOK {
				t.Errorf("%s leads to %s: %d", path, m[1], b.status)
			}
		}
	}
	r := y.request(t.Context(), call{method: "GET", path: "/"})
	r.Host = "$(evil)"
	res, err := y.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || strings.Contains(string(raw), "evil") {
		t.Errorf("a strange host got into the page: %v", err)
	}
	docs := y.do(call{method: "GET", path: "/docs"}).body
	for _, code := range errs.Codes() {
		if !strings.Contains(docs, `id="error-`+string(code)+`"`) {
			t.Errorf("the docs say nothing about %s", code)
		}
	}
	for _, path := range []string{"/docs/docs.js", "/docs/style.css"} {
		if a := y.do(call{method: "GET", path: path}); strings.Contains(a.body, "http://") || strings.Contains(a.body, "https://") {
			t.Errorf("%s names a foreign place", path)
		}
	}
}
