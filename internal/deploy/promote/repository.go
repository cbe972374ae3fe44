package promote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// repository is a repository, and what has been read of it in this run.
type repository struct {
	promoter *Promoter
	registry *Registry
	remote   *remote.Repository
	name     ecr.RepositoryName

	mu sync.Mutex
	// tags are all of them; nil when they are too many for one page, or may not
	// be listed. Guarded by mu.
	tags     map[ecr.Tag]bool
	tagsRead bool // guarded by mu
	// index is made of what the ECR API tells; nil before it was asked for.
	// Guarded by mu.
	index *inventory
	// policy is the lifecycle policy; nil before it was asked for. Guarded by mu.
	policy *string
	// noAPI: the registry has no referrers API. Guarded by mu.
	noAPI bool
}

// ref names a tag of the repository.
func (r *repository) ref(tag ecr.Tag) Ref {
	return Ref{Registry: r.registry.Name, Repository: r.name, Tag: tag}
}

// image is the name of an image as docker has it, "host/name@digest".
func (r *repository) image(d ecr.Digest) string {
	return fmt.Sprintf("%s/%s@%s", r.registry.Remote.Host(), r.name, d)
}

// same reports whether r and o are of one registry, in which blobs are mounted.
func (r *repository) same(o *repository) bool {
	return r.registry.Remote.Host() == o.registry.Remote.Host()
}

// inventory is all that the ECR API tells of a repository's images.
type inventory struct {
	snapshot images.Snapshot
	byTag    map[ecr.Tag]ecr.Digest
	byDigest map[ecr.Digest]images.Detail
}

// inventory asks the ECR API, once.
func (r *repository) inventory(ctx context.Context) (*inventory, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index != nil || r.registry.API == nil {
		return r.index, nil
	}
	s, err := r.registry.API.Images(ctx, r.name)
	if err != nil {
		return nil, err
	}
	v := &inventory{snapshot: s, byTag: map[ecr.Tag]ecr.Digest{}, byDigest: map[ecr.Digest]images.Detail{}}
	for _, d := range s.Details {
		if d.Status != "" && d.Status != string(ecr.StatusActive) {
			continue // archived: it cannot be pulled, and a push brings it back
		}
		v.byDigest[ecr.Digest(d.Digest)] = d
		for _, t := range d.Tags {
			v.byTag[ecr.Tag(t)] = ecr.Digest(d.Digest)
		}
	}
	r.index = v
	return v, nil
}

// lifecycle asks the ECR API for the lifecycle policy, once.
func (r *repository) lifecycle(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.policy == nil {
		text, err := r.registry.API.Lifecycle(ctx, r.name)
		if err != nil {
			return "", err
		}
		r.policy = &text
	}
	return *r.policy, nil
}

// known is the inventory if it was asked for.
func (r *repository) known() *inventory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.index
}

// allTags are the tags of all images, as the ECR API tells them, with what they
// stand for. Who may not ask it gets the list of tags alone.
func (r *repository) allTags(ctx context.Context) ([]ecr.Tag, error) {
	known, err := r.inventory(ctx)
	switch {
	case err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied:
		return nil, err
	case known != nil:
		return slices.Collect(maps.Keys(known.byTag)), nil
	}
	tags, err := r.listTags(ctx, true)
	return slices.Collect(maps.Keys(tags)), err
}

// listTags reads the tags, once: all of them, or when whole is false only if
// they fit on one page. It returns nil where they are not known: then one asks
// for each. A denial is not an error, for promoting one image needs no list.
func (r *repository) listTags(ctx context.Context, whole bool) (map[ecr.Tag]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tagsRead && (r.tags != nil || !whole) {
		return r.tags, nil
	}
	tags := map[ecr.Tag]bool{}
	for page, err := range r.remote.Tags(ctx) {
		switch ecr.CodeOf(err) {
		case "":
		case ecr.CodeAccessDenied:
			if whole {
				return nil, err
			}
			r.tagsRead = true
			return nil, nil
		default:
			return nil, err
		}
		for _, t := range page.Items {
			tags[t] = true
		}
		if page.More && !whole {
			r.tagsRead = true
			return nil, nil
		}
	}
	r.tags, r.tagsRead = tags, true
	return tags, nil
}

// resolve is what a tag or digest stands for, as far as it was read in this run;
// ok is false when it is not there. Errors: RepositoryNotFound.
func (r *repository) resolve(ctx context.Context, reference string) (d remote.Descriptor, ok bool, err error) {
	if tag := ecr.Tag(reference); !strings.Contains(reference, ":") {
		r.mu.Lock()
		v, tags := r.index, r.tags
		r.mu.Unlock()
		switch {
		case v != nil:
			digest, ok := v.byTag[tag]
			return remote.Descriptor{Digest: digest, MediaType: v.byDigest[digest].MediaType, Size: -1}, ok, nil
		case tags != nil && !tags[tag]:
			return remote.Descriptor{}, false, nil
		}
	}
	d, err = r.remote.Resolve(ctx, reference)
	if ecr.CodeOf(err) == ecr.CodeImageNotFound {
		return d, false, nil
	}
	return d, err == nil, err
}

// has reports whether the repository has a manifest.
func (r *repository) has(ctx context.Context, d ecr.Digest) (bool, error) {
	if v := r.known(); v != nil {
		_, ok := v.byDigest[d]
		return ok, nil
	}
	_, ok, err := r.find(ctx, string(d))
	return ok, err
}

// find is resolve for a repository that may come with its first push.
func (r *repository) find(ctx context.Context, reference string) (d remote.Descriptor, ok bool, err error) {
	d, ok, err = r.resolve(ctx, reference)
	if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
		err = nil
	}
	return d, ok, err
}

// manifest reads a manifest, by digest only once in a run whatever the
// repository: it is what its digest says.
func (r *repository) manifest(ctx context.Context, reference string) (remote.Manifest, error) {
	if m, ok := r.promoter.cache.get(ecr.Digest(reference)); ok {
		return m, nil
	}
	m, err := r.remote.Manifest(ctx, reference)
	if err == nil {
		r.promoter.cache.put(m)
	}
	return m, err
}

// tagOf is the tag under which something belongs to the image d without a
// referrers API: cosign's with the suffix "sig", "att" or "sbom", or without one
// that of the list of referrers. Source: OCI distribution specification,
// "Referrers Tag Schema"; cosign, "Signature specification".
func tagOf(d ecr.Digest, suffix string) ecr.Tag {
	tag := strings.Replace(string(d), ":", "-", 1)
	if suffix != "" {
		tag += "." + suffix
	}
	return ecr.Tag(tag)
}

// cosignSuffixes are what cosign keeps under tags.
var cosignSuffixes = []string{"sig", "att", "sbom"}

// isSignatureTag reports whether the tag is one that tagOf makes.
func isSignatureTag(t ecr.Tag) bool {
	_, suffix, dotted := strings.Cut(string(t), ".")
	_, err := ecr.ParseDigest(string(subjectOf(t)))
	return err == nil && (!dotted || slices.Contains(cosignSuffixes, suffix))
}

// subjectOf is the image that a tag of tagOf belongs to.
func subjectOf(t ecr.Tag) ecr.Digest {
	name, _, _ := strings.Cut(string(t), ".")
	return ecr.Digest(strings.Replace(name, "-", ":", 1))
}

// referrers lists what refers to d. From a list under a tag, they are only
// candidates: those that are not really d's are left out when they are read.
// doubt says what is odd about that list.
func (r *repository) referrers(ctx context.Context, d ecr.Digest) (list []remote.Descriptor, candidates bool, doubt string, err error) {
	r.mu.Lock()
	noAPI := r.noAPI
	r.mu.Unlock()
	if !noAPI {
		var ok bool
		if list, ok, err = r.remote.Referrers(ctx, d); err != nil || ok {
			return list, false, "", err
		}
		r.mu.Lock()
		r.noAPI = true
		r.mu.Unlock()
	}
	tags, err := r.listTags(ctx, false)
	if err != nil || tags != nil && !tags[tagOf(d, "")] {
		return nil, false, "", err
	}
	list, doubt, err = r.listedReferrers(ctx, d)
	return list, true, doubt, err
}

// listedReferrers are what a list under a tag names as referring to d.
func (r *repository) listedReferrers(ctx context.Context, d ecr.Digest) (list []remote.Descriptor, doubt string, err error) {
	tag := string(tagOf(d, ""))
	m, err := r.remote.Manifest(ctx, tag)
	switch {
	case ecr.CodeOf(err) == ecr.CodeImageNotFound:
		return nil, "", nil
	case err != nil:
		return nil, "", err
	}
	// GitLab answers with the subject itself (oras-go#1396).
	if m.Digest == d || m.MediaType != manifest.MediaTypeOCIIndex {
		return nil, fmt.Sprintf("the tag %s is not a list of referrers, and is left out", tag), nil
	}
	if list, err = listed(m); err != nil {
		return nil, fmt.Sprintf("the tag %s is not a list of referrers, and is left out: %v", tag, err), nil
	}
	return list, "", nil
}

// listed are the children of an index, with their annotations.
func listed(m remote.Manifest) ([]remote.Descriptor, error) {
	if _, err := manifest.ParseElsewhere(m.Body, m.MediaType); err != nil {
		return nil, err
	}
	var index struct{ Manifests []remote.Descriptor }
	err := json.Unmarshal(m.Body, &index)
	return index.Manifests, err
}

// layerAnnotations are the annotations of a manifest's layers.
func layerAnnotations(body []byte) []map[string]string {
	var m struct {
		Layers []struct{ Annotations map[string]string }
	}
	if json.Unmarshal(body, &m) != nil {
		return nil // it was not read, or is no image
	}
	var out []map[string]string
	for _, l := range m.Layers {
		out = append(out, l.Annotations)
	}
	return out
}

// maxCached bounds the bytes of manifests that are remembered.
const maxCached = 64 << 20

// manifestCache remembers manifests by digest.
type manifestCache struct {
	mu    sync.Mutex
	byID  map[ecr.Digest]remote.Manifest // guarded by mu
	bytes int                            // guarded by mu
}

func (c *manifestCache) get(d ecr.Digest) (remote.Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.byID[d]
	return m, ok
}

// put remembers m while there is room. What is not remembered is read again.
func (c *manifestCache) put(m remote.Manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[m.Digest]; ok || c.bytes+len(m.Body) > maxCached {
		return
	}
	if c.byID == nil {
		c.byID = map[ecr.Digest]remote.Manifest{}
	}
	c.byID[m.Digest] = m
	c.bytes += len(m.Body)
}

// blob reads a small blob.
func (r *repository) blob(ctx context.Context, b Blob) ([]byte, error) {
	content, err := r.remote.OpenBlob(ctx, remote.Blob{Digest: b.Digest, Size: b.Size}, 0)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(content)
	return text, errors.Join(err, content.Close())
}

// putSmall uploads content that is in memory, unless it is there.
func (r *repository) putSmall(ctx context.Context, d ecr.Digest, b []byte) error {
	there, err := r.remote.Exists(ctx, d)
	if err != nil || there {
		return err
	}
	return r.remote.PutBlob(ctx, remote.Blob{Digest: d, Size: int64(len(b))}, nil, func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}, nil)
}
