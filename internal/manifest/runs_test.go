package manifest_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/manifest"
)

// Whether a runtime runs something is on the safe side of what it calls itself.
func TestRuns(t *testing.T) {
	const oci, layer, helm = "application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.cncf.helm.config.v1+json"
	for name, tt := range map[string]struct {
		config, layer string
		want          manifest.Runs
	}{
		"an image":             {oci, layer, manifest.RunsAlways},
		"an image of Docker":   {"application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip", manifest.RunsAlways},
		"capitals":             {oci, "application/vnd.oci.IMAGE.LAYER.v1.TAR", manifest.RunsAlways},
		"layers below a chart": {helm, layer, manifest.RunsAlways},
		"a signature":          {oci, "application/vnd.dev.cosign.simplesigning.v1+json", manifest.RunsIfFiles},
		"what Docker takes":    {"text/html", "text/plain", manifest.RunsIfFiles},
		"a plugin of Docker":   {"application/vnd.docker.plugin.v1+json", "text/plain", manifest.RunsIfFiles},
		"a chart":              {helm, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", manifest.RunsNever},
		"a project of compose": {"application/vnd.docker.compose.project", "application/vnd.docker.compose.file+yaml", manifest.RunsNever},
		"a bill of materials":  {manifest.MediaTypeEmpty, "application/spdx+json", manifest.RunsNever},
	} {
		t.Run(name, func(t *testing.T) {
			m := manifest.Manifest{Kind: manifest.Image, Config: &manifest.Descriptor{MediaType: tt.config}, Layers: []manifest.Descriptor{{MediaType: tt.layer}}}
			if got := m.Runs(); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
	if got := (manifest.Manifest{Kind: manifest.Index}).Runs(); got != manifest.RunsNever {
		t.Errorf("an index: %d", got)
	}
}
