// Package planner is the built-in model: an llm.Provider that needs no key and no network. It understands requests about
// the platform in plain English and answers with tool calls and text, exactly as a model would.
//
// It sees only the request: the messages, the tools with their schemas and vocabulary, and the results so far. It keeps
// no state. On every call it reads the last user message again, plans the whole turn again, and finds in the messages
// which of the plan's calls have been answered; it then emits those that are due next, or the closing text. So a turn
// survives the death of the process, and the same messages always give the same answer.
//
// The way of a sentence: lang splits it into tokens; preface cuts out literal text (file contents, instructions);
// clauses splits it into requests; mentions finds the things spoken of; frames ranks the tools that could be meant; the
// act_ files turn a reading into calls; the speak_ files turn results into words.
package planner

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"iter"
	"strings"
	"sync/atomic"

	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
)

// Planner is the built-in provider. It keeps nothing of a conversation; the zero value is ready for use by any number of
// callers.
type Planner struct {
	// last is the lexicon of the tool list that was seen last: nearly every call brings the same.
	last atomic.Pointer[cachedLexicon]
}

type cachedLexicon struct {
	key     uint64
	lexicon *lexicon
}

// lexiconOf answers the lexicon of a tool list. A lexicon never changes once it is made.
func (p *Planner) lexiconOf(tools []llm.Tool) *lexicon {
	h := fnv.New64a()
	for _, t := range tools {
		for _, part := range [][]string{{t.Name, t.Effect, t.Resource, t.Description, string(t.Schema)}, t.Verbs, t.Nouns, t.Examples} {
			for _, s := range part {
				_, _ = h.Write([]byte(s))
				_, _ = h.Write([]byte{0})
			}
			_, _ = h.Write([]byte{1})
		}
	}
	if c := p.last.Load(); c != nil && c.key == h.Sum64() {
		return c.lexicon
	}
	c := &cachedLexicon{h.Sum64(), newLexicon(tools)}
	p.last.Store(c)
	return c.lexicon
}

// New makes the provider.
func New() *Planner { return &Planner{} }

// Name is the provider's part of a model name: builtin.
func (*Planner) Name() string { return "builtin" }

// maxRequest bounds the message that is read, in bytes. What is longer is a document rather than a request.
const maxRequest = 20_000

// Stream answers one model call.
func (p *Planner) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Delta, error] {
	return func(yield func(llm.Delta, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(llm.Delta{}, err)
			return
		}
		a, err := p.answer(req)
		if err != nil {
			yield(llm.Delta{}, err)
			return
		}
		for d := range a.deltas(usage(req, a)) {
			if err := ctx.Err(); err != nil {
				yield(llm.Delta{}, err)
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

// answer plans; a defect in the planning is an error of this call, never a crash of the process.
func (p *Planner) answer(req llm.Request) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errs.New(errs.Internal, "The built-in planner failed on this message; please say it in other words.")
		}
	}()
	return p.respond(req), nil
}

// call is a tool call to make.
type call struct {
	id, tool string
	in       object
}

// answer is what one model call comes to: calls, or a text that ends the turn.
type answer struct {
	calls []call
	text  string
	note  *note
}

// deltas streams the answer: text a few words at a time, each call's arguments in fragments.
func (a answer) deltas(u llm.Usage) iter.Seq[llm.Delta] {
	return func(yield func(llm.Delta) bool) {
		if a.text != "" {
			var meta json.RawMessage
			if a.note != nil {
				meta, _ = json.Marshal(a.note)
			}
			if !yield(llm.Delta{Type: llm.TextStart}) {
				return
			}
			for rest := a.text; rest != ""; {
				n := pieceEnd(rest)
				if !yield(llm.Delta{Type: llm.TextDelta, Text: rest[:n]}) {
					return
				}
				rest = rest[n:]
			}
			if !yield(llm.Delta{Type: llm.TextEnd, Meta: meta}) {
				return
			}
		}
		for _, c := range a.calls {
			in, _ := json.Marshal(c.in)
			if !yield(llm.Delta{Type: llm.CallStart, CallID: c.id, Tool: c.tool}) {
				return
			}
			for rest := string(in); rest != ""; {
				n := min(len(rest), 200)
				for n < len(rest) && rest[n]&0xC0 == 0x80 { // never inside a character
					n++
				}
				if !yield(llm.Delta{Type: llm.CallDelta, CallID: c.id, Text: rest[:n]}) {
					return
				}
				rest = rest[n:]
			}
			if !yield(llm.Delta{Type: llm.CallEnd, CallID: c.id, Tool: c.tool, Input: in}) {
				return
			}
		}
		reason := llm.Stop
		if len(a.calls) > 0 {
			reason = llm.ToolCalls
		}
		yield(llm.Delta{Type: llm.Finish, Reason: reason, Usage: u})
	}
}

// pieceEnd is the length of the next few words of a text.
func pieceEnd(s string) int {
	words, size := 0, 160
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\n' {
			if words++; words == 6 || i >= size {
				return i + 1
			}
		}
	}
	return len(s)
}

// usage counts roughly as models do, four bytes to a token.
func usage(req llm.Request, a answer) llm.Usage {
	in, out := len(req.System), len(a.text)
	for _, m := range req.Messages {
		for _, p := range m.Parts {
			in += len(p.Text) + len(p.Input) + len(p.Output)
		}
	}
	for _, c := range a.calls {
		b, _ := json.Marshal(c.in)
		out += len(b)
	}
	return llm.Usage{Input: int64(in+3) / 4, Output: int64(out+3) / 4}
}

// respond plans the turn and answers what is due next.
func (p *Planner) respond(req llm.Request) answer {
	history := readHistory(req.Messages)
	if len(history) == 0 {
		return answer{text: "There is no message to answer."}
	}
	r := newRun(p.lexiconOf(req.Tools), history)
	if strings.TrimSpace(r.now.user) == "" {
		return answer{text: "The message has no text. Say what should be done, for example: list my instances."}
	}
	if len(r.now.user) > maxRequest {
		return answer{text: "That message is too long for me to read as a request (at most 20,000 characters). Put long text into a file, and say in a sentence or two what should be done."}
	}
	r.plan()
	if len(r.due) > 0 {
		return answer{calls: r.due}
	}
	text, n := r.closing()
	return answer{text: text, note: n}
}
