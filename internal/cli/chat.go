package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"yardmaster/internal/errs"
)

func (m *program) chatCommand() *cobra.Command {
	var chatID string
	var cont bool
	cmd := &cobra.Command{
		Use: "chat [MESSAGE]", GroupID: "talk",
		Short: "Talk to the Operator",
		Long: `Talk to the Operator. With a message it answers that and ends; without one it reads messages line by line.
When no server runs on the data folder, one is started for as long as the command lasts.`,
		Example: `  yardmaster chat "Deploy 5 variants of the AQI predictor with different strategies and score them."
  yardmaster chat --continue "Clone the top 2 and mutate back to 5. Focus on the ensemble approach."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.with(cmd, func(c *client) error {
				if cont && chatID == "" {
					id, err := lastChat(cmd.Context(), c)
					if err != nil {
						return err
					}
					chatID = id
				}
				if len(args) > 0 {
					return m.say(cmd, c, &chatID, strings.Join(args, " "))
				}
				return m.converse(cmd, c, &chatID)
			})
		},
	}
	cmd.Flags().StringVar(&chatID, "chat", "", "go on with this chat")
	cmd.Flags().BoolVarP(&cont, "continue", "c", false, "go on with the newest chat")
	return cmd
}

func lastChat(ctx context.Context, c *client) (string, error) {
	res, err := c.do(ctx, http.MethodGet, "/api/chat/history?limit=1", "", nil, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var out struct {
		Chats []struct {
			ID string `json:"id"`
		} `json:"chats"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return "", err
	}
	if len(out.Chats) == 0 {
		return "", errs.New(errs.NotFound, "There is no chat to continue yet. Leave --continue out to begin one.")
	}
	return out.Chats[0].ID, nil
}

// converse reads messages from standard input until it ends.
func (m *program) converse(cmd *cobra.Command, c *client, chatID *string) error {
	in := bufio.NewScanner(cmd.InOrStdin())
	in.Buffer(nil, 1<<20)
	prompt := func() {
		if isTerminal(cmd.InOrStdin()) {
			_, _ = fmt.Fprint(cmd.ErrOrStderr(), "> ")
		}
	}
	for prompt(); in.Scan(); prompt() {
		text := strings.TrimSpace(in.Text())
		switch text {
		case "":
			continue
		case "exit", "quit":
			return nil
		}
		if err := m.say(cmd, c, chatID, text); err != nil {
			if errs.CodeOf(err) == errs.Internal || cmd.Context().Err() != nil {
				return err
			}
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	}
	return in.Err()
}

// say sends one message and shows the answer as it comes. An interrupt stops the turn.
func (m *program) say(cmd *cobra.Command, c *client, chatID *string, text string) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	v := &view{out: cmd.OutOrStdout(), status: cmd.ErrOrStderr(), live: isTerminal(cmd.ErrOrStderr()), json: m.json, tools: map[string]*toolLine{}}
	id, err := c.stream(ctx, *chatID, text, v.chunk)
	v.close()
	if id != "" {
		*chatID = id
	}
	if ctx.Err() != nil && cmd.Context().Err() == nil && *chatID != "" {
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if res, err := c.do(sctx, http.MethodPost, "/api/chat/"+*chatID+"/stop", "application/json", strings.NewReader("{}"), nil); err == nil {
			_ = res.Body.Close()
		}
		return errs.New(errs.Conflict, "Stopped.")
	}
	if m.json && err == nil {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"chatId": id, "text": strings.TrimSpace(v.text.String())})
	}
	return err
}

func isTerminal(s any) bool {
	f, ok := s.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// view shows a stream: text on standard output, what is being done on standard error, so that the answer can be piped.
type view struct {
	mu     sync.Mutex
	out    io.Writer
	status io.Writer
	live   bool // a terminal: the line of what is under way is rewritten
	json   bool
	text   strings.Builder
	tools  map[string]*toolLine
	shown  string // the live line on the screen
	last   string // the last progress text that was printed on a line of its own
	inText bool
}

type toolLine struct {
	name  string
	label string
	began time.Time
}

func (v *view) chunk(c chunk) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch c.Type {
	case "text-delta":
		v.clear()
		v.text.WriteString(c.Delta)
		v.inText = true
		if !v.json {
			_, err := io.WriteString(v.out, c.Delta)
			return err
		}
	case "text-end":
		v.text.WriteString("\n\n")
		v.inText = false
		if !v.json {
			_, err := io.WriteString(v.out, "\n\n")
			return err
		}
	case "tool-input-available":
		v.tools[c.ToolCallID] = &toolLine{name: c.ToolName, label: label(c.ToolName, c.Input), began: time.Now()}
		v.line("… " + v.tools[c.ToolCallID].label)
	case "tool-output-available":
		t := v.tools[c.ToolCallID]
		if t == nil {
			return nil
		}
		if c.Preliminary {
			v.progress(c.Output)
			return nil
		}
		v.finished("✓", t, "")
		delete(v.tools, c.ToolCallID)
	case "tool-output-error", "tool-input-error":
		t := v.tools[c.ToolCallID]
		if t == nil {
			t = &toolLine{label: c.ToolName, began: time.Now()}
		}
		v.finished("✗", t, ": "+c.ErrorText)
		delete(v.tools, c.ToolCallID)
	case "abort":
		v.line("")
		return errs.New(errs.Conflict, "The turn was stopped.")
	case "error":
		return errors.New(c.ErrorText)
	}
	return nil
}

// progress shows how far a long operation is.
func (v *view) progress(raw json.RawMessage) {
	var p struct {
		Text  string `json:"text"`
		Done  int    `json:"done"`
		Total int    `json:"total"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Text == "" {
		return
	}
	text := p.Text
	if p.Total > 0 {
		text = fmt.Sprintf("%s (%d of %d)", p.Text, p.Done, p.Total)
	}
	if v.live {
		v.line("  " + text)
	} else if text != v.last {
		v.last = text
		_, _ = fmt.Fprintln(v.status, "  "+text)
	}
}

func (v *view) finished(mark string, t *toolLine, more string) {
	took := ""
	if d := time.Since(t.began); d >= 100*time.Millisecond {
		took = fmt.Sprintf(" (%.1f s)", d.Seconds())
	}
	v.clear()
	_, _ = fmt.Fprintf(v.status, "%s %s%s%s\n", mark, t.label, took, more)
}

// line shows what is under way; only a terminal gets it, others see what is finished.
func (v *view) line(text string) {
	if !v.live || v.inText {
		return
	}
	if r := []rune(text); len(r) > 100 {
		text = string(r[:99]) + "…"
	}
	_, _ = fmt.Fprint(v.status, "\r\x1b[K"+text)
	v.shown = text
}

func (v *view) clear() {
	if v.shown != "" {
		_, _ = fmt.Fprint(v.status, "\r\x1b[K")
		v.shown = ""
	}
}

func (v *view) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
}

// label tells a call in words: "instances create name=atlas".
func label(tool string, input json.RawMessage) string {
	var in map[string]any
	s := strings.ReplaceAll(tool, "_", " ")
	if json.Unmarshal(input, &in) != nil {
		return s
	}
	for _, k := range sorted(in) {
		text := cell(in[k])
		if r := []rune(text); len(r) > 40 {
			text = string(r[:39]) + "…"
		}
		s += " " + k + "=" + strings.ReplaceAll(text, "\n", " ")
	}
	return s
}
