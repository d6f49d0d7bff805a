package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// TruncatedKey is the field by which Fit says in an object what it cut.
const TruncatedKey = "_truncated"

// Fit cuts a JSON value to about budget bytes and keeps its shape: long strings keep their beginning and end, long lists
// their first items, and everything that is short stays as it is, so that cursors and counts survive. An object then has
// the field TruncatedKey with a sentence that says how to read on. A value within the budget is answered unchanged.
func Fit(raw json.RawMessage, budget int) json.RawMessage {
	if budget <= 0 || len(raw) <= budget {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		out, _ := marshal(clip(string(raw), budget))
		return out
	}
	// The allowances are halved until it fits; a dozen rounds bring any of them near to nothing.
	for items, text := 512, budget/2; ; items, text = items/2, text/2 {
		cut := shrink(v, items, text)
		note := fmt.Sprintf("This result had %d bytes and was cut. Lists show their first items and long texts their beginning and end. "+
			"To read on, ask with limit and after, with a narrower filter, or for a part.", len(raw))
		if m, ok := cut.(map[string]any); ok {
			m[TruncatedKey] = note
		}
		out, err := marshal(cut)
		if err == nil && len(out) <= budget {
			return out
		}
		if items == 0 {
			out, _ = marshal(map[string]any{TruncatedKey: note, "text": clip(string(raw), budget/2)})
			return out
		}
	}
}

// shrink copies a value with at most items items a list and about text bytes a string.
func shrink(v any, items, text int) any {
	switch v := v.(type) {
	case string:
		return clip(v, text)
	case []any:
		n := min(len(v), items)
		out := make([]any, n)
		for i := range n {
			out[i] = shrink(v[i], items, text)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v)+1)
		for k, e := range v {
			out[k] = shrink(e, items, text)
		}
		return out
	}
	return v
}

// clip keeps the beginning and the end of a text that is longer than limit bytes, whole runes only.
func clip(s string, limit int) string {
	limit = max(limit, 64)
	if len(s) <= limit {
		return s
	}
	head, tail := limit*2/3, len(s)-limit/3
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return fmt.Sprintf("%s\n… (%d bytes left out) …\n%s", s[:head], tail-head, s[tail:])
}
