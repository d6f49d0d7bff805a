package auth

import (
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/id"
)

const keyColumns = `k.id, k.account, k.name, k.prefix, k.hash, k.scopes, k.created_at, k.expires_at, k.last_used_at`

type keyRow struct {
	ID        string `db:"id"`
	Account   string `db:"account"`
	Name      string `db:"name"`
	Prefix    string `db:"prefix"`
	Hash      string `db:"hash"`
	Scopes    string `db:"scopes"`
	CreatedAt int64  `db:"created_at"`
	ExpiresAt int64  `db:"expires_at"`
	UsedAt    int64  `db:"last_used_at"`
}

func newRow(account, name, key string, scopes []string, expires time.Time) keyRow {
	return keyRow{ID: id.New(id.Key), Account: account, Name: name, Prefix: key[:len(Prefix)+4], Hash: hash(key),
		Scopes: strings.Join(scopes, " "), CreatedAt: db.Millis(time.Now()), ExpiresAt: db.Millis(expires)}
}

func (r keyRow) key() Key {
	k := Key{ID: r.ID, Name: r.Name, Prefix: r.Prefix, Scopes: strings.Fields(r.Scopes), CreatedAt: db.Time(r.CreatedAt)}
	if r.ExpiresAt != 0 {
		t := db.Time(r.ExpiresAt)
		k.ExpiresAt = &t
	}
	if r.UsedAt != 0 {
		t := db.Time(r.UsedAt)
		k.LastUsedAt = &t
	}
	return k
}

func insertAccount(tx *db.Tx, account, name string) error {
	_, err := tx.Exec(`INSERT INTO accounts (id, name, user_id, created_at) VALUES (?, ?, ?, ?)`, account, name, id.New(id.User), db.Millis(time.Now()))
	return err
}

func insertKey(tx *db.Tx, r keyRow) error {
	_, err := tx.Exec(`INSERT INTO api_keys (id, account, name, prefix, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Account, r.Name, r.Prefix, r.Hash, r.Scopes, r.CreatedAt, r.ExpiresAt)
	return err
}

// setUsed notes when a key was used; an earlier time than the one that is there is left out.
func setUsed(tx *db.Tx, hash string, at time.Time) error {
	_, err := tx.Exec(`UPDATE api_keys SET last_used_at = ? WHERE hash = ? AND last_used_at < ?`, db.Millis(at), hash, db.Millis(at))
	return err
}
