package manifest

import (
	"slices"
	"strings"
)

// Runs says whether container runtimes run what a manifest describes, whatever it calls
// itself.
type Runs int

// The answers. RunsIfFiles: a runtime takes it for an image and unpacks its layers,
// whatever types they have, so it is harmless only if they hold no files.
const (
	RunsNever Runs = iota
	RunsIfFiles
	RunsAlways
)

// Runs says whether some container runtime runs m. It is on the safe side, where
// IsContainerImage is about what people call an image: Docker takes types in any letter
// case and several types of configs, containerd does not look at the type of the config,
// and podman unpacks layers of any type if the config is that of an image.
func (m Manifest) Runs() Runs {
	switch {
	case m.Kind != Image:
		return RunsNever
	case m.IsContainerImage(), slices.ContainsFunc(m.Layers, func(l Descriptor) bool { return isLayer(l.MediaType) }):
		return RunsAlways
	case m.Config == nil || IsConfig(m.Config.MediaType):
		return RunsIfFiles
	}
	return RunsNever
}

// isLayer reports whether runtimes take a layer of the type for files of an image,
// whatever its config is.
func isLayer(mediaType string) bool {
	t := strings.ToLower(mediaType)
	return t == "" || strings.Contains(t, "image.layer") || strings.Contains(t, "image.rootfs") || strings.HasPrefix(t, "application/vnd.oci.image") ||
		strings.HasPrefix(t, "application/vnd.docker.image")
}

// IsConfig reports whether a runtime takes a config of the type for that of an image.
// Next to those of OCI, of Docker and of its plugins, Docker takes what registries once
// stored in their place, and none (moby, distribution/pull_v2.go).
func IsConfig(mediaType string) bool {
	switch t := strings.ToLower(mediaType); t {
	case "", "application/octet-stream", "application/json", "text/html":
		return true
	default:
		return strings.HasPrefix(t, "application/vnd.oci.image") || strings.HasPrefix(t, "application/vnd.docker.container") || strings.HasPrefix(t, "application/vnd.docker.plugin")
	}
}
