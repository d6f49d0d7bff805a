package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/stats"
)

// Value is an expected value or an answer: a number, a word, or true or false.
type Value struct {
	kind byte // 'n', 's' or 'b'
	num  float64
	text string
}

// Number makes a value.
func Number(f float64) Value { return Value{kind: 'n', num: f} }

// biggest bounds numbers, so that no sum of losses overflows.
const biggest = 1e12

// ParseValue reads a value. Numbers that are not finite or absurdly large are errors.
func ParseValue(raw json.RawMessage) (Value, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return Value{}, errors.New("is missing")
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return Value{kind: 's', text: s}, err
	case string(raw) == "true":
		return Value{kind: 'b', num: 1}, nil
	case string(raw) == "false":
		return Value{kind: 'b'}, nil
	case raw[0] == '{' || raw[0] == '[' || string(raw) == "null":
		return Value{}, errors.New("must be a number, a word, true or false")
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > biggest {
		return Value{}, fmt.Errorf("is %.40s, which is no number that can be used", raw)
	}
	return Number(f), nil
}

// String is the value in one form, for digests.
func (v Value) String() string {
	if v.kind == 's' {
		return strconv.Quote(v.text)
	}
	return strconv.FormatFloat(v.num, 'g', -1, 64)
}

// Measure says how a metric's losses become a score.
func Measure(m spec.Metric) stats.Measure {
	return stats.Measure{Root: m.Name == "rmse", Lower: m.LowerIsBetter()}
}

// check finds expected values that the metric can't use.
func (d *Data) check(m spec.Metric) error {
	for _, c := range d.cases {
		ok := true
		switch m.Name {
		case "mae", "rmse", "pinball":
			ok = c.expected.kind == 'n'
		case "brier", "logloss":
			ok = c.expected.kind != 's' && (c.expected.num == 0 || c.expected.num == 1)
		}
		if !ok {
			return errs.New(errs.Invalid, "%s: the case %s expects %s, which the metric %s can't be computed from.", d.suite.Data.Cases, c.id, c.expected, m.Name)
		}
	}
	if t := d.suite.Target; d.table != nil && t.Above == nil && (m.Name == "brier" || m.Name == "logloss") {
		return errs.New(errs.Invalid, "The suite %s is scored by %s, so its target needs above: the measurement from which on the event has happened.", d.suite.Name, m.Name)
	}
	return nil
}

// Loss is what one answer adds to the sum of a metric: an error for lower metrics, a hit for accuracy and exact. The
// error says why the answer is invalid.
func Loss(m spec.Metric, t spec.Target, expected, answer Value) (float64, error) {
	if answer.kind == 'n' && t.Range != nil && (answer.num < t.Range[0] || answer.num > t.Range[1]) {
		return 0, fmt.Errorf("is %s, outside of %g to %g", answer, t.Range[0], t.Range[1])
	}
	switch m.Name {
	case "accuracy":
		// A probability of an event counts as its likelier side.
		if expected.kind != 's' && answer.kind == 'n' && (expected.kind == 'b' || t.Above != nil) {
			return hit((answer.num >= 0.5) == (expected.num == 1)), nil
		}
		return hit(sameValue(expected, answer)), nil
	case "exact":
		return hit(sameValue(expected, answer)), nil
	}
	if answer.kind != 'n' && (answer.kind != 'b' || m.Name != "brier" && m.Name != "logloss") {
		return 0, fmt.Errorf("is %s, but must be a number", answer)
	}
	e := answer.num - expected.num
	switch m.Name {
	case "mae":
		return math.Abs(e), nil
	case "rmse", "brier":
		return e * e, nil
	case "pinball": // Koenker and Bassett, 1978
		return math.Max(-m.Quantile*e, (1-m.Quantile)*e), nil
	case "logloss":
		const least = 1e-15
		p := answer.num // of what came true
		if expected.num == 0 {
			p = 1 - p
		}
		return -math.Log(max(p, least)), nil
	}
	return 0, fmt.Errorf("can't be scored by %s", m.Name)
}

func sameValue(a, b Value) bool {
	if (a.kind == 's') != (b.kind == 's') {
		return false
	}
	return a.text == b.text && a.num == b.num
}

func hit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
