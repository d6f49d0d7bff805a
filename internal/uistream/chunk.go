// Package uistream is the AI SDK's UI message stream: the chunks that a chat client reads and the messages that it builds
// of them.
//
// A Chunk is one event of the stream. Builder folds chunks into a Message as the client does (processUIMessageStream of
// the npm package ai, version 7), and Replay makes the chunks of which a client builds a given message: folding them gives
// the message again.
//
// The chunks used here are those that every 6.x and 7.x client reads. Optional fields that are empty are left out, never
// null; any-JSON fields (input, output, data) are always there and are cleaned by Clean, because some keys and bytes in
// them end a client's stream.
package uistream

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Type says what a chunk is.
type Type string

// The chunk types. A data chunk has the type "data-" and a name.
const (
	Start           Type = "start"            // MessageID, Metadata
	StartStep       Type = "start-step"       // a model call with the tools that it runs begins
	FinishStep      Type = "finish-step"      // and ends; texts opened in it are closed
	Finish          Type = "finish"           // Reason, Metadata
	MessageMetadata Type = "message-metadata" // Metadata
	Abort           Type = "abort"            // Reason
	Error           Type = "error"            // ErrorText; the client stops reading here
	TextStart       Type = "text-start"       // ID
	TextDelta       Type = "text-delta"       // ID, Delta
	TextEnd         Type = "text-end"         // ID
	ReasoningStart  Type = "reasoning-start"  // ID
	ReasoningDelta  Type = "reasoning-delta"  // ID, Delta
	ReasoningEnd    Type = "reasoning-end"    // ID
	InputStart      Type = "tool-input-start" // CallID, Tool
	InputDelta      Type = "tool-input-delta" // CallID, Delta
	InputAvailable  Type = "tool-input-available"
	InputError      Type = "tool-input-error" // as InputAvailable, and ErrorText
	OutputAvailable Type = "tool-output-available"
	OutputError     Type = "tool-output-error" // CallID, ErrorText
	File            Type = "file"              // MediaType, URL
)

// DataPrefix begins the type of every data chunk and data part.
const DataPrefix = "data-"

// Chunk is one event of the stream. Which fields count depends on Type.
//
// Tool chunks are always dynamic, because a front end is built without knowing our tools. They also say
// providerExecuted, so that a client with tools of its own neither runs ours nor sends a turn again that ended on a tool.
type Chunk struct {
	Type        Type
	ID          string // of text, reasoning and data parts
	MessageID   string
	Delta       string
	CallID      string
	Tool        string
	Input       json.RawMessage
	Output      json.RawMessage
	Preliminary bool // the output is progress, which a later output replaces
	ErrorText   string
	Reason      string // why it finished (stop, length, content-filter, tool-calls, error, other) or was aborted
	Metadata    json.RawMessage
	MediaType   string
	URL         string
	Data        json.RawMessage
	Transient   bool // the data is shown and not kept
}

// AppendJSON appends the chunk as one line of JSON without spaces. Texts become valid UTF-8, JSON values pass Clean.
func (c Chunk) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, string(c.Type))
	switch c.Type {
	case StartStep, FinishStep:
	case Start:
		dst = appendField(dst, "messageId", c.MessageID)
		dst = appendMetadata(dst, c.Metadata)
	case Finish:
		dst = appendField(dst, "finishReason", c.Reason)
		dst = appendMetadata(dst, c.Metadata)
	case MessageMetadata:
		dst = appendMetadata(dst, c.Metadata)
	case Abort:
		dst = appendField(dst, "reason", c.Reason)
	case Error:
		dst = appendText(dst, "errorText", c.ErrorText)
	case TextStart, TextEnd, ReasoningStart, ReasoningEnd:
		dst = appendText(dst, "id", c.ID)
	case TextDelta, ReasoningDelta:
		dst = appendText(dst, "id", c.ID)
		dst = appendText(dst, "delta", c.Delta)
	case InputStart:
		dst = c.appendCall(dst)
	case InputDelta:
		dst = appendText(dst, "toolCallId", c.CallID)
		dst = appendText(dst, "inputTextDelta", c.Delta)
	case InputAvailable, InputError:
		dst = c.appendCall(dst)
		dst = appendAny(dst, "input", c.Input)
		if c.Type == InputError {
			dst = appendText(dst, "errorText", c.ErrorText)
		}
	case OutputAvailable:
		dst = appendText(dst, "toolCallId", c.CallID)
		dst = appendAny(dst, "output", c.Output)
		dst = append(dst, `,"dynamic":true`...)
		if c.Preliminary {
			dst = append(dst, `,"preliminary":true`...)
		}
	case OutputError:
		dst = appendText(dst, "toolCallId", c.CallID)
		dst = appendText(dst, "errorText", c.ErrorText)
		dst = append(dst, `,"dynamic":true`...)
	case File:
		dst = appendText(dst, "mediaType", c.MediaType)
		dst = appendText(dst, "url", c.URL)
	default:
		dst = appendField(dst, "id", c.ID)
		dst = appendAny(dst, "data", c.Data)
		if c.Transient {
			dst = append(dst, `,"transient":true`...)
		}
	}
	return append(dst, '}')
}

func (c Chunk) appendCall(dst []byte) []byte {
	dst = appendText(dst, "toolCallId", c.CallID)
	dst = appendText(dst, "toolName", c.Tool)
	return append(dst, `,"dynamic":true,"providerExecuted":true`...)
}

// chunkJSON is a chunk as a reader sees it, before it is known which fields count.
type chunkJSON struct {
	Type        string          `json:"type"`
	ID          *string         `json:"id"`
	MessageID   string          `json:"messageId"`
	Delta       *string         `json:"delta"`
	InputDelta  *string         `json:"inputTextDelta"`
	CallID      string          `json:"toolCallId"`
	Tool        string          `json:"toolName"`
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"`
	Data        json.RawMessage `json:"data"`
	Preliminary bool            `json:"preliminary"`
	Transient   bool            `json:"transient"`
	ErrorText   string          `json:"errorText"`
	Reason      string          `json:"reason"`
	Finish      string          `json:"finishReason"`
	Metadata    json.RawMessage `json:"messageMetadata"`
	MediaType   string          `json:"mediaType"`
	URL         string          `json:"url"`
}

// ParseChunk reads a chunk. Types that this package does not write are an error, as they are for a client.
func ParseChunk(raw []byte) (Chunk, error) {
	var j chunkJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return Chunk{}, fmt.Errorf("chunk: %w", err)
	}
	c := Chunk{Type: Type(j.Type), MessageID: j.MessageID, CallID: j.CallID, Tool: j.Tool, Input: j.Input, Output: j.Output,
		Data: j.Data, Preliminary: j.Preliminary, Transient: j.Transient, ErrorText: j.ErrorText, Reason: j.Reason + j.Finish,
		Metadata: j.Metadata, MediaType: j.MediaType, URL: j.URL}
	if j.ID != nil {
		c.ID = *j.ID
	}
	missing := ""
	switch c.Type {
	case Start, StartStep, FinishStep, Finish, MessageMetadata, Abort, Error, File:
	case TextStart, TextEnd, ReasoningStart, ReasoningEnd:
		if j.ID == nil {
			missing = "id"
		}
	case TextDelta, ReasoningDelta:
		if j.ID == nil || j.Delta == nil {
			missing = "id or delta"
		} else {
			c.Delta = *j.Delta
		}
	case InputDelta:
		if j.InputDelta == nil {
			missing = "inputTextDelta"
		} else {
			c.Delta = *j.InputDelta
		}
	case InputStart, InputError:
	case InputAvailable:
		if j.Input == nil {
			missing = "input"
		}
	case OutputAvailable:
		if j.Output == nil {
			missing = "output"
		}
	case OutputError:
	default:
		if !strings.HasPrefix(j.Type, DataPrefix) {
			return Chunk{}, fmt.Errorf("chunk: the type %q is unknown", j.Type)
		}
		if j.Data == nil {
			missing = "data"
		}
	}
	if missing != "" {
		return Chunk{}, fmt.Errorf("chunk %s: it has no %s", c.Type, missing)
	}
	return c, nil
}
