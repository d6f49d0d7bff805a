// Package chat keeps chats, their messages and their turns.
//
// A turn is one run of the Operator, from a message to rest. Its states and the ways out of each:
//
//	queued  → running   no earlier turn of the chat is left
//	        → stopped   somebody stopped the chat, or replaced the message that it was to answer
//	running → done      the model has answered
//	        → failed    the model, a limit or too many deaths of the process ended it; error says why
//	        → stopped   as above; what was said so far is kept
//	done, failed, stopped are final.
//
// A message, its turn and the turn's job are stored in one transaction, before anything is answered. Turns of a chat run
// strictly one after another. A turn runs on its own, whether or not anybody reads: readers follow its log of chunks, each
// at its own pace. What is worth keeping is stored once a step (what the model answered before its calls are made, their
// results, the end); single deltas live in memory only. When the process dies, the job brings the turn to another, which
// goes on after the last stored step.
package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"yardmaster/internal/agent"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/job"
	"yardmaster/internal/llm"
	"yardmaster/internal/op"
	"yardmaster/internal/uistream"
)

// JobKind is the kind of the jobs that run turns.
const JobKind = "turn"

const (
	// maxQueued bounds how many turns of a chat wait behind the one that runs.
	maxQueued = 10
	// maxAttempts bounds how often a turn is taken up again after the process died or stopped.
	maxAttempts = 10
	// defaultConcurrency bounds how many turns run at once. They mostly wait, for models and instances.
	defaultConcurrency = 256
)

// Status is the state of a turn.
type Status string

// The states of a turn.
const (
	Queued  Status = "queued"
	Running Status = "running"
	Done    Status = "done"
	Failed  Status = "failed"
	Stopped Status = "stopped"
)

var exits = map[Status][]Status{
	Queued:  {Running, Stopped},
	Running: {Done, Failed, Stopped},
}

// Final tells whether a turn with this status has ended.
func (s Status) Final() bool { return len(exits[s]) == 0 }

// May tells whether a turn can go from s to next.
func (s Status) May(next Status) bool {
	return slices.Contains(exits[s], next)
}

// Brain decides by what a turn is answered.
type Brain interface {
	// Model answers the full name of a model, PROVIDER/NAME; the default for "". An unknown one is an Invalid error.
	Model(name string) (string, error)
	// Setup answers the model, the instructions and the tools for a turn of an actor. model is a full name.
	Setup(ctx context.Context, actor op.Actor, model string) (agent.Setup, error)
}

// Sealer encrypts what a turn needs again after a crash and must not be readable in the database.
type Sealer interface {
	Seal(account string, plain []byte) (string, error)
	Open(account, sealed string) ([]byte, error)
}

// Config is what a Service is made of.
type Config struct {
	DB     *db.DB
	Events *event.Log
	Jobs   *job.Queue
	Brain  Brain
	// Seal keeps secrets of turns under way. Without one they are sealed with a key that dies with the process: a turn that
	// was interrupted while it handled a secret then reports that it does not know how that ended.
	Seal Sealer
	// Scrub answers a function that takes the values of an account's secrets out of a text, JSON as well; nil leaves texts as
	// they are.
	Scrub func(account string) func(text string) string
	Log   *slog.Logger
	// Concurrency bounds how many turns run at once; 0 means the default.
	Concurrency int
}

// Service keeps chats and runs turns. Its methods act for the actor in the context.
type Service struct {
	db     *db.DB
	events *event.Log
	jobs   *job.Queue
	brain  Brain
	seal   Sealer
	scrub  func(account string) func(text string) string
	log    *slog.Logger

	mu     sync.Mutex
	lives  map[string]*live // by turn
	recent []*live          // ended ones, oldest first, for readers that come a moment late
	closed bool
}

// New makes a service and registers its job handler: it MUST be called before the queue is started.
func New(c Config) *Service {
	s := &Service{db: c.DB, events: c.Events, jobs: c.Jobs, brain: c.Brain, seal: c.Seal, scrub: c.Scrub, log: c.Log, lives: map[string]*live{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.seal == nil {
		s.seal = NewMemorySealer()
	}
	if s.scrub == nil {
		s.scrub = func(string) func(string) string { return func(text string) string { return text } }
	}
	n := c.Concurrency
	if n <= 0 {
		n = defaultConcurrency
	}
	c.Jobs.Handle(JobKind, n, s.run)
	return s
}

// Close ends the readers of turns that this process does not bring to their end any more: those that wait in a queue. It is
// for the end of the process, after the job queue was stopped.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	left := slices.Collect(maps.Values(s.lives))
	s.mu.Unlock()
	for _, l := range left {
		s.giveUp(l)
	}
}

// giveUp ends a live log before its turn has ended: another run goes on with it.
func (s *Service) giveUp(l *live) {
	s.retire(l, Result{Turn: l.turn}, false, uistream.Chunk{Type: uistream.Error, ErrorText: restarting})
}

// Turn is a turn as Send answers it.
type Turn struct {
	ID        string
	ChatID    string
	MessageID string // of the answer
	Status    Status
}

// Result is how a turn ended.
type Result struct {
	Turn
	Text  string // the texts of the answer, with an empty line between them
	Error string // of a failed turn: a sentence for people
}

// person is the actor of a turn as it is stored: a turn that is taken up again has the rights that it began with.
type person struct {
	User   string   `json:"user,omitempty"`
	KeyID  string   `json:"keyId,omitempty"`
	Origin string   `json:"origin,omitempty"` // the surface that the message came by
	Scopes []string `json:"scopes"`
}

func (t turnRow) actor() (op.Actor, error) {
	var p person
	if err := json.Unmarshal([]byte(t.Actor), &p); err != nil {
		return op.Actor{}, fmt.Errorf("actor of %s: %w", t.ID, err)
	}
	return op.Actor{Account: t.Account, User: p.User, KeyID: p.KeyID, Surface: op.SurfaceOperator, Scopes: p.Scopes, ChatID: t.ChatID, TurnID: t.ID}, nil
}

// caller is the actor of ctx, who must be somebody.
func caller(ctx context.Context) (op.Actor, error) {
	a := op.ActorFrom(ctx)
	if a.Account == "" {
		return a, errs.New(errs.Unauthenticated, "Nobody is signed in.")
	}
	return a, nil
}

func noChat(id string) error { return errs.New(errs.NotFound, "There is no chat %q.", id) }

// event types in the stream of a chat.
const (
	eventQueued   = "turn.queued"
	eventFinished = "turn.finished"
)

// Stream is the name of the event stream of a chat.
func Stream(chatID string) string { return "chat/" + chatID }

type turnEvent struct {
	TurnID    string    `json:"turnId"`
	MessageID string    `json:"messageId"`
	Status    Status    `json:"status"`
	Error     string    `json:"error,omitempty"`
	Steps     int       `json:"steps,omitempty"`
	Usage     llm.Usage `json:"usage,omitzero"`
}

func millis() int64 { return db.Millis(time.Now()) }
