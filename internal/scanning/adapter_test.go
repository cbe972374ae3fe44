package scanning_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// passwords are credentials of one use, which the site of a test accepts.
type passwords struct{ issued, revoked int }

func (p *passwords) Issue(_ context.Context, at ecr.Repo, until time.Time) (user, password, id string, err error) {
	if until.Before(time.Now()) {
		return "", "", "", errors.New("it is over before it begins")
	}
	p.issued++
	return "scanner", "secret of " + string(at.Name), "id", nil
}

func (p *passwords) Revoke(context.Context, ecr.Repo, string) error {
	p.revoked++
	return nil
}

// scannedBy is a World behind a real server whose scanner is the web service a.
func scannedBy(t *testing.T, a *adapter, private bool) (*testkit.World, *passwords) {
	t.Helper()
	later, keys := new(laterScanner), new(passwords)
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Scanner: later, ScanSlots: 1})
	oci := ociapi.New(ociapi.Config{Registry: w.Registry, Upstreams: w.Upstreams, Log: w.Settings.Log})
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "scanner" || password != "secret of app" {
			ociapi.WriteUnauthorized(rw, r.Host)
			return
		}
		oci.Serve(rw, r, w.Gate.As(access.Principal{System: "test"}), testkit.Home, "request-1")
	}))
	t.Cleanup(site.Close)
	here, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(a.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	later.Scanner = scanning.NewAdapter(scanning.AdapterConfig{URL: at, Private: private, Address: func(ecr.RegistryID) *url.URL { return here }, Credentials: keys})
	return w, keys
}

// A web service reads the image with the password that it is given, and is asked for its
// report until that is there.
func TestAdapter(t *testing.T) {
	a := newAdapter(t)
	w, keys := scannedBy(t, a, true)
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "a CVE-2026-1 "), "v1")
	start(t, w, app, "v1")
	if n := run(t, w); n != 1 {
		t.Fatalf("%d scans were over: %v", n, a.requests)
	}
	s, list := findings(t, w, app, "v1")
	if s.Status != ecr.ScanComplete || len(list) != 1 || list[0].Name != "CVE-2026-1" || s.Scanner != "Small 1.2" ||
		!s.UpdatedAt.Equal(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)) {
		t.Errorf("%+v %+v", s, list)
	}
	if keys.issued != 1 || keys.revoked != 1 {
		t.Errorf("%+v", keys)
	}
	status, err := w.Scans.As(testkit.Admin).ScannerStatus(t.Context(), testkit.Home)
	if err != nil || status.About.Name != "Small" || status.About.Kind != "adapter" || status.Failure != "" {
		t.Errorf("%+v %v", status, err)
	}
}

// What a web service does wrong makes the scan fail, and nothing else.
func TestWrongAdapter(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		private    bool
		spoil      func(w http.ResponseWriter, path string) bool
	}{
		{"an address that is private", "is not dialled", false, nil},
		{"a redirect to another host", "the scanner answered 302 Found", true, func(w http.ResponseWriter, path string) bool {
			if !strings.HasSuffix(path, "/metadata") {
				return false
			}
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(http.StatusFound)
			return true
		}},
		{"an error that repeats the password", "the scanner answered 500 Internal Server Error: the password ... is wrong", true, func(w http.ResponseWriter, path string) bool {
			if !strings.HasSuffix(path, "/scan") {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"error":{"message":"the password secret of app is\u0007 wrong"}}`))
			return true
		}},
		{"an answer without an end", "the scanner's answer has more than 1048576 bytes", true, func(w http.ResponseWriter, path string) bool {
			if !strings.HasSuffix(path, "/scan") {
				return false
			}
			w.WriteHeader(http.StatusAccepted)
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return true
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAdapter(t)
			a.spoil = tt.spoil
			w, keys := scannedBy(t, a, tt.private)
			app := w.Repo("app", ecr.Mutable)
			w.MustPut(app, w.Image(app, "any"), "v1")
			start(t, w, app, "v1")
			for range 5 {
				run(t, w)
				w.Advance(time.Hour)
			}
			if s, _ := findings(t, w, app, "v1"); s.Status != ecr.ScanFailed || !strings.Contains(s.Reason, tt.want) {
				t.Errorf("%+v", s)
			}
			if keys.issued != keys.revoked {
				t.Errorf("%+v", keys)
			}
		})
	}
}
