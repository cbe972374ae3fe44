package metatest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Content comes with its blob's row, is read with it, and goes with it.
func blobContents(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	content := func(key blob.Key) ([]byte, error) {
		return tryRead(t, s, func(ctx context.Context, r meta.Reader) ([]byte, error) { return r.Retention().BlobContent(ctx, key) })
	}
	var added []meta.Blob
	for i, text := range []string{"", "content", strings.Repeat("\x00\xff'", 20_000)} {
		b := meta.Blob{Digest: digest(i), Key: blob.NewDatabaseKey(noon), SizeBytes: int64(len(text)), CreatedAt: noon, Content: []byte(text)}
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			got, err := tx.AddBlob(ctx, b)
			if err == nil && (got.Key != b.Key || got.Content != nil) {
				t.Errorf("recorded %+v", got)
			}
			return errors.Join(err, tx.LinkBlob(ctx, repo, b.Digest, noon))
		})
		added = append(added, b)
		if got, err := content(b.Key); err != nil || string(got) != text {
			t.Errorf("content of %d bytes: %d, %v", len(text), len(got), err)
		}
		got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) {
			return r.BlobAndContent(ctx, repo, b.Digest)
		})
		b.IdleSince = noon
		diff(t, b, got)
		b.Content = nil
		diff(t, b, read(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, repo, b.Digest) }))
	}
	// A blob that is there keeps its key, and nothing is left of another's content.
	again := added[1]
	again.Key = blob.NewDatabaseKey(noon)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		if got, err := tx.AddBlob(ctx, again); err != nil || got.Key != added[1].Key {
			t.Errorf("recorded again: %+v, %v", got, err)
		}
		return nil
	})
	if got, err := content(again.Key); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("content of the second: %q, %v", got, err)
	}
	// Elsewhere, and of content that the store has, there is none.
	file := newBlob(t, s, repo, "file")
	if got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.BlobAndContent(ctx, repo, file) }); got.Content != nil {
		t.Errorf("%+v", got)
	}
	// Keys say where content lies.
	for _, wrong := range []meta.Blob{
		{Digest: digest("x"), Key: blob.NewKey(), CreatedAt: noon, Content: []byte("x")},
		{Digest: digest("x"), Key: blob.NewDatabaseKey(noon), CreatedAt: noon},
	} {
		if err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { _, err := tx.AddBlob(ctx, wrong); return err }); err == nil {
			t.Errorf("recorded %+v", wrong)
		}
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		if err := tx.UnlinkBlob(ctx, repo, added[1].Digest); err != nil {
			return err
		}
		gone, _, err := tx.Retention().DeleteUnusedBlobs(ctx, 10)
		if err == nil && (len(gone) != 1 || gone[0].Key != added[1].Key) {
			t.Errorf("removed %+v", gone)
		}
		return err
	})
	if got, err := content(added[1].Key); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("content after its blob: %q, %v", got, err)
	}
	if _, err := content(added[2].Key); err != nil {
		t.Errorf("content of another: %v", err)
	}
}
