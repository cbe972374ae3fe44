package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
)

func (c *call) tagResource(ctx context.Context, in *TagResourceRequest) (*TagResourceResponse, error) {
	at, err := c.resource(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &TagResourceResponse{}, c.TagResource(ctx, at, tags)
}

func (c *call) untagResource(ctx context.Context, in *UntagResourceRequest) (*UntagResourceResponse, error) {
	at, err := c.resource(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &UntagResourceResponse{}, c.UntagResource(ctx, at, in.TagKeys)
}

func (c *call) listTagsForResource(ctx context.Context, in *ListTagsForResourceRequest) (*ListTagsForResourceResponse, error) {
	at, err := c.resource(*in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := c.ResourceTags(ctx, at)
	if err != nil {
		return nil, err
	}
	return &ListTagsForResourceResponse{Tags: tagList(tags)}, nil
}

// tagList is tags on the wire, in byte order of their keys.
func tagList(tags map[string]string) []Tag {
	out := []Tag{}
	for _, k := range sortedKeys(tags) {
		v := tags[k]
		out = append(out, Tag{Key: &k, Value: &v})
	}
	return out
}

// resource is the repository that an ARN names. An endpoint knows the
// resources of its region only.
func (c *call) resource(arn string) (ecr.Repo, error) {
	in, name, err := ecr.ParseRepositoryARN(arn)
	if err != nil || in.Region != c.at.Registry.Region {
		e := ecr.InvalidParameter("resourceArn", "Invalid ARN")
		e.Err = err
		return ecr.Repo{}, e
	}
	return ecr.Repo{In: in, Name: name}, nil
}

// resourceTags refuses a key given twice, of which a map would keep one.
func resourceTags(list []Tag) (map[string]string, error) {
	if list == nil {
		return nil, nil
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if _, twice := tags[*t.Key]; twice {
			return nil, ecr.Errorf(ecr.CodeInvalidTagParameter, "Tag parameters are invalid")
		}
		tags[*t.Key] = *t.Value
	}
	return tags, nil
}
