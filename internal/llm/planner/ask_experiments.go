package planner

import (
	"slices"
	"strings"
)

// boardQuestion answers a question about a leaderboard: the whole table, the leader, why one won, or whether two differ.
func (r *run) boardQuestion(u *unit, e *entity) {
	rows, out, ok := r.rankOf(e)
	if !ok {
		return
	}
	r.about("experiment", e)
	if len(rows) == 0 {
		if len(r.out.failed) == 0 {
			r.out.show("`%s` has no scores yet (status %s).", e.Name, cmpOr(str(e.raw, "status"), "unknown"))
		}
		return
	}
	r.focusRows(rows)
	c := u.c
	named := variantNames(u, rows)
	switch {
	case c.has("why") || c.hasSeq("how", "come"):
		r.whyWon(rows, named)
	case len(named) >= 2 || c.has("better", "noise", "significant", "significantly", "luck", "really", "difference", "differ"):
		r.comparePair(rows, named)
	case len(named) == 1:
		w := rows[slices.IndexFunc(rows, func(w row) bool { return w.name == named[0] })]
		r.out.show("%s", rankSentence(w, len(rows)))
		r.out.show("%s", boardTable(rows))
	default:
		n := 0
		worst := false
		for _, f := range c.refs("") {
			if f.super == "best" || f.super == "worst" || f.kind == "variant" {
				n = max(n, f.count)
				worst = worst || f.super == "worst"
			}
		}
		if worst {
			last := rows[len(rows)-max(1, min(n, len(rows))):]
			for _, w := range last {
				r.out.show("%s", rankSentence(w, len(rows)))
			}
			return
		}
		if n > 0 && n < len(rows) {
			var es []*entity
			var named []string
			for _, w := range rows[:n] {
				es = append(es, &entity{Kind: "variant", Name: w.name})
				named = append(named, w.name)
			}
			r.about("variant", es...)
			r.out.show("The best %d are %s.", n, ticked(named))
			r.out.show("%s", boardTable(rows))
			return
		}
		if c.has("who", "leads", "leading", "lead", "winning", "best", "won", "winner", "ahead") {
			r.out.show("%s", rankSentence(rows[0], len(rows)))
		}
		r.out.show("Leaderboard of `%s`:\n\n%s", e.Name, boardTable(rows))
		r.recommend(rows, out)
	}
}

func rankSentence(w row, of int) string {
	s := sprintf("`%s` (%s) is on rank %d of %d", w.name, w.strategy, w.rank, of)
	if w.scored {
		s += " with a score of " + trim(w.score)
		if w.bounded {
			s += sprintf(" (95%% interval %s to %s)", trim(w.low), trim(w.high))
		}
	} else {
		s += " without a score"
	}
	return s + "."
}

// whyWon explains a lead from the numbers, and corrects a false claim.
func (r *run) whyWon(rows []row, named []string) {
	best := rows[0]
	if len(named) > 0 && named[0] != best.name {
		w := rows[slices.IndexFunc(rows, func(w row) bool { return w.name == named[0] })]
		if w.verdict == "tied" {
			r.out.show("`%s` didn't win: it is on rank %d of %d, though it can't be told apart from the leader.", w.name, w.rank, len(rows))
		} else {
			r.out.show("`%s` didn't win: it is on rank %d of %d.", w.name, w.rank, len(rows))
		}
		r.out.show("%s", rankSentence(best, len(rows)))
		r.out.show("%s", boardTable(rows))
		return
	}
	r.out.show("%s", rankSentence(best, len(rows)))
	var facts []string
	if best.compared {
		facts = append(facts, sprintf("against the baseline it differs by %+.2f (95%% interval %+.2f to %+.2f)", best.delta, best.deltaLow, best.deltaHigh))
	}
	if len(rows) > 1 && rows[1].scored {
		next := rows[1]
		facts = append(facts, sprintf("the next one, `%s` (%s), has %s", next.name, next.strategy, trim(next.score)))
		if next.verdict == "tied" {
			facts = append(facts, "and the two can't be told apart on these cases, so the lead may be chance")
		} else if next.verdict != "" {
			facts = append(facts, "which is "+strings.ReplaceAll(next.verdict, "best", "level")+" on the same cases")
		}
	}
	if len(facts) > 0 {
		r.out.show("%s.", upperFirst(strings.Join(facts, "; ")))
	}
	r.out.show("It won because its strategy, %s, made the smaller errors on these cases. What in the strategy did it, the numbers alone can't say.", best.strategy)
	r.out.show("%s", boardTable(rows))
}

// comparePair says whether one variant is really better than another.
func (r *run) comparePair(rows []row, named []string) {
	a, b := rows[0], rows[0]
	if len(rows) > 1 {
		b = rows[1]
	}
	at := func(n string) row { return rows[slices.IndexFunc(rows, func(w row) bool { return w.name == n })] }
	if len(named) > 0 {
		a = at(named[0])
		if len(named) > 1 {
			b = at(named[1])
		} else if a.name == b.name {
			b = rows[0]
		}
	}
	top, low := a, b
	if b.rank < a.rank {
		top, low = b, a
	}
	overlap := top.bounded && low.bounded && top.low <= low.high && low.low <= top.high
	switch {
	case !top.scored || !low.scored:
		r.out.show("One of the two has no score, so they can't be compared.")
	case top.rank == rows[0].rank && low.verdict == "tied":
		r.out.show("`%s` and `%s` are tied: on the same cases the difference could be noise.", top.name, low.name)
	case top.rank == rows[0].rank && low.verdict == "worse":
		r.out.show("`%s` is really better than `%s`: on the same cases the interval of their difference does not hold zero.", top.name, low.name)
	case overlap:
		r.out.show("`%s` ranks above `%s`, but their intervals overlap, so the difference may be noise.", top.name, low.name)
	default:
		r.out.show("`%s` is better than `%s`: their intervals do not overlap.", top.name, low.name)
	}
	r.out.show("%s", rankSentence(a, len(rows)))
	r.out.show("%s", rankSentence(b, len(rows)))
	r.out.show("%s", boardTable(rows))
}
