package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/experiment/session"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/stats"
	"yardmaster/internal/experiment/suite"
	"yardmaster/internal/fleet"
	"yardmaster/internal/sandbox"
)

// task is an evaluation to make: a genome on a split, in the instance of a variant.
type task struct {
	host   string // variant
	genome evolve.Genome
	digest string
	split  string
}

// statusFault is the status of an evaluation that failed for reasons that are not the variant's.
const statusFault = "scorer_error"

// faultTries is how often an evaluation is tried when its instance fails, before the fault is recorded.
const faultTries = 3

// The folders of an experiment in the home of an instance.
const workDir = "experiment"

// splitOrder numbers the splits by their time: the history of a later one holds the answers of an earlier one.
var splitOrder = map[string]int{spec.Search: 1, spec.Select: 2, spec.Sealed: 3}

// evaluate makes an evaluation and stores it.
func (r *runner) evaluate(ctx context.Context, t task, total int) error {
	if !r.purse.reserve(ctx) {
		return ctx.Err()
	}
	e := evaluationRow{Account: r.st.Account, Experiment: r.st.ID, Digest: t.digest, Suite: r.st.Suite, Split: t.split, Seed: r.st.Seed,
		Tail: "[]", Variant: t.host}
	began := time.Now()
	for try := 1; ; try++ {
		err := r.play(ctx, t, &e)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			r.purse.settle(0)
			return ctx.Err()
		}
		if errors.Is(err, errDied) {
			return err
		}
		r.log.Warn("an evaluation was interrupted", "experiment", r.st.ID, "variant", t.host, "split", t.split, "error", err)
		if try == faultTries {
			e.Status, e.Detail = statusFault, errs.Public(err).Error()
			break
		}
	}
	r.purse.settle(time.Since(began))
	if e.WallMs == 0 {
		e.WallMs = time.Since(began).Milliseconds()
	}
	e.CreatedAt = now()
	return r.store(ctx, t, e, total)
}

func (r *runner) store(ctx context.Context, t task, e evaluationRow, total int) error {
	if err := r.at("store " + t.split); err != nil {
		return err
	}
	p := Progress{Total: total, Split: t.split, Status: e.Status, Variant: "the baseline"}
	p.Text = p.Variant
	for _, v := range r.st.variants {
		if v.Digest == t.digest {
			p.Variant = v.Name // of clones the newest
		}
	}
	p.Text = fmt.Sprintf("%s failed: %s", p.Variant, e.Detail)
	if e.Status == string(session.OK) {
		var s stats.Series
		if err := json.Unmarshal([]byte(e.Series), &s); err != nil {
			return err
		}
		score := suite.Measure(r.plan.metric).Score(s)
		p.Score = point(score)
		p.Text = fmt.Sprintf("%s scored %s on %s.", p.Variant, digits(score), t.split)
	}
	return r.change(context.WithoutCancel(ctx), r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		stored, err := insertEvaluation(tx, e)
		if err != nil || !stored {
			return err
		}
		if err := spend(tx, e); err != nil {
			return err
		}
		if t.split == spec.Sealed && t.genome.Digest() != baselineGenome(r.plan.suite).Digest() {
			if err := decide(tx, st.row, "open_sealed", st.Generation, t.host, "system", map[string]any{"status": e.Status, "score": p.Score}); err != nil {
				return err
			}
		}
		p.Stage, p.Done = st.Stage, int(r.done.Add(1))
		return r.tell(tx, st.row, "experiment.progress", p)
	})
}

// play plays a split with a variant and fills in the result. An error is a fault of the platform or the instance.
func (r *runner) play(ctx context.Context, t task, e *evaluationRow) error {
	data, err := r.plan.cases(r.plan.suite)
	if err != nil {
		return failure{errs.Public(err)}
	}
	sp, ok := data.Split(t.split)
	if !ok || sp.Cases == 0 {
		return failed("The split %s of the suite %s has no cases.", t.split, r.plan.suite.Name)
	}
	instance, err := r.prepare(ctx, t, data)
	if err != nil {
		return err
	}
	series := stats.Series{N: make([]float64, len(sp.Clusters)), Sum: make([]float64, len(sp.Clusters))}
	res, err := session.Play(ctx, session.Input{
		Suite: r.plan.suite.Name, Split: sp, Timeout: r.plan.spec.Run.Timeout,
		Start: func(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (session.Process, error) {
			return r.fleet.Spawn(ctx, instance, fleet.Spawn{Argv: r.plan.spec.Run.Command, Dir: path.Join(sandbox.SkillsDir, r.st.SkillName),
				Env: []string{"PARAMS_FILE=" + path.Join(sandbox.HomeDir, paramsFile(t.digest)),
					"HISTORY_DIR=" + path.Join(sandbox.HomeDir, workDir, t.split), "PYTHONDONTWRITEBYTECODE=1"},
				Stdin: stdin, Stdout: stdout, Stderr: stderr})
		},
		Answer: func(c *suite.Case, v suite.Value) error {
			loss, err := suite.Loss(r.plan.metric, r.plan.suite.Target, c.Expected, v)
			if err != nil {
				return err
			}
			series.N[c.Cluster]++
			series.Sum[c.Cluster] += loss
			return nil
		},
	})
	if err != nil {
		return err
	}
	e.Status, e.Detail, e.Answers = string(res.Status), res.Detail, res.Digest
	e.CPUMs, e.WallMs = res.CPU.Milliseconds(), res.Wall.Milliseconds()
	if res.Status != session.OK {
		tail, err := json.Marshal(res.Tail)
		if err != nil {
			return err
		}
		e.Tail = string(tail)
		return nil
	}
	if s := suite.Measure(r.plan.metric).Score(series); math.IsNaN(s) || math.IsInf(s, 0) {
		e.Status, e.Detail = string(session.Invalid), "Its answers have no score."
		return nil
	}
	raw, err := json.Marshal(series)
	e.Series = string(raw)
	return err
}

func paramsFile(digest string) string { return path.Join(workDir, "params-"+digest[:12]+".json") }

// params is what a variant reads from PARAMS_FILE.
type params struct {
	Strategy string        `json:"strategy"`
	Params   spec.Params   `json:"params"`
	Seed     int64         `json:"seed"`
	Members  []spec.Member `json:"members,omitempty"`
}

// paramsOf is the content of a variant's PARAMS_FILE. The seed is the same for all variants of an experiment.
func paramsOf(g evolve.Genome, seed int64) ([]byte, error) {
	p := params{Strategy: g.Strategy, Params: g.Params, Members: g.Members, Seed: int64(draw.Key(uint64(seed), draw.Text("variants")) >> 33)}
	if p.Params == nil {
		p.Params = spec.Params{}
	}
	return json.Marshal(p)
}

// prepare puts what a variant may see for a split into an instance that saw nothing later, and answers the instance.
func (r *runner) prepare(ctx context.Context, t task, data *suite.Data) (string, error) {
	v, err := r.ready(ctx, t.host, splitOrder[t.split])
	if err != nil {
		return "", err
	}
	files, err := data.History(t.split)
	if err != nil {
		return "", err
	}
	for name, content := range files {
		if err := r.fleet.WriteFile(ctx, v.Instance, path.Join(workDir, t.split, name), content); err != nil {
			return "", err
		}
	}
	raw, err := paramsOf(t.genome, r.st.Seed)
	if err != nil {
		return "", err
	}
	return v.Instance, r.fleet.WriteFile(ctx, v.Instance, paramsFile(t.digest), raw)
}

// ready answers a variant with an instance that was given no history after that of a split, and notes that it gets it.
func (r *runner) ready(ctx context.Context, vid string, order int) (variantRow, error) {
	r.making.Lock()
	defer r.making.Unlock()
	st, err := r.sketch(ctx, r.st.ID)
	if err != nil {
		return variantRow{}, err
	}
	v := st.variant(vid)
	if v == nil {
		return variantRow{}, errs.New(errs.NotFound, "The variant is gone.")
	}
	if v.Instance != "" && v.Seen > order {
		// It may remember answers, so it is not asked again.
		if err := r.remove(ctx, v.Instance); err != nil {
			return *v, err
		}
		if err := r.forget(ctx, *v); err != nil {
			return *v, err
		}
		v.Instance, v.Seen, v.Making = "", 0, v.Making+1
	}
	if err := r.deployVariant(ctx, v); err != nil {
		return *v, err
	}
	if v.Seen >= order {
		return *v, nil
	}
	v.Seen = order
	return *v, r.change(ctx, r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		now := st.variant(v.ID)
		now.Seen = order
		return updateVariant(tx, *now)
	})
}

// check makes sure that the program of the command is there, before a hundred sessions fail one by one.
func (r *runner) check(ctx context.Context, host string) error {
	program := r.plan.spec.Run.Command[0]
	if r.checked || strings.Contains(program, "/") {
		return nil
	}
	v, err := r.ready(ctx, host, 0)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p, err := r.fleet.Spawn(limit, v.Instance, fleet.Spawn{Argv: []string{"/bin/sh", "-c", `command -v -- "$0" >/dev/null`, program}})
	if err != nil {
		return err
	}
	exit, err := p.Wait()
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return failed("The variants run %s, which the instances don't have. Install it on the machine that runs the instances, for example with: apt-get install %s", program, program)
	}
	r.checked = true
	return nil
}
