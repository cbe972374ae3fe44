package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// promotion reads an entry of promotions.
func (r *reader) promotion(n node) {
	before := len(r.errs)
	m := r.object(n, "promotions")
	if m == nil {
		if n.Kind == lang.Null {
			r.wrong(n, "want a mapping with the fields name, from and to, but the entry is empty")
		}
		return
	}
	if len(r.errs) == before {
		r.need(n, m, "a promotion", "name", "from", "to")
	}
	t := state.Promotion{Repositories: every, Tags: every, Record: true, Origin: n.origin()}
	t.Name = r.checked(m["name"], func(s string) string {
		if !fields.RegistryName.MatchString(s) {
			return strconv.Quote(lang.Clip(s)) + " is not a promotion's name: want 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
		}
		return ""
	})
	for _, other := range r.promotions {
		if t.Name != "" && other.Name == t.Name {
			r.wrong(m["name"], "promotion %q is given twice, first at %s", t.Name, from(other.Origin.Position, n.At))
		}
	}
	prefixed := false
	if v, ok := m["from"]; ok {
		if _, ok = r.text(v); ok {
			t.From = r.place(v)
			prefixed = t.From.Prefix != ""
		}
	}
	if v, ok := m["to"]; ok {
		for _, item := range r.registryNames(v) {
			to := r.place(item)
			if to == t.From && to.Registry != "" {
				r.wrong(item, "%s is already the registry in from", lang.Clip(to.String()))
			}
			t.To = append(t.To, to)
			prefixed = prefixed || to.Prefix != ""
		}
	}
	if v, ok := m["repositories"]; ok {
		named := len(r.named)
		t.Repositories = r.globs(v)
		if prefixed {
			r.named = r.named[:named] // they are parts of names
		}
	}
	if v, ok := m["tags"]; ok {
		t.Tags = r.tagPatterns(v)
	}
	if v, ok := m["newest"]; ok {
		t.Newest, _ = r.number(v, "image")
	}
	if v, ok := m["move"]; ok {
		t.Move = r.tagPatterns(v)
	}
	if v, ok := m["record"]; ok {
		t.Record, _ = r.boolean(v)
	}
	if v, ok := m["require"]; ok {
		t.Require = r.requirements(v)
	}
	r.promotions = append(r.promotions, t)
}

// place reads a registry, or a part of one: "prod", "prod/mirror",
// "docker.io/library".
func (r *reader) place(n node) state.Place {
	registry, prefix, cut := strings.Cut(n.Text, "/")
	if !fields.Place.MatchString(n.Text) {
		r.wrong(n, "%q is not a registry; want the name of one of registries, one with the first part of its repositories' names such as prod/mirror, or a host with that part such as docker.io/library", lang.Clip(n.Text))
		return state.Place{}
	}
	if !cut || !strings.ContainsAny(registry, ".:") && registry != "localhost" {
		r.routed = append(r.routed, node{&lang.Value{Kind: lang.Text, At: n.At, Text: registry}, n.path, n.key})
	}
	return state.Place{Registry: registry, Prefix: prefix}
}

func (r *reader) tagPatterns(n node) []string {
	out := []string{}
	for _, p := range r.patterns(n) {
		out = append(out, p.text)
	}
	return out
}

// requirements reads the conditions of a promotion.
func (r *reader) requirements(n node) (q state.Requirements) {
	m := r.object(n, "promotions.require")
	if v, ok := m["platforms"]; ok {
		q.Platforms = r.texts(v, "platforms such as linux/arm64", func(s string) string {
			if !fields.Platform.MatchString(s) {
				return strconv.Quote(lang.Clip(s)) + " is not a platform: want OS/ARCHITECTURE, such as linux/arm64 or linux/arm/v7"
			}
			return ""
		})
	}
	if v, ok := m["referrers"]; ok {
		q.Referrers = r.texts(v, "artifact types", func(s string) string {
			if !fields.ArtifactType.MatchString(s) {
				return strconv.Quote(lang.Clip(s)) + " is not an artifact type: want one such as application/spdx+json"
			}
			return ""
		})
	}
	if v, ok := m["signature"]; ok {
		q.Signature, _ = r.boolean(v)
	}
	if v, ok := m["sbom"]; ok {
		q.SBOM, _ = r.boolean(v)
	}
	if v, ok := m["min_age_hours"]; ok {
		q.MinAgeHours, ok = r.number(v, "hour")
		if ok && q.MinAgeHours > fields.MaxAgeHours {
			r.wrong(v, "want at most %d hours, not %s", fields.MaxAgeHours, lang.Clip(v.Text))
		}
	}
	if v, ok := m["signed_by"]; ok {
		q.SignedBy = r.texts(v, "names of signers", func(s string) string {
			if !fields.SignerName.MatchString(s) {
				return strconv.Quote(lang.Clip(s)) + " is not the name of a signer: want 2 to 64 letters, digits and underscores"
			}
			return ""
		})
	}
	if v, ok := m["scanned"]; ok {
		q.Scanned, _ = r.boolean(v)
	}
	if v, ok := m["max_severity"]; ok {
		q.MaxSeverity = ecr.Severity(r.checked(v, func(s string) string {
			if !slices.Contains(fields.Severities, s) {
				return strconv.Quote(lang.Clip(s)) + " is not a severity; want one of " + strings.Join(fields.Severities, ", ")
			}
			return ""
		}))
	}
	if v, ok := m["verify"]; ok {
		q.Verify = r.texts(v, "the command and its arguments, each a string", func(string) string { return "" })
		if v.Kind == lang.List && (len(v.Items) == 0 || len(q.Verify) > 0 && q.Verify[0] == "") {
			r.wrong(v, `the command is missing; want one such as ["cosign", "verify", "--key", "cosign.pub", "{image}"]`)
		}
		if v.Kind == lang.List && len(v.Items) > 0 && !slices.ContainsFunc(q.Verify, func(s string) bool { return strings.Contains(s, "{image}") }) {
			r.wrong(v, "the command does not name the image; write {image} where it goes")
		}
	}
	return q
}

// texts reads a list of strings in which check finds nothing wrong.
func (r *reader) texts(n node, what string, check func(string) string) []string {
	out := []string{}
	for _, item := range r.list(n, what) {
		out = append(out, r.checked(item, check))
	}
	return out
}
