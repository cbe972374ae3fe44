package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// must is for what can only fail for a flag that is not defined.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// completeWords offers words as values of the flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// completeFrom offers what names says of the file, and nothing when it cannot be
// read.
func completeFrom(e *Env, o *fileOptions, directive cobra.ShellCompDirective, names func(f *spec.File, args []string) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		f, err := loadFile(e, *o, nil)
		if err != nil {
			return nil, directive
		}
		return names(f, args), directive
	}
}

// completeTargets offers the registries of the file.
func completeTargets(e *Env, o *fileOptions) cobra.CompletionFunc {
	return completeFrom(e, o, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, _ []string) (names []string) {
		for _, t := range f.Frame(ecr.LocalRegistry()).Targets {
			names = append(names, t.Name)
		}
		return names
	})
}

// completeRepositories offers the repositories of the file that are not among
// the arguments yet.
func completeRepositories(e *Env, o *fileOptions) cobra.CompletionFunc {
	return completeFrom(e, o, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, args []string) (names []string) {
		for _, r := range f.Desired(ecr.LocalRegistry()).Repositories {
			if !slices.Contains(args, string(r.Name)) {
				names = append(names, string(r.Name))
			}
		}
		return names
	})
}

// completeRepository offers the repositories of the file as the first argument,
// to which a tag may follow.
func completeRepository(e *Env, o *fileOptions) cobra.CompletionFunc {
	all := completeRepositories(e, o)
	return func(cmd *cobra.Command, args []string, word string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			names, _ = all(cmd, nil, word)
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}
