package server

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// Limits bound what clients can take of the server. A field that is zero has
// its default, see DefaultLimits; one below zero is no limit. docs/limits.md
// tells what they come to.
type Limits struct {
	// Connections open at once. Further ones are closed.
	Connections int64
	// Requests that run at once, health checks not counted. Further ones are
	// answered 503.
	Requests int64
	// Uploads are requests that write a blob at once. Further ones are
	// answered 503.
	Uploads int64
	// OpenUploads are uploads begun and neither completed, cancelled nor
	// expired. Further ones are answered 429.
	OpenUploads int64
	// BodyBytes is the size of all requests and answers that are held in memory
	// at once: manifests and calls of the AWS API, parts in base64 included.
	// Requests beyond are answered 503.
	BodyBytes int64
	// BlobBytes is the size of the largest blob.
	BlobBytes int64
	// PrincipalRate is how many requests a second a principal may send in the
	// long run, PrincipalBurst how many at once. Further ones are answered 429.
	PrincipalRate  int64
	PrincipalBurst int64
	// OperationRate is how many calls of one operation of the ECR API an account
	// may make a second in one region, and as many at a stroke. Further ones are
	// answered ThrottlingException. Source: ECR user guide, "Amazon ECR service
	// quotas", the rates of requests.
	OperationRate int64
	// SourceRate and SourceBurst are a principal's for requests without valid
	// credentials from one address (IPv4) or /64 network (IPv6).
	SourceRate  int64
	SourceBurst int64
	// FailedLogins is how often a login may fail, with one key from one source,
	// before there is a wait, which doubles each time: 1 second to 1 minute.
	// Tries before that are answered 429.
	FailedLogins int64
	// HeaderTime is how long a request's header may take.
	HeaderTime time.Duration
	// IdleTime is how long a connection may wait for its next request.
	IdleTime time.Duration
	// StallTime is how long a client may take to send the next 64 KiB of a
	// body, or to take the next 1 MiB of an answer.
	StallTime time.Duration
}

// DefaultLimits are the limits of a server that is told none. The size of the
// largest blob is ECR's quota for layers.
func DefaultLimits() Limits {
	return Limits{
		Connections: 4096, Requests: 512, Uploads: 128, OpenUploads: 10_000, BodyBytes: 256 << 20, BlobBytes: 52_000 << 20,
		PrincipalRate: 20_000, PrincipalBurst: 40_000, OperationRate: -1, SourceRate: 1000, SourceBurst: 5000, FailedLogins: 30,
		HeaderTime: 15 * time.Second, IdleTime: 2 * time.Minute, StallTime: 2 * time.Minute,
	}
}

// filled has each default in place of a zero.
func (l Limits) filled() Limits {
	d := DefaultLimits()
	for _, k := range limitKnobs {
		if n := k.number; n != nil && *n(&l) == 0 {
			*n(&l) = *n(&d)
		}
		if t := k.time; t != nil && *t(&l) == 0 {
			*t(&l) = *t(&d)
		}
	}
	return l
}

// limiter keeps the limits.
type limiter struct {
	Limits
	connections counter
	requests    counter
	uploads     counter
	bodies      *semaphore.Weighted // nil for no limit
	// What one user or role has of requests, uploads and bodies.
	requestShares, uploadShares, bodyShares *shares
	owners                                  owners
	principals                              *buckets
	operations                              *buckets
	sources                                 *buckets
	logins                                  *failures
	attempts                                attempts
	open                                    openUploads
}

func newLimiter(l Limits) *limiter {
	l = l.filled()
	k := &limiter{
		Limits:      l,
		connections: counter{max: l.Connections},
		requests:    counter{max: l.Requests},
		uploads:     counter{max: l.Uploads},
		principals:  newBuckets(l.PrincipalRate, l.PrincipalBurst),
		operations:  newBuckets(l.OperationRate, l.OperationRate),
		sources:     newBuckets(l.SourceRate, l.SourceBurst),
		logins:      newFailures(l.FailedLogins),
		attempts:    attempts{rate: newBuckets(attemptRate, attemptBurst)},

		requestShares: newShares(l.Requests), uploadShares: newShares(l.Uploads), bodyShares: newShares(l.BodyBytes),
		owners: owners{shares: newShares(l.Connections), conns: map[net.Conn]string{}},
	}
	if l.BodyBytes > 0 {
		k.bodies = semaphore.NewWeighted(l.BodyBytes)
	}
	return k
}

// counter counts what is there at once.
type counter struct {
	max int64 // below zero: any number
	n   atomic.Int64
}

// enter reports whether one more may be there; leave takes it away.
func (c *counter) enter() bool {
	if c.n.Add(1) > c.max && c.max >= 0 {
		c.n.Add(-1)
		return false
	}
	return true
}

func (c *counter) leave() { c.n.Add(-1) }

// countConnection is an http.Server's ConnState. A connection too many is
// closed before anything is read from it.
func (k *limiter) countConnection(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		k.owners.add(c)
		if k.connections.n.Add(1) > k.Connections && k.Connections >= 0 {
			_ = c.Close() // its StateClosed follows
		}
	case http.StateClosed, http.StateHijacked:
		k.owners.remove(c)
		k.connections.leave()
	}
}

// Refusals. Each comes with a Retry-After.
func busy(what string) error {
	return ecr.Errorf(ecr.CodeUnavailable, "The registry is busy: %s. Try again.", what)
}

// rateExceeded is what ECR answers on both ways.
var rateExceeded = &ecr.Error{Code: ecr.CodeThrottling, Message: "Rate exceeded"}

// retryAfter is for refusals that pass by themselves.
const retryAfter = time.Second

func setRetryAfter(h http.Header, d time.Duration) {
	h.Set("Retry-After", strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10))
}

// admit lets a request in, or answers it. leave is called when the request is
// over, also when it was not let in.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, req *request) (ok bool, leave func()) {
	k := s.limits
	refused := func(err error) {
		setRetryAfter(w.Header(), retryAfter)
		req.refuse(err)
	}
	if !k.requests.enter() {
		req.limit = "requests"
		refused(busy("too many requests run at once"))
		return false, func() {}
	}
	body := &guardedBody{r: r.Body, rc: http.NewResponseController(w), stall: k.StallTime, memory: &req.memory, size: heldBytes(r)}
	if writesBlob(r) {
		if !k.uploads.enter() {
			k.requests.leave()
			req.limit = "uploads"
			refused(busy("too many uploads run at once"))
			return false, func() {}
		}
	}
	if r.ContentLength != 0 {
		body.begin()
		r.Body = body
	}
	return true, func() {
		body.end()
		for _, give := range req.shares {
			give()
		}
		if writesBlob(r) {
			k.uploads.leave()
		}
		k.requests.leave()
	}
}

// admitPrincipal counts a request of p, which was authenticated, or answers
// it.
func (s *Server) admitPrincipal(w http.ResponseWriter, r *http.Request, p access.Principal, req *request) bool {
	k, owner := s.limits, p.Owner()
	if wait := k.principals.take(owner, s.cfg.AuthNow()); wait > 0 {
		req.limit = "principal-rate"
		setRetryAfter(w.Header(), wait)
		req.refuse(rateExceeded)
		return false
	}
	limit := ""
	switch c, ok := r.Context().Value(connKey{}).(net.Conn); {
	case ok && !req.proxied && !k.owners.own(c, owner):
		limit = "connections"
		w.Header().Set("Connection", "close")
	case !req.share(k.requestShares, owner):
		limit = "requests"
	case writesBlob(r) && !req.share(k.uploadShares, owner):
		limit = "uploads"
	case !req.memory.own(owner):
		limit = "body-bytes"
	default:
		return true
	}
	req.limit = limit
	setRetryAfter(w.Header(), retryAfter)
	req.refuse(busy("one user has its whole share of the limit " + limit))
	return false
}

// share takes one of what owner may have, until the request is over.
func (req *request) share(of *shares, owner string) bool {
	if !of.take(owner, 1, 0) {
		return false
	}
	req.shares = append(req.shares, func() { of.give(owner, 1) })
	return true
}

// admitOperation counts a call of an operation of the ECR API, or answers it.
func (s *Server) admitOperation(w http.ResponseWriter, p access.Principal, region ecr.Region, operation string, req *request) bool {
	wait := s.limits.operations.take(string(p.Account)+" "+string(region)+" "+operation, s.cfg.AuthNow())
	if wait > 0 {
		req.limit = "operation-rate"
		setRetryAfter(w.Header(), wait)
		req.refuse(rateExceeded)
	}
	return wait == 0
}

// admitStranger counts a request whose credentials are none or wrong, or
// answers it. Those whose credentials are right never wait for strangers
// behind the same address.
func (s *Server) admitStranger(w http.ResponseWriter, r *http.Request, req *request) bool {
	wait := s.limits.sources.take(source(r.RemoteAddr), s.cfg.AuthNow())
	if wait > 0 {
		req.limit = "source-rate"
		setRetryAfter(w.Header(), wait)
		req.refuse(rateExceeded)
	}
	return wait == 0
}

// refuseStranger answers a request that was not authenticated.
func (s *Server) refuseStranger(w http.ResponseWriter, r *http.Request, req *request, err error) {
	s.failedLogin(r, req, err)
	if ecr.CodeOf(err) == ecr.CodeUnavailable {
		setRetryAfter(w.Header(), retryAfter) // it was, but there was no room
		req.refuse(err)
		return
	}
	if s.admitStranger(w, r, req) {
		req.refuse(err)
	}
}

// admitBody takes the memory for a body that is held whole, or answers the
// request.
func (s *Server) admitBody(w http.ResponseWriter, r *http.Request, req *request) bool {
	b, ok := r.Body.(*guardedBody)
	if !ok {
		return true
	}
	err := b.hold()
	if err != nil {
		req.limit = "body-bytes"
		setRetryAfter(w.Header(), retryAfter)
		req.refuse(err)
	}
	return err == nil
}

// source is the address of a client, or the network where each client has as
// many addresses as it wants (RFC 4291, 2.5.4: a subnet is a /64).
func source(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	if i := strings.IndexByte(host, '%'); i >= 0 {
		host = host[:i]
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

func isOCI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v2/") }

// writesBlob reports whether r may carry bytes of a blob to the docker
// endpoint.
func writesBlob(r *http.Request) bool {
	return isOCI(r) && r.ContentLength != 0 && strings.Contains(r.URL.Path, "/blobs/uploads/")
}

// beginsUpload reports whether r begins an upload.
func beginsUpload(r *http.Request, operation string) bool {
	if isOCI(r) {
		return r.Method == http.MethodPost && strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/blobs/uploads")
	}
	return operation == "InitiateLayerUpload"
}

// freeBody is how large a body may be without being counted: the number of
// requests bounds those.
const freeBody = 64 << 10

// heldBytes is how much of r's body will be held in memory, 0 for nothing to
// speak of.
func heldBytes(r *http.Request) int64 {
	var most int64
	switch {
	case isOCI(r) && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
		most = manifest.MaxSize
	case isOCI(r):
		return 0 // streamed to the store
	case r.Header.Get(awsjson.TargetHeader) != "":
		most = ecrapi.MaxBodyBytes
	default:
		most = maxQueryBody
	}
	n := r.ContentLength
	if n < 0 || n > most {
		n = most
	}
	if n <= freeBody {
		return 0
	}
	return n
}

// bucketsMax bounds the memory of a table of buckets to some 10 MB.
const bucketsMax = 1 << 16

// buckets are token buckets by name. Each holds burst tokens at first and gets
// rate more a second.
type buckets struct {
	rate, burst float64 // rate 0: no limit

	mu     sync.Mutex
	byName map[string]bucket // guarded by mu
	swept  time.Time         // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time // when it had that many
}

func newBuckets(rate, burst int64) *buckets {
	if rate < 0 {
		return &buckets{}
	}
	return &buckets{rate: float64(rate), burst: float64(max(burst, 1)), byName: map[string]bucket{}}
}

// take takes a token out of name's bucket and returns 0, or how long it takes
// until there is one.
func (b *buckets) take(name string, now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	have, known := b.byName[name]
	if !known {
		have = bucket{b.burst, now}
		if len(b.byName) >= bucketsMax && !b.sweep(now) {
			// Strangers beyond count share a bucket.
			name = ""
			if shared, ok := b.byName[name]; ok {
				have = shared
			}
		}
	}
	tokens := b.filled(have, now)
	wait := time.Duration(0)
	if tokens >= 1 {
		tokens--
	} else {
		wait = max(1, time.Duration((1-tokens)/b.rate*float64(time.Second)))
	}
	b.byName[name] = bucket{tokens, now}
	return wait
}

func (b *buckets) filled(k bucket, now time.Time) float64 {
	return min(b.burst, k.tokens+max(0, now.Sub(k.at).Seconds())*b.rate)
}

// sweep forgets buckets that are full again, which are as good as new ones,
// and reports whether there is room. It looks at most once a second.
func (b *buckets) sweep(now time.Time) bool {
	if now.Sub(b.swept) < time.Second {
		return false
	}
	b.swept = now
	for name, k := range b.byName {
		if b.filled(k, now) >= b.burst {
			delete(b.byName, name)
		}
	}
	return len(b.byName) < bucketsMax
}

// limitKnob is a limit as a user sets it.
type limitKnob struct {
	name   string
	number func(*Limits) *int64
	size   bool // the number is bytes
	time   func(*Limits) *time.Duration
	about  string
}

// limitKnobs are all of them.
var limitKnobs = []limitKnob{
	{name: "connections", number: func(l *Limits) *int64 { return &l.Connections }, about: "connections open at once; further ones are closed"},
	{name: "requests", number: func(l *Limits) *int64 { return &l.Requests }, about: "requests that run at once; further ones are answered 503"},
	{name: "uploads", number: func(l *Limits) *int64 { return &l.Uploads }, about: "requests that write a blob at once; further ones are answered 503"},
	{name: "open-uploads", number: func(l *Limits) *int64 { return &l.OpenUploads }, about: "uploads begun and neither completed, cancelled nor expired; further ones are answered 429"},
	{name: "body-bytes", size: true, number: func(l *Limits) *int64 { return &l.BodyBytes }, about: "requests and answers held in memory at once: manifests and calls of the AWS API; requests beyond are answered 503"},
	{name: "blob-bytes", size: true, number: func(l *Limits) *int64 { return &l.BlobBytes }, about: "the largest blob; larger ones are refused, with nothing left behind"},
	{name: "principal-rate", number: func(l *Limits) *int64 { return &l.PrincipalRate }, about: "requests a second of one user or role in the long run; further ones are answered 429"},
	{name: "principal-burst", number: func(l *Limits) *int64 { return &l.PrincipalBurst }, about: "requests of one user or role at a stroke"},
	{name: "operation-rate", number: func(l *Limits) *int64 { return &l.OperationRate }, about: "calls a second of one operation of the ECR API by one account in one region, as ECR throttles; further ones are answered `ThrottlingException`"},
	{name: "source-rate", number: func(l *Limits) *int64 { return &l.SourceRate }, about: "requests a second without valid credentials from one IPv4 address or IPv6 /64; further ones are answered 429"},
	{name: "source-burst", number: func(l *Limits) *int64 { return &l.SourceBurst }, about: "requests without valid credentials from one source at a stroke"},
	{name: "failed-logins", number: func(l *Limits) *int64 { return &l.FailedLogins }, about: "logins that fail, with one key from one source, before there is a wait of 1 s to 1 min; tries before that are answered 429"},
	{name: "header-time", time: func(l *Limits) *time.Duration { return &l.HeaderTime }, about: "for a request's header to arrive"},
	{name: "idle-time", time: func(l *Limits) *time.Duration { return &l.IdleTime }, about: "for a connection to wait for its next request"},
	{name: "stall-time", time: func(l *Limits) *time.Duration { return &l.StallTime }, about: "for a client to send the next 64 KiB of a body, or to take the next 1 MiB of an answer"},
}

// LimitNames are the names that Set takes.
func LimitNames() []string {
	names := make([]string, len(limitKnobs))
	for i, k := range limitKnobs {
		names[i] = k.name
	}
	return names
}

// LimitTable is the table of docs/limits.md: name, default, meaning.
func LimitTable() string {
	d := DefaultLimits()
	var b strings.Builder
	b.WriteString("| limit | default | |\n|---|---|---|\n")
	for _, k := range limitKnobs {
		value := ""
		switch {
		case k.time != nil:
			value = strings.TrimSuffix(k.time(&d).String(), "0s")
		case k.size:
			value = fmt.Sprintf("%dMiB", *k.number(&d)>>20)
		case *k.number(&d) < 0:
			value = "none"
		default:
			value = strconv.FormatInt(*k.number(&d), 10)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, value, k.about)
	}
	return b.String()
}

// Set sets a limit by its name, for example "requests" to "100", "blob-bytes"
// to "10GiB" or "stall-time" to "30s"; "none" takes the limit away.
func (l *Limits) Set(name, value string) error {
	for _, k := range limitKnobs {
		if k.name != name {
			continue
		}
		switch {
		case k.time != nil:
			d, err := time.ParseDuration(value)
			if value == "none" {
				d, err = -1, nil
			} else if err == nil && d <= 0 {
				err = fmt.Errorf("it must be more than nothing")
			}
			if err != nil {
				return fmt.Errorf("%s: %q is not a time such as 30s or 5m, or none", name, value)
			}
			*k.time(l) = d
		default:
			n, ok := parseNumber(value, k.size)
			if !ok {
				example := "100"
				if k.size {
					example = "100, 64MiB or 10GiB"
				}
				return fmt.Errorf("%s: %q is not a number above 0, such as %s, or none", name, value, example)
			}
			*k.number(l) = n
		}
		return nil
	}
	return fmt.Errorf("%s is not a limit: want one of %s", name, strings.Join(LimitNames(), ", "))
}

// ParseSize reads a size in bytes above 0, such as 100, 64MiB or 10GiB.
func ParseSize(s string) (int64, bool) {
	n, ok := parseNumber(s, true)
	return n, ok && n > 0
}

func parseNumber(s string, size bool) (int64, bool) {
	if s == "none" {
		return -1, true
	}
	unit := int64(1)
	if size {
		for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
			if rest, ok := strings.CutSuffix(s, suffix); ok {
				s, unit = rest, 1<<(10*(i+1))
			}
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return 0, false
	}
	return n * unit, true
}
