// Package history is what promotions leave with an image: records, and the
// conditions that were met.
package history

import (
	"encoding/json"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// RecordType is the artifact type of records, and the media type of their one
// layer.
const RecordType = "application/vnd.kontor.promotion.v1+json"

// Record is what a promotion leaves with the image: a manifest that refers to
// it. It is written just before the tag is set, so that an image with the tag has
// its record; one without the tag is of a promotion that was interrupted. The
// field names of its JSON form are published.
type Record struct {
	// From and To are names of images, "host/repository:tag".
	From string `json:"from"`
	To   string `json:"to"`
	// Digest is the image's, Replaces that which the tag had before.
	Digest    ecr.Digest `json:"digest"`
	Replaces  ecr.Digest `json:"replaces,omitempty"`
	Tag       ecr.Tag    `json:"tag"`
	Principal string     `json:"principal,omitempty"`
	Time      time.Time  `json:"time"`
	Route     string     `json:"route,omitempty"`
	// Plan names what was to be done: "sha256:" and a hash.
	Plan string `json:"plan"`
	// Gates are the conditions that were met.
	Gates []Gate `json:"gates,omitempty"`
}

// Gate is a condition and how it was met.
type Gate struct {
	// Name is platforms, referrers, signature, sbom, min_age, signed_by, scanned,
	// max_severity or verify.
	Name string `json:"name"`
	Met  bool   `json:"met"`
	// Verified: a command said so, or for signed_by the registry or the promoter. Otherwise it was only seen to exist.
	Verified bool   `json:"verified,omitempty"`
	Detail   string `json:"detail"`
}

// Artifact makes the manifest of a record, and its blobs.
func (r Record) Artifact(subject remote.Descriptor) (m remote.Manifest, blobs map[ecr.Digest][]byte, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return m, nil, err
	}
	empty := []byte("{}")
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Digest    ecr.Digest `json:"digest"`
		Size      int64      `json:"size"`
	}
	of := func(mediaType string, b []byte) descriptor {
		return descriptor{mediaType, ecr.DigestOf(b), int64(len(b))}
	}
	body, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Subject       descriptor        `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		2, manifest.MediaTypeOCIManifest, RecordType, of(manifest.MediaTypeEmpty, empty), []descriptor{of(RecordType, text)},
		descriptor{subject.MediaType, subject.Digest, subject.Size},
		map[string]string{
			"org.opencontainers.image.created": r.Time.Format(time.RFC3339),
			"dev.kontor.promotion.from":        r.From, "dev.kontor.promotion.to": r.To, "dev.kontor.promotion.plan": r.Plan,
		},
	})
	if err != nil {
		return m, nil, err
	}
	return remote.Manifest{MediaType: manifest.MediaTypeOCIManifest, Digest: ecr.DigestOf(body), Body: body},
		map[ecr.Digest][]byte{ecr.DigestOf(text): text, ecr.DigestOf(empty): empty}, nil
}
