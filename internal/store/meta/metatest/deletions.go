package metatest

import (
	"context"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// deletions: the name of a repository whose deletion has begun is free, and its
// contents go bit by bit.
func deletions(t *testing.T, s meta.Store) {
	old, stays := newRepository(t, s, "app"), newRepository(t, s, "stays")
	layer, other := newBlob(t, s, old, "layer"), newBlob(t, s, old, "other")
	newBlob(t, s, stays, "layer")
	foreign := newBlob(t, s, stays, "foreign")
	child := newImage(t, s, old, "child", "v1")
	index := manifestOf(old, "index")
	index.Blobs, index.Children = []ecr.Digest{layer}, []ecr.Digest{child.Image.Digest}
	insertImage(t, s, index, "v2")
	kept := newImage(t, s, stays, "kept")
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, uploadOf(old, 1)) })

	all := func() []meta.Deletion {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Deletion, error) { return r.Deletions(ctx, 10) })
	}
	pending := func(name ecr.RepositoryName) bool {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.IsBeingDeleted(ctx, registry, name) })
	}
	begin := func(id meta.RepositoryID) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			return tx.BeginDeletion(ctx, meta.Deletion{Repository: id, At: noon.Add(time.Microsecond), Actor: "arn", RequestID: "request"})
		}
	}
	remove := func(id meta.RepositoryID, ds ...ecr.Digest) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifests(ctx, id, ds) })
	}
	unlink := func(id meta.RepositoryID, limit int) (n int) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.DeleteLinks(ctx, id, limit)
			return err
		})
		return n
	}
	images := func(id meta.RepositoryID) int {
		t.Helper()
		return len(read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
			return r.ListManifests(ctx, id, "", 10)
		}))
	}

	if got := all(); len(got) != 0 || pending("app") {
		t.Errorf("before: %v", got)
	}
	refused(t, s, meta.ErrNotFound, begin(missing))
	update(t, s, begin(old))
	refused(t, s, meta.ErrNotFound, begin(old)) // it was deleted
	diff(t, []meta.Deletion{{Repository: old, Registry: registry, Name: "app", At: noon.Add(time.Microsecond), Actor: "arn", RequestID: "request"}}, all())
	if !pending("app") || pending("stays") {
		t.Error("the wrong name is being deleted")
	}

	// No list has it.
	notFound(t, s, "the repository", func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
		return r.Repository(ctx, registry, "app")
	})
	for name, list := range map[string]func(ctx context.Context, r meta.Reader) ([]meta.Repository, error){
		"repositories": func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListRepositories(ctx, registry, "", 10)
		},
		"all repositories": func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.AllRepositories(ctx, 0, 10)
		},
		"repositories of a blob": func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListBlobRepositories(ctx, registry, layer, "", 10)
		},
	} {
		if got := read(t, s, list); len(got) != 1 || got[0].ID != stays {
			t.Errorf("%s: %+v", name, got)
		}
	}

	// The next of its name is another, and nothing new comes into the old one.
	next := newRepository(t, s, "app")
	if images(next) != 0 || images(old) != 2 {
		t.Errorf("%d images in the new one, %d in the old", images(next), images(old))
	}
	for name, late := range map[string]func(context.Context, meta.Tx) error{
		"image":  func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, manifestOf(old, "late")) },
		"link":   func(ctx context.Context, tx meta.Tx) error { return tx.LinkBlob(ctx, old, foreign, noon) },
		"upload": func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, uploadOf(old, 2)) },
		"preview": func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().PutLifecyclePreview(ctx, meta.LifecyclePreview{Repository: old})
		},
	} {
		t.Run("late "+name, func(t *testing.T) { refused(t, s, meta.ErrReferenced, late) })
	}

	// Nothing is taken from a repository whose deletion has not begun.
	remove(stays, kept.Image.Digest)
	if n := unlink(stays, 10); n != 0 || images(stays) != 1 {
		t.Errorf("a repository lost %d links, and has %d images", n, images(stays))
	}
	// A child goes before its index, an image with its tags and references.
	remove(old)
	remove(old, child.Image.Digest, digest("of nothing"))
	notFound(t, s, "the child", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, old, child.Image.Digest)
	})
	notFound(t, s, "its tag", func(ctx context.Context, r meta.Reader) (meta.TagRow, error) { return r.Tag(ctx, old, "v1") })
	if images(old) != 1 {
		t.Errorf("%d images", images(old))
	}
	remove(old, index.Image.Digest)
	if used := read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.BlobIsUsed(ctx, old, layer) }); used {
		t.Error("the blob is in use")
	}

	// Links go in batches, and leave what no one else has to the collection.
	for i, want := range []int{1, 1, 0} {
		if n := unlink(old, 1); n != want {
			t.Errorf("batch %d: %d links", i, n)
		}
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, old) })
	if got := all(); len(got) != 0 || pending("app") {
		t.Errorf("afterwards: %v", got)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		gone, _, err := tx.Retention().DeleteUnusedBlobs(ctx, 10)
		if err == nil && (len(gone) != 1 || gone[0].Digest != other) {
			t.Errorf("unused are %v", gone)
		}
		return err
	})
	notFound(t, s, "the upload", func(ctx context.Context, r meta.Reader) (meta.Upload, error) {
		return r.Upload(ctx, old, uploadOf(old, 1).ID)
	})
	if got := getRepository(t, s, registry, "app"); got.ID != next {
		t.Errorf("app is %d", got.ID)
	}
}
