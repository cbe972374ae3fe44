package admincmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/textfile"
)

func roleCommand(e *command.Env) *cobra.Command {
	k := roles()
	return group("role", "Manage roles of the registry's account and their policies", `  kontor admin role create deployer --trust 222222222222 --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin role list`,
		identityListCommand(e, k), roleCreateCommand(e, k), identityDeleteCommand(e, k),
		identityAttachCommand(e, k, true), identityAttachCommand(e, k, false))
}

func roles() identityKind {
	return identityKind{
		name: "role", entity: types.EntityTypeRole,
		attach: func(ctx context.Context, c *iam.Client, name, arn *string) error {
			return failed(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: arn}))
		},
		detach: func(ctx context.Context, c *iam.Client, name, arn *string) error {
			return failed(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: arn}))
		},
		deleteInline: func(ctx context.Context, c *iam.Client, name, policy *string) error {
			return failed(c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: policy}))
		},
		remove: func(ctx context.Context, c *iam.Client, name *string) error {
			return failed(c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}))
		},
	}
}

func roleCreateCommand(e *command.Env, k identityKind) *cobra.Command {
	var (
		policies []string
		trust    string
	)
	cmd := identityCall(e, &cobra.Command{
		Use: "create NAME --trust WHO [flags]", Short: "Create a role",
		Long: "Create a role and print its ARN. --trust says who may assume the role: an account,\na user or role by its ARN, or the principals that a trust policy file names.",
		Example: `  kontor admin role create deployer --trust 222222222222 --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin role create ci --trust trust.json`, Args: command.Between(1, 1),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		document, err := trustPolicy(trust)
		if err != nil {
			return command.Shown{}, err
		}
		var made *iam.CreateRoleOutput
		err = k.attachAll(ctx, c, &args[0], policies, func() (err error) {
			made, err = c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &args[0], AssumeRolePolicyDocument: &document})
			return err
		})
		if err != nil {
			return command.Shown{}, err
		}
		return said(map[string]string{"arn": *made.Role.Arn, "id": *made.Role.RoleId}, "%s", *made.Role.Arn), nil
	})
	policyFlag(cmd, &policies)
	cmd.Flags().StringVar(&trust, "trust", "", "let `ID` assume the role: an account ID, an ARN, or a file with a trust policy (required)")
	return cmd
}

// trustPolicy is the trust policy that --trust means.
func trustPolicy(who string) (string, error) {
	if who == "" {
		return "", command.Usagef("--trust is required: pass an account ID, an ARN, or a file with a trust policy")
	}
	if _, err := ecr.ParseAccountID(who); err == nil || strings.HasPrefix(who, "arn:") {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`, who), nil
	}
	text, err := os.ReadFile(filepath.Clean(who))
	if err == nil {
		text, err = textfile.Decode(text)
	}
	if err != nil {
		return "", fmt.Errorf("--trust: %w", err)
	}
	return string(text), nil
}
