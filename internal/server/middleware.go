package server

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/id"
	"yardmaster/internal/op"
)

const requestIDHeader = "X-Request-Id"

type requestKey struct{}

var requestForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the id of the request that ctx belongs to.
func requestID(ctx context.Context) string {
	v, _ := ctx.Value(requestKey{}).(string)
	return v
}

// recorder notes what a handler answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// observed gives the request its id, counts it and writes the access log. The log shows the route's pattern and not the
// path, because paths can hold tokens.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rid := r.Header.Get(requestIDHeader)
		if !requestForm.MatchString(rid) {
			rid = id.New("req")
		}
		w.Header().Set(requestIDHeader, rid)
		// The mux notes the pattern in the request that it is given, so this one is kept.
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, rid))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			took := time.Since(begin)
			status := rec.status
			if status == 0 {
				status = http.StatusOK
			}
			s.metrics.observe(r.Pattern, status, took)
			s.log.Debug("request", "method", r.Method, "route", r.Pattern, "status", status, "bytes", rec.bytes,
				"took", took, "request", rid)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recovered turns a panic into an internal problem, or breaks the connection when the answer has begun.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := w.(*recorder)
		defer func() {
			v := recover()
			switch {
			case v == nil:
				return
			case v == http.ErrAbortHandler: //nolint:errorlint // the value itself is the signal
				panic(v)
			}
			s.log.Error("panic", "value", v, "route", r.Pattern, "request", rec.Header().Get(requestIDHeader), "stack", string(debug.Stack()))
			if rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			WriteProblem(rec, errs.New(errs.Internal, "Something went wrong on our side. The server's log has the details."))
		}()
		next.ServeHTTP(w, r)
	})
}

const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsRequest = "authorization, content-type, x-response-format, idempotency-key, last-event-id, x-request-id, user-agent, *"
	corsExpose  = "x-chat-id, x-turn-id, x-request-id, x-vercel-ai-ui-message-stream, www-authenticate, retry-after, allow"
)

// headers sets what every answer carries, and answers the preflight requests of browsers.
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		if origin := r.Header.Get("Origin"); origin != "" && s.allowOrigin(h, origin) {
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", corsMethods)
				h.Set("Access-Control-Allow-Headers", corsRequest)
				h.Set("Access-Control-Max-Age", "7200")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			h.Set("Access-Control-Expose-Headers", corsExpose)
		}
		next.ServeHTTP(w, r)
	})
}

// allowOrigin lets a page of the origin read the answer, without the browser's credentials.
func (s *Server) allowOrigin(h http.Header, origin string) bool {
	if len(s.cfg.Origins) == 0 {
		h.Set("Access-Control-Allow-Origin", "*")
		return true
	}
	h.Add("Vary", "Origin")
	if !slices.Contains(s.cfg.Origins, origin) && !slices.Contains(s.cfg.Origins, "*") {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	return true
}

// authenticate answers the request's context with its caller in it.
func (s *Server) authenticate(r *http.Request) (context.Context, error) {
	kind, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if kind == "" {
		return nil, errs.New(errs.Unauthenticated, `An API key is needed. Send it as "Authorization: Bearer ck_live_…".`)
	}
	if key = strings.TrimSpace(key); !strings.EqualFold(kind, "Bearer") || key == "" {
		return nil, errs.New(errs.Unauthenticated, `The Authorization header must be "Bearer ck_live_…".`)
	}
	actor, err := s.cfg.Auth.Authenticate(r.Context(), key)
	if err != nil {
		return nil, err
	}
	actor.Surface, actor.Remote = op.SurfaceREST, remote(r)
	return op.WithActor(r.Context(), actor), nil
}

// remote is the address that a request came from. What it says of itself in headers is not believed.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// authorise is authenticate for what is not an operation: it checks the scope as well.
func (s *Server) authorise(r *http.Request, scope string) (context.Context, error) {
	ctx, err := s.authenticate(r)
	if err != nil {
		return nil, err
	}
	if !op.ActorFrom(ctx).May(scope) {
		return nil, errs.New(errs.Forbidden, "This needs the right %s, which this key does not have.", scope)
	}
	return ctx, nil
}
