package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/exporter"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// exportForms are the arguments of export.
var exportForms = map[string]func([]exporter.Registry) ([]exporter.File, error){
	"terraform": exporter.Terraform, "cloudformation": exporter.CloudFormation, "awscli": exporter.AWSCLI,
}

func exportCommand(e *command.Env) *cobra.Command {
	var (
		o       command.TargetsOptions
		output  string
		offline bool
	)
	cmd := &cobra.Command{
		Use:   "export {terraform|cloudformation|awscli} [flags]",
		Short: "Write the repositories for Terraform, CloudFormation or the AWS CLI",
		Long: `Write the repositories of the file, as they are in its registries, for another
tool. Nothing in a registry is changed, and no file is overwritten.

terraform writes resources with an import block for each, for Terraform and
OpenTofu: their first plan imports all and changes none. cloudformation writes for
each registry a template and a file for create-change-set --resources-to-import.
awscli writes a script, apply.sh, and its input files; it can be run again.

Everything is written that the tool needs to take the repositories over: settings,
resource tags, repository policy and lifecycle policy, and the file's templates,
upstreams and replication. The tags, exclude and deletions of replication, which
only Kontor has, are not written, and no password is.

With --offline no registry is read: the file's settings are written, and ECR's
defaults where it has none.`,
		Example: `  kontor export terraform -o terraform
  kontor export awscli --target prod -o prod --offline`,
		ValidArgs: []string{"terraform", "cloudformation", "awscli"},
		Args:      command.Between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := exportForms[args[0]]
			if !ok {
				return command.Usagef("%s: want terraform, cloudformation or awscli", args[0])
			}
			if err := o.Check(); err != nil {
				return err
			}
			read := fromRegistries
			if offline {
				read = fromFile
			}
			registries, err := read(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			files, err := write(registries)
			if err != nil {
				return err
			}
			if err := writeAll(output, files); err != nil {
				return err
			}
			for _, f := range files {
				if _, err := fmt.Fprintln(e.Stdout, filepath.Join(output, filepath.FromSlash(f.Name))); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.Flags(e, cmd)
	o.ParallelFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", ".", "write below the folder `DIR`")
	cmd.Flags().BoolVar(&offline, "offline", false, "write what the file asks for, without reading a registry (default false)")
	command.Must(cmd.MarkFlagDirname("output"))
	return cmd
}

// fromRegistries reads the file's repositories in its registries.
func fromRegistries(ctx context.Context, e *command.Env, o command.TargetsOptions) (_ []exporter.Registry, err error) {
	r, err := command.OpenFile(ctx, e, o, run.Config{})
	if err != nil {
		return nil, err
	}
	defer command.Closing(&err, r.Close)
	if err := r.Err(); err != nil {
		return nil, err
	}
	found, err := r.Found(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := r.FoundSettings(ctx)
	if err != nil {
		return nil, err
	}
	var out []exporter.Registry
	for i, seen := range found {
		x := exporter.Registry{Target: seen.Target}
		wanted := r.Registries[i].Desired().Wanted
		for _, want := range wanted.Templates {
			if t, ok := settings[i].Templates[want.Prefix]; ok {
				x.Templates = append(x.Templates, t)
			} else {
				e.Notices([]string{fmt.Sprintf("the template for %s is not in registry %s, and is left out: apply the file first, or pass --offline", state.Below(want.Prefix), seen.Target.Name)})
			}
		}
		for _, want := range wanted.Upstreams {
			u, ok := settings[i].Upstreams[want.Prefix]
			switch {
			case want.Removed:
			case ok:
				x.Upstreams = append(x.Upstreams, u)
			default:
				e.Notices([]string{fmt.Sprintf("the upstream rule %s is not in registry %s, and is left out: apply the file first, or pass --offline", want.Prefix, seen.Target.Name)})
			}
		}
		if wanted.Replication != nil {
			if x.Replication = settings[i].Replication; x.Replication == nil {
				e.Notices([]string{fmt.Sprintf("the replication of registry %s is left out: it could not be read: %s", seen.Target.Name, settings[i].ReplicationUnseen)})
			}
		}
		leftOut(e, wanted)
		if x.Target.Local {
			x.Target.Endpoint = "" // of a server that may be elsewhere the next time
		}
		for _, want := range r.Registries[i].Desired().Repositories {
			switch repo, ok := seen.Repositories[want.Name]; {
			case ok:
				x.Repositories = append(x.Repositories, repo)
			case seen.Hidden[want.Name] != "":
				return nil, fmt.Errorf("repository %s %s", want.Name, seen.Hidden[want.Name])
			default:
				e.Notices([]string{fmt.Sprintf("repository %s is not in registry %s, and is left out: apply the file first, or pass --offline", want.Name, seen.Target.Name)})
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// fromFile are the repositories as the file wants them.
func fromFile(_ context.Context, e *command.Env, o command.TargetsOptions) ([]exporter.Registry, error) {
	f, err := command.LoadFile(e, o.FileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	d := f.Desired(ecr.LocalRegistry())
	if v := e.Getenv(command.EnvTarget); len(o.Targets) == 0 && v != "" {
		o.Targets = []string{v}
	}
	targets, err := run.Choose(d.Targets, o.Targets)
	if err != nil {
		return nil, err
	}
	var out []exporter.Registry
	for _, t := range targets {
		of := d.For(t)
		x := exporter.Registry{Target: t, Repositories: of.Repositories, Templates: of.Wanted.Templates, Replication: of.Wanted.Replication}
		for _, u := range of.Wanted.Upstreams {
			if u.Removed {
				continue
			}
			if u.Credential != "" && !state.IsARN(u.Credential) {
				e.Notices([]string{fmt.Sprintf("the upstream rule %s is written without its credential %s, whose ARN only the registry knows: leave out --offline", u.Prefix, u.Credential)})
				u.Credential = ""
			}
			x.Upstreams = append(x.Upstreams, u)
		}
		leftOut(e, of.Wanted)
		out = append(out, x)
	}
	return out, nil
}

// leftOut says what is not written: other tools know neither signers nor the options of
// replication.
func leftOut(e *command.Env, w state.Wanted) {
	if n := len(w.Signers); n > 0 {
		e.Notices([]string{words.Count(n, "signer is", "signers are") + " left out: only Kontor has signers"})
	}
	if r := w.Replication; r != nil && len(r.Options) > 0 {
		e.Notices([]string{"tags, exclude and deletions of replication are left out: only Kontor has them, so other tools copy all images of the rules"})
	}
}

// scriptMode is the mode of a script: it holds no secrets.
const scriptMode = 0o755

// writeAll writes files that do not exist below dir.
func writeAll(dir string, files []exporter.File) error {
	name := func(f exporter.File) string { return filepath.Join(dir, filepath.FromSlash(f.Name)) }
	i := slices.IndexFunc(files, func(f exporter.File) bool {
		_, err := os.Lstat(name(f))
		return !errors.Is(err, fs.ErrNotExist)
	})
	if i >= 0 {
		return fmt.Errorf("%s already exists: write to another folder with -o DIR", name(files[i]))
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(name(f)), 0o777); err != nil {
			return fmt.Errorf("writing %s: %w", name(f), err)
		}
		if err := writeNew(name(f), f.Data); err != nil {
			return err
		}
		if f.Executable {
			if err := os.Chmod(name(f), scriptMode); err != nil {
				return fmt.Errorf("writing %s: %w", name(f), err)
			}
		}
	}
	return nil
}
