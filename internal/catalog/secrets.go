package catalog

import "yardmaster/internal/op"

func secretsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "secrets.list", Route: "GET /api/secrets", Scope: "secrets:read", Effect: op.Read,
			Doc: "List the secrets: names, who may use them, whether global; never values.",
			Verbs: words("list, show, get, see, view, display, which, what, who can use, who uses, who has, who may use, how many, give me, tell me, count, " +
				"find, use, uses, have access to, has access to"),
			Nouns: words("secret, credential, api key, token, password, key, access"),
			Examples: []string{
				"list my secrets",
				"who can use STRIPE_KEY?",
				"which instances use GITHUB_TOKEN?",
			},
		}, s.Secrets.List),
		op.New(op.Op{
			Name: "secrets.create", Route: "POST /api/secrets", Scope: "secrets:write", Effect: op.Write, Status: 201, Sensitive: true,
			Doc: "Store a secret under an environment-variable name; its value is never shown again.",
			Verbs: words("create, add, save, store, remember, keep, set, new, make, register, put, define, here is, note, record, hold, use, take, enter, " +
				"stash"),
			Nouns: words("secret, credential, api key, token, password, key, passphrase, connection string"),
			Examples: []string{
				"save this secret: OPENWEATHER_API_KEY=…",
				"add … as GITHUB_TOKEN",
				"create a global secret SENTRY_DSN with the value …",
			},
		}, s.Secrets.Create),
		op.New(op.Op{
			Name: "secrets.update", Route: "PUT /api/secrets/{id}", Scope: "secrets:write", Effect: op.Write, Sensitive: true,
			Doc: "Change a secret's value, description, hosts or whether every instance may use it.",
			Verbs: words("rotate, change, update, replace, set, renew, make * global, make global, share, make * available, may use, can use, may be used, " +
				"open up, let * use, roll, refresh, edit, use, restrict, limit, describe, allow, no longer be global"),
			Nouns: words("secret, credential, token, password, key, value, global"),
			Examples: []string{
				"rotate DATABASE_URL, the new value is …",
				"make STRIPE_KEY global",
				"from now on all instances may use MAPS_KEY",
			},
		}, s.Secrets.Update),
		op.New(op.Op{
			Name: "secrets.delete", Route: "DELETE /api/secrets/{id}", Scope: "secrets:write", Effect: op.Destroy,
			Doc: "Delete a secret; instances lose it at once.",
			Verbs: words("delete, remove, destroy, drop, forget, get rid of, erase, trash, throw away, throw * away, wipe, purge, discard, scrap, do not " +
				"need * any more"),
			Nouns: words("secret, credential, token, password, key"),
			Examples: []string{
				"delete the secret OLD_TOKEN",
				"remove all secrets",
			},
		}, s.Secrets.Delete),
		op.New(op.Op{
			Name: "secrets.grant", Route: "POST /api/secrets/{id}/grants", Scope: "secrets:write", Effect: op.Write,
			Doc: "Let instances use a secret.",
			Verbs: words("grant, give, let * use, allow, share, may use, can use, needs access to, needs, need, gets, get, should have, provide, hand, " +
				"permit, enable, authorize, authorise, assign, add, should be able to use, access to, use, pass, should get, expose, let * have"),
			Nouns: words("secret, credential, token, password, key, access"),
			Examples: []string{
				"grant STRIPE_KEY to billing-1",
				"let web-1 and web-2 use it",
				"everybody with tier=gold gets API_TOKEN",
			},
		}, s.Secrets.Grant),
		op.New(op.Op{
			Name: "secrets.revoke", Route: "DELETE /api/secrets/{id}/grants/{instance}", Scope: "secrets:write", Effect: op.Write,
			Doc: "Take a secret away from an instance.",
			Verbs: words("revoke, take * away, take * from, remove, withdraw, deny, ungrant, drop, should not have, no longer needs, must not use, should " +
				"not use, block, take * back, take away, pull, strip, cut * off, may not use, should no longer use, does not need, should lose, " +
				"loses"),
			Nouns: words("secret, credential, token, password, key, access"),
			Examples: []string{
				"revoke STRIPE_KEY from billing-2",
				"web-1 must not use GITHUB_TOKEN any more",
			},
		}, s.Secrets.Revoke),
	}
}
