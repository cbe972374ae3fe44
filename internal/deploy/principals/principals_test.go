package principals_test

import (
	"context"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/kontortest"
)

func client(r *kontortest.Registry, c kontortest.Credentials) *iam.Client {
	return iam.New(iam.Options{
		Region: r.Region, BaseEndpoint: aws.String(r.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
	})
}

func TestRead(t *testing.T) {
	r := kontortest.Start(t)
	api := client(r, r.Admin)
	const (
		trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`
		pull  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}}`
		limit = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`
	)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	boundary, err := api.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("limit"), PolicyDocument: aws.String(limit)})
	must(boundary, err)
	must(api.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ann"), Path: aws.String("/team/"), PermissionsBoundary: boundary.Policy.Arn,
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}}))
	must(api.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("own"), PolicyDocument: aws.String(pull)}))
	must(api.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: aws.String(trust)}))
	must(api.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("ci"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly")}))
	must(api.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("ci"), PolicyArn: boundary.Policy.Arn}))

	list, unseen, err := principals.Read(ctx, api)
	if err != nil || unseen != "" {
		t.Fatalf("Read: %q, %v", unseen, err)
	}
	find := func(arn string) proof.Principal {
		i := slices.IndexFunc(list, func(p proof.Principal) bool { return p.ARN == arn })
		if i < 0 {
			t.Fatalf("there is no %s in %v", arn, list)
		}
		p := list[i]
		p.UniqueID = ""
		return p
	}
	ann := find("arn:aws:iam::000000000000:user/team/ann")
	want := proof.Principal{
		ARN: ann.ARN, Tags: map[string]string{"team": "a"},
		Documents: []access.Document{{Name: "inline policy own", Text: pull}},
		Boundary:  &access.Document{Name: "limit", Text: limit},
	}
	if diff := cmp.Diff(want, ann); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	ci := find("arn:aws:iam::000000000000:role/ci")
	var names []string
	for _, d := range ci.Documents {
		names = append(names, d.Name)
	}
	if diff := cmp.Diff([]string{"AmazonEC2ContainerRegistryPullOnly", "limit"}, names); diff != "" {
		t.Errorf("role (-want +got):\n%s", diff)
	}
	if ci.Trust != trust {
		t.Errorf("the role's trust policy is %q", ci.Trust)
	}
	for _, p := range list {
		if p.Unseen != "" {
			t.Errorf("%s: %s", p.ARN, p.Unseen)
		}
	}
}

// Who may not read IAM is told so, and no one is taken for harmless.
func TestReadDenied(t *testing.T) {
	r := kontortest.Start(t)
	list, unseen, err := principals.Read(t.Context(), client(r, r.Pusher))
	if err != nil || unseen != "iam:GetAccountAuthorizationDetails is not allowed" || len(list) > 0 {
		t.Errorf("Read = %v, %q, %v", list, unseen, err)
	}
}

// noPolicies cannot read policies of AWS.
type noPolicies struct{ *iam.Client }

func (noPolicies) GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	return nil, &types.NoSuchEntityException{Message: aws.String("no")}
}

func TestReadUnknownPolicy(t *testing.T) {
	r := kontortest.Start(t)
	list, _, err := principals.Read(t.Context(), noPolicies{client(r, r.Admin)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		// The push/pull user has a policy that is this server's own.
		want := ""
		if p.ARN == "arn:aws:iam::000000000000:user/pusher" {
			want = "policy KontorListReferrers: NoSuchEntity: no"
		}
		if p.Unseen != want {
			t.Errorf("%s: unseen %q, want %q", p.ARN, p.Unseen, want)
		}
	}
}

// Pages are put together.
func TestReadPages(t *testing.T) {
	r := kontortest.Start(t)
	api := client(r, r.Admin)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if _, err := api.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String(name)}); err != nil {
			t.Fatal(err)
		}
	}
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(api, &iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(2)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(page.UserDetailList) + len(page.RoleDetailList) + len(page.Policies); n > 2 {
			t.Errorf("a page of %d", n)
		}
		for _, u := range page.UserDetailList {
			names = append(names, aws.ToString(u.UserName))
		}
	}
	if diff := cmp.Diff([]string{"a", "administrator", "b", "c", "d", "e", "pusher"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
