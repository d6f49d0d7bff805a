package apptest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// requestTime bounds a request, so that what hangs fails its own test and not the whole run.
const requestTime = 2 * time.Minute

// Client calls a server over HTTP. It is safe for concurrent use; what goes wrong fails its test.
type Client struct {
	URL string
	Key string

	t    testing.TB
	http *http.Client
}

// NewClient makes a client. Its connections are closed when the test ends.
func NewClient(t testing.TB, url, key string) *Client {
	c := &Client{URL: url, Key: key, t: t, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(c.closeIdle)
	return c
}

func (c *Client) closeIdle() { c.http.CloseIdleConnections() }

// WithKey is the same client with another API key.
func (c *Client) WithKey(key string) *Client {
	out := *c
	out.Key = key
	return &out
}

// In is the same client for another test, such as a subtest.
func (c *Client) In(t testing.TB) *Client {
	out := *c
	out.t = t
	return &out
}

// Answer is a response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// At answers the value at a dotted path of the JSON body, such as "instances.0.id"; nil when there is none.
func (a Answer) At(path string) any {
	var v any
	if json.Unmarshal(a.Body, &v) != nil {
		return nil
	}
	for _, step := range strings.Split(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// Text is At for a string, or "".
func (a Answer) Text(path string) string {
	s, _ := a.At(path).(string)
	return s
}

// Len is the number of entries of the list at a path.
func (a Answer) Len(path string) int {
	list, _ := a.At(path).([]any)
	return len(list)
}

// Code is the code of a refusal, or "".
func (a Answer) Code() string {
	if a.Status < 400 {
		return ""
	}
	return a.Text("code")
}

// String shows the answer in a failure.
func (a Answer) String() string {
	body := string(a.Body)
	if len(body) > 600 {
		body = body[:600] + "…"
	}
	return fmt.Sprintf("%d %s", a.Status, body)
}

// Call makes a request. A body that is a []byte travels as it is, a json.RawMessage as JSON that need not be right, anything
// else as JSON; nil is no body.
func (c *Client) Call(method, path string, body any) Answer {
	c.t.Helper()
	var r io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
		kind = ""
	case []byte:
		r, kind = bytes.NewReader(b), "application/octet-stream"
	case json.RawMessage:
		r = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	res := c.do(ctx, method, path, kind, r, nil)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return Answer{res.StatusCode, res.Header, raw}
}

func (c *Client) do(ctx context.Context, method, path, kind string, body io.Reader, header map[string]string) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

// Must is Call for a request that has to succeed.
func (c *Client) Must(method, path string, body any) Answer {
	c.t.Helper()
	a := c.Call(method, path, body)
	if a.Status < 200 || a.Status > 299 {
		c.t.Fatalf("%s %s: %s", method, path, a)
	}
	return a
}

// Turn is the whole answer to a chat message.
type Turn struct {
	Answer
	ChatID string
	TurnID string
	Reply  string
}

// Chat says something in a chat ("" begins a new one) and waits for the whole answer.
func (c *Client) Chat(chatID, text string) Turn {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	res := c.do(ctx, http.MethodPost, "/api/chat", "application/json", message(c.t, chatID, text), map[string]string{"X-Response-Format": "json"})
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := Answer{res.StatusCode, res.Header, raw}
	return Turn{Answer: a, ChatID: a.Text("chatId"), TurnID: a.Text("turnId"), Reply: a.Text("text")}
}

// message is a chat request as the simplest client makes it.
func message(t testing.TB, chatID, text string) io.Reader {
	t.Helper()
	body := map[string]any{"messages": []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "text": text}}}}}
	if chatID != "" {
		body["id"] = chatID
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(raw)
}

// Chunk is an event of a chat stream.
type Chunk map[string]any

// Type is the type of the chunk.
func (c Chunk) Type() string { s, _ := c["type"].(string); return s }

// Stream is an open chat stream.
type Stream struct {
	ChatID string
	TurnID string

	t    testing.TB
	res  *http.Response
	scan *bufio.Scanner
	stop context.CancelFunc
	done bool
}

// Say says something in a chat and answers the stream of the answer. The caller reads it to its end or closes it.
func (c *Client) Say(chatID, text string) *Stream {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	res := c.do(ctx, http.MethodPost, "/api/chat", "application/json", message(c.t, chatID, text), nil)
	if res.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		cancel()
		c.t.Fatalf("POST /api/chat: %d %s", res.StatusCode, raw)
	}
	s := &Stream{t: c.t, res: res, scan: bufio.NewScanner(res.Body), stop: cancel,
		ChatID: res.Header.Get("X-Chat-Id"), TurnID: res.Header.Get("X-Turn-Id")}
	s.scan.Buffer(nil, 8<<20)
	c.t.Cleanup(s.Close)
	return s
}

// Next answers the next chunk; false after the last one.
func (s *Stream) Next() (Chunk, bool) {
	s.t.Helper()
	for s.scan.Scan() {
		data, ok := strings.CutPrefix(s.scan.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			s.done = true
			return nil, false
		}
		var c Chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			s.t.Fatalf("chunk %s: %v", data, err)
		}
		return c, true
	}
	return nil, false
}

// Until reads to the first chunk of a type and answers it; the test fails when there is none.
func (s *Stream) Until(kind string) Chunk {
	s.t.Helper()
	for {
		c, ok := s.Next()
		if !ok {
			s.t.Fatalf("the stream ended without %s", kind)
		}
		if c.Type() == kind {
			return c
		}
	}
}

// Rest reads what is left. Whole tells whether the stream came to its proper end.
func (s *Stream) Rest() (chunks []Chunk, whole bool) {
	s.t.Helper()
	for {
		c, ok := s.Next()
		if !ok {
			return chunks, s.done
		}
		chunks = append(chunks, c)
	}
}

// Close leaves the stream, at any point.
func (s *Stream) Close() {
	s.stop()
	_ = s.res.Body.Close()
}
