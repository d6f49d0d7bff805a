package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func matcherOf(texts ...string) *Matcher {
	var ps []pattern
	for i, t := range texts {
		ps = append(ps, pattern{t, fmt.Sprintf("<%d>", i)})
	}
	return newMatcher(ps)
}

func TestMask(t *testing.T) {
	t.Parallel()
	m := matcherOf("abcdefgh", "cdefghij", "abcdefghijkl", "ijkl", "xx")
	for in, want := range map[string]string{
		"": "", "nothing": "nothing", "abcdefgh": "<0>", "-abcdefgh-": "-<0>-", "abcdefghij": "<0>", "abcdefghijkl": "<2>", "abcdefgabcdefgh": "abcdefg<0>",
		"xxx": "<4>", "xxxx": "<4>", "xaxx": "xa<4>", "abcdefg": "abcdefg", "cdefghijkl": "<1>", "ijklijkl": "<3><3>", "é abcdefgh é": "é <0> é",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if got := m.Mask(in); strings.Contains(got, "abcdefgh") || strings.Contains(got, "xx") {
			t.Errorf("%q is still in %q", in, got)
		}
	}
	var none *Matcher
	if got := none.Mask("text"); got != "text" {
		t.Errorf("no patterns: %q", got)
	}
}

// naive masks what any pattern covers, position by position.
func naive(patterns []string, text string) string {
	covered := make([]bool, len(text))
	for _, p := range patterns {
		for i := 0; i+len(p) <= len(text); i++ {
			if text[i:i+len(p)] == p {
				for j := range p {
					covered[i+j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		if !covered[i] {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// TestMaskModel compares with a naive search, and the writer with the function, for any cutting into pieces.
func TestMaskModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab]{1,6}`)
		words := rapid.SliceOfNDistinct(word, 1, 8, rapid.ID[string]).Draw(t, "words")
		var ps []pattern
		for _, w := range words {
			ps = append(ps, pattern{w, ""})
		}
		m := newMatcher(ps)
		text := rapid.StringMatching(`[abc]{0,40}`).Draw(t, "text")
		want := naive(words, text)
		if got := m.Mask(text); got != want {
			t.Fatalf("%q in %q: %q, want %q", words, text, got, want)
		}
		var out strings.Builder
		w := NewWriter(&out, m)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if k, err := w.Write([]byte(rest[:n])); k != n || err != nil {
				t.Fatal(k, err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Fatalf("written %q in %q: %q, want %q", words, text, out.String(), want)
		}
	})
}

// TestWriterHoldsLittle: a stream is not held up longer than a known text may still come.
func TestWriterHoldsLittle(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := NewWriter(&out, matcherOf("secret-value", strings.Repeat("k", 60000)))
	step := func(in, want string) {
		t.Helper()
		if _, err := w.Write([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("after %q: %q, want %q", in, out.String(), want)
		}
	}
	step("line one\n", "line one\n")
	step("my secr", "line one\nmy ")
	step("etary", "line one\nmy secretary")
	step(" secret-", "line one\nmy secretary ")
	step("value!", "line one\nmy secretary <0>!")
	w = NewWriter(failingWriter{}, matcherOf("secret-value"))
	if _, err := w.Write([]byte("text")); err == nil {
		t.Error("the error of the writer below is lost")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestPatterns(t *testing.T) {
	t.Parallel()
	const value = `p@ss"word/+ with space`
	m := newMatcher(patterns("DB", value))
	for _, form := range []string{
		value, url.QueryEscape(value), url.PathEscape(value), `p@ss\"word/+ with space`,
		base64.StdEncoding.EncodeToString([]byte(value)), base64.URLEncoding.EncodeToString([]byte(value)),
	} {
		if got := m.Mask("x " + form + " y"); !strings.HasPrefix(got, "x [secret DB]") {
			t.Errorf("%q came through as %q", form, got)
		}
	}
	pem := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBK\nshort\n-----END KEY-----\n"
	m = newMatcher(patterns("PEM", pem))
	for in, want := range map[string]string{
		"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBK": "[secret PEM]", "-----BEGIN KEY-----": "-----BEGIN KEY-----", "short": "short", pem: "[secret PEM]",
	} {
		if got := m.Mask(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if ps := patterns("S", "1234567"); ps != nil {
		t.Errorf("a short value is looked for: %q", ps)
	}
}

func BenchmarkMask(b *testing.B) {
	var ps []pattern
	for i := range 200 {
		ps = append(ps, patterns("N", fmt.Sprintf("sk_live_%032d", i*7919))...)
	}
	m := newMatcher(ps)
	line := strings.Repeat("2026-01-01 12:00:00 GET /api/instances 200 sk_live_00 ", 20)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		m.Mask(line)
	}
}
