package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
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

func (f *fixture) rules(to ecr.Repo, rules ...string) {
	f.t.Helper()
	if _, err := f.SetLifecyclePolicy(f.t.Context(), to, rulesOf(rules...)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) run(to ecr.Repo, o registry.RunOptions) registry.LifecycleRun {
	f.t.Helper()
	run, err := f.RunLifecycle(f.t.Context(), to, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return run
}

// expired are the images that a run deleted, by name.
func expired(run registry.LifecycleRun, names map[ecr.Digest]string) []string {
	list := []string{}
	for _, o := range run.Outcomes {
		if o.Action == lifecycle.Expire {
			list = append(list, names[o.Digest])
		}
	}
	slices.Sort(list)
	return list
}

func (f *fixture) digests(in ecr.Repo) []ecr.Digest {
	f.t.Helper()
	var all []ecr.Digest
	for after := ecr.Digest(""); ; {
		page, next, err := f.ListImageDetails(f.t.Context(), in, "", after, 1000)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, i := range page {
			all = append(all, i.Digest)
		}
		if after = next; next == "" {
			return all
		}
	}
}

// referrer is an image that refers to subject.
func (f *fixture) referrer(to ecr.Repo, content string, subject []byte) []byte {
	body := strings.TrimSuffix(string(f.image(to, content)), "}")
	return []byte(body + `,"artifactType":"application/x-signature","subject":` + string(encode(desc{imageType, ecr.DigestOf(subject), len(subject)})) + "}")
}

// A multi-platform image with attestations, as buildx pushes it, under the
// untagged rule: nothing of it goes while its index has a tag, however old.
// Once the tag has moved on, the index goes, and its children one run later.
func TestLifecycleOfAMultiPlatformImage(t *testing.T) {
	f := open(t, registry.CompatECR)
	to := f.repo("app", ecr.Mutable)
	amd, arm, attest := f.image(to, "amd64"), f.image(to, "arm64"), f.image(to, "attestation")
	names := map[ecr.Digest]string{f.mustPut(to, amd): "amd64", f.mustPut(to, arm): "arm64", f.mustPut(to, attest): "attestation"}
	list := index(amd, arm, attest)
	names[f.mustPut(to, list, "latest")] = "index"
	names[f.mustPut(to, f.referrer(to, "signature", list))] = "signature"
	f.rules(to, oldUntagged)

	f.now = f.now.Add(30 * day)
	run := f.run(to, registry.RunOptions{})
	if got := expired(run, names); len(got) > 0 {
		t.Errorf("gone while the tag is there: %v", got)
	}
	for _, o := range run.Outcomes {
		if o.GuardedBy != ecr.DigestOf(list) || o.Wanted != lifecycle.Expire || o.Reason != "rule 10: untagged, pushed more than 1 day ago" {
			t.Errorf("%s: %+v", names[o.Digest], o)
		}
	}
	names[f.mustPut(to, f.image(to, "next"), "latest")] = "next"
	dry := f.run(to, registry.RunOptions{DryRun: true})
	real := f.run(to, registry.RunOptions{})
	dry.DryRun = false
	if d := cmp.Diff(dry, real); d != "" {
		t.Errorf("dry run and run differ (-dry +real):\n%s", d)
	}
	if got := expired(real, names); !slices.Equal(got, []string{"index", "signature"}) {
		t.Errorf("first run without the tag: %v", got)
	}
	if got := expired(f.run(to, registry.RunOptions{}), names); !slices.Equal(got, []string{"amd64", "arm64", "attestation"}) {
		t.Errorf("second run without the tag: %v", got)
	}
	entries, _, err := f.Journal(t.Context(), registry.JournalFilter{Registry: to.In, Name: to.Name, Rule: 10}, 0, 100)
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
	if _, evaluated, err := f.LifecyclePolicy(t.Context(), to); err != nil || !evaluated.Equal(f.now) {
		t.Errorf("last evaluated at %v, %v", evaluated, err)
	}
}

// Images pushed by digest, whose index is pushed after a run: they are young.
func TestLifecycleBetweenBuildAndIndex(t *testing.T) {
	f := open(t, registry.CompatECR)
	to := f.repo("app", ecr.Mutable)
	f.rules(to, oldUntagged)
	a, b := f.image(to, "a"), f.image(to, "b")
	f.mustPut(to, a)
	f.mustPut(to, b)
	f.now = f.now.Add(23 * time.Hour)
	if run := f.run(to, registry.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
	f.mustPut(to, index(a, b), "v1")
	f.now = f.now.Add(10 * day)
	if run := f.run(to, registry.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
}

// An old image whose tag moves and that runs by digest goes, since its age
// counts from its push; a lease on its digest, or on a tag that it still has,
// keeps it.
func TestLifecycleAndLeases(t *testing.T) {
	f := open(t, registry.CompatECR)
	f.reg = f.with(func(c *registry.Config) { c.RecycleTime = 7 * day })
	ctx := t.Context()
	leased, free := f.repo("leased", ecr.Mutable), f.repo("free", ecr.Mutable)
	var old ecr.Digest
	for _, to := range []ecr.Repo{leased, free} {
		f.rules(to, oldUntagged, "tagged,v*,sinceImagePushed,5")
		old = f.mustPut(to, f.image(to, "old"), "latest")
		f.mustPut(to, f.image(to, "release"), "v1")
	}
	f.now = f.now.Add(10 * day)
	for _, to := range []ecr.Repo{leased, free} {
		f.mustPut(to, f.image(to, "new"), "latest")
	}
	_, err := f.ReportLeases(ctx, home, "prod", time.Hour, []registry.Lease{
		{Repository: "leased", Image: ecr.ImageID{Digest: old}, User: "Deployment shop/web"},
		{Repository: "leased", Image: ecr.ImageID{Tag: "v1"}, User: "CronJob shop/report"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if run := f.run(free, registry.RunOptions{}); run.Expired != 2 {
		t.Errorf("without leases: %+v", run)
	}
	held := func(when string, findings ...string) {
		t.Helper()
		run := f.run(leased, registry.RunOptions{})
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
	f.now = f.now.Add(30 * day)
	held("a silent collector's leases stay", registry.FindingSilentCollector)
	collectors, leases, err := f.ListLeases(ctx, home, "leased")
	if err != nil || len(collectors) != 1 || !collectors[0].Silent || len(leases) != 2 {
		t.Errorf("ListLeases = %+v, %+v, %v", collectors, leases, err)
	}
	if _, err := f.ReportLeases(ctx, home, "prod", time.Hour, []registry.Lease{{Repository: "leased", Image: ecr.ImageID{Tag: "v1"}, User: "CronJob shop/report"}}); err != nil {
		t.Fatal(err)
	}
	if run := f.run(leased, registry.RunOptions{}); run.Expired != 1 {
		t.Errorf("a report replaces the one before: %+v", run)
	}
	if n, err := f.ForgetLeases(ctx, home, "prod"); n != 1 || err != nil {
		t.Errorf("ForgetLeases = %d, %v", n, err)
	}
	_, err = f.ForgetLeases(ctx, home, "prod")
	wantCode(t, err, ecr.CodeInvalidParameter, "collector")
	if run := f.run(leased, registry.RunOptions{}); run.Expired != 1 {
		t.Errorf("forgotten: %+v", run)
	}
}

func TestReportLeasesRefuses(t *testing.T) {
	f := open(t, registry.CompatECR)
	good := registry.Lease{Repository: "app", Image: ecr.ImageID{Tag: "v1"}, User: "pod"}
	for name, c := range map[string]struct {
		collector string
		ttl       time.Duration
		change    func(*registry.Lease)
	}{
		"no name":        {"", time.Hour, nil},
		"control":        {"a\nb", time.Hour, nil},
		"no time":        {"a", 0, nil},
		"for ever":       {"a", 400 * day, nil},
		"no image":       {"a", time.Hour, func(l *registry.Lease) { l.Image = ecr.ImageID{} }},
		"bad tag":        {"a", time.Hour, func(l *registry.Lease) { l.Image.Tag = "-" }},
		"bad digest":     {"a", time.Hour, func(l *registry.Lease) { l.Image.Digest = "sha256:1" }},
		"bad repository": {"a", time.Hour, func(l *registry.Lease) { l.Repository = "App" }},
		"no user":        {"a", time.Hour, func(l *registry.Lease) { l.User = "" }},
	} {
		l := good
		if c.change != nil {
			c.change(&l)
		}
		if _, err := f.ReportLeases(t.Context(), home, c.collector, c.ttl, []registry.Lease{l}); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
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
		f := open(t, registry.CompatECR)
		most, err := registry.ParseMaxExpire(c.max)
		if err != nil || most.String() != c.max {
			t.Fatalf("ParseMaxExpire(%q) = %v, %v", c.max, most, err)
		}
		f.reg = f.with(func(cfg *registry.Config) { cfg.MaxExpire = most })
		f.Caller = f.reg.As(admin)
		to := f.repo("app", ecr.Mutable)
		for i := range 5 {
			f.mustPut(to, f.image(to, fmt.Sprint(i)), ecr.Tag(fmt.Sprint("v", i)))
			f.now = f.now.Add(time.Hour)
		}
		f.rules(to, "any,,imageCountMoreThan,1")
		sweep, err := f.reg.RunAllLifecycle(t.Context())
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
		if sweep.Expired != 0 || len(found) != 1 || found[0].Code != registry.FindingMaxExpire || len(f.digests(to)) != 5 {
			t.Errorf("%s: %+v", c.max, sweep)
		}
		if run := f.run(to, registry.RunOptions{}); !run.Stopped || run.Expired != 0 || len(run.Outcomes) != 4 {
			t.Errorf("%s, by hand: %+v", c.max, run)
		}
		if run := f.run(to, registry.RunOptions{Force: true}); run.Stopped || run.Expired != 4 || len(run.Findings) > 0 {
			t.Errorf("%s, forced: %+v", c.max, run)
		}
	}
	for _, bad := range []string{"0", "-1", "101%", "0%", "x", "5 %"} {
		if _, err := registry.ParseMaxExpire(bad); err == nil {
			t.Errorf("ParseMaxExpire takes %q", bad)
		}
	}
}

// Thousands of images go in batches, and each is on record.
func TestLifecycleInBatches(t *testing.T) {
	f := open(t, registry.CompatECR)
	to := f.repo("app", ecr.Mutable)
	const n = 1200
	base := string(f.image(to, "base"))
	err := f.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		for i := 0; err == nil && i < n; i++ {
			body := []byte(fmt.Sprintf(`%s,"annotations":{"n":"%d"}}`, strings.TrimSuffix(base, "}"), i))
			err = tx.InsertManifest(ctx, meta.Manifest{Repository: repo.ID, Body: body,
				Image: ecr.Image{Digest: ecr.DigestOf(body), MediaType: imageType, SizeBytes: 1, PushedAt: f.now.Add(time.Duration(i) * time.Second)}})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(10 * day)
	f.rules(to, "untagged,,imageCountMoreThan,100")
	run := f.run(to, registry.RunOptions{})
	if run.Images != n || run.Expired != n-100 || run.SizeBytes != n-100 || len(f.digests(to)) != 100 {
		t.Errorf("%d of %d expired, %d left", run.Expired, run.Images, len(f.digests(to)))
	}
}

// What happens between the decision and the deletion saves an image, or makes
// the run decide anew.
func TestLifecycleLooksAgain(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		do    func(f *fixture, to ecr.Repo, old []byte)
		saved string
		stays bool
	}{
		"nothing": {do: func(*fixture, ecr.Repo, []byte) {}},
		"tag":     {do: func(f *fixture, to ecr.Repo, old []byte) { f.mustPut(to, old, "keep") }, saved: "its tags changed", stays: true},
		"index":   {do: func(f *fixture, to ecr.Repo, old []byte) { f.mustPut(to, index(old), "keep") }, saved: "an index lists it: ", stays: true},
		"referrer": {do: func(f *fixture, to ecr.Repo, old []byte) { f.mustPut(to, f.referrer(to, "sig", old)) },
			saved: "an image refers to it: ", stays: true},
		"lease": {do: func(f *fixture, to ecr.Repo, old []byte) {
			_, err := f.ReportLeases(f.t.Context(), home, "c", time.Hour, []registry.Lease{{Repository: to.Name, Image: ecr.ImageID{Digest: ecr.DigestOf(old)}, User: "pod"}})
			if err != nil {
				f.t.Fatal(err)
			}
		}, stays: true},
		"policy": {do: func(f *fixture, to ecr.Repo, _ []byte) { f.rules(to, "untagged,,sinceImagePushed,100") }, stays: true},
		"archived": {do: func(f *fixture, to ecr.Repo, old []byte) {
			if _, err := f.SetStorageClass(f.t.Context(), to, ecr.ImageID{Digest: ecr.DigestOf(old)}, registry.ClassArchive); err != nil {
				f.t.Fatal(err)
			}
		}, stays: true},
		"a younger one deleted": {rules: []string{"untagged,,imageCountMoreThan,1"}, do: func(f *fixture, to ecr.Repo, _ []byte) {
			if err := f.DeleteManifest(f.t.Context(), to, ecr.DigestOf(f.image(to, "young"))); err != nil {
				f.t.Fatal(err)
			}
		}, stays: true},
		"deleted": {do: func(f *fixture, to ecr.Repo, old []byte) {
			if err := f.DeleteManifest(f.t.Context(), to, ecr.DigestOf(old)); err != nil {
				f.t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, registry.CompatECR)
			to := f.repo("app", ecr.Mutable)
			old := f.image(to, "old")
			d := f.mustPut(to, old)
			f.now = f.now.Add(10 * day)
			f.mustPut(to, f.image(to, "young"))
			if c.rules == nil {
				c.rules = []string{oldUntagged}
			}
			f.rules(to, c.rules...)
			// The store lets somebody in before the run's first transaction.
			between := &interloper{Store: f.meta, do: func() { c.do(f, to, old) }}
			cfg := f.cfg
			cfg.Gate = gate.New(gate.Config{Meta: between})
			run, err := registry.New(cfg).As(admin).RunLifecycle(t.Context(), to, registry.RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if between.do != nil {
				t.Fatal("nobody came between")
			}
			if stays := slices.Contains(f.digests(to), d); stays != c.stays {
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

// with is a registry on f's stores with other settings.
func (f *fixture) with(change func(*registry.Config)) *registry.Registry {
	cfg := f.cfg
	cfg.Log = slog.New(slog.DiscardHandler)
	change(&cfg)
	return registry.New(cfg)
}

// engine is the policy and the images of a repository, as package lifecycle
// wants them.
func (f *fixture) engine(of ecr.Repo) (p lifecycle.Policy, images []lifecycle.Image) {
	f.t.Helper()
	err := f.meta.View(f.t.Context(), func(ctx context.Context, r meta.Reader) error {
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
		f.t.Fatal(err)
	}
	return p, images
}

// guardedPreview is what is left of the preview of the API after guards.
func (f *fixture) guardedPreview(of ecr.Repo, held lifecycle.Held) map[ecr.Digest]lifecycle.ActionType {
	f.t.Helper()
	if _, err := f.StartLifecyclePreview(f.t.Context(), of, ""); err != nil {
		f.t.Fatal(err)
	}
	p, err := f.LifecyclePreview(f.t.Context(), of)
	if err != nil || p.Status != registry.PreviewComplete {
		f.t.Fatalf("preview %s: %v", p.Status, err)
	}
	_, images := f.engine(of)
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
	f := open(t, registry.CompatECR)
	rapid.Check(t, func(rt *rapid.T) {
		n++
		to := f.repo(fmt.Sprintf("app-%d", n), ecr.Mutable)
		policies := [][]string{
			{oldUntagged},
			{oldUntagged, "tagged,v*,imageCountMoreThan,2", "any,,sinceImagePushed,3"},
			{"tagged,prod*,imageCountMoreThan,1", "any,,imageCountMoreThan,3"},
			{"untagged,,imageCountMoreThan,1", "tagged,v*,sinceImagePushed,2,archive"},
		}
		var bodies [][]byte
		for i := range rapid.IntRange(1, 9).Draw(rt, "images") {
			body := f.image(to, fmt.Sprintf("%d-%d", n, i))
			switch kind := rapid.IntRange(0, 3).Draw(rt, "kind"); {
			case kind == 1 && len(bodies) > 0:
				body = index(rapid.SampledFrom(bodies).Draw(rt, "child"), bodies[len(bodies)-1])
			case kind == 2 && len(bodies) > 0:
				body = f.referrer(to, fmt.Sprintf("ref %d-%d", n, i), rapid.SampledFrom(bodies).Draw(rt, "subject"))
			}
			f.mustPut(to, body, rapid.SliceOfNDistinct(rapid.SampledFrom([]ecr.Tag{"v1", "v2", "v3", "prod", "latest"}), 0, 2, rapid.ID).Draw(rt, "tags")...)
			bodies = append(bodies, body)
			f.now = f.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "hours")) * time.Hour)
		}
		f.rules(to, rapid.SampledFrom(policies).Draw(rt, "policy")...)
		held := lifecycle.Held{}
		var leases []registry.Lease
		if rapid.Bool().Draw(rt, "lease") {
			d := ecr.DigestOf(rapid.SampledFrom(bodies).Draw(rt, "leased"))
			held[string(d)] = "c: pod"
			leases = append(leases, registry.Lease{Repository: to.Name, Image: ecr.ImageID{Digest: d}, User: "pod"})
		}
		if _, err := f.ReportLeases(t.Context(), home, "c", 300*day, leases); err != nil {
			rt.Fatal(err)
		}
		const days = 5
		policy, images := f.engine(to)
		forecast := (lifecycle.Options{Held: held}).Forecast(policy, images, f.now, lifecycle.Horizon{Days: days})
		for i, foretold := range forecast.Runs {
			want := map[ecr.Digest]lifecycle.ActionType{}
			for _, g := range foretold.Gone {
				want[ecr.Digest(g.Image.Digest)] = g.Outcome.Action
			}
			preview := f.guardedPreview(to, held)
			dry, run := f.run(to, registry.RunOptions{DryRun: true}), f.run(to, registry.RunOptions{})
			if d := cmp.Diff(want, preview); d != "" {
				rt.Fatalf("day %d (-forecast +preview after guards):\n%s", i, d)
			}
			for what, r := range map[string]registry.LifecycleRun{"dry run": dry, "run": run} {
				got := map[ecr.Digest]lifecycle.ActionType{}
				for _, o := range r.Outcomes {
					if o.Action != lifecycle.Keep {
						got[o.Digest] = o.Action
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					rt.Fatalf("day %d (-forecast +%s):\n%s", i, what, d)
				}
			}
			if left := len(f.digests(to)); left != foretold.Images {
				rt.Fatalf("day %d: %d images are left, %d foretold", i, left, foretold.Images)
			}
			f.now = f.now.Add(day)
		}
	})
}
