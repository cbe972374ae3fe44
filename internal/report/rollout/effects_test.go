package rollout_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// What many principals gain alike is told once.
func TestManyPrincipals(t *testing.T) {
	var e plan.AccessEffects
	for i := range 7 {
		id := fmt.Sprintf("%012d", 400+i)
		c := plan.AccessChange{Principal: id, Rights: []plan.RightChange{{Right: "pull", Before: "denied", After: "unseen"}}}
		if i > 0 {
			c.MustAllow = &plan.MustAllow{Account: "444444444444", Policy: "{}"}
		}
		e.Changes = append(e.Changes, c)
	}
	got := rollout.EffectsOf(&plan.Effects{Access: &e})
	if len(got) != 1 {
		t.Fatalf("%d effects", len(got))
	}
	all := len(got[0].All)
	got[0].All = nil
	want := rollout.Effect{
		Kind: rollout.EffectPeople, Action: plan.Add, Text: "each of 7 accounts gains pull, 6 of them once their own accounts allow it, too", More: 2,
		Items: []string{"account 000000000400", "account 000000000401", "account 000000000402", "account 000000000403", "account 000000000404"},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" || all != 7+6 {
		t.Errorf("%d lines of all (-want +got):\n%s", all, diff)
	}
}

// The size of images that go has what is free without them, where that is known and
// another size.
func TestFreedBytes(t *testing.T) {
	bytes := func(n int64) *int64 { return &n }
	horizon := func(days, count int, size int64, freed *int64) plan.Horizon {
		return plan.Horizon{Days: days, Images: plan.Images{Count: count, SizeBytes: size}, FreedBytes: freed}
	}
	for _, c := range []struct {
		name string
		e    plan.ImageEffects
		want string
	}{
		{"less than the sum", plan.ImageEffects{Count: 5, Expire: []plan.Horizon{horizon(0, 1, 3<<20, bytes(1<<20)), horizon(7, 2, 6<<20, bytes(0))}},
			"of 5 images, 1 expires (3.0 MiB, frees 1.0 MiB) at the next run, 2 (6.0 MiB, frees 0 B) within 7 days, which the old policy keeps"},
		{"the sum", plan.ImageEffects{Count: 5, Expire: []plan.Horizon{horizon(0, 1, 3<<20, bytes(3<<20))}},
			"of 5 images, 1 expires (3.0 MiB) at the next run, which the old policy keeps"},
		{"not known", plan.ImageEffects{Count: 5, Expire: []plan.Horizon{horizon(0, 1, 3<<20, nil)}},
			"of 5 images, 1 expires (3.0 MiB) at the next run, which the old policy keeps"},
		{"a deletion", plan.ImageEffects{Count: 2, Deleted: &plan.Horizon{Images: plan.Images{Count: 2, SizeBytes: 3 << 20}, FreedBytes: bytes(2 << 20)}},
			"2 images (3.0 MiB, frees 2.0 MiB) deleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rollout.EffectsOf(&plan.Effects{Images: &c.e})
			if len(got) != 1 || got[0].Text != c.want {
				t.Errorf("%+v, want %q", got, c.want)
			}
		})
	}
}
