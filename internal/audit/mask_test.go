package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"yardmaster/internal/audit"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	y := open(t)
	known := "known-secret-of-the-account"
	y.boot(audit.Options{Scrub: func(account string) func(string) string {
		return func(text string) string {
			if account != "a" {
				t.Errorf("scrubbed for %q", account)
			}
			return strings.ReplaceAll(text, known, "[KNOWN]")
		}
	}})
	y.method = func(_ context.Context, in createIn) (createOut, error) {
		return createOut{}, errs.New(errs.Invalid, "%s is too weak, and so is %s; %s leaked", in.Password, in.Nested.Tokens["a"], known)
	}
	// Cut at MaxText, the known secret would be cut in the middle.
	note := long(audit.MaxText-10) + known
	in := map[string]any{
		"name": "x", "password": "hunter2!", "note": note, "owner": known, "friends": []string{"hunter2! is mine"},
		"files":  map[string]string{known: "tok-in-map", "b": "use tok-in-list or hunter2!"},
		"nested": map[string]any{"tokens": map[string]string{"a": "tok-in-map"}, "list": []any{map[string]any{"value": "tok-in-list"}}, "count": json.Number("1e400")},
	}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := y.do("a", "things.create", strings.ReplaceAll(string(raw), "1e400", "12345678901234567890")); !errs.Is(err, errs.Invalid) {
		t.Fatal(err)
	}
	e := y.last("a")
	shown, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "tok-in", known, known[:12]} {
		if strings.Contains(string(shown), secret) {
			t.Errorf("%q is in %s", secret, shown)
		}
		for _, file := range []string{y.path, y.path + "-wal"} {
			if raw, err := os.ReadFile(file); err != nil || strings.Contains(string(raw), secret) {
				t.Errorf("%q is in %s (%v)", secret, file, err)
			}
		}
	}
	if !strings.Contains(string(e.Input), "12345678901234567890") {
		t.Errorf("a number was changed: %s", e.Input)
	}
	if want := audit.Mask + " is too weak, and so is " + audit.Mask + "; [KNOWN] leaked"; e.Detail != want {
		t.Errorf("%q", e.Detail)
	}
}

func TestLongInputsAreCut(t *testing.T) {
	t.Parallel()
	y := open(t)
	files := map[string]string{}
	for i := range 3 * audit.MaxItems {
		files[fmt.Sprintf("f%03d", i)] = "x"
	}
	raw, err := json.Marshal(map[string]any{"name": "x", "note": long(1000), "files": files, "friends": strings.Split(strings.Repeat("y,", 199)+"y", ",")})
	if err != nil {
		t.Fatal(err)
	}
	y.must("a", "things.create", string(raw))
	var got createIn
	e := y.last("a")
	if err := json.Unmarshal(e.Input, &got); err != nil {
		t.Fatal(err)
	}
	if want := long(audit.MaxText) + "… (1000 characters)"; got.Note != want {
		t.Errorf("%q", got.Note)
	}
	if n := len(got.Files); n != audit.MaxItems+1 || got.Files["…"] != "(150 fields)" {
		t.Errorf("%d files, %q", n, got.Files["…"])
	}
	if n := len(got.Friends); n != audit.MaxItems+1 || got.Friends[n-1] != "… (200 items)" {
		t.Errorf("%d friends, the last %q", n, got.Friends[n-1])
	}
	for i := range files {
		files[i] = long(200)
	}
	if raw, err = json.Marshal(map[string]any{"name": "x", "files": files}); err != nil {
		t.Fatal(err)
	}
	y.must("a", "things.create", string(raw))
	if e := y.last("a"); len(e.Input) > audit.MaxInput || e.Resources[0] != "x" {
		t.Errorf("%d bytes were kept of %d: %s", len(e.Input), len(raw), e.Input)
	}
	// Of a file, its size is kept.
	y.must("a", "files.write", `{"id":"x","content":"hä"}`)
	if e := y.last("a"); string(e.Input) != `{"content":"(3 bytes)","id":"x"}` {
		t.Errorf("%s", e.Input)
	}
	if _, err := y.reg.Do(op.WithBody(y.ctx("a"), []byte{0xff, 0}), "files.write", json.RawMessage(`{"id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if e := y.last("a"); string(e.Input) != `{"content":"(2 bytes)","id":"x"}` {
		t.Errorf("%s", e.Input)
	}
	if out := y.verify("a", ""); !out.OK {
		t.Errorf("%+v", out)
	}
}

// Whatever is sent, what is kept of it is JSON of a bounded size without the secret.
func FuzzDescribe(f *testing.F) {
	f.Add(`{"name":"x","password":"sesame-open"}`)
	f.Add(`{"name":"sesame-open","nested":{"tokens":{"a":"sesame-open"},"list":[{"value":"sesame-open"}]},"password":"sesame-open"}`)
	f.Add(`{"name":"\ud800","files":{"":"\u2028","<":"&"},"password":["sesame-open"]}`)
	f.Add(`[null]`)
	l := audit.New(nil, audit.Options{})
	p := op.New(op.Op{Name: "things.create", Route: "POST /api/things"}, func(context.Context, createIn) (createOut, error) { return createOut{}, nil })
	f.Fuzz(func(t *testing.T, in string) {
		c := &op.Call{Op: p, Actor: who("a"), Raw: json.RawMessage(in)}
		r := l.Describe(context.Background(), c)
		e := audit.EntryOf(r)
		var v map[string]any
		if err := json.Unmarshal(e.Input, &v); len(e.Input) > audit.MaxInput+64 || err != nil && strings.HasPrefix(strings.TrimSpace(in), "{") {
			t.Errorf("%d bytes, %v: %s", len(e.Input), err, e.Input)
		}
		if given, ok := v["password"].(string); ok && given != audit.Mask {
			t.Errorf("the password is kept: %s", e.Input)
		}
		var sent struct {
			Password string `json:"password"`
		}
		if json.Unmarshal([]byte(in), &sent) == nil && len(sent.Password) > 8 && !strings.ContainsRune(sent.Password, '…') && v["password"] == audit.Mask {
			for _, text := range texts(v) {
				if strings.Contains(text, sent.Password) {
					t.Errorf("%q is kept elsewhere: %s", sent.Password, e.Input)
				}
			}
		}
	})
}

// texts lists all strings in a JSON value.
func texts(v any) (found []string) {
	switch v := v.(type) {
	case string:
		found = append(found, v)
	case []any:
		for _, item := range v {
			found = append(found, texts(item)...)
		}
	case map[string]any:
		for _, item := range v {
			found = append(found, texts(item)...)
		}
	}
	return found
}
