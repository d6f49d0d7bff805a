package catalog

import "yardmaster/internal/op"

func chatsOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "chats.list", Route: "GET /api/chat/history", Scope: "chats:read", Effect: op.Read,
			Doc:   "List the chats with the Operator.",
			Verbs: words("list, show, get, see, view, which, what, display, how many"),
			Nouns: words("chat, conversation, thread"),
			Examples: []string{
				"list my chats",
			},
		}, s.Chats.List),
		op.New(op.Op{
			Name: "chats.get", Route: "GET /api/chat/{id}", Scope: "chats:read", Effect: op.Read,
			Doc:   "Show one chat with its messages.",
			Verbs: words("show, open, read, get, view"),
			Nouns: words("chat, conversation, thread"),
			Examples: []string{
				"show the chat about the AQI experiment",
			},
		}, s.Chats.Get),
		op.New(op.Op{
			Name: "chats.delete", Route: "DELETE /api/chat/{id}", Scope: "chats:write", Effect: op.Destroy,
			Doc:   "Delete a chat.",
			Verbs: words("delete, remove, erase, drop, get rid of"),
			Nouns: words("chat, conversation, thread"),
			Examples: []string{
				"delete the chat about weather",
			},
		}, s.Chats.Delete),
		op.New(op.Op{
			Name: "chats.stop", Route: "POST /api/chat/{id}/stop", Scope: "chats:write", Effect: op.Write,
			Doc:   "Stop the turn that runs in a chat, and those that wait behind it.",
			Verbs: words("stop, halt, abort"),
			Nouns: words("turn, chat, answer"),
		}, s.Chats.Stop),
	}
}
