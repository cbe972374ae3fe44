package meta

import (
	"context"
	"iter"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Pages yields everything that fetch lists after after, which it asks for in
// pages of size; key is where the next page begins. An error ends it.
func Pages[T, K any](after K, size int, fetch func(after K, limit int) ([]T, error), key func(T) K) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for from := after; ; {
			page, err := fetch(from, size)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if len(page) < size {
				return
			}
			from = key(page[len(page)-1])
		}
	}
}

// Take returns the first of all that keep passes, at most limit, and whether
// there are more. keep may change what it passes.
func Take[T any](all iter.Seq2[T, error], limit int, keep func(*T) (bool, error)) (list []T, more bool, err error) {
	for v, err := range all {
		if err != nil {
			return nil, false, err
		}
		switch pass, err := keep(&v); {
		case err != nil:
			return nil, false, err
		case !pass:
		case len(list) == limit:
			return list, true, nil
		default:
			list = append(list, v)
		}
	}
	return list, false, nil
}

// Repositories yields those of a registry, by name, after the name after.
func Repositories(ctx context.Context, r RepositoryReader, in ecr.RegistryID, after ecr.RepositoryName, size int) iter.Seq2[Repository, error] {
	return Pages(after, size, func(after ecr.RepositoryName, limit int) ([]Repository, error) {
		return r.ListRepositories(ctx, in, after, limit)
	}, func(r Repository) ecr.RepositoryName { return r.Name })
}

// Images yields the images of repo as ListManifests lists them.
func Images(ctx context.Context, r ImageReader, repo RepositoryID, after ecr.Digest, size int) iter.Seq2[Manifest, error] {
	return Pages(after, size, func(after ecr.Digest, limit int) ([]Manifest, error) {
		return r.ListManifests(ctx, repo, after, limit)
	}, digestOf)
}

// Referrers yields the images whose subject is subject as ListReferrers does.
func Referrers(ctx context.Context, r ImageReader, repo RepositoryID, subject, after ecr.Digest, size int) iter.Seq2[Manifest, error] {
	return Pages(after, size, func(after ecr.Digest, limit int) ([]Manifest, error) {
		return r.ListReferrers(ctx, repo, subject, after, limit)
	}, digestOf)
}

func digestOf(m Manifest) ecr.Digest { return m.Image.Digest }

// ImageIDs yields the (digest, tag) pairs of repo as ListImageIDs does.
func ImageIDs(ctx context.Context, r ImageReader, repo RepositoryID, after ecr.ImageID, size int) iter.Seq2[ecr.ImageID, error] {
	return Pages(after, size, func(after ecr.ImageID, limit int) ([]ecr.ImageID, error) {
		return r.ListImageIDs(ctx, repo, after, limit)
	}, func(id ecr.ImageID) ecr.ImageID { return id })
}

// References yields the blobs that images of repo refer to.
func References(ctx context.Context, r BlobReader, repo RepositoryID, size int) iter.Seq2[Reference, error] {
	return Pages(Reference{}, size, func(after Reference, limit int) ([]Reference, error) {
		return r.ListReferences(ctx, repo, after, limit)
	}, func(ref Reference) Reference { return ref })
}

// Children returns what each index of repo lists, in byte order, whether it is
// there or not.
func Children(ctx context.Context, r ImageReader, repo RepositoryID, size int) (map[ecr.Digest][]ecr.Digest, error) {
	of := map[ecr.Digest][]ecr.Digest{}
	for c, err := range Pages(Child{}, size, func(after Child, limit int) ([]Child, error) {
		return r.ListChildren(ctx, repo, after, limit)
	}, func(c Child) Child { return c }) {
		if err != nil {
			return nil, err
		}
		of[c.Index] = append(of[c.Index], c.Image)
	}
	return of, nil
}

// Journal yields the entries that q selects, in the order of QueryJournal.
func Journal(ctx context.Context, r JournalReader, q JournalQuery, after int64, size int) iter.Seq2[JournalEntry, error] {
	return Pages(after, size, func(after int64, limit int) ([]JournalEntry, error) {
		return r.QueryJournal(ctx, q, after, limit)
	}, func(e JournalEntry) int64 { return e.Seq })
}
