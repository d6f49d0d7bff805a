package skill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
)

// seed is a skill that comes with the program.
type seed struct {
	name   string
	tree   *Tree
	digest string
}

// bundledSource is the source of versions that came with the program.
const bundledSource = "bundled"

// readSeeds reads the skills of an embedded file system, one folder each.
func readSeeds(fsys fs.FS) ([]seed, error) {
	if fsys == nil {
		return nil, nil
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("bundled skills: %w", err)
	}
	var seeds []seed
	for _, e := range entries {
		if !e.IsDir() || !hasDocument(fsys, e.Name()) {
			continue
		}
		sub, err := fs.Sub(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("bundled skill %s: %w", e.Name(), err)
		}
		t, err := FromFS(sub, false)
		if err != nil {
			return nil, fmt.Errorf("bundled skill %s: %w", e.Name(), err)
		}
		_, digest := t.Manifest()
		seeds = append(seeds, seed{FolderName(e.Name()), t, digest})
	}
	return seeds, nil
}

// Seed gives an account the skills that come with the program, and new versions of those that it has and has not changed.
// One that was deleted stays deleted. It is called at every start and for every new account.
func (s *Service) Seed(ctx context.Context, account string) error {
	seeds, err := s.bundled()
	if err != nil {
		return err
	}
	for _, b := range seeds {
		d := &draft{tree: b.tree, name: b.name, source: bundledSource}
		if err := s.plant(ctx, account, b, d); err != nil {
			return fmt.Errorf("bundled skill %s: %w", b.name, err)
		}
	}
	return nil
}

// errPlanted says that there is nothing to do.
var errPlanted = errors.New("nothing to do")

func (s *Service) plant(ctx context.Context, account string, b seed, d *draft) error {
	next, err := d.row(b.name)
	if err != nil {
		return err
	}
	work := func(tx *db.Tx, write bool) error {
		r := next
		skill, digest, err := getSeed(tx, account, b.name)
		if err != nil {
			return err
		}
		if digest == b.digest {
			return errPlanted
		}
		what := "skill.created"
		if digest == "" {
			switch _, err := getRow(tx, account, b.name); {
			case err == nil:
				return errPlanted // the account has a skill of its own by that name
			case !errs.Is(err, errs.NotFound):
				return err
			}
		} else {
			old, err := getRow(tx, account, skill)
			switch {
			case errs.Is(err, errs.NotFound), err == nil && old.Digest != digest:
				return errPlanted // deleted, or changed by its owner
			case err != nil:
				return err
			}
			what = "skill.updated"
			r.ID, r.Version, r.Newest, r.CreatedAt = old.ID, old.Newest+1, old.Newest+1, old.CreatedAt
		}
		if !write {
			return nil
		}
		if r.Version == 1 {
			err = insertSkill(tx, account, r)
		} else {
			err = addVersion(tx, account, r)
		}
		if err == nil {
			err = putSeed(tx, account, b.name, r.ID, b.digest)
		}
		if err != nil {
			return err
		}
		return s.tell(tx, account, what, r)
	}
	// Most starts find nothing to do and need not write.
	err = s.db.View(ctx, func(tx *db.Tx) error { return work(tx, false) })
	if err == nil {
		err = s.keep(ctx, d, func(tx *db.Tx) error { return work(tx, true) })
	}
	if errors.Is(err, errPlanted) {
		return nil
	}
	return err
}
