package planner

import (
	"encoding/json"
	"strings"

	"yardmaster/internal/llm"
)

// object is a decoded JSON object.
type object = map[string]any

// step is one tool call of a turn with its result, if that has come.
type step struct {
	id, tool string
	in       object
	out      any
	done     bool
	failed   bool
}

// exchange is a user's message and everything that answered it.
type exchange struct {
	user  string
	steps []*step
	text  string
	note  *note
}

// note is what the planner attaches to its final texts: what it spoke of, and what it is waiting for. It is rebuilt
// nowhere else, so it holds names and ids only, never a secret's value.
type note struct {
	V int `json:"v"`
	// Focus is what the answer was about, most prominent first.
	Focus []group `json:"focus,omitempty"`
	// Open is a question that waits for an answer.
	Open *open `json:"open,omitempty"`
}

// group is some resources of one kind, in the order in which they were named or shown.
type group struct {
	Kind  string   `json:"kind"`
	Items []entity `json:"items"`
}

// open is a question: either for a yes to calls that are listed one by one, or for the missing part of a request.
type open struct {
	// Confirm are the calls that a yes releases.
	Confirm []planned `json:"confirm,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Verb    string    `json:"verb,omitempty"`
	// Tool and Args are the request so far and Missing the parameter that the answer fills.
	Tool    string   `json:"tool,omitempty"`
	Args    object   `json:"args,omitempty"`
	Missing string   `json:"missing,omitempty"`
	Choices []entity `json:"choices,omitempty"`
	// Many is set when several choices may be taken at once.
	Many bool `json:"many,omitempty"`
}

// planned is a call that waits for a yes.
type planned struct {
	Tool   string   `json:"tool"`
	Args   object   `json:"args"`
	Target entity   `json:"target"`
	Also   []entity `json:"also,omitempty"`
}

// readHistory cuts a conversation into exchanges. The last one is the present turn.
func readHistory(messages []llm.Message) []*exchange {
	var out []*exchange
	byID := map[string]*step{}
	for _, m := range messages {
		if m.Role == llm.RoleUser {
			x := &exchange{}
			var texts []string
			for _, p := range m.Parts {
				if p.Type == llm.Text {
					texts = append(texts, strings.ToValidUTF8(p.Text, "\uFFFD"))
				}
			}
			x.user = strings.Join(texts, "\n")
			out = append(out, x)
			byID = map[string]*step{}
			continue
		}
		if len(out) == 0 {
			continue
		}
		x := out[len(out)-1]
		for _, p := range m.Parts {
			switch p.Type {
			case llm.Text:
				x.text = p.Text
				var n note
				if len(p.Meta) > 0 && json.Unmarshal(p.Meta, &n) == nil && n.V == 1 {
					x.note = &n
				}
			case llm.ToolCall:
				s := &step{id: p.CallID, tool: p.Tool}
				_ = json.Unmarshal(p.Input, &s.in)
				x.steps = append(x.steps, s)
				byID[p.CallID] = s
			case llm.ToolResult:
				if s := byID[p.CallID]; s != nil {
					s.done, s.failed = true, p.IsError
					_ = json.Unmarshal(p.Output, &s.out)
				}
			}
		}
	}
	return out
}

// get walks into decoded JSON by keys; nil when there is nothing.
func get(v any, keys ...string) any {
	for _, k := range keys {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func str(v any, keys ...string) string {
	s, _ := get(v, keys...).(string)
	return s
}

func num(v any, keys ...string) (float64, bool) {
	f, ok := get(v, keys...).(float64)
	return f, ok
}

func flag(v any, keys ...string) bool {
	b, _ := get(v, keys...).(bool)
	return b
}

func items(v any, keys ...string) []any {
	l, _ := get(v, keys...).([]any)
	return l
}
