package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"yardmaster/internal/llm"
)

// invalidKey is the only field of the input of a call whose arguments could not be read: it holds their text. Model APIs
// want an object when the call is shown to them again.
const invalidKey = "_invalid"

// collector makes a Step of a model's deltas and passes them on in good order: every part started and ended, runes whole,
// call ids unique within the turn, secrets masked.
type collector struct {
	sink  Sink
	tools *Toolset
	used  map[string]bool // call ids of the turn so far

	step    Step
	text    strings.Builder // of the open text or reasoning
	open    llm.PartType    // Text, Reasoning or ""
	partial []byte          // the beginning of a rune whose rest is in the next delta
	calls   []*openCall
	reason  llm.FinishReason
	ended   bool
}

type openCall struct {
	given string // the provider's id
	id    string // ours
	tool  string
	args  strings.Builder
	sent  int // bytes of args that were passed on
	index int // of its part
	ended bool
}

func (c *collector) take(d llm.Delta) {
	switch d.Type {
	case llm.TextStart:
		c.start(llm.Text)
	case llm.ReasoningStart:
		c.start(llm.Reasoning)
	case llm.TextDelta:
		c.delta(llm.Text, d.Text)
	case llm.ReasoningDelta:
		c.delta(llm.Reasoning, d.Text)
	case llm.TextEnd, llm.ReasoningEnd:
		c.end(d.Meta)
	case llm.CallStart:
		c.callStart(d)
	case llm.CallDelta:
		if call := c.find(d.CallID); call != nil && !call.ended {
			call.args.WriteString(d.Text)
			c.passOn(call)
		}
	case llm.CallEnd:
		c.callEnd(d)
	case llm.Finish:
		c.step.Usage = d.Usage
		c.reason, c.ended = d.Reason, true
	}
}

func (c *collector) start(t llm.PartType) {
	c.end(nil)
	c.open = t
	kind := llm.TextStart
	if t == llm.Reasoning {
		kind = llm.ReasoningStart
	}
	c.sink.Delta(llm.Delta{Type: kind})
}

func (c *collector) delta(t llm.PartType, s string) {
	if c.open != t {
		c.start(t)
	}
	if len(c.partial) > 0 {
		s = string(c.partial) + s
		c.partial = c.partial[:0]
	}
	if !utf8.ValidString(s) {
		whole := wholeRunes(s)
		c.partial = append(c.partial, s[whole:]...)
		s = strings.ToValidUTF8(s[:whole], "\uFFFD")
	}
	if s != "" {
		c.emit(s)
	}
}

func (c *collector) emit(s string) {
	c.text.WriteString(s)
	kind := llm.TextDelta
	if c.open == llm.Reasoning {
		kind = llm.ReasoningDelta
	}
	c.sink.Delta(llm.Delta{Type: kind, Text: s})
}

// wholeRunes is the length of s without a rune at its end that may be going on.
func wholeRunes(s string) int {
	for back := 1; back <= 3 && back <= len(s); back++ {
		if b := s[len(s)-back]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRuneInString(s[len(s)-back:]) {
				return len(s) - back
			}
			break
		}
	}
	return len(s)
}

// end closes the open text or reasoning, if there is one.
func (c *collector) end(meta json.RawMessage) {
	if c.open == "" {
		return
	}
	if len(c.partial) > 0 {
		c.partial = c.partial[:0]
		c.emit("\uFFFD")
	}
	kind := llm.TextEnd
	if c.open == llm.Reasoning {
		kind = llm.ReasoningEnd
	}
	c.sink.Delta(llm.Delta{Type: kind, Meta: meta})
	c.step.Parts = append(c.step.Parts, llm.Part{Type: c.open, Text: c.text.String(), Meta: meta})
	c.open = ""
	c.text.Reset()
}

func (c *collector) find(given string) *openCall {
	for i := len(c.calls) - 1; i >= 0; i-- {
		if c.calls[i].given == given {
			return c.calls[i]
		}
	}
	return nil
}

func (c *collector) callStart(d llm.Delta) *openCall {
	c.end(nil)
	id := d.CallID
	for n := 2; c.used[id] || id == ""; n++ {
		id = fmt.Sprintf("%s-%d", d.CallID, n)
	}
	c.used[id] = true
	call := &openCall{given: d.CallID, id: id, tool: d.Tool, index: len(c.step.Parts)}
	c.calls = append(c.calls, call)
	c.step.Parts = append(c.step.Parts, llm.Part{Type: llm.ToolCall, CallID: id, Tool: d.Tool})
	c.sink.Delta(llm.Delta{Type: llm.CallStart, CallID: id, Tool: d.Tool})
	return call
}

// passOn shows what has come of a call's arguments, whole runes only, unless they may hold a secret.
func (c *collector) passOn(call *openCall) {
	text := call.args.String()[call.sent:]
	text = text[:wholeRunes(text)]
	call.sent += len(text)
	if text != "" && len(c.tools.Hidden(call.tool)) == 0 {
		c.sink.Delta(llm.Delta{Type: llm.CallDelta, CallID: call.id, Text: strings.ToValidUTF8(text, "\uFFFD")})
	}
}

func (c *collector) callEnd(d llm.Delta) {
	call := c.find(d.CallID)
	if call == nil || call.ended {
		call = c.callStart(d)
	}
	raw := d.Input
	if raw == nil {
		raw = json.RawMessage(call.args.String())
	}
	c.finishCall(call, raw, d.Meta)
}

func (c *collector) finishCall(call *openCall, raw, meta json.RawMessage) {
	call.ended = true
	p := &c.step.Parts[call.index]
	p.Input, p.Meta = arguments(raw), meta
	masked, found := c.tools.MaskInput(call.tool, p.Input)
	c.step.Secrets = append(c.step.Secrets, found...)
	c.sink.Delta(llm.Delta{Type: llm.CallEnd, CallID: call.id, Tool: call.tool, Input: masked, Meta: meta})
}

// arguments answers what a call's text means: an object, {} for nothing, or the text under invalidKey.
func arguments(raw json.RawMessage) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(`{}`)
	}
	if raw[0] == '{' && json.Valid(raw) {
		return raw
	}
	out, err := marshal(map[string]string{invalidKey: string(raw)})
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return out
}

// close ends what the model left open, as after an error or a cut.
func (c *collector) close() {
	c.end(nil)
	for _, call := range c.calls {
		if !call.ended {
			raw := call.args.String()
			if json.Valid([]byte(raw)) {
				raw += " (cut)" // whole by chance; the model did not say that it was done
			}
			c.finishCall(call, json.RawMessage(raw), nil)
		}
	}
}

// invalidArguments tells whether the arguments of a call could not be read, and answers their text.
func invalidArguments(input json.RawMessage) (string, bool) {
	if !bytes.Contains(input, []byte(invalidKey)) {
		return "", false
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(input, &m) != nil || len(m) != 1 {
		return "", false
	}
	var s string
	if json.Unmarshal(m[invalidKey], &s) != nil {
		return "", false
	}
	return s, true
}
