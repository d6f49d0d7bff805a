package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/op"
)

// Toolset is what a model may do: tools to show it, and the way to carry a call out.
type Toolset struct {
	Tools []llm.Tool
	// Do carries out a call; input is a JSON object.
	Do func(ctx context.Context, tool string, input json.RawMessage) (any, error)

	effects map[string]string
	hidden  map[string][]string
}

// NewToolset makes a toolset. hidden names the input fields of a tool that hold secrets: they are carried out as they are
// and shown and stored masked.
func NewToolset(tools []llm.Tool, hidden map[string][]string, do func(context.Context, string, json.RawMessage) (any, error)) *Toolset {
	t := &Toolset{Tools: tools, Do: do, effects: make(map[string]string, len(tools)), hidden: hidden}
	for _, tool := range tools {
		t.effects[tool.Name] = tool.Effect
	}
	return t
}

// Has tells whether a tool is in the set.
func (t *Toolset) Has(tool string) bool { _, ok := t.effects[tool]; return ok }

// Hidden lists the input fields of a tool that hold secrets.
func (t *Toolset) Hidden(tool string) []string { return t.hidden[tool] }

// Tools shows the operations that an actor may call as a model sees them, in the order of the registry.
func Tools(reg *op.Registry, actor op.Actor) []llm.Tool {
	var tools []llm.Tool
	for _, o := range reg.All() {
		if !actor.May(o.Scope) {
			continue
		}
		schema, err := json.Marshal(o.In)
		if err != nil { // the schema was made at start of Go types, so that this is a defect
			panic(fmt.Sprintf("agent: schema of %s: %v", o.Name, err))
		}
		tools = append(tools, llm.Tool{
			Name: o.Tool(), Description: describe(o), Schema: schema, Effect: string(o.Effect),
			Resource: o.Resource, Verbs: o.Verbs, Nouns: o.Nouns, Examples: o.Examples,
		})
	}
	return tools
}

// describe is the operation's doc and one line with an example input.
func describe(o *op.Operation) string {
	if len(o.Example) == 0 {
		return o.Doc
	}
	raw, err := marshal(o.Example)
	if err != nil {
		return o.Doc
	}
	return o.Doc + "\nExample input: " + string(raw)
}

// SecretFields finds the input fields of the operations that hold secrets, by tool name: those whose schema says writeOnly.
func SecretFields(reg *op.Registry) map[string][]string {
	fields := map[string][]string{}
	for _, o := range reg.All() {
		for _, name := range o.In.Order {
			if o.In.Properties[name].WriteOnly {
				fields[o.Tool()] = append(fields[o.Tool()], name)
			}
		}
	}
	return fields
}

// Mask is what stands for a secret.
const Mask = "••••••••"

// MaskInput answers a call's input with the secret fields masked, and the secrets that were in them.
func (t *Toolset) MaskInput(tool string, input json.RawMessage) (json.RawMessage, []string) {
	fields := t.hidden[tool]
	if len(fields) == 0 {
		return input, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(input, &m); err != nil {
		return json.RawMessage(`{}`), nil // it can't be carried out, and may hold anything
	}
	var found []string
	for name, raw := range m {
		if !slices.Contains(fields, name) {
			continue
		}
		found = appendStrings(found, raw)
		m[name], _ = marshal(Mask)
	}
	masked, err := marshal(m)
	if err != nil {
		return json.RawMessage(`{}`), found
	}
	return masked, found
}

// appendStrings adds the strings of a JSON value at any depth.
func appendStrings(to []string, raw json.RawMessage) []string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return to
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			to = append(to, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return to
}

// marshal writes JSON without escaping for HTML.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// failure puts an error into a result that a model can read and mend.
func failure(callID, tool string, err error) Result {
	e := errs.Public(err)
	out := struct {
		Error  errs.Code    `json:"error"`
		Detail string       `json:"detail"`
		Errors []errs.Field `json:"errors,omitempty"`
		// Unknown says that the effect may have happened.
		Unknown bool `json:"unknown,omitempty"`
	}{e.Code, e.Error(), e.Fields, e.Unknown}
	raw, merr := marshal(out)
	if merr != nil {
		raw = json.RawMessage(`{"error":"internal"}`)
	}
	return Result{CallID: callID, Tool: tool, Output: raw, IsError: true, Detail: e.Error()}
}
