package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	y := open(t)
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	audit.SetClock(y.log, func() time.Time { at = at.Add(1500 * time.Millisecond); return at })
	actor := who("a")
	actor.Surface, actor.ChatID, actor.TurnID, actor.CallID = op.SurfaceOperator, "chat_1", "turn_1", "call_1"
	ctx := op.WithIdempotencyKey(op.WithActor(t.Context(), actor), "turn_1/call_1")
	if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"owner":"web-1","name":"<x>","friends":["inst_2","web-3"]}`)); err != nil {
		t.Fatal(err)
	}
	got := y.last("a")
	want := audit.Entry{
		At: time.Date(2026, 5, 1, 12, 0, 1, 500_000_000, time.UTC), DurationMs: 1500, Seq: 1,
		Account: "a", User: "user_1", KeyID: "key_1", Remote: "192.0.2.1", Surface: "operator", ChatID: "chat_1", TurnID: "turn_1", CallID: "call_1",
		Operation: "things.create", Resources: []string{"<x>", "web-1", "inst_2", "web-3", "thing_1"}, Outcome: audit.OK,
		Input: json.RawMessage(`{"friends":["inst_2","web-3"],"name":"<x>","owner":"web-1"}`),
	}
	if diff := cmp.Diff(want, got.Entry); diff != "" {
		t.Error(diff)
	}
}

func TestReadsAreNotRecorded(t *testing.T) {
	t.Parallel()
	y := open(t)
	y.must("a", "things.list", `{}`)
	y.must("a", "audit.list", `{}`)
	y.must("a", "audit.verify", `{}`)
	if out := y.verify("a", ""); !out.OK || out.Entries != 0 || out.Head != "0:"+strings.Repeat("0", 64) {
		t.Errorf("%+v", out)
	}
}

// What the ledger answers from memory was not done again, and is not recorded again.
func TestOncePerKey(t *testing.T) {
	t.Parallel()
	y := open(t)
	ctx := op.WithIdempotencyKey(y.ctx("a"), "k")
	for range 3 {
		if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"y"}`)); errs.Public(err).HTTPStatus != 422 {
		t.Fatal(err)
	}
	if out := y.verify("a", ""); out.Entries != 1 || y.underWay() != 0 {
		t.Errorf("%d entries for one effect, %d writes under way", out.Entries, y.underWay())
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	type want struct {
		outcome audit.Outcome
		code    errs.Code
		detail  string
	}
	for name, c := range map[string]struct {
		method func(context.Context, createIn) (createOut, error)
		want   want
	}{
		"refused": {refused(errs.Conflict, "There is one already."), want{audit.Failed, errs.Conflict, "There is one already."}},
		"internal": {func(context.Context, createIn) (createOut, error) {
			return createOut{}, errors.New("open /var/x: denied")
		}, want{audit.Failed, errs.Internal, errs.Public(errors.New("x")).Detail}},
		"unknown": {func(context.Context, createIn) (createOut, error) {
			return createOut{}, &errs.Error{Code: errs.Conflict, Unknown: true, Detail: "Nobody knows."}
		}, want{audit.Unknown, errs.Conflict, "Nobody knows."}},
		"broken off": {func(ctx context.Context, _ createIn) (createOut, error) {
			ctx.Value(cancelKey{}).(context.CancelFunc)()
			return createOut{}, ctx.Err()
		}, want{audit.Unknown, "", "The call was broken off."}},
		"refused in spite of its end": {func(ctx context.Context, _ createIn) (createOut, error) {
			ctx.Value(cancelKey{}).(context.CancelFunc)()
			return createOut{}, errs.New(errs.NotFound, "There is none.")
		}, want{audit.Failed, errs.NotFound, "There is none."}},
		"done in spite of its end": {func(ctx context.Context, _ createIn) (createOut, error) {
			ctx.Value(cancelKey{}).(context.CancelFunc)()
			return createOut{}, nil
		}, want{audit.OK, "", ""}},
	} {
		for _, key := range []string{"", "k"} {
			t.Run(name+" "+key, func(t *testing.T) {
				t.Parallel()
				y := open(t)
				y.method = c.method
				ctx, cancel := context.WithCancel(y.ctx("a"))
				defer cancel()
				ctx = context.WithValue(ctx, cancelKey{}, cancel)
				if key != "" {
					ctx = op.WithIdempotencyKey(ctx, key)
				}
				_, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`))
				if (err == nil) != (c.want.outcome == audit.OK) {
					t.Errorf("the caller got %v", err)
				}
				e := y.last("a")
				if diff := cmp.Diff(c.want, want{e.Outcome, e.Code, e.Detail}, cmp.AllowUnexported(want{})); diff != "" {
					t.Error(diff)
				}
				if out := y.verify("a", ""); !out.OK || out.Entries != 1 || y.underWay() != 0 {
					t.Errorf("%+v, %d under way", out, y.underWay())
				}
			})
		}
	}
}

type cancelKey struct{}

func TestPanic(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k"} {
		y := open(t)
		y.method = func(context.Context, createIn) (createOut, error) { panic("the password is hunter2") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			ctx := y.ctx("a")
			if key != "" {
				ctx = op.WithIdempotencyKey(ctx, key)
			}
			_, _ = y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`))
		}()
		if e := y.last("a"); e.Outcome != audit.Failed || e.Code != errs.Internal || strings.Contains(e.Detail, "hunter2") {
			t.Errorf("%+v", e)
		}
		if y.underWay() != 0 {
			t.Error("it is still under way")
		}
	}
}

// A process that dies while it carries writes out leaves them under way; the next one enters them.
func TestCrash(t *testing.T) {
	t.Parallel()
	y := open(t)
	y.must("a", "things.create", `{"name":"before"}`)
	const n = 450
	p, _ := y.reg.Get("things.create")
	dead := y.log
	err := y.db.Update(t.Context(), func(tx *db.Tx) error {
		for i := range n {
			account := []string{"a", "b"}[i%2]
			c := &op.Call{Op: p, Actor: who(account), Raw: json.RawMessage(fmt.Sprintf(`{"name":"x%d","password":"hunter2","note":"<&>\u2028"}`, i))}
			if err := dead.Begin(tx, dead.Describe(y.ctx(account), c)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if k, err := dead.Recover(t.Context()); err != nil || k != 0 {
		t.Fatalf("a process gave up %d writes of its own: %v", k, err)
	}
	y.boot(audit.Options{})
	if k, err := y.log.Recover(t.Context()); err != nil || k != n {
		t.Fatalf("%d of %d writes were entered: %v", k, n, err)
	}
	if k, err := y.log.Recover(t.Context()); err != nil || k != 0 {
		t.Fatalf("%d writes were entered twice: %v", k, err)
	}
	y.must("a", "things.create", `{"name":"after"}`)
	for account, want := range map[string]int64{"a": n/2 + 2, "b": n / 2} {
		if out := y.verify(account, ""); !out.OK || out.Entries != want {
			t.Errorf("%s: %+v, want %d entries", account, out, want)
		}
	}
	e := y.list("a", audit.ListIn{Limit: 500})[1]
	if e.Outcome != audit.Unknown || e.Detail == "" || e.User != "user_1" || e.Remote != "192.0.2.1" || e.Resources[0] != "x0" ||
		string(e.Input) != `{"name":"x0","note":"<&>\u2028","password":"`+audit.Mask+`"}` {
		t.Errorf("%+v %s", e, e.Input)
	}
}

// A write that can't be recorded stores nothing; under a key it is not even begun.
func TestNoRecordNoWrite(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k"} {
		y := open(t)
		y.method = func(ctx context.Context, _ createIn) (createOut, error) {
			if key != "" {
				t.Error("it was begun")
			}
			err := y.db.Update(ctx, func(*db.Tx) error {
				t.Error("it stored something")
				return nil
			})
			return createOut{}, err
		}
		if err := y.db.Update(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DROP TABLE audit_open`); return err }); err != nil {
			t.Fatal(err)
		}
		ctx := y.ctx("a")
		if key != "" {
			ctx = op.WithIdempotencyKey(ctx, key)
		}
		if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`)); !errs.Is(err, errs.Internal) {
			t.Errorf("got %v", err)
		}
	}
}

// What a write stores is never there without its trace, key or not, and whatever becomes of its transactions.
func TestNoWriteWithoutTrace(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "k"} {
		y := open(t)
		refusal := errs.New(errs.Conflict, "Not so.")
		y.method = func(ctx context.Context, _ createIn) (createOut, error) {
			err := y.db.Update(ctx, func(*db.Tx) error { return refusal }) // nothing stored, and so no trace needed
			if !errors.Is(err, refusal) || y.underWay() != len(key) {
				t.Errorf("%v, %d under way", err, y.underWay())
			}
			for range 2 {
				err := y.db.Update(ctx, func(tx *db.Tx) error {
					var n int
					if err := tx.Get(&n, `SELECT count(*) FROM audit_open`); err != nil || n != 1 {
						t.Errorf("%d under way in the write's own transaction (%v), want 1", n, err)
					}
					return nil
				})
				if err != nil || y.underWay() != 1 {
					t.Errorf("%v, %d under way after it, want 1", err, y.underWay())
				}
			}
			return createOut{}, nil
		}
		ctx := y.ctx("a")
		if key != "" {
			ctx = op.WithIdempotencyKey(ctx, key)
		}
		if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`)); err != nil {
			t.Fatal(err)
		}
		if out := y.verify("a", ""); out.Entries != 1 || y.underWay() != 0 {
			t.Errorf("%+v, %d under way", out, y.underWay())
		}
	}
}

func TestAccountsAreApart(t *testing.T) {
	t.Parallel()
	y := open(t)
	for i := range 6 {
		y.must([]string{"a", "b", "a"}[i%3], "things.create", fmt.Sprintf(`{"name":"x%d"}`, i))
	}
	for account, want := range map[string][]string{"a": {"x0", "x2", "x3", "x5"}, "b": {"x1", "x4"}, "c": nil} {
		var got []string
		for i, e := range y.list(account, audit.ListIn{}) {
			got = append(got, e.Resources[0])
			if e.Account != account || e.Seq != int64(i+1) {
				t.Errorf("%s has %+v", account, e)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", account, diff)
		}
		if out := y.verify(account, ""); !out.OK || out.Entries != int64(len(want)) {
			t.Errorf("%s: %+v", account, out)
		}
	}
	// The head of one account is no head of another.
	if out := y.verify("a", y.verify("b", "").Head); out.OK || out.FirstBad != 2 {
		t.Errorf("%+v", out)
	}
	// Breaking one leaves the other whole.
	y.exec(`UPDATE audit_entries SET detail = 'x' WHERE account = 'a' AND seq = 1`)
	if a, b := y.verify("a", ""), y.verify("b", ""); a.OK || !b.OK {
		t.Errorf("a: %+v, b: %+v", a, b)
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	y := open(t)
	const each = 30
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range each {
				ctx := op.WithActor(t.Context(), who([]string{"a", "b"}[i%2]))
				if n%2 == 0 {
					ctx = op.WithIdempotencyKey(ctx, fmt.Sprint(i, "/", n))
				}
				if _, err := y.reg.Do(ctx, "things.create", json.RawMessage(`{"name":"x"}`)); err != nil {
					t.Error(err)
				}
				if n%10 == 0 {
					if out, err := y.log.Verify(ctx, audit.VerifyIn{}); err != nil || !out.OK {
						t.Errorf("in the middle: %+v, %v", out, err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, account := range []string{"a", "b"} {
		if out := y.verify(account, ""); !out.OK || out.Entries != 4*each || y.underWay() != 0 {
			t.Errorf("%s: %+v, %d under way", account, out, y.underWay())
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	y := open(t)
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	now := start
	audit.SetClock(y.log, func() time.Time { return now })
	for i := range 4 { // at 0:00, 1:00, 2:00, 3:00, each with a deletion half an hour later
		now = start.Add(time.Duration(i) * time.Hour)
		y.must("a", "things.create", fmt.Sprintf(`{"name":"web_%d","owner":"100%%"}`, i))
		now = now.Add(30 * time.Minute)
		y.must("a", "things.delete", fmt.Sprintf(`{"id":"web_%d"}`, i))
	}
	y.method = refused(errs.Capacity, "It is full.")
	if err := y.do("a", "things.create", `{"name":"webX1"}`); !errs.Is(err, errs.Capacity) {
		t.Fatal(err)
	}
	actor := who("a")
	actor.Surface = op.SurfaceOperator
	if _, err := y.reg.Do(op.WithActor(t.Context(), actor), "files.write", json.RawMessage(`{"id":"web_1","content":"x"}`)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   audit.ListIn
		want []int64
	}{
		"all":                 {audit.ListIn{}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		"about":               {audit.ListIn{About: "web_1"}, []int64{3, 4, 10}},
		"about a part":        {audit.ListIn{About: "web"}, nil},
		"about a wildcard":    {audit.ListIn{About: "%"}, nil},
		"about with one in":   {audit.ListIn{About: "100%"}, []int64{1, 3, 5, 7}},
		"about what was made": {audit.ListIn{About: "thing_1", Operation: "things.create"}, []int64{1, 3, 5, 7}},
		"operation":           {audit.ListIn{Operation: "things.delete"}, []int64{2, 4, 6, 8}},
		"resource":            {audit.ListIn{Operation: "things"}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"resource with star":  {audit.ListIn{Operation: "files.*"}, []int64{10}},
		"part of a resource":  {audit.ListIn{Operation: "thing"}, nil},
		"surface":             {audit.ListIn{Surface: "operator"}, []int64{10}},
		"outcome":             {audit.ListIn{Outcome: "failed"}, []int64{9}},
		"since":               {audit.ListIn{Since: start.Add(3 * time.Hour)}, []int64{7, 8, 9, 10}},
		"until":               {audit.ListIn{Until: start.Add(time.Hour)}, []int64{1, 2}},
		"all of it":           {audit.ListIn{About: "web_1", Operation: "things.delete", Surface: "rest", Outcome: "ok", Since: start, Until: start.Add(2 * time.Hour)}, []int64{4}},
	} {
		for _, limit := range []int{1, 2, 500} {
			c.in.Limit = limit
			var got []int64
			for _, e := range y.list("a", c.in) {
				got = append(got, e.Seq)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s by %d: %s", name, limit, diff)
			}
		}
	}
	for _, after := range []string{"x", "0", "-1", "1.5"} {
		if _, err := y.log.List(y.ctx("a"), audit.ListIn{After: after}); !errs.Is(err, errs.Invalid) {
			t.Errorf("after %q: %v", after, err)
		}
	}
}
