package server_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
)

// The token of a scan reads the one repository by the docker endpoint, and is good for
// nothing else, until the scan is over or its time is. It works where machine credentials
// are off, and then no other token does.
func TestScannerToken(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Compat, c.MachineCredentials = registry.CompatECR, "off"
		c.Scanner = &server.ScannerConfig{Name: "test", Adapter: &scanning.AdapterConfig{URL: &url.URL{Scheme: "https", Host: "scanner.invalid"}}}
	})
	password := w.password(here, administrator)
	w.create(here, "app")
	w.create(here, "app/deeper")
	w.create(elsewhere, "app")
	image, blob := w.push(here, password, "app", "v1", "layer")
	w.push(here, password, "app/deeper", "v1", "other")
	w.push(elsewhere, w.password(elsewhere, administrator), "app", "v1", "third")
	issue := func(until time.Duration) (id, token string) {
		t.Helper()
		id, token, err := w.identities().Tokens().ScannerToken(t.Context(), here.Repo("app"), w.clock().Add(until))
		if err != nil {
			t.Fatal(err)
		}
		return id, token
	}
	id, token := issue(time.Hour)
	read := func(token string, status int) {
		t.Helper()
		for _, path := range []string{"manifests/v1", "manifests/" + string(image), "blobs/" + string(blob), "referrers/" + string(image)} {
			if a := w.login(here, access.ScannerUser, token, "GET", "/v2/app/"+path, ""); a.status != status {
				t.Errorf("GET %s: %d %s, want %d", path, a.status, a.body, status)
			}
		}
	}
	read(token, 200)
	for _, tt := range []struct {
		name, user, method, path, body string
		status                         int
	}{
		{"another user's name", administrator, "GET", "/v2/app/manifests/v1", "", 401},
		{"a repository whose name goes on", access.ScannerUser, "GET", "/v2/app/deeper/manifests/v1", "", 403},
		{"one that is not there", access.ScannerUser, "GET", "/v2/other/manifests/v1", "", 403},
		{"tags", access.ScannerUser, "GET", "/v2/app/tags/list", "", 403},
		{"the list of repositories", access.ScannerUser, "GET", "/v2/_catalog", "", 403},
		{"an upload", access.ScannerUser, "POST", "/v2/app/blobs/uploads/", "", 403},
		{"a mount from elsewhere", access.ScannerUser, "POST", "/v2/app/blobs/uploads/?mount=" + string(blob) + "&from=app/deeper", "", 403},
		{"a push of a tag", access.ScannerUser, "PUT", "/v2/app/manifests/v2", w.manifest("config", "layer"), 403},
		{"a deletion", access.ScannerUser, "DELETE", "/v2/app/manifests/" + string(image), "", 403},
		{"the API", access.ScannerUser, "POST", "/", "{}", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := w.login(here, tt.user, token, tt.method, tt.path, tt.body); a.status != tt.status && (tt.path != "/" || a.status < 400) {
				t.Errorf("%d %s, want %d", a.status, a.body, tt.status)
			}
		})
	}
	t.Run("as an access key", func(t *testing.T) {
		for _, c := range []aws.Credentials{{AccessKeyID: token, SecretAccessKey: token}, {AccessKeyID: access.ScannerUser, SecretAccessKey: token}, {AccessKeyID: id, SecretAccessKey: token}} {
			if a := w.do(w.json(here, c, "DescribeRepositories", "{}")); a.status < 400 || a.status >= 500 || strings.Contains(a.body, "app") {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	})
	t.Run("of another account", func(t *testing.T) {
		if a := w.login(elsewhere, access.ScannerUser, token, "GET", "/v2/app/manifests/v1", ""); a.status != 401 && a.status != 403 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("other tokens are off", func(t *testing.T) {
		other := w.token(iam.NewMachineToken{User: pusher, Name: "ci"})
		w.want(w.login(here, pusher, other, "GET", "/v2/app/manifests/v1", ""), 401)
		// Not even one of the scanners' user, which anyone with the right could make.
		other = w.token(iam.NewMachineToken{User: access.ScannerUser, Name: "mine"})
		w.want(w.login(here, access.ScannerUser, other, "GET", "/v2/app/manifests/v1", ""), 401)
		if _, _, err := w.identities().Tokens().Create(t.Context(), iam.NewMachineToken{User: access.ScannerUser, Name: access.ScannerToken + "x"}); err == nil {
			t.Error("anyone can make a token that counts as the scanner's")
		}
	})
	t.Run("a policy of the repository widens nothing", func(t *testing.T) {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`
		if _, err := w.server.Registry().System("tests").SetPolicy(t.Context(), here.Repo("app/deeper"), policy, true); err != nil {
			t.Fatal(err)
		}
		w.want(w.login(here, access.ScannerUser, token, "GET", "/v2/app/deeper/manifests/v1", ""), 403)
	})
	t.Run("over", func(t *testing.T) {
		if _, err := w.identities().Tokens().Delete(t.Context(), access.ScannerUser, id); err != nil {
			t.Fatal(err)
		}
		read(token, 401)
		_, late := issue(time.Minute)
		read(late, 200)
		w.pass(2 * time.Minute)
		read(late, 403) // as an expired token of ECR
		// The next one clears it away.
		issue(time.Minute)
		list, err := w.identities().Tokens().List(t.Context(), access.ScannerUser)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, one := range list {
			if strings.HasPrefix(one.Name, access.ScannerToken) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d tokens of scans are kept: %+v", n, list)
		}
	})
}
