package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"yardmaster/internal/app"
	"yardmaster/internal/config"
	"yardmaster/internal/errs"
)

func (m *program) logger(cmd *cobra.Command, cfg config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	if cmd.Name() != "serve" && level < slog.LevelWarn {
		level = slog.LevelWarn // a command that starts a server in passing speaks only of trouble
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
}

func (m *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", GroupID: "talk", Args: cobra.NoArgs,
		Short: "Run the server",
		Long: `Run the server with everything that it needs: no other service is asked for. The first start makes the account and
prints one API key, once; set $YARDMASTER_BOOTSTRAP_KEY to choose the key yourself.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := m.load(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			ln, err := net.Listen("tcp", cfg.Listen)
			if err != nil {
				return errs.Wrap(err, errs.Unavailable, "The address %s can't be served on: %v. Choose another with --listen.", cfg.Listen, err)
			}
			out := cmd.OutOrStdout()
			a, err := app.Open(ctx, cfg, app.Options{Log: m.logger(cmd, cfg), Version: Version(), FirstKey: func(key string) {
				_, _ = fmt.Fprintf(out, "Your API key, shown only now: %s\n", key)
			}})
			if err != nil {
				_ = ln.Close()
				return err
			}
			_, _ = fmt.Fprintf(out, "Yardmaster serves on http://%s (data in %s)\n", ln.Addr(), cfg.Data)
			return a.Serve(ctx, ln)
		},
	}
}

func (m *program) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", GroupID: "talk", Args: cobra.NoArgs,
		Short: "Check what this machine can do",
		Long:  "Check what this machine can do: start a throw-away sandbox, say what it isolates, and look for the programs that skills need.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := m.load(cmd)
			if err != nil {
				return err
			}
			return doctor(cmd.Context(), cmd, cfg)
		},
	}
}

func doctor(ctx context.Context, cmd *cobra.Command, cfg config.Config) error {
	out := cmd.OutOrStdout()
	tw := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(tw, "yardmaster\t%s\t%s %s/%s\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	_, _ = fmt.Fprintf(tw, "data\t%s\t\n", cfg.Data)
	report := app.Doctor(ctx, cfg)
	for _, c := range report.Checks {
		mark := "ok"
		if c.Problem != "" {
			mark = "PROBLEM"
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Name, mark, strings.TrimSpace(c.Found+" "+c.Problem))
	}
	names := make([]string, 0, len(report.Facts))
	for k := range report.Facts {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		_, _ = fmt.Fprintf(tw, "  isolates %s\t%s\t%s\n", k, report.Facts[k].Level, report.Facts[k].Reason)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if report.Failed() {
		return errs.New(errs.Unavailable, "Something is missing; see above.")
	}
	return nil
}
