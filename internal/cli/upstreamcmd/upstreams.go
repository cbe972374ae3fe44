// Package upstreamcmd is kontor upstreams and kontor mirrors: the pull-through caches
// of a registry, and the configuration of what pulls through them.
package upstreamcmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Upstreams is kontor upstreams.
func Upstreams(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upstreams",
		Short: "Manage pull-through caches of other registries",
		Long: `Manage pull-through caches. A rule ties a prefix of repository names to another
registry: an image that is pulled below the prefix for the first time comes from
there and stays. The guide docs/guides/upstreams.md shows how.`,
		Example: `  kontor upstreams create quay quay.io
  kontor upstreams list`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(listCommand(e), createCommand(e), deleteCommand(e), validateCommand(e), refreshCommand(e), loginCommand(e), logoutCommand(e))
	return cmd
}

// said is shown for a command that has one line to say.
func said(v any, format string, args ...any) command.Shown {
	return command.Shown{JSON: v, Text: func(w io.Writer, _ render.Options) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}}
}

func listCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List the pull-through cache rules and credentials",
		Long:    "List the pull-through cache rules of the registry, and the names of its credentials\nfor other registries. What a credential holds is never shown.",
		Example: "  kontor upstreams list", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var rules admin.ListUpstreamsResponse
		if err := c.Call(ctx, "ListUpstreams", admin.ListUpstreamsRequest{}, &rules); err != nil {
			return command.Shown{}, err
		}
		var secrets admin.ListSecretsResponse
		if err := c.Call(ctx, "ListSecrets", admin.ListSecretsRequest{}, &secrets); err != nil {
			return command.Shown{}, err
		}
		all := struct {
			admin.ListUpstreamsResponse
			admin.ListSecretsResponse
		}{rules, secrets}
		return command.Shown{JSON: all, Text: func(w io.Writer, o render.Options) error {
			return render.Upstreams(w, rules.Upstreams, secrets.Secrets, o)
		}}, nil
	})
}

func createCommand(e *command.Env) *cobra.Command {
	var in admin.CreateUpstreamRequest
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "create PREFIX HOST [flags]", Short: "Create a pull-through cache rule",
		Long: `Create a pull-through cache rule. What is pulled from repositories that begin with
PREFIX and a slash comes from the registry HOST when it is not there yet. PREFIX is
ROOT for all repositories that no other rule is for.

HOST is a registry that AWS lists for pull-through caches, such as docker.io,
ghcr.io, quay.io, registry.k8s.io, public.ecr.aws or registry.gitlab.com. Other
registries must be among the upstreams of the server's configuration.`,
		Example: `  kontor upstreams create docker-hub docker.io --credential hub
  kontor upstreams create quay quay.io`,
		Args: command.Between(2, 2),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		in.Prefix, in.URL = args[0], args[1]
		var out admin.CreateUpstreamResponse
		err := c.Call(ctx, "CreateUpstream", in, &out)
		path := out.Upstream.Prefix + "/"
		if out.Upstream.Prefix == "ROOT" {
			path = ""
		}
		return said(out, "%s/%s... now holds what is pulled from %s", c.Host, path, out.Upstream.URL), err
	})
	cmd.Flags().StringVar(&in.Secret, "credential", "", "log in to HOST with the credential `NAME` of kontor upstreams login (default none)")
	cmd.Flags().StringVar(&in.UpstreamPrefix, "upstream-prefix", "", "map PREFIX to `NAME`/ in HOST instead of to all of it (default ROOT)")
	return cmd
}

// oneCommand is a command that makes one call about what its argument names, and says
// what came of it.
func oneCommand[Response any](e *command.Env, cmd *cobra.Command, op string, request func(name string) any, done func(name string, out Response) command.Shown) *cobra.Command {
	cmd.Args = command.Between(1, 1)
	return command.AdminCall(e, cmd, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out Response
		if err := c.Call(ctx, op, request(args[0]), &out); err != nil {
			return command.Shown{}, err
		}
		return done(args[0], out), nil
	})
}

func deleteCommand(e *command.Env) *cobra.Command {
	return oneCommand(e, &cobra.Command{
		Use: "delete PREFIX [flags]", Short: "Delete a pull-through cache rule",
		Long:    "Delete a pull-through cache rule. The repositories and images that came by it stay.",
		Example: "  kontor upstreams delete quay",
	}, "DeleteUpstream", func(prefix string) any { return admin.DeleteUpstreamRequest{Prefix: prefix} },
		func(prefix string, out admin.DeleteUpstreamResponse) command.Shown {
			return said(out, "deleted the rule %s; what came by it stays", prefix)
		})
}

func validateCommand(e *command.Env) *cobra.Command {
	return oneCommand(e, &cobra.Command{
		Use: "validate PREFIX [flags]", Short: "Reach the registry of a rule and log in to it",
		Long:    "Let the server reach the registry of a rule and log in to it. The exit code is 1 if\nthat fails.",
		Example: "  kontor upstreams validate docker-hub",
	}, "ValidateUpstream", func(prefix string) any { return admin.ValidateUpstreamRequest{Prefix: prefix} },
		func(prefix string, out admin.ValidateUpstreamResponse) command.Shown {
			if !out.IsValid {
				s := said(out, "%s: %s", prefix, out.Failure)
				s.Code = command.ExitFailed
				return s
			}
			return said(out, "%s: %s answers and accepts the login", prefix, out.Upstream.URL)
		})
}

func refreshCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "refresh REPOSITORY[:TAG] [flags]", Short: "Compare cached tags with their upstream again",
		Long: `Make the next pull of each tag of a cached repository compare the tag with its
upstream, however short ago that was done. With a tag, compare that tag now, and fetch
the image if it has changed.`,
		Example: `  kontor upstreams refresh docker-hub/library/nginx:latest
  kontor upstreams refresh docker-hub/library/nginx`,
		Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		name, tag, _ := strings.Cut(args[0], ":")
		var out admin.RefreshUpstreamResponse
		if err := c.Call(ctx, "RefreshUpstream", admin.RefreshUpstreamRequest{RepositoryName: name, ImageTag: tag}, &out); err != nil {
			return command.Shown{}, err
		}
		switch {
		case tag == "":
			return said(out, "the next pulls from %s compare their tags with %s", name, out.Upstream), nil
		case out.DigestBefore == out.DigestAfter:
			return said(out, "%s is the same at %s", args[0], out.Upstream), nil
		}
		return said(out, "%s is now %s", args[0], out.DigestAfter), nil
	})
}

// maxPassword bounds what is read of a password.
const maxPassword = 64 << 10

func loginCommand(e *command.Env) *cobra.Command {
	var user, file, variable string
	cmd := command.AdminCall(e, &cobra.Command{
		Use: "login NAME --username USER [flags]", Short: "Store a credential for another registry",
		Long: `Store a credential that rules log in to their registry with. The password, or token,
is read from standard input, from a file or from an environment variable, and never
from an argument. The server seals it with its master key; nothing shows it again.

A credential that exists is replaced, and its rules use the new one from then on. The
ARN that is printed is the credentialArn of CreatePullThroughCacheRule.`,
		Example: `  kontor upstreams login hub --username ann --password-file hub.token
  kontor upstreams login hub --username ann < hub.token`,
		Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		password, err := readPassword(e, file, variable)
		if err != nil {
			return command.Shown{}, err
		}
		var out admin.PutSecretResponse
		err = c.Call(ctx, "PutSecret", admin.PutSecretRequest{Name: args[0], Username: user, AccessToken: password}, &out)
		return said(out, "%s", out.Secret.ARN), err
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if user == "" {
			return command.Usagef("--username is required")
		}
		if file != "" && variable != "" {
			return command.Usagef("--password-file and --password-env: give one of them")
		}
		return nil
	}
	f := cmd.Flags()
	f.StringVar(&user, "username", "", "log in as `USER` (required)")
	f.StringVar(&file, "password-file", "", "read the password from `FILE` (default standard input)")
	f.StringVar(&variable, "password-env", "", "read the password from the environment variable `NAME` (default standard input)")
	return cmd
}

// readPassword reads a password without the end of its line.
func readPassword(e *command.Env, file, variable string) (string, error) {
	var text []byte
	var err error
	switch {
	case variable != "":
		text = []byte(e.Getenv(variable))
	case file != "":
		text, err = os.ReadFile(filepath.Clean(file))
	default:
		text, err = io.ReadAll(io.LimitReader(e.Stdin, maxPassword))
	}
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", command.Usagef("the password is empty: pass it on standard input, or with --password-file or --password-env")
	}
	return password, nil
}

func logoutCommand(e *command.Env) *cobra.Command {
	return oneCommand(e, &cobra.Command{
		Use: "logout NAME [flags]", Short: "Remove a credential for another registry",
		Long:    "Remove a credential that no rule uses.",
		Example: "  kontor upstreams logout hub",
	}, "DeleteSecret", func(name string) any { return admin.DeleteSecretRequest{Name: name} },
		func(name string, out admin.DeleteSecretResponse) command.Shown {
			return said(out, "removed the credential %s", name)
		})
}
