package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/adminapi"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/front/stsapi"
	"github.com/kontor-registry/kontor/internal/front/tagapi"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

// handler is everything that happens to a request, in this order: a request
// id, which every answer carries, one log line when it is over, an answer
// should code panic, then routes. Each route authenticates in its protocol's
// way before anything else.
func (s *Server) handler(b Binding, console bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A copy: net/http looks at its own request's body to decide what of it
		// to read after the answer, and must find the one it made.
		req := &request{id: newRequestID(), binding: b, console: console, memory: memory{all: s.limits.bodies, max: s.limits.BodyBytes, shares: s.limits.bodyShares}}
		r = r.WithContext(budget.With(r.Context(), &req.memory))
		defer req.memory.end()
		s.forwarded(r, req)
		req.binding, req.known = s.boundTo(r, b)
		rec := newRecorder(w, s.limits.StallTime)
		traced := func(string, Observation) {}
		if s.cfg.Tracer != nil {
			var ctx context.Context
			ctx, traced = s.cfg.Tracer.Request(r)
			r = r.WithContext(ctx)
		}
		start := time.Now()
		w.Header().Set(awsjson.RequestIDHeader, req.id)
		closeAmbiguous(w, r)
		defer func() {
			took := time.Since(start)
			s.logRequest(r, req, rec, took)
			s.observe(r, req, rec, took, traced)
		}()
		defer s.answerPanic(rec, r, req)
		s.route(rec, r, req)
	})
}

// maxUnsignedBody bounds what strangers make the server read: the token of an
// identity provider and what goes with it.
const maxUnsignedBody = 64 << 10

// request is what is learned of a request on its way.
type request struct {
	id        string
	binding   Binding
	operation string
	principal access.Principal
	// credential is the kind of a machine's, "" for others.
	credential string
	limit      string // by which it was refused, "" for none
	https      bool   // as the client sent it
	proxied    bool   // the connection is a trusted proxy's
	console    bool   // it came to a listener that is for the web console only
	known      bool   // the host that it was sent to, or the port, says which registry it is for
	memory     memory
	shares     []func() // to give back what the request has of its owner's
	// refuse answers with an error, in the protocol of the request.
	refuse func(error)
}

// newRequestID makes a random UUID, as AWS's request ids are.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, req *request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	req.refuse = func(err error) { req.refusePlain(w, err) }
	switch path := r.URL.Path; {
	case path == ecrapi.DownloadPath && !req.console:
		s.serveDownload(w, r, req)
	case path == "/readyz" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		if s.admitStranger(w, r, req) {
			s.serveReady(w, r, req)
		}
	case path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	case s.isConsole(r) && req.console == s.cfg.ConsoleApart:
		s.serveConsole(w, r, req)
	case s.wantsPage(r) && req.console == s.cfg.ConsoleApart:
		http.Redirect(w, r, parts.Root, http.StatusFound)
	case req.console:
		s.refuseRest(w, r, req, "This is the web console of a Kontor registry: it is at "+parts.Root+". Images and the AWS API are on another port.")
	case path == "/v2" || strings.HasPrefix(path, "/v2/"):
		s.serveOCI(w, r, req)
	case path == "/" && strings.HasPrefix(r.Header.Get(awsjson.TargetHeader), admin.TargetPrefix+"."):
		s.serveAdmin(w, r, req)
	case path == "/" && strings.HasPrefix(r.Header.Get(awsjson.TargetHeader), tagapi.TargetPrefix+"."):
		s.serveTags(w, r, req)
	case path == "/" && r.Header.Get(awsjson.TargetHeader) != "":
		s.serveECR(w, r, req)
	case path == "/" && (r.Method == http.MethodPost || r.URL.Query().Has("Action")):
		s.serveQuery(w, r, req)
	default:
		s.refuseRest(w, r, req, "This is a Kontor registry. Images are under /v2/, the AWS API is on POST /.")
	}
}

// refuseRest answers a request for what is not here.
func (s *Server) refuseRest(w http.ResponseWriter, r *http.Request, req *request, text string) {
	ok, leave := s.admit(w, r, req)
	defer leave()
	if ok && s.admitStranger(w, r, req) {
		http.Error(w, text, http.StatusNotFound)
	}
}

// serveDownload serves a download URL of a layer. Who has none counts as a
// stranger.
func (s *Server) serveDownload(w http.ResponseWriter, r *http.Request, req *request) {
	req.operation = "layer-download"
	w.Header().Set("Content-Security-Policy", sandbox)
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok {
		return
	}
	if t, err := s.ecr.OpenTicket(r); err == nil {
		s.ecr.ServeDownload(w, r, t, req.id)
	} else if s.admitStranger(w, r, req) {
		s.ecr.RefuseTicket(w, err)
	}
}

// refusePlain answers in plain text, where no protocol is spoken.
func (req *request) refusePlain(w http.ResponseWriter, err error) {
	switch ecr.CodeOf(err) {
	case ecr.CodeThrottling:
		http.Error(w, "Too many requests. Try again later.", http.StatusTooManyRequests)
	case ecr.CodeUnavailable:
		http.Error(w, "The registry is busy. Try again.", http.StatusServiceUnavailable)
	default:
		http.Error(w, "Internal error. Request id: "+req.id, http.StatusInternalServerError)
	}
}

// serveOCI serves the docker endpoint.
func (s *Server) serveOCI(w http.ResponseWriter, r *http.Request, req *request) {
	req.operation = "oci"
	w.Header().Set("Content-Security-Policy", sandbox)
	req.refuse = func(err error) { s.oci.WriteError(w, r, err, req.id) }
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok {
		return
	}
	if !req.known {
		if s.admitStranger(w, r, req) {
			ociapi.WriteMisdirected(w, r)
		}
		return
	}
	if !s.admitLogin(w, r, req) {
		return
	}
	defer s.noteToken(r, req) // when the visit has ended, as it writes
	visit := s.gate.Visit()
	defer visit.End()
	region := req.binding.Registry.Region
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	tokens := s.users[region.Partition()].Tokens(visit)
	if !reads {
		tokens = tokens.Stamped(s.cfg.Meta)
	}
	p, err := authn.VerifyBasic(r, tokens, s.machines(r, req, tokens), region)
	if err != nil || !reads {
		visit.End() // a client may take long to send a body
	}
	switch code := ecr.CodeOf(err); {
	case err == nil:
		s.loggedIn(r, req, p)
		p = req.principal
		if !s.admitPrincipal(w, r, p, req) || !s.admitUpload(w, r, req) || !s.admitBody(w, r, req) {
			return
		}
		s.oci.Serve(w, r, visit.As(p), req.binding.Registry, req.id)
	case errors.Is(err, authn.ErrNoCredentials) || code == ecr.CodeUnrecognizedClient:
		if !errors.Is(err, authn.ErrNoCredentials) {
			s.failedLogin(r, req, err)
		}
		if s.admitStranger(w, r, req) {
			realm := r.Host
			if external := req.binding.External; external != nil {
				realm = external.Host
			}
			ociapi.WriteUnauthorized(w, realm)
		}
	default:
		if code == ecr.CodeServer || code == ecr.CodeUnavailable {
			s.cfg.Log.ErrorContext(r.Context(), "authenticating", "request_id", req.id, "error", err)
		}
		s.failedLogin(r, req, err)
		req.refuse(err)
	}
}

// serveECR serves the ECR API, AWS JSON 1.1.
func (s *Server) serveECR(w http.ResponseWriter, r *http.Request, req *request) {
	operation, unknown := awsjson.Operation(r, ecrapi.TargetPrefix)
	req.operation = operation
	req.refuse = func(err error) { s.ecr.Refuse(w, r, operation, err, req.id) }
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok {
		return
	}
	if !s.admitLogin(w, r, req) {
		return
	}
	region := s.region(r, req)
	p, body, err := s.verifier(region).ReadAndVerify(r, ecrapi.MaxBodyBytes, region, "ecr")
	if err != nil {
		s.refuseStranger(w, r, req, err)
		return
	}
	s.loggedIn(r, req, p)
	p = req.principal
	if !s.admitPrincipal(w, r, p, req) || !s.admitUpload(w, r, req) {
		return
	}
	if unknown != nil {
		req.refuse(unknown)
		return
	}
	if !s.admitOperation(w, p, region, operation, req) {
		return
	}
	s.ecr.Serve(w, r, operation, body, p, s.endpoint(r, req, region), req.id)
}

// serveAdmin serves Kontor's admin API, in the protocol of the ECR API.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request, req *request) {
	operation, unknown := awsjson.Operation(r, admin.TargetPrefix)
	req.operation = operation
	req.refuse = func(err error) { s.admin.Refuse(w, r, operation, err, req.id) }
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok || !s.admitLogin(w, r, req) {
		return
	}
	region := s.region(r, req)
	p, body, err := s.verifier(region).ReadAndVerify(r, adminapi.MaxBodyBytes, region, "ecr")
	if err != nil {
		s.refuseStranger(w, r, req, err)
		return
	}
	s.loggedIn(r, req, p)
	p = req.principal
	if !s.admitPrincipal(w, r, p, req) {
		return
	}
	if unknown != nil {
		req.refuse(unknown)
		return
	}
	s.admin.Serve(w, r, operation, body, p, ecr.RegistryID{Account: req.binding.Registry.Account, Region: region}, req.id)
}

// serveTags serves the Resource Groups Tagging API, AWS JSON 1.1.
func (s *Server) serveTags(w http.ResponseWriter, r *http.Request, req *request) {
	operation, unknown := awsjson.Operation(r, tagapi.TargetPrefix)
	req.operation = operation
	req.refuse = func(err error) { s.tags.Refuse(w, r, err, req.id) }
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok || !s.admitLogin(w, r, req) {
		return
	}
	region := s.region(r, req)
	p, body, err := s.verifier(region).ReadAndVerify(r, tagapi.MaxBodyBytes, region, tagapi.Service)
	if err != nil {
		s.refuseStranger(w, r, req, err)
		return
	}
	s.loggedIn(r, req, p)
	p = req.principal
	if !s.admitPrincipal(w, r, p, req) {
		return
	}
	if unknown != nil {
		req.refuse(unknown)
		return
	}
	in := ecr.RegistryID{Account: p.Account, Region: region} // it tells of the caller's own account
	if !s.serves(in) {
		in.Account = req.binding.Registry.Account
	}
	s.tags.Serve(w, r, operation, body, p, in, req.id)
}

// serveQuery serves STS and IAM, in the AWS Query protocol. IAM is the same for
// all regions of a partition, so signatures for any of them hold.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, req *request) {
	service, region := authn.Claimed(r)
	here := s.region(r, req)
	if service != "iam" || region.Partition() != here.Partition() {
		region = here
	}
	req.refuse = func(err error) { s.sts.ServeError(w, r, req.id, err) }
	if service == "iam" {
		req.refuse = func(err error) { s.iam.ServeError(w, r, req.id, err) }
	} else {
		service = "sts"
	}
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok {
		return
	}
	if !s.admitLogin(w, r, req) {
		return
	}
	p, body, err := s.verifier(region).ReadAndVerify(r, maxQueryBody, region, service)
	if errors.Is(err, authn.ErrNoCredentials) {
		s.serveUnsigned(w, r, req)
		return
	}
	if err != nil {
		s.refuseStranger(w, r, req, err)
		return
	}
	s.loggedIn(r, req, p)
	p = req.principal
	if !s.admitPrincipal(w, r, p, req) {
		return
	}
	form, err := awsquery.Form(r, body)
	if err != nil {
		req.refuse(err)
		return
	}
	req.operation = form.Get("Action")
	identities := s.iams[region.Partition()]
	if service == "iam" {
		s.iam.Serve(w, r, identities, p, form, req.id)
		return
	}
	s.sts.Serve(w, r, stsapi.Request{IAM: identities, Region: region, Principal: p, Form: form, ID: req.id})
}

// serveUnsigned serves the one action whose callers have nothing to sign with.
// They count as strangers, whatever comes of it.
func (s *Server) serveUnsigned(w http.ResponseWriter, r *http.Request, req *request) {
	if !s.admitStranger(w, r, req) {
		return
	}
	var form url.Values
	var body []byte
	err := error(authn.ErrNoCredentials)
	if awsquery.IsForm(r) {
		if body, err = awsjson.ReadBody(r, maxUnsignedBody); err == nil {
			form, err = awsquery.Form(r, body)
		}
	}
	if err == nil && form.Get("Action") != stsapi.Unsigned {
		err = authn.ErrNoCredentials
	}
	if err != nil {
		req.refuse(err)
		return
	}
	req.operation = stsapi.Unsigned
	here := req.binding.Registry.Region
	s.sts.Serve(w, r, stsapi.Request{
		IAM: s.iams[here.Partition()], Region: here, Principal: access.Principal{Request: s.info(r, req)}, Form: form, ID: req.id,
	})
}

func (s *Server) answerPanic(w *recorder, r *http.Request, req *request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v) // the handler wants the connection cut
	}
	s.cfg.Log.ErrorContext(r.Context(), "panic", "request_id", req.id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		// Nobody must take half an answer for a whole one.
		panic(http.ErrAbortHandler)
	}
	// What was prepared is about another answer.
	clear(w.Header())
	w.Header().Set(awsjson.RequestIDHeader, req.id)
	req.refuse(fmt.Errorf("panic: %v", v))
}

// logRequest writes the one line of a request: no tokens, no signatures, no
// bodies.
func (s *Server) logRequest(r *http.Request, req *request, w *recorder, took time.Duration) {
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", req.id),
		slog.String("registry", req.binding.Registry.String()),
		slog.String("principal", req.principal.String()),
		slog.String("operation", short(req.operation)),
		slog.String("method", r.Method),
		slog.String("path", short(r.URL.Path)),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("duration", took),
		slog.String("source", r.RemoteAddr),
		slog.String("agent", short(r.UserAgent())),
	)
}

// short keeps what strangers send from filling the log.
func short(s string) string { return s[:min(len(s), maxLogged)] }

// recorder notes status and size of an answer, and gives the client time to
// take it. It hands ReadFrom on, so that a file still goes out by sendfile.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64

	rc    *http.ResponseController
	stall time.Duration // below zero: any time
	since int64         // bytes since the deadline was set
}

func newRecorder(w http.ResponseWriter, stall time.Duration) *recorder {
	rec := &recorder{ResponseWriter: w, rc: http.NewResponseController(w), stall: stall}
	// What the answer to an earlier request on this connection left.
	_ = rec.rc.SetWriteDeadline(time.Time{}) // connections without deadlines are those of tests
	return rec
}

// getOn gives the client time for the next step.
func (w *recorder) getOn() {
	w.since = 0
	if w.stall > 0 {
		_ = w.rc.SetWriteDeadline(time.Now().Add(w.stall)) // as above
	}
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.getOn()
		if again := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; again && w.Header().Get("Retry-After") == "" {
			setRetryAfter(w.Header(), retryUnavailable)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// retryUnavailable is for failures that somebody has to look after, such as a
// full disk.
const retryUnavailable = 10 * time.Second

func (w *recorder) Write(p []byte) (int, error) {
	w.implicit()
	if w.since += int64(len(p)); w.since >= writeStep {
		w.getOn()
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom makes io.Copy use the connection's own ReadFrom, a step at a time.
// The kernel sends only what is a file under a single io.LimitedReader, so that
// is what each step is.
func (w *recorder) ReadFrom(src io.Reader) (int64, error) {
	w.implicit()
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	var sent int64
	for limited.N > 0 {
		w.getOn()
		step := &io.LimitedReader{R: limited.R, N: min(writeStep, limited.N)}
		want := step.N
		n, err := io.Copy(w.ResponseWriter, step)
		sent += n
		w.bytes += n
		limited.N -= n
		if err != nil || n < want {
			return sent, err
		}
	}
	return sent, nil
}

func (w *recorder) implicit() {
	if w.status == 0 {
		w.status = http.StatusOK
		w.getOn()
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
