package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func imageStatus(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	m := newImage(t, s, repo, "m", "v1")
	set := func(d ecr.Digest, status ecr.ImageStatus, at time.Time) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.SetImageStatus(ctx, repo, d, status, at) }
	}
	refused(t, s, meta.ErrNotFound, set(digest("none"), ecr.StatusArchived, noon))
	expect := func() {
		t.Helper()
		diff(t, want(m, "v1"), getImage(t, s, repo, m.Image.Digest))
		diff(t, []meta.Manifest{listed(m, "v1")}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
			return r.ListManifests(ctx, repo, "", 10)
		}))
	}
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusArchived, noon.Add(1)))
	m.Image.Status, m.Image.ArchivedAt = ecr.StatusArchived, noon
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusActivating, noon.Add(time.Hour)))
	m.Image.Status = ecr.StatusActivating
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusActive, noon.Add(2*time.Hour)))
	m.Image.Status, m.Image.ActivatedAt = ecr.StatusActive, noon.Add(2*time.Hour)
	expect()
	// It goes with the image.
	deleteImage(t, s, repo, m.Image.Digest, noon)
	m = newImage(t, s, repo, "m", "v1")
	expect()
}

func lifecycleEvaluated(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	set := func(repo meta.RepositoryID) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.SetLifecycleEvaluated(ctx, repo, noon) }
	}
	get := func() meta.Repository {
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
			return r.Repository(ctx, registry, "app")
		})
	}
	if at := get().LifecycleEvaluatedAt; !at.IsZero() {
		t.Errorf("a new repository was evaluated at %v", at)
	}
	refused(t, s, meta.ErrNotFound, set(missing))
	update(t, s, set(repo))
	changed := get()
	changed.LifecycleEvaluatedAt, changed.ScanOnPush = time.Time{}, true
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.UpdateRepository(ctx, changed) })
	changed.LifecycleEvaluatedAt = noon
	diff(t, changed, get())
}

func references(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	a, b := newBlob(t, s, repo, "a"), newBlob(t, s, repo, "b")
	newBlob(t, s, neighbour, "a")
	imageWith(t, s, neighbour, "n", a)
	var all []meta.Reference
	for i, blobs := range [][]ecr.Digest{{a}, {a, b}, {}, {b, b}} {
		m := imageWith(t, s, repo, fmt.Sprint(i), blobs...)
		for _, d := range slices.Compact(sorted(blobs...)) {
			all = append(all, meta.Reference{Manifest: m, Blob: d, SizeBytes: 3})
		}
	}
	slices.SortFunc(all, func(x, y meta.Reference) int {
		if c := cmpString(x.Manifest, y.Manifest); c != 0 {
			return c
		}
		return cmpString(x.Blob, y.Blob)
	})
	for limit := 1; limit <= 5; limit++ {
		var got []meta.Reference
		for after := (meta.Reference{}); ; after = got[len(got)-1] {
			page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Reference, error) {
				return r.ListReferences(ctx, repo, after, limit)
			})
			if got = append(got, page...); len(page) < limit {
				break
			}
		}
		diff(t, all, got)
	}
	both := imageWith(t, s, repo, "both", b, a, b)
	diff(t, sorted(a, b), read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) { return r.ImageBlobs(ctx, repo, both) }))
	newBlob(t, s, neighbour, "b") // linked, and not used
	diff(t, []ecr.Digest{a}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.SharedBlobs(ctx, repo, []ecr.Digest{b, a, a})
	}))
	index := manifestOf(repo, "index")
	index.Children, index.Sparse = []ecr.Digest{all[0].Manifest, digest("not there")}, true
	insertImage(t, s, index)
}

func leases(t *testing.T, s meta.Store) {
	prod := meta.LeaseCollector{Registry: registry, Name: "prod", ReportedAt: noon, TTL: 90 * time.Minute}
	test := meta.LeaseCollector{Registry: registry, Name: "Test", ReportedAt: noon, TTL: time.Hour}
	lease := func(c meta.LeaseCollector, repo ecr.RepositoryName, id ecr.ImageID, user string) meta.Lease {
		return meta.Lease{Registry: c.Registry, Collector: c.Name, Repository: repo, Image: id, User: user}
	}
	byTag, byDigest := ecr.ImageID{Tag: "v1"}, ecr.ImageID{Digest: digest("d"), Tag: "v1"}
	put := func(c meta.LeaseCollector, leases ...meta.Lease) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutLeases(ctx, c, leases) })
	}
	list := func(in ecr.RegistryID, name ecr.RepositoryName) []meta.Lease {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Lease, error) {
			all, err := r.Retention().ListLeases(ctx, in, name)
			var paged []meta.Lease // the same, page by page
			for l, perr := range meta.Pages(meta.Lease{}, 7, func(after meta.Lease, limit int) ([]meta.Lease, error) {
				return r.Retention().LeasesAfter(ctx, in, name, after, limit)
			}, func(l meta.Lease) meta.Lease { return l }) {
				err, paged = errors.Join(err, perr), append(paged, l)
			}
			diff(t, all, paged)
			return all, err
		})
	}
	collectors := func() []meta.LeaseCollector {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.LeaseCollector, error) {
			return r.Retention().LeaseCollectors(ctx, registry)
		})
	}
	a, b, c := lease(prod, "app", byTag, "Pod shop/web"), lease(prod, "web", byDigest, "CronJob x/y"), lease(test, "app", byTag, "B")
	put(prod, b, a, b)
	put(test, c)
	of := func(name ecr.RepositoryName, d ecr.Digest, limit int, tags ...ecr.Tag) []meta.Lease {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Lease, error) {
			return r.Retention().LeasesOf(ctx, registry, name, d, tags, limit)
		})
	}
	diff(t, []meta.Lease{c, a}, of("app", digest("x"), 5, "v1", "v2"))
	diff(t, []meta.Lease{c}, of("app", digest("x"), 1, "v1"))
	diff(t, []meta.Lease{b}, of("web", digest("d"), 5, "v1")) // once
	diff(t, []meta.Lease{b}, of("web", digest("x"), 5, "v1")) // the tag has moved
	diff(t, []meta.Lease{b}, of("web", digest("d"), 5))
	diff(t, []meta.Lease(nil), of("web", digest("x"), 5, "v2"))
	diff(t, []meta.LeaseCollector{test, prod}, collectors())
	diff(t, []meta.Lease{c, a, b}, list(registry, ""))
	diff(t, []meta.Lease{c, a}, list(registry, "app"))
	diff(t, []meta.Lease(nil), list(other, ""))
	prod.ReportedAt, prod.TTL = noon.Add(time.Hour), time.Minute
	put(prod, lease(meta.LeaseCollector{Registry: other, Name: "ignored"}, "new", byDigest, "u"))
	diff(t, []meta.LeaseCollector{test, prod}, collectors())
	diff(t, []meta.Lease{c, lease(prod, "new", byDigest, "u")}, list(registry, ""))
	var many []meta.Lease
	for i := range 250 {
		many = append(many, lease(prod, "new", byTag, fmt.Sprintf("%03d", i)))
	}
	put(prod, append(slices.Clone(many), many[99], many[0])...)
	diff(t, many, list(registry, "new"))
	put(prod)
	diff(t, []meta.Lease{c}, list(registry, ""))
	forget := func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().DeleteLeaseCollector(ctx, registry, "Test")
	}
	update(t, s, forget)
	refused(t, s, meta.ErrNotFound, forget)
	diff(t, []meta.Lease(nil), list(registry, ""))
	diff(t, []meta.LeaseCollector{prod}, collectors())
}

func previews(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	get := func(ctx context.Context, r meta.Reader) (meta.LifecyclePreview, error) {
		return r.Retention().LifecyclePreview(ctx, repo)
	}
	put := func(p meta.LifecyclePreview) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutLifecyclePreview(ctx, p) }
	}
	notFound(t, s, "before it is there", get)
	p := meta.LifecyclePreview{Repository: repo, PolicyText: `{"rules":[]}`, Status: "IN_PROGRESS", StartedAt: noon}
	update(t, s, put(p))
	diff(t, p, read(t, s, get))
	p.Status, p.Results, p.StartedAt, p.PolicyText = "COMPLETE", []byte{0, 0xff}, noon.Add(time.Hour), "{}"
	update(t, s, put(p))
	diff(t, p, read(t, s, get))
	p.Repository = missing
	refused(t, s, meta.ErrReferenced, put(p))
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	notFound(t, s, "after its repository", get)
}

func jobStates(t *testing.T, s meta.Store) {
	get := func(ctx context.Context, r meta.Reader) ([]byte, error) {
		return r.Retention().JobState(ctx, "lifecycle")
	}
	notFound(t, s, "before it is there", get)
	for _, state := range []string{`{"at":1}`, `{}`} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().PutJobState(ctx, "lifecycle", []byte(state))
		})
		diff(t, state, string(read(t, s, get)))
	}
	notFound(t, s, "another job", func(ctx context.Context, r meta.Reader) ([]byte, error) {
		return r.Retention().JobState(ctx, "Lifecycle")
	})
}
