package spec

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// registry is an entry of registries.
type registry struct {
	state.Target
	name, entry node
}

func (r *reader) registry(n node) {
	names := fields.Names("registries")
	if n.Kind == lang.Null {
		r.wrong(n, "want a mapping with the fields %s, but the entry is empty", strings.Join(names, ", "))
		return
	}
	before := len(r.errs)
	f := r.object(n, "registries")
	if f == nil {
		return
	}
	// a field that is not known may be the one that is missing
	if len(r.errs) == before {
		r.need(n, f, "a registry", "name", "account", "region")
	}
	reg := registry{entry: n, name: f["name"]}
	reg.Name = r.checked(f["name"], func(s string) string {
		if !fields.RegistryName.MatchString(s) {
			return fmt.Sprintf("%q is not a registry's name: want 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit", lang.Clip(s))
		}
		return ""
	})
	if v, ok := f["account"]; ok {
		reg.Registry.Account, _ = r.account(v)
	}
	reg.Registry.Region = ecr.Region(r.checked(f["region"], badRegion))
	reg.RoleARN = r.checked(f["role_arn"], func(s string) string { return badRole(s, reg.Registry.Region) })
	reg.Profile = r.checked(f["profile"], badProfile)
	reg.Endpoint = r.checked(f["endpoint"], badEndpoint)
	reg.ExternalURL = r.checked(f["external_url"], badExternalURL)
	r.noteRegion(f)
	if len(r.errs) == before {
		r.addRegistry(reg)
	}
}

// noteRegion tells of a region that AWS does not seem to have. Another server
// may have any.
func (r *reader) noteRegion(m map[string]node) {
	region, given := m["region"]
	if _, elsewhere := m["endpoint"]; !given || elsewhere || region.Kind != lang.Text || badRegion(region.Text) != "" {
		return
	}
	if odd := oddRegion(region.Text); odd != "" {
		r.notef(state.Origin{Field: region.path.String(), Position: region.At}, CodeRegion, "%s", odd)
	}
}

func badProfile(s string) string {
	if n := utf8.RuneCountInString(s); n == 0 || n > fields.MaxProfile || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' }) {
		return fmt.Sprintf("want the name of a profile of the AWS configuration, 1 to %d characters", fields.MaxProfile)
	}
	return ""
}

// addRegistry keeps reg unless it is there already, by name or by place.
func (r *reader) addRegistry(reg registry) {
	for _, other := range r.registries {
		if other.Name == reg.Name {
			r.wrong(reg.name, "registry %q is given twice, first at %s", reg.Name, from(other.name.At, reg.name.At))
			return
		}
		if other.Registry == reg.Registry && other.Endpoint == reg.Endpoint {
			r.wrong(reg.entry, "account %s in region %s is registry %q at %s already", reg.Registry.Account, reg.Registry.Region, other.Name, from(other.entry.At, reg.entry.At))
			return
		}
	}
	r.registries = append(r.registries, reg)
}

// badRole says what is wrong with the ARN of a role that is to be used in
// region, "" when that is not known.
func badRole(s string, region ecr.Region) string {
	m := fields.RoleARN.FindStringSubmatch(s)
	switch {
	case m == nil || len(s) > fields.MaxARN:
		return fmt.Sprintf("%q is not the ARN of a role; want one such as arn:aws:iam::111111111111:role/deployer", lang.Clip(s))
	case region != "" && m[1] != region.Partition():
		return fmt.Sprintf("the role is in partition %s, but region %s is in %s", m[1], region, region.Partition())
	}
	return ""
}

func badExternalURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || badEndpoint(s) != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return fmt.Sprintf("%q is not an external URL; want http://HOST:PORT or https://HOST:PORT without a path, such as https://registry.example.com", lang.Clip(s))
	}
	return ""
}

func badEndpoint(s string) string {
	u, err := url.Parse(s)
	if err == nil && u.User != nil {
		return "an endpoint must not contain a user or password; credentials come from role_arn, profile or the environment"
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return fmt.Sprintf("%q is not an endpoint; want http:// or https:// with a host, and a port if needed, such as http://localhost:5050", lang.Clip(s))
	}
	return ""
}
