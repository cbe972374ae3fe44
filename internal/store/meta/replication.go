package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ReplicationKind says what is to be done at a destination.
type ReplicationKind string

// What is done at a destination.
const (
	ReplicateImage  ReplicationKind = "copy"
	ReplicateDelete ReplicationKind = "delete"
)

// ReplicationStatus is how far a replication is, in ECR's words.
type ReplicationStatus string

// The statuses.
const (
	ReplicationInProgress ReplicationStatus = "IN_PROGRESS"
	ReplicationComplete   ReplicationStatus = "COMPLETE"
	ReplicationFailed     ReplicationStatus = "FAILED"
)

// Replication is one image, with one of its tags or with none, on its way to another
// registry. It is a place in the queue, and says afterwards what came of it.
type Replication struct {
	ID         int64
	Kind       ReplicationKind
	Source     ecr.RegistryID
	Repository RepositoryID
	Name       ecr.RepositoryName
	Image      ecr.ImageID // digest, and the tag or ""
	To         ecr.RegistryID
	// Backfill is the id of the backfill that it belongs to; "" for a push.
	Backfill string
	Status   ReplicationStatus
	Code     string // why it failed, or was put off last; "" for neither
	Message  string // the same for people
	Attempts int    // so far, that under way included
	// UpdatedAt is when the status changed last, by the database's clock.
	UpdatedAt time.Time
	// Token is that of who took it; each is greater than those before.
	Token int64
	// Taken: a process is at it. Due: one may take it now. Only ImageReplications says so.
	Taken, Due bool
	// SubCodes are why images failed that an index lists, each code once.
	SubCodes []string
	// Via are the registries that the image came through before it came to Source: it is
	// not replicated back to them.
	Via []ecr.RegistryID
}

// ReplicationRate is how long it takes until the rate of a destination lets the next
// image begin and the next bytes be sent, by the database's clock; 0 for at once.
type ReplicationRate struct {
	To            ecr.RegistryID
	Images, Bytes time.Duration
}

// ReplicationQueue is what waits for a destination.
type ReplicationQueue struct {
	To      ecr.RegistryID
	Waiting int
	// Due are those of them that a process may take now.
	Due int
	// WaitsForRate: they are not, because of the destination's rate. Rests says why the
	// destination is left alone for a while; "" where it is not. Both are what package
	// replication says.
	WaitsForRate bool
	Rests        string
	// Oldest is when the one that waits for longest was queued or put off last.
	Oldest time.Time
}

// BackfillStatus is how far a backfill is, in ECR's words.
type BackfillStatus string

// The statuses.
const (
	BackfillPreparing  BackfillStatus = "PREPARING"
	BackfillInProgress BackfillStatus = "IN_PROGRESS"
	BackfillComplete   BackfillStatus = "COMPLETE"
	BackfillFailed     BackfillStatus = "FAILED"
	BackfillStopping   BackfillStatus = "STOPPING"
	BackfillStopped    BackfillStatus = "STOPPED"
)

// Ended reports whether nothing happens to the backfill after this.
func (s BackfillStatus) Ended() bool {
	return s == BackfillComplete || s == BackfillFailed || s == BackfillStopped
}

// Backfill replicates the images that a registry has already.
type Backfill struct {
	ID        string // a UUID
	Source    ecr.RegistryID
	To        ecr.RegistryID
	Status    BackfillStatus
	Code      string // why it failed
	StartedAt time.Time
	EndedAt   time.Time // zero before
	// AfterName and AfterImage are where the listing of the images goes on.
	AfterName  ecr.RepositoryName
	AfterImage ecr.ImageID
}

// BackfillCount is how many replications of a backfill are in a status, for a reason.
type BackfillCount struct {
	Status ReplicationStatus
	Code   string
	Count  int
}

// ReplicationReader reads what is replicated.
type ReplicationReader interface {
	// ImageReplications returns the replications of an image in order of destination,
	// tag and age.
	ImageReplications(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]Replication, error)
	// FailedReplications returns at most limit that failed, of the pushes and deletions of
	// a registry, in order of their ids, after the id after.
	FailedReplications(ctx context.Context, in ecr.RegistryID, after int64, limit int) ([]Replication, error)
	// ReplicationQueues returns what waits in a registry, by destination; that of all
	// registries for the zero registry.
	ReplicationQueues(ctx context.Context, in ecr.RegistryID) ([]ReplicationQueue, error)
	// ReplicationRates returns the rates of destinations that SpendReplicationRate was
	// called for.
	ReplicationRates(ctx context.Context) ([]ReplicationRate, error)
	// Backfill returns the backfill of a registry, or ErrNotFound.
	Backfill(ctx context.Context, in ecr.RegistryID, id string) (Backfill, error)
	// Backfills returns the backfills of a registry, the newest first.
	Backfills(ctx context.Context, in ecr.RegistryID) ([]Backfill, error)
	// UnendedBackfills returns those of all registries that have not ended.
	UnendedBackfills(ctx context.Context) ([]Backfill, error)
	// BackfillCounts counts the replications of a backfill.
	BackfillCounts(ctx context.Context, id string) ([]BackfillCount, error)
	// BackfillResults returns at most limit replications of a backfill in order of their
	// ids, after the id after; with a status those that have it.
	BackfillResults(ctx context.Context, id string, status ReplicationStatus, after int64, limit int) ([]Replication, error)
}

// ReplicationWriter changes what is replicated. The times are those of the database's
// clock.
type ReplicationWriter interface {
	// QueueReplication queues r, to be done after wait. What is queued already for the
	// same image, tag, destination and backfill begins again, unless it is complete and
	// again is false. Only what says what is to be done counts of r.
	QueueReplication(ctx context.Context, r Replication, wait time.Duration, again bool) error
	// TakeReplication takes for d what is due for longest, pushes before backfills, for
	// none of the destinations resting. ok is false when there is nothing. What was taken
	// for more than twice d from now counts as not taken, as with TakeJob.
	TakeReplication(ctx context.Context, d time.Duration, resting []ecr.RegistryID) (r Replication, ok bool, err error)
	// FreeReplications lets everything be taken at once that was taken: for the only process
	// on the database, when it starts.
	FreeReplications(ctx context.Context) error
	// RenewReplication keeps r for d from now. ErrConflict when it was queued or taken
	// again.
	RenewReplication(ctx context.Context, r Replication, d time.Duration) error
	// EndReplication stores r's status, code, message and codes of images of an index.
	// ErrConflict as before.
	EndReplication(ctx context.Context, r Replication) error
	// PutOffReplication has r done after wait, and stores code and message. ErrConflict as
	// before.
	PutOffReplication(ctx context.Context, r Replication, wait time.Duration) error
	// DropReplication removes r. ErrConflict as before.
	DropReplication(ctx context.Context, r Replication) error
	// SettleReplication stores what came of an image that belongs to another one which was
	// copied: r's status, code and message. What is in progress stays as it is.
	SettleReplication(ctx context.Context, r Replication) error
	// SpendReplicationRate has the next image to a destination wait for images more, and
	// the next bytes for bytes more; negative ones give back. It returns how long they had
	// to wait before.
	SpendReplicationRate(ctx context.Context, to ecr.RegistryID, images, bytes time.Duration) (ReplicationRate, error)
	// RetryReplications queues what failed of a registry again, for one destination or
	// with the zero one for all, and returns how many.
	RetryReplications(ctx context.Context, in, to ecr.RegistryID) (int, error)
	// TrimReplications removes at most limit of those that have ended and whose image is
	// gone, then of those of backfills that ended before before, and then these backfills.
	// It returns how many.
	TrimReplications(ctx context.Context, before time.Time, limit int) (int, error)

	// InsertBackfill adds b, which begins now by the database's clock; it returns b with
	// StartedAt. ErrExists.
	InsertBackfill(ctx context.Context, b Backfill) (Backfill, error)
	// UpdateBackfill stores status, code and place of b, and with a status that is an end
	// EndedAt. ErrNotFound.
	UpdateBackfill(ctx context.Context, b Backfill) error
	// StopBackfill removes the replications of a backfill that wait and are not taken, and
	// returns how many are left that have not ended.
	StopBackfill(ctx context.Context, id string) (left int, err error)
}
