// Package app puts the program together. It is the only package that knows every concrete type.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"yardmaster/internal/audit"
	"yardmaster/internal/auth"
	"yardmaster/internal/automation"
	"yardmaster/internal/catalog"
	"yardmaster/internal/chat"
	"yardmaster/internal/config"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/job"
	"yardmaster/internal/ledger"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/planner"
	"yardmaster/internal/op"
	"yardmaster/internal/operator"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native"
	"yardmaster/internal/secret"
	"yardmaster/internal/server"
	"yardmaster/internal/skill"
	"yardmaster/internal/webhook"
	"yardmaster/skills"
)

// shutdownGrace is how long requests under way may take when the server stops.
const shutdownGrace = 5 * time.Second

// Options are what a caller may give beside the settings.
type Options struct {
	Log     *slog.Logger
	Version string
	// Providers are added to the built-in ones, and come first.
	Providers []llm.Provider
	// Driver replaces the configured one.
	Driver sandbox.Driver
	// FirstKey is told the API key that this start makes, as soon as there is one: nothing else ever knows it again, even
	// when the start fails after that.
	FirstKey func(key string)
}

// App is the whole program on one data folder.
type App struct {
	// LocalKey is the key that commands of the same user find in the data folder.
	LocalKey string
	// Account is the first account.
	Account  string
	Registry *op.Registry
	Services catalog.Services

	cfg     config.Config
	log     *slog.Logger
	handler *server.Server
	base    atomic.Pointer[string]
	closers []func() error // run in the reverse order
}

// Open puts the program together on a data folder, takes up what an earlier run left, and is ready to serve.
func Open(ctx context.Context, cfg config.Config, o Options) (_ *App, err error) {
	a := &App{cfg: cfg, log: o.Log}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	// Instances of a server that runs as root have user ids of their own, which must be able to pass through.
	if err := os.MkdirAll(cfg.Data, 0o711); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The data folder %s can't be made: %v. Choose another with --data.", cfg.Data, err)
	}
	held, err := lock(cfg.Data)
	if err != nil {
		return nil, err
	}
	a.onClose(held.Close)

	dsn := cfg.Database
	if dsn == "" {
		dsn = "sqlite:" + filepath.Join(cfg.Data, "yardmaster.db")
	}
	d, err := db.Open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	a.onClose(d.Close)
	events, jobs := event.New(d), job.New(d, a.log, true)

	s := &a.Services
	s.Auth = auth.New(d)
	var first string
	if a.Account, first, err = s.Auth.Bootstrap(ctx, cfg.BootstrapKey); err != nil {
		return nil, err
	}
	if first != "" && o.FirstKey != nil {
		o.FirstKey(first)
	}
	if a.LocalKey, err = a.localKey(ctx); err != nil {
		return nil, err
	}
	if err := a.instances(ctx, d, events, o); err != nil {
		return nil, err
	}
	s.Audit = audit.New(d, audit.Options{Scrub: s.Secrets.Scrub})
	if n, err := s.Audit.Recover(ctx); err != nil {
		return nil, err
	} else if n > 0 {
		a.log.Warn("writes were broken off by the end of an earlier run; the audit log has them as unknown", "writes", n)
	}
	effects := ledger.New(d, s.Audit)
	a.Registry = op.NewRegistry(effects.Middleware())
	if err := a.talk(d, events, jobs, o); err != nil {
		return nil, err
	}
	if err := a.Registry.Add(catalog.Operations(*s)...); err != nil {
		return nil, err
	}
	if err := jobs.Start(ctx); err != nil {
		return nil, err
	}
	a.onClose(func() error { s.Chats.Close(); return nil }) // after the queue, whose turns it lets go of
	a.onClose(func() error { jobs.Stop(); return nil })
	s.Automations.Start(ctx)
	a.onClose(func() error { s.Automations.Stop(); return nil })
	if err := effects.Prune(ctx); err != nil {
		a.log.Warn("old outcomes could not be removed", "error", err)
	}
	a.handler = server.New(server.Config{
		Registry: a.Registry, Auth: auth.NewLimiter(s.Auth, auth.Limits{Key: cfg.RateLimit, Account: cfg.AccountLimit}), Chats: chats{s.Chats}, Logs: a.followLog, Events: a.followEvents(events),
		Version: o.Version, Log: a.log,
		Mounts:     map[string]http.Handler{webhook.TriggerPattern: s.Webhooks.Handler(server.WriteProblem)},
		BodyLimits: map[string]int64{"skills.create": 16 << 20, "skills.update": 16 << 20}, // larger ones are imported from a source
	})
	return a, nil
}

// newDriver makes the driver that the settings name.
func newDriver(cfg config.Config, state string) (sandbox.Driver, error) {
	switch cfg.Driver {
	case "native":
		return native.New(native.Options{StateDir: state})
	default:
		return nil, errs.BadField("driver", "%q is not known; this build has: native", cfg.Driver)
	}
}

// instances makes what instances are made of: the driver, skills, secrets and the fleet itself.
func (a *App) instances(ctx context.Context, d *db.DB, events *event.Log, o Options) (err error) {
	s := &a.Services
	driver := o.Driver
	if driver == nil {
		if driver, err = newDriver(a.cfg, filepath.Join(a.cfg.Data, "driver")); err != nil {
			return err
		}
		a.onClose(driver.Close)
	}
	facts, err := driver.Probe(ctx)
	if err != nil { // everything but instances works; each of these says why it does not start
		a.log.Error("instances can't be started on this machine", "error", err)
	}
	s.Skills, err = skill.New(ctx, skill.Options{DB: d, Events: events, Dir: filepath.Join(a.cfg.Data, "skills"), Bundled: skills.FS(), Log: a.log,
		Importer: &skill.Importer{LocalRoots: filepath.SplitList(a.cfg.ImportFrom)}})
	if err != nil {
		return err
	}
	a.onClose(s.Skills.Close)
	s.Secrets, err = secret.New(ctx, secret.Options{DB: d, Events: events, Dir: a.cfg.Data, MasterKey: a.cfg.MasterKey})
	if err != nil {
		return err
	}
	s.Fleet, err = fleet.New(fleet.Options{
		DB: d, Events: events, Dir: filepath.Join(a.cfg.Data, "instances"), Driver: driver, Facts: facts,
		Skills: placer{s.Skills}, Secrets: s.Secrets, Scrub: s.Secrets.Scrub, Log: a.log, Capacity: a.cfg.MaxInstances,
	})
	if err != nil {
		return err
	}
	a.onClose(s.Fleet.Close)
	s.Skills.SetInstalls(installs{s.Fleet})
	s.Secrets.SetInstances(lookup{s.Fleet})
	accounts, err := s.Auth.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, account := range accounts {
		if err := s.Skills.Seed(ctx, account); err != nil {
			return fmt.Errorf("bundled skills: %w", err)
		}
	}
	return s.Fleet.Reconcile(ctx)
}

// talk makes the Operator and what speaks to it.
func (a *App) talk(d *db.DB, events *event.Log, jobs *job.Queue, o Options) error {
	s := &a.Services
	brain, err := operator.New(operator.Config{Registry: a.Registry, Providers: append(o.Providers, planner.New()), Model: a.cfg.Model})
	if err != nil {
		return err
	}
	s.Chats = chat.New(chat.Config{DB: d, Events: events, Jobs: jobs, Brain: brain, Seal: s.Secrets, Scrub: s.Secrets.Scrub, Log: a.log})
	s.Automations = automation.New(d, events, jobs, s.Chats, a.log)
	s.Webhooks = webhook.New(webhook.Options{DB: d, Events: events, Jobs: jobs, Talk: s.Chats, Seal: s.Secrets, Log: a.log, BaseURL: a.baseURL})
	s.Experiments = experiment.New(experiment.Options{DB: d, Events: events, Jobs: jobs, Fleet: s.Fleet, Skills: s.Skills, Log: a.log})
	return nil
}

// localKey is the key for commands of the same user. It is kept in the data folder, readable by that user only.
func (a *App) localKey(ctx context.Context) (string, error) {
	path := filepath.Join(a.cfg.Data, keyFile)
	if raw, err := os.ReadFile(path); err == nil {
		key := strings.TrimSpace(string(raw))
		if actor, err := a.Services.Auth.Authenticate(ctx, key); err == nil && actor.Account == a.Account {
			return key, nil
		}
	}
	out, err := a.Services.Auth.CreateKey(op.WithActor(ctx, op.System(a.Account)), auth.CreateKeyIn{Name: "commands on the server's machine"})
	if err != nil {
		return "", err
	}
	if err := writePrivate(path, []byte(out.Key+"\n")); err != nil {
		return "", fmt.Errorf("key for local commands: %w", err)
	}
	return out.Key, nil
}

// Handler is the whole HTTP surface.
func (a *App) Handler() http.Handler { return a.handler.Handler() }

// Serve answers requests on ln until ctx ends, then closes the program. Turns and experiments under way go on at the next
// start.
func (a *App) Serve(ctx context.Context, ln net.Listener) error {
	if err := writeAddress(a.cfg.Data, ln.Addr()); err != nil {
		a.log.Warn("local commands can't find this server", "error", err)
	}
	defer func() { _ = os.Remove(filepath.Join(a.cfg.Data, addressFile)) }()
	base := baseURL(ln.Addr())
	a.base.Store(&base)
	srv := a.handler.HTTP()
	srv.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		a.handler.EndStreams()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
		<-served
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, a.Close())
}

func (a *App) onClose(fn func() error) { a.closers = append(a.closers, fn) }

// Close ends everything that Open began. Serve calls it by itself.
func (a *App) Close() error {
	var failed []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		failed = append(failed, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(failed...)
}
