package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// outputFormats are the values of outputs --format.
var outputFormats = []string{"text", "json", "dotenv", "env", "github"}

// envGitHubOutput names the file that a step of GitHub Actions writes its
// outputs to.
const envGitHubOutput = "GITHUB_OUTPUT"

func outputsCommand(e *command.Env) *cobra.Command {
	var (
		o      command.TargetsOptions
		asJSON bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "outputs [REPOSITORY...] [flags]",
		Short: "Print registry hosts, repository URIs and ARNs",
		Long: `Print the host of each registry in the file, and the URI and ARN of each
repository, or only of the repositories given. For AWS, they are computed from the
file, and no registry is read. The host of a local registry (a file without
registries:) is read from --data. To get FIPS or dual-stack hosts of AWS, set
AWS_USE_FIPS_ENDPOINT or AWS_USE_DUALSTACK_ENDPOINT, or use_fips_endpoint or
use_dualstack_endpoint in the profile.

The formats dotenv and env write lines KEY=value: KONTOR_REGISTRY, KONTOR_ACCOUNT,
KONTOR_REGION, and for each repository KONTOR_URI_NAME and KONTOR_ARN_NAME. With
several registries, dotenv writes KONTOR_TARGET_REGISTRY and so on, and env needs
--target. The format github writes the outputs registry, account, region, uri_NAME
and arn_NAME, with several registries TARGET_registry and so on, and json with
everything. It appends them to $GITHUB_OUTPUT if that is set.`,
		Example: `  kontor outputs --json | jq -r '.registries[].repositories[].uri'
  kontor outputs --format dotenv > images.env`,
		ValidArgsFunction: command.CompleteRepositories(e, &o.FileOptions),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				if cmd.Flags().Changed("format") && format != "json" {
					return command.Usagef("--json and --format %s cannot be combined", format)
				}
				format = "json"
			}
			if !slices.Contains(outputFormats, format) {
				return command.Usagef("unknown format %q: want %s", format, command.NameList(outputFormats, "or"))
			}
			all, err := readOutputs(cmd.Context(), e, o, args)
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return render.JSON(e.Stdout, all)
			case "env":
				if len(all.Registries) > 1 {
					return command.Usagef("the file has %d registries: choose one with --target, or use --format dotenv", len(all.Registries))
				}
				return render.OutputsDotenv(e.Stdout, all)
			case "dotenv":
				return render.OutputsDotenv(e.Stdout, all)
			case "github":
				return githubOutputs(e, all)
			}
			return render.Outputs(e.Stdout, all, e.Options(e.Stdout))
		},
	}
	o.Flags(e, cmd)
	command.JSONFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&format, "format", "text", "write `FORMAT`: "+command.NameList(outputFormats, "or"))
	command.CompleteWords(cmd, "format", outputFormats...)
	return cmd
}

// githubOutputs appends to the file that GitHub Actions names.
func githubOutputs(e *command.Env, all rollout.Outputs) error {
	if name := e.Getenv(envGitHubOutput); name != "" {
		f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("%s: %w", envGitHubOutput, err)
		}
		return errors.Join(render.OutputsGitHub(f, all), f.Close())
	}
	return render.OutputsGitHub(e.Stdout, all)
}

// readOutputs collects the targets that o chooses, with the repositories only, or
// all when it is empty.
func readOutputs(ctx context.Context, e *command.Env, o command.TargetsOptions, only []string) (rollout.Outputs, error) {
	f, err := command.LoadFile(e, o.FileOptions, e.Stderr)
	if err != nil {
		return rollout.Outputs{}, err
	}
	d := f.Desired(ecr.LocalRegistry())
	if v := e.Getenv(command.EnvTarget); len(o.Targets) == 0 && v != "" {
		o.Targets = []string{v}
	}
	targets, err := run.Choose(d.Targets, o.Targets)
	if err != nil {
		return rollout.Outputs{}, err
	}
	all := rollout.Outputs{Registries: []rollout.RegistryOutput{}}
	missing := slices.Clone(only)
	for _, t := range targets {
		var names []ecr.RepositoryName
		for _, r := range d.For(t).Repositories {
			if len(only) == 0 || slices.Contains(only, string(r.Name)) {
				names = append(names, r.Name)
			}
			missing = slices.DeleteFunc(missing, func(n string) bool { return n == string(r.Name) })
		}
		id, at, err := hostOf(ctx, e, t, o.Data)
		if err != nil {
			return rollout.Outputs{}, err
		}
		all.Registries = append(all.Registries, rollout.NewRegistryOutput(t.Name, id, at, names))
	}
	if len(missing) > 0 {
		return rollout.Outputs{}, fmt.Errorf("there is no repository %s in the file for these registries", strings.Join(missing, ", "))
	}
	return all, nil
}

// hostOf is the id and the docker host of t.
func hostOf(ctx context.Context, e *command.Env, t state.Target, data string) (ecr.RegistryID, string, error) {
	if t.Local {
		return localHost(ctx, e, data)
	}
	if u, err := url.Parse(t.Endpoint); err == nil && u.Host != "" {
		// A server in place of AWS has one port for both.
		return t.Registry, u.Host, nil
	}
	endpoints, err := deploy.EndpointsOf(ctx, e.Getenv, t.Profile)
	if err != nil {
		return ecr.RegistryID{}, "", fmt.Errorf("registry %s: %w", t.Name, err)
	}
	return t.Registry, endpoints.Host(t.Registry), nil
}

// localHost asks the local registry for its id and host.
func localHost(ctx context.Context, e *command.Env, data string) (_ ecr.RegistryID, _ string, err error) {
	dir, err := e.DataDir(data)
	if err != nil {
		return ecr.RegistryID{}, "", err
	}
	conn, end, err := host.Reach(ctx, dir)
	if err != nil {
		return ecr.RegistryID{}, "", err
	}
	defer command.Closing(&err, end)
	return conn.Registry, conn.Host, nil
}
