package admincmd

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func userKeysCommand(e *command.Env) *cobra.Command {
	status := func(s types.StatusType) func(context.Context, *iam.Client, string, string) error {
		return func(ctx context.Context, c *iam.Client, user, key string) error {
			return failed(c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &key, Status: s}))
		}
	}
	return group("keys", "Manage the access keys of users", `  kontor admin user keys rotate ann
  kontor admin user keys list ann`,
		keyListCommand(e), keyRotateCommand(e),
		keyChangeCommand(e, "deactivate", "Deactivate an access key and the sessions and logins issued with it", status(types.StatusTypeInactive)),
		keyChangeCommand(e, "activate", "Reactivate an access key", status(types.StatusTypeActive)),
		keyChangeCommand(e, "delete", "Delete an access key and end the sessions and logins issued with it",
			func(ctx context.Context, c *iam.Client, user, key string) error {
				return failed(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &user, AccessKeyId: &key}))
			}))
}

func keysOf(ctx context.Context, c *iam.Client, user string) ([]report.IdentityKey, error) {
	out, err := c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &user})
	if err != nil {
		return nil, err
	}
	keys := []report.IdentityKey{}
	for _, k := range out.AccessKeyMetadata {
		keys = append(keys, report.IdentityKey{ID: *k.AccessKeyId, Active: k.Status == types.StatusTypeActive, Created: *k.CreateDate})
	}
	return keys, nil
}

// newKey gives user a key.
func newKey(ctx context.Context, c *iam.Client, user string) (command.Shown, error) {
	out, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &user})
	if err != nil {
		return command.Shown{}, err
	}
	k := report.IdentityKey{ID: *out.AccessKey.AccessKeyId, Active: true, Created: *out.AccessKey.CreateDate, Secret: *out.AccessKey.SecretAccessKey}
	return command.Shown{JSON: k, Text: func(w io.Writer, _ render.Options) error { return render.Keys(w, user, []report.IdentityKey{k}) }}, nil
}

func keyListCommand(e *command.Env) *cobra.Command {
	return identityCall(e, &cobra.Command{
		Use: "list NAME [flags]", Short: "List a user's access keys", Long: "List a user's access keys, oldest first, without their secrets.",
		Example: "  kontor admin user keys list ann", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		keys, err := keysOf(ctx, c, args[0])
		return command.Shown{JSON: keys, Text: func(w io.Writer, _ render.Options) error { return render.Keys(w, args[0], keys) }}, err
	})
}

func keyRotateCommand(e *command.Env) *cobra.Command {
	return identityCall(e, &cobra.Command{
		Use: "rotate NAME [flags]", Short: "Give a user a new access key and deactivate the old one",
		Long:    "Create an access key and print it, then deactivate the user's other keys. A user\nhas at most two keys: if there are two already, the oldest is deleted first.",
		Example: "  kontor admin user keys rotate ann", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		keys, err := keysOf(ctx, c, args[0])
		if err != nil {
			return command.Shown{}, err
		}
		const most = 2
		if len(keys) >= most {
			// one that is off goes first
			i := max(0, slices.IndexFunc(keys, func(k report.IdentityKey) bool { return !k.Active }))
			if err := failed(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &args[0], AccessKeyId: &keys[i].ID})); err != nil {
				return command.Shown{}, err
			}
			keys = slices.Delete(keys, i, i+1)
		}
		made, err := newKey(ctx, c, args[0])
		if err != nil {
			return command.Shown{}, err
		}
		made.After = func() error {
			for _, k := range keys {
				if err := failed(c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &args[0], AccessKeyId: &k.ID, Status: types.StatusTypeInactive})); err != nil {
					return err
				}
			}
			return nil
		}
		return made, nil
	})
}

func keyChangeCommand(e *command.Env, verb, short string, change func(ctx context.Context, c *iam.Client, user, key string) error) *cobra.Command {
	done := strings.TrimSuffix(verb, "e") + "ed"
	return identityCall(e, &cobra.Command{
		Use: verb + " NAME KEY [flags]", Short: short, Long: short + ".\nThe change takes effect with the next request, over every protocol.",
		Example: "  kontor admin user keys " + verb + " ann AKIAIOSFODNN7EXAMPLE", Args: command.Between(2, 2),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		return said(map[string]string{"user": args[0], "access_key": args[1], "done": done}, "%s of %s is %s", args[1], args[0], done), change(ctx, c, args[0], args[1])
	})
}
