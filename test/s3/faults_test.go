package s3

import (
	"bytes"
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
)

// storm lets a fault happen to a quarter of all requests, but never to the same
// request more than twice in a row: a store that tries often enough gets through.
type storm struct {
	mu   sync.Mutex
	rand *rand.Rand           // guarded by mu
	rows map[string]int       // guarded by mu
	seen map[faults.Fault]int // guarded by mu
}

func newStorm(seed uint64) *storm {
	return &storm{rand: rand.New(rand.NewPCG(seed, 0)), rows: map[string]int{}, seen: map[faults.Fault]int{}}
}

func (s *storm) pick(r *http.Request) faults.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + r.URL.String() + r.Header.Get("Range")
	fault := faults.Fault(s.rand.IntN(16)) // None beyond BodyCut
	if fault > faults.BodyCut || s.rows[request] == 2 ||
		// When the first answer is lost, the id of the multipart upload is unknown:
		// the bucket's own rule removes the upload.
		(fault == faults.AnswerLost || fault == faults.BodyCut) && r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
		fault = faults.None
	}
	s.rows[request]++
	if fault == faults.None {
		s.rows[request] = 0
	}
	s.seen[fault]++
	return fault
}

// stormy is a store behind a proxy that does wrong.
func stormy(t testing.TB, bucket string, s *storm) s3.Config {
	t.Helper()
	proxy := faults.Start(t, gateway.Addr)
	proxy.Pick(s.pick)
	cfg := config(bucket)
	cfg.Endpoint, cfg.Attempts, cfg.AnswerTimeout, cfg.MaxBackoff = proxy.URL, 10, 5*time.Minute, 5*time.Millisecond
	cfg.MemoryWait = 5 * time.Minute
	return cfg
}

// Whatever happens to requests on the way: what was acknowledged is there, nothing
// has wrong bytes, and nothing is left once uploads and blobs are removed.
func TestFaults(t *testing.T) {
	bucket := newBucket(t)
	s := newStorm(1)
	cfg := stormy(t, bucket, s)
	var (
		g         errgroup.Group
		mu        sync.Mutex
		committed = map[blob.Key][]byte{}
	)
	store := open(t, cfg)
	g.SetLimit(4)
	for i, size := range []int{0, 10, 70_000, 300_000, 8*mib - 1, 8 * mib, 9 * mib, 100, 5_000, 1 * mib, 17 * mib, 66_000, 0, 70_000, 2 * mib, 12} {
		g.Go(func() error {
			b, key := content(uint64(i), size), blob.NewKey()
			if err := pushInParts(store, key, b, i%3); err != nil {
				return fmt.Errorf("upload of %d bytes: %w", size, err)
			}
			mu.Lock()
			defer mu.Unlock()
			committed[key] = b
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	quiet := open(t, config(bucket))
	for key, b := range committed {
		wantContent(t, quiet, key, b)
		wantContent(t, store, key, b) // by faults as well
	}
	for i, err := range quiet.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		remove := store.Delete
		if i.Upload {
			remove = store.Discard
		}
		if err := remove(t.Context(), i.Key); err != nil {
			t.Error(err)
		}
	}
	wantObjects(t, bucket)
	for _, f := range []faults.Fault{faults.AnswerLost, faults.SlowDown, faults.RequestLost, faults.BodyCut} {
		t.Run(fmt.Sprint("fault ", f), func(t *testing.T) {
			if s.seen[f] == 0 {
				t.Errorf("fault %d never happened", f)
			}
		})
	}
}

// pushInParts pushes b in suspends+1 requests.
func pushInParts(s blob.Store, key blob.Key, b []byte, suspends int) error {
	ctx := context.Background()
	var p blob.Progress
	for i := range suspends + 1 {
		w, err := s.Append(ctx, key, p)
		if err != nil {
			return fmt.Errorf("Append: %w", err)
		}
		end := len(b) * (i + 1) / (suspends + 1)
		if _, err := w.Write(b[p.Offset:end]); err != nil {
			_, end := w.Suspend(ctx)
			return errors.Join(err, end)
		}
		if i == suspends {
			_, err = w.Commit(ctx, ecr.DigestOf(b))
		} else {
			p, err = w.Suspend(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The contract holds through faults, for what is in rows and for what is in objects.
func TestSuiteThroughFaults(t *testing.T) {
	seed := uint64(1)
	blobtest.RunWith(t, blobtest.Traits{Shared: true, Broken: true}, func(t testing.TB) blobtest.Medium {
		seed++
		cfg := stormy(t, newBucket(t), newStorm(seed))
		cfg.InlineBytes = -1
		return func(t testing.TB) blob.Store { return open(t, cfg) }
	})
}

// isComplete and isPut find the request that commits.
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") && !r.URL.Query().Has("uploadId")
}

// The answer to the request that commits is lost: it was done, and that is found
// out.
func TestAnswerOfCommitLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		match func(*http.Request) bool
	}{{"PutObject", 1000, isPut}, {"CompleteMultipartUpload", 9 * mib, isComplete}} {
		for _, attempts := range []int{1, 5} {
			t.Run(fmt.Sprintf("%s, %d attempts", c.name, attempts), func(t *testing.T) {
				bucket := newBucket(t)
				proxy := faults.Start(t, gateway.Addr)
				cfg := config(bucket)
				cfg.Endpoint, cfg.Attempts = proxy.URL, attempts
				s := open(t, cfg)
				b, key := content(1, c.size), blob.NewKey()
				happened := proxy.Next(faults.AnswerLost, c.match)
				commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
				if !happened() {
					t.Fatal("no answer was lost")
				}
				wantContent(t, s, key, b)
				wantObjects(t, bucket, "registry/blobs/"+string(key[:2])+"/"+string(key))
			})
		}
	}
}

// A store that is too busy for longer than we try: the error passes, nothing is
// lost, and the upload goes on from where it was.
func TestBusyStore(t *testing.T) {
	for _, size := range []int{1000, 100_000, 9 * mib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bucket := newBucket(t)
			proxy := faults.Start(t, gateway.Addr)
			cfg := config(bucket)
			cfg.Endpoint, cfg.Attempts, cfg.MaxBackoff = proxy.URL, 2, time.Millisecond
			s := open(t, cfg)
			b, key := content(1, size), blob.NewKey()
			p := suspend(t, appendTo(t, s, key, blob.Progress{}, b[:size/2]))
			busy := func(r *http.Request) faults.Fault { return faults.SlowDown }

			w := appendTo(t, s, key, p, b[size/2:])
			proxy.Pick(busy)
			if _, err := w.Commit(t.Context(), ecr.DigestOf(b)); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("Commit: %v, want ErrUnavailable", err)
			}
			_, err := s.Open(t.Context(), key)
			if !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("Open: %v, want ErrUnavailable", err)
			}
			proxy.Pick(nil)
			commit(t, appendTo(t, s, key, p, b[size/2:]), b)
			wantContent(t, s, key, b)
			if err := s.Discard(t.Context(), key); err != nil { // as the sweep does
				t.Fatal(err)
			}
			wantObjects(t, bucket, "registry/blobs/"+string(key[:2])+"/"+string(key))
		})
	}
}

// A body that breaks off is continued, of the same object; one that was replaced in
// between is an error and not a mixture.
func TestReadingResumes(t *testing.T) {
	bucket := newBucket(t)
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(bucket)
	cfg.Endpoint = proxy.URL
	s := open(t, cfg)
	b, key := content(1, 3*mib), blob.NewKey()
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	isGet := func(r *http.Request) bool { return r.Method == http.MethodGet }

	happened := proxy.Next(faults.BodyCut, isGet)
	before := proxy.Forwarded.Load()
	wantContent(t, s, key, b)
	if n := proxy.Forwarded.Load() - before; !happened() || n != 2 {
		t.Errorf("cut off: %v, %d requests, want 2", happened(), n)
	}

	proxy.Next(faults.BodyCut, isGet)
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, bucket, key, content(2, 3*mib))
	if got, err := io.ReadAll(f); err == nil || len(got) > 2*mib {
		t.Errorf("read %d bytes of an object that was replaced, error %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Ranges are requested as such, after the one request that opens.
func TestSeek(t *testing.T) {
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(newBucket(t))
	cfg.Endpoint = proxy.URL
	s := open(t, cfg)
	b, key := content(1, 3*mib), blob.NewKey()
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	var ranges []string
	proxy.Pick(func(r *http.Request) faults.Fault {
		ranges = append(ranges, r.Header.Get("Range"))
		return faults.None
	})
	if _, err := f.Seek(mib, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, b[mib:]) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if want := []string{fmt.Sprintf("bytes=%d-%d", mib, 3*mib-1)}; fmt.Sprint(ranges) != fmt.Sprint(want) {
		t.Errorf("requested %q, want %q", ranges, want)
	}
}

// A store that keeps no checksums: the registry reads before it serves, and lost
// answers are settled by reading what is there.
func TestWithoutChecksums(t *testing.T) {
	bucket := newBucket(t)
	proxy := faults.Start(t, gateway.Addr)
	proxy.Change(dropChecksums)
	cfg := config(bucket)
	cfg.Endpoint = proxy.URL
	s := open(t, cfg)
	if s.Verified() {
		t.Error("the store keeps no checksums")
	}
	for _, c := range []struct {
		size  int
		match func(*http.Request) bool
	}{{1000, isPut}, {9 * mib, isComplete}} {
		t.Run(fmt.Sprint(c.size, " bytes"), func(t *testing.T) {
			b, key := content(1, c.size), blob.NewKey()
			happened := proxy.Next(faults.AnswerLost, c.match)
			commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
			if !happened() {
				t.Error("no answer was lost")
			}
			wantContent(t, s, key, b)
			other := content(2, c.size)
			_, err := appendTo(t, s, key, blob.Progress{}, other).Commit(t.Context(), ecr.DigestOf(other))
			if !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("other content under the same key: %v", err)
			}
			wantContent(t, s, key, b)

			// As the registry reads it: steps that follow each other are two requests.
			f, err := s.Open(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			before := proxy.Forwarded.Load()
			got, err := io.ReadAll(io.NewSectionReader(f, 0, int64(c.size)))
			if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, b) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if n := proxy.Forwarded.Load() - before; n > 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
	cfg.Prefix = "probe"
	_, by := checks(t, cfg)
	if c := by["checksums"]; c.Status != report.StorageNotice || !strings.Contains(c.Detail, "CRC64NVME") {
		t.Errorf("%+v", c)
	}
}

// A store that stops to answer, before an answer or in the middle of it, is asked
// again.
func TestStall(t *testing.T) {
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(newBucket(t))
	// Busy machines time out too: there are attempts enough for that.
	cfg.Endpoint, cfg.AnswerTimeout, cfg.Attempts = proxy.URL, time.Second, 100
	s := open(t, cfg)
	b, key := content(1, 100_000), blob.NewKey()
	happened := proxy.Next(faults.Stall, isPut)
	commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
	if !happened() {
		t.Error("the store did not stall")
	}
	for name, match := range map[string]func(*http.Request) bool{
		"CreateMultipartUpload": func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") },
		"ListObjectsV2":         func(r *http.Request) bool { return r.URL.Query().Has("list-type") },
	} {
		t.Run(name, func(t *testing.T) {
			happened := proxy.Next(faults.BodyStall, match)
			b, key := content(1, 9*mib), blob.NewKey()
			commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
			for _, err := range s.List(t.Context()) {
				if err != nil {
					t.Error(err)
				}
			}
			if !happened() {
				t.Errorf("%s did not stall", name)
			}
		})
	}
	proxy.Next(faults.BodyStall, func(r *http.Request) bool { return r.Method == http.MethodGet })
	if _, err := s3.Open(t.Context(), cfg); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Open of a store that stops in the middle of the marker: %v, want ErrUnavailable", err)
	}
	for _, fault := range []faults.Fault{faults.Stall, faults.BodyStall} {
		t.Run(fmt.Sprint("fault ", fault), func(t *testing.T) {
			happened := proxy.Next(fault, func(r *http.Request) bool { return r.Method == http.MethodGet })
			wantContent(t, s, key, b)
			if !happened() {
				t.Errorf("fault %d did not happen", fault)
			}
		})
	}
}

// digest512 is the sha512 of b.
func digest512(b []byte) ecr.Digest {
	return ecr.Digest(fmt.Sprintf("sha512:%x", sha512.Sum512(b)))
}

func isGetBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

// The content is stored, and cannot be read for its sha512: it stays, and committing
// again finds it.
func TestDigestNotReadable(t *testing.T) {
	bucket := newBucket(t)
	proxy := faults.Start(t, gateway.Addr)
	cfg := config(bucket)
	cfg.Endpoint, cfg.Attempts = proxy.URL, 1
	s := open(t, cfg)
	b, key := content(1, 9*mib), blob.NewKey()
	p := suspend(t, appendTo(t, s, key, blob.Progress{}, b))
	happened := proxy.Next(faults.SlowDown, isGetBlob)
	if d, err := appendTo(t, s, key, p, nil).Commit(t.Context(), digest512(b)); !errors.Is(err, blob.ErrUnavailable) || !happened() {
		t.Errorf("Commit: %q, %v, want ErrUnavailable", d, err)
	}
	wantContent(t, s, key, b)
	if d, err := appendTo(t, s, key, p, nil).Commit(t.Context(), digest512(b)); err != nil || d != digest512(b) {
		t.Errorf("committing again: %q, %v", d, err)
	}
	wantObjects(t, bucket, "registry/blobs/"+string(key[:2])+"/"+string(key))
}

// A replica with a wrong sha512 does not remove what another one has committed; its
// own content it does.
func TestWrongDigestOfAnothersContent(t *testing.T) {
	bucket := newBucket(t)
	b, key := content(1, 9*mib), blob.NewKey()
	p := suspend(t, appendTo(t, open(t, config(bucket)), key, blob.Progress{}, b))
	other := appendTo(t, open(t, config(bucket)), key, p, nil)
	commit(t, appendTo(t, open(t, config(bucket)), key, p, nil), b)
	wrong := digest512([]byte("other"))
	if _, err := other.Commit(t.Context(), wrong); !errors.Is(err, blob.ErrDigestMismatch) {
		t.Errorf("Commit: %v, want ErrDigestMismatch", err)
	}
	wantContent(t, open(t, config(bucket)), key, b)
	if _, err := appendTo(t, open(t, config(bucket)), blob.NewKey(), blob.Progress{}, b).Commit(t.Context(), wrong); !errors.Is(err, blob.ErrDigestMismatch) {
		t.Errorf("Commit: %v, want ErrDigestMismatch", err)
	}
	wantObjects(t, bucket, "registry/blobs/"+string(key[:2])+"/"+string(key))
}

// isConditional finds the requests that ask that there is no object yet.
func isConditional(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" }

// A store that does not know If-None-Match is asked again without.
func TestWithoutConditions(t *testing.T) {
	for _, size := range []int{1000, 9 * mib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			proxy := faults.Start(t, gateway.Addr)
			proxy.Pick(func(r *http.Request) faults.Fault {
				if isConditional(r) {
					return faults.NotImplemented
				}
				return faults.None
			})
			bucket := newBucket(t)
			cfg := config(bucket)
			cfg.Endpoint = proxy.URL
			open(t, cfg) // makes the marker
			s := open(t, cfg)
			b, key := content(1, size), blob.NewKey()
			commit(t, appendTo(t, s, key, blob.Progress{}, b), b)
			wantContent(t, s, key, b)
			wantObjects(t, bucket, "registry/blobs/"+string(key[:2])+"/"+string(key))
		})
	}
}

// The store refuses a commit because of another one that is under way and fails: that
// is no loss, and committing again succeeds.
func TestConflictOfConditions(t *testing.T) {
	for _, c := range []struct {
		size  int
		match func(*http.Request) bool
	}{{1000, isPut}, {9 * mib, isComplete}} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			proxy := faults.Start(t, gateway.Addr)
			cfg := config(newBucket(t))
			cfg.Endpoint, cfg.Attempts = proxy.URL, 1
			happened := proxy.Next(faults.Conflict, isConditional)
			if _, err := s3.Open(t.Context(), cfg); !errors.Is(err, blob.ErrUnavailable) || !happened() {
				t.Errorf("Open: %v, want ErrUnavailable", err)
			}
			s := open(t, cfg)
			b, key := content(1, c.size), blob.NewKey()
			p := suspend(t, appendTo(t, s, key, blob.Progress{}, b))
			happened = proxy.Next(faults.Conflict, c.match)
			if _, err := appendTo(t, s, key, p, nil).Commit(t.Context(), ecr.DigestOf(b)); !errors.Is(err, blob.ErrUnavailable) || !happened() {
				t.Errorf("Commit: %v, want ErrUnavailable", err)
			}
			commit(t, appendTo(t, s, key, p, nil), b)
			wantContent(t, s, key, b)
		})
	}
}
