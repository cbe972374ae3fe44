// Package replication copies images to other registries as they are pushed: to accounts
// and regions of the same server, where nothing is streamed, and to registries elsewhere
// that the operator lists.
//
// What it guarantees:
//   - what a rule says is queued in the transaction of the push, and done at least once,
//     by any of the processes on the database, however often they are killed;
//   - manifests keep their bytes; the images of an index come before it, and what refers
//     to an image after it; a tag is set last, and only where the source has it still;
//   - the destination decides: its registry policy, the mutability of its tags, its
//     repository creation templates. What it refuses is FAILED, with the reason;
//   - within a server, what was replicated is not replicated on. Between servers, an image
//     does not go back to a registry that it came through. So there are no loops;
//   - a destination with a rate gets no more, from all processes on the database together;
//   - a destination that does not answer holds up no other.
//
// It leaves out what ECR leaves out: settings, policies and resource tags of repositories,
// and images that were there before the rule, which a backfill copies. Deletions are
// replicated only where an option says so.
//
// Sources: ECR user guide, "Private image replication in Amazon ECR"; API reference; for
// backfills the AWS SDK. docs/design/0039-replication.md.
package replication

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config is what a Service is made of.
type Config struct {
	Gate     *gate.Gate         // required
	Registry *registry.Registry // required
	// Retention removes what is deleted at a destination. Required.
	Retention *retention.Service
	// Queue is what pushes were told to. Required.
	Queue *Queue
	// Now is the image clock. Required.
	Now func() time.Time
	// Passed is the time that has passed since some moment, whatever the clocks are set
	// to. Required.
	Passed func() time.Duration
	// Serves reports whether a registry is on this server. Required.
	Serves func(in ecr.RegistryID) bool
	// Elsewhere are registries that are not on this server, by the account and region
	// that rules name them by.
	Elsewhere map[ecr.RegistryID]Elsewhere
	// OneProcess: no other process works on the database.
	OneProcess bool
	// Replicated is called in the transaction in which an image is complete at its
	// destination or has failed: the place for the event "ECR Replication Action". It may
	// be nil.
	Replicated func(ctx context.Context, tx *gate.Tx, o Outcome) error
	// Observer is told what happens; may be nil.
	Observer Observer
	Log      *slog.Logger // required
}

// Outcome is what became of one image on its way to one destination.
type Outcome struct {
	From, To ecr.Repo
	Image    ecr.ImageID // digest, and the tag or ""
	Backfill string      // the id of its backfill, "" for a push
	Code     string      // why it failed; "" for success
}

// Observer counts. It is called by many at once, and must not wait.
type Observer interface {
	// Replicated is called when an image is complete at a destination or has failed, and
	// again each time that it is put off. sent are the bytes of blobs that went over the
	// network for it.
	Replicated(to ecr.RegistryID, how Result, sent int64)
	// ReplicationWaiting is called now and then with what waits.
	ReplicationWaiting(queues []meta.ReplicationQueue)
}

// Result is how a try came out.
type Result string

// Results.
const (
	Complete Result = "complete"
	Failed   Result = "failed"
	PutOff   Result = "put off"
)

// actor is who copies, in logs.
const actor = "replication"

// Service replicates the images of all registries of a server. It is safe for
// concurrent use. Run does the work.
type Service struct {
	cfg Config

	taking sync.Mutex // held while an image is taken

	mu      sync.Mutex
	working int                                 // workers of Run; guarded by mu
	busy    map[ecr.RegistryID]int              // how many images are copied to it; guarded by mu
	resting map[ecr.RegistryID]rest             // guarded by mu
	clients map[ecr.RegistryID]*remote.Registry // guarded by mu
	waking  bool                                // guarded by mu: Run looks again soon, because of a rate

	allowances map[ecr.RegistryID]*allowance // guarded by mu
}

// rest is how long a destination is left alone, and why.
type rest struct {
	until time.Duration // on Config.Passed
	why   string
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{
		cfg: cfg, busy: map[ecr.RegistryID]int{}, resting: map[ecr.RegistryID]rest{}, clients: map[ecr.RegistryID]*remote.Registry{},
		allowances: map[ecr.RegistryID]*allowance{},
	}
}

// Caller is the operations in the name of one principal. It is safe for concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds the
// list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opDescribeRegistry, opPutReplication, opImageReplicationStatus,
		opStartBackfill, opStopBackfill, opBackfillResults, opListBackfills,
		opReplications, opRetryReplications, opSetReplicationOptions,
	}
}
