package registry_test

import (
	"fmt"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// BenchmarkTags reads an image by one of its tags, and gives it one more. What it
// costs must not depend on how many tags it has.
func BenchmarkTags(b *testing.B) {
	for _, tags := range []int{1, 10_000, 50_000} {
		f := testkit.Open(b, testkit.Settings{Compat: registry.CompatECR})
		to := f.Repo("app", ecr.Mutable)
		body := f.Image(to, "x")
		n := 0
		more := func(count int) (some []ecr.Tag) {
			for range count {
				some = append(some, ecr.Tag(fmt.Sprintf("t%d", n)))
				n++
			}
			return some
		}
		for n < tags {
			f.MustPut(to, body, more(min(tags, 5_000))...)
		}
		b.Run(fmt.Sprintf("HEAD by tag, %d tags", tags), func(b *testing.B) {
			for b.Loop() {
				if _, err := f.StatManifest(b.Context(), to, ecr.ImageID{Tag: "t0"}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("PUT of one more tag, %d tags", tags), func(b *testing.B) {
			for b.Loop() {
				f.MustPut(to, body, more(1)...)
			}
		})
	}
}
