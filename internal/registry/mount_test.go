package registry_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A mount without a source finds the blob wherever the caller may read it.
func TestFindBlob(t *testing.T) {
	for _, tc := range []struct {
		compat registry.Compat
		found  bool
	}{{registry.CompatOCI, true}, {registry.CompatECR, false}} {
		f := testkit.Open(t, testkit.Settings{Compat: tc.compat})
		to, from := f.Repo("to", ecr.Mutable), f.Repo("from", ecr.Mutable)
		d := f.Blob(from, []byte("layer"))
		got, found, err := f.FindBlob(t.Context(), to, d)
		if err != nil || found != tc.found || found && got != from {
			t.Errorf("%s: %v %v %v", tc.compat, got, found, err)
		}
		if _, found, err := f.FindBlob(t.Context(), to, ecr.DigestOf([]byte("unknown"))); found || err != nil {
			t.Errorf("%s: an unknown blob: %v %v", tc.compat, found, err)
		}
		// What another registry of this server has is none of this one's.
		elsewhere := ecr.Repo{In: ecr.RegistryID{Account: testkit.Home.Account, Region: "eu-west-1"}, Name: "from"}
		if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: elsewhere}); err != nil {
			t.Fatal(err)
		}
		d = f.Blob(elsewhere, []byte("of another registry"))
		if got, found, err := f.FindBlob(t.Context(), to, d); found || err != nil {
			t.Errorf("%s: a blob of another registry: %v %v %v", tc.compat, got, found, err)
		}
	}
}

// A caller mounts from where it may read, and does not learn what the others
// hold.
func TestFindBlobShowsOnlyWhatMayBeRead(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	const grant = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": [%s]}]}`
	to, secret, shared := f.Repo("to", ecr.Mutable), f.Repo("secret", ecr.Mutable), f.Repo("shared", ecr.Mutable)
	if _, err := f.SetPolicy(ctx, to, fmt.Sprintf(grant, `"ecr:InitiateLayerUpload"`), false); err != nil {
		t.Fatal(err)
	}
	d := f.Blob(secret, []byte("layer"))
	stranger := f.Registry.As(testkit.Alien)
	if from, found, err := stranger.FindBlob(ctx, to, d); found || err != nil {
		t.Errorf("found %v %v %v", from, found, err)
	}
	f.Blob(shared, []byte("layer"))
	if from, found, err := stranger.FindBlob(ctx, to, d); found || err != nil {
		t.Errorf("found %v %v %v", from, found, err)
	}
	if _, err := f.SetPolicy(ctx, shared, fmt.Sprintf(grant, `"ecr:GetDownloadUrlForLayer"`), false); err != nil {
		t.Fatal(err)
	}
	if from, found, err := stranger.FindBlob(ctx, to, d); !found || from != shared || err != nil {
		t.Errorf("not found: %v %v %v", from, found, err)
	}
	if _, mounted, err := stranger.MountBlob(ctx, to, secret, d); mounted || err != nil {
		t.Errorf("mounted %v %v", mounted, err)
	}
	if _, mounted, err := stranger.MountBlob(ctx, to, shared, d); !mounted || err != nil {
		t.Errorf("mounted %v %v", mounted, err)
	}
}

func TestDeleteBlob(t *testing.T) {
	ctx := t.Context()
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	app, other := f.Repo("app", ecr.Mutable), f.Repo("other", ecr.Mutable)
	body := f.Image(app, "x")
	layer := ecr.DigestOf([]byte("layer of x"))
	if _, mounted, err := f.MountBlob(ctx, other, app, layer); err != nil || !mounted {
		t.Fatalf("mounted %v %v", mounted, err)
	}
	d := f.MustPut(app, body, "v1")
	testkit.WantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeReferencedByManifestList, "Requested layer referenced by an image: "+string(layer))
	if err := f.DeleteManifest(ctx, app, d); err != nil {
		t.Fatal(err)
	}
	// With its last image the blob is as good as gone.
	testkit.WantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeLayersNotFound)
	f.Blob(app, []byte("layer of x"))
	if err := f.DeleteBlob(ctx, app, layer); err != nil {
		t.Fatal(err)
	}
	testkit.WantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeLayersNotFound)
	_, err := f.StatBlob(ctx, app, layer)
	testkit.WantCode(t, err, ecr.CodeLayersNotFound)
	if _, err := f.StatBlob(ctx, other, layer); err != nil {
		t.Errorf("another repository's: %v", err)
	}
	testkit.WantCode(t, f.Put(app, body), ecr.CodeLayersNotFound)
	// It is on record.
	var ops []meta.JournalOp
	err = f.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		list, err := r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: testkit.Home, Name: "app"}, 0, 10)
		for _, e := range list {
			ops = append(ops, e.Op)
			if e.Op == meta.JournalDeleteBlob && (e.Digest != layer || e.SizeBytes != int64(len("layer of x")) || e.Actor != testkit.Admin.ARN) {
				t.Errorf("entry %+v", e)
			}
		}
		return err
	})
	if d := cmp.Diff([]meta.JournalOp{meta.JournalDeleteImage, meta.JournalDeleteBlob}, ops); err != nil || d != "" {
		t.Errorf("journal (-want +got): %v\n%s", err, d)
	}

	strict := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app = strict.Repo("app", ecr.Mutable)
	testkit.WantCode(t, strict.DeleteBlob(ctx, app, strict.Blob(app, []byte("x"))), ecr.CodeInvalidParameter)
}

// An index may list what is not there; what is there stays while it does.
func TestSparseIndex(t *testing.T) {
	ctx := t.Context()
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	app := f.Repo("app", ecr.Mutable)
	here, later := f.Image(app, "here"), f.Image(app, "later")
	f.MustPut(app, here)
	d := f.MustPut(app, testkit.Index(later, here), "sparse")
	m, err := f.Manifest(ctx, app, ecr.ImageID{Tag: "sparse"})
	if err != nil || m.Digest != d {
		t.Fatalf("%v %v", m.Digest, err)
	}
	images, err := f.DescribeImages(ctx, app, []ecr.ImageID{{Digest: d}})
	if err != nil || images[0].SizeBytes == 0 {
		t.Errorf("its size is that of the largest image there: %+v %v", images, err)
	}
	testkit.WantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(here)), ecr.CodeReferencedByManifestList, string(d))
	testkit.WantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(later)), ecr.CodeImageNotFound)
	f.MustPut(app, later)
	testkit.WantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(later)), ecr.CodeReferencedByManifestList, string(d))
	if err := f.DeleteManifest(ctx, app, d); err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{later, here} {
		if err := f.DeleteManifest(ctx, app, ecr.DigestOf(body)); err != nil {
			t.Error(err)
		}
	}
}

// What a stored manifest lists and the repository was given stays: the entries
// of an index that are blobs, as BuildKit's cache has them, and foreign layers.
// They are not collected, not deleted, and come back from the recycle bin.
func TestGivenBlobsStay(t *testing.T) {
	ctx := t.Context()
	const foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	layer, absent, later := []byte("given"), []byte("absent"), []byte("given later")
	index := testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.IndexType, "manifests": []testkit.Desc{
		testkit.DescOf(testkit.LayerType, layer), testkit.DescOf("application/vnd.buildkit.cacheconfig.v0", later), testkit.DescOf(testkit.LayerType, absent)}})
	windows := func(w *testkit.World, to ecr.Repo) []byte {
		plain := testkit.PartsOf(w.Image(to, "windows"))
		return testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "config": plain.Config, "layers": append(plain.Layers,
			testkit.DescOf(foreign, layer), testkit.DescOf(foreign, later), testkit.DescOf(foreign, absent))})
	}
	for _, tt := range []struct {
		name   string
		compat registry.Compat
		body   func(*testkit.World, ecr.Repo) []byte
	}{
		{"an index of blobs", registry.CompatOCI, func(*testkit.World, ecr.Repo) []byte { return index }},
		{"foreign layers, oci", registry.CompatOCI, windows},
		{"foreign layers, ecr", registry.CompatECR, windows},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testkit.Keeping(testkit.Day, 0, testkit.Day)
			s.Compat = tt.compat
			f := testkit.Open(t, s)
			app, other := f.Repo("app", ecr.Mutable), f.Repo("other", ecr.Mutable)
			f.Blob(app, layer)
			body := tt.body(f, app)
			d := f.MustPut(app, body, "v1")
			f.Blob(app, later)
			f.Blob(other, absent) // another repository was given it
			given := func() {
				t.Helper()
				for _, content := range [][]byte{layer, later} {
					if err := f.PullBlob(ctx, app, ecr.DigestOf(content)); err != nil {
						t.Error(err)
					}
					if _, err := f.DownloadableLayer(ctx, app, ecr.DigestOf(content)); err != nil {
						t.Error(err)
					}
				}
				if err := f.PullBlob(ctx, app, ecr.DigestOf(absent)); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
					t.Errorf("what it was not given: %v", err)
				}
			}
			f.Advance(30 * testkit.Hour)
			f.Collect()
			given()
			if tt.compat == registry.CompatOCI {
				testkit.WantCode(t, f.DeleteBlob(ctx, app, ecr.DigestOf(layer)), ecr.CodeReferencedByManifestList, string(ecr.DigestOf(layer)))
				testkit.WantCode(t, f.DeleteBlob(ctx, app, ecr.DigestOf(later)), ecr.CodeReferencedByManifestList, string(ecr.DigestOf(later)))
			}
			f.DeleteImages(app, d)
			if err := f.PullBlob(ctx, app, ecr.DigestOf(layer)); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
				t.Errorf("without its image: %v", err)
			}
			f.Advance(testkit.Hour)
			back, err := f.RestoreImage(ctx, app, d)
			if err != nil || slices.Contains(back.Missing, ecr.DigestOf(layer)) {
				t.Fatalf("restored %+v, %v", back, err)
			}
			f.Advance(30 * testkit.Hour)
			f.Collect()
			given()
		})
	}
}
