package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/server"
	"yardmaster/internal/uistream"
)

func say(text string) string {
	raw, err := json.Marshal(map[string]any{"messages": []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "text": text}}}}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// sseEvent is a server-sent event as the HTML standard parses it.
type sseEvent struct{ ID, Type, Data string }

// sse reads events and comments of a stream.
type sse struct {
	t    testing.TB
	scan *bufio.Scanner
}

func newSSE(t testing.TB, r io.Reader) *sse {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	return &sse{t, scan}
}

// next answers the next event; comments go to the function. ok is false at the end.
func (s *sse) next(comment func(string)) (e sseEvent, ok bool) {
	s.t.Helper()
	filled := false
	for s.scan.Scan() {
		line := s.scan.Text()
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if filled {
				return e, true
			}
		case name == "":
			if comment != nil {
				comment(value)
			}
		case name == "data":
			filled, e.Data = true, e.Data+value
		case name == "id":
			e.ID = value
		case name == "event":
			e.Type = value
		default:
			s.t.Errorf("a line that is nothing: %q", line)
		}
	}
	if filled {
		s.t.Error("the last event has no blank line after it")
	}
	return e, false
}

// chunks reads a whole UI message stream and folds it as a client does.
func (s *sse) chunks() (m uistream.Message, types []string, done bool) {
	s.t.Helper()
	var b uistream.Builder
	for {
		e, ok := s.next(nil)
		if !ok {
			return b.Message, types, done
		}
		if done {
			s.t.Errorf("%q comes after [DONE]", e.Data)
		}
		if e.Data == "[DONE]" {
			done = true
			continue
		}
		c, err := uistream.ParseChunk([]byte(e.Data))
		if err != nil {
			s.t.Fatalf("%v in %s", err, e.Data)
		}
		types = append(types, string(c.Type))
		if err := b.Apply(c); err != nil && c.Type != uistream.Error {
			s.t.Fatal(err)
		}
	}
}

func (y *yard) open(ctx context.Context, c call) *http.Response {
	y.t.Helper()
	res, err := y.client.Do(y.request(ctx, c))
	if err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func TestChatStream(t *testing.T) {
	t.Parallel()
	y := open(t)
	for text, want := range map[string][]string{
		"hello": {"start", "text-start", "text-delta", "text-end", "finish"},
		"fail":  {"start", "text-start", "text-delta", "error"},
		"stop":  {"start", "text-start", "text-delta", "text-end", "abort"},
	} {
		res := y.open(t.Context(), call{method: "POST", path: "/api/chat", body: say(text)})
		for name, value := range map[string]string{
			"Content-Type": "text/event-stream", "X-Vercel-Ai-Ui-Message-Stream": "v1", "X-Accel-Buffering": "no", "X-Chat-Id": "chat_made", "X-Turn-Id": "turn_" + text,
		} {
			if res.StatusCode != 200 || res.Header.Get(name) != value {
				t.Errorf("%s: %d, %s is %q", text, res.StatusCode, name, res.Header.Get(name))
			}
		}
		if !strings.Contains(res.Header.Get("Cache-Control"), "no-cache") {
			t.Errorf("cache: %v", res.Header)
		}
		m, types, done := newSSE(t, res.Body).chunks()
		if diff := cmp.Diff(want, types); diff != "" || !done {
			t.Errorf("%s: done %t, %s", text, done, diff)
		}
		if m.ID != "msg_1" || m.Text() != text+"\n<ž>" {
			t.Errorf("%s: %+v", text, m)
		}
	}
}

func TestChatWhole(t *testing.T) {
	t.Parallel()
	y := open(t)
	whole := map[string]string{"x-response-format": "json"}
	for text, want := range map[string]string{
		"hello": `{"chatId":"chat_made","turnId":"turn_hello","text":"<hello>"}`,
		"stop":  `{"chatId":"chat_made","turnId":"turn_stop","text":"so far","stopped":true}`,
	} {
		a := y.do(call{method: "POST", path: "/api/chat", body: say(text), header: whole})
		if a.status != 200 || strings.TrimSpace(a.body) != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", text, a.status, a.body)
		}
	}
	a := y.do(call{method: "POST", path: "/api/chat", body: say("fail"), header: whole})
	if p := a.problem(t); p.Status != 503 || p.Detail != "The model is not there." || a.header.Get("X-Chat-Id") != "chat_made" {
		t.Errorf("a failed turn: %+v", p)
	}
	a = y.do(call{method: "POST", path: "/api/chat", body: `{}`, header: whole})
	if p := a.problem(t); p.Status != 400 || len(p.Errors) == 0 || p.Errors[0].Path != "messages" {
		t.Errorf("refused: %+v", p)
	}
}

func TestChatRequests(t *testing.T) {
	t.Parallel()
	y := open(t)
	text := uistream.Part{Type: uistream.TextPart, Text: "hi"}
	hi := []uistream.Message{{Role: "user", Parts: []uistream.Part{text}}}
	m := `{"role":"user","parts":[{"type":"text","text":"hi"}]}`
	for body, want := range map[string]server.ChatIn{
		`{"messages":[` + m + `]}`:        {Messages: hi, Trigger: "submit-message"},
		`{"message":` + m + `,"id":"c1"}`: {ChatID: "c1", Messages: hi, Trigger: "submit-message"},
		`{"id":null,"trigger":null,"messageId":null,"model":null,"messages":[` + m + `]}`:                                    {Messages: hi, Trigger: "submit-message"},
		`{"messages":[` + m + `],"trigger":"regenerate-message","messageId":"m9","model":"a/b"}`:                             {Messages: hi, Trigger: "regenerate-message", MessageID: "m9", Model: "a/b"},
		`{"system":"x","tools":{"a":[1]},"callSettings":{},"config":null,"metadata":{"__proto__":1},"messages":[` + m + `]}`: {Messages: hi, Trigger: "submit-message"},
	} {
		a := y.do(call{method: "POST", path: "/api/chat", body: body})
		if a.status != 200 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
			continue
		}
		if diff := cmp.Diff(want, y.chats.last()); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestChatRefusals(t *testing.T) {
	t.Parallel()
	y := open(t)
	long := say(strings.Repeat("[", 200)) // deep only as text
	for name, c := range map[string]struct {
		call   call
		status int
		detail string
	}{
		"nothing":          {call{body: " "}, 400, "Send a JSON object"},
		"not JSON":         {call{body: "hello"}, 400, "not JSON"},
		"a list":           {call{body: "[]"}, 400, "Send a JSON object"},
		"no messages":      {call{body: `{}`}, 400, "messages: is missing"},
		"null messages":    {call{body: `{"messages":null}`}, 400, "messages: is missing"},
		"empty messages":   {call{body: `{"messages":[]}`}, 400, "messages: needs at least one"},
		"text messages":    {call{body: `{"messages":"hi"}`}, 400, "messages: must be a list"},
		"null message":     {call{body: `{"messages":[null]}`}, 400, "messages.0: must be an object"},
		"number message":   {call{body: `{"messages":[7]}`}, 400, "messages.0: must be an object"},
		"no role":          {call{body: `{"messages":[{"parts":[]}]}`}, 400, "messages.0.role"},
		"wrong role":       {call{body: `{"messages":[{"role":"tool","parts":[]}]}`}, 400, "messages.0.role"},
		"role of number":   {call{body: `{"messages":[{"role":1}]}`}, 400, "messages.0.role: must be a text, not number"},
		"parts of text":    {call{body: `{"messages":[{"role":"user","parts":"hi"}]}`}, 400, "messages.0.parts: must be a list, not string"},
		"null part":        {call{body: `{"messages":[{"role":"user","parts":[null]}]}`}, 400, "parts.0"},
		"id of number":     {call{body: `{"id":5,"messages":[]}`}, 400, "id: must be a text"},
		"trigger":          {call{body: `{"trigger":"go","messages":[]}`}, 400, "trigger: must be"},
		"given twice":      {call{body: `{"messages":[],"messages":[]}`}, 400, "twice"},
		"not UTF-8":        {call{body: "{\"messages\":\"\xff\"}"}, 400, "UTF-8"},
		"deep":             {call{body: `{"messages":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`}, 400, "levels"},
		"a form":           {call{body: "a=b", header: map[string]string{"Content-Type": "text/plain"}}, 415, "application/json"},
		"no key":           {call{body: say("hi"), key: "-"}, 401, "API key"},
		"wrong key":        {call{body: say("hi"), key: "Bearer x"}, 401, "not valid"},
		"no right":         {call{body: say("hi"), key: "Bearer " + readKey}, 403, "chats:write"},
		"conflict":         {call{body: say("conflict")}, 409, "Ten messages"},
		"format":           {call{body: say("hi"), header: map[string]string{"x-response-format": "xml"}}, 400, "x-response-format"},
		"brackets in text": {call{body: long}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.call.method, c.call.path = "POST", "/api/chat"
			a := y.do(c.call)
			if a.status != c.status || !strings.Contains(a.body, c.detail) {
				t.Errorf("%d %q, want %d %q", a.status, a.body, c.status, c.detail)
			}
			if c.status == 200 {
				return
			}
			if got := a.header.Get("Content-Type"); got != "text/plain; charset=utf-8" || strings.ContainsAny(a.body[:1], "{\n") {
				t.Errorf("not a plain sentence: %s %q", got, a.body)
			}
		})
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, c := range []struct {
		path, key string
		status    int
	}{
		{"/api/chat/idle/stream", "", 204}, {"/api/chat/..%2F..%2Fx/stream", "", 204}, {"/api/chat/%E2%98%83/stream", "", 204},
		{"/api/chat/busy/stream", "-", 401}, {"/api/chat/busy/stream", "Bearer " + readKey, 403},
	} {
		if a := y.do(call{method: "GET", path: c.path, key: c.key}); a.status != c.status || c.status == 204 && a.body != "" {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
	}
	res := y.open(t.Context(), call{method: "GET", path: "/api/chat/busy/stream"})
	m, _, done := newSSE(t, res.Body).chunks()
	if res.StatusCode != 200 || !done || m.Text() != "busy\n<ž>" {
		t.Errorf("%d, done %t, %+v", res.StatusCode, done, m)
	}
}

// What is there reaches the client while the turn goes on, silence is filled with comments, and the end comes when it comes.
func TestStreamIsLive(t *testing.T) {
	t.Parallel()
	y := open(t, func(c *server.Config) { c.KeepAlive = time.Millisecond })
	res := y.open(t.Context(), call{method: "POST", path: "/api/chat", body: say("hang")})
	s := newSSE(t, res.Body)
	for range 3 {
		if _, ok := s.next(nil); !ok {
			t.Fatal("the stream ended early")
		}
	}
	beats := 0
	for {
		e, ok := s.next(func(comment string) {
			if comment == "keep-alive" {
				if beats++; beats == 3 {
					y.chats.release()
				}
			}
		})
		if !ok {
			t.Fatal("no [DONE]")
		}
		if e.Data == "[DONE]" {
			break
		}
	}
	if beats < 3 {
		t.Errorf("%d keep-alive comments", beats)
	}
}

// A client that goes away ends its reading, which its source notices.
func TestClientGone(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, header := range []map[string]string{nil, {"x-response-format": "json"}} {
		ctx, leave := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		r := y.request(ctx, call{method: "POST", path: "/api/chat", body: say("hang"), header: header})
		go func() {
			res, err := y.client.Do(r)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			failed <- err
		}()
		<-y.chats.reached
		leave()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if header == nil {
			<-y.chats.left
		}
	}
}

// At shutdown a reader learns that the answer is not whole.
func TestShutdown(t *testing.T) {
	t.Parallel()
	y := open(t)
	res := y.open(t.Context(), call{method: "POST", path: "/api/chat", body: say("hang")})
	<-y.chats.reached
	whole := make(chan answer, 1)
	go func() {
		whole <- y.do(call{method: "POST", path: "/api/chat", body: say("hang"), header: map[string]string{"x-response-format": "json"}})
	}()
	<-y.chats.reached
	logs := y.open(t.Context(), call{method: "GET", path: "/api/instances/x/logs?follow=true"})
	y.srv.EndStreams()
	_, types, done := newSSE(t, res.Body).chunks()
	if !done || types[len(types)-1] != "error" {
		t.Errorf("done %t, %v", done, types)
	}
	if a := <-whole; a.status != 503 || a.problem(t).Code != errs.Unavailable {
		t.Errorf("%d %s", a.status, a.body)
	}
	if _, err := io.Copy(io.Discard, logs.Body); err != nil {
		t.Errorf("logs: %v", err)
	}
	if a := y.do(call{method: "POST", path: "/api/chat", body: say("hello")}); a.status != 503 {
		t.Errorf("a new message: %d %s", a.status, a.body)
	}
	if err := y.http.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A defect in the midst of a stream breaks the connection: a clean end would look like a whole answer.
func TestStreamPanics(t *testing.T) {
	t.Parallel()
	y := open(t)
	res := y.open(t.Context(), call{method: "POST", path: "/api/chat", body: say("panic")})
	if raw, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the stream ended cleanly with %q", raw)
	}
	if !strings.Contains(y.logged(), "in the midst") {
		t.Error("the panic was not logged")
	}
}

func TestLogStream(t *testing.T) {
	t.Parallel()
	y := open(t)
	res := y.open(t.Context(), call{method: "GET", path: "/api/instances/x/logs?follow=true&since=10m&tail=5"})
	e, ok := newSSE(t, res.Body).next(nil)
	if !ok || e.Data != `{"stream":"stdout","text":"since 10m\nnext"}` {
		t.Errorf("%v %+v", ok, e)
	}
	res = y.open(t.Context(), call{method: "GET", path: "/api/instances/broken/logs?follow=1"})
	s := newSSE(t, res.Body)
	s.next(nil)
	if e, ok := s.next(nil); !ok || e.Type != "problem" || !strings.Contains(e.Data, `"code":"internal"`) || strings.Contains(e.Data, "/var/log") {
		t.Errorf("a log that fails: %v %+v", ok, e)
	}
	for path, status := range map[string]int{
		"/api/instances/x/logs": 200, "/api/instances/x/logs?follow=false&since=1m": 200,
		"/api/instances/x/logs?follow=perhaps": 400, "/api/instances/x/logs?follow=true&tail=-1": 400, "/api/instances/x/logs?follow=true&colour=red": 400,
		"/api/instances/none/logs?follow=true": 404,
	} {
		if a := y.do(call{method: "GET", path: path}); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := y.do(call{method: "GET", path: "/api/instances/x/logs?follow=true", key: "Bearer " + readKey}); a.status != 403 {
		t.Errorf("without the right: %d", a.status)
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, c := range []struct {
		path, last string
		want       []string
	}{
		{"/api/experiments/exp_1/events", "", []string{"1", "2", "3"}},
		{"/api/experiments/exp_1/events?after=1", "", []string{"2", "3"}},
		{"/api/experiments/exp_1/events?after=0", "2", []string{"3"}},
	} {
		res := y.open(t.Context(), call{method: "GET", path: c.path, header: map[string]string{"Last-Event-ID": c.last}})
		s := newSSE(t, res.Body)
		for _, id := range c.want {
			e, ok := s.next(nil)
			want := sseEvent{id, "experiment.progress", `{"stream":"exp_1","seq":` + id + `,"type":"experiment.progress","data":{"n":"<1>"},"at":"1970-01-01T00:00:00Z"}`}
			if diff := cmp.Diff(want, e); !ok || diff != "" {
				t.Errorf("%s: %t %s", c.path, ok, diff)
			}
		}
	}
	for path, status := range map[string]int{
		"/api/experiments/none/events": 404, "/api/experiments/x/events?after=-1": 400, "/api/experiments/x/events?after=x": 400, "/api/experiments/x/events?from=1": 400,
	} {
		if p := y.do(call{method: "GET", path: path}).problem(t); p.Status != status {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
