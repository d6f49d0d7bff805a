package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"yardmaster/internal/op"
)

// mask stands for a secret.
const mask = "••••••••"

// The sizes of an entry, in characters where not said otherwise.
const (
	maxText      = 256     // of one string of an input
	maxItems     = 50      // of one list or object of an input
	maxInput     = 8 << 10 // of a whole input, in bytes
	maxDetail    = 1000
	maxResources = 100 // in number
	// minHidden is how long a secret must be to be looked for in other texts: shorter ones would hit by chance.
	minHidden = 4
)

// masked is the input of a call as it is stored, and a function that takes its secrets, and those of the account, out of
// other texts. Secrets go before anything is cut, because a part of one would not be recognised.
func masked(ctx context.Context, c *op.Call, scrub func(string) string) (input json.RawMessage, hide func(string) string) {
	dec := json.NewDecoder(bytes.NewReader(c.Raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil { // the registry has checked it
		return json.RawMessage(`{}`), scrub
	}
	var own []string
	v = maskSecrets(c.Op.In, v, &own)
	hide = scrub
	if len(own) > 0 {
		pairs := make([]string, 0, 2*len(own))
		for _, s := range own {
			pairs = append(pairs, s, mask)
		}
		own := strings.NewReplacer(pairs...)
		hide = func(text string) string { return scrub(own.Replace(text)) }
	}
	if fields, ok := v.(map[string]any); ok && c.Op.RawIn != "" {
		if body, ok := op.Body(ctx); ok {
			fields[c.Op.RawIn] = fmt.Sprintf("(%d bytes)", len(body))
		} else if text, ok := fields[c.Op.RawIn].(string); ok {
			fields[c.Op.RawIn] = fmt.Sprintf("(%d bytes)", len(text))
		}
	}
	raw := encode(cut(v, hide))
	if len(raw) > maxInput {
		raw = encode(map[string]any{"…": fmt.Sprintf("(%d bytes, too many to keep)", len(c.Raw))})
	}
	return raw, hide
}

// encode writes a value as JSON without white space. Of a value that was decoded from JSON, the fields are sorted.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil { // entries, and values that were decoded from JSON, always encode
		return json.RawMessage(`{}`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// maskSecrets replaces what the schema calls a secret and collects its texts, the longest first.
func maskSecrets(s *op.Schema, v any, found *[]string) any {
	if s == nil || v == nil {
		return v
	}
	if s.WriteOnly {
		collect(v, found)
		sort.SliceStable(*found, func(i, j int) bool { return len((*found)[i]) > len((*found)[j]) })
		return mask
	}
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			p := s.Values
			if s.Properties != nil {
				p = s.Properties[key]
			}
			v[key] = maskSecrets(p, v[key], found)
		}
	case []any:
		for i := range v {
			v[i] = maskSecrets(s.Items, v[i], found)
		}
	}
	return v
}

func collect(v any, found *[]string) {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) >= minHidden && !slices.Contains(*found, v) {
			*found = append(*found, v)
		}
	case map[string]any:
		for _, item := range v {
			collect(item, found)
		}
	case []any:
		for _, item := range v {
			collect(item, found)
		}
	}
}

// cut takes secrets out of all texts in v and then shortens what is long.
func cut(v any, hide func(string) string) any {
	switch v := v.(type) {
	case string:
		return clip(hide(v), maxText)
	case []any:
		n := len(v)
		if n > maxItems {
			v = append(v[:maxItems:maxItems], fmt.Sprintf("… (%d items)", n))
		}
		for i := range v {
			v[i] = cut(v[i], hide)
		}
		return v
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		out := make(map[string]any, min(len(v), maxItems+1))
		for i, key := range keys {
			if i == maxItems {
				out["…"] = fmt.Sprintf("(%d fields)", len(v))
				break
			}
			out[clip(hide(key), maxText)] = cut(v[key], hide)
		}
		return out
	}
	return v
}

// clip shortens a text to n characters and says how long it was.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	total := utf8.RuneCountInString(text)
	if total <= n {
		return text
	}
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(text[end:])
		end += size
	}
	return fmt.Sprintf("%s… (%d characters)", text[:end], total)
}

// references collects the ids and names of what an input is about: the fields that name a resource, and the name of what
// is made.
func references(s *op.Schema, raw json.RawMessage, hide func(string) string) []string {
	var v map[string]any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var found []string
	for _, name := range s.Order {
		p := s.Properties[name]
		if p.WriteOnly || p.Ref == "" && (p.Items == nil || p.Items.Ref == "") && name != "name" {
			continue
		}
		switch v := v[name].(type) {
		case string:
			found = append(found, v)
		case []any:
			for _, item := range v {
				if text, ok := item.(string); ok {
					found = append(found, text)
				}
			}
		}
	}
	return merge(nil, found, hide)
}

// made collects the ids and names of the things in an answer: those directly in it, and in its lists.
func made(out any) []string {
	v := reflect.ValueOf(out)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var found []string
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		f := v.Field(i)
		if f.Kind() != reflect.Slice {
			found = append(found, identity(f)...)
			continue
		}
		for n := range min(f.Len(), maxResources) {
			found = append(found, identity(f.Index(n))...)
		}
	}
	return found
}

// identity is the id and the name of one thing.
func identity(v reflect.Value) []string {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var found []string
	for _, name := range []string{"ID", "Name"} {
		if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
			found = append(found, f.String())
		}
	}
	return found
}

// merge adds texts to a list, each once, with secrets taken out, up to maxResources.
func merge(list, more []string, hide func(string) string) []string {
	for _, text := range more {
		if len(list) >= maxResources {
			break
		}
		if text = clip(hide(text), maxText); text != "" && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}
