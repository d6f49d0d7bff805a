package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"yardmaster/internal/config"
	"yardmaster/internal/errs"
)

const (
	lockFile    = "lock"
	addressFile = "server.json"
	keyFile     = "local.key"
)

// lock makes sure that one process works on a data folder. The kernel gives the lock back when the process dies, however
// that happens.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "The data folder %s can't be written: %v. Choose another with --data.", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errs.New(errs.Conflict, "Another Yardmaster works on the data folder %s. Stop it, or choose another folder with --data.", dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// address is what a running server leaves in its data folder for the commands of the same user.
type address struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

func writeAddress(dir string, addr net.Addr) error {
	raw, err := json.Marshal(address{URL: "http://" + addr.String(), PID: os.Getpid()})
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, addressFile), raw)
}

// writePrivate replaces a file that only the user may read, all at once.
func writePrivate(path string, raw []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(raw)
	if e := tmp.Sync(); err == nil {
		err = e
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// Running finds the server that works on a data folder: its address and the key that it keeps for this user.
func Running(dir string) (base, key string, ok bool) {
	raw, err := os.ReadFile(filepath.Join(dir, addressFile))
	if err != nil {
		return "", "", false
	}
	var a address
	if json.Unmarshal(raw, &a) != nil || a.URL == "" {
		return "", "", false
	}
	secret, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return "", "", false
	}
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(a.URL + "/readyz")
	if err != nil {
		return "", "", false // it died and left its address behind
	}
	_ = res.Body.Close()
	return a.URL, strings.TrimSpace(string(secret)), res.StatusCode == http.StatusOK
}

// Embedded runs a server on the data folder for as long as fn lasts.
func Embedded(ctx context.Context, cfg config.Config, log *slog.Logger, fn func(base, key string) error) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	a, err := Open(ctx, cfg, Options{Log: log, FirstKey: func(key string) {
		_, _ = fmt.Fprintf(os.Stderr, "A new account was made in %s. Its API key, shown only now: %s\n", cfg.Data, key)
	}})
	if err != nil {
		_ = ln.Close()
		return err
	}
	serveCtx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- a.Serve(serveCtx, ln) }()
	fnErr := fn("http://"+ln.Addr().String(), a.LocalKey)
	stop()
	if err := <-served; err != nil && fnErr == nil {
		return err
	}
	return fnErr
}
