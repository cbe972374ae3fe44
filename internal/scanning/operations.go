package scanning

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Summary is what is told of the scan of an image.
type Summary struct {
	Digest ecr.Digest
	Status ecr.ScanStatus
	Reason string // of a scan that failed, or cannot be done
	// CompletedAt, UpdatedAt (of the scanner's database, zero where it did not say),
	// Counts by severity, and Scanner are those of a scan that is COMPLETE.
	CompletedAt, UpdatedAt time.Time
	Counts                 map[ecr.Severity]int
	Scanner                string // such as "Trivy v0.74.0"
}

// result is a meta.Scan's Result.
type result struct {
	UpdatedAt time.Time            `json:"updatedAt,omitzero"`
	Counts    map[ecr.Severity]int `json:"counts,omitempty"`
	Scanner   string               `json:"scanner,omitempty"`
}

// SummaryOf is what is told of a scan.
func SummaryOf(scan ecr.Scan) (Summary, error) {
	out := Summary{Status: scan.Status, Reason: scan.Reason}
	if scan.Status != ecr.ScanComplete {
		if scan.Status == ecr.ScanInProgress {
			out.Reason = ""
		}
		return out, nil
	}
	var r result
	if err := json.Unmarshal(scan.Result, &r); err != nil {
		return out, err
	}
	out.CompletedAt, out.UpdatedAt, out.Counts, out.Scanner = scan.CompletedAt, r.UpdatedAt, r.Counts, r.Scanner
	return out, nil
}

// found is the image that id names, with its manifest. Errors: ImageNotFound,
// InvalidParameter.
func found(ctx context.Context, r meta.ImageReader, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) (meta.Manifest, error) {
	if err := registry.FindImage(ctx, r, at, repo, id); err != nil {
		return meta.Manifest{}, err
	}
	return r.FindImage(ctx, repo, id)
}

var opStartScan = gate.Op("StartScan", "ecr:StartImageScan")

// StartScan has an image scanned, and returns its digest.
// Errors: RepositoryNotFound, ImageNotFound, UnsupportedImageType for what is no
// container image, ImageArchived, LimitExceeded less than a day after it was asked for
// the last time, unless that failed; Validation where there is no scanner, or where the
// registry's scanning is enhanced, as on ECR.
func (c *Caller) StartScan(ctx context.Context, at ecr.Repo, id ecr.ImageID) (d ecr.Digest, err error) {
	err = c.gate.Change(ctx, opStartScan, func(ctx context.Context, tx *gate.Tx) error {
		scene, err := tx.Enter(ctx, at)
		if err != nil {
			return err
		}
		image, err := found(ctx, tx, at, scene.Row.ID, id)
		if err != nil {
			return err
		}
		d = image.Image.Digest
		rules, err := registry.ScanOf(scene.Settings)
		switch {
		case err != nil:
			return err
		case rules.Type == registry.ScanEnhanced:
			return ecr.Errorf(ecr.CodeValidation, "This feature is disabled")
		case c.s.cfg.Scanner == nil:
			return ecr.Errorf(ecr.CodeValidation, "This registry does not scan images: no scanner is configured")
		case image.Image.Status == ecr.StatusArchived:
			return ecr.Errorf(ecr.CodeImageArchived, "The image with digest '%s' in the repository with name '%s' in the registry with id '%s' is archived. Restore it to scan it.", d, at.Name, at.In.Account)
		}
		m, err := parsed(ctx, tx, scene.Row.ID, d)
		if err != nil && !errors.Is(err, errUnreadable) {
			return err
		}
		if err != nil || !m.IsContainerImage() {
			return ecr.Errorf(ecr.CodeUnsupportedImageType, "The image with digest '%s' in the repository with name '%s' in the registry with id '%s' is of a type that cannot be scanned: scan the images of an index one by one", d, at.Name, at.In.Account)
		}
		last, err := tx.Retention().Scans().Scan(ctx, scene.Row.ID, d)
		switch {
		case errors.Is(err, meta.ErrNotFound):
		case err != nil:
			return err
		case last.Status == ecr.ScanInProgress, last.Status != ecr.ScanFailed && c.s.cfg.Now().Sub(last.AskedAt) < again:
			return ecr.Errorf(ecr.CodeLimitExceeded, "The scan quota per image has been exceeded. Wait and try again.")
		}
		return c.s.queue(ctx, tx, scene.Row.ID, d, last)
	})
	if err == nil {
		c.s.some()
	}
	return d, err
}

var opScanFindings = gate.Op("ScanFindings", "ecr:DescribeImageScanFindings")

// ScanFindings returns the scan of an image, and of one that is COMPLETE at most limit of its
// findings from number from on, the worst first, and whether there are more.
// Errors: RepositoryNotFound, ImageNotFound, and ScanNotFound where it was never scanned.
func (c *Caller) ScanFindings(ctx context.Context, at ecr.Repo, id ecr.ImageID, from, limit int) (s Summary, list []Finding, more bool, err error) {
	var packed []byte
	err = c.gate.ReadRepository(ctx, opScanFindings, at, func(ctx context.Context, v *gate.View, repo meta.Repository) error {
		image, err := found(ctx, v, at, repo.ID, id)
		if err != nil {
			return err
		}
		scan, err := v.Retention().Scans().Scan(ctx, repo.ID, image.Image.Digest)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(ecr.CodeScanNotFound, "Image scan does not exist for the image with '%s' in the repository with name '%s' in the registry with id '%s'", id, at.Name, at.In.Account)
		}
		if err == nil {
			s, err = SummaryOf(scan.Scan)
			s.Digest = scan.Digest
		}
		if err == nil && s.Status == ecr.ScanComplete {
			packed, err = v.Retention().Scans().ScanFindings(ctx, repo.ID, image.Image.Digest)
		}
		return err
	})
	if err != nil || s.Status != ecr.ScanComplete {
		return s, nil, false, err
	}
	all, err := unpack(packed)
	if err != nil {
		return s, nil, false, err
	}
	if from < 0 || from > len(all) {
		from = len(all)
	}
	to := min(from+limit, len(all))
	return s, all[from:to], to < len(all), nil
}

// Status is what the operator is told of scanning.
type Status struct {
	// Configured: there is a scanner.
	Configured bool
	Name       string
	About      About
	// Failure is why the scanner cannot be reached; "" where it can.
	Failure string
	Slots   int
	Queue   meta.ScanQueue
}

var opScannerStatus = gate.Op("ScannerStatus", "kontor:GetScanner")

// ScannerStatus asks the scanner what it is, and counts what waits.
func (c *Caller) ScannerStatus(ctx context.Context, in ecr.RegistryID) (s Status, err error) {
	err = c.gate.Read(ctx, opScannerStatus, func(ctx context.Context, v *gate.View) error {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		s.Queue, err = v.Retention().Scans().Queue(ctx)
		return err
	})
	if err != nil || c.s.cfg.Scanner == nil {
		return s, err
	}
	s.Configured, s.Name, s.Slots = true, c.s.cfg.Name, c.s.cfg.Slots
	ctx, cancel := context.WithTimeout(ctx, aboutTime)
	defer cancel()
	if s.About, err = c.s.cfg.Scanner.About(ctx); err != nil {
		s.Failure = reason(err)
	}
	return s, nil
}

// aboutTime is how long a scanner may take to say what it is.
const aboutTime = 10 * time.Second

// Observe tells the observer how much waits.
func (s *Service) Observe(ctx context.Context) {
	if s.cfg.Observer == nil || s.cfg.Scanner == nil {
		return
	}
	var q meta.ScanQueue
	err := s.cfg.Gate.System(actor).Read(ctx, gate.Op("ScanQueue"), func(ctx context.Context, v *gate.View) (err error) {
		q, err = v.Retention().Scans().Queue(ctx)
		return err
	})
	if err == nil {
		s.cfg.Observer.ScanQueue(q.Waiting, q.Running)
	}
}
