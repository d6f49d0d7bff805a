package apptest

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"

	"yardmaster/internal/llm"
)

// Caller is a scripted model that makes the tool calls that the message asks for: each line "CALL tool {input}" is one call,
// made one after another. To every other message, and once the calls are made, it answers "done". It understands nothing.
type Caller struct{}

// Name implements llm.Provider.
func (Caller) Name() string { return "caller" }

// CallText is the message that has a Caller make a call.
func CallText(tool string, input any) string {
	raw, err := json.Marshal(input)
	if err != nil {
		panic(err) // inputs are written in tests
	}
	return "CALL " + tool + " " + string(raw)
}

// Stream implements llm.Provider.
func (Caller) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Delta, error] {
	return func(yield func(llm.Delta, error) bool) {
		text, made := "", 0
		for _, m := range req.Messages {
			switch m.Role {
			case llm.RoleUser:
				text, made = "", 0
				for _, p := range m.Parts {
					text += p.Text
				}
			case llm.RoleAssistant:
				made++
			}
		}
		var calls []string
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "CALL "); ok {
				calls = append(calls, rest)
			}
		}
		if err := ctx.Err(); err != nil {
			yield(llm.Delta{}, err)
			return
		}
		for _, d := range answer(calls, made) {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func answer(calls []string, made int) []llm.Delta {
	if made >= len(calls) {
		return []llm.Delta{{Type: llm.TextStart}, {Type: llm.TextDelta, Text: "done"}, {Type: llm.TextEnd}, {Type: llm.Finish, Reason: llm.Stop}}
	}
	tool, input, ok := strings.Cut(calls[made], " ")
	if !ok {
		panic(errors.New("apptest: a call without input: " + calls[made]))
	}
	return []llm.Delta{
		{Type: llm.CallStart, CallID: "call", Tool: tool},
		{Type: llm.CallEnd, CallID: "call", Tool: tool, Input: json.RawMessage(input)},
		{Type: llm.Finish, Reason: llm.ToolCalls},
	}
}
