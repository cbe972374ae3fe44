package ociapi_test

import (
	"bufio"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

var compats = []registry.Compat{registry.CompatECR, registry.CompatOCI}

// RFC 9110, section 9.3.2: HEAD answers as GET does, without the content.
func TestHeadIsGetWithoutContent(t *testing.T) {
	for _, compat := range compats {
		t.Run(fmt.Sprint(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			d := w.push("app", "v1", w.image("app", "a", ""))
			layer := ecr.DigestOf([]byte("layer of a"))
			for _, path := range []string{
				"/v2/", "/v2/_catalog", "/v2/_catalog?n=0", "/v2/app/tags/list", "/v2/app/tags/list?n=0",
				"/v2/app/manifests/v1", "/v2/app/manifests/" + string(d), "/v2/app/blobs/" + string(layer),
				"/v2/app/referrers/" + string(d), "/v2/app/referrers/" + string(d) + "?artifactType=a/b",
			} {
				t.Run(path, func(t *testing.T) {
					w.within(t)
					get, head := w.want(w.do("GET", path, ""), 200), w.want(w.do("HEAD", path, ""), 200)
					if head.body != "" || get.header.Get("Content-Length") != fmt.Sprint(len(get.body)) {
						t.Errorf("%s %s: HEAD has %d bytes, GET announces %s of %d", compat, path, len(head.body), get.header.Get("Content-Length"), len(get.body))
					}
					get.header.Del("Date")
					head.header.Del("Date")
					if diff := cmp.Diff(get.header, head.header); diff != "" {
						t.Errorf("%s %s (-GET +HEAD):\n%s", compat, path, diff)
					}
				})
			}
			for path, status := range map[string]int{
				"/v2/app/manifests/v2": 404, "/v2/app/blobs/" + string(ecr.DigestOf(nil)): 404, "/v2/nowhere/tags/list": 404,
				"/v2/app/blobs/sha256:1": 400, "/v2/app/blobs/uploads/": 405,
			} {
				t.Run("HEAD "+path, func(t *testing.T) {
					w.within(t)
					if r := w.want(w.do("HEAD", path, ""), status); r.body != "" {
						t.Errorf("%s: %q", path, r.body)
					}
				})
			}
		})
	}
}

// RFC 9110, section 13: content has an entity tag, its digest, and no date.
func TestConditionalRequests(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	d := w.push("app", "v1", w.image("app", "a", ""))
	layer := ecr.DigestOf([]byte("layer of a"))
	const past, future = "Mon, 02 Jan 2006 15:04:05 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
	for path, digest := range map[string]ecr.Digest{
		"/v2/app/blobs/" + string(layer): layer, "/v2/app/manifests/" + string(d): d, "/v2/app/manifests/v1": d,
	} {
		t.Run(path, func(t *testing.T) {
			w.within(t)
			tag, other := `"`+string(digest)+`"`, `"`+string(ecr.DigestOf(nil))+`"`
			for _, tc := range []struct {
				header, value string
				status        int
			}{
				{"If-None-Match", tag, 304}, {"If-None-Match", "W/" + tag, 304}, {"If-None-Match", other + ", " + tag, 304}, {"If-None-Match", "*", 304},
				{"If-None-Match", other, 200}, {"If-None-Match", string(digest), 200}, // without quotes it is no entity tag
				{"If-Match", tag, 200}, {"If-Match", "*", 200}, {"If-Match", other, 412}, {"If-Match", "W/" + tag, 412},
				{"If-Modified-Since", future, 200}, {"If-Modified-Since", past, 200}, {"If-Unmodified-Since", past, 200},
			} {
				t.Run(tc.header+" "+tc.value, func(t *testing.T) {
					w.within(t)
					for _, method := range []string{"GET", "HEAD"} {
						r := w.do(method, path, "", tc.header, tc.value)
						if r.status != tc.status || r.status != 200 && r.body != "" || r.header.Get("Last-Modified") != "" {
							t.Errorf("%s %s, %s %s: %d %v %q, want %d", method, path, tc.header, tc.value, r.status, r.header, r.body, tc.status)
						}
					}
				})
			}
			for _, tc := range []struct {
				ifRange string
				status  int
			}{{tag, 206}, {"W/" + tag, 200}, {other, 200}, {past, 200}} {
				t.Run("If-Range "+tc.ifRange, func(t *testing.T) {
					w.within(t)
					r := w.do("GET", path, "", "Range", "bytes=0-3", "If-Range", tc.ifRange)
					if r.status != tc.status || (len(r.body) == 4) != (tc.status == 206) {
						t.Errorf("%s, If-Range %s: %d %d bytes", path, tc.ifRange, r.status, len(r.body))
					}
				})
			}
			// A range that is none is passed over; of nothing there is no part.
			w.want(w.do("GET", path, "", "Range", "pages=1-2"), 200)
			if r := w.want(w.do("GET", path, "", "Range", "bytes=99999999-"), 416); !strings.HasPrefix(r.header.Get("Content-Range"), "bytes */") {
				t.Error(r.header)
			}
		})
	}
}

// Specification, "Pushing a blob in chunks" and "Resuming an upload": bodies of
// unknown length, and a chunked upload that goes on after a stream.
func TestStreamedUpload(t *testing.T) {
	for _, compat := range compats {
		t.Run(fmt.Sprint(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			content := strings.Repeat("0123456789", 100)
			loc := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
			r := w.want(w.send("PATCH", loc, struct{ io.Reader }{strings.NewReader(content)}), 202)
			if r.header.Get("Range") != "0-999" || r.header.Get("Docker-Upload-Uuid") == "" {
				t.Errorf("headers %v", r.header)
			}
			if compat == registry.CompatOCI {
				w.want(w.send("PATCH", loc, struct{ io.Reader }{strings.NewReader("abc")}), 202)
				content += "abcde"
				w.want(w.do("PATCH", loc, "de", "Content-Range", "1003-1004"), 202)
			}
			d := ecr.DigestOf([]byte(content))
			w.want(w.send("PUT", loc+"?digest="+string(d), struct{ io.Reader }{strings.NewReader("")}), 201)
			if got := w.want(w.do("GET", "/v2/app/blobs/"+string(d), ""), 200); got.body != content {
				t.Errorf("%d bytes came back", len(got.body))
			}
			// The whole blob, of unknown length, in the closing request or in one.
			whole := ecr.DigestOf([]byte("in the closing request"))
			loc = w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
			w.want(w.send("PUT", loc+"?digest="+string(whole), struct{ io.Reader }{strings.NewReader("in the closing request")}), 201)
			single := ecr.DigestOf([]byte("in one request"))
			w.want(w.send("POST", "/v2/app/blobs/uploads/?digest="+string(single), struct{ io.Reader }{strings.NewReader("in one request")}), 201)
			w.wantStored(3)
			w.noServerErrors()
		})
	}
}

func digest512(s string) ecr.Digest {
	sum := sha512.Sum512([]byte(s))
	return ecr.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

// Specification, "Digests": what is pushed by its sha512 is there under it:
// blobs, images and indexes of them, subjects and their referrers. ECR knows no
// content by it.
func TestSHA512(t *testing.T) {
	strict := start(t, registry.CompatECR, "app")
	loc := strict.want(strict.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
	strict.wantError(strict.do("PUT", loc+"?digest="+string(digest512("layer")), "layer"), 400, "BLOB_UPLOAD_INVALID", "None of the provided layer digests match the calculated layer digest")
	body := strict.image("app", "a", "")
	strict.wantError(strict.putManifest("app", string(digest512(body)), manifest.MediaTypeOCIManifest, body), 400, "MANIFEST_INVALID",
		"The image with digest '"+string(digest512(body))+"' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated.")
	for _, compat := range []registry.Compat{registry.CompatOCI} {
		t.Run(fmt.Sprint(compat), func(t *testing.T) {
			w := start(t, compat, "app", "other")
			push := func(content string) ecr.Digest {
				t.Helper()
				d := digest512(content)
				loc := w.want(w.do("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512", ""), 202).header.Get("Location")
				w.want(w.do("PUT", loc+"?digest="+string(d), content), 201)
				if r := w.want(w.do("GET", "/v2/app/blobs/"+string(d), ""), 200); r.body != content || r.header.Get("Docker-Content-Digest") != string(d) {
					t.Errorf("blob: %q %v", r.body, r.header)
				}
				return d
			}
			image := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},`+
				`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":5}]}`, manifest.MediaTypeOCIManifest, push("{}"), push("layer"))
			d := digest512(image)
			r := w.want(w.putManifest("app", string(d)+"?tag=v1", manifest.MediaTypeOCIManifest, image), 201)
			if r.header.Get("Location") != "/v2/app/manifests/"+string(d) || r.header.Get("Docker-Content-Digest") != string(d) {
				t.Errorf("headers %v", r.header)
			}
			for _, ref := range []string{"v1", string(d)} {
				if r := w.want(w.do("GET", "/v2/app/manifests/"+ref, ""), 200); r.body != image || r.header.Get("Docker-Content-Digest") != string(d) {
					t.Errorf("%s: %q %v", ref, r.body, r.header)
				}
			}
			idx := index(d)
			w.want(w.putManifest("app", string(digest512(idx)), manifest.MediaTypeOCIIndex, idx), 201)
			referrer := strings.TrimSuffix(image, "}") + fmt.Sprintf(`,"artifactType":"a/b","subject":{"mediaType":%q,"digest":%q,"size":%d}}`, manifest.MediaTypeOCIManifest, d, len(image))
			r = w.want(w.putManifest("app", string(digest512(referrer)), manifest.MediaTypeOCIManifest, referrer), 201)
			if r.header.Get("Oci-Subject") != string(d) {
				t.Errorf("headers %v", r.header)
			}
			if r := w.want(w.do("GET", "/v2/app/referrers/"+string(d), ""), 200); !strings.Contains(r.body, string(digest512(referrer))) {
				t.Errorf("referrers %s", r.body)
			}
			// Wrong ones are refused, and leave nothing.
			wrong := digest512("wrong")
			w.want(w.do("POST", "/v2/app/blobs/uploads/?digest="+string(wrong), "right"), 400)
			w.want(w.putManifest("app", string(wrong), manifest.MediaTypeOCIManifest, image), 400)
			w.want(w.do("HEAD", "/v2/app/manifests/"+string(wrong), ""), 404)
			w.want(w.do("GET", "/v2/app/blobs/sha512:"+strings.Repeat("a", 64), ""), 400)
			// Mounted under the same name.
			layer := digest512("layer")
			w.want(w.do("POST", "/v2/other/blobs/uploads/?from=app&mount="+string(layer), ""), 201)
			w.want(w.do("HEAD", "/v2/other/blobs/"+string(layer), ""), 200)
			w.noServerErrors()
		})
	}
}

// What clients push, and what of it is refused.
func TestMediaTypes(t *testing.T) {
	for _, compat := range compats {
		t.Run(fmt.Sprint(compat), func(t *testing.T) {
			w := start(t, compat, "app")
			image := w.image("app", "a", "")
			const (
				ociConfig, dockerConfig = "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"
				ociLayer, dockerLayer   = "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip"
			)
			docker := strings.NewReplacer(manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest, ociConfig, dockerConfig, ociLayer, dockerLayer).Replace(image)
			foreign := ecr.DigestOf([]byte("kept elsewhere"))
			extra := func(mediaType string) string { // a layer that was never pushed
				return strings.Replace(docker, `]`, fmt.Sprintf(`,{"mediaType":%q,"digest":%q,"size":14,"urls":["https://example.com/layer"]}]`, mediaType, foreign), 1)
			}
			list := strings.ReplaceAll(index(ecr.DigestOf([]byte(docker))), manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest)
			list = strings.Replace(list, manifest.MediaTypeOCIIndex, manifest.MediaTypeDockerList, 1)
			artifact := strings.Replace(image, ociConfig, "application/vnd.example.config+json", 1)
			schema1 := `{"schemaVersion":1,"name":"app","tag":"v1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}`
			invalid := map[registry.Compat]int{registry.CompatECR: 405, registry.CompatOCI: 400}[compat]
			for _, tc := range []struct {
				name, mediaType, body string
				status                int
			}{
				{"OCI image", manifest.MediaTypeOCIManifest, image, 201},
				{"Docker schema 2", manifest.MediaTypeDockerManifest, docker, 201},
				{"Docker list", manifest.MediaTypeDockerList, list, 201},
				{"OCI index", manifest.MediaTypeOCIIndex, index(ecr.DigestOf([]byte(image)), ecr.DigestOf([]byte(docker))), 201},
				{"artifact by its config", manifest.MediaTypeOCIManifest, artifact, 201},
				{"media type in the header only", manifest.MediaTypeOCIManifest, strings.Replace(image, `"mediaType":"`+manifest.MediaTypeOCIManifest+`",`, "", 1), 201},
				{"header with a parameter", manifest.MediaTypeDockerManifest + "; charset=utf-8", docker + " ", 201},
				{"foreign layer of Docker", manifest.MediaTypeDockerManifest, extra("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), 201},
				{"nondistributable layer of OCI", manifest.MediaTypeOCIManifest, strings.Replace(image, `]`,
					fmt.Sprintf(`,{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip","digest":%q,"size":14,"urls":["https://example.com/layer"]}]`, foreign), 1), 201},
				{"schema 1", "application/vnd.docker.distribution.manifest.v1+json", schema1, invalid},
				{"schema 1, signed", "application/vnd.docker.distribution.manifest.v1+prettyjws", schema1, invalid},
				{"removed artifact manifest of OCI", "application/vnd.oci.artifact.manifest.v1+json",
					`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"a/b","blobs":[]}`, invalid},
				{"header of another kind", manifest.MediaTypeOCIIndex, image, invalid},
			} {
				t.Run(tc.name, func(t *testing.T) {
					w.within(t)
					r := w.putManifest("app", "v1", tc.mediaType, tc.body)
					if r.status != tc.status {
						t.Errorf("%s, %s: %d %s", compat, tc.name, r.status, r.body)
						return
					}
					if tc.status != 201 {
						if strings.HasPrefix(tc.name, "schema 1") && !strings.Contains(r.body, "schema 1 is not supported; push with a client that writes schema 2 or OCI manifests") {
							t.Errorf("%s", r.body)
						}
						return
					}
					kind, _, _ := strings.Cut(tc.mediaType, ";")
					d := string(ecr.DigestOf([]byte(tc.body)))
					got := w.want(w.do("GET", "/v2/app/manifests/v1", ""), 200)
					if got.body != tc.body || got.header.Get("Content-Type") != kind || got.header.Get("Docker-Content-Digest") != d || r.header.Get("Docker-Content-Digest") != d {
						t.Errorf("%s came back as %v %q", tc.name, got.header, got.body)
					}
				})
			}
			w.want(w.do("GET", "/v2/app/blobs/"+string(foreign), ""), 404)
			w.noServerErrors()
		})
	}
}

// Who may write to one repository, and not read another, cannot mount from
// there, nor learn what is in there, or whether it exists.
func TestMountTellsNothing(t *testing.T) {
	for _, compat := range compats {
		t.Run(fmt.Sprint(compat), func(t *testing.T) {
			w := start(t, compat, "to", "secret")
			w.push("secret", "v1", w.image("secret", "a", ""))
			held := ecr.DigestOf([]byte("layer of a"))
			_, err := w.registry.As(admin).SetPolicy(t.Context(), ecr.Repo{In: here, Name: "to"}, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
			"Principal":{"AWS":"999999999999"},"Action":["ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:BatchCheckLayerAvailability"]}]}`, false)
			if err != nil {
				t.Fatal(err)
			}
			stranger := access.Principal{Account: "999999999999", ARN: "arn:aws:iam::999999999999:user/x", UniqueID: "AIDAX", Policies: []string{access.PolicyAdministrator}}
			h := ociapi.New(ociapi.Config{Registry: w.registry, Log: slog.New(slog.DiscardHandler)})
			ask := func(method, path string) *httptest.ResponseRecorder {
				out := httptest.NewRecorder()
				h.Serve(out, httptest.NewRequest(method, path, nil), w.gate.As(stranger), here, "id")
				return out
			}
			var answers []string
			for _, query := range []string{
				"mount=" + string(held) + "&from=secret", "mount=" + string(ecr.DigestOf([]byte("not held"))) + "&from=secret",
				"mount=" + string(held) + "&from=nowhere", "mount=" + string(held),
			} {
				t.Run(query, func(t *testing.T) {
					out := ask("POST", "/v2/to/blobs/uploads/?"+query)
					var names []string
					for name := range out.Header() {
						names = append(names, name)
					}
					slices.Sort(names)
					answers = append(answers, fmt.Sprint(out.Code, " ", names, " ", out.Body))
					if out.Code != http.StatusAccepted || !strings.HasPrefix(out.Header().Get("Location"), "/v2/to/blobs/uploads/") {
						t.Errorf("%s %s: %d %v", compat, query, out.Code, out.Header())
					}
				})
			}
			if len(slices.Compact(answers)) != 1 {
				t.Errorf("%s: the answers differ: %q", compat, answers)
			}
			if out := ask("HEAD", "/v2/to/blobs/"+string(held)); out.Code != http.StatusNotFound {
				t.Errorf("%s: mounted after all: %d", compat, out.Code)
			}
			// Nor may it mount to where it may not write.
			if out := ask("POST", "/v2/secret/blobs/uploads/?from=to&mount="+string(held)); out.Code != http.StatusForbidden {
				t.Errorf("%s: %d", compat, out.Code)
			}
		})
	}
}

// A client of HTTP/1.0 knows neither chunks nor connections that stay open.
func TestHTTP10(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	image := w.image("app", "a", "")
	w.push("app", "v1", image)
	for path, want := range map[string]string{
		"/v2/app/manifests/v1": image, "/v2/app/tags/list": `{"name":"app","tags":["v1"]}`,
		"/v2/app/blobs/" + string(ecr.DigestOf([]byte("layer of a"))): "layer of a",
	} {
		t.Run(path, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(bufio.NewReader(conn)) // to its end: the server closes
			if err := errors.Join(err, conn.Close()); err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.0 200 ") || strings.Contains(head, "chunked") || body != want {
				t.Errorf("%s\n%q", head, body)
			}
		})
	}
}
