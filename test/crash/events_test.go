package crash

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// listener is a receiver of events that outlives the servers.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	tags   map[string]bool // that were told to be pushed; guarded by mu
	last   int64           // the greatest number of a delivery; guarded by mu
	faults []string        // guarded by mu
}

func newListener(t *testing.T) *listener {
	l := &listener{tags: map[string]bool{}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the server was killed
		}
		var e struct {
			Detail struct {
				Tag string `json:"image-tag"`
			} `json:"detail"`
		}
		id, idErr := strconv.ParseInt(r.Header.Get("Kontor-Delivery"), 10, 64)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := json.Unmarshal(body, &e); err != nil || idErr != nil {
			l.faults = append(l.faults, fmt.Sprintf("an event that is none: %s", body))
			return
		}
		// What comes for the first time comes in its order; what a killed server had sent
		// may come again.
		if again := l.tags[e.Detail.Tag]; id <= l.last && !again {
			l.faults = append(l.faults, fmt.Sprintf("event %d comes for the first time after event %d", id, l.last))
		}
		l.last = max(l.last, id)
		l.tags[e.Detail.Tag] = true
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) host() string { return strings.TrimPrefix(l.URL, "http://") }

// add makes l a receiver of pushes.
func (l *listener) add(t *testing.T, s *server) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), s.bin, "admin", "events", "add", "crash", l.URL, "--type", "image.pushed", "--data", s.data).CombinedOutput()
	if err != nil {
		t.Fatalf("adding a receiver: %v\n%s", err, out)
	}
}

// verify waits until every push that was acknowledged was told, and looks whether others
// that were told happened.
func (l *listener) verify(t *testing.T, s *server, pushes *ledger) {
	t.Helper()
	missing := func() (missing []string) {
		pushes.mu.Lock()
		defer pushes.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for tag, p := range pushes.pushes {
			if p.acknowledged && !l.tags[tag] {
				missing = append(missing, tag)
			}
		}
		return missing
	}
	for end := time.Now().Add(2 * time.Minute); len(missing()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no event tells of %d pushes that were acknowledged: %v", len(missing()), missing())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		t.Error(f)
	}
	for tag := range l.tags {
		status, b, err := s.do(http.MethodGet, "/v2/website/manifests/"+tag, nil, "")
		if err != nil || status != http.StatusOK {
			t.Errorf("an event tells of %s, which was not pushed: %d %s, %v", tag, status, b, err)
		}
	}
}
