package browse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/registry"
)

// changeImage does what a form of the page of an image asks for.
func (v *repoVisit) changeImage(d ecr.Digest) error {
	found, err := v.Config.Registry.As(v.Req.Principal).DescribeImages(v.R.Context(), v.repo, []ecr.ImageID{{Digest: d}})
	if err != nil {
		return err
	}
	switch v.R.PostFormValue("do") {
	case "tag":
		return v.tagImage(found[0])
	case "pin":
		return v.pin(found[0])
	case "unpin":
		return v.unpin(d)
	case "scan":
		if _, err := v.Config.Scanning.As(v.Req.Principal).StartScan(v.R.Context(), v.repo, ecr.ImageID{Digest: d}); err != nil {
			return err
		}
		return v.Finish(v.imageURL(d), "scan")
	case "delete":
		return v.deleteImage(d)
	}
	return parts.NoPage()
}

func (v *repoVisit) imageURL(d ecr.Digest) string {
	return parts.RepoURL(v.repo.Name, "images/"+string(d))
}

// errTagged: the image has the tag already.
var errTagged = errors.New("the image has the tag")

// tagImage gives an image another tag, which may be another image's so far.
func (v *repoVisit) tagImage(m ecr.Image) error {
	tag, err := ecr.ParseTag(strings.TrimSpace(v.R.PostFormValue("tag")))
	if err != nil {
		return err
	}
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) { return v.on(in).tagQuestion(m, tag) }, func(ctx context.Context) error {
		as := v.Config.Registry.As(v.Req.Principal)
		got, err := as.StatManifest(v.R.Context(), v.repo, ecr.ImageID{Digest: m.Digest})
		if err != nil {
			return err
		}
		_, err = as.PutImage(ctx, v.repo, registry.NewImage{Body: got.Body, MediaType: got.MediaType, Digest: m.Digest, Tags: []ecr.Tag{tag}})
		return err
	})
	if done || errors.Is(err, errTagged) {
		return v.Finish(v.imageURL(m.Digest), "tagged")
	}
	return err
}

// tagQuestion says what becomes of a tag that an image gets.
func (v *repoVisit) tagQuestion(m ecr.Image, tag ecr.Tag) (q parts.Question, err error) {
	ctx, as, here := v.R.Context(), v.Config.Registry.As(v.Req.Principal), v.imageURL(m.Digest)
	repos, err := as.DescribeRepositories(ctx, v.repo.In, []ecr.RepositoryName{v.repo.Name})
	if err != nil {
		return q, err
	}
	holder := ecr.Digest("")
	switch has, err := as.DescribeImages(ctx, v.repo, []ecr.ImageID{{Tag: tag}}); {
	case err == nil:
		holder = has[0].Digest
	case ecr.CodeOf(err) != ecr.CodeImageNotFound:
		return q, err
	}
	name := parts.Quoted(string(v.repo.Name))
	q = parts.Question{To: here, Back: here, Do: t("Set the tag"), Hidden: [][2]string{{"do", "tag"}, {"tag", string(tag)}}, Of: string(holder)}
	q.Layout = parts.Layout{Title: t("Set the tag %s?", tag), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
		v.AWS(t("The same"), "ecr", fmt.Sprintf("put-image --repository-name %s --image-tag %s --image-manifest \"$(aws --endpoint-url %s --region %s ecr batch-get-image --repository-name %s --image-ids imageDigest=%s --query 'images[0].imageManifest' --output text)\"",
			name, parts.Quoted(string(tag)), v.Req.Endpoint, v.Req.Registry.Region, name, m.Digest)),
	}}
	switch immutable := repos[0].Mutability.IsImmutable(tag); {
	case holder == m.Digest:
		return q, errTagged
	case holder != "" && immutable:
		return parts.Question{Status: http.StatusConflict, Layout: parts.Layout{Title: t("The tag %s cannot be moved", tag), Crumbs: parts.Crumbs(v.repo.Name)}, Back: here, Says: []string{
			t("It belongs to the image %s, and tags such as this one are immutable in the repository.", parts.Short(string(holder))),
			t("Choose another tag. To use this one, delete it first, or exclude it from immutability (mutable_tags in kontor.yaml)."),
		}}, nil
	case holder != "":
		q.Says = []string{t("The tag %s moves from the image %s to %s.", tag, parts.Short(string(holder)), parts.Short(string(m.Digest))), t("Who pulls it gets this image from then on. The journal records the move.")}
		if old, err := as.DescribeImages(ctx, v.repo, []ecr.ImageID{{Digest: holder}}); err == nil && len(old[0].Tags) == 1 {
			q.Says = append(q.Says, t("The image %s has no tag then, and the lifecycle policy may expire it.", parts.Short(string(holder))))
		}
	default:
		q.Says = []string{t("The image %s gets the tag %s, which no image has.", parts.Short(string(m.Digest)), tag)}
		if immutable {
			q.Says = append(q.Says, t("Tags such as this one are immutable in the repository: it cannot be moved to another image afterwards."))
		}
	}
	return q, nil
}

// deleteImage deletes an image with all its tags.
func (v *repoVisit) deleteImage(d ecr.Digest) error {
	var failures []registry.ImageFailure
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) { return v.on(in).deleteQuestion(d) }, func(ctx context.Context) (err error) {
		_, failures, err = v.Config.Registry.As(v.Req.Principal).BatchDeleteImage(ctx, v.repo, []ecr.ImageID{{Digest: d}})
		return err
	})
	switch {
	case !done:
		return err
	case len(failures) > 0:
		return v.Tell(parts.Question{Status: http.StatusConflict, Layout: parts.Layout{Title: t("The image was not deleted"), Crumbs: parts.Crumbs(v.repo.Name)}, Back: v.imageURL(d), Says: []string{parts.Clean(failures[0].Reason)}})
	}
	return v.Finish(parts.RepoURL(v.repo.Name, "tags"), "deleted")
}

// deleteQuestion says what goes with an image.
func (v *repoVisit) deleteQuestion(d ecr.Digest) (parts.Question, error) {
	here := v.imageURL(d)
	found, err := v.Config.Registry.As(v.Req.Principal).DescribeImages(v.R.Context(), v.repo, []ecr.ImageID{{Digest: d}})
	if err != nil {
		return parts.Question{}, err
	}
	m, tags := found[0], parts.TagTexts(found[0].Tags)
	q := parts.Question{To: here, Back: here, Do: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}}, Of: strings.Join(tags, ","), Says: []string{
		t("The image %s is deleted, with its %s.", parts.Short(string(d)), parts.Size(m.SizeBytes)),
	}}
	if len(tags) > 0 {
		q.Says = append(q.Says, t("Its tags are deleted with it: %s.", strings.Join(tags, ", ")))
	}
	q.Says = append(q.Says, t("Platform images of it that have no tag of their own, and artifacts attached to it, stay until the lifecycle policy removes them."),
		t("It stays in the recycle bin for a while and can be restored from there, unless the bin is off."))
	q.Layout = parts.Layout{Title: t("Delete this image?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
		v.AWS(t("The same"), "ecr", "batch-delete-image --repository-name "+parts.Quoted(string(v.repo.Name))+" --image-ids imageDigest="+string(d)),
	}}
	return q, nil
}
