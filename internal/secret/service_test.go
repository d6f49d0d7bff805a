package secret

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/event"
	"yardmaster/internal/op"
)

// fakeFleet knows instances by name; the id is "inst_" and the name.
type fakeFleet map[string]string // id → name

func (f fakeFleet) ResolveMany(_ context.Context, refs []string) ([]InstanceRef, error) {
	var out []InstanceRef
	for _, ref := range refs {
		found := false
		for id, name := range f {
			if ref == id || ref == name {
				out, found = append(out, InstanceRef{id, name}), true
			}
		}
		if !found {
			return nil, errs.New(errs.NotFound, "There is no instance %q.", ref)
		}
	}
	return out, nil
}

type yard struct {
	*Service
	dir   string
	db    *db.DB
	fleet fakeFleet
	ctx   context.Context
}

func newYard(t testing.TB) *yard {
	t.Helper()
	y := &yard{dir: t.TempDir(), fleet: fakeFleet{"i1": "web-1", "i2": "web-2"}, ctx: op.WithActor(t.Context(), op.System("acct_a"))}
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(y.dir, "yard.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	y.db = d
	y.start(t)
	return y
}

func (y *yard) start(t testing.TB) {
	t.Helper()
	s, err := New(t.Context(), Options{DB: y.db, Events: event.New(y.db), Dir: y.dir})
	if err != nil {
		t.Fatal(err)
	}
	s.SetInstances(y.fleet)
	y.Service = s
}

func (y *yard) create(t testing.TB, in CreateIn) Secret {
	t.Helper()
	out, err := y.Create(y.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Secret
}

func (y *yard) env(t testing.TB, instance string) map[string]string {
	t.Helper()
	env, err := y.Env(t.Context(), "acct_a", instance)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	made := y.create(t, CreateIn{Name: "STRIPE_KEY", Value: "sk_live_first", Description: " pays ", Hosts: []string{"API.stripe.com.", "api.stripe.com", "*.stripe.com:443"}})
	want := Secret{ID: made.ID, Name: "STRIPE_KEY", Description: "pays", Hosts: []string{"api.stripe.com", "*.stripe.com:443"}, Version: 1, Grants: []Grant{}}
	if d := cmp.Diff(want, made, cmpopts.IgnoreFields(Secret{}, "CreatedAt", "UpdatedAt")); d != "" {
		t.Error(d)
	}
	y.create(t, CreateIn{Name: "SENTRY_DSN", Value: "https://dsn", IsGlobal: true})
	if d := cmp.Diff(map[string]string{"SENTRY_DSN": "https://dsn"}, y.env(t, "i1")); d != "" {
		t.Error(d)
	}

	granted, err := y.Grant(y.ctx, GrantIn{ID: "STRIPE_KEY", Instances: []string{"web-1", "i2", "i1"}})
	if err != nil || len(granted.Secret.Grants) != 2 {
		t.Fatalf("%+v, %v", granted, err)
	}
	if again, err := y.Grant(y.ctx, GrantIn{ID: made.ID, Instances: []string{"web-1"}}); err != nil || len(again.Secret.Grants) != 2 {
		t.Errorf("again: %+v, %v", again, err)
	}
	y.fleet["i2"] = "renamed"
	list, err := y.List(y.ctx, ListIn{})
	if err != nil || len(list.Secrets) != 2 || list.Secrets[0].Grants[1].InstanceName != "renamed" {
		t.Errorf("%+v, %v", list, err)
	}

	value, yes := Value("sk_live_second"), true
	updated, err := y.Update(y.ctx, UpdateIn{ID: "STRIPE_KEY", Value: &value, Hosts: []string{}})
	if err != nil || updated.Secret.Version != 2 || len(updated.Secret.Hosts) != 0 || updated.Secret.Description != "pays" || len(updated.Secret.Grants) != 2 {
		t.Errorf("%+v, %v", updated, err)
	}
	if got := y.env(t, "i2")["STRIPE_KEY"]; got != "sk_live_second" {
		t.Errorf("after the new value: %q", got)
	}
	if _, err := y.Revoke(y.ctx, RevokeIn{ID: "STRIPE_KEY", Instance: "web-1"}); err != nil {
		t.Error(err)
	}
	if _, ok := y.env(t, "i1")["STRIPE_KEY"]; ok {
		t.Error("it has the secret after it was taken away")
	}
	if _, err := y.Revoke(y.ctx, RevokeIn{ID: "STRIPE_KEY", Instance: "web-1"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := y.Update(y.ctx, UpdateIn{ID: "STRIPE_KEY", IsGlobal: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, ok := y.env(t, "i1")["STRIPE_KEY"]; !ok {
		t.Error("global, and not given")
	}
	if _, err := y.Revoke(y.ctx, RevokeIn{ID: "STRIPE_KEY", Instance: "web-1"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("revoked although global: %v", err)
	}

	// A deleted instance loses its grants.
	if err := y.db.Update(y.ctx, func(tx *db.Tx) error { return y.Forget(tx, "acct_a", "i2") }); err != nil {
		t.Fatal(err)
	}
	if list, err = y.List(y.ctx, ListIn{}); err != nil || len(list.Secrets[0].Grants) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := y.Delete(y.ctx, RefIn{ID: "STRIPE_KEY"}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Delete(y.ctx, RefIn{ID: "STRIPE_KEY"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if d := cmp.Diff(map[string]string{"SENTRY_DSN": "https://dsn"}, y.env(t, "i1")); d != "" {
		t.Error(d)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.create(t, CreateIn{Name: "TAKEN", Value: "the-first-value"})
	bad := Value("the-\x00value")
	for name, tc := range map[string]struct {
		call func() error
		code errs.Code
	}{
		"taken":       {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "TAKEN", Value: "the-value"}); return err }, errs.Conflict},
		"bad name":    {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "a-b", Value: "the-value"}); return err }, errs.Invalid},
		"digit first": {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "1A", Value: "the-value"}); return err }, errs.Invalid},
		"reserved":    {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "LD_PRELOAD", Value: "the-value"}); return err }, errs.Invalid},
		"path":        {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "PATH", Value: "the-value"}); return err }, errs.Invalid},
		"empty value": {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "A"}); return err }, errs.Invalid},
		"NUL":         {func() error { _, err := y.Create(y.ctx, CreateIn{Name: "A", Value: bad}); return err }, errs.Invalid},
		"large": {func() error {
			_, err := y.Create(y.ctx, CreateIn{Name: "A", Value: Value(strings.Repeat("the-value", 10000))})
			return err
		}, errs.TooLarge},
		"host with path": {func() error {
			_, err := y.Create(y.ctx, CreateIn{Name: "A", Value: "the-value", Hosts: []string{"https://x/y"}})
			return err
		}, errs.Invalid},
		"update unknown":  {func() error { _, err := y.Update(y.ctx, UpdateIn{ID: "NONE"}); return err }, errs.NotFound},
		"update bad":      {func() error { _, err := y.Update(y.ctx, UpdateIn{ID: "TAKEN", Value: &bad}); return err }, errs.Invalid},
		"grant unknown":   {func() error { _, err := y.Grant(y.ctx, GrantIn{ID: "NONE", Instances: []string{"web-1"}}); return err }, errs.NotFound},
		"grant to nobody": {func() error { _, err := y.Grant(y.ctx, GrantIn{ID: "TAKEN"}); return err }, errs.Invalid},
		"grant to none": {func() error {
			_, err := y.Grant(y.ctx, GrantIn{ID: "TAKEN", Instances: []string{"web-1", "none"}})
			return err
		}, errs.NotFound},
		"other account": {func() error {
			_, err := y.Delete(op.WithActor(y.ctx, op.System("acct_b")), RefIn{ID: "TAKEN"})
			return err
		}, errs.NotFound},
		"nobody": {func() error { _, err := y.List(context.Background(), ListIn{}); return err }, errs.Unauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.call()
			if !errs.Is(err, tc.code) {
				t.Errorf("%v (%s), want %s", err, errs.CodeOf(err), tc.code)
			} else if strings.Contains(err.Error(), "the-value") || strings.Contains(err.Error(), "the-\x00") {
				t.Errorf("the error holds the value: %v", err)
			}
		})
	}
	list, err := y.List(y.ctx, ListIn{})
	if err != nil || len(list.Secrets) != 1 || len(list.Secrets[0].Grants) != 0 {
		t.Errorf("after refusals: %+v, %v", list, err)
	}
}

// TestNothingOnDisk looks for values in every file of the data folder, after all that can be done with them.
func TestNothingOnDisk(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	const first, second = "planted-value-one-7c1f", "planted-value-two-93ab"
	y.create(t, CreateIn{Name: "PLANTED", Value: first, IsGlobal: true})
	if _, err := y.Grant(y.ctx, GrantIn{ID: "PLANTED", Instances: []string{"web-1"}}); err != nil {
		t.Fatal(err)
	}
	v := Value(second)
	if _, err := y.Update(y.ctx, UpdateIn{ID: "PLANTED", Value: &v}); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Seal("acct_a", []byte(first)); err != nil {
		t.Fatal(err)
	}
	if got := y.env(t, "i1")["PLANTED"]; got != second {
		t.Fatalf("%q", got)
	}
	entries, err := os.ReadDir(y.dir)
	if err != nil || len(entries) < 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(y.dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("planted-value")) {
			t.Errorf("%s holds the value", e.Name())
		}
	}
}

// TestRowsAreBound: whoever can write to the database can't have one secret given out as another.
func TestRowsAreBound(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.create(t, CreateIn{Name: "A", Value: "value-of-a", IsGlobal: true})
	y.create(t, CreateIn{Name: "B", Value: "value-of-b", IsGlobal: true})
	err := y.db.Update(y.ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'A') WHERE name = 'B'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if env, err := y.Env(t.Context(), "acct_a", "i1"); err == nil || !strings.Contains(err.Error(), "secret B") {
		t.Errorf("%v, %v", env, err)
	}
	// A text that may hold what can't be read is not shown.
	if got := y.Scrub("acct_a")("value-of-a"); strings.Contains(got, "value-of-a") {
		t.Errorf("scrubbed to %q", got)
	}
}

func TestMasterKeyStates(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.create(t, CreateIn{Name: "A", Value: "the-value", IsGlobal: true})
	path := filepath.Join(y.dir, keyFile)
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	y.start(t)
	if got := y.env(t, "i1")["A"]; got != "the-value" {
		t.Errorf("after another start: %q", got)
	}
	start := func(master string) error {
		_, err := New(t.Context(), Options{DB: y.db, Events: event.New(y.db), Dir: y.dir, MasterKey: master})
		return err
	}
	if err := start(strings.Repeat("ab", 32)); err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("another key in the settings: %v", err)
	}
	if err := start("abc"); err == nil || !strings.Contains(err.Error(), "64 hexadecimal") {
		t.Errorf("a broken key in the settings: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := start(""); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("the file is gone: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a new key was made: %v", err)
	}
	if err := start(string(key)); err != nil {
		t.Errorf("the same key in the settings: %v", err)
	}
	other := testKey(t, 9)
	if _, err := New(t.Context(), Options{DB: y.db, Events: event.New(y.db), Dir: y.dir, Wrapper: other}); err == nil || !strings.Contains(err.Error(), other.ID()) {
		t.Errorf("another wrapper: %v", err)
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	scrub := y.Scrub("acct_a")
	check := func(in, want string) {
		t.Helper()
		if got := scrub(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	check("first-value", "first-value")
	y.create(t, CreateIn{Name: "A", Value: "first-value"})
	check("a first-value b", "a [secret A] b")
	v := Value("second-value")
	if _, err := y.Update(y.ctx, UpdateIn{ID: "A", Value: &v}); err != nil {
		t.Fatal(err)
	}
	check("first-value second-value", "[secret A] [secret A]")
	if _, err := y.Delete(y.ctx, RefIn{ID: "A"}); err != nil {
		t.Fatal(err)
	}
	check("first-value second-value", "[secret A] [secret A]") // processes that got them may still run
	if got := y.Scrub("acct_b")("first-value"); got != "first-value" {
		t.Errorf("another account: %q", got)
	}
}

func TestSealForOthers(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	sealed, err := y.Seal("acct_a", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := y.Open("acct_a", sealed); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := y.Open("acct_b", sealed); err == nil {
		t.Error("opened for another account")
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	var want, got []string
	for i := range 5 {
		want = append(want, y.create(t, CreateIn{Name: fmt.Sprintf("N%d", i), Value: "the-value"}).Name)
	}
	in := ListIn{Limit: 2}
	for {
		out, err := y.List(y.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Secrets {
			got = append(got, s.Name)
		}
		if in.After = out.Next; in.After == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	r := op.NewRegistry()
	o := func(name, route string, effect op.Effect) op.Op {
		scope := "secrets:write"
		if effect == op.Read {
			scope = "secrets:read"
		}
		return op.Op{Name: name, Route: route, Doc: "d", Scope: scope, Effect: effect}
	}
	err := r.Add(op.New(o("secrets.list", "GET /api/secrets", op.Read), y.List), op.New(o("secrets.create", "POST /api/secrets", op.Write), y.Create),
		op.New(o("secrets.update", "PUT /api/secrets/{id}", op.Write), y.Update), op.New(o("secrets.delete", "DELETE /api/secrets/{id}", op.Destroy), y.Delete),
		op.New(o("secrets.grant", "POST /api/secrets/{id}/grants", op.Write), y.Grant), op.New(o("secrets.revoke", "DELETE /api/secrets/{id}/grants/{instance}", op.Write), y.Revoke))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range [][2]string{
		{"secrets.create", `{"name":"A","value":"the-value"}`}, {"secrets.update", `{"id":"A","value":"the-other-value","isGlobal":false}`},
		{"secrets.grant", `{"id":"A","instances":["web-1"]}`}, {"secrets.list", `{}`}, {"secrets.revoke", `{"id":"A","instance":"web-1"}`}, {"secrets.delete", `{"id":"A"}`},
	} {
		if _, err := r.Do(y.ctx, call[0], []byte(call[1])); err != nil {
			t.Errorf("%s: %v", call[0], err)
		}
	}
	for _, bad := range []string{`{"name":"A","value":["the-value"]}`, `{"name":"A","value":"the-value","x":1}`, `{"name":1,"value":"the-value"}`} {
		if _, err := r.Do(y.ctx, "secrets.create", []byte(bad)); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "the-value") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
