package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Where says in which repositories a signer is trusted.
func Where(patterns []string) string {
	if len(patterns) == 0 {
		return "all repositories"
	}
	return clean(strings.Join(patterns, ", "))
}

// Signers writes the signers of a registry.
func Signers(w io.Writer, signers []admin.Signer, o Options) error {
	p := newPrinter(o)
	if len(signers) == 0 {
		p.linef(plain, "There are no signers.")
	}
	for _, s := range signers {
		p.linef(plain, "%s  trusted in %s", clean(s.Name), Where(s.Repositories))
		switch {
		case s.Keyless != nil:
			p.linef(faint, "    identity %s of %s", clean(s.Keyless.Identity), clean(s.Keyless.Issuer))
		case s.Key != "":
			p.linef(faint, "    public key")
		case s.Subject != "":
			p.linef(faint, "    certificates with the subject %s", clean(s.Subject))
		default:
			p.linef(faint, "    certificates")
		}
		p.linef(faint, "    stored %s", words.Moment(s.UpdatedAt))
	}
	return p.flush(w)
}

// Signatures writes who signed an image, and why other signatures are refused.
func Signatures(w io.Writer, image string, r admin.ListImageSignaturesResponse, o Options) error {
	p := newPrinter(o)
	switch {
	case len(r.SignedBy) > 0:
		p.linef(plain, "%s is signed by %s", clean(image), clean(strings.Join(r.SignedBy, ", ")))
	case len(r.Trusted) == 0:
		p.linef(plain, "%s: no signer is trusted in this repository; kontor signers put adds one", clean(image))
	case len(r.Signatures) == 0:
		p.linef(plain, "%s has no signature; trusted here: %s", clean(image), clean(strings.Join(r.Trusted, ", ")))
	default:
		p.linef(plain, "%s is not signed by a trusted signer; trusted here: %s", clean(image), clean(strings.Join(r.Trusted, ", ")))
	}
	p.linef(faint, "    %s", clean(r.ImageDigest))
	for _, g := range r.Signatures {
		if g.Accepted {
			p.linef(plain, "accepted  %s  %s, %s", clean(g.Signer), clean(g.Form), clean(g.As))
		} else {
			p.linef(plain, "refused   %s  %s: %s", clean(g.Signer), clean(g.Form), clean(g.Reason))
		}
		if g.Of != r.ImageDigest {
			p.linef(faint, "    it signs %s", clean(g.Of))
		}
		p.linef(faint, "    in %s", clean(g.Manifest))
		if !g.Until.IsZero() {
			p.linef(faint, "    until %s", words.Moment(g.Until))
		}
	}
	return p.flush(w)
}
