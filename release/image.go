package main

import (
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Media types and annotations of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeEmpty    = "application/vnd.oci.empty.v1+json"

	annotationRefName = "org.opencontainers.image.ref.name"
	annotationTitle   = "org.opencontainers.image.title"
	annotationCreated = "org.opencontainers.image.created"
)

// The parts of the OCI image specification that are used.
type (
	ociDescriptor struct {
		MediaType    string            `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		Platform     *ociPlatform      `json:"platform,omitempty"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	ociPlatform struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
	}
	ociManifest struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType,omitempty"`
		Config        ociDescriptor     `json:"config"`
		Layers        []ociDescriptor   `json:"layers"`
		Subject       *ociDescriptor    `json:"subject,omitempty"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
	ociIndex struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []ociDescriptor   `json:"manifests"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
	ociImage struct {
		Created      string       `json:"created"`
		Architecture string       `json:"architecture"`
		OS           string       `json:"os"`
		Config       ociConfig    `json:"config"`
		RootFS       ociRootFS    `json:"rootfs"`
		History      []ociHistory `json:"history"`
	}
	ociConfig struct {
		User         string
		ExposedPorts map[string]struct{}
		Env          []string
		Entrypoint   []string
		Cmd          []string
		Volumes      map[string]struct{}
		WorkingDir   string
		Labels       map[string]string
	}
	ociRootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	ociHistory struct {
		Created   string `json:"created"`
		CreatedBy string `json:"created_by"`
	}
)

// nonroot is the user the image runs as.
const nonroot = 65532

// root is the image's first layer, the same for all platforms: who there is,
// and where things may be written.
var root = []file{
	{name: "data/", mode: 0o700, uid: nonroot, gid: nonroot},
	{name: "etc/", mode: 0o755},
	{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
	{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/data:/sbin/nologin\n")},
	{name: "tmp/", mode: 0o1777},
}

// labels is what the image says of itself; the keys are those of the OCI image
// specification's annotations.
func labels(a about) map[string]string {
	l := map[string]string{
		annotationTitle:                        "kontor",
		annotationCreated:                      a.created.Format(time.RFC3339),
		"org.opencontainers.image.description": "Deployer of container image repositories, and an ECR-compatible registry",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://" + module,
		"org.opencontainers.image.version":     a.version,
	}
	if a.revision != "" {
		l["org.opencontainers.image.revision"] = a.revision
	}
	return l
}

// writeImage writes the image layout to dir, and returns the index's digest.
func writeImage(dir string, a about, made []binary) (string, error) {
	l, err := newLayout(dir)
	if err != nil {
		return "", err
	}
	index := ociIndex{SchemaVersion: 2, MediaType: typeIndex, Annotations: labels(a)}
	var inside []binary
	for _, b := range made {
		if !b.platform.hasImage() {
			continue
		}
		inside = append(inside, b)
		d, err := l.addPlatform(a, b)
		if err != nil {
			return "", err
		}
		index.Manifests = append(index.Manifests, d)
	}
	if len(inside) == 0 {
		return "", errors.New("an image needs a binary for linux")
	}
	image, err := l.addJSON(typeIndex, index)
	if err != nil {
		return "", err
	}
	bill, err := sbom(a, inside)
	if err != nil {
		return "", err
	}
	referrer, err := l.addReferrer(a, image, sbomType, sbomName(a), bill)
	if err != nil {
		return "", err
	}
	digest := image.Digest
	image.Annotations = map[string]string{annotationRefName: a.version}
	referrer.Annotations = map[string]string{annotationRefName: a.version + ".sbom"}
	return digest, l.finish(image, referrer)
}

// addPlatform adds the image of one platform.
func (l *layout) addPlatform(a about, b binary) (ociDescriptor, error) {
	created := a.created.Format(time.RFC3339)
	image := ociImage{
		Created: created, Architecture: b.platform.arch, OS: b.platform.os,
		Config: ociConfig{
			User:         "65532:65532",
			ExposedPorts: map[string]struct{}{"5050/tcp": {}},
			Env:          []string{"PATH=/", "HOME=/data", "KONTOR_DATA=/data"},
			Entrypoint:   []string{"/kontor"},
			// A container's port is reached by no one until it is published,
			// but it is never on the container's own localhost.
			Cmd:        []string{"up", "--listen", "0.0.0.0:5050", "--insecure-http"},
			Volumes:    map[string]struct{}{"/data": {}},
			WorkingDir: "/",
			Labels:     labels(a),
		},
		RootFS: ociRootFS{Type: "layers"},
	}
	manifest := ociManifest{SchemaVersion: 2, MediaType: typeManifest, Annotations: labels(a)}
	for _, layer := range []struct {
		by    string
		files []file
	}{
		{"users and folders", root},
		{"kontor " + a.version + " for " + b.platform.String(), []file{{name: "kontor", data: b.data, mode: 0o755}}},
	} {
		gzipped, plain, err := writeTar(layer.files, a.created)
		if err != nil {
			return ociDescriptor{}, err
		}
		d, err := l.add(typeLayer, gzipped)
		if err != nil {
			return ociDescriptor{}, err
		}
		manifest.Layers = append(manifest.Layers, d)
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, string(ecr.DigestOf(plain)))
		image.History = append(image.History, ociHistory{created, layer.by})
	}
	var err error
	if manifest.Config, err = l.addJSON(typeConfig, image); err != nil {
		return ociDescriptor{}, err
	}
	d, err := l.addJSON(typeManifest, manifest)
	d.Platform = &ociPlatform{b.platform.arch, b.platform.os}
	return d, err
}

// addReferrer adds an artifact of one file that refers to subject, in the form
// of the image specification, "Guidelines for Artifact Usage": the type is the
// manifest's, and the config is the empty descriptor.
func (l *layout) addReferrer(a about, subject ociDescriptor, artifactType, name string, data []byte) (ociDescriptor, error) {
	empty, err := l.add(typeEmpty, []byte("{}"))
	if err != nil {
		return ociDescriptor{}, err
	}
	content, err := l.add(artifactType, data)
	if err != nil {
		return ociDescriptor{}, err
	}
	content.Annotations = map[string]string{annotationTitle: name}
	d, err := l.addJSON(typeManifest, ociManifest{
		SchemaVersion: 2, MediaType: typeManifest, ArtifactType: artifactType,
		Config: empty, Layers: []ociDescriptor{content}, Subject: &subject,
		Annotations: map[string]string{annotationCreated: a.created.Format(time.RFC3339)},
	})
	d.ArtifactType = artifactType
	return d, err
}
