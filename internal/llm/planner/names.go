package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

func distance(a, b string) int { return lang.Distance(a, b) }

// canonical is the form in which names are compared: pieces joined by single spaces.
func canonical(name string) string { return strings.Join(parts(name), " ") }

// nameIndex finds resources by name and labels by value. It is made when first needed and thrown away on every change.
type nameIndex struct {
	byName  map[string][]*entity
	byLabel map[string][][2]string // lower-case value → key, value
	keys    map[string]bool
}

func (r *run) index() *nameIndex {
	if r.world.index != nil {
		return r.world.index
	}
	x := &nameIndex{byName: map[string][]*entity{}, byLabel: map[string][][2]string{}, keys: map[string]bool{}}
	for _, kind := range r.kinds() {
		for _, e := range r.world.byKind[kind] {
			if e.gone {
				continue
			}
			x.byName[canonical(e.Name)] = append(x.byName[canonical(e.Name)], e)
			if kind != "instance" || e.planned {
				continue
			}
			for k, v := range e.labels() {
				x.keys[k] = true
				for _, word := range append([]string{strings.ToLower(v)}, sameValue[strings.ToLower(v)]...) {
					if pair := [2]string{k, v}; !slices.Contains(x.byLabel[word], pair) {
						x.byLabel[word] = append(x.byLabel[word], pair)
					}
				}
			}
		}
	}
	for _, pairs := range x.byLabel {
		slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0]+"="+a[1], b[0]+"="+b[1]) })
	}
	r.world.index = x
	return x
}

// byName answers the resources, of any kind, with a name; names may be written with spaces for hyphens.
func (r *run) byName(name string) []*entity {
	found := r.index().byName[canonical(name)]
	var exact []*entity
	for _, e := range found {
		if strings.EqualFold(e.Name, name) {
			exact = append(exact, e)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return found
}

// byID answers the resource with an id.
func (r *run) byID(id string) []*entity {
	if !strings.Contains(id, "_") {
		return nil
	}
	for _, list := range r.world.byKind {
		for _, e := range list {
			if e.ID == id && !e.gone {
				return []*entity{e}
			}
		}
	}
	return nil
}

// kinds answers the loaded kinds in a stable order.
func (r *run) kinds() []string {
	var out []string
	for k := range r.world.byKind {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// names tells whether a name of a resource stands at token k of a phrase.
func (r *run) names(p *refParser, k int) bool {
	_, n := p.name(k, &ref{i: k})
	return n > 0
}

// synonyms of label values that people use for one another.
var sameValue = map[string][]string{
	"prod": {"production", "live"}, "production": {"prod"}, "staging": {"stage", "stg"}, "stage": {"staging"}, "dev": {"development"},
	"development": {"dev"}, "test": {"testing"}, "testing": {"test"}, "qa": {"qa"},
}

// labelValues answers the keys under which a word is the value of some instance's label.
func (r *run) labelValues(word string) []string {
	var keys []string
	for _, pair := range r.index().byLabel[word] {
		keys = append(keys, pair[0])
	}
	return keys
}

// labelValue answers the value as the labels spell it.
func (r *run) labelValue(key, word string) string {
	for _, pair := range r.index().byLabel[word] {
		if pair[0] == key && strings.EqualFold(pair[1], word) {
			return pair[1]
		}
	}
	for _, pair := range r.index().byLabel[word] {
		if pair[0] == key {
			return pair[1]
		}
	}
	return word
}

func (r *run) isLabelKey(key string) bool { return r.index().keys[key] }

func (r *run) isLabel(key, val string) bool {
	return slices.Contains(r.index().byLabel[strings.ToLower(val)], [2]string{key, val}) || slices.Contains(r.labelValues(strings.ToLower(val)), key)
}

// opaque tells whether a word looks like a credential: it must never be said back.
func opaque(s string) bool {
	for _, p := range []string{"sk-", "sk_", "ghp_", "gho_", "ghs_", "github_pat_", "xox", "AKIA", "eyJ", "glpat-", "ya29.", "AIza", "hf_", "rk_", "pk_", "npm_"} {
		if strings.HasPrefix(s, p) && len(s) > len(p)+6 {
			return true
		}
	}
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		return true
	}
	digit, lower, upper, odd := 0, 0, 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digit++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		case c == '-' || c == '.' || c == '/' || c == '_':
		default:
			odd++
		}
	}
	if strings.Contains(s, "/") || lang.IsHost(s) || lang.IsFile(s) {
		return false
	}
	return len(s) >= 8 && digit > 0 && lower > 0 && upper > 0 || len(s) >= 20 && digit > 2 && lower+upper > 0 && !strings.Contains(s, "-") || len(s) >= 8 && digit > 0 && odd > 0
}

// safe answers a word for use in an answer, or "that" when it might be a credential.
func safe(word string) string {
	if opaque(word) {
		return "that"
	}
	if len(word) > 80 {
		word = word[:77] + "…"
	}
	return "`" + strings.ReplaceAll(word, "`", "'") + "`"
}
