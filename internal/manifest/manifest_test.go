package manifest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var (
	hexA = strings.Repeat("a", 64)
	hexB = strings.Repeat("b", 64)
	dA   = ecr.Digest("sha256:" + hexA)
	dB   = ecr.Digest("sha256:" + hexB)
	dC   = ecr.Digest("sha512:" + strings.Repeat("c", 128))
)

func desc(mt string, d ecr.Digest, size int64, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mt, d, size, more)
}

const (
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	dockConfig  = "application/vnd.docker.container.image.v1+json"
	dockLayer   = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// image is an OCI image manifest with extra members at its end.
func image(extra string) string {
	return `{"schemaVersion":2,"mediaType":"` + MediaTypeOCIManifest + `","config":` + desc(ociConfig, dA, 7, "") +
		`,"layers":[` + desc(ociLayer, dB, 100, "") + `]` + extra + `}`
}

func TestParse(t *testing.T) {
	config := func(mt string) *Descriptor { return &Descriptor{MediaType: mt, Digest: dA, Size: 7} }
	layer := Descriptor{MediaType: ociLayer, Digest: dB, Size: 100}
	plain := Manifest{MediaType: MediaTypeOCIManifest, Kind: Image, ArtifactMediaType: ociConfig, ArtifactType: ociConfig,
		Config: config(ociConfig), Layers: []Descriptor{layer}, LayerSizeBytes: 107}
	tests := []struct {
		name, body, contentType string
		want                    Manifest
	}{
		{"OCI image", image(""), "", plain},
		{"OCI image, same content type", image(""), MediaTypeOCIManifest, plain},
		{"OCI image, content type with a parameter", image(""), MediaTypeOCIManifest + "; charset=utf-8", plain},
		{"OCI image, media type only in the content type", strings.Replace(image(""), `"mediaType":"`+MediaTypeOCIManifest+`",`, "", 1), MediaTypeOCIManifest, plain},
		{"unknown members are left alone", image(`,"x":{"y":[1]},"Digest":"z"`), "", plain},
		{"null is absent", image(`,"subject":null,"annotations":null,"artifactType":null`), "", plain},
		{"white space around", "\n\t " + image("") + "\r\n", "", plain},
		{"Docker v2 schema 2 with a foreign layer",
			`{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + desc(dockConfig, dA, 7, "") + `,"layers":[` +
				desc(dockForeign, dC, 1000, `,"urls":["https://example.com/l"]`) + `,` + desc(dockLayer, dB, 5, "") + `,` + desc(dockLayer, dB, 5, "") + `]}`, MediaTypeDockerManifest,
			Manifest{MediaType: MediaTypeDockerManifest, Kind: Image, ArtifactMediaType: dockConfig, ArtifactType: dockConfig, Config: config(dockConfig),
				Layers: []Descriptor{{MediaType: dockForeign, Digest: dC, Size: 1000, URLs: []string{"https://example.com/l"}, Foreign: true},
					{MediaType: dockLayer, Digest: dB, Size: 5}, {MediaType: dockLayer, Digest: dB, Size: 5}}, LayerSizeBytes: 1017}},
		{"no layers (whether that is allowed is for the registry)",
			`{"schemaVersion":2,"mediaType":"` + MediaTypeOCIManifest + `","config":` + desc(ociConfig, dA, 7, "") + `,"layers":null}`, "",
			Manifest{MediaType: MediaTypeOCIManifest, Kind: Image, ArtifactMediaType: ociConfig, ArtifactType: ociConfig, Config: config(ociConfig), LayerSizeBytes: 7}},
		{"artifact: artifactType with the empty config, subject and annotations",
			`{"schemaVersion":2,"mediaType":"` + MediaTypeOCIManifest + `","artifactType":"application/spdx+json","config":` + desc(MediaTypeEmpty, dA, 2, `,"data":"e30="`) +
				`,"layers":[` + desc(MediaTypeEmpty, dA, 2, "") + `],"subject":` + desc(MediaTypeOCIManifest, dB, 9, "") + `,"annotations":{"k":"v"}}`, "",
			Manifest{MediaType: MediaTypeOCIManifest, Kind: Image, ArtifactMediaType: "application/spdx+json", ArtifactType: "application/spdx+json",
				Config: &Descriptor{MediaType: MediaTypeEmpty, Digest: dA, Size: 2}, Layers: []Descriptor{{MediaType: MediaTypeEmpty, Digest: dA, Size: 2}},
				Subject: &Descriptor{MediaType: MediaTypeOCIManifest, Digest: dB, Size: 9}, Annotations: map[string]string{"k": "v"}, LayerSizeBytes: 4}},
		{"artifact: artifactType and its own config", image(`,"artifactType":"application/vnd.example"`), "",
			Manifest{MediaType: MediaTypeOCIManifest, Kind: Image, ArtifactMediaType: "application/vnd.example", ArtifactType: "application/vnd.example",
				Config: config(ociConfig), Layers: []Descriptor{layer}, LayerSizeBytes: 107}},
		{"OCI index",
			`{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `","manifests":[` + desc(MediaTypeOCIManifest, dA, 500, `,"platform":{"architecture":"arm","os":"linux","variant":"v7"}`) +
				`,` + desc(MediaTypeOCIManifest, dB, 501, "") + `]}`, "",
			Manifest{MediaType: MediaTypeOCIIndex, Kind: Index, Children: []Descriptor{
				{MediaType: MediaTypeOCIManifest, Digest: dA, Size: 500, Platform: &Platform{Architecture: "arm", OS: "linux", Variant: "v7"}},
				{MediaType: MediaTypeOCIManifest, Digest: dB, Size: 501}}}},
		{"Docker manifest list, empty", `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerList + `","manifests":[]}`, "",
			Manifest{MediaType: MediaTypeDockerList, Kind: Index}},
		{"index with artifactType and subject",
			`{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `","artifactType":"a/b","manifests":[],"subject":` + desc(MediaTypeOCIManifest, dB, 9, "") + `}`, "",
			Manifest{MediaType: MediaTypeOCIIndex, Kind: Index, ArtifactMediaType: "a/b", ArtifactType: "a/b", Subject: &Descriptor{MediaType: MediaTypeOCIManifest, Digest: dB, Size: 9}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.body), tt.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const syntax = "'Invalid JSON syntax'" // ECR's text
	swap := func(old, new string) string {
		s := image("")
		if !strings.Contains(s, old) {
			t.Fatalf("the manifest does not contain %s", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	index := func(members string) string {
		return `{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `"` + members + `}`
	}
	var many strings.Builder
	for range MaxLayers {
		many.WriteString("," + desc(ociLayer, dB, 1, ""))
	}
	tests := []struct{ name, body, contentType, want string }{
		{"empty", "", "", syntax},
		{"not JSON", "hello", "", syntax},
		{"an array", "[]", "", syntax},
		{"null", "null", "", syntax},
		{"cut short", image("")[:50], "", syntax},
		{"trailing data", image("") + "{}", "", syntax},
		{"invalid UTF-8", image(",\"x\":\"\xff\""), "", syntax},
		{"nested too deeply", image(`,"x":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)), "", syntax},
		{"too large", image(`,"x":"` + strings.Repeat("x", MaxSize) + `"`), "", "must have length less than or equal to 4194304"},
		{"duplicate member", image(`,"layers":[]`), "", "layers is there twice"},
		{"duplicate unknown member", image(`,"x":1,"x":1`), "", "x is there twice"},
		{"duplicate by escape", image(`,"l\u0061yers":[]`), "", "layers is there twice"},
		{"member in another case", image(`,"Layers":[]`), "", `Layers must be spelled "layers"`},
		{"member in another case, beyond ASCII", image(`,"layer\u017f":[]`), "", `must be spelled "layers"`},
		{"duplicate member of a descriptor", swap(`"size":7`, `"size":7,"size":8`), "", "config.size is there twice"},
		{"no schemaVersion", swap(`"schemaVersion":2,`, ""), "", "schemaVersion is missing"},
		{"schemaVersion 3", swap(`"schemaVersion":2`, `"schemaVersion":3`), "", "schemaVersion must be 2"},
		{"schemaVersion as text", swap(`"schemaVersion":2`, `"schemaVersion":"2"`), "", "schemaVersion must be a whole number"},
		{"schema 1", `{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[]}`, mediaTypeSchema1, "schema 1 is not supported"},
		{"schema 1 by content type", swap(`"mediaType":"`+MediaTypeOCIManifest+`",`, ""), mediaTypeSchema1Signed, "schema 1 is not supported"},
		{"no media type at all", swap(`"mediaType":"`+MediaTypeOCIManifest+`",`, ""), "", "must be given with it"},
		{"mediaType is a number", swap(`"`+MediaTypeOCIManifest+`"`, "5"), "", "mediaType must be a string"},
		{"content type disagrees", image(""), MediaTypeDockerManifest, "is not the media type"},
		{"content type malformed", image(""), "a/b/c", "malformed"},
		{"unknown media type", swap(MediaTypeOCIManifest, "application/json"), "", `"application/json" are not supported`},
		{"removed OCI artifact manifest", swap(MediaTypeOCIManifest, "application/vnd.oci.artifact.manifest.v1+json"), "", "not supported"},
		{"image with children", image(`,"manifests":[]`), "", "manifests does not belong in an image manifest"},
		{"image with fsLayers", image(`,"fsLayers":[]`), "", "fsLayers does not belong in an image manifest"},
		{"index with layers", index(`,"manifests":[],"layers":[]`), "", "layers does not belong in an index manifest"},
		{"index with config", index(`,"manifests":[],"config":{}`), "", "config does not belong in an index manifest"},
		{"no layers member", swap(`"layers"`, `"leyers"`), "", "layers is missing"},
		{"no config", swap(`"config"`, `"confog"`), "", "config is missing"},
		{"config is null", swap(desc(ociConfig, dA, 7, ""), "null"), "", "config must be an object"},
		{"no manifests", index(""), "", "manifests is missing"},
		{"manifests is an object", index(`,"manifests":{}`), "", "manifests must be an array"},
		{"a child is null", index(`,"manifests":[null]`), "", "manifests[0] must be an object"},
		{"negative size", swap(`"size":100`, `"size":-1`), "", "layers[0].size must be a number of bytes"},
		{"no size", swap(`,"size":100`, ""), "", "layers[0].size must be a number of bytes"},
		{"fractional size", swap(`"size":100`, `"size":1.5`), "", "layers[0].size must be a number of bytes"},
		{"size beyond int64", swap(`"size":100`, `"size":9223372036854775808`), "", "layers[0].size"},
		{"sum of sizes beyond int64", swap(`"size":100`, `"size":9223372036854775807`), "", "layers[0].size makes the image too large"},
		{"malformed digest", swap(hexB, "bb"), "", "layers[0].digest must be a sha256 or sha512 digest"},
		{"upper-case digest", swap(hexB, strings.ToUpper(hexB)), "", "layers[0].digest must be"},
		{"no digest", swap(`"digest":"`+string(dB)+`",`, ""), "", "layers[0].digest must be a digest"},
		{"no media type of a layer", swap(`"mediaType":"`+ociLayer+`",`, ""), "", "layers[0].mediaType must be a media type"},
		{"urls not strings", swap(`"size":100`, `"size":100,"urls":[1]`), "", "layers[0].urls must be an array of strings"},
		{"platform not an object", index(`,"manifests":[` + desc(MediaTypeOCIManifest, dA, 1, `,"platform":[]`) + `]`), "", "manifests[0].platform must be a platform"},
		{"subject malformed", image(`,"subject":{}`), "", "subject.mediaType must be a media type"},
		{"annotations not strings", image(`,"annotations":{"a":1}`), "", "annotations must be an object of strings"},
		{"artifactType with parameters (RM#2306)", image(`,"artifactType":"application/spdx+json; v=1"`), "", "artifactType must be a media type without parameters"},
		{"too many layers (tart#890)", swap(desc(ociLayer, dB, 100, ""), desc(ociLayer, dB, 1, "")+many.String()), "", "'Limit on number of layers per image exceeded'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.body), tt.contentType)
			var e *ecr.Error
			if !errors.As(err, &e) || e.Code != ecr.CodeInvalidParameter {
				t.Fatalf("got %v, want an InvalidParameterException", err)
			}
			if !strings.HasPrefix(e.Message, "Invalid parameter at 'ImageManifest' failed to satisfy constraint: '") || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %q, want it to say %q", e.Message, tt.want)
			}
		})
	}
}

// Whatever a manifest holds, reading it takes no more than a few times its size.
func TestParseMemory(t *testing.T) {
	filled := func(begin, element, end string) string {
		n := (MaxSize - len(begin) - len(end) - len(element)) / (len(element) + 1)
		return begin + strings.Repeat(element+",", n) + element + end
	}
	numbered := func(begin, form, end string) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := 0; b.Len()+40 < MaxSize; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, form, i)
		}
		return b.String() + end
	}
	index := `{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `","manifests":[`
	open := strings.TrimSuffix(image(""), "}")
	for name, body := range map[string]string{
		"empty entries":         filled(index, "{}", "]}"),
		"null entries":          filled(index, "null", "]}"),
		"least entries":         filled(index, desc("a", dA, 1, ""), "]}"),
		"one entry of features": filled(index+strings.TrimSuffix(desc("a", dA, 1, ""), "}")+`,"platform":{"os.features":[`, `""`, "]}}]}"),
		"urls of a layer":       filled(strings.TrimSuffix(open, "}]")+`,"urls":[`, `""`, "]}]}"),
		"annotations":           numbered(open+`,"annotations":{`, `"%d":""`, "}}"),
		"unknown members":       numbered(open+`,`, `"%d":0`, "}"),
		"unknown elements":      filled(open+`,"x":[`, "[]", "]}"),
		"one long annotation":   open + `,"annotations":{"a":"` + strings.Repeat("x", MaxSize-600) + `"}}`,
		"escapes":               filled(open+`,"annotations":{"a":"`, `\u0041`, `"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if len(body) > MaxSize {
				t.Fatalf("%d bytes", len(body))
			}
			b := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse(b, "")
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 4*MaxSize {
				t.Errorf("it takes %d KiB (%v)", took>>10, err)
			}
		})
	}
}

// The largest index and the largest image are taken, and one more is not.
func TestMostEntries(t *testing.T) {
	list := func(n int) string { return strings.Repeat(desc("a/b", dA, 1, "")+",", n-1) + desc("a/b", dA, 1, "") }
	index := func(n int) string {
		return `{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `","manifests":[` + list(n) + `]}`
	}
	layers := func(n int) string {
		return strings.Replace(image(""), desc(ociLayer, dB, 100, ""), list(n), 1)
	}
	for name, tt := range map[string]struct {
		body, refused string
	}{
		"entries":            {index(MaxEntries), ""},
		"an entry too many":  {index(MaxEntries + 1), "Limit on number of images per index exceeded"},
		"layers":             {layers(MaxLayers), ""},
		"a layer too many":   {layers(MaxLayers + 1), "Limit on number of layers per image exceeded"},
		"annotated layers":   {strings.ReplaceAll(layers(MaxLayers), `"size":1`, `"size":1,"annotations":{`+strings.Repeat(`"a":"",`, 19)+`"b":""}`), ""},
		"values":             {image(`,"x":[` + strings.Repeat("0,", maxValues-20) + `0]`), ""},
		"a value too many":   {image(`,"x":[` + strings.Repeat("0,", maxValues) + `0]`), "must have at most 120000 members and elements"},
		"commas in a string": {image(`,"x":"` + strings.Repeat(`,\"{[`, maxValues) + `"`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tt.body), "")
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("got %v, want %q", err, tt.refused)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	entries := strings.Repeat(desc("a/b", dA, 1, "")+",", MaxEntries-1) + desc("a/b", dA, 1, "")
	for name, body := range map[string]string{
		"image": image(""), "largest index": `{"schemaVersion":2,"mediaType":"` + MediaTypeOCIIndex + `","manifests":[` + entries + `]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse([]byte(body), ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestBlobs(t *testing.T) {
	m := Manifest{Config: &Descriptor{Digest: dA}, Layers: []Descriptor{{Digest: dB}, {Digest: dC, Foreign: true}, {Digest: dA}, {Digest: dB}}}
	if diff := cmp.Diff([]ecr.Digest{dA, dB}, m.Blobs()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := (Manifest{Kind: Index, Children: []Descriptor{{Digest: dA}}}).Blobs(); got != nil {
		t.Errorf("an index has blobs: %v", got)
	}
}

// What other registries take, and ECR does not (RM#2306).
func TestParseElsewhere(t *testing.T) {
	for artifactType, ok := range map[string]bool{
		"application/spdx+json; v=1": true, "text/plain": true, "line\\nbreak": false, strings.Repeat("a", 256): false,
	} {
		t.Run(fmt.Sprintf("%.40s", artifactType), func(t *testing.T) {
			body := []byte(image(`,"artifactType":"` + artifactType + `"`))
			m, err := ParseElsewhere(body, "")
			if ok != (err == nil) || ok && m.ArtifactType != artifactType {
				t.Errorf("%q: %q, %v", artifactType, m.ArtifactType, err)
			}
		})
	}
	if _, err := ParseElsewhere([]byte(`{"schemaVersion":2,"mediaType":"`+MediaTypeOCIIndex+`","layers":[]}`), ""); err == nil {
		t.Error("an index with layers is taken")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(image("")), "")
	f.Add([]byte(image(`,"subject":`+desc(MediaTypeOCIManifest, dB, 9, "")+`,"annotations":{"k":"v"}`)), MediaTypeOCIManifest)
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+MediaTypeOCIIndex+`","manifests":[`+desc(MediaTypeOCIManifest, dA, 5, `,"platform":{"os":"linux"}`)+`]}`), "")
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`), mediaTypeSchema1)
	f.Add([]byte(`{"schemaVersion":2,"a":{"b":["\"}\\",{}]}}`), "application/json; q=1")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		m, err := Parse(body, contentType)
		if err != nil {
			if ecr.CodeOf(err) != ecr.CodeInvalidParameter {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if kinds[m.MediaType] != m.Kind || m.LayerSizeBytes < 0 || len(m.Layers) > MaxLayers {
			t.Fatalf("accepted %+v", m)
		}
		if (m.Kind == Image) != (m.Config != nil) || (m.Kind == Image && m.Children != nil) || (m.Kind == Index && m.Layers != nil) {
			t.Fatalf("both an image and an index: %+v", m)
		}
		all := append(append([]Descriptor{}, m.Layers...), m.Children...)
		for _, d := range all {
			if _, err := ecr.ParseDigest(string(d.Digest)); err != nil || d.Size < 0 {
				t.Fatalf("accepted descriptor %+v", d)
			}
		}
		// The media type that it has is always one it may be pushed as.
		if again, err := Parse(body, m.MediaType); err != nil || !cmp.Equal(m, again) {
			t.Fatalf("differs when pushed as %s: %v", m.MediaType, err)
		}
	})
}
