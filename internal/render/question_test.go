package render_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
)

// TestQuestion: what is asked names how much changes, how much is DELETED with
// how many images, and where.
func TestQuestion(t *testing.T) {
	at := func(name string, changes ...plan.Change) plan.Plan {
		return plan.Plan{Target: plan.Target{Name: name, Account: "111111111111", Region: "us-east-2"}, Changes: changes}
	}
	update := plan.Change{Repository: "api", Op: plan.OpUpdate}
	deletion := plan.Change{Repository: "old", Op: plan.OpDelete}
	withImages := plan.Change{Repository: "older", Op: plan.OpDelete, Images: &plan.Images{Count: 3}}
	same := plan.Change{Repository: "web", Op: plan.OpNone}
	for want, todo := range map[string][]plan.Plan{
		"Change 1 repository of registry prod (account 111111111111, region us-east-2)?":                                         {at("prod", update, same)},
		"Change 1 repository and DELETE 2 repositories with 3 images of registry prod (account 111111111111, region us-east-2)?": {at("prod", update, deletion, withImages)},
		"DELETE 1 repository of registry prod (account 111111111111, region us-east-2)?":                                         {at("prod", deletion)},
		"Change 2 repositories and DELETE 1 repository with 3 images of 2 registries?":                                           {at("prod", update, withImages), at("europe", update)},
	} {
		t.Run(want, func(t *testing.T) {
			if got := render.Question(todo, nil); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
