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
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestUploadInParts(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	part := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	rest := []byte("the end")
	id := f.Upload(to, part, part)
	if n, err := f.UploadOffset(ctx, to, id); err != nil || n != 2*int64(len(part)) {
		t.Errorf("offset %d, %v", n, err)
	}
	_, err := f.AppendUpload(ctx, to, id, 0, bytes.NewReader(rest))
	testkit.WantCode(t, err, ecr.CodeInvalidLayerPart, "First byte of the layer part is 0 instead of 10485760")
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
	if !bytes.Equal(f.ReadAll(file), content) {
		t.Error("the blob is not what was sent")
	}
	_, err = f.UploadOffset(ctx, to, id)
	testkit.WantCode(t, err, ecr.CodeUploadNotFound, string(id))
}

func TestUploadSHA512(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := f.Repo("app", ecr.Mutable)
	content := []byte("content")
	sum := sha512.Sum512(content)
	d := ecr.Digest("sha512:" + hex.EncodeToString(sum[:]))
	id := f.Upload(to, content[:3], content[3:])
	if _, err := f.CompleteUpload(t.Context(), to, id, registry.AnyOffset, nil, d); err != nil {
		t.Fatal(err)
	}
	if info, err := f.StatBlob(t.Context(), to, d); err != nil || info.SizeBytes != 7 {
		t.Errorf("%+v %v", info, err)
	}
}

func TestUploadRefusals(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to, elsewhere := f.Repo("app", ecr.Mutable), f.Repo("elsewhere", ecr.Mutable)
	d := ecr.DigestOf([]byte("content"))

	t.Run("wrong digest", func(t *testing.T) {
		id := f.Upload(to, []byte("other"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		testkit.WantCode(t, err, ecr.CodeInvalidLayer, "None of the provided layer digests match the calculated layer digest")
		_, err = f.UploadOffset(ctx, to, id)
		testkit.WantCode(t, err, ecr.CodeUploadNotFound)
	})
	t.Run("empty", func(t *testing.T) {
		id := f.Upload(to)
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		testkit.WantCode(t, err, ecr.CodeEmptyUpload, string(id), "cannot be completed because it does not have any parts.")
	})
	t.Run("small part before the last", func(t *testing.T) {
		id := f.Upload(to, []byte("con"), []byte("tent"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		testkit.WantCode(t, err, ecr.CodeLayerPartTooSmall, "All layer parts except the last part should be at least 5MB")
	})
	t.Run("another repository's upload", func(t *testing.T) {
		id := f.Upload(elsewhere, []byte("content"))
		_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
		testkit.WantCode(t, err, ecr.CodeUploadNotFound)
		testkit.WantCode(t, f.CancelUpload(ctx, to, id), ecr.CodeUploadNotFound)
		if err := f.CancelUpload(ctx, elsewhere, id); err != nil {
			t.Error(err)
		}
	})
	if blobs, uploads := f.Stored(); blobs != 0 || uploads != 0 {
		t.Errorf("%d blobs and %d uploads are left behind", blobs, uploads)
	}
}

var errHungUp = errors.New("hung up")

// A client that hangs up in the middle can go on where it was.
func TestUploadGoesOnAfterHangUp(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	content := bytes.Repeat([]byte("0123456789abcdef"), 6*(1<<20)/16)
	id := f.Upload(to)
	broken := io.MultiReader(bytes.NewReader(content[:5<<20+1]), &failing{})
	n, err := f.AppendUpload(ctx, to, id, 0, broken)
	if !errors.Is(err, errHungUp) || n != 5<<20+1 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := f.CompleteUpload(ctx, to, id, n, bytes.NewReader(content[n:]), ecr.DigestOf(content)); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errHungUp }

// The same content twice is kept once, and both repositories see it.
func TestContentIsKeptOnce(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	a, b := f.Repo("aa", ecr.Mutable), f.Repo("bb", ecr.Mutable)
	d := f.Blob(a, []byte("content"))
	f.Blob(b, []byte("content"))
	f.Blob(b, []byte("content"))
	if blobs, uploads := f.Stored(); blobs != 1 || uploads != 0 {
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
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	d := f.Blob(to, []byte("content"))
	for info, err := range f.Blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Blobs.Delete(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := f.OpenBlob(t.Context(), to, d)
	if ecr.CodeOf(err) != ecr.CodeServer || !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// What a client meant as a part counts as one, however often it was cut off.
func TestTornParts(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 16<<20/16)
	const mib = 1 << 20
	type step struct {
		end  int64 // where the bytes end
		torn bool
	}
	for _, tt := range []struct {
		name string
		then []step // the last one completes the upload
		want ecr.Code
	}{
		{"the first part", []step{{1 * mib, true}, {6 * mib, false}}, ""},
		{"again and again", []step{{1 * mib, true}, {2 * mib, true}, {2*mib + 1, true}, {5 * mib, false}, {6 * mib, false}}, ""},
		{"the second part", []step{{5 * mib, false}, {6 * mib, true}, {10 * mib, false}, {11 * mib, false}}, ""},
		{"the last part", []step{{5 * mib, false}, {5*mib + 3, true}, {5*mib + 9, false}}, ""},
		{"the last part, and nothing follows", []step{{5 * mib, false}, {5*mib + 3, true}, {5*mib + 3, false}}, ""},
		{"the request that completes", []step{{5 * mib, false}, {5*mib + 3, true}, {5*mib + 9, true}, {6 * mib, false}}, ""},
		{"a whole part that is too small", []step{{1 * mib, true}, {2 * mib, false}, {7 * mib, false}}, ecr.CodeLayerPartTooSmall},
		{"a small part after a torn one", []step{{1 * mib, true}, {6 * mib, false}, {7 * mib, false}, {8 * mib, false}}, ecr.CodeLayerPartTooSmall},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
			ctx := t.Context()
			to := f.Repo("app", ecr.Mutable)
			id := f.Upload(to)
			at := int64(0)
			for i, s := range tt.then {
				body := io.Reader(bytes.NewReader(content[at:s.end]))
				if s.torn {
					body = io.MultiReader(body, &failing{})
				}
				var err error
				if i == len(tt.then)-1 {
					_, err = f.CompleteUpload(ctx, to, id, at, body, ecr.DigestOf(content[:s.end]))
					if ecr.CodeOf(err) != tt.want && (err != nil || tt.want != "") {
						t.Errorf("completed: %v, want %s", err, tt.want)
					}
					continue
				}
				if i == len(tt.then)-2 && s.torn && strings.Contains(tt.name, "completes") {
					_, err = f.CompleteUpload(ctx, to, id, at, body, ecr.DigestOf(content[:s.end]))
				} else {
					_, err = f.AppendUpload(ctx, to, id, at, body)
				}
				if s.torn != errors.Is(err, errHungUp) || !s.torn && err != nil {
					t.Fatal(err)
				}
				if at, err = f.UploadOffset(ctx, to, id); err != nil || at != s.end {
					t.Fatalf("offset %d, %v, want %d", at, err, s.end)
				}
			}
		})
	}
}

// silent is the body of a client that sends some bytes and falls silent.
type silent struct {
	io.Reader
	waits, stopped chan struct{}
}

func newSilent(content []byte) *silent {
	s := &silent{waits: make(chan struct{}), stopped: make(chan struct{})}
	s.Reader = io.MultiReader(bytes.NewReader(content), s.silence())
	return s
}

func (s *silent) silence() io.Reader { return silence{s} }
func (s *silent) Interrupt()         { close(s.stopped) }

type silence struct{ s *silent }

func (r silence) Read([]byte) (int, error) {
	close(r.s.waits)
	<-r.s.stopped
	return 0, errHungUp
}

// A request whose client fell silent gives way to the next one, and what it
// received does not count.
func TestTheNewestRequestWrites(t *testing.T) {
	content := []byte("0123456789")
	for _, compat := range []registry.Compat{registry.CompatOCI, registry.CompatECR} {
		for name, retry := range map[string]func(f *testkit.World, to ecr.Repo, id meta.UploadID) error{
			"append": func(f *testkit.World, to ecr.Repo, id meta.UploadID) error {
				n, err := f.AppendUpload(t.Context(), to, id, 0, bytes.NewReader(content))
				if err == nil && n != 10 {
					t.Errorf("%d bytes", n)
				}
				return err
			},
			"complete": func(f *testkit.World, to ecr.Repo, id meta.UploadID) error {
				_, err := f.CompleteUpload(t.Context(), to, id, 0, bytes.NewReader(content), ecr.DigestOf(content))
				return err
			},
			"cancel": func(f *testkit.World, to ecr.Repo, id meta.UploadID) error {
				return f.CancelUpload(t.Context(), to, id)
			},
		} {
			t.Run(string(compat)+" "+name, func(t *testing.T) {
				f := testkit.Open(t, testkit.Settings{Compat: compat})
				to := f.Repo("app", ecr.Mutable)
				id := f.Upload(to)
				body, first := newSilent(content[:4]), make(chan error, 1)
				go func() {
					_, err := f.AppendUpload(t.Context(), to, id, 0, body)
					first <- err
				}()
				<-body.waits
				if release, ok := f.Registry.HoldUpload(id); ok {
					release()
					t.Error("a job takes an upload that is being written")
				}
				if err := retry(f, to, id); err != nil {
					t.Error(err)
				}
				testkit.WantCode(t, <-first, ecr.CodeInvalidLayerPart, "Another request has taken over this upload")
			})
		}
	}
}

// ECR knows content by its sha256 only.
func TestOtherDigests(t *testing.T) {
	sum := func(b []byte) ecr.Digest {
		s := sha512.Sum512(b)
		return ecr.Digest("sha512:" + hex.EncodeToString(s[:]))
	}
	for compat, refused := range map[registry.Compat]bool{registry.CompatECR: true, registry.CompatOCI: false} {
		f := testkit.Open(t, testkit.Settings{Compat: compat})
		ctx := t.Context()
		to := f.Repo("app", ecr.Mutable)
		body := f.Image(to, "x")
		for _, strict := range []bool{true, false} {
			_, err := f.PutImage(ctx, to, registry.NewImage{Body: body, Digest: sum(body), Strict: strict, Tags: []ecr.Tag{ecr.Tag("v" + string(compat))}})
			if refused {
				testkit.WantCode(t, err, ecr.CodeImageDigestDoesNotMatch, string(sum(body)))
			} else if strict && err != nil {
				t.Error(err)
			}
		}
		layer := []byte("another layer")
		_, err := f.CompleteUpload(ctx, to, f.Upload(to, layer), registry.AnyOffset, nil, sum(layer))
		if refused {
			testkit.WantCode(t, err, ecr.CodeInvalidLayer)
		} else if err != nil {
			t.Error(err)
		}
		// One of several is enough.
		if info, err := f.CompleteUpload(ctx, to, f.Upload(to, layer), registry.AnyOffset, nil, sum([]byte("other")), ecr.DigestOf(layer)); err != nil || info.Digest != ecr.DigestOf(layer) {
			t.Errorf("%s: %v %v", compat, info, err)
		}
	}
}
