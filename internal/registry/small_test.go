package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// stored returns all blobs, and how many files there are in the blob store.
func stored(t *testing.T, f *testkit.World) (blobs []meta.Blob, files int) {
	t.Helper()
	err := f.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
		blobs, err = r.ListBlobs(ctx, "", 100)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for info, err := range f.Blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !info.Key.InDatabase() {
			files++
		}
	}
	return blobs, files
}

func readBlob(t *testing.T, f *testkit.World, at ecr.Repo, d ecr.Digest) []byte {
	t.Helper()
	_, file, err := f.OpenBlob(t.Context(), at, d)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return content
}

// What is small lies in the database, and what is larger in the store, in however many
// parts it comes. Both are read after a start, and collected with everything they have.
func TestSmallBlobs(t *testing.T) {
	ctx := t.Context()
	for _, one := range []bool{true, false} {
		settings := testkit.Keeping(0, 0, 0)
		settings.Small, settings.OneProcess = true, one
		f := testkit.Open(t, settings)
		to := f.Repo("app", ecr.Mutable)
		for _, size := range []int{0, small.DefaultMaxBytes, small.DefaultMaxBytes + 1} {
			for parts := range 3 {
				content := bytes.Repeat([]byte{'x'}, size)
				digest := ecr.DigestOf(content)
				id := f.Upload(to)
				sent := 0
				for part := range parts {
					next := size * (part + 1) / parts
					if n, err := f.AppendUpload(ctx, to, id, int64(sent), bytes.NewReader(content[sent:next])); err != nil || n != int64(next) {
						t.Fatalf("%d bytes, part %d: %d, %v", size, part, n, err)
					}
					sent = next
				}
				if n, err := f.UploadOffset(ctx, to, id); err != nil || n != int64(sent) {
					t.Errorf("offset %d, want %d: %v", n, sent, err)
				}
				if n, begun := rows(t, f), f.Registry.UploadsBegun(""); one && size <= small.DefaultMaxBytes && (n != 0 || begun != 1) {
					t.Errorf("%d bytes received: %d rows, %d begun", sent, n, begun)
				}
				if _, err := f.CompleteUpload(ctx, to, id, int64(sent), bytes.NewReader(content[sent:]), digest); err != nil {
					t.Fatalf("%d bytes in %d parts: %v", size, parts, err)
				}
				if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 0 || begun != 0 {
					t.Errorf("completed: %d rows, %d begun", n, begun)
				}
				f.Restart()
				if got := readBlob(t, f, to, digest); !bytes.Equal(got, content) {
					t.Errorf("read %d bytes of %d", len(got), size)
				}
				blobs, files := stored(t, f)
				want := 0
				if size > small.DefaultMaxBytes {
					want = 1
				}
				if len(blobs) != 1 || blobs[0].Key.InDatabase() != (want == 0) || files != want {
					t.Errorf("%d bytes in %d parts: %+v, and %d files", size, parts, blobs, files)
				}
				f.Advance(testkit.Day)
				if _, err := f.Jobs.Collect(ctx); err != nil {
					t.Fatal(err)
				}
				if left, files := stored(t, f); len(left) != 0 || files != 0 {
					t.Errorf("collected: %+v, and %d files", left, files)
				}
				if _, err := f.Blobs.Open(ctx, blobs[0].Key); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("opening it after it was collected: %v", err)
				}
			}
		}
	}
}

// A small upload that was continued goes on after an orderly stop, and begins again when
// the process was killed.
func TestSmallUploadsAndStops(t *testing.T) {
	const content = "the layer"
	ctx := t.Context()
	for _, orderly := range []bool{true, false} {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true, Small: true})
		to := f.Repo("app", ecr.Mutable)
		id := f.Upload(to)
		if _, err := f.AppendUpload(ctx, to, id, 0, strings.NewReader(content[:4])); err != nil {
			t.Fatal(err)
		}
		if orderly {
			if err := f.Registry.StoreUploads(ctx); err != nil {
				t.Fatal(err)
			}
			// Requests go on for a moment; theirs is not lost in silence.
			if _, err := f.AppendUpload(ctx, to, id, 4, strings.NewReader(content[4:5])); err != nil {
				t.Fatal(err)
			}
		}
		f.Restart()
		n, err := f.UploadOffset(ctx, to, id)
		if !orderly {
			if ecr.CodeOf(err) != ecr.CodeUploadNotFound {
				t.Errorf("killed: %d, %v", n, err)
			}
			continue
		}
		if n != 5 || err != nil {
			t.Fatalf("stopped: offset %d, %v", n, err)
		}
		if _, err := f.CompleteUpload(ctx, to, id, 5, strings.NewReader(content[5:]), ecr.DigestOf([]byte(content))); err != nil {
			t.Error(err)
		}
	}
}

// Uploads in memory take no more of it than they may: what comes then gets rows.
func TestSmallUploadsAreBounded(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true, Small: true})
	to := f.Repo("app", ecr.Mutable)
	f.Registry.HoldAtMost(2 * small.DefaultMaxBytes)
	content := bytes.Repeat([]byte{'x'}, small.DefaultMaxBytes)
	var ids []meta.UploadID
	for range 3 {
		ids = append(ids, f.Upload(to))
		if _, err := f.AppendUpload(t.Context(), to, ids[len(ids)-1], 0, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 1 || begun != 2 {
		t.Errorf("%d rows, %d begun", n, begun)
	}
	// One that ends makes room.
	if err := f.CancelUpload(t.Context(), to, ids[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := f.AppendUpload(t.Context(), to, f.Upload(to), 0, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 1 || begun != 2 {
		t.Errorf("after one has ended: %d rows, %d begun", n, begun)
	}
}

// Content of the database that is not what its digest says is not served, nor is its
// blob said to be there once that is known.
func TestChangedSmallBlobIsNotServed(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Small: true})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	d := ecr.DigestOf([]byte("the layer"))
	err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		if err == nil {
			_, err = tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewDatabaseKey(f.Now()), SizeBytes: 9, CreatedAt: f.Now(), Content: []byte("the lager")})
		}
		if err == nil {
			err = tx.LinkBlob(ctx, repo.ID, d, f.Now())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.OpenBlob(ctx, to, d); ecr.CodeOf(err) != ecr.CodeServer || !strings.Contains(err.Error(), "is damaged in the database") {
		t.Errorf("%v", err)
	}
	// Who would push it is told that it is missing, and what comes takes its place.
	if _, err := f.StatBlob(ctx, to, d); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
		t.Errorf("%v", err)
	}
	if got := f.Blob(to, []byte("the layer")); got != d {
		t.Fatalf("pushed %s", got)
	}
	_, file, err := f.OpenBlob(ctx, to, d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil || string(got) != "the layer" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := f.StatBlob(ctx, to, d); err != nil {
		t.Error(err)
	}
	if blobs, files := stored(t, f); len(blobs) != 1 || files != 0 {
		t.Errorf("%+v, and %d files", blobs, files)
	}
}

// A small upload whose content is another is gone with what it received.
func TestSmallUploadOfAnotherDigest(t *testing.T) {
	for _, one := range []bool{true, false} {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: one, Small: true})
		to := f.Repo("app", ecr.Mutable)
		id := f.Upload(to)
		_, err := f.CompleteUpload(t.Context(), to, id, 0, strings.NewReader("the layer"), ecr.DigestOf([]byte("another")))
		if ecr.CodeOf(err) != ecr.CodeInvalidLayer {
			t.Errorf("%v", err)
		}
		if _, err := f.UploadOffset(t.Context(), to, id); ecr.CodeOf(err) != ecr.CodeUploadNotFound {
			t.Errorf("%v", err)
		}
		if blobs, files := stored(t, f); len(blobs)+files != 0 {
			t.Errorf("%+v, and %d files", blobs, files)
		}
	}
}
