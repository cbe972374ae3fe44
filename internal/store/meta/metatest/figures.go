package metatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Repositories are listed by what they had when they were counted, by key, and are counted
// again when a tag was set since, or after a time.
func figures(t *testing.T, s meta.Store) {
	ids := map[meta.RepositoryID]string{}
	var all []meta.RepositoryID
	for i := range 5 {
		id := newRepository(t, s, ecr.RepositoryName(fmt.Sprint("app", i)))
		ids[id], all = fmt.Sprint("app", i), append(all, id)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		away := repositoryNamed("away")
		away.Registry = other
		_, err := tx.InsertRepository(ctx, away)
		return err
	})
	listed := func(q meta.FigureQuery, limit int) (names []string) {
		t.Helper()
		q.Registry = registry
		for {
			page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.CountedRepository, error) {
				return r.Retention().Figures().ByFigure(ctx, q, limit)
			})
			for _, c := range page {
				names = append(names, string(c.Name))
				q.After = c.Key
			}
			if len(page) < limit {
				return names
			}
		}
	}
	stale := func(q meta.StaleFigures, after meta.RepositoryID) (names []string) {
		t.Helper()
		for _, id := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.RepositoryID, error) {
			return r.Retention().Figures().StaleFigures(ctx, q, after, 100)
		}) {
			if ids[id] != "" {
				names = append(names, ids[id])
			}
		}
		return names
	}
	count := func(id meta.RepositoryID) meta.Figures {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Figures, error) {
			return r.Retention().Figures().CountFigures(ctx, id)
		})
	}
	put := func(all ...meta.Figures) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().FigureWriter().PutFigures(ctx, all) })
	}
	names := []string{"app0", "app1", "app2", "app3", "app4"}
	diff(t, names, listed(meta.FigureQuery{By: meta.FigurePushed}, 2)) // before any was counted
	diff(t, names, stale(meta.StaleFigures{Before: noon}, 0))
	diff(t, names[2:], stale(meta.StaleFigures{Before: noon}, all[1]))

	// Each has as many images as its number, each with a blob.
	for i, id := range all {
		for n := range i {
			d := newBlob(t, s, id, fmt.Sprint(i, "-", n))
			body := fmt.Appendf(nil, `{"n":%d}`, n)
			m := meta.Manifest{Repository: id, Body: body, Blobs: []ecr.Digest{d}, Image: ecr.Image{Digest: ecr.DigestOf(body), MediaType: "m", SizeBytes: 1, PushedAt: noon.Add(-time.Duration(i*10+n) * time.Hour)}}
			update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, m) })
		}
	}
	four := count(all[4])
	diff(t, meta.Figures{Repository: all[4], Images: 4, SizeBytes: 4 * int64(len("4-0")), PushedAt: noon.Add(-40 * time.Hour)}, four)
	diff(t, meta.Figures{Repository: all[0]}, count(all[0]))
	for i, id := range all {
		f := count(id)
		f.CountedAt = noon
		if i == 2 {
			f.PulledAt = noon
		}
		put(f)
	}
	put(meta.Figures{Repository: 1 << 40, Images: 7, CountedAt: noon}) // gone
	for _, limit := range []int{1, 2, 10} {
		diff(t, names, listed(meta.FigureQuery{By: meta.FigureImages}, limit))
		diff(t, []string{"app4", "app3", "app2", "app1", "app0"}, listed(meta.FigureQuery{By: meta.FigureSize, Backward: true}, limit))
		diff(t, []string{"app1", "app2", "app3", "app4", "app0"}, listed(meta.FigureQuery{By: meta.FigurePushed, Backward: true}, limit))
		diff(t, []string{"app2", "app4", "app3", "app1", "app0"}, listed(meta.FigureQuery{By: meta.FigurePulled, Backward: true}, limit))
		diff(t, []string{"app4", "app3", "app2", "app1", "app0"}, listed(meta.FigureQuery{By: meta.FigureName, Backward: true}, limit))
		diff(t, names, listed(meta.FigureQuery{By: meta.FigureName}, limit))
	}
	diff(t, []string(nil), stale(meta.StaleFigures{Before: noon}, 0))
	diff(t, names, stale(meta.StaleFigures{Before: noon.Add(time.Second)}, 0))
	tag := func(at time.Time, body string) { // of another image: one that stays has its time
		t.Helper()
		d := ecr.DigestOf([]byte(body))
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, all[3], meta.TagRow{Tag: "v1", Digest: d, TaggedAt: at}, true)
		})
	}
	tag(noon.Add(-time.Minute), `{"n":0}`)
	diff(t, []string(nil), stale(meta.StaleFigures{Before: noon, Slack: time.Minute}, 0))
	diff(t, []string{"app3"}, stale(meta.StaleFigures{Before: noon, Slack: 2 * time.Minute}, 0))
	tag(noon.Add(time.Minute), `{"n":1}`)
	diff(t, []string{"app3"}, stale(meta.StaleFigures{Before: noon}, 0))

	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, all[3]) })
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.BeginDeletion(ctx, meta.Deletion{Repository: all[4], At: noon})
	})
	diff(t, names[:3], listed(meta.FigureQuery{By: meta.FigureImages}, 2))
	diff(t, names[:3], stale(meta.StaleFigures{Before: noon.Add(time.Second)}, 0))
}
