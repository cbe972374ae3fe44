package remotetest

import (
	"crypto/ecdsa"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
)

// Media types of what images are made of.
const (
	ConfigType = "application/vnd.oci.image.config.v1+json"
	LayerType  = "application/vnd.oci.image.layer.v1.tar+gzip"
	// CosignType is a signature's layer, SignatureType a signature's artifact
	// type, SBOMType that of an SBOM.
	CosignType    = "application/vnd.dev.cosign.simplesigning.v1+json"
	SignatureType = "application/vnd.cncf.notary.signature"
	SBOMType      = "application/spdx+json"
)

// Descriptor as manifests have it.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       ecr.Digest        `json:"digest"`
	Size         int               `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     map[string]string `json:"platform,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Manifest is a manifest and its name.
type Manifest struct {
	Descriptor
	Body []byte
	// Tag is what it is pushed under in addition to its digest; "" for none.
	Tag string
}

// Content is what is pushed: blobs, and manifests in an order in which a
// registry takes them.
type Content struct {
	Blobs     map[ecr.Digest][]byte
	Manifests []Manifest

	random *rand.ChaCha8
}

// NewContent returns an empty Content whose layers come from the seed.
func NewContent(seed uint64) *Content {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return &Content{Blobs: map[ecr.Digest][]byte{}, random: rand.NewChaCha8(s)}
}

// Blob adds a blob.
func (c *Content) Blob(mediaType string, b []byte) Descriptor {
	d := Descriptor{MediaType: mediaType, Digest: ecr.DigestOf(b), Size: len(b)}
	c.Blobs[d.Digest] = b
	return d
}

// Layer adds a layer of random bytes.
func (c *Content) Layer(size int) Descriptor {
	b := make([]byte, size)
	_, _ = c.random.Read(b) // never fails
	return c.Blob(LayerType, b)
}

func (c *Content) manifest(mediaType, tag string, v any) Manifest {
	// Not as a Go program would write it: the bytes are to be kept.
	b, err := json.MarshalIndent(v, "", "   ")
	if err != nil {
		panic(err) // of maps and strings
	}
	m := Manifest{Descriptor: Descriptor{MediaType: mediaType, Digest: ecr.DigestOf(b), Size: len(b)}, Body: b, Tag: tag}
	c.Manifests = append(c.Manifests, m)
	return m
}

// Image adds an image of the platform os/arch[/variant] with the layers.
func (c *Content) Image(os, arch string, layers ...Descriptor) Manifest {
	config := c.Blob(ConfigType, fmt.Appendf(nil, `{"os":%q,"architecture":%q,"rootfs":{"type":"layers","diff_ids":[]},"created":"2026-01-01T00:00:00Z","n":%d}`, os, arch, c.random.Uint64()))
	m := c.manifest(manifest.MediaTypeOCIManifest, "", map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIManifest, "config": config, "layers": layers,
	})
	m.Platform = map[string]string{"os": os, "architecture": arch}
	return m
}

// Attestation adds what buildx writes for an image: a separate manifest in the same
// index.
func (c *Content) Attestation(of Manifest) Manifest {
	config := c.Blob(ConfigType, fmt.Appendf(nil, `{"os":"unknown","architecture":"unknown","n":%d}`, c.random.Uint64()))
	statement := c.Blob("application/vnd.in-toto+json", fmt.Appendf(nil, `{"predicateType":"https://slsa.dev/provenance/v0.2","n":%d}`, c.random.Uint64()))
	statement.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
	m := c.manifest(manifest.MediaTypeOCIManifest, "", map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIManifest, "config": config, "layers": []Descriptor{statement},
	})
	m.Platform = map[string]string{"os": "unknown", "architecture": "unknown"}
	m.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(of.Digest)}
	return m
}

// Index adds an index of the manifests under a tag.
func (c *Content) Index(tag string, of ...Manifest) Manifest {
	var children []Descriptor
	for _, m := range of {
		children = append(children, m.Descriptor)
	}
	return c.manifest(manifest.MediaTypeOCIIndex, tag, map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIIndex, "manifests": children,
		"annotations": map[string]string{"org.example.made-by": "remotetest"},
	})
}

// Referrer adds an artifact that refers to a manifest.
func (c *Content) Referrer(artifactType string, subject Manifest) Manifest {
	empty := c.Blob(manifest.MediaTypeEmpty, []byte("{}"))
	layer := c.Blob("application/octet-stream", fmt.Appendf(nil, "%s of %s, %d", artifactType, subject.Digest, c.random.Uint64()))
	s := Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	m := c.manifest(manifest.MediaTypeOCIManifest, "", map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIManifest, "artifactType": artifactType,
		"config": empty, "layers": []Descriptor{layer}, "subject": s,
		"annotations": map[string]string{"org.example.of": string(subject.Digest)},
	})
	m.ArtifactType = artifactType
	return m
}

// CosignTag is the tag under which cosign keeps what belongs to a digest; kind
// is "sig", "att" or "sbom", "" for the tag of referrers.
func CosignTag(d ecr.Digest, kind string) string {
	tag := d.Algorithm() + "-" + string(d)[len(d.Algorithm())+1:]
	if kind != "" {
		tag += "." + kind
	}
	return tag
}

// Cosign adds a signature by tag, with a layer for each of payloads.
func (c *Content) Cosign(subject Manifest, kind string, payloads ...string) Manifest {
	config := c.Blob(ConfigType, fmt.Appendf(nil, `{"os":"","architecture":"","n":%d}`, c.random.Uint64()))
	var layers []Descriptor
	for _, p := range payloads {
		l := c.Blob(CosignType, []byte(p))
		l.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "c2ln"}
		layers = append(layers, l)
	}
	return c.manifest(manifest.MediaTypeOCIManifest, CosignTag(subject.Digest, kind), map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIManifest, "config": config, "layers": layers,
	})
}

// Graph is an image with everything that can belong to one.
type Graph struct {
	*Content
	Index       Manifest
	Platforms   []Manifest // three images
	Attestation Manifest   // of the first, in the index
	Signatures  []Manifest // two, of the index
	SBOM        Manifest   // of the second image
	Timestamp   Manifest   // refers to the first signature
	Cosign      Manifest   // of the index, by tag
}

// NewGraph makes a Graph whose index has the tag.
func NewGraph(seed uint64, tag string) Graph {
	c := NewContent(seed)
	base := c.Layer(200 << 10)
	var g Graph
	g.Content = c
	for i, arch := range []string{"amd64", "arm64", "s390x"} {
		g.Platforms = append(g.Platforms, c.Image("linux", arch, base, c.Layer(30<<10+i)))
	}
	g.Attestation = c.Attestation(g.Platforms[0])
	g.Index = c.Index(tag, append(slices.Clone(g.Platforms), g.Attestation)...)
	for range 2 {
		g.Signatures = append(g.Signatures, c.Referrer(SignatureType, g.Index))
	}
	g.SBOM = c.Referrer(SBOMType, g.Platforms[1])
	g.Timestamp = c.Referrer("application/vnd.example.timestamp", g.Signatures[0])
	g.Cosign = c.Cosign(g.Index, "sig", "payload of "+string(g.Index.Digest))
	return g
}

// Untagged is g without any tags.
func (g Graph) Untagged() *Content {
	c := &Content{Blobs: g.Blobs, Manifests: slices.Clone(g.Manifests)}
	for i := range c.Manifests {
		c.Manifests[i].Tag = ""
	}
	return c
}

// Must returns v, or fails the test.
func Must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Signed adds a signature of a manifest under cosign's tag, made with a key on P-256, and
// returns the public key in PEM.
func (c *Content) Signed(subject Manifest, key *ecdsa.PrivateKey) (m Manifest, public string) {
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"team/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, subject.Digest)
	hash := sha256.Sum256(payload)
	signature, err := ecdsa.SignASN1(crand.Reader, key, hash[:])
	if err != nil {
		panic(err) // of a key that is none
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	l := c.Blob(CosignType, payload)
	l.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signature)}
	m = c.manifest(manifest.MediaTypeOCIManifest, CosignTag(subject.Digest, "sig"), map[string]any{
		"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIManifest, "config": c.Blob(ConfigType, []byte(`{"os":"","architecture":""}`)), "layers": []Descriptor{l},
	})
	return m, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
