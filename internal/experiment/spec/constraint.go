package spec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Constraint is a condition that every variant must fulfil, such as "lags <= window or strategy != ar".
//
// The grammar: or, and, not, brackets, and comparisons (< <= > >= == !=) of a name with a name, number or word. A name is
// a parameter, or "strategy". A constraint that names a parameter which a variant does not use says nothing about it.
type Constraint struct {
	Text  string
	names []string
	root  expr
}

// Holds tells whether a variant fulfils the constraint.
func (c Constraint) Holds(strategy string, p Params) bool {
	for _, name := range c.names {
		if _, ok := p[name]; !ok {
			return true
		}
	}
	return c.root.holds(strategy, p)
}

type expr interface {
	holds(strategy string, p Params) bool
}

type (
	orExpr  struct{ a, b expr }
	andExpr struct{ a, b expr }
	notExpr struct{ a expr }
	cmpExpr struct {
		left, right operand
		op          string
	}
	operand struct {
		name  string // a parameter's, or ""
		value any    // when name is ""
	}
)

func (e orExpr) holds(s string, p Params) bool  { return e.a.holds(s, p) || e.b.holds(s, p) }
func (e andExpr) holds(s string, p Params) bool { return e.a.holds(s, p) && e.b.holds(s, p) }
func (e notExpr) holds(s string, p Params) bool { return !e.a.holds(s, p) }

func (e cmpExpr) holds(s string, p Params) bool {
	a, b := e.left.eval(s, p), e.right.eval(s, p)
	switch e.op {
	case "==":
		return a == b
	case "!=":
		return a != b
	}
	x, okX := a.(float64)
	y, okY := b.(float64)
	if !okX || !okY { // words have no order
		return false
	}
	switch e.op {
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	default:
		return x >= y
	}
}

func (o operand) eval(strategy string, p Params) any {
	switch o.name {
	case "":
		return o.value
	case "strategy":
		return strategy
	}
	return p[o.name]
}

// maxConstraint bounds the text, and with it the depth of brackets.
const maxConstraint = 500

// parseConstraint reads a constraint. isName tells which words are parameters; the others are values.
func parseConstraint(text string, isName func(string) bool) (Constraint, error) {
	if len(text) > maxConstraint {
		return Constraint{}, fmt.Errorf("is longer than %d characters", maxConstraint)
	}
	p := &constraintParser{tokens: constraintTokens(text), isName: isName}
	root, err := p.or()
	if err != nil {
		return Constraint{}, err
	}
	if p.pos < len(p.tokens) {
		return Constraint{}, fmt.Errorf("%q is not understood", p.tokens[p.pos])
	}
	return Constraint{text, p.names, root}, nil
}

func constraintTokens(text string) []string {
	var out []string
	runes := []rune(text)
	for i := 0; i < len(runes); {
		r := runes[i]
		switch {
		case unicode.IsSpace(r):
			i++
		case strings.ContainsRune("<>=!", r):
			j := i + 1
			if j < len(runes) && runes[j] == '=' {
				j++
			}
			out = append(out, string(runes[i:j]))
			i = j
		case r == '(' || r == ')':
			out = append(out, string(r))
			i++
		default:
			j := i
			for j < len(runes) && !unicode.IsSpace(runes[j]) && !strings.ContainsRune("<>=!()", runes[j]) {
				j++
			}
			out = append(out, string(runes[i:j]))
			i = j
		}
	}
	return out
}

type constraintParser struct {
	tokens []string
	pos    int
	isName func(string) bool
	names  []string // the parameters that were named
}

func (p *constraintParser) next(words ...string) bool {
	if p.pos >= len(p.tokens) {
		return false
	}
	for _, w := range words {
		if p.tokens[p.pos] == w {
			p.pos++
			return true
		}
	}
	return false
}

func (p *constraintParser) or() (expr, error) {
	a, err := p.and()
	for err == nil && p.next("or") {
		var b expr
		b, err = p.and()
		a = orExpr{a, b}
	}
	return a, err
}

func (p *constraintParser) and() (expr, error) {
	a, err := p.not()
	for err == nil && p.next("and") {
		var b expr
		b, err = p.not()
		a = andExpr{a, b}
	}
	return a, err
}

func (p *constraintParser) not() (expr, error) {
	if p.next("not") {
		a, err := p.not()
		return notExpr{a}, err
	}
	if p.next("(") {
		a, err := p.or()
		if err == nil && !p.next(")") {
			err = fmt.Errorf("a closing bracket is missing")
		}
		return a, err
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	if !p.next("<", "<=", ">", ">=", "==", "!=") {
		return nil, fmt.Errorf("a comparison (<, <=, >, >=, ==, !=) is missing")
	}
	op := p.tokens[p.pos-1]
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left.name == "" && right.name == "" {
		return nil, fmt.Errorf("%v %s %v names no parameter", left.value, op, right.value)
	}
	return cmpExpr{left, right, op}, nil
}

func (p *constraintParser) operand() (operand, error) {
	if p.pos >= len(p.tokens) {
		return operand{}, fmt.Errorf("it ends too early")
	}
	t := p.tokens[p.pos]
	p.pos++
	if strings.ContainsAny(t, "<>=!()") {
		return operand{}, fmt.Errorf("%q stands where a name or value must be", t)
	}
	if f, err := strconv.ParseFloat(t, 64); err == nil {
		return operand{value: f}, nil
	}
	switch {
	case t == "strategy":
		return operand{name: t}, nil
	case p.isName(t):
		p.names = append(p.names, t)
		return operand{name: t}, nil
	case t == "true" || t == "false":
		return operand{value: t == "true"}, nil
	}
	return operand{value: strings.Trim(t, `"'`)}, nil
}
