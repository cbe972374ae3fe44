package replication

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Queue takes note of what pushes have to be replicated. It is safe for concurrent use.
type Queue struct {
	some chan struct{}
	used atomic.Bool // something was queued in this process
}

// NewQueue returns a Queue.
func NewQueue() *Queue { return &Queue{some: make(chan struct{}, 1)} }

// Stored is called after a transaction that may have queued something. Where no push
// ever has, as without a rule, nobody is woken.
func (q *Queue) Stored() {
	if q.used.Load() {
		q.wake()
	}
}

// wake has Run look.
func (q *Queue) wake() {
	select {
	case q.some <- struct{}{}:
	default: // it is known already
	}
}

// settingsOf are the settings of the registry of a scene. The server's own jobs, such as
// pull-through caches, do not read them to decide.
func settingsOf(ctx context.Context, tx *gate.Tx, s gate.Scene) (stored, error) {
	settings := s.Settings
	if tx.Principal().System != "" {
		var err error
		if settings, err = tx.Registries().RegistrySettings(ctx, s.At.In); err != nil {
			return stored{}, err
		}
	}
	return read(settings)
}

// Pushed queues an image that was pushed, in the transaction of the push: once for each
// tag and destination. What is complete at a destination is not copied again where the
// push changed nothing; what failed is.
func (q *Queue) Pushed(ctx context.Context, tx *gate.Tx, s gate.Scene, p registry.Pushed) error {
	c, err := settingsOf(ctx, tx, s)
	if err != nil {
		return err
	}
	return q.add(ctx, tx, c, s.At, s.Row.ID, p)
}

// Restored is Pushed for an image that came back from the recycle bin.
func (q *Queue) Restored(ctx context.Context, tx *gate.Tx, at gate.Scene, m meta.Manifest, tags []ecr.Tag) error {
	c, err := settingsOf(ctx, tx, at)
	if err != nil {
		return err
	}
	return q.add(ctx, tx, c, at.At, m.Repository, registry.Pushed{Digest: m.Image.Digest, Subject: m.Image.Subject, Tags: tags, Changed: true})
}

// add queues an image of the repository at for each tag and destination.
func (q *Queue) add(ctx context.Context, tx *gate.Tx, c stored, at ecr.Repo, repo meta.RepositoryID, p registry.Pushed) error {
	tags := p.Tags
	if len(tags) == 0 {
		tags = []ecr.Tag{""}
	}
	for _, to := range c.destinations(at.Name) {
		if slices.Contains(p.Via, to) {
			continue // it has it from there
		}
		for _, tag := range tags {
			if !c.takes(to, tag, p.Subject) {
				continue
			}
			q.used.Store(true)
			err := tx.Registries().QueueReplication(ctx, meta.Replication{
				Kind: meta.ReplicateImage, Source: at.In, Repository: repo, Name: at.Name, Image: ecr.ImageID{Digest: p.Digest, Tag: tag}, To: to, Via: p.Via,
			}, 0, p.Changed)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Deleted queues the deletion of an image, or with a tag of that tag, for the
// destinations whose options say so. A deletion that was replicated is not replicated on.
func (q *Queue) Deleted(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) error {
	if tx.Operation().Name == opReplicateDeletion.Name {
		return nil
	}
	settings, err := tx.Registries().RegistrySettings(ctx, at.In)
	if err != nil {
		return err
	}
	c, err := read(settings)
	if err != nil {
		return err
	}
	for _, to := range c.destinations(at.Name) {
		if !c.Options[to.String()].Deletions {
			continue
		}
		q.used.Store(true)
		err := tx.Registries().QueueReplication(ctx, meta.Replication{
			Kind: meta.ReplicateDelete, Source: at.In, Repository: repo, Name: at.Name, Image: id, To: to,
		}, 0, true)
		if err != nil {
			return err
		}
	}
	return nil
}
