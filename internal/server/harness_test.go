package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/op"
	"yardmaster/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodKey = "ck_live_0123456789abcdef"
	readKey = "ck_live_fedcba9876543210"
)

// keys is an Authenticator with two callers: one with all rights, one that may only read things.
type keys struct{}

func (keys) Authenticate(_ context.Context, bearer string) (op.Actor, error) {
	switch bearer {
	case goodKey:
		return op.Actor{Account: "acct_a", Scopes: []string{"*"}}, nil
	case readKey:
		return op.Actor{Account: "acct_a", Scopes: []string{"things:read"}}, nil
	}
	return op.Actor{}, errs.New(errs.Unauthenticated, "This API key is not valid here.")
}

type thing struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Count  int               `json:"count"`
	Labels map[string]string `json:"labels"`
}

type thingOut struct {
	Thing thing `json:"thing"`
}

type listIn struct {
	Label string   `json:"label,omitempty" doc:"A label."`
	Names []string `json:"names,omitempty" doc:"Names."`
	Sizes []int    `json:"sizes,omitempty" doc:"Sizes."`
	Deep  bool     `json:"deep,omitempty" doc:"Deep or not."`
	Limit int      `json:"limit,omitempty" doc:"At most so many." min:"1" max:"500"`
	Any   any      `json:"any,omitempty" doc:"One or many." oneOf:"string,array"`
	Obj   *filter  `json:"obj,omitempty" doc:"A filter."`
}

type filter struct {
	From int `json:"from,omitempty" doc:"From."`
}

type listOut struct {
	In     listIn  `json:"in"`
	Things []thing `json:"things"`
}

type createIn struct {
	Name   string             `json:"name" doc:"The name." minLen:"1" maxLen:"20"`
	Count  int                `json:"count,omitempty" doc:"How many." min:"1" max:"9"`
	Labels map[string]*string `json:"labels,omitempty" doc:"Labels."`
	Config *config            `json:"config,omitempty" doc:"Configuration."`
}

type config struct {
	Limits *limits `json:"limits,omitempty" doc:"Limits."`
}

type limits struct {
	MemoryMB int `json:"memoryMb,omitempty" doc:"Memory." min:"16"`
}

type updateIn struct {
	ID   string `json:"id" doc:"The thing." ref:"thing"`
	Name string `json:"name,omitempty" doc:"The name."`
}

type idIn struct {
	ID string `json:"id" doc:"The thing." ref:"thing"`
}

type okOut struct {
	OK bool `json:"ok"`
}

type writeIn struct {
	ID      string  `json:"id" doc:"The thing." ref:"thing"`
	Path    string  `json:"path" doc:"The path."`
	Content op.Text `json:"content" doc:"The content." in:"body"`
}

type writeOut struct {
	Path string `json:"path"`
	Size int    `json:"size"`
	Key  string `json:"key"`
}

type readIn struct {
	ID   string `json:"id" doc:"The thing." ref:"thing"`
	Path string `json:"path" doc:"The path."`
}

type readOut struct {
	Text string `json:"text"`
}

func (o readOut) RawBody() (contentType string, body []byte) {
	return "text/plain; charset=utf-8", []byte(o.Text)
}

type logsIn struct {
	ID    string `json:"id" doc:"The instance." ref:"instance"`
	Tail  int    `json:"tail,omitempty" doc:"How many lines."`
	Since string `json:"since,omitempty" doc:"From when on."`
}

type logLine struct {
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

type logsOut struct {
	Lines []logLine `json:"lines"`
}

type keyOut struct {
	Key     string `json:"key"`
	Surface string `json:"surface"`
}

func operations() []*op.Operation {
	declare := func(name, route, scope string, effect op.Effect, status int) op.Op {
		return op.Op{Name: name, Route: route, Doc: "Does " + name + ". Really.", Scope: scope, Effect: effect, Status: status, Examples: []string{"do it"}}
	}
	create := declare("things.create", "POST /api/things", "things:write", op.Write, http.StatusCreated)
	create.Example = map[string]any{"name": "a", "labels": map[string]any{"env": "test"}}
	return []*op.Operation{
		op.New(declare("things.list", "GET /api/things", "things:read", op.Read, 0), func(_ context.Context, in listIn) (listOut, error) {
			return listOut{In: in, Things: []thing{}}, nil
		}),
		op.New(create, func(_ context.Context, in createIn) (thingOut, error) {
			if in.Name == "<taken>" {
				return thingOut{}, errs.New(errs.Conflict, "There is a thing named <taken> already. Take another name.")
			}
			return thingOut{thing{ID: "thing_1", Name: in.Name, Count: in.Count, Labels: map[string]string{}}}, nil
		}),
		op.New(declare("things.get", "GET /api/things/{id}", "things:read", op.Read, 0), func(_ context.Context, in idIn) (thingOut, error) {
			switch in.ID {
			case "panic":
				panic("the secret of " + in.ID)
			case "leak":
				return thingOut{}, errors.New("open /var/lib/secret: permission denied")
			case "none":
				return thingOut{}, errs.New(errs.NotFound, "There is no thing %q.", in.ID)
			}
			return thingOut{thing{ID: in.ID, Name: "<b>&</b>", Labels: map[string]string{}}}, nil
		}),
		op.New(declare("things.update", "PUT /api/things/{id}", "things:write", op.Write, 0), func(_ context.Context, in updateIn) (thingOut, error) {
			return thingOut{thing{ID: in.ID, Name: in.Name, Labels: map[string]string{}}}, nil
		}),
		op.New(declare("things.delete", "DELETE /api/things/{id}", "things:write", op.Destroy, 0), func(context.Context, struct {
			ID    string `json:"id" doc:"The thing."`
			Force bool   `json:"force,omitempty" doc:"Force."`
		}) (okOut, error) {
			return okOut{true}, nil
		}),
		op.New(declare("things.key", "POST /api/things/{id}/key", "things:write", op.Write, 0), func(ctx context.Context, _ idIn) (keyOut, error) {
			return keyOut{op.IdempotencyKey(ctx), op.ActorFrom(ctx).Surface}, nil
		}),
		op.New(declare("files.write", "PUT /api/things/{id}/content", "things:write", op.Write, 0), func(ctx context.Context, in writeIn) (writeOut, error) {
			return writeOut{in.Path, len(in.Content), op.IdempotencyKey(ctx)}, nil
		}),
		op.New(declare("files.read", "GET /api/things/{id}/content", "things:read", op.Read, 0), func(_ context.Context, in readIn) (readOut, error) {
			return readOut{"0123456789 " + in.Path}, nil
		}),
		op.New(declare("instances.logs", "GET /api/instances/{id}/logs", "instances:read", op.Read, 0), func(_ context.Context, in logsIn) (logsOut, error) {
			return logsOut{[]logLine{{"stdout", "tail " + in.Since}}}, nil
		}),
		op.New(declare("chats.stop", "POST /api/chat/{id}/stop", "chats:write", op.Write, 0), func(context.Context, idIn) (okOut, error) {
			return okOut{true}, nil
		}),
		op.New(declare("experiments.get", "GET /api/experiments/{id}", "experiments:read", op.Read, 0), func(_ context.Context, in idIn) (thingOut, error) {
			return thingOut{thing{ID: in.ID}}, nil
		}),
	}
}

func registry(t testing.TB) *op.Registry {
	t.Helper()
	reg := op.NewRegistry()
	if err := reg.Add(operations()...); err != nil {
		t.Fatal(err)
	}
	return reg
}

// yard is a server on a real listener, with a scripted chat behind it.
type yard struct {
	t      testing.TB
	srv    *server.Server
	http   *httptest.Server
	chats  *scriptedChats
	client *http.Client

	mu  sync.Mutex
	log bytes.Buffer
}

func (y *yard) Write(p []byte) (int, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.Write(p)
}

func (y *yard) logged() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.log.String()
}

func open(t testing.TB, change ...func(*server.Config)) *yard {
	t.Helper()
	y := &yard{t: t, chats: newScriptedChats()}
	cfg := server.Config{
		Registry: registry(t), Auth: keys{}, Chats: y.chats, Version: "1.2.3",
		Log:    slog.New(slog.NewJSONHandler(y, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Logs:   followLogs,
		Events: followEvents,
		Mounts: map[string]http.Handler{"POST /api/hooks/trigger/{token}": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
		})},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	y.srv = server.New(cfg)
	y.http = httptest.NewUnstartedServer(nil)
	y.http.Config = y.srv.HTTP()
	y.http.Start()
	y.client = y.http.Client()
	y.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		y.srv.EndStreams()
		y.http.Close()
	})
	return y
}

func followLogs(ctx context.Context, instance string, q server.LogQuery) (iter.Seq2[any, error], error) {
	if instance == "none" {
		return nil, errs.New(errs.NotFound, "There is no instance %q.", instance)
	}
	return func(yield func(any, error) bool) {
		if !yield(logLine{"stdout", "since " + q.Since + "\nnext"}, nil) {
			return
		}
		if instance == "broken" {
			yield(nil, errors.New("read /var/log: input/output error"))
			return
		}
		<-ctx.Done()
	}, nil
}

func followEvents(ctx context.Context, experiment string, after int64) (iter.Seq2[event.Event, error], error) {
	if experiment == "none" {
		return nil, errs.New(errs.NotFound, "There is no experiment %q.", experiment)
	}
	return func(yield func(event.Event, error) bool) {
		for seq := after + 1; seq <= 3; seq++ {
			if !yield(event.Event{Stream: experiment, Seq: seq, Type: "experiment.progress", Data: json.RawMessage(`{"n":"<1>"}`), At: time.Unix(0, 0).UTC()}, nil) {
				return
			}
		}
		<-ctx.Done()
	}, nil
}

// call is a request of a test.
type call struct {
	method, path string
	body         string
	header       map[string]string
	key          string // "" is goodKey, "-" none
}

func (y *yard) request(ctx context.Context, c call) *http.Request {
	y.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, y.http.URL+c.path, body)
	if err != nil {
		y.t.Fatal(err)
	}
	switch c.key {
	case "":
		r.Header.Set("Authorization", "Bearer "+goodKey)
	case "-":
	default:
		r.Header.Set("Authorization", c.key)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.header {
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	return r
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

func (y *yard) do(c call) answer {
	y.t.Helper()
	res, err := y.client.Do(y.request(y.t.Context(), c))
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		y.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(raw)}
}

// problem reads the answer as a problem document and checks that it is a proper one.
func (a answer) problem(t testing.TB) server.Problem {
	t.Helper()
	var p server.Problem
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q of %q", got, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if p.Status != a.status || p.Type == "" || p.Title == "" || p.Detail == "" || p.RequestID == "" {
		t.Errorf("not a proper problem: %+v with status %d", p, a.status)
	}
	return p
}
