package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"yardmaster/internal/errs"
)

// maxDepth is how deeply a JSON body may be nested.
const maxDepth = 100

// checkForm refuses what a JSON decoder would quietly mend or choke on: bytes that are not UTF-8, a key given twice,
// nesting without end, a second value.
func checkForm(raw []byte) error {
	if !utf8.Valid(raw) {
		return errs.New(errs.Invalid, "The body is not valid UTF-8.")
	}
	if !json.Valid(raw) {
		return errs.New(errs.Invalid, "The body is not JSON: %s.", syntaxOf(raw))
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return errs.Wrap(err, errs.Invalid, "The body is not JSON: %v.", err)
		}
		top := len(stack) - 1
		if key, ok := token.(string); ok && top >= 0 && stack[top].wantKey {
			if _, twice := stack[top].keys[key]; twice {
				return errs.BadField(pathOf(stack[:top+1], key), "is given twice")
			}
			stack[top].keys[key] = struct{}{}
			stack[top].key, stack[top].wantKey = key, false
			continue
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]struct{}{}, wantKey: true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = afterValue(stack[:top])
			continue
		default:
			stack = afterValue(stack)
			continue
		}
		if len(stack) > maxDepth {
			return errs.New(errs.Invalid, "The body is nested more than %d levels deep.", maxDepth)
		}
	}
}

// level is an object or list that is open while a body is checked.
type level struct {
	keys    map[string]struct{} // of an object; nil for a list
	key     string
	wantKey bool
	index   int
}

// afterValue moves the innermost open level past a value that has ended.
func afterValue(stack []level) []level {
	if n := len(stack); n > 0 {
		if top := &stack[n-1]; top.keys != nil {
			top.wantKey = true
		} else {
			top.index++
		}
	}
	return stack
}

func pathOf(stack []level, last string) string {
	path := ""
	for _, l := range stack[:len(stack)-1] {
		if l.keys != nil {
			path += l.key + "."
		} else {
			path += strconv.Itoa(l.index) + "."
		}
	}
	return shorten(path + last)
}

// syntaxOf says where a text stops being JSON.
func syntaxOf(raw []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(raw, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Error() + " (at byte " + strconv.FormatInt(syntax.Offset, 10) + ")"
	}
	return "it can't be read"
}

type member struct {
	name  string
	value json.RawMessage
}

// splitObject answers the members of an object in their order. raw has passed checkForm.
func splitObject(raw []byte) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var out []member
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var m member
		m.name, _ = token.(string)
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
