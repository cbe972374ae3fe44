package deploy

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Images reads the images of a repository and its lifecycle policy. With
// manifests it reads those of indexes too, which on ECR may count as pulling
// them. now stamps the result.
func (c *Conn) Images(ctx context.Context, name kecr.RepositoryName, manifests bool, now time.Time) (images.Snapshot, error) {
	s, err := c.ImagesUnder(ctx, name, "", manifests, now)
	if err == nil {
		s.Policy, err = repository{c.API, c.Target.Registry, name}.lifecycle(ctx)
	}
	return s, err
}

// ImagesUnder is Images for a caller who has read the lifecycle policy.
func (c *Conn) ImagesUnder(ctx context.Context, name kecr.RepositoryName, policy string, manifests bool, now time.Time) (images.Snapshot, error) {
	s, err := images.Read(ctx, images.ReadConfig{
		API: c.API, Registry: c.Target.Registry, Repository: name, NoManifests: !manifests, Now: now,
	})
	if err != nil {
		return images.Snapshot{}, explain(err, "the images of repository "+string(name))
	}
	// a server in place of AWS is Kontor's, until somebody says otherwise
	s.Kontor, s.Policy = c.Target.Local || c.Target.Endpoint != "", policy
	return s, nil
}
