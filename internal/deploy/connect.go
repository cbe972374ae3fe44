package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
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
	// Duration of the assumed role's session; 0 for the SDK's quarter of an
	// hour, after which it assumes the role again.
	Duration time.Duration
	// Silence is how long the other end may say nothing; 0 for Silence.
	Silence time.Duration
	// AnyAccount: the caller may be of another account than the target's, whose
	// repositories let it in. Nothing that is changed goes by the account alone.
	AnyAccount bool
	// Subject is what errors are about, for example "cluster apps"; "" for the
	// registry of Target. Block is where the file names it; "" for registries.
	Subject, Block string
}

func (c ConnectConfig) subject() string {
	if c.Subject != "" {
		return c.Subject
	}
	return "registry " + c.Target.Name
}

func (c ConnectConfig) block() string {
	if c.Block != "" {
		return c.Block
	}
	return "registries"
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
	// Tagging keeps images in use alive by tags.
	Tagging leasetags.API
	// Config is what the clients were made with, for others of the same server
	// at Target.Endpoint.
	Config aws.Config
	// Indexes reads manifests without pulling them; nil where nothing does, as
	// on Amazon ECR.
	Indexes IndexReader

	tags *tagging.Client
}

// Connect builds the clients for c.Target and asks who the caller is. A caller
// of another account than the target's is refused, because every call would
// then reach the wrong registry. The errors say what to do.
func Connect(ctx context.Context, c ConnectConfig) (*Conn, error) {
	cfg, caller, err := Account(ctx, c)
	if err != nil {
		return nil, err
	}
	t := c.Target
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
	tags := tagging.NewFromConfig(cfg, func(o *tagging.Options) {
		o.Retryer = retryer(notThere) // a plan can do without it
		if t.Endpoint != "" {
			o.BaseEndpoint = aws.String(t.Endpoint)
		}
	})
	return &Conn{API: client, Target: t, Caller: caller, Grants: client, Principals: users, Tagging: client, Config: cfg, tags: tags}, nil
}

// Account is Session, and refuses a caller who is not of the target's account,
// unless AnyAccount is set. It returns the caller's ARN, too.
func Account(ctx context.Context, c ConnectConfig) (cfg aws.Config, caller string, err error) {
	if cfg, err = Session(ctx, c); err != nil {
		return cfg, "", err
	}
	who, err := c.sts(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return cfg, "", explain(err, c.subject()+": asking who the caller is")
	}
	if got := aws.ToString(who.Account); got != string(c.Target.Registry.Account) && !c.AnyAccount {
		return cfg, "", &Error{Message: fmt.Sprintf(
			"%s is in account %s, but the credentials belong to %s of account %s: use credentials of account %s (AWS_PROFILE, or profile: or role_arn: in %s), or correct account:",
			c.subject(), c.Target.Registry.Account, aws.ToString(who.Arn), got, c.Target.Registry.Account, c.block())}
	}
	return cfg, aws.ToString(who.Arn), nil
}

// Session finds credentials as c says, and assumes its role if it has one.
// Whose they are is not compared with c's account.
func Session(ctx context.Context, c ConnectConfig) (aws.Config, error) {
	cfg, err := awsConfig(ctx, c)
	if err != nil || c.Target.RoleARN == "" {
		return cfg, err
	}
	role := c.Target.RoleARN
	cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(c.sts(cfg), role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = "kontor"
		if c.Duration > 0 {
			o.Duration = c.Duration
		}
	}))
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return cfg, explainOn(err, fmt.Sprintf("%s: assuming %s", c.subject(), role), role)
	}
	return cfg, nil
}

func (c ConnectConfig) sts(cfg aws.Config) *sts.Client {
	return sts.NewFromConfig(cfg, func(o *sts.Options) {
		// The first call tells whether there is a server at all.
		o.Retryer = retryer(notThere)
		if c.Target.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Target.Endpoint)
		}
	})
}

// awsConfig finds region, credentials and the way of retrying.
func awsConfig(ctx context.Context, c ConnectConfig) (aws.Config, error) {
	t := c.Target
	silence := listen(cmp.Or(c.Silence, Silence))
	if c.AccessKeyID != "" {
		return aws.Config{
			APIOptions:  []func(*middleware.Stack) error{silence},
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
		config.WithAPIOptions([]func(*middleware.Stack) error{silence}),
		// What it warns of ends in an error that says what to do.
		config.WithLogger(logging.Nop{}),
	}
	if c.HTTPClient != nil {
		options = append(options, config.WithHTTPClient(c.HTTPClient))
	} else {
		options = append(options, config.WithHTTPClient(httpClient()))
	}
	if t.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(t.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var profile config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &profile):
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf(
			"%s: the AWS configuration has no profile %s: run `aws configure --profile %s`, or correct profile:", c.subject(), profile.Profile, profile.Profile)}
	case err != nil:
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf("%s: reading the AWS configuration: %s", c.subject(), oneLine(err.Error()))}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return aws.Config{}, ctx.Err()
		}
		if sso := expiredSSO(err, cfg, c); sso != nil {
			return aws.Config{}, sso
		}
		return aws.Config{}, &Error{Err: err, Message: fmt.Sprintf(
			"%s: no AWS credentials: log in (`aws sso login`), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give profile: in %s (%s)",
			c.subject(), c.block(), oneLine(root(err).Error()))}
	}
	return cfg, nil
}

// expiredSSO is the error where credentials of SSO cannot be had: the session
// has ended or never began. It is nil where cfg uses none.
func expiredSSO(err error, cfg aws.Config, c ConnectConfig) error {
	uses := false
	for _, source := range cfg.ConfigSources {
		shared, ok := source.(config.SharedConfig)
		uses = uses || ok && (shared.SSOSessionName != "" || shared.SSOStartURL != "")
	}
	if !uses {
		return nil
	}
	login := "aws sso login"
	if p := c.Target.Profile; p != "" {
		login += " --profile " + p
	}
	return &Error{Err: err, Message: fmt.Sprintf("%s: the SSO session has expired, or never began: run `%s` (%s)", c.subject(), login, oneLine(root(err).Error()))}
}

// newRetryer retries what the SDK retries, and longer, but not what waiting
// does not help. When calls are throttled it slows all calls of the client down
// to what the service takes.
func newRetryer() aws.Retryer { return retryer(hopeless) }

func retryer(never func(error) bool) aws.Retryer {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.MaxBackoff = maxBackoff
			o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if never(err) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			})}, o.Retryables...)
		})
	})
}

// hopeless reports whether waiting does not help: nothing listens there, or
// what does says nothing, speaks no TLS or has a certificate that is not trusted, or
// a quota is used up, which the SDK takes for throttling.
func hopeless(err error) bool {
	var silent *SilentError
	return errors.As(err, &silent) || isCode(err, kecr.CodeLimitExceeded) || errors.Is(err, syscall.ECONNREFUSED) || plainHTTP(err) || untrusted(err) != ""
}

// notThere is hopeless, and where no connection comes about at all: with
// retries that would take minutes to say.
func notThere(err error) bool {
	var op *net.OpError
	return hopeless(err) || errors.As(err, &op) && op.Op == "dial"
}

// dialTimeout is how long a host may take to accept a connection.
const dialTimeout = 10 * time.Second

// httpClient is the SDK's own, but it does not wait half a minute for a host
// that is not there.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
}
