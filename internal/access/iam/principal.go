package iam

import (
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
)

// Principal is h with its policies, as package proof looks at it.
func (h HeldBy) Principal(partition string) proof.Principal {
	var p proof.Principal
	var inline map[string]string
	if h.User != nil {
		p = proof.Principal{ARN: identity.UserARN(partition, *h.User), UniqueID: h.User.UniqueID, Tags: h.User.Tags}
		inline = h.User.Inline
	} else {
		p = proof.Principal{ARN: identity.RoleARN(partition, *h.Role), UniqueID: h.Role.UniqueID, Tags: h.Role.Tags, Trust: h.Role.Trust}
		inline = h.Role.Inline
	}
	for _, name := range slices.Sorted(maps.Keys(inline)) {
		p.Documents = append(p.Documents, access.Document{Name: "inline policy " + name, Text: inline[name]})
	}
	for _, m := range h.Attached {
		p.Documents = append(p.Documents, access.Document{Name: m.Name, Text: m.Versions[m.Default].Text})
	}
	if h.Boundary != nil {
		p.Boundary = &access.Document{Name: h.Boundary.Name, Text: h.Boundary.Versions[h.Boundary.Default].Text}
	}
	return p
}
