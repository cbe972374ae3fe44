package promote_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
)

func routes(w *world, s promote.Select, rs ...promote.Route) (*promote.Promoter, promote.Plan) {
	w.t.Helper()
	p := w.promoter()
	pl, err := p.PlanRoutes(w.t.Context(), rs, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, w.read(pl)
}

// pairs are what goes where, dropped what does not and why.
func pairs(pl promote.Plan) (out []string) {
	for _, i := range pl.Images {
		out = append(out, i.From.String()+" -> "+i.To.String())
	}
	return out
}

func dropped(pl promote.Plan) map[string]string {
	out := map[string]string{}
	for _, d := range pl.Dropped {
		out[d.From.String()] = d.Why
	}
	return out
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	for _, name := range []string{"team/website", "team/api", "other"} {
		w.dev.create(t, name)
	}
	w.prod.create(t, "mirror/website")
	w.prod.create(t, "mirror/api")
	var content []*remotetest.Content
	for i, tag := range []string{"1.0", "1.1", "2.0", "latest"} {
		c := remotetest.NewContent(uint64(i))
		m := c.Image("linux", "amd64", c.Layer(10))
		c.Manifests[0].Tag = tag
		if i == 0 {
			c.Cosign(m, "sig", "payload")
		}
		w.dev.push(t, "team/website", c)
		content = append(content, c)
	}
	w.dev.push(t, "team/api", content[0])
	w.dev.push(t, "other", content[0])
	r := promote.Route{
		Name: "up", From: promote.Place{Registry: "dev", Prefix: "team"}, To: []promote.Place{{Registry: "prod", Prefix: "mirror"}},
		Repositories: []string{"w*", "api"}, Tags: []string{"1.*", "2.*"},
	}
	p, pl := routes(w, promote.Select{}, r)
	want := []string{
		"dev/team/api:1.0 -> prod/mirror/api:1.0",
		"dev/team/website:1.0 -> prod/mirror/website:1.0", "dev/team/website:1.1 -> prod/mirror/website:1.1", "dev/team/website:2.0 -> prod/mirror/website:2.0",
	}
	if diff := cmp.Diff(want, pairs(pl)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	d := dropped(pl)
	if len(d) != 3 || d["dev/team/website:latest"] != "it does not match tags of the route: 1.* and 2.*" ||
		d["dev/team/website:"+content[0].Manifests[1].Tag] != "it goes with the image that it belongs to" {
		t.Errorf("dropped %v", d)
	}
	if r, err := p.Execute(t.Context(), pl, promote.ExecuteOptions{}); err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, tag := range []string{"1.0", "1.1", "2.0"} {
		t.Run(tag, func(t *testing.T) {
			if got := w.prod.direct.Manifest(t, "mirror/website", tag); string(got) != string(content[i].Manifests[0].Body) {
				t.Errorf("%s is %s", tag, got)
			}
		})
	}
	for name, tt := range map[string]struct {
		route promote.Route
		s     promote.Select
		want  []string
		why   map[string]string
	}{
		"a repository": {r, promote.Select{Repository: "api"}, []string{"dev/team/api:1.0 -> prod/mirror/api:1.0"}, nil},
		"a tag": {r, promote.Select{Repository: "website", Tag: "2.*"}, []string{"dev/team/website:2.0 -> prod/mirror/website:2.0"},
			map[string]string{"dev/team/website:1.1": "it does not match --tag 2.*"}},
		"another destination": {r, promote.Select{To: "staging"}, nil, nil},
		"the newest":          {with(r, func(r *promote.Route) { r.Newest = 1; r.Repositories = []string{"website"} }), promote.Select{}, []string{"dev/team/website:1.0 -> prod/mirror/website:1.0"}, map[string]string{"dev/team/website:2.0": "it is not among the newest 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, pl := routes(w, tt.s, tt.route)
			if diff := cmp.Diff(tt.want, pairs(pl)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			d := dropped(pl)
			for tag, why := range tt.why {
				if d[tag] != why {
					t.Errorf("%s was dropped as %q, want %q", tag, d[tag], why)
				}
			}
		})
	}
	t.Run("the newest by their push", func(t *testing.T) {
		w.dev.account(w)
		w.dev.kontor.Advance(time.Hour)
		c := remotetest.NewContent(50)
		c.Image("linux", "amd64", c.Layer(10))
		c.Manifests[0].Tag = "1.0.1" // an older version, but pushed last
		w.dev.push(t, "team/website", c)
		_, pl := routes(w, promote.Select{Newest: 1, Repository: "website"}, r)
		if diff := cmp.Diff([]string{"dev/team/website:1.0.1 -> prod/mirror/website:1.0.1"}, pairs(pl)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		w.dev.API = nil
	})
	t.Run("a repository that cannot be read", func(t *testing.T) {
		w.dev.proxy.On("^GET /v2/team/api/tags", -1, remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"no"}]}`))
		_, pl := routes(w, promote.Select{}, r)
		if len(pl.Images) != 4 || len(pl.Failures) != 1 || pl.Failures[0].From.String() != "dev/team/api" {
			t.Errorf("%v, %+v", pairs(pl), pl.Failures)
		}
		contains(t, pl.Failures[0].Error, "registry dev: repository team/api: list tags: DENIED", "ecr:ListImages")
		w.dev.proxy.Reset()
	})
	t.Run("tags that may move", func(t *testing.T) {
		c := remotetest.NewContent(60)
		c.Image("linux", "amd64", c.Layer(10))
		c.Manifests[0].Tag = "latest"
		w.prod.push(t, "mirror/website", c)
		all := with(r, func(r *promote.Route) { r.Tags = []string{"latest"}; r.Repositories = []string{"website"} })
		_, pl := routes(w, promote.Select{}, all)
		refused(t, pl, "KON4002", "move: of the route")
		all.Move = []string{"late*"}
		if _, pl := routes(w, promote.Select{}, all); pl.Images[0].Status != promote.StatusPending {
			t.Error(pl.Images[0].Refusal())
		}
	})
}

func with(r promote.Route, change func(*promote.Route)) promote.Route {
	r.Repositories, r.Tags = slices.Clone(r.Repositories), slices.Clone(r.Tags)
	change(&r)
	return r
}

// Many tags with nothing to do cost a list each: with the ECR API a list of the
// repository, without it two of what refers to an image.
func TestUnchangedTagsAreCheap(t *testing.T) {
	t.Parallel()
	const tags = 50 // each costs more than the whole list may
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "v0")
	w.dev.push(t, "website", g.Content)
	for i := range tags {
		c := remotetest.NewContent(uint64(i + 100))
		c.Index(fmt.Sprintf("v%d", i+1), c.Image("linux", "amd64", c.Layer(10)))
		for _, s := range []*side{w.dev, w.prod} {
			s.push(t, "website", c)
		}
	}
	r := promote.Route{Name: "up", From: promote.Place{Registry: "dev"}, To: []promote.Place{{Registry: "prod"}}}
	count := func() int { return len(w.dev.proxy.Requests()) + len(w.prod.proxy.Requests()) }
	run := func() promote.Plan {
		t.Helper()
		w.dev.proxy.Reset()
		w.prod.proxy.Reset()
		p, pl := routes(w, promote.Select{}, r)
		n := count()
		if result, err := p.Execute(t.Context(), pl, promote.ExecuteOptions{}); err != nil || !result.OK() {
			t.Fatalf("%+v, %v", result, err)
		}
		t.Logf("%d images, %d to do: %d requests to plan", len(pl.Images), pl.Count(promote.StatusPending), n)
		if pl.Count(promote.StatusPending) == 0 && len(w.prod.writes())+len(w.dev.writes()) > 0 {
			t.Errorf("writes %q", w.prod.writes())
		}
		return pl
	}
	if pl := run(); pl.Count(promote.StatusPending) != 1 {
		t.Errorf("%d to do", pl.Count(promote.StatusPending))
	}
	w.prod.complete(t, "website", g)
	if pl := run(); pl.Count(promote.StatusThere) != tags+1 || count() > 5*tags {
		t.Errorf("%d there, %d requests", pl.Count(promote.StatusThere), count())
	}
	w.dev.account(w)
	w.prod.account(w)
	if pl := run(); pl.Count(promote.StatusThere) != tags+1 || count() > 10 {
		t.Errorf("%d there, %d requests", pl.Count(promote.StatusThere), count())
	}
	// Nor does one tag of a small repository need more than that, unless the caller
	// may not ask the ECR API for images.
	all := r
	r.Tags = []string{"v7"}
	if pl := run(); pl.Count(promote.StatusThere) != 1 || count() != 0 {
		t.Errorf("%d there, %d docker requests for one tag", pl.Count(promote.StatusThere), count())
	}
	api := w.dev.API
	w.dev.API = noImages{api}
	if pl := run(); pl.Count(promote.StatusThere) != 1 || count() == 0 {
		t.Errorf("%d there, %d docker requests for one tag without ecr:DescribeImages", pl.Count(promote.StatusThere), count())
	}
	w.dev.API, r = api, all
	// What came to one of them since then is seen nevertheless.
	late := w.late(t, g)
	if pl := run(); pl.Count(promote.StatusPending) != 1 || pl.Images[0].To.Tag != "v0" {
		t.Errorf("%d to do", pl.Count(promote.StatusPending))
	}
	w.prod.refers(t, "website", g.Platforms[2], late)
}

// noImages is an API whose caller may not describe images.
type noImages struct{ promote.API }

// Images is refused.
func (noImages) Images(context.Context, ecr.RepositoryName) (images.Snapshot, error) {
	return images.Snapshot{}, ecr.Errorf(ecr.CodeAccessDenied, "not authorized to perform: ecr:DescribeImages")
}

// A plan that is carried out later is carried out as it was approved, or not at
// all.
func TestPlanThatMoved(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website", "*")
	w.prod.create(t, "website", "*")
	one, two := remotetest.NewGraph(1, "1.0"), remotetest.NewGraph(2, "2.0")
	w.dev.push(t, "website", one.Content)
	w.dev.push(t, "website", two.Content)
	plan := func(requests ...promote.Request) promote.Plan { return w.plan(w.promoter(), requests...) }
	both := func() promote.Plan {
		return plan(request("dev/website:1.0", "prod/website:1.0"), request("dev/website:2.0", "prod/website:2.0"))
	}
	approved := both()
	if err := w.dev.direct.PushManifest("website", "1.0", two.Index); err != nil {
		t.Fatal(err)
	}
	w.prod.proxy.Reset()
	_, err := w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{Whole: true})
	if err == nil || len(w.prod.writes()) > 0 {
		t.Errorf("%v, %q", err, w.prod.writes())
	}
	contains(t, fmt.Sprint(err), "nothing was done", "dev/website:1.0: it moved since the plan was made", string(one.Index.Digest), string(two.Index.Digest))
	// Not as a whole, each for itself.
	r, err := w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{})
	if err != nil || r.Images[0].Outcome != promote.OutcomeMoved || r.Images[1].Outcome != promote.OutcomeDone {
		t.Errorf("%+v, %v", r, err)
	}
	if got := w.prod.direct.Manifest(t, "website", "1.0"); got != nil {
		t.Error("the image that moved is there")
	}
	// The source is gone.
	approved = plan(request("dev/website:1.0", "prod/website:3.0"))
	w.dev.untag(t, "website", "1.0")
	_, err = w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{Whole: true})
	contains(t, fmt.Sprint(err), "dev/website:1.0: it moved since the plan was made: it is gone")
	// The target has the tag in the meantime: from another push, or from this plan.
	if err := w.dev.direct.PushManifest("website", "1.0", one.Index); err != nil {
		t.Fatal(err)
	}
	approved = plan(request("dev/website:1.0", "prod/website:4.0"))
	w.prod.push(t, "website", two.Untagged())
	if err := w.prod.direct.PushManifest("website", "4.0", two.Index); err != nil {
		t.Fatal(err)
	}
	_, err = w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{Whole: true})
	contains(t, fmt.Sprint(err), "prod/website:4.0: it moved since the plan was made: it is "+string(two.Index.Digest)+" now")
	approved = plan(request("dev/website:1.0", "prod/website:5.0"))
	// What an interrupted run of the plan has sent is not sent again.
	w.prod.proxy.Reset()
	w.prod.proxy.On("^PUT .*/manifests/5.0", -1, remotetest.Answer(403, ""))
	if r, err := w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{Whole: true}); err != nil || r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
	for _, want := range []struct {
		outcome promote.Outcome
		puts    []string
	}{{promote.OutcomeDone, []string{"5.0"}}, {promote.OutcomeThere, nil}} {
		w.prod.proxy.Reset()
		r, err := w.promoter().Execute(t.Context(), approved, promote.ExecuteOptions{Whole: true})
		if err != nil || r.Images[0].Outcome != want.outcome || !slices.Equal(w.prod.puts(), want.puts) || len(w.prod.writes()) != len(want.puts) {
			t.Errorf("%+v, %v, written %q", r, err, w.prod.writes())
		}
	}
	// A plan with an image that is refused is not approved as a whole.
	_, err = w.promoter().Execute(t.Context(), plan(request("dev/website:nowhere", "prod/website:6.0")), promote.ExecuteOptions{Whole: true})
	contains(t, fmt.Sprint(err), "dev/website:nowhere does not exist")
	// Somebody sets the tag while the image is on its way.
	w.prod.proxy.Reset()
	w.prod.proxy.On("^PUT .*/manifests/"+remotetest.CosignTag(one.Index.Digest, "sig"), 1, func(x *remotetest.Exchange) {
		if err := w.prod.direct.PushManifest("website", "7.0", two.Index); err != nil {
			t.Error(err)
		}
		x.Pass()
	})
	w.prod.untag(t, "website", remotetest.CosignTag(one.Index.Digest, "sig"))
	pl := plan(request("dev/website:1.0", "prod/website:7.0"))
	r, err = w.promoter().Execute(t.Context(), pl, promote.ExecuteOptions{})
	if err != nil || r.Images[0].Outcome != promote.OutcomeMoved {
		t.Errorf("%+v, %v", r, err)
	}
	if got := w.prod.direct.Manifest(t, "website", "7.0"); string(got) != string(two.Index.Body) {
		t.Error("a tag of another push was moved")
	}
}

func TestParsePlan(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	good := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0"))
	for name, tt := range map[string]struct {
		change func(*promote.Plan)
		want   string
	}{
		"another version": {func(p *promote.Plan) { p.Version = 2 }, "it has version 2, this is for version 1"},
		"a status":        {func(p *promote.Plan) { p.Images[0].Status = "maybe" }, `images[0]: unknown status "maybe"`},
		"a digest":        {func(p *promote.Plan) { p.Images[0].Manifests[0].Digest = "../x" }, `"../x" is not a digest`},
		"another image":   {func(p *promote.Plan) { p.Images[0].Digest = ecr.DigestOf(nil) }, "is not among its manifests"},
		"an index":        {func(p *promote.Plan) { p.Images[0].Index = "{}" }, "the index is not " + string(g.Index.Digest)},
		"a tag":           {func(p *promote.Plan) { p.Images[0].Signatures[0].Tag = "latest" }, `"latest" is not a tag of a signature`},
		"no tag":          {func(p *promote.Plan) { p.Images[0].To.Tag = "" }, "want a tag or a digest"},
		"an error": {func(p *promote.Plan) {
			p.Images[0].Findings = []promote.Finding{{Code: "KON4008", Severity: "error"}}
		}, "in spite of KON4008"},
		"a refusal of nothing": {func(p *promote.Plan) { p.Images[0].Status = promote.StatusRefused }, "nothing says why"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := w.read(good)
			tt.change(&bad)
			_, err := promote.ParsePlan("plan.json", marshal(t, bad))
			if err == nil || !strings.HasPrefix(err.Error(), "plan.json") {
				t.Errorf("error %v", err)
			}
			contains(t, fmt.Sprint(err), tt.want)
			if bad.Version == promote.Version {
				if _, err := w.promoter().Execute(t.Context(), bad, promote.ExecuteOptions{}); err == nil {
					t.Error("it was carried out")
				}
			}
		})
	}
	if _, err := promote.ParsePlan("plan.json", []byte(`{"version": 1, "changes": []}`)); err == nil || !strings.Contains(err.Error(), "it has no images") {
		t.Errorf("another plan: %v", err)
	}
	if _, err := promote.ParsePlan("plan.json", []byte("[]")); err == nil {
		t.Error("a list is taken")
	}
	if writes := w.prod.writes(); len(writes) > 0 {
		t.Errorf("writes %q", writes)
	}
}
