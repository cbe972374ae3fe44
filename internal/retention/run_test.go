package retention_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/lifecycle"
)

// rulesOf is a policy of these rules, with priorities 10, 20, ...; each is
// tagStatus, patterns separated by spaces, count type and number.
func rulesOf(rules ...string) string {
	var list []string
	for i, r := range rules {
		f := strings.Split(r, ",")
		sel := fmt.Sprintf(`"tagStatus":%q,"countType":%q,"countNumber":%s`, f[0], f[2], f[3])
		if f[1] != "" {
			sel += fmt.Sprintf(`,"tagPatternList":["%s"]`, strings.ReplaceAll(f[1], " ", `","`))
		}
		if f[2] != "imageCountMoreThan" {
			sel += `,"countUnit":"days"`
		}
		action := `{"type":"expire"}`
		if len(f) > 4 {
			action = `{"type":"transition","targetStorageClass":"archive"}`
		}
		list = append(list, fmt.Sprintf(`{"rulePriority":%d,"description":"rule number %d","selection":{%s},"action":%s}`, 10*(i+1), i+1, sel, action))
	}
	return `{"rules":[` + strings.Join(list, ",") + `]}`
}

const oldUntagged = "untagged,,sinceImagePushed,1"

func setRules(f *testkit.World, to ecr.Repo, rules ...string) {
	f.T.Helper()
	if _, err := f.SetLifecyclePolicy(f.T.Context(), to, rulesOf(rules...)); err != nil {
		f.T.Fatal(err)
	}
}

func runPolicy(f *testkit.World, to ecr.Repo, o retention.RunOptions) retention.LifecycleRun {
	f.T.Helper()
	run, err := f.RunLifecycle(f.T.Context(), to, o)
	if err != nil {
		f.T.Fatal(err)
	}
	return run
}

// expired are the images that a run deleted, by name.
func expired(run retention.LifecycleRun, names map[ecr.Digest]string) []string {
	list := []string{}
	for _, o := range run.Outcomes {
		if o.Action == lifecycle.Expire {
			list = append(list, names[o.Digest])
		}
	}
	slices.Sort(list)
	return list
}

// A multi-platform image with attestations, as buildx pushes it, under the
// untagged rule: nothing of it goes while its index has a tag, however old.
// Once the tag has moved on, the index goes, and its children one run later.
func TestLifecycleOfAMultiPlatformImage(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	amd, arm, attest := f.Image(to, "amd64"), f.Image(to, "arm64"), f.Image(to, "attestation")
	names := map[ecr.Digest]string{f.MustPut(to, amd): "amd64", f.MustPut(to, arm): "arm64", f.MustPut(to, attest): "attestation"}
	list := testkit.Index(amd, arm, attest)
	names[f.MustPut(to, list, "latest")] = "index"
	names[f.MustPut(to, f.Referrer(to, "signature", list))] = "signature"
	setRules(f, to, oldUntagged)

	f.Advance(30 * testkit.Day)
	run := runPolicy(f, to, retention.RunOptions{})
	if got := expired(run, names); len(got) > 0 {
		t.Errorf("gone while the tag is there: %v", got)
	}
	for _, o := range run.Outcomes {
		if o.GuardedBy != ecr.DigestOf(list) || o.Wanted != lifecycle.Expire || o.Reason != "rule 10: untagged, pushed more than 1 day ago" {
			t.Errorf("%s: %+v", names[o.Digest], o)
		}
	}
	names[f.MustPut(to, f.Image(to, "next"), "latest")] = "next"
	dry := runPolicy(f, to, retention.RunOptions{DryRun: true})
	real := runPolicy(f, to, retention.RunOptions{})
	dry.DryRun = false
	if d := cmp.Diff(dry, real); d != "" {
		t.Errorf("dry run and run differ (-dry +real):\n%s", d)
	}
	if got := expired(real, names); !slices.Equal(got, []string{"index", "signature"}) {
		t.Errorf("first run without the tag: %v", got)
	}
	if got := expired(runPolicy(f, to, retention.RunOptions{}), names); !slices.Equal(got, []string{"amd64", "arm64", "attestation"}) {
		t.Errorf("second run without the tag: %v", got)
	}
	entries, _, err := f.Journal(t.Context(), retention.JournalFilter{Registry: to.In, Name: to.Name, Rule: 10}, 0, 100)
	if err != nil || len(entries) != 5 {
		t.Errorf("%d entries in the journal, %v", len(entries), err)
	}
	for _, e := range entries {
		want := "rule 10: untagged, pushed more than 1 day ago"
		if names[e.Digest] == "signature" {
			want = "rule 10: goes with its subject " + string(ecr.DigestOf(list))
		}
		if e.Reason != want {
			t.Errorf("%s: %q", names[e.Digest], e.Reason)
		}
	}
	if _, evaluated, err := f.LifecyclePolicy(t.Context(), to); err != nil || !evaluated.Equal(f.Now()) {
		t.Errorf("last evaluated at %v, %v", evaluated, err)
	}
}

// Images pushed by digest, whose index is pushed after a run: they are young.
func TestLifecycleBetweenBuildAndIndex(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	setRules(f, to, oldUntagged)
	a, b := f.Image(to, "a"), f.Image(to, "b")
	f.MustPut(to, a)
	f.MustPut(to, b)
	f.Advance(23 * time.Hour)
	if run := runPolicy(f, to, retention.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
	f.MustPut(to, testkit.Index(a, b), "v1")
	f.Advance(10 * testkit.Day)
	if run := runPolicy(f, to, retention.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
}

// An old image whose tag moves and that runs by digest goes, since its age
// counts from its push; a lease on its digest, or on a tag that it still has,
// keeps it.
func TestLifecycleAndLeases(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	f.Set(func(c *testkit.Settings) { c.RecycleTime = 7 * testkit.Day })
	ctx := t.Context()
	leased, free := f.Repo("leased", ecr.Mutable), f.Repo("free", ecr.Mutable)
	var old ecr.Digest
	for _, to := range []ecr.Repo{leased, free} {
		setRules(f, to, oldUntagged, "tagged,v*,sinceImagePushed,5")
		old = f.MustPut(to, f.Image(to, "old"), "latest")
		f.MustPut(to, f.Image(to, "release"), "v1")
	}
	f.Advance(10 * testkit.Day)
	for _, to := range []ecr.Repo{leased, free} {
		f.MustPut(to, f.Image(to, "new"), "latest")
	}
	_, err := f.ReportLeases(ctx, testkit.Home, "prod", time.Hour, []retention.Lease{
		{Repository: "leased", Image: ecr.ImageID{Digest: old}, User: "Deployment shop/web"},
		{Repository: "leased", Image: ecr.ImageID{Tag: "v1"}, User: "CronJob shop/report"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if run := runPolicy(f, free, retention.RunOptions{}); run.Expired != 2 {
		t.Errorf("without leases: %+v", run)
	}
	held := func(when string, findings ...string) {
		t.Helper()
		run := runPolicy(f, leased, retention.RunOptions{})
		var by, found []string
		for _, o := range run.Outcomes {
			by = append(by, o.HeldBy)
		}
		for _, x := range run.Findings {
			found = append(found, x.Code)
		}
		slices.Sort(by)
		if run.Expired != 0 || !slices.Equal(by, []string{"prod: CronJob shop/report", "prod: Deployment shop/web"}) || !slices.Equal(found, findings) {
			t.Errorf("%s: %+v", when, run)
		}
	}
	held("fresh")
	f.Advance(30 * testkit.Day)
	held("a silent collector's leases stay", retention.FindingSilentCollector)
	collectors, leases, err := f.ListLeases(ctx, testkit.Home, "leased")
	if err != nil || len(collectors) != 1 || !collectors[0].Silent || len(leases) != 2 {
		t.Errorf("ListLeases = %+v, %+v, %v", collectors, leases, err)
	}
	if _, err := f.ReportLeases(ctx, testkit.Home, "prod", time.Hour, []retention.Lease{{Repository: "leased", Image: ecr.ImageID{Tag: "v1"}, User: "CronJob shop/report"}}); err != nil {
		t.Fatal(err)
	}
	if run := runPolicy(f, leased, retention.RunOptions{}); run.Expired != 1 {
		t.Errorf("a report replaces the one before: %+v", run)
	}
	if n, err := f.ForgetLeases(ctx, testkit.Home, "prod"); n != 1 || err != nil {
		t.Errorf("ForgetLeases = %d, %v", n, err)
	}
	_, err = f.ForgetLeases(ctx, testkit.Home, "prod")
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "collector")
	if run := runPolicy(f, leased, retention.RunOptions{}); run.Expired != 1 {
		t.Errorf("forgotten: %+v", run)
	}
}

func TestReportLeasesRefuses(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	good := retention.Lease{Repository: "app", Image: ecr.ImageID{Tag: "v1"}, User: "pod"}
	for name, c := range map[string]struct {
		collector string
		ttl       time.Duration
		change    func(*retention.Lease)
	}{
		"no name":        {"", time.Hour, nil},
		"control":        {"a\nb", time.Hour, nil},
		"no time":        {"a", 0, nil},
		"for ever":       {"a", 400 * testkit.Day, nil},
		"no image":       {"a", time.Hour, func(l *retention.Lease) { l.Image = ecr.ImageID{} }},
		"bad tag":        {"a", time.Hour, func(l *retention.Lease) { l.Image.Tag = "-" }},
		"bad digest":     {"a", time.Hour, func(l *retention.Lease) { l.Image.Digest = "sha256:1" }},
		"bad repository": {"a", time.Hour, func(l *retention.Lease) { l.Repository = "App" }},
		"no user":        {"a", time.Hour, func(l *retention.Lease) { l.User = "" }},
	} {
		l := good
		if c.change != nil {
			c.change(&l)
		}
		if _, err := f.ReportLeases(t.Context(), testkit.Home, c.collector, c.ttl, []retention.Lease{l}); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that would expire more than max_expire does nothing until it is forced.
func TestMaxExpire(t *testing.T) {
	for _, c := range []struct {
		max  string
		stop bool
	}{{"", false}, {"3", true}, {"4", false}, {"79%", true}, {"80%", false}} {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
		most, err := retention.ParseMaxExpire(c.max)
		if err != nil || most.String() != c.max {
			t.Fatalf("ParseMaxExpire(%q) = %v, %v", c.max, most, err)
		}
		f.Set(func(cfg *testkit.Settings) { cfg.MaxExpire = most })
		to := f.Repo("app", ecr.Mutable)
		for i := range 5 {
			f.MustPut(to, f.Image(to, fmt.Sprint(i)), ecr.Tag(fmt.Sprint("v", i)))
			f.Advance(time.Hour)
		}
		setRules(f, to, "any,,imageCountMoreThan,1")
		sweep, err := f.Retention.RunAllLifecycle(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !c.stop {
			if sweep.Expired != 4 || len(sweep.Findings) > 0 {
				t.Errorf("%s: %+v", c.max, sweep)
			}
			continue
		}
		found := sweep.Findings[to.ARN()]
		if sweep.Expired != 0 || len(found) != 1 || found[0].Code != retention.FindingMaxExpire || len(f.Digests(to)) != 5 {
			t.Errorf("%s: %+v", c.max, sweep)
		}
		if run := runPolicy(f, to, retention.RunOptions{}); !run.Stopped || run.Expired != 0 || len(run.Outcomes) != 4 {
			t.Errorf("%s, by hand: %+v", c.max, run)
		}
		if run := runPolicy(f, to, retention.RunOptions{Force: true}); run.Stopped || run.Expired != 4 || len(run.Findings) > 0 {
			t.Errorf("%s, forced: %+v", c.max, run)
		}
	}
	for _, bad := range []string{"0", "-1", "101%", "0%", "x", "5 %"} {
		if _, err := retention.ParseMaxExpire(bad); err == nil {
			t.Errorf("ParseMaxExpire takes %q", bad)
		}
	}
}

// Thousands of images go in batches, and each is on record.
func TestLifecycleInBatches(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	const n = 1200
	base := string(f.Image(to, "base"))
	err := f.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		for i := 0; err == nil && i < n; i++ {
			body := []byte(fmt.Sprintf(`%s,"annotations":{"n":"%d"}}`, strings.TrimSuffix(base, "}"), i))
			err = tx.InsertManifest(ctx, meta.Manifest{Repository: repo.ID, Body: body,
				Image: ecr.Image{Digest: ecr.DigestOf(body), MediaType: testkit.ImageType, SizeBytes: 1, PushedAt: f.Now().Add(time.Duration(i) * time.Second)}})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Advance(10 * testkit.Day)
	setRules(f, to, "untagged,,imageCountMoreThan,100")
	run := runPolicy(f, to, retention.RunOptions{})
	if run.Images != n || run.Expired != n-100 || run.SizeBytes != n-100 || len(f.Digests(to)) != 100 {
		t.Errorf("%d of %d expired, %d left", run.Expired, run.Images, len(f.Digests(to)))
	}
}

// What happens between the decision and the deletion saves an image, or makes
// the run decide again.
func TestLifecycleLooksAgain(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		do    func(f *testkit.World, to ecr.Repo, old []byte)
		saved string
		stays bool
	}{
		"nothing": {do: func(*testkit.World, ecr.Repo, []byte) {}},
		"tag":     {do: func(f *testkit.World, to ecr.Repo, old []byte) { f.MustPut(to, old, "keep") }, saved: "its tags changed", stays: true},
		"index":   {do: func(f *testkit.World, to ecr.Repo, old []byte) { f.MustPut(to, testkit.Index(old), "keep") }, saved: "an index lists it: ", stays: true},
		"referrer": {do: func(f *testkit.World, to ecr.Repo, old []byte) { f.MustPut(to, f.Referrer(to, "sig", old)) },
			saved: "an image refers to it: ", stays: true},
		"lease": {do: func(f *testkit.World, to ecr.Repo, old []byte) {
			_, err := f.ReportLeases(f.T.Context(), testkit.Home, "c", time.Hour, []retention.Lease{{Repository: to.Name, Image: ecr.ImageID{Digest: ecr.DigestOf(old)}, User: "pod"}})
			if err != nil {
				f.T.Fatal(err)
			}
		}, stays: true},
		"policy": {do: func(f *testkit.World, to ecr.Repo, _ []byte) { setRules(f, to, "untagged,,sinceImagePushed,100") }, stays: true},
		"archived": {do: func(f *testkit.World, to ecr.Repo, old []byte) {
			if _, err := f.SetStorageClass(f.T.Context(), to, ecr.ImageID{Digest: ecr.DigestOf(old)}, registry.ClassArchive); err != nil {
				f.T.Fatal(err)
			}
		}, stays: true},
		"a younger one deleted": {rules: []string{"untagged,,imageCountMoreThan,1"}, do: func(f *testkit.World, to ecr.Repo, _ []byte) {
			if err := f.DeleteManifest(f.T.Context(), to, ecr.DigestOf(f.Image(to, "young"))); err != nil {
				f.T.Fatal(err)
			}
		}, stays: true},
		"deleted": {do: func(f *testkit.World, to ecr.Repo, old []byte) {
			if err := f.DeleteManifest(f.T.Context(), to, ecr.DigestOf(old)); err != nil {
				f.T.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
			to := f.Repo("app", ecr.Mutable)
			old := f.Image(to, "old")
			d := f.MustPut(to, old)
			f.Advance(10 * testkit.Day)
			f.MustPut(to, f.Image(to, "young"))
			if c.rules == nil {
				c.rules = []string{oldUntagged}
			}
			setRules(f, to, c.rules...)
			// The store lets someone in before the run's first transaction.
			between := &interloper{Store: f.Meta, do: func() { c.do(f, to, old) }}
			run, err := f.With(func(s *testkit.Settings) { s.Between = between }).RunLifecycle(t.Context(), to, retention.RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if between.do != nil {
				t.Fatal("nobody came between")
			}
			if stays := slices.Contains(f.Digests(to), d); stays != c.stays {
				t.Errorf("stays: %v, want %v; %+v", stays, c.stays, run)
			}
			for _, o := range run.Outcomes {
				if o.Digest == d && (!strings.HasPrefix(o.Saved, c.saved) || (o.Saved == "") != (c.saved == "")) {
					t.Errorf("%+v", o)
				}
			}
		})
	}
}

// interloper does something before the first transaction that writes.
type interloper struct {
	meta.Store
	do func()
}

func (i *interloper) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	if do := i.do; do != nil {
		i.do = nil
		do()
	}
	return i.Store.Update(ctx, fn)
}

// engine is the policy and the images of a repository, as package lifecycle
// wants them.
func engine(f *testkit.World, of ecr.Repo) (p lifecycle.Policy, images []lifecycle.Image) {
	f.T.Helper()
	err := f.Meta.View(f.T.Context(), func(ctx context.Context, r meta.Reader) error {
		repo, err := r.Repository(ctx, of.In, of.Name)
		if err != nil {
			return err
		}
		if p, err = lifecycle.Parse([]byte(repo.LifecycleText)); err != nil {
			return err
		}
		rows, err := r.ListManifests(ctx, repo.ID, "", 1000)
		if err != nil {
			return err
		}
		children, err := meta.Children(ctx, r, repo.ID, 1000)
		if err != nil {
			return err
		}
		images = nil
		for _, row := range rows {
			m := lifecycle.Image{Digest: string(row.Image.Digest), PushedAt: row.Image.PushedAt, LastPulledAt: row.Image.LastPulledAt,
				LastArchivedAt: row.Image.ArchivedAt, Status: lifecycle.Status(row.Image.Status), Subject: string(row.Image.Subject)}
			for _, tag := range row.Image.Tags {
				m.Tags = append(m.Tags, string(tag))
			}
			for _, d := range children[row.Image.Digest] {
				m.Children = append(m.Children, string(d))
			}
			images = append(images, m)
		}
		return nil
	})
	if err != nil {
		f.T.Fatal(err)
	}
	return p, images
}

// guardedPreview is what is left of the preview of the API after guards.
func guardedPreview(f *testkit.World, of ecr.Repo, held lifecycle.Held) map[ecr.Digest]lifecycle.ActionType {
	f.T.Helper()
	if _, err := f.StartLifecyclePreview(f.T.Context(), of, ""); err != nil {
		f.T.Fatal(err)
	}
	p, err := f.LifecyclePreview(f.T.Context(), of)
	if err != nil || p.Status != retention.PreviewComplete {
		f.T.Fatalf("preview %s: %v", p.Status, err)
	}
	_, images := engine(f, of)
	var outcomes []lifecycle.Outcome
	for _, m := range images {
		o := lifecycle.Outcome{Digest: m.Digest, Action: lifecycle.Keep}
		for _, r := range p.Results {
			if string(r.Digest) == m.Digest {
				o.Action, o.Rule = r.Action, r.Rule
			}
		}
		outcomes = append(outcomes, o)
	}
	list := map[ecr.Digest]lifecycle.ActionType{}
	for _, o := range (lifecycle.Options{Held: held}).Guard(images, outcomes) {
		if o.Action != lifecycle.Keep {
			list[ecr.Digest(o.Digest)] = o.Action
		}
	}
	return list
}

// Over random histories: what preview after guards, dry run and forecast say of the day that
// comes is what happens then.
func TestDryRunForecastAndRunAgree(t *testing.T) {
	n := 0
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	rapid.Check(t, func(rt *rapid.T) {
		n++
		to := f.Repo(fmt.Sprintf("app-%d", n), ecr.Mutable)
		policies := [][]string{
			{oldUntagged},
			{oldUntagged, "tagged,v*,imageCountMoreThan,2", "any,,sinceImagePushed,3"},
			{"tagged,prod*,imageCountMoreThan,1", "any,,imageCountMoreThan,3"},
			{"untagged,,imageCountMoreThan,1", "tagged,v*,sinceImagePushed,2,archive"},
		}
		var bodies [][]byte
		for i := range rapid.IntRange(1, 9).Draw(rt, "images") {
			body := f.Image(to, fmt.Sprintf("%d-%d", n, i))
			switch kind := rapid.IntRange(0, 3).Draw(rt, "kind"); {
			case kind == 1 && len(bodies) > 0:
				body = testkit.Index(rapid.SampledFrom(bodies).Draw(rt, "child"), bodies[len(bodies)-1])
			case kind == 2 && len(bodies) > 0:
				body = f.Referrer(to, fmt.Sprintf("ref %d-%d", n, i), rapid.SampledFrom(bodies).Draw(rt, "subject"))
			}
			f.MustPut(to, body, rapid.SliceOfNDistinct(rapid.SampledFrom([]ecr.Tag{"v1", "v2", "v3", "prod", "latest"}), 0, 2, rapid.ID).Draw(rt, "tags")...)
			bodies = append(bodies, body)
			f.Advance(time.Duration(rapid.IntRange(0, 40).Draw(rt, "hours")) * time.Hour)
		}
		setRules(f, to, rapid.SampledFrom(policies).Draw(rt, "policy")...)
		held := lifecycle.Held{}
		var leases []retention.Lease
		if rapid.Bool().Draw(rt, "lease") {
			d := ecr.DigestOf(rapid.SampledFrom(bodies).Draw(rt, "leased"))
			held[string(d)] = "c: pod"
			leases = append(leases, retention.Lease{Repository: to.Name, Image: ecr.ImageID{Digest: d}, User: "pod"})
		}
		if _, err := f.ReportLeases(t.Context(), testkit.Home, "c", 300*testkit.Day, leases); err != nil {
			rt.Fatal(err)
		}
		const days = 5
		policy, images := engine(f, to)
		forecast := (lifecycle.Options{Held: held}).Forecast(policy, images, f.Now(), lifecycle.Horizon{Days: days})
		for i, foretold := range forecast.Runs {
			want := map[ecr.Digest]lifecycle.ActionType{}
			for _, g := range foretold.Gone {
				want[ecr.Digest(g.Image.Digest)] = g.Outcome.Action
			}
			preview := guardedPreview(f, to, held)
			dry, run := runPolicy(f, to, retention.RunOptions{DryRun: true}), runPolicy(f, to, retention.RunOptions{})
			if d := cmp.Diff(want, preview); d != "" {
				rt.Fatalf("testkit.Day %d (-forecast +preview after guards):\n%s", i, d)
			}
			for what, r := range map[string]retention.LifecycleRun{"dry run": dry, "run": run} {
				got := map[ecr.Digest]lifecycle.ActionType{}
				for _, o := range r.Outcomes {
					if o.Action != lifecycle.Keep {
						got[o.Digest] = o.Action
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					rt.Fatalf("testkit.Day %d (-forecast +%s):\n%s", i, what, d)
				}
			}
			if left := len(f.Digests(to)); left != foretold.Images {
				rt.Fatalf("testkit.Day %d: %d images are left, %d foretold", i, left, foretold.Images)
			}
			f.Advance(testkit.Day)
		}
	})
}

// The rule that expires by pulls is an extension of compat oci.
func TestPulledExpire(t *testing.T) {
	rules := rulesOf("any,,sinceImagePulled,30")
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	_, err := f.SetLifecyclePolicy(t.Context(), to, rules)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Lifecycle policy validation failure")
	_, err = f.StartLifecyclePreview(t.Context(), to, rules)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Lifecycle policy validation failure")

	f = testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to = f.Repo("app", ecr.Mutable)
	if _, err := f.SetLifecyclePolicy(t.Context(), to, rules); err != nil {
		t.Fatal(err)
	}
	pulled := f.MustPut(to, f.Image(to, "pulled"), "v1")
	f.MustPut(to, f.Image(to, "forgotten"), "v2")
	f.Advance(29 * testkit.Day)
	if _, err := f.Manifest(t.Context(), to, ecr.ImageID{Digest: pulled}); err != nil {
		t.Fatal(err)
	}
	f.Advance(2 * testkit.Day)
	run := runPolicy(f, to, retention.RunOptions{})
	if left := f.Digests(to); run.Expired != 1 || !slices.Equal(left, []ecr.Digest{pulled}) || run.Outcomes[0].Reason != "rule 10: any image, not pulled for more than 30 days" {
		t.Errorf("%+v, left %v", run, left)
	}
}
