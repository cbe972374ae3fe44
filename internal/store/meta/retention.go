package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// RetentionReader reads what is kept next to the content: what went and why,
// what can be restored, what is in use, and what jobs remember.
type RetentionReader interface {
	TagImageReader
	JournalReader
	BinReader
	LeaseReader
	PreviewReader
	JobReader
	UpstreamReader
	ActivityReader
	// Scans reads scans of images.
	Scans() ScanReader
	// Figures reads what repositories had when they were counted.
	Figures() FigureReader
	LinkedReader
	ContentOfKeys
}

// ContentOfKeys reads what the database has of the blob store.
type ContentOfKeys interface {
	// BlobContent returns the content of a blob whose key says that the database has
	// it, or ErrNotFound. The caller must not change it.
	BlobContent(ctx context.Context, key blob.Key) ([]byte, error)
}

// ContentKeeper heals damaged content.
type ContentKeeper interface {
	// ReplaceBlob says that the blob of b's digest, whose content is damaged, is kept
	// under b.Key from now on, with b.Content if the database has it, and no longer
	// under from. ErrNotFound when it is not kept under from; ErrExists when b.Key is
	// another blob's. The content under from is surplus after the commit; what the
	// database had of it is gone.
	ReplaceBlob(ctx context.Context, from blob.Key, b Blob) error
}

// RetentionTx reads and changes it.
type RetentionTx interface {
	RetentionReader
	JournalWriter
	Collector
	BinWriter
	LeaseWriter
	PreviewWriter
	JobWriter
	UpstreamWriter
	ActivityWriter
	// ScanWriter changes scans of images.
	ScanWriter() ScanWriter
	// FigureWriter changes them.
	FigureWriter() FigureWriter
	ContentKeeper
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
	// After the rows of the repository's images. Of a large repository the rows
	// of most images follow later, with the same time.
	JournalDeleteRepository JournalOp = "delete-repository"
	JournalDeleteBlob       JournalOp = "delete-blob"
	// An image came back from the bin; Tags are those that came with it.
	JournalRestoreImage JournalOp = "restore-image"
	// An image moved to the archive, or was brought back from there.
	JournalArchiveImage  JournalOp = "archive-image"
	JournalActivateImage JournalOp = "activate-image"
	// An image was purged: no entry has its manifest now.
	JournalPurgeImage JournalOp = "purge-image"
)

// JournalReader reads the journal.
type JournalReader interface {
	// QueryJournal returns at most limit entries that q selects, in order of
	// Seq, after after; with q.Backward the newest first, before after or with 0
	// from the newest. A repository's are those of all its incarnations.
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
	// Backward asks for the newest first.
	Backward bool
	// Bodies asks for what selects nothing: Body of each entry, which is large.
	Bodies bool
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

// Collector takes away what is no longer needed. Each call is a bounded
// batch, looks at everything again in its own transaction, and may be made by
// several processes at once.
type Collector interface {
	// DeleteIdleLinks removes at most limit links that have been idle since
	// before before, hidden ones included, the longest idle first. It returns
	// how many.
	DeleteIdleLinks(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteUnusedBlobs looks at no more than limit blobs that lost a link or
	// a place in the bin, and removes those that have neither any more. It
	// returns the removed, whose files may go after the commit, and how many
	// it looked at: fewer than limit mean that there were no others.
	DeleteUnusedBlobs(ctx context.Context, limit int) (gone []Blob, looked int, err error)
	// NoteOrphans notes that the files under keys belong to no row, and returns in
	// byte order those that were noted at least wait ago by the database's clock.
	NoteOrphans(ctx context.Context, keys []blob.Key, wait time.Duration) ([]blob.Key, error)
	// ForgetOrphans removes at most limit notes that were not made again since
	// before, and returns how many.
	ForgetOrphans(ctx context.Context, before time.Time, limit int) (int, error)
	// DropBlobs removes, at once, the links of repo to those of ds that no
	// image of it refers to, the hidden links that other repositories have to
	// them, and then those of the blobs that have neither a link nor a place
	// in the bin. It returns the removed blobs.
	DropBlobs(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]Blob, error)
}

// BinEntry is a deleted image that can be restored. It outlives its
// repository, and keeps the image's blobs alive.
type BinEntry struct {
	ID         int64 // given by the store, ascending, never used again
	Registry   ecr.RegistryID
	Name       ecr.RepositoryName
	Repository RepositoryID // the incarnation that had the image
	// Manifest is the image as it was: with tags, blobs and children.
	Manifest  Manifest
	DeletedAt time.Time
	ExpiresAt time.Time
	Actor     string // as in the journal
	Reason    string
	Rule      int
}

// BinReader reads the recycle bin.
type BinReader interface {
	// Bin returns the newest entry of the image d of the repository name, or
	// ErrNotFound.
	Bin(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest) (BinEntry, error)
	// ListBin returns at most limit entries of the repository name, or of all
	// when name is empty, in order of their ids, after the id after. Bodies,
	// annotations, blobs and children are left out.
	ListBin(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after int64, limit int) ([]BinEntry, error)
	// ListBinReferrers returns the entries whose subject is subject, as
	// ListBin does.
	ListBinReferrers(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, subject ecr.Digest, after int64, limit int) ([]BinEntry, error)
}

// BinWriter changes the recycle bin.
type BinWriter interface {
	// BinManifest puts a copy of the image e.Manifest.Image.Digest of
	// e.Repository into the bin, with its tags, blobs and children; what else
	// e.Manifest holds is ignored. The image itself is for the same
	// transaction to delete afterwards. ErrNotFound.
	BinManifest(ctx context.Context, e BinEntry) (id int64, err error)
	// DeleteBin removes an entry. ErrNotFound.
	DeleteBin(ctx context.Context, id int64) error
	// ExpireBin removes at most limit entries that expire at now or earlier,
	// and returns how many.
	ExpireBin(ctx context.Context, now time.Time, limit int) (int, error)
}

// LeaseCollector is who reports images in use, such as a cluster.
type LeaseCollector struct {
	Registry   ecr.RegistryID
	Name       string
	ReportedAt time.Time
	TTL        time.Duration // how long after that it is expected again; to the microsecond
}

// Lease says that an image is in use.
type Lease struct {
	Registry   ecr.RegistryID
	Collector  string
	Repository ecr.RepositoryName
	Image      ecr.ImageID // digest, tag or both
	User       string      // such as "Deployment shop/web"
}

// LeaseReader reads leases.
type LeaseReader interface {
	// ListLeases returns the leases of the repository name, or of all when
	// name is empty, in byte order of repository, digest, tag, collector and
	// user.
	ListLeases(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) ([]Lease, error)
	// LeasesAfter returns at most limit of what ListLeases does, after the lease after.
	LeasesAfter(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after Lease, limit int) ([]Lease, error)
	// LeasesOf returns at most limit of the leases of the repository name that name the
	// image of the digest d, or one of its tags: first those of the digest, then those of
	// each tag, each in the order of ListLeases. What it costs does not grow with the others.
	LeasesOf(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest, tags []ecr.Tag, limit int) ([]Lease, error)
	// LeaseCollectors returns the collectors in byte order of their names.
	LeaseCollectors(ctx context.Context, in ecr.RegistryID) ([]LeaseCollector, error)
}

// LeaseWriter changes leases.
type LeaseWriter interface {
	// PutLeases records a report of c, and makes leases the whole of what c
	// has; their Registry and Collector are c's. Duplicates are allowed.
	PutLeases(ctx context.Context, c LeaseCollector, leases []Lease) error
	// DeleteLeaseCollector removes a collector with its leases. ErrNotFound.
	DeleteLeaseCollector(ctx context.Context, in ecr.RegistryID, name string) error
}

// LifecyclePreview is the last lifecycle policy preview of a repository.
type LifecyclePreview struct {
	Repository RepositoryID
	PolicyText string
	Status     string // such as COMPLETE
	StartedAt  time.Time
	Results    []byte // the registry's own; opaque to the store
}

// PreviewReader reads previews.
type PreviewReader interface {
	// LifecyclePreview returns the preview of a repository, or ErrNotFound.
	LifecyclePreview(ctx context.Context, repo RepositoryID) (LifecyclePreview, error)
}

// PreviewWriter changes previews.
type PreviewWriter interface {
	// PutLifecyclePreview replaces the preview of a repository; it goes with
	// the repository. ErrReferenced without its repository.
	PutLifecyclePreview(ctx context.Context, p LifecyclePreview) error
}

// JobLease says who does a job of the server, and how it went. Times are those of the
// database's clock.
type JobLease struct {
	Name    string
	Holder  string // the process that began it last
	Held    bool   // it is being done
	BeganAt time.Time
	// Progress is how much was removed since BeganAt, while it is being done.
	Progress int
	// EndedAt is when it ended last, zero for never, and Last how.
	EndedAt time.Time
	Last    JobResult
}

// JobResult is how a job ended.
type JobResult struct {
	Removed   int
	SizeBytes int64
	Error     string // "" for none
}

// JobTerms are on what terms a process begins a job.
type JobTerms struct {
	Name   string
	Holder string
	// For is how long others leave it alone, unless the lease is renewed.
	For time.Duration
	// Every is how long after this beginning nobody begins it again.
	Every time.Duration
	// Now begins it though it was begun less than Every ago, Alone though another
	// process had it, which no longer exists.
	Now   bool
	Alone bool
}

// LifecycleTask is a repository whose lifecycle policy is to be run.
type LifecycleTask struct {
	Repository Repository
	Token      int64
}

// LifecycleFinding is why the last run of a repository's lifecycle policy stopped.
type LifecycleFinding struct {
	Code    string
	Message string
}

// JobReader reads what jobs remember.
type JobReader interface {
	// Now is the time of the database's clock, the same for every process.
	Now(ctx context.Context) (time.Time, error)
	// JobState returns what was put last under name, or ErrNotFound.
	JobState(ctx context.Context, name string) ([]byte, error)
	// JobLeases returns the jobs that were ever begun, in byte order of their names.
	JobLeases(ctx context.Context) ([]JobLease, error)
	// CheckJob makes sure that the lease with this token is the last one. ErrConflict.
	CheckJob(ctx context.Context, name string, token int64) error
	// LifecycleFinding returns what was put last for repo, or ErrNotFound.
	LifecycleFinding(ctx context.Context, repo RepositoryID) (LifecycleFinding, error)
}

// JobWriter changes what jobs remember.
type JobWriter interface {
	// PutJobState replaces what is kept under name: a small JSON text.
	PutJobState(ctx context.Context, name string, state []byte) error
	// TakeJob begins a job on these terms. ok is false while another process does
	// it, or when it is not due. Each token is greater than those before. A lease that
	// ends more than twice t.For ahead counts as over, and a beginning in the future as
	// long ago: the database's clock was set back since.
	TakeJob(ctx context.Context, t JobTerms) (token int64, ok bool, err error)
	// RenewJob makes the lease hold for d from now, and notes the progress.
	// ErrConflict when it is not the last one.
	RenewJob(ctx context.Context, name string, token int64, d time.Duration, progress int) error
	// EndJob ends the lease and notes the result. ErrConflict when it is not the
	// last one.
	EndJob(ctx context.Context, name string, token int64, r JobResult) error
	// QueueLifecycle has the lifecycle policies of repositories run, once where
	// that is queued already. Repositories that are gone are passed over.
	QueueLifecycle(ctx context.Context, repos []RepositoryID) error
	// TakeLifecycle takes, for d, the repository that is queued for longest and not
	// taken by another process. ok is false when there is none. A task that is taken
	// for more than twice d from now counts as not taken, as with TakeJob.
	TakeLifecycle(ctx context.Context, d time.Duration) (task LifecycleTask, ok bool, err error)
	// EndLifecycle removes a task from the queue, unless it was taken again.
	EndLifecycle(ctx context.Context, task LifecycleTask) error
	// PutLifecycleFinding replaces the finding of repo; a zero one is removed.
	PutLifecycleFinding(ctx context.Context, repo RepositoryID, f LifecycleFinding) error
}

// TagImageReader reads tags as people look at them.
type TagImageReader interface {
	// ListTagImages returns at most limit tags with their images, without bodies,
	// annotations and other tags, as q says. What it costs does not grow with the
	// number of tags.
	ListTagImages(ctx context.Context, repo RepositoryID, q TagQuery, limit int) ([]TagImage, error)
}

// Linked is what the blobs of a repository's images take, each counted once.
type Linked struct {
	SizeBytes int64
	// OwnBytes are those of SizeBytes that no image of another repository refers to.
	OwnBytes int64
	// Complete: all blobs were looked at.
	Complete bool
}

// LinkedReader adds up what repositories take.
type LinkedReader interface {
	// MoreImages reports whether a repository has more than n images.
	MoreImages(ctx context.Context, repo RepositoryID, n int) (bool, error)
	// LinkedBytes adds up the blobs that images of repo refer to, most of them at most.
	LinkedBytes(ctx context.Context, repo RepositoryID, most int) (Linked, error)
}
