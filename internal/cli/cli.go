// Package cli is the command line: flags become options, options one call of
// another package, and what comes back goes through package render. One file
// holds one command.
//
// Promises to scripts: exit codes are 0 done, 1 failed, 2 wrong usage, 3
// something is pending (of plan and promote with --exit-code, and of wait); results go to stdout,
// everything else to stderr; nothing is asked unless stdin is a terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
)

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPending = 3
)

// Env is what a command gets from the process. The zero value of a field is
// replaced by the process's own.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	// IsTerminal tells whether one of the three streams is a terminal.
	IsTerminal func(stream any) bool

	// running: flags and arguments were right, so an error is not about usage.
	running bool
}

func (e *Env) fill() {
	if e.Stdin == nil {
		e.Stdin = os.Stdin
	}
	if e.Stdout == nil {
		e.Stdout = os.Stdout
	}
	if e.Stderr == nil {
		e.Stderr = os.Stderr
	}
	if e.Getenv == nil {
		e.Getenv = os.Getenv
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.IsTerminal == nil {
		e.IsTerminal = render.IsTerminal
	}
}

// options are the ways of writing to w.
func (e *Env) options(w io.Writer) render.Options {
	return render.Options{Color: render.ColorFor(w, e.Getenv)}
}

// Main runs kontor with args, without the program's name, and returns the exit
// code. An interrupt ends the command's context; a second one the process.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return (&Env{}).Run(ctx, args)
}

// Run runs kontor in e and returns the exit code.
func (e *Env) Run(ctx context.Context, args []string) int {
	root := New(e)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := e.code(err)
	var silent *exitError
	if ctx.Err() != nil {
		err = interrupted(err)
	}
	if !errors.As(err, &silent) {
		for _, line := range messages(err) {
			_, _ = fmt.Fprintln(e.Stderr, line) // nowhere to report to
		}
	}
	if code == exitUsage {
		_, _ = fmt.Fprintf(e.Stderr, "see %s -h\n", cmd.CommandPath())
	}
	return code
}

// interrupted says once that the command was interrupted, in place of every
// error that comes of it.
func interrupted(err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	rest := []error{errors.New("interrupted")}
	var walk func(error)
	walk = func(err error) {
		if parts := joined(err); parts != nil {
			for _, e := range parts {
				walk(e)
			}
		} else if !errors.Is(err, context.Canceled) {
			rest = append(rest, err)
		}
	}
	walk(err)
	return errors.Join(rest...)
}

func (e *Env) code(err error) int {
	var (
		usage  *usageError
		server *host.ConfigError
		target *run.TargetError
		silent *exitError
	)
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage), errors.As(err, &server), errors.As(err, &target), !e.running:
		return exitUsage
	}
	return exitFailed
}

// messages are the lines that err is reported in: an error of a file is a
// line of its own that begins with its place, anything else belongs to kontor.
func messages(err error) []string {
	if parts := joined(err); parts != nil {
		var out []string
		for _, e := range parts {
			out = append(out, messages(e)...)
		}
		return out
	}
	if place, ok := err.(*spec.Error); ok {
		return []string{place.Error()}
	}
	return []string{"kontor: " + strings.ReplaceAll(err.Error(), "\n", "\nkontor: ")}
}

// joined are the errors that err is nothing but a list of, as errors.Join and
// spec.Errors are; nil for an error that says something itself, such as one
// that wraps several.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	parts := list.Unwrap()
	texts := make([]string, len(parts))
	for i, e := range parts {
		texts[i] = e.Error()
	}
	if err.Error() != strings.Join(texts, "\n") {
		return nil
	}
	return parts
}

// usageError is a command line that cannot be applied as it is.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// exitError ends the command with a code and without a message: what there is
// to say has been said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// closing calls f at the end of a function and keeps its error, unless there
// is one already.
func closing(err *error, f func() error) {
	if cerr := f(); *err == nil {
		*err = cerr
	}
}

// runGroup is what a command that only holds others does: without an argument
// it helps, and one that is not a command of its is wrong usage.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	message := fmt.Sprintf("unknown command %q", args[0])
	if cmd.HasParent() {
		message += fmt.Sprintf(" for %q", cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		slices.Sort(s) // the order of cobra's list depends on what was asked before
		message += fmt.Sprintf(", did you mean %s?", strings.Join(s, " or "))
	}
	return &usageError{message}
}

// between wants least to most arguments.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if least <= len(args) && len(args) <= most {
			return nil
		}
		want := fmt.Sprint("at most ", most)
		if least == most {
			want = fmt.Sprint(most)
		}
		plural := "s"
		if most == 1 {
			plural = ""
		}
		return usagef("%s takes %s argument%s, and got %d: %s", cmd.CommandPath(), want, plural, len(args), cmd.UseLine())
	}
}

// noArgs refuses arguments. Files of repositories are what most are given for.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Lookup("file") != nil && filepath.Ext(args[0]) != "" {
		return usagef("%s takes no arguments: to name a file, use %s -f %s", cmd.CommandPath(), cmd.CommandPath(), args[0])
	}
	return usagef("%s takes no arguments: leave out %q", cmd.CommandPath(), args[0])
}

// New returns the root command, which runs in env.
func New(env *Env) *cobra.Command {
	env.fill()
	root := &cobra.Command{
		Use:   "kontor",
		Short: "Deploy and run container image repositories",
		Long: `Kontor deploys container image repositories from one file, to Amazon ECR and
to its own ECR-compatible registry.`,
		Example: `  kontor up                      # a registry on this machine, with the file's repositories
  kontor plan -f kontor.yaml     # what apply would change
  kontor apply -f kontor.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Only so that an unknown command is reported in our words.
		Args:             cobra.ArbitraryArgs,
		RunE:             runGroup,
		PersistentPreRun: func(*cobra.Command, []string) { env.running = true },
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	root.AddCommand(
		upCommand(env),
		envCommand(env),
		loginCommand(env),
		credentialProviderCommand(env),
		dockerCredentialCommand(env),
		versionCommand(env),
		initCommand(env),
		validateCommand(env),
		fmtCommand(env),
		schemaCommand(env),
		explainFieldCommand(env),
		renderCommand(env),
		planCommand(env),
		applyCommand(env),
		destroyCommand(env),
		outputsCommand(env),
		importCommand(env),
		promoteCommand(env),
		waitCommand(env),
		lifecycleCommand(env),
		accessCommand(env),
		leaseCommand(env),
		adminCommand(env),
	)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args, c.RunE = cobra.ArbitraryArgs, runGroup // cobra's own helps, whatever the shell
		c.Example = "  source <(kontor completion bash)"
		for _, shell := range c.Commands() {
			shell.Example = "  " + shell.CommandPath()
		}
	}
	return root
}

// annotationPending is the annotation of a command that says what exit code 3
// means to it.
const annotationPending = "pending"

// annotationRuns is the annotation of a command that does something itself and has
// commands below it.
const annotationRuns = "runs"

// usageTemplate ends with the exit codes and an example.
const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}{{if index .Annotations "runs"}}
  {{.UseLine}}{{end}}
  {{.CommandPath}} COMMAND{{else if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

Exit codes:
  0 done, 1 failed, 2 wrong usage{{if .Flags.Lookup "exit-code"}}, 3 changes are pending (with --exit-code){{end}}{{with index .Annotations "pending"}}, 3 {{.}}{{end}}{{if .HasExample}}

Example:
{{.Example}}{{end}}
`
