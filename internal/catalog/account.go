package catalog

import "yardmaster/internal/op"

func accountOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "account.health", Route: "GET /api/cli/health", Scope: "account:read", Effect: op.Read,
			Doc:   "Say whether the key is valid and how the platform is doing.",
			Verbs: words("show, check, what is, how is, tell me, get, who am i, am i"),
			Nouns: words("account, plan, health of the platform, platform, login, platform status"),
			Examples: []string{
				"how is the platform doing?",
				"which account am I using?",
			},
		}, s.Auth.Health),
	}
}
