package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// page is a request of a browser with the cookie, which stays on the page it came to.
func (w *world) page(cookie, method, path string, form url.Values, headers ...string) answer {
	w.t.Helper()
	r := w.request(here, method, path, form.Encode(), append([]string{"Accept", "text/html", "Sec-Fetch-Site", "same-origin"}, headers...)...)
	if form != nil {
		r.Header.Set("Content-Type", formType)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return readAnswer(w.t, resp)
}

// logIn begins a session and returns its cookie.
func (w *world) logIn(c aws.Credentials) string {
	w.t.Helper()
	a := w.want(w.page("", "POST", "/console/login", url.Values{"key": {c.AccessKeyID}, "secret": {c.SecretAccessKey}, "token": {c.SessionToken}}), 303)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	return cookie
}

func TestConsoleLogin(t *testing.T) {
	w := start(t, t.TempDir())
	admin := w.credentials(here, administrator)
	if a := w.page("", "GET", "/", nil); a.status != 302 || a.header.Get("Location") != "/console/" {
		t.Errorf("a browser at /: %d %s", a.status, a.header.Get("Location"))
	}
	if a := w.do(w.request(here, "GET", "/", "")); a.status != 404 {
		t.Errorf("another client at /: %d", a.status)
	}
	if a := w.page("", "GET", "/console/bin?x=1", nil); a.status != 303 || a.header.Get("Location") != "/console/login?to=%2Fconsole%2Fbin%3Fx%3D1" {
		t.Errorf("without a session: %d %s", a.status, a.header.Get("Location"))
	}
	if a := w.page("", "POST", "/console/bin", url.Values{"repository": {"x"}}); a.status != 401 {
		t.Errorf("a form without a session: %d", a.status)
	}
	a := w.page("", "POST", "/console/login", url.Values{"key": {admin.AccessKeyID}, "secret": {admin.SecretAccessKey}, "to": {"/console/bin"}})
	set := a.header.Get("Set-Cookie")
	if a.status != 303 || a.header.Get("Location") != "/console/bin" || !strings.Contains(set, "; HttpOnly") || !strings.Contains(set, "; SameSite=Lax") || !strings.Contains(set, "; Path=/console;") {
		t.Errorf("logged in: %d %s %s", a.status, a.header.Get("Location"), set)
	}
	for _, to := range []string{"https://elsewhere.example/", "//elsewhere.example/console/", "/console/../x", "/console//elsewhere.example", `/console/\elsewhere`} {
		t.Run("to "+to, func(t *testing.T) {
			w.within(t)
			if a := w.page("", "POST", "/console/login", url.Values{"key": {admin.AccessKeyID}, "secret": {admin.SecretAccessKey}, "to": {to}}); a.header.Get("Location") != "/console/" {
				t.Errorf("led to %q", a.header.Get("Location"))
			}
		})
	}
	if a := w.page("", "GET", "/console/repositories?q=a", nil, "Hx-Request", "true"); a.status != 401 || a.header.Get("HX-Redirect") != "/console/login?to=%2Fconsole%2Frepositories%3Fq%3Da" {
		t.Errorf("a filter without a session: %d %v", a.status, a.header)
	}
	const to = "/console/access?q=a//b..c"
	if a := w.page("", "POST", "/console/login", url.Values{"key": {admin.AccessKeyID}, "secret": {admin.SecretAccessKey}, "to": {to}}); a.header.Get("Location") != to {
		t.Errorf("led to %q", a.header.Get("Location"))
	}
	cookie, _, _ := strings.Cut(set, ";")
	for _, path := range []string{"/console/repositories?q=%ff", "/console/access?%00=x", "/console/repositories/app/-/tags?q=%00", "/console/people/users/%ff", "/console/people/users/a%00"} {
		w.want(w.page(cookie, "GET", path, nil), 400)
	}
	w.want(w.page(cookie, "POST", "/console/people", url.Values{"name": {"a\x00"}}), 400)
	w.want(w.page("", "POST", "/console/login", url.Values{"key": {"\xff"}}), 400)
	a = w.want(w.page(cookie, "GET", "/console/", nil), 200)
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(a.header.Get(name), want) {
				t.Errorf("%q", a.header.Get(name))
			}
		})
	}
	if a := w.page(cookie, "POST", "/console/logout", url.Values{}, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("a form of another site: %d", a.status)
	}
	for _, tt := range []struct {
		name, origin string
		status       int
	}{{"this server", "http://" + w.hosts[here], 401}, {"none", "null", 403}, {"elsewhere", "http://elsewhere.example", 403}} {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			// Over http, browsers send Sec-Fetch-Site to this machine only.
			r := w.request(here, "POST", "/console/login", "key=x&secret=y", "Content-Type", formType, "Origin", tt.origin)
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(t, resp); a.status != tt.status {
				t.Errorf("a form of %s: %d", tt.origin, a.status)
			}
		})
	}
	if a := w.page(cookie, "DELETE", "/console/", nil); a.status != 405 {
		t.Errorf("DELETE: %d", a.status)
	}
	w.want(w.page(cookie, "GET", "/console/nothing", nil), 404)
	w.want(w.page(cookie, "POST", "/console/logout", url.Values{}), 303)
	if a := w.page(cookie, "GET", "/console/", nil); a.status != 303 {
		t.Errorf("after the logout: %d", a.status)
	}
	// What others push is on the console's origin, and has no part in it.
	if a := w.do(w.request(here, "GET", "/v2/", "")); !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("/v2/: %v", a.header)
	}
}

// A link logs in once, as who asked for it, and a look at it does not use it up.
func TestConsoleLink(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Limits.FailedLogins = 4 })
	link := func(c aws.Credentials) string {
		r := w.request(here, "POST", "/", "{}", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Kontor_V20261101.CreateConsoleLink")
		a := w.want(w.do(w.sign(r, c, "{}", "ecr", here.Region, w.clock())), 200)
		_, path, _ := strings.Cut(a.body, `"path":"`)
		path, _, _ = strings.Cut(path, `"`)
		return path
	}
	for range 30 { // as the pictures of another site would
		w.want(w.page("", "GET", "/console/open?code=guessed", nil, "Sec-Fetch-Site", "cross-site"), 401)
	}
	path := link(w.credentials(here, pusher))
	for range 2 {
		if a := w.want(w.page("", "GET", path, nil), 200); !strings.Contains(a.body, "user/pusher") {
			t.Errorf("the page of the link: %s", a.body)
		}
	}
	_, code, _ := strings.Cut(path, "code=")
	a := w.want(w.page("", "POST", "/console/open", url.Values{"code": {code}}), 303)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a := w.want(w.page(cookie, "GET", "/console/sessions", nil), 200); !strings.Contains(a.body, "user/pusher") {
		t.Errorf("sessions: %s", a.body)
	}
	w.want(w.page("", "POST", "/console/open", url.Values{"code": {code}}), 401)
	late := link(w.credentials(here, pusher))
	w.pass(identity.ConsoleLinkTime)
	w.want(w.page("", "GET", late, nil), 401)
	log := fmt.Sprint(w.requests()) + w.log.String()
	for name, secret := range map[string]string{"link": code, "cookie": cookie[strings.IndexByte(cookie, '=')+1:]} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(log, secret) {
				t.Errorf("the %s is in the log", name)
			}
		})
	}
}

func TestConsoleOff(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.NoConsole = true })
	if a := w.page("", "GET", "/console/", nil); a.status != 404 {
		t.Errorf("/console/: %d", a.status)
	}
	if a := w.page("", "GET", "/", nil); a.status != 404 {
		t.Errorf("/: %d", a.status)
	}
	r := w.request(here, "POST", "/", "{}", "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Kontor_V20261101.CreateConsoleLink")
	if a := w.do(w.sign(r, w.credentials(here, administrator), "{}", "ecr", here.Region, w.clock())); a.status != 400 || !strings.Contains(a.body, "is off") {
		t.Errorf("a link: %d %s", a.status, a.body)
	}
}

// With a listener for itself, the console is there and nowhere else, and nothing else is.
func TestConsoleApart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.ConsoleApart = true
		c.Bindings[0].Console = []net.Listener{l}
		_, c.Bindings[0].ConsolePort, _ = net.SplitHostPort(l.Addr().String())
	})
	registry := w.hosts[here]
	admin := w.credentials(here, administrator)
	form := url.Values{"key": {admin.AccessKeyID}, "secret": {admin.SecretAccessKey}}
	for _, path := range []string{"/", "/console/", "/console/login", "/console/assets/console.css"} {
		w.want(w.page("", "GET", path, nil), 404)
	}
	w.want(w.page("", "POST", "/console/login", form), 404)
	a := w.want(w.do(w.admin(here, "CreateConsoleLink", "{}")), 200)
	if want := `"port":"` + portOf(l) + `"`; !strings.Contains(a.body, want) {
		t.Errorf("the link has no %s: %s", want, a.body)
	}
	link := strings.Split(strings.Split(a.body, `"path":"`)[1], `"`)[0]

	w.hosts[here] = l.Addr().String()
	for path, status := range map[string]int{"/v2/": 404, "/healthz": 200, "/readyz": 200, "/x": 404, "/console/login": 200, "/": 302, "/console/assets/icon.svg": 200, link: 200} {
		if a := w.page("", "GET", path, nil); a.status != status {
			t.Errorf("GET %s of the console's listener: %d %s", path, a.status, a.body)
		}
	}
	w.want(w.do(w.json(here, admin, "DescribeRegistry", "{}")), 404)
	w.want(w.do(w.admin(here, "CreateConsoleLink", "{}")), 404)
	cookie := w.logIn(admin)
	if a := w.want(w.page(cookie, "GET", "/console/repositories", nil), 200); !strings.Contains(a.body, "http://"+registry) || strings.Contains(a.body, "http://"+l.Addr().String()) {
		t.Errorf("commands do not name the registry's address %s: %s", registry, a.body)
	}
}

func portOf(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		panic(err) // it is a listener's
	}
	return port
}

// Guesses at a key in the console and at the API count together.
func TestConsoleLoginsAreLimited(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Limits.FailedLogins = 4 })
	c := w.credentials(here, pusher)
	bad := c
	bad.SecretAccessKey = "wrong"
	form := url.Values{"key": {c.AccessKeyID}, "secret": {"wrong"}}
	for range 2 {
		w.want(w.page("", "POST", "/console/login", form), 401)
		w.want(w.do(w.json(here, bad, "DescribeRegistry", "{}")), 400)
	}
	form.Set("secret", c.SecretAccessKey)
	w.want(w.page("", "POST", "/console/login", form), 429)
	if a := w.do(w.json(here, c, "DescribeRegistry", "{}")); !strings.Contains(a.body, "Throttling") {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
	w.pass(2 * time.Minute)
	w.want(w.page("", "POST", "/console/login", form), 303)
}

// visitor is logged in to the console.
type visitor struct {
	*world
	cookie string
}

// post sends a form, and returns that of the answer. The answer has the texts.
func (b visitor) post(path string, form url.Values, status int, texts ...string) url.Values {
	b.t.Helper()
	a := b.want(b.page(b.cookie, "POST", path, form), status)
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			b.t.Errorf("%v: no %q in %s", form, text, a.body)
		}
	}
	return formOf(a.body)
}

// get reads a page, which has the texts.
func (b visitor) get(path string, texts ...string) string {
	b.t.Helper()
	a := b.want(b.page(b.cookie, "GET", path, nil), 200)
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			b.t.Errorf("%s: no %q in %s", path, text, a.body)
		}
	}
	return a.body
}

// consoleFacts are texts that only someone with one of the permissions may read, and
// what they are.
func consoleFacts() map[string][]string {
	return map[string][]string{
		"marktag":         {"ecr:DescribeImages", "kontor:ListLeases", "kontor:ListPullActivity"}, // these name tags
		"markdescription": {"ecr:GetLifecyclePolicy"},
		"MarkSid":         {"ecr:GetRepositoryPolicy"},
		"markuser":        {"kontor:ListLeases"},
		"markannotation":  {"ecr:BatchGetImage"},
		"markshare":       {"ecr:BatchCheckLayerAvailability", "ecr:DescribeRepositories", "kontor:ListAuditRecords"},
		"markdeleted":     {"kontor:ListRecycleBin", "kontor:ListJournal"},
		"markperson":      {"iam:ListUsers", "iam:GetAccountAuthorizationDetails", "kontor:ListAuditRecords"},
		"markcollector":   {"kontor:ListLeases"},
		"markaudited":     {"kontor:ListAuditRecords"},
		"markpuller":      {"kontor:ListPullActivity"},
		"markinline":      {"iam:ListUserPolicies", "iam:GetAccountAuthorizationDetails"},
		"marktoken":       {"kontor:ListUserTokens"},
		"markrole":        {"iam:ListRoles", "iam:GetRole", "iam:GetAccountAuthorizationDetails", "kontor:ListAuditRecords"},
		"marktrusted":     {"iam:GetRole"},
		"markcache":       {"ecr:DescribePullThroughCacheRules"},
		"marksecret":      {"kontor:ListSecrets"},
		"marktemplate":    {"ecr:DescribeRepositoryCreationTemplates"},
		"marksigner":      {"kontor:ListSigners", "ecr:DescribeImageSigningStatus"},
		"markreceiver":    {"kontor:ListEventReceivers", "kontor:ListEventDeliveries"},
		"markdelivery":    {"kontor:ListEventDeliveries"},
		"markreplication": {"kontor:ListReplications"},
		"markfinding":     {"ecr:DescribeImageScanFindings"},
	}
}

// markers makes what consoleFacts is about and returns the digest of the image.
func (w *world) markers() ecr.Digest {
	w.t.Helper()
	ctx := w.t.Context()
	password := w.password(here, administrator)
	for _, name := range []ecr.RepositoryName{"app", "markshare", "old"} {
		w.create(here, name)
	}
	const layer = "shared by two repositories"
	w.push(here, password, "markshare", "v1", layer)
	w.push(here, password, "old", "markdeleted", "goes")
	w.push(here, password, "app", "plain", layer)
	body := strings.Replace(w.manifest(`{"architecture":"amd64","os":"linux"}`, layer), `{"config"`, `{"annotations":{"note":"markannotation<b>"},"config"`, 1)
	w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/marktag", body, "Content-Type", manifestType)), 201)
	signature := strings.Replace(w.manifest(`{"architecture":"amd64","os":"linux"}`, layer), `{"config"`, `{"artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json","subject":{"mediaType":"`+manifestType+`","digest":"`+string(ecr.DigestOf([]byte(body)))+`","size":`+strconv.Itoa(len(body))+`},"config"`, 1)
	w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/"+string(ecr.DigestOf([]byte(signature))), signature, "Content-Type", manifestType)), 201)
	at := here.Repo("app")
	keep := w.server.Retention().System("test")
	fatal := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	_, err := keep.SetLifecyclePolicy(ctx, at, `{"rules":[{"rulePriority":7,"description":"markdescription","selection":{"tagStatus":"tagged","tagPatternList":["mark*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":3},"action":{"type":"expire"}}]}`)
	fatal(err)
	_, err = w.server.Registry().System("test").SetPolicy(ctx, at, `{"Version":"2012-10-17","Statement":[{"Sid":"MarkSid","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"ecr:BatchGetImage"}]}`, false)
	fatal(err)
	_, err = keep.ReportLeases(ctx, here, "markcollector", time.Hour, []retention.Lease{{Repository: "app", Image: ecr.ImageID{Tag: "marktag"}, User: "markuser"}})
	fatal(err)
	_, _, err = w.server.Registry().System("test").BatchDeleteImage(ctx, here.Repo("old"), []ecr.ImageID{{Tag: "markdeleted"}})
	fatal(err)
	people := w.server.IAM(here.Region).System(here.Account, "test")
	_, err = people.CreateUser(ctx, iam.NewUser{Name: "markperson"})
	fatal(err)
	fatal(people.PutInline(ctx, iam.OfUser, "markperson", "markinline", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:DeleteRepository","Resource":"*"}]}`))
	_, err = people.CreateRole(ctx, iam.NewRole{Name: "markrole", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"marktrusted"}}}]}`})
	fatal(err)
	_, err = w.server.Upstreams().As(access.Principal{System: "test"}).CreateRule(ctx, here, upstream.NewRule{Prefix: "markcache", URL: "quay.io"})
	fatal(err)
	_, err = w.server.Upstreams().As(access.Principal{System: "test"}).PutSecret(ctx, here, "marksecret", upstream.Login{Username: "x", AccessToken: "markneverseen"})
	fatal(err)
	w.want(w.do(w.json(here, w.credentials(here, administrator), "CreateRepositoryCreationTemplate", `{"prefix":"team","description":"marktemplate","appliedFor":["CREATE_ON_PUSH"]}`)), 200)
	_, _, err = people.Tokens().Create(ctx, iam.NewMachineToken{User: "markperson", Name: "marktoken"})
	fatal(err)
	w.want(w.do(w.json(here, w.credentials(here, pusher), "DeleteRepository", `{"repositoryName":"markaudited"}`)), 400)
	w.want(w.do(w.json(here, w.credentials(here, administrator), "PutReplicationConfiguration", `{"replicationConfiguration":{"rules":[{"destinations":[{"region":"eu-west-1","registryId":"`+string(here.Account)+`"}]}]}}`)), 200)
	w.sent(ecr.DigestOf([]byte(body)))
	fatal(w.meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, here, "app")
		if err != nil {
			return err
		}
		return tx.Retention().CountPulls(ctx, []meta.PullCount{{
			Day: meta.DayOf(w.clock()), Repository: repo.ID, Digest: ecr.DigestOf([]byte(body)), Pulls: 3, LastAt: w.clock(),
			By: meta.Puller{UniqueID: "AIDAGONE", ARN: "arn:aws:iam::000000000000:user/markpuller"},
		}})
	}))
	return ecr.DigestOf([]byte(body))
}

// sent is what of markers goes elsewhere, and what others say of the image: a signer, a
// receiver of events, a replication that failed, and a scan.
func (w *world) sent(d ecr.Digest) {
	w.t.Helper()
	findings, err := json.Marshal([]scanning.Finding{{Name: "markfinding", Description: "<b>", Severity: ecr.SeverityHigh, Package: "openssl", Version: "1.0"}})
	if err != nil {
		w.t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(findings); err != nil || z.Close() != nil {
		w.t.Fatal("packing the findings")
	}
	now := w.clock()
	err = w.meta.Update(w.t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, here, "app")
		if err != nil {
			return err
		}
		settings, err := tx.Registries().RegistrySettings(ctx, here)
		if err != nil {
			return err
		}
		err = errors.Join(
			events.SetReceivers(&settings, []events.Receiver{{ID: "id", Name: "markreceiver", Host: "hooks.example.com", Types: []string{"none.*"}, CreatedAt: now, UpdatedAt: now}}),
			tx.Registries().PutRegistrySettings(ctx, here, settings),
			tx.Registries().QueueDelivery(ctx, meta.Delivery{Receiver: "id", Event: meta.DeliveryEvent{ID: "markdelivery", At: now, Type: "image.pushed", Repository: "app", Digest: d, Key: "app", Body: []byte("{}")},
				State: meta.DeliveryQueued, QueuedAt: now, DueAt: now.Add(1000 * time.Hour)}),
			tx.Registries().PutSigner(ctx, meta.Signer{Registry: here, Name: "marksigner", CreatedAt: now, UpdatedAt: now, Settings: []byte(`{"name":"marksigner","key":` + strconv.Quote(signingKey) + `}`)}),
			tx.Retention().ScanWriter().PutScan(ctx, meta.Scan{Repository: repo.ID, Digest: d, Scan: ecr.Scan{Status: ecr.ScanInProgress}, AskedAt: now, DueAt: now}),
			tx.Registries().QueueReplication(ctx, meta.Replication{Kind: meta.ReplicateImage, Source: here, Repository: repo.ID, Name: "app", Image: ecr.ImageID{Digest: d}, To: ecr.RegistryID{Account: here.Account, Region: "eu-west-1"}}, 0, true))
		if err != nil {
			return err
		}
		failed, ok, err := tx.Registries().TakeReplication(ctx, time.Hour, nil)
		if err != nil || !ok {
			return fmt.Errorf("nothing to replicate: %w", err)
		}
		failed.Status, failed.Code, failed.Message = meta.ReplicationFailed, "Unavailable", "markreplication"
		if err := tx.Registries().EndReplication(ctx, failed); err != nil {
			return err
		}
		scan, _, err := tx.Retention().ScanWriter().TakeScan(ctx, "slot", now)
		if err != nil {
			return err
		}
		scan.Scan, scan.Slot = ecr.Scan{Status: ecr.ScanComplete, CompletedAt: now, Severity: ecr.SeverityHigh, Result: []byte(`{"counts":{"HIGH":1},"scanner":"Test v1"}`)}, ""
		return tx.Retention().ScanWriter().EndScan(ctx, "slot", scan, packed.Bytes())
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// consolePages are the pages with something of markers on them.
func consolePages(digest ecr.Digest) []string {
	const of = "/console/repositories/app/-/"
	return []string{
		"/console/", "/console/repositories", of + "tags", of + "images/" + string(digest), of + "lifecycle", of + "lifecycle?explain=all&days=90", of + "access", of + "access?who=arn:aws:iam::222222222222:root&right=pull",
		"/console/access", "/console/bin", "/console/journal", "/console/leases", "/console/people", "/console/people/users/markperson", "/console/people/roles/markrole", "/console/upstreams", "/console/templates", "/console/upstreams?format=csv&table=credentials", "/console/signers", "/console/replication", "/console/replication?format=csv&table=failed", "/console/events", "/console/events/deliveries?receiver=markreceiver", "/console/events?format=csv", "/console/people?format=csv&table=roles", "/console/sessions", "/console/sessions?all=yes",
		of + "tags?format=csv", "/console/repositories?format=csv", "/console/bin?format=csv", "/console/leases?format=csv", of + "access?format=csv", "/console/people?format=csv",
		"/console/audit", "/console/audit?decision=denied&format=csv",
		"/console/activity", "/console/activity?days=7&sort=day&order=asc", "/console/activity?format=csv", of + "activity", of + "activity?tag=marktag", of + "activity?format=csv",
	}
}

// Principals with random rights see on no page what the API would not tell them, and
// each fact is seen by someone.
func TestConsoleShowsWhatTheAPITells(t *testing.T) {
	w := start(t, t.TempDir(), audited(t, t.TempDir(), audit.Changes, 1<<20))
	digest := w.markers()
	actions := []string{
		"ecr:DescribeRepositories", "ecr:DescribeImages", "ecr:GetLifecyclePolicy", "ecr:BatchGetImage", "ecr:ListImageReferrers", "ecr:GetRepositoryPolicy", "ecr:GetRegistryPolicy", "ecr:GetAccountSetting",
		"ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "kontor:ListLeases", "kontor:ListJournal", "kontor:ListRecycleBin", "kontor:ListPullActivity", "kontor:ListAuditRecords", "kontor:ListJobs", "kontor:DescribeUsage", "iam:ListUsers", "iam:ListRoles",
		"iam:GetAccountAuthorizationDetails", "iam:ListAccessKeys", "kontor:ListConsoleSessions",
		"iam:ListAttachedUserPolicies", "iam:ListUserPolicies", "iam:ListPolicies", "kontor:ListUserTokens", "iam:GetRole", "iam:ListAttachedRolePolicies", "ecr:DescribePullThroughCacheRules", "kontor:ListSecrets", "ecr:DescribeRepositoryCreationTemplates",
		"kontor:ListSigners", "ecr:DescribeImageSigningStatus", "kontor:ListEventReceivers", "kontor:ListEventDeliveries", "kontor:ListReplications", "ecr:DescribeImageScanFindings",
	}
	people := w.server.IAM(here.Region).System(here.Account, "test")
	from := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	try := func(name string, may map[string]bool) {
		t.Helper()
		ctx := context.Background()
		if _, err := people.CreateUser(ctx, iam.NewUser{Name: name}); err != nil {
			t.Fatal(err)
		}
		if len(may) > 0 {
			text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(slices.Sorted(maps.Keys(may)), `","`) + `"],"Resource":"*"}]}`
			if err := people.PutInline(ctx, iam.OfUser, name, "rights", text); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := people.CreateAccessKey(ctx, name); err != nil {
			t.Fatal(err)
		}
		cookie := w.logIn(w.credentials(here, name))
		for _, path := range consolePages(digest) {
			a := w.page(cookie, "GET", path, nil)
			if a.status >= 500 {
				t.Errorf("%v: %s: %d", slices.Sorted(maps.Keys(may)), path, a.status)
			}
			if strings.Contains(a.body, "markneverseen") {
				t.Errorf("%s: a credential is shown", path)
			}
			if strings.Contains(a.body, "<b>") {
				t.Errorf("%s: an annotation is markup", path)
			}
			for fact, permissions := range consoleFacts() {
				if !strings.Contains(strings.ReplaceAll(a.body, path, ""), fact) || strings.Contains(path, fact) {
					continue
				}
				seen[fact] = true
				if !slices.ContainsFunc(permissions, func(p string) bool { return may[p] }) {
					t.Errorf("%v see %s on %s", slices.Sorted(maps.Keys(may)), fact, path)
				}
			}
		}
	}
	all := map[string]bool{}
	for _, a := range actions {
		all[a] = true
	}
	try("nobody", nil)
	try("everything", all)
	for i, a := range actions { // each alone, and each but it
		try(fmt.Sprint("only-", i), map[string]bool{a: true, "ecr:DescribeImages": true})
		if i%4 == 0 {
			but := maps.Clone(all)
			delete(but, a)
			try(fmt.Sprint("but-", i), but)
		}
	}
	for i := range 6 {
		may := map[string]bool{}
		for _, a := range actions {
			if from.IntN(2) == 0 {
				may[a] = true
			}
		}
		try(fmt.Sprint("random-", i), may)
	}
	for fact := range consoleFacts() {
		if !seen[fact] {
			t.Errorf("%s is on no page", fact)
		}
	}
}
