package stats

import (
	"math"
	"slices"
	"sort"
)

// Alpha is the chance to call variants different that are not, over all pairs of a comparison together. It lies
// below 5 %, so that what is approximate about the method stays within 5 %.
const Alpha = 0.04

// Comparison is the joint comparison of several variants with one of them, the reference.
type Comparison struct {
	Scores    []Estimate
	Reference int // index of the reference; -1 when there is nothing to compare
	// Versus is the score minus that of the reference, with its interval for this one pair.
	Versus []Estimate
	// Differs tells that a variant and the reference differ beyond chance, corrected for all pairs. Those that don't are
	// tied: what is known can't tell them apart. Worse says which way the difference goes.
	Differs []bool
	Worse   []bool
	// Optimism is how much better the best score is likely to look than it is, because it is the best of several: the mean
	// gain from picking the winner anew in each resample. It is not negative.
	Optimism float64
}

// Compare compares variants with the one at reference; -1 stands for the one with the best score. The correction is
// single-step max-T (Westfall and Young, 1993) over all pairs: it allows for a reference that was picked because it looks
// best, and it uses how much the variants err alike.
func (b *Bootstrap) Compare(m Measure, series []Series, reference int) Comparison {
	n := len(series)
	c := Comparison{Reference: reference, Scores: make([]Estimate, n), Versus: make([]Estimate, n), Differs: make([]bool, n), Worse: make([]bool, n)}
	samples := make([]sample, n)
	best := -1
	for i, s := range series {
		samples[i] = b.sample(m, s)
		c.Scores[i] = b.interval(samples[i])
		if best < 0 || m.Better(c.Scores[i].Value, c.Scores[best].Value) {
			best = i
		}
	}
	if c.Reference < 0 {
		c.Reference = best
	}
	if n == 0 || len(b.starts) == 0 {
		return c
	}
	c.Optimism = optimism(m, samples)
	critical := b.critical(samples)
	for i := range series {
		d := b.interval(samples[i].minus(samples[c.Reference]))
		c.Versus[i] = d
		c.Worse[i] = m.Better(0, d.Value)
		c.Differs[i] = i != c.Reference && d.SE > noise(c.Scores[i].Value) && math.Abs(d.Value)/d.SE > critical
	}
	return c
}

// noise is the size below which a deviation is rounding.
func noise(value float64) float64 { return 1e-12 * (1 + math.Abs(value)) }

// critical is the value that the largest of all pairs' |T| exceeds with chance Alpha when no pair differs.
func (b *Bootstrap) critical(samples []sample) float64 {
	k := b.Units()
	if k < 3 {
		return math.Inf(1)
	}
	widest := make([]float64, len(b.starts))
	for i := range samples {
		for j := range i {
			diffs := minus(samples[i].resampled, samples[j].resampled)
			se := deviation(diffs)
			if se <= noise(samples[i].value) {
				continue
			}
			d := samples[i].value - samples[j].value
			for r, x := range diffs {
				widest[r] = max(widest[r], math.Abs(x-d)/se)
			}
		}
	}
	slices.Sort(widest)
	// The resampled T is about normal; with few units the true one has Student's tails.
	return tQuantile(normalCDF(quantile(widest, 1-Alpha)), k-1)
}

func optimism(m Measure, samples []sample) float64 {
	var sum float64
	for r := range samples[0].resampled {
		w := 0
		for i := range samples {
			if m.Better(samples[i].resampled[r], samples[w].resampled[r]) {
				w = i
			}
		}
		sum += samples[w].resampled[r] - samples[w].value
	}
	gain := sum / float64(len(samples[0].resampled))
	if m.Lower {
		gain = -gain
	}
	return max(0, gain)
}

// PValue is the two-sided chance of a difference this large when there is none (Student's t on the bootstrap's error).
func (b *Bootstrap) PValue(d Estimate) float64 {
	if math.IsNaN(d.SE) {
		return 1
	}
	if d.SE <= noise(d.Value) {
		if math.Abs(d.Value) <= noise(d.Value) {
			return 1
		}
		return 0
	}
	return 2 * tCDF(-math.Abs(d.Value)/d.SE, b.Units()-1)
}

// Holm corrects p-values for their number (Holm, 1979).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return p[order[a]] < p[order[b]] })
	out := make([]float64, len(p))
	var last float64
	for rank, i := range order {
		last = max(last, min(1, p[i]*float64(len(p)-rank)))
		out[i] = last
	}
	return out
}

// Power is the multiple of its standard error that a true difference must have to be found four times in five at the 5 %
// level: 1.96 + 0.84.
const Power = 2.8

// Detectable is the smallest difference that this many clusters would show.
func Detectable(d Estimate) float64 { return Power * d.SE }

// MoreClusters is how many clusters more would show a difference of this size, if it is real: 0 when there are enough
// already, and -1 when no number is worth naming, as for a difference of nothing.
func (b *Bootstrap) MoreClusters(d Estimate) int {
	if math.IsNaN(d.SE) || math.Abs(d.Value) <= noise(d.Value) {
		return -1
	}
	need := float64(b.clusters) * math.Pow(Power*d.SE/math.Abs(d.Value), 2)
	more := need - float64(b.clusters)
	switch {
	case more <= 0:
		return 0
	case need > 100*float64(b.clusters):
		return -1
	}
	return int(math.Ceil(more))
}

// Ranks answers the rank of each score, 1 for the best. Equal scores share a rank; NaN has rank 0.
func Ranks(m Measure, scores []float64) []int {
	out := make([]int, len(scores))
	for i, a := range scores {
		if math.IsNaN(a) {
			continue
		}
		out[i] = 1
		for _, b := range scores {
			if m.Better(b, a) {
				out[i]++
			}
		}
	}
	return out
}
