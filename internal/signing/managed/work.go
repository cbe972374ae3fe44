package managed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opSignImage = gate.Op("SignImage")

// Due reports whether a signature is to be made now, or that is not known.
func (s *Service) Due(ctx context.Context) bool {
	err := s.cfg.Gate.System(actor).Read(ctx, opSignImage, func(ctx context.Context, v *gate.View) error {
		_, _, err := v.Registries().Signings().DueSigning(ctx, s.cfg.Now())
		return err
	})
	return !errors.Is(err, meta.ErrNotFound)
}

// Run signs what is due, one after the other, until there is nothing, and returns how many
// signatures were made. Only one process at a time may run it: the jobs see to that, with
// a lease that ctx is fenced with.
func (s *Service) Run(ctx context.Context) (n int, err error) {
	for ctx.Err() == nil {
		var job meta.Signing
		var repo meta.Repository
		err := s.cfg.Gate.System(actor).Read(ctx, opSignImage, func(ctx context.Context, v *gate.View) (err error) {
			job, repo, err = v.Registries().Signings().DueSigning(ctx, s.cfg.Now())
			return err
		})
		if errors.Is(err, meta.ErrNotFound) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		made, err := s.do(ctx, repo.Registry.Repo(repo.Name), job)
		if err != nil {
			return n, err
		}
		if made {
			n++
		}
	}
	return n, ctx.Err()
}

// failure is why there will be no signature until something is changed.
type failure struct {
	code string
	err  error
}

func (f failure) Error() string { return f.err.Error() }

// do makes one signature, or takes note why there is none. Its error is one after which
// other signatures cannot be made either.
func (s *Service) do(ctx context.Context, at ecr.Repo, job meta.Signing) (made bool, err error) {
	err = s.sign(ctx, at, job)
	var final failure
	switch {
	case err == nil:
		s.observe("complete")
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, meta.ErrConflict), errors.Is(err, meta.ErrNotFound), ecr.CodeOf(err) == ecr.CodeRepositoryNotFound:
		// The image went, and the row with it; or another one has made the signature.
		if s.gone(ctx, job) {
			return false, nil
		}
		job.Code = codeInternal
	case errors.As(err, &final):
		job.Code = final.code
	default:
		job.Code = codeInternal
	}
	job.Reason = oneLine(err)
	job.Attempts++
	outcome := "retried"
	if job.Code != codeInternal || job.Attempts >= attempts {
		outcome, job.Status = "failed", ecr.SigningFailed
	} else {
		job.DueAt = s.cfg.Now().Add(min(firstPause<<(job.Attempts-1), longestPause))
	}
	s.cfg.Log.WarnContext(ctx, "image not signed", "repository", at.ARN(), "digest", job.Digest, "profile", job.Profile, "attempt", job.Attempts, "outcome", outcome, "error", job.Reason)
	s.observe(outcome)
	err = s.cfg.Gate.System(actor).Change(ctx, opSignImage, func(ctx context.Context, tx *gate.Tx) error {
		return tx.Registries().SigningWriter().EndSigning(ctx, job)
	})
	if errors.Is(err, meta.ErrConflict) {
		return false, nil
	}
	return false, err
}

// gone reports whether there is nothing to be done for a job.
func (s *Service) gone(ctx context.Context, job meta.Signing) bool {
	waits := false
	err := s.cfg.Gate.System(actor).Read(ctx, opSignImage, func(ctx context.Context, v *gate.View) error {
		all, err := v.Registries().Signings().Signings(ctx, job.Repository, job.Digest)
		waits = false
		for _, k := range all {
			waits = waits || k.Profile == job.Profile && k.Status == ecr.SigningInProgress && k.AskedAt.Equal(job.AskedAt)
		}
		return err
	})
	return err == nil && !waits
}

// maxReason bounds what is told of a failure, in bytes.
const maxReason = 1 << 10

func oneLine(err error) string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\x00", " ")), " "), "")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason-3], "") + "..."
	}
	return text
}

// sign makes the signature of a job, and stores it with the note that it was made.
func (s *Service) sign(ctx context.Context, at ecr.Repo, job meta.Signing) error {
	name, ok := ProfileName(at.In, job.Profile)
	if !ok {
		return failure{codeProfile, errors.New("the signing profile is not one of the registry")}
	}
	var profile meta.SigningProfile
	var image meta.Manifest
	err := s.cfg.Gate.System(actor).Read(ctx, opSignImage, func(ctx context.Context, v *gate.View) (err error) {
		if image, err = v.StatManifest(ctx, job.Repository, job.Digest); err != nil {
			return err
		}
		profile, err = v.Registries().Signings().Profile(ctx, at.In, name)
		if errors.Is(err, meta.ErrNotFound) {
			return failure{codeProfile, errors.New("the signing profile was deleted")}
		}
		return err
	})
	if err != nil {
		return err
	}
	key, err := s.cfg.Key.Open(identity.KindSigningKey, job.Profile, profile.Sealed)
	if err != nil {
		return failure{codeKey, fmt.Errorf("the key of the signing profile cannot be read: %w", err)}
	}
	now := s.cfg.Now()
	signer, err := load(string(key), profile.Certificates, now)
	if err != nil {
		return failure{codeKey, err}
	}
	made, err := makeSignature(signer, descriptor{image.Image.MediaType, job.Digest, image.BodySizeBytes}, now)
	if err != nil {
		return failure{codeKey, err}
	}
	return s.store(ctx, at, job, made)
}

// descriptor is what of an image is signed, and how a manifest names its parts. Source:
// OCI image specification, "Content Descriptors".
type descriptor struct {
	MediaType string     `json:"mediaType"`
	Digest    ecr.Digest `json:"digest"`
	Size      int64      `json:"size"`
}

// artifact is a signature on its way into the registry.
type artifact struct {
	manifest, config, envelope []byte
}

// makeSignature signs an image as `notation sign` does. Sources: Notary Project,
// "Signature Specification" (payload, storage) and "JWS envelope".
func makeSignature(signer signature.LocalSigner, image descriptor, now time.Time) (artifact, error) {
	payload, err := json.Marshal(map[string]descriptor{"targetArtifact": image})
	if err != nil {
		return artifact{}, err
	}
	envelope, err := signature.NewEnvelope(jws.MediaTypeEnvelope)
	if err != nil {
		return artifact{}, err
	}
	text, err := envelope.Sign(&signature.SignRequest{
		Payload: signature.Payload{ContentType: trust.TypePayload, Content: payload}, Signer: signer, SigningTime: now,
		SigningScheme: signature.SigningSchemeX509, SigningAgent: "kontor",
	})
	if err != nil {
		return artifact{}, fmt.Errorf("signing: %w", err)
	}
	if _, err := envelope.Verify(); err != nil {
		return artifact{}, fmt.Errorf("verifying the signature that was made: %w", err)
	}
	chain, err := signer.CertificateChain()
	if err != nil {
		return artifact{}, err
	}
	var prints []string
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		prints = append(prints, hex.EncodeToString(sum[:]))
	}
	thumbprints, err := json.Marshal(prints)
	if err != nil {
		return artifact{}, err
	}
	a := artifact{config: []byte("{}"), envelope: text}
	a.manifest, err = json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Subject       descriptor        `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		2, typeManifest, descriptor{trust.TypeNotation, ecr.DigestOf(a.config), int64(len(a.config))},
		[]descriptor{{trust.TypeJWS, ecr.DigestOf(text), int64(len(text))}}, image,
		map[string]string{"io.cncf.notary.x509chain.thumbprint#S256": string(thumbprints), "org.opencontainers.image.created": now.UTC().Format(time.RFC3339)},
	})
	return a, err
}

const typeManifest = "application/vnd.oci.image.manifest.v1+json"

// store stores a signature. What is left of it when the process is killed before the end
// is content that no image refers to, which collection removes.
func (s *Service) store(ctx context.Context, at ecr.Repo, job meta.Signing, a artifact) error {
	c := s.cfg.Registry.System(actor)
	for _, content := range [][]byte{a.config, a.envelope} {
		d := ecr.DigestOf(content)
		if _, err := c.StatBlob(ctx, at, d); err == nil {
			continue
		}
		id, err := c.StartUpload(ctx, at)
		if err != nil {
			return err
		}
		if _, err := c.CompleteUpload(ctx, at, id, 0, bytes.NewReader(content), d); err != nil {
			return errors.Join(err, c.CancelUpload(context.WithoutCancel(ctx), at, id))
		}
	}
	job.Status, job.Code, job.Reason, job.Signature = ecr.SigningComplete, "", "", ecr.DigestOf(a.manifest)
	_, err := c.PutImage(ctx, at, registry.NewImage{Body: a.manifest, MediaType: typeManifest, Within: func(ctx context.Context, tx *gate.Tx) error {
		return tx.Registries().SigningWriter().EndSigning(ctx, job)
	}})
	return err
}
