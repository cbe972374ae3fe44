package ecrapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

func (c *call) putImage(ctx context.Context, in *PutImageRequest) (*PutImageResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	// The manifest is in the request, on its way to the store, and in the answer.
	if err := budget.Take(ctx, 2*int64(len(*in.ImageManifest))); err != nil {
		return nil, err
	}
	n := registry.NewImage{Body: []byte(*in.ImageManifest), MediaType: value(in.ImageManifestMediaType), Strict: true}
	if in.ImageTag != nil {
		tag, err := ecr.ParseTag(*in.ImageTag)
		if err != nil {
			return nil, err
		}
		n.Tags = []ecr.Tag{tag}
	}
	if in.ImageDigest != nil {
		d, err := ecr.ParseDigest(*in.ImageDigest)
		if err != nil {
			return nil, err
		}
		n.Digest = d
	}
	put, err := c.PutImage(ctx, at, n)
	if err != nil {
		return nil, err
	}
	return &PutImageResponse{Image: &Image{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageId:       &ImageIdentifier{ImageDigest: text(put.Digest), ImageTag: in.ImageTag},
		ImageManifest: in.ImageManifest, ImageManifestMediaType: text(put.MediaType),
	}}, nil
}

// batchGetImage serves manifests as they were pushed. acceptedMediaTypes
// chooses conversions on ECR; there are none here, and the media type of each
// image says what it is.
func (c *call) batchGetImage(ctx context.Context, in *BatchGetImageRequest) (*BatchGetImageResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	ids := imageIDs(in.ImageIds)
	images, failures, err := c.BatchGetImage(ctx, at, ids)
	if noRepository := err; ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
		// A rule may say that it is to be made.
		failures = make([]registry.ImageFailure, len(ids))
		for i, id := range ids {
			failures[i] = registry.ImageFailure{ID: id, Code: "ImageNotFound", Reason: "Requested image not found"}
		}
		var fetched []registry.GotImage
		if fetched, failures, err = c.fetchImages(ctx, at, failures); err == nil && len(fetched) == 0 && !c.h.cfg.Upstreams.Cached(ctx, at) {
			err = noRepository
		}
		images = fetched
	} else if err == nil && len(failures) > 0 {
		var fetched []registry.GotImage
		fetched, failures, err = c.fetchImages(ctx, at, failures)
		images = append(images, fetched...)
	}
	if err != nil {
		return nil, err
	}
	out := &BatchGetImageResponse{Images: []Image{}, Failures: imageFailures(failures)}
	for _, i := range images {
		manifest := string(i.Body)
		out.Images = append(out.Images, Image{
			RegistryId: text(at.In.Account), RepositoryName: text(at.Name), ImageId: imageID(i.ID),
			ImageManifest: &manifest, ImageManifestMediaType: text(i.MediaType),
		})
	}
	return out, nil
}

func (c *call) batchDeleteImage(ctx context.Context, in *BatchDeleteImageRequest) (*BatchDeleteImageResponse, error) {
	ids, failures, err := c.BatchDeleteImage(ctx, c.repo(in.RegistryId, in.RepositoryName), imageIDs(in.ImageIds))
	if err != nil {
		return nil, err
	}
	out := &BatchDeleteImageResponse{ImageIds: []ImageIdentifier{}, Failures: imageFailures(failures)}
	for _, id := range ids {
		out.ImageIds = append(out.ImageIds, *imageID(id))
	}
	return out, nil
}

func (c *call) listImages(ctx context.Context, in *ListImagesRequest) (*ListImagesResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	filter := value(in.Filter)
	walk, err := newListing("ListImages", at.In, ListImagesRequest{RepositoryName: in.RepositoryName, Filter: in.Filter})
	if err != nil {
		return nil, err
	}
	cursor, err := walk.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	digest, tag, _ := strings.Cut(cursor, " ")
	ids, next, err := c.ListImages(ctx, at, ecr.TagStatus(value(filter.TagStatus)),
		ecr.ImageID{Digest: ecr.Digest(digest), Tag: ecr.Tag(tag)}, pageSize(in.MaxResults, defaultPage), statuses(filter.ImageStatus)...)
	if err != nil {
		return nil, err
	}
	out := &ListImagesResponse{ImageIds: []ImageIdentifier{}}
	for _, id := range ids {
		out.ImageIds = append(out.ImageIds, *imageID(id))
	}
	if next != (ecr.ImageID{}) {
		out.NextToken = walk.token(string(next.Digest) + " " + string(next.Tag))
	}
	return out, nil
}

func (c *call) describeImages(ctx context.Context, in *DescribeImagesRequest) (*DescribeImagesResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	filter := value(in.Filter)
	of := statuses(filter.ImageStatus)
	status := ecr.TagStatus(value(filter.TagStatus))
	out := &DescribeImagesResponse{ImageDetails: []ImageDetail{}}
	var images []ecr.Image
	if in.ImageIds != nil {
		if err := exclusive("imageIds", in.MaxResults, in.NextToken); err != nil {
			return nil, err
		}
		var err error
		if images, err = c.DescribeImages(ctx, at, imageIDs(in.ImageIds)); err != nil {
			return nil, err
		}
		images = slices.DeleteFunc(images, func(i ecr.Image) bool {
			return status == ecr.TagStatusTagged && len(i.Tags) == 0 || status == ecr.TagStatusUntagged && len(i.Tags) > 0 ||
				len(of) > 0 && !slices.Contains(of, i.Status)
		})
	} else {
		walk, err := newListing("DescribeImages", at.In, DescribeImagesRequest{RepositoryName: in.RepositoryName, Filter: in.Filter})
		if err != nil {
			return nil, err
		}
		after, err := walk.cursor(in.NextToken)
		if err != nil {
			return nil, err
		}
		var next ecr.Digest
		if images, next, err = c.ListImageDetails(ctx, at, status, ecr.Digest(after), pageSize(in.MaxResults, defaultPage), of...); err != nil {
			return nil, err
		}
		out.NextToken = walk.token(string(next))
	}
	for _, i := range images {
		d := imageDetail(at, i)
		if err := addScan(&d, i.Scan); err != nil {
			return nil, err
		}
		out.ImageDetails = append(out.ImageDetails, d)
	}
	return out, nil
}

// statuses are those that a filter lets through, none for any. Without a filter
// only active images are shown (API reference, DescribeImagesFilter and
// ListImagesFilter).
func statuses(filter *string) []ecr.ImageStatus {
	switch s := value(filter); s {
	case "":
		return []ecr.ImageStatus{ecr.StatusActive}
	case "ANY":
		return nil
	default:
		return []ecr.ImageStatus{ecr.ImageStatus(s)}
	}
}

func imageDetail(at ecr.Repo, i ecr.Image) ImageDetail {
	d := ImageDetail{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageDigest: text(i.Digest), ImageSizeInBytes: &i.SizeBytes,
		ImagePushedAt: awsjson.NewTime(i.PushedAt), LastRecordedPullTime: awsjson.NewTime(i.LastPulledAt),
		ImageManifestMediaType: text(i.MediaType), ArtifactMediaType: text(i.ArtifactMediaType),
		SubjectManifestDigest: text(i.Subject), ImageStatus: text(i.Status),
		LastArchivedAt: awsjson.NewTime(i.ArchivedAt), LastActivatedAt: awsjson.NewTime(i.ActivatedAt),
	}
	if i.Status == ecr.StatusActivating {
		d.LastActivatedAt = nil // it is in the future
	}
	for _, t := range i.Tags {
		d.ImageTags = append(d.ImageTags, string(t))
	}
	return d
}

// imageIDs takes identifiers as they come: a malformed one does not fail the others.
func imageIDs(list []ImageIdentifier) []ecr.ImageID {
	ids := make([]ecr.ImageID, len(list))
	for i, id := range list {
		ids[i] = ecr.ImageID{Digest: ecr.Digest(value(id.ImageDigest)), Tag: ecr.Tag(value(id.ImageTag))}
	}
	return ids
}

func imageID(id ecr.ImageID) *ImageIdentifier {
	return &ImageIdentifier{ImageDigest: text(id.Digest), ImageTag: text(id.Tag)}
}

func imageFailures(list []registry.ImageFailure) []ImageFailure {
	out := []ImageFailure{}
	for _, f := range list {
		out = append(out, ImageFailure{ImageId: imageID(f.ID), FailureCode: text(f.Code), FailureReason: text(f.Reason)})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
