package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Params are the values of a strategy's parameters: float64, string or bool. Whole numbers are float64 too, so that
// values look the same before and after they were stored.
type Params map[string]any

// The kinds of parameters.
const (
	Float  = "float"
	Log    = "log" // a positive number whose size matters by ratio
	Int    = "int"
	Choice = "choice"
	Bool   = "bool"
	Angle  = "angle" // degrees, 0 to 360, where both ends are the same
)

// Param is one declared parameter.
type Param struct {
	Name     string
	Kind     string
	Low      float64 // of float, log and int
	High     float64
	Options  []any // of choice
	Default  any
	When     string // the parameter is in use only when this other one has the value WhenIs
	WhenIs   any
	constant bool
}

// Check answers the value in its own form, or a text that says what is wrong with it.
func (p *Param) Check(v any) (any, string) {
	switch p.Kind {
	case Bool:
		if b, ok := v.(bool); ok {
			return b, ""
		}
		return nil, "must be true or false"
	case Choice:
		if slices.Contains(p.Options, v) {
			return v, ""
		}
		words := make([]string, len(p.Options))
		for i, o := range p.Options {
			words[i] = fmt.Sprint(o)
		}
		return nil, "must be one of " + strings.Join(words, ", ")
	}
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, "must be a number"
	}
	if p.Kind == Angle {
		if f < 0 || f > 360 {
			return nil, "must lie in 0 to 360 degrees"
		}
		return math.Mod(f, 360), ""
	}
	if p.Kind == Int && f != math.Trunc(f) {
		return nil, "must be a whole number"
	}
	if f < p.Low || f > p.High {
		return nil, fmt.Sprintf("must lie in %s to %s", number(p.Low), number(p.High))
	}
	return f, ""
}

// Fixed tells that the parameter can have only one value.
func (p *Param) Fixed() bool { return p.constant }

// Param finds a parameter, or nil.
func (s *Strategy) Param(name string) *Param {
	for i := range s.Params {
		if s.Params[i].Name == name {
			return &s.Params[i]
		}
	}
	return nil
}

// Defaults are the parameters of the strategy as declared.
func (s *Strategy) Defaults() Params {
	p := Params{}
	for i := range s.Params {
		p[s.Params[i].Name] = s.Params[i].Default
	}
	return s.active(p)
}

// Complete checks params, fills in defaults and leaves out what is not in use, so that equal behaviour has equal params.
// The text says what is wrong.
func (s *Strategy) Complete(params Params) (Params, string) {
	out := Params{}
	for i := range s.Params {
		out[s.Params[i].Name] = s.Params[i].Default
	}
	for name, v := range params {
		p := s.Param(name)
		if p == nil {
			return nil, fmt.Sprintf("strategy %s has no parameter %s", s.Name, name)
		}
		checked, wrong := p.Check(v)
		if wrong != "" {
			return nil, name + " " + wrong
		}
		out[name] = checked
	}
	return s.active(out), ""
}

// active leaves out the parameters whose condition does not hold. Conditions name earlier parameters only.
func (s *Strategy) active(p Params) Params {
	for i := range s.Params {
		q := &s.Params[i]
		if q.When == "" {
			continue
		}
		if v, ok := p[q.When]; !ok || v != q.WhenIs {
			delete(p, q.Name)
		}
	}
	return p
}

// Active tells whether a parameter is in use among the others.
func (s *Strategy) Active(name string, p Params) bool {
	q := s.Param(name)
	if q == nil {
		return false
	}
	return q.When == "" || s.Active(q.When, p) && p[q.When] == q.WhenIs
}

// Clone copies the params.
func (p Params) Clone() Params {
	out := make(Params, len(p))
	for k, v := range p {
		out[k] = v
	}
	return out
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
