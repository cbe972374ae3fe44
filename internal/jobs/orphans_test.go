package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestSweepOrphans(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	layer := []byte("a layer")
	id := f.Upload(to, layer)
	if _, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, ecr.DigestOf(layer)); err != nil {
		t.Fatal(err)
	}
	going := f.Upload(to, []byte("half of "))
	f.Leave("committed, then killed", true)
	f.Leave("suspended, then killed", false)

	if got, err := f.Jobs.SweepOrphans(ctx, time.Now().Add(-time.Hour)); err != nil || got.Count != 0 {
		t.Errorf("sweeping what is an hour old = %+v, %v, want nothing", got, err)
	}
	later := time.Now().Add(time.Hour)
	got, err := f.Jobs.SweepOrphans(ctx, later)
	if want := (jobs.Removed{Count: 2, SizeBytes: int64(2 * len("committed, then killed"))}); err != nil || got != want {
		t.Errorf("SweepOrphans = %+v, %v, want %+v", got, err, want)
	}
	if got, err := f.Jobs.SweepOrphans(ctx, later); err != nil || got.Count != 0 {
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
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	key := f.Leave("content", true)
	err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		if err != nil {
			return err
		}
		return tx.InsertUpload(ctx, meta.Upload{ID: "u1", Repository: repo.ID, Key: key, CreatedAt: f.Now(), UpdatedAt: f.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Jobs.SweepOrphans(ctx, time.Now().Add(time.Hour)); err != nil || got.Count != 0 {
		t.Errorf("SweepOrphans = %+v, %v, want nothing", got, err)
	}
	// Had the process been killed there, the upload expires, and the file goes
	// with the next sweep.
	if got, err := f.Jobs.ExpireUploads(ctx, f.Now().Add(time.Hour)); err != nil || got.Count != 1 {
		t.Errorf("ExpireUploads = %+v, %v, want 1", got, err)
	}
	if got, err := f.Jobs.SweepOrphans(ctx, time.Now().Add(time.Hour)); err != nil || got.Count != 1 {
		t.Errorf("SweepOrphans = %+v, %v, want 1", got, err)
	}
}
