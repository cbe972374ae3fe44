package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/importer"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

func importCommand(e *command.Env) *cobra.Command {
	var (
		o              importOptions
		output, format string
	)
	cmd := &cobra.Command{
		Use:   "import [flags] [SOURCE...]",
		Short: "Write a file for repositories that exist, or that another tool declares",
		Long: `Read the repositories of a registry and write the shortest file that means the
same. Nothing in the registry is changed. Unless --repository is given, its
creation templates, pull-through cache rules and replication are written, too.

The registry is the local one of --data, with --account and --region one on AWS,
or with -f and --target an entry of a file's registries.

With SOURCE, no registry is read, but files of another tool: a state of Terraform
or OpenTofu (terraform.tfstate), the output of terraform show -json for a state or a
plan (- reads it from stdin), Terraform code (.tf files, .tfvars files or a folder),
and CloudFormation templates in JSON or YAML. Of modules, terraform-aws-modules/ecr,
cloudposse/ecr, lgallard/ecr and Panfactum's aws_ecr_repos are known. What code does
not say as a value is not guessed: a repository whose name, tag mutability or
policies are not known is left out, with the place. --account and --region, or -f and
--target, say which registry the files are for; states have it.

Policies become fields such as keep_last_images and additional_pull_account_ids if
these have the same effect on images and on who may pull, push, delete or change
the repository. Otherwise they are written as they are. If most repositories share
a setting, it goes into defaults. With --exact, a policy is written as it is
wherever a plan would show a difference, if only in a description.

Notices say what the file does not: what is left out, and who gains or
loses actions that only read.`,
		Example: `  kontor import --account 111111111111 --region us-east-2 -o kontor.yaml
  kontor import --data ./registry --repository 'team/*'
  kontor import -f kontor.yaml --target prod --exact
  terraform show -json | kontor import -o kontor.yaml -
  kontor import --account 111111111111 --region us-east-2 ./infrastructure`,
		RunE: func(cmd *cobra.Command, args []string) error {
			language, err := importLanguage(output, format)
			if err != nil {
				return err
			}
			read := func() (importer.File, error) { return importFile(cmd.Context(), e, o, language) }
			if len(args) > 0 {
				read = func() (importer.File, error) { return importSources(e, o, args, language) }
			}
			f, err := read()
			notices := make([]string, len(f.Notices))
			for i, n := range f.Notices {
				notices[i] = n.String()
			}
			e.Notices(notices)
			if err != nil {
				return err
			}
			if output == "" || output == "-" {
				_, err := e.Stdout.Write(f.Text)
				return err
			}
			if err := writeNew(output, f.Text); err != nil {
				return err
			}
			holds := words.Count(f.Repositories, "repository", "repositories")
			if f.Settings > 0 {
				holds += " and " + words.Count(f.Settings, "registry setting", "registry settings")
			}
			_, err = fmt.Fprintf(e.Stderr, "%s is written, with %s: kontor plan -f %s shows what applying it would change\n", output, holds, output)
			return err
		},
	}
	o.flags(e, cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write `FILE`, which must not exist, or stdout for - (default stdout)")
	cmd.Flags().StringVar(&format, "format", "", "write `FORMAT`: yaml, json or hcl (default that of FILE, else yaml)")
	command.CompleteWords(cmd, "format", formats()...)
	command.Must(cmd.MarkFlagFilename("output", "yaml", "yml", "json", "hcl", "tfvars"))
	return cmd
}

// formats are the languages of files.
func formats() []string { return []string{string(lang.YAML), string(lang.JSON), string(lang.HCL)} }

// importLanguage is the language to write.
func importLanguage(output, format string) (lang.Language, error) {
	language := lang.YAML
	if output != "" && output != "-" {
		language = lang.Of(output)
	}
	switch {
	case format == "":
		return language, nil
	case !slices.Contains(formats(), format):
		return "", command.Usagef("--format %s: want %s", format, command.NameList(formats(), "or"))
	case output != "" && output != "-" && string(language) != format:
		return "", command.Usagef("%s would be read as %s: choose a name that ends in .%s", output, language, format)
	}
	return lang.Language(format), nil
}

// importOptions are the flags that say what to read, and how.
type importOptions struct {
	command.TargetOptions
	account, region, profile, roleARN, endpoint string
	repositories                                []string
	exact                                       bool
	stack                                       string
}

func (o *importOptions) flags(e *command.Env, cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&o.Files, "file", "f", nil, "read the registry of `FILE` that --target names; may be given several times (default none)")
	command.Must(cmd.MarkFlagFilename("file", "yaml", "yml", "json", "hcl", "tfvars"))
	command.DataFlag(e, cmd, &o.Data)
	command.TargetFlag(e, cmd, &o.Target, &o.FileOptions, "with -f, read the entry `NAME` of the file's registries (default the only one)")
	cmd.Flags().StringVar(&o.account, "account", "", "read a registry of the AWS account `ID`; needs --region (default none)")
	cmd.Flags().StringVar(&o.region, "region", "", "with --account, read that of `REGION` (default none)")
	cmd.Flags().StringVar(&o.profile, "profile", "", "with --account, take credentials from the `PROFILE` of the AWS configuration (default none)")
	cmd.Flags().StringVar(&o.roleARN, "role-arn", "", "with --account, assume the role `ARN` (default none)")
	cmd.Flags().StringVar(&o.endpoint, "endpoint", "", "with --account, call `URL` in place of AWS (default none)")
	cmd.Flags().StringArrayVar(&o.repositories, "repository", nil, "read only repositories whose names match `GLOB`, in which * is any characters; may be given several times (default all)")
	cmd.Flags().BoolVar(&o.exact, "exact", false, "write policies as they are wherever a plan would show a difference (default false)")
	cmd.Flags().StringVar(&o.stack, "stack", "", "write the stack `NAME` (default that of the repositories; where they have none, that of FILE, or the name of this folder)")
}

// importFile reads what o says and makes a file of it.
func importFile(ctx context.Context, e *command.Env, o importOptions, language lang.Language) (_ importer.File, err error) {
	if err := o.checkGlobs(); err != nil {
		return importer.File{}, err
	}
	opts := importer.Options{Language: language, Exact: o.exact, Stack: o.stack, NewStack: starterStack()}
	cfg := run.Config{One: true}
	if cfg.File, err = o.file(e, &opts); err != nil {
		return importer.File{}, err
	}
	if o.Target != "" {
		cfg.Targets = []string{o.Target}
	}
	r, err := command.OpenRun(ctx, e, cfg, o.Data)
	if err != nil {
		return importer.File{}, err
	}
	defer command.Closing(&err, r.Close)
	if err := r.Err(); err != nil {
		return importer.File{}, err
	}
	seen, err := r.Look(ctx, o.wants)
	if err != nil {
		return importer.File{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(seen.Hidden)) {
		e.Notices([]string{fmt.Sprintf("repository %s: left out: %s", name, seen.Hidden[name])})
	}
	if len(o.repositories) == 0 {
		if seen.Settings, err = r.Settings(ctx); err != nil {
			return importer.File{}, err
		}
		if why := seen.Settings.TemplatesUnseen; why != "" {
			e.Notices([]string{"the templates of the registry are left out: " + why})
		}
		if why := seen.Settings.UpstreamsUnseen; why != "" {
			e.Notices([]string{"the upstreams of the registry are left out: " + why})
		}
		if why := seen.Settings.ReplicationUnseen; why != "" {
			e.Notices([]string{"the replication of the registry is left out: " + why})
		}
	}
	f, err := writeImport(seen, opts)
	if err == nil && f.Repositories+f.Settings == 0 {
		return f, o.nothing(len(seen.Hidden) > 0)
	}
	return f, err
}

// writeImport makes the file of what was seen.
func writeImport(seen state.Observed, opts importer.Options) (importer.File, error) {
	f, err := importer.Write(seen, opts)
	if stacks, ok := err.(*importer.StackError); ok {
		return f, fmt.Errorf("%w: choose one with --stack, or repositories with --repository", stacks)
	}
	return f, err
}

// file is the file with the registry that the flags name; nil when they name none.
// Its stack is the one to write.
func (o *importOptions) file(e *command.Env, opts *importer.Options) (*spec.File, error) {
	from, err := o.registry()
	if err != nil || from != nil || len(o.Files) == 0 {
		return from, err
	}
	if from, err = command.LoadFile(e, o.FileOptions, e.Stderr); err != nil {
		return nil, err
	}
	if name, explicit := from.Stack(); explicit {
		opts.NewStack = name
	}
	return from, nil
}

// nothing says why there is nothing to write; hidden repositories were named.
func (o *importOptions) nothing(hidden bool) error {
	switch {
	case hidden:
		return errors.New("nothing to import: no repository could be read")
	case len(o.repositories) > 0:
		return fmt.Errorf("nothing to import: the registry has no repository that matches %s", words.And(o.repositories))
	}
	return errors.New("nothing to import: the registry has no repositories. Check --data, --account and --region")
}

func (o *importOptions) checkGlobs() error {
	for _, glob := range o.repositories {
		if !fields.RepositoryGlob.MatchString(glob) {
			return command.Usagef("--repository %s: want the name of a repository, with * for any characters", glob)
		}
	}
	return nil
}

// wants reports whether a repository is to be read.
func (o *importOptions) wants(name ecr.RepositoryName) bool {
	return len(o.repositories) == 0 || slices.ContainsFunc(o.repositories, func(glob string) bool { return ecr.MatchWildcard(glob, string(name)) })
}

// registry is a file with the registry that the flags describe; nil when they
// describe none.
func (o *importOptions) registry() (*spec.File, error) {
	given := [][2]string{{"account", o.account}, {"region", o.region}, {"role_arn", o.roleARN}, {"profile", o.profile}, {"endpoint", o.endpoint}}
	if !slices.ContainsFunc(given, func(f [2]string) bool { return f[1] != "" }) {
		if o.Target != "" && len(o.Files) == 0 {
			return nil, command.Usagef("--target names a registry of a file: pass -f FILE as well")
		}
		return nil, nil
	}
	switch {
	case o.account == "" || o.region == "":
		return nil, command.Usagef("a registry of AWS is an account in a region: pass --account and --region")
	case len(o.Files) > 0 || o.Data != "" || o.Target != "":
		return nil, command.Usagef("--account cannot be combined with --file, --target and --data: choose one registry")
	}
	entry := lang.NewMapping().Add("name", lang.NewText(o.region))
	for _, f := range given {
		if f[1] != "" {
			entry.Add(f[0], lang.NewText(f[1]))
		}
	}
	text, err := lang.Print(lang.JSON, lang.NewMapping().Add("registries", lang.NewList(entry)).Add("ecr_repositories", lang.NewMapping()))
	if err != nil {
		return nil, err
	}
	f, _, err := spec.Load(spec.Source{Name: "flags.json", Data: text})
	if errs, ok := err.(spec.Errors); ok && len(errs) > 0 {
		field := strings.TrimPrefix(errs[0].Field, "registries[0].")
		return nil, command.Usagef("--%s: %s", strings.ReplaceAll(field, "_", "-"), errs[0].Message)
	}
	return f, err
}
