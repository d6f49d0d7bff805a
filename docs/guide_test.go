// Package docs holds the documentation to the program: what it links to is there, and the commands that it shows exist.
package docs

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"yardmaster/internal/cli"
	"yardmaster/internal/config"
	"yardmaster/internal/errs"
)

var update = flag.Bool("update", false, "write the generated tables into the pages")

const root = ".."

// pages are all Markdown files of the repository, by path from its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".md"):
			return nil
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		out[filepath.ToSlash(rel)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// split separates a page's fenced or indented code from its text. Inline code is given apart and blanked in the text.
func split(page string) (text string, spans, code []string) {
	var b strings.Builder
	fenced, blank := false, true
	for _, line := range strings.Split(page, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		indented := strings.HasPrefix(line, "    ") && (blank || len(code) > 0 && code[len(code)-1] != "")
		switch {
		case fence:
			fenced = !fenced
			code = append(code, "")
		case fenced || indented:
			code = append(code, strings.TrimSpace(line))
		default:
			b.WriteString(inline.ReplaceAllStringFunc(line, func(s string) string {
				spans = append(spans, strings.Trim(s, "`"))
				return ""
			}) + "\n")
			if len(code) > 0 && code[len(code)-1] != "" {
				code = append(code, "")
			}
		}
		blank = strings.TrimSpace(line) == ""
	}
	return b.String(), spans, code
}

var (
	inline  = regexp.MustCompile("`[^`]+`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
)

// anchors are the fragments under which the headings of a page are found, as GitHub makes them.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		for n, base := 1, slug; out[slug]; n++ {
			slug = fmt.Sprintf("%s-%d", base, n)
		}
		out[slug] = true
	}
	return out
}

func TestLinksResolve(t *testing.T) {
	t.Parallel()
	all := pages(t)
	found := 0
	for name, page := range all {
		text, _, _ := split(page)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			found++
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			} else if fragment != "" && !anchors(all[file])[fragment] {
				t.Errorf("%s: %s has no heading for #%s", name, file, fragment)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d links were found", found)
	}
}

func TestCommandsExist(t *testing.T) {
	t.Parallel()
	found := 0
	for name, page := range pages(t) {
		_, spans, code := split(page)
		for _, span := range spans {
			for _, args := range commands(span) {
				found++
				if err := check(args, false); err != nil {
					t.Errorf("%s: `%s`: %v", name, span, err)
				}
			}
		}
		for _, line := range joined(code) {
			for _, args := range commands(line) {
				found++
				if err := check(args, true); err != nil {
					t.Errorf("%s: %s: %v", name, line, err)
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d commands were found", found)
	}
}

// joined puts lines together that a backslash continues.
func joined(lines []string) []string {
	var out []string
	more := false
	for _, l := range lines {
		if rest, cont := strings.CutSuffix(l, `\`); more {
			out[len(out)-1] += " " + rest
			more = cont
		} else {
			out = append(out, rest)
			more = cont
		}
	}
	return out
}

// commands answers the arguments of each call of yardmaster in a line of shell.
func commands(line string) [][]string {
	var out [][]string
	for _, words := range shell(strings.TrimPrefix(strings.TrimSpace(line), "$ ")) {
		for len(words) > 0 && assignment.MatchString(words[0]) {
			words = words[1:]
		}
		switch {
		case len(words) > 1 && words[1] == "RESOURCE": // stands for any
		case len(words) > 0 && words[0] == "yardmaster":
			out = append(out, words[1:])
		case len(words) > 2 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/yardmaster":
			out = append(out, words[3:])
		}
	}
	return out
}

var assignment = regexp.MustCompile(`^[A-Z_]+=`)

// shell splits a line into its simple commands and these into words, as far as the documentation uses the shell.
func shell(line string) [][]string {
	out := [][]string{nil}
	var word strings.Builder
	open, quote := false, rune(0)
	end := func() {
		if open {
			out[len(out)-1] = append(out[len(out)-1], word.String())
		}
		word.Reset()
		open = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t':
			end()
		case r == '#' && !open:
			return out
		case strings.ContainsRune("|;&<>()", r):
			end()
			out = append(out, nil)
		default:
			open = true
			word.WriteRune(r)
		}
	}
	end()
	return out
}

// check finds a command in the command tree and reads its flags. whole also wants what the command needs to be there.
func check(args []string, whole bool) error {
	tree := cli.Command()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd(args...)
	cmd, rest, err := tree.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if help := cmd.Flags().Lookup("help"); help != nil && help.Changed || cmd.Name() == "help" {
		return nil
	}
	if whole || cmd.HasSubCommands() {
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			return err
		}
	}
	if whole {
		return cmd.ValidateRequiredFlags()
	}
	return nil
}

func TestCheckFindsMistakes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`yardmaster instances list --label env=staging`:                       true,
		`$ yardmaster chat --data ./data "say; nothing | else"`:               true,
		`printf x | yardmaster secrets create --name A --value -`:             true,
		`YARDMASTER_LOG_LEVEL=debug go run ./cmd/yardmaster serve  # and so`:  true,
		`yardmaster --data ./data instances get mars`:                         true,
		`yardmaster completion bash`:                                          true,
		`yardmaster instances lst`:                                            false,
		`yardmaster fleet list`:                                               false,
		`yardmaster instances list --nope`:                                    false,
		`yardmaster instances get`:                                            false,
		`yardmaster instances get a b`:                                        false,
		`yardmaster secrets create --value x`:                                 false,
		`echo x; yardmaster serve --listen 127.0.0.1:1 && yardmaster serve x`: false,
	} {
		calls := commands(line)
		if len(calls) == 0 {
			t.Errorf("%s: no command was found", line)
		}
		ok := true
		for _, args := range calls {
			ok = ok && check(args, true) == nil
		}
		if ok != want {
			t.Errorf("%s: taken is %v, want %v", line, ok, want)
		}
	}
}

// settings is the table of the settings.
func settings() string {
	var b strings.Builder
	b.WriteString("| flag | environment variable | default | meaning |\n| --- | --- | --- | --- |\n")
	fmt.Fprintf(&b, "| `--config` | `%s` | | YAML file with settings |\n", config.Env("config"))
	typ := reflect.TypeFor[config.Config]()
	for i := range typ.NumField() {
		tag := typ.Field(i).Tag
		name, def := "`--"+tag.Get("flag")+"`", tag.Get("default")
		if tag.Get("secret") != "" {
			name = "none, command lines are public"
		}
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", name, config.Env(tag.Get("flag")), def, tag.Get("help"))
	}
	return strings.ReplaceAll(b.String(), "|  |", "| |")
}

// codes is the table of the reasons for which something is refused.
func codes() string {
	var b strings.Builder
	b.WriteString("| code | HTTP status | exit code |\n| --- | --- | --- |\n")
	for _, c := range errs.Codes() {
		fmt.Fprintf(&b, "| `%s` | %d | %d |\n", c, c.Status(), c.Exit())
	}
	return b.String()
}

func TestGeneratedTables(t *testing.T) {
	t.Parallel()
	for file, table := range map[string]string{"guide/cli.md": settings(), "guide/api.md": codes()} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(raw), "<!-- generated -->\n")
		old, after, ok := strings.Cut(rest, "<!-- end -->\n")
		if !ok {
			t.Fatalf("%s has no generated part", file)
		}
		if *update {
			if err := os.WriteFile(file, []byte(before+"<!-- generated -->\n"+table+"<!-- end -->\n"+after), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(table, old); diff != "" {
			t.Errorf("%s is not what the code says; run go test ./docs -run Generated -update\n%s", file, diff)
		}
	}
}

// The settings that the table names are those that the command line takes.
func TestSettingsAreFlags(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(fs)
	table := settings()
	fs.VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(table, "| `--"+f.Name+"` |") {
			t.Errorf("--%s is not in the table", f.Name)
		}
	})
}

func TestPagesAreShort(t *testing.T) {
	t.Parallel()
	for name, page := range pages(t) {
		if n := strings.Count(page, "\n"); strings.HasPrefix(name, "docs/guide/") && n > 150 {
			t.Errorf("%s has %d lines; split it", name, n)
		}
	}
}
