package experiment

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"yardmaster/internal/experiment/session"
	"yardmaster/internal/experiment/spec"
	"yardmaster/internal/experiment/stats"
)

// notes says in plain sentences what is known about a generation and what would settle the rest.
func (j *judge) notes(generation int, ranked []variantRow, b *stats.Bootstrap, c stats.Comparison, index map[string]int) []string {
	out := notesOf(j.generations[generation-1])
	if len(ranked) == 0 {
		return append(out, j.failures(generation)...)
	}
	best := ranked[0]
	out = append(out, j.bestNote(best, b)...)
	var tied []string
	for _, v := range ranked[1:] {
		if verdict(c, index, v.Digest) == Tied && v.Digest != best.Digest {
			tied = append(tied, v.Name)
		}
	}
	if len(tied) > 0 {
		out = append(out, j.tiedNote(ranked, tied, b))
	}
	if first := j.bySearch(ranked); first.Digest != best.Digest {
		out = append(out, fmt.Sprintf("%s has the better score on the search cases, but %s does better on other cases that were kept back to choose by, so it is ranked first.", first.Name, best.Name))
	}
	if n := len(j.tried()); n > 1 && c.Optimism > 0 && digits(c.Optimism) != "0" {
		out = append(out, fmt.Sprintf("Being the best of %d that were tried, the best score is likely to look about %s better than it is.", n, digits(c.Optimism)))
	}
	out = append(out, j.sealedNotes(generation)...)
	return append(out, j.failures(generation)...)
}

// bySearch is the ranked variant with the best score on search.
func (j *judge) bySearch(ranked []variantRow) variantRow {
	best := ranked[0]
	for _, v := range ranked {
		if j.measure.Better(j.score(v.Digest, spec.Search), j.score(best.Digest, spec.Search)) {
			best = v
		}
	}
	return best
}

func (j *judge) bestNote(best variantRow, b *stats.Bootstrap) []string {
	base, ok := j.series[evalKey{j.baseline, spec.Search}]
	if !ok || best.Digest == j.baseline {
		return nil
	}
	// Holm's correction over all that was tried: the best was looked for among them.
	tried := j.tried()
	p := make([]float64, len(tried))
	at := 0
	for i, d := range tried {
		p[i] = b.PValue(b.Difference(j.measure, j.series[evalKey{d, spec.Search}], base))
		if d == best.Digest {
			at = i
		}
	}
	d := b.Difference(j.measure, j.series[evalKey{best.Digest, spec.Search}], base)
	how := "better"
	if !j.measure.Better(d.Value, 0) {
		how = "worse"
	}
	sure := "That is beyond chance."
	if !(stats.Holm(p)[at] < 1-stats.Level) {
		sure = "That may be chance."
	}
	return []string{fmt.Sprintf("%s is %s than the baseline (%s) by %s%s. %s", best.Name, how, j.plan.suite.Baseline.Strategy, digits(math.Abs(d.Value)), within(d), sure)}
}

// within is an interval in brackets.
func within(d stats.Estimate) string {
	if math.IsNaN(d.Low) {
		return ""
	}
	low, high := math.Abs(d.Low), math.Abs(d.High)
	if d.Low < 0 && d.High > 0 {
		return fmt.Sprintf(" (95 %% interval of the difference: %s to %s)", digits(d.Low), digits(d.High))
	}
	return fmt.Sprintf(" (95 %% interval: %s to %s)", digits(min(low, high)), digits(max(low, high)))
}

// tiedNote names the variants that can't be told apart from the best, and what would tell the closest of them apart.
func (j *judge) tiedNote(ranked []variantRow, tied []string, b *stats.Bootstrap) string {
	best := ranked[0]
	text := fmt.Sprintf("%s can't be told apart from %s on these cases.", best.Name, list(tied))
	// Of those that are tied, the one that is farthest away is the first to be settled.
	var far stats.Estimate
	name := ""
	for _, v := range ranked[1:] {
		if !slices.Contains(tied, v.Name) {
			continue
		}
		d := b.Difference(j.measure, j.series[evalKey{best.Digest, spec.Search}], j.series[evalKey{v.Digest, spec.Search}])
		if name == "" || math.Abs(d.Value) > math.Abs(far.Value) {
			far, name = d, v.Name
		}
	}
	switch more := b.MoreClusters(far); {
	case more > 0:
		text += fmt.Sprintf(" About %s more would settle it for %s, if the difference of %s is real.", j.clusters(more), name, digits(math.Abs(far.Value)))
	case more < 0 && !math.IsNaN(far.SE):
		text += fmt.Sprintf(" Differences below %s are too small for these cases.", digits(stats.Detectable(far)))
	}
	return text
}

// clusters counts the units that intervals are made of.
func (j *judge) clusters(n int) string {
	unit := "case groups"
	if j.plan.suite.Data.Format == spec.StationDays {
		unit = "days"
		if n == 1 {
			unit = "day"
		}
	} else if n == 1 {
		unit = "case group"
	}
	return strconv.Itoa(n) + " " + unit
}

func (j *judge) sealedNotes(generation int) []string {
	s := j.sealed(generation)
	if s == nil {
		if j.plan.suite.Sealed.IsZero() {
			return []string{"The suite has no sealed cases, so no score comes from cases that nobody searched."}
		}
		return nil
	}
	var out []string
	text := fmt.Sprintf("On the sealed cases, which nothing was chosen by, %s has %s", s.Variant, digits(s.Score))
	if s.Baseline != nil {
		text += fmt.Sprintf(", %s", compared(s.Baseline))
	}
	out = append(out, fmt.Sprintf("%s. They were opened for %s so far.", text, count(s.Opened, "variant", "variants")))
	if s.Before != nil {
		out = append(out, fmt.Sprintf("On the sealed cases it is %s, the best of generation %d.", compared(s.Before), generation-1))
	} else if generation > 1 {
		if before := j.variant(j.generations[generation-2].Best); before != nil {
			if v := j.variant(j.generations[generation-1].Best); v != nil && v.Digest == before.Digest {
				out = append(out, fmt.Sprintf("No new variant of generation %d is better than the best of generation %d beyond one standard error on the cases kept back to choose by, so that one stays ahead.", generation, generation-1))
			}
		}
	}
	return out
}

func compared(c *Comparison) string {
	between := ""
	if c.Low != nil {
		between = fmt.Sprintf(" (95 %% interval of the difference: %s to %s)", digits(*c.Low), digits(*c.High))
	}
	switch c.Verdict {
	case Tied:
		return fmt.Sprintf("not to be told apart from %s with %s%s", c.Name, digits(c.Score), between)
	default:
		return fmt.Sprintf("%s than %s with %s%s", c.Verdict, c.Name, digits(c.Score), between)
	}
}

func (j *judge) failures(generation int) []string {
	var out []string
	for _, v := range j.members(generation) {
		e := j.evals[evalKey{v.Digest, spec.Search}]
		if e != nil && e.Status != string(session.OK) {
			out = append(out, fmt.Sprintf("%s failed (%s): %s", v.Name, e.Status, e.Detail))
		}
	}
	if n := len(out); n > 5 {
		out = append(out[:5], fmt.Sprintf("%d more variants failed.", n-5))
	}
	return out
}

// digits writes a number with three digits that count, or to three places when it is large.
func digits(f float64) string {
	if math.Abs(f) >= 1 {
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 3, 64), "0"), ".")
	}
	if math.Abs(f) < 5e-6 {
		return "0"
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 2, 64), 64)
	if err != nil {
		r = f
	}
	return strconv.FormatFloat(r, 'f', -1, 64)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
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
