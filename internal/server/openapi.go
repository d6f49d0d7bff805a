package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// dict is a JSON object.
type dict = map[string]any

// OpenAPI makes the OpenAPI 3.1 document of the whole surface: an entry for each operation of the registry, and those of
// the streams, which are described here. The document has the same bytes for the same registry and version.
func OpenAPI(reg *op.Registry, version string) map[string]any {
	if version == "" {
		version = "0"
	}
	paths, tags := dict{}, []any{}
	add := func(method, path string, entry dict) {
		item, ok := paths[path].(dict)
		if !ok {
			item = dict{}
			paths[path] = item
		}
		item[method] = entry
	}
	known := map[string]bool{}
	tag := func(name string) {
		if !known[name] {
			known[name] = true
			tags = append(tags, dict{"name": name})
		}
	}
	for _, p := range reg.All() {
		tag(p.Resource)
		add(strings.ToLower(p.Method), p.Path, operationEntry(p))
	}
	tag("chats")
	for _, e := range streamEntries {
		if e.needs != "" {
			if _, ok := reg.Get(e.needs); !ok {
				continue
			}
		}
		tag(e.tag)
		add(e.method, e.path, e.entry())
	}
	schemas := chatSchemas()
	schemas["Problem"] = problemSchema()
	hoist(paths, schemas)
	return dict{
		"openapi": "3.1.0",
		"info": dict{
			"title": "Yardmaster", "version": version,
			"description": "Run a fleet of agents by talking to one. Every operation here is also a tool of the Operator: what can be " +
				"done by a request can be done by a sentence to POST /api/chat. Wherever a path takes an id, a unique name does as well. " +
				"PATCH is taken wherever PUT is. An Idempotency-Key header makes a write happen once.",
		},
		"servers":  []any{dict{"url": "/"}},
		"security": []any{dict{"key": []any{}}},
		"tags":     tags,
		"paths":    paths,
		"components": dict{
			"securitySchemes": dict{"key": dict{"type": "http", "scheme": "bearer", "bearerFormat": "ck_live_…", "description": "An API key."}},
			"schemas":         schemas,
			"responses": dict{"Problem": dict{
				"description": "The request was refused or failed; code says why.",
				"content":     dict{"application/problem+json": dict{"schema": refTo("Problem")}},
			}},
			"parameters": dict{"IdempotencyKey": dict{
				"name": "Idempotency-Key", "in": "header", "required": false,
				"description": "Names this effect. The same key with the same body gives the first answer again, with another body 422, and 409 while the first is under way.",
				"schema":      dict{"type": "string", "maxLength": 200},
			}},
		},
	}
}

func encodeOpenAPI(doc map[string]any) []byte { return append(encodeLine(doc), '\n') }

func refTo(schema string) dict { return dict{"$ref": "#/components/schemas/" + schema} }

func operationEntry(p *op.Operation) dict {
	params := []any{}
	for _, name := range p.Wildcards() {
		params = append(params, dict{"name": name, "in": "path", "required": true, "schema": inputSchema(p.In.Properties[name]), "description": p.In.Properties[name].Description})
	}
	entry := dict{
		"operationId": p.Name, "tags": []any{p.Resource}, "summary": firstSentence(p.Doc), "description": p.Doc,
		"x-scope": p.Scope, "x-effect": string(p.Effect), "x-tool": p.Tool(),
	}
	if len(p.Examples) > 0 {
		entry["x-say"] = p.Examples
	}
	if p.Body() {
		if body := bodySchema(p); body != nil {
			media := dict{"schema": body}
			if example := bodyExample(p); example != nil {
				media["example"] = example
			}
			required, _ := body["required"].([]string)
			entry["requestBody"] = dict{"required": len(required) > 0, "content": dict{"application/json": media}}
		}
	} else {
		for _, name := range p.In.Order {
			field := p.In.Properties[name]
			if inPath(p, name) || name == p.RawIn {
				continue
			}
			params = append(params, dict{"name": name, "in": "query", "required": requires(p.In, name), "schema": inputSchema(field), "description": field.Description})
		}
		if p.RawIn != "" {
			entry["requestBody"] = dict{"required": true, "description": p.In.Properties[p.RawIn].Description, "content": dict{"*/*": dict{"schema": dict{}}}}
		}
	}
	if p.Effect != op.Read {
		params = append(params, dict{"$ref": "#/components/parameters/IdempotencyKey"})
	}
	if len(params) > 0 {
		entry["parameters"] = params
	}
	content := dict{"application/json": dict{"schema": outputSchema(p.Out)}}
	if p.RawOut {
		content = dict{"*/*": dict{"schema": dict{}}}
	}
	if p.Name == logsOperation {
		content["text/event-stream"] = dict{"schema": dict{"type": "string"}}
		entry["parameters"] = append(params, dict{
			"name": "follow", "in": "query", "required": false, "schema": dict{"type": "boolean"},
			"description": "true answers an event stream instead: each event's data is one line as JSON, the past ones first, then each as it is written.",
		})
	}
	entry["responses"] = dict{
		strconv.Itoa(p.Status): dict{"description": http.StatusText(p.Status), "content": content},
		"default":              dict{"$ref": "#/components/responses/Problem"},
	}
	return entry
}

func inPath(p *op.Operation, name string) bool {
	for _, w := range p.Wildcards() {
		if w == name {
			return true
		}
	}
	return false
}

func requires(s *op.Schema, name string) bool {
	for _, r := range s.Required {
		if r == name {
			return true
		}
	}
	return false
}

// firstSentence is the summary of a text.
func firstSentence(doc string) string {
	if i := strings.Index(doc, ". "); i >= 0 {
		doc = doc[:i+1]
	}
	return strings.TrimSuffix(doc, ".")
}

// bodySchema is the input's schema without the fields that are in the path; nil when no field is left.
func bodySchema(p *op.Operation) dict {
	s := p.In.JSON()
	props, _ := s["properties"].(dict)
	required := []string{}
	for _, name := range p.In.Required {
		if !inPath(p, name) {
			required = append(required, name)
		}
	}
	for _, name := range p.Wildcards() {
		delete(props, name)
	}
	delete(s, "required")
	if len(required) > 0 {
		s["required"] = required
	}
	if len(props) == 0 {
		return nil
	}
	return s
}

func bodyExample(p *op.Operation) dict {
	example := dict{}
	for name, v := range p.Example {
		if !inPath(p, name) {
			example[name] = v
		}
	}
	if len(example) == 0 {
		return nil
	}
	return example
}

// inputSchema is the schema of a parameter; its description stands beside it.
func inputSchema(s *op.Schema) dict {
	m := s.JSON()
	delete(m, "description")
	return m
}

// outputSchema is the schema of an answer. Answers may grow fields, so their objects are open.
func outputSchema(s *op.Schema) dict {
	m := s.JSON()
	open(m)
	return m
}

func open(v any) {
	switch v := v.(type) {
	case dict:
		if v["additionalProperties"] == false {
			delete(v, "additionalProperties")
		}
		for _, item := range v {
			open(item)
		}
	case []any:
		for _, item := range v {
			open(item)
		}
	}
}

func problemSchema() dict {
	codes := make([]any, 0, len(errs.Codes()))
	for _, c := range errs.Codes() {
		codes = append(codes, string(c))
	}
	text := func(doc string) dict { return dict{"type": "string", "description": doc} }
	return dict{
		"type":        "object",
		"description": "A refusal or failure (RFC 9457).",
		"required":    []string{"type", "title", "status", "detail", "code"},
		"properties": dict{
			"type":   text("A reference to the text about the code."),
			"title":  text("The code in words."),
			"status": dict{"type": "integer", "description": "The HTTP status."},
			"detail": text("What was wrong and how to mend it, in a sentence for people."),
			"code":   dict{"type": "string", "enum": codes, "description": "The reason, from a closed set."},
			"errors": dict{
				"type": "array", "description": "The wrong fields, when code is invalid.",
				"items": dict{"type": "object", "required": []string{"field", "detail"}, "properties": dict{
					"field": text("The field's path, such as config.limits.memoryMb."), "detail": text("What is wrong with it."),
				}},
			},
			"requestId": text("The id of the request in the server's log."),
		},
	}
}

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(s.openapi)))
	_, _ = w.Write(s.openapi)
}

// OpenAPIText is the document as it is served, indented, for a golden file.
func OpenAPIText(reg *op.Registry, version string) ([]byte, error) {
	raw, err := json.MarshalIndent(OpenAPI(reg, version), "", "  ")
	return append(raw, '\n'), err
}
