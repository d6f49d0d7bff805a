// Package config is the one settings struct: each setting is a flag, an environment variable YARDMASTER_… and a key of one
// YAML file, in that order of precedence, over a default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

// Config holds every setting. Tags: flag is the name of the flag and of the file's key, the environment variable is
// derived from it; oneof lists the values allowed; secret marks what must not be a flag, because command lines are public.
type Config struct {
	Data         string `flag:"data" help:"folder for everything that is kept"`
	Listen       string `flag:"listen" default:"127.0.0.1:7300" help:"address to serve on"`
	Database     string `flag:"database" help:"database URL; a SQLite file in the data folder when empty"`
	Model        string `flag:"model" help:"the Operator's model as PROVIDER/NAME" default:"builtin/planner"`
	Driver       string `flag:"driver" help:"how instances are run" default:"native"`
	LogLevel     string `flag:"log-level" help:"debug, info, warn or error" default:"info" oneof:"debug info warn error"`
	MaxInstances int    `flag:"max-instances" help:"most instances of an account" default:"1000"`
	RateLimit    int    `flag:"rate-limit" help:"most requests a second of one API key, twice as many at once; 0 for no limit" default:"100"`
	AccountLimit int    `flag:"account-rate-limit" help:"most requests a second of all keys of an account, twice as many at once; 0 for no limit" default:"400"`
	ImportFrom   string `flag:"import-from" help:"folders of this machine that skills may be imported from, separated by colons" default:"/"`
	BootstrapKey string `flag:"bootstrap-key" secret:"true" help:"the first API key, ck_live_…; made and printed once when empty"`
	MasterKey    string `flag:"master-key" secret:"true" help:"the key that seals secrets, 64 hex digits; a file in the data folder when empty"`
}

// Env is the environment variable of a setting.
func Env(flag string) string {
	return "YARDMASTER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// AddFlags declares the settings that may be flags.
func AddFlags(fs *pflag.FlagSet) {
	fs.String("config", "", "YAML file with settings ($"+Env("config")+")")
	each(&Config{}, func(f reflect.StructField, _ reflect.Value) {
		if f.Tag.Get("secret") == "" {
			fs.String(f.Tag.Get("flag"), "", fmt.Sprintf("%s ($%s)%s", f.Tag.Get("help"), Env(f.Tag.Get("flag")), defaultHint(f)))
		}
	})
}

func defaultHint(f reflect.StructField) string {
	if d := f.Tag.Get("default"); d != "" {
		return " (default " + d + ")"
	}
	return ""
}

// Load reads the settings: flags that were set, then the environment, then the file, then the defaults.
func Load(flags *pflag.FlagSet, env func(string) string) (Config, error) {
	var c Config
	path := env(Env("config"))
	if f := flags.Lookup("config"); f != nil && f.Changed {
		path = f.Value.String()
	}
	file, err := readFile(path)
	if err != nil {
		return c, err
	}
	var firstErr error
	each(&c, func(f reflect.StructField, v reflect.Value) {
		name := f.Tag.Get("flag")
		text, from := f.Tag.Get("default"), "the default"
		if s, ok := file[name]; ok {
			text, from = s, path+": "+name
			delete(file, name)
		}
		if s := env(Env(name)); s != "" {
			text, from = s, "$"+Env(name)
		}
		if fl := flags.Lookup(name); fl != nil && fl.Changed {
			text, from = fl.Value.String(), "--"+name
		}
		if err := set(v, text, strings.Fields(f.Tag.Get("oneof"))); err != nil && firstErr == nil {
			firstErr = fmt.Errorf("%s: %w", from, err)
		}
	})
	if firstErr != nil {
		return c, firstErr
	}
	if len(file) > 0 {
		unknown := make([]string, 0, len(file))
		for k := range file {
			unknown = append(unknown, k)
		}
		sort.Strings(unknown)
		return c, fmt.Errorf("%s: unknown setting %s", path, strings.Join(unknown, ", "))
	}
	if c.Data == "" {
		if c.Data, err = defaultData(env); err != nil {
			return c, err
		}
	}
	c.Data, err = filepath.Abs(c.Data)
	return c, err
}

func defaultData(env func(string) string) (string, error) {
	if d := env("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "yardmaster"), nil
	}
	home := env("HOME")
	if home == "" {
		return "", errors.New("there is no home folder to keep data in; say where with --data")
	}
	return filepath.Join(home, ".local", "share", "yardmaster"), nil
}

func each(c *Config, fn func(f reflect.StructField, v reflect.Value)) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		fn(v.Type().Field(i), v.Field(i))
	}
}

func set(v reflect.Value, text string, oneOf []string) error {
	if len(oneOf) > 0 && !slices.Contains(oneOf, text) {
		return fmt.Errorf("%q must be one of %s", text, strings.Join(oneOf, ", "))
	}
	switch v.Kind() {
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	default:
		v.SetString(text)
	}
	return nil
}

func readFile(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the settings file %s is not there", path)
	} else if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := yaml.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := map[string]string{}
	for k, v := range m {
		out[k] = fmt.Sprint(v)
	}
	return out, nil
}
