package fleet

import (
	"encoding/json"
	"fmt"

	"yardmaster/internal/db"
)

// keptRevisions is how many configs of an instance are kept.
const keptRevisions = 100

func insertConfig(tx *db.Tx, account, instance string, revision int64, c Config, now int64) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO instance_configs (account, instance, revision, config, created_at) VALUES (?, ?, ?, ?, ?)`,
		account, instance, revision, string(raw), now); err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM instance_configs WHERE account = ? AND instance = ? AND revision <= ?`, account, instance, revision-keptRevisions)
	return err
}

func readConfig(tx *db.Tx, account, instance string, revision int64) (Config, error) {
	var raw string
	if err := tx.Get(&raw, `SELECT config FROM instance_configs WHERE account = ? AND instance = ? AND revision = ?`, account, instance, revision); err != nil {
		return Config{}, fmt.Errorf("config %d of %s: %w", revision, instance, err)
	}
	var c Config
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return Config{}, fmt.Errorf("config %d of %s: %w", revision, instance, err)
	}
	c.fill()
	return c, nil
}

// skillRow is a skill in an instance. Placed differs from Digest while the files are not those that are wanted.
type skillRow struct {
	Instance string `db:"instance"`
	Skill    string `db:"skill"`
	Name     string `db:"name"`
	Version  int    `db:"version"`
	Digest   string `db:"digest"`
	Withhold string `db:"withhold"`
	Placed   string `db:"placed"`
}

const skillColumns = `instance, skill, name, version, digest, withhold, placed`

func (k skillRow) withhold() []string {
	var patterns []string
	_ = json.Unmarshal([]byte(k.Withhold), &patterns) // written by this package alone
	return patterns
}

func putSkill(tx *db.Tx, account string, k skillRow) error {
	_, err := tx.Exec(`INSERT INTO instance_skills (account, `+skillColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (instance, skill) DO UPDATE SET name = excluded.name, version = excluded.version, digest = excluded.digest,
		withhold = excluded.withhold, placed = excluded.placed`,
		account, k.Instance, k.Skill, k.Name, k.Version, k.Digest, k.Withhold, k.Placed)
	return err
}

func dropSkill(tx *db.Tx, account, instance, skill string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM instance_skills WHERE account = ? AND instance = ? AND skill = ?`, account, instance, skill)
	return n > 0, err
}

func skillsOf(tx *db.Tx, account, instance string) ([]skillRow, error) {
	var rows []skillRow
	err := tx.Select(&rows, `SELECT `+skillColumns+` FROM instance_skills WHERE account = ? AND instance = ? ORDER BY name`, account, instance)
	return rows, err
}

// skillsOfAll answers the installed skills of an account by instance.
func skillsOfAll(tx *db.Tx, account string) (map[string][]skillRow, error) {
	var rows []skillRow
	if err := tx.Select(&rows, `SELECT `+skillColumns+` FROM instance_skills WHERE account = ? ORDER BY instance, name`, account); err != nil {
		return nil, err
	}
	by := map[string][]skillRow{}
	for _, k := range rows {
		by[k.Instance] = append(by[k.Instance], k)
	}
	return by, nil
}

// instancesWith lists the ids of the instances that have a skill.
func instancesWith(tx *db.Tx, account, skill string) ([]string, error) {
	var ids []string
	err := tx.Select(&ids, `SELECT instance FROM instance_skills WHERE account = ? AND skill = ? ORDER BY instance`, account, skill)
	return ids, err
}
