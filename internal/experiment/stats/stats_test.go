package stats

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/experiment/draw"
)

var mae = Measure{Lower: true}

// days makes the losses of variants on n days: a part that all share, which goes on from day to day, and one of their own
// with a mean.
func days(src *draw.Source, n int, means ...float64) []Series {
	out := make([]Series, len(means))
	shared := 0.0
	own := make([]float64, len(means))
	for range n {
		shared = 0.5*shared + src.Normal()
		cases := 20 + float64(src.Intn(13))
		for i, mean := range means {
			own[i] = 0.3*own[i] + 0.3*src.Normal()
			out[i].N = append(out[i].N, cases)
			out[i].Sum = append(out[i].Sum, cases*(5+mean+shared+own[i]))
		}
	}
	return out
}

func TestScore(t *testing.T) {
	t.Parallel()
	s := Series{N: []float64{1, 3}, Sum: []float64{4, 12}}
	if got := mae.Score(s); got != 4 {
		t.Errorf("mean %v", got)
	}
	if got := (Measure{Root: true}).Score(s); got != 2 {
		t.Errorf("root %v", got)
	}
	if got := mae.Score(Series{}); !math.IsNaN(got) {
		t.Errorf("nothing scored %v", got)
	}
}

func TestStudent(t *testing.T) {
	t.Parallel()
	// Tables of Student's t.
	for _, c := range []struct{ p, df, want float64 }{
		{0.975, 1, 12.7062047}, {0.975, 2, 4.3026527}, {0.975, 9, 2.2621572}, {0.95, 30, 1.6972609}, {0.995, 60, 2.6602830}, {0.975, 1e9, 1.9599640},
	} {
		if got := tQuantile(c.p, c.df); math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("t(%v, %v) is %v, want %v", c.p, c.df, got, c.want)
		}
	}
	if got := tCDF(-2.2621572, 9); math.Abs(got-0.025) > 1e-7 {
		t.Errorf("the lower tail is %v", got)
	}
}

func TestSameSeedSameInterval(t *testing.T) {
	t.Parallel()
	s := days(draw.New(1), 100, 0)[0]
	a, b, c := New(100, 7, 5).Estimate(mae, s), New(100, 7, 5).Estimate(mae, s), New(100, 7, 6).Estimate(mae, s)
	if a != b {
		t.Errorf("%v and %v", a, b)
	}
	if a == c {
		t.Error("the seed does not matter, and it must")
	}
}

// A resample of a constant is the constant, whatever the lengths of blocks and series.
func TestResamplesKeepTheLength(t *testing.T) {
	t.Parallel()
	for n := 1; n < 60; n++ {
		s := Series{}
		for range n {
			s.N = append(s.N, 1)
			s.Sum = append(s.Sum, 1)
		}
		b := New(n, 7, 1)
		for _, v := range b.Scores(Measure{}, s) {
			if v != 1 {
				t.Fatalf("%d clusters: %v", n, v)
			}
		}
		blocks := len(b.starts[0])
		if got := (blocks-1)*b.block + b.tail; got != n {
			t.Fatalf("%d clusters are resampled to %d", n, got)
		}
	}
}

// The interval holds the truth about as often as it says, also for few days.
func TestCoverage(t *testing.T) {
	t.Parallel()
	const runs = 500
	for _, n := range []int{40, 120, 366} {
		hit := 0
		for run := range runs {
			pair := days(draw.New(uint64(run), uint64(n)), n, 0, 0.1)
			d := New(n, 7, uint64(run)).Difference(mae, pair[1], pair[0])
			if d.Low <= 0.1 && 0.1 <= d.High {
				hit++
			}
		}
		rate := float64(hit) / runs
		t.Logf("%d days: the 95 %% interval holds the truth in %.1f %%", n, 100*rate)
		if rate < 0.925 || rate > 0.98 {
			t.Errorf("%d days: coverage is %.3f", n, rate)
		}
	}
}

// Variants that do not differ are called different in less than 5 of 100 experiments, however many there are.
func TestAA(t *testing.T) {
	t.Parallel()
	for variants, runs := range map[int]int{2: 1000, 5: 1000, 12: 200} {
		wrong := 0
		for run := range runs {
			c := New(120, 7, uint64(run)).Compare(mae, days(draw.New(uint64(run), 99, uint64(variants)), 120, make([]float64, variants)...), -1)
			for _, w := range c.Differs {
				if w {
					wrong++
					break
				}
			}
		}
		t.Logf("%d equal variants: a difference is claimed in %.1f %%", variants, float64(wrong)/float64(runs)*100)
		limit := 0.05 * float64(runs)
		if runs < 1000 { // too few to see five of a hundred exactly: two standard errors more
			limit += 2 * math.Sqrt(limit)
		}
		if float64(wrong) >= limit {
			t.Errorf("%d equal variants: %d false claims in %d", variants, wrong, runs)
		}
	}
}

// A real difference is found, and the right one is called worse.
func TestPower(t *testing.T) {
	t.Parallel()
	found := 0
	const runs = 100
	for run := range runs {
		c := New(366, 7, uint64(run)).Compare(mae, days(draw.New(uint64(run), 7), 366, 0.2, 0, 0.01), -1)
		if c.Differs[0] && c.Worse[0] && c.Reference != 0 {
			found++
		}
		if c.Differs[c.Reference] || c.Worse[c.Reference] {
			t.Fatal("the best is worse than itself")
		}
	}
	if found < 95 {
		t.Errorf("a difference of about 9 standard errors was found in %d of %d", found, runs)
	}
}

func TestPairingHelps(t *testing.T) {
	t.Parallel()
	pair := days(draw.New(3), 366, 0, 0.1)
	b := New(366, 7, 1)
	alone, paired := b.Estimate(mae, pair[0]).SE, b.Difference(mae, pair[0], pair[1]).SE
	if paired > alone/2 {
		t.Errorf("the error of the difference is %v, that of a score %v", paired, alone)
	}
}

// Picking the best of many that are equal looks better than it is by what the optimism says.
func TestOptimism(t *testing.T) {
	t.Parallel()
	var bias, said float64
	const runs = 200
	for run := range runs {
		c := New(120, 7, uint64(run)).Compare(mae, days(draw.New(uint64(run), 3), 120, 0, 0, 0, 0, 0, 0, 0, 0), -1)
		bias += c.Scores[c.Reference].Value
		for _, s := range c.Scores {
			bias -= s.Value / float64(len(c.Scores))
		}
		said += c.Optimism
	}
	if ratio := said / -bias; ratio < 0.5 || ratio > 1.5 {
		t.Errorf("the best looks %.4f better than the mean, the optimism says %.4f", -bias/runs, said/runs)
	}
	one := New(120, 7, 1).Compare(mae, days(draw.New(1), 120, 0), -1)
	if one.Optimism > 0.02 || one.Reference != 0 {
		t.Errorf("a single variant: %+v", one)
	}
}

func TestEqualVariantsAreTied(t *testing.T) {
	t.Parallel()
	s := days(draw.New(4), 100, 0)[0]
	b := New(100, 7, 1)
	c := b.Compare(mae, []Series{s, s}, -1)
	if c.Differs[0] || c.Differs[1] {
		t.Error("a variant differs from itself")
	}
	d := b.Difference(mae, s, s)
	if b.PValue(d) != 1 || b.MoreClusters(d) != -1 {
		t.Errorf("p %v, more %v", b.PValue(d), b.MoreClusters(d))
	}
}

func TestTooFewClusters(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2} {
		list := days(draw.New(4), n, 0, 9)
		b := New(n, 7, 1)
		c := b.Compare(mae, list, -1)
		if c.Differs[0] || c.Differs[1] {
			t.Errorf("%d clusters made a claim", n)
		}
		if n > 0 && !math.IsNaN(c.Scores[0].Low) {
			t.Errorf("%d clusters made an interval %v", n, c.Scores[0])
		}
	}
}

func TestHolm(t *testing.T) {
	t.Parallel()
	got := Holm([]float64{0.01, 0.04, 0.03, 0.9})
	if diff := cmp.Diff([]float64{0.04, 0.09, 0.09, 0.9}, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })); diff != "" {
		t.Error(diff)
	}
}

func TestRanks(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]int{2, 1, 2, 4, 0}, Ranks(mae, []float64{2, 1, 2, 3, math.NaN()})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{2, 3, 1}, Ranks(Measure{}, []float64{2, 1, 3})); diff != "" {
		t.Error(diff)
	}
}

func TestMoreClusters(t *testing.T) {
	t.Parallel()
	b := New(100, 1, 1)
	for _, c := range []struct {
		value float64
		want  int
	}{{2.8, 0}, {1.4, 300}, {0.01, -1}, {0, -1}} {
		if got := b.MoreClusters(Estimate{Value: c.value, SE: 1}); got != c.want {
			t.Errorf("a difference of %v needs %d more, want %d", c.value, got, c.want)
		}
	}
}

func BenchmarkCompare(b *testing.B) {
	list := days(draw.New(1), 366, 0, 0.1, 0.2, 0.3, 0.4, 0.5)
	for b.Loop() {
		New(366, 7, 1).Compare(mae, list, -1)
	}
}
