package metatest

import (
	"context"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Signers are of one registry each, and of one that is stored again CreatedAt stays.
func signers(t *testing.T, s meta.Store) {
	list := func(in ecr.RegistryID) []meta.Signer {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Signer, error) {
			return r.Registries().Signers(ctx, in)
		})
	}
	diff(t, 0, len(list(registry)))
	release := meta.Signer{Registry: registry, Name: "release", CreatedAt: noon, UpdatedAt: noon, Settings: []byte(`{"key":"<ü>"}`)}
	build := meta.Signer{Registry: registry, Name: "Build", CreatedAt: noon, UpdatedAt: noon, Settings: []byte(`{}`)}
	away := meta.Signer{Registry: other, Name: "release", CreatedAt: noon, UpdatedAt: noon, Settings: []byte(`{"a":1}`)}
	put := func(signers ...meta.Signer) {
		t.Helper()
		for _, g := range signers {
			update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().PutSigner(ctx, g) })
		}
	}
	put(release, build, away)
	diff(t, []meta.Signer{build, release}, list(registry)) // byte order
	diff(t, []meta.Signer{away}, list(other))

	again := release
	again.CreatedAt, again.UpdatedAt, again.Settings = noon.Add(time.Hour), noon.Add(time.Hour), []byte(`{"key":"2"}`)
	put(again)
	again.CreatedAt = noon
	diff(t, []meta.Signer{build, again}, list(registry))

	gone := func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().DeleteSigner(ctx, registry, "release")
	}
	update(t, s, gone)
	refused(t, s, meta.ErrNotFound, gone)
	diff(t, []meta.Signer{build}, list(registry))
	diff(t, []meta.Signer{away}, list(other))
}
