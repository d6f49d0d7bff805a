// Package script is a provider that plays a script: for tests of everything above a model, and for measuring the platform
// without one. It understands nothing; it answers what was written down.
package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
)

// Script is what is played. It is also the JSON form that Load reads.
type Script struct {
	// Rules are tried in order; the first whose Match is in the user's last message is played. An empty Match fits all.
	Rules []Rule `json:"rules"`
}

// Rule is what is answered to some messages: one step for each model call of the turn. After the last step it is repeated.
type Rule struct {
	Match string `json:"match,omitempty"`
	Steps []Step `json:"steps"`
}

// Step is one answer of the model.
type Step struct {
	Reasoning string `json:"reasoning,omitempty"`
	Text      string `json:"text,omitempty"`
	// Repeat plays the text so many times; 0 means once.
	Repeat int `json:"repeat,omitempty"`
	// Piece is the number of characters in each delta; 0 means a word at a time.
	Piece int    `json:"piece,omitempty"`
	Calls []Call `json:"calls,omitempty"`
	// Error ends the answer after what comes before with this sentence; Code is its code, by default unavailable.
	Error string    `json:"error,omitempty"`
	Code  errs.Code `json:"code,omitempty"`
	// Hang leaves the answer open after what comes before, until the caller gives up.
	Hang  bool             `json:"hang,omitempty"`
	Meta  json.RawMessage  `json:"meta,omitempty"` // of the text
	Usage llm.Usage        `json:"usage,omitzero"`
	Stop  llm.FinishReason `json:"finishReason,omitempty"`

	// Gate holds the answer back after the text until something comes from it or it is closed.
	Gate <-chan struct{} `json:"-"`
	// Reached gets a value, when there is room, as the answer arrives at its gate, its hang or its end.
	Reached chan<- struct{} `json:"-"`
}

// Call is a tool call.
type Call struct {
	ID    string          `json:"id"`
	Tool  string          `json:"tool"`
	Input json.RawMessage `json:"input,omitempty"`
	// Fragments is the number of deltas of the arguments; 0 means one.
	Fragments int `json:"fragments,omitempty"`
}

// Provider plays a script. It is safe for concurrent use and keeps no state: where it is in a script it reads off the
// messages.
type Provider struct {
	name   string
	script Script
	calls  func(req llm.Request) // for tests that look at requests
}

// New makes a provider. Its name is "script".
func New(s Script) *Provider { return &Provider{name: "script", script: s} }

// Steps makes a provider that answers every message with these steps.
func Steps(steps ...Step) *Provider { return New(Script{Rules: []Rule{{Steps: steps}}}) }

// Typical makes a provider that answers every message with a call of a tool without arguments and then 200 words, one
// delta each: the turn by which the platform is measured.
func Typical(tool string) *Provider {
	return Steps(
		Step{Text: "Let me look. ", Calls: []Call{{ID: "call_1", Tool: tool}}, Usage: llm.Usage{Input: 1000, Output: 20}},
		Step{Text: strings.Repeat("word ", 200), Usage: llm.Usage{Input: 1100, Output: 200}},
	)
}

// Watch has fn called with each request. It MUST be set before the first.
func (p *Provider) Watch(fn func(req llm.Request)) *Provider { p.calls = fn; return p }

// Load reads a script of JSON.
func Load(r io.Reader) (*Provider, error) {
	var s Script
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("script: %w", err)
	}
	for i, rule := range s.Rules {
		if len(rule.Steps) == 0 {
			return nil, fmt.Errorf("script: rule %d has no steps", i+1)
		}
	}
	return New(s), nil
}

// Name implements llm.Provider.
func (p *Provider) Name() string { return p.name }

// Stream implements llm.Provider.
func (p *Provider) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Delta, error] {
	return func(yield func(llm.Delta, error) bool) {
		if p.calls != nil {
			p.calls(req)
		}
		step, err := p.step(req)
		if err != nil {
			yield(llm.Delta{}, err)
			return
		}
		err = play(ctx, step, func(d llm.Delta) bool { return ctx.Err() == nil && yield(d, nil) })
		switch {
		case errors.Is(err, errLeft) && ctx.Err() != nil:
			yield(llm.Delta{}, ctx.Err())
		case err != nil && !errors.Is(err, errLeft):
			yield(llm.Delta{}, err)
		}
	}
}

// step finds the rule for the user's last message, and in it the step after those that have been played since.
func (p *Provider) step(req llm.Request) (Step, error) {
	last, played := -1, 0
	for i, m := range req.Messages {
		switch m.Role {
		case llm.RoleUser:
			last, played = i, 0
		case llm.RoleAssistant:
			played++
		}
	}
	var text strings.Builder
	if last >= 0 {
		for _, part := range req.Messages[last].Parts {
			text.WriteString(part.Text)
		}
	}
	for _, r := range p.script.Rules {
		if len(r.Steps) > 0 && strings.Contains(text.String(), r.Match) {
			return r.Steps[min(played, len(r.Steps)-1)], nil
		}
	}
	return Step{}, errs.New(errs.Unavailable, "The script has no answer to this message.")
}

// errLeft says that the reader has gone.
var errLeft = errors.New("left")

func play(ctx context.Context, s Step, send func(llm.Delta) bool) error {
	var left error
	emit := func(d llm.Delta) {
		if left == nil && !send(d) {
			left = errLeft
		}
	}
	if s.Reasoning != "" {
		emit(llm.Delta{Type: llm.ReasoningStart})
		pieces(s.Reasoning, s.Piece, func(t string) { emit(llm.Delta{Type: llm.ReasoningDelta, Text: t}) })
		emit(llm.Delta{Type: llm.ReasoningEnd})
	}
	if s.Text != "" {
		emit(llm.Delta{Type: llm.TextStart})
		for range max(1, s.Repeat) {
			pieces(s.Text, s.Piece, func(t string) { emit(llm.Delta{Type: llm.TextDelta, Text: t}) })
		}
	}
	if left != nil {
		return left
	}
	if err := pause(ctx, s); err != nil {
		return err
	}
	if s.Text != "" {
		emit(llm.Delta{Type: llm.TextEnd, Meta: s.Meta})
	}
	for _, c := range s.Calls {
		input := string(c.Input)
		if input == "" {
			input = "{}"
		}
		emit(llm.Delta{Type: llm.CallStart, CallID: c.ID, Tool: c.Tool})
		size := (len(input) + max(1, c.Fragments) - 1) / max(1, c.Fragments)
		pieces(input, size, func(t string) { emit(llm.Delta{Type: llm.CallDelta, CallID: c.ID, Text: t}) })
		emit(llm.Delta{Type: llm.CallEnd, CallID: c.ID, Tool: c.Tool, Input: json.RawMessage(input)})
	}
	reason := s.Stop
	switch {
	case reason != "":
	case len(s.Calls) > 0:
		reason = llm.ToolCalls
	default:
		reason = llm.Stop
	}
	emit(llm.Delta{Type: llm.Finish, Reason: reason, Usage: s.Usage})
	return left
}

// pause does what a step does after its text: tells that it is there, waits, hangs or fails.
func pause(ctx context.Context, s Step) error {
	if s.Reached != nil {
		select {
		case s.Reached <- struct{}{}:
		default:
		}
	}
	if s.Gate != nil {
		select {
		case <-s.Gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.Error != "" {
		code := s.Code
		if code == "" {
			code = errs.Unavailable
		}
		return errs.New(code, "%s", s.Error)
	}
	return nil
}

// pieces cuts a text into words with the space after them, or into pieces of size characters.
func pieces(text string, size int, send func(string)) {
	for text != "" {
		n := len(text)
		if size > 0 {
			n = 0
			for i := 0; i < size && n < len(text); i++ {
				_, w := utf8.DecodeRuneInString(text[n:])
				n += w
			}
		} else if i := strings.IndexByte(text, ' '); i >= 0 {
			n = i + 1
		}
		send(text[:n])
		text = text[n:]
	}
}
