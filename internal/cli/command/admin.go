package command

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
)

// AdminOptions are the flags of commands that look after a registry of Kontor:
// that of the data folder, or the one at an endpoint.
type AdminOptions struct {
	LocalOptions
	EndpointOptions
}

// Flags defines the flags of o.
func (o *AdminOptions) Flags(e *Env, cmd *cobra.Command) {
	o.LocalOptions.Flags(e, cmd)
	o.EndpointOptions.Flags(cmd)
}

// AdminClient calls the admin API of one registry.
type AdminClient struct {
	*adminclient.Client
	// Endpoint is the URL of the registry's API.
	Endpoint string
	// Host is what stands before the first slash of the registry's images.
	Host string
	// Registry is the local one; its zero value is the caller's at an endpoint.
	Registry ecr.RegistryID
	Close    func() error
}

// Shown is what a command says: a value for --json, and the same as text.
type Shown struct {
	JSON any
	Text func(io.Writer, render.Options) error
	// Code is the exit code where it is not 0.
	Code int
	// After is done once it is written, nil for nothing: what follows on a secret
	// must not keep it from being shown.
	After func() error
}

// Show is shown for a value that is its own JSON form.
func Show[T any](v T, text func(io.Writer, T, render.Options) error) Shown {
	return Shown{JSON: v, Text: func(w io.Writer, o render.Options) error { return text(w, v, o) }}
}

// write writes s as --json says.
func (s Shown) write(e *Env, asJSON bool) (err error) {
	if asJSON {
		err = render.JSON(e.Stdout, s.JSON)
	} else {
		err = s.Text(e.Stdout, e.Options(e.Stdout))
	}
	if err == nil && s.After != nil {
		err = s.After()
	}
	if err == nil && s.Code != 0 {
		err = Exit(s.Code)
	}
	return err
}

// AdminCall completes cmd, which speaks to the admin API of one registry.
// What the arguments say is checked by cmd.PreRunE, before the registry is
// reached.
func AdminCall(e *Env, cmd *cobra.Command, run func(ctx context.Context, c *AdminClient, args []string) (Shown, error)) *cobra.Command {
	var (
		o      AdminOptions
		asJSON bool
	)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		c, err := OpenAdmin(cmd.Context(), e, o)
		if err != nil {
			return err
		}
		defer Closing(&err, c.Close)
		s, err := run(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		return s.write(e, asJSON)
	}
	o.Flags(e, cmd)
	JSONFlag(cmd, &asJSON)
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	return cmd
}

// RepositoryInto reads the argument that may name one, for PreRunE.
func RepositoryInto(name *string) func(*cobra.Command, []string) error {
	return func(_ *cobra.Command, args []string) (err error) {
		*name, err = RepositoryArgument(args)
		return err
	}
}

// OpenAdmin reaches the registry that o chooses. The caller closes the client.
func OpenAdmin(ctx context.Context, e *Env, o AdminOptions) (*AdminClient, error) {
	if err := o.EndpointOptions.Check(o.Data, o.Target); err != nil {
		return nil, err
	}
	if o.Endpoint != "" {
		return adminAt(ctx, e, o)
	}
	dir, err := e.DataDir(o.Data)
	if err != nil {
		return nil, err
	}
	c := &AdminClient{Close: func() error { return nil }}
	var conn host.Conn
	if o.Target == "" {
		conn, c.Close, err = host.Reach(ctx, dir)
	} else {
		var running bool
		conn, running, err = host.Read(ctx, dir, o.Target, identity.Administrator)
		if err == nil && !running {
			err = fmt.Errorf("no server runs on %s: start it with `kontor up --data %s`, or leave --target out", dir, dir)
		}
	}
	if err != nil {
		return nil, err
	}
	c.Endpoint, c.Host, c.Registry = conn.Endpoint, conn.Host, conn.Registry
	c.Client = adminclient.New(adminclient.Config{
		Endpoint: conn.Endpoint, Region: string(conn.Registry.Region), HTTPClient: conn.HTTPClient, Now: e.Now,
		Credentials: credentials.NewStaticCredentialsProvider(conn.AccessKeyID, conn.SecretAccessKey, ""),
	})
	return c, nil
}

// adminAt reaches the registry at an endpoint, as the AWS configuration says.
func adminAt(ctx context.Context, e *Env, o AdminOptions) (*AdminClient, error) {
	at, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, err
	}
	cfg, err := o.config(ctx)
	if err != nil {
		return nil, err
	}
	return &AdminClient{
		Client: adminclient.New(adminclient.Config{
			Endpoint: strings.TrimRight(o.Endpoint, "/"), Region: cfg.Region, Credentials: cfg.Credentials, HTTPClient: cfg.HTTPClient, Now: e.Now,
		}),
		Endpoint: o.Endpoint, Host: at.Host, Close: func() error { return nil },
	}, nil
}

// RepositoryArgument is the repository that args may name.
func RepositoryArgument(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if _, err := ecr.ParseRepositoryName(args[0]); err != nil {
		return "", Usagef("%q is not the name of a repository", args[0])
	}
	return args[0], nil
}
