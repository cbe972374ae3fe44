package ociapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Renovate (lib/modules/datasource/docker) asks hosts that are not Amazon's for 10,000
// tags, and for 1,000 after the answer of ECR: 405 with the header of the protocol's
// version and this text. It follows links by their target alone, takes the digest from a
// HEAD, and reads the labels of the configuration that the manifest names.
func TestRequestsOfRenovate(t *testing.T) {
	const each = 600 // tags of an image, which may have 1,000
	for _, compat := range compats {
		t.Run(string(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			for _, name := range []string{"a", "b"} {
				image := w.image("app", name, "")
				for i := range each {
					w.push("app", fmt.Sprintf("%s-1.0.%d", name, i), image)
				}
			}
			page := w.do("GET", "/v2/app/tags/list?n=10000", "")
			if compat == registry.CompatECR {
				w.want(page, 405)
				if page.header.Get("Docker-Distribution-Api-Version") == "" || !strings.Contains(page.body, "Member must have value less than or equal to 1000") {
					t.Fatalf("Renovate would give up after %v %s", page.header, page.body)
				}
				page = w.do("GET", "/v2/app/tags/list?n=1000", "")
			}
			var tags []string
			for {
				var list struct{ Tags []string }
				if err := json.Unmarshal([]byte(w.want(page, 200).body), &list); err != nil {
					t.Fatal(err)
				}
				tags = append(tags, list.Tags...)
				link := page.header.Get("Link")
				if link == "" {
					break
				}
				target, _, ok := strings.Cut(strings.TrimPrefix(link, "<"), `>; rel="next"`)
				if !ok {
					t.Fatalf("Link: %s", link)
				}
				page = w.do("GET", target, "")
			}
			if slices.Sort(tags); len(slices.Compact(tags)) != 2*each {
				t.Errorf("%d tags, want %d", len(tags), 2*each)
			}

			const accept = "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, " +
				"application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
			head := w.want(w.do("HEAD", "/v2/app/manifests/a-1.0.7", "", "Accept", accept), 200)
			get := w.want(w.do("GET", "/v2/app/manifests/"+head.header.Get("Docker-Content-Digest"), "", "Accept", accept), 200)
			var m struct{ Config struct{ Digest string } }
			if err := json.Unmarshal([]byte(get.body), &m); err != nil {
				t.Fatal(err)
			}
			w.want(w.do("GET", "/v2/app/blobs/"+m.Config.Digest, ""), 200)
		})
	}
}

// artifact is a manifest with a config of a type and one layer, after which extra follows.
func (w *world) artifact(repo, configType, layerType, content, extra string) string {
	w.t.Helper()
	const config = "{}"
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]%s}`,
		manifest.MediaTypeOCIManifest, configType, w.pushBlob(repo, config), len(config), layerType, w.pushBlob(repo, content), len(content), extra)
}

// listed are the digests that a list of referrers has.
func (w *world) listed(r response) []string {
	w.t.Helper()
	var list struct{ Manifests []struct{ Digest string } }
	if err := json.Unmarshal([]byte(w.want(r, 200).body), &list); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, m := range list.Manifests {
		out = append(out, m.Digest)
	}
	return out
}

// Kyverno (verifyImages) resolves a tag with go-containerregistry, by HEAD and, for the
// context of an image, by GET with the configuration. It finds signatures of cosign under
// the tags of their images, .sig and .att, and those of cosign 3 and notation among the
// referrers, with the tag of the fallback after an empty list. "No signature" must be a 404
// with MANIFEST_UNKNOWN: anything else is a failure of the webhook.
func TestRequestsOfKyverno(t *testing.T) {
	for _, compat := range compats {
		t.Run(string(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			const accept = "application/vnd.docker.distribution.manifest.v1+json,application/vnd.docker.distribution.manifest.v1+prettyjws," +
				"application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.list.v2+json,application/vnd.oci.image.index.v1+json"
			image := w.image("app", "signed", "")
			signed, unsigned := w.push("app", "signed", image), w.push("app", "unsigned", w.image("app", "unsigned", ""))
			tagOf := func(d ecr.Digest, kind string) string {
				return "/v2/app/manifests/" + strings.Replace(string(d), ":", "-", 1) + kind
			}
			signature := w.artifact("app", "application/vnd.oci.image.config.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json", `{"critical":{}}`, "")
			w.want(w.putManifest("app", strings.Replace(string(signed), ":", "-", 1)+".sig", manifest.MediaTypeOCIManifest, signature), 201)
			subject := fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":%d}`, manifest.MediaTypeOCIManifest, signed, len(image))
			notation := w.artifact("app", "application/vnd.cncf.notary.signature", "application/jose+json", `{"payload":""}`, subject)
			w.push("app", string(ecr.DigestOf([]byte(notation))), notation)

			w.want(w.do("GET", "/v2/", ""), 200)
			head := w.want(w.do("HEAD", "/v2/app/manifests/signed", "", "Accept", accept), 200)
			if head.header.Get("Docker-Content-Digest") != string(signed) || head.header.Get("Content-Type") != manifest.MediaTypeOCIManifest || head.header.Get("Content-Length") == "" {
				t.Fatalf("%v", head.header)
			}
			var m struct{ Config struct{ Digest string } }
			if err := json.Unmarshal([]byte(w.want(w.do("GET", "/v2/app/manifests/signed", "", "Accept", accept), 200).body), &m); err != nil {
				t.Fatal(err)
			}
			w.want(w.do("GET", "/v2/app/blobs/"+m.Config.Digest, ""), 200)

			var sig struct{ Layers []struct{ Digest string } }
			if err := json.Unmarshal([]byte(w.want(w.do("GET", tagOf(signed, ".sig"), "", "Accept", accept), 200).body), &sig); err != nil {
				t.Fatal(err)
			}
			if r := w.want(w.do("GET", "/v2/app/blobs/"+sig.Layers[0].Digest, ""), 200); r.body != `{"critical":{}}` {
				t.Errorf("the signature is %s", r.body)
			}
			for _, path := range []string{tagOf(unsigned, ".sig"), tagOf(signed, ".att"), tagOf(unsigned, "")} {
				if r := w.want(w.do("GET", path, "", "Accept", accept), 404); !strings.Contains(r.body, `"MANIFEST_UNKNOWN"`) {
					t.Errorf("%s: %s", path, r.body)
				}
			}

			of := "?artifactType=application%2Fvnd.cncf.notary.signature"
			if got := w.listed(w.do("GET", "/v2/app/referrers/"+string(signed)+of, "")); !slices.Equal(got, []string{string(ecr.DigestOf([]byte(notation)))}) {
				t.Errorf("signatures of notation: %v", got)
			}
			for _, path := range []string{string(unsigned) + of, string(signed) + "?artifactType=application%2Fvnd.dev.sigstore.bundle.v0.3%2Bjson"} {
				if got := w.listed(w.do("GET", "/v2/app/referrers/"+path, "")); len(got) > 0 {
					t.Errorf("%s: %v", path, got)
				}
			}
			w.noServerErrors()
		})
	}
}

// SOCI pushes an index of an image's layers as a manifest that refers to it (version 1), or
// lists it in the image's own index (version 2), with what oras-go asks. Its snapshotter
// finds the first among the referrers, by their type, and reads ranges of the layers.
func TestRequestsOfSoci(t *testing.T) {
	const v1, v2 = "application/vnd.amazon.soci.index.v1+json", "application/vnd.amazon.soci.index.v2+json"
	for _, compat := range compats {
		t.Run(string(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			image := w.image("app", "lazy", "")
			d := w.push("app", "lazy", image)
			ztoc := strings.Repeat("z", 1000)
			w.want(w.do("HEAD", "/v2/app/blobs/"+string(ecr.DigestOf([]byte(ztoc))), ""), 404)
			index := w.artifact("app", v1, "application/octet-stream", ztoc,
				fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"com.amazon.soci.build-tool-identifier":"AWS SOCI CLI v0.1"}`, manifest.MediaTypeOCIManifest, d, len(image)))
			name := string(ecr.DigestOf([]byte(index)))
			w.want(w.do("HEAD", "/v2/app/manifests/"+name, "", "Accept", manifest.MediaTypeOCIManifest), 404)
			if put := w.want(w.putManifest("app", name, manifest.MediaTypeOCIManifest, index), 201); put.header.Get("Oci-Subject") != string(d) {
				t.Errorf("without OCI-Subject, oras writes the tag of the fallback: %v", put.header)
			}

			if got := w.listed(w.do("GET", "/v2/app/referrers/"+string(d)+"?artifactType="+url.QueryEscape(v1), "")); !slices.Equal(got, []string{name}) {
				t.Fatalf("referrers: %v", got)
			}
			w.want(w.do("GET", "/v2/app/manifests/"+name, "", "Accept", manifest.MediaTypeOCIManifest), 200)
			if r := w.want(w.do("GET", "/v2/app/blobs/"+string(ecr.DigestOf([]byte(ztoc))), ""), 200); r.body != ztoc {
				t.Errorf("%d bytes of the ztoc", len(r.body))
			}
			layer := "layer of lazy"
			part := w.want(w.do("GET", "/v2/app/blobs/"+string(ecr.DigestOf([]byte(layer))), "", "Range", "bytes=6-7"), 206)
			if part.body != "of" || part.header.Get("Content-Range") != "bytes 6-7/13" {
				t.Errorf("%q, %v", part.body, part.header)
			}

			second := w.artifact("app", v2, "application/octet-stream", ztoc+"2", fmt.Sprintf(`,"artifactType":%q`, v2))
			s := w.push("app", string(ecr.DigestOf([]byte(second))), second)
			both := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64"},"annotations":{"com.amazon.soci.index-digest":%q}},`+
				`{"mediaType":%q,"artifactType":%q,"digest":%q,"size":%d,"annotations":{"com.amazon.soci.image-manifest-digest":%q}}]}`,
				manifest.MediaTypeOCIIndex, manifest.MediaTypeOCIManifest, d, len(image), s, manifest.MediaTypeOCIManifest, v2, s, len(second), d)
			w.want(w.putManifest("app", "lazy-soci", manifest.MediaTypeOCIIndex, both), 201)
			if r := w.want(w.do("GET", "/v2/app/manifests/lazy-soci", "", "Accept", manifest.MediaTypeOCIIndex), 200); r.body != both {
				t.Errorf("the index came as %s", r.body)
			}
			w.want(w.do("GET", "/v2/app/manifests/"+string(s), "", "Accept", manifest.MediaTypeOCIManifest), 200)
			w.noServerErrors()
		})
	}
}
