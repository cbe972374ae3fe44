package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Back-off of those whose logins fail: the first wait, and the longest.
const (
	firstWait   = time.Second
	longestWait = time.Minute
)

// failures counts failed logins, by source and key: guesses at a key from one
// address never keep its owner out at another. What was not seen for a while is
// forgotten.
type failures struct {
	max int // that pass without a wait; below zero: any number

	some atomic.Bool // byName has an entry

	mu     sync.Mutex
	byName map[string]failure // guarded by mu
	swept  time.Time          // guarded by mu
}

type failure struct {
	n     int
	until time.Time // the next try
}

func newFailures(most int64) *failures {
	return &failures{max: int(most), byName: map[string]failure{}}
}

// wait is how long name has to wait for its next try, 0 for not at all.
func (f *failures) wait(name string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, f.byName[name].until.Sub(now))
}

// failed counts a try that failed.
func (f *failures) failed(name string, now time.Time) {
	if f.max < 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	have, known := f.byName[name]
	if !known && len(f.byName) >= bucketsMax && !f.sweep(now) {
		return // the source's rate still holds
	}
	if known && now.Sub(have.until) > 2*longestWait {
		have = failure{}
	}
	have.n++
	have.until = now
	if more := have.n - f.max; more >= 0 {
		have.until = now.Add(min(firstWait<<min(more, 10), longestWait))
	}
	f.byName[name] = have
	f.some.Store(true)
}

// succeeded forgets the failures of name.
func (f *failures) succeeded(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byName, name)
	f.some.Store(len(f.byName) > 0)
}

// sweep forgets what is long over, at most once a second, and reports whether
// there is room.
func (f *failures) sweep(now time.Time) bool {
	if now.Sub(f.swept) < time.Second {
		return false
	}
	f.swept = now
	for name, have := range f.byName {
		if now.Sub(have.until) > 2*longestWait {
			delete(f.byName, name)
		}
	}
	return len(f.byName) < bucketsMax
}

// maxKeyID is more than the longest access key id.
const maxKeyID = 128

// claimedKey is the access key that r says it was signed with; "" for a docker
// login or none.
func claimedKey(r *http.Request) string {
	key := authn.ClaimedKey(r)
	if len(key) > maxKeyID {
		return ""
	}
	return key
}

// login is the name under which r's failures count: its source with the key
// that it claims, or with the docker password that it sends.
func login(r *http.Request) string {
	key := claimedKey(r)
	if password := r.Header.Get("Authorization"); key == "" && password != "" {
		sum := sha256.Sum256([]byte(password))
		key = "docker " + hex.EncodeToString(sum[:16])
	}
	return source(r.RemoteAddr) + " " + key
}

// admitLogin lets a request try its credentials, or answers it.
func (s *Server) admitLogin(w http.ResponseWriter, r *http.Request, req *request) bool {
	if !s.limits.logins.some.Load() {
		return true // and the password need not be hashed
	}
	wait := s.limits.logins.wait(login(r), s.cfg.AuthNow())
	if wait > 0 {
		setRetryAfter(w.Header(), wait)
		req.refuse(rateExceeded)
	}
	return wait == 0
}

// loggedIn notes who sent r.
func (s *Server) loggedIn(r *http.Request, req *request, p access.Principal) {
	if s.limits.logins.some.Load() {
		s.limits.logins.succeeded(login(r))
	}
	p.Request = s.info(r, req)
	req.principal = p
}

// info is what policies may ask about r. The connection says where it comes
// from, or the trusted proxy that it is of.
func (s *Server) info(r *http.Request, req *request) access.RequestInfo {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return access.RequestInfo{
		ID: req.id, Source: from.Addr().Unmap().WithZone(""), TLS: req.https, UserAgent: r.UserAgent(), At: s.cfg.AuthNow(), Organizations: s.cfg.Organizations,
	}
}

// Failed logins that go on record: so many at a stroke and a second.
const (
	attemptBurst = 100
	attemptRate  = 10
)

// attempts keeps strangers from filling the audit log.
type attempts struct {
	rate *buckets
	left atomic.Int64 // out, since the last record
}

// failedLogin counts a login that failed, and puts it on record. Requests
// without any credentials are none: clients begin that way.
func (s *Server) failedLogin(r *http.Request, req *request, err error) {
	s.failedAs(r, req, login(r), claimedKey(r), err)
}

// failedAs is failedLogin under a name, with the access key that was claimed.
func (s *Server) failedAs(r *http.Request, req *request, name, key string, err error) {
	switch ecr.CodeOf(err) {
	case ecr.CodeUnrecognizedClient, ecr.CodeInvalidSignature, ecr.CodeExpiredToken, ecr.CodeAccessDenied:
	default:
		return
	}
	now := s.cfg.AuthNow()
	s.limits.logins.failed(name, now)
	if s.cfg.Audit == nil {
		return
	}
	if s.limits.attempts.rate.take("", now) > 0 {
		s.limits.attempts.left.Add(1)
		return
	}
	info := s.info(r, req)
	record := audit.Record{
		RequestID: req.id, AccessKey: key, UserAgent: info.UserAgent, Operation: "Login", Action: "kontor:Login",
		Resource: "*", Decision: audit.Denied, Reason: reason(err), Suppressed: s.limits.attempts.left.Swap(0),
	}
	if info.Source.IsValid() {
		record.Source = info.Source.String()
	}
	s.cfg.Audit.Attempt(record)
}

// reason is what the caller is told.
func reason(err error) string {
	var known *ecr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return ""
}
