package catalog

import "yardmaster/internal/op"

func webhooksOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "webhooks.list", Route: "GET /api/webhooks", Scope: "webhooks:read", Effect: op.Read,
			Doc:   "List the webhooks.",
			Verbs: words("list, show, get, see, view, display, which, what, give me, tell me, how many, count, find"),
			Nouns: words("webhook, hook, callback, trigger"),
			Examples: []string{
				"which webhooks do I have?",
			},
		}, s.Webhooks.List),
		op.New(op.Op{
			Name: "webhooks.create", Route: "POST /api/webhooks", Scope: "webhooks:write", Effect: op.Write, Status: 201, Sensitive: true,
			Doc:   "Create a webhook: a secret URL that starts a prompt with the posted payload.",
			Verbs: words("create, make, set up, set * up, add, new, define, build, register, give me, need, want, open"),
			Nouns: words("webhook, hook, callback, trigger"),
			Examples: []string{
				"create a webhook called ci-failed. When it fires: Look at {{payload}} and tell me which build broke.",
			},
		}, s.Webhooks.Create),
		op.New(op.Op{
			Name: "webhooks.get", Route: "GET /api/webhooks/{id}", Scope: "webhooks:read", Effect: op.Read,
			Doc:   "Show one webhook.",
			Verbs: words("show, describe, get, what is, what does * do, details of, tell me about, inspect, view, look at"),
			Nouns: words("webhook, hook, template, callback"),
			Examples: []string{
				"what does the webhook pager do?",
			},
		}, s.Webhooks.Get),
		op.New(op.Op{
			Name: "webhooks.update", Route: "PUT /api/webhooks/{id}", Scope: "webhooks:write", Effect: op.Write, Sensitive: true,
			Doc: "Change a webhook's name or template, switch it on or off, rotate its token, or change how its calls are signed.",
			Verbs: words("rotate, disable, enable, change, update, edit, turn off, turn * off, turn on, turn * on, regenerate, renew, rename, set, pause, resume, " +
				"switch off, switch * off, switch on, switch * on, activate, deactivate, replace, suspend, mute, refresh, stop, start"),
			Nouns: words("webhook, hook, token, url, template, callback, trigger"),
			Examples: []string{
				"disable pager",
				"rotate the token of ci-failed",
				"change ci-failed's template to: Build report: {{payload}}",
			},
		}, s.Webhooks.Update),
		op.New(op.Op{
			Name: "webhooks.delete", Route: "DELETE /api/webhooks/{id}", Scope: "webhooks:write", Effect: op.Destroy,
			Doc:   "Delete a webhook; its URL stops working at once.",
			Verbs: words("delete, remove, destroy, drop, get rid of, scrap, erase, kill, trash, discard, throw away, throw * away, wipe, purge, do not need * any more"),
			Nouns: words("webhook, hook, callback, trigger"),
			Examples: []string{
				"delete the webhook pager",
			},
		}, s.Webhooks.Delete),
		op.New(op.Op{
			Name: "webhooks.deliveries", Route: "GET /api/webhooks/{id}/deliveries", Scope: "webhooks:read", Effect: op.Read,
			Doc:   "List the deliveries that a webhook received.",
			Verbs: words("show, list, what did * receive, get, see, view, how often, has * been called"),
			Nouns: words("delivery, deliveries, call, firing"),
			Examples: []string{
				"show the deliveries of pager",
			},
		}, s.Webhooks.Deliveries),
		op.New(op.Op{
			Name: "webhooks.replay", Route: "POST /api/webhooks/{id}/deliveries/{delivery}/replay", Scope: "webhooks:write", Effect: op.Write, Status: 202,
			Doc:   "Carry out a delivery of a webhook again, with its present template.",
			Verbs: words("replay, redeliver, resend, repeat, retry, rerun, run * again, send * again, carry out * again"),
			Nouns: words("delivery, firing"),
			Examples: []string{
				"replay the delivery dlv_… of pager",
			},
		}, s.Webhooks.Replay),
	}
}
