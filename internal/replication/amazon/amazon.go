// Package amazon is a registry of Amazon ECR as a destination of replication: it logs in by
// a role, and creates repositories there.
//
// What it guarantees:
//   - credentials of the role and the registry's password are renewed before they expire;
//   - requests go to the endpoints of STS and ECR that Config names, or to those of Amazon in
//     the destination's region, and nowhere else: redirects are not followed, and the
//     instance metadata service is asked only where Config says so;
//   - a denial names the permission that lacks and the statement that gives it;
//   - a repository is created as ECR creates one for a replication: with the settings of the
//     destination's creation template, or with ECR's defaults. One that cannot get the
//     template's policies does not stay.
//
// It leaves out the role of a template (customRoleArn): the repository is created by the role
// of the destination.
//
// Sources: STS API reference, AssumeRole; ECR API reference; ECR user guide, "Repository
// creation templates" and "Private image replication".
package amazon

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Config says which registry it is, and by which role it is reached.
type Config struct {
	Registry ecr.RegistryID // required
	RoleARN  string         // required
	// ExternalID is what the role's trust policy asks for; "" for nothing.
	ExternalID string
	// SessionName names the sessions of the role; "" for "kontor-replication".
	SessionName string
	// STS and API are the URLs of STS and of the ECR API; "" for those of Amazon in the
	// registry's region.
	STS, API string
	// AccessKeyID and SecretAccessKey are what the role is assumed with; "" for what the
	// SDK finds in the environment and in the AWS configuration.
	AccessKeyID, SecretAccessKey string
	// InstanceRole: where the SDK finds nothing else, it asks the instance metadata service.
	InstanceRole bool
	// Trust are certificate authorities to trust besides the system's; nil for none.
	Trust *x509.CertPool
	// Transport makes the connections; nil for one of its own.
	Transport http.RoundTripper
}

const (
	// expiryWindow is how long before its end a session of the role is renewed.
	expiryWindow = 5 * time.Minute
	// session is how long one lasts: what every role allows.
	session = time.Hour
	// attempts is how often a call is tried at once: later, the queue tries again.
	attempts = 2
	// answer is how long a call may take.
	answer = 30 * time.Second
)

// Registry is the registry. It is safe for concurrent use.
type Registry struct {
	cfg  Config
	base aws.CredentialsProvider // what the role is assumed with; nil until the configuration is read
	role *aws.CredentialsCache   // the same

	mu       sync.Mutex     // held while the configuration is read
	api      *awsecr.Client // guarded by mu
	creating sync.Mutex     // held while a repository is created
}

// New returns a Registry. Nothing is sent.
func New(cfg Config) *Registry {
	if cfg.SessionName == "" {
		cfg.SessionName = "kontor-replication"
	}
	return &Registry{cfg: cfg}
}

// client is the client of the ECR API. An error of reading the configuration is not kept.
func (r *Registry) client(ctx context.Context) (*awsecr.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.api != nil {
		return r.api, nil
	}
	instance := imds.ClientDisabled
	if r.cfg.InstanceRole {
		instance = imds.ClientEnabled
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(string(r.cfg.Registry.Region)), config.WithLogger(logging.Nop{}),
		config.WithEC2IMDSClientEnableState(instance), config.WithRetryMaxAttempts(attempts),
		// Where the server proves who it is with a token, as in Kubernetes, STS takes that, too.
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) {
			if r.cfg.STS != "" {
				o.Client = sts.New(sts.Options{
					Region: string(r.cfg.Registry.Region), BaseEndpoint: &r.cfg.STS, HTTPClient: r.web(awshttp.NewBuildableClient()), Credentials: aws.AnonymousCredentials{},
					Retryer: aws.NopRetryer{},
				})
			}
		}),
	}
	if r.cfg.AccessKeyID != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(r.cfg.AccessKeyID, r.cfg.SecretAccessKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of AWS: %w", err)
	}
	loaded.HTTPClient = r.web(loaded.HTTPClient)
	tokens := sts.NewFromConfig(loaded, func(o *sts.Options) {
		if r.cfg.STS != "" {
			o.BaseEndpoint = &r.cfg.STS
		}
	})
	r.base = loaded.Credentials
	r.role = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(tokens, r.cfg.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = r.cfg.SessionName, session
		if r.cfg.ExternalID != "" {
			o.ExternalID = &r.cfg.ExternalID
		}
	}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow })
	loaded.Credentials = r.role
	r.api = awsecr.NewFromConfig(loaded, func(o *awsecr.Options) {
		if r.cfg.API != "" {
			o.BaseEndpoint = &r.cfg.API
		}
	})
	return r.api, nil
}

// web is the client for STS and ECR. sdk is the SDK's, which knows AWS_CA_BUNDLE.
func (r *Registry) web(sdk aws.HTTPClient) *http.Client {
	transport := r.cfg.Transport
	if transport == nil {
		t := remote.NewTransport()
		if b, ok := sdk.(*awshttp.BuildableClient); ok {
			t = b.GetTransport()
		}
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		if t.TLSClientConfig.MinVersion = tls.VersionTLS12; r.cfg.Trust != nil {
			t.TLSClientConfig.RootCAs = r.cfg.Trust
		}
		transport = t
	}
	return &http.Client{Transport: transport, Timeout: answer, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// assumed assumes the role, if its session is about to end. Its errors name the role.
func (r *Registry) assumed(ctx context.Context) (*awsecr.Client, error) {
	api, err := r.client(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := r.role.Retrieve(ctx); err != nil {
		return nil, r.assuming(ctx, err)
	}
	return api, nil
}

// Credential is the password of the registry: a remote.Source.
func (r *Registry) Credential(ctx context.Context, _ string) (remote.Credential, error) {
	api, err := r.assumed(ctx)
	if err != nil {
		return remote.Credential{}, err
	}
	out, err := api.GetAuthorizationToken(ctx, &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		return remote.Credential{}, r.failed(ctx, err, "getting the password of the registry", "*", "ecr:GetAuthorizationToken")
	}
	if len(out.AuthorizationData) == 0 {
		return remote.Credential{}, ecr.Errorf(ecr.CodeUnavailable, "ECR returned no password for %s", r.cfg.Registry)
	}
	got := out.AuthorizationData[0]
	text, err := base64.StdEncoding.DecodeString(aws.ToString(got.AuthorizationToken))
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return remote.Credential{}, ecr.Errorf(ecr.CodeUnavailable, "ECR returned a password for %s that is none", r.cfg.Registry)
	}
	// Where it is used is what the operator says, whatever endpoint the answer names.
	return remote.Credential{User: user, Password: password, ExpiresAt: aws.ToTime(got.ExpiresAt)}, nil
}

// Create creates a repository, as ECR does for a replication into it. Errors:
// RepositoryAlreadyExists, AccessDenied, LimitExceeded, InvalidParameter.
func (r *Registry) Create(ctx context.Context, name ecr.RepositoryName) error {
	r.creating.Lock()
	defer r.creating.Unlock()
	api, err := r.assumed(ctx)
	if err != nil {
		return err
	}
	t, err := r.template(ctx, api, name)
	if err != nil {
		return err
	}
	in := &awsecr.CreateRepositoryInput{RepositoryName: aws.String(string(name)), RegistryId: aws.String(string(r.cfg.Registry.Account))}
	asked := []string{"ecr:CreateRepository"}
	if t != nil {
		in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters, in.Tags = t.ImageTagMutability, t.ImageTagMutabilityExclusionFilters, t.ResourceTags
		if e := t.EncryptionConfiguration; e != nil {
			in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: e.EncryptionType, KmsKey: e.KmsKey}
		}
		if len(t.ResourceTags) > 0 {
			asked = append(asked, "ecr:TagResource")
		}
	}
	arn := r.cfg.Registry.RepositoryARN(name)
	what := "creating repository " + string(name)
	if _, err := api.CreateRepository(ctx, in); err != nil {
		return r.failed(ctx, err, what, arn, asked...)
	}
	if t == nil {
		return nil
	}
	err = r.complete(ctx, api, name, t, what)
	if err == nil {
		return nil
	}
	// Without its policies it would be what the template does not want, and no other try
	// would find it missing. It is empty.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), answer)
	defer cancel()
	_, left := api.DeleteRepository(undo, &awsecr.DeleteRepositoryInput{RepositoryName: in.RepositoryName, RegistryId: in.RegistryId})
	if left != nil {
		why := apiCode(left)
		if codes[why] == ecr.CodeAccessDenied {
			why = "the role needs ecr:DeleteRepository"
		}
		return &ecr.Error{Code: ecr.CodeOf(err), Err: err, Message: fmt.Sprintf(
			"%s. It is there without the policies of its creation template, and could not be deleted (%s): delete it, or set its policies", message(err), cmp.Or(why, "no answer"))}
	}
	return err
}

// complete sets what CreateRepository does not take.
func (r *Registry) complete(ctx context.Context, api *awsecr.Client, name ecr.RepositoryName, t *types.RepositoryCreationTemplate, what string) error {
	arn, repository, account := r.cfg.Registry.RepositoryARN(name), aws.String(string(name)), aws.String(string(r.cfg.Registry.Account))
	if text := aws.ToString(t.RepositoryPolicy); text != "" {
		_, err := api.SetRepositoryPolicy(ctx, &awsecr.SetRepositoryPolicyInput{RepositoryName: repository, RegistryId: account, PolicyText: &text})
		if err != nil {
			return r.failed(ctx, err, what+" with the policy of its creation template", arn, "ecr:SetRepositoryPolicy")
		}
	}
	if text := aws.ToString(t.LifecyclePolicy); text != "" {
		_, err := api.PutLifecyclePolicy(ctx, &awsecr.PutLifecyclePolicyInput{RepositoryName: repository, RegistryId: account, LifecyclePolicyText: &text})
		if err != nil {
			return r.failed(ctx, err, what+" with the lifecycle policy of its creation template", arn, "ecr:PutLifecyclePolicy")
		}
	}
	return nil
}

// template is the creation template for a repository that replication creates; nil for
// none. Source: ECR user guide: the longest prefix counts, then that of the root.
func (r *Registry) template(ctx context.Context, api *awsecr.Client, name ecr.RepositoryName) (*types.RepositoryCreationTemplate, error) {
	prefixes := ecr.TemplatePrefixes(name)
	var found *types.RepositoryCreationTemplate
	best := len(prefixes)
	pages := awsecr.NewDescribeRepositoryCreationTemplatesPaginator(api, &awsecr.DescribeRepositoryCreationTemplatesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, r.failed(ctx, err, "looking for the creation template of repository "+string(name), "*", "ecr:DescribeRepositoryCreationTemplates")
		}
		for _, t := range page.RepositoryCreationTemplates {
			i := slices.Index(prefixes, strings.TrimSuffix(aws.ToString(t.Prefix), "/"))
			if i >= 0 && i < best && slices.Contains(t.AppliedFor, types.RCTAppliedForReplication) {
				found, best = &t, i
			}
		}
	}
	return found, nil
}
