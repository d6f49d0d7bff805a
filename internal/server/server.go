// Package server is the HTTP surface: every operation of the registry as a REST endpoint, the chat and its streams, the
// OpenAPI document with a playground, and the health endpoints.
//
// It knows operations, streams and errors, and no domain package: what stands behind the streams comes in by the small
// interfaces of Config. The contract that clients may rely on:
//
//   - Errors are RFC 9457 problem documents, except the refusals of the chat stream, which are one plain sentence,
//     because chat clients show the body to people as it is.
//   - A closed connection ends the reading of a stream, never the work behind it.
//   - Shutdown ends the open streams with a word about it; what they showed goes on or is resumed by the next process.
package server

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"yardmaster/internal/event"
	"yardmaster/internal/op"
)

// Authenticator tells who holds an API key. A refusal is an errs.Unauthenticated error.
type Authenticator interface {
	Authenticate(ctx context.Context, bearer string) (op.Actor, error)
}

// Config is what a server is made of. Registry and Auth are needed; a stream whose source is nil is not served.
type Config struct {
	Registry *op.Registry
	Auth     Authenticator
	Chats    Chats
	// Logs follows the log of an instance, given by id or name: lines from since on (or the last tail lines), then each
	// new one until ctx ends. Lines are sent as JSON. The error is the one of an unknown instance or a bad parameter.
	Logs func(ctx context.Context, instance string, q LogQuery) (iter.Seq2[any, error], error)
	// Events follows the events of an experiment, given by id or name, with numbers above after, until ctx ends.
	Events func(ctx context.Context, experiment string, after int64) (iter.Seq2[event.Event, error], error)

	// Version is the program's version, for the OpenAPI document and the start page.
	Version string
	Log     *slog.Logger
	// Ready tells whether requests can be served; nil means always.
	Ready func() bool
	// Home serves "/" and everything under it that is not served otherwise (the console); nil serves a start page.
	Home http.Handler
	// Mounts are further handlers by http.ServeMux pattern (webhook receipt, MCP). They check their callers themselves.
	Mounts map[string]http.Handler
	// Origins are the web origins that may call the API from browsers. Empty means all: callers are known by a key that
	// a browser never adds by itself, so a foreign page can do nothing in a visitor's name.
	Origins []string
	// BodyLimits are the largest JSON bodies in bytes of operations that need more than DefaultBody, by operation name.
	BodyLimits map[string]int64
	// KeepAlive is the longest silence of a stream; 0 means 15 seconds.
	KeepAlive time.Duration
}

// The largest request bodies, in bytes.
const (
	DefaultBody = 1 << 20  // JSON of an operation
	ChatBody    = 16 << 20 // a chat request: clients send the whole history, with files as data URLs
	RawBody     = 64 << 20 // a file
)

// Server is the HTTP surface of a program.
type Server struct {
	cfg     Config
	log     *slog.Logger
	mux     *http.ServeMux
	handler http.Handler
	metrics serverMetrics
	openapi []byte

	streams context.Context // ends when the server shuts down
	end     context.CancelCauseFunc
}

var errShutdown = errors.New("the server is shutting down")

// New makes a server. The registry MUST be complete. A route that is declared twice panics, as in http.ServeMux.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 15 * time.Second
	}
	s := &Server{cfg: cfg, log: cfg.Log, mux: http.NewServeMux()}
	s.streams, s.end = context.WithCancelCause(context.Background())
	s.metrics.start()
	s.openapi = encodeOpenAPI(OpenAPI(cfg.Registry, cfg.Version))
	s.routes()
	s.handler = s.observed(s.recovered(s.headers(s.mounts())))
	return s
}

// Handler answers the whole surface.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() {
	for _, p := range s.cfg.Registry.All() {
		h := s.operation(p)
		if p.Name == logsOperation && s.cfg.Logs != nil {
			h = s.logs(h)
		}
		s.mux.HandleFunc(p.Route, h)
		if p.Method == http.MethodPut {
			s.mux.HandleFunc(http.MethodPatch+" "+p.Path, h)
		}
	}
	if s.cfg.Chats != nil {
		s.mux.HandleFunc("POST /api/chat", s.chat)
		s.mux.HandleFunc("GET /api/chat/{id}/stream", s.resume)
	}
	if s.cfg.Events != nil {
		s.mux.HandleFunc("GET /api/experiments/{id}/events", s.events)
	}
	s.mux.HandleFunc("GET /openapi.json", s.serveOpenAPI)
	s.mux.HandleFunc("GET /docs", s.page("docs.html"))
	s.mux.HandleFunc("GET /docs/docs.js", s.asset("docs.js", "text/javascript; charset=utf-8"))
	s.mux.HandleFunc("GET /docs/style.css", s.asset("style.css", "text/css; charset=utf-8"))
	s.mux.HandleFunc("GET /healthz", s.health)
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.HandleFunc("GET /metrics", s.serveMetrics)
	if s.cfg.Home == nil {
		s.mux.HandleFunc("GET /{$}", s.page("home.html"))
	}
	s.mux.HandleFunc(catchAll, func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if s.cfg.Home != nil && reads && r.URL.Path != "/api" && !strings.HasPrefix(r.URL.Path, "/api/") {
			s.cfg.Home.ServeHTTP(w, r)
			return
		}
		s.unrouted(w, r)
	})
}

// catchAll is the pattern of requests that no route takes.
const catchAll = "/"

// mounts puts the mounted handlers before the routes. They have a mux of their own, because a mounted path such as
// /api/webhooks/trigger/{token} may overlap with a route such as /api/webhooks/{id}/runs.
func (s *Server) mounts() http.Handler {
	if len(s.cfg.Mounts) == 0 {
		return s.mux
	}
	outer := http.NewServeMux()
	for pattern, h := range s.cfg.Mounts {
		outer.Handle(pattern, h)
	}
	outer.Handle(catchAll, s.mux)
	return outer
}

// HTTP makes the http.Server to serve with. Its limits on time fit streams that stay open for hours: what may take only
// so long (headers, bodies, a single write) is limited where it happens.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// EndStreams ends every open stream and refuses new ones. Call it before http.Server.Shutdown, which waits for them.
func (s *Server) EndStreams() { s.end(errShutdown) }

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok\n")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.streams.Err() != nil || s.cfg.Ready != nil && !s.cfg.Ready() {
		writeText(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}
