package s3

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob/limited"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
	"github.com/kontor-registry/kontor/internal/testkit/histories"
)

// A registry on a bucket: pushes in chunks, pulls with one request, collection and
// the sweep, and answers that say "later" when the store is busy.
func TestRegistry(t *testing.T) {
	bucket := newBucket(t)
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(bucket)
	cfg.Endpoint, cfg.Attempts = proxy.URL, 2
	settings := testkit.Keeping(0, 0, 0)
	settings.Blobs = limited.New(limited.Config{Blobs: open(t, cfg), MaxBytes: 1 << 30})
	w := testkit.Open(t, settings)
	to := w.Repo("app", ecr.Mutable)
	layer := content(1, 9*mib)

	id, err := w.StartUpload(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range [][]byte{layer[:3*mib], layer[3*mib : 8*mib]} {
		if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.CompleteUpload(t.Context(), to, id, 8*mib, bytes.NewReader(layer[8*mib:]), ecr.DigestOf(layer)); err != nil {
		t.Fatal(err)
	}
	before := proxy.Forwarded.Load()
	_, file, err := w.OpenBlob(t.Context(), to, ecr.DigestOf(layer))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.ReadAll(file); !bytes.Equal(got, layer) {
		t.Errorf("pulled %d bytes", len(got))
	}
	if n := proxy.Forwarded.Load() - before; n != 1 {
		t.Errorf("%d requests to pull a blob, want 1", n)
	}

	// A busy store: what it cannot do now is answered so, and can be done later.
	if id, err = w.StartUpload(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[1:])); err != nil {
		t.Fatal(err)
	}
	proxy.Pick(func(*http.Request) faults.Fault { return faults.SlowDown })
	_, _, err = w.OpenBlob(t.Context(), to, ecr.DigestOf(layer))
	testkit.WantCode(t, err, ecr.CodeUnavailable, "store is busy")
	_, err = w.CompleteUpload(t.Context(), to, id, -1, nil, ecr.DigestOf(layer[1:]))
	testkit.WantCode(t, err, ecr.CodeUnavailable, "store is busy")
	other, err := w.StartUpload(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.AppendUpload(t.Context(), to, other, 0, bytes.NewReader(layer[2:]))
	testkit.WantCode(t, err, ecr.CodeUnavailable, "store is busy")
	_, err = w.CompleteUpload(t.Context(), to, other, 0, bytes.NewReader(layer[2:]), ecr.DigestOf(layer[2:]))
	testkit.WantCode(t, err, ecr.CodeUnavailable, "store is busy")
	proxy.Pick(nil)
	if _, err = w.CompleteUpload(t.Context(), to, other, 0, bytes.NewReader(layer[2:]), ecr.DigestOf(layer[2:])); err != nil {
		t.Errorf("sending it later: %v", err)
	}
	if _, err = w.CompleteUpload(t.Context(), to, id, -1, nil, ecr.DigestOf(layer[1:])); err != nil {
		t.Errorf("completing it later: %v", err)
	}

	// An upload that is cancelled, one that the process forgets, and blobs that no
	// image needs: nothing is left.
	if id, err = w.StartUpload(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer)); err != nil {
		t.Fatal(err)
	}
	if err := w.CancelUpload(t.Context(), to, id); err != nil {
		t.Fatal(err)
	}
	w.Advance(48 * time.Hour)
	w.Collect()
	if _, err := w.Jobs.SweepOrphans(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantObjects(t, bucket)
}

// The bucket's rule removes the parts of an upload: the client learns that it was
// lost, whatever it does next, and it is gone.
func TestPartsRemoved(t *testing.T) {
	layer := content(1, 18*mib)
	for name, next := range map[string]func(w *testkit.World, to ecr.Repo, id meta.UploadID) error{
		"append": func(w *testkit.World, to ecr.Repo, id meta.UploadID) error {
			_, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[9*mib:]))
			return err
		},
		"append until a part is whole": func(w *testkit.World, to ecr.Repo, id meta.UploadID) error {
			_, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[9*mib:16*mib]))
			return err
		},
		"complete": func(w *testkit.World, to ecr.Repo, id meta.UploadID) error {
			_, err := w.CompleteUpload(t.Context(), to, id, -1, nil, ecr.DigestOf(layer[:9*mib]))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := newBucket(t)
			settings := testkit.Keeping(0, 0, 0)
			settings.Blobs = open(t, config(bucket))
			w := testkit.Open(t, settings)
			to := w.Repo("app", ecr.Mutable)
			id, err := w.StartUpload(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[:9*mib])); err != nil {
				t.Fatal(err)
			}
			abortUploads(t, bucket)
			testkit.WantCode(t, next(w, to, id), ecr.CodeUploadNotFound, "was lost; start another")
			_, err = w.UploadOffset(t.Context(), to, id)
			testkit.WantCode(t, err, ecr.CodeUploadNotFound, "does not exist")
		})
	}
}

// A store that refuses a part may break the connection before it has read the body,
// and its answer is lost. Whether the upload is still there is then asked.
func TestPartsBrokenOff(t *testing.T) {
	for name, removed := range map[string]bool{"upload removed": true, "upload there": false} {
		t.Run(name, func(t *testing.T) {
			proxy := faults.Start(t, gateway.Addr)
			bucket := newBucket(t)
			cfg := config(bucket)
			cfg.Endpoint = proxy.URL
			settings := testkit.Keeping(0, 0, 0)
			settings.Blobs = open(t, cfg)
			w := testkit.Open(t, settings)
			to, layer := w.Repo("app", ecr.Mutable), content(1, 18*mib)
			id, err := w.StartUpload(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[:9*mib])); err != nil {
				t.Fatal(err)
			}
			if removed {
				abortUploads(t, bucket)
			}
			proxy.Pick(func(r *http.Request) faults.Fault {
				if r.URL.Query().Has("partNumber") && r.ContentLength != 0 {
					return faults.RequestLost
				}
				return faults.None
			})
			_, err = w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[9*mib:]))
			if removed {
				testkit.WantCode(t, err, ecr.CodeUploadNotFound, "was lost; start another")
				return
			}
			testkit.WantCode(t, err, ecr.CodeUnavailable, "Try again later")
			proxy.Pick(nil)
			at, err := w.UploadOffset(t.Context(), to, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.AppendUpload(t.Context(), to, id, -1, bytes.NewReader(layer[at:])); err != nil {
				t.Fatal(err)
			}
			if _, err := w.CompleteUpload(t.Context(), to, id, -1, nil, ecr.DigestOf(layer)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// abortUploads removes the one multipart upload of a bucket, as a rule of the bucket
// does.
func abortUploads(t *testing.T, bucket string) {
	t.Helper()
	out, err := client().ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(out.Uploads) != 1 {
		t.Fatalf("%d multipart uploads, %v", len(out.Uploads), err)
	}
	u := out.Uploads[0]
	if _, err := client().AbortMultipartUpload(t.Context(), &awss3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
		t.Fatal(err)
	}
}

// Of a store without checksums, a client that goes away does not stop the reading of a
// blob that is read before it is served: the next one need not wait for it.
func TestReadingOutlivesItsClient(t *testing.T) {
	proxy := faults.Start(t, gateway.Addr)
	proxy.Change(dropChecksums)
	cfg := config(newBucket(t))
	cfg.Endpoint = proxy.URL
	settings := testkit.Keeping(0, 0, 0)
	settings.Blobs = open(t, cfg)
	w := testkit.Open(t, settings)
	to, layer := w.Repo("app", ecr.Mutable), content(1, 3*mib)
	d := w.Blob(to, layer)
	w.Restart() // a new process

	ctx, cancel := context.WithCancel(t.Context())
	proxy.Pick(func(r *http.Request) faults.Fault {
		if isGetBlob(r) && r.Header.Get("Range") != "" {
			cancel()
		}
		return faults.None
	})
	if _, file, err := w.OpenBlob(ctx, to, d); err == nil {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	if ctx.Err() == nil {
		t.Fatal("the blob was not read")
	}
	proxy.Pick(nil)
	before := proxy.Forwarded.Load()
	_, file, err := w.OpenBlob(t.Context(), to, d)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.ReadAll(file); !bytes.Equal(got, layer) {
		t.Errorf("pulled %d bytes", len(got))
	}
	if n := proxy.Forwarded.Load() - before; n != 1 {
		t.Errorf("%d requests to pull a blob that was read before, want 1", n)
	}
}

// dropChecksums makes a store one that keeps no checksums.
func dropChecksums(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			delete(h, name)
		}
	}
}

// TestHistories draws what clients do on PostgreSQL and a bucket, and compares with a
// model, as the test of that name in internal/jobs does on other stores.
func TestHistories(t *testing.T) {
	settings := testkit.Settings{Compat: registry.CompatOCI, Blobs: open(t, config(newBucket(t)))}
	w := testkit.OpenOn(t, settings, testkit.Databases["postgres"](t))
	histories.Check(t, w, func(ctx context.Context, w *testkit.World) error {
		_, err := w.Jobs.Collect(ctx)
		return err
	})
}
