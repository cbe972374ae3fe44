package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// onBoth runs f with two processes on each kind of database.
func onBoth(t *testing.T, f func(t *testing.T, one, two *testkit.World)) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			one := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI, Replica: "one"}, database(t))
			f(t, one, one.Replica(func(s *testkit.Settings) { s.Replica = "two" }, nil))
		})
	}
}

func listed(t *testing.T, w *testkit.World) meta.JobLease {
	t.Helper()
	all, err := w.Jobs.As(testkit.Admin).ListJobs(t.Context(), testkit.Home)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

var errFull = errors.New("disk full")

// One process at a time does a job, the next one when it is due, and everybody sees
// who does it, how far it is and how it ended.
func TestOneProcessDoesAJob(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *testkit.World) {
		one.Jobs.RenewOften()
		never := func(context.Context) (jobs.Removed, error) { return jobs.Removed{}, errors.New("done twice") }
		removed, ran, err := one.Jobs.Lead(t.Context(), "work", false, func(ctx context.Context) (jobs.Removed, error) {
			for _, now := range []bool{false, true} {
				if _, ran, err := two.Jobs.Lead(t.Context(), "work", now, never); ran || err != nil {
					t.Errorf("the other process does it as well: %v", err)
				}
			}
			jobs.Progressed(ctx, 3)
			for { // until the lease is renewed
				if l := listed(t, two); l.Progress == 3 {
					if !l.Held || l.Holder != "one" {
						t.Errorf("%+v", l)
					}
					break
				}
			}
			return jobs.Removed{Count: 5, SizeBytes: 50}, errFull
		})
		if want := (jobs.Removed{Count: 5, SizeBytes: 50}); removed != want || !ran || !errors.Is(err, errFull) {
			t.Errorf("%+v, %t, %v", removed, ran, err)
		}
		if l := listed(t, two); l.Held || l.Last != (meta.JobResult{Removed: 5, SizeBytes: 50, Error: "disk full"}) {
			t.Errorf("%+v", l)
		}
		if _, ran, err := two.Jobs.Lead(t.Context(), "work", false, never); ran || err != nil {
			t.Errorf("it is done before it is due: %v", err)
		}
		if _, ran, err := two.Jobs.Lead(t.Context(), "work", true, func(context.Context) (jobs.Removed, error) { return jobs.Removed{}, nil }); !ran || err != nil {
			t.Errorf("it is not done when it is asked for: %v", err)
		}
		if l := listed(t, one); l.Holder != "two" || l.Last != (meta.JobResult{}) {
			t.Errorf("%+v", l)
		}
	})
}

// A process that lost its lease, as one that was stopped does, changes nothing more.
func TestJobTakenOver(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *testkit.World) {
		write := func(ctx context.Context, w *testkit.World, text string) error {
			return w.Gate.System("work").Change(ctx, gate.Op("Work"), func(ctx context.Context, tx *gate.Tx) error {
				return tx.Retention().PutJobState(ctx, "work", []byte(text))
			})
		}
		_, _, err := one.Jobs.Lead(t.Context(), "work", false, func(ctx context.Context) (jobs.Removed, error) {
			if err := write(ctx, one, "one"); err != nil {
				t.Error(err)
			}
			err := two.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
				_, ok, err := tx.Retention().TakeJob(ctx, meta.JobTerms{Name: "work", Holder: "two", For: testkit.Hour, Now: true, Alone: true})
				if err == nil && !ok {
					err = errors.New("it was not given")
				}
				return err
			})
			if err := errors.Join(err, write(t.Context(), two, "two")); err != nil {
				t.Error(err)
			}
			if err := write(ctx, one, "one again"); !errors.Is(err, meta.ErrConflict) {
				t.Errorf("the old process writes: %v", err)
			}
			if ctx.Err() == nil {
				t.Error("the old process goes on")
			}
			return jobs.Removed{Count: 1}, ctx.Err()
		})
		if err == nil || !strings.Contains(err.Error(), "another process has taken the job over") {
			t.Errorf("%v", err)
		}
		if l := listed(t, two); !l.Held || l.Holder != "two" || l.Last != (meta.JobResult{}) {
			t.Errorf("%+v", l)
		}
		err = one.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
			state, err := r.Retention().JobState(ctx, "work")
			if string(state) != "two" {
				t.Errorf("%q is stored", state)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What a job failed with is kept, whatever is in its text.
func TestErrorTexts(t *testing.T) {
	onBoth(t, func(t *testing.T, one, _ *testkit.World) {
		_, ran, err := one.Jobs.Lead(t.Context(), "work", true, func(context.Context) (jobs.Removed, error) {
			return jobs.Removed{}, errors.New("a\x00b \xff " + strings.Repeat("\u00e9", 1<<20))
		})
		if !ran || err == nil || strings.Contains(err.Error(), "ending") {
			t.Errorf("%t, %.200v", ran, err)
		}
		l := listed(t, one)
		if got := l.Last.Error; l.Held || !strings.HasPrefix(got, "a\ufffdb  \u00e9\u00e9") || !strings.HasSuffix(got, "\u00e9...") || len(got) > 4<<10 {
			t.Errorf("held %t, %d bytes: %.40q", l.Held, len(got), got)
		}
	})
}

// Lifecycle runs are spread over the processes, each repository once.
func TestLifecycleRunsAreSpread(t *testing.T) {
	onBoth(t, func(t *testing.T, one, two *testkit.World) {
		const n = 12
		for i := range n {
			to := one.Repo(fmt.Sprint("app", i), ecr.Mutable)
			one.MustPut(to, testkit.Index())
			if _, err := one.SetLifecyclePolicy(t.Context(), to, testkit.LifecyclePolicy); err != nil {
				t.Fatal(err)
			}
		}
		one.Repo("without-a-policy", ecr.Mutable)
		one.Advance(2 * testkit.Day)
		ended := make(chan retention.LifecycleSweep, 1)
		go func() {
			sweep, err := one.Retention.RunAllLifecycle(t.Context())
			if err != nil {
				t.Error(err)
			}
			ended <- sweep
		}()
		var all retention.LifecycleSweep
		for open := true; open; {
			select {
			case s := <-ended:
				all.Repositories += s.Repositories
				all.Expired += s.Expired
				open = false
			default:
			}
			s, err := two.Retention.RunQueuedLifecycle(t.Context())
			if err != nil {
				t.Error(err)
			}
			all.Repositories += s.Repositories
			all.Expired += s.Expired
		}
		if all.Repositories != n || all.Expired != n {
			t.Errorf("%d repositories were run and %d images expired, want %d", all.Repositories, all.Expired, n)
		}
	})
}
