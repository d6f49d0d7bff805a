// Command bench measures Yardmaster on the machine that it runs on, and prints what came out beside what was aimed at.
//
//	go run ./bench                  everything, in less than three minutes
//	go run ./bench -short           the same with fewer repetitions
//	go run ./bench -only turns      one part: start, instances, turns, sentence, idle
//
// Starts, instances and the first sentence are measured on the program as people get it, built here. Turns are measured on
// the whole program with a scripted model, against a floor in the same run: a bare handler of net/http that makes the same
// number of durable transactions on the same database package and sends the same events.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// budget bounds the whole run.
const budget = 3 * time.Minute

// bench is one run.
type bench struct {
	ctx     context.Context
	dir     string // everything that is made is below it
	program string // the built binary
	short   bool
	rows    []row
}

// row is a line of the table.
type row struct {
	what, measured, aim string
	missed              bool
}

// add notes a measurement. ok tells whether it reached its aim; without an aim it is "".
func (b *bench) add(what, measured, aim string, ok bool) {
	b.rows = append(b.rows, row{what, measured, aim, aim != "" && !ok})
	fmt.Fprintf(os.Stderr, "  %s: %s\n", what, measured)
}

// times answers n, or fewer for a short run.
func (b *bench) times(n, short int) int {
	if b.short {
		return short
	}
	return n
}

var parts = []struct {
	name string
	run  func(b *bench) error
}{
	{"start", (*bench).start},
	{"instances", (*bench).instances},
	{"sentence", (*bench).sentence},
	{"turns", (*bench).turns},
	{"idle", (*bench).idle},
}

func main() {
	if mode := os.Getenv(modeVariable); mode != "" {
		if err := serveAs(mode); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	only := flag.String("only", "", "measure these parts only: "+partNames())
	short := flag.Bool("short", false, "fewer repetitions")
	flag.Parse()
	if err := run(*only, *short); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func partNames() string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return strings.Join(names, ",")
}

func run(only string, short bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	var wanted []string
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, w := range wanted {
		if !slices.Contains(strings.Split(partNames(), ","), w) {
			return fmt.Errorf("there is no part %q; there are %s", w, partNames())
		}
	}
	dir, err := os.MkdirTemp("", "yardmaster-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil { // instances have user ids of their own, which must pass through
		return err
	}
	b := &bench{ctx: ctx, dir: dir, program: filepath.Join(dir, "yardmaster"), short: short}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.program, "yardmaster/cmd/yardmaster")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	begin := time.Now()
	for _, p := range parts {
		if wanted != nil && !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, p.name)
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.print(time.Since(begin))
}

func (b *bench) print(took time.Duration) error {
	load, _ := os.ReadFile("/proc/loadavg") // only for people
	fmt.Printf("\n%s %s/%s, %d cores, load %s, %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " "), took.Round(time.Second))
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHAT\tMEASURED\tAIM\t")
	for _, r := range b.rows {
		mark := ""
		if r.missed {
			mark = "MISSED"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.measured, r.aim, mark)
	}
	return w.Flush()
}

// spread is a sorted list of durations.
type spread []time.Duration

func sorted(d []time.Duration) spread {
	out := slices.Clone(d)
	slices.Sort(out)
	return out
}

// at is the quantile q, by the nearest rank.
func (s spread) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func (s spread) String() string {
	return fmt.Sprintf("p50 %s, p99 %s", ms(s.at(0.5)), ms(s.at(0.99)))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func mb(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
