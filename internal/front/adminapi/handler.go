// Package adminapi is the API for the administrators of a registry: lifecycle
// runs, journal, recycle bin, usage, leases, collection and the test clock.
// It has an operation for each action that begins with "kontor:", and answers
// on the same address as the ECR API: AWS JSON 1.1, target prefix
// "Kontor_V20261101", signatures of the service "ecr", errors in ECR's form,
// names as ECR would give them.
//
// It decides nothing; what it adds to the registry is the wire: parsing and
// limits, pagination tokens, and the table from error codes to HTTP. It is no
// part of Amazon ECR, and no client of AWS knows it. Requests arrive
// authenticated.
package adminapi

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// MaxBodyBytes is enough for admin.MaxLeases leases. The server, which reads the body
// to check its signature, refuses longer ones.
const MaxBodyBytes = 16 << 20

// Config is what a Handler is made of.
type Config struct {
	// Retention serves the operations, except what Jobs does by hand. Both
	// are required.
	Retention *retention.Service
	Jobs      *jobs.Jobs
	// Inspect serves the records of the audit log. Required.
	Inspect *inspect.Service
	// Upstreams serves those on pull-through caches. Required.
	Upstreams *upstream.Service
	// Events serves those on receivers of events. Required.
	Events *delivery.Service
	// Replication serves those on replication. Required.
	Replication *replication.Service
	// Scanning serves those on the scanner. Required.
	Scanning *scanning.Service
	// Signing serves those on signers and signatures. Required.
	Signing *signing.Service
	// Managed serves those on signing profiles. Required.
	Managed *managed.Service
	// IAM serves the operations on machine tokens in the account of the caller, by
	// the region's partition. Required.
	IAM func(ecr.Region) *iam.Service
	// Console: links to it are made. Otherwise none is.
	Console bool
	// ConsolePort is the port of the console of a registry where it has one for itself,
	// else ""; nil where none has.
	ConsolePort func(ecr.RegistryID) string
	// MachineTokens: those of users are accepted as docker passwords. Otherwise none
	// is made.
	MachineTokens func(ecr.RegistryID) bool
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// Handler serves the API. It is safe for concurrent use.
type Handler struct{ cfg Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

// Serve answers one authenticated request: operation is what stands behind
// admin.TargetPrefix in X-Amz-Target, body the request's whole body, p who signed it,
// at the registry that the address is bound to. It writes one response. Errors
// that are not told to the client are logged under requestID.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, operation string, body []byte, p access.Principal, at ecr.RegistryID, requestID string) {
	serve, ok := served[operation]
	if !ok {
		h.Refuse(w, r, operation, ecr.Errorf(ecr.CodeUnknownOperation, "%s is not an operation of %s", operation, admin.TargetPrefix), requestID)
		return
	}
	response, err := serve(r.Context(), &call{Caller: h.cfg.Retention.As(p), jobs: h.cfg.Jobs.As(p), upstreams: h.cfg.Upstreams.As(p), signing: h.cfg.Signing.As(p), events: h.cfg.Events.As(p), h: h, p: p, at: at}, body)
	if err != nil {
		h.Refuse(w, r, operation, err, requestID)
		return
	}
	awsjson.WriteJSON(w, http.StatusOK, requestID, response)
}

// A call is one request: its caller and where it came in.
type call struct {
	*retention.Caller
	jobs      *jobs.Caller
	upstreams *upstream.Caller
	events    *delivery.Caller
	signing   *signing.Caller
	h         *Handler
	p         access.Principal
	at        ecr.RegistryID
}

// serve puts decoding before an operation.
func serve[In, Out any](operation func(*call, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return func(ctx context.Context, c *call, body []byte) (any, error) {
		in := new(In)
		if err := awsjson.Decode(body, in); err != nil {
			return nil, err
		}
		out, err := operation(c, ctx, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// in is the registry that a request means: registryId, by default the
// caller's account, in the endpoint's region.
func (c *call) in(registryID string) (ecr.RegistryID, error) {
	account := c.p.Account
	if registryID != "" {
		a, err := ecr.ParseAccountID(registryID)
		if err != nil {
			return ecr.RegistryID{}, ecr.InvalidParameter("registryId", "Member must satisfy regular expression '[0-9]{12}'")
		}
		account = a
	}
	return ecr.RegistryID{Account: account, Region: c.at.Region}, nil
}

// repo is the repository that a request must name.
func (c *call) repo(registryID, name string) (ecr.Repo, error) {
	in, err := c.in(registryID)
	if err != nil {
		return ecr.Repo{}, err
	}
	n, err := ecr.ParseRepositoryName(name)
	return ecr.Repo{In: in, Name: n}, err
}

// someRepo is the repository that a request may name; one without a name
// stands for all.
func (c *call) someRepo(registryID, name string) (ecr.Repo, error) {
	in, err := c.in(registryID)
	if err != nil {
		return ecr.Repo{}, err
	}
	n, err := optional(name, ecr.ParseRepositoryName)
	return ecr.Repo{In: in, Name: n}, err
}

// image is the image that a request must name, by its digest.
func (c *call) image(registryID, name, digest string) (ecr.Repo, ecr.Digest, error) {
	at, err := c.repo(registryID, name)
	if err != nil {
		return at, "", err
	}
	d, err := ecr.ParseDigest(digest)
	return at, d, err
}

// optional parses s, which may be empty.
func optional[T ~string](s string, parse func(string) (T, error)) (T, error) {
	if s == "" {
		return "", nil
	}
	return parse(s)
}

// bounded refuses a text of fewer than least bytes or more than most.
func bounded(path, text string, least, most int) error {
	switch {
	case len(text) < least:
		return ecr.InvalidParameter(path, "Member must have length greater than or equal to %d", least)
	case len(text) > most:
		return ecr.InvalidParameter(path, "Member must have length less than or equal to %d", most)
	}
	return nil
}

// texts are s as strings, [] for none.
func texts[S ~string](s []S) []string {
	out := make([]string, len(s))
	for i, t := range s {
		out[i] = string(t)
	}
	return out
}
