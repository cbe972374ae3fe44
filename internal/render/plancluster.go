package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// cluster names the cluster of a plan in one line.
func cluster(t plan.Target) string {
	s := fmt.Sprintf("Cluster %s: account %s, region %s", clean(t.Name), t.Account, t.Region)
	if t.Endpoint != "" {
		s += ", at " + clean(t.Endpoint)
	}
	return s
}

// cluster writes what each node role gets or loses, then the findings, then
// the counts.
func (p *printer) cluster(c plan.Cluster, stack string) {
	p.linef(bold, "%s", cluster(c.Target))
	for _, r := range c.Roles {
		p.role(r, stack)
	}
	p.findings(c.Findings)
	if len(c.Roles) > 0 {
		p.linef(bold, "%s", clusterSummary(c))
	}
}

func (p *printer) role(r plan.RoleChange, stack string) {
	found := ""
	if len(r.Found) > 0 {
		found = "  (" + clean(strings.Join(r.Found, ", ")) + ")"
	}
	others := words.Count(len(r.After.Stacks), "other stack needs", "other stacks need")
	switch r.Op {
	case plan.RoleAttach:
		p.linef(green, "+ %s: attach %s%s", clean(r.Role), policyName(r), found)
	case plan.RoleJoin:
		p.linef(yellow, "~ %s: mark as needed by stack %s; it has %s of stack %s%s",
			clean(r.Role), clean(stack), policyName(r), clean(strings.Join(r.Before.Stacks, ", ")), found)
	case plan.RoleLeave:
		why := others + " " + policyName(r)
		if len(r.After.Stacks) == 0 {
			why = policyName(r) + " is no longer attached"
		}
		p.linef(yellow, "~ %s: remove the mark of stack %s (%s)", clean(r.Role), clean(stack), why)
	case plan.RoleDetach:
		p.linef(red, "- %s: detach %s, which no stack needs now", clean(r.Role), policyName(r))
	default:
		p.linef(plain, "  %s: unchanged%s", clean(r.Role), found)
	}
	if n := r.Pulls; n != nil {
		line := fmt.Sprintf("may pull from %d of %s", n.Before, words.Count(n.Of, "repository", "repositories"))
		if n.After != n.Before && r.Op == plan.RoleAttach {
			line += fmt.Sprintf(", then from %d", n.After)
		}
		p.linef(plain, "    %s", line)
	}
}

// policyName is the last part of the policy's ARN.
func policyName(r plan.RoleChange) string {
	return clean(r.Policy[strings.LastIndexByte(r.Policy, '/')+1:])
}

// clusterSummary is the counts of c in one line.
func clusterSummary(c plan.Cluster) string {
	if len(c.Errors()) > 0 {
		return fmt.Sprintf("Node roles: %s, so it cannot be applied.", words.Count(len(c.Errors()), "error", "errors"))
	}
	if len(c.Pending()) == 0 {
		return fmt.Sprintf("Node roles: nothing to do for %s.", words.Count(len(c.Roles), "role", "roles"))
	}
	var words []string
	for _, x := range []struct {
		op   plan.RoleOp
		what string
	}{{plan.RoleAttach, "to attach to"}, {plan.RoleJoin, "to mark"}, {plan.RoleLeave, "to unmark"}, {plan.RoleDetach, "to detach from"}} {
		if n := c.Count(x.op); n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, x.what))
		}
	}
	return fmt.Sprintf("Node roles: %s, %d unchanged.", strings.Join(words, ", "), c.Count(plan.RoleNone))
}

// clusters adds the clusters' part of a set for a pull request.
func (d *markdown) clusters(s plan.Set) {
	for _, c := range s.Clusters {
		head := fmt.Sprintf("\n### %s\n\n", escapeMarkdown(cluster(c.Target)))
		if len(c.Roles) > 0 {
			head += escapeMarkdown(clusterSummary(c)) + "\n"
		}
		d.add(rankKept, head, nil, "")
		var rows []string
		for _, r := range c.Pending() {
			pulls := ""
			if n := r.Pulls; n != nil {
				pulls = fmt.Sprintf("%d of %s", n.After, words.Count(n.Of, "repository", "repositories"))
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", r.Op, escapeMarkdown(clean(r.Role)), pulls))
		}
		if len(rows) > 0 {
			d.add(rankTable, "\n| | node role | may pull from |\n|---|---|---|\n", rows, "")
		}
		d.findings(c.Findings)
	}
	for _, f := range s.ClusterFailures {
		d.add(rankError, fmt.Sprintf("\n### %s\n\n", escapeMarkdown(cluster(f.Target))),
			[]string{fmt.Sprintf("**Could not be read:** %s\n", escapeMarkdown(clean(f.Error)))}, "")
	}
}

// ClusterResult writes what became of each node role, and the counts.
func ClusterResult(w io.Writer, r clusters.Result, o Options) error {
	pr := newPrinter(o)
	for _, x := range r.Roles {
		past := map[plan.RoleOp]string{
			plan.RoleAttach: "may pull now", plan.RoleJoin: "marked", plan.RoleLeave: "unmarked", plan.RoleDetach: "Kontor no longer lets it pull",
		}[x.Op]
		switch x.Status {
		case deploy.StatusDone:
			pr.linef(green, "%s: %s: %s", clean(r.Target.Name), clean(x.Role), past)
		default:
			pr.linef(red, "%s: %s: not changed: %s", clean(r.Target.Name), clean(x.Role), clean(x.Error))
		}
	}
	c := green
	if r.Count(deploy.StatusDone) < len(r.Roles) {
		c = red
	}
	pr.linef(c, "Applied to cluster %s: %d of %s done.", clean(r.Target.Name), r.Count(deploy.StatusDone), words.Count(len(r.Roles), "node role", "node roles"))
	return pr.flush(w)
}
