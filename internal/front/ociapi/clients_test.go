package ociapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

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
