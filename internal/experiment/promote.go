package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/session"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/fleet"
	"yardmaster/internal/id"
	"yardmaster/internal/job"
	"yardmaster/internal/sandbox"
)

// The statuses of a promotion.
const (
	promoting   = "promoting"
	active      = "active"
	replaced    = "replaced"
	rollingBack = "rolling_back"
	rolledBack  = "rolled_back"
	failedState = "failed"
)

// prodParams is where an instance in production keeps the parameters of its variant.
const prodParams = "experiment/production.json"

// PromoteIn is the input of Promote.
type PromoteIn struct {
	ID       string `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	Variant  string `json:"variant" doc:"The variant, by name; winner is the best one." maxLen:"128"`
	Instance string `json:"instance,omitempty" doc:"The instance that becomes production; one is made when left out." ref:"instance" maxLen:"128"`
	CleanUp  bool   `json:"cleanUp,omitempty" doc:"Delete the instances of all other variants of the experiment."`
}

// PromoteOut says what runs in production.
type PromoteOut struct {
	Promotion  Promotion       `json:"promotion"`
	Production string          `json:"production"` // name of the instance
	Instance   *fleet.Instance `json:"instance,omitempty"`
	Experiment Experiment      `json:"experiment"`
	Notes      []string        `json:"notes"` // the evidence, in plain sentences
}

// Promotion is one promotion.
type Promotion struct {
	ID        string    `json:"id"`
	Variant   string    `json:"variant"`
	Status    string    `json:"status"` // promoting, active, replaced, rolling_back, rolled_back, failed
	Instance  string    `json:"instance,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	LastError string    `json:"lastError,omitempty"`
}

// Promote puts a variant into production: an instance with the whole skill and the variant's parameters. What it replaces
// is kept in mind, so that Rollback can bring it back.
func (s *Service) Promote(ctx context.Context, in PromoteIn) (PromoteOut, error) {
	st, err := s.state(ctx, in.ID)
	if err != nil {
		return PromoteOut{}, err
	}
	if !resting(st.Status) {
		return PromoteOut{}, busy(st)
	}
	p, err := s.plan(st.row)
	if err != nil {
		return PromoteOut{}, err
	}
	v, err := st.named("variant", in.Variant)
	if err != nil {
		return PromoteOut{}, err
	}
	if e := st.evals[evalKey{v.Digest, spec.Search}]; e == nil || e.Status != string(session.OK) {
		return PromoteOut{}, errs.New(errs.Conflict, "%s has no score, so nothing speaks for it. Evaluate it first.", v.Name)
	}
	row := promotionRow{ID: id.New("promo"), Account: st.Account, Experiment: st.ID, Skill: st.Skill, Variant: v.ID, Status: promoting, CleanUp: in.CleanUp, CreatedAt: now()}
	if in.Instance != "" {
		given, err := s.fleet.Resolve(ctx, in.Instance)
		if err != nil {
			return PromoteOut{}, err
		}
		row.Instance, row.Given = given.ID, true
	}
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		before, err := promotions(tx, st.Account, st.Skill)
		if err != nil {
			return err
		}
		for _, b := range before {
			if b.Status == promoting || b.Status == rollingBack {
				return errs.New(errs.Conflict, "Another promotion of %s is under way; try again in a moment.", st.SkillName)
			}
			if b.Status == active && row.Previous == "" {
				row.Previous = b.ID
			}
		}
		if err := insertPromotion(tx, row); err != nil {
			return err
		}
		if err := decide(tx, st.row, "promote", v.Generation, v.ID, actorOf(ctx), map[string]any{"evidence": newJudge(st, p).promotionNotes(v)}); err != nil {
			return err
		}
		if err := s.tell(tx, st.row, "experiment.promoting", Progress{Stage: promoting, Variant: v.Name, Text: v.Name + " goes into production."}); err != nil {
			return err
		}
		return s.enqueuePromotion(tx, row)
	})
	if err != nil {
		return PromoteOut{}, err
	}
	out, err := s.awaitPromotion(ctx, row.ID, st.ID)
	if err != nil {
		return out, err
	}
	if st, err = s.state(ctx, st.ID); err == nil { // with what the sealed cases said meanwhile
		out.Notes = newJudge(st, p).promotionNotes(v)
	}
	return out, err
}

func (s *Service) enqueuePromotion(tx *db.Tx, p promotionRow) error {
	_, err := s.jobs.Enqueue(tx, job.Spec{Kind: jobPromote, Key: p.ID, Account: p.Account, Payload: jobPayload{p.ID}})
	return err
}

// awaitPromotion waits until a promotion or rollback is done, and answers what runs in production then.
func (s *Service) awaitPromotion(ctx context.Context, pid, eid string) (PromoteOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return PromoteOut{}, err
	}
	limit, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	var p promotionRow
	err = s.watch(limit, func() (bool, error) {
		err := s.db.View(ctx, func(tx *db.Tx) (err error) {
			p, err = promotion(tx, acct, pid)
			return err
		})
		return p.Status != promoting && p.Status != rollingBack, err
	})
	if err != nil {
		return PromoteOut{}, err
	}
	if p.Status == failedState {
		return PromoteOut{}, errs.New(errs.Conflict, "The promotion failed: %s", p.LastError)
	}
	out := PromoteOut{Notes: []string{}}
	st, err := s.state(ctx, eid)
	if err != nil {
		return out, err
	}
	err = s.db.View(ctx, func(tx *db.Tx) error {
		out.Experiment = st.view()
		out.Experiment.Production, err = production(tx, st)
		return err
	})
	out.Promotion = Promotion{ID: p.ID, Variant: st.nameOf(p.Variant), Status: p.Status, CreatedAt: db.Time(p.CreatedAt), LastError: p.LastError}
	if instance, err := s.fleet.Resolve(ctx, p.Instance); err == nil && p.Status == active {
		out.Instance, out.Production, out.Promotion.Instance = &instance, instance.Name, instance.Name
	}
	return out, err
}

// production is the name of the variant of this experiment that is in production, or "".
func production(tx *db.Tx, st *state) (string, error) {
	all, err := promotions(tx, st.Account, st.Skill)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if p.Status == active {
			if p.Experiment != st.ID {
				return "", nil
			}
			return st.nameOf(p.Variant), nil
		}
	}
	return "", nil
}

// promotionNotes says what speaks for a variant and what against it.
func (j *judge) promotionNotes(v *variantRow) []string {
	var out []string
	if best := j.variant(j.Champion); best != nil && best.Digest != v.Digest {
		out = append(out, fmt.Sprintf("%s is not the best variant; that is %s.", v.Name, best.Name))
	}
	if c := j.contrast(spec.Search, v.Digest, j.baseline, "the baseline ("+j.plan.suite.Baseline.Strategy+")"); c != nil && j.baseline != v.Digest {
		out = append(out, fmt.Sprintf("On the search cases %s is %s.", v.Name, compared(c)))
	}
	c := j.contrast(spec.Sealed, v.Digest, j.baseline, "the baseline ("+j.plan.suite.Baseline.Strategy+")")
	switch {
	case c != nil && j.baseline != v.Digest:
		out = append(out, fmt.Sprintf("On the sealed cases, which nothing was chosen by, it is %s.", compared(c)))
	case c == nil && !j.plan.suite.Sealed.IsZero():
		out = append(out, "It could not be scored on the sealed cases.")
	}
	return out
}

// promoteJob carries a promotion or a rollback out.
func (s *Service) promoteJob(ctx context.Context, j job.Job) error {
	var in jobPayload
	if err := json.Unmarshal(j.Payload, &in); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	ctx = asSystem(ctx, j.Account)
	var p promotionRow
	var st *state
	err := s.db.View(ctx, func(tx *db.Tx) (err error) {
		if p, err = promotion(tx, j.Account, in.ID); err != nil {
			return err
		}
		st, err = s.read(tx, j.Account, p.Experiment)
		return err
	})
	if errs.Is(err, errs.NotFound) || errors.Is(err, db.ErrNoRows) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	switch p.Status {
	case promoting:
		err = s.carryPromotion(ctx, j, st, p)
	case rollingBack:
		err = s.carryRollback(ctx, j, st, p)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errDied) || errors.Is(err, job.ErrFenced) {
		return err
	}
	if j.Attempt < 3 && errs.CodeOf(err) != errs.Invalid && errs.CodeOf(err) != errs.NotFound && errs.CodeOf(err) != errs.Capacity {
		return err
	}
	return s.endPromotion(ctx, j, st, p, func(p *promotionRow) (string, string) {
		p.LastError = errs.Public(err).Error()
		if p.Status == rollingBack { // what was in production still is
			p.Status = active
			return "experiment.rollback_failed", "The rollback failed: " + p.LastError
		}
		p.Status = failedState
		return "experiment.promotion_failed", "The promotion failed: " + p.LastError
	})
}

// endPromotion stores the end of a promotion's job.
func (s *Service) endPromotion(ctx context.Context, j job.Job, st *state, p promotionRow, change func(p *promotionRow) (kind, text string)) error {
	return s.db.Update(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		was := p.Status
		kind, text := change(&p)
		if err := updatePromotion(tx, p); err != nil {
			return err
		}
		if err := s.shiftOthers(tx, was, p); err != nil {
			return err
		}
		if err := s.tell(tx, st.row, kind, Progress{Stage: p.Status, Variant: st.nameOf(p.Variant), Text: text}); err != nil {
			return err
		}
		return s.jobs.Complete(tx, j)
	})
}

// shiftOthers makes the promotion before give way to a new one, or come back after a rollback.
func (s *Service) shiftOthers(tx *db.Tx, was string, p promotionRow) error {
	if p.Previous == "" {
		return nil
	}
	before, err := promotion(tx, p.Account, p.Previous)
	if err != nil {
		return err
	}
	switch {
	case was == promoting && p.Status == active:
		before.Status = replaced
	case was == rollingBack && p.Status == rolledBack:
		before.Status = active
	default:
		return nil
	}
	return updatePromotion(tx, before)
}

func (s *Service) carryPromotion(ctx context.Context, j job.Job, st *state, p promotionRow) error {
	v := st.variant(p.Variant)
	if v == nil {
		return errs.New(errs.NotFound, "The variant is gone.")
	}
	if err := s.unseal(ctx, j, st, v); err != nil {
		return err
	}
	instance, err := s.productionInstance(ctx, st, p)
	if err != nil {
		return err
	}
	if err := s.at("configure production"); err != nil {
		return err
	}
	if err := s.configure(ctx, st, v, instance, true); err != nil {
		return err
	}
	if p.CleanUp {
		if err := s.cleanUp(ctx, st, v); err != nil {
			return err
		}
	}
	if err := s.at("store promotion"); err != nil {
		return err
	}
	p.Instance = instance
	return s.endPromotion(ctx, j, st, p, func(p *promotionRow) (string, string) {
		p.Status = active
		return "experiment.promoted", v.Name + " is in production."
	})
}

// unseal scores a variant that goes into production on the sealed cases, if it was not yet. What goes wrong with that is
// no reason not to do what was asked for.
func (s *Service) unseal(ctx context.Context, j job.Job, st *state, v *variantRow) error {
	if st.evals[evalKey{v.Digest, spec.Sealed}] != nil {
		return nil
	}
	p, err := s.plan(st.row)
	if err != nil || p.suite.Sealed.IsZero() {
		return err
	}
	run, done := s.hold(ctx, st.ID)
	defer done()
	r := &runner{Service: s, job: j, plan: p, st: st, purse: newPurse(st, p.spec.Run)}
	err = r.evaluate(run, task{v.ID, v.genome, v.Digest, spec.Sealed}, 1)
	if ctx.Err() != nil || errors.Is(err, errDied) || errors.Is(err, job.ErrFenced) {
		return err
	}
	if err != nil {
		s.log.Warn("a promoted variant could not be scored on the sealed cases", "experiment", st.ID, "variant", v.Name, "error", err)
	}
	return nil
}

// productionInstance answers the instance that a promotion goes to: the given one, that of the promotion before, or a new
// one.
func (s *Service) productionInstance(ctx context.Context, st *state, p promotionRow) (string, error) {
	if p.Given {
		in, err := s.fleet.Resolve(ctx, p.Instance)
		return in.ID, err
	}
	if p.Previous != "" {
		var before promotionRow
		if err := s.db.View(ctx, func(tx *db.Tx) (err error) {
			before, err = promotion(tx, p.Account, p.Previous)
			return err
		}); err != nil {
			return "", err
		}
		in, err := s.fleet.Resolve(ctx, before.Instance)
		if err == nil {
			return in.ID, nil
		}
		if !errs.Is(err, errs.NotFound) {
			return "", err
		}
	}
	name := shortName(st.SkillName) + "-production"
	in := fleet.Spec{Name: name, Effect: "experiment promotion " + p.ID,
		Labels: map[string]string{"env": "production", "experiment": labelValue(st.Name)},
		Skills: []fleet.SpecSkill{{Skill: st.Skill, Version: st.SkillVersion}}}
	made, err := s.fleet.CreateFor(ctx, in)
	for n := 2; isNameTaken(err) && n <= maxSuffix; n++ {
		in.Name = fmt.Sprintf("%s-%d", name, n)
		made, err = s.fleet.CreateFor(ctx, in)
	}
	return made.ID, err
}

// configure has an instance run a variant: the skill's version, its parameters, and the label of production.
func (s *Service) configure(ctx context.Context, st *state, v *variantRow, instance string, on bool) error {
	res, err := s.fleet.Install(ctx, fleet.InstallIn{ID: st.Skill, Instances: []string{instance}, Version: st.SkillVersion})
	if err != nil {
		return err
	}
	for _, r := range res.Results {
		if !r.OK {
			return errs.New(errs.Unavailable, "The skill %s could not be installed in %s: %s", st.SkillName, r.Instance, r.Detail)
		}
	}
	raw, err := paramsOf(v.genome, st.Seed)
	if err != nil {
		return err
	}
	if err := s.fleet.WriteFile(ctx, instance, prodParams, raw); err != nil {
		return err
	}
	return s.mark(ctx, st, instance, on)
}

// mark sets or takes away what shows that an instance is in production.
func (s *Service) mark(ctx context.Context, st *state, instance string, on bool) error {
	var file, env, name *string
	if on {
		file, env, name = new(string), new(string), new(string)
		*file, *env, *name = path.Join(sandbox.HomeDir, prodParams), "production", labelValue(st.Name)
	}
	if _, err := s.fleet.UpdateConfig(ctx, fleet.UpdateConfigIn{ID: instance, ConfigChange: fleet.ConfigChange{Environment: map[string]*string{"PARAMS_FILE": file}}}); err != nil {
		return err
	}
	_, err := s.fleet.Update(ctx, fleet.UpdateIn{ID: instance, Labels: map[string]*string{"env": env, "experiment": name}})
	return err
}

// cleanUp deletes the instances of all variants but one, and keeps those that are in production.
func (s *Service) cleanUp(ctx context.Context, st *state, keep *variantRow) error {
	for i := range st.variants {
		v := st.variants[i]
		if v.Instance == "" || v.ID == keep.ID {
			continue
		}
		if kept, err := s.inProduction(ctx, v.Instance); err != nil || kept {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.remove(ctx, v.Instance); err != nil {
			return err
		}
		v.Instance, v.InstanceName, v.Seen = "", "", 0
		v.Making++
		if err := s.db.Update(ctx, func(tx *db.Tx) error { return updateVariant(tx, v) }); err != nil {
			return err
		}
	}
	return nil
}
