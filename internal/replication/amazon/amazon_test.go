package amazon_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/replication/amazon"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// rights are what the guide gives the role.
const rights = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:DescribeRepositoryCreationTemplates"],"Resource":"*"},
	{"Effect":"Allow","Action":["ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload",
	"ecr:PutImage","ecr:CreateRepository","ecr:TagResource","ecr:SetRepositoryPolicy","ecr:PutLifecyclePolicy","ecr:DeleteRepository"],"Resource":"arn:aws:ecr:eu-west-1:111111111111:repository/*"}]}`

// calls records what is sent.
type calls struct {
	mu  sync.Mutex
	all []string // guarded by mu: "HOST OPERATION"
}

// RoundTrip implements http.RoundTripper.
func (c *calls) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if operation == "" {
		operation = "STS"
	}
	c.mu.Lock()
	c.all = append(c.all, r.URL.Host+" "+operation)
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *calls) count(operation string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if strings.HasSuffix(s, " "+operation) {
			n++
		}
	}
	return n
}

// there is a registry with STS, IAM and the ECR API, and roles to reach it by.
type there struct {
	*kontortest.Registry
	t     *testing.T
	users *iam.Client
	api   *awsecr.Client
}

func startThere(t *testing.T) there {
	reg := kontortest.Start(t, kontortest.Options{Account: "111111111111", Region: "eu-west-1"})
	return there{reg, t, iam.NewFromConfig(awstest.Config(reg, reg.Admin)), awstest.ECR(reg)}
}

// role makes a role that everyone of the account may assume with the external ID.
func (r there) role(name, externalID, policy string) string {
	r.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"}}}]}`
	out, err := r.users.CreateRole(r.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		r.t.Fatal(err)
	}
	r.rights(name, policy)
	return aws.ToString(out.Role.Arn)
}

func (r there) rights(name, policy string) {
	r.t.Helper()
	if _, err := r.users.PutRolePolicy(r.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}); err != nil {
		r.t.Fatal(err)
	}
}

var id = ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}

// world is a server with the registry as destination.
func (r there) world(roleARN, externalID string) (*testkit.World, *calls) {
	seen := &calls{}
	a := amazon.New(amazon.Config{
		Registry: id, RoleARN: roleARN, ExternalID: externalID, STS: r.URL, API: r.URL, AccessKeyID: r.Admin.AccessKeyID, SecretAccessKey: r.Admin.SecretAccessKey, Transport: seen,
	})
	now := time.Now()
	w := testkit.Open(r.t, testkit.Settings{Compat: registry.CompatECR, Elsewhere: map[ecr.RegistryID]replication.Elsewhere{
		id: {Host: r.Host, PlainHTTP: true, Login: a, Create: a.Create, Registry: id},
	}})
	w.Advance(now.Sub(w.Now()))
	if err := w.Replication.As(testkit.Admin).PutReplication(r.t.Context(), testkit.Home, replication.Configuration{Rules: []replication.Rule{{To: []ecr.RegistryID{id}}}}); err != nil {
		r.t.Fatal(err)
	}
	return w, seen
}

// status is that of an image after everything was tried that is due.
func status(w *testkit.World, at ecr.Repo, tag ecr.Tag) replication.Status {
	w.T.Helper()
	if err := w.Replication.Advance(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	all, err := w.Replication.As(testkit.Admin).ImageReplicationStatus(w.T.Context(), at, ecr.ImageID{Tag: tag})
	if err != nil || len(all) != 1 {
		w.T.Fatal(all, err)
	}
	return all[0]
}

// Images go to a registry of Amazon ECR by a role. Their repository is created there with
// the creation template for replication. The password is renewed before it expires, and
// nothing is asked of other hosts.
func TestRole(t *testing.T) {
	r := startThere(t)
	for _, template := range []struct {
		prefix string
		to     types.RCTAppliedFor
		mode   types.ImageTagMutability
	}{
		{"ROOT", types.RCTAppliedForReplication, types.ImageTagMutabilityMutable},
		{"prod", types.RCTAppliedForReplication, types.ImageTagMutabilityImmutable},
		{"prod/team", types.RCTAppliedForPullThroughCache, types.ImageTagMutabilityMutable},
	} {
		_, err := r.api.CreateRepositoryCreationTemplate(t.Context(), &awsecr.CreateRepositoryCreationTemplateInput{
			Prefix: &template.prefix, AppliedFor: []types.RCTAppliedFor{template.to}, ImageTagMutability: template.mode,
			ResourceTags:     []types.Tag{{Key: aws.String("made-by"), Value: aws.String(template.prefix)}},
			LifecyclePolicy:  aws.String(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}`),
			RepositoryPolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"ecr:BatchGetImage"}]}`),
			CustomRoleArn:    aws.String(r.role("templates-"+strings.ReplaceAll(template.prefix, "/", "-"), "ext", rights)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w, seen := r.world(r.role("replication", "kontor-1", rights), "kontor-1")
	app := w.Repo("prod/team/app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "one"), "v1")
	if s := status(w, app, "v1"); s.Status != "COMPLETE" {
		t.Fatalf("%+v", s)
	}
	name := aws.String("prod/team/app")
	found, err := r.api.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{*name}})
	if err != nil || found.Repositories[0].ImageTagMutability != types.ImageTagMutabilityImmutable {
		t.Errorf("%+v %v", found, err)
	}
	tags, err := r.api.ListTagsForResource(t.Context(), &awsecr.ListTagsForResourceInput{ResourceArn: aws.String(id.RepositoryARN("prod/team/app"))})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "prod" {
		t.Errorf("%+v %v", tags, err)
	}
	if p, err := r.api.GetRepositoryPolicy(t.Context(), &awsecr.GetRepositoryPolicyInput{RepositoryName: name}); err != nil || !strings.Contains(*p.PolicyText, "222222222222") {
		t.Errorf("%+v %v", p, err)
	}
	if p, err := r.api.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: name}); err != nil || !strings.Contains(*p.LifecyclePolicyText, "untagged") {
		t.Errorf("%+v %v", p, err)
	}
	list, err := r.api.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: name})
	if err != nil || len(list.ImageIds) != 1 || *list.ImageIds[0].ImageDigest != string(ecr.DigestOf(w.Image(app, "one"))) {
		t.Errorf("%+v %v", list, err)
	}

	// Its tags are immutable there.
	w.MustPut(app, w.Image(app, "two"), "v1")
	if s := status(w, app, "v1"); s.Status != "FAILED" || s.Code != "ImageTagAlreadyExistsException" {
		t.Errorf("%+v", s)
	}

	// A password is used until three quarters of its time are over.
	if n := seen.count("GetAuthorizationToken"); n != 1 {
		t.Errorf("%d passwords for three images", n)
	}
	w.Advance(50 * time.Minute)
	w.MustPut(app, w.Image(app, "three"), "v3")
	if s := status(w, app, "v3"); s.Status != "COMPLETE" {
		t.Errorf("%+v", s)
	}
	if n := seen.count("GetAuthorizationToken"); n != 2 {
		t.Errorf("%d passwords after 50 minutes of an hour, want a second one", n)
	}
	for _, call := range seen.all {
		if !strings.HasPrefix(call, r.Host+" ") {
			t.Errorf("a request to a host that nobody named: %s", call)
		}
	}
}

// A denial says which permission lacks, where, and what to add. What is refused before an
// image is asked for is tried again.
func TestDenied(t *testing.T) {
	r := startThere(t)
	without := func(actions ...string) string {
		text := rights
		for _, a := range actions {
			text = strings.ReplaceAll(strings.ReplaceAll(text, `"`+a+`",`, ""), `,"`+a+`"`, "")
		}
		return text
	}
	template := "templated"
	if _, err := r.api.CreateRepositoryCreationTemplate(t.Context(), &awsecr.CreateRepositoryCreationTemplateInput{
		Prefix: &template, AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForReplication},
		RepositoryPolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"ecr:BatchGetImage"}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		name, policy, external, repository string
		status, code                       string
		want                               []string
	}{
		{"the external ID", rights, "another", "app", "IN_PROGRESS", "AccessDeniedException", []string{"assuming the role arn:aws:iam::111111111111:role/", "sts:AssumeRole", "external_id"}},
		{"the password", without("ecr:GetAuthorizationToken"), "ext", "app", "IN_PROGRESS", "AccessDeniedException", []string{`{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}`}},
		{"templates", without("ecr:DescribeRepositoryCreationTemplates"), "ext", "app", "FAILED", "AccessDeniedException", []string{`"Action":"ecr:DescribeRepositoryCreationTemplates"`}},
		{"creation", without("ecr:CreateRepository"), "ext", "app", "FAILED", "AccessDeniedException", []string{`{"Effect":"Allow","Action":"ecr:CreateRepository","Resource":"arn:aws:ecr:eu-west-1:111111111111:repository/app"}`}},
		{"the template's policy", without("ecr:SetRepositoryPolicy"), "ext", "templated/app", "FAILED", "AccessDeniedException", []string{`"Action":"ecr:SetRepositoryPolicy"`}},
		{"neither policy nor removal", without("ecr:SetRepositoryPolicy", "ecr:DeleteRepository"), "ext", "templated/left", "FAILED", "AccessDeniedException", []string{`"Action":"ecr:SetRepositoryPolicy"`, "(the role needs ecr:DeleteRepository): delete it, or set its policies"}},
		{"pushing", without("ecr:PutImage"), "ext", "pushed", "FAILED", "AccessDeniedException", []string{`"Action":"ecr:PutImage","Resource":"arn:aws:ecr:eu-west-1:111111111111:repository/pushed"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := there{r.Registry, t, r.users, r.api}.world(r.role(fmt.Sprintf("role-%d", i), "ext", tt.policy), tt.external)
			app := w.Repo(tt.repository, ecr.Mutable)
			w.MustPut(app, w.Image(app, "one"), "v1")
			s := status(w, app, "v1")
			text := s.Message + s.Waits
			if string(s.Status) != tt.status || tt.status == "FAILED" && s.Code != tt.code {
				t.Errorf("%+v", s)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s\nlacks %s", text, want)
				}
			}
			_, err := r.api.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{tt.repository}})
			if there := err == nil; there != slices.Contains([]string{"templated/left", "pushed"}, tt.repository) {
				t.Errorf("repository %s: %v", tt.repository, err)
			}
		})
	}
	// When the permission is there, the images arrive.
	w, _ := r.world(r.role("later", "ext", without("ecr:CreateRepository")), "ext")
	app := w.Repo("later", ecr.Mutable)
	w.MustPut(app, w.Image(app, "one"), "v1")
	if s := status(w, app, "v1"); s.Status != "FAILED" {
		t.Errorf("%+v", s)
	}
	r.rights("later", rights)
	if n, err := w.Replication.As(testkit.Admin).RetryReplications(t.Context(), testkit.Home, id); err != nil || n != 1 {
		t.Error(n, err)
	}
	if s := status(w, app, "v1"); s.Status != "COMPLETE" {
		t.Errorf("%+v", s)
	}
}

// A wrong access key, no credentials at all, an STS that sends elsewhere, and none that
// answers are each said.
func TestNoCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	r := startThere(t)
	base := amazon.Config{Registry: id, RoleARN: "arn:aws:iam::111111111111:role/a", STS: r.URL, API: r.URL}
	for _, tt := range []struct {
		name   string
		change func(*amazon.Config)
		code   ecr.Code
		want   string
	}{
		{"none", func(*amazon.Config) {}, ecr.CodeUnrecognizedClient, "the server has no credentials of AWS"},
		{"a wrong key", func(c *amazon.Config) { c.AccessKeyID, c.SecretAccessKey = "AKIAAAAAAAAAAAAAAAAA", "s" }, ecr.CodeUnrecognizedClient, "the access key of the server is not accepted"},
		{"nobody listens", func(c *amazon.Config) {
			c.AccessKeyID, c.SecretAccessKey, c.STS = "AKIAAAAAAAAAAAAAAAAA", "s", "http://127.0.0.1:1"
		}, ecr.CodeUnavailable, "assuming the role arn:aws:iam::111111111111:role/a: no answer"},
		{"elsewhere", func(c *amazon.Config) {
			c.AccessKeyID, c.SecretAccessKey, c.Transport = "AKIAAAAAAAAAAAAAAAAA", "s", elsewhere{t}
		}, ecr.CodeUnavailable, "assuming the role"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base
			seen := &calls{}
			c.Transport = seen
			tt.change(&c)
			_, err := amazon.New(c).Credential(t.Context(), "")
			if ecr.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("%v (%s), want %s: %s", err, ecr.CodeOf(err), tt.code, tt.want)
			}
			if tt.name == "none" && len(seen.all) != 0 {
				t.Errorf("requests without credentials: %v", seen.all)
			}
		})
	}
}

// The machine's instance metadata is asked only where the configuration says so, and a token
// of a workload goes to the STS that it names.
func TestCredentialsOfTheMachine(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	r := startThere(t)
	var asked atomic.Int64
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		answer := func(format string, args ...any) {
			if _, err := fmt.Fprintf(w, format, args...); err != nil {
				t.Error(err)
			}
		}
		switch {
		case strings.HasSuffix(req.URL.Path, "/api/token"):
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
			answer("token")
		case strings.HasSuffix(req.URL.Path, "/security-credentials/"):
			answer("machine")
		default:
			answer(`{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":"2099-01-01T00:00:00Z"}`, r.Admin.AccessKeyID, r.Admin.SecretAccessKey)
		}
	}))
	t.Cleanup(machine.Close)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.URL)
	seen := &calls{}
	cfg := amazon.Config{Registry: id, RoleARN: r.role("replication", "ext", rights), ExternalID: "ext", STS: r.URL, API: r.URL, Transport: seen}
	if _, err := amazon.New(cfg).Credential(t.Context(), ""); ecr.CodeOf(err) != ecr.CodeUnrecognizedClient || asked.Load() != 0 {
		t.Errorf("%v, and %d requests to the instance metadata service", err, asked.Load())
	}
	cfg.InstanceRole = true
	if c, err := amazon.New(cfg).Credential(t.Context(), ""); err != nil || c.User != "AWS" || asked.Load() == 0 {
		t.Errorf("with instance_role: %v, %d requests", err, asked.Load())
	}

	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", cfg.RoleARN)
	seen.all = nil
	if _, err := amazon.New(cfg).Credential(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "AssumeRoleWithWebIdentity") {
		t.Errorf("with a token that is none: %v", err)
	}
	for _, call := range seen.all {
		if call != r.Host+" STS" {
			t.Errorf("a request to %s", call)
		}
	}
	if len(seen.all) == 0 {
		t.Error("the token was sent nowhere, or elsewhere")
	}
}

// elsewhere answers with a redirect, and fails a test that follows it.
type elsewhere struct{ t *testing.T }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "elsewhere.example" {
		e.t.Error("a redirect was followed")
	}
	return &http.Response{
		StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://elsewhere.example/"}}, Body: http.NoBody, Request: r,
	}, nil
}
