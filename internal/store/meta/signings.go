package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// SigningProfile is a key that a registry signs images with. The key is sealed: the
// store never sees it in plain.
type SigningProfile struct {
	Registry  ecr.RegistryID
	Name      string // such as "release"
	CreatedAt time.Time
	UpdatedAt time.Time
	// Certificates are in PEM, that of the key first.
	Certificates string
	Sealed       []byte
}

// Signing is the signature of one image by one profile: one that is to be made, was made
// or failed.
type Signing struct {
	Repository RepositoryID
	Digest     ecr.Digest
	// Profile is an ARN, such as
	// "arn:aws:signer:us-east-1:111111111111:/signing-profiles/release".
	Profile  string
	Status   ecr.SigningStatus
	Attempts int // that failed
	AskedAt  time.Time
	DueAt    time.Time // it is not made before
	// Code and Reason say why it failed, the last time.
	Code, Reason string
	// Signature is the manifest that holds it; "" for none.
	Signature ecr.Digest
}

// SigningReader reads keys to sign with and signatures that are made.
type SigningReader interface {
	// Profiles returns all profiles of a registry in byte order of their names.
	Profiles(ctx context.Context, in ecr.RegistryID) ([]SigningProfile, error)
	// Profile returns one, or ErrNotFound.
	Profile(ctx context.Context, in ecr.RegistryID, name string) (SigningProfile, error)
	// Signings returns those of an image in byte order of their profiles.
	Signings(ctx context.Context, repo RepositoryID, d ecr.Digest) ([]Signing, error)
	// DueSigning returns the one that is due at now for the longest time, with its
	// repository, or ErrNotFound.
	DueSigning(ctx context.Context, now time.Time) (Signing, Repository, error)
	// CountSignings returns how many signatures are to be made, of all registries.
	CountSignings(ctx context.Context) (int, error)
}

// SigningWriter changes them. A signing goes with its image.
type SigningWriter interface {
	// PutProfile stores a profile; of one that is there, CreatedAt stays.
	PutProfile(ctx context.Context, p SigningProfile) error
	// DeleteProfile removes a profile. ErrNotFound.
	DeleteProfile(ctx context.Context, in ecr.RegistryID, name string) error
	// PutSigning stores s, in place of the one of its image and profile. ErrReferenced
	// when there is no such image.
	PutSigning(ctx context.Context, s Signing) error
	// EndSigning stores s in place of the one that is IN_PROGRESS and was asked for at
	// s.AskedAt; ErrConflict when there is none.
	EndSigning(ctx context.Context, s Signing) error
}
