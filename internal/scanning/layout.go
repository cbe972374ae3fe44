package scanning

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// content reads images of a registry, as the server itself.
type content struct{ registry *registry.Registry }

func (c content) caller() *registry.Caller { return c.registry.As(access.Principal{System: actor}) }

// writeLayout writes the image of t as an OCI layout into the empty folder dir.
// Source: OCI image specification 1.1, image-layout.md.
func (c content) writeLayout(ctx context.Context, t Target, dir string) error {
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Digest    ecr.Digest `json:"digest"`
		Size      int        `json:"size"`
	}
	index, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIIndex,
		"manifests": []descriptor{{t.Manifest.MediaType, t.Digest, len(t.Body)}},
	})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{
		{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{"index.json", index},
		{blobFile(t.Digest), t.Body},
	} {
		name := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.text, 0o600); err != nil {
			return err
		}
	}
	for _, d := range t.Manifest.Blobs() {
		if err := c.copyBlob(ctx, t.At, d, filepath.Join(dir, blobFile(d)), 0); err != nil {
			return err
		}
	}
	return nil
}

// blobFile is where a layout has a blob.
func blobFile(d ecr.Digest) string {
	algorithm, digits, _ := strings.Cut(string(d), ":")
	return filepath.Join("blobs", algorithm, digits)
}

// copyBlob writes a blob into a file, and compares it with its digest. most bounds its
// bytes; 0 is any number.
func (c content) copyBlob(ctx context.Context, at ecr.Repo, d ecr.Digest, to string, most int64) (err error) {
	from, err := registry.ReadBlob(ctx, c.caller(), at, d)
	if err != nil {
		return fmt.Errorf("reading %s of the image: %w", d, err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Clean(to), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var sum hash.Hash = sha256.New()
	if strings.HasPrefix(string(d), "sha512:") {
		sum = sha512.New()
	}
	var r io.Reader = reader{ctx, from}
	if most > 0 {
		r = io.LimitReader(r, most+1)
	}
	n, err := io.Copy(io.MultiWriter(f, sum), r)
	switch {
	case err != nil:
		return fmt.Errorf("reading %s of the image: %w", d, err)
	case most > 0 && n > most:
		return fmt.Errorf("%s has more than %d bytes", d, most)
	case !strings.HasSuffix(string(d), fmt.Sprintf(":%x", sum.Sum(nil))):
		return fmt.Errorf("%s of the image is damaged: run kontor admin check", d)
	}
	return nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context // of one copy
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// billTypes are the media types of software bills of materials that scanners read.
var billTypes = []string{"application/spdx+json", "text/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.cyclonedx"}

const (
	// maxBill bounds a bill of materials, in bytes; maxReferrers how many referrers of an
	// image are looked at for one.
	maxBill      = 128 << 20
	maxReferrers = 100
)

// writeBill writes the bill of materials that refers to the image into a file, and
// reports false where there is none. Of several it is the one that was pushed last.
func (c content) writeBill(ctx context.Context, t Target, to string) (bool, error) {
	list, _, err := c.caller().ListReferrers(ctx, t.At, t.Digest, "", "", maxReferrers)
	if err != nil {
		return false, err
	}
	var at ecr.Digest
	var newest int64
	for _, r := range list {
		m, err := c.caller().StatManifest(ctx, t.At, ecr.ImageID{Digest: r.Digest})
		if err != nil {
			continue // removed since
		}
		bill, err := manifest.Parse(m.Body, m.MediaType)
		if err != nil || len(bill.Layers) != 1 || !isBill(bill.Layers[0].MediaType) {
			continue
		}
		images, err := c.caller().DescribeImages(ctx, t.At, []ecr.ImageID{{Digest: r.Digest}})
		if err != nil || len(images) != 1 {
			continue
		}
		if pushed := images[0].PushedAt.UnixNano(); at == "" || pushed >= newest {
			at, newest = bill.Layers[0].Digest, pushed
		}
	}
	if at == "" {
		return false, nil
	}
	return true, c.copyBlob(ctx, t.At, at, to, maxBill)
}

func isBill(mediaType string) bool {
	base, _, _ := strings.Cut(mediaType, ";")
	for _, t := range billTypes {
		if base == t {
			return true
		}
	}
	return false
}
