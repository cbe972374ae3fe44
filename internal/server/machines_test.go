package server_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
)

func compatOCI(c *server.Config) { c.Compat = registry.CompatOCI }

// identities are IAM in here's account.
func (w *world) identities() *iam.Caller {
	return w.server.IAM(here.Region).System(here.Account, "tests")
}

// token makes a machine token and returns its password.
func (w *world) token(n iam.NewMachineToken) string {
	w.t.Helper()
	_, password, err := w.identities().Tokens().Create(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return password
}

// login is a request to the docker endpoint with a user name.
func (w *world) login(at ecr.RegistryID, user, password, method, path, body string, headers ...string) answer {
	r := w.request(at, method, path, body, headers...)
	r.SetBasicAuth(user, password)
	return w.do(r)
}

func TestMachineTokens(t *testing.T) {
	w := start(t, t.TempDir(), compatOCI)
	for _, repo := range []ecr.RepositoryName{"team/app", "team/deep/er", "other"} {
		w.create(here, repo)
		w.push(here, w.password(here, administrator), string(repo), "v1", "layer")
	}
	scoped := w.token(iam.NewMachineToken{User: pusher, Name: "scoped", Pull: []string{"team/*"}, Push: []string{"team/app"}})
	whole := w.token(iam.NewMachineToken{User: pusher, Name: "whole"})
	byPolicy := w.token(iam.NewMachineToken{User: pusher, Name: "policy",
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Effect":"Deny","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/other"}]}`})
	none := w.token(iam.NewMachineToken{User: pusher, Name: "none", Pull: []string{"nothing"}})
	for _, tt := range []struct {
		name, user, password, method, path string
		status                             int
	}{
		{"its user's name", pusher, whole, "GET", "/v2/", 200},
		{"the name for all", "kontor", whole, "GET", "/v2/", 200},
		{"the name that tools for ECR send", "AWS", whole, "GET", "/v2/", 200},
		{"another user's name", administrator, whole, "GET", "/v2/", 401},
		{"another user's name in other letter case", "PUSHER", whole, "GET", "/v2/", 401},
		{"a guess", "kontor", whole[:len(whole)-1] + "_", "GET", "/v2/", 401},
		{"the id alone", "kontor", whole[:27], "GET", "/v2/", 401},
		{"the id of one with the secret of another", "kontor", whole[:27] + scoped[27:], "GET", "/v2/", 401},
		{"what its user may", "kontor", whole, "GET", "/v2/other/manifests/v1", 200},
		{"what its user may not", "kontor", whole, "DELETE", "/v2/other/manifests/v1", 403},
		{"pull within", "kontor", scoped, "GET", "/v2/team/app/manifests/v1", 200},
		{"pull within, deeper", "kontor", scoped, "GET", "/v2/team/deep/er/manifests/v1", 200},
		{"pull outside", "kontor", scoped, "GET", "/v2/other/manifests/v1", 403},
		{"push within", "kontor", scoped, "POST", "/v2/team/app/blobs/uploads/", 202},
		{"push where only pulls are", "kontor", scoped, "POST", "/v2/team/deep/er/blobs/uploads/", 403},
		{"by a policy", "kontor", byPolicy, "GET", "/v2/team/app/manifests/v1", 200},
		{"denied by a policy", "kontor", byPolicy, "GET", "/v2/other/manifests/v1", 403},
		{"a scope gives nothing that the user has not", "kontor", byPolicy, "DELETE", "/v2/team/app/manifests/v1", 403},
		{"nothing", "kontor", none, "GET", "/v2/team/app/manifests/v1", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := w.login(here, tt.user, tt.password, tt.method, tt.path, ""); a.status != tt.status {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.status)
			}
		})
	}
	bearer := w.request(here, "GET", "/v2/", "", "Authorization", "Bearer "+whole)
	w.want(w.do(bearer), 200)
	if a := w.login(here, "kontor", scoped, "GET", "/v2/other/manifests/v1", ""); !strings.Contains(a.body, "because the scope of the token scoped does not allow the ecr:BatchGetImage action") {
		t.Errorf("outside the scope: %s", a.body)
	}
	// A grant of a repository to the user itself does not reach beyond the scope.
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/pusher"},"Action":"ecr:*"}]}`
	if _, err := w.server.Registry().System("tests").SetPolicy(t.Context(), here.Repo("other"), policy, true); err != nil {
		t.Fatal(err)
	}
	w.want(w.login(here, "kontor", whole, "DELETE", "/v2/other/manifests/none", ""), 404)
	w.want(w.login(here, "kontor", scoped, "GET", "/v2/other/manifests/v1", ""), 403)

	// As an access key, it is the user's in every region.
	w.want(w.login(elsewhere, "kontor", whole, "GET", "/v2/", ""), 200)
}

func TestMachineTokensEnd(t *testing.T) {
	one, two := replicas(t, compatOCI)
	users := one.identities()
	if _, err := users.CreateUser(t.Context(), iam.NewUser{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	both := func(password string, status int) {
		t.Helper()
		for i, w := range []*world{one, two} {
			if a := w.login(here, "ann", password, "GET", "/v2/", ""); a.status != status {
				t.Errorf("replica %d: %d %s, want %d", i+1, a.status, a.body, status)
			}
		}
	}
	for name, end := range map[string]func() error{
		"revoked by name": func() error { _, err := users.Tokens().Delete(t.Context(), "ann", "revoked by name"); return err },
		"revoked by id": func() error {
			list, err := users.Tokens().List(t.Context(), "ann")
			if err == nil {
				_, err = users.Tokens().Delete(t.Context(), "ann", list[0].ID)
			}
			return err
		},
		"expired":      func() error { one.pass(time.Hour); two.pass(time.Hour); return nil },
		"user deleted": func() error { return users.DeleteUser(t.Context(), "ann") },
	} {
		t.Run(name, func(t *testing.T) {
			n := iam.NewMachineToken{User: "ann", Name: strings.ReplaceAll(name, " ", "-")}
			if name == "revoked by name" {
				end = func() error { _, err := users.Tokens().Delete(t.Context(), "ann", n.Name); return err }
			}
			status := 401
			if name == "expired" {
				n.Expires, status = one.clock().Add(time.Hour), 403
			}
			password := one.token(n)
			both(password, 200)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			both(password, status)
			if name == "user deleted" {
				if _, err := users.CreateUser(t.Context(), iam.NewUser{Name: "ann"}); err != nil {
					t.Fatal(err)
				}
				both(password, 401) // another user of that name
			}
			list, err := users.Tokens().List(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range list {
				if _, err := users.Tokens().Delete(t.Context(), "ann", token.ID); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestMachineTokensAreOffInCompatECR(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	password := w.token(iam.NewMachineToken{User: pusher, Name: "flux"}) // the server itself may
	w.want(w.login(here, "kontor", password, "GET", "/v2/", ""), 401)
	w.want(w.login(here, "AWS", password, "GET", "/v2/", ""), 401)
	a := w.do(w.admin(here, "CreateUserToken", `{"userName":"pusher","tokenName":"argo"}`))
	if a.status != 400 || !strings.Contains(a.body, "start it with --machine-credentials on") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, dir, func(c *server.Config) { c.MachineCredentials = server.On })
	w.want(w.login(here, "kontor", password, "GET", "/v2/", ""), 200)
}

// admin is a request to the admin API of the administrator.
func (w *world) admin(at ecr.RegistryID, operation, body string) *http.Request {
	r := w.request(at, "POST", "/", body, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Kontor_V20261101."+operation)
	return w.sign(r, w.credentials(at, administrator), body, "ecr", at.Region, w.clock())
}

func TestMachineTokensOnRecord(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), compatOCI, audited(t, dir, audit.Changes, 0))
	w.create(here, "app")
	var made struct {
		Password string
		Token    struct{ ID string }
	}
	a := w.want(w.do(w.admin(here, "CreateUserToken", `{"userName":"pusher","tokenName":"flux","push":["app"]}`)), 200)
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		t.Fatal(err)
	}
	w.push(here, made.Password, "app", "v1", "layer") // as AWS
	w.want(w.login(here, "kontor", made.Password, "DELETE", "/v2/app/manifests/v1", ""), 403)
	if secret := made.Password[28:]; strings.Contains(w.log.String(), secret) {
		t.Error("the secret is in the log")
	}
	found := map[string]int{}
	for _, r := range records(t, dir) {
		if r.Token == "flux" && r.AccessKey == made.Token.ID && strings.HasSuffix(r.Principal, ":user/pusher") {
			found[r.Action+" "+string(r.Decision)]++
		}
		if r.Action == "kontor:CreateUserToken" {
			found[r.Action+" "+r.Resource]++
		}
	}
	for _, want := range []string{"ecr:PutImage allowed", "ecr:BatchDeleteImage denied", "kontor:CreateUserToken arn:aws:iam::000000000000:user/pusher"} {
		t.Run(want, func(t *testing.T) {
			if found[want] == 0 {
				t.Errorf("%s is not on record: %v", want, found)
			}
		})
	}
	var list struct {
		Tokens []struct {
			Name, LastUsedFrom string
			LastUsedAt         time.Time
		}
	}
	a = w.want(w.do(w.admin(here, "ListUserTokens", `{"userName":"pusher"}`)), 200)
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Tokens) != 1 || list.Tokens[0].LastUsedAt.IsZero() || list.Tokens[0].LastUsedFrom != "127.0.0.1" {
		t.Errorf("%v, %s", err, a.body)
	}
	if strings.Contains(a.body, "assword") || strings.Contains(a.body, "ash") {
		t.Errorf("a list shows secrets: %s", a.body)
	}
	w.want(w.do(w.admin(here, "DeleteUserToken", `{"userName":"pusher","tokenName":"flux"}`)), 200)
	w.want(w.login(here, "kontor", made.Password, "GET", "/v2/", ""), 401)
}

func TestGuessedMachineTokensHaveToWait(t *testing.T) {
	w := start(t, t.TempDir(), compatOCI)
	guess := w.token(iam.NewMachineToken{User: pusher, Name: "flux"})[:27] + "_" + strings.Repeat("a", 52)
	for range 1000 {
		switch a := w.login(here, "kontor", guess, "GET", "/v2/", ""); a.status {
		case 401:
		case 429:
			return
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	t.Error("guesses go on for ever")
}

// oidc is an identity provider that serves its keys.
type oidc struct {
	*httptest.Server
	key  *rsa.PrivateKey
	away atomic.Bool
}

func newOIDC(t *testing.T) *oidc {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := &oidc{key: key}
	raw := base64.RawURLEncoding.EncodeToString
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case o.away.Load():
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": o.URL, "jwks_uri": o.URL + "/keys"})
		case r.URL.Path == "/keys":
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{
				{"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": raw(key.N.Bytes()), "e": raw(big.NewInt(int64(key.E)).Bytes())},
			}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// sign makes a token of the subject for the audience.
func (o *oidc) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	raw := base64.RawURLEncoding.EncodeToString
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := raw([]byte(`{"alg":"RS256","kid":"k","typ":"JWT"}`)) + "." + raw(text)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, o.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + raw(signature)
}

// claims are those of a token that is good for ten minutes, with more over them.
func (w *world) claims(o *oidc, more map[string]any) map[string]any {
	now := w.clock()
	out := map[string]any{"iss": o.URL, "sub": "repo:team/app:ref:refs/heads/main", "aud": "sts.amazonaws.com", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// trust makes the account trust o, and a role that pushes to team/app.
func (w *world) trust(o *oidc, path string) {
	w.t.Helper()
	c := w.identities()
	provider, err := c.CreateProvider(w.t.Context(), o.URL, []string{"sts.amazonaws.com", "kontor"}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	name := strings.TrimPrefix(o.URL, "http://")
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"%s:aud":"sts.amazonaws.com"},"StringLike":{"%s:sub":"repo:team/*"}}}]}`, provider, name, name)
	if _, err := c.CreateRole(w.t.Context(), iam.NewRole{Name: "ci", Path: path, Trust: trust}); err != nil {
		w.t.Fatal(err)
	}
	push := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchCheckLayerAvailability","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage","ecr:BatchGetImage"],"Resource":"arn:aws:ecr:*:*:repository/team/*"}]}`
	if err := c.PutInline(w.t.Context(), iam.OfRole, "ci", "push", push); err != nil {
		w.t.Fatal(err)
	}
}

const roleARN = "arn:aws:iam::000000000000:role/build/ci"

// Tokens as GitHub, GitLab and Kubernetes make them are docker passwords.
func TestWebIdentityAsDockerPassword(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), compatOCI, audited(t, dir, audit.Changes, 0))
	w.create(here, "team/app")
	w.create(here, "other")
	o := newOIDC(t)
	w.trust(o, "/build/")
	good := o.sign(t, w.claims(o, nil))
	kubernetes := map[string]any{"sub": "repo:team/app", "aud": []string{"sts.amazonaws.com"}, "kubernetes.io": map[string]any{"namespace": "flux-system"}}
	stranger := newOIDC(t)
	forged := &oidc{Server: o.Server, key: stranger.key}
	for _, tt := range []struct {
		name, user, token string
		status            int
		message           string
	}{
		{"the role's ARN", roleARN, good, 200, ""},
		{"the role's name", "ci", good, 200, ""},
		{"the role's name with its path", "build/ci", good, 200, ""},
		{"with a list of audiences, as Kubernetes", "ci", o.sign(t, w.claims(o, kubernetes)), 200, ""},
		{"another path", "other/ci", good, 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"a role that does not exist", "arn:aws:iam::000000000000:role/none", good, 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"a role's name that does not exist", "none", good, 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"an ARN of a user", "arn:aws:iam::000000000000:user/pusher", good, 403, "is neither the ARN nor the name of a role"},
		{"another subject", "ci", o.sign(t, w.claims(o, map[string]any{"sub": "repo:stranger/app"})), 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"an audience that the role does not take", "ci", o.sign(t, w.claims(o, map[string]any{"aud": "kontor"})), 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"an unknown audience", "ci", o.sign(t, w.claims(o, map[string]any{"aud": "https://github.com/team"})), 403, "Incorrect token audience"},
		{"expired", "ci", o.sign(t, w.claims(o, map[string]any{"exp": w.clock().Add(-time.Hour).Unix()})), 403, "Your authorization token has expired"},
		{"a provider that the account does not know", "ci", stranger.sign(t, w.claims(stranger, nil)), 403, "No OpenIDConnect provider found in your account for"},
		{"signed with another key", "ci", forged.sign(t, w.claims(o, nil)), 403, "The signature does not verify"},
		{"without a signature", "ci", good[:strings.LastIndexByte(good, '.')+1], 403, ""},
		{"the name for docker tokens", "AWS", good, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := w.login(here, tt.user, tt.token, "GET", "/v2/", "")
			if a.status != tt.status || !strings.Contains(a.body, tt.message) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tt.status, tt.message)
			}
		})
	}

	layer := ecr.DigestOf([]byte("layer"))
	w.want(w.login(here, roleARN, good, "POST", "/v2/team/app/blobs/uploads/?digest="+string(layer), "layer"), 201)
	w.want(w.login(here, roleARN, good, "POST", "/v2/other/blobs/uploads/", ""), 403)
	assumed, pushed := 0, ""
	for _, r := range records(t, dir) {
		if r.Action == "sts:AssumeRoleWithWebIdentity" && r.Decision == audit.Allowed && r.Resource == roleARN && strings.HasSuffix(r.Principal, ":repo:team/app:ref:refs/heads/main") {
			assumed++
		}
		if r.Action == "ecr:CompleteLayerUpload" && r.Decision == audit.Allowed {
			pushed = r.Principal
		}
	}
	if assumed != 3 { // by three names of the role, however many requests
		t.Errorf("%d records of the role assumed, want 3", assumed)
	}
	if want := "arn:aws:sts::000000000000:assumed-role/ci/repo-team-app-ref-refs-heads-main"; pushed != want {
		t.Errorf("pushed by %s, want %s", pushed, want)
	}
}

func TestWebIdentityEnds(t *testing.T) {
	one, two := replicas(t, compatOCI)
	o := newOIDC(t)
	one.trust(o, "/")
	good := o.sign(t, one.claims(o, nil))
	both := func(status int) {
		t.Helper()
		for i, w := range []*world{one, two} {
			if a := w.login(here, "ci", good, "GET", "/v2/", ""); a.status != status {
				t.Errorf("replica %d: %d %s, want %d", i+1, a.status, a.body, status)
			}
		}
	}
	both(200)
	c := one.identities()
	role, err := c.Role(t.Context(), "ci")
	if err != nil {
		t.Fatal(err)
	}
	closed := strings.Replace(role.Trust, `"Effect":"Allow"`, `"Effect":"Deny"`, 1)
	if err := c.UpdateAssumeRolePolicy(t.Context(), "ci", closed); err != nil {
		t.Fatal(err)
	}
	both(403)
	if err := c.UpdateAssumeRolePolicy(t.Context(), "ci", role.Trust); err != nil {
		t.Fatal(err)
	}
	both(200)
	if err := c.DeleteProvider(t.Context(), "arn:aws:iam::000000000000:oidc-provider/"+strings.TrimPrefix(o.URL, "http://")); err != nil {
		t.Fatal(err)
	}
	both(403)
	// A provider whose keys cannot be read is not the client's fault.
	away := newOIDC(t)
	away.away.Store(true)
	if _, err := c.CreateProvider(t.Context(), away.URL, []string{"sts.amazonaws.com"}, nil); err != nil {
		t.Fatal(err)
	}
	one.want(one.login(here, "ci", away.sign(t, one.claims(away, nil)), "GET", "/v2/", ""), 503)
}
