package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// begun are uploads that have received nothing yet. Where one process serves, they need
// no row: a small push would pay with a commit to say that it begins, and with another
// to say that it has ended. The row comes with the first bytes that are acknowledged
// before the end (suspend), or when the server stops (StoreUploads). A process that is
// killed forgets them; their clients begin again, and nothing was acknowledged but that
// they may.
type begun struct {
	mu   sync.Mutex
	byID map[meta.UploadID]meta.Upload // guarded by mu
	// storing is set when StoreUploads has begun: they may have rows from then on.
	storing atomic.Bool
}

func (b *begun) add(u meta.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		b.byID = map[meta.UploadID]meta.Upload{}
	}
	b.byID[u.ID] = u
}

// find returns the upload, if it belongs to repo.
func (b *begun) find(repo meta.RepositoryID, id meta.UploadID) (meta.Upload, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, ok := b.byID[id]
	return u, ok && u.Repository == repo
}

// has reports whether the upload is one of them. Only who writes to it changes that.
func (b *begun) has(id meta.UploadID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.byID[id]
	return ok
}

// remove takes the upload out, when it has a row or has ended.
func (b *begun) remove(id meta.UploadID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, id)
}

// list returns those that were begun before t, oldest first.
func (b *begun) list(t time.Time) (all []meta.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.byID {
		if u.CreatedAt.Before(t) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b meta.Upload) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}

// UploadsBegun counts the uploads of owner that have received nothing yet and have no
// row, or all of them unless owner is given.
func (r *Registry) UploadsBegun(owner string) (n int) {
	r.begun.mu.Lock()
	defer r.begun.mu.Unlock()
	if owner == "" {
		return len(r.begun.byID)
	}
	for _, u := range r.begun.byID {
		if u.Owner == owner {
			n++
		}
	}
	return n
}

// ForgetUploads ends the uploads that were begun before t, have received nothing and
// have no row, except those that a request is writing to, and returns how many.
func (r *Registry) ForgetUploads(t time.Time) (n int) {
	for _, u := range r.begun.list(t) {
		if release, ok := r.HoldUpload(u.ID); ok {
			if r.begun.has(u.ID) {
				r.begun.remove(u.ID)
				n++
			}
			release()
		}
	}
	return n
}

// storeStep is how many uploads StoreUploads writes in one transaction.
const storeStep = 500

// StoreUploads gives a row to each upload that has received nothing yet, so that its
// client can go on after a start. It is called when the server stops. Requests that are
// cut off then may still be ending theirs: an upload that has a row already keeps it, one
// that has ended gets none.
func (r *Registry) StoreUploads(ctx context.Context) error {
	r.begun.storing.Store(true)
	all := r.begun.list(r.cfg.Now().Add(time.Hour))
	for step := range slices.Chunk(all, storeStep) {
		err := r.cfg.Gate.System("uploads begun").Change(ctx, gate.Op("StoreUploads"), func(ctx context.Context, tx *gate.Tx) error {
			keys := make([]blob.Key, len(step))
			for i, u := range step {
				keys[i] = u.Key
			}
			blobs, err := tx.BlobsByKey(ctx, keys)
			if err != nil {
				return err
			}
			for _, u := range step {
				if !r.begun.has(u.ID) || slices.ContainsFunc(blobs, func(b meta.Blob) bool { return b.Key == u.Key }) {
					continue // it has ended
				}
				err := tx.InsertUpload(ctx, u)
				// Its repository may be gone, or suspend may have given it its row.
				if err != nil && !errors.Is(err, meta.ErrReferenced) && !errors.Is(err, meta.ErrExists) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, u := range step {
			r.begun.remove(u.ID)
		}
	}
	return nil
}
