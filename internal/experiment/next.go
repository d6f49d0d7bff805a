package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/experiment/session"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/stats"
)

// goal is what remains to be done when a generation is scored.
type goal struct {
	Keep      int      `json:"keep,omitempty"`
	Size      int      `json:"size,omitempty"`
	Focus     string   `json:"focus,omitempty"`
	Remaining int      `json:"remaining,omitempty"` // generations still to come
	Until     string   `json:"until,omitempty"`     // when set, stop early
	Target    *float64 `json:"target,omitempty"`    // the score to stop at
	Idle      int      `json:"idle,omitempty"`      // generations in a row that brought no improvement
}

// patience is how many generations without an improvement end the search.
const patience = 2

// next answers what to do after a generation, or nil when the goal is reached, with a plain sentence on why.
func (g goal) next(j *judge, champion variantRow, improved bool) (*goal, string) {
	if improved {
		g.Idle = 0
	} else {
		g.Idle++
	}
	switch {
	case g.Target != nil && !j.measure.Better(*g.Target, j.score(champion.Digest, spec.Search)):
		return nil, fmt.Sprintf("The search stopped: %s has reached %s.", champion.Name, digits(*g.Target))
	case g.Until != "" && g.Target == nil && g.Idle >= patience:
		text := fmt.Sprintf("The search stopped: %d generations in a row brought no better variant", g.Idle)
		if d := j.detectable(champion); d > 0 {
			text += fmt.Sprintf("; on these cases a difference below %s can't be seen", digits(d))
		}
		return nil, text + "."
	case g.Remaining <= 0:
		return nil, ""
	}
	g.Remaining--
	return &g, ""
}

// detectable is the smallest difference to the best variant that the cases would show; 0 when that is not known.
func (j *judge) detectable(champion variantRow) float64 {
	for _, v := range j.ranked(j.Generation) {
		if v.Digest != champion.Digest {
			b := j.bootstrap(spec.Search)
			d := stats.Detectable(b.Difference(j.measure, j.series[evalKey{champion.Digest, spec.Search}], j.series[evalKey{v.Digest, spec.Search}]))
			if d > 0 {
				return d
			}
			return 0
		}
	}
	return 0
}

// EvolveIn is the input of Evolve.
type EvolveIn struct {
	ID          string   `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	Keep        int      `json:"keep,omitempty" doc:"How many of the best variants to keep unchanged." min:"1" max:"49" default:"2"`
	Size        int      `json:"size,omitempty" doc:"How many variants the new generation has, those that are kept included." min:"2" max:"50" default:"5"`
	Focus       string   `json:"focus,omitempty" doc:"What the new variants should concentrate on, in words, such as: the ensemble approach." maxLen:"500"`
	Generations int      `json:"generations,omitempty" doc:"How many generations to make, one after the other." min:"1" max:"100" default:"1"`
	Until       string   `json:"until,omitempty" doc:"When to stop early, such as: no longer better. A number is the score to reach." maxLen:"200"`
	Parents     []string `json:"parents,omitempty" doc:"The variants to keep and breed from, by name; the best ones when left out." max:"49"`
}

// Evolve makes the next generation of an experiment and starts to score it.
func (s *Service) Evolve(ctx context.Context, in EvolveIn) (ExperimentOut, error) {
	if in.Keep == 0 {
		in.Keep = 2
		if n := len(in.Parents); n > 0 {
			in.Keep = n
		}
	}
	if in.Size == 0 {
		in.Size = max(5, in.Keep+1)
	}
	if in.Generations == 0 {
		in.Generations = 1
		if in.Until != "" {
			in.Generations = 10
		}
	}
	switch {
	case in.Size > MaxVariants:
		return ExperimentOut{}, errs.BadField("size", "must be at most %d", MaxVariants)
	case in.Keep >= in.Size:
		return ExperimentOut{}, errs.BadField("size", "must be more than the %d that are kept, so that there are new variants", in.Keep)
	}
	return s.extend(ctx, in.ID, func(st *state, p plan) (evolve.Plan, goal, error) {
		j := newJudge(st, p)
		parents, err := j.parents(in)
		if err != nil {
			return evolve.Plan{}, goal{}, err
		}
		g := goal{Keep: in.Keep, Size: in.Size, Focus: in.Focus, Remaining: in.Generations - 1, Until: in.Until, Target: target(in.Until)}
		planned := evolve.Next(j.request(g, st.Generation+1, parents))
		if note := j.closeCall(parents); note != "" && len(in.Parents) == 0 {
			planned.Notes = append(planned.Notes, note)
		}
		return planned, g, nil
	})
}

var numberIn = regexp.MustCompile(`[-+]?\d+(\.\d+)?`)

// target reads the score to stop at out of words such as "below 4.2"; nil when they name none.
func target(until string) *float64 {
	words := numberIn.FindAllString(until, 2)
	if len(words) != 1 || strings.Contains(strings.ToLower(until), "generation") {
		return nil
	}
	f, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return nil
	}
	return &f
}

// parents are the variants that are kept: those named, or the best of the newest scored generation. Of two that are
// equal, the earlier is taken.
func (j *judge) parents(in EvolveIn) ([]evolve.Parent, error) {
	var chosen []variantRow
	if len(in.Parents) > 0 {
		for _, name := range in.Parents {
			v, err := j.named("parents", name)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, *v)
		}
		if len(chosen) > in.Keep {
			return nil, errs.BadField("keep", "is %d, but %d parents are named", in.Keep, len(chosen))
		}
		return asParents(chosen), nil
	}
	// A generation that was cancelled before it was scored has nothing to say.
	for g := j.Generation; g >= 1 && len(chosen) == 0; g-- {
		chosen = j.ranked(g)
	}
	if len(chosen) == 0 {
		return nil, errs.New(errs.Conflict, "No variant of %s has a score yet, so there is nothing to evolve. Evaluate it first.", j.Name)
	}
	return asParents(chosen[:min(in.Keep, len(chosen))]), nil
}

// closeCall says so when the last variant that is kept and the first that is not can't be told apart.
func (j *judge) closeCall(parents []evolve.Parent) string {
	last := parents[len(parents)-1].Name
	for g := j.Generation; g >= 1; g-- {
		ranked := j.ranked(g)
		i := slices.IndexFunc(ranked, func(v variantRow) bool { return v.Name == last })
		if i < 0 || i+1 >= len(ranked) {
			continue
		}
		c, index := j.compare(j.bootstrap(spec.Search), ranked[i].Digest)
		if verdict(c, index, ranked[i+1].Digest) == Tied {
			return fmt.Sprintf("%s was kept and %s was not, though the two can't be told apart.", last, ranked[i+1].Name)
		}
	}
	return ""
}

func asParents(list []variantRow) []evolve.Parent {
	var out []evolve.Parent
	seen := map[string]bool{}
	for _, v := range list {
		if !seen[v.Digest] {
			seen[v.Digest] = true
			out = append(out, evolve.Parent{Name: v.Name, Genome: v.genome})
		}
	}
	return out
}

// request is what the planner of generations is asked.
func (j *judge) request(g goal, generation int, parents []evolve.Parent) evolve.Request {
	r := evolve.Request{Spec: j.spec, Seed: uint64(j.Seed), Generation: generation, Size: g.Size, Parents: parents,
		Known: map[string]bool{}, Tried: map[string]bool{}, Focus: evolve.ReadFocus(j.spec, g.Focus)}
	for _, v := range j.variants {
		r.Known[v.Digest] = true
		r.Tried[v.genome.Strategy] = true
		for _, m := range v.genome.Members {
			r.Tried[m.Strategy] = true
		}
	}
	return r
}

// nextPlan plans the generation after one that was just scored.
func (r *runner) nextPlan(j *judge, g goal) evolve.Plan {
	ranked := j.ranked(j.Generation)
	return evolve.Next(j.request(g, j.Generation+1, asParents(ranked[:min(g.Keep, len(ranked))])))
}

// storeNext stores a planned generation with what remains to be done after it.
func (s *Service) storeNext(tx *db.Tx, st *state, p evolve.Plan, g goal) error {
	raw, err := json.Marshal(g)
	if err != nil {
		return err
	}
	st.Goal, st.Status, st.Stage, st.LastError = string(raw), Running, stageDeploying, ""
	st.Generation++
	if err := updateExperiment(tx, st.row); err != nil {
		return err
	}
	notes := p.Notes
	if l, err := s.load(st.SkillName, st.SkillDigest); err == nil && g.Focus != "" {
		notes = append([]string{evolve.ReadFocus(l.spec, g.Focus).Note}, notes...)
	}
	return s.storeGeneration(tx, st.row, p, g.Focus, notes)
}

// extend adds a planned generation to an experiment at rest.
func (s *Service) extend(ctx context.Context, ref string, make func(st *state, p plan) (evolve.Plan, goal, error)) (ExperimentOut, error) {
	st, err := s.state(ctx, ref)
	if err != nil {
		return ExperimentOut{}, err
	}
	p, err := s.plan(st.row)
	if err != nil {
		return ExperimentOut{}, err
	}
	if !resting(st.Status) {
		return ExperimentOut{}, busy(st)
	}
	planned, g, err := make(st, p)
	if err != nil {
		return ExperimentOut{}, err
	}
	var notes []string
	generation := st.Generation
	err = s.db.Update(ctx, func(tx *db.Tx) error {
		now, err := sketch(tx, st.Account, st.ID)
		if err != nil {
			return err
		}
		if !resting(now.Status) || now.Generation != generation {
			return busy(now)
		}
		if err := s.storeNext(tx, now, planned, g); err != nil {
			return err
		}
		st, err = sketch(tx, st.Account, st.ID)
		return err
	})
	if err != nil {
		return ExperimentOut{}, err
	}
	notes = notesOf(st.generations[st.Generation-1])
	return ExperimentOut{Experiment: st.view(), Generation: st.Generation, Notes: notes}, nil
}

func busy(st *state) error {
	return errs.New(errs.Conflict, "%s is %s. Wait until it is done, or cancel it.", st.Name, st.Status)
}

// EnsembleIn is the input of Ensemble.
type EnsembleIn struct {
	ID       string   `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	Top      int      `json:"top,omitempty" doc:"How many of the best variants to combine." min:"2" max:"20" default:"2"`
	Variants []string `json:"variants,omitempty" doc:"The variants to combine, by name; the best ones when left out." max:"20"`
}

// Ensemble adds a variant that combines the best ones to the newest generation and starts to score it.
func (s *Service) Ensemble(ctx context.Context, in EnsembleIn) (ExperimentOut, error) {
	if in.Top == 0 {
		in.Top = 2
	}
	st, err := s.state(ctx, in.ID)
	if err != nil {
		return ExperimentOut{}, err
	}
	p, err := s.plan(st.row)
	if err != nil {
		return ExperimentOut{}, err
	}
	if !resting(st.Status) {
		return ExperimentOut{}, busy(st)
	}
	if p.spec.Ensemble() == nil {
		return ExperimentOut{}, errs.New(errs.Conflict, "The skill %s has no strategy that combines others. Declare one with members in its %s.", st.SkillName, spec.File)
	}
	j := newJudge(st, p)
	keep := in.Top
	if n := len(in.Variants); n > 0 {
		keep = n
	}
	parents, err := j.parents(EvolveIn{Keep: keep, Parents: in.Variants})
	if err != nil {
		return ExperimentOut{}, err
	}
	if len(parents) < 2 {
		return ExperimentOut{}, errs.New(errs.Conflict, "%s has only %s with a score; it takes two to combine.", st.Name, count(len(parents), "variant", "variants"))
	}
	slots := len(st.members(st.Generation))
	if slots >= MaxVariants {
		return ExperimentOut{}, errs.New(errs.Conflict, "The generation has %d variants already, which is all that it may have. Evolve a new one.", slots)
	}
	child, ok := evolve.Combine(j.request(goal{Size: slots}, st.Generation, parents))
	if !ok {
		return ExperimentOut{}, errs.New(errs.Conflict, "These variants are combined in every allowed way already.")
	}
	st, err = s.resume(ctx, st, func(tx *db.Tx, now *state) error {
		return insertVariant(tx, newVariant(now.row, slots, child))
	})
	if err != nil {
		return ExperimentOut{}, err
	}
	return ExperimentOut{Experiment: st.view(), Generation: st.Generation, Notes: []string{child.Rationale}}, nil
}

// resume changes an experiment at rest and has its newest generation carried out again: what is missing is done.
func (s *Service) resume(ctx context.Context, before *state, change func(tx *db.Tx, now *state) error) (*state, error) {
	var out *state
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		now, err := sketch(tx, before.Account, before.ID)
		if err != nil {
			return err
		}
		if !resting(now.Status) || len(now.variants) != len(before.variants) {
			return busy(now)
		}
		if err := change(tx, now); err != nil {
			return err
		}
		now.Status, now.Stage, now.LastError, now.Goal = Running, stageDeploying, "", "{}"
		if err := updateExperiment(tx, now.row); err != nil {
			return err
		}
		g := now.generations[now.Generation-1]
		g.Status = Running
		if err := updateGeneration(tx, g); err != nil {
			return err
		}
		if err := s.tell(tx, now.row, "experiment.progress", Progress{Stage: stageDeploying, Text: now.Name + " goes on."}); err != nil {
			return err
		}
		if err := s.enqueue(tx, now.row); err != nil {
			return err
		}
		out, err = sketch(tx, before.Account, before.ID)
		return err
	})
	return out, err
}

// EvaluateIn is the input of Evaluate.
type EvaluateIn struct {
	ID       string   `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	Variants []string `json:"variants,omitempty" doc:"The variants to score again, by name; all of the newest generation when left out." max:"50"`
}

// Evaluate scores variants again. When some of them failed or have no score, only those; else all of them, in fresh
// instances, so that none remembers answers.
func (s *Service) Evaluate(ctx context.Context, in EvaluateIn) (ExperimentOut, error) {
	st, err := s.state(ctx, in.ID)
	if err != nil {
		return ExperimentOut{}, err
	}
	if st.Status == Running { // it is being done
		return ExperimentOut{Experiment: st.view(), Generation: st.Generation, Notes: []string{"The variants are being scored already."}}, nil
	}
	list := st.members(st.Generation)
	if len(in.Variants) > 0 {
		list = nil
		for _, name := range in.Variants {
			v, err := st.named("variants", name)
			if err != nil {
				return ExperimentOut{}, err
			}
			if v.Generation != st.Generation {
				return ExperimentOut{}, errs.BadField("variants", "%s is of generation %d; only variants of the newest one can be scored again", v.Name, v.Generation)
			}
			list = append(list, *v)
		}
	}
	var again, missing []string
	for _, v := range list {
		ok := true
		for _, split := range []string{spec.Search, spec.Select, spec.Sealed} {
			e := st.evals[evalKey{v.Digest, split}]
			ok = ok && (e != nil && e.Status == string(session.OK) || e == nil && split != spec.Search)
		}
		again = append(again, v.Digest)
		if !ok {
			missing = append(missing, v.Digest)
		}
	}
	note := fmt.Sprintf("All %s are scored again on the same cases with the same seed.", count(len(again), "variant", "variants"))
	if len(missing) > 0 && len(missing) < len(again) {
		again = missing
		note = fmt.Sprintf("%s without a score or with a failure is scored again; the others keep their scores.", count(len(missing), "variant", "variants"))
	}
	st, err = s.resume(ctx, st, func(tx *db.Tx, now *state) error {
		for _, d := range again {
			if err := deleteEvaluations(tx, now.Account, now.ID, d); err != nil {
				return err
			}
		}
		now.Rescore++
		return decide(tx, now.row, "rescore", now.Generation, "", actorOf(ctx), map[string]any{"variants": len(again)})
	})
	if err != nil {
		return ExperimentOut{}, err
	}
	return ExperimentOut{Experiment: st.view(), Generation: st.Generation, Notes: []string{note}}, nil
}
