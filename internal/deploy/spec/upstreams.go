package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// upstream is an entry of upstreams.
type upstream struct {
	state.Upstream
	registries setting[[]node]
	credential setting[string]
	roleARN    setting[string]
}

// upstreamMap reads upstreams.
func (r *reader) upstreamMap(n node) {
	if r.upstreamPrefixes == nil {
		r.upstreamPrefixes = map[string]state.Position{}
	}
	r.entries(n, "the registries that are cached there", r.upstreamPrefixes, badUpstreamPrefix, func(prefix string, item node) {
		r.upstreams = append(r.upstreams, r.upstream(prefix, item))
	})
}

func badUpstreamPrefix(s string) string {
	if len(s) < fields.MinUpstreamPrefix || len(s) > fields.MaxUpstreamPrefix || !fields.Prefix.MatchString(s) {
		return fmt.Sprintf("want the first part of repository names, such as docker-hub, %d to %d characters, or ROOT for all", fields.MinUpstreamPrefix, fields.MaxUpstreamPrefix)
	}
	return ""
}

func (r *reader) upstream(prefix string, n node) upstream {
	before := len(r.errs)
	u := upstream{}
	u.Prefix, u.UpstreamPrefix, u.Origin = prefix, ecr.RootPrefix, n.origin()
	m := r.object(n, "upstreams")
	if len(r.errs) == before {
		r.need(n, m, "an upstream", "registry")
	}
	u.Host = state.CanonicalHost(r.checked(m["registry"], badHost))
	u.UpstreamPrefix = strings.TrimSuffix(r.checked(m["upstream_prefix"], badUpstreamPrefix), "/")
	if u.UpstreamPrefix == "" {
		u.UpstreamPrefix = ecr.RootPrefix
	}
	if v := m["upstream_prefix"]; v.Value != nil && prefix == ecr.RootPrefix && u.UpstreamPrefix != ecr.RootPrefix {
		r.wrong(v, "an upstream with the prefix ROOT caches a whole registry; give it another prefix")
	}
	if v, ok := m["credential"]; ok {
		u.credential = given(r.checked(v, badCredential), v)
	}
	if v, ok := m["role_arn"]; ok {
		u.roleARN = given(r.checked(v, func(s string) string { return badRole(s, "") }), v)
	}
	if v, ok := m["removed"]; ok {
		u.Removed, _ = r.boolean(v)
	}
	if v, ok := m["registries"]; ok {
		u.registries = given(r.registryNames(v), v)
	}
	u.Credential, u.RoleARN = u.credential.value, u.roleARN.value
	return u
}

func badHost(s string) string {
	if strings.Contains(s, "://") {
		return "want the host of a registry without https://, such as registry-1.docker.io"
	}
	if !fields.Host.MatchString(s) {
		return fmt.Sprintf("%q is not the host of a registry; want one such as registry-1.docker.io or ghcr.io", lang.Clip(s))
	}
	return ""
}

func badCredential(s string) string {
	switch {
	case !state.IsARN(s) && !fields.CredentialName.MatchString(s):
		return "want the ARN of a secret whose name begins with ecr-pullthroughcache/, or the name of a credential of kontor upstreams login; never the password itself"
	case state.IsARN(s) && !fields.CredentialARN.MatchString(s):
		return fmt.Sprintf("%q is not the ARN of a secret whose name begins with ecr-pullthroughcache/", lang.Clip(s))
	}
	return ""
}

// check looks for what is wrong only in a target.
func (u upstream) check(p *problems, targets []state.Target) {
	for _, t := range u.in(targets) {
		if t.Local {
			continue
		}
		if t.Endpoint == "" && u.credential.value != "" && !state.IsARN(u.credential.value) {
			p.failf(u.credential.by, "registry %s is Amazon ECR, which takes the ARN of a secret of AWS Secrets Manager", t.Name)
		}
		if arn := u.credential.value; state.IsARN(arn) {
			if parts := strings.SplitN(arn, ":", 6); parts[1] != t.Registry.Region.Partition() || parts[3] != string(t.Registry.Region) {
				p.failf(u.credential.by, "the secret is in region %s, but registry %s is in %s; the secret must be in the registry's region", parts[3], t.Name, t.Registry.Region)
			}
		}
		if role := u.roleARN.value; role != "" {
			if why := badRole(role, t.Registry.Region); why != "" {
				p.failf(u.roleARN.by, "%s", why)
			}
		}
	}
}

// in are the targets that have u.
func (u upstream) in(targets []state.Target) []state.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t state.Target) bool {
		return !t.Local && u.registries.given && !slices.ContainsFunc(u.registries.value, func(n node) bool { return n.Text == t.Name })
	})
}

// wanted are all templates, upstreams and signers, each as the first of its targets has it, and
// those of each target by its name.
func (f *File) wanted(targets []state.Target) (all state.Wanted, byTarget map[string]state.Wanted) {
	byTarget = map[string]state.Wanted{}
	for _, t := range targets {
		byTarget[t.Name] = state.Wanted{TemplatesGiven: f.templatesGiven}
	}
	all.TemplatesGiven = f.templatesGiven
	for _, x := range f.templates {
		for i, v := range x.whole.variants(targets, f.clusters) {
			made := x.compile(v, f.stack)
			if i == 0 {
				all.Templates = append(all.Templates, made)
			}
			for _, t := range v.targets {
				w := byTarget[t.Name]
				w.Templates = append(w.Templates, made)
				byTarget[t.Name] = w
			}
		}
	}
	for _, u := range f.upstreams {
		in := u.in(targets)
		if len(in) > 0 {
			all.Upstreams = append(all.Upstreams, u.Upstream)
		}
		for _, t := range in {
			w := byTarget[t.Name]
			w.Upstreams = append(w.Upstreams, u.Upstream)
			byTarget[t.Name] = w
		}
	}
	for _, s := range f.signers {
		in := s.in(targets)
		if len(in) > 0 {
			all.Signers = append(all.Signers, s.Signer)
		}
		for _, t := range in {
			w := byTarget[t.Name]
			w.Signers = append(w.Signers, s.Signer)
			byTarget[t.Name] = w
		}
	}
	for _, x := range f.receivers {
		in := x.in(targets)
		if len(in) > 0 {
			all.Receivers = append(all.Receivers, x.EventReceiver)
		}
		for _, t := range in {
			w := byTarget[t.Name]
			w.Receivers = append(w.Receivers, x.EventReceiver)
			byTarget[t.Name] = w
		}
	}
	f.addReplication(targets, byTarget)
	all.ReplicationRules = len(f.replication)
	if len(targets) > 0 {
		all.Replication = byTarget[targets[0].Name].Replication
	}
	return all, byTarget
}
