// Package cli is the command line: the server, the chat, and a command for every operation.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"yardmaster/internal/app"
	"yardmaster/internal/catalog"
	"yardmaster/internal/config"
	"yardmaster/internal/errs"
)

// program is one run of the command line.
type program struct {
	json   bool
	wide   bool
	server string
	key    string
}

// Main runs the command line and answers the exit code: 0 for success, 1 for a defect, 2 for a wrong command or input,
// 3 for missing rights, 4 for what is not there, 5 for a state that may change by itself.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// Run is Main with everything from outside given.
func Run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := Command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(errOut, "yardmaster: "+message(err))
	var usage usageError
	if errors.As(err, &usage) || !errors.As(err, new(failure)) {
		return errs.Invalid.Exit()
	}
	var e *errs.Error
	if errors.As(err, &e) {
		return e.Code.Exit()
	}
	return 1
}

// usageError is a mistake in the command line or in the settings.
type usageError struct{ error }

// failure is the error of a command that was understood and ran. Any other comes from reading the command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// markFailures makes the errors of a command and of those below it failures.
func markFailures(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markFailures(sub)
	}
}

func message(err error) string {
	var e *errs.Error
	if !errors.As(err, &e) || len(e.Fields) < 2 {
		return err.Error()
	}
	lines := []string{"the input is wrong:"}
	for _, f := range e.Fields {
		lines = append(lines, "  "+f.Path+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

// Command makes the whole command tree.
func Command() *cobra.Command {
	m := &program{}
	root := &cobra.Command{
		Use:   "yardmaster",
		Short: "Run a whole fleet of agents by talking to one",
		Long: `Yardmaster runs a fleet of agents: say what is wanted, and the Operator works out the steps and carries them out.

Commands talk to the server named by --server (or $YARDMASTER_SERVER, with the key in $YARDMASTER_API_KEY). Without one
they talk to the server that runs on the data folder, and start one for as long as they last when none does.`,
		SilenceUsage: true, SilenceErrors: true, Version: Version(),
		Args: cobra.NoArgs, RunE: help,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	pf := root.PersistentFlags()
	config.AddFlags(pf)
	pf.BoolVar(&m.json, "json", false, "print JSON")
	pf.BoolVar(&m.wide, "wide", false, "show every column of tables")
	pf.StringVar(&m.server, "server", os.Getenv("YARDMASTER_SERVER"), "address of the server to talk to ($YARDMASTER_SERVER)")
	m.key = os.Getenv("YARDMASTER_API_KEY")
	root.AddGroup(&cobra.Group{ID: "talk", Title: "Talk and serve:"}, &cobra.Group{ID: "platform", Title: "Platform operations:"})
	root.AddCommand(m.chatCommand(), m.serveCommand(), m.doctorCommand())
	root.AddCommand(m.operationCommands(catalog.Operations(catalog.Services{}))...)
	markFailures(root)
	return root
}

// Version is the version of this build.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}

// with runs fn with a client of the server that the command is about.
func (m *program) with(cmd *cobra.Command, fn func(c *client) error) error {
	if m.server != "" {
		if m.key == "" {
			return errs.New(errs.Unauthenticated, "Put an API key of %s into $YARDMASTER_API_KEY.", m.server)
		}
		return fn(newClient(m.server, m.key))
	}
	cfg, err := m.load(cmd)
	if err != nil {
		return err
	}
	if base, key, ok := app.Running(cfg.Data); ok {
		return fn(newClient(base, key))
	}
	return app.Embedded(cmd.Context(), cfg, m.logger(cmd, cfg), func(base, key string) error { return fn(newClient(base, key)) })
}

func (m *program) load(cmd *cobra.Command) (config.Config, error) {
	// Only the settings' own flags count: an operation may have a field of the same name, such as model.
	cfg, err := config.Load(cmd.Root().PersistentFlags(), os.Getenv)
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// confirm asks a person before something is lost; where nobody can be asked, --yes is needed.
func (m *program) confirm(cmd *cobra.Command, what string) error {
	if !isTerminal(cmd.InOrStdin()) {
		return errs.New(errs.Invalid, "%s can't be taken back. Say --yes to do it.", what)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s can't be taken back. Do it? [y/N] ", what)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errs.New(errs.Conflict, "Nothing was done.")
	}
	return nil
}
