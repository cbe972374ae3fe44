package ociapi

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// maxTagParameters bounds the tags of one push; the specification's
// development version asks for at least 10.
const maxTagParameters = 100

// What caches may keep. Everything here is for one user's eyes.
const (
	cacheForever    = "private, max-age=31536000, immutable" // named by digest
	cacheRevalidate = "private, no-cache"                    // named by tag
)

// base answers GET /v2/: the caller has valid credentials.
func (x *exchange) base() error {
	writeJSON(x.w, http.StatusOK, "application/json", struct{}{})
	return nil
}

// imageID is the path's reference.
func (x *exchange) imageID() ecr.ImageID { return ecr.ImageID{Digest: x.digest, Tag: x.tag} }

func (x *exchange) getManifest() error {
	return x.readManifest(true)
}

func (x *exchange) headManifest() error { return x.readManifest(false) }

// readManifest answers GET, which is a pull, and HEAD.
func (x *exchange) readManifest(pull bool) (err error) {
	var m registry.Manifest
	switch {
	case x.puller != nil:
		m, err = x.pullManifest(pull)
	case pull:
		m, err = x.caller.Manifest(x.r.Context(), x.repo, x.imageID())
	default:
		m, err = x.caller.StatManifest(x.r.Context(), x.repo, x.imageID())
	}
	if err != nil {
		return err
	}
	return x.writeManifest(m)
}

// writeManifest sends what is stored, whatever the client accepts: OCI
// distribution has no conversion, and the digest would not be the manifest's.
func (x *exchange) writeManifest(m registry.Manifest) error {
	cache := cacheForever
	if x.tag != "" {
		cache = cacheRevalidate
	}
	x.serveContent(m.Digest, m.MediaType, cache, bytes.NewReader(m.Body))
	return nil
}

// putManifest stores a manifest under a tag or, with a digest in the path,
// under the tags of the query.
func (x *exchange) putManifest() error {
	tags, err := x.pushTags()
	if err != nil {
		return err
	}
	body, err := x.readAll(manifest.MaxSize)
	if err != nil {
		return err
	}
	res, err := x.caller.PutImage(x.r.Context(), x.repo, registry.NewImage{
		Body: body, MediaType: x.r.Header.Get("Content-Type"), Tags: tags, Digest: x.digest, Via: x.via(),
	})
	if err != nil {
		return err
	}
	h := x.w.Header()
	if x.digest != "" {
		for _, t := range tags {
			h.Add("Oci-Tag", string(t))
		}
	}
	if res.Subject != "" {
		h.Set("Oci-Subject", string(res.Subject))
	}
	x.created(fmt.Sprintf("/v2/%s/manifests/%s", x.repo.Name, res.Digest), res.Digest)
	return nil
}

// maxVia bounds the registries that an image was replicated through.
const maxVia = 25

// via are the registries that an image was replicated through, as another Kontor says that
// sends it: it is not replicated back to them. Whoever pushes may say so of its own push.
func (x *exchange) via() []ecr.RegistryID {
	var all []ecr.RegistryID
	for _, name := range strings.Split(x.r.Header.Get(ecr.ReplicatedFromHeader), ",") {
		account, region, _ := strings.Cut(strings.TrimSpace(name), "/")
		a, err := ecr.ParseAccountID(account)
		if err != nil {
			continue
		}
		if r, err := ecr.ParseRegion(region); err == nil && len(all) < maxVia {
			all = append(all, ecr.RegistryID{Account: a, Region: r})
		}
	}
	return all
}

// pushTags are the tags of a push.
func (x *exchange) pushTags() ([]ecr.Tag, error) {
	if x.tag != "" {
		return []ecr.Tag{x.tag}, nil
	}
	var tags []ecr.Tag
	seen := map[ecr.Tag]bool{}
	for _, s := range x.r.URL.Query()["tag"] {
		tag, err := ecr.ParseTag(s)
		if err != nil {
			return nil, inputError(tagInvalid, err)
		}
		if !seen[tag] {
			seen[tag] = true
			tags = append(tags, tag)
		}
	}
	if len(tags) > maxTagParameters {
		return nil, &wireError{wire{http.StatusRequestURITooLong, "TAG_INVALID"},
			ecr.InvalidParameter("tag", "Member must have length less than or equal to %d", maxTagParameters)}
	}
	return tags, nil
}

// deleteManifest deletes the image by digest, or only the tag by tag.
func (x *exchange) deleteManifest() error {
	var err error
	if x.tag != "" {
		err = x.caller.DeleteTag(x.r.Context(), x.repo, x.tag)
	} else {
		err = x.caller.DeleteManifest(x.r.Context(), x.repo, x.digest)
	}
	if err != nil {
		return err
	}
	x.empty(http.StatusAccepted)
	return nil
}

// created answers 201 for content that is now at location.
func (x *exchange) created(location string, d ecr.Digest) {
	h := x.w.Header()
	h.Set("Location", location)
	h.Set("Docker-Content-Digest", string(d))
	x.empty(http.StatusCreated)
}

// empty answers without a body.
func (x *exchange) empty(status int) {
	if status != http.StatusNoContent {
		x.w.Header().Set("Content-Length", "0")
	}
	x.w.WriteHeader(status)
}

// etag is the entity tag of content: the quoted digest.
func etag(d ecr.Digest) string { return `"` + strings.ReplaceAll(string(d), `"`, "") + `"` }
