package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"yardmaster/internal/config"
	"yardmaster/internal/sandbox"
)

// Check is one thing that was looked at.
type Check struct {
	Name    string
	Found   string
	Problem string // what is wrong and how to mend it, or ""
}

// Report is what Doctor found.
type Report struct {
	Checks []Check
	Facts  sandbox.Facts // what instances are kept from, as a real sandbox showed
}

// Failed tells whether something is missing.
func (r Report) Failed() bool {
	for _, c := range r.Checks {
		if c.Problem != "" {
			return true
		}
	}
	return false
}

// Doctor checks what this machine can do, by doing it.
func Doctor(ctx context.Context, cfg config.Config) Report {
	var r Report
	add := func(name, found, problem string) { r.Checks = append(r.Checks, Check{name, found, problem}) }

	if err := os.MkdirAll(cfg.Data, 0o711); err != nil {
		add("data folder", "", fmt.Sprintf("it can't be made: %v. Choose another with --data.", err))
		return r
	}
	if f, err := os.CreateTemp(cfg.Data, ".doctor-*"); err != nil {
		add("data folder", "", fmt.Sprintf("it can't be written: %v. Choose another with --data.", err))
	} else {
		_ = f.Close()
		_ = os.Remove(f.Name())
		add("data folder", "writable", "")
	}
	driver, err := newDriver(cfg, filepath.Join(cfg.Data, "doctor"))
	if err == nil {
		r.Facts, err = driver.Probe(ctx)
		if e := driver.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		add("sandbox", "", err.Error())
	} else {
		add("sandbox", cfg.Driver+": a throw-away sandbox started and held", "")
	}
	if path, err := exec.LookPath("/usr/bin/python3"); err != nil {
		add("python3", "", "skills with Python scripts can't run; install it with: apt-get install python3")
	} else {
		add("python3", path, "")
	}
	return r
}
