package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// late is a store whose commits wait, and are repeated when they are let go: as a
// request to an object store whose first answer was lost, they then find what is
// committed under the key already.
type late struct {
	blob.Store
	reached, let chan struct{}
}

func (s late) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	w, err := s.Store.Append(ctx, key, p)
	return lateWriter{w, s, key}, err
}

type lateWriter struct {
	blob.Writer
	s   late
	key blob.Key
}

func (w lateWriter) Commit(ctx context.Context, digests ...ecr.Digest) (ecr.Digest, error) {
	close(w.s.reached)
	<-w.s.let
	f, err := w.s.Open(ctx, w.key)
	if errors.Is(err, blob.ErrNotFound) {
		return w.Writer.Commit(ctx, digests...)
	}
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	return ecr.DigestOf(b), errors.Join(err, f.Close(), w.Abort())
}

// stalled is a replica whose claims are over as soon as they are made, like those of
// a process that was stopped.
func stalled(s *testkit.Settings) { s.ClaimTime = time.Microsecond }

// again repeats what another replica's claim may hold up for a while, as clients do.
func again(do func() error) error {
	for {
		if err := do(); ecr.CodeOf(err) != ecr.CodeUnavailable {
			return err
		}
	}
}

// Of two replicas that complete one upload, the one that comes too late leaves the
// blob of the other one alone, wherever it was stopped.
func TestReplicasCompleteOneUpload(t *testing.T) {
	content := []byte("0123456789")
	d := ecr.DigestOf(content)
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI}, database(t))
			ctx := t.Context()
			to := f.Repo("app", ecr.Mutable)
			for _, tt := range []struct {
				name string
				// parts were received before; then is what the request in time does.
				parts [][]byte
				then  func(id meta.UploadID) error
				// code is what the late one is told, "" where its store has no bytes left to
				// commit; kept is whether the blob is there at the end.
				code ecr.Code
				kept bool
			}{
				{"completed elsewhere", nil, func(id meta.UploadID) error {
					_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, bytes.NewReader(content), d)
					return err
				}, ecr.CodeUploadNotFound, true},
				{"completed elsewhere after parts", [][]byte{content}, func(id meta.UploadID) error {
					_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, nil, d)
					return err
				}, ecr.CodeUploadNotFound, true},
				{"cancelled elsewhere", [][]byte{content}, func(id meta.UploadID) error { return f.CancelUpload(ctx, to, id) }, "", false},
				{"expired elsewhere", [][]byte{content}, func(meta.UploadID) error {
					// Until the claim of the late one is over.
					for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
						removed, err := f.Jobs.ExpireUploads(ctx, f.Now().Add(time.Hour))
						if err == nil && removed.Count == 0 && time.Now().After(end) {
							err = errors.New("the upload does not expire")
						}
						if err != nil || removed.Count == 1 {
							return err
						}
					}
				}, "", false},
				{"repository deleted elsewhere", [][]byte{content}, func(meta.UploadID) error {
					_, err := f.DeleteRepository(ctx, testkit.At("gone"), true)
					return err
				}, ecr.CodeRepositoryNotFound, false},
			} {
				t.Run(tt.name, func(t *testing.T) {
					to := to
					if tt.code == ecr.CodeRepositoryNotFound {
						to = f.Repo("gone", ecr.Mutable)
					}
					waits := late{reached: make(chan struct{}), let: make(chan struct{})}
					zombie := f.Replica(stalled, func(s blob.Store) blob.Store { waits.Store = s; return waits })
					id, ended := f.Upload(to, tt.parts...), make(chan error, 1)
					var body io.Reader
					if tt.parts == nil {
						body = bytes.NewReader(content)
					}
					go func() {
						_, err := zombie.CompleteUpload(ctx, to, id, registry.AnyOffset, body, d)
						ended <- err
					}()
					<-waits.reached
					if err := tt.then(id); err != nil {
						t.Errorf("the request in time: %v", err)
					}
					close(waits.let)
					if err := <-ended; err == nil || tt.code != "" && ecr.CodeOf(err) != tt.code {
						t.Errorf("the late one: %v, want %q", err, tt.code)
					}
					if tt.kept {
						_, file, err := f.OpenBlob(ctx, to, d)
						if err != nil {
							t.Fatalf("the acknowledged blob: %v", err)
						}
						if got := f.ReadAll(file); !bytes.Equal(got, content) {
							t.Errorf("the acknowledged blob is %q", got)
						}
						if err := f.DeleteBlob(ctx, to, d); err != nil {
							t.Fatal(err)
						}
						f.Collect()
					}
					if blobs, uploads := f.Stored(); blobs != 0 || uploads != 0 {
						t.Errorf("%d blobs and %d uploads are left behind", blobs, uploads)
					}
				})
			}
		})
	}
}

// A replica that lost its claim while it received a part changes nothing: neither
// what the row says, nor by ending the upload that another one goes on with.
func TestClaimLostWhileReceiving(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI}, database(t))
			ctx := t.Context()
			to := f.Repo("app", ecr.Mutable)
			content := []byte("0123456789")
			for name, request := range map[string]func(w *testkit.World, id meta.UploadID, body io.Reader) error{
				"append": func(w *testkit.World, id meta.UploadID, body io.Reader) error {
					_, err := w.AppendUpload(ctx, to, id, 0, body)
					return err
				},
				"complete": func(w *testkit.World, id meta.UploadID, body io.Reader) error {
					_, err := w.CompleteUpload(ctx, to, id, 0, body, ecr.DigestOf(content[:4]))
					return err
				},
				"complete with another digest": func(w *testkit.World, id meta.UploadID, body io.Reader) error {
					_, err := w.CompleteUpload(ctx, to, id, 0, body, ecr.DigestOf([]byte("else")))
					return err
				},
			} {
				t.Run(name, func(t *testing.T) {
					zombie := f.Replica(stalled, nil)
					id := f.Upload(to)
					body, feed := io.Pipe()
					ended := make(chan error, 1)
					go func() { ended <- request(zombie, id, body) }()
					if _, err := feed.Write(content[:4]); err != nil {
						t.Fatal(err)
					}
					if n, err := f.AppendUpload(ctx, to, id, 0, bytes.NewReader(content[:6])); n != 6 || err != nil {
						t.Fatalf("the new claim: %d, %v", n, err)
					}
					if err := feed.Close(); err != nil {
						t.Fatal(err)
					}
					if err := <-ended; ecr.CodeOf(err) != ecr.CodeUnavailable && ecr.CodeOf(err) != ecr.CodeInvalidLayerPart {
						t.Errorf("the old claim: %v", err)
					}
					if n, err := f.UploadOffset(ctx, to, id); n != 6 || err != nil {
						t.Errorf("the upload has %d bytes, %v", n, err)
					}
					if _, err := f.CompleteUpload(ctx, to, id, 6, bytes.NewReader(content[6:]), ecr.DigestOf(content)); err != nil {
						t.Errorf("going on: %v", err)
					}
				})
			}
		})
	}
}

// A request at another replica makes one give way whose client fell silent, as one
// at the same replica does.
func TestTheNewestRequestWritesOnReplicas(t *testing.T) {
	content := []byte("0123456789")
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI, ClaimTime: 2 * time.Second}, database(t))
			to := f.Repo("app", ecr.Mutable)
			other := f.Replica(func(*testkit.Settings) {}, nil)
			id := f.Upload(to)
			body, first := newSilent(content[:4]), make(chan error, 1)
			go func() {
				_, err := f.AppendUpload(t.Context(), to, id, 0, body)
				first <- err
			}()
			<-body.waits
			if err := again(func() error {
				_, err := other.CompleteUpload(t.Context(), to, id, 0, bytes.NewReader(content), ecr.DigestOf(content))
				return err
			}); err != nil {
				t.Error(err)
			}
			testkit.WantCode(t, <-first, ecr.CodeInvalidLayerPart, "Another request has taken over this upload")
		})
	}
}

// While one replica holds an upload, a request to another one waits, and is told to
// come again; the upload does not expire, and the holder completes it.
func TestUploadHeldElsewhere(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI, ClaimTime: time.Hour}, database(t))
			ctx := t.Context()
			to := f.Repo("app", ecr.Mutable)
			other := f.Replica(func(*testkit.Settings) {}, nil)
			id := f.Upload(to, []byte("first "))
			f.Advance(48 * time.Hour)
			body, feed := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				_, err := f.CompleteUpload(ctx, to, id, registry.AnyOffset, body, ecr.DigestOf([]byte("first second")))
				ended <- err
			}()
			if _, err := feed.Write([]byte("second")); err != nil { // the writer is at it now
				t.Fatal(err)
			}
			if got, err := other.Jobs.ExpireUploads(ctx, f.Now()); err != nil || got.Count != 0 {
				t.Errorf("ExpireUploads = %+v, %v, want nothing", got, err)
			}
			_, err := other.AppendUpload(ctx, to, id, registry.AnyOffset, strings.NewReader("mine"))
			testkit.WantCode(t, err, ecr.CodeUnavailable, "Another request is writing to this upload")
			if err := feed.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("the upload that was being written: %v", err)
			}
		})
	}
}
