package ociapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

func TestPushAndPull(t *testing.T) {
	w := start(t, registry.CompatECR, "team/app")
	if r := w.want(w.do("GET", "/v2/", ""), 200); r.body != "{}" {
		t.Errorf("GET /v2/ answers %q", r.body)
	}
	image := w.image("team/app", "a", "")
	d := ecr.DigestOf([]byte(image))
	r := w.want(w.putManifest("team/app", "1.0", manifest.MediaTypeOCIManifest, image), 201)
	if r.header.Get("Location") != "/v2/team/app/manifests/"+string(d) || r.header.Get("Docker-Content-Digest") != string(d) || r.header.Get("Oci-Subject") != "" || r.header.Get("Oci-Tag") != "" {
		t.Errorf("headers %v", r.header)
	}
	for ref, cache := range map[string]string{"1.0": "private, no-cache", string(d): "private, max-age=31536000, immutable"} {
		t.Run(ref, func(t *testing.T) {
			w.within(t)
			want := map[string]string{"Content-Type": manifest.MediaTypeOCIManifest, "Docker-Content-Digest": string(d),
				"Content-Length": fmt.Sprint(len(image)), "Etag": `"` + string(d) + `"`, "Cache-Control": cache}
			for _, method := range []string{"GET", "HEAD"} {
				// What is stored is served, whatever is accepted.
				r := w.want(w.do(method, "/v2/team/app/manifests/"+ref, "", "Accept", manifest.MediaTypeDockerManifest), 200)
				for k, v := range want {
					if got := r.header.Get(k); got != v {
						t.Errorf("%s %s: %s is %q, want %q", method, ref, k, got, v)
					}
				}
				if method == "GET" && r.body != image {
					t.Errorf("the manifest came back as %q", r.body)
				}
			}
			w.want(w.do("GET", "/v2/team/app/manifests/"+ref, "", "If-None-Match", `"`+string(d)+`"`), 304)
		})
	}
	// docker pushes an image again without a change: fine for a mutable tag.
	w.want(w.putManifest("team/app", "1.0", manifest.MediaTypeOCIManifest, image), 201)
	w.noServerErrors()
}

func TestPushByDigestWithTags(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	image := w.image("app", "a", "")
	d := string(ecr.DigestOf([]byte(image)))
	r := w.want(w.putManifest("app", d+"?tag=one&tag=two&tag=one", manifest.MediaTypeOCIManifest, image), 201)
	if diff := cmp.Diff([]string{"one", "two"}, r.header.Values("Oci-Tag")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, tag := range []string{"one", "two"} {
		t.Run(tag, func(t *testing.T) {
			w.within(t)
			if r := w.want(w.do("GET", "/v2/app/manifests/"+tag, ""), 200); r.body != image {
				t.Errorf("%s is %q", tag, r.body)
			}
		})
	}
	w.want(w.putManifest("app", d+"?tag=-", manifest.MediaTypeOCIManifest, image), 400)
	w.want(w.putManifest("app", d+"?tag=t"+strings.Join(seq("&tag=t%d", 101), ""), manifest.MediaTypeOCIManifest, image), 414)
	other := ecr.DigestOf([]byte("other"))
	w.wantError(w.putManifest("app", string(other), manifest.MediaTypeOCIManifest, image), 400, "MANIFEST_INVALID",
		"The image with digest '"+string(other)+"' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated.")
	w.want(w.do("HEAD", "/v2/app/manifests/"+string(other), ""), 404)
}

func seq(format string, n int) []string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprintf(format, i))
	}
	return s
}

// ECR user guide, "Image tag mutability": an immutable tag is pushed once, not even the same image again.
func TestImmutableTag(t *testing.T) {
	const text = "The image tag '1.0' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
	for _, compat := range []registry.Compat{registry.CompatECR, registry.CompatOCI} {
		t.Run(string(compat), func(t *testing.T) {
			w := start(t, compat)
			w.create("app", ecr.Mutability{Mode: ecr.Immutable})
			first, second := w.image("app", "a", ""), w.image("app", "b", "")
			d := w.push("app", "1.0", first)
			w.wantError(w.putManifest("app", "1.0", manifest.MediaTypeOCIManifest, second), 400, "TAG_INVALID", text)
			w.wantError(w.putManifest("app", string(ecr.DigestOf([]byte(second)))+"?tag=2.0&tag=1.0", manifest.MediaTypeOCIManifest, second), 400, "TAG_INVALID", text)
			// Nothing of a refused push stays.
			w.want(w.do("HEAD", "/v2/app/manifests/2.0", ""), 404)
			w.want(w.do("HEAD", "/v2/app/manifests/"+string(ecr.DigestOf([]byte(second))), ""), 404)
			if r := w.do("HEAD", "/v2/app/manifests/1.0", ""); r.header.Get("Docker-Content-Digest") != string(d) {
				t.Errorf("the tag moved: %v", r.header)
			}
			again := w.putManifest("app", "1.0", manifest.MediaTypeOCIManifest, first)
			if compat == registry.CompatECR {
				w.wantError(again, 400, "TAG_INVALID", text)
			} else {
				w.want(again, 201)
			}
			w.want(w.putManifest("app", "1.1", manifest.MediaTypeOCIManifest, first), 201)
			w.noServerErrors()
		})
	}
}

func index(children ...ecr.Digest) string {
	var list []string
	for _, d := range children {
		list = append(list, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":10}`, manifest.MediaTypeOCIManifest, d))
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, manifest.MediaTypeOCIIndex, strings.Join(list, ","))
}

func TestIndexAndDelete(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	child := w.push("app", "amd64", w.image("app", "a", ""))
	idx := index(child)
	w.want(w.putManifest("app", "multi", manifest.MediaTypeOCIIndex, idx), 201)
	if r := w.want(w.do("GET", "/v2/app/manifests/multi", ""), 200); r.body != idx || r.header.Get("Content-Type") != manifest.MediaTypeOCIIndex {
		t.Errorf("the index came back as %s %q", r.header.Get("Content-Type"), r.body)
	}
	missing := ecr.DigestOf([]byte("missing"))
	w.wantError(w.putManifest("app", "broken", manifest.MediaTypeOCIIndex, index(child, missing)), 400, "MANIFEST_BLOB_UNKNOWN",
		"Images with digests '["+string(missing)+"]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist")

	// A child cannot go before its index.
	d := string(ecr.DigestOf([]byte(idx)))
	w.wantError(w.do("DELETE", "/v2/app/manifests/"+string(child), ""), 405, "UNSUPPORTED", "Requested image referenced by manifest list: ["+d+"]")
	w.want(w.do("DELETE", "/v2/app/manifests/multi", ""), 202) // the tag only
	w.want(w.do("HEAD", "/v2/app/manifests/multi", ""), 404)
	w.want(w.do("HEAD", "/v2/app/manifests/"+d, ""), 200)
	w.want(w.do("DELETE", "/v2/app/manifests/"+d, ""), 202)
	w.want(w.do("DELETE", "/v2/app/manifests/"+string(child), ""), 202)
	for _, ref := range []string{d, string(child), "amd64"} {
		w.wantError(w.do("GET", "/v2/app/manifests/"+ref, ""), 404, "MANIFEST_UNKNOWN", "Requested image not found")
		w.wantError(w.do("DELETE", "/v2/app/manifests/"+ref, ""), 404, "MANIFEST_UNKNOWN", "Requested image not found")
	}
	w.noServerErrors()
}

type referrersPage struct {
	SchemaVersion int
	MediaType     string
	Manifests     []struct {
		MediaType, Digest, ArtifactType string
		Size                            int
		Annotations                     map[string]string
	}
}

func TestReferrers(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	subject := w.push("app", "1.0", w.image("app", "a", ""))
	path := "/v2/app/referrers/" + string(subject)
	page := func(r response) referrersPage {
		t.Helper()
		var p referrersPage
		if err := json.Unmarshal([]byte(w.want(r, 200).body), &p); err != nil {
			t.Fatal(err)
		}
		if p.SchemaVersion != 2 || p.MediaType != manifest.MediaTypeOCIIndex || r.header.Get("Content-Type") != manifest.MediaTypeOCIIndex || p.Manifests == nil {
			t.Errorf("not an index: %s", r.body)
		}
		return p
	}
	if got := page(w.do("GET", path, "")); len(got.Manifests) != 0 {
		t.Errorf("referrers of nothing: %v", got)
	}
	const n = 54 // more than a page, also of those filtered
	var digests []string
	for i := range n {
		artifactType := "application/vnd.example.sbom"
		if i%27 == 1 {
			artifactType = "application/vnd.example.signature"
		}
		body := w.image("app", "a", fmt.Sprintf(`,"artifactType":%q,"annotations":{"n":"%d"},"subject":{"mediaType":%q,"digest":%q,"size":5}`,
			artifactType, i, manifest.MediaTypeOCIManifest, subject))
		d := string(ecr.DigestOf([]byte(body)))
		r := w.want(w.putManifest("app", d, manifest.MediaTypeOCIManifest, body), 201)
		if r.header.Get("Oci-Subject") != string(subject) {
			t.Errorf("Oci-Subject is %q", r.header.Get("Oci-Subject"))
		}
		digests = append(digests, d)
	}
	follow := func(first string) (got []string, artifactTypes map[string]bool) {
		t.Helper()
		artifactTypes = map[string]bool{}
		for at, pages := first, 0; at != ""; pages++ {
			r := w.do("GET", at, "")
			for _, m := range page(r).Manifests {
				got = append(got, m.Digest)
				artifactTypes[m.ArtifactType] = true
				if m.MediaType != manifest.MediaTypeOCIManifest || m.Size == 0 || m.Annotations["n"] == "" {
					t.Errorf("descriptor %+v", m)
				}
			}
			if strings.Contains(first, "artifactType") != (r.header.Get("Oci-Filters-Applied") == "artifactType") {
				t.Errorf("%s: Oci-Filters-Applied is %q", at, r.header.Get("Oci-Filters-Applied"))
			}
			at = nextLink(t, r)
		}
		return got, artifactTypes
	}
	slices.Sort(digests)
	got, _ := follow(path)
	if diff := cmp.Diff(digests, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got, types := follow(path + "?artifactType=application/vnd.example.sbom")
	if len(got) != 52 || len(types) != 1 || !types["application/vnd.example.sbom"] {
		t.Errorf("filtered: %d of %v", len(got), types)
	}
	w.want(w.do("GET", "/v2/app/referrers/sha256:1", ""), 400)
	w.want(w.do("GET", path+"?last=x", ""), 400)
	w.want(w.do("GET", "/v2/nowhere/referrers/"+string(subject), ""), 404)
	w.noServerErrors()
}

// A page holds no more annotations than a manifest may: the largest
// manifests are listed one by one.
func TestReferrersWithLargeAnnotations(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	subject := ecr.DigestOf([]byte("need not exist"))
	large := strings.Repeat("x", 3<<20)
	for i := range 3 {
		w.push("app", fmt.Sprint(i), w.image("app", "a", fmt.Sprintf(`,"annotations":{"n":"%d","large":%q},"subject":{"mediaType":"a/b","digest":%q,"size":5}`, i, large, subject)))
	}
	at, pages, seen := "/v2/app/referrers/"+string(subject), 0, map[string]bool{}
	for ; at != ""; pages++ {
		r := w.want(w.do("GET", at, ""), 200)
		if len(r.body) > manifest.MaxSize {
			t.Errorf("a page of %d bytes", len(r.body))
		}
		var p referrersPage
		if err := json.Unmarshal([]byte(r.body), &p); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Manifests {
			seen[m.Digest] = true
		}
		at = nextLink(t, r)
	}
	if pages != 3 || len(seen) != 3 {
		t.Errorf("%d referrers on %d pages", len(seen), pages)
	}
	// What HTML would escape is not escaped, and what fits on no page is left out.
	other := ecr.DigestOf([]byte("another subject"))
	for i, value := range []string{strings.Repeat("<&>", 1<<20), strings.Repeat("x", manifest.MaxSize-800)} {
		w.push("app", fmt.Sprint(i), w.image("app", "a", fmt.Sprintf(`,"annotations":{"n":%q},"subject":{"mediaType":"a/b","digest":%q,"size":5}`, value, other)))
	}
	found := 0
	for at := "/v2/app/referrers/" + string(other); at != ""; {
		r := w.want(w.do("GET", at, ""), 200)
		if len(r.body) > manifest.MaxSize {
			t.Errorf("a page of %d bytes", len(r.body))
		}
		found += strings.Count(r.body, `"digest"`)
		if n := strings.Count(r.body, "<&>"); n > 0 && n != 1<<20 {
			t.Errorf("%d of the annotation's %d pieces", n, 1<<20)
		}
		at = nextLink(t, r)
	}
	if found != 2 {
		t.Errorf("%d referrers, want 2", found)
	}
	// The API may not answer 404, or clients would think it is not there.
	w.want(w.do("GET", "/v2/nowhere/referrers/"+string(subject), ""), 200)
}

// nextLink is the path and query of the next page, "" on the last.
func nextLink(t *testing.T, r response) string {
	t.Helper()
	link := r.header.Get("Link")
	if link == "" {
		return ""
	}
	next, isNext := strings.CutSuffix(link, `>; rel="next"`)
	next, isLink := strings.CutPrefix(next, "<")
	if !isNext || !isLink || !strings.HasPrefix(next, "/v2/") {
		t.Fatalf("Link is %q", link)
	}
	return next
}

func TestListTags(t *testing.T) {
	w := start(t, registry.CompatECR, "team/app", "empty")
	image := w.image("team/app", "a", "")
	tags := []string{"A", "a", "b", "v1.0", "v1.0-rc", "v10"} // in byte order
	w.want(w.putManifest("team/app", string(ecr.DigestOf([]byte(image)))+"?tag="+strings.Join(tags, "&tag="), manifest.MediaTypeOCIManifest, image), 201)
	list := func(t *testing.T, query string) (response, []string) {
		t.Helper()
		r := w.want(w.do("GET", "/v2/team/app/tags/list"+query, ""), 200)
		var p struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Name != "team/app" || p.Tags == nil {
			t.Fatalf("%v: %s", err, r.body)
		}
		return r, p.Tags
	}
	tests := []struct {
		query string
		want  []string
		link  string
	}{
		{"", tags, ""},
		{"?n=1000", tags, ""},
		{"?n=6", tags, ""},
		{"?n=2", tags[:2], `</v2/team/app/tags/list?last=a&n=2>; rel="next"`},
		{"?n=2&last=a", tags[2:4], `</v2/team/app/tags/list?last=v1.0&n=2>; rel="next"`},
		{"?n=2&last=v1.0", tags[4:], ""},
		{"?last=b", tags[3:], ""},
		{"?last=aa", tags[2:], ""}, // need not exist
		{"?last=z", []string{}, ""},
		{"?n=0", []string{}, ""},
	}
	for _, tt := range tests {
		t.Run("query "+tt.query, func(t *testing.T) {
			w.within(t)
			r, got := list(t, tt.query)
			if diff := cmp.Diff(tt.want, got); diff != "" || r.header.Get("Link") != tt.link {
				t.Errorf("%s: Link %q\n(-want +got)\n%s", tt.query, r.header.Get("Link"), diff)
			}
		})
	}
	if r := w.want(w.do("GET", "/v2/empty/tags/list", ""), 200); r.body != `{"name":"empty","tags":[]}` {
		t.Errorf("no tags: %s", r.body)
	}
	// google/go-containerregistry#681
	for _, path := range []string{"/v2/team/app/tags/list", "/v2/_catalog"} {
		w.wantError(w.do("GET", path+"?n=1001", ""), 405, "UNSUPPORTED", "Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'")
		w.want(w.do("GET", path+"?n=-1", ""), 405)
		w.want(w.do("GET", path+"?n=99999999999999999999", ""), 405)
		w.want(w.do("GET", path+"?last=%00", ""), 405)
	}
	w.want(w.do("GET", "/v2/nowhere/tags/list", ""), 404)

	oci := start(t, registry.CompatOCI, "app")
	oci.want(oci.do("GET", "/v2/app/tags/list?n=1001", ""), 200)
	oci.want(oci.do("GET", "/v2/app/tags/list?n=-1", ""), 400)
	if r := oci.want(oci.do("GET", "/v2/_catalog?n=1001", ""), 200); r.body != `{"repositories":["app"]}` {
		t.Errorf("catalog: %s", r.body)
	}
	oci.want(oci.do("GET", "/v2/_catalog?n=x", ""), 400)
}

func TestCatalog(t *testing.T) {
	w := start(t, registry.CompatECR)
	if r := w.want(w.do("GET", "/v2/_catalog", ""), 200); r.body != `{"repositories":[]}` {
		t.Errorf("no repositories: %s", r.body)
	}
	for _, name := range []ecr.RepositoryName{"zz", "team/b", "team/a", "aa"} {
		w.create(name, ecr.Mutability{Mode: ecr.Mutable})
	}
	var got []string
	pages := 0
	for at := "/v2/_catalog?n=3"; at != ""; pages++ {
		r := w.want(w.do("GET", at, ""), 200)
		var p struct{ Repositories []string }
		if err := json.Unmarshal([]byte(r.body), &p); err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Repositories...)
		at = nextLink(t, r)
	}
	if diff := cmp.Diff([]string{"aa", "team/a", "team/b", "zz"}, got); diff != "" || pages != 2 {
		t.Errorf("%d pages (-want +got)\n%s", pages, diff)
	}
}

func TestErrors(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	image := w.image("app", "a", "")
	w.push("app", "1.0", image)
	name := "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '" + ecr.RepositoryNamePattern + "''"
	denied := func(action string) string {
		return "User: " + nobody.ARN + " is not authorized to perform: " + action + " on resource: arn:aws:ecr:us-east-1:000000000000:repository/app because no identity-based policy allows the " + action + " action"
	}
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code, message            string
	}{
		{"malformed name", "GET", "/v2/Team/tags/list", "", nil, 400, "NAME_INVALID", name},
		{"malformed name with spaces", "GET", "/v2/a%20b/manifests/x", "", nil, 400, "NAME_INVALID", name},
		{"dots in the path", "GET", "/v2/a/../b/tags/list", "", nil, 400, "NAME_INVALID", name},
		{"malformed tag", "GET", "/v2/app/manifests/-x", "", nil, 400, "TAG_INVALID", "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_.]+''"},
		{"no such tag", "GET", "/v2/app/manifests/2.0", "", nil, 404, "MANIFEST_UNKNOWN", "Requested image not found"},
		{"no such endpoint", "GET", "/v2/app/nothing", "", nil, 404, "UNSUPPORTED", "404 page not found"},
		{"not JSON", "PUT", "/v2/app/manifests/2.0", "nonsense", nil, 405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"},
		{"no body", "PUT", "/v2/app/manifests/2.0", "", nil, 405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"},
		{"no layers (RM#876)", "PUT", "/v2/app/manifests/2.0", image[:strings.Index(image, `"layers"`)] + `"layers":[]}`, nil, 405, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Image has to have at least 1 layer'"},
		{"not allowed to pull", "GET", "/v2/app/manifests/1.0", "", []string{nobodyHeader, "1"}, 403, "DENIED", denied("ecr:BatchGetImage")},
		{"not allowed to push", "PUT", "/v2/app/manifests/2.0", image, []string{nobodyHeader, "1"}, 403, "DENIED", denied("ecr:PutImage")},
		{"not allowed to upload", "POST", "/v2/app/blobs/uploads/", "", []string{nobodyHeader, "1"}, 403, "DENIED", denied("ecr:InitiateLayerUpload")},
		{"not allowed to list", "GET", "/v2/app/tags/list", "", []string{nobodyHeader, "1"}, 403, "DENIED", denied("ecr:ListImages")},
		{"not allowed to delete", "DELETE", "/v2/app/manifests/1.0", "", []string{nobodyHeader, "1"}, 403, "DENIED", denied("ecr:BatchDeleteImage")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := *w
			w.t = t
			w.wantError(w.do(tt.method, tt.path, tt.body, append(tt.headers, "Content-Type", manifest.MediaTypeOCIManifest)...), tt.status, tt.code, tt.message)
		})
	}
	if r := w.want(w.do("HEAD", "/v2/app/manifests/1.0", "", nobodyHeader, "1"), 403); r.body != "" || r.header.Get("Content-Type") != "" {
		t.Errorf("HEAD refused: %v %q", r.header, r.body)
	}
	if r := w.putManifest("app", "2.0", manifest.MediaTypeDockerManifest, image); r.status != 405 || !strings.Contains(r.body, "is not the media type") {
		t.Errorf("pushed as something else: %d %s", r.status, r.body)
	}
	w.noServerErrors()
}

func TestManifestTooLarge(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	image := w.image("app", "a", "")
	fits := image[:len(image)-1] + strings.Repeat(" ", manifest.MaxSize-len(image)) + "}"
	w.push("app", "fits", fits)
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("chunked ", chunked), func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPut, w.url+"/v2/app/manifests/large", strings.NewReader(fits+" "))
			if err != nil {
				t.Fatal(err)
			}
			if chunked {
				req.ContentLength = -1
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("chunked %v: %s", chunked, resp.Status)
			}
		})
	}
	w.want(w.do("HEAD", "/v2/app/manifests/large", ""), 404)
}

func TestMethods(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	oci := start(t, registry.CompatOCI, "app")
	d := string(ecr.DigestOf(nil))
	if got := oci.do("TRACE", "/v2/app/blobs/"+d, "").header.Get("Allow"); got != "DELETE, GET, HEAD" {
		t.Errorf("blobs, compat oci: Allow is %q", got)
	}
	for path, allow := range map[string]string{
		"/v2/": "GET, HEAD", "/v2/_catalog": "GET, HEAD", "/v2/app/tags/list": "GET, HEAD", "/v2/app/manifests/x": "DELETE, GET, HEAD, PUT",
		"/v2/app/blobs/" + d: "GET, HEAD", "/v2/app/blobs/uploads/": "POST", "/v2/app/blobs/uploads/1": "DELETE, GET, PATCH, PUT", "/v2/app/referrers/" + d: "GET, HEAD",
	} {
		t.Run(path, func(t *testing.T) {
			w.within(t)
			r := w.do("TRACE", path, "")
			w.wantError(r, 405, "UNSUPPORTED", "The operation is unsupported.")
			if got := r.header.Get("Allow"); got != allow {
				t.Errorf("Allow is %q, want %q", got, allow)
			}
			for _, method := range strings.Split(allow, ", ") {
				if r := w.do(method, path, ""); r.header.Get("Allow") != "" {
					t.Errorf("%s %s is not served", method, path)
				}
			}
		})
	}
}
