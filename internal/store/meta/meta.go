// Package meta is the contract of the metadata store: repositories, images,
// tags, which blobs a repository may see, uploads, identities and the journal.
//
// It guarantees that what Update reported as done is durable, that each Update
// is serializable with every other, and that a View sees one moment. Rules of
// the domain (immutability, who may do what) are not its business; uniqueness
// and references are, and it answers them from constraints of the database.
//
// The suite in metatest says in code what every implementation must do.
// Times are UTC and kept to the microsecond. Text is ordered by bytes.
package meta

import (
	"context"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Errors of the store. Implementations wrap them; test with errors.Is.
var (
	// ErrNotFound: the row asked for, or the row to change, is not there.
	ErrNotFound = errors.New("meta: not found")
	// ErrExists: a row with this key is there already.
	ErrExists = errors.New("meta: exists already")
	// ErrReferenced: the row cannot go, or refers to something that is not
	// there, because of a reference between rows.
	ErrReferenced = errors.New("meta: reference violated")
	// ErrConflict: a compare-and-swap found another value.
	ErrConflict = errors.New("meta: changed by another writer")
	// ErrUnavailable: the database cannot commit now (disk full, connection
	// lost). The transaction had no effect, unless the connection was lost
	// while committing; repeat it only where repeating is safe.
	ErrUnavailable = errors.New("meta: database unavailable")
)

// Store is a metadata store. It is safe for concurrent use.
type Store interface {
	// View calls fn with a snapshot. fn must not keep r.
	View(ctx context.Context, fn func(ctx context.Context, r Reader) error) error

	// Snapshot is View for what does not fit into one function: r is good
	// until end, which must be called once, and by one goroutine at a time.
	Snapshot(ctx context.Context) (r Reader, end func(), err error)

	// Update calls fn in a transaction, serializable unless ctx is Hot, and returns nil only when
	// the transaction is durable. fn may run several times, also after an
	// earlier run returned nil; it must have no effect outside tx but on
	// variables that it sets again in each run. Several callers' fns may share
	// one commit; each fn's effects are kept or dropped as a whole. When fn
	// fails its effects are dropped and its error returned, after the commit
	// of what it may have read. fn must use the ctx it is given.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error

	// IdentityStamp returns the stamp that IdentityReader.Stamp has in a transaction that
	// begins now. It may cost less than to begin one.
	IdentityStamp(ctx context.Context) (string, error)
	// OneProcess reports whether no other process can serve from the database.
	OneProcess() bool

	// Close waits for running transactions and closes the database.
	Close() error
}

// Reader reads within one transaction.
type Reader interface {
	ContentReader
	Registries() RegistryReader
	Identities() IdentityReader
	Retention() RetentionReader
}

// Tx reads and writes within one transaction, and reads its own writes.
type Tx interface {
	ContentReader
	ContentWriter
	Registries() RegistryTx
	Identities() IdentityTx
	Retention() RetentionTx
}

// ContentReader reads what registries hold: repositories, images and blobs.
type ContentReader interface {
	RepositoryReader
	ImageReader
	BlobReader
	UploadReader
}

// ContentWriter changes what registries hold.
type ContentWriter interface {
	RepositoryWriter
	ImageWriter
	BlobWriter
	UploadWriter
}

// RegistrySettings are a registry's own settings, next to its repositories'.
type RegistrySettings struct {
	PolicyText string            // the registry policy as stored; "" for none
	Settings   map[string]string // account settings by name; nil when none
}

// RegistryReader reads what registries have next to their repositories: settings,
// templates, signers, events for others, and what is replicated.
type RegistryReader interface {
	TemplateReader
	EventReader
	ReplicationReader
	SignerReader
	// Signings reads what the registry signs images with, and which.
	Signings() SigningReader
	// RegistrySettings returns the settings of a registry; those of one that
	// has none are the zero value.
	RegistrySettings(ctx context.Context, in ecr.RegistryID) (RegistrySettings, error)
}

// RegistryTx reads and changes what registries have next to their repositories.
type RegistryTx interface {
	RegistryReader
	TemplateWriter
	EventWriter
	ReplicationWriter
	SignerWriter
	// SigningWriter changes what the registry signs images with, and which.
	SigningWriter() SigningWriter
	// PutRegistrySettings replaces the settings of a registry.
	PutRegistrySettings(ctx context.Context, in ecr.RegistryID, s RegistrySettings) error
}

// RepositoryID is a repository's incarnation: deleting a repository and
// creating one of the same name gives another. It is never reused.
type RepositoryID int64

// Repository is a repository's row.
type Repository struct {
	ID         RepositoryID
	Registry   ecr.RegistryID
	Name       ecr.RepositoryName
	CreatedAt  time.Time
	Mutability ecr.Mutability
	ScanOnPush bool
	Encryption ecr.Encryption
	Tags       map[string]string // resource tags; nil when none
	// PolicyText and LifecycleText are the documents as stored; "" for none.
	PolicyText    string
	LifecycleText string
	// LifecycleEvaluatedAt is when the lifecycle policy was last evaluated;
	// zero for never. UpdateRepository leaves it alone.
	LifecycleEvaluatedAt time.Time
}

// RepositoryReader reads repositories.
type RepositoryReader interface {
	// Repository returns the repository, or ErrNotFound.
	Repository(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (Repository, error)
	// ListRepositories returns at most limit repositories in byte order of
	// their names, starting after the name after.
	ListRepositories(ctx context.Context, in ecr.RegistryID, after ecr.RepositoryName, limit int) ([]Repository, error)
	// AllRepositories returns at most limit repositories of every registry in
	// order of their ids, after the id after.
	AllRepositories(ctx context.Context, after RepositoryID, limit int) ([]Repository, error)
	// Deletions returns at most limit repositories whose deletion has begun and
	// not ended, in order of their ids.
	Deletions(ctx context.Context, limit int) ([]Deletion, error)
	// IsBeingDeleted reports whether there is such a deletion of a repository
	// that had the name.
	IsBeingDeleted(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (bool, error)
}

// Deletion is that of a large repository, which takes several transactions.
type Deletion struct {
	Repository RepositoryID
	Registry   ecr.RegistryID
	Name       ecr.RepositoryName // that it had
	At         time.Time
	Actor      string // as in the journal
	RequestID  string
}

// RepositoryWriter changes repositories.
type RepositoryWriter interface {
	// InsertRepository adds r and returns its new id; r.ID is ignored.
	// ErrExists when the registry has a repository of that name.
	InsertRepository(ctx context.Context, r Repository) (RepositoryID, error)
	// UpdateRepository stores mutability, scanning, tags and both documents
	// of r, found by r.ID. ErrNotFound.
	UpdateRepository(ctx context.Context, r Repository) error
	// SetLifecycleEvaluated sets LifecycleEvaluatedAt. ErrNotFound.
	SetLifecycleEvaluated(ctx context.Context, id RepositoryID, at time.Time) error
	// DeleteRepository removes the repository with its images, tags, blob
	// links and uploads. Blobs stay until they are collected; what of it is
	// in the bin stays there. ErrNotFound.
	DeleteRepository(ctx context.Context, id RepositoryID) error
	// BeginDeletion frees the name of the repository d.Repository: from now on no
	// reader returns the repository, and another may have its name. Its contents
	// stay until DeleteManifests and DeleteLinks remove them, and DeleteRepository
	// what is left. d.Registry and d.Name are ignored. ErrNotFound.
	BeginDeletion(ctx context.Context, d Deletion) error
	// DeleteManifests removes images of a repository whose deletion has begun,
	// whatever lists them.
	DeleteManifests(ctx context.Context, id RepositoryID, ds []ecr.Digest) error
	// DeleteLinks removes at most limit links of a repository whose deletion has
	// begun, when its images are gone, and returns how many.
	DeleteLinks(ctx context.Context, id RepositoryID, limit int) (int, error)
}

// Manifest is an image's row.
type Manifest struct {
	Repository RepositoryID
	Image      ecr.Image // Image.Tags is filled by reads and ignored by writes; an empty Status is written as active
	Body       []byte    // the exact bytes pushed; empty in listings
	// BodySizeBytes is the size of Body, also in listings. Filled by reads
	// and ignored by writes.
	BodySizeBytes int64
	// Blobs are the config and the layers that must be linked to the
	// repository, Foreign the layers that need not be, Children the entries of
	// an index. Of Foreign and Children, those that are blobs linked to the
	// repository are referred to as Blobs are, whether they came before or
	// after. Filled for writes only. Duplicates are allowed.
	Blobs    []ecr.Digest
	Foreign  []ecr.Digest
	Children []ecr.Digest
	// Sparse allows children that are not there. Whether or not they come
	// later, they are held as other children are once they are there.
	Sparse bool
	// Annotations of the manifest, for the referrers API; nil when none. Of
	// listings, only those of referrers have them.
	Annotations map[string]string
	// AnnotationsLeftOut: there are annotations that a listing left out.
	AnnotationsLeftOut bool
}

// MaxListedAnnotations bounds the annotations of one listing.
const MaxListedAnnotations = 4 << 20

// TagRow is a tag and what it points to.
type TagRow struct {
	Tag      ecr.Tag
	Digest   ecr.Digest
	TaggedAt time.Time
}

// TagQuery says which tags to list, and in which order.
type TagQuery struct {
	// ByTime orders them by when they were set, and then by name; otherwise by name.
	// Backward is the other way round.
	ByTime, Backward bool
	// After is the tag before the first one; the zero TagRow begins at the beginning.
	// Its digest does not matter, nor does its time for an order by name.
	After TagRow
	// Prefix is what their names begin with; for an order by name only.
	Prefix string
}

// TagImage is a tag and its image.
type TagImage struct {
	TagRow
	Image ecr.Image // without tags
}

// ImageReader reads images and tags.
type ImageReader interface {
	// Manifest returns the image with body and tags, or ErrNotFound.
	Manifest(ctx context.Context, repo RepositoryID, d ecr.Digest) (Manifest, error)
	// StatManifest is Manifest without body and annotations: what it costs does
	// not grow with their size.
	StatManifest(ctx context.Context, repo RepositoryID, d ecr.Digest) (Manifest, error)
	// FindImage returns the image that id names, by its tag if it has one, as
	// StatManifest does but without its tags: what it costs does not grow with
	// their number. With a tag, the digest of id is ignored. ErrNotFound.
	FindImage(ctx context.Context, repo RepositoryID, id ecr.ImageID) (Manifest, error)
	// ManifestBody returns the exact bytes pushed, or ErrNotFound.
	ManifestBody(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]byte, error)
	// LargestImage returns the greatest SizeBytes of those of ds that are images
	// of repo, 0 for none. What it costs does not grow with their bodies.
	LargestImage(ctx context.Context, repo RepositoryID, ds []ecr.Digest) (int64, error)
	// Tag returns what tag points to, or ErrNotFound.
	Tag(ctx context.Context, repo RepositoryID, tag ecr.Tag) (TagRow, error)
	// ListTags returns at most limit tags in byte order, after the tag after.
	ListTags(ctx context.Context, repo RepositoryID, after ecr.Tag, limit int) ([]TagRow, error)
	// ListManifests returns at most limit images without bodies and annotations,
	// with tags, in byte order of their digests, after the digest after.
	ListManifests(ctx context.Context, repo RepositoryID, after ecr.Digest, limit int) ([]Manifest, error)
	// ListImageIDs returns at most limit (digest, tag) pairs in byte order,
	// after the pair after; an untagged image is one pair with an empty tag.
	ListImageIDs(ctx context.Context, repo RepositoryID, after ecr.ImageID, limit int) ([]ecr.ImageID, error)
	// ListReferrers returns at most limit images whose subject is subject,
	// without bodies, in byte order of their digests, after the digest after.
	// Once the annotations come to more than MaxListedAnnotations bytes of JSON,
	// those of the first image apart, the rest has AnnotationsLeftOut instead.
	ListReferrers(ctx context.Context, repo RepositoryID, subject, after ecr.Digest, limit int) ([]Manifest, error)
	// ListChildren returns at most limit entries of the indexes of repo in byte
	// order of index and image, after those of after, whether the images are
	// there or not.
	ListChildren(ctx context.Context, repo RepositoryID, after Child, limit int) ([]Child, error)
	// Parents returns the indexes of repo that list d, in byte order.
	Parents(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]ecr.Digest, error)
	// MissingManifests returns those of ds that are not images of repo, each
	// once, in the order given.
	MissingManifests(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error)
	// HasImages reports whether repo holds any image.
	HasImages(ctx context.Context, repo RepositoryID) (bool, error)
}

// Child is an image that an index lists.
type Child struct {
	Index, Image ecr.Digest
}

// Pull is one pull of an image.
type Pull struct {
	Repository RepositoryID
	Digest     ecr.Digest
	At         time.Time
}

// ImageWriter changes images and tags.
type ImageWriter interface {
	// InsertManifest adds m with its references. ErrExists when the
	// repository has the digest already (nothing changes then),
	// ErrReferenced when a blob is not linked or, unless m.Sparse, a child is
	// not there. A hidden link counts, and is hidden no longer.
	InsertManifest(ctx context.Context, m Manifest) error
	// DeleteManifest removes the image and its tags. The links of blobs that
	// no other image of the repository refers to are hidden, and idle since
	// at. ErrNotFound; ErrReferenced while an index lists it.
	DeleteManifest(ctx context.Context, repo RepositoryID, d ecr.Digest, at time.Time) error
	// SetImageStatus changes an image's storage class. ArchivedAt becomes at
	// with ecr.StatusArchived, ActivatedAt with ecr.StatusActive. ErrNotFound.
	SetImageStatus(ctx context.Context, repo RepositoryID, d ecr.Digest, status ecr.ImageStatus, at time.Time) error
	// PutTag points tag to d. With replace false, ErrExists when the tag is
	// there, whatever it points to. Where the tag is there with the same
	// digest, TaggedAt stays. ErrReferenced when d is not an image of repo.
	PutTag(ctx context.Context, repo RepositoryID, t TagRow, replace bool) error
	// DeleteTag removes the tag, not the image. ErrNotFound.
	DeleteTag(ctx context.Context, repo RepositoryID, tag ecr.Tag) error
	// RecordPulls sets the last pull time of each image to the latest known;
	// images that are gone are passed over.
	RecordPulls(ctx context.Context, pulls []Pull) error
}

// Blob is stored content and where it is kept.
type Blob struct {
	Digest    ecr.Digest
	Key       blob.Key
	SizeBytes int64
	CreatedAt time.Time
	// IdleSince is, of a blob read through a repository that has no image
	// which refers to it, when its link was made or last touched. Otherwise
	// zero. Filled by Blob and Blobs.
	IdleSince time.Time
	// Content is that of a blob whose Key says that the database has it, and nil of
	// others. Filled for writes and by BlobAndContent.
	Content []byte
}

// Reference is a blob that an image refers to.
type Reference struct {
	Manifest  ecr.Digest
	Blob      ecr.Digest
	SizeBytes int64 // of the blob
}

// BlobReader reads which blobs a repository may see. A link is hidden when
// the last image that referred to the blob went: the blob is as good as gone
// then, but until the link is collected an image may come that was promised
// it. Hidden links are not seen, where it is not said otherwise.
type BlobReader interface {
	// Blob returns the blob if it is linked to repo, else ErrNotFound.
	Blob(ctx context.Context, repo RepositoryID, d ecr.Digest) (Blob, error)
	// BlobAndContent is Blob with Content, of a blob whose content the database has.
	// The caller must not change it.
	BlobAndContent(ctx context.Context, repo RepositoryID, d ecr.Digest) (Blob, error)
	// Blobs returns those of ds that are linked to repo, each once, in no
	// particular order.
	Blobs(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]Blob, error)
	// ListBlobRepositories returns at most limit repositories of the registry
	// in that d is linked to, in byte order of their names, starting after
	// the name after.
	ListBlobRepositories(ctx context.Context, in ecr.RegistryID, d ecr.Digest, after ecr.RepositoryName, limit int) ([]Repository, error)
	// MissingBlobs returns those of ds for want of which InsertManifest would
	// fail, each once, in the order given. Hidden links are seen.
	MissingBlobs(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error)
	// ListReferences returns at most limit references of repo's images in
	// byte order of manifest and blob, after those of after.
	ListReferences(ctx context.Context, repo RepositoryID, after Reference, limit int) ([]Reference, error)
	// ImageBlobs returns the blobs that the image d refers to, in byte order.
	ImageBlobs(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]ecr.Digest, error)
	// SharedBlobs returns those of ds that images of other repositories refer
	// to as well, in byte order.
	SharedBlobs(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error)
	// BlobIsUsed reports whether a manifest of repo refers to d.
	BlobIsUsed(ctx context.Context, repo RepositoryID, d ecr.Digest) (bool, error)
	// ListBlobs returns at most limit blobs of the whole store in byte order
	// of their keys, after the key after.
	ListBlobs(ctx context.Context, after blob.Key, limit int) ([]Blob, error)
	// BlobsByKey returns the blobs of the whole store that lie under keys, in
	// byte order of their keys.
	BlobsByKey(ctx context.Context, keys []blob.Key) ([]Blob, error)
}

// BlobWriter adds blobs and links.
type BlobWriter interface {
	// AddBlob records b, unless content of that digest is recorded already;
	// it returns the blob recorded now. When its key is not b.Key, the
	// caller's file is surplus and may be deleted after the commit. b.Content is
	// kept with it, and goes when the blob goes.
	AddBlob(ctx context.Context, b Blob) (Blob, error)
	// LinkBlob lets repo see the blob d. Linking again makes a hidden link
	// visible, and an idle one idle since at. An image of repo that lists d as
	// a foreign layer, or an index that lists it as an entry, refers to it
	// from now on.
	// ErrReferenced when the repository or the blob is not there.
	LinkBlob(ctx context.Context, repo RepositoryID, d ecr.Digest, at time.Time) error
	// UnlinkBlob takes the link away. ErrNotFound; ErrReferenced while a
	// manifest of repo refers to it.
	UnlinkBlob(ctx context.Context, repo RepositoryID, d ecr.Digest) error
	// TouchBlobs makes those links of ds that are idle and visible idle since
	// at, where that is later.
	TouchBlobs(ctx context.Context, repo RepositoryID, ds []ecr.Digest, at time.Time) error
}

// UploadID names an upload, a UUID in text form.
type UploadID string

// Upload is a blob on its way in. Key is the blob's key-to-be.
type Upload struct {
	ID         UploadID
	Repository RepositoryID
	Key        blob.Key
	Owner      string // whose it is, see access.Principal.Owner
	Progress   blob.Progress
	// Parts counts the parts received; SmallestPart is the size in bytes of
	// the smallest of them but the last; LastPart the size of the last.
	// TornBytes were received after it, of a part that was cut off.
	Parts        int64
	SmallestPart int64
	LastPart     int64
	TornBytes    int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	// Claim is the number of the last claim on the upload, 0 for none so far, and
	// Claimed whether it holds still. InsertUpload ignores both.
	Claim   int64
	Claimed bool
}

// UploadReader reads uploads.
type UploadReader interface {
	// Upload returns the upload if it belongs to repo, else ErrNotFound.
	Upload(ctx context.Context, repo RepositoryID, id UploadID) (Upload, error)
	// ListUploads returns at most limit uploads last updated before t, oldest
	// first.
	ListUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
	// UploadKeys returns those of keys that are keys of uploads, in byte order.
	UploadKeys(ctx context.Context, keys []blob.Key) ([]blob.Key, error)
	// CountUploads counts the uploads of the whole store, or those of owner
	// unless it is empty.
	CountUploads(ctx context.Context, owner string) (int, error)
}

// UploadWriter changes uploads. Of several processes, one at a time writes to an
// upload: the one whose claim is the last. Claims end by themselves, on the clock of
// the database, so a process may hold one that another has since replaced: what it
// changes then is refused.
type UploadWriter interface {
	// InsertUpload adds u. ErrExists; ErrReferenced without its repository.
	InsertUpload(ctx context.Context, u Upload) error
	// ClaimUpload claims an upload of repo for d, and returns it with its new Claim.
	// While another claim holds, ok is false, and its next renewal says that the
	// upload is wanted. A claim that ends more than twice d ahead counts as over: the
	// database's clock was set back since. ErrNotFound.
	ClaimUpload(ctx context.Context, repo RepositoryID, id UploadID, d time.Duration) (u Upload, ok bool, err error)
	// RenewUpload makes the claim hold for d from now, and reports whether another
	// request waits for it. ErrNotFound; ErrConflict when it is not the last one, or
	// was released or ended.
	RenewUpload(ctx context.Context, id UploadID, claim int64, d time.Duration) (wanted bool, err error)
	// ReleaseUpload ends the claim, if it is still the last one.
	ReleaseUpload(ctx context.Context, id UploadID, claim int64) error
	// AdvanceUpload stores u's progress, parts and UpdatedAt, and ends the claim, if
	// the stored offset is still from and u.Claim the last one.
	// ErrNotFound, ErrConflict.
	AdvanceUpload(ctx context.Context, u Upload, from int64) error
	// DeleteUpload removes the upload, if the claim is the last one.
	// ErrNotFound, ErrConflict.
	DeleteUpload(ctx context.Context, id UploadID, claim int64) error
}
