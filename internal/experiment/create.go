package experiment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/evolve"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/id"
	"yardmaster/internal/job"
	"yardmaster/internal/op"
)

// MaxVariants bounds a generation.
const MaxVariants = 50

// CreateIn is the input of Create.
type CreateIn struct {
	Name     string  `json:"name,omitempty" doc:"The name, such as spring-run; made up when left out." maxLen:"64"`
	Skill    string  `json:"skill" doc:"The skill to try variants of, such as aqi-predictor." ref:"skill" minLen:"1"`
	Variants int     `json:"variants,omitempty" doc:"How many variants, each with another strategy." min:"1" max:"50" default:"5"`
	Focus    string  `json:"focus,omitempty" doc:"What to concentrate on, in words, such as: the ensemble approach." maxLen:"500"`
	Metric   string  `json:"metric,omitempty" doc:"The metric to score by, such as mae; the suite's own when left out." maxLen:"64"`
	Suite    string  `json:"suite,omitempty" doc:"Which cases of the skill to score on, such as aqi-de; its default suite when left out." maxLen:"64"`
	Cases    string  `json:"cases,omitempty" doc:"The same as suite." maxLen:"64"`
	Seed     *int64  `json:"seed,omitempty" doc:"A number that all chance comes from: the same seed makes the same variants." min:"0" max:"9007199254740991"`
	Budget   *Budget `json:"budget,omitempty" doc:"What the experiment may use at most."`
}

// ExperimentOut is an experiment whose work has begun.
type ExperimentOut struct {
	Experiment Experiment `json:"experiment"`
	Generation int        `json:"generation"`
	Notes      []string   `json:"notes"` // plain sentences on how the request was understood
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$`)

// Create plans generation 1 of an experiment and starts it. It answers at once; Wait waits for the scores.
func (s *Service) Create(ctx context.Context, in CreateIn) (ExperimentOut, error) {
	acct, err := account(ctx)
	if err != nil {
		return ExperimentOut{}, err
	}
	in.Name = strings.TrimSpace(in.Name)
	if in.Name != "" && (!nameForm.MatchString(in.Name) || id.Is(id.Experiment, in.Name)) {
		return ExperimentOut{}, errs.BadField("name", "must be 1 to 64 letters, digits, spaces, dots, - and _, beginning and ending with a letter or digit, such as spring-run")
	}
	if in.Suite != "" && in.Cases != "" && in.Suite != in.Cases {
		return ExperimentOut{}, errs.BadField("cases", "means the same as suite; give one of them")
	}
	if in.Variants == 0 {
		in.Variants = 5
	}
	if in.Variants < 1 || in.Variants > MaxVariants {
		return ExperimentOut{}, errs.BadField("variants", "must be 1 to %d", MaxVariants)
	}
	version, err := s.skills.Version(ctx, in.Skill, 0)
	if err != nil {
		return ExperimentOut{}, err
	}
	r := row{ID: id.New(id.Experiment), Account: acct, Name: in.Name, Skill: version.Skill, SkillName: version.Name, SkillVersion: version.Version,
		SkillDigest: version.Digest, Status: Running, Stage: stageDeploying, Generation: 1, Goal: "{}", CreatedAt: now(), UpdatedAt: now()}
	p, err := s.choose(&r, in)
	if err != nil {
		return ExperimentOut{}, err
	}
	focus := evolve.ReadFocus(p.spec, in.Focus)
	first := evolve.First(evolve.Request{Spec: p.spec, Seed: uint64(r.Seed), Size: in.Variants, Focus: focus})
	return s.begin(ctx, r, first, focus)
}

// choose takes suite, metric, seed and budget into the row and makes sure that the cases can be read.
func (s *Service) choose(r *row, in CreateIn) (plan, error) {
	l, err := s.load(r.SkillName, r.SkillDigest)
	if err != nil {
		return plan{}, err
	}
	su, ok := l.spec.Suite(cmp.Or(in.Suite, in.Cases))
	if !ok {
		return plan{}, errs.BadField("suite", "%s has no suite %q; it has %s", r.SkillName, cmp.Or(in.Suite, in.Cases), list(l.spec.SuiteNames()))
	}
	m, ok := su.MetricNamed(in.Metric)
	if !ok {
		return plan{}, errs.BadField("metric", "the suite %s can't be scored by %q; it can by %s", su.Name, in.Metric, list(su.MetricNames()))
	}
	if _, err := l.cases(su); err != nil {
		return plan{}, err
	}
	r.Suite, r.Metric = su.Name, m.Name
	r.Seed = int64(draw.Key(draw.Text(r.ID)) >> 33) // small enough to be typed
	if in.Seed != nil {
		r.Seed = *in.Seed
	}
	var b Budget
	if in.Budget != nil {
		b = *in.Budget
	}
	if limit := int(l.spec.Run.Timeout.Seconds()); b.Seconds > 0 && b.Seconds < limit {
		return plan{}, errs.BadField("budget.seconds", "must be at least %d: so long may one evaluation of %s take", limit, r.SkillName)
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return plan{}, err
	}
	r.Budget = string(raw)
	return plan{l, su, m}, nil
}

// begin stores a new experiment with its planned first generation, before anything of it runs.
func (s *Service) begin(ctx context.Context, r row, first evolve.Plan, focus evolve.Focus) (ExperimentOut, error) {
	notes := first.Notes
	if focus.Note != "" {
		notes = append([]string{focus.Note}, notes...)
	}
	var st *state
	err := s.db.Update(ctx, func(tx *db.Tx) error {
		if err := nameExperiment(tx, &r); err != nil {
			return err
		}
		if err := insertExperiment(tx, r); err != nil {
			return err
		}
		if err := s.storeGeneration(tx, r, first, focus.Text, notes); err != nil {
			return err
		}
		var err error
		st, err = outline(tx, r)
		return err
	})
	if err != nil {
		return ExperimentOut{}, err
	}
	return ExperimentOut{Experiment: st.view(), Generation: 1, Notes: append([]string{}, notes...)}, nil
}

func nameExperiment(tx *db.Tx, r *row) error {
	given := r.Name != ""
	for n := 1; ; n++ {
		if !given {
			r.Name = fmt.Sprintf("%s-%d", r.SkillName, n)
		}
		taken, err := nameTaken(tx, r.Account, r.Name)
		switch {
		case err != nil:
			return err
		case !taken:
			r.NameKey = strings.ToLower(r.Name)
			return nil
		case given:
			e := errs.New(errs.Conflict, "There is an experiment %q already; choose another name.", r.Name)
			e.Fields = []errs.Field{{Path: "name", Detail: "is the name of another experiment"}}
			return e
		}
	}
}

// storeGeneration stores a planned generation and the job that carries it out.
func (s *Service) storeGeneration(tx *db.Tx, r row, p evolve.Plan, focus string, notes []string) error {
	g := generationRow{Account: r.Account, Experiment: r.ID, Number: r.Generation, Status: Running, Focus: focus, Notes: jsonNotes(notes), CreatedAt: now()}
	if err := insertGeneration(tx, g); err != nil {
		return err
	}
	for slot, c := range p.Children {
		if err := insertVariant(tx, newVariant(r, slot, c)); err != nil {
			return err
		}
	}
	if err := s.tell(tx, r, "experiment.planned", Progress{Stage: stagePlanning, Total: len(p.Children),
		Text: fmt.Sprintf("Generation %d of %s is planned: %s.", r.Generation, r.Name, count(len(p.Children), "variant", "variants"))}); err != nil {
		return err
	}
	return s.enqueue(tx, r)
}

func newVariant(r row, slot int, c evolve.Child) variantRow {
	name := fmt.Sprintf("%s-v%d", shortName(r.SkillName), slot+1)
	if r.Generation > 1 {
		name = fmt.Sprintf("%s-gen%d-v%d", shortName(r.SkillName), r.Generation, slot+1)
	}
	return variantRow{ID: id.New(id.Variant), Account: r.Account, Experiment: r.ID, Generation: r.Generation, Slot: slot, Name: name,
		Digest: c.Genome.Digest(), Origin: c.Origin, Rationale: c.Rationale, CreatedAt: now(), genome: c.Genome, parents: c.Parents}
}

// shortName leaves room behind a skill's name for what makes an instance's name of it.
func shortName(skill string) string {
	const room = 40
	return strings.TrimRight(skill[:min(len(skill), room)], "-_.")
}

func (s *Service) enqueue(tx *db.Tx, r row) error {
	// Every piece of work is a job of its own: one that waits for its next try must not swallow a later one.
	_, err := s.jobs.Enqueue(tx, job.Spec{Kind: jobRun, Key: r.ID + " " + id.New("job"), Account: r.Account, Payload: jobPayload{r.ID}})
	return err
}

// jobPayload names what a job is about.
type jobPayload struct {
	ID string `json:"id"`
}

// Progress is how far an experiment is, as events and reports of progress say it.
type Progress struct {
	Stage   string   `json:"stage"`
	Done    int      `json:"done"`
	Total   int      `json:"total"`
	Text    string   `json:"text"` // a plain sentence
	Variant string   `json:"variant,omitempty"`
	Split   string   `json:"split,omitempty"`
	Status  string   `json:"status,omitempty"`
	Score   *float64 `json:"score,omitempty"`
}

// tell appends an event to the experiment's stream.
func (s *Service) tell(tx *db.Tx, r row, kind string, p Progress) error {
	_, err := s.events.Append(tx, r.Account, r.ID, kind, p)
	return err
}

// actorOf says who decided, for the record.
func actorOf(ctx context.Context) string {
	a := op.ActorFrom(ctx)
	if a.User != "" {
		return a.Surface + " " + a.User
	}
	return a.Surface
}

// baselineGenome is the baseline of a suite as a variant.
func baselineGenome(su *spec.Suite) evolve.Genome {
	p := su.Baseline.Params
	if p == nil {
		p = spec.Params{}
	}
	return evolve.Genome{Strategy: su.Baseline.Strategy, Params: p}
}
