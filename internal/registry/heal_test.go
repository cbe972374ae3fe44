package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// meddled is a database whose transactions run through a function.
type meddled struct {
	meta.Store
	update func(run func() error) error // nil to run them
}

func (s *meddled) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	run := func() error { return s.Store.Update(ctx, fn) }
	if s.update == nil {
		return run()
	}
	return s.update(run)
}

// damagedBlob is a registry with one blob, whose file has been changed or, with missing,
// removed.
func damagedBlob(t *testing.T, content []byte, missing bool) (f *testkit.World, between *meddled, at ecr.Repo, d ecr.Digest, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "blobs")
	store, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	f = testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: store, OneProcess: true}) // only what links blobs is a transaction
	between = &meddled{Store: f.Meta}
	f.Set(func(s *testkit.Settings) { s.Between = between })
	at = f.Repo("app", ecr.Mutable)
	d = f.Blob(at, content)
	if missing {
		err = os.Remove(onlyFile(t, dir))
	} else {
		flip(t, onlyFile(t, dir))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f, between, at, d, dir
}

// healed fails unless every process serves the content, of which there is one file.
func healed(t *testing.T, content []byte, at ecr.Repo, d ecr.Digest, all ...*testkit.World) {
	t.Helper()
	for i, f := range all {
		if _, err := f.StatBlob(t.Context(), at, d); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
		if got := readBlob(t, f, at, d); !bytes.Equal(got, content) {
			t.Errorf("process %d serves %d other bytes", i, len(got))
		}
	}
	if blobs, files := stored(t, all[0]); len(blobs) != 1 || files != 1 {
		t.Errorf("%d blobs and %d files, want one of each", len(blobs), files)
	}
}

// A process that does not know of damage, which another one has found or which was found
// before a start, does not drop what is pushed.
func TestDamageFoundByAnother(t *testing.T) {
	large := bytes.Repeat([]byte("a large layer "), 1<<19) // is read while it is served
	for name, tt := range map[string]struct {
		content []byte
		missing bool
	}{
		"changed": {content: []byte("a layer")}, "missing": {content: []byte("a layer"), missing: true}, "large": {content: large},
	} {
		t.Run(name, func(t *testing.T) {
			f, _, at, d, _ := damagedBlob(t, tt.content, tt.missing)
			other := f.With(func(*testkit.Settings) {})
			info, err := other.CompleteUpload(t.Context(), at, other.Upload(at), 0, bytes.NewReader(tt.content), d)
			if err != nil || info.Known {
				t.Fatalf("%+v, %v", info, err)
			}
			healed(t, tt.content, at, d, other, f)
		})
	}
	t.Run("in the database", func(t *testing.T) {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Small: true})
		at := f.Repo("app", ecr.Mutable)
		d := ecr.DigestOf([]byte("the layer"))
		err := f.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewDatabaseKey(f.Now()), SizeBytes: 9, CreatedAt: f.Now(), Content: []byte("the lager")})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Blob(at, []byte("the layer"))
		if got := readBlob(t, f, at, d); string(got) != "the layer" {
			t.Errorf("%q", got)
		}
		info, err := f.CompleteUpload(t.Context(), at, f.Upload(at), 0, strings.NewReader("the layer"), d)
		if err != nil || !info.Known {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

// What is whole is kept, and read once, by a process that did not write it.
func TestWholeBlobIsKept(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	at := f.Repo("app", ecr.Mutable)
	content := []byte("a layer of some length")
	d := f.Blob(at, content)
	before, _ := stored(t, f)
	counted := &counting{Store: f.Blobs}
	f.Blobs = counted
	f.Restart()
	for range 3 {
		info, err := f.CompleteUpload(t.Context(), at, f.Upload(at), 0, bytes.NewReader(content), d)
		if err != nil || !info.Known {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	if n := counted.read.Load(); n != int64(len(content)) {
		t.Errorf("%d bytes were read, want %d", n, len(content))
	}
	if blobs, files := stored(t, f); len(blobs) != 1 || files != 1 || blobs[0].Key != before[0].Key {
		t.Errorf("%+v, and %d files", blobs, files)
	}
}

// A push that could not be committed is not acknowledged, and the blob stays missing for
// who would push it, until one is.
func TestHealingIsNotCommitted(t *testing.T) {
	content := []byte("a layer")
	f, between, at, d, _ := damagedBlob(t, content, false)
	if _, err := f.StatBlob(t.Context(), at, d); err != nil { // not known yet
		t.Fatal(err)
	}
	if _, _, err := f.OpenBlob(t.Context(), at, d); ecr.CodeOf(err) != ecr.CodeServer {
		t.Fatal(err)
	}
	id := f.Upload(at)
	between.update = func(func() error) error { return fmt.Errorf("the disk is full: %w", meta.ErrUnavailable) }
	_, err := f.CompleteUpload(t.Context(), at, id, 0, bytes.NewReader(content), d)
	between.update = nil
	testkit.WantCode(t, err, ecr.CodeUnavailable)
	if _, err := f.StatBlob(t.Context(), at, d); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
		t.Errorf("%v", err)
	}
	f.Blob(at, content)
	if got := readBlob(t, f, at, d); !bytes.Equal(got, content) {
		t.Errorf("%q", got)
	}
}

// Where it is not known whether a push was committed, no file is removed: whichever the
// database names is there.
func TestHealingWithUnknownOutcome(t *testing.T) {
	content := []byte("a layer")
	f, between, at, d, dir := damagedBlob(t, content, false)
	if _, _, err := f.OpenBlob(t.Context(), at, d); ecr.CodeOf(err) != ecr.CodeServer {
		t.Fatal(err)
	}
	id := f.Upload(at)
	between.update = func(run func() error) error {
		if err := run(); err != nil {
			return err
		}
		return fmt.Errorf("the connection was lost: %w", meta.ErrUnavailable)
	}
	_, err := f.CompleteUpload(t.Context(), at, id, 0, bytes.NewReader(content), d)
	between.update = nil
	testkit.WantCode(t, err, ecr.CodeUnavailable)
	if files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*")); err != nil || len(files) != 2 {
		t.Errorf("%q, %v", files, err)
	}
	if got := readBlob(t, f.Restart(), at, d); !bytes.Equal(got, content) {
		t.Errorf("%q", got)
	}
}

// Two replicas are pushed the same damaged blob at once: one copy stays, and both serve it.
func TestHealedByTwo(t *testing.T) {
	content := []byte("a layer")
	f, _, at, d, _ := damagedBlob(t, content, false)
	other := f.With(func(*testkit.Settings) {})
	looked := 0
	f.Blobs = opened{f.Blobs, func() {
		if looked++; looked == 1 {
			other.Blob(at, content)
		}
	}}
	f.Restart()
	if _, err := f.CompleteUpload(t.Context(), at, f.Upload(at), 0, bytes.NewReader(content), d); err != nil {
		t.Fatal(err)
	}
	if looked != 2 {
		t.Errorf("it looked %d times, want another look at what the other replica has put there", looked)
	}
	healed(t, content, at, d, other, f)
}

// opened is a blob store that does something after it has opened a blob.
type opened struct {
	blob.Store
	after func()
}

func (s opened) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	f, err := s.Store.Open(ctx, key)
	s.after()
	return f, err
}

// What is known to be damaged is not mounted: the client pushes it, and it is whole.
func TestDamagedBlobIsNotMounted(t *testing.T) {
	content := []byte("a layer")
	f, _, at, d, _ := damagedBlob(t, content, false)
	to := f.Repo("other", ecr.Mutable)
	if from, found, err := f.FindBlob(t.Context(), to, d); err != nil || !found || from != at {
		t.Fatal(from, found, err)
	}
	if _, _, err := f.OpenBlob(t.Context(), at, d); ecr.CodeOf(err) != ecr.CodeServer {
		t.Fatal(err)
	}
	if _, found, err := f.FindBlob(t.Context(), to, d); err != nil || found {
		t.Errorf("found %v, %v", found, err)
	}
	if _, mounted, err := f.MountBlob(t.Context(), to, at, d); err != nil || mounted {
		t.Errorf("mounted %v, %v", mounted, err)
	}
	f.Blob(to, content)
	if _, mounted, err := f.MountBlob(t.Context(), at, to, d); err != nil || !mounted {
		t.Errorf("mounted %v, %v", mounted, err)
	}
	healed(t, content, at, d, f)
}
