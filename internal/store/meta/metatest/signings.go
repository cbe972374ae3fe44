package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Profiles are of one registry each; of one that is stored again CreatedAt stays.
func signingProfiles(t *testing.T, s meta.Store) {
	list := func(in ecr.RegistryID) []meta.SigningProfile {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.SigningProfile, error) {
			return r.Registries().Signings().Profiles(ctx, in)
		})
	}
	diff(t, 0, len(list(registry)))
	release := meta.SigningProfile{Registry: registry, Name: "release", CreatedAt: noon, UpdatedAt: noon, Certificates: "pem", Sealed: []byte{1, 0, 2}}
	build := meta.SigningProfile{Registry: registry, Name: "Build", CreatedAt: noon, UpdatedAt: noon, Certificates: "pem", Sealed: []byte{3}}
	away := meta.SigningProfile{Registry: other, Name: "release", CreatedAt: noon, UpdatedAt: noon, Certificates: "other", Sealed: []byte{4}}
	for _, p := range []meta.SigningProfile{release, build, away} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().SigningWriter().PutProfile(ctx, p) })
	}
	diff(t, []meta.SigningProfile{build, release}, list(registry)) // byte order
	diff(t, []meta.SigningProfile{away}, list(other))
	again := release
	again.CreatedAt, again.UpdatedAt, again.Certificates, again.Sealed = noon.Add(time.Hour), noon.Add(time.Hour), "new", []byte{9}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().SigningWriter().PutProfile(ctx, again)
	})
	again.CreatedAt = noon
	diff(t, again, read(t, s, func(ctx context.Context, r meta.Reader) (meta.SigningProfile, error) {
		return r.Registries().Signings().Profile(ctx, registry, "release")
	}))
	gone := func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().SigningWriter().DeleteProfile(ctx, registry, "release")
	}
	update(t, s, gone)
	refused(t, s, meta.ErrNotFound, gone)
	diff(t, []meta.SigningProfile{build}, list(registry))
	diff(t, []meta.SigningProfile{away}, list(other))
}

// Signatures that are to be made come in the order in which they are due, are ended once,
// and go with their image.
func imageSignings(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	a, b := newImage(t, s, repo, "a").Image.Digest, newImage(t, s, repo, "b").Image.Digest
	write := func(fn func(ctx context.Context, w meta.SigningWriter) error) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return fn(ctx, tx.Registries().SigningWriter()) })
	}
	job := func(d ecr.Digest, profile string, due time.Time) meta.Signing {
		return meta.Signing{Repository: repo, Digest: d, Profile: profile, Status: ecr.SigningInProgress, AskedAt: noon, DueAt: due}
	}
	later, first, second := job(a, "later", noon.Add(time.Hour)), job(b, "p", noon), job(a, "q", noon.Add(time.Second))
	for _, j := range []meta.Signing{later, second, first} {
		write(func(ctx context.Context, w meta.SigningWriter) error { return w.PutSigning(ctx, j) })
	}
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().SigningWriter().PutSigning(ctx, job(digest("none"), "p", noon))
	})
	due := func(now time.Time, want meta.Signing, err error) {
		t.Helper()
		got, gotErr := meta.Signing{}, error(nil)
		var name ecr.RepositoryName
		_ = s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
			var row meta.Repository
			got, row, gotErr = r.Registries().Signings().DueSigning(ctx, now)
			name = row.Name
			return gotErr
		})
		if !errors.Is(gotErr, err) {
			t.Errorf("at %s: %v, want %v", now, gotErr, err)
		}
		diff(t, want, got)
		if err == nil {
			diff(t, "app", string(name))
		}
	}
	waiting := func(want int) {
		t.Helper()
		diff(t, want, read(t, s, func(ctx context.Context, r meta.Reader) (int, error) {
			return r.Registries().Signings().CountSignings(ctx)
		}))
	}
	waiting(3)
	due(noon.Add(-time.Second), meta.Signing{}, meta.ErrNotFound)
	due(noon.Add(time.Minute), first, nil)
	done := first
	done.Status, done.Signature = ecr.SigningComplete, digest("signature")
	end := func(ctx context.Context, tx meta.Tx) error {
		return tx.Registries().SigningWriter().EndSigning(ctx, done)
	}
	update(t, s, end)
	refused(t, s, meta.ErrConflict, end) // once
	due(noon.Add(time.Minute), second, nil)
	put := second
	put.Attempts, put.DueAt, put.Code, put.Reason = 1, noon.Add(2*time.Hour), "Busy", "it was busy"
	write(func(ctx context.Context, w meta.SigningWriter) error { return w.EndSigning(ctx, put) })
	due(noon.Add(time.Minute), meta.Signing{}, meta.ErrNotFound)
	of := func(d ecr.Digest) []meta.Signing {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Signing, error) {
			return r.Registries().Signings().Signings(ctx, repo, d)
		})
	}
	diff(t, []meta.Signing{later, put}, of(a))
	diff(t, []meta.Signing{done}, of(b))
	waiting(2)
	// Asked for again, the older request is not to be ended.
	again := first
	again.AskedAt = noon.Add(time.Hour)
	write(func(ctx context.Context, w meta.SigningWriter) error { return w.PutSigning(ctx, again) })
	refused(t, s, meta.ErrConflict, end)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.DeleteManifest(ctx, repo, a, noon), tx.DeleteManifest(ctx, repo, b, noon))
	})
	waiting(0)
}
