package promote_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
)

// hide takes the referrers API away from a registry.
func (s *side) hide() {
	s.proxy.On("^GET .*/referrers/", -1, remotetest.Answer(404, "404 page not found\n", "Content-Type", "text/plain"))
	s.proxy.On("^PUT", -1, remotetest.Strip("OCI-Subject"))
}

// list is a list of referrers under a tag.
func list(c *remotetest.Content, subject remotetest.Manifest, of ...remotetest.Manifest) remotetest.Manifest {
	m := c.Index(remotetest.CosignTag(subject.Digest, ""), of...)
	m.Descriptor.ArtifactType = ""
	return m
}

// Registries without the referrers API keep lists under tags. They become
// referrers where there is the API, without the tag.
func TestListsUnderTags(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website", "sha256-*")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	list(g.Content, g.Index, g.Signatures...)
	list(g.Content, g.Platforms[1], g.SBOM)
	list(g.Content, g.Signatures[0], g.Timestamp)
	w.dev.push(t, "website", g.Content)
	w.dev.hide()
	w.promote(request("dev/website:1.0", "prod/website:1.0"))
	w.prod.refers(t, "website", g.Index, g.Signatures...)
	w.prod.refers(t, "website", g.Platforms[1], g.SBOM)
	w.prod.refers(t, "website", g.Signatures[0], g.Timestamp)
	if tags := w.prod.direct.Tags(t, "website"); !slices.Equal(tags, []string{"1.0", g.Cosign.Tag}) {
		t.Errorf("tags %q", tags)
	}
	if pl := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0")); pl.Images[0].Status != promote.StatusThere {
		t.Errorf("again: %s", pl.Images[0].Status)
	}
}

// Some registries answer with something else under such a tag, or with a list of
// what is not there or refers to something else.
func TestListsThatAreNone(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website", "sha256-*")
	w.prod.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	w.dev.hide()
	tag := remotetest.CosignTag(g.Index.Digest, "")
	promoted := func() promote.Image {
		t.Helper()
		pl, _ := w.promote(request("dev/website:1.0", "prod/website:1.0"))
		return pl.Images[0]
	}
	// The subject itself, as GitLab does.
	if err := w.dev.direct.PushManifest("website", tag, g.Index); err != nil {
		t.Fatal(err)
	}
	contains(t, finding(promoted(), "KON4011"), "the tag "+tag+" is not a list of referrers")
	// An image.
	if err := w.dev.direct.PushManifest("website", tag, g.Platforms[0]); err != nil {
		t.Fatal(err)
	}
	contains(t, finding(promoted(), "KON4011"), "is not a list of referrers")
	// A list of one that is, one that is of another image and one that is gone.
	c := remotetest.NewContent(9)
	gone := c.Referrer(remotetest.SBOMType, g.Index)
	if err := w.dev.direct.PushManifest("website", tag, list(remotetest.NewContent(10), g.Index, g.Signatures[0], g.SBOM, gone)); err != nil {
		t.Fatal(err)
	}
	i := promoted()
	var said []string
	for _, f := range i.Findings {
		said = append(said, f.Message)
	}
	contains(t, strings.Join(said, "\n"), string(g.SBOM.Digest)[:19]+", which the tag "+tag+" lists, is left out: it refers to something else", string(gone.Digest)[:19])
	if got := w.prod.direct.Referrers(t, "website", g.Index.Digest); !slices.Equal(got, []ecr.Digest{g.Signatures[0].Digest}) {
		t.Errorf("referrers %v", got)
	}
}

// A target without the API gets lists, when that is asked for: with what it has,
// and what comes.
func TestTargetWithoutReferrersAPI(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	w.prod.create(t, "website", "sha256-*")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	w.prod.hide()
	// The target already has its own signature.
	own := remotetest.NewContent(8)
	mine := own.Referrer(remotetest.SignatureType, g.Index)
	list(own, g.Index, mine)
	w.prod.push(t, "website", own)
	r := request("dev/website:1.0", "prod/website:1.0")
	r.ReferrersAsTags, r.Record = true, true
	pl, result := w.promote(r)
	w.prod.complete(t, "website", g)
	listed := func(subject remotetest.Manifest) (digests []ecr.Digest, types []string) {
		t.Helper()
		var index struct {
			MediaType string
			Manifests []remotetest.Descriptor
		}
		if err := json.Unmarshal(w.prod.direct.Manifest(t, "website", remotetest.CosignTag(subject.Digest, "")), &index); err != nil {
			t.Fatal(err)
		}
		for _, m := range index.Manifests {
			digests, types = append(digests, m.Digest), append(types, m.ArtifactType)
			if m.Size <= 0 || m.MediaType != manifest.MediaTypeOCIManifest {
				t.Errorf("%+v", m)
			}
		}
		return digests, types
	}
	got, types := listed(g.Index)
	want := []ecr.Digest{mine.Digest, g.Signatures[0].Digest, g.Signatures[1].Digest}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || !slices.Equal(types[1:], []string{remotetest.SignatureType, remotetest.SignatureType}) {
		t.Errorf("listed %v of types %q, want %v", got, types, want)
	}
	if got, _ := listed(g.Platforms[1]); !slices.Equal(got, []ecr.Digest{g.SBOM.Digest}) {
		t.Errorf("listed %v", got)
	}
	if got, _ := listed(g.Signatures[0]); !slices.Equal(got, []ecr.Digest{g.Timestamp.Digest}) {
		t.Errorf("listed %v", got)
	}
	if puts := w.prod.puts(); puts[len(puts)-1] != "1.0" {
		t.Errorf("written %q", puts)
	}
	// A record could not be found there.
	if result.Images[0].Record != "" || pl.Images[0].Record {
		t.Errorf("%+v", result.Images[0])
	}
	w.prod.proxy.Reset()
	w.prod.hide()
	if pl := w.plan(w.promoter(), r); pl.Images[0].Status != promote.StatusThere || len(w.prod.writes()) > 0 {
		t.Errorf("again: %s, %q", pl.Images[0].Status, w.prod.writes())
	}
}

// A run that was interrupted has written manifests, and not the lists of them.
func TestListsAreFinished(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	w.prod.create(t, "website", "sha256-*")
	g := remotetest.NewGraph(1, "1.0")
	w.dev.push(t, "website", g.Content)
	w.prod.push(t, "website", g.Untagged())
	w.prod.hide()
	r := request("dev/website:1.0", "prod/website:1.0")
	r.ReferrersAsTags = true
	listed := func() int {
		n := 0
		for _, m := range []remotetest.Manifest{g.Index, g.Platforms[1], g.Signatures[0]} {
			if w.prod.direct.Manifest(t, "website", remotetest.CosignTag(m.Digest, "")) != nil {
				n++
			}
		}
		return n
	}
	w.promote(r)
	if n := listed(); n != 3 {
		t.Errorf("%d lists", n)
	}
	// The tag alone does not make it whole.
	w.prod.untag(t, "website", remotetest.CosignTag(g.Index.Digest, ""))
	pl, _ := w.promote(r)
	if n := listed(); n != 3 || len(pl.Images[0].Lists) != 1 {
		t.Errorf("%d lists, planned %v", n, pl.Images[0].Lists)
	}
	// Something else is where the list would be.
	w.prod.untag(t, "website", remotetest.CosignTag(g.Index.Digest, ""))
	if err := w.prod.direct.PushManifest("website", remotetest.CosignTag(g.Index.Digest, ""), g.Platforms[0]); err != nil {
		t.Fatal(err)
	}
	refused(t, w.plan(w.promoter(), r), "KON4007", "is not a list of referrers", "take the tag away")
}

// cosign writes its tag again when it adds a signature.
func TestSignatureTags(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, mutable bool, there ...string) (*world, remotetest.Graph, remotetest.Manifest) {
		w := start(t, "ecr")
		w.dev.create(t, "website", "sha256-*")
		if mutable {
			w.prod.create(t, "website", "sha256-*")
		} else {
			w.prod.create(t, "website")
		}
		g := remotetest.NewGraph(1, "1.0")
		w.dev.push(t, "website", g.Content)
		w.promote(request("dev/website:1.0", "prod/website:1.0"))
		c := remotetest.NewContent(3)
		both := c.Cosign(g.Index, "sig", "payload of "+string(g.Index.Digest), "a second one")
		w.dev.push(t, "website", c)
		if len(there) > 0 {
			c := remotetest.NewContent(4)
			c.Cosign(g.Index, "sig", there...)
			w.prod.push(t, "website", c)
		}
		w.prod.account(w)
		return w, g, both
	}
	t.Run("a signature more", func(t *testing.T) {
		w, _, both := setup(t, true)
		w.promote(request("dev/website:1.0", "prod/website:1.0"))
		if got := w.prod.direct.Manifest(t, "website", both.Tag); string(got) != string(both.Body) {
			t.Error("the tag was not written")
		}
	})
	t.Run("an immutable tag", func(t *testing.T) {
		w, g, _ := setup(t, false)
		pl := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0"))
		contains(t, finding(pl.Images[0], "KON4012"), "prod/website:"+g.Cosign.Tag, `mutable_tags: ["sha256-*"]`)
		if pl.Images[0].Status != promote.StatusThere {
			t.Error(pl.Images[0].Status)
		}
	})
	t.Run("signatures of the target's own", func(t *testing.T) {
		w, g, _ := setup(t, true, "signed in production")
		before := w.prod.direct.Manifest(t, "website", g.Cosign.Tag)
		pl := w.plan(w.promoter(), request("dev/website:1.0", "prod/website:1.0"))
		contains(t, finding(pl.Images[0], "KON4012"), "they stay as they are")
		if got := w.prod.direct.Manifest(t, "website", g.Cosign.Tag); string(got) != string(before) {
			t.Error("signatures were lost")
		}
	})
}

// The entries of an index that are blobs, as those of BuildKit's cache, are copied
// as blobs; a target of Amazon ECR's kind refuses such an index.
func TestIndexOfBlobs(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "cache")
	w.prod.create(t, "cache")
	c := remotetest.NewContent(1)
	layer := c.Layer(100 << 10)
	config := c.Blob("application/vnd.buildkit.cacheconfig.v0", []byte(`{"layers":[]}`))
	c.Index("main", remotetest.Manifest{Descriptor: layer}, remotetest.Manifest{Descriptor: config})
	w.dev.push(t, "cache", c)
	pl, _ := w.promote(request("dev/cache:main", "prod/cache:main"))
	if b := pl.Images[0].Bytes; b.Move != int64(layer.Size+config.Size) || len(pl.Images[0].Manifests) != 1 {
		t.Errorf("%d bytes to move of %d manifests", b.Move, len(pl.Images[0].Manifests))
	}
	for d, want := range c.Blobs {
		if got := w.prod.direct.Blob(t, "cache", d); !bytes.Equal(got, want) {
			t.Errorf("blob %s has %d bytes, want %d", d, len(got), len(want))
		}
	}
	if pl := w.plan(w.promoter(), request("dev/cache:main", "prod/cache:main")); pl.Images[0].Status != promote.StatusThere {
		t.Errorf("again: %s", pl.Images[0].Status)
	}
	w.prod.create(t, "elsewhere")
	w.prod.ECR = true
	pl = w.plan(w.promoter(), request("dev/cache:main", "prod/elsewhere:main"))
	contains(t, finding(pl.Images[0], "KON4006"), "it lists blobs, not images")
}
