package uistream

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The roles of a message.
const (
	User      = "user"
	Assistant = "assistant"
	System    = "system"
)

// The part types. Data parts have a type of DataPrefix and a name.
const (
	TextPart      = "text"
	ReasoningPart = "reasoning"
	StepPart      = "step-start"
	ToolPart      = "dynamic-tool"
	FilePart      = "file"
)

// State is how far a part is.
type State string

// The states of text and reasoning parts, then those of tool parts in their order.
const (
	Streaming    State = "streaming"
	Done         State = "done"
	InputPartial State = "input-streaming"
	InputWhole   State = "input-available"
	Success      State = "output-available"
	Failure      State = "output-error"
)

// Message is a chat message as clients hold it (UIMessage).
type Message struct {
	ID       string          `json:"id"`
	Role     string          `json:"role"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	Parts    []Part          `json:"parts"`
}

// Part is one part of a message. Which fields count depends on Type.
type Part struct {
	Type string `json:"type"`
	// ID is the stream's id of a reasoning part, and the key under which data parts are replaced.
	ID    string `json:"id,omitempty"`
	Text  string `json:"text,omitempty"`
	State State  `json:"state,omitempty"`

	ToolName    string          `json:"toolName,omitempty"`
	CallID      string          `json:"toolCallId,omitempty"`
	Input       json.RawMessage `json:"input,omitempty"`
	RawInput    string          `json:"rawInput,omitempty"` // the text so far, while the input is streaming
	Output      json.RawMessage `json:"output,omitempty"`
	ErrorText   string          `json:"errorText,omitempty"`
	Preliminary bool            `json:"preliminary,omitempty"`
	// ProviderExecuted says that the tool is not the client's to run.
	ProviderExecuted bool `json:"providerExecuted,omitempty"`

	MediaType string `json:"mediaType,omitempty"`
	Filename  string `json:"filename,omitempty"`
	URL       string `json:"url,omitempty"`

	Data json.RawMessage `json:"data,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (p Part) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil), nil }

// AppendJSON appends the part as clients hold it: with the fields of its type, the empty optional ones left out.
func (p Part) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, p.Type)
	switch p.Type {
	case TextPart, ReasoningPart:
		dst = appendField(dst, "id", p.ID)
		dst = appendText(dst, "text", p.Text)
		dst = appendField(dst, "state", string(p.State))
	case ToolPart:
		dst = appendText(dst, "toolName", p.ToolName)
		dst = appendText(dst, "toolCallId", p.CallID)
		dst = appendField(dst, "state", string(p.State))
		if p.Input != nil {
			dst = appendAny(dst, "input", p.Input)
		}
		dst = appendField(dst, "rawInput", p.RawInput)
		if p.Output != nil {
			dst = appendAny(dst, "output", p.Output)
		}
		dst = appendField(dst, "errorText", p.ErrorText)
		if p.Preliminary {
			dst = append(dst, `,"preliminary":true`...)
		}
		if p.ProviderExecuted {
			dst = append(dst, `,"providerExecuted":true`...)
		}
	case FilePart:
		dst = appendText(dst, "mediaType", p.MediaType)
		dst = appendField(dst, "filename", p.Filename)
		dst = appendText(dst, "url", p.URL)
	case StepPart:
	default:
		dst = appendField(dst, "id", p.ID)
		if p.Data != nil {
			dst = appendAny(dst, "data", p.Data)
		}
	}
	return append(dst, '}')
}

// AppendJSON appends the message as clients hold it.
func (m Message) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, m.ID)
	dst = appendText(dst, "role", m.Role)
	if len(m.Metadata) > 0 {
		dst = appendAny(dst, "metadata", m.Metadata)
	}
	dst = append(dst, `,"parts":[`...)
	for i, p := range m.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.AppendJSON(dst)
	}
	return append(dst, ']', '}')
}

// MarshalJSON implements json.Marshaler.
func (m Message) MarshalJSON() ([]byte, error) { return m.AppendJSON(nil), nil }

// UnmarshalJSON reads a message. Unknown fields are ignored, and a plain text under "content", which simple clients send
// in place of parts, becomes a text part.
func (m *Message) UnmarshalJSON(raw []byte) error {
	var j struct {
		ID       string            `json:"id"`
		Role     string            `json:"role"`
		Metadata json.RawMessage   `json:"metadata"`
		Parts    []json.RawMessage `json:"parts"`
		Content  json.RawMessage   `json:"content"`
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return err
	}
	*m = Message{ID: j.ID, Role: j.Role}
	if isObject(j.Metadata) {
		m.Metadata = j.Metadata
	}
	for i, p := range j.Parts {
		var part Part
		if !isObject(p) {
			return fmt.Errorf("parts.%d: it is not an object", i)
		}
		// A foreign part may use a field name of ours for something else. What it is, is kept; what it holds, is not needed.
		if err := json.Unmarshal(p, &part); err != nil {
			switch part.Type {
			case TextPart, FilePart, "":
				return fmt.Errorf("parts.%d: %w", i, err)
			}
			part = Part{Type: part.Type}
		}
		m.Parts = append(m.Parts, part)
	}
	if j.Parts == nil && len(j.Content) > 0 && j.Content[0] == '"' {
		var text string
		if err := json.Unmarshal(j.Content, &text); err != nil {
			return err
		}
		m.Parts = []Part{{Type: TextPart, Text: text}}
	}
	return nil
}

// Text is the text of the message: its text parts, with an empty line between them.
func (m Message) Text() string {
	var texts []string
	for _, p := range m.Parts {
		if p.Type == TextPart && p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n\n")
}
