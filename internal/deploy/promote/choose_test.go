package promote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecrapi "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/lifecycle"
)

func TestPlatforms(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	n := 0
	ask := func(newIndex bool, platforms ...string) promote.Request {
		n++
		name := "to-" + string(rune('a'+n))
		w.prod.create(t, name)
		r := request("dev/website:1.0", "prod/"+name+":1.0")
		r.Platforms, r.NewIndex = platforms, newIndex
		return r
	}
	t.Run("one, under its own digest", func(t *testing.T) {
		r := ask(false, "linux/arm64")
		pl, _ := w.promote(r)
		name := string(r.To.Repository)
		if got := w.prod.direct.Manifest(t, name, "1.0"); !bytes.Equal(got, g.Platforms[1].Body) {
			t.Errorf("the tag is %s", got)
		}
		w.prod.refers(t, name, g.Platforms[1], g.SBOM)
		if i := pl.Images[0]; i.Digest != g.Platforms[1].Digest || i.FromDigest != g.Index.Digest || i.Index != "" {
			t.Errorf("%+v", i)
		}
		if got := w.prod.direct.Manifest(t, name, string(g.Platforms[0].Digest)); got != nil {
			t.Error("another platform is there")
		}
		// Again: nothing to do, though the source's tag is another digest.
		if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusThere {
			t.Errorf("again: %s", pl.Images[0].Status)
		}
	})
	t.Run("one with an attestation, which stays behind", func(t *testing.T) {
		pl, _ := w.promote(ask(false, "linux/amd64"))
		contains(t, finding(pl.Images[0], "KON4011"), "attestation "+string(g.Attestation.Digest)[:19], "--new-index")
	})
	t.Run("several need the word for it", func(t *testing.T) {
		refused(t, w.plan(w.promoter(), ask(false, "linux/amd64", "linux/arm64")), "KON4005", "--new-index", "digest")
	})
	t.Run("several as a new index", func(t *testing.T) {
		r := ask(true, "linux/amd64", "linux/s390x")
		pl, result := w.promote(r)
		name := string(r.To.Repository)
		text := w.prod.direct.Manifest(t, name, "1.0")
		var index struct {
			MediaType   string
			Manifests   []remotetest.Descriptor
			Annotations map[string]string
		}
		if err := json.Unmarshal(text, &index); err != nil {
			t.Fatal(err)
		}
		var got []ecr.Digest
		for _, m := range index.Manifests {
			got = append(got, m.Digest)
		}
		// With the attestation of the first, and all as they were described.
		want := []ecr.Digest{g.Platforms[0].Digest, g.Platforms[2].Digest, g.Attestation.Digest}
		if !slices.Equal(got, want) || index.MediaType != g.Index.MediaType || index.Annotations["org.example.made-by"] == "" ||
			index.Manifests[2].Annotations["vnd.docker.reference.digest"] != string(g.Platforms[0].Digest) || index.Manifests[0].Platform["architecture"] != "amd64" {
			t.Errorf("the index is %s", text)
		}
		if i := pl.Images[0]; i.Digest != ecr.DigestOf(text) || result.Images[0].Digest != i.Digest {
			t.Errorf("%+v", i)
		}
		contains(t, finding(pl.Images[0], "KON4010"), "another image", "do not apply")
		if refer := w.prod.direct.Referrers(t, name, g.Index.Digest); len(refer) != 0 {
			t.Errorf("signatures of the old index: %v", refer)
		}
		if tags := w.prod.direct.Tags(t, name); !slices.Equal(tags, []string{"1.0"}) {
			t.Errorf("tags %q", tags)
		}
		w.prod.proxy.Reset()
		if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusThere {
			t.Errorf("again: %s", pl.Images[0].Status)
		}
	})
	t.Run("all as a new index are the old one", func(t *testing.T) {
		r := ask(true, "linux/amd64", "linux/arm64", "linux/s390x")
		w.promote(r)
		w.prod.complete(t, string(r.To.Repository), g)
	})
	t.Run("one that is not there", func(t *testing.T) {
		refused(t, w.plan(w.promoter(), ask(false, "windows/amd64")), "KON4005", "no platform windows/amd64", "linux/amd64, linux/arm64 and linux/s390x")
	})
	t.Run("an image without an index", func(t *testing.T) {
		c := remotetest.NewContent(5)
		m := c.Image("linux", "amd64", c.Layer(10))
		w.dev.push(t, "website", c)
		if err := w.dev.direct.PushManifest("website", "single", m); err != nil {
			t.Fatal(err)
		}
		r := ask(false, "linux/amd64")
		r.From.Tag = "single"
		w.promote(r)
		r = ask(false, "linux/arm64")
		r.From.Tag = "single"
		refused(t, w.plan(w.promoter(), r), "KON4005", "no platform linux/arm64: it is for linux/amd64")
	})
}

// What cannot be promoted is said before anything is sent.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	w.prod.ECR = true
	c := remotetest.NewContent(1)
	one, two := c.Image("linux", "amd64", c.Layer(10)), c.Image("linux", "arm64", c.Layer(10))
	bare := c.Image("linux", "amd64")
	bare.Tag = "bare"
	c.Manifests[len(c.Manifests)-1].Tag = "bare"
	c.Index("whole", one, two)
	c.Referrer("application/spdx+json", one)
	w.dev.push(t, "website", c)
	plan := func(tag string) promote.Plan {
		return w.plan(w.promoter(), request("dev/website:"+tag, "prod/website:"+tag))
	}

	// An index with an image that is not there: an OCI registry may have it.
	sparse := remotetest.NewContent(2)
	gone := sparse.Image("linux", "s390x", sparse.Layer(10))
	if err := w.dev.direct.PushManifest("website", "sparse", sparse.Index("sparse", one, gone)); err != nil {
		t.Fatal(err)
	}
	refused(t, plan("sparse"), "KON4004", "the image for linux/s390x, "+string(gone.Digest))
	refused(t, plan("bare"), "KON4006", "it has no layers")

	// A type with parameters, which our own registry does not take either.
	odd := bytes.Replace(one.Body, []byte(`"schemaVersion"`), []byte(`"artifactType": "text/spdx; charset=utf-8", "schemaVersion"`), 1)
	w.dev.proxy.On("^(HEAD|GET) .*/manifests/odd", -1, remotetest.Answer(200, string(odd), "Content-Type", manifest.MediaTypeOCIManifest, "Docker-Content-Digest", string(ecr.DigestOf(odd))))
	w.dev.proxy.On("^GET .*/manifests/"+string(ecr.DigestOf(odd)), -1, remotetest.Answer(200, string(odd), "Content-Type", manifest.MediaTypeOCIManifest))
	refused(t, plan("odd"), "KON4006", `"text/spdx; charset=utf-8" has parameters`)

	// Rights that lack, on either side.
	w.prod.Rights = rights{"ecr:PutImage"}
	pl := plan("whole")
	refused(t, pl, "KON4009", "ecr:PutImage in prod/website")
	if r := pl.Images[0].Rights; len(r) != 1 || r[0].Registry != "prod" || r[0].Repository != "website" || !slices.Equal(r[0].Actions, []access.Action{"ecr:PutImage"}) {
		t.Errorf("%+v", r)
	}
	w.prod.Rights, w.dev.Rights = nil, rights{"ecr:ListImageReferrers", "ecr:PutImage"}
	refused(t, plan("whole"), "KON4009", "ecr:ListImageReferrers in dev/website")
	w.dev.Rights = nil

	// A target that cannot list referrers.
	w.prod.proxy.On("^GET .*/referrers/", -1, remotetest.Answer(404, "404 page not found\n"))
	refused(t, plan("whole"), "KON4007", "registry prod has no referrers API", "--referrers tags")
	if writes := w.prod.writes(); len(writes) > 0 {
		t.Errorf("writes: %q", writes)
	}

	for _, from := range []string{"dev/website:", "dev/website:a b", "dev/website@sha256:1"} {
		t.Run(from, func(t *testing.T) {
			w.within(t)
			if _, err := w.promoter().Plan(t.Context(), []promote.Request{request(from, "prod/website:1.0")}); err == nil {
				t.Errorf("%s is taken", from)
			}
		})
	}
	if _, err := w.promoter().Plan(t.Context(), []promote.Request{request("elsewhere/website:1", "prod/website:1.0")}); err == nil || !strings.Contains(err.Error(), "no registry elsewhere") {
		t.Error(err)
	}
}

// Of an image that is there, rights matter only when something else is not.
func TestRightsOfWhatIsThere(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	r := request("dev/website:1.0", "prod/website:1.0")
	w.promote(r)
	w.prod.Rights = rights{"ecr:PutImage"}
	if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusThere {
		t.Errorf("%+v", pl.Images[0])
	}
	w.late(t, g)
	refused(t, w.plan(w.promoter(), r), "KON4009", "ecr:PutImage in prod/website")
}

// rights are what is missing.
type rights []access.Action

// Missing are those of the actions that are among r.
func (r rights) Missing(_ context.Context, _ ecr.RepositoryName, actions []access.Action) (out []access.Action, err error) {
	for _, a := range actions {
		if slices.Contains(r, a) {
			out = append(out, a)
		}
	}
	return out, nil
}

// MissingIn is Missing.
func (r rights) MissingIn(ctx context.Context, as state.Repository, actions []access.Action) ([]access.Action, error) {
	return r.Missing(ctx, as.Name, actions)
}

func TestGates(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "signed")
	w.dev.push(t, "website", g.Content)
	c := remotetest.NewContent(2)
	plain := []remotetest.Manifest{c.Image("linux", "amd64", c.Layer(10)), c.Image("linux", "arm64", c.Layer(10))}
	c.Index("plain", plain...)
	c.Referrer(remotetest.SignatureType, plain[0]) // of one platform only
	w.dev.push(t, "website", c)
	e := remotetest.NewContent(3)
	each := []remotetest.Manifest{e.Image("linux", "amd64", e.Layer(10)), e.Image("linux", "arm64", e.Layer(10))}
	e.Index("each", each...)
	for _, m := range each {
		e.Referrer("application/vnd.dev.sigstore.bundle.v0.3+json", m)
		e.Referrer("application/vnd.cyclonedx+json", m)
	}
	w.dev.push(t, "website", e)
	x := remotetest.NewContent(4)
	attested := x.Image("linux", "amd64", x.Layer(10))
	x.Index("attested", attested, spdx(x, attested))
	w.dev.push(t, "website", x)
	w.dev.account(w)

	var ran [][]string
	w.config.Run = func(_ context.Context, command []string) ([]byte, error) {
		ran = append(ran, command)
		if command[0] == "false" {
			return []byte("no matching signatures\n"), errors.New("exit status 1")
		}
		return nil, nil
	}
	tests := []struct {
		name, tag string
		require   promote.Require
		refusal   string // "" when the gate is met
		gate      history.Gate
	}{
		{"platforms", "signed", promote.Require{Platforms: []string{"linux/amd64", "linux/arm64"}}, "", history.Gate{Name: "platforms", Met: true, Detail: "linux/amd64 and linux/arm64"}},
		{"a missing platform", "plain", promote.Require{Platforms: []string{"linux/amd64", "linux/s390x"}}, "platforms: linux/s390x is missing", history.Gate{Name: "platforms", Detail: "linux/s390x is missing"}},
		{"signature", "signed", promote.Require{Signature: true}, "", history.Gate{Name: "signature", Met: true, Detail: "exists, not verified"}},
		{"a signature of one platform", "plain", promote.Require{Signature: true}, "signature: missing for linux/arm64", history.Gate{Name: "signature", Detail: "missing for linux/arm64"}},
		{"a signature of each platform", "each", promote.Require{Signature: true}, "", history.Gate{Name: "signature", Met: true, Detail: "exists for each platform, not verified"}},
		{"sbom", "plain", promote.Require{SBOM: true}, "sbom: there is none", history.Gate{Name: "sbom", Detail: "there is none"}},
		{"an sbom of one platform", "signed", promote.Require{SBOM: true}, "sbom: missing for linux/amd64 and linux/s390x", history.Gate{Name: "sbom", Detail: "missing for linux/amd64 and linux/s390x"}},
		{"an sbom of each platform", "each", promote.Require{SBOM: true}, "", history.Gate{Name: "sbom", Met: true, Detail: "exists for each platform, not verified"}},
		{"an sbom of buildx", "attested", promote.Require{SBOM: true}, "", history.Gate{Name: "sbom", Met: true, Detail: "exists for each platform, not verified"}},
		{"referrers", "signed", promote.Require{Referrers: []string{remotetest.SignatureType}}, "", history.Gate{Name: "referrers", Met: true, Detail: remotetest.SignatureType + ": exists, not verified"}},
		{"other referrers", "signed", promote.Require{Referrers: []string{"application/vnd.example.scan"}}, "application/vnd.example.scan: there is none", history.Gate{Name: "referrers", Detail: "application/vnd.example.scan: there is none"}},
		{"too young", "signed", promote.Require{MinAge: 24 * time.Hour}, "must be there for 24h0m0s", history.Gate{Name: "min_age"}},
		{"verified", "signed", promote.Require{Verify: []string{"true", "--key", "k", "{image}"}}, "",
			history.Gate{Name: "verify", Met: true, Verified: true, Detail: "true --key k " + w.dev.proxy.Host + "/website@" + string(g.Index.Digest)}},
		{"not verified", "signed", promote.Require{Verify: []string{"false", "{image}"}}, "exit status 1\nno matching signatures", history.Gate{Name: "verify", Detail: "false " + w.dev.proxy.Host + "/website@" + string(g.Index.Digest)}},
		{"not run after another", "plain", promote.Require{SBOM: true, Verify: []string{"true"}}, "sbom: there is none", history.Gate{Name: "sbom", Detail: "there is none"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ran = nil
			w.prod.proxy.Reset()
			r := request("dev/website:"+tt.tag, "prod/website:"+tt.tag)
			r.Require = tt.require
			pl := w.plan(w.promoter(), r)
			if tt.refusal == "" && pl.Images[0].Status != promote.StatusPending {
				t.Errorf("refused: %s", pl.Images[0].Refusal())
			}
			if tt.refusal != "" {
				refused(t, pl, "KON4008", "dev/website:"+tt.tag+" is not promoted", tt.refusal)
			}
			got := pl.Images[0].Gates
			if len(got) != 1 || got[0].Name != tt.gate.Name || got[0].Met != tt.gate.Met || got[0].Verified != tt.gate.Verified || tt.gate.Detail != "" && got[0].Detail != tt.gate.Detail {
				t.Errorf("gates %+v, want %+v", got, tt.gate)
			}
			if writes := w.prod.writes(); len(writes) > 0 {
				t.Errorf("writes: %q", writes)
			}
			if (len(ran) > 0) != (tt.gate.Name == "verify") {
				t.Errorf("ran %q", ran)
			}
		})
	}
	t.Run("old enough", func(t *testing.T) {
		w.now = w.now.Add(25 * time.Hour)
		r := request("dev/website:signed", "prod/website:signed")
		r.Require = promote.Require{MinAge: 24 * time.Hour}
		if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusPending || !pl.Images[0].Gates[0].Met {
			t.Errorf("%+v", pl.Images[0].Gates)
		}
		// Who does not know may not guess.
		w.dev.API = nil
		refused(t, w.plan(w.promoter(), r), "KON4008", "registry dev does not tell when images were pushed")
	})
	t.Run("a real command", func(t *testing.T) {
		w.config.Run = nil
		r := request("dev/website:signed", "prod/website:signed")
		r.Require = promote.Require{Verify: []string{"sh", "-c", `echo "looked at $0"; exit 3`, "{image}"}}
		refused(t, w.plan(w.promoter(), r), "KON4008", "exit status 3", "looked at "+w.dev.proxy.Host+"/website@sha256:")
		r.Require = promote.Require{Verify: []string{"kontor-has-no-such-program"}}
		refused(t, w.plan(w.promoter(), r), "KON4008", "kontor-has-no-such-program")
	})
}

// likeAWS is an API that does not say that it is Kontor's.
type likeAWS struct{ promote.API }

// Images are those of the repository.
func (a likeAWS) Images(ctx context.Context, name ecr.RepositoryName) (images.Snapshot, error) {
	s, err := a.API.Images(ctx, name)
	s.Kontor = false
	return s, err
}

// spdx adds an SBOM as buildx attests it.
func spdx(c *remotetest.Content, of remotetest.Manifest) remotetest.Manifest {
	layer := c.Blob("application/vnd.in-toto+json", []byte(`{"predicateType":"https://spdx.dev/Document"}`))
	layer.Annotations = map[string]string{"in-toto.io/predicate-type": "https://spdx.dev/Document"}
	m := c.Image("unknown", "unknown", layer)
	m.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(of.Digest)}
	return m
}

// The plan says when the image would go at its destination, and by which rule.
func TestExpiry(t *testing.T) {
	t.Parallel()
	const rules = `{"rules":[
		{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["keep*"],"countType":"imageCountMoreThan","countNumber":999999},"action":{"type":"expire"}},
		{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPatternList":["pr-*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":3},"action":{"type":"expire"}},
		{"rulePriority":3,"selection":{"tagStatus":"tagged","tagPatternList":["main-*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":90},"action":{"type":"expire"}},
		{"rulePriority":4,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	w := start(t, "ecr")
	w.dev.create(t, "website")
	w.prod.create(t, "website")
	w.prod.account(w)
	if _, err := w.prod.api.PutLifecyclePolicy(t.Context(), &ecrapi.PutLifecyclePolicyInput{RepositoryName: aws.String("website"), LifecyclePolicyText: aws.String(rules)}); err != nil {
		t.Fatal(err)
	}
	g := remotetest.NewGraph(1, "pr-1")
	w.dev.push(t, "website", g.Content)
	for _, tag := range []string{"main-1", "keep-1", "other"} {
		if err := w.dev.direct.PushManifest("website", tag, g.Index); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(tag string) promote.Image {
		t.Helper()
		i := w.plan(w.promoter(), request("dev/website:"+tag, "prod/website:"+tag)).Images[0]
		if i.Status != promote.StatusPending || i.Expires == nil {
			t.Fatalf("%s: %s, %+v", tag, i.Status, i.Expires)
		}
		return i
	}
	day := 24 * time.Hour
	i := plan("pr-1")
	if e := i.Expires; e.Rule != 2 || e.Action != lifecycle.Expire || e.At.Sub(w.now) < 3*day || e.At.Sub(w.now) > 3*day+time.Minute || !bytes.Contains(e.Policy, []byte("pr-*")) {
		t.Errorf("%+v", e)
	}
	contains(t, finding(i, "KON4013"), "rule 2 of the lifecycle policy of prod/website deletes the image in 3 days")
	i = plan("main-1")
	if e := i.Expires; e.Rule != 3 || e.At.Sub(w.now) < 90*day || finding(i, "KON4013") != "" {
		t.Errorf("%+v, %s", e, finding(i, "KON4013"))
	}
	i = plan("keep-1")
	if e := i.Expires; e.Rule != 1 || e.Action != lifecycle.Keep || !e.At.IsZero() || e.Keep != 999999 || e.Rank != 1 {
		t.Errorf("%+v", e)
	}
	i = plan("other")
	if e := i.Expires; e.Rule != 0 || e.Action != lifecycle.Keep || !e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	// Of AWS it is not known whether referrers stay; of Kontor it is.
	if finding(i, "KON4014") != "" {
		t.Error(finding(i, "KON4014"))
	}
	w.prod.API = likeAWS{w.prod.API}
	contains(t, finding(plan("other"), "KON4014"), "rule 4 of the lifecycle policy of prod/website")
	w.prod.API = w.prod.API.(likeAWS).API
	// An image that was pushed there long ago counts from then.
	w.promote(request("dev/website:keep-1", "prod/website:keep-1"))
	w.now = w.now.Add(100 * day)
	if err := w.dev.direct.PushManifest("website", "main-2", g.Index); err != nil {
		t.Fatal(err)
	}
	i = plan("main-2")
	// keep-1 keeps it, as long as it has that tag.
	if e := i.Expires; e.Rule != 1 || e.Action != lifecycle.Keep {
		t.Errorf("%+v", e)
	}
	w.prod.untag(t, "website", "keep-1")
	w.prod.push(t, "website", g.Untagged())
	w.now = w.now.Add(100 * day)
	i = plan("main-2")
	contains(t, finding(i, "KON4013"), "rule 3", "at its next run", "its age counts from")

	// A tag that moves leaves its image, which then no longer counts among the
	// newest.
	w.prod.create(t, "moves", "*")
	const newest = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["main-*"],"countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := w.prod.api.PutLifecyclePolicy(t.Context(), &ecrapi.PutLifecyclePolicyInput{RepositoryName: aws.String("moves"), LifecyclePolicyText: aws.String(newest)}); err != nil {
		t.Fatal(err)
	}
	w.prod.push(t, "moves", g.Untagged())
	w.prod.kontor.Advance(time.Hour)
	younger := remotetest.NewGraph(2, "main-1")
	w.prod.push(t, "moves", younger.Content)
	r := request("dev/website:main-1", "prod/moves:main-1")
	r.Move = true
	i = w.plan(w.promoter(), r).Images[0]
	if e := i.Expires; i.Status != promote.StatusPending || e.Action != lifecycle.Keep || e.Rank != 1 || e.Keep != 1 {
		t.Errorf("%s, %+v", i.Status, e)
	}
}
