package skills_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"yardmaster/skills"
)

// examples are the skills beside the bundled ones; they are not in the binary.
const examples = "../examples"

// folders answers the bundled skills and the examples by name.
func folders(t *testing.T) map[string]fs.FS {
	t.Helper()
	out := map[string]fs.FS{}
	for _, root := range []fs.FS{skills.FS(), os.DirFS(examples)} {
		files, err := fs.Glob(root, "*/SKILL.md")
		if err != nil || len(files) == 0 {
			t.Fatalf("found %d skills, %v", len(files), err)
		}
		for _, file := range files {
			sub, err := fs.Sub(root, path.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			out[path.Dir(file)] = sub
		}
	}
	return out
}

// unpacked copies a skill into a new folder and returns its path.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, folders(t)[name]); err != nil {
		t.Fatal(err)
	}
	return dir
}

// python runs the real python3 in dir and returns what it printed; a failure of the script fails the test.
func python(t *testing.T, dir string, args ...string) string {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing; CI must have it")
		}
		t.Skip("python3 is missing: the scripts of the skill are not tested here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("python3 %s: %v\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func TestBundled(t *testing.T) {
	t.Parallel()
	entries, err := fs.ReadDir(skills.FS(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := fs.Stat(skills.FS(), path.Join(e.Name(), "SKILL.md")); err != nil {
			t.Error(err)
		}
	}
	// Files whose names begin with an underscore are left out by a plain go:embed pattern.
	if _, err := fs.Stat(skills.FS(), "aqi-predictor/scripts/strategies/__init__.py"); err != nil {
		t.Error(err)
	}
}

func TestEverySkillHasItsFiles(t *testing.T) {
	t.Parallel()
	for name, files := range folders(t) {
		text, err := fs.ReadFile(files, "SKILL.md")
		if err != nil {
			t.Error(err)
			continue
		}
		front, body, ok := strings.Cut(strings.TrimPrefix(string(text), "---\n"), "\n---\n")
		if !ok || !strings.HasPrefix(string(text), "---\n") {
			t.Errorf("%s: SKILL.md has no frontmatter", name)
		}
		if !strings.HasPrefix(front, "name: "+name+"\n") {
			t.Errorf("%s: the frontmatter must begin with the folder's name, not %q", name, front)
		}
		if lines := strings.Count(body, "\n"); lines > 500 {
			t.Errorf("%s: SKILL.md has %d lines; at most 500 keep it readable for an agent", name, lines)
		}
		for _, file := range []string{"NOTICE.md", "experiment.yaml", "scripts/selftest.py"} {
			if _, err := fs.Stat(files, file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(body, -1) {
			if _, err := fs.Stat(files, link[1]); err != nil {
				t.Errorf("%s: SKILL.md links to %s, which is not there", name, link[1])
			}
		}
	}
}

func TestFilesAreCleanText(t *testing.T) {
	t.Parallel()
	for name, files := range folders(t) {
		err := fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if strings.Contains(file, "__pycache__") || strings.HasSuffix(file, ".pyc") {
				t.Errorf("%s: %s is compiled and must not be there", name, file)
				return nil
			}
			data, err := fs.ReadFile(files, file)
			switch {
			case err != nil:
				return err
			case !utf8.Valid(data):
				t.Errorf("%s: %s is not valid UTF-8", name, file)
			case bytes.ContainsRune(data, '\r'):
				t.Errorf("%s: %s has carriage returns", name, file)
			case !bytes.HasSuffix(data, []byte("\n")):
				t.Errorf("%s: %s does not end with a newline", name, file)
			}
			if strings.HasSuffix(file, ".py") && bytes.Count(data, []byte("\n")) > 400 {
				t.Errorf("%s: %s is longer than 400 lines", name, file)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	for name := range folders(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := python(t, unpacked(t, name), "scripts/selftest.py")
			if !strings.HasPrefix(out, "selftest: ") || strings.Count(out, "\n") != 1 {
				t.Errorf("the self-test printed %q; want one line", out)
			}
		})
	}
}

// TestSelfTestNotices changes the skill and expects the self-test to object.
func TestSelfTestNotices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, old, new, failed string }{
		{"undeclared range", "experiment.yaml", "window: {int: [2, 60]", "window: {int: [2, 61]", "check_declaration"},
		{"wrong scale", "scripts/airquality/aqi.py", "(154, 100), (155", "(154, 99), (155", "check_scale"},
		{"a gap left open", "scripts/airquality/panel.py", "known = value if value == value else", "known = value if True else", "check_strategies"},
		{"forecast of the wrong sign", "scripts/strategies/regression.py", "coefficients[0] + sum(", "coefficients[0] - sum(", "check_strategies"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := unpacked(t, "aqi-predictor")
			file := filepath.Join(dir, c.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), c.old, c.new, 1)
			if changed == string(text) {
				t.Fatalf("%s does not hold %q", c.file, c.old)
			}
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			// The launcher turns the exit code into text, so that a missing python3 is still told apart.
			out := python(t, dir, "-c", "import subprocess,sys;"+
				"p=subprocess.run([sys.executable,'scripts/selftest.py'],capture_output=True,text=True);print(p.returncode,p.stdout)")
			if !strings.HasPrefix(out, "1 selftest: "+c.failed+" failed") {
				t.Errorf("the self-test said %q", out)
			}
		})
	}
}

// TestBacktestAgainstOwnArithmetic replays the ozone suite and compares the error of persistence with the one computed here
// from the table alone.
func TestBacktestAgainstOwnArithmetic(t *testing.T) {
	t.Parallel()
	dir := unpacked(t, "aqi-predictor")
	out := python(t, dir, "scripts/backtest.py", "--suite", "ozone-50", "--splits", "search",
		"--strategy", "persistence", "--strategy", "ar", "--markdown")
	got := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z-]+) \| ([0-9.]+) \|`).FindAllStringSubmatch(out, -1) {
		got[m[1]], _ = strconv.ParseFloat(m[2], 64)
	}
	want := persistence(t, filepath.Join(dir, "assets/ozone-50/ozone-daily-1987.csv"), "1987-07-02", "1987-07-21")
	if math.Abs(got["persistence"]-want) > 0.001 {
		t.Errorf("persistence has the error %v; the table says %v\n%s", got["persistence"], want, out)
	}
	if got["ar"] == 0 || got["ar"] >= got["persistence"] {
		t.Errorf("autoregression is no better than persistence:\n%s", out)
	}
}

// TestMainSuite runs the strongest single strategy over a whole year of the main suite.
func TestMainSuite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("replays a year")
	}
	out := python(t, unpacked(t, "aqi-predictor"), "scripts/backtest.py", "--strategy", "persistence", "--strategy", "ridge-windows", "--markdown")
	for _, want := range []string{"| persistence | 5.186 |", "| ridge-windows | 4.714 |"} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q, as references/results.md says; got\n%s", want, out)
		}
	}
}

// persistence is the mean absolute error of "tomorrow equals today" in the ozone AQI, over the days first to last.
func persistence(t *testing.T, file, first, last string) float64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	points := [][2]float64{{0, 0}, {54, 50}, {55, 51}, {70, 100}, {71, 101}, {85, 150}, {86, 151}, {105, 200}, {106, 201}, {200, 300}}
	aqi := func(x float64) float64 {
		for i := 1; i < len(points); i++ {
			a, b := points[i-1], points[i]
			if x <= b[0] {
				return a[1] + (b[1]-a[1])*(x-a[0])/(b[0]-a[0])
			}
		}
		return 300
	}
	var sum float64
	n := 0
	for i := 2; i < len(rows); i++ {
		if day := rows[i][0]; day < first || day > last {
			continue
		}
		for j := 1; j < len(rows[i]); j++ {
			today, err1 := strconv.ParseFloat(rows[i-1][j], 64)
			tomorrow, err2 := strconv.ParseFloat(rows[i][j], 64)
			if err1 == nil && err2 == nil {
				sum += math.Abs(aqi(today) - aqi(tomorrow))
				n++
			}
		}
	}
	if n == 0 {
		t.Fatalf("%s has no pair of days in %s to %s", file, first, last)
	}
	return sum / float64(n)
}
