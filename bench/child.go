package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const apiKey = "ck_live_bench_0123456789abcdef"

// child is a server in a process of its own.
type child struct {
	cmd    *exec.Cmd
	url    string
	http   *http.Client
	stderr bytes.Buffer
}

// serve starts the built program on a data folder and answers how long it took until it said that it was ready.
func (b *bench) serve(data string) (*child, time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	c := &child{
		cmd: exec.Command(b.program, "serve", "--data", data, "--listen", port), url: "http://" + port,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
	}
	// One key makes all requests here, faster than a key may by default.
	c.cmd.Env = append(os.Environ(), "YARDMASTER_BOOTSTRAP_KEY="+apiKey, "YARDMASTER_RATE_LIMIT=0", "YARDMASTER_ACCOUNT_RATE_LIMIT=0")
	c.cmd.Stderr = &c.stderr
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, 0, err
	}
	err = c.ready(b.ctx)
	return c, time.Since(begin), err
}

// reexec starts this program as a server of a kind, which says its address on its first line.
func (b *bench) reexec(mode, data string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	c.cmd.Env = append(os.Environ(), modeVariable+"="+mode, dataVariable+"="+data)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the %s server did not start: %w", mode, err), c.stop())
	}
	c.url = strings.TrimSpace(line)
	return c, c.ready(b.ctx)
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// ready asks until the server is ready.
func (c *child) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := c.http.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w: %s", ctx.Err(), &c.stderr)
		case <-tick.C:
		}
	}
}

func (c *child) stop() error {
	c.http.CloseIdleConnections()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	return c.cmd.Wait()
}

// call makes a request and reads the answer into out, which may be nil.
func (c *child) call(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, r)
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
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// memory is what a process holds in memory that is its own share: pages that several processes share are split among them.
func memory(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup has no Pss")
}

// resident is what a process holds in memory, shared or not.
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// processor is the processor time that a process has used, to a hundredth of a second.
func processor(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has no times")
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 wherever Go runs on Linux
}

// family is the memory of a process and of all that stem from it.
func family(pid int) (total int64, members int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0, err
	}
	parents := map[int]int{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		if len(fields) > 1 {
			parents[n], _ = strconv.Atoi(fields[1])
		}
	}
	for n := range parents {
		up := n
		for up > 1 && up != pid {
			up = parents[up]
		}
		if up != pid {
			continue
		}
		own, err := memory(n)
		if err != nil {
			continue
		}
		total += own
		members++
	}
	return total, members, nil
}
