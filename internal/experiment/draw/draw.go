// Package draw makes random numbers without a state: each is a function of a seed and of what it is for.
//
// So nothing needs to be saved to go on after a crash, and the order in which work is done changes nothing.
package draw

import "math"

// golden is the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// Mix is one step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func Mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Key folds what a stream of numbers is for into one number.
func Key(seed uint64, parts ...uint64) uint64 {
	k := Mix(seed)
	for _, p := range parts {
		k = Mix(k ^ Mix(p))
	}
	return k
}

// Text folds a string into a number that Key takes (FNV-1a, 64 bits).
func Text(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Source is a stream of numbers: the n-th is a function of the key and n. It is not safe for concurrent use; make one
// per goroutine.
type Source struct {
	key uint64
	n   uint64
}

// New makes the stream for a seed and a purpose.
func New(seed uint64, parts ...uint64) *Source { return &Source{key: Key(seed, parts...)} }

// Uint64 is the next number.
func (s *Source) Uint64() uint64 {
	s.n++
	return Mix(s.key + s.n*golden)
}

// Float is the next number in [0, 1).
func (s *Source) Float() float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// Intn is the next number in [0, n). n MUST be positive. Its bias is below n/2^53.
func (s *Source) Intn(n int) int { return int(s.Float() * float64(n)) }

// Normal is a number with the standard normal distribution (Box and Muller, 1958). It uses two of the stream.
func (s *Source) Normal() float64 {
	u := 1 - s.Float() // in (0, 1], so that its logarithm is finite
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*s.Float())
}
