package principals_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// What counts for the registry as a whole is read, and what may not be read is
// said to be unseen.
func TestGrantsOfARegistry(t *testing.T) {
	r := kontortest.Start(t)
	ctx := t.Context()
	connect := func(c kontortest.Credentials) *ecr.Client {
		return ecr.New(ecr.Options{
			Region: r.Region, BaseEndpoint: aws.String(r.URL), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		})
	}
	api := connect(r.Admin)
	in := kecr.RegistryID{Account: "000000000000", Region: kecr.Region(r.Region)}
	granted := func(api *ecr.Client) (proof.Registry, string) {
		t.Helper()
		g, note, err := principals.RegistryOf(ctx, api, in)
		if err != nil {
			t.Fatal(err)
		}
		return g, note
	}
	if g, note := granted(api); g != (proof.Registry{}) || note != "" {
		t.Errorf("without a policy: %+v", g)
	}
	_, err := api.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:ReplicateImage","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	g, note := granted(api)
	if g.Policy == "" || g.Scope != proof.ScopeV2 || note != "" {
		t.Errorf("V2: %+v", g)
	}
	if _, err := api.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String(proof.KeyScope), Value: aws.String("V1")}); err != nil {
		t.Fatal(err)
	}
	if g, note := granted(api); g.Scope != proof.ScopeV1 || note != "" {
		t.Errorf("V1: %+v", g)
	}
	// The push/pull user may read neither.
	const prefix = "of 000000000000/us-east-1 was not seen: "
	if g, note := granted(connect(r.Pusher)); g.Unseen == "" ||
		note != "the registry policy "+prefix+"ecr:GetRegistryPolicy is not allowed" {
		t.Errorf("denied: %+v", g)
	}
	_, err = client(r, r.Admin).PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("pusher"), PolicyName: aws.String("more"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetRegistryPolicy","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if g, note := granted(connect(r.Pusher)); g.Scope != proof.ScopeUnseen ||
		note != "the account setting REGISTRY_POLICY_SCOPE "+prefix+"ecr:GetAccountSetting is not allowed" {
		t.Errorf("setting denied: %+v", g)
	}
}

// A repository whose policy keeps the caller out is named, where the list leaves it
// out too; and whoever may list nothing sees the repositories that the file names.
func TestGrantsThatAreHidden(t *testing.T) {
	r := kontortest.Start(t)
	ctx := t.Context()
	in := kecr.RegistryID{Account: "000000000000", Region: kecr.Region(r.Region)}
	connect := func(c kontortest.Credentials) *ecr.Client {
		return ecr.New(ecr.Options{
			Region: r.Region, BaseEndpoint: aws.String(r.URL), RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		})
	}
	admin := connect(r.Admin)
	for _, name := range []string{"locked", "open"} {
		r.CreateRepository(t, name)
	}
	if _, err := admin.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("locked"), Force: true, PolicyText: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`)}); err != nil {
		t.Fatal(err)
	}
	names, note, err := principals.Names(ctx, admin, in, []kecr.RepositoryName{"locked", "new"})
	if err != nil || note != "" || !slices.Equal(names, []kecr.RepositoryName{"locked", "new", "open"}) {
		t.Errorf("names %v, %q, %v", names, note, err)
	}
	list, notes, err := principals.Grants(ctx, admin, in, names)
	if err != nil || len(list) != 1 || list[0].Name != "open" {
		t.Errorf("%+v, %v", list, err)
	}
	if len(notes) != 1 || !strings.HasPrefix(notes[0], `repository "locked" was not seen: User: `) || !strings.Contains(notes[0], "explicit deny in a resource-based policy") {
		t.Errorf("notes %q", notes)
	}
	if _, _, err := principals.Grants(ctx, admin, in, []kecr.RepositoryName{"locked"}); err == nil {
		t.Error("nothing at all was seen, and that is no error")
	}

	_, err = client(r, r.Admin).PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("pusher"), PolicyName: aws.String("few"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:DescribeRepositories","Resource":"arn:aws:ecr:*:*:repository/*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	names, note, err = principals.Names(ctx, connect(r.Pusher), in, []kecr.RepositoryName{"open"})
	if err != nil || !slices.Equal(names, []kecr.RepositoryName{"open"}) ||
		note != "repositories of 000000000000/us-east-1 that the file does not name were not seen: ecr:DescribeRepositories on all of them is not allowed" {
		t.Errorf("names %v, %q, %v", names, note, err)
	}
	if _, _, err := principals.Names(ctx, connect(r.Pusher), in, nil); err == nil {
		t.Error("nothing was listed and nothing known, and that is no error")
	}
}
