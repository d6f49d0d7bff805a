package app

import (
	"context"
	"iter"
	"net"
	"os"

	"yardmaster/internal/chat"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
	"yardmaster/internal/secret"
	"yardmaster/internal/server"
	"yardmaster/internal/skill"
)

// Packages on the same level don't know each other; here they are introduced.

// chats is the chat service in the server's terms.
type chats struct{ *chat.Service }

func (c chats) Send(ctx context.Context, in server.ChatIn) (server.ChatTurn, error) {
	t, err := c.Service.Send(ctx, chat.SendIn{ChatID: in.ChatID, Messages: in.Messages, Trigger: in.Trigger, MessageID: in.MessageID, Model: in.Model})
	return server.ChatTurn{ID: t.ID, ChatID: t.ChatID, MessageID: t.MessageID}, err
}

func (c chats) Wait(ctx context.Context, turnID string) (server.ChatResult, error) {
	r, err := c.Service.Wait(ctx, turnID)
	if err == nil && r.Error != "" {
		err = errs.New(errs.Unavailable, "%s", r.Error)
	}
	return server.ChatResult{Text: r.Text, Stopped: r.Status == chat.Stopped}, err
}

// placer is the store of skills in the fleet's terms.
type placer struct{ *skill.Service }

func (p placer) Version(ctx context.Context, ref string, n int) (fleet.SkillVersion, error) {
	v, err := p.Service.Version(ctx, ref, n)
	return fleet.SkillVersion{ID: v.Skill, Name: v.Name, Version: v.Version, Digest: v.Digest}, err
}

func (p placer) Place(ctx context.Context, digest string, dir *os.Root, name string, withhold []string) error {
	return p.Service.Place(ctx, digest, dir, name, withhold)
}

// installs is the fleet in the terms of the store of skills.
type installs struct{ fleet *fleet.Service }

func (i installs) Installed(ctx context.Context, skillID string) ([]string, error) {
	users, err := i.fleet.SkillUsers(ctx, skillID)
	names := make([]string, len(users))
	for n, u := range users {
		names[n] = u.Name
	}
	return names, err
}

func (i installs) UninstallAll(ctx context.Context, skillID string) error {
	return i.fleet.RemoveSkill(ctx, skillID)
}

// lookup is the fleet in the terms of the store of secrets.
type lookup struct{ fleet *fleet.Service }

func (l lookup) ResolveMany(ctx context.Context, refs []string) ([]secret.InstanceRef, error) {
	found, err := l.fleet.ResolveMany(ctx, refs)
	out := make([]secret.InstanceRef, len(found))
	for i, f := range found {
		out[i] = secret.InstanceRef{ID: f.ID, Name: f.Name}
	}
	return out, err
}

// baseURL is where this server is reached, for addresses in answers, or "" when that can't be told: before it serves, or
// when it listens on all of a machine's addresses.
func (a *App) baseURL() string {
	if p := a.base.Load(); p != nil {
		return *p
	}
	return ""
}

func baseURL(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); !ok || tcp.IP.IsUnspecified() {
		return ""
	}
	return "http://" + addr.String()
}

// followLog follows an instance's log for the server.
func (a *App) followLog(ctx context.Context, instance string, q server.LogQuery) (iter.Seq2[any, error], error) {
	if _, err := a.Services.Fleet.Resolve(ctx, instance); err != nil {
		return nil, err
	}
	in := fleet.LogsIn{ID: instance, Since: q.Since}
	if q.Tail >= 0 {
		in.Tail = q.Tail
	}
	return func(yield func(any, error) bool) {
		for line, err := range a.Services.Fleet.Follow(ctx, in) {
			if !yield(line, err) {
				return
			}
		}
	}, nil
}

// followEvents follows an experiment's events for the server.
func (a *App) followEvents(log *event.Log) func(context.Context, string, int64) (iter.Seq2[event.Event, error], error) {
	return func(ctx context.Context, ref string, after int64) (iter.Seq2[event.Event, error], error) {
		out, err := a.Services.Experiments.Get(ctx, experiment.RefIn{ID: ref})
		if err != nil {
			return nil, err
		}
		return log.Follow(ctx, op.ActorFrom(ctx).Account, out.Experiment.ID, after), nil
	}
}
