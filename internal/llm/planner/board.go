package planner

import (
	"slices"
	"strings"
)

// row is one variant on a leaderboard.
type row struct {
	name, strategy, instance, verdict, status string
	rank                                      int
	score, low, high                          float64
	scored, bounded                           bool
	delta, deltaLow, deltaHigh                float64
	compared                                  bool
	raw                                       object
}

func rowsOf(out any) []row {
	var rows []row
	for _, v := range items(out, "leaderboard") {
		w := row{name: cmpOr(str(v, "variant"), str(v, "name")), strategy: str(v, "strategy"), instance: str(v, "instance"), verdict: str(v, "versusBest"), status: str(v, "status")}
		if o, ok := get(v, "variant").(object); ok {
			w.name = str(o, "name")
		}
		w.raw, _ = v.(object)
		if n, ok := num(v, "rank"); ok {
			w.rank = int(n)
		}
		w.score, w.scored = num(v, "score")
		var a, b bool
		w.low, a = num(v, "low")
		w.high, b = num(v, "high")
		w.bounded = a && b
		w.delta, w.compared = num(v, "delta")
		w.deltaLow, a = num(v, "deltaLow")
		w.deltaHigh, b = num(v, "deltaHigh")
		w.compared = w.compared && a && b
		rows = append(rows, w)
	}
	slices.SortStableFunc(rows, func(a, b row) int { return a.rank - b.rank })
	return rows
}

// rankOf answers the rows of an experiment's leaderboard; ok is false while they are missing.
func (r *run) rankOf(e *entity) (rows []row, out any, ok bool) {
	res, ok := r.do("experiments_leaderboard", object{"id": e.handle()})
	if !ok {
		return nil, nil, false
	}
	if res.failed {
		r.out.fail("Couldn't read the leaderboard of `%s`: %s", e.Name, why(res))
		return nil, nil, true
	}
	rows = rowsOf(res.out)
	for _, w := range rows {
		r.world.put("variant", object{"id": cmpOr(str(w.raw, "variantId"), ""), "name": w.name})
	}
	return rows, res.out, true
}

// board shows an experiment's leaderboard with a recommendation.
func (r *run) board(u *unit, e *entity, did string, compare bool) {
	rows, out, ok := r.rankOf(e)
	if !ok {
		return
	}
	r.about("experiment", e)
	if did != "" {
		r.out.done("%s", did)
	}
	if st := str(e.raw, "status"); st == "failed" || st == "cancelled" {
		r.out.fail("The experiment `%s` is %s%s.", e.Name, st, because(str(e.raw, "lastError")))
	} else if st == "queued" || strings.HasSuffix(st, "ing") {
		r.out.note("It is still %s; ask for the leaderboard later.", st)
	}
	if len(rows) == 0 {
		if len(r.out.failed) == 0 {
			r.out.show("`%s` has no scores yet.", e.Name)
		}
		return
	}
	r.focusRows(rows)
	head := sprintf("Leaderboard of `%s`", e.Name)
	if g := cell(get(e.raw, "generation")); g != "" {
		head += ", generation " + g
	}
	if m := str(e.raw, "metric"); m != "" {
		head += " (" + m + orWords(str(e.raw, "direction"), ", "+str(e.raw, "direction")+" is better", "") + ")"
	}
	r.out.show("%s:\n\n%s", head, boardTable(rows))
	r.recommend(rows, out)
	if compare {
		r.compareBefore(e, rows)
	}
	r.out.offer("You could now say: promote the winner, build an ensemble from the best two, or clone the top 2 and mutate back to %d.", len(rows))
}

// focusRows makes the ranked variants what is spoken of.
func (r *run) focusRows(rows []row) {
	var es []*entity
	for _, w := range rows {
		es = append(es, &entity{Kind: "variant", Name: w.name})
	}
	r.about("variant", es...)
}

func boardTable(rows []row) string {
	var lines [][]string
	for _, w := range rows {
		score := "failed"
		switch {
		case w.scored && w.bounded:
			score = sprintf("%s (%s to %s)", trim(w.score), trim(w.low), trim(w.high))
		case w.scored:
			score = trim(w.score)
		case w.status != "":
			score = w.status
		}
		gain := ""
		if w.compared {
			gain = sprintf("%+.2f (%+.2f to %+.2f)", w.delta, w.deltaLow, w.deltaHigh)
		}
		verdict := w.verdict
		if verdict == "tied" {
			verdict = "tied (can't tell)"
		}
		lines = append(lines, []string{cell(float64(w.rank)), w.name, w.strategy, score, gain, verdict})
	}
	return table([]string{"Rank", "Variant", "Strategy", "Score (95% interval)", "Versus baseline", "Versus best"}, lines)
}

func trim(f float64) string {
	s := sprintf("%.3f", f)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

// recommend says which variant is best and how sure that is.
func (r *run) recommend(rows []row, out any) {
	best := rows[0]
	if !best.scored {
		r.out.note("No variant has a score, so there is nothing to recommend.")
		return
	}
	var tied []string
	for _, w := range rows[1:] {
		if w.verdict == "tied" && w.scored {
			tied = append(tied, w.name)
		}
	}
	interval := ""
	if best.bounded {
		interval = sprintf(", 95%% interval %s to %s", trim(best.low), trim(best.high))
	}
	if len(tied) > 0 {
		r.out.show("`%s` (%s) leads with %s%s, but it can't be told apart from %s on these cases. I would keep the leader and score on more cases before relying on the difference.", best.name, best.strategy, trim(best.score), interval, ticked(tied))
	} else {
		r.out.show("I recommend `%s` (%s): it leads with %s%s.", best.name, best.strategy, trim(best.score), interval)
	}
	for _, n := range items(out, "notes") {
		if s, ok := n.(string); ok {
			r.out.show("%s", s)
		}
	}
}

// compareBefore says how the newest generation's best stands to the one before.
func (r *run) compareBefore(e *entity, rows []row) {
	g, ok := num(e.raw, "generation")
	if !ok || g < 2 {
		return
	}
	res, ok := r.do("experiments_leaderboard", object{"id": e.handle(), "generation": int(g) - 1})
	if !ok || res.failed {
		return
	}
	before := rowsOf(res.out)
	if len(before) == 0 || !before[0].scored || !rows[0].scored {
		return
	}
	diff := rows[0].score - before[0].score
	better := diff < 0
	if str(e.raw, "direction") == "higher" {
		better = diff > 0
	}
	word := map[bool]string{true: "better", false: "worse"}[better]
	if diff == 0 {
		r.out.show("The best score is the same as in generation %d (%s).", int(g)-1, trim(before[0].score))
		return
	}
	r.out.show("Compared with generation %d: its best was `%s` with %s; now `%s` has %s, %s by %s.", int(g)-1, before[0].name, trim(before[0].score), rows[0].name, trim(rows[0].score), word, trim(max(diff, -diff)))
}
