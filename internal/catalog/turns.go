package catalog

import "yardmaster/internal/op"

func turnsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "turns.get", Route: "GET /api/turns/{id}", Scope: "turns:read", Effect: op.Read,
			Doc:   "Show one turn of a chat: its steps, tool calls, usage and error.",
			Verbs: words("show, get, inspect"),
			Nouns: words("turn"),
		}, s.Chats.GetTurn),
	}
}
