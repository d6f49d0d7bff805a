package evolve

import (
	"slices"
	"strings"
	"unicode"

	"yardmaster/internal/experiment/spec"
)

// Focus is what a generation should concentrate on, read from a person's words.
type Focus struct {
	Text string
	// Strategies are those that at least FocusShare of the children must have, best match first. Several count together.
	Strategies []string
	// Operators are those that the other children are made by; nil leaves the choice open.
	Operators []string
	// Note is a plain sentence on what was understood, or on what was not.
	Note string
}

// FocusShare is the share of the children that have a strategy of the focus.
const FocusShare = 0.6

// operatorWords are words for ways of changing a variant.
var operatorWords = map[string][]string{
	OpParam:     {"parameter", "parameters", "params", "tune", "tuning", "finetune", "tweak", "tweaks", "setting", "settings"},
	OpSwitch:    {"diverse", "diversity", "explore", "exploration", "novel", "different", "new", "variety", "other"},
	OpCrossover: {"crossover", "cross", "crossing", "recombine", "recombination"},
}

// ensembleWords are words for combining variants, whatever the strategy that does it is called.
var ensembleWords = []string{"ensemble", "ensembles", "combine", "combined", "combining", "combination", "combinations", "stack", "stacking", "average", "averaging", "blend", "blending", "mix", "mixing", "mixture"}

// plainWords say nothing about a strategy.
var plainWords = map[string]bool{}

func init() {
	for _, w := range strings.Fields(`a an the and or of on in to with for from by at as is are be it its this that these those more most less only just please focus
		focusing approach approaches strategy strategies method methods way ways idea ideas variant variants version versions model models kind
		kinds one ones use using try concentrate try trying towards toward all some any best top better good own what not no`) {
		plainWords[w] = true
	}
}

// ReadFocus maps words to strategies and operators of the spec. Words that match nothing are no error: the note says so.
func ReadFocus(s *spec.Spec, text string) Focus {
	f := Focus{Text: strings.TrimSpace(text)}
	words := meaningful(f.Text)
	if len(words) == 0 {
		return f
	}
	best, most := 0, 0 // the strongest kind of match, and the most of them
	kinds, counts := make([]int, len(s.Strategies)), make([]int, len(s.Strategies))
	for i := range s.Strategies {
		for _, w := range words {
			if k := matchKind(&s.Strategies[i], w); k > 0 {
				kinds[i] = max(kinds[i], k)
				counts[i]++
			}
		}
		best = max(best, kinds[i])
	}
	for i := range s.Strategies {
		if kinds[i] == best {
			most = max(most, counts[i])
		}
	}
	for i, st := range s.Strategies {
		// All that were named count; of those that are only like the words, those that are most like them.
		if best > 0 && kinds[i] == best && (best == byName || counts[i] == most) {
			f.Strategies = append(f.Strategies, st.Name)
		}
	}
	for _, op := range []string{OpParam, OpSwitch, OpCrossover} {
		for _, w := range words {
			if slices.Contains(operatorWords[op], w) && !slices.Contains(f.Operators, op) {
				f.Operators = append(f.Operators, op)
			}
		}
	}
	f.Note = f.note(s)
	return f
}

func (f Focus) note(s *spec.Spec) string {
	names := make([]string, len(s.Strategies))
	for i, st := range s.Strategies {
		names[i] = st.Name
	}
	switch {
	case len(f.Strategies) > 0:
		return "The focus “" + f.Text + "” was taken as: at least 60 % of the new variants use the strategy " + strings.Join(f.Strategies, " or ") + "."
	case len(f.Operators) > 0:
		return "The focus “" + f.Text + "” was taken as: the new variants are made by " + list(f.Operators) + "."
	}
	return "The focus “" + f.Text + "” matches no strategy of this skill, so it changed nothing. The strategies are " + list(names) + "."
}

// How a word may match a strategy, the strongest last.
const (
	byDescription = iota + 1
	byDimension
	byCombining // a word for combining, and the strategy combines
	byName
)

func matchKind(st *spec.Strategy, word string) int {
	has := func(text string) bool {
		return slices.ContainsFunc(meaningful(text), func(part string) bool { return same(part, word) })
	}
	switch {
	case has(st.Name):
		return byName
	case st.Members != nil && slices.Contains(ensembleWords, word):
		return byCombining
	case slices.ContainsFunc(st.Dimensions, func(d spec.Dimension) bool { return has(d.Value) }):
		return byDimension
	case has(st.Description):
		return byDescription
	}
	return 0
}

// same tells whether two words have one stem: equal up to a usual ending, or one begins with the other and both are long.
func same(a, b string) bool {
	a, b = stem(a), stem(b)
	if a == b {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= 5 && strings.HasPrefix(b, a)
}

func stem(w string) string {
	for _, end := range []string{"ing", "ies", "ed", "es", "s", "al", "ly", "y"} {
		if len(w) > len(end)+3 && strings.HasSuffix(w, end) {
			return strings.TrimSuffix(w, end)
		}
	}
	return w
}

// meaningful splits text into lower-case words and leaves out those that say nothing.
func meaningful(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(words, func(w string) bool { return plainWords[w] })
}
