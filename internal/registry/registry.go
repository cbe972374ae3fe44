// Package registry holds the operations on repositories and images: their
// rules, rights and transactions. It knows neither HTTP nor SQL; every way in
// calls the same operations, through a Caller that says who asks.
//
// An operation checks its whole input first, decides who may on the row it has
// loaded (inside the transaction where it writes), and then writes once.
// Errors are *ecr.Error with ECR's codes and texts.
package registry

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/memo"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Compat says whose behaviour counts where the OCI specification and Amazon
// ECR differ.
type Compat string

// CompatECR: what works here works on ECR. CompatOCI: the OCI specification.
const (
	CompatECR Compat = "ecr"
	CompatOCI Compat = "oci"
)

// Config is what a Registry is made of.
type Config struct {
	Gate  *gate.Gate
	Blobs blob.Store
	// Retention keeps and removes the images. Required.
	Retention *retention.Service
	// Tokens issues docker tokens.
	Tokens TokenIssuer
	// Roles finds the roles that repository creation templates name. Without it
	// there are none.
	Roles RoleFinder
	// Pushed is called in the transaction of each push, and of each return from the
	// archive, such as to queue what is replicated; nil for nothing.
	Pushed func(ctx context.Context, tx *gate.Tx, s gate.Scene, p Pushed) error
	// Arrived is called in the transaction in which an image comes without a push, such
	// as by replication; nil for nothing.
	Arrived func(ctx context.Context, tx *gate.Tx, s gate.Scene, p Pushed) error
	// Stored is called after such a transaction of a push; nil for nothing.
	Stored func()
	// Now is the image clock: push times, ages, lifecycle. Required.
	Now func() time.Time
	// Compat defaults to CompatECR. Compats are those of registries that have another.
	Compat  Compat
	Compats map[ecr.RegistryID]Compat
	// Organizations: callers' requests say which organization accounts are in,
	// so that a Deny may depend on it.
	Organizations bool
	// BlobGrace is how long a blob stays that no image refers to: longer than
	// a push takes from its first blob, or from being told that a blob is
	// there, to its manifest.
	BlobGrace time.Duration
	// ActivationTime is how long an image that was archived takes to come
	// back. It cannot be pulled meanwhile.
	ActivationTime time.Duration
	// OneProcess: no other process serves from the same stores, so that uploads
	// need no claims in the database.
	OneProcess bool
	// ClaimTime is how long a process that no longer renews its claim on an upload
	// keeps others from it. Default 20 seconds.
	ClaimTime time.Duration
	// Passed is the time that has passed since some moment, whatever the
	// clocks are set to.
	Passed func() time.Duration
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// TokenIssuer makes docker tokens.
type TokenIssuer interface {
	// IssueToken returns a docker password for p in region and its expiry.
	IssueToken(ctx context.Context, p access.Principal, region ecr.Region) (password string, expires time.Time, err error)
}

// RoleFinder finds roles that this server acts as.
type RoleFinder interface {
	// ServiceRole returns a session of the role for a service of AWS, such as
	// "ecr.amazonaws.com". ok is false when the role does not exist, or its trust
	// policy does not let the service assume it.
	ServiceRole(ctx context.Context, r meta.IdentityReader, roleARN, service string, in ecr.RegistryID) (p access.Principal, ok bool, err error)
}

// Registry serves any number of registries (accounts and regions) from one
// store.
type Registry struct {
	cfg     Config
	uploads writings
	begun   begun // empty unless OneProcess
	content content
	bodies  memo.Table[ecr.Digest, struct{}, []byte] // manifests that are what their digests say
}

// New returns a Registry. It starts nothing.
func New(cfg Config) *Registry {
	if cfg.Compat == "" {
		cfg.Compat = CompatECR
	}
	if cfg.ClaimTime == 0 {
		cfg.ClaimTime = defaultClaimTime
	}
	r := &Registry{cfg: cfg}
	r.content.places = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))
	r.bodies.Max = bodyBytes
	return r
}

// BlobGrace is how long a blob stays that no image refers to.
func (r *Registry) BlobGrace() time.Duration { return r.cfg.BlobGrace }

// Compat returns the compatibility mode of a registry.
func (r *Registry) Compat(in ecr.RegistryID) Compat {
	if c, other := r.cfg.Compats[in]; other {
		return c
	}
	return r.cfg.Compat
}

// As returns the operations as p may use them.
func (r *Registry) As(p access.Principal) *Caller { return r.For(r.cfg.Gate.As(p)) }

// For returns the operations as c may use them, on its visit.
func (r *Registry) For(c *gate.Caller) *Caller { return &Caller{r, c} }

// System returns the operations for a job of the server itself; reason names
// the job and goes on record.
func (r *Registry) System(reason string) *Caller { return r.For(r.cfg.Gate.System(reason)) }

// Caller is the operations in the name of one principal. It is safe for
// concurrent use.
type Caller struct {
	r    *Registry
	gate *gate.Caller
}

// Repository is what callers learn of a repository.
type Repository struct {
	ecr.Repo
	CreatedAt  time.Time
	Mutability ecr.Mutability
	ScanOnPush bool
	Encryption ecr.Encryption
}

// NewRepository is a repository to be. The zero values of its settings are
// ECR's defaults: mutable, no scanning, AES256.
type NewRepository struct {
	ecr.Repo
	Mutability ecr.Mutability
	ScanOnPush bool
	Encryption ecr.Encryption
	Tags       map[string]string
}

// NewImage is an image to be put.
type NewImage struct {
	// Body is the manifest, byte for byte as it will be served.
	Body []byte
	// MediaType as the client says; may be empty when the body says it.
	MediaType string
	// Tags to point to the image; none for a push by digest.
	Tags []ecr.Tag
	// Digest the client expects; empty to accept the sha256 of Body.
	Digest ecr.Digest
	// Strict refuses what changes nothing (the ECR API); otherwise putting
	// the same image under the same mutable tag succeeds (docker).
	Strict bool
	// Sparse allows an index to list images that are not there, in CompatECR also:
	// a pull-through cache has those that were pulled.
	Sparse bool
	// Cached is for what comes from an upstream. Its tags and referrers are compared with
	// it from then on; a tag that was pushed here stays what it is.
	Cached bool
	// Prefix and Upstream are of the rule by which it came, with Cached.
	Prefix, Upstream string
	// Via are the registries that it was replicated through; nil for an image that was not.
	Via []ecr.RegistryID
	// Within runs in the transaction that stores the image, after it; may be nil. Its
	// error keeps the image out.
	Within func(ctx context.Context, tx *gate.Tx) error
}

// PutResult is an image as put.
type PutResult struct {
	Digest    ecr.Digest
	MediaType string
	Subject   ecr.Digest // of a referrer
}

// Manifest is an image's manifest.
type Manifest struct {
	Digest    ecr.Digest
	MediaType string
	Body      []byte
	// Repository is where it was read; zero in a batch.
	Repository meta.RepositoryID
}

// ImageFailure is why one image of a batch failed. Code and Reason are
// ECR's, for example "ImageNotFound", "Requested image not found".
type ImageFailure struct {
	ID     ecr.ImageID
	Code   string
	Reason string
}

// GotImage is one image of BatchGetImage.
type GotImage struct {
	ID ecr.ImageID // digest, and the tag if it was asked for by tag
	Manifest
}

// Referrer describes an image that refers to a subject.
type Referrer struct {
	Digest       ecr.Digest
	MediaType    string
	ArtifactType string
	SizeBytes    int64 // of the manifest
	Annotations  map[string]string
	Status       ecr.ImageStatus
}

// BlobInfo describes a blob of a repository.
type BlobInfo struct {
	Digest    ecr.Digest
	SizeBytes int64
	CreatedAt time.Time
	// Known says of a completed upload that the repository had the blob before.
	Known bool
	// URL is where a blob that was opened can be fetched with GET, for some minutes;
	// "" where it is served.
	URL string
}

// LayerFailure is why one layer of a batch failed: code "InvalidLayerDigest"
// or "MissingLayerDigest".
type LayerFailure struct {
	Digest string
	Code   string
	Reason string
}

// Token is a docker password with its expiry.
type Token struct {
	Password  string
	ExpiresAt time.Time
}
