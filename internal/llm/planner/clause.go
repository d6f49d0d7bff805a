package planner

import (
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// clause is one request, question or remark of a message.
type clause struct {
	toks []lang.Token
	// start is the index of the first word after politeness and lead-ins.
	start int
	// neg is set for "don't …".
	neg bool
	// after is set when "then", "afterwards" and the like come first.
	after bool
	// sentence numbers the sentence that the clause is part of.
	sentence int
	ask      bool // ends in a question mark
	mended   bool // its verb was misspelt
	verbs    []verbHit
	mens     []mention
	nouns    map[string][]int
	sched    *lang.Schedule
	used     []bool
	// conds is the condition of "only if it is stopped or failed", unless turns it round, doubtful is a condition that
	// was not understood.
	conds    []cond
	unless   bool
	doubtful bool
	// whether is set when the clause was an indirect question without an auxiliary of its own: "whether web-1 exists".
	whether bool
}

func (c *clause) low(i int) string { return tokLow(c.toks, i) }

// has tells whether any of the words stands in the clause outside literal text.
func (c *clause) has(words ...string) bool {
	return slices.ContainsFunc(c.toks, func(t lang.Token) bool { return t.Is(words...) })
}

// hasSeq tells whether the words stand in the clause one after the other.
func (c *clause) hasSeq(words ...string) bool { return c.seqAt(0, words...) >= 0 }

func (c *clause) seqAt(from int, words ...string) int {
next:
	for i := from; i+len(words) <= len(c.toks); i++ {
		for k, w := range words {
			if c.low(i+k) != w {
				continue next
			}
		}
		return i
	}
	return -1
}

// text is the clause as it was written.
func (c *clause) text(src string) string {
	if len(c.toks) == 0 {
		return ""
	}
	return src[c.toks[0].Start:c.toks[len(c.toks)-1].End]
}

// leadIns are words that may stand before the verb of a request without changing it.
var leadIns = []string{"please", "kindly", "just", "now", "also", "oh", "well", "so", "okay", "hey", "hi", "hello", "operator", "and", "but", "or", "too",
	"alright", "right", "quickly", "maybe", "perhaps", "actually", "anyway", "simply", "immediately", "sorry", "thanks", "again", "instead", "next",
	"finally", "first", "second", "third", "lastly", "great", "good", "cool", "nice", "perfect", "fine", "sure", "yes", "hm", "hmm", "um", "uh", "ah",
	"wait", "oops", "only", "still", "better", "rather", "all", "afterwards", "later", "additionally", "meanwhile", "furthermore", "then", "secondly", "could", "really", "go", "on", "never", "nevermind", "mind"}

// leadPhrases are longer ways to begin a request.
var leadPhrases = [][]string{
	{"can", "you"}, {"could", "you"}, {"would", "you"}, {"will", "you"}, {"can", "we"}, {"could", "we"}, {"can", "i", "have", "you"}, {"may", "i", "ask", "you", "to"},
	{"i", "would", "like", "you", "to"}, {"i", "would", "like", "to"}, {"i", "want", "you", "to"}, {"i", "want", "to"}, {"i", "need", "you", "to"}, {"i", "need", "to"},
	{"we", "need", "to"}, {"we", "want", "to"}, {"we", "should"}, {"you", "should"}, {"let", "us"}, {"go", "ahead", "and"}, {"make", "sure", "to"}, {"make", "sure", "you"},
	{"be", "so", "kind", "as", "to"}, {"be", "so", "kind", "and"}, {"would", "you", "mind"}, {"do", "you", "mind"}, {"i", "would", "love", "to"}, {"i", "have", "to"}, {"we", "have", "to"}, {"i", "was", "hoping", "you", "could"},
	{"while", "you", "are", "at", "it"}, {"after", "that"}, {"once", "that", "is", "done"}, {"when", "that", "is", "done"}, {"i", "think", "we", "should"}, {"it", "would", "be", "great", "if", "you", "could"}, {"it", "would", "be", "nice", "if", "you", "could"},
	{"your", "task", "is", "to"}, {"your", "job", "is", "to"}, {"feel", "free", "to"}, {"please", "do"}, {"for", "me"}, {"if", "you", "can"}, {"if", "possible"}, {"in", "addition"}, {"as", "well"}, {"one", "more", "thing"}, {"by", "the", "way"}, {"do", "me", "a", "favor", "and"},
	{"can", "you", "please"}, {"i", "wish", "to"}, {"help", "me"}, {"try", "to"}, {"i", "am", "going", "to", "need", "you", "to"}, {"would", "it", "be", "possible", "to"}, {"is", "it", "possible", "to"}, {"at", "the", "same", "time"}, {"when", "you", "are", "done"},
}

// pseudoVerbs begin clauses although no tool has them.
var pseudoVerbs = []string{"leave", "keep", "skip", "spare", "ignore", "tell", "let", "focus", "name", "call", "wait", "use", "give", "say", "make", "report", "touch", "explain", "answer", "forget", "undo", "repeat", "write", "translate", "book", "send", "put", "have", "concentrate", "translate", "summarize", "summarise", "paint", "draw", "sing"}

// leadIn answers how many tokens at i are politeness or lead-in, and whether they negate.
func leadIn(toks []lang.Token, i int) (used int, neg bool) {
	k := i
	for k < len(toks) {
		low := tokLow(toks, k)
		matched := 0
		for _, p := range leadPhrases {
			n := 0
			for n < len(p) && tokLow(toks, k+n) == p[n] {
				n++
			}
			if n == len(p) && n > matched {
				matched = n
			}
		}
		switch {
		case matched > 0:
			k += matched
		case (low == "do" || low == "must" || low == "should" || low == "can" || low == "could") && tokLow(toks, k+1) == "not":
			neg = true
			k += 2
		case low == "never" && k+1 < len(toks):
			neg = true
			k++
		case low == "not" && k == i:
			neg = true
			k++
		case low == ",", low == ":" && k > i, slices.Contains(leadIns, low) && low != "":
			k++
		case low == "i" && tokLow(toks, k+1) == "do" && tokLow(toks, k+2) == "not" && tokLow(toks, k+3) == "want":
			neg = true
			k += 4
			for slices.Contains([]string{"you", "to", "us"}, tokLow(toks, k)) {
				k++
			}
		default:
			return k - i, neg
		}
	}
	return k - i, neg
}

// startsClause tells whether a new request begins at token k, behind a comma or a conjunction.
func (r *run) startsClause(toks []lang.Token, k int) bool {
	if k >= len(toks) {
		return false
	}
	n, neg := leadIn(toks, k)
	v := k + n
	if v >= len(toks) {
		return false
	}
	if toks[v].Kind == lang.Ident && v+1 < len(toks) && toks[v+1].Is("keeps", "stays", "remains") {
		return true
	}
	if toks[v].Kind != lang.Word || toks[v].Poss {
		return false
	}
	next := v + 1
	alone := next >= len(toks) || toks[next].Kind == lang.Punct || toks[next].Is("and", "or")
	low := toks[v].Low
	if neg {
		return true
	}
	if slices.Contains([]string{"which", "what", "who", "how", "why", "where", "when", "whose"}, low) && !alone && v > 0 && (toks[k-1].Is(",") || toks[k-1].Is("then") || n > 0 || toks[next].Is("is", "are", "many", "do", "does", "of")) {
		return !r.relativeBefore(toks, k)
	}
	if slices.Contains(pseudoVerbs, low) && !alone {
		return true
	}
	for x := v + 1; x < len(toks) && x < v+4; x++ { // "alpha keeps it"
		if toks[x].Is("keeps", "stays", "remains") {
			return true
		}
	}
	hits := r.lx.verbAt(toks, v)
	if len(hits) == 0 || alone && !slices.Contains([]string{"restart", "stop", "start"}, low) {
		return false
	}
	if lang.Filler(low) && !slices.Contains([]string{"see", "get", "have", "tell", "show", "give", "let", "keep", "use", "call", "run", "name", "want", "need"}, low) {
		return false
	}
	for _, h := range hits { // only the base form begins a request: "restart", not "restarted"
		if h.v.words[0] == low {
			if n == 0 && toks[k-1].Is("and", ",") && (toks[next].Is("of", "is", "are", "from", "to", "in", "=", "on") && low != "is") && len(h.at) == 1 && low != "switch" && low != "log" {
				return false
			}
			return true
		}
	}
	return false
}

// relativeBefore tells whether "which" behind a comma goes on a noun: "instances, which are stopped,".
func (r *run) relativeBefore(toks []lang.Token, k int) bool {
	if k < 2 || !toks[k].Is("which") {
		return false
	}
	_, n := r.lx.nounAt(toks, k-2)
	ends := slices.IndexFunc(toks[k:], func(t lang.Token) bool { return t.Is("?") })
	return n > 0 && ends < 0
}

// clauses cuts a message's tokens into clauses.
func (r *run) clauses(toks []lang.Token) []*clause {
	var out []*clause
	sentence, from := 0, 0
	cut := func(to int, next int) {
		part := toks[from:to]
		for len(part) > 0 && (part[0].Kind == lang.Punct && !part[0].Is("-", "(") || part[0].Kind == lang.Item) {
			part = part[1:]
		}
		for len(part) > 0 && (part[len(part)-1].Is(",", ";", ".", "!", "-") || part[len(part)-1].Is("and", "then") && len(part) > 1) {
			part = part[:len(part)-1]
		}
		if len(part) > 0 {
			c := &clause{toks: part, sentence: sentence}
			if last := part[len(part)-1]; last.Is("?") {
				c.ask = true
				c.toks = part[:len(part)-1]
			}
			if len(c.toks) > 0 {
				out = append(out, c)
			}
		}
		from = next
	}
	for i, t := range toks {
		if i < from {
			continue
		}
		switch {
		case t.Kind == lang.Item && i > from && r.itemIsClause(toks, i):
			cut(i, i+1)
			sentence++
		case t.Line && i > from && t.Kind != lang.Item && r.lineIsClause(toks, i):
			cut(i, i)
			sentence++
		case t.Is("?"):
			cut(i+1, i+1)
			sentence++
		case t.Is(".", "!", ";"):
			if t.Is(".") && i+1 < len(toks) && toks[i+1].Is(".") || i > 0 && t.Is(".") && toks[i-1].Is(".") { // an ellipsis or a range
				continue
			}
			cut(i, i+1)
			sentence++
		case (t.Is(",") || t.Is("and", "then", "but", "-")) && i > from:
			k := i + 1
			for k < len(toks) && (toks[k].Is("and", "then", "but", "also", "or", "so", "plus") || toks[k].Is(",")) {
				k++
			}
			if t.Is("but") && tokLow(toks, i+1) == "not" && !r.startsClause(toks, i+2) {
				continue
			}
			if r.startsClause(toks, k) || t.Is(",") && tokLow(toks, i+1) == "then" && k < len(toks) || (t.Is("then") || t.Is(",") && (k > i+1)) && r.carries(toks, k) {
				cut(i, i)
				if i+1 < len(toks) && k > i {
					from = i + 1
				}
			}
		}
	}
	cut(len(toks), len(toks))
	for _, c := range out {
		n, neg := leadIn(c.toks, 0)
		c.start, c.neg = n, neg
		for _, t := range c.toks[:min(n+1, len(c.toks))] {
			if t.Is("then", "afterwards", "after", "once", "when") {
				c.after = true
			}
		}
	}
	return out
}

// carries tells whether an elliptical clause begins at k: "then two more called x and y".
func (r *run) carries(toks []lang.Token, k int) bool {
	n, used := lang.Int(toks, k)
	return used > 0 && n > 0 && tokLow(toks, k+used) == "more" || tokLow(toks, k) == "another"
}

// itemIsClause tells whether a list item is a request of its own rather than a member of a list of names.
func (r *run) itemIsClause(toks []lang.Token, i int) bool {
	return r.startsClause(toks, i+1) || i+2 < len(toks) && (toks[i+2].Kind == lang.Word && toks[i+1].Kind == lang.Word)
}

// lineIsClause tells whether a line begins a new sentence rather than going on with a list.
func (r *run) lineIsClause(toks []lang.Token, i int) bool {
	before := toks[i-1]
	if before.Is(",", ":") || before.Is("and", "or", "with") || toks[i].Kind == lang.KV {
		return false
	}
	return r.startsClause(toks, i) || strings.ContainsAny(toks[i].Text[:1], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !lang.IsUpper(toks[i].Text)
}
