package leases_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/lifecycle"
)

var (
	one = ecr.DigestOf([]byte("1"))
	two = ecr.DigestOf([]byte("2"))
)

func TestParseReference(t *testing.T) {
	tests := []struct {
		name, in string
		want     leases.Reference
		err      string
	}{
		{name: "host with a port", in: "localhost:5050/team/app:v1", want: leases.Reference{Host: "localhost:5050", Repository: "team/app", Image: ecr.ImageID{Tag: "v1"}}},
		{name: "digest", in: "a.example/app@" + string(one), want: leases.Reference{Host: "a.example", Repository: "app", Image: ecr.ImageID{Digest: one}}},
		{name: "both", in: "a.example/app:v1@" + string(one), want: leases.Reference{Host: "a.example", Repository: "app", Image: ecr.ImageID{Digest: one, Tag: "v1"}}},
		{name: "neither is latest", in: "localhost/app", want: leases.Reference{Host: "localhost", Repository: "app", Image: ecr.ImageID{Tag: "latest"}}},
		{name: "no host", in: "team/app:v1", want: leases.Reference{Host: "docker.io", Repository: "team/app", Image: ecr.ImageID{Tag: "v1"}}},
		{name: "one word", in: "busybox", want: leases.Reference{Host: "docker.io", Repository: "busybox", Image: ecr.ImageID{Tag: "latest"}}},
		{name: "hosts have no case", in: "A.Example:5000/app:V1", want: leases.Reference{Host: "a.example:5000", Repository: "app", Image: ecr.ImageID{Tag: "V1"}}},
		{name: "an address of version 6", in: "[::1]:5050/app:v1", want: leases.Reference{Host: "[::1]:5050", Repository: "app", Image: ecr.ImageID{Tag: "v1"}}},
		{name: "empty", in: "", err: "want HOST/REPOSITORY:TAG"},
		{name: "short digest", in: "a.example/app@sha256:12", err: "want a digest such as"},
		{name: "no tag", in: "a.example/app:", err: "the text after the colon is not a tag"},
		{name: "white space", in: "a.example/a b", err: "want HOST/REPOSITORY:TAG"},
		{name: "no repository", in: "a.example/", err: "want HOST/REPOSITORY:TAG"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := leases.ParseReference(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	uses := []leases.Use{
		{"localhost:5050/bb:v1", "z"}, {"LOCALHOST:5050/aa@" + string(one), "y"}, {"localhost:5050/bb:v1", "z"},
		{"busybox", "x"}, {"quay.example/x:1", "x"}, {"nginx:1", "x"}, {"kind:5000/bb:v2", "x"},
	}
	got, err := leases.Select(uses, []string{"Localhost:5050", "kind:5000"})
	if err != nil {
		t.Fatal(err)
	}
	want := leases.Selected{
		Leases: []leases.Lease{
			{"aa", ecr.ImageID{Digest: one}, "y"}, {"bb", ecr.ImageID{Tag: "v1"}, "z"}, {"bb", ecr.ImageID{Tag: "v2"}, "x"},
		},
		Others: []leases.Other{{"docker.io", 2}, {"quay.example", 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSelectNamesTheUser(t *testing.T) {
	for _, image := range []string{"localhost:5050/Team/App:v1", "localhost:5050/a b", ""} {
		t.Run("image "+image, func(t *testing.T) {
			_, err := leases.Select([]leases.Use{{image, "Pod shop/web, container app"}}, []string{"localhost:5050"})
			if err == nil || !strings.HasPrefix(err.Error(), "Pod shop/web, container app: ") {
				t.Errorf("%q: %v", image, err)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	got := leases.Hosts(ecr.RegistryID{Account: "111111111111", Region: "us-east-2"})
	want := []string{
		"111111111111.dkr.ecr.us-east-2.amazonaws.com", "111111111111.dkr.ecr-fips.us-east-2.amazonaws.com",
		"111111111111.dkr-ecr.us-east-2.on.aws", "111111111111.dkr-ecr-fips.us-east-2.on.aws",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.NewReplacer("ONE", string(one), "TWO", string(two)).Replace(string(b)))
}

// What kubectl prints of a small cluster: each kind that the command in the
// manual asks for, and what runtimes write as imageID.
func TestKubernetes(t *testing.T) {
	got, err := leases.Kubernetes(read(t, "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := leases.Objects{
		Looked: 9, Ended: 2, Unknown: map[string]int{"ConfigMap": 1, "Service": 1},
		Uses: []leases.Use{
			{"localhost:5050/migrate:v1", "Pod shop/web-1, container setup"},
			{"localhost:5050/web:v1", "Pod shop/web-1, container app"},
			{"localhost:5050/debug:v1", "Pod shop/web-1, container debugger"},
			{"localhost:5050/models:v1", "Pod shop/web-1, volume model"},
			{"localhost:5050/migrate@" + string(two), "Pod shop/web-1, container setup"},
			{"localhost:5050/mirror@" + string(one), "Pod shop/web-1, container app"},
			{"localhost:5050/web@" + string(one), "Pod shop/web-1, container app"},
			{"localhost:5050/web:v1", "Pod shop/web-2, container app"},
			{"localhost:5050/web:v2", "Deployment shop/web, container app"},
			{"localhost:5050/web:v1", "ReplicaSet shop/web-5d, container app"},
			{"localhost:5050/db:v1", "StatefulSet shop/db, container db"},
			{"localhost:5050/agent:v1", "DaemonSet ops/agent, container agent"},
			{"localhost:5050/report:v1", "CronJob shop/report, container report"},
			{"localhost:5050/db:v0", "ControllerRevision shop/db-1, container db"},
			{"localhost:5050/web:canary", "Rollout shop/canary, container app"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKubernetesForms(t *testing.T) {
	const item = `{"metadata":{"name":"web","namespace":"shop"},"spec":{"containers":[{"name":"app","image":"localhost:5050/web:v1"}]}}`
	typed := `{"kind":"Pod",` + item[1:]
	want := []leases.Use{{"localhost:5050/web:v1", "Pod shop/web, container app"}}
	tests := []struct {
		name, in string
		uses     []leases.Use
		next     string
		err      string
	}{
		{name: "one object", in: typed, uses: want},
		{name: "kubectl's list, its kind last", in: `{"items":[` + typed + `],"kind":"List"}`, uses: want},
		{name: "the API's list, whose items have no kind", in: `{"kind":"PodList","metadata":{"continue":"t"},"items":[` + item + `]}`, uses: want, next: "t"},
		{name: "one after another", in: typed + "\n" + `{"kind":"List","items":[]}` + typed, uses: append(slices.Clone(want), want...)},
		{name: "an empty cluster", in: `{"kind":"List","items":[]}`},
		{name: "cluster-wide objects have no namespace", in: `{"kind":"Node","metadata":{"name":"n"}}`},
		{name: "nothing", in: "  \n", err: "the input is empty"},
		{name: "YAML", in: "kind: List\n", err: "this is not what kubectl get -o json prints"},
		{name: "something else", in: `{"a":1}`, err: "it has neither kind nor items"},
		{name: "no object", in: `[1]`, err: "this is not what"},
		{name: "cut off", in: typed[:len(typed)-3], err: "unexpected EOF"},
		{name: "a pod of another shape", in: `{"kind":"Pod","metadata":{"name":"x"},"spec":{"containers":{}}}`, err: "Pod x: "},
		{name: "a deployment of another shape", in: `{"kind":"List","items":[{"kind":"Deployment","metadata":{"name":"x"},"spec":{"template":[]}}]}`, err: "Deployment x: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := leases.Kubernetes([]byte(tt.in))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.uses, got.Uses); diff != "" || got.Continue != tt.next {
				t.Errorf("continue %q, uses (-want +got):\n%s", got.Continue, diff)
			}
		})
	}
}

// Parts of a list find together what the whole list finds.
func TestObjectsAdd(t *testing.T) {
	text := read(t, "cluster.json")
	part, err := leases.Kubernetes(text)
	if err != nil {
		t.Fatal(err)
	}
	var sum leases.Objects
	sum.Add(part)
	sum.Add(part)
	whole, err := leases.Kubernetes(slices.Concat(text, text))
	if diff := cmp.Diff(whole, sum); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestList(t *testing.T) {
	got, err := leases.List("images.txt", []byte("# in use\nlocalhost:5050/web:v1\r\n\n  localhost:5050/db:v1  host db1 # since May\nlocalhost:5050/x@"+string(one)))
	want := []leases.Use{
		{"localhost:5050/web:v1", "images.txt:2"}, {"localhost:5050/db:v1", "host db1"}, {"localhost:5050/x@" + string(one), "images.txt:5"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for in, want := range map[string]string{
		"a.example/x:1\na.example/x:\n": "images.txt:2: ",
		"\xff":                          "images.txt:1: the line is not UTF-8",
		strings.Repeat("a", 5000):       "images.txt:1: the line has more than 4096 bytes",
	} {
		t.Run(want, func(t *testing.T) {
			if _, err := leases.List("images.txt", []byte(in)); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%.20q: %v, want %q", in, err, want)
			}
		})
	}
}

// Whatever comes, what is found can be selected or names who used it, and
// every lease is well formed.
func FuzzKubernetes(f *testing.F) {
	f.Add(read(f, "cluster.json"))
	f.Add([]byte(`{"kind":"PodList","metadata":{"continue":"t"},"items":[{"spec":{"containers":[{"image":"localhost:5050/a"}]}}]}`))
	f.Add([]byte(`{"kind":"ConfigMap","data":{"spec":"x"}}[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := leases.Kubernetes(b)
		if err != nil {
			if len(o.Uses) > 0 {
				t.Error("uses and an error")
			}
			return
		}
		s, err := leases.Select(o.Uses, []string{"localhost:5050"})
		if err != nil {
			return
		}
		for _, l := range s.Leases {
			if _, err := ecr.ParseRepositoryName(string(l.Repository)); err != nil || l.Image == (ecr.ImageID{}) || l.User == "" {
				t.Errorf("lease %+v", l)
			}
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add([]byte("# x\nlocalhost:5050/a:b who\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		uses, err := leases.List("x", b)
		if err != nil {
			return
		}
		for _, u := range uses {
			if r, err := leases.ParseReference(u.Image); err != nil || r.Image == (ecr.ImageID{}) || u.User == "" {
				t.Errorf("%+v: %v", u, err)
			}
		}
	})
}

func TestImagesHeldByLeases(t *testing.T) {
	images := []lifecycle.Image{{Digest: string(one), Tags: []string{"v1"}}, {Digest: string(two)}}
	list := []leases.Lease{
		{"web", ecr.ImageID{Tag: "v1"}, "b"}, {"web", ecr.ImageID{Tag: "v1"}, "a"}, {"web", ecr.ImageID{Tag: "v9"}, "c"},
		{"web", ecr.ImageID{Digest: ecr.DigestOf([]byte("3"))}, "d"}, {"other", ecr.ImageID{Digest: two}, "e"},
	}
	if diff := cmp.Diff(lifecycle.Held{string(one): "a"}, leases.Held(list, "web", images)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(lifecycle.Held{string(one): "a", string(two): "e"}, leases.Held(list, "", images)); diff != "" {
		t.Errorf("without a repository (-want +got):\n%s", diff)
	}
}
