package registry_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func (f *fixture) upload(to ecr.Repo, parts ...[]byte) meta.UploadID {
	f.t.Helper()
	id, err := f.StartUpload(f.t.Context(), to)
	if err != nil {
		f.t.Fatal(err)
	}
	var at int64
	for _, p := range parts {
		n, err := f.AppendUpload(f.t.Context(), to, id, at, bytes.NewReader(p))
		if err != nil {
			f.t.Fatal(err)
		}
		if at += int64(len(p)); n != at {
			f.t.Fatalf("the upload has %d bytes, not %d", n, at)
		}
	}
	return id
}

// stored lists what the blob store holds.
func (f *fixture) stored() (blobs, uploads int) {
	f.t.Helper()
	for info, err := range f.blobs.List(f.t.Context()) {
		if err != nil {
			f.t.Fatal(err)
		}
		if info.Upload {
			uploads++
		} else {
			blobs++
		}
	}
	return blobs, uploads
}

func TestUploadInParts(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	part := bytes.Repeat([]byte("0123456789abcdef"), 5*mib/16)
	rest := []byte("the end")
	id := f.upload(to, part, part)
	if n, err := f.UploadOffset(ctx, to, id); err != nil || n != 2*int64(len(part)) {
		t.Errorf("offset %d, %v", n, err)
	}
	_, err := f.AppendUpload(ctx, to, id, 0, bytes.NewReader(rest))
	wantCode(t, err, ecr.CodeInvalidLayerPart, "First byte of the layer part is 0 instead of 10485760")
	content := append(append(append([]byte{}, part...), part...), rest...)
	d := ecr.DigestOf(content)
	info, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, bytes.NewReader(rest), ecr.DigestOf(rest), d)
	if err != nil || info.Digest != d || info.SizeBytes != int64(len(content)) {
		t.Fatalf("%+v %v", info, err)
	}
	_, file, err := f.OpenBlob(ctx, to, d)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readAll(t, file), content) {
		t.Error("the blob is not what was sent")
	}
	_, err = f.UploadOffset(ctx, to, id)
	wantCode(t, err, ecr.CodeUploadNotFound, string(id))
}

func TestUploadSHA512(t *testing.T) {
	f := open(t, registry.CompatOCI)
	to := f.repo("app", ecr.Mutable)
	content := []byte("content")
	sum := sha512.Sum512(content)
	d := ecr.Digest("sha512:" + hex.EncodeToString(sum[:]))
	id := f.upload(to, content[:3], content[3:])
	if _, err := f.CompleteUpload(t.Context(), to, id, registry.AnyOffset, nil, d); err != nil {
		t.Fatal(err)
	}
	if info, err := f.StatBlob(t.Context(), to, d); err != nil || info.SizeBytes != 7 {
		t.Errorf("%+v %v", info, err)
	}
}

func TestUploadRefusals(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to, elsewhere := f.repo("app", ecr.Mutable), f.repo("elsewhere", ecr.Mutable)
	d := ecr.DigestOf([]byte("content"))

	t.Run("wrong digest", func(t *testing.T) {
		id := f.upload(to, []byte("other"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		wantCode(t, err, ecr.CodeInvalidLayer, "None of the provided layer digests match the calculated layer digest")
		_, err = f.UploadOffset(ctx, to, id)
		wantCode(t, err, ecr.CodeUploadNotFound)
	})
	t.Run("empty", func(t *testing.T) {
		id := f.upload(to)
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		wantCode(t, err, ecr.CodeEmptyUpload, string(id), "cannot be completed because it does not have any parts.")
	})
	t.Run("small part before the last", func(t *testing.T) {
		id := f.upload(to, []byte("con"), []byte("tent"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		wantCode(t, err, ecr.CodeLayerPartTooSmall, "All layer parts except the last part should be at least 5MB")
	})
	t.Run("another repository's upload", func(t *testing.T) {
		id := f.upload(elsewhere, []byte("content"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		wantCode(t, err, ecr.CodeUploadNotFound)
		wantCode(t, f.CancelUpload(ctx, to, id), ecr.CodeUploadNotFound)
		if err := f.CancelUpload(ctx, elsewhere, id); err != nil {
			t.Error(err)
		}
	})
	if blobs, uploads := f.stored(); blobs != 0 || uploads != 0 {
		t.Errorf("%d blobs and %d uploads are left behind", blobs, uploads)
	}
}

var errHungUp = errors.New("hung up")

// A client that hangs up in the middle can go on where it was.
func TestUploadGoesOnAfterHangUp(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	content := bytes.Repeat([]byte("0123456789abcdef"), 6*mib/16)
	id := f.upload(to)
	broken := io.MultiReader(bytes.NewReader(content[:5*mib+1]), &failing{})
	n, err := f.AppendUpload(ctx, to, id, 0, broken)
	if !errors.Is(err, errHungUp) || n != 5*mib+1 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := f.CompleteUpload(ctx, to, id, n, bytes.NewReader(content[n:]), ecr.DigestOf(content)); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errHungUp }

// Two writers of one upload: the second is turned away at once.
func TestOneWriterAtATime(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	id := f.upload(to)
	body, feed := io.Pipe()
	first := make(chan error, 1)
	go func() {
		_, err := f.AppendUpload(ctx, to, id, 0, body)
		first <- err
	}()
	if _, err := feed.Write([]byte("x")); err != nil { // read, so the first has begun
		t.Fatal(err)
	}
	_, err := f.AppendUpload(ctx, to, id, 0, strings.NewReader("y"))
	wantCode(t, err, ecr.CodeInvalidLayerPart)
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n, err := f.UploadOffset(ctx, to, id); err != nil || n != 1 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// The same content twice is kept once, and both repositories see it.
func TestContentIsKeptOnce(t *testing.T) {
	f := open(t, registry.CompatECR)
	a, b := f.repo("aa", ecr.Mutable), f.repo("bb", ecr.Mutable)
	d := f.blob(a, []byte("content"))
	f.blob(b, []byte("content"))
	f.blob(b, []byte("content"))
	if blobs, uploads := f.stored(); blobs != 1 || uploads != 0 {
		t.Errorf("%d blobs and %d uploads", blobs, uploads)
	}
	for _, r := range []ecr.Repo{a, b} {
		if _, err := f.StatBlob(t.Context(), r, d); err != nil {
			t.Error(err)
		}
	}
}

// A blob whose file is gone is an error of the server, not an absent blob.
func TestLostFileIsNotCalledMissing(t *testing.T) {
	f := open(t, registry.CompatECR)
	to := f.repo("app", ecr.Mutable)
	d := f.blob(to, []byte("content"))
	for info, err := range f.blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := f.blobs.Delete(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := f.OpenBlob(t.Context(), to, d)
	if ecr.CodeOf(err) != ecr.CodeServer || !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
