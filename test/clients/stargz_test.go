package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

const ctrRemoteBin = "/usr/bin/ctr-remote"

func TestStargz(t *testing.T) { inBothModes(t, stargz) }

// stargz converts an image to eStargz and pushes it: the registry keeps the digests of
// the tables of contents, and answers the request with which a node reads the last bytes
// of a layer first, to start a container before it has the layer.
func stargz(t *testing.T, k *kontor) {
	c := k.containerd()
	login := []string{"--plain-http", "--user", "AWS:" + k.pusherPassword()}
	k.push("website", "v1")
	v1, lazy := k.host+"/website:v1", k.host+"/test:esgz"
	c.images(append(append([]string{"pull", "--snapshotter", "native"}, login...), v1)...)
	c.ok(ctrRemoteBin, c.ctr("images", "convert", "--estargz", "--oci", v1, lazy)...)
	c.images(append(append([]string{"push"}, login...), lazy)...)

	var index struct{ Manifests []descriptor }
	decode := func(b []byte, v any) {
		t.Helper()
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatal(err)
		}
	}
	decode(k.get("/v2/test/manifests/esgz", k.pusherPassword()), &index)
	layers := 0
	for _, m := range index.Manifests {
		var image struct{ Layers []descriptor }
		decode(k.get("/v2/test/manifests/"+m.Digest, k.pusherPassword()), &image)
		for _, l := range image.Layers {
			layers++
			if !strings.HasPrefix(l.Annotations["containerd.io/snapshot/stargz/toc.digest"], "sha256:") {
				t.Errorf("layer %s has the annotations %v", l.Digest, l.Annotations)
			}
			// The footer is an empty gzip member, whose extra field ends with STARGZ.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.env["AWS_ENDPOINT_URL"]+"/v2/test/blobs/"+l.Digest, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("AWS", k.pusherPassword())
			req.Header.Set("Range", "bytes=-51")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			footer, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusPartialContent || len(footer) != 51 || !bytes.Contains(footer, []byte("STARGZ")) {
				t.Errorf("the end of layer %s: %s, %q", l.Digest, resp.Status, footer)
			}
		}
	}
	if layers == 0 {
		t.Error("the image has no layers")
	}
	// Any client pulls it.
	c.images("rm", "--sync", lazy, v1)
	c.images(append(append([]string{"pull", "--snapshotter", "native"}, login...), lazy)...)
}
