package effects_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/effects"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/lifecycle"
)

// drawFile is a file of one repository, app, as it compiles for the registry.
func drawFile(t *rapid.T, label string) state.Repository {
	var b strings.Builder
	pick := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label+" "+what) }
	fmt.Fprintf(&b, "stack: s\necr_repositories:\n  app:\n    is_immutable: %s\n    expire_all_images: %s\n    expire_untagged_after_days: %s\n",
		pick("immutable", "true", "false"), pick("all", "true", "false"), pick("untagged", "never", "1", "3", "20"))
	patterns := []string{"pr-*", "main-*", "v*", "*-rc"}
	used := rapid.IntRange(0, len(patterns)).Draw(t, label+" rules")
	b.WriteString("    expiration_rules:" + map[bool]string{true: " []"}[used == 0] + "\n")
	for _, p := range rapid.Permutation(patterns).Draw(t, label+" patterns")[:used] {
		fmt.Fprintf(&b, "      - {tag_pattern: %q, %s: %d}\n", p, pick("kind", "days", "keep_last"), rapid.IntRange(1, 40).Draw(t, label+" number"))
	}
	if rapid.Bool().Draw(t, label+" keeps") {
		b.WriteString("    keep: [\"v1*\"]\n")
	}
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(b.String())})
	if err != nil {
		t.Fatalf("%v:\n%s", err, &b)
	}
	return f.Desired(ecr.LocalRegistry()).Repositories[0]
}

// drawImages are images of lines, some in an index and some that refer to another.
func drawImages(t *rapid.T) []lifecycle.Image {
	tags := []string{"pr-1", "pr-2", "main-1", "main-2", "main-3", "v1.0", "v1.1", "v2.0", "v2.1-rc", "latest"}
	images := make([]lifecycle.Image, rapid.IntRange(0, 14).Draw(t, "images"))
	free := rapid.Permutation(tags).Draw(t, "tags")
	for i := range images {
		m := &images[i]
		m.Digest, m.SizeBytes = fmt.Sprintf("sha256:%02d", i), int64(i)
		m.PushedAt = now.Add(-time.Duration(rapid.IntRange(0, 45*24).Draw(t, "age")) * time.Hour)
		if len(free) > 0 && rapid.IntRange(0, 2).Draw(t, "tagged") > 0 {
			m.Tags, free = free[:1:1], free[1:]
		}
		if i > 0 {
			other := images[rapid.IntRange(0, i-1).Draw(t, "other")].Digest
			switch rapid.IntRange(0, 4).Draw(t, "part") {
			case 0:
				m.Children = []string{other}
			case 1:
				m.Subject = other
			}
		}
		if rapid.Bool().Draw(t, "pulled") {
			m.LastPulledAt = m.PushedAt.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "after")) * time.Hour)
		}
	}
	return images
}

// TestThePlanAgreesWithTheForecast: for random files and images, what the plan from
// one to the other says is the difference of what `kontor lifecycle forecast` says of
// either, and of what runs do that are made one after the other.
func TestThePlanAgreesWithTheForecast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after, images := drawFile(t, "before"), drawFile(t, "after"), drawImages(t)
		options := rapid.SampledFrom([]lifecycle.Options{{}, lifecycle.PredictAWS()}).Draw(t, "options")
		before.Tags = map[string]string{state.TagStack: "s"}
		in := state.Target{Name: "local", Registry: ecr.LocalRegistry(), Local: true}
		p := plan.Diff(
			state.Desired{Stack: "s", Targets: []state.Target{in}, Repositories: []state.Repository{after}, ByTarget: map[string][]state.Repository{"local": {after}}},
			state.Observed{Target: in, Repositories: map[ecr.RepositoryName]state.Repository{"app": before}},
		)
		c := p.Changes[0]
		if !c.Has(plan.FieldLifecycle) {
			if before.Lifecycle != after.Lifecycle && !plan.EqualLifecycle(before.Lifecycle, after.Lifecycle) {
				t.Fatal("a difference is not planned")
			}
			return
		}
		e, _, err := effects.OfImages(c, effects.Images{List: images, Linked: true, At: now, Options: options})
		if err != nil {
			t.Fatal(err)
		}
		old, next := goes(t, before.Lifecycle, images, options), goes(t, after.Lifecycle, images, options)
		for _, days := range effects.Horizons() {
			var expire, saved []string
			var bytes int64
			for _, m := range images {
				was, went := old[m.Digest]
				is, going := next[m.Digest]
				switch then, later := went && was <= days, going && is <= days; {
				case later && !then:
					expire, bytes = append(expire, m.Digest), bytes+m.SizeBytes
				case then && !later:
					saved = append(saved, m.Digest)
				}
			}
			got, stay := plan.At(e.Expire, days), plan.At(e.Saved, days)
			if got.Count != len(expire) || got.SizeBytes != bytes || stay.Count != len(saved) {
				t.Fatalf("within %d days: %+v expire and %+v stay, want %v and %v", days, got, stay, expire, saved)
			}
			for _, d := range expire {
				if !slices.ContainsFunc(e.Going, func(g plan.Going) bool { return g.Digest == d && g.Days == next[d] }) {
					t.Fatalf("%s is not named for day %d: %+v", d, next[d], e.Going)
				}
			}
		}
	})
}

// goes is the day on which each image expires under the text of a policy: by the
// report of the forecast, and the same by runs made here.
func goes(t *rapid.T, text string, images []lifecycle.Image, options lifecycle.Options) map[string]int {
	p := lifecycle.Policy{}
	if text != "" {
		var err error
		if p, err = lifecycle.Decode([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	const ahead = 30
	told := map[string]int{}
	f := report.NewForecast(report.Lifecycle{At: now, Policy: p, Images: images, Known: true, Options: options}, ahead, lifecycle.RateNone)
	for day, run := range f.Days {
		for _, r := range run.Rules {
			for _, d := range r.Digests {
				told[d] = day
			}
		}
	}
	done, left := map[string]int{}, slices.Clone(images)
	for day := range ahead + 1 {
		var kept []lifecycle.Image
		for i, o := range options.Decide(p, left, now.AddDate(0, 0, day)) {
			if o.Action == lifecycle.Expire {
				done[o.Digest] = day
			} else {
				kept = append(kept, left[i])
			}
		}
		left = kept
	}
	if diff := cmp.Diff(done, told); diff != "" {
		t.Fatalf("the forecast is not what runs do (-runs +forecast):\n%s", diff)
	}
	return told
}
