package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// aimClients is the number of clients at which the aim of half the floor's throughput holds.
const aimClients = 16

// load is what came out of a while of turns.
type load struct {
	turns int
	took  time.Duration
	cpu   time.Duration // of the server
	each  []time.Duration
}

func (l load) rate() float64 { return float64(l.turns) / l.took.Seconds() }

func (l load) String() string {
	return fmt.Sprintf("%.0f/s, %s, processor %s each", l.rate(), sorted(l.each), ms(l.cpu/time.Duration(max(1, l.turns))))
}

func (l *load) join(o load) {
	l.turns, l.took, l.cpu, l.each = l.turns+o.turns, l.took+o.took, l.cpu+o.cpu, append(l.each, o.each...)
}

// turns measures whole turns against the floor, one after the other and again, so that a machine whose speed changes
// changes it for both.
func (b *bench) turns() (err error) {
	yard, err := b.reexec("yard", filepath.Join(b.dir, "turns"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, yard.stop()) }()
	bare, err := b.reexec("floor", filepath.Join(b.dir, "floor"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()
	request, err := json.Marshal(chatRequest("Please list my secrets and then talk for a while."))
	if err != nil {
		return err
	}
	merged := *bare
	merged.url += "/merged"
	sides := []struct {
		what string
		c    *child
	}{{"", yard}, {"  a bare handler", bare}, {"  a bare handler that sends the text at once", &merged}}
	window := time.Duration(b.times(2500, 700)) * time.Millisecond
	for _, s := range sides { // warm
		if _, err := b.burst(s.c, request, 4, window/3); err != nil {
			return err
		}
	}
	for _, clients := range []int{1, 16, 64} {
		got := make([]load, len(sides))
		for range 2 { // A B C A B C
			for i, s := range sides {
				l, err := b.burst(s.c, request, clients, window)
				if err != nil {
					return err
				}
				got[i].join(l)
			}
		}
		b.add(fmt.Sprintf("turns at %d clients", clients), got[0].String(), "", true)
		for i, s := range sides[1:] {
			aim, ratio := "", got[i+1].rate()/got[0].rate()
			if clients == aimClients && s.c == bare {
				aim = "within 2x"
			}
			b.add(s.what, fmt.Sprintf("%s: %.2fx", got[i+1], ratio), aim, ratio <= 2)
		}
	}
	return nil
}

// burst has clients make turns for a while, each its own one after another.
func (b *bench) burst(c *child, request []byte, clients int, window time.Duration) (load, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	before, err := processor(c.cmd.Process.Pid)
	if err != nil {
		return load{}, err
	}
	begin := time.Now()
	results := make([]load, clients)
	fails := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			buf := make([]byte, 32<<10)
			for time.Since(begin) < window && ctx.Err() == nil {
				at := time.Now()
				if err := turn(ctx, c, request, buf); err != nil {
					fails[i] = err
					cancel()
					return
				}
				results[i].turns++
				results[i].each = append(results[i].each, time.Since(at))
			}
		})
	}
	wg.Wait()
	all := load{took: time.Since(begin)}
	after, err := processor(c.cmd.Process.Pid)
	if err != nil {
		return all, err
	}
	all.cpu = after - before
	for _, r := range results {
		all.turns += r.turns
		all.each = append(all.each, r.each...)
	}
	// The first failure is the cause; the others were told to end.
	if i := slices.IndexFunc(fails, func(err error) bool { return err != nil && !errors.Is(err, context.Canceled) }); i >= 0 {
		return all, fails[i]
	}
	return all, b.ctx.Err()
}

// turn makes one turn and reads its stream to the end, which must be a proper one.
func turn(ctx context.Context, c *child, request, buf []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/api/chat", bytes.NewReader(request))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a turn: %s", res.Status)
	}
	kept, words := 0, 0
	for {
		n, err := res.Body.Read(buf[kept:])
		words += bytes.Count(buf[kept:kept+n], []byte("measured")) // a word that is cut by the end of the buffer is not counted
		kept += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if kept > len(buf)/2 { // the end is what counts
			copy(buf, buf[kept-64:kept])
			kept = 64
		}
	}
	if !bytes.HasSuffix(buf[:kept], []byte("data: [DONE]\n\n")) || words < tokens/2 {
		return fmt.Errorf("a turn broke off: %d tokens, and at its end %q", words, buf[max(0, kept-200):kept])
	}
	return nil
}
