package catalog

import "yardmaster/internal/op"

func keysOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "keys.list", Route: "GET /api/chat-keys", Scope: "keys:read", Effect: op.Read,
			Doc:   "List the API keys of the account, never the keys themselves.",
			Verbs: words("list, show, get, see, view, which, what, how many"),
			Nouns: words("access key, chat key, account key, yardmaster key, platform key, operator key"),
			Examples: []string{
				"which chat keys are there?",
			},
		}, s.Auth.ListKeys),
		op.New(op.Op{
			Name: "keys.create", Route: "POST /api/chat-keys", Scope: "keys:write", Effect: op.Write, Status: 201, Sensitive: true,
			Doc:   "Make an API key for programs; it is shown once.",
			Verbs: words("create, make, new, generate, issue, give me, mint, add"),
			Nouns: words("access key, chat key, account key, yardmaster key, platform key, operator key"),
			Examples: []string{
				"create a chat key called ci",
			},
		}, s.Auth.CreateKey),
		op.New(op.Op{
			Name: "keys.delete", Route: "DELETE /api/chat-keys/{id}", Scope: "keys:write", Effect: op.Destroy,
			Doc:   "Revoke an API key at once.",
			Verbs: words("delete, remove, revoke, drop, disable, invalidate, cancel, kill"),
			Nouns: words("access key, chat key, account key, yardmaster key, platform key, operator key"),
			Examples: []string{
				"revoke the chat key ci",
			},
		}, s.Auth.DeleteKey),
	}
}
