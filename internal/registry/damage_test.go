package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A file that is not as long as it was is an error: a client must not take
// what is left of it for the blob.
func TestDamagedBlobIsNotOpened(t *testing.T) {
	for _, change := range []int64{-1, 1} {
		f := open(t, registry.CompatOCI)
		ctx := t.Context()
		to := f.repo("app", ecr.Mutable)
		const content = "a layer"
		d := ecr.DigestOf([]byte(content))
		key := f.leave(content, true)
		err := f.meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: key, SizeBytes: int64(len(content)) + change, CreatedAt: f.now}); err != nil {
				return err
			}
			return tx.LinkBlob(ctx, repo.ID, d, f.now)
		})
		if err != nil {
			t.Fatal(err)
		}
		_, file, err := f.OpenBlob(ctx, to, d)
		if err == nil || !strings.Contains(err.Error(), "is damaged: it has 7 bytes") || ecr.CodeOf(err) != ecr.CodeServer || file != nil {
			t.Errorf("OpenBlob = %v, %v", file, err)
		}
	}
}
