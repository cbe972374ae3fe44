package metatest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var pullers = []meta.Puller{
	{UniqueID: "AIDACI", ARN: "arn:aws:iam::000000000000:user/ci"}, {UniqueID: "AROANODE", ARN: "arn:aws:iam::000000000000:role/node"},
}

// activityOf are all rows that q selects.
func activityOf(t *testing.T, s meta.Store, q meta.PullQuery) []meta.PullActivity {
	t.Helper()
	return read(t, s, func(ctx context.Context, r meta.Reader) (all []meta.PullActivity, err error) {
		for a, err := range meta.Activity(ctx, r.Retention(), q, meta.PullKey{}, 2) {
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		return all, nil
	})
}

func pullActivity(t *testing.T, s meta.Store) {
	app, web := newRepository(t, s, "app"), newRepository(t, s, "web")
	a, b, c := newImage(t, s, app, "a", "v1", "latest").Image.Digest, newImage(t, s, app, "b").Image.Digest, newImage(t, s, web, "c", "v1").Image.Digest
	today := meta.DayOf(noon)
	ci, node := pullers[0], pullers[1]
	user := meta.User{UniqueID: ci.UniqueID, Account: registry.Account, Name: "ci", CreatedAt: noon}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertUser(ctx, user) })
	count := func(day meta.Day, repo meta.RepositoryID, d ecr.Digest, by meta.Puller, n int64) meta.PullCount {
		return meta.PullCount{Day: day, Repository: repo, Digest: d, By: by, Pulls: n, LastAt: day.Time().Add(time.Duration(n) * time.Minute)}
	}
	for _, counts := range [][]meta.PullCount{
		nil,
		{count(today-1, app, a, ci, 3), count(today, app, a, ci, 5), count(today, app, a, ci, 1), count(today, app, b, node, 2)},
		{count(today, app, a, ci, 4), count(today, web, c, node, 7), count(today, missing, a, ci, 9), count(today, app, c, ci, 9)},
	} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().CountPulls(ctx, counts) })
	}
	row := func(day meta.Day, name ecr.RepositoryName, repo meta.RepositoryID, d ecr.Digest, by meta.Puller, n int64, last time.Duration, tag ecr.Tag) meta.PullActivity {
		return meta.PullActivity{PullCount: meta.PullCount{Day: day, Repository: repo, Digest: d, By: by, Pulls: n, LastAt: day.Time().Add(last)}, Name: name, Tag: tag, Gone: by == node}
	}
	rows := []meta.PullActivity{
		row(today-1, "app", app, a, ci, 3, 3*time.Minute, "latest"),
		row(today, "app", app, a, ci, 10, 5*time.Minute, "latest"),
		row(today, "app", app, b, node, 2, 2*time.Minute, ""),
		row(today, "web", web, c, node, 7, 7*time.Minute, "v1"),
	}
	slices.SortFunc(rows[1:3], func(x, y meta.PullActivity) int { return cmpDigest(x.Digest, y.Digest) })
	at := slices.IndexFunc(rows, func(r meta.PullActivity) bool { return r.Digest == b })
	for name, test := range map[string]struct {
		q    meta.PullQuery
		want []int
	}{
		"everything":       {meta.PullQuery{}, []int{0, 1, 2, 3}},
		"newest first":     {meta.PullQuery{Backward: true}, []int{3, 2, 1, 0}},
		"another registry": {meta.PullQuery{Registry: other}, nil},
		"repository":       {meta.PullQuery{Repository: app}, []int{0, 1, 2}},
		"image":            {meta.PullQuery{Repository: app, Digest: b}, []int{at}},
		"tag":              {meta.PullQuery{Repository: app, Tag: "v1"}, []int{0, 3 - at}},
		"principal":        {meta.PullQuery{ARN: node.ARN}, []int{at, 3}},
		"since":            {meta.PullQuery{Since: today, Backward: true}, []int{3, 2, 1}},
		"until":            {meta.PullQuery{Until: today - 1}, []int{0}},
		"all of them":      {meta.PullQuery{Repository: app, Digest: a, ARN: ci.ARN, Since: today, Until: today}, []int{3 - at}},
		"nobody":           {meta.PullQuery{ARN: "arn:aws:iam::000000000000:user/nobody"}, nil},
	} {
		if test.q.Registry == (ecr.RegistryID{}) {
			test.q.Registry = registry
		}
		var want []meta.PullActivity
		for _, i := range test.want {
			want = append(want, rows[i])
		}
		got := activityOf(t, s, test.q)
		for i := range got {
			got[i].PullerID = 0 // the store's own
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	days := func(repo meta.RepositoryID, since meta.Day, limit int) []meta.PullDay {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.PullDay, error) {
			return r.Retention().PullDays(ctx, registry, repo, since, limit)
		})
	}
	all := []meta.PullDay{{Day: today - 1, Name: "app", Pulls: 3}, {Day: today, Name: "app", Pulls: 12}, {Day: today, Name: "web", Pulls: 7}}
	if diff := cmp.Diff([][]meta.PullDay{all, all[:2], all[1:], all[:1]},
		[][]meta.PullDay{days(0, 0, 10), days(app, 0, 10), days(0, today, 10), days(0, 0, 1)}); diff != "" {
		t.Errorf("days:\n%s", diff)
	}
}

func cmpDigest(a, b ecr.Digest) int {
	if a < b {
		return -1
	}
	return 1
}

// pullActivityGone: rows go with their image, the days of a repository only with the
// repository, and both after a while; a row tells of a user who is gone.
func pullActivityGone(t *testing.T, s meta.Store) {
	app := newRepository(t, s, "app")
	a, b := newImage(t, s, app, "a").Image.Digest, newImage(t, s, app, "b").Image.Digest
	today := meta.DayOf(noon)
	user := meta.User{UniqueID: pullers[0].UniqueID, Account: registry.Account, Name: "ci", CreatedAt: noon}
	role := meta.Role{UniqueID: pullers[1].UniqueID, Account: registry.Account, Name: "node", CreatedAt: noon, Trust: "{}"}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		var counts []meta.PullCount
		for day := today - 3; day <= today; day++ {
			for _, by := range pullers {
				counts = append(counts, meta.PullCount{Day: day, Repository: app, Digest: a, By: by, Pulls: 1, LastAt: day.Time()},
					meta.PullCount{Day: day, Repository: app, Digest: b, By: by, Pulls: 1, LastAt: day.Time()})
			}
		}
		return errors.Join(tx.Identities().InsertUser(ctx, user), tx.Identities().InsertRole(ctx, role), tx.Retention().CountPulls(ctx, counts))
	})
	gone := func() (n int) {
		for _, r := range activityOf(t, s, meta.PullQuery{Registry: registry}) {
			if r.Gone {
				n++
			}
		}
		return n
	}
	has := func(rows, days int64) {
		t.Helper()
		list := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.PullDay, error) {
			return r.Retention().PullDays(ctx, registry, app, 0, 100)
		})
		total := int64(0)
		for _, d := range list {
			total += d.Pulls
		}
		if n := int64(len(activityOf(t, s, meta.PullQuery{Registry: registry}))); n != rows || total != days {
			t.Errorf("%d rows, and %d pulls by day; want %d and %d", n, total, rows, days)
		}
	}
	has(16, 16)
	if n := gone(); n != 0 {
		t.Errorf("%d rows are said to be of someone who is gone", n)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().DeleteUser(ctx, user.UniqueID), tx.Identities().DeleteRole(ctx, role.UniqueID))
	})
	if n := gone(); n != 16 {
		t.Errorf("%d rows are said to be of someone who is gone, want all 16", n)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, app, b, noon) })
	has(8, 16)
	oldest := func(most int) (day meta.Day) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			day, err = tx.Retention().OldestPulls(ctx, most)
			return err
		})
		return day
	}
	if got := []meta.Day{oldest(8), oldest(7), oldest(6), oldest(4), oldest(0)}; !slices.Equal(got, []meta.Day{0, today - 2, today - 2, today - 1, today + 1}) {
		t.Errorf("first days: %v, today is %d", got, today)
	}
	trim := func(before meta.Day, limit int) (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Retention().TrimPulls(ctx, before, limit)
			return err
		})
		return n
	}
	if got := []int{trim(today-3, 10), trim(today, 4), trim(today, 4), trim(today, 4), trim(today, 4)}; !slices.Equal(got, []int{0, 4, 4, 1, 0}) {
		t.Errorf("trimmed %v", got)
	}
	has(2, 4)
	if got := []int{trim(today+1, 9), trim(today+1, 9)}; !slices.Equal(got, []int{5, 0}) {
		t.Errorf("trimmed rows, days and pullers: %v", got)
	}
	// A repository takes everything with it.
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().CountPulls(ctx, []meta.PullCount{{Day: today, Repository: app, Digest: a, By: pullers[0], Pulls: 1, LastAt: noon}})
	})
	has(1, 1)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.DeleteManifest(ctx, app, a, noon), tx.DeleteRepository(ctx, app))
	})
	has(0, 0)
	if n := trim(today, 9); n != 1 {
		t.Errorf("%d rows are left over, want the puller", n)
	}
}
