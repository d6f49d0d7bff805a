package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"yardmaster/internal/db"
)

const (
	statusQueued  = "queued"
	statusRunning = "running"
	statusDone    = "done"
	statusFailed  = "failed"
)

type row struct {
	ID               string `db:"id"`
	Account          string `db:"account"`
	Name             string `db:"name"`
	Template         string `db:"template"`
	Scopes           string `db:"scopes"`
	Enabled          bool   `db:"enabled"`
	TokenHash        string `db:"token_hash"`
	Signature        string `db:"signature"`
	RequireSignature bool   `db:"require_signature"`
	Sealed           string `db:"sealed"`
	ChatID           string `db:"chat_id"`
	LastDeliveryAt   int64  `db:"last_delivery_at"`
	CreatedAt        int64  `db:"created_at"`
	UpdatedAt        int64  `db:"updated_at"`
}

type deliveryRow struct {
	ID         string `db:"id"`
	Account    string `db:"account"`
	Webhook    string `db:"webhook"`
	SenderID   string `db:"sender_id"`
	Method     string `db:"method"`
	Payload    string `db:"payload"`
	Template   string `db:"template"`
	Scopes     string `db:"scopes"`
	ReplayOf   string `db:"replay_of"`
	Status     string `db:"status"`
	Attempts   int    `db:"attempts"`
	TurnID     string `db:"turn_id"`
	Detail     string `db:"detail"`
	CreatedAt  int64  `db:"created_at"`
	StartedAt  int64  `db:"started_at"`
	FinishedAt int64  `db:"finished_at"`
}

// rights are the scopes with which the delivery is carried out.
func (d deliveryRow) rights() ([]string, error) {
	var scopes []string
	if err := json.Unmarshal([]byte(d.Scopes), &scopes); err != nil {
		return nil, fmt.Errorf("rights of %s: %w", d.ID, err)
	}
	return scopes, nil
}

const (
	columns         = `id, account, name, template, scopes, enabled, token_hash, signature, require_signature, sealed, chat_id, last_delivery_at, created_at, updated_at`
	deliveryColumns = `id, account, webhook, sender_id, method, payload, template, scopes, replay_of, status, attempts, turn_id, detail, created_at, started_at, finished_at`
)

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func insertRow(tx *db.Tx, r row) (bool, error) {
	n, err := tx.Exec(`INSERT INTO webhooks (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, name) DO NOTHING`,
		r.ID, r.Account, r.Name, r.Template, r.Scopes, toInt(r.Enabled), r.TokenHash, r.Signature, toInt(r.RequireSignature), r.Sealed, r.ChatID, r.LastDeliveryAt, r.CreatedAt, r.UpdatedAt)
	return n > 0, err
}

func updateRow(tx *db.Tx, r row) error {
	_, err := tx.Exec(`UPDATE webhooks SET name = ?, template = ?, scopes = ?, enabled = ?, token_hash = ?, signature = ?, require_signature = ?, sealed = ?, updated_at = ?
		WHERE account = ? AND id = ?`,
		r.Name, r.Template, r.Scopes, toInt(r.Enabled), r.TokenHash, r.Signature, toInt(r.RequireSignature), r.Sealed, r.UpdatedAt, r.Account, r.ID)
	return err
}

// getRow finds a webhook of an account by id or name.
func getRow(tx *db.Tx, account, ref string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM webhooks WHERE account = ? AND (id = ? OR name = ?)`, account, ref, ref)
	return r, err
}

// getByToken finds the webhook of whatever account that has a token; its hash is what is compared.
func getByToken(tx *db.Tx, hash string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM webhooks WHERE token_hash = ?`, hash)
	return r, err
}

func nameTaken(tx *db.Tx, account, name, except string) (bool, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM webhooks WHERE account = ? AND name = ? AND id <> ?`, account, name, except)
	return n > 0, err
}

func countRows(tx *db.Tx, account string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM webhooks WHERE account = ?`, account)
	return n, err
}

func listRows(tx *db.Tx, account, after string, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM webhooks WHERE account = ? AND id > ? ORDER BY id LIMIT ?`, account, after, limit)
	return rows, err
}

func deleteRow(tx *db.Tx, account, id string) error {
	if _, err := tx.Exec(`DELETE FROM webhook_deliveries WHERE account = ? AND webhook = ?`, account, id); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM webhooks WHERE account = ? AND id = ?`, account, id)
	return err
}

// insertDelivery stores a delivery. One that the sender has sent before is left alone, and false is answered.
func insertDelivery(tx *db.Tx, d deliveryRow) (bool, error) {
	n, err := tx.Exec(`INSERT INTO webhook_deliveries (`+deliveryColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (webhook, sender_id) WHERE sender_id <> '' DO NOTHING`,
		d.ID, d.Account, d.Webhook, d.SenderID, d.Method, d.Payload, d.Template, d.Scopes, d.ReplayOf, d.Status, d.Attempts, d.TurnID, d.Detail, d.CreatedAt, d.StartedAt, d.FinishedAt)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.Exec(`UPDATE webhooks SET last_delivery_at = ? WHERE account = ? AND id = ?`, d.CreatedAt, d.Account, d.Webhook)
	return true, err
}

func getDelivery(tx *db.Tx, account, webhook, id string) (deliveryRow, error) {
	var d deliveryRow
	err := tx.Get(&d, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE account = ? AND webhook = ? AND id = ?`, account, webhook, id)
	return d, err
}

func getBySender(tx *db.Tx, account, webhook, senderID string) (deliveryRow, error) {
	var d deliveryRow
	err := tx.Get(&d, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE account = ? AND webhook = ? AND sender_id = ?`, account, webhook, senderID)
	return d, err
}

func countOpen(tx *db.Tx, account, webhook string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM webhook_deliveries WHERE account = ? AND webhook = ? AND finished_at = 0`, account, webhook)
	return n, err
}

func oldestOpen(tx *db.Tx, account, webhook string) (deliveryRow, error) {
	var d deliveryRow
	err := tx.Get(&d, `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE account = ? AND webhook = ? AND finished_at = 0 ORDER BY id LIMIT 1`, account, webhook)
	return d, err
}

func startDelivery(tx *db.Tx, d deliveryRow, now time.Time) error {
	_, err := tx.Exec(`UPDATE webhook_deliveries SET status = ?, attempts = attempts + CASE WHEN turn_id = '' THEN 1 ELSE 0 END,
		started_at = CASE WHEN started_at = 0 THEN ? ELSE started_at END WHERE account = ? AND id = ?`, statusRunning, db.Millis(now), d.Account, d.ID)
	return err
}

func setTurn(tx *db.Tx, d deliveryRow, turn string) error {
	_, err := tx.Exec(`UPDATE webhook_deliveries SET turn_id = ? WHERE account = ? AND id = ?`, turn, d.Account, d.ID)
	return err
}

// finishDelivery closes a delivery and tells whether it was still there.
func finishDelivery(tx *db.Tx, d deliveryRow, status, detail string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE webhook_deliveries SET status = ?, detail = ?, finished_at = ? WHERE account = ? AND id = ?`, status, detail, db.Millis(now), d.Account, d.ID)
	return n > 0, err
}

// prune removes deliveries that have ended: those from before a time, and all but the newest.
func prune(tx *db.Tx, account, webhook string, before time.Time, keep int) error {
	_, err := tx.Exec(`DELETE FROM webhook_deliveries WHERE account = ? AND webhook = ? AND finished_at > 0 AND (created_at < ?
		OR id < (SELECT id FROM webhook_deliveries WHERE webhook = ? ORDER BY id DESC LIMIT 1 OFFSET ?))`,
		account, webhook, db.Millis(before), webhook, keep-1)
	return err
}

func listDeliveries(tx *db.Tx, account, webhook, before string, limit int) ([]deliveryRow, error) {
	var rows []deliveryRow
	query, args := `SELECT `+deliveryColumns+` FROM webhook_deliveries WHERE account = ? AND webhook = ?`, []any{account, webhook}
	if before != "" {
		query, args = query+` AND id < ?`, append(args, before)
	}
	err := tx.Select(&rows, query+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	return rows, err
}
