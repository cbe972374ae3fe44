package ecrapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// statusActive is the state of every image here: this registry archives none.
const statusActive = "ACTIVE"

func (c *call) putImage(ctx context.Context, in *PutImageRequest) (*PutImageResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
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
	images, failures, err := c.BatchGetImage(ctx, at, imageIDs(in.ImageIds))
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
	limit, active := page(in.MaxResults, filter.ImageStatus)
	ids, next, err := c.ListImages(ctx, at, registry.TagStatus(value(filter.TagStatus)),
		ecr.ImageID{Digest: ecr.Digest(digest), Tag: ecr.Tag(tag)}, limit)
	if err != nil {
		return nil, err
	}
	out := &ListImagesResponse{ImageIds: []ImageIdentifier{}}
	if !active {
		return out, nil
	}
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
	limit, active := page(in.MaxResults, filter.ImageStatus)
	status := registry.TagStatus(value(filter.TagStatus))
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
			return status == registry.TagStatusTagged && len(i.Tags) == 0 || status == registry.TagStatusUntagged && len(i.Tags) > 0
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
		if images, next, err = c.ListImageDetails(ctx, at, status, ecr.Digest(after), limit); err != nil {
			return nil, err
		}
		if active {
			out.NextToken = walk.token(string(next))
		}
	}
	if !active {
		return out, nil
	}
	for _, i := range images {
		out.ImageDetails = append(out.ImageDetails, imageDetail(at, i))
	}
	return out, nil
}

// page is the page size for a listing with a filter on the images' state, and
// whether the filter lets active images through. If not, one image is asked
// for and not shown: rights and repository are checked all the same.
func page(maxResults *int32, imageStatus *string) (limit int, active bool) {
	switch value(imageStatus) {
	case "", statusActive, "ANY":
		return pageSize(maxResults, defaultPage), true
	}
	return 1, false
}

func imageDetail(at registry.Repo, i ecr.Image) ImageDetail {
	d := ImageDetail{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageDigest: text(i.Digest), ImageSizeInBytes: &i.SizeBytes,
		ImagePushedAt: awsjson.NewTime(i.PushedAt), LastRecordedPullTime: awsjson.NewTime(i.LastPulledAt),
		ImageManifestMediaType: text(i.MediaType), ArtifactMediaType: text(i.ArtifactMediaType),
		SubjectManifestDigest: text(i.Subject), ImageStatus: text(statusActive),
	}
	for _, t := range i.Tags {
		d.ImageTags = append(d.ImageTags, string(t))
	}
	return d
}

// imageIDs takes identifiers as they come: a malformed one fails by itself.
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
