package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
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
	f.StringVar(&o.region, "region", "", "with --endpoint: the region of the registry (default that of the AWS configuration)")
}

// adminClient calls the admin API of one registry.
type adminClient struct {
	endpoint    string
	region      string
	credentials aws.CredentialsProvider
	http        aws.HTTPClient
	now         func() time.Time
	// host is what stands before the first slash of the registry's images.
	host string
	// registry is the local one; its zero value is the caller's at an endpoint.
	registry ecr.RegistryID
	// conn is how to reach the local registry; its zero value for an endpoint.
	conn  LocalConn
	close func() error
}

// How often and how long a call is tried that the registry cannot serve now.
const (
	adminTries = 6
	adminPause = 200 * time.Millisecond
	// maxAnswer bounds an answer: a page of a thousand documents.
	maxAnswer = 1 << 30
)

// admin reaches the registry that o chooses. The caller closes the client.
func (e *Env) admin(ctx context.Context, o adminOptions) (*adminClient, error) {
	if o.endpoint != "" {
		return e.adminAt(ctx, o)
	}
	if o.region != "" {
		return nil, usagef("--region needs --endpoint")
	}
	dir, err := e.dataDir(o.data)
	if err != nil {
		return nil, err
	}
	c := &adminClient{now: e.Now, close: func() error { return nil }}
	if o.target == "" {
		c.conn, c.close, err = e.localRegistry(ctx, dir)
	} else {
		var running bool
		c.conn, running, err = readLocal(ctx, dir, o.target, identity.Administrator)
		if err == nil && !running {
			err = fmt.Errorf("no server runs on %s: start it with `kontor up --data %s`, or leave --target out", dir, dir)
		}
	}
	if err != nil {
		return nil, err
	}
	c.endpoint, c.region, c.host, c.registry = c.conn.Endpoint, string(c.conn.Registry.Region), c.conn.Host, c.conn.Registry
	c.credentials = credentials.NewStaticCredentialsProvider(c.conn.AccessKeyID, c.conn.SecretAccessKey, "")
	if c.http = c.conn.HTTPClient; c.http == nil {
		c.http = http.DefaultClient
	}
	return c, nil
}

// adminAt reaches the registry at an endpoint, as the AWS configuration says.
func (e *Env) adminAt(ctx context.Context, o adminOptions) (*adminClient, error) {
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
	client := cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	return &adminClient{
		endpoint: strings.TrimRight(o.endpoint, "/"), region: cfg.Region, credentials: cfg.Credentials, http: client,
		now: e.Now, host: at.Host, close: func() error { return nil },
	}, nil
}

// call carries out one operation. A refusal is an *ecr.Error with the
// registry's own words. An operation of this API may be repeated, so one that
// the registry had no time for is.
func (c *adminClient) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	pause := adminPause
	for try := 1; ; try++ {
		err = c.once(ctx, operation, body, out)
		code := ecr.CodeOf(err)
		if code != ecr.CodeThrottling && code != ecr.CodeUnavailable || try == adminTries {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause *= 2
	}
}

func (c *adminClient) once(ctx context.Context, operation string, body []byte, out any) (err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", awsjson.ContentType)
	r.Header.Set(awsjson.TargetHeader, admin.TargetPrefix+"."+operation)
	who, err := c.credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("no AWS credentials for %s: log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w", c.endpoint, err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, who, r, hex.EncodeToString(sum[:]), "ecr", c.region, c.now()); err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("reaching the registry: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of the registry: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s gives an unexpected answer: %w", c.endpoint, errNoKontor)
	}
	return nil
}

// refusal is what the registry says instead of an answer.
func (c *adminClient) refusal(resp *http.Response, text []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &said) != nil || said.Type == "" {
		return fmt.Errorf("%s answers %s: %w", c.endpoint, resp.Status, errNoKontor)
	}
	if ecr.Code(said.Type) == ecr.CodeUnknownOperation {
		said.Message += ": is this a Kontor registry of this version?"
	}
	return &adminError{ecr.Errorf(ecr.Code(said.Type), "%s", said.Message)}
}

// errNoKontor: something else answers.
var errNoKontor = errors.New("it is not a Kontor registry")

// adminError is a refusal, in the registry's words alone.
type adminError struct{ err *ecr.Error }

func (e *adminError) Error() string { return e.err.Message }

func (e *adminError) Unwrap() error { return e.err }

// adminPages calls a list operation until its last page. token points to the
// nextToken of the request in; each takes a page and returns its nextToken.
func adminPages[Out any](ctx context.Context, c *adminClient, operation string, in any, token *string, each func(*Out) (string, error)) error {
	for {
		out := new(Out)
		if err := c.call(ctx, operation, in, out); err != nil {
			return err
		}
		next, err := each(out)
		if err != nil || next == "" {
			return err
		}
		*token = next
	}
}
