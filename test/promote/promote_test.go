package promote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage of the tests
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

// startDistribution starts distribution on files of its own.
func startDistribution(t *testing.T, name string) *side {
	t.Helper()
	logrus.SetLevel(logrus.PanicLevel)
	config, err := configuration.Parse(strings.NewReader(fmt.Sprintf(
		"version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {secret: s}\n", t.TempDir())))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handlers.NewApp(t.Context(), config))
	t.Cleanup(server.Close)
	return newSide(t, name, remotetest.Registry{Host: strings.TrimPrefix(server.URL, "http://")}, false)
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

// lists adds the lists of referrers that a client writes where there is no API.
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

func sorted(ms ...remotetest.Manifest) []ecr.Digest {
	var out []ecr.Digest
	for _, m := range ms {
		out = append(out, m.Digest)
	}
	slices.Sort(out)
	return out
}

func TestFromDistributionToKontor(t *testing.T) {
	for _, compat := range []string{"ecr", "oci"} {
		t.Run(compat, func(t *testing.T) {
			from, to := startDistribution(t, "mirror"), startKontor(t, "prod", compat, "website")
			g := remotetest.NewGraph(1, "1.0")
			lists(g)
			if err := from.direct.Push("website", g.Content); err != nil {
				t.Fatal(err)
			}
			r := request(from, to, "website")
			r.Record = true
			run(t, r, from, to)
			whole(t, to, "website", g)
			for subject, want := range map[*remotetest.Manifest][]ecr.Digest{&g.Index: sorted(g.Signatures...), &g.Platforms[1]: sorted(g.SBOM), &g.Signatures[0]: sorted(g.Timestamp)} {
				got := to.direct.Referrers(t, "website", subject.Digest)
				for _, d := range want {
					if !slices.Contains(got, d) {
						t.Errorf("%s does not refer to %s", d, subject.Digest)
					}
				}
			}
			if got := to.direct.Tags(t, "website"); !slices.Equal(got, []string{"1.0", g.Cosign.Tag}) {
				t.Errorf("tags %q", got)
			}
			to.proxy.Reset()
			if image, _ := run(t, r, from, to); image.Status != promote.StatusThere || to.proxy.Count("^(PUT|POST|PATCH)") > 0 {
				t.Errorf("again: %s, %v", image.Status, to.proxy.Requests())
			}
		})
	}
}

func TestFromKontorToDistribution(t *testing.T) {
	from, to := startKontor(t, "dev", "ecr", "website"), startDistribution(t, "mirror")
	g := remotetest.NewGraph(1, "1.0")
	if err := from.direct.Push("website", g.Content); err != nil {
		t.Fatal(err)
	}
	r := request(from, to, "website")
	plan, err := promoter(from, to).Plan(t.Context(), []promote.Request{r})
	if err != nil || plan.Images[0].Status != promote.StatusRefused || !strings.Contains(plan.Images[0].Refusal(), "--referrers tags") {
		t.Fatalf("%v, %+v", err, plan.Images)
	}
	if to.proxy.Count("^(PUT|POST|PATCH)") > 0 {
		t.Error("something was sent")
	}
	r.ReferrersAsTags = true
	run(t, r, from, to)
	whole(t, to, "website", g)
	for subject, want := range map[*remotetest.Manifest][]ecr.Digest{&g.Index: sorted(g.Signatures...), &g.Platforms[1]: sorted(g.SBOM), &g.Signatures[0]: sorted(g.Timestamp)} {
		if got := listed(t, to, "website", *subject); !slices.Equal(got, want) {
			t.Errorf("listed for %s: %v, want %v", subject.Digest, got, want)
		}
	}
	to.proxy.Reset()
	if image, _ := run(t, r, from, to); image.Status != promote.StatusThere || to.proxy.Count("^(PUT|POST|PATCH)") > 0 {
		t.Errorf("again: %s", image.Status)
	}
}

// distribution mounts what any repository has, also into a repository that comes
// with its first push.
func TestInsideDistribution(t *testing.T) {
	s := startDistribution(t, "mirror")
	g := remotetest.NewGraph(1, "1.0")
	lists(g)
	if err := s.direct.Push("website", g.Content); err != nil {
		t.Fatal(err)
	}
	r := request(s, s, "released/website")
	r.ReferrersAsTags = true
	_, result := run(t, r, s)
	whole(t, s, "released/website", g)
	if result.Blobs.Mounted != len(g.Blobs) || s.proxy.Count("^PUT .*/blobs/") > 0 {
		t.Errorf("%+v", result)
	}
}

// Faults on both sides, as they are met on the way.
func TestFaultsOfDistribution(t *testing.T) {
	for name, effect := range map[string]remotetest.Effect{
		"503": remotetest.Answer(503, ""), "dropped": remotetest.Drop, "answer lost": remotetest.Lose, "answer cut": remotetest.Cut(100), "upload reset": remotetest.CutUpload(10),
	} {
		t.Run(name, func(t *testing.T) {
			from, to := startDistribution(t, "mirror"), startDistribution(t, "second")
			g := remotetest.NewGraph(1, "1.0")
			lists(g)
			if err := from.direct.Push("website", g.Content); err != nil {
				t.Fatal(err)
			}
			from.proxy.OnFirst("", effect)
			to.proxy.OnFirst("", effect)
			r := request(from, to, "website")
			r.ReferrersAsTags = true
			run(t, r, from, to)
			whole(t, to, "website", g)
		})
	}
}
