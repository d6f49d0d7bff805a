// Package evolve plans generations of variants. It is pure: a plan is a function of the experiment's seed, what was
// scored, and what was asked for, so that a plan made again after a crash is the same plan.
package evolve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"yardmaster/internal/experiment/spec"
)

// Genome is all in which variants of a skill differ.
type Genome struct {
	Strategy string        `json:"strategy"`
	Params   spec.Params   `json:"params"`
	Members  []spec.Member `json:"members,omitempty"` // of an ensemble, in the order of their text
}

// Digest is equal for equal genomes, and different for different ones.
func (g Genome) Digest() string {
	raw, err := json.Marshal(g.sorted()) // maps are written in the order of their keys
	if err != nil {
		panic(err) // only numbers that are not finite, which Check lets nobody have
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

// sorted has the members in one order, whatever order they were put together in.
func (g Genome) sorted() Genome {
	if g.Params == nil {
		g.Params = spec.Params{}
	}
	g.Members = slices.Clone(g.Members)
	slices.SortFunc(g.Members, func(a, b spec.Member) int { return strings.Compare(memberText(a), memberText(b)) })
	return g
}

func memberText(m spec.Member) string {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// Clone copies the genome.
func (g Genome) Clone() Genome {
	out := Genome{Strategy: g.Strategy, Params: g.Params.Clone()}
	for _, m := range g.Members {
		out.Members = append(out.Members, spec.Member{Strategy: m.Strategy, Params: m.Params.Clone()})
	}
	return out
}

// Describe says in a few words what the variant does.
func (g Genome) Describe() string {
	if len(g.Members) == 0 {
		return g.Strategy
	}
	names := make([]string, len(g.Members))
	for i, m := range g.Members {
		names[i] = m.Strategy
	}
	return fmt.Sprintf("%s of %s", g.Strategy, list(names))
}

// Valid tells whether the genome is one that the spec allows.
func (g Genome) Valid(s *spec.Spec) bool {
	st := s.Strategy(g.Strategy)
	if st == nil || !complete(st, g.Params) || !holds(s, g.Strategy, g.Params) {
		return false
	}
	if st.Members == nil {
		return len(g.Members) == 0
	}
	if len(g.Members) < st.Members.Min || len(g.Members) > st.Members.Max {
		return false
	}
	seen := map[string]bool{}
	for _, m := range g.Members {
		ms := s.Strategy(m.Strategy)
		text := memberText(m)
		if ms == nil || ms.Members != nil || !complete(ms, m.Params) || !holds(s, m.Strategy, m.Params) || seen[text] {
			return false
		}
		seen[text] = true
	}
	return true
}

func complete(st *spec.Strategy, p spec.Params) bool {
	full, wrong := st.Complete(p)
	if wrong != "" || len(full) != len(p) {
		return false
	}
	for k, v := range full {
		if p[k] != v {
			return false
		}
	}
	return true
}

func holds(s *spec.Spec, strategy string, p spec.Params) bool {
	for _, c := range s.Constraints {
		if !c.Holds(strategy, p) {
			return false
		}
	}
	return true
}

// list joins names as people do: "a, b and c".
func list(names []string) string {
	switch len(names) {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
