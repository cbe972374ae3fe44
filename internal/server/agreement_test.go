package server_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
)

// dockerRequest is something a docker client asks for, with what it takes.
type dockerRequest struct {
	name    string
	method  string
	path    string
	body    string
	header  []string
	actions []access.Action
}

// What `kontor access check` says for certain is what the docker path does:
// random policies of users, a role, repository and registry, in both scopes of
// the registry policy; three users of two accounts, sessions of the role with and
// without tags; every kind of request.
func TestProofAndDockerPathAgree(t *testing.T) {
	policies := 150
	if race.Enabled {
		policies = 50
	}
	foreign := ecr.RegistryID{Account: "222222222222", Region: here.Region}
	w := start(t, t.TempDir(), func(c *server.Config) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.Bindings = append(c.Bindings, server.Binding{Registry: foreign, Host: l.Addr().String(), Listeners: []net.Listener{l}})
	})
	ctx := t.Context()
	repo := ecr.Repo{In: here, Name: "app"}
	system := w.server.Registry().System("test")
	_, err := system.CreateRepository(ctx, registry.NewRepository{Repo: repo, Tags: map[string]string{"team": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	image, layer := w.push(here, w.password(here, pusher), "app", "v1", "layer")
	manifest := w.manifest(`{"architecture":"amd64","os":"linux"}`, "layer")

	type user struct {
		account  ecr.AccountID
		name     string
		arn      string
		password string
		of       iam.Holder
	}
	users := []user{{account: here.Account, name: "ann", of: iam.OfUser}, {account: foreign.Account, name: "bob", of: iam.OfUser}, {account: foreign.Account, name: "eve", of: iam.OfUser}}
	inline := func(u user, text string) {
		t.Helper()
		if err := w.server.IAM(here.Region).System(u.account, "test").PutInline(ctx, u.of, u.name, "own", text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	var ann aws.Credentials
	for i := range users {
		u := &users[i]
		u.arn = fmt.Sprintf("arn:aws:iam::%s:user/%s", u.account, u.name)
		of := w.server.IAM(here.Region).System(u.account, "test")
		if _, err := of.CreateUser(ctx, iam.NewUser{Name: u.name}); err != nil {
			t.Fatal(err)
		}
		_, key, secret, err := of.CreateAccessKey(ctx, u.name)
		if err != nil {
			t.Fatal(err)
		}
		inline(*u, everything)
		u.password = w.tokenOf(here, aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: secret})
		if u.account == here.Account {
			ann = aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: secret}
		}
	}
	// Sessions of a role, by their ARN and by the role's, which stands for all of
	// them.
	ci := user{account: here.Account, name: "ci", of: iam.OfRole, arn: "arn:aws:iam::000000000000:role/ci"}
	_, err = w.server.IAM(here.Region).System(ci.account, "test").CreateRole(ctx, iam.NewRole{Name: ci.name, Trust: trust, Tags: []iam.Tag{{Key: "stage", Value: "test"}}})
	if err != nil {
		t.Fatal(err)
	}
	inline(ci, everything)
	callers := users
	for name, tags := range map[string]string{"build": "", "release": "&Tags.member.1.Key=stage&Tags.member.1.Value=prod"} {
		password := w.tokenOf(here, w.session(ann, ci.arn, name, tags))
		callers = append(callers, user{name: name, arn: ci.arn, password: password},
			user{name: name, arn: "arn:aws:sts::000000000000:assumed-role/ci/" + name, password: password})
	}

	requests := []dockerRequest{
		{"pull a manifest", "GET", "/v2/app/manifests/v1", "", nil, []access.Action{"ecr:BatchGetImage"}},
		{"look at a manifest", "HEAD", "/v2/app/manifests/" + string(image), "", nil, []access.Action{"ecr:BatchGetImage"}},
		{"pull a layer", "GET", "/v2/app/blobs/" + string(layer), "", nil, []access.Action{"ecr:GetDownloadUrlForLayer"}},
		{"look for a layer", "HEAD", "/v2/app/blobs/" + string(layer), "", nil, []access.Action{"ecr:BatchCheckLayerAvailability"}},
		{"begin an upload", "POST", "/v2/app/blobs/uploads/", "", nil, []access.Action{"ecr:InitiateLayerUpload"}},
		{"push a manifest", "PUT", "/v2/app/manifests/latest", manifest, []string{"Content-Type", manifestType}, []access.Action{"ecr:PutImage"}},
		{"list tags", "GET", "/v2/app/tags/list", "", nil, []access.Action{"ecr:ListImages"}},
		{"list referrers", "GET", "/v2/app/referrers/" + string(image), "", nil, []access.Action{"ecr:BatchGetImage", "ecr:ListImageReferrers"}},
		{"delete a tag", "DELETE", "/v2/app/manifests/latest", "", nil, []access.Action{"ecr:BatchDeleteImage"}},
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := drawer{rand.New(rand.NewPCG(seed, 0)), users[0].arn, users[1].arn, repo.ARN()}
	var allowed, denied, depended int
	for range policies {
		known := proof.World{
			Repositories: []proof.Repository{{In: here, Name: "app", Tags: map[string]string{"team": "a"}}},
			Registries:   map[ecr.RegistryID]proof.Registry{},
		}
		if text := draw.document(true); text != "" {
			if _, err := system.SetPolicy(ctx, repo, text, true); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			known.Repositories[0].Policy = text
		} else if _, err := system.DeletePolicy(ctx, repo); err != nil && ecr.CodeOf(err) != ecr.CodeRepositoryPolicyNotFound {
			t.Fatal(err)
		}
		// V1 takes fewer actions, but goes on with a policy that was set before.
		if err := system.SetAccountSetting(ctx, here, proof.KeyScope, string(proof.ScopeV2)); err != nil {
			t.Fatal(err)
		}
		if text := draw.document(true); text != "" {
			if _, err := system.SetRegistryPolicy(ctx, here, text); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			scope := draw.one(proof.ScopeV1, proof.ScopeV2).(proof.Scope)
			if err := system.SetAccountSetting(ctx, here, proof.KeyScope, string(scope)); err != nil {
				t.Fatal(err)
			}
			known.Registries[here] = proof.Registry{Policy: text, Scope: scope}
		} else if _, err := system.DeleteRegistryPolicy(ctx, here); err != nil && ecr.CodeOf(err) != ecr.CodeRegistryPolicyNotFound {
			t.Fatal(err)
		}
		for _, u := range append(users[:len(users):len(users)], ci) {
			p := proof.Principal{ARN: u.arn}
			if u.of == iam.OfRole {
				p.Tags, p.Trust = map[string]string{"stage": "test"}, trust
			}
			text := draw.document(false)
			if text == "" {
				text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
			}
			inline(u, text)
			p.Documents = []access.Document{{Name: "own", Text: text}}
			known.Principals = append(known.Principals, p)
		}
		prover, err := proof.New(known)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range callers {
			for _, q := range requests {
				said, err := prover.Check(u.arn, q.actions, here, "app")
				if err != nil {
					t.Fatal(err)
				}
				did := w.do(w.basic(here, u.password, q.method, q.path, q.body, q.header...))
				if did.status >= 500 || did.status == http.StatusTooManyRequests || did.status == http.StatusUnauthorized {
					t.Fatalf("%s: %d %s", q.name, did.status, did.body)
				}
				may := did.status != http.StatusForbidden
				switch said.Outcome {
				case proof.Allowed:
					allowed++
				case proof.Denied, proof.Partly:
					denied++
				case proof.Depends:
					depended++
					continue
				default:
					t.Fatalf("%s by %s: %s", q.name, u.name, said.Outcome)
				}
				if may != (said.Outcome == proof.Allowed) {
					t.Fatalf("%s by %s: check says %s, the registry answers %d %s\n%+v", q.name, u.arn, said.Outcome, did.status, did.body, known)
				}
			}
		}
	}
	t.Logf("%d allowed, %d denied, %d depend", allowed, denied, depended)
	if allowed < 200 || denied < 200 || depended == 0 {
		t.Errorf("%d allowed, %d denied, %d depend: the draws are too much alike to say anything", allowed, denied, depended)
	}
}

// tokenOf is the docker password of credentials at the registry.
func (w *world) tokenOf(at ecr.RegistryID, c aws.Credentials) string {
	w.t.Helper()
	a := w.want(w.do(w.json(at, c, "GetAuthorizationToken", "{}")), 200)
	var out struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || len(out.AuthorizationData) != 1 {
		w.t.Fatalf("GetAuthorizationToken: %v, %s", err, a.body)
	}
	return string(out.AuthorizationData[0].AuthorizationToken[len("AWS:"):])
}

// session begins a session of the role. tags are further parameters of
// AssumeRole.
func (w *world) session(c aws.Credentials, role, name, tags string) aws.Credentials {
	w.t.Helper()
	a := w.want(w.do(w.query(here, c, "Action=AssumeRole&Version=2011-06-15&RoleArn="+role+"&RoleSessionName="+name+tags)), 200)
	var out struct {
		ID     string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	if err := xml.Unmarshal([]byte(a.body), &out); err != nil {
		w.t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: out.ID, SecretAccessKey: out.Secret, SessionToken: out.Token}
}

// drawer makes random policies.
type drawer struct {
	r          *rand.Rand
	ann, bob   string
	repository string
}

func (d drawer) one(of ...any) any { return of[d.r.IntN(len(of))] }

// document is a policy, of a resource or of a user; "" sometimes.
func (d drawer) document(resource bool) string {
	var list []any
	for range d.r.IntN(4) {
		s := map[string]any{"Effect": d.one("Allow", "Allow", "Allow", "Deny")}
		actions := []any{"ecr:*", "ecr:Batch*", "ecr:GetDownloadUrlForLayer", []string{"ecr:PutImage", "ecr:InitiateLayerUpload"}, "ecr:List*", "ecr:?atchGetImage"}
		s[d.one("Action", "Action", "Action", "NotAction").(string)] = d.one(actions...)
		if resource {
			s["Principal"] = d.one("*", map[string]any{"AWS": d.ann}, map[string]any{"AWS": []string{d.bob, d.ann}},
				map[string]any{"AWS": "222222222222"}, map[string]any{"AWS": "arn:aws:iam::000000000000:role/ci"}, map[string]any{"AWS": "arn:aws:iam::000000000000:root"})
			s["Resource"] = d.one("*", d.repository, "arn:aws:ecr:*:000000000000:repository/a*", "arn:aws:ecr:us-east-1:000000000000:repository/other")
		} else {
			s[d.one("Resource", "Resource", "NotResource").(string)] = d.one("*", d.repository, "arn:aws:ecr:*:*:repository/a*", "arn:aws:ecr:us-east-1:000000000000:repository/other")
		}
		switch d.r.IntN(12) {
		case 0:
			s["Condition"] = map[string]any{d.one("StringEquals", "StringNotEquals").(string): map[string]any{"ecr:ResourceTag/team": d.one("a", "b")}}
		case 1:
			s["Condition"] = map[string]any{"StringLike": map[string]any{"aws:PrincipalArn": d.one("*user/bob", "*:user/*", "*role/ci")}}
		case 2:
			s["Condition"] = map[string]any{"StringEquals": map[string]any{"aws:PrincipalAccount": d.one("222222222222", "000000000000")}}
		case 3:
			s["Condition"] = map[string]any{"IpAddress": map[string]any{"aws:SourceIp": d.one("127.0.0.0/8", "192.0.2.0/24")}}
		case 4:
			s["Condition"] = map[string]any{d.one("StringEquals", "StringNotEquals", "StringEqualsIfExists").(string): map[string]any{"aws:PrincipalTag/stage": d.one("test", "prod", "${aws:PrincipalTag/other}")}}
		case 5:
			s["Condition"] = map[string]any{d.one("StringLike", "StringNotLike").(string): map[string]any{"aws:userid": d.one("*:build", "AIDA*")}}
		case 6:
			s["Condition"] = map[string]any{"Null": map[string]any{d.one("aws:username", "aws:TokenIssueTime", "aws:PrincipalTag/stage").(string): d.one("true", "false")}}
		}
		list = append(list, s)
	}
	if list == nil {
		return ""
	}
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	if err != nil {
		panic(err) // texts and maps
	}
	return string(b)
}
