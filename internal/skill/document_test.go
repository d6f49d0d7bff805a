package skill

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/errs"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want Document // Warnings are compared by the fragments in warn
		warn []string
	}{
		"plain": {
			text: "---\nname: pdf\ndescription: Reads PDFs.\nlicense: MIT\n---\n\n# PDF\n",
			want: Document{Name: "pdf", Description: "Reads PDFs.", License: "MIT", Body: "# PDF"},
		},
		"scalars keep their source text": {
			text: "---\nname: 123\ndescription: true\nmetadata:\n  version: 1.0\n  hex: 0x1F\n  none: ~\n  empty:\n---\n",
			want: Document{Name: "123", Description: "true", Metadata: map[string]string{"version": "1.0", "hex": "0x1F", "none": "~", "empty": ""}},
		},
		"unquoted colon": {
			text: "---\nname: x\ndescription: Use when: the user asks\n---\nB",
			want: Document{Name: "x", Description: "Use when: the user asks", Body: "B"},
			warn: []string{"quotes around name and description"},
		},
		"unquoted colon over two lines": {
			text: "---\nname: x\ndescription: Use when: the user\n  asks \"for\" it: now\nlicense: MIT\n---\n",
			want: Document{Name: "x", Description: "Use when: the user asks \"for\" it: now", License: "MIT"},
			warn: []string{"put the value in double quotes"},
		},
		"reserved first character": {
			text: "---\nname: x\ndescription: `code` does it\n---\n",
			want: Document{Name: "x", Description: "`code` does it"},
			warn: []string{"description"},
		},
		"text after a quoted value": {
			text: "---\nname: x\ndescription: \"Quick\" checks of data\n---\n",
			want: Document{Name: "x", Description: "\"Quick\" checks of data"},
			warn: []string{"description"},
		},
		"block scalars": {
			text: "---\nname: x\ndescription: >\n  folded\n  text\ncompatibility: |\n  a\n  b\n---\n",
			want: Document{Name: "x", Description: "folded text", Compatibility: "a\nb"},
		},
		"byte order mark, CRLF and blank lines": {
			text: "\ufeff\r\n---\r\nname: x\r\ndescription: d\r\n---\r\nbody\r\n",
			want: Document{Name: "x", Description: "d", Body: "body"},
			warn: []string{"byte order mark", "first line"},
		},
		"three hyphens inside": {
			text: "---\nname: x\ndescription: uses --- as a rule\n---\nbody\n\n---\nmore",
			want: Document{Name: "x", Description: "uses --- as a rule", Body: "body\n\n---\nmore"},
		},
		"lists": {
			text: "---\nname: x\ndescription: d\nallowed-tools: [Read, \"Bash(git:*)\"]\n---\n",
			want: Document{Name: "x", Description: "d", AllowedTools: "Read Bash(git:*)"},
			warn: []string{"allowed-tools: Read Bash(git:*)"},
		},
		"nested metadata and foreign fields": {
			text: "---\nname: x\ndescription: d\nversion: 2\nmetadata:\n  hooks:\n    - a\n    - b: c\nhooks:\n  pre: [x]\n---\n",
			want: Document{Name: "x", Description: "d", Metadata: map[string]string{"hooks": `["a",{"b":"c"}]`}},
			warn: []string{"metadata.hooks"},
		},
		"metadata that is no map": {
			text: "---\nname: x\ndescription: d\nmetadata: a\n---\n",
			want: Document{Name: "x", Description: "d"},
			warn: []string{"metadata"},
		},
		"no name":                {text: "---\ndescription: d\n---\n", want: Document{Description: "d"}},
		"anchor and tag":         {text: "---\nname: &n x\ndescription: !!str d\n---\n", want: Document{Name: "x", Description: "d"}},
		"closing with blanks":    {text: "--- \nname: x\ndescription: d\n---  \nB", want: Document{Name: "x", Description: "d", Body: "B"}},
		"indented map":           {text: "---\n  name: x\n  description: d\n---\n", want: Document{Name: "x", Description: "d"}},
		"flow map":               {text: "---\n{name: x, description: d}\n---\n", want: Document{Name: "x", Description: "d"}},
		"end of document marker": {text: "---\nname: x\ndescription: d\n...\n---\n", want: Document{Name: "x", Description: "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(got.Warnings, "\n")
			if len(got.Warnings) != len(tc.warn) {
				t.Errorf("%d warnings, want %d: %q", len(got.Warnings), len(tc.warn), got.Warnings)
			}
			for _, w := range tc.warn {
				if !strings.Contains(all, w) {
					t.Errorf("warnings %q do not say %q", got.Warnings, w)
				}
			}
			got.Warnings = nil
			if d := cmp.Diff(&tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	head := "---\nname: x\ndescription: d\n"
	for name, tc := range map[string]struct {
		text, says string
		code       errs.Code
	}{
		"nothing":             {"", "must begin with YAML frontmatter", errs.Invalid},
		"no frontmatter":      {"# Title\n", "must begin with YAML frontmatter", errs.Invalid},
		"text on first line":  {"---name: x\ndescription: d\n---\n", "must begin", errs.Invalid},
		"not closed":          {head, "not closed", errs.Invalid},
		"closed in a line":    {head + "license: ---\n", "not closed", errs.Invalid},
		"empty":               {"---\n---\n", "must be a map", errs.Invalid},
		"list":                {"---\n- a\n---\n", "must be a map", errs.Invalid},
		"no description":      {"---\nname: x\n---\n", "description is missing or empty", errs.Invalid},
		"blank description":   {"---\nname: x\ndescription: '  '\n---\n", "description is missing or empty", errs.Invalid},
		"map for description": {"---\nname: x\ndescription:\n  a: b\n---\n", "description is missing or empty", errs.Invalid},
		"repeated key":        {head + "name: y\n---\n", "line 4", errs.Invalid},
		"repeated nested key": {head + "metadata:\n  a: b\n  a: c\n---\n", "line 6", errs.Invalid},
		"alias":               {head + "license: &a MIT\nmetadata:\n  l: *a\n---\n", "aliases", errs.Invalid},
		"alias bomb":          {head + "metadata:\n  a: &a [x,x]\n  b: &b [*a,*a]\n---\n", "aliases", errs.Invalid},
		"deep flow":           {head + "metadata: " + strings.Repeat("[", 60000) + "\n---\n", "12 levels", errs.Invalid},
		"deep list":           {head + "metadata:\n  " + strings.Repeat("- ", 30000) + "x\n---\n", "12 levels", errs.Invalid},
		"long frontmatter":    {head + "license: " + strings.Repeat("x", 70000) + "\n---\n", "at most 65536", errs.Invalid},
		"not UTF-8":           {head + "license: \xff\n---\n", "UTF-8", errs.Invalid},
		"tab indentation":     {head + "metadata:\n\ta: b\n---\n", "line 5", errs.Invalid},
		"huge":                {head + "---\n" + strings.Repeat("x", maxDocument), "at most", errs.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.text))
			if !errs.Is(err, tc.code) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v (%s), want %s that says %q", err, errs.CodeOf(err), tc.code, tc.says)
			}
		})
	}
}

// TestReferenceVerdicts compares with what skills-ref 0.1.0 at commit 69ef37e answered for the same files in a folder "x".
func TestReferenceVerdicts(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/reference-verdicts.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct {
		Document []byte
		Problems int
	}
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	if len(recorded) < 150 {
		t.Fatalf("only %d recorded verdicts", len(recorded))
	}
	for _, r := range recorded {
		if strings.Contains(string(r.Document), "\n  : c\n") {
			continue // an empty key: the reference takes it, our YAML parser does not
		}
		if got := Validate(r.Document, documentName, "x").Reference; len(got.Problems) != r.Problems || got.Valid != (r.Problems == 0) {
			t.Errorf("%q: %q, the reference has %d problems", r.Document, got.Problems, r.Problems)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	doc := func(fields string) string { return "---\n" + fields + "---\nbody\n" }
	for name, tc := range map[string]struct {
		text, file, folder string
		says               []string // fragments of the deviations, in order
		advice             int
		reference          bool
	}{
		"valid":               {text: doc("name: x\ndescription: d\nmetadata:\n  version: 1.0\n"), reference: true},
		"valid with brackets": {text: doc("name: x\ndescription: d\nmetadata: {version: \"1\"}\n")},
		"lower-case file":     {text: doc("name: x\ndescription: d\n"), file: "skill.md", says: []string{"named SKILL.md"}, reference: true},
		"letters beyond a-z":  {text: doc("name: žluť\ndescription: d\n"), folder: "žluť", says: []string{"lower-case letters a to z"}, reference: true},
		"other folder":        {text: doc("name: x\ndescription: d\n"), folder: "y", says: []string{"must be equal"}},
		"bad name": {text: doc("name: -A--b_\ndescription: d\n"), folder: "-A--b_",
			says: []string{"lower-case", "begin or end", "two hyphens"}},
		"hidden rule":          {text: doc("name: x\ndescription: a --- b\n"), reference: true},
		"rule cuts a field":    {text: doc("name: x\ndescription: |\n  ---\n"), says: nil},
		"extra fields":         {text: doc("name: x\ndescription: d\nversion: 1\nhooks: []\n"), says: []string{"version is not part", "hooks is not part"}},
		"too long":             {text: doc("name: " + strings.Repeat("x", 65) + "\ndescription: " + strings.Repeat("é", 1025) + "\n"), folder: strings.Repeat("x", 65), says: []string{"65 characters", "1025 characters"}},
		"just fits":            {text: doc("name: " + strings.Repeat("x", 64) + "\ndescription: " + strings.Repeat("é", 1024) + "\ncompatibility: " + strings.Repeat("é", 500) + "\n"), folder: strings.Repeat("x", 64), reference: true},
		"empty compatibility":  {text: doc("name: x\ndescription: d\ncompatibility: ''\n"), says: []string{"needs 1 to 500"}, reference: true},
		"nested metadata":      {text: doc("name: x\ndescription: d\nmetadata:\n  a:\n    b: c\n"), says: []string{"metadata.a"}, reference: true},
		"list of tools":        {text: doc("name: x\ndescription: d\nallowed-tools:\n  - Read\n"), says: []string{"one line with spaces"}, reference: true},
		"byte order mark":      {text: "\ufeff" + doc("name: x\ndescription: d\n"), says: []string{"byte order mark"}},
		"blank first line":     {text: "\n" + doc("name: x\ndescription: d\n"), says: []string{"first line"}},
		"nothing there":        {text: doc("license: MIT\n"), says: []string{"name is missing", "description is missing"}},
		"unreadable":           {text: doc("name: x\ndescription: a: b\n"), says: []string{"line 3"}},
		"angle brackets":       {text: doc("name: x\ndescription: use <b>\n"), advice: 1, reference: true},
		"reserved word, long":  {text: doc("name: claude-x\ndescription: d\n") + strings.Repeat("l\n", 600), folder: "claude-x", advice: 2, reference: true},
		"not UTF-8":            {text: doc("name: x\ndescription: \xff\n"), says: []string{"UTF-8"}},
		"closed by bare rule":  {text: "---\nname: x\ndescription: d --- \n", says: []string{"not closed"}, reference: true},
		"several documents":    {text: doc("name: x\ndescription: d\n...\na: b\n"), says: []string{"several YAML documents"}},
		"license is a map":     {text: doc("name: x\ndescription: d\nlicense:\n  a: b\n"), says: []string{"license"}, reference: true},
		"missing metadata map": {text: doc("name: x\ndescription: d\nmetadata: text\n"), says: []string{"metadata must be a map"}, reference: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, folder := documentName, "x"
			if tc.file != "" {
				file = tc.file
			}
			if tc.folder != "" {
				folder = tc.folder
			}
			v := Validate([]byte(tc.text), file, folder)
			var deviations []string
			advice := 0
			for _, f := range v.Findings {
				if f.Level == Advice {
					advice++
				} else {
					deviations = append(deviations, f.Detail)
				}
			}
			if v.Valid != (len(tc.says) == 0) || len(deviations) != len(tc.says) || advice != tc.advice || v.Reference.Valid != tc.reference {
				t.Fatalf("%+v, want deviations %q, %d pieces of advice, reference valid: %t", v, tc.says, tc.advice, tc.reference)
			}
			for i, s := range tc.says {
				if !strings.Contains(deviations[i], s) {
					t.Errorf("%q does not say %q", deviations[i], s)
				}
			}
		})
	}
}

func TestFolderName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"pdf": "pdf", "My Skill!": "my-skill", " a__b ": "a-b", "--x--": "x", "ＡＢ": "ab", "技能": "技能", "../../etc": "etc",
		"": "", "!!!": "", ".": "", strings.Repeat("x", 80): strings.Repeat("x", 64),
		strings.Repeat("𐐷", 64): strings.Repeat("𐐷", 60), "a/b\\c": "a-b-c", strings.Repeat("a ", 60): strings.TrimSuffix(strings.Repeat("a-", 32), "-"),
	} {
		if got := FolderName(in); got != want {
			t.Errorf("FolderName(%q) = %q, want %q", in, got, want)
		}
		if got := FolderName(want); got != want {
			t.Errorf("FolderName(%q) = %q, which is not stable", want, got)
		}
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	for _, description := range []string{
		"Plain words.", "Use when: asked", "it's \"quoted\"", "# not a comment", "a #b", "- x", "true", "1.0", "[a]", "uses --- here", "*bold*",
		"two\nlines", "ends with space ", "trailing:", "`x`", "@x", "%x", "é 技能 😀", "tab\there", `back\slash`, "<b>", "a: b: c", "~", "null",
	} {
		data := compose("my-skill", description, "")
		d, err := Parse(data)
		if err != nil {
			t.Errorf("%q: %v", description, err)
			continue
		}
		if d.Description != strings.TrimSpace(description) || d.Name != "my-skill" || len(d.Warnings) > 0 {
			t.Errorf("%q came back as %q with %q", description, d.Description, d.Warnings)
		}
		if v := Validate(data, documentName, "my-skill"); !v.Valid || !v.Reference.Valid {
			t.Errorf("%q: %+v", description, v)
		}
	}
}

func TestRedescribe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"in the middle": {
			"---\nname: x # keep\ndescription: old\n  text\nlicense: MIT\nversion: 3\n---\nbody --- \n",
			"---\nname: x # keep\ndescription: \"new: text\"\nlicense: MIT\nversion: 3\n---\nbody --- \n"},
		"last, block": {
			"---\nname: x\ndescription: |\n  old\n\n  text\n---\nbody",
			"---\nname: x\ndescription: \"new: text\"\n---\nbody"},
		"indented": {
			"---\n  description: old\n  name: x\n---\nbody",
			"---\n  description: \"new: text\"\n  name: x\n---\nbody"},
		"unreadable before": {
			"---\nname: x\ndescription: a: b\nlicense: MIT\n---\nbody",
			"---\nname: x\ndescription: \"new: text\"\nlicense: MIT\n---\nbody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := redescribe([]byte(tc.in), "new: text")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := redescribe([]byte("---\n{name: x, description: d}\n---\n"), "new"); !errs.Is(err, errs.Invalid) {
		t.Errorf("one-line map: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	raw, err := os.ReadFile("testdata/reference-verdicts.json")
	if err != nil {
		f.Fatal(err)
	}
	var seeds []struct{ Document []byte }
	if err := json.Unmarshal(raw, &seeds); err != nil {
		f.Fatal(err)
	}
	for _, s := range seeds {
		f.Add(s.Document)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := Validate(data, documentName, "x")
		d, err := Parse(data)
		if err != nil {
			if c := errs.CodeOf(err); c != errs.Invalid && c != errs.TooLarge {
				t.Fatalf("code %s: %v", c, err)
			}
			if v.Valid {
				t.Fatalf("valid, but can't be installed: %v", err)
			}
			return
		}
		if strings.TrimSpace(d.Description) == "" {
			t.Fatal("an empty description was taken")
		}
		if n := FolderName(d.Name); n != "" && checkFolder(n) != nil {
			t.Fatalf("unsafe folder name %q", n)
		}
		if changed, err := redescribe(data, "new description"); err == nil {
			if again, err := Parse(changed); err != nil || again.Description != "new description" || again.Body != d.Body {
				t.Fatalf("after a new description: %v, %+v", err, again)
			}
		}
	})
}
