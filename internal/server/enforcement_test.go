package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/adminapi"
	"github.com/kontor-registry/kontor/internal/front/iamapi"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// audited makes the server keep an audit log in dir.
func audited(t *testing.T, dir string, mode audit.Mode, maxBytes int64) func(*server.Config) {
	t.Helper()
	l, err := audit.Open(audit.Config{Dir: dir, Mode: mode, MaxBytes: maxBytes, Keep: -1, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // some tests take its folder away
	return func(c *server.Config) { c.Audit = l }
}

func records(t *testing.T, dir string) []audit.Record {
	t.Helper()
	var out []audit.Record
	for r, err := range audit.Query(dir, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// operationsOfECR are those of the SDK.
func operationsOfECR() []string {
	var names []string
	for client, i := reflect.TypeFor[*awsecr.Client](), 0; i < client.NumMethod(); i++ {
		m := client.Method(i)
		if m.Type.NumIn() == 4 && m.Type.In(2).Kind() == reflect.Pointer && m.Type.In(2).Elem().Name() == m.Name+"Input" {
			names = append(names, m.Name)
		}
	}
	return names
}

// apiBody has the members of all operations on the repository app.
func apiBody(arn string) string {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	b, err := json.Marshal(map[string]any{
		"registryId": "000000000000", "registryIds": []string{"000000000000"}, "repositoryName": "app", "repositoryNames": []string{"app"},
		"resourceArn": arn, "tags": []map[string]string{{"Key": "a", "Value": "b"}}, "tagKeys": []string{"a"},
		"imageId": map[string]string{"imageTag": "v1"}, "imageIds": []map[string]string{{"imageTag": "v1"}}, "subjectId": map[string]string{"imageDigest": d},
		"imageManifest": index, "imageTag": "v2",
		"layerDigest": d, "layerDigests": []string{d}, "uploadId": "00000000-0000-4000-8000-000000000000", "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "eA==",
		"policyText":          `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*","Resource":"*"}]}`,
		"lifecyclePolicyText": `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`,
		"imageTagMutability":  "MUTABLE", "imageScanningConfiguration": map[string]bool{"scanOnPush": true},
		"targetStorageClass": "ARCHIVE", "imageDigest": string(ecr.DigestOf([]byte(index))), "collector": "tests", "ttlSeconds": 60, "reason": "tests", "name": "BLOB_MOUNTING", "value": "ENABLED", "scanType": "BASIC", "rules": []string{}, "replicationConfiguration": map[string]any{"rules": []string{}},
		"signingConfiguration": map[string]any{"rules": []string{}}, "principalArn": "arn:aws:iam::000000000000:role/scanner",
		"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io", "username": "u", "accessToken": "t", "prefix": "team", "appliedFor": []string{"CREATE_ON_PUSH"}, "userName": "pusher", "tokenName": "flux", "replicationBackfillId": "12345678-1234-1234-1234-123456789012",
		"destination": map[string]string{"region": "eu-west-1", "registryId": "000000000000"}, "replicationDestination": "eu-north-1", "state": "failed",
	})
	if err != nil {
		panic(err) // texts and maps
	}
	return string(b)
}

// iamForm has the parameters of all operations of IAM.
func iamForm(action string) string {
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for name, value := range map[string]string{
		"UserName": "other", "RoleName": "other", "NewUserName": "another", "PolicyName": "other", "PolicyDocument": document,
		"AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`,
		"PolicyArn":                "arn:aws:iam::000000000000:policy/other", "PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess",
		"AccessKeyId": "AKIAOTHEROTHEROTHER", "Status": "Inactive", "VersionId": "v1", "Description": "text", "MaxSessionDuration": "3600",
		"Tags.member.1.Key": "a", "Tags.member.1.Value": "b", "TagKeys.member.1": "a",
		"PolicySourceArn": "arn:aws:iam::000000000000:user/other", "ActionNames.member.1": "ecr:PutImage", "PolicyInputList.member.1": document,
		"Url": "https://issuer.example.com", "OpenIDConnectProviderArn": "arn:aws:iam::000000000000:oidc-provider/issuer.example.com",
		"ClientID": "client", "ClientIDList.member.1": "client", "ThumbprintList.member.1": strings.Repeat("0", 40), "EncodedMessage": "x",
	} {
		form.Set(name, value)
	}
	return form.Encode()
}

// unauthorized is what the admin API says of its own actions and of ECR's.
var unauthorized = regexp.MustCompile(`User: arn:aws:iam::000000000000:user/nobody is not authorized to perform: (kontor|ecr):`)

// No operation of the AWS APIs and the admin API, and no route of the docker endpoint answers
// a principal without permissions, whether it is a user of the account or the
// administrator of another. The errors are those of AWS.
func TestEveryWayInAsks(t *testing.T) {
	var key identity.MasterKey
	w := start(t, t.TempDir(), func(c *server.Config) { key = c.Key })
	w.create(here, "app")
	ours := w.password(here, pusher)
	image, layer := w.push(here, ours, "app", "v1", "layer")
	nobody := aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "secret of nobody"}
	sealed := key.Seal(identity.KindAccessKey, nobody.AccessKeyID, []byte(nobody.SecretAccessKey))
	err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		if err := tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDANOBODY", Account: here.Account, Name: "nobody", CreatedAt: w.clock()}); err != nil {
			return err
		}
		return tx.Identities().InsertAccessKey(ctx, meta.AccessKey{ID: nobody.AccessKeyID, UserUniqueID: "AIDANOBODY", Sealed: sealed, Active: true, CreatedAt: w.clock()})
	})
	if err != nil {
		t.Fatal(err)
	}
	operations := operationsOfECR()
	if len(operations) < 58 {
		t.Fatalf("only %d operations: %v", len(operations), operations)
	}
	denied := 0
	for _, name := range operations {
		a := w.do(w.json(here, nobody, name, apiBody(here.RepositoryARN("app"))))
		var got struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		if got.Message == name+" is not implemented by this registry" {
			continue // nothing to ask for
		}
		denied++
		action, _, _ := strings.Cut(strings.TrimPrefix(got.Message, "User: arn:aws:iam::000000000000:user/nobody is not authorized to perform: "), " on resource: ")
		if got.Type != "AccessDeniedException" || !strings.HasPrefix(action, "ecr:") ||
			!strings.HasSuffix(got.Message, " because no identity-based policy allows the "+action+" action") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if denied < 58 {
		t.Errorf("only %d operations deny", denied)
	}

	for _, name := range adminapi.Operations() {
		if name == "CreateConsoleLink" {
			continue // leads every user to what the user may see
		}
		body := apiBody(here.RepositoryARN("app"))
		r := w.request(here, "POST", "/", body, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", admin.TargetPrefix+"."+name)
		a := w.do(w.sign(r, nobody, body, "ecr", here.Region, w.clock()))
		if a.status != 400 || !strings.Contains(a.body, `"__type":"AccessDeniedException"`) ||
			!unauthorized.MatchString(a.body) {
			t.Errorf("the admin API's %s: %d %s", name, a.status, a.body)
		}
	}
	for _, name := range iamapi.Operations() {
		form := iamForm(name)
		r := w.request(here, "POST", "/", form, "Content-Type", formType)
		a := w.do(w.sign(r, nobody, form, "iam", here.Region, w.clock()))
		if a.status != 403 || !strings.Contains(a.body, "<Code>AccessDenied</Code>") ||
			!strings.Contains(a.body, "User: arn:aws:iam::000000000000:user/nobody is not authorized to perform: iam:") {
			t.Errorf("IAM's %s: %d %s", name, a.status, a.body)
		}
	}

	stranger := w.credentials(elsewhere, administrator)
	var strange struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	a := w.want(w.do(w.json(here, stranger, "GetAuthorizationToken", "{}")), 200)
	if err := json.Unmarshal([]byte(a.body), &strange); err != nil {
		t.Fatal(err)
	}
	routes := []string{
		"/v2/_catalog", "/v2/app/tags/list", "/v2/app/manifests/v1", "/v2/app/manifests/" + string(image), "/v2/app/blobs/" + string(layer),
		"/v2/app/referrers/" + string(image), "/v2/app/blobs/uploads/", "/v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000",
		"/v2/app/blobs/uploads/?mount=" + string(layer) + "&from=app", "/v2/app/blobs/uploads/?digest=" + string(layer),
	}
	refused := 0
	for _, path := range routes {
		t.Run(path, func(t *testing.T) {
			w.within(t)
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LINK"} {
				a := w.do(w.request(here, method, path, "{}", "Authorization", "Basic "+strange.AuthorizationData[0].AuthorizationToken, "Content-Type", manifestType))
				switch {
				case a.status == http.StatusForbidden && (method == "HEAD" || strings.Contains(a.body, `"code":"DENIED"`) &&
					strings.Contains(a.body, "because no resource-based policy allows the ecr:")):
					refused++
				case a.status == http.StatusMethodNotAllowed, a.status == http.StatusNotFound && a.body != "" && !strings.Contains(a.body, "_UNKNOWN"),
					a.status == http.StatusBadRequest:
				default:
					t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
				}
			}
		})
	}
	if refused < 17 {
		t.Errorf("only %d routes refuse", refused)
	}
	w.want(w.do(w.basic(here, ours, "GET", "/v2/app/manifests/v1", "")), 200) // nothing happened
}

// What policies ask about a request is what the connection says, on both ways
// in, and no header changes it.
func TestConditionsOnRequests(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	password, admin := w.password(here, administrator), w.credentials(here, administrator)
	w.push(here, password, "app", "v1", "layer")
	deny := func(t *testing.T, condition string) {
		t.Helper()
		_, err := w.server.Registry().System("test").SetPolicy(t.Context(), ecr.Repo{In: here, Name: "app"},
			`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:ListImages"],"Condition":{`+condition+`}}]}`, true)
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, condition string
		denied          bool
	}{
		{"from elsewhere", `"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, true},
		{"from here", `"NotIpAddress":{"aws:SourceIp":["127.0.0.0/8","::1/128"]}`, false},
		{"without TLS", `"Bool":{"aws:SecureTransport":"false"}`, true},
		{"with TLS", `"Bool":{"aws:SecureTransport":"true"}`, false},
		{"a client", `"StringLike":{"aws:UserAgent":"*test-client*"}`, true},
		{"another client", `"StringNotLike":{"aws:UserAgent":"*test-client*"}`, false},
		{"before now", fmt.Sprintf(`"DateLessThan":{"aws:CurrentTime":%q}`, w.clock().Add(-time.Hour).UTC().Format(time.RFC3339)), false},
		{"after now", fmt.Sprintf(`"NumericLessThan":{"aws:EpochTime":"%d"}`, w.clock().Add(time.Hour).Unix()), true},
		{"in another region", `"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}`, false},
	}
	headers := []string{"User-Agent", "test-client/1", "X-Forwarded-For", "192.0.2.1", "X-Real-Ip", "192.0.2.1", "Forwarded", "for=192.0.2.1;proto=https",
		"X-Forwarded-Proto", "https", "X-Amz-Source-Ip", "192.0.2.1", "True-Client-Ip", "192.0.2.1"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			deny(t, tt.condition)
			docker, api := 200, 200
			if tt.denied {
				docker, api = 403, 400
			}
			if a := w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "", headers...)); a.status != docker {
				t.Errorf("%s, docker: %d %s", tt.name, a.status, a.body)
			}
			r := w.json(here, admin, "ListImages", `{"repositoryName":"app"}`)
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			if a := w.do(r); a.status != api {
				t.Errorf("%s, ECR API: %d %s", tt.name, a.status, a.body)
			}
		})
	}
}

// Who guesses has to wait, and is told so, on each way in; others are not
// concerned, at the same address either.
func TestFailedLoginsHaveToWait(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), with(server.Limits{FailedLogins: 3}), audited(t, dir, audit.Changes, 0))
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	guess := aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: "guess"}
	for range 3 {
		if a := w.do(w.json(here, guess, "DescribeRepositories", "{}")); !strings.Contains(a.body, "InvalidSignatureException") {
			t.Fatalf("a guess: %s", a.body)
		}
	}
	// Even what is right is not looked at now, so that guesses are worth nothing.
	w.refused(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 400, ecrRate)
	a := w.do(w.query(here, admin, "Action=GetCallerIdentity&Version=2011-06-15"))
	if a.status != 400 || !strings.Contains(a.body, "<Code>Throttling</Code>") || a.header.Get("Retry-After") != "1" {
		t.Errorf("STS: %d %s %v", a.status, a.body, a.header)
	}
	w.want(w.do(w.json(here, w.credentials(here, pusher), "DescribeRepositories", "{}")), 200)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	w.pass(time.Second)
	w.want(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 200)

	for range 3 {
		w.want(w.do(w.basic(here, "guess", "GET", "/v2/", "")), 401)
	}
	w.refused(w.do(w.basic(here, "guess", "GET", "/v2/", "")), 429, ociRate)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	// Requests without credentials are how docker begins.
	for range 10 {
		w.want(w.do(w.request(here, "GET", "/v2/", "")), 401)
	}
	got := records(t, dir)
	if len(got) != 6 {
		t.Fatalf("%d records: %+v", len(got), got)
	}
	for i, r := range got {
		key := admin.AccessKeyID
		if i >= 3 {
			key = ""
		}
		if r.Operation != "Login" || r.Decision != audit.Denied || r.AccessKey != key || r.Principal != "" || r.Source != "127.0.0.1" || r.RequestID == "" || r.Reason == "" {
			t.Errorf("record %d: %+v", i, r)
		}
	}
}

// Many failed logins do not fill the log.
func TestFailedLoginsOnRecordAreBounded(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), audited(t, dir, audit.Changes, 0))
	for i := range 120 {
		w.want(w.do(w.basic(here, fmt.Sprint("guess", i), "GET", "/v2/", "")), 401)
	}
	if n := len(records(t, dir)); n != 100 {
		t.Errorf("%d records", n)
	}
	w.pass(time.Second)
	w.want(w.do(w.basic(here, "guess", "GET", "/v2/", "")), 401)
	got := records(t, dir)
	if len(got) != 101 || got[100].Suppressed != 20 {
		t.Errorf("%d records, the last %+v", len(got), got[len(got)-1])
	}
}

// A push and a denied pull are on record under the ids that clients were told.
func TestAuditOfRequests(t *testing.T) {
	dir := t.TempDir()
	w := start(t, t.TempDir(), audited(t, dir, audit.Changes, 0))
	w.create(here, "app")
	password := w.password(here, pusher)
	w.push(here, password, "app", "v1", "layer")
	a := w.do(w.basic(here, password, "DELETE", "/v2/app/manifests/v1", "", "User-Agent", "test-client/1"))
	w.want(a, 403)
	var pushed, denied []audit.Record
	for _, r := range records(t, dir) {
		switch {
		case r.Decision == audit.Denied:
			denied = append(denied, r)
		case r.Operation == "PutImage":
			pushed = append(pushed, r)
		}
	}
	if len(pushed) != 1 || pushed[0].Statement != "AmazonEC2ContainerRegistryPowerUser, statement 1" || pushed[0].Source != "127.0.0.1" ||
		pushed[0].Resource != here.RepositoryARN("app") || pushed[0].AccessKey != w.credentials(here, pusher).AccessKeyID {
		t.Errorf("the push: %+v", pushed)
	}
	if len(denied) != 1 || denied[0].RequestID != a.header.Get("X-Amzn-Requestid") || denied[0].Action != "ecr:BatchDeleteImage" ||
		denied[0].UserAgent != "test-client/1" || !strings.Contains(a.body, denied[0].Reason) {
		t.Errorf("the denial: %+v\n%s", denied, a.body)
	}
}

// When the log cannot be written, pushes and denials are refused with 503, and
// pulls go on.
func TestAuditFailsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	w := start(t, t.TempDir(), audited(t, dir, audit.All, 1))
	w.create(here, "app")
	password, admin := w.password(here, pusher), w.credentials(here, administrator)
	w.push(here, password, "app", "v1", "layer")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	unavailable := func(a answer, status int, body string) {
		t.Helper()
		if a.status != status || !strings.Contains(a.body, body) || !strings.Contains(a.body, "The registry cannot put this on record now. Try again later.") || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
	}
	unavailable(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/v2", w.manifest(`{"architecture":"amd64","os":"linux"}`, "layer"), "Content-Type", manifestType)), 503, `"code":"UNAVAILABLE"`)
	unavailable(w.do(w.basic(here, password, "DELETE", "/v2/app/manifests/v1", "")), 503, `"code":"UNAVAILABLE"`)
	unavailable(w.do(w.json(here, admin, "CreateRepository", `{"repositoryName":"new"}`)), 503, `ServiceUnavailableException`)
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 200)
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v2", "")), 404)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.want(w.do(w.json(here, admin, "CreateRepository", `{"repositoryName":"new"}`)), 200)
}

// Requests that are made to be understood in two ways.
func TestHeaderAndPathTricks(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	w.create(here, "secret")
	admin, password := w.credentials(here, administrator), w.password(here, administrator)
	w.push(here, password, "app", "v1", "layer")
	w.push(here, password, "secret", "v1", "layer")
	if _, err := w.server.Registry().System("test").SetPolicy(context.Background(), ecr.Repo{In: here, Name: "secret"},
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"}]}`, true); err != nil {
		t.Fatal(err)
	}
	// However the path is written, what is served is what was asked about.
	for _, path := range []string{
		"/v2/secret/manifests/v1", "/v2/%73ecret/manifests/v1", "/v2/secret%2Fmanifests/v1", "/v2/app/../secret/manifests/v1", "/v2//secret/manifests/v1",
		"/v2/app%2F..%2Fsecret/manifests/v1", "/v2/./secret/manifests/v1", "/v2/app/%2e%2e/secret/manifests/v1", "/v2/secret/manifests/%761",
		"/v2/secret/manifests/v1/", "/V2/secret/manifests/v1", "/v2/secret;x/manifests/v1", "/v2/app%00/../secret/manifests/v1",
	} {
		t.Run(path, func(t *testing.T) {
			w.within(t)
			r := w.basic(here, password, "GET", "/", "")
			r.URL.Opaque = "//" + w.hosts[here] + path
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, resp); a.status < 300 || strings.Contains(a.body, "schemaVersion") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}

	const body = `{"repositoryName":"app"}`
	sum := ecr.DigestOf([]byte(body))
	signed := func(change func(r *http.Request)) string {
		r := w.json(here, admin, "ListImages", body)
		change(r)
		return w.do(r).body
	}
	if got := signed(func(*http.Request) {}); !strings.Contains(got, `"imageTag":"v1"`) {
		t.Fatalf("an honest request: %s", got)
	}
	tests := map[string]func(r *http.Request){
		"two operations": func(r *http.Request) {
			r.Header.Add("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")
		},
		"another operation": func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeImages")
		},
		"two dates":                      func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) },
		"two signatures":                 func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) },
		"a signature and a password":     func(r *http.Request) { r.Header.Add("Authorization", basicHeader("AWS", password)) },
		"a session token out of nothing": func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "token") },
		"another host":                   func(r *http.Request) { r.Host = "example.com" },
		"a query":                        func(r *http.Request) { r.URL.RawQuery = "x=y" },
		"an unsigned body":               func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"a streamed body":                func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") },
		"a hash that is not signed": func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", strings.TrimPrefix(string(sum), "sha256:"))
		},
		"another method": func(r *http.Request) { r.Method = "PUT" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			if got := signed(change); strings.Contains(got, "imageTag") || !strings.Contains(got, "__type") {
				t.Errorf("%s", got)
			}
		})
	}
	// An unsigned body that the signature itself calls so.
	r := w.request(here, "POST", "/", body, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.ListImages",
		"X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if a := w.do(w.sign(r, admin, body, "ecr", here.Region, w.clock())); !strings.Contains(a.body, "InvalidSignatureException") {
		t.Errorf("a body that is signed as unsigned: %d %s", a.status, a.body)
	}
	for name, headers := range map[string][]string{
		"two passwords":              {basicHeader("AWS", password), basicHeader("AWS", "guess")},
		"a password of another user": {basicHeader("admin", password)},
		"half a password":            {basicHeader("AWS", password[:len(password)/2])},
		"a password with an end":     {basicHeader("AWS", password+"A")},
		"no scheme":                  {password},
	} {
		t.Run(name, func(t *testing.T) {
			w.within(t)
			r := w.request(here, "GET", "/v2/app/tags/list", "")
			r.Header["Authorization"] = headers
			if a := w.do(r); a.status != 401 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}
