package host

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

// People are the users and roles that a data folder has of the accounts, by
// account; nothing of one that is not hosted there. The folder's owner may see
// them all. A server may run on it meanwhile.
func People(ctx context.Context, folder, partition string, accounts []ecr.AccountID) (_ map[ecr.AccountID][]proof.Principal, err error) {
	dir, err := datadir.OpenReader(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	users := identity.New(identity.Config{Meta: dir.Meta, Key: dir.Key, Now: Now, Partition: partition})
	all := iam.New(iam.Config{Gate: gate.New(gate.Config{Meta: dir.Meta}), Identity: users, Now: Now, Partition: partition})
	out := map[ecr.AccountID][]proof.Principal{}
	for _, account := range accounts {
		c := all.System(account, "access")
		for marker := ""; ; {
			d, next, err := c.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers, iam.DetailRoles}, iam.Page{Marker: marker})
			if err != nil {
				return nil, errors.Join(errors.New("reading account "+string(account)), err)
			}
			for _, h := range d.Holders {
				out[account] = append(out[account], h.Principal(partition))
			}
			if marker = next; marker == "" {
				break
			}
		}
	}
	return out, nil
}
