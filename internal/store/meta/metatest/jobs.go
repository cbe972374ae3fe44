package metatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func jobLeases(t *testing.T, s meta.Store)            { leaseJobs(t, s, s) }
func replicasJobLeases(t *testing.T, a, b meta.Store) { leaseJobs(t, a, b) }

// leaseJobs: one process at a time has a job, each with a higher token, and what an
// older one says is refused.
func leaseJobs(t *testing.T, a, b meta.Store) {
	take := func(s meta.Store, terms meta.JobTerms) (token int64, ok bool) {
		t.Helper()
		terms.Name = "work"
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			token, ok, err = tx.Retention().TakeJob(ctx, terms)
			return err
		})
		return token, ok
	}
	leases := func() []meta.JobLease {
		t.Helper()
		return read(t, b, func(ctx context.Context, r meta.Reader) ([]meta.JobLease, error) { return r.Retention().JobLeases(ctx) })
	}
	diff(t, []meta.JobLease(nil), leases())
	began := databaseNow(t, a)
	first, ok := take(a, meta.JobTerms{Holder: "a", For: time.Hour, Every: time.Hour})
	if !ok {
		t.Fatal("nobody had the job, and it was not given")
	}
	for _, terms := range []meta.JobTerms{{Holder: "b", For: time.Hour}, {Holder: "b", For: time.Hour, Now: true}} {
		if _, ok := take(b, terms); ok {
			t.Errorf("two have the job, %+v", terms)
		}
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Retention().RenewJob(ctx, "work", first, time.Hour, 7), tx.Retention().CheckJob(ctx, "work", first))
	})
	l := leases()
	if len(l) != 1 || l[0].BeganAt.Before(began) || l[0].BeganAt.After(databaseNow(t, a)) {
		t.Fatalf("%+v", l)
	}
	diff(t, meta.JobLease{Name: "work", Holder: "a", Held: true, BeganAt: l[0].BeganAt, Progress: 7}, l[0])
	result := meta.JobResult{Removed: 9, SizeBytes: 6 << 30, Error: "disk full"}
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().EndJob(ctx, "work", first, result) })
	l = leases()
	if l[0].Held || l[0].EndedAt.Before(l[0].BeganAt) || l[0].Last != result {
		t.Errorf("ended: %+v", l[0])
	}
	if _, ok := take(b, meta.JobTerms{Holder: "b", For: time.Hour, Every: time.Hour}); ok {
		t.Error("the job is begun before it is due")
	}
	second, ok := take(b, meta.JobTerms{Holder: "b", For: time.Hour, Now: true})
	if !ok || second <= first {
		t.Fatalf("the second lease: %d, %t", second, ok)
	}
	third, ok := take(a, meta.JobTerms{Holder: "a", For: time.Microsecond, Now: true, Alone: true})
	if !ok || third <= second {
		t.Fatalf("the lease of a process that is gone: %d, %t", third, ok)
	}
	for leases()[0].Held { // until that microsecond is over
		continue
	}
	fourth, ok := take(b, meta.JobTerms{Holder: "b", For: time.Hour})
	if !ok || fourth <= third {
		t.Fatalf("a lease after one that is over: %d, %t", fourth, ok)
	}
	update(t, b, func(ctx context.Context, tx meta.Tx) error { // as on a clock that was set back since
		return tx.Retention().RenewJob(ctx, "work", fourth, 24*time.Hour, 0)
	})
	fifth, ok := take(a, meta.JobTerms{Holder: "a", For: time.Hour})
	if !ok || fifth <= fourth {
		t.Fatalf("a lease after one that ends further ahead than leases last: %d, %t", fifth, ok)
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().EndJob(ctx, "work", fifth, result) })
	sixth, ok := take(b, meta.JobTerms{Holder: "b", For: time.Hour, Every: time.Hour, Now: true})
	if !ok {
		t.Fatal("a job that ended is not begun")
	}
	update(t, b, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().EndJob(ctx, "work", sixth, result) })
	if _, ok := take(a, meta.JobTerms{Holder: "a", For: time.Hour, Every: time.Hour}); ok {
		t.Error("the job is begun before it is due")
	}
	for until := time.Now().Add(time.Minute); ; { // the clock of a database may have steps of a millisecond
		if _, ok := take(a, meta.JobTerms{Holder: "a", For: time.Hour, Every: time.Microsecond}); ok {
			break
		}
		if time.Now().After(until) {
			t.Fatal("a shorter interval waits for the end of the longer one before it")
		}
	}
	for name, old := range map[string]func(ctx context.Context, tx meta.Tx) error{
		"check": func(ctx context.Context, tx meta.Tx) error { return tx.Retention().CheckJob(ctx, "work", third) },
		"renew": func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().RenewJob(ctx, "work", third, time.Hour, 1)
		},
		"end":  func(ctx context.Context, tx meta.Tx) error { return tx.Retention().EndJob(ctx, "work", third, result) },
		"none": func(ctx context.Context, tx meta.Tx) error { return tx.Retention().CheckJob(ctx, "other work", 1) },
	} {
		if err := a.Update(t.Context(), old); !errors.Is(err, meta.ErrConflict) {
			t.Errorf("%s by an old lease: %v, want ErrConflict", name, err)
		}
	}
}

// jobFence: a transaction that checked a lease does not commit after another process
// took the job over.
func jobFence(t *testing.T, a, b meta.Store) {
	var token int64
	take := func(s meta.Store) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			token, _, err = tx.Retention().TakeJob(ctx, meta.JobTerms{Name: "work", For: time.Hour, Now: true, Alone: true})
			return err
		})
	}
	take(a)
	mine, runs := token, 0
	if a.OneProcess() { // nobody comes between the statements of its transaction
		take(b)
	}
	err := a.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		if runs++; runs == 1 {
			if err := tx.Retention().CheckJob(ctx, "work", mine); err != nil {
				return err
			}
			if !a.OneProcess() {
				take(b)
			}
		} else if err := tx.Retention().CheckJob(ctx, "work", mine); err != nil {
			return err
		}
		// The other process has looked at what this one changes.
		return tx.Retention().RenewJob(ctx, "work", mine, time.Hour, 1)
	})
	if !errors.Is(err, meta.ErrConflict) {
		t.Errorf("the old process commits: %v after %d runs", err, runs)
	}
}

func lifecycleQueue(t *testing.T, s meta.Store)            { queueLifecycles(t, s, s) }
func replicasLifecycleQueue(t *testing.T, a, b meta.Store) { queueLifecycles(t, a, b) }

// queueLifecycles: each repository is taken once, by one process, until it is ended
// or its time is over.
func queueLifecycles(t *testing.T, a, b meta.Store) {
	const n = 40
	var repos []meta.RepositoryID
	for i := range n {
		repos = append(repos, newRepository(t, a, ecr.RepositoryName(fmt.Sprintf("app%02d", i))))
	}
	queue := func(ids ...meta.RepositoryID) {
		t.Helper()
		update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().QueueLifecycle(ctx, ids) })
	}
	take := func(s meta.Store, d time.Duration) (task meta.LifecycleTask, ok bool, err error) {
		err = s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
			task, ok, err = tx.Retention().TakeLifecycle(ctx, d)
			return err
		})
		return task, ok, err
	}
	must := func(s meta.Store, d time.Duration) (meta.LifecycleTask, bool) {
		t.Helper()
		task, ok, err := take(s, d)
		if err != nil {
			t.Fatal(err)
		}
		return task, ok
	}
	end := func(s meta.Store, task meta.LifecycleTask) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().EndLifecycle(ctx, task) })
	}
	if task, ok := must(a, time.Hour); ok {
		t.Errorf("%+v is queued", task)
	}
	queue(repos[0], missing)
	queue(repos[0])
	old, ok := must(a, time.Microsecond)
	if !ok || old.Repository.ID != repos[0] || old.Repository.Name != "app00" {
		t.Fatalf("%+v, %t", old, ok)
	}
	var again meta.LifecycleTask
	for ok = false; !ok; { // until that microsecond is over
		again, ok = must(b, time.Hour)
	}
	end(a, old) // too late: it is another's
	if again.Repository.ID != repos[0] || again.Token <= old.Token {
		t.Errorf("taken again: %+v", again)
	}
	queue(repos[0])
	if task, ok := must(a, time.Hour); ok {
		t.Errorf("%+v is taken by two", task)
	}
	end(b, again)
	queue(repos[0])
	must(a, 24*time.Hour) // as on a clock that was set back since
	again, ok = must(b, time.Hour)
	if !ok {
		t.Fatal("a task that was taken for longer than tasks last is not taken")
	}
	if task, ok := must(a, time.Hour); ok {
		t.Errorf("%+v is taken by two", task)
	}
	end(b, again)
	queue(repos...)
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repos[n-1]) })
	got := make([]meta.LifecycleTask, n)
	oks := make([]bool, n)
	for i, err := range race(n, func(i int) (err error) {
		got[i], oks[i], err = take(both(a, b)(i), time.Hour)
		return err
	}) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	seen, taken := map[meta.RepositoryID]bool{}, 0
	for i, task := range got {
		if !oks[i] {
			continue
		}
		if taken++; seen[task.Repository.ID] {
			t.Errorf("%s was taken twice", task.Repository.Name)
		}
		seen[task.Repository.ID] = true
	}
	for task, ok := must(a, time.Hour); ok; task, ok = must(a, time.Hour) { // passed over while others had it locked
		taken++
		seen[task.Repository.ID] = true
	}
	if taken != n-1 || len(seen) != n-1 {
		t.Errorf("%d taken, %d repositories, want %d", taken, len(seen), n-1)
	}
}

// lifecycleFindings: one for each repository, which goes with it.
func lifecycleFindings(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	get := func(repo meta.RepositoryID) (meta.LifecycleFinding, error) {
		var f meta.LifecycleFinding
		err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
			f, err = r.Retention().LifecycleFinding(ctx, repo)
			return err
		})
		return f, err
	}
	put := func(repo meta.RepositoryID, f meta.LifecycleFinding) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutLifecycleFinding(ctx, repo, f) })
	}
	for _, f := range []meta.LifecycleFinding{{Code: "max-expire", Message: "too many"}, {Code: "max-expire", Message: "still too many"}} {
		put(repo, f)
		got, err := get(repo)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, f, got)
	}
	put(neighbour, meta.LifecycleFinding{Code: "x"})
	put(repo, meta.LifecycleFinding{})
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, neighbour) })
	for _, repo := range []meta.RepositoryID{repo, neighbour} {
		if f, err := get(repo); !errors.Is(err, meta.ErrNotFound) {
			t.Errorf("%+v, %v, want ErrNotFound", f, err)
		}
	}
}
