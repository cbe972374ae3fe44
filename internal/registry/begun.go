package registry

import (
	"cmp"
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

// begun are uploads that have received nothing yet, or so little that it is in their
// Progress (blob.Holder). Where one process serves, they need no row: a small push would
// pay with a commit to say that it begins, with another for its content, and with another
// to say that it has ended. The row comes when more is received (suspend), or when the
// server stops (StoreUploads). A process that is killed forgets them, and their clients
// begin again: docs/design/0033.
type begun struct {
	mu   sync.Mutex
	byID map[meta.UploadID]meta.Upload // guarded by mu
	// ending are those whose end is being committed, or was, with their content.
	ending map[meta.UploadID]struct{} // guarded by mu
	held   int64                      // guarded by mu; bytes that they have received
	most   int64                      // guarded by mu; of held, 0 for heldMax
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

// heldMax bounds the bytes that uploads without rows have received. What comes then gets
// its row at once.
const heldMax = 32 << 20

// mayHold reports whether n more bytes may be held for an upload. Those who ask at once
// may come to a little more.
func (b *begun) mayHold(id meta.UploadID, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.storing.Load() && b.held+n <= cmp.Or(b.most, heldMax)
}

// hold replaces an upload that is there by u, which has received more. It is false when
// they may have rows already, or one has ended.
func (b *begun) hold(u meta.Upload) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, ok := b.byID[u.ID]
	if !ok || b.storing.Load() {
		return false
	}
	b.held += u.Progress.Offset - was.Progress.Offset
	b.byID[u.ID] = u
	return true
}

// find returns the upload, if it belongs to repo.
func (b *begun) find(repo meta.RepositoryID, id meta.UploadID) (meta.Upload, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, ok := b.byID[id]
	return u, ok && u.Repository == repo
}

// end notes whether the end of the upload is being committed. It gets no row then.
func (b *begun) end(id meta.UploadID, ending bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ending == nil {
		b.ending = map[meta.UploadID]struct{}{}
	}
	if _, ok := b.byID[id]; ok && ending {
		b.ending[id] = struct{}{}
	} else {
		delete(b.ending, id)
	}
}

// stays reports whether the upload is one of them and not ending.
func (b *begun) stays(id meta.UploadID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.byID[id]
	_, ending := b.ending[id]
	return ok && !ending
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
	b.held -= b.byID[id].Progress.Offset
	delete(b.byID, id)
	delete(b.ending, id)
}

// forget takes the upload out if it is there and was last touched before t: a request may
// have added to it since it was listed.
func (b *begun) forget(id meta.UploadID, t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, ok := b.byID[id]
	if !ok || !u.UpdatedAt.Before(t) {
		return false
	}
	b.held -= u.Progress.Offset
	delete(b.byID, id)
	return true
}

// list returns those that were last touched before t, oldest first.
func (b *begun) list(t time.Time) (all []meta.Upload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.byID {
		if u.UpdatedAt.Before(t) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b meta.Upload) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return all
}

// UploadsBegun counts the uploads of owner that have no row, because they have received
// little or nothing, or all of them unless owner is given.
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

// ForgetUploads ends the uploads that were last touched before t and have no row, except
// those that a request is writing to, and returns how many.
func (r *Registry) ForgetUploads(t time.Time) (n int) {
	for _, u := range r.begun.list(t) {
		if release, ok := r.HoldUpload(u.ID); ok {
			if r.begun.forget(u.ID, t) {
				n++
			}
			release()
		}
	}
	return n
}

// storeStep is how many uploads StoreUploads writes in one transaction.
const storeStep = 500

// StoreUploads gives a row to each upload that has none, so that its client can go on
// after a start. It is called when the server stops. Requests that are
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
				if !r.begun.stays(u.ID) || slices.ContainsFunc(blobs, func(b meta.Blob) bool { return b.Key == u.Key }) {
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
			if r.begun.stays(u.ID) {
				r.begun.remove(u.ID)
			}
		}
	}
	return nil
}
