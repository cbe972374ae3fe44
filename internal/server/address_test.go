package server_test

import (
	"encoding/json"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
)

// addresses are what a client is told.
type addresses struct{ uri, proxy, download string }

// near is another account of here's region.
var near = ecr.RegistryID{Account: "222222222222", Region: "us-east-1"}

// startNear is start with a third registry, on its own port.
func startNear(t *testing.T, change ...func(*server.Config)) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	add := func(c *server.Config) {
		c.Bindings = append(c.Bindings, server.Binding{Registry: near, Host: l.Addr().String(), Listeners: []net.Listener{l}})
	}
	w := start(t, t.TempDir(), append([]func(*server.Config){add}, change...)...)
	w.hosts[near] = l.Addr().String()
	return w
}

// told asks the endpoint of at, as the administrator of whose, about whose's
// repository, under the name host and with more headers.
func (w *world) told(at, whose ecr.RegistryID, host string, headers ...string) addresses {
	w.t.Helper()
	ask := func(operation, body string, into any) {
		w.t.Helper()
		r := w.request(at, "POST", "/", body, append([]string{"Content-Type", "application/x-amz-json-1.1",
			"X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921." + operation}, headers...)...)
		r.Host = host
		for i := 0; i+1 < len(headers); i += 2 {
			if headers[i] == "X-Forwarded-Host" && strings.HasPrefix(headers[i+1], "signed.") {
				r.Host = headers[i+1] // what the client signed
			}
		}
		r = w.sign(r, w.credentials(whose, administrator), body, "ecr", whose.Region, w.clock())
		r.Host = host
		if err := json.Unmarshal([]byte(w.want(w.do(r), 200).body), into); err != nil {
			w.t.Fatal(err)
		}
	}
	var repositories struct {
		Repositories []struct{ RepositoryUri string }
	}
	ask("DescribeRepositories", `{"repositoryNames": ["app"]}`, &repositories)
	var token struct {
		AuthorizationData []struct{ ProxyEndpoint string }
	}
	ask("GetAuthorizationToken", `{}`, &token)
	var layer struct{ DownloadUrl string }
	ask("GetDownloadUrlForLayer", `{"repositoryName": "app", "layerDigest": "`+string(ecr.DigestOf([]byte("layer")))+`"}`, &layer)
	download, _, _ := strings.Cut(layer.DownloadUrl, "/layer-downloads")
	return addresses{repositories.Repositories[0].RepositoryUri, token.AuthorizationData[0].ProxyEndpoint, download}
}

// Addresses in answers are of the registry meant, not of the one asked, and reach
// it from where the client stands.
func TestAddresses(t *testing.T) {
	external, err := url.Parse("https://222222222222.dkr.ecr.us-east-1.amazonaws.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	plain := func(host string) addresses { return addresses{host + "/app", "http://" + host, "http://" + host} }
	secure := func(host string) addresses { return addresses{host + "/app", "https://" + host, "https://" + host} }
	port := func(w *world, in ecr.RegistryID) string {
		_, p, err := net.SplitHostPort(w.hosts[in])
		if err != nil {
			t.Fatal(err)
		}
		return ":" + p
	}
	w := startNear(t)
	named := startNear(t, func(c *server.Config) { c.Bindings[2].External = external })
	proxied := startNear(t, func(c *server.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	for _, x := range []*world{w, named, proxied} {
		for _, in := range []ecr.RegistryID{here, near} {
			x.create(in, "app")
			x.push(in, x.password(in, administrator), "app", "v1", "layer")
		}
	}
	for _, tt := range []struct {
		name      string
		w         *world
		at, whose ecr.RegistryID
		host      string
		headers   []string
		want      addresses
	}{
		{"its own", w, here, here, w.hosts[here], nil, plain(w.hosts[here])},
		{"another's of the server", w, here, near, w.hosts[here], nil, plain(w.hosts[near])},
		{"from another machine", w, here, here, "registry.example:8080", nil, plain("registry.example:8080")},
		{"another's, from another machine", w, here, near, "registry.example" + port(w, here), nil, plain("registry.example" + port(w, near))},
		{"under an address", w, here, near, "[fd00::1]" + port(w, here), nil, plain("[fd00::1]" + port(w, near))},
		{"by localhost", w, here, here, "localhost" + port(w, here), nil, plain(w.hosts[here])},
		{"headers of a stranger", w, here, here, "registry.example:8080", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}, plain("registry.example:8080")},
		{"headers of a proxy", proxied, here, here, "127.0.0.1:1", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "signed.example"}, secure("signed.example")},
		{"a proxy's scheme only", proxied, here, here, "registry.example", []string{"X-Forwarded-Proto", "http, https"}, secure("registry.example")},
		{"a client's inventions before a proxy's", proxied, here, here, "registry.example", []string{"X-Forwarded-Proto", "http, https", "X-Forwarded-Host", "evil.example, registry.example"}, secure("registry.example")},
		{"a given name", named, here, near, named.hosts[here], nil, secure("222222222222.dkr.ecr.us-east-1.amazonaws.com:8443")},
		{"a given name, asked under another", named, near, near, "registry.example", nil, secure("222222222222.dkr.ecr.us-east-1.amazonaws.com:8443")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.w.told(tt.at, tt.whose, tt.host, tt.headers...); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("a given name decides the registry", func(t *testing.T) {
		r := named.basic(here, named.password(near, administrator), "GET", "/v2/app/manifests/v1", "")
		r.Host = external.Host
		if a := named.want(named.do(r), 200); a.header.Get("Docker-Content-Digest") == "" {
			t.Errorf("%v", a.header)
		}
		r = named.basic(here, named.password(near, administrator), "POST", "/v2/app/blobs/uploads/", "")
		r.Host = external.Host
		id := named.want(named.do(r), 202).header.Get("X-Amzn-Requestid")
		if e := named.requests()[id]; e["registry"] != near.String() {
			t.Errorf("served as %v", e["registry"])
		}
	})
}

// Each endpoint serves every registry of the server: the credential's scope says
// the region, the caller and registryId the account.
func TestOneEndpointServesAll(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(elsewhere, "app")
	r := w.json(here, w.credentials(elsewhere, administrator), "DescribeRepositories", `{}`)
	r = w.sign(w.request(here, "POST", "/", `{}`, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", r.Header.Get("X-Amz-Target")),
		w.credentials(elsewhere, administrator), `{}`, "ecr", elsewhere.Region, w.clock())
	if a := w.want(w.do(r), 200); !strings.Contains(a.body, `"repositoryArn":"arn:aws-cn:ecr:cn-north-1:111111111111:repository/app"`) {
		t.Errorf("%s", a.body)
	}
	who := w.sign(w.request(here, "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", "Content-Type", "application/x-www-form-urlencoded"),
		w.credentials(elsewhere, administrator), "Action=GetCallerIdentity&Version=2011-06-15", "sts", elsewhere.Region, w.clock())
	if a := w.want(w.do(who), 200); !strings.Contains(a.body, "arn:aws-cn:iam::111111111111:user/") {
		t.Errorf("%s", a.body)
	}
	// A region without a registry here is refused as before.
	r = w.sign(w.request(here, "POST", "/", `{}`, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", r.Header.Get("X-Amz-Target")),
		w.credentials(here, administrator), `{}`, "ecr", "eu-west-1", w.clock())
	w.want(w.do(r), 400)
}
