package planner

import (
	"slices"
	"strings"
	"time"

	"yardmaster/internal/llm/planner/lang"
)

// after reads what narrows a noun phrase behind it: "with tier=gold", "that failed", "called x", "except y".
func (p *refParser) after(f *ref) {
	for f.j < p.stop {
		n := p.exclusion(f)
		if n == 0 && len(f.named) == 0 {
			n = p.relative(f)
		}
		if n == 0 && len(f.named) == 0 {
			n = p.labelled(f)
		}
		if n == 0 {
			n = p.titled(f)
		}
		if n == 0 {
			return
		}
		f.j += n
	}
}

// exclusion reads "except a and b", "but not the prod ones", "other than x".
func (p *refParser) exclusion(f *ref) int {
	k := f.j
	if p.low(k) == "," {
		k++
	}
	start := k
	switch {
	case slices.Contains([]string{"except", "excluding", "besides", "save", "minus", "barring", "without"}, p.low(k)):
		k++
		if p.low(k) == "for" {
			k++
		}
	case (p.low(k) == "apart" || p.low(k) == "aside") && p.low(k+1) == "from", p.low(k) == "other" && p.low(k+1) == "than", p.low(k) == "not" && (p.low(k+1) == "counting" || p.low(k+1) == "including"):
		k += 2
	case p.low(k) == "but":
		k++
		if p.low(k) == "not" || p.low(k) == "for" {
			k++
		}
	case p.low(k) == "not" && k > f.j:
		k++
	default:
		return 0
	}
	if p.low(k) == "on" || p.low(k) == "in" || p.low(k) == "from" {
		k++
	}
	g := p.one(k)
	if g == nil {
		if start < k && k < p.stop && p.toks[k].Wordy() && p.low(start) != "without" && p.low(start) != "not" && len(p.r.lx.verbAt(p.toks[:p.stop], k)) == 0 && !lang.Filler(p.low(k)) {
			f.minus = append(f.minus, &ref{unknown: []string{p.toks[k].Text}, i: k, j: k + 1})
			return k + 1 - f.j
		}
		return 0
	}
	if p.low(start) == "without" && !slices.Contains(g.kinds(), "instance") {
		return 0
	}
	for {
		k = g.j
		for k < p.stop && slices.Contains([]string{",", "and", "or"}, p.low(k)) && k < g.j+2 {
			k++
		}
		h := (*ref)(nil)
		if k > g.j {
			h = p.one(k)
		}
		if h == nil || len(h.named) == 0 && len(h.conds) == 0 {
			break
		}
		g.more = append(g.more, h)
		g.j = h.j
	}
	p.after(g)
	f.minus = append(f.minus, g)
	return g.j - f.j
}

// relative reads "that are stopped", "which failed", "who use X", "not running", "older than two days", "created today".
func (p *refParser) relative(f *ref) int {
	k, not := f.j, false
	who := false
	if p.wanting && !slices.Contains([]string{"that", "which", "who"}, p.low(k)) && statuses[p.low(k)] != "" {
		return 0 // "I want everything stopped"
	}
	if f.pron != "" && !slices.Contains([]string{"that", "which", "who"}, p.low(k)) {
		return 0
	}
	if p.low(k) == "," && slices.Contains([]string{"which", "that", "who"}, p.low(k+1)) {
		k++
	}
	for slices.Contains([]string{"that", "which", "who", "is", "are", "was", "were", "has", "have", "had", "been", "currently", "still", "do", "does", "did", "already", "ever", "just", "being", "in", "gone", "went", "state", "status", "you", "i", "we"}, p.low(k)) {
		if p.low(k) == "in" && statuses[p.low(k+1)] != "error" || (p.low(k) == "has" || p.low(k) == "have") && p.r.names(p, k+1) || (p.low(k) == "you" || p.low(k) == "i" || p.low(k) == "we") && !who {
			break
		}
		who = who || slices.Contains([]string{"that", "which", "who"}, p.low(k))
		k++
	}
	if p.low(k) == "not" || p.low(k) == "nobody" || p.low(k) == "never" || p.low(k) == "no" && p.low(k+1) == "one" {
		not = true
		k++
		if p.low(k) == "one" {
			k++
		}
	}
	low := p.low(k)
	switch {
	case statuses[low] != "" && (k > f.j || f.noun != "" || f.all):
		if (low == "up" || low == "off" || low == "down" || low == "live") && k == f.j {
			return 0
		}
		what := "status"
		if low == "failed" || low == "fail" || low == "failing" {
			what = "failed"
		}
		f.conds = append(f.conds, cond{what: what, val: statuses[low], not: not})
		return k + 1 - f.j
	case low == "global":
		f.conds = append(f.conds, cond{what: "global", not: not})
		return k + 1 - f.j
	case not && (low == "used" || low == "uses" || low == "use" || low == "needs" || low == "has") && (f.kind == "secret"):
		f.conds = append(f.conds, cond{what: "unused"})
		return k + 1 - f.j
	case (low == "nobody" || low == "no") && f.kind == "secret" || low == "unused":
		f.conds = append(f.conds, cond{what: "unused"})
		return k + 1 - f.j
	case slices.Contains([]string{"older", "newer", "younger"}, low) && p.low(k+1) == "than":
		if d, n := p.duration(k + 2); n > 0 {
			f.conds = append(f.conds, cond{what: map[bool]string{true: "before", false: "after"}[low == "older"], age: d})
			return k + 2 + n - f.j
		}
	case slices.Contains([]string{"created", "made", "started", "launched", "deployed", "spun"}, low):
		k++
		for slices.Contains([]string{"just", "up", "in", "during", "within", "here", "the"}, p.low(k)) {
			k++
		}
		switch {
		case p.low(k) == "today" || p.low(k) == "yesterday":
			f.conds = append(f.conds, cond{what: "made", val: p.low(k)})
			return k + 1 - f.j
		case p.low(k) == "this" && slices.Contains([]string{"chat", "conversation", "session"}, p.low(k+1)):
			f.conds = append(f.conds, cond{what: "made", val: "chat"})
			return k + 2 - f.j
		case p.low(k) == "last":
			if d, n := p.duration(k + 1); n > 0 {
				f.conds = append(f.conds, cond{what: "after", age: d})
				return k + 1 + n - f.j
			}
		case who:
			f.conds = append(f.conds, cond{what: "made", val: "chat"})
			return k - f.j
		}
	case slices.Contains([]string{"use", "uses", "using", "have", "has", "having", "with", "run", "runs", "running", "without", "need", "needs", "got", "lack", "lacks", "carrying"}, low):
		if !who && !p.asking && slices.Contains([]string{"use", "uses", "have", "has", "need", "needs", "run", "runs", "got", "lack", "lacks"}, low) {
			return 0 // the main verb of a statement, not a description
		}
		neg := not || low == "without" || low == "lack" || low == "lacks"
		m := k + 1
		for slices.Contains([]string{"the", "access", "to", "skill", "secret", "a", "an"}, p.low(m)) {
			m++
		}
		c, n := p.name(m, &ref{i: m})
		for _, e := range c {
			if e.Kind == "skill" || e.Kind == "secret" {
				f.conds = append(f.conds, cond{what: e.Kind, ent: e, not: neg})
				m += n
				for slices.Contains([]string{"skill", "secret", "installed"}, p.low(m)) {
					m++
				}
				return m - f.j
			}
		}
	case (low == "starting" || low == "beginning" || low == "ending") && p.low(k+1) == "with" && k+2 < p.stop:
		f.conds = append(f.conds, cond{what: map[bool]string{true: "suffix", false: "prefix"}[low == "ending"], val: strings.ToLower(p.toks[k+2].Text)})
		return k + 3 - f.j
	case low == "whose" && lang.Singular(p.low(k+1)) == "name":
		m := k + 2
		verb := p.low(m)
		if p.low(m+1) == "with" {
			m++
		}
		if what := map[byte]string{'s': "prefix", 'b': "prefix", 'c': "contains", 'e': "suffix"}[(verb + " ")[0]]; what != "" && m+1 < p.stop {
			f.conds = append(f.conds, cond{what: what, val: strings.ToLower(strings.Trim(p.toks[m+1].Text, "-*"))})
			return m + 2 - f.j
		}
	}
	return 0
}

// duration reads "two days", "an hour", "90 minutes".
func (p *refParser) duration(k int) (time.Duration, int) {
	n, used := lang.Int(p.toks[:p.stop], k)
	if used == 0 {
		n = 1
		if p.low(k) == "a" || p.low(k) == "an" {
			used = 1
		}
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour, "second": time.Second}[lang.Singular(p.low(k+used))]
	if unit == 0 || n < 0 || n > 100000 {
		return 0, 0
	}
	return time.Duration(n) * unit, used + 1
}

// labelled reads "with tier=gold", "labelled env=staging and team=x", "in env prod", "whose env is prod".
func (p *refParser) labelled(f *ref) int {
	k := f.j
	if p.low(k) == "," {
		k++
	}
	first := k
	for slices.Contains([]string{"with", "having", "labelled", "tagged", "in", "where", "whose", "carrying", "that", "have", "has", "a", "the", "label", "labels", "tag", "tags", "of", "them", "all", "from", "are", "is", "which", "set", "for"}, p.low(k)) {
		k++
	}
	if k == first {
		if k < p.stop && p.toks[k].Kind == lang.KV && p.r.isLabel(p.toks[k].Key, p.toks[k].Val) && (f.noun != "" || f.all) {
			f.conds = append(f.conds, cond{what: "label", key: p.toks[k].Key, val: p.toks[k].Val})
			return k + 1 - f.j
		}
		return 0
	}
	took := 0
	for k < p.stop {
		t := p.toks[k]
		switch {
		case t.Kind == lang.KV && p.giving && !p.r.isLabel(t.Key, t.Val):
			return took
		case t.Kind == lang.KV:
			f.conds = append(f.conds, cond{what: "label", key: t.Key, val: t.Val})
			k++
		case t.Wordy() && p.r.isLabelKey(t.Text) && k+1 < p.stop && slices.Contains([]string{"is", "=", "of", ":", "equals"}, p.low(k+1)) && k+2 < p.stop && p.r.isLabel(t.Text, p.toks[k+2].Text):
			f.conds = append(f.conds, cond{what: "label", key: t.Text, val: p.toks[k+2].Text})
			k += 3
		case t.Wordy() && p.r.isLabelKey(t.Text) && k+1 < p.stop && p.r.isLabel(t.Text, p.toks[k+1].Text):
			f.conds = append(f.conds, cond{what: "label", key: t.Text, val: p.toks[k+1].Text})
			k += 2
		case took == 0 && t.Wordy() && len(p.r.labelValues(t.Low)) > 0 && p.low(first) != "for" && p.low(first) != "the" && !p.nounFollows(k+1):
			key := p.r.labelValues(t.Low)[0]
			f.conds = append(f.conds, cond{what: "label", key: key, val: p.r.labelValue(key, t.Low)})
			k++
		default:
			return took
		}
		took = k - f.j
		if !slices.Contains([]string{",", "and"}, p.low(k)) {
			break
		}
		for slices.Contains([]string{",", "and"}, p.low(k)) {
			k++
		}
	}
	return took
}

// titled reads "called x, y and z" or "named x" behind a noun, and ranges such as "web-1 to web-4".
func (p *refParser) titled(f *ref) int {
	k := f.j
	if !slices.Contains([]string{"called", "named", "titled", "name", "names"}, p.low(k)) || f.noun == "" || len(f.named)+len(f.unknown) > 0 {
		return 0
	}
	names, n := p.newNames(k + 1)
	if n == 0 {
		return 0
	}
	for _, name := range names {
		if c := p.r.byName(name); c != nil {
			f.named = append(f.named, c)
		} else {
			f.unknown = append(f.unknown, name)
		}
	}
	return 1 + n
}

// newNames reads a list of names as they stand: "birch, cedar and dogwood", "crawler-1 thru crawler-4", "'pager'".
func (p *refParser) newNames(k int) (names []string, used int) {
	i := k
	for i < p.stop {
		t := p.toks[i]
		if !t.Wordy() && t.Kind != lang.Quote && t.Kind != lang.Code {
			break
		}
		if t.Kind == lang.Word && (lang.Filler(t.Low) || t.Is("with", "labelled", "tagged")) && (len(names) == 0 && i+1 < p.stop && p.toks[i+1].Wordy() || len(names) > 0) {
			break
		}
		name := t.Text
		i++
		if last, n := p.rangeEnd(name, i); n > 0 {
			names = append(names, expand(name, last)...)
			i += n
		} else {
			names = append(names, name)
		}
		used = i - k
		next := i
		for next < p.stop && slices.Contains([]string{",", "and", "plus"}, p.low(next)) && next < i+2 {
			next++
		}
		if next == i || next >= p.stop || p.toks[next].Kind == lang.Word && (len(p.r.lx.verbAt(p.toks[:p.stop], next)) > 0 && next+1 < p.stop && p.toks[next+1].Kind != lang.Punct && !p.toks[next+1].Is("and")) {
			break
		}
		i = next
	}
	return names, used
}

// rangeEnd reads "thru web-4" behind web-1.
func (p *refParser) rangeEnd(first string, k int) (string, int) {
	n := 0
	switch {
	case slices.Contains([]string{"through", "to", "until", "-"}, p.low(k)):
		n = 1
	case p.low(k) == "up" && p.low(k+1) == "to":
		n = 2
	case k+1 < p.stop && p.toks[k].Is(".") && p.toks[k+1].Is("."):
		for k+n < p.stop && p.toks[k+n].Is(".") {
			n++
		}
	default:
		return "", 0
	}
	if k+n >= p.stop || !p.toks[k+n].Wordy() {
		return "", 0
	}
	last := p.toks[k+n].Text
	if expand(first, last) == nil {
		if _, num := cutNumber(first); num >= 0 && p.toks[k+n].Kind == lang.Number { // crawler-1 to 4
			stem, _ := cutNumber(first)
			if expand(first, stem+last) != nil {
				return stem + last, n + 1
			}
		}
		return "", 0
	}
	return last, n + 1
}

// cutNumber splits web-12 into web- and 12; -1 when no number ends the name.
func cutNumber(name string) (string, int) {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	if i == len(name) || len(name)-i > 6 {
		return name, -1
	}
	n := 0
	for _, c := range name[i:] {
		n = n*10 + int(c-'0')
	}
	return name[:i], n
}

// expand writes out web-1 … web-4; nil when the two are no such range, or one of more than 500.
func expand(first, last string) []string {
	a, from := cutNumber(first)
	b, to := cutNumber(last)
	if a != b || from < 0 || to <= from || to-from >= 500 {
		return nil
	}
	width := 0
	if digits := first[len(a):]; digits[0] == '0' && len(digits) > 1 {
		width = len(digits)
	}
	var out []string
	for n := from; n <= to; n++ {
		out = append(out, sprintf("%s%0*d", a, width, n))
	}
	return out
}
