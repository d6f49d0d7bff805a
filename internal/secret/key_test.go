package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func testKey(t testing.TB, fill byte) KeyWrapper {
	t.Helper()
	k, err := NewMasterKey(bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSeal(t *testing.T) {
	t.Parallel()
	k := testKey(t, 1)
	aad := place("secret", "acct_a", "NAME", "1")
	for _, plain := range []string{"", "x", strings.Repeat("long", 20000), "\x00\xff"} {
		sealed, err := seal(k, []byte(plain), aad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := unseal(k, sealed, aad); err != nil || string(got) != plain {
			t.Fatalf("%d bytes came back as %d, %v", len(plain), len(got), err)
		}
		again, err := seal(k, []byte(plain), aad)
		if err != nil || again == sealed {
			t.Errorf("sealed twice the same, %v", err)
		}
	}
	sealed, err := seal(k, []byte("the value"), aad)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sealed, "value") {
		t.Error("the value is readable")
	}
	for what, other := range map[string][]byte{
		"account": place("secret", "acct_b", "NAME", "1"), "name": place("secret", "acct_a", "NAMES", "1"), "version": place("secret", "acct_a", "NAME", "2"),
		"borders": place("secret", "acct_aN", "AME", "1"), "purpose": place("sealed", "acct_a", "NAME", "1"),
	} {
		if _, err := unseal(k, sealed, other); !errors.Is(err, errSealed) {
			t.Errorf("opened for another %s: %v", what, err)
		}
	}
	if _, err := unseal(testKey(t, 2), sealed, aad); !errors.Is(err, errSealed) {
		t.Errorf("opened with another key: %v", err)
	}
	for i := range len(sealed) { // every changed character is noticed
		changed := []byte(sealed)
		changed[i] ^= byte(1 + i%3)
		if got, err := unseal(k, string(changed), aad); err == nil {
			t.Fatalf("changed at %d it still opens as %q", i, got)
		}
		if _, err := unseal(k, sealed[:i], aad); err == nil {
			t.Fatalf("cut at %d it still opens", i)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	k := testKey(f, 1)
	sealed, err := seal(k, []byte("the value"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("v1.." + strings.Repeat(".", 3))
	f.Add("v1." + k.ID() + ".AAAA.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := unseal(k, text, nil)
		if err == nil && string(got) != "the value" { // nothing else was ever sealed with this key
			t.Fatalf("%q opens as %q", text, got)
		}
		if err != nil && !errors.Is(err, errSealed) {
			t.Fatal(err)
		}
	})
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := readKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
	made, err := makeKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != 65 {
		t.Errorf("%v, %v", info, err)
	}
	read, err := readKey(dir)
	if err != nil || read.ID() != made.ID() {
		t.Errorf("read %v, %v", read, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := makeKey(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made a second time: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was overwritten, %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	for _, printed := range []string{fmt.Sprint(made), fmt.Sprintf("%+v %#v", made, made)} {
		if strings.Contains(printed, string(before[:16])) || !strings.Contains(printed, made.ID()) {
			t.Errorf("printed as %s", printed)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by all: %v", err)
	}
	for _, text := range []string{"", "short", strings.Repeat("zz", 32), strings.Repeat("ab", 33)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKey(dir); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestValueIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const word = "hunter2-hunter2"
	in := CreateIn{Name: "N", Value: word}
	v := Value(word)
	up := UpdateIn{Value: &v}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "value", v, "in", in, "up", up)
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "value", v, "in", in, "up", up)
	raw, err := json.Marshal([]any{in, up, v, map[string]Value{"k": v}})
	if err != nil {
		t.Fatal(err)
	}
	printed := log.String() + string(raw) + v.String() + v.GoString()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s"} {
		printed += fmt.Sprintf(verb+verb, v, in) + fmt.Sprintf(verb, []Value{v}) + fmt.Sprintf(verb, v.check())
	}
	printed += fmt.Errorf("wrapped: %v", in).Error()
	for _, hidden := range []string{word, fmt.Sprintf("%x", word), fmt.Sprintf("%X", word)} {
		if strings.Contains(printed, hidden) {
			t.Errorf("printed as %s", printed)
		}
	}
	var back CreateIn
	if err := json.Unmarshal([]byte(`{"name":"N","value":"`+word+`"}`), &back); err != nil || back.Value.reveal() != word {
		t.Errorf("decoding: %v", err)
	}
}
