package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
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
	f.StringVar(&o.endpoint, "endpoint", "", "use the Kontor registry at `URL`, with the AWS credentials of the environment (default the local registry)")
	f.StringVar(&o.region, "region", "", "with --endpoint: the registry is in the region `NAME` (default that of the AWS configuration)")
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

// shown is what a command says: a value for --json, and the same as text.
type shown struct {
	json any
	text func(io.Writer, render.Options) error
	// code is the exit code where it is not 0.
	code int
	// after is done once it is written, nil for nothing: what follows on a secret
	// must not keep it from being shown.
	after func() error
}

// show is shown for a value that is its own JSON form.
func show[T any](v T, text func(io.Writer, T, render.Options) error) shown {
	return shown{json: v, text: func(w io.Writer, o render.Options) error { return text(w, v, o) }}
}

// said is shown for a command that has nothing to show but that it is done.
func said(done any, format string, args ...any) shown {
	return shown{json: done, text: func(w io.Writer, _ render.Options) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}}
}

// write writes s as --json says.
func (s shown) write(e *Env, asJSON bool) (err error) {
	if asJSON {
		err = render.JSON(e.Stdout, s.json)
	} else {
		err = s.text(e.Stdout, e.options(e.Stdout))
	}
	if err == nil && s.after != nil {
		err = s.after()
	}
	if err == nil && s.code != 0 {
		err = &exitError{s.code}
	}
	return err
}

// adminCall completes cmd, which speaks to the admin API of one registry.
// What the arguments say is checked by cmd.PreRunE, before the registry is
// reached.
func adminCall(e *Env, cmd *cobra.Command, run func(ctx context.Context, c *adminClient, args []string) (shown, error)) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c, err := openAdmin(cmd.Context(), e, o)
		if err != nil {
			return err
		}
		defer closing(&err, c.close)
		s, err := run(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		return s.write(e, asJSON)
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	return cmd
}

// wantsJSON reports whether --json was given.
func wantsJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// repositoryInto reads the argument that may name one, for PreRunE.
func repositoryInto(name *string) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) (err error) {
		*name, err = repositoryArgument(args)
		return err
	}
}

// openAdmin reaches the registry that o chooses. The caller closes the client.
func openAdmin(ctx context.Context, e *Env, o adminOptions) (*adminClient, error) {
	if o.endpoint != "" {
		return adminAt(ctx, e, o)
	}
	if o.region != "" {
		return nil, usagef("--region needs --endpoint")
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
		return nil, usagef("--endpoint is for another registry: leave out --data and --target")
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

// repositories is the one repository, or when it is "" all.
func (c *adminClient) repositories(ctx context.Context, one string) ([]string, error) {
	if one != "" {
		return []string{one}, nil
	}
	return c.Repositories(ctx)
}

// repositoryArgument is the repository that args may name.
func repositoryArgument(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if _, err := ecr.ParseRepositoryName(args[0]); err != nil {
		return "", usagef("%q is not the name of a repository", args[0])
	}
	return args[0], nil
}

// splitDigest takes REPOSITORY@DIGEST apart.
func splitDigest(ref string) (repository, digest string, err error) {
	repository, digest, ok := strings.Cut(ref, "@")
	if _, err := ecr.ParseRepositoryName(repository); !ok || err != nil {
		return "", "", usagef("%q: want REPOSITORY@DIGEST", ref)
	}
	if _, err := ecr.ParseDigest(digest); err != nil {
		return "", "", usagef("%q: want a whole digest, sha256: and 64 digits", digest)
	}
	return repository, digest, nil
}
