package spec

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/signing/trust"
)

// signer is an entry of signers.
type signer struct {
	state.Signer
	registries setting[[]node]
}

// signerMap reads signers.
func (r *reader) signerMap(n node) {
	if r.signerNames == nil {
		r.signerNames = map[string]state.Position{}
	}
	if n.Kind != lang.Mapping {
		r.wrong(n, "want a mapping from names to signers, not %s", n)
		return
	}
	for _, m := range n.Members {
		item := node{m.Value, n.path.At(m.Key), m.At}
		if err := trust.CheckName(m.Key); err != nil {
			r.errorf(m.At, n.path, "%q is not a name: %s", lang.Clip(m.Key), err)
			continue
		}
		if first, twice := r.signerNames[m.Key]; twice {
			r.errorf(m.At, item.path, "given twice, first at %s", from(first, m.At))
			continue
		}
		r.signerNames[m.Key] = m.At
		r.signers = append(r.signers, r.signer(m.Key, item))
	}
}

func (r *reader) signer(name string, n node) signer {
	before := len(r.errs)
	s := signer{}
	s.Name, s.Origin = name, n.origin()
	m := r.object(n, "signers")
	any := func(string) string { return "" }
	for field, to := range map[string]*string{
		"key": &s.Key, "identity": &s.Identity, "issuer": &s.Issuer, "trusted_root": &s.TrustedRoot, "certificates": &s.Certificates, "subject": &s.Subject,
	} {
		if v, ok := m[field]; ok {
			*to = r.checked(v, any)
		}
	}
	if v, ok := m["repositories"]; ok {
		s.Repositories = r.texts(v, "patterns of repository names", any)
	}
	if v, ok := m["removed"]; ok {
		s.Removed, _ = r.boolean(v)
	}
	if v, ok := m["registries"]; ok {
		s.registries = given(r.registryNames(v), v)
	}
	if s.Removed || len(r.errs) > before {
		return s // it is not trusted, and may be its name only
	}
	if _, err := trust.Compile(trusted(s.Signer)); err != nil {
		r.wrong(n, "%s", err)
	}
	return s
}

// trusted is s as it is trusted.
func trusted(s state.Signer) trust.Signer {
	out := trust.Signer{Name: s.Name, Repositories: s.Repositories, Key: s.Key, Certificates: s.Certificates, Subject: s.Subject}
	if s.Identity != "" || s.Issuer != "" || s.TrustedRoot != "" {
		out.Keyless = &trust.Keyless{Issuer: s.Issuer, Identity: s.Identity, TrustedRoot: s.TrustedRoot}
	}
	return out
}

// Trusted are the signers of the file by their names, but for those that are removed.
func (f *File) Trusted() map[string]*trust.Verifier {
	out := map[string]*trust.Verifier{}
	for _, s := range f.signers {
		if v, err := trust.Compile(trusted(s.Signer)); !s.Removed && err == nil { // the file was checked
			out[s.Name] = v
		}
	}
	return out
}

// in are the targets that have s.
func (s signer) in(targets []state.Target) []state.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t state.Target) bool {
		return !t.Local && s.registries.given && !slices.ContainsFunc(s.registries.value, func(n node) bool { return n.Text == t.Name })
	})
}

func byName(a, b signer) int { return strings.Compare(a.Name, b.Name) }
