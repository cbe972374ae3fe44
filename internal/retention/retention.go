// Package retention decides which images a registry keeps: it runs lifecycle
// policies, tracks images in use (leases, pull times), records deletions (the
// journal), keeps deleted images restorable for some days (the recycle bin), and
// reports the space that images use. It also has the image clock, by which images age.
//
// It guarantees that an image is deleted only together with its entry in the journal,
// in one transaction: package registry deletes images through it too. Package jobs
// frees the space afterwards.
//
// Errors are *ecr.Error with ECR's codes and messages.
package retention

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Config is what a Service is made of.
type Config struct {
	Gate  *gate.Gate
	Blobs blob.Store
	// Now is the image clock: push times, ages, lifecycle. Required.
	Now func() time.Time
	// Dialect is the language of lifecycle policies. The zero value is ECR's. Dialects
	// are those of registries that have another.
	Dialect  lifecycle.Dialect
	Dialects map[ecr.RegistryID]lifecycle.Dialect
	// RecycleTime is how long deleted images can be restored; 0 is not at all.
	RecycleTime time.Duration
	// ActivityDays is for how many days it is kept who pulled what; 0 is not at all.
	ActivityDays int
	// MaxExpire stops lifecycle runs that would expire more; zero means no limit.
	MaxExpire MaxExpire
	// TestClock is the clock behind Now, where it is one that may be moved.
	TestClock *TestClock
	// Passed is the time that has passed since some moment, whatever the
	// clocks are set to; without it jumps of the image clock go unnoticed.
	Passed func() time.Duration
	// DatabaseClock has scheduled runs wait while the image clock, without the offset
	// of a test clock, is far from the database's: for a database that several
	// processes use.
	DatabaseClock bool
	// Deleted is called in the transaction in which an image goes, or with a tag in id that
	// tag; nil for nothing.
	Deleted func(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) error
	// Restored is called in the transaction in which an image comes back from the bin with
	// these tags, after the images that it lists; may be nil.
	Restored func(ctx context.Context, tx *gate.Tx, at gate.Scene, m meta.Manifest, tags []ecr.Tag) error
	// Log receives what no client is told. Required.
	Log *slog.Logger
}

// Service keeps and removes images of any number of registries. It is safe for
// concurrent use.
type Service struct {
	cfg   Config
	pulls pullRecorder
	watch clockWatch
	// deletions has one value when WakeDeletions was called.
	deletions chan struct{}
	running   sync.Map // ARNs of the repositories with a lifecycle run under way
}

// New returns a Service. It starts nothing.
func New(cfg Config) *Service { return &Service{cfg: cfg, deletions: make(chan struct{}, 1)} }

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// System returns the operations for a job of the server itself; reason names
// the job and is recorded.
func (s *Service) System(reason string) *Caller { return &Caller{s, s.cfg.Gate.System(reason)} }

// Caller is the operations in the name of one principal. It is safe for
// concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// Operations lists every operation. Each stands next to its method; a test
// holds the list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opSetLifecyclePolicy, opLifecyclePolicy, opDeleteLifecyclePolicy,
		opStartLifecyclePreview, opLifecyclePreview, opRunLifecycle,
		opReportLeases, opListLeases, opLeasePage, opImageLeases, opForgetLeases, opMoveClock,
		opListBin, opRestoreImage, opPurgeImage, opJournal, opActivity, opPullDays, opUsage, opFreed, opIndexManifests,
		opRegisterPullTimeExclusion, opDeregisterPullTimeExclusion, opListPullTimeExclusions,
	}
}

// Pause waits as long as n removals may take at most so many a second, so that
// requests do not notice; below zero means no limit.
func Pause(ctx context.Context, n, perSecond int) error {
	if perSecond < 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(perSecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// PerSecond is how many images, rows and files are removed in a second.
const PerSecond = 500
