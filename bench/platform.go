package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	aimReady    = 100 * time.Millisecond
	aimMemory   = 40_000_000
	aimCreate   = 50 * time.Millisecond
	aimExec     = 5 * time.Millisecond
	aimInstance = 1_000_000
)

// start measures the time to /readyz, on an empty data folder and on one that is there, and what the idle server holds.
func (b *bench) start() error {
	var fresh, again []time.Duration
	var held int64
	var cpu []time.Duration
	for i := range b.times(10, 3) {
		data := filepath.Join(b.dir, fmt.Sprint("start-", i))
		for _, list := range []*[]time.Duration{&fresh, &again} {
			c, took, err := b.serve(data)
			if err != nil {
				return err
			}
			*list = append(*list, took)
			if held, err = resident(c.cmd.Process.Pid); err != nil {
				return err
			}
			used, err := processor(c.cmd.Process.Pid)
			if err != nil {
				return err
			}
			cpu = append(cpu, used)
			if err := c.stop(); err != nil {
				return err
			}
		}
	}
	f, a := sorted(fresh), sorted(again)
	b.add("start to /readyz, new data folder", f.String(), "", true)
	b.add("start to /readyz", a.String(), "under 100 ms", a.at(0.5) < aimReady)
	b.add("processor time of a start", ms(sorted(cpu).at(0.5)), "", true)
	b.add("memory of the idle server (resident)", mb(held), "under 40 MB", held < aimMemory)
	return nil
}

// instances measures how long it takes to make an instance, until it is active, and to run a command in it.
func (b *bench) instances() (err error) {
	c, _, err := b.serve(filepath.Join(b.dir, "instances"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var create, run []time.Duration
	for i := range b.times(100, 20) {
		begin := time.Now()
		var out struct {
			Instance struct{ Status string }
		}
		if err := c.call(b.ctx, "POST", "/api/instances", map[string]any{"name": fmt.Sprint("bench-", i), "kind": "blank"}, &out); err != nil {
			return err
		}
		if out.Instance.Status != "active" {
			return fmt.Errorf("a new instance is %s", out.Instance.Status)
		}
		create = append(create, time.Since(begin))
	}
	for range b.times(500, 50) {
		begin := time.Now()
		var out struct{ ExitCode int }
		if err := c.call(b.ctx, "POST", "/api/instances/bench-0/exec", map[string]any{"command": []string{"true"}}, &out); err != nil {
			return err
		}
		if out.ExitCode != 0 {
			return fmt.Errorf("true ended with %d", out.ExitCode)
		}
		run = append(run, time.Since(begin))
	}
	cs, rs := sorted(create), sorted(run)
	b.add("create an instance", cs.String(), "under 50 ms", cs.at(0.5) < aimCreate)
	b.add("run a command in it", rs.String(), "under 5 ms", rs.at(0.5) < aimExec)
	return nil
}

// idle measures what idle instances hold, the server's share for them included.
func (b *bench) idle() (err error) {
	c, _, err := b.serve(filepath.Join(b.dir, "idle"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	before, _, err := family(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	n := b.times(500, 100)
	begin := time.Now()
	work := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range 4 {
		wg.Go(func() {
			for i := range work {
				if err := c.call(b.ctx, "POST", "/api/instances", map[string]any{"name": fmt.Sprint("idle-", i), "kind": "blank"}, nil); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	if failed != nil {
		return failed
	}
	took := time.Since(begin)
	after, members, err := family(c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if members < n {
		return fmt.Errorf("%d processes were found for %d instances", members, n)
	}
	each := (after - before) / int64(n)
	b.add(fmt.Sprintf("memory of an idle instance, of %d", n), fmt.Sprintf("%.2f MB (all together %s; made in %.1f s)", float64(each)/1e6, mb(after), took.Seconds()),
		"under 1 MB", each < aimInstance)
	return nil
}

// theSentence is the first thing that people say.
const theSentence = "Deploy 5 variants of the AQI predictor with different strategies and score them."

// sentence measures the time from enter to the end of the answer, which has the leaderboard, on a new data folder.
func (b *bench) sentence() error {
	var first, whole []time.Duration
	for i := range b.times(3, 1) {
		c, _, err := b.serve(filepath.Join(b.dir, fmt.Sprint("sentence-", i)))
		if err != nil {
			return err
		}
		seen, took, text, err := b.ask(c, theSentence)
		if err := errors.Join(err, c.stop()); err != nil {
			return err
		}
		if !strings.Contains(text, "Leaderboard") || !strings.Contains(text, "aqi-predictor-v5") {
			return fmt.Errorf("the answer has no leaderboard: %s", text)
		}
		first, whole = append(first, seen), append(whole, took)
	}
	b.add("first sentence, until something is shown", ms(sorted(first).at(0.5)), "", true)
	b.add("first sentence, until the leaderboard", fmt.Sprintf("%.2f s", sorted(whole).at(0.5).Seconds()), "", true)
	return nil
}

// ask sends a message and reads the answer.
func (b *bench) ask(c *child, message string) (first, whole time.Duration, text string, err error) {
	raw, err := json.Marshal(chatRequest(message))
	if err != nil {
		return 0, 0, "", err
	}
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, c.url+"/api/chat", bytes.NewReader(raw))
	if err != nil {
		return 0, 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	begin := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return 0, 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var chunk struct{ Type, Delta, ErrorText string }
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return 0, 0, "", err
		}
		switch chunk.Type {
		case "error":
			return 0, 0, "", errors.New(chunk.ErrorText)
		case "tool-input-available", "text-delta":
			if first == 0 {
				first = time.Since(begin)
			}
		}
		text += chunk.Delta
	}
	return first, time.Since(begin), text, sc.Err()
}

func chatRequest(message string) any {
	return map[string]any{"messages": []any{map[string]any{"role": "user", "parts": []any{map[string]any{"type": "text", "text": message}}}}}
}
