package iamapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// The accounts that the server of these tests hosts, and one that it does not.
var (
	accountA = ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}
	accountB = ecr.RegistryID{Account: "222222222222", Region: "eu-west-1"}
)

const stranger = "999999999999"

// world is a server for two accounts.
type world struct {
	t      *testing.T
	server *server.Server
	meta   meta.Store
	hosts  map[ecr.RegistryID]string
	audit  string // folder

	mu  sync.Mutex
	now time.Time // the authentication clock; guarded by mu
}

// start serves the two accounts; edit may change the audit log's configuration.
func start(t *testing.T, edit ...func(*audit.Config)) *world {
	t.Helper()
	ctx := context.Background()
	d, err := datadir.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, meta: d.Meta, hosts: map[ecr.RegistryID]string{}, now: time.Now(), audit: filepath.Join(t.TempDir(), "audit")}
	records := audit.Config{Dir: w.audit, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for _, e := range edit {
		e(&records)
	}
	log, err := audit.Open(records)
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{
		Meta: d.Meta, Blobs: d.Blobs, Key: d.Key, ImageNow: time.Now, AuthNow: w.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Audit: log,
	}
	for _, id := range []ecr.RegistryID{accountA, accountB} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.hosts[id] = l.Addr().String()
		cfg.Bindings = append(cfg.Bindings, server.Binding{Registry: id, Host: l.Addr().String(), Listeners: []net.Listener{l}})
	}
	if w.server, err = server.New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(run) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, log.Close(), d.Close()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass moves the authentication clock; the SDK signs with the machine's, so
// what is to be accepted afterwards must lie within 15 minutes.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// as is the SDK's configuration at a registry.
func (w *world) as(at ecr.RegistryID, key, secret, token string) aws.Config {
	return aws.Config{
		Region: string(at.Region), BaseEndpoint: aws.String("http://" + w.hosts[at]),
		Credentials:      credentials.NewStaticCredentialsProvider(key, secret, token),
		RetryMaxAttempts: 1,
	}
}

func (w *world) user(at ecr.RegistryID, name string) aws.Config {
	w.t.Helper()
	c, err := w.server.Identity().Credentials(w.t.Context(), at.Account, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.as(at, c.AccessKeyID, c.SecretAccessKey, "")
}

func (w *world) admin(at ecr.RegistryID) aws.Config { return w.user(at, identity.Administrator) }

func (w *world) session(at ecr.RegistryID, c *ststypes.Credentials) aws.Config {
	return w.as(at, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// newUser makes a user with an inline policy, "" for none, and a key.
func (w *world) newUser(at ecr.RegistryID, name, policy string) aws.Config {
	w.t.Helper()
	c := iam.NewFromConfig(w.admin(at))
	must(c.CreateUser(w.t.Context(), &iam.CreateUserInput{UserName: &name}))(w.t)
	if policy != "" {
		must(c.PutUserPolicy(w.t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy}))(w.t)
	}
	k := must(c.CreateAccessKey(w.t.Context(), &iam.CreateAccessKeyInput{UserName: &name}))(w.t).AccessKey
	return w.as(at, *k.AccessKeyId, *k.SecretAccessKey, "")
}

// newRole makes a role with an inline policy, "" for none, and returns its ARN.
func (w *world) newRole(at ecr.RegistryID, name, trust, policy string) string {
	w.t.Helper()
	c := iam.NewFromConfig(w.admin(at))
	r := must(c.CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(w.t).Role
	if policy != "" {
		must(c.PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("own"), PolicyDocument: &policy}))(w.t)
	}
	return *r.Arn
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError checks code and text of what a service answered.
func wantError(t *testing.T, err error, code, message string) {
	t.Helper()
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != code || !strings.Contains(refused.ErrorMessage(), message) {
		t.Errorf("err = %v, want %s: %s", err, code, message)
	}
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

func trust(principal, rest string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]` + rest + `}]}`
}

func decoded(t *testing.T, s *string) string {
	t.Helper()
	out, err := url.PathUnescape(aws.ToString(s))
	if err != nil {
		t.Error(err)
	}
	return out
}

// describe is a call that needs ecr:DescribeRepositories.
func describe(t *testing.T, c aws.Config) error {
	_, err := awsecr.NewFromConfig(c).DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{})
	return err
}

func whoami(t *testing.T, c aws.Config) (*sts.GetCallerIdentityOutput, error) {
	return sts.NewFromConfig(c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
}

// query sends a signed form and returns status and body.
func (w *world) query(c aws.Config, form, service string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, *c.BaseEndpoint+"/", strings.NewReader(form))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	key, err := c.Credentials.Retrieve(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(form))
	if err := v4.NewSigner().SignHTTP(w.t.Context(), key, r, hex.EncodeToString(sum[:]), service, c.Region, w.clock()); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
