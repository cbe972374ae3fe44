package s3

import (
	"bytes"
	"context"
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
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
)

// storm lets a fault happen to a quarter of all requests, but never to the same
// request more than twice in a row: a store that tries often enough gets through.
type storm struct {
	mu     sync.Mutex
	rand   *rand.Rand           // guarded by mu
	rows   map[string]int       // guarded by mu
	stalls int                  // guarded by mu; how many more there may be: each takes AnswerTimeout
	seen   map[faults.Fault]int // guarded by mu
}

func newStorm(seed uint64, stalls int) *storm {
	return &storm{rand: rand.New(rand.NewPCG(seed, 0)), rows: map[string]int{}, stalls: stalls, seen: map[faults.Fault]int{}}
}

func (s *storm) pick(r *http.Request) faults.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	request := r.Method + r.URL.String() + r.Header.Get("Range")
	fault := faults.Fault(s.rand.IntN(16)) // None beyond BodyCut
	if fault == faults.Stall {
		if s.stalls--; s.stalls < 0 {
			fault = faults.None
		}
	}
	if fault > faults.BodyCut || s.rows[request] == 2 ||
		// Nobody knows the id of a multipart upload whose first answer was lost: the
		// bucket's own rule removes it.
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
	proxy := faults.Start(t, gateway.addr)
	proxy.Pick(s.pick)
	cfg := config(bucket)
	cfg.Endpoint, cfg.Attempts, cfg.AnswerTimeout, cfg.MaxBackoff = proxy.URL, 10, 3*time.Second, 5*time.Millisecond
	cfg.MemoryWait = 5 * time.Minute
	return cfg
}

// Whatever happens to requests on the way: what was acknowledged is there, nothing
// has wrong bytes, and nothing is left once uploads and blobs are removed.
func TestFaults(t *testing.T) {
	bucket := newBucket(t)
	s := newStorm(1, 3)
	cfg := stormy(t, bucket, s)
	var (
		g         errgroup.Group
		mu        sync.Mutex
		committed = map[blob.Key][]byte{}
		failed    = map[blob.Key][]byte{}
	)
	store := open(t, cfg)
	g.SetLimit(4)
	for i, size := range []int{0, 10, 70_000, 300_000, 8*mib - 1, 8 * mib, 9 * mib, 100, 5_000, 1 * mib, 17 * mib, 66_000, 0, 70_000, 2 * mib, 12} {
		g.Go(func() error {
			b, key := content(uint64(i), size), blob.NewKey()
			err := pushInParts(store, key, b, i%3)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				committed[key] = b
			} else {
				t.Logf("upload of %d bytes: %v", size, err)
				failed[key] = b
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(committed) < 12 {
		t.Errorf("of 16 uploads only %d got through", len(committed))
	}
	quiet := open(t, config(bucket))
	for key, b := range committed {
		wantContent(t, quiet, key, b)
		wantContent(t, store, key, b) // by faults as well
	}
	for key, b := range failed {
		f, err := quiet.Open(t.Context(), key)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, b) {
			t.Errorf("upload %s failed, and left other content: %d bytes, %v", key, len(got), err)
		}
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
	for _, f := range []faults.Fault{faults.AnswerLost, faults.SlowDown, faults.Stall, faults.BodyCut} {
		if s.seen[f] == 0 {
			t.Errorf("fault %d never happened", f)
		}
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
		cfg := stormy(t, newBucket(t), newStorm(seed, 0))
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
				proxy := faults.Start(t, gateway.addr)
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
			proxy := faults.Start(t, gateway.addr)
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
	proxy := faults.Start(t, gateway.addr)
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
	proxy := faults.Start(t, gateway.addr)
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
