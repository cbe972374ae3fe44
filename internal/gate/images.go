package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// ImageKey answers a condition key about the image that id names in the repository
// of s. It is asked only where a policy depends on the key.
// Errors: meta.ErrNotFound for an image that is not there.
type ImageKey func(ctx context.Context, v *View, s Scene, id ecr.ImageID) ([]string, error)

// Later is the error of an ImageKey that has to do more than to read the database. Do is
// called when the transaction has ended; then the operation begins again, in a new one.
type Later struct {
	Do func(ctx context.Context) error
}

func (l *Later) Error() string { return "gate: defect: more has to be read than the database" }

// laterMost bounds how often an operation begins again.
const laterMost = 5

// errUnsettled: what an operation depends on changed each time that it began again.
var errUnsettled = &ecr.Error{Code: ecr.CodeUnavailable, Message: "The image is being changed. Try again."}

// again runs look until it fails for another reason than a Later.
func again(ctx context.Context, look func() error) error {
	for range laterMost {
		err := look()
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

// EnterImage is Enter for an operation on images of a repository, of each of which the
// caller is asked for the operation's actions: policies may depend on the image. The
// images need not be there; what depends on one that is not is then no denial.
// Errors: RepositoryNotFound.
func (v *View) EnterImage(ctx context.Context, at ecr.Repo, ids ...ecr.ImageID) (Scene, error) {
	s, there, err := v.scene(ctx, at)
	if err == nil && len(ids) == 0 {
		err = v.May(s, v.op.Actions...)
	}
	for _, id := range ids {
		if err != nil {
			break
		}
		err = v.mayImage(ctx, s, id)
	}
	if err == nil && !there {
		err = ecr.RepositoryNotFound(at.In, at.Name)
	}
	return s, err
}

// mayImage is May for one image of s.
func (v *View) mayImage(ctx context.Context, s Scene, id ecr.ImageID) error {
	var failed error
	of := s
	of.image = func(key string) ([]string, bool) {
		answer := v.c.g.cfg.ImageKeys[key]
		if answer == nil || failed != nil || s.Row.ID == 0 {
			return nil, s.Row.ID == 0
		}
		var values []string
		values, failed = answer(ctx, v, s, id)
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
