package ecrapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// get fetches a download URL without credentials.
func (s *server) get(method, address string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, address, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	serveDownload(s.h, w, r)
	return w
}

func TestGetDownloadURLForLayer(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "team/app"}`)
	loose := s.push(t, "team/app", "no image refers to it")
	manifest, _ := s.image(t, "team/app", "the layer", "")
	ok[PutImageResponse](t, s, "PutImage", fmt.Sprintf(`{"repositoryName": "team/app", "imageManifest": %s, "imageTag": "v1"}`, quoted(t, manifest)))
	digest, unknown := string(ecr.DigestOf([]byte("the layer"))), string(ecr.DigestOf([]byte("unknown")))
	ask := func(digest string) string {
		return fmt.Sprintf(`{"repositoryName": "team/app", "layerDigest": %q}`, digest)
	}
	s.steps(t,
		step{"GetDownloadUrlForLayer", ask(unknown), "LayersNotFoundException: The layer with digest '" + unknown +
			"' does not exist within the repository with name 'team/app' in the registry with id '000000000000'"},
		step{"GetDownloadUrlForLayer", ask(loose), "LayerInaccessibleException: The layer with digest '" + loose +
			"' in the repository with name 'team/app' in the registry with id '000000000000' is not associated with any image"},
		step{"GetDownloadUrlForLayer", `{"repositoryName": "nowhere", "layerDigest": "` + digest + `"}`,
			"RepositoryNotFoundException: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
	)
	out := ok[GetDownloadUrlForLayerResponse](t, s, "GetDownloadUrlForLayer", ask(digest))
	address := *out.DownloadUrl
	if *out.LayerDigest != digest || !strings.HasPrefix(address, "http://localhost:5050/layer-downloads?ticket=") {
		t.Errorf("%s %s", *out.LayerDigest, address)
	}
	for _, tc := range []struct {
		method, header, value string
		status                int
		body                  string
	}{
		{http.MethodGet, "", "", 200, "the layer"},
		{http.MethodHead, "", "", 200, ""},
		{http.MethodGet, "Range", "bytes=4-", 206, "layer"},
		{http.MethodGet, "Range", "bytes=99-", 416, "invalid range: failed to overlap\n"},
		{http.MethodGet, "If-None-Match", `"` + digest + `"`, 304, ""},
		{http.MethodPost, "", "", 405, "a layer can only be read here\n"},
	} {
		t.Run(tc.method+" "+tc.header+" "+tc.value, func(t *testing.T) {
			w := s.get(tc.method, address, tc.header, tc.value)
			if w.Code != tc.status || w.Body.String() != tc.body {
				t.Errorf("%s %s %s: %d %q", tc.method, tc.header, tc.value, w.Code, w.Body)
			}
		})
	}

	// Nothing else opens it.
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	sealed := u.Query().Get("ticket")
	flipped := []byte(sealed)
	flipped[10] ^= 1
	for name, ticket := range map[string]string{
		"none": "", "changed": string(flipped), "cut": sealed[:len(sealed)-2], "longer": sealed + "AA", "too long": sealed + strings.Repeat("A", 2000), "not base64": "!!",
	} {
		t.Run(name, func(t *testing.T) {
			if w := s.get(http.MethodGet, DownloadPath+"?ticket="+ticket); w.Code != http.StatusForbidden {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	other := New(s.h.cfg) // another process, with its own key
	w := httptest.NewRecorder()
	serveDownload(other, w, httptest.NewRequest(http.MethodGet, address, nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("another key: %d", w.Code)
	}

	// It ends with its time, and with the layer.
	issued := s.h.cfg.Now()
	for after, status := range map[time.Duration]int{0: 200, downloadLife - time.Second: 200, downloadLife: 403, 24 * time.Hour: 403} {
		t.Run(after.String(), func(t *testing.T) {
			s.h.cfg.Now = func() time.Time { return issued.Add(after) }
			if w := s.get(http.MethodGet, address); w.Code != status {
				t.Errorf("after %s: %d, want %d", after, w.Code, status)
			}
		})
	}
	s.h.cfg.Now = func() time.Time { return issued }
	ok[DeleteRepositoryResponse](t, s, "DeleteRepository", `{"repositoryName": "team/app", "force": true}`)
	if w := s.get(http.MethodGet, address); w.Code != http.StatusNotFound {
		t.Errorf("after the repository: %d %s", w.Code, w.Body)
	}
}

func FuzzTicket(f *testing.F) {
	h := New(Config{DownloadKey: make([]byte, 32)})
	now := time.Unix(1_000_000, 0)
	good, err := h.seal(Ticket{"000000000000", "us-east-1", "app", ecr.DigestOf(nil), now.Unix() + 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := h.open(s, now); err == nil && s != good {
			t.Errorf("%q was accepted", s)
		}
	})
}

// serveDownload answers as the server does.
func serveDownload(h *Handler, w http.ResponseWriter, r *http.Request) {
	t, err := h.OpenTicket(r)
	if err != nil {
		h.RefuseTicket(w, err)
		return
	}
	h.ServeDownload(w, r, t, "request-1")
}
