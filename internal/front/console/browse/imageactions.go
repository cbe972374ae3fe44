package browse

import (
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
	case "delete":
		return v.deleteImage(found[0])
	}
	return parts.NoPage()
}

func (v *repoVisit) imageURL(d ecr.Digest) string {
	return parts.RepoURL(v.repo.Name, "images/"+string(d))
}

// tagImage gives an image another tag, which may be another image's so far.
func (v *repoVisit) tagImage(m ecr.Image) error {
	ctx, as, here := v.R.Context(), v.Config.Registry.As(v.Req.Principal), v.imageURL(m.Digest)
	tag, err := ecr.ParseTag(strings.TrimSpace(v.R.PostFormValue("tag")))
	if err != nil {
		return err
	}
	repos, err := as.DescribeRepositories(ctx, v.repo.In, []ecr.RepositoryName{v.repo.Name})
	if err != nil {
		return err
	}
	holder := ecr.Digest("")
	switch has, err := as.DescribeImages(ctx, v.repo, []ecr.ImageID{{Tag: tag}}); {
	case err == nil:
		holder = has[0].Digest
	case ecr.CodeOf(err) != ecr.CodeImageNotFound:
		return err
	}
	q := parts.Question{To: here, Back: here, Do: t("Set the tag"), Hidden: [][2]string{{"do", "tag"}, {"tag", string(tag)}}}
	l := parts.Layout{Title: t("Set the tag %s?", tag), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
		v.AWS(t("The same"), "ecr", fmt.Sprintf("put-image --repository-name %s --image-tag %s --image-manifest \"$(aws --endpoint-url %s --region %s ecr batch-get-image --repository-name %s --image-ids imageDigest=%s --query 'images[0].imageManifest' --output text)\"",
			parts.Quoted(string(v.repo.Name)), parts.Quoted(string(tag)), v.Req.Endpoint, v.Req.Registry.Region, parts.Quoted(string(v.repo.Name)), m.Digest)),
	}}
	switch immutable := repos[0].Mutability.IsImmutable(tag); {
	case holder == m.Digest:
		return v.Finish(here, "tagged") // it has it
	case holder != "" && immutable:
		v.Status = http.StatusConflict
		return v.Show(parts.Shared, "ask", parts.Layout{Title: t("The tag %s cannot be moved", tag), Crumbs: parts.Crumbs(v.repo.Name), Data: parts.Question{Back: here, Says: []string{
			t("It belongs to the image %s, and tags such as this one are immutable in the repository.", parts.Short(string(holder))),
			t("Choose another tag. To use this one, delete it first, or exclude it from immutability (mutable_tags in kontor.yaml)."),
		}}})
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
	seen := parts.Fingerprint("tag " + string(tag) + " " + string(holder))
	if have := v.R.PostFormValue("seen"); have != seen {
		return v.Ask(q, seen, have != "", l)
	}
	got, err := as.StatManifest(ctx, v.repo, ecr.ImageID{Digest: m.Digest})
	if err != nil {
		return err
	}
	if _, err := as.PutImage(ctx, v.repo, registry.NewImage{Body: got.Body, MediaType: got.MediaType, Digest: m.Digest, Tags: []ecr.Tag{tag}}); err != nil {
		return err
	}
	return v.Finish(here, "tagged")
}

// deleteImage deletes an image with all its tags.
func (v *repoVisit) deleteImage(m ecr.Image) error {
	here := v.imageURL(m.Digest)
	tags := parts.TagTexts(m.Tags)
	q := parts.Question{To: here, Back: here, Do: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}}, Says: []string{
		t("The image %s is deleted, with its %s.", parts.Short(string(m.Digest)), parts.Size(m.SizeBytes)),
	}}
	if len(tags) > 0 {
		q.Says = append(q.Says, t("Its tags are deleted with it: %s.", strings.Join(tags, ", ")))
	}
	q.Says = append(q.Says, t("Platform images of it that have no tag of their own, and artifacts attached to it, stay until the lifecycle policy removes them."),
		t("It stays in the recycle bin for a while and can be restored from there, unless the bin is off."))
	seen := parts.Fingerprint(deletion([]ecr.Image{m}, tags))
	if have := v.R.PostFormValue("seen"); have != seen {
		return v.Ask(q, seen, have != "", parts.Layout{Title: t("Delete this image?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
			v.AWS(t("The same"), "ecr", "batch-delete-image --repository-name "+parts.Quoted(string(v.repo.Name))+" --image-ids imageDigest="+string(m.Digest)),
		}})
	}
	_, failures, err := v.Config.Registry.As(v.Req.Principal).BatchDeleteImage(v.R.Context(), v.repo, []ecr.ImageID{{Digest: m.Digest}})
	if err != nil {
		return err
	}
	if len(failures) > 0 {
		v.Status = http.StatusConflict
		return v.Show(parts.Shared, "ask", parts.Layout{Title: t("The image was not deleted"), Crumbs: parts.Crumbs(v.repo.Name), Data: parts.Question{Back: here, Says: []string{parts.Clean(failures[0].Reason)}}})
	}
	return v.Finish(parts.RepoURL(v.repo.Name, "tags"), "deleted")
}
