package ociapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// FuzzServe sends whole requests: paths, queries, and the headers that are
// parsed. None panics or fails for a reason that is not the client's.
func FuzzServe(f *testing.F) {
	stores := testkit.Open(f, testkit.Settings{Compat: registry.CompatOCI, Clock: time.Now})
	h := ociapi.New(ociapi.Config{Registry: stores.Registry, Log: slog.New(slog.DiscardHandler)})
	stores.Repo("app", ecr.Mutable)
	methods := []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"}
	serve := func(method byte, target, header, value, body string) *httptest.ResponseRecorder {
		path, query, _ := strings.Cut(target, "?")
		r := &http.Request{
			Method: methods[int(method)%len(methods)], URL: &url.URL{Path: "/v2/" + path, RawQuery: query}, Header: http.Header{},
			ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Host: "localhost",
		}
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.Serve(w, r.WithContext(context.Background()), stores.Gate.As(admin), here, "request-1")
		return w
	}
	const content = "a blob"
	blob := string(ecr.DigestOf([]byte(content)))
	image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":6},"layers":[]}`,
		manifest.MediaTypeOCIManifest, blob)
	for _, seed := range []struct {
		method                      byte
		target, header, value, body string
	}{
		{3, "app/blobs/uploads/?digest=" + blob, "", "", content},
		{2, "app/manifests/v1", "Content-Type", manifest.MediaTypeOCIManifest, image},
		{0, "app/blobs/" + blob, "Range", "bytes=1-2,-1,4-", ""},
		{0, "app/blobs/" + blob, "If-Range", `"` + blob + `"`, ""},
		{0, "app/manifests/v1", "If-None-Match", `W/"a", "` + blob + `"`, ""},
		{0, "app/manifests/v1", "Accept", "application/json;q=0.1, */*", ""},
		{1, "app/manifests/" + blob, "", "", ""},
		{0, "app/tags/list?n=2&last=v0", "", "", ""},
		{0, "app/tags/list?n=99999999999999999999&last=%00", "", "", ""},
		{0, "_catalog?n=-1", "", "", ""},
		{0, "app/referrers/" + blob + "?artifactType=a%2Fb&last=x", "", "", ""},
		{3, "app/blobs/uploads/?mount=" + blob + "&from=../app", "", "", ""},
		{4, "app/blobs/uploads/0", "Content-Range", "0-5", content},
		{5, "app/manifests/%ff", "", "", ""},
	} {
		if w := serve(seed.method, seed.target, seed.header, seed.value, seed.body); w.Code == 0 || w.Code >= 500 {
			f.Fatalf("%+v: %d %s", seed, w.Code, w.Body)
		}
		f.Add(seed.method, seed.target, seed.header, seed.value, seed.body)
	}
	f.Fuzz(func(t *testing.T, method byte, target, header, value, body string) {
		if w := serve(method, target, header, value, body); w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
