package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
)

// Config is what may be set of an instance. Secrets do not belong here: they are granted.
type Config struct {
	Model        string            `json:"model"`        // of the instance's agent; "" is the platform's default
	Instructions string            `json:"instructions"` // of the instance's agent
	Environment  map[string]string `json:"environment"`  // variables of every command
	Limits       Limits            `json:"limits"`
	EgressAllow  []string          `json:"egressAllow"` // the hosts that may be reached; none by default
}

// Limits bounds an instance.
type Limits struct {
	MemoryMB   int `json:"memoryMb"`   // of all processes together, MiB
	Processes  int `json:"processes"`  // processes and threads together
	DiskMB     int `json:"diskMb"`     // in the home folder, MiB
	CPUSeconds int `json:"cpuSeconds"` // of one process
}

// ConfigChange is a change of a config; what it leaves out stays.
type ConfigChange struct {
	Model        *string            `json:"model,omitempty" doc:"The model of the instance's agent, such as anthropic/claude-sonnet-4-5; empty for the platform's default." maxLen:"200"`
	Instructions *string            `json:"instructions,omitempty" doc:"What the instance's agent is told to be and do, such as: You are a careful librarian." maxLen:"65536"`
	Environment  map[string]*string `json:"environment,omitempty" doc:"Environment variables to set, such as {\"LOG_LEVEL\":\"debug\"}; null takes a variable away. No secrets: grant those instead."`
	Limits       *LimitsChange      `json:"limits,omitempty" doc:"Limits to set, such as {\"memoryMb\":512}; those left out stay."`
	EgressAllow  *[]string          `json:"egressAllow,omitempty" doc:"The hosts that the instance may reach, such as api.github.com or *.example.com. The list replaces the one before; an empty list shuts the network." max:"200"`
}

// LimitsChange is a change of limits; what it leaves out stays.
type LimitsChange struct {
	MemoryMB   *int `json:"memoryMb,omitempty" doc:"Memory of all processes together, in MiB, such as 512." min:"16" max:"65536"`
	Processes  *int `json:"processes,omitempty" doc:"Processes and threads together, such as 256." min:"8" max:"32768"`
	DiskMB     *int `json:"diskMb,omitempty" doc:"Size of the home folder, in MiB, such as 1024." min:"16" max:"1048576"`
	CPUSeconds *int `json:"cpuSeconds,omitempty" doc:"Processor seconds of one process, such as 600." min:"1" max:"86400"`
}

// UpdateConfigIn is the input of UpdateConfig.
type UpdateConfigIn struct {
	ID       string `json:"id" doc:"The instance: its id or name." ref:"instance"`
	Revision *int64 `json:"revision,omitempty" doc:"The revision that the change is meant for; when the config has another one by now, nothing is changed." min:"1"`
	ConfigChange
}

// ConfigOut is a config and its revision.
type ConfigOut struct {
	Config   Config `json:"config"`
	Revision int64  `json:"revision"`
	Note     string `json:"note,omitempty"` // when the change takes effect, if not at once
}

func defaultConfig() Config {
	var c Config
	c.fill()
	return c
}

// fill replaces what is missing by what holds.
func (c *Config) fill() {
	if c.Environment == nil {
		c.Environment = map[string]string{}
	}
	if c.EgressAllow == nil {
		c.EgressAllow = []string{}
	}
	d := sandbox.Limits{MemoryMB: c.Limits.MemoryMB, Processes: c.Limits.Processes, DiskMB: c.Limits.DiskMB, CPUSeconds: c.Limits.CPUSeconds}.WithDefaults()
	c.Limits = Limits{MemoryMB: d.MemoryMB, Processes: d.Processes, DiskMB: d.DiskMB, CPUSeconds: d.CPUSeconds}
}

func (c Config) sandboxLimits() sandbox.Limits {
	return sandbox.Limits{MemoryMB: c.Limits.MemoryMB, Processes: c.Limits.Processes, DiskMB: c.Limits.DiskMB, CPUSeconds: c.Limits.CPUSeconds}.WithDefaults()
}

const (
	maxEnvironment      = 500
	maxEnvironmentBytes = 96 << 10 // well below what the kernel takes for arguments and environment together
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// apply makes the change to a copy of c, or says all that is wrong with it. prefix is put before the names of fields.
func (c Config) apply(ch ConfigChange, prefix string) (Config, error) {
	var bad []errs.Field
	wrong := func(field, format string, args ...any) {
		bad = append(bad, errs.Field{Path: prefix + field, Detail: fmt.Sprintf(format, args...)})
	}
	if ch.Model != nil {
		if strings.ContainsFunc(*ch.Model, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) || len(*ch.Model) > 200 {
			wrong("model", "%q can't be the name of a model; write it like provider/name, without spaces", *ch.Model)
		}
		c.Model = *ch.Model
	}
	if ch.Instructions != nil {
		if len(*ch.Instructions) > 64<<10 || !utf8.ValidString(*ch.Instructions) {
			wrong("instructions", "must be plain text of at most 64 KiB")
		}
		c.Instructions = *ch.Instructions
	}
	c.Environment = maps.Clone(c.Environment)
	for _, name := range slices.Sorted(maps.Keys(ch.Environment)) {
		value := ch.Environment[name]
		switch {
		case !envName.MatchString(name):
			wrong("environment", "%q can't be the name of a variable; use letters, digits and _, not beginning with a digit, such as LOG_LEVEL", name)
		case value == nil:
			delete(c.Environment, name)
		case strings.ContainsRune(*value, 0):
			wrong("environment."+name, "must not hold a NUL character")
		default:
			c.Environment[name] = *value
		}
	}
	size := 0
	for name, value := range c.Environment {
		size += len(name) + len(value) + 2
	}
	if len(c.Environment) > maxEnvironment || size > maxEnvironmentBytes {
		wrong("environment", "has %d variables of %d bytes together; at most %d of %d bytes are allowed; put large values into files", len(c.Environment), size, maxEnvironment, maxEnvironmentBytes)
	}
	if l := ch.Limits; l != nil {
		set := func(field string, dst, v *int, low, high int, unit string) {
			if v == nil {
				return
			}
			if *v < low || *v > high {
				wrong("limits."+field, "must be from %d to %d%s, not %d", low, high, unit, *v)
				return
			}
			*dst = *v
		}
		set("memoryMb", &c.Limits.MemoryMB, l.MemoryMB, 16, 65536, " MiB")
		set("processes", &c.Limits.Processes, l.Processes, 8, 32768, "")
		set("diskMb", &c.Limits.DiskMB, l.DiskMB, 16, 1<<20, " MiB")
		set("cpuSeconds", &c.Limits.CPUSeconds, l.CPUSeconds, 1, 86400, "")
	}
	if ch.EgressAllow != nil {
		hosts := []string{}
		for i, text := range *ch.EgressAllow {
			host, problem := checkHost(text)
			if problem != "" {
				wrong(fmt.Sprintf("egressAllow.%d", i), "%q %s", text, problem)
			} else if !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
		if len(hosts) > 200 {
			wrong("egressAllow", "has %d hosts; at most 200 are allowed", len(hosts))
		}
		c.EgressAllow = hosts
	}
	return c, errs.BadFields(bad)
}

var hostForm = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

// checkHost answers a host of an allow list in its one way of writing, or what is wrong with it.
func checkHost(text string) (host, problem string) {
	host = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return "", "is an address; name the host instead, such as api.example.com"
	}
	switch {
	case strings.Contains(host, "://") || strings.ContainsAny(host, "/?#@"):
		return "", "is more than a host name; write only the host, such as api.example.com"
	case strings.Contains(host, ":"):
		return "", "has a port; write only the host, such as api.example.com"
	case len(host) > 253 || !hostForm.MatchString(host):
		return "", "is no host name that can be allowed; write it like api.example.com or *.example.com"
	}
	return host, ""
}

// GetConfig answers the config of an instance.
func (s *Service) GetConfig(ctx context.Context, in RefIn) (ConfigOut, error) {
	var out ConfigOut
	err := s.inRow(ctx, in.ID, func(tx *db.Tx, r row) error {
		c, err := readConfig(tx, r.Account, r.ID, r.Revision)
		out = ConfigOut{Config: c, Revision: r.Revision}
		return err
	})
	return out, err
}
