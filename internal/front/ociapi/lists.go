package ociapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/upstream"
)

const (
	// maxPage is the largest page of tags and repositories, and the default.
	maxPage = 1000
	// referrersPage is ECR's largest page of ListImageReferrers.
	referrersPage = 50
	// maxReferrersBytes bounds the descriptors on a page of referrers, as they are
	// sent: clients read no larger index than a manifest may be.
	maxReferrersBytes = manifest.MaxSize - 1024
	// maxPosition bounds the last parameter.
	maxPosition = ecr.MaxRepositoryName
)

func (x *exchange) listTags() error {
	n, last, err := x.page()
	if err != nil {
		return err
	}
	tags, more, err := x.caller.ListTags(x.r.Context(), x.repo, ecr.Tag(last), max(n, 1))
	if err != nil {
		return err
	}
	if n == 0 {
		tags, more = nil, false
	}
	if more && len(tags) > 0 {
		x.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {string(tags[len(tags)-1])}})
	}
	writeJSON(x.w, http.StatusOK, "application/json", struct {
		Name ecr.RepositoryName `json:"name"`
		Tags []ecr.Tag          `json:"tags"`
	}{x.repo.Name, append([]ecr.Tag{}, tags...)})
	return nil
}

func (x *exchange) listCatalog() error {
	n, last, err := x.page()
	if err != nil {
		return err
	}
	repos, more, err := x.caller.ListRepositories(x.r.Context(), x.at, ecr.RepositoryName(last), max(n, 1))
	if err != nil {
		return err
	}
	if n == 0 {
		repos, more = nil, false
	}
	names := []ecr.RepositoryName{}
	for _, r := range repos {
		names = append(names, r.Name)
	}
	if more && len(names) > 0 {
		x.linkNext(url.Values{"n": {strconv.Itoa(n)}, "last": {string(names[len(names)-1])}})
	}
	writeJSON(x.w, http.StatusOK, "application/json", struct {
		Repositories []ecr.RepositoryName `json:"repositories"`
	}{names})
	return nil
}

// referrer is a descriptor in the list of referrers.
type referrer struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"`
	Digest       ecr.Digest        `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// listReferrers answers with an image index of what refers to a digest, which
// need not exist.
func (x *exchange) listReferrers() error {
	q := x.r.URL.Query()
	artifactType := q.Get("artifactType")
	var after ecr.Digest
	if last := q.Get("last"); last != "" {
		var err error
		if after, err = ecr.ParseDigest(last); err != nil {
			return inputError(digestInvalid, err)
		}
	}
	var came upstream.Answer
	if after == "" && x.puller != nil {
		var err error
		if came, err = x.pullReferrers(); err != nil {
			return err
		}
	}
	list, next, err := x.caller.ListReferrers(x.r.Context(), x.repo, x.digest, artifactType, after, referrersPage)
	if err == nil {
		x.tellCache(came)
	}
	if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound && !x.ecrCompat() {
		// "the registry MUST NOT return a 404 Not Found to a referrers API
		// requests": clients would take it for a registry without the API.
		list, next, err = nil, "", nil
	}
	if err != nil {
		return err
	}
	descriptors, size := []json.RawMessage{}, 0
	for i, r := range list {
		d := encodeReferrer(r)
		if size += len(d) + len(","); i > 0 && size > maxReferrersBytes {
			next = list[i-1].Digest
			break
		}
		descriptors = append(descriptors, d)
	}
	if next != "" {
		more := url.Values{"last": {string(next)}}
		if artifactType != "" {
			more.Set("artifactType", artifactType)
		}
		x.linkNext(more)
	}
	if artifactType != "" {
		x.w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	writeJSON(x.w, http.StatusOK, manifest.MediaTypeOCIIndex, struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}{2, manifest.MediaTypeOCIIndex, descriptors})
	return nil
}

// encodeReferrer is r as it is sent. Annotations that fit on no page are left
// out: they are in the manifest.
func encodeReferrer(r registry.Referrer) json.RawMessage {
	d := referrer{r.MediaType, r.SizeBytes, r.Digest, r.ArtifactType, r.Annotations}
	b := encodeJSON(d)
	if len(b) > maxReferrersBytes {
		d.Annotations = nil
		b = encodeJSON(d)
	}
	return b
}

// page reads n and last. More than maxPage is what ECR refuses; by the
// specification a registry may answer with less than was asked for.
func (x *exchange) page() (n int, last string, err error) {
	q := x.r.URL.Query()
	n = maxPage
	if s := q.Get("n"); s != "" {
		if !digits(s) {
			return 0, "", ecr.InvalidParameter("maxResults", "Member must have value greater than or equal to 0")
		}
		if n, err = strconv.Atoi(s); err != nil || n > maxPage {
			if x.ecrCompat() {
				return 0, "", ecr.InvalidParameter("maxResults", "Member must have value less than or equal to %d", maxPage)
			}
			n = maxPage
		}
	}
	last = q.Get("last")
	if !isPosition(last) {
		return 0, "", ecr.InvalidParameter("last", "must be a name or a tag")
	}
	return n, last, nil
}

// isPosition reports whether s may be looked up as the end of a page: it need
// not exist, nor be a whole name.
func isPosition(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= maxPosition
}

// linkNext points to the next page of the same list (RFC 8288).
func (x *exchange) linkNext(q url.Values) {
	path := (&url.URL{Path: x.r.URL.Path}).EscapedPath()
	x.w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, q.Encode()))
}
