package suite

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"yardmaster/internal/errs"
	"yardmaster/internal/experiment/spec"
)

// table is a table of days with one column a station.
type table struct {
	stations []string
	quoted   [][]byte // the stations as JSON
	days     []day
}

type day struct {
	date   time.Time
	name   string
	values []float64 // NaN where nothing was measured
	cells  []string  // as written
}

func readTable(fsys fs.FS, name string) (*table, error) {
	bad := func(line int, format string, args ...any) error {
		return errs.New(errs.Invalid, "%s, line %d: "+format, append([]any{name, line}, args...)...)
	}
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	header, err := r.Read()
	if err != nil || len(header) < 2 || strings.TrimSpace(header[0]) != "date" {
		return nil, bad(1, "must begin with a column date, followed by one column a station.")
	}
	t := &table{stations: header[1:]}
	seen := map[string]bool{}
	for i, s := range t.stations {
		if s = strings.TrimSpace(s); s == "" || seen[s] {
			return nil, bad(1, "column %d has no name or one that is there twice.", i+2)
		}
		seen[s] = true
		t.stations[i] = s
		quoted, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		t.quoted = append(t.quoted, quoted)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		line, _ := r.FieldPos(0)
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			return nil, bad(wrong.Line, "%v.", wrong.Err)
		}
		if err != nil {
			return nil, err
		}
		d := day{name: strings.TrimSpace(row[0]), cells: row[1:], values: make([]float64, len(t.stations))}
		if d.date, err = time.Parse(time.DateOnly, d.name); err != nil {
			return nil, bad(line, "%q is no date such as 2006-12-31.", d.name)
		}
		if n := len(t.days); n > 0 && !d.date.After(t.days[n-1].date) {
			return nil, bad(line, "%s does not follow %s; the days must rise.", d.name, t.days[n-1].name)
		}
		for i, cell := range d.cells {
			if cell = strings.TrimSpace(cell); cell == "" {
				d.values[i] = math.NaN()
				continue
			}
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, bad(line, "%q of %s is no number; leave the cell empty when nothing was measured.", cell, t.stations[i])
			}
			d.values[i] = v
		}
		t.days = append(t.days, d)
	}
}

// before writes the table with the days before a date.
func (t *table) before(date time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("date")
	for _, s := range t.stations {
		b.WriteByte(',')
		b.WriteString(quote(s))
	}
	b.WriteByte('\n')
	for _, d := range t.days {
		if !d.date.Before(date) {
			break
		}
		b.WriteString(d.name)
		for _, c := range d.cells {
			b.WriteByte(',')
			b.WriteString(c)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func quote(cell string) string {
	if strings.ContainsAny(cell, ",\"\n\r") {
		return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	return cell
}

// days deals out one round for each day of the table whose tomorrow lies in the split. The cases are the stations that
// measured on both days; a day without cases is a round all the same, since it is observed.
func (d *Data) days(name string, sp spec.Split) *Split {
	out := &Split{Name: name}
	all := d.table.days
	begin := sort.Search(len(all), func(i int) bool { return !all[i].date.Before(sp.From.AddDate(0, 0, -1)) })
	for i := begin; i < len(all); i++ {
		today := &all[i]
		tomorrow := today.date.AddDate(0, 0, 1)
		if tomorrow.After(sp.To) {
			break
		}
		r := Round{Name: today.name, Observe: d.table.observe(today)}
		if i+1 < len(all) && all[i+1].date.Equal(tomorrow) {
			r.Cases = d.dayCases(today, &all[i+1], len(out.Clusters))
		}
		if len(r.Cases) > 0 {
			out.Clusters = append(out.Clusters, all[i+1].name)
			out.Cases += len(r.Cases)
		}
		out.Rounds = append(out.Rounds, r)
	}
	return out
}

func (t *table) observe(d *day) json.RawMessage {
	b := []byte{'{'}
	for i, v := range d.values {
		if math.IsNaN(v) {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, t.quoted[i]...), ':')
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, '}')
}

func (d *Data) dayCases(today, tomorrow *day, cluster int) []Case {
	var out []Case
	for i, known := range today.values {
		truth := tomorrow.values[i]
		if math.IsNaN(known) || math.IsNaN(truth) {
			continue
		}
		input := append(append([]byte(`{"station":`), d.table.quoted[i]...), `,"date":"`+tomorrow.name+`"}`...)
		out = append(out, Case{ID: tomorrow.name + "/" + d.table.stations[i], Input: input, Expected: Number(d.suite.Target.Of(truth)), Cluster: cluster})
	}
	return out
}
