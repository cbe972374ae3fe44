package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// redirecting is a store that lets clients fetch blobs themselves.
type redirecting struct{ blob.Store }

func (redirecting) Redirect(_ context.Context, key blob.Key) (string, error) {
	return "https://blobs.example/" + string(key), nil
}

// Where clients fetch blobs from the store, a page still reads what it shows.
func TestConsoleReadsFromRedirectingStores(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Blobs = redirecting{c.Blobs} })
	w.create(here, "app")
	image, _ := w.push(here, w.password(here, administrator), "app", "v1", "layer")
	cookie := w.logIn(w.credentials(here, administrator))
	if a := w.want(w.page(cookie, "GET", "/console/repositories/app/-/images/"+string(image), nil), 200); !strings.Contains(a.body, "linux/amd64") {
		t.Errorf("no platform: %s", a.body)
	}
}
