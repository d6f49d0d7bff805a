package experiment

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/spec"
)

// Experiment is an experiment as its owner sees it.
type Experiment struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Skill      string    `json:"skill"` // name
	Suite      string    `json:"suite"`
	Status     string    `json:"status"`
	Stage      string    `json:"stage,omitempty"` // of a running one: deploying, evaluating, selecting, opening
	Metric     string    `json:"metric"`
	Direction  string    `json:"direction"` // lower or higher is better
	Generation int       `json:"generation"`
	Variants   int       `json:"variants"` // in the newest generation
	Seed       int64     `json:"seed"`
	Budget     *Budget   `json:"budget,omitempty"`
	Spent      Spent     `json:"spent"`
	Focus      string    `json:"focus,omitempty"` // of the newest generation
	Best       string    `json:"best,omitempty"`  // name of the variant displayed as the best of all
	Production string    `json:"production,omitempty"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
	LastError  string    `json:"lastError,omitempty"`
}

// Budget caps what an experiment may use. It is reserved before an evaluation starts.
type Budget struct {
	Evaluations int `json:"evaluations,omitempty" doc:"How many evaluations at most; one is a variant on a split." min:"1" max:"100000"`
	Seconds     int `json:"seconds,omitempty" doc:"How many seconds of running variants at most, all together. An evaluation starts only when its whole timeout is left." min:"1" max:"10000000"`
}

// Spent is what an experiment has used.
type Spent struct {
	Evaluations int     `json:"evaluations"`
	CPUSeconds  float64 `json:"cpuSeconds"`
	Seconds     float64 `json:"seconds"`
}

// Generation is a generation with its variants.
type Generation struct {
	Number   int       `json:"number"`
	Status   string    `json:"status"` // running, scored, failed, cancelled
	Focus    string    `json:"focus,omitempty"`
	Best     string    `json:"best,omitempty"`
	Notes    []string  `json:"notes"`
	Variants []Variant `json:"variants"`
}

// Variant is one variant.
type Variant struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Strategy  string        `json:"strategy"`
	Params    spec.Params   `json:"params"`
	Members   []spec.Member `json:"members,omitempty"`
	Parents   []string      `json:"parents"` // names
	Origin    string        `json:"origin"`  // how it was made: seed, clone, param, switch, crossover, ensemble
	Instance  string        `json:"instance,omitempty"`
	Status    string        `json:"status"` // pending, ok, or how its evaluation failed
	Rationale string        `json:"rationale"`
}

// Edge says what a variant was made of.
type Edge struct {
	Child    string   `json:"child"`
	Parents  []string `json:"parents"`
	Operator string   `json:"operator"`
}

// Decision is something that was decided on evidence.
type Decision struct {
	Kind       string          `json:"kind"`
	Generation int             `json:"generation"`
	Variant    string          `json:"variant,omitempty"` // name
	Evidence   json.RawMessage `json:"evidence"`
	At         time.Time       `json:"at"`
}

// state is all that is stored of an experiment.
type state struct {
	row
	generations []generationRow
	variants    []variantRow
	evals       map[evalKey]*evaluationRow
}

// evalKey names an evaluation within an experiment.
type evalKey struct{ digest, split string }

func (s *Service) read(tx *db.Tx, account, ref string) (*state, error) {
	r, err := find(tx, account, ref)
	if err != nil {
		return nil, err
	}
	st, err := outline(tx, r)
	if err != nil {
		return nil, err
	}
	evals, err := evaluations(tx, r.Account, r.ID)
	for i := range evals {
		st.evals[evalKey{evals[i].Digest, evals[i].Split}] = &evals[i]
	}
	return st, err
}

// sketch is read without the evaluations, which are most of what is stored.
func sketch(tx *db.Tx, account, ref string) (*state, error) {
	r, err := find(tx, account, ref)
	if err != nil {
		return nil, err
	}
	return outline(tx, r)
}

// outline is the state of an experiment without its evaluations.
func outline(tx *db.Tx, r row) (st *state, err error) {
	st = &state{row: r, evals: map[evalKey]*evaluationRow{}}
	if st.generations, err = generations(tx, r.Account, r.ID); err != nil {
		return nil, err
	}
	st.variants, err = variants(tx, r.Account, r.ID)
	return st, err
}

// state reads all of an experiment of the actor's account.
func (s *Service) state(ctx context.Context, ref string) (*state, error) {
	acct, err := account(ctx)
	if err != nil {
		return nil, err
	}
	var st *state
	err = s.db.View(ctx, func(tx *db.Tx) error {
		st, err = s.read(tx, acct, ref)
		return err
	})
	return st, err
}

// sketch reads an experiment of the actor's account without its evaluations.
func (s *Service) sketch(ctx context.Context, ref string) (st *state, err error) {
	acct, err := account(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(tx *db.Tx) (err error) {
		st, err = sketch(tx, acct, ref)
		return err
	})
	return st, err
}

// members are the variants of a generation.
func (st *state) members(generation int) []variantRow {
	var out []variantRow
	for _, v := range st.variants {
		if v.Generation == generation {
			out = append(out, v)
		}
	}
	return out
}

func (st *state) variant(vid string) *variantRow {
	for i := range st.variants {
		if st.variants[i].ID == vid {
			return &st.variants[i]
		}
	}
	return nil
}

func (st *state) nameOf(vid string) string {
	if v := st.variant(vid); v != nil {
		return v.Name
	}
	return ""
}

// named finds a variant by id, name, the end of its name ("v3", "gen2-v1"), or a word for the best.
func (st *state) named(field, ref string) (*variantRow, error) {
	word := strings.ToLower(strings.TrimSpace(ref))
	switch word {
	case "", "winner", "best", "the winner", "the best", "champion", "leader":
		if v := st.variant(st.Champion); v != nil {
			return v, nil
		}
		return nil, errs.New(errs.Conflict, "No variant of %s has a score yet, so there is no best one.", st.Name)
	}
	var tails []*variantRow
	for i := range st.variants {
		v := &st.variants[i]
		if v.ID == ref || strings.EqualFold(v.Name, word) {
			return v, nil
		}
		if strings.HasSuffix(strings.ToLower(v.Name), "-"+word) {
			tails = append(tails, v)
		}
	}
	// "v3" is the one of the first generation, unless it says gen2-v3.
	if len(tails) > 1 {
		tails = slices.DeleteFunc(tails, func(v *variantRow) bool { return v.Generation > 1 })
	}
	if len(tails) == 1 {
		return tails[0], nil
	}
	names := make([]string, 0, len(st.variants))
	for _, v := range st.members(st.Generation) {
		names = append(names, v.Name)
	}
	return nil, errs.BadField(field, "%s has no variant %q; the newest are %s", st.Name, ref, strings.Join(names, ", "))
}

func (st *state) budget() Budget {
	var b Budget
	_ = json.Unmarshal([]byte(st.row.Budget), &b) // written by us
	return b
}

func (st *state) spent() Spent {
	return Spent{Evaluations: st.Runs, CPUSeconds: seconds(st.CPUMs), Seconds: seconds(st.WallMs)}
}

func (st *state) view() Experiment {
	e := Experiment{ID: st.ID, Name: st.Name, Skill: st.SkillName, Suite: st.Suite, Status: st.Status, Metric: st.Metric,
		Direction: spec.DirectionOf(st.Metric), Generation: st.Generation, Variants: len(st.members(st.Generation)), Seed: st.Seed,
		Spent: st.spent(), Best: st.nameOf(st.Champion), CreatedAt: db.Time(st.CreatedAt), UpdatedAt: db.Time(st.UpdatedAt), LastError: st.LastError}
	if st.Status == Running {
		e.Stage = st.Stage
	}
	if b := st.budget(); b != (Budget{}) {
		e.Budget = &b
	}
	if n := len(st.generations); n > 0 {
		e.Focus = st.generations[n-1].Focus
	}
	return e
}

// viewGenerations is the generations from the given number on.
func (st *state) viewGenerations(from int) []Generation {
	out := []Generation{}
	for _, g := range st.generations {
		if g.Number < from {
			continue
		}
		v := Generation{Number: g.Number, Status: g.Status, Focus: g.Focus, Best: st.nameOf(g.Best), Notes: notesOf(g), Variants: []Variant{}}
		for _, m := range st.members(g.Number) {
			v.Variants = append(v.Variants, st.viewVariant(m))
		}
		out = append(out, v)
	}
	return out
}

func notesOf(g generationRow) []string {
	out := []string{}
	_ = json.Unmarshal([]byte(g.Notes), &out) // written by us
	return out
}

func jsonNotes(notes []string) string {
	raw, err := json.Marshal(append([]string{}, notes...))
	if err != nil { // strings always can
		panic(err)
	}
	return string(raw)
}

func (st *state) viewVariant(v variantRow) Variant {
	out := Variant{ID: v.ID, Name: v.Name, Strategy: v.genome.Strategy, Params: v.genome.Params, Members: v.genome.Members, Parents: v.parents,
		Origin: v.Origin, Instance: v.InstanceName, Status: "pending", Rationale: v.Rationale}
	if out.Params == nil {
		out.Params = spec.Params{}
	}
	if e := st.evals[evalKey{v.Digest, spec.Search}]; e != nil {
		out.Status = e.Status
	}
	return out
}

func (st *state) lineage() []Edge {
	out := []Edge{}
	for _, v := range st.variants {
		if len(v.parents) > 0 {
			out = append(out, Edge{v.Name, v.parents, v.Origin})
		}
	}
	return out
}
