package jobs_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// brokenOnce panics at the first listing of uploads.
type brokenOnce struct {
	meta.Store
	broken atomic.Bool
}

func (b *brokenOnce) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	return b.Store.View(ctx, func(ctx context.Context, r meta.Reader) error { return fn(ctx, brokenReader{r, b}) })
}

type brokenReader struct {
	meta.Reader
	b *brokenOnce
}

func (r brokenReader) ListUploads(ctx context.Context, before time.Time, limit int) ([]meta.Upload, error) {
	if r.b.broken.CompareAndSwap(false, true) {
		panic("the first time")
	}
	return r.Reader.ListUploads(ctx, before, limit)
}

// The jobs continue after one of them failed, and stop when told to.
func TestJobsGoOnAndStop(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := w.Repo("app", ecr.Mutable)
	w.Upload(to, []byte("bytes"))
	w.Leave("an orphan", false)
	var log testkit.Log
	w.Set(func(s *testkit.Settings) {
		s.Between, s.Clock, s.UploadAge = &brokenOnce{Store: w.Meta}, time.Now, time.Nanosecond
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Jobs.RunEvery(ctx, map[string]time.Duration{"upload expiry": 5 * time.Millisecond, "orphan sweep": 200 * time.Millisecond})
	}()
	wanted := []string{`msg="job failed" job="upload expiry"`, "panic: the first time", `msg="job done" job="upload expiry" removed=1 bytes=5`, `msg="job done" job="orphan sweep"`}
	missing := func(text string) bool { return !strings.Contains(log.String(), text) }
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, left := w.Stored()
		if left == 0 && !slices.ContainsFunc(wanted, missing) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d files are left, and the log has no %q:\n%s", left, slices.DeleteFunc(wanted, func(s string) bool { return !missing(s) }), &log)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// Policies are run on their own.
func TestLifecyclePoliciesRun(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	to := w.Repo("app", ecr.Mutable)
	w.MustPut(to, testkit.Index())
	if _, err := w.SetLifecyclePolicy(t.Context(), to, testkit.LifecyclePolicy); err != nil {
		t.Fatal(err)
	}
	w.Advance(2 * testkit.Day)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Jobs.RunEvery(ctx, map[string]time.Duration{"lifecycle": 5 * time.Millisecond}) }()
	for end := time.Now().Add(time.Minute); len(w.Digests(to)) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v is still there", w.Digests(to))
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// The jobs that take things away are among those that run, and do it.
func TestCollectionAndTrimmingAreScheduled(t *testing.T) {
	w := testkit.Open(t, testkit.Keeping(0, 10*testkit.Day, testkit.Day))
	stays := w.Repo("stays", ecr.Mutable)
	if _, err := w.DeleteRepository(t.Context(), w.Repo("gone", ecr.Mutable), true); err != nil {
		t.Fatal(err)
	}
	w.Blob(stays, []byte("layer"))
	do := func(name string, want jobs.Removed) {
		t.Helper()
		if got, err := w.Jobs.Do(t.Context(), name); err != nil || got != want {
			t.Errorf("%s removed %+v, %v, want %+v", name, got, err, want)
		}
	}
	do("collection", jobs.Removed{})
	do("journal trimming", jobs.Removed{})
	w.Advance(11 * testkit.Day)
	do("collection", jobs.Removed{Count: 2, SizeBytes: 5}) // a link and a blob
	do("journal trimming", jobs.Removed{Count: 1})
}

// What asks whether there is something to do may fail, and does not end the registry: the
// job finds out.
func TestWanted(t *testing.T) {
	for name, c := range map[string]struct {
		due  func(context.Context) bool
		want bool
	}{
		"nothing to do": {func(context.Context) bool { return false }, false},
		"some":          {func(context.Context) bool { return true }, true},
		"a panic":       {func(context.Context) bool { panic("on purpose") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := jobs.Wanted(t.Context(), c.due); got != c.want {
				t.Errorf("wanted: %v", got)
			}
		})
	}
}
