package effects_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/effects"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func keep(n int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`, n)
}

func days(n int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":2,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":%d},"action":{"type":"expire"}}]}`, n)
}

// image is one of some bytes that was pushed days ago.
func image(name string, days int, tags ...string) lifecycle.Image {
	return lifecycle.Image{Digest: "sha256:" + name, PushedAt: now.AddDate(0, 0, -days), SizeBytes: 10, Tags: tags}
}

// another is a change of the lifecycle policy alone.
func another(before, after string) plan.Change {
	return plan.Change{
		Repository: "app", Op: plan.OpUpdate, Before: &plan.Settings{Lifecycle: before}, After: &plan.Settings{Lifecycle: after},
		Differences: []plan.Difference{{Field: plan.FieldLifecycle, Action: plan.Modify}},
	}
}

// short is what expires and what stays, by horizon, and what goes.
func short(e *plan.ImageEffects) string {
	var out []string
	for _, l := range []struct {
		name string
		list []plan.Horizon
	}{{"expire", e.Expire}, {"saved", e.Saved}} {
		s := l.name
		for _, h := range l.list {
			s += fmt.Sprintf(" %d:%d/%dB", h.Days, h.Count, h.SizeBytes)
			for _, x := range []struct {
				name string
				n    int
			}{{"used", h.InUse}, {"pulled", h.Pulled}, {"deployed", h.Deployed}, {"newest", h.Newest}, {"perhaps", h.Perhaps}} {
				if x.n > 0 {
					s += fmt.Sprintf("(%d %s)", x.n, x.name)
				}
			}
		}
		out = append(out, s)
	}
	for _, g := range e.Going {
		s := fmt.Sprintf("%s in %d by %d", g.Digest, g.Days, g.Rule)
		for _, why := range []string{g.UsedBy, g.Deployed, g.NewestOf} {
			if why != "" {
				s += " " + why
			}
		}
		if !g.PulledAt.IsZero() {
			s += " pulled " + g.PulledAt.Format(time.DateOnly)
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n")
}

func TestOfImages(t *testing.T) {
	five := []lifecycle.Image{image("a", 0), image("b", 1), image("c", 5), image("d", 8), image("e", 25)}
	pulled := append([]lifecycle.Image{}, five...)
	pulled[3].LastPulledAt, pulled[4].LastPulledAt = now.AddDate(0, 0, -1), now.AddDate(0, 0, -8)
	index := []lifecycle.Image{image("child", 3), image("index", 3, "prod"), image("other", 0, "prod-2")}
	index[1].Children = []string{"sha256:child"}
	lines := []lifecycle.Image{
		image("m1", 9, "main-1-0a1b2c3"), image("m2", 3, "main-2-4d5e6f7"), image("m3", 9, "feature-9"), image("m4", 9, "3f2c1d0"), image("m5", 10, "0000000"), image("v1", 8, "v1.2.0"),
	}
	for _, c := range []struct {
		name          string
		before, after string
		images        []lifecycle.Image
		unlinked      bool
		held          lifecycle.Held
		want          string
	}{
		{name: "fewer stay", before: keep(5), after: keep(3), images: five, want: `
expire 0:2/20B 7:2/20B 30:2/20B
saved 0:0/0B 7:0/0B 30:0/0B
sha256:d in 0 by 1
sha256:e in 0 by 1`},
		{name: "a policy where there was none, ahead", before: "", after: days(7), images: five, want: `
expire 0:2/20B 7:4/40B 30:5/50B
saved 0:0/0B 7:0/0B 30:0/0B
sha256:d in 0 by 2
sha256:e in 0 by 2
sha256:c in 3 by 2
sha256:b in 7 by 2
sha256:a in 8 by 2`},
		{name: "what expires later anyway", before: days(10), after: days(7), images: five, want: `
expire 0:1/10B 7:1/10B 30:0/0B
saved 0:0/0B 7:0/0B 30:0/0B
sha256:d in 0 by 2
sha256:b in 7 by 2`},
		{name: "no policy any longer", before: days(7), after: "", images: five, want: `
expire 0:0/0B 7:0/0B 30:0/0B
saved 0:2/20B 7:4/40B 30:5/50B`},
		{name: "pulled lately comes first", before: "", after: days(7), images: pulled[3:], want: `
expire 0:2/20B(1 pulled) 7:2/20B(1 pulled) 30:2/20B(1 pulled)
saved 0:0/0B 7:0/0B 30:0/0B
sha256:d in 0 by 2 pulled 2026-02-28
sha256:e in 0 by 2`},
		{name: "in use comes first of all", before: "", after: days(7), images: pulled[3:], held: lifecycle.Held{"sha256:e": "host db1"}, want: `
expire 0:2/20B(1 used)(1 pulled) 7:2/20B(1 used)(1 pulled) 30:2/20B(1 used)(1 pulled)
saved 0:0/0B 7:0/0B 30:0/0B
sha256:e in 0 by 2 host db1
sha256:d in 0 by 2 pulled 2026-02-28`},
		{name: "an index and then its child", before: "", after: days(2), images: index[:2], want: `
expire 0:1/10B(1 deployed) 7:2/20B(1 deployed) 30:2/20B(1 deployed)
saved 0:0/0B 7:0/0B 30:0/0B
sha256:index in 0 by 2 prod
sha256:child in 1 by 2`},
		{name: "indexes that are not known", before: "", after: days(2), images: []lifecycle.Image{image("child", 3)}, unlinked: true, want: `
expire 0:1/10B(1 perhaps) 7:1/10B(1 perhaps) 30:1/10B(1 perhaps)
saved 0:0/0B 7:0/0B 30:0/0B
sha256:child in 0 by 2`},
		{name: "versions, and the newest of lines of several", before: "", after: days(2), images: lines, want: `
expire 0:6/60B(1 deployed)(1 newest) 7:6/60B(1 deployed)(1 newest) 30:6/60B(1 deployed)(1 newest)
saved 0:0/0B 7:0/0B 30:0/0B
sha256:v1 in 0 by 2 v1.2.0
sha256:m2 in 0 by 2 main-*-*
sha256:m1 in 0 by 2
sha256:m3 in 0 by 2
sha256:m4 in 0 by 2
sha256:m5 in 0 by 2`},
		{name: "no images", before: "", after: days(2), want: `
expire 0:0/0B 7:0/0B 30:0/0B
saved 0:0/0B 7:0/0B 30:0/0B`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := effects.OfImages(another(c.before, c.after), effects.Images{List: c.images, Linked: !c.unlinked, At: now, InUse: c.held})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(c.want), short(got)); diff != "" || got.Count != len(c.images) || !got.At.Equal(now) {
				t.Errorf("%d images at %s (-want +got):\n%s", got.Count, got.At, diff)
			}
		})
	}
	for _, side := range [][2]string{{"{", keep(1)}, {keep(1), "{"}} {
		if _, _, err := effects.OfImages(another(side[0], side[1]), effects.Images{List: five, At: now}); err == nil {
			t.Errorf("a policy that cannot be read has effects: %q", side)
		}
	}
}

// A deletion takes everything, whatever the rules.
func TestOfADeletion(t *testing.T) {
	images := []lifecycle.Image{image("a", 1), image("b", 2, "prod")}
	got, _, err := effects.OfImages(plan.Change{Repository: "app", Op: plan.OpDelete}, effects.Images{List: images, At: now, InUse: lifecycle.Held{"sha256:a": "host db1"}})
	want := &plan.ImageEffects{
		At: now, Count: 2, Deleted: &plan.Horizon{Images: plan.Images{Count: 2, SizeBytes: 20}, InUse: 1, Deployed: 1},
		Going: []plan.Going{
			{Digest: "sha256:a", SizeBytes: 10, UsedBy: "host db1"},
			{Digest: "sha256:b", SizeBytes: 10, Tags: []string{"prod"}, Deployed: "prod"},
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Very many images are counted and not named.
func TestBoundOfNames(t *testing.T) {
	images := make([]lifecycle.Image, 5003)
	for i := range images {
		images[i] = image(fmt.Sprint(i), 9)
	}
	images[5002].Tags = []string{"prod"}
	got, _, err := effects.OfImages(plan.Change{Op: plan.OpDelete}, effects.Images{List: images, At: now})
	if err != nil || len(got.Going) != 5000 || got.Unlisted != 3 || got.Deleted.Count != 5003 || got.Going[0].Digest != "sha256:5002" {
		t.Errorf("%d named, %d not, %+v, %v", len(got.Going), got.Unlisted, got.Deleted, err)
	}
}

func TestOfMutability(t *testing.T) {
	images := []lifecycle.Image{image("a", 1, "v1", "main-1"), image("b", 2, "v2"), image("c", 3)}
	for _, c := range []struct {
		name          string
		before, after plan.Mutability
		want          plan.TagEffects
	}{
		{"all become overwritable", plan.Mutability{Mode: ecr.Immutable}, plan.Mutability{Mode: ecr.Mutable}, plan.TagEffects{Overwritable: 3, OverwritableTags: []ecr.Tag{"main-1", "v1", "v2"}}},
		{"all freeze", plan.Mutability{Mode: ecr.Mutable}, plan.Mutability{Mode: ecr.Immutable}, plan.TagEffects{Frozen: 3, FrozenTags: []ecr.Tag{"main-1", "v1", "v2"}}},
		{
			"both", plan.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"v*"}}, plan.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"main-*"}},
			plan.TagEffects{Overwritable: 1, Frozen: 2, OverwritableTags: []ecr.Tag{"main-1"}, FrozenTags: []ecr.Tag{"v1", "v2"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := effects.OfImages(plan.Change{
				Op: plan.OpUpdate, Before: &plan.Settings{Mutability: c.before}, After: &plan.Settings{Mutability: c.after},
				Differences: []plan.Difference{{Field: plan.FieldMutability, Action: plan.Modify}},
			}, effects.Images{List: images, At: now})
			if err != nil || got.Expire != nil || got.Tags == nil {
				t.Fatalf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(c.want, *got.Tags); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
