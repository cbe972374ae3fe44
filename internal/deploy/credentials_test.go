package deploy_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// script answers calls as AWS would, by the host's first part, and notes in
// what order and by whose key they came.
type script struct {
	answers map[string]string // body by host

	mu    sync.Mutex
	calls []string // "host key", guarded by mu
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	key := r.Header.Get("x-amz-sso_bearer_token")
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		key, _, _ = strings.Cut(after, "/")
	}
	if r.Body != nil {
		if body, err := io.ReadAll(r.Body); err != nil {
			return nil, err
		} else if strings.Contains(string(body), "WebIdentityToken=") {
			key = "token"
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, strings.TrimSpace(r.URL.Host+" "+key))
	s.mu.Unlock()
	body, ok := s.answers[r.URL.Host]
	if strings.Contains(key, "token") && s.answers["token"] != "" {
		body = s.answers["token"]
	}
	kind := "application/json"
	if strings.HasPrefix(body, "<") {
		kind = "text/xml"
	}
	if !ok {
		return nil, fmt.Errorf("an unexpected call to %s%s", r.URL.Host, r.URL.Path)
	}
	return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {kind}}, Body: readCloser{strings.NewReader(body)}}, nil
}

// identity is the answer of STS about a caller of the account.
func identity(account string) string {
	return `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Arn>arn:aws:sts::` + account + `:assumed-role/a/b</Arn><UserId>A:b</UserId><Account>` + account + `</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
}

func prod(region kecr.Region) state.Target {
	return state.Target{Name: "prod", Registry: kecr.RegistryID{Account: "111111111111", Region: region}}
}

// The account of the caller is compared before anything else is asked: no
// registry of a stranger is read, and none is changed.
func TestTheAccountIsComparedFirst(t *testing.T) {
	for _, c := range []struct{ name, account, refusal string }{
		{"the declared account", "111111111111", ""},
		{"another", "222222222222", "registry prod is in account 111111111111, but the credentials belong to arn:aws:sts::222222222222:assumed-role/a/b of account 222222222222"},
	} {
		t.Run(c.name, func(t *testing.T) {
			awsHome(t, "")
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
			s := &script{answers: map[string]string{"sts.us-east-2.amazonaws.com": identity(c.account), "api.ecr.us-east-2.amazonaws.com": `{"repositories":[]}`}}
			conn, err := deploy.Connect(t.Context(), deploy.ConnectConfig{Target: prod("us-east-2"), HTTPClient: s})
			if c.refusal != "" {
				contains(t, err, c.refusal)
			} else if err != nil {
				t.Fatal(err)
			} else if _, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true}); err != nil {
				t.Fatal(err)
			}
			want := []string{"sts.us-east-2.amazonaws.com AKIAIOSFODNN7EXAMPLE"}
			if c.refusal == "" {
				want = append(want, "api.ecr.us-east-2.amazonaws.com AKIAIOSFODNN7EXAMPLE")
			}
			if !slices.Equal(s.calls, want) {
				t.Errorf("calls %q, want %q", s.calls, want)
			}
		})
	}
}

// Credentials come from wherever the AWS CLI takes them (AWS SDKs and Tools
// Reference Guide, "Standardized credential providers").
func TestCredentialsOfTheDefaultChain(t *testing.T) {
	const assumed = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
		`<AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>y</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>` +
		`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
	const sts = "sts.us-east-2.amazonaws.com"
	web := []string{sts + " token", sts + " ASIAWEB"}
	tests := []struct {
		name    string
		config  string // @ represents the token's file
		env     map[string]string
		profile string
		answers map[string]string
		want    []string
	}{
		{
			"a profile with sso_session",
			"[profile sso]\nsso_session = corp\nsso_account_id = 111111111111\nsso_role_name = admin\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n",
			nil, "sso",
			map[string]string{"portal.sso.eu-west-1.amazonaws.com": `{"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"x","sessionToken":"y","expiration":4102444800000}}`},
			[]string{"portal.sso.eu-west-1.amazonaws.com sso-token", sts + " ASIASSO"},
		},
		{
			"web identity of the environment, as in a pod", "",
			map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "@", "AWS_ROLE_ARN": "arn:aws:iam::111111111111:role/ci"}, "", nil, web,
		},
		{"web identity of a profile", "[profile ci]\nrole_arn = arn:aws:iam::111111111111:role/ci\nweb_identity_token_file = @\n", nil, "ci", nil, web},
		{
			"a profile of AWS_PROFILE", "[profile mine]\naws_access_key_id = AKIAMINE\naws_secret_access_key = x\n",
			map[string]string{"AWS_PROFILE": "mine"}, "", nil, []string{sts + " AKIAMINE"},
		},
		{
			"the default profile", "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = x\n",
			nil, "", nil, []string{sts + " AKIADEFAULT"},
		},
		{
			"a process", "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"AKIAPROCESS\",\"SecretAccessKey\":\"x\"}'\n",
			nil, "", nil, []string{sts + " AKIAPROCESS"},
		},
		{
			"the file's profile wins over the environment's", "[profile a]\naws_access_key_id = AKIAA\naws_secret_access_key = x\n[profile b]\naws_access_key_id = AKIAB\naws_secret_access_key = x\n",
			map[string]string{"AWS_PROFILE": "a"}, "b", nil, []string{sts + " AKIAB"},
		},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			token := filepath.Join(home, "token")
			awsHome(t, strings.ReplaceAll(c.config, "@", token))
			t.Setenv("HOME", home)
			sum := sha1.Sum([]byte("corp")) // the AWS CLI's name for the session's file
			cache := filepath.Join(home, ".aws", "sso", "cache")
			if err := os.MkdirAll(cache, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{
				token: "a.b.c",
				filepath.Join(cache, hex.EncodeToString(sum[:])+".json"): `{"accessToken":"sso-token","expiresAt":"2999-01-01T00:00:00Z"}`,
			} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for k, v := range c.env {
				t.Setenv(k, strings.ReplaceAll(v, "@", token))
			}
			s := &script{answers: map[string]string{sts: identity("111111111111")}}
			for k, v := range c.answers {
				s.answers[k] = v
			}
			if slices.Contains(c.want, web[0]) {
				s.answers["token"] = assumed
			}
			to := prod("us-east-2")
			to.Profile = c.profile
			if _, err := deploy.Connect(t.Context(), deploy.ConnectConfig{Target: to, HTTPClient: s}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.calls, c.want) {
				t.Errorf("calls %q, want %q", s.calls, c.want)
			}
		})
	}
}

// The variants of AWS's endpoints are the environment's, or the profile's where
// it says nothing (AWS SDKs and Tools Reference Guide, "FIPS and dual-stack
// endpoints"), and the SDK reads them as EndpointsOf does.
func TestEndpointsOf(t *testing.T) {
	const keys = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n"
	const settings = "[default]\n" + keys + "[profile fips]\nuse_fips_endpoint = true\n" + keys +
		"[profile both]\nuse_fips_endpoint = true\nuse_dualstack_endpoint = True\n" + keys + "[profile off]\nuse_fips_endpoint = false\n" + keys
	for _, c := range []struct {
		name    string
		profile string
		env     map[string]string
		want    deploy.Endpoints
	}{
		{"nothing", "", nil, deploy.Endpoints{}},
		{"the environment", "", map[string]string{"AWS_USE_FIPS_ENDPOINT": "True", "AWS_USE_DUALSTACK_ENDPOINT": "false"}, deploy.Endpoints{FIPS: true}},
		{"the file's profile", "fips", nil, deploy.Endpoints{FIPS: true}},
		{"the environment's profile", "", map[string]string{"AWS_PROFILE": "both"}, deploy.Endpoints{FIPS: true, DualStack: true}},
		{"the file's profile before the environment's", "fips", map[string]string{"AWS_PROFILE": "both"}, deploy.Endpoints{FIPS: true}},
		{"the environment before the profile", "fips", map[string]string{"AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, deploy.Endpoints{DualStack: true}},
		{"a profile that says no", "off", nil, deploy.Endpoints{}},
		{"a profile that does not exist", "nope", nil, deploy.Endpoints{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			awsHome(t, settings)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			got, err := deploy.EndpointsOf(t.Context(), os.Getenv, c.profile)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if c.profile == "nope" {
				return
			}
			to := prod("us-east-2")
			to.Profile = c.profile
			cfg, err := deploy.Session(t.Context(), deploy.ConnectConfig{Target: to, HTTPClient: &script{}})
			if err != nil {
				t.Fatal(err)
			}
			o := iam.NewFromConfig(cfg).Options().EndpointOptions
			sdk := deploy.Endpoints{FIPS: o.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled, DualStack: o.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled}
			if sdk != c.want {
				t.Errorf("the SDK: %+v, want %+v", sdk, c.want)
			}
		})
	}
	t.Run("a configuration that is wrong", func(t *testing.T) {
		awsHome(t, "[profile a]\nrole_arn = arn:aws:iam::111111111111:role/x\nsource_profile = nope\n")
		_, err := deploy.EndpointsOf(t.Context(), os.Getenv, "a")
		contains(t, err, "reading the AWS configuration: ", "nope")
	})
}
