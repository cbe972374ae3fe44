package deploy

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// SignersAPI reads and changes the signers of a registry of Kontor. ECR has none.
type SignersAPI interface {
	Signers(ctx context.Context) (map[string]state.Signer, error)
	PutSigner(ctx context.Context, s state.Signer) error
	DeleteSigner(ctx context.Context, name string) error
}

func (s settings) signer(ctx context.Context, c plan.SignerChange) (moved string, err error) {
	if s.signers == nil {
		return "", errors.New("the registry has no signers")
	}
	all, err := s.signers.Signers(ctx)
	if err != nil {
		return "", err
	}
	have, exists := all[c.Name]
	if moved := c.Moved(plan.SignerOf(have), exists); moved != "" {
		return moved, nil
	}
	switch {
	case c.Op != plan.OpDelete:
		return "", s.signers.PutSigner(ctx, c.After.State(c.Name))
	case exists:
		return "", s.signers.DeleteSigner(ctx, c.Name)
	}
	return "", nil // it is gone, as wanted
}
