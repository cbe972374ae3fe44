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
	"io"
	"log/slog"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
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
	Meta  meta.Store
	Blobs blob.Store
	// Tokens issues docker tokens.
	Tokens TokenIssuer
	// Now is the image clock: push times, ages, lifecycle. Required.
	Now func() time.Time
	// Compat defaults to CompatECR.
	Compat Compat
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// TokenIssuer makes docker tokens.
type TokenIssuer interface {
	// IssueToken returns a docker password for p in region and its expiry.
	IssueToken(ctx context.Context, p access.Principal, region ecr.Region) (password string, expires time.Time, err error)
}

// Registry serves any number of registries (accounts and regions) from one
// store.
type Registry struct{ cfg Config }

// New returns a Registry. It starts nothing.
func New(cfg Config) *Registry {
	if cfg.Compat == "" {
		cfg.Compat = CompatECR
	}
	return &Registry{cfg: cfg}
}

// Compat returns the registry's compatibility mode.
func (r *Registry) Compat() Compat { return r.cfg.Compat }

// As returns the operations as p may use them.
func (r *Registry) As(p access.Principal) *Caller { return &Caller{r: r, p: p} }

// System returns the operations for a job of the server itself; reason names
// the job and goes on record.
func (r *Registry) System(reason string) *Caller {
	return &Caller{r: r, p: access.Principal{System: reason}}
}

// Caller is the operations in the name of one principal. It is safe for
// concurrent use.
type Caller struct {
	r *Registry
	p access.Principal
}

// Repo names a repository.
type Repo struct {
	In   ecr.RegistryID
	Name ecr.RepositoryName
}

// ARN of the repository.
func (r Repo) ARN() string { return r.In.RepositoryARN(r.Name) }

// Repository is what callers learn of a repository.
type Repository struct {
	Repo
	CreatedAt  time.Time
	Mutability ecr.Mutability
	ScanOnPush bool
	Encryption ecr.Encryption
}

// NewRepository is a repository to be. The zero values of its settings are
// ECR's defaults: mutable, no scanning, AES256.
type NewRepository struct {
	Repo
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

// TagStatus selects images by whether they have tags.
type TagStatus string

// Tag statuses of the filters; empty means any.
const (
	TagStatusAny      TagStatus = "ANY"
	TagStatusTagged   TagStatus = "TAGGED"
	TagStatusUntagged TagStatus = "UNTAGGED"
)

// Referrer describes an image that refers to a subject.
type Referrer struct {
	Digest       ecr.Digest
	MediaType    string
	ArtifactType string
	SizeBytes    int64 // of the manifest
	Annotations  map[string]string
}

// BlobInfo describes a blob of a repository.
type BlobInfo struct {
	Digest    ecr.Digest
	SizeBytes int64
	CreatedAt time.Time
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

// AnyOffset, as the offset of an upload's next byte, accepts whatever the
// upload has.
const AnyOffset int64 = -1

// --- operations -----------------------------------------------------------

// AuthorizationToken issues a docker token for the caller in region.
func (c *Caller) AuthorizationToken(ctx context.Context, region ecr.Region) (Token, error) {
	panic("to come")
}

// CreateRepository creates a repository.
// Errors: RepositoryAlreadyExists, InvalidParameter, InvalidTagParameter, TooManyTags.
func (c *Caller) CreateRepository(ctx context.Context, n NewRepository) (Repository, error) {
	panic("to come")
}

// DescribeRepositories returns the named repositories in the order given.
// Errors: RepositoryNotFound if any is missing.
func (c *Caller) DescribeRepositories(ctx context.Context, in ecr.RegistryID, names []ecr.RepositoryName) ([]Repository, error) {
	panic("to come")
}

// ListRepositories returns at most limit repositories in byte order of their
// names after the name after, and whether there are more.
func (c *Caller) ListRepositories(ctx context.Context, in ecr.RegistryID, after ecr.RepositoryName, limit int) (list []Repository, more bool, err error) {
	panic("to come")
}

// DeleteRepository deletes a repository; with force, its images too.
// Errors: RepositoryNotFound, RepositoryNotEmpty.
func (c *Caller) DeleteRepository(ctx context.Context, at Repo, force bool) (Repository, error) {
	panic("to come")
}

// SetTagMutability changes which tags may be pushed again.
func (c *Caller) SetTagMutability(ctx context.Context, at Repo, m ecr.Mutability) error {
	panic("to come")
}

// SetScanOnPush changes whether images are scanned when pushed.
func (c *Caller) SetScanOnPush(ctx context.Context, at Repo, on bool) error { panic("to come") }

// SetPolicy sets the repository policy and returns it as stored.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetPolicy(ctx context.Context, at Repo, text string, force bool) (string, error) {
	panic("to come")
}

// Policy returns the repository policy. Errors: RepositoryPolicyNotFound.
func (c *Caller) Policy(ctx context.Context, at Repo) (string, error) { panic("to come") }

// DeletePolicy removes the repository policy and returns what it was.
func (c *Caller) DeletePolicy(ctx context.Context, at Repo) (string, error) { panic("to come") }

// SetLifecyclePolicy sets the lifecycle policy and returns it as stored.
// Errors: RepositoryNotFound, InvalidParameter.
func (c *Caller) SetLifecyclePolicy(ctx context.Context, at Repo, text string) (string, error) {
	panic("to come")
}

// LifecyclePolicy returns the lifecycle policy. Errors: LifecyclePolicyNotFound.
func (c *Caller) LifecyclePolicy(ctx context.Context, at Repo) (string, error) { panic("to come") }

// DeleteLifecyclePolicy removes the lifecycle policy and returns what it was.
func (c *Caller) DeleteLifecyclePolicy(ctx context.Context, at Repo) (string, error) {
	panic("to come")
}

// TagResource adds or replaces resource tags.
// Errors: RepositoryNotFound, InvalidTagParameter, TooManyTags.
func (c *Caller) TagResource(ctx context.Context, at Repo, tags map[string]string) error {
	panic("to come")
}

// UntagResource removes resource tags; keys that are not there are nothing.
func (c *Caller) UntagResource(ctx context.Context, at Repo, keys []string) error {
	panic("to come")
}

// ResourceTags returns the resource tags.
func (c *Caller) ResourceTags(ctx context.Context, at Repo) (map[string]string, error) {
	panic("to come")
}

// PutImage stores an image and points tags to it, as a whole or not at all.
// Errors: RepositoryNotFound, InvalidParameter, ImageAlreadyExists,
// ImageTagAlreadyExists, ImageDigestDoesNotMatch, LayersNotFound,
// ReferencedImagesNotFound.
func (c *Caller) PutImage(ctx context.Context, at Repo, n NewImage) (PutResult, error) {
	panic("to come")
}

// Manifest returns an image's manifest and counts as a pull.
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) Manifest(ctx context.Context, at Repo, id ecr.ImageID) (Manifest, error) {
	panic("to come")
}

// StatManifest is Manifest without counting as a pull (HEAD).
func (c *Caller) StatManifest(ctx context.Context, at Repo, id ecr.ImageID) (Manifest, error) {
	panic("to come")
}

// BatchGetImage returns images and, for those it cannot, why. The ids may be
// malformed; that is a failure of the item.
func (c *Caller) BatchGetImage(ctx context.Context, at Repo, ids []ecr.ImageID) ([]GotImage, []ImageFailure, error) {
	panic("to come")
}

// BatchDeleteImage deletes images: by tag the tag, and with its last tag the
// image; by digest the image with all tags. It returns a pair for each tag
// that went. The ids may be malformed; that is a failure of the item.
func (c *Caller) BatchDeleteImage(ctx context.Context, at Repo, ids []ecr.ImageID) ([]ecr.ImageID, []ImageFailure, error) {
	panic("to come")
}

// DeleteManifest deletes the image d with all its tags (OCI).
// Errors: RepositoryNotFound, ImageNotFound, ReferencedByManifestList.
func (c *Caller) DeleteManifest(ctx context.Context, at Repo, d ecr.Digest) error { panic("to come") }

// DeleteTag removes a tag and keeps the image (OCI).
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) DeleteTag(ctx context.Context, at Repo, tag ecr.Tag) error { panic("to come") }

// ListImages returns at most limit (digest, tag) pairs in byte order after
// the pair after, and the pair to go on after; zero when that was all.
func (c *Caller) ListImages(ctx context.Context, at Repo, status TagStatus, after ecr.ImageID, limit int) (ids []ecr.ImageID, next ecr.ImageID, err error) {
	panic("to come")
}

// DescribeImages returns the images named. Errors: ImageNotFound if any is missing.
func (c *Caller) DescribeImages(ctx context.Context, at Repo, ids []ecr.ImageID) ([]ecr.Image, error) {
	panic("to come")
}

// ListImageDetails returns at most limit images in byte order of their
// digests after the digest after, and the digest to go on after; empty when
// that was all.
func (c *Caller) ListImageDetails(ctx context.Context, at Repo, status TagStatus, after ecr.Digest, limit int) (images []ecr.Image, next ecr.Digest, err error) {
	panic("to come")
}

// ListTags returns at most limit tags in byte order after the tag after, and
// whether there are more.
func (c *Caller) ListTags(ctx context.Context, at Repo, after ecr.Tag, limit int) (tags []ecr.Tag, more bool, err error) {
	panic("to come")
}

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all.
func (c *Caller) ListReferrers(ctx context.Context, at Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int) (list []Referrer, next ecr.Digest, err error) {
	panic("to come")
}

// BatchCheckLayers reports the layers that the repository has, and the failures
// of those it has not or that are malformed.
func (c *Caller) BatchCheckLayers(ctx context.Context, at Repo, digests []string) ([]BlobInfo, []LayerFailure, error) {
	panic("to come")
}

// StatBlob describes a blob. Errors: RepositoryNotFound, LayersNotFound.
func (c *Caller) StatBlob(ctx context.Context, at Repo, d ecr.Digest) (BlobInfo, error) {
	panic("to come")
}

// OpenBlob opens a blob for download; the caller closes it.
// Errors: RepositoryNotFound, LayersNotFound.
func (c *Caller) OpenBlob(ctx context.Context, at Repo, d ecr.Digest) (BlobInfo, blob.File, error) {
	panic("to come")
}

// MountBlob makes a blob of from visible in at. It reports false, without an
// error, when the caller must upload it instead: the blob is not there, or the
// caller may not read it there.
func (c *Caller) MountBlob(ctx context.Context, at, from Repo, d ecr.Digest) (BlobInfo, bool, error) {
	panic("to come")
}

// StartUpload begins an upload. Errors: RepositoryNotFound.
func (c *Caller) StartUpload(ctx context.Context, at Repo) (meta.UploadID, error) {
	panic("to come")
}

// UploadOffset returns how many bytes an upload has. Errors: UploadNotFound.
func (c *Caller) UploadOffset(ctx context.Context, at Repo, id meta.UploadID) (int64, error) {
	panic("to come")
}

// AppendUpload appends body to an upload that must have exactly from bytes
// (or AnyOffset), and returns how many it has now. What was received before
// body failed is kept only if the failure was the client's hanging up.
// Errors: UploadNotFound, InvalidLayerPart.
func (c *Caller) AppendUpload(ctx context.Context, at Repo, id meta.UploadID, from int64, body io.Reader) (int64, error) {
	panic("to come")
}

// CompleteUpload appends body (which may be nil) as AppendUpload does, and
// turns the upload into a blob of the repository if its content has one of the
// digests. Otherwise the upload is gone, with everything received.
// Errors: UploadNotFound, InvalidLayerPart, InvalidLayer, EmptyUpload,
// LayerPartTooSmall.
func (c *Caller) CompleteUpload(ctx context.Context, at Repo, id meta.UploadID, from int64, body io.Reader, digests ...ecr.Digest) (BlobInfo, error) {
	panic("to come")
}

// CancelUpload drops an upload. Errors: UploadNotFound.
func (c *Caller) CancelUpload(ctx context.Context, at Repo, id meta.UploadID) error {
	panic("to come")
}
