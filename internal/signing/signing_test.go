package signing_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// signer signs as cosign does.
type signer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, key}
}

func (s signer) public() string {
	s.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// layer uploads a signature of d, and describes it.
func (s signer) layer(w *testkit.World, to ecr.Repo, d ecr.Digest) map[string]any {
	s.t.Helper()
	content := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, to.Name, d)
	with, err := signature.LoadDefaultSignerVerifier(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := with.SignMessage(bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	w.Blob(to, content)
	return map[string]any{"mediaType": trust.TypeSimpleSigning, "digest": ecr.DigestOf(content), "size": len(content),
		"annotations": map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(raw)}}
}

// holder is a manifest of cosign's older form.
func holder(w *testkit.World, to ecr.Repo, layers ...map[string]any) map[string]any {
	config := []byte(`{"rootfs":{}}`)
	w.Blob(to, config)
	return map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "config": testkit.DescOf(testkit.ConfigType, config), "layers": layers}
}

func sigTag(d ecr.Digest) ecr.Tag { return ecr.Tag(strings.Replace(string(d), ":", "-", 1) + ".sig") }

// denyUnsigned lets only images through that release signed, but for the exempt.
const denyUnsigned = `{"Version":"2012-10-17","Statement":[{"Sid":"signed-only","Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage",
	"Condition":{"ForAllValues:StringNotEquals":{"kontor:SignedBy":"release"},"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::000000000000:user/signer"}}}]}`

func person(name string) access.Principal {
	return access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/" + name, Policies: []string{access.PolicyAdministrator}}
}

// Pulls by the docker endpoint and by the ECR API, and the list of referrers, are
// allowed when the image, or an index that lists it, was signed.
func TestPullsAskForSignatures(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			w := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI}, open(t))
			to := w.Repo("app", ecr.Mutable)
			release, build := newSigner(t), newSigner(t)
			trusted := w.Signing.As(testkit.Admin)
			for name, s := range map[string]signer{"release": release, "build": build} {
				if _, err := trusted.PutSigner(t.Context(), testkit.Home, trust.Signer{Name: name, Key: s.public()}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.SetPolicy(t.Context(), to, denyUnsigned, false); err != nil {
				t.Fatal(err)
			}
			puller, exempt := w.As(person("puller")), w.As(person("signer"))
			pulls := func(d ecr.Digest, want bool) {
				t.Helper()
				id := ecr.ImageID{Digest: d}
				_, errGet := puller.Manifest(t.Context(), to, id)
				_, errHead := puller.StatManifest(t.Context(), to, id)
				_, _, errBatch := puller.BatchGetImage(t.Context(), to, []ecr.ImageID{id})
				_, _, errList := puller.ListReferrers(t.Context(), to, d, "", "", 10)
				for how, err := range map[string]error{"GET": errGet, "HEAD": errHead, "BatchGetImage": errBatch, "referrers": errList} {
					switch {
					case want && err != nil:
						t.Errorf("%s: %v", how, err)
					case !want && err == nil:
						t.Errorf("%s is allowed", how)
					case !want:
						testkit.WantCode(t, err, ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")
					}
				}
				if _, err := exempt.Manifest(t.Context(), to, id); err != nil {
					t.Errorf("the exempt principal: %v", err)
				}
			}
			// What is not there is not there, and may be pushed: clients look before.
			_, err := puller.Manifest(t.Context(), to, ecr.ImageID{Tag: "v1"})
			testkit.WantCode(t, err, ecr.CodeImageNotFound)
			if _, failures, err := puller.BatchGetImage(t.Context(), to, []ecr.ImageID{{Tag: "v1"}}); err != nil || len(failures) != 1 {
				t.Errorf("a batch of what is not there: %v, %v", failures, err)
			}
			one, two := w.Image(to, "one"), w.Image(to, "two")
			d := w.MustPut(to, one, "v1")
			pulls(d, false)

			// Someone else's signature is none, and neither is one of another image.
			held := w.MustPut(to, testkit.JSON(holder(w, to, build.layer(w, to, d))), sigTag(d))
			pulls(d, false)
			pulls(held, false)
			other := w.MustPut(to, two, "v2")
			w.MustPut(to, testkit.JSON(holder(w, to, release.layer(w, to, other))), sigTag(d))
			pulls(d, false)

			both := w.MustPut(to, testkit.JSON(holder(w, to, build.layer(w, to, d), release.layer(w, to, d))), sigTag(d))
			pulls(d, true)
			pulls(both, true) // what verifies it must be pulled as well
			report, err := trusted.ImageSignatures(t.Context(), to, ecr.ImageID{Tag: "v1"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"build", "release"}, report.SignedBy); diff != "" {
				t.Errorf("signed by (-want +got):\n%s", diff)
			}
			if _, _, err := puller.BatchGetImage(t.Context(), to, []ecr.ImageID{{Digest: d}, {Digest: other}}); ecr.CodeOf(err) != ecr.CodeAccessDenied {
				t.Errorf("a batch with an unsigned image: %v", err)
			}

			// The index's signature is one of the images that it lists.
			three := w.Image(to, "three")
			child := w.MustPut(to, three)
			pulls(child, false)
			index := testkit.Index(three)
			i := w.MustPut(to, index, "v3")
			artifact := holder(w, to, release.layer(w, to, i))
			artifact["artifactType"], artifact["subject"] = trust.TypeCosignArtifact, testkit.DescOf(testkit.IndexType, index)
			ref := w.MustPut(to, testkit.JSON(artifact))
			pulls(i, true)
			pulls(child, true)
			pulls(ref, true)

			// What is attached to a signed image can be pulled with it.
			sbom := holder(w, to)
			w.Blob(to, []byte("{}"))
			sbom["artifactType"], sbom["subject"] = "application/spdx+json", testkit.DescOf(testkit.IndexType, index)
			sbom["layers"] = []map[string]any{{"mediaType": "application/spdx+json", "digest": ecr.DigestOf([]byte("{}")), "size": 2}}
			pulls(w.MustPut(to, testkit.JSON(sbom)), true)
			sbom["subject"] = testkit.DescOf(testkit.ImageType, []byte("gone"))
			pulls(w.MustPut(to, testkit.JSON(sbom)), false)

			// Runtimes unpack layers of whatever type where the config is that of an image,
			// and Docker does not care for the letter case of types.
			sbom["subject"] = testkit.DescOf(testkit.IndexType, index)
			for _, l := range []struct{ mediaType, content string }{
				{"application/spdx+json", "a tar archive\x00"}, {"application/vnd.oci.IMAGE.LAYER.v1.TAR", "{}"}, {"application/vnd.oci.image.program", "{}"}, {"", "{}"},
			} {
				w.Blob(to, []byte(l.content))
				sbom["layers"] = []map[string]any{{"mediaType": l.mediaType, "digest": ecr.DigestOf([]byte(l.content)), "size": len(l.content)}}
				if d, err := w.PutImage(t.Context(), to, registry.NewImage{Body: testkit.JSON(sbom)}); err == nil {
					pulls(d.Digest, false)
				} else if l.mediaType != "" {
					t.Error(err)
				}
			}

			// A program that calls itself a signature is none.
			program := holder(w, to, release.layer(w, to, i))
			w.Blob(to, []byte("layer"))
			program["layers"] = append(program["layers"].([]map[string]any), map[string]any{"mediaType": testkit.LayerType, "digest": ecr.DigestOf([]byte("layer")), "size": 5})
			program["artifactType"], program["subject"] = trust.TypeCosignArtifact, testkit.DescOf(testkit.IndexType, index)
			pulls(w.MustPut(to, testkit.JSON(program)), false)

			// Whom nobody trusts any longer has signed nothing; nor has one in a repository
			// that is none of the signer's.
			if _, err := trusted.PutSigner(t.Context(), testkit.Home, trust.Signer{Name: "release", Key: release.public(), Repositories: []string{"prod/*"}}); err != nil {
				t.Fatal(err)
			}
			pulls(d, false)
			if _, err := trusted.PutSigner(t.Context(), testkit.Home, trust.Signer{Name: "release", Key: build.public(), Repositories: []string{"a*"}}); err != nil {
				t.Fatal(err)
			}
			pulls(d, true)
			if err := trusted.DeleteSigner(t.Context(), testkit.Home, "release"); err != nil {
				t.Fatal(err)
			}
			pulls(d, false)
			testkit.WantCode(t, trusted.DeleteSigner(t.Context(), testkit.Home, "release"), ecr.CodeInvalidParameter, "has no signer 'release'")
		})
	}
}

// A signature that goes takes the right to pull with it; what is missing is no signature.
func TestStatusOfSignatures(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to, s, stranger := w.Repo("app", ecr.Mutable), newSigner(t), newSigner(t)
	c := w.Signing.As(testkit.Admin)
	for name, g := range map[string]trust.Signer{"release": {Key: s.public()}, "other": {Key: stranger.public()}, "elsewhere": {Key: s.public(), Repositories: []string{"prod/*"}}} {
		g.Name = name
		if _, err := c.PutSigner(t.Context(), testkit.Home, g); err != nil {
			t.Fatal(err)
		}
	}
	status := func(want ...signing.Status) {
		t.Helper()
		got, err := c.ImageSigningStatus(t.Context(), to, ecr.ImageID{Tag: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Concat([]signing.Status{}, want), got, cmp.Transformer("none", func(s []signing.Status) []signing.Status { return append([]signing.Status{}, s...) })); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
	d := w.MustPut(to, w.Image(to, "one"), "v1")
	status()
	w.MustPut(to, testkit.JSON(holder(w, to, s.layer(w, to, d))), sigTag(d))
	const arn = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/"
	status(signing.Status{ARN: arn + "other", State: ecr.SigningFailed, Code: "SignatureNotTrusted", Reason: "the signature is not of this key"},
		signing.Status{ARN: arn + "release", State: ecr.SigningComplete})
	if err := w.DeleteTag(t.Context(), to, sigTag(d)); err != nil {
		t.Fatal(err)
	}
	status()
	// A policy that could not do what it says is refused, with what to write instead.
	for _, action := range []string{`"ecr:*"`, `["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]`} {
		_, err := w.SetPolicy(t.Context(), to, strings.Replace(denyUnsigned, `"ecr:BatchGetImage"`, action, 1), false)
		testkit.WantCode(t, err, ecr.CodeInvalidParameter, "'kontor:SignedBy' has a value only for ecr:BatchGetImage")
	}
}

// What is read for the images of a batch is read at once, and is there when the operation
// begins again, whatever others push out of the memory.
func TestBatchOfSignedImages(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to, release := w.Repo("app", ecr.Mutable), newSigner(t)
	if _, err := w.Signing.As(testkit.Admin).PutSigner(t.Context(), testkit.Home, trust.Signer{Name: "release", Key: release.public()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetPolicy(t.Context(), to, denyUnsigned, false); err != nil {
		t.Fatal(err)
	}
	w.Signing.Forgetful()
	var ids []ecr.ImageID
	for i := range 8 {
		d := w.MustPut(to, w.Image(to, fmt.Sprint(i)))
		held := w.MustPut(to, testkit.JSON(holder(w, to, release.layer(w, to, d))), sigTag(d))
		ids = append(ids, ecr.ImageID{Digest: d}, ecr.ImageID{Digest: held})
	}
	images, failures, err := w.As(person("puller")).BatchGetImage(t.Context(), to, ids)
	if err != nil || len(failures) > 0 || len(images) != len(ids) {
		t.Errorf("%d images, %v, %v", len(images), failures, err)
	}
	_, _, err = w.As(person("puller")).BatchGetImage(t.Context(), to, append(ids, ecr.ImageID{Digest: w.MustPut(to, w.Image(to, "unsigned"))}))
	testkit.WantCode(t, err, ecr.CodeAccessDenied)
}

// A policy of the registry about signatures does not deny what is not there: whoever
// pushes looks before, and a repository may be made by the push.
func TestNoRepositoryToSign(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	text := strings.Replace(denyUnsigned, `"Action":"ecr:BatchGetImage"`, `"Action":"ecr:BatchGetImage","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*"`, 1)
	if _, err := w.SetRegistryPolicy(t.Context(), testkit.Home, text); err != nil {
		t.Fatal(err)
	}
	_, err := w.As(person("puller")).StatManifest(t.Context(), testkit.At("new"), ecr.ImageID{Tag: "v1"})
	testkit.WantCode(t, err, ecr.CodeRepositoryNotFound)
	to := w.Repo("there", ecr.Mutable)
	w.MustPut(to, w.Image(to, "one"), "v1")
	_, err = w.As(person("puller")).StatManifest(t.Context(), to, ecr.ImageID{Tag: "v1"})
	testkit.WantCode(t, err, ecr.CodeAccessDenied)
}
