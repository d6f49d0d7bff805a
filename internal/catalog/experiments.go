package catalog

import "yardmaster/internal/op"

func experimentsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "experiments.list", Route: "GET /api/experiments", Scope: "experiments:read", Effect: op.Read,
			Doc:   "List the experiments.",
			Verbs: words("list, show, get, see, view, display, which, what, give me, tell me, how many, find, count"),
			Nouns: words("experiment, competition, tournament, contest, trial"),
			Examples: []string{
				"list my experiments",
			},
		}, s.Experiments.List),
		op.New(op.Op{
			Name: "experiments.create", Route: "POST /api/experiments", Scope: "experiments:write", Effect: op.Write, Status: 202,
			Doc: "Start an experiment: variants of a skill with different strategies, each in its own instance, scored on the same cases.",
			Verbs: words("deploy, start, create, run, launch, set up, set * up, let * compete, let * battle, compare, try, make, pit, benchmark, begin, kick " +
				"off, score, evaluate, spin up, new, race, build, test, let * fight, do"),
			Nouns: words("experiment, variant, version, strategy, competition, tournament, contest, contender, candidate, approach, flavour"),
			Examples: []string{
				"Deploy 5 variants of the AQI predictor with different strategies and score them.",
				"let three versions of aqi-predictor compete with each other",
				"start an experiment: skill aqi-predictor, 4 variants, seed 42, call it spring-run",
			},
		}, s.Experiments.Create),
		op.New(op.Op{
			Name: "experiments.get", Route: "GET /api/experiments/{id}", Scope: "experiments:read", Effect: op.Read,
			Doc:   "Show an experiment with its generations, variants and lineage.",
			Verbs: words("show, describe, get, how is, status of, inspect, tell me about, details of, what is, view, look at, how are"),
			Nouns: words("experiment, generation, lineage, variant, progress, family tree, parent"),
			Examples: []string{
				"how is the experiment going?",
				"show the lineage of spring-run",
			},
		}, s.Experiments.Get),
		op.New(op.Op{
			Name: "experiments.leaderboard", Route: "GET /api/experiments/{id}/leaderboard", Scope: "experiments:read", Effect: op.Read,
			Doc: "Rank an experiment's variants by score, with intervals and verdicts.",
			Verbs: words("show, who is, which, who leads, who won, why did * win, compare, rank, is * better, what is, list, get, see, view, give me, tell " +
				"me, how did, who is winning, how do"),
			Nouns: words("leaderboard, ranking, score, standing, result, winner, lead, leader, best variant, top variant, table, champion, variant, " +
				"strategy, noise, outcome"),
			Examples: []string{
				"show the leaderboard",
				"who is in the lead?",
				"why did aqi-predictor-v3 win?",
				"is v3 really better than v1?",
			},
		}, s.Experiments.Leaderboard),
		op.New(op.Op{
			Name: "experiments.wait", Route: "POST /api/experiments/{id}/wait", Scope: "experiments:read", Effect: op.Read,
			Doc:   "Wait until an experiment has finished what it is doing.",
			Verbs: words("wait, wait for, await"),
			Nouns: words("experiment, generation"),
			Examples: []string{
				"wait for the experiment",
			},
		}, s.Experiments.Wait),
		op.New(op.Op{
			Name: "experiments.evaluate", Route: "POST /api/experiments/{id}/evaluate", Scope: "experiments:write", Effect: op.Write, Status: 202,
			Doc:   "Score the variants of an experiment again.",
			Verbs: words("score, evaluate, rescore, re-score, re-evaluate, measure, grade, rate, rerun, test"),
			Nouns: words("experiment, variant, score, evaluation"),
			Examples: []string{
				"score them",
				"evaluate the variants again",
			},
		}, s.Experiments.Evaluate),
		op.New(op.Op{
			Name: "experiments.evolve", Route: "POST /api/experiments/{id}/evolve", Scope: "experiments:write", Effect: op.Write, Status: 202,
			Doc: "Make the next generation: keep the best variants and fill up with mutated ones.",
			Verbs: words("evolve, mutate, breed, clone, keep, improve, iterate, refine, do another, do, next, run, make, refill, grow, cross, continue, " +
				"advance, go on"),
			Nouns: words("generation, variant, top, best, winner, mutation, offspring, generations, round"),
			Examples: []string{
				"Clone the top 2 and mutate back to 5. Focus on the ensemble approach.",
				"evolve those two into a new generation of 4",
				"do another three generations, but stop early when it no longer gets better",
			},
		}, s.Experiments.Evolve),
		op.New(op.Op{
			Name: "experiments.ensemble", Route: "POST /api/experiments/{id}/ensemble", Scope: "experiments:write", Effect: op.Write, Status: 202,
			Doc:   "Build a variant that combines the best ones, and score it.",
			Verbs: words("build, combine, make, create, merge, ensemble, blend, join, average, put * together, mix"),
			Nouns: words("ensemble, combination, blend, mix"),
			Examples: []string{
				"build an ensemble from the best two and score it too",
			},
		}, s.Experiments.Ensemble),
		op.New(op.Op{
			Name: "experiments.promote", Route: "POST /api/experiments/{id}/promote", Scope: "experiments:write", Effect: op.Write,
			Doc:   "Put a variant into production.",
			Verbs: words("promote, ship, release, put * into production, deploy, crown, take * live, make * live, publish, roll out, use"),
			Nouns: words("winner, production, variant, best, champion"),
			Examples: []string{
				"promote the winner to production and clean up the other variants",
			},
		}, s.Experiments.Promote),
		op.New(op.Op{
			Name: "experiments.rollback", Route: "POST /api/experiments/{id}/rollback", Scope: "experiments:write", Effect: op.Write,
			Doc:   "Take the last promotion back.",
			Verbs: words("roll back, roll * back, rollback, revert, undo, unpromote, demote"),
			Nouns: words("promotion, production, experiment, release"),
			Examples: []string{
				"roll back the promotion",
			},
		}, s.Experiments.Rollback),
		op.New(op.Op{
			Name: "experiments.cancel", Route: "POST /api/experiments/{id}/cancel", Scope: "experiments:write", Effect: op.Write,
			Doc:   "Stop an experiment that is running.",
			Verbs: words("cancel, stop, abort, halt, end, call off, break off, interrupt, kill"),
			Nouns: words("experiment, generation, evaluation, run"),
			Examples: []string{
				"cancel the experiment",
			},
		}, s.Experiments.Cancel),
		op.New(op.Op{
			Name: "experiments.delete", Route: "DELETE /api/experiments/{id}", Scope: "experiments:write", Effect: op.Destroy,
			Doc:   "Delete an experiment with its variants and their instances.",
			Verbs: words("delete, remove, destroy, drop, get rid of, scrap, erase, throw away, throw * away, discard, wipe, purge"),
			Nouns: words("experiment, competition, tournament"),
			Examples: []string{
				"delete the experiment spring-run",
			},
		}, s.Experiments.Delete),
	}
}
