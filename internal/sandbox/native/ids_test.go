//go:build linux

package native

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"yardmaster/internal/errs"
)

// slotsOf makes a source of few ids that start at first.
func slotsOf(first, width, count int, dir string) *idSlots {
	return &idSlots{first: first, width: width, count: count, dir: dir, live: map[int]string{}}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	const whole = "         0          0 4294967295\n"
	const rootless = "         0       1000          1\n         1     100000      65536\n"
	for _, c := range []struct {
		text         string
		first, count int
		want         bool
	}{
		{whole, wideFirst, wideWidth * wideCount, true},
		{rootless, wideFirst, wideWidth * wideCount, false},
		{rootless, narrowFirst, narrowCount, true},
		{rootless, 0, 2, false}, // over two lines
		{"0 0 1\n", narrowFirst, narrowCount, false},
		{"", 0, 1, false},
		{"nonsense", 0, 1, false},
	} {
		if got := covers(c.text, c.first, c.count); got != c.want {
			t.Errorf("covers(%q, %d, %d) = %v", c.text, c.first, c.count, got)
		}
	}
	if wideFirst+wideWidth*wideCount > 2147352576 {
		t.Error("the ranges reach into one that systemd uses")
	}
}

func TestSlotsAndIdsAgree(t *testing.T) {
	t.Parallel()
	for _, width := range []int{1, wideWidth} {
		s := slotsOf(100000, width, 50, "")
		for slot := range s.count {
			who := s.of(slot)
			if got, ok := s.slot(who.uid); !ok || got != slot {
				t.Errorf("width %d, slot %d: came back as %d, %v", width, slot, got, ok)
			}
			req := who.fork()
			// The inside user is what the home belongs to.
			if want := int64(who.uid) - (insideID - req.Inside); req.UID != want || req.Width != int64(width) {
				t.Errorf("width %d: request %+v for %+v", width, req, who)
			}
		}
		for _, uid := range []int{0, 99999, 100000 + width*50 + insideID} {
			if _, ok := s.slot(uid); ok {
				t.Errorf("width %d: user %d has a slot", width, uid)
			}
		}
	}
}

// Whatever homes come, go, start, stop and restart the server: no two homes that exist share ids, a home that was given
// ids keeps them, and all ids are found again.
func TestNoTwoHomesShareIds(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give homes to other users")
	}
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		state := filepath.Join(dir, "ids")
		if err := os.MkdirAll(state, 0o700); err != nil {
			t.Fatal(err)
		}
		const count = 4
		s := slotsOf(100000, wideWidth, count, state)
		owner := map[string]int{}      // home to uid
		running := map[string]func(){} // home to release
		home := func(t *rapid.T) string {
			return filepath.Join(dir, rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "home"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				h := home(t)
				if running[h] != nil {
					return
				}
				if err := os.MkdirAll(h, 0o700); err != nil {
					t.Fatal(err)
				}
				who, release, err := s.take(h)
				if err != nil {
					if !errs.Is(err, errs.Capacity) || len(owner) < count {
						t.Fatalf("with %d homes: %v", len(owner), err)
					}
					return
				}
				if had, ok := owner[h]; ok && had != who.uid {
					t.Fatalf("%s had %d and got %d", h, had, who.uid)
				}
				if err := giveHome(h, who); err != nil {
					t.Fatal(err)
				}
				owner[h], running[h] = who.uid, release
			},
			"stop": func(t *rapid.T) {
				if h := home(t); running[h] != nil {
					running[h]()
					delete(running, h)
				}
			},
			"delete": func(t *rapid.T) {
				if h := home(t); running[h] == nil {
					if err := os.RemoveAll(h); err != nil {
						t.Fatal(err)
					}
					delete(owner, h)
				}
			},
			"restart the server": func(*rapid.T) {
				s = slotsOf(100000, wideWidth, count, state)
				clear(running)
			},
			"": func(t *rapid.T) {
				seen := map[int]string{}
				for h, uid := range owner {
					if other, ok := seen[uid]; ok {
						t.Fatalf("%s and %s share %d", h, other, uid)
					}
					seen[uid] = h
				}
			},
		})
	})
}

func TestGiveHomeFollowsNoLink(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give homes to other users")
	}
	dir := t.TempDir()
	home, outside := filepath.Join(dir, "home"), filepath.Join(dir, "outside")
	if err := os.MkdirAll(filepath.Join(home, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"link", "sub/link"} {
		if err := os.Symlink(outside, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	s := slotsOf(100000, wideWidth, 4, "")
	if err := giveHome(home, s.of(2)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{home: true, filepath.Join(home, "sub"): true, filepath.Join(home, "sub/link"): true, outside: false} {
		if slot, ok := s.ownerSlot(path); ok != want || ok && slot != 2 {
			t.Errorf("%s: slot %d, %v", filepath.Base(path), slot, ok)
		}
	}
}
