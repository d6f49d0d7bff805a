package planner

import (
	"slices"
	"strings"
	"time"

	"yardmaster/internal/llm/planner/lang"
)

// ref is a noun phrase that points at resources: a name, a list of names, a selection, a pronoun.
type ref struct {
	kind string // what the noun says it is; "" when it has none
	noun string
	// named holds, for each name, the resources that have it, of any kind.
	named [][]*entity
	// unknown are names that nothing has.
	unknown []string
	// hint is a word that may be a piece of a name: "the gitlab one".
	hint  string
	all   bool
	rest  bool // the others
	pron  string
	poss  bool // its, their, web-1's
	def   bool // the, those
	count int
	ords  []int  // first is 1, last is -1
	super string // oldest, newest, best, worst
	fresh bool   // new, more, another: something that is not there yet
	// indefinite is set behind "a", for new things, and for a bare number of things.
	indefinite bool
	conds      []cond
	minus      []*ref // except these
	alt        bool   // joined by "or": one of them, not all
	more       []*ref // and these
	i, j       int
}

// cond restricts a selection.
type cond struct {
	what     string // status, label, skill, secret, env, enabled, global, unused, prefix, contains, suffix, before, after, made, failed
	key, val string
	not      bool
	ent      *entity
	age      time.Duration
}

// names answers all names spelled out in the reference, its continuations included.
func (f *ref) names() []string {
	var out []string
	for _, n := range f.named {
		out = append(out, n[0].Name)
	}
	out = append(out, f.unknown...)
	for _, m := range f.more {
		out = append(out, m.names()...)
	}
	return out
}

// kinds answers the kinds of resource that the reference may mean; nil when it may be any.
func (f *ref) kinds() []string {
	if f.kind != "" {
		return []string{f.kind}
	}
	var out []string
	for _, n := range f.named {
		for _, e := range n {
			if !slices.Contains(out, e.Kind) {
				out = append(out, e.Kind)
			}
		}
	}
	for _, m := range f.more {
		for _, k := range m.kinds() {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	if len(out) == 0 {
		for _, c := range f.conds {
			if k := condKind[c.what]; k != "" {
				return []string{k}
			}
		}
	}
	return out
}

// condKind says of what kind a resource is that a condition makes sense for.
var condKind = map[string]string{"label": "instance", "skill": "instance", "secret": "instance", "env": "instance", "global": "secret", "unused": "secret"}

// selective tells whether the reference picks a set rather than naming its members.
func (f *ref) selective() bool {
	return f.all || f.rest || len(f.conds) > 0 || f.super != "" || len(f.ords) > 0 || f.count > 0 && len(f.named) == 0
}

// anaphoric tells whether the reference leans on what was said before.
func (f *ref) anaphoric() bool { return f.pron != "" || f.rest || f.noun == "one" }

var pronouns = map[string]string{
	"it": "it", "them": "them", "they": "them", "those": "those", "these": "those", "that": "that", "this": "that", "its": "it",
	"their": "them", "theirs": "them", "there": "there", "both": "both", "him": "it", "her": "it",
}

var superlatives = map[string]string{
	"oldest": "oldest", "newest": "newest", "latest": "newest", "youngest": "newest", "best": "best", "top": "best", "worst": "worst",
	"winner": "best", "winning": "best", "leading": "best", "leader": "best", "champion": "best", "strongest": "best", "weakest": "worst", "bottom": "worst",
	"longest": "oldest", "highest": "best", "loser": "worst", "winners": "best", "losers": "worst",
}

// statuses maps words for states to the status that a resource shows.
var statuses = map[string]string{
	"running": "active", "active": "active", "up": "active", "alive": "active", "online": "active", "live": "active", "healthy": "active",
	"awake": "active", "started": "active", "okay": "active",
	"stopped": "inactive", "inactive": "inactive", "down": "inactive", "off": "inactive", "paused": "inactive", "idle": "inactive",
	"halted": "inactive", "offline": "inactive", "sleeping": "inactive", "asleep": "inactive", "disabled": "inactive", "dormant": "inactive",
	"shutdown": "inactive", "parked": "inactive", "deactivated": "inactive",
	"failed": "error", "failing": "error", "broken": "error", "crashed": "error", "errored": "error", "dead": "error", "faulty": "error",
	"unhealthy": "error", "failed-to-start": "error", "erroring": "error", "defunct": "error", "crashing": "error", "fail": "error",
	"fails": "error", "crash": "error", "crashes": "error", "broke": "error", "error": "error", "defective": "error",
	"suspended": "suspended", "provisioning": "provisioning", "starting": "provisioning", "enabled": "active",
}

// refParser reads noun phrases of one clause.
type refParser struct {
	r    *run
	toks []lang.Token
	stop int // no phrase reaches beyond
	// giving is set when the clause's verb may give labels, so that an unknown pair is no condition.
	giving bool
	asking bool // the clause is a question
	// wanting is set for a statement of will, where a state behind the noun is what is wanted.
	wanting bool
}

func (p *refParser) low(i int) string {
	if i >= 0 && i < p.stop && (p.toks[i].Wordy() || p.toks[i].Kind == lang.Punct) {
		return p.toks[i].Low
	}
	return ""
}

// parse reads a noun phrase with its continuations ("a, b and c") at token i; nil when there is none.
func (p *refParser) parse(i int) *ref {
	f := p.one(i)
	if f == nil {
		return nil
	}
	for {
		k := f.j
		for k < p.stop && slices.Contains([]string{",", "and", "or", "plus"}, p.low(k)) && k < f.j+3 {
			k++
		}
		if p.low(k) == "as" && p.low(k+1) == "well" && p.low(k+2) == "as" {
			k += 3
		}
		if k == f.j || k >= p.stop {
			break
		}
		g := p.one(k)
		if g == nil && len(f.named) > 0 && p.strangeName(k) { // "web-1 and web-9", where nothing is called web-9
			g = &ref{unknown: []string{p.toks[k].Text}, i: k, j: k + 1}
		}
		if g == nil || !p.joins(f, g) {
			break
		}
		for x := f.j; x < k; x++ {
			f.alt = f.alt || p.toks[x].Is("or")
		}
		f.more = append(f.more, g)
		f.j = g.j
		if f.kind == "" && g.kind != "" && len(g.named) > 0 {
			f.kind = g.kind
		}
	}
	p.after(f)
	return f
}

// strangeName tells whether the word at k stands in a list of names like a name, though nothing has it.
func (p *refParser) strangeName(k int) bool {
	t := p.toks[k]
	if t.Kind != lang.Ident && t.Kind != lang.Word || lang.IsHost(t.Text) || isFileName(t.Text) || lang.Filler(t.Low) {
		return false
	}
	if t.Kind == lang.Word {
		if _, n := p.r.lx.nounAt(p.toks[:p.stop], k); n > 0 || len(p.r.lx.verbAt(p.toks[:p.stop], k)) > 0 {
			return false
		}
	}
	return k+1 >= p.stop || p.toks[k+1].Kind == lang.Punct || p.toks[k+1].Is("and", "or") || p.toks[k+1].Kind == lang.Word && slices.Contains(prepositions, p.toks[k+1].Low)
}

// joins tells whether g goes on the list that f began: names with names, or selections of the same kind.
func (p *refParser) joins(f, g *ref) bool {
	if g.pron != "" && !g.poss || g.poss {
		return false
	}
	if len(g.named)+len(g.unknown) == 0 {
		return len(f.conds) > 0 && len(g.conds) > 0 || f.super != "" && g.super != ""
	}
	a, b := f.kinds(), g.kinds()
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, k := range a {
		if slices.Contains(b, k) {
			return true
		}
	}
	return false
}

// one reads a single noun phrase.
func (p *refParser) one(i int) *ref {
	f := &ref{i: i}
	k := i
	head := false // the phrase has something that points
loop:
	for k < p.stop {
		t := p.toks[k]
		if t.Kind != lang.Word && t.Kind != lang.Ident && t.Kind != lang.Number {
			if t.Kind == lang.Quote && len(f.named) == 0 {
				if c := p.r.byName(t.Text); c != nil {
					f.named, head = append(f.named, c), true
					k++
					continue
				}
			}
			break
		}
		if c, n := p.name(k, f); n > 0 {
			if len(f.named) > 0 {
				break
			}
			f.named, head = append(f.named, c), true
			k += n
			f.poss = f.poss || p.toks[k-1].Poss
			if f.poss {
				break
			}
			continue
		}
		if len(f.named) > 0 {
			if kind, n := p.kindNoun(k); n > 0 && f.kind == "" && !p.verbish(k) {
				f.kind, f.noun = kind, p.low(k)
				k += n
				continue
			}
			break
		}
		low := t.Low
		switch {
		case low == "all" || low == "every" || low == "each" || low == "any" && k == i:
			f.all = true
			head = head || low == "all"
		case low == "whole" || low == "entire":
			f.all = true
		case low == "both":
			f.all, f.count, head = true, 2, true
			if _, n := p.kindNoun(k + 1); k == i && p.low(k+1) != "of" && n == 0 {
				f.pron = "both"
			}
		case low == "everything" || low == "everyone" || low == "everybody" || low == "everywhere" || low == "anything" || low == "anyone" ||
			low == "anybody" || low == "whatever" || low == "whichever" || low == "whoever" || low == "whatsoever":
			if head {
				break loop
			}
			f.all, head, f.noun = true, true, "thing"
			if low == "everyone" || low == "everybody" || low == "anyone" || low == "anybody" || low == "everywhere" {
				f.kind = "instance"
			}
			f.poss = t.Poss
			k++
			break loop
		case low == "the" || low == "my" || low == "our" || low == "your":
			f.def = true
		case low == "of" && k > i && (f.all || f.count > 0 || len(f.ords) > 0 || f.super != "" || f.rest) && p.ofPhrase(k+1):
		case low == "new" || low == "more" || low == "fresh" || low == "spare" || low == "additional" || low == "extra" || low == "identical" || low == "different" || low == "separate" || low == "another" || low == "further":
			f.fresh = true
			head = head || low == "more" && f.count > 0
			if low == "another" && f.count == 0 {
				f.count = 1
			}
		case low == "single" || low == "existing" || low == "current" || low == "specific" || low == "available":
			if k == i {
				break loop
			}
		case (low == "rest" || low == "others" || low == "remainder") && !head:
			f.rest, head = true, true
			f.all = true
			k++
			break loop
		case low == "other" || low == "remaining":
			f.rest = true
			head = true
		case pronouns[low] != "" && (!head || k > i && p.low(k-1) == "of") && f.pron == "" && (k == i || f.all || f.count > 0 || len(f.ords) > 0 || f.super != ""):
			if n, used := lang.Int(p.toks[:p.stop], k+1); used > 0 && n > 0 && n < 100 && (low == "those" || low == "these") {
				f.pron, f.count, f.def, head = "those", n, true, true
				k += used
				break
			}
			if (low == "that" || low == "this" || low == "these" || low == "those") && p.nounFollows(k+1) {
				f.def, f.pron, head = true, pronouns[low], true
				break
			}
			if low == "there" && k > 0 && (p.toks[k-1].Is("is", "are", "was") || p.low(k+1) == "is" || p.low(k+1) == "are") {
				break loop
			}
			f.pron, head = pronouns[low], true
			if low == "its" || low == "their" {
				f.poss = true
			}
			k++
			break loop
		case low == "one" && (f.def || f.rest || len(f.ords) > 0 || f.super != "" || len(f.conds) > 0 || f.pron != "" || f.hint != ""), low == "ones":
			f.noun, head = "one", true
			k++
			break loop
		case superlatives[low] != "" && p.superFits(k, f):
			f.super, head = superlatives[low], true
			if f.kind == "" && (low == "winner" || low == "champion" || low == "winners" || low == "loser" || low == "losers" || low == "leader") {
				f.kind, f.noun = "variant", "winner"
			}
		case low == "most" && (p.low(k+1) == "recent" || p.low(k+1) == "recently"):
			f.super, head = "newest", true
			k++
			if p.low(k+1) == "created" {
				k++
			}
		case lang.Ordinal(t) != 0 && (f.def || k > i || p.ordinalFits(k)):
			f.ords, head = append(f.ords, lang.Ordinal(t)), true
		case p.adjective(k, f):
			head = true
		default:
			if n, used := lang.Int(p.toks[:p.stop], k); used > 0 && n > 0 && f.count == 0 && low != "a" && low != "an" && !p.measured(k+used) {
				f.count = n
				k += used
				continue
			}
			if kind, n := p.kindNoun(k); n > 0 && !p.verbish(k) && !(k == i && p.owned(k) && !p.namedAfter(k+n, f)) {
				f.kind, f.noun = kind, low
				head = true
				k += n
				f.poss = p.toks[k-1].Poss
				if c, m := p.name(k, f); m > 0 && !f.poss { // the instance web-1
					f.named = append(f.named, c)
					k += m
				}
				break loop
			}
			if f.def && f.hint == "" && t.Kind == lang.Word && (p.low(k+1) == "one" || p.low(k+1) == "ones") {
				f.hint = low
				break
			}
			break loop
		}
		k++
	}
	if !head || k == i {
		return nil
	}
	if f.count > 0 && !f.def && !f.fresh && f.kind == "" && f.noun == "" && len(f.named) == 0 && f.super == "" && len(f.ords) == 0 && f.pron == "" && !f.all {
		return nil
	}
	f.j = k
	f.indefinite = f.fresh || !f.def && (i > 0 && p.toks[i-1].Is("a", "an", "one") && f.pron == "" || f.count > 0 && f.kind != "" && !f.all && f.pron == "" && f.super == "" && len(f.ords) == 0)
	return f
}

// ofPhrase tells whether "of" leads on to the group that is counted: "all of them", "each of the boxes".
func (p *refParser) ofPhrase(k int) bool {
	switch p.low(k) {
	case "them", "those", "these", "the", "my", "our", "it", "us":
		return true
	}
	_, n := p.kindNoun(k)
	return n > 0
}

// nounFollows tells whether a noun, a count or "one" stands at k, so that "that" before it is no pronoun of its own.
func (p *refParser) nounFollows(k int) bool {
	if _, n := p.kindNoun(k); n > 0 {
		return true
	}
	return p.low(k) == "one" || p.low(k) == "ones" || p.low(k) == "same"
}

// superFits keeps words such as "top" and "best" out where they are no selection.
func (p *refParser) superFits(k int, f *ref) bool {
	switch p.low(k) {
	case "top", "best", "worst", "bottom", "latest", "leading":
		if f.def || f.count > 0 || k > f.i || p.low(k-1) == "the" {
			return true
		}
		_, n := lang.Int(p.toks[:p.stop], k+1)
		_, m := p.kindNoun(k + 1)
		return n > 0 || m > 0
	}
	return true
}

// ordinalFits accepts an ordinal without "the" before it: "first two", "last one", "second instance".
func (p *refParser) ordinalFits(k int) bool {
	if _, n := lang.Int(p.toks[:p.stop], k+1); n > 0 && p.toks[k].Kind == lang.Word {
		return !p.measured(k + 1 + n)
	}
	_, n := p.kindNoun(k + 1)
	return n > 0 || p.low(k+1) == "one"
}

// measured tells whether the word at k makes the number before it a measure, not a count of resources.
func (p *refParser) measured(k int) bool {
	switch lang.Singular(p.low(k)) {
	case "minute", "hour", "day", "week", "month", "year", "second", "mb", "gb", "kb", "mib", "gib", "line", "time", "byte", "megabyte", "gigabyte",
		"generation", "log", "percent", "round", "seed", "cent", "dollar":
		return true
	}
	return false
}

// kindNoun finds a noun that names a kind of resource, with its length.
func (p *refParser) kindNoun(k int) (string, int) {
	if k >= p.stop {
		return "", 0
	}
	for n := min(3, p.stop-k); n >= 1; n-- {
		words := make([]string, 0, n)
		for _, t := range p.toks[k : k+n] {
			if t.Kind != lang.Word && t.Kind != lang.Ident {
				break
			}
			words = append(words, lang.Singular(t.Low))
		}
		if len(words) < n {
			continue
		}
		key := strings.Join(words, " ")
		if kind := p.r.lx.kinds[key]; kind != "" {
			return kind, n
		}
		if key == "variant" || key == "contender" {
			return "variant", n
		}
	}
	return "", 0
}

// owned tells whether the noun at k is a part of something: "its token", "web-1's secrets".
func (p *refParser) owned(k int) bool {
	return k > 0 && (p.toks[k-1].Poss || p.toks[k-1].Is("its", "their"))
}

func (p *refParser) namedAfter(k int, f *ref) bool {
	_, n := p.name(k, f)
	return n > 0
}

// verbish tells whether a word that could be a noun stands where a verb does: "schedule a check", "test it".
func (p *refParser) verbish(k int) bool {
	if k > 0 && (p.toks[k-1].Is("to", "and", "then", "please") || p.toks[k-1].Kind == lang.Punct && k == 0) || k == 0 {
		next := p.low(k + 1)
		return next == "a" || next == "an" || next == "it" || next == "them" || next == "the"
	}
	return false
}

// adjective reads a state, a label's value or another property of one word.
func (p *refParser) adjective(k int, f *ref) bool {
	low := p.low(k)
	next := p.low(k + 1)
	_, n := p.kindNoun(k + 1)
	nounNext := n > 0 || next == "one" || next == "ones" || next == "thing" || next == "things"
	if s := statuses[low]; s != "" && (nounNext || f.def && k > f.i && (k+1 >= p.stop || p.toks[k+1].Kind == lang.Punct)) {
		f.conds = append(f.conds, cond{what: "status", val: s})
		return true
	}
	if (low == "global" || low == "unused") && nounNext {
		f.conds = append(f.conds, cond{what: low})
		return true
	}
	if (low == "blank" || low == "prebuilt") && nounNext {
		f.conds = append(f.conds, cond{what: "kind", val: low})
		return true
	}
	if keys := p.r.labelValues(low); len(keys) > 0 && (nounNext || f.def && k > f.i && (k+1 >= p.stop || p.toks[k+1].Kind == lang.Punct || p.toks[k+1].Is("and", "with"))) {
		f.conds = append(f.conds, cond{what: "label", key: keys[0], val: p.r.labelValue(keys[0], low)})
		if !nounNext {
			f.kind = "instance"
		}
		return true
	}
	return false
}

// name finds the resources whose name stands at token k, spelled with hyphens or as separate words.
func (p *refParser) name(k int, f *ref) ([]*entity, int) {
	for n := min(6, p.stop-k); n >= 1; n-- {
		words := make([]string, 0, n)
		for x, t := range p.toks[k : k+n] {
			if !t.Wordy() || t.Poss && x < n-1 {
				break
			}
			words = append(words, strings.ToLower(t.Text))
		}
		if len(words) < n {
			continue
		}
		c := p.r.byName(strings.Join(words, " "))
		if c == nil && n == 1 {
			c = p.r.byID(p.toks[k].Text)
		}
		if c == nil || n == 1 && !p.plainName(k, f) {
			continue
		}
		return c, n
	}
	return nil, 0
}

// plainName tells whether a single word that names a resource is used as its name, where the word is also an everyday
// word: an instance may be called "a", "first" or "test".
func (p *refParser) plainName(k int, f *ref) bool {
	t := p.toks[k]
	_, kind := p.kindNoun(k)
	everyday := lang.Filler(t.Low) || lang.Ordinal(t) != 0 || pronouns[t.Low] != "" || kind > 0 || t.Kind == lang.Number || statuses[t.Low] != "" || superlatives[t.Low] != ""
	if !everyday {
		return !(p.r.lx.verbs[t.Low] != nil && (k == 0 || p.toks[k-1].Is("please", "then", "to")) && k+1 < p.stop && p.toks[k+1].Wordy())
	}
	next := p.low(k + 1)
	ends := k+1 >= p.stop || p.toks[k+1].Kind == lang.Punct || p.toks[k+1].Poss || slices.Contains([]string{"and", "or", "on", "from", "to", "in", "with", "please", "now", "has", "is"}, next) || t.Poss
	if !ends || f.def && len(f.ords) == 0 && f.kind == "" && next != "" && p.toks[k+1].Kind != lang.Punct {
		return false
	}
	if k == 0 {
		return k+1 >= p.stop
	}
	before := p.toks[k-1]
	_, noun := p.kindNoun(k - 1)
	return noun > 0 || before.Is(",", "and", "on", "to", "from", "in", "of", "called", "named", "for", "or", "delete", "but", "except") || k-1 < f.i+1 && len(p.r.lx.verbAt(p.toks[:p.stop], k-1)) > 0
}
