package signing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Service is the operations on signers and signatures. It is safe for concurrent use.
type Service struct {
	gate     *gate.Gate
	verifier *Verifier
	now      func() time.Time
}

// New returns a Service. now is the image clock.
func New(g *gate.Gate, v *Verifier, now func() time.Time) *Service { return &Service{g, v, now} }

// Caller is the operations in the name of one principal. It is safe for concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds the
// list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opPutSigner, opListSigners, opDeleteSigner, opImageSignatures, opImageSigningStatus,
	}
}

// Signer is a signer of a registry.
type Signer struct {
	trust.Signer
	CreatedAt, UpdatedAt time.Time
}

func settingsOf(s meta.Signer) (out trust.Signer, err error) {
	if err = json.Unmarshal(s.Settings, &out); err != nil {
		err = fmt.Errorf("reading the signer %s of %s: %w", s.Name, s.Registry, err)
	}
	return out, err
}

func invalid(err error) error {
	return ecr.Errorf(ecr.CodeInvalidParameter, "Invalid parameter at 'signer': %s", err)
}

var opPutSigner = gate.Op("PutSigner", "kontor:PutSigner")

// PutSigner stores a signer, in place of the one that has its name.
// Errors: InvalidParameter, LimitExceeded.
func (c *Caller) PutSigner(ctx context.Context, in ecr.RegistryID, s trust.Signer) (out Signer, err error) {
	settings, err := json.Marshal(s)
	if err != nil {
		return Signer{}, fmt.Errorf("encoding the signer %s: %w", s.Name, err)
	}
	now := c.s.now()
	err = c.gate.Change(ctx, opPutSigner, func(ctx context.Context, tx *gate.Tx) error {
		out = Signer{Signer: s, CreatedAt: now, UpdatedAt: now}
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if _, err := trust.Compile(s); err != nil {
			return invalid(err)
		}
		all, err := tx.Registries().Signers(ctx, in)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(m meta.Signer) bool { return m.Name == s.Name }); i >= 0 {
			out.CreatedAt = all[i].CreatedAt
		} else if len(all) >= MaxSigners {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The registry with id '%s' has %d signers, which is the most there can be. Remove one first.", in.Account, MaxSigners)
		}
		return tx.Registries().PutSigner(ctx, meta.Signer{Registry: in, Name: s.Name, CreatedAt: now, UpdatedAt: now, Settings: settings})
	})
	return out, err
}

var opListSigners = gate.Op("ListSigners", "kontor:ListSigners")

// ListSigners returns all signers in byte order of their names.
func (c *Caller) ListSigners(ctx context.Context, in ecr.RegistryID) (list []Signer, err error) {
	err = c.gate.Read(ctx, opListSigners, func(ctx context.Context, v *gate.View) error {
		list = nil
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		all, err := v.Registries().Signers(ctx, in)
		for _, m := range all {
			s, err := settingsOf(m)
			if err != nil {
				return err
			}
			list = append(list, Signer{s, m.CreatedAt, m.UpdatedAt})
		}
		return err
	})
	return list, err
}

var opDeleteSigner = gate.Op("DeleteSigner", "kontor:DeleteSigner")

// DeleteSigner removes a signer. Policies may still name it; then no image has its
// signature. Errors: InvalidParameter, for a signer that is not there.
func (c *Caller) DeleteSigner(ctx context.Context, in ecr.RegistryID, name string) error {
	return c.gate.Change(ctx, opDeleteSigner, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		err := tx.Registries().DeleteSigner(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			return invalid(fmt.Errorf("the registry with id '%s' has no signer '%s'", in.Account, name))
		}
		return err
	})
}

// Report is what signatures an image has.
type Report struct {
	Image ecr.Digest
	// SignedBy are the values of kontor:SignedBy.
	SignedBy []string
	// Trusted are the names of the signers that are trusted in the repository.
	Trusted []string
	// Signatures are all that were found, by each signer that can have made them.
	Signatures []Signature
	// made are those of signing profiles, or their want.
	made []meta.Signing
}

var opImageSignatures = gate.Op("ImageSignatures", "ecr:DescribeImageSigningStatus")

// ImageSignatures verifies the signatures of an image. Errors: RepositoryNotFound,
// ImageNotFound.
func (c *Caller) ImageSignatures(ctx context.Context, at ecr.Repo, id ecr.ImageID) (Report, error) {
	return c.report(ctx, opImageSignatures, at, id)
}

func (c *Caller) report(ctx context.Context, op gate.Operation, at ecr.Repo, id ecr.ImageID) (out Report, err error) {
	err = c.gate.Read(ctx, op, func(ctx context.Context, v *gate.View) error {
		out = Report{}
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		if err := registry.FindImage(ctx, v, at, s.Row.ID, id); err != nil {
			return err
		}
		m, err := v.FindImage(ctx, s.Row.ID, id)
		if err != nil {
			return err
		}
		signers, err := c.s.verifier.trusted(ctx, v.Registries(), at)
		if err != nil {
			return err
		}
		kinds := map[string]*trust.Verifier{}
		for _, t := range signers {
			out.Trusted = append(out.Trusted, t.Name)
			kinds[t.Name] = t
		}
		all, err := c.s.verifier.signatures(ctx, v, at, m)
		if err != nil {
			return err
		}
		if out.made, err = v.Registries().Signings().Signings(ctx, s.Row.ID, m.Image.Digest); err != nil {
			return err
		}
		out.Image, out.SignedBy = m.Image.Digest, Names(all)
		out.Signatures = slices.DeleteFunc(all, func(g Signature) bool { return !kinds[g.Signer].Takes(g.Form) })
		return nil
	})
	return out, err
}

// Status is what became of the signature of an image by a signer or a signing profile.
type Status struct {
	ARN   string
	State ecr.SigningStatus
	// Code and Reason say why the image has no signature that counts, with SigningFailed.
	Code, Reason string
}

// codeRefused is the Code of signatures that were not accepted. AWS has no list of them.
const codeRefused = "SignatureNotTrusted"

var opImageSigningStatus = gate.Op("ImageSigningStatus", "ecr:DescribeImageSigningStatus")

// ImageSigningStatus returns a status of each signing profile that signs the image, or
// was to, and of each signer that is trusted in the repository and whose signature the
// image has, or seems to have: one that was refused. Signers of whom it has none are left
// out. It is in byte order of the ARNs. Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) ImageSigningStatus(ctx context.Context, at ecr.Repo, id ecr.ImageID) ([]Status, error) {
	r, err := c.report(ctx, opImageSigningStatus, at, id)
	if err != nil {
		return nil, err
	}
	statuses := []Status{}
	for _, m := range r.made {
		s := Status{ARN: m.Profile, State: m.Status}
		if m.Status == ecr.SigningFailed {
			s.Code, s.Reason = m.Code, m.Reason
		}
		statuses = append(statuses, s)
	}
	for _, name := range r.Trusted {
		s := Status{ARN: trust.ARN(at.In, name), State: ecr.SigningFailed, Code: codeRefused}
		// Of a profile and a signer of one name, the profile counts.
		if slices.ContainsFunc(statuses, func(of Status) bool { return of.ARN == s.ARN }) {
			continue
		}
		there := false
		for _, g := range r.Signatures {
			if g.Signer != name {
				continue
			}
			there = true
			if s.Reason = g.Refused; g.Refused == "" {
				s.State, s.Code = ecr.SigningComplete, ""
				break
			}
		}
		if there {
			statuses = append(statuses, s)
		}
	}
	slices.SortFunc(statuses, func(a, b Status) int { return strings.Compare(a.ARN, b.ARN) })
	return statuses, nil
}
