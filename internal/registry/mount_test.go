package registry_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A mount without a source finds the blob wherever the caller may read it.
func TestFindBlob(t *testing.T) {
	for _, tc := range []struct {
		compat registry.Compat
		found  bool
	}{{registry.CompatOCI, true}, {registry.CompatECR, false}} {
		f := open(t, tc.compat)
		to, from := f.repo("to", ecr.Mutable), f.repo("from", ecr.Mutable)
		d := f.blob(from, []byte("layer"))
		got, found, err := f.FindBlob(t.Context(), to, d)
		if err != nil || found != tc.found || found && got != from {
			t.Errorf("%s: %v %v %v", tc.compat, got, found, err)
		}
		if _, found, err := f.FindBlob(t.Context(), to, ecr.DigestOf([]byte("unknown"))); found || err != nil {
			t.Errorf("%s: an unknown blob: %v %v", tc.compat, found, err)
		}
		// What another registry of this server has is none of this one's.
		elsewhere := ecr.Repo{In: ecr.RegistryID{Account: home.Account, Region: "eu-west-1"}, Name: "from"}
		if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: elsewhere}); err != nil {
			t.Fatal(err)
		}
		d = f.blob(elsewhere, []byte("of another registry"))
		if got, found, err := f.FindBlob(t.Context(), to, d); found || err != nil {
			t.Errorf("%s: a blob of another registry: %v %v %v", tc.compat, got, found, err)
		}
	}
}

// A caller mounts from where it may read, and does not learn what the others
// hold.
func TestFindBlobShowsOnlyWhatMayBeRead(t *testing.T) {
	f := open(t, registry.CompatOCI)
	ctx := t.Context()
	const grant = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": [%s]}]}`
	to, secret, shared := f.repo("to", ecr.Mutable), f.repo("secret", ecr.Mutable), f.repo("shared", ecr.Mutable)
	if _, err := f.SetPolicy(ctx, to, fmt.Sprintf(grant, `"ecr:InitiateLayerUpload"`), false); err != nil {
		t.Fatal(err)
	}
	d := f.blob(secret, []byte("layer"))
	stranger := f.reg.As(alien)
	if from, found, err := stranger.FindBlob(ctx, to, d); found || err != nil {
		t.Errorf("found %v %v %v", from, found, err)
	}
	f.blob(shared, []byte("layer"))
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
	f := open(t, registry.CompatOCI)
	app, other := f.repo("app", ecr.Mutable), f.repo("other", ecr.Mutable)
	body := f.image(app, "x")
	layer := ecr.DigestOf([]byte("layer of x"))
	if _, mounted, err := f.MountBlob(ctx, other, app, layer); err != nil || !mounted {
		t.Fatalf("mounted %v %v", mounted, err)
	}
	d := f.mustPut(app, body, "v1")
	wantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeReferencedByManifestList, "Requested layer referenced by an image: "+string(layer))
	if err := f.DeleteManifest(ctx, app, d); err != nil {
		t.Fatal(err)
	}
	// With its last image the blob is as good as gone.
	wantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeLayersNotFound)
	f.blob(app, []byte("layer of x"))
	if err := f.DeleteBlob(ctx, app, layer); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.DeleteBlob(ctx, app, layer), ecr.CodeLayersNotFound)
	_, err := f.StatBlob(ctx, app, layer)
	wantCode(t, err, ecr.CodeLayersNotFound)
	if _, err := f.StatBlob(ctx, other, layer); err != nil {
		t.Errorf("another repository's: %v", err)
	}
	wantCode(t, f.put(app, body), ecr.CodeLayersNotFound)
	// It is on record.
	var ops []meta.JournalOp
	err = f.meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		list, err := r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: home, Name: "app"}, 0, 10)
		for _, e := range list {
			ops = append(ops, e.Op)
			if e.Op == meta.JournalDeleteBlob && (e.Digest != layer || e.SizeBytes != int64(len("layer of x")) || e.Actor != admin.ARN) {
				t.Errorf("entry %+v", e)
			}
		}
		return err
	})
	if d := cmp.Diff([]meta.JournalOp{meta.JournalDeleteImage, meta.JournalDeleteBlob}, ops); err != nil || d != "" {
		t.Errorf("journal (-want +got): %v\n%s", err, d)
	}

	strict := open(t, registry.CompatECR)
	app = strict.repo("app", ecr.Mutable)
	wantCode(t, strict.DeleteBlob(ctx, app, strict.blob(app, []byte("x"))), ecr.CodeInvalidParameter)
}

// An index may list what is not there; what is there stays while it does.
func TestSparseIndex(t *testing.T) {
	ctx := t.Context()
	f := open(t, registry.CompatOCI)
	app := f.repo("app", ecr.Mutable)
	here, later := f.image(app, "here"), f.image(app, "later")
	f.mustPut(app, here)
	d := f.mustPut(app, index(later, here), "sparse")
	m, err := f.Manifest(ctx, app, ecr.ImageID{Tag: "sparse"})
	if err != nil || m.Digest != d {
		t.Fatalf("%v %v", m.Digest, err)
	}
	images, err := f.DescribeImages(ctx, app, []ecr.ImageID{{Digest: d}})
	if err != nil || images[0].SizeBytes == 0 {
		t.Errorf("its size is that of the largest image there: %+v %v", images, err)
	}
	wantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(here)), ecr.CodeReferencedByManifestList, string(d))
	wantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(later)), ecr.CodeImageNotFound)
	f.mustPut(app, later)
	wantCode(t, f.DeleteManifest(ctx, app, ecr.DigestOf(later)), ecr.CodeReferencedByManifestList, string(d))
	if err := f.DeleteManifest(ctx, app, d); err != nil {
		t.Fatal(err)
	}
	for _, body := range [][]byte{later, here} {
		if err := f.DeleteManifest(ctx, app, ecr.DigestOf(body)); err != nil {
			t.Error(err)
		}
	}
}
