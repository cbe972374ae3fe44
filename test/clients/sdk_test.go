package clients

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func TestGoSDK(t *testing.T) { inBothModes(t, goSDK) }

func goSDK(t *testing.T, k *kontor) {
	ctx := t.Context()
	client := ecr.New(ecr.Options{
		Region:       k.env["AWS_REGION"],
		BaseEndpoint: aws.String(k.env["AWS_ENDPOINT_URL"]),
		Credentials:  credentials.NewStaticCredentialsProvider(k.env["AWS_ACCESS_KEY_ID"], k.env["AWS_SECRET_ACCESS_KEY"], ""),
	})
	k.push("website", "v1")
	image, _ := layout(t)

	pages := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3)})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Repositories)
	}
	if n != 4 {
		t.Errorf("%d repositories, not 4", n)
	}

	details, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RepositoryName: aws.String("website"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := details.ImageDetails[0]; aws.ToString(d.ImageDigest) != image.Digest || aws.ToInt64(d.ImageSizeInBytes) == 0 || d.ImagePushedAt == nil {
		t.Errorf("DescribeImages says %+v", d)
	}

	var missing *types.RepositoryNotFoundException
	if _, err := client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("nothing")}); !errors.As(err, &missing) {
		t.Errorf("ListImages of nothing: %v", err)
	}
	token, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	data := token.AuthorizationData[0]
	if b, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken)); err != nil || !strings.HasPrefix(string(b), "AWS:") {
		t.Errorf("authorization token: %v", err)
	}
	if got := aws.ToString(data.ProxyEndpoint); got != k.env["AWS_ENDPOINT_URL"] {
		t.Errorf("proxy endpoint %s", got)
	}

	// The children of an index cannot go before it.
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(blobOf(t, imageDir, image.Digest), &index); err != nil {
		t.Fatal(err)
	}
	child := types.ImageIdentifier{ImageDigest: aws.String(index.Manifests[0].Digest)}
	deleted, err := client.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("website"), ImageIds: []types.ImageIdentifier{child}})
	if err != nil {
		t.Fatal(err)
	}
	if len(deleted.Failures) != 1 || deleted.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("deleting a child of the index: %+v", deleted.Failures)
	}
}

func TestJavaScriptSDK(t *testing.T) { inBothModes(t, javaScriptSDK) }

func javaScriptSDK(t *testing.T, k *kontor) {
	k.push("website", "v1")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	script := k.ok(node, abs(t, "sdk.mjs"))
	var got struct {
		Repositories []string `json:"repositories"`
		Tags         []string `json:"tags"`
		Error        string   `json:"error"`
		Message      string   `json:"message"`
		Manifest     string   `json:"manifest"`
	}
	if err := json.Unmarshal(script, &got); err != nil {
		t.Fatalf("%v\n%s", err, script)
	}
	image, _ := layout(t)
	code, text := k.mode.putAgain("website", "v1", image.Digest)
	if strings.Join(got.Repositories, " ") != "scraper shared test website" || strings.Join(got.Tags, " ") != "v1" ||
		got.Error != code || got.Message != text ||
		got.Manifest != string(blobOf(t, imageDir, image.Digest)) {
		t.Errorf("the SDK for JavaScript says %s", script)
	}
}
