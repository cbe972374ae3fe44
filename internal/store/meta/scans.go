package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Scan is what is known of the scans of an image: of the one that was asked for last,
// and the result of the last one that was completed.
type Scan struct {
	Repository RepositoryID
	Digest     ecr.Digest
	ecr.Scan
	// Slot names the job that does the scan, or did it when it was killed; "" for none.
	Slot     string
	Attempts int       // that were begun
	AskedAt  time.Time // when it was asked for
	DueAt    time.Time // it is not begun before
}

// ScanQueue is how many scans wait or run.
type ScanQueue struct {
	Waiting, Running int
	// Since is when the oldest one that waits was asked for; zero for none.
	Since time.Time
}

// ScanReader reads scans.
type ScanReader interface {
	// Scan returns the scan of an image, or ErrNotFound.
	Scan(ctx context.Context, repo RepositoryID, d ecr.Digest) (Scan, error)
	// Scans returns those of the images ds that were scanned or wait for it, in any order.
	Scans(ctx context.Context, repo RepositoryID, ds []ecr.Digest) ([]Scan, error)
	// ScanFindings returns what the last completed scan of an image found, as the engine
	// stored it; nil for none.
	ScanFindings(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]byte, error)
	// Queue counts the scans of all registries that are not over.
	Queue(ctx context.Context) (ScanQueue, error)
}

// ScanWriter changes scans. A scan goes with its image.
type ScanWriter interface {
	// PutScan stores a scan. The findings stay. ErrReferenced when there is no such image.
	PutScan(ctx context.Context, s Scan) error
	// TakeScan gives the slot the scan that is due at now for the longest time, with its
	// repository: one that no slot has, or one that this slot had before. ErrNotFound
	// when there is none.
	TakeScan(ctx context.Context, slot string, now time.Time) (Scan, Repository, error)
	// EndScan stores s, and with it findings unless they are nil, if the slot still has
	// the scan that was asked for at s.AskedAt; else ErrConflict. s.Slot is the slot
	// that it has from then on.
	EndScan(ctx context.Context, slot string, s Scan, findings []byte) error
	// FreeScans takes the scans away from all slots but these, which no job is for.
	FreeScans(ctx context.Context, but []string) error
}
