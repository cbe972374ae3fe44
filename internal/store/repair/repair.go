// Package repair replaces damaged and missing blobs by content of another registry,
// which it asks for by digest.
//
// It guarantees that what it puts in place is what its digest says, and is durable
// before the row of the blob names it: a repair that is interrupted leaves everything
// as it was, and at most content that no row names, which is removed later. It never
// changes a blob that someone else changed meanwhile.
//
// It leaves out manifests and references: they are in the database, which comes back
// from a backup only.
package repair

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config says what to repair from what.
type Config struct {
	Meta  meta.Store // required
	Blobs blob.Store // required
	// From is the registry to ask. Required.
	From *remote.Registry
	// DryRun asks whether From has the content, and changes nothing.
	DryRun bool
}

// Outcome is what became of one damaged object.
type Outcome struct {
	check.Damage
	// Done is what was done, or would be.
	Done Done `json:"done"`
	// From is the repository of the other registry that has the content, "" for none.
	From ecr.RepositoryName `json:"from,omitzero"`
	// NewKey is the name of the blob's new file.
	NewKey blob.Key `json:"newKey,omitzero"`
	// Reason says why nothing was done.
	Reason string `json:"reason,omitzero"`
}

// Done is what became of a damaged object.
type Done string

// What can become of one.
const (
	Repaired   Done = "repaired"
	Repairable Done = "repairable" // of a dry run
	Failed     Done = "failed"
)

// Blobs repairs those of damaged that are blobs, one after the other. Its error says
// why it could not go on; what another registry does not have is an Outcome.
func Blobs(ctx context.Context, cfg Config, damaged []check.Damage) ([]Outcome, error) {
	all := []Outcome{}
	for _, d := range damaged {
		if d.Kind != check.KindBlob {
			continue
		}
		o, err := cfg.blob(ctx, d)
		if err != nil {
			return all, fmt.Errorf("repairing blob %s: %w", d.Digest, err)
		}
		all = append(all, o)
	}
	return all, nil
}

// blob repairs one.
func (c Config) blob(ctx context.Context, d check.Damage) (Outcome, error) {
	o := Outcome{Damage: d, Done: Failed}
	names, err := c.repositories(ctx, d.Digest)
	if err != nil {
		return o, err
	}
	if len(names) == 0 {
		o.Reason = "no repository has it: it is removed with the next collection"
		return o, nil
	}
	for _, name := range names {
		at, err := c.From.Repository(name)
		if err != nil {
			return o, err
		}
		b, err := at.StatBlob(ctx, d.Digest)
		if ctx.Err() != nil {
			return o, ctx.Err()
		}
		if err != nil {
			o.Reason = err.Error()
			continue
		}
		o.From, o.Reason = name, ""
		if c.DryRun {
			o.Done = Repairable
			return o, nil
		}
		if o.NewKey, err = c.fetch(ctx, at, b); err == nil {
			err = c.replace(ctx, d, o.NewKey)
		}
		switch {
		case err == nil:
			o.Done = Repaired
			return o, nil
		case ctx.Err() != nil:
			return o, ctx.Err()
		}
		o.Reason, o.NewKey = err.Error(), ""
	}
	return o, nil
}

// named is how many repositories are asked for a blob.
const named = 20

// repositories are those that have the blob, each name once.
func (c Config) repositories(ctx context.Context, d ecr.Digest) (names []ecr.RepositoryName, err error) {
	err = c.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		seen := map[ecr.RepositoryName]bool{}
		names = nil
		registries := map[ecr.RegistryID]bool{}
		for repo, err := range meta.Pages(0, 500, func(after meta.RepositoryID, limit int) ([]meta.Repository, error) {
			return r.AllRepositories(ctx, after, limit)
		}, func(r meta.Repository) meta.RepositoryID { return r.ID }) {
			if err != nil {
				return err
			}
			if registries[repo.Registry] {
				continue
			}
			registries[repo.Registry] = true
			has, err := r.ListBlobRepositories(ctx, repo.Registry, d, "", named)
			if err != nil {
				return err
			}
			for _, one := range has {
				if !seen[one.Name] {
					seen[one.Name] = true
					names = append(names, one.Name)
				}
			}
		}
		return nil
	})
	return names, err
}

// fetch keeps the content under a new key.
func (c Config) fetch(ctx context.Context, at *remote.Repository, b remote.Blob) (key blob.Key, err error) {
	content, err := at.OpenBlob(ctx, b, 0)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	key = blob.NewKey()
	w, err := c.Blobs.Append(ctx, key, blob.Progress{})
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(w, content); err != nil {
		return "", errors.Join(err, w.Abort())
	}
	if _, err := w.Commit(ctx, b.Digest); err != nil {
		return "", err
	}
	return key, nil
}

// replace lets the blob's row name the new content, and removes the old.
func (c Config) replace(ctx context.Context, d check.Damage, key blob.Key) error {
	err := c.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().ReplaceBlob(ctx, d.Key, meta.Blob{Digest: d.Digest, Key: key})
	})
	if errors.Is(err, meta.ErrNotFound) {
		return errors.Join(errors.New("it was removed or replaced meanwhile"), c.Blobs.Delete(ctx, key))
	}
	if err != nil {
		return err // whether it was committed is not known: better surplus than missing
	}
	// What is left of it is an orphan.
	_ = c.Blobs.Delete(ctx, d.Key)
	return nil
}
