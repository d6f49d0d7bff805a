package automation

import (
	"errors"
	"time"

	"yardmaster/internal/db"
)

const (
	causeSchedule = "schedule"
	causeCatchUp  = "catch-up"
	causeManual   = "manual"

	statusQueued  = "queued"
	statusRunning = "running"
	statusDone    = "done"
	statusFailed  = "failed"
	statusSkipped = "skipped"
)

type row struct {
	ID        string `db:"id"`
	Account   string `db:"account"`
	Name      string `db:"name"`
	Prompt    string `db:"prompt"`
	Cron      string `db:"cron"`
	Timezone  string `db:"timezone"`
	Enabled   bool   `db:"enabled"`
	Overlap   string `db:"overlap"`
	CatchUp   string `db:"catch_up"`
	ChatID    string `db:"chat_id"`
	Scopes    string `db:"scopes"`
	Failures  int    `db:"failures"`
	PausedWhy string `db:"paused_why"`
	NextRunAt int64  `db:"next_run_at"`
	LastRunAt int64  `db:"last_run_at"`
	CreatedAt int64  `db:"created_at"`
	UpdatedAt int64  `db:"updated_at"`
}

type runRow struct {
	ID         string `db:"id"`
	Account    string `db:"account"`
	Automation string `db:"automation"`
	Slot       int64  `db:"slot"`
	Cause      string `db:"cause"`
	Status     string `db:"status"`
	TurnID     string `db:"turn_id"`
	Detail     string `db:"detail"`
	StartedAt  int64  `db:"started_at"`
	FinishedAt int64  `db:"finished_at"`
	CreatedAt  int64  `db:"created_at"`
}

const (
	columns    = `id, account, name, prompt, cron, timezone, enabled, overlap, catch_up, chat_id, scopes, failures, paused_why, next_run_at, last_run_at, created_at, updated_at`
	runColumns = `id, account, automation, slot, cause, status, turn_id, detail, started_at, finished_at, created_at`
)

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func insertRow(tx *db.Tx, r row) (bool, error) {
	n, err := tx.Exec(`INSERT INTO automations (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, name) DO NOTHING`,
		r.ID, r.Account, r.Name, r.Prompt, r.Cron, r.Timezone, toInt(r.Enabled), r.Overlap, r.CatchUp, r.ChatID, r.Scopes, r.Failures, r.PausedWhy, r.NextRunAt, r.LastRunAt, r.CreatedAt, r.UpdatedAt)
	return n > 0, err
}

func updateRow(tx *db.Tx, r row) error {
	_, err := tx.Exec(`UPDATE automations SET name = ?, prompt = ?, cron = ?, timezone = ?, enabled = ?, overlap = ?, catch_up = ?, scopes = ?, failures = ?, paused_why = ?, next_run_at = ?, updated_at = ?
		WHERE account = ? AND id = ?`,
		r.Name, r.Prompt, r.Cron, r.Timezone, toInt(r.Enabled), r.Overlap, r.CatchUp, r.Scopes, r.Failures, r.PausedWhy, r.NextRunAt, r.UpdatedAt, r.Account, r.ID)
	return err
}

// getRow finds an automation of an account by id or name.
func getRow(tx *db.Tx, account, ref string) (row, error) {
	var r row
	err := tx.Get(&r, `SELECT `+columns+` FROM automations WHERE account = ? AND (id = ? OR name = ?)`, account, ref, ref)
	return r, err
}

func nameTaken(tx *db.Tx, account, name, except string) (bool, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM automations WHERE account = ? AND name = ? AND id <> ?`, account, name, except)
	return n > 0, err
}

func countRows(tx *db.Tx, account string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM automations WHERE account = ?`, account)
	return n, err
}

func listRows(tx *db.Tx, account, after string, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM automations WHERE account = ? AND id > ? ORDER BY id LIMIT ?`, account, after, limit)
	return rows, err
}

func deleteRow(tx *db.Tx, account, id string) error {
	if _, err := tx.Exec(`DELETE FROM automation_runs WHERE account = ? AND automation = ?`, account, id); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM automations WHERE account = ? AND id = ?`, account, id)
	return err
}

func selectDue(tx *db.Tx, now time.Time, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+columns+` FROM automations WHERE next_run_at > 0 AND next_run_at <= ? ORDER BY next_run_at LIMIT ?`, db.Millis(now), limit)
	return rows, err
}

func earliest(tx *db.Tx) (time.Time, error) {
	var ms int64
	err := tx.Get(&ms, `SELECT next_run_at FROM automations WHERE next_run_at > 0 ORDER BY next_run_at LIMIT 1`)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.Time(ms), err
}

func moveOn(tx *db.Tx, id string, next time.Time) error {
	_, err := tx.Exec(`UPDATE automations SET next_run_at = ? WHERE id = ?`, db.Millis(next), id)
	return err
}

func setPaused(tx *db.Tx, id, why string, now time.Time) error {
	_, err := tx.Exec(`UPDATE automations SET enabled = 0, next_run_at = 0, paused_why = ?, updated_at = ? WHERE id = ?`, why, db.Millis(now), id)
	return err
}

func openRuns(tx *db.Tx, automation string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM automation_runs WHERE automation = ? AND status IN (?, ?)`, automation, statusQueued, statusRunning)
	return n, err
}

func insertRun(tx *db.Tx, r runRow) (bool, error) {
	n, err := tx.Exec(`INSERT INTO automation_runs (`+runColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (automation, slot, cause) DO NOTHING`,
		r.ID, r.Account, r.Automation, r.Slot, r.Cause, r.Status, r.TurnID, r.Detail, r.StartedAt, r.FinishedAt, r.CreatedAt)
	return n > 0, err
}

func getRun(tx *db.Tx, id string) (runRow, error) {
	var r runRow
	err := tx.Get(&r, `SELECT `+runColumns+` FROM automation_runs WHERE id = ?`, id)
	return r, err
}

func startRun(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE automation_runs SET status = ?, started_at = CASE WHEN started_at = 0 THEN ? ELSE started_at END WHERE id = ? AND status IN (?, ?)`,
		statusRunning, db.Millis(now), id, statusQueued, statusRunning)
	return err
}

func setTurn(tx *db.Tx, id, turn string) error {
	_, err := tx.Exec(`UPDATE automation_runs SET turn_id = ? WHERE id = ?`, turn, id)
	return err
}

// finishRun closes a run and answers how many runs have failed in a row.
func finishRun(tx *db.Tx, r runRow, status, failure string, now time.Time) (int, error) {
	detail := r.Detail
	if failure != "" {
		detail = failure
	}
	if _, err := tx.Exec(`UPDATE automation_runs SET status = ?, detail = ?, finished_at = ? WHERE id = ?`, status, detail, db.Millis(now), r.ID); err != nil {
		return 0, err
	}
	var failures int
	err := tx.Get(&failures, `UPDATE automations SET last_run_at = ?, failures = CASE WHEN ? = 'failed' THEN failures + 1 ELSE 0 END WHERE id = ? RETURNING failures`,
		db.Millis(now), status, r.Automation)
	return failures, err
}

func listRuns(tx *db.Tx, account, automation, before string, limit int) ([]runRow, error) {
	var rows []runRow
	query, args := `SELECT `+runColumns+` FROM automation_runs WHERE account = ? AND automation = ?`, []any{account, automation}
	if before != "" {
		query, args = query+` AND id < ?`, append(args, before)
	}
	err := tx.Select(&rows, query+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	return rows, err
}
