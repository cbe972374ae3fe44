package promote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecrapi "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/amazon"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

var modes = []string{"ecr", "oci"}

// side is a registry behind a proxy.
type side struct {
	*promote.Registry
	kontor *kontortest.Registry
	direct remotetest.Registry
	proxy  *remotetest.Proxy
	api    *ecrapi.Client
}

// world is registry "dev", of one account, and "prod", of another.
type world struct {
	t         *testing.T
	dev, prod *side
	now       time.Time
	config    promote.Config
}

// within has w report to t, a subtest, until that is over.
func (w *world) within(t *testing.T) {
	whole := w.t
	w.t = t
	t.Cleanup(func() { w.t = whole })
}

// start starts both registries. The API is not asked, unless a test sets it.
func start(t *testing.T, compat string, change ...func(dev *kontortest.Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	w.dev, w.prod = w.side("dev", "111111111111", compat, change...), w.side("prod", "222222222222", compat)
	w.config = promote.Config{
		Open: func(_ context.Context, name string) (*promote.Registry, error) {
			for _, s := range []*side{w.dev, w.prod} {
				if s.Name == name {
					return s.Registry, nil
				}
			}
			return nil, fmt.Errorf("there is no registry %s", name)
		},
		Now: func() time.Time { return w.now }, Principal: "arn:aws:iam::222222222222:user/ci",
	}
	return w
}

func (w *world) side(name, account, compat string, change ...func(*kontortest.Options)) *side {
	w.t.Helper()
	options := kontortest.Options{Account: account, Compat: compat}
	for _, c := range change {
		c(&options)
	}
	k := kontortest.Start(w.t, options)
	s := &side{kontor: k, proxy: remotetest.Start(w.t, k.Host), direct: remotetest.Registry{Host: k.Host, User: "AWS", Password: k.Password(w.t)}, api: awstest.ECR(k)}
	client, err := remote.New(remote.Config{
		Host: s.proxy.Host, Name: name, PlainHTTP: true, Now: time.Now, Silence: 20 * time.Second,
		Registry: s.id(),
		Credentials: tokens.Source{
			Host: s.proxy.Host, Region: ecr.Region(k.Region), Endpoint: k.URL, AccessKeyID: k.Pusher.AccessKeyID, SecretAccessKey: k.Pusher.SecretAccessKey,
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s.Registry = &promote.Registry{Name: name, Remote: client, ECR: compat == "ecr"}
	return s
}

func (s *side) id() ecr.RegistryID {
	return ecr.RegistryID{Account: ecr.AccountID(s.kontor.Account), Region: ecr.Region(s.kontor.Region)}
}

// account gives the registry its API and a file's repositories.
func (s *side) account(w *world, wanted ...state.Repository) amazon.Account {
	w.t.Helper()
	conn, err := deploy.Connect(w.t.Context(), deploy.ConnectConfig{
		Target:      state.Target{Name: s.Name, Endpoint: s.kontor.URL, Registry: s.id()},
		AccessKeyID: s.kontor.Admin.AccessKeyID, SecretAccessKey: s.kontor.Admin.SecretAccessKey,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	a := amazon.Account{Conn: conn, Desired: state.Desired{Stack: "platform", Repositories: wanted}, Now: func() time.Time { return w.now }}
	s.API, s.Creator = a, a
	return a
}

// create makes a repository whose tags are immutable, except for those that match
// the wildcards.
func (s *side) create(t *testing.T, name string, mutable ...string) {
	t.Helper()
	in := &ecrapi.CreateRepositoryInput{RepositoryName: &name, ImageTagMutability: types.ImageTagMutabilityImmutable}
	for _, m := range mutable {
		in.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
		in.ImageTagMutabilityExclusionFilters = append(in.ImageTagMutabilityExclusionFilters,
			types.ImageTagMutabilityExclusionFilter{Filter: aws.String(m), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	if _, err := s.api.CreateRepository(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (s *side) push(t *testing.T, name string, c *remotetest.Content) {
	t.Helper()
	if err := s.direct.Push(name, c); err != nil {
		t.Fatal(err)
	}
}

func (w *world) promoter() *promote.Promoter { return promote.New(w.config) }

func ref(s string) promote.Ref {
	registry, rest, _ := strings.Cut(s, "/")
	if name, digest, ok := strings.Cut(rest, "@"); ok {
		return promote.Ref{Registry: registry, Repository: ecr.RepositoryName(name), Digest: ecr.Digest(digest)}
	}
	name, tag, _ := strings.Cut(rest, ":")
	return promote.Ref{Registry: registry, Repository: ecr.RepositoryName(name), Tag: ecr.Tag(tag)}
}

func request(from, to string) promote.Request {
	return promote.Request{From: ref(from), To: ref(to)}
}

// plan plans requests with a new promoter, and looks whether the plan survives
// being written to a file.
func (w *world) plan(p *promote.Promoter, requests ...promote.Request) promote.Plan {
	w.t.Helper()
	pl, err := p.Plan(w.t.Context(), requests)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.read(pl)
}

// read is the plan as it is read from the file that it is written to.
func (w *world) read(pl promote.Plan) promote.Plan {
	w.t.Helper()
	text, err := json.Marshal(pl)
	if err != nil {
		w.t.Fatal(err)
	}
	back, err := promote.ParsePlan("plan.json", text)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(pl, back); diff != "" {
		w.t.Fatalf("the plan changed on its way (-want +got)\n%s", diff)
	}
	return back
}

// promote plans and executes, and fails unless everything is there.
func (w *world) promote(requests ...promote.Request) (promote.Plan, promote.Result) {
	w.t.Helper()
	p := w.promoter()
	pl := w.plan(p, requests...)
	for _, i := range pl.Images {
		if i.Status == promote.StatusRefused {
			w.t.Fatalf("refused: %s", i.Refusal())
		}
	}
	r, err := p.Execute(w.t.Context(), pl, promote.ExecuteOptions{})
	if err != nil || !r.OK() {
		w.t.Fatalf("%v, %+v", err, r)
	}
	return pl, r
}

// complete fails unless the target has the graph as it was pushed.
func (s *side) complete(t *testing.T, name string, g remotetest.Graph) {
	t.Helper()
	for _, m := range g.Manifests {
		for _, reference := range []string{string(m.Digest), m.Tag} {
			if got := s.direct.Manifest(t, name, reference); reference != "" && !bytes.Equal(got, m.Body) {
				t.Errorf("%s of %s/%s is %q", reference, s.Name, name, got)
			}
		}
	}
	for d, want := range g.Blobs {
		if got := s.direct.Blob(t, name, d); !bytes.Equal(got, want) {
			t.Errorf("blob %s of %s/%s has %d bytes, want %d", d, s.Name, name, len(got), len(want))
		}
	}
	s.refers(t, name, g.Index, g.Signatures...)
	s.refers(t, name, g.Platforms[1], g.SBOM)
	s.refers(t, name, g.Signatures[0], g.Timestamp)
}

// refers fails unless all of wanted refer to the subject.
func (s *side) refers(t *testing.T, name string, subject remotetest.Manifest, wanted ...remotetest.Manifest) {
	t.Helper()
	got := s.direct.Referrers(t, name, subject.Digest)
	for _, m := range wanted {
		if !slices.Contains(got, m.Digest) {
			t.Errorf("%s does not refer to %s in %s/%s", m.Digest, subject.Digest, s.Name, name)
		}
	}
}

// writes are the writing requests that the proxy saw.
func (s *side) writes() []string {
	var out []string
	for _, r := range s.proxy.Requests() {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	return out
}

// puts are the references of the manifests that were written, in order.
func (s *side) puts() []string {
	var out []string
	for _, r := range s.proxy.Requests() {
		if r.Method == http.MethodPut && strings.Contains(r.Path, "/manifests/") && r.Status == 201 {
			out = append(out, r.Path[strings.LastIndexByte(r.Path, '/')+1:])
		}
	}
	return out
}

// before fails unless a comes before b.
func before[T ~string](t *testing.T, list []string, a, b T) {
	t.Helper()
	i, j := slices.Index(list, string(a)), slices.Index(list, string(b))
	if i < 0 || j < 0 || i > j {
		t.Errorf("%s (%d) is not before %s (%d)", a, i, b, j)
	}
}

func contains(t *testing.T, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("%q, want %q in it", got, text)
		}
	}
}

// refused fails unless the only image of the plan is refused with a code.
func refused(t *testing.T, pl promote.Plan, code string, texts ...string) {
	t.Helper()
	i := pl.Images[0]
	found := false
	for _, f := range i.Findings {
		if string(f.Code) == code && string(f.Severity) == "error" {
			found = true
			contains(t, f.Message, texts...)
		}
	}
	if i.Status != promote.StatusRefused || !found {
		t.Errorf("%s, findings %+v, want %s", i.Status, i.Findings, code)
	}
}

// finding is the message of the first finding with a code.
func finding(i promote.Image, code string) string {
	for _, f := range i.Findings {
		if string(f.Code) == code {
			return f.Message
		}
	}
	return ""
}

// mounting sets the account's setting.
func (s *side) mounting(t *testing.T, value string) {
	t.Helper()
	if _, err := s.api.PutAccountSetting(t.Context(), &ecrapi.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: &value}); err != nil {
		t.Fatal(err)
	}
}

// repositoryOfFile is a repository as the file has it by default.
func repositoryOfFile(name string) state.Repository {
	return state.Repository{Name: ecr.RepositoryName(name), Mutability: ecr.Mutability{Mode: ecr.Immutable}}
}

// untag takes a tag away.
func (s *side) untag(t *testing.T, name, tag string) {
	t.Helper()
	out, err := s.api.BatchDeleteImage(t.Context(), &ecrapi.BatchDeleteImageInput{RepositoryName: &name, ImageIds: imageTag(tag)})
	if err != nil || len(out.Failures) > 0 {
		t.Fatalf("%v, %+v", err, out)
	}
}

// imageTag is the image with a tag, for the API.
func imageTag(tag string) []types.ImageIdentifier { return []types.ImageIdentifier{{ImageTag: &tag}} }

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	return remotetest.Must[[]byte](t)(json.Marshal(v))
}
