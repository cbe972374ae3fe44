package content_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/wire/content"
)

func TestServe(t *testing.T) {
	for _, tt := range []struct {
		header, ifRange string
		status          int
		contentRange    string
		body            string
	}{
		{"", "", 200, "", "0123456789"},
		{"bytes=2-4", "", 206, "bytes 2-4/10", "234"},
		{"bytes=-3", "", 206, "bytes 7-9/10", "789"},
		{"bytes=-0", "", 416, "bytes */10", ""},
		{"bytes= -000 ", "", 416, "bytes */10", ""},
		{"bytes=-0,-0", "", 416, "bytes */10", ""},
		{"bytes=-0, 2-4", "", 206, "bytes 2-4/10", "234"},
		{"bytes=-0", `"other"`, 200, "", "0123456789"},
		{"bytes=10-", "", 416, "bytes */10", ""},
		{"bytes=-", "", 416, "", ""},
		{"lines=1-2", "", 200, "", "0123456789"},
	} {
		t.Run(tt.header+tt.ifRange, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				t.Run(method, func(t *testing.T) {
					r := httptest.NewRequest(method, "/", nil)
					r.Header.Set("Range", tt.header)
					if tt.ifRange != "" {
						r.Header.Set("If-Range", tt.ifRange)
					}
					w := httptest.NewRecorder()
					w.Header().Set("Etag", `"this"`)
					content.Serve(w, r, strings.NewReader("0123456789"))
					if got := w.Header().Get("Content-Range"); w.Code != tt.status || tt.contentRange != "" && got != tt.contentRange {
						t.Errorf("%d, Content-Range %q", w.Code, got)
					}
					if body := w.Body.String(); method == http.MethodGet && tt.body != "" && body != tt.body {
						t.Errorf("got %q", body)
					}
				})
			}
		})
	}
}
