package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// got is what a receiver got.
type got struct {
	event, id, delivery string
	signature, stamp    string
	body                []byte
	headers             http.Header
}

// hook is a receiver: a real server.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got                                               // guarded by mu
	answer func(w http.ResponseWriter, r *http.Request, n int) // of the nth request; guarded by mu
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.all = append(h.all, got{r.Header.Get("Kontor-Event"), r.Header.Get("Webhook-Id"), r.Header.Get("Kontor-Delivery"), r.Header.Get("Webhook-Signature"), r.Header.Get("Webhook-Timestamp"), body, r.Header})
		n, answer := len(h.all), h.answer
		h.mu.Unlock()
		if answer != nil {
			answer(w, r, n)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) says(answer func(w http.ResponseWriter, r *http.Request, n int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func (h *hook) received() []got {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func (h *hook) types() (types []string) {
	for _, g := range h.received() {
		types = append(types, g.event)
	}
	return types
}

func (h *hook) host() string { return strings.TrimPrefix(h.URL, "http://") }

// world has receivers on hooks, whose names are a, b and so on.
func world(t *testing.T, m meta.Store, change func(*testkit.Settings), hooks ...*hook) *testkit.World {
	s := testkit.Keeping(24*time.Hour, 0, 0)
	for _, h := range hooks {
		s.Events.Hosts = append(s.Events.Hosts, delivery.Host{Host: h.host(), PlainHTTP: true})
	}
	if change != nil {
		change(&s)
	}
	if m == nil {
		m = testkit.SQLite(t)
	}
	w := testkit.OpenOn(t, s, m)
	for i, h := range hooks {
		add(t, w, delivery.NewReceiver{Name: string(rune('a' + i)), URL: h.URL + "/hook"})
	}
	return w
}

func add(t *testing.T, w *testkit.World, n delivery.NewReceiver) string {
	t.Helper()
	_, secret, err := w.Events.As(testkit.Admin).PutEventReceiver(t.Context(), testkit.Home, n)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func deliver(t *testing.T, w *testkit.World) int {
	t.Helper()
	n, err := w.Events.Deliver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func logOf(t *testing.T, w *testkit.World, name string, q meta.DeliveryQuery) []meta.Delivery {
	t.Helper()
	list, _, _, err := w.Events.As(testkit.Admin).EventDeliveries(t.Context(), testkit.Home, name, q, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// What changes is told, in its order, on every database; what was rolled back is not.
func TestChangesAreTold(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			w := world(t, open(t), nil, h)
			ctx := t.Context()
			app := w.Repo("team/app", ecr.Mutable)
			one, two := w.Image(app, "one"), w.Image(app, "two")
			d1 := w.MustPut(app, one, "v1", "latest")
			w.MustPut(app, one, "v1") // changes nothing
			d2 := w.MustPut(app, two, "latest")
			if err := w.Put(app, []byte(strings.Replace(string(two), string(testkit.PartsOf(two).Layers[0].Digest), string(ecr.DigestOf([]byte("missing"))), 1)), "v3"); err == nil {
				t.Fatal("an image without its layer")
			}
			ref := w.MustPut(app, w.Referrer(app, "signature", two))
			if _, err := w.SetLifecyclePolicy(ctx, app, testkit.LifecyclePolicy); err != nil {
				t.Fatal(err)
			}
			if _, err := w.SetPolicy(ctx, app, testkit.RepositoryPolicy, false); err != nil {
				t.Fatal(err)
			}
			if err := w.DeleteTag(ctx, app, "latest"); err != nil {
				t.Fatal(err)
			}
			if err := w.DeleteManifest(ctx, app, d1); err != nil {
				t.Fatal(err)
			}
			if _, err := w.RestoreImage(ctx, app, d1); err != nil {
				t.Fatal(err)
			}
			if _, err := w.DeleteRepository(ctx, app, true); err != nil {
				t.Fatal(err)
			}
			deliver(t, w)
			type line struct {
				Type         string
				Tag          string
				Digest, From ecr.Digest
			}
			var lines []line
			for _, d := range logOf(t, w, "a", meta.DeliveryQuery{}) {
				var e events.Event
				if err := json.Unmarshal(d.Event.Body, &e); err != nil {
					t.Fatal(err)
				}
				if d.State != meta.DeliveryDelivered || e.Actor != testkit.Admin.ARN || e.ID == "" {
					t.Errorf("%+v", d)
				}
				lines = append(lines, line{string(e.Type), string(e.Tag), e.Digest, e.Previous})
			}
			want := []line{
				{"repository.created", "", "", ""}, {"image.pushed", "v1", d1, ""}, {"image.pushed", "latest", d1, ""},
				{"tag.moved", "latest", d2, d1}, {"image.pushed", "latest", d2, ""}, {"image.pushed", "", ref, ""},
				{"policy.changed", "", "", ""}, {"policy.changed", "", "", ""}, {"tag.deleted", "latest", d2, ""},
				{"image.deleted", "", d1, ""}, {"image.restored", "", d1, ""},
			}
			if len(lines) < len(want) || !slices.Equal(lines[:len(want)], want) {
				t.Errorf("told\n%v, want\n%v", lines, want)
			}
			var rest []string
			for _, l := range lines[min(len(want), len(lines)):] {
				rest = append(rest, l.Type)
			}
			if !slices.Equal(rest, []string{"image.deleted", "image.deleted", "image.deleted", "repository.deleted"}) {
				t.Errorf("at last told %v", rest)
			}
			var inLog []string
			for _, l := range lines {
				inLog = append(inLog, l.Type)
			}
			if types := h.types(); !slices.Equal(types, inLog) {
				t.Errorf("the receiver got %v", types)
			}
		})
	}
}

// The signature is that of Standard Webhooks: HMAC-SHA256 of id, time stamp and body.
func TestSignatures(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	first := add(t, w, delivery.NewReceiver{Name: "a", RotateSecret: true})
	sign := func(secret string, g got) string {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		m := standardwebhooks.New(sha256.New, key)
		_, _ = fmt.Fprintf(m, "%s.%s.%s", g.id, g.stamp, g.body)
		return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	}
	w.Advance(25 * time.Hour) // the one before the first is over
	w.Repo("app", ecr.Mutable)
	deliver(t, w)
	g := h.received()[0]
	if g.signature != sign(first, g) || g.stamp != fmt.Sprint(w.Now().Unix()) {
		t.Errorf("signature %s at %s", g.signature, g.stamp)
	}
	second := add(t, w, delivery.NewReceiver{Name: "a", RotateSecret: true, Headers: map[string]string{"Authorization": "Bearer x"}})
	if second == "" || second == first {
		t.Fatal("no new secret")
	}
	w.Repo("web", ecr.Mutable)
	deliver(t, w)
	if g = h.received()[1]; g.signature != sign(second, g)+" "+sign(first, g) {
		t.Errorf("with both secrets: %s", g.signature)
	}
	if g.headers.Get("Authorization") != "Bearer x" {
		t.Error("the header is not sent")
	}
	w.Advance(25 * time.Hour)
	w.Repo("api", ecr.Mutable)
	deliver(t, w)
	if g = h.received()[2]; g.signature != sign(second, g) {
		t.Errorf("with the new secret: %s", g.signature)
	}
	// Neither the secret nor the values of the query are stored in plain or shown.
	add(t, w, delivery.NewReceiver{Name: "q", URL: h.URL + "/x?token=hidden-token"})
	list, err := w.Events.As(testkit.Admin).EventReceivers(t.Context(), testkit.Home)
	if err != nil || len(list) != 2 || strings.Contains(fmt.Sprintf("%+v", list), "hidden") || list[1].Host != h.URL+"/x?token=..." {
		t.Errorf("%+v, %v", list, err)
	}
}

// A receiver that fails in any way is tried again, in order, and others get everything
// meanwhile.
func TestFaultyReceivers(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		status int
		says   string
	}{
		"it hangs": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, "it did not answer in time"},
		"it fails": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, http.StatusInternalServerError, "it answered 500 Internal Server Error"},
		"it redirects": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://localhost:1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, http.StatusTemporaryRedirect, "redirects are not followed"},
		"it fails with much to say": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endless(w, r)
		}, http.StatusInternalServerError, "it answered 500"},
		"it breaks the connection":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "EOF"},
		"it sends too large headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, 0, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := newHook(t), newHook(t)
			w := world(t, nil, func(s *testkit.Settings) { s.Events.Timeout = time.Second }, bad, good)
			bad.says(func(w http.ResponseWriter, r *http.Request, _ int) { test.answer(w, r) })
			app := w.Repo("app", ecr.Mutable)
			w.MustPut(app, w.Image(app, "one"), "v1")
			deliver(t, w)
			if types := good.types(); !slices.Equal(types, []string{"repository.created", "image.pushed"}) {
				t.Errorf("the other receiver got %v", types)
			}
			list := logOf(t, w, "a", meta.DeliveryQuery{})
			if d := list[0]; d.State != meta.DeliveryQueued || d.Attempts != 1 || d.Status != test.status || !strings.Contains(d.Error, test.says) {
				t.Errorf("after an attempt: %+v", d)
			}
			if d := list[1]; d.Attempts != 0 {
				t.Errorf("the second event of the repository was sent before the first: %+v", d)
			}
			bad.says(nil)
			w.Advance(time.Hour)
			deliver(t, w)
			if types := bad.types(); !slices.Equal(types, []string{"repository.created", "repository.created", "image.pushed"}) {
				t.Errorf("in the end it got %v", types)
			}
			ids := bad.received()
			if ids[0].id != ids[1].id || ids[0].id == ids[2].id {
				t.Error("an event has the same id each time, and others another one")
			}
		})
	}
}

// A huge answer to an event that was taken is not read.
func TestHugeAnswers(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	h.says(func(w http.ResponseWriter, r *http.Request, _ int) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	w.Repo("app", ecr.Mutable)
	if n := deliver(t, w); n != 1 {
		t.Errorf("%d events were taken", n)
	}
	if d := logOf(t, w, "a", meta.DeliveryQuery{})[0]; len(d.Answer) > 1<<10 || d.State != meta.DeliveryDelivered {
		t.Errorf("%s, answer of %d bytes", d.State, len(d.Answer))
	}
}

// What is refused for good, or for too long, is given up, and the next one comes.
func TestGivingUp(t *testing.T) {
	for name, test := range map[string]struct {
		status, attempts int
	}{
		"gone": {http.StatusGone, 1}, "refused": {http.StatusBadRequest, 6}, "broken": {http.StatusInternalServerError, 12},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			w := world(t, nil, nil, h)
			h.says(func(w http.ResponseWriter, r *http.Request, _ int) {
				if r.Header.Get("Kontor-Event") == "repository.created" {
					w.WriteHeader(test.status)
				}
			})
			app := w.Repo("app", ecr.Mutable)
			w.MustPut(app, w.Image(app, "one"), "v1")
			for range 40 {
				deliver(t, w)
				if logOf(t, w, "a", meta.DeliveryQuery{})[0].State != meta.DeliveryQueued {
					break
				}
				w.Advance(time.Hour + 59*time.Minute)
			}
			list := logOf(t, w, "a", meta.DeliveryQuery{})
			if d := list[0]; d.State != meta.DeliveryFailed || d.Attempts > test.attempts+2 || d.Attempts < min(test.attempts, 6) {
				t.Errorf("%s after %d attempts", d.State, d.Attempts)
			}
			deliver(t, w)
			if d := logOf(t, w, "a", meta.DeliveryQuery{})[1]; d.State != meta.DeliveryDelivered {
				t.Errorf("the next one: %+v", d)
			}
			// It is sent again on request.
			h.says(nil)
			n, err := w.Events.As(testkit.Admin).RedeliverEvents(t.Context(), testkit.Home, "a", meta.DeliveryQuery{State: meta.DeliveryFailed})
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			deliver(t, w)
			if d := logOf(t, w, "a", meta.DeliveryQuery{})[0]; d.State != meta.DeliveryDelivered || !d.Redelivered {
				t.Errorf("sent again: %+v", d)
			}
		})
	}
}

// The queue is bounded: the oldest go, the log and the receiver are told.
func TestFullQueues(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, func(s *testkit.Settings) { s.Events.Queue = 10 }, h)
	for i := range 15 {
		w.Repo(fmt.Sprint("app-", i), ecr.Mutable)
	}
	deliver(t, w)
	var dropped, taken int
	var notice events.Event
	for _, d := range logOf(t, w, "a", meta.DeliveryQuery{}) {
		switch {
		case d.Event.Type == string(events.EventsDropped):
			if err := json.Unmarshal(d.Event.Body, &notice); err != nil {
				t.Fatal(err)
			}
		case d.State == meta.DeliveryDropped:
			dropped++
		case d.State == meta.DeliveryDelivered:
			taken++
		}
	}
	if dropped != 6 || taken != 9 || notice.Dropped != 6 {
		t.Errorf("dropped %d, delivered %d, told of %d", dropped, taken, notice.Dropped)
	}
	if types := h.types(); !slices.Contains(types, "events.dropped") {
		t.Errorf("got %v", types)
	}
	// The log is trimmed by age, and by number at once.
	n, err := w.Events.Trim(t.Context())
	if err != nil || n != 6 {
		t.Errorf("%d trimmed, %v", n, err)
	}
	w.Advance(8 * 24 * time.Hour)
	if n, err := w.Events.Trim(t.Context()); n != 10 || err != nil {
		t.Errorf("%d trimmed after days, %v", n, err)
	}
}

// Denials say what denied, expiry which rule, leases whose they are.
func TestReasons(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	ctx := t.Context()
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "tagged"), "v1")
	old := w.MustPut(app, w.Image(app, "old"))
	if _, err := w.As(testkit.Alien).Manifest(ctx, app, ecr.ImageID{Tag: "v1"}); ecr.CodeOf(err) != ecr.CodeAccessDenied {
		t.Fatal(err)
	}
	if err := w.As(testkit.Alien).Put(app, w.Image(app, "tagged"), "v1"); ecr.CodeOf(err) != ecr.CodeAccessDenied {
		t.Fatal(err)
	}
	lease := func(image ecr.ImageID, users ...string) {
		var leases []retention.Lease
		for _, u := range users {
			leases = append(leases, retention.Lease{Repository: "app", Image: image, User: u})
		}
		if _, err := w.ReportLeases(ctx, testkit.Home, "prod", time.Hour, leases); err != nil {
			t.Fatal(err)
		}
	}
	lease(ecr.ImageID{Tag: "v1"}, "Deployment shop/web", "Job shop/init")
	lease(ecr.ImageID{Tag: "v1"}, "Deployment shop/web")
	if _, err := w.Events.FindOverdue(ctx); err != nil {
		t.Fatal(err)
	}
	w.Advance(2 * 24 * time.Hour)
	for range 2 { // told once
		if _, err := w.Events.FindOverdue(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.SetLifecyclePolicy(ctx, app, testkit.LifecyclePolicy); err != nil {
		t.Fatal(err)
	}
	if _, err := w.RunLifecycle(ctx, app, retention.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	deliver(t, w)
	var lines []string
	for _, d := range logOf(t, w, "a", meta.DeliveryQuery{}) {
		var e events.Event
		if err := json.Unmarshal(d.Event.Body, &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Action != "":
			lines = append(lines, fmt.Sprint(e.Type, " ", e.Action, " ", e.Actor))
			if e.Reason == "" {
				t.Errorf("a denial without a reason: %+v", e)
			}
		case e.Collector != "":
			lines = append(lines, fmt.Sprint(e.Type, " ", e.Collector, " ", e.Workload))
		case e.Rule != 0:
			lines = append(lines, fmt.Sprint(e.Type, " ", e.Rule, " ", e.Digest == old))
		}
	}
	want := []string{
		"pull.denied ecr:BatchGetImage " + testkit.Alien.ARN, "push.denied ecr:PutImage " + testkit.Alien.ARN,
		"lease.taken prod Deployment shop/web", "lease.taken prod Job shop/init", "lease.ended prod Job shop/init", "lease.overdue prod ",
		"image.expired 1 true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// Receivers get what they ask for; without one, nothing is written.
func TestFilters(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, func(s *testkit.Settings) { s.Events.Hosts = []delivery.Host{{Host: h.host(), PlainHTTP: true}} })
	w.Repo("before", ecr.Mutable)
	add(t, w, delivery.NewReceiver{Name: "web", URL: h.URL, Types: []string{"repository.*"}, Repositories: []string{"web/*"}, Format: events.CloudEvents})
	w.Repo("app", ecr.Mutable)
	web := w.Repo("web/a", ecr.Mutable)
	w.MustPut(web, w.Image(web, "one"), "v1")
	deliver(t, w)
	list := logOf(t, w, "web", meta.DeliveryQuery{})
	if len(list) != 1 || list[0].Event.Repository != "web/a" {
		t.Errorf("%+v", list)
	}
	if g := h.received(); len(g) != 1 || !strings.HasPrefix(g[0].headers.Get("Content-Type"), "application/cloudevents+json") {
		t.Errorf("%+v", g)
	}
	if err := w.Events.As(testkit.Admin).DeleteEventReceiver(t.Context(), testkit.Home, "web"); err != nil {
		t.Fatal(err)
	}
	w.Repo("web/b", ecr.Mutable)
	err := w.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		q, err := r.Registries().DeliveryQueues(ctx)
		if len(q) > 0 {
			err = errors.Join(err, fmt.Errorf("there is %+v", q))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Only hosts of the list are reached, and only as the list says.
func TestHosts(t *testing.T) {
	w := world(t, nil, func(s *testkit.Settings) {
		s.Events.Hosts = []delivery.Host{{Host: "hooks.example.com"}, {Host: "in.example.com:8080", PlainHTTP: true}, {Host: "port.example.com:443"}, {Host: "[2001:db8::1]"}}
	})
	for url, says := range map[string]string{
		"https://hooks.example.com/x":        "",
		"https://HOOKS.example.com:443/x":    "",
		"http://in.example.com:8080/":        "",
		"https://port.example.com/x":         "",
		"https://port.example.com:443/x":     "",
		"http://port.example.com/x":          "does not list",
		"https://[2001:db8::1]:443/x":        "",
		"http://hooks.example.com/x":         "allows https only",
		"https://hooks.example.com:8443/x":   "does not list",
		"https://other.example.com/x":        "does not list",
		"https://hooks.example.com.evil.io/": "does not list",
		"https://u:p@hooks.example.com/":     "no user, password or fragment",
		"ftp://hooks.example.com/":           "want https://HOST/PATH",
		"":                                   "want https://HOST/PATH",
	} {
		_, _, err := w.Events.As(testkit.Admin).PutEventReceiver(t.Context(), testkit.Home, delivery.NewReceiver{Name: "a", URL: url, Secret: strings.Repeat("x", 16)})
		if says == "" && err != nil || says != "" && (ecr.CodeOf(err) != ecr.CodeInvalidParameter || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", url, err)
		}
		if err := w.Events.As(testkit.Admin).DeleteEventReceiver(t.Context(), testkit.Home, "a"); (err == nil) != (says == "") {
			t.Error(err)
		}
	}
	for name, n := range map[string]delivery.NewReceiver{
		"name": {Name: "A b"}, "types": {Types: []string{"x"}}, "repositories": {Repositories: []string{"A"}}, "format": {Format: "xml"}, "secret": {Secret: "short"},
		"headers": {Headers: map[string]string{"Webhook-Id": "x"}},
	} {
		if n.Name == "" {
			n.Name = "a"
		}
		n.URL = "https://hooks.example.com/"
		if _, _, err := w.Events.As(testkit.Admin).PutEventReceiver(t.Context(), testkit.Home, n); ecr.CodeOf(err) != ecr.CodeInvalidParameter || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The configuration file's receivers come and go with it, and cannot be changed by hand.
func TestDeclared(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	ctx := t.Context()
	file := []delivery.Declared{{NewReceiver: delivery.NewReceiver{Name: "ops", URL: h.URL, Secret: strings.Repeat("x", 16)}},
		{NewReceiver: delivery.NewReceiver{Name: "else", URL: h.URL, Secret: strings.Repeat("x", 16)}, Accounts: []ecr.AccountID{"111111111111"}}}
	names := func() (names []string) {
		list, err := w.Events.As(testkit.Admin).EventReceivers(ctx, testkit.Home)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			names = append(names, s.Name+" "+s.ID)
		}
		return names
	}
	for range 2 {
		if err := w.Events.Declare(ctx, file); err != nil {
			t.Fatal(err)
		}
	}
	first := names()
	if len(first) != 2 || !strings.HasPrefix(first[1], "ops ") {
		t.Fatal(first)
	}
	file[0].Types = []string{"image.*"}
	if err := w.Events.Declare(ctx, file); err != nil || !slices.Equal(names(), first) {
		t.Error(names(), err)
	}
	caller := w.Events.As(testkit.Admin)
	if err := caller.DeleteEventReceiver(ctx, testkit.Home, "ops"); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
		t.Error(err)
	}
	if _, _, err := caller.PutEventReceiver(ctx, testkit.Home, delivery.NewReceiver{Name: "ops"}); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
		t.Error(err)
	}
	if err := w.Events.Declare(ctx, nil); err != nil || len(names()) != 1 {
		t.Error(names(), err)
	}
}

// A test event is sent at once, and says how it went.
func TestTest(t *testing.T) {
	h := newHook(t)
	w := world(t, nil, nil, h)
	caller := w.Events.As(testkit.Admin)
	r, err := caller.TestEventReceiver(t.Context(), testkit.Home, "a")
	if err != nil || r.Error != "" || r.Status != 200 || !slices.Equal(h.types(), []string{"receiver.test"}) {
		t.Errorf("%+v, %v", r, err)
	}
	h.says(func(w http.ResponseWriter, _ *http.Request, _ int) {
		http.Error(w, "wrong secret", http.StatusUnauthorized)
	})
	if r, err = caller.TestEventReceiver(t.Context(), testkit.Home, "a"); err != nil || r.Status != 401 || !strings.Contains(r.Answer, "wrong secret") || r.Error == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := caller.TestEventReceiver(t.Context(), testkit.Home, "none"); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
		t.Error(err)
	}
}
