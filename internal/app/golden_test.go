package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/agent"
	"yardmaster/internal/app/apptest"
	"yardmaster/internal/op"
)

// The API is held by two files, so that a change of it is read as a change of them:
// go test ./internal/app -run Golden -update
func TestGoldenAPI(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t)
	golden(t, "openapi.golden.json", y.Must("GET", "/openapi.json", nil).Body)
	type tool struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Effect      string          `json:"effect"`
		Schema      json.RawMessage `json:"inputSchema"`
	}
	var tools []tool
	for _, o := range agent.Tools(y.App.Registry, op.System(y.App.Account)) {
		tools = append(tools, tool{o.Name, o.Description, o.Effect, o.Schema})
	}
	raw, err := json.Marshal(tools)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tools.golden.json", raw)
}

func golden(t *testing.T, name string, raw []byte) {
	t.Helper()
	var got bytes.Buffer
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil { // maps are written in the order of their keys
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the API is not the one of %s any more (-golden +now). If that is meant, run with -update and read the diff.\n%s", path, diff)
	}
}
