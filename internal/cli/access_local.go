package cli

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// localPeople adds to w the users and roles of the other accounts that the
// data folder hosts and that the policies or asked name. The folder's owner
// may see them all.
func (e *Env) localPeople(ctx context.Context, data string, w *proof.World, read map[ecr.AccountID]bool, asked []string) (err error) {
	path, err := e.dataDir(data)
	if err != nil {
		return err
	}
	dir, err := datadir.OpenReader(ctx, path)
	if err != nil {
		return err
	}
	defer closing(&err, dir.Close)
	partition := "aws"
	if len(w.Repositories) > 0 {
		partition = w.Repositories[0].In.Region.Partition()
	}
	users := identity.New(identity.Config{Meta: dir.Meta, Key: dir.Key, Now: e.Now, Partition: partition})
	people := iam.New(iam.Config{Meta: dir.Meta, Identity: users, Now: e.Now, Partition: partition})
	for _, account := range accountsOf(w, asked) {
		if read[account] {
			continue
		}
		read[account] = true
		list, err := accountPeople(ctx, people, partition, account)
		if err != nil {
			return err
		}
		w.Principals = append(w.Principals, list...)
		if len(list) > 0 {
			w.Seen = append(w.Seen, string(account))
		}
	}
	return nil
}

// accountsOf are the accounts that policies of w, or names, mention.
func accountsOf(w *proof.World, names []string) []ecr.AccountID {
	var texts []string
	for _, r := range w.Registries {
		texts = append(texts, r.Policy)
	}
	for _, r := range w.Repositories {
		texts = append(texts, r.Policy)
	}
	out := proof.Accounts(texts...)
	for _, name := range names {
		if id := ecr.AccountID(proof.AccountOf(name)); id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// accountPeople are the users and roles of one account; none when it is not
// hosted here.
func accountPeople(ctx context.Context, people *iam.Service, partition string, account ecr.AccountID) ([]proof.Principal, error) {
	var out []proof.Principal
	c := people.System(account, "access")
	for marker := ""; ; {
		d, next, err := c.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers, iam.DetailRoles}, iam.Page{Marker: marker})
		if err != nil {
			return nil, errors.Join(errors.New("reading account "+string(account)), err)
		}
		for _, h := range d.Holders {
			out = append(out, principalOf(partition, h))
		}
		if marker = next; marker == "" {
			return out, nil
		}
	}
}

func principalOf(partition string, h iam.HeldBy) proof.Principal {
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
