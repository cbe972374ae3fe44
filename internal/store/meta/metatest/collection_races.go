package metatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// collectionRace: blobs are collected while images come that need them. An
// image that was accepted has its blobs, or one that was refused has not.
func collectionRace(t *testing.T, s meta.Store) { replicasCollection(t, s, s) }

func replicasCollection(t *testing.T, a, b meta.Store) {
	repo := newRepository(t, a, "app")
	const rounds = 40
	for i := range rounds {
		d := digest(fmt.Sprint("layer", i))
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 3, CreatedAt: noon})
			return errors.Join(err, tx.LinkBlob(ctx, repo, d, noon))
		})
		m := manifestOf(repo, fmt.Sprint(i))
		m.Blobs = []ecr.Digest{d}
		errs := race(2, func(n int) error {
			if n == 0 {
				return a.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, m) })
			}
			return b.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
				if _, err := tx.Retention().DeleteIdleLinks(ctx, noon.Add(time.Hour), 10); err != nil {
					return err
				}
				_, _, err := tx.Retention().DeleteUnusedBlobs(ctx, 10)
				return err
			})
		})
		if errs[1] != nil {
			t.Fatal(errs[1])
		}
		_, seen := idle(t, a, repo, d)
		if pushed := errs[0] == nil; pushed != seen || !pushed && !errors.Is(errs[0], meta.ErrReferenced) {
			t.Fatalf("the image: %v; its blob is there: %v", errs[0], seen)
		}
	}
}

// A blob loses its last link while a collection looks at it that still finds it
// in use: the next collection has to look at it again.
func replicasLoosening(t *testing.T, a, b meta.Store) {
	repo, other := newRepository(t, a, "app"), newRepository(t, a, "other")
	d := newBlob(t, a, repo, "a")
	newBlob(t, a, other, "a")
	unlink := func(repo meta.RepositoryID) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, d) }
	}
	update(t, a, unlink(other)) // notes the blob
	began, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	errs := race(2, func(n int) error {
		if n == 1 {
			<-began
			defer close(done)
			return a.Update(t.Context(), unlink(repo))
		}
		return b.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.CountUploads(ctx, "") // from here on it sees one moment
			once.Do(func() { close(began) })
			select {
			case <-done:
			case <-time.After(200 * time.Millisecond): // a database with one writer
			}
			_, _, err2 := tx.Retention().DeleteUnusedBlobs(ctx, 10)
			return errors.Join(err, err2)
		})
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	_, gone := collect(t, a, noon, 10)
	left := read(t, a, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.ListBlobs(ctx, "", 10) })
	if len(left) > 0 {
		t.Errorf("the next collection removed %v and left %+v", gone, left)
	}
}
