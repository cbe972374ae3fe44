package tokens

import (
	"slices"
	"strings"
	"testing"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

func TestParseHost(t *testing.T) {
	const a = "111111111111"
	// The forms: ECR user guide, "Amazon ECR endpoints"; partitions: the regular
	// expressions of AWS's helpers.
	for host, want := range map[string]kecr.Host{
		a + ".dkr.ecr.us-east-2.amazonaws.com":                {Account: a, Region: "us-east-2"},
		a + ".dkr.ecr.us-east-2.amazonaws.com:443":            {Account: a, Region: "us-east-2"},
		a + ".DKR.ecr.us-east-2.AmazonAWS.com":                {Account: a, Region: "us-east-2"},
		a + ".dkr.ecr-fips.us-gov-west-1.amazonaws.com":       {Account: a, Region: "us-gov-west-1", FIPS: true},
		a + ".dkr-ecr.eu-west-1.on.aws":                       {Account: a, Region: "eu-west-1", DualStack: true},
		a + ".dkr-ecr-fips.us-east-1.on.aws":                  {Account: a, Region: "us-east-1", DualStack: true, FIPS: true},
		a + ".dkr.ecr.cn-north-1.amazonaws.com.cn":            {Account: a, Region: "cn-north-1"},
		a + ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": {Account: a, Region: "cn-north-1", DualStack: true},
		a + ".dkr.ecr.eusc-de-east-1.amazonaws.eu":            {Account: a, Region: "eusc-de-east-1"},
		a + ".dkr.ecr.us-iso-east-1.c2s.ic.gov":               {Account: a, Region: "us-iso-east-1"},
		a + ".dkr.ecr.us-isob-east-1.sc2s.sgov.gov":           {Account: a, Region: "us-isob-east-1"},
		a + ".dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk":          {Account: a, Region: "eu-isoe-west-1"},
		a + ".dkr.ecr.us-isof-south-1.csp.hci.ic.gov":         {Account: a, Region: "us-isof-south-1"},
	} {
		t.Run(host, func(t *testing.T) {
			got, ok := kecr.ParseHost(host)
			if !ok || got != want {
				t.Errorf("%+v, %t, want %+v", got, ok, want)
			}
			bare := strings.TrimSuffix(host, ":443")
			if !slices.ContainsFunc(Patterns(), func(p string) bool { return matches(p, bare) }) {
				t.Errorf("no pattern matches %s", bare)
			}
		})
	}
	for _, host := range []string{
		"", "public.ecr.aws", "docker.io", "localhost:5050",
		a + ".dkr.ecr.us-east-2.amazonaws.com.evil.example",
		a + ".dkr.ecr.us-east-2.amazonaws.com:5000",
		a + ".dkr.ecr.us-east-2.evil-amazonaws.com",
		a + ".dkr.ecr.us-east-2.on.aws", a + ".dkr-ecr.us-east-2.amazonaws.com",
		a + ".dkr.ecr..amazonaws.com", "11111111111.dkr.ecr.us-east-2.amazonaws.com",
		"x" + a + ".dkr.ecr.us-east-2.amazonaws.com", a + ".dkr.ecr.us-east-2.amazonaws.com\n",
		a + ".dkrxecr.us-east-2.amazonaws.com",
	} {
		t.Run("host "+host, func(t *testing.T) {
			if h, ok := kecr.ParseHost(host); ok {
				t.Errorf("%q is taken for %+v", host, h)
			}
		})
	}
}

// Kubernetes documentation, "Configure a kubelet image credential provider",
// "Configure image matching".
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"registry.example", "registry.example", true},
		{"*.example", "registry.example", true},
		{"*.example", "example", false},
		{"*.io", "k8s.gcr.io", false},
		{"*.*.io", "k8s.gcr.io", true},
		{"*.azurecr.io", "my.azurecr.io", true},
		{"registry.example:5000", "registry.example:5000", true},
		{"registry.example:5000", "registry.example", false},
		{"registry.example", "registry.example:5000", false},
		{"app*.example", "apple.example", true},
		{"REGISTRY.example", "registry.Example", true},
		{"*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.us-east-1.amazonaws.com", true},
		{"*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.us-east-1.amazonaws.com.evil.example", false},
		{"[::1]:5050", "[::1]:5050", true},
	} {
		t.Run(c.pattern+" "+c.host, func(t *testing.T) {
			if got := matches(c.pattern, c.host); got != c.want {
				t.Errorf("%s for %s: %t", c.pattern, c.host, got)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for in, want := range map[string]string{
		"localhost:5050": "localhost:5050", "https://localhost:5050/v2/": "localhost:5050", "http://Registry.example": "registry.example",
		"registry": "registry", "registry.example/v1/": "registry.example",
	} {
		t.Run(in, func(t *testing.T) {
			if got := HostOf(in); got != want {
				t.Errorf("HostOf(%q) = %q, want %q", in, got, want)
			}
		})
	}
	for in, want := range map[string]string{
		"localhost:5050/team/api:v1": "localhost:5050", "localhost/a": "localhost", "nginx": "docker.io", "nginx:1.2": "docker.io",
		"team/api": "docker.io", "Registry.example/a@sha256:00": "registry.example",
	} {
		t.Run(in, func(t *testing.T) {
			if got := ImageHost(in); got != want {
				t.Errorf("ImageHost(%q) = %q, want %q", in, got, want)
			}
		})
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("111111111111.dkr.ecr.us-east-2.amazonaws.com")
	f.Add("111111111111.dkr-ecr-fips.us-east-1.on.aws:443")
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := kecr.ParseHost(HostOf(s))
		if ok && (len(h.Account) != 12 || len(h.Region) < 2 || !strings.Contains(strings.ToLower(s), string(h.Account))) {
			t.Errorf("%q: %+v", s, h)
		}
		ImageHost(s)
	})
}
