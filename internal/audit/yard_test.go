package audit_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/ledger"
	"yardmaster/internal/op"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type createIn struct {
	Name     string            `json:"name" doc:"A name."`
	Password string            `json:"password,omitempty" doc:"A secret." secret:"true"`
	Note     string            `json:"note,omitempty" doc:"A note."`
	Owner    string            `json:"owner,omitempty" doc:"An instance." ref:"instance"`
	Friends  []string          `json:"friends,omitempty" doc:"Instances." ref:"instance"`
	Files    map[string]string `json:"files,omitempty" doc:"Files."`
	Nested   *nested           `json:"nested,omitempty" doc:"More."`
}

type nested struct {
	Tokens map[string]string `json:"tokens,omitempty" doc:"Secrets by name." secret:"true"`
	List   []token           `json:"list,omitempty" doc:"Secrets in a list."`
	Count  any               `json:"count,omitempty" doc:"A number." oneOf:"number,string"`
}

type token struct {
	Value string `json:"value" doc:"A secret." secret:"true"`
}

type thing struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type createOut struct {
	Thing  thing   `json:"thing"`
	Others []thing `json:"others,omitempty"`
}

type fileIn struct {
	ID      string  `json:"id" doc:"The thing." ref:"thing"`
	Content op.Text `json:"content" doc:"The content." in:"body"`
}

// yard is a registry whose writes are audited.
type yard struct {
	t      *testing.T
	db     *db.DB
	path   string
	log    *audit.Log
	reg    *op.Registry
	method func(ctx context.Context, in createIn) (createOut, error) // of things.create
}

func open(t *testing.T) *yard {
	t.Helper()
	y := &yard{t: t, path: filepath.Join(t.TempDir(), "y.db")}
	d, err := db.Open(t.Context(), "sqlite:"+y.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	y.db = d
	y.method = func(_ context.Context, in createIn) (createOut, error) {
		return createOut{Thing: thing{"thing_1", in.Name}}, nil
	}
	y.boot(audit.Options{})
	return y
}

// boot is a start of the program on the same database.
func (y *yard) boot(o audit.Options) {
	y.t.Helper()
	y.log = audit.New(y.db, o)
	y.reg = op.NewRegistry(ledger.New(y.db, y.log).Middleware())
	declare := func(name, route, scope string, effect op.Effect) op.Op {
		return op.Op{Name: name, Route: route, Doc: "Does it.", Scope: scope, Effect: effect}
	}
	err := y.reg.Add(
		op.New(declare("things.create", "POST /api/things", "things:write", op.Write), func(ctx context.Context, in createIn) (createOut, error) {
			return y.method(ctx, in)
		}),
		op.New(declare("things.delete", "DELETE /api/things/{id}", "things:write", op.Destroy), func(context.Context, struct {
			ID string `json:"id" doc:"The thing." ref:"thing"`
		}) (struct{}, error) {
			return struct{}{}, nil
		}),
		op.New(declare("things.list", "GET /api/things", "things:read", op.Read), func(context.Context, struct{}) (struct{}, error) {
			return struct{}{}, nil
		}),
		op.New(declare("files.write", "PUT /api/things/{id}/content", "files:write", op.Write), func(context.Context, fileIn) (struct{}, error) {
			return struct{}{}, nil
		}),
		op.New(declare("audit.list", "GET /api/audit", "audit:read", op.Read), y.log.List),
		op.New(declare("audit.verify", "GET /api/audit/verify", "audit:read", op.Read), y.log.Verify),
	)
	if err != nil {
		y.t.Fatal(err)
	}
}

// who is a caller with everything that an entry says of one.
func who(account string) op.Actor {
	return op.Actor{Account: account, User: "user_1", KeyID: "key_1", Surface: op.SurfaceREST, Remote: "192.0.2.1", Scopes: []string{"*"}}
}

func (y *yard) ctx(account string) context.Context { return op.WithActor(y.t.Context(), who(account)) }

// do carries an operation out as somebody of account; its error is for the test to look at in the log.
func (y *yard) do(account, name, input string) error {
	_, err := y.reg.Do(y.ctx(account), name, json.RawMessage(input))
	return err
}

// must is do for what has to work.
func (y *yard) must(account, name, input string) {
	y.t.Helper()
	if err := y.do(account, name, input); err != nil {
		y.t.Fatalf("%s: %v", name, err)
	}
}

// list answers the entries of an account, the oldest first.
func (y *yard) list(account string, in audit.ListIn) []audit.Shown {
	y.t.Helper()
	var all []audit.Shown
	for {
		in.Limit = max(in.Limit, 1)
		out, err := y.log.List(y.ctx(account), in)
		if err != nil {
			y.t.Fatal(err)
		}
		all = append(all, out.Entries...)
		if out.Next == "" {
			break
		}
		in.After = out.Next
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// last is the newest entry.
func (y *yard) last(account string) audit.Shown {
	y.t.Helper()
	all := y.list(account, audit.ListIn{Limit: 500})
	if len(all) == 0 {
		y.t.Fatal("the log is empty")
	}
	return all[len(all)-1]
}

func (y *yard) verify(account, pinned string) audit.VerifyOut {
	y.t.Helper()
	out, err := y.log.Verify(y.ctx(account), audit.VerifyIn{Head: pinned})
	if err != nil {
		y.t.Fatal(err)
	}
	if out.OK != (out.FirstBad == 0) || out.OK != (out.Problem == "") {
		y.t.Errorf("a contradiction: %+v", out)
	}
	return out
}

// exec changes the database behind the log's back.
func (y *yard) exec(query string, args ...any) {
	y.t.Helper()
	err := y.db.Update(y.t.Context(), func(tx *db.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			y.t.Errorf("%s changed nothing", query)
		}
		return err
	})
	if err != nil {
		y.t.Fatal(err)
	}
}

// open counts the writes that are stored as under way.
func (y *yard) underWay() (n int) {
	y.t.Helper()
	err := y.db.View(y.t.Context(), func(tx *db.Tx) error { return tx.Get(&n, `SELECT count(*) FROM audit_open`) })
	if err != nil {
		y.t.Fatal(err)
	}
	return n
}

func refused(code errs.Code, detail string) func(context.Context, createIn) (createOut, error) {
	return func(context.Context, createIn) (createOut, error) { return createOut{}, errs.New(code, "%s", detail) }
}

func long(n int) string { return strings.Repeat("ä", n) }
