package delivery

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
)

// Declared is a receiver that the operator's configuration file has, in the registries of
// Accounts, or in all.
type Declared struct {
	NewReceiver
	Accounts []ecr.AccountID
}

var opDeclare = gate.Op("DeclareEventReceivers")

// Declare makes the receivers of the configuration file exist, and those that an earlier
// file had and this one does not have no longer. It is called at each start.
func (s *Service) Declare(ctx context.Context, all []Declared) error {
	for _, in := range s.cfg.Registries {
		err := s.cfg.Gate.System("configuration file").Change(ctx, opDeclare, func(ctx context.Context, tx *gate.Tx) error {
			names := map[string]bool{}
			for _, d := range all {
				if len(d.Accounts) > 0 && !slices.Contains(d.Accounts, in.Account) {
					continue
				}
				names[d.Name] = true
				if err := s.declare(ctx, tx, in, d.NewReceiver); err != nil {
					return err
				}
			}
			return s.undeclare(ctx, tx, in, names)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// declare adds or changes one receiver, unless it is as n says.
func (s *Service) declare(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, n NewReceiver) error {
	settings, err := tx.Registries().RegistrySettings(ctx, in)
	if err != nil {
		return err
	}
	n.OfFile = true
	for _, p := range []*[]string{&n.Types, &n.Repositories} {
		if *p == nil {
			*p = []string{"*"}
		}
	}
	if n.Headers == nil {
		n.Headers = map[string]string{}
	}
	if list, i, err := find(settings, in, n.Name); err == nil && s.same(list[i], n) {
		return nil
	}
	_, _, err = s.put(ctx, tx, in, settings, n)
	return err
}

// same reports whether r is what n says.
func (s *Service) same(r events.Receiver, n NewReceiver) bool {
	o, err := s.open(r)
	f, _ := events.ParseFormat(string(n.Format))
	equal := err == nil && r.OfFile && o.URL == n.URL && o.Secret == n.Secret && r.Format == f && len(o.Headers) == len(n.Headers) &&
		slices.Equal(everything(r.Types), everything(n.Types)) && slices.Equal(everything(r.Repositories), everything(n.Repositories))
	for k, v := range n.Headers {
		equal = equal && o.Headers[k] == v
	}
	return equal
}

// undeclare removes what an earlier file had.
func (s *Service) undeclare(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, names map[string]bool) error {
	for {
		settings, err := tx.Registries().RegistrySettings(ctx, in)
		if err != nil {
			return err
		}
		list, err := events.ReceiversOf(settings)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(r events.Receiver) bool { return r.OfFile && !names[r.Name] })
		if i < 0 {
			return nil
		}
		if err := remove(ctx, tx, in, settings, list, i); err != nil {
			return err
		}
	}
}
