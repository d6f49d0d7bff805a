package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"yardmaster/internal/audit"
	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// written is a log of n entries of the account a, and one of b.
func written(t *testing.T, n int) *yard {
	t.Helper()
	y := open(t)
	y.must("b", "things.create", `{"name":"other"}`)
	for i := range n {
		y.must("a", "things.create", fmt.Sprintf(`{"name":"x%d","note":"n"}`, i+1))
	}
	return y
}

// rehash is what a skilled forger does: it makes the chain of an account anew over whatever its entries say now. It knows
// only what the package says in its documentation, so it also shows that anybody can check the chain.
func (y *yard) rehash(account string) {
	y.t.Helper()
	before, seq := strings.Repeat("0", 64), int64(0)
	for _, e := range y.list(account, audit.ListIn{Limit: 500}) {
		before, seq = sum(y.t, before, e), seq+1
		y.exec(`UPDATE audit_entries SET hash = ? WHERE account = ? AND seq = ?`, before, account, seq)
	}
	y.exec(`UPDATE audit_heads SET seq = ?, hash = ? WHERE account = ?`, seq, before, account)
}

// sum is the hash of an entry, made of the JSON that List answers.
func sum(t *testing.T, before string, e audit.Shown) string {
	t.Helper()
	var answer, text bytes.Buffer
	enc := json.NewEncoder(&answer)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&answer)
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "hash")
	enc = json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil { // fields are written in the order of their names
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(append([]byte(before), bytes.TrimRight(text.Bytes(), "\n")...)))
}

func TestAnybodyCanCheck(t *testing.T) {
	t.Parallel()
	y := written(t, 3)
	y.must("a", "things.create", `{"name":"<&>","note":"\u2028\ud83d\ude80\u0001\\","nested":{"count":1.50}}`)
	y.must("a", "things.delete", `{"id":"x1"}`)
	before := strings.Repeat("0", 64)
	for _, e := range y.list("a", audit.ListIn{}) {
		if before = sum(t, before, e); before != e.Hash {
			t.Fatalf("entry %d has the hash %s, want %s", e.Seq, e.Hash, before)
		}
	}
	if out := y.verify("a", ""); !out.OK || out.Head != "5:"+before {
		t.Errorf("%+v", out)
	}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	const n = 7
	for name, c := range map[string]struct {
		tamper func(y *yard)
		want   int64 // the first bad entry; 0 when only a noted head shows it
		pinned int64 // the first bad entry against the head that was noted before
	}{
		"nothing":          {func(*yard) {}, 0, 0},
		"delete the first": {func(y *yard) { y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq = 1`) }, 1, 1},
		"delete one":       {func(y *yard) { y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq = 4`) }, 4, 4},
		"delete one and close the gap": {func(y *yard) {
			y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq = 4`)
			for seq := 5; seq <= n; seq++ {
				y.exec(`UPDATE audit_entries SET seq = ? WHERE account = 'a' AND seq = ?`, seq-1, seq)
			}
			y.exec(`UPDATE audit_heads SET seq = seq - 1 WHERE account = 'a'`)
		}, 4, 4},
		"delete all": {func(y *yard) { y.exec(`DELETE FROM audit_entries WHERE account = 'a'`) }, 1, 1},
		"delete all and the head": {func(y *yard) {
			y.exec(`DELETE FROM audit_entries WHERE account = 'a'`)
			y.exec(`DELETE FROM audit_heads WHERE account = 'a'`)
		}, 0, 1},
		"swap": {func(y *yard) {
			for _, step := range [][2]int{{3, 99}, {5, 3}, {99, 5}} {
				y.exec(`UPDATE audit_entries SET seq = ? WHERE account = 'a' AND seq = ?`, step[1], step[0])
			}
		}, 3, 3},
		"copy one over another": {func(y *yard) {
			y.exec(`UPDATE audit_entries SET (input, resources, hash) = (SELECT input, resources, hash FROM audit_entries WHERE account = 'a' AND seq = 2) WHERE account = 'a' AND seq = 5`)
		}, 5, 5},
		"put one in front": {func(y *yard) { y.exec(`UPDATE audit_entries SET seq = 0 WHERE account = 'a' AND seq = 1`) }, 1, 1},
		"move one to another account": {func(y *yard) {
			y.exec(`UPDATE audit_entries SET account = 'c' WHERE account = 'a' AND seq = 1`)
		}, 1, 1},
		"cut off the end": {func(y *yard) { y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq > 5`) }, 6, 6},
		"cut off the end and write on": {func(y *yard) {
			y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq > 5`)
			y.must("a", "things.create", `{"name":"later"}`)
		}, 6, 6},
		"cut off the end and mend the head": {func(y *yard) {
			y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq > 5`)
			y.rehash("a")
		}, 0, 6},
		"cut off the end, mend the head and write on": {func(y *yard) {
			y.exec(`DELETE FROM audit_entries WHERE account = 'a' AND seq > 5`)
			y.rehash("a")
			for range 5 {
				y.must("a", "things.create", `{"name":"later"}`)
			}
		}, 0, 7},
		"move the head back": {func(y *yard) { y.exec(`UPDATE audit_heads SET seq = 5 WHERE account = 'a'`) }, 6, 6},
		"change the head":    {func(y *yard) { y.exec(`UPDATE audit_heads SET hash = 'x' WHERE account = 'a'`) }, 7, 7},
		"make the whole log anew": {func(y *yard) {
			y.exec(`UPDATE audit_entries SET user_id = 'user_2' WHERE account = 'a' AND seq = 3`)
			y.rehash("a")
		}, 0, 7},
		"change one and its hash": {func(y *yard) {
			y.exec(`UPDATE audit_entries SET user_id = 'user_2' WHERE account = 'a' AND seq = 3`)
			all := y.list("a", audit.ListIn{})
			y.exec(`UPDATE audit_entries SET hash = ? WHERE account = 'a' AND seq = 3`, sum(y.t, all[1].Hash, all[2]))
		}, 4, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := written(t, n)
			noted := y.verify("a", "").Head
			c.tamper(y)
			if out := y.verify("a", ""); out.FirstBad != c.want {
				t.Errorf("the first bad entry is %d (%s), want %d", out.FirstBad, out.Problem, c.want)
			}
			if out := y.verify("a", noted); out.FirstBad != c.pinned {
				t.Errorf("against the noted head, the first bad entry is %d (%s), want %d", out.FirstBad, out.Problem, c.pinned)
			}
			if out := y.verify("b", ""); !out.OK {
				t.Errorf("the log of another account: %+v", out)
			}
		})
	}
}

// Every column counts.
func TestEveryColumnCounts(t *testing.T) {
	t.Parallel()
	y := written(t, 3)
	var columns []string
	err := y.db.View(t.Context(), func(tx *db.Tx) error {
		return tx.Select(&columns, `SELECT name FROM pragma_table_info('audit_entries')`)
	})
	if err != nil || len(columns) < 10 {
		t.Fatal(columns, err)
	}
	for _, column := range columns {
		for _, change := range []string{`%s || 'x'`, `'["x1"]'`, `'{}'`, `41`} {
			if column == "account" || column == "seq" { // moved entries have a test of their own
				continue
			}
			var before string
			if err := y.db.View(t.Context(), func(tx *db.Tx) error {
				return tx.Get(&before, `SELECT `+column+` FROM audit_entries WHERE account = 'a' AND seq = 2`)
			}); err != nil {
				t.Fatal(err)
			}
			if number := column == "at" || column == "duration_ms"; number != (change == `41`) || `'`+before+`'` == change {
				continue
			}
			y.exec(`UPDATE audit_entries SET ` + column + ` = ` + strings.ReplaceAll(change, "%s", column) + ` WHERE account = 'a' AND seq = 2`)
			if out := y.verify("a", ""); out.FirstBad != 2 {
				t.Errorf("%s = %s was not found: %+v", column, change, out)
			}
			if _, err := y.log.List(y.ctx("a"), audit.ListIn{}); err != nil {
				t.Errorf("%s = %s can't be shown: %v", column, change, err)
			}
			y.exec(`UPDATE audit_entries SET `+column+` = ? WHERE account = 'a' AND seq = 2`, before)
		}
	}
	if out := y.verify("a", ""); !out.OK {
		t.Errorf("the test did not put back what it changed: %+v", out)
	}
}

// An earlier head is still in a log that was only written on.
func TestNotedHeads(t *testing.T) {
	t.Parallel()
	y := open(t)
	noted := []string{y.verify("a", "").Head}
	p, _ := y.reg.Get("things.delete")
	for range 5 {
		err := y.db.Update(t.Context(), func(tx *db.Tx) error {
			for range audit.Page/5 + 1 {
				if err := y.log.End(tx, y.log.Describe(y.ctx("a"), &op.Call{Op: p, Actor: who("a"), Raw: json.RawMessage(`{"id":"x"}`)})); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		noted = append(noted, y.verify("a", "").Head)
	}
	for _, h := range noted {
		if out := y.verify("a", h); !out.OK || out.Entries != audit.Page+5 {
			t.Errorf("%s: %+v", h, out)
		}
	}
	y.exec(`UPDATE audit_entries SET detail = 'x' WHERE account = 'a' AND seq = ?`, audit.Page+2)
	if out := y.verify("a", ""); out.FirstBad != audit.Page+2 || out.Entries != audit.Page+5 {
		t.Errorf("%+v", out)
	}
	for _, text := range []string{"x", "1", "1:", "1:zz", "-1:" + strings.Repeat("0", 64), "1:" + strings.Repeat("g", 64), ":" + strings.Repeat("0", 64), "1:" + strings.Repeat("0", 65), "0:" + strings.Repeat("1", 64)} {
		if _, err := y.log.Verify(y.ctx("a"), audit.VerifyIn{Head: text}); !errs.Is(err, errs.Invalid) {
			t.Errorf("head %q: %v", text, err)
		}
	}
}
