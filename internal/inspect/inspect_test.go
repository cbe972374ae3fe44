package inspect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func looking(w *testkit.World, p access.Principal) *inspect.Caller {
	return inspect.New(inspect.Config{Gate: w.Gate, Retention: w.Retention, Now: w.Now}).As(p)
}

// who is a user with rights to the actions on everything.
func who(actions ...string) access.Principal {
	return access.Principal{
		Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/who", UniqueID: "AIDAWHO",
		Documents: []access.Document{{Name: "rights", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` +
			strings.Join(actions, `","`) + `"],"Resource":"*"}]}`}},
	}
}

// What fates hang on is told to those who may ask for it, each part on its own.
func TestImagesTellWhatTheCallerMayAsk(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	at := w.Repo("app", ecr.Mutable)
	child := w.Image(at, "child")
	childDigest := w.MustPut(at, child)
	index := w.MustPut(at, testkit.Index(child), "v1")
	if _, err := w.SetLifecyclePolicy(t.Context(), at, testkit.LifecyclePolicy); err != nil {
		t.Fatal(err)
	}
	lease := []retention.Lease{{Repository: at.Name, Image: ecr.ImageID{Tag: "v1"}, User: "Deployment web"}}
	if _, err := w.ReportLeases(t.Context(), testkit.Home, "cluster", time.Hour, lease); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		also                     string
		policy, children, leases bool
		allowed                  bool
	}{
		{also: "ecr:ListImages"},
		{also: "ecr:DescribeImages", allowed: true},
		{also: "ecr:DescribeImages ecr:GetLifecyclePolicy", allowed: true, policy: true},
		{also: "ecr:DescribeImages ecr:BatchGetImage", allowed: true, children: true},
		{also: "ecr:DescribeImages kontor:ListLeases", allowed: true, leases: true},
		{also: "ecr:* kontor:*", allowed: true, policy: true, children: true, leases: true},
	} {
		t.Run(tt.also, func(t *testing.T) {
			got, err := looking(w, who(strings.Fields(tt.also)...)).Images(t.Context(), at, 10)
			if !tt.allowed {
				testkit.WantCode(t, err, ecr.CodeAccessDenied, "ecr:DescribeImages")
				return
			}
			if err != nil || len(got.Images) != 2 || !got.Complete {
				t.Fatalf("%+v, %v", got, err)
			}
			if got.PolicySeen != tt.policy || (got.Policy != "") != tt.policy || got.ChildrenSeen != tt.children ||
				slices.Contains(got.Children[index], childDigest) != tt.children || got.LeasesSeen != tt.leases || (got.Held[string(index)] == "cluster: Deployment web") != tt.leases {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A large repository is read in part, and says so.
func TestImagesAreBounded(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	at := w.Repo("app", ecr.Mutable)
	for i := range 5 {
		w.MustPut(at, w.Image(at, fmt.Sprint(i)), ecr.Tag(fmt.Sprint("v", i)))
		w.Advance(time.Second)
	}
	for most, complete := range map[int]bool{4: false, 5: true, 6: true} {
		got, err := looking(w, testkit.Admin).Images(t.Context(), at, most)
		if err != nil || got.Complete != complete || len(got.Images) != map[bool]int{true: 5}[complete] {
			t.Errorf("%d: %d images, complete %t, %v", most, len(got.Images), got.Complete, err)
		}
	}
	q := meta.TagQuery{ByTime: true, Backward: true}
	list, more, err := looking(w, testkit.Admin).Tags(t.Context(), at, q, 2)
	if err != nil || !more || len(list) != 2 || list[0].Tag != "v4" || list[1].Tag != "v3" {
		t.Errorf("%+v, more %t, %v", list, more, err)
	}
	q.After = list[1].TagRow
	if list, more, err = looking(w, testkit.Admin).Tags(t.Context(), at, q, 3); err != nil || more || len(list) != 3 || list[2].Tag != "v0" {
		t.Errorf("%+v, more %t, %v", list, more, err)
	}
}

// A list leaves out what the caller may not see, and looks at no images that it may
// not describe.
func TestRepositories(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	for i := range 7 {
		at := w.Repo(fmt.Sprint("team/app", i), ecr.Mutable)
		w.MustPut(at, w.Image(at, "x"), "v1")
	}
	p := who("ecr:DescribeRepositories")
	p.Documents = append(p.Documents,
		access.Document{Name: "more", Text: `{"Version":"2012-10-17","Statement":[
			{"Effect":"Deny","Action":"ecr:DescribeRepositories","Resource":"arn:aws:ecr:*:*:repository/team/app3"},
			{"Effect":"Allow","Action":"ecr:DescribeImages","Resource":"arn:aws:ecr:*:*:repository/team/app4"}]}`})
	even := func(n ecr.RepositoryName) bool { return n != "team/app0" }
	var got []string
	for after := ecr.RepositoryName(""); ; {
		list, next, err := looking(w, p).Repositories(t.Context(), testkit.Home, inspect.Listing{Want: even, After: after, Limit: 2, Images: 10})
		if err != nil || len(list) > 2 {
			t.Fatal(len(list), err)
		}
		for _, r := range list {
			got = append(got, fmt.Sprint(r.Name, " ", r.Seen, " ", len(r.Images.Images)))
		}
		if after = next; next == "" {
			break
		}
	}
	want := []string{"team/app1 false 0", "team/app2 false 0", "team/app4 true 1", "team/app5 false 0", "team/app6 false 0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Who else has a layer is told of those that the caller may ask about.
func TestSharing(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	layer := testkit.LayerOf("shared")
	for _, name := range []string{"a", "b", "c"} {
		at := w.Repo(name, ecr.Mutable)
		w.MustPut(at, w.ImageOf(at, testkit.ConfigOf(name), layer), "v1")
	}
	d := ecr.DigestOf(layer)
	got, err := looking(w, testkit.Admin).Sharing(t.Context(), testkit.At("a"), []ecr.Digest{d})
	if err != nil || !slices.Equal(got[d], []ecr.RepositoryName{"b", "c"}) {
		t.Errorf("%q, %v", got, err)
	}
	p := who("ecr:BatchGetImage")
	p.Documents = append(p.Documents, access.Document{Name: "c", Text: `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"ecr:BatchCheckLayerAvailability","Resource":"arn:aws:ecr:*:*:repository/c"}]}`})
	if got, err = looking(w, p).Sharing(t.Context(), testkit.At("a"), []ecr.Digest{d}); err != nil || !slices.Equal(got[d], []ecr.RepositoryName{"c"}) {
		t.Errorf("%q, %v", got, err)
	}
}
