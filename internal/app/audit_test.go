package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/app/apptest"
	"yardmaster/internal/config"
)

// The audit log of the whole program: what came by REST and what the Operator did, for one account and not for another,
// over a restart, without the secrets that passed.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Model(apptest.Caller{}))
	empty := y.Must("GET", "/api/audit/verify", nil)
	y.Must("POST", "/api/automations", map[string]any{"name": "dawn", "prompt": "look at sesame-open-5t2k", "cronExpression": "0 9 * * *"})
	y.Must("POST", "/api/secrets", map[string]any{"name": "STRIPE_KEY", "value": "sesame-open-5t2k"})
	if a := y.Call("POST", "/api/automations", map[string]any{"name": "dawn", "prompt": "again sesame-open-5t2k", "cronExpression": "0 9 * * *"}); a.Code() != "conflict" {
		t.Fatal(a)
	}
	turn := y.Chat("", apptest.CallText("automations_delete", map[string]any{"id": "dawn"}))
	if turn.Status != http.StatusOK {
		t.Fatal(turn)
	}
	list := y.Must("GET", "/api/audit?about=dawn", nil)
	if list.Len("entries") != 3 {
		t.Fatal(list)
	}
	for field, want := range map[string]string{
		"0.operation": "automations.delete", "0.surface": "operator", "0.outcome": "ok", "0.chatId": turn.ChatID,
		"1.operation": "automations.create", "1.surface": "rest", "1.outcome": "failed", "1.code": "conflict", "1.remote": "127.0.0.1",
		"2.operation": "automations.create", "2.outcome": "ok",
	} {
		if got := list.Text("entries." + field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
	if !strings.HasPrefix(list.Text("entries.0.turnId"), "turn_") || list.Text("entries.0.callId") == "" || !strings.HasPrefix(list.Text("entries.0.keyId"), "key_") {
		t.Errorf("who deleted it? %s", list)
	}
	// What was written before the value was known to be a secret is as it was; what came after has a mask.
	if prompt := list.Text("entries.1.input.prompt"); !strings.HasPrefix(prompt, "again") || strings.Contains(prompt, "sesame") || strings.Contains(y.Must("GET", "/api/audit?operation=secrets", nil).String(), "sesame") {
		t.Error("the log shows a secret")
	}
	if a := y.Other.Must("GET", "/api/audit", nil); a.Len("entries") != 0 {
		t.Errorf("another account sees %s", a)
	}
	before := y.Must("GET", "/api/audit/verify?head="+empty.Text("head"), nil)
	if before.At("ok") != true || before.At("entries") != 4.0 {
		t.Error(before)
	}
	y.Restart()
	y.Must("POST", "/api/automations", map[string]any{"name": "dusk", "prompt": "look", "cronExpression": "0 21 * * *"})
	if after := y.Must("GET", "/api/audit/verify?head="+before.Text("head"), nil); after.At("ok") != true || after.At("entries") != 5.0 {
		t.Error(after)
	}
}

// A key with one right reads the log and can do nothing else; its use is shown.
func TestAuditorsKey(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t)
	made := y.Must("POST", "/api/chat-keys", map[string]any{"name": "auditor", "scopes": []string{"audit:read"}})
	auditor := y.WithKey(made.Text("key"))
	if a := auditor.Must("GET", "/api/audit", nil); a.Text("entries.0.operation") != "keys.create" || strings.Contains(a.String(), made.Text("key")) {
		t.Error(a)
	}
	if a := auditor.Call("GET", "/api/instances", nil); a.Code() != "forbidden" {
		t.Error(a)
	}
	keys := y.Must("GET", "/api/chat-keys", nil)
	for i := range keys.Len("keys") {
		at := fmt.Sprintf("keys.%d.", i)
		if used, err := time.Parse(time.RFC3339, keys.Text(at+"lastUsedAt")); keys.Text(at+"name") == "auditor" && (err != nil || time.Since(used) > time.Hour) {
			t.Errorf("the key was just used; %s", keys)
		}
	}
}

func TestRateLimitOfKeys(t *testing.T) {
	t.Parallel()
	y := apptest.Start(t, apptest.Config(func(c *config.Config) { c.RateLimit = 1 }))
	var last apptest.Answer
	for range 100 {
		if last = y.Call("GET", "/api/cli/health", nil); last.Status != http.StatusOK {
			break
		}
	}
	if last.Code() != "rate_limited" || last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") != "1" {
		t.Errorf("%s, Retry-After %q", last, last.Header.Get("Retry-After"))
	}
	if a := y.Other.Call("GET", "/api/cli/health", nil); a.Status != http.StatusOK {
		t.Errorf("the key of another account: %s", a)
	}
}
