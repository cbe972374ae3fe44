package up_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/host/up"
	"github.com/kontor-registry/kontor/internal/testkit/push"
)

func start(t *testing.T, folder, file string) (*up.Up, error) {
	t.Helper()
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	who, err := declared.Parse([]byte("identities: [{account: \"222222222222\", users: [{name: ann, policies: [AmazonEC2ContainerRegistryPowerUser]}]}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return up.Start(t.Context(), up.Config{
		Host: host.Config{Folder: folder, Host: "127.0.0.1"}, File: f, Registry: kecr.LocalRegistry(),
		Identities: who, Getenv: func(string) string { return "" }, Now: time.Now,
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client calls registry number i as its administrator.
func client(t *testing.T, u *up.Up, i int) *ecr.Client {
	t.Helper()
	c, err := u.Conn(t.Context(), u.Registries[i], identity.Administrator)
	must(t, err)
	return ecr.New(ecr.Options{
		Region: string(c.Registry.Region), BaseEndpoint: aws.String(c.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
	})
}

const registries = `stack: shop
registries:
  - {name: us, account: "111111111111", region: us-east-2, role_arn: "arn:aws:iam::111111111111:role/deployer"}
  - {name: eu, account: "222222222222", region: eu-west-1, profile: nobody}
clusters: [{name: apps, account: "333333333333", region: us-east-2}]
`

// TestUp: each registry of the file is one of this machine, with the file's
// repositories, and nothing goes to AWS. Access tests of people that are not
// here are told of, and those of others are run.
func TestUp(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went to AWS: %s %s", r.Method, r.URL)
	}))
	defer stranger.Close()
	for _, v := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM"} {
		t.Setenv(v, stranger.URL)
	}
	u, err := start(t, t.TempDir(), registries+`access_tests:
  - {principal: "arn:aws:iam::111111111111:role/ci", repository: app, allow: [push], deny: [admin]}
  - {principal: "arn:aws:iam::222222222222:user/ann", repository: app, allow: [pull]}
ecr_repositories:
  app: {additional_pull_account_ids: ["222222222222"]}
  web: {registries: [eu]}
`)
	must(t, err)
	defer func() { must(t, u.Close()) }()
	want := []string{"kontor.yaml:7:5: this access test was not run: this server has no user or role arn:aws:iam::111111111111:role/ci"}
	if fmt.Sprint(u.Notices) != fmt.Sprint(want) {
		t.Errorf("notices %q, want %q", u.Notices, want)
	}
	if a, b := u.Registries[0], u.Registries[1]; len(u.Deployed) != 2 || a.Name != "us" || b.Account != "222222222222" || a.Host == b.Host {
		t.Errorf("%+v", u.Registries)
	}
	for i, names := range [][]string{{"app"}, {"app", "web"}} {
		out, err := client(t, u, i).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
		must(t, err)
		if len(out.Repositories) != len(names) || len(u.Deployed[i].Repositories) != len(names) || len(u.Deployed[i].Plan.Pending()) != len(names) {
			t.Errorf("registry %d has %d repositories, want %q", i, len(out.Repositories), names)
		}
	}
}

// TestUpIsChecked: what apply refuses, up refuses, and then nothing is served or
// changed: there is one way to deploy.
func TestUpIsChecked(t *testing.T) {
	folder := t.TempDir()
	u, err := start(t, folder, "stack: shop\necr_repositories: {app: {}}\n")
	must(t, err)
	api := client(t, u, 0)
	for i := range 3 {
		push.To(t, api, "app").Image(fmt.Sprint("layer ", i), "", fmt.Sprint("v", i))
	}
	must(t, u.Close())
	const rules = "ecr_repositories: {new: {}, app: {expiration_rules: [{tag_pattern: \"v*\", keep_last: 1}]}}\n"
	tests := []struct{ name, file, want string }{
		{"max_expire", "stack: shop\nplan: {max_expire: 1}\n" + rules, "app: the new lifecycle policy would expire 2 of 3 images at once, and plan.max_expire allows 1"},
		{"lifecycle test", "stack: shop\nlifecycle_tests: [{image: {tags: [v1], age_days: 1, newer: 1}, repository: app, expect: kept}]\n" + rules, "in repository app the image is expired, not kept"},
		{"access test", "stack: shop\naccess_tests: [{principal: \"333333333333\", repository: new, allow: [pull]}]\n" + rules, "an access test failed: 333333333333 may pull"},
		{"another stack's", "stack: other\necr_repositories: {app: {}}\n", "registry local: repository app belongs to stack shop, not to other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := start(t, folder, tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	u, err = start(t, folder, "stack: shop\necr_repositories: {app: {}}\n")
	must(t, err)
	defer func() { must(t, u.Close()) }()
	if n := len(u.Deployed[0].Plan.Pending()); n != 0 {
		t.Errorf("%d changes are left to make: up changed something before it refused", n)
	}
}

// TestUpInterrupted: an interrupt before all is there leaves nothing running.
func TestUpInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f, _, err := spec.Load(spec.Example())
	must(t, err)
	folder := t.TempDir()
	_, err = up.Start(ctx, up.Config{
		Host: host.Config{Folder: folder, Host: "127.0.0.1"}, File: f, Registry: kecr.LocalRegistry(),
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { cancel(); return time.Now() },
	})
	if err == nil || err.Error() != "interrupted before the registry was ready: run it again to finish" {
		t.Errorf("%v", err)
	}
	u, err := start(t, folder, "ecr_repositories: {}\n")
	must(t, err)
	must(t, u.Close())
}

// TestUpWithKMS: encryption that there is not here keeps nothing from starting,
// is told as on ECR, and is no change the next time.
func TestUpWithKMS(t *testing.T) {
	folder := t.TempDir()
	const file = "stack: shop\necr_repositories: {plain: {}, secret: {encryption: {type: KMS, kms_key: alias/images}}, own: {encryption: {type: KMS}}}\n"
	for _, pending := range []int{3, 0} {
		u, err := start(t, folder, file)
		must(t, err)
		if got := fmt.Sprint(u.Notices); !strings.Contains(got, "there is no KMS here: encryption of own, secret is stored and told as on ECR, and encrypts nothing") {
			t.Errorf("notices %s", got)
		}
		if n := len(u.Deployed[0].Plan.Pending()); n != pending {
			t.Errorf("%d changes, want %d", n, pending)
		}
		out, err := client(t, u, 0).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"secret"}})
		must(t, err)
		if e := out.Repositories[0].EncryptionConfiguration; e.EncryptionType != "KMS" || aws.ToString(e.KmsKey) != "arn:aws:kms:us-east-1:000000000000:alias/images" {
			t.Errorf("%+v", e)
		}
		must(t, u.Close())
	}
}

// TestUpWithOrganizations: policies on organizations hold for the accounts that
// the file of identities states.
func TestUpWithOrganizations(t *testing.T) {
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(`stack: shop
registries: [{name: us, account: "111111111111", region: us-east-1}]
ecr_repositories:
  app: {pull_organization_ids: [o-exampleorgid]}
  closed: {pull_organization_ids: [o-exampleorgid], extra_policy_statements: [{Effect: Deny, Principal: "*", Action: "ecr:ListImages", Condition: {StringNotEquals: {"aws:PrincipalOrgID": o-exampleorgid}}}]}
`)})
	must(t, err)
	const identities = `identities:
  - {account: "222222222222", users: [{name: ann, policies: [AmazonEC2ContainerRegistryPowerUser], access_keys: [{id: AKIAANN000000000TEST, secret_env: KEY}]}]}
  - {account: "333333333333", users: [{name: bob, policies: [AmazonEC2ContainerRegistryPowerUser], access_keys: [{id: AKIABOB000000000TEST, secret_env: KEY}]}]}
`
	for _, tt := range []struct {
		organizations string
		ann           bool
		notice        string
	}{
		{"organizations: [{id: o-exampleorgid, accounts: [\"111111111111\", \"222222222222\"]}]\n", true, ""},
		{"organizations: [{id: o-anotherorgid, accounts: [\"111111111111\", \"222222222222\"]}, {id: o-exampleorgid, accounts: []}]\n", false, ""},
		{"", false, "organizations: in the file of --identities"},
	} {
		who, err := declared.Parse([]byte(identities + tt.organizations))
		must(t, err)
		u, err := up.Start(t.Context(), up.Config{
			Host: host.Config{Folder: t.TempDir(), Host: "127.0.0.1"}, File: f, Registry: kecr.LocalRegistry(),
			Identities: who, Getenv: func(string) string { return "not-a-secret-but-long-enough" }, Now: time.Now,
		})
		must(t, err)
		if got := fmt.Sprint(u.Notices); tt.notice != "" && !strings.Contains(got, tt.notice) || tt.notice == "" && len(u.Notices) > 0 {
			t.Errorf("notices %s", got)
		}
		for key, allowed := range map[string]bool{"AKIAANN000000000TEST": tt.ann, "AKIABOB000000000TEST": false} {
			for _, name := range []string{"app", "closed"} {
				api := ecr.New(ecr.Options{Region: "us-east-1", BaseEndpoint: aws.String(u.Registries[0].Endpoint),
					Credentials: credentials.NewStaticCredentialsProvider(key, "not-a-secret-but-long-enough", "")})
				_, err := api.ListImages(t.Context(), &ecr.ListImagesInput{RegistryId: aws.String("111111111111"), RepositoryName: aws.String(name)})
				if (err == nil) != allowed {
					t.Errorf("%q: %s in %s: %v", tt.organizations, key, name, err)
				}
			}
		}
		must(t, u.Close())
	}
	for text, want := range map[string]string{
		"organizations: [{id: o-x}]\n":                                                            "want an id such as o-exampleorgid",
		"organizations: [{id: o-exampleorgid, accounts: [\"1\"]}]\n":                              `account "1"`,
		"organizations: [{id: o-exampleorgid}, {id: o-exampleorgid}]\n":                           "is there twice",
		"organizations: [{id: o-exampleorgid, accounts: [\"111111111111\", \"111111111111\"]}]\n": "is there twice",
	} {
		if _, err := declared.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
