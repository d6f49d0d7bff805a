package skill

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	documentName   = "SKILL.md"
	maxName        = 64   // code points, by the specification
	maxDescription = 1024 // code points
	maxCompat      = 500  // code points
	maxNameBytes   = 240  // what file systems allow a folder, less room for a temporary suffix
)

// FolderName is the name under which a skill is kept and installed: s in NFKC and lower case, with one hyphen for every run
// of characters other than letters and digits, cut to what the specification and file systems allow. It is "" when nothing
// is left. A name that follows the specification is its own folder name.
func FolderName(s string) string {
	var b strings.Builder
	hyphen := false
	n := 0
	for _, r := range strings.ToLower(norm.NFKC.String(strings.TrimSpace(s))) {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
			hyphen = b.Len() > 0
			continue
		}
		need := 1
		if hyphen {
			need = 2
		}
		if n+need > maxName || b.Len()+need-1+utf8.RuneLen(r) > maxNameBytes {
			break
		}
		if hyphen {
			b.WriteByte('-')
			hyphen = false
		}
		b.WriteRune(r)
		n += need
	}
	return b.String()
}
