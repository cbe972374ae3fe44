// Package adminclient calls the admin API of one Kontor registry, signed as the
// AWS APIs are.
//
// It guarantees that a refusal is an *ecr.Error with the registry's own message,
// that a call that the registry was too busy for is retried, which every operation
// of this API allows, and that a server that is not a Kontor registry is reported
// as such.
package adminclient

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
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// How often and how long a call is tried that the registry cannot serve now.
const (
	tries = 6
	pause = 200 * time.Millisecond
	// maxAnswer bounds an answer: a page of a thousand documents.
	maxAnswer = 1 << 30
)

// ErrNoKontor: something else answers.
var ErrNoKontor = errors.New("it is not a Kontor registry")

// Config says which registry to call, and as whom.
type Config struct {
	Endpoint    string // URL of its API
	Region      string
	Credentials aws.CredentialsProvider
	HTTPClient  aws.HTTPClient // nil for http.DefaultClient
	Now         func() time.Time
	// Patience is how long one call may take; 0 for any time, as some need it.
	Patience time.Duration
}

// Client calls one registry. It is safe for concurrent use.
type Client struct{ cfg Config }

// New makes a client. Nothing is reached.
func New(cfg Config) *Client {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = http.DefaultClient
	}
	return &Client{cfg}
}

// Call runs one operation.
func (c *Client) Call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	pause := pause
	for try := 1; ; try++ {
		err = c.once(ctx, operation, body, out)
		code := ecr.CodeOf(err)
		if code != ecr.CodeThrottling && code != ecr.CodeUnavailable || try == tries {
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

func (c *Client) once(ctx context.Context, operation string, body []byte, out any) (err error) {
	if c.cfg.Patience > 0 {
		late := fmt.Errorf("%s has not answered for %s", c.cfg.Endpoint, c.cfg.Patience)
		inTime, cancel := context.WithTimeoutCause(ctx, c.cfg.Patience, late)
		defer cancel()
		defer func() {
			if err != nil && errors.Is(context.Cause(inTime), late) {
				err = late
			}
		}()
		ctx = inTime
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", awsjson.ContentType)
	r.Header.Set(awsjson.TargetHeader, admin.TargetPrefix+"."+operation)
	who, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("no AWS credentials for %s: log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w", c.cfg.Endpoint, err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, who, r, hex.EncodeToString(sum[:]), "ecr", c.cfg.Region, c.cfg.Now()); err != nil {
		return err
	}
	resp, err := c.cfg.HTTPClient.Do(r)
	if err != nil {
		return fmt.Errorf("reaching the registry: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the response of the registry: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s returned an unexpected response: %w", c.cfg.Endpoint, ErrNoKontor)
	}
	return nil
}

// refusal is what the registry says instead of an answer.
func (c *Client) refusal(resp *http.Response, text []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &said) != nil || said.Type == "" {
		return fmt.Errorf("%s returned %s: %w", c.cfg.Endpoint, resp.Status, ErrNoKontor)
	}
	if ecr.Code(said.Type) == ecr.CodeUnknownOperation {
		said.Message += ": is this a Kontor registry of this version?"
	}
	return &refusal{ecr.Errorf(ecr.Code(said.Type), "%s", said.Message)}
}

// refusal is an error in the registry's words alone.
type refusal struct{ err *ecr.Error }

func (e *refusal) Error() string { return e.err.Message }

func (e *refusal) Unwrap() error { return e.err }

// Pages calls a list operation until its last page. token points to the
// nextToken of the request in; each takes a page and returns its nextToken.
func Pages[Out any](ctx context.Context, c *Client, operation string, in any, token *string, each func(*Out) (string, error)) error {
	for {
		out := new(Out)
		if err := c.Call(ctx, operation, in, out); err != nil {
			return err
		}
		next, err := each(out)
		if err != nil || next == "" {
			return err
		}
		*token = next
	}
}

// Leases reads the leases of a repository, or of all when the name is "".
func (c *Client) Leases(ctx context.Context, repository string) (admin.ListLeasesResponse, error) {
	in := admin.ListLeasesRequest{RepositoryName: repository, MaxResults: admin.MaxPage}
	all := admin.ListLeasesResponse{Collectors: []admin.Collector{}, Leases: []admin.Lease{}}
	err := Pages(ctx, c, "ListLeases", &in, &in.NextToken, func(out *admin.ListLeasesResponse) (string, error) {
		all.Collectors = out.Collectors
		all.Leases = append(all.Leases, out.Leases...)
		return out.NextToken, nil
	})
	return all, err
}

// Repositories are the names of all that the registry has, in byte order.
func (c *Client) Repositories(ctx context.Context) ([]string, error) {
	client := awsecr.New(awsecr.Options{Region: c.cfg.Region, BaseEndpoint: &c.cfg.Endpoint, Credentials: c.cfg.Credentials, HTTPClient: c.cfg.HTTPClient})
	var names []string
	for pages := awsecr.NewDescribeRepositoriesPaginator(client, &awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(admin.MaxPage)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Repositories {
			names = append(names, aws.ToString(r.RepositoryName))
		}
	}
	slices.Sort(names)
	return names, nil
}

// ECR is a client of the registry's ECR API.
func (c *Client) ECR() *awsecr.Client {
	return awsecr.New(awsecr.Options{Region: c.cfg.Region, BaseEndpoint: &c.cfg.Endpoint, Credentials: c.cfg.Credentials, HTTPClient: c.cfg.HTTPClient})
}

// IAM is a client of the registry's IAM API.
func (c *Client) IAM() *iam.Client {
	return iam.New(iam.Options{Region: c.cfg.Region, BaseEndpoint: &c.cfg.Endpoint, Credentials: c.cfg.Credentials, HTTPClient: c.cfg.HTTPClient})
}
