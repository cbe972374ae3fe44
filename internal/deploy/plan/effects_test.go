package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/lifecycle"
)

func TestEffects(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keep := func(n int) string {
		return fmt.Sprintf(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`, n)
	}
	var images []lifecycle.Image
	for i := range 15 {
		images = append(images, lifecycle.Image{Digest: fmt.Sprint("sha256:", i), PushedAt: now.AddDate(0, 0, -i), SizeBytes: 10})
		if i != 14 {
			images[i].Tags = []string{fmt.Sprint("v", i), "x"}
		}
	}
	images[14].LastPulledAt = now.AddDate(0, 0, -3)
	images[13].LastPulledAt = now.AddDate(0, 0, -8)
	for _, c := range []struct {
		name, before, after string
		linked              bool
		want                plan.Effects
	}{
		{"fewer stay", keep(14), keep(12), true, plan.Effects{Images: 15, Lost: plan.Images{Count: 2, SizeBytes: 20}, Names: []string{"v12", "v13"}}},
		{"a policy where there was none", "", keep(13), true, plan.Effects{Images: 15, Lost: plan.Images{Count: 2, SizeBytes: 20}, Pulled: 1, Names: []string{"v13", "sha256:14"}}},
		{"no policy any longer", keep(13), "", true, plan.Effects{Images: 15, Gained: plan.Images{Count: 2, SizeBytes: 20}}},
		{"indexes that are not known", keep(14), keep(13), false, plan.Effects{Images: 15, Lost: plan.Images{Count: 1, SizeBytes: 10}, Perhaps: 1, Names: []string{"v13"}}},
		{"many", "", keep(1), true, plan.Effects{Images: 15, Lost: plan.Images{Count: 14, SizeBytes: 140}, Pulled: 1, Names: []string{"v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10"}}},
	} {
		got, err := plan.EffectsOf(c.before, c.after, lifecycle.Options{}, images, c.linked, now)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	if _, err := plan.EffectsOf("{", keep(1), lifecycle.Options{}, images, true, now); err == nil {
		t.Error("a policy that cannot be read has effects")
	}
}
