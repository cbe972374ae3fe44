package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A push that was told that a blob is there finds it, though it was deleted
// meanwhile; and after a day without a word it is gone.
func TestPushInFlightKeepsItsBlobs(t *testing.T) {
	f := testkit.Open(t, testkit.Keeping(0, 0, testkit.Day))
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	body := f.Image(to, "x")
	d := f.MustPut(to, body, "v1")
	if _, err := f.StatBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("x"))); err != nil {
		t.Fatal(err)
	}
	f.DeleteImages(to, d)
	f.Advance(23 * testkit.Hour)
	f.Collect()
	f.MustPut(to, body, "v1")
	f.WantWhole(to, body)

	waiting := f.Image(to, "waiting")
	for range 5 { // it asks again and again
		f.Advance(20 * testkit.Hour)
		f.Collect()
		for _, check := range []func() error{
			func() error { _, err := f.StatBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("waiting"))); return err },
			func() error {
				found, _, err := f.BatchCheckLayers(ctx, to, []string{string(ecr.DigestOf([]byte(`{"of":"waiting"}`)))})
				if err == nil && len(found) == 0 {
					err = errors.New("the config is gone")
				}
				return err
			},
		} {
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.MustPut(to, waiting)
	f.WantWhole(to, waiting)

	forgotten := f.Image(to, "forgotten")
	f.Advance(testkit.Day + time.Second)
	if got := f.Collect(); got.Blobs != 2 {
		t.Errorf("collected %+v", got)
	}
	testkit.WantCode(t, f.Put(to, forgotten), ecr.CodeLayersNotFound)
	f.WantWhole(to, body)
}

// gone loses files as a collection does that comes between row and file.
type gone struct {
	blob.Store
	before func(blob.Key)
}

func (g gone) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	g.before(key)
	return g.Store.Open(ctx, key)
}

// A reader that collection overtakes is told that the blob is not there, or
// gets the same content that came again.
func TestReadersRaceCollection(t *testing.T) {
	f := testkit.Open(t, testkit.Keeping(0, 0, 0))
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	overtaken := func(then func()) *testkit.World {
		once := false
		other := *f
		other.Blobs = gone{f.Blobs, func(blob.Key) {
			if !once {
				once = true
				f.Advance(time.Second)
				f.Collect()
				then()
			}
		}}
		return other.Restart()
	}
	layer := f.Blob(to, []byte("layer"))
	_, _, err := overtaken(func() {}).OpenBlob(ctx, to, layer)
	testkit.WantCode(t, err, ecr.CodeLayersNotFound, string(layer))
	f.Blob(to, []byte("layer"))
	_, file, err := overtaken(func() { f.Blob(to, []byte("layer")) }).OpenBlob(ctx, to, layer)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.ReadAll(file)); got != "layer" {
		t.Errorf("read %q", got)
	}
	// A file that is lost though its row is there is no answer, but an error.
	lost := overtaken(func() {})
	f.MustPut(to, f.Image(to, "x"))
	for info, err := range f.Blobs.List(ctx) {
		if err == nil {
			err = f.Blobs.Delete(ctx, info.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = lost.OpenBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("x")))
	if code := ecr.CodeOf(err); code != ecr.CodeServer {
		t.Errorf("a lost file: %v", err)
	}
}

// A collection that is cut off between row and file leaves an orphan, which the
// sweep finds.
func TestCollectionCutOff(t *testing.T) {
	f := testkit.Open(t, testkit.Keeping(0, 0, 0))
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	f.Blob(to, []byte("layer"))
	f.Advance(time.Second)
	fails := errors.New("killed")
	other := *f
	other.Blobs = undeletable{f.Blobs, fails}
	_, err := other.Restart().Jobs.Collect(ctx)
	if !errors.Is(err, fails) || !strings.Contains(err.Error(), "removing unused blobs") {
		t.Errorf("Collect: %v", err)
	}
	if blobs, _ := f.Stored(); blobs != 1 {
		t.Errorf("%d files, want 1", blobs)
	}
	if got := f.Collect(); got != (jobs.Collected{}) {
		t.Errorf("collected %+v", got)
	}
	if swept, err := f.Jobs.SweepOrphans(ctx, time.Now().Add(testkit.Hour)); err != nil || swept.Count != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
}

type undeletable struct {
	blob.Store
	err error
}

func (u undeletable) Delete(context.Context, blob.Key) error { return u.err }
