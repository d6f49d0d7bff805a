package server

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// buckets are the upper bounds of the request durations that are counted, in seconds.
var buckets = [...]float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60}

type metricsKey struct {
	route  string
	status int
}

type counter struct {
	count   int64
	sum     float64 // seconds
	buckets [len(buckets)]int64
}

// serverMetrics counts what the server does. Routes are patterns, so that their number is bounded.
type serverMetrics struct {
	streams atomic.Int64
	began   time.Time

	mu       sync.Mutex
	requests map[metricsKey]*counter
}

func (m *serverMetrics) start() {
	m.began, m.requests = time.Now(), map[metricsKey]*counter{}
}

func (m *serverMetrics) observe(route string, status int, took time.Duration) {
	if route == "" {
		route = catchAll
	}
	seconds := took.Seconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	k := metricsKey{route, status}
	c := m.requests[k]
	if c == nil {
		c = &counter{}
		m.requests[k] = c
	}
	c.count++
	c.sum += seconds
	for i, bound := range buckets {
		if seconds <= bound {
			c.buckets[i]++
		}
	}
}

// serveMetrics answers the counters in the Prometheus text format 0.0.4.
func (s *Server) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(s.metrics.text(s.cfg.Version))
}

func (m *serverMetrics) text(version string) []byte {
	var b bytes.Buffer
	head := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	one := func(name, kind, help string, value float64) {
		head(name, kind, help)
		fmt.Fprintf(&b, "%s %s\n", name, strconv.FormatFloat(value, 'g', -1, 64))
	}
	head("yardmaster_build_info", "gauge", "The version that runs.")
	fmt.Fprintf(&b, "yardmaster_build_info{version=%q,go=%q} 1\n", version, runtime.Version())
	one("yardmaster_uptime_seconds", "gauge", "Seconds since the start.", time.Since(m.began).Seconds())
	one("yardmaster_open_streams", "gauge", "Event streams that clients read.", float64(m.streams.Load()))
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	for i, name := range []string{"go_goroutines", "go_heap_objects_bytes", "go_memory_total_bytes"} {
		one(name, "gauge", "Of the Go runtime: "+strings.TrimPrefix(samples[i].Name, "/")+".", float64(samples[i].Value.Uint64()))
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]metricsKey, 0, len(m.requests))
	for k := range m.requests {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b metricsKey) int {
		if c := strings.Compare(a.route, b.route); c != 0 {
			return c
		}
		return a.status - b.status
	})
	head("yardmaster_request_seconds", "histogram", "Requests by route and status, and the time they took (streams: until their end).")
	for _, k := range keys {
		c := m.requests[k]
		labels := fmt.Sprintf("route=%q,status=\"%d\"", k.route, k.status)
		for i, bound := range buckets {
			fmt.Fprintf(&b, "yardmaster_request_seconds_bucket{%s,le=\"%g\"} %d\n", labels, bound, c.buckets[i])
		}
		fmt.Fprintf(&b, "yardmaster_request_seconds_bucket{%s,le=\"+Inf\"} %d\n", labels, c.count)
		fmt.Fprintf(&b, "yardmaster_request_seconds_sum{%s} %g\nyardmaster_request_seconds_count{%s} %d\n", labels, c.sum, labels, c.count)
	}
	return b.Bytes()
}
