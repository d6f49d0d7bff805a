// Package stats compares variants that were measured on the same cases.
//
// The unit that counts is the cluster, such as a day: the cases of one day err together, so 365 days of 33 stations are
// 365 observations and not 12,045. Neighbouring clusters go together too, so they are resampled in blocks. Every
// comparison is paired: the same resample of clusters is drawn for all variants.
package stats

import (
	"math"
	"slices"

	"yardmaster/internal/experiment/draw"
)

// Resamples is the number of bootstrap resamples.
const Resamples = 2000

// Series is what a variant scored, as sufficient statistics by cluster, in the order of time: N cases with Sum of losses.
// Series that are compared MUST have the same clusters.
type Series struct {
	N   []float64 `json:"n"`
	Sum []float64 `json:"sum"`
}

// Measure says how the statistics become a score.
type Measure struct {
	Root  bool // the score is the root of the mean, as for RMSE
	Lower bool // lower is better
}

// Score is the score over all clusters; NaN when there is no case.
func (m Measure) Score(s Series) float64 {
	var n, sum float64
	for i := range s.N {
		n += s.N[i]
		sum += s.Sum[i]
	}
	return m.of(n, sum)
}

func (m Measure) of(n, sum float64) float64 {
	if m.Root {
		return math.Sqrt(sum / n)
	}
	return sum / n
}

// Better tells whether score a is better than b.
func (m Measure) Better(a, b float64) bool {
	if m.Lower {
		return a < b
	}
	return a > b
}

// Bootstrap is a set of resamples of the clusters 0 … n-1: the circular block bootstrap (Politis and Romano, 1992). The
// same arguments give the same resamples.
type Bootstrap struct {
	clusters int
	block    int
	starts   [][]int32 // per resample, where its blocks begin
	tail     int       // length of the last block
}

// New draws resamples. The block is made shorter where there would be less than ten of it.
func New(clusters, block int, seed uint64) *Bootstrap {
	b := &Bootstrap{clusters: clusters, block: max(1, min(block, clusters/10))}
	if clusters == 0 {
		return b
	}
	blocks := (clusters + b.block - 1) / b.block
	b.tail = clusters - (blocks-1)*b.block
	b.starts = make([][]int32, Resamples)
	for i := range b.starts {
		src := draw.New(seed, uint64(i))
		b.starts[i] = make([]int32, blocks)
		for j := range b.starts[i] {
			b.starts[i][j] = int32(src.Intn(clusters))
		}
	}
	return b
}

// Units is the number of independent units: blocks of clusters.
func (b *Bootstrap) Units() float64 { return float64(b.clusters) / float64(b.block) }

// Scores answers the score of each resample. The statistic is computed anew from the resampled sums.
func (b *Bootstrap) Scores(m Measure, s Series) []float64 {
	if len(b.starts) == 0 {
		return nil
	}
	n, sum := prefix(s.N, b.block), prefix(s.Sum, b.block)
	out := make([]float64, len(b.starts))
	for i, starts := range b.starts {
		var cases, loss float64
		last := len(starts) - 1
		for _, at := range starts[:last] {
			cases += n[int(at)+b.block] - n[at]
			loss += sum[int(at)+b.block] - sum[at]
		}
		at := int(starts[last])
		cases += n[at+b.tail] - n[at]
		loss += sum[at+b.tail] - sum[at]
		out[i] = m.of(cases, loss)
	}
	return out
}

// prefix is the running sum of v laid out as a circle, with a block more at its end.
func prefix(v []float64, block int) []float64 {
	out := make([]float64, len(v)+block+1)
	for i := range len(v) + block {
		out[i+1] = out[i] + v[i%len(v)]
	}
	return out
}

// Estimate is a number with its 95 % interval. Low and High are NaN when there are too few clusters for one.
type Estimate struct {
	Value float64
	Low   float64
	High  float64
	SE    float64
}

// Level is the coverage of intervals.
const Level = 0.95

// sample is a number with its value in each resample, and how much each cluster moves it.
type sample struct {
	value     float64
	resampled []float64
	influence []float64
}

func (b *Bootstrap) sample(m Measure, s Series) sample {
	out := sample{m.Score(s), b.Scores(m, s), make([]float64, len(s.N))}
	mean, slope := out.value, 1.0
	if m.Root { // the derivative of the root
		mean, slope = mean*mean, 1/(2*max(mean, 1e-300))
	}
	for i := range s.N {
		out.influence[i] = slope * (s.Sum[i] - mean*s.N[i])
	}
	return out
}

func (a sample) minus(c sample) sample {
	return sample{a.value - c.value, minus(a.resampled, c.resampled), minus(a.influence, c.influence)}
}

// interval is the percentile interval, widened for the number of units: the expanded percentile interval of Hesterberg
// (What Teachers Should Know about the Bootstrap, 2015, section 5.3).
func (b *Bootstrap) interval(s sample) Estimate {
	k := b.Units()
	if k < 3 || len(s.resampled) == 0 {
		return Estimate{s.value, math.NaN(), math.NaN(), math.NaN()}
	}
	widen := math.Sqrt(k/(k-1)) * b.stretch(s.influence)
	sorted := slices.Sorted(slices.Values(s.resampled))
	tail := normalCDF(-widen * tQuantile(1-(1-Level)/2, k-1))
	return Estimate{s.value, quantile(sorted, tail), quantile(sorted, 1-tail), deviation(s.resampled) * widen}
}

// stretch is what the standard error lacks because blocks cut the dependence at their ends. For an autoregression of
// order 1 with the measured correlation of neighbours it is the root of the long-run variance over that which blocks of
// this length keep (Künsch, 1989). It is at least 1.
func (b *Bootstrap) stretch(influence []float64) float64 {
	var power, product float64
	for i, v := range influence {
		power += v * v
		if i > 0 {
			product += v * influence[i-1]
		}
	}
	if power == 0 || product <= 0 {
		return 1
	}
	rho := min(product/power, 0.8)
	kept, step := 1.0, 1.0
	for lag := 1; lag < b.block; lag++ {
		step *= rho
		kept += 2 * (1 - float64(lag)/float64(b.block)) * step
	}
	return math.Sqrt((1 + rho) / (1 - rho) / kept)
}

// Estimate is the score of a series with its interval.
func (b *Bootstrap) Estimate(m Measure, s Series) Estimate { return b.interval(b.sample(m, s)) }

// Difference is the score of a minus that of c, paired, with its interval.
func (b *Bootstrap) Difference(m Measure, a, c Series) Estimate {
	return b.interval(b.sample(m, a).minus(b.sample(m, c)))
}

func minus(a, c []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - c[i]
	}
	return out
}

// quantile interpolates between the order statistics (type 7 of Hyndman and Fan, 1996).
func quantile(sorted []float64, p float64) float64 {
	h := p * float64(len(sorted)-1)
	i := min(int(h), len(sorted)-2)
	if i < 0 {
		return sorted[0]
	}
	return sorted[i] + (h-float64(i))*(sorted[i+1]-sorted[i])
}

func deviation(v []float64) float64 {
	var mean, m2 float64
	for i, x := range v {
		d := x - mean
		mean += d / float64(i+1)
		m2 += d * (x - mean)
	}
	return math.Sqrt(m2 / float64(max(1, len(v)-1)))
}
