// Package llm is the provider-neutral language of a model conversation: messages, tools, and a stream of deltas.
//
// A Provider sees a Request and nothing else: no database, no services. The built-in planner, a scripted test provider
// and every model API implement the same interface, so the agent loop can't tell them apart.
package llm

import (
	"context"
	"encoding/json"
	"iter"
)

// Role says who a message is from.
type Role string

// The roles. A tool result is a part of a RoleTool message that follows the assistant message with the call.
const (
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// PartType says what a part is.
type PartType string

// The part types.
const (
	Text       PartType = "text"
	Reasoning  PartType = "reasoning"
	ToolCall   PartType = "tool-call"
	ToolResult PartType = "tool-result"
	File       PartType = "file"
)

// Part is one piece of a message.
type Part struct {
	Type PartType `json:"type"`
	// Text is the text of Text and Reasoning parts.
	Text string `json:"text,omitempty"`
	// CallID joins a call with its result; unique within a turn.
	CallID string `json:"callId,omitempty"`
	// Tool is the tool's name, in calls and results.
	Tool string `json:"tool,omitempty"`
	// Input is the call's arguments, a JSON object.
	Input json.RawMessage `json:"input,omitempty"`
	// Output is the result, any JSON. For a failed call it is an object {"error": code, "detail": sentence, "errors": [...]}.
	Output json.RawMessage `json:"output,omitempty"`
	// IsError marks the result of a failed call.
	IsError bool `json:"isError,omitempty"`
	// MediaType and URL describe a File part; URL may be a data: URL.
	MediaType string `json:"mediaType,omitempty"`
	URL       string `json:"url,omitempty"`
	// Meta is the provider's own data about this part (a signature, the planner's open question). It is stored with the
	// message and MUST be passed back unchanged; nobody else reads it.
	Meta json.RawMessage `json:"meta,omitempty"`
}

// Message is one entry of a conversation.
type Message struct {
	Role  Role   `json:"role"`
	Parts []Part `json:"parts"`
}

// Tool is an operation as a model sees it. The vocabulary fields come from the operation's declaration; model APIs
// ignore them, the planner's lexicon is made of them.
type Tool struct {
	// Name has letters, digits, _ and -, at most 64: resource_verb, such as instances_create.
	Name        string
	Description string
	// Schema is the JSON Schema (2020-12) of the input: an object with described properties. Properties may carry the
	// annotation "x-ref": the kind of resource that they name ("instance", "skill", ...).
	Schema json.RawMessage
	// Effect is "read", "write" or "destroy".
	Effect string
	// Resource is the plural noun of what it works on ("instances"); Verbs, Nouns and Examples are people's words for it.
	Resource string
	Verbs    []string
	Nouns    []string
	Examples []string
}

// Request is one model call.
type Request struct {
	Model     string // the provider's name for the model; empty means its default
	System    string
	Messages  []Message
	Tools     []Tool
	MaxTokens int // 0 means the provider's default
}

// DeltaType says what a Delta brings.
type DeltaType string

// The deltas. Order within a stream: any number of parts, then one Finish. A part is Start, its deltas, End; parts do
// not interleave except tool calls, which are told apart by CallID.
const (
	TextStart      DeltaType = "text-start"
	TextDelta      DeltaType = "text-delta" // Text
	TextEnd        DeltaType = "text-end"   // Meta, optional
	ReasoningStart DeltaType = "reasoning-start"
	ReasoningDelta DeltaType = "reasoning-delta" // Text
	ReasoningEnd   DeltaType = "reasoning-end"   // Meta, optional
	CallStart      DeltaType = "call-start"      // CallID, Tool
	CallDelta      DeltaType = "call-delta"      // CallID, Text: a fragment of the arguments' JSON
	CallEnd        DeltaType = "call-end"        // CallID, Tool, Input: the whole arguments; Meta, optional
	Finish         DeltaType = "finish"          // Reason, Usage
)

// FinishReason says why a model stopped.
type FinishReason string

// The reasons, spelled as the UI message stream spells them.
const (
	Stop          FinishReason = "stop"
	ToolCalls     FinishReason = "tool-calls"
	Length        FinishReason = "length"
	ContentFilter FinishReason = "content-filter"
	Other         FinishReason = "other"
)

// Usage counts tokens. Input includes the cached ones, Output includes reasoning.
type Usage struct {
	Input     int64 `json:"inputTokens"`
	Output    int64 `json:"outputTokens"`
	Cached    int64 `json:"cachedTokens,omitempty"`
	Reasoning int64 `json:"reasoningTokens,omitempty"`
}

// Add sums two usages.
func (u Usage) Add(o Usage) Usage {
	return Usage{u.Input + o.Input, u.Output + o.Output, u.Cached + o.Cached, u.Reasoning + o.Reasoning}
}

// Delta is one event of a model's stream.
type Delta struct {
	Type   DeltaType
	Text   string
	CallID string
	Tool   string
	Input  json.RawMessage
	Meta   json.RawMessage
	Reason FinishReason
	Usage  Usage
}

// Provider is a model API.
type Provider interface {
	// Name is the provider's part of a model name: "builtin", "anthropic", "openai", "script".
	Name() string
	// Stream makes one model call. The sequence ends after Finish, or with one non-nil error, after which nothing
	// follows. A caller may stop early; the provider MUST then release what it holds. Cancelling ctx ends the stream with
	// ctx's error. Implementations MUST be safe for concurrent calls.
	Stream(ctx context.Context, req Request) iter.Seq2[Delta, error]
}
