package postgres

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// tool is a program of PostgreSQL's client (Debian: package postgresql-client), the
// newest that there is.
func tool(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		return slices.Max(found)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not on this machine: install PostgreSQL's client (apt-get install postgresql-client)", name)
	}
	return path
}

// The drill of docs/guides/backup.md: what pg_dump wrote while the server ran is restored
// into an empty database, which has all that was there then, and goes on.
func TestDumpAndRestore(t *testing.T) {
	url, file := migrated(t), filepath.Join(t.TempDir(), "kontor.dump")
	s := mustOpen(t, url)
	defer closeStore(t, s)
	l := lanes{t: t, a: s}
	repo := l.repository("app")
	layer := ecr.DigestOf([]byte("layer"))
	before, later := l.image(repo, "before", layer), l.image(repo, "later", layer)
	l.must(addBlob(repo, layer, laneTime, nil), putImage(before), putTag(repo, "v1", before, false))
	command := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), tool(t, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	command("pg_dump", "--format=custom", "--file="+file, url)
	l.must(putImage(later))

	to := pgtest.Start(t)
	command("pg_restore", "--exit-on-error", "--no-owner", "--dbname="+to, file)
	restored := mustOpen(t, to)
	defer closeStore(t, restored)
	l = lanes{t: t, a: restored}
	l.view(func(ctx context.Context, r meta.Reader) error {
		m, err := r.Manifest(ctx, repo, before.Image.Digest)
		if err == nil && (string(m.Body) != string(before.Body) || !slices.Equal(m.Image.Tags, []ecr.Tag{"v1"})) {
			t.Errorf("the image came back as %+v", m)
		}
		return err
	})
	l.view(func(ctx context.Context, r meta.Reader) error { _, err := r.Blob(ctx, repo, layer); return err })
	l.view(func(ctx context.Context, r meta.Reader) error {
		missing, err := r.MissingManifests(ctx, repo, []ecr.Digest{before.Image.Digest, later.Image.Digest})
		if err == nil && !slices.Equal(missing, []ecr.Digest{later.Image.Digest}) {
			t.Errorf("%v are missing, want what came after the dump", missing)
		}
		return err
	})
	if next := l.repository("next"); next <= repo {
		t.Errorf("a new repository has the id %d, which was used", next)
	}
}
