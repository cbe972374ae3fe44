package principals_test

import (
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
