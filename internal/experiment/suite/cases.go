package suite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"yardmaster/internal/errs"
)

// record is one line of a file of cases.
type record struct {
	id       string
	split    string
	cluster  string
	input    json.RawMessage
	expected Value
}

func readCases(fsys fs.FS, name string) ([]record, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var out []record
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 4<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		r, err := readCase(bytes.Clone(lines.Bytes()))
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s, line %d: %v.", name, n, err)
		}
		if seen[r.id] {
			return nil, errs.New(errs.Invalid, "%s, line %d: the case %q is there twice.", name, n, r.id)
		}
		seen[r.id] = true
		out = append(out, r)
	}
	if err := lines.Err(); err != nil {
		return nil, errs.New(errs.Invalid, "%s has a line of more than 4 MiB.", name)
	}
	return out, nil
}

func readCase(line []byte) (record, error) {
	var c struct {
		Case     string          `json:"case"`
		Split    string          `json:"split"`
		Cluster  string          `json:"cluster"`
		Input    json.RawMessage `json:"input"`
		Expected json.RawMessage `json:"expected"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return record{}, fmt.Errorf("is no case: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return record{}, errors.New("holds more than one value")
	}
	if c.Case == "" || c.Expected == nil {
		return record{}, errors.New("has no case or no expected")
	}
	if c.Input == nil {
		c.Input = json.RawMessage("null")
	}
	if c.Cluster == "" {
		c.Cluster = c.Case
	}
	v, err := ParseValue(c.Expected)
	if err != nil {
		return record{}, fmt.Errorf("expected %w", err)
	}
	return record{c.Case, c.Split, c.Cluster, c.Input, v}, nil
}
