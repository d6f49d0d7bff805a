package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"yardmaster/internal/agent"
	"yardmaster/internal/db"
	"yardmaster/internal/job"
	"yardmaster/internal/llm"
	"yardmaster/internal/uistream"
)

// recorder is the agent.Sink of a turn: it shows what happens in the live log and builds the message as a client builds it
// of the same chunks, so that what is stored is what was seen.
type recorder struct {
	s        *Service
	turn     turnRow
	job      job.Job
	live     *live
	provider string

	mu     sync.Mutex
	parts  []part
	texts  int // ids given to texts
	inStep bool
	open   openText
	calls  map[string]*openCall
	mask   masker
	secret sealed
}

type openText struct {
	part  int
	entry int // in the live log
	id    string
	on    bool
}

type openCall struct {
	part     int
	entry    int // of the growing input
	progress int // of the last report; -1 when there is none
}

func newRecorder(s *Service, t turnRow, j job.Job, l *live) *recorder {
	return &recorder{s: s, turn: t, job: j, live: l, calls: map[string]*openCall{}}
}

func (r *recorder) nextID() string {
	r.texts++
	return "t" + strconv.Itoa(r.texts)
}

// seed takes up an answer where another run left it, and shows what there is of it. The last step stays open when it has
// calls without a result.
func (r *recorder) seed(parts []part) {
	r.parts = parts
	for i, p := range parts {
		if p.Type != uistream.ToolPart {
			continue
		}
		if p.Preliminary {
			parts[i].State, parts[i].Output, parts[i].Preliminary = uistream.InputWhole, nil, false
		}
		if state := parts[i].State; state == uistream.InputWhole {
			r.calls[p.CallID] = &openCall{part: i, entry: -1, progress: -1}
			r.inStep = true
		}
	}
	for _, c := range uistream.Replay(visible(parts), r.inStep, r.nextID) {
		r.live.add(c)
	}
}

// StepStart implements agent.Sink.
func (r *recorder) StepStart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endStep()
	r.inStep = true
	r.parts = append(r.parts, part{uistream.Part{Type: uistream.StepPart}, extra{Provider: r.provider}})
	r.live.add(uistream.Chunk{Type: uistream.StartStep})
}

func (r *recorder) endStep() {
	if r.inStep {
		r.inStep = false
		r.live.add(uistream.Chunk{Type: uistream.FinishStep})
	}
}

// Delta implements agent.Sink.
func (r *recorder) Delta(d llm.Delta) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch d.Type {
	case llm.TextStart:
		r.startText(uistream.TextPart, uistream.TextStart, uistream.TextDelta)
	case llm.ReasoningStart:
		r.startText(uistream.ReasoningPart, uistream.ReasoningStart, uistream.ReasoningDelta)
	case llm.TextDelta, llm.ReasoningDelta:
		if s := r.mask.push(d.Text); s != "" && r.open.on {
			r.live.grow(r.open.entry, s)
		}
	case llm.TextEnd, llm.ReasoningEnd:
		r.endText(d.Meta)
	case llm.CallStart:
		r.parts = append(r.parts, part{Part: uistream.Part{Type: uistream.ToolPart, ToolName: d.Tool, CallID: d.CallID,
			State: uistream.InputPartial, ProviderExecuted: true}})
		r.live.add(uistream.Chunk{Type: uistream.InputStart, CallID: d.CallID, Tool: d.Tool})
		r.calls[d.CallID] = &openCall{part: len(r.parts) - 1, progress: -1,
			entry: r.live.begin(uistream.Chunk{Type: uistream.InputDelta, CallID: d.CallID})}
	case llm.CallDelta:
		if c := r.calls[d.CallID]; c != nil {
			r.live.grow(c.entry, d.Text)
		}
	case llm.CallEnd:
		if c := r.calls[d.CallID]; c != nil {
			p := &r.parts[c.part]
			p.State, p.Input, p.Meta = uistream.InputWhole, uistream.Clean(d.Input), d.Meta
			r.live.end(c.entry, uistream.Chunk{Type: uistream.InputAvailable, CallID: p.CallID, Tool: p.ToolName, Input: p.Input})
		}
	}
}

func (r *recorder) startText(kind string, start, delta uistream.Type) {
	id := r.nextID()
	p := uistream.Part{Type: kind, State: uistream.Streaming}
	if kind == uistream.ReasoningPart {
		p.ID = id
	}
	r.parts = append(r.parts, part{Part: p})
	r.live.add(uistream.Chunk{Type: start, ID: id})
	r.open = openText{part: len(r.parts) - 1, entry: r.live.begin(uistream.Chunk{Type: delta, ID: id}), id: id, on: true}
}

func (r *recorder) endText(meta json.RawMessage) {
	if !r.open.on {
		return
	}
	r.open.on = false
	if s := r.mask.flush(); s != "" {
		r.live.grow(r.open.entry, s)
	}
	p := &r.parts[r.open.part]
	p.Text, p.State, p.Meta = r.live.text(r.open.entry), uistream.Done, meta
	kind := uistream.TextEnd
	if p.Type == uistream.ReasoningPart {
		kind = uistream.ReasoningEnd
	}
	r.live.end(r.open.entry, uistream.Chunk{Type: kind, ID: r.open.id})
}

// Answered implements agent.Sink.
func (r *recorder) Answered(ctx context.Context, s agent.Step) error {
	r.mu.Lock()
	for i := len(r.parts) - 1; i >= 0; i-- {
		if r.parts[i].Type == uistream.StepPart {
			r.parts[i].Usage = s.Usage
			break
		}
	}
	r.mu.Unlock()
	if len(s.Calls()) == 0 {
		return nil // the turn is over and its end stores everything
	}
	if len(s.Secrets) > 0 {
		return r.hide(ctx, s)
	}
	return r.store(ctx, nil)
}

// Progress implements agent.Sink.
func (r *recorder) Progress(callID string, v json.RawMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.calls[callID]
	if c == nil {
		return
	}
	p := &r.parts[c.part]
	p.State, p.Output, p.Preliminary = uistream.Success, uistream.Clean(v), true
	c.progress = r.live.replace(c.progress, uistream.Chunk{Type: uistream.OutputAvailable, CallID: callID, Output: p.Output, Preliminary: true})
}

// Result implements agent.Sink.
func (r *recorder) Result(res agent.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.calls[res.CallID]
	if c == nil {
		return
	}
	delete(r.calls, res.CallID)
	p := &r.parts[c.part]
	p.Millis, p.Preliminary = res.Duration.Milliseconds(), false
	chunk := uistream.Chunk{Type: uistream.OutputAvailable, CallID: res.CallID}
	if res.IsError {
		p.State, p.Output, p.ErrorText, p.extra.Result = uistream.Failure, nil, r.mask.all(res.Detail), res.Output
		chunk.Type, chunk.ErrorText = uistream.OutputError, p.ErrorText
	} else {
		p.State, p.Output = uistream.Success, uistream.Clean(res.Output)
		chunk.Output = p.Output
	}
	r.live.replace(c.progress, chunk)
}

// StepEnd implements agent.Sink.
func (r *recorder) StepEnd(ctx context.Context) error {
	if err := r.store(ctx, nil); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endStep()
	return nil
}

// store makes durable what there is of the answer, unless the turn has become another's. more runs in the same transaction.
func (r *recorder) store(ctx context.Context, more func(tx *db.Tx) error) error {
	r.mu.Lock()
	raw, err := encodeParts(r.parts)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := r.s.jobs.Check(tx, r.job); err != nil {
			return err
		}
		if err := storeParts(tx, r.turn, raw, string(startMetadata(r.turn.turn())), 1); err != nil {
			return err
		}
		if more != nil {
			return more(tx)
		}
		return nil
	})
}

// settle brings the answer to rest: texts ended, calls without a result marked as broken off, the step closed.
func (r *recorder) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endText(nil)
	for i := range r.parts {
		p := &r.parts[i]
		c := r.calls[p.CallID]
		if p.Type != uistream.ToolPart || c == nil {
			continue
		}
		delete(r.calls, p.CallID)
		res := unknownResult(llm.Part{CallID: p.CallID, Tool: p.ToolName})
		if p.State == uistream.InputPartial {
			p.Input = json.RawMessage(`{}`)
			r.live.end(c.entry, uistream.Chunk{Type: uistream.InputAvailable, CallID: p.CallID, Tool: p.ToolName, Input: p.Input})
		}
		p.State, p.Output, p.Preliminary, p.ErrorText, p.extra.Result = uistream.Failure, nil, false, res.Detail, res.Output
		r.live.replace(c.progress, uistream.Chunk{Type: uistream.OutputError, CallID: p.CallID, ErrorText: res.Detail})
	}
	r.endStep()
}

// text answers what a growing text holds.
func (l *live) text(i int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < 0 {
		return ""
	}
	return l.entries[i].text.String()
}

// startMetadata tells clients of a message which turn made it; a client that let the server make the chat's id finds it here.
func startMetadata(t Turn) json.RawMessage {
	return fmt.Appendf(nil, `{"chatId":%s,"turnId":%s}`, mustJSON(t.ChatID), mustJSON(t.ID))
}

func startChunk(t Turn) uistream.Chunk {
	return uistream.Chunk{Type: uistream.Start, MessageID: t.MessageID, Metadata: startMetadata(t)}
}
