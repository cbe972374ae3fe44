package authz_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

const (
	own     ecr.AccountID = "111122223333"
	foreign ecr.AccountID = "444455556666"
)

func user(policies ...string) access.Principal {
	return access.Principal{
		Account: own, ARN: "arn:aws:iam::111122223333:user/someone", UniqueID: "AIDAQ3EGXAMPLE", KeyID: "AKIDEXAMPLE",
		Policies: policies,
	}
}

func repository(account ecr.AccountID) string {
	return ecr.RegistryID{Account: account, Region: "us-east-1"}.RepositoryARN("team/app")
}

func TestDecide(t *testing.T) {
	const (
		deniedIdentity = "User: arn:aws:iam::111122223333:user/someone is not authorized to perform: ecr:DeleteRepository " +
			"on resource: arn:aws:ecr:us-east-1:111122223333:repository/team/app " +
			"because no identity-based policy allows the ecr:DeleteRepository action"
		deniedResource = "User: arn:aws:iam::111122223333:user/someone is not authorized to perform: ecr:BatchGetImage " +
			"on resource: arn:aws:ecr:us-east-1:444455556666:repository/team/app " +
			"because no resource-based policy allows the ecr:BatchGetImage action"
		deniedExplicitly = "User: arn:aws:iam::111122223333:user/someone is not authorized to perform: ecr:BatchGetImage " +
			"on resource: arn:aws:ecr:us-east-1:111122223333:repository/team/app with an explicit deny in a resource-based policy"
		deniedToken = "User: arn:aws:iam::111122223333:user/someone is not authorized to perform: ecr:GetAuthorizationToken " +
			"on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"
	)
	const (
		everyone  = `{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`
		byAddress = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*",` +
			`"Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`
	)
	var office policy.Context
	office.Set("aws:SourceIp", "192.0.2.7")
	tests := []struct {
		name string
		req  authz.Request
		want authz.Decision
	}{
		{"administrator, own account",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:DeleteRepository", Resource: repository(own), Owner: own},
			authz.Decision{Allowed: true, By: "AdministratorAccess, statement 1"}},
		{"administrator, unknown action",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:Whatever", Resource: "*", Owner: own},
			authz.Decision{Allowed: true, By: "AdministratorAccess, statement 1"}},
		{"administrator, another account",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(foreign), Owner: foreign},
			authz.Decision{Message: deniedResource}},
		// Amazon ECR user guide, "Private repository policies"; across accounts
		// both sides must allow
		{"administrator, another account, granted",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(foreign),
				Owner: foreign, RepositoryPolicy: everyone},
			authz.Decision{Allowed: true, By: `AdministratorAccess, statement 1; repository policy, statement 1 "all"`}},
		{"own account, granted as a whole",
			authz.Request{Principal: user(), Action: "ecr:DeleteRepository", Resource: repository(own),
				Owner: own, RepositoryPolicy: strings.Replace(everyone, `"*"`, `{"AWS":"111122223333"}`, 1)},
			authz.Decision{Message: deniedIdentity}},
		{"own account, granted directly",
			authz.Request{Principal: user(), Action: "ecr:DeleteRepository", Resource: repository(own), Owner: own, RepositoryPolicy: everyone},
			authz.Decision{Allowed: true, By: `repository policy, statement 1 "all"`}},
		{"administrator, denied",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(own),
				Owner: own, RepositoryPolicy: strings.Replace(everyone, "Allow", "Deny", 1)},
			authz.Decision{By: `repository policy, statement 1 "all"`, Message: deniedExplicitly}},
		{"a condition without a value",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(own), Owner: own, RepositoryPolicy: byAddress},
			authz.Decision{By: "repository policy, statement 1", DependsOn: []string{"aws:SourceIp"}, Message: deniedExplicitly}},
		{"the same, known",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(own), Owner: own, RepositoryPolicy: byAddress,
				Context: office},
			authz.Decision{Allowed: true, By: "AdministratorAccess, statement 1"}},
		{"a policy that cannot be read denies",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:BatchGetImage", Resource: repository(own), Owner: own, RepositoryPolicy: "{"},
			authz.Decision{By: `repository policy, statement 1 "unreadable"`, Message: deniedExplicitly}},
		{"a policy that cannot be read can be replaced",
			authz.Request{Principal: user(access.PolicyAdministrator), Action: "ecr:SetRepositoryPolicy", Resource: repository(own), Owner: own, RepositoryPolicy: "{"},
			authz.Decision{Allowed: true, By: "AdministratorAccess, statement 1"}},
		{"pusher pushes",
			authz.Request{Principal: user(access.PolicyPushPull), Action: "ecr:PutImage", Resource: repository(own), Owner: own},
			authz.Decision{Allowed: true, By: "AmazonEC2ContainerRegistryPowerUser, statement 1"}},
		// "PowerUser cannot delete images or repositories, create repositories
		// or set policies": ECR user guide, AWS managed policies.
		{"pusher deletes a repository",
			authz.Request{Principal: user(access.PolicyPushPull), Action: "ecr:DeleteRepository", Resource: repository(own), Owner: own},
			authz.Decision{Message: deniedIdentity}},
		{"no policy, no owner",
			authz.Request{Principal: user(), Action: "ecr:DeleteRepository", Resource: repository(own), Owner: own},
			authz.Decision{Message: deniedIdentity}},
		{"a policy that is not known",
			authz.Request{Principal: user("PowerUserAccess"), Action: "ecr:DeleteRepository", Resource: repository(own), Owner: own},
			authz.Decision{Message: deniedIdentity}},
		{"a token needs no owner",
			authz.Request{Principal: user(access.PolicyPushPull), Action: "ecr:GetAuthorizationToken", Resource: "*"},
			authz.Decision{Allowed: true, By: "AmazonEC2ContainerRegistryPowerUser, statement 1"}},
		{"a token without a policy",
			authz.Request{Principal: user(), Action: "ecr:GetAuthorizationToken", Resource: "*", Owner: own},
			authz.Decision{Message: deniedToken}},
		{"a job of the server",
			authz.Request{Principal: access.Principal{System: "lifecycle"}, Action: "ecr:BatchDeleteImage", Resource: repository(own), Owner: own},
			authz.Decision{Allowed: true, By: "system: lifecycle"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := authz.Decide(tt.req)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("Decide (-want +got):\n%s", d)
			}
			err := got.Err()
			if tt.want.Allowed {
				if err != nil {
					t.Errorf("Err of an allowing decision: %v", err)
				}
				return
			}
			if !errors.Is(err, &ecr.Error{Code: ecr.CodeAccessDenied, Message: tt.want.Message}) {
				t.Errorf("Err = %v", err)
			}
		})
	}
}

// The actions of AmazonEC2ContainerRegistryPowerUser as AWS publishes them,
// and those that an account would least like a pusher to have.
func TestPowerUserActions(t *testing.T) {
	may := []access.Action{
		"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy",
		"ecr:DescribeRepositories", "ecr:ListImages", "ecr:DescribeImages", "ecr:BatchGetImage", "ecr:GetLifecyclePolicy",
		"ecr:GetLifecyclePolicyPreview", "ecr:ListTagsForResource", "ecr:DescribeImageScanFindings", "ecr:InitiateLayerUpload",
		"ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage",
	}
	mayNot := []access.Action{
		"ecr:CreateRepository", "ecr:DeleteRepository", "ecr:BatchDeleteImage", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy",
		"ecr:PutLifecyclePolicy", "ecr:DeleteLifecyclePolicy", "ecr:PutImageTagMutability", "ecr:TagResource", "ecr:UntagResource",
		"ecr:BatchImportUpstreamImage", "ecr:*", "ecr:", "", "iam:CreateUser",
	}
	ask := func(a access.Action) bool {
		return authz.Decide(authz.Request{Principal: user(access.PolicyPushPull), Action: a, Resource: repository(own), Owner: own}).Allowed
	}
	for _, a := range may {
		t.Run(string(a), func(t *testing.T) {
			if !ask(a) {
				t.Errorf("%s is denied", a)
			}
		})
	}
	for _, a := range mayNot {
		t.Run(string(a), func(t *testing.T) {
			if ask(a) {
				t.Errorf("%s is allowed", a)
			}
		})
	}
}

// No principal but the server's own jobs gets anything outside its account,
// whatever its policies and the action, unless the repository's policy names
// it.
func TestNothingAcrossAccounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "?", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"555555555555"},"Action":"ecr:*"}]}`})
		r := authz.Request{
			Principal:        user(rapid.SliceOf(rapid.SampledFrom([]string{access.PolicyAdministrator, access.PolicyPushPull, "X"})).Draw(t, "policies")...),
			Action:           access.Action("ecr:" + rapid.SampledFrom([]string{"PutImage", "BatchGetImage", "DeleteRepository"}).Draw(t, "action")),
			Resource:         repository(foreign),
			Owner:            rapid.SampledFrom([]ecr.AccountID{foreign, "", "000000000000"}).Draw(t, "owner"),
			RepositoryPolicy: text.Draw(t, "policy"),
		}
		if d := authz.Decide(r); d.Allowed || !strings.Contains(d.Message, "-based policy allows the") {
			t.Fatalf("Decide = %+v", d)
		}
	})
}

// However many policies there are, each request is judged by its own.
func TestManyPolicies(t *testing.T) {
	for range 2 {
		for i := range 1200 {
			text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:A%d"}]}`, i)
			for _, j := range []int{i, i + 1} {
				action := access.Action(fmt.Sprint("ecr:A", j))
				d := authz.Decide(authz.Request{Principal: user(access.PolicyAdministrator), Action: action, Resource: repository(own), Owner: own, RepositoryPolicy: text})
				if d.Allowed != (i != j) {
					t.Fatalf("policy %d, action %d: %+v", i, j, d)
				}
			}
		}
	}
}

// A principal without an account matches no owner, not even an absent one.
func TestZeroPrincipal(t *testing.T) {
	if d := authz.Decide(authz.Request{Action: "ecr:PutImage", Principal: access.Principal{Policies: []string{access.PolicyAdministrator}}}); d.Allowed {
		t.Errorf("Decide = %+v", d)
	}
	p := user(access.PolicyAdministrator)
	p.Account = foreign
	if d := authz.Decide(authz.Request{Action: "ecr:PutImage", Principal: p, Owner: foreign, Resource: repository(foreign)}); d.Allowed {
		t.Errorf("an ARN of another account: %+v", d)
	}
}

// What the scope of a machine token leaves out is denied, and depends on nothing: not on
// an image either.
func TestScopeDependsOnNothing(t *testing.T) {
	p := user(access.PolicyAdministrator)
	p.Token = &access.MachineToken{Name: "ci", Scope: &access.Document{Name: "scope", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-1:111122223333:repository/other"}]}`}}
	r := authz.Request{
		Principal: p, Action: "ecr:BatchGetImage", Resource: repository(own), Owner: own, Region: "us-east-1",
		RepositoryPolicy: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"Null":{"kontor:SignedBy":"true"}}}]}`,
		Image:            func(string) ([]string, bool) { return nil, false },
	}
	if d := authz.Decide(r); d.Allowed || len(d.DependsOn) > 0 || !strings.Contains(d.Message, "the scope of the token ci") {
		t.Errorf("%+v", d)
	}
	r.Resource = "arn:aws:ecr:us-east-1:111122223333:repository/other"
	if d := authz.Decide(r); d.Allowed || len(d.DependsOn) != 1 {
		t.Errorf("%+v", d)
	}
}
