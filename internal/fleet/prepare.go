package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/fleet/checkpoint"
	"yardmaster/internal/fleet/home"
	"yardmaster/internal/sandbox"
)

// cloneEntries bounds how many files and folders a clone may have.
const cloneEntries = 1_000_000

// prepare makes the files of an instance. What an attempt before this one left is removed first.
func (s *Service) prepare(ctx context.Context, u *unit, r row) error {
	if err := s.root.Mkdir(r.ID, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := sandbox.Remove(s.root, homeOf(r.ID)); err != nil {
		return fmt.Errorf("clear the home folder: %w", err)
	}
	if err := s.root.Mkdir(homeOf(r.ID), 0o700); err != nil {
		return fmt.Errorf("make the home folder: %w", err)
	}
	if err := s.root.Mkdir(skillsOn(r.ID), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the skills folder: %w", err)
	}
	if r.Source == "" && r.Checkpoint == "" {
		return nil
	}
	select {
	case s.copies <- struct{}{}:
		defer func() { <-s.copies }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.Source != "" {
		return s.copyHome(ctx, r)
	}
	u.note("fetching " + r.Checkpoint)
	var c Config
	if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		c, err = readConfig(tx, r.Account, r.ID, r.Revision)
		return err
	}); err != nil {
		return err
	}
	if err := checkpoint.Fetch(ctx, r.Checkpoint, s.hostPath(homeOf(r.ID)), checkpoint.Limits{Time: s.checkout, Bytes: int64(c.Limits.DiskMB) << 20}); err != nil {
		return err
	}
	u.note("fetched " + r.Checkpoint)
	return nil
}

// copyHome fills the home of a clone.
func (s *Service) copyHome(ctx context.Context, r row) error {
	src, err := s.root.OpenRoot(homeOf(r.Source))
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("open the home to copy: %w", err)
	}
	defer func() { _ = src.Close() }()
	dst, err := s.root.OpenRoot(homeOf(r.ID))
	if err != nil {
		return fmt.Errorf("open the home folder: %w", err)
	}
	defer func() { _ = dst.Close() }()
	var c Config
	if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		c, err = readConfig(tx, r.Account, r.ID, r.Revision)
		return err
	}); err != nil {
		return err
	}
	if err := home.Copy(ctx, dst, src, &home.Budget{Bytes: int64(c.Limits.DiskMB) << 20, Entries: cloneEntries}); err != nil {
		return err
	}
	// A source that is deleted meanwhile loses its files one by one, and the copy would lack them. Its row says so first.
	return s.db.View(ctx, func(tx *db.Tx) error {
		now, err := rowByID(tx, r.Account, r.Source)
		if errors.Is(err, db.ErrNoRows) || err == nil && now.Status == Deleting {
			return errGone
		}
		return err
	})
}

var errGone = errs.New(errs.Conflict, "The instance that it is a clone of is gone. Delete this one and clone another.")

// placeSkills makes the skills folder hold what is installed and nothing else.
func (s *Service) placeSkills(ctx context.Context, u *unit) error {
	u.placing.Lock()
	defer u.placing.Unlock()
	var wanted []skillRow
	if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		wanted, err = skillsOf(tx, u.account, u.id)
		return err
	}); err != nil {
		return err
	}
	dir, err := s.openSkills(u.id)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, k := range wanted {
		keep[k.Name] = k.Placed == k.Digest
	}
	there := map[string]bool{}
	for _, name := range names {
		if keep[name] {
			there[name] = true
		} else if err := sandbox.Remove(dir, name); err != nil {
			return fmt.Errorf("remove %q from the skills folder: %w", name, err)
		}
	}
	for _, k := range wanted {
		if !there[k.Name] {
			if err := s.place(ctx, u, dir, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// place puts a skill's files into the skills folder and records it. The caller holds placing.
func (s *Service) place(ctx context.Context, u *unit, dir *os.Root, k skillRow) error {
	if s.skills == nil {
		return errs.New(errs.Unavailable, "This server has no store of skills, so %q can't be installed.", k.Name)
	}
	if err := s.skills.Place(ctx, k.Digest, dir, k.Name, k.withhold()); err != nil {
		return err
	}
	k.Placed = k.Digest
	return s.db.Update(ctx, func(tx *db.Tx) error {
		rows, err := skillsOf(tx, u.account, u.id)
		if err != nil {
			return err
		}
		for _, now := range rows {
			if now.Skill == k.Skill && now.Digest == k.Digest {
				return putSkill(tx, u.account, k)
			}
		}
		return nil // taken off meanwhile
	})
}

func (s *Service) openSkills(id string) (*os.Root, error) {
	if err := s.root.Mkdir(skillsOn(id), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("skills folder: %w", err)
	}
	return s.root.OpenRoot(skillsOn(id))
}

func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}
