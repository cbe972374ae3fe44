// Package awstest makes AWS SDK clients for a registry of kontortest.
package awstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/kontor-registry/kontor/kontortest"
)

// Config is the SDK's configuration to call r as the user with c: r.Admin or
// r.Pusher.
func Config(r *kontortest.Registry, c kontortest.Credentials) aws.Config {
	return aws.Config{
		Region:       r.Region,
		BaseEndpoint: aws.String(r.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
	}
}

// ECR is an ECR client with r's administrator.
func ECR(r *kontortest.Registry) *ecr.Client { return ecr.NewFromConfig(Config(r, r.Admin)) }

// STS is an STS client with r's administrator.
func STS(r *kontortest.Registry) *sts.Client { return sts.NewFromConfig(Config(r, r.Admin)) }
