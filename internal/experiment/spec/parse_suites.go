package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

func (r *reader) suites(n ast.Node, path string, s *Spec) []Suite {
	entries := r.mapping(n, path)
	if len(entries) == 0 {
		r.fail(path, n, "must declare at least one suite: the cases that variants are measured with")
	}
	if len(entries) > maxSuites {
		r.fail(path, n, "declares %d suites; at most %d are allowed", len(entries), maxSuites)
		return nil
	}
	var out []Suite
	defaults := 0
	for _, e := range entries {
		if !r.name(e) {
			continue
		}
		su := r.suite(e, s)
		if su.Default {
			if defaults++; defaults > 1 {
				r.fail(e.path+".default", e.value, "only one suite can be the default")
			}
		}
		out = append(out, su)
	}
	if defaults == 0 && len(out) > 0 {
		out[0].Default = true
	}
	return out
}

func (r *reader) suite(e entry, s *Spec) Suite {
	su := Suite{Name: e.key}
	var splits, baseline, target ast.Node
	r.fields(e.value, e.path, []string{"data", "splits", "metric", "baseline"}, map[string]func(ast.Node, string){
		"description": func(n ast.Node, p string) { su.Description = r.text(n, p) },
		"default":     func(n ast.Node, p string) { su.Default = r.boolean(n, p) },
		"data":        func(n ast.Node, p string) { su.Data = r.data(n, p) },
		"target":      func(n ast.Node, _ string) { target = n },
		"splits":      func(n ast.Node, _ string) { splits = n },
		"metric":      func(n ast.Node, p string) { su.Metric = r.metric(n, p) },
		"metrics": func(n ast.Node, p string) {
			for i, item := range r.list(n, p) {
				su.Others = append(su.Others, r.metric(item, fmt.Sprintf("%s.%d", p, i)))
			}
		},
		"baseline": func(n ast.Node, _ string) { baseline = n },
		"block":    func(n ast.Node, p string) { su.Block = r.whole(n, p, 1, 365) },
	})
	if su.Block == 0 {
		su.Block = 1
		if su.Data.Format == StationDays { // errors of one week go together
			su.Block = 7
		}
	}
	if target != nil {
		su.Target = r.target(target, e.path+".target")
	}
	if splits != nil && su.Data.Format != "" {
		r.splits(splits, e.path+".splits", &su)
	}
	if baseline != nil {
		r.baseline(baseline, e.path+".baseline", &su, s)
	}
	if su.Metric.Name == "brier" || su.Metric.Name == "logloss" {
		if su.Target.Range == nil {
			su.Target.Range = &[2]float64{0, 1}
		}
	}
	return su
}

func (r *reader) data(n ast.Node, path string) Data {
	var d Data
	file := func(dst *string) func(ast.Node, string) {
		return func(n ast.Node, p string) { *dst = r.file(n, p) }
	}
	r.fields(n, path, []string{"format"}, map[string]func(ast.Node, string){
		"format": func(n ast.Node, p string) {
			d.Format = r.text(n, p)
			if d.Format != StationDays && d.Format != Cases {
				r.fail(p, n, "must be %s or %s", StationDays, Cases)
				d.Format = ""
			}
		},
		"values": file(&d.Values),
		"sites":  file(&d.Sites),
		"cases":  file(&d.Cases),
		"static": func(n ast.Node, p string) {
			for i, item := range r.list(n, p) {
				d.Static = append(d.Static, r.file(item, fmt.Sprintf("%s.%d", p, i)))
			}
		},
	})
	switch {
	case d.Format == StationDays && d.Values == "":
		r.fail(path+".values", n, "is missing: the table of days")
	case d.Format == Cases && d.Cases == "":
		r.fail(path+".cases", n, "is missing: the file of cases")
	case d.Format == StationDays && d.Cases != "":
		r.fail(path+".cases", n, "belongs to the format %s", Cases)
	case d.Format == Cases && (d.Values != "" || d.Sites != ""):
		r.fail(path, n, "values and sites belong to the format %s", StationDays)
	}
	// Variants get all these files in one folder.
	seen := map[string]string{}
	for _, f := range d.Withheld() {
		base := f[strings.LastIndexByte(f, '/')+1:]
		if other, ok := seen[base]; ok {
			r.fail(path, n, "%s and %s have the same file name", other, f)
		}
		seen[base] = f
	}
	return d
}

func (r *reader) file(n ast.Node, path string) string {
	f := r.text(n, path)
	if f != "" && !localPath(f) {
		r.fail(path, n, "%q must be a path inside the skill, such as assets/values.csv", f)
	}
	return f
}

func (r *reader) target(n ast.Node, path string) Target {
	var t Target
	r.fields(n, path, nil, map[string]func(ast.Node, string){
		"transform": func(n ast.Node, p string) { t.Transform = r.text(n, p) },
		"table": func(n ast.Node, p string) {
			for i, item := range r.list(n, p) {
				point, ok := r.pair(item, fmt.Sprintf("%s.%d", p, i))
				if !ok {
					continue
				}
				if k := len(t.Table); k > 0 && (point[0] <= t.Table[k-1][0] || point[1] < t.Table[k-1][1]) {
					r.fail(fmt.Sprintf("%s.%d", p, i), item, "does not rise: [%s, %s] follows [%s, %s]",
						number(point[0]), number(point[1]), number(t.Table[k-1][0]), number(t.Table[k-1][1]))
				}
				t.Table = append(t.Table, point)
			}
			if len(t.Table) < 2 {
				r.fail(p, n, "needs at least two points")
			}
		},
		"above": func(n ast.Node, p string) {
			if f, ok := r.number(n, p); ok {
				t.Above = &f
			}
		},
		"range": func(n ast.Node, p string) {
			b, ok := r.pair(n, p)
			if ok && b[0] >= b[1] {
				r.fail(p, n, "its lower bound is not below the upper one")
			}
			t.Range = &b
		},
	})
	if t.Above != nil && t.Table != nil {
		r.fail(path, n, "has both a table and above; only one can make the expected value")
	}
	return t
}

func (r *reader) metric(n ast.Node, path string) Metric {
	m := Metric{Quantile: 0.5}
	if t, ok := n.(*ast.StringNode); ok { // `metric: mae` is short for {name: mae}
		m.Name = t.Value
	} else {
		r.fields(n, path, []string{"name"}, map[string]func(ast.Node, string){
			"name":      func(n ast.Node, p string) { m.Name = r.text(n, p) },
			"direction": func(n ast.Node, p string) { m.Direction = r.text(n, p) },
			"quantile": func(n ast.Node, p string) {
				if f, ok := r.number(n, p); ok {
					if m.Quantile = f; f <= 0 || f >= 1 {
						r.fail(p, n, "must lie between 0 and 1")
					}
				}
			},
		})
	}
	natural, ok := builtin[m.Name]
	if !ok {
		if m.Name != "" {
			r.fail(path, n, "%q is no metric; there are %s", m.Name, strings.Join(slices.Sorted(maps.Keys(builtin)), ", "))
		}
		return m
	}
	if m.Direction == "" {
		m.Direction = natural
	}
	if m.Direction != natural {
		r.fail(path+".direction", n, "of %s is %s", m.Name, natural)
	}
	if m.Name != "pinball" {
		m.Quantile = 0
	}
	return m
}

func (r *reader) baseline(n ast.Node, path string, su *Suite, s *Spec) {
	if t, ok := n.(*ast.StringNode); ok {
		su.Baseline.Strategy = t.Value
	} else {
		r.fields(n, path, []string{"strategy"}, map[string]func(ast.Node, string){
			"strategy": func(n ast.Node, p string) { su.Baseline.Strategy = r.text(n, p) },
			"params":   func(n ast.Node, p string) { su.Baseline.Params = r.values(n, p) },
		})
	}
	if su.Baseline.Strategy != "" {
		su.Baseline.Params = r.variant(s, su.Baseline.Strategy, su.Baseline.Params, path)
	}
}

func (r *reader) splits(n ast.Node, path string, su *Suite) {
	nodes := map[string]ast.Node{}
	read := func(dst *Split) func(ast.Node, string) {
		return func(n ast.Node, p string) {
			nodes[p] = n
			*dst = r.split(n, p, su.Data.Format)
		}
	}
	r.fields(n, path, []string{Search}, map[string]func(ast.Node, string){
		Search: read(&su.Search), Select: read(&su.Select), Sealed: read(&su.Sealed),
	})
	// A variant that saw a later split's past must never be scored on an earlier one, so the order is fixed.
	last, name := su.Search, Search
	var shares float64
	for _, next := range []string{Search, Select, Sealed} {
		sp := su.Split(next)
		shares += sp.Share
		if next == Search || sp.IsZero() || sp.From.IsZero() || last.To.IsZero() {
			continue
		}
		if !sp.From.After(last.To) {
			r.fail(join(path, next), nodes[join(path, next)], "must begin after the end of %s, %s", name, last.To.Format(time.DateOnly))
		}
		last, name = sp, next
	}
	if shares > 1.0001 {
		r.fail(path, n, "the shares add up to more than 1")
	}
}

func (r *reader) split(n ast.Node, path, format string) Split {
	var sp Split
	date := func(dst *time.Time) func(ast.Node, string) {
		return func(n ast.Node, p string) {
			d, err := time.Parse(time.DateOnly, r.text(n, p))
			if err != nil {
				r.fail(p, n, "must be a date such as 2006-12-31")
			}
			*dst = d
		}
	}
	if format == Cases {
		r.fields(n, path, nil, map[string]func(ast.Node, string){
			"share": func(n ast.Node, p string) {
				if f, ok := r.number(n, p); ok {
					if sp.Share = f; f <= 0 || f > 1 {
						r.fail(p, n, "must be above 0 and at most 1")
					}
				}
			},
			"where": func(n ast.Node, p string) { sp.Where = r.text(n, p) },
		})
		if (sp.Share == 0) == (sp.Where == "") {
			r.fail(path, n, "must have either a share, such as {share: 0.5}, or the value of the cases' split, such as {where: train}")
		}
		return sp
	}
	r.fields(n, path, []string{"from", "to"}, map[string]func(ast.Node, string){"from": date(&sp.From), "to": date(&sp.To)})
	if sp.To.Before(sp.From) {
		r.fail(path, n, "ends before it begins")
	}
	return sp
}
