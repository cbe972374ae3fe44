package kontortest_test

import (
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// README.md and docs/ show parts of this file; test/docs holds them against
// each other.

func TestTagsOfTheWebsiteStay(t *testing.T) {
	registry := kontortest.Start(t)
	registry.CreateRepository(t, "website")

	// Push to registry.URI("website") as user AWS with registry.Password(t),
	// or call the API with a client of the AWS SDK:
	out, err := awstest.ECR(registry).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.Repositories {
		if r.ImageTagMutability != types.ImageTagMutabilityImmutable {
			t.Errorf("tags of %s can be overwritten", aws.ToString(r.RepositoryName))
		}
	}
}

func TestScraperInThreeMonths(t *testing.T) {
	registry := kontortest.Start(t, kontortest.Options{Account: "111111111111", Region: "eu-central-1"})
	began := time.Now()
	registry.Advance(90 * 24 * time.Hour)
	registry.CreateRepository(t, "scraper") // in three months

	out, err := awstest.ECR(registry).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if r := out.Repositories[0]; r.CreatedAt.Sub(began) < 89*24*time.Hour || aws.ToString(r.RegistryId) != "111111111111" {
		t.Errorf("created at %v in registry %s", r.CreatedAt, aws.ToString(r.RegistryId))
	}
}

// TestClientOfTheEnvironment is what a program does after `kontor env`.
func TestClientOfTheEnvironment(t *testing.T) {
	registry := kontortest.Start(t)
	t.Setenv("AWS_REGION", registry.Region)
	t.Setenv("AWS_ENDPOINT_URL", registry.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", registry.Admin.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", registry.Admin.SecretAccessKey)

	client := ecr.New(ecr.Options{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	if _, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
		t.Error(err)
	}
}
