// Package tokens gets docker passwords of registries: of Amazon ECR by the form
// of their host names, and of Kontor's own and others as a file says. The
// kubelet's credential provider and docker's credential helper are two ways to
// ask it.
//
// What it guarantees: a password appears in no error; the cache file is its
// owner's alone, and a password in it is used for the first half of its life
// only, and only where host, profile, role, endpoint and the environment's
// access key are those that it was got with.
package tokens

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Token is a docker password.
type Token struct {
	User, Password string
	ExpiresAt      time.Time
}

// Life is how long the token may be kept at now: half of what it has left.
// Whoever holds it then has the other half to push and pull with.
func (t Token) Life(now time.Time) time.Duration { return max(0, t.ExpiresAt.Sub(now)/2) }

// Source says where a token comes from, and as whom it is asked for.
type Source struct {
	Host   string // that the token is for; errors name it
	Region kecr.Region
	// Profile of the AWS configuration, RoleARN to assume, Endpoint in place of
	// AWS's. All optional.
	Profile  string
	RoleARN  string
	Endpoint string
	// FIPS and DualStack choose AWS's endpoint.
	FIPS, DualStack bool
	// AccessKeyID and SecretAccessKey are used in place of the environment's,
	// if set; HTTPClient in place of the SDK's own.
	AccessKeyID     string
	SecretAccessKey string
	HTTPClient      aws.HTTPClient
}

// session is how long a role is assumed for. No role allows less, and one that
// was assumed by a role no more. Where a password lives no longer than its
// session, as in Kontor, it is the password's life.
const session = time.Hour

// Get asks the registry for a token. The errors say what to do.
func Get(ctx context.Context, s Source) (Token, error) {
	subject := "registry " + s.Host
	cfg, err := deploy.Session(ctx, deploy.ConnectConfig{
		Target:      state.Target{Registry: kecr.RegistryID{Region: s.Region}, Profile: s.Profile, RoleARN: s.RoleARN, Endpoint: s.Endpoint},
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, HTTPClient: s.HTTPClient,
		Duration: session, Subject: subject, Block: "the file of hosts",
	})
	if err != nil {
		return Token{}, err
	}
	client := ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.Endpoint)
			return
		}
		if s.FIPS {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if s.DualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	})
	return get(ctx, client, subject)
}

func get(ctx context.Context, client *ecr.Client, subject string) (Token, error) {
	out, err := client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return Token{}, deploy.Explain(err, subject+": getting a password")
	}
	malformed := &deploy.Error{Message: subject + ": getting a password: the answer is malformed"}
	if len(out.AuthorizationData) == 0 {
		return Token{}, malformed
	}
	data := out.AuthorizationData[0]
	pair, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok || password == "" || data.ExpiresAt == nil {
		return Token{}, malformed
	}
	return Token{User: user, Password: password, ExpiresAt: *data.ExpiresAt}, nil
}

// Credential is a token as package remote logs in with it. It is of s, whatever
// the host.
func (s Source) Credential(ctx context.Context, _ string) (remote.Credential, error) {
	t, err := Get(ctx, s)
	return remote.Credential{User: t.User, Password: t.Password, ExpiresAt: t.ExpiresAt}, err
}

var _ remote.Source = Source{}

// Of gets passwords of a registry that is connected, as its caller, whatever the
// host.
func Of(c *deploy.Conn) remote.Source {
	client := ecr.NewFromConfig(c.Config, func(o *ecr.Options) {
		if c.Target.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Target.Endpoint)
		}
	})
	return remote.SourceFunc(func(ctx context.Context, _ string) (remote.Credential, error) {
		t, err := get(ctx, client, "registry "+c.Target.Name)
		return remote.Credential{User: t.User, Password: t.Password, ExpiresAt: t.ExpiresAt}, err
	})
}
