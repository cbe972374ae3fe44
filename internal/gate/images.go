package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// ImageKey is a condition key about an image.
type ImageKey struct {
	// Of returns the values for the image that id names in the repository of s. It is
	// called only where a policy depends on the key.
	// Errors: meta.ErrNotFound for an image that is not there.
	Of func(ctx context.Context, v *View, s Scene, id ecr.ImageID) ([]string, error)
	// Coming are the values for an image that is not there, and is to be fetched from an
	// upstream.
	Coming []string
}

// Later is the error of an ImageKey that has to do more than to read the database. Do is
// called when the transaction has ended; then the operation begins again, in a new one.
// What Do keeps with Keep is there until the operation is over.
type Later struct {
	Do func(ctx context.Context) error
}

func (l *Later) Error() string { return "gate: defect: more has to be read than the database" }

// And is what l and other want to be done; both may be nil.
func (l *Later) And(other *Later) *Later {
	if l == nil || other == nil {
		return other
	}
	return &Later{Do: func(ctx context.Context) error {
		if err := l.Do(ctx); err != nil {
			return err
		}
		return other.Do(ctx)
	}}
}

// laterMost bounds how often an operation begins again.
const laterMost = 5

// errUnsettled: what an operation depends on changed each time that it began again.
var errUnsettled = &ecr.Error{Code: ecr.CodeUnavailable, Message: "The image is being changed. Try again."}

type keptKey struct{}

// again runs look until it fails for another reason than a Later.
func again(ctx context.Context, look func(ctx context.Context) error) error {
	ctx = context.WithValue(ctx, keptKey{}, map[any]any{})
	for range laterMost {
		err := look(ctx)
		var later *Later
		if !errors.As(err, &later) {
			return err
		}
		if err := later.Do(ctx); err != nil {
			return err
		}
	}
	return errUnsettled
}

// Keep keeps a value until the operation that ctx is of is over, for when it begins
// again: memory that others share may have lost it by then.
func Keep(ctx context.Context, key, value any) {
	if kept, ok := ctx.Value(keptKey{}).(map[any]any); ok {
		kept[key] = value
	}
}

// Kept is what Keep has kept; nil for nothing.
func Kept(ctx context.Context, key any) any {
	kept, _ := ctx.Value(keptKey{}).(map[any]any)
	return kept[key]
}

// EnterImage is Enter for an operation on images of a repository, of each of which the
// caller is asked for the operation's actions: policies may depend on the image. The
// images need not be there; what depends on one that is not is then no denial.
// Errors: RepositoryNotFound.
func (v *View) EnterImage(ctx context.Context, at ecr.Repo, ids ...ecr.ImageID) (Scene, error) {
	s, there, err := v.scene(ctx, at)
	if err == nil && len(ids) == 0 {
		err = v.May(s, v.op.Actions...)
	}
	var later *Later
	for _, id := range ids {
		if err != nil {
			break
		}
		// All that has to be read for the images is read at once.
		var more *Later
		if err = v.mayImage(ctx, s, id, false); errors.As(err, &more) {
			later, err = later.And(more), nil
		}
	}
	if err == nil && later != nil {
		err = later
	}
	if err == nil && !there {
		err = ecr.RepositoryNotFound(at.In, at.Name)
	}
	return s, err
}

// EnterComing is EnterImage for an image that the caller gets whether it is there or not,
// such as one that is on its way from an upstream: policies have the values of
// ImageKey.Coming for one that is not there, and may deny it. Whether the repository is
// there is not told.
func (v *View) EnterComing(ctx context.Context, at ecr.Repo, id ecr.ImageID) (Scene, error) {
	s, _, err := v.scene(ctx, at)
	if err == nil {
		err = v.mayImage(ctx, s, id, true)
	}
	return s, err
}

// Coming is s for questions about an image that is not there, and is to be fetched from
// an upstream.
func (v *View) Coming(s Scene) Scene {
	s.image = v.coming
	return s
}

func (v *View) coming(key string) ([]string, bool) {
	answer, ok := v.c.g.cfg.ImageKeys[key]
	return answer.Coming, ok
}

// mayImage is May for one image of s. coming says that the caller gets the image even
// where it is not there.
func (v *View) mayImage(ctx context.Context, s Scene, id ecr.ImageID, coming bool) error {
	var failed error
	of := s
	of.image = func(key string) (values []string, known bool) {
		answer, ok := v.c.g.cfg.ImageKeys[key]
		if !ok || failed != nil {
			return nil, false
		}
		if failed = meta.ErrNotFound; s.Row.ID != 0 {
			values, failed = answer.Of(ctx, v, s, id)
		}
		if coming && errors.Is(failed, meta.ErrNotFound) {
			failed = nil
			return answer.Coming, true
		}
		return values, failed == nil
	}
	for _, a := range v.op.Actions {
		r := v.request(of, a)
		d := authz.Decide(r)
		switch {
		case errors.Is(failed, meta.ErrNotFound):
			// There is nothing to decide on: who may pull some images is told that this
			// one is not there, and may push it.
			if failed = nil; !d.Allowed && onImageOnly(d) {
				d = authz.Decision{Allowed: true, By: "no image that policies could ask for"}
			}
		case errors.As(failed, new(*Later)) && len(d.DependsOn) == 0:
			failed = nil // decided, whatever it is: nothing is read for who may not know it
		case failed != nil:
			return failed
		}
		if err := v.Decided(a, r.Resource, d); err != nil {
			return err
		}
	}
	return nil
}

// onImageOnly reports whether a request is denied for want of nothing but what is known
// of an image.
func onImageOnly(d authz.Decision) bool {
	return len(d.DependsOn) > 0 && !slices.ContainsFunc(d.DependsOn, func(k string) bool { return !authz.IsImageKey(k) })
}
