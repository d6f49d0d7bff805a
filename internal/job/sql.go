package job

import (
	"encoding/json"
	"time"

	"yardmaster/internal/db"
)

const claimPage = 100

func insert(tx *db.Tx, j Job, owner string, leased bool, runAt, now time.Time) (bool, error) {
	state, until := "ready", int64(0)
	if leased {
		state, until = "leased", db.Millis(now.Add(Lease))
	} else {
		owner = ""
	}
	if runAt.IsZero() {
		runAt = now
	}
	n, err := tx.Exec(`INSERT INTO jobs (id, account, kind, key, payload, state, run_at, owner, lease_until, fence, attempt, last_error, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?) ON CONFLICT (kind, key) DO NOTHING`,
		j.ID, j.Account, j.Kind, j.Key, string(j.Payload), state, db.Millis(runAt), owner, until, j.Fence, j.Attempt, db.Millis(now))
	return n > 0, err
}

type jobRow struct {
	ID      string `db:"id"`
	Account string `db:"account"`
	Kind    string `db:"kind"`
	Key     string `db:"key"`
	Payload string `db:"payload"`
	Fence   int64  `db:"fence"`
	Attempt int    `db:"attempt"`
}

// claim takes due jobs: those that are ready, and those whose lease has ended.
func claim(tx *db.Tx, owner string, kinds []string, now time.Time) ([]Job, error) {
	ms := db.Millis(now)
	query, args, err := tx.In(`UPDATE jobs SET state = 'leased', owner = ?, lease_until = ?, fence = fence + 1, attempt = attempt + 1
		WHERE id IN (SELECT id FROM jobs WHERE ((state = 'ready' AND run_at <= ?) OR (state = 'leased' AND lease_until < ?)) AND kind IN (?) ORDER BY run_at LIMIT ?)
		RETURNING id, account, kind, key, payload, fence, attempt`, owner, db.Millis(now.Add(Lease)), ms, ms, kinds, claimPage)
	if err != nil {
		return nil, err
	}
	var rows []jobRow
	if err := tx.Select(&rows, query, args...); err != nil {
		return nil, err
	}
	jobs := make([]Job, len(rows))
	for i, r := range rows {
		jobs[i] = Job{ID: r.ID, Kind: r.Kind, Key: r.Key, Account: r.Account, Payload: json.RawMessage(r.Payload), Attempt: r.Attempt, Fence: r.Fence}
	}
	return jobs, nil
}

func retry(tx *db.Tx, j Job, cause error, at time.Time) error {
	_, err := tx.Exec(`UPDATE jobs SET state = 'ready', owner = '', run_at = ?, last_error = ? WHERE id = ? AND fence = ?`,
		db.Millis(at), cause.Error(), j.ID, j.Fence)
	return err
}

// release gives back what an owner holds.
func release(tx *db.Tx, owner string) error {
	_, err := tx.Exec(`UPDATE jobs SET state = 'ready', owner = '' WHERE state = 'leased' AND owner = ?`, owner)
	return err
}

func releaseAll(tx *db.Tx) error {
	_, err := tx.Exec(`UPDATE jobs SET state = 'ready', owner = '' WHERE state = 'leased'`)
	return err
}
