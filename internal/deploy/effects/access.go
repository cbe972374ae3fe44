package effects

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// mostHolders is how many principals with power over a repository are named.
const mostHolders = 20

// MayTouchPeople reports whether a change can have effects on who may do what.
func MayTouchPeople(c plan.Change) bool {
	switch c.Op {
	case plan.OpNone:
		return false
	case plan.OpDelete:
		return c.Before != nil && c.Before.Policy != ""
	}
	return c.Has(plan.FieldPolicy)
}

// OfPeople is what c does to the people who use a repository of in. tags are those
// that the repository has, as far as c leaves them; notes are what could not be
// seen of the world of p. The error says which policy cannot be read.
func OfPeople(p *proof.Prover, in ecr.RegistryID, c plan.Change, tags map[string]string, notes []string) (*plan.AccessEffects, error) {
	before := side(in, c.Repository, c.Before, tags)
	after := side(in, c.Repository, c.After, tags)
	if c.Before == nil { // what people of the account may do to anything is not this change's doing
		before.Tags = after.Tags
	}
	compared, err := p.Compare(before, after)
	if err != nil {
		return nil, err
	}
	e := &plan.AccessEffects{Notes: notes}
	wanted := map[string][]policy.Statement{}
	for _, d := range compared.Differences {
		i := slices.IndexFunc(e.Changes, func(x plan.AccessChange) bool { return x.Principal == d.Principal })
		if i < 0 {
			i = len(e.Changes)
			e.Changes = append(e.Changes, plan.AccessChange{Principal: d.Principal})
		}
		x := &e.Changes[i]
		r := plan.RightChange{Right: string(d.Right), Before: string(d.Before), After: string(d.After)}
		if d.After == proof.Depends {
			r.DependsOn = d.DependsOn
		}
		x.Rights = append(x.Rights, r)
		if r.Gained() || d.After == proof.Partly {
			wanted[d.Principal] = append(wanted[d.Principal], d.Wanted...)
			if text := joined(wanted[d.Principal]); text != "" {
				x.MustAllow = &plan.MustAllow{Account: ecr.AccountID(d.Account), Policy: text}
			}
		}
	}
	if c.Op == plan.OpDelete { // afterwards there is nothing to hold
		return e, nil
	}
	for _, h := range compared.After {
		if n := len(e.Holders); n > 0 && e.Holders[n-1].Principal == h.Principal {
			e.Holders[n-1].Rights = append(e.Holders[n-1].Rights, string(h.Right))
			continue
		}
		e.Holders = append(e.Holders, plan.Holder{Principal: h.Principal, Rights: []string{string(h.Right)}, IfAllowed: h.Outcome == proof.Unseen, Foreign: h.Account != string(in.Account)})
	}
	if n := len(e.Holders) - mostHolders; n > 0 {
		e.Holders, e.MoreHolders = e.Holders[:mostHolders], n
	}
	for _, a := range compared.Absent {
		e.Absent = append(e.Absent, plan.Absent(a))
	}
	return e, nil
}

// side is the repository with the settings, nil for none.
func side(in ecr.RegistryID, name ecr.RepositoryName, s *plan.Settings, tags map[string]string) proof.Repository {
	r := proof.Repository{In: in, Name: name, Tags: map[string]string{}}
	for k, v := range tags {
		r.Tags[k] = v
	}
	if s != nil {
		r.Policy = s.Policy
		for k, v := range s.Tags {
			r.Tags[k] = v
		}
	}
	return r
}

// joined is one document of the statements, with those on one resource put together;
// "" for none.
func joined(list []policy.Statement) string {
	if len(list) == 0 {
		return ""
	}
	d := policy.Document{Version: policy.Version2012}
	for _, s := range list {
		i := slices.IndexFunc(d.Statements, func(x policy.Statement) bool { return slices.Equal(x.Resource, s.Resource) })
		if i < 0 {
			i = len(d.Statements)
			d.Statements = append(d.Statements, policy.Statement{Effect: policy.Allow, Resource: s.Resource})
		}
		for _, a := range s.Action {
			if !slices.Contains(d.Statements[i].Action, a) {
				d.Statements[i].Action = append(d.Statements[i].Action, a)
			}
		}
	}
	return d.String()
}
