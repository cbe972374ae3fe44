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

	// Update calls fn in a serializable transaction and returns nil only when
	// the transaction is durable. fn may run several times, also after an
	// earlier run returned nil; it must have no effect outside tx but on
	// variables that it sets anew in each run. Several callers' fns may share
	// one commit; each fn's effects are kept or dropped as a whole. When fn
	// fails its effects are dropped and its error returned, after the commit
	// of what it may have read. fn must use the ctx it is given.
	Update(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error

	// Close waits for running transactions and closes the database.
	Close() error
}

// Reader reads within one transaction.
type Reader interface {
	RegistryReader
	RepositoryReader
	ImageReader
	BlobReader
	UploadReader
	IdentityReader
	JournalReader
	BinReader
	LeaseReader
	PreviewReader
	JobReader
}

// Tx reads and writes within one transaction, and reads its own writes.
type Tx interface {
	Reader
	RegistryWriter
	RepositoryWriter
	ImageWriter
	BlobWriter
	UploadWriter
	IdentityWriter
	JournalWriter
	Collector
	BinWriter
	LeaseWriter
	PreviewWriter
	JobWriter
}

// RegistrySettings are a registry's own settings, beside its repositories'.
type RegistrySettings struct {
	PolicyText string            // the registry policy as stored; "" for none
	Settings   map[string]string // account settings by name; nil when none
}

// RegistryReader reads settings of registries.
type RegistryReader interface {
	// RegistrySettings returns the settings of a registry; those of one that
	// has none are the zero value.
	RegistrySettings(ctx context.Context, in ecr.RegistryID) (RegistrySettings, error)
}

// RegistryWriter changes settings of registries.
type RegistryWriter interface {
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
	// repository (no foreign layers), Children the images an index lists.
	// Filled for writes only. Duplicates are allowed.
	Blobs    []ecr.Digest
	Children []ecr.Digest
	// Sparse allows children that are not there. Whether or not they come
	// later, they are held as other children are once they are there.
	Sparse bool
	// Annotations of the manifest, for the referrers API; nil when none.
	Annotations map[string]string
}

// TagRow is a tag and what it points to.
type TagRow struct {
	Tag      ecr.Tag
	Digest   ecr.Digest
	TaggedAt time.Time
}

// ImageReader reads images and tags.
type ImageReader interface {
	// Manifest returns the image with body and tags, or ErrNotFound.
	Manifest(ctx context.Context, repo RepositoryID, d ecr.Digest) (Manifest, error)
	// Tag returns what tag points to, or ErrNotFound.
	Tag(ctx context.Context, repo RepositoryID, tag ecr.Tag) (TagRow, error)
	// ListTags returns at most limit tags in byte order, after the tag after.
	ListTags(ctx context.Context, repo RepositoryID, after ecr.Tag, limit int) ([]TagRow, error)
	// ListManifests returns at most limit images without bodies, with tags,
	// in byte order of their digests, after the digest after.
	ListManifests(ctx context.Context, repo RepositoryID, after ecr.Digest, limit int) ([]Manifest, error)
	// ListImageIDs returns at most limit (digest, tag) pairs in byte order,
	// after the pair after; an untagged image is one pair with an empty tag.
	ListImageIDs(ctx context.Context, repo RepositoryID, after ecr.ImageID, limit int) ([]ecr.ImageID, error)
	// ListReferrers returns at most limit images whose subject is subject,
	// without bodies, in byte order of their digests, after the digest after.
	ListReferrers(ctx context.Context, repo RepositoryID, subject, after ecr.Digest, limit int) ([]Manifest, error)
	// Parents returns the indexes of repo that list d, in byte order.
	Parents(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]ecr.Digest, error)
	// MissingManifests returns those of ds that are not images of repo, each
	// once, in the order given.
	MissingManifests(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error)
	// HasImages reports whether repo holds any image.
	HasImages(ctx context.Context, repo RepositoryID) (bool, error)
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
	// ListChildren returns the images that the index d lists, in byte order,
	// whether they are there or not.
	ListChildren(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]ecr.Digest, error)
	// BlobIsUsed reports whether a manifest of repo refers to d.
	BlobIsUsed(ctx context.Context, repo RepositoryID, d ecr.Digest) (bool, error)
	// ListBlobs returns at most limit blobs of the whole store in byte order
	// of their keys, after the key after.
	ListBlobs(ctx context.Context, after blob.Key, limit int) ([]Blob, error)
}

// BlobWriter adds blobs and links.
type BlobWriter interface {
	// AddBlob records b, unless content of that digest is recorded already;
	// it returns the blob recorded now. When its key is not b.Key, the
	// caller's file is surplus and may be deleted after the commit.
	AddBlob(ctx context.Context, b Blob) (Blob, error)
	// LinkBlob lets repo see the blob d. Linking again makes a hidden link
	// visible, and an idle one idle since at.
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
	Progress   blob.Progress
	// Parts counts the parts received; SmallestPart is the size in bytes of
	// the smallest of them but the last; LastPart the size of the last.
	Parts        int64
	SmallestPart int64
	LastPart     int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// UploadReader reads uploads.
type UploadReader interface {
	// Upload returns the upload if it belongs to repo, else ErrNotFound.
	Upload(ctx context.Context, repo RepositoryID, id UploadID) (Upload, error)
	// ListUploads returns at most limit uploads last updated before t, oldest
	// first.
	ListUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
	// CountUploads counts the uploads of the whole store.
	CountUploads(ctx context.Context) (int, error)
}

// UploadWriter changes uploads.
type UploadWriter interface {
	// InsertUpload adds u. ErrExists; ErrReferenced without its repository.
	InsertUpload(ctx context.Context, u Upload) error
	// AdvanceUpload stores u's progress, parts and UpdatedAt if the stored
	// offset is still from. ErrNotFound, ErrConflict.
	AdvanceUpload(ctx context.Context, u Upload, from int64) error
	// DeleteUpload removes the upload. ErrNotFound.
	DeleteUpload(ctx context.Context, id UploadID) error
}

// User is an IAM user. UniqueID (AIDA...) is never reused; a name is. Within an
// account no two users have names that differ by letter case only.
type User struct {
	UniqueID  string
	Account   ecr.AccountID
	Name      string
	Path      string // such as "/build/"; "" is "/"
	CreatedAt time.Time
	// Policies are the managed policies attached, in byte order: the names of
	// those of AWS and of this server, and the ids (ANPA...) of the account's.
	Policies []string
	Inline   map[string]string // texts of its own policies by name; nil when none
	Boundary string            // the permissions boundary, as in Policies; "" for none
	Tags     map[string]string // nil when none
}

// Role is an IAM role. UniqueID (AROA...) and names are as a User's.
type Role struct {
	UniqueID    string
	Account     ecr.AccountID
	Name        string
	Path        string // as a User's, and so are the fields below
	CreatedAt   time.Time
	Policies    []string
	Inline      map[string]string
	Boundary    string
	Tags        map[string]string
	Description string
	Trust       string        // text of the trust policy
	MaxSession  time.Duration // whole seconds
}

// Policy is a customer-managed policy. ID (ANPA...) is never reused.
type Policy struct {
	ID          string
	Account     ecr.AccountID
	Name        string
	Path        string // "" is "/"
	Description string
	CreatedAt   time.Time
	UpdatedAt   time.Time // when a version was added, removed or made the default
	// Versions by number; Default is the number of the one in force, Last the
	// highest number ever given.
	Versions map[int]PolicyVersion
	Default  int
	Last     int
	Tags     map[string]string
}

// PolicyVersion is one text of a Policy.
type PolicyVersion struct {
	Text      string
	CreatedAt time.Time
}

// Issuer is an OpenID Connect identity provider that an account trusts.
type Issuer struct {
	Account     ecr.AccountID
	URL         string // with scheme, such as "https://token.example.com/repo"
	Audiences   []string
	Thumbprints []string // kept, not used
	CreatedAt   time.Time
}

// AccessKey is a user's key. Secret is sealed; the store never sees it plain.
type AccessKey struct {
	ID           string // AKIA...
	UserUniqueID string
	Sealed       []byte
	Active       bool
	CreatedAt    time.Time
	// LastUsed is about when it signed last; the zero KeyUse when it never did.
	LastUsed KeyUse
}

// KeyUse is one use of an access key.
type KeyUse struct {
	At      time.Time
	Service string // such as "ecr"
	Region  string
}

// TokenKey signs docker tokens. Sealed as above.
type TokenKey struct {
	ID        string
	Sealed    []byte
	CreatedAt time.Time
}

// IdentityReader reads users, roles, policies and keys. Lists are in byte order
// of the names, at most limit, after the name after.
type IdentityReader interface {
	// User returns the user of that name, or ErrNotFound.
	User(ctx context.Context, account ecr.AccountID, name string) (User, error)
	// UserByID returns the user with the unique id, or ErrNotFound.
	UserByID(ctx context.Context, uniqueID string) (User, error)
	// ListUsers returns users of the account.
	ListUsers(ctx context.Context, account ecr.AccountID, after string, limit int) ([]User, error)
	// Role returns the role of that name, or ErrNotFound.
	Role(ctx context.Context, account ecr.AccountID, name string) (Role, error)
	// RoleByID returns the role with the unique id, or ErrNotFound.
	RoleByID(ctx context.Context, uniqueID string) (Role, error)
	// ListRoles returns roles of the account.
	ListRoles(ctx context.Context, account ecr.AccountID, after string, limit int) ([]Role, error)
	// Policy returns the policy of that name, or ErrNotFound.
	Policy(ctx context.Context, account ecr.AccountID, name string) (Policy, error)
	// Policies returns those of ids that are policies, each once, by id.
	Policies(ctx context.Context, ids []string) ([]Policy, error)
	// ListPolicies returns policies of the account.
	ListPolicies(ctx context.Context, account ecr.AccountID, after string, limit int) ([]Policy, error)
	// Issuer returns the account's issuer with that URL, or ErrNotFound.
	Issuer(ctx context.Context, account ecr.AccountID, url string) (Issuer, error)
	// ListIssuers returns the account's issuers in byte order of their URLs.
	ListIssuers(ctx context.Context, account ecr.AccountID) ([]Issuer, error)
	// HostedAccount reports whether the account has any user or role.
	HostedAccount(ctx context.Context, account ecr.AccountID) (bool, error)
	// AccessKey returns the key, or ErrNotFound.
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// ListAccessKeys returns a user's keys, oldest first.
	ListAccessKeys(ctx context.Context, userUniqueID string) ([]AccessKey, error)
	// TokenKeys returns all token keys, newest first.
	TokenKeys(ctx context.Context) ([]TokenKey, error)
}

// IdentityWriter changes users, roles, policies and keys.
type IdentityWriter interface {
	// InsertUser adds u. ErrExists for a name or unique id in use.
	InsertUser(ctx context.Context, u User) error
	// UpdateUser stores all of u but account and creation, found by its unique
	// id. ErrNotFound; ErrExists for a name in use.
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser removes the user and its keys. ErrNotFound.
	DeleteUser(ctx context.Context, uniqueID string) error
	// InsertRole adds r. ErrExists for a name or unique id in use.
	InsertRole(ctx context.Context, r Role) error
	// UpdateRole stores all of r but account, name and creation, found by its
	// unique id. ErrNotFound.
	UpdateRole(ctx context.Context, r Role) error
	// DeleteRole removes the role. ErrNotFound.
	DeleteRole(ctx context.Context, uniqueID string) error
	// InsertPolicy adds p. ErrExists for a name or id in use.
	InsertPolicy(ctx context.Context, p Policy) error
	// UpdatePolicy stores versions, tags and UpdatedAt of p, found by its id.
	// ErrNotFound.
	UpdatePolicy(ctx context.Context, p Policy) error
	// DeletePolicy removes the policy. ErrNotFound; ErrReferenced while a user
	// or role of its account has it attached or as boundary.
	DeletePolicy(ctx context.Context, id string) error
	// PutIssuer adds the issuer or replaces the one with its URL.
	PutIssuer(ctx context.Context, i Issuer) error
	// DeleteIssuer removes the issuer. ErrNotFound.
	DeleteIssuer(ctx context.Context, account ecr.AccountID, url string) error
	// InsertAccessKey adds k. ErrExists; ErrReferenced without its user.
	InsertAccessKey(ctx context.Context, k AccessKey) error
	// SetAccessKeyActive switches a key on or off. ErrNotFound.
	SetAccessKeyActive(ctx context.Context, id string, active bool) error
	// RecordKeyUse stores u as the key's last use unless a later one is stored;
	// a key that is gone is passed over.
	RecordKeyUse(ctx context.Context, id string, u KeyUse) error
	// DeleteAccessKey removes a key. ErrNotFound.
	DeleteAccessKey(ctx context.Context, id string) error
	// InsertTokenKey adds k. ErrExists.
	InsertTokenKey(ctx context.Context, k TokenKey) error
	// DeleteTokenKey removes a token key. ErrNotFound.
	DeleteTokenKey(ctx context.Context, id string) error
}

// JournalEntry records that an image went, or lost a tag, or that a blob was
// taken from a repository. It is written in the transaction that does it.
type JournalEntry struct {
	Seq        int64 // given by the store, ascending
	At         time.Time
	Registry   ecr.RegistryID
	Name       ecr.RepositoryName
	Repository RepositoryID
	Op         JournalOp
	Digest     ecr.Digest
	Tags       []ecr.Tag
	MediaType  string
	SizeBytes  int64
	Body       []byte // the manifest, for deletions
	Actor      string // ARN of the principal, or "system: reason"
	Reason     string
	Rule       int    // priority of the lifecycle rule; 0 for none
	RequestID  string // of the request; empty for jobs
}

// JournalOp says what happened.
type JournalOp string

// What the journal records.
const (
	JournalDeleteImage JournalOp = "delete-image"
	JournalDeleteTag   JournalOp = "delete-tag"
	JournalMoveTag     JournalOp = "move-tag"
	// Body is the document that was deleted.
	JournalDeletePolicy    JournalOp = "delete-policy"
	JournalDeleteLifecycle JournalOp = "delete-lifecycle-policy"
	// After the rows of the repository's images.
	JournalDeleteRepository JournalOp = "delete-repository"
	JournalDeleteBlob       JournalOp = "delete-blob"
	// An image came back from the bin; Tags are those that came with it.
	JournalRestoreImage JournalOp = "restore-image"
	// An image moved to the archive, or was brought back from there.
	JournalArchiveImage  JournalOp = "archive-image"
	JournalActivateImage JournalOp = "activate-image"
	// An image was purged: no entry has its manifest any more.
	JournalPurgeImage JournalOp = "purge-image"
)

// JournalReader reads the journal.
type JournalReader interface {
	// ListJournal returns at most limit entries of the repository name in
	// registry in (all its incarnations), in order of Seq, after after.
	ListJournal(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after int64, limit int) ([]JournalEntry, error)
	// QueryJournal returns at most limit entries that q selects, in order of
	// Seq, after after.
	QueryJournal(ctx context.Context, q JournalQuery, after int64, limit int) ([]JournalEntry, error)
}

// JournalQuery selects entries of a registry that have everything that is
// given; the zero value of a field asks for nothing.
type JournalQuery struct {
	Registry ecr.RegistryID // required
	Name     ecr.RepositoryName
	Tag      ecr.Tag
	Digest   ecr.Digest
	Rule     int
	Op       JournalOp
	Since    time.Time // at or after
	Until    time.Time // before
}

// JournalWriter appends to the journal.
type JournalWriter interface {
	// AppendJournal adds e; e.Seq is ignored.
	AppendJournal(ctx context.Context, e JournalEntry) error
	// EmptyJournal removes the manifest d from the entries of the repository
	// name (all its incarnations) and keeps the entries.
	EmptyJournal(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest) error
	// TrimJournal removes at most limit entries from before before, the
	// oldest first, and returns how many.
	TrimJournal(ctx context.Context, before time.Time, limit int) (int, error)
}
