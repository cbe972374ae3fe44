package deploy_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/kontortest"
)

// TestWebIdentity deploys as a job of CI does: it has a token of its issuer in
// a file and no keys at all, and the server is the judge of it.
func TestWebIdentity(t *testing.T) {
	reg := kontortest.Start(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any = map[string]string{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys"}
		if r.URL.Path == "/keys" {
			answer = map[string]any{"keys": []map[string]string{{"kty": "RSA", "kid": "k", "n": b64(key.N.Bytes()), "e": "AQAB"}}}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	defer issuer.Close()
	token := func(subject string) string {
		claims, err := json.Marshal(map[string]any{"iss": issuer.URL, "sub": subject, "aud": "sts.amazonaws.com", "exp": time.Now().Add(time.Hour).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		signed := b64([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + b64(claims)
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signed + "." + b64(signature)
	}

	users := iam.New(iam.Options{
		Region: reg.Region, BaseEndpoint: &reg.URL,
		Credentials: credentials.NewStaticCredentialsProvider(reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, ""),
	})
	provider, err := users.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + aws.ToString(provider.OpenIDConnectProviderArn) + `"},` +
		`"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"` + strings.TrimPrefix(issuer.URL, "http://") + `:sub":"repo:team/app"}}}]}`
	role, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("ci"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	rights := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	must[*iam.PutRolePolicyOutput](t)(users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("ci"), PolicyName: aws.String("p"), PolicyDocument: &rights}))

	awsHome(t, "")
	file := filepath.Join(t.TempDir(), "token")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	t.Setenv("AWS_ROLE_ARN", aws.ToString(role.Role.Arn))
	t.Setenv("AWS_ROLE_SESSION_NAME", "job-7")
	t.Setenv("AWS_ENDPOINT_URL", reg.URL)
	t.Setenv("AWS_ENDPOINT_URL_STS", reg.URL) // the SDK exchanges the token before it looks at the other
	to := target(reg)
	to.Local, to.Endpoint = false, ""
	connectWith := func(subject string) (*deploy.Conn, error) {
		if err := os.WriteFile(file, []byte(token(subject)), 0o600); err != nil {
			t.Fatal(err)
		}
		return deploy.Connect(t.Context(), deploy.ConnectConfig{Target: to})
	}
	conn, err := connectWith("repo:team/app")
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::" + reg.Account + ":assumed-role/ci/job-7"; conn.Caller != want {
		t.Errorf("caller %s, want %s", conn.Caller, want)
	}
	d := wanted(repo("api", policyA, rulesA))
	deployAll(t, conn, d)
	check(t, conn, d)

	_, err = connectWith("repo:team/other")
	contains(t, err, "registry test: no AWS credentials", "AccessDenied")
}
