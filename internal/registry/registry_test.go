package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

const mib = 1 << 20

var (
	home  = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	admin = access.Principal{Account: home.Account, ARN: "arn:aws:iam::000000000000:user/administrator", UniqueID: "AIDAADMIN", Policies: []string{access.PolicyAdministrator}}
	alien = access.Principal{Account: "999999999999", ARN: "arn:aws:iam::999999999999:user/administrator", UniqueID: "AIDAALIEN", Policies: []string{access.PolicyAdministrator}}
)

// fixture is a registry on a real database and real files.
type fixture struct {
	*registry.Caller // the administrator
	t                testing.TB
	reg              *registry.Registry
	meta             meta.Store
	blobs            blob.Store
	cfg              registry.Config
	now              time.Time
}

func open(t testing.TB, compat registry.Compat) *fixture {
	t.Helper()
	m, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, compat, m)
}

// openOn is open on a database of the test's choice, which it closes.
func openOn(t testing.TB, compat registry.Compat, m meta.Store) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := disk.Open(disk.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	f.meta, f.blobs = m, b
	f.cfg = registry.Config{
		Meta: m, Blobs: b, Compat: compat, Now: func() time.Time { return f.now }, Log: slog.New(slog.DiscardHandler),
	}
	f.reg = registry.New(f.cfg)
	f.Caller = f.reg.As(admin)
	return f
}

func at(name string) registry.Repo { return registry.Repo{In: home, Name: ecr.RepositoryName(name)} }

func (f *fixture) repo(name string, mode ecr.TagMutability, filters ...string) registry.Repo {
	f.t.Helper()
	_, err := f.CreateRepository(f.t.Context(), registry.NewRepository{Repo: at(name), Mutability: ecr.Mutability{Mode: mode, Filters: filters}})
	if err != nil {
		f.t.Fatal(err)
	}
	return at(name)
}

func (f *fixture) blob(to registry.Repo, content []byte) ecr.Digest {
	f.t.Helper()
	ctx := f.t.Context()
	id, err := f.StartUpload(ctx, to)
	if err != nil {
		f.t.Fatal(err)
	}
	d := ecr.DigestOf(content)
	if _, err := f.CompleteUpload(ctx, to, id, 0, bytes.NewReader(content), d); err != nil {
		f.t.Fatal(err)
	}
	return d
}

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

type desc struct {
	MediaType string     `json:"mediaType"`
	Digest    ecr.Digest `json:"digest"`
	Size      int        `json:"size"`
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, strings and numbers
	}
	return b
}

// image uploads an image's blobs and returns its manifest. content makes the
// image its own; size is that of its layer.
func (f *fixture) image(to registry.Repo, content string) []byte {
	f.t.Helper()
	config, layer := []byte(`{"of":"`+content+`"}`), []byte("layer of "+content)
	return encode(map[string]any{
		"schemaVersion": 2, "mediaType": imageType,
		"config": desc{"application/vnd.oci.image.config.v1+json", f.blob(to, config), len(config)},
		"layers": []desc{{"application/vnd.oci.image.layer.v1.tar", f.blob(to, layer), len(layer)}},
	})
}

func index(children ...[]byte) []byte {
	var list []desc
	for _, c := range children {
		list = append(list, desc{imageType, ecr.DigestOf(c), len(c)})
	}
	return encode(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": list})
}

func (f *fixture) put(to registry.Repo, body []byte, tags ...ecr.Tag) error {
	_, err := f.PutImage(f.t.Context(), to, registry.NewImage{Body: body, Tags: tags})
	return err
}

func (f *fixture) mustPut(to registry.Repo, body []byte, tags ...ecr.Tag) ecr.Digest {
	f.t.Helper()
	if err := f.put(to, body, tags...); err != nil {
		f.t.Fatal(err)
	}
	return ecr.DigestOf(body)
}

// wantCode fails unless err is an *ecr.Error with the code, whose message
// holds each of the texts.
func wantCode(t testing.TB, err error, code ecr.Code, texts ...string) {
	t.Helper()
	var e *ecr.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error is %v, not %s", err, code)
		return
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("%s says %q, without %q", code, e.Message, text)
		}
	}
}

func TestEveryMethodIsAnOperationWithActions(t *testing.T) {
	declared := map[string]bool{}
	for _, op := range registry.Operations() {
		if declared[op.Name] {
			t.Errorf("%s is declared twice", op.Name)
		}
		declared[op.Name] = true
		if len(op.Actions) == 0 {
			t.Errorf("%s asks for no action", op.Name)
		}
		for _, a := range op.Actions {
			if !strings.HasPrefix(string(a), "ecr:") && !strings.HasPrefix(string(a), "kontor:") {
				t.Errorf("%s asks for %q", op.Name, a)
			}
		}
	}
	methods := reflect.TypeFor[*registry.Caller]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; !declared[name] {
			t.Errorf("Caller.%s declares no operation", name)
		} else {
			delete(declared, name)
		}
	}
	for name := range declared {
		t.Errorf("the operation %s has no method", name)
	}
}

// everything calls every operation that works on a repository.
func everything(c *registry.Caller, to registry.Repo) map[string]func(context.Context) error {
	d, tag, up := ecr.DigestOf([]byte("x")), ecr.Tag("v1"), meta.UploadID("00000000-0000-4000-8000-000000000000")
	id := ecr.ImageID{Tag: tag}
	return map[string]func(context.Context) error{
		"CreateRepository": func(ctx context.Context) error {
			_, err := c.CreateRepository(ctx, registry.NewRepository{Repo: to})
			return err
		},
		"DescribeRepositories": func(ctx context.Context) error {
			_, err := c.DescribeRepositories(ctx, to.In, []ecr.RepositoryName{to.Name})
			return err
		},
		"ListRepositories":   func(ctx context.Context) error { _, _, err := c.ListRepositories(ctx, to.In, "", 10); return err },
		"DeleteRepository":   func(ctx context.Context) error { _, err := c.DeleteRepository(ctx, to, true); return err },
		"SetTagMutability":   func(ctx context.Context) error { return c.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.Mutable}) },
		"SetScanOnPush":      func(ctx context.Context) error { return c.SetScanOnPush(ctx, to, true) },
		"SetPolicy":          func(ctx context.Context) error { _, err := c.SetPolicy(ctx, to, repositoryPolicy, false); return err },
		"Policy":             func(ctx context.Context) error { _, err := c.Policy(ctx, to); return err },
		"DeletePolicy":       func(ctx context.Context) error { _, err := c.DeletePolicy(ctx, to); return err },
		"SetLifecyclePolicy": func(ctx context.Context) error { _, err := c.SetLifecyclePolicy(ctx, to, lifecyclePolicy); return err },
		"LifecyclePolicy":    func(ctx context.Context) error { _, _, err := c.LifecyclePolicy(ctx, to); return err },
		"StartLifecyclePreview": func(ctx context.Context) error {
			_, err := c.StartLifecyclePreview(ctx, to, lifecyclePolicy)
			return err
		},
		"LifecyclePreview": func(ctx context.Context) error { _, err := c.LifecyclePreview(ctx, to); return err },
		"RunLifecycle": func(ctx context.Context) error {
			_, err := c.RunLifecycle(ctx, to, registry.RunOptions{DryRun: true})
			return err
		},
		"SetStorageClass": func(ctx context.Context) error {
			_, err := c.SetStorageClass(ctx, to, ecr.ImageID{Digest: d}, registry.ClassArchive)
			return err
		},
		"IndexManifests": func(ctx context.Context) error { _, _, _, err := c.IndexManifests(ctx, to, "", 10); return err },
		"ReportLeases": func(ctx context.Context) error {
			_, err := c.ReportLeases(ctx, to.In, "cluster", time.Hour, nil)
			return err
		},
		"ListLeases":            func(ctx context.Context) error { _, _, err := c.ListLeases(ctx, to.In, to.Name); return err },
		"ForgetLeases":          func(ctx context.Context) error { _, err := c.ForgetLeases(ctx, to.In, "cluster"); return err },
		"MoveClock":             func(ctx context.Context) error { _, err := c.MoveClock(ctx, to.In, 0); return err },
		"DeleteLifecyclePolicy": func(ctx context.Context) error { _, _, err := c.DeleteLifecyclePolicy(ctx, to); return err },
		"TagResource":           func(ctx context.Context) error { return c.TagResource(ctx, to, map[string]string{"a": "b"}) },
		"UntagResource":         func(ctx context.Context) error { return c.UntagResource(ctx, to, []string{"a"}) },
		"ResourceTags":          func(ctx context.Context) error { _, err := c.ResourceTags(ctx, to); return err },
		"PutImage": func(ctx context.Context) error {
			_, err := c.PutImage(ctx, to, registry.NewImage{Body: index()})
			return err
		},
		"Manifest":      func(ctx context.Context) error { _, err := c.Manifest(ctx, to, id); return err },
		"StatManifest":  func(ctx context.Context) error { _, err := c.StatManifest(ctx, to, id); return err },
		"BatchGetImage": func(ctx context.Context) error { _, _, err := c.BatchGetImage(ctx, to, []ecr.ImageID{id}); return err },
		"BatchDeleteImage": func(ctx context.Context) error {
			_, _, err := c.BatchDeleteImage(ctx, to, []ecr.ImageID{id})
			return err
		},
		"DeleteManifest":   func(ctx context.Context) error { return c.DeleteManifest(ctx, to, d) },
		"DeleteTag":        func(ctx context.Context) error { return c.DeleteTag(ctx, to, tag) },
		"ListImages":       func(ctx context.Context) error { _, _, err := c.ListImages(ctx, to, "", ecr.ImageID{}, 10); return err },
		"DescribeImages":   func(ctx context.Context) error { _, err := c.DescribeImages(ctx, to, []ecr.ImageID{id}); return err },
		"ListImageDetails": func(ctx context.Context) error { _, _, err := c.ListImageDetails(ctx, to, "", "", 10); return err },
		"ListTags":         func(ctx context.Context) error { _, _, err := c.ListTags(ctx, to, "", 10); return err },
		"ListReferrers":    func(ctx context.Context) error { _, _, err := c.ListReferrers(ctx, to, d, "", "", 10); return err },
		"BatchCheckLayers": func(ctx context.Context) error {
			_, _, err := c.BatchCheckLayers(ctx, to, []string{string(d)})
			return err
		},
		"StatBlob":          func(ctx context.Context) error { _, err := c.StatBlob(ctx, to, d); return err },
		"OpenBlob":          func(ctx context.Context) error { _, _, err := c.OpenBlob(ctx, to, d); return err },
		"MountBlob":         func(ctx context.Context) error { _, _, err := c.MountBlob(ctx, to, to, d); return err },
		"DownloadableLayer": func(ctx context.Context) error { _, err := c.DownloadableLayer(ctx, to, d); return err },
		"Scanning": func(ctx context.Context) error {
			_, _, err := c.Scanning(ctx, to.In, []ecr.RepositoryName{to.Name})
			return err
		},
		"DescribeRegistry": func(ctx context.Context) error { return c.DescribeRegistry(ctx, to.In) },
		"RegistryScanning": func(ctx context.Context) error { _, err := c.RegistryScanning(ctx, to.In); return err },
		"SetRegistryScanning": func(ctx context.Context) error {
			return c.SetRegistryScanning(ctx, to.In, registry.RegistryScan{Type: registry.ScanBasic})
		},
		"StartScan":            func(ctx context.Context) error { return c.StartScan(ctx, to, id) },
		"ScanFindings":         func(ctx context.Context) error { return c.ScanFindings(ctx, to, id) },
		"RegistryPolicy":       func(ctx context.Context) error { _, err := c.RegistryPolicy(ctx, to.In); return err },
		"DeleteRegistryPolicy": func(ctx context.Context) error { _, err := c.DeleteRegistryPolicy(ctx, to.In); return err },
		"SetRegistryPolicy":    func(ctx context.Context) error { _, err := c.SetRegistryPolicy(ctx, to.In, registryPolicy); return err },
		"AccountSetting":       func(ctx context.Context) error { _, err := c.AccountSetting(ctx, to.In, "BLOB_MOUNTING"); return err },
		"SetAccountSetting":    func(ctx context.Context) error { return c.SetAccountSetting(ctx, to.In, "BLOB_MOUNTING", "ENABLED") },
		"FindBlob":             func(ctx context.Context) error { _, _, err := c.FindBlob(ctx, to, d); return err },
		"DeleteBlob":           func(ctx context.Context) error { return c.DeleteBlob(ctx, to, d) },
		"ListBin":              func(ctx context.Context) error { _, _, err := c.ListBin(ctx, to.In, to.Name, 0, 10); return err },
		"Usage":                func(ctx context.Context) error { _, err := c.Usage(ctx, to); return err },
		"Collect":              func(ctx context.Context) error { _, err := c.Collect(ctx, to.In); return err },
		"RestoreImage":         func(ctx context.Context) error { _, err := c.RestoreImage(ctx, to, d); return err },
		"PurgeImage":           func(ctx context.Context) error { _, err := c.PurgeImage(ctx, to, d, "leaked"); return err },
		"Journal": func(ctx context.Context) error {
			_, _, err := c.Journal(ctx, registry.JournalFilter{Registry: to.In, Name: to.Name}, 0, 10)
			return err
		},
		"StartUpload":    func(ctx context.Context) error { _, err := c.StartUpload(ctx, to); return err },
		"UploadOffset":   func(ctx context.Context) error { _, err := c.UploadOffset(ctx, to, up); return err },
		"AppendUpload":   func(ctx context.Context) error { _, err := c.AppendUpload(ctx, to, up, 0, nil); return err },
		"CompleteUpload": func(ctx context.Context) error { _, err := c.CompleteUpload(ctx, to, up, 0, nil, d); return err },
		"CancelUpload":   func(ctx context.Context) error { return c.CancelUpload(ctx, to, up) },
	}
}

// Nobody without rights learns whether a repository exists.
func TestStrangersAreDenied(t *testing.T) {
	f := open(t, registry.CompatECR)
	f.repo("there", ecr.Mutable)
	nobody := access.Principal{Account: home.Account, ARN: "arn:aws:iam::000000000000:user/nobody"}
	for _, p := range []access.Principal{alien, nobody} {
		missing, existing := everything(f.reg.As(p), at("missing")), everything(f.reg.As(p), at("there"))
		for _, op := range registry.Operations() {
			if op.Name == "AuthorizationToken" {
				continue // concerns no repository; see the test of the server
			}
			if existing[op.Name] == nil {
				t.Errorf("%s is not tried", op.Name)
				continue
			}
			errThere, errMissing := existing[op.Name](t.Context()), missing[op.Name](t.Context())
			wantCode(t, errThere, ecr.CodeAccessDenied, p.ARN+" is not authorized to perform: ")
			if got, want := strings.ReplaceAll(fmt.Sprint(errMissing), "/missing", "/there"), fmt.Sprint(errThere); got != want {
				t.Errorf("%s tells %s whether a repository exists:\n%s\n%s", op.Name, p.ARN, got, want)
			}
		}
	}
	if _, err := f.DescribeRepositories(t.Context(), home, []ecr.RepositoryName{"there"}); err != nil {
		t.Errorf("somebody changed it: %v", err)
	}
}

func TestMissingRepository(t *testing.T) {
	f := open(t, registry.CompatECR)
	for name, call := range everything(f.Caller, at("missing")) {
		switch name {
		case "CreateRepository", "ListRepositories", "Scanning": // which tells what is missing
			continue
		case "ListBin", "PurgeImage", "Journal", "Collect": // what they are about outlives repositories
			continue
		case "DescribeRegistry", "RegistryScanning", "SetRegistryScanning", "RegistryPolicy", "DeleteRegistryPolicy", "SetRegistryPolicy", "AccountSetting", "SetAccountSetting",
			"ReportLeases", "ListLeases", "ForgetLeases", "MoveClock":
			continue // concern no repository
		}
		wantCode(t, call(t.Context()), ecr.CodeRepositoryNotFound, "The repository with name 'missing' does not exist in the registry with id '000000000000'")
	}
}

const (
	repositoryPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":"ecr:BatchGetImage"}]}`
	lifecyclePolicy  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
)

func TestSettings(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to := f.repo("team/app", ecr.Immutable)
	_, err := f.CreateRepository(ctx, registry.NewRepository{Repo: to})
	wantCode(t, err, ecr.CodeRepositoryAlreadyExists, "The repository with name 'team/app' already exists in the registry with id '000000000000'")

	_, err = f.Policy(ctx, to)
	wantCode(t, err, ecr.CodeRepositoryPolicyNotFound, "Repository policy does not exist for the repository with name 'team/app'")
	_, err = f.SetPolicy(ctx, to, `{"Version":"2012-10-17","Statement":[]}`, false)
	wantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'")
	if _, err := f.SetPolicy(ctx, to, repositoryPolicy, false); err != nil {
		t.Fatal(err)
	}
	text, err := f.Policy(ctx, to)
	if err != nil || !strings.HasPrefix(text, "{\n  \"Version\" : \"2012-10-17\"") {
		t.Errorf("policy: %v %s", err, text)
	}

	_, _, err = f.LifecyclePolicy(ctx, to)
	wantCode(t, err, ecr.CodeLifecyclePolicyNotFound, "Lifecycle policy does not exist for the repository with name 'team/app'")
	_, err = f.SetLifecyclePolicy(ctx, to, strings.Replace(lifecyclePolicy, `"rulePriority":1`, `"rulePriority":0`, 1))
	wantCode(t, err, ecr.CodeInvalidParameter, "'Lifecycle policy validation failure: ", "numeric instance is lower than the required minimum")
	_, err = f.SetLifecyclePolicy(ctx, to, `{"rules":[]}`)
	wantCode(t, err, ecr.CodeInvalidParameter, "LifecyclePolicyText", "must have length greater than or equal to 100")
	if got, err := f.SetLifecyclePolicy(ctx, to, lifecyclePolicy); err != nil || got != lifecyclePolicy {
		t.Errorf("lifecycle policy: %v %s", err, got)
	}

	wantCode(t, f.TagResource(ctx, to, map[string]string{"": "x"}), ecr.CodeInvalidTagParameter)
	wantCode(t, f.TagResource(ctx, to, map[string]string{"aws:x": "x"}), ecr.CodeInvalidTagParameter)
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = "v"
	}
	if err := f.TagResource(ctx, to, many); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.TagResource(ctx, to, map[string]string{"one": "more"}), ecr.CodeTooManyTags)
	if err := f.UntagResource(ctx, to, []string{"k7", "nothing"}); err != nil {
		t.Fatal(err)
	}
	delete(many, "k7")
	if tags, err := f.ResourceTags(ctx, to); err != nil || !cmp.Equal(tags, many) {
		t.Errorf("tags: %v %s", err, cmp.Diff(many, tags))
	}

	wantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.ImmutableWithExclusion}), ecr.CodeInvalidParameter, "imageTagMutabilityExclusionFilters")
	wantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.Immutable, Filters: []string{"x"}}), ecr.CodeInvalidParameter)
	wantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: "SOMETIMES"}), ecr.CodeInvalidParameter, "enum value set")
	if err := f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}}); err != nil {
		t.Fatal(err)
	}
	got, err := f.DescribeRepositories(ctx, home, []ecr.RepositoryName{"team/app"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}}, got[0].Mutability); diff != "" {
		t.Error(diff)
	}
}

// One tag, many pushers: a tag that is immutable has one winner.
func readAll(t testing.TB, f blob.File) []byte {
	t.Helper()
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}
