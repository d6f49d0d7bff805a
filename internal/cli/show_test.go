package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"a whole number stays whole", `{"seed":1820413663,"score":4.864137}`, "score: 4.86414\nseed: 1820413663\n"},
		{"an envelope is its object", `{"secret":{"name":"A","version":1}}`, "name: A\nversion: 1\n"},
		{"an object beside others", `{"config":{"environment":{"A":"1","B":"2"},"model":""},"revision":2}`, "config:\nenvironment: A=1,B=2\nrevision: 2\n"},
		{"objects in objects", `{"a":{"b":{"c":{"d":1},"e":[2,3]}},"z":1}`, "a:\nb: c=(d=1),e=(2, 3)\nz: 1\n"},
		{"a text of several lines", `{"exitCode":0,"stdout":"a\nb\n"}`, "exitCode: 0\nstdout:\na\nb\n"},
	} {
		var out bytes.Buffer
		if err := (&program{}).show(&out, []byte(c.in)); err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(out.String(), "\n")
		for i, l := range lines {
			lines[i] = strings.Join(strings.Fields(l), " ")
		}
		if got := strings.Join(lines, "\n"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
