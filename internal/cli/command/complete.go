package command

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Must is for what can only fail for a flag that is not defined.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// CompleteWords offers words as values of the flag.
func CompleteWords(cmd *cobra.Command, flag string, words ...string) {
	Must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// CompleteFrom offers what names says of the file, and nothing when it cannot be
// read.
func CompleteFrom(e *Env, o *FileOptions, directive cobra.ShellCompDirective, names func(f *spec.File, args []string) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		f, err := LoadFile(e, *o, nil)
		if err != nil {
			return nil, directive
		}
		return names(f, args), directive
	}
}

// CompleteTargets offers the registries of the file.
func CompleteTargets(e *Env, o *FileOptions) cobra.CompletionFunc {
	return CompleteFrom(e, o, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, _ []string) (names []string) {
		for _, t := range f.Frame(ecr.LocalRegistry()).Targets {
			names = append(names, t.Name)
		}
		return names
	})
}

// CompleteSigners offers the signers of the file.
func CompleteSigners(e *Env, o *FileOptions) cobra.CompletionFunc {
	return CompleteFrom(e, o, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, _ []string) []string {
		return slices.Sorted(maps.Keys(f.Trusted()))
	})
}

// Checked has cmd check its flags, after what it checks already.
func Checked(cmd *cobra.Command, check func() error) {
	before := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if before != nil {
			if err := before(c, args); err != nil {
				return err
			}
		}
		return check()
	}
}

// CompleteRepositories offers the repositories of the file that are not among
// the arguments yet.
func CompleteRepositories(e *Env, o *FileOptions) cobra.CompletionFunc {
	return CompleteFrom(e, o, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, args []string) (names []string) {
		for _, r := range f.Desired(ecr.LocalRegistry()).Repositories {
			if !slices.Contains(args, string(r.Name)) {
				names = append(names, string(r.Name))
			}
		}
		return names
	})
}

// CompleteRepository offers the repositories of the file as the first argument,
// to which a tag may follow.
func CompleteRepository(e *Env, o *FileOptions) cobra.CompletionFunc {
	all := CompleteRepositories(e, o)
	return func(cmd *cobra.Command, args []string, word string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			names, _ = all(cmd, nil, word)
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}
