package render

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Question asks in a few words whether the plans may be applied: what that does to
// images and people, how much changes, how much is deleted, and where. One of both
// is not empty.
func Question(registries []plan.Plan, clusters []plan.Cluster) string {
	var parts []string
	if len(registries) > 0 {
		parts = append(parts, repositoryQuestion(registries))
	}
	if len(clusters) > 0 {
		parts = append(parts, clusterQuestion(clusters))
	}
	question := words.Sentence(strings.Join(parts, ", and ")) + "?"
	if effects := rollout.Summary(registries); effects != "" {
		return words.Sentence(effects) + ". " + question
	}
	return question
}

func repositoryQuestion(plans []plan.Plan) string {
	changes, deletes, images := 0, 0, 0
	settings, ends := 0, 0
	for _, p := range plans {
		for _, c := range p.PendingTemplates() {
			if c.Op == plan.OpDelete {
				ends++
			} else {
				settings++
			}
		}
		for _, c := range p.PendingUpstreams() {
			if c.Op == plan.OpDelete {
				ends++
			} else {
				settings++
			}
		}
		for _, c := range p.PendingSigners() {
			if c.Op == plan.OpDelete {
				ends++
			} else {
				settings++
			}
		}
		for _, c := range p.PendingReceivers() {
			if c.Op == plan.OpDelete {
				ends++
			} else {
				settings++
			}
		}
		if c, ok := p.PendingReplication(); ok && c.Op == plan.OpDelete {
			ends++
		} else if ok {
			settings++
		}
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
	var parts []string
	if changes > 0 {
		parts = append(parts, "change "+words.Count(changes, "repository", "repositories"))
	}
	if deletes > 0 {
		parts = append(parts, "DELETE "+words.Count(deletes, "repository", "repositories"))
		if images > 0 {
			parts[len(parts)-1] += " with " + words.Count(images, "image", "images")
		}
	}
	if settings > 0 {
		parts = append(parts, "change "+words.Count(settings, "registry setting", "registry settings"))
	}
	if ends > 0 {
		parts = append(parts, "DELETE "+words.Count(ends, "registry setting", "registry settings"))
	}
	where := words.Count(len(plans), "registry", "registries")
	if len(plans) == 1 {
		t := plans[0].Target
		where = fmt.Sprintf("registry %s (account %s, region %s)", t.Name, t.Account, t.Region)
	}
	return words.And(parts) + " of " + where
}

func clusterQuestion(plans []plan.Cluster) string {
	gain, lose := 0, 0
	accounts := map[ecr.AccountID]bool{}
	for _, p := range plans {
		accounts[p.Target.Account] = true
		gain += p.Count(plan.RoleAttach) + p.Count(plan.RoleJoin)
		lose += p.Count(plan.RoleLeave) + p.Count(plan.RoleDetach)
	}
	var parts []string
	if gain > 0 {
		parts = append(parts, "let "+words.Count(gain, "node role", "node roles")+" pull")
	}
	if lose > 0 {
		parts = append(parts, "remove pull access from "+words.Count(lose, "node role", "node roles"))
	}
	return strings.Join(parts, " and ") + " in " + words.Count(len(accounts), "account", "accounts")
}
