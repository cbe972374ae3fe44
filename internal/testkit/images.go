package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Media types of what is put.
const (
	ImageType  = "application/vnd.oci.image.manifest.v1+json"
	IndexType  = "application/vnd.oci.image.index.v1+json"
	ConfigType = "application/vnd.oci.image.config.v1+json"
	LayerType  = "application/vnd.oci.image.layer.v1.tar"
)

// Documents that set something and mean little.
const (
	RepositoryPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":"ecr:BatchGetImage"}]}`
	RegistryPolicy   = `{"Version": "2012-10-17", "Statement": [{"Sid": "import", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
	"Action": ["ecr:CreateRepository", "ecr:ReplicateImage"], "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/*"}]}`
	LifecyclePolicy = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
)

// Desc is a descriptor in a manifest.
type Desc struct {
	MediaType string     `json:"mediaType"`
	Digest    ecr.Digest `json:"digest"`
	Size      int        `json:"size"`
}

// DescOf describes content.
func DescOf(mediaType string, content []byte) Desc {
	return Desc{mediaType, ecr.DigestOf(content), len(content)}
}

// JSON is v, which is made of maps, strings and numbers.
func JSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a mistake in the test
	}
	return b
}

// ConfigOf is the config of the image that content makes its own.
func ConfigOf(content string) []byte { return []byte(`{"of":"` + content + `"}`) }

// LayerOf is its layer.
func LayerOf(content string) []byte { return []byte("layer of " + content) }

// Image uploads an image's blobs and returns its manifest. content makes the
// image its own.
func (w *World) Image(to ecr.Repo, content string) []byte {
	w.T.Helper()
	return w.ImageOf(to, ConfigOf(content), LayerOf(content))
}

// ImageOf uploads config and layers and returns the manifest of an image of
// them.
func (w *World) ImageOf(to ecr.Repo, config []byte, layers ...[]byte) []byte {
	w.T.Helper()
	w.Blob(to, config)
	var list []Desc
	for _, l := range layers {
		w.Blob(to, l)
		list = append(list, DescOf(LayerType, l))
	}
	return JSON(map[string]any{"schemaVersion": 2, "mediaType": ImageType, "config": DescOf(ConfigType, config), "layers": list})
}

// Index lists images.
func Index(children ...[]byte) []byte {
	var list []Desc
	for _, c := range children {
		list = append(list, DescOf(ImageType, c))
	}
	return JSON(map[string]any{"schemaVersion": 2, "mediaType": IndexType, "manifests": list})
}

// Referrer uploads the blobs of an image that refers to subject, and returns
// its manifest.
func (w *World) Referrer(to ecr.Repo, content string, subject []byte) []byte {
	w.T.Helper()
	body := strings.TrimSuffix(string(w.Image(to, content)), "}")
	return []byte(body + `,"artifactType":"application/x-signature","subject":` + string(JSON(DescOf(ImageType, subject))) + "}")
}

// EmptyReferrer refers to subject and has no blobs.
func EmptyReferrer(subject []byte, content string) []byte {
	return JSON(map[string]any{
		"schemaVersion": 2, "mediaType": IndexType, "artifactType": "application/vnd.example", "manifests": []Desc{},
		"subject": DescOf(ImageType, subject), "annotations": map[string]string{"of": content},
	})
}

// Parts are the digests that a manifest names.
type Parts struct {
	Config    *Desc
	Layers    []Desc
	Manifests []Desc
}

// PartsOf takes a manifest of the test apart.
func PartsOf(body []byte) (p Parts) {
	if err := json.Unmarshal(body, &p); err != nil {
		panic(err) // the tests made it
	}
	return p
}

// Blobs are config and layers.
func (p Parts) Blobs() []ecr.Digest {
	var ds []ecr.Digest
	if p.Config != nil {
		ds = append(ds, p.Config.Digest)
	}
	for _, l := range p.Layers {
		ds = append(ds, l.Digest)
	}
	return ds
}

// Whole is nil when an image can be read by its digest, with all blobs.
func (w *World) Whole(ctx context.Context, to ecr.Repo, body []byte) error {
	d := ecr.DigestOf(body)
	m, err := w.Manifest(ctx, to, ecr.ImageID{Digest: d})
	if err != nil {
		return fmt.Errorf("image %s of %s: %w", d, to.Name, err)
	}
	if !bytes.Equal(m.Body, body) {
		return fmt.Errorf("image %s of %s is %q", d, to.Name, m.Body)
	}
	for _, b := range PartsOf(body).Blobs() {
		if err := w.PullBlob(ctx, to, b); err != nil {
			return fmt.Errorf("image %s of %s: %w", d, to.Name, err)
		}
	}
	return nil
}

// WantWhole fails the test unless Whole is nil.
func (w *World) WantWhole(to ecr.Repo, body []byte) {
	w.T.Helper()
	if err := w.Whole(w.T.Context(), to, body); err != nil {
		w.T.Error(err)
	}
}

// PullBlob reads a blob and checks its content.
func (w *World) PullBlob(ctx context.Context, to ecr.Repo, d ecr.Digest) error {
	_, file, err := w.OpenBlob(ctx, to, d)
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

// ReadAll reads a blob that OpenBlob opened, and closes it.
func (w *World) ReadAll(f blob.File) []byte {
	w.T.Helper()
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		w.T.Fatal(err)
	}
	return b
}

// Leave writes content straight into the blob store, as a crash leaves it: with
// no row.
func (w *World) Leave(content string, commit bool) blob.Key {
	w.T.Helper()
	key := blob.NewKey()
	f, err := w.Blobs.Append(w.T.Context(), key, blob.Progress{})
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err == nil && commit {
		_, err = f.Commit(w.T.Context(), ecr.DigestOf([]byte(content)))
	} else if err == nil {
		_, err = f.Suspend(w.T.Context())
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return key
}

// Stored counts what the blob store holds.
func (w *World) Stored() (blobs, uploads int) {
	w.T.Helper()
	for info, err := range w.Blobs.List(w.T.Context()) {
		if err != nil {
			w.T.Fatal(err)
		}
		if info.Upload {
			uploads++
		} else {
			blobs++
		}
	}
	return blobs, uploads
}

// Exactly checks that the store has the blobs of these images and nothing else:
// no row, no file, no upload.
func (w *World) Exactly(ctx context.Context, images [][]byte) error {
	want := map[ecr.Digest]bool{}
	for _, body := range images {
		for _, d := range PartsOf(body).Blobs() {
			want[d] = true
		}
	}
	var rows []meta.Blob
	err := w.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
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
	for info, err := range w.Blobs.List(ctx) {
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
