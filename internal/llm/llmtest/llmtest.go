// Package llmtest is the suite that every llm.Provider runs.
package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"unicode/utf8"

	"yardmaster/internal/llm"
)

// Subject is a provider under test and requests that it is known to answer in some way.
type Subject struct {
	Provider llm.Provider
	// Text is a request that is answered with text and no call.
	Text llm.Request
	// Tool is a request that is answered with at least one call; leave it without messages to skip the tests of calls.
	Tool llm.Request
	// Slow is a request whose answer goes on until its context ends; leave it without messages when there is none.
	Slow llm.Request
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("name", func(t *testing.T) {
		t.Parallel()
		if s.Provider.Name() == "" {
			t.Error("the provider has no name")
		}
	})
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		a := collect(t, s.Provider, s.Text)
		if a.Text == "" || len(a.Calls) != 0 || a.Reason != llm.Stop {
			t.Errorf("got %+v, want a text, no call and the reason stop", a)
		}
	})
	t.Run("calls", func(t *testing.T) {
		t.Parallel()
		if len(s.Tool.Messages) == 0 {
			t.Skip("the subject makes no calls")
		}
		a := collect(t, s.Provider, s.Tool)
		if len(a.Calls) == 0 || a.Reason != llm.ToolCalls {
			t.Errorf("got %+v, want calls and the reason tool-calls", a)
		}
	})
	t.Run("leave early", func(t *testing.T) {
		t.Parallel()
		all := 0
		for range s.Provider.Stream(t.Context(), s.Text) {
			all++
		}
		for n := 1; n <= min(all, 8); n++ {
			seen := 0
			for range s.Provider.Stream(t.Context(), s.Text) { // a yield after false panics
				if seen++; seen == n {
					break
				}
			}
		}
	})
	t.Run("cancelled before", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantCancelled(t, s.Provider.Stream(ctx, s.Text))
	})
	t.Run("cancelled during", func(t *testing.T) {
		t.Parallel()
		if len(s.Slow.Messages) == 0 {
			t.Skip("the subject has no answer without an end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		next, stop := iter.Pull2(s.Provider.Stream(ctx, s.Slow))
		defer stop()
		if _, err, ok := next(); !ok || err != nil {
			t.Fatalf("the slow answer did not begin: %v", err)
		}
		cancel()
		for {
			_, err, ok := next()
			if !ok {
				t.Fatal("the answer ended without the error of its context")
			}
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the error is %v, want that of the context", err)
				}
				return
			}
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		t.Parallel()
		want := collect(t, s.Provider, s.Text)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				got, err := Collect(s.Provider.Stream(t.Context(), s.Text))
				if err != nil || got.Text == "" || (got.Text == want.Text) != (len(got.Text) == len(want.Text)) {
					t.Errorf("beside others: %+v, %v", got, err)
				}
			})
		}
		wg.Wait()
	})
}

func wantCancelled(t *testing.T, seq iter.Seq2[llm.Delta, error]) {
	t.Helper()
	var last error
	for _, err := range seq {
		if last != nil {
			t.Error("something follows the error")
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last error is %v, want that of the context", last)
	}
}

func collect(t *testing.T, p llm.Provider, req llm.Request) Answer {
	t.Helper()
	a, err := Collect(p.Stream(t.Context(), req))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Answer is a whole answer of a model.
type Answer struct {
	Text      string
	Reasoning string
	Calls     []llm.Part
	Reason    llm.FinishReason
	Usage     llm.Usage
}

// Collect reads an answer and checks the order of its deltas against the contract of llm.Delta. It answers the provider's
// error, or one that says what is wrong with the order.
func Collect(seq iter.Seq2[llm.Delta, error]) (Answer, error) {
	var a Answer
	open := llm.DeltaType("")
	calls := map[string]string{} // open call → the arguments so far
	seen := map[string]bool{}
	for d, err := range seq {
		if err != nil {
			return a, err
		}
		if a.Reason != "" {
			return a, fmt.Errorf("%s after finish", d.Type)
		}
		if !utf8.ValidString(d.Text) {
			return a, fmt.Errorf("%s with a text that is not UTF-8: %q", d.Type, d.Text)
		}
		switch d.Type {
		case llm.TextStart, llm.ReasoningStart:
			if open != "" || len(calls) > 0 {
				return a, fmt.Errorf("%s while another part is open", d.Type)
			}
			open = d.Type
		case llm.TextDelta, llm.TextEnd, llm.ReasoningDelta, llm.ReasoningEnd:
			want := llm.TextStart
			if d.Type == llm.ReasoningDelta || d.Type == llm.ReasoningEnd {
				want = llm.ReasoningStart
			}
			if open != want {
				return a, fmt.Errorf("%s without %s", d.Type, want)
			}
			switch d.Type {
			case llm.TextDelta:
				a.Text += d.Text
			case llm.ReasoningDelta:
				a.Reasoning += d.Text
			default:
				open = ""
			}
		case llm.CallStart:
			if open != "" {
				return a, errors.New("a call inside a text")
			}
			if d.CallID == "" || d.Tool == "" || seen[d.CallID] {
				return a, fmt.Errorf("call-start without a tool or with an id that is empty or used: %+v", d)
			}
			seen[d.CallID], calls[d.CallID] = true, ""
		case llm.CallDelta:
			if _, ok := calls[d.CallID]; !ok {
				return a, fmt.Errorf("call-delta for %q, which is not open", d.CallID)
			}
			calls[d.CallID] += d.Text
		case llm.CallEnd:
			text, ok := calls[d.CallID]
			if !ok {
				return a, fmt.Errorf("call-end for %q, which is not open", d.CallID)
			}
			if text != "" && !sameJSON(text, string(d.Input)) {
				return a, fmt.Errorf("the fragments of the call %q give %q, its end says %q", d.CallID, text, d.Input)
			}
			delete(calls, d.CallID)
			a.Calls = append(a.Calls, llm.Part{Type: llm.ToolCall, CallID: d.CallID, Tool: d.Tool, Input: d.Input, Meta: d.Meta})
		case llm.Finish:
			if open != "" || len(calls) > 0 {
				return a, errors.New("finish while a part is open")
			}
			if a.Reason = d.Reason; a.Reason == "" {
				return a, errors.New("finish without a reason")
			}
			a.Usage = d.Usage
		default:
			return a, fmt.Errorf("the delta %q is unknown", d.Type)
		}
	}
	if a.Reason == "" {
		return a, errors.New("the answer ended without finish")
	}
	return a, nil
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	ra, errA := json.Marshal(x)
	rb, errB := json.Marshal(y)
	return errA == nil && errB == nil && string(ra) == string(rb)
}
