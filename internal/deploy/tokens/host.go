package tokens

import (
	"net"
	"path"
	"strings"
)

// Patterns match every host of ecr.ParseHost, each as the kubelet's matchImages
// reads it, where '*' stays between two dots.
func Patterns() []string {
	return []string{
		"*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr-fips.*.amazonaws.com",
		"*.dkr-ecr.*.on.aws", "*.dkr-ecr-fips.*.on.aws",
		"*.dkr.ecr.*.amazonaws.com.cn", "*.dkr-ecr.*.on.amazonwebservices.com.cn",
		"*.dkr.ecr.*.amazonaws.eu", "*.dkr.ecr-fips.*.amazonaws.eu",
		"*.dkr.ecr.*.c2s.ic.gov", "*.dkr.ecr.*.sc2s.sgov.gov", "*.dkr.ecr.*.cloud.adc-e.uk", "*.dkr.ecr.*.csp.hci.ic.gov",
	}
}

// HostOf is the host of a registry's name or URL, in lower case:
// "https://localhost:5050/v2/" and "localhost:5050" give "localhost:5050".
func HostOf(server string) string {
	if _, rest, isURL := strings.Cut(server, "://"); isURL {
		server = rest
	}
	host, _, _ := strings.Cut(server, "/")
	return strings.ToLower(host)
}

// ImageHost is the host of an image's name: "localhost:5050" of
// "localhost:5050/team/api:v1". A name without one is docker.io's, as docker
// reads it.
func ImageHost(image string) string {
	host, _, hasPath := strings.Cut(image, "/")
	if !hasPath || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return strings.ToLower(host)
}

// matches reports whether the pattern is for the host, as the kubelet matches
// matchImages: as many parts between dots, each matching, and the same port or
// none. Source: Kubernetes, kubelet credential provider, "Configure image
// matching".
func matches(pattern, host string) bool {
	pattern, patternPort := splitPort(strings.ToLower(pattern))
	host, port := splitPort(strings.ToLower(host))
	want, got := strings.Split(pattern, "."), strings.Split(host, ".")
	if patternPort != port || len(want) != len(got) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], got[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func splitPort(s string) (host, port string) {
	if host, port, err := net.SplitHostPort(s); err == nil {
		return host, port
	}
	return s, ""
}
