package plan

import (
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Fields of signers.
const (
	FieldRepositories Field = "repositories"
	FieldKnownBy      Field = "known_by"
)

// Signer is someone whose signatures of images are trusted.
type Signer struct {
	Repositories []string `json:"repositories,omitempty"`
	Key          string   `json:"key,omitempty"`
	Identity     string   `json:"identity,omitempty"`
	Issuer       string   `json:"issuer,omitempty"`
	TrustedRoot  string   `json:"trusted_root,omitempty"`
	Certificates string   `json:"certificates,omitempty"`
	Subject      string   `json:"subject,omitempty"`
}

// SignerChange is one signer's part of a plan.
type SignerChange = NamedChange[Signer]

// The findings about signers.
const (
	// CodeSigners: the signers of the registry are not known, or it cannot have any.
	CodeSigners Code = "KON2021"
)

// SignerOf is s as plans have it.
func SignerOf(s state.Signer) Signer {
	return Signer{slices.Clone(s.Repositories), s.Key, s.Identity, s.Issuer, s.TrustedRoot, s.Certificates, s.Subject}
}

// State is s as a registry has it.
func (s Signer) State(name string) state.Signer {
	return state.Signer{Name: name, Repositories: s.Repositories, Key: s.Key, Identity: s.Identity, Issuer: s.Issuer,
		TrustedRoot: s.TrustedRoot, Certificates: s.Certificates, Subject: s.Subject}
}

// Where is what the repositories of s mean in a word, and Known what it is known by.
func (s Signer) Where() string { return s.State("").Where() }

// Known is state.Signer.Known.
func (s Signer) Known() string { return s.State("").Known() }

func (s Signer) differences(b Signer) (list []Difference) {
	if !slices.Equal(s.Repositories, b.Repositories) {
		list = append(list, Difference{Field: FieldRepositories, Action: Modify})
	}
	if s.Key != b.Key || s.Identity != b.Identity || s.Issuer != b.Issuer || s.TrustedRoot != b.TrustedRoot || s.Certificates != b.Certificates || s.Subject != b.Subject {
		list = append(list, Difference{Field: FieldKnownBy, Action: Modify})
	}
	return list
}

func (Signer) kind() string { return "signer" }

func (s Signer) sets(name string) string {
	return fmt.Sprintf("in %s, images with a signature of the %s would count as signed by %s, and no others", s.Where(), s.Known(), name)
}

func (Signer) ends(name string) string {
	return fmt.Sprintf("no image would count as signed by %s; policies that ask for it deny their pulls (signers have no owner: other files may name it)", name)
}

// diffSigners plans the signers.
func diffSigners(desired state.Desired, observed state.Observed, o Options) (changes []SignerChange, findings []Finding) {
	if len(desired.Wanted.Signers) == 0 {
		return nil, nil
	}
	if observed.Settings.Signers == nil {
		return nil, unknownNamed(CodeSigners, "signers", "signers", observed.Settings.NoSigners, o.End)
	}
	var want []namedWish[Signer]
	for _, s := range desired.Wanted.Signers {
		want = append(want, namedWish[Signer]{s.Name, SignerOf(s), s.Removed})
	}
	return diffNamed(want, byNames(observed.Settings.Signers, SignerOf), o.End), nil
}

// PendingSigners is PendingTemplates for signers.
func (p Plan) PendingSigners() []SignerChange { return pendingNamed(p.Signers) }
