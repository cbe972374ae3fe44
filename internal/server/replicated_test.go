package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/server"
)

// What became of a replication is told: of a destination that is not of this server, the
// receivers of the source are.
func TestReplicationsAreTold(t *testing.T) {
	told := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told <- string(body)
	}))
	t.Cleanup(hook.Close)
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Events.Hosts = []delivery.Host{{Host: strings.TrimPrefix(hook.URL, "http://"), PlainHTTP: true}}
		c.EventReceivers = []delivery.Declared{{NewReceiver: delivery.NewReceiver{
			Name: "copies", URL: hook.URL, Secret: strings.Repeat("s", 16), Types: []string{"image.replicated"},
		}}}
	})
	w.create(here, "app")
	w.want(w.do(w.json(here, w.credentials(here, administrator), "PutReplicationConfiguration",
		`{"replicationConfiguration":{"rules":[{"destinations":[{"region":"eu-west-1","registryId":"000000000000"}]}]}}`)), 200)
	w.push(here, w.password(here, pusher), "app", "v1", "a layer")
	select {
	case body := <-told:
		for _, want := range []string{`"ECR Replication Action"`, `"FAILED"`, `"DestinationNotServed"`, `"repository-name":"app"`, `"image-tag":"v1"`, "000000000000/eu-west-1"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %s", body, want)
			}
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was told")
	}
}
