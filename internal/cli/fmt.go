package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

func fmtCommand(e *command.Env) *cobra.Command {
	var (
		o        command.FileOptions
		check    bool
		language string
	)
	languages := []string{string(lang.YAML), string(lang.JSON), string(lang.HCL)}
	cmd := &cobra.Command{
		Use:   "fmt [FILE|FOLDER|-]... [flags]",
		Short: "Format files",
		Long: `Format files in place and print the names of those that changed. The meaning of a
file stays the same, and comments stay where they are. For a folder, all files in
it that -f would read are formatted.

In YAML, only indentation (two spaces, also for lists in mappings), the space
after "-" and ":", line ends, and blank lines (at most one) change. JSON gets a
line for every member and item. HCL and .tfvars look as after terraform fmt.

With --check nothing is written, and the command fails when a file needs
formatting. "-" reads stdin and writes stdout.`,
		Example: `  kontor fmt
  kontor fmt --check kontor.yaml teams/
  kontor fmt --language hcl - < terraform.tfvars`,
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(languages, language) {
				return command.Usagef("--language %s: want %s", language, command.NameList(languages, "or"))
			}
			if slices.Contains(args, "-") {
				if len(args) > 1 || len(o.Files) > 0 {
					return command.Usagef("- (stdin) cannot be combined with files")
				}
				return formatStdin(e, language, check)
			}
			o.Files = append(o.Files, args...)
			sources, err := command.ReadSources(e, o)
			if err != nil {
				return err
			}
			return formatFiles(e, sources, check)
		},
	}
	o.Flags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "write nothing, and fail when a file needs formatting (default false)")
	cmd.Flags().StringVar(&language, "language", languages[0], "the `LANGUAGE` of stdin: yaml, json or hcl")
	command.CompleteWords(cmd, "language", languages...)
	return cmd
}

// formatFiles lays out the files, those that can be.
func formatFiles(e *command.Env, sources []lang.Source, check bool) error {
	var failed []error
	changed := 0
	for _, s := range sources {
		out, err := lang.Format(s)
		switch {
		case err != nil:
			failed = append(failed, err)
			continue
		case bytes.Equal(out, s.Data):
			continue
		}
		if !check {
			if err := overwrite(s.Name, out); err != nil {
				failed = append(failed, err)
				continue
			}
		}
		changed++
		if _, err := fmt.Fprintln(e.Stdout, s.Name); err != nil {
			return err
		}
	}
	if check && changed > 0 {
		failed = append(failed, notFormatted(changed))
	}
	return errors.Join(failed...)
}

func notFormatted(n int) error {
	if n == 1 {
		return errors.New("1 file is not formatted: run kontor fmt")
	}
	return fmt.Errorf("%d files are not formatted: run kontor fmt", n)
}

// maxStdin is above what a file may have, so that its own bound is told.
const maxStdin = 32 << 20

func formatStdin(e *command.Env, language string, check bool) error {
	text, err := io.ReadAll(io.LimitReader(e.Stdin, maxStdin))
	if err != nil {
		return fmt.Errorf("reading stdin: %w", err)
	}
	out, err := lang.Format(lang.Source{Name: "stdin." + language, Data: text})
	if err != nil {
		return err
	}
	if check {
		if !bytes.Equal(out, text) {
			return notFormatted(1)
		}
		return nil
	}
	_, err = e.Stdout.Write(out)
	return err
}

// overwrite replaces the file's text, whole or not at all, and leaves its mode.
func overwrite(name string, text []byte) (err error) {
	// A link stays one: what it leads to is replaced.
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
