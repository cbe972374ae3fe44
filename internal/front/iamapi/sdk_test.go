package iamapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/front/iamapi"
)

const pullOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"

// The forms of ids: IAM user guide, "IAM identifiers".
func wantID(t *testing.T, id *string, prefix string) {
	t.Helper()
	if !regexp.MustCompile("^" + prefix + "[A-Z2-7]{17}$").MatchString(aws.ToString(id)) {
		t.Errorf("id %q", aws.ToString(id))
	}
}

func TestUsers(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	c := iam.NewFromConfig(w.admin(accountA))
	name := aws.String("ann")
	made := must(c.CreateUser(ctx, &iam.CreateUserInput{
		UserName: name, Path: aws.String("/ops/"), PermissionsBoundary: aws.String(pullOnly), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("ü b")}},
	}))(t).User
	wantID(t, made.UserId, "AIDA")
	if *made.Arn != "arn:aws:iam::111111111111:user/ops/ann" || *made.Path != "/ops/" || made.CreateDate == nil || *made.PermissionsBoundary.PermissionsBoundaryArn != pullOnly {
		t.Errorf("made %+v", made)
	}
	got := must(c.GetUser(ctx, &iam.GetUserInput{UserName: name}))(t).User
	if *got.UserId != *made.UserId || len(got.Tags) != 1 || *got.Tags[0].Value != "ü b" {
		t.Errorf("got %+v", got)
	}
	self := must(c.GetUser(ctx, &iam.GetUserInput{}))(t).User
	if *self.UserName != identity.Administrator {
		t.Errorf("who calls is %s", *self.UserName)
	}
	list := func(in iam.ListUsersInput) (names []string) {
		pages := iam.NewListUsersPaginator(c, &in)
		for pages.HasMorePages() {
			for _, u := range must(pages.NextPage(ctx))(t).Users {
				names = append(names, *u.UserName)
			}
		}
		return names
	}
	if d := cmp.Diff([]string{"administrator", "ann", "pusher"}, list(iam.ListUsersInput{MaxItems: aws.Int32(1)})); d != "" {
		t.Errorf("users (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"ann"}, list(iam.ListUsersInput{PathPrefix: aws.String("/ops/"), MaxItems: aws.Int32(1)})); d != "" {
		t.Errorf("users under /ops/ (-want +got):\n%s", d)
	}
	must(c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: name, NewUserName: aws.String("Anna"), NewPath: aws.String("/")}))(t)
	name = aws.String("Anna")
	if u := must(c.GetUser(ctx, &iam.GetUserInput{UserName: name}))(t).User; *u.UserId != *made.UserId || *u.Arn != "arn:aws:iam::111111111111:user/Anna" {
		t.Errorf("renamed %+v", u)
	}

	must(c.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("c")}, {Key: aws.String("x"), Value: aws.String("")}}}))(t)
	must(c.UntagUser(ctx, &iam.UntagUserInput{UserName: name, TagKeys: []string{"x", "never"}}))(t)
	tags := must(c.ListUserTags(ctx, &iam.ListUserTagsInput{UserName: name}))(t).Tags
	if len(tags) != 1 || *tags[0].Key != "Team" || *tags[0].Value != "c" {
		t.Errorf("tags %+v", tags)
	}

	k := must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	used := must(c.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: k.AccessKeyId}))(t)
	if *used.UserName != "Anna" || used.AccessKeyLastUsed.LastUsedDate != nil || *used.AccessKeyLastUsed.ServiceName != "N/A" {
		t.Errorf("never used: %+v", used.AccessKeyLastUsed)
	}
	theirs := w.as(accountA, *k.AccessKeyId, *k.SecretAccessKey, "")
	if me := must(whoami(t, theirs))(t); *me.Arn != "arn:aws:iam::111111111111:user/Anna" || *me.UserId != *made.UserId {
		t.Errorf("who am I: %s %s", *me.Arn, *me.UserId)
	}
	used = must(c.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: k.AccessKeyId}))(t)
	if used.AccessKeyLastUsed.LastUsedDate == nil || *used.AccessKeyLastUsed.ServiceName != "sts" || *used.AccessKeyLastUsed.Region != "us-east-1" {
		t.Errorf("used: %+v", used.AccessKeyLastUsed)
	}

	// Rotation: two keys at a time, and the old one off and away, at once.
	second := must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	_, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name})
	wantError(t, err, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	must(c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId, Status: types.StatusTypeInactive}))(t)
	_, err = whoami(t, theirs)
	wantError(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	must(c.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId, Status: types.StatusTypeActive}))(t)
	must(whoami(t, theirs))(t)
	must(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId}))(t)
	_, err = whoami(t, theirs)
	wantError(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	keys := must(c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: name}))(t).AccessKeyMetadata
	if len(keys) != 1 || *keys[0].AccessKeyId != *second.AccessKeyId || keys[0].Status != types.StatusTypeActive {
		t.Errorf("keys %+v", keys)
	}

	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name})
	wantError(t, err, "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	must(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: second.AccessKeyId}))(t)
	must(c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name}))(t)
	must(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: name}))(t)
	_, err = c.GetUser(ctx, &iam.GetUserInput{UserName: name})
	wantError(t, err, "NoSuchEntity", "The user with name Anna cannot be found.")
}

func TestRolesAndPolicies(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	c := iam.NewFromConfig(w.admin(accountA))
	name, doc := aws.String("ci"), allow("ecr:*", "*")
	r := must(c.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: name, Path: aws.String("/ci/"), AssumeRolePolicyDocument: aws.String(trust(stranger, "")), Description: aws.String("builds"),
		MaxSessionDuration: aws.Int32(7200), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	}))(t).Role
	wantID(t, r.RoleId, "AROA")
	if *r.Arn != "arn:aws:iam::111111111111:role/ci/ci" || decoded(t, r.AssumeRolePolicyDocument) != trust(stranger, "") || *r.MaxSessionDuration != 7200 {
		t.Errorf("made %+v", r)
	}
	must(c.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: name, Description: aws.String(""), MaxSessionDuration: aws.Int32(3600)}))(t)
	must(c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(trust("*", ""))}))(t)
	r = must(c.GetRole(ctx, &iam.GetRoleInput{RoleName: name}))(t).Role
	if r.Description != nil || *r.MaxSessionDuration != 3600 || decoded(t, r.AssumeRolePolicyDocument) != trust("*", "") || len(r.Tags) != 1 {
		t.Errorf("changed %+v", r)
	}
	if l := must(c.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/ci")}))(t).Roles; len(l) != 1 || *l[0].RoleName != "ci" {
		t.Errorf("roles %+v", l)
	}

	// Inline policies.
	must(c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: &doc}))(t)
	inline := must(c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))(t)
	if decoded(t, inline.PolicyDocument) != doc || *inline.RoleName != "ci" {
		t.Errorf("inline %+v", inline)
	}
	if l := must(c.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: name}))(t).PolicyNames; !slices.Equal(l, []string{"p"}) {
		t.Errorf("inline policies %v", l)
	}

	// Managed policies, their versions and who has them.
	m := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("push"), PolicyDocument: &doc, Description: aws.String("d")}))(t).Policy
	wantID(t, m.PolicyId, "ANPA")
	must(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: m.Arn}))(t)
	must(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String(pullOnly)}))(t)
	must(c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: name, PermissionsBoundary: m.Arn}))(t)
	var attached []string
	for _, a := range must(c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name}))(t).AttachedPolicies {
		attached = append(attached, *a.PolicyArn)
	}
	if d := cmp.Diff([]string{pullOnly, *m.Arn}, attached); d != "" {
		t.Errorf("attached (-want +got):\n%s", d)
	}
	m = must(c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: m.Arn}))(t).Policy
	if *m.AttachmentCount != 1 || *m.PermissionsBoundaryUsageCount != 1 || *m.DefaultVersionId != "v1" || *m.Description != "d" || !m.IsAttachable {
		t.Errorf("policy %+v", m)
	}
	local := must(c.ListPolicies(ctx, &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal}))(t).Policies
	if len(local) != 1 || *local[0].PolicyName != "push" {
		t.Errorf("local policies %+v", local)
	}
	names := map[string]bool{}
	pages := iam.NewListPoliciesPaginator(c, &iam.ListPoliciesInput{MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, p := range must(pages.NextPage(ctx))(t).Policies {
			if names[*p.PolicyName] {
				t.Errorf("%s is listed twice", *p.PolicyName)
			}
			names[*p.PolicyName] = true
		}
	}
	for _, want := range []string{"push", "AdministratorAccess", "AmazonEC2ContainerRegistryPowerUser", "KontorListReferrers"} {
		t.Run(want, func(t *testing.T) {
			if !names[want] {
				t.Errorf("%s is not listed among %v", want, names)
			}
		})
	}
	used := must(c.ListPolicies(ctx, &iam.ListPoliciesInput{OnlyAttached: true, Scope: types.PolicyScopeTypeAws}))(t).Policies
	if len(used) != 4 { // the administrator's, two of the pusher, and the role's
		t.Errorf("attached policies of AWS: %d", len(used))
	}

	v := must(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: m.Arn, PolicyDocument: aws.String(allow("ecr:Get*", "*")), SetAsDefault: true}))(t).PolicyVersion
	if *v.VersionId != "v2" || !v.IsDefaultVersion {
		t.Errorf("version %+v", v)
	}
	v = must(c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String("v1")}))(t).PolicyVersion
	if v.IsDefaultVersion || decoded(t, v.Document) != doc {
		t.Errorf("v1 %+v", v)
	}
	_, err := c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String("v2")})
	wantError(t, err, "DeleteConflict", "Cannot delete the default version of a policy.")
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: m.Arn})
	wantError(t, err, "DeleteConflict", "This policy has more than one version.")
	must(c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String("v1")}))(t)
	must(c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String("v2")}))(t)
	for range 4 {
		must(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: m.Arn, PolicyDocument: &doc}))(t)
	}
	_, err = c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: m.Arn, PolicyDocument: &doc})
	wantError(t, err, "LimitExceeded", "A managed policy can have up to 5 versions.")
	versions := must(c.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: m.Arn}))(t).Versions
	if len(versions) != 5 || *versions[0].VersionId != "v6" || *versions[4].VersionId != "v1" || !versions[4].IsDefaultVersion {
		t.Errorf("versions %+v", versions)
	}
	for _, id := range []string{"v3", "v4", "v5", "v6"} {
		must(c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String(id)}))(t)
	}

	// What is used does not go, in any order.
	conflict := func(err error, message string) { t.Helper(); wantError(t, err, "DeleteConflict", message) }
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	conflict(err, "must detach all policies first.")
	must(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: m.Arn}))(t)
	must(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: aws.String(pullOnly)}))(t)
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: m.Arn})
	conflict(err, "Cannot delete a policy attached to entities.") // as boundary
	must(c.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name}))(t)
	must(c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: m.Arn}))(t)
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	conflict(err, "must delete policies first.")
	must(c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}))(t)
	must(c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}))(t)
}

// Texts as AWS's, where they are known.
func TestErrors(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	c := iam.NewFromConfig(w.admin(accountA))
	doc := allow("ecr:*", "*")
	w.newUser(accountA, "ann", doc)
	w.newRole(accountA, "r", trust(stranger, ""), "")
	s := aws.String
	tests := []struct {
		name, code, message string
		call                func() error
	}{
		{"user twice", "EntityAlreadyExists", "User with name ann already exists.", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s("ann")})
			return err
		}},
		{"user twice, in another case", "EntityAlreadyExists", "User with name ANN already exists.", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s("ANN")})
			return err
		}},
		{"name with a slash", "ValidationError", "The specified value for userName is invalid.", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s("a/b")})
			return err
		}},
		{"name too long", "ValidationError", "Member must have length less than or equal to 64", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s(strings.Repeat("a", 65))})
			return err
		}},
		{"bad path", "ValidationError", "The specified value for path is invalid.", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s("x"), Path: s("ops")})
			return err
		}},
		{"boundary that is not there", "NoSuchEntity", "does not exist or is not attachable.", func() error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: s("x"), PermissionsBoundary: s("arn:aws:iam::111111111111:policy/none")})
			return err
		}},
		{"policy that is not JSON", "MalformedPolicyDocument", "Syntax errors in policy.", func() error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: s("ann"), PolicyName: s("p"), PolicyDocument: s("{")})
			return err
		}},
		{"identity policy with a principal", "MalformedPolicyDocument", "Principal", func() error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: s("ann"), PolicyName: s("p"), PolicyDocument: s(trust("*", ""))})
			return err
		}},
		{"inline policies too long", "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user ann", func() error {
			_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: s("ann"), PolicyName: s("p"),
				PolicyDocument: s(allow("ecr:*", "arn:aws:ecr:*:*:repository/"+strings.Repeat("a", 2000)))})
			return err
		}},
		{"trust policy that is none", "MalformedPolicyDocument", "Syntax errors in policy.", func() error {
			_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: s("x"), AssumeRolePolicyDocument: &doc})
			return err
		}},
		{"trusts a user that is not there", "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::222222222222:user/ghost"`, func() error {
			_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: s("x"), AssumeRolePolicyDocument: s(trust("arn:aws:iam::222222222222:user/ghost", ""))})
			return err
		}},
		{"trusts a user of an account that is elsewhere", "", "", func() error {
			_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: s("y"), AssumeRolePolicyDocument: s(trust("arn:aws:iam::"+stranger+":user/ghost", ""))})
			return err
		}},
		{"role session too long", "ValidationError", "Member must have value between 3600 and 43200", func() error {
			_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: s("x"), AssumeRolePolicyDocument: s(trust(stranger, "")), MaxSessionDuration: aws.Int32(50000)})
			return err
		}},
		{"no such role", "NoSuchEntity", "The role with name none cannot be found.", func() error {
			_, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: s("none")})
			return err
		}},
		{"no such inline policy", "NoSuchEntity", "The role policy with name none cannot be found.", func() error {
			_, err := c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: s("r"), PolicyName: s("none")})
			return err
		}},
		{"no such policy", "NoSuchEntity", "Policy arn:aws:iam::111111111111:policy/none was not found.", func() error {
			_, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: s("arn:aws:iam::111111111111:policy/none")})
			return err
		}},
		{"attach what is not there", "NoSuchEntity", "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.", func() error {
			_, err := c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: s("ann"), PolicyArn: s("arn:aws:iam::aws:policy/None")})
			return err
		}},
		{"attach a service's", "PolicyNotAttachable", "Cannot attach a Service Role Policy to a Customer Role.", func() error {
			_, err := c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: s("r"), PolicyArn: s("arn:aws:iam::aws:policy/aws-service-role/ECRTemplateServiceRolePolicy")})
			return err
		}},
		{"detach what is not attached", "NoSuchEntity", "was not found.", func() error {
			_, err := c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: s("ann"), PolicyArn: s(pullOnly)})
			return err
		}},
		{"change AWS's", "AccessDenied", "it is managed by AWS.", func() error {
			_, err := c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: s(pullOnly), PolicyDocument: &doc})
			return err
		}},
		{"no such version", "NoSuchEntity", "version v9 does not exist", func() error {
			_, err := c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: s(pullOnly), VersionId: s("v9")})
			return err
		}},
		{"unknown key", "NoSuchEntity", "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found.", func() error {
			_, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: s("ann"), AccessKeyId: s("AKIAIOSFODNN7EXAMPLE")})
			return err
		}},
		{"key of another user", "NoSuchEntity", "cannot be found.", func() error {
			u := must(c.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: s("ann")}))(t).AccessKeyMetadata[0]
			_, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: s("pusher"), AccessKeyId: u.AccessKeyId})
			return err
		}},
		{"tags twice", "InvalidInput", "Duplicate tag keys found.", func() error {
			_, err := c.TagRole(ctx, &iam.TagRoleInput{RoleName: s("r"), Tags: []types.Tag{{Key: s("a"), Value: s("")}, {Key: s("A"), Value: s("")}}})
			return err
		}},
		{"AWS's tags", "InvalidInput", "Caller is not allowed to use system tag prefix aws:.", func() error {
			_, err := c.TagUser(ctx, &iam.TagUserInput{UserName: s("ann"), Tags: []types.Tag{{Key: s("AWS:x"), Value: s("")}}})
			return err
		}},
		{"the server's own user", "UnmodifiableEntity", "belongs to this server", func() error {
			_, err := c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: s("pusher")})
			return err
		}},
		{"page too large", "ValidationError", "Member must have value between 1 and 1000", func() error {
			_, err := c.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(1001)})
			return err
		}},
		{"page of nothing", "ValidationError", "Member must have value between 1 and 1000", func() error {
			_, err := c.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(0)})
			return err
		}},
		{"issuer without https", "InvalidInput", "want a URL that begins with https://", func() error {
			_, err := c.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: s("http://token.example.com")})
			return err
		}},
		{"an action that is not here", "InvalidAction", "The action CreateGroup is not valid for this web service.", func() error {
			_, err := c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: s("g")})
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, tt.code, tt.message)
		})
	}
}

// Who has no iam:* right is denied each action, and learns nothing of what is
// there; who has one, has no more.
func TestAuthorization(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	nobody := w.newUser(accountA, "nobody", "")
	for _, action := range iamapi.Operations() {
		form := "Action=" + action + "&Version=2010-05-08&UserName=nobody&RoleName=x&PolicyName=p&PolicyArn=arn:aws:iam::111111111111:policy/none" +
			"&PolicyDocument=" + strings.ReplaceAll(allow("ecr:*", "*"), `"`, "%22") + "&AssumeRolePolicyDocument=" + strings.ReplaceAll(trust("*", ""), `"`, "%22") +
			"&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Active&VersionId=v1&PermissionsBoundary=" + pullOnly + "&Url=https://x.example&OpenIDConnectProviderArn=arn:aws:iam::111111111111:oidc-provider/x" +
			"&ClientID=a&PolicySourceArn=arn:aws:iam::111111111111:user/nobody&ActionNames.member.1=ecr:PutImage&NewUserName=other"
		status, body := w.query(nobody, form, "iam")
		if status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") ||
			!strings.Contains(body, "User: arn:aws:iam::111111111111:user/nobody is not authorized to perform: iam:") ||
			!strings.Contains(body, "because no identity-based policy allows the iam:") {
			t.Errorf("%s: %d %s", action, status, body)
		}
	}

	own := iam.NewFromConfig(w.newUser(accountA, "self", allow("iam:*AccessKey*", "arn:aws:iam::111111111111:user/${aws:username}")))
	must(own.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}))(t)
	must(own.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{}))(t)
	_, err := own.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: aws.String("nobody")})
	wantError(t, err, "AccessDenied", "is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::111111111111:user/nobody")

	// IAM is the account's, whatever port it is asked at; and only the account's.
	elsewhere := w.admin(accountA)
	elsewhere.BaseEndpoint = aws.String("http://" + w.hosts[accountB])
	must(iam.NewFromConfig(elsewhere).GetUser(ctx, &iam.GetUserInput{UserName: aws.String("self")}))(t)
	_, err = iam.NewFromConfig(w.admin(accountB)).GetUser(ctx, &iam.GetUserInput{UserName: aws.String("self")})
	wantError(t, err, "NoSuchEntity", "The user with name self cannot be found.")

	// Rights to attach may depend on what is attached.
	some := iam.NewFromConfig(w.newUser(accountA, "some", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:AttachUserPolicy","Resource":"*",`+
		`"Condition":{"ArnEquals":{"iam:PolicyARN":"`+pullOnly+`"}}}]}`))
	must(some.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("some"), PolicyArn: aws.String(pullOnly)}))(t)
	_, err = some.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("some"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	wantError(t, err, "AccessDenied", "iam:AttachUserPolicy")
}

// What a policy says holds for the next request: attached, detached, changed,
// bounded, inline and managed.
func TestPoliciesTakeEffect(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	c := iam.NewFromConfig(w.admin(accountA))
	ann, name := w.newUser(accountA, "ann", ""), aws.String("ann")
	refused := func() {
		t.Helper()
		wantError(t, describe(t, ann), "AccessDeniedException", "ecr:DescribeRepositories")
	}
	allowed := func() {
		t.Helper()
		if err := describe(t, ann); err != nil {
			t.Error(err)
		}
	}
	refused()
	m := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("read"), PolicyDocument: aws.String(allow("ecr:Describe*", "*"))}))(t).Policy
	must(c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: m.Arn}))(t)
	allowed()
	must(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: m.Arn, PolicyDocument: aws.String(allow("ecr:Get*", "*")), SetAsDefault: true}))(t)
	refused()
	must(c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: m.Arn, VersionId: aws.String("v1")}))(t)
	allowed()
	must(c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: aws.String(pullOnly)}))(t)
	refused()
	must(c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name}))(t)
	allowed()
	must(c.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: m.Arn}))(t)
	refused()
	must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}}]}`)}))(t)
	refused()
	must(c.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}}))(t)
	allowed()
	_, err := awsecr.NewFromConfig(ann).CreateRepository(ctx, &awsecr.CreateRepositoryInput{RepositoryName: aws.String("app")})
	if err != nil {
		t.Error(err)
	}
	must(c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("p")}))(t)
	refused()
}

func TestSimulate(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	c := iam.NewFromConfig(w.admin(accountA))
	w.newUser(accountA, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:Get*","Resource":"*"},{"Effect":"Deny","Action":"ecr:GetLifecyclePolicy","Resource":"*"},`+
		`{"Effect":"Allow","Action":"ecr:PutImage","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}}]}`)
	ann := aws.String("arn:aws:iam::111111111111:user/ann")
	results := must(c.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: ann, ActionNames: []string{"ecr:GetRepositoryPolicy", "ecr:GetLifecyclePolicy", "ecr:PutImage", "ecr:DeleteRepository"},
	}))(t).EvaluationResults
	want := []types.PolicyEvaluationDecisionType{"allowed", "explicitDeny", "implicitDeny", "implicitDeny"}
	for i, r := range results {
		if r.EvalDecision != want[i] {
			t.Errorf("%s: %s, want %s", *r.EvalActionName, r.EvalDecision, want[i])
		}
	}
	if m := results[1].MatchedStatements; len(m) != 1 || *m[0].SourcePolicyId != "inline policy own" {
		t.Errorf("denied by %+v", m)
	}
	if !slices.Equal(results[2].MissingContextValues, []string{"aws:RequestedRegion"}) {
		t.Errorf("missing %v", results[2].MissingContextValues)
	}
	put := must(c.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: ann, ActionNames: []string{"ecr:PutImage"}, ResourceArns: []string{"arn:aws:ecr:us-east-1:111111111111:repository/a"},
		ContextEntries:                     []types.ContextEntry{{ContextKeyName: aws.String("aws:RequestedRegion"), ContextKeyType: "string", ContextKeyValues: []string{"us-east-1"}}},
		PermissionsBoundaryPolicyInputList: []string{allow("ecr:Get*", "*")},
	}))(t).EvaluationResults[0]
	if put.EvalDecision != "implicitDeny" || put.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
		t.Errorf("beyond the boundary: %+v", put)
	}
	custom := must(c.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{allow("ecr:*", "*")}, ActionNames: []string{"ecr:BatchGetImage"}, ResourceArns: []string{"arn:aws:ecr:us-east-1:" + stranger + ":repository/a"},
		ResourceOwner: aws.String("arn:aws:iam::" + stranger + ":root"), ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:BatchGetImage"}]}`),
	}))(t).EvaluationResults[0]
	if custom.EvalDecision != "allowed" || len(custom.MatchedStatements) != 2 {
		t.Errorf("both sides allow: %+v", custom)
	}
	_, err := c.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String("arn:aws:iam::111111111111:user/none"), ActionNames: []string{"ecr:PutImage"}})
	wantError(t, err, "NoSuchEntity", "cannot be found")
}
