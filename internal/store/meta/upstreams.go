package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Secret is a credential for another registry, sealed: the store never sees it in
// plain. ARN is what rules name it by, such as
// "arn:aws:secretsmanager:us-east-1:111111111111:secret:ecr-pullthroughcache/hub-a1B2c3".
type Secret struct {
	Registry  ecr.RegistryID
	Name      string // such as "ecr-pullthroughcache/hub"
	ARN       string
	Sealed    []byte
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Fetch is something that is fetched from an upstream for a repository, which may not be
// there yet: a tag, or the digest of a manifest or blob.
type Fetch struct {
	At        ecr.Repo
	Reference string
	// Holder is drawn for each claim: what another one took over is not the holder's.
	Holder string
}

// Fetched is a manifest that came.
type Fetched struct {
	MediaType string
	Content   []byte
}

// FetchClaims settle which process fetches something, so that the others need not. The
// times are those of the database's clock.
type FetchClaims interface {
	// ClaimFetch gives f to its holder for d. Where another one has it, mine is false,
	// and there is what came, if it came: its Content is nil otherwise.
	ClaimFetch(ctx context.Context, f Fetch, d time.Duration) (mine bool, there Fetched, err error)
	// KeepFetch has the holder keep f for d from now. ErrConflict when another one has it.
	KeepFetch(ctx context.Context, f Fetch, d time.Duration) error
	// ShareFetch ends the claim of the holder, and shows what came to others for d.
	// ErrConflict as before.
	ShareFetch(ctx context.Context, f Fetch, came Fetched, d time.Duration) error
	// EndFetch ends the claim of the holder, if it has it, and removes what ended long
	// ago.
	EndFetch(ctx context.Context, f Fetch) error
}

// UpstreamReader reads what pull-through caches keep.
type UpstreamReader interface {
	// Secret returns the secret of that name, or ErrNotFound.
	Secret(ctx context.Context, in ecr.RegistryID, name string) (Secret, error)
	// ListSecrets returns all secrets of a registry in byte order of their names.
	ListSecrets(ctx context.Context, in ecr.RegistryID) ([]Secret, error)
	// UpstreamChecked returns when a reference of repo was last compared with its
	// upstream, zero for one that is to be compared. cached is false for one that did
	// not come from there, and is not to be compared. A reference is a tag, or the
	// digest of an image, whose referrers are compared.
	UpstreamChecked(ctx context.Context, repo RepositoryID, reference string) (at time.Time, cached bool, err error)
}

// UpstreamWriter changes what pull-through caches keep.
type UpstreamWriter interface {
	// FetchClaims settle which process fetches something.
	FetchClaims() FetchClaims
	// PutSecret stores a secret; of one that is there, ARN and CreatedAt stay.
	PutSecret(ctx context.Context, s Secret) error
	// DeleteSecret removes a secret. ErrNotFound.
	DeleteSecret(ctx context.Context, in ecr.RegistryID, name string) error
	// PutUpstreamChecked stores when a reference was compared, zero for one that is to
	// be. ErrReferenced when there is no such repository.
	PutUpstreamChecked(ctx context.Context, repo RepositoryID, reference string, at time.Time) error
	// ForgetUpstreamChecks makes every reference of repo that came from an upstream one
	// that is to be compared.
	ForgetUpstreamChecks(ctx context.Context, repo RepositoryID) error
	// DropUpstreamChecked makes a reference one that did not come from an upstream. That
	// it did not is no error.
	DropUpstreamChecked(ctx context.Context, repo RepositoryID, reference string) error
}
