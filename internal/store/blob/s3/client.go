package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// newClient makes the client, and an option for requests whose answer may take
// long to begin.
func newClient(ctx context.Context, cfg *Config) (*s3.Client, func(*s3.Options), error) {
	transport := func(answer time.Duration) aws.HTTPClient {
		return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			// The default of 10 makes a new connection for most requests of a
			// busy registry.
			t.MaxIdleConns, t.MaxIdleConnsPerHost = 512, 256
			t.ResponseHeaderTimeout = answer
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{}
			}
			t.TLSClientConfig.MinVersion = tls.VersionTLS12
		})
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(cfg.Region),
		config.WithHTTPClient(transport(cfg.AnswerTimeout)),
		// Not the SDK's adaptive mode: one answer SlowDown makes it let requests of
		// all uploads wait for each other, longer than clients wait.
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = cfg.Attempts, cfg.MaxBackoff
				// The bound is the attempts; a budget over all requests would fail
				// pushes for what happened to others.
				o.RateLimiter = ratelimit.None
				o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
					if isCutOff(err) {
						return aws.TrueTernary
					}
					return aws.UnknownTernary
				}))
			})
		}),
		config.WithLogger(logging.Nop{}),
		// A URL for clients is valid no longer than the credentials that signed it:
		// they are renewed while they last longer than that.
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 2 * redirectMax }),
		// Whoever does not need a checksum may not know it; ours are computed here.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	static, err := cfg.credentials()
	if err != nil {
		return nil, nil, err
	}
	if static != nil {
		options = append(options, config.WithCredentialsProvider(static))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration of AWS: %w", err)
	}
	unsigned := cfg.PayloadSigning == PayloadNever || cfg.PayloadSigning == "" && !strings.HasPrefix(cfg.Endpoint, "http://")
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle, o.HTTPClient = cfg.PathStyle, patient{loaded.HTTPClient, cfg.AnswerTimeout}
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
		}
		if unsigned {
			o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	})
	slow := patient{transport(completeTimeout), completeTimeout}
	return client, func(o *s3.Options) { o.HTTPClient = slow }, nil
}

// patient waits only so long for each piece of an answer's body. The client that it
// wraps bounds the wait for the answer's beginning.
type patient struct {
	aws.HTTPClient
	within time.Duration
}

func (c patient) Do(r *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(r.Context())
	res, err := c.HTTPClient.Do(r.WithContext(ctx))
	if err != nil {
		stop(nil)
		return res, err
	}
	timer := time.AfterFunc(c.within, func() { stop(errStalled) })
	timer.Stop()
	res.Body = &patientBody{ReadCloser: res.Body, ctx: ctx, stop: stop, timer: timer, within: c.within}
	return res, nil
}

// errStalled: the store began an answer, and sent no more of it.
var errStalled = errors.New("the store stopped in the middle of its answer")

type patientBody struct {
	io.ReadCloser
	ctx    context.Context // of the request
	stop   context.CancelCauseFunc
	timer  *time.Timer // stops the request when a Read takes too long
	within time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.within)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (b *patientBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.stop(nil)
	return err
}

// credentials returns those of c; nil when it has none.
func (c *Config) credentials() (aws.CredentialsProvider, error) {
	id, secret := c.AccessKeyID, c.SecretAccessKey
	for _, f := range []struct {
		name string
		to   *string
		what string
	}{{c.AccessKeyIDFile, &id, "access key id"}, {c.SecretAccessKeyFile, &secret, "secret access key"}} {
		if f.name == "" {
			continue
		}
		if *f.to != "" {
			return nil, fmt.Errorf("the %s is given twice: as it is, and in the file %s", f.what, f.name)
		}
		b, err := os.ReadFile(f.name)
		if err != nil {
			return nil, fmt.Errorf("reading the %s: %w", f.what, err)
		}
		if *f.to = strings.TrimSpace(string(b)); *f.to == "" {
			return nil, fmt.Errorf("the file %s of the %s is empty", f.name, f.what)
		}
	}
	switch {
	case id == "" && secret == "":
		return nil, nil
	case id == "" || secret == "":
		return nil, errors.New("an access key id and a secret access key belong together: give both, or neither to use those that the AWS SDK finds")
	}
	return credentials.NewStaticCredentialsProvider(id, secret, c.SessionToken), nil
}

// code is the error code of the store's answer; "" where there was none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// status is the HTTP status of the store's answer; 0 where there was none.
func status(err error) int {
	var e *smithyhttp.ResponseError
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}

// failed says what a request for an object failed with, as errors of package
// blob. right is the IAM action that it needs. It returns nil for nil.
func (s *Store) failed(right, name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	what := fmt.Sprintf("%s of %q in bucket %q", right, name, s.cfg.Bucket)
	answer, code := status(err), code(err)
	switch code {
	case "NoSuchKey", "NotFound", "NoSuchUpload":
		return fmt.Errorf("%w: %s: %w", blob.ErrNotFound, what, err)
	case "NoSuchBucket":
		return fmt.Errorf("the bucket %q does not exist: %w", s.cfg.Bucket, err)
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		return fmt.Errorf("the store refuses %s: give the right to the credentials of Kontor: %w", what, err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return fmt.Errorf("the store does not accept the credentials for bucket %q: %w", s.cfg.Bucket, err)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("the clocks of this machine and of the store differ too much: set this machine's: %w", err)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return fmt.Errorf("the bucket %q is not in region %s: %w", s.cfg.Bucket, s.cfg.Region, err)
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "QuotaExceededException":
		return fmt.Errorf("%w: %s: %w", blob.ErrNoSpace, what, err)
	}
	switch {
	case answer == http.StatusNotFound:
		return fmt.Errorf("%w: %s: %w", blob.ErrNotFound, what, err)
	case answer == http.StatusForbidden:
		return fmt.Errorf("the store refuses %s: give the right to the credentials of Kontor: %w", what, err)
	case answer == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %s: %w", blob.ErrNoSpace, what, err)
	case answer == 0 || answer >= 500 || isCutOff(err) || answer == http.StatusTooManyRequests || isThrottle(err) || code == "RequestTimeout" || code == "InternalError":
		return fmt.Errorf("%w: %s: %w", blob.ErrUnavailable, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isThrottle reports whether the store asks for fewer requests, with whatever status.
func isThrottle(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// isCutOff reports whether an answer was not whole.
func isCutOff(err error) bool {
	var e *smithy.DeserializationError
	return errors.As(err, &e)
}

// unknown reports whether a request may have been carried out though it failed.
func unknown(err error) bool {
	answer := status(err)
	return answer == 0 || answer >= 500 || answer == http.StatusOK
}

// withChecksum asks for the checksum of an object. The SDK's own option would
// also compare it, which fails when a body is read in pieces.
func withChecksum(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("x-amz-checksum-mode", "ENABLED"))
}
