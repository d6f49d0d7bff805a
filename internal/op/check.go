package op

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"yardmaster/internal/errs"
)

// Check compares a JSON text with the schema and answers an Invalid error that names every wrong field, or nil.
func (s *schema) Check(raw json.RawMessage) error { return s.check(raw, "") }

// check is Check, with a field that is given elsewhere and so is not missing.
func (s *schema) check(raw json.RawMessage, given string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return errs.Wrap(err, errs.Invalid, "The input is not JSON: %v.", err)
	}
	if dec.More() {
		return errs.New(errs.Invalid, "The input has more than one JSON value.")
	}
	c := checker{given: given}
	c.value(s, "", v)
	return errs.BadFields(c.fields)
}

type checker struct {
	fields []errs.Field
	given  string
}

func (c *checker) bad(path, format string, args ...any) {
	if path == "" {
		path = "(input)"
	}
	if len(c.fields) < 20 { // enough to mend, and bounded
		c.fields = append(c.fields, errs.Field{Path: path, Detail: fmt.Sprintf(format, args...)})
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (c *checker) value(s *schema, path string, v any) {
	if v == nil {
		if !s.Nullable && (s.Type != "" || s.Types != nil) {
			c.bad(path, "must not be null; leave it out instead")
		}
		return
	}
	types := s.Types
	if types == nil && s.Type != "" {
		types = []string{s.Type}
	}
	if types != nil && !slices.ContainsFunc(types, func(t string) bool { return hasType(v, t) }) {
		c.bad(path, "must be %s, not %s", article(types), typeOf(v))
		return
	}
	switch v := v.(type) {
	case string:
		c.text(s, path, v)
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			c.bad(path, "is out of range")
		} else if s.Minimum != nil && f < *s.Minimum {
			c.bad(path, "must be at least %v", *s.Minimum)
		} else if s.Maximum != nil && f > *s.Maximum {
			c.bad(path, "must be at most %v", *s.Maximum)
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems {
			c.bad(path, "needs at least %d items", *s.MinItems)
		}
		if s.MaxItems != nil && len(v) > *s.MaxItems {
			c.bad(path, "may have at most %d items", *s.MaxItems)
			return
		}
		for i, item := range v {
			if s.Items != nil {
				c.value(s.Items, join(path, strconv.Itoa(i)), item)
			}
		}
	case map[string]any:
		c.object(s, path, v)
	}
}

func (c *checker) object(s *schema, path string, v map[string]any) {
	if s.Properties == nil {
		for _, key := range sortedKeys(v) {
			if s.Values != nil {
				c.value(s.Values, join(path, key), v[key])
			}
		}
		return
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok && (path != "" || name != c.given) {
			c.bad(join(path, name), "is missing")
		}
	}
	for _, key := range sortedKeys(v) {
		p, ok := s.Properties[key]
		if !ok {
			c.bad(join(path, key), "is not a field here; the fields are %s", strings.Join(s.Order, ", "))
			continue
		}
		c.value(p, join(path, key), v[key])
	}
}

var patterns sync.Map // pattern text → *regexp.Regexp

func (c *checker) text(s *schema, path, v string) {
	if strings.ContainsRune(v, 0) && !s.body { // not every store and program takes it
		c.bad(path, "must not hold the character U+0000")
		return
	}
	n := utf8.RuneCountInString(v)
	if s.MinLength != nil && n < *s.MinLength {
		c.bad(path, "must not be empty")
	}
	if s.MaxLength != nil && n > *s.MaxLength {
		c.bad(path, "has %d characters; at most %d are allowed", n, *s.MaxLength)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, any(v)) {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		c.bad(path, "must be one of %s", strings.Join(words, ", "))
	}
	if s.Pattern != "" {
		re, ok := patterns.Load(s.Pattern)
		if !ok {
			re, _ = patterns.LoadOrStore(s.Pattern, regexp.MustCompile(s.Pattern))
		}
		if !re.(*regexp.Regexp).MatchString(v) {
			c.bad(path, "does not have the form %s", s.Pattern)
		}
	}
}

func hasType(v any, want string) bool {
	got := typeOf(v)
	if got == "number" && want == "integer" {
		n, _ := v.(json.Number)
		f, err := n.Float64()
		return err == nil && f == math.Trunc(f)
	}
	return got == want
}

func typeOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func article(types []string) string {
	words := map[string]string{"string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list", "object": "an object"}
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = words[t]
	}
	return strings.Join(parts, " or ")
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
