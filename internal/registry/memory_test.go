package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// purse is a budget with so many bytes left.
type purse struct{ left int64 }

var errSpent = errors.New("spent")

func (p *purse) Take(n int64) error {
	if n > p.left {
		return errSpent
	}
	p.left -= n
	return nil
}

// What is read for an answer is counted before it is read.
func TestAnswersAreCounted(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := f.Repo("app", ecr.Mutable)
	annotated := func(n, size int) []byte {
		return []byte(strings.TrimSuffix(string(f.Image(app, fmt.Sprint(n))), "}") + `,"annotations":{"a":"` + strings.Repeat("x", size) + `"}}`)
	}
	body := annotated(0, 3<<20)
	d := f.MustPut(app, body, "v1")
	id := ecr.ImageID{Digest: d}
	size := int64(len(body))
	for _, tt := range []struct {
		name string
		cost int64
		call func(p *purse) error
	}{
		{"Manifest", size, func(p *purse) error { _, err := f.Manifest(budget.With(t.Context(), p), app, id); return err }},
		{"StatManifest", size, func(p *purse) error { _, err := f.StatManifest(budget.With(t.Context(), p), app, id); return err }},
		{"BatchGetImage", 11 * size, func(p *purse) error {
			images, _, err := f.BatchGetImage(budget.With(t.Context(), p), app, []ecr.ImageID{id, {Tag: "v1"}, id, id, {Tag: "v1", Digest: d}})
			if err == nil && (len(images) != 5 || string(images[4].Body) != string(body)) {
				t.Errorf("got %d images", len(images))
			}
			return err
		}},
		{"DescribeImages", 0, func(p *purse) error {
			_, err := f.DescribeImages(budget.With(t.Context(), p), app, []ecr.ImageID{id})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &purse{tt.cost}
			if err := tt.call(p); err != nil || p.left != 0 {
				t.Errorf("%d of %d bytes left, %v", p.left, tt.cost, err)
			}
			if err := tt.call(&purse{tt.cost - 1}); tt.cost > 0 && !errors.Is(err, errSpent) {
				t.Errorf("with a byte less: %v", err)
			}
		})
	}
	six := []ecr.ImageID{id, id, id, id, id, id}
	_, _, err := f.BatchGetImage(t.Context(), app, six)
	testkit.WantCode(t, err, ecr.CodeLimitExceeded, "Ask for fewer images at once")
}

// A page of referrers ends where its annotations come to 4 MiB, and every
// referrer is on one page.
func TestPagesOfLargeReferrers(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	app := f.Repo("app", ecr.Mutable)
	subject := f.Image(app, "subject")
	f.MustPut(app, subject)
	for n, size := range []int{10, 3 << 20, 100, manifest.MaxSize - 2000, 2 << 20, 1 << 20, 5} {
		body := strings.TrimSuffix(string(f.Referrer(app, fmt.Sprint(n), subject)), "}")
		f.MustPut(app, []byte(body+`,"annotations":{"a":"`+strings.Repeat("x", size)+`"}}`))
	}
	for _, artifactType := range []string{"", "application/x-signature"} {
		step := 1
		if race.Enabled {
			step = 4 // 1, 5 and 9: it reads much
		}
		for limit := 1; limit <= 9; limit += step {
			seen, pages := map[ecr.Digest]bool{}, 0
			for after := ecr.Digest(""); ; pages++ {
				p := &purse{2 * meta.MaxListedAnnotations}
				list, next, err := f.ListReferrers(budget.With(t.Context(), p), app, ecr.DigestOf(subject), artifactType, after, limit)
				if err != nil || len(list) == 0 || len(list) > limit {
					t.Fatalf("%d referrers, %v", len(list), err)
				}
				for _, r := range list {
					if len(r.Annotations["a"]) < 5 || seen[r.Digest] {
						t.Errorf("referrer %s: %d bytes, seen %v", r.Digest, len(r.Annotations["a"]), seen[r.Digest])
					}
					seen[r.Digest] = true
				}
				if after = next; next == "" {
					break
				}
			}
			if len(seen) != 7 {
				t.Errorf("limit %d: %d referrers", limit, len(seen))
			}
		}
		if list, next, err := f.ListReferrers(t.Context(), app, ecr.DigestOf(subject), "other/type", "", 3); len(list) > 0 || next != "" || err != nil {
			t.Errorf("of another type: %d, %q, %v", len(list), next, err)
		}
	}
}
