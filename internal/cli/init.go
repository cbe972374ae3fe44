package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

func initCommand(e *command.Env) *cobra.Command {
	var output, format string
	formats := []string{string(lang.YAML), string(lang.JSON), string(lang.HCL)}
	cmd := &cobra.Command{
		Use:   "init [flags]",
		Short: "Write a starter file",
		Long: `Write a starter file: three repositories with common settings, and comments that
explain them. An existing file is never overwritten.

The extension of the name selects the format: JSON for .json, HCL for .hcl and
.tfvars, and YAML for all others. JSON has no comments.`,
		Example: `  kontor init
  kontor init -o team.hcl
  kontor init --format json -o -`,
		Args: command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			name, language, err := starterName(output, format, formats)
			if err != nil {
				return err
			}
			text, err := spec.Starter(language, starterStack())
			if err != nil {
				return err
			}
			if name == "-" {
				_, err := e.Stdout.Write(text)
				return err
			}
			if err := writeNew(name, text); err != nil {
				return err
			}
			use := ""
			if !slices.Contains(spec.Names(), name) {
				use = " -f " + name
			}
			_, err = fmt.Fprintf(e.Stdout, `Wrote %s. Next:
  kontor up%s        run a registry on this machine, with these repositories
  kontor plan%s      show what kontor apply would change
  kontor explain%s   list the fields
`, name, use, use, strings.Repeat(" ", len(use)))
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write `FILE`, or stdout for - (default kontor.yaml, kontor.json or kontor.hcl)")
	cmd.Flags().StringVar(&format, "format", "", "write `FORMAT`: yaml, json or hcl (default that of FILE, else yaml)")
	command.CompleteWords(cmd, "format", formats...)
	if err := cmd.MarkFlagFilename("output", "yaml", "yml", "json", "hcl", "tfvars"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// starterName chooses the file to write and its language.
func starterName(output, format string, formats []string) (string, lang.Language, error) {
	language := lang.Language(format)
	switch {
	case format == "" && output == "-":
		return output, lang.YAML, nil
	case format == "" && output != "":
		return output, lang.Of(output), nil
	case format == "":
		language = lang.YAML
	case !slices.Contains(formats, format):
		return "", "", command.Usagef("--format %s: want %s", format, command.NameList(formats, "or"))
	case output == "-":
		return output, language, nil
	case output != "" && lang.Of(output) != language:
		return "", "", command.Usagef("%s would be read as %s: choose a name that ends in .%s", output, lang.Of(output), language)
	}
	if output != "" {
		return output, language, nil
	}
	if found := command.DefaultFiles(); len(found) > 0 {
		return "", "", fmt.Errorf("%s already exists: write another file with -o FILE", found[0])
	}
	return "kontor." + string(language), language, nil
}

// starterStack is the name of this folder, as far as the name of a stack may
// have its characters.
func starterStack() string {
	dir, err := os.Getwd()
	if err != nil {
		return "images"
	}
	name := strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.", c) {
			return c
		}
		return '-'
	}, filepath.Base(dir))
	if name = strings.Trim(name, "-_."); name == "" {
		return "images"
	}
	return name
}

// writeNew writes a file that does not exist, whole or not at all.
func writeNew(name string, text []byte) (err error) {
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists: write another file with -o FILE", name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, errors.Unwrap(err))
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(name))
	}
	return nil
}
