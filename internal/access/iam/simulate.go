package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Simulation asks what policies say about actions on resources.
type Simulation struct {
	// Source is the ARN of the user or role whose policies count; "" for Policies
	// alone.
	Source   string
	Policies []string // texts; next to those of Source
	// Boundaries limit; with Source, they replace its boundary.
	Boundaries []string
	Actions    []string
	Resources  []string // none is "*"
	// ResourcePolicy is the policy of each resource, ResourceOwner (an account's
	// ARN or id) whose they are; "" is the caller's.
	ResourcePolicy, ResourceOwner string
	Caller                        string // ARN of who calls; "" is Source
	Context                       map[string][]string
}

// Decisions of simulations.
const (
	SimAllowed  = "allowed"
	SimDenied   = "explicitDeny"
	SimImplicit = "implicitDeny"
)

// Simulated is the answer for one action on one resource.
type Simulated struct {
	Action, Resource, Decision string
	Matched                    []policy.Ref // the statements that decide
	Missing                    []string     // condition keys that policies ask for and Context lacks
	Boundary                   bool         // there is a boundary
	WithinBoundary             bool         // which allows
}

const (
	maxSimulated = 1000 // answers
)

// Simulate answers for each action on each resource, in this order.
func (c *Caller) Simulate(ctx context.Context, sim Simulation) (out []Simulated, err error) {
	if len(sim.Actions) == 0 {
		return nil, invalid("actionNames", "null", "Member must not be null")
	}
	if len(sim.Resources) == 0 {
		sim.Resources = []string{"*"}
	}
	if len(sim.Actions)*len(sim.Resources) > maxSimulated {
		return nil, ecr.Errorf(CodeInvalidInput, "At most %d pairs of actions and resources can be simulated in one call.", maxSimulated)
	}
	action := access.Action("iam:SimulateCustomPolicy")
	if sim.Source != "" {
		action = "iam:SimulatePrincipalPolicy"
	}
	err = c.view(ctx, action, func(ctx context.Context, r *reading) error {
		p, err := r.simulated(ctx, sim)
		if err != nil {
			return err
		}
		q, err := sim.question(p, c.p.Account)
		if err != nil {
			return err
		}
		out = nil
		for _, action := range sim.Actions {
			if !strings.Contains(action, ":") {
				return ecr.Errorf(CodeInvalidInput, "Invalid Action %.128s.", action)
			}
			for _, resource := range sim.Resources {
				out = append(out, simulate(q, action, resource))
			}
		}
		return nil
	})
	return out, err
}

// simulated finds whose policies count.
func (r *reading) simulated(ctx context.Context, sim Simulation) (access.Principal, error) {
	if err := r.may(question{resource: cmp.Or(sim.Source, "*")}); err != nil {
		return access.Principal{}, err
	}
	if sim.Source == "" {
		return access.Principal{Account: r.c.p.Account, ARN: r.c.arn("user", "/", "simulated")}, nil
	}
	missing := ecr.Errorf(CodeNoSuchEntity, "The principal %.200s cannot be found.", sim.Source)
	name := sim.Source[strings.LastIndexByte(sim.Source, '/')+1:]
	switch _, kind, _ := strings.Cut(sim.Source, "::"+string(r.c.p.Account)+":"); {
	case strings.HasPrefix(kind, "user/"):
		u, err := r.User(ctx, r.c.p.Account, name)
		if errors.Is(err, meta.ErrNotFound) || err == nil && identity.UserARN(r.c.s.cfg.Partition, u) != sim.Source {
			return access.Principal{}, missing
		}
		if err != nil {
			return access.Principal{}, err
		}
		return r.c.s.cfg.Identity.UserPrincipal(ctx, r, u)
	case strings.HasPrefix(kind, "role/"):
		role, err := r.Role(ctx, r.c.p.Account, name)
		if errors.Is(err, meta.ErrNotFound) || err == nil && identity.RoleARN(r.c.s.cfg.Partition, role) != sim.Source {
			return access.Principal{}, missing
		}
		if err != nil {
			return access.Principal{}, err
		}
		return r.c.s.cfg.Identity.RolePrincipal(ctx, r, role, "simulation")
	}
	return access.Principal{}, ecr.Errorf(CodeInvalidInput, "Invalid Entity Arn: %.200s does not clearly define entity type and name.", sim.Source)
}

// question is what the simulation asks, except for action and resource.
func (sim Simulation) question(p access.Principal, account ecr.AccountID) (policy.Request, error) {
	for i, text := range sim.Policies {
		if _, err := checkDocument(text, policy.Identity); err != nil {
			return policy.Request{}, err
		}
		p.Documents = append(slices.Clip(p.Documents), access.Document{Name: fmt.Sprintf("PolicyInputList.%d", i+1), Text: text})
	}
	if len(sim.Boundaries) > 1 {
		return policy.Request{}, ecr.Errorf(CodeInvalidInput, "At most one permissions boundary can be simulated.")
	}
	for i, text := range sim.Boundaries {
		if _, err := checkDocument(text, policy.Identity); err != nil {
			return policy.Request{}, err
		}
		p.Boundary = &access.Document{Name: fmt.Sprintf("PermissionsBoundaryPolicyInputList.%d", i+1), Text: text}
	}
	if sim.Caller != "" {
		if _, err := policy.ParseCaller(sim.Caller); err != nil {
			return policy.Request{}, ecr.Errorf(CodeInvalidInput, "Invalid caller: %v", err)
		}
		p.ARN = sim.Caller
		p.Account = ecr.AccountID(strings.SplitN(sim.Caller, ":", 6)[4])
		if !strings.Contains(sim.Caller, ":assumed-role/") {
			p.Session = nil
		}
	}
	owner := account
	if sim.ResourceOwner != "" {
		id := policy.AccountOf(sim.ResourceOwner)
		if id == "" {
			return policy.Request{}, ecr.Errorf(CodeInvalidInput, "Invalid resource owner %.200s.", sim.ResourceOwner)
		}
		owner = ecr.AccountID(id)
	}
	q := authz.Question(authz.Request{Principal: p, Owner: owner})
	if sim.ResourcePolicy != "" {
		doc, err := policy.Parse([]byte(sim.ResourcePolicy))
		if err != nil {
			return q, ecr.Errorf(CodeInvalidInput, "Syntax errors in resource policy. %s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		q.ResourceBased = []policy.Named{{Name: "ResourcePolicy", Policy: policy.Compile(doc)}}
	}
	var keys policy.Context
	for name, values := range sim.Context {
		keys.Set(name, values...)
	}
	q.Context = keys
	return q, nil
}

// simulate answers one question. What it does not have it counts as absent,
// as IAM's simulator does, and names.
func simulate(q policy.Request, action, resource string) Simulated {
	q.Action, q.Resource = action, resource
	q.Lookup, q.Unknown = nil, []string{"*"}
	out := Simulated{Action: action, Resource: resource, Boundary: q.Boundary.Policy != nil, Missing: policy.Evaluate(q).DependsOn}
	q.Unknown = nil
	d := policy.Evaluate(q)
	switch {
	case d.Outcome == policy.Allowed:
		out.Decision = SimAllowed
	case d.Deny != policy.Ref{}:
		out.Decision = SimDenied
	default:
		out.Decision = SimImplicit
	}
	for _, ref := range []policy.Ref{d.Deny, d.IdentityAllow, d.ResourceAllow} {
		if ref != (policy.Ref{}) && (out.Decision != SimDenied || ref == d.Deny) {
			out.Matched = append(out.Matched, ref)
		}
	}
	out.WithinBoundary = out.Boundary && !slices.Contains(d.Lacking, policy.BoundaryPolicy) && d.Deny.Source != policy.BoundaryPolicy
	return out
}
