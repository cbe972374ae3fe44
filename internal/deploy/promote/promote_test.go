package promote_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
)

// An image goes with all that belongs to it, into a repository of another account
// whose tags are immutable: in the right order, byte for byte, and once only.
func TestWholeGraph(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, stripped := range []bool{false, true} {
			name := mode
			if stripped {
				name += " without OCI-Subject"
			}
			t.Run(name, func(t *testing.T) { wholeGraph(t, mode, stripped) })
		}
	}
}

func wholeGraph(t *testing.T, mode string, stripped bool) {
	w := start(t, mode)
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.4.2")
	w.dev.push(t, "website", g.Content)
	if stripped {
		w.prod.proxy.On("^PUT", -1, remotetest.Strip("OCI-Subject"))
	}
	r := request("dev/website:1.4.2", "prod/website:1.4.2")
	r.Record = true
	pl, result := w.promote(r)
	w.prod.complete(t, "website", g)

	image, done := pl.Images[0], result.Images[0]
	if image.Digest != g.Index.Digest || image.ToDigest != "" || len(image.Manifests) != 9 || len(image.Signatures) != 1 ||
		!slices.Equal(image.Platforms, []string{"linux/amd64", "linux/arm64", "linux/s390x"}) {
		t.Errorf("planned %+v", image)
	}
	var bytes int64
	for _, b := range g.Blobs {
		bytes += int64(len(b))
	}
	if image.Bytes.Move != bytes || done.Bytes.Move != bytes || done.Blobs.Moved != len(g.Blobs) || done.Outcome != promote.OutcomeDone {
		t.Errorf("planned %+v of %d bytes, done %+v", image.Bytes, bytes, done)
	}
	puts := w.prod.puts()
	for _, m := range append(slices.Clone(g.Platforms), g.Attestation) {
		before(t, puts, m.Digest, g.Index.Digest)
	}
	for _, m := range []remotetest.Manifest{g.Signatures[0], g.Signatures[1], g.SBOM} {
		before(t, puts, g.Index.Digest, m.Digest)
	}
	before(t, puts, g.Signatures[0].Digest, g.Timestamp.Digest)
	before(t, puts, string(g.Timestamp.Digest), g.Cosign.Tag)
	before(t, puts, g.Cosign.Tag, "1.4.2")
	before(t, puts, string(done.Record), "1.4.2")
	if puts[len(puts)-1] != "1.4.2" || len(puts) != 12 { // 9 manifests, a signature, the record, the tag
		t.Errorf("manifests were written in the order %q", puts)
	}
	if tags := w.prod.direct.Tags(t, "website"); !slices.Equal(tags, []string{"1.4.2", g.Cosign.Tag}) {
		t.Errorf("tags of the target: %q", tags)
	}

	t.Run("again", func(t *testing.T) {
		w.dev.proxy.Reset()
		w.prod.proxy.Reset()
		pl, result := w.promote(r)
		if pl.Images[0].Status != promote.StatusThere || result.Images[0].Outcome != promote.OutcomeThere {
			t.Errorf("%s, %s", pl.Images[0].Status, result.Images[0].Outcome)
		}
		if writes := slices.Concat(w.dev.writes(), w.prod.writes()); len(writes) > 0 {
			t.Errorf("writes: %q", writes)
		}
		if n := len(w.dev.proxy.Requests()) + len(w.prod.proxy.Requests()); n > 32 {
			t.Errorf("%d requests to find nothing to do", n)
		}
	})
	t.Run("history", func(t *testing.T) {
		got, err := w.promoter().History(t.Context(), ref("prod/website:1.4.2"))
		if err != nil || len(got) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		h := got[0]
		if h.From != w.dev.proxy.Host+"/website:1.4.2" || h.To != w.prod.proxy.Host+"/website:1.4.2" || h.Digest != g.Index.Digest || h.Tag != "1.4.2" ||
			h.Principal != "arn:aws:iam::222222222222:user/ci" || !h.Time.Equal(w.now.UTC().Truncate(time.Millisecond)) || !strings.HasPrefix(h.Plan, "sha256:") {
			t.Errorf("%+v", h)
		}
	})
	t.Run("a signature that came later", func(t *testing.T) {
		late := w.late(t, g)
		w.prod.proxy.Reset()
		_, result := w.promote(r)
		w.prod.refers(t, "website", g.Platforms[2], late)
		if puts := w.prod.puts(); !slices.Equal(puts, []string{string(late.Digest)}) || result.Images[0].Record != "" {
			t.Errorf("written: %q, record %s", puts, result.Images[0].Record)
		}
	})
}

// late signs a platform of the graph at the source.
func (w *world) late(t *testing.T, g remotetest.Graph) remotetest.Manifest {
	t.Helper()
	c := remotetest.NewContent(99)
	m := c.Referrer(remotetest.SignatureType, g.Platforms[2])
	w.dev.push(t, "website", c)
	return m
}

// A tag that has another image is a matter of a few requests, of which none
// writes.
func TestTagGuard(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website", "latest")
	one, two := remotetest.NewGraph(1, "1.0"), remotetest.NewGraph(2, "1.0")
	w.dev.push(t, "website", one.Content)
	w.prod.push(t, "website", two.Content)
	if err := w.dev.direct.PushManifest("website", "latest", one.Index); err != nil {
		t.Fatal(err)
	}
	if err := w.prod.direct.PushManifest("website", "latest", two.Index); err != nil {
		t.Fatal(err)
	}
	move := func(tag string) promote.Request {
		r := request("dev/website:"+tag, "prod/website:"+tag)
		r.Move = true
		return r
	}
	for _, api := range []bool{false, true} {
		t.Run(fmt.Sprint("api ", api), func(t *testing.T) {
			w.within(t)
			if w.prod.API = nil; api {
				w.prod.account(w)
			}
			w.dev.proxy.Reset()
			w.prod.proxy.Reset()
			refused(t, w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0")), "KON4002", string(one.Index.Digest), string(two.Index.Digest), "another tag")
			if n := len(w.dev.proxy.Requests()) + len(w.prod.proxy.Requests()); n > 5 {
				t.Errorf("%d requests", n)
			}
			refused(t, w.plan(w.promoter(), request("dev/website:latest", "prod/website:latest")), "KON4002", "--move")
			if writes := slices.Concat(w.dev.writes(), w.prod.writes()); len(writes) > 0 {
				t.Errorf("writes: %q", writes)
			}
		})
	}
	refused(t, w.plan(w.promoter(), move("1.0")), "KON4002", "immutable")
	if writes := w.prod.writes(); len(writes) > 0 {
		t.Errorf("writes: %q", writes)
	}
	w.promote(move("latest"))
	if got := w.prod.direct.Manifest(t, "website", "latest"); string(got) != string(one.Index.Body) {
		t.Error("the tag did not move")
	}
	// Without the API immutability is not known beforehand: the registry refuses
	// the last request, and the tag stays.
	w.prod.API = nil
	p := w.promoter()
	result, err := p.Execute(t.Context(), w.plan(p, move("1.0")), promote.ExecuteOptions{})
	if err != nil || result.Images[0].Outcome != promote.OutcomeFailed {
		t.Errorf("%+v, %v", result, err)
	}
	contains(t, result.Images[0].Error, "registry prod: repository website: write manifest 1.0: TAG_INVALID", "immutable")
}

// A denial of the list of referrers is not an image without signatures.
func TestDenials(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	const denied = `{"errors":[{"code":"DENIED","message":"User: arn:aws:iam::111111111111:user/ci is not authorized to perform: ecr:ListImageReferrers"}]}`
	w.dev.proxy.On("^GET .*/referrers/", -1, remotetest.Answer(403, denied))
	pl := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0"))
	refused(t, pl, "KON4001", "registry dev: repository website: list what refers to", "ecr:ListImageReferrers", `"Resource":"arn:aws:ecr:us-east-1:111111111111:repository/website"`)
	if writes := w.prod.writes(); len(writes) > 0 {
		t.Errorf("writes: %q", writes)
	}
	w.dev.proxy.Reset()
	w.prod.proxy.On("^GET .*/referrers/", -1, remotetest.Answer(403, denied))
	refused(t, w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0")), "KON4001", "registry prod", "ecr:ListImageReferrers")
}

// ECR drops the connection of an upload into a repository that does not exist.
func TestMissingRepository(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	w.prod.proxy.On("^(POST|PUT|PATCH)", -1, remotetest.Drop)
	began := time.Now()
	refused(t, w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0")), "KON4003", "registry prod has no repository website", "ecr_repositories")
	if n := len(w.prod.proxy.Requests()); n > 4 || time.Since(began) > 5*time.Second {
		t.Errorf("%d requests in %s", n, time.Since(began))
	}
	refused(t, w.plan(w.promoter(), request("dev/nowhere:1.0", "prod/website:1.0")), "KON4001", "repository nowhere", "NAME_UNKNOWN")
	refused(t, w.plan(w.promoter(), request("dev/website:2.0", "prod/website:2.0")), "KON4001", "dev/website:2.0 does not exist")

	// The file has it: it is made, with the file's settings.
	w.prod.proxy.Reset()
	w.prod.account(w, repositoryOfFile("website"))
	other := remotetest.NewGraph(2, "2.0")
	w.dev.push(t, "website", other.Content)
	requests := []promote.Request{request("dev/website:1.0", "prod/website:1.0"), request("dev/website:2.0", "prod/website:2.0"), request("dev/website:1.0", "prod/website:latest")}
	pl := w.plan(w.promoter(), requests...)
	// It is some time before ECR knows it.
	const unknown = `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'website' does not exist"}]}`
	w.prod.proxy.On("^(GET|HEAD) .*/manifests/", 12, remotetest.Answer(404, unknown))
	result, err := w.promoter().Execute(t.Context(), pl, promote.ExecuteOptions{})
	if err != nil || !result.OK() {
		t.Fatalf("%+v, %v", result, err)
	}
	made := 0
	for i := range pl.Images {
		if !pl.Images[i].Create {
			t.Errorf("%+v", pl.Images[i])
		}
		if result.Images[i].Created {
			made++
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
	w.prod.complete(t, "website", other)
	w.prod.complete(t, "website", g)
	m, ok, err := w.prod.API.Mutability(t.Context(), "website")
	if err != nil || !ok || m.Mode != ecr.Immutable {
		t.Errorf("%+v, %t, %v", m, ok, err)
	}
}

// One image that fails does not hold up the others, and each is listed.
func TestFailuresAreSeparate(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	one, two := remotetest.NewGraph(1, "1.0"), remotetest.NewGraph(2, "2.0")
	w.dev.push(t, "website", one.Content)
	w.dev.push(t, "website", two.Content)
	w.prod.proxy.On("^PUT .*/manifests/"+string(one.Index.Digest), -1, remotetest.Answer(400, `{"errors":[{"code":"MANIFEST_INVALID","message":"not today"}]}`))
	p := w.promoter()
	pl := w.plan(p, request("dev/website:1.0", "prod/website:1.0"), request("dev/website:2.0", "prod/website:2.0"), request("dev/website:3.0", "prod/website:3.0"))
	result, err := p.Execute(t.Context(), pl, promote.ExecuteOptions{})
	if err != nil || result.OK() || len(result.Images) != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	for i, want := range []promote.Outcome{promote.OutcomeFailed, promote.OutcomeDone, promote.OutcomeRefused} {
		t.Run(string(want), func(t *testing.T) {
			if got := result.Images[i]; got.Outcome != want || (got.Error == "") != (want == promote.OutcomeDone) {
				t.Errorf("image %d: %+v", i, got)
			}
		})
	}
	contains(t, result.Images[0].Error, "registry prod: repository website: write manifest "+string(one.Index.Digest), "MANIFEST_INVALID: not today")
	w.prod.complete(t, "website", two)
	if got := w.prod.direct.Manifest(t, "website", "1.0"); got != nil {
		t.Error("the failed image has its tag")
	}
	// What came is not sent again.
	w.prod.proxy.Reset()
	w.promote(request("dev/website:1.0", "prod/website:1.0"))
	w.prod.complete(t, "website", one)
	if n := w.prod.proxy.Count("^POST"); n != 0 {
		t.Errorf("%d uploads of what was there", n)
	}
}

// Inside a registry blobs are mounted, unless it wants them uploaded: then in the
// session that mounting began.
func TestMounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode string
		on   bool
	}{{"ecr", true}, {"ecr", false}, {"oci", true}} {
		t.Run(tt.mode, func(t *testing.T) {
			w := start(t, tt.mode)
			w.dev.create(t, "dev/website")
			w.dev.create(t, "prod/website")
			g := remotetest.NewGraph(1, "1.0")
			w.dev.push(t, "dev/website", g.Content)
			if !tt.on {
				w.dev.mounting(t, "DISABLED")
			}
			pl, result := w.promote(request("dev/dev/website:1.0", "dev/prod/website:1.0"))
			w.dev.complete(t, "prod/website", g)
			r := result.Images[0]
			mounts, uploads := w.dev.proxy.Count(`^POST .*\?.*mount=`), w.dev.proxy.Count("^PUT .*/blobs/")
			switch {
			case mounts != len(g.Blobs) || w.dev.proxy.Count("^POST") != mounts:
				t.Errorf("%d mounts of %d blobs, %d POSTs", mounts, len(g.Blobs), w.dev.proxy.Count("^POST"))
			case tt.on && (uploads != 0 || r.Blobs.Mounted != len(g.Blobs) || pl.Images[0].Bytes.Move != 0 || pl.Images[0].Bytes.Mount != r.Bytes.Mount):
				t.Errorf("%d uploads, %+v", uploads, r)
			case !tt.on && (uploads != len(g.Blobs) || r.Blobs.Moved != len(g.Blobs)):
				t.Errorf("%d uploads, %+v", uploads, r)
			}
		})
	}
}

// What several images of a run share goes to a registry once.
func TestSharedBlobs(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint("mounting ", on), func(t *testing.T) {
			w := start(t, "ecr")
			if !on {
				w.prod.mounting(t, "DISABLED")
			}
			c := remotetest.NewContent(1)
			base := c.Layer(300 << 10)
			var requests []promote.Request
			names := []string{"aa", "bb", "cc", "aa", "bb", "cc"}
			for i, name := range names {
				if i < 3 {
					w.dev.create(t, name)
					w.prod.create(t, name)
				}
				mine := remotetest.NewContent(uint64(10 + i))
				mine.Blobs[base.Digest] = c.Blobs[base.Digest]
				tag := string(rune('x' + i/3))
				mine.Index(tag, mine.Image("linux", "amd64", base, mine.Layer(1000)))
				w.dev.push(t, name, mine)
				requests = append(requests, request("dev/"+name+":"+tag, "prod/"+name+":"+tag))
			}
			_, result := w.promote(requests...)
			sent := 0
			for _, r := range w.prod.proxy.Requests() {
				if r.Method == http.MethodPut && strings.Contains(r.Path, strings.Replace(string(base.Digest), ":", "%3A", 1)) {
					sent++
				}
			}
			want := 1
			if !on {
				want = 3 // once for each repository
			}
			if sent != want {
				t.Errorf("mounting %t: the layer was sent %d times, want %d: %+v", on, sent, want, result.Images)
			}
			for _, name := range []string{"aa", "bb", "cc"} {
				if got := w.prod.direct.Blob(t, name, base.Digest); string(got) != string(c.Blobs[base.Digest]) {
					t.Errorf("%s has %d bytes of the layer", name, len(got))
				}
			}
		})
	}
}

// What was promoted is looked at when it is done: a registry may have said yes and
// done something else.
func TestLooksAtTheResult(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	w.prod.create(t, "website", "*")
	g, other := remotetest.NewGraph(1, "1.0"), remotetest.NewGraph(2, "2.0")
	w.dev.push(t, "website", g.Content)
	w.prod.push(t, "website", other.Content)
	p := w.promoter()
	pl := w.plan(p, request("dev/website:1.0", "prod/website:1.0"))
	execute := func(want string) {
		t.Helper()
		r, err := p.Execute(t.Context(), pl, promote.ExecuteOptions{})
		if err != nil || r.Images[0].Outcome != promote.OutcomeFailed {
			t.Fatalf("%+v, %v", r, err)
		}
		contains(t, r.Images[0].Error, want)
	}
	w.prod.proxy.On("^GET .*/referrers/", -1, remotetest.Answer(200, `{"schemaVersion":2,"manifests":[]}`, "Content-Type", manifest.MediaTypeOCIIndex))
	execute("prod/website:1.0 is promoted, but registry prod does not list sha256:")
	w.prod.proxy.Reset()
	w.prod.proxy.On("^GET .*/manifests/1.0", -1, func(x *remotetest.Exchange) { x.R.URL.Path = "/v2/website/manifests/2.0"; x.Pass() })
	execute("prod/website:1.0 is " + string(other.Index.Digest) + ", not " + string(g.Index.Digest) + ": the tag was moved")
}

// A registry collects layers that no image has, also those that the plan saw.
func TestBlobThatVanished(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	w.prod.proxy.On("^HEAD .*/blobs/", -1, remotetest.Answer(200, ""))
	pl := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0"))
	if i := pl.Images[0]; i.Bytes.Move != 0 || i.Bytes.There == 0 {
		t.Fatalf("%+v", i.Bytes)
	}
	w.prod.proxy.Reset()
	r, err := w.promoter().Execute(t.Context(), pl, promote.ExecuteOptions{})
	if err != nil || !r.OK() || r.Images[0].Blobs.Moved == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.prod.complete(t, "website", g)
}
