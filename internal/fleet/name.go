package fleet

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"yardmaster/internal/errs"
	"yardmaster/internal/id"
)

const maxName = 63

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// checkName refuses what can't be an instance's name. Names are kept as they are written; their case makes no difference
// when they are compared. They have no spaces and no slashes, so that they fit into addresses and commands, and no shape
// of an id, so that a reference never means two things.
func checkName(field, name string) error {
	const form = "use letters, digits, - _ and . with a letter or digit at both ends"
	switch {
	case name == "":
		return errs.BadField(field, "must not be empty; leave it out to have a name made up")
	case utf8.RuneCountInString(name) > maxName:
		return errs.BadField(field, "has %d characters; at most %d are allowed", utf8.RuneCountInString(name), maxName)
	case !nameForm.MatchString(name):
		if s := suggestion(name); s != "" {
			return errs.BadField(field, "%q can't be a name; %s, such as %s", name, form, s)
		}
		return errs.BadField(field, "%q can't be a name; %s, such as web-1", name, form)
	case strings.HasPrefix(strings.ToLower(name), id.Instance+"_"):
		return errs.BadField(field, "%q looks like an id; choose a name that does not begin with %s_", name, id.Instance)
	}
	return nil
}

// suggestion is a name that is near to what was written, or "".
func suggestion(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_'):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxName {
			break
		}
	}
	return strings.Trim(b.String(), "-._")
}

// nameKey is what makes names equal.
func nameKey(name string) string { return strings.ToLower(name) }

// hostname is the name of an instance as a label of a domain name.
func hostname(name string) string {
	return strings.Trim(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "-")
}

var (
	adjectives = strings.Fields("amber bold brave bright calm clear clever cosy crisp deft eager early fair fleet fresh gentle glad golden keen kind light lively lucid mellow merry mild neat nimble proud quick quiet rapid ready sharp silver smart solid spry steady still sunny swift tidy trusty vivid warm wise witty")
	nouns      = strings.Fields("anchor badger beacon birch brook cedar comet condor crane delta ember falcon fern finch fjord gecko grove harbor heron island jetty kestrel lagoon lantern larch lynx maple marten meadow otter owl pebble pine plover quarry raven reef ridge robin sparrow spruce summit swan thistle tiller willow wren yarrow")
)

// inventName makes up a name that is not taken.
func inventName(taken func(name string) (bool, error)) (string, error) {
	for range 50 {
		name := pick(adjectives) + "-" + pick(nouns)
		used, err := taken(name)
		if err != nil || !used {
			return name, err
		}
	}
	return freeName("instance", taken)
}

func pick(words []string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil { // only when the system has no randomness left
		panic(err)
	}
	return words[n.Int64()]
}

// freeName answers the first of base, base-2, base-3 … that is not taken.
func freeName(base string, taken func(name string) (bool, error)) (string, error) {
	for i := 1; ; i++ {
		name, suffix := base, ""
		if i > 1 {
			suffix = fmt.Sprintf("-%d", i)
		}
		if over := len(name) + len(suffix) - maxName; over > 0 {
			name = strings.TrimRight(name[:len(name)-over], "-._")
		}
		name += suffix
		used, err := taken(name)
		if err != nil || !used {
			return name, err
		}
	}
}

const maxLabels = 64

var labelKey = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

// checkLabel refuses what can't be a label. Values are free but for what would make a selector ambiguous.
func checkLabel(field, key, value string) error {
	if !labelKey.MatchString(key) {
		return errs.BadField(field, "%q can't be the name of a label; use at most 63 letters, digits, - _ . and / with a letter or digit at both ends", key)
	}
	if utf8.RuneCountInString(value) > 63 {
		return errs.BadField(field+"."+key, "has %d characters; at most 63 are allowed", utf8.RuneCountInString(value))
	}
	for _, r := range value {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/@+", r) {
			return errs.BadField(field+"."+key, "%q can't be the value of a label; use letters, digits and - _ . : / @ +, such as staging", value)
		}
	}
	return nil
}

// mergeLabels changes labels as an update says: a nil value takes the label away.
func mergeLabels(field string, labels map[string]string, change map[string]*string) error {
	for key, value := range change {
		if value == nil {
			delete(labels, key)
			continue
		}
		if err := checkLabel(field, key, *value); err != nil {
			return err
		}
		labels[key] = *value
	}
	if len(labels) > maxLabels {
		return errs.BadField(field, "an instance may have at most %d labels", maxLabels)
	}
	return nil
}
