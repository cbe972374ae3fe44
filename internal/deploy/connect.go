package deploy

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// How hard a call is tried. Throttled calls are worth waiting for: a plan of
// many repositories runs into ECR's rates.
const (
	attempts   = 8
	maxBackoff = 10 * time.Second
)

// ConnectConfig says which registry to reach, and as whom.
type ConnectConfig struct {
	Target state.Target
	// AccessKeyID and SecretAccessKey, if set, are used in place of the
	// environment's and the AWS configuration's, which are then not read at
	// all. A local target needs them.
	AccessKeyID     string
	SecretAccessKey string
	// HTTPClient makes the calls; nil for the SDK's own.
	HTTPClient aws.HTTPClient
}

// Conn is a registry that can be observed and changed.
type Conn struct {
	API    API
	Target state.Target
	// Caller is the ARN that the calls are made as.
	Caller string
	// Grants reads who is granted what by the registry, Principals who there is
	// in its account.
	Grants     principals.Registry
	Principals principals.API
}

// Connect builds the clients for c.Target and asks who the caller is. A caller
// of another account than the target's is refused, because every call would
// then reach the wrong registry. The errors say what to do.
func Connect(ctx context.Context, c ConnectConfig) (*Conn, error) {
	cfg, err := awsConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	t := c.Target
	stsClient := func() *sts.Client {
		return sts.NewFromConfig(cfg, func(o *sts.Options) {
			if t.Endpoint != "" {
				o.BaseEndpoint = aws.String(t.Endpoint)
			}
		})
	}
	if t.RoleARN != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(stsClient(), t.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "kontor"
		}))
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return nil, explainOn(err, fmt.Sprintf("registry %s: assuming %s", t.Name, t.RoleARN), t.RoleARN)
		}
	}
	who, err := stsClient().GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, explain(err, fmt.Sprintf("registry %s: asking who the caller is", t.Name))
	}
	if got := aws.ToString(who.Account); got != string(t.Registry.Account) {
		return nil, &Error{Message: fmt.Sprintf(
			"registry %s is in account %s, but the credentials belong to %s of account %s: use credentials of account %s (AWS_PROFILE, or profile: or role_arn: in registries), or correct account:",
			t.Name, t.Registry.Account, aws.ToString(who.Arn), got, t.Registry.Account)}
	}
	client := ecr.NewFromConfig(cfg, func(o *ecr.Options) {
		if t.Endpoint != "" {
			o.BaseEndpoint = aws.String(t.Endpoint)
		}
	})
	// AWS_ENDPOINT_URL and the AWS configuration may name one, too: then the
	// plan must not look as if it were AWS that it goes to.
	t.Endpoint = aws.ToString(client.Options().BaseEndpoint)
	users := iam.NewFromConfig(cfg, func(o *iam.Options) {
		if t.Endpoint != "" {
			o.BaseEndpoint = aws.String(t.Endpoint)
		}
	})
	return &Conn{API: client, Target: t, Caller: aws.ToString(who.Arn), Grants: client, Principals: users}, nil
}

// awsConfig finds region, credentials and the way of retrying.
func awsConfig(ctx context.Context, c ConnectConfig) (aws.Config, error) {
	t := c.Target
	if c.AccessKeyID != "" {
		return aws.Config{
			Region:      string(t.Registry.Region),
			Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
			HTTPClient:  c.HTTPClient,
			Retryer:     newRetryer,
		}, nil
	}
	if t.Local {
		return aws.Config{}, &Error{Message: "the local registry needs its own credentials, not those of AWS"}
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(string(t.Registry.Region)),
		config.WithRetryer(newRetryer),
		// What it warns of ends in an error that says what to do.
		config.WithLogger(logging.Nop{}),
	}
	if c.HTTPClient != nil {
		options = append(options, config.WithHTTPClient(c.HTTPClient))
	}
	if t.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(t.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var profile config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &profile):
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf(
			"registry %s: the AWS configuration has no profile %s: run `aws configure --profile %s`, or correct profile:", t.Name, profile.Profile, profile.Profile)}
	case err != nil:
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf("registry %s: reading the AWS configuration: %s", t.Name, oneLine(err.Error()))}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return aws.Config{}, ctx.Err()
		}
		if sso := expiredSSO(err, cfg, t); sso != nil {
			return aws.Config{}, sso
		}
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf(
			"registry %s: no AWS credentials: log in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give profile: in registries (%s)",
			t.Name, oneLine(root(err).Error()))}
	}
	return cfg, nil
}

// expiredSSO is the error where credentials of SSO cannot be had: the session
// has ended or never began. It is nil where cfg uses none.
func expiredSSO(err error, cfg aws.Config, t state.Target) error {
	uses := false
	for _, source := range cfg.ConfigSources {
		shared, ok := source.(config.SharedConfig)
		uses = uses || ok && (shared.SSOSessionName != "" || shared.SSOStartURL != "")
	}
	if !uses {
		return nil
	}
	login := "aws sso login"
	if t.Profile != "" {
		login += " --profile " + t.Profile
	}
	return &Error{Err: err, Message: fmt.Sprintf("registry %s: the SSO session has expired, or never began: run `%s` (%s)", t.Name, login, oneLine(root(err).Error()))}
}

// newRetryer retries what the SDK retries, and longer, but for one thing: a
// refused connection means that nothing is there, and waiting does not help.
// When calls are throttled it slows all calls of the client down to what the
// service takes.
func newRetryer() aws.Retryer {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.MaxBackoff = maxBackoff
			refused := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if errors.Is(err, syscall.ECONNREFUSED) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})
			o.Retryables = append([]retry.IsErrorRetryable{refused}, o.Retryables...)
		})
	})
}
