package iamapi

import (
	"context"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

type policyDetail struct{ PolicyName, PolicyDocument string }

type userDetail struct {
	user
	UserPolicyList          []policyDetail   `xml:"UserPolicyList>member"`
	GroupList               []string         `xml:"GroupList>member"`
	AttachedManagedPolicies []attachedPolicy `xml:"AttachedManagedPolicies>member"`
}

type roleDetail struct {
	role
	RolePolicyList          []policyDetail   `xml:"RolePolicyList>member"`
	AttachedManagedPolicies []attachedPolicy `xml:"AttachedManagedPolicies>member"`
}

type managedPolicyDetail struct {
	managedPolicy
	PolicyVersionList []policyVersion `xml:"PolicyVersionList>member"`
}

// accountDetails answers GetAccountAuthorizationDetails. There are no groups
// here, and AWS's policies are not listed.
func accountDetails(ctx context.Context, c *iam.Caller, in *params) (any, error) {
	kinds := []iam.DetailKind{iam.DetailUsers, iam.DetailRoles, iam.DetailPolicies}
	page := in.page()
	if filter := in.texts("Filter"); len(filter) > 0 {
		for _, f := range filter {
			if !slices.Contains([]string{"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"}, f) {
				return nil, ecr.Errorf(ecr.CodeValidation, "1 validation error detected: Value '%.100s' at 'filter' failed to satisfy constraint: Member must satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]", f)
			}
		}
		kinds = slices.DeleteFunc(kinds, func(k iam.DetailKind) bool { return !slices.Contains(filter, string(k)) })
	}
	if in.err != nil {
		return nil, in.err
	}
	d, next, err := c.AccountDetails(ctx, kinds, page)
	var out struct {
		UserDetailList []userDetail          `xml:"UserDetailList>member"`
		RoleDetailList []roleDetail          `xml:"RoleDetailList>member"`
		Policies       []managedPolicyDetail `xml:"Policies>member"`
		paged
	}
	out.paged = pagedBy(next)
	for _, h := range d.Holders {
		var attached []attachedPolicy
		for _, m := range h.Attached {
			attached = append(attached, attachedPolicy{m.Name, m.ARN})
		}
		boundary := ""
		if h.Boundary != nil {
			boundary = h.Boundary.ARN
		}
		if u := h.User; u != nil {
			out.UserDetailList = append(out.UserDetailList, userDetail{userOf(c.Partition(), *u, boundary, true), inlineOf(u.Inline), nil, attached})
		}
		if r := h.Role; r != nil {
			out.RoleDetailList = append(out.RoleDetailList, roleDetail{roleOf(c.Partition(), *r, boundary, true), inlineOf(r.Inline), attached})
		}
	}
	for _, m := range d.Policies {
		detail := managedPolicyDetail{managedPolicy: policyOf(m)}
		for _, number := range slices.Sorted(maps.Keys(m.Versions)) {
			v := m.Versions[number]
			detail.PolicyVersionList = append(detail.PolicyVersionList, versionOf(
				iam.Version{Number: number, Default: number == m.Default, Text: v.Text, CreatedAt: v.CreatedAt}, true))
		}
		out.Policies = append(out.Policies, detail)
	}
	return out, err
}

func inlineOf(inline map[string]string) (out []policyDetail) {
	for _, name := range slices.Sorted(maps.Keys(inline)) {
		out = append(out, policyDetail{name, encoded(inline[name])})
	}
	return out
}
