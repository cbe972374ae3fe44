package jobs_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestExpireUploads(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	old := f.Upload(to, []byte("left alone"))
	empty := f.Upload(to)
	f.Advance(testkit.Day)
	fresh := f.Upload(to, []byte("just begun"))
	f.Advance(time.Hour)

	got, err := f.Jobs.ExpireUploads(ctx, f.Now().Add(-testkit.Day))
	if want := (jobs.Removed{Count: 2, SizeBytes: int64(len("left alone"))}); err != nil || got != want {
		t.Errorf("ExpireUploads = %+v, %v, want %+v", got, err, want)
	}
	for _, id := range []meta.UploadID{old, empty} {
		_, err := f.AppendUpload(ctx, to, id, registry.AnyOffset, strings.NewReader("more"))
		testkit.WantCode(t, err, ecr.CodeUploadNotFound, string(id))
	}
	if n, err := f.UploadOffset(ctx, to, fresh); err != nil || n != int64(len("just begun")) {
		t.Errorf("the fresh upload: %d, %v", n, err)
	}
	if blobs, uploads := f.Stored(); blobs != 0 || uploads != 1 {
		t.Errorf("%d blobs, %d uploads in the store, want 0 and 1", blobs, uploads)
	}
}

// More than one batch goes in one call, whatever stays in front of it.
func TestExpireManyUploads(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := f.Repo("app", ecr.Mutable)
	err := f.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		for i := 0; err == nil && i < 1200; i++ {
			u := meta.Upload{ID: meta.UploadID("u" + string(blob.NewKey())), Repository: repo.ID, Key: blob.NewKey(), CreatedAt: f.Now(), UpdatedAt: f.Now()}
			err = tx.InsertUpload(ctx, u)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Jobs.ExpireUploads(t.Context(), f.Now().Add(time.Hour))
	if err != nil || got.Count != 1200 {
		t.Errorf("ExpireUploads = %+v, %v, want 1200", got, err)
	}
}

// An upload that is being written to stays, however long ago its row changed.
func TestExpiryWaitsForWriters(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	id := f.Upload(to, []byte("first "))
	f.Advance(48 * time.Hour)
	body, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, body, ecr.DigestOf([]byte("first second")))
		ended <- err
	}()
	if _, err := feed.Write([]byte("second")); err != nil { // the writer is at it now
		t.Fatal(err)
	}
	if got, err := f.Jobs.ExpireUploads(ctx, f.Now()); err != nil || got.Count != 0 {
		t.Errorf("ExpireUploads = %+v, %v, want nothing", got, err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the upload that was being written: %v", err)
	}
}
