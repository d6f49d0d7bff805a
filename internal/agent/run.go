package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/op"
)

// Run answers a turn. It ends when the model answers without a call, at a limit, with an error of the provider or the
// sink, or with the cause of ctx's end. Calls under way when ctx ends are waited for; those that then failed have no
// result, so that they are made again when the turn is taken up.
func Run(ctx context.Context, setup Setup, turn Turn, sink Sink) (Outcome, error) {
	if setup.Tools == nil {
		setup.Tools = NewToolset(nil, nil, nil)
	}
	steps, limit := setup.MaxSteps, setup.MaxDuration
	if steps <= 0 {
		steps = DefaultMaxSteps
	}
	if limit <= 0 {
		limit = DefaultMaxDuration
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errs.New(errs.Unavailable,
		"The turn took longer than %s and was ended. What was done so far is above; write to go on.", limit))
	defer cancel()
	l := loop{setup: setup, turn: turn, sink: sink, used: map[string]bool{}, messages: slices.Clone(turn.History)}
	return l.run(ctx, steps)
}

type loop struct {
	setup    Setup
	turn     Turn
	sink     Sink
	used     map[string]bool
	messages []llm.Message
	outcome  Outcome
}

func (l *loop) run(ctx context.Context, maxSteps int) (Outcome, error) {
	for _, s := range l.turn.Steps {
		l.outcome.Steps++
		l.outcome.Usage = l.outcome.Usage.Add(s.Usage)
		for _, c := range s.Calls() {
			l.used[c.CallID] = true
		}
		if err := l.act(ctx, s); err != nil {
			return l.outcome, err
		}
	}
	for l.outcome.Steps < maxSteps {
		l.outcome.Steps++
		l.sink.StepStart()
		s, reason, err := l.ask(ctx)
		l.outcome.Usage = l.outcome.Usage.Add(s.Usage)
		if err != nil {
			return l.outcome, err
		}
		calls := s.Calls()
		if err := l.sink.Answered(ctx, s); err != nil {
			return l.outcome, err
		}
		if len(calls) == 0 {
			if reason == llm.ToolCalls || reason == "" {
				reason = llm.Stop
			}
			l.outcome.Reason = reason
			return l.outcome, nil
		}
		if err := l.act(ctx, s); err != nil {
			return l.outcome, err
		}
	}
	return l.limit(ctx, maxSteps)
}

// limit ends a turn that has used up its steps, with a text that says so: a turn never ends on a tool step.
func (l *loop) limit(ctx context.Context, maxSteps int) (Outcome, error) {
	c := collector{sink: l.sink, tools: l.setup.Tools, used: l.used}
	l.sink.StepStart()
	c.delta(llm.Text, fmt.Sprintf("I stopped here: this turn reached its limit of %d steps. What was done so far is above. Say “go on” to continue.", maxSteps))
	c.close()
	l.outcome.Reason = llm.Length
	return l.outcome, l.sink.Answered(ctx, c.step)
}

// ask makes one model call and answers the step that it gave.
func (l *loop) ask(ctx context.Context) (Step, llm.FinishReason, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a provider that does not notice the end of the loop over its stream notices this
	c := collector{sink: l.sink, tools: l.setup.Tools, used: l.used}
	req := llm.Request{Model: l.setup.Model, System: l.setup.System, Messages: l.messages, Tools: l.setup.Tools.Tools}
	var failed error
	for d, err := range l.setup.Provider.Stream(ctx, req) {
		if err != nil {
			failed = err
			break
		}
		c.take(d)
	}
	c.close()
	switch {
	case failed != nil && context.Cause(ctx) != nil:
		failed = context.Cause(ctx)
	case failed == nil && !c.ended && context.Cause(ctx) != nil:
		failed = context.Cause(ctx)
	case failed == nil && !c.ended:
		failed = errs.New(errs.Unavailable, "The model's answer broke off. Ask again.")
	}
	return c.step, c.reason, failed
}

// act makes the calls of a step that have no result yet, and adds the step to the conversation.
func (l *loop) act(ctx context.Context, s Step) error {
	calls := s.Calls()
	if len(calls) == 0 {
		l.messages = append(l.messages, llm.Message{Role: llm.RoleAssistant, Parts: s.Parts})
		return nil
	}
	results := make([]*Result, len(calls))
	missing := false
	for i, c := range calls {
		if r, ok := s.Results[c.CallID]; ok {
			results[i] = &r
		} else {
			missing = true
		}
	}
	if missing {
		l.call(ctx, calls, results)
		if slices.Contains(results, nil) {
			return context.Cause(ctx)
		}
		if err := l.sink.StepEnd(ctx); err != nil {
			return err
		}
	}
	l.messages = append(l.messages, Messages(s.Parts, func(c llm.Part) Result {
		return *results[slices.IndexFunc(calls, func(o llm.Part) bool { return o.CallID == c.CallID })]
	}, l.setup.budget())...)
	return nil
}

func (s Setup) budget() int {
	switch {
	case s.Budget == 0:
		return DefaultBudget
	case s.Budget < 0:
		return MaxResult
	}
	return s.Budget
}

// Messages answers a step as the model sees it afterwards: its answer, and the results of its calls, each cut to budget.
func Messages(parts []llm.Part, result func(call llm.Part) Result, budget int) []llm.Message {
	out := []llm.Message{{Role: llm.RoleAssistant, Parts: parts}}
	var back []llm.Part
	for _, c := range parts {
		if c.Type != llm.ToolCall {
			continue
		}
		r := result(c)
		back = append(back, llm.Part{Type: llm.ToolResult, CallID: c.CallID, Tool: c.Tool, Output: Fit(r.Output, budget), IsError: r.IsError})
	}
	if back != nil {
		out = append(out, llm.Message{Role: llm.RoleTool, Parts: back})
	}
	return out
}

// call makes the calls without a result. Calls of one answer do not wait for each other, so they run together as long as
// they are of one kind: reads with reads, writes with writes. A change of kind waits for those before it, so that "make it,
// then look" sees what was made.
func (l *loop) call(ctx context.Context, calls []llm.Part, results []*Result) {
	for from := 0; from < len(calls); {
		to := from + 1
		kind := l.setup.Tools.effects[calls[from].Tool]
		for to < len(calls) && l.setup.Tools.effects[calls[to].Tool] == kind {
			to++
		}
		width := maxWrites
		if kind == string(op.Read) {
			width = maxReads
		}
		slots := make(chan struct{}, width)
		var wg sync.WaitGroup
		for i := from; i < to; i++ {
			if results[i] != nil {
				continue
			}
			slots <- struct{}{}
			if ctx.Err() != nil {
				break
			}
			if to-from == 1 {
				results[i] = l.one(ctx, calls[i])
				break
			}
			wg.Go(func() {
				defer func() { <-slots }()
				results[i] = l.one(ctx, calls[i])
			})
		}
		wg.Wait()
		if ctx.Err() != nil {
			return
		}
		from = to
	}
}

// one makes a call; nil when it failed because ctx ended.
func (l *loop) one(ctx context.Context, c llm.Part) *Result {
	began := time.Now()
	r := l.do(ctx, c)
	if r == nil {
		return nil
	}
	r.Duration = time.Since(began)
	l.sink.Result(*r)
	return r
}

func (l *loop) do(ctx context.Context, c llm.Part) *Result {
	fail := func(err error) *Result {
		r := failure(c.CallID, c.Tool, err)
		r.Output = l.setup.scrub(r.Output)
		if l.setup.Scrub != nil {
			r.Detail = l.setup.Scrub(r.Detail)
		}
		return &r
	}
	if text, bad := invalidArguments(c.Input); bad {
		return fail(errs.New(errs.Invalid, "The arguments of %s are not a JSON object: %s", c.Tool, clip(text, 200)))
	}
	if !l.setup.Tools.Has(c.Tool) {
		return fail(errs.New(errs.NotFound, "There is no tool %q here. Use the tools that you were given, by their exact names.", c.Tool))
	}
	a := l.turn.Actor
	a.Surface, a.TurnID, a.CallID = op.SurfaceOperator, l.turn.ID, c.CallID
	callCtx := op.WithActor(ctx, a)
	callCtx = op.WithIdempotencyKey(callCtx, l.turn.ID+"/"+c.CallID)
	var mu sync.Mutex
	over := false
	callCtx = op.WithProgress(callCtx, func(v any) {
		raw, err := marshal(v)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !over { // a report after the result would undo it where it is shown
			l.sink.Progress(c.CallID, Fit(l.setup.scrub(raw), MaxResult))
		}
	})
	out, err := l.guarded(callCtx, c.Tool, c.Input)
	mu.Lock()
	over = true
	mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fail(err)
	}
	raw := json.RawMessage(`{}`)
	if out != nil {
		if raw, err = marshal(out); err != nil {
			return fail(fmt.Errorf("result of %s: %w", c.Tool, err))
		}
	}
	return &Result{CallID: c.CallID, Tool: c.Tool, Output: Fit(l.setup.scrub(raw), MaxResult)}
}

// guarded carries out a call; a panic in it is that call's failure and not the end of the process.
func (l *loop) guarded(ctx context.Context, tool string, input json.RawMessage) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a tool panicked", "tool", tool, "turn", l.turn.ID, "panic", p, "stack", string(debug.Stack()))
			out, err = nil, fmt.Errorf("panic in %s", tool)
		}
	}()
	return l.setup.Tools.Do(ctx, tool, input)
}
