package command

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
)

// EndpointOptions are the flags of commands that can reach a registry of Kontor by
// its URL, without a file.
type EndpointOptions struct {
	Endpoint string
	region   string
}

// Flags defines the flags of o.
func (o *EndpointOptions) Flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Endpoint, "endpoint", "", "use the Kontor registry at `URL`, with the AWS credentials of the environment, instead of a file's or the local one (default none)")
	f.StringVar(&o.region, "region", "", "with --endpoint: the registry is in the region `NAME` (default that of the AWS configuration)")
}

// Check finds values that cannot be, and others that cannot be combined with an
// endpoint.
func (o *EndpointOptions) Check(others ...string) error {
	if o.Endpoint == "" {
		if o.region != "" {
			return Usagef("--region needs --endpoint")
		}
		return nil
	}
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return Usagef("--endpoint %s: want a URL such as https://registry.example:5050", o.Endpoint)
	}
	for _, x := range others {
		if x != "" {
			return Usagef("--endpoint is for another registry: leave out --data and --target, and -f")
		}
	}
	return nil
}

// config is the AWS configuration for the endpoint.
func (o *EndpointOptions) config(ctx context.Context) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	if o.region != "" {
		options = append(options, config.WithRegion(o.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return cfg, Usagef("--endpoint %s: give --region, or set AWS_REGION", o.Endpoint)
	}
	return cfg, nil
}

// file is one that has the registry of the caller's account at the endpoint, and
// wants nothing of it.
func (o *EndpointOptions) file(ctx context.Context) (*spec.File, error) {
	cfg, err := o.config(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := strings.TrimRight(o.Endpoint, "/")
	who, err := sts.NewFromConfig(cfg, func(s *sts.Options) { s.BaseEndpoint = &endpoint }).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("asking %s whose the credentials are: %w", endpoint, err)
	}
	text := fmt.Sprintf("registries: [{name: registry, account: %q, region: %q, endpoint: %q}]\necr_repositories: {}\n", aws.ToString(who.Account), cfg.Region, endpoint)
	f, _, err := spec.Load(spec.Source{Name: "--endpoint.yaml", Data: []byte(text)})
	return f, err
}
