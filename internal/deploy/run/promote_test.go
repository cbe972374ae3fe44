package run_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// promoterOf promotes by the file between registries of this machine, which are
// known by their hosts.
func promoterOf(t *testing.T, file string, local ...*kontortest.Registry) *run.Promoter {
	t.Helper()
	cfg := run.PromoteConfig{
		Now: time.Now, Getenv: func(string) string { return "" },
		Local: func(_ context.Context, host string) (run.Local, bool, error) {
			for _, r := range local {
				if r.Host == host || host == "" {
					id := kecr.RegistryID{Account: kecr.AccountID(r.Account), Region: kecr.Region(r.Region)}
					return run.Local{
						Registry: id, Endpoint: r.URL, Host: r.Host, AccessKeyID: r.Admin.AccessKeyID, SecretAccessKey: r.Admin.SecretAccessKey,
					}, true, nil
				}
			}
			return run.Local{}, false, nil
		},
	}
	if file != "" {
		f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(file)})
		if err != nil {
			t.Fatal(err)
		}
		cfg.File = f
	}
	p := run.NewPromoter(cfg)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

const threeRegistries = `registries:
  - {name: dev, account: "111111111111", region: us-east-2}
  - {name: prod, account: "222222222222", region: eu-west-1, endpoint: "https://registry.example:8443"}
ecr_repositories: {}
`

// The names of images, as people write them.
func TestPromoterNames(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for name, want := range map[string]string{
		"dev/website:1.0":   "dev/website:1.0",
		"dev/team/api:v1":   "dev/team/api:v1",
		"dev/team/api":      "dev/team/api",
		"dev/api@" + digest: "dev/api@" + digest,
		// A host of a registry of the file is that registry.
		"111111111111.dkr.ecr.us-east-2.amazonaws.com/website:1.0": "dev/website:1.0",
		"registry.example:8443/website:1.0":                        "prod/website:1.0",
		"111111111111.dkr.ecr.eu-west-1.amazonaws.com/website:1.0": "111111111111.dkr.ecr.eu-west-1.amazonaws.com/website:1.0",
		"localhost:5050/website:1.0":                               "localhost:5050/website:1.0",
		"GHCR.io/owner/app:1":                                      "ghcr.io/owner/app:1",
		// Docker Hub, under all its names.
		"docker.io/alpine:3.20":               "docker.io/library/alpine:3.20",
		"docker.io/grafana/grafana:11":        "docker.io/grafana/grafana:11",
		"index.docker.io/library/alpine:3.20": "docker.io/library/alpine:3.20",
		"website:1.0":                         "website:1.0: begin with a registry: a host, as in docker.io/library/alpine:3.20, or one of the file (dev, prod), as in dev/website:1.0",
		"staging/website:1.0":                 "staging/website:1.0: begin with a registry",
		"dev/website:":                        `website:: "" is not a tag`,
		"dev/website:a b":                     `website:a b: "a b" is not a tag`,
		"dev/website@sha256:1":                `website@sha256:1: "sha256:1" is not a digest: want sha256: and 64 hexadecimal digits`,
		"dev/:1.0":                            "the repository is missing",
	} {
		t.Run(name, func(t *testing.T) {
			ref, err := promoterOf(t, threeRegistries).Ref(name)
			got := ref.String()
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != want || err != nil && !strings.Contains(got, want) {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	// Without a file there is the registry of this machine.
	if ref, err := promoterOf(t, "").Ref("local/website:1.0"); err != nil || ref.Registry != "local" {
		t.Errorf("%v, %v", ref, err)
	}
	// A tag with a digest is the tag of the copy.
	from, to, err := promoterOf(t, threeRegistries).Pair("dev/website:1.0@"+digest, "prod/website")
	if err != nil || from.String() != "dev/website@"+digest || to.String() != "prod/website:1.0" {
		t.Errorf("%v, %v, %v", from, to, err)
	}
	if _, _, err = promoterOf(t, threeRegistries).Pair("dev/website@"+digest, "prod/website"); err == nil || !strings.Contains(err.Error(), "give the tag to promote to") {
		t.Error(err)
	}
}

// What a caller may not do is known before anything is sent, on either side.
func TestPromoterRights(t *testing.T) {
	dev, prod := kontortest.Start(t, kontortest.Options{Account: "111111111111"}), kontortest.Start(t, kontortest.Options{Account: "222222222222"})
	for _, r := range []*kontortest.Registry{dev, prod} {
		r.CreateRepository(t, "website")
	}
	c := remotetest.NewContent(1)
	c.Image("linux", "amd64", c.Layer(100))
	c.Manifests[0].Tag = "1.0"
	source := remotetest.Registry{Host: dev.Host, User: "AWS", Password: dev.Password(t)}
	if err := source.Push("website", c); err != nil {
		t.Fatal(err)
	}
	deny := func(r *kontortest.Registry, actions ...string) {
		t.Helper()
		_, err := awstest.ECR(r).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{
			RepositoryName: aws.String("website"), Force: true,
			PolicyText: aws.String(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["%s"]}]}`, strings.Join(actions, `","`))),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	image := func() promote.Image {
		t.Helper()
		p := promoterOf(t, "", dev, prod)
		pl, err := p.Plan(t.Context(), run.Ask{Source: dev.Host + "/website:1.0", Destination: prod.Host + "/website"})
		if err != nil {
			t.Fatal(err)
		}
		return pl.Images[0]
	}
	if i := image(); i.Status != promote.StatusPending || len(i.Rights) > 0 {
		t.Fatalf("%+v", i)
	}
	deny(dev, "ecr:GetDownloadUrlForLayer")
	deny(prod, "ecr:PutImage", "ecr:UploadLayerPart")
	i := image()
	if i.Status != promote.StatusRefused || len(i.Rights) != 2 {
		t.Fatalf("%+v", i)
	}
	for n, want := range []string{
		"the caller may not do ecr:GetDownloadUrlForLayer in " + dev.Host + "/website",
		"the caller may not do ecr:UploadLayerPart and ecr:PutImage in " + prod.Host + "/website",
	} {
		t.Run(fmt.Sprint("finding ", n), func(t *testing.T) {
			if got := i.Findings[n]; got.Code != promote.CodeRights || got.Message != want {
				t.Errorf("%s: %s, want %s", got.Code, got.Message, want)
			}
		})
	}
}

// Of a repository that is made first, the rights to make it are proven, too, and
// by the policy that it will have those to push.
func TestPromoterRightsToCreate(t *testing.T) {
	dev, prod := kontortest.Start(t, kontortest.Options{Account: "111111111111"}), kontortest.Start(t, kontortest.Options{Account: "222222222222"})
	dev.CreateRepository(t, "website")
	c := remotetest.NewContent(1)
	c.Image("linux", "amd64", c.Layer(100))
	c.Manifests[0].Tag = "1.0"
	source := remotetest.Registry{Host: dev.Host, User: "AWS", Password: dev.Password(t)}
	if err := source.Push("website", c); err != nil {
		t.Fatal(err)
	}
	people := iam.New(iam.Options{
		Region: prod.Region, BaseEndpoint: aws.String(prod.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(prod.Admin.AccessKeyID, prod.Admin.SecretAccessKey, ""),
	})
	deny := func(actions string) {
		t.Helper()
		_, err := people.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("administrator"), PolicyName: aws.String("less"), PolicyDocument: aws.String(
			fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":[%s],"Resource":"*"}]}`, actions))})
		if err != nil {
			t.Fatal(err)
		}
	}
	const (
		plain  = "ecr_repositories: {website: {expire_untagged_after_days: never}}\n"
		closed = `ecr_repositories: {website: {expire_untagged_after_days: never, extra_policy_statements: [{Effect: Deny, Principal: "*", Action: "ecr:PutImage"}]}}`
		full   = `ecr_repositories: {website: {additional_pull_account_ids: ["111111111111"], extra_policy_statements: [{Effect: Deny, Principal: "*", Action: "ecr:BatchDeleteImage"}]}}`
	)
	for name, test := range map[string]struct{ file, deny, lacks string }{
		"all rights":                      {full, `"ecr:DeleteRepository"`, ""},
		"to create":                       {full, `"ecr:CreateRepository"`, "ecr:CreateRepository"},
		"to tag":                          {plain, `"ecr:TagResource"`, "ecr:TagResource"},
		"to set the policies":             {full, `"ecr:SetRepositoryPolicy","ecr:PutLifecyclePolicy"`, "ecr:SetRepositoryPolicy and ecr:PutLifecyclePolicy"},
		"policies that it will not have":  {plain, `"ecr:SetRepositoryPolicy","ecr:PutLifecyclePolicy"`, ""},
		"to push":                         {plain, `"ecr:PutImage"`, "ecr:PutImage"},
		"by the policy that it will have": {closed, `"ecr:DeleteRepository"`, "ecr:PutImage"},
	} {
		t.Run(name, func(t *testing.T) {
			deny(test.deny)
			p := promoterOf(t, test.file, prod, dev)
			pl, err := p.Plan(t.Context(), run.Ask{Source: dev.Host + "/website:1.0", Destination: "local/website"})
			if err != nil {
				t.Fatal(err)
			}
			i, want := pl.Images[0], ""
			if test.lacks != "" {
				want = "the caller may not do " + test.lacks + " in local/website"
			}
			if !i.Create || i.Refusal() != want {
				t.Errorf("%q, want %q", i.Refusal(), want)
			}
		})
	}
}
