// Package lang turns a person's English into typed tokens, numbers, sizes, times and schedules. It knows words, not
// operations: what the words are for is the planner's business.
package lang

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind says what a token is.
type Kind int

// The kinds of token.
const (
	Word     Kind = iota // a plain word: letters and inner apostrophes
	Ident                // a word with digits, hyphens, underscores or dots: web-1, api.example.com, 9am
	Number               // digits, perhaps with a sign or a fraction
	Quote                // text in quotation marks; Text is what is inside
	Code                 // text in backticks; Text is what is inside
	KV                   // key=value
	Path                 // something with a slash that is no URL
	URL                  // scheme://…
	Data                 // a JSON value or a tagged block: never language
	Redacted             // a mark that stands for a value that was taken out
	Punct                // punctuation; Text is one of , ; : . ! ? ( ) = - / …
	Item                 // the mark of a list item at the start of a line
)

// Token is one piece of a message.
type Token struct {
	Kind Kind
	// Text is the token as written, without its quotation marks.
	Text string
	// Low is Text in lower case, after contractions and slang were spelled out; typo repair changes it.
	Low string
	// Start and End are byte offsets in the message. The parts of a contraction share them.
	Start, End int
	// Poss is set when 's follows: clerk's.
	Poss bool
	// Line is set when the token is the first of its line.
	Line bool
	// Key and Val are the two sides of a KV.
	Key, Val string
}

// Is tells whether the token is a word or name with one of the given lower-case spellings.
func (t Token) Is(words ...string) bool {
	if t.Kind != Word && t.Kind != Ident && t.Kind != Number && t.Kind != Punct {
		return false
	}
	for _, w := range words {
		if t.Low == w {
			return true
		}
	}
	return false
}

// Wordy tells whether the token is language: a word, a name or a number.
func (t Token) Wordy() bool { return t.Kind == Word || t.Kind == Ident || t.Kind == Number }

// Literal tells whether the token is text that must be taken as it stands and never parsed.
func (t Token) Literal() bool { return t.Kind == Quote || t.Kind == Code || t.Kind == Data }

type scanner struct {
	src  string
	pos  int
	line bool // nothing but space since the last newline
	vain int  // openings of blocks that closed nowhere; after a few no more are looked for
	out  []Token
}

// Tokenize splits a message. It never fails: what it can't name becomes a word or punctuation.
func Tokenize(src string) []Token {
	s := &scanner{src: src, line: true}
	for s.pos < len(s.src) {
		r, size := utf8.DecodeRuneInString(s.src[s.pos:])
		switch {
		case r == '\n':
			s.line = true
			s.pos += size
		case unicode.IsSpace(r) || r == utf8.RuneError:
			s.pos += size
		default:
			s.next(r, size)
			s.line = false
		}
	}
	return s.out
}

func (s *scanner) emit(t Token) {
	t.Line = s.line
	if t.Low == "" {
		t.Low = strings.ToLower(t.Text)
	}
	s.out = append(s.out, t)
	s.pos = t.End
}

func (s *scanner) next(r rune, size int) {
	rest := s.src[s.pos:]
	if s.line {
		if n := itemMark(rest); n > 0 {
			s.emit(Token{Kind: Item, Text: strings.TrimSpace(rest[:n]), Start: s.pos, End: s.pos + n})
			return
		}
	}
	switch r {
	case '"', '“', '”', '„', '«', '`', '\'', '‘':
		if s.quoted(r, size) {
			return
		}
	case '{', '[', '<':
		n := 0
		if s.vain < 40 {
			if n = dataBlock(rest); n == 0 {
				s.vain++
			}
		}
		if n > 0 {
			kind := Data
			if r == '[' && !strings.ContainsAny(rest[:n], `"{`) {
				kind = Redacted
			}
			s.emit(Token{Kind: kind, Text: rest[:n], Start: s.pos, End: s.pos + n})
			return
		}
		if strings.HasPrefix(rest, "{{") {
			if end := strings.Index(rest, "}}"); end > 0 && end < 60 {
				s.emit(Token{Kind: Data, Text: rest[:end+2], Start: s.pos, End: s.pos + end + 2})
				return
			}
		}
	case '•', '*':
		if n := len(rest) - len(strings.TrimLeft(rest, "•*")); n >= 3 {
			s.emit(Token{Kind: Redacted, Text: rest[:n], Start: s.pos, End: s.pos + n})
			return
		}
	}
	if wordStart(r, rest) {
		s.word()
		return
	}
	t := Token{Kind: Punct, Text: string(r), Start: s.pos, End: s.pos + size}
	switch r {
	case '&', '+':
		t.Kind, t.Low = Word, "and"
	case '—', '–':
		t.Low = "-"
	case '…':
		t.Low = "."
	case '’':
		t.Low = "'"
	}
	s.emit(t)
}

// itemMark is the length of "1) ", "2. ", "- ", "* " and the like at the start of a line.
func itemMark(s string) int {
	i := 0
	for i < len(s) && i < 3 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	switch {
	case i > 0 && i < len(s) && (s[i] == ')' || s[i] == '.'):
		i++
	case i == 0 && (strings.HasPrefix(s, "- ") || strings.HasPrefix(s, "* ")):
		i = 1
	case strings.HasPrefix(s, "• "):
		i = len("•")
	default:
		return 0
	}
	if i < len(s) && s[i] == ' ' {
		return i + 1
	}
	return 0
}

// quoted takes a quotation or a code span; false when the mark opens none.
func (s *scanner) quoted(open rune, size int) bool {
	rest := s.src[s.pos:]
	kind, closers := Quote, string(open)
	switch open {
	case '`':
		kind = Code
		if strings.HasPrefix(rest, "```") {
			body := rest[3:]
			if end := strings.Index(body, "```"); end >= 0 {
				text := body[:end]
				if nl := strings.IndexByte(text, '\n'); nl >= 0 && !strings.ContainsAny(text[:nl], " \t") {
					text = text[nl+1:]
				}
				s.emit(Token{Kind: Code, Text: strings.TrimSuffix(text, "\n"), Start: s.pos, End: s.pos + 3 + end + 3})
				return true
			}
		}
	case '“', '„':
		closers = "”“\""
	case '«':
		closers = "»"
	case '‘', '\'':
		closers = "'’"
		if s.pos > 0 { // an apostrophe inside or behind a word opens nothing
			if before, _ := utf8.DecodeLastRuneInString(s.src[:s.pos]); !unicode.IsSpace(before) && !strings.ContainsRune("([:=,", before) {
				return false
			}
		}
	}
	for i := size; i < len(rest); {
		r, n := utf8.DecodeRuneInString(rest[i:])
		if r == '\\' && open == '"' && i+1 < len(rest) {
			i += 2
			continue
		}
		if strings.ContainsRune(closers, r) && (open != '\'' && open != '‘' || endsQuote(rest[i+n:])) {
			text := rest[size:i]
			if open == '"' {
				text = strings.ReplaceAll(text, `\"`, `"`)
			}
			s.emit(Token{Kind: kind, Text: text, Start: s.pos, End: s.pos + i + n})
			return true
		}
		i += n
	}
	return false
}

// endsQuote tells whether a single quotation mark before rest closes a quotation rather than being an apostrophe.
func endsQuote(rest string) bool {
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// dataBlock is the length of a JSON object or array, a tagged block or a bracketed mark at the start of s; 0 for none.
func dataBlock(s string) int {
	if s[0] == '<' {
		end := strings.IndexByte(s, '>')
		if end < 2 || !isLetter(s[1]) {
			return 0
		}
		name := s[1:end]
		if sp := strings.IndexAny(name, " \t\n"); sp >= 0 {
			name = name[:sp]
		}
		closing := "</" + name + ">"
		if at := strings.LastIndex(s, closing); at > 0 {
			return at + len(closing)
		}
		return 0
	}
	depth, inText, plain := 0, false, true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText, plain = !inText, false
		case inText:
		case c == '{' || c == '[':
			depth++
		case c == ':':
			plain = false
		case c == '}' || c == ']':
			depth--
			if depth > 0 {
				continue
			}
			if strings.HasPrefix(s, "{{") || plain && s[0] == '{' && i > 1 || plain && s[0] == '[' && i > 60 {
				return 0
			}
			return i + 1
		case c == '\n' && s[0] == '[' && plain:
			return 0
		}
	}
	if inText && !plain && s[0] == '{' { // an object that never ends is data to the end
		return len(s)
	}
	return 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func wordStart(r rune, rest string) bool {
	if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '$' || r == '#' || r == '@' {
		return true
	}
	if (r == '/' || r == '.' || r == '~') && len(rest) > 1 {
		n, _ := utf8.DecodeRuneInString(rest[1:])
		return unicode.IsLetter(n) || unicode.IsDigit(n) || n == '/' || n == '.' || n == '_'
	}
	if r == '-' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9' {
		return true
	}
	return unicode.IsMark(r)
}

// wordEnd finds where the run of characters at the start of s ends; in a value (after =, or in a URL) more may belong.
func wordEnd(s string) int {
	value := false
	for i, r := range s {
		switch {
		case unicode.IsSpace(r) || r == '`' || r == '"' || r == '“' || r == '”' || r == '«' || r == '»':
			return i
		case r == '=' && i > 0:
			value = true
		case strings.HasPrefix(s[i:], "://"):
			value = true
		case r == '{' && i > 0 && s[i-1] == '$':
			value = true
		case !value && strings.ContainsRune(",;!?()[]{}<>…—–&*|", r):
			return i
		}
	}
	return len(s)
}

// RawWord is the run of non-space characters at a byte offset of src without trailing sentence punctuation: a value as
// somebody typed it.
func RawWord(src string, at int) string {
	s := src[at:]
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimRight(s, ",;.")
	return strings.Trim(s, "\"'`“”‘’")
}
