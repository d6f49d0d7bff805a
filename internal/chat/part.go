package chat

import (
	"encoding/json"
	"fmt"

	"yardmaster/internal/agent"
	"yardmaster/internal/llm"
	"yardmaster/internal/uistream"
)

// part is a part of a message as it is stored: what clients see, and what only we need.
type part struct {
	uistream.Part
	extra
}

// extra is what clients do not see of a part.
type extra struct {
	// Meta is the provider's own data about the part.
	Meta json.RawMessage `json:"_meta,omitempty"`
	// Result is what the model got for a failed call.
	Result json.RawMessage `json:"_result,omitempty"`
	// Millis is how long the call took.
	Millis int64 `json:"_ms,omitempty"`
	// Provider and Usage are those of the model call that begins at a step-start.
	Provider string    `json:"_provider,omitempty"`
	Usage    llm.Usage `json:"_usage,omitzero"`
}

func (x extra) empty() bool {
	return x.Meta == nil && x.Result == nil && x.Millis == 0 && x.Provider == "" && x.Usage == llm.Usage{}
}

func encodeParts(parts []part) ([]byte, error) {
	out := []byte{'['}
	for i, p := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = p.Part.AppendJSON(out)
		if p.extra.empty() {
			continue
		}
		more, err := json.Marshal(p.extra)
		if err != nil {
			return nil, fmt.Errorf("part of a message: %w", err)
		}
		out = append(out[:len(out)-1], ',') // the extra fields go before the closing brace
		out = append(out, more[1:]...)
	}
	return append(out, ']'), nil
}

func decodeParts(raw string) ([]part, error) {
	type plain uistream.Part // without its methods, so that the fields of both structs are read at once
	var rows []struct {
		plain
		extra
	}
	if err := json.Unmarshal([]byte(raw), &rows); err != nil {
		return nil, fmt.Errorf("parts of a message: %w", err)
	}
	parts := make([]part, len(rows))
	for i, r := range rows {
		parts[i] = part{uistream.Part(r.plain), r.extra}
	}
	return parts, nil
}

func visible(parts []part) []uistream.Part {
	out := make([]uistream.Part, len(parts))
	for i, p := range parts {
		out[i] = p.Part
	}
	return out
}

// message is a stored message as clients hold it.
func (s *Service) message(m messageRow) (uistream.Message, error) {
	parts, err := decodeParts(m.Parts)
	if err != nil {
		return uistream.Message{}, err
	}
	out := uistream.Message{ID: m.ID, Role: m.Role, Parts: visible(s.shown(m.Account, m.Role, parts))}
	if m.Metadata != "" {
		out.Metadata = json.RawMessage(m.Metadata)
	}
	return out, nil
}

// steps answers the stored parts of an answer as the loop knows them. Calls without a final state have no result.
func steps(parts []part, provider string) []agent.Step {
	var out []agent.Step
	same := true // the provider's own data is for that provider only
	for _, p := range parts {
		if p.Type == uistream.StepPart {
			out = append(out, agent.Step{Results: map[string]agent.Result{}, Usage: p.Usage})
			same = p.Provider == provider
			continue
		}
		if len(out) == 0 {
			continue
		}
		s := &out[len(out)-1]
		var l llm.Part
		switch p.Type {
		case uistream.TextPart:
			l = llm.Part{Type: llm.Text, Text: p.Text}
		case uistream.ReasoningPart:
			l = llm.Part{Type: llm.Reasoning, Text: p.Text}
		case uistream.ToolPart:
			l = llm.Part{Type: llm.ToolCall, CallID: p.CallID, Tool: p.ToolName, Input: p.Input}
			switch {
			case p.State == uistream.Success && !p.Preliminary:
				s.Results[p.CallID] = agent.Result{CallID: p.CallID, Tool: p.ToolName, Output: p.Output}
			case p.State == uistream.Failure:
				s.Results[p.CallID] = agent.Result{CallID: p.CallID, Tool: p.ToolName, Output: p.Result, IsError: true, Detail: p.ErrorText}
			}
		default:
			continue
		}
		if same {
			l.Meta = p.Meta
		}
		s.Parts = append(s.Parts, l)
	}
	return out
}

// history answers stored messages as a model sees them. Each result is cut to budget, and of what is old only so much is
// kept that the whole stays within total bytes; both are without bound when less than 0.
func history(rows []messageRow, provider string, budget, total int) ([]llm.Message, error) {
	var groups [][]llm.Message // each begins with the messages of the user
	for _, row := range rows {
		parts, err := decodeParts(row.Parts)
		if err != nil {
			return nil, err
		}
		if row.Role == uistream.User {
			groups = append(groups, []llm.Message{userMessage(parts)})
			continue
		}
		if len(groups) == 0 {
			continue
		}
		g := &groups[len(groups)-1]
		for _, s := range steps(parts, provider) {
			if len(s.Parts) == 0 {
				continue
			}
			*g = append(*g, agent.Messages(s.Parts, func(c llm.Part) agent.Result {
				if r, ok := s.Results[c.CallID]; ok {
					return r
				}
				return unknownResult(c)
			}, budget)...)
		}
	}
	from := len(groups)
	for size := 0; from > 0; from-- {
		if size += sizeOf(groups[from-1]); total >= 0 && size > total && from < len(groups) {
			break
		}
	}
	var out []llm.Message
	for _, g := range groups[from:] {
		out = append(out, g...)
	}
	return out, nil
}

func userMessage(parts []part) llm.Message {
	m := llm.Message{Role: llm.RoleUser}
	for _, p := range parts {
		switch p.Type {
		case uistream.TextPart:
			m.Parts = append(m.Parts, llm.Part{Type: llm.Text, Text: p.Text})
		case uistream.FilePart:
			m.Parts = append(m.Parts, llm.Part{Type: llm.File, MediaType: p.MediaType, URL: p.URL, Text: p.Filename})
		}
	}
	return m
}

// unknownResult is what a call gave that was broken off.
func unknownResult(c llm.Part) agent.Result {
	return agent.Result{CallID: c.CallID, Tool: c.Tool, IsError: true, Detail: brokenOff,
		Output: json.RawMessage(`{"error":"conflict","detail":` + string(mustJSON(brokenOff)) + `,"unknown":true}`)}
}

const brokenOff = "This was broken off before it ended. Whether it took effect is unknown; look before it is done again."

func mustJSON(s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`)
	}
	return raw
}

func sizeOf(messages []llm.Message) int {
	n := 0
	for _, m := range messages {
		for _, p := range m.Parts {
			n += len(p.Text) + len(p.Input) + len(p.Output) + len(p.URL) + 64
		}
	}
	return n
}
