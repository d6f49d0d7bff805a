// Package operator says what the Operator is told and what it may do: its instructions, its tools and its model.
package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"yardmaster/internal/agent"
	"yardmaster/internal/errs"
	"yardmaster/internal/llm"
	"yardmaster/internal/op"
)

// Builtin is the model that needs no key.
const Builtin = "builtin/planner"

// Config is what an Operator is made of.
type Config struct {
	Registry  *op.Registry
	Providers []llm.Provider // the first with a name wins
	// Model is the default, PROVIDER/NAME; "" means Builtin.
	Model string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Operator is the chat.Brain of the platform.
type Operator struct {
	registry  *op.Registry
	providers map[string]llm.Provider
	model     string
	now       func() time.Time

	once   sync.Once
	secret map[string][]string
	mu     sync.Mutex
	sets   map[string]*set // by scopes
}

// set is what all actors with the same rights share.
type set struct {
	tools        *agent.Toolset
	instructions string
}

// New makes an Operator. It is an error when the default model has no provider.
func New(c Config) (*Operator, error) {
	o := &Operator{registry: c.Registry, providers: map[string]llm.Provider{}, model: c.Model, now: c.Now, sets: map[string]*set{}}
	for _, p := range c.Providers {
		if o.providers[p.Name()] == nil {
			o.providers[p.Name()] = p
		}
	}
	if o.model == "" {
		o.model = Builtin
	}
	if o.now == nil {
		o.now = time.Now
	}
	if _, err := o.Model(""); err != nil {
		return nil, fmt.Errorf("the default model: %w", err)
	}
	return o, nil
}

// Model answers the full name of a model; the default for "". A name that no provider answers to is an Invalid error.
func (o *Operator) Model(name string) (string, error) {
	if name == "" {
		name = o.model
	}
	provider, model, ok := strings.Cut(name, "/")
	if !ok || model == "" || len(name) > 200 {
		return "", errs.BadField("model", "must be PROVIDER/NAME, such as %s", Builtin)
	}
	if o.providers[provider] == nil {
		names := make([]string, 0, len(o.providers))
		for n := range o.providers {
			names = append(names, n)
		}
		sort.Strings(names)
		return "", errs.BadField("model", "there is no provider %q here; there are %s. Others need their key in the server's environment", provider, strings.Join(names, ", "))
	}
	return name, nil
}

// Setup answers the model, the instructions and the tools for a turn of an actor: the tools are the operations that the
// actor has the right to, and each call goes through the same checks as any other request.
func (o *Operator) Setup(_ context.Context, actor op.Actor, model string) (agent.Setup, error) {
	name, err := o.Model(model)
	if err != nil {
		return agent.Setup{}, err
	}
	provider, model, _ := strings.Cut(name, "/")
	s := o.set(actor)
	out := agent.Setup{
		Provider: o.providers[provider], Model: model, Tools: s.tools,
		System: s.instructions + fmt.Sprintf("\nThe time is %s (UTC). The account is %s.\n", o.now().UTC().Format("Monday 2006-01-02 15:04"), actor.Account),
	}
	if name == Builtin { // it has no context window, and needs lists whole
		out.Budget, out.History = -1, -1
	}
	return out, nil
}

// withheld are operations that no chat may use: the answer is a key that opens the account, and chats are kept.
var withheld = []string{"keys_create"}

func (o *Operator) set(actor op.Actor) *set {
	scopes := slices.Clone(actor.Scopes)
	sort.Strings(scopes)
	key := strings.Join(scopes, "\x00")
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.sets[key]; ok {
		return s
	}
	o.once.Do(func() { o.secret = agent.SecretFields(o.registry) })
	tools := slices.DeleteFunc(agent.Tools(o.registry, actor), func(t llm.Tool) bool { return slices.Contains(withheld, t.Name) })
	do := func(ctx context.Context, tool string, in json.RawMessage) (any, error) {
		return o.registry.Do(ctx, tool, in)
	}
	s := &set{tools: agent.NewToolset(tools, o.secret, do), instructions: instructions(tools)}
	if len(o.sets) >= maxSets { // keys with made-up rights must not fill the memory
		clear(o.sets)
	}
	o.sets[key] = s
	return s
}

const maxSets = 100
