package experiment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/session"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/stats"
	"yardmaster/internal/experiment/suite"
)

// LeaderboardIn names an experiment and a generation.
type LeaderboardIn struct {
	ID         string `json:"id" doc:"The experiment: its id or name." ref:"experiment"`
	Generation int    `json:"generation,omitempty" doc:"The generation; the newest when left out." min:"1"`
}

// Leaderboard ranks the variants of a generation.
type Leaderboard struct {
	Leaderboard []Standing `json:"leaderboard"`
	Baseline    *Standing  `json:"baseline,omitempty"` // what the variants are compared with; it has no rank
	Experiment  string     `json:"experiment"`         // name
	Generation  int        `json:"generation"`
	Status      string     `json:"status"` // of the experiment
	Metric      string     `json:"metric"`
	Direction   string     `json:"direction"`
	Cases       int        `json:"cases"`
	Clusters    int        `json:"clusters"` // the units that count, such as days
	Sealed      *Sealed    `json:"sealed,omitempty"`
	Notes       []string   `json:"notes"` // plain sentences: what is known, and what would settle the rest
}

// The verdicts on a variant against the best.
const (
	Best   = "best"
	Better = "better"
	Worse  = "worse"
	Tied   = "tied" // what is known can't tell them apart
)

// Standing is one row of a leaderboard. Intervals hold the true value in 95 of 100 cases.
type Standing struct {
	Rank       int      `json:"rank,omitempty"`
	Variant    string   `json:"variant"` // name
	VariantID  string   `json:"variantId,omitempty"`
	Name       string   `json:"name"`
	Strategy   string   `json:"strategy"`
	Instance   string   `json:"instance,omitempty"`
	Generation int      `json:"generation,omitempty"`
	Parents    []string `json:"parents,omitempty"`
	Origin     string   `json:"origin,omitempty"`
	Score      *float64 `json:"score"` // on the split search; null when it has none
	Low        *float64 `json:"low,omitempty"`
	High       *float64 `json:"high,omitempty"`
	Delta      *float64 `json:"delta,omitempty"` // score minus that of the baseline, on the same cases
	DeltaLow   *float64 `json:"deltaLow,omitempty"`
	DeltaHigh  *float64 `json:"deltaHigh,omitempty"`
	VersusBest string   `json:"versusBest,omitempty"` // best, better, worse or tied; corrected for all variants that were tried
	Finalist   *Result  `json:"finalist,omitempty"`   // on the split select, for those that were among the best
	HeldOut    *Result  `json:"heldOut,omitempty"`    // on the split sealed, for the best of a generation
	Failures   int      `json:"failures"`             // evaluations that failed
	Status     string   `json:"status"`               // ok, pending, or how it failed
	Error      string   `json:"error,omitempty"`
	Log        []string `json:"log,omitempty"` // the last lines that a failed one wrote
	Cost       Cost     `json:"cost"`
	Seconds    float64  `json:"seconds"` // of the evaluation on search
	Rationale  string   `json:"rationale,omitempty"`
}

// Result is a score on another split.
type Result struct {
	Score float64  `json:"score"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
}

// Cost is what all evaluations of a variant took.
type Cost struct {
	CPUMs  int64 `json:"cpuMs"`
	WallMs int64 `json:"wallMs"`
}

// Sealed tells what the held-out split said.
type Sealed struct {
	Opened   int         `json:"opened"` // how many variants were scored on it so far
	Variant  string      `json:"variant"`
	Score    float64     `json:"score"`
	Baseline *Comparison `json:"versusBaseline,omitempty"`
	Before   *Comparison `json:"versusBefore,omitempty"` // against the best of the generation before
}

// Comparison is the paired difference of two variants on the same cases.
type Comparison struct {
	Name    string   `json:"name"`
	Score   float64  `json:"score"`
	Delta   float64  `json:"delta"`
	Low     *float64 `json:"low,omitempty"`
	High    *float64 `json:"high,omitempty"`
	Verdict string   `json:"verdict"` // better, worse or tied, for the variant against the named
}

// Leaderboard answers how the variants of a generation stand.
func (s *Service) Leaderboard(ctx context.Context, in LeaderboardIn) (Leaderboard, error) {
	st, err := s.state(ctx, in.ID)
	if err != nil {
		return Leaderboard{}, err
	}
	if in.Generation > st.Generation {
		return Leaderboard{}, errs.BadField("generation", "%s has %d generations so far", st.Name, st.Generation)
	}
	p, err := s.plan(st.row)
	if err != nil {
		return Leaderboard{}, err
	}
	if in.Generation == 0 {
		in.Generation = st.Generation
	}
	return newJudge(st, p).leaderboard(in.Generation), nil
}

// judge works out what the evaluations of an experiment say. It is a function of what is stored.
type judge struct {
	*state
	plan
	measure  stats.Measure
	baseline string // digest
	series   map[evalKey]stats.Series
}

func newJudge(st *state, p plan) *judge {
	j := &judge{state: st, plan: p, measure: suite.Measure(p.metric), baseline: baselineGenome(p.suite).Digest(), series: map[evalKey]stats.Series{}}
	for k, e := range st.evals {
		if e.Status != string(session.OK) {
			continue
		}
		var s stats.Series
		if json.Unmarshal([]byte(e.Series), &s) == nil { // written by us
			j.series[k] = s
		}
	}
	return j
}

// bootstrap draws resamples for a split: the same for all variants, and the same each time.
func (j *judge) bootstrap(split string) *stats.Bootstrap {
	for _, v := range j.variants {
		if s, ok := j.series[evalKey{v.Digest, split}]; ok {
			return stats.New(len(s.N), j.plan.suite.Block, draw.Key(uint64(j.Seed), draw.Text(split)))
		}
	}
	if s, ok := j.series[evalKey{j.baseline, split}]; ok {
		return stats.New(len(s.N), j.plan.suite.Block, draw.Key(uint64(j.Seed), draw.Text(split)))
	}
	return stats.New(0, 1, 0)
}

// ranked answers the variants of a generation with a score on search, the best first.
func (j *judge) ranked(generation int) []variantRow {
	var out []variantRow
	for _, v := range j.members(generation) {
		if _, ok := j.series[evalKey{v.Digest, spec.Search}]; ok {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b variantRow) int {
		x, y := j.score(a.Digest, spec.Search), j.score(b.Digest, spec.Search)
		if j.measure.Better(x, y) {
			return -1
		}
		if j.measure.Better(y, x) {
			return 1
		}
		return cmp.Compare(a.Slot, b.Slot)
	})
	best := j.generations[generation-1].Best
	if i := slices.IndexFunc(out, func(v variantRow) bool { return v.ID == best }); i > 0 {
		w := out[i]
		out = slices.Insert(slices.Delete(out, i, i+1), 0, w)
	}
	return out
}

func (j *judge) score(digest, split string) float64 {
	return j.measure.Score(j.series[evalKey{digest, split}])
}

// tried are the digests of all variants of all generations that have a score on search, each once.
func (j *judge) tried() []string {
	var out []string
	for _, v := range j.variants {
		if _, ok := j.series[evalKey{v.Digest, spec.Search}]; ok && !slices.Contains(out, v.Digest) {
			out = append(out, v.Digest)
		}
	}
	return out
}

// maxCompared bounds the joint comparison: beyond it the best of those tried are compared.
const maxCompared = 150

// compare compares all that was tried with one of them, on search.
func (j *judge) compare(b *stats.Bootstrap, digest string) (stats.Comparison, map[string]int) {
	all := j.tried()
	if len(all) > maxCompared {
		slices.SortStableFunc(all, func(a, b string) int {
			if j.measure.Better(j.score(a, spec.Search), j.score(b, spec.Search)) {
				return -1
			}
			return 1
		})
		all = all[:maxCompared]
	}
	index, series, ref := map[string]int{}, make([]stats.Series, len(all)), -1
	for i, d := range all {
		index[d], series[i] = i, j.series[evalKey{d, spec.Search}]
		if d == digest {
			ref = i
		}
	}
	return b.Compare(j.measure, series, ref), index
}

func (j *judge) leaderboard(generation int) Leaderboard {
	out := Leaderboard{Leaderboard: []Standing{}, Experiment: j.Name, Generation: generation, Status: j.Status, Metric: j.metric.Name,
		Direction: j.metric.Direction, Notes: []string{}}
	if d, err := j.cases(j.plan.suite); err == nil {
		if sp, ok := d.Split(spec.Search); ok {
			out.Cases, out.Clusters = sp.Cases, len(sp.Clusters)
		}
	}
	ranked := j.ranked(generation)
	b := j.bootstrap(spec.Search)
	base, hasBase := j.series[evalKey{j.baseline, spec.Search}]
	var c stats.Comparison
	var index map[string]int
	if len(ranked) > 0 {
		c, index = j.compare(b, ranked[0].Digest)
	}
	for i, v := range ranked {
		w := j.standing(v)
		w.Rank = i + 1
		e := b.Estimate(j.measure, j.series[evalKey{v.Digest, spec.Search}])
		w.Score, w.Low, w.High = point(e.Value), point(e.Low), point(e.High)
		w.VersusBest = Best
		if i > 0 {
			w.VersusBest = verdict(c, index, v.Digest)
		}
		if hasBase {
			d := b.Difference(j.measure, j.series[evalKey{v.Digest, spec.Search}], base)
			w.Delta, w.DeltaLow, w.DeltaHigh = point(d.Value), point(d.Low), point(d.High)
		}
		// Equal scores share a rank.
		if p := out.Leaderboard; i > 1 && *p[i-1].Score == *w.Score {
			w.Rank = p[i-1].Rank
		}
		out.Leaderboard = append(out.Leaderboard, w)
	}
	for _, v := range j.members(generation) {
		if slices.ContainsFunc(ranked, func(r variantRow) bool { return r.ID == v.ID }) {
			continue
		}
		w := j.standing(v)
		w.Rank = len(ranked) + 1
		out.Leaderboard = append(out.Leaderboard, w)
	}
	if hasBase {
		g := baselineGenome(j.plan.suite)
		w := j.standing(variantRow{Digest: j.baseline, genome: g})
		e := b.Estimate(j.measure, base)
		w.Name = fmt.Sprintf("baseline (%s)", g.Strategy)
		w.Variant, w.Score, w.Low, w.High = w.Name, point(e.Value), point(e.Low), point(e.High)
		out.Baseline = &w
	}
	out.Sealed = j.sealed(generation)
	out.Notes = append(out.Notes, j.notes(generation, ranked, b, c, index)...)
	return out
}

func verdict(c stats.Comparison, index map[string]int, digest string) string {
	i, ok := index[digest]
	switch {
	case !ok: // far behind: there were too many to compare
		return Worse
	case c.Differs[i] && c.Worse[i]:
		return Worse
	case c.Differs[i]:
		return Better
	}
	return Tied
}

// standing fills in what a row says apart from the comparison.
func (j *judge) standing(v variantRow) Standing {
	w := Standing{Variant: v.Name, VariantID: v.ID, Name: v.Name, Strategy: v.genome.Strategy, Instance: v.InstanceName, Generation: v.Generation,
		Parents: v.parents, Origin: v.Origin, Status: "pending", Rationale: v.Rationale}
	for _, split := range []string{spec.Search, spec.Select, spec.Sealed} {
		e := j.evals[evalKey{v.Digest, split}]
		if e == nil {
			continue
		}
		w.Cost.CPUMs += e.CPUMs
		w.Cost.WallMs += e.WallMs
		if e.Status != string(session.OK) {
			w.Failures++
			if w.Error == "" {
				w.Error = e.Detail
				_ = json.Unmarshal([]byte(e.Tail), &w.Log) // written by us
			}
		}
		switch split {
		case spec.Search:
			w.Status, w.Seconds = e.Status, seconds(e.WallMs)
		case spec.Select:
			w.Finalist = j.result(v.Digest, split)
		case spec.Sealed:
			w.HeldOut = j.result(v.Digest, split)
		}
	}
	return w
}

func (j *judge) result(digest, split string) *Result {
	s, ok := j.series[evalKey{digest, split}]
	if !ok {
		return nil
	}
	e := j.bootstrap(split).Estimate(j.measure, s)
	return &Result{round(e.Value), point(e.Low), point(e.High)}
}

// point is a number for an answer; nil when there is none.
func point(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	f = round(f)
	return &f
}

// round keeps five digits behind the point: more mean nothing and can't be read.
func round(f float64) float64 { return math.Round(f*1e5) / 1e5 }

// contrast compares two variants on a split; nil when one has no score there.
func (j *judge) contrast(split, digest, other, name string) *Comparison {
	a, okA := j.series[evalKey{digest, split}]
	c, okC := j.series[evalKey{other, split}]
	if !okA || !okC {
		return nil
	}
	d := j.bootstrap(split).Difference(j.measure, a, c)
	out := &Comparison{Name: name, Score: round(j.measure.Score(c)), Delta: round(d.Value), Low: point(d.Low), High: point(d.High), Verdict: Tied}
	if d.Low > 0 || d.High < 0 {
		out.Verdict = Worse
		if j.measure.Better(d.Value, 0) {
			out.Verdict = Better
		}
	}
	return out
}

// sealed tells what the held-out split said of the best of a generation.
func (j *judge) sealed(generation int) *Sealed {
	g := j.generations[generation-1]
	best := j.variant(g.Best)
	if best == nil {
		return nil
	}
	if _, ok := j.series[evalKey{best.Digest, spec.Sealed}]; !ok {
		return nil
	}
	out := &Sealed{Variant: best.Name, Score: round(j.score(best.Digest, spec.Sealed)), Opened: j.opened()}
	out.Baseline = j.contrast(spec.Sealed, best.Digest, j.baseline, "baseline ("+j.plan.suite.Baseline.Strategy+")")
	if generation > 1 {
		if before := j.variant(j.generations[generation-2].Best); before != nil && before.Digest != best.Digest {
			out.Before = j.contrast(spec.Sealed, best.Digest, before.Digest, before.Name)
		}
	}
	return out
}

// opened counts the variants that were scored on the sealed split, apart from the baseline.
func (j *judge) opened() int {
	seen := map[string]bool{}
	for _, v := range j.variants {
		if v.Digest != j.baseline && j.evals[evalKey{v.Digest, spec.Sealed}] != nil {
			seen[v.Digest] = true
		}
	}
	return len(seen)
}
