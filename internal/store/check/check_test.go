package check_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// store is a registry's data, made by hand.
type store struct {
	t     *testing.T
	dir   string
	meta  meta.Store
	blobs blob.Store
	repo  meta.Repository
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *store {
	t.Helper()
	s := &store{t: t, dir: t.TempDir()}
	m, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(s.dir, "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := disk.Open(disk.Config{Dir: filepath.Join(s.dir, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	s.meta, s.blobs = m, b
	s.repo = meta.Repository{
		Registry: ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}, Name: "team/app", CreatedAt: noon,
		Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"},
	}
	s.update(func(ctx context.Context, tx meta.Tx) (err error) {
		s.repo.ID, err = tx.InsertRepository(ctx, s.repo)
		return err
	})
	return s
}

func (s *store) update(fn func(context.Context, meta.Tx) error) {
	s.t.Helper()
	if err := s.meta.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// blob stores content and links it to the repository.
func (s *store) blob(content string) meta.Blob {
	s.t.Helper()
	b := meta.Blob{Digest: ecr.DigestOf([]byte(content)), Key: blob.NewKey(), SizeBytes: int64(len(content)), CreatedAt: noon}
	w, err := s.blobs.Append(s.t.Context(), b.Key, blob.Progress{})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		_, err = w.Commit(s.t.Context(), b.Digest)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.update(func(ctx context.Context, tx meta.Tx) error {
		if _, err := tx.AddBlob(ctx, b); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, s.repo.ID, b.Digest, noon)
	})
	return b
}

// image stores a manifest of config and layer; claimed is what its row says of
// the digest, "" for the truth.
func (s *store) image(tag ecr.Tag, config, layer meta.Blob, claimed ecr.Digest, refer ...ecr.Digest) ecr.Digest {
	s.t.Helper()
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Digest    ecr.Digest `json:"digest"`
		Size      int64      `json:"size"`
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaType,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", config.Digest, config.SizeBytes},
		"layers": []descriptor{{"application/vnd.oci.image.layer.v1.tar", layer.Digest, layer.SizeBytes}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	d := ecr.DigestOf(body)
	if claimed != "" {
		d = claimed
	}
	s.update(func(ctx context.Context, tx meta.Tx) error {
		m := meta.Manifest{Repository: s.repo.ID, Body: body, Blobs: refer,
			Image: ecr.Image{Digest: d, MediaType: mediaType, SizeBytes: int64(len(body)), PushedAt: noon}}
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		return tx.PutTag(ctx, s.repo.ID, meta.TagRow{Tag: tag, Digest: d, TaggedAt: noon}, false)
	})
	return d
}

func (s *store) file(b meta.Blob) string {
	return filepath.Join(s.dir, "blobs", "blobs", string(b.Key[:2]), string(b.Key))
}

func (s *store) overwrite(b meta.Blob, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(b), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) run() check.Report {
	s.t.Helper()
	r, err := check.Run(s.t.Context(), check.Config{Meta: s.meta, Blobs: s.blobs})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestNothingIsDamaged(t *testing.T) {
	s := open(t)
	config, layer := s.blob("{}"), s.blob("a layer")
	s.image("v1", config, layer, "", config.Digest, layer.Digest)
	s.blob("not used yet")
	want := check.Report{Blobs: 3, BlobBytes: 21, Repositories: 1, Images: 1, Tags: 1, Damaged: []check.Damage{}}
	if d := cmp.Diff(want, s.run()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What the database has of the blobs is read and compared, too.
func TestContentInTheDatabase(t *testing.T) {
	s := open(t)
	s.blobs = small.New(small.Config{Blobs: s.blobs, Meta: s.meta})
	config := s.blob("{}")
	layer := meta.Blob{Digest: ecr.DigestOf([]byte("a layer")), Key: blob.NewDatabaseKey(noon), SizeBytes: 7, CreatedAt: noon, Content: []byte("a lager")}
	whole := meta.Blob{Digest: ecr.DigestOf([]byte("whole")), Key: blob.NewDatabaseKey(noon), SizeBytes: 5, CreatedAt: noon, Content: []byte("whole")}
	s.update(func(ctx context.Context, tx meta.Tx) error {
		for _, b := range []meta.Blob{layer, whole} {
			if _, err := tx.AddBlob(ctx, b); err != nil {
				return err
			}
			if err := tx.LinkBlob(ctx, s.repo.ID, b.Digest, noon); err != nil {
				return err
			}
		}
		return nil
	})
	d := s.image("v1", config, layer, "", config.Digest, layer.Digest)
	want := check.Report{Blobs: 3, BlobBytes: 14, Repositories: 1, Images: 1, Tags: 1, Damaged: []check.Damage{
		{Kind: check.KindBlob, Digest: layer.Digest, Key: layer.Key, Problem: "its content is " + string(ecr.DigestOf(layer.Content))},
		{Kind: check.KindImage, Digest: d, Registry: "111111111111/eu-west-1", Repository: "team/app", Tags: []ecr.Tag{"v1"}, Problem: "its blob " + string(layer.Digest) + " is damaged"},
	}}
	if diff := cmp.Diff(want, s.run()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A row without its content.
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "kontor.db"))
	if err == nil {
		_, err = db.ExecContext(t.Context(), "DELETE FROM blob_contents WHERE key = ?", string(layer.Key))
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if got := s.run().Damaged; len(got) == 0 || got[0].Problem != "its content is missing in the database" {
		t.Errorf("%+v", got)
	}
}

// Whatever is damaged is named, and the images that it makes useless are.
func TestDamage(t *testing.T) {
	blobOf := func(b meta.Blob, problem string) check.Damage {
		return check.Damage{Kind: check.KindBlob, Digest: b.Digest, Key: b.Key, Problem: problem}
	}
	imageOf := func(d ecr.Digest, problem string) check.Damage {
		return check.Damage{Kind: check.KindImage, Digest: d, Registry: "111111111111/eu-west-1", Repository: "team/app", Tags: []ecr.Tag{"v1"}, Problem: problem}
	}
	const changed = "a LAYER"
	other := ecr.DigestOf([]byte("other"))
	tests := []struct {
		name   string
		damage func(s *store, config, layer meta.Blob) []check.Damage
	}{
		{"a byte changed", func(s *store, config, layer meta.Blob) []check.Damage {
			d := s.image("v1", config, layer, "", config.Digest, layer.Digest)
			s.overwrite(layer, changed)
			return []check.Damage{
				blobOf(layer, "its content is "+string(ecr.DigestOf([]byte(changed)))),
				imageOf(d, "its blob "+string(layer.Digest)+" is damaged"),
			}
		}},
		{"cut off", func(s *store, config, layer meta.Blob) []check.Damage {
			s.overwrite(layer, "a la")
			return []check.Damage{blobOf(layer, "has 4 bytes, not 7")}
		}},
		{"too long", func(s *store, config, layer meta.Blob) []check.Damage {
			s.overwrite(layer, "a layer and more")
			return []check.Damage{blobOf(layer, "has 16 bytes, not 7")}
		}},
		{"gone", func(s *store, config, layer meta.Blob) []check.Damage {
			if err := os.Remove(s.file(config)); err != nil {
				s.t.Fatal(err)
			}
			return []check.Damage{blobOf(config, "its file is missing")}
		}},
		{"an entry of an index", func(s *store, _, layer meta.Blob) []check.Damage {
			const mediaType = "application/vnd.oci.image.index.v1+json"
			body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"application/octet-stream","digest":%q,"size":7},
				{"mediaType":"application/octet-stream","digest":%q,"size":5}]}`, mediaType, layer.Digest, other)
			d := ecr.DigestOf(body)
			s.update(func(ctx context.Context, tx meta.Tx) error {
				m := meta.Manifest{Repository: s.repo.ID, Body: body, Children: []ecr.Digest{layer.Digest, other}, Sparse: true,
					Image: ecr.Image{Digest: d, MediaType: mediaType, PushedAt: noon}}
				if err := tx.InsertManifest(ctx, m); err != nil {
					return err
				}
				return tx.PutTag(ctx, s.repo.ID, meta.TagRow{Tag: "v1", Digest: d, TaggedAt: noon}, false)
			})
			if err := os.Remove(s.file(layer)); err != nil {
				s.t.Fatal(err)
			}
			return []check.Damage{blobOf(layer, "its file is missing"), imageOf(d, "its blob "+string(layer.Digest)+" is damaged")}
		}},
		{"a manifest that is another", func(s *store, config, layer meta.Blob) []check.Damage {
			d := s.image("v1", config, layer, other, config.Digest, layer.Digest)
			real := s.run().Damaged
			if len(real) != 1 || !strings.HasPrefix(real[0].Problem, "its manifest's content is sha256:") {
				s.t.Fatalf("%+v", real)
			}
			return []check.Damage{imageOf(d, real[0].Problem)}
		}},
		{"a blob that is not linked", func(s *store, config, layer meta.Blob) []check.Damage {
			missing := meta.Blob{Digest: other, SizeBytes: 5}
			d := s.image("v1", config, missing, "", config.Digest)
			return []check.Damage{imageOf(d, "its blob "+string(other)+" is not in the repository")}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			config, layer := s.blob("{}"), s.blob("a layer")
			want := tt.damage(s, config, layer)
			if d := cmp.Diff(want, s.run().Damaged); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// Everything is read, however many pages it takes.
func TestPages(t *testing.T) {
	s := open(t)
	config := s.blob("{}")
	var last meta.Blob
	for i := range 250 {
		last = s.blob(fmt.Sprintf("layer %d", i))
		s.image(ecr.Tag(fmt.Sprintf("v%d", i)), config, last, "", config.Digest, last.Digest)
	}
	s.overwrite(last, "damaged")
	r := s.run()
	if r.Blobs != 251 || r.Images != 250 || r.Tags != 250 || len(r.Damaged) != 2 {
		t.Errorf("%d blobs, %d images, %d tags, damaged %v", r.Blobs, r.Images, r.Tags, r.Damaged)
	}
}

func TestStopped(t *testing.T) {
	s := open(t)
	s.blob("a layer")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := check.Run(ctx, check.Config{Meta: s.meta, Blobs: s.blobs}); err == nil || len(r.Damaged) > 0 {
		t.Errorf("Run = %+v, %v, want an error and no damage", r, err)
	}
}
