package draw_test

import (
	"math"
	"testing"

	"yardmaster/internal/experiment/draw"
)

// The published test vector of SplitMix64 for seed 1234567: a wrong constant would show here.
func TestMixIsSplitMix64(t *testing.T) {
	t.Parallel()
	want := []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423}
	state := uint64(1234567)
	for i, w := range want {
		if got := draw.Mix(state); got != w {
			t.Errorf("number %d is %d, want %d", i, got, w)
		}
		state += 0x9e3779b97f4a7c15
	}
}

func TestSourceIsAFunctionOfItsKey(t *testing.T) {
	t.Parallel()
	a, b := draw.New(7, 1, 2), draw.New(7, 1, 2)
	for range 100 {
		if a.Uint64() != b.Uint64() {
			t.Fatal("the same key gave different numbers")
		}
	}
	if draw.New(7, 1, 2).Uint64() == draw.New(7, 2, 1).Uint64() {
		t.Error("the order of the parts does not matter, and it must")
	}
	if draw.Text("ab") == draw.Text("ba") {
		t.Error("different texts gave the same number")
	}
}

func TestDistributions(t *testing.T) {
	t.Parallel()
	const n = 200_000
	s := draw.New(1)
	var sum, square float64
	counts := make([]int, 7)
	for range n {
		v := s.Normal()
		sum += v
		square += v * v
		counts[s.Intn(7)]++
	}
	if mean := sum / n; math.Abs(mean) > 0.01 {
		t.Errorf("the mean of normal numbers is %v", mean)
	}
	if variance := square / n; math.Abs(variance-1) > 0.02 {
		t.Errorf("the variance of normal numbers is %v", variance)
	}
	for v, c := range counts {
		if math.Abs(float64(c)*7/n-1) > 0.03 {
			t.Errorf("%d came %d times in %d draws of 7", v, c, n)
		}
	}
}
