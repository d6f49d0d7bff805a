package catalog

import "yardmaster/internal/op"

func automationsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "automations.list", Route: "GET /api/automations", Scope: "automations:read", Effect: op.Read,
			Doc:   "List the automations with their schedules and next runs.",
			Verbs: words("list, show, get, see, view, display, which, what, when, what is scheduled, scheduled, give me, tell me, how many, count, find"),
			Nouns: words("automation, schedule, cron, job, cron job, recurring task, routine, scheduled task, timer"),
			Examples: []string{
				"what is scheduled at the moment?",
				"list my automations",
				"when will dawn run next?",
			},
		}, s.Automations.List),
		op.New(op.Op{
			Name: "automations.create", Route: "POST /api/automations", Scope: "automations:write", Effect: op.Write, Status: 201,
			Doc:   "Run a prompt on a schedule (5-field cron and a timezone).",
			Verbs: words("schedule, automate, create, make, set up, add, plan, new, program"),
			Nouns: words("automation, schedule, cron, job, cron job, recurring task, routine, scheduled task, timer, reminder"),
			Examples: []string{
				"every weekday at 9 in New York, score the AQI predictions",
				"schedule a fleet digest for noon on Saturdays, London time",
			},
		}, s.Automations.Create),
		op.New(op.Op{
			Name: "automations.get", Route: "GET /api/automations/{id}", Scope: "automations:read", Effect: op.Read,
			Doc: "Show one automation.",
			Verbs: words("show, describe, when, what is, what does * do, get, details of, tell me about, inspect, view, when will * run, when does * run, " +
				"look at"),
			Nouns: words("automation, schedule, cron, job, cron job, run"),
			Examples: []string{
				"when will dawn run next?",
				"describe nightly-score",
			},
		}, s.Automations.Get),
		op.New(op.Op{
			Name: "automations.update", Route: "PUT /api/automations/{id}", Scope: "automations:write", Effect: op.Write,
			Doc: "Change an automation's schedule, timezone, name or prompt, or pause and resume it.",
			Verbs: words("pause, resume, disable, enable, move, reschedule, change, update, set, turn off, turn * off, turn on, turn * on, switch off, " +
				"switch * off, switch on, switch * on, suspend, stop, unpause, reactivate, shift, make, edit, rename, deactivate, activate, hold, " +
				"mute, should run, run * at, start, put * on hold, push, postpone, restart"),
			Nouns: words("automation, schedule, cron, job, cron job, routine, timezone, time zone, prompt, timer"),
			Examples: []string{
				"pause nightly-score",
				"move morning-digest to 6:45",
				"set the timezone of morning-digest to Europe/Athens",
				"make it 10am",
			},
		}, s.Automations.Update),
		op.New(op.Op{
			Name: "automations.delete", Route: "DELETE /api/automations/{id}", Scope: "automations:write", Effect: op.Destroy,
			Doc: "Delete an automation.",
			Verbs: words("delete, remove, destroy, drop, get rid of, cancel, scrap, erase, unschedule, trash, kill, discard, throw away, throw * away, wipe, " +
				"purge, nuke, do not need * any more"),
			Nouns: words("automation, schedule, cron, job, cron job, routine, scheduled task, timer"),
			Examples: []string{
				"delete the hourly check",
				"drop all automations",
			},
		}, s.Automations.Delete),
		op.New(op.Op{
			Name: "automations.run", Route: "POST /api/automations/{id}/run", Scope: "automations:write", Effect: op.Write,
			Doc:   "Run an automation now, outside its schedule.",
			Verbs: words("run, trigger, fire, execute, kick off, start, launch, run * now, fire off"),
			Nouns: words("automation, job, cron job, routine, schedule"),
			Examples: []string{
				"run nightly-stop right now",
			},
		}, s.Automations.RunNow),
		op.New(op.Op{
			Name: "automations.runs", Route: "GET /api/automations/{id}/runs", Scope: "automations:read", Effect: op.Read,
			Doc:   "List the past runs of an automation.",
			Verbs: words("show, list, how did, did * run, has * run, when did * run, what happened, history of, get, see, view, how often"),
			Nouns: words("run, runs, history, past run, execution"),
			Examples: []string{
				"show the runs of nightly-stop",
				"did nightly-stop run?",
			},
		}, s.Automations.Runs),
	}
}
