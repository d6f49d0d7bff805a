package spec

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

func (r *reader) params(n ast.Node, path string) []Param {
	entries := r.mapping(n, path)
	if len(entries) > maxParams {
		r.fail(path, n, "declares %d parameters; at most %d are allowed", len(entries), maxParams)
		return nil
	}
	var out []Param
	for _, e := range entries {
		if r.name(e) {
			if p, ok := r.param(e, out); ok {
				out = append(out, p)
			}
		}
	}
	return out
}

func (r *reader) param(e entry, earlier []Param) (Param, bool) {
	p := Param{Name: e.key}
	failed := len(r.bad)
	var def, when ast.Node
	kind := func(k string, read func(n ast.Node, path string)) func(ast.Node, string) {
		return func(n ast.Node, path string) {
			if p.Kind != "" {
				r.fail(path, n, "a parameter has one kind, and this one is %s already", p.Kind)
				return
			}
			p.Kind = k
			read(n, path)
		}
	}
	bounds := func(n ast.Node, path string) {
		b, ok := r.pair(n, path)
		if !ok {
			return
		}
		p.Low, p.High = b[0], b[1]
		whole := p.Low == float64(int64(p.Low)) && p.High == float64(int64(p.High))
		switch {
		case p.Low > p.High:
			r.fail(path, n, "its lower bound is above the upper one")
		case p.Kind == Int && !whole:
			r.fail(path, n, "must be two whole numbers")
		case p.Kind == Log && p.Low <= 0:
			r.fail(path, n, "must be above 0")
		}
		p.constant = p.Low == p.High
	}
	yes := func(n ast.Node, path string) {
		if !r.boolean(n, path) && len(r.bad) == failed {
			r.fail(path, n, "must be true")
		}
	}
	r.fields(e.value, e.path, nil, map[string]func(ast.Node, string){
		Float: kind(Float, bounds), Log: kind(Log, bounds), Int: kind(Int, bounds),
		Bool:  kind(Bool, func(n ast.Node, path string) { r.boolean(n, path) }),
		Angle: kind(Angle, yes),
		Choice: kind(Choice, func(n ast.Node, path string) {
			for i, item := range r.list(n, path) {
				at := fmt.Sprintf("%s.%d", path, i)
				if v, ok := r.scalar(item, at); ok {
					if slices.Contains(p.Options, v) {
						r.fail(at, item, "is there twice")
					}
					p.Options = append(p.Options, v)
				}
			}
			if len(p.Options) == 0 {
				r.fail(path, n, "must list at least one value")
			}
			p.constant = len(p.Options) == 1
		}),
		"default": func(n ast.Node, _ string) { def = n },
		"when":    func(n ast.Node, _ string) { when = n },
	})
	if p.Kind == "" && len(r.bad) == failed {
		r.fail(e.path, e.value, "must say its kind: one of float, log, int, choice, bool, angle")
	}
	if len(r.bad) > failed {
		return p, false
	}
	r.paramDefault(&p, e, def)
	if when != nil {
		r.paramWhen(&p, e.path+".when", when, earlier)
	}
	return p, len(r.bad) == failed
}

// paramDefault reads the default; without one it is the first choice, false, or north.
func (r *reader) paramDefault(p *Param, e entry, def ast.Node) {
	switch {
	case def != nil:
		v, ok := r.scalar(def, e.path+".default")
		if !ok {
			return
		}
		checked, wrong := p.Check(v)
		if wrong != "" {
			r.fail(e.path+".default", def, "%s", wrong)
		}
		p.Default = checked
	case p.Kind == Choice:
		p.Default = p.Options[0]
	case p.Kind == Bool:
		p.Default = false
	case p.Kind == Angle:
		p.Default = 0.0
	default:
		r.fail(e.path+".default", e.value, "is missing")
	}
}

func (r *reader) paramWhen(p *Param, path string, n ast.Node, earlier []Param) {
	var conditions []entry
	if t, ok := n.(*ast.StringNode); ok { // `when: upwind` is short for {upwind: true}
		conditions = []entry{{key: t.Value, path: path}}
	} else {
		conditions = r.mapping(n, path)
	}
	if len(conditions) != 1 {
		r.fail(path, n, "must name one parameter and its value, such as {combine: mean}")
		return
	}
	c := conditions[0]
	i := slices.IndexFunc(earlier, func(q Param) bool { return q.Name == c.key })
	if i < 0 {
		r.fail(path, n, "names %q, which is no parameter declared above it", c.key)
		return
	}
	var v any = true
	if c.value != nil {
		var ok bool
		if v, ok = r.scalar(c.value, c.path); !ok {
			return
		}
	}
	checked, wrong := earlier[i].Check(v)
	if wrong != "" {
		r.fail(c.path, n, "%s %s", c.key, wrong)
	}
	p.When, p.WhenIs = c.key, checked
}
