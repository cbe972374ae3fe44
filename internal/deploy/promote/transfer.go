package promote

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
)

// transfer carries out one image.
type transfer struct {
	*execution
	n        int
	image    Image
	from, to *repository
	result   *ImageResult
	set      bool // the tag is the image already
	there    bool // and so is everything else

	mu sync.Mutex // guards result while blobs are on their way
	// bytes are those on their way; guarded by mu.
	bytes int64
}

func (x *transfer) run(ctx context.Context) error {
	if err := x.checkMoved(ctx); err != nil {
		return err
	}
	if x.again {
		if err := x.lookAgain(ctx); err != nil || x.there {
			return err
		}
	}
	for _, step := range []func(context.Context) error{
		x.create, x.moveBlobs, x.writeManifests, x.writeSignatures, x.writeLists, x.writeRecord, x.writeTag, x.verify,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkMoved compares both tags with what the plan saw.
func (x *transfer) checkMoved(ctx context.Context) (err error) {
	if x.from, err = x.repository(ctx, x.image.From.Registry, x.image.From.Repository); err != nil {
		return err
	}
	if x.to, err = x.repository(ctx, x.image.To.Registry, x.image.To.Repository); err != nil {
		return err
	}
	d, err := x.from.remote.Resolve(ctx, x.image.From.reference())
	switch {
	case ecr.CodeOf(err) == ecr.CodeImageNotFound:
		return fmt.Errorf("%s: %w: it is gone", x.image.From, errMoved)
	case err != nil:
		return err
	case d.Digest != x.image.FromDigest:
		return fmt.Errorf("%s: %w: it is %s now, and was %s", x.image.From, errMoved, d.Digest, x.image.FromDigest)
	}
	return x.checkTag(ctx)
}

// checkTag compares the target's tag with what the plan saw.
func (x *transfer) checkTag(ctx context.Context) error {
	d, err := x.to.remote.Resolve(ctx, string(x.image.To.Tag))
	switch code := ecr.CodeOf(err); {
	case code == ecr.CodeRepositoryNotFound, code == ecr.CodeImageNotFound:
		d.Digest = ""
	case err != nil:
		return err
	}
	// A run of this plan that was interrupted may have set it.
	x.set = d.Digest == x.image.Digest
	if d.Digest != x.image.ToDigest && d.Digest != x.image.Digest {
		if d.Digest == "" {
			return fmt.Errorf("%s: %w: it was %s, and is gone", x.image.To, errMoved, x.image.ToDigest)
		}
		return fmt.Errorf("%s: %w: it is %s now", x.image.To, errMoved, d.Digest)
	}
	return nil
}

// lookAgain finds what came since the plan was made, so that it is not sent a
// second time.
func (x *transfer) lookAgain(ctx context.Context) error {
	i := &x.image
	i.Manifests, i.Blobs, i.Signatures = slices.Clone(i.Manifests), slices.Clone(i.Blobs), slices.Clone(i.Signatures)
	g, gctx := group(ctx)
	find := func(there *bool, d ecr.Digest, reference string) {
		if !*there {
			g.Go(func() error {
				got, ok, err := x.to.find(gctx, reference)
				*there = ok && got.Digest == d
				return err
			})
		}
	}
	for n := range i.Manifests {
		m := &i.Manifests[n]
		find(&m.There, m.Digest, string(m.Digest))
	}
	for n := range i.Signatures {
		s := &i.Signatures[n]
		find(&s.There, s.Digest, string(s.Tag))
	}
	for n := range i.Blobs {
		if b := &i.Blobs[n]; !b.There {
			g.Go(func() (err error) {
				b.There, err = x.to.remote.Exists(gctx, b.Digest)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	missing := slices.ContainsFunc(i.Manifests, func(m Manifest) bool { return !m.There }) ||
		slices.ContainsFunc(i.Signatures, func(s Signature) bool { return !s.There })
	x.there = x.set && !missing && len(i.Lists) == 0
	return nil
}

// create makes the repository.
func (x *transfer) create(ctx context.Context) error {
	if !x.image.Create {
		return nil
	}
	at := place{x.image.To.Registry, x.image.To.Repository}
	x.execution.mu.Lock()
	c, ok := x.made[at]
	if !ok {
		c = &creation{}
		x.made[at] = c
	}
	x.execution.mu.Unlock()
	c.once.Do(func() {
		if c.err = x.makeRepository(ctx); c.err == nil {
			x.result.Created = true
		}
	})
	return c.err
}

// ECR may answer for some seconds that a repository does not exist that was made
// just now.
const (
	settleTries = 6
	settleWait  = 200 * time.Millisecond // doubled each time: 6.2 s in all
)

func (x *transfer) makeRepository(ctx context.Context) error {
	creator := x.to.registry.Creator
	if creator == nil {
		return fmt.Errorf("registry %s: there is nothing to make the repository %s with", x.to.registry.Name, x.to.name)
	}
	if err := creator.Create(ctx, x.to.name); err != nil {
		return err
	}
	wait := settleWait
	for try := 1; ; try++ {
		_, err := x.to.remote.Resolve(ctx, string(x.image.To.Tag))
		switch ecr.CodeOf(err) {
		case "", ecr.CodeImageNotFound:
			return nil
		case ecr.CodeRepositoryNotFound:
		default:
			return err
		}
		if try == settleTries {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
	}
}

// writeTag sets the tag, unless it was set meanwhile by others.
func (x *transfer) writeTag(ctx context.Context) error {
	if x.image.ToDigest == x.image.Digest {
		return nil
	}
	if err := x.checkTag(ctx); err != nil {
		return err
	}
	return x.writeManifest(ctx, x.image.Digest, string(x.image.To.Tag))
}

// verify looks whether the target has what it should.
func (x *transfer) verify(ctx context.Context) error {
	m, err := x.to.remote.Manifest(ctx, string(x.image.To.Tag))
	if err != nil {
		return fmt.Errorf("looking at what was promoted: %w", err)
	}
	if m.Digest != x.image.Digest {
		return fmt.Errorf("%s is %s, not %s: the tag was moved", x.image.To, m.Digest, x.image.Digest)
	}
	var wanted []ecr.Digest
	for _, m := range x.image.Manifests {
		if m.Kind == KindReferrer && m.Of == x.image.Digest {
			wanted = append(wanted, m.Digest)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	list, ok, err := x.to.remote.Referrers(ctx, x.image.Digest)
	if err == nil && !ok {
		list, _, err = x.to.listedReferrers(ctx, x.image.Digest)
	}
	if err != nil {
		return fmt.Errorf("looking at what was promoted: %w", err)
	}
	for _, d := range wanted {
		if !slices.ContainsFunc(list, func(r remote.Descriptor) bool { return r.Digest == d }) {
			return fmt.Errorf("%s is promoted, but registry %s does not list %s among what refers to it", x.image.To, x.to.registry.Name, d)
		}
	}
	return nil
}
