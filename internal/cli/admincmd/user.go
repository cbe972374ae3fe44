package admincmd

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
)

func userCommand(e *command.Env) *cobra.Command {
	k := users()
	return group("user", "Manage users of the registry's account, their access keys and policies", `  kontor admin user create ann --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin user list`,
		identityListCommand(e, k), userCreateCommand(e, k), identityDeleteCommand(e, k),
		identityAttachCommand(e, k, true), identityAttachCommand(e, k, false), userKeysCommand(e))
}

func users() identityKind {
	return identityKind{
		name: "user", entity: types.EntityTypeUser, servers: []string{identity.Administrator, identity.Pusher},
		attach: func(ctx context.Context, c *iam.Client, name, arn *string) error {
			return failed(c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: arn}))
		},
		detach: func(ctx context.Context, c *iam.Client, name, arn *string) error {
			return failed(c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: arn}))
		},
		deleteInline: func(ctx context.Context, c *iam.Client, name, policy *string) error {
			return failed(c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: policy}))
		},
		remove: func(ctx context.Context, c *iam.Client, name *string) error {
			keys, err := keysOf(ctx, c, *name)
			if err != nil {
				return err
			}
			for _, key := range keys {
				if err := failed(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: &key.ID})); err != nil {
					return err
				}
			}
			return failed(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name}))
		},
	}
}

func userCreateCommand(e *command.Env, k identityKind) *cobra.Command {
	var policies []string
	cmd := identityCall(e, &cobra.Command{
		Use: "create NAME [flags]", Short: "Create a user with an access key",
		Long: "Create a user, attach managed policies, and print an access key. The secret is not\nshown again; on this machine, kontor env --user NAME prints it.",
		Example: `  kontor admin user create ann --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin user create ci --json | jq -r .secret_access_key`, Args: command.Between(1, 1),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		err := k.attachAll(ctx, c, &args[0], policies, func() error {
			return failed(c.CreateUser(ctx, &iam.CreateUserInput{UserName: &args[0]}))
		})
		if err != nil {
			return command.Shown{}, err
		}
		return newKey(ctx, c, args[0])
	})
	policyFlag(cmd, &policies)
	return cmd
}
