//go:build linux

package native

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"yardmaster/internal/sandbox"
)

// percentiles reports the middle and the far end of durations as metrics of a benchmark.
func percentiles(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	at := func(p int) float64 { return float64(all[min(len(all)*p/100, len(all)-1)].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "ms-p50")
	b.ReportMetric(at(99), "ms-p99")
}

// BenchmarkStart measures Start until commands can run, and the Kill after it apart.
func BenchmarkStart(b *testing.B) {
	works(b)
	d := newDriver(b)
	dir := b.TempDir()
	var starts, kills []time.Duration
	for i := range b.N {
		begin := time.Now()
		s, err := d.Start(b.Context(), sandbox.Spec{ID: "bench", Home: filepath.Join(dir, fmt.Sprint(i%8))})
		if err != nil {
			b.Fatal(err)
		}
		starts = append(starts, time.Since(begin))
		begin = time.Now()
		if err := s.Kill(); err != nil {
			b.Fatal(err)
		}
		kills = append(kills, time.Since(begin))
	}
	percentiles(b, starts)
	slices.Sort(kills)
	b.ReportMetric(float64(kills[len(kills)/2].Microseconds())/1000, "ms-kill-p50")
}

// BenchmarkExec measures a command from Exec to the end of Wait.
func BenchmarkExec(b *testing.B) {
	works(b)
	d := newDriver(b)
	s, err := d.Start(b.Context(), sandbox.Spec{ID: "bench", Home: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	for name, cmd := range map[string]sandbox.Command{
		"quiet":  {Argv: []string{"/bin/true"}},
		"output": {Argv: []string{"/bin/echo", "hello"}, Stdout: &strings.Builder{}, Stderr: &strings.Builder{}},
	} {
		b.Run(name, func(b *testing.B) {
			var all []time.Duration
			for range b.N {
				begin := time.Now()
				p, err := s.Exec(b.Context(), cmd)
				if err != nil {
					b.Fatal(err)
				}
				if exit, err := p.Wait(); err != nil || exit.Code != 0 {
					b.Fatal(exit, err)
				}
				all = append(all, time.Since(begin))
			}
			percentiles(b, all)
		})
	}
}

// privateKB is the memory that a process shares with nobody, in KiB, from /proc/PID/smaps_rollup.
func privateKB(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var key string
		var kb int
		if _, err := fmt.Sscan(lines.Text(), &key, &kb); err == nil && (key == "Private_Clean:" || key == "Private_Dirty:") {
			sum += kb
		}
	}
	return sum
}

// What an idle instance costs: under 1 MiB of memory of its own in init and server together, and few goroutines. Each
// has run a command before, as instances have.
func TestIdleInstancesAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred sandboxes are left out in short mode")
	}
	works(t)
	const count = 100
	d := newDriver(t)
	dir := t.TempDir()
	var kept []sandbox.Sandbox
	start := func() {
		s, err := d.Start(t.Context(), sandbox.Spec{ID: "idle", Home: filepath.Join(dir, fmt.Sprint(len(kept)))})
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, s)
		p, err := s.Exec(t.Context(), sandbox.Command{Argv: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		if exit, err := p.Wait(); err != nil || exit.Code != 0 {
			t.Fatal(exit, err)
		}
	}
	start() // what the first one costs in shared parts is not counted
	runtime.GC()
	server, goroutines := privateKB(t, os.Getpid()), runtime.NumGoroutine()
	begin := time.Now()
	for range count {
		start()
	}
	took := time.Since(begin)
	runtime.GC()
	server = privateKB(t, os.Getpid()) - server
	goroutines = runtime.NumGoroutine() - goroutines
	inits := 0
	for _, s := range kept[1:] {
		inits += privateKB(t, s.PID())
	}
	t.Logf("%d instances in %v, a command in each included; per instance: init %d KiB, server %d KiB, %.1f goroutines",
		count, took, inits/count, server/count, float64(goroutines)/count)
	if perInstance := (inits + server) / count; perInstance > 1024 {
		t.Errorf("an idle instance costs %d KiB, more than 1024", perInstance)
	}
	if goroutines > 2*count {
		t.Errorf("%d instances cost %d goroutines", count, goroutines)
	}
}
