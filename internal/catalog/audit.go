package catalog

import "yardmaster/internal/op"

func auditOperations(s Services) []*op.Operation {
	return []*op.Operation{
		op.New(op.Op{
			Name: "audit.list", Route: "GET /api/audit", Scope: "audit:read", Effect: op.Read,
			Doc: "Show the audit log: who changed what, when, from where, through which surface, and how it ended. The newest writes come first; " +
				"about narrows it to one thing, operation to one kind of write, since and until to a time.",
			Verbs: words("show, list, get, see, view, display, read, open, who deleted, who created, who changed, who made, who stopped, who restarted, " +
				"who did, who removed, what happened, what changed, what was done"),
			Nouns: words("audit log, audit trail, audit, audit entry, record of changes, log of changes, history of changes"),
			Examples: []string{
				"show the audit log",
				"who deleted web-1?",
				"what happened yesterday?",
			},
		}, s.Audit.List),
		op.New(op.Op{
			Name: "audit.verify", Route: "GET /api/audit/verify", Scope: "audit:read", Effect: op.Read,
			Doc: "Check that the audit log is as it was written: nothing changed, taken out or moved. Give the head of an earlier check to find " +
				"a log that was cut off or made anew as well.",
			Verbs: words("verify, check, validate, prove, is, has"),
			Nouns: words("audit log, audit trail, audit, audit chain"),
			Examples: []string{
				"verify the audit log",
				"is the audit log intact?",
			},
		}, s.Audit.Verify),
	}
}
