package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// SigningProfiles writes the keys that a registry signs images with.
func SigningProfiles(w io.Writer, r admin.ListSigningProfilesResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Profiles) == 0 {
		p.linef(plain, "There are no signing profiles.")
	}
	for _, s := range r.Profiles {
		p.linef(plain, "%s  valid until %s", clean(s.Name), words.Moment(s.NotAfter))
		p.linef(faint, "    %s", clean(s.ARN))
		p.linef(faint, "    certificate of %s", clean(s.Subject))
		p.linef(faint, "    stored %s", words.Moment(s.UpdatedAt))
	}
	return p.flush(w)
}

// SigningRule is a rule of a signing configuration.
type SigningRule struct {
	Profile  string   `json:"signingProfileArn"`
	Patterns []string `json:"repositories,omitzero"` // none for all
}

// SigningRules writes what a registry signs.
func SigningRules(w io.Writer, rules []SigningRule, o Options) error {
	p := newPrinter(o)
	if len(rules) == 0 {
		p.linef(plain, "Nothing is signed.")
	}
	for _, r := range rules {
		_, name, _ := strings.Cut(r.Profile, ":/signing-profiles/")
		p.linef(plain, "%s signs %s", clean(name), Where(r.Patterns))
	}
	if len(rules) > 0 {
		p.linef(faint, "It signs for those who may: a push without signer:SignPayload on the profile goes on unsigned.")
	}
	return p.flush(w)
}
