package images_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/kontor-registry/kontor/internal/testkit/push"

	"github.com/kontor-registry/kontor/internal/deploy/images"
)

// FuzzManifestFile: a file next to a snapshot is the manifest of the image whose
// digest it has, or is said to be of, or is named as strange; it never becomes
// that of an image that the snapshot has not.
func FuzzManifestFile(f *testing.F) {
	one := push.DigestOf(`{"schemaVersion":2}`)
	f.Add([]byte(`{"schemaVersion":2}`))
	f.Add([]byte("{\"schemaVersion\":2}\r\n"))
	f.Add([]byte(`{"images":[{"imageId":{"imageDigest":"` + one + `"},"imageManifest":"{}"},{"imageId":null}]}`))
	f.Add([]byte(`{"images":[{"imageId":{"imageDigest":"sha256:x"},"imageManifest":"{}"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s := images.Snapshot{Details: []images.Detail{{Digest: one}}}
		strange, err := s.AddManifests(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, known := s.Manifests[one]
		if len(s.Manifests) > 1 || len(s.Manifests) == 1 && !known || known == (len(strange) == 1) {
			t.Errorf("%q is %v, strange %v", text, s.Manifests, strange)
		}
		if push.DigestOf(string(text)) == one && !bytes.Equal(s.Manifests[one], text) {
			t.Errorf("its own manifest is %q", s.Manifests[one])
		}
		s.Images()
	})
}
