package deploy_test

import (
	"context"
	"crypto/sha1" // the AWS CLI names files so
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	reg := kontortest.Start(t)
	pusher := connectAs(t, reg, reg.Pusher, nil)
	p := plan.Diff(wanted(repo("api", policyA, "")), state.Observed{Target: pusher.Target})
	got := apply(t, pusher, p).Repositories[0].Error
	want := `the caller needs ecr:CreateRepository and ecr:TagResource: add {"Effect":"Allow","Action":["ecr:CreateRepository","ecr:TagResource"],` +
		`"Resource":"arn:aws:ecr:` + reg.Region + `:` + reg.Account + `:repository/api"} to its IAM policy`
	if !strings.Contains(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}

	// An SSO profile whose cached token is not there or over.
	config := "[profile sso]\nsso_session = s\nsso_account_id = 111111111111\nsso_role_name = admin\nregion = us-east-2\n" +
		"[sso-session s]\nsso_region = us-east-2\nsso_start_url = https://example.invalid/start\n"
	awsHome(t, config)
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(home+"/.aws/sso/cache", 0o700); err != nil {
		t.Fatal(err)
	}
	to := deploy.ConnectConfig{Target: state.Target{Name: "prod", Registry: target(reg).Registry, Profile: "sso"}}
	const login = "registry prod: the SSO session has expired, or never began: run `aws sso login --profile sso`"
	_, err := deploy.Connect(t.Context(), to)
	contains(t, err, login)
	sum := sha1.Sum([]byte("s")) // the AWS CLI's name for the session's file
	expired := `{"accessToken":"x","expiresAt":"2020-01-01T00:00:00Z"}`
	if err := os.WriteFile(home+"/.aws/sso/cache/"+hex.EncodeToString(sum[:])+".json", []byte(expired), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = deploy.Connect(t.Context(), to)
	contains(t, err, login)
}

// TestHints: each answer that a person can do something about says what.
// Source: ECR API reference, "Common Errors", and the SDK's codes for the same.
func TestHints(t *testing.T) {
	call := func(service, operation, code string) error {
		return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: "so\n it is"}}
	}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"throttled to the end", call("ECR", "DescribeRepositories", "ThrottlingException"),
			"the repositories: ThrottlingException: so it is (the account's request rate is used up: try again later, with a smaller --parallelism)"},
		{"STS says it so", call("STS", "AssumeRole", "Throttling"), "the account's request rate is used up"},
		{"no right to read", call("ECR", "GetLifecyclePolicy", "AccessDeniedException"),
			`the caller needs ecr:GetLifecyclePolicy: add {"Effect":"Allow","Action":"ecr:GetLifecyclePolicy","Resource":"*"} to its IAM policy`},
		{"no right to the role", call("STS", "AssumeRole", "AccessDenied"), "and the caller to the role's trust policy"},
		{"a key nobody has", call("STS", "GetCallerIdentity", "InvalidClientTokenId"), "the access key is not known there"},
		{"a wrong secret or clock", call("STS", "GetCallerIdentity", "SignatureDoesNotMatch"), "or this machine's clock is wrong"},
		{"an old session", call("ECR", "DescribeRepositories", "ExpiredTokenException"), "the credentials have expired: log in again"},
		{"images since the plan", call("ECR", "DeleteRepository", "RepositoryNotEmptyException"), "plan again"},
		{"no such region", &smithy.OperationError{ServiceID: "ECR", OperationName: "DescribeRepositories",
			Err: &net.DNSError{Name: "api.ecr.mars-1.amazonaws.com", IsNotFound: true}}, "the host api.ecr.mars-1.amazonaws.com is not known: check region:"},
		{"a quota", call("ECR", "CreateRepository", "LimitExceededException"), "a quota of the account is used up: ask for more under Service Quotas"},
		{"a key that may not be used", call("ECR", "CreateRepository", "KmsException"), "the caller needs kms:DescribeKey, kms:CreateGrant and kms:RetireGrant on the key of encryption:"},
		{"an answer of no AWS API", call("STS", "GetCallerIdentity", "UnknownError"),
			"the repositories: the response to STS GetCallerIdentity is not from the AWS API: correct endpoint:"},
		{"a host that does not accept", &smithy.OperationError{ServiceID: "STS", OperationName: "GetCallerIdentity",
			Err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.ErrDeadlineExceeded}},
			"192.0.2.1:443 cannot be reached: i/o timeout: check the network, a proxy (HTTPS_PROXY) and endpoint:"},
	} {
		t.Run(c.name, func(t *testing.T) { contains(t, deploy.Explain(c.err, "the repositories"), c.want) })
	}
	if err := deploy.Explain(context.Canceled, "the repositories"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestDenialsNameThePolicy: a statement is to be added where it helps. Messages
// as in the IAM user guide, "Troubleshoot access denied error messages".
func TestDenialsNameThePolicy(t *testing.T) {
	const (
		who   = "User: arn:aws:iam::111111111111:user/a is not authorized to perform: ecr:GetLifecyclePolicy on resource: arn:aws:ecr:us-east-2:111111111111:repository/api "
		needs = "the caller needs ecr:GetLifecyclePolicy"
		add   = needs + `: add {"Effect":"Allow","Action":"ecr:GetLifecyclePolicy","Resource":"*"} to `
		deny  = needs + ", but a Deny in "
	)
	for message, want := range map[string]string{
		"because no identity-based policy allows the ecr:GetLifecyclePolicy action":        add + "its IAM policy",
		"because no permissions boundary allows the ecr:GetLifecyclePolicy action":         add + "its permissions boundary",
		"because no session policy allows the ecr:GetLifecyclePolicy action":               add + "the policy of its session",
		"because no service control policy allows the ecr:GetLifecyclePolicy action":       add + "the service control policy of its organization",
		"because no VPC endpoint policy allows the ecr:GetLifecyclePolicy action":          add + "the policy of the VPC endpoint",
		"because no resource-based policy allows the ecr:GetLifecyclePolicy action":        add + "the policy of the resource",
		"with an explicit deny in an identity-based policy":                                deny + "its IAM policy overrides every Allow",
		"with an explicit deny in a service control policy":                                deny + "the service control policy of its organization overrides every Allow",
		"with an explicit deny in a resource-based policy, so it is in that of a registry": deny + "the policy of the resource overrides every Allow",
	} {
		err := deploy.Explain(&smithy.OperationError{ServiceID: "ECR", OperationName: "GetLifecyclePolicy",
			Err: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: who + message}}, "repository api")
		contains(t, err, want)
		if strings.Contains(want, " overrides ") && strings.Contains(err.Error(), `"Allow"`) {
			t.Errorf("an Allow does not help against a Deny: %v", err)
		}
	}
}

// TestServersThatAreNone: what stands where a registry should is told apart, at
// once.
func TestServersThatAreNone(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotImplemented)
		_, _ = w.Write([]byte("<html><head><meta></head></html>"))
	}))
	defer page.Close()
	sealed := httptest.NewTLSServer(page.Config.Handler)
	sealed.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer sealed.Close()
	for _, c := range []struct{ name, endpoint, want string }{
		{"a web page", page.URL, "is not from the AWS API: correct endpoint:"},
		{"no TLS", strings.Replace(page.URL, "http:", "https:", 1), "the server speaks no TLS: write http:// in endpoint:"},
		{"a certificate of nobody", sealed.URL, "the server's certificate is not trusted: x509: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			awsHome(t, "")
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
			_, err := deploy.Connect(t.Context(), deploy.ConnectConfig{Target: state.Target{
				Name: "prod", Endpoint: c.endpoint, Registry: kecr.RegistryID{Account: "111111111111", Region: "us-east-2"},
			}})
			contains(t, err, "registry prod: ", c.want)
		})
	}
}
