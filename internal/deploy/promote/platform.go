package promote

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
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

// platformError says why platforms cannot be promoted as asked for.
type platformError struct{ message string }

// Error is a sentence.
func (e *platformError) Error() string { return e.message }

// matchesPlatform reports whether a child of an index is for the wanted platform.
// Without a variant any will do, as for pulling: containerd's platforms package.
func matchesPlatform(p *manifest.Platform, wanted string) bool {
	full := platformOf(p)
	return full == wanted || p != nil && strings.Count(wanted, "/") == 1 && strings.HasPrefix(full, wanted+"/")
}

// chosen is the part of an index that is promoted.
type chosen struct {
	remote.Descriptor
	body []byte // of an index that is made; nil for an image that is there
	// leftOut are attestations that do not go.
	leftOut []ecr.Digest
}

// imagePlatform is the platform of an image that is in no index, as its config
// says; none for an artifact.
func imagePlatform(ctx context.Context, r *repository, d ecr.Digest) ([]string, error) {
	m, err := r.manifest(ctx, string(d))
	if err != nil {
		return nil, err
	}
	parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	if err != nil || parsed.Config == nil || parsed.Config.Size > maxConfig {
		return nil, err
	}
	text, err := r.blob(ctx, Blob{Digest: parsed.Config.Digest, Size: parsed.Config.Size})
	if err != nil {
		return nil, err
	}
	var config manifest.Platform
	if json.Unmarshal(text, &config) != nil || config.OS == "" {
		return nil, nil
	}
	return []string{platformOf(&config)}, nil
}

// choose takes platforms out of the index m: the one image itself, or as an
// index of its own those wanted, with what buildx attests of them. The error is
// a *platformError, or one of a malformed index.
func choose(m remote.Manifest, wanted []string, newIndex bool) (chosen, error) {
	if _, err := manifest.ParseElsewhere(m.Body, m.MediaType); err != nil {
		return chosen{}, err
	}
	var doc document
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		return chosen{}, err
	}
	children := make([]child, len(doc.Manifests))
	for i, raw := range doc.Manifests {
		if err := json.Unmarshal(raw, &children[i]); err != nil {
			return chosen{}, err
		}
	}
	takes := map[ecr.Digest]bool{}
	for _, w := range wanted {
		found := false
		for _, c := range children {
			if c.Annotations[attestationType] == "" && matchesPlatform(c.Platform, w) {
				takes[c.Digest], found = true, true
			}
		}
		if !found {
			return chosen{}, &platformError{fmt.Sprintf("the image has no platform %s: it has %s", w, list(have(children)))}
		}
	}
	if newIndex {
		return makeIndex(m, doc, children, takes)
	}
	if len(takes) > 1 {
		return chosen{}, &platformError{fmt.Sprintf(
			"%s match %s: several go as an index of their own, with another digest, to which signatures of the old one do not apply: say --new-index, or choose one",
			count(len(takes), "image"), list(wanted))}
	}
	var out chosen
	for _, c := range children {
		switch {
		case takes[c.Digest]:
			out.Descriptor = c.Descriptor
		case takes[ecr.Digest(c.Annotations[attestationOf])]:
			out.leftOut = append(out.leftOut, c.Digest)
		}
	}
	return out, nil
}

// makeIndex makes an index of the children that are taken and their attestations,
// as they were described. Of all children it is the old one.
func makeIndex(m remote.Manifest, doc document, children []child, takes map[ecr.Digest]bool) (chosen, error) {
	var kept []json.RawMessage
	for i, c := range children {
		if takes[c.Digest] || takes[ecr.Digest(c.Annotations[attestationOf])] {
			kept = append(kept, doc.Manifests[i])
		}
	}
	if len(kept) == len(children) {
		return chosen{Descriptor: remote.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Body))}}, nil
	}
	doc.Manifests = kept
	doc.MediaType = m.MediaType
	body, err := json.Marshal(doc)
	if err != nil {
		return chosen{}, err
	}
	return chosen{Descriptor: remote.Descriptor{MediaType: m.MediaType, Digest: ecr.DigestOf(body), Size: int64(len(body))}, body: body}, nil
}

// have are the platforms of children, for messages.
func have(children []child) []string {
	var out []string
	for _, c := range children {
		if p := platformOf(c.Platform); c.Annotations[attestationType] == "" && p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
