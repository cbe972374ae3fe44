package serve

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/host"
)

// name is a host name by which requests say which registry they are for.
type name struct {
	of         int    // registry
	way        string // of its field
	text       string
	host, port string // in lower case; port is "" for any
	exact      bool   // for the very text only, with its port or without
}

func nameOf(of int, way, text string, exact bool) name {
	u := url.URL{Host: strings.ToLower(text)}
	return name{of, way, text, u.Hostname(), u.Port(), exact}
}

// meets reports whether a request could be sent to both.
func (n name) meets(o name) bool {
	switch {
	case n.host != o.host:
		return false
	case n.exact && o.exact:
		return n.port == o.port
	}
	return n.port == o.port || n.port == "" && !n.exact || o.port == "" && !o.exact
}

// names reports host names that do not say which registry a request is for.
func (c *Config) names(d *decoder) {
	var before []name
	urls := map[string]string{} // with the way to the first
	for i, r := range c.Settings.Registries {
		way := fmt.Sprintf("registries[%d]", i)
		var own []name
		for j, text := range r.Hosts {
			own = append(own, nameOf(i, fmt.Sprintf("%s.hosts[%d]", way, j), text, false))
		}
		if u := c.Host.External[c.Host.Registries[i].Name]; u != nil {
			at := way + ".external_url"
			if r.ExternalURL == "" {
				at = "external_url"
			}
			if first := urls[strings.ToLower(u.String())]; first != "" {
				d.wrong(at, "%s is the URL of %s already", u, first)
				continue
			}
			urls[strings.ToLower(u.String())] = way
			own = append(own, nameOf(i, at, u.Host, true))
		}
		for _, n := range own {
			if r.Listen == "" {
				c.ambiguous(d, n, before)
			}
		}
		if r.Listen == "" {
			before = append(before, own...)
		}
	}
}

// ambiguous reports n where it is a name of another registry of the shared port.
func (c *Config) ambiguous(d *decoder, n name, before []name) {
	for _, o := range before {
		if o.of != n.of && n.meets(o) && !(strings.EqualFold(n.text, o.text) && !n.exact && !o.exact) { // else reported already
			d.wrong(n.way, "%s and %s of %s are the same host name for some requests: give the two registries different names", n.text, o.text, o.way)
			return
		}
	}
	account, region, ok := host.ECRName(n.host)
	for i, r := range c.Settings.Registries {
		if ok && i != n.of && r.Listen == "" && r.Account == account && r.Region == region {
			d.wrong(n.way, "%s is a name of registries[%d]: it says its account and region", n.text, i)
			return
		}
	}
}
