package logincmd

import (
	"slices"
	"strings"
	"testing"
)

// FuzzProviderRequest: whatever comes, what is read is a request that can be
// answered, or an error without a word of the service account's token.
func FuzzProviderRequest(f *testing.F) {
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"localhost:5050/a"}`)
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"v1","serviceAccountToken":"sesame-open"}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, s string) {
		q, err := readProviderRequest(strings.NewReader(s))
		if err != nil {
			if strings.Contains(err.Error(), "sesame-open") && !strings.Contains(q.Kind+q.APIVersion, "sesame-open") {
				t.Errorf("%v", err)
			}
			return
		}
		version := strings.TrimPrefix(q.APIVersion, providerGroup)
		if q.Image == "" || !slices.Contains(providerVersions, version) {
			t.Errorf("%q: %+v", s, q)
		}
	})
}

func TestProviderRequestIsBounded(t *testing.T) {
	_, err := readProviderRequest(strings.NewReader(strings.Repeat(" ", maxProviderData+1)))
	if err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestArgs(t *testing.T) {
	for name, want := range map[string][]string{
		"kontor": {"get"}, "/usr/bin/docker-credential-kontor": {"docker-credential", "get"}, "docker-credential-kontor.exe": {"docker-credential", "get"},
		"docker-credential-other": {"get"},
	} {
		if got := Args([]string{name, "get"}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := Args(nil); len(got) > 0 {
		t.Errorf("of nothing: %q", got)
	}
}

// What a registry of this machine may be called.
func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		served, used string
		want         bool
	}{
		{"localhost:5050", "localhost:5050", true},
		{"localhost:5050", "127.0.0.1:5050", true},
		{"localhost:5050", "[::1]:5050", true},
		{"localhost:5050", "host.docker.internal:5050", true},
		{"localhost:5050", "localhost:5051", false},
		{"localhost:5050", "registry.example:5050", false},
		{"registry.example:5050", "localhost:5050", false},
		{"registry.example", "registry.example", true},
	} {
		if got := SameHost(c.served, c.used); got != c.want {
			t.Errorf("%s as %s: %t", c.served, c.used, got)
		}
	}
}
