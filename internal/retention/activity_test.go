package retention_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// someone is a principal of the home account that may do everything.
func someone(kind, name string) access.Principal {
	p := testkit.Admin
	p.ARN, p.UniqueID = "arn:aws:iam::000000000000:"+kind+"/"+name, "AIDA"+name
	return p
}

// Who pulls is counted by day, image and principal: sessions of a role as the role,
// also when it does not count as use, the server itself not. A pull writes nothing.
func TestActivity(t *testing.T) {
	store := &writes{}
	f := testkit.Open(t, testkit.Settings{ActivityDays: 90})
	store.Store = f.Meta
	ctx, app, web := t.Context(), f.Repo("app", ecr.Mutable), f.Repo("web", ecr.Mutable)
	a, b := f.MustPut(app, f.Image(app, "a"), "v1"), f.MustPut(web, f.Image(web, "b"))
	f.Set(func(s *testkit.Settings) { s.Between = store })
	ci, role := someone("user", "ci"), someone("role", "node")
	role.Session, role.UniqueID = &access.Session{RoleARN: "arn:aws:iam::000000000000:role/team/node"}, "AROANODE:i-1"
	role.ARN = "arn:aws:sts::000000000000:assumed-role/node/i-1"
	other := role
	other.ARN, other.UniqueID = "arn:aws:sts::000000000000:assumed-role/node/i-2", "AROANODE:i-2"
	keeper := f.Retention.System("tests")
	if _, err := keeper.RegisterPullTimeExclusion(ctx, app.In, role.Session.RoleARN); err != nil {
		t.Fatal(err)
	}
	before := store.n.Load()
	pull := func(p access.Principal, at ecr.Repo, d ecr.Digest) {
		t.Helper()
		if _, err := f.As(p).Manifest(ctx, at, ecr.ImageID{Digest: d}); err != nil {
			t.Fatal(err)
		}
	}
	pull(ci, app, a)
	pull(role, app, a)
	pull(other, app, a)
	if _, _, err := f.As(ci).BatchGetImage(ctx, app, []ecr.ImageID{{Digest: a}, {Tag: "v1"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.As(ci).StatManifest(ctx, app, ecr.ImageID{Digest: a}); err != nil { // HEAD is no pull
		t.Fatal(err)
	}
	if _, err := f.Registry.System("tests").Manifest(ctx, app, ecr.ImageID{Digest: a}); err != nil {
		t.Fatal(err)
	}
	today := meta.DayOf(f.Now())
	f.Advance(24 * time.Hour)
	pull(ci, web, b)
	if n := store.n.Load(); n != before {
		t.Errorf("pulls made %d writes", n-before)
	}
	rows := func(p access.Principal, filter retention.ActivityFilter) []string {
		t.Helper()
		filter.Registry = testkit.Home
		var out []string
		for after := (meta.PullKey{}); ; {
			list, next, err := f.Retention.As(p).Activity(ctx, filter, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range list {
				out = append(out, fmt.Sprint(r.Day-today, " ", r.Name, " ", r.By.ARN, " ", r.Pulls, " ", r.Gone))
			}
			if after = next; next == (meta.PullKey{}) {
				return out
			}
		}
	}
	const byCI, byRole, ofWeb = "0 app arn:aws:iam::000000000000:user/ci 3 true", "0 app arn:aws:iam::000000000000:role/team/node 2 true", "1 web arn:aws:iam::000000000000:user/ci 1 true"
	all := rows(testkit.Admin, retention.ActivityFilter{})
	slices.Sort(all[:2])
	if diff := cmp.Diff([]string{byRole, byCI, ofWeb}, all); diff != "" {
		t.Error(diff)
	}
	for name, tt := range map[string]struct {
		filter retention.ActivityFilter
		want   []string
	}{
		"repository":     {retention.ActivityFilter{Name: "web"}, []string{ofWeb}},
		"name of a user": {retention.ActivityFilter{Principal: "user/ci", Backward: true}, []string{ofWeb, byCI}},
		"ARN":            {retention.ActivityFilter{Principal: "arn:aws:iam::000000000000:role/team/node"}, []string{byRole}},
		"tag":            {retention.ActivityFilter{Name: "app", Image: ecr.ImageID{Tag: "v1"}, Principal: "user/ci"}, []string{byCI}},
		"days":           {retention.ActivityFilter{Since: today + 1, Until: today + 1}, []string{ofWeb}},
	} {
		if diff := cmp.Diff(tt.want, rows(testkit.Admin, tt.filter)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	// Who may see some repositories sees their rows and their days, and no others.
	some := someone("user", "some")
	some.Documents = []access.Document{{Name: "test", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kontor:ListPullActivity","Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/secret":"yes"}}}]}`}}
	if err := f.TagResource(ctx, app, map[string]string{"secret": "yes"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ofWeb}, rows(some, retention.ActivityFilter{})); diff != "" {
		t.Error(diff)
	}
	// One call looks at some rows, and says where to go on.
	var seen []int
	for after := (meta.PullKey{}); len(seen) < 10; {
		list, next, err := f.Retention.As(some).ActivityOf(ctx, retention.ActivityFilter{Registry: testkit.Home}, after, 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, len(list))
		if after = next; next == (meta.PullKey{}) {
			break
		}
	}
	if diff := cmp.Diff([]int{0, 0, 1}, seen); diff != "" {
		t.Error(diff)
	}
	days := func(p access.Principal, name ecr.RepositoryName) map[meta.Day]int64 {
		t.Helper()
		got, complete, err := f.Retention.As(p).PullDays(ctx, testkit.Home, name, 0)
		if err != nil || !complete {
			t.Fatal(complete, err)
		}
		return got
	}
	if diff := cmp.Diff([]map[meta.Day]int64{{today: 5, today + 1: 1}, {today: 5}, {today + 1: 1}},
		[]map[meta.Day]int64{days(testkit.Admin, ""), days(testkit.Admin, "app"), days(some, "")}); diff != "" {
		t.Error(diff)
	}
	_, _, err := f.Retention.As(some).Activity(ctx, retention.ActivityFilter{Registry: testkit.Home, Name: "app"}, meta.PullKey{}, 1)
	testkit.WantCode(t, err, ecr.CodeAccessDenied)
	_, _, err = f.Retention.As(some).PullDays(ctx, testkit.Home, "app", 0)
	testkit.WantCode(t, err, ecr.CodeAccessDenied)

	// What cannot be stored now is stored later.
	store.refuse.Store(true)
	pull(ci, web, b)
	if err := f.Retention.FlushPulls(ctx); err == nil {
		t.Error("it was stored")
	}
	if got := days(testkit.Admin, "web"); got[today+1] != 1 { // shown without it
		t.Errorf("pulls of today: %d, want 1", got[today+1])
	}
	if got := rows(testkit.Admin, retention.ActivityFilter{Name: "web"}); !slices.Equal(got, []string{ofWeb}) {
		t.Errorf("%q", got)
	}
	store.refuse.Store(false)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := f.Retention.FlushPulls(cancelled); err != nil {
		t.Errorf("for a caller who has gone: %v", err)
	}
	if got := days(testkit.Admin, "web"); got[today+1] != 2 {
		t.Errorf("pulls of today: %d, want 2", got[today+1])
	}

	// The oldest days go, and what is more than is kept.
	f.Advance(89 * 24 * time.Hour)
	pull(ci, web, b)
	if _, err := f.Jobs.TrimActivity(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 web arn:aws:iam::000000000000:user/ci 2 true", "90 web arn:aws:iam::000000000000:user/ci 1 true"}, rows(testkit.Admin, retention.ActivityFilter{})); diff != "" {
		t.Error(diff)
	}
	f.Set(func(s *testkit.Settings) { s.ActivityDays = 0 })
	pull(ci, web, b)
	if _, err := f.Jobs.TrimActivity(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(testkit.Admin, retention.ActivityFilter{}); len(got) > 0 {
		t.Errorf("kept though it is off: %q", got)
	}
}
