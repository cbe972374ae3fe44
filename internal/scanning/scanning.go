// Package scanning scans images with a scanner that runs outside of this process, and
// keeps what it finds.
//
// A scanner is a web service that speaks Harbor's pluggable scanner API, or a command
// that reads an OCI layout: see Scanner. What is to be scanned waits in the database,
// and the jobs of any replica take it from there (package jobs): one that is killed
// leaves nothing but a scan that is begun again.
//
// It guarantees:
//   - an image counts as scanned when a scanner has reported on it, and not before;
//     what failed says why, and what was never scanned has no findings;
//   - nothing that a scanner says is believed: reports are bounded, texts are cut and
//     cleaned, addresses are of the web;
//   - a web service is dialled where the operator says, and nowhere else; it reads the
//     image with a token for that one repository, which ends with the scan;
//   - a command gets the image only, in a folder that goes with it, and is stopped with
//     all that it started when its time is over.
//
// It leaves out how to find vulnerabilities, and what is done about them: a policy may
// ask for kontor:MaxSeverity, and a promotion may be refused.
//
// Sources: ECR user guide, "Scan images for software vulnerabilities"; Harbor, "Pluggable
// Image Vulnerability Scanning API" 1.1 and 1.2; docs/design/0041.
package scanning

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config is what a Service is made of.
type Config struct {
	Gate     *gate.Gate         // required
	Registry *registry.Registry // required
	// Scanner scans; nil for none, then every operation answers as where nothing was
	// ever scanned.
	Scanner Scanner
	// Name is what the operator calls it.
	Name string
	// Slots is how many scans run at a time, of all replicas together. Default 2.
	Slots int
	// Timeout is how long one scan may take. Default 15 minutes.
	Timeout time.Duration
	// Now is the image clock. Required.
	Now func() time.Time
	// Finished is told of each scan that is over, in the transaction that stores its
	// result: what is to be sent to others goes into an outbox there. May be nil.
	Finished func(ctx context.Context, tx *gate.Tx, f Finished) error
	// Observer is told what happens; may be nil.
	Observer Observer
	Log      *slog.Logger // required
}

// Finished is a scan that is over, as EventBridge's "ECR Image Scan" tells of it.
type Finished struct {
	At     ecr.Repo
	Digest ecr.Digest
	Tags   []ecr.Tag
	Time   time.Time
	Status ecr.ScanStatus // ScanComplete, ScanFailed or ScanUnsupported
	// Counts are the findings by severity, those that are not zero; nil for a scan that
	// found nothing or failed.
	Counts map[ecr.Severity]int
}

// Observer counts. It is called by many at once, and must not wait.
type Observer interface {
	// Scan is called for each time that a scanner was asked: "complete", "failed",
	// "unsupported", or "retried" for a failure after which it is asked again.
	Scan(outcome string, took time.Duration)
	// ScanQueue is called every few seconds with the scans that wait and run.
	ScanQueue(waiting, running int)
}

// Scanner scans one image. It is safe for concurrent use.
type Scanner interface {
	// Scan returns what it finds. ErrUnsupported for an image that it cannot scan.
	Scan(ctx context.Context, t Target) (Report, error)
	// About says what it is and whether it can be reached, as far as it can tell.
	About(ctx context.Context) (About, error)
}

// About is what a scanner says of itself.
type About struct {
	Kind            string // "adapter" or "command"
	Name            string
	Vendor, Version string    // "" where it does not say
	UpdatedAt       time.Time // of its database; zero where it does not say
}

// Target is an image to be scanned.
type Target struct {
	At       ecr.Repo
	Digest   ecr.Digest
	Tag      ecr.Tag // one that it has; "" for none
	Body     []byte  // of the manifest
	Manifest manifest.Manifest
}

// ErrUnsupported: the scanner cannot scan such an image.
var ErrUnsupported = errors.New("the scanner does not support the image")

const (
	// actor is who scans, in the audit log.
	actor = "image scan"
	// again is how long an image is not scanned again on demand. Source: ECR user guide:
	// an image can be scanned once per 24 hours.
	again = 24 * time.Hour
	// attempts is how often a scan is begun before it is given up, firstPause and
	// longestPause how long it waits after a failure.
	attempts     = 5
	firstPause   = 30 * time.Second
	longestPause = 30 * time.Minute

	defaultSlots   = 2
	defaultTimeout = 15 * time.Minute
	// maxSlots bounds Config.Slots.
	maxSlots = 32
)

// Service scans. It is safe for concurrent use.
type Service struct {
	cfg  Config
	wake []chan struct{} // of each slot
}

// New returns a Service.
func New(cfg Config) *Service {
	cfg.Slots = min(cmp.Or(cfg.Slots, defaultSlots), maxSlots)
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	s := &Service{cfg: cfg}
	if cfg.Scanner != nil {
		for range cfg.Slots {
			s.wake = append(s.wake, make(chan struct{}, 1))
		}
	}
	return s
}

// Slots is how many scans run at a time, 0 where there is no scanner.
func (s *Service) Slots() int { return len(s.wake) }

// Wake is sent to when slot i may have something to do.
func (s *Service) Wake(i int) <-chan struct{} { return s.wake[i] }

// some tells the slots of this process that a scan waits.
func (s *Service) some() {
	for _, c := range s.wake {
		select {
		case c <- struct{}{}:
		default: // it was told and has not looked yet
		}
	}
}

func slot(i int) string { return strconv.Itoa(i + 1) }

// Pushed is registry.Config.Pushed and Arrived: it has an image scanned that never was, where the
// repository, or a rule of the registry, wants that.
func (s *Service) Pushed(ctx context.Context, tx *gate.Tx, scene gate.Scene, p registry.Pushed) error {
	if s.cfg.Scanner == nil || !p.Changed {
		return nil
	}
	settings := scene.Settings
	if tx.Principal().System != "" { // the gate reads none for it
		var err error
		if settings, err = tx.Registries().RegistrySettings(ctx, scene.At.In); err != nil {
			return err
		}
	}
	rules, err := registry.ScanOf(settings)
	if err != nil {
		return err
	}
	r := registry.Repository{Repo: scene.At, ScanOnPush: scene.Row.ScanOnPush}
	if f := rules.Of(r).Frequency; f != registry.ScanOnPush && f != registry.ScanContinuous {
		return nil
	}
	switch m, err := parsed(ctx, tx, scene.Row.ID, p.Digest); {
	case errors.Is(err, errUnreadable):
		return nil // what cannot be read is not scanned
	case err != nil:
		return err
	case !m.IsContainerImage():
		return nil
	}
	if _, err := tx.Retention().Scans().Scan(ctx, scene.Row.ID, p.Digest); !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	return s.queue(ctx, tx, scene.Row.ID, p.Digest, meta.Scan{})
}

// Restored is retention.Config.Restored: an image that comes back is scanned as if it was
// pushed, as its findings went with it.
func (s *Service) Restored(ctx context.Context, tx *gate.Tx, at gate.Scene, m meta.Manifest, _ []ecr.Tag) error {
	return s.Pushed(ctx, tx, at, registry.Pushed{Digest: m.Image.Digest, Changed: true})
}

// Stored is registry.Config.Stored: something may wait.
func (s *Service) Stored() { s.some() }

// queue has an image scanned; last is what is known of it.
func (s *Service) queue(ctx context.Context, tx *gate.Tx, repo meta.RepositoryID, d ecr.Digest, last meta.Scan) error {
	now := s.cfg.Now()
	last.Repository, last.Digest = repo, d
	last.Status, last.Slot, last.Attempts, last.Reason = ecr.ScanInProgress, "", 0, ""
	last.AskedAt, last.DueAt = now, now
	return tx.Retention().ScanWriter().PutScan(ctx, last)
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
	return []gate.Operation{opStartScan, opScanFindings, opScannerStatus}
}
