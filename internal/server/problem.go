package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"yardmaster/internal/errs"
)

// Problem is an error as clients get it: RFC 9457 with the code and the wrong fields.
type Problem struct {
	Type      string       `json:"type"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail"`
	Code      errs.Code    `json:"code"`
	Errors    []errs.Field `json:"errors,omitempty"`
	RequestID string       `json:"requestId,omitempty"`
}

// problemOf makes the problem of an error. An error without a code shows nothing of itself.
func problemOf(err error) Problem {
	e := errs.Public(err)
	status := e.HTTPStatus
	if status == 0 {
		status = e.Code.Status()
	}
	return Problem{
		// A relative reference (RFC 9457, 3.1.1): it leads to the text about the code in this server's own documentation.
		Type: "/docs#error-" + string(e.Code), Title: e.Code.Title(), Status: status,
		Detail: e.Error(), Code: e.Code, Errors: e.Fields,
	}
}

// WriteProblem answers a request with an error as a problem document.
func WriteProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	p.RequestID = w.Header().Get(requestIDHeader)
	answerHeaders(w, p, err)
	writeBody(w, p.Status, "application/problem+json", p)
}

// writeSentence answers a request with an error as one plain sentence.
func writeSentence(w http.ResponseWriter, err error) {
	p := problemOf(err)
	answerHeaders(w, p, err)
	writeText(w, p.Status, p.Detail)
}

// answerHeaders says in headers what a client needs to try again: a key, or time.
func answerHeaders(w http.ResponseWriter, p Problem, err error) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="yardmaster"`)
	}
	if wait := errs.Public(err).RetryAfter; wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}

func writeText(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // whether the client got it is its own affair
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptBuffer = 1 << 20 // a larger buffer is not kept for the next answer

// writeBody answers with a value as JSON, without escapes for HTML.
func writeBody(w http.ResponseWriter, status int, contentType string, v any) {
	buf := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer func() {
		if buf.Cap() <= keptBuffer {
			buffers.Put(buf)
		}
	}()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // an output type that JSON can't carry: a defect, answered and logged by recovered
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	allowWrite(w, buf.Len())
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}

// allowWrite gives a client the time in which it must have taken n bytes: a minute, and a second for every 64 KiB.
func allowWrite(w http.ResponseWriter, n int) {
	limit := time.Minute + time.Duration(n/(64<<10))*time.Second
	// A writer without deadlines, as in tests of a handler alone, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
}

// fail answers with an error and logs what the client is not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.logFailure(r, err)
	takeRest := lingering(w, r)
	WriteProblem(w, err)
	takeRest()
}

// refuse is fail with a plain sentence.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.logFailure(r, err)
	takeRest := lingering(w, r)
	writeSentence(w, err)
	takeRest()
}

// The most that is taken of a refused body: a client that sends more, or is slower, may lose the answer.
const (
	lingerBytes = 32 << 20
	lingerTime  = 5 * time.Second
)

// lingering prepares to answer before the body is read, and answers a function that takes the rest of the body after
// that, and keeps nothing of it. Without it, a client that sends its whole body before it reads would find its connection
// reset, and not the answer.
func lingering(w http.ResponseWriter, r *http.Request) func() {
	const little = 256 << 10 // the http package itself takes so much
	// A client that still waits to be told to go on sends nothing.
	if r.ProtoMajor != 1 || r.Body == nil || r.ContentLength >= 0 && r.ContentLength <= little || r.Header.Get("Expect") != "" {
		return func() {}
	}
	rc := http.NewResponseController(w)
	if rc.EnableFullDuplex() != nil {
		return func() {}
	}
	return func() {
		_ = rc.Flush()
		_ = rc.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
		_ = rc.SetReadDeadline(time.Time{})
	}
}

func (s *Server) logFailure(r *http.Request, err error) {
	if errs.CodeOf(err) != errs.Internal {
		return
	}
	if r.Context().Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return // the client went away
	}
	// A coded internal error hides its cause from clients; the log shows both.
	attrs := []any{"route", r.Pattern, "request", requestID(r.Context()), "error", err}
	if cause := errors.Unwrap(err); cause != nil {
		attrs = append(attrs, "cause", cause)
	}
	s.log.Error("request failed", attrs...)
}

// unrouted answers what no route takes: 404, or 405 when the path is known by another method.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	allowed := s.allowed(r)
	if len(allowed) == 0 {
		s.fail(w, r, errs.New(errs.NotFound, "There is nothing at %s. GET /openapi.json lists what there is.", shorten(r.URL.Path)))
		return
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e := errs.New(errs.Invalid, "%s does not take %s; it takes %s.", shorten(r.URL.Path), shorten(r.Method), allow)
	e.HTTPStatus = http.StatusMethodNotAllowed
	s.fail(w, r, e)
}

// allowed lists the methods that some route takes for the request's path.
func (s *Server) allowed(r *http.Request) []string {
	var out []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != catchAll && pattern != "" {
			out = append(out, m)
		}
	}
	return out
}

// shorten keeps what a client sent short and printable in an answer to it.
func shorten(v string) string {
	const most = 100
	v = strings.ToValidUTF8(v, "\uFFFD")
	if runes := []rune(v); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return v
}
