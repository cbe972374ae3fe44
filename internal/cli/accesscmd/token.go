package accesscmd

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func tokenCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token COMMAND",
		Short: "Manage machine tokens: docker passwords for tools with static credentials",
		Long: `Manage machine tokens of users: docker passwords for tools that cannot fetch a new
password every 12 hours, such as Flux, Argo CD, Renovate, and the imagePullSecrets
of Kubernetes.

A token may do at most what its user may, and less if it has a scope. It is valid
for every registry of the server until it expires or is revoked.`,
		Example: `  kontor access token create flux --pull 'team/*'
  kontor access token list
  kontor access token revoke flux`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(tokenCreateCommand(e), tokenListCommand(e), tokenRevokeCommand(e))
	return cmd
}

// userFlag defines --user.
func userFlag(cmd *cobra.Command, user *string) {
	cmd.Flags().StringVar(user, "user", identity.Pusher, "use the tokens of user `NAME`")
	command.CompleteWords(cmd, "user", identity.Pusher, identity.Administrator)
}

func tokenCreateCommand(e *command.Env) *cobra.Command {
	var (
		in              admin.CreateUserTokenRequest
		expires, policy string
	)
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "create NAME [flags]",
		Short: "Create a machine token and print it",
		Long: `Create a machine token of a user and print it. The token is not shown again.

Without --pull, --push or --policy, the token may do what its user may. PATTERN is a
repository name in which * stands for any text, also with slashes, and ? for one
character.

Use the token as the password of a docker login, with the user name kontor or the
name of its user.`,
		Example: `  kontor access token create flux --pull 'team/*' --expires 90d
  kontor access token create ci --push team/api --json | jq -r .password |
    docker login localhost:5050 -u kontor --password-stdin`,
		Args: command.Between(1, 1),
		PreRunE: func(cmd *cobra.Command, args []string) error {
			in.TokenName = args[0]
			if policy != "" && len(in.Pull)+len(in.Push) > 0 {
				return command.Usagef("--policy cannot be combined with --pull or --push")
			}
			if expires == "" {
				return nil
			}
			d, err := command.ParseDuration(expires)
			if err != nil || d <= 0 {
				return command.Usagef("--expires %s: want a duration such as 90d or 12h", expires)
			}
			in.ExpiresAt = e.Now().Add(d).UTC().Truncate(time.Second)
			return nil
		},
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		if policy != "" {
			text, err := command.ReadInput(e, policy)
			if err != nil {
				return command.Shown{}, err
			}
			in.Policy = string(text)
		}
		var out admin.CreateUserTokenResponse
		err := c.Call(ctx, "CreateUserToken", in, &out)
		return command.Shown{JSON: out, Text: func(w io.Writer, o render.Options) error { return render.NewToken(w, out, c.Host, o) }}, err
	})
	userFlag(cmd, &in.UserName)
	f := cmd.Flags()
	f.StringArrayVar(&in.Pull, "pull", nil, "allow to pull from repositories that match `PATTERN`; may be given several times")
	f.StringArrayVar(&in.Push, "push", nil, "allow to push to and pull from repositories that match `PATTERN`; may be given several times")
	f.StringVar(&policy, "policy", "", "limit the token by the IAM policy in `FILE` (JSON), in place of --pull and --push (default none)")
	f.StringVar(&expires, "expires", "", "end the token after `TIME`, such as 90d (default never)")
	return cmd
}

func tokenListCommand(e *command.Env) *cobra.Command {
	var user string
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "list [flags]",
		Short: "List a user's machine tokens with their scopes and last uses",
		Long: `List a user's machine tokens with their scopes, expiry and last uses. The time of the
last use is accurate to 15 minutes. The tokens themselves are not kept.`,
		Example: `  kontor access token list --user ann
  kontor access token list --json`,
		Args: command.Between(0, 0),
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListUserTokensResponse
		err := c.Call(ctx, "ListUserTokens", admin.ListUserTokensRequest{UserName: user}, &out)
		return command.Show(out, render.Tokens), err
	})
	userFlag(cmd, &user)
	return cmd
}

func tokenRevokeCommand(e *command.Env) *cobra.Command {
	var user string
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "revoke NAME [flags]",
		Short: "Revoke a machine token",
		Long: `Revoke a machine token, by its name or its id. The next request with it is refused,
by every replica of the server.`,
		Example: `  kontor access token revoke flux`,
		Args:    command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.DeleteUserTokenResponse
		err := c.Call(ctx, "DeleteUserToken", admin.DeleteUserTokenRequest{UserName: user, TokenName: args[0]}, &out)
		return command.Shown{JSON: out, Text: func(w io.Writer, _ render.Options) error {
			_, err := fmt.Fprintf(w, "Revoked the token %s of user %s.\n", out.Token.Name, out.Token.UserName)
			return err
		}}, err
	})
	userFlag(cmd, &user)
	return cmd
}
