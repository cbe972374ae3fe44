package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// onPush are the settings of a template for pushes.
func onPush(prefix string) meta.TemplateSettings {
	return meta.TemplateSettings{Given: prefix, AppliedFor: []ecr.CreationReason{ecr.CreateOnPush}}
}

func template(f *testkit.World, s meta.TemplateSettings) {
	f.T.Helper()
	if _, err := templates.New(f.Gate, f.Registry, f.Now).As(testkit.Admin).CreateTemplate(f.T.Context(), testkit.Home, s); err != nil {
		f.T.Fatal(err)
	}
}

func exists(f *testkit.World, name string) bool {
	f.T.Helper()
	list, _, err := f.ListRepositories(f.T.Context(), testkit.Home, "", 100)
	if err != nil {
		f.T.Fatal(err)
	}
	for _, r := range list {
		if string(r.Name) == name {
			return true
		}
	}
	return false
}

func TestPushCreatesFromTheLongestPrefix(t *testing.T) {
	for _, compat := range []registry.Compat{registry.CompatECR, registry.CompatOCI} {
		f := testkit.Open(t, testkit.Settings{Compat: compat})
		for i, s := range []meta.TemplateSettings{onPush("ROOT"), onPush("prod"), onPush("prod/team/"), {Given: "prod/team/cache", AppliedFor: []ecr.CreationReason{ecr.CreateOnPull, ecr.CreateOnReplicate}}} {
			s.Tags = map[string]string{"from": fmt.Sprint(i)}
			template(f, s)
		}
		for name, want := range map[string]string{
			"app": "0", "prod": "0", "production/app": "0", "prod/app": "1", "prod/team": "1", "prod/team/app": "2", "prod/team/deep/er": "2",
			"prod/team/cache/app": "2", // the longer template is for other reasons
		} {
			to := testkit.At(name)
			f.MustPut(to, f.Image(to, name), "v1")
			tags, err := f.ResourceTags(t.Context(), to)
			if err != nil || tags["from"] != want {
				t.Errorf("%s: %s is from template %s (%v), want %s", compat, name, tags["from"], err, want)
			}
		}
	}
}

// Everything that a template holds is the repository's, and later changes of the
// template do not touch it.
func TestPushCreatesWhatTheTemplateSays(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{})
	s := onPush("team")
	s.Mutability = ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest*"}}
	s.Encryption = ecr.Encryption{Type: "KMS"}
	s.Tags = map[string]string{"team": "a"}
	s.Policy, s.Lifecycle = policyOf(`"Principal":{"AWS":"999999999999"},"Action":"ecr:BatchGetImage"`), testkit.LifecyclePolicy
	template(f, s)
	to := testkit.At("team/app")
	f.MustPut(to, f.Image(to, "x"), "v1")
	list, err := f.DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{to.Name})
	if err != nil {
		t.Fatal(err)
	}
	r := list[0]
	if d := cmp.Diff(s.Mutability, r.Mutability); d != "" || r.Encryption.Type != "KMS" || !strings.HasPrefix(r.Encryption.KMSKey, "arn:aws:kms:us-east-1:000000000000:key/") {
		t.Errorf("%+v %s", r, d)
	}
	if text, err := f.Policy(t.Context(), to); err != nil || !strings.Contains(text, "arn:aws:iam::999999999999:root") {
		t.Errorf("policy %s, %v", text, err)
	}
	if text, _, err := f.LifecyclePolicy(t.Context(), to); err != nil || !strings.Contains(text, `"rulePriority"`) {
		t.Errorf("lifecycle %s, %v", text, err)
	}
	if tags, err := f.ResourceTags(t.Context(), to); err != nil || tags["team"] != "a" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if _, err := templates.New(f.Gate, f.Registry, f.Now).As(testkit.Admin).DeleteTemplate(t.Context(), testkit.Home, "team/"); err != nil {
		t.Fatal(err)
	}
	f.MustPut(to, f.Image(to, "y"), "v2")
	other := testkit.At("team/other")
	_, err = f.StartUpload(t.Context(), other)
	testkit.WantCode(t, err, ecr.CodeRepositoryNotFound)
}

// Each way to begin a push creates the repository; a push that fails does not.
func TestWaysToBeginAPush(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	template(f, onPush("ROOT"))
	source := testkit.At("source")
	d := f.Blob(source, []byte("content"))
	ctx := t.Context()
	for name, begin := range map[string]func(to ecr.Repo) error{
		"upload": func(to ecr.Repo) error { _, err := f.StartUpload(ctx, to); return err },
		"mount":  func(to ecr.Repo) error { _, _, err := f.MountBlob(ctx, to, source, d); return err },
		"image": func(to ecr.Repo) error {
			_, err := f.PutImage(ctx, to, registry.NewImage{Body: testkit.Index()})
			return err
		},
	} {
		if err := begin(testkit.At(name)); err != nil || !exists(f, name) {
			t.Errorf("%s: %v, created: %v", name, err, exists(f, name))
		}
	}
	if from, found, err := f.FindBlob(ctx, testkit.At("found"), d); err != nil || !found || from.Name == "" || exists(f, "found") {
		t.Errorf("looking for a blob: %v %v %v, created: %v", from, found, err, exists(f, "found"))
	}
	_, err := f.PutImage(ctx, testkit.At("lacking"), registry.NewImage{Body: f.Image(source, "of source only")})
	testkit.WantCode(t, err, ecr.CodeLayersNotFound)
	for name, read := range map[string]func(to ecr.Repo) error{
		"lacking": func(to ecr.Repo) error { _, err := f.DescribeImages(ctx, to, nil); return err },
		"pulled":  func(to ecr.Repo) error { _, err := f.Manifest(ctx, to, ecr.ImageID{Tag: "v1"}); return err },
		"looked":  func(to ecr.Repo) error { _, err := f.StatBlob(ctx, to, d); return err },
		"checked": func(to ecr.Repo) error { _, _, err := f.BatchCheckLayers(ctx, to, []string{string(d)}); return err },
	} {
		testkit.WantCode(t, read(testkit.At(name)), ecr.CodeRepositoryNotFound)
		if exists(f, name) {
			t.Errorf("%s was created", name)
		}
	}
}

// A push that may not be finished leaves nothing behind. ECR leaves an empty
// repository (aws/containers-roadmap#853).
func TestPushThatIsRefusedCreatesNothing(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	const push = `"Action":["ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"]`
	open := onPush("open")
	open.Policy = policyOf(`"Principal":{"AWS":"999999999999"},` + push)
	template(f, open)
	half := onPush("half")
	half.Policy = policyOf(`"Principal":{"AWS":"999999999999"},"Action":"ecr:InitiateLayerUpload"`)
	template(f, half)
	tagged := onPush("tagged")
	tagged.Tags = map[string]string{"team": "a"}
	template(f, tagged)
	denied := onPush("denied")
	denied.Policy = policyOf(`"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"`)
	template(f, denied)
	template(f, onPush("ROOT"))
	mine := testkit.Home.Account
	onTag := `"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}`
	for _, tt := range []struct {
		name string
		who  access.Principal
		to   string
		want string // of the denial; "" is a push
	}{
		{"another account, which the template's policy lets push", testkit.Alien, "open/a", ""},
		{"another account, which may begin only", testkit.Alien, "half/a", "ecr:UploadLayerPart"},
		{"another account, without a policy", testkit.Alien, "elsewhere", "ecr:InitiateLayerUpload"},
		{"a user of another account without rights of its own", user("999999999999"), "open/b", "ecr:InitiateLayerUpload"},
		{"a user without rights", user(mine), "open/c", "ecr:InitiateLayerUpload"},
		{"a user who may push", user(mine, policyOf(push+`,"Resource":"*"`)), "new", ""},
		{"a user who may not put images", user(mine, policyOf(`"Action":"ecr:InitiateLayerUpload","Resource":"*"`)), "new2", "ecr:UploadLayerPart"},
		{"a user who may push elsewhere", user(mine, policyOf(push+`,"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/new"`)), "new3", "ecr:InitiateLayerUpload"},
		{"a user who may push by tag", user(mine, policyOf(push+","+onTag)), "tagged/a", ""},
		{"a user who may push by another tag", user(mine, policyOf(push+","+onTag)), "new4", "ecr:InitiateLayerUpload"},
		{"an administrator whom the template denies", testkit.Admin, "denied/a", "ecr:PutImage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := f.Registry.As(tt.who).StartUpload(t.Context(), testkit.At(tt.to))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else {
				testkit.WantCode(t, err, ecr.CodeAccessDenied, "not authorized to perform: "+tt.want)
			}
			if got, want := exists(f, tt.to), tt.want == ""; got != want {
				t.Errorf("created: %v, want %v", got, want)
			}
		})
	}
}

func TestManyPushesCreateOneRepository(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{}, open(t))
			template(f, onPush("ROOT"))
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					if _, err := f.StartUpload(context.WithoutCancel(t.Context()), testkit.At(fmt.Sprint("new", i/4))); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if list, _, err := f.ListRepositories(t.Context(), testkit.Home, "", 10); err != nil || len(list) != 2 {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
}

// A template's role limits what the registry does with it. Without roles, as here,
// there is none.
func TestTemplateWithoutItsRole(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{})
	s := onPush("team/")
	s.RoleARN = "arn:aws:iam::000000000000:role/templates"
	template(f, s)
	_, err := f.StartUpload(t.Context(), testkit.At("team/app"))
	testkit.WantCode(t, err, ecr.CodeRepositoryNotFound, "The repository creation template with prefix 'team/' did not create it: its role arn:aws:iam::000000000000:role/templates does not exist")
	if exists(f, "team/app") {
		t.Error("it was created")
	}
}
