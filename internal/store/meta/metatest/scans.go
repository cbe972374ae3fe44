package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Scans wait in the order in which they are due, belong to one slot at a time, and go
// with their image.
func imageScans(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	a, b := newImage(t, s, repo, "a", "v1").Image.Digest, newImage(t, s, repo, "b").Image.Digest
	scan := func(d ecr.Digest) (meta.Scan, error) {
		var got meta.Scan
		err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
			got, err = r.Retention().Scans().Scan(ctx, repo, d)
			return err
		})
		return got, err
	}
	change := func(fn func(ctx context.Context, w meta.ScanWriter) error) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return fn(ctx, tx.Retention().ScanWriter()) })
	}
	do := func(fn func(ctx context.Context, w meta.ScanWriter) error) {
		t.Helper()
		if err := change(fn); err != nil {
			t.Fatal(err)
		}
	}
	take := func(slot string, now time.Time) (got meta.Scan, err error) {
		err = change(func(ctx context.Context, w meta.ScanWriter) (err error) {
			var of meta.Repository
			if got, of, err = w.TakeScan(ctx, slot, now); err == nil {
				diff(t, ecr.RepositoryName("app"), of.Name)
			}
			return err
		})
		return got, err
	}
	if _, err := scan(a); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("a scan of what was not scanned: %v", err)
	}
	first := meta.Scan{Repository: repo, Digest: a, Scan: ecr.Scan{Status: ecr.ScanInProgress}, AskedAt: noon, DueAt: noon.Add(time.Minute)}
	second := meta.Scan{Repository: repo, Digest: b, Scan: ecr.Scan{Status: ecr.ScanInProgress, Reason: "the ü of an error"}, AskedAt: noon.Add(time.Second), DueAt: noon.Add(time.Second)}
	for _, w := range []meta.Scan{first, second} {
		do(func(ctx context.Context, tx meta.ScanWriter) error { return tx.PutScan(ctx, w) })
	}
	if err := change(func(ctx context.Context, tx meta.ScanWriter) error {
		return tx.PutScan(ctx, meta.Scan{Repository: repo, Digest: digest("none"), Scan: ecr.Scan{Status: ecr.ScanInProgress}, AskedAt: noon, DueAt: noon})
	}); !errors.Is(err, meta.ErrReferenced) {
		t.Errorf("a scan of no image: %v", err)
	}
	got, err := scan(b)
	diff(t, nil, err)
	diff(t, second, got)
	queue := func() meta.ScanQueue {
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.ScanQueue, error) {
			return r.Retention().Scans().Queue(ctx)
		})
	}
	diff(t, meta.ScanQueue{Waiting: 2, Since: noon}, queue())

	if _, err := take("1", noon); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("a scan before it is due: %v", err)
	}
	got, err = take("1", noon.Add(time.Hour))
	second.Slot, second.Attempts = "1", 1
	diff(t, nil, err)
	diff(t, second, got)
	// killed, and begun again in the same slot; another slot gets another scan
	got, err = take("1", noon.Add(time.Hour))
	second.Attempts = 2
	diff(t, nil, err)
	diff(t, second, got)
	got, err = take("2", noon.Add(time.Hour))
	first.Slot, first.Attempts = "2", 1
	diff(t, nil, err)
	diff(t, first, got)
	diff(t, meta.ScanQueue{Running: 2}, queue())
	if _, err := take("3", noon.Add(time.Hour)); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("a scan that another slot has: %v", err)
	}
	// slot 2 is there no longer
	do(func(ctx context.Context, w meta.ScanWriter) error { return w.FreeScans(ctx, []string{"1"}) })
	done := first
	done.Slot, done.Status, done.CompletedAt, done.Severity, done.Result = "", ecr.ScanComplete, noon.Add(time.Hour), ecr.SeverityHigh, []byte(`{"a":1}`)
	end := func(slot string) error {
		return change(func(ctx context.Context, w meta.ScanWriter) error { return w.EndScan(ctx, slot, done, []byte{0, 1, 2}) })
	}
	if err := end("2"); !errors.Is(err, meta.ErrConflict) {
		t.Errorf("ending a scan that was taken away: %v", err)
	}
	if _, err := take("3", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	done.Attempts = 2
	diff(t, nil, end("3"))
	if err := end("3"); !errors.Is(err, meta.ErrConflict) {
		t.Errorf("ending a scan twice: %v", err)
	}
	got, err = scan(a)
	diff(t, nil, err)
	diff(t, done, got)
	findings := func() ([]byte, error) {
		var found []byte
		err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
			found, err = r.Retention().Scans().ScanFindings(ctx, repo, a)
			return err
		})
		return found, err
	}
	// asked for again: what was found stays until it is over
	again := done
	again.Status, again.Attempts, again.AskedAt = ecr.ScanInProgress, 0, noon.Add(2*time.Hour)
	do(func(ctx context.Context, w meta.ScanWriter) error { return w.PutScan(ctx, again) })
	found, err := findings()
	diff(t, nil, err)
	diff(t, []byte{0, 1, 2}, found)
	all := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Scan, error) {
		return r.Retention().Scans().Scans(ctx, repo, []ecr.Digest{a, a, digest("none")})
	})
	diff(t, []meta.Scan{again}, all)

	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.DeleteTag(ctx, repo, "v1"), tx.DeleteManifest(ctx, repo, a, noon))
	})
	if _, err := findings(); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("findings of an image that is gone: %v", err)
	}
}
