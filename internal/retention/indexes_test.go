package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Every index is listed once, whatever the pages; nothing counts as pulled.
func TestIndexManifests(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	want := map[ecr.Digest]string{}
	for i := range 7 {
		image := imageOf(f, to, []ecr.Tag{ecr.Tag(fmt.Sprint("v", i))}, fmt.Sprint("config", i), "layer")
		list := testkit.Index(image)
		f.MustPut(to, list, ecr.Tag(fmt.Sprint("list", i)))
		want[ecr.DigestOf(list)] = string(list)
	}
	imageOf(f, f.Repo("other", ecr.Mutable), nil, "elsewhere")
	for _, limit := range []int{1, 2, 6, 7, 100} {
		got := map[ecr.Digest]string{}
		var order []ecr.Digest
		for after := ecr.Digest(""); ; {
			page, next, now, err := f.IndexManifests(ctx, to, after, limit)
			if err != nil || len(page) > limit || !now.Equal(f.Now()) {
				t.Fatalf("%d manifests, %v, %v", len(page), now, err)
			}
			for _, m := range page {
				got[m.Digest] = string(m.Body)
				order = append(order, m.Digest)
			}
			if after = next; after == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(order) != len(want) || !slices.IsSorted(order) {
			t.Errorf("in pages of %d: %v (-want +got):\n%s", limit, order, diff)
		}
	}
	if err := f.Retention.FlushPulls(ctx); err != nil {
		t.Fatal(err)
	}
	all, _, err := f.ListImageDetails(ctx, to, "", "", 100)
	if err != nil || len(all) != 14 {
		t.Fatalf("%d images, %v", len(all), err)
	}
	for _, m := range all {
		if !m.LastPulledAt.IsZero() {
			t.Errorf("%s counts as pulled at %s", m.Digest, m.LastPulledAt)
		}
	}
}

// Manifests of 4 MiB come one a page.
func TestIndexManifestsAreBounded(t *testing.T) {
	f := openBin(t)
	to := f.Repo("app", ecr.Mutable)
	image := imageOf(f, to, nil, "config", "layer")
	for i := range 3 {
		f.MustPut(to, testkit.JSON(map[string]any{
			"schemaVersion": 2, "mediaType": testkit.IndexType, "annotations": map[string]string{"filling": fmt.Sprint(i) + strings.Repeat("x", 3<<20)},
			"manifests": []testkit.Desc{testkit.DescOf(testkit.ImageType, image)},
		}), ecr.Tag(fmt.Sprint("v", i)))
	}
	n := 0
	for after := ecr.Digest(""); ; n++ {
		page, next, _, err := f.IndexManifests(t.Context(), to, after, 100)
		if err != nil || len(page) != 1 {
			t.Fatalf("%d manifests, %v", len(page), err)
		}
		if after = next; after == "" {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d pages, want 3", n+1)
	}
}
