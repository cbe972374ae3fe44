package admincmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

// identityKind is what tells users from roles.
type identityKind struct {
	name   string
	entity types.EntityType
	// servers are those that belong to the server and stay.
	servers []string
	attach, detach,
	deleteInline func(ctx context.Context, c *iam.Client, name, policy *string) error // policy is an ARN, or an inline policy's name
	// remove removes one whose policies are gone.
	remove func(ctx context.Context, c *iam.Client, name *string) error
}

// identityDetail is a user or role with its policies.
type identityDetail struct {
	report.Identity
	attached []types.AttachedPolicy
	inline   []types.PolicyDetail
}

// all are the users or roles of the account.
func (k identityKind) all(ctx context.Context, c *iam.Client) (out []identityDetail, err error) {
	add := func(name, arn, id *string, made *time.Time, attached []types.AttachedPolicy, inline []types.PolicyDetail) {
		d := identityDetail{report.Identity{Name: *name, ARN: *arn, ID: *id, Created: *made, Policies: []string{}}, attached, inline}
		for _, p := range attached {
			d.Policies = append(d.Policies, aws.ToString(p.PolicyName))
		}
		for _, p := range inline {
			d.Policies = append(d.Policies, aws.ToString(p.PolicyName)+" (inline)")
		}
		out = append(out, d)
	}
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(c, &iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{k.entity}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range page.UserDetailList {
			add(u.UserName, u.Arn, u.UserId, u.CreateDate, u.AttachedManagedPolicies, u.UserPolicyList)
		}
		for _, r := range page.RoleDetailList {
			add(r.RoleName, r.Arn, r.RoleId, r.CreateDate, r.AttachedManagedPolicies, r.RolePolicyList)
		}
	}
	return out, nil
}

// failed is the error of a call whose answer says nothing more.
func failed[T any](_ T, err error) error { return err }

// identityCall completes cmd, a command about users and roles. What IAM refuses
// is put in its own words.
func identityCall(e *command.Env, cmd *cobra.Command, run func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error)) *cobra.Command {
	return command.AdminCall(e, cmd, func(ctx context.Context, a *command.AdminClient, args []string) (command.Shown, error) {
		s, err := run(ctx, a.IAM(), args)
		if after := s.After; after != nil {
			s.After = func() error { return inOwnWords(after()) }
		}
		return s, inOwnWords(err)
	})
}

func inOwnWords(err error) error {
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

// attachAll attaches managed policies by name or ARN. create is called when all
// are known, and before any is attached.
func (k identityKind) attachAll(ctx context.Context, c *iam.Client, name *string, policies []string, create func() error) error {
	var arns []string
	for _, p := range policies {
		arn, err := policyARN(ctx, c, p)
		if err != nil {
			return err
		}
		arns = append(arns, arn)
	}
	if err := create(); err != nil {
		return err
	}
	for _, arn := range arns {
		if err := k.attach(ctx, c, name, &arn); err != nil {
			return err
		}
	}
	return nil
}

// delete removes one with its policies.
func (k identityKind) delete(ctx context.Context, c *iam.Client, name *string) error {
	if slices.Contains(k.servers, *name) {
		return fmt.Errorf("%s belongs to the server and cannot be deleted: deactivate its access keys instead", *name)
	}
	all, err := k.all(ctx, c)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Name != *name {
			continue
		}
		for _, p := range d.attached {
			err = errors.Join(err, k.detach(ctx, c, name, p.PolicyArn))
		}
		for _, p := range d.inline {
			err = errors.Join(err, k.deleteInline(ctx, c, name, p.PolicyName))
		}
		if err != nil {
			return err
		}
	}
	return k.remove(ctx, c, name)
}

// group is a command that only has subcommands.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: short + ".", Example: example, Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(subs...)
	return cmd
}

func identityListCommand(e *command.Env, k identityKind) *cobra.Command {
	return identityCall(e, &cobra.Command{
		Use: "list [flags]", Short: "List " + k.name + "s with their policies", Long: "List " + k.name + "s with the managed and inline policies that they have.",
		Example: "  kontor admin " + k.name + " list\n  kontor admin " + k.name + " list --json | jq -r '.[].arn'", Args: command.NoArgs,
	}, func(ctx context.Context, c *iam.Client, _ []string) (command.Shown, error) {
		all, err := k.all(ctx, c)
		list := []report.Identity{}
		for _, d := range all {
			if k.entity == types.EntityTypeUser && err == nil {
				d.Keys, err = keysOf(ctx, c, d.Name)
			}
			list = append(list, d.Identity)
		}
		return command.Shown{JSON: list, Text: func(w io.Writer, _ render.Options) error { return render.Identities(w, list) }}, err
	})
}

func identityDeleteCommand(e *command.Env, k identityKind) *cobra.Command {
	return identityCall(e, &cobra.Command{
		Use: "delete NAME [flags]", Short: "Delete a " + k.name + " with its policies, and end its sessions",
		Long:    "Detach and delete the policies of the " + k.name + " and then the " + k.name + ". Its access keys,\nsessions and docker logins end immediately.",
		Example: "  kontor admin " + k.name + " delete old", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		return said(map[string]string{"deleted": args[0]}, "%s %s is deleted", k.name, args[0]), k.delete(ctx, c, &args[0])
	})
}

func identityAttachCommand(e *command.Env, k identityKind, attach bool) *cobra.Command {
	verb, short, done, change := "attach", "Attach a managed policy to a "+k.name, "%s has %s", k.attach
	if !attach {
		verb, short, done, change = "detach", "Detach a managed policy from a "+k.name, "%s no longer has %s", k.detach
	}
	return identityCall(e, &cobra.Command{
		Use: verb + " NAME POLICY [flags]", Short: short, Long: short + ", by the policy's name or ARN.\nThe change takes effect with the next request.",
		Example: "  kontor admin " + k.name + " " + verb + " ann AmazonEC2ContainerRegistryPullOnly", Args: command.Between(2, 2),
	}, func(ctx context.Context, c *iam.Client, args []string) (command.Shown, error) {
		arn, err := policyARN(ctx, c, args[1])
		if err != nil {
			return command.Shown{}, err
		}
		return said(map[string]string{"name": args[0], "policy": arn}, done, args[0], arn), change(ctx, c, &args[0], &arn)
	})
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
	command.CompleteWords(cmd, flag, names...)
}
