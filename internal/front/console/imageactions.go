package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// question is a page that asks before something is done. The form repeats Hidden, and has
// a fingerprint of what was shown.
type question struct {
	To, Back string
	Says     []string // what becomes of what
	Tables   []*table
	Hidden   [][2]string
	Reason   string // label of a text to give, "" for none
	Do       string
	Danger   bool
}

// ask shows a question. again: it was answered, but something has changed since.
func (v *visit) ask(q question, seen string, again bool, l layout) error {
	q.Hidden = append(q.Hidden, [2]string{"seen", seen})
	if again {
		l.Message = &message{Kind: "warn", Text: t("Nothing is done yet: something has changed since you saw this. Look at it again.")}
	}
	l.Data = q
	return v.show("ask", l)
}

// changeImage does what a form of the page of an image asks for.
func (v *repoVisit) changeImage(d ecr.Digest) error {
	found, err := v.h.cfg.Registry.As(v.req.Principal).DescribeImages(v.r.Context(), v.repo, []ecr.ImageID{{Digest: d}})
	if err != nil {
		return err
	}
	switch v.r.PostFormValue("do") {
	case "tag":
		return v.tagImage(found[0])
	case "delete":
		return v.deleteImage(found[0])
	}
	return noPage()
}

func (v *repoVisit) imageURL(d ecr.Digest) string {
	return repoURL(v.repo.Name, "images/"+string(d))
}

// tagImage gives an image another tag, which may be another image's so far.
func (v *repoVisit) tagImage(m ecr.Image) error {
	ctx, as, here := v.r.Context(), v.h.cfg.Registry.As(v.req.Principal), v.imageURL(m.Digest)
	tag, err := ecr.ParseTag(strings.TrimSpace(v.r.PostFormValue("tag")))
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
	q := question{To: here, Back: here, Do: t("Set the tag"), Hidden: [][2]string{{"do", "tag"}, {"tag", string(tag)}}}
	l := layout{Title: t("Set the tag %s?", tag), Crumbs: v.crumbs(), Commands: []command{
		v.aws(t("The same"), "ecr", fmt.Sprintf("put-image --repository-name %s --image-tag %s --image-manifest \"$(aws --endpoint-url %s --region %s ecr batch-get-image --repository-name %s --image-ids imageDigest=%s --query 'images[0].imageManifest' --output text)\"",
			quoted(string(v.repo.Name)), quoted(string(tag)), v.req.Endpoint, v.req.Registry.Region, quoted(string(v.repo.Name)), m.Digest)),
	}}
	switch immutable := repos[0].Mutability.IsImmutable(tag); {
	case holder == m.Digest:
		return v.finish(here, "tagged") // it has it
	case holder != "" && immutable:
		v.status = http.StatusConflict
		return v.show("ask", layout{Title: t("The tag %s cannot be moved", tag), Crumbs: v.crumbs(), Data: question{Back: here, Says: []string{
			t("It belongs to the image %s, and tags such as this one are immutable in the repository.", short(string(holder))),
			t("Choose another tag. To use this one, delete it first, or exclude it from immutability (mutable_tags in kontor.yaml)."),
		}}})
	case holder != "":
		q.Says = []string{t("The tag %s moves from the image %s to %s.", tag, short(string(holder)), short(string(m.Digest))), t("Who pulls it gets this image from then on. The journal records the move.")}
		if old, err := as.DescribeImages(ctx, v.repo, []ecr.ImageID{{Digest: holder}}); err == nil && len(old[0].Tags) == 1 {
			q.Says = append(q.Says, t("The image %s has no tag then, and the lifecycle policy may expire it.", short(string(holder))))
		}
	default:
		q.Says = []string{t("The image %s gets the tag %s, which no image has.", short(string(m.Digest)), tag)}
		if immutable {
			q.Says = append(q.Says, t("Tags such as this one are immutable in the repository: it cannot be moved to another image afterwards."))
		}
	}
	seen := fingerprint("tag " + string(tag) + " " + string(holder))
	if have := v.r.PostFormValue("seen"); have != seen {
		return v.ask(q, seen, have != "", l)
	}
	got, err := as.StatManifest(ctx, v.repo, ecr.ImageID{Digest: m.Digest})
	if err != nil {
		return err
	}
	if _, err := as.PutImage(ctx, v.repo, registry.NewImage{Body: got.Body, MediaType: got.MediaType, Digest: m.Digest, Tags: []ecr.Tag{tag}}); err != nil {
		return err
	}
	return v.finish(here, "tagged")
}

// deleteImage deletes an image with all its tags.
func (v *repoVisit) deleteImage(m ecr.Image) error {
	here := v.imageURL(m.Digest)
	tags := tagTexts(m.Tags)
	q := question{To: here, Back: here, Do: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}}, Says: []string{
		t("The image %s is deleted, with its %s.", short(string(m.Digest)), size(m.SizeBytes)),
	}}
	if len(tags) > 0 {
		q.Says = append(q.Says, t("Its tags are deleted with it: %s.", strings.Join(tags, ", ")))
	}
	q.Says = append(q.Says, t("Platform images of it that have no tag of their own, and artifacts attached to it, stay until the lifecycle policy removes them."),
		t("It stays in the recycle bin for a while and can be restored from there, unless the bin is off."))
	seen := fingerprint(deletion([]ecr.Image{m}, tags))
	if have := v.r.PostFormValue("seen"); have != seen {
		return v.ask(q, seen, have != "", layout{Title: t("Delete this image?"), Crumbs: v.crumbs(), Commands: []command{
			v.aws(t("The same"), "ecr", "batch-delete-image --repository-name "+quoted(string(v.repo.Name))+" --image-ids imageDigest="+string(m.Digest)),
		}})
	}
	_, failures, err := v.h.cfg.Registry.As(v.req.Principal).BatchDeleteImage(v.r.Context(), v.repo, []ecr.ImageID{{Digest: m.Digest}})
	if err != nil {
		return err
	}
	if len(failures) > 0 {
		v.status = http.StatusConflict
		return v.show("ask", layout{Title: t("The image was not deleted"), Crumbs: v.crumbs(), Data: question{Back: here, Says: []string{clean(failures[0].Reason)}}})
	}
	return v.finish(repoURL(v.repo.Name, "tags"), "deleted")
}

// purge removes an image of the recycle bin for good.
func (v *visit) purge(at ecr.Repo, d ecr.Digest) error {
	reason := strings.TrimSpace(v.r.PostFormValue("reason"))
	there, err := purged(v, at, d)
	if err != nil {
		return err
	}
	seen := fingerprint("purge " + string(at.Name) + "@" + string(d) + "\n" + strings.Join(there, "\n"))
	ref := string(at.Name) + "@" + string(d)
	q := question{
		To: Root + "bin", Back: Root + "bin", Do: t("Delete for good"), Danger: true, Reason: t("Reason, for the journal"),
		Hidden: [][2]string{{"do", "purge"}, {"repository", string(at.Name)}, {"digest", string(d)}},
		Says: []string{
			t("%s is removed from the recycle bin, and from its repository if it is there again.", ref),
			t("Layers that no other image uses are removed from the storage at once. This cannot be undone."),
		},
	}
	q.Says = append(q.Says, there...)
	if have := v.r.PostFormValue("seen"); have != seen || reason == "" {
		return v.ask(q, seen, have != "" && have != seen, layout{Title: t("Delete this image for good?"), Commands: []command{v.kontor(t("The same"), "admin purge "+quoted(ref)+" --reason TEXT")}})
	}
	done, err := v.h.cfg.Retention.As(v.req.Principal).PurgeImage(v.r.Context(), at, d, reason)
	if err != nil {
		return err
	}
	m := &message{Kind: "good", Text: t("The image is gone for good, with %s (%s) that nothing else used.", words.Count(done.Blobs, t("layer or config"), t("layers and configs")), size(done.SizeBytes)),
		Link: &link{Label: t("Back to the recycle bin"), To: Root + "bin"}}
	return v.show("list", layout{Title: t("Deleted for good"), Message: m, Data: map[string]any{}})
}

// purged says what goes of an image that is in its repository again: its tags, and who
// uses it.
func purged(v *visit, at ecr.Repo, d ecr.Digest) (says []string, err error) {
	found, err := v.h.cfg.Registry.As(v.req.Principal).DescribeImages(v.r.Context(), at, []ecr.ImageID{{Digest: d}})
	switch ecr.CodeOf(err) {
	case ecr.CodeImageNotFound, ecr.CodeRepositoryNotFound:
		return nil, nil
	case ecr.CodeAccessDenied:
		return []string{t("You may not see whether it is in its repository, with which tags (ecr:DescribeImages).")}, nil
	}
	if err != nil {
		return nil, err
	}
	m := found[0]
	says = []string{t("It is in its repository, without a tag.")}
	if tags := tagTexts(m.Tags); len(tags) > 0 {
		says[0] = t("It is in its repository. Its tags are deleted with it: %s.", strings.Join(tags, ", "))
	}
	_, leases, err := v.h.cfg.Retention.As(v.req.Principal).ListLeases(v.r.Context(), at.In, at.Name)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return append(says, t("You may not see who uses it (kontor:ListLeases).")), nil
	}
	for _, l := range leases {
		if l.Image.Digest == d || l.Image.Tag != "" && slices.Contains(m.Tags, l.Image.Tag) {
			says = append(says, t("It is in use by %s, as %s reports.", clean(l.User), clean(l.Collector)))
		}
	}
	return says, err
}
