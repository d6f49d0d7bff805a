package cli_test

import (
	"strings"
	"testing"

	"yardmaster/internal/app/apptest"
)

// Values that must not be in a command line, and those that are long, come from standard input.
func TestStandardInput(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Instances())
	data := []string{"--data", y.Data}
	y.Must("POST", "/api/instances", map[string]any{"name": "web-1", "kind": "blank"})
	if r := run(t, "from\x00stdin\n", append(data, "files", "write", "web-1", "--path", "f", "--content", "-")...); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if got := must(t, append(data, "files", "read", "web-1", "--path", "f")...); got != "from\x00stdin\n" {
		t.Errorf("the file holds %q", got)
	}
	if r := run(t, "read me", append(data, "instances", "exec", "web-1", "--command", "cat", "--stdin", "-", "--json")...); !strings.Contains(r.out, `"read me"`) {
		t.Errorf("exec: %+v", r)
	}
	if r := run(t, "a secret value", append(data, "secrets", "create", "--name", "A_KEY", "--value", "-")...); r.code != 0 {
		t.Errorf("secret: %+v", r)
	}
	y.Must("POST", "/api/secrets/A_KEY/grants", map[string]any{"instances": []string{"web-1"}})
	if r := run(t, "", append(data, "instances", "exec", "web-1", "--command", `printf %s "$A_KEY" | wc -c`)...); !strings.Contains(r.out, "14") {
		t.Errorf("the secret has another length: %+v", r)
	}
}
