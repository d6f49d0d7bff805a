package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// client speaks the HTTP contract to a server, be it far away, next door or in this process.
type client struct {
	base string
	key  string
	http *http.Client
}

func newClient(base, key string) *client {
	return &client{base: strings.TrimRight(base, "/"), key: key, http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: time.Hour, // a turn may think for long
	}}}
}

// call carries out an operation and answers the body of its response.
func (c *client) call(ctx context.Context, p *op.Operation, input map[string]any, raw []byte) ([]byte, error) {
	path, query := p.Path, url.Values{}
	rest := map[string]any{}
	for name, v := range input {
		if strings.Contains(path, "{"+name+"}") {
			path = strings.ReplaceAll(path, "{"+name+"}", pathSegment(fmt.Sprint(v)))
			continue
		}
		if p.Body() {
			rest[name] = v
		} else if list, ok := v.([]string); ok {
			query[name] = list
		} else {
			query.Set(name, fmt.Sprint(v))
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body io.Reader
	kind := ""
	switch {
	case p.RawIn != "":
		body, kind = bytes.NewReader(raw), "application/octet-stream"
	case p.Body():
		encoded, err := json.Marshal(rest)
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(encoded), "application/json"
	}
	res, err := c.do(ctx, p.Method, path, kind, body, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	return io.ReadAll(res.Body)
}

// pathSegment escapes a name for a path. The names "." and ".." would otherwise be taken for a walk through the path, and
// the request for one of another resource.
func pathSegment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// do makes a request; an answer outside 2xx is an error.
func (c *client) do(ctx context.Context, method, path, kind string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errs.Wrap(err, errs.Unavailable, "The server at %s does not answer: %v.", c.base, errors.Unwrap(err))
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, problem(res)
}

// problem reads the refusal in a response.
func problem(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	var p struct {
		Code   errs.Code    `json:"code"`
		Detail string       `json:"detail"`
		Fields []errs.Field `json:"errors"`
	}
	if json.Unmarshal(raw, &p) == nil && p.Code != "" {
		return &errs.Error{Code: p.Code, Detail: p.Detail, Fields: p.Fields}
	}
	code := errs.Internal
	for _, c := range errs.Codes() {
		if c.Status() == res.StatusCode {
			code = c
			break
		}
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		text = "The server answered " + res.Status + "."
	}
	return errs.New(code, "%s", text)
}

// chunk is one event of the UI message stream, with the fields that the terminal shows.
type chunk struct {
	Type        string          `json:"type"`
	Delta       string          `json:"delta"`
	ToolCallID  string          `json:"toolCallId"`
	ToolName    string          `json:"toolName"`
	Input       json.RawMessage `json:"input"`
	Output      json.RawMessage `json:"output"`
	Preliminary bool            `json:"preliminary"`
	ErrorText   string          `json:"errorText"`
	Reason      string          `json:"reason"`
}

// stream posts a chat message and hands each chunk of the answer to fn. It answers the chat's id.
func (c *client) stream(ctx context.Context, chatID, text string, fn func(chunk) error) (string, error) {
	body := map[string]any{"messages": []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "text": text}}}}}
	if chatID != "" {
		body["id"] = chatID
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	res, err := c.do(ctx, http.MethodPost, "/api/chat", "application/json", bytes.NewReader(raw), nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	if id := res.Header.Get("X-Chat-Id"); id != "" {
		chatID = id
	}
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			return chatID, nil
		}
		var ch chunk
		if err := json.Unmarshal([]byte(data), &ch); err != nil {
			return chatID, fmt.Errorf("read the answer: %w", err)
		}
		if err := fn(ch); err != nil {
			return chatID, err
		}
	}
	if ctx.Err() != nil {
		return chatID, ctx.Err()
	}
	return chatID, errs.New(errs.Unavailable, "The server broke off its answer. The turn goes on there; look at it with \"yardmaster chats get %s\".", chatID)
}
