package host

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Externals are the URLs under which clients reach registries, by name. That of
// the name "" is the first registry's, whose port the others follow.
type Externals map[string]*url.URL

// ParseExternals reads URL or NAME=URL, such as
// "https://registry.example.com" or "prod=http://localhost:6000".
func ParseExternals(list []string) (Externals, error) {
	all := Externals{}
	for _, s := range list {
		name, text, named := strings.Cut(s, "=")
		if !named || strings.Contains(name, "/") {
			name, text = "", s
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, wrong("--external-url %s: want http://HOST:PORT or https://HOST:PORT without a path, or NAME= and one for the registry of that name", s)
		}
		if _, twice := all[name]; twice {
			return nil, wrong("--external-url %s: there are two URLs for the same registry", s)
		}
		all[name] = &url.URL{Scheme: u.Scheme, Host: u.Host}
	}
	return all, nil
}

// Add gives the registry r of a file a URL, unless x has one for it.
func (x Externals) Add(r datadir.Registry, text string) error {
	if x[""] != nil || x[r.Name] != nil {
		return nil
	}
	more, err := ParseExternals([]string{r.Name + "=" + text})
	if err != nil {
		return err
	}
	maps.Copy(x, more)
	return fits(more[r.Name], r)
}

// ecrName is a host name of ECR's form.
var ecrName = lazyregexp.New(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.`)

// ECRName takes the account and the region out of a host name of ECR's form.
func ECRName(host string) (account, region string, ok bool) {
	m := ecrName.FindStringSubmatch(strings.ToLower(host))
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// of returns the URL of registry number i of all, nil for none.
func (x Externals) of(all []datadir.Registry, i int) (*url.URL, error) {
	r := all[i]
	u := x[r.Name]
	if first := x[""]; u == nil && first != nil {
		u = &url.URL{Scheme: first.Scheme, Host: first.Host}
		if i > 0 {
			port, err := strconv.Atoi(first.Port())
			if err != nil {
				return nil, wrong("external URL %s: the server has %d registries: give a port, which they count up from, or NAME=URL for each of them", first, len(all))
			}
			u.Host = net.JoinHostPort(first.Hostname(), strconv.Itoa(port+i))
		}
	}
	if u == nil {
		return nil, nil
	}
	if err := fits(u, r); err != nil {
		return nil, wrong("%v", err)
	}
	return u, nil
}

// fits finds a URL in ECR's form that is not that of r.
func fits(u *url.URL, r datadir.Registry) error {
	if m := ecrName.FindStringSubmatch(u.Hostname()); m != nil && (m[1] != string(r.Account) || m[2] != string(r.Region)) {
		return fmt.Errorf("external URL %s: its name is of account %s in %s, and registry %s is of account %s in %s", u, m[1], m[2], r.Name, r.Account, r.Region)
	}
	return nil
}

// check finds names of registries that there are not.
func (x Externals) check(all []datadir.Registry) error {
	for name := range x {
		if name == "" {
			continue
		}
		if _, err := pick(all, name); err != nil {
			return wrong("--external-url %s=%s: %v", name, x[name], err)
		}
	}
	return nil
}

// ParseProxies reads addresses and networks such as 10.0.0.0/8.
func ParseProxies(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); err != nil && aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, wrong("--trusted-proxy %s: want an address or a network, such as 10.0.0.7 or 10.0.0.0/8", s)
		}
		all = append(all, p)
	}
	return all, nil
}
