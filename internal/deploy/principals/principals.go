// Package principals reads an account's users and roles with their policies,
// as far as the caller may, for package proof.
//
// It guarantees that what it could not read is never taken for absent: such a
// principal says why in Unseen. The calls are those of the IAM API, version
// 2010-05-08; GetAccountAuthorizationDetails has nearly everything.
package principals

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/policy"
)

// API is the part of IAM that is read; *iam.Client has it.
type API interface {
	iam.GetAccountAuthorizationDetailsAPIClient
	GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error)
	GetPolicyVersion(context.Context, *iam.GetPolicyVersionInput, ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error)
}

var _ API = (*iam.Client)(nil)

// Read returns the users and roles of the account that api reaches. unseen is
// why none could be read, such as "iam:GetAccountAuthorizationDetails is not
// allowed", and "" when all were.
func Read(ctx context.Context, api API) (list []proof.Principal, unseen string, err error) {
	r := reader{api: api, policies: map[string]read{}}
	for _, m := range policy.ManagedPolicies() {
		for _, partition := range []string{"aws", "aws-cn", "aws-us-gov"} {
			r.policies[m.ARN(partition)] = read{text: m.Document.String()}
		}
	}
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(api, &iam.GetAccountAuthorizationDetailsInput{
		Filter: []types.EntityType{types.EntityTypeUser, types.EntityTypeRole, types.EntityTypeGroup, types.EntityTypeLocalManagedPolicy},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if why, ok := notSeen(err, "iam:GetAccountAuthorizationDetails"); ok {
			return nil, why, nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("reading users and roles: %w", err)
		}
		r.users = append(r.users, page.UserDetailList...)
		r.groups = append(r.groups, page.GroupDetailList...)
		r.roles = append(r.roles, page.RoleDetailList...)
		for _, p := range page.Policies {
			for _, v := range p.PolicyVersionList {
				if v.IsDefaultVersion {
					r.policies[aws.ToString(p.Arn)] = decode(v.Document)
				}
			}
		}
	}
	for _, u := range r.users {
		list = append(list, r.user(ctx, u))
	}
	for _, role := range r.roles {
		list = append(list, r.role(ctx, role))
	}
	if r.failed != nil {
		return nil, "", fmt.Errorf("reading the policies of users and roles: %w", r.failed)
	}
	return list, "", nil
}

// read is a policy's text, or why it could not be read.
type read struct{ text, unseen string }

// decode undoes the URL encoding in which IAM sends documents (RFC 3986).
func decode(document *string) read {
	text, err := url.PathUnescape(aws.ToString(document))
	if err != nil || text == "" {
		return read{unseen: "its document cannot be read"}
	}
	return read{text: text}
}

// notSeen is why err keeps from seeing; ok is false for other errors.
func notSeen(err error, action string) (why string, ok bool) {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return "", false
	}
	switch api.ErrorCode() {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return action + " is not allowed", true
	}
	return "", false
}

type reader struct {
	api      API
	users    []types.UserDetail
	groups   []types.GroupDetail
	roles    []types.RoleDetail
	policies map[string]read // by ARN
	failed   error           // to read one, though that is allowed and it is there
}

func (r *reader) user(ctx context.Context, u types.UserDetail) proof.Principal {
	p := proof.Principal{ARN: aws.ToString(u.Arn), UniqueID: aws.ToString(u.UserId), Tags: tags(u.Tags)}
	inline(&p, "inline policy ", u.UserPolicyList)
	r.attached(ctx, &p, u.AttachedManagedPolicies)
	for _, name := range u.GroupList {
		for _, g := range r.groups {
			if aws.ToString(g.GroupName) == name {
				inline(&p, "group "+name+", inline policy ", g.GroupPolicyList)
				r.attached(ctx, &p, g.AttachedManagedPolicies)
			}
		}
	}
	r.boundary(ctx, &p, u.PermissionsBoundary)
	return p
}

func (r *reader) role(ctx context.Context, role types.RoleDetail) proof.Principal {
	p := proof.Principal{
		ARN: aws.ToString(role.Arn), UniqueID: aws.ToString(role.RoleId), Tags: tags(role.Tags),
		Trust: decode(role.AssumeRolePolicyDocument).text, // one that cannot be read is not known
	}
	inline(&p, "inline policy ", role.RolePolicyList)
	r.attached(ctx, &p, role.AttachedManagedPolicies)
	r.boundary(ctx, &p, role.PermissionsBoundary)
	return p
}

func tags(list []types.Tag) map[string]string {
	out := make(map[string]string, len(list))
	for _, t := range list {
		out[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return out
}

func inline(p *proof.Principal, prefix string, list []types.PolicyDetail) {
	for _, d := range list {
		add(p, prefix+aws.ToString(d.PolicyName), decode(d.PolicyDocument))
	}
}

func (r *reader) attached(ctx context.Context, p *proof.Principal, list []types.AttachedPolicy) {
	for _, a := range list {
		add(p, aws.ToString(a.PolicyName), r.managed(ctx, aws.ToString(a.PolicyArn)))
	}
}

func (r *reader) boundary(ctx context.Context, p *proof.Principal, b *types.AttachedPermissionsBoundary) {
	if b == nil {
		return
	}
	arn := aws.ToString(b.PermissionsBoundaryArn)
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	text, ok := usable(p, name, r.managed(ctx, arn))
	if ok {
		p.Boundary = &access.Document{Name: name, Text: text}
	}
}

// add gives p the policy. One that cannot be read may have denied anything.
func add(p *proof.Principal, name string, policy read) {
	if text, ok := usable(p, name, policy); ok {
		p.Documents = append(p.Documents, access.Document{Name: name, Text: text})
	}
}

func usable(p *proof.Principal, name string, r read) (string, bool) {
	if r.unseen == "" {
		if _, err := policy.Parse([]byte(r.text)); err == nil {
			return r.text, true
		}
		r.unseen = "its document cannot be understood"
	}
	p.Unseen = fmt.Sprintf("policy %s: %s", name, r.unseen)
	return "", false
}

// managed returns the policy's text, that of a policy of AWS by asking.
func (r *reader) managed(ctx context.Context, arn string) read {
	if known, ok := r.policies[arn]; ok {
		return known
	}
	got := r.fetch(ctx, arn)
	r.policies[arn] = got
	return got
}

func (r *reader) fetch(ctx context.Context, arn string) read {
	p, err := r.api.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: aws.String(arn)})
	if err != nil {
		return r.unread(err, "iam:GetPolicy")
	}
	v, err := r.api.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: aws.String(arn), VersionId: p.Policy.DefaultVersionId})
	if err != nil {
		return r.unread(err, "iam:GetPolicyVersion")
	}
	return decode(v.PolicyVersion.Document)
}

func (r *reader) unread(err error, action string) read {
	if why, ok := notSeen(err, action); ok {
		return read{unseen: why}
	}
	if code(err) != noSuchEntity { // that is one that was deleted meanwhile
		r.failed = errors.Join(r.failed, err)
	}
	return read{unseen: err.Error()}
}

// noSuchEntity is IAM's code for what is not there.
const noSuchEntity = "NoSuchEntity"
