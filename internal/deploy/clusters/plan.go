package clusters

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/policy"
)

// Member is a cluster of an account.
type Member struct {
	Cluster    state.Cluster
	Discovered bool // its roles are those that EKS knows
	Roles      []Role
	// Pulls are the repositories that its nodes are to pull from, with the
	// policies that the file makes for them.
	Pulls []proof.Repository
}

// Account is what Plan knows of one account.
type Account struct {
	// Members are its clusters of the file.
	Members []Member
	// People are the account's users and roles.
	People []proof.Principal
}

// Options say what Plan plans.
type Options struct {
	Stack string
	// Explicit: the file names its stack, so that what is of that name is the
	// file's to take away.
	Explicit bool
	// End is plan.Everything when the stack goes. The members' Roles are then
	// not looked at.
	End plan.End
	// Leave: roles of the stack that are no member's any more lose what they
	// have for it. Without, they are not looked at.
	Leave bool
	// RefreshOnly: the plan shows drift and cannot be carried out.
	RefreshOnly bool
}

// Plan says what the node roles of an account's clusters need. It has a plan
// for each member, in their order; a role of several is in the first one's.
func Plan(a Account, o Options) ([]plan.Cluster, error) {
	people := map[string]proof.Principal{}
	for _, p := range a.People {
		people[p.ARN] = p
	}
	owner := map[string]string{} // role to cluster
	var out []plan.Cluster
	for _, m := range a.Members {
		c := plan.Cluster{Target: TargetOf(m.Cluster), Discovered: m.Discovered, Roles: []plan.RoleChange{}, RefreshOnly: o.RefreshOnly}
		if o.End != plan.Everything {
			if err := m.plan(&c, people, owner, o); err != nil {
				return nil, fmt.Errorf("cluster %s: %w", m.Cluster.Name, err)
			}
		}
		out = append(out, c)
	}
	if len(out) == 0 || !o.Leave {
		return out, nil
	}
	first := &out[0]
	for _, p := range a.People {
		if owner[p.ARN] != "" || !slices.Contains(stacksOf(p.Tags), o.Stack) {
			continue
		}
		if !o.Explicit {
			first.Findings = append(first.Findings, plan.Finding{Code: plan.CodeRoleKept, Severity: plan.Info,
				Message: fmt.Sprintf("role %s no longer belongs to a cluster of the file but still has %s: only a file that names its stack detaches it", p.ARN, PolicyName)})
			continue
		}
		first.Roles = append(first.Roles, leaving(p, policyARN(a.Members[0].Cluster.Region), o.Stack))
	}
	slices.SortStableFunc(first.Roles, func(a, b plan.RoleChange) int { return strings.Compare(a.Role, b.Role) })
	return out, nil
}

// attachment is what p has of Kontor's matter.
func attachment(p proof.Principal) plan.Attachment {
	attached := slices.ContainsFunc(p.Documents, func(d access.Document) bool { return d.Name == PolicyName })
	return plan.Attachment{Attached: attached, Stacks: stacksOf(p.Tags)}
}

// leaving is the change that takes the stack's mark away, and the policy with
// the last mark.
func leaving(p proof.Principal, policy, stack string) plan.RoleChange {
	before := attachment(p)
	after := plan.Attachment{Attached: before.Attached, Stacks: without(before.Stacks, stack)}
	op := plan.RoleLeave
	if len(after.Stacks) == 0 && before.Attached {
		after.Attached, op = false, plan.RoleDetach
	}
	return plan.RoleChange{Role: p.ARN, Op: op, Policy: policy, Before: before, After: after}
}

func without(stacks []string, stack string) []string {
	var out []string
	for _, s := range stacks {
		if s != stack {
			out = append(out, s)
		}
	}
	return out
}

func with(stacks []string, stack string) []string {
	out := append(without(stacks, stack), stack)
	slices.Sort(out)
	return out
}

// plan fills c with the member's roles.
func (m Member) plan(c *plan.Cluster, people map[string]proof.Principal, owner map[string]string, o Options) error {
	find := func(code plan.Code, severity plan.Severity, format string, args ...any) {
		c.Findings = append(c.Findings, plan.Finding{Code: code, Severity: severity, Message: fmt.Sprintf(format, args...), Field: m.Cluster.Origin.Field})
	}
	if len(m.Roles) == 0 {
		find(plan.CodeNoRoles, plan.Warning, "EKS knows of no nodes of cluster %s: nodes that joined by the aws-auth ConfigMap must be given as node_role_arns", m.Cluster.Name)
	}
	if len(m.Pulls) == 0 {
		find(plan.CodeNoRoles, plan.Warning, "cluster %s pulls from no repository of these registries: its roles get nothing", m.Cluster.Name)
		return nil
	}
	for _, r := range m.Roles {
		p, ok := people[r.ARN]
		if !ok {
			find(plan.CodeRoleMissing, plan.Error, "cluster %s: account %s has no role %s (%s): create it, or correct node_role_arns:", m.Cluster.Name, m.Cluster.Account, r.ARN, strings.Join(r.Found, ", "))
			continue
		}
		q, err := m.ask(p)
		if err != nil {
			return err
		}
		change := plan.RoleChange{Role: p.ARN, Policy: policyARN(m.Cluster.Region), Found: r.Found, Before: attachment(p), Pulls: &q.pulls}
		if first := owner[p.ARN]; first != "" && first != m.Cluster.Name {
			// What it gets stands there; the policy is for all repositories.
			change.Op, change.After = plan.RoleNone, change.Before
			c.Roles = append(c.Roles, change)
			continue
		}
		owner[p.ARN] = m.Cluster.Name
		m.decide(&change, q, o)
		c.Roles = append(c.Roles, change)
		switch {
		case p.Unseen != "":
			find(plan.CodeRoleUnseen, plan.Warning, "role %s: it is not known whether its nodes may pull: %s", p.ARN, p.Unseen)
		case q.why != "" && q.pulls.After == 0:
			find(plan.CodeRoleMayNotPull, plan.Warning, "role %s may not pull from any of %d repositories even with %s: %s", p.ARN, q.pulls.Of, PolicyName, q.why)
		case q.why != "":
			find(plan.CodeRoleMayNotPull, plan.Warning, "role %s may pull from %d of %d repositories even with %s: %s", p.ARN, q.pulls.After, q.pulls.Of, PolicyName, q.why)
		}
	}
	return nil
}

// decide sets Op and After.
func (m Member) decide(c *plan.RoleChange, q answer, o Options) {
	b := c.Before
	ours := slices.Contains(b.Stacks, o.Stack)
	needs := q.pulls.After > q.pulls.Before
	c.Op, c.After = plan.RoleNone, b
	switch {
	case !b.Attached && needs:
		c.Op, c.After = plan.RoleAttach, plan.Attachment{Attached: true, Stacks: with(b.Stacks, o.Stack)}
	case ours && !b.Attached:
		// somebody else's policy took its place
		c.Op, c.After = plan.RoleLeave, plan.Attachment{Stacks: without(b.Stacks, o.Stack)}
	case !ours && b.Attached && len(b.Stacks) > 0:
		c.Op, c.After = plan.RoleJoin, plan.Attachment{Attached: true, Stacks: with(b.Stacks, o.Stack)}
	}
}

// answer is what both sides say about one role.
type answer struct {
	pulls plan.Pulls
	// why it may not pull from the first repository that the policy would not
	// help with; "" when there is none.
	why string
}

// ask compares the role as it is with the role that has the policy.
func (m Member) ask(p proof.Principal) (answer, error) {
	helped := p
	helped.Documents = append(slices.Clone(p.Documents), access.Document{Name: PolicyName, Text: document()})
	before, err := proof.New(proof.World{Repositories: m.Pulls, Principals: []proof.Principal{p}})
	if err != nil {
		return answer{}, err
	}
	after, err := proof.New(proof.World{Repositories: m.Pulls, Principals: []proof.Principal{helped}})
	if err != nil {
		return answer{}, err
	}
	out := answer{pulls: plan.Pulls{Of: len(m.Pulls)}}
	for _, r := range m.Pulls {
		was, err := before.Check(p.ARN, proof.Pull.Actions(), r.In, r.Name)
		if err != nil {
			return answer{}, err
		}
		if may(was) {
			out.pulls.Before++
			out.pulls.After++
			continue
		}
		will, err := after.Check(p.ARN, proof.Pull.Actions(), r.In, r.Name)
		switch {
		case err != nil:
			return answer{}, err
		case may(will):
			out.pulls.After++
		case out.why == "":
			out.why = why(will)
		}
	}
	return out, nil
}

// may reports whether the answer is a yes, if only under conditions: these are
// the business of who wrote them.
func may(a proof.Answer) bool { return a.Outcome == proof.Allowed || a.Outcome == proof.Depends }

// why says why not, in words.
func why(a proof.Answer) string {
	for _, x := range a.Actions {
		switch {
		case x.Outcome == proof.Allowed || x.Outcome == proof.Depends:
			continue
		case x.Deny != (policy.Ref{}):
			return fmt.Sprintf("%s on %s is denied by %s", x.Action, a.Repository, x.Deny)
		case len(x.Lacking) > 0:
			words := make([]string, len(x.Lacking))
			for i, s := range x.Lacking {
				words[i] = string(s)
			}
			return fmt.Sprintf("%s on %s is not allowed by the %s", x.Action, a.Repository, strings.Join(words, " and the "))
		}
	}
	return ""
}
