// Package manifest reads image manifests: from bytes to media type, config,
// layers, children, subject and annotations. It is pure.
//
// It guarantees that a manifest it accepts has one meaning for every reader:
// the JSON is valid UTF-8 without duplicate or differently cased names of
// fields that matter, an image has no children and an index no layers, every
// descriptor has a media type, a well-formed digest and a size that is not
// negative, and the declared media type is the one it was pushed with. Fields
// it does not know are left alone. It does not look at content: whether blobs
// and children exist, and whether an image needs layers, is for the registry.
//
// Sources: OCI image specification 1.1 (manifest.md, image-index.md,
// descriptor.md), Docker image manifest version 2 schema 2, and for the error
// texts ECR. Refusing a document that could be both an image and an index
// follows the advice of CVE-2021-41190.
package manifest

import (
	"fmt"
	"math"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Media types of manifests that Parse accepts.
const (
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
)

// MediaTypeEmpty is the media type of OCI's empty descriptor.
const MediaTypeEmpty = "application/vnd.oci.empty.v1+json"

// Media types of schema 1, which have their own refusal.
const (
	mediaTypeSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Limits of a manifest.
const (
	// MaxSize is the size in bytes of the largest manifest: 4 MiB on ECR.
	MaxSize = 4 << 20
	// MaxLayers is generous: ECR has a limit but does not publish it.
	MaxLayers = 4200
	// MaxEntries bounds an index: each entry costs work where it is stored.
	MaxEntries = 4200
	// maxValues bounds members and elements of all objects and arrays. An image
	// of MaxLayers layers with twenty annotations each has fewer.
	maxValues = 120_000
	// maxDepth bounds how deeply objects and arrays nest. The specifications
	// need 5; annotations of unknown fields may need more.
	maxDepth = 64
)

// Kind tells what a manifest describes.
type Kind string

// Image has a config and layers (artifacts too), Index has children.
const (
	Image Kind = "image"
	Index Kind = "index"
)

// Manifest is what a registry needs to know of a manifest.
type Manifest struct {
	MediaType string // one of the four constants above
	Kind      Kind
	// ArtifactMediaType is the manifest's artifactType or, without one, the
	// media type of the config; empty for an index without artifactType.
	ArtifactMediaType string
	// ArtifactType is the same by the name of the referrers API.
	ArtifactType string
	// Config is an image's config; nil for an index.
	Config *Descriptor
	// Layers of an image in the order given; the same digest may come twice.
	Layers []Descriptor
	// Children of an index in the order given; the same digest may come twice.
	Children []Descriptor
	// Subject is the manifest this one refers to; nil for none. It need not
	// exist.
	Subject     *Descriptor
	Annotations map[string]string // nil when none
	// LayerSizeBytes is the sum of the sizes of all layers and the config, as
	// the manifest gives them; 0 for an index.
	LayerSizeBytes int64
}

// Descriptor points to content.
type Descriptor struct {
	MediaType string
	Digest    ecr.Digest
	Size      int64    // bytes, as declared
	URLs      []string // where else the content is; unchecked
	// Foreign: a layer that may not be distributed, so the registry need not
	// have it.
	Foreign  bool
	Platform *Platform // of an index's children, when given
}

// Platform is what a child of an index runs on.
type Platform struct {
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version"`
	OSFeatures   []string `json:"os.features"`
	Variant      string   `json:"variant"`
}

// rootfs are the configs of container images.
var rootfs = []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}

// IsContainerImage reports whether container runtimes can run m, whatever it says of
// itself: an index, signature, bill of materials, attestation or chart they cannot.
func (m Manifest) IsContainerImage() bool {
	return m.Kind == Image && m.Config != nil && slices.Contains(rootfs, m.Config.MediaType) &&
		(len(m.Layers) == 0 || slices.ContainsFunc(m.Layers, func(l Descriptor) bool { return strings.Contains(l.MediaType, "tar") }))
}

// Blobs returns the digests of the blobs that must be in the repository: the
// config and all layers but foreign ones, in that order, each once. The caller
// owns the slice.
func (m Manifest) Blobs() []ecr.Digest {
	var config []Descriptor
	if m.Config != nil {
		config = []Descriptor{*m.Config}
	}
	return digests(slices.Concat(config, m.Layers), false)
}

// ForeignLayers returns the digests of the layers that need not be in the
// repository, in order, each once. The caller owns the slice.
func (m Manifest) ForeignLayers() []ecr.Digest { return digests(m.Layers, true) }

// Entries returns the digests of the entries of an index, in order, each once.
// They are images as a rule; some clients list blobs. The caller owns the slice.
func (m Manifest) Entries() []ecr.Digest { return digests(m.Children, false) }

// digests are those of the descriptors that are foreign or are not, each once.
func digests(list []Descriptor, foreign bool) []ecr.Digest {
	var ds []ecr.Digest
	seen := make(map[ecr.Digest]bool, len(list))
	for _, d := range list {
		if d.Foreign == foreign && !seen[d.Digest] {
			seen[d.Digest] = true
			ds = append(ds, d.Digest)
		}
	}
	return ds
}

// kinds says what each accepted media type is.
var kinds = map[string]Kind{
	MediaTypeDockerManifest: Image,
	MediaTypeDockerList:     Index,
	MediaTypeOCIManifest:    Image,
	MediaTypeOCIIndex:       Index,
}

// IsIndex reports whether manifests of an accepted media type list others.
func IsIndex(mediaType string) bool { return kinds[mediaType] == Index }

// IsManifest reports whether mediaType is that of an image or an index. Entries of
// an index that have another are blobs, as in BuildKit's cache.
func IsManifest(mediaType string) bool { return kinds[mediaType] != "" }

// foreign are the media types of layers that may not be distributed.
var foreign = map[string]bool{
	"application/vnd.docker.image.rootfs.foreign.diff.tar":         true,
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":    true,
	"application/vnd.oci.image.layer.nondistributable.v1.tar":      true,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": true,
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": true,
}

// artifactTypePattern is RFC 6838 section 4.2; OCI demands it of artifactType,
// and ECR refuses types with parameters.
var artifactTypePattern = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

// Names of the fields that matter, by the object they are in.
var (
	manifestFields   = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers", "history", "signatures"}
	descriptorFields = []string{"mediaType", "digest", "size", "urls", "platform"}
)

// Parse reads body. contentType is what the client calls it: a Content-Type
// header or ECR's imageManifestMediaType; it may be empty when the body has a
// mediaType. Errors: InvalidParameter.
func Parse(body []byte, contentType string) (Manifest, error) {
	return parse(body, contentType, artifactTypePattern)
}

// ParseElsewhere is Parse for a manifest that another registry has taken: its
// artifactType may have parameters, as in "text/spdx; charset=utf-8", which ECR
// and Kontor refuse and others do not.
func ParseElsewhere(body []byte, contentType string) (Manifest, error) {
	return parse(body, contentType, anyArtifactType)
}

var anyArtifactType = lazyregexp.New(`^[\x20-\x7e]{1,255}$`)

func parse(body []byte, contentType string, artifactTypes *lazyregexp.Regexp) (Manifest, error) {
	top, err := parseTop(body)
	if err != nil {
		return Manifest{}, err
	}
	if err := checkVersion(top); err != nil {
		return Manifest{}, err
	}
	m := Manifest{}
	if m.MediaType, err = mediaType(top, contentType); err != nil {
		return Manifest{}, err
	}
	m.Kind = kinds[m.MediaType]
	if err := checkShape(top, m.Kind); err != nil {
		return Manifest{}, err
	}
	if m.Kind == Image {
		err = m.parseImage(top)
	} else {
		m.Children, err = descriptors(top, "manifests", MaxEntries, "images per index")
	}
	if err != nil {
		return Manifest{}, err
	}
	if err := m.parseRest(top, artifactTypes); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// parseTop checks that body is one JSON object and takes it apart.
func parseTop(body []byte) (object, error) {
	if len(body) > MaxSize {
		return nil, invalid("must have length less than or equal to %d", MaxSize)
	}
	if !utf8.Valid(body) || !validJSON(body) {
		return nil, invalid("Invalid JSON syntax")
	}
	if tooMany(body) {
		return nil, invalid("must have at most %d members and elements in all objects and arrays", maxValues)
	}
	return parseObject(body, manifestFields, "")
}

// checkVersion refuses everything but schemaVersion 2, and schema 1 by name.
func checkVersion(top object) error {
	mt, err := top.text("mediaType")
	if err != nil {
		return err
	}
	version, ok, err := top.integer("schemaVersion")
	switch {
	case err != nil:
		return err
	case !ok:
		return shape("schemaVersion", "is missing")
	case version == 1 || mt == mediaTypeSchema1 || mt == mediaTypeSchema1Signed:
		return errSchema1()
	case version != 2:
		return shape("schemaVersion", "must be 2")
	}
	return nil
}

func errSchema1() error {
	return invalid("Docker image manifest version 2, schema 1 is not supported; push with a client that writes schema 2 or OCI manifests")
}

// mediaType settles what the manifest is. OCI distribution: the Content-Type
// of a push must be the manifest's mediaType where it has one.
func mediaType(top object, contentType string) (string, error) {
	declared, err := top.text("mediaType")
	if err != nil {
		return "", err
	}
	given := ""
	if contentType != "" {
		if given, _, err = mime.ParseMediaType(contentType); err != nil {
			return "", invalid("the media type %q is malformed", clip(contentType))
		}
	}
	mt := declared
	switch {
	case declared == "" && given == "":
		return "", invalid("the manifest has no mediaType, so its media type must be given with it")
	case declared == "":
		mt = given
	case given != "" && given != declared:
		return "", invalid("the manifest's mediaType %q is not the media type %q that it was pushed as", clip(declared), clip(given))
	}
	switch {
	case mt == mediaTypeSchema1 || mt == mediaTypeSchema1Signed:
		return "", errSchema1()
	case kinds[mt] == "":
		return "", invalid("manifests of media type %q are not supported", clip(mt))
	}
	return mt, nil
}

// checkShape refuses what another reader could take for the other kind.
func checkShape(top object, kind Kind) error {
	wants, never := []string{"config", "layers"}, []string{"manifests", "fsLayers"}
	if kind == Index {
		wants, never = []string{"manifests"}, []string{"config", "layers", "fsLayers"}
	}
	for _, name := range never {
		if top.has(name) {
			return shape(name, "does not belong in an %s manifest", kind)
		}
	}
	for _, name := range wants {
		if _, ok := top[name]; !ok {
			return shape(name, "is missing")
		}
	}
	return nil
}

func (m *Manifest) parseImage(top object) error {
	config, err := parseDescriptor(top["config"], "config")
	if err != nil {
		return err
	}
	if m.Layers, err = descriptors(top, "layers", MaxLayers, "layers per image"); err != nil {
		return err
	}
	m.Config, m.LayerSizeBytes = &config, config.Size
	for i := range m.Layers {
		l := &m.Layers[i]
		l.Foreign = foreign[l.MediaType]
		if l.Size > math.MaxInt64-m.LayerSizeBytes {
			return shape(fmt.Sprintf("layers[%d].size", i), "makes the image too large")
		}
		m.LayerSizeBytes += l.Size
	}
	return nil
}

// parseRest reads what images and indexes have in common.
func (m *Manifest) parseRest(top object, artifactTypes *lazyregexp.Regexp) error {
	artifactType, err := top.text("artifactType")
	if err != nil {
		return err
	}
	if artifactType != "" && !artifactTypes.MatchString(artifactType) {
		return shape("artifactType", "must be a media type without parameters (RFC 6838)")
	}
	if artifactType == "" && m.Config != nil {
		artifactType = m.Config.MediaType
	}
	m.ArtifactMediaType, m.ArtifactType = artifactType, artifactType
	if top.has("subject") {
		subject, err := parseDescriptor(top["subject"], "subject")
		if err != nil {
			return err
		}
		m.Subject = &subject
	}
	return top.decode("annotations", "must be an object of strings", &m.Annotations)
}
