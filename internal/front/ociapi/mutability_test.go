package ociapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// ECR user guide, "Image tag mutability": the four modes with their filters, on
// each way that a manifest is pushed: by its tag, by its digest with the tag as
// a parameter, and together with a tag that may move.
func TestMutabilityOnEveryPath(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mode    ecr.TagMutability
		filters []string
		fixed   map[ecr.Tag]bool // by tag: may it not move?
	}{
		{"mutable", ecr.Mutable, nil, map[ecr.Tag]bool{"v1": false, "latest": false, "dev-1": false}},
		{"immutable", ecr.Immutable, nil, map[ecr.Tag]bool{"v1": true, "latest": true, "dev-1": true}},
		{"immutable but", ecr.ImmutableWithExclusion, []string{"latest", "dev-*"}, map[ecr.Tag]bool{"v1": true, "latest": false, "dev-1": false, "latest2": true, "mydev-1": true}},
		{"mutable but", ecr.MutableWithExclusion, []string{"v*", "*-final"}, map[ecr.Tag]bool{"v1": true, "latest": false, "dev-1": false, "x-final": true, "x-final-2": false}},
	} {
		for _, compat := range compats {
			t.Run(tc.name+" "+string(compat), func(t *testing.T) {
				w := start(t, compat)
				w.create("app", ecr.Mutability{Mode: tc.mode, Filters: tc.filters})
				first, second := w.image("app", "a", ""), w.image("app", "b", "")
				at := func(tag ecr.Tag) string {
					return w.want(w.do("HEAD", "/v2/app/manifests/"+string(tag), ""), 200).header.Get("Docker-Content-Digest")
				}
				d1, d2 := string(ecr.DigestOf([]byte(first))), string(ecr.DigestOf([]byte(second)))
				for tag, fixed := range tc.fixed {
					w.push("app", string(tag), first)
					for name, ref := range map[string]string{"by tag": string(tag), "as a parameter": d2 + "?tag=" + string(tag), "with a new tag": d2 + "?tag=new-" + string(tag) + "&tag=" + string(tag)} {
						r := w.putManifest("app", ref, manifest.MediaTypeOCIManifest, second)
						switch {
						case !fixed:
							w.want(r, 201)
							if at(tag) != d2 {
								t.Errorf("%s %s: the tag did not move", tag, name)
							}
							w.push("app", string(tag), first)
						default:
							w.wantError(r, 400, "TAG_INVALID", "The image tag '"+string(tag)+"' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.")
							if at(tag) != d1 {
								t.Errorf("%s %s: the tag moved", tag, name)
							}
							w.want(w.do("HEAD", "/v2/app/manifests/new-"+string(tag), ""), 404)
						}
						// The same image again: ECR refuses that too.
						again := w.putManifest("app", string(tag), manifest.MediaTypeOCIManifest, first)
						if fixed && compat == registry.CompatECR {
							w.want(again, 400)
						} else {
							w.want(again, 201)
						}
					}
					// What is immutable can be deleted, and then pushed again.
					w.want(w.do("DELETE", "/v2/app/manifests/"+string(tag), ""), 202)
					w.push("app", string(tag), second)
				}
				w.noServerErrors()
			})
		}
	}
}

// A change of the mode is for pushes that come after it.
func TestMutabilityChanges(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	first, second := w.image("app", "a", ""), w.image("app", "b", "")
	w.push("app", "v1", first)
	set := func(m ecr.Mutability) {
		t.Helper()
		if err := w.registry.As(admin).SetTagMutability(t.Context(), ecr.Repo{In: here, Name: "app"}, m); err != nil {
			t.Fatal(err)
		}
	}
	w.push("app", "v1", second)
	set(ecr.Mutability{Mode: ecr.Immutable})
	w.want(w.putManifest("app", "v1", manifest.MediaTypeOCIManifest, first), 400)
	set(ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"v*"}})
	w.push("app", "v1", first)
	set(ecr.Mutability{Mode: ecr.MutableWithExclusion, Filters: []string{"v*"}})
	w.want(w.putManifest("app", "v1", manifest.MediaTypeOCIManifest, second), 400)
}

// Of 1,000 clients that push different images to one immutable tag over the
// wire, by the tag and by digest with the tag as a parameter, one wins; the
// others are told so, and leave nothing. (TestOneWinnerOfAnImmutableTag has
// both databases and the calls of the API.)
func TestOneWinnerOverTheWire(t *testing.T) {
	const clients = 1000
	w := start(t, registry.CompatECR)
	w.create("app", ecr.Mutability{Mode: ecr.Immutable})
	template := w.image("app", "a", "")
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 100, MaxIdleConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	var (
		wg       sync.WaitGroup
		statuses [clients]int
		bodies   [clients]string
		digests  [clients]ecr.Digest
	)
	for i := range clients {
		body := strings.TrimSuffix(template, "}") + fmt.Sprintf(`,"annotations":{"client":"%d"}}`, i)
		digests[i] = ecr.DigestOf([]byte(body))
		ref := "v1"
		if i%2 == 0 {
			ref = string(digests[i]) + fmt.Sprintf("?tag=v1&tag=mine-%d", i)
		}
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.url+"/v2/app/manifests/"+ref, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", manifest.MediaTypeOCIManifest)
			resp, err := client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			b, err := io.ReadAll(resp.Body)
			if err := errors.Join(err, resp.Body.Close()); err != nil {
				t.Error(err)
			}
			statuses[i], bodies[i] = resp.StatusCode, string(b)
		})
	}
	wg.Wait()
	winner := w.want(w.do("HEAD", "/v2/app/manifests/v1", ""), 200).header.Get("Docker-Content-Digest")
	won := 0
	for i, status := range statuses {
		switch {
		case status == http.StatusCreated:
			won++
			if winner != string(digests[i]) {
				t.Errorf("client %d was told that it won, but the tag is at %s", i, winner)
			}
		case status != http.StatusBadRequest || !strings.Contains(bodies[i], `"TAG_INVALID"`):
			t.Errorf("client %d: %d %s", i, status, bodies[i])
		}
	}
	if won != 1 {
		t.Errorf("%d clients won", won)
	}
	images, _, err := w.registry.As(admin).ListImages(t.Context(), ecr.Repo{In: here, Name: "app"}, ecr.TagStatusAny, ecr.ImageID{}, 100)
	if err != nil || len(images) > 2 { // the winner's tags
		t.Errorf("left are %v, %v", images, err)
	}
	w.noServerErrors()
}
