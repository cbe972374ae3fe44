package identity

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// policyIDPrefix tells the account's policies from AWS's where rows refer to
// them.
const policyIDPrefix = "ANPA"

// IsPolicyID reports whether a row's reference to a managed policy is the id
// of one of the account's, rather than the name of one that everybody has.
func IsPolicyID(ref string) bool { return strings.HasPrefix(ref, policyIDPrefix) }

// Managed are the managed policies that every account has, by name: AWS's and
// this server's own.
var Managed = sync.OnceValue(func() []policy.ManagedPolicy {
	all := append(policy.ManagedPolicies(), policy.ManagedPolicy{
		Name: access.PolicyReferrers, Path: "/", Document: policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{
			Effect: policy.Allow, Action: []string{"ecr:ListImageReferrers"}, Resource: []string{"*"},
		}}},
	})
	slices.SortFunc(all, func(a, b policy.ManagedPolicy) int { return strings.Compare(a.Name, b.Name) })
	return all
})

// managedTexts are their documents by name.
var managedTexts = sync.OnceValue(func() map[string]string {
	texts := map[string]string{}
	for _, m := range Managed() {
		texts[m.Name] = m.Document.String()
	}
	return texts
})

// nothing is the text of a policy that is gone: it must not be mistaken for
// one that was never there, and so sets no limit.
const nothing = `{"Version":"2012-10-17","Statement":[{"Sid":"PolicyIsGone","Effect":"Deny","Action":"*","Resource":"*"}]}`

// fillPolicies gives p the policies of its user or role, as they are now.
func fillPolicies(ctx context.Context, r meta.IdentityReader, p *access.Principal, refs []string, inline map[string]string, boundary string) error {
	var ids []string
	for _, ref := range refs {
		if IsPolicyID(ref) {
			ids = append(ids, ref)
		} else {
			p.Policies = append(p.Policies, ref)
		}
	}
	wanted := ids
	if IsPolicyID(boundary) {
		wanted = append(slices.Clone(ids), boundary)
	}
	texts := map[string]access.Document{}
	if len(wanted) > 0 {
		found, err := r.Policies(ctx, wanted)
		if err != nil {
			return err
		}
		for _, m := range found {
			texts[m.ID] = access.Document{Name: m.Name, Text: m.Versions[m.Default].Text}
		}
	}
	for _, id := range ids {
		if d, ok := texts[id]; ok {
			p.Documents = append(p.Documents, d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inline)) {
		p.Documents = append(p.Documents, access.Document{Name: "inline policy " + name, Text: inline[name]})
	}
	if boundary == "" {
		return nil
	}
	d, ok := texts[boundary]
	if text, managed := managedTexts()[boundary]; managed {
		d, ok = access.Document{Name: boundary, Text: text}, true
	}
	if !ok {
		d = access.Document{Name: boundary, Text: nothing}
	}
	p.Boundary = &d
	return nil
}
