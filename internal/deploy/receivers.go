package deploy

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// ReceiversAPI reads and changes the receivers of events of a registry of Kontor. ECR has
// none.
type ReceiversAPI interface {
	Receivers(ctx context.Context) (map[string]state.EventReceiver, error)
	PutReceiver(ctx context.Context, r state.EventReceiver) error
	DeleteReceiver(ctx context.Context, name string) error
}

func (s settings) receiver(ctx context.Context, c plan.EventReceiverChange) (moved string, err error) {
	if s.receivers == nil {
		return "", errors.New("the registry has no event receivers")
	}
	all, err := s.receivers.Receivers(ctx)
	if err != nil {
		return "", err
	}
	have, exists := all[c.Name]
	if moved := c.Moved(plan.EventReceiverOf(have), exists); moved != "" {
		return moved, nil
	}
	switch {
	case c.Op != plan.OpDelete:
		return "", s.receivers.PutReceiver(ctx, c.After.State(c.Name))
	case exists:
		return "", s.receivers.DeleteReceiver(ctx, c.Name)
	}
	return "", nil // it is gone, as wanted
}
