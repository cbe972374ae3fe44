package awstest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

func ExampleECR() {
	_ = func(t *testing.T) {
		registry := kontortest.Start(t)
		client := awstest.ECR(registry)
		_, err := client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("website")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// pushed is a repository with an image of one layer that came in two parts.
type pushed struct {
	client                          *ecr.Client
	repo                            *string
	layer, layerDigest, manifest, d string
}

// partSize is the least that a part but the last has.
const partSize = 5 << 20

func pushImage(t *testing.T, r *kontortest.Registry) pushed {
	t.Helper()
	p := pushed{client: awstest.ECR(r), repo: aws.String("team/app"), layer: strings.Repeat("0123456789abcdef", partSize/16) + "the end"}
	ctx := t.Context()
	created, err := p.client.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: p.repo, ImageTagMutability: types.ImageTagMutabilityImmutable,
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := types.Repository{
		RegistryId: aws.String("000000000000"), RepositoryName: p.repo, RepositoryUri: aws.String(r.URI("team/app")),
		RepositoryArn:      aws.String("arn:aws:ecr:us-east-1:000000000000:repository/team/app"),
		ImageTagMutability: types.ImageTagMutabilityImmutable,
	}
	got := created.Repository
	if aws.ToString(got.RegistryId) != *want.RegistryId || aws.ToString(got.RepositoryUri) != *want.RepositoryUri ||
		aws.ToString(got.RepositoryArn) != *want.RepositoryArn || got.ImageTagMutability != want.ImageTagMutability || got.CreatedAt == nil {
		t.Errorf("created %+v", got)
	}

	p.layerDigest = p.upload(t, p.layer)
	const config = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
	p.manifest = fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":%d}]}`,
		p.upload(t, config), len(config), p.layerDigest, len(p.layer))
	p.d = push.DigestOf(p.manifest)
	out, err := p.client.PutImage(ctx, &ecr.PutImageInput{RepositoryName: p.repo, ImageManifest: aws.String(p.manifest), ImageTag: aws.String("v1")})
	if err != nil {
		t.Fatal(err)
	}
	if d := aws.ToString(out.Image.ImageId.ImageDigest); d != p.d {
		t.Fatalf("pushed as %s, want %s", d, p.d)
	}
	return p
}

// upload sends content in parts, as large as they have to be.
func (p pushed) upload(t *testing.T, content string) string {
	t.Helper()
	ctx := t.Context()
	begun, err := p.client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: p.repo})
	if err != nil {
		t.Fatal(err)
	}
	for first := 0; first < len(content); first += partSize {
		part := content[first:min(first+partSize, len(content))]
		last := int64(first + len(part) - 1)
		out, err := p.client.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: p.repo, UploadId: begun.UploadId, LayerPartBlob: []byte(part),
			PartFirstByte: aws.Int64(int64(first)), PartLastByte: aws.Int64(last),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToInt64(out.LastByteReceived); got != last {
			t.Errorf("received up to %d, sent up to %d", got, last)
		}
	}
	done, err := p.client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{
		RepositoryName: p.repo, UploadId: begun.UploadId, LayerDigests: []string{push.DigestOf(content)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(done.LayerDigest)
}

func TestRoundTrip(t *testing.T) {
	r := kontortest.Start(t)
	p := pushImage(t, r)
	ctx := t.Context()
	got, err := p.client.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: p.repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("none")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Images) != 1 || aws.ToString(got.Images[0].ImageManifest) != p.manifest || aws.ToString(got.Images[0].ImageId.ImageDigest) != p.d {
		t.Errorf("images %+v", got.Images)
	}
	if len(got.Failures) != 1 || got.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("failures %+v", got.Failures)
	}

	// The layer comes back through docker's door, with a token of the API.
	token, err := p.client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	data := token.AuthorizationData[0]
	if aws.ToString(data.ProxyEndpoint) != r.URL {
		t.Errorf("the registry is said to be at %s", aws.ToString(data.ProxyEndpoint))
	}
	if layer := download(t, r, aws.ToString(data.AuthorizationToken), p.layerDigest); layer != p.layer {
		t.Errorf("%d bytes came back, want %d", len(layer), len(p.layer))
	}

	layers, err := p.client.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{
		RepositoryName: p.repo, LayerDigests: []string{p.layerDigest, push.DigestOf("none")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var availability []types.LayerAvailability
	for _, l := range layers.Layers {
		availability = append(availability, l.LayerAvailability)
	}
	if d := cmp.Diff([]types.LayerAvailability{types.LayerAvailabilityAvailable, types.LayerAvailabilityUnavailable}, availability); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}

	deleted, err := p.client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: p.repo, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(p.d)}}})
	if err != nil || len(deleted.Failures) != 0 || len(deleted.ImageIds) != 1 {
		t.Errorf("deleted %+v (%v)", deleted, err)
	}
	if _, err := p.client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: p.repo}); err != nil {
		t.Error(err)
	}
}

func download(t *testing.T, r *kontortest.Registry, token, digest string) string {
	t.Helper()
	if _, err := base64.StdEncoding.DecodeString(token); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/v2/team/app/blobs/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return string(b)
}

// The SDK's paginators end, and give everything once.
func TestPaginators(t *testing.T) {
	r := kontortest.Start(t)
	client := awstest.ECR(r)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("repo-%d", i)
		r.CreateRepository(t, name)
		want = append(want, name)
	}
	var got []string
	pages := 0
	repositories := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3)})
	for repositories.HasMorePages() {
		page, err := repositories.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, repo := range page.Repositories {
			got = append(got, aws.ToString(repo.RepositoryName))
		}
	}
	if d := cmp.Diff(want, got); d != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, d)
	}

	p := pushImage(t, r)
	images := []string{p.d}
	for i := range 6 {
		manifest := strings.Replace(p.manifest, `"layers"`, fmt.Sprintf(`"annotations":{"n":"%d"},"layers"`, i), 1)
		if _, err := client.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: p.repo, ImageManifest: aws.String(manifest), ImageTag: aws.String(fmt.Sprint("n", i))}); err != nil {
			t.Fatal(err)
		}
		images = append(images, push.DigestOf(manifest))
	}
	var listed, described []string
	list := ecr.NewListImagesPaginator(client, &ecr.ListImagesInput{RepositoryName: p.repo, MaxResults: aws.Int32(2)})
	for list.HasMorePages() {
		page, err := list.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range page.ImageIds {
			listed = append(listed, aws.ToString(id.ImageDigest))
		}
	}
	describe := ecr.NewDescribeImagesPaginator(client, &ecr.DescribeImagesInput{RepositoryName: p.repo, MaxResults: aws.Int32(2)})
	for describe.HasMorePages() {
		page, err := describe.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.ImageDetails {
			described = append(described, aws.ToString(i.ImageDigest))
		}
	}
	for _, s := range [][]string{images, listed, described} {
		slices.Sort(s)
	}
	if d := cmp.Diff(images, listed) + cmp.Diff(images, described); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Refusals arrive as the SDK's own error types, with ECR's texts.
func TestErrorTypes(t *testing.T) {
	r := kontortest.Start(t)
	p := pushImage(t, r)
	ctx := t.Context()
	other := aws.String("other")
	r.CreateRepository(t, *other)
	tests := []struct {
		name string
		call func() error
		as   func(error) bool
		want string
	}{
		{"RepositoryNotFound", func() error {
			_, err := p.client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("none")})
			return err
		}, is[*types.RepositoryNotFoundException], "The repository with name 'none' does not exist in the registry with id '000000000000'"},
		{"RepositoryAlreadyExists", func() error {
			_, err := p.client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: p.repo})
			return err
		}, is[*types.RepositoryAlreadyExistsException], "The repository with name 'team/app' already exists in the registry with id '000000000000'"},
		{"RepositoryNotEmpty", func() error {
			_, err := p.client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: p.repo})
			return err
		}, is[*types.RepositoryNotEmptyException], "The repository with name 'team/app' in registry with id '000000000000' cannot be deleted because it still contains images"},
		{"ImageAlreadyExists", func() error {
			_, err := p.client.PutImage(ctx, &ecr.PutImageInput{RepositoryName: p.repo, ImageManifest: aws.String(p.manifest)})
			return err
		}, is[*types.ImageAlreadyExistsException], "Image with digest '" + p.d + "' and tag 'null' already exists in the repository with name 'team/app' in registry with id '000000000000'"},
		{"ImageTagAlreadyExists", func() error {
			_, err := p.client.PutImage(ctx, &ecr.PutImageInput{RepositoryName: p.repo, ImageTag: aws.String("v1"),
				ImageManifest: aws.String(strings.Replace(p.manifest, `"layers"`, `"annotations":{},"layers"`, 1))})
			return err
		}, is[*types.ImageTagAlreadyExistsException], "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable."},
		{"ImageNotFound", func() error {
			_, err := p.client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: p.repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("none")}}})
			return err
		}, is[*types.ImageNotFoundException], "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'team/app' in the registry with id '000000000000'"},
		{"LayersNotFound", func() error {
			_, err := p.client.PutImage(ctx, &ecr.PutImageInput{RepositoryName: other, ImageManifest: aws.String(p.manifest)})
			return err
		}, is[*types.LayersNotFoundException], "required for pushing image into repository with name 'other' in the registry with id '000000000000' do not exist"},
		{"LayerPartTooSmall", func() error {
			begun, err := p.client.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: other})
			for i := int64(0); err == nil && i < 2; i++ {
				_, err = p.client.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: other, UploadId: begun.UploadId,
					LayerPartBlob: []byte("x"), PartFirstByte: aws.Int64(i), PartLastByte: aws.Int64(i)})
			}
			if err != nil {
				return err
			}
			_, err = p.client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: other, UploadId: begun.UploadId, LayerDigests: []string{push.DigestOf("xx")}})
			return err
		}, is[*types.LayerPartTooSmallException], "All layer parts except the last part should be at least 5MB"},
		{"UploadNotFound", func() error {
			_, err := p.client.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: other,
				UploadId: aws.String("00000000-0000-4000-8000-000000000000"), LayerDigests: []string{push.DigestOf("x")}})
			return err
		}, is[*types.UploadNotFoundException], ""},
		{"LifecyclePolicyNotFound", func() error {
			_, err := p.client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: p.repo})
			return err
		}, is[*types.LifecyclePolicyNotFoundException], "Lifecycle policy does not exist for the repository with name 'team/app' in the registry with id '000000000000'"},
		{"RepositoryPolicyNotFound", func() error {
			_, err := p.client.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: p.repo})
			return err
		}, is[*types.RepositoryPolicyNotFoundException], "Repository policy does not exist for the repository with name 'team/app' in the registry with id '000000000000'"},
		{"InvalidParameter", func() error {
			_, err := p.client.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("Upper")})
			return err
		}, is[*types.InvalidParameterException], "Invalid parameter at 'repositoryName' failed to satisfy constraint: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			if !tt.as(err) {
				t.Fatalf("error %v", err)
			}
			var api smithy.APIError
			if !errors.As(err, &api) || !strings.Contains(api.ErrorMessage(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func is[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

func TestWhoIsWho(t *testing.T) {
	r := kontortest.Start(t)
	r.CreateRepository(t, "app")
	arn := func(client *sts.Client) string {
		t.Helper()
		out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.Arn)
	}
	if got := arn(awstest.STS(r)); got != "arn:aws:iam::000000000000:user/administrator" {
		t.Errorf("STS acts as %s", got)
	}
	config := awstest.Config(r, r.Pusher)
	if got := arn(sts.NewFromConfig(config)); got != "arn:aws:iam::000000000000:user/pusher" {
		t.Errorf("the pusher is %s", got)
	}
	_, err := ecr.NewFromConfig(config).DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("app")})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
		t.Errorf("the pusher deletes a repository: %v", err)
	}
	wrong := r.Admin
	wrong.SecretAccessKey = "guess"
	_, err = ecr.NewFromConfig(awstest.Config(r, wrong)).DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{})
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidSignatureException" {
		t.Errorf("a guessed secret: %v", err)
	}
}

// The environment of the machine that runs the tests changes nothing.
func TestEnvironmentIsIgnored(t *testing.T) {
	r := kontortest.Start(t)
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	t.Setenv("AWS_PROFILE", "none")
	t.Setenv("AWS_REGION", "eu-west-9")
	if _, err := awstest.ECR(r).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
		t.Error(err)
	}
}
