package server_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/manifest"
)

// files are those of blobs and uploads in a data folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"blobs/blobs/*/*", "blobs/uploads/*"} {
		got, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, got...)
	}
	return names
}

// Manifests that are none, on both ways in: an error that says what is wrong,
// nothing left behind, and the next one is taken. That it is UNSUPPORTED for
// docker is how ECR answers: internal/front/ociapi/errors.go.
func TestBadManifests(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	w.push(here, password, "app", "good", "layer")
	good := w.manifest(`{"architecture":"amd64","os":"linux"}`, "layer")
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	before := len(files(t, dir))
	tests := []struct {
		name, body, contentType string
		status                  int // of docker's way
		code, text              string
	}{
		{"oversized", with(`"x":"` + strings.Repeat("x", manifest.MaxSize) + `"`), manifestType, 413, "MANIFEST_INVALID", "must have length less than or equal to 4194304"},
		{"deeply nested", with(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"nested without end", strings.Repeat("[", 1<<20), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"invalid UTF-8", with("\"x\":\"\xff\xfe\""), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"a NUL", good + "\x00", manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"cut short", good[:len(good)/2], manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"empty", "", manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"unknown media type", strings.ReplaceAll(good, manifestType, "application/vnd.example.thing+json"), "application/vnd.example.thing+json", 405, "UNSUPPORTED", "not supported"},
		{"member twice", with(`"layers":[]`), manifestType, 405, "UNSUPPORTED", "layers is there twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			a := w.do(w.basic(here, password, "PUT", "/v2/app/manifests/bad", tt.body, "Content-Type", tt.contentType))
			var said struct {
				Errors []struct{ Code, Message string }
			}
			err := json.Unmarshal([]byte(a.body), &said)
			if err != nil || a.status != tt.status || len(said.Errors) != 1 || said.Errors[0].Code != tt.code || said.Errors[0].Message == "" || !strings.Contains(said.Errors[0].Message, tt.text) {
				t.Errorf("%s by docker: %d %.300s (%v)", tt.name, a.status, a.body, err)
			}
			if tt.name == "invalid UTF-8" {
				return // in a string of JSON there is none
			}
			in, err := json.Marshal(fields{"repositoryName": "app", "imageTag": "bad", "imageManifest": tt.body})
			if err != nil {
				t.Fatal(err)
			}
			a = w.do(w.json(here, admin, "PutImage", string(in)))
			var refused struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal([]byte(a.body), &refused); err != nil || a.status != 400 || refused.Type != "InvalidParameterException" && refused.Type != "UnsupportedImageTypeException" || refused.Message == "" {
				t.Errorf("%s by the API: %d %.300s (%v)", tt.name, a.status, a.body, err)
			}
		})
	}
	w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/sha256:"+strings.Repeat("0", 64), good, "Content-Type", manifestType)), 400)
	a := w.want(w.do(w.basic(here, password, "GET", "/v2/app/tags/list", "")), 200)
	if !strings.Contains(a.body, `"good"`) {
		t.Errorf("tags: %s", a.body)
	}
	var listed struct {
		ImageIDs []struct{ ImageDigest, ImageTag string }
	}
	w.call("ListImages", fields{"repositoryName": "app"}, &listed)
	if len(listed.ImageIDs) != 1 {
		t.Errorf("images: %+v", listed.ImageIDs)
	}
	if after := len(files(t, dir)); after != before {
		t.Errorf("%d files, %d were there before", after, before)
	}
	w.push(here, password, "app", "next", "another layer")
	if got := w.log.records(t, "panic"); len(got) != 0 {
		t.Errorf("panics: %v", got)
	}
}
