package delivery_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// What a URL hides is not shown, however its query is written.
func TestShownURLs(t *testing.T) {
	w := world(t, nil, func(s *testkit.Settings) { s.Events.Hosts = []delivery.Host{{Host: "hooks.example.com"}} })
	for query, want := range map[string]string{
		"?token=s3cret":          "?token=...",
		"?a=s3cret&b=s3cret":     "?a=...&b=...",
		"?s3cret":                "?...",
		"?token=s3%ret":          "?token=...",
		"?a=1;token=s3cret":      "?a=...&token=...",
		"?token=s3cret=and=more": "?token=...",
		"":                       "",
	} {
		r, _, err := w.Events.As(testkit.Admin).PutEventReceiver(t.Context(), testkit.Home, delivery.NewReceiver{Name: "a", URL: "https://hooks.example.com/x" + query})
		if err != nil || r.Host != "https://hooks.example.com/x"+want {
			t.Errorf("%s is shown as %s, %v", query, r.Host, err)
		}
	}
	for path, want := range map[string]string{
		"/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX": "/services/T00000000/B00000000/...",
		"/hooks/0123456789abcdef0%2F23456789?x=y":                "/hooks/...?x=...",
		"/a-path-of-lower-case-words":                            "/a-path-of-lower-case-words",
	} {
		r, _, err := w.Events.As(testkit.Admin).PutEventReceiver(t.Context(), testkit.Home, delivery.NewReceiver{Name: "a", URL: "https://hooks.example.com" + path})
		if err != nil || r.Host != "https://hooks.example.com"+want {
			t.Errorf("%s is shown as %s, %v", path, r.Host, err)
		}
	}
}

// A receiver that answers with what it was sent does not bring secrets into the log.
func TestAnswersWithSecrets(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	h.says(func(w http.ResponseWriter, r *http.Request, _ int) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintln(w, "refused:", r.Header.Get("Authorization"), r.URL, r.URL.Query().Get("token"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	})
	add(t, w, delivery.NewReceiver{Name: "a", URL: h.URL + "/services/T0000000000/inPath000000000000?token=in%2Fquery", Headers: map[string]string{"Authorization": "Bearer in-header"}})
	w.Repo("app", ecr.Mutable)
	deliver(t, w)
	tested, err := w.Events.As(testkit.Admin).TestEventReceiver(t.Context(), testkit.Home, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{logOf(t, w, "a", meta.DeliveryQuery{})[0].Answer, tested.Answer} {
		if !strings.Contains(answer, "refused:") || strings.Contains(answer, "query") || strings.Contains(answer, "inPath") || strings.Contains(answer, "in-header") {
			t.Errorf("the log has %q", answer)
		}
	}
}

// A receiver that is deleted gets nothing more, also of what was read to be sent.
func TestDeletedWhileSending(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	app := w.Repo("app", ecr.Mutable)
	for _, tag := range []ecr.Tag{"v1", "v2", "v3"} {
		w.MustPut(app, w.Image(app, string(tag)), tag)
	}
	h.says(func(http.ResponseWriter, *http.Request, int) {
		if err := w.Events.As(testkit.Admin).DeleteEventReceiver(t.Context(), testkit.Home, "a"); err != nil {
			t.Error(err)
		}
	})
	deliver(t, w)
	if n := len(h.received()); n != 1 {
		t.Errorf("%d events were sent", n)
	}
}

// A receiver that is changed while much waits gets the rest under its new URL.
func TestChangedWhileSending(t *testing.T) {
	old, changed := newHook(t), newHook(t)
	w := world(t, nil, func(s *testkit.Settings) {
		s.Events.Hosts = append(s.Events.Hosts, delivery.Host{Host: changed.host(), PlainHTTP: true})
	}, old)
	app := w.Repo("app", ecr.Mutable)
	image := w.Image(app, "image")
	for i := range 110 { // more than are read at a time
		w.MustPut(app, image, ecr.Tag(fmt.Sprint("v", i)))
	}
	old.says(func(_ http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			add(t, w, delivery.NewReceiver{Name: "a", URL: changed.URL})
		}
	})
	deliver(t, w)
	if was, is := len(old.received()), len(changed.received()); is == 0 || was+is != 111 {
		t.Errorf("%d events went to the old URL, %d to the new one", was, is)
	}
}

// The queue is bounded also while all that waits is put off.
func TestFullQueueThatIsPutOff(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, func(s *testkit.Settings) { s.Events.Queue = 10 }, h)
	h.says(func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusInternalServerError) })
	app := w.Repo("app", ecr.Mutable)
	deliver(t, w)
	image := w.Image(app, "image")
	for i := range 15 {
		w.MustPut(app, image, ecr.Tag(fmt.Sprint("v", i)))
	}
	w.Advance(time.Second)
	if !w.Events.Due(t.Context()) {
		t.Fatal("a queue that is too long waits for the receiver")
	}
	deliver(t, w)
	if n := len(logOf(t, w, "a", meta.DeliveryQuery{State: meta.DeliveryQueued})); n > 10 {
		t.Errorf("%d events wait", n)
	}
}
