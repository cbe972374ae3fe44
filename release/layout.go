package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// layout is a folder in the form of the OCI image layout, version 1.0.0:
// oci-layout, index.json and blobs/sha256/HEX.
type layout struct{ dir string }

func newLayout(dir string) (*layout, error) {
	if err := emptyDir(dir); err != nil {
		return nil, err
	}
	return &layout{dir}, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755)
}

// blob is the file that holds the content of a sha256 digest.
func (l *layout) blob(digest string) string {
	return filepath.Join(l.dir, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// add writes content; writing it twice is fine.
func (l *layout) add(mediaType string, b []byte) (ociDescriptor, error) {
	d := ociDescriptor{MediaType: mediaType, Digest: string(ecr.DigestOf(b)), Size: int64(len(b))}
	return d, os.WriteFile(l.blob(d.Digest), b, 0o644)
}

func (l *layout) addJSON(mediaType string, v any) (ociDescriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ociDescriptor{}, err
	}
	return l.add(mediaType, b)
}

// finish writes what makes the folder a layout, last: a folder without it is
// none.
func (l *layout) finish(manifests ...ociDescriptor) error {
	b, err := json.Marshal(ociIndex{SchemaVersion: 2, MediaType: typeIndex, Manifests: manifests})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, "index.json"), b, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}
