package ociapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
)

func TestParsePath(t *testing.T) {
	const d = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := []struct {
		path string
		want route
		ok   bool
	}{
		{"/v2", route{kind: kindBase}, true},
		{"/v2/", route{kind: kindBase}, true},
		{"/v2/_catalog", route{kind: kindCatalog}, true},
		{"/v2/app/tags/list", route{kind: kindTags, name: "app"}, true},
		{"/v2/team/web/app/tags/list", route{kind: kindTags, name: "team/web/app"}, true},
		{"/v2/app/manifests/1.0", route{kindManifest, "app", "1.0"}, true},
		{"/v2/team/app/manifests/" + d, route{kindManifest, "team/app", d}, true},
		{"/v2/app/blobs/" + d, route{kindBlob, "app", d}, true},
		{"/v2/app/blobs/uploads/", route{kind: kindStartUpload, name: "app"}, true},
		{"/v2/app/blobs/uploads", route{kind: kindStartUpload, name: "app"}, true},
		{"/v2/app/blobs/uploads/0-9", route{kindUpload, "app", "0-9"}, true},
		{"/v2/app/referrers/" + d, route{kindReferrers, "app", d}, true},

		// Names may hold the words that routes are made of.
		{"/v2/tags/list/tags/list", route{kind: kindTags, name: "tags/list"}, true},
		{"/v2/a/tags/manifests/list", route{kindManifest, "a/tags", "list"}, true},
		{"/v2/a/manifests/x/blobs/uploads/", route{kind: kindStartUpload, name: "a/manifests/x"}, true},
		{"/v2/blobs/uploads/blobs/uploads/7", route{kindUpload, "blobs/uploads", "7"}, true},
		{"/v2/a/blobs/uploads/manifests/t", route{kindManifest, "a/blobs/uploads", "t"}, true},
		{"/v2/manifests/manifests/manifests", route{kindManifest, "manifests", "manifests"}, true},
		{"/v2/a/blobs/uploads/tags/list", route{kind: kindTags, name: "a/blobs/uploads"}, true},
		{"/v2/_catalog/tags/list", route{kind: kindTags, name: "_catalog"}, true}, // the name is refused later

		{"", route{}, false},
		{"/", route{}, false},
		{"/v1/", route{}, false},
		{"/v2x/app/tags/list", route{}, false},
		{"/v2/app", route{}, false},
		{"/v2/app/", route{}, false},
		{"/v2/tags/list", route{}, false},
		{"/v2/app/tags", route{}, false},
		{"/v2/app/tags/", route{}, false},
		{"/v2/app/tags/last", route{}, false},
		{"/v2/app/manifests/", route{}, false},
		{"/v2/app/manifests", route{}, false},
		{"/v2/app/referrers/", route{}, false},
		{"/v2/app/uploads/7", route{}, false},
		{"/v2/blobs/uploads/7", route{}, false},
		{"/v2/app/blobs/", route{}, false},
		{"/v2/_catalog/", route{}, false},
	}
	for _, tt := range tests {
		t.Run("path "+tt.path, func(t *testing.T) {
			got, ok := parsePath(tt.path)
			if ok != tt.ok {
				t.Errorf("%q: ok is %v", tt.path, ok)
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(route{})); ok && diff != "" {
				t.Errorf("%q (-want +got)\n%s", tt.path, diff)
			}
		})
	}
}

func TestParseContentRange(t *testing.T) {
	tests := []struct {
		header      string
		first, last int64
		ok          bool
	}{
		{"0-0", 0, 0, true},
		{"0-1023", 0, 1023, true},
		{"1024-2047", 1024, 2047, true},
		{"bytes 0-1023/4096", 0, 1023, true},
		{"bytes 0-1023/*", 0, 1023, true},
		{"bytes=5-6", 5, 6, true},
		{"0-9223372036854775807", 0, 0, false}, // its length is no int64
		{"1-9223372036854775807", 1, 1<<63 - 1, true},
		{"0-9223372036854775808", 0, 0, false},
		{"5-4", 0, 0, false},
		{"-5", 0, 0, false},
		{"5-", 0, 0, false},
		{"5", 0, 0, false},
		{"+1-+2", 0, 0, false},
		{"0--1", 0, 0, false},
		{"a-b", 0, 0, false},
		{"bytes */4096", 0, 0, false},
	}
	for _, tt := range tests {
		t.Run("range "+tt.header, func(t *testing.T) {
			first, last, ok := parseContentRange(tt.header)
			if ok != tt.ok || ok && (first != tt.first || last != tt.last) {
				t.Errorf("%q: got %d, %d, %v", tt.header, first, last, ok)
			}
		})
	}
}

// What is no upload id never reaches a store, which may not take all bytes.
func TestUploadIDs(t *testing.T) {
	h := handler(registry.CompatECR, io.Discard) // it has no stores
	for _, id := range []string{"%00", "%ff", "a%20b", strings.Repeat("a", 65), "%E2%82%AC"} {
		t.Run(id, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.Serve(w, httptest.NewRequest(http.MethodGet, "/v2/app/blobs/uploads/"+id, nil), gate.New(gate.Config{}).As(access.Principal{}), ecr.RegistryID{Account: "000000000000"}, "id")
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "BLOB_UPLOAD_UNKNOWN") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/v2/", "/v2/a/tags/list", "/v2/a/b/blobs/uploads/x", "/v2/a/blobs/uploads", "/v2/a/manifests/t", "/v2//referrers/x:y", "/v2/_catalog"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt, ok := parsePath(path)
		if !ok {
			return
		}
		// What was taken apart is, put together, the same path.
		want := map[kind]string{
			kindBase: "/v2/", kindCatalog: "/v2/_catalog",
			kindTags: "/v2/" + rt.name + "/tags/list", kindManifest: "/v2/" + rt.name + "/manifests/" + rt.ref,
			kindBlob: "/v2/" + rt.name + "/blobs/" + rt.ref, kindReferrers: "/v2/" + rt.name + "/referrers/" + rt.ref,
			kindStartUpload: "/v2/" + rt.name + "/blobs/uploads/", kindUpload: "/v2/" + rt.name + "/blobs/uploads/" + rt.ref,
		}[rt.kind]
		if path != want && path+"/" != want {
			t.Fatalf("%q was read as %+v, which is %q", path, rt, want)
		}
		if strings.Contains(rt.ref, "/") {
			t.Fatalf("%q has a reference with a slash: %+v", path, rt)
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"0-1", "bytes 0-1/2", "bytes */1", "9223372036854775807-9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if first, last, ok := parseContentRange(s); ok && (first < 0 || last < first || last-first+1 <= 0) {
			t.Fatalf("%q: accepted %d-%d", s, first, last)
		}
	})
}
