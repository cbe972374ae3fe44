// Package signing knows whose signatures of images a registry trusts, and which
// signatures its images have. It answers the condition key kontor:SignedBy, with which
// policies let images be pulled by who signed them.
//
// What it guarantees: a name is among the values of the key only if a signature of that
// very image, or of an index that lists it, was verified with what the signer of that
// name is known by, in a repository that the signer is trusted in. What cannot be read or
// verified is no signature, and has a reason. The work for an image is bounded, and what
// was verified is remembered by the digest of the signature and the version of the trust.
//
// Left out: signing, which package managed does, and services that would be asked over the network. Package trust
// verifies.
package signing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/memo"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Limits of what is looked at for one image. More is as if it was not there.
const (
	// MaxSigners is how many signers a registry has at most.
	MaxSigners = 100
	// MaxSignatures bounds the manifests with signatures of an image, MaxLayers the
	// signatures in one of them, and MaxBytes the size of one.
	MaxSignatures = 50
	MaxLayers     = 32
	MaxBytes      = 1 << 20
	// maxReferrers bounds the referrers of an image that are looked through.
	maxReferrers = 1000
	// maxIndexes bounds the indexes that an image is signed through.
	maxIndexes = 16
	// maxVerified bounds how many signatures are verified in one go, each by each signer:
	// who may push must not keep the server busy with what nobody signed.
	maxVerified = 5000
	// mended is how long it is believed that content is damaged: it may be repaired.
	mended = time.Minute
	// memory bounds what is remembered of signatures, and of signers.
	memory = 8 << 20
)

// Config is what a Verifier is made of.
type Config struct {
	Blobs blob.Store // required
	// Now is the time by which certificates expire: that of authentication. Required.
	Now func() time.Time
	// Observer counts. Optional.
	Observer Observer
}

// Observer is told of each signature that was verified, and not remembered.
type Observer interface {
	// SignatureVerified: accepted says whether some signer made it.
	SignatureVerified(form string, accepted bool)
}

// Verifier finds the signatures of images. It is safe for concurrent use.
type Verifier struct {
	cfg     Config
	signers memo.Table[string, struct{}, *trust.Verifier] // by their settings
	known   memo.Table[knownKey, struct{}, []Signature]
	inert   memo.Table[inertKey, struct{}, inertness]
}

// knownKey is what a verdict depends on, but for the time.
type knownKey struct {
	image     ecr.Digest
	signature ecr.Digest // of the manifest
	// Of both: the type is not always in what the digest is of, and then another
	// repository may have another one.
	imageType, signatureType string
	form                     trust.Form
	version                  string // of the trust
}

// NewVerifier returns a Verifier.
func NewVerifier(cfg Config) *Verifier {
	v := &Verifier{cfg: cfg}
	v.signers.Max, v.known.Max, v.inert.Max = memory, memory, memory/8
	return v
}

// Signature is one signature of an image, judged by one signer.
type Signature struct {
	// Of is the image that it signs, Manifest the one that holds it, and Layer its
	// place in it.
	Of, Manifest, Layer ecr.Digest
	Form                trust.Form
	Signer              string
	trust.Verdict
}

// trusted returns the signers that are trusted in a repository.
func (v *Verifier) trusted(ctx context.Context, r meta.SignerReader, at ecr.Repo) (list []*trust.Verifier, err error) {
	all, err := r.Signers(ctx, at.In)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		one, err := v.compile(s)
		if err != nil {
			return nil, err
		}
		if one.For(at.Name) {
			list = append(list, one)
		}
	}
	return list, nil
}

func (v *Verifier) compile(s meta.Signer) (*trust.Verifier, error) {
	text := string(s.Settings)
	if one, known := v.signers.Get(text, struct{}{}); known {
		return one, nil
	}
	settings, err := settingsOf(s)
	if err != nil {
		return nil, err
	}
	one, err := trust.Compile(settings)
	if err != nil {
		return nil, fmt.Errorf("the signer %s of %s: %w", s.Name, s.Registry, err)
	}
	v.signers.Put(text, struct{}{}, one, 8*len(text))
	return one, nil
}

// Key is authz.KeySignedBy: the names of the signers whose signatures an image has, in
// byte order. What is to come from an upstream has none.
func (v *Verifier) Key() gate.ImageKey { return gate.ImageKey{Of: v.signedBy} }

func (v *Verifier) signedBy(ctx context.Context, r *gate.View, s gate.Scene, id ecr.ImageID) ([]string, error) {
	m, err := r.FindImage(ctx, s.Row.ID, id)
	if err != nil {
		return nil, err
	}
	found, err := v.signatures(ctx, r, s.At, m)
	if err != nil {
		return nil, err
	}
	return Names(found), nil
}

// Names are the names of the signers of accepted signatures, in byte order.
func Names(list []Signature) (names []string) {
	for _, g := range list {
		if g.Refused == "" {
			names = append(names, g.Signer)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// signatures finds the signatures of the image m, of the indexes that list it, and, where
// it holds signatures itself, those of another image. Its error is a *gate.Later where
// content has to be read first.
func (v *Verifier) signatures(ctx context.Context, r *gate.View, at ecr.Repo, m meta.Manifest) ([]Signature, error) {
	signers, err := v.trusted(ctx, r.Registries(), at)
	if err != nil || len(signers) == 0 {
		return nil, err
	}
	found := search{v: v, r: r, repo: m.Repository, now: v.cfg.Now(), signers: signers}
	if err := found.image(ctx, m); err != nil {
		return nil, err
	}
	if len(found.missing) > 0 || len(found.unread) > 0 {
		return nil, &gate.Later{Do: found.verify}
	}
	return found.list, nil
}

// search is a search for signatures on its way.
type search struct {
	v       *Verifier
	r       *gate.View
	repo    meta.RepositoryID
	now     time.Time
	signers []*trust.Verifier

	list    []Signature
	missing []holder   // to be read and verified
	unread  []artifact // to be read
}

// holder is a manifest with signatures of an image.
type holder struct {
	of        trust.Image
	manifest  ecr.Digest
	form      trust.Form
	layers    []layer
	refused   string    // why the manifest has none, "" where it has layers
	until     time.Time // what refused says holds; zero for ever
	mediaType string    // of the manifest
}

// layer is the place of a signature.
type layer struct {
	manifest.Descriptor
	notes map[string]string
	key   blob.Key // "" where content is set, or where there is none
	// content is what the database has of it.
	content []byte
}

// image looks for signatures of m, of the indexes that list it, and of the image that it
// is attached to.
func (s *search) image(ctx context.Context, m meta.Manifest) error {
	seen := []ecr.Digest{m.Image.Digest}
	for i := 0; i < len(seen); i++ {
		if err := s.of(ctx, seen[i]); err != nil {
			return err
		}
		over, err := s.r.Parents(ctx, s.repo, seen[i])
		if err != nil {
			return err
		}
		to, err := s.attachedTo(ctx, seen[i])
		if err != nil {
			return err
		}
		for _, d := range append(over, to...) {
			if len(seen) <= maxIndexes && !slices.Contains(seen, d) {
				seen = append(seen, d)
			}
		}
	}
	return nil
}

// layer finds the content of a layer of at most so many bytes.
func (s *search) layer(ctx context.Context, d manifest.Descriptor, most int64) (layer, error) {
	l := layer{Descriptor: d}
	if d.Size > most {
		return l, nil
	}
	b, err := s.r.BlobAndContent(ctx, s.repo, d.Digest)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return l, err
	}
	if b.SizeBytes <= most {
		if l.content = b.Content; l.content == nil {
			l.key = b.Key
		}
	}
	return l, nil
}

// IsSignature reports whether an image of the artifact type, with the tags, holds
// signatures of another one.
func IsSignature(artifactType string, tags []ecr.Tag) bool {
	return trust.FormOf(artifactType) != "" || slices.ContainsFunc(tags, func(t ecr.Tag) bool {
		digest, ok := strings.CutSuffix(string(t), tagSuffix)
		_, err := ecr.ParseDigest(strings.Replace(digest, "-", ":", 1))
		return ok && err == nil
	})
}

// of looks for the manifests that hold signatures of d.
func (s *search) of(ctx context.Context, d ecr.Digest) error {
	tag, err := s.r.Tag(ctx, s.repo, ecr.Tag(strings.Replace(string(d), ":", "-", 1)+tagSuffix))
	switch {
	case err == nil:
		if err := s.holder(ctx, d, tag.Digest, trust.CosignTag); err != nil {
			return err
		}
	case !errors.Is(err, meta.ErrNotFound):
		return err
	}
	const page = 100
	after, held := ecr.Digest(""), 0
	for range maxReferrers / page {
		rows, err := s.r.ListReferrers(ctx, s.repo, d, after, page)
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.Image.Digest
			if form := trust.FormOf(row.Image.ArtifactMediaType); form != "" && held < MaxSignatures {
				held++
				if err := s.holder(ctx, d, row.Image.Digest, form); err != nil {
					return err
				}
			}
		}
		if len(rows) < page {
			return nil
		}
	}
	return nil
}

// holder takes what is known of the signatures of the image of in a manifest, and takes
// note of what is to be verified.
func (s *search) holder(ctx context.Context, of, holding ecr.Digest, form trust.Form) error {
	image, err := s.r.FindImage(ctx, s.repo, ecr.ImageID{Digest: of})
	if errors.Is(err, meta.ErrNotFound) {
		for _, signer := range s.signers { // not remembered: the image may come
			s.list = append(s.list, Signature{Of: of, Manifest: holding, Form: form, Signer: signer.Name, Verdict: trust.Verdict{Refused: "the image that it signs is not in the repository"}})
		}
		return nil
	}
	if err != nil {
		return err
	}
	held, err := s.r.FindImage(ctx, s.repo, ecr.ImageID{Digest: holding})
	if err != nil {
		return err
	}
	h := holder{of: trust.Image{Digest: of, MediaType: image.Image.MediaType, SizeBytes: image.BodySizeBytes}, manifest: holding, mediaType: held.Image.MediaType, form: form}
	unknown := false
	for _, signer := range s.signers {
		list, known := s.known(ctx, h.key(signer))
		for _, g := range list {
			// It was verified for another signer perhaps, who is known by the same.
			g.Signer = signer.Name
			s.list = append(s.list, g)
			known = known && (g.Until.IsZero() || s.now.Before(g.Until))
		}
		unknown = unknown || !known
	}
	if !unknown {
		return nil
	}
	if err := s.read(ctx, &h, held); err != nil {
		return err
	}
	s.missing = append(s.missing, h)
	return nil
}

func (h holder) key(signer *trust.Verifier) knownKey {
	return knownKey{h.of.Digest, h.manifest, h.of.MediaType, h.mediaType, h.form, signer.Version}
}

// known is what is known of signatures: by this operation, or by an earlier one.
func (s *search) known(ctx context.Context, key knownKey) ([]Signature, bool) {
	if list, ok := gate.Kept(ctx, key).([]Signature); ok {
		return list, true
	}
	return s.v.known.Get(key, struct{}{})
}

// read reads where the signatures of h lie.
func (s *search) read(ctx context.Context, h *holder, row meta.Manifest) error {
	if row.BodySizeBytes > MaxBytes {
		h.refused = fmt.Sprintf("its manifest has %d bytes; at most %d are read", row.BodySizeBytes, MaxBytes)
		return nil
	}
	body, err := s.r.ManifestBody(ctx, s.repo, h.manifest)
	if err != nil {
		return err
	}
	parsed, err := manifest.Parse(body, row.Image.MediaType)
	if err != nil || !h.manifest.Verifies(body) {
		h.refused, h.until = "its manifest is damaged", s.now.Add(mended)
		return nil
	}
	if parsed.Kind != manifest.Image || len(parsed.Layers) == 0 {
		h.refused = "its manifest holds no signature"
		return nil
	}
	if len(parsed.Layers) > MaxLayers {
		h.refused = fmt.Sprintf("its manifest has %d layers; at most %d are read", len(parsed.Layers), MaxLayers)
		return nil
	}
	var notes struct {
		Layers []struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(body, &notes); err != nil || len(notes.Layers) != len(parsed.Layers) {
		h.refused = "its annotations cannot be read"
		return nil
	}
	for i, d := range parsed.Layers {
		if !h.form.Fits(d.MediaType) {
			h.layers, h.refused = nil, fmt.Sprintf("its manifest has a layer of the type %s, which is not a signature", d.MediaType)
			return nil
		}
		l, err := s.layer(ctx, d, MaxBytes)
		if err != nil {
			return err
		}
		l.notes = notes.Layers[i].Annotations
		h.layers = append(h.layers, l)
	}
	return nil
}

// verify reads and verifies what was missing, and remembers it. The transaction has
// ended.
func (s *search) verify(ctx context.Context) error {
	for _, a := range s.unread {
		if err := s.v.readArtifact(ctx, a, s.now); err != nil {
			return err
		}
	}
	left := maxVerified
	for _, h := range s.missing {
		contents := make([][]byte, len(h.layers))
		for i, l := range h.layers {
			var err error
			if contents[i], err = s.v.content(ctx, l, MaxBytes); err != nil {
				return err
			}
		}
		for _, signer := range s.signers {
			if err := ctx.Err(); err != nil {
				return err
			}
			list := s.judge(h, contents, signer, &left)
			size := 0
			for _, g := range list {
				size += len(g.Refused) + len(g.As) + 400
			}
			gate.Keep(ctx, h.key(signer), list)
			s.v.known.Put(h.key(signer), struct{}{}, list, size)
			if s.v.cfg.Observer != nil && signer.Takes(h.form) {
				for _, g := range list {
					s.v.cfg.Observer.SignatureVerified(string(h.form), g.Refused == "")
				}
			}
		}
	}
	return nil
}

// judge verifies the signatures in h, as far as no more than left are verified in all.
func (s *search) judge(h holder, contents [][]byte, signer *trust.Verifier, left *int) (list []Signature) {
	add := func(l ecr.Digest, v trust.Verdict) {
		list = append(list, Signature{Of: h.of.Digest, Manifest: h.manifest, Layer: l, Form: h.form, Signer: signer.Name, Verdict: v})
	}
	if h.refused != "" {
		add("", trust.Verdict{Refused: h.refused, Until: h.until})
	}
	for i, l := range h.layers {
		switch {
		case contents[i] == nil:
			add(l.Digest, trust.Verdict{Refused: fmt.Sprintf("its content is missing, damaged or larger than %d bytes", MaxBytes), Until: s.now.Add(mended)})
			continue
		case *left == 0:
			add(l.Digest, trust.Verdict{Refused: fmt.Sprintf("the image has too many signatures: %d are verified at a time, those of every signer", maxVerified), Until: s.now.Add(mended)})
			continue
		}
		if signer.Takes(h.form) {
			*left--
		}
		add(l.Digest, signer.Verify(h.of, trust.Signature{Form: h.form, MediaType: l.MediaType, Content: contents[i], Annotations: l.notes}, s.now))
	}
	return list
}

// content returns the content of a layer, nil where it is not there, not what its digest
// says, or more than so many bytes.
func (v *Verifier) content(ctx context.Context, l layer, most int64) (_ []byte, err error) {
	content := l.content
	if content == nil {
		if l.key == "" {
			return nil, nil
		}
		f, err := v.cfg.Blobs.Open(ctx, l.key)
		if errors.Is(err, blob.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the signature %s: %w", l.Digest, err)
		}
		content, err = io.ReadAll(io.LimitReader(f, most+1))
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("reading the signature %s: %w", l.Digest, err)
		}
	}
	if int64(len(content)) > most || !l.Digest.Verifies(content) {
		return nil, nil
	}
	return content, nil
}
