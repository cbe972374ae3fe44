// Package amazon is a registry of Amazon ECR as promotions see it: its API, and
// what makes its repositories.
package amazon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Account is a registry with the ECR API: its API and its Creator.
type Account struct {
	Conn *deploy.Conn
	// Desired is what the file wants in the registry.
	Desired state.Desired
	Now     func() time.Time
}

// Repositories are the names of all repositories.
func (a Account) Repositories(ctx context.Context) ([]ecr.RepositoryName, error) {
	return a.Conn.Repositories(ctx)
}

// Mutability is that of a repository's tags.
func (a Account) Mutability(ctx context.Context, name ecr.RepositoryName) (ecr.Mutability, bool, error) {
	s, ok, err := a.Conn.Settings(ctx, name)
	return s.Mutability, ok, err
}

// Images are those of a repository. Manifests are not read: on ECR that counts as
// pulling them.
func (a Account) Images(ctx context.Context, name ecr.RepositoryName) (images.Snapshot, error) {
	return a.Conn.ImagesUnder(ctx, name, "", false, a.Now())
}

// Lifecycle is a repository's lifecycle policy; "" where it has none.
func (a Account) Lifecycle(ctx context.Context, name ecr.RepositoryName) (string, error) {
	return a.Conn.Lifecycle(ctx, name)
}

// Scan is what the scan of an image found.
func (a Account) Scan(ctx context.Context, name ecr.RepositoryName, d ecr.Digest) (images.Scan, error) {
	return a.Conn.Scan(ctx, name, d)
}

// Signed is whose signatures of an image the registry has verified, or made.
func (a Account) Signed(ctx context.Context, name ecr.RepositoryName, d ecr.Digest) ([]images.Signed, error) {
	return a.Conn.Signed(ctx, name, d)
}

// Wanted are the settings that the file has for a repository.
func (a Account) Wanted(name ecr.RepositoryName) (state.Repository, bool) {
	for _, r := range a.Desired.Repositories {
		if r.Name == name {
			return r, true
		}
	}
	return state.Repository{}, false
}

// Create makes a repository as apply would.
func (a Account) Create(ctx context.Context, name ecr.RepositoryName) error {
	wanted, ok := a.Wanted(name)
	if !ok {
		return fmt.Errorf("the file has no repository %s", name)
	}
	desired := a.Desired
	desired.Repositories = []state.Repository{wanted}
	seen, err := deploy.Observe(ctx, a.Conn.API, a.Conn.Target, deploy.Scope{Names: []ecr.RepositoryName{name}})
	if err != nil {
		return err
	}
	if _, there := seen.Repositories[name]; there {
		return nil // made meanwhile: whose it is and what it lacks, apply says
	}
	r, err := deploy.Apply(ctx, a.Conn.API, plan.Diff(desired, seen), deploy.ApplyConfig{})
	if err != nil {
		return err
	}
	for _, r := range r.Repositories {
		if r.Status != deploy.StatusDone {
			return fmt.Errorf("making repository %s: %w", name, errors.New(r.Error))
		}
	}
	return nil
}

var (
	_ promote.API     = Account{}
	_ promote.Creator = Account{}
)
