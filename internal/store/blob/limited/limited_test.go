package limited_test

import (
	"context"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/limited"
)

func open(t testing.TB, dir string, limit int64) blob.Store {
	t.Helper()
	d, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return limited.New(limited.Config{Blobs: d, MaxBytes: limit})
}

// Below its limit it is a store like any other.
func TestSuite(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blobtest.Medium {
		dir := t.TempDir()
		return func(t testing.TB) blob.Store { return open(t, dir, 1<<40) }
	})
}

// The limit is that of the blob, in however many parts it comes.
func TestLimit(t *testing.T) {
	s := open(t, t.TempDir(), 10)
	ctx := t.Context()
	append := func(key blob.Key, p blob.Progress, content string) (blob.Writer, error) {
		t.Helper()
		w, err := s.Append(ctx, key, p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write([]byte(content))
		return w, err
	}
	key := blob.NewKey()
	w, err := append(key, blob.Progress{}, "123456")
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Suspend(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err = append(key, p, "78901")
	if ecr.CodeOf(err) != ecr.CodeLimitExceeded {
		t.Errorf("the eleventh byte: %v", err)
	}
	if _, err := w.Write([]byte("7")); ecr.CodeOf(err) != ecr.CodeLimitExceeded {
		t.Errorf("writing on: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	w, err = append(blob.NewKey(), blob.Progress{}, "1234567890")
	if err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
	if _, err := w.Commit(ctx, ecr.DigestOf([]byte("1234567890"))); err != nil {
		t.Error(err)
	}
}

// capable is a store that redirects, and checks what it reads.
type capable struct{ blob.Store }

func (capable) Verified() bool { return true }
func (capable) Redirect(_ context.Context, key blob.Key) (string, error) {
	return "https://store/" + string(key), nil
}

// What the inner store can do beyond the contract can be done through the limit.
func TestCapabilities(t *testing.T) {
	inner := open(t, t.TempDir(), 10)
	for _, c := range []struct {
		blobs    blob.Store
		verified bool
		url      string
	}{{inner, false, ""}, {capable{inner}, true, "https://store/k"}} {
		s := limited.New(limited.Config{Blobs: c.blobs, MaxBytes: 10})
		if s.Verified() != c.verified {
			t.Errorf("%T: Verified is %v", c.blobs, s.Verified())
		}
		if url, err := s.Redirect(t.Context(), "k"); url != c.url || err != nil {
			t.Errorf("%T: Redirect: %q, %v", c.blobs, url, err)
		}
	}
}
