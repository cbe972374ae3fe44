package images_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/testkit/push"

	"github.com/kontor-registry/kontor/internal/deploy/images"
)

// BenchmarkParse reads what aws ecr describe-images prints of 100,000 images.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("{\n    \"imageDetails\": [")
	for i := range 100_000 {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `
        {
            "registryId": "111111111111",
            "repositoryName": "team/app",
            "imageDigest": %q,
            "imageTags": [
                "main-%d",
                "sha-%08x"
            ],
            "imageSizeInBytes": %d,
            "imagePushedAt": "2026-0%d-%02dT12:00:00.123000+01:00",
            "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactMediaType": "application/vnd.oci.image.config.v1+json",
            "lastRecordedPullTime": "2026-05-01T12:00:00.123000+01:00"
        }`, push.DigestOf(fmt.Sprint(i)), i, i*2654435761, i, 1+i%4, 1+i%28)
	}
	text.WriteString("\n    ]\n}\n")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		s, err := images.Parse(strings.NewReader(text.String()))
		if err != nil || len(s.Details) != 100_000 {
			b.Fatal(len(s.Details), err)
		}
	}
}
