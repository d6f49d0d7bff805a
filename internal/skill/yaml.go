package skill

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is what a YAML value is made of. There are no numbers or booleans: a scalar is its source text, because a library
// that turns `version: 1.0` into 1 or `name: 123` into a number loses what the author wrote.
type kind int

const (
	scalar kind = iota
	null        // nothing after the colon
	list
	mapping
)

// value is a YAML value of a frontmatter.
type value struct {
	kind   kind
	text   string // of a scalar
	plain  bool   // a scalar without quotes and not a block
	line   int    // 1 is the first line of the YAML text
	col    int
	items  []value
	fields []field
}

// field is one key of a map, in the order of the text.
type field struct {
	key  string
	line int
	col  int
	val  value
}

// constructs are the parts of YAML that ordinary parsers take and the reference validator's parser refuses.
type constructs struct {
	flow, anchor, tag, merge bool
	tab                      bool // outside of quotes, blocks and comments
	control                  bool // a character that YAML does not allow
	reserved                 bool // a plain value that begins with , ] or }
	unindented               bool // a value in a line of its own, no deeper than its key
	documents                int
}

const (
	maxFrontmatter = 64 << 10 // bytes; published ones have up to some 4 KiB
	maxNesting     = 12
)

var errDeep = errors.New("it nests more than 12 levels deep")

// syntaxError is a YAML error with its place.
type syntaxError struct {
	line int
	msg  string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

// readYAML reads one YAML document. Repeated keys are an error. The answer is null for an empty text.
func readYAML(src string) (v value, used constructs, err error) {
	if len(src) > maxFrontmatter {
		return v, used, fmt.Errorf("it has %d bytes; at most %d are allowed", len(src), maxFrontmatter)
	}
	// The parser is recursive and was made for configuration files of friends; hostile text must not stop the program.
	defer func() {
		if p := recover(); p != nil {
			v, err = value{}, errors.New("it can't be read as YAML")
		}
	}()
	tokens := lexer.Tokenize(src)
	if err := checkNesting(tokens); err != nil {
		return v, used, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return v, used, syntax(err)
	}
	used.scan(src, tokens)
	v.kind = null
	for _, doc := range file.Docs {
		if doc.Body == nil && doc.Start == nil {
			continue
		}
		used.documents++
		if used.documents > 1 {
			continue
		}
		if v, err = used.read(doc.Body, 0); err != nil {
			return value{}, used, err
		}
	}
	return v, used, nil
}

// checkNesting bounds what makes the parser call itself before it sees the text. Indentation needs no bound of its own: d
// levels of it take some d²/2 bytes.
func checkNesting(tokens token.Tokens) error {
	depth, line, openers := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			if t.Position.Line != line {
				line, openers = t.Position.Line, 0
			}
			openers++
		}
		if depth > maxNesting || openers > maxNesting {
			return errDeep
		}
	}
	return nil
}

// scan finds constructs that leave no trace in the parsed tree.
func (u *constructs) scan(src string, tokens token.Tokens) {
	u.control = strings.ContainsFunc(src, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff
	})
	tabs := strings.Count(src, "\t")
	for _, t := range tokens {
		switch {
		case t.Type == token.SingleQuoteType, t.Type == token.DoubleQuoteType, t.Type == token.CommentType,
			t.Prev != nil && (t.Prev.Type == token.LiteralType || t.Prev.Type == token.FoldedType):
			tabs -= strings.Count(t.Origin, "\t")
		case t.Type == token.StringType && t.Value != "" && strings.ContainsRune(",]}", rune(t.Value[0])):
			u.reserved = true
		}
	}
	u.tab = tabs > 0
}

func syntax(err error) error {
	var y interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &y) && y.GetToken() != nil {
		return &syntaxError{line: y.GetToken().Position.Line, msg: y.GetMessage()}
	}
	return errors.New("it can't be read as YAML")
}

// read turns a node of the parser into a value.
func (u *constructs) read(n ast.Node, depth int) (value, error) {
	if depth > maxNesting {
		return value{}, errDeep
	}
	if n == nil {
		return value{kind: null}, nil
	}
	at := n.GetToken().Position
	v := value{line: at.Line, col: at.Column}
	switch n := n.(type) {
	case *ast.CommentGroupNode:
		v.kind = null
	case *ast.NullNode:
		if n.GetToken().Type == token.ImplicitNullType {
			v.kind = null
		} else {
			v.text, v.plain = n.GetToken().Value, true
		}
	case *ast.LiteralNode:
		v.text = n.Value.Value
	case *ast.StringNode:
		v.text, v.plain = n.Value, n.Token.Type == token.StringType
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		v.text, v.plain = n.GetToken().Value, true
	case *ast.AnchorNode:
		u.anchor = true
		return u.read(n.Value, depth+1)
	case *ast.TagNode:
		u.tag = true
		return u.read(n.Value, depth+1)
	case *ast.AliasNode:
		return v, &syntaxError{line: v.line, msg: "aliases (*name) are not supported; write the value out"}
	case *ast.SequenceNode:
		v.kind = list
		u.flow = u.flow || n.IsFlowStyle
		for _, item := range n.Values {
			x, err := u.read(item, depth+1)
			if err != nil {
				return v, err
			}
			v.items = append(v.items, x)
		}
	case *ast.MappingNode:
		v.kind = mapping
		u.flow = u.flow || n.IsFlowStyle
		err := u.readFields(&v, n.Values, depth)
		return v, err
	case *ast.MappingValueNode:
		v.kind = mapping
		err := u.readFields(&v, []*ast.MappingValueNode{n}, depth)
		return v, err
	default:
		return v, &syntaxError{line: v.line, msg: fmt.Sprintf("a %s is not supported here", strings.ToLower(n.Type().YAMLName()))}
	}
	return v, nil
}

func (u *constructs) readFields(v *value, pairs []*ast.MappingValueNode, depth int) error {
	seen := map[string]bool{}
	for _, p := range pairs {
		key, err := u.key(p.Key, depth)
		if err != nil {
			return err
		}
		at := p.Key.GetToken().Position
		if seen[key] {
			return &syntaxError{line: at.Line, msg: fmt.Sprintf("the key %q is there twice", key)}
		}
		seen[key] = true
		x, err := u.read(p.Value, depth+1)
		if err != nil {
			return err
		}
		if x.kind == scalar && x.line > at.Line && x.col <= at.Column {
			u.unindented = true
		}
		v.fields = append(v.fields, field{key: key, line: at.Line, col: at.Column, val: x})
	}
	return nil
}

func (u *constructs) key(k ast.MapKeyNode, depth int) (string, error) {
	var n ast.Node = k
	switch k := k.(type) {
	case *ast.MergeKeyNode:
		u.merge = true
		return "<<", nil
	case *ast.MappingKeyNode:
		n = k.Value
	}
	x, err := u.read(n, depth+1)
	if err != nil {
		return "", err
	}
	if x.kind != scalar {
		return "", &syntaxError{line: x.line, msg: "a key must be a single word"}
	}
	return x.text, nil
}
