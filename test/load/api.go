package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// What goes through the ECR API.

// uploadLayer uploads a blob through the layer API, in parts of 5 MiB, the
// least that ECR takes.
func (l *life) uploadLayer(ctx context.Context, repo string, c content) error {
	const part = 5 << 20
	began, err := l.api.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &repo})
	if err != nil {
		return l.outcome(err)
	}
	b := c.bytes()
	for from := 0; from < len(b); from += part {
		p := b[from:min(from+part, len(b))]
		if _, err := l.api.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: &repo, UploadId: began.UploadId, LayerPartBlob: p,
			PartFirstByte: aws.Int64(int64(from)), PartLastByte: aws.Int64(int64(from + len(p) - 1)),
		}); err != nil {
			return l.outcome(err)
		}
	}
	_, err = l.api.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: &repo, UploadId: began.UploadId, LayerDigests: []string{c.digest}})
	return l.outcome(err)
}

// deleteTag takes a tag from an image of several through either API, or the
// last one through ECR's, which deletes the image.
func (c *client) deleteTag(ctx context.Context, l *life) (change, error) {
	k, err := c.one(func(k imageKey) bool { return len(c.model.tagsOf(k)) > 0 && c.model.parents[k] == 0 })
	if err != nil {
		return change{}, err
	}
	tags := c.model.tagsOf(k)
	t := tags[0]
	if c.rnd.IntN(2) == 0 {
		_, err := l.do(ctx, http.MethodDelete, "/v2/"+t.repo+"/manifests/"+t.tag, nil, nil, http.StatusAccepted)
		return untagged(t), err
	}
	ch := untagged(t)
	if len(tags) == 1 {
		ch = c.model.deleted(k)
	}
	return ch, l.batchDelete(ctx, t.repo, types.ImageIdentifier{ImageTag: &t.tag})
}

func (l *life) batchDelete(ctx context.Context, repo string, id types.ImageIdentifier) error {
	out, err := l.api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &repo, ImageIds: []types.ImageIdentifier{id}})
	if err != nil {
		return l.outcome(err)
	}
	if len(out.Failures) > 0 {
		return fmt.Errorf("BatchDeleteImage of %s: %s", repo, aws.ToString(out.Failures[0].FailureReason))
	}
	return nil
}

// deleteDigest deletes an image that no index lists.
func (c *client) deleteDigest(ctx context.Context, l *life) (change, error) {
	k, err := c.one(func(k imageKey) bool { return c.model.parents[k] == 0 })
	if err != nil {
		return change{}, err
	}
	ch := c.model.deleted(k)
	if c.rnd.IntN(2) == 0 {
		_, err := l.do(ctx, http.MethodDelete, "/v2/"+k.repo+"/manifests/"+k.digest, nil, nil, http.StatusAccepted)
		return ch, err
	}
	return ch, l.batchDelete(ctx, k.repo, types.ImageIdentifier{ImageDigest: &k.digest})
}

// list reads the tags of a repository and looks for the client's own.
func (c *client) list(ctx context.Context, l *life) (change, error) {
	repo := c.repo()
	tags, err := l.tags(ctx, repo)
	if err != nil {
		return change{}, err
	}
	for t, d := range c.model.tags {
		if t.repo == repo && tags[t.tag] != (d != "") {
			return change{}, fmt.Errorf("the list of %s holds %s: %v, want %v", repo, t.tag, tags[t.tag], d != "")
		}
	}
	return change{}, nil
}

// tags are all tags of a repository, read page by page.
func (l *life) tags(ctx context.Context, repo string) (map[string]bool, error) {
	all := map[string]bool{}
	for path := "/v2/" + repo + "/tags/list?n=500"; path != ""; {
		a, err := l.do(ctx, http.MethodGet, path, nil, nil, http.StatusOK)
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(a.body, &page); err != nil {
			return nil, err
		}
		for _, t := range page.Tags {
			all[t] = true
		}
		path = ""
		if link, ok := strings.CutPrefix(a.header.Get("Link"), "<"); ok {
			path, _, _ = strings.Cut(link, ">")
		}
	}
	return all, nil
}

// batch asks for some images of a repository in one call, and one that is
// no one's.
func (c *client) batch(ctx context.Context, l *life) (change, error) {
	first, err := c.one(anyImage)
	if err != nil {
		return change{}, err
	}
	repo := first.repo
	ids := []types.ImageIdentifier{{ImageDigest: aws.String(string(kecr.DigestOf([]byte("no such image"))))}}
	for range 5 {
		k, err := c.one(func(k imageKey) bool { return k.repo == repo })
		if err != nil {
			return change{}, err
		}
		ids = append(ids, types.ImageIdentifier{ImageDigest: &k.digest})
	}
	out, err := l.api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &repo, ImageIds: ids, AcceptedMediaTypes: []string{manifestType, indexType}})
	if err != nil {
		return change{}, l.outcome(err)
	}
	got := map[string]bool{}
	for _, i := range out.Images {
		got[aws.ToString(i.ImageId.ImageDigest)] = string(kecr.DigestOf([]byte(aws.ToString(i.ImageManifest)))) == aws.ToString(i.ImageId.ImageDigest)
	}
	for _, id := range ids[1:] {
		if !got[*id.ImageDigest] {
			return change{}, fmt.Errorf("BatchGetImage of %s lacks %s, or has another manifest", repo, *id.ImageDigest)
		}
	}
	if len(out.Failures) != 1 {
		return change{}, fmt.Errorf("BatchGetImage of %s: %d failures, want 1", repo, len(out.Failures))
	}
	described, err := l.api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &repo, ImageIds: ids[1:]})
	if err != nil {
		return change{}, l.outcome(err)
	}
	clear(got)
	for _, i := range described.ImageDetails {
		got[aws.ToString(i.ImageDigest)] = true
	}
	for _, id := range ids[1:] {
		if !got[*id.ImageDigest] {
			return change{}, fmt.Errorf("DescribeImages of %s lacks %s", repo, *id.ImageDigest)
		}
	}
	return change{}, nil
}

// digests are all images of a repository, and their tags.
func (l *life) digests(ctx context.Context, repo string) (images map[string]bool, tags map[string]string, err error) {
	images, tags = map[string]bool{}, map[string]string{}
	pages := ecr.NewListImagesPaginator(l.api, &ecr.ListImagesInput{RepositoryName: &repo, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, l.outcome(err)
		}
		for _, id := range page.ImageIds {
			images[*id.ImageDigest] = true
			if id.ImageTag != nil {
				tags[*id.ImageTag] = *id.ImageDigest
			}
		}
	}
	return images, tags, nil
}
