package run_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/wire/admin"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// many is a hundred times how many repositories change. 10,000 take a minute or two.
var many = flag.Int("many", 500, "how many repositories TestCallsOfManyRepositories has; a multiple of 100")

// reading is what a front end is told of reading registries.
type reading struct {
	mu   sync.Mutex
	told []string // guarded by mu
}

func (r *reading) Read(registry string, read, known int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf("%s %d/%d", registry, read, known))
}

func (r *reading) Close() {}

// TestCallsOfManyRepositories: effects cost the calls of the repositories that
// change in a way that has some, whatever the others are. Images are asked for where
// rules or tag mutability change, and who there is once, where policies change.
func TestCallsOfManyRepositories(t *testing.T) {
	b := newBench(t)
	n := *many
	file := func(changed bool) string {
		var text strings.Builder
		text.WriteString("stack: shop\necr_repositories:\n")
		for i := range n {
			settings := "{}"
			if changed && i%100 == 7 {
				settings = []string{
					`{expiration_rules: [{tag_pattern: "pr-*", days: 7}]}`, `{is_immutable: false}`, `{additional_push_account_ids: ["222222222222"]}`, `{scan_on_push: true}`,
				}[i/100%4]
			}
			fmt.Fprintf(&text, "  app-%05d: %s\n", i, settings)
		}
		return text.String()
	}
	b.apply(file(false))
	b.http.take()
	if _, p := b.plan(file(false), plan.Options{}); p.Err() != nil || p.Set.Pending() > 0 {
		t.Fatalf("%d changes, %v", p.Set.Pending(), p.Err())
	}
	want := b.http.take() // of a plan without changes
	if n := want["ListTagsForResource"]; n != *many || want["DescribeImages"]+want["ListLeases"]+want["GetRegistryPolicy"] > 0 {
		t.Errorf("a plan without changes calls %v", want)
	}
	c := b.config(b.file(file(true)))
	var shown []*reading
	c.Reading = func(registries []string) run.Reading {
		if len(registries) != 1 || registries[0] != "local" {
			t.Errorf("reading %v", registries)
		}
		r := &reading{}
		shown = append(shown, r)
		return r
	}
	r, err := run.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := r.Plan(t.Context(), plan.Options{})
	if err != nil || p.Err() != nil || p.Set.Pending() != n/100 {
		t.Fatalf("%d changes, %v, %v", p.Set.Pending(), err, p.Err())
	}
	kinds := map[int]int{}
	for i := range n / 100 {
		kinds[i%4]++
	}
	images := kinds[0] + kinds[1]
	for op, n := range map[string]int{
		"DescribeImages": images, "ListIndexManifests": images, "ListLeases": 1,
		"GetRegistryPolicy": 1, "GetAccountAuthorizationDetails": 1, "GetPolicy": 1, "GetPolicyVersion": 1,
	} {
		want[op] += n
	}
	if diff := cmp.Diff(want, b.http.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, c := range p.Set.Plans[0].Pending() {
		of := "none"
		if c.Effects != nil {
			of = fmt.Sprint(c.Effects.Images != nil, c.Effects.Access != nil)
		}
		var i int
		if _, err := fmt.Sscanf(string(c.Repository), "app-%05d", &i); err != nil {
			t.Fatal(err)
		}
		if want := []string{"true false", "true false", "false true", "none"}[i/100%4]; of != want {
			t.Errorf("%s has effects %s, want %s", c.Repository, of, want)
		}
	}
	if len(shown) != 2 || shown[1].told[len(shown[1].told)-1] != fmt.Sprintf("local %d/%d", images, images) {
		t.Errorf("%d readings are shown, the last to %v", len(shown), shown[len(shown)-1].told)
	}
}

// index pushes an index of images that are there, and returns its digest.
func (b *bench) index(repo, tag string, children ...string) string {
	b.t.Helper()
	var list []string
	for i, d := range children {
		list = append(list, fmt.Sprintf(`{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": %q, "size": 1, "platform": {"os": "linux", "architecture": "a%d"}}`, d, i))
	}
	m := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [%s]}`, strings.Join(list, ", "))
	out, err := awstest.ECR(b.reg).PutImage(b.t.Context(), &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &m, ImageTag: &tag})
	if err != nil {
		b.t.Fatal(err)
	}
	return *out.Image.ImageId.ImageDigest
}

// images are what a plan of one change says of images.
func images(t *testing.T, p run.Planned) plan.ImageEffects {
	t.Helper()
	list := p.Set.Plans[0].Pending()
	if p.Failed() != nil || len(list) != 1 || list[0].Effects == nil || list[0].Effects.Images == nil {
		t.Fatalf("%d changes, %v", len(list), p.Failed())
	}
	return *list[0].Effects.Images
}

// within are the digests of those that go within so many days.
func within(e plan.ImageEffects, days int) []string {
	out := []string{}
	for _, g := range e.Going {
		if g.Days <= days {
			out = append(out, g.Digest)
		}
	}
	slices.Sort(out)
	return out
}

// layerBytes is what the layers of a repository's images take.
func (b *bench) layerBytes(repo string) int64 {
	b.t.Helper()
	c := adminclient.New(adminclient.Config{
		Endpoint: b.reg.URL, Region: b.reg.Region, Now: time.Now,
		Credentials: credentials.NewStaticCredentialsProvider(b.reg.Admin.AccessKeyID, b.reg.Admin.SecretAccessKey, ""),
	})
	var out admin.DescribeUsageResponse
	if err := c.Call(b.t.Context(), "DescribeUsage", &admin.DescribeUsageRequest{RepositoryName: repo}, &out); err != nil {
		b.t.Fatal(err)
	}
	return out.LayerBytes
}

// freed compares what a plan says would be free with what is, of what was stored.
func (b *bench) freed(h plan.Horizon, stored int64) {
	b.t.Helper()
	if h.FreedBytes == nil {
		b.t.Fatalf("it is not known what %d images free", h.Count)
	}
	if got := stored - b.layerBytes("app"); *h.FreedBytes != got || h.Count > 0 && *h.FreedBytes >= h.SizeBytes {
		b.t.Errorf("%d images of %d bytes are said to free %d bytes, and free %d: their configuration is shared", h.Count, h.SizeBytes, *h.FreedBytes, got)
	}
}

// TestThePlanIsWhatTheServerDoes: what a plan says of the next run and of the next 7
// days is what the server removes: at once, and when its image clock is moved.
func TestThePlanIsWhatTheServerDoes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			draw := rand.New(rand.NewPCG(seed, 1))
			b := newBench(t)
			const before = "stack: shop\necr_repositories: {app: {is_immutable: false, expire_untagged_after_days: never}}\n"
			b.apply(before)
			tags := []string{"pr-1", "pr-2", "pr-3", "main-1", "main-2", "main-3", "main-4", "v1.0", "v1.1", "v1.2", "other"}
			for i := range 24 {
				d := b.image("app", fmt.Sprint("layer ", i), tags[draw.IntN(len(tags))])
				if i%6 == 0 { // some are parts of an index
					b.index("app", tags[draw.IntN(len(tags))], d)
				}
				b.reg.Advance(time.Duration(1+draw.IntN(19))*time.Hour + 17*time.Minute)
			}
			file := fmt.Sprintf(`stack: shop
ecr_repositories:
  app:
    is_immutable: false
    expire_untagged_after_days: %d
    expiration_rules: [{tag_pattern: "pr-*", days: %d}, {tag_pattern: "main-*", keep_last: %d}, {tag_pattern: "v*", days: %d}]
`, 1+draw.IntN(9), 1+draw.IntN(12), 1+draw.IntN(3), 1+draw.IntN(20))
			_, p := b.plan(file, plan.Options{})
			e := images(t, p)
			for _, days := range []int{0, 7, 30} {
				if n := plan.At(e.Expire, days).Count; n != len(within(e, days)) || plan.At(e.Saved, days).Count != 0 {
					t.Errorf("%d are said to expire within %d days, and %d are named", n, days, len(within(e, days)))
				}
			}
			b.apply(file)
			stored := b.layerBytes("app")
			gone := b.reg.RunLifecycle(t, "app")
			slices.Sort(gone)
			if diff := cmp.Diff(within(e, 0), gone, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the next run (-plan +server):\n%s", diff)
			}
			b.freed(plan.At(e.Expire, 0), stored)
			for range 7 {
				b.reg.Advance(24 * time.Hour)
				gone = append(gone, b.reg.RunLifecycle(t, "app")...)
			}
			slices.Sort(gone)
			if diff := cmp.Diff(within(e, 7), gone); diff != "" || len(gone) == 0 {
				t.Errorf("within 7 days (-plan +server):\n%s", diff)
			}
			b.freed(plan.At(e.Expire, 7), stored)
		})
	}
}

// TestTheClockIsMoved: the same for images without indexes when the clock is moved
// at one go.
func TestTheClockIsMoved(t *testing.T) {
	b := newBench(t)
	b.apply("stack: shop\necr_repositories: {app: {expire_untagged_after_days: never}}\n")
	for i := range 12 {
		b.image("app", fmt.Sprint("layer ", i), fmt.Sprint("v", i))
		b.reg.Advance(25 * time.Hour)
	}
	const file = "stack: shop\necr_repositories: {app: {expire_untagged_after_days: never, expiration_rules: [{tag_pattern: \"v*\", days: 14}]}}\n"
	_, p := b.plan(file, plan.Options{})
	e := images(t, p)
	b.apply(file)
	b.reg.Advance(7 * 24 * time.Hour)
	gone := b.reg.RunLifecycle(t, "app")
	slices.Sort(gone)
	if diff := cmp.Diff(within(e, 7), gone); diff != "" || len(gone) != 6 || len(within(e, 0)) != 0 {
		t.Errorf("%d at once (-plan +server):\n%s", len(within(e, 0)), diff)
	}
}

// TestEffectsOfAPlan: what a plan says of a change that costs images in use, of one
// that opens a repository, and of a deletion; and that a plan file keeps it.
func TestEffectsOfAPlan(t *testing.T) {
	b := newBench(t)
	b.apply("stack: shop\necr_repositories: {app: {delete_protection: false}}\n")
	for i := range 3 {
		b.image("app", fmt.Sprint("layer ", i), fmt.Sprint("v", i))
	}
	b.use("app:v1")
	const file = `stack: shop
ecr_repositories:
  app:
    delete_protection: false
    is_immutable: false
    expiration_rules: [{tag_pattern: "v*", keep_last: 1}]
    additional_push_account_ids: ["444444444444"]
    extra_policy_statements: [{Sid: Gone, Effect: Allow, Principal: {AWS: "arn:aws:iam::000000000000:role/gone"}, Action: "ecr:BatchDeleteImage"}]
`
	_, p := b.plan(file, plan.Options{})
	e := images(t, p)
	if next := plan.At(e.Expire, 0); e.Count != 3 || next.Count != 2 || next.InUse != 1 || next.Deployed != 2 || next.SizeBytes == 0 ||
		e.Going[0].Tags[0] != "v1" || e.Going[0].UsedBy != "host db1" {
		t.Errorf("images: %+v", e)
	}
	if e.Tags == nil || e.Tags.Overwritable != 3 {
		t.Errorf("tags: %+v", e.Tags)
	}
	a := p.Set.Plans[0].Pending()[0].Effects.Access
	if a == nil || len(a.Changes) != 1 || a.Changes[0].Principal != "444444444444" || !slices.Equal(a.Changes[0].Gains(), []string{"pull", "push"}) {
		t.Fatalf("people: %+v", a)
	}
	if m := a.Changes[0].MustAllow; m == nil || m.Account != "444444444444" ||
		!strings.Contains(m.Policy, `"ecr:PutImage"`) || !strings.Contains(m.Policy, `"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/app"`) {
		t.Errorf("what the other account must allow: %+v", m)
	}
	if want := (plan.Absent{Principal: "arn:aws:iam::000000000000:role/gone", Statement: "Gone"}); len(a.Absent) != 1 || a.Absent[0] != want {
		t.Errorf("who does not exist: %+v", a.Absent)
	}
	if !slices.ContainsFunc(a.Holders, func(h plan.Holder) bool {
		return strings.HasSuffix(h.Principal, ":user/administrator") && len(h.Rights) == 2 && !h.Foreign
	}) {
		t.Errorf("who may delete and change policies afterwards: %+v", a.Holders)
	}

	// A plan file has it all, and adopting it asks for none of it again.
	text, err := json.Marshal(p.Set)
	if err != nil {
		t.Fatal(err)
	}
	set, err := plan.ParseSet("plan", text)
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := b.open(file).Adopt(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Set.Plans[0].Changes, adopted.Set.Plans[0].Changes); diff != "" {
		t.Errorf("(-planned +adopted):\n%s", diff)
	}

	// A deletion takes everything.
	_, p = b.plan("stack: shop\necr_repositories: {}\n", plan.Options{End: plan.LeftFile, DeleteImages: true})
	d := images(t, p).Deleted
	if d == nil || d.Count != 3 || d.InUse != 1 || len(p.Refusals) != 1 {
		t.Fatalf("a deletion: %+v, %v", d, p.Refusals)
	}
	if d.FreedBytes == nil || *d.FreedBytes != b.layerBytes("app") {
		t.Errorf("a deletion frees %v bytes, want all %d", d.FreedBytes, b.layerBytes("app"))
	}
}

// TestFreedIsNotKnown: without the right to ask, and at a server that does not know the
// question, a plan has the sum of the sizes alone. An answer that makes no sense stops it.
func TestFreedIsNotKnown(t *testing.T) {
	const (
		before = "stack: shop\necr_repositories: {app: {}}\n"
		file   = "stack: shop\necr_repositories: {app: {expiration_rules: [{tag_pattern: \"v*\", keep_last: 1}]}}\n"
	)
	for _, c := range []struct{ name, answer string }{
		{"not allowed", `{"__type":"AccessDeniedException","message":"no"}`},
		{"an older server", `{"__type":"UnknownOperationException","message":"no"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.apply(before)
			b.image("app", "one", "v1")
			b.image("app", "two", "v2")
			b.http.answer = func(op string) string {
				if op == "EstimateFreedBytes" {
					return c.answer
				}
				return ""
			}
			_, p := b.plan(file, plan.Options{})
			if next := plan.At(images(t, p).Expire, 0); p.Err() != nil || next.Count != 1 || next.SizeBytes == 0 || next.FreedBytes != nil {
				t.Errorf("%+v, %v", next, p.Err())
			}
			if n := b.http.take()["EstimateFreedBytes"]; n != 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
	t.Run("internal failure", func(t *testing.T) {
		b := newBench(t)
		b.apply(before)
		b.image("app", "one", "v1")
		b.image("app", "two", "v2")
		b.http.answer = func(op string) string {
			if op == "EstimateFreedBytes" {
				return `{"__type":"ValidationException","message":"out of order"}`
			}
			return ""
		}
		_, p := b.plan(file, plan.Options{})
		if p.Err() == nil || !strings.Contains(p.Err().Error(), "out of order") {
			t.Errorf("%v", p.Err())
		}
	})
}

// TestRefusalsNameEffects: what refuses a plan says which images and whose access it
// is about.
func TestRefusalsNameEffects(t *testing.T) {
	b := newBench(t)
	b.apply("stack: shop\necr_repositories: {app: {}}\n")
	for i := range 3 {
		b.image("app", fmt.Sprint("layer ", i), fmt.Sprint("v", i))
		b.reg.Advance(time.Hour)
	}
	const rules = `stack: shop
ecr_repositories: {app: {expiration_rules: [{tag_pattern: "v*", keep_last: 1}], additional_push_account_ids: ["444444444444"]}}
`
	for _, c := range []struct{ name, more, want string }{
		{"budget", "plan: {max_expire: 10%}\n", "would expire 2 of 3 images at once, and plan.max_expire allows 10%: "},
		{"lifecycle test", "lifecycle_tests: [{repository: app, image: {tags: [v1], age_days: 30, newer: 1}, expect: kept}]\n", "\napp: 2 images would expire at the next run: "},
		{"access test", "access_tests: [{principal: \"444444444444\", repository: app, deny: [push]}]\n", "\napp: by this plan account 444444444444 gains pull and push"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := b.plan(rules+c.more, plan.Options{})
			if len(p.Refusals) != 1 || !strings.Contains(p.Err().Error(), c.want) {
				t.Errorf("%v, want %q", p.Err(), c.want)
			}
			if c.name != "access test" && !strings.Contains(p.Err().Error(), "v0 and v1") && !strings.Contains(p.Err().Error(), "v1 and v0") {
				t.Errorf("%v does not name the images", p.Err())
			}
		})
	}
}
