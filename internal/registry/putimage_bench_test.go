package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// BenchmarkPutIndex pushes indexes. What it costs must not depend on the size
// of the images that they list, nor on how often they list one.
func BenchmarkPutIndex(b *testing.B) {
	f := testkit.Open(b, testkit.Settings{Compat: registry.CompatOCI})
	app := f.Repo("app", ecr.Mutable)
	child := func(n, size int) testkit.Desc {
		body := strings.TrimSuffix(string(f.Image(app, fmt.Sprint("child", n))), "}") +
			`,"annotations":{"a":"` + strings.Repeat("x", size) + `"}}`
		f.MustPut(app, []byte(body))
		return testkit.DescOf(testkit.ImageType, []byte(body))
	}
	var small, large, absent []testkit.Desc
	for n := range 20 {
		small, large = append(small, child(n, 1)), append(large, child(n, manifest.MaxSize-1000))
	}
	for n := range manifest.MaxEntries {
		absent = append(absent, testkit.DescOf(testkit.ImageType, fmt.Append(nil, n)))
	}
	repeat := func(d []testkit.Desc, n int) (list []testkit.Desc) {
		for range n {
			list = append(list, d...)
		}
		return list
	}
	for _, bench := range []struct {
		name    string
		entries []testkit.Desc
	}{
		{"20 small images", small}, {"20 images of 4 MiB", large},
		{"one of 1 KiB 1000 times", repeat(small[:1], 1000)}, {"one of 4 MiB 1000 times", repeat(large[:1], 1000)},
		{"as many images as may be, not there", absent},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				f.MustPut(app, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.IndexType,
					"manifests": bench.entries, "annotations": map[string]string{"n": fmt.Sprint(i)}}))
			}
		})
	}
}
