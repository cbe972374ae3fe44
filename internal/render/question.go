package render

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Question asks in a few words whether the plans may be carried out: how much
// changes, how much is deleted, and where. One of both is not empty.
func Question(registries []plan.Plan, clusters []plan.Cluster) string {
	var parts []string
	if len(registries) > 0 {
		parts = append(parts, repositoryQuestion(registries))
	}
	if len(clusters) > 0 {
		parts = append(parts, clusterQuestion(clusters))
	}
	words := strings.Join(parts, ", and ")
	return strings.ToUpper(words[:1]) + words[1:] + "?"
}

func repositoryQuestion(plans []plan.Plan) string {
	changes, deletes, images := 0, 0, 0
	for _, p := range plans {
		for _, c := range p.Pending() {
			if c.Op != plan.OpDelete {
				changes++
				continue
			}
			deletes++
			if c.Images != nil {
				images += c.Images.Count
			}
		}
	}
	var words []string
	if changes > 0 {
		words = append(words, "change "+count(changes, "repository", "repositories"))
	}
	if deletes > 0 {
		words = append(words, "DELETE "+count(deletes, "repository", "repositories"))
		if images > 0 {
			words[len(words)-1] += " with " + count(images, "image", "images")
		}
	}
	where := count(len(plans), "registry", "registries")
	if len(plans) == 1 {
		t := plans[0].Target
		where = fmt.Sprintf("registry %s (account %s, region %s)", t.Name, t.Account, t.Region)
	}
	return strings.Join(words, " and ") + " of " + where
}

func clusterQuestion(plans []plan.Cluster) string {
	gain, lose := 0, 0
	accounts := map[ecr.AccountID]bool{}
	for _, p := range plans {
		accounts[p.Target.Account] = true
		gain += p.Count(plan.RoleAttach) + p.Count(plan.RoleJoin)
		lose += p.Count(plan.RoleLeave) + p.Count(plan.RoleDetach)
	}
	var words []string
	if gain > 0 {
		words = append(words, "let "+count(gain, "node role", "node roles")+" pull")
	}
	if lose > 0 {
		words = append(words, "take that from "+count(lose, "node role", "node roles"))
	}
	return strings.Join(words, " and ") + " in " + count(len(accounts), "account", "accounts")
}
