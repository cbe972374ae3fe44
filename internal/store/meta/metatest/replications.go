package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// takeReplication takes what is due, or ends the test.
func takeReplication(t *testing.T, s meta.Store, resting ...ecr.RegistryID) (meta.Replication, bool) {
	t.Helper()
	var got meta.Replication
	var ok bool
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		got, ok, err = tx.Registries().TakeReplication(ctx, time.Hour, resting)
		return err
	})
	return got, ok
}

// changeReplication is an error of one change.
func changeReplication(t *testing.T, s meta.Store, f func(ctx context.Context, tx meta.RegistryTx) error) error {
	t.Helper()
	return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return f(ctx, tx.Registries()) })
}

// What is queued is taken once, pushes before backfills, and whoever was overtaken
// changes nothing more.
func replications(t *testing.T, s meta.Store) {
	app := newRepository(t, s, "app")
	a, b := newImage(t, s, app, "a", "v1").Image.Digest, newImage(t, s, app, "b").Image.Digest
	to := func(region ecr.Region) ecr.RegistryID { return ecr.RegistryID{Account: "222222222222", Region: region} }
	west, north := to("eu-west-1"), to("eu-north-1")
	queue := func(d ecr.Digest, tag ecr.Tag, dest ecr.RegistryID, backfill string, wait time.Duration, again bool) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Registries().QueueReplication(ctx, meta.Replication{
				Kind: meta.ReplicateImage, Source: registry, Repository: app, Name: "app", Image: ecr.ImageID{Digest: d, Tag: tag}, To: dest, Backfill: backfill,
			}, wait, again)
		})
	}
	status := func() []meta.Replication {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Replication, error) {
			return r.Registries().ImageReplications(ctx, app, a)
		})
	}
	if _, ok := takeReplication(t, s); ok {
		t.Fatal("something is due where nothing was queued")
	}
	queue(b, "", west, "one", 0, true)
	queue(a, "v1", north, "", 0, true)
	queue(a, "v1", west, "", 0, true)
	queue(a, "later", west, "", time.Minute, true)

	first, ok := takeReplication(t, s)
	want := meta.Replication{
		Kind: meta.ReplicateImage, Source: registry, Repository: app, Name: "app", Image: ecr.ImageID{Digest: a, Tag: "v1"}, To: north,
		Status: meta.ReplicationInProgress, Attempts: 1, Token: 1,
	}
	if d := cmp.Diff(want, first, cmpopts.IgnoreFields(meta.Replication{}, "ID", "UpdatedAt")); !ok || d != "" {
		t.Errorf("taken first: %v (-want +got)\n%s", ok, d)
	}
	if resting, ok := takeReplication(t, s, west); ok {
		t.Errorf("taken for a destination that rests: %+v", resting)
	}
	second, _ := takeReplication(t, s, north)
	third, _ := takeReplication(t, s)
	diff(t, []string{"eu-west-1 v1 ", "eu-west-1  one"}, []string{
		string(second.To.Region) + " " + string(second.Image.Tag) + " " + second.Backfill, string(third.To.Region) + " " + string(third.Image.Tag) + " " + third.Backfill,
	})
	if more, ok := takeReplication(t, s); ok {
		t.Errorf("taken twice, or too early: %+v", more)
	}

	// What a process that is gone had taken is free for the only other one.
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().FreeReplications(ctx) })
	for _, taken := range []*meta.Replication{&first, &second, &third} {
		*taken, _ = takeReplication(t, s)
	}
	diff(t, north, first.To)
	diff(t, 2, first.Attempts)

	// Complete stays complete, unless something is new.
	first.Status = meta.ReplicationComplete
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, first) })
	queue(a, "v1", north, "", 0, false)
	if _, ok := takeReplication(t, s); ok {
		t.Error("what is complete is done again")
	}
	queue(a, "v1", north, "", 0, true)
	for name, f := range map[string]func(ctx context.Context, tx meta.RegistryTx) error{
		"end":     func(ctx context.Context, tx meta.RegistryTx) error { return tx.EndReplication(ctx, first) },
		"renew":   func(ctx context.Context, tx meta.RegistryTx) error { return tx.RenewReplication(ctx, first, time.Hour) },
		"put off": func(ctx context.Context, tx meta.RegistryTx) error { return tx.PutOffReplication(ctx, first, 0) },
		"drop":    func(ctx context.Context, tx meta.RegistryTx) error { return tx.DropReplication(ctx, first) },
	} {
		if err := changeReplication(t, s, f); !errors.Is(err, meta.ErrConflict) {
			t.Errorf("%s after it was queued again: %v", name, err)
		}
	}

	// What was put off is taken again when it is due, and failures are listed and retried.
	second.Code, second.Message = "Unavailable", "no answer"
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().RenewReplication(ctx, second, time.Hour)
	})
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().PutOffReplication(ctx, second, 0) })
	again, ok := takeReplication(t, s, north)
	if !ok || again.ID != second.ID || again.Attempts != 3 || again.Code != "Unavailable" || again.Token <= second.Token {
		t.Errorf("after it was put off: %v %+v", ok, again)
	}
	again.Status, again.Code = meta.ReplicationFailed, "AccessDenied"
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, again) })
	failed := func(after int64, limit int) []meta.Replication {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Replication, error) {
			return r.Registries().FailedReplications(ctx, registry, after, limit)
		})
	}
	if list := failed(0, 10); len(list) != 1 || list[0].ID != again.ID || list[0].Code != "AccessDenied" || len(failed(again.ID, 10)) != 0 {
		t.Errorf("failed: %+v", list)
	}
	queues := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.ReplicationQueue, error) {
		return r.Registries().ReplicationQueues(ctx, registry)
	})
	if len(queues) != 2 || queues[0].To != north || queues[0].Waiting != 1 || queues[0].Due != 1 || queues[1].Waiting != 2 || queues[1].Due != 0 || queues[1].Oldest.IsZero() {
		t.Errorf("queues: %+v", queues)
	}
	n := 0
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		n, err = tx.Registries().RetryReplications(ctx, registry, west)
		return err
	})
	if retried := status(); n != 1 || len(failed(0, 10)) != 0 || len(retried) != 3 || retried[2].Status != meta.ReplicationInProgress || retried[2].Attempts != 0 {
		t.Errorf("retried %d: %+v", n, retried)
	}

	// The rows of images that are gone go when they have ended.
	if again, ok = takeReplication(t, s, north); !ok {
		t.Fatal("what is retried is not due")
	}
	again.Status = meta.ReplicationComplete
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, again) })
	trim := func() (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Registries().TrimReplications(ctx, noon, 10)
			return err
		})
		return n
	}
	diff(t, 0, trim())
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, app, a, noon) })
	diff(t, 1, trim())
	diff(t, 2, len(status()))
}

// A backfill is of one registry; its results stay until some time after its end.
func replicationBackfills(t *testing.T, s meta.Store) {
	to := ecr.RegistryID{Account: registry.Account, Region: "eu-west-1"}
	var began meta.Backfill
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		began, err = tx.Registries().InsertBackfill(ctx, meta.Backfill{ID: "one", Source: registry, To: to, Status: meta.BackfillPreparing})
		return err
	})
	if began.StartedAt.IsZero() || !began.EndedAt.IsZero() {
		t.Errorf("began: %+v", began)
	}
	err := changeReplication(t, s, func(ctx context.Context, tx meta.RegistryTx) error {
		_, err := tx.InsertBackfill(ctx, meta.Backfill{ID: "one", Source: other, To: to})
		return err
	})
	if !errors.Is(err, meta.ErrExists) {
		t.Errorf("the same id again: %v", err)
	}
	d := ecr.DigestOf([]byte("x"))
	for _, tag := range []ecr.Tag{"a", "b", "c"} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Registries().QueueReplication(ctx, meta.Replication{
				Kind: meta.ReplicateImage, Source: registry, Repository: 1, Name: "app", Image: ecr.ImageID{Digest: d, Tag: tag}, To: to, Backfill: "one",
			}, 0, true)
		})
	}
	done, _ := takeReplication(t, s)
	done.Status = meta.ReplicationComplete
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, done) })
	failed, _ := takeReplication(t, s)
	failed.Status, failed.Code = meta.ReplicationFailed, "ImageTagAlreadyExists"
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, failed) })
	counts := func() []meta.BackfillCount {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.BackfillCount, error) {
			return r.Registries().BackfillCounts(ctx, "one")
		})
	}
	diff(t, []meta.BackfillCount{{Status: meta.ReplicationComplete, Count: 1}, {Status: meta.ReplicationFailed, Code: "ImageTagAlreadyExists", Count: 1}, {Status: meta.ReplicationInProgress, Count: 1}}, counts())
	results := func(status meta.ReplicationStatus, after int64, limit int) (tags []ecr.Tag) {
		t.Helper()
		for _, r := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Replication, error) {
			return r.Registries().BackfillResults(ctx, "one", status, after, limit)
		}) {
			tags = append(tags, r.Image.Tag)
		}
		return tags
	}
	diff(t, []ecr.Tag{"a", "b"}, results("", 0, 2))
	diff(t, []ecr.Tag{"c"}, results("", failed.ID, 2))
	diff(t, []ecr.Tag{"b"}, results(meta.ReplicationFailed, 0, 2))

	taken, _ := takeReplication(t, s)
	stop := func() (left int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			left, err = tx.Registries().StopBackfill(ctx, "one")
			return err
		})
		return left
	}
	diff(t, 1, stop())
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().PutOffReplication(ctx, taken, 0) })
	diff(t, 0, stop())
	diff(t, 2, len(counts()))

	unended := func() []meta.Backfill {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Backfill, error) {
			return r.Registries().UnendedBackfills(ctx)
		})
	}
	diff(t, []meta.Backfill{began}, unended())
	began.Status, began.AfterName, began.AfterImage = meta.BackfillStopped, "app", ecr.ImageID{Digest: d, Tag: "c"}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().UpdateBackfill(ctx, began) })
	diff(t, 0, len(unended()))
	got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.Backfill, error) {
		return r.Registries().Backfill(ctx, registry, "one")
	})
	if d := cmp.Diff(began, got, cmpopts.IgnoreFields(meta.Backfill{}, "EndedAt")); d != "" || got.EndedAt.Before(began.StartedAt) {
		t.Errorf("ended at %s (-want +got)\n%s", got.EndedAt, d)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		n, err := tx.Registries().TrimReplications(ctx, got.EndedAt, 10)
		diff(t, 0, n)
		return err
	})
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		n, err := tx.Registries().TrimReplications(ctx, got.EndedAt.Add(time.Second), 10)
		diff(t, 3, n)
		return err
	})
	diff(t, 0, len(read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Backfill, error) {
		return r.Registries().Backfills(ctx, registry)
	})))
}
