package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
)

// adminOptions are the flags of commands that look after a registry of Kontor:
// that of the data folder, or the one at an endpoint.
type adminOptions struct {
	localOptions
	endpoint string
	region   string
}

func (o *adminOptions) flags(e *Env, cmd *cobra.Command) {
	o.localOptions.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&o.endpoint, "endpoint", "", "ask the Kontor registry at `URL`, with the AWS credentials of the environment (default the local registry)")
	f.StringVar(&o.region, "region", "", "with --endpoint: the region that the registry is of (default that of the AWS configuration)")
}

// adminClient calls the admin API of one registry.
type adminClient struct {
	*adminclient.Client
	// host is what stands before the first slash of the registry's images.
	host string
	// registry is the local one; its zero value is the caller's at an endpoint.
	registry ecr.RegistryID
	close    func() error
}

// openAdmin reaches the registry that o chooses. The caller closes the client.
func openAdmin(ctx context.Context, e *Env, o adminOptions) (*adminClient, error) {
	if o.endpoint != "" {
		return adminAt(ctx, e, o)
	}
	if o.region != "" {
		return nil, usagef("--region goes with --endpoint")
	}
	dir, err := e.dataDir(o.data)
	if err != nil {
		return nil, err
	}
	c := &adminClient{close: func() error { return nil }}
	var conn host.Conn
	if o.target == "" {
		conn, c.close, err = host.Reach(ctx, dir)
	} else {
		var running bool
		conn, running, err = host.Read(ctx, dir, o.target, identity.Administrator)
		if err == nil && !running {
			err = fmt.Errorf("no server runs on %s: start it with `kontor up --data %s`, or leave --target out", dir, dir)
		}
	}
	if err != nil {
		return nil, err
	}
	c.host, c.registry = conn.Host, conn.Registry
	c.Client = adminclient.New(adminclient.Config{
		Endpoint: conn.Endpoint, Region: string(conn.Registry.Region), HTTPClient: conn.HTTPClient, Now: e.Now,
		Credentials: credentials.NewStaticCredentialsProvider(conn.AccessKeyID, conn.SecretAccessKey, ""),
	})
	return c, nil
}

// adminAt reaches the registry at an endpoint, as the AWS configuration says.
func adminAt(ctx context.Context, e *Env, o adminOptions) (*adminClient, error) {
	at, err := url.Parse(o.endpoint)
	switch {
	case o.data != "" || o.target != "":
		return nil, usagef("--endpoint is for a registry elsewhere: --data and --target have no meaning")
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		return nil, usagef("--endpoint %s: want a URL such as https://registry.example:5050", o.endpoint)
	}
	var options []func(*config.LoadOptions) error
	if o.region != "" {
		options = append(options, config.WithRegion(o.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, usagef("--endpoint %s: give --region, or set AWS_REGION", o.endpoint)
	}
	return &adminClient{
		Client: adminclient.New(adminclient.Config{
			Endpoint: strings.TrimRight(o.endpoint, "/"), Region: cfg.Region, Credentials: cfg.Credentials, HTTPClient: cfg.HTTPClient, Now: e.Now,
		}),
		host: at.Host, close: func() error { return nil },
	}, nil
}
