package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// mentionKind says what a mention is.
type mentionKind int

const (
	mRef     mentionKind = iota // resources
	mNew                        // a name given to something: called x, prefix y-
	mPair                       // key=value
	mPath                       // a file's path or name
	mURL                        // a URL
	mHost                       // a host name
	mSize                       // an amount of memory
	mInt                        // a number; text is the noun that it counts
	mText                       // literal text; key says what kind
	mCode                       // a code span
	mData                       // JSON or the like
	mEnv                        // a name in capitals that no resource has
	mUnknown                    // a word that nothing explains
)

// mention is something of substance in a clause.
type mention struct {
	kind     mentionKind
	prep     string // the preposition before it
	i, j     int
	ref      *ref
	n        int
	size     float64
	text     string
	names    []string
	key, val string
}

var prepositions = []string{"on", "in", "to", "from", "of", "off", "for", "with", "at", "by", "as", "into", "onto", "over", "inside", "within", "under", "than", "without", "between", "against", "about", "through", "across"}

// fileEndings are extensions that make a dotted word a file rather than a host.
var fileEndings = []string{"txt", "md", "json", "yaml", "yml", "csv", "log", "sh", "py", "js", "toml", "ini", "conf", "html", "xml", "env", "lock", "go", "ts", "pdf",
	"zip", "tar", "gz", "sql", "db", "png", "jpg", "cfg", "dat", "tsv", "jsonl", "out", "err", "bak", "tmp", "css", "rb", "rs", "java", "c", "h", "ipynb", "parquet", "sqlite"}

// isFileName tells whether a word looks like a file by its extension.
func isFileName(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	return dot >= 0 && lang.IsFile(s) && slices.Contains(fileEndings, strings.ToLower(s[dot+1:]))
}

// read finds the verbs, nouns and mentions of a clause.
func (r *run) read(c *clause) {
	c.nouns, c.used = map[string][]int{}, make([]bool, len(c.toks))
	c.sched = lang.FindSchedule(c.toks)
	for i := range c.toks {
		c.verbs = append(c.verbs, r.lx.verbAt(c.toks, i)...)
		if n, used := r.lx.nounAt(c.toks, i); used > 0 && !(i > 1 && c.toks[i-1].Is("label", "tag") && c.toks[i-2].Poss) && !(i+used < len(c.toks) && c.toks[i+used].Is("label", "tag", "labels", "tags")) { // "env label": env is the key
			c.nouns[n] = append(c.nouns[n], i)
		}
	}
	p := &refParser{r: r, toks: c.toks, stop: len(c.toks), asking: c.question(), wanting: c.has("want", "need", "like") && !c.question()}
	for _, h := range c.verbs {
		p.giving = p.giving || h.i == c.start && slices.ContainsFunc(h.v.tools, func(t *tool) bool { return t.has(slotPairs) != nil }) && !slices.ContainsFunc(h.v.tools, (*tool).destroys)
	}
	from, to := c.condition()
	for i := 0; i < len(c.toks); {
		if i >= from && i < to || c.used[i] {
			c.used[i] = true
			i++
			continue
		}
		m, ok := r.mentionAt(c, p, i)
		if !ok {
			i++
			continue
		}
		for k := i - 1; k >= 0 && k >= i-3; k-- {
			if slices.Contains(prepositions, c.low(k)) {
				m.prep = c.low(k)
				break
			}
			if !c.toks[k].Is("the", "a", "an", "my", "our", "both", "just", "only", "exactly", "about") {
				break
			}
		}
		c.mens = append(c.mens, m)
		for k := m.i; k < m.j; k++ {
			c.used[k] = true
		}
		i = m.j
	}
}

// mentionAt reads what stands at token i.
func (r *run) mentionAt(c *clause, p *refParser, i int) (mention, bool) {
	t := c.toks[i]
	one := func(k mentionKind, text string) (mention, bool) {
		return mention{kind: k, i: i, j: i + 1, text: text}, true
	}
	switch t.Kind {
	case lang.KV:
		if i == c.start && r.isLabel(t.Key, t.Val) { // "batch=b7 can go"
			f := &ref{kind: "instance", all: true, conds: []cond{{what: "label", key: t.Key, val: t.Val}}, i: i, j: i + 1}
			for f.j < p.stop && !p.toks[f.j].Is(",", "except", "but") {
				f.j++
			}
			p.after(f)
			end := f.j
			f.j = i + 1
			for k := i + 1; k < end; k++ {
				c.used[k] = c.used[k] || len(f.minus) > 0 && k >= f.minus[0].i
			}
			return mention{kind: mRef, ref: f, i: i, j: i + 1}, true
		}
		return mention{kind: mPair, i: i, j: i + 1, key: t.Key, val: t.Val}, true
	case lang.URL:
		return one(mURL, t.Text)
	case lang.Code:
		return one(mCode, t.Text)
	case lang.Data:
		return one(mData, t.Text)
	case lang.Redacted:
		m, _ := one(mText, t.Text)
		m.key = "value"
		return m, true
	case lang.Quote:
		if t.Key == "" {
			if f := p.parse(i); f != nil {
				return mention{kind: mRef, ref: f, i: i, j: f.j}, true
			}
		}
		m, _ := one(mText, t.Text)
		m.key = t.Key
		return m, true
	case lang.Path:
		if c.sched.Used(i) && c.sched.Zone != "" {
			return mention{}, false
		}
		return one(mPath, t.Text)
	case lang.Punct, lang.Item:
		return mention{}, false
	}
	if m, ok := newName(c, p, i); ok {
		return m, true
	}
	if i == c.start && c.baseVerb(i) {
		if f := p.nounVerb(i); f == nil {
			return mention{}, false
		}
	}
	if mib, n, ok := lang.Size(c.toks, i); ok {
		return mention{kind: mSize, size: mib, i: i, j: i + n}, true
	}
	if f := p.parse(i); f != nil && !(c.sched.Used(i) && len(f.named) == 0 && f.kind == "") {
		return mention{kind: mRef, ref: f, i: i, j: f.j}, true
	}
	if isFileName(t.Text) {
		return one(mPath, t.Text)
	}
	if t.Kind == lang.Ident && lang.IsHost(t.Text) {
		return one(mHost, strings.ToLower(t.Text))
	}
	if c.sched.Used(i) {
		return mention{}, false
	}
	if n, used := lang.Int(c.toks, i); used > 0 && !(t.Is("one") && !c.toks[max(0, i-1)].Is("only", "exactly")) {
		return mention{kind: mInt, n: n, text: lang.Singular(c.low(i + used)), i: i, j: i + used}, true
	}
	if t.Kind != lang.Number && (lang.IsEnvName(t.Text) || lang.IsUpper(t.Text) && len(t.Text) > 2 && !t.Is("utc", "gmt", "url", "aqi", "mb", "gb", "json", "yaml", "csv", "api", "dns")) {
		return one(mEnv, t.Text)
	}
	if lang.Filler(t.Low) || slices.Contains(prepositions, t.Low) {
		return mention{}, false
	}
	if _, n := r.lx.nounAt(c.toks, i); n > 0 || len(r.lx.verbAt(c.toks, i)) > 0 {
		return mention{}, false
	}
	if slices.ContainsFunc(c.verbs, func(h verbHit) bool { return len(h.at) > 1 && slices.Contains(h.at, i) }) {
		return mention{}, false
	}
	if t.Kind == lang.Ident && (t.Text == "-" || len(t.Text) == 0) {
		return mention{}, false
	}
	return one(mUnknown, t.Text)
}

// baseVerb tells whether the word at i begins a verb phrase in its base form.
func (c *clause) baseVerb(i int) bool {
	for _, h := range c.verbs {
		if h.i == i && h.v.words[0] == c.toks[i].Low {
			return true
		}
	}
	return false
}

// nounVerb accepts a noun phrase at the head of a clause although its first word is a verb as well: a name alone, or
// "web-1: …".
func (p *refParser) nounVerb(i int) *ref {
	if i+1 >= p.stop {
		return p.parse(i)
	}
	return nil
}

// newName reads a name that is being given: "called x", "name it y", "name = z", "prefix w-".
func newName(c *clause, p *refParser, i int) (mention, bool) {
	t := c.toks[i]
	k := i + 1
	switch {
	case t.Is("called", "named", "titled"):
		if c.low(k) == "it" {
			return mention{}, false
		}
	case t.Is("call", "name") && (pronouns[c.low(k)] != "" && c.low(k) != "its" || c.low(k) == "="):
		k++
		if c.low(k) == "as" || c.low(k) == "=" {
			k++
		}
	case t.Is("name", "names") && (c.low(k) == "is" || c.low(k) == "are" || c.low(k) == ":" || c.low(k) == "=" || c.low(k) == "should"):
		k++
		if c.low(k) == "be" {
			k++
		}
		if i > 0 && c.toks[i-1].Is("whose") {
			return mention{}, false
		}
	case t.Is("name", "names") && i > 0 && c.toks[i-1].Is("the", "with", "under", "new") && k < len(c.toks) && c.toks[k].Kind != lang.Punct && !c.toks[k].Is("of", "to", "is"):
	case t.Is("prefix", "prefixed") && k < len(c.toks):
		for slices.Contains([]string{"with", "of", "is", "=", ":", "them"}, c.low(k)) {
			k++
		}
		if k < len(c.toks) && (c.toks[k].Wordy() || c.toks[k].Kind == lang.Quote) {
			return mention{kind: mNew, key: "prefix", names: []string{c.toks[k].Text}, i: i, j: k + 1}, true
		}
		return mention{}, false
	case t.Is("as") && k < len(c.toks) && (lang.IsUpper(c.toks[k].Text) || lang.IsEnvName(c.toks[k].Text)):
		return mention{kind: mNew, key: "as", names: []string{c.toks[k].Text}, i: i, j: k + 1}, true
	default:
		return mention{}, false
	}
	names, n := p.newNames(k)
	if n == 0 {
		return mention{}, false
	}
	return mention{kind: mNew, names: names, i: i, j: k + n}, true
}

// refs answers the references of a clause to resources of a kind; with "" all.
func (c *clause) refs(kind string) []*ref {
	var out []*ref
	for _, m := range c.mens {
		if m.kind != mRef {
			continue
		}
		if kind == "" || slices.Contains(m.ref.kinds(), kind) {
			out = append(out, m.ref)
		}
	}
	return out
}

// of answers the mentions of a kind.
func (c *clause) of(kinds ...mentionKind) []mention {
	var out []mention
	for _, m := range c.mens {
		if slices.Contains(kinds, m.kind) {
			out = append(out, m)
		}
	}
	return out
}

// literal answers the first literal text of a kind ("content", "instructions"); "" for any that has no kind of its own.
func (c *clause) literal(key string) (string, bool) {
	for _, m := range c.mens {
		if m.kind == mText && m.key == key {
			return m.text, true
		}
	}
	return "", false
}

// noun tells whether any of the noun phrases stands in the clause.
func (c *clause) noun(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return len(c.nouns[w]) > 0 })
}

// condition reads "if it is stopped or failed", "unless it is running", and answers the tokens that it takes.
func (c *clause) condition() (from, to int) {
	for i := range c.toks {
		if !c.toks[i].Is("if", "unless") || c.question() && i == c.start || i > 0 && c.toks[i-1].Is("what", "happen", "know", "see", "check", "tell", "me") {
			continue
		}
		from, to = i, len(c.toks)
		if i > 0 && c.toks[i-1].Is("only", "but") {
			from--
		}
		if c.toks[i].Is("unless") {
			c.unless = true
		}
		k := i + 1
		for k < len(c.toks) && c.toks[k].Is("it", "they", "is", "are", "has", "have", "that", "this", "been", "currently", "the", "instance", "instances", "still", "already", "box", "one", "really") {
			k++
		}
		if k < len(c.toks) && c.toks[k].Is("not") {
			c.unless = !c.unless
			k++
		}
		for k < len(c.toks) {
			s := statuses[c.low(k)]
			if s == "" && !c.toks[k].Is("or", ",", "has", "in", "an", "state", "is", "it", "and") {
				break
			}
			if s != "" {
				c.conds = append(c.conds, cond{what: "status", val: s})
			}
			k++
		}
		if len(c.conds) == 0 && !c.toks[min(i+1, len(c.toks)-1)].Is("you", "possible", "needed", "necessary", "that", "so") {
			c.doubtful = true
		}
		if i == c.start && k < len(c.toks) { // "if it is stopped, start it"
			to = k
			c.start = k
			if n, _ := leadIn(c.toks, k); n > 0 {
				c.start = k + n
			}
		}
		return from, to
	}
	return -1, -1
}
