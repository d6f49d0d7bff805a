package catalog

import "yardmaster/internal/op"

func instancesOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "instances.list", Route: "GET /api/instances", Scope: "instances:read", Effect: op.Read,
			Doc: "List the instances with their status, labels and skills.",
			Verbs: words("list, show, display, get, see, view, check, print, give me, tell me, overview of, look at, count, find, enumerate, what is, which, " +
				"status of, how is, how are"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, fleet, sandbox, host, environment overview"),
			Examples: []string{
				"list my instances",
				"which instances are stopped?",
				"what have I got running?",
				"how many instances are active?",
				"what does the fleet look like?",
			},
		}, s.Fleet.List),
		op.New(op.Op{
			Name: "instances.create", Route: "POST /api/instances", Scope: "instances:write", Effect: op.Write, Status: 201,
			Doc: "Create an instance: an isolated computer with an agent in it.",
			Verbs: words("create, make, spin up, spin * up, launch, start up, bring up, bring * up, deploy, add, set up, set * up, boot up, boot, provision, " +
				"stand up, stand * up, fire up, fire * up, roll out, build, new, need, want, have, start, get me, give me, i would like, raise, put " +
				"up, allocate, bring * online, open, kick off, generate, produce, summon"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, sandbox, host"),
			Examples: []string{
				"create an instance called atlas",
				"spin up three boxes named a, b and c",
				"I need 4 workers, crawler-1 thru crawler-4, labelled env=staging",
				"new blank instance, name = sandbox-x",
				"bring up an instance named smog with the aqi-predictor skill",
			},
		}, s.Fleet.Create),
		op.New(op.Op{
			Name: "instances.get", Route: "GET /api/instances/{id}", Scope: "instances:read", Effect: op.Read,
			Doc: "Show one instance with its status and last error.",
			Verbs: words("show, describe, get, inspect, look at, tell me about, details of, details on, details about, what is, how is, status of, check, " +
				"check on, info on, view, why did, what is wrong with, why is"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, sandbox, host, status, detail, error"),
			Examples: []string{
				"show me web-1",
				"how is web-1 doing?",
				"what is wrong with crashy?",
			},
		}, s.Fleet.Get),
		op.New(op.Op{
			Name: "instances.update", Route: "PUT /api/instances/{id}", Scope: "instances:write", Effect: op.Write,
			Doc: "Rename an instance or change its labels; a label set to null is removed.",
			Verbs: words("rename, label, tag, unlabel, untag, relabel, retag, call, mark, change, update, edit, set, put, add, attach, apply, remove, drop, " +
				"delete, take * off, strip, clear, give, assign, should be called, should be named, name"),
			Nouns: words("label, tag, name, instance, agent, bot, box, machine, server, worker"),
			Examples: []string{
				"rename web-1 to storefront",
				"label web-1 env=prod",
				"put the labels team=search and tier=2 on api-1",
				"remove the label env from web-1",
				"change a-1's env label to qa",
			},
		}, s.Fleet.Update),
		op.New(op.Op{
			Name: "instances.delete", Route: "DELETE /api/instances/{id}", Scope: "instances:write", Effect: op.Destroy,
			Doc: "Delete an instance with its files, logs and configuration.",
			Verbs: words("delete, remove, destroy, kill, terminate, nuke, wipe, wipe out, tear down, tear * down, get rid of, drop, scrap, trash, erase, " +
				"decommission, throw away, throw * away, purge, can go, bin, dispose of, retire, take out, blow away, clean up, discard, eliminate, " +
				"dump, do not need * any more"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, fleet, sandbox, host"),
			Examples: []string{
				"delete the instance old-poc",
				"remove web-7",
				"get rid of the failed ones",
				"tear down all of my instances",
			},
		}, s.Fleet.Delete),
		op.New(op.Op{
			Name: "instances.restart", Route: "POST /api/instances/{id}/restart", Scope: "instances:write", Effect: op.Write,
			Doc:   "Restart an instance's processes; files and configuration stay.",
			Verbs: words("restart, reboot, bounce, cycle, power cycle, reset, relaunch, recycle, kick, turn * off and on again, reload"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, fleet, sandbox, host"),
			Examples: []string{
				"restart web-1",
				"bounce all the prod boxes",
				"restart anything that has failed",
			},
		}, s.Fleet.Restart),
		op.New(op.Op{
			Name: "instances.start", Route: "POST /api/instances/{id}/start", Scope: "instances:write", Effect: op.Write,
			Doc: "Start a stopped instance.",
			Verbs: words("start, turn on, turn * on, wake, wake up, wake * up, resume, power on, power * on, power up, boot, boot up, switch on, switch * " +
				"on, unpause, bring * back, bring back, bring up, bring * up, fire up, unsuspend, start * up, start up, activate, get * running, " +
				"should be running, bring * online"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, fleet, sandbox, host"),
			Examples: []string{
				"start whatever is stopped",
				"start web-1 again",
				"wake up the staging boxes",
			},
		}, s.Fleet.Start),
		op.New(op.Op{
			Name: "instances.stop", Route: "POST /api/instances/{id}/stop", Scope: "instances:write", Effect: op.Write,
			Doc: "Stop an instance; files and configuration stay.",
			Verbs: words("stop, halt, pause, shut down, shut * down, turn off, turn * off, power off, power * off, power down, switch off, switch * off, " +
				"suspend, put * to sleep, freeze, deactivate, park, shut off, take * offline, take * down, take down, send * to sleep, bring down, " +
				"bring * down, spin down, spin * down, should be stopped, close down, quiesce"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, computer, node, vm, fleet, sandbox, host"),
			Examples: []string{
				"stop web-1",
				"stop everything except db-1",
				"shut down the two oldest",
				"pause it",
			},
		}, s.Fleet.Stop),
		op.New(op.Op{
			Name: "instances.clone", Route: "POST /api/instances/{id}/clone", Scope: "instances:write", Effect: op.Write, Status: 201,
			Doc:   "Clone an instance, once or several times; granted secrets are not copied.",
			Verbs: words("clone, duplicate, copy, replicate, make a copy of, make * copies of, make * clones of, fork, mirror, twin"),
			Nouns: words("instance, agent, bot, box, machine, server, worker, copy, clone, duplicate"),
			Examples: []string{
				"clone golden twice",
				"make a copy of web-1 called web-spare",
			},
		}, s.Fleet.Clone),
		op.New(op.Op{
			Name: "instances.exec", Route: "POST /api/instances/{id}/exec", Scope: "instances:write", Effect: op.Write,
			Doc:   "Run a shell command in an instance and return its output.",
			Verbs: words("run, execute, exec, invoke, call, type, issue, do, fire, perform, launch"),
			Nouns: words("command, shell, script, bash"),
			Examples: []string{
				"run `uptime` on web-1",
				"execute \"ls -la\" everywhere and tell me who answers",
			},
		}, s.Fleet.Exec),
		op.New(op.Op{
			Name: "instances.logs", Route: "GET /api/instances/{id}/logs", Scope: "instances:read", Effect: op.Read,
			Doc: "Show the last log lines of an instance.",
			Verbs: words("show, tail, get, see, view, print, read, check, give me, display, fetch, pull, look at, list, what is in, what does * say, dump, " +
				"what did * log"),
			Nouns: words("log, log line, output, console output, logs, journal"),
			Examples: []string{
				"show me the last log lines of web-1",
				"tail 20 lines of the logs of web-1",
			},
		}, s.Fleet.Logs),
	}
}
