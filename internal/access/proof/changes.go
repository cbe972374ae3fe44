package proof

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/policy"
)

// Change is one change of one policy, in one account.
type Change struct {
	// Account in which it is to be made.
	Account string
	// In is the kind of policy: the principal's own, its boundary, or the
	// repository's.
	In policy.Source
	// Add is a statement to add; nil for none.
	Add *policy.Statement
	// Remove is a statement that denies: to be removed, or narrowed.
	Remove policy.Ref
	// Wanted: it is not known whether the account allows it already.
	Wanted bool
}

// maxChanges bounds the search; each round removes one Deny or adds what
// lacks.
const maxChanges = 64

// changes looks for what would allow list to who in r: it makes each change
// that the engine's decision asks for, on a copy, and asks again.
func changes(who principal, r repository, list []access.Action) []Change {
	who.identity = slices.Clone(who.identity)
	var out []Change
	for range maxChanges {
		var lacking [3][]access.Action // by source, see sources
		var deny policy.Ref
		for _, action := range list {
			a := decide(who, &r, action)
			if a.Outcome != Denied {
				continue
			}
			if a.Deny != (policy.Ref{}) {
				deny = a.Deny
				break
			}
			for _, s := range a.Lacking {
				if i := slices.Index(sources, s); i >= 0 {
					lacking[i] = append(lacking[i], action)
				}
			}
		}
		if deny != (policy.Ref{}) {
			account, ok := remove(&who, &r, deny)
			if !ok {
				return nil
			}
			out = append(out, Change{Account: account, In: deny.Source, Remove: deny})
			continue
		}
		added := false
		for i, missing := range lacking {
			for _, s := range statements(who, &r, sources[i], missing) {
				added = true
				out = append(out, add(&who, &r, sources[i], s))
			}
		}
		if !added {
			break
		}
	}
	if a := answer(who, &r, list); a.Outcome == Denied || a.Outcome == Partly {
		return nil
	}
	return append(out, wanted(who, &r, list)...)
}

// sources are the kinds of policies that statements can be added to.
var sources = []policy.Source{policy.ResourceBased, policy.IdentityBased, policy.BoundaryPolicy}

// wanted is what a principal whose policies are not seen needs at home.
func wanted(who principal, r *repository, list []access.Action) []Change {
	var unseen []access.Action
	for _, action := range list {
		if decide(who, r, action).Outcome == Unseen {
			unseen = append(unseen, action)
		}
	}
	var out []Change
	for _, s := range statements(who, r, policy.IdentityBased, unseen) {
		out = append(out, Change{Account: who.caller.Account, In: policy.IdentityBased, Add: &s, Wanted: true})
	}
	return out
}

// statements allow the actions to who: at home one for the repository and one
// for the token, which has no resource.
func statements(who principal, r *repository, in policy.Source, missing []access.Action) []policy.Statement {
	var out []policy.Statement
	if len(missing) == 0 {
		return nil
	}
	if in == policy.ResourceBased {
		s := policy.Statement{Effect: policy.Allow, Principal: policy.Principals{AWS: []string{who.ARN}}}
		if who.caller.Type == policy.Service {
			s.Principal = policy.Principals{Service: []string{who.ARN}}
		}
		for _, a := range missing {
			if onRepository(actionOf(a)) {
				s.Action = append(s.Action, string(a))
			}
		}
		if s.Action == nil {
			return nil
		}
		return []policy.Statement{s}
	}
	for _, at := range []string{"*", r.ARN()} {
		s := policy.Statement{Effect: policy.Allow, Resource: []string{at}}
		for _, a := range missing {
			if resource(r, actionOf(a)) == at {
				s.Action = append(s.Action, string(a))
			}
		}
		if s.Action != nil {
			out = append(out, s)
		}
	}
	return out
}

// add gives the copy the statement.
func add(who *principal, r *repository, in policy.Source, s policy.Statement) Change {
	doc := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{s}}
	c := Change{Account: who.caller.Account, In: in, Add: &s}
	switch in {
	case policy.ResourceBased:
		c.Account = string(r.In.Account)
		r.added = append(slices.Clip(r.added), compiled("change", doc))
	case policy.IdentityBased:
		who.identity = append(who.identity, compiled("change", doc))
	case policy.BoundaryPolicy:
		doc.Statements = append(slices.Clone(who.boundary.doc.Statements), s)
		b := compiled(who.boundary.Name, doc)
		who.boundary = &b
	}
	return c
}

// remove takes the statement from the copy and returns the account that its
// policy is of.
func remove(who *principal, r *repository, ref policy.Ref) (account string, ok bool) {
	without := func(n *named) (*named, bool) {
		// Two policies may have one name: AWS's and the account's own.
		if n == nil || n.Name != ref.Policy || ref.Index >= len(n.doc.Statements) ||
			n.doc.Statements[ref.Index].Effect != policy.Deny || n.doc.Statements[ref.Index].Sid != ref.Sid {
			return n, false
		}
		// The others keep their places, so that what is said of them is right.
		doc := n.doc
		doc.Statements = slices.Clone(doc.Statements)
		doc.Statements[ref.Index].Action, doc.Statements[ref.Index].NotAction = []string{}, nil
		changed := compiled(n.Name, doc)
		return &changed, true
	}
	switch ref.Source {
	case policy.ResourceBased:
		for _, at := range []**named{&r.own, &r.registry.policy} {
			if *at, ok = without(*at); ok {
				break
			}
		}
		return string(r.In.Account), ok
	case policy.IdentityBased:
		for i := range who.identity {
			if n, ok := without(&who.identity[i]); ok {
				who.identity[i] = *n
				return who.caller.Account, true
			}
		}
	case policy.BoundaryPolicy:
		who.boundary, ok = without(who.boundary)
		return who.caller.Account, ok
	}
	return "", false
}
