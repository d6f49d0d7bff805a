package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/job"
)

// The stages of a running experiment.
const (
	stagePlanning   = "planning"
	stageDeploying  = "deploying"
	stageEvaluating = "evaluating"
	stageSelecting  = "selecting"
	stageOpening    = "opening"
)

// maxFinalists bounds how many variants of a generation are scored on select.
const maxFinalists = 5

// failure ends an experiment for a reason that its owner can mend.
type failure struct{ cause *errs.Error }

// Error implements error.
func (f failure) Error() string { return f.cause.Error() }

// Unwrap gives the coded error.
func (f failure) Unwrap() error { return f.cause }

func failed(format string, args ...any) error {
	return failure{errs.New(errs.Conflict, format, args...)}
}

// runJob does what a running experiment lacks, until it is at rest. It looks at nothing but what is stored, so that it can
// be run again at any point.
func (s *Service) runJob(ctx context.Context, j job.Job) error {
	var in jobPayload
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	ctx = asSystem(ctx, j.Account)
	run, done := s.hold(ctx, in.ID)
	defer done()
	err := s.advance(run, j, in.ID)
	if errs.Is(err, errs.NotFound) {
		return nil // deleted meanwhile
	}
	if err == nil || errors.Is(err, errDied) || errors.Is(err, job.ErrFenced) || ctx.Err() != nil {
		return err
	}
	var f failure
	switch {
	case run.Err() != nil || errors.Is(err, errStopped): // cancelled or deleted: what is stored says which
		return s.rest(ctx, j, in.ID, "")
	case errors.As(err, &f):
		return s.rest(ctx, j, in.ID, f.Error())
	case j.Attempt >= maxAttempts:
		s.log.Error("an experiment is given up", "experiment", in.ID, "error", err)
		return s.rest(ctx, j, in.ID, "It was tried "+count(j.Attempt, "time", "times")+". "+errs.Public(err).Error())
	}
	s.log.Warn("an experiment is interrupted and tried again", "experiment", in.ID, "error", err)
	return err
}

// maxAttempts bounds how often a run is tried again after faults that are not its variants'.
const maxAttempts = 6

// errDied is what the fault hook of tests makes: the job ends as if the process had.
var errDied = errors.New("the process died here")

// errStopped ends a run whose experiment is not running any more.
var errStopped = errors.New("the experiment was stopped")

func (s *Service) at(step string) error {
	if err := s.fault(step); err != nil {
		return errors.Join(errDied, err)
	}
	return nil
}

// hold marks an experiment as worked on by this process. One holder comes after the other.
func (s *Service) hold(ctx context.Context, eid string) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	w := &work{cancel, make(chan struct{})}
	for {
		s.mu.Lock()
		before := s.running[eid]
		if before == nil {
			s.running[eid] = w
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		select {
		case <-before.done:
		case <-ctx.Done():
			return ctx, cancel
		}
	}
	return ctx, func() {
		cancel()
		s.mu.Lock()
		delete(s.running, eid)
		s.mu.Unlock()
		close(w.done)
	}
}

// interrupt stops the work of this process on an experiment and answers a channel that is closed when it has stopped.
func (s *Service) interrupt(eid string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.running[eid]; w != nil {
		w.cancel()
		return w.done
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// change alters an experiment in one transaction with the events of the change, while the job is still this process's. The
// state comes without evaluations.
func (s *Service) change(ctx context.Context, j job.Job, eid string, fn func(tx *db.Tx, st *state) error) error {
	return s.db.Update(ctx, func(tx *db.Tx) error {
		if err := s.jobs.Check(tx, j); err != nil {
			return err
		}
		st, err := sketch(tx, j.Account, eid)
		if err != nil {
			return err
		}
		return fn(tx, st)
	})
}

// advance takes an experiment from where it is to rest.
func (s *Service) advance(ctx context.Context, j job.Job, eid string) error {
	for {
		st, err := s.state(ctx, eid)
		if err != nil {
			return err
		}
		if st.Status != Running {
			return s.rest(ctx, j, eid, "")
		}
		p, err := s.plan(st.row)
		if err != nil {
			return failure{errs.Public(err)}
		}
		r := &runner{Service: s, job: j, plan: p, st: st, purse: newPurse(st, p.spec.Run)}
		more, err := r.generation(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// rest ends the work: with an error the experiment has failed, else its status says what was wanted.
func (s *Service) rest(ctx context.Context, j job.Job, eid, lastError string) error {
	return s.change(context.WithoutCancel(ctx), j, eid, func(tx *db.Tx, st *state) error {
		switch {
		case st.Status == Cancelling:
			if err := s.cancelled(tx, st); err != nil {
				return err
			}
			return s.jobs.Complete(tx, j)
		case st.Status != Running || lastError == "":
			return s.jobs.Complete(tx, j)
		}
		st.Status, st.LastError, st.Goal, st.Stage = Failed, lastError, "{}", ""
		if err := updateExperiment(tx, st.row); err != nil {
			return err
		}
		g := st.generations[st.Generation-1]
		g.Status = Failed
		if err := updateGeneration(tx, g); err != nil {
			return err
		}
		if err := s.tell(tx, st.row, "experiment.failed", Progress{Stage: Failed, Text: st.Name + " failed: " + lastError}); err != nil {
			return err
		}
		return s.jobs.Complete(tx, j)
	})
}

// runner carries out one generation.
type runner struct {
	*Service
	job  job.Job
	plan plan
	st   *state // refreshed between stages

	making  sync.Mutex // held while an instance is made anew
	checked bool       // the command is known to be there
	done    atomic.Int64
	purse   *purse
}

// generation deploys, scores and closes the newest generation. It tells whether another one was planned.
func (r *runner) generation(ctx context.Context) (more bool, err error) {
	if err := r.deploy(ctx); err != nil {
		return false, err
	}
	if err := r.evaluateAll(ctx, stageEvaluating, spec.Search, r.st.members(r.st.Generation), true); err != nil {
		return false, err
	}
	finalists := r.finalists()
	if len(finalists) > 0 && !r.plan.suite.Select.IsZero() {
		if err := r.evaluateAll(ctx, stageSelecting, spec.Select, finalists, false); err != nil {
			return false, err
		}
	}
	best := r.best()
	if best != nil && !r.plan.suite.Sealed.IsZero() {
		if err := r.evaluateAll(ctx, stageOpening, spec.Sealed, []variantRow{*best}, true); err != nil {
			return false, err
		}
	}
	return r.close(ctx, best)
}

// refresh reads the state anew. A cancelled experiment ends the run.
func (r *runner) refresh(ctx context.Context) error {
	st, err := r.state(ctx, r.st.ID)
	if err != nil {
		return err
	}
	r.st = st
	if st.Status != Running {
		return errStopped
	}
	return nil
}

func (r *runner) stage(ctx context.Context, stage string, total int, text string) error {
	if err := r.at("stage " + stage); err != nil {
		return err
	}
	r.done.Store(0)
	return r.change(ctx, r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		st.Stage = stage
		if err := updateExperiment(tx, st.row); err != nil {
			return err
		}
		return r.tell(tx, st.row, "experiment.progress", Progress{Stage: stage, Total: total, Text: text})
	})
}

// finalists are the variants that select decides between: those of the best of the generation that can't be told apart,
// and the one that was displayed as the best so far.
func (r *runner) finalists() []variantRow {
	j := newJudge(r.st, r.plan)
	j.generations[r.st.Generation-1].Best = "" // by the score on search alone
	ranked := j.ranked(r.st.Generation)
	if len(ranked) == 0 {
		return nil
	}
	c, index := j.compare(j.bootstrap(spec.Search), ranked[0].Digest)
	var out []variantRow
	for _, v := range ranked {
		if len(out) < maxFinalists && (v.ID == ranked[0].ID || verdict(c, index, v.Digest) == Tied) {
			out = append(out, v)
		}
	}
	if v := r.st.variant(r.st.Champion); v != nil && !slices.ContainsFunc(out, func(o variantRow) bool { return o.Digest == v.Digest }) {
		out = append(out, *v)
	}
	return out
}

// best is the variant of the generation that is displayed as the best. It is the one with the best score on search,
// unless another finalist is better on select by more than a standard error; and the best so far, when it is in the
// generation, gives way only to one that is better on select by more than a standard error (the Ladder rule).
func (r *runner) best() *variantRow {
	j := newJudge(r.st, r.plan)
	j.generations[r.st.Generation-1].Best = ""
	ranked := j.ranked(r.st.Generation)
	if len(ranked) == 0 {
		return nil
	}
	current := ranked[0]
	if champion := r.st.variant(r.st.Champion); champion != nil {
		if i := slices.IndexFunc(ranked, func(v variantRow) bool { return v.Digest == champion.Digest }); i >= 0 {
			current = ranked[i]
		}
	}
	for _, v := range ranked {
		if j.improves(v.Digest, current.Digest) {
			current = v
		}
	}
	return &current
}

// improves tells whether a variant is better than another on select by more than a standard error of the difference.
func (j *judge) improves(digest, other string) bool {
	a, okA := j.series[evalKey{digest, spec.Select}]
	b, okB := j.series[evalKey{other, spec.Select}]
	if !okA || !okB {
		// Without the split search must do, beyond chance.
		if !j.plan.suite.Select.IsZero() {
			return false
		}
		a, okA = j.series[evalKey{digest, spec.Search}]
		b, okB = j.series[evalKey{other, spec.Search}]
		if !okA || !okB || digest == other {
			return false
		}
		d := j.bootstrap(spec.Search).Difference(j.measure, a, b)
		return j.measure.Better(d.Value, 0) && (d.High < 0 || d.Low > 0)
	}
	d := j.bootstrap(spec.Select).Difference(j.measure, a, b)
	gain := d.Value
	if j.measure.Lower {
		gain = -gain
	}
	return gain > d.SE && gain > 0
}

// close ends a generation: its best is displayed, and the next one is planned if more were asked for.
func (r *runner) close(ctx context.Context, best *variantRow) (more bool, err error) {
	if err := r.refresh(ctx); err != nil {
		return false, err
	}
	j := newJudge(r.st, r.plan)
	failures := j.failures(r.st.Generation)
	if best == nil {
		text := "No variant could be scored."
		if len(failures) > 0 {
			text += " " + failures[0]
		} else if r.purse.empty() {
			text = r.purse.note()
		}
		return false, failed("%s", text)
	}
	if err := r.at("close"); err != nil {
		return false, err
	}
	champion, improved := *best, true
	if old := r.st.variant(r.st.Champion); old != nil {
		improved = old.Digest != best.Digest && j.improves(best.Digest, old.Digest)
		if !improved && old.Digest != best.Digest {
			champion = *old
		}
	}
	var g goal
	if err := json.Unmarshal([]byte(r.st.Goal), &g); err != nil {
		return false, fmt.Errorf("goal: %w", err)
	}
	j.generations[r.st.Generation-1].Best = best.ID
	next, note := g.next(j, champion, improved)
	if r.purse.empty() {
		next, note = nil, r.purse.note()
	}
	var planned evolve.Plan
	if next != nil {
		planned = r.nextPlan(j, *next)
	}
	err = r.change(ctx, r.job, r.st.ID, func(tx *db.Tx, st *state) error {
		if st.Status != Running { // cancelled at the last moment: the next look ends it
			return errStopped
		}
		row := st.generations[st.Generation-1]
		row.Status, row.Best = Scored, best.ID
		if note != "" {
			row.Notes = jsonNotes(append(notesOf(row), note))
		}
		if err := updateGeneration(tx, row); err != nil {
			return err
		}
		st.Champion, st.LastError = champion.ID, ""
		if err := decide(tx, st.row, "select", st.Generation, best.ID, "system", map[string]any{
			"improved": improved, "search": round(j.score(best.Digest, spec.Search)), "tried": len(j.tried()), "rule": "ladder, one standard error on select"}); err != nil {
			return err
		}
		text := fmt.Sprintf("Generation %d of %s is scored: the best is %s (%s) with %s.", st.Generation, st.Name, best.Name, best.genome.Describe(), digits(j.score(best.Digest, spec.Search)))
		if next == nil {
			st.Status, st.Stage, st.Goal = Scored, "", "{}"
			if err := updateExperiment(tx, st.row); err != nil {
				return err
			}
			if err := r.tell(tx, st.row, "experiment.scored", Progress{Stage: Scored, Text: text, Variant: best.Name}); err != nil {
				return err
			}
			return r.jobs.Complete(tx, r.job)
		}
		if err := r.tell(tx, st.row, "experiment.generation", Progress{Stage: stagePlanning, Text: text, Variant: best.Name}); err != nil {
			return err
		}
		return r.storeNext(tx, st, planned, *next)
	})
	return next != nil, err
}

// evaluateAll scores variants on a split, several at once, and the baseline with them if wanted. What has a result keeps it.
func (r *runner) evaluateAll(ctx context.Context, stage, split string, list []variantRow, baseline bool) error {
	if err := r.refresh(ctx); err != nil {
		return err
	}
	var todo []task
	seen := map[string]bool{}
	for _, v := range list {
		if !seen[v.Digest] && r.st.evals[evalKey{v.Digest, split}] == nil {
			seen[v.Digest] = true
			todo = append(todo, task{v.ID, v.genome, v.Digest, split})
		}
	}
	if base := baselineGenome(r.plan.suite); baseline && !seen[base.Digest()] && r.st.evals[evalKey{base.Digest(), split}] == nil {
		host := ""
		if len(list) > 0 {
			host = list[0].ID
		}
		todo = append(todo, task{host, base, base.Digest(), split})
	}
	if len(todo) == 0 {
		return nil
	}
	if err := r.check(ctx, todo[0].host); err != nil {
		return err
	}
	if err := r.stage(ctx, stage, len(todo), stageText(stage, len(todo))); err != nil {
		return err
	}
	g, group := errgroup.WithContext(ctx)
	for _, t := range todo {
		g.Go(func() error {
			select {
			case r.workers <- struct{}{}:
				defer func() { <-r.workers }()
			case <-group.Done():
				return group.Err()
			}
			return r.evaluate(group, t, len(todo))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.refresh(ctx)
}

func stageText(stage string, n int) string {
	switch stage {
	case stageSelecting:
		return fmt.Sprintf("Scoring the best %s on cases kept back to choose by.", count(n, "variant", "variants"))
	case stageOpening:
		return "Scoring the best variant on the sealed cases."
	}
	return "Scoring " + count(n, "variant", "variants") + "."
}
