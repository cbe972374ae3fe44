package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
)

// accepted are the manifests that are asked for: all that there are, so that
// none is converted.
var accepted = []string{strings.Join([]string{
	manifest.MediaTypeOCIIndex, manifest.MediaTypeDockerList, manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest,
}, ", ")}

// Manifest is a manifest as the registry has it, byte for byte.
type Manifest struct {
	MediaType string
	Digest    ecr.Digest
	Body      []byte
	// Header is sent with it, in addition; nil for none.
	Header map[string]string
}

func (r *Repository) call(a Action, method, object string) call {
	return call{action: a, repository: r.name, object: object, method: method, expect: []int{http.StatusOK}}
}

func (r *Repository) manifestCall(a Action, method, reference string) call {
	c := r.call(a, method, reference)
	c.path = fmt.Sprintf("%s/manifests/%s", r.name, reference)
	c.header = http.Header{"Accept": accepted}
	return c
}

// Resolve returns what a tag or digest stands for. It reads no manifest where the
// registry tells without: on ECR reading one counts as pulling it. Errors:
// RepositoryNotFound, ImageNotFound, AccessDenied.
func (r *Repository) Resolve(ctx context.Context, reference string) (Descriptor, error) {
	var d Descriptor
	err := r.registry.send(ctx, r.manifestCall(ReadManifest, http.MethodHead, reference), func(resp *http.Response) error {
		d = Descriptor{Size: resp.ContentLength, Digest: ecr.Digest(resp.Header.Get("Docker-Content-Digest"))}
		d.MediaType = mediaType(resp)
		return nil
	})
	var e *Error
	missing := errors.As(err, &e) && e.Status == http.StatusNotFound
	if err != nil && !missing {
		return Descriptor{}, err
	}
	if !missing && isDigest(reference) && d.Digest == "" {
		d.Digest = ecr.Digest(reference)
	}
	if _, err := ecr.ParseDigest(string(d.Digest)); err == nil && d.MediaType != "" {
		return d, r.compare(reference, d.Digest)
	}
	// HEAD does not tell a missing image from a missing repository, and some
	// registries not the digest.
	m, err := r.Manifest(ctx, reference)
	return Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Body))}, err
}

// compare fails when a manifest that was asked for by digest is another.
func (r *Repository) compare(reference string, got ecr.Digest) error {
	if !isDigest(reference) || string(got) == reference {
		return nil
	}
	e := r.registry.newError(r.call(ReadManifest, "", reference), ecr.CodeImageDigestDoesNotMatch, nil)
	e.Message = fmt.Sprintf("the registry returned %s in its place", got)
	return e
}

func mediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// Manifest reads a manifest by tag or digest. Its digest is computed; a registry
// that names another one is not believed. Errors: those of Resolve, and
// ImageDigestDoesNotMatch.
func (r *Repository) Manifest(ctx context.Context, reference string) (Manifest, error) {
	var m Manifest
	c := r.manifestCall(ReadManifest, http.MethodGet, reference)
	err := r.registry.send(ctx, c, func(resp *http.Response) error {
		body, err := readAll(resp)
		if err != nil {
			return err
		}
		m = Manifest{MediaType: mediaType(resp), Digest: ecr.DigestOf(body), Body: body}
		want := resp.Header.Get("Docker-Content-Digest")
		if isDigest(reference) {
			want = reference
		}
		if d, err := ecr.ParseDigest(want); err == nil && d != m.Digest {
			if !d.Verifies(body) {
				e := r.registry.newError(c, ecr.CodeImageDigestDoesNotMatch, nil)
				e.Message = fmt.Sprintf("the content is %s, not %s", m.Digest, d)
				return e
			}
			m.Digest = d // of another algorithm
		}
		return nil
	})
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// readAll reads an answer of at most the size of a manifest.
func readAll(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, manifest.MaxSize+1))
	if err == nil && len(body) > manifest.MaxSize {
		err = fmt.Errorf("the answer has more than %d bytes", manifest.MaxSize)
	}
	return body, err
}

// PutManifest stores a manifest under a tag, or by its digest. It succeeds when
// the tag is there with this digest already, be it by an earlier try of this
// call whose answer was lost. Errors: RepositoryNotFound, AccessDenied,
// ImageTagAlreadyExists (an immutable tag with another digest), LayersNotFound,
// ReferencedImagesNotFound, InvalidParameter.
func (r *Repository) PutManifest(ctx context.Context, m Manifest, reference string) error {
	c := r.manifestCall(WriteManifest, http.MethodPut, reference)
	c.header = http.Header{"Content-Type": {m.MediaType}}
	for name, value := range m.Header {
		c.header.Set(name, value)
	}
	c.body, c.expect = m.Body, []int{http.StatusCreated}
	err := r.registry.send(ctx, c, func(resp *http.Response) error {
		d, err := ecr.ParseDigest(resp.Header.Get("Docker-Content-Digest"))
		if err == nil && d != m.Digest && !d.Verifies(m.Body) {
			e := r.registry.newError(c, ecr.CodeImageDigestDoesNotMatch, nil)
			e.Message = fmt.Sprintf("the registry stored it as %s, not %s", d, m.Digest)
			return e
		}
		return nil
	})
	if ecr.CodeOf(err) == ecr.CodeImageTagAlreadyExists && !isDigest(reference) {
		if d, e := r.Resolve(ctx, reference); e == nil && d.Digest == m.Digest {
			return nil
		}
	}
	return err
}
