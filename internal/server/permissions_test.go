package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/race"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/front/adminapi"
	"github.com/kontor-registry/kontor/internal/front/iamapi"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// auditor looks at what requests leave on record.
type auditor struct {
	*world
	dir      string
	declared map[string][]string // actions by the name of the operation
}

func newAuditor(t *testing.T) *auditor {
	dir := t.TempDir()
	a := &auditor{
		world: start(t, t.TempDir(), audited(t, dir, audit.All, 0), func(c *server.Config) {
			c.TestClock, c.MachineCredentials = retention.NewTestClock(time.Now), server.On
			// Nothing listens there: a rule can be made, and is found not to be valid.
			c.Events.Hosts = []delivery.Host{{Host: "127.0.0.1:1", PlainHTTP: true}}
			c.Upstreams = []upstream.Host{{Host: "quay.io", Private: true, PlainHTTP: true, Address: "127.0.0.1:1"}}
		}),
		dir: dir, declared: map[string][]string{},
	}
	for _, op := range slices.Concat(registry.Operations(), retention.Operations(), jobs.Operations(), templates.Operations(), upstream.Operations(), inspect.Operations(), replication.Operations(), scanning.Operations(), signing.Operations(), managed.Operations(), delivery.Operations()) {
		for _, action := range op.Actions {
			a.declared[op.Name] = append(a.declared[op.Name], string(action))
		}
	}
	for _, action := range iam.TokenActions() {
		_, name, _ := strings.Cut(string(action), ":")
		a.declared[name] = []string{string(action)}
	}
	a.declared["OpenConsole"] = []string{"kontor:OpenConsole"}
	return a
}

// check makes sure that a request which succeeded has a record of each
// permission that its operations declare, which for IAM and STS is that of their
// name, and of those in also, and no other.
func (a *auditor) check(api, name string, got answer, also ...string) bool {
	a.t.Helper()
	if got.status >= 300 {
		return false
	}
	found := map[string][]string{}
	for _, r := range records(a.t, a.dir) {
		if r.RequestID != got.header.Get("X-Amzn-Requestid") {
			continue
		}
		if r.Decision != audit.Allowed || r.Principal == "" || r.Resource == "" {
			a.t.Errorf("%s: %+v", name, r)
		}
		if !slices.Contains(found[r.Operation], r.Action) {
			found[r.Operation] = append(found[r.Operation], r.Action)
		}
	}
	if len(found) == 0 {
		a.t.Errorf("%s leaves no record", name)
	}
	for op, actions := range found {
		want := a.declared[op]
		if api == "IAM" || api == "STS" {
			want = []string{strings.ToLower(api) + ":" + op}
		}
		if want = slices.Concat(want, also); !slices.Equal(actions, want) {
			a.t.Errorf("%s: of %s on record are %q, want %q", name, op, actions, want)
		}
	}
	return true
}

// signingKey is a public key.
const signingKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnZiA7uqyJgd3xln7v902z21QqzYX
VCioHo35GFs5GZQ+mfmNcrZQddHZ6ej7eX6r8yyGqY1gh5Rfuoxg882EaA==
-----END PUBLIC KEY-----`

// notConfigured is the answer of operations that never succeed here.
var notConfigured = regexp.MustCompile(`"__type":"(SigningConfiguration|ReplicationBackfill)NotFoundException"`)

// Whatever way a request comes in: each permission that it needed is on record.
func TestEachPermissionIsOnRecord(t *testing.T) {
	a := newAuditor(t)
	job := a.server.Registry().System("tests")
	keeper := a.server.Retention().System("tests")
	root, password := a.credentials(here, administrator), a.password(here, administrator)
	app := here.Repo("app")
	var body map[string]any
	if err := json.Unmarshal([]byte(apiBody(app.ARN())), &body); err != nil {
		t.Fatal(err)
	}
	var image, layer ecr.Digest
	// prepare makes everything be there that an operation may want.
	prepare := func() {
		t.Helper()
		_, err := job.CreateRepository(t.Context(), registry.NewRepository{Repo: app})
		if err != nil && ecr.CodeOf(err) != ecr.CodeRepositoryAlreadyExists {
			t.Fatal(err)
		}
		image, layer = a.push(here, password, "app", "v1", "layer")
		_, errPolicy := job.SetPolicy(t.Context(), app, body["policyText"].(string), true)
		_, errRegistry := job.SetRegistryPolicy(t.Context(), here, body["policyText"].(string))
		_, errLifecycle := keeper.SetLifecyclePolicy(t.Context(), app, body["lifecyclePolicyText"].(string))
		_, errLeases := keeper.ReportLeases(t.Context(), here, "tests", time.Hour, nil)
		_, errPreview := keeper.StartLifecyclePreview(t.Context(), app, "")
		for _, err := range []error{errPolicy, errRegistry, errLifecycle, errLeases, errPreview} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	// rule makes another pull-through cache rule, and returns its prefix.
	rules := 0
	rule := func() string {
		t.Helper()
		rules++
		prefix := fmt.Sprintf("rule-%d", rules)
		if _, err := a.server.Upstreams().As(access.Principal{System: "tests"}).CreateRule(t.Context(), here, upstream.NewRule{Prefix: prefix, URL: "quay.io"}); err != nil {
			t.Fatal(err)
		}
		return prefix
	}
	secret := func(name string) string {
		t.Helper()
		s, err := a.server.Upstreams().As(access.Principal{System: "tests"}).PutSecret(t.Context(), here, name, upstream.Login{Username: "u", AccessToken: "t"})
		if err != nil {
			t.Fatal(err)
		}
		return s.ARN
	}
	// replicate makes a rule with the destinations that requests name.
	replicate := func() {
		t.Helper()
		to := replication.Rule{To: []ecr.RegistryID{{Account: here.Account, Region: "eu-west-1"}, {Account: here.Account, Region: "eu-north-1"}}}
		err := a.server.Replication().As(access.Principal{System: "tests"}).PutReplication(t.Context(), here, replication.Configuration{Rules: []replication.Rule{to}})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := func(edit map[string]any) string {
		all := maps.Clone(body)
		maps.Copy(all, edit)
		b, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	t.Run("ECR", func(t *testing.T) {
		for i, name := range operationsOfECR() {
			if race.Enabled && i%3 != 0 {
				continue
			}
			prepare()
			edit, also := map[string]any{"layerDigest": layer, "layerDigests": []ecr.Digest{layer}}, []string(nil)
			switch name {
			case "CreateRepository":
				edit["repositoryName"], also = "new", []string{"ecr:TagResource"}
			case "DeleteRepository":
				edit["force"] = true
			case "DescribeImages", "ListImages", "GetLifecyclePolicyPreview":
				edit["imageIds"] = nil
			case "CompleteLayerUpload", "UploadLayerPart":
				id, err := job.StartUpload(t.Context(), app)
				if err == nil && name == "CompleteLayerUpload" {
					_, err = job.AppendUpload(t.Context(), app, id, 0, strings.NewReader("another layer"))
				}
				if err != nil {
					t.Fatal(err)
				}
				edit["uploadId"], edit["layerDigests"] = id, []ecr.Digest{ecr.DigestOf([]byte("another layer"))}
			case "DeregisterPullTimeUpdateExclusion":
				if _, err := keeper.RegisterPullTimeExclusion(t.Context(), here, body["principalArn"].(string)); err != nil {
					t.Fatal(err)
				}
			case "RegisterPullTimeUpdateExclusion":
				edit["principalArn"] = "arn:aws:iam::000000000000:role/mirror"
			case "UpdateRepositoryCreationTemplate", "DeleteRepositoryCreationTemplate":
				edit["prefix"] = "of-" + strings.ToLower(name)
				a.want(a.do(a.json(here, root, "CreateRepositoryCreationTemplate", text(edit))), 200)
			case "DescribePullThroughCacheRules":
				edit["ecrRepositoryPrefix"] = rule()
			case "UpdatePullThroughCacheRule", "DeletePullThroughCacheRule", "ValidatePullThroughCacheRule":
				edit["ecrRepositoryPrefix"], edit["credentialArn"] = rule(), secret("permissions")
			case "DescribeRepositories":
				edit["repositoryNames"] = []string{"app"}
			case "StartReplicationBackfill":
				replicate()
			}
			got := a.do(a.json(here, root, name, text(edit)))
			never := name == "StartImageScan" /* no scanner */ || name == "DescribeImageScanFindings" || name == "PutSigningConfiguration" || notConfigured.MatchString(got.body)
			if !a.check("ECR", name, got, also...) && !never && !strings.Contains(got.body, "not implemented") {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	})

	t.Run("admin", func(t *testing.T) {
		admit := func(name, text string) answer {
			r := a.request(here, "POST", "/", text, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", admin.TargetPrefix+"."+name)
			return a.do(a.sign(r, root, text, "ecr", here.Region, a.clock()))
		}
		for i, name := range adminapi.Operations() {
			if race.Enabled && i%3 != 0 {
				continue
			}
			prepare()
			edit := map[string]any{"imageDigest": image}
			if name == "RestoreImage" {
				if err := job.DeleteManifest(t.Context(), app, image); err != nil {
					t.Fatal(err)
				}
			}
			if edit["tokenName"] = name; name == "DeleteUserToken" {
				a.token(iam.NewMachineToken{User: pusher, Name: name})
			}
			switch name {
			case "CreateUpstream":
				edit["ecrRepositoryPrefix"] = "new"
			case "DeleteUpstream", "ValidateUpstream":
				edit["ecrRepositoryPrefix"] = rule()
			case "RefreshUpstream":
				of := here.Repo(ecr.RepositoryName(rule() + "/app"))
				if _, err := job.CreateRepository(t.Context(), registry.NewRepository{Repo: of}); err != nil {
					t.Fatal(err)
				}
				edit["repositoryName"], edit["imageTag"] = of.Name, nil
			case "PutSigner":
				edit["signer"] = map[string]string{"name": "release", "key": signingKey}
			case "DeleteSigner":
				edit["name"] = "release"
				a.want(admit("PutSigner", `{"signer": {"name": "release", "key": `+strconv.Quote(signingKey)+`}}`), 200)
			case "PutEventReceiver":
				edit["name"], edit["url"] = "hook", "http://127.0.0.1:1/"
			case "DeleteEventReceiver", "ListEventDeliveries", "RedeliverEvents", "TestEventReceiver":
				edit["name"] = "hook"
				a.want(admit("PutEventReceiver", `{"name": "hook", "url": "http://127.0.0.1:1/"}`), 200)
			case "ListImageSignatures":
				edit["imageTag"] = nil
			case "ListSigningProfiles":
				edit["name"] = nil // of all
			case "DeleteSecret":
				secret(body["name"].(string))
			case "DescribeReplication":
				edit["imageTag"] = nil
			case "StartBackfill":
				replicate()
			}
			if got := admit(name, text(edit)); !a.check("admin", name, got) && !notConfigured.MatchString(got.body) {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	})

	t.Run("OCI", func(t *testing.T) {
		prepare()
		a.create(here, "other")
		oci := func(method, path, content string, status int, also ...string) answer {
			t.Helper()
			got := a.do(a.basic(here, password, method, path, content, "Content-Type", manifestType))
			if got.status != status || !a.check("OCI", method+" "+path, got, also...) {
				t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
			}
			return got
		}
		config := `{"architecture":"amd64","os":"linux"}`
		oci("GET", "/v2/_catalog", "", 200)
		oci("GET", "/v2/app/tags/list", "", 200)
		oci("GET", "/v2/app/manifests/v1", "", 200)
		oci("HEAD", "/v2/app/manifests/"+string(image), "", 200)
		oci("GET", "/v2/app/blobs/"+string(layer), "", 200)
		oci("HEAD", "/v2/app/blobs/"+string(layer), "", 200)
		oci("GET", "/v2/app/referrers/"+string(image), "", 200)
		oci("POST", "/v2/other/blobs/uploads/?from=app&mount="+string(layer), "", 201, "ecr:GetDownloadUrlForLayer")
		oci("POST", "/v2/other/blobs/uploads/?digest="+string(ecr.DigestOf([]byte(config))), config, 201)
		upload := oci("POST", "/v2/other/blobs/uploads/", "", 202).header.Get("Location")
		oci("PATCH", upload, "half", 202)
		oci("GET", upload, "", 204)
		oci("PUT", upload+"?digest="+string(ecr.DigestOf([]byte("half"))), "", 201)
		oci("DELETE", oci("POST", "/v2/other/blobs/uploads/", "", 202).header.Get("Location"), "", 204)
		oci("PUT", "/v2/other/manifests/v1", a.manifest(config, "layer"), 201)
		oci("DELETE", "/v2/app/manifests/v1", "", http.StatusAccepted)
		oci("DELETE", "/v2/other/manifests/"+string(image), "", http.StatusAccepted)
	})

	t.Run("IAM", func(t *testing.T) {
		var key string
		const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`
		const boundary = "arn:aws:iam::aws:policy/AdministratorAccess"
		steps := []struct {
			name string
			edit url.Values
			also []string
		}{
			{"CreatePolicy", nil, []string{"iam:TagPolicy"}},
			{"CreateUser", nil, []string{"iam:TagUser"}},
			{"CreateRole", nil, []string{"iam:TagRole"}},
			{"CreateOpenIDConnectProvider", nil, nil},
			{name: "GetUser"}, {name: "ListUsers"}, {name: "GetRole"}, {name: "ListRoles"}, {name: "GetPolicy"}, {name: "ListPolicies"},
			{name: "CreateAccessKey"}, {name: "ListAccessKeys"}, {name: "UpdateAccessKey"}, {name: "GetAccessKeyLastUsed"}, {name: "DeleteAccessKey"},
			{name: "PutUserPolicy"}, {name: "GetUserPolicy"}, {name: "ListUserPolicies"}, {name: "DeleteUserPolicy"},
			{name: "PutRolePolicy"}, {name: "GetRolePolicy"}, {name: "ListRolePolicies"}, {name: "DeleteRolePolicy"},
			{name: "AttachUserPolicy"}, {name: "ListAttachedUserPolicies"}, {name: "DetachUserPolicy"},
			{name: "AttachRolePolicy"}, {name: "ListAttachedRolePolicies"}, {name: "DetachRolePolicy"},
			{name: "PutUserPermissionsBoundary", edit: url.Values{"PermissionsBoundary": {boundary}}}, {name: "DeleteUserPermissionsBoundary"},
			{name: "PutRolePermissionsBoundary", edit: url.Values{"PermissionsBoundary": {boundary}}}, {name: "DeleteRolePermissionsBoundary"},
			{name: "TagUser"}, {name: "ListUserTags"}, {name: "UntagUser"}, {name: "TagRole"}, {name: "ListRoleTags"}, {name: "UntagRole"},
			{name: "UpdateRole"}, {name: "UpdateAssumeRolePolicy", edit: url.Values{"PolicyDocument": {trust}}},
			{name: "CreatePolicyVersion"}, {name: "GetPolicyVersion"}, {name: "ListPolicyVersions"}, {name: "SetDefaultPolicyVersion"},
			{name: "DeletePolicyVersion", edit: url.Values{"VersionId": {"v2"}}},
			{name: "GetOpenIDConnectProvider"}, {name: "ListOpenIDConnectProviders"},
			{name: "AddClientIDToOpenIDConnectProvider"}, {name: "RemoveClientIDFromOpenIDConnectProvider"},
			{name: "GetAccountAuthorizationDetails"}, {name: "SimulatePrincipalPolicy"}, {name: "SimulateCustomPolicy"},
			{name: "UpdateUser"},
			{name: "DeleteUser", edit: url.Values{"UserName": {"another"}}},
			{name: "DeleteRole"}, {name: "DeletePolicy"}, {name: "DeleteOpenIDConnectProvider"},
		}
		left := slices.Clone(iamapi.Operations())
		for _, step := range steps {
			left = slices.DeleteFunc(left, func(name string) bool { return name == step.name })
			if !slices.Contains(iamapi.Operations(), step.name) {
				t.Errorf("IAM has no %s here: take it out", step.name)
				continue
			}
			form, err := url.ParseQuery(iamForm(step.name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(step.name, "Create") {
				form.Del("PermissionsBoundary")
			}
			if key != "" {
				form.Set("AccessKeyId", key)
			}
			maps.Copy(form, step.edit)
			text := form.Encode()
			r := a.request(here, "POST", "/", text, "Content-Type", formType)
			got := a.do(a.sign(r, root, text, "iam", here.Region, a.clock()))
			if !a.check("IAM", step.name, got, step.also...) {
				t.Errorf("%s: %d %s", step.name, got.status, got.body)
			}
			if _, rest, ok := strings.Cut(got.body, "<AccessKeyId>"); ok && step.name == "CreateAccessKey" {
				key, _, _ = strings.Cut(rest, "<")
			}
		}
		if len(left) > 0 {
			t.Errorf("these are not tried: %v", left)
		}
	})

	t.Run("STS", func(t *testing.T) {
		sts := func(form string, also ...string) {
			t.Helper()
			if got := a.do(a.query(here, root, form+"&Version=2011-06-15")); !a.check("STS", form, got, also...) {
				t.Errorf("%s: %d %s", form, got.status, got.body)
			}
		}
		form := url.Values{"Action": {"CreateRole"}, "Version": {"2010-05-08"}, "RoleName": {"ci"}, "AssumeRolePolicyDocument": {
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:*"}]}`,
		}}.Encode()
		a.want(a.do(a.sign(a.request(here, "POST", "/", form, "Content-Type", formType), root, form, "iam", here.Region, a.clock())), 200)
		const assume = "Action=AssumeRole&RoleSessionName=job&RoleArn=arn:aws:iam::000000000000:role/ci"
		sts(assume)
		sts(assume+"&Tags.member.1.Key=a&Tags.member.1.Value=b&SourceIdentity=jane", "sts:TagSession", "sts:SetSourceIdentity")
		sts("Action=GetSessionToken")
	})
}
