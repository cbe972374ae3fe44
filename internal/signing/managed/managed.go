// Package managed signs images that are pushed: ECR's managed signing, with keys of the
// registry in place of AWS Signer's.
//
// A signing profile is a key with its certificates, which an administrator brings or has
// made. The registry's signing configuration says which profiles sign what is pushed to
// which repositories. A push that matches leaves a row for each profile in its own
// transaction; the job of any replica takes it from there (package jobs), makes the
// signature, and stores it as notation does: an artifact whose subject is the image.
//
// It guarantees:
//   - an image has at most one signature of this package for each profile, however often
//     the job is killed or taken over: the signature and the note that it was made are one
//     transaction;
//   - nothing is signed for a principal who may not sign with the profile: it needs
//     signer:SignPayload, as on ECR;
//   - what is signed is what is stored: type, size and digest of the manifest;
//   - a key leaves the database sealed, and this package not at all.
//
// Left out: signing what was there before the configuration, time stamps, and
// verification, which package signing does.
//
// Sources: ECR user guide, "Managed signing"; Notary Project, "Signature Specification";
// docs/design/0046.
package managed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config is what a Service is made of.
type Config struct {
	Gate     *gate.Gate         // required
	Registry *registry.Registry // required
	// Key seals the keys of profiles. Required.
	Key identity.MasterKey
	// Now is the time by which certificates expire. Required.
	Now func() time.Time
	// Observer is told what happens; may be nil.
	Observer Observer
	Log      *slog.Logger // required
}

// Observer counts. It is called by many at once, and must not wait.
type Observer interface {
	// Signed is called for each time that an image was to be signed: "complete",
	// "failed", or "retried" for a failure after which it is tried again.
	Signed(outcome string)
	// SigningQueue is called every few seconds with how many signatures are to be made.
	SigningQueue(waiting int)
}

const (
	// actor is who stores signatures, in the audit log.
	actor = "image signing"
	// signPayload is what whoever pushes needs on a profile. Source: ECR user guide,
	// "Managed signing".
	signPayload = "signer:SignPayload"
	// attempts is how often a signature is tried that fails for want of the stores;
	// firstPause and longestPause are how long it waits after a failure.
	attempts     = 20
	firstPause   = 2 * time.Second
	longestPause = 15 * time.Minute
)

// Codes of signatures that failed. AWS has no list of them.
const (
	codeDenied   = "AccessDenied"
	codeProfile  = "SigningProfileNotFound"
	codeKey      = "SigningProfileUnusable"
	codeInternal = "InternalFailure"
)

// Service signs. It is safe for concurrent use.
type Service struct {
	cfg  Config
	wake chan struct{}
	used atomic.Bool // a push here was to be signed
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg, wake: make(chan struct{}, 1)} }

// Caller is the operations in the name of one principal. It is safe for concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds the
// list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opCreateProfile, opProfiles, opDeleteProfile,
		opSigningConfiguration, opPutSigningConfiguration, opDeleteSigningConfiguration,
	}
}

// Pushed is registry.Config.Pushed: it has an image signed by the profiles that the
// signing configuration names for its repository. One that was signed is not signed again
// as long as its signature is there; one that failed is tried again.
func (s *Service) Pushed(ctx context.Context, tx *gate.Tx, scene gate.Scene, p registry.Pushed) error {
	if tx.Principal().System != "" {
		return nil // ECR signs with the identity of who pushes
	}
	c, ok, err := ConfigurationOf(scene.Settings)
	if err != nil || !ok {
		return err
	}
	profiles := c.profiles(scene.At.Name)
	if len(profiles) == 0 {
		return nil
	}
	row, err := tx.StatManifest(ctx, scene.Row.ID, p.Digest)
	if err != nil {
		return err
	}
	if signing.IsSignature(row.Image.ArtifactMediaType, append(p.Tags, row.Image.Tags...)) {
		return nil
	}
	known, err := tx.Registries().Signings().Signings(ctx, scene.Row.ID, p.Digest)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	for _, arn := range profiles {
		done, err := isSigned(ctx, tx, scene.Row.ID, known, arn)
		if err != nil {
			return err
		}
		if done {
			continue
		}
		job := meta.Signing{Repository: scene.Row.ID, Digest: p.Digest, Profile: arn, Status: ecr.SigningInProgress, AskedAt: now, DueAt: now}
		if err := tx.Ask(authz.Request{Action: signPayload, Resource: arn, Owner: scene.At.In.Account, Region: scene.At.In.Region}); err != nil {
			if ecr.CodeOf(err) != ecr.CodeAccessDenied {
				return err
			}
			// The push goes on: ECR shows the failure in DescribeImageSigningStatus.
			job.Status, job.Code, job.Reason = ecr.SigningFailed, codeDenied, fmt.Sprintf("%s may not perform %s on %s. Allow it and push the image again.", tx.Principal().ARN, signPayload, arn)
			s.observe("failed")
		}
		s.used.Store(true)
		if err := tx.Registries().SigningWriter().PutSigning(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

// isSigned reports whether a profile has signed an image, or is about to.
func isSigned(ctx context.Context, tx *gate.Tx, repo meta.RepositoryID, known []meta.Signing, arn string) (bool, error) {
	for _, k := range known {
		switch {
		case k.Profile != arn:
		case k.Status == ecr.SigningInProgress:
			return true, nil
		case k.Status == ecr.SigningComplete:
			_, err := tx.StatManifest(ctx, repo, k.Signature)
			if errors.Is(err, meta.ErrNotFound) {
				return false, nil // it was deleted
			}
			return err == nil, err
		}
	}
	return false, nil
}

// Stored is registry.Config.Stored: something may wait, unless no push ever was to be
// signed.
func (s *Service) Stored() {
	if !s.used.Load() {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it was told and has not looked yet
	}
}

// Wake is sent to when there may be something to sign.
func (s *Service) Wake() <-chan struct{} { return s.wake }

func (s *Service) observe(outcome string) {
	if s.cfg.Observer != nil {
		s.cfg.Observer.Signed(outcome)
	}
}

// Observe tells the observer how much waits.
func (s *Service) Observe(ctx context.Context) {
	if s.cfg.Observer == nil {
		return
	}
	n := 0
	err := s.cfg.Gate.System(actor).Read(ctx, gate.Op("SigningQueue"), func(ctx context.Context, v *gate.View) (err error) {
		n, err = v.Registries().Signings().CountSignings(ctx)
		return err
	})
	if err == nil {
		s.cfg.Observer.SigningQueue(n)
	}
}

// Configuration says which profiles sign what is pushed. Source: ECR API reference,
// SigningConfiguration.
type Configuration struct {
	Rules []Rule `json:"rules"`
}

// Rule has a profile sign the images of the repositories that one of Filters matches, or
// of all without a filter.
type Rule struct {
	Profile string   `json:"profile"`           // ARN
	Filters []string `json:"filters,omitempty"` // * stands for any characters
}

// setting is where a registry's settings hold a Configuration: the decision about a push
// reads the settings, so a registry without one pays nothing.
const setting = "signingConfiguration"

// ConfigurationOf reads the configuration out of the settings of a registry. ok is false
// where there is none.
func ConfigurationOf(s meta.RegistrySettings) (c Configuration, ok bool, err error) {
	text := s.Settings[setting]
	if text == "" {
		return c, false, nil
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, false, fmt.Errorf("reading the signing configuration: %w", err)
	}
	return c, true, nil
}

// profiles are those that sign images of a repository, in the order of the rules, each
// once.
func (c Configuration) profiles(name ecr.RepositoryName) (arns []string) {
	seen := map[string]bool{}
	for _, r := range c.Rules {
		matches := len(r.Filters) == 0
		for _, f := range r.Filters {
			matches = matches || ecr.MatchWildcard(f, string(name))
		}
		if matches && !seen[r.Profile] {
			seen[r.Profile] = true
			arns = append(arns, r.Profile)
		}
	}
	return arns
}

// ProfileName takes the name out of the ARN of a profile of a registry; ok is false for
// an ARN of something else.
func ProfileName(in ecr.RegistryID, arn string) (name string, ok bool) {
	name, ok = strings.CutPrefix(arn, trust.ARN(in, ""))
	return name, ok && name != ""
}
