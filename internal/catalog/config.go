package catalog

import "yardmaster/internal/op"

func configOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "config.get", Route: "GET /api/instances/{id}/config", Scope: "config:read", Effect: op.Read, Resource: "instances",
			Doc:   "Show the configuration of an instance: instructions, model, environment, limits, allowed hosts.",
			Verbs: words("show, get, read, see, view, what is, which, display, tell me, check, print, is * set, does * have, how much, what, how many"),
			Nouns: words("config, configuration, setting, instructions, environment, variable, env, env var, memory, memory limit, model, egress, limit, " +
				"network, allowlist, system prompt, ram, disk, process"),
			Examples: []string{
				"what instructions is web-1 running with?",
				"show the config of web-1",
				"is PLANT_CODE set in anybody's environment?",
			},
		}, s.Fleet.GetConfig),
		op.New(op.Op{
			Name: "config.update", Route: "PUT /api/instances/{id}/config", Scope: "config:write", Effect: op.Write, Resource: "instances",
			Doc: "Change the configuration of an instance: environment variables, instructions, model, limits, hosts it may reach.",
			Verbs: words("set, change, update, configure, cap, limit, raise, lower, increase, decrease, reduce, unset, drop, remove, delete, clear, add, " +
				"put, give, switch * to, switch * over to, switch, use, let * reach, should be able to reach, may reach, can reach, allow, permit, " +
				"restrict, export, define, want, should use, should run with, replace, append, bump, adjust, tell, instruct, block, deny, may talk " +
				"to, let * talk to, let * access, open, make"),
			Nouns: words("config, configuration, setting, instructions, instruction, environment, variable, env, env var, environment variable, memory, " +
				"memory limit, ram, model, egress, limit, network, allowlist, system prompt, disk, process, cpu, internet, host, domain"),
			Examples: []string{
				"set LOG_LEVEL to debug on web-1",
				"cap the memory of web-1 at 384 MB",
				"change clerk's instructions to: Answer only in French.",
				"web-1 should be able to reach api.github.com and nothing else",
				"drop DEBUG_SQL from web-1's env",
				"switch web-1 to the model gpt-4.1-mini",
			},
		}, s.Fleet.UpdateConfig),
	}
}
