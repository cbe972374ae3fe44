package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// parts are the digests that a manifest names.
type parts struct {
	Config    *desc
	Layers    []desc
	Manifests []desc
}

func partsOf(body []byte) (p parts) {
	if err := json.Unmarshal(body, &p); err != nil {
		panic(err) // the tests made it
	}
	return p
}

func (p parts) blobs() []ecr.Digest {
	var ds []ecr.Digest
	if p.Config != nil {
		ds = append(ds, p.Config.Digest)
	}
	for _, l := range p.Layers {
		ds = append(ds, l.Digest)
	}
	return ds
}

// tryWhole is nil when an image can be read by its digest, with all blobs.
func (f *fixture) tryWhole(ctx context.Context, to ecr.Repo, body []byte) error {
	d := ecr.DigestOf(body)
	m, err := f.Manifest(ctx, to, ecr.ImageID{Digest: d})
	if err != nil {
		return fmt.Errorf("image %s of %s: %w", d, to.Name, err)
	}
	if !bytes.Equal(m.Body, body) {
		return fmt.Errorf("image %s of %s is %q", d, to.Name, m.Body)
	}
	for _, b := range partsOf(body).blobs() {
		if err := f.pullBlob(ctx, to, b); err != nil {
			return fmt.Errorf("image %s of %s: %w", d, to.Name, err)
		}
	}
	return nil
}

// pullBlob reads a blob and checks its content.
func (f *fixture) pullBlob(ctx context.Context, to ecr.Repo, d ecr.Digest) error {
	_, file, err := f.OpenBlob(ctx, to, d)
	if err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	content, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("blob %s: %w", d, err)
	}
	if !d.Verifies(content) {
		return fmt.Errorf("blob %s is %q", d, content)
	}
	return nil
}

// exactly checks that the store has the blobs of these images and nothing else:
// no row, no file, no upload.
func (f *fixture) exactly(ctx context.Context, images [][]byte) error {
	want := map[ecr.Digest]bool{}
	for _, body := range images {
		for _, d := range partsOf(body).blobs() {
			want[d] = true
		}
	}
	var rows []meta.Blob
	err := f.meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		rows, err = r.ListBlobs(ctx, "", 1_000_000)
		return err
	})
	if err != nil {
		return err
	}
	keys := map[blob.Key]int64{}
	for _, b := range rows {
		if !want[b.Digest] {
			return fmt.Errorf("nothing refers to blob %s, and it is there", b.Digest)
		}
		delete(want, b.Digest)
		keys[b.Key] = b.SizeBytes
	}
	if len(want) > 0 {
		return fmt.Errorf("these blobs are missing: %v", maps.Collect(maps.All(want)))
	}
	for info, err := range f.blobs.List(ctx) {
		if err != nil {
			return err
		}
		if size, known := keys[info.Key]; info.Upload || !known || size != info.SizeBytes {
			return fmt.Errorf("the file %+v belongs to no blob", info)
		}
		delete(keys, info.Key)
	}
	if len(keys) > 0 {
		return fmt.Errorf("%d files are missing", len(keys))
	}
	return nil
}
