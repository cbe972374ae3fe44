package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// What a page reads from the database does not grow with what there is, where it shows a
// page of a list. Background jobs read, too, so the least of several looks counts.
func TestConsoleRowsDoNotGrow(t *testing.T) {
	w := start(t, t.TempDir())
	counter, ok := w.meta.(interface{ RowsRead() int64 })
	if !ok {
		t.Fatalf("%T counts no rows", w.meta)
	}
	w.create(here, "app")
	// grow adds of everything the numbers from to to.
	grow := func(from, to int) {
		t.Helper()
		var leases []retention.Lease
		for i := range to {
			leases = append(leases, retention.Lease{Repository: "app", Image: ecr.ImageID{Tag: ecr.Tag(fmt.Sprint("v", i))}, User: fmt.Sprint("pod-", i)})
		}
		if _, err := w.server.Retention().System("test").ReportLeases(t.Context(), here, "cluster", time.Hour, leases); err != nil {
			t.Fatal(err)
		}
		err := w.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			app, err := tx.Repository(ctx, here, "app")
			if err != nil {
				return err
			}
			var pulls []meta.PullCount
			for i := from; i < to; i++ {
				body := fmt.Appendf(nil, `{"n":%d}`, i)
				m := meta.Manifest{Repository: app.ID, Body: body, Image: ecr.Image{Digest: ecr.DigestOf(body), MediaType: manifestType, SizeBytes: 1, PushedAt: w.clock()}}
				tag := meta.TagRow{Tag: ecr.Tag(fmt.Sprint("v", i)), Digest: m.Image.Digest, TaggedAt: w.clock()}
				name := fmt.Sprintf("n%05d", i)
				if err := tx.InsertManifest(ctx, m); err != nil {
					return err
				}
				if err := tx.PutTag(ctx, app.ID, tag, false); err != nil {
					return err
				}
				if _, err := tx.InsertRepository(ctx, meta.Repository{Registry: here, Name: ecr.RepositoryName("team/" + name), CreatedAt: w.clock(), Mutability: ecr.Mutability{Mode: ecr.Mutable}}); err != nil {
					return err
				}
				if err := tx.Retention().AppendJournal(ctx, meta.JournalEntry{At: w.clock(), Registry: here, Name: "app", Repository: app.ID, Op: meta.JournalMoveTag, Digest: m.Image.Digest, Reason: "moved"}); err != nil {
					return err
				}
				if err := tx.Identities().InsertUser(ctx, meta.User{Account: here.Account, UniqueID: "AIDA" + name, Name: name, Path: "/", CreatedAt: w.clock()}); err != nil {
					return err
				}
				if err := tx.Identities().InsertRole(ctx, meta.Role{Account: here.Account, UniqueID: "AROA" + name, Name: name, Path: "/", CreatedAt: w.clock(), Trust: "{}", MaxSession: time.Hour}); err != nil {
					return err
				}
				pulls = append(pulls, meta.PullCount{Day: meta.DayOf(w.clock()), Repository: app.ID, Digest: m.Image.Digest, By: meta.Puller{UniqueID: fmt.Sprint("AIDA", i%7), ARN: fmt.Sprint("arn:aws:iam::000000000000:user/u", i%7)}, Pulls: 1, LastAt: w.clock()})
			}
			return tx.Retention().CountPulls(ctx, pulls)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	grow(0, 700)
	cookie := w.logIn(w.credentials(here, administrator))
	const of = "/console/repositories/app/-/"
	pages := []string{
		"/console/", "/console/repositories", "/console/repositories?sort=pushed", "/console/repositories?sort=bytes&after=0+1&order=asc", "/console/repositories?sort=name&order=desc", of + "activity", "/console/activity", "/console/bin", "/console/journal", "/console/leases", "/console/people",
		"/console/people/users/n00001", "/console/people/roles/n00001", "/console/sessions", "/console/sessions?all=yes", "/console/access", of + "access", of + "access?who=arn:aws:iam::000000000000:user/n00001&right=pull",
	}
	read := func() map[string]int64 {
		t.Helper()
		out := map[string]int64{}
		for _, path := range pages {
			w.want(w.page(cookie, "GET", path, nil), 200) // what is remembered is there
			for range 3 {
				before := counter.RowsRead()
				w.want(w.page(cookie, "GET", path, nil), 200)
				if n := counter.RowsRead() - before; out[path] == 0 || n < out[path] {
					out[path] = n
				}
			}
			if out[path] == 0 {
				t.Errorf("%s: no rows are counted", path)
			}
		}
		return out
	}
	few := read()
	grow(700, 1400)
	for path, n := range read() {
		if n > few[path]+few[path]/10+5 { // logins and figures of them come on top
			t.Errorf("%s: %d rows, %d when there was half as much", path, n, few[path])
		}
	}
}
