package promote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage of the tests
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/sirupsen/logrus"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/kontortest"
)

// side is a registry behind a proxy that counts.
type side struct {
	*promote.Registry
	direct remotetest.Registry
	proxy  *remotetest.Proxy
}

func newSide(t *testing.T, name string, direct remotetest.Registry, likeECR bool) *side {
	t.Helper()
	s := &side{direct: direct, proxy: remotetest.Start(t, direct.Host)}
	client, err := remote.New(remote.Config{
		Host: s.proxy.Host, Name: name, PlainHTTP: true, Now: time.Now,
		Credentials: remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
			return remote.Credential{User: direct.User, Password: direct.Password}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Registry = &promote.Registry{Name: name, Remote: client, ECR: likeECR}
	return s
}

// foreign is a registry that is not ours.
type foreign struct {
	name string
	new  func(*testing.T) http.Handler
	// referrers: it has the referrers API. Without it, lists of referrers are
	// kept under tags.
	referrers bool
	// mounts: it mounts blobs. One that does not wants them uploaded.
	mounts bool
}

var distribution = foreign{name: "distribution", new: newDistribution, mounts: true}

// registries are those that images are promoted to and from.
var registries = []foreign{
	distribution,
	// That of crane and of many test suites. It takes no Range without an end.
	{name: "go-containerregistry", new: newGoContainerRegistry(false)},
	{name: "go-containerregistry with referrers", new: newGoContainerRegistry(true), referrers: true},
	{name: "ociregistry", new: newOCIRegistry, referrers: true, mounts: true},
	// Answers in the manner of ECR: a tag is answered without its digest.
	{name: "ociregistry without digests", new: newOCIRegistryWithoutDigests, mounts: true},
}

// each runs a test with every one of registries.
func each(t *testing.T, test func(*testing.T, foreign)) {
	for _, f := range registries {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// start starts the registry, empty.
func (f foreign) start(t *testing.T, name string) *side {
	t.Helper()
	server := httptest.NewServer(f.new(t))
	t.Cleanup(server.Close)
	return newSide(t, name, remotetest.Registry{Host: strings.TrimPrefix(server.URL, "http://")}, false)
}

// newDistribution starts distribution v3 with its own files.
func newDistribution(t *testing.T) http.Handler {
	t.Helper()
	logrus.SetLevel(logrus.PanicLevel)
	config, err := configuration.Parse(strings.NewReader(fmt.Sprintf(
		"version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {secret: s}\n", t.TempDir())))
	if err != nil {
		t.Fatal(err)
	}
	return handlers.NewApp(t.Context(), config)
}

func newGoContainerRegistry(referrers bool) func(*testing.T) http.Handler {
	return func(*testing.T) http.Handler {
		return registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
	}
}

func newOCIRegistry(*testing.T) http.Handler {
	return ociserver.New(ocimem.New(), nil)
}

func newOCIRegistryWithoutDigests(*testing.T) http.Handler {
	return ociserver.New(ocimem.New(), &ociserver.Options{DisableReferrersAPI: true, OmitDigestFromTagGetResponse: true, MaxListPageSize: 1000})
}

func startKontor(t *testing.T, name, compat string, repositories ...string) *side {
	t.Helper()
	k := kontortest.Start(t, kontortest.Options{Account: "111111111111", Compat: compat})
	for _, r := range repositories {
		k.CreateRepository(t, r)
	}
	return newSide(t, name, remotetest.Registry{Host: k.Host, User: "AWS", Password: k.Password(t)}, compat == "ecr")
}

// promoter knows the registries by their names.
func promoter(sides ...*side) *promote.Promoter {
	return promote.New(promote.Config{
		Open: func(_ context.Context, name string) (*promote.Registry, error) {
			for _, s := range sides {
				if s.Name == name {
					return s.Registry, nil
				}
			}
			return nil, fmt.Errorf("there is no registry %s", name)
		},
		Now: time.Now,
	})
}

func request(from, to *side, repository string) promote.Request {
	return promote.Request{
		From: promote.Ref{Registry: from.Name, Repository: "website", Tag: "1.0"},
		To:   promote.Ref{Registry: to.Name, Repository: ecr.RepositoryName(repository), Tag: "1.0"},
	}
}

// run plans and runs, and fails unless the image is there.
func run(t *testing.T, r promote.Request, sides ...*side) (promote.Image, promote.ImageResult) {
	t.Helper()
	p := promoter(sides...)
	plan, err := p.Plan(t.Context(), []promote.Request{r})
	if err != nil || plan.Images[0].Status == promote.StatusRefused {
		t.Fatalf("%v, %+v", err, plan.Images)
	}
	result, err := p.Execute(t.Context(), plan, promote.ExecuteOptions{})
	if err != nil || !result.OK() {
		t.Fatalf("%v, %+v", err, result)
	}
	return plan.Images[0], result.Images[0]
}

// push pushes g, with the lists of referrers that a client writes where there is
// no API.
func (f foreign) push(t *testing.T, s *side, g remotetest.Graph) {
	t.Helper()
	if !f.referrers {
		lists(g)
	}
	if err := s.direct.Push("website", g.Content); err != nil {
		t.Fatal(err)
	}
}

func lists(g remotetest.Graph) {
	g.Content.Index(remotetest.CosignTag(g.Index.Digest, ""), g.Signatures...)
	g.Content.Index(remotetest.CosignTag(g.Platforms[1].Digest, ""), g.SBOM)
	g.Content.Index(remotetest.CosignTag(g.Signatures[0].Digest, ""), g.Timestamp)
}

// whole fails unless the manifests and blobs of g are there, byte for byte.
func whole(t *testing.T, s *side, repository string, g remotetest.Graph) {
	t.Helper()
	for _, m := range g.Manifests {
		if got := s.direct.Manifest(t, repository, string(m.Digest)); !bytes.Equal(got, m.Body) && !strings.HasPrefix(m.Tag, "sha256-") {
			t.Errorf("%s of %s is %q", m.Digest, s.Name, got)
		}
	}
	for d, want := range g.Blobs {
		if got := s.direct.Blob(t, repository, d); !bytes.Equal(got, want) {
			t.Errorf("blob %s of %s has %d bytes", d, s.Name, len(got))
		}
	}
	if got := s.direct.Manifest(t, repository, "1.0"); !bytes.Equal(got, g.Index.Body) {
		t.Errorf("the tag of %s is %q", s.Name, got)
	}
	if got := s.direct.Manifest(t, repository, g.Cosign.Tag); !bytes.Equal(got, g.Cosign.Body) {
		t.Errorf("cosign's tag of %s is %q", s.Name, got)
	}
}

// listed are what a list under a tag names.
func listed(t *testing.T, s *side, repository string, subject remotetest.Manifest) []ecr.Digest {
	t.Helper()
	var index struct{ Manifests []struct{ Digest ecr.Digest } }
	if text := s.direct.Manifest(t, repository, remotetest.CosignTag(subject.Digest, "")); text != nil {
		if err := json.Unmarshal(text, &index); err != nil {
			t.Fatal(err)
		}
	}
	var out []ecr.Digest
	for _, m := range index.Manifests {
		out = append(out, m.Digest)
	}
	slices.Sort(out)
	return out
}

// referring fails unless the registry lists what refers to g's manifests: more
// than that only where more is true.
func (f foreign) referring(t *testing.T, s *side, repository string, g remotetest.Graph, more bool) {
	t.Helper()
	for _, c := range []struct {
		subject remotetest.Manifest
		want    []ecr.Digest
	}{{g.Index, sorted(g.Signatures...)}, {g.Platforms[1], sorted(g.SBOM)}, {g.Signatures[0], sorted(g.Timestamp)}} {
		var got []ecr.Digest
		if f.referrers {
			got = s.direct.Referrers(t, repository, c.subject.Digest)
			slices.Sort(got)
		} else {
			got = listed(t, s, repository, c.subject)
		}
		if more {
			got = slices.DeleteFunc(got, func(d ecr.Digest) bool { return !slices.Contains(c.want, d) })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("to %s of %s refer %v, want %v", c.subject.Digest, s.Name, got, c.want)
		}
	}
}

// ours is Kontor as foreign describes registries.
var ours = foreign{name: "Kontor", referrers: true}

func sorted(ms ...remotetest.Manifest) []ecr.Digest {
	var out []ecr.Digest
	for _, m := range ms {
		out = append(out, m.Digest)
	}
	slices.Sort(out)
	return out
}

// again fails unless a rerun finds nothing to do, and writes nothing.
func again(t *testing.T, r promote.Request, to *side, sides ...*side) {
	t.Helper()
	to.proxy.Reset()
	if image, _ := run(t, r, sides...); image.Status != promote.StatusThere || to.proxy.Count("^(PUT|POST|PATCH)") > 0 {
		t.Errorf("again: %s, %v", image.Status, to.proxy.Requests())
	}
}

func TestToKontor(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		for _, compat := range []string{"ecr", "oci"} {
			t.Run(compat, func(t *testing.T) {
				from, to := f.start(t, "mirror"), startKontor(t, "prod", compat, "website")
				g := remotetest.NewGraph(1, "1.0")
				f.push(t, from, g)
				r := request(from, to, "website")
				r.Record = true
				run(t, r, from, to)
				whole(t, to, "website", g)
				ours.referring(t, to, "website", g, true)
				if got := to.direct.Tags(t, "website"); !slices.Equal(got, []string{"1.0", g.Cosign.Tag}) {
					t.Errorf("tags %q", got)
				}
				again(t, r, to, from, to)
			})
		}
	})
}

func TestFromKontor(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		from, to := startKontor(t, "dev", "ecr", "website"), f.start(t, "mirror")
		g := remotetest.NewGraph(1, "1.0")
		ours.push(t, from, g)
		r := request(from, to, "website")
		if !f.referrers {
			refused(t, r, "--referrers tags", from, to)
			r.ReferrersAsTags = true
		}
		run(t, r, from, to)
		whole(t, to, "website", g)
		f.referring(t, to, "website", g, false)
		again(t, r, to, from, to)
	})
}

// refused fails unless the plan refuses the image with that text, and has sent
// nothing.
func refused(t *testing.T, r promote.Request, text string, from, to *side) {
	t.Helper()
	plan, err := promoter(from, to).Plan(t.Context(), []promote.Request{r})
	if err != nil || plan.Images[0].Status != promote.StatusRefused || !strings.Contains(plan.Images[0].Refusal(), text) {
		t.Fatalf("%v, %+v", err, plan.Images)
	}
	if to.proxy.Count("^(PUT|POST|PATCH)") > 0 {
		t.Error("something was sent")
	}
}

// Inside a registry blobs are mounted, where it does that, also into a repository
// that comes with its first push.
func TestInside(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		s := f.start(t, "mirror")
		g := remotetest.NewGraph(1, "1.0")
		f.push(t, s, g)
		r := request(s, s, "released/website")
		r.ReferrersAsTags = !f.referrers
		_, result := run(t, r, s)
		whole(t, s, "released/website", g)
		f.referring(t, s, "released/website", g, false)
		if f.mounts && (result.Blobs.Mounted != len(g.Blobs) || s.proxy.Count("^PUT .*/blobs/") > 0) {
			t.Errorf("%+v", result)
		}
	})
}

// A tag that is another image is refused with both digests, and moves when that
// is asked for.
func TestTakenTag(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		from, to := startKontor(t, "dev", "ecr", "website"), f.start(t, "mirror")
		g, other := remotetest.NewGraph(1, "1.0"), remotetest.NewGraph(2, "1.0")
		ours.push(t, from, g)
		f.push(t, to, other)
		r := request(from, to, "website")
		r.ReferrersAsTags = !f.referrers
		refused(t, r, fmt.Sprintf("is %s already, and not %s", other.Index.Digest, g.Index.Digest), from, to)
		if n := len(to.proxy.Requests()); n > 3 {
			t.Errorf("it took %d requests", n)
		}
		r.Move = true
		run(t, r, from, to)
		whole(t, to, "website", g)
	})
}

// Faults on both sides, as they are met on the way.
func TestFaults(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		for name, effect := range map[string]remotetest.Effect{
			"503": remotetest.Answer(503, ""), "dropped": remotetest.Drop, "answer lost": remotetest.Lose, "answer cut": remotetest.Cut(100), "upload reset": remotetest.CutUpload(10),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				from, to := f.start(t, "mirror"), f.start(t, "second")
				g := remotetest.NewGraph(1, "1.0")
				f.push(t, from, g)
				from.proxy.OnFirst("", effect)
				to.proxy.OnFirst("", effect)
				r := request(from, to, "website")
				r.ReferrersAsTags = !f.referrers
				run(t, r, from, to)
				whole(t, to, "website", g)
				f.referring(t, to, "website", g, false)
			})
		}
	})
}
