package ociapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

// codes of the OCI specification, and those that distribution and ECR
// add.
var knownCodes = map[string]bool{
	"BLOB_UNKNOWN": true, "BLOB_UPLOAD_INVALID": true, "BLOB_UPLOAD_UNKNOWN": true, "DIGEST_INVALID": true,
	"MANIFEST_BLOB_UNKNOWN": true, "MANIFEST_INVALID": true, "MANIFEST_UNKNOWN": true, "NAME_INVALID": true,
	"NAME_UNKNOWN": true, "SIZE_INVALID": true, "UNAUTHORIZED": true, "DENIED": true, "UNSUPPORTED": true,
	"TOOMANYREQUESTS": true, "TAG_INVALID": true, "UNKNOWN": true, "UNAVAILABLE": true,
}

func TestEveryCodeHasAForm(t *testing.T) {
	for _, code := range ecr.Codes() {
		f, ok := wires[code]
		if !ok {
			t.Errorf("%s has no form", code)
			continue
		}
		if f.status < 400 || f.status > 599 || !knownCodes[f.code] {
			t.Errorf("%s has the form %+v", code, f)
		}
	}
	if len(wires) != len(ecr.Codes()) {
		t.Errorf("%d forms for %d codes", len(wires), len(ecr.Codes()))
	}
}

// handler returns a Handler for a registry that is never reached.
func handler(compat registry.Compat, log io.Writer) *Handler {
	return New(Config{
		Registry: registry.New(registry.Config{Compat: compat}),
		Log:      slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

func TestWriteError(t *testing.T) {
	const tagText = "The image tag '1.0' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
	reg := ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}
	// Statuses, codes and texts that were observed of ECR; "guess" where they
	// were not.
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"not allowed", ecr.Errorf(ecr.CodeAccessDenied, "User: arn is not authorized to perform: ecr:X"), 403, `{"errors":[{"code":"DENIED","message":"User: arn is not authorized to perform: ecr:X"}]}`},
		{"repository missing", ecr.RepositoryNotFound(reg, "app"), 404, `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'app' does not exist in the registry with id '111111111111'"}]}`},
		{"manifest missing", ecr.ImageNotFound(reg, "app", ecr.ImageID{Tag: "1.0"}), 404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"Requested image not found"}]}`},
		{"tag immutable (status: guess)", ecr.ImageTagAlreadyExists("app", "1.0"), 400, `{"errors":[{"code":"TAG_INVALID","message":"` + tagText + `"}]}`},
		{"blob digest mismatch", ecr.Errorf(ecr.CodeInvalidLayer, "None match"), 400, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"None match"}]}`},
		{"wrong offset", ecr.Errorf(ecr.CodeInvalidLayerPart, "First byte of the layer part is 0 instead of 11304960"), 416, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"First byte of the layer part is 0 instead of 11304960"}]}`},
		{"invalid parameter", ecr.InvalidParameter("ImageManifest", "Invalid JSON syntax"), 405, `{"errors":[{"code":"UNSUPPORTED","message":"Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"}]}`},
		{"throttled", ecr.Errorf(ecr.CodeThrottling, "Rate exceeded"), 429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`},
		{"token expired (status: guess)", ecr.Errorf(ecr.CodeExpiredToken, "x"), 403, `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`},
		{"cause is not sent", &ecr.Error{Code: ecr.CodeUnavailable, Message: "later", Err: errors.New("secret")}, 503, `{"errors":[{"code":"UNAVAILABLE","message":"later"}]}`},
		{"wrapped", fmt.Errorf("secret: %w", ecr.Errorf(ecr.CodeThrottling, "Rate exceeded")), 429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`},
		{"any other error", errors.New("secret"), 500, `{"errors":[{"code":"UNKNOWN","message":"An internal error occurred. Request id: id-1"}]}`},
		{"unknown key", ecr.Errorf(ecr.CodeUnrecognizedClient, "secret"), 401, "Not Authorized\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			h := handler(registry.CompatECR, &log)
			w := httptest.NewRecorder()
			h.WriteError(w, httptest.NewRequest(http.MethodGet, "/v2/app/manifests/1.0", nil), tt.err, "id-1")
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if strings.Contains(tt.err.Error(), "secret") && tt.status != 401 && !strings.Contains(log.String(), "secret") {
				t.Errorf("the cause was not logged: %s", log.String())
			}
			if got := strings.Contains(log.String(), "level=ERROR"); got != (tt.status >= 500) {
				t.Errorf("logged as %s", log.String())
			}

			w = httptest.NewRecorder()
			h.WriteError(w, httptest.NewRequest(http.MethodHead, "/v2/app/manifests/1.0", nil), tt.err, "id-1")
			if tt.status != 401 && (w.Code != tt.status || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "") {
				t.Errorf("HEAD: got %d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

func TestSpecificationFormsInOCI(t *testing.T) {
	w := httptest.NewRecorder()
	h := handler(registry.CompatOCI, io.Discard)
	h.WriteError(w, httptest.NewRequest(http.MethodPut, "/v2/app/manifests/1.0", nil), ecr.InvalidParameter("ImageManifest", "x"), "id")
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"MANIFEST_INVALID"`) {
		t.Errorf("bad manifest: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.WriteError(w, httptest.NewRequest(http.MethodPut, "/v2/app/manifests/1.0", nil), ecr.Errorf(ecr.CodeLayersNotFound, "x"), "id")
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"MANIFEST_BLOB_UNKNOWN"`) {
		t.Errorf("missing layers: %d %s", w.Code, w.Body)
	}
	for _, code := range []ecr.Code{ecr.CodeInvalidLayer, ecr.CodeImageDigestDoesNotMatch} {
		t.Run(string(code), func(t *testing.T) {
			w = httptest.NewRecorder()
			h.WriteError(w, httptest.NewRequest(http.MethodPut, "/v2/app/manifests/1.0", nil), ecr.Errorf(code, "x"), "id")
			if w.Code != 400 || !strings.Contains(w.Body.String(), `"DIGEST_INVALID"`) {
				t.Errorf("%s: %d %s", code, w.Code, w.Body)
			}
		})
	}
}

// The challenge as it was captured from ECR (NVIDIA/enroot#59).
func TestWriteUnauthorized(t *testing.T) {
	w := httptest.NewRecorder()
	WriteUnauthorized(w, "111111111111.dkr.ecr.us-east-1.amazonaws.com")
	want := http.Header{
		"Www-Authenticate":                {`Basic realm="https://111111111111.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"`},
		"Docker-Distribution-Api-Version": {"registry/2.0"},
		"Content-Type":                    {"text/plain; charset=utf-8"},
		"Content-Length":                  {"15"},
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" || w.Code != 401 || w.Body.String() != "Not Authorized\n" {
		t.Errorf("%d %q\n(-want +got)\n%s", w.Code, w.Body, diff)
	}
}
