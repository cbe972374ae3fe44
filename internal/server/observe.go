package server

import (
	"context"
	"net/http"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/jobs"
)

// Observer is told what happens, to count it. It is called on the way of
// requests, by many at once, and must not wait.
type Observer interface {
	// Request is called when a request is over.
	Request(Observation)
	// Connection is called with 1 when a connection is opened and with -1
	// when it is closed.
	Connection(delta int)
	// Job is called when a job of package jobs was done, or failed with err.
	Job(name string, removed jobs.Removed, err error)
	// Pending is called every few seconds: the uploads that are open, and the
	// images whose pull time is not stored yet.
	Pending(uploads int64, pulls int)
}

// Observation is a request that is over. Its texts are from short lists:
// nothing in them is chosen by a client.
type Observation struct {
	Registry ecr.RegistryID
	// Operation is "ecr NAME", "oci METHOD kind", or what else was asked for;
	// "other" for what is not known.
	Operation string
	Status    int
	Took      time.Duration
	// BytesIn are those of the body that were read, BytesOut those of the
	// answer's body.
	BytesIn, BytesOut int64
	// Limit is the limit by which the request was refused, as --limit names
	// it; "" for none.
	Limit string
	// Credential is "machine token" or "web identity" where such a docker password was
	// sent, "" for others. Refused says of it that it was.
	Credential string
	Refused    bool
}

// Tracer follows requests, for a service that shows where their time went. It is called
// on the way of requests, by many at once, and must not wait.
type Tracer interface {
	gate.Tracer
	// Request is called when a request has come, which goes on with the context, and end
	// when it is over, with the request's id.
	Request(r *http.Request) (_ context.Context, end func(id string, o Observation))
}

func (s *Server) observe(r *http.Request, req *request, w *recorder, took time.Duration, traced func(string, Observation)) {
	if s.cfg.Observer == nil && s.cfg.Tracer == nil {
		return
	}
	o := Observation{
		Registry: req.binding.Registry, Operation: operationName(r, req.operation), Status: w.status,
		Took: took, BytesOut: w.bytes, Limit: req.limit,
		Credential: req.credential, Refused: req.principal.ARN == "",
	}
	if b, ok := r.Body.(*guardedBody); ok {
		o.BytesIn = b.read
	}
	traced(req.id, o)
	if s.cfg.Observer != nil {
		s.cfg.Observer.Request(o)
	}
}

// operationName bounds what a client can make of an operation's name.
func operationName(r *http.Request, operation string) string {
	switch {
	case operation == "oci":
		return "oci " + ociapi.Kind(r.Method, r.URL.Path)
	case operation == "layer-download":
		return "layer download"
	case ecrapi.Known(operation):
		return "ecr " + operation
	}
	switch r.URL.Path {
	case "/healthz", "/readyz":
		return r.URL.Path
	}
	return "other"
}

func (s *Server) observeConnection(state http.ConnState) {
	switch {
	case s.cfg.Observer == nil:
	case state == http.StateNew:
		s.cfg.Observer.Connection(1)
	case state == http.StateClosed || state == http.StateHijacked:
		s.cfg.Observer.Connection(-1)
	}
}

// observePending tells how much waits. It is called before pull times are
// stored: afterwards there are none, unless storing fails.
func (s *Server) observePending(ctx context.Context) {
	if s.cfg.Observer == nil {
		return
	}
	uploads, err := s.countUploads(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "open uploads not counted", "error", err)
		}
		return
	}
	s.cfg.Observer.Pending(uploads, s.retention.PullsPending())
	if err := s.events.Observe(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "event queues not counted", "error", err)
	}
}
