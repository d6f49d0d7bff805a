package planner

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"yardmaster/internal/llm"
)

// fixtureTools reads testdata/tools.txt: the operations as the catalog declares them, in a form that is easy to change.
func fixtureTools(t testing.TB) []llm.Tool {
	t.Helper()
	text, err := os.ReadFile("testdata/tools.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []llm.Tool
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case !strings.HasPrefix(line, " "):
			f := strings.Fields(line)
			out = append(out, llm.Tool{Name: f[0], Effect: f[1], Resource: f[2]})
		default:
			key, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			rest = strings.TrimSpace(rest)
			tool := &out[len(out)-1]
			switch key {
			case "doc":
				tool.Description = rest
			case "verbs":
				tool.Verbs = fields(rest, ",")
			case "nouns":
				tool.Nouns = fields(rest, ",")
			case "examples":
				tool.Examples = fields(rest, ";")
			case "params":
				tool.Schema = fixtureSchema(rest)
			default:
				t.Fatalf("tools.txt: unknown line %q", line)
			}
		}
	}
	return out
}

func fields(s, sep string) []string {
	var out []string
	for _, f := range strings.Split(s, sep) {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

// fixtureSchema turns "id!@instance count:int kind=a|b" into a JSON Schema.
func fixtureSchema(params string) json.RawMessage {
	props, required := map[string]any{}, []string{}
	for _, p := range strings.Fields(params) {
		p, enum, _ := strings.Cut(p, "=")
		p, ref, _ := strings.Cut(p, "@")
		name, typ, _ := strings.Cut(p, ":")
		if n, must := strings.CutSuffix(name, "!"); must {
			name = n
			required = append(required, n)
		}
		prop := map[string]any{"description": "The " + name + "."}
		switch typ {
		case "int":
			prop["type"] = "integer"
		case "bool":
			prop["type"] = "boolean"
		case "map", "object":
			prop["type"] = "object"
		case "list":
			prop["type"] = "array"
			prop["items"] = map[string]any{"type": "string"}
		default:
			prop["type"] = "string"
		}
		if ref != "" {
			prop["x-ref"] = ref
		}
		if enum != "" {
			prop["enum"] = strings.Split(enum, "|")
		}
		props[name] = prop
	}
	b, _ := json.Marshal(map[string]any{"type": "object", "properties": props, "required": required})
	return b
}
