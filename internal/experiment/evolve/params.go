package evolve

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/spec"
)

// mutateParams changes one to three of the parameters in use. The size of the step is drawn log-normally around a fifth
// of the range, so that small and large steps both come; steps over a bound are reflected.
func mutateParams(src *draw.Source, st *spec.Strategy, p spec.Params) spec.Params {
	var open []*spec.Param
	for i := range st.Params {
		if q := &st.Params[i]; !q.Fixed() && st.Active(q.Name, p) {
			open = append(open, q)
		}
	}
	out := p.Clone()
	for n := 1 + src.Intn(3); n > 0 && len(open) > 0; n-- {
		i := src.Intn(len(open))
		q := open[i]
		open = append(open[:i], open[i+1:]...)
		out[q.Name] = mutateValue(src, q, out[q.Name])
	}
	full, wrong := st.Complete(out)
	if wrong != "" { // every value was made within its range
		return p.Clone()
	}
	return full
}

func mutateValue(src *draw.Source, q *spec.Param, v any) any {
	step := 0.2 * math.Exp(0.5*src.Normal()) * src.Normal()
	switch q.Kind {
	case spec.Bool:
		return v != true
	case spec.Choice:
		var others []any
		for _, o := range q.Options {
			if o != v {
				others = append(others, o)
			}
		}
		return others[src.Intn(len(others))]
	case spec.Angle:
		f, _ := v.(float64)
		return math.Mod(math.Round(f+180*step)+720, 360)
	case spec.Int:
		f, _ := v.(float64)
		next := fromUnit(q, reflect(toUnit(q, f)+step))
		if next == f { // the next whole number on the side of the step, or on the other
			next += math.Copysign(1, step)
			if next < q.Low || next > q.High {
				next = f - math.Copysign(1, step)
			}
		}
		return next
	}
	f, _ := v.(float64)
	return fromUnit(q, reflect(toUnit(q, f)+step))
}

// toUnit maps a number of the parameter's range to [0, 1], by ratio for log.
func toUnit(q *spec.Param, v float64) float64 {
	if q.Kind == spec.Log {
		return math.Log(v/q.Low) / math.Log(q.High/q.Low)
	}
	return (v - q.Low) / (q.High - q.Low)
}

// fromUnit is the inverse of toUnit, rounded to what a person can read and never out of range.
func fromUnit(q *spec.Param, u float64) float64 {
	var v float64
	switch q.Kind {
	case spec.Log:
		v = round(q.Low * math.Pow(q.High/q.Low, u))
	case spec.Int:
		v = math.Round(q.Low + u*(q.High-q.Low))
	default:
		v = q.Low + u*(q.High-q.Low)
		if grain := math.Pow(10, math.Floor(math.Log10(q.High-q.Low))-3); grain > 0 {
			v = round(math.Round(v/grain) * grain)
		}
	}
	return min(max(v, q.Low), q.High)
}

// round keeps four digits that count.
func round(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return out
}

// reflect folds a number back into [0, 1].
func reflect(u float64) float64 {
	u = math.Mod(math.Abs(u), 2)
	if u > 1 {
		u = 2 - u
	}
	return u
}

// changes says what is different in b, in words.
func changes(a, b Genome) string {
	var out []string
	params := func(prefix string, from, to spec.Params) {
		for _, name := range sortedKeys(to) {
			if from[name] != to[name] {
				if from[name] == nil {
					out = append(out, fmt.Sprintf("%s%s %v", prefix, name, to[name]))
				} else {
					out = append(out, fmt.Sprintf("%s%s %v instead of %v", prefix, name, to[name], from[name]))
				}
			}
		}
	}
	params("", a.Params, b.Params)
	before := map[string]spec.Params{}
	for _, m := range a.Members {
		before[m.Strategy] = m.Params
	}
	after := map[string]bool{}
	for _, m := range b.Members {
		after[m.Strategy] = true
		if from, ok := before[m.Strategy]; ok {
			params(m.Strategy+"'s ", from, m.Params)
		} else {
			out = append(out, "the member "+m.Strategy)
		}
	}
	for _, m := range a.Members {
		if !after[m.Strategy] {
			out = append(out, "no member "+m.Strategy)
		}
	}
	if len(out) == 0 {
		return "other members"
	}
	if len(out) > 6 {
		out = append(out[:6], fmt.Sprintf("%d more changes", len(out)-6))
	}
	return strings.Join(out, ", ")
}

func sortedKeys(p spec.Params) []string { return slices.Sorted(maps.Keys(p)) }
