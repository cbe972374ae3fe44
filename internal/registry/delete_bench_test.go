package registry_test

import (
	"fmt"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// BenchmarkBatchDeleteImage deletes 100 images with a tag each, as much as one call may.
func BenchmarkBatchDeleteImage(b *testing.B) {
	f := testkit.Open(b, testkit.Settings{Compat: registry.CompatECR, RecycleTime: testkit.Hour})
	to := f.Repo("app", ecr.Mutable)
	n := 0
	for b.Loop() {
		b.StopTimer()
		var ids []ecr.ImageID
		for range 100 {
			n++
			f.MustPut(to, f.Image(to, fmt.Sprint(n)), ecr.Tag(fmt.Sprintf("t%d", n)))
			ids = append(ids, ecr.ImageID{Tag: ecr.Tag(fmt.Sprintf("t%d", n))})
		}
		b.StartTimer()
		gone, failures, err := f.BatchDeleteImage(b.Context(), to, ids)
		if err != nil || len(gone) != 100 || len(failures) != 0 {
			b.Fatal(len(gone), failures, err)
		}
	}
}
