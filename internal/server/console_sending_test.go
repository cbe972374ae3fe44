package server_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/server"
)

// Replication, events and signers are shown, and what failed is sent again.
func TestConsoleSending(t *testing.T) {
	away := ecr.RegistryID{Account: "000000000000", Region: "eu-west-1"} // where nothing listens
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Replication = map[ecr.RegistryID]replication.Elsewhere{away: {Host: "127.0.0.1:1", PlainHTTP: true}}
	})
	digest := w.markers()
	b := visitor{w, w.logIn(w.credentials(here, administrator))}
	image := "/console/repositories/app/-/images/" + string(digest)
	const sending, events, deliveries, signers = "/console/replication", "/console/events", "/console/events/deliveries?receiver=markreceiver", "/console/signers"
	b.get(image, "1 high", "markfinding", "&lt;b&gt;", "openssl", "no version yet", "Test v1", "Signatures", "no signature that is trusted here", "refused")
	b.post(image, url.Values{"do": {"scan"}}, 400) // there is no scanner

	b.get(sending, "000000000000/eu-west-1", "markreplication", "Try all of them again")
	b.post(sending, url.Values{}, 303)
	if body := b.get(sending+"?done=queued", "It is queued"); strings.Contains(body, "markreplication") {
		t.Errorf("what is queued again has failed: %s", body)
	}
	for end := time.Now().Add(time.Minute); ; {
		body := b.get(sending, "000000000000/eu-west-1")
		if strings.Contains(body, "the destination rests: registry 127.0.0.1:1: ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the page does not say that the destination rests: %s", body)
		}
		time.Sleep(20 * time.Millisecond)
	}

	b.get(events, "markreceiver", "hooks.example.com", "none.*")
	b.post(events, url.Values{"name": {"unknown"}}, 400)
	b.get(deliveries, "markdelivery", "image.pushed", "waits")
	if body := b.get(deliveries+"&state=failed", "There is no such event"); strings.Contains(body, "markdelivery") {
		t.Errorf("what waits is among what failed: %s", body)
	}
	b.get(deliveries+"&repository=app&type=image.pushed&state=queued", "markdelivery")
	b.post("/console/events/deliveries", url.Values{"receiver": {"markreceiver"}}, 303)
	b.post("/console/events/deliveries", url.Values{"receiver": {"markreceiver"}, "id": {"x"}}, 404)
	w.want(w.page(b.cookie, "GET", "/console/events/deliveries?receiver=unknown", nil), 400)

	b.get(signers, "marksigner", "a public key", "all repositories")
	b.post(signers, b.post(signers, url.Values{"name": {"marksigner"}}, 200, "no image counts as signed by it"), 303)
	b.get(signers, "No signatures are trusted.", "kontor signers put release")

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
	b.cookie = w.logIn(w.credentials(here, "viewer"))
	if body := b.get(sending); strings.Contains(body, "Try all of them again") {
		t.Errorf("offered to a viewer: %s", body)
	}
	if body := b.get(events); strings.Contains(body, ">Test<") || strings.Contains(body, "deliveries?receiver") {
		t.Errorf("offered to a viewer: %s", body)
	}
	b.post(sending, url.Values{}, 403)
	b.post(events, url.Values{"name": {"markreceiver"}}, 403)
	b.post(signers, url.Values{"name": {"marksigner"}}, 403)
	w.want(w.page(b.cookie, "GET", deliveries, nil), 403)
}
