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
