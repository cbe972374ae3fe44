package leasetags

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// API is the part of ECR's API that Apply uses; *ecr.Client has it.
type API interface {
	images.API
	PutImage(context.Context, *ecr.PutImageInput, ...func(*ecr.Options)) (*ecr.PutImageOutput, error)
	BatchDeleteImage(context.Context, *ecr.BatchDeleteImageInput, ...func(*ecr.Options)) (*ecr.BatchDeleteImageOutput, error)
	GetLifecyclePolicy(context.Context, *ecr.GetLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyOutput, error)
	PutLifecyclePolicy(context.Context, *ecr.PutLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.PutLifecyclePolicyOutput, error)
}

// Apply carries c out: tags first, then the rule, then what is stale. It looks
// at everything again before it takes something away, and may be repeated.
func Apply(ctx context.Context, api API, c Change) error {
	r := repository{api, aws.String(string(c.Registry.Account)), aws.String(string(c.Repository))}
	for _, t := range c.Add {
		if err := r.tag(ctx, t); err != nil {
			return r.failed("tagging image "+t.Digest, err)
		}
	}
	if c.After != "" {
		if err := r.putPolicy(ctx, c.Before, c.After); err != nil {
			return r.failed("its lifecycle policy", err)
		}
	}
	for _, t := range c.Remove {
		if err := r.untag(ctx, t, true); err != nil {
			return r.failed("removing the tag "+t.Tag, err)
		}
	}
	for _, t := range c.Expire {
		if err := r.untag(ctx, t, false); err != nil {
			return r.failed("removing image "+t.Digest, err)
		}
	}
	return nil
}

type repository struct {
	api           API
	account, name *string
}

func (r repository) failed(what string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		err = fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("repository %s: %s: %w", *r.name, what, err)
}

// tag puts the image again under one more tag. ECR does not make it younger.
func (r repository) tag(ctx context.Context, t Tagged) error {
	got, err := r.api.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RegistryId: r.account, RepositoryName: r.name, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(t.Digest)}},
	})
	switch {
	case err != nil:
		return err
	case len(got.Failures) > 0:
		return errors.New(aws.ToString(got.Failures[0].FailureReason))
	case len(got.Images) != 1:
		return errMoved
	}
	m := got.Images[0]
	_, err = r.api.PutImage(ctx, &ecr.PutImageInput{
		RegistryId: r.account, RepositoryName: r.name, ImageDigest: aws.String(t.Digest), ImageTag: aws.String(t.Tag),
		ImageManifest: m.ImageManifest, ImageManifestMediaType: m.ImageManifestMediaType,
	})
	if isCode(err, kecr.CodeImageAlreadyExists) || isCode(err, kecr.CodeImageTagAlreadyExists) {
		return nil // someone was first; the tag can be of no other image
	}
	return err
}

// putPolicy replaces the policy, if it still is before; one that is after
// already is what is wanted.
func (r repository) putPolicy(ctx context.Context, before, after string) error {
	now, err := r.api.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RegistryId: r.account, RepositoryName: r.name})
	if err != nil {
		return err
	}
	switch text := aws.ToString(now.LifecyclePolicyText); {
	case same(text, after):
		return nil
	case !same(text, before):
		return errMoved
	}
	_, err = r.api.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RegistryId: r.account, RepositoryName: r.name, LifecyclePolicyText: aws.String(after)})
	return err
}

// same reports whether two policies say the same.
func same(a, b string) bool {
	p, err := lifecycle.Decode([]byte(a))
	q, err2 := lifecycle.Decode([]byte(b))
	return a == b || err == nil && err2 == nil && lifecycle.Equal(p, q)
}

// untag removes a lease tag. others says whether the image must have other
// tags, or must not: with its last tag it would go.
func (r repository) untag(ctx context.Context, t Tagged, others bool) error {
	got, err := r.api.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId: r.account, RepositoryName: r.name, ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(t.Digest)}},
	})
	switch {
	case isCode(err, kecr.CodeImageNotFound):
		return nil
	case err != nil:
		return err
	case len(got.ImageDetails) != 1:
		return errMoved
	}
	has, there := false, false
	for _, tag := range got.ImageDetails[0].ImageTags {
		there = there || tag == t.Tag
		has = has || !strings.HasPrefix(tag, TagPrefix)
	}
	switch {
	case !there:
		return nil
	case has != others:
		return errMoved
	}
	// By the tag alone: with the digest ECR deletes the image and all its tags.
	out, err := r.api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{
		RegistryId: r.account, RepositoryName: r.name,
		ImageIds: []types.ImageIdentifier{{ImageTag: aws.String(t.Tag)}},
	})
	if err == nil && len(out.Failures) > 0 {
		return errors.New(aws.ToString(out.Failures[0].FailureReason))
	}
	return err
}

func isCode(err error, code kecr.Code) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == string(code)
}
