// Package agent is the loop: it asks a model, makes the calls that the model wants, gives it the results, and goes on until
// the model answers without a call.
//
// The loop knows neither chats nor the database. What it makes goes to a Sink; what it may do comes as a Toolset. It can
// take up a turn where a dead process left it: steps that are given are not asked for again, calls that have a result are
// not made again, and a call without one is made again under the same idempotency key, so that whoever carries it out can
// tell a repetition from a new wish.
package agent

import (
	"context"
	"encoding/json"
	"time"

	"yardmaster/internal/llm"
	"yardmaster/internal/op"
)

// The defaults of a Setup.
const (
	DefaultMaxSteps    = 50
	DefaultMaxDuration = time.Hour
	DefaultBudget      = 60 << 10
	DefaultHistory     = 600 << 10
)

// Bounds of what runs at the same time within one step.
const (
	maxReads  = 16
	maxWrites = 8
)

// MaxResult bounds the JSON of one result, in bytes; a longer one is cut by Fit before anybody sees it.
const MaxResult = 1 << 20

// Setup says by which model a turn is answered, what that is told and what it may do.
type Setup struct {
	Provider llm.Provider
	Model    string // the provider's name for the model
	System   string
	Tools    *Toolset
	// MaxSteps and MaxDuration bound a turn; 0 means the default.
	MaxSteps    int
	MaxDuration time.Duration
	// Budget bounds the JSON of one result as the model sees it, in bytes. 0 means the default, less than 0 no bound but
	// MaxResult.
	Budget int
	// History bounds what is shown of the conversation before the turn, in bytes. 0 means the default, less than 0 no bound.
	History int
	// Scrub takes known secrets out of a text; nil leaves it as it is. It sees the JSON of results and reports before anybody
	// else does, and MUST keep it JSON.
	Scrub func(text string) string
}

func (s Setup) scrub(raw json.RawMessage) json.RawMessage {
	if s.Scrub == nil {
		return raw
	}
	if out := s.Scrub(string(raw)); out != string(raw) {
		if json.Valid([]byte(out)) {
			return json.RawMessage(out)
		}
		quoted, _ := marshal(out) // a string always marshals
		return quoted
	}
	return raw
}

// Turn is what is to be answered.
type Turn struct {
	ID      string
	Actor   op.Actor
	History []llm.Message // ends with the user's message
	Steps   []Step        // what of the answer exists already
}

// Step is one answer of the model and what its calls gave.
type Step struct {
	Parts   []llm.Part
	Results map[string]Result // by call id
	// Secrets are the values of the secret fields of the calls.
	Secrets []string
	Usage   llm.Usage
}

// Calls lists the calls of the step in order.
func (s Step) Calls() []llm.Part {
	var calls []llm.Part
	for _, p := range s.Parts {
		if p.Type == llm.ToolCall {
			calls = append(calls, p)
		}
	}
	return calls
}

// Result is what a call gave.
type Result struct {
	CallID string
	Tool   string
	// Output is the whole result, any JSON of at most MaxResult bytes. For a failed call it is
	// {"error": code, "detail": sentence, "errors": [...]}.
	Output   json.RawMessage
	IsError  bool
	Detail   string // of a failed call: a sentence for people
	Duration time.Duration
}

// Outcome says how a turn ended when nothing failed.
type Outcome struct {
	Reason llm.FinishReason
	Usage  llm.Usage // of all steps, those given included
	Steps  int       // of all
}

// Sink receives what a turn makes. StepStart, Delta, Answered and StepEnd are called by one goroutine; Progress and Result
// come from the calls, several at once, between Answered and StepEnd.
type Sink interface {
	// StepStart says that the model is being asked.
	StepStart()
	// Delta brings a piece of the answer. Texts are valid UTF-8, every part is started and ended, call ids are unique
	// within the turn. It MUST be quick.
	Delta(d llm.Delta)
	// Answered brings the whole answer. When it has calls it MUST be durable on return, because the calls follow.
	Answered(ctx context.Context, s Step) error
	// Progress brings what a call reports of itself before its result.
	Progress(callID string, v json.RawMessage)
	// Result brings the result of a call, in the order in which the calls end.
	Result(r Result)
	// StepEnd says that all calls have their results. They MUST be durable on return.
	StepEnd(ctx context.Context) error
}
