package metatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// GivenBlobsBefore are statements that fill a database of schema version 4 with
// an index of blobs and an image with foreign layers. blobForm is how the
// database writes bytes, with a verb for hexadecimal digits, such as "x'%x'";
// no is how it writes false.
func GivenBlobsBefore(blobForm, no string) []string {
	manifest := func(digest, mediaType, body string) string {
		return fmt.Sprintf(`INSERT INTO manifests VALUES (1, '%s', '%s', '', 1, 0, NULL, '', '', `+blobForm+`)`, digest, mediaType, body)
	}
	const image = "application/vnd.oci.image.manifest.v1+json"
	return []string{
		`INSERT INTO repositories (account, region, name, created_at, mutability, mutability_filters, scan_on_push,
			encryption_type, encryption_key, tags, policy, lifecycle) VALUES ('000000000000', 'us-east-1', 'app', 0, 'MUTABLE', '', ` + no + `, 'AES256', '', '', '', '')`,
		`INSERT INTO blobs VALUES ('sha256:cache', 'k1', 1, 0), ('sha256:foreign', 'k2', 1, 0), ('sha256:loose', 'k3', 1, 0), ('sha256:hidden', 'k4', 1, 0)`,
		`INSERT INTO blob_links VALUES (1, 'sha256:cache', 5, 5, ` + no + `), (1, 'sha256:foreign', 5, 5, ` + no + `),
			(1, 'sha256:loose', 5, 5, ` + no + `), (1, 'sha256:hidden', 5, 5, NOT ` + no + `)`,
		manifest("sha256:index", "application/vnd.oci.image.index.v1+json", `{"manifests":[{"digest":"sha256:cache"}]}`),
		`INSERT INTO manifest_children VALUES (1, 'sha256:index', 'sha256:cache'), (1, 'sha256:index', 'sha256:elsewhere')`,
		manifest("sha256:image", image, `{"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"sha256:foreign"},
			{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"sha256:hidden"},
			{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"sha256:later"}],"annotations":{"ü":"foreign"}}`),
		manifest("sha256:none", image, `{"layers":null,"annotations":{"a":"foreign"}}`),
		manifest("sha256:escape", image, `{"layers":[],"annotations":{"a":"foreign \u0000"}}`),
	}
}

// WantGivenBlobs checks what became of GivenBlobsBefore.
func WantGivenBlobs(t *testing.T, s meta.Store) {
	t.Helper()
	blobs := func(d ecr.Digest) []ecr.Digest {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) { return r.ImageBlobs(ctx, 1, d) })
	}
	diff(t, []ecr.Digest{"sha256:cache"}, blobs("sha256:index"))
	diff(t, []ecr.Digest{"sha256:foreign", "sha256:hidden"}, blobs("sha256:image"))
	for _, d := range []ecr.Digest{"sha256:cache", "sha256:foreign", "sha256:hidden"} {
		wantIdle(t, s, 1, d, time.Time{})
	}
	links := 0
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		links, err = tx.Retention().DeleteIdleLinks(ctx, noon, 10)
		return err
	})
	if _, seen := idle(t, s, 1, "sha256:loose"); links != 1 || seen {
		t.Errorf("collected %d links, want the loose one", links)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		later := meta.Blob{Digest: "sha256:later", Key: "k5", SizeBytes: 1, CreatedAt: noon}
		if _, err := tx.AddBlob(ctx, later); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, 1, later.Digest, noon)
	})
	wantIdle(t, s, 1, "sha256:later", time.Time{})
}
