package auth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"yardmaster/internal/auth"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) (*auth.Service, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "y.db")
	d, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return auth.New(d), path
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	s, path := open(t)
	account, key, err := s.Bootstrap(t.Context(), "")
	if err != nil || !strings.HasPrefix(key, auth.Prefix) {
		t.Fatalf("%q, %v", key, err)
	}
	if again, k, err := s.Bootstrap(t.Context(), ""); err != nil || again != account || k != "" {
		t.Errorf("a second start made %q, %q, %v", again, k, err)
	}
	given := auth.Prefix + "0123456789abcdef"
	if again, _, err := s.Bootstrap(t.Context(), given); err != nil || again != account {
		t.Errorf("with a given key: %q, %v", again, err)
	}
	for _, k := range []string{key, given} {
		a, err := s.Authenticate(t.Context(), k)
		if err != nil || a.Account != account || !a.May("anything:write") {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if _, _, err := s.Bootstrap(t.Context(), "ck_live_short"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a weak key: %v", err)
	}
	for _, file := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), key) {
			t.Errorf("%s holds the key itself", file)
		}
	}
}

func TestKeysOfAccountsAreApart(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	_, k1, err := s.CreateAccount(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	a2, k2, err := s.CreateAccount(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Authenticate(t.Context(), k1)
	if err != nil {
		t.Fatal(err)
	}
	two := op.WithActor(t.Context(), op.System(a2))
	if _, err := s.DeleteKey(two, auth.DeleteKeyIn{ID: one.KeyID}); !errs.Is(err, errs.NotFound) {
		t.Errorf("deleting another account's key: %v", err)
	}
	if out, err := s.ListKeys(two, auth.ListKeysIn{}); err != nil || len(out.Keys) != 1 {
		t.Errorf("%v, %v", out, err)
	}
	if _, err := s.DeleteKey(op.WithActor(t.Context(), one), auth.DeleteKeyIn{ID: one.KeyID}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), k1); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a revoked key: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), k2); err != nil {
		t.Errorf("the other key: %v", err)
	}
}

func TestScopesAndExpiry(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	account, _, err := s.Bootstrap(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := op.WithActor(t.Context(), op.System(account))
	out, err := s.CreateKey(ctx, auth.CreateKeyIn{Name: "ci", Scopes: []string{"instances:read"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Authenticate(t.Context(), out.Key)
	if err != nil || !a.May("instances:read") || a.May("instances:write") || a.May("keys:read") {
		t.Errorf("%+v, %v", a, err)
	}
	limited := op.WithActor(t.Context(), a)
	if _, err := s.CreateKey(limited, auth.CreateKeyIn{Scopes: []string{"instances:write"}}); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a key gave away a right that it has not: %v", err)
	}
	if _, err := s.CreateKey(ctx, auth.CreateKeyIn{ExpiresAt: time.Now().Add(-time.Hour)}); !errs.Is(err, errs.Invalid) {
		t.Errorf("an expired key was made: %v", err)
	}
	soon, err := s.CreateKey(ctx, auth.CreateKeyIn{ExpiresAt: time.Now().Add(time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	for time.Now().Before(soon.Info.ExpiresAt.Add(2 * time.Millisecond)) { // the clock itself is what is waited for
	}
	if _, err := s.Authenticate(t.Context(), soon.Key); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an expired key: %v", err)
	}
}
