// Package cli is the command line: flags become options, options one call of
// another package, and what comes back goes through package render. One file
// holds one command; the larger trees of commands have rooms below this one.
//
// Promises to scripts: exit codes are 0 done, 1 failed, 2 wrong usage, 3
// something is pending (of plan and promote with --exit-code, and of wait); results go to stdout,
// everything else to stderr; nothing is asked unless stdin is a terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/accesscmd"
	"github.com/kontor-registry/kontor/internal/cli/admincmd"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/cli/leasecmd"
	"github.com/kontor-registry/kontor/internal/cli/lifecyclecmd"
	"github.com/kontor-registry/kontor/internal/cli/logincmd"
	"github.com/kontor-registry/kontor/internal/cli/signerscmd"
	"github.com/kontor-registry/kontor/internal/cli/upstreamcmd"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/host"
)

// Main runs kontor as the process was called, its name first, and returns the
// exit code. An interrupt ends the command's context; a second one the process.
func Main(process []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, &command.Env{}, logincmd.Args(process))
}

// Run runs kontor in e with args, without its name, and returns the exit code.
func Run(ctx context.Context, e *command.Env, args []string) int {
	root := New(e)
	running := false // flags and arguments were right, so an error is not about usage
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return command.ExitDone
	}
	code := exitCode(err, running)
	var silent *command.ExitError
	if ctx.Err() != nil {
		err = interrupted(err)
	}
	if !errors.As(err, &silent) {
		for _, line := range messages(err) {
			_, _ = fmt.Fprintln(e.Stderr, line) // nowhere to report to
		}
	}
	if code == command.ExitUsage {
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

func exitCode(err error, running bool) int {
	var (
		usage  *command.UsageError
		server *host.ConfigError
		target *run.TargetError
		silent *command.ExitError
	)
	switch {
	case errors.As(err, &silent):
		return silent.Code
	case errors.As(err, &usage), errors.As(err, &server), errors.As(err, &target), !running:
		return command.ExitUsage
	}
	return command.ExitFailed
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

// New returns the root command, which runs in env.
func New(env *command.Env) *cobra.Command {
	env.Fill()
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
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetUsageTemplate(usageTemplate)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		upCommand(env),
		serveCommand(env),
		consoleCommand(env),
		logincmd.Env(env),
		logincmd.Login(env),
		logincmd.CredentialProvider(env),
		logincmd.DockerCredential(env),
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
		exportCommand(env),
		promoteCommand(env),
		waitCommand(env),
		lifecyclecmd.Command(env),
		accesscmd.Command(env),
		leasecmd.Command(env),
		upstreamcmd.Upstreams(env),
		upstreamcmd.Mirrors(env),
		signerscmd.Signers(env),
		admincmd.Command(env),
	)
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args, c.RunE = cobra.ArbitraryArgs, command.RunGroup // cobra's own helps, whatever the shell
		c.Example = "  source <(kontor completion bash)"
		for _, shell := range c.Commands() {
			shell.Example = "  " + shell.CommandPath()
		}
	}
	return root
}

// flagError is the error for flags that cannot be parsed. A group of commands has no
// flags: where an argument stands before the flag, that is what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && cmd.Annotations["runs"] == "" && len(args) > 0 {
		return command.RunGroup(cmd, args)
	}
	return command.Usagef("%s", err)
}

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
