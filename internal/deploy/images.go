package deploy

import (
	"context"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// IndexReader reads the manifests of a repository's indexes without pulling
// them, and the time of the registry's image clock; the zero time when the
// caller may not know. The error is ErrNoIndexes where the registry has no such
// call.
type IndexReader func(ctx context.Context, name kecr.RepositoryName) (manifests map[string][]byte, now time.Time, err error)

// ErrNoIndexes says that only pulling tells what is in an index.
var ErrNoIndexes = errors.New("the registry does not list the manifests of indexes")

// Images reads the images of a repository and its lifecycle policy. With
// manifests it reads those of indexes too: by c.Indexes where there is one, and
// else by pulling them. The result is stamped with the image clock's time where
// that is known, and else with now.
func (c *Conn) Images(ctx context.Context, name kecr.RepositoryName, manifests bool, now time.Time) (images.Snapshot, error) {
	s, err := c.ImagesUnder(ctx, name, "", manifests, now)
	if err == nil {
		s.Policy, err = c.Lifecycle(ctx, name)
	}
	return s, err
}

// Lifecycle reads the lifecycle policy of a repository; "" where it has none.
func (c *Conn) Lifecycle(ctx context.Context, name kecr.RepositoryName) (string, error) {
	return repository{c.API, c.Target.Registry, name}.lifecycle(ctx)
}

// ImagesUnder is Images for a caller who has read the lifecycle policy.
func (c *Conn) ImagesUnder(ctx context.Context, name kecr.RepositoryName, policy string, manifests bool, now time.Time) (images.Snapshot, error) {
	s, err := images.Read(ctx, images.ReadConfig{API: c.API, Registry: c.Target.Registry, Repository: name, Now: now})
	if err != nil {
		return images.Snapshot{}, explain(err, "the images of repository "+string(name))
	}
	told := c.Indexes != nil
	if told {
		indexes, at, err := c.Indexes(ctx, name)
		switch told = !errors.Is(err, ErrNoIndexes); {
		case told && err != nil:
			return images.Snapshot{}, err
		case told && manifests:
			s.Manifests = indexes
		}
		if !at.IsZero() {
			s.Taken = at.UTC()
		}
	}
	if manifests && !told {
		if err := c.Manifests(ctx, &s); err != nil {
			return images.Snapshot{}, err
		}
	}
	// a server in place of AWS is Kontor's, until someone says otherwise
	s.Kontor, s.Policy = c.Target.Local || c.Target.Endpoint != "", policy
	return s, nil
}

// Manifests reads the manifests of s's indexes by pulling them, which on Amazon
// ECR may count as their last pull.
func (c *Conn) Manifests(ctx context.Context, s *images.Snapshot) error {
	err := images.ReadManifests(ctx, images.ReadConfig{API: c.API, Registry: c.Target.Registry, Repository: s.Repository}, s)
	if err != nil {
		return explain(err, "the manifests of repository "+string(s.Repository))
	}
	return nil
}
