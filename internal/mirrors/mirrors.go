// Package mirrors writes the configuration of container runtimes that pull through
// the caches of a registry. It is pure.
//
// Sources: containerd's docs/hosts.md; containers-registries.conf(5); dockerd's
// "registry-mirrors".
package mirrors

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Root is the prefix of a rule without one.
const Root = "ROOT"

// Rule is a pull-through cache rule: what Host has is in repositories below Prefix.
type Rule struct {
	Prefix, Host, UpstreamPrefix string
}

// Registry is one that has the rules.
type Registry struct {
	URL   string // such as "https://registry.example.com"
	Rules []Rule
}

// Login is what a mirror is logged in to with; the zero Login is not written.
type Login struct{ User, Password string }

// dockerHub is Docker Hub in rules and in image names.
const (
	dockerHub     = "registry-1.docker.io"
	dockerHubName = "docker.io"
)

// nameOf is a rule's registry as image names begin.
func nameOf(r Rule) string {
	if r.Host == dockerHub {
		return dockerHubName
	}
	return r.Host
}

// whole are the rules that cache all of a registry, one for each: that with the
// shortest prefix.
func (r Registry) whole() []Rule {
	best := map[string]Rule{}
	for _, rule := range r.Rules {
		if rule.UpstreamPrefix != Root && rule.UpstreamPrefix != "" {
			continue
		}
		if b, ok := best[rule.Host]; !ok || len(rule.Prefix) < len(b.Prefix) {
			best[rule.Host] = rule
		}
	}
	var list []Rule
	for _, host := range slices.Sorted(maps.Keys(best)) {
		list = append(list, best[host])
	}
	return list
}

// errNone: there is nothing to write.
var errNone = errors.New("no pull through cache rule is for a whole registry: make one with kontor upstreams create PREFIX HOST")

// Containerd is the files of a folder such as /etc/containerd/certs.d, by path. With
// all it is one for every registry, "_default/hosts.toml", by which containerd asks
// for each image of another registry: what no rule is for it then gets from there.
// Errors: no rule.
func Containerd(r Registry, login Login, all bool) (map[string]string, error) {
	if all {
		return map[string]string{"_default/hosts.toml": hostsFile("", r.URL, false, login)}, nil
	}
	files := map[string]string{}
	for _, rule := range r.whole() {
		at, path := r.URL, false
		if rule.Prefix != Root {
			at, path = r.URL+"/v2/"+rule.Prefix, true
		}
		files[nameOf(rule)+"/hosts.toml"] = hostsFile("https://"+rule.Host, at, path, login)
	}
	if len(files) == 0 {
		return nil, errNone
	}
	return files, nil
}

func hostsFile(server, at string, path bool, login Login) string {
	var b strings.Builder
	if server != "" {
		fmt.Fprintf(&b, "server = %s\n\n", strconv.Quote(server))
	}
	fmt.Fprintf(&b, "[host.%s]\n  capabilities = [\"pull\", \"resolve\"]\n", strconv.Quote(at))
	if path {
		b.WriteString("  override_path = true\n")
	}
	if login != (Login{}) {
		basic := base64.StdEncoding.EncodeToString([]byte(login.User + ":" + login.Password))
		fmt.Fprintf(&b, "\n[host.%s.header]\n  authorization = \"Basic %s\"\n", strconv.Quote(at), basic)
	}
	return b.String()
}

// Podman is a file of registries.conf.d. Errors: no rule.
func Podman(r Registry) (string, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, rule := range r.whole() {
		if i > 0 {
			b.WriteString("\n")
		}
		location := u.Host
		if rule.Prefix != Root {
			location += "/" + rule.Prefix
		}
		fmt.Fprintf(&b, "[[registry]]\nprefix = %s\nlocation = %s\n\n[[registry.mirror]]\nlocation = %s\n", strconv.Quote(nameOf(rule)), strconv.Quote(nameOf(rule)), strconv.Quote(location))
		if u.Scheme == "http" {
			b.WriteString("insecure = true\n")
		}
	}
	if b.Len() == 0 {
		return "", errNone
	}
	return b.String(), nil
}

// Docker is a daemon.json. The daemon has mirrors of Docker Hub only, and asks them
// for its names without a prefix. Errors: no rule with the prefix ROOT for Docker Hub.
func Docker(r Registry) (string, error) {
	if !slices.ContainsFunc(r.Rules, func(r Rule) bool { return r.Host == dockerHub && r.Prefix == Root }) {
		return "", errors.New("docker asks its mirrors for Docker Hub's names without a prefix, and no pull through cache rule with the prefix ROOT is for docker.io: make one with kontor upstreams create ROOT docker.io")
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", err
	}
	config := struct {
		Mirrors  []string `json:"registry-mirrors"`
		Insecure []string `json:"insecure-registries,omitempty"`
	}{Mirrors: []string{r.URL}}
	if u.Scheme == "http" {
		config.Insecure = []string{u.Host}
	}
	text, err := json.MarshalIndent(config, "", "  ")
	return string(text) + "\n", err
}
