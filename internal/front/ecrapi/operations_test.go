package ecrapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/templates"
)

// Each of the 62 operations is served, or answers with an error that its model
// names and that a client does not retry. None pretends to have succeeded.
func TestEveryOperationAnswers(t *testing.T) {
	g, r := gate.New(gate.Config{}), registry.New(registry.Config{})
	h := New(Config{Gate: g, Registry: r, Retention: retention.New(retention.Config{}), Templates: templates.New(g, r, nil), Signing: signing.New(g, nil, nil), Managed: managed.New(managed.Config{Gate: g}), Log: slog.New(slog.DiscardHandler)})
	ask := func(t *testing.T, operation, body string) (int, errorBody) {
		t.Helper()

		w := httptest.NewRecorder()
		h.Serve(w, httptest.NewRequest(http.MethodPost, "/", nil), operation, []byte(body),
			access.Principal{Account: home.Account}, atHome, "request-1")
		if got := w.Header().Get("x-amzn-RequestId"); got != "request-1" {
			t.Errorf("%s: request id %q", operation, got)
		}
		var e errorBody
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v in %s", operation, err, w.Body)
		}
		return w.Code, e
	}
	for operation, errs := range modelled {
		// No operation takes a list, so those served refuse it when decoding.
		status, e := ask(t, operation, "[]")
		if served[operation] != nil {
			if status != http.StatusBadRequest || e.Type != string(ecr.CodeSerialization) {
				t.Errorf("%s: %d %s", operation, status, e.Type)
			}
			continue
		}
		if status != http.StatusBadRequest || !slices.Contains(errs, e.Type) {
			t.Errorf("%s: %d %s; its model has %s", operation, status, e.Type, strings.Join(errs, ", "))
		}
		if want := operation + " is not implemented by this registry"; *e.Message != want {
			t.Errorf("%s: %q", operation, *e.Message)
		}
	}
	for operation := range served {
		if modelled[operation] == nil {
			t.Errorf("%s is served but is not an operation of the API", operation)
		}
	}
	for _, operation := range []string{"PutImages", "putImage", ""} {
		t.Run("operation "+operation, func(t *testing.T) {
			if status, e := ask(t, operation, "{}"); status != http.StatusNotFound || e.Type != "UnknownOperationException" {
				t.Errorf("%q: %d %s", operation, status, e.Type)
			}
		})
	}
}
