package server_test

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
)

// shared has both registries on one port, told apart by the host of requests.
func shared(t *testing.T) *world {
	t.Helper()
	w := start(t, t.TempDir(), func(c *server.Config) {
		for _, l := range c.Bindings[1].Listeners {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c.Bindings[0].ByHost, c.Bindings[0].Hosts = true, []string{"us.example", "registry.example:8443"}
		c.Bindings[1] = server.Binding{Registry: elsewhere, ByHost: true, Hosts: []string{"cn.example"}}
	})
	w.hosts[elsewhere] = w.hosts[here]
	w.names = map[ecr.RegistryID]string{here: "us.example", elsewhere: "cn.example"}
	return w
}

// The host of a request says which registry it is for, where several share a
// port: by a name that the operator gave, or by one of ECR's form in any domain.
// Docker's requests to other hosts are refused, and told why.
func TestRegistriesByHost(t *testing.T) {
	w := shared(t)
	w.create(here, "ours")
	w.create(elsewhere, "theirs")
	_, port, err := net.SplitHostPort(w.hosts[here])
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host string
		want string // the repository that is there, "" for none
	}{
		{"us.example", "ours"},
		{"US.example:" + port, "ours"},
		{"registry.example:8443", "ours"},
		{"registry.example:8444", ""},
		{"000000000000.dkr.ecr.us-east-1.example.org:" + port, "ours"},
		{"cn.example:443", "theirs"},
		{"111111111111.dkr.ecr.cn-north-1.example.org", "theirs"},
		{"111111111111.dkr-ecr.cn-north-1.example.org", "theirs"},
		{"111111111111.DKR.ECR.cn-north-1.example.org", "theirs"},
		{"111111111111.dkr.ecr.us-east-1.example.org", ""},
		{"222222222222.dkr.ecr.us-east-1.example.org", ""},
		{"x.us.example", ""},
		{"localhost:" + port, ""},
		{w.hosts[here], ""},
	} {
		t.Run(tt.host, func(t *testing.T) {
			at := here
			if tt.want == "theirs" {
				at = elsewhere
			}
			r := w.basic(at, w.password(at, administrator), "GET", "/v2/_catalog", "")
			r.Host = tt.host
			a := w.do(r)
			switch {
			case tt.want == "" && (a.status != 421 || !strings.Contains(a.body, `"NAME_UNKNOWN"`) || !strings.Contains(a.body, "has the host name")):
				t.Errorf("%d %s, want a refusal", a.status, a.body)
			case tt.want != "" && (a.status != 200 || !strings.Contains(a.body, `"`+tt.want+`"`)):
				t.Errorf("%d %s, want %s", a.status, a.body, tt.want)
			}
		})
	}
	// Load balancers ask by address.
	for _, path := range []string{"/healthz", "/readyz"} {
		w.want(w.do(w.request(here, "GET", path, "")), 200)
	}
}

// A port of a registry's own is for it whatever the host of a request, and the
// shared port is not for it. Of two names, the one with the port of the request
// counts.
func TestOwnPortWhateverTheHost(t *testing.T) {
	external, err := url.Parse("https://us.example.org")
	if err != nil {
		t.Fatal(err)
	}
	w := startNear(t, func(c *server.Config) {
		for _, l := range c.Bindings[1].Listeners {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		c.Bindings[0].ByHost, c.Bindings[0].Hosts, c.Bindings[0].External = true, []string{"us.example", "registry.example"}, external
		c.Bindings[1] = server.Binding{Registry: elsewhere, ByHost: true, Hosts: []string{"cn.example", "registry.example:8443"}}
		c.Bindings[2].Own, c.Bindings[2].Hosts = true, []string{"near.example"}
	})
	w.hosts[elsewhere] = w.hosts[here]
	w.names = map[ecr.RegistryID]string{here: "us.example", elsewhere: "cn.example"}
	w.create(here, "ours")
	w.create(elsewhere, "theirs")
	w.create(near, "own")
	for _, tt := range []struct {
		name     string
		at       ecr.RegistryID // whose port
		host     string
		of       ecr.RegistryID // whose password
		contains string
	}{
		{"own port by address", near, w.hosts[near], near, `"own"`},
		{"own port by its name", near, "near.example", near, `"own"`},
		{"own port by another's name", near, "us.example", near, `"own"`},
		{"own port by another's external name", near, "us.example.org", near, `"own"`},
		{"own port by another's ECR name", near, "000000000000.dkr.ecr.us-east-1.example.org", near, `"own"`},
		{"shared port by the own one's name", here, "near.example", near, "has the host name"},
		{"shared port by the own one's ECR name", here, "222222222222.dkr.ecr.us-east-1.example.org", near, "has the host name"},
		{"shared port by an external name", here, "us.example.org", here, `"ours"`},
		{"a name for any port", here, "registry.example:8444", here, `"ours"`},
		{"a name with a port", here, "registry.example:8443", elsewhere, `"theirs"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := w.basic(tt.at, w.password(tt.of, administrator), "GET", "/v2/_catalog", "")
			r.Host = tt.host
			if a := w.do(r); !strings.Contains(a.body, tt.contains) {
				t.Errorf("%d %s, want %s", a.status, a.body, tt.contains)
			}
		})
	}
}

// Addresses in answers are of the registry meant, in the domain and at the port
// that the client used, also where the API is called by an address.
func TestAddressesByHost(t *testing.T) {
	w := shared(t)
	for _, in := range []ecr.RegistryID{here, elsewhere} {
		w.create(in, "app")
		w.push(in, w.password(in, administrator), "app", "v1", "layer")
	}
	for _, tt := range []struct {
		name, host, want string
	}{
		{"its name", "us.example:8080", "us.example:8080"},
		{"an ECR name", "000000000000.dkr.ecr.us-east-1.example.org", "000000000000.dkr.ecr.us-east-1.example.org"},
		{"an ECR name of another registry", "111111111111.dkr.ecr.cn-north-1.example.org:81", "000000000000.dkr.ecr.us-east-1.example.org:81"},
		{"another registry's name", "cn.example:81", "us.example:81"},
		{"an address", "127.0.0.1:81", "us.example:81"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := addresses{tt.want + "/app", "http://" + tt.want, "http://" + tt.want}
			if strings.Contains(tt.want, ".dkr.") {
				want.proxy = "https://" + tt.want // as on ECR
			}
			if got := w.told(here, here, tt.host); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// A trusted proxy says who the client is: for limits, policies and the log. What
// clients themselves write before it counts for nothing, nor does the header of a
// stranger.
func TestClientsBehindProxies(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted bool
		headers []string // of X-Forwarded-For
		want    string
	}{
		{"none", true, nil, "127.0.0.1"},
		{"a client", true, []string{"192.0.2.7"}, "192.0.2.7"},
		{"of IPv6", true, []string{"2001:db8::7"}, "2001:db8::7"},
		{"with a port", true, []string{"192.0.2.7:1234"}, "192.0.2.7"},
		{"of IPv6 with a port", true, []string{"[2001:db8::7]:1234"}, "2001:db8::7"},
		{"an invention", true, []string{"10.1.1.1, 192.0.2.7"}, "192.0.2.7"},
		{"two proxies", true, []string{"10.1.1.1, 192.0.2.7", "127.0.0.2"}, "192.0.2.7"},
		{"rubbish", true, []string{"192.0.2.7, what"}, "127.0.0.1"},
		{"rubbish before", true, []string{"what, 192.0.2.7"}, "192.0.2.7"},
		{"proxies only", true, []string{"127.0.0.3, 127.0.0.2"}, "127.0.0.3"},
		{"a stranger's", false, []string{"192.0.2.7"}, "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, t.TempDir(), func(c *server.Config) {
				if tt.trusted {
					c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				}
				c.Limits.SourceRate, c.Limits.SourceBurst = 1, 2
			})
			r := w.request(here, "GET", "/v2/", "")
			for _, h := range tt.headers {
				r.Header.Add("X-Forwarded-For", h)
			}
			id := w.want(w.do(r), 401).header.Get("X-Amzn-Requestid")
			// Another client of the same proxy is not held back.
			for range 2 {
				w.do(r)
			}
			w.want(w.do(r), 429)
			other := w.request(here, "GET", "/v2/", "", "X-Forwarded-For", "192.0.2.8")
			want := 401
			if !tt.trusted {
				want = 429
			}
			w.want(w.do(other), want)
			source, _ := w.requests()[id]["source"].(string)
			if host, _, err := net.SplitHostPort(source); err != nil || host != tt.want {
				t.Errorf("source %q, want %s", source, tt.want)
			}
		})
	}
}

// Policies see the client's address and scheme, not the proxy's.
func TestPoliciesBehindProxies(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	w.create(here, "app")
	admin := w.credentials(here, administrator)
	policy := `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"ecr:ListImages\",\"Condition\":` +
		`{\"NotIpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}},{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"ecr:ListImages\",` +
		`\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}}]}`
	w.want(w.do(w.json(here, admin, "SetRepositoryPolicy", `{"repositoryName":"app","policyText":"`+policy+`"}`)), 200)
	for _, tt := range []struct {
		client, proto string
		status        int
	}{
		{"192.0.2.7", "https", 200}, {"198.51.100.1", "https", 400}, {"192.0.2.7", "http", 400}, {"192.0.2.7, 198.51.100.1", "https", 400},
	} {
		t.Run(tt.client+" over "+tt.proto, func(t *testing.T) {
			w.within(t)
			r := w.json(here, admin, "ListImages", `{"repositoryName":"app"}`)
			r.Header.Set("X-Forwarded-For", tt.client)
			r.Header.Set("X-Forwarded-Proto", tt.proto)
			if a := w.do(r); a.status != tt.status {
				t.Errorf("%s over %s: %d %s, want %d", tt.client, tt.proto, a.status, a.body, tt.status)
			}
		})
	}
}
