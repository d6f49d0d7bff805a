package audit

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"yardmaster/internal/db"
	"yardmaster/internal/errs"
	"yardmaster/internal/op"
)

// Shown is an entry with its place in the chain.
type Shown struct {
	Entry
	Hash string `json:"hash"`
}

// ListIn is the input of List.
type ListIn struct {
	Limit     int       `json:"limit,omitempty" doc:"At most so many; 50 when left out." min:"1" max:"500"`
	After     string    `json:"after,omitempty" doc:"The next field of the answer before."`
	About     string    `json:"about,omitempty" doc:"Only writes to this thing: its name or id, as it was given when it was written to." maxLen:"256"`
	Operation string    `json:"operation,omitempty" doc:"Only this operation, such as instances.delete, or all of a resource, such as instances." maxLen:"64"`
	Surface   string    `json:"surface,omitempty" doc:"Only writes that came this way, such as rest or operator." maxLen:"32"`
	Outcome   string    `json:"outcome,omitempty" doc:"Only writes that ended so." enum:"ok,failed,unknown"`
	Since     time.Time `json:"since,omitzero" doc:"Only writes from this RFC 3339 time on."`
	Until     time.Time `json:"until,omitzero" doc:"Only writes before this RFC 3339 time."`
}

// ListOut is the output of List.
type ListOut struct {
	Entries []Shown `json:"entries"`
	Next    string  `json:"next,omitempty"`
}

// List lists the account's writes, the newest first.
func (l *Log) List(ctx context.Context, in ListIn) (ListOut, error) {
	out := ListOut{Entries: []Shown{}}
	before := int64(math.MaxInt64)
	if in.After != "" {
		n, err := strconv.ParseInt(in.After, 10, 64)
		if err != nil || n < 1 {
			return out, errs.BadField("after", "must be the next field of the answer before")
		}
		before = n
	}
	limit := in.Limit
	if limit == 0 {
		limit = 50
	}
	var rows []row
	err := l.db.View(ctx, func(tx *db.Tx) (err error) {
		rows, err = listEntries(tx, op.ActorFrom(ctx).Account, before, in, limit+1)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("audit: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = strconv.FormatInt(rows[limit-1].Seq, 10)
	}
	for _, r := range rows {
		out.Entries = append(out.Entries, Shown{r.entry(), r.Hash})
	}
	return out, nil
}

// VerifyIn is the input of Verify.
type VerifyIn struct {
	Head string `json:"head,omitempty" doc:"The head that an earlier check answered, as NUMBER:HASH; the log must still hold it." maxLen:"100"`
}

// VerifyOut is the output of Verify.
type VerifyOut struct {
	OK      bool   `json:"ok"`
	Entries int64  `json:"entries"` // how many there are
	Head    string `json:"head"`    // NUMBER:HASH of the last one; note it elsewhere, and later checks find a log that was cut off or made anew
	// FirstBad is the number of the first entry that is not what was written, or is missing.
	FirstBad int64  `json:"firstBad,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// page is how many entries Verify holds at a time.
const page = 500

// Verify checks the account's whole chain, in time and not in memory proportional to its length.
func (l *Log) Verify(ctx context.Context, in VerifyIn) (VerifyOut, error) {
	pinned, err := parseHead(in.Head)
	if err != nil {
		return VerifyOut{}, err
	}
	var out VerifyOut
	err = l.db.View(ctx, func(tx *db.Tx) (err error) {
		out, err = verify(tx, op.ActorFrom(ctx).Account, pinned)
		return err
	})
	if err != nil {
		return VerifyOut{}, fmt.Errorf("audit: %w", err)
	}
	return out, nil
}

func verify(tx *db.Tx, account string, pinned head) (VerifyOut, error) {
	var out VerifyOut
	bad := func(seq int64, format string, args ...any) {
		if out.FirstBad == 0 || seq < out.FirstBad {
			out.FirstBad, out.Problem = seq, fmt.Sprintf(format, args...)
		}
	}
	last, intact := head{Hash: start}, true
	for {
		if err := tx.Context().Err(); err != nil {
			return out, err
		}
		rows, err := chain(tx, account, last.Seq, page)
		if err != nil {
			return out, err
		}
		for _, r := range rows {
			out.Entries++
			if r.Seq != last.Seq+1 {
				bad(last.Seq+1, "Entry %d is missing.", last.Seq+1)
				intact = false
			}
			if intact { // behind a break, an entry can't be told from a changed one
				text, err := r.entry().canonical()
				if err != nil {
					return out, err
				}
				if link(last.Hash, text) != r.Hash {
					bad(r.Seq, "Entry %d is not what was written, or does not follow the one before it.", r.Seq)
					intact = false
				}
			}
			if r.Seq == pinned.Seq && r.Hash != pinned.Hash {
				bad(r.Seq, "Entry %d is not the one that was noted: the log was made anew, up to there or as a whole.", r.Seq)
			}
			last = head{r.Seq, r.Hash}
		}
		if len(rows) < page {
			break
		}
	}
	end, err := getHead(tx, account)
	if err != nil {
		return out, err
	}
	switch {
	case end.Seq > last.Seq:
		bad(last.Seq+1, "The entries from %d to %d are missing at the end.", last.Seq+1, end.Seq)
	case end.Seq < last.Seq:
		bad(end.Seq+1, "The entries from %d on were not written by the log.", end.Seq+1)
	case end.Hash != last.Hash:
		bad(last.Seq, "Entry %d is not the last one that the log wrote.", last.Seq)
	}
	if pinned.Seq > last.Seq {
		bad(last.Seq+1, "The entries from %d on are missing: entry %d was noted before.", last.Seq+1, pinned.Seq)
	}
	out.OK, out.Head = out.FirstBad == 0, fmt.Sprintf("%d:%s", last.Seq, last.Hash)
	return out, nil
}

// parseHead reads NUMBER:HASH; "" is the head of an empty log, which every log holds.
func parseHead(text string) (head, error) {
	if text == "" {
		return head{Hash: start}, nil
	}
	number, hash, ok := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || seq < 0 || len(hash) != len(start) || strings.Trim(hash, "0123456789abcdef") != "" || seq == 0 && hash != start {
		return head{}, errs.BadField("head", "must be the head field of an earlier answer: a number, a colon and %d hex digits", len(start))
	}
	return head{seq, hash}, nil
}
