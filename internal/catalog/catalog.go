// Package catalog declares every operation of the platform, one file a resource.
//
// A declaration holds the words by which people ask for the operation beside what programs need. The planner's lexicon,
// the CLI's help and the docs are made of them, so that a new operation is understood once it is declared.
package catalog

import (
	"strings"

	"yardmaster/internal/audit"
	"yardmaster/internal/auth"
	"yardmaster/internal/automation"
	"yardmaster/internal/chat"
	"yardmaster/internal/experiment"
	"yardmaster/internal/fleet"
	"yardmaster/internal/op"
	"yardmaster/internal/secret"
	"yardmaster/internal/skill"
	"yardmaster/internal/webhook"
)

// Services are what the operations are methods of. The zero Services are enough to describe the operations, as the
// command line does; only a program that carries them out fills it.
type Services struct {
	Auth        *auth.Service
	Audit       *audit.Log
	Fleet       *fleet.Service
	Skills      *skill.Service
	Secrets     *secret.Service
	Automations *automation.Service
	Webhooks    *webhook.Service
	Experiments *experiment.Service
	Chats       *chat.Service
}

// Operations lists every operation.
func Operations(s Services) []*op.Operation {
	var out []*op.Operation
	for _, ops := range [][]*op.Operation{
		instancesOperations(s), filesOperations(s), configOperations(s), skillsOperations(s), secretsOperations(s), experimentsOperations(s),
		automationsOperations(s), webhooksOperations(s), chatsOperations(s), turnsOperations(s), keysOperations(s), auditOperations(s), accountOperations(s),
	} {
		out = append(out, ops...)
	}
	return out
}

// words splits a list of words and phrases at its commas. A * in a phrase stands for what may come between: "turn * off".
func words(list string) []string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}
