package secret

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"yardmaster/internal/errs"
)

// Value is a secret's value on its way in. However it is printed, logged or encoded, a placeholder appears instead.
type Value string

const placeholder = "[secret]"

// Format implements fmt.Formatter for every verb.
func (Value) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(placeholder)) } // fmt keeps the error

// String implements fmt.Stringer.
func (Value) String() string { return placeholder }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return placeholder }

// MarshalJSON implements json.Marshaler.
func (Value) MarshalJSON() ([]byte, error) { return []byte(`"` + placeholder + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// UnmarshalText implements encoding.TextUnmarshaler, which JSON uses as well.
func (v *Value) UnmarshalText(text []byte) error {
	*v = Value(text)
	return nil
}

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(placeholder) }

// reveal is the value itself.
func (v Value) reveal() string { return string(v) }

const (
	maxValue = 64 << 10 // bytes
	maxHosts = 50
)

var (
	nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	hostForm = regexp.MustCompile(`^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[0-9]{1,5})?$`)
)

// reservedNames are variables by which programs are found and started, which a secret must not take over.
var reservedNames = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG", "TERM", "IFS", "ENV", "BASH_ENV", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS"}

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return errs.BadField("name", "must be the name of an environment variable: letters, digits and _, not a digit first, at most 128 characters, such as STRIPE_KEY")
	}
	if slices.Contains(reservedNames, name) || strings.HasPrefix(name, "LD_") {
		return errs.BadField("name", "%s steers how programs are started, so no secret can have that name", name)
	}
	return nil
}

// check says what is wrong with a value without showing it.
func (v Value) check() error {
	switch {
	case v == "":
		return errs.BadField("value", "must not be empty")
	case len(v) > maxValue:
		return errs.New(errs.TooLarge, "The value has %d bytes; at most %d are allowed.", len(v), maxValue)
	case strings.ContainsRune(string(v), 0):
		return errs.BadField("value", "must not hold a NUL character, because an environment variable can't")
	}
	return nil
}

// checkHosts puts host names into their usual form.
func checkHosts(hosts []string) ([]string, error) {
	if len(hosts) > maxHosts {
		return nil, errs.BadField("hosts", "has %d entries; at most %d are allowed", len(hosts), maxHosts)
	}
	out := []string{}
	for i, h := range hosts {
		h = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(h)), ".")
		if len(h) > 255 || !hostForm.MatchString(h) {
			return nil, errs.BadField(fmt.Sprintf("hosts.%d", i), "must be a host name such as api.stripe.com or *.example.com, without https:// or a path")
		}
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out, nil
}
