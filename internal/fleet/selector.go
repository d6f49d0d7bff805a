package fleet

import (
	"slices"
	"strings"

	"yardmaster/internal/errs"
)

// selector is a parsed label selector: all its terms must hold.
type selector []term

type term struct {
	key    string
	values []string // nil: any value
	not    bool
}

// parseSelector reads a label selector: "env=prod", "env!=prod", "env" (has the label), "!env" (has it not),
// "env in (a, b)", "env notin (a, b)", several with commas between.
func parseSelector(field, text string) (selector, error) {
	bad := func(part string) error {
		return errs.BadField(field, "%q can't be read; write env=prod, env!=prod, env, !env, env in (a,b) or env notin (a,b), several with commas between", part)
	}
	var sel selector
	for _, part := range splitTerms(text) {
		part = strings.TrimSpace(part)
		t, ok := parseTerm(part)
		if !ok || !labelKey.MatchString(t.key) {
			return nil, bad(part)
		}
		for _, v := range t.values {
			if checkLabel(field, t.key, v) != nil {
				return nil, bad(part)
			}
		}
		sel = append(sel, t)
	}
	if len(sel) == 0 {
		return nil, bad(text)
	}
	return sel, nil
}

// splitTerms splits at the commas that are in no parentheses.
func splitTerms(text string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, text[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, text[start:])
}

func parseTerm(part string) (term, bool) {
	if list, ok := strings.CutSuffix(part, ")"); ok {
		head, inside, ok := strings.Cut(list, "(")
		words := strings.Fields(head)
		if !ok || len(words) != 2 || words[1] != "in" && words[1] != "notin" {
			return term{}, false
		}
		t := term{key: words[0], not: words[1] == "notin"}
		for v := range strings.SplitSeq(inside, ",") {
			t.values = append(t.values, strings.TrimSpace(v))
		}
		return t, true
	}
	if key, value, ok := strings.Cut(part, "!="); ok {
		return term{key: strings.TrimSpace(key), values: []string{strings.TrimSpace(value)}, not: true}, true
	}
	if key, value, ok := strings.Cut(part, "="); ok {
		value = strings.TrimPrefix(value, "=") // env==prod is written as well
		return term{key: strings.TrimSpace(key), values: []string{strings.TrimSpace(value)}}, true
	}
	if key, ok := strings.CutPrefix(part, "!"); ok {
		return term{key: strings.TrimSpace(key), not: true}, true
	}
	return term{key: part}, true
}

// matches tells whether labels fit. As in Kubernetes, != and notin also hold where the label is absent.
func (sel selector) matches(labels map[string]string) bool {
	for _, t := range sel {
		value, has := labels[t.key]
		holds := has && (t.values == nil || slices.Contains(t.values, value))
		if holds == t.not {
			return false
		}
	}
	return true
}
