package scanning_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// What a runtime could run is UNSCANNED until it was scanned, whatever its types say:
// otherwise who can push gets an image past a policy by calling it something else.
// Docker takes types in any letter case and configs of several types, podman unpacks
// layers of any type where the config is that of an image.
func TestDisguisedImages(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Scanner: &fake{}})
	app := w.Repo("app", ecr.Mutable)
	config, layer, text := []byte(`{"rootfs":{}}`), []byte("a tar archive\x00"), []byte(`{"critical":{}}`)
	large := []byte(`{"predicate":"` + strings.Repeat("x", 2<<20) + `"}`)
	for _, b := range [][]byte{config, layer, text, large} {
		w.Blob(app, b)
	}
	if _, err := w.SetPolicy(t.Context(), app, denyBad, true); err != nil {
		t.Fatal(err)
	}
	puller := w.Registry.As(access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/ann", Policies: []string{access.PolicyAdministrator}})
	for name, tt := range map[string]struct {
		config, layer string
		content       []byte
		may           bool
	}{
		"an image":                        {testkit.ConfigType, testkit.LayerType, layer, false},
		"a layer in capitals":             {testkit.ConfigType, "application/vnd.oci.image.layer.v1.TAR", layer, false},
		"a layer of another type":         {testkit.ConfigType, "application/spdx+json", layer, false},
		"a config of bytes":               {"application/octet-stream", testkit.LayerType, layer, false},
		"a config of JSON":                {"application/json", "text/plain", layer, false},
		"a config in capitals":            {"application/vnd.oci.IMAGE.config.v1+json", testkit.LayerType, layer, false},
		"a chart with the layer of an OS": {"application/vnd.cncf.helm.config.v1+json", testkit.LayerType, layer, false},
		"a signature of cosign":           {testkit.ConfigType, "application/vnd.dev.cosign.simplesigning.v1+json", text, true},
		"a large attestation":             {testkit.ConfigType, "application/vnd.in-toto+json", large, true},
		"a signature that is no JSON":     {testkit.ConfigType, "application/vnd.dev.cosign.simplesigning.v1+json", layer, false},
		"a chart":                         {"application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", layer, true},
		"a bill of materials":             {"application/vnd.oci.empty.v1+json", "application/spdx+json", layer, true},
	} {
		t.Run(name, func(t *testing.T) {
			body := testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType,
				"config": testkit.DescOf(tt.config, config), "layers": []testkit.Desc{testkit.DescOf(tt.layer, tt.content)}})
			d := w.MustPut(app, body)
			_, err := puller.Manifest(t.Context(), app, ecr.ImageID{Digest: d})
			_, _, batch := puller.BatchGetImage(t.Context(), app, []ecr.ImageID{{Digest: d}})
			for _, err := range []error{err, batch} {
				if tt.may && err != nil {
					t.Error(err)
				} else if !tt.may {
					testkit.WantCode(t, err, ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")
				}
			}
		})
	}
}

// A manifest need not say its type in its bytes: it was given when it was pushed.
func TestManifestsWithoutTheirType(t *testing.T) {
	f := &fake{report: found(ecr.SeverityLow)}
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Scanner: f})
	app := w.Repo("app", ecr.Mutable)
	if err := w.SetScanOnPush(t.Context(), app, true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetPolicy(t.Context(), app, denyBad, true); err != nil {
		t.Fatal(err)
	}
	config, layer := []byte(`{"rootfs":{}}`), []byte("layer")
	w.Blob(app, config)
	w.Blob(app, layer)
	put := func(tag ecr.Tag, mediaType string, m map[string]any) ecr.Digest {
		t.Helper()
		m["schemaVersion"] = 2
		out, err := w.PutImage(t.Context(), app, registry.NewImage{Body: testkit.JSON(m), MediaType: mediaType, Tags: []ecr.Tag{tag}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Digest
	}
	one := put("one", testkit.ImageType, map[string]any{"config": testkit.DescOf(testkit.ConfigType, config), "layers": []testkit.Desc{testkit.DescOf(testkit.LayerType, layer)}})
	put("index", testkit.IndexType, map[string]any{"manifests": []testkit.Desc{{MediaType: testkit.ImageType, Digest: one, Size: 1}}})
	run(t, w)
	if s, list := findings(t, w, app, "one"); s.Status != ecr.ScanComplete || len(list) != 1 {
		t.Errorf("%+v %v", s, list)
	}
	puller := w.Registry.As(access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/ann", Policies: []string{access.PolicyAdministrator}})
	for _, tag := range []ecr.Tag{"one", "index"} {
		if _, err := puller.Manifest(t.Context(), app, ecr.ImageID{Tag: tag}); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
}
