package logs_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"yardmaster/internal/fleet/logs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func folder(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir
}

func add(t *testing.T, l *logs.Log, texts ...string) {
	t.Helper()
	if err := l.Append(logs.Stdout, texts...); err != nil {
		t.Fatal(err)
	}
}

func texts(lines []logs.Line) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}

func tail(t *testing.T, l *logs.Log, n int, since time.Time) []string {
	t.Helper()
	lines, err := l.Tail(n, since)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(lines); i++ {
		if !lines[i].Time.After(lines[i-1].Time) {
			t.Errorf("line %d is not later than the one before", i)
		}
	}
	return texts(lines)
}

func TestTailAndCursor(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	l := logs.New(root, "a", logs.Limits{})
	if got := tail(t, l, 10, time.Time{}); len(got) != 0 {
		t.Errorf("an unused log has %q", got)
	}
	if _, err := os.Stat(root.Name() + "/a"); err == nil {
		t.Error("reading made a folder")
	}
	add(t, l, "one", "two", "three")
	next, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, "four")
	for _, tc := range []struct {
		n     int
		since time.Time
		want  []string
	}{
		{10, time.Time{}, []string{"one", "two", "three", "four"}},
		{2, time.Time{}, []string{"three", "four"}},
		{10, next, []string{"four"}},
		{10, time.Now().Add(time.Hour), []string{}},
	} {
		if diff := cmp.Diff(tc.want, tail(t, l, tc.n, tc.since)); diff != "" {
			t.Errorf("tail %d since %v: %s", tc.n, tc.since, diff)
		}
	}
	// Another process goes on where this one ended.
	again := logs.New(root, "a", logs.Limits{})
	add(t, again, "five")
	if diff := cmp.Diff([]string{"four", "five"}, tail(t, again, 10, next)); diff != "" {
		t.Error(diff)
	}
}

func TestRotationBoundsDisk(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	l := logs.New(root, "x", logs.Limits{SegmentBytes: 1000, Segments: 3})
	for i := range 200 {
		add(t, l, fmt.Sprintf("line %03d %s", i, strings.Repeat("x", 50)))
	}
	files, err := filepath.Glob(filepath.Join(dir, "x", "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("%d files, want 3 (%v)", len(files), err)
	}
	var size int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 3000 {
		t.Errorf("%d bytes on disk, want at most 3000", size)
	}
	got := tail(t, l, 1000, time.Time{})
	if len(got) < 10 || !strings.HasPrefix(got[len(got)-1], "line 199") {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1:])
	}
	for i := 1; i < len(got); i++ {
		var a, b int
		_, _ = fmt.Sscanf(got[i-1], "line %d", &a)
		_, _ = fmt.Sscanf(got[i], "line %d", &b)
		if b != a+1 {
			t.Fatalf("after line %d comes %d", a, b)
		}
	}
}

func TestNoFolderNoLog(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	l := logs.New(root, "gone/logs", logs.Limits{})
	if err := l.Append(logs.System, "too late"); err == nil {
		t.Error("a log was written into a folder that was removed")
	}
	if _, err := os.Stat(filepath.Join(dir, "gone")); err == nil {
		t.Error("the folder is back")
	}
}

// A process that was killed within a write leaves half a line; it is cut off, and nothing else is lost.
func TestTornEnd(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	l := logs.New(root, "x", logs.Limits{})
	add(t, l, "whole")
	f, err := os.OpenFile(filepath.Join(dir, "x", "000001.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"2026-01-01T00:`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again := logs.New(root, "x", logs.Limits{})
	add(t, again, "after")
	if diff := cmp.Diff([]string{"whole", "after"}, tail(t, again, 10, time.Time{})); diff != "" {
		t.Error(diff)
	}
}

// A clock that goes back does not bring the lines out of order.
func TestTimesIncrease(t *testing.T) {
	t.Parallel()
	root, dir := folder(t)
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"time":%q,"stream":"stdout","text":"from the future"}`+"\n", future)
	if err := os.WriteFile(filepath.Join(dir, "x", "000007.jsonl"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	l := logs.New(root, "x", logs.Limits{})
	next, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, "now")
	if diff := cmp.Diff([]string{"now"}, tail(t, l, 10, next)); diff != "" {
		t.Error(diff)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	// Segments so small that following crosses many of them.
	l := logs.New(root, "x", logs.Limits{SegmentBytes: 300, Segments: 1000})
	add(t, l, "old 1", "old 2")
	next, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, "new 0")
	const n = 200
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; i < n; i++ {
			if err := l.Append(logs.Stdout, fmt.Sprint("new ", i)); err != nil {
				t.Error(err)
			}
		}
	})
	i := 0
	for line, err := range l.Follow(ctx, next) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint("new ", i); line.Text != want {
			t.Fatalf("got %q, want %q", line.Text, want)
		}
		if i++; i == n {
			break
		}
	}
	wg.Wait()
	if i != n {
		t.Errorf("%d lines followed, want %d", i, n)
	}
}

// pull starts a follower and hands out its lines one by one.
func pull(ctx context.Context, l *logs.Log, since time.Time) (func() (logs.Line, error, bool), func()) {
	return iter.Pull2(l.Follow(ctx, since))
}

func TestFollowFromNow(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	l := logs.New(root, "x", logs.Limits{})
	add(t, l, "before")
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for line, err := range l.Follow(ctx, time.Time{}) {
			if err != nil {
				t.Error(err)
			}
			got <- line.Text
		}
	}()
	// The follower may begin at any time, so lines are written until the first arrives.
	var first string
	for i := 0; first == ""; i++ {
		add(t, l, fmt.Sprint("after ", i))
		select {
		case first = <-got:
		default:
		}
	}
	if !strings.HasPrefix(first, "after") {
		t.Errorf("got %q first", first)
	}
	cancel()
	for {
		select {
		case <-got:
			continue
		case <-done:
		}
		break
	}
}

func TestFollowerLeftBehind(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	l := logs.New(root, "x", logs.Limits{SegmentBytes: 300, Segments: 2})
	add(t, l, "first")
	next, stop := pull(t.Context(), l, time.Unix(1, 0))
	defer stop()
	if line, err, ok := next(); !ok || err != nil || line.Text != "first" {
		t.Fatalf("got %v %v %v", line, err, ok)
	}
	for i := range 100 {
		add(t, l, fmt.Sprintf("line %d of many that are quite long", i))
	}
	line, err, ok := next()
	if !ok || err != nil || line.Stream != logs.System || !strings.Contains(line.Text, "dropped") {
		t.Fatalf("got %v %v %v, want to be told that lines were dropped", line, err, ok)
	}
	last := ""
	for last != "line 99 of many that are quite long" {
		line, err, ok := next()
		if !ok || err != nil {
			t.Fatalf("ended after %q: %v", last, err)
		}
		last = line.Text
	}
}

func TestCloseEndsFollowers(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	l := logs.New(root, "x", logs.Limits{})
	done := make(chan error, 1)
	go func() {
		for _, err := range l.Follow(context.Background(), time.Time{}) {
			done <- err
			return
		}
		done <- nil
	}()
	l.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := l.Append(logs.Stdout, "x"); err != logs.ErrClosed {
		t.Errorf("append after close: %v", err)
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	secret := "s3cret-value-0000"
	scrub := func(s string) string { return strings.ReplaceAll(s, secret, "[hidden]") }
	long := strings.Repeat("a", logs.MaxText-5) + secret + strings.Repeat("é", 50_000)
	for name, tc := range map[string]struct {
		in   []string // written one after the other
		want []string
	}{
		"lines":          {[]string{"one\ntwo\n"}, []string{"one", "two"}},
		"across writes":  {[]string{"o", "n", "e\nt", "wo"}, []string{"one", "two"}},
		"windows":        {[]string{"one\r\ntwo\r\n"}, []string{"one", "two"}},
		"empty lines":    {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"nothing":        {nil, []string{}},
		"not utf-8":      {[]string{"a\xff\xfeb\n"}, []string{"a\uFFFDb"}},
		"secret":         {[]string{"key=s3cret-", "value-0000!\n"}, []string{"key=[hidden]!"}},
		"secret at cut":  {[]string{long + "\nnext\n"}, nil},
		"many secrets":   {[]string{strings.Repeat(secret, 10_000) + "\nnext\n"}, nil},
		"rune in pieces": {[]string{"\xc3", "\xa9\n"}, []string{"é"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, _ := folder(t)
			l := logs.New(root, "x", logs.Limits{})
			w := l.Writer(logs.Stderr, scrub)
			for _, s := range tc.in {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("wrote %d of %d: %v", n, len(s), err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got := tail(t, l, 100, time.Time{})
			if tc.want != nil {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
				return
			}
			if len(got) != 2 || got[1] != "next" || len(got[0]) > logs.MaxText || !utf8.ValidString(got[0]) ||
				strings.Contains(got[0], "s3c") || !strings.HasSuffix(got[0], "(cut)") {
				t.Errorf("%d lines; the first has %d bytes and ends in %q", len(got), len(got[0]), got[0][max(0, len(got[0])-60):])
			}
		})
	}
}

func TestEndlessLine(t *testing.T) {
	t.Parallel()
	root, _ := folder(t)
	l := logs.New(root, "x", logs.Limits{})
	w := l.Writer(logs.Stdout, nil)
	p := bytes.Repeat([]byte("x"), 1<<20)
	for range 200 {
		_, _ = w.Write(p)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := tail(t, l, 9, time.Time{}); len(got) != 1 || len(got[0]) > logs.MaxText {
		t.Errorf("%d lines", len(got))
	}
}

func FuzzWriter(f *testing.F) {
	f.Add([]byte("a\nb\r\n\xff\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = root.Close() }()
		l := logs.New(root, "x", logs.Limits{})
		at = max(0, min(at, len(data)))
		w := l.Writer(logs.Stdout, nil)
		_, _ = w.Write(data[:at])
		_, _ = w.Write(data[at:])
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		lines, err := l.Tail(10000, time.Time{})
		if err != nil || w.Err() != nil {
			t.Fatal(err, w.Err())
		}
		want := bytes.Count(data, []byte("\n"))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			want++
		}
		if len(lines) != min(want, 10000) {
			t.Errorf("%d lines, want %d", len(lines), want)
		}
	})
}
