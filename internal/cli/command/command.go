// Package command has what kontor's commands share, from flags and exit codes to
// reading files, asking, and reaching registries.
package command

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
)

// Exit codes.
const (
	ExitDone    = 0
	ExitFailed  = 1
	ExitUsage   = 2
	ExitPending = 3
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
}

// Fill completes e with what the process has.
func (e *Env) Fill() {
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

// Options are the ways of writing to w.
func (e *Env) Options(w io.Writer) render.Options {
	return render.Options{Color: render.ColorFor(w, e.Getenv)}
}

// UsageError is a command line that cannot be applied as it is.
type UsageError struct{ message string }

func (e *UsageError) Error() string { return e.message }

// Usagef is an error about the command line.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}

// ExitError ends the command with a code and without a message: what there is
// to say has been said.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Exit is an error that only ends the command with a code.
func Exit(code int) error { return &ExitError{code} }

// Closing calls f at the end of a function and keeps its error, unless there
// is one already.
func Closing(err *error, f func() error) {
	if cerr := f(); *err == nil {
		*err = cerr
	}
}

// RunGroup is what a command that only holds others does: without an argument
// it helps, and one that is not a command of its is wrong usage.
func RunGroup(cmd *cobra.Command, args []string) error {
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
	return &UsageError{message}
}

// Between wants least to most arguments.
func Between(least, most int) cobra.PositionalArgs {
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
		return Usagef("%s takes %s argument%s, and got %d: %s", cmd.CommandPath(), want, plural, len(args), cmd.UseLine())
	}
}

// NoArgs refuses arguments. Files of repositories are what most are given for.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Lookup("file") != nil && filepath.Ext(args[0]) != "" {
		return Usagef("%s takes no arguments: to name a file, use %s -f %s", cmd.CommandPath(), cmd.CommandPath(), args[0])
	}
	return Usagef("%s takes no arguments: leave out %q", cmd.CommandPath(), args[0])
}

// AnnotationPending is the annotation of a command that says what exit code 3
// means to it.
const AnnotationPending = "pending"

// AnnotationRuns is the annotation of a command that does something itself and has
// commands below it.
const AnnotationRuns = "runs"
