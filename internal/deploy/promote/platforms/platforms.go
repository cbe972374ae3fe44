// Package platforms takes platforms out of the index of an image.
package platforms

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// document is an index, with its children as they are written.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Manifests     []json.RawMessage `json:"manifests"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// child is what is read of a document's children.
type child struct {
	remote.Descriptor
	Platform *manifest.Platform `json:"platform"`
}

// Error says why platforms cannot be promoted as asked for.
type Error struct{ message string }

// Error is a sentence.
func (e *Error) Error() string { return e.message }

// Errorf is an *Error.
func Errorf(format string, args ...any) error {
	return &Error{fmt.Sprintf(format, args...)}
}

// Annotations of buildx: BuildKit documentation, "Image attestation storage".
const (
	AttestationType     = "vnd.docker.reference.type"
	AttestationManifest = "attestation-manifest"
	AttestationOf       = "vnd.docker.reference.digest"
)

// Of is "linux/arm64/v8".
func Of(p *manifest.Platform) string {
	if p == nil {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// matches reports whether a child of an index is for the wanted platform.
// Without a variant any will do, as for pulling: containerd's platforms package.
func matches(p *manifest.Platform, wanted string) bool {
	full := Of(p)
	return full == wanted || p != nil && strings.Count(wanted, "/") == 1 && strings.HasPrefix(full, wanted+"/")
}

// Chosen is the part of an index that is promoted.
type Chosen struct {
	remote.Descriptor
	Body []byte // of an index that is made; nil for an image that is there
	// LeftOut are attestations that do not go.
	LeftOut []ecr.Digest
}

// Choose takes platforms out of the index m: one image is taken as it is; several
// become a new index, with the attestations that buildx made for them. The error is
// an *Error, or one of a malformed index.
func Choose(m remote.Manifest, wanted []string, newIndex bool) (Chosen, error) {
	if _, err := manifest.ParseElsewhere(m.Body, m.MediaType); err != nil {
		return Chosen{}, err
	}
	var doc document
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		return Chosen{}, err
	}
	children := make([]child, len(doc.Manifests))
	for i, raw := range doc.Manifests {
		if err := json.Unmarshal(raw, &children[i]); err != nil {
			return Chosen{}, err
		}
	}
	takes := map[ecr.Digest]bool{}
	for _, w := range wanted {
		found := false
		for _, c := range children {
			if c.Annotations[AttestationType] == "" && matches(c.Platform, w) {
				takes[c.Digest], found = true, true
			}
		}
		if !found {
			return Chosen{}, Errorf("the image has no platform %s: it has %s", w, words.And(have(children)))
		}
	}
	if newIndex {
		return makeIndex(m, doc, children, takes)
	}
	if len(takes) > 1 {
		return Chosen{}, Errorf("%s match %s: several images become a new index, with another digest, and signatures of the old index do not apply to it: pass --new-index, or choose one image",
			words.Count(len(takes), "image", "images"), words.And(wanted))
	}
	var out Chosen
	for _, c := range children {
		switch {
		case takes[c.Digest]:
			out.Descriptor = c.Descriptor
		case takes[ecr.Digest(c.Annotations[AttestationOf])]:
			out.LeftOut = append(out.LeftOut, c.Digest)
		}
	}
	return out, nil
}

// makeIndex makes an index of the children that are taken and their attestations,
// as they were described. Of all children it is the old one.
func makeIndex(m remote.Manifest, doc document, children []child, takes map[ecr.Digest]bool) (Chosen, error) {
	var kept []json.RawMessage
	for i, c := range children {
		if takes[c.Digest] || takes[ecr.Digest(c.Annotations[AttestationOf])] {
			kept = append(kept, doc.Manifests[i])
		}
	}
	if len(kept) == len(children) {
		return Chosen{Descriptor: remote.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Body))}}, nil
	}
	doc.Manifests = kept
	doc.MediaType = m.MediaType
	body, err := json.Marshal(doc)
	if err != nil {
		return Chosen{}, err
	}
	return Chosen{Descriptor: remote.Descriptor{MediaType: m.MediaType, Digest: ecr.DigestOf(body), Size: int64(len(body))}, Body: body}, nil
}

// have are the platforms of children, for messages.
func have(children []child) []string {
	var out []string
	for _, c := range children {
		if p := Of(c.Platform); c.Annotations[AttestationType] == "" && p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
