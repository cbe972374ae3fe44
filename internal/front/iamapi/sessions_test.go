package iamapi_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func assume(t *testing.T, c aws.Config, role string, edit func(in *sts.AssumeRoleInput)) (*sts.AssumeRoleOutput, error) {
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("work")}
	if edit != nil {
		edit(in)
	}
	return sts.NewFromConfig(c).AssumeRole(t.Context(), in)
}

// Who may assume a role: its trust policy and the caller's own policies decide
// together (IAM user guide, "Cross-account policy evaluation logic" and "How
// to use trust policies with IAM roles").
func TestWhoMayAssume(t *testing.T) {
	w := start(t)
	may := allow("sts:*", "*")
	ann, bob := w.newUser(accountA, "ann", may), w.newUser(accountA, "bob", "")
	carl, dora := w.newUser(accountB, "carl", may), w.newUser(accountB, "dora", "")
	const annARN, bobARN, doraARN = "arn:aws:iam::111111111111:user/ann", "arn:aws:iam::111111111111:user/bob", "arn:aws:iam::222222222222:user/dora"
	external := func(id string) func(*sts.AssumeRoleInput) {
		return func(in *sts.AssumeRoleInput) { in.ExternalId = &id }
	}
	condition := func(c string) string { return `,"Condition":{` + c + `}` }
	tests := []struct {
		name, trust string
		caller      aws.Config
		edit        func(*sts.AssumeRoleInput)
		ok          bool
	}{
		{"the account, and its user may", trust("111111111111", ""), ann, nil, true},
		{"the account, and its user may not", trust("111111111111", ""), bob, nil, false},
		{"the user itself", trust(bobARN, ""), bob, nil, true},
		{"another user", trust(annARN, ""), bob, nil, false},
		{"no principal of this account", trust(stranger, ""), ann, nil, false},
		{"another account, and its user may", trust("arn:aws:iam::222222222222:root", ""), carl, nil, true},
		{"another account, and its user may not", trust("222222222222", ""), dora, nil, false},
		{"a user of another account without own right", trust(doraARN, ""), dora, nil, false},
		{"the right external id", trust("222222222222", condition(`"StringEquals":{"sts:ExternalId":"x-1"}`)), carl, external("x-1"), true},
		{"a wrong external id", trust("222222222222", condition(`"StringEquals":{"sts:ExternalId":"x-1"}`)), carl, external("x-2"), false},
		{"no external id", trust("222222222222", condition(`"StringEquals":{"sts:ExternalId":"x-1"}`)), carl, nil, false},
		{"only without an external id", trust("222222222222", condition(`"Null":{"sts:ExternalId":"true"}`)), carl, nil, true},
		{"session named for the user", trust("111111111111", condition(`"StringLike":{"sts:RoleSessionName":"${aws:username}"}`)), ann, func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("ann") }, true},
		{"session named for another", trust("111111111111", condition(`"StringLike":{"sts:RoleSessionName":"${aws:username}"}`)), ann, nil, false},
		{"a tag that must be", trust("111111111111", condition(`"StringEquals":{"aws:RequestTag/team":"a"}`)), ann, func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
		}, true},
		{"no MFA", trust("111111111111", condition(`"Bool":{"aws:MultiFactorAuthPresent":"true"}`)), ann, nil, false},
		{"a deny wins", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"},` +
			`{"Effect":"Deny","Principal":{"AWS":"` + annARN + `"},"Action":"sts:AssumeRole"}]}`, ann, nil, false},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			role := w.newRole(accountA, "role-"+string(rune('a'+i)), tt.trust, "")
			at := tt.caller
			at.BaseEndpoint = aws.String("http://" + w.hosts[accountB])
			at.Region = string(accountB.Region)
			out, err := assume(t, at, role, tt.edit)
			if !tt.ok {
				wantError(t, err, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: "+role)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(role, "arn:aws:iam::111111111111:role/")
			if want := "arn:aws:sts::111111111111:assumed-role/" + name + "/"; !strings.HasPrefix(*out.AssumedRoleUser.Arn, want) || !strings.HasPrefix(*out.Credentials.AccessKeyId, "ASIA") {
				t.Errorf("session %s with key %s", *out.AssumedRoleUser.Arn, *out.Credentials.AccessKeyId)
			}
			me := must(whoami(t, w.session(accountA, out.Credentials)))(t)
			if *me.Arn != *out.AssumedRoleUser.Arn || *me.UserId != *out.AssumedRoleUser.AssumedRoleId || *me.Account != "111111111111" {
				t.Errorf("who am I: %s, %s", *me.Arn, *me.UserId)
			}
		})
	}
	// A role that is not there is refused like one that is closed.
	_, err := assume(t, ann, "arn:aws:iam::111111111111:role/none", nil)
	wantError(t, err, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111111111111:role/none")
}

func TestSessionLimits(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	ann := w.newUser(accountA, "ann", allow("sts:*", "*"))
	role := w.newRole(accountA, "role", trust("111111111111", ""), allow("*", "*"))
	next := w.newRole(accountA, "next", trust("111111111111", ""), allow("*", "*"))
	c := iam.NewFromConfig(w.admin(accountA))
	for _, tt := range []struct {
		name, code, message string
		edit                func(in *sts.AssumeRoleInput)
	}{
		{"too short", "ValidationError", "Member must have value between 900 and 43200", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }},
		{"nothing", "ValidationError", "Member must have value between 900 and 43200", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(0) }},
		{"longer than the role's", "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) }},
		{"session name", "ValidationError", "at 'roleSessionName' failed", func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a/b") }},
		{"session policy", "MalformedPolicyDocument", "Syntax errors in policy.", func(in *sts.AssumeRoleInput) { in.Policy = aws.String("{}x") }},
		{"session policy that is not there", "MalformedPolicyDocument", "does not exist", func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::111111111111:policy/none")}}
		}},
		{"transitive tag that is none", "ValidationError", "must be included in the requested tags", func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"x"} }},
		{"token device", "AccessDenied", "MultiFactorAuthentication failed", func(in *sts.AssumeRoleInput) {
			in.SerialNumber, in.TokenCode = aws.String("arn:aws:iam::111111111111:mfa/ann"), aws.String("123456")
		}},
	} {
		_, err := assume(t, ann, role, tt.edit)
		t.Log(tt.name)
		wantError(t, err, tt.code, tt.message)
	}

	// Session policies limit, inline and managed ones together.
	limited := must(assume(t, ann, role, func(in *sts.AssumeRoleInput) { in.Policy = aws.String(allow("ecr:Get*", "*")) }))(t)
	wantError(t, describe(t, w.session(accountA, limited.Credentials)), "AccessDeniedException", "because no session policy allows the ecr:DescribeRepositories action")
	if limited.PackedPolicySize == nil || *limited.PackedPolicySize < 1 { //nolint:staticcheck // what clients in use read
		t.Error("the policy takes no room")
	}
	m := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("read"), PolicyDocument: aws.String(allow("ecr:Describe*", "*"))}))(t).Policy
	managed := must(assume(t, ann, role, func(in *sts.AssumeRoleInput) {
		in.PolicyArns = []ststypes.PolicyDescriptorType{{Arn: m.Arn}}
	}))(t)
	if err := describe(t, w.session(accountA, managed.Credentials)); err != nil {
		t.Error(err)
	}
	must(c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: m.Arn}))(t) // and the limit does not go with it
	wantError(t, describe(t, w.session(accountA, managed.Credentials)), "AccessDeniedException", "")

	// Roles from roles: an hour at most, tags and source identity go along.
	first := must(assume(t, ann, role, func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("a")}, {Key: aws.String("other"), Value: aws.String("b")}}
		in.TransitiveTagKeys = []string{"team"}
		in.SourceIdentity = aws.String("ann@example")
	}))(t)
	session := w.session(accountA, first.Credentials)
	must(c.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: aws.String("next"), MaxSessionDuration: aws.Int32(43200)}))(t)
	_, err := assume(t, session, next, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) })
	wantError(t, err, "ValidationError", "exceeds the 1 hour session limit for roles assumed by role chaining")
	_, err = assume(t, session, next, func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("Team"), Value: aws.String("z")}}
	})
	wantError(t, err, "InvalidParameterValue", "conflicts with a transitive tag key from the calling session")
	_, err = assume(t, session, next, func(in *sts.AssumeRoleInput) { in.SourceIdentity = aws.String("bob") })
	wantError(t, err, "AccessDenied", "SourceIdentity")
	must(c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("next"), PolicyName: aws.String("own"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a","aws:SourceIdentity":"ann@example"},"Null":{"aws:PrincipalTag/other":"true"}}}]}`)}))(t)
	second := must(assume(t, session, next, nil))(t)
	if aws.ToString(second.SourceIdentity) != "ann@example" {
		t.Errorf("source identity %q", aws.ToString(second.SourceIdentity))
	}
	if err := describe(t, w.session(accountA, second.Credentials)); err != nil {
		t.Error(err)
	}
	plain := must(assume(t, ann, next, nil))(t)
	wantError(t, describe(t, w.session(accountA, plain.Credentials)), "AccessDeniedException", "")

	_, err = sts.NewFromConfig(ann).DecodeAuthorizationMessage(ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: aws.String("x")})
	wantError(t, err, "InvalidAuthorizationMessageException", "not encoded")
}

// docker asks for the registry's root with a token of c.
func (w *world) docker(t *testing.T, c aws.Config) func() int {
	t.Helper()
	out := must(awsecr.NewFromConfig(c).GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{}))(t)
	return func() int {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, *c.BaseEndpoint+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Basic "+*out.AuthorizationData[0].AuthorizationToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		return resp.StatusCode
	}
}

// Whatever ends a session ends it at once, on both ways in.
func TestRevocation(t *testing.T) {
	roleSession := func(w *world, ann aws.Config) aws.Config {
		role := w.newRole(accountA, "role", trust("111111111111", ""), allow("ecr:*", "*"))
		return w.session(accountA, must(assume(w.t, ann, role, nil))(w.t).Credentials)
	}
	userSession := func(w *world, ann aws.Config) aws.Config {
		out := must(sts.NewFromConfig(ann).GetSessionToken(w.t.Context(), &sts.GetSessionTokenInput{}))(w.t)
		return w.session(accountA, out.Credentials)
	}
	long := func(_ *world, ann aws.Config) aws.Config { return ann }
	deleteRole := func(c *iam.Client, _ string) error {
		_, err := c.DeleteRolePolicy(context.Background(), &iam.DeleteRolePolicyInput{RoleName: aws.String("role"), PolicyName: aws.String("own")})
		if err == nil {
			_, err = c.DeleteRole(context.Background(), &iam.DeleteRoleInput{RoleName: aws.String("role")})
		}
		return err
	}
	switchOff := func(c *iam.Client, key string) error {
		_, err := c.UpdateAccessKey(context.Background(), &iam.UpdateAccessKeyInput{UserName: aws.String("ann"), AccessKeyId: &key, Status: "Inactive"})
		return err
	}
	tests := []struct {
		name   string
		begin  func(w *world, ann aws.Config) aws.Config
		revoke func(c *iam.Client, key string) error
	}{
		{"key switched off", long, switchOff},
		{"key of a user's session switched off", userSession, switchOff},
		{"key of a user's session deleted", userSession, func(c *iam.Client, key string) error {
			_, err := c.DeleteAccessKey(context.Background(), &iam.DeleteAccessKeyInput{UserName: aws.String("ann"), AccessKeyId: &key})
			return err
		}},
		{"role deleted", roleSession, deleteRole},
		{"role deleted and made again", roleSession, func(c *iam.Client, _ string) error {
			err := deleteRole(c, "")
			if err == nil {
				_, err = c.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: aws.String("role"), AssumeRolePolicyDocument: aws.String(trust("111111111111", ""))})
			}
			return err
		}},
		{"token keys deleted", roleSession, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			ann := w.newUser(accountA, "ann", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*","sts:*"],"Resource":"*"}]}`)
			key := must(ann.Credentials.Retrieve(t.Context()))(t).AccessKeyID
			session := tt.begin(w, ann)
			if err := describe(t, session); err != nil {
				t.Fatal(err)
			}
			ping := w.docker(t, session)
			if got := ping(); got != 200 {
				t.Fatalf("docker: %d", got)
			}
			if tt.revoke != nil {
				if err := tt.revoke(iam.NewFromConfig(w.admin(accountA)), key); err != nil {
					t.Fatal(err)
				}
			} else {
				w.deleteTokenKeys(t)
			}
			wantError(t, describe(t, session), "UnrecognizedClientException", "The security token included in the request is invalid.")
			if got := ping(); got != 401 {
				t.Errorf("docker afterwards: %d", got)
			}
		})
	}
}

func (w *world) deleteTokenKeys(t *testing.T) {
	t.Helper()
	err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		keys, err := tx.Identities().TokenKeys(ctx)
		for _, k := range keys {
			if err == nil {
				err = tx.Identities().DeleteTokenKey(ctx, k.ID)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A role's policies hold for sessions that run, and aws:TokenIssueTime ends
// those of before (IAM user guide, "Revoking IAM role temporary security
// credentials").
func TestPolicyEndsSessions(t *testing.T) {
	w := start(t)
	ann := w.newUser(accountA, "ann", allow("sts:*", "*"))
	role := w.newRole(accountA, "role", trust("111111111111", ""), allow("ecr:*", "*"))
	before := w.session(accountA, must(assume(t, ann, role, nil))(t).Credentials)
	if err := describe(t, before); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second)
	revoked := w.clock().UTC().Format(time.RFC3339)
	must(iam.NewFromConfig(w.admin(accountA)).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("role"), PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` + revoked + `"}}}]}`),
	}))(t)
	wantError(t, describe(t, before), "AccessDeniedException", "with an explicit deny in an identity-based policy")
	w.pass(2 * time.Second)
	after := w.session(accountA, must(assume(t, ann, role, nil))(t).Credentials)
	if err := describe(t, after); err != nil {
		t.Error(err)
	}
}

func TestSessionExpires(t *testing.T) {
	w := start(t)
	ann := w.newUser(accountA, "ann", allow("sts:*", "*"))
	role := w.newRole(accountA, "role", trust("111111111111", ""), allow("ecr:*", "*"))
	begun := must(assume(t, ann, role, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(900) }))(t).Credentials
	session := w.session(accountA, begun)
	token := must(awsecr.NewFromConfig(session).GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{}))(t).AuthorizationData[0]
	if !token.ExpiresAt.Equal(*begun.Expiration) {
		t.Errorf("the docker token ends at %v, its session at %v", token.ExpiresAt, begun.Expiration)
	}
	ping := w.docker(t, session)
	w.pass(15*time.Minute - 10*time.Second) // still within the skew of signatures
	if err := describe(t, session); err != nil {
		t.Errorf("before the end: %v", err)
	}
	w.pass(10*time.Second + time.Second)
	key := must(session.Credentials.Retrieve(t.Context()))(t)
	if status, body := w.query(w.as(accountA, key.AccessKeyID, key.SecretAccessKey, key.SessionToken), "Action=GetCallerIdentity&Version=2011-06-15", "sts"); status != 403 || !strings.Contains(body, "<Code>ExpiredToken</Code>") {
		t.Errorf("afterwards: %d %s", status, body)
	}
	if got := ping(); got == 200 {
		t.Errorf("docker afterwards: %d", got)
	}
}

// Sessions of users: what the user may, but neither IAM nor most of STS.
func TestGetSessionToken(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	admin := w.admin(accountA)
	out := must(sts.NewFromConfig(admin).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)}))(t)
	session := w.session(accountA, out.Credentials)
	if err := describe(t, session); err != nil {
		t.Error(err)
	}
	if me := must(whoami(t, session))(t); *me.Arn != "arn:aws:iam::111111111111:user/administrator" {
		t.Errorf("who am I: %s", *me.Arn)
	}
	_, err := iam.NewFromConfig(session).ListUsers(ctx, &iam.ListUsersInput{})
	wantError(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	_, err = sts.NewFromConfig(session).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
	wantError(t, err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	_, err = sts.NewFromConfig(admin).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(129601)})
	wantError(t, err, "ValidationError", "Member must have value between 900 and 129600")

	// Neither key nor token without the other, nor with another's.
	other := must(sts.NewFromConfig(admin).GetSessionToken(ctx, &sts.GetSessionTokenInput{}))(t).Credentials
	for name, c := range map[string]aws.Config{
		"no token":         w.as(accountA, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, ""),
		"another's token":  w.as(accountA, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *other.SessionToken),
		"token of nothing": w.as(accountA, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, "x"),
		"long-term key":    w.as(accountA, must(admin.Credentials.Retrieve(ctx))(t).AccessKeyID, must(admin.Credentials.Retrieve(ctx))(t).SecretAccessKey, *out.Credentials.SessionToken),
	} {
		t.Log(name)
		_, err := whoami(t, c)
		wantError(t, err, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	_, err = whoami(t, w.as(accountA, *out.Credentials.AccessKeyId, "wrong", *out.Credentials.SessionToken))
	wantError(t, err, "SignatureDoesNotMatch", "")
}

// Changes and denials of IAM and STS are on record, without secrets.
func TestAudited(t *testing.T) {
	w := start(t)
	ann := w.newUser(accountA, "ann", "")
	_, _ = iam.NewFromConfig(ann).ListUsers(t.Context(), &iam.ListUsersInput{})
	_, _ = assume(t, ann, "arn:aws:iam::111111111111:role/none", nil)
	key := must(ann.Credentials.Retrieve(t.Context()))(t)
	files := must(filepath.Glob(filepath.Join(w.audit, "*")))(t)
	type line struct{ Principal, Action, Resource, Decision string }
	found := map[line]bool{}
	for _, f := range files {
		text := string(must(os.ReadFile(f))(t))
		if strings.Contains(text, key.SecretAccessKey) {
			t.Error("a secret is on record")
		}
		for l := range strings.Lines(text) {
			var r line
			if err := json.Unmarshal([]byte(l), &r); err != nil {
				t.Fatal(err)
			}
			found[r] = true
		}
	}
	const me = "arn:aws:iam::111111111111:user/ann"
	admin := "arn:aws:iam::111111111111:user/" + identity.Administrator
	for _, want := range []line{
		{admin, "iam:CreateUser", me, "allowed"}, {admin, "iam:CreateAccessKey", me, "allowed"},
		{me, "iam:ListUsers", "arn:aws:iam::111111111111:user/", "denied"}, {me, "sts:AssumeRole", "arn:aws:iam::111111111111:role/none", "denied"},
	} {
		t.Run(want.Action, func(t *testing.T) {
			if !found[want] {
				t.Errorf("no record of %+v among %+v", want, found)
			}
		})
	}
}

// An issuer of OpenID Connect on this machine, and a role for its subjects.
func TestWebIdentity(t *testing.T) {
	w := start(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	b64 := base64.RawURLEncoding.EncodeToString
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{"kty": "RSA", "kid": "k", "n": b64(key.N.Bytes()), "e": "AQAB"}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer.URL, "jwks_uri": issuer.URL + "/keys"})
	}))
	defer issuer.Close()
	name := strings.TrimPrefix(issuer.URL, "http://")
	token := func(claims map[string]any) *string {
		all := map[string]any{"iss": issuer.URL, "sub": "repo:a", "aud": "sts", "exp": w.clock().Add(time.Hour).Unix()}
		maps.Copy(all, claims)
		signed := b64([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + b64(must(json.Marshal(all))(t))
		sum := sha256.Sum256([]byte(signed))
		return aws.String(signed + "." + b64(must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))(t)))
	}
	c := iam.NewFromConfig(w.admin(accountA))
	provider := must(c.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &issuer.URL, ClientIDList: []string{"sts"}}))(t).OpenIDConnectProviderArn
	role := w.newRole(accountA, "ci", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"`+*provider+`"},"Action":"sts:AssumeRoleWithWebIdentity",`+
		`"Condition":{"StringLike":{"`+name+`:sub":"repo:*"},"StringEquals":{"`+name+`:aud":"sts"}}}]}`, allow("ecr:*", "*"))
	client := sts.NewFromConfig(w.as(accountA, "", "", ""))
	call := func(token *string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: &role, RoleSessionName: aws.String("job"), WebIdentityToken: token})
	}
	out := must(call(token(nil)))(t)
	if *out.SubjectFromWebIdentityToken != "repo:a" || *out.Audience != "sts" || *out.Provider != *provider || *out.AssumedRoleUser.Arn != "arn:aws:sts::111111111111:assumed-role/ci/job" {
		t.Errorf("got %+v", out)
	}
	if err := describe(t, w.session(accountA, out.Credentials)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name, code string
		token      *string
	}{
		{"a subject that the role does not trust", "AccessDenied", token(map[string]any{"sub": "user:a"})},
		{"another audience", "InvalidIdentityToken", token(map[string]any{"aud": "x"})},
		{"expired", "ExpiredTokenException", token(map[string]any{"exp": w.clock().Add(-time.Hour).Unix()})},
		{"not yet", "InvalidIdentityToken", token(map[string]any{"nbf": w.clock().Add(time.Hour).Unix()})},
		{"another issuer", "InvalidIdentityToken", token(map[string]any{"iss": "https://other.example"})},
		{"no token", "InvalidIdentityToken", aws.String("guess")},
	} {
		t.Log(tt.name)
		_, err := call(tt.token)
		wantError(t, err, tt.code, "")
	}
	// Session tags: IAM user guide, "Pass session tags in AWS STS", with the claim
	// nested and flat. They need sts:TagSession, replace the role's tags, and go on.
	nested := func(team string) *string {
		return token(map[string]any{"https://aws.amazon.com/tags": map[string]any{
			"principal_tags": map[string][]string{"Team": {team}, "Stage": {"test"}}, "transitive_tag_keys": []string{"Team"},
		}})
	}
	flat := token(map[string]any{
		"https://aws.amazon.com/tags/principal_tags/Team":  "a",
		"https://aws.amazon.com/tags/principal_tags/Stage": []string{"test"}, "https://aws.amazon.com/tags/transitive_tag_keys": []string{"Team"},
	})
	_, err := call(nested("a"))
	wantError(t, err, "AccessDenied", "Not authorized to perform sts:TagSession")
	trusting := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + *provider + `"},"Action":"sts:AssumeRoleWithWebIdentity"},` +
		`{"Effect":"Allow","Principal":{"Federated":"` + *provider + `"},"Action":"sts:TagSession","Condition":{"StringEquals":{"aws:RequestTag/Team":["a","c"]},` +
		`"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":["Team"],"aws:TagKeys":["Team","Stage"]}}}]}`
	role = w.newRole(accountA, "tagged", trusting, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:*","sts:*"],"Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a","aws:PrincipalTag/stage":"test"}}}]}`)
	must(c.TagRole(t.Context(), &iam.TagRoleInput{RoleName: aws.String("tagged"), Tags: []iamtypes.Tag{{Key: aws.String("Team"), Value: aws.String("z")}}}))(t)
	for _, tags := range []*string{nested("a"), flat} {
		out := must(call(tags))(t)
		if err := describe(t, w.session(accountA, out.Credentials)); err != nil {
			t.Error(err)
		}
		next := w.newRole(accountA, fmt.Sprintf("next-%d", len(*tags)), `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":["sts:AssumeRole","sts:TagSession"],`+
			`"Condition":{"StringEquals":{"aws:RequestTag/Team":"a"},"Null":{"aws:RequestTag/Stage":"true"}}}]}`, "")
		if _, err := assume(t, w.session(accountA, out.Credentials), next, nil); err != nil {
			t.Error(err)
		}
	}
	if err := describe(t, w.session(accountA, must(call(nested("c")))(t).Credentials)); err == nil {
		t.Error("a session with another tag may")
	}
	for _, tt := range []struct {
		code  string
		token *string
	}{
		{"AccessDenied", nested("b")}, // which the role does not trust
		{"ValidationError", token(map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]string{"Team": "a"}, "transitive_tag_keys": "Other"}})},
		{"ValidationError", token(map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]string{"Team": "a", "team": "b"}}})},
		{"InvalidIdentityToken", token(map[string]any{"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string][]string{"Team": {"a", "b"}}}})},
	} {
		_, err := call(tt.token)
		wantError(t, err, tt.code, "")
	}

	must(c.DeleteOpenIDConnectProvider(t.Context(), &iam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: provider}))(t)
	_, err = call(token(nil))
	wantError(t, err, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")

	// Nothing else is to be had without credentials.
	for _, form := range []string{"Action=AssumeRole&Version=2011-06-15", "Action=ListUsers&Version=2010-05-08", ""} {
		t.Run("form "+form, func(t *testing.T) {
			resp, err := http.Post("http://"+w.hosts[accountA]+"/", "application/x-www-form-urlencoded", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusForbidden {
				t.Errorf("%q: %d", form, resp.StatusCode)
			}
		})
	}
}
