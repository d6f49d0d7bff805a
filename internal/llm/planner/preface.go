package planner

import (
	"regexp"
	"slices"
	"strings"

	"yardmaster/internal/llm/planner/lang"
)

// literalLabels maps words that announce literal text to the kind of text. What they announce is never parsed.
var literalLabels = map[string]string{
	"containing": "content", "contains": "content", "contain": "content", "content": "content", "contents": "content", "text": "content",
	"says": "content", "say": "content", "saying": "content", "reads": "content", "exactly": "content", "following": "content", "message": "content",
	"words": "content", "body": "content", "line": "content",
	"instructions": "instructions", "instruction": "instructions", "description": "description", "template": "template",
	"fires": "template", "fired": "template", "triggered": "template", "called": "template", "invoked": "template", "hit": "template",
	"prompt": "prompt",
}

// preface finds text that a message announces as literal ("Instructions: …", "containing: …", "with the text …"), and puts
// one Quote token in its place, with the kind of text as its Key.
func (r *run) preface(src string, toks []lang.Token) []lang.Token {
	var out []lang.Token
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		out = append(out, t)
		if t.Is("run", "execute", "exec") {
			if q, next := takeCommand(src, toks, i+1); next > i+1 {
				out = append(out, q)
				i = next - 1
				continue
			}
		}
		if t.Is(":") {
			if label := labelBefore(out[:len(out)-1]); label != "" {
				if q, next := takeLiteral(src, toks, i+1, label); next > i+1 {
					out = append(out, q)
					i = next - 1
				}
			}
			continue
		}
		if label, from := r.announces(toks, i); label != "" {
			if q, next := r.takePlain(src, toks, from, label); next > from {
				out = append(out, toks[i+1:from]...)
				out = append(out, q)
				i = next - 1
			}
		}
	}
	return out
}

// labelBefore answers what kind of literal a colon announces, from the words before it.
func labelBefore(before []lang.Token) string {
	found, reading := "", false
	for k := len(before) - 1; k >= 0 && k >= len(before)-9; k-- {
		t := before[k]
		if t.Is(".", ";", "!", "?") || t.Kind == lang.Item {
			break
		}
		if t.Is("list", "show", "cat", "read", "which", "what", "delete", "remove", "import") {
			reading = true
		}
		if label := literalLabels[t.Low]; label != "" && t.Kind == lang.Word && (k >= len(before)-6 || label == "template" && t.Low == "template") {
			if t.Low == "called" && !slices.ContainsFunc(before[max(0, k-4):k], func(w lang.Token) bool { return w.Is("when", "whenever", "once", "is") }) {
				continue
			}
			if found == "" || found == "content" {
				found = label
			}
		}
	}
	if reading && found == "content" {
		return ""
	}
	if found == "" && !reading && writesFile(before) {
		return "content"
	}
	return found
}

// writesFile tells whether a sentence so far says to put something into a file: what a colon brings then is the file's text,
// and never an order.
func writesFile(before []lang.Token) bool {
	file, verb := false, false
	for k := len(before) - 1; k >= 0; k-- {
		t := before[k]
		if t.Is(".", ";", "!", "?") || t.Kind == lang.Item {
			break
		}
		file = file || t.Kind == lang.Path || t.Kind == lang.Ident && fileName.MatchString(t.Text)
		verb = verb || t.Is("write", "save", "put", "store", "append", "add", "note", "jot", "drop", "create", "make", "place", "paste", "insert", "record")
	}
	return file && verb
}

var fileName = regexp.MustCompile(`(?i)[^.]\.(txt|md|csv|json|ya?ml|toml|ini|cfg|conf|log|py|sh|js|mjs|ts|go|html?|xml|sql|env|rst|tsv|jsonl|text|note|list|todo)$`)

// takeLiteral takes the text behind a colon: a quotation, or everything up to the next labelled field, list item or the end.
func takeLiteral(src string, toks []lang.Token, i int, label string) (lang.Token, int) {
	if i >= len(toks) {
		return lang.Token{}, i
	}
	if toks[i].Kind == lang.Quote || toks[i].Kind == lang.Code {
		q := toks[i]
		q.Kind, q.Key = lang.Quote, label
		return q, i + 1
	}
	end, n := len(src), len(toks)
	for k := i + 1; k < len(toks); k++ {
		if toks[k].Kind == lang.Item && label != "content" && label != "instructions" || fieldAt(toks, k) {
			end, n = toks[k].Start, k
			break
		}
	}
	text := strings.TrimSpace(src[toks[i].Start:end])
	if label == "description" {
		text = strings.TrimSuffix(text, ".")
	}
	return lang.Token{Kind: lang.Quote, Key: label, Text: text, Start: toks[i].Start, End: end, Line: toks[i].Line}, n
}

// fieldAt tells whether a labelled field such as "Instructions:" begins at token k.
func fieldAt(toks []lang.Token, k int) bool {
	if k == 0 || !toks[k].Line && !toks[k-1].Is(".", ";", "!", ",") {
		return false
	}
	for n := k; n < len(toks) && n < k+4; n++ {
		if toks[n].Is(":") && n > k {
			l := literalLabels[toks[n-1].Low]
			return l != "" && l != "content" || toks[n-1].Is("name", "schedule", "cron", "timezone", "value")
		}
		if toks[n].Kind != lang.Word {
			return false
		}
	}
	return false
}

// announces finds words at toks[i] that announce literal text without a colon, and where that text begins.
func (r *run) announces(toks []lang.Token, i int) (label string, from int) {
	at := func(k int) string { return tokLow(toks, k) }
	k := i + 1
	skip := func() {
		for slices.Contains([]string{"exactly", "just", "only", "simply", ","}, at(k)) {
			k++
		}
	}
	switch at(i) {
	case "saying", "containing", "reading":
		skip()
		if at(i) == "reading" && (k >= len(toks) || !toks[k].Literal()) || at(k) == ":" {
			return "", 0
		}
		return "content", k
	case "that", "which":
		if at(k) == "says" || at(k) == "reads" || at(k) == "say" {
			k++
			skip()
			if at(k) == ":" {
				return "", 0
			}
			return "content", k
		}
	case "with", "the", "and":
		if at(i) == "with" && at(k) == "the" {
			k++
		}
		if at(i) == "with" && (at(k) == "following" || at(k) == "exact") {
			k++
		}
		switch at(k) {
		case "text", "content", "contents", "words", "message", "word", "line", "phrase", "sentence", "string":
			single := at(i) == "the"
			k++
			if single && !literalFollows(toks, k) {
				return "", 0
			}
			skip()
			if at(k) == ":" || at(k) == "of" || k >= len(toks) {
				return "", 0
			}
			return "content", k
		case "instructions":
			if at(i) == "with" && k+1 < len(toks) && toks[k+1].Literal() {
				return "instructions", k + 1
			}
		}
	case "description", "instructions", "prompt", "template":
		for n := k; n < len(toks) && n < k+7; n++ {
			if toks[n].Is(".", ":", ";", ",") {
				return "", 0
			}
			if toks[n].Is("to", "is", "as", "=") && n+1 < len(toks) || toks[n].Is("be") && n > k && toks[n-1].Is("should") && n+1 < len(toks) {
				if q := i > 0 && slices.ContainsFunc(toks[:i], func(t lang.Token) bool { return t.Is("what", "which", "show", "read") }); q {
					return "", 0
				}
				if toks[n+1].Is("say", "read", "just") {
					n++
				}
				if n+1 < len(toks) && !toks[n+1].Is(":") {
					return at(i), n + 1
				}
				return "", 0
			}
		}
	}
	return "", 0
}

// literalFollows tells whether "the text …" is followed by literal text and a place to put it.
func literalFollows(toks []lang.Token, k int) bool {
	if k < len(toks) && toks[k].Literal() {
		return true
	}
	for n := k + 1; n < len(toks) && n < k+14; n++ {
		if toks[n].Is(".", ";") {
			return false
		}
		if toks[n].Is("into", "to", "in") && n+1 < len(toks) {
			return !toks[k].Is("of", "is", "from", "in", "on", "to", "into")
		}
	}
	return false
}

// takePlain takes literal text that runs on in the sentence: a quotation, or the words up to the next clause or place.
func (r *run) takePlain(src string, toks []lang.Token, i int, label string) (lang.Token, int) {
	if i >= len(toks) {
		return lang.Token{}, i
	}
	if toks[i].Kind == lang.Quote || toks[i].Kind == lang.Code {
		q := toks[i]
		q.Kind, q.Key = lang.Quote, label
		return q, i + 1
	}
	n := i
	for n < len(toks) {
		t := toks[n]
		if t.Is(";") || t.Kind == lang.Item || t.Line && n > i {
			break
		}
		if label == "content" && n > i {
			if t.Is("into", "onto") || t.Is("to", "in", "on") && n+1 < len(toks) && r.placeAt(toks, n+1) {
				break
			}
			if (t.Is(",") || t.Is("and", "then")) && r.startsClause(toks, n+1) || t.Is(".") {
				break
			}
		}
		if label != "content" && t.Is(".") && n+1 < len(toks) && r.startsClause(toks, n+1) {
			break
		}
		n++
	}
	if n == i {
		return lang.Token{}, i
	}
	text := strings.TrimSpace(src[toks[i].Start:toks[n-1].End])
	return lang.Token{Kind: lang.Quote, Key: label, Text: strings.TrimSuffix(text, "."), Start: toks[i].Start, End: toks[n-1].End}, n
}

// placeAt tells whether a file or a resource's noun stands at token k.
func (r *run) placeAt(toks []lang.Token, k int) bool {
	for slices.Contains([]string{"the", "a", "file", "my", "every", "all", "each"}, tokLow(toks, k)) {
		k++
	}
	if k >= len(toks) {
		return false
	}
	t := toks[k]
	if t.Kind == lang.Path || t.Kind == lang.Ident || lang.IsFile(t.Text) {
		return true
	}
	_, n := r.lx.nounAt(toks, k)
	return n > 0 || t.Is("it", "them", "there")
}

func tokLow(toks []lang.Token, k int) string {
	if k >= 0 && k < len(toks) && (toks[k].Wordy() || toks[k].Kind == lang.Punct) {
		return toks[k].Low
	}
	return ""
}

// programs are names by which a shell command is known as one without backticks.
var programs = map[string]bool{}

func init() {
	for _, name := range strings.Fields("awk bash cat chmod cp curl cut date df du echo env false file find free git grep gzip head hostname id kill ln ls lsblk make md5sum mkdir mv nice node npm nproc pgrep pip pip3 " +
		"ping pkill printf ps pwd python python3 rm sed sh sha256sum sleep sort stat sum tail tar tee test top touch tr true tty uname uniq unzip uptime wc wget which whoami xargs zip") {
		programs[name] = true
	}
}

// takeCommand takes a shell command that stands behind "run" as it is, up to the last "on", "in" or "across" or to "everywhere".
func takeCommand(src string, toks []lang.Token, i int) (lang.Token, int) {
	for i < len(toks) && toks[i].Is("the", "command") {
		i++
	}
	if i >= len(toks) || toks[i].Kind != lang.Word && toks[i].Kind != lang.Ident || !programs[toks[i].Text] {
		return lang.Token{}, 0
	}
	end := -1
	for k := i + 1; k < len(toks); k++ {
		if toks[k].Is("on", "across", "everywhere", "inside", "in") && toks[k].Kind == lang.Word {
			end = k
		}
	}
	if end < 0 {
		return lang.Token{}, 0
	}
	from, to := toks[i].Start, toks[end-1].End
	return lang.Token{Kind: lang.Code, Text: strings.TrimSpace(src[from:to]), Start: from, End: to}, end
}
