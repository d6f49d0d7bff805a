package catalog

import "yardmaster/internal/op"

func skillsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "skills.list", Route: "GET /api/skills", Scope: "skills:read", Effect: op.Read,
			Doc:   "List the skills.",
			Verbs: words("list, show, get, see, view, display, give me, tell me, which, what, how many, find, count"),
			Nouns: words("skill, ability, capability"),
			Examples: []string{
				"which skills have I got?",
				"list all skills",
			},
		}, s.Skills.List),
		op.New(op.Op{
			Name: "skills.create", Route: "POST /api/skills", Scope: "skills:write", Effect: op.Write, Status: 201,
			Doc: "Create a skill from a name, description and instructions, or import it from a folder, zip or git URL.",
			Verbs: words("create, make, write, import, add, load, upload, bring in, register, new, define, build, install, pull in, fetch, get, set up, " +
				"draft, compose"),
			Nouns: words("skill, ability"),
			Examples: []string{
				"import the skill in /srv/skills/weather-note",
				"create a skill named haiku-judge. Description: Checks haiku. Instructions: Count syllables.",
				"I have a zip at /tmp/tidy-up.zip, add it as a skill",
			},
		}, s.Skills.Create),
		op.New(op.Op{
			Name: "skills.get", Route: "GET /api/skills/{id}", Scope: "skills:read", Effect: op.Read,
			Doc: "Show what a skill does, its version and its files.",
			Verbs: words("show, describe, explain, what does * do, what is, get, tell me about, inspect, details of, view, info on, look at, what can * do, " +
				"summarize, how does * work"),
			Nouns: words("skill, description"),
			Examples: []string{
				"what does the aqi predictor skill do?",
				"describe greeter",
			},
		}, s.Skills.Get),
		op.New(op.Op{
			Name: "skills.update", Route: "PUT /api/skills/{id}", Scope: "skills:write", Effect: op.Write,
			Doc:   "Change a skill's description, files or source; this makes a new version.",
			Verbs: words("change, update, edit, set, rewrite, replace, reword, alter, modify, adjust, refresh"),
			Nouns: words("skill, description, instructions"),
			Examples: []string{
				"change greeter's description to 'Greets visitors in Dutch'",
			},
		}, s.Skills.Update),
		op.New(op.Op{
			Name: "skills.delete", Route: "DELETE /api/skills/{id}", Scope: "skills:write", Effect: op.Destroy,
			Doc: "Delete a skill and all its versions.",
			Verbs: words("delete, remove, destroy, drop, get rid of, scrap, trash, erase, throw away, throw * away, discard, wipe, purge, do not need * any " +
				"more"),
			Nouns: words("skill, ability"),
			Examples: []string{
				"delete the skill greeter",
			},
		}, s.Skills.Delete),
		op.New(op.Op{
			Name: "skills.versions", Route: "GET /api/skills/{id}/versions", Scope: "skills:read", Effect: op.Read,
			Doc:   "List the versions of a skill.",
			Verbs: words("show, list, which, what, how many, get, see, view"),
			Nouns: words("version, history, versions"),
			Examples: []string{
				"which versions of greeter are there?",
			},
		}, s.Skills.Versions),
		op.New(op.Op{
			Name: "skills.diff", Route: "GET /api/skills/{id}/diff", Scope: "skills:read", Effect: op.Read,
			Doc:   "Show what changed between two versions of a skill.",
			Verbs: words("diff, compare, what changed in, show, what is different, difference between, what changed"),
			Nouns: words("change, difference, diff, version"),
			Examples: []string{
				"what changed between versions 1 and 2 of greeter?",
			},
		}, s.Skills.Diff),
		op.New(op.Op{
			Name: "skills.install", Route: "POST /api/skills/{id}/install", Scope: "skills:write", Effect: op.Write,
			Doc: "Install a skill on instances.",
			Verbs: words("install, put, deploy, add, give, equip, set up, load, roll out, should have, needs, need, gets, get, teach, push, apply, attach, " +
				"enable, copy, bring"),
			Nouns: words("skill, ability"),
			Examples: []string{
				"install aqi-predictor on web-1",
				"put the greeter skill on every instance",
				"give the staging boxes greeter",
			},
		}, s.Fleet.Install),
		op.New(op.Op{
			Name: "skills.uninstall", Route: "POST /api/skills/{id}/uninstall", Scope: "skills:write", Effect: op.Write,
			Doc: "Take a skill off instances; the skill itself stays.",
			Verbs: words("uninstall, remove, take * off, take off, take * from, take * away from, drop, strip, detach, pull, delete, get rid of, no longer " +
				"needs, does not need, deinstall, unload"),
			Nouns: words("skill, ability"),
			Examples: []string{
				"uninstall greeter from beta",
				"take the greeter skill off web-1",
			},
		}, s.Fleet.Uninstall),
		op.New(op.Op{
			Name: "skills.test", Route: "POST /api/skills/{id}/test", Scope: "skills:write", Effect: op.Write,
			Doc:   "Run a skill's own test and report its result.",
			Verbs: words("test, try, try out, check, verify, self-test, validate, does * work, exercise"),
			Nouns: words("skill, ability"),
			Examples: []string{
				"test aqi-predictor",
				"does greeter work?",
			},
		}, s.Fleet.TestSkill),
	}
}
