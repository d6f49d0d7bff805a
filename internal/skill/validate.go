package skill

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Level is how much a finding weighs.
type Level string

// The levels.
const (
	Deviation Level = "deviation" // the text of the specification says otherwise
	Advice    Level = "advice"    // allowed, and better avoided
)

// Finding is one thing that a strict reader of SKILL.md notices.
type Finding struct {
	Level  Level  `json:"level"`
	Field  string `json:"field,omitempty"` // of the frontmatter; "" for the file as a whole
	Line   int    `json:"line,omitempty"`  // of SKILL.md, from 1
	Detail string `json:"detail"`          // one sentence that names the mend
}

// Verdict is the outcome of a strict validation. It is independent of whether the skill can be installed.
type Verdict struct {
	Valid     bool      `json:"valid"` // no deviation from the specification
	Findings  []Finding `json:"findings"`
	Reference Reference `json:"reference"`
}

// Reference is what the reference validator (skills-ref 0.1.0) says of the same file. It takes some of what the
// specification forbids, and refuses some of what it allows.
type Reference struct {
	Valid    bool     `json:"valid"`
	Problems []string `json:"problems"`
}

var specified = []string{"allowed-tools", "compatibility", "description", "license", "metadata", "name"}

// Validate compares a SKILL.md with the specification (agentskills.io, 2026-08), for a skill in a folder of the given
// name. file is the name of the file as it is spelled in the folder.
func Validate(data []byte, file, folder string) Verdict {
	v := Verdict{Findings: []Finding{}, Reference: reference(data, file, folder)}
	s := strict{v: &v, folder: folder}
	if file != documentName {
		s.bad("", 0, "The file must be named SKILL.md and not %s; most clients find no other spelling.", file)
	}
	s.document(data)
	slices.SortStableFunc(v.Findings, func(a, b Finding) int { return a.Line - b.Line })
	v.Valid = !slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Level == Deviation })
	return v
}

type strict struct {
	v      *Verdict
	folder string
}

func (s *strict) bad(field string, line int, format string, args ...any) {
	s.v.Findings = append(s.v.Findings, Finding{Deviation, field, line, fmt.Sprintf(format, args...)})
}

func (s *strict) advise(field string, line int, format string, args ...any) {
	s.v.Findings = append(s.v.Findings, Finding{Advice, field, line, fmt.Sprintf(format, args...)})
}

func (s *strict) document(data []byte) {
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		s.bad("", 1, "The file begins with a byte order mark; save it as UTF-8 without one.")
	} else if len(data) > 0 && bytes.IndexByte([]byte(" \t\r\n"), data[0]) >= 0 {
		s.bad("", 1, "The first line must be \"---\"; remove the blank space before it.")
	}
	raw, d, err := frontmatter(data)
	if err != nil {
		s.bad("", 0, "%s.", capital(strings.TrimPrefix(err.Error(), documentName+": ")))
		return
	}
	top, used, err := readYAML(raw)
	if err != nil {
		s.bad("", 0, "The frontmatter is not readable YAML: %s.", frontmatterLine(err))
		return
	}
	if used.documents > 1 {
		s.bad("", 0, "The frontmatter holds several YAML documents; keep one.")
	}
	if top.kind != mapping {
		s.bad("", 2, "The frontmatter must be a map of fields such as \"name: …\".")
		return
	}
	seen := map[string]bool{}
	for _, f := range top.fields {
		seen[f.key] = true
		s.field(f, f.line+1)
	}
	for _, key := range []string{"name", "description"} {
		if !seen[key] {
			s.bad(key, 0, "The field %s is missing; add it to the frontmatter.", key)
		}
	}
	if lines := strings.Count(d.Body, "\n") + 1; lines > 500 {
		s.advise("", 0, "The body has %d lines; under 500 is advised. Move details into references/ and name them in the body.", lines)
	}
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func (s *strict) field(f field, line int) {
	if !slices.Contains(specified, f.key) {
		s.bad(f.key, line, "The field %s is not part of the specification; move it under metadata.", f.key)
		return
	}
	switch f.key {
	case "metadata":
		s.metadata(f, line)
		return
	case "license":
		if f.val.kind != scalar {
			s.bad(f.key, line, "The field license must be one text, such as \"Apache-2.0\".")
		}
		return
	}
	if f.val.kind != scalar && f.val.kind != null {
		mend := "write it as one text"
		if f.key == "allowed-tools" {
			mend = "write the tools in one line with spaces"
		}
		s.bad(f.key, line, "The field %s must be a text; %s.", f.key, mend)
		return
	}
	text := f.val.text
	n := utf8.RuneCountInString(text)
	switch f.key {
	case "name":
		s.name(strings.TrimSpace(text), line)
	case "description":
		if strings.TrimSpace(text) == "" {
			s.bad(f.key, line, "The description must not be empty; say what the skill does and when to use it.")
		}
		if n > maxDescription {
			s.bad(f.key, line, "The description has %d characters; at most 1,024 are allowed.", n)
		}
		if strings.ContainsAny(text, "<>") {
			s.advise(f.key, line, "The description holds < or >, which some services refuse because the text becomes part of a prompt.")
		}
	case "compatibility":
		if n == 0 || n > maxCompat {
			s.bad(f.key, line, "The field compatibility has %d characters; it needs 1 to 500, or leave the field out.", n)
		}
	}
}

func (s *strict) name(name string, line int) {
	if name == "" {
		s.bad("name", line, "The name must not be empty.")
		return
	}
	if n := utf8.RuneCountInString(name); n > maxName {
		s.bad("name", line, "The name has %d characters; at most 64 are allowed.", n)
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		s.bad("name", line, "The name %q may hold only lower-case letters a to z, digits and hyphens.", name)
	}
	if strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		s.bad("name", line, "The name must not begin or end with a hyphen.")
	}
	if strings.Contains(name, "--") {
		s.bad("name", line, "The name must not hold two hyphens in a row.")
	}
	if name != s.folder {
		s.bad("name", line, "The name is %q and the folder is %q; they must be equal.", name, s.folder)
	}
	for _, word := range []string{"anthropic", "claude"} {
		if strings.Contains(name, word) {
			s.advise("name", line, "The hosted Skills API of Claude refuses names with the word %q.", word)
		}
	}
}

func (s *strict) metadata(f field, line int) {
	if f.val.kind != mapping {
		s.bad(f.key, line, "The field metadata must be a map of names to texts; write it as indented lines \"key: value\".")
		return
	}
	for _, m := range f.val.fields {
		if m.val.kind != scalar && m.val.kind != null {
			s.bad(f.key, m.line+1, "metadata.%s must be a text; put nested settings into a file of their own.", m.key)
		}
	}
}

// reference gives the verdict of the reference validator by its own rules: see skills-ref 0.1.0, validator.py and
// parser.py, with StrictYAML as its parser.
func reference(data []byte, file, folder string) Reference {
	r := Reference{Problems: []string{}}
	bad := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	r.check(data, file, folder, bad)
	r.Valid = len(r.Problems) == 0
	return r
}

func (r *Reference) check(data []byte, file, folder string, bad func(string, ...any)) {
	switch {
	case file != documentName && file != "skill.md":
		bad("It finds no SKILL.md.")
		return
	case !utf8.Valid(data):
		bad("It stops at bytes that are not UTF-8.")
		return
	}
	text := normalise(data)
	if !strings.HasPrefix(text, "---") {
		bad("The first three characters must be \"---\".")
		return
	}
	// It splits at the bare characters, wherever they stand.
	parts := strings.SplitN(text, "---", 3)
	if len(parts) < 3 {
		bad("The frontmatter is not closed by \"---\".")
		return
	}
	top, used, err := readYAML(parts[1])
	if err != nil {
		bad("The frontmatter is not readable YAML: %v.", err)
		return
	}
	for _, c := range []struct {
		on   bool
		what string
	}{
		{used.flow, "lists and maps in brackets"}, {used.anchor, "anchors"}, {used.tag, "tags"},
		{used.merge, "merge keys"}, {used.documents > 1, "several documents"}, {used.tab, "tabs outside of quotes"},
		{used.control, "control characters"}, {used.reserved, "unquoted values that begin with , ] or }"},
		{used.unindented, "values that are not indented under their key"},
	} {
		if c.on {
			bad("Its YAML parser refuses %s.", c.what)
			return
		}
	}
	if top.kind != mapping {
		bad("The frontmatter must be a map.")
		return
	}
	fields := map[string]value{}
	var extra []string
	for _, f := range top.fields {
		fields[f.key] = f.val
		if !slices.Contains(specified, f.key) {
			extra = append(extra, f.key)
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		bad("Only the six specified fields may be there, and not %s.", strings.Join(extra, ", "))
	}
	if v, ok := fields["name"]; !ok {
		bad("The field name is missing.")
	} else {
		referenceName(v, folder, bad)
	}
	if v, ok := fields["description"]; !ok {
		bad("The field description is missing.")
	} else if strings.TrimSpace(v.text) == "" {
		bad("The description must be a text that is not blank.")
	} else if n := utf8.RuneCountInString(v.text); n > maxDescription {
		bad("The description has %d characters, more than 1,024.", n)
	}
	if v := fields["compatibility"]; v.kind == list || v.kind == mapping {
		bad("The field compatibility must be a text.")
	} else if n := utf8.RuneCountInString(v.text); n > maxCompat {
		bad("The field compatibility has %d characters, more than 500.", n)
	}
}

func referenceName(v value, folder string, bad func(string, ...any)) {
	name := norm.NFKC.String(strings.TrimSpace(v.text))
	if name == "" {
		bad("The name must be a text that is not blank.")
		return
	}
	if n := utf8.RuneCountInString(name); n > maxName {
		bad("The name has %d characters, more than 64.", n)
	}
	if name != strings.ToLower(name) {
		bad("The name must be in lower case.")
	}
	if strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		bad("The name must not begin or end with a hyphen.")
	}
	if strings.Contains(name, "--") {
		bad("The name must not hold two hyphens in a row.")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
		bad("The name may hold only letters, digits and hyphens.")
	}
	if norm.NFKC.String(folder) != name {
		bad("The folder %q must have the skill's name.", folder)
	}
}
