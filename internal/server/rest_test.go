package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
	"yardmaster/internal/server"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, c := range []struct {
		call   call
		status int
		body   string
	}{
		{call{method: "GET", path: "/api/things"}, 200, `{"in":{},"things":[]}`},
		{call{method: "GET", path: "/api/things?limit=5&deep=true&names=a,b&sizes=1,2&label=x%3Dy"}, 200, `{"in":{"label":"x=y","names":["a","b"],"sizes":[1,2],"deep":true,"limit":5},"things":[]}`},
		{call{method: "GET", path: "/api/things?names=a&names=b,c&any=one"}, 200, `{"in":{"names":["a","b,c"],"any":"one"},"things":[]}`},
		{call{method: "GET", path: `/api/things?any=a&any=b&obj={"from":3}`}, 200, `{"in":{"any":["a","b"],"obj":{"from":3}},"things":[]}`},
		{call{method: "POST", path: "/api/things", body: `{"name":"a","count":2}`}, 201, `{"thing":{"id":"thing_1","name":"a","count":2,"labels":{}}}`},
		{call{method: "POST", path: "/api/things", body: "\n {\"name\":\"a\"}\n", header: map[string]string{"Content-Type": "application/json; charset=utf-8"}}, 201, `{"thing":{"id":"thing_1","name":"a","count":0,"labels":{}}}`},
		{call{method: "POST", path: "/api/things", body: `{"name":"a"}`, header: map[string]string{"Content-Type": ""}}, 201, `{"thing":{"id":"thing_1","name":"a","count":0,"labels":{}}}`},
		{call{method: "GET", path: "/api/things/x%2Fy%20z"}, 200, `{"thing":{"id":"x/y z","name":"<b>&</b>","count":0,"labels":{}}}`},
		{call{method: "PUT", path: "/api/things/x", body: `{"name":"n"}`}, 200, `{"thing":{"id":"x","name":"n","count":0,"labels":{}}}`},
		{call{method: "PATCH", path: "/api/things/x", body: `{"id":"x","name":"n"}`}, 200, `{"thing":{"id":"x","name":"n","count":0,"labels":{}}}`},
		{call{method: "PUT", path: "/api/things/x"}, 200, `{"thing":{"id":"x","name":"","count":0,"labels":{}}}`},
		{call{method: "DELETE", path: "/api/things/x?force=1"}, 200, `{"ok":true}`},
		{call{method: "DELETE", path: "/api/things/x", body: `{}`}, 200, `{"ok":true}`},
		{call{method: "POST", path: "/api/chat/x/stop", body: `{"activeStreamId":"y"}`}, 200, `{"ok":true}`},
		{call{method: "POST", path: "/api/things/x/key", header: map[string]string{"Idempotency-Key": "k 1"}}, 200, `{"key":"http/k 1","surface":"rest"}`},
		{call{method: "POST", path: "/api/hooks/trigger/tok_en", key: "-"}, 202, ``},
	} {
		a := y.do(c.call)
		if a.status != c.status || strings.TrimSpace(a.body) != c.body {
			t.Errorf("%s %s: %d %s, want %d %s", c.call.method, c.call.path, a.status, a.body, c.status, c.body)
		}
		if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", c.call.method, c.call.path, a.header)
		}
	}
}

func TestBadInputs(t *testing.T) {
	t.Parallel()
	y := open(t)
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	post := func(body string) call { return call{method: "POST", path: "/api/things", body: body} }
	for name, c := range map[string]struct {
		call   call
		status int
		code   errs.Code
		field  string
		detail string
	}{
		"not JSON":           {post(`hello`), 400, errs.Invalid, "", "not JSON"},
		"cut off":            {post(`{"name":`), 400, errs.Invalid, "", "unexpected end of JSON input (at byte 8)"},
		"two values":         {post(`{"name":"a"}{}`), 400, errs.Invalid, "", "not JSON"},
		"no body":            {call{method: "POST", path: "/api/things"}, 400, errs.Invalid, "name", "is missing"},
		"a list":             {post(`[]`), 400, errs.Invalid, "", "must be a JSON object"},
		"null":               {post(`null`), 400, errs.Invalid, "", "must be a JSON object"},
		"a text":             {post(`"name"`), 400, errs.Invalid, "", "must be a JSON object"},
		"unknown field":      {post(`{"name":"a","size":1}`), 400, errs.Invalid, "size", "is not a field here"},
		"wrong type":         {post(`{"name":1}`), 400, errs.Invalid, "name", "a string, not number"},
		"null field":         {post(`{"name":null}`), 400, errs.Invalid, "name", "null"},
		"huge number":        {post(`{"name":"a","count":1e999}`), 400, errs.Invalid, "count", ""},
		"overflow":           {post(`{"name":"a","count":99999999999999999999}`), 400, errs.Invalid, "count", ""},
		"nested field":       {post(`{"name":"a","config":{"limits":{"memoryMb":1}}}`), 400, errs.Invalid, "config.limits.memoryMb", "at least 16"},
		"given twice":        {post(`{"name":"a","name":"b"}`), 400, errs.Invalid, "name", "twice"},
		"given twice deeply": {post(`{"name":"a","config":{"limits":{},"limits":{}}}`), 400, errs.Invalid, "config.limits", "twice"},
		"escaped twice":      {post(`{"name":"a","n\u0061me":"b"}`), 400, errs.Invalid, "name", "twice"},
		"not UTF-8":          {post("{\"name\":\"\xff\"}"), 400, errs.Invalid, "", "UTF-8"},
		"deep":               {post(`{"name":"a","labels":` + deep + `}`), 400, errs.Invalid, "", "100 levels"},
		"very deep":          {post(strings.Repeat(`{"a":`, 20000)), 400, errs.Invalid, "", "not JSON"},
		"a form":             {call{method: "POST", path: "/api/things", body: "name=a", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, errs.Invalid, "", "application/json"},
		"plain text":         {call{method: "POST", path: "/api/things", body: `{"name":"a"}`, header: map[string]string{"Content-Type": "text/plain"}}, 415, errs.Invalid, "", "application/json"},
		"query beside body":  {call{method: "POST", path: "/api/things?name=a", body: `{"name":"a"}`}, 400, errs.Invalid, "name", "JSON body"},
		"path contradicted":  {call{method: "PUT", path: "/api/things/x", body: `{"id":"y"}`}, 400, errs.Invalid, "id", "in the path"},
		"unknown parameter":  {call{method: "GET", path: "/api/things?colour=red"}, 400, errs.Invalid, "colour", "is not a field here"},
		"not a number":       {call{method: "GET", path: "/api/things?limit=ten"}, 400, errs.Invalid, "limit", "must be a number"},
		"hex number":         {call{method: "GET", path: "/api/things?limit=0x10"}, 400, errs.Invalid, "limit", "must be a number"},
		"empty number":       {call{method: "GET", path: "/api/things?limit="}, 400, errs.Invalid, "limit", "must be a number"},
		"number too large":   {call{method: "GET", path: "/api/things?limit=501"}, 400, errs.Invalid, "limit", "at most 500"},
		"not a boolean":      {call{method: "GET", path: "/api/things?deep=maybe"}, 400, errs.Invalid, "deep", "true or false"},
		"numbers in a list":  {call{method: "GET", path: "/api/things?sizes=1,x"}, 400, errs.Invalid, "sizes", "list of numbers"},
		"injected object":    {call{method: "GET", path: `/api/things?obj=1,"limit":2`}, 400, errs.Invalid, "obj", "JSON object"},
		"parameter twice":    {call{method: "GET", path: "/api/things?limit=1&limit=2"}, 400, errs.Invalid, "limit", "more than once"},
		"broken query":       {call{method: "GET", path: "/api/things?limit=%zz"}, 400, errs.Invalid, "", "query"},
		"path in the query":  {call{method: "GET", path: "/api/things/x?id=y"}, 400, errs.Invalid, "id", "in the path"},
		"delete with body":   {call{method: "DELETE", path: "/api/things/x", body: `{"force":true}`}, 400, errs.Invalid, "", "query parameters"},
		"raw in the query":   {call{method: "PUT", path: "/api/things/x/content?path=a&content=b"}, 400, errs.Invalid, "content", "body of the request"},
		"long idempotency":   {call{method: "POST", path: "/api/things/x/key", header: map[string]string{"Idempotency-Key": strings.Repeat("k", 201)}}, 400, errs.Invalid, "Idempotency-Key", "200"},
		"conflict":           {post(`{"name":"<taken>"}`), 409, errs.Conflict, "", "<taken>"},
		"not found":          {call{method: "GET", path: "/api/things/none"}, 404, errs.NotFound, "", "none"},
		"no such path":       {call{method: "GET", path: "/api/nothing"}, 404, errs.NotFound, "", "/api/nothing"},
		"no such page":       {call{method: "GET", path: "/nothing"}, 404, errs.NotFound, "", "/nothing"},
		"trailing slash":     {call{method: "GET", path: "/api/things/"}, 404, errs.NotFound, "", ""},
		"method":             {call{method: "POST", path: "/api/things/x"}, 405, errs.Invalid, "", "it takes GET, HEAD, PUT, PATCH, DELETE"},
		"strange method":     {call{method: "BREW", path: "/api/things"}, 405, errs.Invalid, "", "BREW"},
		"page method":        {call{method: "POST", path: "/docs"}, 405, errs.Invalid, "", "GET, HEAD"},
		"no key":             {call{method: "GET", path: "/api/things", key: "-"}, 401, errs.Unauthenticated, "", "API key"},
		"basic auth":         {call{method: "GET", path: "/api/things", key: "Basic YTpi"}, 401, errs.Unauthenticated, "", "Bearer"},
		"wrong key":          {call{method: "GET", path: "/api/things", key: "Bearer ck_live_nope"}, 401, errs.Unauthenticated, "", "not valid"},
		"no right":           {call{method: "POST", path: "/api/things", body: `{"name":"a"}`, key: "Bearer " + readKey}, 403, errs.Forbidden, "", "things:write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := y.do(c.call)
			p := a.problem(t)
			if a.status != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("%d %s %q, want %d %s %q", a.status, p.Code, p.Detail, c.status, c.code, c.detail)
			}
			if c.field != "" && (len(p.Errors) == 0 || p.Errors[0].Path != c.field) {
				t.Errorf("errors %v, want one of %s", p.Errors, c.field)
			}
			if (a.status == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate %q with %d", a.header.Get("WWW-Authenticate"), a.status)
			}
			if (a.status == http.StatusMethodNotAllowed) != (a.header.Get("Allow") != "") {
				t.Errorf("Allow %q with %d", a.header.Get("Allow"), a.status)
			}
		})
	}
}

// endless is a body that counts what is taken of it.
type endless struct {
	left  int64
	taken atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := min(int64(len(p)), e.left)
	if n == 0 {
		return 0, io.EOF
	}
	for i := range p[:n] {
		p[i] = ' '
	}
	e.left -= n
	e.taken.Add(n)
	return int(n), nil
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	y := open(t, func(c *server.Config) { c.BodyLimits = map[string]int64{"things.update": 2 << 20} })
	y.client.Transport.(*http.Transport).ExpectContinueTimeout = time.Hour
	send := func(method, path string, size int64, known, expect bool) (status int, text string, taken int64) {
		body := &endless{left: size}
		r := y.request(t.Context(), call{method: method, path: path, header: map[string]string{"Content-Type": "application/json"}})
		r.Body, r.ContentLength = io.NopCloser(body), -1
		if known {
			r.ContentLength = size
		}
		if expect {
			r.Header.Set("Expect", "100-continue")
		}
		res, err := y.client.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		_ = res.Body.Close()
		return res.StatusCode, string(raw), body.taken.Load()
	}
	for _, c := range []struct {
		method, path string
		size         int64
		status       int
	}{
		{"POST", "/api/things", 20 << 20, 413},
		{"POST", "/api/chat", 20 << 20, 413},
		{"PUT", "/api/things/x", 3 << 19, 200},
		{"PUT", "/api/things/x", 3 << 20, 413},
		{"PUT", "/api/things/x/content?path=p", 20 << 20, 200},
		{"PUT", "/api/things/x/content?path=p", 65 << 20, 413},
	} {
		for _, known := range []bool{true, false} {
			for _, expect := range []bool{true, false} {
				if c.size > 32<<20 && !expect {
					continue // more than is taken of a refused body
				}
				status, text, taken := send(c.method, c.path, c.size, known, expect)
				if status != c.status || status == 413 && !strings.Contains(text, "too large") {
					t.Errorf("%s %d (known %t, expect %t): %d %s", c.path, c.size, known, expect, status, text)
				}
				if status == 413 && known && expect && taken > 0 {
					t.Errorf("%s %d: %d bytes were asked for, only to be refused", c.path, c.size, taken)
				}
			}
		}
	}
	// A stranger's body is not asked for at all.
	r := y.request(t.Context(), call{method: "PUT", path: "/api/things/x/content?path=p", key: "-"})
	body := &endless{left: 20 << 20}
	r.Body, r.ContentLength = io.NopCloser(body), body.left
	r.Header.Set("Expect", "100-continue")
	res, err := y.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 401 || body.taken.Load() > 0 {
		t.Errorf("a stranger: %d, %d bytes taken", res.StatusCode, body.taken.Load())
	}
}

func TestRawBodies(t *testing.T) {
	t.Parallel()
	y := open(t)
	a := y.do(call{method: "PUT", path: "/api/things/x/content?path=a%2Fb", body: "\xff\x00{", header: map[string]string{"Content-Type": "application/octet-stream", "Idempotency-Key": "k"}})
	if a.status != 200 || strings.TrimSpace(a.body) != `{"path":"a/b","size":3,"key":"http/k"}` {
		t.Errorf("write: %d %s", a.status, a.body)
	}
	a = y.do(call{method: "PUT", path: "/api/things/x/content?path=empty"})
	if a.status != 200 || !strings.Contains(a.body, `"size":0`) {
		t.Errorf("write nothing: %d %s", a.status, a.body)
	}
	a = y.do(call{method: "GET", path: "/api/things/x/content?path=a"})
	if a.status != 200 || a.body != "0123456789 a" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("read: %d %q %v", a.status, a.body, a.header)
	}
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
		t.Error("foreign content is sent without a sandbox")
	}
	a = y.do(call{method: "GET", path: "/api/things/x/content?path=a", header: map[string]string{"Range": "bytes=2-4"}})
	if a.status != 206 || a.body != "234" {
		t.Errorf("a range: %d %q", a.status, a.body)
	}
	a = y.do(call{method: "HEAD", path: "/api/things/x/content?path=a"})
	if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "12" {
		t.Errorf("HEAD: %d %q %v", a.status, a.body, a.header)
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, path := range []string{"/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/api/things", "/api/chat/busy/stream", "/api/instances/x/logs?follow=true", "/api/experiments/x/events"} {
		a := y.do(call{method: "HEAD", path: path})
		if a.status != 200 || a.body != "" || a.header.Get("Content-Type") == "" {
			t.Errorf("HEAD %s: %d %q %v", path, a.status, a.body, a.header)
		}
	}
}

func TestInternalsStayInside(t *testing.T) {
	t.Parallel()
	y := open(t)
	for _, path := range []string{"/api/things/leak", "/api/things/panic"} {
		a := y.do(call{method: "GET", path: path, header: map[string]string{"X-Request-Id": "my-request.1"}})
		p := a.problem(t)
		if a.status != 500 || p.Code != errs.Internal || strings.Contains(a.body, "secret") || p.RequestID != "my-request.1" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	y.do(call{method: "POST", path: "/api/hooks/trigger/tok_en", key: "-"})
	log := y.logged()
	for _, want := range []string{"open /var/lib/secret", "the secret of panic", "GET /api/things/{id}", "my-request.1", "POST /api/hooks/trigger/{token}"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{goodKey, "tok_en", "Bearer"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	y := open(t)
	for given, kept := range map[string]bool{"abc-1.2_X": true, "a b": false, strings.Repeat("x", 65): false, "<script>": false} {
		got := y.do(call{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": given}}).header.Get("X-Request-Id")
		if (got == given) != kept || got == "" {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	all := open(t)
	some := open(t, func(c *server.Config) { c.Origins = []string{"https://front.example"} })
	for _, c := range []struct {
		y      *yard
		origin string
		allow  string
	}{
		{all, "https://any.example", "*"}, {all, "", ""},
		{some, "https://front.example", "https://front.example"}, {some, "https://evil.example", ""},
	} {
		header := map[string]string{"Origin": c.origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
		pre := c.y.do(call{method: "OPTIONS", path: "/api/chat", key: "-", header: header})
		if got := pre.header.Get("Access-Control-Allow-Origin"); got != c.allow {
			t.Errorf("preflight from %q: %q", c.origin, got)
		}
		if c.allow != "" {
			if pre.status != 204 || !strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), "authorization") {
				t.Errorf("preflight from %q: %d %v", c.origin, pre.status, pre.header)
			}
		}
		a := c.y.do(call{method: "GET", path: "/api/things", header: map[string]string{"Origin": c.origin}})
		if got := a.header.Get("Access-Control-Allow-Origin"); got != c.allow || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("answer to %q: %v", c.origin, a.header)
		}
		if exposed := a.header.Get("Access-Control-Expose-Headers"); (c.allow != "") != strings.Contains(exposed, "x-chat-id") {
			t.Errorf("exposed to %q: %q", c.origin, exposed)
		}
	}
	if a := all.do(call{method: "OPTIONS", path: "/api/things"}); a.status != 204 || a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("OPTIONS without an origin: %d %v", a.status, a.header)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var ready atomic.Bool
	y := open(t, func(c *server.Config) { c.Ready = ready.Load })
	get := func(path string) int { return y.do(call{method: "GET", path: path, key: "-"}).status }
	if got := get("/readyz"); got != 503 {
		t.Errorf("not ready: %d", got)
	}
	ready.Store(true)
	if got := get("/readyz"); got != 200 {
		t.Errorf("ready: %d", got)
	}
	y.srv.EndStreams()
	if got := get("/readyz"); got != 503 {
		t.Errorf("at shutdown: %d", got)
	}
	if got := get("/healthz"); got != 200 {
		t.Errorf("alive at shutdown: %d", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	y := open(t)
	y.do(call{method: "GET", path: "/api/things/a"})
	y.do(call{method: "GET", path: "/api/things/b"})
	y.do(call{method: "GET", path: "/api/things/none"})
	a := y.do(call{method: "GET", path: "/metrics", key: "-"})
	for _, want := range []string{
		`yardmaster_request_seconds_count{route="GET /api/things/{id}",status="200"} 2`,
		`yardmaster_request_seconds_count{route="GET /api/things/{id}",status="404"} 1`,
		`yardmaster_request_seconds_bucket{route="GET /api/things/{id}",status="200",le="+Inf"} 2`,
		`yardmaster_build_info{version="1.2.3"`, "go_goroutines ",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in\n%s", want, a.body)
		}
	}
}

func TestHome(t *testing.T) {
	t.Parallel()
	y := open(t, func(c *server.Config) {
		c.Home = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "console "+r.URL.Path) })
	})
	for path, want := range map[string]string{"/": "console /", "/chat/x": "console /chat/x", "/docs": "playground"} {
		if a := y.do(call{method: "GET", path: path, key: "-"}); a.status != 200 || !strings.Contains(a.body, want) && path != "/docs" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, c := range []call{{method: "GET", path: "/api/nope"}, {method: "GET", path: "/api"}, {method: "POST", path: "/chat/x"}} {
		if p := y.do(c).problem(t); p.Status != 404 {
			t.Errorf("%s %s: %d", c.method, c.path, p.Status)
		}
	}
}

func TestAnswersAreJSON(t *testing.T) {
	t.Parallel()
	y := open(t)
	a := y.do(call{method: "GET", path: "/api/things/x"})
	var got map[string]map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"id": "x", "name": "<b>&</b>", "count": 0.0, "labels": map[string]any{}}, got["thing"]); diff != "" {
		t.Error(diff)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Error(a.header)
	}
}
