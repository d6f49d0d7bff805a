//go:build linux

package native

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"yardmaster/internal/errs"
	"yardmaster/internal/sandbox"
	"yardmaster/internal/sandbox/native/wire"
)

const insideID = sandbox.UserID

// ids says which host users stand behind the users of a sandbox.
type ids struct {
	uid, gid int // host ids behind the inside user
	width    int // how many ids in a row belong to the sandbox; uid and gid are at place insideID, or alone if 1
	root     bool
}

// fork is the request for an init with these ids.
func (i ids) fork() wire.Fork {
	if i.width == 1 {
		return wire.Fork{Inside: insideID, UID: int64(i.uid), GID: int64(i.gid), Width: 1, Root: i.root}
	}
	return wire.Fork{UID: int64(i.uid - insideID), GID: int64(i.gid - insideID), Width: int64(i.width), Root: i.root}
}

// idSource finds the ids of the sandbox that uses a home.
type idSource interface {
	// take reserves ids for a home until release is called. The home exists.
	take(home string) (got ids, release func(), err error)
}

// ownIDs is for a server that is not root: inside, its own user is called agent.
type ownIDs struct{ uid, gid int }

func (o ownIDs) take(string) (ids, func(), error) {
	return ids{uid: o.uid, gid: o.gid, width: 1}, func() {}, nil
}

// idSlots is for a server that is root. Each home has a range of host ids of its own, so that even outside its
// namespace a process of one instance has no right to what belongs to another. The owner of a home says which range it
// has; a symbolic link per range in the state folder, to the home, keeps ranges apart that are not running.
type idSlots struct {
	first, width, count int
	dir                 string // empty: remembered in memory only

	mu   sync.Mutex
	live map[int]string // slot to home
	next int            // where to look for a free slot first
}

// Ranges lie between those that systemd gives to containers (524288 to 1879048191) and the one it calls foreign
// (2147352576), which leaves 4094 slots of 65536.
const (
	wideFirst = 1879048192
	wideWidth = 65536
	wideCount = 4094
)

// A server that is root of a small user namespace has no such ids; its instances get one id each from these.
const (
	narrowFirst = 20000
	narrowCount = 40000
)

func newIDSlots(stateDir string) (*idSlots, error) {
	mapped, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The user ids of this server cannot be read from /proc. Mount /proc.")
	}
	s := &idSlots{live: map[int]string{}}
	switch {
	case covers(string(mapped), wideFirst, wideWidth*wideCount):
		s.first, s.width, s.count = wideFirst, wideWidth, wideCount
	case covers(string(mapped), narrowFirst, narrowCount):
		s.first, s.width, s.count = narrowFirst, 1, narrowCount
	default:
		return nil, errs.New(errs.Unavailable, "The server runs as root but has no user ids to give to instances. "+
			"Run it as an ordinary user, or in a user namespace that maps at least 65536 ids.")
	}
	if stateDir != "" {
		s.dir = filepath.Join(stateDir, "ids")
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, errs.Wrap(err, errs.Unavailable, "The folder for user ids cannot be made in the data folder.")
		}
	}
	return s, nil
}

// covers reports whether one line of a uid_map holds all ids from first on.
func covers(uidMap string, first, count int) bool {
	lines := bufio.NewScanner(strings.NewReader(uidMap))
	for lines.Scan() {
		var inside, outside, size int
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &size); err == nil {
			if inside <= first && first+count <= inside+size {
				return true
			}
		}
	}
	return false
}

// of returns the ids of a slot.
func (s *idSlots) of(slot int) ids {
	id := s.first + slot*s.width
	if s.width > 1 {
		id += insideID
	}
	return ids{uid: id, gid: id, width: s.width, root: true}
}

// slot returns the slot that a host user id is the inside user of.
func (s *idSlots) slot(uid int) (int, bool) {
	n := uid - s.first
	if s.width > 1 {
		n -= insideID
	}
	if n < 0 || n%s.width != 0 || n/s.width >= s.count {
		return 0, false
	}
	return n / s.width, true
}

func (s *idSlots) take(home string) (ids, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.ownerSlot(home); ok && s.claim(slot, home) {
		return s.of(slot), s.releaser(slot), nil
	}
	for i := range s.count {
		if slot := (s.next + i) % s.count; s.claim(slot, home) {
			s.next = slot + 1
			return s.of(slot), s.releaser(slot), nil
		}
	}
	return ids{}, nil, errs.New(errs.Capacity, "All %d ranges of user ids are in use. Delete instances.", s.count)
}

func (s *idSlots) releaser(slot int) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, slot)
	}
}

// ownerSlot returns the slot that the owner of a home belongs to.
func (s *idSlots) ownerSlot(home string) (int, bool) {
	info, err := os.Lstat(home)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.slot(int(st.Uid))
}

// claim takes a slot for a home unless it is another's. The caller holds mu.
func (s *idSlots) claim(slot int, home string) bool {
	if _, taken := s.live[slot]; taken {
		return false
	}
	if s.dir != "" {
		link := filepath.Join(s.dir, strconv.Itoa(slot))
		err := os.Symlink(home, link)
		if errors.Is(err, fs.ErrExist) {
			switch other, readErr := os.Readlink(link); {
			case readErr != nil:
				return false
			case other == home:
				err = nil
			default:
				if held, ok := s.ownerSlot(other); ok && held == slot {
					return false // that home exists and still has this range
				}
				// The home is gone, or was given to somebody else.
				if err = os.Remove(link); err == nil {
					err = os.Symlink(home, link)
				}
			}
		}
		if err != nil {
			return false
		}
	}
	s.live[slot] = home
	return true
}
