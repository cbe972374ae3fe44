package registry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// rows is the number of uploads in the database.
func rows(t *testing.T, f *testkit.World) (n int) {
	t.Helper()
	err := f.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) (err error) {
		n, err = r.CountUploads(ctx, "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hooked is a database whose next transaction has something done before it and after it,
// and whose next snapshot is followed by something, each once.
type hooked struct {
	meta.Store
	before, after, looked func()
}

func once(hook *func()) {
	if do := *hook; do != nil {
		*hook = nil
		do()
	}
}

func (s *hooked) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	once(&s.before)
	err := s.Store.Update(ctx, fn)
	once(&s.after)
	return err
}

func (s *hooked) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	return s.Store.View(ctx, func(ctx context.Context, r meta.Reader) error {
		once(&s.looked)
		return fn(ctx, r)
	})
}

// Requests that go on when the grace of the stop is over end their uploads while those
// that were begun get rows, and others are stored all the same.
func TestUploadsAreStoredWhileRequestsEnd(t *testing.T) {
	const content = "the layer"
	ctx := t.Context()
	for _, when := range []string{"before", "after", "before, small", "after, small"} {
		endings := []string{"continued", "completed", "cancelled"}
		if strings.HasSuffix(when, "small") {
			endings = endings[:1] // the others do as without
		}
		for _, ends := range endings {
			t.Run(ends+" "+when, func(t *testing.T) {
				when, small := strings.CutSuffix(when, ", small")
				f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true, Small: small})
				between := &hooked{Store: f.Meta}
				f.Set(func(s *testkit.Settings) { s.Between = between })
				to := f.Repo("app", ecr.Mutable)
				var ids []meta.UploadID
				for range 3 {
					ids = append(ids, f.Upload(to))
				}
				end := func() {
					var err error
					switch ends {
					case "continued":
						_, err = f.AppendUpload(ctx, to, ids[1], 0, strings.NewReader(content))
					case "completed":
						_, err = f.CompleteUpload(ctx, to, ids[1], 0, strings.NewReader(content), ecr.DigestOf([]byte(content)))
					case "cancelled":
						err = f.CancelUpload(ctx, to, ids[1])
					}
					if busy := ends == "continued" && when == "after"; busy != (ecr.CodeOf(err) == ecr.CodeUnavailable) || !busy && err != nil {
						t.Errorf("the request: %v", err)
					}
				}
				if when == "before" {
					between.before = end
				} else {
					between.after = end
				}
				if err := f.Registry.StoreUploads(ctx); err != nil {
					t.Fatal(err)
				}
				f.Restart()
				for i, id := range ids {
					n, err := f.UploadOffset(ctx, to, id)
					switch {
					case i == 1 && ends != "continued":
						if ecr.CodeOf(err) != ecr.CodeUploadNotFound {
							t.Errorf("the upload that has ended: %v", err)
						}
					case i == 1 && when == "before":
						if err != nil || n != int64(len(content)) {
							t.Errorf("the upload that was continued has %d bytes, %v", n, err)
						}
					case err != nil || n != 0:
						t.Errorf("upload %d has %d bytes, %v", i, n, err)
					}
				}
			})
		}
	}
}

// A small upload whose end has just been committed, and whose content has another key,
// gets no row.
func TestEndedUploadIsNotStored(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true, Small: true})
	between := &hooked{Store: f.Meta}
	f.Set(func(s *testkit.Settings) { s.Between = between })
	to := f.Repo("app", ecr.Mutable)
	id := f.Upload(to)
	between.after = func() {
		if err := f.Registry.StoreUploads(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.CompleteUpload(t.Context(), to, id, 0, strings.NewReader("the layer"), ecr.DigestOf([]byte("the layer"))); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, f); n != 0 {
		t.Errorf("%d uploads have rows", n)
	}
}

// An upload gets its row after another request has taken its snapshot: it is there for
// that request, too.
func TestUploadGetsItsRowWhileItIsAskedFor(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true})
	between := &hooked{Store: f.Meta}
	f.Set(func(s *testkit.Settings) { s.Between = between })
	to := f.Repo("app", ecr.Mutable)
	id := f.Upload(to)
	between.looked = func() {
		if n, err := f.AppendUpload(t.Context(), to, id, 0, strings.NewReader("the")); n != 3 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if n, err := f.UploadOffset(t.Context(), to, id); n != 3 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// An upload of one process has no row before bytes of it were acknowledged, and is an
// upload all the same.
func TestUploadsBegun(t *testing.T) {
	const content = "the layer"
	digest := ecr.DigestOf([]byte(content))
	open := func(t *testing.T) (*testkit.World, ecr.Repo, meta.UploadID) {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, OneProcess: true, UploadAge: testkit.Hour})
		to := f.Repo("app", ecr.Mutable)
		id, err := f.StartUpload(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 0 || begun != 1 {
			t.Fatalf("%d rows, and %d uploads begun", n, begun)
		}
		return f, to, id
	}
	none := func(t *testing.T, f *testkit.World) {
		t.Helper()
		if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 0 || begun != 0 {
			t.Errorf("%d rows, and %d uploads begun", n, begun)
		}
	}
	gone := func(t *testing.T, err error) {
		t.Helper()
		if ecr.CodeOf(err) != ecr.CodeUploadNotFound {
			t.Errorf("%v, want UploadNotFound", err)
		}
	}
	complete := func(f *testkit.World, to ecr.Repo, id meta.UploadID, rest string) error {
		_, err := f.CompleteUpload(f.T.Context(), to, id, registry.AnyOffset, strings.NewReader(rest), digest)
		return err
	}
	t.Run("completed at once", func(t *testing.T) {
		f, to, id := open(t)
		if n, err := f.UploadOffset(t.Context(), to, id); n != 0 || err != nil {
			t.Errorf("offset %d, %v", n, err)
		}
		if err := complete(f, to, id, content); err != nil {
			t.Fatal(err)
		}
		none(t, f)
		gone(t, complete(f, to, id, content))
		if _, err := f.StatBlob(t.Context(), to, digest); err != nil {
			t.Error(err)
		}
	})
	t.Run("in parts, with a start between them", func(t *testing.T) {
		f, to, id := open(t)
		if n, err := f.AppendUpload(t.Context(), to, id, 0, strings.NewReader(content[:3])); n != 3 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n, begun := rows(t, f), f.Registry.UploadsBegun(""); n != 1 || begun != 0 {
			t.Errorf("%d rows, and %d uploads begun", n, begun)
		}
		f.Restart()
		if err := complete(f, to, id, content[3:]); err != nil {
			t.Fatal(err)
		}
		none(t, f)
	})
	t.Run("an orderly stop", func(t *testing.T) {
		f, to, id := open(t)
		lost, err := f.StartUpload(t.Context(), f.Repo("gone", ecr.Mutable))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.DeleteRepository(t.Context(), testkit.At("gone"), true); err != nil {
			t.Fatal(err)
		}
		if err := f.Registry.StoreUploads(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Restart()
		if err := complete(f, to, id, content); err != nil {
			t.Error(err)
		}
		_, err = f.UploadOffset(t.Context(), to, lost)
		gone(t, err)
		none(t, f)
	})
	t.Run("killed", func(t *testing.T) {
		f, to, id := open(t)
		f.Restart()
		gone(t, complete(f, to, id, content))
		none(t, f)
	})
	t.Run("cancelled", func(t *testing.T) {
		f, to, id := open(t)
		if err := f.CancelUpload(t.Context(), to, id); err != nil {
			t.Fatal(err)
		}
		gone(t, complete(f, to, id, content))
		none(t, f)
	})
	t.Run("another digest", func(t *testing.T) {
		f, to, id := open(t)
		if err := complete(f, to, id, "something else"); ecr.CodeOf(err) != ecr.CodeInvalidLayer {
			t.Errorf("%v", err)
		}
		gone(t, complete(f, to, id, content))
		none(t, f)
	})
	t.Run("another repository", func(t *testing.T) {
		f, _, id := open(t)
		other := f.Repo("other", ecr.Mutable)
		gone(t, complete(f, other, id, content))
		_, err := f.AppendUpload(t.Context(), other, id, 0, strings.NewReader(content))
		gone(t, err)
	})
	t.Run("another repository of the name", func(t *testing.T) {
		f, to, id := open(t)
		if _, err := f.DeleteRepository(t.Context(), to, true); err != nil {
			t.Fatal(err)
		}
		f.Repo("app", ecr.Mutable)
		gone(t, complete(f, to, id, content))
	})
	t.Run("expired", func(t *testing.T) {
		f, to, id := open(t)
		if r, err := f.Jobs.ExpireUploads(t.Context(), f.Now().Add(-time.Second)); err != nil || r.Count != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		f.Advance(2 * testkit.Hour)
		if r, err := f.Jobs.ExpireUploads(t.Context(), f.Now().Add(-testkit.Hour)); err != nil || r.Count != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		gone(t, complete(f, to, id, content))
		none(t, f)
	})
}
