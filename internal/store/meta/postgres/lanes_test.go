package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/metatest"
)

// hotStore runs all its updates as hot ones; what hot ones may not change is run again.
type hotStore struct{ meta.Store }

func (h hotStore) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	return h.Store.Update(meta.Hot(ctx), fn)
}

// The races of replicas with hot transactions.
func TestReplicasHot(t *testing.T) {
	metatest.RunReplicas(t, func(t *testing.T) (a, b meta.Store) {
		url := migrated(t)
		return hotStore{mustOpen(t, url)}, hotStore{mustOpen(t, url)}
	})
}

// What a hot transaction may not change is changed by a serializable one, once, with all
// that the callback did before.
func TestHotRunsAgain(t *testing.T) {
	s := mustOpen(t, migrated(t))
	defer closeStore(t, s)
	l := lanes{t: t, a: s}
	repo := l.repository("app")
	runs := 0
	err := s.Update(meta.Hot(t.Context()), func(ctx context.Context, tx meta.Tx) error {
		runs++
		if err := tx.InsertManifest(ctx, l.image(repo, "one")); err != nil {
			return err
		}
		return tx.Retention().PutJobState(ctx, "job", []byte("{}"))
	})
	if err != nil || runs != 2 {
		t.Errorf("%v in %d runs, want nil in 2", err, runs)
	}
	runs = 0
	err = s.Update(meta.Hot(t.Context()), func(ctx context.Context, tx meta.Tx) error {
		runs++
		return tx.InsertManifest(ctx, l.image(repo, "two"))
	})
	if err != nil || runs != 1 {
		t.Errorf("%v in %d runs, want nil in 1", err, runs)
	}
	for _, name := range []string{"one", "two"} {
		l.view(func(ctx context.Context, r meta.Reader) error {
			_, err := r.StatManifest(ctx, repo, l.image(repo, name).Image.Digest)
			return err
		})
	}
}

// lanes are two replicas on one database.
type lanes struct {
	t    *testing.T
	a, b meta.Store
	db   *sql.DB
}

type change func(ctx context.Context, tx meta.Tx) error

// A competitor is one of two transactions.
type competitor struct {
	hot bool
	fn  change
}

// order says how two transactions meet.
type order int

const (
	firstHolds  order = iota // the second begins when the first has done its work, which is not committed
	secondHolds              // the other way round
	firstStale               // the first has its snapshot when the second runs and commits
	secondStale              // the other way round
	orders
)

func (o order) String() string {
	return [...]string{"first holds", "second holds", "first is stale", "second is stale"}[o]
}

func (l *lanes) run(s meta.Store, c competitor, fn change) error {
	ctx := l.t.Context()
	if c.hot {
		ctx = meta.Hot(ctx)
	}
	return s.Update(ctx, fn)
}

// blocked reports whether a transaction waits for a lock.
func (l *lanes) blocked() bool {
	var n int
	err := l.db.QueryRowContext(l.t.Context(), `SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	if err != nil {
		l.t.Fatal(err)
	}
	return n > 0
}

// meet runs two transactions in an order, and returns their errors.
func (l *lanes) meet(o order, first, second competitor) (err1, err2 error) {
	if o == secondHolds || o == secondStale {
		err2, err1 = l.meet(o-1, second, first)
		return err1, err2
	}
	reached, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	once := sync.OnceFunc(func() { close(reached); <-release })
	go func() {
		done <- l.run(l.a, first, func(ctx context.Context, tx meta.Tx) error {
			if o == firstStale {
				if _, err := tx.CountUploads(ctx, ""); err != nil {
					return err
				}
				once()
			}
			err := first.fn(ctx, tx)
			if o == firstHolds {
				once()
			}
			return err
		})
	}()
	<-reached
	other := make(chan error, 1)
	go func() { other <- l.run(l.b, second, second.fn) }()
	ended := false
	for until := time.Now().Add(time.Minute); !ended && time.Now().Before(until); {
		select {
		case err2 = <-other:
			ended = true
		case <-time.After(2 * time.Millisecond):
			if l.blocked() {
				until = time.Time{}
			}
		}
	}
	close(release)
	err1 = <-done
	if !ended {
		err2 = <-other
	}
	return err1, err2
}

func (l *lanes) repository(name string) (id meta.RepositoryID) {
	l.t.Helper()
	err := l.a.Update(l.t.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
		id, err = tx.InsertRepository(ctx, meta.Repository{
			Registry: home, Name: ecr.RepositoryName(name), CreatedAt: laneTime,
			Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"},
		})
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return id
}

var (
	home     = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	laneTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func (l *lanes) image(repo meta.RepositoryID, seed string, blobs ...ecr.Digest) meta.Manifest {
	body := []byte(`{"seed":"` + seed + `"}`)
	return meta.Manifest{Repository: repo, Body: body, Blobs: blobs, Image: ecr.Image{
		Digest: ecr.DigestOf(body), MediaType: "application/vnd.oci.image.manifest.v1+json", PushedAt: laneTime, SizeBytes: 1,
	}}
}

func (l *lanes) must(fns ...change) {
	l.t.Helper()
	for _, fn := range fns {
		if err := l.a.Update(l.t.Context(), fn); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lanes) view(fn func(ctx context.Context, r meta.Reader) error) {
	l.t.Helper()
	if err := l.a.View(l.t.Context(), fn); err != nil {
		l.t.Error(err)
	}
}

func putImage(m meta.Manifest) change {
	return func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, m) }
}

func deleteImage(m meta.Manifest) change {
	return func(ctx context.Context, tx meta.Tx) error {
		return tx.DeleteManifest(ctx, m.Repository, m.Image.Digest, laneTime)
	}
}

func putTag(repo meta.RepositoryID, tag ecr.Tag, m meta.Manifest, replace bool) change {
	return func(ctx context.Context, tx meta.Tx) error {
		return tx.PutTag(ctx, repo, meta.TagRow{Tag: tag, Digest: m.Image.Digest, TaggedAt: laneTime}, replace)
	}
}

func addBlob(repo meta.RepositoryID, d ecr.Digest, at time.Time, kept *meta.Blob) change {
	return func(ctx context.Context, tx meta.Tx) error {
		b, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 3, CreatedAt: at})
		if kept != nil {
			*kept = b
		}
		return errors.Join(err, tx.LinkBlob(ctx, repo, d, at))
	}
}

func collectAll(ctx context.Context, tx meta.Tx) error {
	if _, err := tx.Retention().DeleteIdleLinks(ctx, laneTime.Add(time.Hour), 10); err != nil {
		return err
	}
	_, _, err := tx.Retention().DeleteUnusedBlobs(ctx, 10)
	return err
}

// Each invariant that hot transactions have part in, in each order in which the two
// transactions can meet that could violate it. docs/design/0047 has what holds it.
func TestInvariantsOfLanes(t *testing.T) {
	url := migrated(t)
	a, b := mustOpen(t, url), mustOpen(t, url)
	defer closeStore(t, a)
	defer closeStore(t, b)
	pc, err := parse(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*pc)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := 0
	for _, tt := range []struct {
		name string
		// meet prepares, has two transactions meet in an order, and checks what is left.
		meet func(l *lanes, o order, repo meta.RepositoryID)
	}{
		{"a link that an image needs is not hidden", func(l *lanes, o order, repo meta.RepositoryID) {
			d := ecr.DigestOf(fmt.Append(nil, "layer", repo))
			old, added := l.image(repo, "old", d), l.image(repo, "new", d)
			l.must(addBlob(repo, d, laneTime, nil), putImage(old))
			pushed, deleted := l.meet(o, competitor{true, putImage(added)}, competitor{false, deleteImage(old)})
			if pushed != nil || deleted != nil {
				l.t.Errorf("pushed: %v, deleted: %v", pushed, deleted)
			}
			l.view(func(ctx context.Context, r meta.Reader) error {
				b, err := r.Blob(ctx, repo, d)
				if err == nil && !b.IdleSince.IsZero() {
					l.t.Errorf("the blob is idle since %v", b.IdleSince)
				}
				return err
			})
		}},
		{"what an index lists is not deleted", func(l *lanes, o order, repo meta.RepositoryID) {
			child, index := l.image(repo, "child"), l.image(repo, "index")
			index.Children = []ecr.Digest{child.Image.Digest}
			l.must(putImage(child))
			pushed, deleted := l.meet(o, competitor{true, putImage(index)}, competitor{false, deleteImage(child)})
			ok := pushed == nil && errors.Is(deleted, meta.ErrReferenced) || deleted == nil && errors.Is(pushed, meta.ErrReferenced)
			if !ok {
				l.t.Errorf("pushed: %v, deleted: %v", pushed, deleted)
			}
		}},
		{"what a sparse index found is not deleted", func(l *lanes, o order, repo meta.RepositoryID) {
			child, index := l.image(repo, "child"), l.image(repo, "index")
			index.Children, index.Sparse = []ecr.Digest{child.Image.Digest}, true
			l.must(putImage(child))
			pushed, deleted := l.meet(o, competitor{true, putImage(index)}, competitor{false, deleteImage(child)})
			first := o == firstHolds || o == secondStale // the push was first
			if pushed != nil || first != errors.Is(deleted, meta.ErrReferenced) || !first && deleted != nil {
				l.t.Errorf("pushed: %v, deleted: %v", pushed, deleted)
			}
		}},
		{"an image that gets a tag is not deleted as untagged", func(l *lanes, o order, repo meta.RepositoryID) {
			m := l.image(repo, "m")
			l.must(putImage(m))
			tagged, deleted := l.meet(o, competitor{true, putTag(repo, "v1", m, true)}, competitor{false, func(ctx context.Context, tx meta.Tx) error {
				found, err := tx.StatManifest(ctx, repo, m.Image.Digest)
				if err != nil || len(found.Image.Tags) > 0 {
					return err
				}
				return tx.DeleteManifest(ctx, repo, m.Image.Digest, laneTime)
			}})
			if deleted != nil || tagged != nil && !errors.Is(tagged, meta.ErrReferenced) {
				l.t.Errorf("tagged: %v, deleted: %v", tagged, deleted)
			}
			if tagged == nil {
				l.view(func(ctx context.Context, r meta.Reader) error { _, err := r.Tag(ctx, repo, "v1"); return err })
			}
		}},
		{"two moves of a tag know of each other", func(l *lanes, o order, repo meta.RepositoryID) { movesOfTag(l, o, repo, true) }},
		{"two moves of a tag that was free know of each other", func(l *lanes, o order, repo meta.RepositoryID) { movesOfTag(l, o, repo, false) }},
		{"an immutable tag is put once", func(l *lanes, o order, repo meta.RepositoryID) {
			x, y := l.image(repo, "x"), l.image(repo, "y")
			l.must(putImage(x), putImage(y))
			first, second := l.meet(o, competitor{true, putTag(repo, "v1", x, false)}, competitor{true, putTag(repo, "v1", y, false)})
			ok := first == nil && errors.Is(second, meta.ErrExists) || second == nil && errors.Is(first, meta.ErrExists)
			if !ok {
				l.t.Errorf("first: %v, second: %v", first, second)
			}
		}},
		{"a blob that was pushed again is not collected", func(l *lanes, o order, repo meta.RepositoryID) {
			d := ecr.DigestOf(fmt.Append(nil, "again", repo))
			l.must(addBlob(repo, d, laneTime, nil))
			var kept meta.Blob
			pushed, collected := l.meet(o, competitor{true, addBlob(repo, d, laneTime.Add(2*time.Hour), &kept)}, competitor{false, collectAll})
			if pushed != nil || collected != nil {
				l.t.Errorf("pushed: %v, collected: %v", pushed, collected)
			}
			l.view(func(ctx context.Context, r meta.Reader) error {
				b, err := r.Blob(ctx, repo, d)
				if err == nil && b.Key != kept.Key {
					l.t.Errorf("the blob is at %s, the push was told %s", b.Key, kept.Key)
				}
				return err
			})
		}},
		{"a blob that an image needs is not collected", func(l *lanes, o order, repo meta.RepositoryID) {
			d := ecr.DigestOf(fmt.Append(nil, "needed", repo))
			m := l.image(repo, "m", d)
			l.must(addBlob(repo, d, laneTime, nil))
			pushed, collected := l.meet(o, competitor{true, putImage(m)}, competitor{false, collectAll})
			if collected != nil || pushed != nil && !errors.Is(pushed, meta.ErrReferenced) {
				l.t.Errorf("pushed: %v, collected: %v", pushed, collected)
			}
			if pushed == nil {
				l.view(func(ctx context.Context, r meta.Reader) error { _, err := r.Blob(ctx, repo, d); return err })
			}
		}},
		{"a blob and the index that lists it", func(l *lanes, o order, repo meta.RepositoryID) {
			d := ecr.DigestOf(fmt.Append(nil, "listed", repo))
			index := l.image(repo, "index")
			index.Children, index.Sparse = []ecr.Digest{d}, true
			pushed, linked := l.meet(o, competitor{true, putImage(index)}, competitor{true, addBlob(repo, d, laneTime, nil)})
			if pushed != nil || linked != nil {
				l.t.Errorf("pushed: %v, linked: %v", pushed, linked)
			}
			l.must(collectAll, func(ctx context.Context, tx meta.Tx) error {
				_, err := tx.Retention().DropBlobs(ctx, repo, []ecr.Digest{d})
				return err
			})
			l.view(func(ctx context.Context, r meta.Reader) error {
				b, err := r.Blob(ctx, repo, d)
				if err == nil && !b.IdleSince.IsZero() {
					l.t.Errorf("the blob is idle since %v", b.IdleSince)
				}
				return err
			})
		}},
		{"a repository is deleted as empty, or pushed to", func(l *lanes, o order, repo meta.RepositoryID) {
			errNotEmpty := errors.New("not empty")
			pushed, deleted := l.meet(o, competitor{true, putImage(l.image(repo, "m"))}, competitor{false, func(ctx context.Context, tx meta.Tx) error {
				if has, err := tx.HasImages(ctx, repo); err != nil || has {
					return errors.Join(err, errNotEmpty)
				}
				return tx.DeleteRepository(ctx, repo)
			}})
			ok := pushed == nil && errors.Is(deleted, errNotEmpty) || deleted == nil && errors.Is(pushed, meta.ErrReferenced)
			if !ok {
				l.t.Errorf("pushed: %v, deleted: %v", pushed, deleted)
			}
		}},
		{"no image comes into a repository whose deletion has begun", func(l *lanes, o order, repo meta.RepositoryID) {
			intoDeleted(l, o, repo, putImage(l.image(repo, "m")))
		}},
		{"no upload comes into a repository whose deletion has begun", func(l *lanes, o order, repo meta.RepositoryID) {
			u := meta.Upload{ID: meta.UploadID(fmt.Sprint("late", repo)), Repository: repo, Key: blob.NewKey(), CreatedAt: laneTime, UpdatedAt: laneTime}
			intoDeleted(l, o, repo, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) })
		}},
		{"no link comes into a repository whose deletion has begun", func(l *lanes, o order, repo meta.RepositoryID) {
			intoDeleted(l, o, repo, addBlob(repo, ecr.DigestOf(fmt.Append(nil, "late", repo)), laneTime, nil))
		}},
		{"an upload is completed once", func(l *lanes, o order, repo meta.RepositoryID) {
			u := meta.Upload{ID: meta.UploadID(fmt.Sprint("upload", repo)), Repository: repo, Key: blob.NewKey(), CreatedAt: laneTime, UpdatedAt: laneTime}
			l.must(func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) })
			complete := func(seed string) change {
				d := ecr.DigestOf(fmt.Append(nil, seed, repo))
				return func(ctx context.Context, tx meta.Tx) error {
					if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: u.Key, SizeBytes: 1, CreatedAt: laneTime}); err != nil {
						return err
					}
					return errors.Join(tx.LinkBlob(ctx, repo, d, laneTime), tx.DeleteUpload(ctx, u.ID, 0))
				}
			}
			first, second := l.meet(o, competitor{true, complete("a")}, competitor{true, complete("b")})
			if (first == nil) == (second == nil) {
				l.t.Errorf("first: %v, second: %v", first, second)
			}
		}},
		{"an upload has one claim", func(l *lanes, o order, repo meta.RepositoryID) {
			u := meta.Upload{ID: meta.UploadID(fmt.Sprint("claimed", repo)), Repository: repo, Key: blob.NewKey(), CreatedAt: laneTime, UpdatedAt: laneTime}
			l.must(func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) })
			var got [2]bool
			claim := func(i int) change {
				return func(ctx context.Context, tx meta.Tx) (err error) {
					_, got[i], err = tx.ClaimUpload(ctx, repo, u.ID, time.Hour)
					return err
				}
			}
			first, second := l.meet(o, competitor{true, claim(0)}, competitor{true, claim(1)})
			if first != nil || second != nil || got[0] == got[1] {
				l.t.Errorf("first: %v, second: %v, claimed: %v", first, second, got)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for o := range orders {
				t.Run(o.String(), func(t *testing.T) {
					l := &lanes{t: t, a: a, b: b, db: db}
					n++
					tt.meet(l, o, l.repository(fmt.Sprint("app", n)))
				})
			}
		})
	}
}

// movesOfTag: of two that move a tag, one knows the image that it pointed to before, and
// the other the image of the first.
func movesOfTag(l *lanes, o order, repo meta.RepositoryID, there bool) {
	old, x, y := l.image(repo, "old"), l.image(repo, "x"), l.image(repo, "y")
	l.must(putImage(old), putImage(x), putImage(y))
	before := ecr.Digest("")
	if there {
		before = old.Image.Digest
		l.must(putTag(repo, "v1", old, true))
	}
	var seen [2]ecr.Digest
	move := func(i int, m meta.Manifest) change {
		return func(ctx context.Context, tx meta.Tx) error {
			row, err := tx.Tag(ctx, repo, "v1")
			if err != nil && !errors.Is(err, meta.ErrNotFound) {
				return err
			}
			seen[i] = row.Digest
			return putTag(repo, "v1", m, true)(ctx, tx)
		}
	}
	first, second := l.meet(o, competitor{true, move(0, x)}, competitor{true, move(1, y)})
	one := seen == [2]ecr.Digest{before, x.Image.Digest}
	other := seen == [2]ecr.Digest{y.Image.Digest, before}
	if first != nil || second != nil || !one && !other {
		l.t.Errorf("first: %v, second: %v, they saw %v", first, second, seen)
	}
}

// intoDeleted: what comes when the deletion of the repository has begun is refused.
func intoDeleted(l *lanes, o order, repo meta.RepositoryID, push change) {
	pushed, deleted := l.meet(o, competitor{true, push}, competitor{false, func(ctx context.Context, tx meta.Tx) error {
		return tx.BeginDeletion(ctx, meta.Deletion{Repository: repo, At: laneTime})
	}})
	late := o == secondHolds || o == firstStale
	if deleted != nil || late != errors.Is(pushed, meta.ErrReferenced) || !late && pushed != nil {
		l.t.Errorf("pushed: %v, deleted: %v", pushed, deleted)
	}
}
