package uistream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Builder folds the chunks of one message as a client does. The zero Builder is ready.
type Builder struct {
	Message Message
	// Failed is the text of the error chunk, after which a client reads no more.
	Failed string
	// Finished and Aborted tell which end was seen.
	Finished, Aborted bool
	open              map[string]int // "t"+id or "r"+id of open texts → index of the part
	calls             map[string]string
}

// ApplyJSON folds an encoded chunk.
func (b *Builder) ApplyJSON(raw []byte) error {
	c, err := ParseChunk(raw)
	if err != nil {
		return err
	}
	return b.Apply(c)
}

// Apply folds a chunk. An error is what makes a client end with one: a chunk out of order.
func (b *Builder) Apply(c Chunk) error {
	if b.open == nil {
		b.open, b.calls = map[string]int{}, map[string]string{}
		b.Message.Role = Assistant
	}
	if b.Failed != "" {
		return fmt.Errorf("%s after an error", c.Type)
	}
	m := &b.Message
	switch c.Type {
	case Start:
		if c.MessageID != "" {
			m.ID = c.MessageID
		}
		m.Metadata = mergeObjects(m.Metadata, c.Metadata)
	case MessageMetadata:
		m.Metadata = mergeObjects(m.Metadata, c.Metadata)
	case Finish:
		b.Finished = true
		m.Metadata = mergeObjects(m.Metadata, c.Metadata)
	case Abort:
		b.Aborted = true
	case Error:
		b.Failed = c.ErrorText
	case StartStep:
		m.Parts = append(m.Parts, Part{Type: StepPart})
	case FinishStep:
		clear(b.open) // clients of 5.x and 6.x close all texts here
	case TextStart:
		b.begin("t"+c.ID, Part{Type: TextPart, State: Streaming})
	case ReasoningStart:
		b.begin("r"+c.ID, Part{Type: ReasoningPart, ID: c.ID, State: Streaming})
	case TextDelta, TextEnd:
		return b.text("t"+c.ID, c)
	case ReasoningDelta, ReasoningEnd:
		return b.text("r"+c.ID, c)
	case InputStart, InputDelta, InputAvailable, InputError, OutputAvailable, OutputError:
		return b.tool(c)
	case File:
		m.Parts = append(m.Parts, Part{Type: FilePart, MediaType: c.MediaType, URL: c.URL})
	default:
		b.data(c)
	}
	return nil
}

func (b *Builder) begin(key string, p Part) {
	b.open[key] = len(b.Message.Parts)
	b.Message.Parts = append(b.Message.Parts, p)
}

func (b *Builder) text(key string, c Chunk) error {
	i, ok := b.open[key]
	if !ok {
		return fmt.Errorf("%s for %q, which is not open", c.Type, c.ID)
	}
	p := &b.Message.Parts[i]
	p.Text += c.Delta
	if c.Type == TextEnd || c.Type == ReasoningEnd {
		p.State = Done
		delete(b.open, key)
	}
	return nil
}

// find answers the part of a call: of this step, or the last one of the message.
func (b *Builder) find(callID string, thisStep bool) *Part {
	for i := len(b.Message.Parts) - 1; i >= 0; i-- {
		p := &b.Message.Parts[i]
		if p.Type == ToolPart && p.CallID == callID {
			return p
		}
		if p.Type == StepPart && thisStep {
			return nil
		}
	}
	return nil
}

func (b *Builder) tool(c Chunk) error {
	switch c.Type {
	case OutputAvailable, OutputError, InputDelta:
		if b.find(c.CallID, c.Type == InputDelta) == nil {
			return fmt.Errorf("%s for the call %q, which is not known", c.Type, c.CallID)
		}
	default:
		if b.find(c.CallID, true) == nil {
			b.Message.Parts = append(b.Message.Parts, Part{Type: ToolPart, CallID: c.CallID})
		}
	}
	p := b.find(c.CallID, false)
	switch c.Type {
	case InputStart:
		b.calls[c.CallID] = ""
		*p = Part{Type: ToolPart, CallID: c.CallID, ToolName: c.Tool, State: InputPartial}
	case InputDelta:
		text, ok := b.calls[c.CallID]
		if !ok {
			return fmt.Errorf("%s for the call %q, which was not started", c.Type, c.CallID)
		}
		b.calls[c.CallID] = text + c.Delta
		p.RawInput = text + c.Delta
	case InputAvailable:
		p.ToolName, p.State, p.Input, p.RawInput = c.Tool, InputWhole, c.Input, ""
	case InputError:
		p.ToolName, p.State, p.Input, p.RawInput, p.ErrorText = c.Tool, Failure, c.Input, "", c.ErrorText
	case OutputAvailable:
		p.State, p.Output, p.Preliminary, p.ErrorText = Success, c.Output, c.Preliminary, ""
	case OutputError:
		p.State, p.Output, p.Preliminary, p.ErrorText = Failure, nil, false, c.ErrorText
	}
	p.ProviderExecuted = true
	return nil
}

func (b *Builder) data(c Chunk) {
	if c.Transient {
		return
	}
	if c.ID != "" {
		i := slices.IndexFunc(b.Message.Parts, func(p Part) bool { return p.Type == string(c.Type) && p.ID == c.ID })
		if i >= 0 {
			b.Message.Parts[i].Data = c.Data
			return
		}
	}
	b.Message.Parts = append(b.Message.Parts, Part{Type: string(c.Type), ID: c.ID, Data: c.Data})
}

// mergeObjects merges over into base as clients merge metadata: objects deeply, everything else replaced.
func mergeObjects(base, over json.RawMessage) json.RawMessage {
	if !isObject(over) {
		return base
	}
	if !isObject(base) {
		return over
	}
	var a, o map[string]json.RawMessage
	if json.Unmarshal(base, &a) != nil || json.Unmarshal(over, &o) != nil {
		return base
	}
	for k, v := range o {
		if isObject(a[k]) && isObject(v) {
			v = mergeObjects(a[k], v)
		}
		a[k] = v
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return base
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

// Replay answers the chunks of the message's parts in the form in which a turn streams them: without start and finish,
// each step closed before the next begins. With open set, the last step and the texts and calls under way in it stay open.
// nextID gives the ids of texts.
func Replay(parts []Part, open bool, nextID func() string) []Chunk {
	var out []Chunk
	inStep := false
	for i, p := range parts {
		tail := open && lastStep(parts, i)
		switch {
		case p.Type == StepPart:
			if inStep {
				out = append(out, Chunk{Type: FinishStep})
			}
			inStep = true
			out = append(out, Chunk{Type: StartStep})
		case p.Type == TextPart, p.Type == ReasoningPart:
			start, delta, end := TextStart, TextDelta, TextEnd
			id := p.ID
			if p.Type == ReasoningPart {
				start, delta, end = ReasoningStart, ReasoningDelta, ReasoningEnd
			}
			if id == "" {
				id = nextID()
			}
			out = append(out, Chunk{Type: start, ID: id})
			if p.Text != "" {
				out = append(out, Chunk{Type: delta, ID: id, Delta: p.Text})
			}
			if p.State == Done || !tail {
				out = append(out, Chunk{Type: end, ID: id})
			}
		case p.Type == ToolPart:
			out = append(out, replayTool(p)...)
		case p.Type == FilePart:
			out = append(out, Chunk{Type: File, MediaType: p.MediaType, URL: p.URL})
		case strings.HasPrefix(p.Type, DataPrefix):
			out = append(out, Chunk{Type: Type(p.Type), ID: p.ID, Data: p.Data})
		}
	}
	if inStep && !open {
		out = append(out, Chunk{Type: FinishStep})
	}
	return out
}

func lastStep(parts []Part, i int) bool {
	return !slices.ContainsFunc(parts[i+1:], func(p Part) bool { return p.Type == StepPart })
}

func replayTool(p Part) []Chunk {
	call := Chunk{CallID: p.CallID, Tool: p.ToolName, Input: p.Input}
	kind := func(t Type) Chunk { c := call; c.Type = t; return c }
	switch p.State {
	case InputPartial:
		out := []Chunk{kind(InputStart)}
		if p.RawInput != "" {
			out = append(out, Chunk{Type: InputDelta, CallID: p.CallID, Delta: p.RawInput})
		}
		return out
	case Success:
		return []Chunk{kind(InputAvailable), {Type: OutputAvailable, CallID: p.CallID, Output: p.Output, Preliminary: p.Preliminary}}
	case Failure:
		return []Chunk{kind(InputAvailable), {Type: OutputError, CallID: p.CallID, ErrorText: p.ErrorText}}
	default:
		return []Chunk{kind(InputAvailable)}
	}
}
