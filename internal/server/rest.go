package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// stopOperation takes no fields. Chat clients that stop a turn send a body of their own with it, which is ignored.
const stopOperation = "chats.stop"

// operation serves an operation on its route.
func (s *Server) operation(p *op.Operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// Who it is comes first: a stranger's body is not read.
		ctx, err := s.authenticate(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		ctx, input, err := s.input(ctx, w, r, p)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if ctx, err = withIdempotencyKey(ctx, r); err != nil {
			s.fail(w, r, err)
			return
		}
		out, err := s.cfg.Registry.Do(ctx, p.Name, input)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if raw, ok := out.(op.Raw); ok {
			s.writeRaw(w, r, raw)
			return
		}
		writeBody(w, p.Status, "application/json", out)
	}
}

// writeRaw answers with bytes as they are. They may be anything that an instance holds, so a browser that shows them must
// treat them as a foreign page without rights. Byte ranges are served.
func (s *Server) writeRaw(w http.ResponseWriter, r *http.Request, raw op.Raw) {
	contentType, body := raw.RawBody()
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	allowWrite(w, len(body))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// withIdempotencyKey takes the key of a write over. Keys of clients have a prefix, so that none is the key of a tool call.
func withIdempotencyKey(ctx context.Context, r *http.Request) (context.Context, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ctx, nil
	}
	printable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) < 0
	if len(key) > 200 || !printable {
		return nil, errs.BadField("Idempotency-Key", "must be at most 200 printable ASCII characters")
	}
	return op.WithIdempotencyKey(ctx, "http/"+key), nil
}

// input gathers the fields of an operation's input from path, query and body as one JSON object. A field has one place:
// the path's wildcards are in the path, the others in the body where the method has one, else in the query. A raw body
// goes along in the context.
func (s *Server) input(ctx context.Context, w http.ResponseWriter, r *http.Request, p *op.Operation) (context.Context, json.RawMessage, error) {
	fields := object{}
	for _, name := range p.Wildcards() {
		fields.text(name, r.PathValue(name))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ctx, nil, errs.New(errs.Invalid, "The query can't be read: %v.", err)
	}
	switch {
	case p.Name == stopOperation:
	case p.Body():
		if len(query) > 0 {
			return ctx, nil, errs.BadFields(misplaced(query, "is no query parameter here; send fields in the JSON body"))
		}
		limit := int64(DefaultBody)
		if n := s.cfg.BodyLimits[p.Name]; n > 0 {
			limit = n
		}
		if err := fields.body(w, r, limit); err != nil {
			return ctx, nil, err
		}
	case p.RawIn != "":
		body, err := readBody(w, r, RawBody)
		if err != nil {
			return ctx, nil, err
		}
		ctx = op.WithBody(ctx, body)
		if err := fields.query(query, p); err != nil {
			return ctx, nil, err
		}
	default:
		if err := fields.query(query, p); err != nil {
			return ctx, nil, err
		}
		if r.Method == http.MethodDelete {
			var extra object
			if err := extra.body(w, r, DefaultBody); err != nil {
				return ctx, nil, err
			}
			if len(extra.names) > 0 {
				return ctx, nil, errs.New(errs.Invalid, "DELETE takes no body; give %s as query parameters.", strings.Join(extra.names, ", "))
			}
		}
	}
	return ctx, fields.json(), nil
}

func misplaced(query url.Values, detail string) []errs.Field {
	var fields []errs.Field
	for name := range query {
		fields = append(fields, errs.Field{Path: shorten(name), Detail: detail})
	}
	slices.SortFunc(fields, func(a, b errs.Field) int { return strings.Compare(a.Path, b.Path) })
	return fields
}

// object is a JSON object under construction.
type object struct {
	names []string
	buf   []byte // the members so far, each with a comma after it
}

func (o *object) raw(name string, value []byte) {
	key, _ := json.Marshal(name) // a string always encodes
	o.names = append(o.names, name)
	o.buf = append(append(append(append(o.buf, key...), ':'), value...), ',')
}

func (o *object) text(name, value string) {
	v, _ := json.Marshal(value)
	o.raw(name, v)
}

func (o *object) json() json.RawMessage {
	out := append(make([]byte, 0, len(o.buf)+2), '{')
	return append(append(out, bytes.TrimSuffix(o.buf, []byte(","))...), '}')
}

// query adds query parameters, typed by the schema: numbers and booleans as such, lists repeated or with commas, objects
// as JSON. What the schema does not know is left for its check to name.
func (o *object) query(query url.Values, p *op.Operation) error {
	var bad []errs.Field
	for _, name := range sortedNames(query) {
		values := query[name]
		fault := func(detail string) { bad = append(bad, errs.Field{Path: shorten(name), Detail: detail}) }
		schema := p.In.Properties[name]
		switch {
		case slices.Contains(p.Wildcards(), name):
			fault("is given in the path")
			continue
		case name == p.RawIn && name != "":
			fault("is the body of the request, as it is")
			continue
		case schema == nil:
			o.text(name, values[0])
			continue
		}
		list := schema.Type == "array" || slices.Contains(schema.Types, "array")
		if !list && len(values) > 1 {
			fault("is given more than once")
			continue
		}
		switch value := values[0]; schema.Type {
		case "integer", "number":
			if !isNumber(value) {
				fault("must be a number")
				continue
			}
			o.raw(name, []byte(value))
		case "boolean":
			on, err := strconv.ParseBool(value)
			if err != nil {
				fault("must be true or false")
				continue
			}
			o.raw(name, strconv.AppendBool(nil, on))
		case "object":
			if !json.Valid([]byte(value)) {
				fault("must be a JSON object")
				continue
			}
			o.raw(name, []byte(value))
		case "array":
			if len(values) == 1 {
				values = splitList(value)
			}
			raw, fits := listOf(values, schema.Items)
			if !fits {
				fault("must be a list of numbers")
				continue
			}
			o.raw(name, raw)
		default:
			if len(values) > 1 {
				raw, _ := json.Marshal(values)
				o.raw(name, raw)
				continue
			}
			o.text(name, value)
		}
	}
	return errs.BadFields(bad)
}

// isNumber tells whether text is a JSON number.
func isNumber(text string) bool {
	var n json.Number
	return len(text) > 0 && text[0] != '"' && text != "null" && json.Unmarshal([]byte(text), &n) == nil
}

func splitList(value string) []string {
	if value == "" {
		return []string{}
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func listOf(values []string, items *op.Schema) (raw []byte, fits bool) {
	if items == nil || items.Type != "integer" && items.Type != "number" {
		raw, _ = json.Marshal(values)
		return raw, true
	}
	numbers := make([]json.Number, len(values))
	for i, v := range values {
		if !isNumber(v) {
			return nil, false
		}
		numbers[i] = json.Number(v)
	}
	raw, _ = json.Marshal(numbers)
	return raw, true
}

func sortedNames(query url.Values) []string {
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// body adds the members of a JSON body. No body, and an empty one, is an empty object. A member may repeat a value that
// the path gave, but not contradict it.
func (o *object) body(w http.ResponseWriter, r *http.Request, limit int64) error {
	raw, err := readJSON(w, r, limit)
	if err != nil || len(raw) == 0 {
		return err
	}
	if raw[0] != '{' {
		return errs.New(errs.Invalid, "The body must be a JSON object with the fields of the request.")
	}
	given := object{names: o.names, buf: o.buf}.members()
	members, err := splitObject(raw)
	if err != nil {
		return err
	}
	for _, m := range members {
		before, known := given[m.name]
		if !known {
			o.raw(m.name, m.value)
			continue
		}
		var inPath, inBody string
		if json.Unmarshal(before, &inPath) != nil || json.Unmarshal(m.value, &inBody) != nil || inPath != inBody {
			return errs.BadField(m.name, "is %s in the path and %s in the body; leave it out of the body", before, shorten(string(m.value)))
		}
	}
	return nil
}

func (o object) members() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(o.json(), &out); err != nil {
		panic(err) // made by raw
	}
	return out
}

// readJSON reads a body that is JSON or not there, and checks its form. The answer has no white space around it.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := acceptsJSON(r); err != nil {
		return nil, err
	}
	raw, err := readBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, nil
	}
	return raw, checkForm(raw)
}

// acceptsJSON refuses a body that says it is something else. A form or plain text is also what a foreign page could send
// without asking first.
func acceptsJSON(r *http.Request) error {
	value := r.Header.Get("Content-Type")
	if value == "" || r.ContentLength == 0 {
		return nil
	}
	kind, _, err := mime.ParseMediaType(value)
	if err == nil && (kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")) {
		return nil
	}
	e := errs.New(errs.Invalid, "The body has the type %s. Send JSON with \"Content-Type: application/json\".", shorten(value))
	e.HTTPStatus = http.StatusUnsupportedMediaType
	return e
}

// bodyTime is how long a client may take to send its body.
const bodyTime = time.Minute

// readBody reads a body of at most limit bytes. One that says it is longer is refused unread.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	r.Header.Del("Expect") // the client is told to go on now
	rc := http.NewResponseController(w)
	// The deadline must be taken back: the server goes on reading, to notice when the client leaves.
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime + time.Duration(limit/(256<<10))*time.Second))
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	buf := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength+bytes.MinRead, 512)))
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errs.New(errs.Invalid, "The body ended before the length that was announced.")
	case err != nil:
		return nil, errs.Wrap(err, errs.Invalid, "The body could not be read.")
	}
	return buf.Bytes(), nil
}

func tooLarge(limit int64) error {
	return errs.New(errs.TooLarge, "The body is too large; at most %d MiB are taken here.", limit>>20)
}
