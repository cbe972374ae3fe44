package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/kontortest"
)

// Programs under test: the path of chromium and of axe-core's script.
var (
	chromium = or(os.Getenv("CHROMIUM_BIN"), "/usr/bin/chromium")
	axeFile  = or(os.Getenv("AXE_JS"), "node_modules/axe-core/axe.min.js")
)

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// patience is how long anything may take on a slow machine.
const patience = time.Minute

// world is a registry with something in it.
type world struct {
	*kontortest.Registry
	t    *testing.T
	api  *awsecr.Client
	http *http.Client
	note string // what others write
}

// hostile is what others write who want more than to be read.
const hostile = `"><script>document.title='taken'</script><img src=x onerror="document.title='taken'">`

func start(t *testing.T) *world {
	t.Helper()
	w := &world{Registry: kontortest.Start(t, kontortest.Options{Audit: true, EventHosts: []string{"127.0.0.1:9"}}), t: t, http: http.DefaultClient, note: hostile}
	w.api = awsecr.New(awsecr.Options{
		Region: w.Region, BaseEndpoint: &w.URL, Credentials: credentials.NewStaticCredentialsProvider(w.Admin.AccessKeyID, w.Admin.SecretAccessKey, ""),
	})
	return w
}

// admin calls the admin API.
func (w *world) admin(operation string, in, out any) {
	w.t.Helper()
	c := adminclient.New(adminclient.Config{
		Endpoint: w.URL, Region: w.Region, Now: time.Now, Credentials: credentials.NewStaticCredentialsProvider(w.Admin.AccessKeyID, w.Admin.SecretAccessKey, ""),
	})
	if err := c.Call(context.Background(), operation, in, out); err != nil {
		w.t.Fatal(err)
	}
}

// link is a one-time link to the console.
func (w *world) link() string {
	var out admin.CreateConsoleLinkResponse
	w.admin("CreateConsoleLink", admin.CreateConsoleLinkRequest{}, &out)
	return w.URL + out.Path
}

func (w *world) put(path, kind string, body []byte, method string) http.Header {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, w.URL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("AWS", w.Password(w.t))
	r.Header.Set("Content-Type", kind)
	resp, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	return resp.Header
}

func (w *world) blob(repo string, content []byte) map[string]any {
	w.t.Helper()
	answer := w.put("/v2/"+repo+"/blobs/uploads/", "application/octet-stream", nil, http.MethodPost)
	at := strings.TrimPrefix(answer.Get("Location"), w.URL)
	sep := "?"
	if strings.Contains(at, "?") {
		sep = "&"
	}
	d := string(ecr.DigestOf(content))
	w.put(at+sep+"digest="+d, "application/octet-stream", content, http.MethodPut)
	return map[string]any{"digest": d, "size": len(content)}
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// image pushes an image of layers, each random from its seed, and returns its manifest.
func (w *world) image(repo, arch string, layers map[uint64]int, annotations map[string]string, tags ...string) []byte {
	w.t.Helper()
	config := w.blob(repo, fmt.Appendf(nil, `{"os":"linux","architecture":%q,"layers":%q}`, arch, fmt.Sprint(layers)))
	config["mediaType"] = "application/vnd.oci.image.config.v1+json"
	m := map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": config}
	var list []any
	for seed, n := range layers {
		content := make([]byte, n)
		from := rand.New(rand.NewPCG(seed, 1))
		for i := range content {
			content[i] = byte(from.Uint32())
		}
		l := w.blob(repo, content)
		l["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
		list = append(list, l)
	}
	m["layers"] = list
	if annotations != nil {
		m["annotations"] = annotations
	}
	return w.manifest(repo, imageType, m, tags...)
}

func (w *world) manifest(repo, kind string, m map[string]any, tags ...string) []byte {
	w.t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(tags) == 0 {
		tags = []string{string(ecr.DigestOf(text))}
	}
	for _, tag := range tags {
		w.put("/v2/"+repo+"/manifests/"+tag, kind, text, http.MethodPut)
	}
	return text
}

func descriptor(kind string, m []byte) map[string]any {
	return map[string]any{"mediaType": kind, "digest": string(ecr.DigestOf(m)), "size": len(m)}
}

// index pushes an index of images for amd64 and arm64.
func (w *world) index(repo string, amd, arm []byte, tags ...string) []byte {
	a, b := descriptor(imageType, amd), descriptor(imageType, arm)
	a["platform"] = map[string]string{"os": "linux", "architecture": "amd64"}
	b["platform"] = map[string]string{"os": "linux", "architecture": "arm64", "variant": "v8"}
	return w.manifest(repo, indexType, map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []any{a, b}}, tags...)
}

// attach pushes an artifact that refers to an image.
func (w *world) attach(repo, kind, subjectType string, subject []byte, annotations map[string]string) {
	empty := w.blob(repo, []byte("{}"))
	empty["mediaType"] = "application/vnd.oci.empty.v1+json"
	w.manifest(repo, imageType, map[string]any{
		"schemaVersion": 2, "mediaType": imageType, "artifactType": kind, "config": empty, "layers": []any{empty}, "subject": descriptor(subjectType, subject), "annotations": annotations,
	})
}

const day = 24 * time.Hour

// The policy of the example repository.
const policyText = `{"rules":[
 {"rulePriority":1,"description":"releases stay","selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}},
 {"rulePriority":2,"description":"pull requests","selection":{"tagStatus":"tagged","tagPatternList":["pr-*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}},
 {"rulePriority":3,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`

const repositoryPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"AllowPullFromStaging","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},
 "Action":["ecr:BatchCheckLayerAvailability","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`

// The trust policy of the example role.
const trustText = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"build"}}}]}`

// fill pushes what the pages of the tests show; repo is the repository of most of it.
func (w *world) fill() (repo string, digest string) {
	w.t.Helper()
	repo = "shop/web"
	for _, name := range []string{repo, "shop/api", "shop/worker", "platform/base", "platform/ci/runner", "empty"} {
		w.CreateRepository(w.t, name)
	}
	ctx := context.Background()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	_, err := w.api.PutLifecyclePolicy(ctx, &awsecr.PutLifecyclePolicyInput{RepositoryName: &repo, LifecyclePolicyText: aws.String(policyText)})
	must(err)
	_, err = w.api.SetRepositoryPolicy(ctx, &awsecr.SetRepositoryPolicyInput{RepositoryName: &repo, PolicyText: aws.String(repositoryPolicy)})
	must(err)
	_, err = w.api.PutReplicationConfiguration(ctx, &awsecr.PutReplicationConfigurationInput{ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{{
		Destinations:      []types.ReplicationDestination{{Region: aws.String("eu-west-1"), RegistryId: aws.String("222222222222")}},
		RepositoryFilters: []types.RepositoryFilter{{Filter: aws.String("shop/"), FilterType: types.RepositoryFilterTypePrefixMatch}},
	}}}})
	must(err)
	// The address is one that nothing answers at.
	w.admin("PutEventReceiver", admin.PutEventReceiverRequest{Name: "chat", URL: "http://127.0.0.1:9/hook", Types: []string{"*"}, Repositories: []string{"shop/*"}}, &admin.PutEventReceiverResponse{})
	base := map[uint64]int{1: 300_000}
	w.image("platform/base", "amd64", base, nil, "12.1", "latest")
	w.image("shop/api", "amd64", map[uint64]int{1: 300_000, 50: 90_000}, nil, "v1.0.0")
	for i := range 4 {
		w.image(repo, "amd64", map[uint64]int{1: 300_000, uint64(100 + i): 120_000 + 9000*i}, nil, fmt.Sprintf("pr-%d", 410+i))
		w.Advance(2 * day)
	}
	var last []byte
	for i := range 6 {
		amd := w.image(repo, "amd64", map[uint64]int{1: 300_000, uint64(10 + i): 200_000 + 7000*i}, map[string]string{"org.opencontainers.image.title": w.note})
		arm := w.image(repo, "arm64", map[uint64]int{2: 280_000, uint64(20 + i): 190_000 + 7000*i}, nil)
		last = w.index(repo, amd, arm, fmt.Sprintf("v1.%d.0", i))
		w.pull(repo, fmt.Sprintf("v1.%d.0", i), 3+5*i%7)
		w.pullDigest(repo, amd, 2+i)
		w.pullDigest(repo, arm, 1+i/2)
		w.Advance(day)
	}
	w.image(repo, "amd64", map[uint64]int{1: 300_000, 99: 150_000}, nil, "pr-431")
	w.pull(repo, "v1.5.0", 9)
	w.attach(repo, "application/vnd.dev.cosign.artifact.sig.v1+json", indexType, last, map[string]string{"dev.cosign.note": w.note})
	w.attach(repo, "application/spdx+json", indexType, last, nil)
	_, err = w.api.BatchDeleteImage(ctx, deleteTag("shop/api", "v1.0.0"))
	must(err)
	var leases admin.ReportLeasesResponse
	w.admin("ReportLeases", admin.ReportLeasesRequest{Collector: "prod-cluster", TTLSeconds: 3600, Leases: []admin.Lease{
		{RepositoryName: repo, ImageTag: "pr-410", User: strings.TrimSpace("Deployment shop/web " + w.note)},
	}}, &leases)
	_, err = w.api.CreatePullThroughCacheRule(ctx, &awsecr.CreatePullThroughCacheRuleInput{EcrRepositoryPrefix: aws.String("quay"), UpstreamRegistryUrl: aws.String("quay.io")})
	must(err)
	_, err = w.api.CreateRepositoryCreationTemplate(ctx, &awsecr.CreateRepositoryCreationTemplateInput{Prefix: aws.String("team"), Description: aws.String("Of the teams " + w.note), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}})
	must(err)
	for name, key := range map[string]string{"release": signingKey, "ci": signingKey} {
		w.admin("PutSigner", admin.PutSignerRequest{Signer: admin.Signer{Name: name, Key: key, Repositories: []string{"shop/*"}}}, &admin.PutSignerResponse{})
	}
	people := awsiam.New(awsiam.Options{Region: w.Region, BaseEndpoint: &w.URL, Credentials: credentials.NewStaticCredentialsProvider(w.Admin.AccessKeyID, w.Admin.SecretAccessKey, "")})
	_, err = people.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: aws.String("ci"), Description: aws.String("Builds and pushes " + w.note), AssumeRolePolicyDocument: aws.String(trustText)})
	must(err)
	w.Advance(5 * day)
	return repo, string(ecr.DigestOf(last))
}

// pull pulls the manifest of a tag n times.
func (w *world) pull(repo, tag string, n int) {
	w.t.Helper()
	for range n {
		if _, err := w.api.BatchGetImage(context.Background(), &awsecr.BatchGetImageInput{RepositoryName: &repo, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// pullDigest pulls a manifest by its digest n times.
func (w *world) pullDigest(repo string, m []byte, n int) {
	w.t.Helper()
	for range n {
		if _, err := w.api.BatchGetImage(context.Background(), &awsecr.BatchGetImageInput{RepositoryName: &repo, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(string(ecr.DigestOf(m)))}}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func deleteTag(repo, tag string) *awsecr.BatchDeleteImageInput {
	return &awsecr.BatchDeleteImageInput{RepositoryName: &repo, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}}}
}

// signingKey is a public key.
const signingKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnZiA7uqyJgd3xln7v902z21QqzYX
VCioHo35GFs5GZQ+mfmNcrZQddHZ6ej7eX6r8yyGqY1gh5Rfuoxg882EaA==
-----END PUBLIC KEY-----`
