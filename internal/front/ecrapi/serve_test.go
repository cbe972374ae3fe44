package ecrapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A server is a handler over real stores, at a fixed time. Its caller is the
// administrator of the account home.
type server struct {
	h  *Handler
	p  access.Principal
	at Endpoint

	stores *testkit.World
}

// atHome is the endpoint of home, the only registry of its server.
var atHome = Endpoint{
	Registry: home, Serves: func(in ecr.RegistryID) bool { return in == home },
	Address: func(ecr.RegistryID) Address { return Address{"http", "localhost:5050"} },
}

// created is the image time of the tests, 2019-07-15T20:47:36.5Z.
const created = "1563223656.5"

func newServer(t *testing.T, change ...func(*testkit.Settings)) *server {
	t.Helper()
	ctx := context.Background()
	now := func() time.Time { return time.UnixMilli(1563223656500).UTC() }
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	stores := testkit.Open(t, testkit.Settings{Clock: now, Log: log})
	key, err := identity.CreateMasterKey(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	users := identity.New(identity.Config{Meta: stores.Meta, Key: key, Now: now})
	if err := users.EnsureAccount(ctx, home.Account); err != nil {
		t.Fatal(err)
	}
	admin, err := users.Credentials(ctx, home.Account, identity.Administrator)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := users.Lookup(ctx, admin.AccessKeyID)
	if err != nil {
		t.Fatal(err)
	}
	stores.Set(func(s *testkit.Settings) {
		s.Tokens = users
		for _, c := range change {
			c(s)
		}
	})
	return &server{
		stores: stores,
		h: New(Config{
			Gate: stores.Gate, Registry: stores.Registry, Upstreams: stores.Upstreams, Scanning: stores.Scans, Replication: stores.Replication, Retention: stores.Retention,
			Templates: templates.New(stores.Gate, stores.Registry, now), Signing: stores.Signing, Managed: stores.Managed, Log: log, Now: now,
		}),
		p:  p,
		at: atHome,
	}
}

func (s *server) do(operation, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.h.Serve(w, httptest.NewRequest(http.MethodPost, "/", nil), operation, []byte(body), s.p, s.at, "request-1")
	return w
}

// ok carries out an operation that must succeed and reads its response.
func ok[Out any](t *testing.T, s *server, operation, body string) Out {
	t.Helper()
	w := s.do(operation, body)
	var out Out
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", operation, body, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A step is a request and what must be answered. An error is written as its
// type and message.
type step struct{ operation, body, want string }

func (s *server) steps(t *testing.T, steps ...step) {
	t.Helper()
	for _, st := range steps {
		w := s.do(st.operation, st.body)
		if kind, message, isError := strings.Cut(st.want, ": "); isError && !strings.HasPrefix(st.want, "{") {
			status, body := encodeError(ecr.Errorf(ecr.Code(kind), "%s", message), "")
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			st.want = string(b)
			if w.Code != status {
				t.Errorf("%s: status %d, want %d", st.operation, w.Code, status)
			}
		} else if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", st.operation, w.Code)
		}
		if diff := cmp.Diff(semantic(t, []byte(st.want)), semantic(t, w.Body.Bytes())); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", st.operation, st.body, diff)
		}
	}
}

// push uploads a layer in one part and returns its digest. The repository may
// have it already.
func (s *server) push(t *testing.T, repo, content string) string {
	t.Helper()
	u := ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", fmt.Sprintf(`{"repositoryName": %q}`, repo))
	ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part(repo, *u.UploadId, 0, content))
	digest := string(ecr.DigestOf([]byte(content)))
	w := s.do("CompleteLayerUpload", fmt.Sprintf(`{"repositoryName": %q, "uploadId": %q, "layerDigests": [%q]}`, repo, *u.UploadId, digest))
	var out struct {
		Type        string `json:"__type"`
		LayerDigest string `json:"layerDigest"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.LayerDigest != digest && out.Type != "LayerAlreadyExistsException" {
		t.Fatalf("CompleteLayerUpload of %s: %d %s (%v)", digest, w.Code, w.Body, err)
	}
	return digest
}

// part is the request for uploading content at first.
func part(repo, upload string, first int, content string) string {
	return fmt.Sprintf(`{"repositoryName": %q, "uploadId": %q, "partFirstByte": %d, "partLastByte": %d, "layerPartBlob": %q}`,
		repo, upload, first, first+len(content)-1, base64.StdEncoding.EncodeToString([]byte(content)))
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// image pushes the blobs of an image named for its content and returns its
// manifest and digest.
func (s *server) image(t *testing.T, repo, content, more string) (manifest, digest string) {
	t.Helper()
	config := `{"architecture":"amd64","os":"linux","content":"` + content + `"}`
	manifest = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]%s}`,
		imageType, s.push(t, repo, config), len(config), s.push(t, repo, content), len(content), more)
	return manifest, string(ecr.DigestOf([]byte(manifest)))
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
