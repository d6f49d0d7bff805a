package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof" // on an address of its own, when profileVariable is set
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"yardmaster/internal/app"
	"yardmaster/internal/config"
	"yardmaster/internal/db"
	"yardmaster/internal/id"
	"yardmaster/internal/llm"
	"yardmaster/internal/llm/script"
)

const (
	modeVariable    = "YARDMASTER_BENCH_MODE" // yard or floor
	dataVariable    = "YARDMASTER_BENCH_DATA"
	profileVariable = "YARDMASTER_BENCH_PPROF" // an address for profiles
)

// The turn that is measured: one tool call, then a text of so many tokens.
const (
	tokens   = 200
	token    = "measured "
	toolName = "secrets_list"
)

// serveAs runs one of the two servers until it is told to end.
func serveAs(mode string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if addr := os.Getenv(profileVariable); addr != "" && mode == "yard" {
		go func() { fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, nil)) }()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	data := os.Getenv(dataVariable)
	switch mode {
	case "yard":
		return serveYard(ctx, ln, data)
	case "floor":
		return serveFloor(ctx, ln, data)
	}
	return fmt.Errorf("there is no server of the kind %q", mode)
}

func serveYard(ctx context.Context, ln net.Listener, data string) error {
	model := script.Steps(
		script.Step{Calls: []script.Call{{ID: "call_1", Tool: toolName, Input: json.RawMessage(`{"limit":5}`)}}},
		script.Step{Text: token, Repeat: tokens},
	)
	a, err := app.Open(ctx, config.Config{Data: data, Driver: "native", Model: "script/bench", MaxInstances: 10, BootstrapKey: apiKey},
		app.Options{Providers: []llm.Provider{model}})
	if err != nil {
		return err
	}
	fmt.Println("http://" + ln.Addr().String())
	return a.Serve(ctx, ln)
}

// floor does for a turn what can't be left out, and nothing else: four durable transactions, one read, and the events, each
// flushed. Under /merged it sends the text as one event, which is the least that any server could do.
type floor struct {
	db *db.DB
}

func serveFloor(ctx context.Context, ln net.Listener, data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(data, "floor.db"))
	if err != nil {
		return err
	}
	err = d.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE bench_messages (chat TEXT NOT NULL, seq INTEGER NOT NULL, role TEXT NOT NULL, status TEXT NOT NULL, parts TEXT NOT NULL,
			PRIMARY KEY (chat, seq)) STRICT, WITHOUT ROWID`)
		return err
	})
	if err != nil {
		return errors.Join(err, d.Close())
	}
	f := &floor{d}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat", f.chat(1))
	mux.HandleFunc("POST /merged/api/chat", f.chat(tokens))
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { <-ctx.Done(); _ = srv.Close() }()
	fmt.Println("http://" + ln.Addr().String())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

func (f *floor) chat(merge int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f.turn(w, r, merge); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// turn answers a request; so many tokens at a time are an event.
func (f *floor) turn(w http.ResponseWriter, r *http.Request, merge int) error {
	ctx := r.Context()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	chat := id.New(id.Chat)
	const insert = `INSERT INTO bench_messages (chat, seq, role, status, parts) VALUES (?, ?, ?, ?, ?)`
	err = f.db.Update(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(insert, chat, 1, "user", "done", string(body)); err != nil {
			return err
		}
		_, err := tx.Exec(insert, chat, 2, "assistant", "running", "[]")
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	send := func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", raw); err != nil {
			return err
		}
		return rc.Flush()
	}
	store := func(parts []any, status string) error {
		raw, err := json.Marshal(parts)
		if err != nil {
			return err
		}
		return f.db.Update(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE bench_messages SET parts = ?, status = ? WHERE chat = ? AND seq = 2`, string(raw), status, chat)
			return err
		})
	}
	type event struct {
		Type   string `json:"type"`
		ID     string `json:"id,omitempty"`
		Delta  string `json:"delta,omitempty"`
		Tool   string `json:"toolName,omitempty"`
		Input  any    `json:"input,omitempty"`
		Output any    `json:"output,omitempty"`
	}
	call := event{Type: "tool-input-available", ID: "call_1", Tool: toolName, Input: map[string]int{"limit": 5}}
	if err := send(event{Type: "start", ID: chat}); err != nil {
		return err
	}
	if err := send(call); err != nil {
		return err
	}
	if err := store([]any{call}, "running"); err != nil {
		return err
	}
	var found []string
	err = f.db.View(ctx, func(tx *db.Tx) error {
		return tx.Select(&found, `SELECT role FROM bench_messages WHERE chat = ? LIMIT 5`, chat)
	})
	if err != nil {
		return err
	}
	result := event{Type: "tool-output-available", ID: "call_1", Output: map[string]any{"secrets": found}}
	if err := send(result); err != nil {
		return err
	}
	if err := store([]any{call, result}, "running"); err != nil {
		return err
	}
	delta := strings.Repeat(token, merge)
	for range tokens / merge {
		if err := send(event{Type: "text-delta", ID: "t1", Delta: delta}); err != nil {
			return err
		}
	}
	if err := store([]any{call, result, event{Type: "text", Delta: strings.Repeat(token, tokens)}}, "done"); err != nil {
		return err
	}
	if err := send(event{Type: "finish"}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "data: [DONE]\n\n"); err != nil {
		return err
	}
	return rc.Flush()
}
