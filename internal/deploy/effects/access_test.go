package effects_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/effects"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var registry = ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}

// granting is a change of the repository policy alone; "" for no repository.
func granting(op plan.Op, before, after string) plan.Change {
	c := plan.Change{Repository: "app", Op: op, Differences: []plan.Difference{{Field: plan.FieldPolicy, Action: plan.Modify}}}
	if op != plan.OpCreate {
		c.Before = &plan.Settings{Policy: before}
	}
	if op != plan.OpDelete {
		c.After = &plan.Settings{Policy: after}
	}
	return c
}

func TestOfPeople(t *testing.T) {
	const (
		ann      = "arn:aws:iam::111111111111:user/ann"
		admin    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
		pull     = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
		push     = `{"Version":"2012-10-17","Statement":[{"Sid":"Push","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchCheckLayerAvailability","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"]}]}`
		open     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["333333333333","arn:aws:iam::111111111111:role/gone"]},"Action":["ecr:BatchDeleteImage","ecr:SetRepositoryPolicy"]}]}`
		repo     = `arn:aws:ecr:us-east-1:111111111111:repository/app`
		pullHome = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"` + repo + `"}]}`
		pushHome = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},{"Effect":"Allow","Action":["ecr:BatchCheckLayerAvailability","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage","ecr:BatchGetImage"],"Resource":"` + repo + `"}]}`
	)
	p, err := proof.New(proof.World{
		Registries: map[ecr.RegistryID]proof.Registry{registry: {}}, Seen: []string{"111111111111"},
		Principals: []proof.Principal{{ARN: ann, Documents: []access.Document{{Name: "p", Text: admin}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	right := func(right, before, after string) plan.RightChange {
		return plan.RightChange{Right: right, Before: before, After: after}
	}
	owner := plan.Holder{Principal: ann, Rights: []string{"delete", "admin"}}
	for _, c := range []struct {
		name   string
		change plan.Change
		want   plan.AccessEffects
	}{
		{"a repository comes", granting(plan.OpCreate, "", pull), plan.AccessEffects{
			Changes: []plan.AccessChange{{
				Principal: "222222222222", Rights: []plan.RightChange{right("pull", "denied", "unseen")},
				MustAllow: &plan.MustAllow{Account: "222222222222", Policy: pullHome},
			}},
			Holders: []plan.Holder{owner},
		}},
		{"push in addition", granting(plan.OpUpdate, pull, push), plan.AccessEffects{
			Changes: []plan.AccessChange{{
				Principal: "222222222222", Rights: []plan.RightChange{right("push", "denied", "unseen")},
				MustAllow: &plan.MustAllow{Account: "222222222222", Policy: pushHome},
			}},
			Holders: []plan.Holder{owner},
		}},
		{"a repository goes", granting(plan.OpDelete, pull, ""), plan.AccessEffects{
			Changes: []plan.AccessChange{{Principal: "222222222222", Rights: []plan.RightChange{right("pull", "unseen", "denied")}}},
		}},
		{"someone else may delete and change policies, and one who is gone", granting(plan.OpAdopt, "", open), plan.AccessEffects{
			Changes: []plan.AccessChange{{
				Principal: "333333333333", Rights: []plan.RightChange{right("delete", "denied", "unseen"), right("admin", "denied", "partly")},
				MustAllow: &plan.MustAllow{Account: "333333333333", Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchDeleteImage","ecr:SetRepositoryPolicy"],"Resource":"` + repo + `"}]}`},
			}},
			Holders: []plan.Holder{{Principal: "333333333333", Rights: []string{"delete", "admin"}, IfAllowed: true, Foreign: true}, owner},
			Absent:  []plan.Absent{{Principal: "arn:aws:iam::111111111111:role/gone", Statement: "#1"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !effects.MayTouchPeople(c.change) {
				t.Error("people are said not to matter")
			}
			got, err := effects.OfPeople(p, registry, c.change, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := effects.OfPeople(p, registry, granting(plan.OpUpdate, "{", pull), nil, nil); err == nil {
		t.Error("a policy that cannot be read has effects")
	}
}
