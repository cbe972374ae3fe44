package remotetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Registry is a registry as tests reach it: by plain requests, not by what is
// tested.
type Registry struct {
	Host           string
	User, Password string
}

// Answered is what a registry answered, without the body.
type Answered struct {
	StatusCode int
	Header     http.Header
	asked      *url.URL
}

// Location is the address that the answer leads to.
func (a Answered) Location() (*url.URL, error) {
	return a.asked.Parse(a.Header.Get("Location"))
}

// Do sends a request to /v2/path and reads the answer.
func (r Registry) Do(method, path, contentType string, body []byte) (Answered, []byte, error) {
	address := "http://" + r.Host + "/v2/" + path
	if strings.HasPrefix(path, "http://") {
		address = path
	}
	req, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return Answered{}, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if method == http.MethodGet || method == http.MethodHead {
		req.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")
	}
	if r.User != "" {
		req.SetBasicAuth(r.User, r.Password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answered{}, nil, err
	}
	b, err := io.ReadAll(resp.Body)
	return Answered{resp.StatusCode, resp.Header, req.URL}, b, errors.Join(err, resp.Body.Close())
}

// Push pushes content into a repository.
func (r Registry) Push(repository string, c *Content) error {
	for d, b := range c.Blobs {
		if err := r.PushBlob(repository, d, b); err != nil {
			return err
		}
	}
	for _, m := range c.Manifests {
		for _, reference := range []string{string(m.Digest), m.Tag} {
			if reference == "" {
				continue
			}
			if err := r.PushManifest(repository, reference, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// PushBlob uploads a blob.
func (r Registry) PushBlob(repository string, d ecr.Digest, b []byte) error {
	resp, body, err := r.Do(http.MethodPost, repository+"/blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("starting an upload: %d %s", resp.StatusCode, body)
	}
	location, err := resp.Location()
	if err != nil {
		return err
	}
	location.RawQuery = strings.TrimPrefix(location.RawQuery+"&"+url.Values{"digest": {string(d)}}.Encode(), "&")
	if resp, body, err = r.Do(http.MethodPut, location.String(), "application/octet-stream", b); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("uploading %s: %d %s", d, resp.StatusCode, body)
	}
	return nil
}

// PushManifest pushes a manifest by tag or digest.
func (r Registry) PushManifest(repository, reference string, m Manifest) error {
	resp, body, err := r.Do(http.MethodPut, repository+"/manifests/"+reference, m.MediaType, m.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("pushing %s: %d %s", reference, resp.StatusCode, body)
	}
	return nil
}

// Manifest reads a manifest; nil when there is none.
func (r Registry) Manifest(t testing.TB, repository, reference string) []byte {
	t.Helper()
	resp, body, err := r.Do(http.MethodGet, repository+"/manifests/"+reference, "", nil)
	switch {
	case err != nil:
		t.Fatal(err)
	case resp.StatusCode == http.StatusNotFound:
		return nil
	case resp.StatusCode != http.StatusOK:
		t.Fatalf("reading %s of %s: %d %s", reference, repository, resp.StatusCode, body)
	}
	return body
}

// Blob reads a blob; nil when there is none.
func (r Registry) Blob(t testing.TB, repository string, d ecr.Digest) []byte {
	t.Helper()
	resp, body, err := r.Do(http.MethodGet, repository+"/blobs/"+string(d), "", nil)
	switch {
	case err != nil:
		t.Fatal(err)
	case resp.StatusCode == http.StatusNotFound:
		return nil
	case resp.StatusCode != http.StatusOK:
		t.Fatalf("reading %s of %s: %d %s", d, repository, resp.StatusCode, body)
	}
	return body
}

// Referrers are the digests of what refers to d.
func (r Registry) Referrers(t testing.TB, repository string, d ecr.Digest) []ecr.Digest {
	t.Helper()
	resp, body, err := r.Do(http.MethodGet, repository+"/referrers/"+string(d), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("referrers of %s in %s: %d %s", d, repository, resp.StatusCode, body)
	}
	var list struct{ Manifests []struct{ Digest ecr.Digest } }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	var out []ecr.Digest
	for _, m := range list.Manifests {
		out = append(out, m.Digest)
	}
	return out
}

// Tags are all tags, of at most a thousand.
func (r Registry) Tags(t testing.TB, repository string) []string {
	t.Helper()
	resp, body, err := r.Do(http.MethodGet, repository+"/tags/list?n=1000", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("tags of %s: %d %s", repository, resp.StatusCode, body)
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	return list.Tags
}
