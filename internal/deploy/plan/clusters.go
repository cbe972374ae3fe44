package plan

import (
	"errors"
	"fmt"
	"slices"
)

// Cluster is what apply would do to the node roles of one cluster, so that they
// may pull: the side of the cluster's account. The repositories' side is in
// the plans of the registries.
type Cluster struct {
	// Target is the cluster's name, account and region, and how to reach them.
	Target Target `json:"target"`
	// Discovered: the roles were found through EKS, not given.
	Discovered bool `json:"discovered,omitempty"`
	// Roles are in byte order of their ARNs: those of the cluster's nodes, also
	// where there is nothing to do, and those that the stack leaves.
	Roles    []RoleChange `json:"roles"`
	Findings []Finding    `json:"findings,omitempty"`
	// RefreshOnly: it shows drift and cannot be carried out.
	RefreshOnly bool `json:"refresh_only,omitempty"`
}

// RoleOp is what happens to one node role.
type RoleOp string

// The operations.
const (
	RoleNone RoleOp = "none"
	// RoleAttach attaches the policy and marks the role with the stack.
	RoleAttach RoleOp = "attach"
	// RoleJoin marks the role, which has the policy of another stack.
	RoleJoin RoleOp = "join"
	// RoleLeave takes the stack's mark away: others still need the policy, or
	// it is gone already.
	RoleLeave RoleOp = "leave"
	// RoleDetach takes the policy and the last mark away.
	RoleDetach RoleOp = "detach"
)

// RoleChange is one role's part.
type RoleChange struct {
	Role string `json:"role"` // ARN
	Op   RoleOp `json:"op"`
	// Policy is the ARN of what is attached or detached.
	Policy string     `json:"policy"`
	Before Attachment `json:"before"`
	After  Attachment `json:"after"`
	// Found says where the role was found, for example "node group blue"; none
	// for a role that the stack leaves.
	Found []string `json:"found,omitempty"`
	// Pulls counts repositories by both sides as the file makes them; nil for
	// a role that the stack leaves.
	Pulls *Pulls `json:"pulls,omitempty"`
}

// Attachment is a role as far as Kontor manages it.
type Attachment struct {
	// Attached: the policy is, by whomever.
	Attached bool `json:"attached"`
	// Stacks are those whose marks the role carries, in byte order. With one,
	// it was Kontor that attached the policy.
	Stacks []string `json:"stacks,omitempty"`
}

// Equal reports whether a and b are the same.
func (a Attachment) Equal(b Attachment) bool {
	return a.Attached == b.Attached && slices.Equal(a.Stacks, b.Stacks)
}

// Pulls counts the repositories that a role's nodes pull from.
type Pulls struct {
	Of     int `json:"of"`     // all that the cluster is to pull from
	Before int `json:"before"` // of these, that the role's own policies let it pull from
	After  int `json:"after"`
}

// The findings about clusters.
const (
	// CodeRoleMissing: a node role of the file is not in its account.
	CodeRoleMissing Code = "KON2101"
	// CodeRoleMayNotPull: a node role may not pull even with the policy.
	CodeRoleMayNotPull Code = "KON2102"
	// CodeRoleUnseen: policies of a node role could not be seen.
	CodeRoleUnseen Code = "KON2103"
	// CodeRoleKept: a node role keeps what Kontor attached for the stack.
	CodeRoleKept Code = "KON2104"
	// CodeNoRoles: nothing is known of a cluster's nodes, or they pull from
	// nothing.
	CodeNoRoles Code = "KON2105"
	// CodeNotReached: a cluster is not looked at.
	CodeNotReached Code = "KON2106"
)

// Pending returns the changes that do something.
func (c Cluster) Pending() []RoleChange {
	var out []RoleChange
	for _, r := range c.Roles {
		if r.Op != RoleNone {
			out = append(out, r)
		}
	}
	return out
}

// Count returns how many roles have op.
func (c Cluster) Count(op RoleOp) int {
	n := 0
	for _, r := range c.Roles {
		if r.Op == op {
			n++
		}
	}
	return n
}

// Errors returns the findings that keep the plan from being carried out.
func (c Cluster) Errors() []Finding {
	return slices.DeleteFunc(slices.Clone(c.Findings), func(f Finding) bool { return f.Severity != Error })
}

// Check refuses what planning would not have made for the stack.
func (c Cluster) Check(stack string) error {
	for _, r := range c.Roles {
		if err := r.check(stack); err != nil {
			return fmt.Errorf("role %s: %w", r.Role, err)
		}
	}
	return nil
}

func (r RoleChange) check(stack string) error {
	before, after := slices.Contains(r.Before.Stacks, stack), slices.Contains(r.After.Stacks, stack)
	others := func(a Attachment) []string {
		return slices.DeleteFunc(slices.Clone(a.Stacks), func(s string) bool { return s == stack })
	}
	if stack == "" || !slices.Equal(others(r.Before), others(r.After)) {
		return errors.New("it would touch another stack's mark")
	}
	ok := false
	switch r.Op {
	case RoleNone:
		ok = r.Before.Equal(r.After)
	case RoleAttach:
		ok = after && !r.Before.Attached && r.After.Attached
	case RoleJoin:
		ok = !before && after && r.Before.Attached && r.After.Attached
	case RoleLeave:
		ok = before && !after && r.Before.Attached == r.After.Attached
	case RoleDetach:
		ok = before && !after && len(r.After.Stacks) == 0 && r.Before.Attached && !r.After.Attached
	default:
		return fmt.Errorf("unknown operation %q", r.Op)
	}
	if !ok {
		return fmt.Errorf("what was there and what will be are not those of %s", r.Op)
	}
	return nil
}
