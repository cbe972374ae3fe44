package cli_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kontor-registry/kontor/internal/cli"
	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/cli/command"
)

var update = flag.Bool("update", false, "regenerate docs/commands.md")

const commandReferenceHead = `# Commands

This page is generated from the commands; ` + "`kontor COMMAND -h`" + ` prints the same text.

Flags take precedence over environment variables, and environment variables over
defaults. Results go to stdout, everything else to stderr. Colours are used on
terminals only, and ` + "`NO_COLOR`" + ` turns them off. Replace words in capitals.
`

// TestCommandReference holds docs/commands.md against the commands.
func TestCommandReference(t *testing.T) {
	file, err := filepath.Abs("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	want := commandReference(clitest.New(t))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/commands.md is out of date: run `go test ./internal/cli -run TestCommandReference -update` (-commands +file):\n%s", diff)
	}
}

// commandReference is the page: what each command is for, and its help.
func commandReference(s *clitest.Shell) string {
	var list, sections strings.Builder
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		path := c.CommandPath()
		fmt.Fprintf(&list, "- [`%s`](#%s): %s\n", path, strings.ReplaceAll(path, " ", "-"), c.Short)
		help := s.Want(s.Run(append(strings.Fields(path)[1:], "-h")...), 0).Out
		fmt.Fprintf(&sections, "\n## %s\n\n```text\n%s\n```\n", path, strings.TrimSpace(help))
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	for _, c := range cli.New(&command.Env{}).Commands() {
		walk(c)
	}
	return commandReferenceHead + "\n" + list.String() + sections.String()
}

// TestFlagsSayWhatTheyTake: the help of a flag that takes a value has a word in
// capitals for it, and each command is in the reference once.
func TestFlagsSayWhatTheyTake(t *testing.T) {
	placeholder := regexp.MustCompile("`[A-Z][A-Z0-9:=|./-]*`")
	seen := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if seen[c.CommandPath()] {
			t.Errorf("%s is there twice", c.CommandPath())
		}
		seen[c.CommandPath()] = true
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "bool" && !placeholder.MatchString(f.Usage) {
				t.Errorf("%s --%s: no placeholder for the value: %q", c.CommandPath(), f.Name, f.Usage)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(cli.New(&command.Env{}))
	page := commandReference(clitest.New(t))
	for name := range seen {
		if n := strings.Count(page, "\n## "+name+"\n"); name != "kontor" && n != 1 {
			t.Errorf("%s is in the reference %d times", name, n)
		}
	}
}
