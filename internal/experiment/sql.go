package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/id"
)

// row is an experiment as stored.
type row struct {
	ID           string `db:"id"`
	Account      string `db:"account"`
	Name         string `db:"name"`
	NameKey      string `db:"name_key"`
	Skill        string `db:"skill"`
	SkillName    string `db:"skill_name"`
	SkillVersion int    `db:"skill_version"`
	SkillDigest  string `db:"skill_digest"`
	Suite        string `db:"suite"`
	Metric       string `db:"metric"`
	Seed         int64  `db:"seed"`
	Budget       string `db:"budget"`
	Status       string `db:"status"`
	Stage        string `db:"stage"`
	Generation   int    `db:"generation"`
	Champion     string `db:"champion"`
	Goal         string `db:"goal"`
	Rescore      int    `db:"rescore"`
	LastError    string `db:"last_error"`
	Runs         int    `db:"runs"`
	CPUMs        int64  `db:"cpu_ms"`
	WallMs       int64  `db:"wall_ms"`
	CreatedAt    int64  `db:"created_at"`
	UpdatedAt    int64  `db:"updated_at"`
}

type generationRow struct {
	Account    string `db:"account"`
	Experiment string `db:"experiment"`
	Number     int    `db:"number"`
	Status     string `db:"status"`
	Focus      string `db:"focus"`
	Notes      string `db:"notes"`
	Best       string `db:"best"`
	CreatedAt  int64  `db:"created_at"`
}

type variantRow struct {
	ID           string `db:"id"`
	Account      string `db:"account"`
	Experiment   string `db:"experiment"`
	Generation   int    `db:"generation"`
	Slot         int    `db:"slot"`
	Name         string `db:"name"`
	Digest       string `db:"digest"`
	GenomeJSON   string `db:"genome"`
	Origin       string `db:"origin"`
	ParentsJSON  string `db:"parents"`
	Rationale    string `db:"rationale"`
	Instance     string `db:"instance"`
	InstanceName string `db:"instance_name"`
	Making       int    `db:"making"`
	Seen         int    `db:"seen"`
	CreatedAt    int64  `db:"created_at"`

	genome  evolve.Genome
	parents []string
}

type evaluationRow struct {
	Account    string `db:"account"`
	Experiment string `db:"experiment"`
	Digest     string `db:"digest"`
	Suite      string `db:"suite"`
	Split      string `db:"split"`
	Seed       int64  `db:"seed"`
	Status     string `db:"status"`
	Detail     string `db:"detail"`
	Tail       string `db:"tail"`
	Series     string `db:"series"`
	Answers    string `db:"answers"`
	Variant    string `db:"variant"`
	CPUMs      int64  `db:"cpu_ms"`
	WallMs     int64  `db:"wall_ms"`
	CreatedAt  int64  `db:"created_at"`
}

type promotionRow struct {
	ID         string `db:"id"`
	Account    string `db:"account"`
	Experiment string `db:"experiment"`
	Skill      string `db:"skill"`
	Variant    string `db:"variant"`
	Status     string `db:"status"`
	Instance   string `db:"instance"`
	Given      bool   `db:"given"`
	CleanUp    bool   `db:"clean_up"`
	Previous   string `db:"previous"`
	LastError  string `db:"last_error"`
	CreatedAt  int64  `db:"created_at"`
}

const experimentColumns = `id, account, name, name_key, skill, skill_name, skill_version, skill_digest, suite, metric, seed, budget, status, stage,
	generation, champion, goal, rescore, last_error, runs, cpu_ms, wall_ms, created_at, updated_at`

func insertExperiment(tx *db.Tx, r row) error {
	_, err := tx.Exec(`INSERT INTO experiments (`+experimentColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?)`,
		r.ID, r.Account, r.Name, r.NameKey, r.Skill, r.SkillName, r.SkillVersion, r.SkillDigest, r.Suite, r.Metric, r.Seed, r.Budget, r.Status, r.Stage,
		r.Generation, r.Champion, r.Goal, r.Rescore, r.LastError, r.CreatedAt, r.UpdatedAt)
	return err
}

// updateExperiment writes what may change of an experiment.
func updateExperiment(tx *db.Tx, r row) error {
	_, err := tx.Exec(`UPDATE experiments SET status = ?, stage = ?, generation = ?, champion = ?, goal = ?, rescore = ?, last_error = ?, updated_at = ?
		WHERE account = ? AND id = ?`, r.Status, r.Stage, r.Generation, r.Champion, r.Goal, r.Rescore, r.LastError, db.Millis(time.Now()), r.Account, r.ID)
	return err
}

// find answers an experiment by id or name.
func find(tx *db.Tx, account, ref string) (row, error) {
	var r row
	column, value := "name_key", strings.ToLower(strings.TrimSpace(ref))
	if id.Is(id.Experiment, ref) {
		column, value = "id", ref
	}
	err := tx.Get(&r, `SELECT `+experimentColumns+` FROM experiments WHERE account = ? AND `+column+` = ?`, account, value)
	if errors.Is(err, db.ErrNoRows) {
		return row{}, notFound(ref)
	}
	return r, err
}

func nameTaken(tx *db.Tx, account, name string) (bool, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM experiments WHERE account = ? AND name_key = ?`, account, strings.ToLower(name))
	return n > 0, err
}

func listExperiments(tx *db.Tx, account, after string, limit int) ([]row, error) {
	var rows []row
	err := tx.Select(&rows, `SELECT `+experimentColumns+` FROM experiments WHERE account = ? AND id > ? ORDER BY id LIMIT ?`, account, after, limit)
	return rows, err
}

func insertGeneration(tx *db.Tx, g generationRow) error {
	_, err := tx.Exec(`INSERT INTO experiment_generations (account, experiment, number, status, focus, notes, best, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		g.Account, g.Experiment, g.Number, g.Status, g.Focus, g.Notes, g.Best, g.CreatedAt)
	return err
}

func updateGeneration(tx *db.Tx, g generationRow) error {
	_, err := tx.Exec(`UPDATE experiment_generations SET status = ?, notes = ?, best = ? WHERE account = ? AND experiment = ? AND number = ?`,
		g.Status, g.Notes, g.Best, g.Account, g.Experiment, g.Number)
	return err
}

func generations(tx *db.Tx, account, experiment string) ([]generationRow, error) {
	var rows []generationRow
	err := tx.Select(&rows, `SELECT account, experiment, number, status, focus, notes, best, created_at FROM experiment_generations
		WHERE account = ? AND experiment = ? ORDER BY number`, account, experiment)
	return rows, err
}

func insertVariant(tx *db.Tx, v variantRow) error {
	genome, err := json.Marshal(v.genome)
	if err != nil {
		return err
	}
	parents, err := json.Marshal(append([]string{}, v.parents...))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO experiment_variants (id, account, experiment, generation, slot, name, digest, genome, origin, parents, rationale,
		instance, instance_name, making, seen, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		v.ID, v.Account, v.Experiment, v.Generation, v.Slot, v.Name, v.Digest, string(genome), v.Origin, string(parents), v.Rationale,
		v.Instance, v.InstanceName, v.Making, v.Seen, v.CreatedAt)
	return err
}

// updateVariant writes what may change of a variant.
func updateVariant(tx *db.Tx, v variantRow) error {
	_, err := tx.Exec(`UPDATE experiment_variants SET instance = ?, instance_name = ?, making = ?, seen = ? WHERE account = ? AND id = ?`,
		v.Instance, v.InstanceName, v.Making, v.Seen, v.Account, v.ID)
	return err
}

func variants(tx *db.Tx, account, experiment string) ([]variantRow, error) {
	var rows []variantRow
	err := tx.Select(&rows, `SELECT id, account, experiment, generation, slot, name, digest, genome, origin, parents, rationale, instance, instance_name,
		making, seen, created_at FROM experiment_variants WHERE account = ? AND experiment = ? ORDER BY generation, slot`, account, experiment)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		v := &rows[i]
		if err := json.Unmarshal([]byte(v.GenomeJSON), &v.genome); err != nil {
			return nil, fmt.Errorf("genome of %s: %w", v.ID, err)
		}
		if err := json.Unmarshal([]byte(v.ParentsJSON), &v.parents); err != nil {
			return nil, fmt.Errorf("parents of %s: %w", v.ID, err)
		}
	}
	return rows, nil
}

const evaluationColumns = `account, experiment, digest, suite, split, seed, status, detail, tail, series, answers, variant, cpu_ms, wall_ms, created_at`

// insertEvaluation stores an evaluation once: the first to come stays. It tells whether this one was.
func insertEvaluation(tx *db.Tx, e evaluationRow) (bool, error) {
	n, err := tx.Exec(`INSERT INTO experiment_evaluations (`+evaluationColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, e.Account, e.Experiment, e.Digest, e.Suite, e.Split, e.Seed, e.Status, e.Detail, e.Tail, e.Series, e.Answers, e.Variant,
		e.CPUMs, e.WallMs, e.CreatedAt)
	return n > 0, err
}

func evaluations(tx *db.Tx, account, experiment string) ([]evaluationRow, error) {
	var rows []evaluationRow
	err := tx.Select(&rows, `SELECT `+evaluationColumns+` FROM experiment_evaluations WHERE account = ? AND experiment = ? ORDER BY created_at, digest, split`,
		account, experiment)
	return rows, err
}

func deleteEvaluations(tx *db.Tx, account, experiment, digest string) error {
	_, err := tx.Exec(`DELETE FROM experiment_evaluations WHERE account = ? AND experiment = ? AND digest = ?`, account, experiment, digest)
	return err
}

// spend adds what an evaluation took to its experiment.
func spend(tx *db.Tx, e evaluationRow) error {
	_, err := tx.Exec(`UPDATE experiments SET runs = runs + 1, cpu_ms = cpu_ms + ?, wall_ms = wall_ms + ?, updated_at = ? WHERE account = ? AND id = ?`,
		e.CPUMs, e.WallMs, db.Millis(time.Now()), e.Account, e.Experiment)
	return err
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }

// decide records a decision with its evidence.
func decide(tx *db.Tx, r row, kind string, generation int, variant, actor string, evidence any) error {
	raw, err := json.Marshal(evidence)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO experiment_decisions (account, experiment, seq, kind, generation, variant, evidence, actor, created_at)
		SELECT ?, ?, coalesce(max(seq), 0) + 1, ?, ?, ?, ?, ?, ? FROM experiment_decisions WHERE experiment = ?`,
		r.Account, r.ID, kind, generation, variant, string(raw), actor, db.Millis(time.Now()), r.ID)
	return err
}

func decisions(tx *db.Tx, account, experiment string) ([]Decision, error) {
	var rows []struct {
		Kind       string `db:"kind"`
		Generation int    `db:"generation"`
		Variant    string `db:"variant"`
		Evidence   string `db:"evidence"`
		CreatedAt  int64  `db:"created_at"`
	}
	err := tx.Select(&rows, `SELECT kind, generation, variant, evidence, created_at FROM experiment_decisions WHERE account = ? AND experiment = ? ORDER BY seq`,
		account, experiment)
	out := make([]Decision, len(rows))
	for i, d := range rows {
		out[i] = Decision{Kind: d.Kind, Generation: d.Generation, Variant: d.Variant, Evidence: json.RawMessage(d.Evidence), At: db.Time(d.CreatedAt)}
	}
	return out, err
}

const promotionColumns = `id, account, experiment, skill, variant, status, instance, given, clean_up, previous, last_error, created_at`

func insertPromotion(tx *db.Tx, p promotionRow) error {
	_, err := tx.Exec(`INSERT INTO experiment_promotions (`+promotionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.ID, p.Account, p.Experiment, p.Skill, p.Variant, p.Status, p.Instance, p.Given, p.CleanUp, p.Previous, p.LastError, p.CreatedAt)
	return err
}

func updatePromotion(tx *db.Tx, p promotionRow) error {
	_, err := tx.Exec(`UPDATE experiment_promotions SET status = ?, instance = ?, last_error = ? WHERE account = ? AND id = ?`,
		p.Status, p.Instance, p.LastError, p.Account, p.ID)
	return err
}

func promotion(tx *db.Tx, account, pid string) (promotionRow, error) {
	var p promotionRow
	err := tx.Get(&p, `SELECT `+promotionColumns+` FROM experiment_promotions WHERE account = ? AND id = ?`, account, pid)
	return p, err
}

// promotions answers the promotions of a skill, the newest first.
func promotions(tx *db.Tx, account, skill string) ([]promotionRow, error) {
	var rows []promotionRow
	err := tx.Select(&rows, `SELECT `+promotionColumns+` FROM experiment_promotions WHERE account = ? AND skill = ? ORDER BY id DESC`, account, skill)
	return rows, err
}

// erase removes all rows of an experiment. Its promotions stay: they say what runs in production.
func erase(tx *db.Tx, account, experiment string) error {
	for _, table := range []string{"experiment_generations", "experiment_variants", "experiment_evaluations", "experiment_decisions"} {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE account = ? AND experiment = ?`, account, experiment); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM experiments WHERE account = ? AND id = ?`, account, experiment)
	return err
}

// activePromotions counts the promotions that are in production in an instance.
func activePromotions(tx *db.Tx, account, instance string) (int, error) {
	var n int
	err := tx.Get(&n, `SELECT count(*) FROM experiment_promotions WHERE account = ? AND instance = ? AND status IN ('promoting', 'active', 'rolling_back')`, account, instance)
	return n, err
}
