package registry_test

import (
	"fmt"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// An image of 100,000 tags is listed whole and in order, page by page,
// described with all of them, and goes with all of them. With the race detector
// it has 20,000.
func TestManyTagsOfOneImage(t *testing.T) {
	const batch, page = 5_000, 1_000
	tags := 100_000
	if race.Enabled {
		tags = 20_000
	}
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	body := f.Image(to, "x")
	tag := func(i int) ecr.Tag { return ecr.Tag(fmt.Sprintf("t%06d", i)) }
	for first := 0; first < tags; first += batch {
		var some []ecr.Tag
		for i := range batch {
			some = append(some, tag(first+i))
		}
		f.MustPut(to, body, some...)
	}
	digest := ecr.DigestOf(body)

	var after ecr.Tag
	seen := 0
	for more := true; more; {
		list, next, err := f.ListTags(ctx, to, after, page)
		if err != nil || len(list) == 0 || len(list) > page {
			t.Fatalf("a page of %d tags after %s: %v", len(list), after, err)
		}
		for _, got := range list {
			if got != tag(seen) {
				t.Fatalf("tag %d is %s", seen, got)
			}
			seen++
		}
		after, more = list[len(list)-1], next
	}
	if seen != tags {
		t.Errorf("%d tags were listed by name", seen)
	}
	distinct := map[ecr.Tag]bool{}
	for from := (ecr.ImageID{}); ; {
		ids, next, err := f.ListImages(ctx, to, ecr.TagStatusAny, from, page)
		if err != nil || len(ids) > page {
			t.Fatalf("a page of %d images: %v", len(ids), err)
		}
		for _, id := range ids {
			if id.Digest != digest {
				t.Fatalf("%+v is another image", id)
			}
			distinct[id.Tag] = true
		}
		if next == (ecr.ImageID{}) {
			break
		}
		from = next
	}
	if len(distinct) != tags {
		t.Errorf("%d tags were listed as images", len(distinct))
	}
	images, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Tag: tag(7)}})
	if err != nil || len(images) != 1 || len(images[0].Tags) != tags {
		t.Fatalf("%d images described: %v", len(images), err)
	}
	if err := f.DeleteTag(ctx, to, tag(7)); err != nil {
		t.Fatal(err)
	}
	gone, failures, err := f.BatchDeleteImage(ctx, to, []ecr.ImageID{{Digest: digest}})
	if err != nil || len(failures) != 0 || len(gone) != tags-1 {
		t.Errorf("%d tags deleted, failures %v, %v", len(gone), failures, err)
	}
	if left, _, err := f.ListTags(ctx, to, "", page); err != nil || len(left) != 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}
