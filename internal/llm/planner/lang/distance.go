package lang

// Near tells whether a and b differ by a slip of the keyboard: one letter wrong, missing, doubled or swapped with its
// neighbour from five letters on, two from nine on. The first letter must be right.
func Near(a, b string) bool {
	limit := 0
	switch n := min(len(a), len(b)); {
	case n >= 9:
		limit = 2
	case max(len(a), len(b)) >= 5 && n >= 4:
		limit = 1
	}
	if limit == 0 || a == "" || b == "" || a[0] != b[0] || abs(len(a)-len(b)) > limit {
		return false
	}
	return Distance(a, b) <= limit
}

// Distance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours, in
// bytes.
func Distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

func abs(n int) int { return max(n, -n) }
