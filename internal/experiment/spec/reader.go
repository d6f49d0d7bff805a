package spec

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"yardmaster/internal/errs"
)

// reader walks a YAML document and gathers what is wrong with it.
type reader struct {
	bad []errs.Field
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	path  string
	value ast.Node
}

// maxErrors bounds a report: enough to mend, and readable.
const maxErrors = 20

func (r *reader) fail(path string, n ast.Node, format string, args ...any) {
	if len(r.bad) >= maxErrors {
		return
	}
	if path == "" {
		path = "(document)"
	}
	detail := fmt.Sprintf(format, args...)
	if line := lineOf(n); line > 0 {
		detail = fmt.Sprintf("line %d: %s", line, detail)
	}
	r.bad = append(r.bad, errs.Field{Path: path, Detail: detail})
}

func lineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// document parses data and answers its one document, or nil after a failure.
func (r *reader) document(data []byte) ast.Node {
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n") // below it is a picture of the source
		r.bad = append(r.bad, errs.Field{Path: "(document)", Detail: "is not valid YAML: " + text})
		return nil
	}
	var body ast.Node
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.fail("", d.Body, "holds a second document; only one is allowed")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.bad = append(r.bad, errs.Field{Path: "(document)", Detail: "is empty"})
	}
	return body
}

// mapping answers the entries of a mapping in their order. An absent node has none.
func (r *reader) mapping(n ast.Node, path string) []entry {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.fail(path, n, "must be a mapping of names to values, not %s", kindOf(n))
		return nil
	}
	out := make([]entry, 0, len(values))
	seen := map[string]bool{}
	for _, v := range values {
		key, ok := v.Key.(ast.ScalarNode)
		if _, merge := v.Key.(*ast.MergeKeyNode); !ok || merge {
			r.fail(path, v.Key, "has a key that is no plain word")
			continue
		}
		name := fmt.Sprint(key.GetValue())
		if seen[name] {
			r.fail(join(path, name), v.Key, "is there twice")
			continue
		}
		seen[name] = true
		out = append(out, entry{name, join(path, name), v.Value})
	}
	return out
}

// fields hands each entry of a mapping to the function of its name. Other entries are mistakes, and so is the lack of a
// required one.
func (r *reader) fields(n ast.Node, path string, required []string, set map[string]func(n ast.Node, path string)) {
	entries := r.mapping(n, path)
	have := map[string]bool{}
	for _, e := range entries {
		have[e.key] = true
		fn, ok := set[e.key]
		if !ok {
			r.fail(e.path, e.value, "is not known here; known are %s", strings.Join(sortedKeys(set), ", "))
			continue
		}
		fn(e.value, e.path)
	}
	for _, name := range required {
		if !have[name] {
			r.fail(join(path, name), n, "is missing")
		}
	}
}

func (r *reader) list(n ast.Node, path string) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(path, n, "must be a list, not %s", kindOf(n))
		return nil
	}
	return s.Values
}

var exponent = regexp.MustCompile(`^\s*[-+]?[0-9]+[eE][-+]?[0-9]+\s*$`)

func (r *reader) scalar(n ast.Node, path string) (any, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		// YAML 1.2 counts 1e4 as a number, the parser wants a point in it.
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && exponent.MatchString(n.Token.Origin) {
			return f, true
		}
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			return float64(v), true
		case uint64:
			return float64(v), true
		}
	}
	r.fail(path, n, "must be a word, a number, true or false, not %s", kindOf(n))
	return nil, false
}

func (r *reader) text(n ast.Node, path string) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	}
	r.fail(path, n, "must be text, not %s", kindOf(n))
	return ""
}

func (r *reader) texts(n ast.Node, path string) []string {
	var out []string
	for i, item := range r.list(n, path) {
		out = append(out, r.text(item, fmt.Sprintf("%s.%d", path, i)))
	}
	return out
}

func (r *reader) number(n ast.Node, path string) (float64, bool) {
	v, ok := r.scalar(n, path)
	if !ok {
		return 0, false
	}
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		r.fail(path, n, "must be a number")
		return 0, false
	}
	return f, true
}

func (r *reader) whole(n ast.Node, path string, low, high int) int {
	f, ok := r.number(n, path)
	if !ok {
		return low
	}
	if f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		r.fail(path, n, "must be a whole number from %d to %d", low, high)
		return low
	}
	return int(f)
}

func (r *reader) boolean(n ast.Node, path string) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.fail(path, n, "must be true or false")
		return false
	}
	return b.Value
}

// pair reads a list of two numbers.
func (r *reader) pair(n ast.Node, path string) ([2]float64, bool) {
	items := r.list(n, path)
	if items == nil {
		return [2]float64{}, false
	}
	if len(items) != 2 {
		r.fail(path, n, "must be two numbers")
		return [2]float64{}, false
	}
	a, okA := r.number(items[0], path+".0")
	b, okB := r.number(items[1], path+".1")
	return [2]float64{a, b}, okA && okB
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "an anchor, alias or tag, which are not allowed here"
	}
	return "something else"
}
