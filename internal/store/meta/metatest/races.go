package metatest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// The races are run on one Store, and on two that share a database; pick
// says which one the i-th competitor uses.
type pick func(i int) meta.Store

func alone(s meta.Store) pick { return func(int) meta.Store { return s } }

func both(a, b meta.Store) pick {
	return func(i int) meta.Store {
		if i%2 == 0 {
			return a
		}
		return b
	}
}

func oneWinner(t *testing.T, s meta.Store)            { tagRace(t, alone(s)) }
func replicasOneWinner(t *testing.T, a, b meta.Store) { tagRace(t, both(a, b)) }

// tagRace: of many that put a new tag, exactly one wins, and the tag is its.
func tagRace(t *testing.T, on pick) {
	const n = 130
	repo := newRepository(t, on(0), "app")
	digests := make([]ecr.Digest, n)
	update(t, on(0), func(ctx context.Context, tx meta.Tx) error {
		var errs []error
		for i := range n {
			m := manifestOf(repo, fmt.Sprint(i))
			digests[i] = m.Image.Digest
			errs = append(errs, tx.InsertManifest(ctx, m))
		}
		return errors.Join(errs...)
	})
	errs := race(n, func(i int) error {
		return on(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, repo, meta.TagRow{Tag: "v1", Digest: digests[i], TaggedAt: noon}, false)
		})
	})
	var winner ecr.Digest
	for i, err := range errs {
		switch {
		case err == nil && winner == "":
			winner = digests[i]
		case err == nil:
			t.Errorf("%d won as well", i)
		case !errors.Is(err, meta.ErrExists):
			t.Errorf("%d: %v, want ErrExists", i, err)
		}
	}
	row := read(t, on(1), func(ctx context.Context, r meta.Reader) (meta.TagRow, error) { return r.Tag(ctx, repo, "v1") })
	if row.Digest != winner || winner == "" {
		t.Errorf("the tag points to %q, the winner was %q", row.Digest, winner)
	}
}

func oneRepository(t *testing.T, s meta.Store) {
	ids := make([]meta.RepositoryID, 100)
	errs := race(len(ids), func(i int) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
			ids[i], err = tx.InsertRepository(ctx, repositoryNamed("app"))
			return err
		})
	})
	won := meta.RepositoryID(0)
	for i, err := range errs {
		if err == nil && won == 0 {
			won = ids[i]
		} else if !errors.Is(err, meta.ErrExists) {
			t.Errorf("%d: %v, want ErrExists", i, err)
		}
	}
	if got := getRepository(t, s, registry, "app").ID; got != won {
		t.Errorf("the repository is %d, the winner's was %d", got, won)
	}
}

func writeSkew(t *testing.T, s meta.Store)            { skew(t, alone(s)) }
func replicasWriteSkew(t *testing.T, a, b meta.Store) { skew(t, both(a, b)) }

// skew: each of two may take one tag away if the other tag is still there.
// One after another, they leave one; under mere snapshots, both could go.
func skew(t *testing.T, on pick) {
	repo := newRepository(t, on(0), "app")
	d := newImage(t, on(0), repo, "m").Image.Digest
	mine, others := []ecr.Tag{"a", "b"}, []ecr.Tag{"b", "a"}
	for round := range 15 {
		update(t, on(0), func(ctx context.Context, tx meta.Tx) error {
			return errors.Join(tx.PutTag(ctx, repo, meta.TagRow{Tag: "a", Digest: d, TaggedAt: noon}, true),
				tx.PutTag(ctx, repo, meta.TagRow{Tag: "b", Digest: d, TaggedAt: noon}, true))
		})
		errs := race(2, func(i int) error {
			return on(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
				if _, err := tx.Tag(ctx, repo, others[i]); err != nil {
					return err
				}
				time.Sleep(time.Millisecond) // so that they meet
				return tx.DeleteTag(ctx, repo, mine[i])
			})
		})
		left := read(t, on(0), func(ctx context.Context, r meta.Reader) ([]meta.TagRow, error) { return r.ListTags(ctx, repo, "", 10) })
		failed := 0
		for _, err := range errs {
			if errors.Is(err, meta.ErrNotFound) {
				failed++
			} else if err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if len(left) != 1 || failed != 1 {
			t.Errorf("round %d: %d tags are left, %d of 2 were refused", round, len(left), failed)
		}
	}
}

func counter(t *testing.T, s meta.Store)            { count(t, alone(s)) }
func replicasCounter(t *testing.T, a, b meta.Store) { count(t, both(a, b)) }

// count: read, add one, write; no increment is lost.
func count(t *testing.T, on pick) {
	const n = 60
	newRepository(t, on(0), "app")
	errs := race(n, func(i int) error {
		return on(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			r, err := tx.Repository(ctx, registry, "app")
			if err != nil {
				return err
			}
			v, err := strconv.Atoi("0" + r.PolicyText)
			if err != nil {
				return err
			}
			r.PolicyText = strconv.Itoa(v + 1)
			return tx.UpdateRepository(ctx, r)
		})
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if got := getRepository(t, on(1), registry, "app").PolicyText; got != strconv.Itoa(n) {
		t.Errorf("counted to %s, want %d", got, n)
	}
}

func deletionRace(t *testing.T, s meta.Store)        { deletion(t, alone(s)) }
func replicasDeletion(t *testing.T, a, b meta.Store) { deletion(t, both(a, b)) }

// deletion: an image is deleted, or a blob unlinked, while an image that
// refers to it is put: either may come first, but never do both succeed.
func deletion(t *testing.T, on pick) {
	repo := newRepository(t, on(0), "app")
	for round := range 15 {
		layer := newBlob(t, on(0), repo, fmt.Sprint("layer", round))
		child := newImage(t, on(0), repo, fmt.Sprint("child", round)).Image.Digest
		withBlob, index := manifestOf(repo, fmt.Sprint("image", round)), manifestOf(repo, fmt.Sprint("index", round))
		withBlob.Blobs, index.Children = []ecr.Digest{layer}, []ecr.Digest{child}
		acts := []func(context.Context, meta.Tx) error{
			func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, withBlob) },
			func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, layer) },
			func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, index) },
			func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, child, noon) },
		}
		errs := race(4, func(i int) error { return on(i).Update(t.Context(), acts[i]) })
		for i := 0; i < 4; i += 2 {
			put, remove := errs[i], errs[i+1]
			if (put == nil) == (remove == nil) {
				t.Errorf("round %d: put: %v, remove: %v", round, put, remove)
			}
			for _, err := range []error{put, remove} {
				if err != nil && !errors.Is(err, meta.ErrReferenced) {
					t.Errorf("round %d: %v, want ErrReferenced", round, err)
				}
			}
		}
	}
}

func replicasRead(t *testing.T, a, b meta.Store) {
	for i := range 10 {
		name := ecr.RepositoryName(fmt.Sprint("r", i))
		writer, reader := both(a, b)(i), both(a, b)(i+1)
		id := newRepository(t, writer, name)
		if got := getRepository(t, reader, registry, name).ID; got != id {
			t.Errorf("%s is %d, want %d", name, got, id)
		}
	}
}

// replicasRepositoryRace: pushes and the deletion of their repository; what
// was pushed before goes with it, what comes after is refused, and nothing
// stays.
func replicasRepositoryRace(t *testing.T, a, b meta.Store) {
	on := both(a, b)
	for round := range 5 {
		repo := newRepository(t, a, "app")
		layer := newBlob(t, a, repo, fmt.Sprint("layer", round))
		errs := race(9, func(i int) error {
			return on(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
				if i == 4 {
					return tx.DeleteRepository(ctx, repo)
				}
				m := manifestOf(repo, fmt.Sprint(i))
				m.Blobs = []ecr.Digest{layer}
				return errors.Join(tx.InsertManifest(ctx, m), tx.InsertUpload(ctx, uploadOf(repo, 100*round+i)))
			})
		})
		for i, err := range errs {
			if i == 4 && err != nil || err != nil && !errors.Is(err, meta.ErrReferenced) {
				t.Errorf("round %d, %d: %v", round, i, err)
			}
		}
		if yes := read(t, b, func(ctx context.Context, r meta.Reader) (bool, error) { return r.HasImages(ctx, repo) }); yes {
			t.Errorf("round %d: images are left", round)
		}
		if n := read(t, b, func(ctx context.Context, r meta.Reader) (int, error) { return r.CountUploads(ctx, "") }); n > 0 {
			t.Errorf("round %d: %d uploads are left", round, n)
		}
	}
}

// replicasPulls: two replicas record and count pulls of the same images; the latest
// stays, and none is lost.
func replicasPulls(t *testing.T, a, b meta.Store) {
	const n = 20
	repo := newRepository(t, a, "app")
	var digests []ecr.Digest
	for i := range n {
		digests = append(digests, newImage(t, a, repo, fmt.Sprint(i)).Image.Digest)
	}
	errs := race(20, func(i int) error {
		var pulls []meta.Pull
		var counts []meta.PullCount
		for j := range n {
			p := meta.Pull{Repository: repo, Digest: digests[(i+j)%n], At: noon.Add(time.Duration(i) * time.Second)}
			pulls = append(pulls, p)
			counts = append(counts, meta.PullCount{Day: meta.DayOf(p.At), Repository: repo, Digest: p.Digest, By: pullers[(i+j)%2], Pulls: 1, LastAt: p.At})
		}
		return both(a, b)(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			return errors.Join(tx.RecordPulls(ctx, pulls), tx.Retention().CountPulls(ctx, counts))
		})
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	total := int64(0)
	for _, r := range activityOf(t, b, meta.PullQuery{Registry: registry}) {
		total += r.Pulls
	}
	days := read(t, a, func(ctx context.Context, r meta.Reader) ([]meta.PullDay, error) {
		return r.Retention().PullDays(ctx, registry, repo, 0, 10)
	})
	if total != 20*n || len(days) != 1 || days[0].Pulls != total {
		t.Errorf("%d pulls are counted, want %d; by day %+v", total, 20*n, days)
	}
	for _, d := range digests {
		if got := getImage(t, b, repo, d).Image.LastPulledAt; !got.Equal(noon.Add(19 * time.Second)) {
			t.Errorf("%s: last pulled %v", d, got)
		}
	}
}

// replicasLong: an update that takes its time gets through, though a neighbour
// changes what it reads faster than it can finish.
func replicasLong(t *testing.T, a, b meta.Store) {
	newRepository(t, a, "app")
	change := func(s meta.Store, pause time.Duration) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			r, err := tx.Repository(ctx, registry, "app")
			if err != nil {
				return err
			}
			time.Sleep(pause)
			return tx.UpdateRepository(ctx, r)
		})
	}
	stop, short := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				short <- nil
				return
			default:
			}
			if err := change(b, 0); err != nil {
				short <- err
				return
			}
		}
	}()
	for range 3 {
		if err := change(a, 100*time.Millisecond); err != nil {
			t.Errorf("the long one: %v", err)
		}
	}
	close(stop)
	if err := <-short; err != nil {
		t.Errorf("a short one: %v", err)
	}
}
