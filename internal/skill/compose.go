package skill

import (
	"fmt"
	"strings"
	"unicode"

	"yardmaster/internal/errs"
)

// compose writes a valid SKILL.md.
func compose(name, description, body string) []byte {
	if strings.TrimSpace(body) == "" {
		body = fmt.Sprintf("# %s\n\n%s", name, description)
	}
	return fmt.Appendf(nil, "---\nname: %s\ndescription: %s\n---\n\n%s\n", scalarText(name), scalarText(description), strings.Trim(body, "\n"))
}

// scalarText writes a text as a YAML value: plain where every parser reads it back as it is, in quotes elsewhere.
func scalarText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, s)
	if !strings.Contains(s, "---") && !strings.ContainsAny(s, "\n\t\"'\\") {
		v, used, err := readYAML("k: " + s + "\n")
		if err == nil && used == (constructs{documents: 1}) && v.kind == mapping && len(v.fields) == 1 {
			if f := v.fields[0]; f.val.kind == scalar && f.val.plain && f.val.text == s {
				return s
			}
		}
	}
	return strings.ReplaceAll(quote(s), "---", `-\u002d-`) // some parsers end the frontmatter at any ---
}

// redescribe replaces the description in a SKILL.md and leaves everything else as it is.
func redescribe(data []byte, description string) ([]byte, error) {
	old, err := Parse(data)
	if err != nil {
		return nil, err
	}
	raw, _, err := frontmatter(data)
	if err != nil {
		return nil, err
	}
	changed, ok := replaceField(raw, "description", scalarText(description))
	if ok {
		whole := normalise(data)
		at := strings.Index(whole, raw)
		data = []byte(whole[:at] + changed + whole[at+len(raw):])
		d, err := Parse(data)
		ok = err == nil && d.Name == old.Name && d.Body == old.Body && d.Description == strings.TrimSpace(description)
	}
	if !ok {
		return nil, errs.BadField("description", "the frontmatter of SKILL.md is written so that the description can't be replaced alone; send the whole file in files")
	}
	return data, nil
}

// replaceField gives a top-level field of a block map another value. Comments between it and the next field go with it.
func replaceField(raw, key, text string) (string, bool) {
	v, _, err := readYAML(raw)
	if err != nil {
		quoted, _ := quoteValues(raw)
		if v, _, err = readYAML(quoted); err != nil || strings.Count(quoted, "\n") != strings.Count(raw, "\n") {
			return "", false
		}
	}
	lines := strings.SplitAfter(raw, "\n")
	for i, f := range v.fields {
		if f.key != key {
			continue
		}
		if i > 0 && v.fields[i-1].line == f.line || i+1 < len(v.fields) && v.fields[i+1].line == f.line {
			return "", false // a map in brackets
		}
		end := len(lines) + 1
		if i+1 < len(v.fields) {
			end = v.fields[i+1].line
		}
		var b strings.Builder
		for _, l := range lines[:f.line-1] {
			b.WriteString(l)
		}
		b.WriteString(strings.Repeat(" ", max(f.col-1, 0)) + key + ": " + text + "\n")
		if end <= len(lines) {
			for _, l := range lines[end-1:] {
				b.WriteString(l)
			}
		}
		return b.String(), true
	}
	return "", false
}

// rebody replaces the Markdown of a SKILL.md.
func rebody(data []byte, body string) ([]byte, error) {
	raw, _, err := frontmatter(data)
	if err != nil {
		return nil, err
	}
	return []byte("---\n" + raw + "---\n\n" + strings.Trim(body, "\n") + "\n"), nil
}
