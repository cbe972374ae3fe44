package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request of the OCI distribution API, for what no client here
// can say.
func (k *kontor) do(method, url, password string, body []byte, contentType string) answer {
	k.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = k.env["AWS_ENDPOINT_URL"] + url
	}
	req, err := http.NewRequestWithContext(k.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		k.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// pusherPassword is a docker password of the user who may push and pull.
func (k *kontor) pusherPassword() string {
	k.t.Helper()
	if k.password != "" {
		return k.password
	}
	return strings.TrimSpace(string(k.ok(kontorBin, "login", "--data", k.data, "--print-password")))
}

func (k *kontor) get(path, password string) []byte {
	k.t.Helper()
	got := k.do(http.MethodGet, path, password, nil, "")
	if got.status != http.StatusOK {
		k.t.Fatalf("GET %s: %d: %s", path, got.status, got.body)
	}
	return got.body
}

// pushArtifact pushes an artifact of the image layout by digest: its blobs,
// each in one request, and its manifest.
func (k *kontor) pushArtifact(repository, digest string, manifest []byte) {
	k.t.Helper()
	var m struct {
		MediaType string
		Config    descriptor
		Layers    []descriptor
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		k.t.Fatal(err)
	}
	at := "/v2/" + repository
	password := k.pusherPassword()
	for _, d := range append([]descriptor{m.Config}, m.Layers...) {
		got := k.do(http.MethodPost, at+"/blobs/uploads/?digest="+d.Digest, password, blobOf(k.t, imageDir, d.Digest), "application/octet-stream")
		if got.status != http.StatusCreated {
			k.t.Fatalf("POST of blob %s: %d: %s", d.Digest, got.status, got.body)
		}
	}
	got := k.do(http.MethodPut, at+"/manifests/"+digest, password, manifest, m.MediaType)
	if got.status != http.StatusCreated || got.header.Get("OCI-Subject") == "" {
		k.t.Fatalf("PUT of manifest %s: %d, OCI-Subject %q: %s", digest, got.status, got.header.Get("OCI-Subject"), got.body)
	}
}
