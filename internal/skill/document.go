package skill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"yardmaster/internal/errs"
)

// Document is a SKILL.md as a client uses it.
type Document struct {
	Name          string // as written, trimmed; may be empty or unfit for a folder's name
	Description   string // trimmed, never empty
	License       string
	Compatibility string
	AllowedTools  string            // tools separated by spaces; a request, not a grant
	Metadata      map[string]string // values that are not text are written as JSON
	Body          string            // the Markdown after the frontmatter
	Warnings      []string          // what was read differently from how it is written, each with its mend
}

// SecretNames lists the secrets that the skill needs: the words of metadata's "requires-secrets".
func (d *Document) SecretNames() []string {
	return strings.Fields(strings.ReplaceAll(d.Metadata["requires-secrets"], ",", " "))
}

const maxDocument = 1 << 20 // bytes of SKILL.md; published ones have up to some tens of kilobytes

// Parse reads a SKILL.md leniently: what a person would understand is understood, with a warning that says how to mend it.
// The error is Invalid or TooLarge; it says what keeps the skill from being used. Deviations from the specification that
// do no harm are Validate's to find.
func Parse(data []byte) (*Document, error) {
	raw, d, err := frontmatter(data)
	if err != nil {
		return nil, err
	}
	top, _, yamlErr := readYAML(raw)
	if yamlErr != nil {
		quoted, names := quoteValues(raw)
		retried, _, err := readYAML(quoted)
		if len(names) == 0 || err != nil {
			return nil, badDocument("the frontmatter is not readable YAML: %s", frontmatterLine(yamlErr))
		}
		top = retried
		d.warn("The YAML can't be read as it is written (%s). It was read with quotes around %s; put the value in double quotes.",
			frontmatterLine(yamlErr), strings.Join(names, " and "))
	}
	if top.kind != mapping {
		return nil, badDocument("the frontmatter must be a map of fields; begin it with the lines \"name: …\" and \"description: …\"")
	}
	for _, f := range top.fields {
		switch f.key {
		case "name":
			d.Name = d.text(f)
		case "description":
			d.Description = d.text(f)
		case "license":
			d.License = d.text(f)
		case "compatibility":
			d.Compatibility = d.text(f)
		case "allowed-tools":
			d.AllowedTools = d.tools(f)
		case "metadata":
			d.metadata(f)
		}
	}
	if d.Description == "" {
		return nil, badDocument("the description is missing or empty; add a line \"description: what the skill does and when to use it\" to the frontmatter")
	}
	return d, nil
}

func badDocument(format string, args ...any) error {
	return errs.BadField(documentName, format, args...)
}

func (d *Document) warn(format string, args ...any) {
	d.Warnings = append(d.Warnings, fmt.Sprintf(format, args...))
}

// frontmatter splits a SKILL.md into its YAML text and its body. The closing line is one that holds nothing but "---".
func frontmatter(data []byte) (string, *Document, error) {
	d := &Document{}
	if len(data) > maxDocument {
		return "", d, errs.New(errs.TooLarge, "%s has %d bytes; at most %d are allowed. Move parts of it into files that it refers to.", documentName, len(data), maxDocument)
	}
	if !utf8.Valid(data) {
		return "", d, badDocument("it is not UTF-8 text; save it as UTF-8")
	}
	text := normalise(data)
	if rest, ok := strings.CutPrefix(text, "\ufeff"); ok {
		text = rest
		d.warn("SKILL.md begins with a byte order mark; save it as UTF-8 without one.")
	}
	if rest := strings.TrimLeft(text, " \t\n"); len(rest) < len(text) && strings.HasPrefix(rest, "---") {
		text = rest
		d.warn("SKILL.md begins with blank space; make \"---\" the first line.")
	}
	first, rest, _ := strings.Cut(text, "\n")
	if strings.TrimRight(first, " \t") != "---" {
		return "", d, badDocument("it must begin with YAML frontmatter: a line \"---\", the fields name and description, and another line \"---\"")
	}
	for at := 0; at <= len(rest); {
		line, _, more := strings.Cut(rest[at:], "\n")
		if strings.TrimRight(line, " \t") == "---" {
			d.Body = strings.Trim(rest[min(at+len(line)+1, len(rest)):], "\n")
			return rest[:at], d, nil
		}
		if !more {
			break
		}
		at += len(line) + 1
	}
	return "", d, badDocument("the frontmatter is not closed; put a line \"---\" after its last field")
}

// normalise makes the line ends of a text "\n".
func normalise(data []byte) string {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return string(bytes.ReplaceAll(data, []byte("\r"), []byte("\n")))
}

// frontmatterLine tells a YAML error with the line of SKILL.md and not that of the frontmatter.
func frontmatterLine(err error) string {
	var s *syntaxError
	if errors.As(err, &s) {
		return fmt.Sprintf("line %d: %s", s.line+1, s.msg)
	}
	return err.Error()
}

// text is the value of a field that should be one string.
func (d *Document) text(f field) string {
	switch f.val.kind {
	case scalar:
		return strings.TrimSpace(f.val.text)
	case list:
		d.warn("The field %s is a list; write it as one text.", f.key)
		return strings.Join(flatten(f.val), ", ")
	case mapping:
		d.warn("The field %s is a map and was left out; write it as one text in quotes.", f.key)
	}
	return ""
}

func (d *Document) tools(f field) string {
	if f.val.kind == list {
		d.warn("allowed-tools is a list; write it as one line with spaces: allowed-tools: %s", strings.Join(flatten(f.val), " "))
		return strings.Join(flatten(f.val), " ")
	}
	return d.text(f)
}

func (d *Document) metadata(f field) {
	switch f.val.kind {
	case null:
		return
	case mapping:
	default:
		d.warn("metadata must be a map of names to texts and was left out; write it as indented lines \"key: value\".")
		return
	}
	d.Metadata = make(map[string]string, len(f.val.fields))
	for _, m := range f.val.fields {
		switch m.val.kind {
		case scalar:
			d.Metadata[m.key] = m.val.text
		case null:
			d.Metadata[m.key] = ""
		default:
			d.warn("metadata.%s is not a text and is kept as JSON; nested settings belong in a file of their own that metadata names.", m.key)
			b, err := json.Marshal(plain(m.val))
			if err == nil { // maps, lists and strings always marshal
				d.Metadata[m.key] = string(b)
			}
		}
	}
}

func flatten(v value) []string {
	var out []string
	for _, item := range v.items {
		if item.kind == scalar {
			out = append(out, strings.TrimSpace(item.text))
		}
	}
	return out
}

// plain turns a value into what encoding/json writes.
func plain(v value) any {
	switch v.kind {
	case list:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			out[i] = plain(item)
		}
		return out
	case mapping:
		out := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			out[f.key] = plain(f.val)
		}
		return out
	case null:
		return nil
	}
	return v.text
}

var topLevelText = regexp.MustCompile(`^(name|description|license|compatibility|allowed-tools):[ \t]+(\S.*)$`)

// quoteValues puts quotes around the unquoted values of the top-level text fields. Its use is for YAML that could not be
// read, where an unquoted colon in the description is the usual reason. It answers the names of the fields it changed.
func quoteValues(src string) (string, []string) {
	lines := strings.Split(src, "\n")
	var out, names []string
	for i := 0; i < len(lines); i++ {
		m := topLevelText.FindStringSubmatch(lines[i])
		if m == nil || strings.ContainsRune(`|>`, rune(m[2][0])) || properlyQuoted(m[2]) {
			out = append(out, lines[i])
			continue
		}
		text := strings.TrimSpace(m[2])
		for i+1 < len(lines) && (strings.HasPrefix(lines[i+1], " ") || strings.HasPrefix(lines[i+1], "\t")) {
			i++
			text += " " + strings.TrimSpace(lines[i])
		}
		out = append(out, m[1]+": "+quote(text))
		names = append(names, m[1])
	}
	return strings.Join(out, "\n"), names
}

// properlyQuoted tells whether a value is already one quoted text, or opens one that goes on in the next lines.
func properlyQuoted(s string) bool {
	s = strings.TrimSpace(s)
	q := s[0]
	if q != '"' && q != '\'' {
		return false
	}
	end := strings.IndexByte(s[1:], q)
	return end < 0 || end == len(s)-2 || s[end+2] == q
}

// quote writes a text as a double-quoted YAML scalar, which JSON's strings are.
func quote(s string) string {
	if utf8.ValidString(s) {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if enc.Encode(s) == nil {
			return strings.TrimSuffix(b.String(), "\n")
		}
	}
	return strconv.QuoteToASCII(s)
}
