package secret

import (
	"encoding/json"
	"errors"
	"fmt"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/id"
)

type row struct {
	ID          string `db:"id"`
	Account     string `db:"account"`
	Name        string `db:"name"`
	Description string `db:"description"`
	Global      bool   `db:"is_global"`
	Hosts       string `db:"hosts"`
	Version     int64  `db:"version"`
	Sealed      string `db:"sealed"`
	CreatedAt   int64  `db:"created_at"`
	UpdatedAt   int64  `db:"updated_at"`
}

type grantRow struct {
	Secret    string `db:"secret"`
	Instance  string `db:"instance"`
	Name      string `db:"name"`
	GrantedAt int64  `db:"granted_at"`
}

const columns = `id, account, name, description, is_global, hosts, version, sealed, created_at, updated_at`

// getRow finds a secret of an account by id or name.
func getRow(tx *db.Tx, account, ref string) (row, error) {
	column := "name"
	if id.Is(id.Secret, ref) {
		column = "id"
	}
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM secrets WHERE account = ? AND `+column+` = ?`, account, ref)
	if errors.Is(err, db.ErrNoRows) {
		return r, errs.New(errs.NotFound, "There is no secret %q.", ref)
	}
	return r, err
}

func listRows(tx *db.Tx, account, after string, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM secrets WHERE account = ? AND id > ? ORDER BY id LIMIT ?`, account, after, limit)
	return rows, err
}

// usableRows lists the secrets that an instance may use.
func usableRows(tx *db.Tx, account, instance string) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM secrets WHERE account = ? AND (is_global = 1 OR id IN
		(SELECT secret FROM secret_grants WHERE account = ? AND instance = ?)) ORDER BY name`, account, account, instance)
	return rows, err
}

func countRows(tx *db.Tx, account string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT COUNT(*) FROM secrets WHERE account = ?`, account)
	return n, err
}

func insertRow(tx *db.Tx, r row) error {
	n, err := tx.Exec(`INSERT INTO secrets (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, name) DO NOTHING`,
		r.ID, r.Account, r.Name, r.Description, toInt(r.Global), r.Hosts, r.Version, r.Sealed, r.CreatedAt, r.UpdatedAt)
	if err == nil && n == 0 {
		return errs.New(errs.Conflict, "There is already a secret named %s; update that one.", r.Name)
	}
	return err
}

func updateRow(tx *db.Tx, r row) error {
	_, err := tx.Exec(`UPDATE secrets SET description = ?, is_global = ?, hosts = ?, version = ?, sealed = ?, updated_at = ? WHERE account = ? AND id = ?`,
		r.Description, toInt(r.Global), r.Hosts, r.Version, r.Sealed, r.UpdatedAt, r.Account, r.ID)
	return err
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func deleteRow(tx *db.Tx, account, secret string) error {
	if _, err := tx.Exec(`DELETE FROM secret_grants WHERE account = ? AND secret = ?`, account, secret); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM secrets WHERE account = ? AND id = ?`, account, secret)
	return err
}

// grants lists the grants of secrets in the order of their making.
func grants(tx *db.Tx, account string, secrets ...string) ([]grantRow, error) {
	var rows []grantRow
	if len(secrets) == 0 {
		return rows, nil
	}
	query, args, err := tx.In(`SELECT secret, instance, name, granted_at FROM secret_grants WHERE account = ? AND secret IN (?) ORDER BY granted_at, instance`, account, secrets)
	if err != nil {
		return nil, err
	}
	err = tx.Select(&rows, query, args...)
	return rows, err
}

func insertGrant(tx *db.Tx, account string, g grantRow) (bool, error) {
	n, err := tx.Exec(`INSERT INTO secret_grants (account, secret, instance, name, granted_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, secret, instance) DO NOTHING`,
		account, g.Secret, g.Instance, g.Name, g.GrantedAt)
	return n > 0, err
}

func deleteGrant(tx *db.Tx, account, secret, instance string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM secret_grants WHERE account = ? AND secret = ? AND instance = ?`, account, secret, instance)
	return n > 0, err
}

func forgetGrants(tx *db.Tx, account, instance string) error {
	_, err := tx.Exec(`DELETE FROM secret_grants WHERE account = ? AND instance = ?`, account, instance)
	return err
}

type checkRow struct {
	ID     string `db:"id"`
	Sealed string `db:"sealed"`
}

func keyChecks(tx *db.Tx) ([]checkRow, error) {
	var rows []checkRow
	err := tx.Select(&rows, `SELECT id, sealed FROM key_checks ORDER BY id`)
	return rows, err
}

func insertCheck(tx *db.Tx, r checkRow, at int64) error {
	_, err := tx.Exec(`INSERT INTO key_checks (id, account, sealed, created_at) VALUES (?, '', ?, ?) ON CONFLICT (id) DO NOTHING`, r.ID, r.Sealed, at)
	return err
}

// secret is the row as it is shown, without grants.
func (r *row) secret() (Secret, error) {
	s := Secret{ID: r.ID, Name: r.Name, Description: r.Description, IsGlobal: r.Global, Hosts: []string{}, Version: r.Version, Grants: []Grant{},
		CreatedAt: db.Time(r.CreatedAt), UpdatedAt: db.Time(r.UpdatedAt)}
	if err := json.Unmarshal([]byte(r.Hosts), &s.Hosts); err != nil {
		return s, fmt.Errorf("secret %s: %w", r.ID, err)
	}
	return s, nil
}
