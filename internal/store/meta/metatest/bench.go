package metatest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// BenchmarkPush measures what a small push commits: two blobs recorded and
// linked, an image that refers to them, a tag. Serial is one pusher, parallel
// sixteen; the difference is what sharing commits saves.
func BenchmarkPush(b *testing.B, open func(b *testing.B) meta.Store) {
	for _, bench := range []struct {
		name    string
		pushers int
	}{{"serial", 1}, {"parallel", 16}} {
		b.Run(bench.name, func(b *testing.B) {
			s := open(b)
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			var repo meta.RepositoryID
			if err := s.Update(b.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
				repo, err = tx.InsertRepository(ctx, repositoryNamed("app"))
				return err
			}); err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			b.ResetTimer()
			errs := race(bench.pushers, func(int) error {
				for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
					if err := push(b.Context(), s, repo, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err := errors.Join(errs...); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "push/s")
		})
	}
}

func push(ctx context.Context, s meta.Store, repo meta.RepositoryID, i int64) error {
	m := manifestOf(repo, fmt.Sprint(i))
	m.Body = append(m.Body, make([]byte, 1000)...)
	for j := range 2 {
		m.Blobs = append(m.Blobs, digest(fmt.Sprint(i, " ", j)))
	}
	return s.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		for _, d := range m.Blobs {
			if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 1, CreatedAt: noon}); err != nil {
				return err
			}
			if err := tx.LinkBlob(ctx, repo, d, noon); err != nil {
				return err
			}
		}
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		return tx.PutTag(ctx, repo, meta.TagRow{Tag: ecr.Tag(fmt.Sprint("t", i)), Digest: m.Image.Digest, TaggedAt: noon}, false)
	})
}
