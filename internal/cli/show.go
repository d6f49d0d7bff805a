package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
)

// columnOrder puts what people look for first; other columns follow by name, in tables only with --wide.
var columnOrder = []string{"rank", "number", "at", "operation", "resources", "outcome", "name", "title", "variant", "instance", "status", "ok", "type", "kind", "enabled", "strategy", "score", "low", "high", "versusBest", "size", "path",
	"time", "stream", "text", "surface", "remote", "keyId", "schedule", "slot", "cause", "nextRunAt", "version", "labels", "skills", "grants", "isGlobal", "prefix", "scopes", "description", "detail", "id"}

// show prints an answer: a table for a list of objects, lines for an object, or the JSON itself with --json.
func (m *program) show(w io.Writer, raw []byte) error {
	if m.json {
		var out bytes.Buffer
		if json.Indent(&out, raw, "", "  ") != nil {
			_, err := w.Write(raw)
			return err
		}
		out.WriteByte('\n')
		_, err := w.Write(out.Bytes())
		return err
	}
	var v map[string]any
	if err := json.Unmarshal(raw, &v); err != nil {
		_, err = w.Write(raw)
		return err
	}
	if ok, is := v["ok"].(bool); is && ok && len(v) == 1 {
		_, err := fmt.Fprintln(w, "ok")
		return err
	}
	// An envelope with one object is that object.
	if len(v) == 1 {
		for _, inner := range v {
			if o, ok := inner.(map[string]any); ok {
				v = o
			}
		}
	}
	return m.showObject(w, v)
}

func (m *program) showObject(w io.Writer, v map[string]any) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	var lists []string
	for _, k := range sorted(v) {
		if rows, ok := objects(v[k]); ok {
			lists = append(lists, k)
			if len(rows) == 0 {
				lists = lists[:len(lists)-1]
				if len(v) == 1 {
					if _, err := fmt.Fprintf(w, "no %s\n", k); err != nil {
						return err
					}
				}
			}
			continue
		}
		if inner, ok := v[k].(map[string]any); ok {
			_, _ = fmt.Fprintf(tw, "%s:\n", k)
			for _, f := range sorted(inner) {
				line(tw, "  "+f, cell(inner[f]))
			}
			continue
		}
		line(tw, k, cell(v[k]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, k := range lists {
		rows, _ := objects(v[k])
		if len(v) > 1 {
			if _, err := fmt.Fprintf(w, "\n%s\n", k); err != nil {
				return err
			}
		}
		if err := m.table(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// line prints a field, if it says anything; a text of several lines goes below its name as it is.
func line(w io.Writer, name, text string) {
	if strings.Contains(text, "\n") {
		_, _ = fmt.Fprintf(w, "%s:\n%s\n", name, strings.TrimRight(text, "\n"))
	} else if text != "" {
		_, _ = fmt.Fprintf(w, "%s:\t%s\n", name, text)
	}
}

func (m *program) table(w io.Writer, rows []map[string]any) error {
	present := map[string]any{}
	for _, r := range rows {
		for k, v := range r {
			if s := cell(v); s != "" && (m.wide || len(s) < 80) && !strings.Contains(s, "\n") {
				present[k] = true
			}
		}
	}
	cols := sorted(present)
	if known := slices.DeleteFunc(slices.Clone(cols), func(c string) bool { return !slices.Contains(columnOrder, c) }); len(known) >= 2 && !m.wide {
		cols = known
	}
	if _, ok := rows[0]["text"]; ok && !slices.Contains(cols, "text") {
		cols = append(cols, "text")
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, strings.ToUpper(strings.Join(cols, "\t")))
	for _, r := range rows {
		cells := make([]string, len(cols))
		for i, c := range cols {
			cells[i] = strings.ReplaceAll(cell(r[c]), "\n", " ")
		}
		_, _ = fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func objects(v any) ([]map[string]any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	rows := make([]map[string]any, 0, len(list))
	for _, item := range list {
		o, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		rows = append(rows, o)
	}
	return rows, true
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10) // ids and seeds are whole, and useless when rounded
		}
		return strconv.FormatFloat(v, 'g', 6, 64)
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			if o, ok := item.(map[string]any); ok && o["name"] != nil {
				item = o["name"]
			}
			parts[i] = cell(item)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range sorted(v) {
			s := cell(v[k])
			switch v[k].(type) {
			case map[string]any, []any:
				s = "(" + s + ")" // or nobody could tell where it ends
			}
			parts = append(parts, k+"="+s)
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}

func sorted(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := slices.Index(columnOrder, keys[i]), slices.Index(columnOrder, keys[j])
		if a < 0 {
			a = len(columnOrder)
		}
		if b < 0 {
			b = len(columnOrder)
		}
		if a != b {
			return a < b
		}
		return keys[i] < keys[j]
	})
	return keys
}
