// Package apptest boots the whole program for tests: on a port of its own, on a data folder of its own, with real
// instances, and with a scripted model where a test says what the model answers.
package apptest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"yardmaster/internal/app"
	"yardmaster/internal/config"
	"yardmaster/internal/llm"
	"yardmaster/internal/sandbox/native"
)

// Key is the API key of the first account of every Yard.
const Key = "ck_live_apptest_0123456789abcdef"

// Version is the version that a Yard says it has.
const Version = "0.0.0-test"

// stopTime bounds how long a Yard may take to stop.
const stopTime = 30 * time.Second

// Yard is the whole program at work.
type Yard struct {
	*Client // of the first account, with all rights

	App  *app.App
	Data string // the data folder
	// Other is a client of a second account, with all rights there.
	Other *Client

	t       testing.TB
	options options
	cancel  context.CancelFunc
	served  chan error
}

type options struct {
	providers []llm.Provider
	model     string
	data      string
	instances bool
	edit      func(*config.Config)
	log       *slog.Logger
}

// Option changes what Start boots.
type Option func(*options)

// Model adds a provider and makes its model "test" the default one.
func Model(p llm.Provider) Option {
	return func(o *options) { o.providers, o.model = append(o.providers, p), p.Name()+"/test" }
}

// Data boots on a data folder that is there already.
func Data(dir string) Option { return func(o *options) { o.data = dir } }

// Config changes the settings.
func Config(edit func(*config.Config)) Option { return func(o *options) { o.edit = edit } }

// Log takes the program's log.
func Log(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// Instances says that the test needs instances that run: where this machine refuses them, the test is skipped aloud, and
// fails under CI=true.
func Instances() Option { return func(o *options) { o.instances = true } }

// Start boots the program and stops it when the test ends.
func Start(t testing.TB, opts ...Option) *Yard {
	t.Helper()
	y := &Yard{t: t}
	for _, opt := range opts {
		opt(&y.options)
	}
	if y.options.instances {
		NeedInstances(t)
	}
	y.Data = y.options.data
	if y.Data == "" {
		y.Data = Folder(t)
	}
	y.boot()
	t.Cleanup(y.Stop)
	return y
}

func (y *Yard) boot() {
	t, o := y.t, y.options
	t.Helper()
	cfg := config.Config{Data: y.Data, Model: o.model, Driver: "native", MaxInstances: 200, BootstrapKey: Key}
	if o.edit != nil {
		o.edit(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.Open(ctx, cfg, app.Options{Log: o.log, Version: Version, Providers: o.providers})
	if err != nil {
		cancel()
		_ = ln.Close()
		t.Fatalf("the program does not start: %v", err)
	}
	y.App, y.cancel, y.served = a, cancel, make(chan error, 1)
	go func(served chan<- error) { served <- a.Serve(ctx, ln) }(y.served)
	y.Client = NewClient(t, "http://"+ln.Addr().String(), Key)
	y.Other = NewClient(t, y.URL, y.second(ctx))
	Until(t, stopTime, "commands find the server", func() bool { _, _, ok := app.Running(y.Data); return ok })
}

// second makes the second account, once per data folder.
func (y *Yard) second(ctx context.Context) string {
	y.t.Helper()
	path := filepath.Join(y.Data, "second.key")
	if key, err := os.ReadFile(path); err == nil {
		return string(key)
	}
	account, key, err := y.App.Services.Auth.CreateAccount(ctx, "second")
	if err == nil {
		err = y.App.Services.Skills.Seed(ctx, account)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(key), 0o600)
	}
	if err != nil {
		y.t.Fatalf("a second account: %v", err)
	}
	return key
}

// Stop stops the program as a signal would, and waits for its end.
func (y *Yard) Stop() {
	y.t.Helper()
	if y.cancel == nil {
		return
	}
	y.Client.closeIdle()
	y.Other.closeIdle()
	y.cancel()
	y.cancel = nil
	select {
	case err := <-y.served:
		if err != nil {
			y.t.Errorf("the program did not end well: %v", err)
		}
	case <-time.After(stopTime):
		y.t.Errorf("the program did not end within %s", stopTime)
	}
}

// Restart stops the program and boots it again on the same data folder.
func (y *Yard) Restart() {
	y.t.Helper()
	y.Stop()
	y.boot()
}

// Folder makes a data folder. Instances of a server that runs as root have user ids of their own, which must be able to
// pass through every folder above their home.
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil { // not ours, and so none that was made for the test
			break
		}
	}
	return dir
}

var probe = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "apptest-probe-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	d, err := native.New(native.Options{StateDir: filepath.Join(dir, "driver")})
	if err != nil {
		return err
	}
	_, err = d.Probe(context.Background())
	if e := d.Close(); err == nil {
		err = e
	}
	return err
})

// NeedInstances ends the test where this machine can't run instances.
func NeedInstances(t testing.TB) {
	t.Helper()
	if err := probe(); err != nil {
		Missing(t, "instances can't be run on this machine: %v", err)
	}
}

// Missing ends a test that lacks something: skipped aloud on a person's machine, failed under CI=true.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Until asks again and again until done says yes, and fails the test when it has not within the time.
func Until(t testing.TB, within time.Duration, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", within, what)
		case <-tick.C:
		}
	}
}
