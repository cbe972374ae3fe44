package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Signer is someone whose signatures of images a registry trusts.
type Signer struct {
	Registry  ecr.RegistryID
	Name      string // such as "release"
	CreatedAt time.Time
	UpdatedAt time.Time
	// Settings are those of package trust, as JSON.
	Settings []byte
}

// SignerReader reads whose signatures are trusted.
type SignerReader interface {
	// Signers returns all signers of a registry in byte order of their names.
	Signers(ctx context.Context, in ecr.RegistryID) ([]Signer, error)
}

// SignerWriter changes whose signatures are trusted.
type SignerWriter interface {
	// PutSigner stores a signer; of one that is there, CreatedAt stays.
	PutSigner(ctx context.Context, s Signer) error
	// DeleteSigner removes a signer. ErrNotFound.
	DeleteSigner(ctx context.Context, in ecr.RegistryID, name string) error
}
