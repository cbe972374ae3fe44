package plan

import (
	"errors"
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
type SignerChange struct {
	Name        string       `json:"name"`
	Op          Op           `json:"op"`
	Before      *Signer      `json:"before,omitempty"`
	After       *Signer      `json:"after,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	Effect      string       `json:"effect,omitempty"`
}

// The findings about signers.
const (
	// CodeSigners: the signers of the registry are not known, or it cannot have any.
	CodeSigners Code = "KON2021"
)

func signerOf(s state.Signer) Signer {
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

func (s Signer) equal(other Signer) bool {
	return len(signerDifferences(s, other)) == 0
}

func signerDifferences(a, b Signer) (list []Difference) {
	if !slices.Equal(a.Repositories, b.Repositories) {
		list = append(list, Difference{Field: FieldRepositories, Action: Modify})
	}
	if a.Key != b.Key || a.Identity != b.Identity || a.Issuer != b.Issuer || a.TrustedRoot != b.TrustedRoot || a.Certificates != b.Certificates || a.Subject != b.Subject {
		list = append(list, Difference{Field: FieldKnownBy, Action: Modify})
	}
	return list
}

// diffSigners plans the signers. Nothing says whose a signer is: those are changed that
// the file names.
func diffSigners(desired state.Desired, observed state.Observed, o Options) (changes []SignerChange, findings []Finding) {
	if len(desired.Wanted.Signers) == 0 {
		return nil, nil
	}
	if observed.Settings.Signers == nil {
		f := Finding{Code: CodeSigners, Severity: Error, Field: "signers", Message: "the signers of the file cannot be compared: " + observed.Settings.NoSigners}
		if o.End == Everything {
			f.Severity = Warning // there is nothing to delete
		}
		return nil, []Finding{f}
	}
	for _, want := range desired.Wanted.Signers {
		have, exists := observed.Settings.Signers[want.Name]
		before, after := signerOf(have), signerOf(want)
		c := SignerChange{Name: want.Name, Op: OpNone}
		switch gone := want.Removed || o.End == Everything; {
		case gone && !exists:
			continue
		case gone:
			c = SignerChange{Name: want.Name, Op: OpDelete, Before: &before, Effect: fmt.Sprintf(
				"no image would count as signed by %s; policies that ask for it deny their pulls (signers have no owner: other files may name it)", want.Name)}
		case !exists:
			c = SignerChange{Name: want.Name, Op: OpCreate, After: &after, Effect: trusts(want.Name, after)}
		default:
			if list := signerDifferences(before, after); len(list) > 0 {
				c = SignerChange{Name: want.Name, Op: OpUpdate, Before: &before, After: &after, Differences: list, Effect: trusts(want.Name, after)}
			}
		}
		changes = append(changes, c)
	}
	return changes, findings
}

func trusts(name string, s Signer) string {
	return fmt.Sprintf("in %s, images with a signature of the %s would count as signed by %s, and no others", s.Where(), s.Known(), name)
}

// Moved is TemplateChange.Moved for a signer.
func (c SignerChange) Moved(have state.Signer, exists bool) string {
	now := signerOf(have)
	return moved("the signer "+c.Name, c.Before, c.After, &now, exists, c.Op == OpDelete, func(a, b *Signer) bool { return a.equal(*b) })
}

// done is TemplateChange.done for a signer.
func (c SignerChange) done(have state.Signer, exists bool) bool {
	return exists && c.After != nil && c.After.equal(signerOf(have))
}

// staleSigners is staleSettings for signers.
func (p Plan) staleSigners(desired state.Desired, observed state.Observed) (out []string) {
	changes, _ := diffSigners(desired, observed, Options{End: p.End})
	planned := map[string]SignerChange{}
	for _, c := range p.Signers {
		planned[c.Name] = c
	}
	for _, c := range changes {
		was, ok := planned[c.Name]
		delete(planned, c.Name)
		have, exists := observed.Settings.Signers[c.Name]
		out = append(out, staleSetting("the signer "+c.Name, ok, was.Op, c.Op, was.After, c.After, was.done(have, exists), func() string { return was.Moved(have, exists) })...)
	}
	for name, was := range planned {
		if _, exists := observed.Settings.Signers[name]; was.Op == OpDelete && !exists {
			continue
		}
		out = append(out, fmt.Sprintf("the signer %s left the file since the plan was made", name))
	}
	return out
}

func (c SignerChange) check() error {
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpUpdate:
		return sides(c.Op, c.Before, c.After)
	case OpDelete:
		if c.Before == nil || c.After != nil {
			return errors.New("a deletion without what was there")
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", c.Op)
}

// PendingSigners is PendingTemplates for signers.
func (p Plan) PendingSigners() []SignerChange {
	return slices.DeleteFunc(slices.Clone(p.Signers), func(c SignerChange) bool { return c.Op == OpNone })
}
