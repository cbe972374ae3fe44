// Package ociapi is the OCI distribution endpoint (/v2/), the door that
// docker, containerd and compatible tools use. It parses requests, calls the
// registry's operations in the caller's name and writes the answers; it
// decides nothing.
//
// It guarantees that errors have the form and the status that ECR gives them
// (compat ecr) or the specification wants (compat oci), that no cause of an
// error and no text of another package reaches a client, and that a download
// is a plain copy from the opened file, so that the kernel can send it.
// It leaves out authentication, limits and request logs: those are the
// server's, which calls Serve with a principal.
//
// Sources: OCI distribution specification 1.1 with the tag parameters of its
// development version; ECR's behaviour as users observed it.
package ociapi

import (
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Config is what a Handler is made of.
type Config struct {
	// Registry does the work. Required.
	Registry *registry.Registry
	// Upstreams fetches what repositories of pull-through caches do not have. Without
	// it there are none.
	Upstreams *upstream.Service
	// Log receives the causes of errors, which no client is told. Required.
	Log *slog.Logger
}

// Handler answers requests under /v2/. It is safe for concurrent use.
type Handler struct{ cfg Config }

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg: cfg} }

// Serve answers r in the name of caller, at the registry that the request was sent
// to. requestID is the id under which the server logs r. To keep downloads
// cheap w must be net/http's own ResponseWriter, or implement io.ReaderFrom
// through it.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, caller *gate.Caller, at ecr.RegistryID, requestID string) {
	x := &exchange{h: h, w: w, r: r, caller: h.cfg.Registry.For(caller), at: at, requestID: requestID}
	if h.cfg.Upstreams != nil {
		x.puller = h.cfg.Upstreams.For(caller)
	}
	setAPIVersion(w)
	rt, ok := parsePath(r.URL.Path)
	if !ok {
		x.fail(ecr.Errorf(ecr.CodeUnknownOperation, "404 page not found"))
		return
	}
	serve, ok := endpoints[rt.kind][r.Method]
	if !ok || x.ecrCompat() && !onECR(rt.kind, r.Method) {
		w.Header().Set("Allow", x.allowed(rt.kind))
		writeWire(w, r, wire{http.StatusMethodNotAllowed, "UNSUPPORTED"}, "The operation is unsupported.")
		return
	}
	if err := x.bind(rt); err != nil {
		x.fail(err)
		return
	}
	if err := serve(x); err != nil {
		x.fail(err)
	}
}

// exchange is one request and its answer. An endpoint either answers and
// returns nil, or returns an error and has written nothing.
type exchange struct {
	h         *Handler
	w         http.ResponseWriter
	r         *http.Request
	caller    *registry.Caller
	puller    *upstream.Puller // nil without upstreams
	at        ecr.RegistryID
	requestID string

	repo   ecr.Repo    // unless the kind has no repository
	digest ecr.Digest  // of a blob, a subject, or a manifest by digest
	tag    ecr.Tag     // of a manifest by tag
	upload string      // id of an upload
	body   *clientBody // set once an endpoint reads the request's body
}

// bind checks the path's names. Errors: nameInvalid, digestInvalid,
// tagInvalid, UploadNotFound.
func (x *exchange) bind(rt route) error {
	if rt.kind == kindBase || rt.kind == kindCatalog {
		return nil
	}
	name, err := ecr.ParseRepositoryName(rt.name)
	if err != nil {
		return inputError(nameInvalid, err)
	}
	x.repo = ecr.Repo{In: x.at, Name: name}
	if ns := x.r.URL.Query().Get("ns"); ns != "" && x.puller != nil && reads(x.r.Method) {
		if err := x.mirrored(ns, rt.name); err != nil {
			return err
		}
	}
	switch rt.kind {
	case kindManifest:
		if !isDigest(rt.ref) {
			if x.tag, err = ecr.ParseTag(rt.ref); err != nil {
				return inputError(tagInvalid, err)
			}
			return nil
		}
		fallthrough
	case kindBlob, kindReferrers:
		if x.digest, err = ecr.ParseDigest(rt.ref); err != nil {
			return inputError(digestInvalid, err)
		}
	case kindUpload:
		if !uploadPattern.MatchString(rt.ref) {
			return ecr.Errorf(ecr.CodeUploadNotFound, "The upload does not exist in the repository with name '%s' in the registry with id '%s'", name, x.at.Account)
		}
		x.upload = rt.ref
	}
	return nil
}

// ecrCompat reports whether ECR's behaviour counts where the specification
// and ECR differ.
func (x *exchange) ecrCompat() bool { return x.h.cfg.Registry.Compat(x.at) == registry.CompatECR }
