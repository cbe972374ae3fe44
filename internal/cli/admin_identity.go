package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

// identities reaches IAM of the registry that o chooses, runs fn, and puts
// what IAM refuses in its own words.
func (e *Env) identities(ctx context.Context, o adminOptions, fn func(c *iam.Client) error) (err error) {
	a, err := e.admin(ctx, o)
	if err != nil {
		return err
	}
	defer closing(&err, a.close)
	c := iam.New(iam.Options{Region: a.region, BaseEndpoint: aws.String(a.endpoint), Credentials: a.credentials, HTTPClient: a.http})
	err = fn(c)
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %s", refused.ErrorCode(), refused.ErrorMessage())
	}
	return err
}

// policyARN is the ARN of the managed policy called name: one of the account,
// or one that every account has.
func policyARN(ctx context.Context, c *iam.Client, name string) (string, error) {
	if strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	found := ""
	pages := iam.NewListPoliciesPaginator(c, &iam.ListPoliciesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, p := range page.Policies {
			if aws.ToString(p.PolicyName) == name {
				found = aws.ToString(p.Arn) // the account's own come last, and win
			}
		}
	}
	if found == "" {
		return "", fmt.Errorf("there is no managed policy %q: give the name of one, such as AmazonEC2ContainerRegistryPowerUser, or an ARN", name)
	}
	return found, nil
}

// group is a command that only has subcommands.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".", Example: example, Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(subs...)
	return cmd
}

func (e *Env) adminUserCommand() *cobra.Command {
	return group("user", "Manage users of the registry's account, their access keys and policies", `  kontor admin user create ann --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin user list`,
		e.identityListCommand("user"), e.userCreateCommand(), e.identityDeleteCommand("user"),
		e.identityAttachCommand("user", true), e.identityAttachCommand("user", false),
		group("keys", "Rotate the access keys of users", `  kontor admin user keys rotate ann
  kontor admin user keys list ann`,
			e.keyListCommand(), e.keyRotateCommand(),
			e.keyChangeCommand("deactivate", "Deactivate an access key and everything that was issued to it", func(ctx context.Context, c *iam.Client, user, key string) error {
				_, err := c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &key, Status: types.StatusTypeInactive})
				return err
			}),
			e.keyChangeCommand("activate", "Activate an access key again", func(ctx context.Context, c *iam.Client, user, key string) error {
				_, err := c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &key, Status: types.StatusTypeActive})
				return err
			}),
			e.keyChangeCommand("delete", "Delete an access key, and end everything that was issued to it", func(ctx context.Context, c *iam.Client, user, key string) error {
				_, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &user, AccessKeyId: &key})
				return err
			})))
}

func (e *Env) adminRoleCommand() *cobra.Command {
	return group("role", "Manage roles of the registry's account and their policies", `  kontor admin role create deployer --trust 222222222222 --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin role list`,
		e.identityListCommand("role"), e.roleCreateCommand(), e.identityDeleteCommand("role"),
		e.identityAttachCommand("role", true), e.identityAttachCommand("role", false))
}

// identityCommand is a command about one user or role, or all.
func (e *Env) identityCommand(use, short, long, example string, args cobra.PositionalArgs, run func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.identities(cmd.Context(), o, func(c *iam.Client) error { return run(cmd.Context(), c, args, asJSON) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// told answers a command that has nothing to show but that it was done.
func (e *Env) told(asJSON bool, done any, format string, args ...any) error {
	if asJSON {
		return render.JSON(e.Stdout, done)
	}
	_, err := fmt.Fprintf(e.Stdout, format+"\n", args...)
	return err
}

func (e *Env) identityListCommand(kind string) *cobra.Command {
	return e.identityCommand("list [flags]", "List "+kind+"s with their policies", "List "+kind+"s with the managed and inline policies that they have.",
		"  kontor admin "+kind+" list\n  kontor admin "+kind+" list --json | jq -r '.[].arn'", noArgs,
		func(ctx context.Context, c *iam.Client, _ []string, asJSON bool) error {
			list := roleList
			if kind == "user" {
				list = userList
			}
			all, err := list(ctx, c)
			if err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, all)
			}
			return render.Identities(e.Stdout, all)
		})
}

func userList(ctx context.Context, c *iam.Client) ([]report.Identity, error) {
	out := []report.Identity{}
	pages := iam.NewListUsersPaginator(c, &iam.ListUsersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			i := report.Identity{Name: *u.UserName, ARN: *u.Arn, ID: *u.UserId, Created: *u.CreateDate, Policies: []string{}}
			attached, err := c.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: u.UserName})
			if err != nil {
				return nil, err
			}
			inline, err := c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: u.UserName})
			if err != nil {
				return nil, err
			}
			i.Policies = append(i.Policies, policyNames(attached.AttachedPolicies, inline.PolicyNames)...)
			if i.Keys, err = keysOf(ctx, c, *u.UserName); err != nil {
				return nil, err
			}
			out = append(out, i)
		}
	}
	return out, nil
}

func roleList(ctx context.Context, c *iam.Client) ([]report.Identity, error) {
	out := []report.Identity{}
	pages := iam.NewListRolesPaginator(c, &iam.ListRolesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Roles {
			i := report.Identity{Name: *r.RoleName, ARN: *r.Arn, ID: *r.RoleId, Created: *r.CreateDate, Policies: []string{}}
			attached, err := c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: r.RoleName})
			if err != nil {
				return nil, err
			}
			inline, err := c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
			if err != nil {
				return nil, err
			}
			i.Policies = append(i.Policies, policyNames(attached.AttachedPolicies, inline.PolicyNames)...)
			out = append(out, i)
		}
	}
	return out, nil
}

func policyNames(attached []types.AttachedPolicy, inline []string) (names []string) {
	for _, a := range attached {
		names = append(names, aws.ToString(a.PolicyName))
	}
	for _, name := range inline {
		names = append(names, name+" (inline)")
	}
	return names
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

// newKey gives user a key and shows it.
func (e *Env) newKey(ctx context.Context, c *iam.Client, user string, asJSON bool) error {
	out, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &user})
	if err != nil {
		return err
	}
	k := report.IdentityKey{ID: *out.AccessKey.AccessKeyId, Active: true, Created: *out.AccessKey.CreateDate, Secret: *out.AccessKey.SecretAccessKey}
	if asJSON {
		return render.JSON(e.Stdout, k)
	}
	return render.Keys(e.Stdout, user, []report.IdentityKey{k})
}

func (e *Env) userCreateCommand() *cobra.Command {
	var policies []string
	cmd := e.identityCommand("create NAME [flags]", "Create a user with an access key",
		"Create a user, attach managed policies, and print an access key. Its secret is not\nshown again; on this machine, kontor env --user NAME has it.",
		`  kontor admin user create ann --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin user create ci --json | jq -r .secret_access_key`, between(1, 1),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			var arns []string
			for _, p := range policies {
				arn, err := policyARN(ctx, c, p)
				if err != nil {
					return err
				}
				arns = append(arns, arn)
			}
			if _, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: &args[0]}); err != nil {
				return err
			}
			for _, arn := range arns {
				if _, err := c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &args[0], PolicyArn: &arn}); err != nil {
					return err
				}
			}
			return e.newKey(ctx, c, args[0], asJSON)
		})
	policyFlag(cmd, &policies)
	return cmd
}

func policyFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "policy", nil, "attach the managed policy `NAME` (or its ARN); may be given several times (default none)")
	completePolicies(cmd, "policy")
}

func completePolicies(cmd *cobra.Command, flag string) {
	var names []string
	for _, m := range identity.Managed() {
		if m.Path == "/" {
			names = append(names, m.Name)
		}
	}
	completeWords(cmd, flag, names...)
}

func (e *Env) roleCreateCommand() *cobra.Command {
	var (
		policies []string
		trust    string
	)
	cmd := e.identityCommand("create NAME --trust WHO [flags]", "Create a role",
		"Create a role that others may assume: an account, a user or role by its ARN, or\nthe principals that the trust policy in a file names. Print its ARN.",
		`  kontor admin role create deployer --trust 222222222222 --policy AmazonEC2ContainerRegistryPowerUser
  kontor admin role create ci --trust trust.json`, between(1, 1),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			document, err := trustPolicy(trust)
			if err != nil {
				return err
			}
			var arns []string
			for _, p := range policies {
				arn, err := policyARN(ctx, c, p)
				if err != nil {
					return err
				}
				arns = append(arns, arn)
			}
			out, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &args[0], AssumeRolePolicyDocument: &document})
			if err != nil {
				return err
			}
			for _, arn := range arns {
				if _, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &args[0], PolicyArn: &arn}); err != nil {
					return err
				}
			}
			return e.told(asJSON, map[string]string{"arn": *out.Role.Arn, "id": *out.Role.RoleId}, "%s", *out.Role.Arn)
		})
	policyFlag(cmd, &policies)
	cmd.Flags().StringVar(&trust, "trust", "", "who may assume it: an account `ID`, an ARN, or a file with a trust policy (required)")
	return cmd
}

// trustPolicy is the trust policy that --trust means.
func trustPolicy(who string) (string, error) {
	if who == "" {
		return "", usagef("give --trust, who may assume the role: an account id, an ARN, or a file with a trust policy")
	}
	if _, err := ecr.ParseAccountID(who); err == nil || strings.HasPrefix(who, "arn:") {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":%q},"Action":"sts:AssumeRole"}]}`, who), nil
	}
	text, err := os.ReadFile(filepath.Clean(who))
	if err != nil {
		return "", fmt.Errorf("--trust: %w", err)
	}
	return string(text), nil
}

func (e *Env) identityDeleteCommand(kind string) *cobra.Command {
	return e.identityCommand("delete NAME [flags]", "Delete a "+kind+" with its policies, and end its sessions",
		"Detach and delete the policies of the "+kind+" and then the "+kind+". Its access keys,\nsessions and docker logins end immediately.",
		"  kontor admin "+kind+" delete old", between(1, 1),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			remove := deleteRole
			if kind == "user" {
				remove = deleteUser
			}
			if err := remove(ctx, c, &args[0]); err != nil {
				return err
			}
			return e.told(asJSON, map[string]string{"deleted": args[0]}, "%s %s is deleted", kind, args[0])
		})
}

func deleteUser(ctx context.Context, c *iam.Client, name *string) error {
	if slices.Contains([]string{identity.Administrator, identity.Pusher}, *name) {
		return fmt.Errorf("%s belongs to the server and cannot be deleted: deactivate its access keys instead", *name)
	}
	attached, err := c.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: name})
	if err != nil {
		return err
	}
	for _, p := range attached.AttachedPolicies {
		if _, err := c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: p.PolicyArn}); err != nil {
			return err
		}
	}
	inline, err := c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: name})
	if err != nil {
		return err
	}
	for _, p := range inline.PolicyNames {
		if _, err := c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: &p}); err != nil {
			return err
		}
	}
	keys, err := keysOf(ctx, c, *name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: &k.ID}); err != nil {
			return err
		}
	}
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	return err
}

func deleteRole(ctx context.Context, c *iam.Client, name *string) error {
	attached, err := c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	if err != nil {
		return err
	}
	for _, p := range attached.AttachedPolicies {
		if _, err := c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: p.PolicyArn}); err != nil {
			return err
		}
	}
	inline, err := c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: name})
	if err != nil {
		return err
	}
	for _, p := range inline.PolicyNames {
		if _, err := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: &p}); err != nil {
			return err
		}
	}
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	return err
}

func (e *Env) identityAttachCommand(kind string, attach bool) *cobra.Command {
	verb, short, done := "attach", "Attach a managed policy to a "+kind, "%s has %s"
	if !attach {
		verb, short, done = "detach", "Detach a managed policy from a "+kind, "%s no longer has %s"
	}
	return e.identityCommand(verb+" NAME POLICY [flags]", short, short+", by the policy's name or ARN. It applies from the next request.",
		"  kontor admin "+kind+" "+verb+" ann AmazonEC2ContainerRegistryPullOnly", between(2, 2),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			arn, err := policyARN(ctx, c, args[1])
			if err != nil {
				return err
			}
			switch {
			case kind == "user" && attach:
				_, err = c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &args[0], PolicyArn: &arn})
			case kind == "user":
				_, err = c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: &args[0], PolicyArn: &arn})
			case attach:
				_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &args[0], PolicyArn: &arn})
			default:
				_, err = c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: &args[0], PolicyArn: &arn})
			}
			if err != nil {
				return err
			}
			return e.told(asJSON, map[string]string{"name": args[0], "policy": arn}, done, args[0], arn)
		})
}

func (e *Env) keyListCommand() *cobra.Command {
	return e.identityCommand("list NAME [flags]", "List a user's access keys", "List a user's access keys, oldest first, without their secrets.",
		"  kontor admin user keys list ann", between(1, 1),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			keys, err := keysOf(ctx, c, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, keys)
			}
			return render.Keys(e.Stdout, args[0], keys)
		})
}

func (e *Env) keyRotateCommand() *cobra.Command {
	return e.identityCommand("rotate NAME [flags]", "Give a user a new access key and deactivate the old one",
		"Create an access key and print it, then deactivate those that the user had. A\nuser has at most two keys: the oldest is deleted when there are two.",
		"  kontor admin user keys rotate ann", between(1, 1),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			keys, err := keysOf(ctx, c, args[0])
			if err != nil {
				return err
			}
			const most = 2
			if len(keys) >= most {
				// one that is off goes first
				i := max(0, slices.IndexFunc(keys, func(k report.IdentityKey) bool { return !k.Active }))
				if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &args[0], AccessKeyId: &keys[i].ID}); err != nil {
					return err
				}
				keys = slices.Delete(keys, i, i+1)
			}
			if err := e.newKey(ctx, c, args[0], asJSON); err != nil {
				return err
			}
			for _, k := range keys {
				if _, err := c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &args[0], AccessKeyId: &k.ID, Status: types.StatusTypeInactive}); err != nil {
					return err
				}
			}
			return nil
		})
}

func (e *Env) keyChangeCommand(verb, short string, change func(ctx context.Context, c *iam.Client, user, key string) error) *cobra.Command {
	return e.identityCommand(verb+" NAME KEY [flags]", short, short+". It applies from the next request, by every protocol.",
		"  kontor admin user keys "+verb+" ann AKIAIOSFODNN7EXAMPLE", between(2, 2),
		func(ctx context.Context, c *iam.Client, args []string, asJSON bool) error {
			if err := change(ctx, c, args[0], args[1]); err != nil {
				return err
			}
			done := strings.TrimSuffix(verb, "e") + "ed"
			return e.told(asJSON, map[string]string{"user": args[0], "access_key": args[1], "done": done}, "%s of %s is %s", args[1], args[0], done)
		})
}
