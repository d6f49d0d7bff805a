// Package suite reads the cases of a suite, deals them out round by round, and scores answers.
//
// It is the only place that knows expected values, and it works outside of instances.
package suite

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/draw"
	"yardmaster/internal/experiment/spec"
)

// maxFile bounds a data file, in bytes.
const maxFile = 64 << 20

// Data are the cases of a suite.
type Data struct {
	suite spec.Suite
	fsys  fs.FS
	table *table   // of station-days
	cases []record // of cases
}

// Split is a part of a suite, ready to be played.
type Split struct {
	Name     string
	Rounds   []Round
	Clusters []string // the names of the clusters, in order
	Cases    int
}

// Round is one exchange: what became known, and the cases to answer.
type Round struct {
	Name    string
	Observe json.RawMessage // nil for suites without time
	Cases   []Case
}

// Case is one question with its right answer.
type Case struct {
	ID       string
	Input    json.RawMessage
	Expected Value
	Cluster  int // index into Split.Clusters
}

// Load reads a suite's data out of a skill. Errors, of code invalid, name the file and the line.
func Load(fsys fs.FS, su *spec.Suite) (*Data, error) {
	d := &Data{suite: *su, fsys: fsys}
	for _, name := range su.Data.Withheld() {
		info, err := fs.Stat(fsys, name)
		if err != nil || !info.Mode().IsRegular() {
			return nil, errs.New(errs.Invalid, "The suite %s names the file %s, which the skill does not have.", su.Name, name)
		}
		if info.Size() > maxFile {
			return nil, errs.New(errs.TooLarge, "%s has %d bytes; at most %d are allowed.", name, info.Size(), maxFile)
		}
	}
	var err error
	if su.Data.Format == spec.StationDays {
		d.table, err = readTable(fsys, su.Data.Values)
	} else {
		d.cases, err = readCases(fsys, su.Data.Cases)
	}
	if err != nil {
		return nil, err
	}
	if search, ok := d.Split(spec.Search); !ok || search.Cases == 0 {
		return nil, errs.New(errs.Invalid, "The split search of the suite %s has no cases. Check its dates against %s.", su.Name, su.Data.Values+su.Data.Cases)
	}
	return d, d.check(su.Metric)
}

// Split answers a split; false when the suite has none of that name.
func (d *Data) Split(name string) (*Split, bool) {
	sp := d.suite.Split(name)
	if sp.IsZero() {
		return nil, false
	}
	if d.table != nil {
		return d.days(name, sp), true
	}
	return d.single(name, sp), true
}

// History answers the files that a variant gets for a split, by their base names: measurements end before the split
// begins, static files are whole.
func (d *Data) History(split string) (map[string][]byte, error) {
	out := map[string][]byte{}
	static := d.suite.Data.Static
	if d.suite.Data.Sites != "" {
		static = append([]string{d.suite.Data.Sites}, static...)
	}
	for _, name := range static {
		raw, err := fs.ReadFile(d.fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		out[path.Base(name)] = raw
	}
	if d.table != nil {
		out[path.Base(d.suite.Data.Values)] = d.table.before(d.suite.Split(split).From)
	}
	return out, nil
}

// single is the one round of a suite without time.
func (d *Data) single(name string, sp spec.Split) *Split {
	out := &Split{Name: name}
	index := map[string]int{}
	round := Round{Name: "all"}
	for _, r := range d.cases {
		if !d.within(name, sp, r) {
			continue
		}
		c, ok := index[r.cluster]
		if !ok {
			c = len(out.Clusters)
			index[r.cluster] = c
			out.Clusters = append(out.Clusters, r.cluster)
		}
		round.Cases = append(round.Cases, Case{ID: r.id, Input: r.input, Expected: r.expected, Cluster: c})
	}
	out.Cases = len(round.Cases)
	out.Rounds = []Round{round}
	return out
}

// within tells whether a case belongs to a split: by its own word, or by where the hash of its cluster falls.
func (d *Data) within(name string, sp spec.Split, r record) bool {
	if sp.Where != "" {
		return r.split == sp.Where
	}
	at := draw.New(draw.Text(d.suite.Name), draw.Text(r.cluster)).Float()
	low := 0.0
	for _, n := range []string{spec.Search, spec.Select, spec.Sealed} {
		if n == name {
			return at >= low && at < low+sp.Share
		}
		low += d.suite.Split(n).Share
	}
	return false
}
