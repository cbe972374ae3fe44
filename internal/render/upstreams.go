package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Upstreams writes the pull-through cache rules of a registry, and the names of its
// credentials.
func Upstreams(w io.Writer, rules []admin.Upstream, secrets []admin.Secret, o Options) error {
	p := newPrinter(o)
	if len(rules) == 0 {
		p.linef(plain, "There are no pull-through cache rules.")
	}
	names := map[string]string{}
	for _, s := range secrets {
		names[s.ARN] = s.Name
	}
	for _, r := range rules {
		to := clean(r.URL)
		if r.UpstreamPrefix != "ROOT" {
			to += "/" + clean(r.UpstreamPrefix)
		}
		p.linef(plain, "%s  from %s", clean(r.Prefix), to)
		if r.CredentialARN != "" {
			name := names[r.CredentialARN]
			if name == "" {
				name = r.CredentialARN
			}
			p.linef(faint, "    logs in with %s", clean(name))
		}
	}
	for _, s := range secrets {
		p.linef(plain, "credential %s, stored %s", clean(s.Name), words.Moment(s.UpdatedAt))
		p.linef(faint, "    %s", clean(s.ARN))
	}
	return p.flush(w)
}
