package metatest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// What was spent of a rate has the next one wait, for one destination and not for another.
func replicationRates(t *testing.T, s meta.Store) {
	west, north := ecr.RegistryID{Account: registry.Account, Region: "eu-west-1"}, ecr.RegistryID{Account: registry.Account, Region: "eu-north-1"}
	spend := func(to ecr.RegistryID, images, bytes time.Duration) (before meta.ReplicationRate) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			before, err = tx.Registries().SpendReplicationRate(ctx, to, images, bytes)
			return err
		})
		return before
	}
	// Times pass meanwhile, however many.
	about := func(what string, got, want time.Duration) {
		t.Helper()
		if got > want || want > 0 && got <= want-20*time.Minute {
			t.Errorf("%s: %s, want at most %s", what, got, want)
		}
	}
	diff(t, meta.ReplicationRate{To: west}, spend(west, 25*time.Minute, 0))
	second := spend(west, 30*time.Minute, 40*time.Minute)
	about("images", second.Images, 25*time.Minute)
	about("bytes", second.Bytes, 0)
	third := spend(west, -30*time.Minute, 0)
	about("images of two", third.Images, 55*time.Minute)
	about("bytes of one", third.Bytes, 40*time.Minute)
	diff(t, meta.ReplicationRate{To: north}, spend(north, 0, 0))
	rates := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.ReplicationRate, error) {
		return r.Registries().ReplicationRates(ctx)
	})
	if len(rates) != 2 || rates[0] != (meta.ReplicationRate{To: north}) || rates[1].To != west {
		t.Fatalf("rates: %+v", rates)
	}
	about("images after one was given back", rates[1].Images, 25*time.Minute)
	// A time too far away is that of a clock that was set back.
	spend(north, 3*time.Hour, 0)
	diff(t, time.Duration(0), spend(north, 0, 0).Images)
}

// What comes of images that belong to another one is stored with them, and an image knows
// the registries that it came through.
func settledReplications(t *testing.T, s meta.Store) {
	app := newRepository(t, s, "app")
	west := ecr.RegistryID{Account: registry.Account, Region: "eu-west-1"}
	d := newImage(t, s, app, "a").Image.Digest
	one := meta.Replication{
		Kind: meta.ReplicateImage, Source: registry, Repository: app, Name: "app", Image: ecr.ImageID{Digest: d}, To: west,
		Status: meta.ReplicationFailed, Code: "AccessDeniedException", Message: "no",
	}
	status := func() []meta.Replication {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Replication, error) {
			return r.Registries().ImageReplications(ctx, app, d)
		})
	}
	settle := func(r meta.Replication) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().SettleReplication(ctx, r) })
	}
	want := func(what string, wanted ...meta.Replication) {
		t.Helper()
		if d := cmp.Diff(wanted, status(), cmpopts.IgnoreFields(meta.Replication{}, "ID", "UpdatedAt", "Token", "Attempts")); d != "" {
			t.Errorf("%s (-want +got)\n%s", what, d)
		}
	}
	complete := one
	complete.Status, complete.Code, complete.Message = meta.ReplicationComplete, "", ""
	settle(one)
	settle(one)
	want("failed", one)
	settle(complete)
	want("complete after it failed", complete)
	settle(one)
	want("failed after it was complete", one)

	queued := one
	queued.Status, queued.Code, queued.Message = meta.ReplicationInProgress, "", ""
	queued.Via = []ecr.RegistryID{{Account: "111111111111", Region: "us-east-1"}, {Account: "222222222222", Region: "eu-west-1"}}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().QueueReplication(ctx, queued, 0, true)
	})
	queued.Due = true
	want("queued", queued)
	settle(one)
	want("failed while it is in progress", queued)
	taken, ok := takeReplication(t, s)
	if d := cmp.Diff(queued.Via, taken.Via); !ok || d != "" {
		t.Errorf("taken: %v (-want +got)\n%s", ok, d)
	}
	queued.Taken, queued.Due = true, false
	want("taken", queued)
	queued.Taken, taken.Status, taken.SubCodes = false, meta.ReplicationFailed, []string{"AccessDeniedException", "LimitExceededException"}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().EndReplication(ctx, taken) })
	queued.Status, queued.SubCodes = taken.Status, taken.SubCodes
	want("ended", queued)
}
