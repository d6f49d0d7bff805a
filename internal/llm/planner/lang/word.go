package lang

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	keyValue = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_./-]*)=(.+)$`)
	number   = regexp.MustCompile(`^[-+]?\d+([.,]\d+)?%?$`)
	urlLike  = regexp.MustCompile(`^(?:[a-zA-Z][a-zA-Z0-9+.-]*://|git@[\w.-]+:)`)
	envName  = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	hostName = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(:\d+)?$`)
	fileName = regexp.MustCompile(`^[\w.-]*\.[A-Za-z][A-Za-z0-9]{0,5}$`)
)

// IsEnvName tells whether s looks like an environment variable with an underscore: GITHUB_TOKEN.
func IsEnvName(s string) bool { return envName.MatchString(s) }

// IsUpper tells whether s is written in capitals like an environment variable, underscore or not.
func IsUpper(s string) bool {
	return len(s) > 1 && s == strings.ToUpper(s) && s != strings.ToLower(s) && !strings.ContainsAny(s, "-./")
}

// IsHost tells whether s looks like a host name: at least two labels, the last of letters.
func IsHost(s string) bool { return hostName.MatchString(strings.ToLower(s)) }

// IsFile tells whether s looks like a file's name: it has an extension.
func IsFile(s string) bool { return fileName.MatchString(s) && !number.MatchString(s) }

// spelled maps contractions without an apostrophe, and slang, to what they stand for.
var spelled = map[string]string{
	"dont": "do not", "doesnt": "does not", "didnt": "did not", "cant": "can not", "cannot": "can not", "wont": "will not",
	"isnt": "is not", "arent": "are not", "wasnt": "was not", "hasnt": "has not", "havent": "have not", "shouldnt": "should not",
	"whats": "what is", "whos": "who is", "wheres": "where is", "hows": "how is", "thats": "that is", "theres": "there is",
	"heres": "here is", "im": "i am", "ive": "i have", "lets": "let us", "youre": "you are",
	"gimme": "give me", "lemme": "let me", "wanna": "want to", "gonna": "going to", "gotta": "have to", "em": "them", "u": "you",
	"ur": "your", "pls": "please", "plz": "please", "plez": "please", "thx": "thanks", "ty": "thanks", "thru": "through", "w": "with",
	"ok": "okay", "k": "okay", "yep": "yes", "yeah": "yes", "yup": "yes", "yea": "yes", "ya": "yes", "aye": "yes", "y": "yes",
	"nope": "no", "nah": "no", "n": "no", "labeled": "labelled", "colour": "color", "favour": "favor", "msgs": "messages",
	"coz": "because", "cuz": "because", "cos": "because", "rn": "now", "asap": "now", "atm": "now", "info": "info",
	"everyones": "everyone is", "nvm": "nevermind", "tho": "though", "til": "until", "till": "until", "bc": "because",
	"env": "environment", "envs": "environment", "repo": "repository", "repos": "repositories", "config": "configuration",
	"configs": "configurations", "cfg": "configuration", "dir": "folder", "dirs": "folders", "directory": "folder",
	"directories": "folders", "vars": "variables", "var": "variable", "mem": "memory", "min": "minutes", "mins": "minutes",
	"hr": "hour", "hrs": "hours", "sec": "seconds", "secs": "seconds", "deets": "details", "descr": "description", "desc": "description",
	"tz": "timezone", "creds": "credentials", "params": "parameters", "pwd": "password", "pw": "password", "prolly": "probably",
}

// suffixes maps what follows an apostrophe to the word it stands for.
var suffixes = map[string]string{"re": "are", "ll": "will", "ve": "have", "d": "would", "m": "am"}

// isContraction lists the words whose 's means "is" (or "us").
var isContraction = map[string]string{
	"what": "is", "who": "is", "where": "is", "how": "is", "when": "is", "it": "is", "that": "is", "there": "is", "here": "is",
	"he": "is", "she": "is", "let": "us", "everything": "is", "why": "is", "which": "is",
}

// word takes a word, a name, a key=value, a path, a URL or a number.
func (s *scanner) word() {
	rest := s.src[s.pos:]
	raw := rest[:wordEnd(rest)]
	if m := strings.IndexByte(raw, '='); m > 0 && m == len(raw)-1 && keyValue.MatchString(raw+"x") {
		if after := rest[len(raw):]; after != "" && strings.ContainsAny(after[:1], "\"`'") { // KEY="some value"
			if end := strings.IndexByte(after[1:], after[0]); end >= 0 {
				s.emit(Token{Kind: KV, Text: raw + after[:end+2], Key: raw[:m], Val: after[1 : end+1], Start: s.pos, End: s.pos + len(raw) + end + 2})
				return
			}
		}
	}
	if m := keyValue.FindStringSubmatch(raw); m != nil && !urlLike.MatchString(raw) {
		value := strings.TrimRight(m[2], ",;.")
		value = strings.TrimRight(value, "?")
		if next := nextPair(value); next > 0 {
			value = value[:next]
		}
		if strings.HasSuffix(value, ")") && !strings.Contains(value, "(") {
			value = value[:len(value)-1]
		}
		if value != "" {
			end := s.pos + len(m[1]) + 1 + len(value)
			s.emit(Token{Kind: KV, Text: s.src[s.pos:end], Key: m[1], Val: strings.Trim(value, `'`), Start: s.pos, End: end})
			return
		}
	}
	if i := strings.IndexByte(raw, '='); i > 0 && !urlLike.MatchString(raw) {
		raw = raw[:i]
	}
	text := strings.TrimRight(raw, ".:'’,;!?)")
	if text == "" {
		text = raw[:1]
	}
	t := Token{Text: text, Start: s.pos, End: s.pos + len(text)}
	switch {
	case urlLike.MatchString(text):
		t.Kind = URL
	case number.MatchString(text):
		t.Kind = Number
	case strings.HasPrefix(text, "${") || strings.HasPrefix(text, "~/"):
		t.Kind = Path
	case strings.Contains(text, "/") && strings.ToLower(text) != "w/" && strings.ToLower(text) != "and/or":
		t.Kind = Path
	default:
		s.plainWord(t)
		return
	}
	s.emit(t)
}

// nextPair finds where a second key=value begins in "1,b=2", or 0.
func nextPair(value string) int {
	for i := 0; i < len(value); i++ {
		if value[i] == ',' && keyValue.MatchString(value[i+1:]) {
			return i
		}
	}
	return 0
}

// plainWord emits a word, spelling out contractions: don't becomes do and not, clerk's becomes clerk with Poss.
func (s *scanner) plainWord(t Token) {
	low := strings.ToLower(strings.ReplaceAll(t.Text, "’", "'"))
	t.Kind = kindOf(low)
	t.Low = low
	if low == "w/" || low == "and/or" {
		t.Low = map[string]string{"w/": "with", "and/or": "and"}[low]
		s.emit(t)
		return
	}
	if base, tail, found := strings.Cut(low, "'"); found {
		text := t.Text[:strings.IndexAny(t.Text, "'’")] // lower case may be longer
		switch {
		case tail == "t" && strings.HasSuffix(base, "n"):
			head := strings.TrimSuffix(base, "n")
			head = map[string]string{"ca": "can", "wo": "will", "sha": "shall"}[head] + map[bool]string{true: "", false: head}[head == "ca" || head == "wo" || head == "sha"]
			s.pair(t, head, "not")
			return
		case tail == "s" && isContraction[base] != "":
			s.pair(t, base, isContraction[base])
			return
		case suffixes[tail] != "":
			s.pair(t, base, suffixes[tail])
			return
		case tail == "s" || tail == "":
			t.Text, t.Low, t.Poss, t.Kind = text, base, true, kindOf(base)
			s.emit(t)
			return
		}
	}
	if t.Kind == Word && !IsUpper(t.Text) {
		if full := spelled[low]; full != "" {
			words := strings.Fields(full)
			if len(words) == 2 {
				s.pair(t, words[0], words[1])
				return
			}
			t.Low = full
		}
	}
	s.emit(t)
}

func (s *scanner) pair(t Token, first, second string) {
	a, b := t, t
	a.Kind, a.Low, b.Kind, b.Low = Word, first, Word, second
	s.emit(a)
	s.line = false
	s.emit(b)
}

func kindOf(s string) Kind {
	if number.MatchString(s) {
		return Number
	}
	letters := true
	for _, r := range s {
		if !unicode.IsLetter(r) && r != '\'' {
			letters = false
		}
	}
	if letters {
		return Word
	}
	return Ident
}

// Singular takes the plural ending off an English noun; other words pass unchanged.
func Singular(w string) string {
	if full, ok := irregular[w]; ok {
		return full
	}
	switch {
	case len(w) < 4 || !strings.HasSuffix(w, "s") || strings.HasSuffix(w, "ss") || strings.HasSuffix(w, "us") || strings.HasSuffix(w, "is"):
		return w
	case strings.HasSuffix(w, "ies") && len(w) > 4:
		return w[:len(w)-3] + "y"
	case strings.HasSuffix(w, "xes") || strings.HasSuffix(w, "ches") || strings.HasSuffix(w, "shes") || strings.HasSuffix(w, "sses"):
		return w[:len(w)-2]
	}
	return w[:len(w)-1]
}

var irregular = map[string]string{
	"children": "child", "people": "person", "indices": "index", "processes": "process", "instructions": "instructions",
	"contents": "content", "has": "have", "does": "do", "goes": "go", "series": "series", "always": "always", "aliases": "alias",
	"canvas": "canvas", "news": "news", "bots": "bot", "leaves": "leave", "this": "this", "its": "its", "as": "as", "address": "address",
}

// Stem takes a verb back to its base form in the ways that English forms -s, -ed and -ing; the candidates come most
// likely first, the word itself included.
func Stem(w string) []string {
	out := []string{w}
	if base := strongVerbs[w]; base != "" {
		return append(out, base)
	}
	add := func(s string) {
		if len(s) > 1 {
			out = append(out, s)
		}
	}
	switch {
	case strings.HasSuffix(w, "ing") && len(w) > 5:
		b := w[:len(w)-3]
		add(b)
		add(b + "e")
		add(undouble(b))
	case strings.HasSuffix(w, "ied") && len(w) > 4:
		add(w[:len(w)-3] + "y")
	case strings.HasSuffix(w, "ed") && len(w) > 4:
		b := w[:len(w)-2]
		add(b)
		add(b + "e")
		add(undouble(b))
	case strings.HasSuffix(w, "ies") && len(w) > 4:
		add(w[:len(w)-3] + "y")
	case strings.HasSuffix(w, "es") && len(w) > 4:
		add(w[:len(w)-1])
		add(w[:len(w)-2])
	case strings.HasSuffix(w, "s") && len(w) > 3 && !strings.HasSuffix(w, "ss"):
		add(w[:len(w)-1])
	}
	return out
}

func undouble(b string) string {
	if n := len(b); n > 2 && b[n-1] == b[n-2] {
		return b[:n-1]
	}
	return ""
}

var strongVerbs = map[string]string{
	"made": "make", "ran": "run", "built": "build", "gave": "give", "given": "give", "took": "take", "taken": "take", "got": "get",
	"went": "go", "gone": "go", "wrote": "write", "written": "write", "threw": "throw", "thrown": "throw", "brought": "bring",
	"set": "set", "put": "put", "kept": "keep", "won": "win", "said": "say", "saw": "see", "seen": "see", "spun": "spin",
	"shown": "show", "did": "do", "done": "do", "had": "have", "has": "have", "does": "do", "left": "leave", "chose": "choose",
	"forgot": "forget", "forgotten": "forget", "froze": "freeze", "frozen": "freeze", "lost": "lose", "broke": "break",
	"needs": "need", "uses": "use", "gets": "get",
}
