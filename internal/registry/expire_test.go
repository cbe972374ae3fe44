package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func TestExpireUploads(t *testing.T) {
	f := open(t, registry.CompatOCI)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	day := 24 * time.Hour
	old := f.upload(to, []byte("left alone"))
	empty := f.upload(to)
	f.now = f.now.Add(day)
	fresh := f.upload(to, []byte("just begun"))
	f.now = f.now.Add(time.Hour)

	got, err := f.reg.ExpireUploads(ctx, f.now.Add(-day))
	if want := (registry.Expired{Count: 2, SizeBytes: int64(len("left alone"))}); err != nil || got != want {
		t.Errorf("ExpireUploads = %+v, %v, want %+v", got, err, want)
	}
	for _, id := range []meta.UploadID{old, empty} {
		_, err := f.AppendUpload(ctx, to, id, registry.AnyOffset, strings.NewReader("more"))
		wantCode(t, err, ecr.CodeUploadNotFound, string(id))
	}
	if n, err := f.UploadOffset(ctx, to, fresh); err != nil || n != int64(len("just begun")) {
		t.Errorf("the fresh upload: %d, %v", n, err)
	}
	if blobs, uploads := f.stored(); blobs != 0 || uploads != 1 {
		t.Errorf("%d blobs, %d uploads in the store, want 0 and 1", blobs, uploads)
	}
}

// More than one batch goes in one call, whatever stays in front of it.
func TestExpireManyUploads(t *testing.T) {
	f := open(t, registry.CompatOCI)
	to := f.repo("app", ecr.Mutable)
	err := f.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		for i := 0; err == nil && i < 1200; i++ {
			u := meta.Upload{ID: meta.UploadID("u" + string(blob.NewKey())), Repository: repo.ID, Key: blob.NewKey(), CreatedAt: f.now, UpdatedAt: f.now}
			err = tx.InsertUpload(ctx, u)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.reg.ExpireUploads(t.Context(), f.now.Add(time.Hour))
	if err != nil || got.Count != 1200 {
		t.Errorf("ExpireUploads = %+v, %v, want 1200", got, err)
	}
}

// An upload that is being written to stays, however long ago its row changed.
func TestExpiryWaitsForWriters(t *testing.T) {
	f := open(t, registry.CompatOCI)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	id := f.upload(to, []byte("first "))
	f.now = f.now.Add(48 * time.Hour)
	body, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, body, ecr.DigestOf([]byte("first second")))
		ended <- err
	}()
	if _, err := feed.Write([]byte("second")); err != nil { // the writer is at it now
		t.Fatal(err)
	}
	if got, err := f.reg.ExpireUploads(ctx, f.now); err != nil || got.Count != 0 {
		t.Errorf("ExpireUploads = %+v, %v, want nothing", got, err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the upload that was being written: %v", err)
	}
}

// leave writes content straight into the store, as a crash leaves it: with no
// row.
func (f *fixture) leave(content string, commit bool) blob.Key {
	f.t.Helper()
	key := blob.NewKey()
	w, err := f.blobs.Append(f.t.Context(), key, blob.Progress{})
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil && commit {
		_, err = w.Commit(f.t.Context(), ecr.DigestOf([]byte(content)))
	} else if err == nil {
		_, err = w.Suspend(f.t.Context())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

func TestSweepOrphans(t *testing.T) {
	f := open(t, registry.CompatOCI)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	layer := []byte("a layer")
	id := f.upload(to, layer)
	if _, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, ecr.DigestOf(layer)); err != nil {
		t.Fatal(err)
	}
	going := f.upload(to, []byte("half of "))
	f.leave("committed, then killed", true)
	f.leave("suspended, then killed", false)

	if got, err := f.reg.SweepOrphans(ctx, time.Now().Add(-time.Hour)); err != nil || got.Count != 0 {
		t.Errorf("sweeping what is an hour old = %+v, %v, want nothing", got, err)
	}
	later := time.Now().Add(time.Hour)
	got, err := f.reg.SweepOrphans(ctx, later)
	if want := (registry.Expired{Count: 2, SizeBytes: int64(2 * len("committed, then killed"))}); err != nil || got != want {
		t.Errorf("SweepOrphans = %+v, %v, want %+v", got, err, want)
	}
	if got, err := f.reg.SweepOrphans(ctx, later); err != nil || got.Count != 0 {
		t.Errorf("again = %+v, %v, want nothing", got, err)
	}
	_, file, err := f.OpenBlob(ctx, to, ecr.DigestOf(layer))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil || !bytes.Equal(content, layer) {
		t.Errorf("the blob is %q, %v", content, err)
	}
	if _, err := f.CompleteUpload(ctx, to, going, registry.AnyOffset, strings.NewReader("it"), ecr.DigestOf([]byte("half of it"))); err != nil {
		t.Errorf("the upload that was under way: %v", err)
	}
}

// Between the commit of a file and that of its row only the upload's row knows
// of it. The file is as old as its last byte, which may be long ago.
func TestSweepSparesCommitsUnderWay(t *testing.T) {
	f := open(t, registry.CompatOCI)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	key := f.leave("content", true)
	err := f.meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		if err != nil {
			return err
		}
		return tx.InsertUpload(ctx, meta.Upload{ID: "u1", Repository: repo.ID, Key: key, CreatedAt: f.now, UpdatedAt: f.now})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.reg.SweepOrphans(ctx, time.Now().Add(time.Hour)); err != nil || got.Count != 0 {
		t.Errorf("SweepOrphans = %+v, %v, want nothing", got, err)
	}
	// Had the process been killed there, the upload expires, and the file goes
	// with the next sweep.
	if got, err := f.reg.ExpireUploads(ctx, f.now.Add(time.Hour)); err != nil || got.Count != 1 {
		t.Errorf("ExpireUploads = %+v, %v, want 1", got, err)
	}
	if got, err := f.reg.SweepOrphans(ctx, time.Now().Add(time.Hour)); err != nil || got.Count != 1 {
		t.Errorf("SweepOrphans = %+v, %v, want 1", got, err)
	}
}
