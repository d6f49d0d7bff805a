package skill

import (
	"encoding/json"
	"errors"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
)

// row is a skill with one of its versions.
type row struct {
	ID          string `db:"id"`
	Name        string `db:"name"`
	Newest      int    `db:"newest"`
	CreatedAt   int64  `db:"created_at"`
	UpdatedAt   int64  `db:"updated_at"`
	Version     int    `db:"version"`
	Digest      string `db:"digest"`
	Description string `db:"description"`
	Requires    string `db:"requires"`
	Files       string `db:"files"`
	Warnings    string `db:"warnings"`
	Verdict     string `db:"verdict"`
	Source      string `db:"source"`
	Revision    string `db:"revision"`
	MadeAt      int64  `db:"made_at"`
}

const (
	selectRow = `SELECT s.id, s.name, s.version AS newest, s.created_at, s.updated_at, v.version, v.digest, v.description, v.requires, v.files,
		v.warnings, v.verdict, v.source, v.revision, v.created_at AS made_at
		FROM skills s JOIN skill_versions v ON v.account = s.account AND v.skill = s.id`
	newest = ` AND v.version = s.version`
)

// getRow finds a skill of an account by id or name with its newest version.
func getRow(tx *db.Tx, account, ref string) (row, error) {
	return getVersion(tx, account, ref, 0)
}

// getVersion finds a skill of an account by id or name with one of its versions; n = 0 is the newest.
func getVersion(tx *db.Tx, account, ref string, n int) (row, error) {
	column := "s.name"
	if id.Is(id.Skill, ref) {
		column = "s.id"
	}
	var r row
	err := tx.Get(&r, selectRow+newest+` WHERE s.account = ? AND `+column+` = ?`, account, ref)
	if errors.Is(err, db.ErrNoRows) {
		return r, errs.New(errs.NotFound, "There is no skill %q.", ref)
	}
	if err != nil || n == 0 || n == r.Version {
		return r, err
	}
	newestVersion := r.Newest
	err = tx.Get(&r, selectRow+` WHERE s.account = ? AND s.id = ? AND v.version = ?`, account, r.ID, n)
	if errors.Is(err, db.ErrNoRows) {
		return r, errs.New(errs.NotFound, "The skill %s has no version %d; its versions are 1 to %d.", r.Name, n, newestVersion)
	}
	return r, err
}

func listRows(tx *db.Tx, account, after string, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, selectRow+newest+` WHERE s.account = ? AND s.id > ? ORDER BY s.id LIMIT ?`, account, after, limit)
	return rows, err
}

func versionRows(tx *db.Tx, account, skill string) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, selectRow+` WHERE s.account = ? AND s.id = ? ORDER BY v.version DESC`, account, skill)
	return rows, err
}

// insertSkill adds a skill with its first version. Conflict when the name is taken.
func insertSkill(tx *db.Tx, account string, r row) error {
	n, err := tx.Exec(`INSERT INTO skills (id, account, name, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, name) DO NOTHING`,
		r.ID, account, r.Name, r.Version, r.CreatedAt, r.UpdatedAt)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Conflict, "There is already a skill named %s; update that one, or give the new one another name.", r.Name)
	}
	return insertVersion(tx, account, r)
}

// addVersion makes r.Version the newest, if the newest is still the one before.
func addVersion(tx *db.Tx, account string, r row) error {
	n, err := tx.Exec(`UPDATE skills SET version = ?, updated_at = ? WHERE account = ? AND id = ? AND version = ?`, r.Version, r.UpdatedAt, account, r.ID, r.Version-1)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Conflict, "The skill %s was changed or deleted by somebody else meanwhile; look at it and try again.", r.Name)
	}
	return insertVersion(tx, account, r)
}

func insertVersion(tx *db.Tx, account string, r row) error {
	_, err := tx.Exec(`INSERT INTO skill_versions (account, skill, version, digest, description, requires, files, warnings, verdict, source, revision, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		account, r.ID, r.Version, r.Digest, r.Description, r.Requires, r.Files, r.Warnings, r.Verdict, r.Source, r.Revision, r.MadeAt)
	return err
}

func deleteRows(tx *db.Tx, account, skill string) error {
	if _, err := tx.Exec(`DELETE FROM skill_versions WHERE account = ? AND skill = ?`, account, skill); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM skills WHERE account = ? AND id = ?`, account, skill)
	return err
}

// usedDigests lists the content that some version of any account has.
func usedDigests(tx *db.Tx) ([]string, error) {
	var digests []string
	err := tx.Select(&digests, `SELECT DISTINCT digest FROM skill_versions`)
	return digests, err
}

// getSeed answers what was seeded under a name: the skill's id and the digest; "" when nothing was.
func getSeed(tx *db.Tx, account, name string) (skill, digest string, err error) {
	var r struct {
		Skill  string `db:"skill"`
		Digest string `db:"digest"`
	}
	err = tx.Get(&r, `SELECT skill, digest FROM skill_seeds WHERE account = ? AND name = ?`, account, name)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return r.Skill, r.Digest, err
}

func putSeed(tx *db.Tx, account, name, skill, digest string) error {
	_, err := tx.Exec(`INSERT INTO skill_seeds (account, name, skill, digest) VALUES (?, ?, ?, ?)
		ON CONFLICT (account, name) DO UPDATE SET skill = excluded.skill, digest = excluded.digest`, account, name, skill, digest)
	return err
}

// encode fills the JSON columns.
func (r *row) encode(requires Requires, files []File, warnings []string, verdict Verdict) error {
	for _, c := range []struct {
		to   *string
		from any
	}{{&r.Requires, requires}, {&r.Files, files}, {&r.Warnings, warnings}, {&r.Verdict, verdict}} {
		b, err := json.Marshal(c.from)
		if err != nil {
			return fmt.Errorf("skill %s: %w", r.Name, err)
		}
		*c.to = string(b)
	}
	return nil
}

// skill is the row as it is shown.
func (r *row) skill() (Skill, error) {
	s := Skill{ID: r.ID, Name: r.Name, Description: r.Description, Version: r.Version, Digest: r.Digest, Source: r.Source, Revision: r.Revision,
		CreatedAt: db.Time(r.CreatedAt), UpdatedAt: db.Time(r.UpdatedAt)}
	for _, c := range []struct {
		from string
		to   any
	}{{r.Requires, &s.Requires}, {r.Files, &s.Files}, {r.Warnings, &s.Warnings}, {r.Verdict, &s.Validation}} {
		if err := json.Unmarshal([]byte(c.from), c.to); err != nil {
			return s, fmt.Errorf("skill %s: %w", r.ID, err)
		}
	}
	return s, nil
}
