package fleet

import (
	"encoding/json"
	"errors"
	"strings"

	"yardmaster/internal/db"
)

// row is an instance as it is stored.
type row struct {
	ID         string `db:"id"`
	Account    string `db:"account"`
	Name       string `db:"name"`
	NameKey    string `db:"name_key"`
	Kind       string `db:"kind"`
	Status     string `db:"status"`
	Change     int64  `db:"change"`
	Ready      bool   `db:"ready"`
	Restarts   int    `db:"restarts"`
	Labels     string `db:"labels"`
	Driver     string `db:"driver"`
	Isolation  string `db:"isolation"`
	Checkpoint string `db:"checkpoint"`
	Source     string `db:"source"`
	Experiment string `db:"experiment"`
	Revision   int64  `db:"revision"`
	LastError  string `db:"last_error"`
	Effect     string `db:"effect"`
	LastEffect string `db:"last_effect"`
	CreatedAt  int64  `db:"created_at"`
	UpdatedAt  int64  `db:"updated_at"`
	StartedAt  int64  `db:"started_at"`
}

const columns = `id, account, name, name_key, kind, status, change, ready, restarts, labels, driver, isolation, checkpoint,
	source, experiment, revision, last_error, effect, last_effect, created_at, updated_at, started_at`

func (r row) labels() map[string]string {
	labels := map[string]string{}
	// The column is written by setLabels alone; a text that does not parse reads as no labels.
	_ = json.Unmarshal([]byte(r.Labels), &labels)
	return labels
}

func (r *row) setLabels(labels map[string]string) error {
	raw, err := json.Marshal(labels)
	r.Labels = string(raw)
	return err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func insertRow(tx *db.Tx, r row) error {
	_, err := tx.Exec(`INSERT INTO instances (`+columns+`) VALUES (?`+strings.Repeat(", ?", 21)+`)`,
		r.ID, r.Account, r.Name, r.NameKey, r.Kind, r.Status, r.Change, flag(r.Ready), r.Restarts, r.Labels, r.Driver, r.Isolation, r.Checkpoint,
		r.Source, r.Experiment, r.Revision, r.LastError, r.Effect, r.LastEffect, r.CreatedAt, r.UpdatedAt, r.StartedAt)
	return err
}

// updateRow writes all that may change of a row, provided that nobody changed what is wanted since the row was read: it
// answers false when somebody did.
func updateRow(tx *db.Tx, r row, readChange int64) (bool, error) {
	n, err := tx.Exec(`UPDATE instances SET name = ?, name_key = ?, status = ?, change = ?, ready = ?, restarts = ?, labels = ?, driver = ?,
		isolation = ?, revision = ?, last_error = ?, last_effect = ?, updated_at = ?, started_at = ? WHERE account = ? AND id = ? AND change = ?`,
		r.Name, r.NameKey, r.Status, r.Change, flag(r.Ready), r.Restarts, r.Labels, r.Driver,
		r.Isolation, r.Revision, r.LastError, r.LastEffect, r.UpdatedAt, r.StartedAt, r.Account, r.ID, readChange)
	return n == 1, err
}

// rowByID answers db.ErrNoRows when the account has no such instance.
func rowByID(tx *db.Tx, account, id string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM instances WHERE account = ? AND id = ?`, account, id)
	return r, err
}

func rowByName(tx *db.Tx, account, name string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM instances WHERE account = ? AND name_key = ?`, account, nameKey(name))
	return r, err
}

func rowByEffect(tx *db.Tx, account, effect string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM instances WHERE account = ? AND effect = ?`, account, effect)
	return r, err
}

// listRows answers the instances of an account with ids after the given one, in the order of their making.
func listRows(tx *db.Tx, account, after string) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM instances WHERE account = ? AND id > ? ORDER BY id`, account, after)
	return rows, err
}

func countRows(tx *db.Tx, account string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM instances WHERE account = ? AND status <> ?`, account, Deleting)
	return n, err
}

func nameTaken(tx *db.Tx, account, name string) (bool, error) {
	var one int
	err := tx.Get(&one, `SELECT 1 FROM instances WHERE account = ? AND name_key = ?`, account, nameKey(name))
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// resting is an instance as reconciling sees it.
type resting struct {
	ID      string `db:"id"`
	Account string `db:"account"`
	Status  string `db:"status"`
}

// everyInstance lists the instances of all accounts. It is for the platform itself, at its start, and for nobody's request.
func everyInstance(tx *db.Tx) ([]resting, error) {
	var all []resting
	err := tx.Select(&all, `SELECT id, account, status FROM instances ORDER BY id`)
	return all, err
}

// eraseRows removes all that is stored of an instance.
func eraseRows(tx *db.Tx, account, id string) error {
	for _, query := range []string{
		`DELETE FROM instance_skills WHERE account = ? AND instance = ?`,
		`DELETE FROM instance_configs WHERE account = ? AND instance = ?`,
		`DELETE FROM instances WHERE account = ? AND id = ?`,
	} {
		if _, err := tx.Exec(query, account, id); err != nil {
			return err
		}
	}
	return nil
}
