package scanning

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opScanImage = gate.Op("ScanImage")

// RunSlot does the scans that are due, one after the other, until there is none, and
// returns how many were over. Only one process at a time may run a slot: the jobs see to
// that, with a lease that ctx is fenced with. A scan that the slot had when its process
// was killed is begun again.
func (s *Service) RunSlot(ctx context.Context, i int) (n int, err error) {
	if i == 0 {
		if err := s.free(ctx); err != nil {
			return 0, err
		}
	}
	for ctx.Err() == nil {
		scan, repo, err := s.take(ctx, slot(i))
		if errors.Is(err, meta.ErrNotFound) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		switch over, err := s.scan(ctx, slot(i), scan, repo); {
		case err != nil:
			return n, err
		case over:
			n++
		}
	}
	return n, nil
}

// free takes scans back from slots that are there no longer.
func (s *Service) free(ctx context.Context) error {
	var slots []string
	for i := range s.cfg.Slots {
		slots = append(slots, slot(i))
	}
	return s.cfg.Gate.System(actor).Change(ctx, opScanImage, func(ctx context.Context, tx *gate.Tx) error {
		return tx.Retention().ScanWriter().FreeScans(ctx, slots)
	})
}

func (s *Service) take(ctx context.Context, slot string) (scan meta.Scan, repo meta.Repository, err error) {
	err = s.cfg.Gate.System(actor).Change(ctx, opScanImage, func(ctx context.Context, tx *gate.Tx) (err error) {
		scan, repo, err = tx.Retention().ScanWriter().TakeScan(ctx, slot, s.cfg.Now())
		return err
	})
	return scan, repo, err
}

// scan asks the scanner, and stores what comes of it. over is false for a scan that is
// to be tried again, and for one whose image is gone.
func (s *Service) scan(ctx context.Context, slot string, scan meta.Scan, repo meta.Repository) (over bool, err error) {
	at := repo.Registry.Repo(repo.Name)
	t, err := s.target(ctx, at, scan)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil // the scan went with it
	}
	if err != nil {
		return false, err
	}
	began := s.cfg.Now()
	report, failure := s.ask(ctx, t)
	if ctx.Err() != nil {
		// The server stops, or another process has the slot. Begun again, it is the same
		// attempt.
		scan.Slot, scan.Attempts = "", scan.Attempts-1
		err := s.end(context.WithoutCancel(ctx), slot, t, scan, nil)
		return false, errors.Join(ctx.Err(), err)
	}
	scan.Slot, scan.Reason = "", ""
	var findings []byte
	if failure == nil {
		findings, failure = pack(report.Findings)
	}
	outcome := "complete"
	switch {
	case failure == nil:
		scan.Status, scan.CompletedAt = ecr.ScanComplete, s.cfg.Now()
		kept := result{UpdatedAt: report.UpdatedAt, Scanner: report.Scanner}
		kept.Counts, scan.Severity = report.counts()
		if scan.Result, err = json.Marshal(kept); err != nil {
			return false, err
		}
	case errors.Is(failure, ErrUnsupported):
		// What an earlier scan found says nothing any more.
		outcome, scan.Status, scan.Reason = "unsupported", ecr.ScanUnsupported, reason(failure)
		scan.CompletedAt, scan.Severity, scan.Result, findings = time.Time{}, "", nil, []byte{}
	case scan.Attempts >= attempts:
		outcome, scan.Status, scan.Reason = "failed", ecr.ScanFailed, reason(failure)
	default:
		outcome, scan.Reason = "retried", reason(failure)
		scan.DueAt = s.cfg.Now().Add(min(firstPause<<(scan.Attempts-1), longestPause))
	}
	if failure != nil {
		s.cfg.Log.WarnContext(ctx, "image scan failed", "repository", at.ARN(), "digest", scan.Digest, "attempt", scan.Attempts, "outcome", outcome, "error", scan.Reason)
	}
	if s.cfg.Observer != nil {
		s.cfg.Observer.Scan(outcome, s.cfg.Now().Sub(began))
	}
	return outcome != "retried", s.end(ctx, slot, t, scan, findings)
}

// ask is the scanner's answer, within its time.
func (s *Service) ask(ctx context.Context, t Target) (r Report, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	late := fmt.Errorf("the scanner has not finished within %s", s.cfg.Timeout)
	inTime, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, late)
	defer cancel()
	r, err = s.cfg.Scanner.Scan(inTime, t)
	if err != nil && errors.Is(context.Cause(inTime), late) {
		err = late
	}
	if err == nil {
		r, err = settled(r)
	}
	return r, err
}

// target reads what is to be scanned. meta.ErrNotFound when the image is gone.
func (s *Service) target(ctx context.Context, at ecr.Repo, scan meta.Scan) (t Target, err error) {
	mediaType := ""
	err = s.cfg.Gate.System(actor).Read(ctx, opScanImage, func(ctx context.Context, v *gate.View) error {
		row, err := v.StatManifest(ctx, scan.Repository, scan.Digest)
		if err != nil {
			return err
		}
		mediaType = row.Image.MediaType
		t = Target{At: at, Digest: scan.Digest}
		if len(row.Image.Tags) > 0 {
			t.Tag = row.Image.Tags[0]
		}
		t.Body, err = v.ManifestBody(ctx, scan.Repository, scan.Digest)
		return err
	})
	if err == nil {
		t.Manifest, err = manifest.Parse(t.Body, mediaType)
	}
	return t, err
}

// end stores a scan, and tells of one that is over. That the image is gone, or that
// another slot has the scan, is no error.
func (s *Service) end(ctx context.Context, slot string, t Target, scan meta.Scan, findings []byte) error {
	err := s.cfg.Gate.System(actor).Change(ctx, opScanImage, func(ctx context.Context, tx *gate.Tx) error {
		if err := tx.Retention().ScanWriter().EndScan(ctx, slot, scan, findings); err != nil {
			return err
		}
		if s.cfg.Finished == nil || scan.Status == ecr.ScanInProgress {
			return nil
		}
		row, err := tx.StatManifest(ctx, scan.Repository, scan.Digest)
		if err != nil {
			return err
		}
		f := Finished{Time: s.cfg.Now(), At: t.At, Digest: scan.Digest, Tags: row.Image.Tags, Status: scan.Status}
		if scan.Status == ecr.ScanComplete {
			told, err := SummaryOf(scan.Scan)
			if err != nil {
				return err
			}
			f.Counts = told.Counts
		}
		return s.cfg.Finished(ctx, tx, f)
	})
	if errors.Is(err, meta.ErrConflict) {
		return nil
	}
	return err
}
