package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/iam"
)

// Replication, events and signers are shown, and what failed is sent again.
func TestConsoleSending(t *testing.T) {
	w := start(t, t.TempDir())
	digest := w.markers()
	cookie := w.logIn(w.credentials(here, administrator))
	post := func(path string, form url.Values, status int, texts ...string) url.Values {
		t.Helper()
		a := w.want(w.page(cookie, "POST", path, form), status)
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Errorf("%v: no %q in %s", form, text, a.body)
			}
		}
		return formOf(a.body)
	}
	get := func(path string, texts ...string) string {
		t.Helper()
		a := w.want(w.page(cookie, "GET", path, nil), 200)
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: no %q in %s", path, text, a.body)
			}
		}
		return a.body
	}
	image := "/console/repositories/app/-/images/" + string(digest)
	const replication, events, deliveries, signers = "/console/replication", "/console/events", "/console/events/deliveries?receiver=markreceiver", "/console/signers"
	get(image, "1 high", "markfinding", "&lt;b&gt;", "openssl", "no version yet", "Test v1", "Signatures", "No signer that is trusted here has signed it.")
	post(image, url.Values{"do": {"scan"}}, 400) // there is no scanner

	get(replication, "000000000000/eu-west-1", "markreplication", "Try all of them again")
	post(replication, url.Values{}, 303)
	if body := get(replication+"?done=queued", "It is queued"); strings.Contains(body, "markreplication") {
		t.Errorf("what is queued again has failed: %s", body)
	}

	get(events, "markreceiver", "hooks.example.com", "none.*")
	post(events, url.Values{"name": {"unknown"}}, 400)
	get(deliveries, "markdelivery", "image.pushed", "waits")
	if body := get(deliveries+"&state=failed", "There is no such event"); strings.Contains(body, "markdelivery") {
		t.Errorf("what waits is among what failed: %s", body)
	}
	get(deliveries+"&repository=app&type=image.pushed&state=queued", "markdelivery")
	post("/console/events/deliveries", url.Values{"receiver": {"markreceiver"}}, 303)
	post("/console/events/deliveries", url.Values{"receiver": {"markreceiver"}, "id": {"x"}}, 404)
	w.want(w.page(cookie, "GET", "/console/events/deliveries?receiver=unknown", nil), 400)

	get(signers, "marksigner", "a public key", "all repositories")
	post(signers, post(signers, url.Values{"name": {"marksigner"}}, 200, "no image counts as signed by it"), 303)
	get(signers, "No signatures are trusted.", "kontor signers put release")

	// Who may see them and nothing else is offered nothing else.
	c := w.identities()
	if _, err := c.CreateUser(t.Context(), iam.NewUser{Name: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if err := c.PutInline(t.Context(), iam.OfUser, "viewer", "see", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kontor:ListReplications","kontor:ListEventReceivers"],"Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.CreateAccessKey(t.Context(), "viewer"); err != nil {
		t.Fatal(err)
	}
	cookie = w.logIn(w.credentials(here, "viewer"))
	if body := get(replication); strings.Contains(body, "Try all of them again") {
		t.Errorf("offered to a viewer: %s", body)
	}
	if body := get(events); strings.Contains(body, ">Test<") || strings.Contains(body, "deliveries?receiver") {
		t.Errorf("offered to a viewer: %s", body)
	}
	post(replication, url.Values{}, 403)
	post(events, url.Values{"name": {"markreceiver"}}, 403)
	post(signers, url.Values{"name": {"marksigner"}}, 403)
	w.want(w.page(cookie, "GET", deliveries, nil), 403)
}
