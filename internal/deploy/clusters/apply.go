package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// RoleResult is what became of one change.
type RoleResult struct {
	Role   string        `json:"role"`
	Op     plan.RoleOp   `json:"op"`
	Status deploy.Status `json:"status"`
	// Error says why, when Status is not deploy.StatusDone. Code is that of the
	// API's answer, if one came.
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

// Result is what Apply did and did not do.
type Result struct {
	Target plan.Target  `json:"target"`
	Roles  []RoleResult `json:"roles"` // the pending changes, in their order
}

// Count returns how many roles came out as s.
func (r Result) Count(s deploy.Status) int {
	n := 0
	for _, x := range r.Roles {
		if x.Status == s {
			n++
		}
	}
	return n
}

// Lasting is how many roles failed with what a further try does not help.
func (r Result) Lasting() int {
	n := 0
	for _, x := range r.Roles {
		if x.Status == deploy.StatusFailed && deploy.Lasts(x.Code) {
			n++
		}
	}
	return n
}

// Apply applies the pending changes of c for the stack. If a role fails, or changed
// since the plan, the others continue. The error is for a plan that cannot be applied
// at all, or for ctx: when it ends, the role in progress is finished.
func Apply(ctx context.Context, api IAM, c plan.Cluster, stack string) (Result, error) {
	out := Result{Target: c.Target, Roles: []RoleResult{}}
	if c.RefreshOnly {
		return out, errors.New("a plan of --refresh-only shows drift and cannot be applied: nothing was changed")
	}
	if errs := c.Errors(); len(errs) > 0 {
		return out, fmt.Errorf("the plan has %d error(s), the first: %s: nothing was changed", len(errs), errs[0].Message)
	}
	if err := c.Check(stack); err != nil {
		return out, fmt.Errorf("the plan is wrong: %w: nothing was changed", err)
	}
	for _, change := range c.Pending() {
		r := RoleResult{Role: change.Role, Op: change.Op, Status: deploy.StatusDone}
		if ctx.Err() != nil {
			r.Status, r.Error = deploy.StatusSkipped, "stopped before it was this role's turn"
		} else if err := apply(context.WithoutCancel(ctx), api, change, stack); err != nil {
			r.Status, r.Error, r.Code = deploy.StatusFailed, err.Error(), deploy.CodeOf(err)
			if errors.Is(err, errMoved) {
				r.Status = deploy.StatusMoved
			}
		}
		out.Roles = append(out.Roles, r)
	}
	return out, ctx.Err()
}

// errMoved is for a role that is not as the plan saw it.
var errMoved = errors.New("it is not as the plan saw it: plan again")

func apply(ctx context.Context, api IAM, c plan.RoleChange, stack string) error {
	r := role{api: api, name: aws.String(nameOf(c.Role)), policy: aws.String(c.Policy), key: TagKey(stack)}
	explain := func(err error) error { return deploy.Explain(err, "role "+c.Role) }
	now, arn, err := r.read(ctx)
	switch {
	case err != nil:
		return explain(err)
	case arn != c.Role:
		return fmt.Errorf("the role of that name is %s: %w", arn, errMoved)
	case now.Equal(c.After):
		return nil // done already
	case !now.Equal(c.Before) && !midway(now, c):
		return errMoved
	}
	if c.Op == plan.RoleAttach || c.Op == plan.RoleJoin {
		return explain(r.enter(ctx, stack))
	}
	return explain(r.leave(ctx))
}

// midway reports whether now is where an earlier run of c stopped: it marks
// before it attaches, and detaches before it takes the mark away.
func midway(now plan.Attachment, c plan.RoleChange) bool {
	switch c.Op {
	case plan.RoleAttach:
		return now.Equal(plan.Attachment{Attached: c.Before.Attached, Stacks: c.After.Stacks})
	case plan.RoleDetach:
		return now.Equal(plan.Attachment{Attached: c.After.Attached, Stacks: c.Before.Stacks})
	}
	return false
}

// role is a role as the calls name it.
type role struct {
	api          IAM
	name, policy *string
	key          string // of the stack's tag
}

func (r role) read(ctx context.Context) (a plan.Attachment, arn string, err error) {
	out, err := r.api.GetRole(ctx, &iam.GetRoleInput{RoleName: r.name})
	if err != nil {
		return a, "", err
	}
	tags := map[string]string{}
	for _, t := range out.Role.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	a.Stacks = stacksOf(tags)
	pages := iam.NewListAttachedRolePoliciesPaginator(r.api, &iam.ListAttachedRolePoliciesInput{RoleName: r.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return a, "", err
		}
		a.Attached = a.Attached || slices.ContainsFunc(page.AttachedPolicies, func(p types.AttachedPolicy) bool {
			return strings.EqualFold(aws.ToString(p.PolicyArn), *r.policy)
		})
	}
	return a, aws.ToString(out.Role.Arn), nil
}

// enter marks the role, then attaches. The mark goes first: what is attached
// without one would never be detached again. Attaching what is attached is
// nothing, and undoes a detachment by a stack that leaves just now.
func (r role) enter(ctx context.Context, stack string) error {
	_, err := r.api.TagRole(ctx, &iam.TagRoleInput{RoleName: r.name, Tags: []types.Tag{{Key: aws.String(r.key), Value: aws.String(stack)}}})
	if err != nil {
		return err
	}
	return r.attach(ctx)
}

func (r role) attach(ctx context.Context) error {
	_, err := r.api.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: r.name, PolicyArn: r.policy})
	return err
}

func (r role) detach(ctx context.Context) error {
	_, err := r.api.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: r.name, PolicyArn: r.policy})
	var gone *types.NoSuchEntityException
	if errors.As(err, &gone) {
		return nil // as wanted
	}
	return err
}

// leave takes the mark away, and with the last one the policy. Stacks do not
// wait for each other: whoever leaves looks again after each step, so that of
// two who leave at once one detaches, and one who comes meanwhile keeps the
// policy.
func (r role) leave(ctx context.Context) error {
	now, _, err := r.read(ctx)
	if err != nil {
		return err
	}
	if len(now.Stacks) == 1 {
		if err := r.detach(ctx); err != nil {
			return err
		}
	}
	if _, err := r.api.UntagRole(ctx, &iam.UntagRoleInput{RoleName: r.name, TagKeys: []string{r.key}}); err != nil {
		return err
	}
	left, _, err := r.read(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(left.Stacks) > 0 && !left.Attached && now.Attached:
		return r.attach(ctx)
	case len(left.Stacks) == 0 && left.Attached && len(now.Stacks) > 1:
		if err := r.detach(ctx); err != nil {
			return err
		}
		if left, _, err = r.read(ctx); err == nil && len(left.Stacks) > 0 {
			return r.attach(ctx)
		}
	}
	return err
}

// Stale lists why c, a plan of earlier, no longer fits the account; none
// when it does, also after it was applied in part.
func Stale(c plan.Cluster, people []proof.Principal) []string {
	var out []string
	for _, change := range c.Roles {
		i := slices.IndexFunc(people, func(p proof.Principal) bool { return p.ARN == change.Role })
		if i < 0 {
			out = append(out, fmt.Sprintf("role %s no longer exists", change.Role))
			continue
		}
		if now := attachment(people[i]); !now.Equal(change.Before) && !now.Equal(change.After) && !midway(now, change) {
			out = append(out, fmt.Sprintf("role %s has changed", change.Role))
		}
	}
	return out
}
