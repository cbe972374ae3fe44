package scanning_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// asScanner is the variable with which the test binary is a scanner: a program that reads
// an OCI layout and prints a report.
const asScanner = "SCANNER_UNDER_TEST"

func TestMain(m *testing.M) {
	if how := os.Getenv(asScanner); how != "" {
		scannerMain(how, os.Args[1:])
	}
	pgtest.Main(m)
}

// command is a World whose scanner is the test binary, and does how.
func command(t *testing.T, how string, change func(*testkit.Settings, *scanning.CommandConfig), args ...string) *testkit.World {
	t.Helper()
	t.Setenv(asScanner, how)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if args == nil {
		args = []string{"{layout}"}
	}
	return commandLine(t, append([]string{self}, args...), change)
}

func commandLine(t *testing.T, line []string, change func(*testkit.Settings, *scanning.CommandConfig)) *testkit.World {
	t.Helper()
	later := new(laterScanner)
	settings := testkit.Settings{Compat: registry.CompatECR, Scanner: later, ScanSlots: 1}
	cfg := scanning.CommandConfig{Command: line, Folder: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&settings, &cfg)
	}
	w := testkit.Open(t, settings)
	cfg.Registry = w.Registry
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	later.Scanner = scanning.NewCommand(cfg)
	return w
}

// laterScanner is a scanner that needs the World that it is of.
type laterScanner struct{ scanning.Scanner }

// run does all scans that are due.
func run(t *testing.T, w *testkit.World) (over int) {
	t.Helper()
	over, err := w.Scans.RunSlot(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return over
}

func start(t *testing.T, w *testkit.World, at ecr.Repo, tag ecr.Tag) {
	t.Helper()
	if _, err := w.Scans.As(testkit.Admin).StartScan(t.Context(), at, ecr.ImageID{Tag: tag}); err != nil {
		t.Fatal(err)
	}
}

// findings is what is told of a scan, and all that it found.
func findings(t *testing.T, w *testkit.World, at ecr.Repo, tag ecr.Tag) (scanning.Summary, []scanning.Finding) {
	t.Helper()
	s, list, more, err := w.Scans.As(testkit.Admin).ScanFindings(t.Context(), at, ecr.ImageID{Tag: tag}, 0, 1000)
	if err != nil || more {
		t.Fatal(more, err)
	}
	return s, list
}

// adapter is a web service that speaks Harbor's scanner API, and reads the layers of what
// it scans from the registry that it is told. A layer whose text has "CVE-..." is
// vulnerable to that.
type adapter struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string                                      // guarded by mu
	reports  map[string][]byte                             // guarded by mu
	waited   map[string]bool                               // guarded by mu
	tokens   []string                                      // guarded by mu; passwords that it got
	read     func(scanRequest) []byte                      // guarded by mu; nil for readLayers
	spoil    func(w http.ResponseWriter, path string) bool // guarded by mu; nil for none
}

type scanRequest struct {
	Registry struct{ URL, Authorization string } `json:"registry"`
	Artifact struct {
		Repository, Digest, Tag string
		MediaType               string `json:"mime_type"`
	} `json:"artifact"`
}

func newAdapter(t *testing.T) *adapter {
	a := &adapter{reports: map[string][]byte{}, waited: map[string]bool{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r.Method+" "+r.URL.Path)
	if a.spoil != nil && a.spoil(w, r.URL.Path) {
		return
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/base/api/v1/metadata":
		_, _ = w.Write([]byte(`{"scanner":{"name":"Small","vendor":"Kontor","version":"1.2"},"capabilities":[{"type":"vulnerability",
			"consumes_mime_types":["application/vnd.oci.image.manifest.v1+json"],"produces_mime_types":["application/vnd.security.vulnerability.report; version=1.1"]}],
			"properties":{"harbor.scanner-adapter/vulnerability-database-updated-at":"2026-02-03T04:05:06Z"}}`))
	case r.Method == http.MethodPost && r.URL.Path == "/base/api/v1/scan":
		var in scanRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.tokens = append(a.tokens, in.Registry.Authorization)
		read := a.read
		if read == nil {
			read = readLayers
		}
		id := fmt.Sprint("scan ", len(a.tokens))
		a.reports[id] = read(in)
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]string{"id": id})
	default:
		id, ok := strings.CutPrefix(r.URL.Path, "/base/api/v1/scan/")
		id, isReport := strings.CutSuffix(id, "/report")
		switch report := a.reports[id]; {
		case !ok || !isReport || report == nil:
			http.NotFound(w, r)
		case !a.waited[id]:
			a.waited[id] = true
			w.Header().Set("Refresh-After", "0")
			w.Header().Set("Location", r.URL.Path)
			w.WriteHeader(http.StatusFound)
		default:
			_, _ = w.Write(report)
		}
	}
}

// report is one of Harbor's with a finding for each of names.
func report(names ...string) []byte {
	list := []map[string]any{}
	for _, name := range names {
		list = append(list, map[string]any{"id": name, "package": "libexample", "version": "1.0", "fix_version": "1.1", "severity": "High",
			"description": "It is bad.", "links": []string{"https://example.com/" + name}, "preferred_cvss": map[string]any{"score_v3": 7.5, "vector_v3": "CVSS:3.1/AV:N"}})
	}
	return testkit.JSON(map[string]any{"scanner": map[string]string{"name": "Small", "version": "1.2"}, "vulnerabilities": list})
}

// readLayers reads the layers of an image as a scanner does: with the OCI protocol, and
// the password that it was given.
func readLayers(in scanRequest) []byte {
	get := func(path string) []byte {
		r, err := http.NewRequest(http.MethodGet, in.Registry.URL+"/v2/"+in.Artifact.Repository+path, nil)
		if err != nil {
			return nil
		}
		r.Header.Set("Authorization", in.Registry.Authorization)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil
		}
		return text
	}
	var image struct{ Layers []struct{ Digest string } }
	if err := json.Unmarshal(get("/manifests/"+in.Artifact.Digest), &image); err != nil {
		return []byte("no manifest: " + err.Error())
	}
	var names []string
	for _, l := range image.Layers {
		names = append(names, named(string(get("/blobs/"+l.Digest)))...)
	}
	return report(names...)
}

// named are the names of vulnerabilities in a text.
func named(text string) (names []string) {
	for _, word := range strings.Fields(text) {
		if strings.HasPrefix(word, "CVE-") {
			names = append(names, word)
		}
	}
	return names
}
