package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// The form is exact: docker, containerd and others go by it.
func TestDockerChallenge(t *testing.T) {
	w := start(t, t.TempDir())
	password := w.password(here, pusher)
	secret := w.credentials(here, pusher)
	tests := []struct{ name, authorization string }{
		{"no credentials", ""},
		{"a guess", basicHeader("AWS", "guess")},
		{"no password", basicHeader("AWS", "")},
		{"another user name", basicHeader("admin", password)},
		{"a token cut off", basicHeader("AWS", password[:len(password)-4])},
		{"an access key", basicHeader(secret.AccessKeyID, secret.SecretAccessKey)},
		{"no base64", "Basic %%%"},
		{"another scheme", "Digest " + password},
		{"a guessed bearer token", "Bearer eyJhbGciOiJub25lIn0.e30."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			for _, method := range []string{"GET", "HEAD", "PUT"} {
				r := w.request(here, method, "/v2/app/manifests/v1", "")
				if tt.authorization != "" {
					r.Header.Set("Authorization", tt.authorization)
				}
				a := w.do(r)
				body := "Not Authorized\n"
				if method == "HEAD" {
					body = ""
				}
				want := map[string]string{
					"Www-Authenticate":                `Basic realm="https://` + w.hosts[here] + `/",service="ecr.amazonaws.com"`,
					"Docker-Distribution-Api-Version": "registry/2.0",
					"Content-Type":                    "text/plain; charset=utf-8",
					"Content-Length":                  "15",
				}
				got := map[string]string{}
				for k := range want {
					got[k] = a.header.Get(k)
				}
				if d := cmp.Diff(want, got); d != "" || a.status != 401 || a.body != body {
					t.Errorf("%s, %s: %d %q (-want +got):\n%s", tt.name, method, a.status, a.body, d)
				}
			}
		})
	}
}

func TestDockerTokens(t *testing.T) {
	w := start(t, t.TempDir())
	mine, theirs := w.password(here, pusher), w.password(elsewhere, pusher)
	ping := func(at ecr.RegistryID, password string, status int, message string) {
		t.Helper()
		a := w.do(w.basic(at, password, "GET", "/v2/", ""))
		want := ""
		if message != "" {
			b, err := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": "DENIED", "message": message}}})
			if err != nil {
				t.Fatal(err)
			}
			want = string(b)
		}
		if got := strings.TrimSpace(a.body); a.status != status || message != "" && got != want {
			t.Errorf("%s: %d %s, want %d %s", at, a.status, got, status, want)
		}
	}
	ping(here, mine, 200, "")
	ping(elsewhere, theirs, 200, "")
	// "works for every registry in the same region": ECR user guide, "Private registry authentication".
	ping(elsewhere, mine, 403, "The authorization token was issued for the region 'us-east-1'; this endpoint serves 'cn-north-1'. Reauthenticate and try again.")
	w.pass(12*time.Hour - time.Minute)
	ping(here, mine, 200, "")
	w.pass(time.Minute)
	ping(here, mine, 403, "Your authorization token has expired. Reauthenticate and try again.")
	ping(here, w.password(here, pusher), 200, "")
}

// A revoked key stops the tokens that were issued to it with the next request,
// and its signatures; another user's go on.
func TestRevokedKey(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	c := w.credentials(here, pusher)
	password, other := w.password(here, pusher), w.password(here, administrator)
	w.push(here, password, "app", "v1", "layer")
	active := func(is bool) {
		t.Helper()
		err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			return tx.Identities().SetAccessKeyActive(ctx, c.AccessKeyID, is)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	active(false)
	for _, r := range []*http.Request{
		w.basic(here, password, "GET", "/v2/", ""),
		w.basic(here, password, "GET", "/v2/app/manifests/v1", ""),
		w.basic(here, password, "POST", "/v2/app/blobs/uploads/", ""),
	} {
		w.want(w.do(r), 401)
	}
	a := w.want(w.do(w.json(here, c, "ListImages", `{"repositoryName":"app"}`)), 400)
	if !strings.Contains(a.body, `"__type":"UnrecognizedClientException"`) {
		t.Errorf("ListImages: %s", a.body)
	}
	w.want(w.do(w.basic(here, other, "GET", "/v2/app/manifests/v1", "")), 200)
	active(true)
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 200)
}

// Each refusal in both protocols: codes and texts of AWS's "Common errors".
func TestSignatureRefusals(t *testing.T) {
	w := start(t, t.TempDir())
	admin := w.credentials(here, administrator)
	now := w.clock()
	old := now.Add(-16 * time.Minute).UTC().Format("20060102T150405Z")
	oldest := now.Add(-15 * time.Minute).UTC().Format("20060102T150405Z")
	const doesNotMatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	tests := []struct {
		name    string
		sign    func(r *http.Request, body, service string)
		json    string // __type
		query   string // Code
		message string // of ECR; of STS with its name
	}{
		{"not signed", func(*http.Request, string, string) {},
			"IncompleteSignatureException", "IncompleteSignature", "Missing Authentication Token"},
		{"a docker password", func(r *http.Request, _, _ string) { r.SetBasicAuth("AWS", "x") },
			"IncompleteSignatureException", "IncompleteSignature", "Authorization header requires existence of one 'X-Amz-Date' header."},
		{"unknown key", func(r *http.Request, body, service string) {
			w.sign(r, aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"}, body, service, here.Region, now)
		}, "UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"wrong secret", func(r *http.Request, body, service string) {
			w.sign(r, aws.Credentials{AccessKeyID: admin.AccessKeyID, SecretAccessKey: "x"}, body, service, here.Region, now)
		}, "InvalidSignatureException", "SignatureDoesNotMatch", doesNotMatch},
		{"another body", func(r *http.Request, body, service string) { w.sign(r, admin, body+" ", service, here.Region, now) },
			"InvalidSignatureException", "SignatureDoesNotMatch", doesNotMatch},
		{"another header", func(r *http.Request, body, service string) {
			w.sign(r, admin, body, service, here.Region, now)
			r.Header.Set("Content-Type", r.Header.Get("Content-Type")+" ;charset=utf-8")
		}, "InvalidSignatureException", "SignatureDoesNotMatch", doesNotMatch},
		{"expired", func(r *http.Request, body, service string) {
			w.sign(r, admin, body, service, here.Region, now.Add(-16*time.Minute))
		}, "InvalidSignatureException", "SignatureDoesNotMatch",
			fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)", old, oldest, now.UTC().Format("20060102T150405Z"))},
		{"another region", func(r *http.Request, body, service string) {
			w.sign(r, admin, body, service, "eu-west-1", now)
		}, "InvalidSignatureException", "SignatureDoesNotMatch",
			"Credential should be scoped to a valid region, not 'eu-west-1'; this endpoint serves 'us-east-1'."},
		{"another service", func(r *http.Request, body, service string) {
			w.sign(r, admin, body, "s3", here.Region, now)
		}, "InvalidSignatureException", "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'SERVICE', not 's3'."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const body = `{}`
			r := w.request(here, "POST", "/", body, "Content-Type", "application/x-amz-json-1.1",
				"X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
			tt.sign(r, body, "ecr")
			a := w.do(r)
			want := map[string]string{"__type": tt.json, "message": strings.ReplaceAll(tt.message, "SERVICE", "ecr")}
			var got map[string]string
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 400 || a.header.Get("Content-Type") != "application/x-amz-json-1.1" {
				t.Errorf("ECR: %d %s (%v)", a.status, a.body, err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("ECR (-want +got):\n%s", d)
			}

			const form = "Action=GetCallerIdentity&Version=2011-06-15"
			r = w.request(here, "POST", "/", form, "Content-Type", formType)
			tt.sign(r, form, "sts")
			a = w.do(r)
			xml := fmt.Sprintf(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
				tt.query, strings.ReplaceAll(strings.ReplaceAll(tt.message, "SERVICE", "sts"), "'", "&#39;"), a.header.Get("X-Amzn-Requestid"))
			if a.status != 403 || a.header.Get("Content-Type") != "text/xml" {
				t.Errorf("STS: %d %v", a.status, a.header)
			}
			if d := cmp.Diff(xml, a.body); d != "" {
				t.Errorf("STS (-want +got):\n%s", d)
			}
		})
	}
}

func TestUnknownOperations(t *testing.T) {
	w := start(t, t.TempDir())
	admin := w.credentials(here, administrator)
	for target, want := range map[string]string{
		"AmazonEC2ContainerRegistry_V20150921.Nothing": `{"__type":"UnknownOperationException","message":"Nothing is not an operation of AmazonEC2ContainerRegistry_V20150921"}`,
		"AmazonEC2ContainerRegistry_V20150921.":        `{"__type":"UnknownOperationException","message":"The target 'AmazonEC2ContainerRegistry_V20150921.' names no operation of AmazonEC2ContainerRegistry_V20150921"}`,
		"DynamoDB_20120810.ListTables":                 `{"__type":"UnknownOperationException","message":"The target 'DynamoDB_20120810.ListTables' names no operation of AmazonEC2ContainerRegistry_V20150921"}`,
	} {
		t.Run(target, func(t *testing.T) {
			w.within(t)
			r := w.request(here, "POST", "/", "{}", "X-Amz-Target", target)
			a := w.do(w.sign(r, admin, "{}", "ecr", here.Region, w.clock()))
			if a.status != 404 || strings.TrimSpace(a.body) != want {
				t.Errorf("%d %s", a.status, a.body)
			}
			// Strangers learn nothing about operations.
			a = w.do(w.request(here, "POST", "/", "{}", "X-Amz-Target", target))
			if a.status != 400 || !strings.Contains(a.body, "Missing Authentication Token") {
				t.Errorf("%s, not signed: %d %s", target, a.status, a.body)
			}
		})
	}
	a := w.do(w.query(here, admin, "Action=AssumeRoleWithSAML&Version=2011-06-15"))
	if a.status != 400 || !strings.Contains(a.body, "<Code>InvalidAction</Code>") {
		t.Errorf("AssumeRoleWithSAML: %d %s", a.status, a.body)
	}
	const iam = "Action=CreateGroup&GroupName=x&Version=2010-05-08"
	a = w.do(w.sign(w.request(here, "POST", "/", iam, "Content-Type", formType), admin, iam, "iam", here.Region, w.clock()))
	if a.status != 400 || !strings.Contains(a.body, "<Code>InvalidAction</Code>") || !strings.Contains(a.body, "https://iam.amazonaws.com/") {
		t.Errorf("CreateGroup: %d %s", a.status, a.body)
	}
}

// A body that is announced as too long is refused before it is sent, and
// without credentials none is read at all.
func TestLongBodies(t *testing.T) {
	w := start(t, t.TempDir())
	admin := w.credentials(here, administrator)
	const target = "AmazonEC2ContainerRegistry_V20150921.UploadLayerPart"
	announce := func(r *http.Request, n int64) string {
		t.Helper()
		r.ContentLength = n
		r.Body = neverRead{r.Context()}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		a := readAnswer(t, resp)
		return fmt.Sprint(a.status, " ", strings.TrimSpace(a.body))
	}
	r := w.request(here, "POST", "/", "", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", target)
	if got := announce(w.sign(r, admin, "", "ecr", here.Region, w.clock()), 28<<20+1); got !=
		`400 {"__type":"SerializationException","message":"The request body is longer than the limit of 29360128 bytes"}` {
		t.Errorf("ECR: %s", got)
	}
	r = w.request(here, "POST", "/", "", "Content-Type", formType)
	if got := announce(w.sign(r, admin, "", "sts", here.Region, w.clock()), 1<<20+1); !strings.HasPrefix(got, "400 ") ||
		!strings.Contains(got, "<Message>The request body is longer than the limit of 1048576 bytes</Message>") {
		t.Errorf("STS: %s", got)
	}
	r = w.request(here, "POST", "/", "", "X-Amz-Target", target)
	if got := announce(r, 1<<20); !strings.Contains(got, "Missing Authentication Token") {
		t.Errorf("a stranger: %s", got)
	}
	r = w.request(here, "PUT", "/v2/app/manifests/v1", "", "Content-Type", manifestType)
	if got := announce(r, 1<<20); got != "401 Not Authorized" {
		t.Errorf("a stranger's manifest: %s", got)
	}
}

// neverRead is a body that never comes.
type neverRead struct{ ctx context.Context }

func (b neverRead) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, errors.New("nothing came")
}

func (b neverRead) Close() error { return nil }

// The pusher pushes and pulls, and can neither delete, create nor set
// anything, on either way in. Who can is the administrator.
func TestWhatThePusherMayNot(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	w.create(here, "doomed")
	admin, small := w.credentials(here, administrator), w.credentials(here, pusher)
	password, adminPassword := w.password(here, pusher), w.password(here, administrator)
	image, layer := w.push(here, password, "app", "v1", "layer")
	second, _ := w.push(here, password, "app", "v2", "another layer")
	arn := here.RepositoryARN("app")
	const policyText = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"222222222222\"},\"Action\":\"ecr:BatchGetImage\"}]}`
	const lifecycleText = `{\"rules\":[{\"rulePriority\":1,\"selection\":{\"tagStatus\":\"untagged\",\"countType\":\"sinceImagePushed\",\"countUnit\":\"days\",\"countNumber\":1},\"action\":{\"type\":\"expire\"}}]}`
	api := []struct{ operation, body, resource string }{
		{"CreateRepository", `{"repositoryName":"new"}`, here.RepositoryARN("new")},
		{"SetRepositoryPolicy", `{"repositoryName":"app","policyText":"` + policyText + `"}`, arn},
		{"DeleteRepositoryPolicy", `{"repositoryName":"app"}`, arn},
		{"PutLifecyclePolicy", `{"repositoryName":"app","lifecyclePolicyText":"` + lifecycleText + `"}`, arn},
		{"DeleteLifecyclePolicy", `{"repositoryName":"app"}`, arn},
		{"PutImageTagMutability", `{"repositoryName":"app","imageTagMutability":"IMMUTABLE"}`, arn},
		{"PutImageScanningConfiguration", `{"repositoryName":"app","imageScanningConfiguration":{"scanOnPush":true}}`, arn},
		{"TagResource", `{"resourceArn":"` + arn + `","tags":[{"Key":"k","Value":"v"}]}`, arn},
		{"UntagResource", `{"resourceArn":"` + arn + `","tagKeys":["k"]}`, arn},
		{"BatchDeleteImage", `{"repositoryName":"app","imageIds":[{"imageTag":"v1"}]}`, arn},
		{"DeleteRepository", `{"repositoryName":"doomed"}`, here.RepositoryARN("doomed")},
		{"DeleteRepository", `{"repositoryName":"app","force":true}`, arn},
	}
	denied := func(action, resource string) string {
		return fmt.Sprintf("User: arn:aws:iam::000000000000:user/pusher is not authorized to perform: ecr:%s on resource: %s because no identity-based policy allows the ecr:%[1]s action", action, resource)
	}
	for _, tt := range api {
		t.Run(tt.operation, func(t *testing.T) {
			w.within(t)
			a := w.do(w.json(here, small, tt.operation, tt.body))
			var got struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 400 || got.Type != "AccessDeniedException" || got.Message != denied(tt.operation, tt.resource) {
				t.Errorf("%d %s (%v)", a.status, a.body, err)
			}
		})
	}
	docker := []struct{ method, path string }{
		{"DELETE", "/v2/app/manifests/" + string(second)},
		{"DELETE", "/v2/app/manifests/v2"},
	}
	for _, tt := range docker {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w.within(t)
			a := w.do(w.basic(here, password, tt.method, tt.path, ""))
			if a.status != 403 || !strings.Contains(a.body, `"DENIED"`) || !strings.Contains(a.body, denied("BatchDeleteImage", arn)) {
				t.Errorf("%s %s: %d %s", tt.method, tt.path, a.status, a.body)
			}
		})
	}
	// ECR deletes no blobs on request; what counts is that the pusher cannot.
	if a := w.do(w.basic(here, password, "DELETE", "/v2/app/blobs/"+string(layer), "")); a.status < 400 {
		t.Errorf("DELETE of a blob: %d", a.status)
	}
	// Nor does pushing to where nothing is create anything.
	w.want(w.do(w.basic(here, password, "POST", "/v2/new/blobs/uploads/", "")), 404)

	// All is as it was, and the administrator may do all of it.
	for _, d := range []ecr.Digest{image, second} {
		w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/"+string(d), "")), 200)
	}
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/blobs/"+string(layer), "")), 200)
	w.want(w.do(w.basic(here, adminPassword, "DELETE", docker[0].path, "")), 202)
	for _, tt := range api {
		w.want(w.do(w.json(here, admin, tt.operation, tt.body)), 200)
	}
}

// Principals of one account have no access to another account.
func TestAccountsAreApart(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(elsewhere, "app")
	a := w.want(w.do(w.query(elsewhere, w.credentials(elsewhere, administrator), "Action=GetCallerIdentity&Version=2011-06-15")), 200)
	if !strings.Contains(a.body, "<Arn>arn:aws-cn:iam::111111111111:user/administrator</Arn>") {
		t.Errorf("in China: %s", a.body)
	}
	stranger := w.credentials(here, administrator)
	a = w.want(w.do(w.json(elsewhere, stranger, "ListImages", `{"registryId":"111111111111","repositoryName":"app"}`)), 400)
	if !strings.Contains(a.body, "User: arn:aws-cn:iam::000000000000:user/administrator is not authorized to perform: ecr:ListImages "+
		"on resource: arn:aws-cn:ecr:cn-north-1:111111111111:repository/app because no resource-based policy allows") {
		t.Errorf("ListImages: %s", a.body)
	}
	password := w.password(elsewhere, pusher)
	strange := w.want(w.do(w.json(elsewhere, stranger, "GetAuthorizationToken", "{}")), 200)
	var out struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	if err := json.Unmarshal([]byte(strange.body), &out); err != nil {
		t.Fatal(err)
	}
	w.want(w.do(w.basic(elsewhere, password, "GET", "/v2/app/tags/list", "")), 200)
	a = w.do(w.request(elsewhere, "GET", "/v2/app/tags/list", "", "Authorization", "Basic "+out.AuthorizationData[0].AuthorizationToken))
	if a.status != 403 || !strings.Contains(a.body, "no resource-based policy allows the ecr:ListImages action") {
		t.Errorf("tags of another account: %d %s", a.status, a.body)
	}
}
